#include "base/give_way.h"

/* What the other did over a longer time says nothing of how busy the CPU is now: it may have had nothing to do. */
#define STALE_US 10000
/* And after less the other may not have been looked at by the scheduler. */
#define LOOK_US 100
#define SLEEP_US_MAX 500
/* With such a part of the time it gets on by itself; with less than that of a sleep, sleeping is of no use. */
#define GETS_ON(us) ((us) / 8)
#define IS_OF_USE(us) ((us) / 4)
/* Somebody else may have needed the CPU for once; after so many in a row there is a pause. */
#define USELESS_MAX 4
#define USELESS_US 20000

static void look(struct give_way *way, int64_t now_us, int64_t ran_us)
{
    way->looked_us = now_us;
    way->ran_us = ran_us;
}

int64_t give_way_us(struct give_way *way, int64_t now_us, int64_t ran_us)
{
    int64_t passed_us = now_us - way->looked_us, other_us = ran_us - way->ran_us;

    if (passed_us < LOOK_US) return 0;
    look(way, now_us, ran_us);
    if (passed_us <= STALE_US) way->is_needed = other_us <= GETS_ON(passed_us);
    if (!way->is_needed || now_us < way->useless_until_us) return 0;
    return passed_us < SLEEP_US_MAX ? passed_us : SLEEP_US_MAX;
}

void give_way_slept(struct give_way *way, int64_t now_us, int64_t ran_us)
{
    int64_t slept_us = now_us - way->looked_us;

    if (slept_us > SLEEP_US_MAX) slept_us = SLEEP_US_MAX; /* this thread was not given the CPU either */
    way->useless = ran_us - way->ran_us < IS_OF_USE(slept_us) ? way->useless + 1 : 0;
    if (way->useless >= USELESS_MAX) way->useless_until_us = now_us + USELESS_US;
    look(way, now_us, ran_us);
}
