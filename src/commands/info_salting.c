/* commands/info_salting.c: INFO salting: which keys have names, and what became of commands on them. */
#include "commands/info.h"
#include "server/call.h"
#include "server/node.h"
#include "server/salt_helper.h"
#include "server/salt_home.h"
#include "server/salt_keeper.h"
#include "server/salt_spread.h"
#include "server/stats.h"

#include <inttypes.h>

static void print_home(struct salt_home *host, struct buf *out)
{
    struct salt_home_info info;

    salt_home_info(host, &info);
    buf_printf(out, "salt_helpers:%zu\r\n", info.core.links);
    buf_printf(out, "salt_lease_granted_ms:%" PRId64 "\r\n", info.lease_ms);
    buf_printf(out, "salt_lease_longest_ms:%" PRId64 "\r\n", info.longest_ms);
    buf_printf(out, "salt_invalidations:%" PRIu64 "\r\n", info.core.invalidations);
    buf_printf(out, "salt_pushes:%" PRIu64 "\r\n", info.core.pushes);
    buf_printf(out, "salt_withheld:%" PRIu64 "\r\n", info.core.withheld);
    buf_printf(out, "salt_waiting:%zu\r\n", info.core.waiting);
    buf_printf(out, "salt_released_by_lease:%" PRIu64 "\r\n", info.core.released_by_lease);
    buf_printf(out, "salt_inv_us_p50:%" PRIu64 "\r\n", info.withheld_us_p50);
    buf_printf(out, "salt_inv_us_p99:%" PRIu64 "\r\n", info.withheld_us_p99);
    buf_printf(out, "salt_folds_applied:%" PRIu64 "\r\n", info.core.folds);
    buf_printf(out, "salt_folds_repeated:%" PRIu64 "\r\n", info.core.folds_repeated);
    buf_printf(out, "salt_folds_discarded:%" PRIu64 "\r\n", info.core.folds_discarded);
    buf_printf(out, "salt_folds_overflowed:%" PRIu64 "\r\n", info.core.folds_overflowed);
}

static void print_helper(struct salt_helper *helper, struct buf *out)
{
    struct salt_helper_info info;

    salt_helper_info(helper, &info);
    buf_printf(out, "salt_links:%zu\r\n", info.links_open);
    buf_printf(out, "salt_copies:%" PRIu64 "\r\n", info.copies.copies);
    buf_printf(out, "salt_copies_bytes:%" PRIu64 "\r\n", info.copies.bytes);
    buf_printf(out, "salt_copies_refused:%" PRIu64 "\r\n", info.copies.refused);
    buf_printf(out, "salt_hits:%" PRIu64 "\r\n", info.copies.hits);
    buf_printf(out, "salt_lease_expired:%" PRIu64 "\r\n", info.copies.lease_expired);
    buf_printf(out, "salt_values_received:%" PRIu64 "\r\n", info.core.values);
    buf_printf(out, "salt_folds_sent:%" PRIu64 "\r\n", info.core.folds);
    buf_printf(out, "salt_sums_added:%" PRIu64 "\r\n", info.core.added);
    buf_printf(out, "salt_sums_told:%" PRIu64 "\r\n", info.core.told);
    buf_printf(out, "salt_sums_pending:%" PRIu64 "\r\n", info.core.pending);
    buf_printf(out, "salt_sums_discarded:%" PRIu64 "\r\n", info.core.discarded);
    buf_printf(out, "salt_sums_lost:%" PRIu64 "\r\n", info.core.lost);
}

void info_salting(struct call *call, struct buf *out)
{
    struct stats_totals totals = stats_totals(call->node);
    struct salt_counts counts = { 0 };

    if (call->node->salt_keeper != NULL) counts = salt_keeper_counts(call->node->salt_keeper);
    buf_append_text(out, "# Salting\r\n");
    buf_printf(out, "salted_keys:%" PRIu64 "\r\n", counts.keys);
    buf_printf(out, "salt_names:%" PRIu64 "\r\n", counts.names);
    buf_printf(out, "salt_names_retired:%" PRIu64 "\r\n", counts.retired);
    buf_printf(out, "salt_changes:%" PRIu64 "\r\n", counts.changes);
    buf_printf(out, "salt_told_with_copies:%" PRIu64 "\r\n", counts.told_with_copies);
    buf_printf(out, "salt_told_by_time:%" PRIu64 "\r\n", counts.told_by_time);
    buf_printf(out, "salt_served:%" PRIu64 "\r\n", totals.salt_served);
    buf_printf(out, "salt_sent_home:%" PRIu64 "\r\n", totals.salt_sent_home);
    if (call->node->salt_spread != NULL)
        buf_printf(out, "salt_spread_slots:%zu\r\n", salt_spread_slots(call->node->salt_spread));
    buf_printf(out, "salt_spread_told:%" PRIu64 "\r\n", totals.spread_told);
    buf_printf(out, "salt_spread_reads:%" PRIu64 "\r\n", totals.spread_reads);
    if (call->node->salt_home != NULL) print_home(call->node->salt_home, out);
    if (call->node->salt_helper != NULL) print_helper(call->node->salt_helper, out);
}
