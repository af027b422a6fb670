/* store/slot_defrag.c
 *
 * One word of the table leads to an entry, and nobody but the owner of the slot's lock follows it; so an entry is moved by copying it and
 * changing the pointer in that word. Its place, its hint and eviction's bits depend on its hash, its deadline and its use, which stay. (Who
 * looks ahead without the lock may still prefetch the old address, which does no harm.) Big entries have no slab. */
#include "base/relocate.h"
#include "store/entry_internal.h"
#include "store/slot_internal.h"

#include <assert.h>

/* So many words, and what is left of a bucket, are looked at under one lock; it takes some 10 us when all of them are moved. */
#define STEP_WORDS 16u
#define STEP_LEAVES 8u

struct words {
    table_word *words[RELOCATE_MAX];
    void *entries[RELOCATE_MAX];
    size_t count;
};
/* One step of a scan shows at most a whole leaf. */
_Static_assert(STEP_WORDS + TABLE_LEAF_MAX <= RELOCATE_MAX, "what one step collects is judged at once");

static void collect(void *context, table_word *word, uint64_t hash)
{
    struct words *found = context;

    (void)hash;
    found->words[found->count] = word;
    found->entries[found->count++] = table_entry(word);
}

static void move_worthy(const struct words *found, struct slot_moves *moves)
{
    bool worth[RELOCATE_MAX];
    uint64_t moved = 0;

    if (relocate_judge(found->entries, found->count, worth) > 0) {
        for (size_t i = 0; i < found->count; i++)
            if (worth[i]) __builtin_prefetch(found->entries[i]);
        for (size_t i = 0; i < found->count; i++) {
            struct entry *entry = found->entries[i];

            if (!worth[i] || entry_is_big(entry)) continue;
            table_set_entry(found->words[i], entry_relocate(entry));
            moved++;
        }
    }
    moves->entries_moved += moved;
    moves->entries_left += found->count - moved;
}

uint32_t slot_defrag(struct slot *slot, uint32_t cursor, struct slot_moves *moves)
{
    struct words found = { .count = 0 };

    slot_assert_locked(slot);
    do {
        table_relocate_nodes(&slot->table, cursor, &moves->nodes_moved, &moves->nodes_left);
        cursor = table_scan_words(&slot->table, cursor, collect, &found);
    } while (cursor != 0 && found.count < STEP_WORDS);
    move_worthy(&found, moves);
    return cursor;
}

uint32_t slot_defrag_table(struct slot *slot, uint32_t cursor, struct slot_moves *moves)
{
    slot_assert_locked(slot);
    for (unsigned leaves = 0; leaves < STEP_LEAVES; leaves++) {
        cursor = table_relocate_nodes(&slot->table, cursor, &moves->nodes_moved, &moves->nodes_left);
        if (cursor == 0) break;
    }
    return cursor;
}
