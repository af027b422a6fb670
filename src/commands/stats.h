/* commands/stats.h: names of commands and their counters, for INFO, LATENCY and COMMAND. */
#pragma once

#include "base/buf.h"
#include "server/worker.h"

/* "get", "config|set". */
void command_full_name(const struct command *command, struct buf *out);
/* The other way; NULL if there is none. */
const struct command *command_by_full_name(const struct command_table *table, struct bytes name);

/* What all workers have counted of a command. */
struct command_stats command_stats_sum(const struct node *node, size_t number);

/* How many microseconds `percent` of the calls took at most: estimated inside the power of two it falls into. */
double latency_percentile_us(const struct command_stats *stats, double percent);

/* How many links the cluster bus has, and what waits to be sent on them; nothing of NULL. */
struct bus;
uint64_t stats_links(struct bus *bus, uint64_t *bytes);
