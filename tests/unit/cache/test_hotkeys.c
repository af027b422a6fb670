/* What is found hot, what is not, and what is forgotten again: all on a clock of the test's own. */
#include "cache/hotkeys_line.h"

#include "base/alloc.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THRESHOLD 5000
#define WINDOW_MS 100
#define LIMIT (THRESHOLD * WINDOW_MS / 1000) /* units in a window */

static struct hotkeys *watching(int64_t threshold, int64_t window_ms)
{
    struct hotkeys *hotkeys = hotkeys_new(2);

    hotkeys_set(hotkeys, threshold, window_ms);
    return hotkeys;
}

static uint64_t hash_of(const char *key)
{
    uint64_t hash = 1469598103934665603u;

    for (; *key != '\0'; key++) hash = (hash ^ (uint64_t)(unsigned char)*key) * 1099511628211u;
    return hash;
}

/* The parts of a use that are the same each time, and those that are not. */
static bool use_once(struct hotkeys *hotkeys, unsigned writer, uint16_t slot, uint64_t hash, struct bytes key,
                     const struct hot_use *like, int64_t now_ms)
{
    struct hot_use use = *like;

    use.hash = hash;
    use.key = key;
    use.slot = slot;
    use.now_ms = now_ms;
    return hotkeys_count(hotkeys, writer, &use);
}

/* A read of a small value. */
static bool read_once(struct hotkeys *hotkeys, uint16_t slot, const char *key, int64_t now_ms)
{
    struct hot_use use = { .cost = hotkeys_cost(hotkeys, 40, 700, 1), .bytes = 40, .ns = 700 };

    return use_once(hotkeys, 0, slot, hash_of(key), bytes_of(key), &use, now_ms);
}

/* How many reads it took, up to `most`; -1 if it did not become hot. */
static int reads_until_hot(struct hotkeys *hotkeys, uint16_t slot, const char *key, int most, int64_t now_ms)
{
    for (int i = 1; i <= most; i++)
        if (read_once(hotkeys, slot, key, now_ms)) return i;
    return -1;
}

static size_t listed(struct hotkeys *hotkeys, int64_t now_ms, struct hot_report out[HOTKEYS_MAX])
{
    size_t count = hotkeys_list(hotkeys, now_ms, 0, out);

    for (size_t i = 0; i < count; i++) alloc_free((void *)(uintptr_t)out[i].name.data);
    return count;
}

/* Returns how many went. */
static size_t tick(struct hotkeys *hotkeys, int64_t now_ms)
{
    struct hot_gone gone[HOTKEYS_GONE_MAX];
    size_t count = hotkeys_tick(hotkeys, now_ms, 0, NULL, NULL, gone);

    for (size_t i = 0; i < count; i++) alloc_free((void *)(uintptr_t)gone[i].name.data);
    return count;
}

TEST(a_key_is_hot_at_the_threshold_and_is_told_once)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_report out[HOTKEYS_MAX];

    CHECK(reads_until_hot(hotkeys, 7, "star", LIMIT - 1, 1000) == -1);
    CHECK(listed(hotkeys, 1000, out) == 0);
    CHECK(read_once(hotkeys, 7, "star", 1099));
    CHECK(!read_once(hotkeys, 7, "star", 1099));
    CHECK(listed(hotkeys, 1099, out) == 1 && out[0].slot == 7 && out[0].since_ms == 1099);
    CHECK(reads_until_hot(hotkeys, 7, "star", 10 * LIMIT, 1099) == -1);
    hotkeys_free(&hotkeys);
}

TEST(a_window_ends_and_the_next_begins_with_nothing)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);

    CHECK(reads_until_hot(hotkeys, 7, "star", LIMIT - 1, 1000) == -1);
    CHECK(reads_until_hot(hotkeys, 7, "star", LIMIT - 1, 1000 + WINDOW_MS) == -1);
    CHECK(read_once(hotkeys, 7, "star", 1000 + 2 * WINDOW_MS - 1));
    hotkeys_free(&hotkeys);
}

