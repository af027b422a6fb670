/* store/slot_internal.h
 *
 * What a slot is made of. The first cache line is what every command needs, the second what those that write need too. */
#pragma once

#include "store/account.h"
#include "store/backstop.h"
#include "store/deadlines.h"
#include "store/slot.h"
#include "store/table.h"
#include "store/usage.h"

/* What the slots of a keyspace have in common. */
struct slot_shared {
    struct usage usage;
    struct backstop backstop;
    struct account account;
    struct deadlines deadlines;
    const struct keyspace_watch *watch; /* NULL: nobody; set before there are threads */
    /* A bit for each slot that has entries, changed under the slot's lock: what visits all can pass by the others. */
    _Atomic uint64_t occupied[SLOT_COUNT / 64];
};

struct slot_shared *slot_shared_new(void);
void slot_shared_free(struct slot_shared **shared);

struct slot {
    struct lock lock;
    uint16_t id;
    _Atomic uint16_t mark_count; /* written under lock */
    struct table table;          /* under lock, but for its atomics */
    _Atomic uint64_t owner;
    _Atomic uint64_t hits, misses;
    struct slot_shared *shared; /* of the keyspace */

    struct list feeds; /* under lock */
    _Atomic uint64_t keys;
    _Atomic uint64_t expiring;
    _Atomic uint64_t entry_bytes;
    _Atomic uint64_t expired;
    _Atomic uint64_t evicted;
    struct slot_mark *marks; /* under lock */
};
_Static_assert(offsetof(struct slot, feeds) == 64, "a command that reads needs the first line only");
_Static_assert(sizeof(struct slot) == 128, "two whole cache lines, so that neighbours under two threads share none; "
                                           "16384 of them are what an empty node pays: 2 MiB");

void slot_init(struct slot *slot, uint16_t id, struct slot_shared *shared);

/* Tells the feeds that something is known of the key that was not; with the slot locked. */
void slot_tell_restated(struct slot *slot, uint64_t hash);
