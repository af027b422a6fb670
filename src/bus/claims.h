/* bus/claims.h: who waits until others can hear that a slot is ours, or until one may begin to move (cluster/announce.c). */
#pragma once

#include "base/list.h"
#include "base/lock.h"

#include <stdatomic.h>

struct bus_claim;
struct cluster;

struct claims {
    struct list waiting; /* under the bus's lock */
    _Atomic bool any;    /* changed under it, read without */
};

void claims_init(struct claims *claims);
/* With the lock held. */
bool claim_is_settled(struct bus_claim *claim, const struct cluster *cluster);
/* Both take the lock. Without it settled() is called: of one that is added and has nothing to wait for it is not; false then. */
bool claims_add(struct claims *claims, struct bus_claim *claim, struct lock *lock, const struct cluster *cluster);
/* Settles those that are heard of by now, or all. */
void claims_settle(struct claims *claims, bool all, struct lock *lock, const struct cluster *cluster);
