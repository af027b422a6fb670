/* What a slot promises about deadlines, counters, feeds and scans; and that threads may share it. */
#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/reclaim.h"
#include "store/graveyard.h"
#include "store/keyspace.h"
#include "store/slot_internal.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct slot_shared *shared;

static struct slot *locked_slot(void)
{
    struct slot *slot = alloc(sizeof *slot);

    shared = slot_shared_new();
    slot_init(slot, 7, shared);
    slot_lock(slot);
    return slot;
}

static void slot_end(struct slot **slot)
{
    slot_flush(*slot);
    CHECK(slot_counts(*slot).keys == 0 && slot_counts(*slot).bytes == 0 && slot_counts(*slot).expiring == 0);
    slot_unlock(*slot);
    alloc_free(*slot);
    slot_shared_free(&shared);
    *slot = NULL;
}

static void put(struct slot *slot, const char *key, const char *value, int64_t expires_at_ms)
{
    struct entry *entry = entry_new(bytes_of(key), bytes_of(value), expires_at_ms);

    slot_put(slot, &entry);
    CHECK(entry == NULL);
}

/* Takes out and frees what is due, all of it, and returns how much that was. */
static size_t expire(struct slot *slot, int64_t now_ms)
{
    struct entry *taken[SLOT_TAKE_MAX];
    size_t count, all = 0;

    do {
        count = slot_take_due(slot, now_ms, taken);
        for (size_t i = 0; i < count; i++) entry_free(&taken[i]);
        all += count;
        CHECK(deadlines_hint(&shared->deadlines, 7) == slot->table.hint);
    } while (hint_is_due(slot->table.hint, now_ms));
    return all;
}

TEST(an_entry_is_gone_at_its_deadline)
{
    struct slot *slot = locked_slot();

    put(slot, "k", "v", 1000);
    CHECK(slot_counts(slot).expiring == 1);
    CHECK(slot_find(slot, BYTES("k"), 999) != NULL);
    CHECK(slot_peek(slot, BYTES("k"), 1000) == NULL);
    CHECK(slot_counts(slot).keys == 1);
    CHECK(slot_find(slot, BYTES("k"), 1000) == NULL);
    CHECK(slot_counts(slot).keys == 0 && slot_counts(slot).expiring == 0 && slot_counts(slot).expired == 1);

    put(slot, "k", "v", 1000);
    CHECK(!slot_remove(slot, BYTES("k"), 1000));
    CHECK(slot_counts(slot).expired == 2);
    put(slot, "k", "v", 1000);
    CHECK(slot_take(slot, BYTES("k"), 1000) == NULL);
    slot_end(&slot);
}

TEST(an_expiry_may_be_set_and_cleared_and_a_value_resized)
{
    struct slot *slot = locked_slot();
    struct entry *entry;

    put(slot, "k", "0123456789", ENTRY_KEEPS_FOREVER);
    entry = slot_find(slot, BYTES("k"), 0);
    entry = slot_set_expiry(slot, entry, 500);
    CHECK(slot_counts(slot).expiring == 1);
    entry = slot_resize_value(slot, entry, 100000);
    CHECK(slot_counts(slot).bytes >= 100000);
    CHECK(slot_find(slot, BYTES("k"), 0) == entry);
    entry = slot_resize_value(slot, entry, 4);
    CHECK(bytes_equal(entry_value(entry), BYTES("0123")));
    entry = slot_set_expiry(slot, entry, ENTRY_KEEPS_FOREVER);
    CHECK(slot_counts(slot).expiring == 0);
    CHECK(slot_find(slot, BYTES("k"), 500) == entry);
    entry = slot_take(slot, BYTES("k"), 500);
    CHECK(bytes_equal(entry_value(entry), BYTES("0123")));
    CHECK(slot_counts(slot).keys == 0 && slot_counts(slot).bytes == 0);
    entry_free(&entry);
    slot_end(&slot);
}

struct log_feed {
    struct slot_feed feed;
    char text[256];
};

static void note(struct log_feed *log, char what, struct bytes key)
{
    size_t at = strlen(log->text);

    snprintf(log->text + at, sizeof log->text - at, "%c%.*s ", what, (int)key.len, key.data);
}

static void note_changed(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    CHECK(hash == hash_bytes(key));
    note(container_of(feed, struct log_feed, feed), '+', key);
}

