/* Writers and readers on many threads: a read that begins when a write was acknowledged never has an older value, whatever the write was, also when
 * the slot leaves and comes back; and what a transaction changed in two slots is seen in both or in neither.
 *
 * A key's values are numbered, across this node and the one that has the slot meanwhile; so a value is "<number> <number of its transaction>". */
#include "cache/hot_reads.h"

#include "base/alloc.h"
#include "base/random.h"
#include "base/reclaim.h"
#include "cache/hotkeys.h"
#include "store/keyspace.h"
#include "unit/unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#define NOW 1000
#define READERS 4
#define WRITERS 3
#define KEYS 2
#define ELSEWHERE 1u /* as in cluster/owner.h: the low byte is not 0 */
#define NEXT_WORD ((uint64_t)1 << 48)
#define READS_A_CHANGE 400
#define LOCK_FREE_MIN 5000
#ifdef SANITIZED
#define CHANGES_MIN 2000
#else
#define CHANGES_MIN 10000
#endif

static struct key {
    struct bytes name;
    uint16_t slot;
    _Atomic uint64_t written; /* the highest number that somebody has drawn */
    _Atomic uint64_t known;   /* the highest that was acknowledged */
    uint64_t transaction;     /* of its value here; under the slot's lock */
} keys[KEYS] = { { .name = { "star", 4 }, .slot = 3 }, { .name = { "moon", 4 }, .slot = 9 } };

static struct keyspace *keyspace;
static struct hotkeys *hotkeys;
static struct hot_reads *reads;
static _Atomic uint64_t all_reads, lock_free, changes, stale, torn;
static _Atomic bool ends;
static uint64_t transactions; /* under the locks of both slots */

static struct slot *slot_of(const struct key *key)
{
    return keyspace_slot(keyspace, key->slot);
}

static bool is_here(const struct key *key)
{
    return (slot_owner(slot_of(key)) & 0xff) == 0;
}

static void acknowledge(struct key *key, uint64_t number)
{
    uint64_t known = atomic_load(&key->known);

    while (known < number && !atomic_compare_exchange_weak(&key->known, &known, number)) continue;
}

/* --- Reading --- */

struct got {
    uint64_t number, transaction; /* 0: there was none, or it is to be asked for elsewhere */
};

static struct got parse(struct bytes value)
{
    char text[64];
    struct got got = { 0, 0 };

    snprintf(text, sizeof text, "%.*s", (int)value.len, value.data);
    CHECK(sscanf(text, "%lu %lu", &got.number, &got.transaction) == 2);
    return got;
}

static struct got read_locked(const struct key *key)
{
    struct slot *slot = slot_of(key);
    uint64_t hash = slot_hash(key->name);
    struct got got = { 0, 0 };
    uint64_t owner;

    slot_lock(slot);
    owner = slot_owner(slot);
    if ((owner & 0xff) == 0) {
        const struct entry *entry = slot_use(slot, hash, key->name, NOW, SLOT_TOUCH);

        if (entry != NULL) {
            got = parse(entry_value(entry));
            hot_reads_offer(reads, &(struct hot_offer){ .slot = slot,
                                                        .owner = owner,
                                                        .hash = hash,
                                                        .key = key->name,
                                                        .value = entry_value(entry),
                                                        .until_ms = INT64_MAX,
                                                        .now_ms = NOW });
        }
    }
    slot_unlock(slot);
    return got;
}

static struct got read_key(struct reclaim_reader *reader, unsigned number, const struct key *key)
{
    struct hot_question question = { slot_of(key), slot_hash(key->name), key->name, NOW, 0, true };
    struct got got = { 0, 0 };
    struct bytes value;
    bool found;

    reclaim_enter(reader);
    found = hot_read(reads, number, &question, &value);
    if (found) got = parse(value);
    reclaim_leave(reader);
    if (!found) return read_locked(key);
    atomic_fetch_add(&lock_free, 1);
    return got;
}

