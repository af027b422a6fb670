/* store/keyspace.c */
#include "store/keyspace.h"

#include "base/alloc.h"
#include "store/slot_internal.h"

#include <assert.h>

struct keyspace {
    struct slot slots[SLOT_COUNT];
};

struct keyspace *keyspace_new(void)
{
    struct keyspace *keyspace = alloc(sizeof *keyspace);

    for (uint16_t id = 0; id < SLOT_COUNT; id++) slot_init(&keyspace->slots[id], id);
    return keyspace;
}

void keyspace_free(struct keyspace **keyspace)
{
    if (*keyspace == NULL) return;
    for (size_t id = 0; id < SLOT_COUNT; id++) table_clear(&(*keyspace)->slots[id].table);
    alloc_free(*keyspace);
    *keyspace = NULL;
}

struct slot *keyspace_slot(struct keyspace *keyspace, uint16_t id)
{
    assert(id < SLOT_COUNT);
    return &keyspace->slots[id];
}

struct slot_counts keyspace_counts(const struct keyspace *keyspace)
{
    struct slot_counts sum = { 0 };

    for (size_t id = 0; id < SLOT_COUNT; id++) {
        struct slot_counts counts = slot_counts(&keyspace->slots[id]);

        sum.keys += counts.keys;
        sum.expiring += counts.expiring;
        sum.bytes += counts.bytes;
        sum.expired += counts.expired;
        sum.evicted += counts.evicted;
    }
    return sum;
}
