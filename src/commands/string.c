/* commands/string.c: strings read, joined and cut. SET and its kin are in string_set.c, numbers in string_number.c. */
#include "commands/cache_guard.h"
#include "commands/commands.h"
#include "commands/string_internal.h"
#include "server/build.h"
#include "server/node.h"

#include <string.h>

bool string_fits(struct call *call, size_t len, size_t more)
{
    size_t max = (size_t)config_int(call->node->config, proto_max_bulk_len);

    if (len <= max && more <= max - len) return true;
    reply_error(call->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

/* Replies the value at a key, or null. False where it was neither. */
static bool reply_value(struct call *call, const struct entry *entry)
{
    struct bytes value;

    if (!string_of(call, entry, &value)) return false;
    if (entry == NULL)
        reply_null(call->reply);
    else
        call_reply_value(call, entry, value);
    return true;
}

/* To others the value is what it is to this one, until somebody changes it or one of them is to refresh it. */
static __attribute__((noinline)) void publish(struct call *call, const struct entry *entry)
{
    uint64_t changes = policies_changes(call->node->policies); /* before the policies are looked at */

    call_publish(call, entry_value(entry), guard_gives_until_ms(call, entry), changes);
}

static void get(struct call *call)
{
    const struct entry *entry = call_find_read(call, 1);

    if ((entry == NULL || entry_has_attributes(entry)) && has_guards(call)) {
        if (entry != NULL && guard_withholds(call, entry))
            entry = NULL;
        else if (entry == NULL && !guard_read_missing(call))
            return;
    }
    if (reply_value(call, entry) && entry != NULL && __builtin_expect(call->publishes, 0)) publish(call, entry);
}

static void getdel(struct call *call)
{
    const struct entry *entry = call_find_read(call, 1);

    if (!reply_value(call, entry) || entry == NULL) return;
    slot_remove(call_slot(call, 1), call_arg(call, 1), call->now_ms);
    call_event(call, EVENT_GENERIC, "del", 1);
}

static void getset(struct call *call)
{
    if (!reply_value(call, call_find_read(call, 1))) return;
    call_store(call, 2, ENTRY_KEEPS_FOREVER);
    call_event(call, EVENT_STRING, "set", 1);
}

static void mget(struct call *call)
{
    reply_array(call->reply, (size_t)call->argc - 1);
    /* Here a value of another type will be a null, not an error. */
    for (int arg = 1; arg < call->argc; arg++) {
        const struct entry *entry = call_find_read(call, arg);

        if (entry == NULL && has_guards(call)) guard_note_miss(call, arg);
        if (entry == NULL)
            reply_null(call->reply);
        else
            call_reply_value(call, entry, entry_value(entry));
    }
}

/* MSET and MSETNX take pairs. */
static bool pairs_are_whole(struct call *call)
{
    if (call->argc % 2 == 1) return true;
    reply_errorf(call->reply, "ERR wrong number of arguments for '%s' command", call->command->name);
    return false;
}

static struct build pair_of(const struct call *call, int key_arg)
{
    struct bytes value = call_arg(call, key_arg + 1);

    return (struct build){ .key_arg = key_arg, .value_bytes = value.len, .piece = value };
}

static inline bool is_big_pair(const struct call *call, int key_arg)
{
    return call_arg(call, key_arg + 1).len >= ENTRY_BIG_BYTES;
}

static void put_pair(struct call *call, int key_arg)
{
    struct slot *slot = call_slot(call, key_arg);
    struct bytes key = call_arg(call, key_arg);
    struct build build;
    struct entry *entry;
    bool is_new = call_makes_new(call, key_arg);
    int64_t expires_at_ms = ENTRY_KEEPS_FOREVER;
    struct slot_fills *quiet = NULL;

    if (has_guards(call) && guard_fill_begin(call, key_arg, &expires_at_ms, &quiet) == GUARD_KEEPS_NOT) {
        slot_remove(slot, key, call->now_ms);
    } else if (!is_big_pair(call, key_arg)) {
        slot_store(slot, slot_hash(key), key, call_arg(call, key_arg + 1), expires_at_ms, call->now_ms);
    } else {
        build = pair_of(call, key_arg);
        entry = entry_set_expiry(build_take(call, &build), expires_at_ms);
        slot_put(slot, &entry);
    }
    if (quiet != NULL) fill_quiet_end(quiet);
    call_event_new(call, is_new, key_arg);
    call_event(call, EVENT_STRING, "set", key_arg);
}

/* False: to be run again. */
static bool put_pairs(struct call *call)
{
    bool ready = true;

    for (int arg = 1; arg < call->argc; arg += 2) {
        struct build build;

        if (!is_big_pair(call, arg)) continue;
        build = pair_of(call, arg);
        if (!build_is_ready(call, &build)) ready = false;
    }
    if (!ready) return false;
    for (int arg = 1; arg < call->argc; arg += 2) put_pair(call, arg);
    return true;
}

static void mset(struct call *call)
{
    if (!pairs_are_whole(call)) return;
    if (put_pairs(call)) reply_ok(call->reply);
}

static void msetnx(struct call *call)
{
    if (!pairs_are_whole(call)) return;
    for (int arg = 1; arg < call->argc; arg += 2)
        if (call_find_write(call, arg) != NULL) {
            reply_integer(call->reply, 0);
            return;
        }
    if (put_pairs(call)) reply_integer(call->reply, 1);
}

static void strlen_command(struct call *call)
{
    struct bytes value;

    if (!string_of(call, call_find_read(call, 1), &value)) return;
    reply_integer(call->reply, (int64_t)value.len);
}

/* Whether the value's becoming so long, and the piece in it, are no big copy. */
static bool is_written_in_place(struct slot *slot, struct entry *entry, size_t value_bytes, struct bytes piece)
{
    if (value_bytes < ENTRY_BIG_BYTES) return true;
    if (!entry_is_big(entry)) return false;
    /* A big piece is better written into a copy, but not one of a value that is far larger: many pieces would make many copies. */
    if (piece.len >= ENTRY_BIG_BYTES && entry_value(entry).len / 4 < piece.len) return false;
    return slot_extend_value(slot, entry, value_bytes);
}

/* Writes a piece into the value at the first key, which becomes as long as it has to, and replies its length.
 * makes_raw: the encoding of a new key. */
static void write_piece(struct call *call, struct entry *entry, size_t offset, struct bytes piece, bool makes_raw,
                        const char *event)
{
    struct slot *slot = call_slot(call, 1);
    bool is_new = entry == NULL;
    size_t len = entry == NULL ? 0 : entry_value(entry).len, end = offset + piece.len;
    struct build build = {
        .key_arg = 1, .source = entry, .value_bytes = end > len ? end : len, .piece = piece, .offset = offset
    };

    if (entry != NULL && is_written_in_place(slot, entry, build.value_bytes, piece)) {
        entry = slot_resize_value(slot, entry, build.value_bytes);
        if (piece.len > 0) memcpy(entry_value_mutable(entry) + offset, piece.data, piece.len);
        entry_mark_raw(entry);
        slot_changed(slot, entry);
    } else {
        if (!build_is_ready(call, &build)) return;
        entry = build_take(call, &build);
        if (makes_raw) entry_mark_raw(entry);
        slot_put_aged(slot, &entry);
    }
    call_event_new(call, is_new, 1);
    call_event(call, EVENT_STRING, event, 1);
    reply_integer(call->reply, (int64_t)build.value_bytes);
}

static void append(struct call *call)
{
    struct entry *entry = call_find_write(call, 1);
    struct bytes value;

    if (!string_of(call, entry, &value)) return;
    if (entry != NULL && !string_fits(call, value.len, call_arg(call, 2).len)) return;
    write_piece(call, entry, value.len, call_arg(call, 2), false, "append");
}

static void setrange(struct call *call)
{
    struct entry *entry;
    struct bytes piece = call_arg(call, 3), value;
    int64_t offset;

    if (!call_arg_i64(call, 2, &offset)) return;
    if (offset < 0) {
        reply_error(call->reply, "ERR offset is out of range");
        return;
    }
    entry = call_find_write(call, 1);
    if (!string_of(call, entry, &value)) return;
    if (piece.len == 0) { /* changes nothing, makes no key */
        reply_integer(call->reply, (int64_t)value.len);
        return;
    }
    if (!string_fits(call, (size_t)offset, piece.len)) return;
    write_piece(call, entry, (size_t)offset, piece, true, "setrange");
}

/* The bytes first..last, both included, negative ones counted from the end. */
static struct bytes cut(struct bytes value, int64_t first, int64_t last)
{
    int64_t len = (int64_t)value.len;

    /* Turned round before the ends are brought into the string: afterwards it could look like one byte. */
    if (first < 0 && last < 0 && first > last) return BYTES_NONE;
    if (first < 0) first += len;
    if (last < 0) last += len;
    if (first < 0) first = 0;
    if (last < 0) last = 0;
    if (last >= len) last = len - 1;
    if (first > last || len == 0) return BYTES_NONE;
    return (struct bytes){ value.data + first, (size_t)(last - first) + 1 };
}

static void getrange(struct call *call)
{
    const struct entry *entry;
    struct bytes value;
    int64_t first, last;

    if (!call_arg_i64(call, 2, &first) || !call_arg_i64(call, 3, &last)) return;
    entry = call_find_read(call, 1);
    if (!string_of(call, entry, &value)) return;
    call_reply_value(call, entry, cut(value, first, last));
}

/* --- Descriptors --- */

static const struct command_arg key_args[] = { ARG_THE_KEY, { .name = NULL } };

static const struct command_arg keys_args[] = {
    { .name = "key", .type = ARG_KEY, .flags = ARG_MULTIPLE, .key_spec = 0 },
    { .name = NULL },
};

static const struct command_arg value_args[] = {
    ARG_THE_KEY,
    { .name = "value", .type = ARG_STRING },
    { .name = NULL },
};

static const struct command_arg range_args[] = {
    ARG_THE_KEY,
    { .name = "start", .type = ARG_INTEGER },
    { .name = "end", .type = ARG_INTEGER },
    { .name = NULL },
};

static const struct command_arg setrange_args[] = {
    ARG_THE_KEY,
    { .name = "offset", .type = ARG_INTEGER },
    { .name = "value", .type = ARG_STRING },
    { .name = NULL },
};

static const struct command_arg pairs_args[] = {
    { .name = "key_value", .type = ARG_BLOCK, .flags = ARG_MULTIPLE, .args = value_args },
    { .name = NULL },
};

static const char *const mget_tips[] = { "request_policy:multi_shard", NULL };
static const char *const mset_tips[] = { "request_policy:multi_shard", "response_policy:all_succeeded", NULL };
static const char *const msetnx_tips[] = { "request_policy:multi_shard", "response_policy:agg_min", NULL };

static const struct command command_get = {
    .name = "get",
    .summary = "Read the value at a key.",
    .since = "1.0.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_READONLY | COMMAND_FAST | COMMAND_GIVES_VALUE | COMMAND_TELLS_VALUES,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_RO | KEY_ACCESS),
    .args = key_args,
    .run = get,
};

static const struct command command_getdel = {
    .name = "getdel",
    .summary = "Read the value at a key and delete the key.",
    .since = "6.2.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_WRITE | COMMAND_FAST,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_RW | KEY_ACCESS | KEY_DELETE),
    .args = key_args,
    .run = getdel,
};

static const struct command command_getset = {
    .name = "getset",
    .summary = "Replace the value at a key and get the one it had.",
    .since = "1.0.0",
    .group = "string",
    .complexity = "O(1)",
    .deprecated_since = "6.2.0",
    .replaced_by = "`SET` with the `!GET` argument",
    .arity = 3,
    .value_arg = 2,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
    .args = value_args,
    .run = getset,
};

static const struct command command_mget = {
    .name = "mget",
    .summary = "Read the values at several keys.",
    .since = "1.0.0",
    .group = "string",
    .complexity = "O(N) for N keys",
    .arity = -2,
    .flags = COMMAND_READONLY | COMMAND_FAST | COMMAND_TELLS_VALUES,
    .acl = ACL_STRING,
    .keys = MANY_KEYS(1, KEY_RO | KEY_ACCESS),
    .args = keys_args,
    .tips = mget_tips,
    .run = mget,
};

static const struct command command_mset = {
    .name = "mset",
    .summary = "Set several keys at once.",
    .since = "1.0.1",
    .group = "string",
    .complexity = "O(N) for N keys",
    .arity = -3,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM,
    .acl = ACL_STRING,
    .keys = MANY_KEYS(2, KEY_OW | KEY_UPDATE),
    .args = pairs_args,
    .tips = mset_tips,
    .run = mset,
};

static const struct command command_msetnx = {
    .name = "msetnx",
    .summary = "Set several keys at once, if none of them is there.",
    .since = "1.0.1",
    .group = "string",
    .complexity = "O(N) for N keys",
    .arity = -3,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM,
    .acl = ACL_STRING,
    .keys = MANY_KEYS(2, KEY_OW | KEY_INSERT),
    .args = pairs_args,
    .tips = msetnx_tips,
    .run = msetnx,
};

static const struct command command_strlen = {
    .name = "strlen",
    .summary = "Count the bytes of the value at a key.",
    .since = "2.2.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_READONLY | COMMAND_FAST | COMMAND_TELLS_VALUES,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_RO),
    .args = key_args,
    .run = strlen_command,
};

static const struct command command_append = {
    .name = "append",
    .summary = "Add bytes to the end of the value at a key.",
    .since = "2.0.0",
    .group = "string",
    .complexity = "O(1) on average; O(N) for a value of N bytes where it has to move",
    .arity = 3,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_RW | KEY_INSERT),
    .args = value_args,
    .run = append,
};

static const struct command command_setrange = {
    .name = "setrange",
    .summary = "Write over a part of the value at a key.",
    .since = "2.2.0",
    .group = "string",
    .complexity = "O(N) for N bytes written; growing the value may move all of it",
    .arity = 4,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_RW | KEY_UPDATE),
    .args = setrange_args,
    .run = setrange,
};

