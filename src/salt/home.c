/* salt/home.c
 *
 * The bases of a home, what changes them, and the replies that wait for it. */
#include "salt/home_internal.h"

#include "base/alloc.h"

#include <assert.h>
#include <string.h>

static struct home_base *base_of(struct base_link *link)
{
    return container_of(link, struct home_base, link);
}

int64_t home_margin_ms(int64_t lease_ms)
{
    return lease_ms / 20 + 10;
}

struct home *home_new(const struct home_options *options, uint64_t first_seq, int64_t now_ms)
{
    struct home *home = alloc_zeroed(sizeof(*home));

    home_configure(home, options);
    home->ok_since_ms = now_ms;
    home->seq = first_seq;
    list_init(&home->busy);
    list_init(&home->peers);
    return home;
}

static void base_free(struct home *home, struct home_base *base)
{
    while (base->member_count > 0) member_remove(base->members[0]);
    base_map_remove(&home->bases, &base->link);
    list_remove(&base->busy);
    home->ticket_count -= base->ticket_count;
    alloc_free(base->tickets);
    alloc_free(base->folds);
    alloc_free(base);
}

void home_free(struct home **home)
{
    base_map_each(at, &(*home)->bases) base_free(*home, base_of(at));
    list_each_safe(at, &(*home)->peers) peer_free(*home, container_of(at, struct peer, all));
    alloc_free(*home);
    *home = NULL;
}

void home_configure(struct home *home, const struct home_options *options)
{
    home->options = *options;
    home->lease_max_ms = options->lease_ms > options->longest_ms ? options->lease_ms : options->longest_ms;
}

struct home_base *base_find(const struct home *home, struct bytes key)
{
    struct base_link *link = base_map_find(&home->bases, key);

    return link != NULL ? base_of(link) : NULL;
}

bool base_is_served(const struct home *home, const struct home_base *base)
{
    return home->is_ok && home->slots[base->slot] == HOME_SLOT_HERE && !base->is_removed;
}

/* Until then copies of a former home may be valid: it may have lent them up to the moment at which this node took over. */
static int64_t hold_until_ms(const struct home *home, const struct home_base *base)
{
    int64_t since_ms = home->since_ms[base->slot];

    if (since_ms < home->ok_since_ms) since_ms = home->ok_since_ms;
    return since_ms + home->lease_max_ms + home_margin_ms(home->lease_max_ms);
}

/* --- Members --- */

void member_remove(struct member *member)
{
    struct home_base *base = member->base;
    size_t i = 0;

    while (base->members[i] != member) i++;
    base->members[i] = base->members[--base->member_count];
    list_remove(&member->seat);
    list_remove(&member->asked);
    alloc_free(member);
}

/* Could it still answer with what was there before its INV? */
static bool member_is_awaited(const struct member *member, int64_t now_ms)
{
    return member->holding == HOME_ASKED && now_ms < member->until_ms;
}

/* Has it drop what it has. One that has been asked already, and has been sent nothing since, is waited for no longer by that. */
static void member_ask(struct home *home, struct member *member, int64_t now_ms, struct salt_effects *effects)
{
    struct home_base *base = member->base;
    struct peer *peer = member->peer;

    if (member->holding != HOME_ASKED) {
        member->asked_ms = now_ms;
        /* Who has nothing is told, and not waited for. */
        member->until_ms = member->holding == HOME_HAS ? peer->lease_until_ms : now_ms;
        member->holding = HOME_ASKED;
        if (peer->link != 0) list_append(&peer->asked, &member->asked);
    }
    member->asked_seq = base->seq;
    if (peer->link == 0) return;
    home->stats.invalidations++;
    salt_send(effects, peer->link,
              &(struct salt_message){ .word = SALT_INV,
                                      .base = base->link.key,
                                      .join = member->join,
                                      .seq = base->seq,
                                      .closed = member->is_closing });
}