TEST(windows_are_each_slots_own)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);

    read_once(hotkeys, 7, "star", 1000);
    read_once(hotkeys, 8, "moon", 1060);
    CHECK(reads_until_hot(hotkeys, 8, "moon", LIMIT, 1150) == LIMIT - 1);
    CHECK(reads_until_hot(hotkeys, 7, "star", LIMIT, 1150) == LIMIT);
    hotkeys_free(&hotkeys);
}

TEST(a_clock_that_goes_back_or_far_ahead_begins_a_window)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);

    CHECK(reads_until_hot(hotkeys, 7, "star", LIMIT - 1, 1000000) == -1);
    CHECK(reads_until_hot(hotkeys, 7, "star", LIMIT - 1, 5000) == -1);
    CHECK(reads_until_hot(hotkeys, 7, "star", LIMIT - 1, -5000) == -1);
    CHECK(reads_until_hot(hotkeys, 7, "star", LIMIT - 1, INT64_C(1) << 50) == -1);
    /* A thread whose time is a little older than the one that began the window. */
    CHECK(read_once(hotkeys, 7, "star", (INT64_C(1) << 50) - WINDOW_MS / 2));
    hotkeys_free(&hotkeys);
}

TEST(a_clock_that_stands_still_counts_on)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);

    CHECK(reads_until_hot(hotkeys, 7, "star", LIMIT, 0) == LIMIT);
    CHECK(tick(hotkeys, 0) == 0);
    CHECK(tick(hotkeys, 0) == 0);
    hotkeys_free(&hotkeys);
}

TEST(a_key_stays_hot_when_the_clock_goes_back)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_report out[HOTKEYS_MAX];

    reads_until_hot(hotkeys, 7, "star", LIMIT, 900000);
    CHECK(tick(hotkeys, 900100) == 0);
    CHECK(tick(hotkeys, 1000) == 0);
    CHECK(listed(hotkeys, 1000, out) == 1 && out[0].since_ms == 1000);
    CHECK(tick(hotkeys, 1900) == 0);
    CHECK(tick(hotkeys, 2000) == 1);
    hotkeys_free(&hotkeys);
}

TEST(cost_is_one_and_kibibytes_and_microseconds_beyond_the_first)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);

    CHECK(hotkeys_cost(hotkeys, 0, 0, 1) == HOTKEYS_UNIT);
    CHECK(hotkeys_cost(hotkeys, 1023, 1999, 1) == HOTKEYS_UNIT);
    CHECK(hotkeys_cost(hotkeys, 1024, 0, 1) == 2 * HOTKEYS_UNIT);
    CHECK(hotkeys_cost(hotkeys, 0, 2000, 1) == 2 * HOTKEYS_UNIT);
    CHECK(hotkeys_cost(hotkeys, 1 << 20, 11000, 1) == (1 + 1024 + 10) * HOTKEYS_UNIT);
    CHECK(hotkeys_cost(hotkeys, 0, 0, 4) == HOTKEYS_UNIT / 4);
    CHECK(hotkeys_cost(hotkeys, 7 << 10, 0, 4) == 2 * HOTKEYS_UNIT);
    CHECK(hotkeys_cost(hotkeys, 0, 0, 1000000) == 1);
    CHECK(hotkeys_cost(hotkeys, 0, 9000, 4) == 2 * HOTKEYS_UNIT + HOTKEYS_UNIT / 4);
    CHECK(hotkeys_cost(hotkeys, 0, 80000000, 4) == LIMIT * HOTKEYS_UNIT / 6 + HOTKEYS_UNIT / 4);
    CHECK(hotkeys_cost(hotkeys, UINT64_MAX, UINT64_MAX, 1) == UINT32_MAX);
    hotkeys_free(&hotkeys);
}

TEST(one_slow_command_makes_no_key_hot_and_several_do)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_use use = { .cost = hotkeys_cost(hotkeys, 0, UINT64_C(80) * 1000000, 1), .ns = 80000000 };

    /* Nor one beside as many others as make four fifths of a hot key. */
    CHECK(use.cost + LIMIT * 8 / 10 * HOTKEYS_UNIT < LIMIT * HOTKEYS_UNIT);
    for (int i = 0; i < 5; i++) CHECK(!use_once(hotkeys, 0, 7, 1, BYTES("sort"), &use, 1000));
    CHECK(use_once(hotkeys, 0, 7, 1, BYTES("sort"), &use, 1000));
    hotkeys_free(&hotkeys);
}

