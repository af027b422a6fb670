/* commands/config.c: CONFIG GET, SET, REWRITE, RESETSTAT. The directives themselves are in server/config_table.c. */
#include "base/alloc.h"
#include "commands/commands.h"
#include "server/call.h"
#include "server/client.h"
#include "server/node.h"
#include "server/worker.h"
#include "store/lazyfree.h"

#include <string.h>

/* Pairs are counted before they are written, because a map says first how many it holds. */
struct answer {
    size_t count;
    struct buf body;
    struct reply reply;
};

static void add_pair(void *context, struct bytes name, struct bytes value)
{
    struct answer *answer = context;

    reply_bulk(&answer->reply, name);
    reply_bulk(&answer->reply, value);
    answer->count++;
}

static void config_get(struct call *call)
{
    struct answer answer = { .reply = { .resp = call->reply->resp } };

    answer.reply.out = &answer.body;
    config_each(call->node->config, call->argv + 2, (size_t)call->argc - 2, add_pair, &answer);
    reply_map(call->reply, answer.count);
    buf_append_bytes(call->reply->out, buf_bytes(&answer.body));
    buf_free(&answer.body);
}

static bool is_local(const struct client *client)
{
    return (client_flags(client) & CLIENT_UNIX_SOCKET) || strncmp(client->peer, "127.", 4) == 0 ||
           strncmp(client->peer, "[::1]", 5) == 0;
}

static void config_set_pairs(struct call *call)
{
    int64_t protected_configs = config_int(call->node->config, enable_protected_configs);
    bool protected_ok =
        protected_configs == CONFIG_YES || (protected_configs == CONFIG_LOCAL && is_local(call->client));
    size_t count = (size_t)(call->argc - 2) / 2;
    struct config_pair *pairs;
    char error[512] = "";

    if (call->argc % 2 != 0) {
        reply_error(call->reply, ERROR_SYNTAX);
        return;
    }
    pairs = alloc(count * sizeof(*pairs));
    for (size_t i = 0; i < count; i++) pairs[i] = (struct config_pair){ call->argv[2 + 2 * i], call->argv[3 + 2 * i] };
    if (config_set(call->node->config, pairs, count, protected_ok, error))
        reply_ok(call->reply);
    else
        reply_error(call->reply, error);
    alloc_free(pairs);
}

static void config_rewrite_file(struct call *call)
{
    char error[256] = "";

    if (!call->node->config_file)
        reply_error(call->reply, "ERR The server is running without a config file");
    else if (config_rewrite(call->node->config, call->node->config_file, error))
        reply_ok(call->reply);
    else
        reply_errorf(call->reply, "ERR %s", error);
}

static void config_resetstat(struct call *call)
{
    struct node *node = call->node;

    for (int i = 0; i < node->worker_count; i++) worker_reset_stats(node->workers[i]);
    atomic_store(&node->connections_received, 0);
    atomic_store(&node->connections_rejected, 0);
    atomic_store(&node->snapshots_begun, 0);
    lazyfree_reset_counts(node->lazyfree);
    defrag_reset_counts(&node->defrag);
    histogram_reset(&keyspace_deadlines(node->keyspace)->lag_ms);
    reply_ok(call->reply);
}

static void config_help(struct call *call)
{
    static const char *const lines[] = {
        "GET <pattern> [<pattern> ...]",
        "    Show the directives that a glob pattern matches, with their values.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Give directives new values: all of them or, where one is refused, none.",
        "RESETSTAT",
        "    Count from zero again.",
        "REWRITE",
        "    Write the present values into the config file.",
        NULL,
    };

    call_reply_help(call, lines);
}

/* GET as well: in a transaction it shows what a SET before it has set. */
#define ADMIN_FLAGS (COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_UNLOCKED)

static const struct command_arg get_block[] = { { .name = "parameter", .type = ARG_STRING }, { .name = NULL } };
static const struct command_arg get_args[] = {
    { .name = "parameter", .type = ARG_BLOCK, .flags = ARG_MULTIPLE, .args = get_block }, { .name = NULL }
};
static const struct command_arg set_block[] = { { .name = "parameter", .type = ARG_STRING },
                                                { .name = "value", .type = ARG_STRING },
                                                { .name = NULL } };
static const struct command_arg set_args[] = {
    { .name = "parameter_value", .type = ARG_BLOCK, .flags = ARG_MULTIPLE, .args = set_block }, { .name = NULL }
};
static const char *const set_tips[] = { "request_policy:all_nodes", "response_policy:all_succeeded", NULL };

static const struct command sub_get = {
    .name = "get",
    .parent = "config",
    .summary = "Show directives and their values",
    .since = "2.0.0",
    .group = "server",
    .complexity = "O(N) when N is the number of configuration parameters provided",
    .history = COMMAND_HISTORY({ "7.0.0", "Takes several patterns." }),
    .arity = -3,
    .flags = ADMIN_FLAGS,
    .args = get_args,
    .run = config_get,
};
static const struct command sub_set = {
    .name = "set",
    .parent = "config",
    .summary = "Give directives new values",
    .since = "2.0.0",
    .group = "server",
    .complexity = "O(N) when N is the number of configuration parameters provided",
    .history = COMMAND_HISTORY({ "7.0.0", "Takes several directives." }),
    .arity = -4,
    .flags = ADMIN_FLAGS | COMMAND_SKIP_SLOWLOG | COMMAND_SKIP_MONITOR,
    .args = set_args,
    .tips = set_tips,
    .run = config_set_pairs,
};
static const struct command sub_rewrite = {
    .name = "rewrite",
    .parent = "config",
    .summary = "Write the present values into the config file",
    .since = "2.8.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = ADMIN_FLAGS,
    .run = config_rewrite_file,
};
static const struct command sub_resetstat = {
    .name = "resetstat",
    .parent = "config",
    .summary = "Count from zero again",
    .since = "2.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = ADMIN_FLAGS,
    .run = config_resetstat,
};
static const struct command sub_help = {
    .name = "help",
    .parent = "config",
    .summary = "Explain the subcommands",
    .since = "5.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .run = config_help,
};
static const struct command *const subcommands[] = {
    &sub_get, &sub_resetstat, &sub_rewrite, &sub_set, &sub_help, NULL
};

static const struct command command_config = {
    .name = "config",
    .summary = "Read and change the node's configuration",
    .since = "2.0.0",
    .group = "server",
    .complexity = "Depends on subcommand.",
    .arity = -2,
    .subcommands = subcommands,
};

const struct command *const commands_config[] = { &command_config, NULL };
