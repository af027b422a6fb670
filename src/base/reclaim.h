/* base/reclaim.h
 *
 * Memory that one thread takes out of a shared structure while another may still be looking at it without a lock. It is
 * given back only after every thread that could have seen it has ended the turn it was in (epoch-based reclamation: Keir
 * Fraser, "Practical lock-freedom", 2004, section 5.2.3).
 *
 *     a reader                                a writer, under its lock
 *     reclaim_enter(&reader);                 take the memory out of the structure
 *     look, follow pointers                   reclaim_later(memory);
 *     reclaim_leave(&reader);
 *
 * A thread that is between its turns, or sleeps, holds nothing back. With no readers at all memory is freed at once. */
#pragma once

#include "base/list.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A thread that looks without locks. */
struct reclaim_reader {
    struct list link;          /* guarded by the list's lock in reclaim.c */
    _Atomic uint64_t entered;  /* the epoch its turn began in; 0 between turns; written by its thread */
    struct reclaim_item *kept; /* what its thread gave up, oldest first; its thread's alone */
    size_t kept_count, kept_cap;
};

/* From the thread itself, before its first turn and after its last. Leaving hands on what it still keeps. */
void reclaim_join(struct reclaim_reader *reader);
void reclaim_quit(struct reclaim_reader *reader);

/* A turn begins: whatever is reachable from now on stays until it ends. Turns do not nest. */
void reclaim_enter(struct reclaim_reader *reader);
/* It ends; frees what nobody can see any more of the thread's own. */
void reclaim_leave(struct reclaim_reader *reader);

/* Frees memory from alloc() or alloc_apart() once nobody looks at it. Nobody may find it from now on. Any thread; NULL is allowed. */
void reclaim_later(void *memory);

/* How much waits to be freed, for tests: allocations of all threads. */
size_t reclaim_waiting(void);
