#include "bus/sweep.h"

#include "base/alloc.h"
#include "base/mover.h"
#include "store/graveyard.h"
#include "store/lazyfree.h"

#include <pthread.h>

/* One piece looks at so many slots. */
#define PIECE_SLOTS 256

struct sweep {
    struct keyspace *keyspace;
    struct movers *movers;
    struct lazyfree *lazyfree;
    struct mover_job job;
    pthread_mutex_t guard; /* for all below; taken with a slot's lock held, too */
    pthread_cond_t stopped;
    bool is_posted, ending;
    uint16_t next;  /* where the job goes on */
    size_t waiting; /* how many of slots are set */
    uint8_t slots[SLOT_COUNT];
};

/* That the slot is to be swept is forgotten under the slot's lock: so either its keys go before it is ours again and has new ones, or nobody takes
 * them any more. Kept they may not be: what was written elsewhere in between would make them stale, and a cache may miss but not lie. */
struct graveyard *sweep_take(struct sweep *sweep, struct slot *slot)
{
    uint16_t id = slot_id(slot);
    struct graveyard *graveyard;
    bool is_swept;

    pthread_mutex_lock(&sweep->guard);
    is_swept = sweep->slots[id] != 0;
    sweep->slots[id] = 0;
    sweep->waiting -= is_swept;
    pthread_mutex_unlock(&sweep->guard);
    if (!is_swept) return NULL;
    graveyard = graveyard_new(1);
    slot_detach_all(slot, graveyard);
    return graveyard;
}

/* The owner word was changed before sweep_drop() was called, so whoever takes the slot's lock after us finds the keys gone and is
 * redirected. */
static void drop_keys(struct sweep *sweep, uint16_t id)
{
    struct slot *slot = keyspace_slot(sweep->keyspace, id);
    struct graveyard *graveyard;

    slot_lock(slot);
    graveyard = sweep_take(sweep, slot);
    slot_unlock(slot);
    if (graveyard != NULL) lazyfree_bury(sweep->lazyfree, &graveyard);
}

static bool drop_some(struct mover_job *job)
{
    struct sweep *sweep = container_of(job, struct sweep, job);

    pthread_mutex_lock(&sweep->guard);
    for (int looked_at = 0; looked_at < PIECE_SLOTS && sweep->waiting > 0 && !sweep->ending; looked_at++) {
        uint16_t id = sweep->next;

        sweep->next = (uint16_t)((id + 1) % SLOT_COUNT);
        if (!sweep->slots[id]) continue;
        pthread_mutex_unlock(&sweep->guard);
        drop_keys(sweep, id);
        pthread_mutex_lock(&sweep->guard);
    }
    sweep->is_posted = sweep->waiting > 0 && !sweep->ending;
    if (!sweep->is_posted) pthread_cond_signal(&sweep->stopped);
    bool more = sweep->is_posted;
    pthread_mutex_unlock(&sweep->guard);
    return more;
}

struct sweep *sweep_new(struct keyspace *keyspace, struct movers *movers, struct lazyfree *lazyfree)
{
    struct sweep *sweep = alloc_zeroed(sizeof *sweep);

    sweep->keyspace = keyspace;
    sweep->movers = movers;
    sweep->lazyfree = lazyfree;
    sweep->job.run = drop_some;
    pthread_mutex_init(&sweep->guard, NULL);
    pthread_cond_init(&sweep->stopped, NULL);
    return sweep;
}

void sweep_drop(struct sweep *sweep, uint16_t slot)
{
    bool post;

    pthread_mutex_lock(&sweep->guard);
    if (!sweep->slots[slot]) {
        sweep->slots[slot] = 1;
        sweep->waiting++;
    }
    post = !sweep->is_posted;
    sweep->is_posted = true;
    pthread_mutex_unlock(&sweep->guard);
    if (post) movers_post(sweep->movers, &sweep->job);
}

void sweep_free(struct sweep **sweep_pointer)
{
    struct sweep *sweep = *sweep_pointer;

    *sweep_pointer = NULL;
    if (sweep == NULL) return;
    pthread_mutex_lock(&sweep->guard);
    sweep->ending = true;
    while (sweep->is_posted) pthread_cond_wait(&sweep->stopped, &sweep->guard);
    pthread_mutex_unlock(&sweep->guard);
    pthread_cond_destroy(&sweep->stopped);
    pthread_mutex_destroy(&sweep->guard);
    alloc_free(sweep);
}
