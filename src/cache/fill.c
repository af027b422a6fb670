#include "cache/fill_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "store/keyspace.h"

#include <string.h>

#define GEN_BITS 48
#define FLOOR_TTL_MS 60000
#define FLOOR_BYTES_MAX ((uint64_t)64 << 20)
#define LEASE_BYTES_MAX ((uint64_t)160 << 20)

struct fills *fills_new(struct keyspace *keyspace)
{
    struct fills *fills = alloc_zeroed(sizeof(*fills));

    fills->keyspace = keyspace;
    random_system(&fills->seed, sizeof(fills->seed));
    atomic_init(&fills->floor_ttl_ms, FLOOR_TTL_MS);
    atomic_init(&fills->floor_bytes_max, FLOOR_BYTES_MAX);
    atomic_init(&fills->lease_bytes_max, LEASE_BYTES_MAX);
    return fills;
}

void fills_free(struct fills **held)
{
    struct fills *fills = *held;

    *held = NULL;
    if (fills == NULL) return;
    for (size_t id = 0; id < SLOT_COUNT; id++) {
        struct slot_fills *of = atomic_load_explicit(&fills->slots[id], memory_order_relaxed);

        if (of == NULL) continue;
        slot_lock(of->slot);
        slot_feed_detach(of->slot, &of->feed);
        fill_leases_free(of);
        fill_floors_free(of);
        slot_unlock(of->slot);
        alloc_free(of->buckets);
        alloc_free(of->stripes);
        alloc_free(of);
    }
    alloc_free(fills->woken.ids);
    alloc_free(fills);
}

void fills_set_floor_ttl(struct fills *fills, int64_t ms)
{
    atomic_store_explicit(&fills->floor_ttl_ms, ms, memory_order_relaxed);
}

int64_t fills_floor_ttl(const struct fills *fills)
{
    return atomic_load_explicit(&fills->floor_ttl_ms, memory_order_relaxed);
}

void fills_set_floor_bytes_max(struct fills *fills, uint64_t bytes)
{
    atomic_store_explicit(&fills->floor_bytes_max, bytes, memory_order_relaxed);
}

uint64_t fills_floor_bytes(const struct fills *fills)
{
    return atomic_load_explicit(&fills->floor_bytes, memory_order_relaxed);
}

void fills_set_lease_bytes_max(struct fills *fills, uint64_t bytes)
{
    atomic_store_explicit(&fills->lease_bytes_max, bytes, memory_order_relaxed);
}

uint64_t fills_lease_bytes(const struct fills *fills)
{
    return atomic_load_explicit(&fills->lease_bytes, memory_order_relaxed);
}

void fills_slot_came(struct fills *fills, uint16_t id, int64_t now_ms)
{
    atomic_store_explicit(&fills->came_ms[id], now_ms, memory_order_relaxed);
}

bool fills_are_used(const struct fills *fills, uint16_t id)
{
    return atomic_load_explicit(&fills->slots[id], memory_order_relaxed) != NULL;
}

void fill_count(struct slot_fills *of, enum fill_counter counter)
{
    _Atomic uint64_t *at = &of->counters[counter];

    atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + 1, memory_order_relaxed);
}

void fills_counters(const struct fills *fills, uint64_t sums[FILL_COUNTERS])
{
    memset(sums, 0, FILL_COUNTERS * sizeof(*sums));
    for (size_t id = 0; id < SLOT_COUNT; id++) {
        struct slot_fills *of = atomic_load_explicit(&fills->slots[id], memory_order_acquire);

        for (size_t i = 0; of != NULL && i < FILL_COUNTERS; i++)
            sums[i] += atomic_load_explicit(&of->counters[i], memory_order_relaxed);
    }
}

/* --- Whose wait is over --- */

void fill_wake(struct slot_fills *of, uint64_t who)
{
    struct fills *fills = of->fills;

    lock_take(&fills->woken.lock);
    if (fills->woken.count == fills->woken.cap) {
        fills->woken.cap = fills->woken.cap == 0 ? 16 : fills->woken.cap * 2;
        fills->woken.ids = alloc_resize(fills->woken.ids, fills->woken.cap * sizeof(*fills->woken.ids));
    }
    fills->woken.ids[fills->woken.count++] = who;
    atomic_store_explicit(&fills->woken.any, true, memory_order_relaxed);
    lock_release(&fills->woken.lock);
}

