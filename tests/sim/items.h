/* sim/items.h
 *
 * The shared set at work: items that are set, changed and deleted on nodes drawn by lot, several at once, also on nodes that are alone or cut off.
 *
 * Of each name no node ever goes back to an earlier version, and one that is set is later than all that its node had. In the end all nodes
 * have the same of each, and it is the latest that any of them had when all was healed. */
#pragma once

#include "sim/sim.h"

struct items;

/* For at most so many nodes; draws from a seed of its own, so that stories are the same with and without it. */
struct items *items_new(uint64_t seed, size_t nodes);
void items_free(struct items **items);
void items_attach(struct items *items, struct sim *sim);
/* What a node takes over from another. */
void items_came(void *items, size_t node, const struct shared_item *item);
/* A node has started, with what its file has. */
void items_started(struct items *items, size_t node);

/* Somebody sets or deletes an item on a node, or on one drawn by lot that runs. */
void items_set(struct items *items, size_t node);
void items_set_somewhere(struct items *items);

/* Nothing is set from here on, and all nodes run: what is to be everywhere in the end. */
void items_remember(struct items *items);
/* NULL, or what is wrong. */
const char *items_check(struct items *items);
