/* cache/hotkeys.c
 *
 * Once a key is hot its uses go past the counters, which are then left to the other keys of the slot. They are found by the line too: a bit for
 * each place of the hot table. */
#include "cache/hotkeys.h"

#include "base/alloc.h"
#include "base/keyslot.h"
#include "base/lock.h"
#include "cache/hotkeys_line.h"

#include <stdlib.h>
#include <string.h>

#define COOLS_AFTER_MS 1000
#define PROVES_AFTER_MS 1000
#define RATE_MS 1000
/* The samples of a second at ten a second, and one where that came early. */
#define SAMPLES 12
#define CPU_SHARE_MAX 6u
/* So large a part of what makes a key hot goes by before the keys of a pair are told apart. */
#define SLEEP_SHARE 16u
/* How much hotter than the coldest of a full table a key has to be to take its place, in percent. */
#define HOTTER_PERCENT 125u

/* What was counted of one hot key by one thread; that thread's to write. It goes on from key to key, and only differences are looked at. */
struct tally {
    _Atomic uint64_t ops, writes, bytes, ns, cost;
    uint64_t unused[3]; /* two threads share no cache line */
};

struct sums {
    uint64_t ops, writes, bytes, ns, cost;
};

struct sample {
    int64_t at_ms;
    uint64_t commands; /* the node's */
    struct sums sums;
};

struct place {
    bool used;
    uint16_t slot;
    struct bytes name; /* allocated */
    int64_t since_ms;
    bool proven;         /* what was counted of it one by one has borne out what the sketch said */
    uint64_t entry_cost; /* as it was when the key came */
    int64_t warm_ms;     /* when it last had half the threshold or more */
    uint64_t load;       /* units per second when it was last looked at */
    unsigned newest, count;
    struct sample samples[SAMPLES]; /* a ring */
};

struct hotkeys {
    struct hotkeys_head head;
    _Atomic uint64_t half;                /* half the threshold, in units per second */
    _Atomic uint64_t hashes[HOTKEYS_MAX]; /* of the places; changed under lock, before their bit is set */
    struct tally *tallies;                /* [writer][place] */
    unsigned writers;

    struct lock lock; /* guards what follows; taken with no other lock of ours, or last */
    struct place places[HOTKEYS_MAX];
    uint64_t commands; /* as of the last tick */
    struct hot_gone gone[HOTKEYS_GONE_MAX];
    uint64_t gone_hashes[HOTKEYS_GONE_MAX];
    size_t gone_count;
    struct hotkeys_counts counts;
};

#define LOADED(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define STORE(field, value) atomic_store_explicit(&(field), value, memory_order_relaxed)

struct hotkeys *hotkeys_new(unsigned writers)
{
    struct hotkeys *hotkeys = alloc_zeroed(sizeof(*hotkeys));

    /* Zeroed memory of that size comes untouched from the system, and at the beginning of a cache line. */
    hotkeys->head.lines = alloc_zeroed(SLOT_COUNT * sizeof(struct hotkeys_line));
    hotkeys->tallies = alloc_zeroed((size_t)writers * HOTKEYS_MAX * sizeof(struct tally));
    hotkeys->writers = writers;
    return hotkeys;
}

void hotkeys_free(struct hotkeys **held)
{
    struct hotkeys *hotkeys = *held;

    if (hotkeys == NULL) return;
    for (size_t i = 0; i < HOTKEYS_MAX; i++) alloc_free((void *)(uintptr_t)hotkeys->places[i].name.data);
    for (size_t i = 0; i < hotkeys->gone_count; i++) alloc_free((void *)(uintptr_t)hotkeys->gone[i].name.data);
    alloc_free(hotkeys->head.lines);
    alloc_free(hotkeys->tallies);
    alloc_free(hotkeys);
    *held = NULL;
}

/* The cost of a pair from which on its keys are told apart. */
static uint32_t wakes_at(uint64_t limit)
{
    uint64_t cost = limit / SLEEP_SHARE;

    return (uint32_t)(cost == 0 && limit > 0 ? 1 : cost);
}