static void *read_much(void *argument)
{
    unsigned number = *(const unsigned *)argument;
    struct reclaim_reader reader;
    struct random random;

    reclaim_join(&reader);
    random_seed(&random, number + 100);
    for (unsigned round = 0; !atomic_load(&ends); round++) {
        const struct key *first = &keys[random_below(&random, KEYS)], *second = &keys[random_below(&random, KEYS)];
        uint64_t known = atomic_load(&first->known), known_then;
        struct got got = read_key(&reader, number, first), then;

        if (got.number != 0 && got.number < known) atomic_fetch_add(&stale, 1);
        known_then = atomic_load(&second->known);
        then = read_key(&reader, number, second);
        if (then.number != 0 && then.number < known_then) atomic_fetch_add(&stale, 1);
        atomic_fetch_add(&all_reads, 2);
        if (got.number != 0 && then.number != 0 && then.transaction < got.transaction) atomic_fetch_add(&torn, 1);
        if (round % 64 == 0) sched_yield(); /* there may be one CPU */
    }
    reclaim_quit(&reader);
    return NULL;
}

/* --- Writing --- */

static struct bytes value_text(char text[64], const struct key *key, uint64_t number)
{
    return (struct bytes){ text, (size_t)snprintf(text, 64, "%lu %lu", number, key->transaction) };
}

static void set(struct key *key, uint64_t number)
{
    char text[64];

    slot_store(slot_of(key), slot_hash(key->name), key->name, value_text(text, key, number), ENTRY_KEEPS_FOREVER, 0);
}

/* As APPEND and SETRANGE do: where it is, with more room. */
static void set_in_place(struct key *key, uint64_t number)
{
    struct slot *slot = slot_of(key);
    struct entry *entry = slot_find(slot, key->name, NOW);
    char text[64];
    struct bytes value = value_text(text, key, number);

    if (entry == NULL) return;
    entry = slot_resize_value(slot, entry, value.len);
    for (size_t i = 0; i < value.len; i++) entry_value_mutable(entry)[i] = value.data[i];
    slot_changed(slot, entry);
}

static void expire(struct key *key)
{
    struct entry *entry = slot_find(slot_of(key), key->name, NOW);

    if (entry != NULL) slot_set_expiry(slot_of(key), entry, NOW);
}

static void change_one(struct key *key, unsigned way)
{
    struct slot *slot = slot_of(key);
    uint64_t number;

    slot_lock(slot);
    if (!is_here(key)) {
        slot_unlock(slot);
        return;
    }
    number = atomic_fetch_add(&key->written, 1) + 1;
    if (way == 0)
        slot_remove(slot, key->name, NOW);
    else if (way == 1)
        slot_flush(slot);
    else if (way == 2)
        expire(key);
    else if (way < 6)
        set_in_place(key, number);
    else
        set(key, number);
    slot_unlock(slot);
    acknowledge(key, number);
}

/* EXEC: both locks, and what is read within is not published. */
static void change_both(void)
{
    uint64_t numbers[KEYS];
    bool here = true;

    for (int i = 0; i < KEYS; i++) slot_lock(slot_of(&keys[i]));
    for (int i = 0; i < KEYS; i++) here &= is_here(&keys[i]);
    if (here) transactions++;
    for (int i = 0; here && i < KEYS; i++) {
        keys[i].transaction = transactions;
        numbers[i] = atomic_fetch_add(&keys[i].written, 1) + 1;
        set(&keys[i], numbers[i]);
    }
    for (int i = 0; i < KEYS; i++) slot_unlock(slot_of(&keys[i]));
    for (int i = 0; here && i < KEYS; i++) acknowledge(&keys[i], numbers[i]);
}

/* The slot leaves, as the control loop has it, without its lock; another node has it and writes; it comes back as an operator's command has
 * it: the word is written before the keys of former times go, within one hold of the lock. */
static void move_away_and_back(struct key *key)
{
    struct slot *slot = slot_of(key);
    uint64_t word = slot_owner(slot);

    slot_set_owner(slot, word + NEXT_WORD + ELSEWHERE);
    for (int i = 0; i < 3; i++) acknowledge(key, atomic_fetch_add(&key->written, 1) + 1);
    slot_lock(slot);
    slot_set_owner(slot, word + 2 * NEXT_WORD);
    for (int i = 0; i < 10; i++) sched_yield();
    slot_flush(slot);
    slot_unlock(slot);
}