TEST(a_large_value_is_hot_by_its_bytes)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_use use = { .cost = hotkeys_cost(hotkeys, 200 << 10, 0, 1), .bytes = 200 << 10 };

    CHECK(!use_once(hotkeys, 0, 7, 1, BYTES("film"), &use, 1000));
    CHECK(!use_once(hotkeys, 0, 7, 1, BYTES("film"), &use, 1020));
    CHECK(use_once(hotkeys, 0, 7, 1, BYTES("film"), &use, 1040));
    hotkeys_free(&hotkeys);
}

TEST(counters_saturate)
{
    struct hotkeys *hotkeys = watching(1000000000, 10000);
    struct hot_use use = { .cost = UINT32_MAX - 1 };

    CHECK(!use_once(hotkeys, 0, 7, 1, BYTES("film"), &use, 1000));
    CHECK(use_once(hotkeys, 0, 7, 1, BYTES("film"), &use, 1000));
    hotkeys_free(&hotkeys);
}

TEST(what_most_of_a_slot_is_about_is_found_among_many_others)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_report out[HOTKEYS_MAX];
    char other[24];

    /* Four of ten: what the others take from it is made up for. */
    for (int i = 0; i < 10 * LIMIT; i++) {
        snprintf(other, sizeof(other), "other:%d", i);
        if (i % 10 < 4)
            read_once(hotkeys, 7, "star", 1000);
        else
            read_once(hotkeys, 7, other, 1000);
    }
    CHECK(listed(hotkeys, 1000, out) == 1 && out[0].slot == 7);
    hotkeys_free(&hotkeys);
}

TEST(rotating_keys_makes_none_hot_and_blinds_no_other_slot)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_report out[HOTKEYS_MAX];
    char other[24];

    for (int i = 0; i < 200 * LIMIT; i++) {
        snprintf(other, sizeof(other), "other:%d", i % 1000);
        read_once(hotkeys, 7, other, 1000);
    }
    CHECK(listed(hotkeys, 1000, out) == 0);
    CHECK(reads_until_hot(hotkeys, 8, "star", LIMIT, 1000) == LIMIT);
    hotkeys_free(&hotkeys);
}

TEST(several_keys_of_a_slot_are_hot_at_once)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_report out[HOTKEYS_MAX];
    char key[24];

    for (int i = 0; i < 6; i++) {
        snprintf(key, sizeof(key), "star:%d", i);
        CHECK(reads_until_hot(hotkeys, 7, key, LIMIT, 1000) == LIMIT);
    }
    CHECK(listed(hotkeys, 1000, out) == 6);
    hotkeys_free(&hotkeys);
}

TEST(what_is_hot_is_counted_exactly)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_report out[HOTKEYS_MAX];
    struct hot_use read = { .cost = 3 * HOTKEYS_UNIT, .bytes = 2048, .ns = 3000 };
    struct hot_use write = { .cost = HOTKEYS_UNIT, .bytes = 100, .ns = 1000, .writes = true };
    struct hot_gone gone[HOTKEYS_GONE_MAX];

    reads_until_hot(hotkeys, 7, "star", LIMIT, 1000);
    CHECK(hotkeys_tick(hotkeys, 1060, 1000, NULL, NULL, gone) == 0);
    for (int64_t ms = 1061; ms <= 2060; ms++) {
        for (int i = 0; i < 4; i++) use_once(hotkeys, 0, 7, hash_of("star"), BYTES("star"), &read, ms);
        use_once(hotkeys, 1, 7, hash_of("star"), BYTES("star"), &write, ms);
        if (ms % 100 == 60) CHECK(hotkeys_tick(hotkeys, ms, 1000, NULL, NULL, gone) == 0);
    }
    CHECK(hotkeys_list(hotkeys, 2060, 1000 + 20000, out) == 1);
    CHECK(bytes_equal(out[0].name, BYTES("star")));
    CHECK(out[0].ops == 5000 && out[0].writes == 1000);
    CHECK(out[0].bytes == 4000 * 2048 + 1000 * 100 && out[0].cpu_us == 13000);
    CHECK(out[0].share > 0.2499 && out[0].share < 0.2501);
    CHECK(out[0].load > 12999 && out[0].load < 13001);
    alloc_free((void *)(uintptr_t)out[0].name.data);
    hotkeys_free(&hotkeys);
}

