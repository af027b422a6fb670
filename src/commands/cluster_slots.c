/* CLUSTER SLOTS and CLUSTER SHARDS: which node serves which slots, as clients read it. Both are drawn from one copy of the view, taken
 * under the bus's lock and written out without it. */
#include "commands/cluster_internal.h"

#include "base/alloc.h"
#include "server/client.h"
#include "server/salt_spread.h"

#include <string.h>

#define NOBODY (-1)

struct view {
    struct cluster_node_info *nodes;
    int *primaries; /* of each: where its primary stands in nodes, itself for a primary, or NOBODY */
    int count;
    int owners[SLOT_COUNT];  /* where the owner stands in nodes, or NOBODY */
    bool is_led[SLOT_COUNT]; /* the client is told another (server/salt_spread.h) */
    enum endpoint_type preferred;
};

static int position_of_id(const struct view *view, const char *id)
{
    for (int i = 0; i < view->count; i++)
        if (strcmp(view->nodes[i].id, id) == 0) return i;
    return NOBODY;
}

static int position_of_index(const struct view *view, int index)
{
    for (int i = 0; i < view->count; i++)
        if (view->nodes[i].index == index) return i;
    return NOBODY;
}

/* Another owner for a slot that this client is to read elsewhere. */
static void lead(void *context, uint16_t slot, uint16_t node)
{
    struct view *view = context;
    int at = position_of_index(view, node);

    if (at == NOBODY || view->owners[slot] == NOBODY) return;
    view->owners[slot] = at;
    view->is_led[slot] = true;
}

static struct view *view_take(struct call *call)
{
    struct view *view = alloc_zeroed(sizeof *view);
    struct effects *effects;
    struct cluster *cluster = bus_lock(call->node->bus, &effects);
    size_t room = cluster_node_count(cluster);
    int last = NOBODY, at = NOBODY;

    view->nodes = alloc((room + 1) * sizeof *view->nodes);
    view->primaries = alloc((room + 1) * sizeof *view->primaries);
    view->count = 0;
    for (size_t n = 0; n < room && cluster_node_at(cluster, n, &view->nodes[view->count]); n++)
        if (!(view->nodes[view->count].flags & NODE_IN_HANDSHAKE)) view->count++;
    for (uint16_t slot = 0; slot < SLOT_COUNT; slot++) {
        int owner = cluster_slot_owner(cluster, slot);

        /* Neighbours mostly have one owner, so the search is rare. */
        if (owner != last) {
            last = owner;
            at = owner < 0 ? NOBODY : position_of_index(view, owner);
        }
        view->owners[slot] = at;
    }
    view->preferred = cluster_current_options(cluster)->preferred_endpoint;
    bus_unlock(call->node->bus);
    for (int i = 0; i < view->count; i++)
        view->primaries[i] = view->nodes[i].primary_id[0] == '\0' ? i : position_of_id(view, view->nodes[i].primary_id);
    if (call->node->salt_spread != NULL)
        salt_spread_each(call->node->salt_spread, bytes_of(call->client->peer), lead, view);
    return view;
}

static void view_free(struct view *view)
{
    alloc_free(view->nodes);
    alloc_free(view->primaries);
    alloc_free(view);
}

/* The end (exclusive) of the run of slots with one owner that begins at a slot. */
static unsigned run_end(const struct view *view, unsigned slot)
{
    unsigned end = slot + 1;

    while (end < SLOT_COUNT && view->owners[end] == view->owners[slot] && view->is_led[end] == view->is_led[slot])
        end++;
    return end;
}

static bool is_replica_of(const struct view *view, int node, int primary)
{
    return node != primary && view->primaries[node] == primary;
}

/* A replica that has not heard its primary's stream yet has nothing to serve. */
static bool is_available(const struct cluster_node_info *node)
{
    return !(node->flags & NODE_HAS_FAILED) && node->offset != 0;
}

/* --- SLOTS --- */

static void reply_slots_node(struct call *call, const struct view *view, const struct cluster_node_info *node)
{
    bool with_ip = view->preferred != ENDPOINT_IP;
    bool with_hostname = view->preferred != ENDPOINT_HOSTNAME && node->hostname[0] != '\0';

    reply_array(call->reply, 4);
    switch (view->preferred) {
    case ENDPOINT_IP:
        reply_bulk_text(call->reply, node->ip);
        break;
    case ENDPOINT_HOSTNAME:
        reply_bulk_text(call->reply, node->hostname[0] != '\0' ? node->hostname : "?");
        break;
    case ENDPOINT_UNKNOWN:
        reply_null(call->reply);
        break;
    }
    reply_integer(call->reply, node->port);
    reply_bulk_text(call->reply, node->id);
    reply_map(call->reply, (size_t)with_ip + (size_t)with_hostname);
    if (with_ip) {
        reply_bulk_text(call->reply, "ip");
        reply_bulk_text(call->reply, node->ip);
    }
    if (with_hostname) {
        reply_bulk_text(call->reply, "hostname");
        reply_bulk_text(call->reply, node->hostname);
    }
}

