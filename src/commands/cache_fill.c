/* commands/cache_fill.c: SET's VER, TOKEN and FRESH: a value that was read elsewhere is kept here, unless it is known to be older than it could be. */
#include "commands/cache_internal.h"
#include "server/node.h"
#include "server/park.h"

/* What fits into the attributes of an entry, with the second that a birth is rounded by. */
#define MS_MAX ((int64_t)UINT32_MAX - 2000)

bool fill_word(const struct call *call, int *arg, struct fill_args *args)
{
    int *place = call_arg_is(call, *arg, "ver")     ? &args->version_arg
                 : call_arg_is(call, *arg, "token") ? &args->token_arg
                 : call_arg_is(call, *arg, "fresh") ? &args->fresh_arg
                                                    : NULL;

    if (place == NULL || *arg + 1 >= call->argc) return false;
    *place = ++*arg;
    return true;
}

bool version_of_arg(struct call *call, int arg, uint64_t *version)
{
    int64_t number;

    if (!call_arg_i64(call, arg, &number)) return false;
    if (number < 0) {
        reply_errorf(call->reply, "ERR invalid version in '%s' command", call->command->name);
        return false;
    }
    *version = ENTRY_VERSIONED | (uint64_t)number;
    return true;
}

bool ms_of_arg(struct call *call, int arg, int64_t min, int64_t *ms)
{
    if (!call_arg_i64(call, arg, ms)) return false;
    if (*ms >= min && *ms <= MS_MAX) return true;
    reply_errorf(call->reply, "ERR invalid number of milliseconds in '%s' command", call->command->name);
    return false;
}

bool fill_read(struct call *call, const struct fill_args *args, struct fill *fill)
{
    if (args->version_arg != 0 && !version_of_arg(call, args->version_arg, &fill->version)) return false;
    if (args->fresh_arg != 0 && !ms_of_arg(call, args->fresh_arg, 1, &fill->fresh_ms)) return false;
    fill->has_token = args->token_arg != 0;
    if (!fill->has_token || fill_token_parse(call_arg(call, args->token_arg), &fill->token)) return true;
    reply_errorf(call->reply, "ERR invalid token in '%s' command", call->command->name);
    return false;
}

bool entry_is_stale(const struct entry *entry, int64_t now_ms)
{
    struct entry_attributes attributes;

    if (!entry_has_attributes(entry)) return false;
    attributes = entry_attributes(entry);
    if (attributes.fresh_ms == 0) return false;
    return attributes.fresh_ms == FRESH_NO_MORE ||
           now_ms >= (int64_t)attributes.birth_s * 1000 + (int64_t)attributes.fresh_ms;
}

/* The same version again is the same content. */
static bool version_is_admitted(const struct fill *fill, const struct slot_fills *of, uint64_t hash,
                                const struct entry *entry, int64_t now_ms)
{
    struct fill_floor floor = { 0, false };

    if (of != NULL) floor = fill_floor(of, hash, now_ms);
    if (entry != NULL && entry_attributes(entry).version > fill->version) return false;
    return fill->version > floor.version || (fill->version == floor.version && !floor.is_strict);
}

bool fill_settle(struct call *call, const struct fill *fill, bool admitted, const struct entry *entry)
{
    struct slot *slot = call_slot(call, 1);
    uint64_t hash = call_hash(call, 1);
    struct slot_fills *of = fills_find(call->node->fills, slot);

    client_loads_no_more(call->client, slot, hash);
    /* Counted where it is refused, and tokens are there only where they were given: so there always is something to count in. */
    if (fill->has_token && (of == NULL || !fill_token_is_good(of, hash, fill->token))) {
        fill_count(of == NULL ? fills_of(call->node->fills, slot) : of, FILL_REFUSED_TOKEN);
        admitted = false;
    } else if (fill->version != 0 && !version_is_admitted(fill, of, hash, entry, call->now_ms)) {
        fill_count(of == NULL ? fills_of(call->node->fills, slot) : of, FILL_REFUSED_VERSION);
        admitted = false;
    }
    if (!admitted && fill->has_token && of != NULL) fill_failed(of, hash, fill->token, call->now_ms);
    return admitted;
}

void fill_keep(struct call *call, const struct fill *fill, int64_t expires_at_ms, bool has_deadline)
{
    struct slot *slot = call_slot(call, 1);
    struct slot_fills *of = fills_find(call->node->fills, slot);
    int64_t birth_s = call->now_ms / 1000, held_until_ms = 0;
    struct entry_attributes attributes = { .version = fill->version, .birth_s = (uint32_t)birth_s };

    if (fill->version != 0 && of == NULL) of = fills_of(call->node->fills, slot); /* it will leave a floor */
    if (of != NULL && (fill->version != 0 || fill->has_token))
        held_until_ms = fill_held_until_ms(of, call_hash(call, 1), call->now_ms);
    if (held_until_ms != 0 && (expires_at_ms == ENTRY_KEEPS_FOREVER || expires_at_ms > held_until_ms)) {
        fill_count(of, FILL_REFUSED_HOLD);
        expires_at_ms = held_until_ms;
    }
    if (fill->fresh_ms != 0) attributes.fresh_ms = (uint32_t)(fill->fresh_ms + call->now_ms - birth_s * 1000);
    if (expires_at_ms != ENTRY_KEEPS_FOREVER && expires_at_ms <= call->now_ms)
        slot_remove(slot, call_arg(call, 1), call->now_ms);
    else if (fill->version != 0 || fill->fresh_ms != 0)
        call_store_attributed(call, 2, expires_at_ms, &attributes);
    else
        call_store(call, 2, expires_at_ms);
    call_event(call, EVENT_STRING, "set", 1);
    if (has_deadline) call_event(call, EVENT_GENERIC, "expire", 1);
}
