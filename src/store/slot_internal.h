/* store/slot_internal.h
 *
 * What a slot is made of. The first cache line is what every command needs. */
#pragma once

#include "store/deadlines.h"
#include "store/slot.h"
#include "store/table.h"

struct slot {
    struct lock lock;
    uint16_t id;
    struct table table; /* under lock, but for its atomics */
    _Atomic uint64_t owner;
    _Atomic uint64_t keys;
    _Atomic uint64_t expiring;
    _Atomic uint64_t entry_bytes;

    struct list feeds; /* under lock */
    _Atomic uint64_t expired;
    _Atomic uint64_t evicted;
    struct deadlines *deadlines; /* of the keyspace */
    uint8_t free_bytes[24];      /* up to two whole cache lines, so that neighbours under two threads share none */
};
_Static_assert(sizeof(struct slot) == 128, "16384 of them are what an empty node pays: 2 MiB");

void slot_init(struct slot *slot, uint16_t id, struct deadlines *deadlines);