static void note_removed(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    CHECK(hash == hash_bytes(key));
    note(container_of(feed, struct log_feed, feed), '-', key);
}

static void note_flushed(struct slot_feed *feed)
{
    note(container_of(feed, struct log_feed, feed), '!', BYTES(""));
}

static void note_missed(struct slot_feed *feed, uint64_t hash)
{
    CHECK(hash == hash_bytes(BYTES("b")));
    note(container_of(feed, struct log_feed, feed), '?', BYTES("b"));
}

/* The version, and that of what comes instead. */
static void note_leaving(struct slot_feed *feed, const struct entry *entry, uint64_t hash, const struct entry *next)
{
    struct log_feed *log = container_of(feed, struct log_feed, feed);
    size_t at = strlen(log->text);

    CHECK(hash == hash_bytes(entry_key(entry)));
    snprintf(log->text + at, sizeof log->text - at, "%u>%d ", (unsigned)entry_attributes(entry).version,
             next == NULL    ? -1
             : next == entry ? -2
                             : (int)entry_attributes(next).version);
}

TEST(feeds_are_told_of_each_change)
{
    struct slot *slot = locked_slot();
    struct log_feed log = {
        .feed = { .changed = note_changed, .removed = note_removed, .missed = note_missed, .flushed = note_flushed }
    };
    struct slot_feed deaf = { .changed = NULL };
    struct graveyard *graveyard = graveyard_new(1);

    slot_feed_attach(slot, &deaf);
    slot_feed_attach(slot, &log.feed);
    put(slot, "a", "1", ENTRY_KEEPS_FOREVER);
    put(slot, "a", "2", ENTRY_KEEPS_FOREVER);
    slot_set_expiry(slot, slot_find(slot, BYTES("a"), 0), 100);
    slot_changed(slot, slot_find(slot, BYTES("a"), 0));
    CHECK(slot_find(slot, BYTES("a"), 100) == NULL);
    put(slot, "b", "1", ENTRY_KEEPS_FOREVER);
    CHECK(slot_remove(slot, BYTES("b"), 0));
    CHECK(!slot_remove(slot, BYTES("b"), 0));
    put(slot, "c", "1", 10);
    CHECK(expire(slot, 10 + HINT_TICK_MS) == 1);
    put(slot, "d", "1", ENTRY_KEEPS_FOREVER);
    CHECK(slot_detach_all(slot, graveyard) == 1);
    CHECK(slot_counts(slot).keys == 0 && slot_counts(slot).bytes == 0);
    CHECK(slot_detach_all(slot, graveyard) == 0);
    CHECK(graveyard_entries(graveyard) == 1);
    graveyard_free(&graveyard);
    slot_feed_detach(slot, &log.feed);
    put(slot, "e", "1", ENTRY_KEEPS_FOREVER);
    CHECK(strcmp(log.text, "+a +a +a +a -a +b -b ?b +c -c +d ! ! ") == 0);
    slot_feed_detach(slot, &deaf);
    slot_end(&slot);
}

static void put_versioned(struct slot *slot, uint64_t version, int64_t expires_at_ms)
{
    struct entry *entry = entry_new_attributed(BYTES("k"), BYTES("v"), expires_at_ms,
                                               &(struct entry_attributes){ .version = version, .birth_s = 1 });

    slot_put(slot, &entry);
}

static void note_restated(struct slot_feed *feed, uint64_t hash)
{
    CHECK(hash == hash_bytes(BYTES("a")));
    note(container_of(feed, struct log_feed, feed), '~', BYTES("a"));
}

TEST(feeds_are_told_of_attributes_and_marks_though_the_value_stays)
{
    struct slot *slot = locked_slot();
    struct slot_feed deaf = { .changed = NULL };
    struct log_feed log = { .feed = { .changed = note_changed, .removed = note_removed, .restated = note_restated } };
    struct slot_mark mark = { .hash = hash_bytes(BYTES("a")), .key = BYTES("a") };
    struct entry *entry;

    slot_feed_attach(slot, &deaf);
    slot_feed_attach(slot, &log.feed);
    put(slot, "a", "1", ENTRY_KEEPS_FOREVER);
    entry = slot_find(slot, BYTES("a"), 0);
    slot_set_attributes(slot, entry, &(struct entry_attributes){ .birth_s = 1 });
    slot_mark(slot, &mark);
    slot_unmark(slot, &mark);
    CHECK(slot_remove(slot, BYTES("a"), 0));
    CHECK(strcmp(log.text, "+a ~a ~a -a ") == 0);
    slot_feed_detach(slot, &log.feed);
    slot_feed_detach(slot, &deaf);
    slot_end(&slot);
}

