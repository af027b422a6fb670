/* A new limit comes to all entries of a slot, however large that is: each is told of once, keeps its value, and is found when it is due. */
#include "base/alloc.h"
#include "base/random.h"
#include "store/backstop.h"
#include "store/keyspace.h"
#include "store/slot_internal.h"
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1900000000000)
#define NOW_S ((uint32_t)(NOW_MS / 1000))
#define BIG_EVERY 50u

static const uint16_t id = 7;

struct text {
    char data[400];
    size_t len;
};

/* Of 8 to 300 bytes, so that lengths of one byte and of two are among them. */
static struct bytes key_of(struct text *text, unsigned number)
{
    text->len = (size_t)snprintf(text->data, sizeof text->data, "%07u%0*u", number, (int)(1 + number * 37 % 293), 7u);
    return (struct bytes){ text->data, text->len };
}

static size_t value_bytes(unsigned number)
{
    return number % BIG_EVERY == BIG_EVERY - 1 ? ENTRY_BIG_BYTES + number : number * 13 % 280;
}

static int64_t deadline_before(unsigned number)
{
    return number % 7 == 0 ? NOW_MS + 1000 + (int64_t)number : ENTRY_KEEPS_FOREVER;
}

static struct entry_attributes attributes_before(unsigned number)
{
    struct entry_attributes attributes = { 0, 0, 0 };

    if (number % 11 == 0) attributes.version = ENTRY_VERSIONED | number;
    if (number % 5 == 0) attributes.birth_s = NOW_S - number;
    return attributes;
}

/* What the limit makes of it: some are left alone, some have their birth noted only, a few are to live for decades. */
static int64_t deadline_after(unsigned number)
{
    if (number % 4 == 0 || number % 4 == 3) return deadline_before(number);
    return number % 32 == 1 ? NOW_MS + INT64_C(40000000000) * (number % 64)
                            : NOW_MS + 100 + (int64_t)(number * 31 % 9000);
}

static uint32_t birth_after(unsigned number)
{
    return number % 4 == 0 ? attributes_before(number).birth_s : NOW_S - 9;
}

static unsigned number_of(struct bytes key)
{
    char digits[8] = "";

    memcpy(digits, key.data, 7);
    return (unsigned)strtoul(digits, NULL, 10);
}

static void limit(void *context, enum backstop_cause cause, struct bytes key, int64_t former_ms,
                  struct backstop_life *life)
{
    unsigned number = number_of(key);

    (void)context;
    CHECK(cause == BACKSTOP_AGED && former_ms == life->expires_at_ms && life->now_ms == NOW_MS);
    life->expires_at_ms = deadline_after(number);
    life->birth_s = birth_after(number);
}

static bool changes(unsigned number)
{
    return deadline_after(number) != deadline_before(number) ||
           birth_after(number) != attributes_before(number).birth_s;
}

/* --- The slot --- */

static struct {
    struct keyspace *keyspace;
    struct slot *slot;
    struct slot_feed feed;
    uint8_t *told;
    unsigned count;
} f;

static void note_changed(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    const struct entry *entry = slot_peek(f.slot, key, NOW_MS);

    (void)feed;
    CHECK(hash == slot_hash(key));
    /* What is told of is there, and is found. */
    CHECK(entry != NULL && entry_key(entry).data == key.data);
    f.told[number_of(key)]++;
}

static void begin(unsigned count)
{
    f.keyspace = keyspace_new();
    f.slot = keyspace_slot(f.keyspace, id);
    f.count = count;
    f.told = alloc_zeroed(count + 1);
    atomic_store(&keyspace_deadlines(f.keyspace)->now_ms, NOW_MS);
    keyspace_backstop(f.keyspace)->limit = limit;
    slot_lock(f.slot);
    for (unsigned number = 0; number < count; number++) {
        struct text text;
        struct entry_attributes attributes = attributes_before(number);
        struct entry *entry = entry_new_sized(key_of(&text, number), value_bytes(number), deadline_before(number));

        memset(entry_value_mutable(entry), 'a' + (int)(number % 26), value_bytes(number));
        entry = entry_set_attributes(entry, &attributes);
        slot_put(f.slot, &entry);
    }
    f.feed = (struct slot_feed){ .changed = note_changed };
    slot_feed_attach(f.slot, &f.feed);
    atomic_store(&keyspace_backstop(f.keyspace)->on, true);
}

static void end(void)
{
    slot_feed_detach(f.slot, &f.feed);
    slot_unlock(f.slot);
    alloc_free(f.told);
    keyspace_free(&f.keyspace);
}

/* Returns how many steps it took. */
static unsigned limit_all(void)
{
    uint32_t cursor = 0, former;
    unsigned steps = 0;

    do {
        former = cursor;
        cursor = slot_limit_lives(f.slot, cursor, NOW_MS);
        CHECK(cursor == 0 || cursor > former);
        steps++;
    } while (cursor != 0);
    return steps;
}

