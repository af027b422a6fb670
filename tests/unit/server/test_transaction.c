/* What WATCH remembers: which changes of which keys make EXEC fail, and how little each watched key costs everybody else, also when its client goes. */
#include "base/alloc.h"
#include "base/hash.h"
#include "base/mover.h"
#include "server/client.h"
#include "server/node.h"
#include "server/retire.h"
#include "server/transaction.h"
#include "server/worker_internal.h"
#include "store/slot_internal.h"
#include "unit/unit.h"

#include <stdio.h>
#include <unistd.h>

#define NOW 1000
#define MANY 5000u

struct fixture {
    struct node *node;
    struct keyspace *keyspace;
    struct client *client;
    struct slot *slot, *other;
};

static struct fixture begin(void)
{
    struct fixture f = { .node = alloc_zeroed(sizeof(struct node)),
                         .keyspace = keyspace_new(),
                         .client = alloc_zeroed(sizeof(struct client)) };

    f.client->worker = alloc_zeroed(sizeof(struct worker));
    f.client->worker->node = f.node;
    f.node->movers = movers_new(1);
    f.slot = keyspace_slot(f.keyspace, 7);
    f.other = keyspace_slot(f.keyspace, 8000);
    return f;
}

static void done(struct fixture *f)
{
    transaction_free(f->client, NULL);
    movers_free(&f->node->movers, true);
    CHECK(list_is_empty(&f->slot->feeds) && list_is_empty(&f->other->feeds));
    CHECK(f->node->retired == 0);
    alloc_free(f->client->worker);
    alloc_free(f->client);
    alloc_free(f->node);
    keyspace_free(&f->keyspace);
}

/* Until the movers have freed what was given to them. */
static void rest(struct fixture *f)
{
    movers_free(&f->node->movers, true);
    f->node->movers = movers_new(1);
}

static struct bytes name(char text[16], unsigned n)
{
    return (struct bytes){ text, (size_t)snprintf(text, 16, "key:%u", n) };
}

static void watch(struct fixture *f, struct slot *slot, struct bytes key)
{
    slot_lock(slot);
    transaction_watch(f->client, slot, key, NOW);
    slot_unlock(slot);
}

static void put(struct slot *slot, struct bytes key, int64_t deadline_ms)
{
    struct entry *entry = entry_new(key, BYTES("v"), deadline_ms);

    slot_lock(slot);
    slot_put(slot, &entry);
    slot_unlock(slot);
}

static void take_out(struct slot *slot, struct bytes key)
{
    slot_lock(slot);
    slot_remove(slot, key, NOW);
    slot_unlock(slot);
}

static bool is_stale(struct fixture *f, int64_t now_ms)
{
    bool stale;

    slot_lock(f->slot);
    slot_lock(f->other);
    stale = transaction_is_stale(transaction_of(f->client), now_ms);
    slot_unlock(f->other);
    slot_unlock(f->slot);
    return stale;
}

static size_t feeds(struct slot *slot)
{
    size_t count = 0;

    list_each_safe(at, &slot->feeds) count++;
    return count;
}

TEST(a_slot_has_one_feed_of_a_client_however_many_keys_it_watches)
{
    struct fixture f = begin();
    char text[16];

    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < MANY; i++) watch(&f, f.slot, name(text, i));
    watch(&f, f.other, BYTES("x"));
    CHECK(feeds(f.slot) == 1 && feeds(f.other) == 1);
    CHECK(transaction_of(f.client)->watch_count == MANY + 1);
    transaction_unwatch(f.client, NULL);
    CHECK(transaction_of(f.client)->watch_count == 0);
    rest(&f);
    CHECK(feeds(f.slot) == 0 && feeds(f.other) == 0);
    done(&f);
}

TEST(of_many_watched_keys_each_is_noticed_and_others_are_not)
{
    struct fixture f = begin();
    char text[16];

    for (unsigned changed = 0; changed < MANY; changed += 499) {
        for (unsigned i = 0; i < MANY; i++) watch(&f, f.slot, name(text, i));
        put(f.slot, name(text, MANY), ENTRY_KEEPS_FOREVER);
        put(f.other, name(text, 1), ENTRY_KEEPS_FOREVER);
        CHECK(!is_stale(&f, NOW));
        put(f.slot, name(text, changed), ENTRY_KEEPS_FOREVER);
        CHECK(is_stale(&f, NOW));
        transaction_unwatch(f.client, NULL);
        CHECK(!is_stale(&f, NOW));
    }
    done(&f);
}

TEST(a_key_that_goes_is_changed_only_if_it_was_there)
{
    struct fixture f = begin();

    put(f.slot, BYTES("there"), ENTRY_KEEPS_FOREVER);
    put(f.slot, BYTES("expired"), NOW - 1);
    watch(&f, f.slot, BYTES("expired"));
    take_out(f.slot, BYTES("expired"));
    CHECK(!is_stale(&f, NOW));
    watch(&f, f.slot, BYTES("there"));
    CHECK(!is_stale(&f, NOW));
    take_out(f.slot, BYTES("there"));
    CHECK(is_stale(&f, NOW));
    done(&f);
}

TEST(a_watched_key_that_expires_is_changed_before_it_is_removed)
{
    struct fixture f = begin();

    put(f.slot, BYTES("soon"), NOW + 10);
    watch(&f, f.slot, BYTES("soon"));
    CHECK(!is_stale(&f, NOW + 9) && is_stale(&f, NOW + 10));
    done(&f);
}

