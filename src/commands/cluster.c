/* The CLUSTER family: its descriptors, and the subcommands that only ask. Nothing here has keys, so it is never redirected and works in a
 * transaction. Answers are gathered under the bus's lock, which is short, and written without it. */
#include "commands/cluster_internal.h"
#include "commands/server.h"

#include "base/alloc.h"
#include "commands/commands.h"
#include "server/client.h"

#include <limits.h>
#include <string.h>

/* --- Who and where --- */

static void myid(struct call *call)
{
    struct effects *effects;
    char id[NODE_ID_BYTES + 1] = "";
    struct cluster *cluster = bus_lock(call->node->bus, &effects);

    memcpy(id, cluster_my_id(cluster), NODE_ID_BYTES);
    bus_unlock(call->node->bus);
    reply_bulk_text(call->reply, id);
}

static void myshardid(struct call *call)
{
    struct effects *effects;
    char id[NODE_ID_BYTES + 1] = "";
    struct cluster *cluster = bus_lock(call->node->bus, &effects);

    memcpy(id, cluster_my_shard_id(cluster), NODE_ID_BYTES);
    bus_unlock(call->node->bus);
    reply_bulk_text(call->reply, id);
}

static void info(struct call *call)
{
    struct effects *effects;
    struct buf text = { 0 };
    struct cluster *cluster = bus_lock(call->node->bus, &effects);

    cluster_info_text(cluster, &text);
    bus_unlock(call->node->bus);
    buf_printf(&text, "total_cluster_links_buffer_limit_exceeded:%llu\r\n",
               (unsigned long long)bus_links_over_limit(call->node->bus));
    reply_verbatim(call->reply, buf_bytes(&text));
    buf_free(&text);
}

/* `redis-cli --cluster create` adds to each node's share the slots that the node's line names, and would give every solo node all of
 * them. It is known by what it opens with, INFO and then this: to the others a solo node says what it serves. */
static bool is_about_to_create(const struct call *call)
{
    return call->client->opened_with_info && call->previous == &command_info;
}

static void nodes(struct call *call)
{
    struct effects *effects;
    struct buf text = { 0 };
    struct cluster *cluster = bus_lock(call->node->bus, &effects);

    if (is_about_to_create(call))
        cluster_nodes_text_given(cluster, &text);
    else
        cluster_nodes_text(cluster, &text);
    bus_unlock(call->node->bus);
    reply_verbatim(call->reply, buf_bytes(&text));
    buf_free(&text);
}

static void reply_unknown_node(struct call *call, struct bytes id)
{
    reply_errorf(call->reply, "ERR Unknown node %.*s", (int)(id.len & INT_MAX), id.data);
}

static void replicas(struct call *call)
{
    struct effects *effects;
    struct cluster_node_info primary, node;
    struct buf text = { 0 };
    size_t count = 0, *ends;
    struct cluster *cluster = bus_lock(call->node->bus, &effects);
    bool known = cluster_node_by_id(cluster, call->argv[2], &primary);

    ends = alloc((cluster_node_count(cluster) + 1) * sizeof *ends);
    for (size_t n = 0; known && cluster_node_at(cluster, n, &node); n++) {
        if (strcmp(node.primary_id, primary.id) != 0) continue;
        cluster_node_line(cluster, node.index, &text);
        ends[count++] = text.len;
    }
    bus_unlock(call->node->bus);
    if (!known) {
        reply_unknown_node(call, call->argv[2]);
    } else if (primary.flags & NODE_IS_REPLICA) {
        reply_error(call->reply, "ERR The specified node is not a master");
    } else {
        reply_array(call->reply, count);
        for (size_t i = 0, start = 0; i < count; start = ends[i++])
            reply_bulk(call->reply, (struct bytes){ text.data + start, ends[i] - start });
    }
    alloc_free(ends);
    buf_free(&text);
}