TEST(feeds_see_versions_leave)
{
    struct slot *slot = locked_slot();
    struct log_feed log = { .feed = { .leaving = note_leaving } };
    struct entry_attributes none = { 0, 0, 0 };
    struct entry *entry;

    slot_feed_attach(slot, &log.feed);
    put_versioned(slot, 1, ENTRY_KEEPS_FOREVER);
    put_versioned(slot, 2, ENTRY_KEEPS_FOREVER);                              /* 1>2 */
    slot_store(slot, hash_bytes(BYTES("k")), BYTES("k"), BYTES("v"), 100, 0); /* 2>0 */
    put_versioned(slot, 3, ENTRY_KEEPS_FOREVER);
    slot_set_expiry(slot, slot_find(slot, BYTES("k"), 0), 100); /* the same value still */
    CHECK(slot_find(slot, BYTES("k"), 100) == NULL);            /* 3>-1 */
    put_versioned(slot, 4, ENTRY_KEEPS_FOREVER);
    CHECK(slot_remove(slot, BYTES("k"), 0)); /* 4>-1 */
    put_versioned(slot, 5, 10);
    CHECK(expire(slot, 10 + HINT_TICK_MS) == 1); /* 5>-1 */
    put_versioned(slot, 6, ENTRY_KEEPS_FOREVER);
    slot_changed(slot, slot_find(slot, BYTES("k"), 0)); /* 6>-2 */
    entry = slot_find(slot, BYTES("k"), 0);
    CHECK(entry_attributes(entry).version == 0 && entry_attributes(entry).birth_s == 1);
    slot_changed(slot, entry);
    entry = slot_set_attributes(slot, entry, &none);
    CHECK(!entry_has_attributes(entry) && slot_find(slot, BYTES("k"), 0) == entry);
    CHECK(slot_remove(slot, BYTES("k"), 0));
    CHECK(slot_counts(slot).bytes == 0);
    CHECK(strcmp(log.text, "1>2 2>0 3>-1 4>-1 5>-1 6>-2 ") == 0);
    slot_feed_detach(slot, &log.feed);
    slot_end(&slot);
}

/* A key's state in the model: absent, or its value and deadline. */
struct model {
    bool here;
    uint32_t value_bytes;
    char fill;
    int64_t expires_at_ms;
};

/* As a worker does before it runs a batch. */
static void look_ahead(struct reclaim_reader *reader, const struct slot *slot, struct bytes key)
{
    reclaim_enter(reader);
    for (enum slot_prefetch_step step = SLOT_PREFETCH_CELL; step <= SLOT_PREFETCH_ENTRY; step++)
        slot_prefetch(slot, slot_hash(key), step);
    reclaim_leave(reader);
}

