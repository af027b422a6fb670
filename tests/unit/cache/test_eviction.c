/* What eviction promises: the limit is kept, what is in use stays, each order is the one it is named for. The cache is used as an
 * application does: read, and where it is not there, written. */
#include "base/clock.h"
#include "base/keyslot.h"
#include "base/random.h"
#include "cache/eviction.h"
#include "store/account.h"
#include "store/usage.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define VALUE_BYTES 200u
#define BEGIN_MS INT64_C(1754000000000) /* of a test: a deadline of these times takes five bytes */
#define ENTRY_TAKES 260 /* with its share of table and ghost, about: a limit of n of them holds some n */

struct cache {
    struct keyspace *keyspace;
    struct eviction *eviction;
    int64_t now_ms;
    const char *tag; /* before each key */
};

static void limit(struct cache *cache, enum eviction_order order, bool volatile_only, int64_t bytes)
{
    struct eviction_options options = {
        .limit_bytes = bytes,
        .order = order,
        .volatile_only = volatile_only,
        .samples = 8,
        .size_quarters = 2,
        .slice_us = -1,
        .threads = 1,
        .lfu_log_factor = 10,
        .lfu_decay_minutes = 1,
    };

    eviction_configure(cache->eviction, &options);
}

static struct cache cache_of(enum eviction_order order, bool volatile_only, unsigned entries)
{
    struct cache cache = { .keyspace = keyspace_new(), .now_ms = BEGIN_MS + 1000, .tag = "key" };

    /* One clock for all: hints are told apart by what time the keyspace takes it to be. */
    atomic_store(&keyspace_deadlines(cache.keyspace)->now_ms, cache.now_ms);
    cache.eviction = eviction_new(cache.keyspace);
    limit(&cache, order, volatile_only, (int64_t)entries * ENTRY_TAKES);
    return cache;
}

static void cache_end(struct cache *cache)
{
    uint64_t taken = keyspace_counts(cache->keyspace).bytes + eviction_own_bytes(cache->eviction);

    /* The account is exact once all have settled. */
    account_settle();
    CHECK(account_bytes(keyspace_account(cache->keyspace)) == (int64_t)taken);
    CHECK(account_keys(keyspace_account(cache->keyspace)) == (int64_t)keyspace_counts(cache->keyspace).keys);
    eviction_free(&cache->eviction);
    keyspace_free(&cache->keyspace);
}

static struct bytes key_of(const struct cache *cache, uint32_t number, char text[40])
{
    return (struct bytes){ text, (size_t)snprintf(text, 40, "%s:%u", cache->tag, number) };
}

static bool get(struct cache *cache, uint32_t number)
{
    char text[40];
    struct bytes key = key_of(cache, number, text);
    struct slot *slot = keyspace_slot(cache->keyspace, key_slot(key));
    bool found;

    slot_lock(slot);
    found = slot_use(slot, slot_hash(key), key, cache->now_ms, SLOT_TOUCH) != NULL;
    slot_unlock(slot);
    return found;
}

static bool is_there(struct cache *cache, uint32_t number)
{
    char text[40];
    struct bytes key = key_of(cache, number, text);
    struct slot *slot = keyspace_slot(cache->keyspace, key_slot(key));
    bool found;

    slot_lock(slot);
    found = slot_peek(slot, key, cache->now_ms) != NULL;
    slot_unlock(slot);
    return found;
}

/* With a deadline so long after the beginning. */
static bool set_sized(struct cache *cache, uint32_t number, size_t bytes, int64_t expires_after_ms)
{
    static const char value[4096];
    char text[40];
    struct bytes key = key_of(cache, number, text);
    struct slot *slot = keyspace_slot(cache->keyspace, key_slot(key));
    int64_t expires_at_ms = expires_after_ms == ENTRY_KEEPS_FOREVER ? expires_after_ms : BEGIN_MS + expires_after_ms;
    struct entry *entry;

    if (!eviction_make_room(cache->eviction, bytes, cache->now_ms)) return false;
    entry = entry_new(key, (struct bytes){ value, bytes }, expires_at_ms);
    slot_lock(slot);
    slot_put(slot, &entry);
    slot_unlock(slot);
    return true;
}

