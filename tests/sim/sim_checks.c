/* sim/sim_checks.c: what must always hold, see sim.h. */
#include "sim/sim_internal.h"

#include <string.h>

void sim_check_epochs(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];
    struct cluster_node_info me;

    cluster_node_at(node->core, 0, &me);
    if (strcmp(me.id, node->id) != 0) {
        memcpy(node->id, me.id, sizeof(node->id));
        node->config_epoch = node->current_epoch = 0;
    }
    if (cluster_epoch(node->core) < node->current_epoch) sim_broken(sim, n, "its current epoch went back");
    node->current_epoch = cluster_epoch(node->core);
    if (me.config_epoch < node->config_epoch) sim_broken(sim, n, "its config epoch went back");
    node->config_epoch = me.config_epoch;
}

void sim_check_owner(struct sim *sim, size_t n, uint16_t slot)
{
    struct sim_node *node = sim->nodes[n];
    struct owner owner = owner_unpack(node->owners[slot]);
    int index = cluster_slot_owner(node->core, slot);
    struct cluster_node_info me;
    enum owner_state state;

    cluster_node_at(node->core, 0, &me);
    state = index < 0 ? OWNER_NOBODY : index == me.index ? OWNER_HERE : OWNER_ELSEWHERE;
    if (owner.state != state || (index >= 0 && owner.node != (uint16_t)index))
        sim_broken(sim, n, "a slot's owner word is not what its view says");
}

/* A word about ourselves that a crash would take back was given too early. */
void sim_check_told(const struct sim *sim, size_t n, struct bytes packet)
{
    const struct sim_node *node = sim->nodes[n];
    struct message message;

    if (message_decode(packet, &message) != MESSAGE_OK) sim_broken(sim, n, "sends what it would not read");
    if (message.current_epoch > node->durable.current_epoch || message.config_epoch > node->durable.config_epoch)
        sim_broken(sim, n, "tells an epoch that is not on disk");
    for (size_t i = 0; i < sizeof(node->durable.slots); i++)
        if (message.slots[i] & ~node->durable.slots[i]) sim_broken(sim, n, "claims a slot that is not its own on disk");
    if (message.type == MESSAGE_UPDATE && memcmp(message.subject, node->id, NODE_ID_BYTES) == 0 &&
        message.subject_epoch > node->durable.config_epoch)
        sim_broken(sim, n, "tells an epoch that is not on disk in an UPDATE");
}

/* Who has heard, from a node he knows, of a newer claim to a slot of his does not serve it any more. */
void sim_check_deposed(struct sim *sim, size_t n, const struct message *message)
{
    const struct sim_node *node = sim->nodes[n];
    struct cluster_node_info me;

    cluster_node_at(node->core, 0, &me);
    if (message->config_epoch <= me.config_epoch) return;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        struct owner owner;

        if (message->slots[slot / 8] == 0) {
            slot += 7;
            continue;
        }
        if ((message->slots[slot / 8] >> (slot % 8) & 1) == 0) continue;
        owner = owner_unpack(node->owners[slot]);
        if (owner.state == OWNER_HERE) sim_broken(sim, n, "serves a slot after it has heard of a newer claim to it");
    }
}

/* A packet makes a node drop the keys of a slot only where its sender says of itself that it has it, with a newer epoch: what a third node says
 * may be what was so long ago, and no tie is broken by ids (between nodes of one kind, as all are here). */
void sim_check_dropped(const struct sim *sim, size_t n, uint16_t slot)
{
    const struct message *message = sim->nodes[n]->hearing;

    /* Nodes of our kind say to each other who took it later, see cluster/moves.c. */
    if (message == NULL || message->type == MESSAGE_MODULE) return;
    if ((message->slots[slot / 8] >> (slot % 8) & 1) == 0)
        sim_broken(sim, n, "drops keys of a slot that the sender of a packet does not claim");
    if (message->config_epoch <= sim->nodes[n]->left_epoch[slot])
        sim_broken(sim, n, "drops keys of a slot that is claimed with no newer epoch than its own was");
}
