#include "server/slot_set.h"

#include "base/alloc.h"

#include <string.h>

void slot_set_init(struct slot_set *set)
{
    set->ids = set->inline_ids;
    set->count = 0;
    set->cap = sizeof(set->inline_ids) / sizeof(set->inline_ids[0]);
}

void slot_set_free(struct slot_set *set)
{
    if (set->ids != set->inline_ids) alloc_free(set->ids);
    slot_set_init(set);
}

/* Where the id stands, or where it would have to be put. */
static size_t place_of(const struct slot_set *set, uint16_t id)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool slot_set_has(const struct slot_set *set, uint16_t id)
{
    size_t place = place_of(set, id);

    return place < set->count && set->ids[place] == id;
}

static void grow(struct slot_set *set, size_t cap)
{
    uint16_t *ids = alloc(cap * sizeof(*ids));

    memcpy(ids, set->ids, set->count * sizeof(*ids));
    if (set->ids != set->inline_ids) alloc_free(set->ids);
    set->ids = ids;
    set->cap = cap;
}

void slot_set_add(struct slot_set *set, uint16_t id)
{
    size_t place = place_of(set, id);

    if (place < set->count && set->ids[place] == id) return;
    if (set->count == set->cap) grow(set, set->cap * 4);
    memmove(set->ids + place + 1, set->ids + place, (set->count - place) * sizeof(*set->ids));
    set->ids[place] = id;
    set->count++;
}

void slot_set_add_all(struct slot_set *set)
{
    if (set->cap < SLOT_COUNT) grow(set, SLOT_COUNT);
    for (uint16_t id = 0; id < SLOT_COUNT; id++) set->ids[id] = id;
    set->count = SLOT_COUNT;
}

void slot_set_lock(const struct slot_set *set, struct keyspace *keyspace)
{
    for (size_t i = 0; i < set->count; i++) slot_lock(keyspace_slot(keyspace, set->ids[i]));
}

void slot_set_unlock(const struct slot_set *set, struct keyspace *keyspace)
{
    for (size_t left = set->count; left > 0; left--) slot_unlock(keyspace_slot(keyspace, set->ids[left - 1]));
}