static bool set(struct cache *cache, uint32_t number)
{
    return set_sized(cache, number, VALUE_BYTES, ENTRY_KEEPS_FOREVER);
}

/* Reads, and writes what is missing. True for a hit. */
static bool read_through(struct cache *cache, uint32_t number)
{
    if (get(cache, number)) return true;
    CHECK(set(cache, number));
    return false;
}

static unsigned count_there(struct cache *cache, uint32_t from, uint32_t to)
{
    unsigned found = 0;

    for (uint32_t number = from; number < to; number++) found += is_there(cache, number);
    return found;
}

static uint64_t entries(const struct cache *cache)
{
    return keyspace_counts(cache->keyspace).keys;
}

/* --- S3S --- */

#ifdef SANITIZED
#define SIZE 1200u
#define SHARED_SIZE 18000 /* two partitions or more */
#define STEPS 20000       /* of each thread */
#else
#define SIZE 4000u
#define SHARED_SIZE 30000
#define STEPS 40000
#endif

TEST(a_scan_leaves_what_is_in_use)
{
    struct cache cache = cache_of(EVICTION_S3S, false, SIZE);
    uint32_t hot;

    for (uint32_t number = 0; number < SIZE * 2; number++) read_through(&cache, 1000000 + number);
    hot = (uint32_t)entries(&cache) / 2;
    for (int round = 0; round < 10; round++)
        for (uint32_t number = 0; number < hot; number++) read_through(&cache, number);
    for (uint32_t number = 0; number < SIZE * 10; number++) read_through(&cache, 2000000 + number);
    CHECK(count_there(&cache, 0, hot) >= hot * 95 / 100);
    cache_end(&cache);
}

TEST(the_lru_order_lets_a_scan_push_everything_out)
{
    struct cache cache = cache_of(EVICTION_LRU, false, SIZE);

    for (int round = 0; round < 10; round++)
        for (uint32_t number = 0; number < SIZE / 2; number++) read_through(&cache, number);
    for (uint32_t number = 0; number < SIZE * 3; number++) read_through(&cache, 2000000 + number);
    CHECK(count_there(&cache, 0, SIZE / 2) < SIZE / 100);
    cache_end(&cache);
}

TEST(a_loop_larger_than_the_cache_still_hits)
{
    struct cache cache = cache_of(EVICTION_S3S, false, SIZE);
    uint32_t loop, hits = 0;

    for (uint32_t number = 0; number < SIZE * 2; number++) read_through(&cache, 1000000 + number);
    loop = (uint32_t)entries(&cache) * 3 / 2;
    for (int round = 0; round < 30; round++)
        for (uint32_t number = 0; number < loop; number++) {
            bool hit = read_through(&cache, number);

            if (round >= 10) hits += hit;
        }
    CHECK(hits > 20 * loop * 35 / 100);
    cache_end(&cache);
}

TEST(what_was_just_set_is_there)
{
    struct cache cache = cache_of(EVICTION_S3S, false, 1000);

    for (uint32_t number = 0; number < 20000; number++) {
        CHECK(set(&cache, number));
        CHECK(get(&cache, number));
    }
    cache_end(&cache);
}

TEST(a_fat_slot_bears_the_evictions)
{
    struct cache cache = cache_of(EVICTION_S3S, false, 30000);
    uint64_t fat, thin;

    for (uint32_t number = 0; number < 70000; number++) {
        cache.tag = number % 10 == 0 ? "thin" : "{fat}";
        CHECK(set(&cache, number));
    }
    CHECK(keyspace_counts(cache.keyspace).evicted > 30000);
    fat = slot_counts(keyspace_slot(cache.keyspace, key_slot(BYTES("fat")))).evicted;
    thin = keyspace_counts(cache.keyspace).evicted - fat;
    CHECK(fat * 100 > (fat + thin) * 87 && thin > 0); /* it has 90 in a hundred of the entries */
    cache_end(&cache);
}

/* Ten turnovers with a set in use, and a tick that wraps: it stays. Then ten with another that needs its room: of the former nothing
 * is left, which takes that an age does not wrap to young. */
