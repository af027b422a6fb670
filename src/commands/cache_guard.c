/* commands/cache_guard.c: what policies do for clients that know nothing of FETCH: they GET, load what they miss, and SET it; who writes to the source
 * DELs.
 *
 *     guard     a GET that misses is noted with the slot's count of events; the SET that answers it is kept only if nothing has happened to the key since.
 *               The reply is OK all the same, as if the value had been evicted at once.
 *     refresh   past that part of its life a value is withheld from one GET, which then loads it, and given to all others
 *     coalesce  a GET that misses what another connection loads waits for it
 *     hold      fills that come soon after a DEL are kept for a moment only
 *
 * All of it is what a cache may do: a hit becomes a miss, a miss comes later, a value is dropped. */
#include "commands/cache_guard.h"
#include "commands/cache_internal.h"
#include "server/node.h"
#include "server/park.h"

/* For so long nobody else is told to refresh a value, whether or not he who was does it. */
#define REFRESH_LEASE_MS 10000

static bool is_past_refresh(const struct policy_fields *fields, const struct entry *entry, int64_t now_ms)
{
    return policy_is_past_refresh(fields, entry_attributes(entry).birth_s, entry_expires_at_ms(entry), now_ms);
}

bool entry_is_due(const struct call *call, const struct entry *entry)
{
    const struct policy_fields *fields;

    if (!entry_has_attributes(entry)) return false;
    if (entry_is_stale(entry, call->now_ms)) return true;
    fields = policies_find(call->node->policies, entry_key(entry));
    return fields != NULL && is_past_refresh(fields, entry, call->now_ms);
}

static void note_miss(struct call *call, struct slot *slot, int arg)
{
    fill_guard_miss(fills_of(call->node->fills, slot), call_hash(call, arg), call->now_ms);
}

/* Is it this client's turn to load the key? */
static bool is_elected(struct call *call, struct slot *slot, int64_t lease_ms)
{
    uint64_t hash = call_hash(call, 1);
    struct fill_token token;

    if (!fill_lease(fills_of(call->node->fills, slot), hash, client_filler(call->client), lease_ms, call->now_ms,
                    &token))
        return false;
    client_loads(call->client, slot, hash, call->now_ms + lease_ms);
    return true;
}

/* Never one that loads something itself, or has sent more: what others wait for might be behind it. The same question again is no more: it has the
 * same answer. */
static bool may_wait(struct call *call)
{
    return !call->in_exec && !client_is_loading(call->client, call->now_ms) && call_is_last(call);
}

/* True: it waits. */
static bool waits_for_another(struct call *call, struct slot *slot, int64_t coalesce_ms)
{
    uint64_t hash = call_hash(call, 1);
    struct slot_fills *of;

    if (is_elected(call, slot, coalesce_ms)) return false;
    if (call_may_wait_ms(call, coalesce_ms) <= 0 || !may_wait(call)) return false;
    of = fills_of(call->node->fills, slot);
    if (!call_is_again(call)) fill_count(of, FILL_LEASES_WAITED);
    fill_wait(of, hash, client_filler(call->client), coalesce_ms, call->now_ms);
    call_park(call, &(struct park_options){ .slot = slot,
                                            .hash = hash,
                                            .wait_ms = coalesce_ms,
                                            .look_at_ms = fill_loading_until_ms(of, hash, call->now_ms),
                                            .ends_on_input = true });
    return true;
}

bool guard_read_missing(struct call *call)
{
    struct slot *slot = call_slot(call, 1);
    const struct policy_fields *fields;

    call_unwait(call, slot);
    fields = policies_find(call->node->policies, call_arg(call, 1));
    if (fields == NULL) return true;
    if (fields->coalesce_ms > 0 && waits_for_another(call, slot, fields->coalesce_ms)) return false;
    if (fields->guard) note_miss(call, slot, 1);
    return true;
}

void guard_note_miss(struct call *call, int arg)
{
    const struct policy_fields *fields = policies_find(call->node->policies, call_arg(call, arg));

    if (fields != NULL && fields->guard) note_miss(call, call_slot(call, arg), arg);
}

bool guard_withholds(struct call *call, const struct entry *entry)
{
    struct slot *slot = call_slot(call, 1);
    const struct policy_fields *fields = policies_find(call->node->policies, call_arg(call, 1));

    if (fields == NULL || !fields->guard || !is_past_refresh(fields, entry, call->now_ms)) return false;
    if (!is_elected(call, slot, REFRESH_LEASE_MS)) {
        fill_count(fills_of(call->node->fills, slot), FILL_STALE_SERVED);
        return false;
    }
    note_miss(call, slot, 1);
    return true;
}

int64_t guard_gives_until_ms(const struct call *call, const struct entry *entry)
{
    int64_t expires_at_ms = entry_expires_at_ms(entry), refresh_ms;
    const struct policy_fields *fields;

    if (!entry_has_attributes(entry)) return expires_at_ms;
    fields = policies_find(call->node->policies, call_arg(call, 1));
    if (fields == NULL || !fields->guard) return expires_at_ms;
    refresh_ms = policy_refresh_at_ms(fields, entry_attributes(entry).birth_s, expires_at_ms);
    return expires_at_ms == ENTRY_KEEPS_FOREVER || refresh_ms < expires_at_ms ? refresh_ms : expires_at_ms;
}

enum guard_verdict guard_fill_begin(struct call *call, int key_arg, int64_t *expires_at_ms, struct slot_fills **quiet)
{
    const struct policy_fields *fields = policies_find(call->node->policies, call_arg(call, key_arg));
    struct slot_fills *of;
    uint64_t hash;
    int64_t held_until_ms;

    *quiet = NULL;
    client_loads_no_more(call->client, call_slot(call, key_arg), call_hash(call, key_arg));
    if (fields == NULL || (!fields->guard && fields->hold_ms == 0)) return GUARD_KEEPS;
    of = fills_of(call->node->fills, call_slot(call, key_arg));
    hash = call_hash(call, key_arg);
    switch (fields->guard ? fill_guard_answer(of, hash, call->now_ms) : FILL_NO_MISS) {
    case FILL_NO_MISS:
        break;
    case FILL_GOOD:
        *quiet = of;
        break;
    case FILL_STALE:
        fill_count(of, FILL_REFUSED_GUARD);
        return GUARD_KEEPS_NOT;
    }
    held_until_ms = fill_held_until_ms(of, hash, call->now_ms);
    if (held_until_ms != 0 && (*expires_at_ms == ENTRY_KEEPS_FOREVER || *expires_at_ms > held_until_ms)) {
        fill_count(of, FILL_REFUSED_HOLD);
        *expires_at_ms = held_until_ms;
    }
    if (*quiet != NULL) fill_quiet_begin(of);
    return GUARD_KEEPS;
}

void guard_note_deletion(struct call *call, int arg)
{
    const struct policy_fields *fields = policies_find(call->node->policies, call_arg(call, arg));

    if (fields == NULL || fields->hold_ms == 0) return;
    fill_hold(fills_of(call->node->fills, call_slot(call, arg)), call_hash(call, arg), call->now_ms + fields->hold_ms);
}
