/* commands/keys.c: keys that are there, go, or get another name. Expiry is in keys_expiry.c, what looks at all keys in keys_scan.c,
 * FLUSHALL in keys_flush.c, DUMP and RESTORE in keys_dump.c. */
#include "commands/cache_guard.h"
#include "commands/commands.h"
#include "commands/keys_internal.h"
#include "server/build.h"
#include "server/node.h"

#define ERROR_SAME "ERR source and destination objects are the same"

static void del(struct call *call)
{
    int64_t removed = 0;

    for (int arg = 1; arg < call->argc; arg++) {
        if (has_guards(call)) guard_note_deletion(call, arg);
        if (!slot_remove(call_slot(call, arg), call_arg(call, arg), call->now_ms)) continue;
        call_event(call, EVENT_GENERIC, "del", arg);
        removed++;
    }
    reply_integer(call->reply, removed);
}

/* EXISTS and TOUCH: a key named twice counts twice. */
static void exists(struct call *call)
{
    int64_t found = 0;

    for (int arg = 1; arg < call->argc; arg++) found += call_find_look(call, arg) != NULL;
    reply_integer(call->reply, found);
}

/* What CLIENT NO-TOUCH spares them of is all that TOUCH is for. */
static void touch(struct call *call)
{
    int64_t found = 0;

    call->no_touch = false;
    for (int arg = 1; arg < call->argc; arg++) found += call_find_read(call, arg) != NULL;
    reply_integer(call->reply, found);
}

static void type(struct call *call)
{
    reply_simple(call->reply, call_find_look(call, 1) == NULL ? "none" : "string");
}

/* The same value, deadline and encoding under the key at an argument. */
static struct build renamed_copy(const struct entry *entry, int key_arg)
{
    return (struct build){ .key_arg = key_arg, .source = entry, .value_bytes = entry_value(entry).len };
}

