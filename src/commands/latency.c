/* commands/latency.c: LATENCY. HISTOGRAM comes from what the workers count for each command; events are not sampled, so the subcommands
 * about them have nothing to show. */
#include "commands/server.h"
#include "commands/stats.h"
#include "server/call.h"
#include "server/node.h"
#include "server/worker.h"

#include <limits.h>

static void latency_doctor(struct call *call)
{
    reply_verbatim(call->reply, BYTES("Events are not sampled on this node. LATENCY HISTOGRAM shows how long each "
                                      "command took, SLOWLOG GET the "
                                      "slowest calls.\n"));
}

static const char *const latency_doctor_tips[] = { "nondeterministic_output", "request_policy:all_nodes",
                                                   "response_policy:special", NULL };
static const struct command command_latency_doctor = {
    .name = "doctor",
    .parent = "latency",
    .summary = "Say in words where latency comes from",
    .since = "2.8.13",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .tips = latency_doctor_tips,
    .run = latency_doctor,
};

static void latency_graph(struct call *call)
{
    struct bytes event = call_arg(call, 2);

    reply_errorf(call->reply, "ERR No samples available for event '%.*s'", (int)(event.len & INT_MAX), event.data);
}

static const struct command_arg latency_graph_args[] = {
    { .name = "event", .type = ARG_STRING },
    { .name = NULL },
};
static const char *const latency_graph_tips[] = { "nondeterministic_output", "request_policy:all_nodes",
                                                  "response_policy:special", NULL };
static const struct command command_latency_graph = {
    .name = "graph",
    .parent = "latency",
    .summary = "Draw the latency of an event",
    .since = "2.8.13",
    .group = "server",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .args = latency_graph_args,
    .tips = latency_graph_tips,
    .run = latency_graph,
};

static void latency_help(struct call *call)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    What there is to say about latency.",
        "GRAPH <event>",
        "    A drawing of the samples of an event.",
        "HISTOGRAM [<command> ...]",
        "    How many calls of each command took up to 1, 2, 4, ... microseconds.",
        "HISTORY <event>",
        "    The samples of an event.",
        "LATEST",
        "    The last sample of each event.",
        "RESET [<event> ...]",
        "    Forget the samples of some events, or of all.",
        NULL,
    };

    call_reply_help(call, lines);
}

static const struct command command_latency_help = {
    .name = "help",
    .parent = "latency",
    .summary = "List what LATENCY can do",
    .since = "2.8.13",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .run = latency_help,
};

/* A command's histogram: how many calls took up to each bucket's bound, from the first bucket used to the last. */
static void append_histogram(struct reply *reply, const struct command *command, const struct command_stats *stats)
{
    struct buf name = { 0 };
    uint64_t total = 0, below = 0;
    size_t used = 0;

    for (int b = 0; b < LATENCY_BUCKETS; b++) {
        total += stats->latency[b];
        if (stats->latency[b] > 0) used++;
    }
    command_full_name(command, &name);
    reply_bulk(reply, buf_bytes(&name));
    buf_free(&name);
    reply_map(reply, 2);
    reply_bulk_text(reply, "calls");
    reply_integer(reply, (int64_t)total);
    reply_bulk_text(reply, "histogram_usec");
    reply_map(reply, used);
    for (int b = 0; b < LATENCY_BUCKETS; b++) {
        if (stats->latency[b] == 0) continue;
        below += stats->latency[b];
        reply_integer(reply, (int64_t)1 << b);
        reply_integer(reply, (int64_t)below);
    }
}

struct histograms {
    struct call *call;
    struct reply reply; /* the commands' part, made before their number is known */
    size_t count;
};

static void add_histogram(struct histograms *histograms, const struct command *command)
{
    struct node *node = histograms->call->node;
    struct command_stats stats = command_stats_sum(node, command_number(node->commands, command));

    if (stats.calls == 0) return;
    append_histogram(&histograms->reply, command, &stats);
    histograms->count++;
}

