/* Keys on their way to a target that is a thread of this test: a few at a time, each once, and none that are another's. */
#include "base/alloc.h"
#include "cluster/owner.h"
#include "store/keyspace.h"
#include "store/slot_internal.h"
#include "transfer/migrator.h"
#include "unit/unit.h"

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEYS_MAX 1200
/* This one may be sent when that has been asked so often, where it is asked. */
#define LATE_KEY 5u
#define LATE_ASKS 4u

/* Says yes to everything, and looks at the slot while it is being asked. */
struct taker {
    int listening;
    char port[8];
    struct keyspace *keyspace;
    pthread_t threads[8];
    int thread_count;
    pthread_mutex_t guard; /* for all below */
    pthread_cond_t changed;
    int fds[8];
    unsigned restored, marks_max;
    unsigned seen[KEYS_MAX]; /* how often each number was restored */
    bool lost_any;           /* a key that was sent was not here any more */
    unsigned asked;          /* whether one key may be sent */
    bool sent_early;
    /* What became of migrations. */
    unsigned ended[6], released;
};

static struct slot *the_slot(struct taker *taker)
{
    return keyspace_slot(taker->keyspace, key_slot(BYTES("{t}")));
}

static void note_restored(struct taker *taker, const redisReply *request)
{
    struct bytes key = { request->element[1]->str, (size_t)request->element[1]->len };
    struct slot *slot = the_slot(taker);
    unsigned marks, number = 0;
    bool is_here;

    CHECK(sscanf(key.data, "{t}%u", &number) == 1 && number < KEYS_MAX);
    slot_lock(slot);
    marks = slot->mark_count;
    is_here = slot_is_in_flight(slot, key) && slot_peek(slot, key, 0) != NULL;
    slot_unlock(slot);
    pthread_mutex_lock(&taker->guard);
    if (marks > taker->marks_max) taker->marks_max = marks;
    if (!is_here) taker->lost_any = true;
    taker->seen[number]++;
    if (number == LATE_KEY && taker->asked < LATE_ASKS) taker->sent_early = true;
    taker->restored++;
    pthread_mutex_unlock(&taker->guard);
}

struct visit {
    struct taker *taker;
    int fd;
};

static void *serve(void *argument)
{
    struct visit visit = *(struct visit *)argument;
    redisReader *reader = redisReaderCreate();
    char bytes[65536];
    ssize_t got;

    alloc_free(argument);
    while ((got = read(visit.fd, bytes, sizeof bytes)) > 0) {
        void *request;

        CHECK(redisReaderFeed(reader, bytes, (size_t)got) == REDIS_OK);
        while (redisReaderGetReply(reader, &request) == REDIS_OK && request != NULL) {
            if (strncmp(((redisReply *)request)->element[0]->str, "RESTORE", 7) == 0)
                note_restored(visit.taker, request);
            freeReplyObject(request);
            CHECK(write(visit.fd, "+OK\r\n", 5) == 5);
        }
    }
    redisReaderFree(reader);
    close(visit.fd);
    return NULL;
}

static void *take(void *argument)
{
    struct taker *taker = argument;
    int fd;

    while ((fd = accept(taker->listening, NULL, NULL)) >= 0) {
        struct visit *visit = alloc(sizeof *visit);

        *visit = (struct visit){ taker, fd };
        CHECK(taker->thread_count < 8);
        CHECK(pthread_create(&taker->threads[taker->thread_count++], NULL, serve, visit) == 0);
    }
    return NULL;
}

static uint16_t own_port(void *context)
{
    (void)context;
    return 1;
}

static void ended(void *context, void *ticket, enum migration_end end, const char *error)
{
    struct taker *taker = context;

    CHECK(ticket == taker && error[0] == '\0');
    pthread_mutex_lock(&taker->guard);
    taker->ended[end]++;
    pthread_cond_signal(&taker->changed);
    pthread_mutex_unlock(&taker->guard);
}

static void released(void *context)
{
    struct taker *taker = context;

    pthread_mutex_lock(&taker->guard);
    taker->released++;
    pthread_mutex_unlock(&taker->guard);
}

