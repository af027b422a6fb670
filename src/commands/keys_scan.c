/* commands/keys_scan.c: what looks at all keys: KEYS, SCAN, RANDOMKEY, DBSIZE.
 *
 * Slots are visited one at a time, and one bucket under one lock, so that a big slot is not held for the length of a walk. A position
 * in a slot is a place in the order of hashes: whatever comes, goes or moves meanwhile, a key that stays is seen exactly once. */
#include "base/buf.h"
#include "base/glob.h"
#include "base/random.h"
#include "commands/keys_internal.h"
#include "commands/scan_cursor.h"
#include "server/node.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Keys picked so far, written as they will be replied. */
struct pick {
    int64_t now_ms;
    struct bytes pattern;
    bool all, none;
    size_t seen, count;
    struct buf text;
    struct reply reply;
};

/* To be called where the pick will stay: its reply writes into its own buffer. */
static void pick_init(struct pick *pick, const struct call *call, struct bytes pattern)
{
    memset(pick, 0, sizeof(*pick));
    pick->now_ms = call->now_ms;
    pick->pattern = pattern;
    pick->all = bytes_equal(pattern, BYTES("*"));
    pick->reply.out = &pick->text;
    pick->reply.resp = call->reply->resp;
}

static void pick_entry(void *context, struct entry *entry)
{
    struct pick *pick = context;
    struct bytes key = entry_key(entry);

    pick->seen++;
    if (pick->none || entry_is_expired(entry, pick->now_ms)) return;
    if (!pick->all && !glob_match(pick->pattern, key)) return;
    reply_bulk(&pick->reply, key);
    pick->count++;
}

static void pick_reply(struct pick *pick, struct call *call)
{
    reply_array(call->reply, pick->count);
    buf_append_bytes(call->reply->out, buf_bytes(&pick->text));
    buf_free(&pick->text);
}

/* One bucket of a slot; returns the next position, 0 at its end. */
static uint32_t visit_bucket(struct call *call, struct scan_cursor at, struct pick *pick)
{
    struct slot *slot = call_slot_enter(call, at.slot);
    uint32_t position = slot_scan(slot, at.position, pick_entry, pick);

    call_slot_leave(call, slot);
    return position;
}

static bool slot_is_empty(const struct call *call, uint16_t id)
{
    return slot_counts(keyspace_slot(call->node->keyspace, id)).keys == 0;
}

static void keys(struct call *call)
{
    struct pick pick;

    pick_init(&pick, call, call_arg(call, 1));
    for (uint16_t id = 0; id < SLOT_COUNT; id++) {
        struct scan_cursor at = { .slot = id };

        if (slot_is_empty(call, id)) continue;
        do at.position = visit_bucket(call, at, &pick);
        while (at.position != 0);
    }
    pick_reply(&pick, call);
}

/* Goes on until about `most` keys or as many empty buckets were looked at. Empty slots cost a glance each. Returns the next cursor. */
static struct scan_cursor scan_some(struct call *call, struct scan_cursor at, uint64_t most, struct pick *pick)
{
    uint64_t work = 0;

    while (work < most) {
        size_t seen = pick->seen;

        if (slot_is_empty(call, at.slot)) {
            at.position = 0;
        } else {
            at.position = visit_bucket(call, at, pick);
            work += pick->seen > seen ? pick->seen - seen : 1;
        }
        if (at.position != 0) continue;
        at.slot = (uint16_t)((at.slot + 1) % SLOT_COUNT);
        if (at.slot == 0) break; /* the end is where the start was */
    }
    return at;
}

/* As strtoul() takes numbers, for that is what clients have come to know: "-1" and "+1" are cursors, too, a NUL ends the number,
 * and nothing is 0. */
static bool parse_cursor(struct call *call, uint64_t *number)
{
    struct bytes text = call_arg(call, 1);
    char copy[64], *end;

    if (text.len < sizeof(copy)) {
        if (text.len > 0) memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
        errno = 0;
        *number = strtoull(copy, &end, 10);
        if (*end == '\0' && errno == 0 && !isspace((unsigned char)copy[0])) return true;
    }
    reply_error(call->reply, "ERR invalid cursor");
    return false;
}

static bool parse_scan_options(struct call *call, int64_t *most, struct bytes *pattern, struct bytes *type)
{
    for (int arg = 2; arg < call->argc; arg += 2) {
        bool has_value = arg + 1 < call->argc;

        if (has_value && call_arg_is(call, arg, "count")) {
            if (!call_arg_i64(call, arg + 1, most)) return false;
            if (*most >= 1) continue;
        } else if (has_value && call_arg_is(call, arg, "match")) {
            *pattern = call_arg(call, arg + 1);
            continue;
        } else if (has_value && call_arg_is(call, arg, "type")) {
            *type = call_arg(call, arg + 1);
            continue;
        }
        reply_error(call->reply, ERROR_SYNTAX);
        return false;
    }
    return true;
}

static void scan(struct call *call)
{
    struct scan_cursor at;
    struct bytes pattern = BYTES("*"), type = BYTES("string");
    uint64_t number;
    int64_t most = 10;
    struct pick pick;
    char text[I64_TEXT_BYTES];

    if (!parse_cursor(call, &number) || !parse_scan_options(call, &most, &pattern, &type)) return;
    pick_init(&pick, call, pattern);
    pick.none = !bytes_is_word(type, "string");
    number = scan_cursor_from(number, &at) ? scan_cursor_number(scan_some(call, at, (uint64_t)most, &pick)) : 0;
    reply_array(call->reply, 2);
    reply_bulk(call->reply, (struct bytes){ text, u64_to_text(text, number) });
    pick_reply(&pick, call);
}

