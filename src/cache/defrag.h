/* cache/defrag.h
 *
 * Active defragmentation: moves entries out of thinly used pages into fuller ones, so that the allocator gives the former back. What
 * is worth moving the allocator knows (base/relocate.h); how a slot is gone through says slot_defrag().
 *
 *     main thread    measures, now and then: begins a pass, or ends it      defrag_measure()
 *     each worker    goes through its share of the slots, once a pass,      defrag_run()
 *                    a slice of time after the other
 *
 * There are two of them. One is for all that a slot holds, if `activedefrag` says so. The other is for the tables alone, and always there: as all
 * tables grow at about the same time, they pass through the allocator's size classes together, and those that are still in one keep its pages when
 * the others have moved on: a fifth of what tables take. Few words lead to tables, so it costs little, and it waits until
 * they have grown (tables_measure()).
 *
 * The workers do it because an extra thread would take its CPU from one of them at a moment that the scheduler chooses, perhaps with a
 * slot's lock held. A slice is 0.25 ms, between two turns, and then the worker is its clients' until the share of the time that defragmentation
 * may take is kept. That share grows with what there is to win. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keyspace;
struct relocate_use;

struct defrag_limits {
    bool on;
    uint64_t ignore_bytes; /* of holes: fewer are left */
    uint32_t lower, upper; /* holes in percent of what is allocated: it begins at lower, and takes most time at upper */
    uint32_t cycle_min, cycle_max; /* percent of a worker's time */
};

/* What is shared by the threads. All zero is ready. */
struct defrag {
    bool tables_only;                      /* entries stay where they are; set before it is used */
    _Atomic uint32_t percent;              /* of a worker's time that it takes now; 0: it does not run */
    _Atomic uint64_t pass;                 /* its number */
    _Atomic uint32_t shares_left;          /* whose workers are not through with this pass */
    _Atomic uint64_t hits, misses;         /* allocations that were moved, and left where they are */
    _Atomic uint64_t key_hits, key_misses; /* of them, entries */
    _Atomic uint64_t run_us;               /* what all runs before this one took, by the clock */
    _Atomic int64_t began_us;              /* this one; 0 while it does not run */

    /* The measuring thread's alone. */
    uint64_t hopeless_bytes;                           /* holes that the last pass could do nothing about */
    uint64_t hits_before, misses_before, holes_before; /* as the pass began */
};

/* So many bytes are allocated, in pages of so many. Decides whether to run, how hard, and whether for another pass. */
void defrag_measure(struct defrag *defrag, const struct defrag_limits *limits, uint64_t allocated_bytes,
                    uint64_t active_bytes, uint32_t shares, int64_t now_us);

/* The same for one with tables_only: to be called ten times a second. It knows by itself what is worth it. */
struct tables_seen {
    uint64_t made, moved; /* by the last call: allocations of tables, and those that were the moves of this */
    uint64_t changed;     /* since it found nothing to do */
    bool settled;         /* it did, and hardly anything has changed since */
};
void tables_measure(struct defrag *defrag, struct tables_seen *seen, uint64_t made, struct relocate_use use(void),
                    uint32_t shares, int64_t now_us);

/* CONFIG RESETSTAT; any thread. */
void defrag_reset_counts(struct defrag *defrag);

/* Between two turns of a worker. */
#define DEFRAG_SLICE_US 250

struct defrag_share {
    struct defrag *defrag;
    struct keyspace *keyspace;
    uint32_t first, end; /* slots */
    uint64_t pass;       /* the one it has begun, */
    uint32_t next;       /* and where it goes on: the slot, */
    uint32_t cursor;     /* and where in it */
};

/* The state of worker `index` of `shares`. */
void defrag_share_init(struct defrag_share *share, struct defrag *defrag, struct keyspace *keyspace, unsigned index,
                       unsigned shares);

/* There is something to do for it. */
bool defrag_is_due(const struct defrag_share *share);

/* Works for about slice_us. Returns for how long to wait before the next run, in microseconds, or DEFRAG_NOTHING when none is due. */
#define DEFRAG_NOTHING (-1)
int64_t defrag_run(struct defrag_share *share, int64_t slice_us);
