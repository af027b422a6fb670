/* cluster/epoch.c
 *
 * currentEpoch is the cluster's logical clock: the highest number anybody has said. configEpoch says how recent a node's claim to
 * its slots is. Neither ever goes back. */
#include "cluster/cluster_internal.h"

/* A jump this large is no cluster's history; it is worth a look at who said it. */
#define EPOCH_JUMP (1u << 20)
#define DISPUTE_TIMEOUTS 4 /* then it does not end by itself */

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

/* Nobody else has it either: then what is claimed with it wins already. */
static bool is_highest(const struct cluster *c, uint64_t epoch, uint64_t highest)
{
    if (epoch == 0 || epoch != highest) return false;
    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i] != c->myself && node_is_primary(c->nodes[i]) && c->nodes[i]->config_epoch == epoch)
            return false;
    return true;
}

/* Slots from first to last are taken with it. */
static void take_next(struct cluster *c, unsigned first, unsigned last, struct effects *e)
{
    c->current_epoch++;
    c->myself->config_epoch = c->current_epoch;
    c->view_dirty = true;
    moves_confirm(c, first, last);
    /* At once, for nobody hears of the new epoch before it is on disk (announce.c): until then heartbeats tell the one before. */
    cluster_persist_now(c, true, e);
}

/* Without asking anybody, as the wire has it: an operator's word stands behind it. */
bool epoch_bump(struct cluster *c, unsigned first, unsigned last, struct effects *e)
{
    uint64_t highest = epoch_highest(c);

    if (is_highest(c, c->myself->config_epoch, highest)) return false;
    /* The highest epoch there can be was refused on the wire; this only keeps a damaged member from making us overflow. */
    if (highest >= EPOCH_MAX) return false;
    if (c->current_epoch < highest) c->current_epoch = highest;
    take_next(c, first, last, e);
    return true;
}

/* Both of us claim one slot, so who takes the next epoch has it. */
static bool is_disputed(const struct cluster *c, const uint8_t *slots)
{
    const uint8_t *mine = node_slots(c->myself);

    for (size_t i = 0; i < SLOT_BITMAP_BYTES; i++)
        if (slots[i] & mine[i]) return true;
    return false;
}

static void log_disputed(struct cluster *c, struct node *other, int64_t now_ms, struct effects *e)
{
    uint64_t epoch = c->myself->config_epoch;

    if (other->disputed_epoch != epoch) {
        other->disputed_epoch = epoch;
        other->disputed_ms = now_ms;
    }
    if (other->disputed_ms == 0 || now_ms - other->disputed_ms < c->options.node_timeout_ms * DISPUTE_TIMEOUTS) return;
    other->disputed_ms = 0;
    emit_log(e, LOG_WARNING,
             "slots: %.40s and I claim some of the same with one epoch, %llu: nothing changes until an operator says "
             "whose "
             "they are (CLUSTER DIFF, CLUSTER SETSLOT ... NODE)",
             other->id, (unsigned long long)epoch);
}

/* Two primaries with one epoch: neither's claims would win. By the wire's rule the one with the smaller id moves on, the other stays.
 *
 * Where both claim one slot that would decide who has it, by nothing but the ids: a former owner with the smaller one would take back what
 * was moved from it, and its keys be gone. Between our own nobody moves on then: who took it later has it, and says so (moves.c). */
void epoch_collision(struct cluster *c, struct node *sender, uint64_t epoch, const uint8_t *slots, int64_t now_ms,
                     struct effects *e)
{
    if (!node_is_primary(sender) || !node_is_primary(c->myself) || epoch != c->myself->config_epoch) return;
    if (c->current_epoch >= EPOCH_MAX) return;
    if (sender->is_ours && is_disputed(c, slots)) {
        log_disputed(c, sender, now_ms, e);
        return;
    }
    /* Nor does it move on as long as ours is withheld from it (announce.c). */
    if (memcmp(sender->id, c->myself->id, NODE_ID_BYTES) <= 0 && c->withheld_ms == 0) return;
    take_next(c, NO_SLOTS, e);
    emit_log(e, LOG_NOTICE, "epoch: %.40s has mine, so mine is %llu now", sender->id,
             (unsigned long long)c->myself->config_epoch);
}
