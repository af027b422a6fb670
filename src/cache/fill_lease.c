/* cache/fill_lease.c: who loads a key, and who waits for it. */
#include "cache/fill_internal.h"

#include "base/alloc.h"

/* --- The table --- */

static struct fill_lease **cell_of(const struct slot_fills *of, uint64_t hash)
{
    struct fill_lease **at = &of->buckets[hash % FILL_LEASE_BUCKETS];

    while (*at != NULL && (*at)->hash != hash) at = &(*at)->next;
    return at;
}

static struct fill_lease *find(const struct slot_fills *of, uint64_t hash)
{
    return of->lease_count == 0 ? NULL : *cell_of(of, hash);
}

static void drop(struct slot_fills *of, struct fill_lease *lease)
{
    struct fill_lease **at = cell_of(of, lease->hash);

    *at = lease->next;
    list_remove(&lease->used);
    alloc_free(lease);
    of->lease_count--;
    atomic_fetch_sub_explicit(&of->fills->lease_bytes, sizeof(*lease), memory_order_relaxed);
}

static void wake_all(struct slot_fills *of, struct fill_lease *lease)
{
    struct fill_waiter *waiter = lease->first;

    lease->first = NULL;
    lease->last = &lease->first;
    while (waiter != NULL) {
        struct fill_waiter *next = waiter->next;

        fill_wake(of, waiter->who);
        alloc_free(waiter);
        waiter = next;
    }
}

/* Forgets misses that are nobody's any more. */
static void age(struct fill_lease *lease, int64_t now_ms)
{
    if (now_ms - lease->older.last_ms >= FILL_GUARD_MS) lease->older.count = 0;
    if (now_ms - lease->newer.last_ms >= FILL_GUARD_MS) lease->newer.count = 0;
}

static bool is_guarding(const struct fill_lease *lease)
{
    return (lease->older.count | lease->newer.count) != 0;
}

/* What it was for is over; it may still be needed for something else. */
static void drop_if_idle(struct slot_fills *of, struct fill_lease *lease)
{
    if (lease->until_ms == 0 && lease->first == NULL && !is_guarding(lease)) drop(of, lease);
}

/* Who waited asks again, and is elected if he is the first. Of a guarded key it could not be told any more which fill is stale. */
static void make_room(struct slot_fills *of, int64_t now_ms)
{
    struct fill_lease *lease = container_of(of->used.next, struct fill_lease, used);

    age(lease, now_ms);
    if (is_guarding(lease)) {
        int64_t last_ms = lease->newer.count > 0 ? lease->newer.last_ms : lease->older.last_ms;

        if (of->misses_lost_until_ms < last_ms + FILL_GUARD_MS) of->misses_lost_until_ms = last_ms + FILL_GUARD_MS;
    }
    wake_all(of, lease);
    drop(of, lease);
    fill_count(of, FILL_LEASES_LOST);
}

/* Nobody loads it, waits for it, or may yet answer a miss of it. */
static bool is_past(struct fill_lease *lease, int64_t now_ms)
{
    age(lease, now_ms);
    return lease->until_ms <= now_ms && lease->first == NULL && !is_guarding(lease);
}

/* What was asked for once and never came would stay until its slot is full. Two go for one that comes, so that they become fewer. */
static void forget_past(struct slot_fills *of, int64_t now_ms)
{
    for (int i = 0; i < 2 && of->lease_count > 0; i++) {
        struct fill_lease *oldest = container_of(of->used.next, struct fill_lease, used);

        if (!is_past(oldest, now_ms)) return;
        if (oldest->until_ms != 0) fill_count(of, FILL_LEASES_EXPIRED);
        drop(of, oldest);
    }
}

/* One of a slot that has none is always granted. */
static bool is_full(const struct slot_fills *of)
{
    const struct fills *fills = of->fills;

    if (of->lease_count == FILL_LEASES_MAX) return true;
    return of->lease_count > 0 && atomic_load_explicit(&fills->lease_bytes, memory_order_relaxed) >=
                                      atomic_load_explicit(&fills->lease_bytes_max, memory_order_relaxed);
}

static struct fill_lease *take(struct slot_fills *of, uint64_t hash, int64_t now_ms)
{
    struct fill_lease *lease = find(of, hash), **at;

