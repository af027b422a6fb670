/* server/stats.h
 *
 * What INFO says about the node as a whole: the workers' counters added up, how fast they grow, and how high memory has been. The main
 * thread takes a sample ten times a second; the rate shown is the mean of the last 16 samples. */
#pragma once

#include "base/lock.h"

#include <stddef.h>
#include <stdint.h>

struct node;

enum stats_rate { RATE_COMMANDS, RATE_INPUT_BYTES, RATE_OUTPUT_BYTES, RATE_COUNT };
#define RATE_SAMPLES 16

/* Zeroed is ready. */
struct stats {
    struct lock lock; /* guards all of it */
    int64_t sampled_ms;
    uint64_t last[RATE_COUNT];
    uint64_t per_second[RATE_COUNT][RATE_SAMPLES];
    unsigned next;
    size_t startup_bytes, peak_bytes;
};

/* The workers' counters, added up. */
struct stats_totals {
    uint64_t commands, net_input_bytes, net_output_bytes, hits, misses, expired, errors, reads, writes, expired_backlog;
    uint64_t built, built_locked, salt_served, salt_sent_home, hot_reads;
    uint64_t spread_told, spread_reads;
};
struct stats_totals stats_totals(const struct node *node);

/* Takes a sample: the main thread calls it every 100 ms. */
void stats_sample(struct node *node, int64_t now_ms);

/* Per second, over the last samples. */
uint64_t stats_rate(struct node *node, enum stats_rate rate);

/* The most memory in use at any sample, and what was in use at the first; peak is at least used_bytes. */
void stats_memory(struct node *node, size_t used_bytes, size_t *peak_bytes, size_t *startup_bytes);

/* What the process takes of physical memory. */
size_t stats_resident_bytes(void);
