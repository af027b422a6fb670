/* cluster/announce.c
 *
 * What headers tell of ourselves: the epochs and the slots as they are on disk, not as they are in memory. A node that told a new epoch
 * first and crashed before it was written would come back with the old one and could give the same number to something else.
 *
 *     memory      changes at once, and is what clients are served by
 *     unsaved     as it was when a save was asked for
 *     durable     as the newest save that is known to have succeeded; this is what others hear
 *
 * So a disk that is slow delays a claim, and a disk that is full prevents it; neither delays a heartbeat.
 *
 * An id is no different: somebody who met the new one and sees the old one come back after a crash would keep a node that never was. A
 * node that has a new one therefore says nothing at all, and opens no link, until it is on disk.
 *
 * Saves may be asked for faster than the disk writes them, and replace each other then. Two unsaved states are enough: the one that is
 * being written, and the newest. One between them was replaced, or it is told a little later, as part of the next. */
#include "cluster/cluster_internal.h"

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
    c->durable = in_memory(c);
}

void announce_forget(struct cluster *c)
{
    c->durable = c->being_saved = c->newest_unsaved = (struct announcement){ 0 };
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

    return is_same(&c->durable, &now);
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
    struct announcement told = c->durable;

    /* What is not ours any more is not claimed, whether or not its loss is on disk: to claim too little is safe. */
    told.current_epoch = smaller(told.current_epoch, c->current_epoch);
    told.config_epoch = smaller(told.config_epoch, c->myself->config_epoch);
    for (size_t i = 0; i < sizeof(told.slots); i++) told.slots[i] &= mine[i];
    return told;
}
