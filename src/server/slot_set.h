/* server/slot_set.h
 *
 * The slots one call locks, in ascending order, which is the order they are taken in: two calls that need some of the same
 * slots never wait for each other in a ring. One slot, the usual case, needs no memory. */
#pragma once

#include "store/keyspace.h"

struct slot_set {
    uint16_t *ids; /* ascending, distinct; inline_ids or allocated */
    size_t count, cap;
    uint16_t inline_ids[4];
};

void slot_set_init(struct slot_set *set);
void slot_set_free(struct slot_set *set);
void slot_set_add(struct slot_set *set, uint16_t id);
void slot_set_add_all(struct slot_set *set);
bool slot_set_has(const struct slot_set *set, uint16_t id);
void slot_set_lock(const struct slot_set *set, struct keyspace *keyspace);
void slot_set_unlock(const struct slot_set *set, struct keyspace *keyspace);
