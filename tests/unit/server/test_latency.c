/* Samples of slow moments: the worst of each second, the last hundred and sixty of each event. */
#include "server/latency.h"
#include "unit/unit.h"

TEST(a_second_keeps_its_worst_sample)
{
    struct latency *latency = latency_new();
    struct latency_sample samples[LATENCY_SAMPLES];
    int64_t worst;

    latency_add(latency, LATENCY_COMMAND, 100, 20);
    latency_add(latency, LATENCY_COMMAND, 100, 50);
    latency_add(latency, LATENCY_COMMAND, 100, 30);
    latency_add(latency, LATENCY_COMMAND, 101, 10);
    latency_add(latency, LATENCY_EXPIRE_CYCLE, 101, 70);
    CHECK(latency_samples(latency, LATENCY_COMMAND, samples, &worst) == 2);
    CHECK(samples[0].unix_seconds == 100 && samples[0].ms == 50);
    CHECK(samples[1].unix_seconds == 101 && samples[1].ms == 10);
    CHECK(worst == 50);
    CHECK(latency_reset(latency, LATENCY_COMMAND) && !latency_reset(latency, LATENCY_COMMAND));
    CHECK(latency_samples(latency, LATENCY_COMMAND, samples, &worst) == 0 && worst == 0);
    CHECK(latency_samples(latency, LATENCY_EXPIRE_CYCLE, samples, &worst) == 1 && worst == 70);
    latency_free(&latency);
}

TEST(the_oldest_samples_make_room_and_the_worst_is_remembered)
{
    struct latency *latency = latency_new();
    struct latency_sample samples[LATENCY_SAMPLES];
    int64_t worst;

    for (int i = 0; i < 1000; i++) latency_add(latency, LATENCY_FAST_COMMAND, i, 1000 - i);
    CHECK(latency_samples(latency, LATENCY_FAST_COMMAND, samples, &worst) == LATENCY_SAMPLES);
    CHECK(worst == 1000);
    for (int i = 0; i < LATENCY_SAMPLES; i++) CHECK(samples[i].unix_seconds == 1000 - LATENCY_SAMPLES + i);
    latency_free(&latency);
}

TEST(events_are_found_by_name)
{
    for (enum latency_event event = 0; event < LATENCY_EVENTS; event++)
        CHECK(latency_event_by_name(bytes_of(latency_event_name(event))) == event);
    CHECK(latency_event_by_name(BYTES("fork")) == LATENCY_EVENTS);
}

TESTS(a_second_keeps_its_worst_sample, the_oldest_samples_make_room_and_the_worst_is_remembered,
      events_are_found_by_name)
