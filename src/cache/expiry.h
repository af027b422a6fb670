/* cache/expiry.h
 *
 * Gives the memory of expired entries back, on time. An entry is gone for every reader at its deadline, whether it is still in
 * memory or not (slot_find() sees to that); so being late here costs memory only.
 *
 * Nothing is searched at random. Each slot shows when it is to be looked at next (store/deadline_hints.h), all slots of a keyspace in
 * one array; a worker reads its share of the array when the next tick is over, and visits the slots that are due, a few entries under
 * one lock. A run is bounded by time. When there was not enough of it, the worker serves its clients and runs again, for longer the more it is late:
 * slots are visited in turns, so a wave of deadlines comes to a balance in which each is late by a few ticks, and what is due in it
 * goes by several at once. */
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
    int64_t
        late_ms; /* how long the slot that the next run begins with had been due at the last one, where that ended with its time; else 0 */
};

/* The state of worker `index` of `workers`, 1 <= workers <= 16384. */
void expiry_init(struct expiry *expiry, struct keyspace *keyspace, unsigned index, unsigned workers);

/* How long a run may take while more is due, measured by the time the worker's clients took since the last one ended. With the least effort (it is
 * 1 to 10) as long as they did, while what is due does not wait; a third more when it has waited for EXPIRY_LATE_MS, twice as long when
 * that has doubled. */
#define EXPIRY_LATE_MS 64
int64_t expiry_share_us(const struct expiry *expiry, int64_t clients_us, int64_t effort);

#define EXPIRY_WAIT_MS_MAX 64 /* a key that comes meanwhile may have a deadline sooner than all others */
#define EXPIRY_NOTHING (-1)

/* Works for about slice_us and counts into *removed. Returns in how many milliseconds it wants to run again: 0 when more is due
 * now, EXPIRY_NOTHING when nothing in the share has a deadline. */
int64_t expiry_run(struct expiry *expiry, int64_t now_ms, int64_t slice_us, uint64_t *removed);

/* How many entries of the share are past their deadline and still in memory: an estimate from a look at some. */
uint64_t expiry_backlog(const struct expiry *expiry, int64_t now_ms);