static void count_failure_reports(struct call *call)
{
    struct effects *effects;
    struct cluster_node_info node;
    struct cluster *cluster = bus_lock(call->node->bus, &effects);
    bool known = cluster_node_by_id(cluster, call->argv[2], &node);

    bus_unlock(call->node->bus);
    if (known)
        reply_integer(call->reply, (int64_t)node.failure_reports);
    else
        reply_unknown_node(call, call->argv[2]);
}

/* What CLUSTER DIFF says, gathered under the bus's lock. */
struct differences {
    struct difference {
        struct cluster_difference is;
        char node[NODE_ID_BYTES + 1];
    } * items;
    char (*unknown)[NODE_ID_BYTES + 1];
    size_t count, cap, unknown_count, agreed;
    const char *node;
};

static void add_difference(void *context, const struct cluster_difference *difference)
{
    struct differences *all = context;

    if (all->count == all->cap) {
        all->cap = all->cap != 0 ? all->cap * 2 : 16;
        all->items = alloc_resize(all->items, all->cap * sizeof *all->items);
    }
    all->items[all->count].is = *difference;
    memcpy(all->items[all->count++].node, all->node, NODE_ID_BYTES + 1);
}

static void gather_differences(struct call *call, struct differences *all)
{
    struct effects *effects;
    struct cluster_node_info node;
    struct cluster *cluster = bus_lock(call->node->bus, &effects);

    all->unknown = alloc((cluster_node_count(cluster) + 1) * sizeof *all->unknown);
    for (size_t n = 1; cluster_node_at(cluster, n, &node); n++) {
        all->node = node.id;
        switch (cluster_agreement(cluster, &node)) {
        case AGREEMENT_FULL:
            all->agreed++;
            break;
        case AGREEMENT_NONE:
            cluster_differences(cluster, node.index, add_difference, all);
            break;
        case AGREEMENT_UNKNOWN:
            memcpy(all->unknown[all->unknown_count++], node.id, sizeof node.id);
            break;
        }
    }
    all->node = NULL; /* was lent */
    bus_unlock(call->node->bus);
}

static void reply_id_or_null(struct reply *reply, const char *id)
{
    if (id[0] != '\0')
        reply_bulk_text(reply, id);
    else
        reply_null(reply);
}

static void diff(struct call *call)
{
    struct differences all = { 0 };
    struct reply *reply = call->reply;

    gather_differences(call, &all);
    reply_map(reply, 3);
    reply_bulk_text(reply, "agreed");
    reply_integer(reply, (int64_t)all.agreed);
    reply_bulk_text(reply, "unknown");
    reply_array(reply, all.unknown_count);
    for (size_t i = 0; i < all.unknown_count; i++) reply_bulk_text(reply, all.unknown[i]);
    reply_bulk_text(reply, "differences");
    reply_array(reply, all.count);
    for (size_t i = 0; i < all.count; i++) {
        const struct cluster_difference *one = &all.items[i].is;

        reply_map(reply, 6);
        reply_bulk_text(reply, "node");
        reply_bulk_text(reply, all.items[i].node);
        reply_bulk_text(reply, "slots");
        reply_array(reply, 2);
        reply_integer(reply, one->first);
        reply_integer(reply, one->last);
        reply_bulk_text(reply, "here");
        reply_id_or_null(reply, one->here);
        reply_bulk_text(reply, "there");
        reply_id_or_null(reply, one->there);
        reply_bulk_text(reply, "since");
        reply_integer(reply, one->since_ms);
        reply_bulk_text(reply, "told");
        reply_bulk_text(reply, one->whole ? "view" : "claims");
    }
    alloc_free(all.items);
    alloc_free(all.unknown);
}

