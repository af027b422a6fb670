/* A hint is never later than the truth, whatever grows, splits, merges and shrinks; and following the hints finds all that is due. */
#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"
#include "store/table_internal.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct model {
    bool here;
    int64_t expires_at_ms;
};

/* No later than the deadline of whatever is at a place; HINT_NONE where nothing in the bucket has any. */
static uint32_t bucket_hint_of_place(struct bucket_hint bucket, unsigned place)
{
    if (bucket.earliest == HINT_NONE || (bucket.near >> place & 1) != 0) return bucket.earliest;
    return hint_next_span(bucket.earliest);
}

static struct bytes key_of(uint32_t number, char text[24])
{
    return (struct bytes){ text, (size_t)snprintf(text, 24, "key:%u", number) };
}

static struct entry *entry_of(uint32_t number, int64_t expires_at_ms)
{
    char text[24];

    return entry_new(key_of(number, text), (struct bytes){ (const char *)&number, sizeof number }, expires_at_ms);
}

static uint32_t number_of(const struct entry *entry)
{
    uint32_t number;

    memcpy(&number, entry_value(entry).data, sizeof number);
    return number;
}

static table_word *find(const struct table *table, uint32_t number, uint64_t *hash)
{
    char text[24];
    struct bytes key = key_of(number, text);

    *hash = hash_bytes(key);
    return table_find(table, *hash, key);
}

/* --- What must hold in any table --- */

static bool covers(uint32_t hint, uint32_t deadline)
{
    return deadline == HINT_NONE || (hint != HINT_NONE && !hint_is_earlier(deadline, hint));
}

static void check_leaf(uint64_t leaf, uint32_t above, int64_t now_ms)
{
    each_word(leaf, at, place)
    {
        uint32_t deadline = hint_of(entry_expires_at_ms(table_entry(&node_buckets(leaf)[at].words[place])), now_ms);

        if (deadline != HINT_NONE) CHECK(node_is_hinted(leaf));
        if (node_is_hinted(leaf))
            CHECK(covers(bucket_hint_of_place(leaf_hints_bucket(node_hints(leaf), at), place), deadline));
    }
    CHECK(covers(above, leaf_hint(leaf)));
}

static void check_below(uint64_t node, uint32_t above, int64_t now_ms)
{
    if (!node_is_directory(node)) {
        check_leaf(node, above, now_ms);
        return;
    }
    for (size_t i = 0, step; i < (size_t)1 << node_bits(node); i += step) {
        uint64_t below = node_load(node_cells(node) + i);

        step = node_is_directory(below) ? 1 : (size_t)1 << (node_bits(node) - node_depth(below));
        CHECK(covers(above, hint_load(&node_cell_hints(node)[i])));
        check_below(below, hint_load(&node_cell_hints(node)[i]), now_ms);
    }
}

static void check_hints(const struct table *table, int64_t now_ms)
{
    check_below(node_load(&table->root), hint_load(&table->hint), now_ms);
}

/* --- A table and its model --- */

struct world {
    struct table table;
    struct random random;
    struct model *model;
    uint32_t keys;
    int64_t now_ms;
};

static int64_t some_deadline(struct world *world)
{
    switch (random_below(&world->random, 8)) {
    case 0:
        return world->now_ms + 4 * HINT_FAR_MS; /* further than a hint can say */
    case 1:
    case 2:
        return ENTRY_KEEPS_FOREVER;
    case 3:
        return world->now_ms + 1;
    default:
        return world->now_ms + 1 + (int64_t)random_below(&world->random, 20000);
    }
}

static void put(struct world *world, uint32_t number, int64_t expires_at_ms)
{
    uint64_t hash;
    table_word *word = find(&world->table, number, &hash);

    CHECK((word != NULL) == world->model[number].here);
    if (word == NULL) {
        table_insert(&world->table, hash, entry_of(number, expires_at_ms), 0, world->now_ms);
    } else {
        struct entry *former = table_entry(word);

        table_replace(&world->table, hash, word, entry_of(number, expires_at_ms), world->now_ms);
        entry_free(&former);
    }
    world->model[number] = (struct model){ .here = true, .expires_at_ms = expires_at_ms };
}

static void take_out(struct world *world, uint32_t number)
{
    uint64_t hash;
    table_word *word = find(&world->table, number, &hash);
    struct entry *entry;

    if (word == NULL) return;
    entry = table_remove(&world->table, hash, word);
    entry_free(&entry);
    world->model[number].here = false;
}