void hotkeys_set(struct hotkeys *hotkeys, int64_t threshold, int64_t window_ms)
{
    uint64_t limit = (uint64_t)threshold * (uint64_t)window_ms * HOTKEYS_UNIT / 1000;

    if (threshold > 0 && limit == 0) limit = 1;
    if (limit > UINT32_MAX) limit = UINT32_MAX;
    STORE(hotkeys->half, (uint64_t)(threshold + 1) / 2);
    STORE(hotkeys->head.window_ms, (uint32_t)window_ms);
    STORE(hotkeys->head.limit, (uint32_t)limit);
    STORE(hotkeys->head.wakes_at, hotkeys_counter_of(0, wakes_at(limit)));
}

uint32_t hotkeys_cost(const struct hotkeys *hotkeys, uint64_t bytes, uint64_t ns, uint32_t keys)
{
    uint64_t cost = HOTKEYS_UNIT + bytes / HOTKEYS_FREE_BYTES * HOTKEYS_UNIT, time = 0;

    if (ns >= 2 * HOTKEYS_FREE_NS) {
        uint64_t most = LOADED(hotkeys->head.limit) / CPU_SHARE_MAX;

        time = (ns / HOTKEYS_FREE_NS - 1) * HOTKEYS_UNIT / keys;
        if (time > most) time = most;
    }
    if (keys > 1) cost = cost > keys ? cost / keys : 1;
    cost += time;
    return cost < UINT32_MAX ? (uint32_t)cost : UINT32_MAX;
}

/* --- The sketch --- */

/* Counts a use of a key that is not hot. Returns what makes it hot where that is as much as the limit: what the key has, and what went by while its pair
 * slept; less than a sixteenth of the limit while that still sleeps. Where it comes to `most` nothing is counted. */
static inline uint64_t count_in(const struct hotkeys_head *head, struct hotkeys_pair *pair, uint32_t hash,
                                uint32_t cost, int64_t now_ms, uint64_t most)
{
    uint64_t window = hotkeys_window_at(LOADED(pair->window), LOADED(head->window_ms), now_ms), first = 0, second = 0;
    uint64_t spent = (uint64_t)hotkeys_slept(window) + cost, has;
    struct hotkeys_step step;

    if ((window & HOTKEYS_AWAKE) != 0) {
        first = LOADED(pair->counters[0]);
        second = LOADED(pair->counters[1]);
    } else if (spent < hotkeys_slept(LOADED(head->wakes_at))) {
        STORE(pair->window, hotkeys_counter_of((uint32_t)(window & UINT32_MAX), (uint32_t)spent));
        return 0;
    }
    step = hotkeys_step(first, second, hash, cost);
    has = step.left == 0 ? 0 : step.cost + hotkeys_slept(window);
    if (has >= most) return has;
    if (step.cost > UINT32_MAX) step.cost = UINT32_MAX;
    hotkeys_take_step(pair, &step);
    STORE(pair->window, window | HOTKEYS_AWAKE);
    return has;
}

bool hotkeys_count_awake(struct hotkeys *hotkeys, uint16_t slot, uint32_t hash, uint32_t cost, int64_t now_ms)
{
    struct hotkeys_pair *pair = hotkeys_pair_of(&hotkeys->head.lines[slot], hash);
    uint32_t limit = LOADED(hotkeys->head.limit);

    return limit != 0 && count_in(&hotkeys->head, pair, hash, cost, now_ms, limit) < limit;
}

/* What a key that passed the limit had: it is hot now and needs it no more, or the table is full and it has to come by it again. What went by while the pair
 * slept has been put down to it, and is no other's then. */
static void drop_counter(struct hotkeys_pair *pair, uint64_t hash)
{
    for (int i = 0; i < HOTKEYS_COUNTERS / 2; i++)
        if (hotkeys_hash_word(LOADED(pair->counters[i])) == hotkeys_hash_word(hash)) STORE(pair->counters[i], 0);
    STORE(pair->window, LOADED(pair->window) & (HOTKEYS_AWAKE | UINT32_MAX));
}

/* --- The hot table --- */

static inline void add(_Atomic uint64_t *to, uint64_t more)
{
    STORE(*to, LOADED(*to) + more);
}