static void links(struct call *call)
{
    size_t room = bus_links(call->node->bus, NULL, 0) + 8; /* some may open in between */
    struct bus_link_info *found = alloc(room * sizeof *found);
    size_t count = bus_links(call->node->bus, found, room);

    if (count > room) count = room;
    reply_array(call->reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_map(call->reply, 6);
        reply_bulk_text(call->reply, "direction");
        reply_bulk_text(call->reply, found[i].outbound ? "to" : "from");
        reply_bulk_text(call->reply, "node");
        reply_bulk_text(call->reply, found[i].node);
        reply_bulk_text(call->reply, "create-time");
        reply_integer(call->reply, found[i].created_ms);
        reply_bulk_text(call->reply, "events");
        reply_bulk_text(call->reply, found[i].reads && found[i].writes ? "rw" : found[i].writes ? "w" : "r");
        reply_bulk_text(call->reply, "send-buffer-allocated");
        reply_integer(call->reply, (int64_t)found[i].send_allocated);
        reply_bulk_text(call->reply, "send-buffer-used");
        reply_integer(call->reply, (int64_t)found[i].send_used);
    }
    alloc_free(found);
}

/* --- Keys --- */

static void keyslot(struct call *call)
{
    reply_integer(call->reply, key_slot(call->argv[2]));
}

static void countkeysinslot(struct call *call)
{
    int64_t id;

    if (!call_arg_i64(call, 2, &id)) return;
    if (id < 0 || id >= (int64_t)SLOT_COUNT) {
        reply_error(call->reply, "ERR Invalid slot");
        return;
    }
    reply_integer(call->reply, (int64_t)slot_counts(keyspace_slot(call->node->keyspace, (uint16_t)id)).keys);
}

struct gathered {
    uint64_t count, max;
    struct buf text; /* the keys as they will be replied */
    struct reply reply;
};

static void gather(void *context, struct entry *entry)
{
    struct gathered *gathered = context;

    if (gathered->count == gathered->max) return;
    reply_bulk(&gathered->reply, entry_key(entry));
    gathered->count++;
}

/* A bucket under one lock: a slot may have millions of keys, and be asked for all of them. */
static void getkeysinslot(struct call *call)
{
    struct gathered gathered = { .reply = { .resp = call->reply->resp } };
    uint32_t cursor = 0;
    int64_t id, max;

    if (!call_arg_i64(call, 2, &id) || !call_arg_i64(call, 3, &max)) return;
    if (id < 0 || id >= (int64_t)SLOT_COUNT || max < 0) {
        reply_error(call->reply, "ERR Invalid slot or number of keys");
        return;
    }
    gathered.max = (uint64_t)max;
    gathered.reply.out = &gathered.text;
    do {
        struct slot *slot = call_slot_enter(call, (uint16_t)id);

        if (max > 0) cursor = slot_scan_once(slot, cursor, gather, &gathered);
        call_slot_leave(call, slot);
    } while (cursor != 0 && gathered.count < gathered.max);
    reply_array(call->reply, gathered.count);
    buf_append_bytes(call->reply->out, buf_bytes(&gathered.text));
    buf_free(&gathered.text);
}

static void help(struct call *call)
{
    static const char *const lines[] = {
        "ADDSLOTS <slot> [<slot> ...]",
        "    Take slots that nobody serves.",
        "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    The same for ranges, both ends included.",
        "BUMPEPOCH",
        "    Raise this node's config epoch above all it knows of.",
        "COUNT-FAILURE-REPORTS <node-id>",
        "    How many nodes hold a node for unreachable.",
        "COUNTKEYSINSLOT <slot>",
        "    How many keys of a slot are here.",
        "DELSLOTS <slot> [<slot> ...]",
        "    Forget, on this node, who serves slots.",
        "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    The same for ranges, both ends included.",
        "DIFF",
        "    Which nodes believe something else than this one about which slots, and since when.",
        "FAILOVER [FORCE|TAKEOVER]",
        "    Make a replica take over from its primary.",
        "FORGET <node-id>",
        "    Remove a node from this node's view, and keep it out for a minute.",
        "GETKEYSINSLOT <slot> <count>",
        "    Up to so many keys of a slot that are here.",
        "FLUSHSLOTS",
        "    Give all slots of this node up; it must hold no keys.",
        "INFO",
        "    State and counters of the cluster, as this node sees it.",
        "KEYSLOT <key>",
        "    The slot of a key.",
        "LINKS",
        "    The connections to and from the other nodes.",
        "MEET <ip> <port> [<bus-port>]",
        "    Join the cluster of another node.",
        "MYID",
        "    This node's id.",
        "MYSHARDID",
        "    The id of this node's shard.",
        "NODES",
        "    A line for each node: <id> <ip:port@bus-port> <flags> <primary> <ping> <pong> <epoch> <link> <slot> ...",
        "REPLICATE <node-id>",
        "    Become a replica of a primary.",
        "REPLICAS <node-id>",
        "    A line for each replica of a primary.",
        "RESET [HARD|SOFT]",
        "    Leave the cluster and forget it; HARD takes a new id as well.",
        "SAVECONFIG",
        "    Write the state file now.",
        "SET-CONFIG-EPOCH <epoch>",
        "    Set the config epoch of a new node.",
        "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
        "    Open a slot for a move, close it, or say who serves it.",
        "SHARDS",
        "    Slots and nodes, by shard.",
        "SLOT-STATS (SLOTSRANGE <start slot> <end slot>|ORDERBY <metric> [LIMIT <limit>] [ASC|DESC])",
        "    What is in each slot of this node, and how it is used.",
        "SLOTS",
        "    Ranges of slots and the nodes that serve them.",
        NULL,
    };

    call_reply_help(call, lines);
}

