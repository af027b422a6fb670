#include "bus/sweep.h"

#include "base/alloc.h"

#include <pthread.h>
#include <signal.h>

struct sweep {
    struct keyspace *keyspace;
    pthread_t thread;
    bool started;
    pthread_mutex_t guard; /* for all below */
    pthread_cond_t asked;
    bool ending;
    size_t waiting;
    uint8_t slots[SLOT_COUNT];
};

/* The owner word was changed before sweep_drop() was called, so whoever takes the slot's lock after us finds the keys gone and is
 * redirected. Should the slot have come back within this moment, its keys are dropped all the same: what was written elsewhere in
 * between would make them stale, and a cache may miss but not lie. */
static void drop_keys(struct sweep *sweep, uint16_t id)
{
    struct slot *slot = keyspace_slot(sweep->keyspace, id);
    struct slot_graveyard *graveyard;

    slot_lock(slot);
    graveyard = slot_detach_all(slot);
    slot_unlock(slot);
    if (graveyard != NULL) slot_graveyard_free(&graveyard);
}

static void *run(void *argument)
{
    struct sweep *sweep = argument;

    pthread_mutex_lock(&sweep->guard);
    while (!sweep->ending) {
        if (sweep->waiting == 0) {
            pthread_cond_wait(&sweep->asked, &sweep->guard);
            continue;
        }
        for (uint16_t id = 0; id < SLOT_COUNT && !sweep->ending; id++) {
            if (!sweep->slots[id]) continue;
            sweep->slots[id] = 0;
            sweep->waiting--;
            pthread_mutex_unlock(&sweep->guard);
            drop_keys(sweep, id);
            pthread_mutex_lock(&sweep->guard);
        }
    }
    pthread_mutex_unlock(&sweep->guard);
    return NULL;
}

struct sweep *sweep_new(struct keyspace *keyspace)
{
    struct sweep *sweep = alloc_zeroed(sizeof *sweep);
    sigset_t all, before;

    sweep->keyspace = keyspace;
    pthread_mutex_init(&sweep->guard, NULL);
    pthread_cond_init(&sweep->asked, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    sweep->started = pthread_create(&sweep->thread, NULL, run, sweep) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return sweep;
}

void sweep_drop(struct sweep *sweep, uint16_t slot)
{
    pthread_mutex_lock(&sweep->guard);
    if (!sweep->slots[slot]) {
        sweep->slots[slot] = 1;
        sweep->waiting++;
        pthread_cond_signal(&sweep->asked);
    }
    pthread_mutex_unlock(&sweep->guard);
}

void sweep_free(struct sweep **sweep_pointer)
{
    struct sweep *sweep = *sweep_pointer;

    *sweep_pointer = NULL;
    if (sweep == NULL) return;
    pthread_mutex_lock(&sweep->guard);
    sweep->ending = true;
    pthread_cond_signal(&sweep->asked);
    pthread_mutex_unlock(&sweep->guard);
    if (sweep->started) pthread_join(sweep->thread, NULL);
    pthread_cond_destroy(&sweep->asked);
    pthread_mutex_destroy(&sweep->guard);
    alloc_free(sweep);
}