/* Follows the hints to all that is due. Nothing is taken before its time. */
static void expire(struct world *world)
{
    struct entry *due[TABLE_DUE_MAX];
    uint64_t hash;

    for (uint32_t visits = 0; hint_is_due(hint_load(&world->table.hint), world->now_ms); visits++) {
        unsigned found = table_take_due(&world->table, world->now_ms, due);

        CHECK(visits < 4 * world->keys + 1000);
        for (unsigned i = 0; i < found; i++) {
            uint32_t number = number_of(due[i]);

            CHECK(world->model[number].here && world->model[number].expires_at_ms <= world->now_ms);
            CHECK(world->model[number].expires_at_ms == entry_expires_at_ms(due[i]));
            CHECK(find(&world->table, number, &hash) == NULL);
            world->model[number].here = false;
            entry_free(&due[i]);
        }
    }
    /* Whose tick is over is gone. */
    for (uint32_t number = 0; number < world->keys; number++) {
        struct model *model = &world->model[number];

        if (!model->here || model->expires_at_ms == ENTRY_KEEPS_FOREVER) continue;
        CHECK(model->expires_at_ms / HINT_TICK_MS >= world->now_ms / HINT_TICK_MS);
    }
}

static void live(uint32_t keys, int64_t began_ms, uint32_t steps)
{
    struct world world = { .model = alloc_zeroed(keys * sizeof(struct model)), .keys = keys, .now_ms = began_ms };

    random_seed(&world.random, keys);
    for (uint32_t step = 0; step < steps; step++) {
        uint32_t number = (uint32_t)random_below(&world.random, keys);
        bool grows = random_below(&world.random, 100) < (step / (steps / 6) % 2 == 0 ? 85 : 15); /* tides */

        world.now_ms += (int64_t)random_below(&world.random, 10) == 0 ? 7 : 0;
        if (grows)
            put(&world, number, some_deadline(&world));
        else
            take_out(&world, number);
        if (step % (steps / 50) == 0) check_hints(&world.table, world.now_ms);
        if (step % (steps / 20) == 0) expire(&world);
    }
    /* The far ones too, however often they are looked at in vain. */
    for (int jumps = 0; jumps < 6; jumps++) {
        world.now_ms += HINT_FAR_MS - 1000;
        expire(&world);
        check_hints(&world.table, world.now_ms);
    }
    for (uint32_t number = 0; number < keys; number++)
        CHECK(!world.model[number].here || world.model[number].expires_at_ms == ENTRY_KEEPS_FOREVER);
    CHECK(hint_load(&world.table.hint) == HINT_NONE);
    table_clear(&world.table);
    alloc_free(world.model);
}

TEST(hints_lead_to_all_that_is_due_in_tables_of_any_size)
{
    static const uint32_t sizes[] = { 1, 7, 60, 130, 2000 };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) live(sizes[i], 1754000000000, 30000);
#ifdef SANITIZED
    live(20000, 1754000000000, 60000);
#else
    live(90000, 1754000000000, 400000); /* directories below directories */
#endif
}

/* What nobody may look at is where looking is fatal. */
TEST(a_visit_looks_at_no_entry_that_is_far_from_due)
{
    struct model model[3] = { { 0 } };
    struct world world = { .model = model, .keys = 3, .now_ms = 900 };
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct entry *due[TABLE_DUE_MAX], *far;
    uint64_t hash;

    CHECK(page != MAP_FAILED);
    put(&world, 2, 3600000);
    put(&world, 1, 3000);
    put(&world, 0, 1000);
    far = table_entry(find(&world.table, 2, &hash));
    table_set_entry(table_find_entry(&world.table, hash, far), page);
    table_prefetch_due(&world.table, 1024, DUE_ENTRIES);
    CHECK(table_take_due(&world.table, 1024, due) == 1 && number_of(due[0]) == 0);
    entry_free(&due[0]);
    CHECK(table_take_due(&world.table, 1024, due) == 0);
    table_set_entry(table_find_entry(&world.table, hash, page), far);
    /* With the last near one gone it is its turn to be looked at. */
    CHECK(table_take_due(&world.table, 3024, due) == 1 && number_of(due[0]) == 1);
    entry_free(&due[0]);
    CHECK(hint_load(&world.table.hint) == hint_of(3600000, 3024));
    table_clear(&world.table);
    munmap(page, 4096);
}

static uint32_t model_hint(struct random *random, bool is_wide)
{
    static const uint32_t reaches[] = { 4, 1000, 100000, HINT_AFTER_BASE_MAX, 1u << 29 };

    return UINT32_MAX - 500 + (uint32_t)random_below(random, reaches[random_below(random, is_wide ? 5 : 3)]);
}