/* --- What a connection may do --- */

static void asking(struct call *call)
{
    client_set(call->client, CLIENT_ASKING);
    reply_ok(call->reply);
}

static void allow_replica_reads(struct call *call)
{
    client_set(call->client, CLIENT_READONLY);
    reply_ok(call->reply);
}

static void forbid_replica_reads(struct call *call)
{
    client_clear(call->client, CLIENT_READONLY);
    reply_ok(call->reply);
}

/* --- Descriptors --- */

#define QUESTION (COMMAND_STALE | COMMAND_CLUSTER_ONLY)
#define OPERATOR_QUESTION (COMMAND_ADMIN | COMMAND_STALE | COMMAND_CLUSTER_ONLY)
#define CHANGE (COMMAND_ADMIN | COMMAND_STALE | COMMAND_NO_ASYNC_LOADING | COMMAND_CLUSTER_ONLY)

static const char *const varies[] = { "nondeterministic_output", NULL };

static const struct command_arg args_slots[] = { { .name = "slot", .type = ARG_INTEGER, .flags = ARG_MULTIPLE },
                                                 { .name = NULL } };
static const struct command_arg range_args[] = { { .name = "start-slot", .type = ARG_INTEGER },
                                                 { .name = "end-slot", .type = ARG_INTEGER },
                                                 { .name = NULL } };
static const struct command_arg args_ranges[] = {
    { .name = "start-slot_end-slot", .type = ARG_BLOCK, .flags = ARG_MULTIPLE, .args = range_args }, { .name = NULL }
};
static const struct command_arg args_node[] = { { .name = "node-id", .type = ARG_STRING }, { .name = NULL } };
static const struct command_arg args_slot[] = { { .name = "slot", .type = ARG_INTEGER }, { .name = NULL } };
static const struct command_arg args_slot_count[] = { { .name = "slot", .type = ARG_INTEGER },
                                                      { .name = "count", .type = ARG_INTEGER },
                                                      { .name = NULL } };
