#include "store/graveyard.h"

#include "base/alloc.h"
#include "store/table.h"

#include <assert.h>

struct graveyard {
    uint64_t entries;
    size_t cleared, count, tables_max; /* tables below `cleared` are empty again */
    struct table tables[];
};

struct graveyard *graveyard_new(size_t tables_max)
{
    struct graveyard *graveyard = alloc(sizeof(*graveyard) + tables_max * sizeof(struct table));

    *graveyard = (struct graveyard){ .tables_max = tables_max };
    return graveyard;
}

void graveyard_add(struct graveyard *graveyard, struct table *table, uint64_t entries)
{
    assert(graveyard->count < graveyard->tables_max);
    table_move(&graveyard->tables[graveyard->count++], table);
    graveyard->entries += entries;
}

uint64_t graveyard_entries(const struct graveyard *graveyard)
{
    return graveyard->entries;
}

bool graveyard_free_some(struct graveyard *graveyard, size_t budget)
{
    while (graveyard->cleared < graveyard->count) {
        if (budget == 0) return true;
        if (!table_clear_some(&graveyard->tables[graveyard->cleared], &budget)) return true;
        graveyard->cleared++;
    }
    return false;
}

void graveyard_free(struct graveyard **graveyard)
{
    if (*graveyard == NULL) return;
    while (graveyard_free_some(*graveyard, SIZE_MAX)) continue;
    alloc_free(*graveyard);
    *graveyard = NULL;
}
