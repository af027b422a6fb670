/* The cycle gives back what expired, within its budget, and each worker its own share. */
#include "base/keyslot.h"
#include "cache/expiry.h"
#include "store/keyspace.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>

static void put_into(struct keyspace *keyspace, uint16_t id, unsigned number, int64_t expires_at_ms)
{
    struct slot *slot = keyspace_slot(keyspace, id);
    char text[24];
    struct bytes key = { text, (size_t)snprintf(text, sizeof text, "key:%u", number) };
    struct entry *entry = entry_new(key, BYTES("value"), expires_at_ms);

    slot_lock(slot);
    slot_put(slot, &entry);
    slot_unlock(slot);
}

TEST(shares_cover_every_slot_once)
{
    static const unsigned counts[] = { 1, 2, 3, 7, 16, 16384 };

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        unsigned next = 0;

        for (unsigned index = 0; index < counts[i]; index++) {
            struct expiry expiry;

            expiry_init(&expiry, index, counts[i]);
            CHECK(expiry.first == next);
            CHECK(expiry.count > 0);
            next += expiry.count;
        }
        CHECK(next == SLOT_COUNT);
    }
}

TEST(what_expired_is_removed_and_what_did_not_stays)
{
    struct keyspace *keyspace = keyspace_new();
    struct expiry expiry;
    size_t removed = 0;

    for (unsigned number = 0; number < 30000; number++)
        put_into(keyspace, (uint16_t)(number % 500), number,
                 number % 3 == 0   ? 1000
                 : number % 3 == 1 ? 2000
                                   : ENTRY_KEEPS_FOREVER);
    expiry_init(&expiry, 0, 1);
    CHECK(expiry_cycle(&expiry, keyspace, 999, 100000) == 0);
    for (int cycle = 0; cycle < 40 && removed < 10000; cycle++) removed += expiry_cycle(&expiry, keyspace, 1000, 5000);
    CHECK(removed == 10000);
    CHECK(keyspace_counts(keyspace).keys == 20000 && keyspace_counts(keyspace).expiring == 10000);
    CHECK(keyspace_counts(keyspace).expired == 10000);
    for (int cycle = 0; cycle < 40; cycle++) removed += expiry_cycle(&expiry, keyspace, 2000, 5000);
    CHECK(removed == 20000);
    CHECK(keyspace_counts(keyspace).expiring == 0);
    keyspace_free(&keyspace);
}

TEST(a_cycle_keeps_to_its_budget_and_goes_on_while_much_is_expired)
{
    struct keyspace *keyspace = keyspace_new();
    struct expiry expiry;
    size_t removed;

    for (unsigned number = 0; number < 50000; number++) put_into(keyspace, 9, number, 1000);
    expiry_init(&expiry, 0, 1);
    removed = expiry_cycle(&expiry, keyspace, 1000, 1000);
    CHECK(removed >= 1000 && removed <= 8 * 1000 + 256);
    /* One large slot uses the whole budget, however many others there are. */
    for (int cycle = 0; cycle < 12; cycle++) removed += expiry_cycle(&expiry, keyspace, 1000, 1000);
    CHECK(removed == 50000);
    CHECK(expiry_cycle(&expiry, keyspace, 1000, 0) == 0);
    keyspace_free(&keyspace);
}

TEST(a_large_slot_does_not_keep_the_cycle_from_the_others)
{
    struct keyspace *keyspace = keyspace_new();
    struct expiry expiry;

    for (unsigned number = 0; number < 50000; number++) put_into(keyspace, 1, number, INT64_MAX);
    for (uint16_t id = 2; id < 12; id++) put_into(keyspace, id, id, 1000);
    expiry_init(&expiry, 0, 1);
    CHECK(expiry_cycle(&expiry, keyspace, 1000, 1000) == 10);
    keyspace_free(&keyspace);
}

struct cycler {
    struct keyspace *keyspace;
    struct expiry expiry;
    size_t removed;
};

static void *cycle(void *argument)
{
    struct cycler *cycler = argument;

    for (int i = 0; i < 200; i++) cycler->removed += expiry_cycle(&cycler->expiry, cycler->keyspace, 100 + i, 500);
    return NULL;
}

TEST(workers_cycle_side_by_side)
{
    struct keyspace *keyspace = keyspace_new();
    struct cycler cyclers[2] = { { .keyspace = keyspace }, { .keyspace = keyspace } };
    pthread_t threads[2];

    for (unsigned i = 0; i < 2; i++) {
        expiry_init(&cyclers[i].expiry, i, 2);
        CHECK(pthread_create(&threads[i], NULL, cycle, &cyclers[i]) == 0);
    }
    for (unsigned number = 0; number < 20000; number++)
        put_into(keyspace, (uint16_t)(number * 37 % SLOT_COUNT), number, 100 + number % 100);
    for (unsigned i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(keyspace_counts(keyspace).keys + cyclers[0].removed + cyclers[1].removed == 20000);
    keyspace_free(&keyspace);
}

TESTS(shares_cover_every_slot_once, what_expired_is_removed_and_what_did_not_stays,
      a_cycle_keeps_to_its_budget_and_goes_on_while_much_is_expired,
      a_large_slot_does_not_keep_the_cycle_from_the_others, workers_cycle_side_by_side)