static const struct command_arg args_key[] = { { .name = "key", .type = ARG_STRING }, { .name = NULL } };
static const struct command_arg args_epoch[] = { { .name = "config-epoch", .type = ARG_INTEGER }, { .name = NULL } };
static const struct command_arg args_meet[] = {
    { .name = "ip", .type = ARG_STRING },
    { .name = "port", .type = ARG_INTEGER },
    { .name = "cluster_bus_port", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .since = "4.0.0" },
    { .name = NULL },
};
static const struct command_arg failover_options[] = {
    { .name = "force", .type = ARG_PURE_TOKEN, .token = "FORCE" },
    { .name = "takeover", .type = ARG_PURE_TOKEN, .token = "TAKEOVER" },
    { .name = NULL },
};
static const struct command_arg args_failover[] = {
    { .name = "options", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = failover_options }, { .name = NULL }
};
static const struct command_arg reset_options[] = {
    { .name = "hard", .type = ARG_PURE_TOKEN, .token = "HARD" },
    { .name = "soft", .type = ARG_PURE_TOKEN, .token = "SOFT" },
    { .name = NULL },
};
static const struct command_arg args_reset[] = {
    { .name = "hard_soft", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = reset_options }, { .name = NULL }
};
static const struct command_arg setslot_forms[] = {
    { .name = "node-id", .type = ARG_STRING, .token = "IMPORTING" },
    { .name = "node-id", .type = ARG_STRING, .token = "MIGRATING" },
    { .name = "node-id", .type = ARG_STRING, .token = "NODE" },
    { .name = "stable", .type = ARG_PURE_TOKEN, .token = "STABLE" },
    { .name = NULL },
};
static const struct command_arg args_setslot[] = { { .name = "slot", .type = ARG_INTEGER },
                                                   { .name = "subcommand", .type = ARG_ONEOF, .args = setslot_forms },
                                                   { .name = NULL } };

static const struct command_arg order_directions[] = { { .name = "asc", .type = ARG_PURE_TOKEN, .token = "ASC" },
                                                       { .name = "desc", .type = ARG_PURE_TOKEN, .token = "DESC" },
                                                       { .name = NULL } };
static const struct command_arg order_form[] = {
    { .name = "metric", .type = ARG_STRING },
    { .name = "limit", .type = ARG_INTEGER, .token = "LIMIT", .flags = ARG_OPTIONAL },
    { .name = "order", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = order_directions },
    { .name = NULL },
};
static const struct command_arg slot_stats_forms[] = {
    { .name = "slotsrange", .type = ARG_BLOCK, .token = "SLOTSRANGE", .args = range_args },
    { .name = "orderby", .type = ARG_BLOCK, .token = "ORDERBY", .args = order_form },
    { .name = NULL },
};
static const struct command_arg args_slot_stats[] = { { .name = "filter", .type = ARG_ONEOF, .args = slot_stats_forms },
                                                      { .name = NULL } };

/* A subcommand: its text, its facts, its handler; what only some have comes last. */
#define SUB(id, text, from, cost, count, bits, handler, ...)                                                           \
    static const struct command sub_##id = { .summary = text,                                                          \
                                             .since = from,                                                            \
                                             .group = "cluster",                                                       \
                                             .complexity = cost,                                                       \
                                             .arity = count,                                                           \
                                             .flags = bits,                                                            \
                                             .parent = "cluster",                                                      \
                                             .run = handler,                                                           \
                                             __VA_ARGS__ }

SUB(addslots, "Take slots that nobody serves", "3.0.0", "O(N), N being the slots named", -3, CHANGE,
    cluster_cmd_addslots, .name = "addslots", .args = args_slots);
SUB(addslotsrange, "Take ranges of slots that nobody serves", "7.0.0", "O(N), N being the slots in the ranges", -4,
    CHANGE, cluster_cmd_addslotsrange, .name = "addslotsrange", .args = args_ranges);
SUB(bumpepoch, "Raise this node's config epoch", "3.0.0", "O(1)", 2, CHANGE, cluster_cmd_bumpepoch, .name = "bumpepoch",
    .tips = varies);
SUB(count_failure_reports, "Count the nodes that hold a node for unreachable", "3.0.0", "O(N), N being the reports", 3,
    OPERATOR_QUESTION, count_failure_reports, .name = "count-failure-reports", .args = args_node, .tips = varies);
SUB(countkeysinslot, "Count the keys of a slot that are here", "3.0.0", "O(1)", 3, QUESTION, countkeysinslot,
    .name = "countkeysinslot", .args = args_slot);
SUB(delslots, "Forget, on this node, who serves slots", "3.0.0", "O(N), N being the slots named", -3, CHANGE,
    cluster_cmd_delslots, .name = "delslots", .args = args_slots);
