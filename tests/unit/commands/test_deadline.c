/* What users say about when a key is to go, as one deadline. */
#include "unit/unit.h"

#include "commands/deadline.h"

static int64_t deadline(int64_t number, enum deadline_form form, int64_t now_ms, int64_t wall_ahead_ms)
{
    int64_t expires_at_ms = 0;

    CHECK(deadline_from(number, form, now_ms, wall_ahead_ms, &expires_at_ms));
    return expires_at_ms;
}

TEST(seconds_and_milliseconds_count_from_now)
{
    CHECK(deadline(10, DEADLINE_IN_SECONDS, 1000000, 0) == 1010000);
    CHECK(deadline(10, DEADLINE_IN_MS, 1000000, 0) == 1000010);
    CHECK(deadline(-10, DEADLINE_IN_MS, 1000000, 0) == 999990);
}

TEST(unix_time_is_itself_while_nobody_sets_the_clock)
{
    CHECK(deadline(1700000000, DEADLINE_AT_SECONDS, 5, 0) == INT64_C(1700000000000));
    CHECK(deadline(1700000000123, DEADLINE_AT_MS, 5, 0) == INT64_C(1700000000123));
}

TEST(unix_time_moves_with_a_clock_that_was_set)
{
    /* An hour was added: what is said to be at noon is an hour nearer. */
    CHECK(deadline(1700000000, DEADLINE_AT_SECONDS, 5, 3600000) == INT64_C(1699996400000));
    CHECK(deadline(10, DEADLINE_IN_SECONDS, 1000000, 3600000) == 1010000);
}

TEST(what_does_not_fit_is_refused)
{
    int64_t out;

    CHECK(!deadline_from(INT64_MAX / 1000 + 1, DEADLINE_IN_SECONDS, 0, 0, &out));
    CHECK(!deadline_from(INT64_MIN / 1000 - 1, DEADLINE_IN_SECONDS, 0, 0, &out));
    CHECK(!deadline_from(INT64_MAX / 1000 + 1, DEADLINE_AT_SECONDS, 0, 0, &out));
    CHECK(!deadline_from(INT64_MAX - 4, DEADLINE_IN_MS, 5, 0, &out));
    CHECK(deadline(INT64_MAX - 5, DEADLINE_IN_MS, 5, 0) == INT64_MAX);
    CHECK(deadline(INT64_MAX, DEADLINE_AT_MS, 5, 0) == INT64_MAX);
}

TEST(a_clock_that_was_set_overflows_nothing)
{
    CHECK(deadline(INT64_MAX, DEADLINE_AT_MS, 5, -3600000) == INT64_MAX);
    CHECK(deadline(INT64_MIN, DEADLINE_AT_MS, 5, 3600000) == INT64_MIN);
}

TESTS(seconds_and_milliseconds_count_from_now, unix_time_is_itself_while_nobody_sets_the_clock,
      unix_time_moves_with_a_clock_that_was_set, what_does_not_fit_is_refused, a_clock_that_was_set_overflows_nothing)
