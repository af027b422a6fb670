/* store/keyspace.c */
#include "store/keyspace.h"

#include "base/alloc.h"
#include "base/huge_pages.h"
#include "store/slot_internal.h"

#include <assert.h>

struct keyspace {
    struct slot slots
        [SLOT_COUNT]; /* and nothing else: with a byte more it would take the allocator's next size, half a MiB more */
};

struct keyspace *keyspace_new(void)
{
    struct keyspace *keyspace = huge_pages_alloc(sizeof *keyspace);
    struct deadlines *deadlines = alloc_zeroed(sizeof *deadlines);

    for (uint16_t id = 0; id < SLOT_COUNT; id++) slot_init(&keyspace->slots[id], id, deadlines);
    return keyspace;
}

void keyspace_free(struct keyspace **keyspace)
{
    if (*keyspace == NULL) return;
    for (size_t id = 0; id < SLOT_COUNT; id++) table_clear(&(*keyspace)->slots[id].table);
    alloc_free(keyspace_deadlines(*keyspace));
    alloc_free(*keyspace);
    *keyspace = NULL;
}

struct slot *keyspace_slot(struct keyspace *keyspace, uint16_t id)
{
    assert(id < SLOT_COUNT);
    return &keyspace->slots[id];
}

struct deadlines *keyspace_deadlines(struct keyspace *keyspace)
{
    return keyspace->slots[0].deadlines;
}

struct slot_counts keyspace_counts(const struct keyspace *keyspace)
{
    struct slot_counts sum = { 0 };

    for (size_t id = 0; id < SLOT_COUNT; id++) {
        struct slot_counts counts = slot_counts(&keyspace->slots[id]);

        sum.keys += counts.keys;
        sum.expiring += counts.expiring;
        sum.bytes += counts.bytes;
        sum.table_bytes += counts.table_bytes;
        sum.expired += counts.expired;
        sum.evicted += counts.evicted;
    }
    return sum;
}
