/* Names come with load and go when it is gone, and not back and forth. */
#include "salt/factor.h"
#include "unit/unit.h"

#include <string.h>

/* Looks ten times a second, for so long; returns the factor at the end. */
static unsigned look(struct salt_factor *state, struct salt_traffic *traffic, int64_t ms, unsigned factor,
                     unsigned most)
{
    for (int64_t end_ms = traffic->now_ms + ms; traffic->now_ms < end_ms; traffic->now_ms += 100)
        factor = salt_factor_next(state, traffic, factor, most);
    return factor;
}

static struct salt_traffic traffic_of(int64_t load)
{
    return (struct salt_traffic){ .load = load, .reads = load, .threshold = 1000, .now_ms = 1 };
}

TEST(three_hot_looks_double_it)
{
    struct salt_factor state = { 0 };
    struct salt_traffic traffic = traffic_of(4001);

    CHECK(look(&state, &traffic, 200, 1, 8) == 1);
    CHECK(look(&state, &traffic, 100, 1, 8) == 2);
    /* It is seen in the rates only later. */
    CHECK(look(&state, &traffic, 1000, 2, 8) == 2);
    CHECK(look(&state, &traffic, 400, 2, 8) == 4);
    CHECK(look(&state, &traffic, 60000, 4, 8) == 8);
    CHECK(look(&state, &traffic, 600000, 8, 8) == 8);
}

TEST(a_look_that_is_not_hot_begins_anew)
{
    struct salt_factor state = { 0 };
    struct salt_traffic hot = traffic_of(100000), still = traffic_of(4000);

    for (int i = 0; i < 100; i++) {
        CHECK(look(&state, &hot, 200, 1, 8) == 1);
        CHECK(look(&state, &still, 100, 1, 8) == 1);
    }
}

TEST(what_is_written_much_gets_no_names)
{
    struct salt_factor state = { 0 };
    struct salt_traffic traffic = traffic_of(100000);

    traffic.reads = 98000;
    traffic.writes = 2000;
    CHECK(look(&state, &traffic, 60000, 1, 8) == 1);
    traffic.writes = 1960;
    CHECK(look(&state, &traffic, 300, 1, 8) == 2);
}

TEST(a_minute_below_the_threshold_halves_it)
{
    struct salt_factor state = { 0 };
    struct salt_traffic traffic = traffic_of(999);

    CHECK(look(&state, &traffic, 60000, 8, 8) == 8);
    CHECK(look(&state, &traffic, 100, 8, 8) == 4);
    CHECK(look(&state, &traffic, 60000, 4, 8) == 4);
    CHECK(look(&state, &traffic, 200000, 4, 8) == 1);
    CHECK(look(&state, &traffic, 200000, 1, 8) == 1);
    /* One look above it, and the minute begins anew. */
    state = (struct salt_factor){ 0 };
    CHECK(look(&state, &traffic, 59000, 8, 8) == 8);
    traffic.load = 1000;
    CHECK(look(&state, &traffic, 100, 8, 8) == 8);
    traffic.load = 0;
    CHECK(look(&state, &traffic, 60000, 8, 8) == 8);
    CHECK(look(&state, &traffic, 1000, 8, 8) == 4);
}

TEST(the_bound_of_the_policy_holds)
{
    struct salt_factor state = { 0 };
    struct salt_traffic traffic = traffic_of(100000);

    CHECK(salt_factor_next(&state, &traffic, 8, 3) == 3);
    CHECK(look(&state, &traffic, 60000, 2, 3) == 3);
    CHECK(look(&state, &traffic, 60000, 3, 0) == 1);
    CHECK(look(&state, &traffic, 60000, 1, 1) == 1);
    traffic.threshold = 0;
    state = (struct salt_factor){ 0 };
    CHECK(look(&state, &traffic, 600000, 4, 8) == 4);
}

/* Any load that stays as it is, shared by the names that there are, comes to one factor and stays there. */
TEST(a_steady_load_finds_a_factor_and_keeps_it)
{
    for (int64_t total = 100; total < 1000000; total += total / 7 + 1) {
        struct salt_factor state = { 0 };
        struct salt_traffic traffic = traffic_of(0);
        unsigned factor = 1, changes = 0;

        for (int i = 0; i < 20000; i++, traffic.now_ms += 100) {
            unsigned next;

            traffic.load = traffic.reads = total / factor;
            next = salt_factor_next(&state, &traffic, factor, 64);
            changes += next != factor;
            factor = next;
        }
        CHECK(changes <= 6);
        CHECK(total / factor <= 4000 || factor == 64);
    }
}

TESTS(three_hot_looks_double_it, a_look_that_is_not_hot_begins_anew, what_is_written_much_gets_no_names,
      a_minute_below_the_threshold_halves_it, the_bound_of_the_policy_holds, a_steady_load_finds_a_factor_and_keeps_it)