SUB(delslotsrange, "Forget, on this node, who serves ranges of slots", "7.0.0", "O(N), N being the slots in the ranges",
    -4, CHANGE, cluster_cmd_delslotsrange, .name = "delslotsrange", .args = args_ranges);
SUB(diff, "Tell which nodes believe something else about which slots, and since when", "0.1.0",
    "O(N), N being the nodes and the slots they do not agree on", 2, OPERATOR_QUESTION, diff, .name = "diff",
    .tips = varies);
SUB(failover, "Make a replica take over from its primary", "3.0.0", "O(1)", -2, CHANGE, cluster_cmd_failover,
    .name = "failover", .args = args_failover);
SUB(flushslots, "Give all slots of this node up", "3.0.0", "O(1)", 2, CHANGE, cluster_cmd_flushslots,
    .name = "flushslots");
SUB(forget, "Remove a node from this node's view", "3.0.0", "O(1)", 3, CHANGE, cluster_cmd_forget, .name = "forget",
    .args = args_node);
/* A transaction that visits slots holds all of them, so that none is taken out of order. */
SUB(getkeysinslot, "List keys of a slot that are here", "3.0.0", "O(N), N being the keys asked for", 4,
    QUESTION | COMMAND_ALL_SLOTS, getkeysinslot, .name = "getkeysinslot", .args = args_slot_count, .tips = varies);
SUB(help, "Explain the subcommands", "5.0.0", "O(1)", 2, COMMAND_LOADING | QUESTION, help, .name = "help");
SUB(info, "State and counters of the cluster", "3.0.0", "O(1)", 2, QUESTION, info, .name = "info", .tips = varies);
SUB(keyslot, "Find the slot of a key", "3.0.0", "O(N), N being the length of the key", 3, QUESTION, keyslot,
    .name = "keyslot", .args = args_key);
SUB(links, "List the connections to and from the other nodes", "7.0.0", "O(N), N being the nodes", 2, QUESTION, links,
    .name = "links", .tips = varies);
SUB(meet, "Join the cluster of another node", "3.0.0", "O(1)", -4, CHANGE, cluster_cmd_meet, .name = "meet",
    .args = args_meet, .history = COMMAND_HISTORY({ "4.0.0", "The port of the cluster bus may be given." }));
SUB(myid, "Tell this node's id", "3.0.0", "O(1)", 2, QUESTION, myid, .name = "myid");
SUB(myshardid, "Tell the id of this node's shard", "7.2.0", "O(1)", 2, QUESTION, myshardid, .name = "myshardid",
    .tips = varies);
SUB(nodes, "List the nodes as this one sees them", "3.0.0", "O(N), N being the nodes", 2, QUESTION, nodes,
    .name = "nodes", .tips = varies);
SUB(replicas, "List the replicas of a primary", "5.0.0", "O(N), N being the nodes", 3, OPERATOR_QUESTION, replicas,
    .name = "replicas", .args = args_node, .tips = varies);
SUB(replicate, "Become a replica of a primary", "3.0.0", "O(1)", 3, CHANGE, cluster_cmd_replicate, .name = "replicate",
    .args = args_node);
SUB(reset, "Leave the cluster and forget it", "3.0.0", "O(N), N being the nodes", -2,
    COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_STALE | COMMAND_CLUSTER_ONLY, cluster_cmd_reset, .name = "reset",
    .args = args_reset, .finish = cluster_cmd_reset_wait);
SUB(salts, "List the salted keys, with their names and where these are", "0.1.0",
    "O(N), N being the names of all salted keys", 2, OPERATOR_QUESTION | COMMAND_UNLOCKED, cluster_cmd_salts,
    .name = "salts", .tips = varies);
SUB(saveconfig, "Write the state file now", "3.0.0", "O(1)", 2, CHANGE | COMMAND_UNLOCKED, cluster_cmd_saveconfig,
    .name = "saveconfig");
SUB(set_config_epoch, "Set the config epoch of a new node", "3.0.0", "O(1)", 3, CHANGE, cluster_cmd_set_config_epoch,
    .name = "set-config-epoch", .args = args_epoch);