/* Of the keys that are hot in this slot: is it one of them? */
static inline bool count_hot(struct hotkeys *hotkeys, unsigned writer, uint64_t hot, const struct hot_use *use)
{
    for (; hot != 0; hot &= hot - 1) {
        unsigned at = (unsigned)__builtin_ctzll(hot);
        struct tally *tally = &hotkeys->tallies[(size_t)writer * HOTKEYS_MAX + at];

        if (LOADED(hotkeys->hashes[at]) != use->hash) continue;
        add(&tally->ops, 1);
        add(&tally->writes, use->writes);
        add(&tally->bytes, use->bytes);
        add(&tally->ns, use->ns);
        add(&tally->cost, use->cost);
        return true;
    }
    return false;
}

static struct sums sums_of(const struct hotkeys *hotkeys, size_t at)
{
    struct sums sums = { 0 };

    for (unsigned writer = 0; writer < hotkeys->writers; writer++) {
        const struct tally *tally = &hotkeys->tallies[(size_t)writer * HOTKEYS_MAX + at];

        sums.ops += LOADED(tally->ops);
        sums.writes += LOADED(tally->writes);
        sums.bytes += LOADED(tally->bytes);
        sums.ns += LOADED(tally->ns);
        sums.cost += LOADED(tally->cost);
    }
    return sums;
}

static uint64_t per_second(uint64_t count, int64_t ms)
{
    return count > UINT64_MAX / 1000 ? UINT64_MAX : count * 1000 / (uint64_t)(ms > 0 ? ms : 1);
}

static void put_sample(struct place *place, const struct sample *sample)
{
    place->newest = (place->newest + 1) % SAMPLES;
    if (place->count < SAMPLES) place->count++;
    place->samples[place->newest] = *sample;
}

/* The events of a key that went and came back before anybody was told would come in the wrong order. */
static void forget_gone(struct hotkeys *hotkeys, uint64_t hash)
{
    for (size_t i = hotkeys->gone_count; i > 0;) {
        if (hotkeys->gone_hashes[--i] != hash) continue;
        alloc_free((void *)(uintptr_t)hotkeys->gone[i].name.data);
        hotkeys->gone_count--;
        hotkeys->gone[i] = hotkeys->gone[hotkeys->gone_count];
        hotkeys->gone_hashes[i] = hotkeys->gone_hashes[hotkeys->gone_count];
    }
}

static void leave(struct hotkeys *hotkeys, size_t at)
{
    struct place *place = &hotkeys->places[at];
    struct hotkeys_line *line = &hotkeys->head.lines[place->slot];

    STORE(line->hot, LOADED(line->hot) & ~((uint64_t)1 << at));
    if (hotkeys->gone_count < HOTKEYS_GONE_MAX) {
        hotkeys->gone_hashes[hotkeys->gone_count] = LOADED(hotkeys->hashes[at]);
        hotkeys->gone[hotkeys->gone_count++] = (struct hot_gone){ .name = place->name, .slot = place->slot };
    } else {
        alloc_free((void *)(uintptr_t)place->name.data);
    }
    place->name = BYTES_NONE;
    place->used = false;
    hotkeys->counts.now--;
}

/* A place for a key of that load, or HOTKEYS_MAX. */
static size_t find_place(struct hotkeys *hotkeys, uint64_t load)
{
    size_t coldest = 0;

    for (size_t i = 0; i < HOTKEYS_MAX; i++) {
        if (!hotkeys->places[i].used) return i;
        if (hotkeys->places[i].load < hotkeys->places[coldest].load) coldest = i;
    }
    if (load / HOTTER_PERCENT <= hotkeys->places[coldest].load / 100) {
        hotkeys->counts.missed++;
        return HOTKEYS_MAX;
    }
    leave(hotkeys, coldest);
    hotkeys->counts.pushed_out++;
    return coldest;
}

static struct bytes name_of(struct bytes key)
{
    size_t len = key.len < HOTKEYS_NAME_MAX ? key.len : HOTKEYS_NAME_MAX;
    char *name = alloc(len);

    if (len > 0) memcpy(name, key.data, len);
    return (struct bytes){ name, len };
}

static bool is_in(const struct hotkeys *hotkeys, const struct hotkeys_line *line, uint64_t hash)
{
    for (uint64_t hot = LOADED(line->hot); hot != 0; hot &= hot - 1)
        if (LOADED(hotkeys->hashes[__builtin_ctzll(hot)]) == hash) return true;
    return false;
}

