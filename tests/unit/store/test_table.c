/* The table against a plain model: whatever grows, splits, merges and shrinks, each key is found, once. */
#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"
#include "store/table.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#ifdef SANITIZED
#define MANY 100000u
#else
#define MANY 2000000u
#endif

/* What one operation may move: a full leaf that is split, and the rest of merges and rebuilds. */
#define MOVED_MAX 220u

struct key {
    char text[24];
    struct bytes bytes;
    uint64_t hash;
};

static void key_of(uint32_t number, struct key *key)
{
    key->bytes.len = (size_t)snprintf(key->text, sizeof key->text, "key:%u", number);
    key->bytes.data = key->text;
    key->hash = hash_bytes(key->bytes);
}

static table_word *find(const struct table *table, uint32_t number)
{
    struct key key;

    key_of(number, &key);
    return table_find(table, key.hash, key.bytes);
}

static void insert(struct table *table, uint32_t number)
{
    struct key key;

    key_of(number, &key);
    table_insert(table, key.hash,
                 entry_new(key.bytes, (struct bytes){ (const char *)&number, sizeof number }, ENTRY_KEEPS_FOREVER), 0,
                 0);
}

static void remove_one(struct table *table, uint32_t number)
{
    struct key key;
    struct entry *entry;

    key_of(number, &key);
    entry = table_remove(table, key.hash, table_find(table, key.hash, key.bytes));
    entry_free(&entry);
}

static uint32_t number_of(const struct entry *entry)
{
    uint32_t number;

    memcpy(&number, entry_value(entry).data, sizeof number);
    return number;
}

static uint64_t bytes_of_table(const struct table *table)
{
    return atomic_load_explicit(&table->bytes, memory_order_relaxed);
}

TEST(a_table_holds_what_its_model_holds)
{
    enum { KEYS = 6000 };
    static bool model[KEYS];
    struct table table = { 0 };
    struct random random;
    uint32_t held = 0;

    random_seed(&random, 1);
    for (uint32_t step = 0; step < 200000; step++) {
        uint32_t number = (uint32_t)random_below(&random, KEYS);
        bool grows = random_below(&random, 100) < (step / 25000 % 2 == 0 ? 80 : 15); /* tides */
        table_word *word = find(&table, number);

        CHECK((word != NULL) == model[number]);
        if (word != NULL) CHECK(number_of(table_entry(word)) == number);
        if (grows && word == NULL) {
            insert(&table, number);
            model[number] = true;
            held++;
        } else if (!grows && word != NULL) {
            remove_one(&table, number);
            model[number] = false;
            held--;
        }
        if (step % 20000 == 19999)
            for (number = 0; number < KEYS; number++) CHECK((find(&table, number) != NULL) == model[number]);
    }
    CHECK(held > 0);
    for (uint32_t number = 0; number < KEYS; number++)
        if (model[number]) remove_one(&table, number);
    CHECK(bytes_of_table(&table) == 0);
}

TEST(no_operation_moves_more_than_a_leaf_or_two)
{
    struct table table = { 0 };
    uint32_t most = 0, before;
    uint64_t moved_growing;

    for (uint32_t number = 0; number < MANY; number++) {
        before = table.moved;
        insert(&table, number);
        if (table.moved - before > most) most = table.moved - before;
    }
    moved_growing = table.moved;
    printf("%u keys: %.2f bytes each, %.2f moves an insertion, %u at most\n", MANY,
           (double)bytes_of_table(&table) / MANY, (double)moved_growing / MANY, most);
    CHECK(most > 0 && most <= MOVED_MAX);
    CHECK(bytes_of_table(&table) <= MANY * 12ull);
    for (uint32_t number = 0; number < MANY; number += 1009) CHECK(find(&table, number) != NULL);

    most = 0;
    for (uint32_t number = 0; number < MANY; number++) {
        before = table.moved;
        remove_one(&table, number);
        if (table.moved - before > most) most = table.moved - before;
        /* It gives memory back on the way, not only at the end. */
        if (number == MANY / 10 * 9) CHECK(bytes_of_table(&table) < MANY / 10 * 14ull);
    }
    CHECK(most <= MOVED_MAX);
    CHECK(bytes_of_table(&table) == 0);
}

