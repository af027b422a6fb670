/* commands/latency.c: LATENCY. HISTOGRAM comes from what the workers count for each command, the others from the samples of slow moments
 * (server/latency.h). */
#include "base/clock.h"
#include "commands/server.h"
#include "commands/stats.h"
#include "server/call.h"
#include "server/latency.h"
#include "server/node.h"
#include "server/worker.h"

#include <limits.h>

struct event_samples {
    struct latency_sample items[LATENCY_SAMPLES];
    int count;
    int64_t lowest_ms, highest_ms, total_ms, worst_ms; /* worst: also of samples that are gone */
};

static void read_samples(struct call *call, enum latency_event event, struct event_samples *samples)
{
    samples->count = latency_samples(call->node->latency, event, samples->items, &samples->worst_ms);
    samples->lowest_ms = INT64_MAX;
    samples->highest_ms = samples->total_ms = 0;
    for (int i = 0; i < samples->count; i++) {
        int64_t ms = samples->items[i].ms;

        if (ms < samples->lowest_ms) samples->lowest_ms = ms;
        if (ms > samples->highest_ms) samples->highest_ms = ms;
        samples->total_ms += ms;
    }
}

static void latency_doctor(struct call *call)
{
    struct buf text = { 0 };
    int events = 0;

    for (enum latency_event event = 0; event < LATENCY_EVENTS; event++) {
        struct event_samples samples;

        read_samples(call, event, &samples);
        if (samples.count == 0) continue;
        events++;
        buf_printf(&text, "%d. %s: %d slow moments, %lld ms in the mean, %lld ms at worst.\n", events,
                   latency_event_name(event), samples.count, (long long)(samples.total_ms / samples.count),
                   (long long)samples.worst_ms);
    }
    if (config_int(call->node->config, latency_monitor_threshold) == 0)
        buf_append_text(&text, "Slow moments are not sampled: CONFIG SET latency-monitor-threshold <milliseconds> "
                               "begins to.\n");
    else if (events == 0)
        buf_append_text(&text, "No moment was as slow as latency-monitor-threshold.\n");
    if (events > 0)
        buf_append_text(&text, "SLOWLOG GET shows which calls were slow, LATENCY HISTOGRAM how long each command "
                               "takes.\n");
    reply_verbatim(call->reply, buf_bytes(&text));
    buf_free(&text);
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

#define GRAPH_COLUMNS 80
#define GRAPH_ROWS 6

/* A column for each of the last samples, oldest first; the highest fills all rows, the lowest is a dot. */
static void draw(struct buf *text, const struct event_samples *samples, int64_t now_s)
{
    int columns = samples->count < GRAPH_COLUMNS ? samples->count : GRAPH_COLUMNS;
    const struct latency_sample *first = &samples->items[samples->count - columns];
    int64_t span = samples->highest_ms - samples->lowest_ms;

    for (int row = GRAPH_ROWS - 1; row >= 0; row--) {
        for (int column = 0; column < columns; column++) {
            int64_t height =
                span == 0
                    ? 0
                    : (int64_t)((double)(first[column].ms - samples->lowest_ms) / (double)span * (GRAPH_ROWS - 1));

            buf_append_byte(text, height > row ? '#' : height == row ? (row == 0 ? '.' : '#') : ' ');
        }
        buf_append_byte(text, '\n');
    }
    buf_printf(text, "from %llds to %llds ago\n", (long long)(now_s - first[0].unix_seconds),
               (long long)(now_s - first[columns - 1].unix_seconds));
}

static void latency_graph(struct call *call)
{
    struct bytes name = call_arg(call, 2);
    enum latency_event event = latency_event_by_name(name);
    struct event_samples samples = { .count = 0 };
    struct buf text = { 0 };

    if (event != LATENCY_EVENTS) read_samples(call, event, &samples);
    if (samples.count == 0) {
        reply_errorf(call->reply, "ERR No samples available for event '%.*s'", (int)(name.len & INT_MAX), name.data);
        return;
    }
    buf_printf(&text, "%s - high %lld ms, low %lld ms (all time high %lld ms)\n", latency_event_name(event),
               (long long)samples.highest_ms, (long long)samples.lowest_ms, (long long)samples.worst_ms);
    for (int i = 0; i < GRAPH_COLUMNS; i++) buf_append_byte(&text, '-');
    buf_append_byte(&text, '\n');
    draw(&text, &samples, clock_wall_us() / 1000000);
    reply_verbatim(call->reply, buf_bytes(&text));
    buf_free(&text);
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
    enum latency_event event = latency_event_by_name(call_arg(call, 2));
    struct event_samples samples = { .count = 0 };

    if (event != LATENCY_EVENTS) read_samples(call, event, &samples);
    reply_array(call->reply, (size_t)samples.count);
    for (int i = 0; i < samples.count; i++) {
        reply_array(call->reply, 2);
        reply_integer(call->reply, samples.items[i].unix_seconds);
        reply_integer(call->reply, samples.items[i].ms);
    }
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
    struct buf out = { 0 };
    struct reply events = { .out = &out, .resp = call->reply->resp };
    size_t count = 0;

    for (enum latency_event event = 0; event < LATENCY_EVENTS; event++) {
        struct event_samples samples;

        read_samples(call, event, &samples);
        if (samples.count == 0) continue;
        reply_array(&events, 4);
        reply_bulk_text(&events, latency_event_name(event));
        reply_integer(&events, samples.items[samples.count - 1].unix_seconds);
        reply_integer(&events, samples.items[samples.count - 1].ms);
        reply_integer(&events, samples.worst_ms);
        count++;
    }
    reply_array(call->reply, count);
    buf_append_bytes(call->reply->out, buf_bytes(&out));
    buf_free(&out);
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

static bool is_named(const struct call *call, enum latency_event event)
{
    for (int arg = 2; arg < call->argc; arg++)
        if (latency_event_by_name(call_arg(call, arg)) == event) return true;
    return call->argc == 2;
}

static void latency_reset_events(struct call *call)
{
    int64_t forgotten = 0;

    for (enum latency_event event = 0; event < LATENCY_EVENTS; event++)
        if (is_named(call, event) && latency_reset(call->node->latency, event)) forgotten++;
    reply_integer(call->reply, forgotten);
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
    .run = latency_reset_events,
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
