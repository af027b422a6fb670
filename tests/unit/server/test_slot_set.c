/* The locks of a call are taken in ascending order, each once, whatever order the keys came in. */
#include "base/random.h"
#include "server/slot_set.h"
#include "unit/unit.h"

#include <string.h>

static bool is_ascending(const struct slot_set *set)
{
    for (size_t i = 1; i < set->count; i++)
        if (set->ids[i - 1] >= set->ids[i]) return false;
    return true;
}

TEST(slots_are_kept_ascending_and_once)
{
    struct random random;
    struct slot_set set;
    bool in_model[SLOT_COUNT] = { false };
    size_t distinct = 0;

    random_seed(&random, 7);
    slot_set_init(&set);
    for (int i = 0; i < 3000; i++) {
        uint16_t id = (uint16_t)random_below(&random, 2000);

        slot_set_add(&set, id);
        if (!in_model[id]) distinct++;
        in_model[id] = true;
    }
    CHECK(set.count == distinct);
    CHECK(is_ascending(&set));
    for (uint16_t id = 0; id < SLOT_COUNT; id++) CHECK(slot_set_has(&set, id) == in_model[id]);
    slot_set_free(&set);
    CHECK(set.count == 0);
}

TEST(all_slots_hold_every_slot)
{
    struct slot_set set;

    slot_set_init(&set);
    slot_set_add(&set, 12);
    slot_set_add_all(&set);
    CHECK(set.count == SLOT_COUNT);
    CHECK(is_ascending(&set));
    CHECK(slot_set_has(&set, 0) && slot_set_has(&set, 16383));
    slot_set_free(&set);
}

TEST(what_is_locked_is_unlocked)
{
    struct keyspace *keyspace = keyspace_new();
    struct slot_set set;

    slot_set_init(&set);
    slot_set_add(&set, 9);
    slot_set_add(&set, 3);
    slot_set_lock(&set, keyspace);
    slot_assert_locked(keyspace_slot(keyspace, 3));
    slot_assert_locked(keyspace_slot(keyspace, 9));
    slot_set_unlock(&set, keyspace);
    slot_lock(keyspace_slot(keyspace, 3));
    slot_unlock(keyspace_slot(keyspace, 3));
    slot_set_free(&set);
    keyspace_free(&keyspace);
}

TESTS(slots_are_kept_ascending_and_once, all_slots_hold_every_slot, what_is_locked_is_unlocked)
