/* What a keyspace says of itself is what is in it, after whatever work: keys, bytes, deadlines and when to look for them. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "store/keyspace.h"
#include "store/slot_internal.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#define SLOTS 3u
#define KEYS 700u

struct truth {
    const struct slot *slot;
    uint64_t keys, expiring, bytes;
};

static bool covers(uint32_t hint, uint32_t deadline)
{
    return deadline == HINT_NONE || (hint != HINT_NONE && !hint_is_earlier(deadline, hint));
}

static void add(void *context, struct entry *entry)
{
    struct truth *truth = context;
    const struct deadlines *deadlines = &truth->slot->shared->deadlines;
    int64_t expires_at_ms = entry_expires_at_ms(entry);

    truth->keys++;
    truth->bytes += entry_bytes(entry);
    if (expires_at_ms == ENTRY_KEEPS_FOREVER) return;
    truth->expiring++;
    CHECK(covers(deadlines_hint(deadlines, slot_id(truth->slot)), hint_of(expires_at_ms, clock_now_ms())));
}

static void check(struct keyspace *keyspace)
{
    uint64_t keys = 0, bytes = 0;

    for (uint16_t id = 0; id < SLOTS; id++) {
        struct slot *slot = keyspace_slot(keyspace, id);
        struct slot_counts counts = slot_counts(slot);
        struct truth truth = { .slot = slot };
        uint32_t cursor = 0;

        slot_lock(slot);
        do cursor = slot_scan(slot, cursor, add, &truth);
        while (cursor != 0);
        slot_unlock(slot);
        CHECK(counts.keys == truth.keys && counts.expiring == truth.expiring);
        CHECK(counts.bytes == truth.bytes + counts.table_bytes);
        keys += counts.keys;
        bytes += counts.bytes;
    }
    account_settle();
    CHECK(account_keys(keyspace_account(keyspace)) == (int64_t)keys);
    CHECK(account_bytes(keyspace_account(keyspace)) == (int64_t)bytes);
}

static int64_t some_deadline(struct random *random)
{
    switch (random_below(random, 8)) {
    case 0:
        return clock_now_ms() + 1000000 + (int64_t)random_below(random, 100000);
    case 1:
        return clock_now_ms() + 10 * HINT_FAR_MS;
    case 2:
        return (int64_t)1 << 50; /* takes eight bytes */
    case 3:
        return clock_now_ms() + 1 + (int64_t)random_below(random, 300);
    default:
        return ENTRY_KEEPS_FOREVER;
    }
}

static size_t some_length(struct random *random)
{
    switch (random_below(random, 20)) {
    case 0:
        return ENTRY_BIG_BYTES - 30 + random_below(random, 60);
    case 1:
        return random_below(random, 40000);
    case 2:
        return random_below(random, 500);
    default:
        return random_below(random, 30);
    }
}

static void work(struct slot *slot, struct random *random, const char *text, const char *letters)
{
    struct bytes key = bytes_of(text), value = { letters, some_length(random) };
    int64_t now_ms = clock_now_ms(), expires_at_ms = some_deadline(random);
    struct entry *entry = slot_find(slot, key, now_ms), *taken[SLOT_TAKE_MAX];

    switch (random_below(random, 8)) {
    case 0:
    case 1:
    case 2:
        slot_store(slot, slot_hash(key), key, value, expires_at_ms, 0);
        break;
    case 3:
        entry = entry_new(key, value, expires_at_ms);
        slot_put(slot, &entry);
        break;
    case 4:
        if (entry != NULL) slot_set_expiry(slot, entry, expires_at_ms);
        break;
    case 5:
        if (entry != NULL) slot_resize_value(slot, entry, value.len);
        break;
    case 6:
        slot_remove(slot, key, now_ms);
        break;
    case 7:
        for (size_t i = slot_take_due(slot, now_ms, taken); i > 0; i--) entry_free(&taken[i - 1]);
        break;
    }
}

TEST(counts_and_hints_are_true_after_random_work)
{
    struct keyspace *keyspace = keyspace_new();
    struct random random;
    char text[16], letters[40000];

    memset(letters, 'x', sizeof letters);
    random_seed(&random, 7);
    for (unsigned step = 0; step < 60000; step++) {
        struct slot *slot = keyspace_slot(keyspace, (uint16_t)random_below(&random, SLOTS));

        snprintf(text, sizeof text, "k%u", (unsigned)random_below(&random, KEYS));
        slot_lock(slot);
        if (random_below(&random, 20000) == 0)
            slot_flush(slot);
        else
            work(slot, &random, text, letters);
        slot_unlock(slot);
        if (step % 1000 == 0) check(keyspace);
    }
    check(keyspace);
    for (uint16_t id = 0; id < SLOTS; id++) {
        slot_lock(keyspace_slot(keyspace, id));
        slot_flush(keyspace_slot(keyspace, id));
        slot_unlock(keyspace_slot(keyspace, id));
    }
    check(keyspace);
    CHECK(account_bytes(keyspace_account(keyspace)) == 0);
    keyspace_free(&keyspace);
}

TEST(a_value_written_over_the_one_before_may_have_an_earlier_deadline)
{
    struct keyspace *keyspace = keyspace_new();
    struct slot *slot = keyspace_slot(keyspace, 1);
    int64_t now_ms = clock_now_ms();
    struct entry *taken[SLOT_TAKE_MAX];

    slot_lock(slot);
    slot_store(slot, slot_hash(BYTES("k")), BYTES("k"), BYTES("v"), now_ms + 1000000, 0);
    slot_store(slot, slot_hash(BYTES("k")), BYTES("k"), BYTES("w"), now_ms + 100, 0);
    CHECK(hint_is_due(deadlines_hint(keyspace_deadlines(keyspace), 1), now_ms + 200));
    CHECK(slot_take_due(slot, now_ms + 200, taken) == 1);
    entry_free(&taken[0]);
    slot_unlock(slot);
    keyspace_free(&keyspace);
}

TESTS(a_value_written_over_the_one_before_may_have_an_earlier_deadline, counts_and_hints_are_true_after_random_work)
