#include "store/lazyfree.h"

#include "base/alloc.h"
#include "base/mover.h"
#include "store/graveyard.h"

#include <stdatomic.h>

/* Fewer than this are freed in less time than it takes to wake a mover. */
#define FEW_ENTRIES 256u
#define PIECE_ENTRIES 4096u
#define WAITING_MAX 64
/* Where so many went at once the allocator keeps pages that it would give back only bit by bit, as others use it. */
#define MANY_ENTRIES 100000u

struct lazyfree {
    struct movers *movers;
    _Atomic int waiting; /* burials */
    _Atomic uint64_t pending, freed;
};

struct burial {
    struct mover_job job;
    struct lazyfree *lazyfree;
    struct graveyard *graveyard;
};

static bool bury_some(struct mover_job *job)
{
    struct burial *burial = container_of(job, struct burial, job);
    struct lazyfree *lazyfree = burial->lazyfree;
    uint64_t entries = graveyard_entries(burial->graveyard);

    if (graveyard_free_some(burial->graveyard, PIECE_ENTRIES)) return true;
    graveyard_free(&burial->graveyard);
    alloc_free(burial);
    if (entries >= MANY_ENTRIES) alloc_purge();
    atomic_fetch_add_explicit(&lazyfree->freed, entries, memory_order_relaxed);
    atomic_fetch_sub_explicit(&lazyfree->pending, entries, memory_order_relaxed);
    atomic_fetch_sub_explicit(&lazyfree->waiting, 1, memory_order_relaxed);
    return false;
}

struct lazyfree *lazyfree_new(struct movers *movers)
{
    struct lazyfree *lazyfree = alloc_zeroed(sizeof(*lazyfree));

    lazyfree->movers = movers;
    return lazyfree;
}

void lazyfree_free(struct lazyfree **lazyfree)
{
    alloc_free(*lazyfree);
    *lazyfree = NULL;
}

void lazyfree_bury(struct lazyfree *lazyfree, struct graveyard **graveyard)
{
    uint64_t entries = graveyard_entries(*graveyard);
    struct burial *burial;

    if (entries < FEW_ENTRIES || atomic_load_explicit(&lazyfree->waiting, memory_order_relaxed) >= WAITING_MAX) {
        graveyard_free(graveyard);
        return;
    }
    burial = alloc(sizeof(*burial));
    *burial = (struct burial){ .job = { .run = bury_some }, .lazyfree = lazyfree, .graveyard = *graveyard };
    *graveyard = NULL;
    atomic_fetch_add_explicit(&lazyfree->waiting, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&lazyfree->pending, entries, memory_order_relaxed);
    movers_post(lazyfree->movers, &burial->job);
}

struct lazyfree_counts lazyfree_counts(const struct lazyfree *lazyfree)
{
    return (struct lazyfree_counts){
        .pending = atomic_load_explicit(&lazyfree->pending, memory_order_relaxed),
        .freed = atomic_load_explicit(&lazyfree->freed, memory_order_relaxed),
    };
}

void lazyfree_reset_counts(struct lazyfree *lazyfree)
{
    atomic_store_explicit(&lazyfree->freed, 0, memory_order_relaxed);
}
