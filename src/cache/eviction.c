/* cache/eviction.c: see eviction.h for how it works. */
#include "cache/eviction.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "cache/ghost.h"
#include "store/account.h"
#include "store/usage.h"

#include <assert.h>
#include <string.h>

#define PARTITIONS_MAX 16u
#define PARTITION_ENTRIES 8192u /* fewer entries than that are not divided further: the pools would be too stale */
#define POOL_MAX 9u             /* one more than is kept when the worst has gone */
#define MOMENTS 256u            /* of which it is known when they were, in thirty-seconds of a turnover */

#define S3S_TICKS 32u /* in a turnover */
#define LRU_TICKS 1024u
#define S3S_WINDOW 3u     /* ticks on probation */
#define S3S_AGE_OFFSET 3u /* so that what was just used is not infinitely good */
#define S3S_AGE_MAX 192u  /* beyond it the eight bits might wrap */
#define S3S_AGE_CUT 128u
#define GHOST_TICKS 8u /* a generation: a quarter of a turnover */

struct pooled {
    struct slot_candidate candidate;
    int64_t badness;
    uint16_t slot;
};

/* A share of the slots, which follows from its index and the number of partitions. */
struct partition {
    _Alignas(64) struct lock lock; /* guards the rest, but for the weight */
    unsigned slot;                 /* where the cursor is */
    uint32_t cursor;
    unsigned laps; /* of the cursor, ever */
    unsigned pooled;
    uint64_t evicted; /* since the last maintenance */
    struct random random;
    struct pooled pool[POOL_MAX]; /* the worst first */
    _Atomic uint64_t weight;      /* entries, as counted at the last maintenance */
};

struct eviction {
    struct keyspace *keyspace;
    struct account *account;
    struct usage *usage;

    /* The options: relaxed atomics. */
    _Atomic int64_t limit_bytes, slice_us;
    _Atomic uint32_t order, volatile_only, samples, size_quarters, lfu_decay_minutes;

    /* The clock. */
    _Alignas(64) _Atomic uint64_t insertions;
    _Atomic uint64_t next_tick_at;     /* of insertions */
    _Atomic uint32_t ticks_turnover;   /* how many make a turnover */
    _Atomic uint32_t batch;            /* insertions a thread counts by itself */
    _Atomic uint32_t moments[MOMENTS]; /* in seconds: when each thirty-second of a turnover began */

    struct ghost ghost;
    struct lock maintenance; /* guards changes of the ghost's size and of the number of partitions */
    _Atomic bool maintenance_due;
    _Atomic uint32_t partition_count;
    _Atomic int64_t barren_until_ms; /* nothing was found that may go: not to be looked for again before */
    struct partition partitions[PARTITIONS_MAX];
};

/* What a thread keeps to itself. */
struct own {
    const struct eviction *of;
    uint32_t insertions;
};
static _Thread_local struct own own;

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

/* --- The clock --- */

