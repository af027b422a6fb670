/* Defragmentation changes addresses and nothing else, whatever comes in between and whoever shares the slot. */
#include "base/alloc.h"
#include "base/random.h"
#include "base/reclaim.h"
#include "store/keyspace.h"
#include "store/slot_internal.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define KEYS 20000u

static const uint16_t id = 7;

struct text {
    char data[24];
    size_t len;
};

static struct bytes numbered(struct text *text, unsigned number)
{
    text->len = (size_t)snprintf(text->data, sizeof text->data, "key:%u", number);
    return (struct bytes){ text->data, text->len };
}

/* What key `number` has: 60 to 139 bytes, every hundredth of them so many that it is big. */
static size_t value_bytes(unsigned number)
{
    return number % 100 == 90 ? ENTRY_BIG_BYTES + number : 60 + number % 80;
}

static int64_t deadline(unsigned number)
{
    return number % 4 == 1 ? 1000000 + (int64_t)number : ENTRY_KEEPS_FOREVER;
}

static void put(struct slot *slot, unsigned number)
{
    struct text text;
    struct entry *entry = entry_new_sized(numbered(&text, number), value_bytes(number), deadline(number));

    memset(entry_value_mutable(entry), 'a' + (int)(number % 26), value_bytes(number));
    slot_put(slot, &entry);
}

static void check(struct slot *slot, unsigned number, bool here)
{
    struct text text;
    const struct entry *entry = slot_peek(slot, numbered(&text, number), 0);
    struct bytes value;

    CHECK((entry != NULL) == here);
    if (entry == NULL) return;
    value = entry_value(entry);
    CHECK(value.len == value_bytes(number));
    for (size_t i = 0; i < value.len; i++) CHECK(value.data[i] == 'a' + (char)(number % 26));
    CHECK(entry_expires_at_ms(entry) == deadline(number));
}

/* A slot of which four keys in five are gone: the others lie in thinly used slabs. */
static struct slot *thin_slot(struct keyspace *keyspace)
{
    struct slot *slot = keyspace_slot(keyspace, id);
    struct text text;

    slot_lock(slot);
    for (unsigned number = 0; number < KEYS; number++) put(slot, number);
    for (unsigned number = 0; number < KEYS; number++)
        if (number * 7 % 10 >= 2) slot_remove(slot, numbered(&text, number), 0);
    return slot;
}

static bool stays(unsigned number)
{
    return number * 7 % 10 < 2;
}

static struct slot_moves pass(struct slot *slot)
{
    struct slot_moves moves = { .entries_moved = 0 };
    uint32_t cursor = 0;

    do cursor = slot_defrag(slot, cursor, &moves);
    while (cursor != 0);
    return moves;
}

static void never(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    (void)feed;
    (void)key;
    (void)hash;
    CHECK(false);
}

static void set_usage(void *context, table_word *word, uint64_t hash)
{
    (void)context;
    (void)hash;
    table_set_eviction_bits(word, (uint16_t)(slot_hash(entry_key(table_entry(word))) >> 20));
}

static void check_usage(void *context, table_word *word, uint64_t hash)
{
    (void)hash;
    ++*(unsigned *)context;
    CHECK(table_eviction_bits(word) == (uint16_t)(slot_hash(entry_key(table_entry(word))) >> 20));
}

static void each_word(struct slot *slot, void (*visit)(void *context, table_word *word, uint64_t hash), void *context)
{
    uint32_t cursor = 0;

    do cursor = table_scan_words(&slot->table, cursor, visit, context);
    while (cursor != 0);
}

TEST(a_slot_is_the_same_afterwards)
{
    struct keyspace *keyspace = keyspace_new();
    struct slot *slot = thin_slot(keyspace);
    struct slot_feed feed = { .changed = never, .removed = never };
    struct slot_counts before = slot_counts(slot), after;
    int64_t account = account_bytes(keyspace_account(keyspace));
    uint32_t hint = deadlines_hint(keyspace_deadlines(keyspace), id);
    struct slot_moves moves;
    unsigned words = 0;

    slot_feed_attach(slot, &feed);
    each_word(slot, set_usage, NULL);
    moves = pass(slot);
    CHECK(moves.entries_moved > KEYS / 50);
    CHECK(moves.nodes_moved > 0);
    CHECK(moves.entries_moved + moves.entries_left == before.keys);
    after = slot_counts(slot);
    CHECK(memcmp(&before, &after, sizeof after) == 0);
    CHECK(account_bytes(keyspace_account(keyspace)) == account);
    CHECK(deadlines_hint(keyspace_deadlines(keyspace), id) == hint);
    for (unsigned number = 0; number < KEYS; number++) check(slot, number, stays(number));
    each_word(slot, check_usage, &words);
    CHECK(words == before.keys);
    slot_feed_detach(slot, &feed);
    slot_unlock(slot);
    keyspace_free(&keyspace);
}

/* The hints still lead to each deadline. */
TEST(what_was_moved_expires_on_time)
{
    struct keyspace *keyspace = keyspace_new();
    struct slot *slot;
    uint64_t expiring, keys, gone = 0;
    struct entry *due[SLOT_TAKE_MAX];

    /* One clock for all: hints are told apart by what time the keyspace takes it to be. */
    atomic_store(&keyspace_deadlines(keyspace)->now_ms, 0);
    slot = thin_slot(keyspace);
    expiring = slot_counts(slot).expiring;
    keys = slot_counts(slot).keys;
    CHECK(pass(slot).entries_moved > 0 && expiring > 0);
    while (hint_is_due(deadlines_hint(keyspace_deadlines(keyspace), id), 2000000)) {
        size_t count = slot_take_due(slot, 2000000, due);

        gone += count;
        for (size_t i = 0; i < count; i++) entry_free(&due[i]);
    }
    CHECK(gone == expiring && slot_counts(slot).keys == keys - expiring);
    slot_unlock(slot);
    keyspace_free(&keyspace);
}

