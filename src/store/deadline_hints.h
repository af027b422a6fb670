/* store/deadline_hints.h
 *
 * When to look again: how the expiry cycle finds due entries without looking at those that are not.
 *
 * A *hint* is the earliest deadline of a group of entries, in ticks of 16 ms. Groups are nested, and each has its hint beside
 * what leads to it:
 *
 *     keyspace    16384 hints in a row     one for each slot; what a worker scans
 *     table       one                      of the root
 *     directory   one for each cell        behind the cells
 *     leaf        one for each bucket      in a cache line behind the buckets (leaf_hints.h); a leaf without deadlines has none
 *
 * A hint is never later than the truth, but may be earlier: it follows an earlier deadline down at once, while entries that go, or
 * are given a later deadline, leave it behind. That costs one visit in vain, which sets it right.
 *
 * Ticks are counted in 32 bits, which wrap around after two years, so they are compared by their distance. A deadline further
 * away than HINT_FAR_MS (99 days) is looked at again by then; that leaves nine months for a hint that nobody follows. */
#pragma once

#include "store/entry.h"

#include <stdatomic.h>

#define HINT_NONE 0u /* no deadline at all: what zeroed memory says */
#define HINT_TICK_MS 16
#define HINT_FAR_MS ((int64_t)HINT_TICK_MS << 29)

/* Where a hint is kept: written under the slot's lock, looked at without it by whoever looks ahead. */
typedef _Atomic uint32_t hint_place;

static inline uint32_t hint_load(const hint_place *place)
{
    return atomic_load_explicit(place, memory_order_relaxed);
}

static inline void hint_store(hint_place *place, uint32_t hint)
{
    atomic_store_explicit(place, hint, memory_order_relaxed);
}

/* now_ms need not be exact: it only tells what is far. */
static inline uint32_t hint_of(int64_t expires_at_ms, int64_t now_ms)
{
    uint32_t tick;

    if (expires_at_ms == ENTRY_KEEPS_FOREVER) return HINT_NONE;
    if (expires_at_ms < now_ms - HINT_FAR_MS) expires_at_ms = now_ms - HINT_FAR_MS;
    if (expires_at_ms > now_ms + HINT_FAR_MS) expires_at_ms = now_ms + HINT_FAR_MS;
    tick = (uint32_t)(expires_at_ms / HINT_TICK_MS);
    return tick == HINT_NONE ? tick - 1 : tick;
}

static inline bool hint_is_earlier(uint32_t a, uint32_t b)
{
    return a != HINT_NONE && (b == HINT_NONE || (int32_t)(a - b) < 0);
}

static inline uint32_t hint_earlier(uint32_t a, uint32_t b)
{
    return hint_is_earlier(a, b) ? a : b;
}

/* Its tick is over, so that whatever made the hint is due. (Looking in the midst of a tick would mean to look twice.) */
static inline bool hint_is_due(uint32_t hint, int64_t now_ms)
{
    return hint != HINT_NONE && (int32_t)(hint - (uint32_t)(now_ms / HINT_TICK_MS)) < 0;
}

/* Milliseconds until a hint is due; zero and less when it is. */
static inline int64_t hint_due_in_ms(uint32_t hint, int64_t now_ms)
{
    return ((int64_t)(int32_t)(hint - (uint32_t)(now_ms / HINT_TICK_MS)) + 1) * HINT_TICK_MS - now_ms % HINT_TICK_MS;
}

/* Lowers a hint; false where it was as early already, and then so are those of all groups around it. */
static inline bool hint_lower(hint_place *place, uint32_t to)
{
    if (!hint_is_earlier(to, hint_load(place))) return false;
    hint_store(place, to);
    return true;
}

/* What leads to due entries, in the order it is loaded by who looks ahead. */
enum due_step { DUE_CELLS, DUE_HINTS, DUE_BUCKETS, DUE_ENTRIES };
