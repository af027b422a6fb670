/* What copies of values of other nodes promise: who may be told one, whose they are, and that they are bounded. */
#include "salt/copies.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "unit/unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t now_us = 1000000000;
static struct helper_lease leases[4];

static int64_t fixed(clockid_t id)
{
    (void)id;
    return now_us;
}

static struct copies *fresh_copies(void)
{
    clock_use(fixed);
    for (int i = 0; i < 4; i++) leases[i] = (struct helper_lease){ .session = 1, .until_ms = 0 };
    return copies_new();
}

/* Until when, in ms from now; of all copies that were made before. */
static void lend(uint32_t home, int64_t ms)
{
    atomic_store(&leases[home].until_ms, ms == INT64_MAX ? INT64_MAX : clock_now_ms() + ms);
}

static bool put(struct copies *copies, uint32_t home, const char *key, struct bytes value, int64_t expires_at_ms)
{
    struct entry *entry = entry_new(bytes_of(key), value, expires_at_ms);
    struct helper_copy copy = { .lease = &leases[home], .session = atomic_load(&leases[home].session) };
    bool kept = copies_put(copies, &copy, &entry, INT64_MAX);

    CHECK(entry == NULL);
    return kept;
}

/* What a read is told: the value, "none" where no copy is there, "late" where its lease has ended. */
static const char *told(struct copies *copies, const char *key)
{
    static char text[64];
    struct bytes name = bytes_of(key);
    uint64_t hash = slot_hash(name);
    struct slot *slot = copies_enter(copies, name, hash, clock_now_ms());
    const struct entry *entry;

    if (slot == NULL) return "none";
    entry = slot_find(slot, name, clock_now_ms());
    CHECK(entry != NULL);
    snprintf(text, sizeof(text), "%.*s", (int)entry_value(entry).len, entry_value(entry).data);
    if (!copies_is_good(copies, slot, name, hash)) snprintf(text, sizeof(text), "late");
    slot_unlock(slot);
    return text;
}

#define CHECK_TOLD(copies, key, expected) CHECK(strcmp(told(copies, key), expected) == 0)

TEST(a_copy_answers_while_its_home_s_lease_lasts)
{
    struct copies *copies = fresh_copies();

    CHECK_TOLD(copies, "star", "none");
    CHECK(put(copies, 3, "star", BYTES("1"), ENTRY_KEEPS_FOREVER));
    CHECK_TOLD(copies, "star", "late");
    lend(3, 200);
    CHECK_TOLD(copies, "star", "1");
    CHECK_TOLD(copies, "other", "none");
    now_us += 199000;
    CHECK_TOLD(copies, "star", "1");
    now_us += 1000;
    CHECK_TOLD(copies, "star", "late");
    lend(3, 200);
    CHECK_TOLD(copies, "star", "1");
    atomic_store(&leases[3].session, 2);
    CHECK_TOLD(copies, "star", "late");
    CHECK(copies_counts(copies).hits == 3 && copies_counts(copies).lease_expired == 3);
    copies_free(&copies);
}

TEST(a_later_copy_takes_the_place_of_an_earlier_one_and_may_be_another_home_s)
{
    struct copies *copies = fresh_copies();

    lend(1, INT64_MAX);
    put(copies, 1, "star", BYTES("1"), ENTRY_KEEPS_FOREVER);
    put(copies, 1, "star", BYTES("2"), ENTRY_KEEPS_FOREVER);
    CHECK_TOLD(copies, "star", "2");
    put(copies, 2, "star", BYTES("3"), ENTRY_KEEPS_FOREVER);
    CHECK_TOLD(copies, "star", "late");
    lend(2, INT64_MAX);
    CHECK_TOLD(copies, "star", "3");
    CHECK(copies_counts(copies).copies == 1);
    CHECK(copies_drop(copies, BYTES("star")));
    CHECK(!copies_drop(copies, BYTES("star")));
    CHECK_TOLD(copies, "star", "none");
    CHECK(copies_counts(copies).copies == 0 && copies_counts(copies).bytes == 0);
    copies_free(&copies);
}

TEST(many_copies_share_a_slot_and_each_goes_by_itself)
{
    struct copies *copies = fresh_copies();
    struct helper_copy copy;
    uint64_t hits;
    char key[32];

    lend(1, INT64_MAX);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), i % 3 == 0 ? "{same}%d" : "key:%d", i);
        put(copies, 1, key, BYTES("v"), ENTRY_KEEPS_FOREVER);
    }
    for (int i = 0; i < 100; i += 2) {
        snprintf(key, sizeof(key), i % 3 == 0 ? "{same}%d" : "key:%d", i);
        CHECK(copies_drop(copies, bytes_of(key)));
    }
    CHECK(copies_counts(copies).copies == 50);
    CHECK_TOLD(copies, "key:1", "v");
    CHECK_TOLD(copies, "{same}3", "v");
    CHECK_TOLD(copies, "{same}3", "v");
    CHECK_TOLD(copies, "key:2", "none");
    CHECK_TOLD(copies, "{same}6", "none");
    CHECK(copies_find(copies, BYTES("{same}3"), &copy, &hits) && hits == 2 && copy.lease == &leases[1]);
    put(copies, 1, "{same}3", BYTES("w"), ENTRY_KEEPS_FOREVER);
    CHECK(copies_find(copies, BYTES("{same}3"), &copy, &hits) && hits == 2);
    CHECK(!copies_find(copies, BYTES("{same}6"), &copy, &hits));
    copies_free(&copies);
}