bool hotkeys_has(const struct hotkeys *hotkeys, uint16_t slot, uint64_t hash)
{
    return is_in(hotkeys, &hotkeys->head.lines[slot], hash);
}

/* The key has passed the limit with this cost. False: it is hot already, or hotter ones have the table. */
static __attribute__((cold, noinline)) bool enter(struct hotkeys *hotkeys, const struct hot_use *use, uint64_t cost)
{
    struct hotkeys_line *line = &hotkeys->head.lines[use->slot];
    struct hotkeys_pair *pair = hotkeys_pair_of(line, hotkeys_hash_word(use->hash));
    uint64_t load = per_second(cost / HOTKEYS_UNIT, hotkeys_since(LOADED(pair->window), use->now_ms));
    size_t at = HOTKEYS_MAX;

    drop_counter(pair, use->hash);
    lock_take(&hotkeys->lock);
    if (!is_in(hotkeys, line, use->hash)) at = find_place(hotkeys, load);
    if (at < HOTKEYS_MAX) {
        struct place *place = &hotkeys->places[at];
        struct sample sample = { .at_ms = use->now_ms, .commands = hotkeys->commands, .sums = sums_of(hotkeys, at) };

        *place = (struct place){ .used = true,
                                 .slot = use->slot,
                                 .name = name_of(use->key),
                                 .since_ms = use->now_ms,
                                 .entry_cost = sample.sums.cost,
                                 .warm_ms = use->now_ms,
                                 .load = load };
        put_sample(place, &sample);
        forget_gone(hotkeys, use->hash);
        STORE(hotkeys->hashes[at], use->hash);
        atomic_store_explicit(&line->hot, LOADED(line->hot) | (uint64_t)1 << at, memory_order_release);
        hotkeys->counts.now++;
        hotkeys->counts.found++;
    }
    lock_release(&hotkeys->lock);
    return at < HOTKEYS_MAX;
}

static __attribute__((noinline)) bool count_other(struct hotkeys *hotkeys, const struct hot_use *use)
{
    uint32_t limit = LOADED(hotkeys->head.limit), hash = hotkeys_hash_word(use->hash);
    struct hotkeys_pair *pair = hotkeys_pair_of(&hotkeys->head.lines[use->slot], hash);
    uint64_t has;

    if (limit == 0) return false;
    has = count_in(&hotkeys->head, pair, hash, use->cost, use->now_ms, UINT64_MAX);
    return has >= limit && enter(hotkeys, use, has);
}

bool hotkeys_count(struct hotkeys *hotkeys, unsigned writer, const struct hot_use *use)
{
    uint64_t hot = atomic_load_explicit(&hotkeys->head.lines[use->slot].hot, memory_order_acquire);

    if (hot != 0 && count_hot(hotkeys, writer, hot, use)) return false;
    return count_other(hotkeys, use);
}

/* --- Looking at it now and then --- */

/* Two looks that are closer together tell little. */
#define SAMPLE_AFTER_MS 50

/* The sketch tells of one window, and of one in which the system put a thread aside while it was at the key it may tell wrongly. So a key that did not
 * have nine tenths of the threshold over its first second was none; one that had them stays for as long as it has half. */
static bool is_disproved(struct hotkeys *hotkeys, struct place *place, const struct sample *sample)
{
    int64_t ms = sample->at_ms - place->since_ms;

    if (place->proven || ms < PROVES_AFTER_MS) return false;
    place->proven =
        per_second((sample->sums.cost - place->entry_cost) / HOTKEYS_UNIT, ms) >= LOADED(hotkeys->half) * 2 / 10 * 9;
    return !place->proven;
}