/* Keys that are written as often as they are read are not published. */
static void await_reads(uint64_t more)
{
    uint64_t then = atomic_load(&all_reads) + more;

    while (atomic_load(&all_reads) < then && !atomic_load(&ends)) sched_yield();
}

/* One of the writers moves slots besides: there is one control loop. Two are workers, and one is none. */
static void *write_much(void *argument)
{
    unsigned number = *(const unsigned *)argument;
    struct reclaim_reader reader;
    struct random random;

    if (number > 0) reclaim_join(&reader);
    random_seed(&random, number + 1);
    while (!atomic_load(&ends)) {
        struct key *key = &keys[random_below(&random, KEYS)];
        unsigned way = (unsigned)random_below(&random, 20);

        if (way == 19 && number == 0)
            move_away_and_back(key);
        else if (way > 16)
            change_both();
        else
            change_one(key, way);
        atomic_fetch_add(&changes, 1);
        if (number > 0) {
            reclaim_enter(&reader);
            reclaim_leave(&reader);
        }
        await_reads(random_below(&random, READS_A_CHANGE));
    }
    if (number > 0) reclaim_quit(&reader);
    return NULL;
}

/* --- Who decides what is hot --- */

static void heat(struct key *key)
{
    struct hot_use use = {
        .hash = slot_hash(key->name), .key = key->name, .slot = key->slot, .cost = HOTKEYS_UNIT, .now_ms = NOW
    };

    while (!hotkeys_has(hotkeys, key->slot, use.hash)) hotkeys_count(hotkeys, 0, &use);
}

static void cool_all(void)
{
    struct hot_gone gone[HOTKEYS_GONE_MAX];
    size_t count;

    hotkeys_set(hotkeys, 0, 100);
    count = hotkeys_tick(hotkeys, NOW, 0, NULL, NULL, gone);
    for (size_t i = 0; i < count; i++) alloc_free((void *)(uintptr_t)gone[i].name.data);
    hotkeys_set(hotkeys, 10, 100);
}

static void *tidy_much(void *argument)
{
    (void)argument;
    for (unsigned round = 0; !atomic_load(&ends); round++) {
        if (round % 8 == 7) cool_all();
        hot_reads_tidy(reads);
        for (int i = 0; i < KEYS; i++) heat(&keys[i]);
        for (int i = 0; i < 100; i++) sched_yield();
    }
    return NULL;
}

TEST(no_read_has_less_than_what_was_acknowledged_before_it_began)
{
    pthread_t threads[READERS + WRITERS + 1];
    unsigned numbers[READERS + WRITERS], count = 0;

    keyspace = keyspace_new();
    hotkeys = hotkeys_new(1);
    hotkeys_set(hotkeys, 10, 100);
    reads = hot_reads_new(keyspace, hotkeys, READERS);
    for (int i = 0; i < KEYS; i++) heat(&keys[i]);
    for (unsigned i = 0; i < READERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[count++], NULL, read_much, &numbers[i]) == 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        numbers[READERS + i] = i;
        CHECK(pthread_create(&threads[count++], NULL, write_much, &numbers[READERS + i]) == 0);
    }
    CHECK(pthread_create(&threads[count++], NULL, tidy_much, NULL) == 0);
    while (atomic_load(&lock_free) < LOCK_FREE_MIN || atomic_load(&changes) < CHANGES_MIN) sched_yield();
    atomic_store(&ends, true);
    for (unsigned i = 0; i < count; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(atomic_load(&stale) == 0);
    CHECK(atomic_load(&torn) == 0);
    hot_reads_free(&reads);
    CHECK(reclaim_waiting() == 0);
    hotkeys_free(&hotkeys);
    keyspace_free(&keyspace);
}

TESTS(no_read_has_less_than_what_was_acknowledged_before_it_began)