TEST(the_hottest_come_first)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_report out[HOTKEYS_MAX];

    for (uint16_t slot = 0; slot < 3; slot++) reads_until_hot(hotkeys, slot, "star", LIMIT, 1000);
    for (int i = 0; i < 900; i++) read_once(hotkeys, 1, "star", 1050);
    for (int i = 0; i < 700; i++) read_once(hotkeys, 2, "star", 1050);
    for (int i = 0; i < 800; i++) read_once(hotkeys, 0, "star", 1050);
    CHECK(listed(hotkeys, 1100, out) == 3);
    CHECK(out[0].slot == 1 && out[1].slot == 0 && out[2].slot == 2);
    hotkeys_free(&hotkeys);
}

/* So many reads in each of `ticks` tenths of a second; returns when it went, or 0. */
static int64_t read_for(struct hotkeys *hotkeys, int reads, int ticks, int64_t now_ms)
{
    for (int i = 0; i < ticks; i++) {
        for (int r = 0; r < reads; r++) read_once(hotkeys, 7, "star", now_ms + r % 100);
        now_ms += 100;
        if (tick(hotkeys, now_ms) > 0) return now_ms;
    }
    return 0;
}

TEST(a_key_leaves_after_a_second_below_half_the_threshold)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);

    reads_until_hot(hotkeys, 7, "star", LIMIT, 0);
    CHECK(read_for(hotkeys, 450, 10, 0) == 0);
    CHECK(read_for(hotkeys, 250, 50, 1000) == 0); /* half is enough to stay */
    CHECK(read_for(hotkeys, 249, 50, 6000) == 7000);
    CHECK(hotkeys_counts(hotkeys).now == 0 && hotkeys_counts(hotkeys).cooled == 1 &&
          hotkeys_counts(hotkeys).found == 1);
    /* And may come back. */
    CHECK(reads_until_hot(hotkeys, 7, "star", LIMIT, 8000) == LIMIT);
    hotkeys_free(&hotkeys);
}

TEST(a_key_that_had_less_than_nine_tenths_in_its_first_second_was_none)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);

    reads_until_hot(hotkeys, 7, "star", LIMIT, 0);
    CHECK(read_for(hotkeys, 449, 10, 0) == 1000);
    CHECK(hotkeys_counts(hotkeys).now == 0);
    /* Nor the next time, though it has been there for a second before. */
    reads_until_hot(hotkeys, 7, "star", LIMIT, 5000);
    CHECK(read_for(hotkeys, 449, 10, 5000) == 6000);
    hotkeys_free(&hotkeys);
}

TEST(a_key_that_pauses_for_less_than_a_second_stays)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);

    reads_until_hot(hotkeys, 7, "star", LIMIT, 0);
    CHECK(read_for(hotkeys, 450, 10, 0) == 0);
    for (int i = 1; i < 10; i++) {
        CHECK(read_for(hotkeys, 0, 9, i * 1000) == 0);
        CHECK(read_for(hotkeys, 250, 1, i * 1000 + 900) == 0);
    }
    hotkeys_free(&hotkeys);
}

TEST(a_key_goes_without_any_traffic)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);

    reads_until_hot(hotkeys, 7, "star", LIMIT, 1000);
    CHECK(tick(hotkeys, 1999) == 0);
    CHECK(tick(hotkeys, 2049) == 1);
    hotkeys_free(&hotkeys);
}

static bool none_is_here(void *context, uint16_t slot)
{
    return slot != *(uint16_t *)context;
}

TEST(the_keys_of_a_slot_that_left_go_at_once)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_gone gone[HOTKEYS_GONE_MAX];
    uint16_t left = 7;

    reads_until_hot(hotkeys, 7, "star", LIMIT, 1000);
    reads_until_hot(hotkeys, 8, "moon", LIMIT, 1000);
    CHECK(hotkeys_tick(hotkeys, 1001, 0, none_is_here, &left, gone) == 1);
    CHECK(gone[0].slot == 7 && bytes_equal(gone[0].name, BYTES("star")));
    alloc_free((void *)(uintptr_t)gone[0].name.data);
    CHECK(hotkeys_counts(hotkeys).now == 1);
    hotkeys_free(&hotkeys);
}

