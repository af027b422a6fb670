/* Each node has as many names of a key as any other, give or take one, as far as there is a name that leads to it. */
#include "base/alloc.h"
#include "base/random.h"
#include "salt/choose.h"
#include "salt/name.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

static struct salt_map map;

/* Slots in equal runs, as clusters are mostly made; or each anywhere. */
static void make_map(unsigned nodes, struct random *random)
{
    map.node_count = (uint16_t)nodes;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
        map.node_of[slot] = (uint16_t)(random == NULL ? slot * nodes / SLOT_COUNT : random_below(random, nodes));
}

static void count_names(struct bytes base, const uint16_t *ids, unsigned count, unsigned *counts)
{
    memset(counts, 0, map.node_count * sizeof(*counts));
    if (map.node_of[key_slot(base)] != SALT_NO_NODE) counts[map.node_of[key_slot(base)]]++;
    for (unsigned i = 0; i < count; i++) {
        uint16_t node = map.node_of[salt_name_slot(base, '~', ids[i])];

        CHECK(node != SALT_NO_NODE && ids[i] > (i == 0 ? 0 : ids[i - 1]));
        counts[node]++;
    }
}

TEST(names_are_spread_evenly_over_any_number_of_nodes)
{
    struct random random;
    double worst = 0;

    random_seed(&random, 3);
    for (unsigned nodes = 1; nodes <= 10; nodes++) {
        make_map(nodes, nodes % 2 ? NULL : &random);
        for (unsigned n = 2; n <= SALT_NAMES_MAX; n++) {
            for (int key = 0; key < 20; key++) {
                char base[32];
                unsigned counts[10], most = 0;
                uint16_t ids[SALT_NAMES_MAX - 1];

                snprintf(base, sizeof(base), key % 2 ? "key:%d" : "{user:%d}:tl", key);
                CHECK(salt_choose(bytes_of(base), '~', n, &map, NULL, NULL, ids) == n - 1);
                count_names(bytes_of(base), ids, n - 1, counts);
                for (unsigned node = 0; node < nodes; node++) {
                    CHECK(counts[node] == n / nodes || counts[node] == n / nodes + (n % nodes > 0));
                    if (counts[node] > most) most = counts[node];
                }
                CHECK(salt_misplaced(bytes_of(base), '~', ids, n - 1, &map) == 0);
                if (n % nodes == 0 && (double)most * nodes / n > worst) worst = (double)most * nodes / n;
            }
        }
    }
    CHECK(worst == 1.0); /* the fullest node over the mean, where they can be equal */
}

TEST(the_same_question_has_the_same_answer_and_small_numbers)
{
    uint16_t ids[SALT_NAMES_MAX - 1], again[SALT_NAMES_MAX - 1];

    make_map(4, NULL);
    CHECK(salt_choose(BYTES("star"), '~', 8, &map, NULL, NULL, ids) == 7);
    CHECK(salt_choose(BYTES("star"), '~', 8, &map, NULL, NULL, again) == 7);
    CHECK(memcmp(ids, again, 7 * sizeof(*ids)) == 0 && ids[6] < 100);
    make_map(1, NULL);
    CHECK(salt_choose(BYTES("star"), '~', 4, &map, NULL, NULL, ids) == 3);
    CHECK(ids[0] == 1 && ids[1] == 2 && ids[2] == 3);
}

static bool is_small(void *context, unsigned id)
{
    return id <= *(const unsigned *)context;
}

TEST(a_name_that_is_taken_is_passed_over)
{
    uint16_t ids[SALT_NAMES_MAX - 1];
    unsigned most = 10, all = SALT_ID_MAX;

    make_map(2, NULL);
    CHECK(salt_choose(BYTES("star"), '~', 3, &map, is_small, &most, ids) == 2 && ids[0] > 10 && ids[1] > 10);
    CHECK(salt_choose(BYTES("star"), '~', 3, &map, is_small, &all, ids) == 0);
}

TEST(no_name_is_where_nobody_knows_of_names)
{
    uint16_t ids[SALT_NAMES_MAX - 1];
    unsigned counts[4];

    make_map(4, NULL);
    for (unsigned slot = SLOT_COUNT * 3 / 4; slot < SLOT_COUNT; slot++) map.node_of[slot] = SALT_NO_NODE;
    map.node_count = 3;
    CHECK(salt_choose(BYTES("star"), '~', 12, &map, NULL, NULL, ids) == 11);
    count_names(BYTES("star"), ids, 11, counts);
    map.node_count = 0;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) map.node_of[slot] = SALT_NO_NODE;
    CHECK(salt_choose(BYTES("star"), '~', 12, &map, NULL, NULL, ids) == 0);
    CHECK(salt_misplaced(BYTES("star"), '~', ids, 11, &map) == 0); /* there is no better place */
}

/* One that has a slot, but none that a name of this key leads to. */
TEST(who_cannot_have_a_name_leaves_it_to_the_others)
{
    static bool is_reached[SLOT_COUNT];
    uint16_t ids[SALT_NAMES_MAX - 1];
    unsigned unreached = 0, counts[3];

    for (unsigned id = 1; id <= SALT_ID_MAX; id++) is_reached[salt_name_slot(BYTES("star"), '~', id)] = true;
    is_reached[key_slot(BYTES("star"))] = true;
    while (unreached < SLOT_COUNT && is_reached[unreached]) unreached++;
    CHECK(unreached < SLOT_COUNT);
    make_map(2, NULL);
    map.node_of[unreached] = 2;
    map.node_count = 3;
    CHECK(salt_choose(BYTES("star"), '~', 6, &map, NULL, NULL, ids) == 5);
    count_names(BYTES("star"), ids, 5, counts);
    CHECK(counts[0] == 3 && counts[1] == 3 && counts[2] == 0);
}

TEST(what_has_moved_is_noticed)
{
    uint16_t ids[SALT_NAMES_MAX - 1], slot, second, former;

    make_map(4, NULL);
    CHECK(salt_choose(BYTES("star"), '~', 8, &map, NULL, NULL, ids) == 7);
    slot = salt_name_slot(BYTES("star"), '~', ids[0]);
    former = map.node_of[slot];
    map.node_of[slot] = (uint16_t)((former + 1) % 4);
    CHECK(salt_misplaced(BYTES("star"), '~', ids, 7, &map) == 1);
    for (unsigned i = 1; i < 7; i++) {
        second = salt_name_slot(BYTES("star"), '~', ids[i]);
        if (map.node_of[second] == former) map.node_of[second] = (uint16_t)((former + 1) % 4);
    }
    CHECK(salt_misplaced(BYTES("star"), '~', ids, 7, &map) >= (map.node_of[key_slot(BYTES("star"))] == former ? 1 : 2));
    map.node_of[slot] = SALT_NO_NODE;
    CHECK(salt_misplaced(BYTES("star"), '~', ids, 7, &map) >= 2);
    /* Two nodes more: those have none. */
    make_map(2, NULL);
    CHECK(salt_choose(BYTES("star"), '~', 4, &map, NULL, NULL, ids) == 3);
    make_map(4, NULL);
    CHECK(salt_misplaced(BYTES("star"), '~', ids, 3, &map) <= 2);
}

TESTS(names_are_spread_evenly_over_any_number_of_nodes, the_same_question_has_the_same_answer_and_small_numbers,
      a_name_that_is_taken_is_passed_over, no_name_is_where_nobody_knows_of_names,
      who_cannot_have_a_name_leaves_it_to_the_others, what_has_moved_is_noticed)
