/* commands/policy.c: POLICY: what holds for all keys that begin alike (cache/policy.h). */
#include "cache/policy.h"
#include "base/alloc.h"
#include "commands/commands.h"
#include "server/call.h"
#include "server/node.h"
#include "server/policy_keeper.h"

#include <limits.h>
#include <string.h>

static int shown_bytes(struct bytes word)
{
    return word.len > 64 ? 64 : (int)word.len;
}

/* The pairs behind the prefix. False: has replied. */
static bool parse_settings(struct call *call, struct policy_setting *settings, size_t *count)
{
    char error[POLICY_ERROR_BYTES];

    for (int arg = 3; arg < call->argc; arg += 2) {
        struct bytes name = call_arg(call, arg), value = call_arg(call, arg + 1);
        struct policy_setting *setting = &settings[(*count)++];

        if (!policy_field_of(name, &setting->field)) {
            reply_errorf(call->reply, "ERR Unknown policy field '%.*s'", shown_bytes(name), name.data);
            return false;
        }
        if (!policy_value_of(setting->field, value, &setting->value, error)) {
            reply_errorf(call->reply, "ERR Invalid policy value '%.*s': %s", shown_bytes(value), value.data, error);
            return false;
        }
    }
    return true;
}

static void policy_set(struct call *call)
{
    struct policy_keeper *keeper = call->node->policy_keeper;
    struct policy_setting *settings;
    char error[POLICY_ERROR_BYTES] = "";
    size_t count = 0;

    if (call->argc % 2 == 0) {
        reply_error(call->reply, "ERR wrong number of arguments for 'policy|set' command");
        return;
    }
    settings = alloc((size_t)call->argc * sizeof(*settings));
    if (parse_settings(call, settings, &count)) {
        if (policy_keeper_set(keeper, call_arg(call, 2), settings, count, error))
            reply_ok(call->reply);
        else
            reply_error(call->reply, error);
    }
    alloc_free(settings);
}

static void policy_del(struct call *call)
{
    char error[POLICY_ERROR_BYTES] = "";
    bool was_there;

    if (policy_keeper_delete(call->node->policy_keeper, call_arg(call, 2), &was_there, error))
        reply_integer(call->reply, was_there);
    else
        reply_error(call->reply, error);
}

static void reply_value(struct reply *reply, enum policy_field field, int64_t value)
{
    if (policy_field_is_yes_no(field))
        reply_bulk_text(reply, value ? "yes" : "no");
    else
        reply_integer(reply, policy_value_shown(field, value));
}

static void reply_fields(struct reply *reply, const struct policy *policy)
{
    for (unsigned i = 0; i < POLICY_FIELD_COUNT; i++) {
        enum policy_field field = (enum policy_field)i;

        if (!policy_sets(policy, field)) continue;
        reply_bulk_text(reply, policy_field_name(field));
        reply_value(reply, field, policy->values[field]);
    }
}

/* How far the sweep has come: the slots it has gone through since a policy changed, in the order it does. */
static uint64_t slots_swept(const struct call *call, const struct policy *policy)
{
    uint64_t walked = policies_walked(call->node->policies);

    if (walked <= policy->changed_at) return 0;
    return walked - policy->changed_at < SLOT_COUNT ? walked - policy->changed_at : SLOT_COUNT;
}

/* At most so many keys of the policy have no deadline: those of no prefix in the slots where there may be some. */
static uint64_t keys_without_ttl(const struct call *call, const struct policy *policy)
{
    struct policy_match matches[POLICY_FIELD_COUNT];
    uint64_t swept = slots_swept(call, policy), sum = 0;

    policies_match(call->node->policies, policy->prefix, matches);
    if (matches[POLICY_FIELD_TTL].value == 0 && matches[POLICY_FIELD_MAX_TTL].value == 0) swept = 0;
    for (uint64_t at = policy->changed_at + swept; at < policy->changed_at + SLOT_COUNT; at++) {
        struct slot_counts counts = slot_counts(keyspace_slot(call->node->keyspace, (uint16_t)(at % SLOT_COUNT)));

        if (counts.keys > counts.expiring) sum += counts.keys - counts.expiring;
    }
    return sum;
}

struct search {
    struct bytes prefix;
    struct policy found;
    bool is_found;
};

static void look(void *context, const struct policy *policy)
{
    struct search *search = context;

    if (!bytes_equal(policy->prefix, search->prefix)) return;
    search->found = *policy;
    search->found.prefix = search->prefix; /* the policy's own is lent */
    search->is_found = true;
}

static void policy_get(struct call *call)
{
    struct search search = { .prefix = call_arg(call, 2) };

    policies_each(call->node->policies, look, &search);
    if (!search.is_found) {
        reply_null(call->reply);
        return;
    }
    reply_map(call->reply, (size_t)__builtin_popcount(search.found.set) + 2);
    reply_fields(call->reply, &search.found);
    reply_bulk_text(call->reply, "swept-percent");
    reply_integer(call->reply, (int64_t)(slots_swept(call, &search.found) * 100 / SLOT_COUNT));
    reply_bulk_text(call->reply, "keys-without-ttl");
    reply_integer(call->reply, (int64_t)keys_without_ttl(call, &search.found));
}