TEST(nothing_is_found_or_kept_with_a_threshold_of_zero)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);

    reads_until_hot(hotkeys, 7, "star", LIMIT, 1000);
    hotkeys_set(hotkeys, 0, WINDOW_MS);
    CHECK(!hotkeys_are_watched(hotkeys));
    CHECK(reads_until_hot(hotkeys, 8, "moon", 10 * LIMIT, 1000) == -1);
    CHECK(tick(hotkeys, 1001) == 1);
    hotkeys_set(hotkeys, 2 * THRESHOLD, WINDOW_MS);
    CHECK(reads_until_hot(hotkeys, 8, "moon", 10 * LIMIT, 1000) == 2 * LIMIT);
    hotkeys_free(&hotkeys);
}

TEST(a_threshold_of_one_is_met_by_one_and_left_by_none)
{
    struct hotkeys *hotkeys = watching(1, 1000);

    CHECK(read_once(hotkeys, 7, "star", 1000));
    CHECK(tick(hotkeys, 1500) == 0);
    CHECK(tick(hotkeys, 2000) == 1);
    hotkeys_free(&hotkeys);
}

TEST(of_a_full_table_the_coldest_makes_room_for_what_is_hotter)
{
    struct hotkeys *hotkeys = watching(THRESHOLD, WINDOW_MS);
    struct hot_report out[HOTKEYS_MAX];
    struct hot_gone gone[HOTKEYS_GONE_MAX];
    struct hot_use large = { .cost = 4 * LIMIT * HOTKEYS_UNIT };
    char key[24];

    for (uint16_t i = 0; i < HOTKEYS_MAX; i++) {
        snprintf(key, sizeof(key), "star:%d", i);
        read_once(hotkeys, i, key, 1000);
        CHECK(reads_until_hot(hotkeys, i, key, LIMIT, 1099) == LIMIT - 1);
        for (int r = 0; i != 30 && r < 1000; r++) read_once(hotkeys, i, key, 1099);
    }
    CHECK(tick(hotkeys, 1199) == 0);
    /* number 30 is the coldest now; one as cold is not let in, one that is hotter is */
    read_once(hotkeys, 100, "dim", 1200);
    CHECK(reads_until_hot(hotkeys, 100, "dim", LIMIT, 1299) == LIMIT - 1);
    CHECK(!use_once(hotkeys, 0, 101, 5, BYTES("x"), &(struct hot_use){ .cost = 1 }, 1199));
    CHECK(hotkeys_counts(hotkeys).pushed_out == 1 && hotkeys_counts(hotkeys).missed == 0);
    CHECK(hotkeys_tick(hotkeys, 1300, 0, NULL, NULL, gone) == 1);
    CHECK(gone[0].slot == 30 && bytes_equal(gone[0].name, BYTES("star:30")));
    alloc_free((void *)(uintptr_t)gone[0].name.data);
    /* all are hotter now than one that just passes */
    for (uint16_t i = 0; i < HOTKEYS_MAX; i++) {
        snprintf(key, sizeof(key), "star:%d", i);
        for (int r = 0; i != 30 && r < 1000; r++) read_once(hotkeys, i, key, 1301);
    }
    for (int r = 0; r < 1000; r++) read_once(hotkeys, 100, "dim", 1301);
    CHECK(tick(hotkeys, 1400) == 0);
    read_once(hotkeys, 200, "dull", 1400);
    CHECK(reads_until_hot(hotkeys, 200, "dull", 2 * LIMIT - 2, 1499) == -1);
    CHECK(hotkeys_counts(hotkeys).missed == 1);
    CHECK(use_once(hotkeys, 0, 201, 5, BYTES("huge"), &large, 1500));
    CHECK(listed(hotkeys, 1500, out) == HOTKEYS_MAX);
    hotkeys_free(&hotkeys);
}

