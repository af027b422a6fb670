/* cache/expiry.h
 *
 * Gives the memory of expired entries back, on time. An entry is gone for every reader at its deadline, whether it is still in
 * memory or not (slot_find() sees to that); so being late here costs memory only.
 *
 * Nothing is searched at random. Each slot shows when it is to be looked at next (store/deadline_hints.h), all slots of a keyspace in
 * one array; a worker reads its share of the array when the next tick is over, and visits the slots that are due, a few entries under
 * one lock. A run is bounded by time. When there was not enough of it, the worker serves its clients and runs again, so that a wave of
 * deadlines is taken down as fast as the CPU allows and nobody waits for more than one run. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct keyspace;
struct reclaim_reader;

struct expiry {
    struct keyspace *keyspace;
    struct reclaim_reader *reader; /* the thread's, which then looks ahead without locks; NULL: it does not */
    uint16_t first;                /* the share: slots first .. first + count - 1 */
    uint16_t count;
    uint16_t next; /* where the next run begins, counted from first */
};

/* The state of worker `index` of `workers`, 1 <= workers <= 16384. */
void expiry_init(struct expiry *expiry, struct keyspace *keyspace, unsigned index, unsigned workers);

#define EXPIRY_WAIT_MS_MAX 64 /* a key that comes meanwhile may have a deadline sooner than all others */
#define EXPIRY_NOTHING (-1)

/* Works for about slice_us and counts into *removed. Returns in how many milliseconds it wants to run again: 0 when more is due
 * now, EXPIRY_NOTHING when nothing in the share has a deadline. */
int64_t expiry_run(struct expiry *expiry, int64_t now_ms, int64_t slice_us, uint64_t *removed);

/* How many entries of the share are past their deadline and still in memory: an estimate from a look at some. */
uint64_t expiry_backlog(const struct expiry *expiry, int64_t now_ms);
