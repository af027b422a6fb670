/* commands/memory.c: MEMORY. */
#include "base/alloc.h"
#include "commands/server.h"
#include "commands/stats.h"
#include "server/call.h"
#include "server/node.h"

static void memory_doctor(struct call *call)
{
    struct alloc_stats stats = alloc_stats();
    struct buf text = { 0 };

    if (stats.allocated_bytes < (5u << 20))
        buf_append_text(&text, "There is too little data to judge: less than 5 MB are in use.\n");
    else if (stats.active_bytes / 10 > stats.allocated_bytes / 7)
        buf_printf(&text,
                   "Fragmentation is high: %zu bytes are in use, in pages of %zu bytes. MEMORY PURGE gives back what "
                   "it can.\n",
                   stats.allocated_bytes, stats.active_bytes);
    else
        buf_append_text(&text, "Nothing stands out.\n");
    reply_verbatim(call->reply, buf_bytes(&text));
    buf_free(&text);
}

static const char *const memory_doctor_tips[] = { "nondeterministic_output", "request_policy:all_shards",
                                                  "response_policy:special", NULL };
static const struct command command_memory_doctor = {
    .name = "doctor",
    .parent = "memory",
    .summary = "Say in words what is wrong with the use of memory",
    .since = "4.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_UNLOCKED,
    .tips = memory_doctor_tips,
    .run = memory_doctor,
};

static void memory_help(struct call *call)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    What is wrong with the use of memory, in words.",
        "MALLOC-STATS",
        "    The allocator's own numbers.",
        "PURGE",
        "    Give unused memory back to the system.",
        "STATS",
        "    What memory is used for.",
        "USAGE <key> [SAMPLES <count>]",
        "    The bytes a key and its value take.",
        NULL,
    };

    call_reply_help(call, lines);
}

static const struct command command_memory_help = {
    .name = "help",
    .parent = "memory",
    .summary = "List what MEMORY can do",
    .since = "4.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .run = memory_help,
};

static void memory_malloc_stats(struct call *call)
{
    struct alloc_stats stats = alloc_stats();
    struct buf text = { 0 };

    buf_printf(&text, "allocator: %s\nallocated: %zu\nactive: %zu\nresident: %zu\nmapped: %zu\n", alloc_name(),
               stats.allocated_bytes, stats.active_bytes, stats.resident_bytes, stats.mapped_bytes);
    reply_verbatim(call->reply, buf_bytes(&text));
    buf_free(&text);
}

static const char *const memory_malloc_stats_tips[] = { "nondeterministic_output", "request_policy:all_shards",
                                                        "response_policy:special", NULL };
static const struct command command_memory_malloc_stats = {
    .name = "malloc-stats",
    .parent = "memory",
    .summary = "Return the allocator's own numbers",
    .since = "4.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_UNLOCKED,
    .tips = memory_malloc_stats_tips,
    .run = memory_malloc_stats,
};

static void memory_purge(struct call *call)
{
    alloc_purge();
    reply_ok(call->reply);
}

static const char *const memory_purge_tips[] = { "request_policy:all_shards", "response_policy:all_succeeded", NULL };
static const struct command command_memory_purge = {
    .name = "purge",
    .parent = "memory",
    .summary = "Give unused memory back to the system",
    .since = "4.0.0",
    .group = "server",
    .complexity = "O(P) over the unused pages",
    .arity = 2,
    .flags = COMMAND_UNLOCKED,
    .tips = memory_purge_tips,
    .run = memory_purge,
};

static void stat_integer(struct reply *reply, const char *name, uint64_t value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, (int64_t)value);
}

static void stat_double(struct reply *reply, const char *name, double value)
{
    reply_bulk_text(reply, name);
    reply_double(reply, value);
}