TEST(a_copy_that_has_expired_or_is_past_its_refresh_point_is_for_home)
{
    struct copies *copies = fresh_copies();
    int64_t now_ms = clock_now_ms();
    struct entry *entry = entry_new(BYTES("soft"), BYTES("2"), ENTRY_KEEPS_FOREVER);
    struct helper_copy copy = { .lease = &leases[0], .session = 1 };

    lend(0, INT64_MAX);
    put(copies, 0, "short", BYTES("1"), now_ms + 100);
    CHECK(copies_put(copies, &copy, &entry, now_ms + 5000));
    CHECK_TOLD(copies, "short", "1");
    CHECK_TOLD(copies, "soft", "2");
    now_us += 100 * 1000;
    CHECK_TOLD(copies, "short", "none");
    CHECK(copies_counts(copies).copies == 1);
    now_us += 6000 * 1000;
    CHECK_TOLD(copies, "soft", "none");
    copies_free(&copies);
}

TEST(copies_take_no_more_than_they_may)
{
    struct copies *copies = fresh_copies();
    struct bytes value = { alloc_zeroed(COPY_VALUE_BYTES_MAX + 1), COPY_VALUE_BYTES_MAX + 1 };
    char key[32];

    lend(0, INT64_MAX);
    /* One that is too long leaves none of the former value behind. */
    put(copies, 0, "long", BYTES("1"), ENTRY_KEEPS_FOREVER);
    CHECK(!put(copies, 0, "long", value, ENTRY_KEEPS_FOREVER));
    CHECK_TOLD(copies, "long", "none");
    value.len = 10000;
    copies_set_limit(copies, 105000);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        put(copies, 0, key, value, ENTRY_KEEPS_FOREVER);
    }
    CHECK(copies_counts(copies).copies > 5 && copies_counts(copies).copies <= 10);
    CHECK(copies_counts(copies).bytes <= 105000);
    CHECK(copies_counts(copies).refused >= 11);
    copies_set_limit(copies, 50000);
    CHECK(copies_counts(copies).copies > 2 && copies_counts(copies).bytes <= 50000);
    copies_set_limit(copies, 0);
    CHECK(copies_counts(copies).copies == 0 && copies_counts(copies).bytes == 0);
    CHECK(!put(copies, 0, "none", BYTES("1"), ENTRY_KEEPS_FOREVER));
    alloc_free((void *)(uintptr_t)value.data);
    copies_free(&copies);
}

/* --- Threads --- */

#define ROUNDS 20000

struct story {
    struct copies *copies;
    _Atomic int written; /* the latest value that home has acknowledged: whoever has seen it is told no earlier one */
    _Atomic int stale;
    _Atomic bool over;
};

static void *read_on(void *context)
{
    struct story *story = context;
    struct bytes key = BYTES("star");
    uint64_t hash = slot_hash(key);

    while (!atomic_load(&story->over)) {
        int least = atomic_load(&story->written);
        struct slot *slot = copies_enter(story->copies, key, hash, clock_now_ms());
        char text[16] = "";

        if (slot == NULL) continue;
        snprintf(text, sizeof(text), "%.*s", (int)entry_value(slot_peek(slot, key, 0)).len,
                 entry_value(slot_peek(slot, key, 0)).data);
        if (copies_is_good(story->copies, slot, key, hash) && atoi(text) < least) atomic_fetch_add(&story->stale, 1);
        slot_unlock(slot);
    }
    return NULL;
}

TEST(who_reads_while_a_copy_is_dropped_is_told_nothing_that_was_dropped_before)
{
    struct story story = { .copies = fresh_copies() };
    pthread_t readers[2];
    char text[16];

    lend(0, INT64_MAX);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&readers[i], NULL, read_on, &story) == 0);
    for (int round = 1; round <= ROUNDS; round++) {
        copies_drop(story.copies, BYTES("star"));
        atomic_store(&story.written, round);
        snprintf(text, sizeof(text), "%d", round);
        put(story.copies, 0, "star", bytes_of(text), ENTRY_KEEPS_FOREVER);
    }
    while (copies_counts(story.copies).hits == 0) sched_yield(); /* they may not have run yet */
    atomic_store(&story.over, true);
    for (int i = 0; i < 2; i++) pthread_join(readers[i], NULL);
    CHECK(atomic_load(&story.stale) == 0);
    copies_free(&story.copies);
}

TESTS(a_copy_answers_while_its_home_s_lease_lasts,
      a_later_copy_takes_the_place_of_an_earlier_one_and_may_be_another_home_s,
      many_copies_share_a_slot_and_each_goes_by_itself,
      a_copy_that_has_expired_or_is_past_its_refresh_point_is_for_home, copies_take_no_more_than_they_may,
      who_reads_while_a_copy_is_dropped_is_told_nothing_that_was_dropped_before)
