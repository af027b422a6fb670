/* The cycle gives back what expired, on time and nothing else, within its slice, and each worker its own share. */
#include "base/clock.h"
#include "base/keyslot.h"
#include "base/reclaim.h"
#include "cache/expiry.h"
#include "store/keyspace.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>

#ifdef SANITIZED
#define MANY 50000u
#else
#define MANY 1000000u
#endif
#define NO_LIMIT INT64_MAX
#define START_MS 1754000000000

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

static struct keyspace *keyspace_at(int64_t now_ms)
{
    struct keyspace *keyspace = keyspace_new();

    atomic_store(&keyspace_deadlines(keyspace)->now_ms, now_ms);
    return keyspace;
}

TEST(shares_cover_every_slot_once)
{
    static const unsigned counts[] = { 1, 2, 3, 7, 16, 16384 };

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        unsigned next = 0;

        for (unsigned index = 0; index < counts[i]; index++) {
            struct expiry expiry;

            expiry_init(&expiry, NULL, index, counts[i]);
            CHECK(expiry.first == next);
            CHECK(expiry.count > 0);
            next += expiry.count;
        }
        CHECK(next == SLOT_COUNT);
    }
}

TEST(what_expired_is_removed_and_what_did_not_stays)
{
    struct keyspace *keyspace = keyspace_at(0);
    struct expiry expiry;
    uint64_t removed = 0;

    expiry_init(&expiry, keyspace, 0, 1);
    CHECK(expiry_run(&expiry, 999, NO_LIMIT, &removed) == EXPIRY_NOTHING);
    for (unsigned number = 0; number < 30000; number++)
        put_into(keyspace, (uint16_t)(number % 500), number,
                 number % 3 == 0   ? 1000
                 : number % 3 == 1 ? 2000
                                   : ENTRY_KEEPS_FOREVER);
    CHECK(expiry_run(&expiry, 990, NO_LIMIT, &removed) == 1008 - 990);
    CHECK(removed == 0);
    CHECK(expiry_run(&expiry, 1008, NO_LIMIT, &removed) == EXPIRY_WAIT_MS_MAX);
    CHECK(removed == 10000);
    CHECK(keyspace_counts(keyspace).keys == 20000 && keyspace_counts(keyspace).expiring == 10000);
    CHECK(keyspace_counts(keyspace).expired == 10000);
    CHECK(expiry_run(&expiry, 2016, NO_LIMIT, &removed) == EXPIRY_NOTHING);
    CHECK(removed == 20000);
    CHECK(keyspace_counts(keyspace).expiring == 0);
    keyspace_free(&keyspace);
}

/* The clock is the test's: a run every 16 ms, and each finds all that came due since the last. */
TEST(a_million_deadlines_within_a_second_are_met_one_tick_late_at_most)
{
    struct keyspace *keyspace = keyspace_at(START_MS);
    struct histogram *lag_ms = &keyspace_deadlines(keyspace)->lag_ms;
    struct expiry expiry;
    uint64_t removed = 0;

    for (unsigned number = 0; number < MANY; number++) {
        uint16_t id = (uint16_t)(number * 7919 % SLOT_COUNT);

        put_into(keyspace, id, number, START_MS + (int64_t)(number * 1000ull / MANY));
        if (number % 4 == 0) put_into(keyspace, id, number + MANY, START_MS + 3600000);
        if (number % 4 == 1) put_into(keyspace, id, number + MANY, ENTRY_KEEPS_FOREVER);
    }
    expiry_init(&expiry, keyspace, 0, 1);
    for (int64_t ms = 0; ms <= 1024; ms += 16) {
        uint64_t due = ms >= 1000 ? MANY : (uint64_t)ms * MANY / 1000;

        CHECK(expiry_run(&expiry, START_MS + ms, NO_LIMIT, &removed) > 0);
        CHECK(removed >= (ms < 32 ? 0 : due - MANY / 1000 * 32));
        CHECK(removed <= due + MANY / 1000 + 1);
    }
    CHECK(removed == MANY);
    CHECK(keyspace_counts(keyspace).keys == MANY / 2);
    CHECK(histogram_percentile(lag_ms, 100) <= 2 * 16);
    /* Nothing is due for a long time, and a run says so. */
    CHECK(expiry_run(&expiry, START_MS + 2000, NO_LIMIT, &removed) == EXPIRY_WAIT_MS_MAX);
    CHECK(removed == MANY);
    keyspace_free(&keyspace);
}

