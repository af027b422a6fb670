/* The sections of INFO that come from the workers' counters. */
#include "base/alloc.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "commands/info.h"
#include "commands/stats.h"
#include "server/call.h"
#include "server/events.h"
#include "server/node.h"
#include "server/pubsub.h"
#include "transfer/migrator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOADED(field) atomic_load_explicit(&(field), memory_order_relaxed)

static void line_u64(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, "%s:%" PRIu64 "\r\n", name, value);
}

static void line_kbps(struct buf *out, const char *name, uint64_t bytes_per_second)
{
    buf_printf(out, "%s:%.2f\r\n", name, (double)bytes_per_second / 1024);
}

static void defrag_lines(const struct node *node, struct buf *out)
{
    const struct defrag *defrag = &node->defrag;
    int64_t began_us = LOADED(defrag->began_us);
    uint64_t current_us = began_us == 0 ? 0 : (uint64_t)(clock_monotonic_us() - began_us);

    line_u64(out, "active_defrag_hits", LOADED(defrag->hits));
    line_u64(out, "active_defrag_misses", LOADED(defrag->misses));
    line_u64(out, "active_defrag_key_hits", LOADED(defrag->key_hits));
    line_u64(out, "active_defrag_key_misses", LOADED(defrag->key_misses));
    line_u64(out, "total_active_defrag_time", (LOADED(defrag->run_us) + current_us) / 1000);
    line_u64(out, "current_active_defrag_time", current_us / 1000);
}

void info_stats(struct call *call, struct buf *out)
{
    struct node *node = call->node;
    struct stats_totals totals = stats_totals(node);
    struct slot_counts counts = keyspace_counts(node->keyspace);
    const struct histogram *lag_ms = &keyspace_deadlines(node->keyspace)->lag_ms;

    buf_append_text(out, "# Stats\r\n");
    line_u64(out, "total_connections_received", LOADED(node->connections_received));
    line_u64(out, "total_commands_processed", totals.commands);
    line_u64(out, "instantaneous_ops_per_sec", stats_rate(node, RATE_COMMANDS));
    line_u64(out, "total_net_input_bytes", totals.net_input_bytes);
    line_u64(out, "total_net_output_bytes", totals.net_output_bytes);
    buf_append_text(out, "total_net_repl_input_bytes:0\r\ntotal_net_repl_output_bytes:0\r\n");
    line_kbps(out, "instantaneous_input_kbps", stats_rate(node, RATE_INPUT_BYTES));
    line_kbps(out, "instantaneous_output_kbps", stats_rate(node, RATE_OUTPUT_BYTES));
    buf_append_text(out, "instantaneous_input_repl_kbps:0.00\r\ninstantaneous_output_repl_kbps:0.00\r\n");
    line_u64(out, "rejected_connections", LOADED(node->connections_rejected));
    line_u64(out, "sync_full", LOADED(node->snapshots_begun));
    buf_append_text(out, "sync_partial_ok:0\r\nsync_partial_err:0\r\n");
    line_u64(out, "expired_keys", counts.expired);
    buf_append_text(out, "expired_stale_perc:0.00\r\nexpired_time_cap_reached_count:0\r\nexpire_cycle_cpu_milliseconds:"
                         "0\r\n");
    line_u64(out, "expire_lag_p50_ms", histogram_percentile(lag_ms, 50));
    line_u64(out, "expire_lag_p99_ms", histogram_percentile(lag_ms, 99));
    line_u64(out, "expired_backlog", totals.expired_backlog);
    line_u64(out, "keys_without_ttl", counts.keys > counts.expiring ? counts.keys - counts.expiring : 0);
    line_u64(out, "evicted_keys", counts.evicted);
    line_u64(out, "evicted_clients", LOADED(node->evicted_clients));
    buf_append_text(out, "total_eviction_exceeded_time:0\r\ncurrent_eviction_exceeded_time:0\r\n");
    line_u64(out, "keyspace_hits", totals.hits);
    line_u64(out, "keyspace_misses", totals.misses);
    buf_printf(out, "keyspace_hit_ratio:%.4f\r\n",
               totals.hits == 0 ? 0 : (double)totals.hits / (double)(totals.hits + totals.misses));
    line_u64(out, "big_values_built_unlocked", totals.built);
    line_u64(out, "big_values_built_locked", totals.built_locked);
    line_u64(out, "pubsub_channels", topics_count(pubsub_topics(node), TOPIC_CHANNEL));
    line_u64(out, "pubsub_patterns", topics_count(pubsub_topics(node), TOPIC_PATTERN));
    line_u64(out, "pubsubshard_channels", topics_count(pubsub_topics(node), TOPIC_SHARD));
    line_u64(out, "pubsub_messages_lost", pubsub_lost(node));
    line_u64(out, "pubsub_messages_not_told", node->bus == NULL ? 0 : bus_publish_dropped(node->bus));
    line_u64(out, "keyspace_events_dropped", events_dropped(node));
    buf_append_text(out, "latest_fork_usec:0\r\ntotal_forks:0\r\n");
    line_u64(out, "migrate_cached_sockets", migrator_kept_targets(node->migrator));
    buf_append_text(out, "slave_expires_tracked_keys:0\r\n");
    defrag_lines(node, out);
    buf_append_text(out, "tracking_total_keys:0\r\ntracking_total_items:0\r\ntracking_total_prefixes:0\r\n"
                         "unexpected_error_replies:0\r\n");
    line_u64(out, "total_error_replies", totals.errors);
    buf_append_text(out, "dump_payload_sanitizations:0\r\n");
    line_u64(out, "total_reads_processed", totals.reads);
    line_u64(out, "total_writes_processed", totals.writes);
    buf_append_text(out, "io_threaded_reads_processed:0\r\nio_threaded_writes_processed:0\r\nreply_buffer_shrinks:"
                         "0\r\nreply_buffer_expands:0\r\n");
}

