/* The registry of who listens to what: each message goes to the parts it is for, and no trace is left of who has gone. */
#include "server/topics.h"

#include "base/alloc.h"
#include "base/random.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* What a message was collected for. */
struct collected {
    size_t count;
    struct {
        int worker;
        uint64_t number;
        enum topic_kind kind;
        char name[16];
    } parts[64];
};

static void note(void *context, struct topic_part *part, uint64_t number)
{
    struct collected *collected = context;
    struct bytes name = topic_part_name(part);

    CHECK(collected->count < 64 && name.len < 16);
    collected->parts[collected->count].worker = part->worker;
    collected->parts[collected->count].number = number;
    collected->parts[collected->count].kind = topic_part_kind(part);
    memcpy(collected->parts[collected->count].name, name.data, name.len);
    collected->parts[collected->count++].name[name.len] = '\0';
}

static struct topic_part *join(struct topics *topics, enum topic_kind kind, struct bytes name, int worker)
{
    uint64_t since;
    bool is_new;

    return topics_join(topics, kind, name, worker, &since, &is_new);
}

static bool has(const struct collected *collected, int worker, const char *name)
{
    for (size_t i = 0; i < collected->count; i++)
        if (collected->parts[i].worker == worker && strcmp(collected->parts[i].name, name) == 0) return true;
    return false;
}

TEST(a_message_is_for_its_channel_and_the_patterns_that_match_it)
{
    struct topics *topics = topics_new();
    struct collected collected = { 0 };
    struct topic_part *parts[] = {
        join(topics, TOPIC_CHANNEL, BYTES("news"), 0), join(topics, TOPIC_CHANNEL, BYTES("news"), 2),
        join(topics, TOPIC_PATTERN, BYTES("n*"), 1),   join(topics, TOPIC_PATTERN, BYTES("x*"), 1),
        join(topics, TOPIC_SHARD, BYTES("news"), 3),   join(topics, TOPIC_CHANNEL, BYTES("other"), 0),
        join(topics, TOPIC_CHANNEL, BYTES("news"), 0),
    };

    CHECK(parts[0] == parts[6]); /* the same part, with two subscribers */
    CHECK(topics_collect(topics, TOPIC_CHANNEL, BYTES("news"), note, &collected) == 4);
    CHECK(collected.count == 3 && has(&collected, 0, "news") && has(&collected, 2, "news") && has(&collected, 1, "n*"));
    CHECK(collected.parts[2].kind == TOPIC_PATTERN); /* patterns come behind the channel */
    collected.count = 0;
    CHECK(topics_collect(topics, TOPIC_SHARD, BYTES("news"), note, &collected) == 1 && has(&collected, 3, "news"));
    CHECK(topics_collect(topics, TOPIC_CHANNEL, BYTES("nobody"), note, &collected) == 1); /* n* */
    CHECK(topics_subscribers(topics, TOPIC_CHANNEL, BYTES("news")) == 3);
    CHECK(topics_count(topics, TOPIC_CHANNEL) == 2 && topics_count(topics, TOPIC_PATTERN) == 2);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) topics_leave(topics, parts[i]);
    CHECK(topics_collect(topics, TOPIC_CHANNEL, BYTES("news"), note, &collected) == 0);
    topics_free(&topics);
}

TEST(the_first_and_the_last_of_a_worker_are_told_apart)
{
    struct topics *topics = topics_new();
    struct topic_part *part;
    uint64_t since;
    bool is_new;

    part = topics_join(topics, TOPIC_CHANNEL, BYTES(""), 1, &since, &is_new);
    CHECK(is_new && since == 0);
    CHECK(topics_join(topics, TOPIC_CHANNEL, BYTES(""), 1, &since, &is_new) == part && !is_new);
    CHECK(!topics_leave(topics, part) && topics_leave(topics, part));
    CHECK(topics_count(topics, TOPIC_CHANNEL) == 0);
    topics_free(&topics);
}

TEST(messages_are_numbered_so_that_a_late_subscriber_is_not_sent_those_before)
{
    struct topics *topics = topics_new();
    struct topic_part *part = join(topics, TOPIC_CHANNEL, BYTES("a"), 0);
    struct collected collected = { 0 };
    uint64_t since;
    bool is_new;

    topics_collect(topics, TOPIC_CHANNEL, BYTES("a"), note, &collected);
    topics_collect(topics, TOPIC_CHANNEL, BYTES("a"), note, &collected);
    CHECK(topics_join(topics, TOPIC_CHANNEL, BYTES("a"), 0, &since, &is_new) == part);
    CHECK(collected.parts[1].number == since); /* up to this one they are not its */
    topics_collect(topics, TOPIC_CHANNEL, BYTES("a"), note, &collected);
    CHECK(collected.parts[2].number > since);
    topics_leave(topics, part);
    topics_leave(topics, part);
    topics_free(&topics);
}

