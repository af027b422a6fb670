#include "commands/stats.h"

#include "base/alloc.h"
#include "bus/bus.h"

#include <string.h>

void command_full_name(const struct command *command, struct buf *out)
{
    if (command->parent != NULL) buf_printf(out, "%s|", command->parent);
    buf_append_text(out, command->name);
}

const struct command *command_by_full_name(const struct command_table *table, struct bytes name)
{
    const char *bar = name.len == 0 ? NULL : memchr(name.data, '|', name.len);
    const struct command *container;
    struct bytes parent;

    if (bar == NULL) return command_find(table, name);
    parent = (struct bytes){ name.data, (size_t)(bar - name.data) };
    container = command_find(table, parent);
    if (container == NULL) return NULL;
    return command_find_sub(container, (struct bytes){ bar + 1, name.len - parent.len - 1 });
}

struct command_stats command_stats_sum(const struct node *node, size_t number)
{
    struct command_stats stats = { 0 };

    for (int i = 0; i < node->worker_count; i++) worker_add_command_stats(node->workers[i], number, &stats);
    return stats;
}

double latency_percentile_us(const struct command_stats *stats, double percent)
{
    uint64_t total = 0;
    double rank, below = 0;

    for (int b = 0; b < LATENCY_BUCKETS; b++) total += stats->latency[b];
    rank = (double)total * percent / 100;
    for (int b = 0; b < LATENCY_BUCKETS; b++) {
        double count = (double)stats->latency[b];
        double from_us = b == 0 ? 0 : (double)((int64_t)1 << (b - 1)), to_us = (double)((int64_t)1 << b);

        if (count > 0 && below + count >= rank) return from_us + (to_us - from_us) * (rank - below) / count;
        below += count;
    }
    return 0;
}

#define LINKS_MAX 4096

uint64_t stats_links(struct bus *bus, uint64_t *bytes)
{
    struct bus_link_info *links;
    size_t count;

    *bytes = 0;
    if (bus == NULL) return 0;
    links = alloc(LINKS_MAX * sizeof(*links));
    count = bus_links(bus, links, LINKS_MAX);
    for (size_t i = 0; i < count && i < LINKS_MAX; i++) *bytes += links[i].send_allocated;
    alloc_free(links);
    return count;
}
