/* commands/hotkeys.c: HOTKEYS. LIST tells what cache/hotkeys.c has found by itself; START, STOP, GET and RESET are for those who ask for a session
 * (cache/hot_session.h), in the form that clients know from Redis 8.6. */
#include "cache/hot_session.h"
#include "cache/hotkeys.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "cluster/owner.h"
#include "commands/server.h"
#include "server/call.h"
#include "server/cost.h"
#include "server/node.h"
#include "server/salt_keeper.h"
#include "server/stats.h"

static void reply_field(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, value);
}

static int64_t shown(uint64_t number)
{
    return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

static unsigned factor_of(const struct call *call, const struct hot_report *hot)
{
    return call->node->salt_keeper == NULL ? 1 : salt_keeper_factor(call->node->salt_keeper, hot->name);
}

static void reply_report(const struct call *call, const struct hot_report *hot)
{
    struct reply *reply = call->reply;

    reply_map(reply, 10);
    reply_bulk_text(reply, "key");
    reply_bulk(reply, hot->name);
    reply_field(reply, "db", 0);
    reply_field(reply, "slot", hot->slot);
    reply_field(reply, "qps", shown(hot->ops));
    reply_field(reply, "write-qps", shown(hot->writes));
    reply_field(reply, "net-bytes-sec", shown(hot->bytes));
    reply_field(reply, "cpu-us-sec", shown(hot->cpu_us));
    reply_bulk_text(reply, "share-percent");
    reply_double_rounded(reply, hot->share * 100, 4);
    reply_field(reply, "hot-since-ms", clock_deadline_to_wall_ms(hot->since_ms));
    reply_field(reply, "salt", factor_of(call, hot));
}

static void hotkeys_list_command(struct call *call)
{
    struct hot_report hot[HOTKEYS_MAX];
    int64_t most = HOTKEYS_MAX;
    size_t count;

    if (call->argc != 2 && (call->argc != 4 || !call_arg_is(call, 2, "count"))) {
        reply_error(call->reply, ERROR_SYNTAX);
        return;
    }
    if (call->argc == 4 && (!bytes_to_i64(call_arg(call, 3), &most) || most < 1)) {
        reply_error(call->reply, "ERR COUNT must be a positive number");
        return;
    }
    count = hotkeys_list(call->node->hotkeys, clock_now_ms(), stats_totals(call->node).commands, hot);
    reply_array(call->reply, (int64_t)count < most ? count : (size_t)most);
    for (size_t i = 0; i < count; i++) {
        if ((int64_t)i < most) reply_report(call, &hot[i]);
        alloc_free((void *)(uintptr_t)hot[i].name.data);
    }
}

static const struct command_arg hotkeys_list_args[] = {
    { .name = "count", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "COUNT" },
    { .name = NULL },
};
static const char *const hotkeys_list_tips[] = { "nondeterministic_output", "request_policy:all_shards", NULL };
static const struct command command_hotkeys_list = {
    .name = "list",
    .parent = "hotkeys",
    .summary = "List the keys that are hot now, hottest first",
    .since = "7.2.4",
    .group = "server",
    .complexity = "O(1): 64 keys at most",
    .arity = -2,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_UNLOCKED,
    .args = hotkeys_list_args,
    .tips = hotkeys_list_tips,
    .run = hotkeys_list_command,
};

/* --- Sessions --- */

#define COUNT_DEFAULT 10
#define DURATION_S_MAX 1000000

/* Reads a number behind the option at *arg, and passes both. False: has replied. */
static bool take_number(struct call *call, int *arg, int64_t min, int64_t max, int64_t *out, const char *error)
{
    if (*arg + 1 < call->argc && bytes_to_i64(call_arg(call, *arg + 1), out) && *out >= min && *out <= max) {
        *arg += 2;
        return true;
    }
    reply_errorf(call->reply, "ERR %s", error);
    return false;
}

static bool take_metrics(struct call *call, int *arg, struct hot_session_options *options)
{
    int64_t count, given = 0;

    if (!take_number(call, arg, 1, INT64_MAX, &count, "METRICS count must be a positive number")) return false;
    for (; *arg < call->argc; ++*arg, given++) {
        bool is_cpu = call_arg_is(call, *arg, "cpu"), is_net = call_arg_is(call, *arg, "net");

        if (!is_cpu && !is_net) break;
        if (is_cpu ? options->cpu : options->net) {
            reply_error(call->reply, "ERR METRICS names a metric twice");
            return false;
        }
        options->cpu |= is_cpu;
        options->net |= is_net;
    }
    if (given == count) return true;
    reply_error(call->reply, "ERR METRICS count does not match number of metric types provided");
    return false;
}

static bool takes_slot(struct call *call, int arg, struct hot_session_slots *slots)
{
    struct owner owner;
    int64_t slot;

    if (!bytes_to_i64(call_arg(call, arg), &slot) || slot < 0 || slot >= SLOT_COUNT) {
        reply_error(call->reply, "ERR Invalid or out of range slot");
        return false;
    }
    if (slots->bits[slot / 64] >> slot % 64 & 1) {
        reply_errorf(call->reply, "ERR Slot %d specified multiple times", (int)slot);
        return false;
    }
    owner = owner_unpack(slot_owner(keyspace_slot(call->node->keyspace, (uint16_t)slot)));
    if (owner.state != OWNER_HERE) {
        reply_errorf(call->reply, "ERR Slot %d is not served by this node", (int)slot);
        return false;
    }
    slots->bits[slot / 64] |= (uint64_t)1 << slot % 64;
    return true;
}

static bool take_slots(struct call *call, int *arg, struct hot_session_options *options)
{
    int64_t count;

    if (call->node->bus == NULL) {
        reply_error(call->reply, "ERR SLOTS parameter cannot be used in non-cluster mode");
        return false;
    }
    if (!take_number(call, arg, 1, SLOT_COUNT, &count, "SLOTS count must be a number of slots")) return false;
    if (options->selects || count > call->argc - *arg) {
        reply_error(call->reply, "ERR SLOTS count does not match the slots provided");
        return false;
    }
    options->selects = true;
    for (; count > 0; count--)
        if (!takes_slot(call, (*arg)++, &options->slots)) return false;
    return true;
}

/* False: has replied. */
static bool take_option(struct call *call, int *arg, struct hot_session_options *options)
{
    int64_t number;

    if (call_arg_is(call, *arg, "metrics") && !options->cpu && !options->net) return take_metrics(call, arg, options);
    if (call_arg_is(call, *arg, "slots")) return take_slots(call, arg, options);
    if (call_arg_is(call, *arg, "count")) {
        if (!take_number(call, arg, 1, HOT_SESSION_KEYS_MAX, &number, "COUNT must be between 1 and 64")) return false;
        options->count = (uint32_t)number;
        return true;
    }
    if (call_arg_is(call, *arg, "duration")) {
        if (!take_number(call, arg, 0, DURATION_S_MAX, &number, "DURATION must be between 0 and 1000000")) return false;
        options->duration_ms = number * 1000;
        return true;
    }
    if (call_arg_is(call, *arg, "sample")) {
        if (!take_number(call, arg, 1, INT32_MAX, &number, "SAMPLE ratio must be positive")) return false;
        options->sample = (uint64_t)number;
        return true;
    }
    reply_error(call->reply, ERROR_SYNTAX);
    return false;
}

static void hotkeys_start(struct call *call)
{
    struct hot_session_options options = { .count = COUNT_DEFAULT, .sample = 1 };

    for (int arg = 2; arg < call->argc;)
        if (!take_option(call, &arg, &options)) return;
    if (!options.cpu && !options.net)
        reply_error(call->reply, "ERR METRICS parameter is required");
    else if (!hot_session_start(call->node->hot_session, &options, clock_now_ms(), cost_cpu()))
        reply_error(call->reply, "ERR hotkey tracking session already in progress");
    else
        reply_ok(call->reply);
}

static void hotkeys_stop(struct call *call)
{
    if (hot_session_stop(call->node->hot_session, clock_now_ms(), cost_cpu()))
        reply_ok(call->reply);
    else
        reply_error(call->reply, "ERR no hotkey tracking session in progress");
}

static void hotkeys_reset(struct call *call)
{
    if (hot_session_reset(call->node->hot_session))
        reply_ok(call->reply);
    else
        reply_error(call->reply, "ERR hotkey tracking session in progress, stop tracking first");
}

static bool has_slot(const struct hot_session_options *options, uint32_t slot)
{
    return !options->selects || (options->slots.bits[slot / 64] >> slot % 64 & 1) != 0;
}

/* The slots as ranges; out NULL only counts them. */
static size_t slot_ranges(const struct hot_session_options *options, struct reply *out)
{
    size_t count = 0;

    for (uint32_t slot = 0, end; slot < SLOT_COUNT; slot = end + 1) {
        for (end = slot; end < SLOT_COUNT && has_slot(options, end);) end++;
        if (end == slot) continue;
        count++;
        if (out == NULL) continue;
        reply_array(out, 2);
        reply_integer(out, slot);
        reply_integer(out, end - 1);
    }
    return count;
}

/* Of keys that took no microsecond there is nothing to tell. */
static void reply_found(struct reply *reply, const char *name, const struct hot_session_found *found, size_t count,
                        uint64_t unit)
{
    while (count > 0 && found[count - 1].amount < unit) count--;
    reply_bulk_text(reply, name);
    reply_array(reply, 2 * count);
    for (size_t i = 0; i < count; i++) {
        reply_bulk(reply, (struct bytes){ found[i].name, found[i].name_len });
        reply_integer(reply, shown(found[i].amount / unit));
    }
}

static void reply_sums(struct reply *reply, const char *us, const char *bytes, const struct hot_session_sums *sums)
{
    reply_field(reply, us, shown(sums->ns / 1000));
    reply_field(reply, bytes, shown(sums->bytes));
}

static void reply_session(struct reply *reply, const struct hot_session_report *report)
{
    const struct hot_session_options *options = &report->options;
    bool samples = options->selects && options->sample > 1;

    reply_array(reply, 1);
    reply_map(reply,
              7u + (options->selects ? 2 : 0) + (samples ? 2 : 0) + (options->cpu ? 3 : 0) + (options->net ? 2 : 0));
    reply_field(reply, "tracking-active", report->is_on);
    reply_field(reply, "sample-ratio", shown(options->sample));
    reply_bulk_text(reply, "selected-slots");
    reply_array(reply, slot_ranges(options, NULL));
    slot_ranges(options, reply);
    if (samples)
        reply_sums(reply, "sampled-commands-selected-slots-us", "net-bytes-sampled-commands-selected-slots",
                   &report->sampled);
    if (options->selects)
        reply_sums(reply, "all-commands-selected-slots-us", "net-bytes-all-commands-selected-slots", &report->selected);
    reply_sums(reply, "all-commands-all-slots-us", "net-bytes-all-commands-all-slots", &report->all);
    reply_field(reply, "collection-start-time-unix-ms", clock_deadline_to_wall_ms(report->began_ms));
    reply_field(reply, "collection-duration-ms", report->lasted_ms);
    if (options->cpu) {
        reply_field(reply, "total-cpu-time-user-ms", report->cpu.user_us / 1000);
        reply_field(reply, "total-cpu-time-sys-ms", report->cpu.system_us / 1000);
    }
    if (options->net) reply_field(reply, "total-net-bytes", shown(report->all.bytes));
    if (options->cpu) reply_found(reply, "by-cpu-time-us", report->by_cpu, report->cpu_count, 1000);
    if (options->net) reply_found(reply, "by-net-bytes", report->by_net, report->net_count, 1);
}

static void hotkeys_get(struct call *call)
{
    struct hot_session_report *report = alloc(sizeof(*report));

    if (hot_session_report(call->node->hot_session, clock_now_ms(), cost_cpu(), report))
        reply_session(call->reply, report);
    else
        reply_null(call->reply);
    alloc_free(report);
}

static const struct command_arg metrics_args[] = {
    { .name = "count", .type = ARG_INTEGER },
    { .name = "cpu", .type = ARG_PURE_TOKEN, .token = "CPU", .flags = ARG_OPTIONAL },
    { .name = "net", .type = ARG_PURE_TOKEN, .token = "NET", .flags = ARG_OPTIONAL },
    { .name = NULL },
};
static const struct command_arg slots_args[] = {
    { .name = "count", .type = ARG_INTEGER },
    { .name = "slot", .type = ARG_INTEGER, .flags = ARG_MULTIPLE },
    { .name = NULL },
};
static const struct command_arg hotkeys_start_args[] = {
    { .name = "metrics", .type = ARG_BLOCK, .token = "METRICS", .args = metrics_args },
    { .name = "k", .type = ARG_INTEGER, .token = "COUNT", .flags = ARG_OPTIONAL },
    { .name = "seconds", .type = ARG_INTEGER, .token = "DURATION", .flags = ARG_OPTIONAL },
    { .name = "ratio", .type = ARG_INTEGER, .token = "SAMPLE", .flags = ARG_OPTIONAL },
    { .name = "slots", .type = ARG_BLOCK, .token = "SLOTS", .flags = ARG_OPTIONAL, .args = slots_args },
    { .name = NULL },
};
/* Each is for one node: what several answer is not to be put together by a client. */
static const char *const session_tips[] = { "request_policy:special", "response_policy:special", NULL };
static const char *const session_get_tips[] = { "nondeterministic_output", "request_policy:special",
                                                "response_policy:special", NULL };

/* They ask the system for the CPU time used. */
#define SESSION                                                                                                        \
    .parent = "hotkeys", .since = "8.6.0", .group = "server",                                                          \
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_UNLOCKED

static const struct command command_hotkeys_start = {
    SESSION,
    .name = "start",
    .summary = "Begin to measure what keys cost",
    .complexity = "O(1)",
    .arity = -2,
    .args = hotkeys_start_args,
    .tips = session_tips,
    .run = hotkeys_start,
};
static const struct command command_hotkeys_stop = {
    SESSION,
    .name = "stop",
    .summary = "End measuring and keep what was found",
    .complexity = "O(1)",
    .arity = 2,
    .tips = session_tips,
    .run = hotkeys_stop,
};
static const struct command command_hotkeys_reset = {
    SESSION,
    .name = "reset",
    .summary = "Forget what was found",
    .complexity = "O(1)",
    .arity = 2,
    .tips = session_tips,
    .run = hotkeys_reset,
};
static const struct command command_hotkeys_get = {
    SESSION,
    .name = "get",
    .summary = "Tell which keys have cost most since measuring began",
    .complexity = "O(K), K being the keys told",
    .arity = 2,
    .tips = session_get_tips,
    .run = hotkeys_get,
};

/* --- HELP, and all of them --- */

static void hotkeys_help(struct call *call)
{
    static const char *const lines[] = {
        "GET",
        "    What the session has found: the keys that cost most, and what all commands cost.",
        "LIST [COUNT <n>]",
        "    The keys that are hot now on this node, hottest first, at most <n> of them.",
        "RESET",
        "    Forget what the last session has found.",
        "START METRICS <count> [CPU] [NET] [COUNT <k>] [DURATION <seconds>] [SAMPLE <ratio>]",
        "      [SLOTS <count> <slot> ...]",
        "    Begin a session: measure what keys cost of CPU time, network bytes or both.",
        "STOP",
        "    End the session.",
        NULL,
    };

    call_reply_help(call, lines);
}

static const struct command command_hotkeys_help = {
    .name = "help",
    .parent = "hotkeys",
    .summary = "List what HOTKEYS can do",
    .since = "8.6.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .run = hotkeys_help,
};

static const struct command *const hotkeys_subcommands[] = {
    &command_hotkeys_get,
    &command_hotkeys_help,
    &command_hotkeys_list,
    &command_hotkeys_reset,
    &command_hotkeys_start,
    &command_hotkeys_stop,
    NULL,
};
const struct command command_hotkeys = {
    .name = "hotkeys",
    .summary = "Commands about keys that take more than their share",
    .since = "8.6.0",
    .group = "server",
    .complexity = "Depends on the subcommand",
    .arity = -2,
    .subcommands = hotkeys_subcommands,
};
