/* What is buried is freed to the last byte, piece by piece, and counted. */
#include "base/alloc.h"
#include "base/hash.h"
#include "base/mover.h"
#include "store/graveyard.h"
#include "store/keyspace.h"
#include "store/lazyfree.h"
#include "store/table.h"
#include "unit/unit.h"

#include <stdio.h>

static void fill(struct table *table, int count)
{
    for (int i = 0; i < count; i++) {
        char name[16];
        struct bytes key = { name, (size_t)snprintf(name, sizeof(name), "key:%d", i) };

        table_insert(table, hash_bytes(key), entry_new(key, BYTES("value"), ENTRY_KEEPS_FOREVER), 0, 0);
    }
}

TEST(a_table_is_freed_in_pieces_of_the_size_asked_for)
{
    static const int sizes[] = { 0, 1, 100, 3000, 200000 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct table table = { 0 };
        size_t before = alloc_stats().allocated_bytes;
        int pieces = 1;

        fill(&table, sizes[i]);
        for (size_t budget = 1000; !table_clear_some(&table, &budget); budget = 1000) pieces++;
        /* A piece ends with the leaf in which its budget does. */
        CHECK(pieces >= sizes[i] / 1200 && pieces <= 1 + sizes[i] / 1000 + sizes[i] / 50);
        CHECK(table.bytes == 0 && table.root == 0);
        CHECK(alloc_stats().allocated_bytes <= before + (1u << 20)); /* but for what the allocator keeps at hand */
    }
}

TEST(what_is_buried_is_counted_until_it_is_freed)
{
    struct keyspace *keyspace = keyspace_new();
    struct movers *movers = movers_new(2);
    struct lazyfree *lazyfree = lazyfree_new(movers);
    struct graveyard *graveyard = graveyard_new(SLOT_COUNT);

    for (uint16_t id = 0; id < 100; id++) {
        struct slot *slot = keyspace_slot(keyspace, id);

        slot_lock(slot);
        for (int i = 0; i < 200; i++) {
            char name[16];
            struct bytes key = { name, (size_t)snprintf(name, sizeof(name), "%d", i) };
            struct entry *entry = entry_new(key, BYTES("value"), ENTRY_KEEPS_FOREVER);

            slot_put(slot, &entry);
        }
        CHECK(slot_detach_all(slot, graveyard) == 200);
        CHECK(slot_find(slot, BYTES("7"), 0) == NULL);
        slot_unlock(slot);
    }
    CHECK(graveyard_entries(graveyard) == 20000);
    lazyfree_bury(lazyfree, &graveyard);
    CHECK(graveyard == NULL);
    CHECK(lazyfree_counts(lazyfree).pending + lazyfree_counts(lazyfree).freed >= 20000);
    movers_free(&movers, true);
    CHECK(lazyfree_counts(lazyfree).pending == 0 && lazyfree_counts(lazyfree).freed == 20000);
    lazyfree_free(&lazyfree);
    keyspace_free(&keyspace);
}

TESTS(a_table_is_freed_in_pieces_of_the_size_asked_for, what_is_buried_is_counted_until_it_is_freed)