static struct taker *taker_new(pthread_t *thread)
{
    struct taker *taker = alloc_zeroed(sizeof *taker);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;

    taker->keyspace = keyspace_new();
    pthread_mutex_init(&taker->guard, NULL);
    pthread_cond_init(&taker->changed, NULL);
    taker->listening = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(taker->listening, (struct sockaddr *)&at, len) == 0 && listen(taker->listening, 8) == 0);
    CHECK(getsockname(taker->listening, (struct sockaddr *)&at, &len) == 0);
    snprintf(taker->port, sizeof taker->port, "%u", ntohs(at.sin_port));
    CHECK(pthread_create(thread, NULL, take, taker) == 0);
    return taker;
}

/* After the migrator, which closes its connections. */
static void taker_free(struct taker *taker, pthread_t thread)
{
    CHECK(the_slot(taker)->mark_count == 0 && the_slot(taker)->marks == NULL);
    shutdown(taker->listening, SHUT_RDWR);
    pthread_join(thread, NULL);
    for (int i = 0; i < taker->thread_count; i++) pthread_join(taker->threads[i], NULL);
    close(taker->listening);
    keyspace_free(&taker->keyspace);
    pthread_cond_destroy(&taker->changed);
    pthread_mutex_destroy(&taker->guard);
    alloc_free(taker);
}

static struct migrator *migrator_to(struct taker *taker)
{
    const struct migration_site site = { .keyspace = taker->keyspace,
                                         .run_id = "nobody's",
                                         .context = taker,
                                         .own_port = own_port,
                                         .ended = ended,
                                         .released = released };

    return migrator_new(&site);
}

static void fill(struct taker *taker, unsigned count, size_t value_bytes)
{
    struct slot *slot = the_slot(taker);
    char key[32];

    slot_lock(slot);
    for (unsigned i = 0; i < count; i++) {
        struct entry *entry;

        snprintf(key, sizeof key, "{t}%u", i);
        entry = entry_new_sized(bytes_of(key), value_bytes, ENTRY_KEEPS_FOREVER);
        memset(entry_value_mutable(entry), 'v', value_bytes);
        slot_put(slot, &entry);
    }
    slot_unlock(slot);
}

/* Sends keys 0 .. count - 1, or in the order from the last to the first. */
static void post(struct migrator *migrator, struct taker *taker, unsigned count, bool backwards)
{
    static char texts[KEYS_MAX][32];
    struct bytes keys[KEYS_MAX];
    struct migration_options options = { .address = { .host = BYTES("127.0.0.1"), .port = bytes_of(taker->port) },
                                         .timeout_ms = 60000,
                                         .keys = keys,
                                         .key_count = count,
                                         .ticket = taker };
    struct migration *migration;

    for (unsigned i = 0; i < count; i++) {
        unsigned number = backwards ? count - 1 - i : i;

        keys[i] = (struct bytes){ texts[i], (size_t)snprintf(texts[i], sizeof texts[i], "{t}%u", number) };
    }
    migration = migration_new(&options);
    migrator_post(migrator, &migration);
}

static void wait_ended(struct taker *taker, unsigned count)
{
    pthread_mutex_lock(&taker->guard);
    for (;;) {
        unsigned total = 0;

        for (unsigned i = 0; i < 6; i++) total += taker->ended[i];
        if (total == count) break;
        pthread_cond_wait(&taker->changed, &taker->guard);
    }
    pthread_mutex_unlock(&taker->guard);
}

static bool may_be_sent(void *context, struct bytes key)
{
    struct taker *taker = context;
    bool may;

    slot_assert_locked(the_slot(taker));
    if (!bytes_equal(key, BYTES("{t}5"))) return true;
    pthread_mutex_lock(&taker->guard);
    may = ++taker->asked >= LATE_ASKS;
    pthread_mutex_unlock(&taker->guard);
    return may;
}