TEST(a_slot_holds_what_its_model_holds)
{
    enum { KEYS = 1500, STEPS = 150000 };
    static struct model model[KEYS];
    struct slot *slot = locked_slot();
    struct reclaim_reader reader;
    struct random random;
    int64_t now_ms = 1754000000000;

    reclaim_join(&reader);

    random_seed(&random, 3);
    for (int step = 0; step < STEPS; step++) {
        unsigned number = (unsigned)random_below(&random, KEYS);
        struct model *wanted = &model[number];
        char text[24];
        struct bytes key = { text, (size_t)snprintf(text, sizeof text, "%u", number) };
        struct entry *entry;

        now_ms += (int64_t)random_below(&random, 3);
        if (wanted->here && wanted->expires_at_ms != ENTRY_KEEPS_FOREVER && wanted->expires_at_ms <= now_ms)
            wanted->here = false;
        switch (random_below(&random, 8)) {
        case 0:
        case 1:
        case 2:
            wanted->here = true;
            wanted->value_bytes = (uint32_t)random_below(&random, 300);
            wanted->fill = (char)('a' + step % 26);
            wanted->expires_at_ms =
                random_below(&random, 2) ? ENTRY_KEEPS_FOREVER : now_ms + (int64_t)random_below(&random, 5000) + 1;
            entry = entry_new_sized(key, wanted->value_bytes, wanted->expires_at_ms);
            memset(entry_value_mutable(entry), wanted->fill, wanted->value_bytes);
            if (random_below(&random, 2)) {
                slot_put(slot, &entry);
            } else { /* written over what is there, where that is as large */
                slot_store(slot, slot_hash(key), key, entry_value(entry), wanted->expires_at_ms, 0);
                entry_free(&entry);
            }
            break;
        case 3:
        case 4:
            CHECK(slot_remove(slot, key, now_ms) == wanted->here);
            wanted->here = false;
            break;
        case 5:
            entry = slot_find(slot, key, now_ms);
            CHECK((entry != NULL) == wanted->here);
            if (entry == NULL) break;
            wanted->expires_at_ms = random_below(&random, 2) ? ENTRY_KEEPS_FOREVER : now_ms + 3000;
            CHECK(slot_set_expiry(slot, entry, wanted->expires_at_ms) == slot_find(slot, key, now_ms));
            break;
        case 6:
            expire(slot, now_ms);
            break;
        default:
            look_ahead(&reader, slot, key);
            entry = slot_find(slot, key, now_ms);
            CHECK((entry != NULL) == wanted->here);
            if (entry == NULL) break;
            CHECK(entry_value(entry).len == wanted->value_bytes);
            for (uint32_t i = 0; i < wanted->value_bytes; i++) CHECK(entry_value(entry).data[i] == wanted->fill);
            CHECK(entry_expires_at_ms(entry) == wanted->expires_at_ms);
        }
    }
    {
        size_t forever = 0;

        expire(slot, now_ms + 10000); /* later than any deadline */
        for (unsigned number = 0; number < KEYS; number++)
            if (model[number].here && model[number].expires_at_ms == ENTRY_KEEPS_FOREVER) forever++;
        CHECK(forever > 0 && slot_counts(slot).keys == forever);
        CHECK(slot_counts(slot).expiring == 0);
    }
    slot_end(&slot);
    reclaim_quit(&reader);
}

TEST(a_random_key_is_live_also_when_nearly_all_are_expired)
{
    struct slot *slot = locked_slot();
    struct random random;
    char key[24];

    random_seed(&random, 5);
    CHECK(slot_random(slot, &random, 0) == NULL);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "dead:%d", i);
        put(slot, key, "v", 100);
    }
    CHECK(slot_random(slot, &random, 99) != NULL);
    CHECK(slot_random(slot, &random, 100) == NULL);
    put(slot, "alive", "v", ENTRY_KEEPS_FOREVER);
    for (int i = 0; i < 20; i++) CHECK(bytes_equal(entry_key(slot_random(slot, &random, 100)), BYTES("alive")));
    slot_end(&slot);
}

TEST(what_is_due_is_taken_a_few_at_a_time_and_nothing_else_is)
{
    struct slot *slot = locked_slot();
    struct entry *taken[SLOT_TAKE_MAX];
    size_t count, all = 0;
    char key[24];

    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "k:%d", i);
        put(slot, key, "v", i % 3 == 0 ? 1000 : i % 3 == 1 ? 90000 : ENTRY_KEEPS_FOREVER);
    }
    CHECK(!hint_is_due(deadlines_hint(&shared->deadlines, 7), 1000 - 1));
    CHECK(slot_take_due(slot, 1000 - 1, taken) == 0);
    CHECK(hint_is_due(deadlines_hint(&shared->deadlines, 7), 1000 + HINT_TICK_MS));
    for (int calls = 0; hint_is_due(deadlines_hint(&shared->deadlines, 7), 1000 + HINT_TICK_MS); calls++) {
        count = slot_take_due(slot, 1000 + HINT_TICK_MS, taken);
        CHECK(calls < 1000);
        all += count;
        for (size_t i = 0; i < count; i++) {
            CHECK(entry_expires_at_ms(taken[i]) == 1000);
            entry_free(&taken[i]);
        }
    }
    CHECK(all == 1667 && slot_counts(slot).keys == 3333 && slot_counts(slot).expired == 1667);
    CHECK(slot_counts(slot).expiring == 1667);
    CHECK(expire(slot, 90000 + HINT_TICK_MS) == 1667);
    CHECK(deadlines_hint(&shared->deadlines, 7) == HINT_NONE); /* nothing left that could expire */
    slot_end(&slot);
}