TEST(a_table_of_any_size_takes_about_ten_bytes_an_entry)
{
    static const struct {
        uint32_t entries, tables;
        double bytes_max;
    } sizes[] = { { 60, 400, 14 },    { 100, 200, 12 },   { 1000, 40, 11.5 },
                  { 3000, 10, 11.5 }, { 10000, 4, 11.5 }, { 60000, 1, 11.5 } };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct table *tables = alloc_zeroed(sizes[i].tables * sizeof *tables);
        uint32_t all = sizes[i].entries * sizes[i].tables;
        struct random random;
        uint64_t bytes = 0;

        /* Spread by chance, as keys are over slots. */
        random_seed(&random, i);
        for (uint32_t number = 0; number < all; number++)
            insert(&tables[random_below(&random, sizes[i].tables)], number);
        for (uint32_t t = 0; t < sizes[i].tables; t++) bytes += bytes_of_table(&tables[t]);
        printf("%u entries a table: %.2f bytes each\n", sizes[i].entries, (double)bytes / all);
        CHECK((double)bytes / all <= sizes[i].bytes_max);
        for (uint32_t t = 0; t < sizes[i].tables; t++) table_clear(&tables[t]);
        alloc_free(tables);
    }
}

TEST(a_small_table_that_shrinks_gives_its_buckets_back)
{
    struct table table = { 0 };

    for (uint32_t number = 0; number < 100; number++) insert(&table, number);
    for (uint32_t left = 99; left > 0; left--) {
        remove_one(&table, left);
        CHECK(bytes_of_table(&table) <= left * 13 + 128);
    }
    table_clear(&table);
}

/* Entries that displaced others and went must not be remembered for ever. */
TEST(a_full_leaf_may_churn_without_end)
{
    enum { HELD = 106 };
    struct table table = { 0 };
    struct random random;
    uint32_t held[HELD], next = HELD, moved;

    random_seed(&random, 9);
    for (uint32_t number = 0; number < HELD; number++) insert(&table, held[number] = number);
    moved = table.moved;
    for (int step = 0; step < 40000; step++) {
        size_t at = random_below(&random, HELD);

        remove_one(&table, held[at]);
        insert(&table, held[at] = next++);
        if (step % 16 == 0)
            for (size_t i = 0; i < HELD; i++) CHECK(find(&table, held[i]) != NULL);
    }
    CHECK(table.moved == moved);
    for (size_t i = 0; i < HELD; i++) remove_one(&table, held[i]);
    CHECK(bytes_of_table(&table) == 0);
}

#define SCANNED 20000u

struct seen {
    uint8_t times[2 * SCANNED];
    size_t visits, visits_max;
};

static void see(void *context, struct entry *entry)
{
    struct seen *seen = context;

    seen->times[number_of(entry)]++;
    seen->visits++;
}

/* Keys below SCANNED stay from the first call to the last, or are the only ones to stay; others come or go. */
static void scan_while(struct table *table, bool grows, struct seen *seen)
{
    uint32_t cursor = 0, other = SCANNED;

    memset(seen, 0, sizeof *seen);
    do {
        size_t before = seen->visits;

        cursor = table_scan(table, cursor, see, seen);
        if (seen->visits - before > seen->visits_max) seen->visits_max = seen->visits - before;
        for (int i = 0; i < 7 && other < 2 * SCANNED; i++, other++) {
            if (grows)
                insert(table, other);
            else
                remove_one(table, other);
        }
    } while (cursor != 0);
    for (; other < 2 * SCANNED; other++) {
        if (grows)
            insert(table, other);
        else
            remove_one(table, other);
    }
}