TEST(what_was_famous_once_makes_way_though_its_tick_wraps)
{
    struct cache cache = cache_of(EVICTION_S3S, false, 1000);
    uint32_t fresh = 1000000, hot;

    for (uint32_t number = 0; number < 3000; number++) read_through(&cache, fresh++);
    hot = (uint32_t)entries(&cache) * 8 / 10;
    for (uint32_t i = 0; i < 10000; i++) {
        read_through(&cache, i % hot);
        read_through(&cache, fresh++);
    }
    CHECK(count_there(&cache, 0, hot) >= hot * 95 / 100);
    for (uint32_t i = 0; i < 10000; i++) {
        read_through(&cache, 500000 + i % hot);
        read_through(&cache, fresh++);
    }
    CHECK(count_there(&cache, 0, hot) <= hot / 100);
    CHECK(count_there(&cache, 500000, 500000 + hot) >= hot * 95 / 100);
    cache_end(&cache);
}

static unsigned hits_of(struct cache *cache, uint32_t number)
{
    char text[40];
    struct bytes key = key_of(cache, number, text);
    struct slot *slot = keyspace_slot(cache->keyspace, key_slot(key));
    uint16_t usage = 0;

    slot_lock(slot);
    CHECK(slot_usage(slot, key, cache->now_ms, &usage));
    slot_unlock(slot);
    CHECK(usage & S3S_MAIN);
    return s3s_hits(usage);
}

TEST(fame_decays)
{
    struct cache cache = cache_of(EVICTION_S3S, false, 1000);
    uint32_t fresh = 1000000;

    for (int round = 0; round < 20; round++)
        for (uint32_t number = 0; number < 100; number++) {
            read_through(&cache, number);
            read_through(&cache, fresh++);
        }
    for (uint32_t number = 0; number < 100; number++) CHECK(hits_of(&cache, number) == S3S_HITS_MAX);
    /* Nobody wants its room, so it stays, but its seven hits count for ever less: by a half after six turnovers, and then every two. */
    for (uint32_t i = 0; i < 7500; i++) read_through(&cache, fresh++);
    for (uint32_t number = 0; number < 100; number++) CHECK(hits_of(&cache, number) <= S3S_HITS_MAX / 2);
    for (uint32_t i = 0; i < 5000; i++) read_through(&cache, fresh++);
    for (uint32_t number = 0; number < 100; number++) CHECK(hits_of(&cache, number) == 0);
    cache_end(&cache);
}

TEST(large_entries_go_before_small_ones)
{
    struct cache cache = cache_of(EVICTION_S3S, false, SIZE);
    unsigned small, large;

    for (uint32_t number = 0; number < 20000; number++)
        CHECK(set_sized(&cache, number, number % 2 == 0 ? 20 : 2000, ENTRY_KEEPS_FOREVER));
    for (uint32_t number = small = large = 0; number < 20000; number++)
        *(number % 2 == 0 ? &small : &large) += is_there(&cache, number);
    CHECK(small > large * 3 / 2);
    cache_end(&cache);
}

/* --- The limit --- */

TEST(the_limit_is_kept_whatever_the_sizes)
{
    struct cache cache = cache_of(EVICTION_S3S, false, SIZE);
    int64_t bytes = SIZE * ENTRY_TAKES;
    struct random random;

    random_seed(&random, 5);
    for (uint32_t number = 0; number < SIZE * 15; number++) {
        CHECK(set_sized(&cache, (uint32_t)random_below(&random, SIZE * 8), (size_t)random_below(&random, 4096),
                        ENTRY_KEEPS_FOREVER));
        if (number % 1000 == 0)
            CHECK((int64_t)(keyspace_counts(cache.keyspace).bytes + eviction_own_bytes(cache.eviction)) <
                  bytes + bytes / 50 + 4096);
    }
    /* Lowered, it is worked off by the next who writes, and the ghost shrinks with it. */
    limit(&cache, EVICTION_S3S, false, bytes / 50);
    for (uint32_t number = 0; number < 3000; number++) CHECK(set(&cache, number));
    CHECK((int64_t)(keyspace_counts(cache.keyspace).bytes + eviction_own_bytes(cache.eviction)) < bytes / 50 + 8192);
    /* Taken away, nothing goes. */
    limit(&cache, EVICTION_S3S, false, 0);
    CHECK(!eviction_is_due(cache.eviction));
    cache_end(&cache);
}

