#include "server/stats.h"

#include "base/alloc.h"
#include "server/node.h"
#include "server/worker.h"

#include <stdio.h>
#include <unistd.h>

#define LOADED(counter) atomic_load_explicit(&(counter), memory_order_relaxed)

struct stats_totals stats_totals(const struct node *node)
{
    struct stats_totals totals = { 0 };

    for (int i = 0; i < node->worker_count; i++) {
        struct worker_counters *counters = worker_counters(node->workers[i]);

        totals.commands += LOADED(counters->commands);
        totals.net_input_bytes += LOADED(counters->net_input_bytes);
        totals.net_output_bytes += LOADED(counters->net_output_bytes);
        totals.hits += LOADED(counters->hits);
        totals.misses += LOADED(counters->misses);
        totals.expired += LOADED(counters->expired);
        totals.expired_backlog += LOADED(counters->expired_backlog);
        totals.built += LOADED(counters->built);
        totals.built_locked += LOADED(counters->built_locked);
        totals.salt_served += LOADED(counters->salt_served);
        totals.salt_sent_home += LOADED(counters->salt_sent_home);
        totals.spread_told += LOADED(counters->spread_told);
        totals.spread_reads += LOADED(counters->spread_reads);
        totals.hot_reads += LOADED(counters->hot_reads);
        totals.errors += LOADED(counters->errors);
        totals.reads += LOADED(counters->reads);
        totals.writes += LOADED(counters->writes);
    }
    return totals;
}

void stats_sample(struct node *node, int64_t now_ms)
{
    struct stats *stats = &node->stats;
    struct stats_totals totals = stats_totals(node);
    uint64_t current[RATE_COUNT] = {
        [RATE_COMMANDS] = totals.commands,
        [RATE_INPUT_BYTES] = totals.net_input_bytes,
        [RATE_OUTPUT_BYTES] = totals.net_output_bytes,
    };
    size_t used = alloc_stats().allocated_bytes;
    int64_t elapsed_ms;

    lock_take(&stats->lock);
    elapsed_ms = now_ms - stats->sampled_ms;
    if (stats->sampled_ms == 0) {
        stats->startup_bytes = used;
    } else if (elapsed_ms > 0) {
        for (int rate = 0; rate < RATE_COUNT; rate++) {
            /* CONFIG RESETSTAT sets counters back; such a sample counts as none. */
            uint64_t grown = current[rate] > stats->last[rate] ? current[rate] - stats->last[rate] : 0;

            stats->per_second[rate][stats->next] = grown * 1000 / (uint64_t)elapsed_ms;
        }
        stats->next = (stats->next + 1) % RATE_SAMPLES;
    }
    for (int rate = 0; rate < RATE_COUNT; rate++) stats->last[rate] = current[rate];
    stats->sampled_ms = now_ms;
    if (used > stats->peak_bytes) stats->peak_bytes = used;
    lock_release(&stats->lock);
}

uint64_t stats_rate(struct node *node, enum stats_rate rate)
{
    struct stats *stats = &node->stats;
    uint64_t sum = 0;

    lock_take(&stats->lock);
    for (int i = 0; i < RATE_SAMPLES; i++) sum += stats->per_second[rate][i];
    lock_release(&stats->lock);
    return sum / RATE_SAMPLES;
}

void stats_memory(struct node *node, size_t used_bytes, size_t *peak_bytes, size_t *startup_bytes)
{
    struct stats *stats = &node->stats;

    lock_take(&stats->lock);
    if (used_bytes > stats->peak_bytes) stats->peak_bytes = used_bytes;
    *peak_bytes = stats->peak_bytes;
    *startup_bytes = stats->startup_bytes;
    lock_release(&stats->lock);
}

size_t stats_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;

    if (file == NULL) return 0;
    if (fscanf(file, "%*u %lu", &pages) != 1) pages = 0;
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}
