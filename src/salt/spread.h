/* salt/spread.h
 *
 * A salted key is read on several nodes by clients that know nothing of names, where each of them is told another owner of the key's slot: itself home or
 * one of the nodes that have names of it. Pure: who is told whom, and whether so many writes come that it is better left alone.
 *
 * Which node: by rendezvous hashing (David G. Thaler, Chinya V. Ravishankar, "A name-based mapping scheme for rendezvous", 1996). Every node of the
 * cluster computes the same of an address and a node's id, so all tell a connection the same node; and when a node comes or goes, only those that are told
 * that one change. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What stands for a node, the same on all of them. */
uint64_t salt_spread_node(const char *node_id);
/* Which of these nodes is told to who comes from an address: its place in the list. There is one at least. The order is of no matter. */
size_t salt_spread_choose(struct bytes address, const uint64_t *nodes, size_t count);

/* A connection is told of another node once for each epoch of a slot's key, and remembers that in a bit of this number. Another key may have the same:
 * then the later is not told. */
#define SALT_SPREAD_BITS 64u
unsigned salt_spread_bit(uint16_t slot, uint64_t epoch);

/* --- Writes --- */

/* A write through a node that is not home costs the client a hop, and some load their whole map anew whenever that happens. */
#define SALT_SPREAD_MOST_WRITES 2 /* percent: with more, in each of so many looks, a key is not spread */
#define SALT_SPREAD_BUSY_LOOKS 3u
#define SALT_SPREAD_FEW_WRITES 1 /* with so many at most, in each of so many looks, it is again */
#define SALT_SPREAD_CALM_LOOKS 10u
#define SALT_SPREAD_TELLING 100u /* so few commands tell nothing */

/* What is remembered of a key between two looks, of which there is one in a second; zeroed for a new one. */
struct salt_share {
    uint64_t reads, writes; /* of late, in thousandths: a quarter of each is forgotten with each look */
    uint64_t later_reads,
        later_writes; /* of home in the last look: they are counted with what others answered meanwhile, who tell it a second later */
    unsigned busy_looks, calm_looks;
};
struct salt_share_counts {
    uint64_t reads, reads_elsewhere, writes; /* at home; on other nodes, as they have told; at home */
};
/* So much has come since the last look. Is it to be spread, where it is, or is not, by now? */
bool salt_share_admits(struct salt_share *share, const struct salt_share_counts *more, bool is_spread);
