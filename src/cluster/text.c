/* cluster/text.c
 *
 * The view as texts and as answers to questions. */
#include "cluster/cluster_internal.h"

static const struct {
    unsigned flag;
    const char *name;
} flag_names[] = {
    { FLAG_MYSELF, "myself" }, { FLAG_PRIMARY, "master" },
    { FLAG_REPLICA, "slave" }, { FLAG_PFAIL, "fail?" },
    { FLAG_FAIL, "fail" },     { FLAG_HANDSHAKE, "handshake" },
    { FLAG_NOADDR, "noaddr" }, { FLAG_NOFAILOVER, "nofailover" },
};

static void put_flags(const struct node *node, struct buf *out)
{
    const char *comma = "";

    for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++) {
        if (!node_is(node, flag_names[i].flag)) continue;
        buf_append_text(out, comma);
        buf_append_text(out, flag_names[i].name);
        comma = ",";
    }
    if (*comma == '\0') buf_append_text(out, "noflags");
}

static void put_address(const struct node *node, bool for_file, struct buf *out)
{
    buf_printf(out, "%s:%u@%u", node->ip, node->port, node->cport);
    if (for_file && node->shard_id[0])
        buf_printf(out, ",%s,shard-id=%s", node->hostname, node->shard_id);
    else if (node->hostname[0])
        buf_printf(out, ",%s", node->hostname);
}

/* In the file a slot that its owner has given up is nobody's. Read back as its owner's, beside an epoch that the owner took later, it
 * would count for more than the claim of whoever has it. */
static void put_slots(const struct cluster *c, const struct node *node, bool for_file, struct buf *out)
{
    uint8_t slots[SLOT_BITMAP_BYTES];

    memcpy(slots, node_slots(node), sizeof(slots));
    for (size_t i = 0; for_file && i < sizeof(slots); i++) slots[i] = (uint8_t)(slots[i] & ~c->not_claiming[i]);

    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        unsigned first = slot;
        if (slot % 8 == 0 && slots[slot / 8] == 0) {
            slot += 7;
            continue;
        }
        if (!bitmap_has(slots, slot)) continue;
        while (slot + 1 < SLOT_COUNT && bitmap_has(slots, slot + 1)) slot++;
        if (slot == first)
            buf_printf(out, " %u", first);
        else
            buf_printf(out, " %u-%u", first, slot);
    }
}

static void put_open_slots(const struct cluster *c, struct buf *out)
{
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        const struct node *to, *from;
        if (c->migrating[slot] == INDEX_NONE && c->importing[slot] == INDEX_NONE) continue;
        to = node_at_index(c, c->migrating[slot]);
        from = node_at_index(c, c->importing[slot]);
        if (to != NULL)
            buf_printf(out, " [%u->-%.40s]", slot, to->id);
        else if (from != NULL)
            buf_printf(out, " [%u-<-%.40s]", slot, from->id);
    }
}

/* What is noted of slots for ourselves alone, see state_file.c. */
static void put_notes(const struct cluster *c, struct buf *out)
{
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        const struct node *from = node_at_index(c, c->taken_from[slot]), *to = owner_node(c, (uint16_t)slot);

        if (from != NULL && moves_insists(c, from, slot)) buf_printf(out, " [%u-=-%.40s]", slot, from->id);
        if (to != NULL && bitmap_has(c->yielded, slot)) buf_printf(out, " [%u-?-%.40s]", slot, to->id);
    }
}

static uint64_t shown_epoch(const struct node *node)
{
    return node->primary != NULL ? node->primary->config_epoch : node->config_epoch;
}

void node_line(const struct cluster *c, const struct node *node, bool for_file, struct buf *out)
{
    bool linked = node == c->myself || node->outbound != 0;

    buf_printf(out, "%.40s ", node->id);
    put_address(node, for_file, out);
    buf_append_byte(out, ' ');
    put_flags(node, out);
    buf_printf(out, " %s %lld %lld %llu %s", node->primary != NULL ? node->primary->id : "-",
               for_file ? 0ll : (long long)node->ping_sent_ms, for_file ? 0ll : (long long)node->pong_received_ms,
               (unsigned long long)shown_epoch(node), for_file || linked ? "connected" : "disconnected");
    if (node->slot_count > 0) put_slots(c, node, for_file, out);
    if (node == c->myself) put_open_slots(c, out);
    if (node == c->myself && for_file) put_notes(c, out);
}

/* Solo it serves all, and was given none. */
static void shown_line(const struct cluster *c, const struct node *node, struct buf *out)
{
    node_line(c, node, false, out);
    if (c->solo && node == c->myself) buf_printf(out, " 0-%u", SLOT_COUNT - 1);
}

void cluster_node_line(const struct cluster *c, uint16_t index, struct buf *out)
{
    const struct node *node = node_at_index(c, index);

    if (node != NULL) shown_line(c, node, out);
}

void cluster_nodes_text(const struct cluster *c, struct buf *out)
{
    for (size_t i = 0; i < c->node_count; i++) {
        shown_line(c, c->nodes[i], out);
        buf_append_byte(out, '\n');
    }
}

void cluster_nodes_text_given(const struct cluster *c, struct buf *out)
{
    for (size_t i = 0; i < c->node_count; i++) {
        node_line(c, c->nodes[i], false, out);
        buf_append_byte(out, '\n');
    }
}