/* Nobody is to have copies of it from here any more. */
static void base_close(struct home *home, struct home_base *base, int64_t now_ms, struct salt_effects *effects)
{
    base->seq = ++home->seq;
    for (size_t i = 0; i < base->member_count; i++) {
        base->members[i]->is_closing = true;
        member_ask(home, base->members[i], now_ms, effects);
    }
}

/* --- What can be done now --- */

static bool base_is_awaited(const struct home_base *base, int64_t now_ms)
{
    for (size_t i = 0; i < base->member_count; i++)
        if (member_is_awaited(base->members[i], now_ms)) return true;
    return false;
}

static void release_tickets(struct home *home, struct home_base *base, int64_t now_ms, struct salt_effects *effects)
{
    size_t count = 0;
    bool by_lease = false;

    while (count < base->ticket_count && now_ms >= base->tickets[count].until_ms) count++;
    if (count == 0) return;

    for (size_t i = 0; i < base->member_count; i++) by_lease |= base->members[i]->holding == HOME_ASKED;
    for (size_t i = 0; i < count; i++)
        salt_effect_add(effects, SALT_RELEASE, BYTES_NONE)->ticket = base->tickets[i].ticket;
    home->stats.released += count;
    if (by_lease) home->stats.released_by_lease += count;
    home->ticket_count -= count;
    base->ticket_count -= count;
    memmove(base->tickets, base->tickets + count, base->ticket_count * sizeof(*base->tickets));
    if (base->ticket_cap <= 64 || base->ticket_count > 0) return;
    alloc_free(base->tickets);
    base->tickets = NULL;
    base->ticket_cap = 0;
}

static bool somebody_lacks_the_value(const struct home_base *base)
{
    for (size_t i = 0; i < base->member_count; i++)
        if (base->members[i]->holding == HOME_NOTHING && base->members[i]->peer->link != 0) return true;
    return false;
}

void base_settle(struct home *home, struct home_base *base, int64_t now_ms, struct salt_effects *effects)
{
    bool is_awaited, may_push, is_held = now_ms < hold_until_ms(home, base);

    for (size_t i = base->member_count; i > 0; i--) {
        struct member *member = base->members[i - 1];

        if (member->peer->link != 0 || member_is_awaited(member, now_ms)) continue;
        if (member->holding != HOME_HAS) member_remove(member);
    }
    is_awaited = base_is_awaited(base, now_ms);
    if (!is_awaited) release_tickets(home, base, now_ms, effects);
    may_push = base->ticket_count == 0 && !is_awaited && !base->is_push_asked && base_is_served(home, base) &&
               somebody_lacks_the_value(base);
    if (may_push && !is_held) {
        base->is_push_asked = true;
        salt_effect_add(effects, SALT_PUSH, base->link.key);
    }
    if (base->is_removed && base->member_count == 0 && base->ticket_count == 0 && !is_held) {
        base_free(home, base);
        return;
    }
    if (base->ticket_count == 0 && !is_awaited && !base->is_removed && !(may_push && is_held))
        list_remove(&base->busy);
    else if (list_is_empty(&base->busy))
        list_append(&home->busy, &base->busy);
}

/* --- What this node is home of --- */

bool home_salted(struct home *home, struct bytes key, bool sum, int64_t now_ms, struct salt_effects *effects)
{
    struct home_base *base = base_find(home, key);

    if (base == NULL) {
        if (home->bases.count >= HOME_BASES_MAX || key.len == 0 || key.len > SALT_BASE_BYTES_MAX) return false;
        base = alloc_zeroed(sizeof(*base) + key.len); /* fits: SALT_BASE_BYTES_MAX */
        memcpy(base + 1, key.data, key.len);
        base->link.key = (struct bytes){ (char *)(base + 1), key.len };
        base->slot = key_slot(key);
        base->sum = sum;
        base->seq = base->epoch = ++home->seq;
        list_init(&base->busy);
        base_map_add(&home->bases, &base->link);
        return true;
    }
    if (base->sum != sum) {
        base_close(home, base, now_ms, effects);
        base->sum = sum;
    }
    base->is_removed = false;
    base_settle(home, base, now_ms, effects);
    return true;
}

