/* cache/hotkeys_line.h
 *
 * What nearly every command does for hotkeys.h, inline: its key's counter is raised, and that is all.
 *
 * The line of a slot is touched by every command on it, so it is one cache line and no two slots share one. The lines are an array apart from
 * the slots, whose own two cache lines are full: it is fetched ahead beside them, and no page of it exists before a command
 * came by.
 *
 * A key has to do with two of the four counters only, and these have a window of their own: it begins with the first use after the former one ended. So the clock
 * is only compared, and what was quiet starts a window at the moment that matters.
 *
 * Which of the two is the key's, whether that is another's by now and whether a window begins nobody could predict, and to have guessed wrong takes a
 * processor longer than all of it. So both counters are computed and written, whatever is the case, without a branch. */
#pragma once

#include "cache/hotkeys.h"

#include <stdatomic.h>

#define HOTKEYS_COUNTERS 4

struct hot_slot;

typedef _Atomic uint64_t hotkeys_counter; /* cost << 32 | hash; cost 0: free */

/* All relaxed, and shared by all threads. */
struct hotkeys_pair {
    hotkeys_counter counters[HOTKEYS_COUNTERS / 2];
    _Atomic int64_t began_ms; /* their window */
};

/* The same. */
struct hotkeys_line {
    struct hotkeys_pair pairs[2];
    _Atomic uint64_t hot; /* bit i: the key at place i of the hot table is in this slot; changed under its lock */
    _Atomic(struct hot_slot *)
        reads; /* what of it is read without the lock (cache/hot_reads.h): theirs, under the slot's lock */
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

static inline struct hotkeys_pair *hotkeys_pair_of(struct hotkeys_line *line, uint32_t hash)
{
    return &line->pairs[hash >> 1 & 1];
}

static inline uint64_t hotkeys_mask(bool yes)
{
    return yes ? UINT64_MAX : 0;
}

/* What a pair becomes by a use of a key. Its counter is its own, else a free one, else the lesser of the two; and where that is another's, both have as much
 * taken from them, and the key has what is left of its cost. */
struct hotkeys_step {
    unsigned at;    /* the counter that the key has to do with */
    uint32_t hash;  /* whose it is now */
    uint64_t cost;  /* what it says, which may be more than it has room for */
    uint32_t left;  /* of what was to be counted; 0: the counter is still the other key's */
    uint64_t other; /* the other counter */
    int64_t began_ms;
};

/* As much before its beginning as after it is the same window: not all threads have looked at the clock just now. */
static inline struct hotkeys_step hotkeys_step(const struct hotkeys_pair *pair, int64_t window_ms, int64_t now_ms,
                                               uint32_t hash, uint32_t cost)
{
    int64_t began_ms = atomic_load_explicit(&pair->began_ms, memory_order_relaxed);
    uint64_t in_window = hotkeys_mask((uint64_t)(now_ms - began_ms + window_ms) < (uint64_t)window_ms * 2);
    uint64_t first = atomic_load_explicit(&pair->counters[0], memory_order_relaxed) & in_window,
             second = atomic_load_explicit(&pair->counters[1], memory_order_relaxed) & in_window;
    unsigned is_first = hotkeys_hash_word(first) == hash, is_second = hotkeys_hash_word(second) == hash,
             at = is_second | ((unsigned)(second < first) & (is_first ^ 1u));
    uint64_t swap = (first ^ second) & hotkeys_mask(at != 0), own = first ^ swap, other = second ^ swap;
    uint32_t had = hotkeys_cost_of(own), least = cost < had ? cost : had,
             taken = least & (uint32_t)hotkeys_mask((is_first | is_second) == 0), left = cost - taken,
             stays = (uint32_t)hotkeys_mask(left == 0);
    uint64_t is_left = hotkeys_mask(hotkeys_cost_of(other) > taken);

    return (struct hotkeys_step){
        .at = at,
        .hash = (hotkeys_hash_word(own) & stays) | (hash & ~stays),
        .cost = (uint64_t)(had - taken) + left,
        .left = left,
        .other = (other & is_left) - (hotkeys_counter_of(0, taken) & is_left),
        .began_ms = (int64_t)(((uint64_t)began_ms & in_window) | ((uint64_t)now_ms & ~in_window)),
    };
}

/* Its cost has room by now. */
static inline void hotkeys_take_step(struct hotkeys_pair *pair, const struct hotkeys_step *step)
{
    atomic_store_explicit(&pair->counters[step->at], hotkeys_counter_of(step->hash, (uint32_t)step->cost),
                          memory_order_relaxed);
    atomic_store_explicit(&pair->counters[step->at ^ 1u], step->other, memory_order_relaxed);
    atomic_store_explicit(&pair->began_ms, step->began_ms, memory_order_relaxed);
}

/* Counts a use of a key that does not become hot by it, in a slot where none is. False: it may be otherwise, nothing was counted, and
 * hotkeys_count() is to be called. The cost is hotkeys_cost()'s. Any thread, no locks needed. */
static inline bool hotkeys_count_quietly(struct hotkeys *hotkeys, uint16_t slot, uint64_t key_hash, uint32_t cost,
                                         int64_t now_ms)
{
    struct hotkeys_head *head = (struct hotkeys_head *)hotkeys;
    struct hotkeys_line *line = &head->lines[slot];
    uint32_t limit = atomic_load_explicit(&head->limit, memory_order_relaxed), hash = hotkeys_hash_word(key_hash);
    struct hotkeys_pair *pair = hotkeys_pair_of(line, hash);
    struct hotkeys_step step;

    if (__builtin_expect(atomic_load_explicit(&line->hot, memory_order_relaxed) != 0 || limit == 0, 0)) return false;
    step = hotkeys_step(pair, atomic_load_explicit(&head->window_ms, memory_order_relaxed), now_ms, hash, cost);
    if (__builtin_expect(step.cost >= limit, 0)) return false;
    hotkeys_take_step(pair, &step);
    return true;
}
