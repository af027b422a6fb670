/* What a session tells of the keys that cost most: sums that are right, keys that are not too few, an end that comes. */
#include "cache/hot_session.h"

#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>

#define NO_CPU ((struct hot_session_cpu){ 0, 0 })

static struct hot_session_options both(void)
{
    return (struct hot_session_options){ .cpu = true, .net = true, .count = 10, .sample = 1 };
}

static struct hot_session *started(const struct hot_session_options *options)
{
    struct hot_session *session = hot_session_new();

    CHECK(hot_session_start(session, options, 1000, NO_CPU));
    return session;
}

static void count(struct hot_session *session, const char *name, uint64_t hash, uint64_t bytes, uint64_t us,
                  int64_t now_ms)
{
    struct hot_session_key key = { bytes_of(name), hash, (uint16_t)(hash % SLOT_COUNT) };

    hot_session_count(session, &key, 1, bytes, us * 1000, now_ms);
}

static bool is_called(const struct hot_session_found *found, const char *name)
{
    return bytes_equal((struct bytes){ found->name, found->name_len }, bytes_of(name));
}

TEST(the_costliest_keys_are_told_by_time_and_by_bytes)
{
    struct hot_session_options options = both();
    struct hot_session *session = started(&options);
    static struct hot_session_report report;

    for (int i = 0; i < 10; i++) count(session, "slow", 1, 10, 500, 1001);
    for (int i = 0; i < 10; i++) count(session, "large", 2, 5000, 7, 1001);
    count(session, "none", 3, 1, 1, 1001);
    CHECK(hot_session_report(session, 1100, NO_CPU, &report));
    CHECK(report.is_on && report.began_ms == 1000 && report.lasted_ms == 100);
    CHECK(report.cpu_count == 3 && report.net_count == 3);
    CHECK(is_called(&report.by_cpu[0], "slow") && report.by_cpu[0].amount == 5000000);
    CHECK(is_called(&report.by_cpu[1], "large") && report.by_cpu[1].amount == 70000);
    CHECK(is_called(&report.by_net[0], "large") && report.by_net[0].amount == 50000);
    CHECK(report.all.bytes == 50101 && report.all.ns == 5071000);
    hot_session_free(&session);
}

TEST(a_session_begins_ends_and_is_forgotten)
{
    struct hot_session_options options = both();
    struct hot_session *session = hot_session_new();
    static struct hot_session_report report;

    CHECK(!hot_session_is_on(session) && !hot_session_report(session, 1000, NO_CPU, &report));
    CHECK(!hot_session_stop(session, 1000, NO_CPU));
    CHECK(hot_session_reset(session));
    CHECK(hot_session_start(session, &options, 1000, (struct hot_session_cpu){ 100, 50 }));
    CHECK(hot_session_is_on(session));
    CHECK(!hot_session_start(session, &options, 1001, NO_CPU) && !hot_session_reset(session));
    count(session, "star", 1, 10, 5, 1001);
    CHECK(hot_session_stop(session, 1500, (struct hot_session_cpu){ 400, 70 }));
    count(session, "star", 1, 10, 5, 1501);
    CHECK(!hot_session_stop(session, 1600, NO_CPU));
    CHECK(hot_session_report(session, 9000, (struct hot_session_cpu){ 9999, 9999 }, &report));
    CHECK(!report.is_on && report.lasted_ms == 500 && report.all.bytes == 10);
    CHECK(report.cpu.user_us == 300 && report.cpu.system_us == 20);
    options.net = false;
    CHECK(hot_session_start(session, &options, 2000, NO_CPU)); /* without a reset; the former one is forgotten */
    CHECK(hot_session_report(session, 2000, NO_CPU, &report) && report.all.bytes == 0 && report.cpu_count == 0 &&
          report.net_count == 0);
    CHECK(hot_session_stop(session, 2001, NO_CPU) && hot_session_reset(session));
    CHECK(!hot_session_report(session, 2002, NO_CPU, &report));
    hot_session_free(&session);
}

TEST(a_session_is_due_when_its_time_is_over_and_counts_nothing_then)
{
    struct hot_session_options options = both();
    struct hot_session *session;
    static struct hot_session_report report;

    options.duration_ms = 2000;
    session = started(&options);
    CHECK(!hot_session_is_due(session, 2999));
    count(session, "star", 1, 10, 5, 2999);
    CHECK(hot_session_is_due(session, 3000));
    count(session, "star", 1, 10, 5, 3000);
    CHECK(hot_session_stop(session, 3080, NO_CPU));
    CHECK(!hot_session_is_due(session, 3080));
    CHECK(hot_session_report(session, 9000, NO_CPU, &report) && report.all.bytes == 10 && report.lasted_ms == 2000);
    hot_session_free(&session);
}

TEST(only_the_selected_slots_are_looked_at)
{
    struct hot_session_options options = both();
    struct hot_session *session;
    static struct hot_session_report report;

    options.selects = true;
    options.slots.bits[100 / 64] = (uint64_t)1 << 100 % 64;
    session = started(&options);
    count(session, "in", 100, 10, 5, 1001);
    count(session, "out", 101, 1000, 500, 1001);
    hot_session_count(session, NULL, 0, 7, 0, 1001); /* a command without keys */
    CHECK(hot_session_report(session, 1100, NO_CPU, &report));
    CHECK(report.net_count == 1 && is_called(&report.by_net[0], "in"));
    CHECK(report.selected.bytes == 10 && report.all.bytes == 1017);
    hot_session_free(&session);
}

