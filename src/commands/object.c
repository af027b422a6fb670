/* commands/object.c: OBJECT: how a value is kept. */
#include "cache/eviction.h"
#include "commands/keys_internal.h"
#include "server/node.h"

/* The entry at the key, or NULL with null replied. Looking at a key in this way is not using it. */
static const struct entry *find_object(struct call *call)
{
    const struct entry *entry = slot_peek(call_slot(call, 2), call_arg(call, 2), call->now_ms);

    if (entry == NULL) reply_null(call->reply);
    return entry;
}

static void object_encoding(struct call *call)
{
    const struct entry *entry = find_object(call);

    if (entry == NULL) return;
    switch (entry_encoding(entry)) {
    case ENTRY_INT:
        reply_bulk_text(call->reply, "int");
        return;
    case ENTRY_EMBSTR:
        reply_bulk_text(call->reply, "embstr");
        return;
    case ENTRY_RAW:
        reply_bulk_text(call->reply, "raw");
        return;
    }
}

/* An entry belongs to its table alone. */
static void object_refcount(struct call *call)
{
    if (find_object(call) != NULL) reply_integer(call->reply, 1);
}

static bool policy_is_lfu(const struct call *call)
{
    int64_t policy = config_int(call->node->config, maxmemory_policy);

    return policy == POLICY_VOLATILE_LFU || policy == POLICY_ALLKEYS_LFU;
}

#define AFTER_A_SWITCH                                                                                                 \
    "Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

static void object_idletime(struct call *call)
{
    uint16_t usage = 0;

    if (find_object(call) == NULL) return;
    slot_usage(call_slot(call, 2), call_arg(call, 2), call->now_ms, &usage);
    if (policy_is_lfu(call))
        reply_error(call->reply, "ERR An LFU maxmemory policy is selected, idle time not tracked. " AFTER_A_SWITCH);
    else
        reply_integer(call->reply, eviction_idle_s(call->node->eviction, usage, call->now_ms));
}

static void object_freq(struct call *call)
{
    uint16_t usage = 0;

    if (find_object(call) == NULL) return;
    slot_usage(call_slot(call, 2), call_arg(call, 2), call->now_ms, &usage);
    if (!policy_is_lfu(call))
        reply_error(call->reply,
                    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. " AFTER_A_SWITCH);
    else
        reply_integer(call->reply, eviction_frequency(call->node->eviction, usage));
}

static void object_help(struct call *call)
{
    static const char *const lines[] = {
        "ENCODING <key>",
        "    Name the way the value at <key> is kept: int, embstr or raw.",
        "FREQ <key>",
        "    Tell how often <key> is used, where the eviction policy counts that.",
        "IDLETIME <key>",
        "    Tell how many seconds ago <key> was last used, where the policy keeps that.",
        "REFCOUNT <key>",
        "    Tell how many share the value at <key>: always 1.",
        NULL,
    };

    call_reply_help(call, lines);
}

/* --- Descriptors --- */

static const struct command_arg key_args[] = { { .name = "key", .type = ARG_KEY, .key_spec = 0 }, { .name = NULL } };
static const char *const object_tips[] = { "nondeterministic_output", NULL };

#define QUESTION(asked, version, said)                                                                                 \
    static const struct command object_##asked##_command = {                                                           \
        .name = #asked,                                                                                                \
        .summary = said,                                                                                               \
        .since = version,                                                                                              \
        .group = "generic",                                                                                            \
        .complexity = "O(1)",                                                                                          \
        .arity = 3,                                                                                                    \
        .flags = COMMAND_READONLY,                                                                                     \
        .acl = ACL_KEYSPACE,                                                                                           \
        .keys = { { .first = 2, .last = 0, .step = 1, .flags = KEY_RO } },                                             \
        .args = key_args,                                                                                              \
        .tips = object_tips,                                                                                           \
        .parent = "object",                                                                                            \
        .run = object_##asked,                                                                                         \
    }

QUESTION(encoding, "2.2.3", "Name the way a value is kept.");
QUESTION(freq, "4.0.0", "Tell how often a key is used.");
QUESTION(idletime, "2.2.3", "Tell how long ago a key was last used.");
QUESTION(refcount, "2.2.3", "Tell how many share a value.");

static const struct command object_help_command = {
    .name = "help",
    .summary = "List the subcommands.",
    .since = "6.2.0",
    .group = "generic",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_KEYSPACE,
    .parent = "object",
    .run = object_help,
};

static const struct command *const object_subcommands[] = {
    &object_encoding_command, &object_freq_command,     &object_help_command,
    &object_idletime_command, &object_refcount_command, NULL,
};

const struct command command_object = {
    .name = "object",
    .summary = "Look at how values are kept.",
    .since = "2.2.3",
    .group = "generic",
    .complexity = "Depends on the subcommand.",
    .arity = -2,
    .subcommands = object_subcommands,
};
