/* base/mover.c: one queue, one lock, some threads. */
#include "base/mover.h"

#include "base/alloc.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#define THREADS_MAX 8

struct movers {
    pthread_t threads[THREADS_MAX];
    int started;
    bool in_gaps;          /* never changes */
    pthread_mutex_t guard; /* for all below */
    pthread_cond_t posted;
    struct list queue;
    bool ending, finish;
};

/* With the guard held, which it gives back for the piece. */
static void run_piece(struct movers *movers, struct mover_job *job)
{
    bool more;

    list_remove(&job->link);
    pthread_mutex_unlock(&movers->guard);
    more = job->run(job);
    pthread_mutex_lock(&movers->guard);
    if (more) list_append(&movers->queue, &job->link);
}

/* A job that another mover is at comes back to that mover, so an empty queue is an end even while others still work. */
static void *run(void *argument)
{
    struct movers *movers = argument;
    struct sched_param none = { 0 };

    if (movers->in_gaps) sched_setscheduler(0, SCHED_IDLE, &none); /* of this thread; refused, it is one like others */
    alloc_begin_thread();
    pthread_mutex_lock(&movers->guard);
    for (;;) {
        bool idle = list_is_empty(&movers->queue);

        if (movers->ending && (idle || !movers->finish)) break;
        if (idle)
            pthread_cond_wait(&movers->posted, &movers->guard);
        else
            run_piece(movers, container_of(movers->queue.next, struct mover_job, link));
    }
    pthread_mutex_unlock(&movers->guard);
    return NULL;
}

static struct movers *begin(int threads, bool in_gaps)
{
    struct movers *movers = alloc_zeroed(sizeof(*movers));
    sigset_t all, before;

    movers->in_gaps = in_gaps;
    pthread_mutex_init(&movers->guard, NULL);
    pthread_cond_init(&movers->posted, NULL);
    list_init(&movers->queue);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (movers->started < threads && movers->started < THREADS_MAX) {
        if (pthread_create(&movers->threads[movers->started], NULL, run, movers) != 0) break;
        pthread_setname_np(movers->threads[movers->started], "mover");
        movers->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (movers->started == 0) movers_free(&movers, false);
    return movers;
}

struct movers *movers_new(int threads)
{
    return begin(threads, false);
}

struct movers *movers_new_in_gaps(int threads)
{
    return begin(threads, true);
}

void movers_post(struct movers *movers, struct mover_job *job)
{
    pthread_mutex_lock(&movers->guard);
    list_append(&movers->queue, &job->link);
    pthread_cond_signal(&movers->posted);
    pthread_mutex_unlock(&movers->guard);
}

void movers_free(struct movers **movers_pointer, bool finish)
{
    struct movers *movers = *movers_pointer;

    *movers_pointer = NULL;
    if (movers == NULL) return;
    pthread_mutex_lock(&movers->guard);
    movers->ending = true;
    movers->finish = finish;
    pthread_cond_broadcast(&movers->posted);
    pthread_mutex_unlock(&movers->guard);
    for (int i = 0; i < movers->started; i++) pthread_join(movers->threads[i], NULL);
    pthread_cond_destroy(&movers->posted);
    pthread_mutex_destroy(&movers->guard);
    alloc_free(movers);
}
