/* bus/sweep.h
 *
 * Drops the keys of slots this node has lost. The control loop, which hears of the loss, takes no slot lock; a mover does, one slot
 * at a time. */
#pragma once

#include "store/keyspace.h"

struct lazyfree;
struct movers;
struct sweep;

struct sweep *sweep_new(struct keyspace *keyspace, struct movers *movers, struct lazyfree *lazyfree);
/* Waits for nothing; any thread, also under a slot's lock. */
void sweep_drop(struct sweep *sweep, uint16_t slot);
/* Ends it, waiting for a slot that is just being dropped; what was not dropped yet stays. */
void sweep_free(struct sweep **sweep);
