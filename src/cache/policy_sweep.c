/* cache/policy_sweep.c: see policy_sweep.h for what it is for. */
#include "cache/policy_sweep.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "cache/policy.h"
#include "store/account.h"
#include "store/keyspace.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* After a rest nothing of what it needs is near any more, which costs some 150 us; so a piece is as long as the movers' are. */
#define PIECE_US 4000

/* How fast: with less than a twentieth of one CPU or, where all slots would then take longer than a minute, a twentieth of all CPUs. */
#define RESTS_ALONE 33 /* times as long as it works; with what the node does meanwhile that is a twentieth at most */
#define SHARE 20
#define WALK_US INT64_C(58000000)
#define LATE_US_MAX 100000 /* so much of what it came late it makes up for: a busy machine wakes it late each time */

struct policy_sweep {
    struct keyspace *keyspace;
    struct policies *policies;
    pthread_t thread;
    int64_t rests_in_haste; /* times as long as it has worked */

    pthread_mutex_t guard; /* for the next */
    pthread_cond_t called;
    bool ending;

    /* the thread's own */
    uint32_t cursor; /* in the slot that is under way */
    bool is_walking;
    uint64_t walk_from;            /* policies_walked() at the start of this walk */
    int64_t walk_began_us, due_us; /* due: when the next piece is */
};

/* A few entries of the slot that is under way; the lock is given back after them. */
static void step(struct policy_sweep *sweep, int64_t now_ms)
{
    struct slot *slot = keyspace_slot(sweep->keyspace, (uint16_t)(policies_walked(sweep->policies) % SLOT_COUNT));

    slot_lock(slot);
    sweep->cursor = slot_limit_lives(slot, sweep->cursor, now_ms);
    slot_unlock(slot);
    if (sweep->cursor == 0) policies_count_slot(sweep->policies);
}

/* Of this thread: what it waits for a CPU is no work. */
static int64_t worked_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* How long it took; 0 where there was nothing to do. */
static int64_t do_piece(struct policy_sweep *sweep)
{
    int64_t began_us = clock_monotonic_us(), before_us = worked_us(), took_us;

    if (!policies_walk_is_due(sweep->policies)) {
        sweep->is_walking = false;
        return 0;
    }
    if (!sweep->is_walking) {
        sweep->is_walking = true;
        sweep->walk_from = policies_walked(sweep->policies);
        sweep->walk_began_us = sweep->due_us = began_us;
    }
    /* They come faster from other nodes than it goes round. */
    if (policies_waiting(sweep->policies) > POLICIES_WAITING_MAX) policies_settle(sweep->policies, sweep->keyspace);
    do step(sweep, clock_now_ms());
    while (policies_walk_is_due(sweep->policies) && clock_monotonic_us() - began_us < PIECE_US);
    took_us = worked_us() - before_us;
    return took_us > 0 ? took_us : 1;
}

/* A twentieth of all CPUs, and at most half of one. */
static int64_t rests_in_haste(long cpus)
{
    int64_t rests = SHARE / (cpus < 1 ? 1 : cpus) - 1;

    return rests < 1 ? 1 : rests;
}

static bool is_late(const struct policy_sweep *sweep, int64_t now_us)
{
    int64_t slots = (int64_t)(policies_walked(sweep->policies) - sweep->walk_from);

    return slots * (WALK_US / SLOT_COUNT) < now_us - sweep->walk_began_us;
}

/* After a piece that took so long: when the next one is. */
static void plan_next(struct policy_sweep *sweep, int64_t took_us)
{
    int64_t now_us = clock_monotonic_us(), rests = is_late(sweep, now_us) ? sweep->rests_in_haste : RESTS_ALONE;

    if (sweep->due_us < now_us - LATE_US_MAX) sweep->due_us = now_us - LATE_US_MAX;
    sweep->due_us += took_us * (rests + 1);
}

/* With the guard held. */
static void rest(struct policy_sweep *sweep)
{
    struct timespec until = { .tv_sec = sweep->due_us / 1000000, .tv_nsec = sweep->due_us % 1000000 * 1000 };

    while (!sweep->ending && pthread_cond_timedwait(&sweep->called, &sweep->guard, &until) == 0) {
    }
}

static void *run(void *context)
{
    struct policy_sweep *sweep = context;

    alloc_join();
    pthread_mutex_lock(&sweep->guard);
    while (!sweep->ending) {
        int64_t took_us;

        pthread_mutex_unlock(&sweep->guard);
        took_us = do_piece(sweep);
        if (!policies_walk_is_due(sweep->policies)) account_settle();
        if (took_us > 0) plan_next(sweep, took_us);
        pthread_mutex_lock(&sweep->guard);
        if (took_us > 0)
            rest(sweep);
        else if (!sweep->ending && !policies_walk_is_due(sweep->policies))
            pthread_cond_wait(&sweep->called, &sweep->guard);
    }
    pthread_mutex_unlock(&sweep->guard);
    account_settle();
    return NULL;
}

struct policy_sweep *policy_sweep_start(struct keyspace *keyspace, struct policies *policies)
{
    struct policy_sweep *sweep = alloc_zeroed(sizeof(*sweep));
    pthread_condattr_t attributes;
    sigset_t all, before;
    int error;

    sweep->keyspace = keyspace;
    sweep->policies = policies;
    sweep->rests_in_haste = rests_in_haste(sysconf(_SC_NPROCESSORS_ONLN));
    pthread_mutex_init(&sweep->guard, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sweep->called, &attributes);
    pthread_condattr_destroy(&attributes);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&sweep->thread, NULL, run, sweep);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        pthread_setname_np(sweep->thread, "policies");
        return sweep;
    }
    pthread_cond_destroy(&sweep->called);
    pthread_mutex_destroy(&sweep->guard);
    alloc_free(sweep);
    return NULL;
}

void policy_sweep_wake(struct policy_sweep *sweep)
{
    pthread_mutex_lock(&sweep->guard);
    pthread_cond_signal(&sweep->called);
    pthread_mutex_unlock(&sweep->guard);
}

void policy_sweep_stop(struct policy_sweep **stopped)
{
    struct policy_sweep *sweep = *stopped;

    *stopped = NULL;
    if (sweep == NULL) return;
    pthread_mutex_lock(&sweep->guard);
    sweep->ending = true;
    pthread_cond_signal(&sweep->called);
    pthread_mutex_unlock(&sweep->guard);
    pthread_join(sweep->thread, NULL);
    pthread_cond_destroy(&sweep->called);
    pthread_mutex_destroy(&sweep->guard);
    alloc_free(sweep);
}
