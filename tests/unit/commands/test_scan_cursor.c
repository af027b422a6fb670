/* SCAN's cursor: a slot and a position in it as one number, and back. */
#include "unit/unit.h"

#include "base/random.h"
#include "commands/scan_cursor.h"

TEST(the_start_is_zero_and_zero_is_the_start)
{
    struct scan_cursor at = { .slot = 7, .position = 7 };

    CHECK(scan_cursor_number((struct scan_cursor){ 0 }) == 0);
    CHECK(scan_cursor_from(0, &at));
    CHECK(at.slot == 0 && at.position == 0);
}

TEST(a_cursor_comes_back_as_it_was_given)
{
    struct random random;

    random_seed(&random, 1);
    for (int i = 0; i < 100000; i++) {
        struct scan_cursor given = { .slot = (uint16_t)random_below(&random, SLOT_COUNT),
                                     .position = (uint32_t)random_u64(&random) };
        struct scan_cursor back;

        CHECK(scan_cursor_from(scan_cursor_number(given), &back));
        CHECK(back.slot == given.slot && back.position == given.position);
    }
}

TEST(no_cursor_but_the_start_is_zero)
{
    CHECK(scan_cursor_number((struct scan_cursor){ .slot = 1 }) != 0);
    CHECK(scan_cursor_number((struct scan_cursor){ .position = 1 }) != 0);
    CHECK(scan_cursor_number((struct scan_cursor){ .position = UINT32_C(1) << 31 }) != 0);
}

/* A leaf of sixteen buckets tells its places apart by twelve bits, and thirty-two such leaves by five more. */
TEST(cursors_of_small_slots_fit_an_int)
{
    struct scan_cursor last = { .slot = SLOT_COUNT - 1, .position = UINT32_C(0xffff8000) };

    CHECK(scan_cursor_number(last) <= INT32_MAX);
}

TEST(every_cursor_fits_a_signed_number_of_64_bits)
{
    struct scan_cursor last = { .slot = SLOT_COUNT - 1, .position = UINT32_MAX };

    CHECK(scan_cursor_number(last) <= INT64_MAX);
}

TEST(a_number_that_is_no_cursor_is_refused)
{
    struct scan_cursor at;

    CHECK(!scan_cursor_from(UINT64_MAX, &at));
    CHECK(!scan_cursor_from(UINT64_C(1) << 46, &at));
    CHECK(scan_cursor_from((UINT64_C(1) << 46) - 1, &at));
    CHECK(at.slot == SLOT_COUNT - 1 && at.position == UINT32_MAX);
}

TESTS(the_start_is_zero_and_zero_is_the_start, a_cursor_comes_back_as_it_was_given, no_cursor_but_the_start_is_zero,
      cursors_of_small_slots_fit_an_int, every_cursor_fits_a_signed_number_of_64_bits,
      a_number_that_is_no_cursor_is_refused)