static void advance_clock(struct eviction *eviction, uint64_t insertions)
{
    uint64_t due = LOAD(eviction->next_tick_at);
    uint32_t ticks = LOAD(eviction->ticks_turnover), tick, batch;
    int64_t keys = account_keys(eviction->account);
    uint64_t step = (keys > 0 ? (uint64_t)keys / ticks : 0) + 1;

    if (insertions < due) return;
    /* Who loses the race leaves the tick to the winner. */
    if (!atomic_compare_exchange_strong_explicit(&eviction->next_tick_at, &due, insertions + step, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    batch = step / 8 > 32 ? 32 : (uint32_t)(step / 8);
    STORE(eviction->batch, batch == 0 ? 1 : batch);
    tick = atomic_fetch_add_explicit(&eviction->usage->tick, 1, memory_order_relaxed) + 1;
    if (tick % (ticks / S3S_TICKS) == 0)
        STORE(eviction->moments[tick / (ticks / S3S_TICKS) % MOMENTS], (uint32_t)(clock_now_ms() / 1000));
}

static void count_insertion(struct eviction *eviction)
{
    if (own.of != eviction) {
        own.of = eviction;
        own.insertions = 0;
    }
    if (++own.insertions < LOAD(eviction->batch)) return;
    advance_clock(eviction, atomic_fetch_add_explicit(&eviction->insertions, own.insertions, memory_order_relaxed) +
                                own.insertions);
    own.insertions = 0;
}

static unsigned generation(const struct eviction *eviction)
{
    return usage_load(&eviction->usage->tick) / GHOST_TICKS;
}

/* The bits of a new entry: what the store asks for. */
static uint16_t fresh(void *context, uint64_t hash, size_t bytes)
{
    struct eviction *eviction = context;
    uint32_t kind = usage_load(&eviction->usage->kind), bits;

    count_insertion(eviction);
    if (kind == USAGE_LRU) return (uint16_t)usage_load(&eviction->usage->tick);
    if (kind == USAGE_LFU) return lfu_bits(eviction->usage, LFU_COUNT_FRESH);
    bits = s3s_class_of(bytes) << S3S_SIZE_SHIFT | (usage_load(&eviction->usage->tick) & S3S_TICK_MASK);
    if (ghost_take(&eviction->ghost, hash, generation(eviction))) bits |= S3S_MAIN | 1u << S3S_HITS_SHIFT;
    return (uint16_t)bits;
}

/* --- Judging --- */

/* One look at a slot. */
struct look {
    struct eviction *eviction;
    struct partition *partition;
    enum eviction_order order;
    uint32_t tick;
    unsigned pool_max, size_quarters;
    uint16_t slot;
    bool skips_lasting; /* entries without a deadline are not to go */
};

static void offer(struct look *look, const struct slot_candidate *candidate, uint16_t usage, int64_t badness)
{
    struct partition *partition = look->partition;
    struct pooled *pool = partition->pool;
    unsigned at;

    for (at = 0; at < partition->pooled; at++)
        if (pool[at].candidate.entry == candidate->entry && pool[at].slot == look->slot) {
            /* Seen before, and used since: judged anew. */
            partition->pooled--;
            memmove(&pool[at], &pool[at + 1], (partition->pooled - at) * sizeof *pool);
            break;
        }
    if (partition->pooled >= look->pool_max) {
        if (badness <= pool[look->pool_max - 1].badness) return;
        partition->pooled = look->pool_max - 1;
    }
    for (at = partition->pooled++; at > 0 && pool[at - 1].badness < badness; at--) pool[at] = pool[at - 1];
    pool[at] = (struct pooled){ .candidate = *candidate, .badness = badness, .slot = look->slot };
    pool[at].candidate.usage = usage;
}

/* 256 * 2^(class * quarters / 4). */
static int64_t size_weight(unsigned class, unsigned quarters)
{
    static const uint16_t quarter_powers[4] = { 256, 304, 362, 431 };

    return (int64_t)quarter_powers[class * quarters % 4] << class * quarters / 4;
}

static uint16_t judge_s3s(struct look *look, const struct slot_candidate *candidate)
{
    const int64_t certain = (int64_t)1 << 60; /* above whatever main can come to */
    static const uint32_t by_hits[S3S_HITS_MAX + 1] = { 65536, 32768, 21845, 16384, 13107, 10923, 9362, 8192 };
    uint16_t bits = candidate->usage;
    unsigned hits = s3s_hits(bits), age;
    int64_t weight;

    /* As a node is limited while it runs, its entries are of unknown size. */
    if (bits == 0) bits = (uint16_t)(s3s_class_of(entry_bytes(candidate->entry)) << S3S_SIZE_SHIFT);
    age = (look->tick - bits) & S3S_TICK_MASK;
    weight = size_weight(s3s_size_class(bits), look->size_quarters);
    if (age > S3S_AGE_MAX) {
        age = S3S_AGE_CUT;
        if (bits & S3S_MAIN) hits /= 2;
        bits = (uint16_t)((bits & (S3S_MAIN | S3S_SIZE_MASK)) | hits << S3S_HITS_SHIFT |
                          ((look->tick - age) & S3S_TICK_MASK));
    }
    if (bits & S3S_MAIN) {
        offer(look, candidate, bits, (int64_t)((age + S3S_AGE_OFFSET) * by_hits[hits]) * weight);
    } else if (age <= S3S_WINDOW) {
        offer(look, candidate, bits, (age + 1) * weight - certain); /* if there is nothing else */
    } else if (hits == 0) {
        offer(look, candidate, bits, (age + 1) * weight + certain);
    } else {
        bits = (uint16_t)(S3S_MAIN | (bits & S3S_SIZE_MASK) | (look->tick & S3S_TICK_MASK));
    }
    return bits;
}

static uint16_t judge_lru(struct look *look, const struct slot_candidate *candidate)
{
    uint16_t bits = candidate->usage, age = (uint16_t)(look->tick - bits);

    if (age > 0xc000) {
        age = 0x8000;
        bits = (uint16_t)(look->tick - age);
    }
    offer(look, candidate, bits, age);
    return bits;
}

static uint16_t judge_lfu(struct look *look, const struct slot_candidate *candidate)
{
    const struct usage *usage = look->eviction->usage;
    uint16_t bits = candidate->usage;
    unsigned count = lfu_count(usage, bits);

    /* Before the eight bits of the period wrap. */
    if (((usage_load(&usage->lfu_period) - (bits >> 8)) & 0xff) > 0x80) bits = lfu_bits(usage, count);
    offer(look, candidate, bits, -(int64_t)count);
    return bits;
}

static uint16_t judge(void *context, const struct slot_candidate *candidate)
{
    struct look *look = context;

    if (look->skips_lasting && entry_expires_at_ms(candidate->entry) == ENTRY_KEEPS_FOREVER) return candidate->usage;
    switch (look->order) {
    case EVICTION_NEVER:
        break;
    case EVICTION_S3S:
        return judge_s3s(look, candidate);
    case EVICTION_LRU:
        return judge_lru(look, candidate);
    case EVICTION_LFU:
        return judge_lfu(look, candidate);
    case EVICTION_RANDOM:
        offer(look, candidate, candidate->usage, (int64_t)(random_u64(&look->partition->random) >> 1));
        break;
    case EVICTION_TTL:
        offer(look, candidate, candidate->usage, -entry_expires_at_ms(candidate->entry));
        break;
    }
    return candidate->usage;
}

/* --- Evicting, with the partition locked --- */

/* What one command is at: how much it may still look at in vain, and what was found. */
struct search {
    int64_t now_ms;
    int64_t budget;
    struct entry *taken[SLOT_TAKE_MAX]; /* to be freed with no lock held */
    size_t count;
};

#define LOOKS_VAIN (3 * (int64_t)SLOT_COUNT) /* enough to pass by every slot twice, and tell that nothing may go */
#define LOOKS_ENTRY 4                        /* one where the deadline has to be read, which is seldom at hand */

/* Entries whose deadline has passed are a free gain. The expiry cycle would have come for them, so how late it is counts. */
static void take_due(struct eviction *eviction, struct search *search, struct slot *slot)
{
    struct deadlines *deadlines = keyspace_deadlines(eviction->keyspace);

    if (!hint_is_due(deadlines_hint(deadlines, slot_id(slot)), search->now_ms)) return;
    search->count = slot_take_due(slot, search->now_ms, search->taken);
    for (size_t i = 0; i < search->count; i++)
        histogram_add(&deadlines->lag_ms, (uint64_t)(search->now_ms - entry_expires_at_ms(search->taken[i])));
}

/* Looks at the next few entries of the partition, unless some are found that have expired. The cursor's laps are counted. */
static void look_on(struct eviction *eviction, struct partition *partition, unsigned first, unsigned end,
                    struct search *search)
{
    int64_t keys = account_keys(eviction->account);
    size_t samples = LOAD(eviction->samples), seen = 0;
    unsigned laps = partition->laps;
    bool is_volatile = LOAD(eviction->volatile_only) != 0;
    struct look look = {
        .eviction = eviction,
        .partition = partition,
        .order = (enum eviction_order)LOAD(eviction->order),
        .tick = usage_load(&eviction->usage->tick),
        .pool_max = keys / 16 >= POOL_MAX - 1 ? POOL_MAX
                    : keys > 0                ? (unsigned)(keys / 16 + 1)
                                              : 1,
        .size_quarters = LOAD(eviction->size_quarters),
    };

    if (partition->slot < first || partition->slot >= end) {
        partition->slot = first;
        partition->cursor = 0;
    }
    while (seen < samples && partition->laps - laps < 2 && search->count == 0 && search->budget > 0) {
        struct slot *slot;
        struct slot_counts counts;
        size_t before = seen;

        if (partition->cursor == 0) partition->slot = keyspace_next_occupied(eviction->keyspace, partition->slot, end);
        if (partition->slot == end) {
            partition->slot = first;
            partition->laps++;
            continue;
        }
        search->budget--;
        slot = keyspace_slot(eviction->keyspace, (uint16_t)partition->slot);
        counts = slot_counts(slot);
        if (is_volatile && counts.expiring == 0) {
            partition->cursor = 0;
            partition->slot++;
            continue;
        }
        slot_lock(slot);
        take_due(eviction, search, slot);
        if (search->count == 0) {
            look.slot = (uint16_t)partition->slot;
            look.skips_lasting = is_volatile && counts.expiring != counts.keys;
            partition->cursor = slot_judge(slot, partition->cursor, samples - seen, &seen, judge, &look);
            search->budget -= (int64_t)(seen - before) * (look.skips_lasting ? LOOKS_ENTRY : 1);
            if (partition->cursor == 0) partition->slot++;
        }
        slot_unlock(slot);
    }
}

static bool is_remembered(uint16_t usage)
{
    /* What main has not seen hit again stays out: a loop larger than the cache would otherwise go round in main and find nothing. */
    return !(usage & S3S_MAIN) || s3s_hits(usage) >= 2;
}

static bool take_pooled(struct eviction *eviction, const struct pooled *pooled, struct search *search)
{
    struct slot *slot = keyspace_slot(eviction->keyspace, pooled->slot);
    struct entry *entry;
    uint64_t hash;

    slot_lock(slot);
    entry = slot_evict(slot, &pooled->candidate, LOAD(eviction->volatile_only) != 0, search->now_ms, &hash);
    /* Under the lock, for the ghost's sake: see resize_ghost(). */
    if (entry != NULL && LOAD(eviction->order) == EVICTION_S3S && is_remembered(pooled->candidate.usage) &&
        !entry_is_expired(entry, search->now_ms))
        ghost_put(&eviction->ghost, hash, generation(eviction), random_of_thread());
    slot_unlock(slot);
    if (entry != NULL) search->taken[search->count++] = entry;
    return entry != NULL;
}

/* Takes the worst that is found, or some that have expired. False where two laps found nothing, or enough was looked at. */
static bool evict_from(struct eviction *eviction, struct partition *partition, struct search *search)
{
    unsigned index = (unsigned)(partition - eviction->partitions), count = LOAD(eviction->partition_count);
    unsigned laps = partition->laps;

    if (count == 0) return NULL; /* there is always one */
    if (index >= count) index %= count;
    do {
        look_on(eviction, partition, index * SLOT_COUNT / count, (index + 1) * SLOT_COUNT / count, search);
        if (search->count > 0) return true;
        while (partition->pooled > 0) {
            struct pooled worst = partition->pool[0];

            partition->pooled--;
            memmove(partition->pool, partition->pool + 1, partition->pooled * sizeof worst);
            if (!take_pooled(eviction, &worst, search)) continue;
            /* Likely the next to go; by then it is here. */
            if (partition->pooled > 0) __builtin_prefetch(partition->pool[0].candidate.entry);
            if (++partition->evicted > LOAD(partition->weight)) STORE(eviction->maintenance_due, true);
            return true;
        }
    } while (partition->laps - laps < 2 && search->budget > 0);
    return false;
}

/* --- Choosing a partition --- */

/* By lot, in proportion to the entries. */
static unsigned draw_partition(const struct eviction *eviction, unsigned count)
{
    uint64_t total = 0, lot;

    if (count == 1) return 0;
    for (unsigned i = 0; i < count; i++) total += LOAD(eviction->partitions[i].weight);
    if (total == 0) return 0;
    lot = random_below(random_of_thread(), total);
    for (unsigned i = 0; i < count; i++) {
        uint64_t weight = LOAD(eviction->partitions[i].weight);

        if (lot < weight) return i;
        lot -= weight;
    }
    return 0;
}

/* One entry, or some that have expired. */
static bool evict_one(struct eviction *eviction, struct search *search)
{
    unsigned count = LOAD(eviction->partition_count), drawn = draw_partition(eviction, count), at = drawn;
    bool found;

    /* Another thread's partition is left to it while there is a free one. */
    for (unsigned tries = 0; !lock_try(&eviction->partitions[at].lock); tries++) {
        if (tries == count) {
            lock_take(&eviction->partitions[at].lock);
            break;
        }
        at = (at + 1) % count;
    }
    found = evict_from(eviction, &eviction->partitions[at], search);
    lock_release(&eviction->partitions[at].lock);
    /* Empty, or nothing in it may go: then any other will do. */
    for (unsigned i = 0; !found && search->budget > 0 && i < count; i++) {
        struct partition *partition = &eviction->partitions[i];

        if (i == at) continue;
        lock_take(&partition->lock);
        found = evict_from(eviction, partition, search);
        lock_release(&partition->lock);
    }
    return found;
}

/* --- Maintenance: what follows from the number of entries --- */

/* Segments that go are freed once nobody can be at them. The ghost is looked at under a slot's lock only, so it is
 * enough to have seen each of them free once. */
static void resize_ghost(struct eviction *eviction, uint32_t bits)
{
    struct ghost *ghost = &eviction->ghost;
    uint32_t now = LOAD(ghost->bits);
    int64_t before = (int64_t)ghost_bytes(ghost);

    if (bits > now) {
        ghost_grow(ghost, bits);
    } else if (bits == 0 ? now > 0 : bits + 1 < now) {
        ghost_shrink_begin(ghost, bits);
        for (unsigned id = 0; id < SLOT_COUNT; id++) {
            struct slot *slot = keyspace_slot(eviction->keyspace, (uint16_t)id);

            slot_lock(slot);
            slot_unlock(slot);
        }
        ghost_shrink_end(ghost);
    }
    account_charge(eviction->account, (int64_t)ghost_bytes(ghost) - before, 0);
}

/* Never much of the limit: a limit far below a former one would leave no room for entries. */
static uint32_t ghost_bits_within(uint64_t entries, int64_t limit_bytes)
{
    uint32_t bits = ghost_bits_for(entries);

    while (bits > 1 && ghost_bytes_for(bits) > (size_t)limit_bytes / 8) bits--;
    return bits;
}

static unsigned partitions_for(uint64_t entries, unsigned now)
{
    unsigned count = 1;

    while (count < PARTITIONS_MAX && entries >= (uint64_t)PARTITION_ENTRIES * 2 * count) count *= 2;
    return count > now || count * 2 < now ? count : now;
}

static void maintain(struct eviction *eviction)
{
    uint64_t weights[PARTITIONS_MAX] = { 0 }, entries = 0;
    unsigned count;

    if (!lock_try(&eviction->maintenance)) return;
    STORE(eviction->maintenance_due, false);
    for (unsigned id = 0; (id = keyspace_next_occupied(eviction->keyspace, id, SLOT_COUNT)) < SLOT_COUNT; id++) {
        uint64_t keys = slot_counts(keyspace_slot(eviction->keyspace, (uint16_t)id)).keys;

        entries += keys;
        weights[id / (SLOT_COUNT / PARTITIONS_MAX)] += keys;
    }
    count = partitions_for(entries, LOAD(eviction->partition_count));
    STORE(eviction->partition_count, count);
    for (unsigned i = 0; i < count; i++) {
        uint64_t weight = 0;

        for (unsigned part = 0; part < PARTITIONS_MAX / count; part++)
            weight += weights[i * (PARTITIONS_MAX / count) + part];
        STORE(eviction->partitions[i].weight, weight);
        lock_take(&eviction->partitions[i].lock);
        eviction->partitions[i].evicted = 0;
        lock_release(&eviction->partitions[i].lock);
    }
    resize_ghost(eviction,
                 LOAD(eviction->order) == EVICTION_S3S ? ghost_bits_within(entries, LOAD(eviction->limit_bytes)) : 0);
    lock_release(&eviction->maintenance);
}

/* --- Outside --- */

struct eviction *eviction_new(struct keyspace *keyspace)
{
    struct eviction *eviction = alloc_aligned(sizeof *eviction, _Alignof(struct eviction));

    memset((void *)eviction, 0, sizeof *eviction);
    eviction->keyspace = keyspace;
    eviction->account = keyspace_account(keyspace);
    eviction->usage = keyspace_usage(keyspace);
    eviction->usage->fresh = fresh;
    eviction->usage->context = eviction;
    STORE(eviction->partition_count, 1);
    STORE(eviction->ticks_turnover, S3S_TICKS);
    STORE(eviction->batch, 1);
    for (unsigned i = 0; i < MOMENTS; i++) STORE(eviction->moments[i], (uint32_t)(clock_now_ms() / 1000));
    for (unsigned i = 0; i < PARTITIONS_MAX; i++) random_seed(&eviction->partitions[i].random, i + 1);
    return eviction;
}

void eviction_free(struct eviction **eviction)
{
    if (*eviction == NULL) return;
    STORE((*eviction)->usage->kind, USAGE_NONE);
    ghost_free(&(*eviction)->ghost);
    alloc_free(*eviction);
    *eviction = NULL;
}

void eviction_configure(struct eviction *eviction, const struct eviction_options *options)
{
    enum usage_kind kind = USAGE_NONE;
    int64_t fold_bytes = ACCOUNT_FOLD_BYTES, share;

    /* A limit is kept to within two hundredths, so what threads have not yet brought to the account must be less. */
    share = options->limit_bytes / 256 / (options->threads == 0 ? 1 : options->threads);
    if (options->limit_bytes != 0 && share < fold_bytes) fold_bytes = share < 256 ? 256 : share;
    STORE(eviction->account->fold_bytes, fold_bytes);

    if (options->order == EVICTION_S3S && options->limit_bytes != 0) kind = USAGE_S3S;
    if (options->order == EVICTION_LRU) kind = USAGE_LRU;
    if (options->order == EVICTION_LFU) kind = USAGE_LFU;
    STORE(eviction->ticks_turnover, kind == USAGE_LRU ? LRU_TICKS : S3S_TICKS);
    STORE(eviction->next_tick_at, 0);
    STORE(eviction->usage->lfu_log_factor, options->lfu_log_factor);
    STORE(eviction->lfu_decay_minutes, options->lfu_decay_minutes);
    STORE(eviction->usage->kind, kind);

    STORE(eviction->slice_us, options->slice_us);
    STORE(eviction->volatile_only, options->volatile_only);
    STORE(eviction->samples, options->samples == 0 ? 1 : options->samples);
    STORE(eviction->size_quarters, options->size_quarters);
    STORE(eviction->order, (uint32_t)options->order);
    STORE(eviction->limit_bytes, options->limit_bytes);
    STORE(eviction->barren_until_ms, 0);
    /* What was bad for the former order is not for this one. */
    for (unsigned i = 0; i < PARTITIONS_MAX; i++) {
        lock_take(&eviction->partitions[i].lock);
        eviction->partitions[i].pooled = 0;
        lock_release(&eviction->partitions[i].lock);
    }
    STORE(eviction->maintenance_due, true);
}

/* Would the data take more than it may with so much on top? */
static bool is_over(const struct eviction *eviction, int64_t ahead_bytes)
{
    int64_t limit_bytes = LOAD(eviction->limit_bytes);

    return limit_bytes != 0 && account_bytes(eviction->account) > limit_bytes - ahead_bytes;
}

bool eviction_is_due(const struct eviction *eviction)
{
    return is_over(eviction, 0);
}

#define BARREN_MS 10
#define TIMED_EVERY 16u
#define LOOKS_PER_SAMPLE 8 /* which each entry found is worth: what is found as it should be never runs out */

/* Until so much more would fit; with what is wanted freed it may stop after a slice of time. */
static bool evict_until(struct eviction *eviction, int64_t ahead_bytes, size_t wanted, int64_t now_ms)
{
    int64_t slice_us = LOAD(eviction->slice_us);
    uint64_t began_ns = 0;
    size_t freed = 0;
    struct search search = { .now_ms = now_ms, .budget = LOOKS_VAIN };

    if (LOAD(eviction->order) == EVICTION_NEVER || now_ms < LOAD(eviction->barren_until_ms)) return false;
    if (LOAD(eviction->maintenance_due)) maintain(eviction);
    for (unsigned times = 1; is_over(eviction, ahead_bytes); times++) {
        if (!evict_one(eviction, &search)) {
            /* Where there was only too much to look at, the next command goes on from here. */
            if (search.budget > 0) STORE(eviction->barren_until_ms, now_ms + BARREN_MS);
            return search.budget <= 0 && freed >= wanted;
        }
        while (search.count > 0) {
            freed += entry_bytes(search.taken[--search.count]);
            entry_free(&search.taken[search.count]);
        }
        search.budget += LOOKS_PER_SAMPLE * (int64_t)LOAD(eviction->samples);
        if (slice_us < 0 || times % TIMED_EVERY != 0 || freed < wanted) continue;
        if (began_ns == 0) began_ns = clock_monotonic_ns();
        if (clock_monotonic_ns() - began_ns > (uint64_t)slice_us * 1000) break;
    }
    return true;
}

bool eviction_make_room(struct eviction *eviction, size_t incoming_bytes, int64_t now_ms)
{
    size_t wanted = incoming_bytes < SIZE_MAX / 4 ? 2 * incoming_bytes + 1024 : SIZE_MAX;

    return !eviction_is_due(eviction) || evict_until(eviction, 0, wanted, now_ms);
}

bool eviction_lacks_way(const struct eviction *eviction, size_t incoming_bytes)
{
    int64_t limit_bytes = LOAD(eviction->limit_bytes);

    return limit_bytes != 0 && incoming_bytes <= (size_t)limit_bytes && is_over(eviction, (int64_t)incoming_bytes);
}

void eviction_make_way(struct eviction *eviction, size_t incoming_bytes, int64_t now_ms)
{
    if (eviction_lacks_way(eviction, incoming_bytes))
        (void)evict_until(eviction, (int64_t)incoming_bytes, incoming_bytes, now_ms);
}

void eviction_tick(struct eviction *eviction, int64_t now_ms)
{
    int64_t minutes = LOAD(eviction->lfu_decay_minutes);

    account_settle();
    if (minutes > 0) STORE(eviction->usage->lfu_period, (uint32_t)(now_ms / 60000 / minutes));
}

size_t eviction_own_bytes(const struct eviction *eviction)
{
    return ghost_bytes(&eviction->ghost);
}

int64_t eviction_idle_s(const struct eviction *eviction, uint16_t usage, int64_t now_ms)
{
    uint32_t tick = usage_load(&eviction->usage->tick), kind = usage_load(&eviction->usage->kind);
    uint32_t a_moment = LOAD(eviction->ticks_turnover) / S3S_TICKS;
    uint32_t age = kind == USAGE_LRU ? (tick - usage) & 0xffff : (tick - usage) & S3S_TICK_MASK;
    int64_t since_s;

    if (kind != USAGE_LRU && kind != USAGE_S3S) return 0;
    /* What was used in this very tick cannot be told from what is used now. */
    if (age == 0) return 0;
    age = age / a_moment < MOMENTS - 1 ? age : (MOMENTS - 1) * a_moment;
    since_s = LOAD(eviction->moments[(tick - age) / a_moment % MOMENTS]);
    return now_ms / 1000 > since_s ? now_ms / 1000 - since_s : 0;
}

unsigned eviction_frequency(const struct eviction *eviction, uint16_t usage)
{
    return usage_load(&eviction->usage->kind) == USAGE_LFU ? lfu_count(eviction->usage, usage) : 0;
}

uint16_t eviction_usage_idle(const struct eviction *eviction, uint16_t usage, int64_t idle_s, int64_t now_ms)
{
    uint32_t tick = usage_load(&eviction->usage->tick), kind = usage_load(&eviction->usage->kind);
    uint32_t a_moment = LOAD(eviction->ticks_turnover) / S3S_TICKS;
    uint16_t mask = kind == USAGE_LRU ? 0xffff : S3S_TICK_MASK, aged = usage;

    if (kind != USAGE_LRU && kind != USAGE_S3S) return usage;
    for (uint32_t age = 0; age < MOMENTS; age++) {
        aged = (uint16_t)((usage & ~mask) | ((tick - age * a_moment) & mask));
        if (eviction_idle_s(eviction, aged, now_ms) >= idle_s) break;
    }
    return aged;
}

uint16_t eviction_usage_frequent(const struct eviction *eviction, uint16_t usage, unsigned frequency)
{
    return usage_load(&eviction->usage->kind) == USAGE_LFU ? lfu_bits(eviction->usage, frequency) : usage;
}