    if (lease != NULL) {
        list_remove(&lease->used);
        list_append(&of->used, &lease->used);
        return lease;
    }
    if (of->buckets == NULL) of->buckets = alloc_zeroed(FILL_LEASE_BUCKETS * sizeof(struct fill_lease *));
    forget_past(of, now_ms);
    if (is_full(of)) make_room(of, now_ms);
    at = cell_of(of, hash);
    *at = lease = alloc_zeroed(sizeof(*lease));
    atomic_fetch_add_explicit(&of->fills->lease_bytes, sizeof(*lease), memory_order_relaxed);
    lease->hash = hash;
    lease->last = &lease->first;
    list_append(&of->used, &lease->used);
    of->lease_count++;
    return lease;
}

void fill_leases_end_all(struct slot_fills *of)
{
    list_each_safe(at, &of->used) {
        struct fill_lease *lease = container_of(at, struct fill_lease, used);

        wake_all(of, lease);
        lease->until_ms = 0;
        lease->holder = 0;
        lease->is_handed = false;
        drop_if_idle(of, lease);
    }
}

void fill_leases_free(struct slot_fills *of)
{
    fill_leases_end_all(of);
    list_each_safe(at, &of->used) drop(of, container_of(at, struct fill_lease, used));
}

/* --- Leases --- */

static bool is_loading(const struct fill_lease *lease, int64_t now_ms)
{
    return lease != NULL && lease->until_ms > now_ms;
}

static int64_t until(int64_t now_ms, int64_t ms)
{
    int64_t sum;

    return __builtin_add_overflow(now_ms, ms, &sum) ? INT64_MAX : sum;
}

static void give(struct slot_fills *of, struct fill_lease *lease, uint64_t who, int64_t until_ms)
{
    lease->holder = who;
    lease->until_ms = until_ms;
    lease->n = of->n;
    lease->is_handed = false;
}

/* The first of those who wait and would load is elected. He is told, and comes for it; until then it is his for as long as he would load. */
static void pass_on(struct slot_fills *of, struct fill_lease *lease, int64_t now_ms)
{
    struct fill_waiter **at = &lease->first, *next;

    lease->holder = 0;
    lease->until_ms = 0;
    lease->is_handed = false;
    while (*at != NULL && (*at)->lease_ms <= 0) at = &(*at)->next;
    next = *at;
    if (next == NULL) {
        drop_if_idle(of, lease);
        return;
    }
    *at = next->next;
    if (lease->last == &next->next) lease->last = at;
    give(of, lease, next->who, until(now_ms, next->lease_ms));
    lease->is_handed = true;
    fill_wake(of, next->who);
    alloc_free(next);
}

void fill_expire(struct slot_fills *of, uint64_t hash, int64_t now_ms)
{
    struct fill_lease *lease = find(of, hash);

    if (lease == NULL || lease->until_ms == 0 || lease->until_ms > now_ms) return;
    fill_count(of, FILL_LEASES_EXPIRED);
    pass_on(of, lease, now_ms);
}

bool fill_lease(struct slot_fills *of, uint64_t hash, uint64_t who, int64_t lease_ms, int64_t now_ms,
                struct fill_token *token)
{
    struct fill_lease *lease;

    fill_expire(of, hash, now_ms);
    lease = find(of, hash);
    if (is_loading(lease, now_ms) && (lease->holder != who || !lease->is_handed)) return false;
    if (lease_ms <= 0) return false;
    lease = take(of, hash, now_ms);
    *token = fill_token(of);
    give(of, lease, who, until(now_ms, lease_ms));
    fill_count(of, FILL_LEASES_GRANTED);
    return true;
}

int64_t fill_loading_until_ms(const struct slot_fills *of, uint64_t hash, int64_t now_ms)
{
    const struct fill_lease *lease = find(of, hash);

    return is_loading(lease, now_ms) ? lease->until_ms : 0;
}

bool fill_is_loaded_by(const struct slot_fills *of, uint64_t hash, uint64_t who, int64_t now_ms)
{
    const struct fill_lease *lease = find(of, hash);

    return is_loading(lease, now_ms) && lease->holder == who;
}

void fill_give_up(struct slot_fills *of, uint64_t hash, uint64_t who, int64_t now_ms)
{
    struct fill_lease *lease = find(of, hash);

    if (lease != NULL && lease->until_ms != 0 && lease->holder == who) pass_on(of, lease, now_ms);
}

