/* bus/sweep.h
 *
 * Drops the keys of slots this node has lost. The control loop, which hears of the loss, takes no slot lock; a mover does, one slot
 * at a time. A slot that comes back sooner than that loses them before it has new ones. */
#pragma once

#include "store/keyspace.h"

struct graveyard;
struct lazyfree;
struct movers;
struct slot;
struct sweep;

struct sweep *sweep_new(struct keyspace *keyspace, struct movers *movers, struct lazyfree *lazyfree);
/* Waits for nothing; any thread, also under a slot's lock. */
void sweep_drop(struct sweep *sweep, uint16_t slot);
/* With the slot locked, by who makes it ours or lets it be imported, in the same step: takes the keys out that were about to be dropped; NULL: there
 * was nothing to drop. */
struct graveyard *sweep_take(struct sweep *sweep, struct slot *slot);
/* Ends it, waiting for a slot that is just being dropped; what was not dropped yet stays. */
void sweep_free(struct sweep **sweep);