static void rename_key(struct call *call, bool only_if_free)
{
    const struct entry *entry = call_find_write(call, 1);
    bool same = bytes_equal(call_arg(call, 1), call_arg(call, 2));
    struct build build;
    struct entry *copy;

    if (entry == NULL) {
        reply_error(call->reply, ERROR_NO_KEY);
        return;
    }
    if (only_if_free && (same || call_find_write(call, 2) != NULL)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (!same) {
        build = renamed_copy(entry, 2);
        if (!build_is_ready(call, &build)) return;
        copy = build_take(call, &build);
        slot_remove(call_slot(call, 1), call_arg(call, 1), call->now_ms);
        slot_put_aged(call_slot(call, 2), &copy);
        call_event(call, EVENT_NEW, "new", 2);
        call_event(call, EVENT_GENERIC, "rename_from", 1);
        call_event(call, EVENT_GENERIC, "rename_to", 2);
    }
    if (only_if_free)
        reply_integer(call->reply, 1);
    else
        reply_ok(call->reply);
}

static void rename_command(struct call *call)
{
    rename_key(call, false);
}

static void renamenx(struct call *call)
{
    rename_key(call, true);
}

/* The number of a database. A node without a cluster has one; a cluster has the others in name, and refuses them only then. False: has
 * replied. */
static bool database_of_arg(struct call *call, int arg, int64_t *db)
{
    int64_t count = call->node->bus == NULL ? 1 : config_int(call->node->config, databases);

    if (!call_arg_i64(call, arg, db)) return false;
    if (*db < INT32_MIN || *db > INT32_MAX) {
        reply_error(call->reply, "ERR value is out of range, value must between -2147483648 and 2147483647");
        return false;
    }
    if (*db >= 0 && *db < count) return true;
    reply_error(call->reply, "ERR DB index is out of range");
    return false;
}

/* REPLACE and DB n. False: has replied. */
static bool parse_copy_options(struct call *call, bool *replace)
{
    int64_t db = 0;

    for (int arg = 3; arg < call->argc; arg++) {
        if (call_arg_is(call, arg, "replace")) {
            *replace = true;
        } else if (call_arg_is(call, arg, "db") && arg + 1 < call->argc) {
            if (!database_of_arg(call, ++arg, &db)) return false;
        } else {
            reply_error(call->reply, ERROR_SYNTAX);
            return false;
        }
    }
    if (db == 0) return true;
    reply_error(call->reply, "ERR Copying to another database is not allowed in cluster mode");
    return false;
}

static void copy(struct call *call)
{
    const struct entry *entry;
    struct build build;
    struct entry *target;
    bool replace = false, again = call->builds != NULL;

    if (!parse_copy_options(call, &replace)) return;
    if (bytes_equal(call_arg(call, 1), call_arg(call, 2))) {
        reply_error(call->reply, ERROR_SAME);
        return;
    }
    /* Counted once. */
    entry = again ? call_find_write(call, 1) : call_find_read(call, 1);
    if (entry == NULL || (!replace && call_find_write(call, 2) != NULL)) {
        reply_integer(call->reply, 0);
        return;
    }
    build = renamed_copy(entry, 2);
    if (!build_is_ready(call, &build)) return;
    target = build_take(call, &build);
    slot_put_aged(call_slot(call, 2), &target);
    call_event(call, EVENT_NEW, "new", 2);
    call_event(call, EVENT_GENERIC, "copy_to", 2);
    reply_integer(call->reply, 1);
}

static void move(struct call *call)
{
    int64_t db;

    if (call->node->bus != NULL) {
        reply_error(call->reply, "ERR MOVE is not allowed in cluster mode");
        return;
    }
    if (!call_arg_i64_in(call, 2, INT32_MIN, INT32_MAX, &db)) return;
    if (db != 0)
        reply_error(call->reply, "ERR DB index is out of range");
    else
        reply_error(call->reply, "ERR source and destination objects are the same");
}

/* --- Descriptors --- */

static const struct command_arg key_args[] = { { .name = "key", .type = ARG_KEY, .key_spec = 0 }, { .name = NULL } };

static const struct command_arg keys_args[] = {
    { .name = "key", .type = ARG_KEY, .flags = ARG_MULTIPLE, .key_spec = 0 },
    { .name = NULL },
};

static const struct command_arg rename_args[] = {
    { .name = "key", .type = ARG_KEY, .key_spec = 0 },
    { .name = "newkey", .type = ARG_KEY, .key_spec = 1 },
    { .name = NULL },
};

static const struct command_arg copy_args[] = {
    { .name = "source", .type = ARG_KEY, .key_spec = 0 },
    { .name = "destination", .type = ARG_KEY, .key_spec = 1 },
    { .name = "destination-db", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "DB" },
    { .name = "replace", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "REPLACE" },
    { .name = NULL },
};

static const struct command_arg move_args[] = {
    { .name = "key", .type = ARG_KEY, .key_spec = 0 },
    { .name = "db", .type = ARG_INTEGER },
    { .name = NULL },
};

static const char *const sum_tips[] = { "request_policy:multi_shard", "response_policy:agg_sum", NULL };

static const struct command command_del = {
    .name = "del",
    .summary = "Delete keys.",
    .since = "1.0.0",
    .group = "generic",
    .complexity = "O(N) for N keys",
    .arity = -2,
    .flags = COMMAND_WRITE,
    .acl = ACL_KEYSPACE,
    .keys = MANY_KEYS(KEY_RM | KEY_DELETE),
    .args = keys_args,
    .tips = sum_tips,
    .run = del,
};

static const struct command command_unlink = {
    .name = "unlink",
    .summary = "Delete keys; here the same as DEL.",
    .since = "4.0.0",
    .group = "generic",
    .complexity = "O(N) for N keys",
    .arity = -2,
    .flags = COMMAND_WRITE | COMMAND_FAST,
    .acl = ACL_KEYSPACE,
    .keys = MANY_KEYS(KEY_RM | KEY_DELETE),
    .args = keys_args,
    .tips = sum_tips,
    .run = del,
};

static const struct command command_exists = {
    .name = "exists",
    .summary = "Count which of the keys are there.",
    .since = "1.0.0",
    .group = "generic",
    .complexity = "O(N) for N keys",
    .history = COMMAND_HISTORY({ "3.0.3", "Takes several keys." }),
    .arity = -2,
    .flags = COMMAND_READONLY | COMMAND_FAST | COMMAND_TELLS_VALUES,
    .acl = ACL_KEYSPACE,
    .keys = MANY_KEYS(KEY_RO),
    .args = keys_args,
    .tips = sum_tips,
    .run = exists,
};

static const struct command command_touch = {
    .name = "touch",
    .summary = "Mark keys as used now and count which of them are there.",
    .since = "3.2.1",
    .group = "generic",
    .complexity = "O(N) for N keys",
    .arity = -2,
    .flags = COMMAND_READONLY | COMMAND_FAST,
    .acl = ACL_KEYSPACE,
    .keys = MANY_KEYS(KEY_RO),
    .args = keys_args,
    .tips = sum_tips,
    .run = touch,
};

static const struct command command_type = {
    .name = "type",
    .summary = "Name the type of the value at a key.",
    .since = "1.0.0",
    .group = "generic",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_READONLY | COMMAND_FAST | COMMAND_TELLS_VALUES,
    .acl = ACL_KEYSPACE,
    .keys = ONE_KEY(KEY_RO),
    .args = key_args,
    .run = type,
};

static const struct command command_rename = {
    .name = "rename",
    .summary = "Give a key another name, in place of what had it.",
    .since = "1.0.0",
    .group = "generic",
    .complexity = "O(N) for a value of N bytes",
    .arity = 3,
    .flags = COMMAND_WRITE,
    .acl = ACL_KEYSPACE,
    .keys = { { .first = 1, .last = 0, .step = 1, .flags = KEY_RW | KEY_ACCESS | KEY_DELETE },
              { .first = 2, .last = 0, .step = 1, .flags = KEY_OW | KEY_UPDATE } },
    .args = rename_args,
    .run = rename_command,
};

static const struct command command_renamenx = {
    .name = "renamenx",
    .summary = "Give a key another name, if no key has it.",
    .since = "1.0.0",
    .group = "generic",
    .complexity = "O(N) for a value of N bytes",
    .history = COMMAND_HISTORY({ "3.2.0", "Two equal names are no error." }),
    .arity = 3,
    .flags = COMMAND_WRITE | COMMAND_FAST,
    .acl = ACL_KEYSPACE,
    .keys = { { .first = 1, .last = 0, .step = 1, .flags = KEY_RW | KEY_ACCESS | KEY_DELETE },
              { .first = 2, .last = 0, .step = 1, .flags = KEY_OW | KEY_INSERT } },
    .args = rename_args,
    .run = renamenx,
};

static const struct command command_copy = {
    .name = "copy",
    .summary = "Copy a key's value and expiry to another key.",
    .since = "6.2.0",
    .group = "generic",
    .complexity = "O(N) for a value of N bytes",
    .arity = -3,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM,
    .acl = ACL_KEYSPACE,
    .keys = { { .first = 1, .last = 0, .step = 1, .flags = KEY_RO | KEY_ACCESS },
              { .first = 2, .last = 0, .step = 1, .flags = KEY_OW | KEY_UPDATE } },
    .args = copy_args,
    .run = copy,
};

static const struct command command_move = {
    .name = "move",
    .summary = "Move a key to another database: always refused, as there is one.",
    .since = "1.0.0",
    .group = "generic",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_WRITE | COMMAND_FAST,
    .acl = ACL_KEYSPACE,
    .keys = ONE_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
    .args = move_args,
    .run = move,
};

const struct command *const commands_keys[] = {
    &command_del,       &command_unlink,     &command_exists,         &command_touch,        &command_type,
    &command_expire,    &command_pexpire,    &command_expireat,       &command_pexpireat,    &command_ttl,
    &command_pttl,      &command_expiretime, &command_pexpiretime,    &command_persist,      &command_rename,
    &command_renamenx,  &command_copy,       &command_move,           &command_keys_pattern, &command_scan,
    &command_randomkey, &command_dbsize,     &command_flushall,       &command_flushdb,      &command_object,
    &command_dump,      &command_restore,    &command_restore_asking, &command_migrate,      NULL,
};
