/* commands/cache_fetch.c: FETCH: a read that says what to do where there is nothing, or nothing good enough.
 *
 * The reply is always four: state, value, version, token.
 *
 *     HIT    value  version  nil      good
 *     STALE  value  version  token    good for now; whoever has the token loads it anew
 *     MISS   nil    floor    token    whoever has the token loads it; the floor is the least version that is worth it
 *
 * Who waits (WAIT) is run again when there is something to answer: see server/park.h. */
#include "commands/cache_internal.h"
#include "commands/commands.h"
#include "commands/string_internal.h"
#include "server/node.h"
#include "server/park.h"

struct fetch {
    uint64_t cookie; /* the least version that will do; or 0 */
    int64_t lease_ms, wait_ms;
    struct slot *slot;
    uint64_t hash;
};

/* False: has replied. */
static bool parse(struct call *call, struct fetch *fetch)
{
    for (int arg = 2; arg < call->argc; arg += 2) {
        bool has_more = arg + 1 < call->argc;

        if (has_more && call_arg_is(call, arg, "ver")) {
            if (!version_of_arg(call, arg + 1, &fetch->cookie)) return false;
        } else if (has_more && call_arg_is(call, arg, "lease")) {
            if (!ms_of_arg(call, arg + 1, 1, &fetch->lease_ms)) return false;
        } else if (has_more && call_arg_is(call, arg, "wait")) {
            if (!ms_of_arg(call, arg + 1, 0, &fetch->wait_ms)) return false;
        } else {
            reply_error(call->reply, ERROR_SYNTAX);
            return false;
        }
    }
    return true;
}

static void reply_version(struct call *call, uint64_t version)
{
    if (version == 0)
        reply_null(call->reply);
    else
        reply_integer(call->reply, (int64_t)(version & ~ENTRY_VERSIONED));
}

/* An entry and its value, or NULL; a token, or NULL. */
static void reply_fetched(struct call *call, const char *state, const struct entry *entry, uint64_t version,
                          const struct fill_token *token)
{
    char text[FILL_TOKEN_TEXT_MAX];

    reply_array(call->reply, 4);
    reply_simple(call->reply, state);
    if (entry == NULL)
        reply_null(call->reply);
    else
        call_reply_value(call, entry, entry_value(entry));
    reply_version(call, version);
    if (token == NULL)
        reply_null(call->reply);
    else
        reply_bulk(call->reply, (struct bytes){ text, fill_token_text(*token, text) });
}

/* Whoever asks for a version has seen it somewhere. Where that is more than is known here, an invalidation was lost, and is made up for. */
static void heal(struct call *call, const struct fetch *fetch, const struct entry *entry)
{
    struct slot_fills *of = fills_find(call->node->fills, fetch->slot);

    if (entry == NULL && of != NULL && fill_floor(of, fetch->hash, call->now_ms).version >= fetch->cookie) return;
    if (of == NULL) of = fills_of(call->node->fills, fetch->slot);
    if (entry != NULL) fill_count(of, FILL_HEALED);
    if (slot_remove(fetch->slot, call_arg(call, 1), call->now_ms)) call_event(call, EVENT_GENERIC, "del", 1);
    fill_floor_raise(of, fetch->hash, (struct fill_floor){ .version = fetch->cookie }, call->now_ms);
}

/* The token, where it is this client's turn to load. */
static bool is_elected(struct call *call, const struct fetch *fetch, struct fill_token *token)
{
    struct client *client = call->client;
    struct slot_fills *of;

    if (fetch->lease_ms == 0) return false;
    of = fills_of(call->node->fills, fetch->slot);
    if (!fill_lease(of, fetch->hash, client_filler(client), fetch->lease_ms, call->now_ms, token)) return false;
    client_loads(client, fetch->slot, fetch->hash, call->now_ms + fetch->lease_ms);
    return true;
}

static void reply_present(struct call *call, const struct fetch *fetch, const struct entry *entry)
{
    uint64_t version = entry_attributes(entry).version;
    struct fill_token token;
    bool elected;

    if (!entry_is_due(call, entry)) {
        reply_fetched(call, "HIT", entry, version, NULL);
        return;
    }
    elected = is_elected(call, fetch, &token);
    fill_count(fills_of(call->node->fills, fetch->slot), FILL_STALE_SERVED);
    reply_fetched(call, "STALE", entry, version, elected ? &token : NULL);
}

static void wait_for_fill(struct call *call, const struct fetch *fetch)
{
    struct slot_fills *of = fills_of(call->node->fills, fetch->slot);

    if (!call_is_again(call)) fill_count(of, FILL_LEASES_WAITED);
    fill_wait(of, fetch->hash, client_filler(call->client), fetch->lease_ms, call->now_ms);
    call_park(call, &(struct park_options){
                        .slot = fetch->slot,
                        .hash = fetch->hash,
                        .wait_ms = fetch->wait_ms,
                        /* He who loads may never come back; who would load in his place looks then. */
                        .look_at_ms = fetch->lease_ms == 0 ? 0 : fill_loading_until_ms(of, fetch->hash, call->now_ms),
                    });
}

static void reply_missing(struct call *call, const struct fetch *fetch)
{
    const struct slot_fills *of;
    struct fill_floor floor = { 0, false };
    struct fill_token token;
    bool elected = is_elected(call, fetch, &token);

    if (!elected && call_may_wait_ms(call, fetch->wait_ms) > 0) {
        wait_for_fill(call, fetch);
        return;
    }
    of = fills_find(call->node->fills, fetch->slot);
    if (of != NULL) floor = fill_floor(of, fetch->hash, call->now_ms);
    reply_fetched(call, "MISS", NULL, floor.version > fetch->cookie ? floor.version : fetch->cookie,
                  elected ? &token : NULL);
}

static void fetch(struct call *call)
{
    struct fetch fetch = { .slot = call_slot(call, 1), .hash = call_hash(call, 1) };
    bool is_again = call_is_again(call);
    const struct entry *entry;
    struct bytes value;

    call_unwait(call, fetch.slot);
    if (!parse(call, &fetch)) return;
    entry = is_again ? call_find_write(call, 1) : call_find_read(call, 1);
    if (!string_of(call, entry, &value)) return;
    if (fetch.cookie != 0 && (entry == NULL || entry_attributes(entry).version < fetch.cookie)) {
        heal(call, &fetch, entry);
        entry = NULL;
    }
    if (entry != NULL)
        reply_present(call, &fetch, entry);
    else
        reply_missing(call, &fetch);
}

/* --- Descriptor --- */

static const struct command_arg fetch_args[] = {
    ARG_THE_KEY,
    { .name = "version", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "VER" },
    { .name = "lease-milliseconds", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "LEASE" },
    { .name = "wait-milliseconds", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "WAIT" },
    { .name = NULL },
};

static const struct command command_fetch = {
    .name = "fetch",
    .summary = "Read the value at a key with its version, and be told whether to load it.",
    .since = "0.1.0",
    .group = "cache",
    .complexity = "O(1)",
    .arity = -2,
    .flags = COMMAND_WRITE | COMMAND_FAST,
    .acl = ACL_STRING | ACL_READ | ACL_CACHE,
    .keys = { { .first = 1,
                .last = 0,
                .step = 1,
                .flags = KEY_RW | KEY_ACCESS | KEY_UPDATE,
                .notes = "RW and UPDATE because a value that is older than the version asked for is dropped" } },
    .args = fetch_args,
    .run = fetch,
};

const struct command *const commands_cache[] = { &command_fetch, &command_invalidate, &command_salt, NULL };
