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
 * Most pairs cost little in a window, and no key can be hot in one that does. So a pair sleeps until its keys, whichever they are, have cost a sixteenth of what makes one
 * hot: one sum is raised, and that is all that most commands do here. From then on the pair is awake, and its keys are told apart for the rest of the window. What
 * nobody was told apart by is put down to the key that passes, which in a pair that sees a hot one is nearly always right, and wrong by no more
 * than that sixteenth.
 *
 * Which of the two counters is the key's, whether that is another's by now and whether a window begins nobody could predict, and to have guessed wrong takes a
 * processor longer than all of it. So that is computed, whatever is the case, without a branch. */
#pragma once

#include "cache/hotkeys.h"

#include <stdatomic.h>

#define HOTKEYS_COUNTERS 4

struct hot_slot;

typedef _Atomic uint64_t hotkeys_counter; /* cost << 32 | hash; cost 0: free */

/* All relaxed, and shared by all threads. */
struct hotkeys_pair {
    hotkeys_counter counters[HOTKEYS_COUNTERS / 2]; /* mean nothing while it sleeps */
    _Atomic uint64_t
        window; /* HOTKEYS_AWAKE | cost that went by while it slept << 32 | now_ms when it began, as much of it as there is room for */
};
#define HOTKEYS_AWAKE ((uint64_t)1 << 63)
/* From so much on a cost might have no room beside that. */
#define HOTKEYS_LOUD (1u << 30)

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
    _Atomic uint32_t limit;     /* cost in a window that makes a key hot; 0: none */
    _Atomic uint32_t window_ms; /* so short that twice as much has room */
    _Atomic uint64_t
        wakes_at; /* as struct hotkeys_pair has its cost: that from which on it is awake; 0 where limit is */
    struct hotkeys_line *lines; /* of the slots; set once */
};

/* Does anybody look for hot keys? */
static inline bool hotkeys_are_watched(const struct hotkeys *hotkeys)
{
    return atomic_load_explicit(&((const struct hotkeys_head *)hotkeys)->wakes_at, memory_order_relaxed) != 0;
}

/* Starts to fetch what counting in this slot will touch. */
static inline void hotkeys_prefetch(const struct hotkeys *hotkeys, uint16_t slot)
{
    __builtin_prefetch(&((const struct hotkeys_head *)hotkeys)->lines[slot], 1);
}

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

/* Milliseconds since a window began, of a clock that may have gone back. */
static inline int32_t hotkeys_since(uint64_t window, int64_t now_ms)
{
    return (int32_t)((now_ms & UINT32_MAX) - (int64_t)(window & UINT32_MAX));
}

/* The window of a pair now: what it was, or a new one, of a pair that sleeps. As much before its beginning as after it is the same window: not all
 * threads have looked at the clock just now. */
static inline uint64_t hotkeys_window_at(uint64_t window, uint32_t window_ms, int64_t now_ms)
{
    uint32_t place = (uint32_t)((int64_t)hotkeys_since(window, now_ms) + window_ms);

    return place < 2 * window_ms ? window : (uint64_t)(now_ms & UINT32_MAX);
}

/* Of a window: what its pair's keys had cost when it woke up, or have until now. */
static inline uint32_t hotkeys_slept(uint64_t window)
{
    return (uint32_t)((window & ~HOTKEYS_AWAKE) >> 32);
}

/* What two counters become by a use of a key. Its counter is its own, else a free one, else the lesser of the two; and where that is another's, both have as much
 * taken from them, and the key has what is left of its cost. */
struct hotkeys_step {
    unsigned at;    /* the counter that the key has to do with */
    uint32_t hash;  /* whose it is now */
    uint64_t cost;  /* what it says, which may be more than it has room for */
    uint32_t left;  /* of what was to be counted; 0: the counter is still the other key's */
    uint64_t other; /* the other counter */
};

static inline struct hotkeys_step hotkeys_step(uint64_t first, uint64_t second, uint32_t hash, uint32_t cost)
{
    unsigned is_first = hotkeys_hash_word(first) == hash, is_second = hotkeys_hash_word(second) == hash,
             at = is_second | ((unsigned)(second < first) & (is_first ^ 1u));
    uint64_t own = at != 0 ? second : first, other = at != 0 ? first : second;
    uint32_t had = hotkeys_cost_of(own), least = cost < had ? cost : had,
             taken = hotkeys_hash_word(own) == hash ? 0 : least, left = cost - taken;

    return (struct hotkeys_step){
        .at = at,
        .hash = left == 0 ? hotkeys_hash_word(own) : hash,
        .cost = (uint64_t)(had - taken) + left,
        .left = left,
        .other =
            other -
            hotkeys_counter_of(0, taken), /* what is taken from another key the lesser has, so the other has it, too */
    };
}

/* Its cost has room by now. */
static inline void hotkeys_take_step(struct hotkeys_pair *pair, const struct hotkeys_step *step)
{
    atomic_store_explicit(&pair->counters[step->at], hotkeys_counter_of(step->hash, (uint32_t)step->cost),
                          memory_order_relaxed);
    atomic_store_explicit(&pair->counters[step->at ^ 1u], step->other, memory_order_relaxed);
}

/* hotkeys_count_quietly()'s own, for a pair that is awake or wakes up. */
bool hotkeys_count_awake(struct hotkeys *hotkeys, uint16_t slot, uint32_t hash, uint32_t cost, int64_t now_ms);

/* Counts a use of a key that does not become hot by it, in a slot where none is. False: it may be otherwise, nothing was counted, and
 * hotkeys_count() is to be called. The cost is hotkeys_cost()'s. Any thread, no locks needed. */
static inline bool hotkeys_count_quietly(struct hotkeys *hotkeys, uint16_t slot, uint64_t key_hash, uint32_t cost,
                                         int64_t now_ms)
{
    const struct hotkeys_head *head = (const struct hotkeys_head *)hotkeys;
    struct hotkeys_line *line = &head->lines[slot];
    uint32_t hash = hotkeys_hash_word(key_hash),
             window_ms = atomic_load_explicit(&head->window_ms, memory_order_relaxed);
    struct hotkeys_pair *pair = hotkeys_pair_of(line, hash);
    uint64_t hot = atomic_load_explicit(&line->hot, memory_order_relaxed), window;

    if (__builtin_expect((hot | (cost >= HOTKEYS_LOUD)) != 0, 0)) return false;
    window = hotkeys_window_at(atomic_load_explicit(&pair->window, memory_order_relaxed), window_ms, now_ms) +
             hotkeys_counter_of(0, cost);
    if (__builtin_expect(window >= atomic_load_explicit(&head->wakes_at, memory_order_relaxed), 0))
        return hotkeys_count_awake(hotkeys, slot, hash, cost, now_ms);
    atomic_store_explicit(&pair->window, window, memory_order_relaxed);
    return true;
}
