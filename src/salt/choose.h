/* salt/choose.h
 *
 * Which names a key gets: so many on each node that serves slots, give or take one. Names drawn at random would give the fullest of four nodes
 * 1.8 times its share of eight. Pure: the same key, number and map give the same names, the least numbers that do. */
#pragma once

#include "base/keyslot.h"

#include <stdbool.h>

/* Names of one key, the key itself included. */
#define SALT_NAMES_MAX 64u
#define SALT_NO_NODE UINT16_MAX

/* Who serves which slot. Nodes are numbered 0 .. node_count-1, each of them has a slot; SALT_NO_NODE: nobody who knows of names. */
struct salt_map {
    uint16_t node_of[SLOT_COUNT];
    uint16_t node_count;
};

/* The ids of n names (2 to SALT_NAMES_MAX) but the first, which is the key itself: n - 1 of them, ascending. A name that is taken() is passed over;
 * NULL: none is. Returns how many there are: fewer where too many are taken, or nobody serves slots. */
unsigned salt_choose(struct bytes base, char separator, unsigned n, const struct salt_map *map,
                     bool (*taken)(void *context, unsigned id), void *context, uint16_t ids[SALT_NAMES_MAX - 1]);

/* How many of a key's names, itself included, would have to be others for them to be spread as they would be chosen. A name that nobody serves
 * counts as two. */
unsigned salt_misplaced(struct bytes base, char separator, const uint16_t *ids, unsigned count,
                        const struct salt_map *map);
