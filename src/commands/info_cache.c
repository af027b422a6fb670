/* commands/info_cache.c: INFO cache: what the node did for those who keep a cache in it. */
#include "cache/backstop.h"
#include "cache/fill.h"
#include "commands/info.h"
#include "server/call.h"
#include "server/node.h"

#include <inttypes.h>

void info_cache(struct call *call, struct buf *out)
{
    static const char *const names[FILL_COUNTERS] = {
        [FILL_REFUSED_TOKEN] = "fills_refused_token", [FILL_REFUSED_VERSION] = "fills_refused_version",
        [FILL_REFUSED_HOLD] = "fills_refused_hold",   [FILL_REFUSED_GUARD] = "fills_refused_guard",
        [FILL_LEASES_GRANTED] = "leases_granted",     [FILL_LEASES_WAITED] = "leases_waited",
        [FILL_LEASES_EXPIRED] = "leases_expired",     [FILL_LEASES_LOST] = "leases_lost",
        [FILL_STALE_SERVED] = "stale_served",         [FILL_FLOOR_OVERFLOWS] = "floor_overflows",
        [FILL_INVALIDATIONS] = "invalidations",       [FILL_HEALED] = "invalidations_made_up_for",
    };
    const struct node *node = call->node;
    struct slot_counts counts = keyspace_counts(node->keyspace);
    struct backstop_counts lives = backstop_counts(node->backstop);
    uint64_t sums[FILL_COUNTERS];

    fills_counters(call->node->fills, sums);
    buf_append_text(out, "# Cache\r\n");
    for (size_t i = 0; i < FILL_COUNTERS; i++) buf_printf(out, "%s:%" PRIu64 "\r\n", names[i], sums[i]);
    buf_printf(out, "floor_bytes:%" PRIu64 "\r\n", fills_floor_bytes(call->node->fills));
    buf_printf(out, "lease_bytes:%" PRIu64 "\r\n", fills_lease_bytes(call->node->fills));
    buf_printf(out, "policies:%zu\r\n", policies_count(node->policies));
    buf_printf(out, "ttl_defaulted:%" PRIu64 "\r\n", lives.defaulted);
    buf_printf(out, "ttl_clipped:%" PRIu64 "\r\n", lives.clipped);
    buf_printf(out, "keys_without_ttl:%" PRIu64 "\r\n",
               counts.keys > counts.expiring ? counts.keys - counts.expiring : 0);
}
