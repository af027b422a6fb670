/* cluster/announce.c
 *
 * What headers tell of ourselves: the epochs and the slots as they are on disk, not as they are in memory. A node that told a new epoch
 * first and crashed before it was written would come back with the old one and could give the same number to something else.
 *
 *     memory      changes at once, and is what clients are served by
 *     unsaved     as it was when a save was asked for
 *     durable     as the newest save that is known to have succeeded
 *     told        what others hear: the same, or for a moment what it was before
 *
 * So a disk that is slow delays a claim, and a disk that is full prevents it; neither delays a heartbeat.
 *
 * An id is no different: somebody who met the new one and sees the old one come back after a crash would keep a node that never was. A
 * node that has a new one therefore says nothing at all, and opens no link, until it is on disk.
 *
 * Durable and told are two where a slot of ours leaves for a Redis node. That one takes it with the next epoch after those it has heard of, and would
 * give it back, and drop its keys, at the first header that claims the slot with a higher one: ours, on its way to it, or an UPDATE of a third node
 * that has heard ours. So nobody hears of a claim with an epoch before that node has heard of the epoch. It does by the current epoch, which
 * is always told as it is on disk; once its own is as high whatever it takes is taken with a higher one. And a slot begins to leave, as far as the
 * operator is told, when its target has heard of what we have told already. Both wait for a node that answers: for one that is suspected, or says
 * nothing new for a node timeout, they do not.
 *
 * Saves may be asked for faster than the disk writes them, and replace each other then. Two unsaved states are enough: the one that is
 * being written, and the newest. One between them was replaced, or it is told a little later, as part of the next. */
#include "cluster/cluster_internal.h"

#include "cluster/message.h"
#include "cluster/open.h"

#define NOT_ASKED_FOR UINT64_MAX /* no save has the new identity yet */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool is_same(const struct announcement *a, const struct announcement *b)
{
    return a->current_epoch == b->current_epoch && a->config_epoch == b->config_epoch &&
           memcmp(a->slots, b->slots, sizeof(a->slots)) == 0;
}

static struct announcement in_memory(const struct cluster *c)
{
    struct announcement now = { .sequence = c->save_sequence,
                                .current_epoch = c->current_epoch,
                                .config_epoch = c->myself->config_epoch };

    memcpy(now.slots, node_slots(c->myself), sizeof(now.slots));
    return now;
}

void announce_loaded(struct cluster *c)
{
    c->told = c->durable = in_memory(c);
}

void announce_forget(struct cluster *c)
{
    c->told = c->durable = c->being_saved = c->newest_unsaved = (struct announcement){ 0 };
    c->withheld_ms = 0;
    c->identity_sequence = NOT_ASKED_FOR;
}

bool announce_may_speak(const struct cluster *c)
{
    return c->identity_sequence == 0;
}

void announce_saving(struct cluster *c)
{
    struct announcement now = in_memory(c);
    const struct announcement *latest = c->newest_unsaved.sequence != 0 ? &c->newest_unsaved
                                        : c->being_saved.sequence != 0  ? &c->being_saved
                                                                        : &c->durable;

    if (c->identity_sequence == NOT_ASKED_FOR) c->identity_sequence = c->save_sequence;
    if (is_same(latest, &now)) return;
    if (c->being_saved.sequence == 0)
        c->being_saved = now;
    else
        c->newest_unsaved = now;
}

void announce_saved(struct cluster *c, uint64_t sequence)
{
    if (sequence >= c->identity_sequence) c->identity_sequence = 0;
    if (c->being_saved.sequence == 0 || c->being_saved.sequence > sequence) return;
    c->durable = c->being_saved;
    c->being_saved = c->newest_unsaved;
    c->newest_unsaved = (struct announcement){ 0 };
    announce_saved(c, sequence);
}

bool announce_is_current(const struct cluster *c)
{
    struct announcement now = in_memory(c);

    return is_same(&c->durable, &now) && c->told.sequence == c->durable.sequence;
}

/* --- Redis nodes for which slots of ours leave --- */

