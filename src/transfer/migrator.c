#include "transfer/migrator.h"

#include "base/alloc.h"
#include "base/list.h"
#include "store/account.h"
#include "transfer/migration_internal.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 64
#define THREADS_PER_TARGET 4u
/* One of those who have nothing to do looks so often for connections that were idle for too long. */
#define LOOK_S 1

/* What goes to one target, by its name. There as long as anything does. */
struct lane {
    struct list link;
    struct list waiting;
    unsigned begun; /* ready or being done */
    struct bytes host, port;
    char texts[];
};

struct job {
    struct list link;
    struct lane *lane;
    struct migration *migration;
};

struct hand {
    struct list link;
    struct migrator *migrator;
    pthread_t thread;
};

struct migrator {
    struct migration_site site; /* never changes */
    _Atomic bool ending;        /* changed under the guard, read without it too */
    pthread_mutex_t guard;      /* for all below */
    pthread_cond_t posted;
    struct list lanes;
    struct list ready; /* jobs that their lanes let go */
    struct list hands;
    unsigned hand_count, idle; /* idle: waits, or has been woken for a job that is ready */
    unsigned ready_count;
    bool is_looked_after; /* somebody who waits looks for idle connections */
};

static bool is_ending(const struct migrator *migrator)
{
    return atomic_load_explicit(&migrator->ending, memory_order_relaxed);
}

/* --- Lanes; with the guard held --- */

static struct lane *lane_of(struct migrator *migrator, const struct target_address *address)
{
    struct lane *lane;

    list_each(at, &migrator->lanes) {
        lane = container_of(at, struct lane, link);
        if (bytes_equal(lane->host, address->host) && bytes_equal(lane->port, address->port)) return lane;
    }
    /* fits: both are arguments of one request */
    lane = alloc_zeroed(sizeof(*lane) + address->host.len + address->port.len);
    if (address->host.len > 0) memcpy(lane->texts, address->host.data, address->host.len);
    if (address->port.len > 0) memcpy(lane->texts + address->host.len, address->port.data, address->port.len);
    lane->host = (struct bytes){ lane->texts, address->host.len };
    lane->port = (struct bytes){ lane->texts + address->host.len, address->port.len };
    list_init(&lane->waiting);
    list_append(&migrator->lanes, &lane->link);
    return lane;
}

static void let_begin(struct migrator *migrator, struct job *job)
{
    job->lane->begun++;
    migrator->ready_count++;
    list_append(&migrator->ready, &job->link);
}

static struct job *take_first(struct list *jobs)
{
    struct job *job = container_of(jobs->next, struct job, link);

    list_remove(&job->link);
    return job;
}

/* One of the lane's is done. */
static void lane_go_on(struct migrator *migrator, struct lane *lane)
{
    lane->begun--;
    if (!list_is_empty(&lane->waiting)) {
        let_begin(migrator, take_first(&lane->waiting));
    } else if (lane->begun == 0) {
        list_remove(&lane->link);
        alloc_free(lane);
    }
}

/* --- Threads --- */

static void start_hand(struct migrator *migrator);

/* With the guard held, which it gives back for as long as it waits. */
static void wait_for_work(struct migrator *migrator)
{
    bool looks = !migrator->is_looked_after && targets_count(migrator->site.targets) > 0;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_S;
    migrator->idle++;
    if (looks) {
        migrator->is_looked_after = true;
        pthread_cond_timedwait(&migrator->posted, &migrator->guard, &until);
        migrator->is_looked_after = false;
        /* Another one looks meanwhile. */
        if (!list_is_empty(&migrator->ready)) pthread_cond_signal(&migrator->posted);
    } else {
        pthread_cond_wait(&migrator->posted, &migrator->guard);
    }
    migrator->idle--;
}

/* With the guard held, which it gives back meanwhile. */
static void do_next(struct migrator *migrator)
{
    struct job *job = take_first(&migrator->ready);
    /* Where all have something to do, there is somebody else for what comes. It is not for who posts to start him: that takes a while. */
    bool hires = --migrator->ready_count >= migrator->idle && migrator->hand_count < THREADS_MAX;

    if (hires) migrator->hand_count++;
    pthread_mutex_unlock(&migrator->guard);
    if (hires) start_hand(migrator);
    migration_run(&job->migration, &migrator->site);
    targets_close_idle(migrator->site.targets);
    pthread_mutex_lock(&migrator->guard);
    lane_go_on(migrator, job->lane);
    alloc_free(job);
}

static void *run(void *argument)
{
    struct migrator *migrator = ((struct hand *)argument)->migrator;

    alloc_begin_thread();
    pthread_mutex_lock(&migrator->guard);
    while (!is_ending(migrator)) {
        if (!list_is_empty(&migrator->ready)) {
            do_next(migrator);
            continue;
        }
        wait_for_work(migrator);
        if (!list_is_empty(&migrator->ready)) continue;
        pthread_mutex_unlock(&migrator->guard);
        targets_close_idle(migrator->site.targets);
        pthread_mutex_lock(&migrator->guard);
    }
    pthread_mutex_unlock(&migrator->guard);
    account_settle();
    return NULL;
}

/* It has been counted. One that the system does not give is tried again with the next job. */
static void start_hand(struct migrator *migrator)
{
    struct hand *hand = alloc_zeroed(sizeof(*hand));
    sigset_t all, before;
    bool started;

    hand->migrator = migrator;
    list_init(&hand->link);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&hand->thread, NULL, run, hand) == 0;
    if (started) pthread_setname_np(hand->thread, "migrator");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&migrator->guard);
    if (started)
        list_append(&migrator->hands, &hand->link);
    else
        migrator->hand_count--;
    pthread_mutex_unlock(&migrator->guard);
    if (!started) alloc_free(hand);
}

/* Who starts another is in the list himself until that one is: so whoever is left is seen. */
static void join_hands(struct migrator *migrator)
{
    pthread_mutex_lock(&migrator->guard);
    while (!list_is_empty(&migrator->hands)) {
        struct hand *hand = container_of(migrator->hands.next, struct hand, link);

        pthread_mutex_unlock(&migrator->guard);
        pthread_join(hand->thread, NULL);
        pthread_mutex_lock(&migrator->guard);
        list_remove(&hand->link);
        alloc_free(hand);
    }
    pthread_mutex_unlock(&migrator->guard);
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
    list_init(&migrator->lanes);
    list_init(&migrator->ready);
    list_init(&migrator->hands);
    migrator->hand_count = 1;
    start_hand(migrator);
    if (list_is_empty(&migrator->hands)) migrator_free(&migrator);
    return migrator;
}

void migrator_post(struct migrator *migrator, struct migration **migration)
{
    struct job *job = alloc(sizeof(*job));

    job->migration = *migration;
    *migration = NULL;
    pthread_mutex_lock(&migrator->guard);
    job->lane = lane_of(migrator, &job->migration->options.address);
    if (job->lane->begun < THREADS_PER_TARGET) {
        let_begin(migrator, job);
        pthread_cond_signal(&migrator->posted);
    } else {
        list_append(&job->lane->waiting, &job->link);
    }
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
    join_hands(migrator);
    while (!list_is_empty(&migrator->ready)) {
        struct job *job = take_first(&migrator->ready);

        /* Each that ends lets the next of its lane begin. */

        migration_drop(&job->migration, &migrator->site);
        lane_go_on(migrator, job->lane);
        alloc_free(job);
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