bool fills_any_woken(const struct fills *fills)
{
    return atomic_load_explicit(&fills->woken.any, memory_order_relaxed);
}

void fills_take_woken(struct fills *fills, void (*visit)(void *context, uint64_t who), void *context)
{
    uint64_t *ids;
    size_t count;

    lock_take(&fills->woken.lock);
    ids = fills->woken.ids;
    count = fills->woken.count;
    fills->woken.ids = NULL;
    fills->woken.count = fills->woken.cap = 0;
    atomic_store_explicit(&fills->woken.any, false, memory_order_relaxed);
    lock_release(&fills->woken.lock);
    for (size_t i = 0; i < count; i++) visit(context, ids[i]);
    alloc_free(ids);
}

/* --- Events: what the slot tells --- */

static void note(struct slot_fills *of, uint64_t hash)
{
    struct fill_stripe *stripe = fill_stripe_of(of, hash);

    of->n++;
    if (stripe != NULL) stripe->n = of->n;
}

static void on_changed(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    struct slot_fills *of = container_of(feed, struct slot_fills, feed);

    (void)key;
    if (!of->is_quiet) note(of, hash);
    if (of->lease_count > 0) fill_lease_filled(of, hash);
}

void fill_note_event(struct slot_fills *of, uint64_t hash, int64_t now_ms)
{
    note(of, hash);
    if (of->lease_count > 0) fill_lease_voided(of, hash, now_ms);
}

static void on_missed(struct slot_feed *feed, uint64_t hash)
{
    struct slot_fills *of = container_of(feed, struct slot_fills, feed);

    note(of, hash);
    if (of->lease_count > 0) fill_lease_voided(of, hash, clock_now_ms());
}

static void on_removed(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    (void)key;
    on_missed(feed, hash);
}

/* What is replaced by a later version needs no floor. A value without one may be newer than the version it took the place of, so that a fill of just that
 * version must not come back. */
static void on_leaving(struct slot_feed *feed, const struct entry *entry, uint64_t hash, const struct entry *next)
{
    struct slot_fills *of = container_of(feed, struct slot_fills, feed);
    struct fill_floor floor = { .version = entry_attributes(entry).version, .is_strict = next != NULL };

    if (next != NULL && next != entry && entry_attributes(next).version != 0) return;
    fill_floor_raise(of, hash, floor, clock_now_ms());
}

/* Everything is gone, and the versions with it: too many for floors. */
static void on_flushed(struct slot_feed *feed)
{
    struct slot_fills *of = container_of(feed, struct slot_fills, feed);
    int64_t now_ms = clock_now_ms();

    fill_void_all(of);
    if (of->has_versions) fill_hold_all(of, now_ms + fills_floor_ttl(of->fills));
    of->has_versions = false;
}

/* --- Of a slot --- */

/* Drawn from a secret seed and a count: never one twice, and nobody outside knows the next. */
static void draw_gen(struct slot_fills *of)
{
    struct random random;

    random_seed(&random, of->fills->seed ^ atomic_fetch_add_explicit(&of->fills->drawn, 1, memory_order_relaxed));
    of->gen = random_u64(&random) >> (64 - GEN_BITS);
    of->owner = slot_owner(of->slot);
}

static struct slot_fills *make(struct fills *fills, struct slot *slot)
{
    struct slot_fills *of = alloc_zeroed(sizeof(*of));

    of->fills = fills;
    of->slot = slot;
    of->feed = (struct slot_feed){
        .changed = on_changed, .removed = on_removed, .missed = on_missed, .leaving = on_leaving, .flushed = on_flushed
    };
    list_init(&of->used);
    draw_gen(of);
    slot_feed_attach(slot, &of->feed);
    atomic_store_explicit(&fills->slots[slot_id(slot)], of, memory_order_release);
    return of;
}

struct slot_fills *fills_find(struct fills *fills, struct slot *slot)
{
    struct slot_fills *of = atomic_load_explicit(&fills->slots[slot_id(slot)], memory_order_relaxed);

