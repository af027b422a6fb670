/* commands/keys_dump.c: DUMP and RESTORE: a key's value as bytes that another server takes (transfer/payload.h).
 *
 * A payload is summed and read before the slot is locked, that of a big value written after it: of what takes as long as a big value only EXEC's
 * RESTORE is done under the lock. */
#include "base/clock.h"
#include "base/crc64.h"
#include "cache/eviction.h"
#include "commands/cache_internal.h"
#include "commands/deadline.h"
#include "commands/keys_internal.h"
#include "server/client.h"
#include "server/intake.h"
#include "server/node.h"
#include "transfer/payload.h"

/* --- DUMP --- */

static void let_go(void *owner)
{
    struct entry *entry = owner;

    entry_free(&entry);
}

static void reply_small(struct call *call, struct bytes value)
{
    struct buf payload = { 0 };

    payload_of_string(&payload, value);
    reply_bulk(call->reply, buf_bytes(&payload));
    buf_free(&payload);
}

static void dump(struct call *call)
{
    struct entry *entry = call_find_read(call, 1);

    if (entry == NULL) {
        reply_null(call->reply);
    } else if (entry_is_big(entry)) {
        entry_hold(entry);
        call->kept = entry;
    } else {
        reply_small(call, entry_value(entry));
    }
}

/* A big value is not copied: the reply holds the entry until it was written. */
static void dump_finish(struct call *call)
{
    struct entry *entry = call->kept;
    struct bytes value = entry_value(entry);
    char head[PAYLOAD_HEAD_MAX], tail[PAYLOAD_TAIL_BYTES];
    bool value_follows;
    size_t head_len = payload_head(value, head, &value_follows);

    call->kept = NULL;
    payload_tail(crc64(crc64(0, (struct bytes){ head, head_len }), value), tail);
    reply_bulk_framed(call->reply, (struct bytes){ head, head_len },
                      (struct piece){ .bytes = value, .release = let_go, .owner = entry },
                      (struct bytes){ tail, sizeof(tail) });
}

/* --- RESTORE --- */

enum { KEY_ARG = 1, TTL_ARG, PAYLOAD_ARG, OPTIONS_ARG };

struct restore_options {
    bool replaces, ttl_is_unix_time;
    int64_t idle_s, frequency; /* -1: not given */
    struct entry_attributes attributes;
};

static enum payload_flaw read_payload(const struct call *call, struct buf *space, struct bytes *value)
{
    return payload_to_string(call_arg(call, PAYLOAD_ARG), (size_t)config_int(call->node->config, proto_max_bulk_len),
                             space, value);
}

/* Leaves the entry that the payload leads to in *call->incoming, or nothing. */
static void make_entry(struct call *call)
{
    struct buf space = { 0 };
    struct bytes value;

    if (read_payload(call, &space, &value) == PAYLOAD_FINE) {
        struct entry *entry = entry_new(call_arg(call, KEY_ARG), value, ENTRY_KEEPS_FOREVER);

        intake_keep(call, &entry);
    }
    buf_free(&space);
}

/* A payload that cannot be restored: looks at it once more, to tell why. */
static void restore_finish(struct call *call)
{
    struct buf space = { 0 };
    struct bytes value;

    call->kept = NULL;
    switch (read_payload(call, &space, &value)) {
    case PAYLOAD_BAD_FRAME:
        reply_error(call->reply, "ERR DUMP payload version or checksum are wrong");
        break;
    case PAYLOAD_FOREIGN_TYPE:
        reply_errorf(call->reply, "ERR Bad data format: a %s, and this node has only strings",
                     payload_type_name(call_arg(call, PAYLOAD_ARG)));
        break;
    case PAYLOAD_BAD_VALUE:
    case PAYLOAD_FINE: /* proto-max-bulk-len was raised in between */
        reply_error(call->reply, "ERR Bad data format");
        break;
    }
    buf_free(&space);
}

/* A number of seconds or uses. False: has replied. */
static bool parse_count(struct call *call, int arg, int64_t max, const char *error, int64_t *out)
{
    if (!call_arg_i64(call, arg, out)) return false;
    if (*out >= 0 && *out <= max) return true;
    reply_error(call->reply, error);
    return false;
}

