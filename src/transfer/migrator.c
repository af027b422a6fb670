#include "transfer/migrator.h"

#include "base/alloc.h"
#include "base/list.h"
#include "store/account.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#define THREADS 4
/* Who has nothing to do looks so often for connections that were idle for too long. */
#define LOOK_S 1

struct job {
    struct list link;
    struct migration *migration;
};

struct migrator {
    struct migration_site site; /* never changes */
    _Atomic bool ending;        /* changed under the guard, read without it too */
    pthread_mutex_t guard;      /* for all below */
    pthread_cond_t posted;
    struct list queue;
    pthread_t threads[THREADS]; /* of which so many have been started, before anything is posted: */
    int started;
};

static bool is_ending(const struct migrator *migrator)
{
    return atomic_load_explicit(&migrator->ending, memory_order_relaxed);
}

/* With the guard held. */
static struct migration *take(struct migrator *migrator)
{
    struct job *job = container_of(migrator->queue.next, struct job, link);
    struct migration *migration = job->migration;

    list_remove(&job->link);
    alloc_free(job);
    return migration;
}

/* With the guard held, which it gives back for as long as it waits. */
static void wait_for_work(struct migrator *migrator)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_S;
    if (targets_count(migrator->site.targets) == 0)
        pthread_cond_wait(&migrator->posted, &migrator->guard);
    else
        pthread_cond_timedwait(&migrator->posted, &migrator->guard, &until);
}

static void *run(void *argument)
{
    struct migrator *migrator = argument;

    alloc_begin_thread();
    pthread_mutex_lock(&migrator->guard);
    while (!is_ending(migrator)) {
        struct migration *migration = list_is_empty(&migrator->queue) ? NULL : take(migrator);

        if (migration == NULL) {
            wait_for_work(migrator);
            if (!list_is_empty(&migrator->queue)) continue;
        }
        pthread_mutex_unlock(&migrator->guard);
        if (migration != NULL) migration_run(&migration, &migrator->site);
        targets_close_idle(migrator->site.targets);
        pthread_mutex_lock(&migrator->guard);
    }
    pthread_mutex_unlock(&migrator->guard);
    account_settle();
    return NULL;
}

static void start_threads(struct migrator *migrator)
{
    sigset_t all, before;

    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (migrator->started < THREADS) {
        if (pthread_create(&migrator->threads[migrator->started], NULL, run, migrator) != 0) break;
        pthread_setname_np(migrator->threads[migrator->started], "migrator");
        migrator->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct migrator *migrator_new(const struct migration_site *site)
{
    struct migrator *migrator = alloc_zeroed(sizeof(*migrator));
    pthread_condattr_t attributes;

    migrator->site = *site;
    migrator->site.targets = targets_new();
    migrator->site.ending = &migrator->ending;
    pthread_mutex_init(&migrator->guard, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&migrator->posted, &attributes);
    pthread_condattr_destroy(&attributes);
    list_init(&migrator->queue);
    start_threads(migrator);
    if (migrator->started == 0) migrator_free(&migrator);
    return migrator;
}

void migrator_post(struct migrator *migrator, struct migration **migration)
{
    struct job *job = alloc(sizeof(*job));

    job->migration = *migration;
    *migration = NULL;
    pthread_mutex_lock(&migrator->guard);
    list_append(&migrator->queue, &job->link);
    pthread_cond_signal(&migrator->posted);
    pthread_mutex_unlock(&migrator->guard);
}

void migrator_free(struct migrator **held)
{
    struct migrator *migrator = *held;

    *held = NULL;
    if (migrator == NULL) return;
    pthread_mutex_lock(&migrator->guard);
    atomic_store_explicit(&migrator->ending, true, memory_order_relaxed);
    pthread_cond_broadcast(&migrator->posted);
    pthread_mutex_unlock(&migrator->guard);
    for (int i = 0; i < migrator->started; i++) pthread_join(migrator->threads[i], NULL);
    while (!list_is_empty(&migrator->queue)) {
        struct migration *migration = take(migrator);

        migration_drop(&migration, &migrator->site);
    }
    targets_free(&migrator->site.targets);
    pthread_cond_destroy(&migrator->posted);
    pthread_mutex_destroy(&migrator->guard);
    alloc_free(migrator);
}

size_t migrator_kept_targets(const struct migrator *migrator)
{
    return targets_count(migrator->site.targets);
}