    slot_assert_locked(slot);
    if (of == NULL || of->owner == slot_owner(slot)) return of;
    /* It was another's meanwhile, or is going to be: whatever was written there was not told here. */
    draw_gen(of);
    fill_void_all(of);
    return of;
}

struct slot_fills *fills_of(struct fills *fills, struct slot *slot)
{
    struct slot_fills *of = fills_find(fills, slot);

    return of != NULL ? of : make(fills, slot);
}

void fill_make_stripes(struct slot_fills *of)
{
    if (of->stripes == NULL) of->stripes = alloc_zeroed(FILL_STRIPES * sizeof(*of->stripes));
}

void fill_quiet_begin(struct slot_fills *of)
{
    of->is_quiet = true;
}

void fill_quiet_end(struct slot_fills *of)
{
    of->is_quiet = false;
}

void fill_walk_begin(struct slot_fills *of)
{
    of->walks++;
}

void fill_walk_end(struct slot_fills *of)
{
    of->walks--;
}

bool fill_is_walked(const struct slot_fills *of)
{
    return of->walks > 0;
}

/* --- Tokens --- */

struct fill_token fill_token(struct slot_fills *of)
{
    fill_make_stripes(of);
    return (struct fill_token){ of->gen, of->n };
}

bool fill_token_is_good(const struct slot_fills *of, uint64_t hash, struct fill_token token)
{
    const struct fill_stripe *stripe = fill_stripe_of(of, hash);

    if (stripe == NULL || token.gen != of->gen) return false;
    return token.n <= of->n && token.n >= of->floor_n && stripe->n <= token.n;
}

void fill_void_all(struct slot_fills *of)
{
    of->floor_n = ++of->n;
    fill_leases_end_all(of);
}

static size_t put_number(uint64_t number, char *text)
{
    char digits[20];
    size_t count = 0;

    do digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    for (size_t i = 0; i < count; i++) text[i] = digits[count - 1 - i];
    return count;
}

size_t fill_token_text(struct fill_token token, char text[FILL_TOKEN_TEXT_MAX])
{
    size_t len = put_number(token.gen, text);

    text[len++] = '-';
    return len + put_number(token.n, text + len);
}

/* As they are written, and in no other way. */
static bool take_number(struct bytes *text, uint64_t *number)
{
    size_t at = 0;

    *number = 0;
    for (; at < text->len && text->data[at] >= '0' && text->data[at] <= '9'; at++) {
        if (at > 0 && *number == 0) return false;
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(text->data[at] - '0'), number))
            return false;
    }
    *text = (struct bytes){ text->data + at, text->len - at };
    return at > 0;
}

bool fill_token_parse(struct bytes text, struct fill_token *token)
{
    if (!take_number(&text, &token->gen) || token->gen >> GEN_BITS != 0) return false;
    if (text.len == 0 || text.data[0] != '-') return false;
    text = (struct bytes){ text.data + 1, text.len - 1 };
    return take_number(&text, &token->n) && text.len == 0;
}

/* --- Holds --- */

static void extend(int64_t *until_ms, int64_t to_ms)
{
    if (*until_ms < to_ms) *until_ms = to_ms;
}

void fill_hold(struct slot_fills *of, uint64_t hash, int64_t until_ms)
{
    fill_make_stripes(of);
    extend(&fill_stripe_of(of, hash)->hold_until_ms, until_ms);
}

void fill_hold_all(struct slot_fills *of, int64_t until_ms)
{
    extend(&of->hold_until_ms, until_ms);
}

int64_t fill_came_ms(const struct slot_fills *of)
{
    return atomic_load_explicit(&of->fills->came_ms[slot_id(of->slot)], memory_order_relaxed);
}

int64_t fill_held_until_ms(const struct slot_fills *of, uint64_t hash, int64_t now_ms)
{
    const struct fill_stripe *stripe = fill_stripe_of(of, hash);
    int64_t came_ms = fill_came_ms(of), until_ms = came_ms != 0 ? came_ms + fills_floor_ttl(of->fills) : 0;

    extend(&until_ms, of->hold_until_ms);
    if (stripe != NULL) extend(&until_ms, stripe->hold_until_ms);
    return until_ms > now_ms ? until_ms : 0;
}