TEST(what_is_large_has_room_made_for_it_before)
{
    struct cache cache = cache_of(EVICTION_S3S, false, SIZE);
    int64_t limit_bytes = (int64_t)SIZE * ENTRY_TAKES;
    size_t large = (size_t)limit_bytes / 4;
    uint64_t before;

    for (uint32_t number = 0; number < SIZE; number++) CHECK(set(&cache, number));
    eviction_make_way(cache.eviction, large, cache.now_ms);
    CHECK(account_bytes(keyspace_account(cache.keyspace)) <= limit_bytes - (int64_t)large);
    CHECK(account_bytes(keyspace_account(cache.keyspace)) > limit_bytes / 2);
    /* For what does not fit at all nobody makes way. */
    before = entries(&cache);
    eviction_make_way(cache.eviction, (size_t)limit_bytes + 1, cache.now_ms);
    CHECK(entries(&cache) == before);
    cache_end(&cache);
}

TEST(without_eviction_there_is_no_room)
{
    struct cache cache = cache_of(EVICTION_NEVER, false, 100);
    uint32_t number = 0;

    while (set(&cache, number)) CHECK(++number < 200);
    CHECK(eviction_is_due(cache.eviction) && entries(&cache) == number);
    CHECK(keyspace_counts(cache.keyspace).evicted == 0);
    cache_end(&cache);
}

TEST(a_limit_set_later_finds_the_entries_that_were_there)
{
    struct cache cache = cache_of(EVICTION_S3S, false, 0);

    for (uint32_t number = 0; number < 5000; number++) CHECK(set(&cache, number));
    CHECK(!eviction_is_due(cache.eviction));
    limit(&cache, EVICTION_S3S, false, 1000 * ENTRY_TAKES);
    CHECK(eviction_is_due(cache.eviction) || eviction_make_room(cache.eviction, 0, 1000));
    account_settle();
    CHECK(eviction_make_room(cache.eviction, 0, 1000));
    CHECK(entries(&cache) < 1300 && entries(&cache) > 700);
    cache_end(&cache);
}

/* What it remembers of many entries is more than all that a few may take. */
TEST(a_limit_far_below_the_former_one_leaves_room_for_entries)
{
    struct cache cache = cache_of(EVICTION_S3S, false, 10000);

    for (uint32_t number = 0; number < 15000; number++) CHECK(set(&cache, number));
    CHECK(eviction_own_bytes(cache.eviction) > 40 * ENTRY_TAKES);
    limit(&cache, EVICTION_S3S, false, 40 * ENTRY_TAKES);
    CHECK(eviction_make_room(cache.eviction, 0, 1000));
    CHECK(entries(&cache) > 20);
    for (uint32_t number = 20000; number < 20100; number++) CHECK(set(&cache, number));
    cache_end(&cache);
}

/* --- The other orders --- */

TEST(only_what_has_a_deadline_goes_with_a_volatile_policy)
{
    struct cache cache = cache_of(EVICTION_S3S, true, 1000);
    uint32_t number = 0;

    for (number = 0; number < 500; number++) CHECK(set(&cache, number));
    for (number = 10000; number < 15000; number++) CHECK(set_sized(&cache, number, VALUE_BYTES, 1000000));
    CHECK(count_there(&cache, 0, 500) == 500);
    /* Once only lasting ones are left there is no room, and a little later there is for one with a deadline that came. */
    for (number = 20000; set(&cache, number); number++) CHECK(number < 22000);
    CHECK(keyspace_counts(cache.keyspace).expiring == 0);
    cache_end(&cache);
}

TEST(the_nearest_deadline_goes_first)
{
    struct cache cache = cache_of(EVICTION_TTL, true, 1000);

    for (uint32_t number = 0; number < 3000; number++)
        CHECK(set_sized(&cache, number, VALUE_BYTES, number % 2 == 0 ? 1000000 : 2000000));
    CHECK(count_there(&cache, 0, 3000) > 700);
    for (uint32_t number = 0; number < 3000; number += 2) CHECK(!is_there(&cache, number) || number > 2500);
    cache_end(&cache);
}

