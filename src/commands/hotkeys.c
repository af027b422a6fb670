/* commands/hotkeys.c: HOTKEYS. LIST tells what cache/hotkeys.c has found. */
#include "cache/hotkeys.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "commands/server.h"
#include "server/call.h"
#include "server/node.h"
#include "server/stats.h"

#include <math.h>

static void reply_field(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, value);
}

static int64_t shown(uint64_t number)
{
    return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

static void reply_report(struct reply *reply, const struct hot_report *hot)
{
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
    reply_double(reply, round(hot->share * 10000) / 100);
    reply_field(reply, "hot-since-ms", clock_deadline_to_wall_ms(hot->since_ms));
    reply_field(reply, "salt", 1);
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
        if ((int64_t)i < most) reply_report(call->reply, &hot[i]);
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
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .args = hotkeys_list_args,
    .tips = hotkeys_list_tips,
    .run = hotkeys_list_command,
};

static void hotkeys_help(struct call *call)
{
    static const char *const lines[] = {
        "LIST [COUNT <n>]",
        "    The keys that are hot now on this node, hottest first, at most <n> of them.",
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
    &command_hotkeys_help,
    &command_hotkeys_list,
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
