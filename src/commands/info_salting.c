/* commands/info_salting.c: INFO salting: which keys have names, and what became of commands on them. */
#include "commands/info.h"
#include "server/call.h"
#include "server/node.h"
#include "server/salt_keeper.h"
#include "server/stats.h"

#include <inttypes.h>

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
    buf_printf(out, "salt_served:%" PRIu64 "\r\n", totals.salt_served);
    buf_printf(out, "salt_sent_home:%" PRIu64 "\r\n", totals.salt_sent_home);
}
