/* Who has work sleeps for one that must run only where that is of use, and never for long. */
#include "base/give_way.h"
#include "unit/unit.h"

#include <stdbool.h>

#define START_US ((int64_t)1000000)
#define WORK_US 400

static int64_t now_us, ran_us; /* the clock, and what the other has run */

/* Works for so long, in which the other ran for some of it, and gives way. Of each microsecond of sleep the other gets `percent`. */
static int64_t work(struct give_way *way, int64_t us, int64_t other_us, int64_t percent)
{
    int64_t sleep_us;

    now_us += us;
    ran_us += other_us;
    sleep_us = give_way_us(way, now_us, ran_us);
    if (sleep_us == 0) return 0;
    now_us += sleep_us;
    ran_us += sleep_us * percent / 100;
    give_way_slept(way, now_us, ran_us);
    return sleep_us;
}

static struct give_way beginning(void)
{
    struct give_way way = { 0 };

    now_us = START_US;
    ran_us = 0;
    CHECK(give_way_us(&way, now_us, ran_us) == 0); /* nothing is known yet */
    return way;
}

TEST(who_keeps_the_cpu_busy_sleeps_as_long_as_it_worked)
{
    struct give_way way = beginning();

    for (int i = 0; i < 100; i++) CHECK(work(&way, WORK_US, 0, 100) == WORK_US);
    CHECK(ran_us == 100 * WORK_US);
}

TEST(no_sleep_is_long)
{
    struct give_way way = beginning();

    CHECK(work(&way, 5000, 0, 100) == 500);
    CHECK(work(&way, 9999, 0, 100) == 500);
}

TEST(nobody_sleeps_for_one_that_gets_on_by_itself)
{
    struct give_way way = beginning();

    CHECK(work(&way, WORK_US, 0, 100) > 0);
    for (int i = 0; i < 100; i++) CHECK(work(&way, WORK_US, WORK_US / 4, 100) == 0);
    CHECK(work(&way, WORK_US, 0, 100) > 0);
}

TEST(nobody_sleeps_for_a_while_after_that_was_of_no_use)
{
    struct give_way way = beginning();
    int slept = 0;

    for (int64_t end_us = now_us + 1000000; now_us < end_us;) slept += work(&way, WORK_US, 0, 0) > 0;
    CHECK(slept > 0 && slept < 300);
    slept = 0;
    for (int64_t end_us = now_us + 100000; now_us < end_us;) slept += work(&way, WORK_US, 0, 100) > 0;
    CHECK(slept > 50); /* it is of use again */
}

TEST(one_sleep_may_be_of_no_use)
{
    struct give_way way = beginning();

    for (int i = 0; i < 100; i++) CHECK(work(&way, WORK_US, 0, i % 3 == 0 ? 100 : 0) == WORK_US);
}

/* Over a long time it may have had nothing to do. */
TEST(what_was_seen_last_counts_when_it_is_urgent_again)
{
    struct give_way way = beginning();

    CHECK(work(&way, 1000000, 0, 100) == 0);
    CHECK(work(&way, WORK_US, 0, 100) == WORK_US);
    CHECK(work(&way, 1000000, 0, 100) >
          0); /* at once: whoever waits is given the CPU otherwise, at a moment that nobody chose */
    CHECK(work(&way, WORK_US, WORK_US, 100) == 0);
    CHECK(work(&way, 1000000, 0, 100) == 0);
}

TEST(short_turns_are_taken_together)
{
    struct give_way way = beginning();
    int64_t slept_us = 0;

    for (int i = 0; i < 1000; i++) {
        int64_t us = work(&way, 10, 0, 100);

        CHECK(us == 0 || us >= 100); /* of less the other would see nothing */
        slept_us += us;
    }
    CHECK(slept_us == 10000);
}

TESTS(who_keeps_the_cpu_busy_sleeps_as_long_as_it_worked, no_sleep_is_long,
      nobody_sleeps_for_one_that_gets_on_by_itself, nobody_sleeps_for_a_while_after_that_was_of_no_use,
      one_sleep_may_be_of_no_use, what_was_seen_last_counts_when_it_is_urgent_again, short_turns_are_taken_together)
