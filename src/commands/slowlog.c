/* commands/slowlog.c: SLOWLOG. The log itself is server/slowlog.c. */
#include "server/slowlog.h"

#include "commands/server.h"
#include "server/call.h"
#include "server/node.h"

#define COUNT_DEFAULT 10

static void slowlog_get(struct call *call)
{
    int64_t count = COUNT_DEFAULT;

    if (call->argc > 3) {
        call_reply_subcommand_error(call);
        return;
    }
    if (call->argc == 3 && (!bytes_to_i64(call_arg(call, 2), &count) || count < -1)) {
        reply_error(call->reply, "ERR count should be greater than or equal to -1");
        return;
    }
    slowlog_reply(call->node->slowlog, call->reply, count);
}

static const struct command_arg slowlog_get_args[] = {
    { .name = "count", .type = ARG_INTEGER, .flags = ARG_OPTIONAL },
    { .name = NULL },
};
static const char *const slowlog_get_tips[] = { "request_policy:all_nodes", "nondeterministic_output", NULL };
static const struct command command_slowlog_get = {
    .name = "get",
    .parent = "slowlog",
    .summary = "Return the newest entries of the slow log",
    .since = "2.2.12",
    .group = "server",
    .complexity = "O(N) over the entries returned",
    .history = COMMAND_HISTORY({ "4.0.0", "Entries have the address and the name of the client." }),
    .arity = -2,
    .flags = COMMAND_ADMIN | COMMAND_LOADING | COMMAND_STALE,
    .args = slowlog_get_args,
    .tips = slowlog_get_tips,
    .run = slowlog_get,
};

static void slowlog_help(struct call *call)
{
    static const char *const lines[] = {
        "GET [<count>]",
        "    The newest <count> entries (default: 10, -1: all). An entry is: id, unix time,",
        "    microseconds, arguments, client address, client name.",
        "LEN",
        "    How many entries there are.",
        "RESET",
        "    Forget all entries.",
        NULL,
    };

    call_reply_help(call, lines);
}

static const struct command command_slowlog_help = {
    .name = "help",
    .parent = "slowlog",
    .summary = "List what SLOWLOG can do",
    .since = "6.2.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .run = slowlog_help,
};

static void slowlog_length(struct call *call)
{
    reply_integer(call->reply, (int64_t)slowlog_len(call->node->slowlog));
}

static const char *const slowlog_len_tips[] = { "request_policy:all_nodes", "response_policy:agg_sum",
                                                "nondeterministic_output", NULL };
static const struct command command_slowlog_len = {
    .name = "len",
    .parent = "slowlog",
    .summary = "Count the entries of the slow log",
    .since = "2.2.12",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_ADMIN | COMMAND_LOADING | COMMAND_STALE,
    .tips = slowlog_len_tips,
    .run = slowlog_length,
};

static void slowlog_empty(struct call *call)
{
    slowlog_reset(call->node->slowlog);
    reply_ok(call->reply);
}

static const char *const slowlog_reset_tips[] = { "request_policy:all_nodes", "response_policy:all_succeeded", NULL };
static const struct command command_slowlog_reset = {
    .name = "reset",
    .parent = "slowlog",
    .summary = "Empty the slow log",
    .since = "2.2.12",
    .group = "server",
    .complexity = "O(N) over the entries",
    .arity = 2,
    .flags = COMMAND_ADMIN | COMMAND_LOADING | COMMAND_STALE,
    .tips = slowlog_reset_tips,
    .run = slowlog_empty,
};

static const struct command *const slowlog_subcommands[] = {
    &command_slowlog_get, &command_slowlog_help, &command_slowlog_len, &command_slowlog_reset, NULL,
};
const struct command command_slowlog = {
    .name = "slowlog",
    .summary = "Commands about the slow log",
    .since = "2.2.12",
    .group = "server",
    .complexity = "Depends on the subcommand",
    .arity = -2,
    .subcommands = slowlog_subcommands,
};
