/* CLUSTER SLOT-STATS: what is in each slot of this node and how it is used. The counters are read as they go, without the slots' locks:
 * each number is right by itself. */
#include "commands/cluster_internal.h"

#include "base/alloc.h"
#include "cluster/owner.h"

#include <stdlib.h>

static const struct metric {
    const char *name;
    size_t offset; /* of its uint64_t in struct slot_counts */
} metrics[] = {
    { "key-count", offsetof(struct slot_counts, keys) },  { "memory-bytes", offsetof(struct slot_counts, bytes) },
    { "hits", offsetof(struct slot_counts, hits) },       { "misses", offsetof(struct slot_counts, misses) },
    { "expired", offsetof(struct slot_counts, expired) }, { "evicted", offsetof(struct slot_counts, evicted) },
};
#define METRIC_COUNT (sizeof metrics / sizeof metrics[0])

struct row {
    struct slot_counts counts;
    uint64_t rank; /* what it is ordered by: the least comes first */
    uint16_t slot;
};

static uint64_t metric_of(const struct slot_counts *counts, const struct metric *metric)
{
    return *(const uint64_t *)(const void *)((const char *)counts + metric->offset);
}

/* The slots from first to last that are served here, into rows; gives how many they are. */
static size_t collect(struct call *call, struct row *rows, uint16_t first, uint16_t last)
{
    size_t count = 0;

    for (unsigned id = first; id <= last; id++) {
        const struct slot *slot = keyspace_slot(call->node->keyspace, (uint16_t)id);

        if (owner_unpack(slot_owner(slot)).state != OWNER_HERE) continue;
        rows[count++] = (struct row){ .slot = (uint16_t)id, .counts = slot_counts(slot) };
    }
    return count;
}

static void reply_rows(struct call *call, const struct row *rows, size_t count)
{
    reply_array(call->reply, count);
    for (const struct row *row = rows; row < rows + count; row++) {
        reply_array(call->reply, 2);
        reply_integer(call->reply, row->slot);
        reply_map(call->reply, METRIC_COUNT);
        for (size_t i = 0; i < METRIC_COUNT; i++) {
            reply_bulk_text(call->reply, metrics[i].name);
            reply_integer(call->reply, (int64_t)metric_of(&row->counts, &metrics[i]));
        }
    }
}

static void reply_range(struct call *call)
{
    uint16_t first, last;
    struct row *rows;

    if (!cluster_arg_slot(call, 3, &first) || !cluster_arg_slot(call, 4, &last)) return;
    if (first > last) {
        reply_errorf(call->reply, "ERR Start slot number %u is greater than end slot number %u", first, last);
        return;
    }
    rows = alloc((last - first + 1u) * sizeof *rows);
    reply_rows(call, rows, collect(call, rows, first, last));
    alloc_free(rows);
}

/* --- ORDERBY --- */

static int compare_rows(const void *a, const void *b)
{
    const struct row *one = a, *other = b;

    if (one->rank != other->rank) return one->rank < other->rank ? -1 : 1;
    return (int)one->slot - (int)other->slot;
}

struct order {
    const struct metric *metric;
    int64_t limit;
    bool ascending;
};

static bool parse_order(struct call *call, struct order *order)
{
    bool has_limit = false, has_direction = false;

    *order = (struct order){ .limit = SLOT_COUNT };
    for (size_t i = 0; i < METRIC_COUNT; i++)
        if (call_arg_is(call, 3, metrics[i].name)) order->metric = &metrics[i];
    if (order->metric == NULL) {
        reply_error(call->reply, "ERR Unrecognized sort metric for ORDERBY.");
        return false;
    }
    for (int arg = 4; arg < call->argc; arg++) {
        if (!has_limit && arg + 1 < call->argc && call_arg_is(call, arg, "limit")) {
            if (!call_arg_i64(call, ++arg, &order->limit)) return false;
            if (order->limit < 1 || order->limit > (int64_t)SLOT_COUNT) {
                reply_errorf(call->reply, "ERR Limit has to lie in between 1 and %u (maximum number of slots).",
                             SLOT_COUNT);
                return false;
            }
            has_limit = true;
        } else if (!has_direction && (call_arg_is(call, arg, "asc") || call_arg_is(call, arg, "desc"))) {
            order->ascending = call_arg_is(call, arg, "asc");
            has_direction = true;
        } else {
            reply_error(call->reply, ERROR_SYNTAX);
            return false;
        }
    }
    return true;
}

static void reply_ordered(struct call *call)
{
    struct order order;
    struct row *rows;
    size_t count;

    if (!parse_order(call, &order)) return;
    rows = alloc(SLOT_COUNT * sizeof *rows);
    count = collect(call, rows, 0, SLOT_COUNT - 1);
    for (struct row *row = rows; row < rows + count; row++) {
        uint64_t number = metric_of(&row->counts, order.metric);

        row->rank = order.ascending ? number : UINT64_MAX - number;
    }
    qsort(rows, count, sizeof *rows, compare_rows);
    reply_rows(call, rows, count < (size_t)order.limit ? count : (size_t)order.limit);
    alloc_free(rows);
}

void cluster_cmd_slot_stats(struct call *call)
{
    if (call_arg_is(call, 2, "slotsrange") && call->argc == 5)
        reply_range(call);
    else if (call_arg_is(call, 2, "orderby"))
        reply_ordered(call);
    else
        reply_error(call->reply, ERROR_SYNTAX);
}