TEST(a_scan_misses_no_entry_that_stays_while_the_table_grows_or_shrinks)
{
    static struct seen seen;
    /* Small tables too: there a leaf changes its buckets under the cursor. */
    static const uint32_t stays[] = { 0, 1, 5, 8, 40, 107, 109, 1000, SCANNED };

    for (size_t i = 0; i < sizeof stays / sizeof *stays; i++) {
        struct table table = { 0 };

        for (uint32_t number = 0; number < stays[i]; number++) insert(&table, number);
        for (int round = 0; round < 4; round++) {
            scan_while(&table, round % 2 == 0, &seen);
            for (uint32_t number = 0; number < stays[i]; number++) CHECK(seen.times[number] >= 1);
            CHECK(seen.visits_max <= 112);
        }
        table_clear(&table);
        CHECK(bytes_of_table(&table) == 0);
    }
}

TEST(a_scan_of_a_table_at_rest_shows_each_entry_once)
{
    static struct seen seen;
    struct table table = { 0 };
    uint32_t cursor = 0;

    memset(&seen, 0, sizeof seen);
    for (uint32_t number = 0; number < SCANNED; number++) insert(&table, number);
    do {
        size_t before = seen.visits;
        cursor = table_scan(&table, cursor, see, &seen);
        CHECK(seen.visits - before <= 40);
    } while (cursor != 0);
    for (uint32_t number = 0; number < SCANNED; number++) CHECK(seen.times[number] == 1);
    /* Any cursor is taken: a client may send what it likes. */
    CHECK(table_scan(&table, UINT32_MAX, see, &seen) == 0);
    table_clear(&table);
    CHECK(table_scan(&table, 12345, see, &seen) == 0);
}

TEST(evictions_bits_stay_with_their_entry)
{
    struct table table = { 0 };

    for (uint32_t number = 0; number < 5000; number++) {
        insert(&table, number);
        *find(&table, number) |= (uint64_t)(number & 0xffff) << TABLE_EVICTION_SHIFT;
    }
    for (uint32_t number = 0; number < 5000; number++) {
        if (number % 50 != 0) remove_one(&table, number);
    }
    for (uint32_t number = 0; number < 5000; number += 50) {
        struct key key;
        table_word *word = find(&table, number);
        struct entry *former = table_entry(word);

        key_of(number, &key);
        CHECK(*word >> TABLE_EVICTION_SHIFT == number);
        table_replace(&table, key.hash, word, entry_new(key.bytes, entry_value(former), number % 100 ? 1000 : -1), 0);
        entry_free(&former);
        CHECK(*find(&table, number) >> TABLE_EVICTION_SHIFT == number);
    }
    table_clear(&table);
}

TEST(a_random_entry_is_near_uniform)
{
    enum { KEYS = 1000, DRAWS = 200000 };
    static unsigned drawn[KEYS];
    struct table table = { 0 };
    struct random random;

    random_seed(&random, 7);
    CHECK(table_random(&table, &random) == NULL);
    for (uint32_t number = 0; number < KEYS; number++) insert(&table, number);
    for (int i = 0; i < DRAWS; i++) drawn[number_of(table_random(&table, &random))]++;
    for (uint32_t number = 0; number < KEYS; number++) {
        CHECK(drawn[number] > DRAWS / KEYS / 3);
        CHECK(drawn[number] < DRAWS / KEYS * 3);
    }
    table_clear(&table);
}

TESTS(a_table_holds_what_its_model_holds, no_operation_moves_more_than_a_leaf_or_two,
      a_table_of_any_size_takes_about_ten_bytes_an_entry, a_small_table_that_shrinks_gives_its_buckets_back,
      a_full_leaf_may_churn_without_end, a_scan_misses_no_entry_that_stays_while_the_table_grows_or_shrinks,
      a_scan_of_a_table_at_rest_shows_each_entry_once, evictions_bits_stay_with_their_entry,
      a_random_entry_is_near_uniform)
