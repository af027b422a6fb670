/* server/salt_spread.h
 *
 * Salted keys whose clients need not know of names (`salt-spread yes`): each connection is told another node as the owner of the key's slot.
 *
 *     CLUSTER SLOTS, SHARDS     name one of {home, nodes with names} by the client's address (salt/spread.h), on every node
 *     home, a read of the key   MOVED <slot> <that node>, once for each connection and epoch of the key, if that node has a copy
 *     a node with names         reads of the key are answered from the copy; all else in the slot is ASK <slot> <home>, within MULTI and for WATCH MOVED
 *
 * Nothing goes round in circles: home serves whoever it has told, and whoever says ASKING; a node with names only ever points home. CLUSTER NODES, and
 * redirects of other nodes, tell the owner as ever.
 *
 * That a key is spread is said by its entry (salt/registry.h), so all nodes do the same; home decides it, a slot has one such key at most. What the
 * hot path has to know is a word for each slot, kept by the salt keeper's thread:
 *
 *     bits 0-5      which bit of client->told stands for having been told
 *     bits 6-8      HOME: it is here and may be spread; TOLD: and is; HELPER: this node has names of it
 *     the others    of the key's hash
 *
 * A word may be late by a tenth of a second: what it leads to looks at the owner word. */
#pragma once

#include "server/alias.h"
#include "server/node.h"

struct salt_keeper;
struct salt_spread;

#define SALT_SPREAD_HOME 0x40u
#define SALT_SPREAD_TOLD 0x80u
#define SALT_SPREAD_HELPER 0x100u
#define SALT_SPREAD_HASH (~(uint64_t)0x1ff)

/* With node->bus there. */
struct salt_spread *salt_spread_new(struct node *node);
/* node->salt_home is there now. */
void salt_spread_begin(struct salt_spread *spread);
/* When nobody asks any more, and the keeper's thread has ended. */
void salt_spread_free(struct salt_spread **spread);

/* --- Any thread; no lock held --- */

/* Calls back for each slot of which this client is told another node than its owner, slots ascending, with that node's index in the view. each() takes no
 * lock. */
void salt_spread_each(struct salt_spread *spread, struct bytes address,
                      void (*each)(void *context, uint16_t slot, uint16_t node), void *context);
/* Of how many slots that may be so. */
size_t salt_spread_slots(struct salt_spread *spread);
/* Owner words have changed; under any locks. */
void salt_spread_owners_changed(struct salt_spread *spread);

/* --- On the client's worker --- */

/* The slot's word, 0 for nearly all. */
uint64_t salt_spread_word(const struct salt_spread *spread, unsigned slot);

/* Is this the spread key of a slot whose home this is, by its word, and has this connection not been told? */
static inline bool salt_spread_is_due(uint64_t word, uint64_t hash, uint64_t told)
{
    return (word & SALT_SPREAD_TOLD) != 0 && ((word ^ hash) & SALT_SPREAD_HASH) == 0 &&
           (told >> (word & 0x3f) & 1) == 0;
}

/* With the slot locked, a command with one key in it: counts reads of the key that a copy could answer; true where it has to be asked salt_spread_settle(). */
bool salt_spread_concerns(const struct call *call, const struct slot *slot, uint64_t hash);

/* With the slots locked: a command that said a name is about to run here on its base. It is counted, if it is a read. */
void salt_spread_note_name(const struct call *call, const struct plan *plan);

/* A command without names, before its locks are taken: as alias_replace(). */
enum alias_outcome salt_spread_settle(struct call *call, const struct plan *plan, bool may_run);

/* --- The keeper's thread --- */

/* Decides which of the keys that are at home here are spread, and brings all that is above in line with the entries: server/salt_spread_look.c. */
void salt_spread_look(struct salt_keeper *keeper);