static void dbsize(struct call *call)
{
    reply_integer(call->reply, (int64_t)keyspace_counts(call->node->keyspace).keys);
}

/* A slot, each as likely as it has keys; SLOT_COUNT where there are none. Counts are read without locks and may be a little old. */
static uint16_t random_slot(const struct call *call, struct random *random)
{
    uint64_t keys_total = keyspace_counts(call->node->keyspace).keys, skip;
    uint16_t last = SLOT_COUNT;

    if (keys_total == 0) return SLOT_COUNT;
    skip = random_below(random, keys_total);
    for (uint16_t id = 0; id < SLOT_COUNT; id++) {
        uint64_t here = slot_counts(keyspace_slot(call->node->keyspace, id)).keys;

        if (here == 0) continue;
        if (skip < here) return id;
        skip -= here;
        last = id;
    }
    return last;
}

static bool reply_random_of(struct call *call, uint16_t id, struct random *random)
{
    struct slot *slot = call_slot_enter(call, id);
    const struct entry *entry = slot_random(slot, random, call->now_ms);

    if (entry != NULL) reply_bulk(call->reply, entry_key(entry));
    call_slot_leave(call, slot);
    return entry != NULL;
}

/* Tries with fair chances before it looks everywhere. */
#define RANDOM_TRIES 32

static void randomkey(struct call *call)
{
    struct random random;
    uint64_t seed;
    uint16_t start;

    random_system(&seed, sizeof(seed));
    random_seed(&random, seed);
    for (int tries = 0; tries < RANDOM_TRIES; tries++) {
        uint16_t id = random_slot(call, &random);

        if (id == SLOT_COUNT) break;
        if (reply_random_of(call, id, &random)) return;
    }
    /* Nearly all that is there has expired: the first slot with a live key, from somewhere on. */
    start = (uint16_t)random_below(&random, SLOT_COUNT);
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        uint16_t id = (uint16_t)((start + i) % SLOT_COUNT);

        if (!slot_is_empty(call, id) && reply_random_of(call, id, &random)) return;
    }
    reply_null(call->reply);
}

/* --- Descriptors --- */

static const struct command_arg keys_args[] = { { .name = "pattern", .type = ARG_PATTERN }, { .name = NULL } };
static const struct command_arg scan_args[] = {
    { .name = "cursor", .type = ARG_INTEGER },
    { .name = "pattern", .type = ARG_PATTERN, .flags = ARG_OPTIONAL, .token = "MATCH" },
    { .name = "count", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "COUNT" },
    { .name = "type", .type = ARG_STRING, .flags = ARG_OPTIONAL, .token = "TYPE", .since = "6.0.0" },
    { .name = NULL },
};
static const char *const keys_tips[] = { "request_policy:all_shards", "nondeterministic_output_order", NULL };
static const char *const scan_tips[] = { "nondeterministic_output", "request_policy:special", NULL };
static const char *const randomkey_tips[] = { "request_policy:all_shards", "nondeterministic_output", NULL };
static const char *const dbsize_tips[] = { "request_policy:all_shards", "response_policy:agg_sum", NULL };

const struct command command_keys_pattern = {
    .name = "keys",
    .summary = "List all keys that match a pattern.",
    .since = "1.0.0",
    .group = "generic",
    .complexity = "O(N) for the N keys of the node",
    .arity = 2,
    .flags = COMMAND_READONLY | COMMAND_ALL_SLOTS,
    .acl = ACL_KEYSPACE | ACL_DANGEROUS,
    .args = keys_args,
    .tips = keys_tips,
    .run = keys,
};

const struct command command_scan = {
    .name = "scan",
    .summary = "List the keys of the node, a few at a time.",
    .since = "2.8.0",
    .group = "generic",
    .complexity = "O(COUNT) for a call, O(N) for all N keys of the node",
    .history = COMMAND_HISTORY({ "6.0.0", "TYPE." }),
    .arity = -2,
    .flags = COMMAND_READONLY | COMMAND_ALL_SLOTS,
    .acl = ACL_KEYSPACE,
    .args = scan_args,
    .tips = scan_tips,
    .run = scan,
};

const struct command command_randomkey = {
    .name = "randomkey",
    .summary = "Name a key by chance.",
    .since = "1.0.0",
    .group = "generic",
    .complexity = "O(1) in the number of keys",
    .arity = 1,
    .flags = COMMAND_READONLY | COMMAND_ALL_SLOTS,
    .acl = ACL_KEYSPACE,
    .tips = randomkey_tips,
    .run = randomkey,
};

const struct command command_dbsize = {
    .name = "dbsize",
    .summary = "Count the keys of the node.",
    .since = "1.0.0",
    .group = "server",
    .complexity = "O(1) in the number of keys",
    .arity = 1,
    .flags = COMMAND_READONLY | COMMAND_FAST | COMMAND_ALL_SLOTS,
    .acl = ACL_KEYSPACE,
    .tips = dbsize_tips,
    .run = dbsize,
};