TEST(names_are_bounded_and_may_hold_any_byte)
{
    struct hotkeys *hotkeys = watching(1, 1000);
    struct hot_report out[HOTKEYS_MAX];
    struct hot_use use = { .cost = HOTKEYS_UNIT };
    char large[4 * HOTKEYS_NAME_MAX];

    memset(large, '\0', sizeof(large));
    CHECK(use_once(hotkeys, 0, 1, 1, (struct bytes){ large, sizeof(large) }, &use, 1000));
    /* Another that begins alike is another. */
    CHECK(use_once(hotkeys, 0, 1, 2, (struct bytes){ large, sizeof(large) - 1 }, &use, 1000));
    CHECK(use_once(hotkeys, 0, 2, 3, (struct bytes){ "a\0\r\nb", 5 }, &use, 1000));
    CHECK(use_once(hotkeys, 0, 3, 4, BYTES(""), &use, 1000));
    CHECK(hotkeys_list(hotkeys, 1000, 0, out) == 4);
    for (int i = 0; i < 4; i++) {
        if (out[i].slot == 1) CHECK(out[i].name.len == HOTKEYS_NAME_MAX);
        if (out[i].slot == 2) CHECK(bytes_equal(out[i].name, ((struct bytes){ "a\0\r\nb", 5 })));
        if (out[i].slot == 3) CHECK(out[i].name.len == 0);
        alloc_free((void *)(uintptr_t)out[i].name.data);
    }
    hotkeys_free(&hotkeys);
}

/* --- Several threads --- */

struct reader {
    struct hotkeys *hotkeys;
    unsigned number;
    int hot; /* how often it was told so */
};

static void *read_alike(void *argument)
{
    struct reader *reader = argument;
    struct hot_use use = { .cost = HOTKEYS_UNIT, .bytes = 10 };

    for (int i = 0; i < 20000; i++)
        for (uint16_t slot = 0; slot < 3; slot++)
            if (use_once(reader->hotkeys, reader->number, slot, 77, BYTES("star"), &use, 1000 + i / 1000))
                reader->hot++;
    return NULL;
}

TEST(threads_that_read_the_same_keys_find_each_once_and_count_all)
{
    struct hotkeys *hotkeys = hotkeys_new(4);
    struct hot_report out[HOTKEYS_MAX];
    struct reader readers[4];
    pthread_t threads[4];
    int told = 0;

    hotkeys_set(hotkeys, THRESHOLD, WINDOW_MS);
    for (unsigned i = 0; i < 4; i++) {
        readers[i] = (struct reader){ .hotkeys = hotkeys, .number = i };
        pthread_create(&threads[i], NULL, read_alike, &readers[i]);
    }
    for (int i = 0; i < 20; i++) {
        tick(hotkeys, 1000 + i);
        listed(hotkeys, 1000 + i, out);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        told += readers[i].hot;
    }
    CHECK(told == 3);
    CHECK(hotkeys_counts(hotkeys).found == 3);
    CHECK(listed(hotkeys, 1030, out) == 3);
    hotkeys_free(&hotkeys);
}

TESTS(a_key_is_hot_at_the_threshold_and_is_told_once, a_window_ends_and_the_next_begins_with_nothing,
      windows_are_each_slots_own, a_clock_that_goes_back_or_far_ahead_begins_a_window,
      a_clock_that_stands_still_counts_on, a_key_stays_hot_when_the_clock_goes_back,
      cost_is_one_and_kibibytes_and_microseconds_beyond_the_first, one_slow_command_makes_no_key_hot_and_several_do,
      a_large_value_is_hot_by_its_bytes, counters_saturate, what_most_of_a_slot_is_about_is_found_among_many_others,
      rotating_keys_makes_none_hot_and_blinds_no_other_slot, several_keys_of_a_slot_are_hot_at_once,
      what_is_hot_is_counted_exactly, the_hottest_come_first, a_key_leaves_after_a_second_below_half_the_threshold,
      a_key_that_had_less_than_nine_tenths_in_its_first_second_was_none, a_key_that_pauses_for_less_than_a_second_stays,
      a_key_goes_without_any_traffic, the_keys_of_a_slot_that_left_go_at_once,
      nothing_is_found_or_kept_with_a_threshold_of_zero, a_threshold_of_one_is_met_by_one_and_left_by_none,
      of_a_full_table_the_coldest_makes_room_for_what_is_hotter, names_are_bounded_and_may_hold_any_byte,
      threads_that_read_the_same_keys_find_each_once_and_count_all)