static void put_counts(const char *direction, const uint64_t *counts, struct buf *out)
{
    static const char *const names[MESSAGE_TYPES] = { "ping",    "pong",     "meet",        "fail",
                                                      "publish", "auth-req", "auth-ack",    "update",
                                                      "mfstart", "module",   "publishshard" };
    uint64_t total = 0;

    for (unsigned type = 0; type < MESSAGE_TYPES; type++) {
        total += counts[type];
        if (counts[type] > 0)
            buf_printf(out, "cluster_stats_messages_%s_%s:%llu\r\n", names[type], direction,
                       (unsigned long long)counts[type]);
    }
    buf_printf(out, "cluster_stats_messages_%s:%llu\r\n", direction, (unsigned long long)total);
}

void cluster_info_text(const struct cluster *c, struct buf *out)
{
    uint32_t assigned = c->solo ? SLOT_COUNT : c->assigned_count, suspected = 0, failed = 0;

    for (size_t i = 0; i < c->node_count; i++) {
        if (node_is(c->nodes[i], FLAG_FAIL))
            failed += c->nodes[i]->slot_count;
        else if (node_is(c->nodes[i], FLAG_PFAIL))
            suspected += c->nodes[i]->slot_count;
    }
    buf_printf(out,
               "cluster_state:%s\r\ncluster_slots_assigned:%u\r\ncluster_slots_ok:%u\r\ncluster_slots_pfail:%u\r\n"
               "cluster_slots_fail:%u\r\ncluster_known_nodes:%zu\r\ncluster_size:%zu\r\ncluster_current_epoch:%llu\r\n"
               "cluster_my_epoch:%llu\r\n",
               c->ok ? "ok" : "fail", assigned, assigned - suspected - failed, suspected, failed, c->node_count,
               c->solo ? (size_t)1 : view_size(c), (unsigned long long)c->current_epoch,
               (unsigned long long)shown_epoch(c->myself));
    buf_printf(out, "cluster_state_save_status:%s\r\n", c->save_failed ? "err" : "ok");
    put_counts("sent", c->sent, out);
    put_counts("received", c->received, out);
    buf_printf(out, "cluster_stats_messages_ignored:%llu\r\n", (unsigned long long)c->ignored);
}

/* --- Questions --- */

bool cluster_is_solo(const struct cluster *c)
{
    return c->solo;
}

bool cluster_state_ok(const struct cluster *c)
{
    return c->ok;
}

uint64_t cluster_epoch(const struct cluster *c)
{
    return c->current_epoch;
}

const char *cluster_my_id(const struct cluster *c)
{
    return c->myself->id;
}

const char *cluster_my_shard_id(const struct cluster *c)
{
    return c->myself->shard_id;
}

bool cluster_link_is_member(const struct cluster *c, cluster_link id)
{
    const struct link *link = link_find(c, id);
    const struct node *node = link != NULL ? node_at_index(c, link->node) : NULL;

    return node != NULL && !node_is(node, FLAG_HANDSHAKE);
}

size_t cluster_node_count(const struct cluster *c)
{
    return c->node_count;
}

static bool info_of(const struct cluster *c, const struct node *node, struct cluster_node_info *out)
{
    if (node == NULL) return false;
    *out = (struct cluster_node_info){
        .index = node->index,
        .port = node->port,
        .cport = node->cport,
        .flags = node->flags,
        .ping_sent_ms = node->ping_sent_ms,
        .pong_received_ms = node->pong_received_ms,
        .config_epoch = shown_epoch(node),
        .offset = node->offset,
        .connected = node == c->myself || node->outbound != 0,
        .is_kin = node == c->myself || node->is_ours,
        .slot_count = c->solo && node == c->myself ? SLOT_COUNT : node->slot_count,
        .outbound = node->outbound,
        .inbound = node->inbound,
        .failure_reports = node->report_count,
    };
    memcpy(out->id, node->id, sizeof(out->id));
    memcpy(out->ip, node->ip, sizeof(out->ip));
    memcpy(out->hostname, node->hostname, sizeof(out->hostname));
    memcpy(out->shard_id, node->shard_id, sizeof(out->shard_id));
    if (node->primary != NULL) memcpy(out->primary_id, node->primary->id, sizeof(out->primary_id));
    return true;
}

bool cluster_node_at(const struct cluster *c, size_t n, struct cluster_node_info *out)
{
    return n < c->node_count && info_of(c, c->nodes[n], out);
}

bool cluster_node_by_index(const struct cluster *c, uint16_t index, struct cluster_node_info *out)
{
    return info_of(c, node_at_index(c, index), out);
}

bool cluster_node_by_id(const struct cluster *c, struct bytes id, struct cluster_node_info *out)
{
    return info_of(c, node_find_bytes(c, id), out);
}

int cluster_slot_owner(const struct cluster *c, uint16_t slot)
{
    if (slot >= SLOT_COUNT) return -1;
    if (c->solo) return c->myself->index;
    return c->owner[slot] == INDEX_NONE ? -1 : c->owner[slot];
}

const struct cluster_options *cluster_current_options(const struct cluster *c)
{
    return &c->options;
}
