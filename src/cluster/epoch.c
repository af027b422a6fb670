/* cluster/epoch.c
 *
 * currentEpoch is the cluster's logical clock: the highest number anybody has said. configEpoch says how recent a node's claim to
 * its slots is. Neither ever goes back. */
#include "cluster/cluster_internal.h"

/* A jump this large is no cluster's history; it is worth a look at who said it. */
#define EPOCH_JUMP (1u << 20)

void epoch_saw(struct cluster *c, const struct node *sender, uint64_t current, struct effects *e)
{
    if (current <= c->current_epoch) return;
    if (current - c->current_epoch > EPOCH_JUMP)
        emit_log(e, LOG_WARNING, "epoch: %.40s raised it from %llu to %llu", sender->id,
                 (unsigned long long)c->current_epoch, (unsigned long long)current);
    c->current_epoch = current;
    cluster_save_later(c, SAVE_SOON);
}

static uint64_t epoch_highest(const struct cluster *c)
{
    uint64_t highest = c->current_epoch;

    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i]->config_epoch > highest) highest = c->nodes[i]->config_epoch;
    return highest;
}

static void take_next(struct cluster *c, struct effects *e)
{
    c->current_epoch++;
    c->myself->config_epoch = c->current_epoch;
    c->view_dirty = true;
    /* At once, for nobody hears of the new epoch before it is on disk (announce.c): until then heartbeats tell the one before. */
    cluster_persist_now(c, true, e);
}

/* Without asking anybody, as the wire has it: an operator's word stands behind it. */
bool epoch_bump(struct cluster *c, struct effects *e)
{
    uint64_t highest = epoch_highest(c);

    if (c->myself->config_epoch != 0 && c->myself->config_epoch == highest) return false;
    /* The highest epoch there can be was refused on the wire; this only keeps a damaged member from making us overflow. */
    if (highest >= EPOCH_MAX) return false;
    if (c->current_epoch < highest) c->current_epoch = highest;
    take_next(c, e);
    return true;
}

/* Two primaries with one epoch: neither's claims would win. The one with the smaller id moves on, the other stays. */
void epoch_collision(struct cluster *c, const struct node *sender, uint64_t epoch, struct effects *e)
{
    if (!node_is_primary(sender) || !node_is_primary(c->myself) || epoch != c->myself->config_epoch) return;
    if (memcmp(sender->id, c->myself->id, NODE_ID_BYTES) <= 0) return;
    if (c->current_epoch >= EPOCH_MAX) return;
    take_next(c, e);
    emit_log(e, LOG_NOTICE, "epoch: %.40s has mine, so mine is %llu now", sender->id,
             (unsigned long long)c->myself->config_epoch);
}
