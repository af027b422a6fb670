/* store/keyspace.h
 *
 * The 16384 slots of a node. */
#pragma once

#include "store/slot.h"

struct keyspace;

struct keyspace *keyspace_new(void);
void keyspace_free(struct keyspace **keyspace);
struct slot *keyspace_slot(struct keyspace *keyspace, uint16_t id);

/* Sums over all slots, without locks. */
struct slot_counts keyspace_counts(const struct keyspace *keyspace);