struct list_answer {
    size_t count;
    struct buf body;
    struct reply reply;
};

static void list_one(void *context, const struct policy *policy)
{
    struct list_answer *answer = context;

    reply_bulk(&answer->reply, policy->prefix);
    reply_map(&answer->reply, (size_t)__builtin_popcount(policy->set));
    reply_fields(&answer->reply, policy);
    answer->count++;
}

static void policy_list(struct call *call)
{
    struct list_answer answer = { .reply = { .resp = call->reply->resp } };

    answer.reply.out = &answer.body;
    policies_each(call->node->policies, list_one, &answer);
    reply_map(call->reply, answer.count);
    buf_append_bytes(call->reply->out, buf_bytes(&answer.body));
    buf_free(&answer.body);
}

static void policy_match(struct call *call)
{
    struct policy_match matches[POLICY_FIELD_COUNT];

    policies_match(call->node->policies, call_arg(call, 2), matches);
    reply_map(call->reply, POLICY_FIELD_COUNT);
    for (unsigned i = 0; i < POLICY_FIELD_COUNT; i++) {
        const struct policy_match *match = &matches[i];

        reply_bulk_text(call->reply, policy_field_name((enum policy_field)i));
        reply_array(call->reply, 2);
        reply_value(call->reply, (enum policy_field)i, match->value);
        if (match->is_set)
            reply_bulk(call->reply, (struct bytes){ match->prefix, match->prefix_bytes });
        else
            reply_null(call->reply);
    }
}

static void policy_help(struct call *call)
{
    static const char *const lines[] = {
        "DEL <prefix>",
        "    Remove the policy of a prefix. Keys keep the deadlines they have.",
        "GET <prefix>",
        "    The fields that are set for a prefix, and how many keys are under them.",
        "LIST",
        "    All policies.",
        "MATCH <key>",
        "    The fields that hold for a key, with the prefix each comes from.",
        "SET <prefix> <field> <value> [<field> <value> ...]",
        "    Set fields for all keys that begin with a prefix, \"\" for all keys:",
        "    ttl and max-ttl in seconds, jitter and refresh in percent, guard yes or no,",
        "    coalesce and hold in milliseconds, salt as the highest factor.",
        NULL,
    };

    call_reply_help(call, lines);
}

/* --- Descriptors --- */

/* They wait for the disk, and take locks of their own. */
#define POLICY_FLAGS (COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_UNLOCKED)
#define OF_POLICY .parent = "policy", .since = "7.2.4", .group = "server", .flags = POLICY_FLAGS, .acl = ACL_CACHE

static const struct command_arg prefix_args[] = { { .name = "prefix", .type = ARG_STRING }, { .name = NULL } };
static const struct command_arg key_args[] = { { .name = "key", .type = ARG_STRING }, { .name = NULL } };
static const struct command_arg field_block[] = { { .name = "field", .type = ARG_STRING },
                                                  { .name = "value", .type = ARG_STRING },
                                                  { .name = NULL } };
static const struct command_arg set_args[] = {
    { .name = "prefix", .type = ARG_STRING },
    { .name = "field_value", .type = ARG_BLOCK, .flags = ARG_MULTIPLE, .args = field_block },
    { .name = NULL },
};
static const char *const get_tips[] = { "nondeterministic_output", NULL };

static const struct command sub_del = {
    OF_POLICY,
    .name = "del",
    .summary = "Remove the policy of a prefix",
    .complexity = "O(N) over the policies",
    .arity = 3,
    .args = prefix_args,
    .run = policy_del,
};
static const struct command sub_get = {
    OF_POLICY,
    .name = "get",
    .summary = "Show the policy of a prefix, and how far it is enforced",
    .complexity = "O(N) over the policies",
    .arity = 3,
    .args = prefix_args,
    .tips = get_tips,
    .run = policy_get,
};
static const struct command sub_list = {
    OF_POLICY,  .name = "list",     .summary = "Show all policies", .complexity = "O(N) over the policies",
    .arity = 2, .run = policy_list,
};
static const struct command sub_match = {
    OF_POLICY,
    .name = "match",
    .summary = "Show what holds for a key, and by which policies",
    .complexity = "O(log(N)) over the policies",
    .arity = 3,
    .args = key_args,
    .run = policy_match,
};
static const struct command sub_set = {
    OF_POLICY,
    .name = "set",
    .summary = "Set what holds for all keys that begin with a prefix",
    .complexity = "O(N) over the policies; the keys that are there follow in the background",
    .arity = -5,
    .args = set_args,
    .run = policy_set,
};
static const struct command sub_help = {
    .parent = "policy",
    .name = "help",
    .summary = "List what POLICY can do",
    .since = "7.2.4",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CACHE,
    .run = policy_help,
};
static const struct command *const subcommands[] = { &sub_del,   &sub_get, &sub_help, &sub_list,
                                                     &sub_match, &sub_set, NULL };

static const struct command command_policy = {
    .name = "policy",
    .summary = "How long keys may live, and how they are protected, by prefix",
    .since = "7.2.4",
    .group = "server",
    .complexity = "Depends on the subcommand",
    .arity = -2,
    .subcommands = subcommands,
};

const struct command *const commands_policy[] = { &command_policy, NULL };