void info_commandstats(struct call *call, struct buf *out)
{
    const struct command_table *commands = call->node->commands;

    buf_append_text(out, "# Commandstats\r\n");
    for (size_t number = 0; number < command_number_max(commands); number++) {
        struct command_stats stats = command_stats_sum(call->node, number);

        if (stats.calls == 0 && stats.rejected == 0 && stats.failed == 0) continue;
        buf_append_text(out, "cmdstat_");
        command_full_name(command_by_number(commands, number), out);
        buf_printf(out,
                   ":calls=%" PRIu64 ",usec=%" PRIu64 ",usec_per_call=%.2f,rejected_calls=%" PRIu64
                   ",failed_calls=%" PRIu64 "\r\n",
                   stats.calls, stats.us, stats.calls == 0 ? 0 : (double)stats.us / (double)stats.calls, stats.rejected,
                   stats.failed);
    }
}

/* --- errorstats --- */

struct error_count {
    char code[32];
    uint64_t count;
};

struct error_counts {
    struct error_count *items;
    size_t count;
};

static void add_error(void *context, const char *code, uint64_t count)
{
    struct error_counts *errors = context;

    for (size_t i = 0; i < errors->count; i++)
        if (strcmp(errors->items[i].code, code) == 0) {
            errors->items[i].count += count;
            return;
        }
    errors->items = alloc_resize(errors->items, (errors->count + 1) * sizeof(*errors->items));
    snprintf(errors->items[errors->count].code, sizeof(errors->items[0].code), "%s", code);
    errors->items[errors->count++].count = count;
}

static int compare_errors(const void *a, const void *b)
{
    return strcmp(((const struct error_count *)a)->code, ((const struct error_count *)b)->code);
}

void info_errorstats(struct call *call, struct buf *out)
{
    struct error_counts errors = { 0 };

    for (int i = 0; i < call->node->worker_count; i++) worker_each_error(call->node->workers[i], add_error, &errors);
    if (errors.count > 0) qsort(errors.items, errors.count, sizeof(*errors.items), compare_errors);
    buf_append_text(out, "# Errorstats\r\n");
    for (size_t i = 0; i < errors.count; i++)
        buf_printf(out, "errorstat_%s:count=%" PRIu64 "\r\n", errors.items[i].code, errors.items[i].count);
    alloc_free(errors.items);
}

/* --- latencystats --- */

#define PERCENTILES_MAX 16

static int read_percentiles(struct config *config, double *percentiles)
{
    char text[256];
    char *at = text;
    int count = 0;

    if (!config_text_copy(config, CONFIG_LATENCY_TRACKING_INFO_PERCENTILES, text, sizeof(text))) return 0;
    while (count < PERCENTILES_MAX) {
        char *end;
        double value = strtod(at, &end);

        if (end == at) break;
        percentiles[count++] = value;
        at = end;
    }
    return count;
}

void info_latencystats(struct call *call, struct buf *out)
{
    const struct command_table *commands = call->node->commands;
    double percentiles[PERCENTILES_MAX];
    int percentile_count = read_percentiles(call->node->config, percentiles);

    buf_append_text(out, "# Latencystats\r\n");
    if (!config_int(call->node->config, latency_tracking)) return;
    for (size_t number = 0; number < command_number_max(commands); number++) {
        struct command_stats stats = command_stats_sum(call->node, number);

        if (stats.calls == 0) continue;
        buf_append_text(out, "latency_percentiles_usec_");
        command_full_name(command_by_number(commands, number), out);
        for (int i = 0; i < percentile_count; i++)
            buf_printf(out, "%cp%g=%.3f", i == 0 ? ':' : ',', percentiles[i],
                       latency_percentile_us(&stats, percentiles[i]));
        buf_append_text(out, "\r\n");
    }
}
