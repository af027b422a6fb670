/* salt/copies.h
 *
 * The values that a helper (salt/helper.h) has of other nodes' salted keys: a keyspace of its own beside the node's, so that a command that reads runs on it
 * as it is, with call->slot leading here. A copy lies under its key in its key's slot:
 *
 *     keyspace -> slot -> entry          as ever: key, value, deadline
 *     chain of the slot -> helper_copy   which home's, by which session           guarded by the slot's lock
 *
 * A copy may be told iff it is there and helper_copy_is_good(), by a clock that is read after the value was found and under the same lock. Whoever
 * drops it takes that lock, so who was told "good" has read what was good.
 *
 * There is nothing here until the first copy comes. SCAN, KEYS, DBSIZE, eviction and backups go over the node's own keyspace and never see a copy. What copies
 * take is bounded by a limit of their own; what finds no room is read at home. */
#pragma once

#include "salt/helper.h"
#include "store/slot.h"

struct copies;

/* A value longer than that is read at home. */
#define COPY_VALUE_BYTES_MAX ((size_t)4 << 20)

struct copies *copies_new(void);
/* When nobody uses it any more. */
void copies_free(struct copies **copies);

/* --- Any thread, with no slot of the copies locked --- */

/* Keeps the entry as the copy of its key, in place of a former one; takes it. It has no attributes: what they ask for is done at home. From
 * fresh_until_ms on it is not told; INT64_MAX: as long as it is there. False: there is no room, or it is too long; then there is none. */
bool copies_put(struct copies *copies, const struct helper_copy *copy, struct entry **entry, int64_t fresh_until_ms);
/* True if there was one. */
bool copies_drop(struct copies *copies, struct bytes key);
/* So many bytes at most from now on; what is beyond goes at once. Returns how many copies went. */
size_t copies_set_limit(struct copies *copies, uint64_t bytes);

/* --- For who answers a read --- */

/* The slot of a key that has a copy, locked; NULL, and nothing locked, where there is none that could answer. The hash is slot_hash()'s. */
struct slot *copies_enter(struct copies *copies, struct bytes key, uint64_t hash, int64_t now_ms);
/* With that slot still locked, after the value was read: may it be told? Reads the clock. Counts that it was. */
bool copies_is_good(struct copies *copies, const struct slot *slot, struct bytes key, uint64_t hash);

/* --- For INFO; each number right by itself --- */
struct copies_counts {
    uint64_t copies, bytes;
    uint64_t hits;          /* reads answered, ever */
    uint64_t lease_expired; /* reads that found a copy with no lease, ever */
    uint64_t refused;       /* copies that found no room, ever */
};
struct copies_counts copies_counts(const struct copies *copies);
/* How many reads of the keys of a slot have been answered, ever. Takes the slot's lock. */
uint64_t copies_reads(struct copies *copies, uint16_t slot);
/* Reads of a key answered since its copy first came, for CLUSTER SALTS; false where there is none. Takes the slot's lock. */
bool copies_find(struct copies *copies, struct bytes key, struct helper_copy *copy, uint64_t *hits);