/* Time passes as the machine says; what the wall clock shows is somebody's opinion. */
static int64_t passed_us, wall_set_by_us;

static int64_t test_clock(clockid_t id)
{
    return id == CLOCK_REALTIME ? START_MS * 1000 + passed_us + wall_set_by_us : 5000000 + passed_us;
}

TEST(setting_the_wall_clock_by_an_hour_expires_nothing_and_keeps_nothing)
{
    static const int64_t hours[] = { 1, -1 };

    for (size_t i = 0; i < sizeof hours / sizeof *hours; i++) {
        struct keyspace *keyspace = keyspace_at(START_MS);
        struct expiry expiry;
        uint64_t removed = 0;

        passed_us = wall_set_by_us = 0;
        clock_use(test_clock);
        CHECK(clock_now_ms() == START_MS);
        for (unsigned number = 0; number < 10000; number++)
            put_into(keyspace, (uint16_t)(number % 1000), number, START_MS + 100 + number % 2 * 600000);
        expiry_init(&expiry, keyspace, 0, 1);
        wall_set_by_us = hours[i] * 3600 * 1000000;
        CHECK(clock_wall_us() / 1000 == START_MS + hours[i] * 3600000);
        expiry_run(&expiry, clock_now_ms(), NO_LIMIT, &removed);
        CHECK(removed == 0);
        passed_us = 200000;
        expiry_run(&expiry, clock_now_ms(), NO_LIMIT, &removed);
        CHECK(removed == 5000);
        wall_set_by_us = 0;
        passed_us += 500000;
        expiry_run(&expiry, clock_now_ms(), NO_LIMIT, &removed);
        CHECK(removed == 5000);
        passed_us = 600200000;
        expiry_run(&expiry, clock_now_ms(), NO_LIMIT, &removed);
        CHECK(removed == 10000);
        clock_use(NULL);
        keyspace_free(&keyspace);
    }
}

TEST(a_run_keeps_to_its_slice_and_the_next_goes_on)
{
    struct keyspace *keyspace = keyspace_at(0);
    struct expiry expiry;
    uint64_t removed = 0;
    unsigned runs = 0;

    for (unsigned number = 0; number < 50000; number++) put_into(keyspace, (uint16_t)(number % 1000), number, 1000);
    expiry_init(&expiry, keyspace, 0, 1);
    /* A slice of nothing is one slot, and a slot is left after a while even where it has more. */
    while (expiry_run(&expiry, 2000, 0, &removed) == 0) {
        CHECK(removed <= (runs + 1) * 8ull * SLOT_TAKE_MAX);
        CHECK(slot_counts(keyspace_slot(keyspace, (uint16_t)runs)).keys == 0); /* in order: none is passed over */
        CHECK(++runs <= 1000);
    }
    CHECK(runs == 1000 - 1);
    CHECK(removed == 50000);
    keyspace_free(&keyspace);
}

TEST(a_run_that_ends_early_knows_how_late_the_next_slot_is)
{
    struct keyspace *keyspace = keyspace_at(0);
    struct expiry expiry;
    uint64_t removed = 0;

    for (unsigned number = 0; number < 10; number++)
        put_into(keyspace, (uint16_t)number, number, 1600 + number / 5 * 160);
    expiry_init(&expiry, keyspace, 0, 1);
    CHECK(expiry_run(&expiry, 1600, 0, &removed) == HINT_TICK_MS);
    CHECK(expiry.late_ms == 0);
    for (unsigned number = 0; number < 9; number++) {
        CHECK(expiry_run(&expiry, 2000, 0, &removed) == 0);
        CHECK(removed == number + 1);
        CHECK(expiry.late_ms == (number < 4 ? 400 : 240) - HINT_TICK_MS); /* from the end of its tick on */
    }
    expiry_run(&expiry, 2000, NO_LIMIT, &removed);
    CHECK(expiry.late_ms == 0);
    keyspace_free(&keyspace);
}

TEST(the_share_of_time_grows_with_lateness_and_effort_up_to_a_bound)
{
    struct expiry expiry = { .late_ms = 0 };

    CHECK(expiry_share_us(&expiry, 1000, 1) == 1000);
    CHECK(expiry_share_us(&expiry, 1000, 10) == 5500);
    CHECK(expiry_share_us(&expiry, 0, 10) == 0);
    for (int64_t late_ms = 1, former = 1000; late_ms < 5 * EXPIRY_LATE_MS; late_ms++) {
        int64_t share;

        expiry.late_ms = late_ms;
        share = expiry_share_us(&expiry, 1000, 1);
        CHECK(share >= former && share - former <= 20); /* no step at which clients would notice */
        if (late_ms == EXPIRY_LATE_MS) CHECK(share == 1300);
        if (late_ms >= 2 * EXPIRY_LATE_MS) CHECK(share == 2000);
        former = share;
    }
}