TEST(watches_may_lie_in_any_number_of_slots)
{
    struct fixture f = begin();
    struct slot_set slots;

    for (uint16_t id = 0; id < 300; id++) watch(&f, keyspace_slot(f.keyspace, (uint16_t)(id * 41)), BYTES("k"));
    slot_set_init(&slots);
    transaction_add_slots(transaction_of(f.client), &slots);
    CHECK(slots.count == 300);
    for (uint16_t id = 0; id < 300; id++) CHECK(slots.ids[id] == id * 41);
    slot_set_lock(&slots, f.keyspace);
    CHECK(!transaction_is_stale(transaction_of(f.client), NOW));
    slot_set_unlock(&slots, f.keyspace);
    put(keyspace_slot(f.keyspace, 41 * 41), BYTES("k"), ENTRY_KEEPS_FOREVER);
    slot_set_lock(&slots, f.keyspace);
    CHECK(transaction_is_stale(transaction_of(f.client), NOW));
    transaction_unwatch(f.client, &slots);
    slot_set_unlock(&slots, f.keyspace);
    slot_set_free(&slots);
    done(&f);
}

/* --- Of one that is much --- */

static void fill(struct fixture *f, unsigned commands, unsigned keys)
{
    static const struct command set = { .name = "set", .arity = 3, .value_arg = 2 };
    struct bytes argv[] = { BYTES("SET"), BYTES("k"), BYTES("v") };
    char text[16];

    for (unsigned i = 0; i < commands; i++) {
        struct entry *entry = i % 2 == 0 ? NULL : entry_new(argv[1], argv[2], ENTRY_KEEPS_FOREVER);

        transaction_queue(f->client, &set, 0, 3, argv, &entry);
    }
    for (unsigned i = 0; i < keys; i++) watch(f, i % 3 == 0 ? f->other : f->slot, name(text, i));
}

TEST(commands_and_watches_are_freed_some_at_a_time)
{
    struct fixture f = begin();
    struct retired *retired;
    size_t pieces = 1;

    fill(&f, MANY, MANY);
    retired = retired_new(f.node, f.client->transaction);
    *f.client->transaction = (struct transaction){ 0 };
    while (retired_free_some(retired, MANY / 10)) pieces++;
    CHECK(pieces == 20);
    CHECK(feeds(f.slot) == 0 && feeds(f.other) == 0);
    done(&f);
}

/* Keeps the only mover until it is told to go on. */
struct obstacle {
    struct mover_job job;
    _Atomic bool may_end;
};

static bool stand_in_the_way(struct mover_job *job)
{
    struct obstacle *obstacle = container_of(job, struct obstacle, job);

    while (!atomic_load(&obstacle->may_end)) usleep(100);
    return false;
}

TEST(what_is_much_is_left_to_the_movers_and_what_is_little_is_not)
{
    struct obstacle obstacle = { .job = { .run = stand_in_the_way } };
    struct fixture f = begin();
    struct slot_set none;

    slot_set_init(&none);
    movers_post(f.node->movers, &obstacle.job);
    fill(&f, 0, MANY);
    transaction_unwatch(f.client, &none);
    CHECK(f.client->transaction->watched == NULL && f.client->multi_bytes == 0);
    CHECK(feeds(f.slot) == 1 && feeds(f.other) == 1 && f.node->retired == 1);
    /* They are told of changes, and what is watched from now on knows nothing of that. */
    watch(&f, f.slot, BYTES("key:1"));
    fill(&f, MANY, 0);
    CHECK(feeds(f.slot) == 2);
    transaction_free(f.client, NULL);
    CHECK(f.client->transaction == NULL && f.node->retired == 2 && feeds(f.slot) == 2);
    fill(&f, 10, 10);
    transaction_free(f.client, NULL);
    CHECK(f.node->retired == 2 && feeds(f.slot) == 2);
    atomic_store(&obstacle.may_end, true);
    rest(&f);
    CHECK(f.node->retired == 0 && feeds(f.slot) == 0 && feeds(f.other) == 0);
    slot_set_free(&none);
    done(&f);
}

TEST(where_the_movers_do_not_keep_up_whoever_leaves_frees)
{
    struct obstacle obstacle = { .job = { .run = stand_in_the_way } };
    struct fixture f = begin();

    movers_post(f.node->movers, &obstacle.job);
    for (int i = 0; i < 100; i++) {
        fill(&f, MANY / 10, 1);
        transaction_free(f.client, NULL);
    }
    CHECK(f.node->retired == 64 && feeds(f.other) == 64);
    atomic_store(&obstacle.may_end, true);
    done(&f);
}

TESTS(a_slot_has_one_feed_of_a_client_however_many_keys_it_watches,
      of_many_watched_keys_each_is_noticed_and_others_are_not, a_key_that_goes_is_changed_only_if_it_was_there,
      a_watched_key_that_expires_is_changed_before_it_is_removed, watches_may_lie_in_any_number_of_slots,
      commands_and_watches_are_freed_some_at_a_time, what_is_much_is_left_to_the_movers_and_what_is_little_is_not,
      where_the_movers_do_not_keep_up_whoever_leaves_frees)