static void check_entry(unsigned number, uint64_t *bytes, uint64_t *expiring)
{
    struct text text;
    const struct entry *entry = slot_peek(f.slot, key_of(&text, number), NOW_MS);
    struct entry_attributes attributes, before = attributes_before(number);
    struct bytes value;

    CHECK(entry != NULL);
    attributes = entry_attributes(entry);
    value = entry_value(entry);
    CHECK(entry_expires_at_ms(entry) == deadline_after(number));
    CHECK(attributes.birth_s == birth_after(number) && attributes.version == before.version);
    CHECK(value.len == value_bytes(number));
    for (size_t i = 0; i < value.len; i++) CHECK(value.data[i] == 'a' + (char)(number % 26));
    *bytes += entry_bytes(entry);
    *expiring += deadline_after(number) != ENTRY_KEEPS_FOREVER;
}

static void check_all(void)
{
    struct slot_counts counts = slot_counts(f.slot);
    uint64_t bytes = 0, expiring = 0;

    for (unsigned number = 0; number < f.count; number++) {
        check_entry(number, &bytes, &expiring);
        CHECK(f.told[number] == changes(number));
    }
    CHECK(counts.keys == f.count && counts.expiring == expiring);
    CHECK(counts.bytes == bytes + counts.table_bytes);
    CHECK(account_bytes(keyspace_account(f.keyspace)) == (int64_t)counts.bytes);
}

/* Everything goes at its deadline: within the tick that it is in, and not before it. */
static void check_expiry(void)
{
    uint64_t left = slot_counts(f.slot).expiring, keeps = slot_counts(f.slot).keys - left;

    for (int64_t now_ms = NOW_MS; now_ms < NOW_MS + 40000; now_ms += 100) {
        struct entry *taken[SLOT_TAKE_MAX];

        while (hint_is_due(deadlines_hint(keyspace_deadlines(f.keyspace), id), now_ms)) {
            size_t count = slot_take_due(f.slot, now_ms, taken);

            for (size_t i = 0; i < count; i++) {
                int64_t expires_at_ms = entry_expires_at_ms(taken[i]);

                CHECK(expires_at_ms <= now_ms && expires_at_ms > now_ms - 100 - 2 * HINT_TICK_MS);
                entry_free(&taken[i]);
                left--;
            }
        }
        CHECK(slot_counts(f.slot).expiring == left && slot_counts(f.slot).keys == keeps + left);
    }
    for (unsigned number = 0; number < f.count; number++) {
        struct text text;
        const struct entry *entry = slot_peek(f.slot, key_of(&text, number), 0);
        int64_t expires_at_ms = deadline_after(number);

        CHECK((entry != NULL) == (expires_at_ms == ENTRY_KEEPS_FOREVER || expires_at_ms > NOW_MS + 50000) ||
              (expires_at_ms > NOW_MS + 30000 && expires_at_ms <= NOW_MS + 50000));
    }
}

TEST(all_entries_of_a_slot_come_under_a_limit_and_are_found_when_they_are_due)
{
    static const unsigned counts[] = { 0, 1, 2, 7, 60, 105, 106, 107, 108, 109, 110, 300, 5000, 30000 };

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        begin(counts[i]);
        limit_all();
        check_all();
        /* They comply: nothing is told again. */
        limit_all();
        check_all();
        check_expiry();
        end();
    }
}

TEST(a_step_is_short)
{
    begin(30000);
    CHECK(limit_all() >= 30000 / TABLE_LEAF_MAX);
    end();
}

/* Between two steps the lock is given back. */
TEST(what_is_there_all_the_time_is_seen_while_the_slot_grows_and_shrinks)
{
    enum { KEPT = 2000, OTHERS = 20000 };
    struct random random;

    random_seed(&random, 5);
    for (unsigned round = 0; round < 20; round++) {
        uint32_t cursor = 0;
        unsigned others = 0;
        bool grows = round % 2 == 0;
        uint64_t bytes = 0, expiring = 0;

        begin(KEPT);
        atomic_store(&keyspace_backstop(f.keyspace)->on, false);
        slot_feed_detach(f.slot, &f.feed);
        do {
            struct text text;

            for (unsigned i = 0; i < 300 && others < OTHERS && grows; i++, others++)
                slot_store(f.slot, slot_hash(key_of(&text, KEPT + others)), key_of(&text, KEPT + others), BYTES("v"),
                           ENTRY_KEEPS_FOREVER, NOW_MS);
            for (unsigned i = 0; i < 300 && others > 0 && !grows; i++)
                slot_remove(f.slot, key_of(&text, KEPT + --others), NOW_MS);
            if (random_below(&random, 8) == 0) grows = !grows;
            atomic_store(&keyspace_backstop(f.keyspace)->on, true);
            cursor = slot_limit_lives(f.slot, cursor, NOW_MS);
            atomic_store(&keyspace_backstop(f.keyspace)->on, false);
        } while (cursor != 0);
        for (unsigned number = 0; number < KEPT; number++) check_entry(number, &bytes, &expiring);
        slot_feed_attach(f.slot, &f.feed);
        end();
    }
}

TEST(where_nobody_limits_anything_nothing_is_looked_at)
{
    begin(1000);
    atomic_store(&keyspace_backstop(f.keyspace)->on, false);
    CHECK(slot_limit_lives(f.slot, 0, NOW_MS) == 0);
    for (unsigned number = 0; number < f.count; number++) CHECK(f.told[number] == 0);
    end();
}

TESTS(all_entries_of_a_slot_come_under_a_limit_and_are_found_when_they_are_due, a_step_is_short,
      what_is_there_all_the_time_is_seen_while_the_slot_grows_and_shrinks,
      where_nobody_limits_anything_nothing_is_looked_at)