TEST(how_late_a_key_went_is_counted_when_somebody_asks_for_it)
{
    struct slot *slot = locked_slot();

    put(slot, "k", "v", 1000);
    CHECK(slot_find(slot, BYTES("k"), 1064) == NULL);
    CHECK(histogram_percentile(&shared->deadlines.lag_ms, 50) == 64);
    slot_end(&slot);
}

/* --- Threads --- */

struct hammer {
    struct keyspace *keyspace;
    uint64_t seed;
    uint64_t balance; /* keys put for the first time less keys removed */
};

static void *hammer(void *argument)
{
    struct hammer *hammer = argument;
    struct reclaim_reader reader;
    struct random random;

    reclaim_join(&reader);

    random_seed(&random, hammer->seed);
    for (int step = 0; step < 60000; step++) {
        struct slot *slot = keyspace_slot(hammer->keyspace, (uint16_t)random_below(&random, 3));
        char text[24];
        struct bytes key = { text, (size_t)snprintf(text, sizeof text, "%u", (unsigned)random_below(&random, 2000)) };
        struct entry *entry;

        look_ahead(&reader, slot, key);
        if (step % 100 == 0) keyspace_counts(hammer->keyspace);
        slot_lock(slot);
        switch (random_below(&random, step / 10000 % 2 ? 6 : 3)) {
        case 0:
        case 1:
            entry = entry_new(key, BYTES("value"), ENTRY_KEEPS_FOREVER);
            if (slot_find(slot, key, 0) == NULL) hammer->balance++;
            slot_put(slot, &entry);
            break;
        case 2:
            slot_find(slot, key, 0);
            break;
        default:
            if (slot_remove(slot, key, 0)) hammer->balance--;
        }
        slot_unlock(slot);
    }
    reclaim_quit(&reader);
    return NULL;
}

TEST(threads_share_slots)
{
    struct keyspace *keyspace = keyspace_new();
    struct hammer hammers[2] = { { keyspace, 1, 0 }, { keyspace, 2, 0 } };
    pthread_t threads[2];

    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, hammer, &hammers[i]) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(keyspace_counts(keyspace).keys == hammers[0].balance + hammers[1].balance);
    CHECK(keyspace_counts(keyspace).keys > 0);
    CHECK(reclaim_waiting() == 0);
    keyspace_free(&keyspace);
}

/* --- A scan that shows nothing twice --- */

#define SCANNED 3000u

static void count_seen(void *context, struct entry *entry)
{
    unsigned char *seen = context;

    seen[strtoul(entry_key(entry).data, NULL, 10)]++;
}

static void put_number(struct slot *slot, unsigned number)
{
    char key[16];

    snprintf(key, sizeof key, "%04u:", number);
    put(slot, key, "", ENTRY_KEEPS_FOREVER);
}

/* Of ten keys one stays all the time; the others go somewhere on the way and come back somewhere later. Returns how many were seen more than
 * once. */
static unsigned scan_beside_changes(uint32_t (*scan)(struct slot *, uint32_t, void (*)(void *, struct entry *), void *),
                                    struct random *random)
{
    struct slot *slot = locked_slot();
    unsigned char seen[SCANNED] = { 0 };
    uint32_t cursor = 0, half = (uint32_t)random_u64(random) | 1;
    unsigned again = 0;
    char key[16];

    for (unsigned i = 0; i < SCANNED; i++) put_number(slot, i);
    do {
        uint32_t before = cursor;

        cursor = scan(slot, cursor, count_seen, seen);
        if (before < half && (cursor == 0 || cursor >= half))
            for (unsigned i = 0; i < SCANNED; i++) {
                snprintf(key, sizeof key, "%04u:", i);
                if (i % 10 != 0) CHECK(slot_remove(slot, bytes_of(key), 0));
            }
        if (before < half + (half >> 1) && half < UINT32_MAX / 2 && cursor >= half + (half >> 1))
            for (unsigned i = 0; i < SCANNED; i++)
                if (i % 10 != 0) put_number(slot, i);
    } while (cursor != 0);
    for (unsigned i = 0; i < SCANNED; i++) {
        CHECK(i % 10 != 0 || seen[i] > 0);
        again += seen[i] > 1;
    }
    slot_end(&slot);
    return again;
}

TEST(a_scan_that_shows_nothing_twice_does_not_though_the_table_shrinks_and_grows)
{
    struct random random;
    unsigned plain = 0;

    random_seed(&random, 1);
    for (int round = 0; round < 40; round++) {
        CHECK(scan_beside_changes(slot_scan_once, &random) == 0);
        plain += scan_beside_changes(slot_scan, &random);
    }
    CHECK(plain > 0); /* or there was nothing to keep apart */
}

