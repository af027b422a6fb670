/* commands/keys_expiry.c: when keys go: EXPIRE and its forms, TTL and its forms, PERSIST. */
#include "commands/deadline.h"
#include "commands/keys_internal.h"

#include <string.h>

struct expire_condition {
    bool nx, xx, gt, lt;
};

static bool parse_condition(struct call *call, struct expire_condition *condition)
{
    for (int arg = 3; arg < call->argc; arg++) {
        struct bytes word = call_arg(call, arg);

        if (bytes_is_word(word, "nx")) {
            condition->nx = true;
        } else if (bytes_is_word(word, "xx")) {
            condition->xx = true;
        } else if (bytes_is_word(word, "gt")) {
            condition->gt = true;
        } else if (bytes_is_word(word, "lt")) {
            condition->lt = true;
        } else {
            size_t shown = word.len == 0 ? 0 : strnlen(word.data, word.len);

            reply_errorf(call->reply, "ERR Unsupported option %.*s", shown > INT16_MAX ? INT16_MAX : (int)shown,
                         word.data);
            return false;
        }
    }
    if (condition->nx && (condition->xx || condition->gt || condition->lt)) {
        reply_error(call->reply, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (condition->gt && condition->lt) {
        reply_error(call->reply, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* A key without expiry lives longer than any deadline. */
static bool is_met(const struct expire_condition *condition, int64_t present_ms, int64_t wanted_ms)
{
    bool has_expiry = present_ms != ENTRY_KEEPS_FOREVER;

    if (condition->nx && has_expiry) return false;
    if (condition->xx && !has_expiry) return false;
    if (condition->gt && (!has_expiry || wanted_ms <= present_ms)) return false;
    if (condition->lt && has_expiry && wanted_ms >= present_ms) return false;
    return true;
}

static void expire_as(struct call *call, enum deadline_form form)
{
    struct expire_condition condition = { 0 };
    struct slot *slot = call_slot(call, 1);
    struct entry *entry;
    int64_t expires_at_ms;

    if (!parse_condition(call, &condition)) return;
    if (!deadline_of_arg(call, 2, form, false, &expires_at_ms)) return;
    entry = call_find_write(call, 1);
    if (entry == NULL || !is_met(&condition, entry_expires_at_ms(entry), expires_at_ms)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (expires_at_ms <= call->now_ms) {
        slot_remove(slot, call_arg(call, 1), call->now_ms);
        call_event(call, EVENT_GENERIC, "del", 1);
    } else {
        slot_set_expiry(slot, entry, expires_at_ms);
        call_event(call, EVENT_GENERIC, "expire", 1);
    }
    reply_integer(call->reply, 1);
}

static void expire(struct call *call)
{
    expire_as(call, DEADLINE_IN_SECONDS);
}

static void pexpire(struct call *call)
{
    expire_as(call, DEADLINE_IN_MS);
}

static void expireat(struct call *call)
{
    expire_as(call, DEADLINE_AT_SECONDS);
}

static void pexpireat(struct call *call)
{
    expire_as(call, DEADLINE_AT_MS);
}

static void persist(struct call *call)
{
    struct entry *entry = call_find_write(call, 1);
    bool had_expiry = entry != NULL && entry_expires_at_ms(entry) != ENTRY_KEEPS_FOREVER, persists;

    /* A policy may not let it go. */
    if (had_expiry) entry = slot_set_expiry(call_slot(call, 1), entry, ENTRY_KEEPS_FOREVER);
    persists = had_expiry && entry_expires_at_ms(entry) == ENTRY_KEEPS_FOREVER;
    if (persists) call_event(call, EVENT_GENERIC, "persist", 1);
    reply_integer(call->reply, persists);
}

/* Half a second and more counts as one. */
static int64_t rounded_seconds(int64_t ms)
{
    return ms / 1000 + (ms % 1000 >= 500);
}

/* The deadline of a key, as unix time or from now. -2 without key, -1 without expiry. */
static void reply_deadline(struct call *call, bool unix_time, bool seconds)
{
    const struct entry *entry = call_find_look(call, 1);
    int64_t ms;

    if (entry == NULL || entry_expires_at_ms(entry) == ENTRY_KEEPS_FOREVER) {
        reply_integer(call->reply, entry == NULL ? -2 : -1);
        return;
    }
    ms = entry_expires_at_ms(entry);
    ms = unix_time ? deadline_unix_ms(ms) : ms - call->now_ms;
    reply_integer(call->reply, seconds ? rounded_seconds(ms) : ms);
}

static void ttl(struct call *call)
{
    reply_deadline(call, false, true);
}

static void pttl(struct call *call)
{
    reply_deadline(call, false, false);
}

static void expiretime(struct call *call)
{
    reply_deadline(call, true, true);
}

static void pexpiretime(struct call *call)
{
    reply_deadline(call, true, false);
}

/* --- Descriptors --- */

#define ARG_THE_KEY                                                                                                    \
    {                                                                                                                  \
        .name = "key", .type = ARG_KEY, .key_spec = 0                                                                  \
    }
#define ARG_CONDITION                                                                                                  \
    {                                                                                                                  \
        .name = "condition", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .since = "7.0.0", .args = condition_args        \
    }

static const struct command_arg condition_args[] = {
    { .name = "nx", .type = ARG_PURE_TOKEN, .token = "NX" },
    { .name = "xx", .type = ARG_PURE_TOKEN, .token = "XX" },
    { .name = "gt", .type = ARG_PURE_TOKEN, .token = "GT" },
    { .name = "lt", .type = ARG_PURE_TOKEN, .token = "LT" },
    { .name = NULL },
};

static const struct command_arg key_args[] = { ARG_THE_KEY, { .name = NULL } };
static const struct command_arg expire_args[] = {
    ARG_THE_KEY,
    { .name = "seconds", .type = ARG_INTEGER },
    ARG_CONDITION,
    { .name = NULL },
};
static const struct command_arg pexpire_args[] = {
    ARG_THE_KEY,
    { .name = "milliseconds", .type = ARG_INTEGER },
    ARG_CONDITION,
    { .name = NULL },
};
static const struct command_arg expireat_args[] = {
    ARG_THE_KEY,
    { .name = "unix-time-seconds", .type = ARG_UNIX_TIME },
    ARG_CONDITION,
    { .name = NULL },
};
static const struct command_arg pexpireat_args[] = {
    ARG_THE_KEY,
    { .name = "unix-time-milliseconds", .type = ARG_UNIX_TIME },
    ARG_CONDITION,
    { .name = NULL },
};
static const char *const ttl_tips[] = { "nondeterministic_output", NULL };

#define SETS_DEADLINE(verb, version, said)                                                                             \
    const struct command command_##verb = {                                                                            \
        .name = #verb,                                                                                                 \
        .summary = said,                                                                                               \
        .since = version,                                                                                              \
        .group = "generic",                                                                                            \
        .complexity = "O(1)",                                                                                          \
        .history = COMMAND_HISTORY({ "7.0.0", "NX, XX, GT and LT." }),                                                 \
        .arity = -3,                                                                                                   \
        .flags = COMMAND_WRITE | COMMAND_FAST,                                                                         \
        .acl = ACL_KEYSPACE,                                                                                           \
        .keys = ONE_KEY(KEY_RW | KEY_UPDATE),                                                                          \
        .args = verb##_args,                                                                                           \
        .run = verb,                                                                                                   \
    }

SETS_DEADLINE(expire, "1.0.0", "Let a key expire in a number of seconds.");
SETS_DEADLINE(pexpire, "2.6.0", "Let a key expire in a number of milliseconds.");
SETS_DEADLINE(expireat, "1.2.0", "Let a key expire at a unix time in seconds.");
SETS_DEADLINE(pexpireat, "2.6.0", "Let a key expire at a unix time in milliseconds.");

#define TELLS_DEADLINE(verb, version, said, ...)                                                                       \
    const struct command command_##verb = { .name = #verb,                                                             \
                                            .summary = said,                                                           \
                                            .since = version,                                                          \
                                            .group = "generic",                                                        \
                                            .complexity = "O(1)",                                                      \
                                            .arity = 2,                                                                \
                                            .flags = COMMAND_READONLY | COMMAND_FAST,                                  \
                                            .acl = ACL_KEYSPACE,                                                       \
                                            .keys = ONE_KEY(KEY_RO | KEY_ACCESS),                                      \
                                            .args = key_args,                                                          \
                                            .run = verb,                                                               \
                                            __VA_ARGS__ }
#define SINCE_2_8 COMMAND_HISTORY({ "2.8.0", "-2 for a key that is not there." })

TELLS_DEADLINE(ttl, "1.0.0", "Tell how many seconds a key has left.", .tips = ttl_tips, .history = SINCE_2_8);
TELLS_DEADLINE(pttl, "2.6.0", "Tell how many milliseconds a key has left.", .tips = ttl_tips, .history = SINCE_2_8);
TELLS_DEADLINE(expiretime, "7.0.0", "Tell the unix time in seconds at which a key expires.");
TELLS_DEADLINE(pexpiretime, "7.0.0", "Tell the unix time in milliseconds at which a key expires.");

const struct command command_persist = {
    .name = "persist",
    .summary = "Take a key's expiry away.",
    .since = "2.2.0",
    .group = "generic",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_WRITE | COMMAND_FAST,
    .acl = ACL_KEYSPACE,
    .keys = ONE_KEY(KEY_RW | KEY_UPDATE),
    .args = key_args,
    .run = persist,
};