void home_unsalted(struct home *home, struct bytes key, int64_t now_ms, struct salt_effects *effects)
{
    struct home_base *base = base_find(home, key);

    if (base == NULL || base->is_removed) return;
    base->is_removed = true;
    base_close(home, base, now_ms, effects);
    base_settle(home, base, now_ms, effects);
}

void home_slot(struct home *home, uint16_t slot, enum home_slot state, int64_t now_ms, struct salt_effects *effects)
{
    enum home_slot former = (enum home_slot)home->slots[slot];

    if (state == former) return;
    home->slots[slot] = (uint8_t)state;
    /* Who takes an import back, or never gave the slot away, has been home all the time. What is no later than ok_since_ms need not be noted (hold_until_ms()),
     * so that a node begins without a page for it. */
    if ((former == HOME_SLOT_ELSEWHERE || (former == HOME_SLOT_ARRIVING && state != HOME_SLOT_ELSEWHERE)) &&
        now_ms > home->ok_since_ms)
        home->since_ms[slot] = now_ms;
    if (home->bases.count == 0) return;
    base_map_each(at, &home->bases)
    {
        struct home_base *base = base_of(at);

        if (base->slot != slot) continue;
        if (former == HOME_SLOT_HERE) base_close(home, base, now_ms, effects);
        base_settle(home, base, now_ms, effects);
    }
}

void home_cluster(struct home *home, bool ok, int64_t now_ms, struct salt_effects *effects)
{
    if (ok == home->is_ok) return;
    home->is_ok = ok;
    if (ok) home->ok_since_ms = now_ms;
    base_map_each(at, &home->bases)
    {
        if (!ok) base_close(home, base_of(at), now_ms, effects);
        base_settle(home, base_of(at), now_ms, effects);
    }
}

bool home_may_leave(struct home *home, struct bytes key, int64_t now_ms)
{
    struct home_base *base = base_find(home, key);

    if (base == NULL) return true;
    /* The owner word has changed, and we are about to hear of it. */
    if (home->slots[base->slot] == HOME_SLOT_HERE) return false;
    return !base_is_awaited(base, now_ms) && now_ms >= hold_until_ms(home, base);
}

bool home_may_be_sent(struct home *home, struct bytes key, int64_t now_ms)
{
    const struct home_base *base = base_find(home, key);

    return base == NULL || !base->sum || home_may_leave(home, key, now_ms);
}

/* --- Writes --- */

static bool change(struct home *home, struct home_base *base, enum home_change what, int64_t now_ms,
                   struct salt_effects *effects)
{
    bool is_awaited;

    base->seq = ++home->seq;
    /* Of a sum that has just become no sum the rest may be on its way. */
    if (what == HOME_CHANGED) base->epoch = base->seq;
    for (size_t i = 0; i < base->member_count; i++)
        if (base->members[i]->holding == HOME_HAS) member_ask(home, base->members[i], now_ms, effects);
    is_awaited = base_is_awaited(base, now_ms) || now_ms < hold_until_ms(home, base);
    base_settle(home, base, now_ms, effects);
    return is_awaited && home->options.sync;
}

bool home_changed(struct home *home, struct bytes key, enum home_change what, int64_t now_ms,
                  struct salt_effects *effects)
{
    struct home_base *base = base_find(home, key);

    if (base == NULL) return false;
    /* What is added makes nothing old by itself. But while others may still tell what was there before, whoever added to what came after has to wait for
     * them: a key that expired a moment ago waits for nobody. */
    if (what == HOME_ADDED && base->sum) return base_is_awaited(base, now_ms) && home->options.sync;
    return change(home, base, what, now_ms, effects);
}

bool home_flushed(struct home *home, uint16_t slot, int64_t now_ms, struct salt_effects *effects)
{
    bool is_awaited = false;

    if (home->bases.count == 0) return false;
    base_map_each(at, &home->bases)
    {
        if (base_of(at)->slot == slot) is_awaited |= change(home, base_of(at), HOME_CHANGED, now_ms, effects);
    }
    return is_awaited;
}