TEST(a_part_that_is_held_outlives_its_subscribers)
{
    struct topics *topics = topics_new();
    struct topic_part *part = join(topics, TOPIC_CHANNEL, BYTES("a"), 0);

    topic_part_hold(part);
    topics_leave(topics, part);
    CHECK(topics_count(topics, TOPIC_CHANNEL) == 0 && bytes_equal(topic_part_name(part), BYTES("a")));
    CHECK(list_is_empty(&part->clients));
    topic_part_let_go(part);
    topics_free(&topics);
}

struct seen {
    size_t count;
    bool names[1000];
};

static void see(void *context, struct bytes name)
{
    struct seen *seen = context;
    int64_t number;
    bool is_number = bytes_to_i64(name, &number);

    CHECK(is_number && !seen->names[number]);
    seen->names[number] = true;
    seen->count++;
}

TEST(names_are_listed_once_each_and_by_pattern)
{
    struct topics *topics = topics_new();
    struct topic_part *parts[1000];
    struct seen all = { 0 }, some = { 0 };

    for (int i = 0; i < 1000; i++) {
        char name[16];

        snprintf(name, sizeof(name), "%d", i);
        parts[i] = join(topics, TOPIC_CHANNEL, bytes_of(name), i % 3);
    }
    topics_each(topics, TOPIC_CHANNEL, BYTES("*"), see, &all);
    CHECK(all.count == 1000 && topics_count(topics, TOPIC_CHANNEL) == 1000);
    topics_each(topics, TOPIC_CHANNEL, BYTES("1?"), see, &some);
    CHECK(some.count == 10 && some.names[10] && some.names[19]);
    for (int i = 0; i < 1000; i++) topics_leave(topics, parts[i]);
    CHECK(topics_count(topics, TOPIC_CHANNEL) == 0);
    topics_free(&topics);
}

#define THREADS 4
#define ROUNDS 3000

struct worker_of_test {
    struct topics *topics;
    int worker;
    uint64_t told;
};

static void count_part(void *context, struct topic_part *part, uint64_t number)
{
    struct worker_of_test *me = context;

    (void)number;
    topic_part_hold(part);
    me->told++;
    topic_part_let_go(part);
}

/* Comes, publishes and goes. */
static void *come_and_go(void *argument)
{
    struct worker_of_test *me = argument;
    struct random random;

    random_seed(&random, (uint64_t)me->worker + 1);
    for (int i = 0; i < ROUNDS; i++) {
        enum topic_kind kind = (enum topic_kind)random_below(&random, TOPIC_KINDS);
        char name[16];
        struct topic_part *part;

        snprintf(name, sizeof(name), "%s%u", kind == TOPIC_PATTERN ? "*" : "", (unsigned)random_below(&random, 5));
        part = join(me->topics, kind, bytes_of(name), me->worker);
        CHECK(part->worker == me->worker);
        snprintf(name, sizeof(name), "%u", (unsigned)random_below(&random, 5));
        topics_collect(me->topics, kind == TOPIC_SHARD ? TOPIC_SHARD : TOPIC_CHANNEL, bytes_of(name), count_part, me);
        topics_leave(me->topics, part);
    }
    return NULL;
}

TEST(workers_come_and_go_while_others_publish)
{
    struct topics *topics = topics_new();
    struct worker_of_test workers[THREADS];
    struct topic_part *stays = join(topics, TOPIC_CHANNEL, BYTES("3"), THREADS);
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker_of_test){ .topics = topics, .worker = i };
        CHECK(pthread_create(&threads[i], NULL, come_and_go, &workers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(stays->messages > 0 && stays->subscribers == 1);
    topics_leave(topics, stays);
    for (int kind = 0; kind < TOPIC_KINDS; kind++) CHECK(topics_count(topics, (enum topic_kind)kind) == 0);
    topics_free(&topics);
}

TESTS(a_message_is_for_its_channel_and_the_patterns_that_match_it, the_first_and_the_last_of_a_worker_are_told_apart,
      messages_are_numbered_so_that_a_late_subscriber_is_not_sent_those_before,
      a_part_that_is_held_outlives_its_subscribers, names_are_listed_once_each_and_by_pattern,
      workers_come_and_go_while_others_publish)