TEST(of_a_sample_one_command_in_so_many_is_looked_at)
{
    struct hot_session_options options = both();
    struct hot_session *session;
    static struct hot_session_report report;

    options.sample = 10;
    session = started(&options);
    for (int i = 0; i < 20000; i++) count(session, "star", 1, 10, 1, 1001);
    CHECK(hot_session_report(session, 1100, NO_CPU, &report));
    CHECK(report.all.bytes == 200000);
    CHECK(report.sampled.bytes > 15000 && report.sampled.bytes < 25000);
    CHECK(report.by_net[0].amount == report.sampled.bytes);
    hot_session_free(&session);
}

TEST(the_keys_of_a_command_share_it)
{
    struct hot_session_options options = both();
    struct hot_session *session = started(&options);
    struct hot_session_key keys[4] = {
        { BYTES("a"), 1, 0 }, { BYTES("b"), 2, 0 }, { BYTES("c"), 3, 0 }, { BYTES("d"), 4, 0 }
    };
    static struct hot_session_report report;

    hot_session_count(session, keys, 4, 400, 8000, 1001);
    CHECK(hot_session_report(session, 1100, NO_CPU, &report));
    CHECK(report.net_count == 4 && report.by_net[3].amount == 100 && report.by_cpu[0].amount == 2000);
    CHECK(report.all.bytes == 400);
    hot_session_free(&session);
}

TEST(a_costly_key_is_told_among_very_many_and_with_no_less_than_it_had)
{
    struct hot_session_options options = both();
    struct hot_session *session = started(&options);
    static struct hot_session_report report;
    char name[32];

    for (uint64_t i = 0; i < 200000; i++) {
        snprintf(name, sizeof(name), "key:%llu", (unsigned long long)i);
        count(session, name, 1000 + i, 10, 1, 1001);
        if (i % 100 == 0) count(session, "star", 77, 1000, 50, 1001);
    }
    CHECK(hot_session_report(session, 1100, NO_CPU, &report));
    CHECK(report.net_count == 10);
    CHECK(is_called(&report.by_net[0], "star") && report.by_net[0].amount >= 2000000);
    CHECK(is_called(&report.by_cpu[0], "star") && report.by_cpu[0].amount >= 100000000);
    hot_session_free(&session);
}

TEST(keys_that_push_each_other_out_are_told_with_no_less_than_they_had)
{
    struct hot_session_options options = both();
    struct hot_session *session = started(&options);
    static struct hot_session_report report;

    /* Twelve of the same set, which has room for eight. */
    for (int round = 0; round < 100; round++)
        for (uint64_t i = 0; i < 12; i++) count(session, "k", 128 * (i + 1), 10, 1, 1001);
    CHECK(hot_session_report(session, 1100, NO_CPU, &report));
    CHECK(report.net_count == 8);
    for (size_t i = 0; i < report.net_count; i++) CHECK(report.by_net[i].amount >= 1000);
    hot_session_free(&session);
}

TEST(names_are_cut_and_may_hold_any_byte)
{
    struct hot_session_options options = both();
    struct hot_session *session = started(&options);
    static struct hot_session_report report;
    char large[2 * HOT_SESSION_NAME_MAX] = { 0 };
    struct hot_session_key key = { { large, sizeof(large) }, 5, 0 };

    hot_session_count(session, &key, 1, 10, 10, 1001);
    key = (struct hot_session_key){ BYTES(""), 6, 0 };
    hot_session_count(session, &key, 1, 9, 9, 1001);
    CHECK(hot_session_report(session, 1100, NO_CPU, &report));
    CHECK(report.by_net[0].name_len == HOT_SESSION_NAME_MAX && report.by_net[1].name_len == 0);
    hot_session_free(&session);
}

static void *count_alike(void *argument)
{
    for (int i = 0; i < 5000; i++) count(argument, "star", 1, 10, 1, 1001);
    return NULL;
}

TEST(threads_count_into_the_same_session_while_it_is_asked_and_ends)
{
    struct hot_session_options options = both();
    struct hot_session *session = started(&options);
    static struct hot_session_report report;
    pthread_t threads[4];

    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, count_alike, session);
    for (int i = 0; i < 20; i++) CHECK(hot_session_report(session, 1100, NO_CPU, &report));
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CHECK(hot_session_report(session, 1100, NO_CPU, &report) && report.all.bytes == 200000);
    CHECK(report.by_net[0].amount == 200000);
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, count_alike, session);
    for (int i = 0; i < 20; i++) {
        hot_session_stop(session, 1100, NO_CPU);
        hot_session_reset(session);
        hot_session_start(session, &options, 1000, NO_CPU);
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    hot_session_free(&session);
}

TESTS(the_costliest_keys_are_told_by_time_and_by_bytes, a_session_begins_ends_and_is_forgotten,
      a_session_is_due_when_its_time_is_over_and_counts_nothing_then, only_the_selected_slots_are_looked_at,
      of_a_sample_one_command_in_so_many_is_looked_at, the_keys_of_a_command_share_it,
      a_costly_key_is_told_among_very_many_and_with_no_less_than_it_had,
      keys_that_push_each_other_out_are_told_with_no_less_than_they_had, names_are_cut_and_may_hold_any_byte,
      threads_count_into_the_same_session_while_it_is_asked_and_ends)