TEST(a_value_that_is_not_complete_is_waited_for)
{
    pthread_t thread;
    struct taker *taker = taker_new(&thread);
    const struct migration_site site = { .keyspace = taker->keyspace,
                                         .run_id = "nobody's",
                                         .context = taker,
                                         .own_port = own_port,
                                         .ended = ended,
                                         .released = released,
                                         .may_be_sent = may_be_sent };
    struct migrator *migrator = migrator_new(&site);

    taker->asked = 0;
    fill(taker, 10, 10);
    post(migrator, taker, 10, false);
    wait_ended(taker, 1);
    CHECK(taker->ended[MIGRATION_DONE] == 1 && taker->restored == 10 && !taker->lost_any);
    CHECK(taker->asked == LATE_ASKS && !taker->sent_early);
    migrator_free(&migrator);
    taker_free(taker, thread);
}

TEST(many_keys_are_sent_a_few_at_a_time)
{
    pthread_t thread;
    struct taker *taker = taker_new(&thread);
    struct migrator *migrator = migrator_to(taker);

    fill(taker, 1000, 10);
    post(migrator, taker, 1000, false);
    wait_ended(taker, 1);
    CHECK(taker->ended[MIGRATION_DONE] == 1 && taker->restored == 1000 && !taker->lost_any);
    CHECK(taker->marks_max > 1 && taker->marks_max <= 128);
    CHECK(slot_counts(the_slot(taker)).keys == 0);
    migrator_free(&migrator);
    CHECK(taker->released >= 1000 / 128);
    taker_free(taker, thread);
}

TEST(big_values_are_fewer_at_a_time)
{
    pthread_t thread;
    struct taker *taker = taker_new(&thread);
    struct migrator *migrator = migrator_to(taker);

    fill(taker, 40, 300000);
    post(migrator, taker, 40, false);
    wait_ended(taker, 1);
    CHECK(taker->ended[MIGRATION_DONE] == 1 && taker->restored == 40 && taker->marks_max <= 4);
    migrator_free(&migrator);
    taker_free(taker, thread);
}

TEST(two_that_send_the_same_keys_wait_for_each_other_and_send_each_once)
{
    pthread_t thread;
    struct taker *taker = taker_new(&thread);
    struct migrator *migrator = migrator_to(taker);

    fill(taker, KEYS_MAX, 10);
    post(migrator, taker, KEYS_MAX, false);
    post(migrator, taker, KEYS_MAX, true);
    wait_ended(taker, 2);
    CHECK(taker->ended[MIGRATION_DONE] + taker->ended[MIGRATION_NO_KEY] == 2 && taker->ended[MIGRATION_DONE] > 0);
    for (unsigned i = 0; i < KEYS_MAX; i++) CHECK(taker->seen[i] == 1);
    CHECK(slot_counts(the_slot(taker)).keys == 0);
    migrator_free(&migrator);
    taker_free(taker, thread);
}

TEST(keys_of_a_slot_that_is_anothers_are_not_sent)
{
    pthread_t thread;
    struct taker *taker = taker_new(&thread);
    struct migrator *migrator = migrator_to(taker);

    fill(taker, 10, 10);
    slot_set_owner(the_slot(taker), owner_pack((struct owner){ .state = OWNER_ELSEWHERE, .node = 1 }));
    post(migrator, taker, 10, false);
    wait_ended(taker, 1);
    CHECK(taker->ended[MIGRATION_NO_KEY] == 1 && taker->restored == 0);
    /* What is left over of an import may be sent back. */
    slot_set_owner(the_slot(taker),
                   owner_pack((struct owner){ .state = OWNER_ELSEWHERE, .flags = OWNER_IMPORTING, .node = 1 }));
    post(migrator, taker, 10, false);
    wait_ended(taker, 2);
    CHECK(taker->ended[MIGRATION_DONE] == 1 && taker->restored == 10);
    migrator_free(&migrator);
    taker_free(taker, thread);
}

TESTS(a_value_that_is_not_complete_is_waited_for, many_keys_are_sent_a_few_at_a_time, big_values_are_fewer_at_a_time,
      two_that_send_the_same_keys_wait_for_each_other_and_send_each_once, keys_of_a_slot_that_is_anothers_are_not_sent)