/* Unix seconds, which are kept on the internal clock. */
static bool birth_of_arg(struct call *call, int arg, uint32_t *birth_s)
{
    int64_t number;

    if (!parse_count(call, arg, UINT32_MAX, "ERR Invalid BIRTH value, must be unix seconds", &number)) return false;
    number -= clock_wall_ahead_ms() / 1000;
    *birth_s = number < 1 ? 1 : number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
    return true;
}

/* What this node keeps of a value besides. FRESH counts from the birth, or from now where that is not given. */
static struct entry *with_attributes(const struct call *call, struct entry *entry, struct entry_attributes attributes)
{
    if (attributes.fresh_ms != 0 && attributes.birth_s == 0) attributes.birth_s = (uint32_t)(call->now_ms / 1000);
    return entry_set_attributes(entry, &attributes);
}

/* False: has replied. */
static bool parse_options(struct call *call, struct restore_options *options)
{
    for (int arg = OPTIONS_ARG; arg < call->argc; arg++) {
        bool has_more = arg + 1 < call->argc;

        if (call_arg_is(call, arg, "replace")) {
            options->replaces = true;
        } else if (call_arg_is(call, arg, "absttl")) {
            options->ttl_is_unix_time = true;
        } else if (call_arg_is(call, arg, "idletime") && has_more && options->frequency < 0) {
            if (!parse_count(call, ++arg, INT64_MAX, "ERR Invalid IDLETIME value, must be >= 0", &options->idle_s))
                return false;
        } else if (call_arg_is(call, arg, "freq") && has_more && options->idle_s < 0) {
            if (!parse_count(call, ++arg, 255, "ERR Invalid FREQ value, must be >= 0 and <= 255", &options->frequency))
                return false;
        } else if (call_arg_is(call, arg, "ver") && has_more) {
            if (!version_of_arg(call, ++arg, &options->attributes.version)) return false;
        } else if (call_arg_is(call, arg, "birth") && has_more) {
            if (!birth_of_arg(call, ++arg, &options->attributes.birth_s)) return false;
        } else if (call_arg_is(call, arg, "fresh") && has_more) {
            int64_t fresh_ms;

            if (!ms_of_arg(call, ++arg, 1, &fresh_ms)) return false;
            options->attributes.fresh_ms = (uint32_t)fresh_ms;
        } else {
            reply_error(call->reply, ERROR_SYNTAX);
            return false;
        }
    }
    return true;
}

/* When the key is to go; 0 stands for never. False: has replied. */
static bool deadline_of_ttl(struct call *call, const struct restore_options *options, int64_t ttl_ms,
                            int64_t *expires_at_ms)
{
    *expires_at_ms = ENTRY_KEEPS_FOREVER;
    return ttl_ms == 0 || deadline_of_arg(call, TTL_ARG, options->ttl_is_unix_time ? DEADLINE_AT_MS : DEADLINE_IN_MS,
                                          false, expires_at_ms);
}

static void remember_past(struct call *call, const struct restore_options *options)
{
    const struct eviction *eviction = call->node->eviction;
    struct slot *slot = call_slot(call, KEY_ARG);
    struct bytes key = call_arg(call, KEY_ARG);
    uint16_t usage;

    if (!slot_usage(slot, key, call->now_ms, &usage)) return;
    if (options->idle_s >= 0) usage = eviction_usage_idle(eviction, usage, options->idle_s, call->now_ms);
    if (options->frequency >= 0) usage = eviction_usage_frequent(eviction, usage, (unsigned)options->frequency);
    slot_set_usage(slot, key, call->now_ms, usage);
}

/* Not where the key is there already and is not to be replaced. */
static bool restore_keeps(const struct call *call, const struct slot *slot)
{
    for (int arg = OPTIONS_ARG; arg < call->argc; arg++)
        if (call_arg_is(call, arg, "replace")) return true;
    return slot_peek(slot, call_arg(call, KEY_ARG), call->now_ms) == NULL;
}