static void reply_slots_range(struct call *call, const struct view *view, unsigned first, unsigned last)
{
    int owner = view->owners[first];
    size_t replicas = 0;

    /* Who is led to a copy is not led to the replicas of that node, which have none. */
    for (int i = 0; i < view->count && !view->is_led[first]; i++)
        replicas += is_replica_of(view, i, owner) && is_available(&view->nodes[i]);
    reply_array(call->reply, 3 + replicas);
    reply_integer(call->reply, first);
    reply_integer(call->reply, last);
    reply_slots_node(call, view, &view->nodes[owner]);
    for (int i = 0; i < view->count && replicas > 0; i++)
        if (is_replica_of(view, i, owner) && is_available(&view->nodes[i]))
            reply_slots_node(call, view, &view->nodes[i]);
}

void cluster_cmd_slots(struct call *call)
{
    struct view *view = view_take(call);
    size_t ranges = 0;

    for (unsigned slot = 0; slot < SLOT_COUNT; slot = run_end(view, slot)) ranges += view->owners[slot] != NOBODY;
    reply_array(call->reply, ranges);
    for (unsigned slot = 0, end; slot < SLOT_COUNT; slot = end) {
        end = run_end(view, slot);
        if (view->owners[slot] != NOBODY) reply_slots_range(call, view, slot, end - 1);
    }
    view_free(view);
}

/* --- SHARDS --- */

static const char *health_of(const struct cluster_node_info *node)
{
    if (node->flags & NODE_HAS_FAILED) return "fail";
    if ((node->flags & NODE_IS_REPLICA) && node->offset == 0) return "loading";
    return "online";
}

static const char *endpoint_of(const struct view *view, const struct cluster_node_info *node)
{
    switch (view->preferred) {
    case ENDPOINT_IP:
        return node->ip;
    case ENDPOINT_HOSTNAME:
        return node->hostname[0] != '\0' ? node->hostname : "?";
    case ENDPOINT_UNKNOWN:
        break;
    }
    return "";
}

static void reply_pair(struct call *call, const char *name, const char *value)
{
    reply_bulk_text(call->reply, name);
    reply_bulk_text(call->reply, value);
}

static void reply_shard_node(struct call *call, const struct view *view, const struct cluster_node_info *node)
{
    bool with_hostname = node->hostname[0] != '\0';

    reply_map(call->reply, with_hostname ? 8 : 7);
    reply_pair(call, "id", node->id);
    reply_bulk_text(call->reply, "port");
    reply_integer(call->reply, node->port);
    reply_pair(call, "ip", node->ip);
    reply_pair(call, "endpoint", endpoint_of(view, node));
    if (with_hostname) reply_pair(call, "hostname", node->hostname);
    reply_pair(call, "role", node->flags & NODE_IS_REPLICA ? "replica" : "master");
    reply_bulk_text(call->reply, "replication-offset");
    reply_integer(call->reply, (int64_t)node->offset);
    reply_pair(call, "health", health_of(node));
}

static void reply_shard(struct call *call, const struct view *view, int primary)
{
    size_t ranges = 0, nodes = 1;

    for (unsigned slot = 0; slot < SLOT_COUNT; slot = run_end(view, slot)) ranges += view->owners[slot] == primary;
    for (int i = 0; i < view->count; i++) nodes += is_replica_of(view, i, primary);
    reply_map(call->reply, 2);
    reply_bulk_text(call->reply, "slots");
    reply_array(call->reply, 2 * ranges);
    for (unsigned slot = 0, end; slot < SLOT_COUNT; slot = end) {
        end = run_end(view, slot);
        if (view->owners[slot] != primary) continue;
        reply_integer(call->reply, slot);
        reply_integer(call->reply, end - 1);
    }
    reply_bulk_text(call->reply, "nodes");
    reply_array(call->reply, nodes);
    reply_shard_node(call, view, &view->nodes[primary]);
    for (int i = 0; i < view->count; i++)
        if (is_replica_of(view, i, primary)) reply_shard_node(call, view, &view->nodes[i]);
}

void cluster_cmd_shards(struct call *call)
{
    struct view *view = view_take(call);
    size_t shards = 0;

    for (int i = 0; i < view->count; i++) shards += view->primaries[i] == i;
    reply_array(call->reply, shards);
    for (int i = 0; i < view->count; i++)
        if (view->primaries[i] == i) reply_shard(call, view, i);
    view_free(view);
}
