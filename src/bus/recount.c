#include "bus/recount.h"

#include "base/alloc.h"
#include "base/mover.h"
#include "cluster/owner.h"

#include <pthread.h>

/* One piece looks at so many slots. */
#define PIECE_SLOTS 1024

struct recount {
    struct keyspace *keyspace;
    struct movers *movers;
    void (*found)(void *context, const uint8_t *bitmap);
    void *context;

    /* The mover's while the job is posted. */
    struct mover_job job;
    unsigned next;
    bool any;
    uint8_t bitmap[SLOT_COUNT / 8];

    pthread_mutex_t guard; /* for all below */
    pthread_cond_t stopped;
    bool was_started, is_posted, ending;
};

static bool has_strays(struct slot *slot)
{
    bool has;

    slot_lock(slot);
    has = slot_counts(slot).keys > 0 && owner_unpack(slot_owner(slot)).state == OWNER_NOBODY;
    slot_unlock(slot);
    return has;
}

static bool look_at_some(struct mover_job *job)
{
    struct recount *recount = container_of(job, struct recount, job);
    bool more;

    for (unsigned end = recount->next + PIECE_SLOTS; recount->next < end && recount->next < SLOT_COUNT;
         recount->next++) {
        uint16_t id = (uint16_t)recount->next;

        if (!has_strays(keyspace_slot(recount->keyspace, id))) continue;
        recount->bitmap[id / 8] = (uint8_t)(recount->bitmap[id / 8] | 1u << (id % 8));
        recount->any = true;
    }
    if (recount->next == SLOT_COUNT && recount->any) recount->found(recount->context, recount->bitmap);
    pthread_mutex_lock(&recount->guard);
    more = recount->is_posted = recount->next < SLOT_COUNT && !recount->ending;
    if (!more) pthread_cond_signal(&recount->stopped);
    pthread_mutex_unlock(&recount->guard);
    return more;
}

struct recount *recount_new(struct keyspace *keyspace, struct movers *movers,
                            void (*found)(void *context, const uint8_t *bitmap), void *context)
{
    struct recount *recount = alloc_zeroed(sizeof *recount);

    recount->keyspace = keyspace;
    recount->movers = movers;
    recount->found = found;
    recount->context = context;
    recount->job.run = look_at_some;
    pthread_mutex_init(&recount->guard, NULL);
    pthread_cond_init(&recount->stopped, NULL);
    return recount;
}

void recount_start(struct recount *recount)
{
    bool post;

    pthread_mutex_lock(&recount->guard);
    post = !recount->was_started;
    if (post) recount->was_started = recount->is_posted = true;
    pthread_mutex_unlock(&recount->guard);
    if (post) movers_post(recount->movers, &recount->job);
}

void recount_free(struct recount **held)
{
    struct recount *recount = *held;

    *held = NULL;
    if (recount == NULL) return;
    pthread_mutex_lock(&recount->guard);
    recount->ending = true;
    while (recount->is_posted) pthread_cond_wait(&recount->stopped, &recount->guard);
    pthread_mutex_unlock(&recount->guard);
    pthread_cond_destroy(&recount->stopped);
    pthread_mutex_destroy(&recount->guard);
    alloc_free(recount);
}