static void add_with_subcommands(struct histograms *histograms, const struct command *command)
{
    add_histogram(histograms, command);
    for (size_t i = 0; command->subcommands != NULL && command->subcommands[i] != NULL; i++)
        add_histogram(histograms, command->subcommands[i]);
}

static void latency_histogram(struct call *call)
{
    struct buf out = { 0 };
    struct histograms histograms = { .call = call, .reply = { .out = &out, .resp = call->reply->resp } };
    const struct command_table *commands = call->node->commands;

    if (call->argc == 2)
        for (size_t i = 0; i < command_count(commands); i++) add_with_subcommands(&histograms, command_at(commands, i));
    for (int arg = 2; arg < call->argc; arg++) {
        const struct command *command = command_by_full_name(commands, call_arg(call, arg));

        if (command != NULL) add_with_subcommands(&histograms, command);
    }
    reply_map(call->reply, histograms.count);
    buf_append_bytes(call->reply->out, buf_bytes(&out));
    buf_free(&out);
}

static const struct command_arg latency_histogram_args[] = {
    { .name = "command", .type = ARG_STRING, .flags = ARG_OPTIONAL | ARG_MULTIPLE },
    { .name = NULL },
};
static const char *const latency_histogram_tips[] = { "nondeterministic_output", "request_policy:all_nodes",
                                                      "response_policy:special", NULL };
static const struct command command_latency_histogram = {
    .name = "histogram",
    .parent = "latency",
    .summary = "Return how long the calls of each command took",
    .since = "7.0.0",
    .group = "server",
    .complexity = "O(N) over the commands asked for",
    .arity = -2,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .args = latency_histogram_args,
    .tips = latency_histogram_tips,
    .run = latency_histogram,
};

static void latency_history(struct call *call)
{
    reply_array(call->reply, 0);
}

static const struct command_arg latency_history_args[] = {
    { .name = "event", .type = ARG_STRING },
    { .name = NULL },
};
static const char *const latency_history_tips[] = { "nondeterministic_output", "request_policy:all_nodes",
                                                    "response_policy:special", NULL };
static const struct command command_latency_history = {
    .name = "history",
    .parent = "latency",
    .summary = "Return the latency samples of an event",
    .since = "2.8.13",
    .group = "server",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .args = latency_history_args,
    .tips = latency_history_tips,
    .run = latency_history,
};

static void latency_latest(struct call *call)
{
    reply_array(call->reply, 0);
}

static const char *const latency_latest_tips[] = { "nondeterministic_output", "request_policy:all_nodes",
                                                   "response_policy:special", NULL };
static const struct command command_latency_latest = {
    .name = "latest",
    .parent = "latency",
    .summary = "Return the last latency sample of each event",
    .since = "2.8.13",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .tips = latency_latest_tips,
    .run = latency_latest,
};

static void latency_reset(struct call *call)
{
    reply_integer(call->reply, 0);
}

static const struct command_arg latency_reset_args[] = {
    { .name = "event", .type = ARG_STRING, .flags = ARG_OPTIONAL | ARG_MULTIPLE },
    { .name = NULL },
};
static const char *const latency_reset_tips[] = { "request_policy:all_nodes", "response_policy:all_succeeded", NULL };
static const struct command command_latency_reset = {
    .name = "reset",
    .parent = "latency",
    .summary = "Forget the latency samples of events",
    .since = "2.8.13",
    .group = "server",
    .complexity = "O(1)",
    .arity = -2,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .args = latency_reset_args,
    .tips = latency_reset_tips,
    .run = latency_reset,
};

static const struct command *const latency_subcommands[] = {
    &command_latency_doctor,  &command_latency_graph,  &command_latency_help,  &command_latency_histogram,
    &command_latency_history, &command_latency_latest, &command_latency_reset, NULL,
};
const struct command command_latency = {
    .name = "latency",
    .summary = "Commands about latency",
    .since = "2.8.13",
    .group = "server",
    .complexity = "Depends on the subcommand",
    .arity = -2,
    .subcommands = latency_subcommands,
};
