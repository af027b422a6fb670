/* cluster/commands.c
 *
 * What an operator asks for. The checks come in the order, and the refusals in the words, that redis-cli and its scripts know. */
#include "cluster/cluster_internal.h"
#include "cluster/message.h"
#include "cluster/open.h"

#include <arpa/inet.h>
#include <stdio.h>

#define SHOWN_BYTES_MAX 128

__attribute__((format(printf, 2, 3))) static void refuse(cluster_error error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, CLUSTER_ERROR_BYTES, format, args);
    va_end(args);
    /* The arguments it quotes came from a client: what would break a reply's line goes. */
    for (char *at = error; *at; at++)
        if (*at == '\r' || *at == '\n') *at = ' ';
}

static int shown(struct bytes text)
{
    return text.len > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)text.len;
}

static bool is_mine(const struct cluster *c, uint16_t slot)
{
    return c->solo || c->owner[slot] == c->myself->index;
}

/* A node that is past its handshake, or NULL. */
static struct node *named(const struct cluster *c, struct bytes id)
{
    struct node *node = node_find_bytes(c, id);

    return node != NULL && !node_is(node, FLAG_HANDSHAKE) ? node : NULL;
}

static bool read_ip(struct bytes text, char out[INET6_ADDRSTRLEN])
{
    char given[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];

    if (text.len >= sizeof(given) || memchr(text.data, '\0', text.len) != NULL) return false;
    memcpy(given, text.data, text.len);
    given[text.len] = '\0';
    for (int family = AF_INET;; family = AF_INET6) {
        if (inet_pton(family, given, address) == 1) return inet_ntop(family, address, out, INET6_ADDRSTRLEN) != NULL;
        if (family == AF_INET6) return false;
    }
}

static bool is_port(int64_t port)
{
    return port > 0 && port <= UINT16_MAX;
}

void cluster_meet(struct cluster *c, struct bytes ip, int64_t port, int64_t cport, int64_t now_ms, struct effects *e,
                  cluster_error error)
{
    char address[INET6_ADDRSTRLEN];
    bool exists;

    error[0] = '\0';
    if (!is_port(port) || !is_port(cport) || !read_ip(ip, address)) {
        refuse(error, "ERR Invalid node address specified: %.*s:%lld", shown(ip), ip.data, (long long)port);
        return;
    }
    if (handshake_start(c, address, (uint16_t)port, (uint16_t)cport, FLAG_MEET, now_ms, &exists) == NULL && !exists) {
        refuse(error, "ERR Too many nodes are known or being met");
        return;
    }
    view_end_solo(c, e);
    c->view_dirty = true;
    cluster_settle(c, true, now_ms, e);
}

/* Each slot once, and none that is busy already (or, to delete, that nobody has). */
static bool check_slots(const struct cluster *c, const uint16_t *slots, size_t count, bool adding, cluster_error error)
{
    uint8_t seen[SLOT_BITMAP_BYTES] = { 0 };

    for (size_t i = 0; i < count; i++) {
        if (slots[i] < SLOT_COUNT) continue;
        refuse(error, "ERR Invalid or out of range slot");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        bool assigned = c->owner[slots[i]] != INDEX_NONE;
        /* Alone, all are ours yet none was given to us: each can be given, and each can be taken away. */
        if (adding && assigned) {
            refuse(error, "ERR Slot %u is already busy", slots[i]);
            return false;
        }
        if (!adding && !assigned && !c->solo) {
            refuse(error, "ERR Slot %u is already unassigned", slots[i]);
            return false;
        }
        if (bitmap_has(seen, slots[i])) {
            refuse(error, "ERR Slot %u specified multiple times", slots[i]);
            return false;
        }
        bitmap_set(seen, slots[i]);
    }
    return true;
}

void cluster_add_slots(struct cluster *c, const uint16_t *slots, size_t count, int64_t now_ms, struct effects *e,
                       cluster_error error)
{
    error[0] = '\0';
    if (!check_slots(c, slots, count, true, error)) return;
    /* Those that were served all along do not become nobody's for a moment. */
    for (size_t i = 0; c->solo && i < count; i++) bitmap_set(c->kept, slots[i]);
    view_end_solo(c, e);
    for (size_t i = 0; i < count; i++) {
        slot_bind(c, slots[i], c->myself, e);
        slot_set_importing(c, slots[i], INDEX_NONE, e);
    }
    cluster_settle(c, true, now_ms, e);
}

void cluster_del_slots(struct cluster *c, const uint16_t *slots, size_t count, int64_t now_ms, struct effects *e,
                       cluster_error error)
{
    error[0] = '\0';
    if (!check_slots(c, slots, count, false, error)) return;
    /* Who takes some away from a node that serves all wants the others to stay. */
    if (c->solo) memset(c->kept, 0xff, sizeof(c->kept));
    view_end_solo(c, e);
    for (size_t i = 0; i < count; i++) {
        slot_bind(c, slots[i], NULL, e);
        slot_set_importing(c, slots[i], INDEX_NONE, e);
    }
    cluster_settle(c, true, now_ms, e);
}