TEST(what_is_used_often_stays_with_lfu)
{
    struct cache cache = cache_of(EVICTION_LFU, false, 1000);
    int64_t now_ms = INT64_C(256) * 60000 *
                     1000; /* eight bits of its minutes are kept: what follows is the same at any time of the day */

    eviction_tick(cache.eviction, now_ms);
    for (uint32_t number = 0; number < 400; number++) CHECK(set(&cache, number));
    for (int round = 0; round < 30; round++)
        for (uint32_t number = 0; number < 400; number++) CHECK(get(&cache, number));
    for (uint32_t number = 10000; number < 20000; number++) CHECK(set(&cache, number));
    CHECK(count_there(&cache, 0, 400) == 400);
    /* The count falls by one for each period without use: after so many all are equal. */
    eviction_tick(cache.eviction, now_ms + (int64_t)200 * 60000);
    for (uint32_t number = 20000; number < 30000; number++) CHECK(set(&cache, number));
    CHECK(count_there(&cache, 0, 400) < 40);
    cache_end(&cache);
}

TEST(any_entry_may_go_by_lot)
{
    struct cache cache = cache_of(EVICTION_RANDOM, false, 1000);
    unsigned early, late;

    for (uint32_t number = 0; number < 1000; number++) CHECK(set(&cache, number));
    for (uint32_t number = 0; number < 1000; number++) CHECK(set(&cache, 1000 + number));
    early = count_there(&cache, 0, 1000);
    late = count_there(&cache, 1000, 2000);
    CHECK(early > 150 && late > early);
    cache_end(&cache);
}

/* A deadline every other entry has is past: those go, and nobody else has to. */
TEST(what_has_expired_goes_before_anything_else)
{
    struct cache cache = cache_of(EVICTION_S3S, false, 1000);
    uint32_t full, before;
    struct slot_counts counts;

    for (full = 0; full < 800; full++)
        CHECK(set_sized(&cache, full, VALUE_BYTES, full % 2 ? 5000 : ENTRY_KEEPS_FOREVER));
    CHECK(entries(&cache) == full);
    cache.now_ms = BEGIN_MS + 6000;
    for (uint32_t number = 5000; number < 5400; number++) CHECK(set(&cache, number));
    counts = keyspace_counts(cache.keyspace);
    CHECK(counts.evicted == 0 && counts.expired > 150);
    CHECK(histogram_percentile(&keyspace_deadlines(cache.keyspace)->lag_ms, 50) >= 900);
    before = count_there(&cache, 0, full);
    CHECK(before == full / 2);
    cache_end(&cache);
}

/* Few that may go among many that may not: a command does not look for them at any cost, and the next goes on where it ended. */
TEST(a_few_volatile_ones_among_many_are_found_in_bounded_steps)
{
    struct cache cache = cache_of(EVICTION_RANDOM, true, 0);
    unsigned tries = 0;

    cache.tag = "{one}";
    for (uint32_t number = 0; number < 100000; number++)
        CHECK(set_sized(&cache, number, 10, number == 10000 ? 1000000 : ENTRY_KEEPS_FOREVER));
    account_settle();
    limit(&cache, EVICTION_RANDOM, true, account_bytes(keyspace_account(cache.keyspace)) - 10);
    while (!eviction_make_room(cache.eviction, 0, cache.now_ms)) CHECK(++tries < 20);
    CHECK(tries > 0);
    CHECK(keyspace_counts(cache.keyspace).evicted == 1);
    CHECK(entries(&cache) == 99999);
    cache_end(&cache);
}

TEST(what_was_chosen_stays_when_its_deadline_is_taken_away)
{
    struct cache cache = cache_of(EVICTION_RANDOM, true, 100);
    struct slot *slot = keyspace_slot(cache.keyspace, key_slot(BYTES("{one}")));
    uint64_t kept;
    char text[40];

    cache.tag = "{one}";
    for (uint32_t number = 0; keyspace_counts(cache.keyspace).evicted < 4; number++)
        CHECK(number < 400 && set_sized(&cache, number, VALUE_BYTES, 1000000));
    /* The pool has some in it now. */
    slot_lock(slot);
    for (uint32_t number = 0; number < 400; number++) {
        struct entry *entry = slot_find(slot, key_of(&cache, number, text), cache.now_ms);

        if (entry != NULL) slot_set_expiry(slot, entry, ENTRY_KEEPS_FOREVER);
    }
    slot_unlock(slot);
    kept = entries(&cache);
    CHECK(kept >= 50 && keyspace_counts(cache.keyspace).expiring == 0);
    for (uint32_t number = 1000; number < 1050; number++) set_sized(&cache, number, VALUE_BYTES, 1000000);
    CHECK(keyspace_counts(cache.keyspace).keys - keyspace_counts(cache.keyspace).expiring == kept);
    cache_end(&cache);
}