TEST(a_big_value_that_is_held_stays_where_it_is)
{
    struct keyspace *keyspace = keyspace_new();
    struct slot *slot = thin_slot(keyspace);
    struct text text;
    struct entry *held[KEYS / 100];
    size_t count = 0;

    for (unsigned number = 90; number < KEYS; number += 100)
        if (stays(number)) {
            CHECK(count < sizeof held / sizeof *held);
            held[count] = slot_find(slot, numbered(&text, number), 0);
            entry_hold(held[count++]);
        }
    CHECK(count > 0);
    for (int i = 0; i < 10; i++) pass(slot);
    for (size_t i = 0; i < count; i++) {
        CHECK(slot_peek(slot, entry_key(held[i]), 0) == held[i]);
        entry_free(&held[i]);
    }
    slot_unlock(slot);
    keyspace_free(&keyspace);
}

/* Steps of a walk among everything else that happens to a slot. */
TEST(a_slot_holds_what_its_model_holds)
{
    struct keyspace *keyspace = keyspace_new();
    struct slot *slot = thin_slot(keyspace);
    static bool here[KEYS];
    struct slot_moves moves = { .entries_moved = 0 };
    struct random random;
    uint32_t cursor = 0;
    uint64_t keys = 0;

    random_seed(&random, 5);
    for (unsigned number = 0; number < KEYS; number++) here[number] = stays(number);
    for (int step = 0; step < 60000; step++) {
        unsigned number = (unsigned)random_below(&random, KEYS);
        struct text text;

        switch (random_below(&random, 4)) {
        case 0:
            if (step / 15000 % 2 == 0) {
                CHECK(slot_remove(slot, numbered(&text, number), 0) == here[number]);
                here[number] = false;
            } else {
                put(slot, number);
                here[number] = true;
            }
            break;
        case 1:
            cursor = slot_defrag(slot, cursor, &moves);
            break;
        default:
            check(slot, number, here[number]);
        }
    }
    CHECK(moves.entries_moved > 0);
    for (unsigned number = 0; number < KEYS; number++) {
        check(slot, number, here[number]);
        keys += here[number];
    }
    CHECK(slot_counts(slot).keys == keys);
    slot_flush(slot);
    CHECK(slot_counts(slot).bytes == 0 && account_bytes(keyspace_account(keyspace)) == 0);
    slot_unlock(slot);
    keyspace_free(&keyspace);
}

/* --- Threads --- */

struct visitor {
    struct keyspace *keyspace;
    uint64_t seed, found;
    _Atomic bool *ended;
};

static void *read_and_write(void *argument)
{
    struct visitor *visitor = argument;
    struct slot *slot = keyspace_slot(visitor->keyspace, id);
    struct reclaim_reader reader;
    struct random random;

    reclaim_join(&reader);
    random_seed(&random, visitor->seed);
    for (int step = 0; step < 20000; step++) {
        unsigned number = (unsigned)random_below(&random, KEYS);
        struct text text;
        struct bytes key = numbered(&text, number);

        reclaim_enter(&reader);
        for (enum slot_prefetch_step ahead = SLOT_PREFETCH_CELL; ahead <= SLOT_PREFETCH_ENTRY; ahead++)
            slot_prefetch(slot, slot_hash(key), ahead);
        reclaim_leave(&reader);
        slot_lock(slot);
        if (stays(number)) {
            check(slot, number, true);
            visitor->found++;
        } else if (step % 2 == 0) {
            put(slot, number);
        } else {
            slot_remove(slot, key, 0);
        }
        slot_unlock(slot);
    }
    reclaim_quit(&reader);
    return NULL;
}

static void *defragment(void *argument)
{
    struct visitor *visitor = argument;
    struct slot *slot = keyspace_slot(visitor->keyspace, id);
    struct slot_moves moves = { .entries_moved = 0 };
    struct reclaim_reader reader;
    uint32_t cursor = 0;

    reclaim_join(&reader);
    while (!atomic_load(visitor->ended)) {
        slot_lock(slot);
        cursor = slot_defrag(slot, cursor, &moves);
        slot_unlock(slot);
        reclaim_enter(&reader);
        reclaim_leave(&reader);
    }
    visitor->found = moves.entries_moved;
    reclaim_quit(&reader);
    return NULL;
}

TEST(threads_find_their_keys_meanwhile)
{
    struct keyspace *keyspace = keyspace_new();
    struct slot *slot = thin_slot(keyspace);
    _Atomic bool ended = false;
    struct visitor visitors[3] = { { keyspace, 1, 0, &ended }, { keyspace, 2, 0, &ended }, { keyspace, 3, 0, &ended } };
    pthread_t threads[3];

    slot_unlock(slot);
    CHECK(pthread_create(&threads[2], NULL, defragment, &visitors[2]) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, read_and_write, &visitors[i]) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    atomic_store(&ended, true);
    CHECK(pthread_join(threads[2], NULL) == 0);
    for (int i = 0; i < 3; i++) CHECK(visitors[i].found > 0);
    CHECK(reclaim_waiting() == 0);
    keyspace_free(&keyspace);
}

TESTS(a_slot_is_the_same_afterwards, what_was_moved_expires_on_time, a_big_value_that_is_held_stays_where_it_is,
      a_slot_holds_what_its_model_holds, threads_find_their_keys_meanwhile)