void cluster_flush_slots(struct cluster *c, bool keys, int64_t now_ms, struct effects *e, cluster_error error)
{
    error[0] = '\0';
    if (keys) {
        refuse(error, "ERR DB must be empty to perform CLUSTER FLUSHSLOTS.");
        return;
    }
    memset(c->kept, 0, sizeof(c->kept));
    memset(c->yielded, 0, sizeof(c->yielded));
    view_end_solo(c, e);
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
        if (c->owner[slot] == c->myself->index) slot_bind(c, (uint16_t)slot, NULL, e);
    cluster_settle(c, true, now_ms, e);
}

void cluster_set_config_epoch(struct cluster *c, int64_t epoch, int64_t now_ms, struct effects *e, cluster_error error)
{
    error[0] = '\0';
    if (epoch < 0) {
        refuse(error, "ERR Invalid config epoch specified: %lld", (long long)epoch);
        return;
    }
    if (c->node_count > 1) {
        refuse(error, "ERR The user can assign a config epoch only when the node does not know any other node.");
        return;
    }
    if (c->myself->config_epoch != 0) {
        refuse(error, "ERR Node config epoch is already non-zero");
        return;
    }
    view_end_solo(c, e);
    c->myself->config_epoch = (uint64_t)epoch;
    if (c->current_epoch < c->myself->config_epoch) c->current_epoch = c->myself->config_epoch;
    c->view_dirty = true;
    cluster_save_later(c, SAVE_SYNC);
    cluster_settle(c, true, now_ms, e);
}

bool cluster_bump_epoch(struct cluster *c, uint64_t *epoch, int64_t now_ms, struct effects *e)
{
    /* An operator's word that this node's claims are the newest. */
    bool bumped = epoch_bump(c, 0, SLOT_COUNT - 1, e);

    *epoch = c->myself->config_epoch;
    moves_confirm(c, 0, SLOT_COUNT - 1);
    cluster_settle(c, true, now_ms, e);
    return bumped;
}

/* The other end of a slot's move, or NULL with the refusal. */
static struct node *move_partner(const struct cluster *c, struct bytes id, cluster_error error)
{
    struct node *node = named(c, id);

    if (node == NULL)
        refuse(error, "ERR I don't know about node %.*s", shown(id), id.data);
    else if (!node_is_primary(node))
        refuse(error, "ERR Target node is not a master");
    /* A slot that moves to where it is would send its clients in a circle. */
    else if (node == c->myself)
        refuse(error, "ERR Target node is myself");
    else
        return node;
    return NULL;
}

/* Whatever comes of it: somebody works on the slot. */
static bool check_slot(struct cluster *c, uint16_t slot, int64_t now_ms, cluster_error error)
{
    error[0] = '\0';
    if (slot < SLOT_COUNT) {
        cluster_slot_worked(c, slot, now_ms);
        return true;
    }
    refuse(error, "ERR Invalid or out of range slot");
    return false;
}

/* With no key left here, and its target about to own it, it must not be served here again. */
static bool check_not_handed_over(const struct cluster *c, uint16_t slot, cluster_error error)
{
    if (slot != c->handed_over) return true;
    refuse(error, "ERR Hash slot %u is just being handed over to its target: try again", slot);
    return false;
}

/* The other end of a move, for whose word the operator waits. */
static void ask_if_need_be(struct cluster *c, uint16_t slot, struct node *other, int64_t now_ms, struct effects *e)
{
    if (cluster_may_move(c, slot, now_ms) || other->outbound == 0) return;
    gossip_send(c, MESSAGE_PING, other->outbound, other, now_ms, e);
}

void cluster_setslot_migrating(struct cluster *c, uint16_t slot, struct bytes node, int64_t now_ms, struct effects *e,
                               cluster_error error)
{
    struct node *target;

    if (!check_slot(c, slot, now_ms, error)) return;
    if (!is_mine(c, slot)) {
        refuse(error, "ERR I'm not the owner of hash slot %u", slot);
        return;
    }
    if (!check_not_handed_over(c, slot, error)) return;
    target = move_partner(c, node, error);
    if (target == NULL) return;
    moves_leaves(c, slot, target);
    slot_set_migrating(c, slot, target->index, e);
    cluster_settle(c, true, now_ms, e);
    ask_if_need_be(c, slot, target, now_ms, e);
}

void cluster_setslot_importing(struct cluster *c, uint16_t slot, struct bytes node, int64_t now_ms, struct effects *e,
                               cluster_error error)
{
    struct node *source;

    if (!check_slot(c, slot, now_ms, error)) return;
    if (is_mine(c, slot)) {
        refuse(error, "ERR I'm already the owner of hash slot %u", slot);
        return;
    }
    source = move_partner(c, node, error);
    if (source == NULL) return;
    if (bitmap_has(c->yielded, slot)) {
        refuse(error,
               "ERR Keys of hash slot %u are kept here until its owner says that it has the slot: try again, or say so "
               "with "
               "CLUSTER SETSLOT %u NODE",
               slot, slot);
        return;
    }
    slot_set_importing(c, slot, source->index, e);
    cluster_settle(c, true, now_ms, e);
    ask_if_need_be(c, slot, source, now_ms, e);
}