SUB(setslot, "Open a slot for a move, close it, or say who serves it", "3.0.0", "O(1)", -4, CHANGE | COMMAND_ALL_SLOTS,
    cluster_cmd_setslot, .name = "setslot", .finish = cluster_setslot_finish, .args = args_setslot);
SUB(shards, "Map slots to nodes, by shard", "7.0.0", "O(N), N being the nodes", 2, QUESTION, cluster_cmd_shards,
    .name = "shards", .tips = varies);
SUB(slaves, "List the replicas of a primary (older name of REPLICAS)", "3.0.0", "O(N), N being the nodes", 3,
    OPERATOR_QUESTION, replicas, .name = "slaves", .args = args_node, .tips = varies, .deprecated_since = "5.0.0",
    .replaced_by = "`CLUSTER REPLICAS`");
SUB(slot_stats, "What is in each slot of this node, and how it is used", "8.2.0",
    "O(N), N being the slots asked for; O(N*log(N)) with ORDERBY", -4, QUESTION, cluster_cmd_slot_stats,
    .name = "slot-stats", .args = args_slot_stats, .tips = varies);
SUB(slots, "Map ranges of slots to nodes", "3.0.0", "O(N), N being the nodes", 2, QUESTION, cluster_cmd_slots,
    .name = "slots", .tips = varies, .deprecated_since = "7.0.0", .replaced_by = "`CLUSTER SHARDS`",
    .history = COMMAND_HISTORY({ "4.0.0", "The reply has the ids of nodes." },
                               { "7.0.0", "The reply has further addresses of nodes." }));

static const struct command *const subcommands[] = {
    &sub_addslots,
    &sub_addslotsrange,
    &sub_bumpepoch,
    &sub_count_failure_reports,
    &sub_countkeysinslot,
    &sub_delslots,
    &sub_delslotsrange,
    &sub_diff,
    &sub_failover,
    &sub_flushslots,
    &sub_forget,
    &sub_getkeysinslot,
    &sub_help,
    &sub_info,
    &sub_keyslot,
    &sub_links,
    &sub_meet,
    &sub_myid,
    &sub_myshardid,
    &sub_nodes,
    &sub_replicas,
    &sub_replicate,
    &sub_reset,
    &sub_salts,
    &sub_saveconfig,
    &sub_set_config_epoch,
    &sub_setslot,
    &sub_shards,
    &sub_slaves,
    &sub_slot_stats,
    &sub_slots,
    NULL,
};

static const struct command command_cluster = {
    .name = "cluster",
    .summary = "Commands of the cluster",
    .since = "3.0.0",
    .group = "cluster",
    .complexity = "Depends on the subcommand",
    .arity = -2,
    .flags = COMMAND_CLUSTER_ONLY,
    .subcommands = subcommands,
};
static const struct command command_asking = {
    .name = "asking",
    .summary = "Let the next command into a slot that is being imported",
    .since = "3.0.0",
    .group = "cluster",
    .complexity = "O(1)",
    .arity = 1,
    .flags = COMMAND_FAST | COMMAND_CLUSTER_ONLY,
    .acl = ACL_CONNECTION,
    .run = asking,
};
static const struct command command_readonly = {
    .name = "readonly",
    .summary = "Let this connection read from a replica",
    .since = "3.0.0",
    .group = "cluster",
    .complexity = "O(1)",
    .arity = 1,
    .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_CLUSTER_ONLY,
    .acl = ACL_CONNECTION,
    .run = allow_replica_reads,
};
static const struct command command_readwrite = {
    .name = "readwrite",
    .summary = "Send this connection's reads to the primary again",
    .since = "3.0.0",
    .group = "cluster",
    .complexity = "O(1)",
    .arity = 1,
    .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_CLUSTER_ONLY,
    .acl = ACL_CONNECTION,
    .run = forbid_replica_reads,
};

const struct command *const commands_cluster[] = { &command_cluster, &command_asking, &command_readonly,
                                                   &command_readwrite, NULL };
