/* What a node's worth of slots costs, and that it gives everything back. */
#include "base/alloc.h"
#include "base/keyslot.h"
#include "base/random.h"
#include "store/keyspace.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#ifdef SANITIZED
#define KEYS 20000u
#else
#define KEYS 1000000u /* about sixty a slot */
#endif

TEST(slots_know_their_ids_and_begin_empty)
{
    struct keyspace *keyspace = keyspace_new();

    for (size_t id = 0; id < SLOT_COUNT; id++) {
        struct slot *slot = keyspace_slot(keyspace, (uint16_t)id);

        CHECK(slot_id(slot) == id);
        CHECK(slot_owner(slot) == 0);
        CHECK(slot_counts(slot).bytes == 0);
    }
    slot_set_owner(keyspace_slot(keyspace, 5), UINT64_MAX);
    CHECK(slot_owner(keyspace_slot(keyspace, 5)) == UINT64_MAX);
    CHECK(keyspace_counts(keyspace).keys == 0);
    keyspace_free(&keyspace);
    CHECK(keyspace == NULL);
}

TEST(an_empty_keyspace_takes_two_mebibytes)
{
    size_t before = alloc_stats().allocated_bytes;
    struct keyspace *keyspace = keyspace_new();
    size_t taken = alloc_stats().allocated_bytes - before;

    printf("an empty keyspace: %zu bytes\n", taken);
#ifndef SANITIZED /* there an aligned block of the C library's counts with what its alignment left free */
    CHECK(taken <= 2600000);
#endif
    keyspace_free(&keyspace);
}

/* Fills a keyspace with keys of 16 bytes and values of 1-200 and returns what it takes over them, for each. */
static double overhead(int64_t expires_at_ms, double *counted)
{
    struct keyspace *keyspace = keyspace_new();
    size_t before = alloc_stats().allocated_bytes, taken, net = 0;
    struct slot_counts counts;
    static const char value[200];
    struct random random;

    random_seed(&random, 11);
    for (uint32_t number = 0; number < KEYS; number++) {
        char key[17];
        struct bytes bytes = { key, (size_t)snprintf(key, sizeof key, "key:%012u", number) };
        size_t value_bytes = 1 + random_below(&random, 200);
        struct slot *slot = keyspace_slot(keyspace, key_slot(bytes));
        struct entry *entry = entry_new(bytes, (struct bytes){ value, value_bytes }, expires_at_ms);

        net += bytes.len + value_bytes;
        slot_lock(slot);
        slot_put(slot, &entry);
        slot_unlock(slot);
    }
    taken = alloc_stats().allocated_bytes - before;
    counts = keyspace_counts(keyspace);
    CHECK(counts.keys == KEYS);
    CHECK(counts.expiring == (expires_at_ms == ENTRY_KEEPS_FOREVER ? 0 : KEYS));
    *counted = (double)(counts.bytes - net) / KEYS;
    keyspace_free(&keyspace);
    return (double)(taken - net) / KEYS;
}

TEST(an_entry_takes_at_most_30_bytes_over_key_and_value_and_34_with_a_deadline)
{
    double counted, taken = overhead(ENTRY_KEEPS_FOREVER, &counted);

    printf("over key and value, without a deadline: %.2f bytes a key (by the slots' counters %.2f)\n", taken, counted);
#ifndef SANITIZED
    CHECK(taken <= 30);
    CHECK(counted > taken - 1 && counted < taken + 1);
#endif
    taken = overhead(1754000000000, &counted);
    printf("over key and value, with a deadline: %.2f bytes a key (by the slots' counters %.2f)\n", taken, counted);
#ifndef SANITIZED
    CHECK(taken <= 34);
    CHECK(counted > taken - 1 && counted < taken + 1);
#endif
}

TEST(a_freed_keyspace_leaves_nothing_behind)
{
    size_t before = alloc_stats().allocated_bytes;
    double counted;

    overhead(1754000000000, &counted);
    /* The allocator's own caches may hold a little. */
    CHECK(alloc_stats().allocated_bytes <= before + 65536);
}

TESTS(slots_know_their_ids_and_begin_empty, an_empty_keyspace_takes_two_mebibytes,
      an_entry_takes_at_most_30_bytes_over_key_and_value_and_34_with_a_deadline, a_freed_keyspace_leaves_nothing_behind)
