/* cache/hotkeys_line.h
 *
 * What nearly every command does for hotkeys.h, inline: its key's counter is raised, and that is all.
 *
 * The line of a slot is touched by every command on it, so it is one cache line and no two slots share one. The lines are an array apart from
 * the slots, whose own two cache lines are full: it is fetched ahead beside them, and no page of it exists before a command
 * came by.
 *
 * A window begins with the first use after the former one ended, each slot's by itself. So the clock is only compared, and a slot that was
 * quiet starts a window at the moment that matters. */
#pragma once

#include "cache/hotkeys.h"

#include <stdatomic.h>

#define HOTKEYS_COUNTERS 4

struct hot_slot;

typedef _Atomic uint64_t hotkeys_counter; /* cost << 32 | hash; cost 0: free */

/* All relaxed but the last, and shared by all threads. */
struct hotkeys_line {
    hotkeys_counter counters[HOTKEYS_COUNTERS]; /* two pairs */
    _Atomic int64_t began_ms;
    _Atomic uint64_t hot; /* bit i: the key at place i of the hot table is in this slot; changed under its lock */
    _Atomic(struct hot_slot *)
        reads; /* what of it is read without the lock (cache/hot_reads.h): theirs, under the slot's lock */
    uint64_t unused[1];
};
_Static_assert(sizeof(struct hotkeys_line) == 64, "a cache line; 16384 of them are 1 MiB");
_Static_assert(HOTKEYS_MAX == 64, "a bit each in struct hotkeys_line");

/* How struct hotkeys begins. */
struct hotkeys_head {
    _Atomic uint32_t limit; /* cost in a window that makes a key hot; 0: none */
    _Atomic int64_t window_ms;
    struct hotkeys_line *lines; /* of the slots; set once */
};

/* Is any key hot in this slot? One load, of a line that hotkeys_prefetch() has fetched. */
static inline bool hotkeys_any_in(const struct hotkeys *hotkeys, uint16_t slot)
{
    const struct hotkeys_head *head = (const struct hotkeys_head *)hotkeys;

    return __builtin_expect(atomic_load_explicit(&head->lines[slot].hot, memory_order_relaxed) != 0, 0);
}

/* As much of a hash as a counter has. */
static inline uint32_t hotkeys_hash_word(uint64_t hash)
{
    return (uint32_t)(hash & UINT32_MAX);
}

static inline uint32_t hotkeys_cost_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static inline uint64_t hotkeys_counter_of(uint32_t hash, uint32_t cost)
{
    return (uint64_t)cost << 32 | hash;
}

/* A key looks at two of the four counters. */
static inline hotkeys_counter *hotkeys_pair_of(struct hotkeys_line *line, uint32_t hash)
{
    return &line->counters[hash & 2];
}

/* As much before its beginning as after it is the same window: not all threads have looked at the clock just now. */
static inline bool hotkeys_is_in_window(const struct hotkeys_line *line, int64_t window_ms, int64_t now_ms)
{
    int64_t began_ms = atomic_load_explicit(&line->began_ms, memory_order_relaxed);

    return (uint64_t)(now_ms - began_ms + window_ms) < (uint64_t)window_ms * 2;
}

/* With the key that is the first in it. */
static inline void hotkeys_begin_window(struct hotkeys_line *line, int64_t now_ms, uint32_t hash, uint32_t cost)
{
#pragma GCC unroll 4
    for (int i = 0; i < HOTKEYS_COUNTERS; i++) atomic_store_explicit(&line->counters[i], 0, memory_order_relaxed);
    atomic_store_explicit(hotkeys_pair_of(line, hash), hotkeys_counter_of(hash, cost), memory_order_relaxed);
    atomic_store_explicit(&line->began_ms, now_ms, memory_order_relaxed);
}

/* The counter of a key: its own, else a free one, else the lesser of its pair. Which one it is nobody could predict, so it is computed rather than
 * branched to. */
struct hotkeys_place {
    hotkeys_counter *pair;
    unsigned at;
    uint32_t had;  /* what it says */
    bool is_other; /* it is another key's */
};

static inline struct hotkeys_place hotkeys_find(struct hotkeys_line *line, uint32_t hash)
{
    hotkeys_counter *pair = hotkeys_pair_of(line, hash);
    uint64_t first = atomic_load_explicit(&pair[0], memory_order_relaxed),
             second = atomic_load_explicit(&pair[1], memory_order_relaxed);
    unsigned is_first = hotkeys_hash_word(first) == hash, is_second = hotkeys_hash_word(second) == hash,
             at = is_second | ((unsigned)(second < first) & ~is_first);
    uint32_t had = hotkeys_cost_of(at != 0 ? second : first);

    return (struct hotkeys_place){ pair, at, had, ((is_first | is_second) == 0) & (had != 0) };
}

/* hotkeys_count()'s own: takes from both of a pair, for a key that has no counter. Returns what the key has now. */
uint32_t hotkeys_take_from_both(hotkeys_counter *pair, unsigned least, uint32_t taken, uint32_t hash, uint32_t cost);

/* Counts a use of a key that does not become hot by it, in a slot where none is. False: it may be otherwise, nothing was counted, and
 * hotkeys_count() is to be called. The cost is hotkeys_cost()'s. Any thread, no locks needed. */
static inline bool hotkeys_count_quietly(struct hotkeys *hotkeys, uint16_t slot, uint64_t key_hash, uint32_t cost,
                                         int64_t now_ms)
{
    struct hotkeys_head *head = (struct hotkeys_head *)hotkeys;
    struct hotkeys_line *line = &head->lines[slot];
    uint32_t limit = atomic_load_explicit(&head->limit, memory_order_relaxed), hash = hotkeys_hash_word(key_hash), sum;
    struct hotkeys_place place;

    if (__builtin_expect(atomic_load_explicit(&line->hot, memory_order_relaxed) != 0 || cost >= limit, 0)) return false;
    if (!hotkeys_is_in_window(line, atomic_load_explicit(&head->window_ms, memory_order_relaxed), now_ms)) {
        hotkeys_begin_window(line, now_ms, hash, cost);
        return true;
    }
    place = hotkeys_find(line, hash);
    if (__builtin_expect(place.is_other, 0)) {
        hotkeys_take_from_both(place.pair, place.at, cost < place.had ? cost : place.had, hash, cost);
        return true;
    }
    if (__builtin_add_overflow(place.had, cost, &sum) || sum >= limit) return false;
    atomic_store_explicit(&place.pair[place.at], hotkeys_counter_of(hash, sum), memory_order_relaxed);
    return true;
}