/* Might it take a slot with no higher epoch than this? It need not have heard of ours where it has the same, and takes no other then. Whoever cannot be reached does not hear
 * of it however long we wait. */
static bool may_not_know(const struct node *node, uint64_t epoch)
{
    if (node->is_ours || node_is(node, FLAG_PFAIL | FLAG_FAIL | FLAG_NOADDR)) return false;
    return node->said_epoch < epoch || node->config_epoch == epoch;
}

static void ask(struct cluster *c, struct node *node, uint64_t epoch, int64_t now_ms, struct effects *e)
{
    if (node->asked_epoch >= epoch || node->outbound == 0) return;
    node->asked_epoch = epoch;
    gossip_send(c, MESSAGE_PING, node->outbound, node, now_ms, e);
}

/* Asks them all. */
static bool is_unheard(struct cluster *c, uint64_t epoch, int64_t now_ms, struct effects *e)
{
    bool any = false;

    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        struct node *target = c->migrating[slot] != INDEX_NONE ? node_at_index(c, c->migrating[slot]) : NULL;

        if (target == NULL || !may_not_know(target, epoch)) continue;
        ask(c, target, epoch, now_ms, e);
        any = true;
    }
    return any;
}

bool announce_settle(struct cluster *c, int64_t now_ms, struct effects *e)
{
    bool withheld = c->withheld_ms != 0;

    if (c->told.sequence == c->durable.sequence) return false;
    if (c->durable.config_epoch > c->told.config_epoch && is_unheard(c, c->durable.config_epoch, now_ms, e)) {
        if (!withheld) c->withheld_ms = now_ms;
        if (now_ms - c->withheld_ms <= c->options.node_timeout_ms) return false;
        emit_log(e, LOG_WARNING,
                 "epoch: %llu is told although a node for which slots leave has not been heard with it for a node "
                 "timeout",
                 (unsigned long long)c->durable.config_epoch);
    }
    c->told = c->durable;
    c->withheld_ms = 0;
    return withheld;
}

bool cluster_may_move(const struct cluster *c, uint16_t slot, int64_t now_ms)
{
    bool leaves = c->migrating[slot] != INDEX_NONE;
    const struct node *other = leaves                             ? node_at_index(c, c->migrating[slot])
                               : c->importing[slot] != INDEX_NONE ? node_at_index(c, c->importing[slot])
                                                                  : NULL;
    uint64_t epoch;

    if (other == NULL || other->is_ours || now_ms - cluster_slot_worked_ms(c, slot) > c->options.node_timeout_ms)
        return true;
    if (node_is(other, FLAG_PFAIL | FLAG_FAIL | FLAG_NOADDR)) return true;
    if (!leaves) return !bitmap_has(c->not_heard, slot) || c->owner[slot] != other->index;
    epoch = c->told.config_epoch > c->since_epoch[slot] ? c->told.config_epoch : c->since_epoch[slot];
    return !may_not_know(other, epoch) && !moves_insists(c, other, slot);
}

bool cluster_is_unsaved(const struct cluster *c, uint16_t slot)
{
    return c->save_failed && bitmap_has(node_slots(c->myself), slot) && !bitmap_has(c->durable.slots, slot);
}

bool cluster_is_announced(const struct cluster *c, uint16_t slot)
{
    struct announcement told = announce_now(c);

    if (!bitmap_has(node_slots(c->myself), slot) || c->save_failed) return true;
    return bitmap_has(told.slots, slot) && told.config_epoch == c->myself->config_epoch;
}

struct announcement announce_now(const struct cluster *c)
{
    const uint8_t *mine = node_slots(c->myself);
    struct announcement told = c->told;

    /* What is not ours any more is not claimed, whether or not its loss is on disk: to claim too little is safe. */
    told.current_epoch = smaller(c->durable.current_epoch, c->current_epoch);
    told.config_epoch = smaller(told.config_epoch, c->myself->config_epoch);
    for (size_t i = 0; i < sizeof(told.slots); i++) told.slots[i] &= mine[i];
    return told;
}