TEST(a_large_slot_does_not_keep_the_cycle_from_the_others)
{
    struct keyspace *keyspace = keyspace_at(0);
    struct expiry expiry;
    uint64_t removed = 0;

    for (unsigned number = 0; number < 50000; number++) put_into(keyspace, 1, number, 1000);
    for (uint16_t id = 2; id < 12; id++) put_into(keyspace, id, id, 1000);
    expiry_init(&expiry, keyspace, 0, 1);
    CHECK(expiry_run(&expiry, 2000, NO_LIMIT, &removed) == 0);
    for (uint16_t id = 2; id < 12; id++) CHECK(slot_counts(keyspace_slot(keyspace, id)).keys == 0);
    while (expiry_run(&expiry, 2000, NO_LIMIT, &removed) == 0) continue;
    CHECK(removed == 50010);
    keyspace_free(&keyspace);
}

TEST(the_backlog_is_what_is_late_and_still_there)
{
    struct keyspace *keyspace = keyspace_at(0);
    struct expiry expiry;
    uint64_t removed = 0, backlog;

    for (unsigned number = 0; number < 40000; number++)
        put_into(keyspace, (uint16_t)(number % 400), number, number % 2 == 0 ? 1000 : 900000);
    for (unsigned number = 0; number < 1000; number++)
        put_into(keyspace, (uint16_t)(5000 + number), number, ENTRY_KEEPS_FOREVER);
    expiry_init(&expiry, keyspace, 0, 1);
    CHECK(expiry_backlog(&expiry, 1000) == 0);
    backlog = expiry_backlog(&expiry, 2000);
    CHECK(backlog > 10000 && backlog < 30000);
    while (expiry_run(&expiry, 2000, NO_LIMIT, &removed) == 0) continue;
    CHECK(expiry_backlog(&expiry, 2000) == 0);
    keyspace_free(&keyspace);
}

struct cycler {
    struct keyspace *keyspace;
    struct expiry expiry;
    uint64_t removed;
};

static void *cycle(void *argument)
{
    struct cycler *cycler = argument;
    struct reclaim_reader reader = { .kept = NULL };

    reclaim_join(&reader);
    cycler->expiry.reader = &reader;
    for (int i = 0; i < 300; i++) {
        expiry_run(&cycler->expiry, 100 + i, 500, &cycler->removed);
        if (i % 10 == 0) expiry_backlog(&cycler->expiry, 100 + i);
    }
    reclaim_quit(&reader);
    cycler->expiry.reader = NULL;
    return NULL;
}

TEST(workers_cycle_side_by_side)
{
    struct keyspace *keyspace = keyspace_at(0);
    struct cycler cyclers[2] = { { .keyspace = keyspace }, { .keyspace = keyspace } };
    pthread_t threads[2];

    for (unsigned i = 0; i < 2; i++) {
        expiry_init(&cyclers[i].expiry, keyspace, i, 2);
        CHECK(pthread_create(&threads[i], NULL, cycle, &cyclers[i]) == 0);
    }
    for (unsigned number = 0; number < 20000; number++)
        put_into(keyspace, (uint16_t)(number * 37 % SLOT_COUNT), number, 100 + number % 100);
    for (unsigned i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (unsigned i = 0; i < 2; i++)
        while (expiry_run(&cyclers[i].expiry, 1000, NO_LIMIT, &cyclers[i].removed) == 0) continue;
    CHECK(keyspace_counts(keyspace).keys == 0);
    CHECK(cyclers[0].removed + cyclers[1].removed == 20000);
    keyspace_free(&keyspace);
}

TESTS(shares_cover_every_slot_once, what_expired_is_removed_and_what_did_not_stays,
      a_million_deadlines_within_a_second_are_met_one_tick_late_at_most,
      setting_the_wall_clock_by_an_hour_expires_nothing_and_keeps_nothing,
      a_run_keeps_to_its_slice_and_the_next_goes_on, a_run_that_ends_early_knows_how_late_the_next_slot_is,
      the_share_of_time_grows_with_lateness_and_effort_up_to_a_bound,
      a_large_slot_does_not_keep_the_cycle_from_the_others, the_backlog_is_what_is_late_and_still_there,
      workers_cycle_side_by_side)