TEST(a_mark_is_of_a_key_whatever_becomes_of_its_entry)
{
    struct slot *slot = locked_slot();
    struct slot_mark a = { .key = BYTES("a"), .hash = slot_hash(BYTES("a")) };
    struct slot_mark b = { .key = BYTES("b"), .hash = slot_hash(BYTES("b")) };
    struct slot_mark c = { .key = BYTES("c"), .hash = slot_hash(BYTES("c")) };

    put(slot, "a", "1", 1000);
    put(slot, "b", "2", ENTRY_KEEPS_FOREVER);
    CHECK(!slot_has_marks(slot) && !slot_is_in_flight(slot, BYTES("a")));
    slot_mark(slot, &a);
    slot_mark(slot, &b);
    slot_mark(slot, &c);
    CHECK(slot_has_marks(slot) && slot_is_in_flight(slot, BYTES("a")) && slot_is_in_flight(slot, BYTES("c")));
    CHECK(!slot_is_in_flight(slot, BYTES("d")) && !slot_is_in_flight(slot, BYTES("")));
    CHECK(expire(slot, 2000) == 1 && slot_remove(slot, BYTES("b"), 2000));
    CHECK(slot_is_in_flight(slot, BYTES("a")) && slot_is_in_flight(slot, BYTES("b")));
    slot_unmark(slot, &b); /* neither the first nor the last */
    CHECK(slot_is_in_flight(slot, BYTES("a")) && !slot_is_in_flight(slot, BYTES("b")) &&
          slot_is_in_flight(slot, BYTES("c")));
    slot_unmark(slot, &a);
    slot_unmark(slot, &c);
    CHECK(!slot_has_marks(slot) && !slot_is_in_flight(slot, BYTES("c")));
    slot_end(&slot);
}

TEST(a_key_may_have_marks_of_several_kinds)
{
    struct slot *slot = locked_slot();
    struct slot_mark name = { .key = BYTES("a"), .hash = slot_hash(BYTES("a")), .kind = SLOT_MARK_NAME };
    struct slot_mark salted = { .key = BYTES("b"), .hash = slot_hash(BYTES("b")), .kind = SLOT_MARK_SALTED };
    struct slot_mark flying = { .key = BYTES("b"), .hash = slot_hash(BYTES("b")) };

    slot_mark(slot, &name);
    slot_mark(slot, &salted);
    CHECK(slot_has_marks(slot) && !slot_has_keys_in_flight(slot) && !slot_is_in_flight(slot, BYTES("a")));
    CHECK(slot_find_mark(slot, SLOT_MARK_NAME, name.hash, BYTES("a")) == &name);
    CHECK(slot_find_mark(slot, SLOT_MARK_NAME, name.hash, BYTES("b")) == NULL);
    CHECK(slot_find_mark(slot, SLOT_MARK_NAME, salted.hash, BYTES("b")) == NULL);
    CHECK(slot_find_mark(slot, SLOT_MARK_SALTED, salted.hash, BYTES("b")) == &salted);
    slot_mark(slot, &flying);
    CHECK(slot_has_keys_in_flight(slot) && slot_is_in_flight(slot, BYTES("b")));
    slot_unmark(slot, &flying);
    CHECK(!slot_has_keys_in_flight(slot) && slot_has_marks(slot));
    slot_unmark(slot, &name);
    slot_unmark(slot, &salted);
    CHECK(!slot_has_marks(slot));
    slot_end(&slot);
}

TESTS(a_mark_is_of_a_key_whatever_becomes_of_its_entry, a_key_may_have_marks_of_several_kinds,
      an_entry_is_gone_at_its_deadline, an_expiry_may_be_set_and_cleared_and_a_value_resized,
      feeds_are_told_of_each_change, feeds_are_told_of_attributes_and_marks_though_the_value_stays,
      feeds_see_versions_leave, a_slot_holds_what_its_model_holds,
      a_random_key_is_live_also_when_nearly_all_are_expired, what_is_due_is_taken_a_few_at_a_time_and_nothing_else_is,
      how_late_a_key_went_is_counted_when_somebody_asks_for_it,
      a_scan_that_shows_nothing_twice_does_not_though_the_table_shrinks_and_grows, threads_share_slots)