static double ratio(size_t part, size_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

/* Names and order are those tools know; what this node has no such memory for is 0. */
static void memory_stats(struct call *call)
{
    struct reply *reply = call->reply;
    struct alloc_stats stats = alloc_stats();
    struct slot_counts counts = keyspace_counts(call->node->keyspace);
    uint64_t link_bytes;
    size_t peak, startup, used = stats.allocated_bytes, data = (size_t)counts.bytes;
    size_t overhead = used > data ? used - data : 0, beyond_startup;

    stats_memory(call->node, used, &peak, &startup);
    beyond_startup = used > startup ? used - startup : 0;
    reply_map(reply, 27);
    stat_integer(reply, "peak.allocated", peak);
    stat_integer(reply, "total.allocated", used);
    stat_integer(reply, "startup.allocated", startup);
    stat_integer(reply, "replication.backlog", 0);
    stat_integer(reply, "clients.slaves", 0);
    stat_integer(reply, "clients.normal",
                 (uint64_t)atomic_load_explicit(&call->node->client_bytes, memory_order_relaxed));
    stats_links(call->node->bus, &link_bytes);
    stat_integer(reply, "cluster.links", link_bytes);
    stat_integer(reply, "aof.buffer", 0);
    stat_integer(reply, "lua.caches", 0);
    stat_integer(reply, "functions.caches", 0);
    stat_integer(reply, "overhead.total", overhead);
    stat_integer(reply, "keys.count", counts.keys);
    stat_integer(reply, "keys.bytes-per-key", counts.keys == 0 ? 0 : counts.bytes / counts.keys);
    stat_integer(reply, "dataset.bytes", data);
    stat_double(reply, "dataset.percentage", data < beyond_startup ? 100 * ratio(data, beyond_startup) : 100);
    stat_double(reply, "peak.percentage", 100 * ratio(used, peak));
    stat_integer(reply, "allocator.allocated", stats.allocated_bytes);
    stat_integer(reply, "allocator.active", stats.active_bytes);
    stat_integer(reply, "allocator.resident", stats.resident_bytes);
    stat_double(reply, "allocator-fragmentation.ratio", ratio(stats.active_bytes, stats.allocated_bytes));
    reply_bulk_text(reply, "allocator-fragmentation.bytes");
    reply_integer(reply, (int64_t)stats.active_bytes - (int64_t)stats.allocated_bytes);
    stat_double(reply, "allocator-rss.ratio", ratio(stats.resident_bytes, stats.active_bytes));
    reply_bulk_text(reply, "allocator-rss.bytes");
    reply_integer(reply, (int64_t)stats.resident_bytes - (int64_t)stats.active_bytes);
    stat_double(reply, "rss-overhead.ratio", ratio(stats_resident_bytes(), stats.resident_bytes));
    reply_bulk_text(reply, "rss-overhead.bytes");
    reply_integer(reply, (int64_t)stats_resident_bytes() - (int64_t)stats.resident_bytes);
    stat_double(reply, "fragmentation", ratio(stats_resident_bytes(), used));
    reply_bulk_text(reply, "fragmentation.bytes");
    reply_integer(reply, (int64_t)stats_resident_bytes() - (int64_t)used);
}

static const char *const memory_stats_tips[] = { "nondeterministic_output", "request_policy:all_shards",
                                                 "response_policy:special", NULL };
static const struct command command_memory_stats = {
    .name = "stats",
    .parent = "memory",
    .summary = "Return what memory is used for",
    .since = "4.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_UNLOCKED,
    .tips = memory_stats_tips,
    .run = memory_stats,
};

/* The entry, and its share of the table it is in: so that the keys of a node add up to what they take of it. */
static int64_t usage_bytes(const struct slot *slot, const struct entry *entry)
{
    struct slot_counts counts = slot_counts(slot);

    return (int64_t)(entry_bytes(entry) + (counts.table_bytes + counts.keys / 2) / counts.keys);
}

static void memory_usage(struct call *call)
{
    const struct entry *entry;

    for (int arg = 3; arg < call->argc; arg += 2) {
        int64_t samples;

        if (!call_arg_is(call, arg, "samples") || arg + 1 == call->argc) {
            reply_error(call->reply, ERROR_SYNTAX);
            return;
        }
        if (!call_arg_i64(call, arg + 1, &samples)) return;
        if (samples < 0) {
            reply_error(call->reply, ERROR_SYNTAX);
            return;
        }
    }
    entry = slot_peek(call_slot(call, 2), call_arg(call, 2), call->now_ms);
    if (entry == NULL)
        reply_null(call->reply);
    else
        reply_integer(call->reply, usage_bytes(call_slot(call, 2), entry));
}

static const struct command_arg memory_usage_args[] = {
    { .name = "key", .type = ARG_KEY, .key_spec = 0 },
    { .name = "count", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "SAMPLES" },
    { .name = NULL },
};
static const struct command command_memory_usage = {
    .name = "usage",
    .parent = "memory",
    .summary = "Tell how much memory a key and its value take",
    .since = "4.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = -3,
    .flags = COMMAND_READONLY,
    .keys = { { .first = 2, .last = 0, .step = 1, .flags = KEY_RO } },
    .args = memory_usage_args,
    .run = memory_usage,
};

static const struct command *const memory_subcommands[] = {
    &command_memory_doctor,
    &command_memory_help,
    &command_memory_malloc_stats,
    &command_memory_purge,
    &command_memory_stats,
    &command_memory_usage,
    NULL,
};
const struct command command_memory = {
    .name = "memory",
    .summary = "Commands about memory",
    .since = "4.0.0",
    .group = "server",
    .complexity = "Depends on the subcommand",
    .arity = -2,
    .subcommands = memory_subcommands,
};