static const struct command command_getrange = {
    .name = "getrange",
    .summary = "Read a part of the value at a key.",
    .since = "2.4.0",
    .group = "string",
    .complexity = "O(N) for N bytes read",
    .arity = 4,
    .flags = COMMAND_READONLY | COMMAND_TELLS_VALUES,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_RO | KEY_ACCESS),
    .args = range_args,
    .run = getrange,
};

static const struct command command_substr = {
    .name = "substr",
    .summary = "Read a part of the value at a key; an older name of GETRANGE.",
    .since = "1.0.0",
    .group = "string",
    .complexity = "O(N) for N bytes read",
    .deprecated_since = "2.0.0",
    .replaced_by = "`GETRANGE`",
    .arity = 4,
    .flags = COMMAND_READONLY | COMMAND_TELLS_VALUES,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_RO | KEY_ACCESS),
    .args = range_args,
    .run = getrange,
};

const struct command *const commands_strings[] = {
    &command_get,    &command_set,      &command_mget,     &command_mset,   &command_msetnx,      &command_setnx,
    &command_setex,  &command_psetex,   &command_getex,    &command_getdel, &command_getset,      &command_delifeq,
    &command_incr,   &command_decr,     &command_incrby,   &command_decrby, &command_incrbyfloat, &command_append,
    &command_strlen, &command_setrange, &command_getrange, &command_substr, &command_lcs,         NULL,
};