bool home_withhold(struct home *home, struct bytes key, uint64_t ticket, int64_t now_ms)
{
    struct home_base *base = base_find(home, key);

    if (base == NULL || !home->options.sync) return false;
    if (!base_is_awaited(base, now_ms) && now_ms >= hold_until_ms(home, base)) return false;
    if (home->ticket_count >= HOME_TICKETS_MAX) {
        home->stats.overflows++;
        return false;
    }
    if (base->ticket_count == base->ticket_cap) {
        base->ticket_cap = base->ticket_cap ? base->ticket_cap * 2 : 4;
        base->tickets = alloc_resize(base->tickets, base->ticket_cap * sizeof(*base->tickets));
    }
    base->tickets[base->ticket_count++] = (struct waiting){ ticket, hold_until_ms(home, base) };
    home->ticket_count++;
    home->stats.withheld++;
    if (list_is_empty(&base->busy)) list_append(&home->busy, &base->busy);
    return true;
}

size_t home_push(struct home *home, struct bytes key, int64_t now_ms, struct home_target targets[HOME_HELPERS_MAX])
{
    struct home_base *base = base_find(home, key);
    size_t count = 0;

    if (base == NULL) return 0;
    base->is_push_asked = false;
    /* Somebody has written meanwhile: it is pushed when that is done with. */
    if (!base_is_served(home, base) || base->ticket_count > 0 || base_is_awaited(base, now_ms) ||
        now_ms < hold_until_ms(home, base))
        return 0;
    for (size_t i = 0; i < base->member_count; i++) {
        struct member *member = base->members[i];

        if (member->holding != HOME_NOTHING || member->peer->link == 0) continue;
        member->holding = HOME_HAS;
        targets[count++] = (struct home_target){
            .link = member->peer->link, .join = member->join, .seq = base->seq, .epoch = base->epoch, .sum = base->sum
        };
    }
    home->stats.pushes += count;
    return count;
}

/* --- Time --- */

void home_tick(struct home *home, int64_t now_ms, struct salt_effects *effects)
{
    home->ticked_ms = now_ms;
    peers_prune(home, now_ms, effects);
    list_each_safe(at, &home->busy) base_settle(home, container_of(at, struct home_base, busy), now_ms, effects);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t home_next_ms(const struct home *home)
{
    int64_t next_ms = INT64_MAX;

    list_each(at, &home->peers) {
        const struct peer *peer = container_of(at, struct peer, all);

        if (peer->link == 0) next_ms = earlier(next_ms, peer->lease_until_ms);
    }
    list_each(at, &home->busy) {
        const struct home_base *base = container_of(at, struct home_base, busy);
        int64_t base_ms = base->ticket_count > 0 ? base->tickets[0].until_ms : hold_until_ms(home, base);

        /* The last of them: only then is there something to do. */
        for (size_t i = 0; i < base->member_count; i++)
            if (base->members[i]->holding == HOME_ASKED && base->members[i]->until_ms > base_ms)
                base_ms = base->members[i]->until_ms;
        /* Past times have been seen: what is left waits for an answer. */
        if (base_ms > home->ticked_ms) next_ms = earlier(next_ms, base_ms);
    }
    return next_ms;
}

struct home_stats home_stats(const struct home *home)
{
    struct home_stats stats = home->stats;

    stats.bases = home->bases.count;
    stats.waiting = home->ticket_count;
    stats.links = 0;
    list_each(at, &home->peers) stats.links += container_of(at, struct peer, all)->link != 0;
    return stats;
}

void home_each_helper(const struct home *home, struct bytes key,
                      void (*each)(void *context, const char *node_id, bool linked, enum home_holding holding),
                      void *context)
{
    const struct home_base *base = base_find(home, key);

    for (size_t i = 0; base != NULL && i < base->member_count; i++)
        each(context, base->members[i]->peer->id, base->members[i]->peer->link != 0, base->members[i]->holding);
}