static void restore(struct call *call)
{
    struct restore_options options = { .idle_s = -1, .frequency = -1 };
    int64_t ttl_ms, expires_at_ms;

    if (!parse_options(call, &options)) return;
    if (!options.replaces && call_find_write(call, KEY_ARG) != NULL) {
        reply_error(call->reply, "BUSYKEY Target key name already exists.");
        return;
    }
    if (!parse_count(call, TTL_ARG, INT64_MAX, "ERR Invalid TTL value, must be >= 0", &ttl_ms)) return;
    /* Only here, and under the lock: what all payloads of a transaction lead to need not be in memory at once. */
    if (call->in_exec) make_entry(call);
    if (*call->incoming == NULL) {
        call->kept = &call->kept; /* only that it is there counts */
        return;
    }
    if (!deadline_of_ttl(call, &options, ttl_ms, &expires_at_ms)) {
        entry_free(call->incoming);
        return;
    }
    if (expires_at_ms != ENTRY_KEEPS_FOREVER && expires_at_ms <= call->now_ms) {
        if (slot_remove(call_slot(call, KEY_ARG), call_arg(call, KEY_ARG), call->now_ms))
            call_event(call, EVENT_GENERIC, "del", KEY_ARG);
        entry_free(call->incoming); /* EXEC would keep it to its end */
    } else {
        struct entry *entry =
            with_attributes(call, entry_set_expiry(*call->incoming, expires_at_ms), options.attributes);

        *call->incoming = NULL;
        if (options.attributes.version != 0)
            fills_of(call->node->fills, call_slot(call, KEY_ARG)); /* it will leave a floor */
        /* What another node gives away keeps the time it was to live there. */
        if (call->command->flags & COMMAND_ASKING)
            slot_put_aged(call_slot(call, KEY_ARG), &entry);
        else
            slot_put(call_slot(call, KEY_ARG), &entry);
        if (options.idle_s >= 0 || options.frequency >= 0) remember_past(call, &options);
        call_event(call, EVENT_NEW, "new", KEY_ARG);
        call_event(call, EVENT_GENERIC, "restore", KEY_ARG);
    }
    reply_ok(call->reply);
}

/* --- Descriptors --- */

static const char *const dump_tips[] = { "nondeterministic_output", NULL };

static const struct command_arg dump_args[] = { { .name = "key", .type = ARG_KEY, .key_spec = 0 }, { .name = NULL } };

static const struct command_arg restore_args[] = {
    { .name = "key", .type = ARG_KEY, .key_spec = 0 },
    { .name = "ttl", .type = ARG_INTEGER },
    { .name = "serialized-value", .type = ARG_STRING },
    { .name = "replace", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "REPLACE", .since = "3.0.0" },
    { .name = "absttl", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "ABSTTL", .since = "5.0.0" },
    { .name = "seconds", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "IDLETIME", .since = "5.0.0" },
    { .name = "frequency", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "FREQ", .since = "5.0.0" },
    { .name = "version", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "VER" },
    { .name = "birth-unix-seconds", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "BIRTH" },
    { .name = "fresh-milliseconds", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "FRESH" },
    { .name = NULL },
};

const struct command command_dump = {
    .name = "dump",
    .summary = "Read the value at a key in the form that RESTORE takes.",
    .since = "2.6.0",
    .group = "generic",
    .complexity = "O(N) for a value of N bytes",
    .arity = 2,
    .flags = COMMAND_READONLY,
    .acl = ACL_KEYSPACE,
    .keys = ONE_KEY(KEY_RO | KEY_ACCESS),
    .args = dump_args,
    .tips = dump_tips,
    .run = dump,
    .finish = dump_finish,
};

#define RESTORES                                                                                                       \
    .complexity = "O(N) for a value of N bytes",                                                                       \
    .history = COMMAND_HISTORY({ "3.0.0", "REPLACE." }, { "5.0.0", "ABSTTL." }, { "5.0.0", "IDLETIME and FREQ." }),    \
    .arity = -4, .acl = ACL_KEYSPACE | ACL_DANGEROUS, .keys = ONE_KEY(KEY_OW | KEY_UPDATE), .args = restore_args,      \
    .prepare = make_entry, .keeps = restore_keeps, .run = restore, .finish = restore_finish

const struct command command_restore = {
    .name = "restore",
    .summary = "Give a key the value that DUMP has read.",
    .since = "2.6.0",
    .group = "generic",
    .flags = COMMAND_WRITE | COMMAND_DENYOOM,
    RESTORES,
};

const struct command command_restore_asking = {
    .name = "restore-asking",
    .summary = "RESTORE into a slot that is being imported, as MIGRATE sends it.",
    .since = "3.0.0",
    .group = "server",
    .is_system = true,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_ASKING,
    RESTORES,
};