void cluster_setslot_stable(struct cluster *c, uint16_t slot, int64_t now_ms, struct effects *e, cluster_error error)
{
    if (!check_slot(c, slot, now_ms, error) || !check_not_handed_over(c, slot, error)) return;
    slot_set_migrating(c, slot, INDEX_NONE, e);
    slot_set_importing(c, slot, INDEX_NONE, e);
    c->yielded_leaving[slot] = INDEX_NONE;
    cluster_settle(c, true, now_ms, e);
}

void cluster_setslot_node(struct cluster *c, uint16_t slot, struct bytes id, uint64_t keys, int64_t now_ms,
                          struct effects *e, cluster_error error)
{
    struct node *node;
    uint16_t source;
    bool imported, mine;

    if (!check_slot(c, slot, now_ms, error)) return;
    node = named(c, id);
    if (node == NULL) {
        refuse(error, "ERR Unknown node %.*s", shown(id), id.data);
        return;
    }
    if (!node_is_primary(node)) {
        refuse(error, "ERR Target node is not a master");
        return;
    }
    if (is_mine(c, slot) && node != c->myself && keys > 0) {
        refuse(error, "ERR Can't assign hashslot %u to a different node while I still hold keys for this hash slot.",
               slot);
        return;
    }
    if (node == c->myself && !is_mine(c, slot) && c->save_failed) {
        refuse(error, "ERR The state of this node cannot be saved: it takes no slot until it can be");
        return;
    }
    view_end_solo(c, e);
    imported = c->importing[slot] != INDEX_NONE;
    if (keys == 0) slot_set_migrating(c, slot, INDEX_NONE, e);
    source = c->importing[slot];
    mine = c->owner[slot] == c->myself->index;
    slot_bind(c, slot, node, e); /* and what was imported has arrived, if it is ours now */
    if (mine && node != c->myself) moves_gave(c, slot, node);
    moves_confirm(c, slot, slot);
    if (node == c->myself && imported) {
        moves_took(c, slot, source);
        /* Ours by the operator's word: the new epoch makes it win everywhere, and all hear of it as soon as it is on disk. */
        if (epoch_bump(c, slot, slot, e))
            emit_log(e, LOG_NOTICE, "slot %u: imported, my epoch is %llu now", slot,
                     (unsigned long long)c->myself->config_epoch);
        cluster_settle(c, true, now_ms, e);
        if (announce_is_current(c))
            gossip_broadcast_pong(c, now_ms, e);
        else
            c->tell_all = true;
        return;
    }
    cluster_settle(c, true, now_ms, e);
}

void cluster_forget(struct cluster *c, struct bytes id, int64_t now_ms, struct effects *e, cluster_error error)
{
    struct node *node = node_find_bytes(c, id);

    error[0] = '\0';
    /* Another node's word may have been here before the operator's: it is done. */
    if (node == NULL && id.len == NODE_ID_BYTES && blacklist_has(c, id.data, now_ms)) return;
    if (node == NULL) {
        refuse(error, "ERR Unknown node %.*s", shown(id), id.data);
        return;
    }
    if (node == c->myself) {
        refuse(error, "ERR I tried hard but I can't forget myself...");
        return;
    }
    if (node == c->myself->primary) {
        refuse(error, "ERR Can't forget my master!");
        return;
    }
    blacklist_add(c, node->id, now_ms, BLACKLIST_MS, false);
    node_remove(c, node, now_ms, e);
    c->state_dirty = true;
    cluster_save_later(c, SAVE_SOON);
    cluster_settle(c, true, now_ms, e);
}

void cluster_reset(struct cluster *c, bool hard, bool keys, int64_t now_ms, struct effects *e, cluster_error error)
{
    struct node *me = c->myself;

    error[0] = '\0';
    if (keys) {
        refuse(error, "ERR CLUSTER RESET can't be called with master nodes containing keys");
        return;
    }
    memset(c->kept, 0, sizeof(c->kept));
    view_end_solo(c, e);
    while (c->node_count > 1) node_remove(c, c->nodes[c->node_count - 1], now_ms, e);
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        slot_set_migrating(c, (uint16_t)slot, INDEX_NONE, e);
        slot_set_importing(c, (uint16_t)slot, INDEX_NONE, e);
        slot_bind(c, (uint16_t)slot, NULL, e);
    }
    c->blacklist_count = 0;
    if (hard) {
        char id[NODE_ID_BYTES + 1];
        id_random(c, id);
        emit_log(e, LOG_NOTICE, "cluster: reset, I was %.40s and am %.40s now", me->id, id);
        node_rename(c, me, id);
        id_random(c, me->shard_id);
        c->current_epoch = c->last_vote_epoch = me->config_epoch = 0;
        announce_forget(c);
    }
    c->state_dirty = c->view_dirty = true;
    cluster_save_later(c, SAVE_SYNC);
    cluster_settle(c, true, now_ms, e);
}