TEST(idle_time_and_frequency_can_be_told)
{
    struct cache cache = cache_of(EVICTION_LRU, false, 1000);
    uint16_t usage = 0;
    char text[40];
    struct slot *slot;
    struct bytes key;

    for (uint32_t number = 0; number < 3000; number++) CHECK(set(&cache, number));
    key = key_of(&cache, 2900, text);
    slot = keyspace_slot(cache.keyspace, key_slot(key));
    slot_lock(slot);
    CHECK(slot_usage(slot, key, cache.now_ms, &usage));
    slot_unlock(slot);
    CHECK(eviction_idle_s(cache.eviction, usage, clock_now_ms()) <= 5);
    CHECK(eviction_idle_s(cache.eviction, usage, clock_now_ms() + 100000) >= 100);
    CHECK(eviction_frequency(cache.eviction, usage) == 0);
    limit(&cache, EVICTION_LFU, false, 1000 * ENTRY_TAKES);
    CHECK(set(&cache, 7777));
    key = key_of(&cache, 7777, text);
    slot = keyspace_slot(cache.keyspace, key_slot(key));
    slot_lock(slot);
    CHECK(slot_usage(slot, key, cache.now_ms, &usage));
    slot_unlock(slot);
    CHECK(eviction_frequency(cache.eviction, usage) == LFU_COUNT_FRESH);
    cache_end(&cache);
}

/* --- Threads --- */

struct user {
    struct cache *cache;
    uint64_t seed, hits;
};

static void *use(void *argument)
{
    struct user *user = argument;
    struct random random;

    random_seed(&random, user->seed);
    for (int step = 0; step < STEPS; step++) {
        uint32_t number = (uint32_t)random_below(&random, 1u << random_below(&random, 21));

        user->hits += read_through(user->cache, number);
    }
    account_settle();
    return NULL;
}

TEST(threads_share_the_partitions_and_the_limit)
{
    struct cache cache = cache_of(EVICTION_S3S, false, SHARED_SIZE);
    struct user users[4];
    pthread_t threads[4];

    for (uint64_t i = 0; i < 4; i++) {
        users[i] = (struct user){ .cache = &cache, .seed = i + 1 };
        CHECK(pthread_create(&threads[i], NULL, use, &users[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(users[i].hits > STEPS * 3 / 8);
    }
    CHECK(keyspace_counts(cache.keyspace).evicted > 0);
    CHECK(keyspace_counts(cache.keyspace).bytes < SHARED_SIZE * ENTRY_TAKES * 102ull / 100);
    cache_end(&cache);
}

TESTS(a_scan_leaves_what_is_in_use, the_lru_order_lets_a_scan_push_everything_out,
      a_loop_larger_than_the_cache_still_hits, what_was_just_set_is_there, a_fat_slot_bears_the_evictions,
      what_was_famous_once_makes_way_though_its_tick_wraps, fame_decays, large_entries_go_before_small_ones,
      the_limit_is_kept_whatever_the_sizes, what_is_large_has_room_made_for_it_before,
      without_eviction_there_is_no_room, a_limit_set_later_finds_the_entries_that_were_there,
      a_limit_far_below_the_former_one_leaves_room_for_entries, only_what_has_a_deadline_goes_with_a_volatile_policy,
      the_nearest_deadline_goes_first, what_is_used_often_stays_with_lfu, any_entry_may_go_by_lot,
      what_has_expired_goes_before_anything_else, a_few_volatile_ones_among_many_are_found_in_bounded_steps,
      what_was_chosen_stays_when_its_deadline_is_taken_away, idle_time_and_frequency_can_be_told,
      threads_share_the_partitions_and_the_limit)