/* True when the key has cooled down, or was not hot. */
static bool look_at(struct hotkeys *hotkeys, size_t at, int64_t now_ms)
{
    struct place *place = &hotkeys->places[at];
    const struct sample *last = &place->samples[place->newest];
    struct sample sample = { .at_ms = now_ms, .commands = hotkeys->commands, .sums = sums_of(hotkeys, at) };
    int64_t elapsed_ms = now_ms - last->at_ms;

    if (elapsed_ms < 0) { /* the clock went back: nothing that was noted means anything now */
        place->count = 0;
        place->since_ms = place->warm_ms = now_ms;
        place->entry_cost = sample.sums.cost;
        put_sample(place, &sample);
        return false;
    }
    if (elapsed_ms < SAMPLE_AFTER_MS) return false;
    place->load = per_second((sample.sums.cost - last->sums.cost) / HOTKEYS_UNIT, elapsed_ms);
    put_sample(place, &sample);
    if (place->load >= LOADED(hotkeys->half)) place->warm_ms = now_ms;
    return now_ms - place->warm_ms >= COOLS_AFTER_MS || is_disproved(hotkeys, place, &sample);
}

size_t hotkeys_tick(struct hotkeys *hotkeys, int64_t now_ms, uint64_t commands,
                    bool (*is_here)(void *context, uint16_t slot), void *context,
                    struct hot_gone gone[HOTKEYS_GONE_MAX])
{
    bool watched = hotkeys_are_watched(hotkeys);
    size_t count;

    lock_take(&hotkeys->lock);
    hotkeys->commands = commands;
    for (size_t i = 0; i < HOTKEYS_MAX && hotkeys->counts.now > 0; i++) {
        if (!hotkeys->places[i].used) continue;
        if (watched && (is_here == NULL || is_here(context, hotkeys->places[i].slot)) && !look_at(hotkeys, i, now_ms))
            continue;
        leave(hotkeys, i);
        hotkeys->counts.cooled++;
    }
    count = hotkeys->gone_count;
    memcpy(gone, hotkeys->gone, count * sizeof(*gone));
    hotkeys->gone_count = 0;
    lock_release(&hotkeys->lock);
    return count;
}

/* --- Telling --- */

/* What a rate is told over: the oldest sample of the last second, or the newest there is. */
static const struct sample *sample_before(const struct place *place, int64_t now_ms)
{
    const struct sample *found = &place->samples[place->newest];

    for (unsigned back = 1; back < place->count; back++) {
        const struct sample *older = &place->samples[(place->newest + SAMPLES - back) % SAMPLES];

        if (now_ms - older->at_ms > RATE_MS) break;
        found = older;
    }
    return found;
}

static struct hot_report report_of(const struct hotkeys *hotkeys, size_t at, int64_t now_ms, uint64_t commands)
{
    const struct place *place = &hotkeys->places[at];
    const struct sample *from = sample_before(place, now_ms);
    struct sums sums = sums_of(hotkeys, at);
    int64_t ms = now_ms - from->at_ms;
    uint64_t ops = sums.ops - from->sums.ops, all = commands > from->commands ? commands - from->commands : 0;

    return (struct hot_report){
        .name = name_of(place->name),
        .slot = place->slot,
        .since_ms = place->since_ms,
        .ops = per_second(ops, ms),
        .writes = per_second(sums.writes - from->sums.writes, ms),
        .bytes = per_second(sums.bytes - from->sums.bytes, ms),
        .cpu_us = per_second((sums.ns - from->sums.ns) / 1000, ms),
        .share = all == 0     ? 0
                 : ops >= all ? 1
                              : (double)ops / (double)all,
        .load = (double)per_second(sums.cost - from->sums.cost, ms) / HOTKEYS_UNIT,
    };
}

static int hotter_first(const void *a, const void *b)
{
    double x = ((const struct hot_report *)a)->load, y = ((const struct hot_report *)b)->load;

    return (x < y) - (x > y);
}

size_t hotkeys_list(struct hotkeys *hotkeys, int64_t now_ms, uint64_t commands, struct hot_report out[HOTKEYS_MAX])
{
    size_t count = 0;

    lock_take(&hotkeys->lock);
    for (size_t i = 0; i < HOTKEYS_MAX; i++)
        if (hotkeys->places[i].used) out[count++] = report_of(hotkeys, i, now_ms, commands);
    lock_release(&hotkeys->lock);
    qsort(out, count, sizeof(*out), hotter_first);
    return count;
}

struct hotkeys_counts hotkeys_counts(struct hotkeys *hotkeys)
{
    struct hotkeys_counts counts;

    lock_take(&hotkeys->lock);
    counts = hotkeys->counts;
    lock_release(&hotkeys->lock);
    return counts;
}