TEST(the_hints_of_a_leaf_are_never_late_and_early_only_when_days_away)
{
    for (uint32_t round = 0; round < 2000; round++) {
        hint_place line[1 + LEAF_HINTS_MAX] = { 0 };
        uint32_t hints[LEAF_HINTS_MAX] = { 0 }, earliest = HINT_NONE;
        unsigned buckets = 1 + round % LEAF_HINTS_MAX;
        bool is_wide = round % 2 == 0;
        struct random random;

        random_seed(&random, round);
        for (unsigned step = 0; step < 40; step++) {
            unsigned at = (unsigned)random_below(&random, buckets);
            uint32_t hint = random_below(&random, 4) == 0 ? HINT_NONE : model_hint(&random, is_wide);

            if (hint == HINT_NONE && random_below(&random, 2) == 0) hint = hints[at]; /* as it was */
            hints[at] = hint;
            leaf_hints_set(line, buckets, at, hint, 1u + at);
            earliest = HINT_NONE;
            for (unsigned i = 0; i < buckets; i++) earliest = hint_earlier(earliest, hints[i]);
            for (unsigned i = 0; i < buckets; i++) {
                uint32_t kept = leaf_hints_get(line, i);

                CHECK((kept == HINT_NONE) == (hints[i] == HINT_NONE));
                if (kept == HINT_NONE) continue;
                CHECK(leaf_hints_near(line, i) == 1u + i);
                CHECK(!hint_is_earlier(hints[i], kept));
                if (!is_wide) CHECK(kept == hints[i]);
            }
            CHECK(!hint_is_earlier(earliest, leaf_hints_earliest(line, buckets)));
            for (unsigned tick = 0; tick < 8; tick++) {
                int64_t now_ms = ((int64_t)model_hint(&random, is_wide) + (int64_t)7 * (1ll << 32)) * HINT_TICK_MS;
                unsigned due = leaf_hints_due(line, buckets, now_ms);

                for (unsigned i = 0; i < buckets; i++)
                    CHECK((due >> i & 1) == hint_is_due(leaf_hints_get(line, i), now_ms));
                CHECK(due >> buckets == 0);
            }
        }
    }
}

TEST(ticks_may_wrap_around)
{
    int64_t turn_ms = (int64_t)HINT_TICK_MS << 32;

    live(500, 3 * turn_ms - 2000, 20000);
    live(500, 3 * turn_ms + turn_ms / 2 - 2000, 20000);
    CHECK(hint_of(turn_ms, turn_ms) != HINT_NONE);
}

TEST(a_leaf_without_deadlines_pays_nothing_for_hints)
{
    struct world world = { .model = alloc_zeroed(5000 * sizeof(struct model)), .keys = 5000, .now_ms = 1000 };
    struct table *table = &world.table;
    uint64_t without, with;

    for (uint32_t number = 0; number < 48; number++) put(&world, number, ENTRY_KEEPS_FOREVER);
    without = atomic_load_explicit(&table->bytes, memory_order_relaxed);
    put(&world, 7, 5000);
    with = atomic_load_explicit(&table->bytes, memory_order_relaxed);
    CHECK(with == without + 64);
    /* What had deadlines gives the line back when it changes its size. */
    world.now_ms = 6000;
    expire(&world);
    CHECK(hint_load(&table->hint) == HINT_NONE);
    for (uint32_t number = 10; number < 48; number++) take_out(&world, number);
    CHECK(!node_is_hinted(node_load(&table->root)));
    table_clear(table);
    alloc_free(world.model);
}

TEST(a_hint_says_when_it_is_due)
{
    CHECK(hint_of(ENTRY_KEEPS_FOREVER, 0) == HINT_NONE);
    CHECK(!hint_is_due(HINT_NONE, INT64_MAX));
    CHECK(!hint_is_due(hint_of(1600, 0), 1600 + HINT_TICK_MS - 1));
    CHECK(hint_is_due(hint_of(1600, 0), 1600 + HINT_TICK_MS));
    CHECK(hint_due_in_ms(hint_of(1600, 0), 1000) == 600 + HINT_TICK_MS);
    CHECK(hint_due_in_ms(hint_of(1605, 0), 1615) == 1);
    CHECK(hint_due_in_ms(hint_of(1605, 0), 1616) == 0);
    CHECK(hint_earlier(HINT_NONE, 5) == 5 && hint_earlier(5, HINT_NONE) == 5);
    CHECK(hint_earlier(UINT32_MAX, 5) == UINT32_MAX); /* before the wrap */
    CHECK(!hint_is_due(hint_of(INT64_MAX, 1000), 1000));
    CHECK(hint_is_due(hint_of(1, 1754000000000), 1754000000000));
}

TESTS(a_hint_says_when_it_is_due, the_hints_of_a_leaf_are_never_late_and_early_only_when_days_away,
      a_visit_looks_at_no_entry_that_is_far_from_due, hints_lead_to_all_that_is_due_in_tables_of_any_size,
      ticks_may_wrap_around, a_leaf_without_deadlines_pays_nothing_for_hints)