void fill_give_up_handed(struct slot_fills *of, uint64_t hash, uint64_t who, int64_t now_ms)
{
    struct fill_lease *lease = find(of, hash);

    if (lease != NULL && lease->is_handed && lease->holder == who) pass_on(of, lease, now_ms);
}

void fill_failed(struct slot_fills *of, uint64_t hash, struct fill_token token, int64_t now_ms)
{
    struct fill_lease *lease = find(of, hash);

    if (lease == NULL || lease->until_ms == 0 || lease->is_handed) return;
    if (token.gen == of->gen && token.n == lease->n) pass_on(of, lease, now_ms);
}

/* There is a value: those who wait come and look whether it is one for them. */
void fill_lease_filled(struct slot_fills *of, uint64_t hash)
{
    struct fill_lease *lease = find(of, hash);

    if (lease == NULL) return;
    wake_all(of, lease);
    lease->until_ms = 0;
    lease->holder = 0;
    drop_if_idle(of, lease);
}

/* What is being loaded will be refused, so somebody else begins at once. */
void fill_lease_voided(struct slot_fills *of, uint64_t hash, int64_t now_ms)
{
    struct fill_lease *lease = find(of, hash);

    if (lease != NULL && lease->until_ms != 0) pass_on(of, lease, now_ms);
}

/* --- Waiting --- */

void fill_wait(struct slot_fills *of, uint64_t hash, uint64_t who, int64_t lease_ms, int64_t now_ms)
{
    struct fill_lease *lease = take(of, hash, now_ms);
    struct fill_waiter *waiter = alloc(sizeof(*waiter));

    *waiter = (struct fill_waiter){ .next = NULL, .who = who, .lease_ms = lease_ms };
    *lease->last = waiter;
    lease->last = &waiter->next;
}

void fill_wait_no_more(struct slot_fills *of, uint64_t hash, uint64_t who)
{
    struct fill_lease *lease = find(of, hash);

    if (lease == NULL) return;
    for (struct fill_waiter **at = &lease->first; *at != NULL; at = &(*at)->next) {
        struct fill_waiter *waiter = *at;

        if (waiter->who != who) continue;
        *at = waiter->next;
        if (lease->last == &waiter->next) lease->last = at;
        alloc_free(waiter);
        break;
    }
    drop_if_idle(of, lease);
}

/* --- Guarded keys --- */

void fill_guard_miss(struct slot_fills *of, uint64_t hash, int64_t now_ms)
{
    struct fill_lease *lease = take(of, hash, now_ms);
    struct fill_misses *newer = &lease->newer;

    fill_make_stripes(of);
    age(lease, now_ms);
    if (newer->count > 0 && now_ms - newer->first_ms >= FILL_GUARD_MS) {
        /* The older ones are all gone by now: the last of them came before the first of these. */
        lease->older = *newer;
        newer->count = 0;
    }
    if (newer->count == 0) {
        newer->n = of->n;
        newer->first_ms = now_ms;
    }
    if (newer->count < UINT32_MAX) newer->count++;
    newer->last_ms = now_ms;
}

/* Misses of the former owner's, and those that found no room, may be answered here for as long as they count. */
static bool misses_are_known(const struct slot_fills *of, int64_t now_ms)
{
    return now_ms >= of->misses_lost_until_ms && now_ms - fill_came_ms(of) >= FILL_GUARD_MS;
}

enum fill_verdict fill_guard_answer(struct slot_fills *of, uint64_t hash, int64_t now_ms)
{
    struct fill_lease *lease = find(of, hash);
    struct fill_misses *oldest;
    bool are_known = misses_are_known(of, now_ms);
    enum fill_verdict verdict = FILL_NO_MISS;

    if (lease == NULL) return are_known ? FILL_NO_MISS : FILL_STALE;
    age(lease, now_ms);
    oldest = lease->older.count > 0 ? &lease->older : &lease->newer;
    if (oldest->count > 0) {
        verdict = fill_token_is_good(of, hash, (struct fill_token){ of->gen, oldest->n }) ? FILL_GOOD : FILL_STALE;
        oldest->count--;
    }
    drop_if_idle(of, lease);
    /* A fill that answers a miss which is not known may come where one is that is. */
    return are_known ? verdict : FILL_STALE;
}
