/* base/mover.h
 *
 * Threads for what may wait: freeing millions of entries, dropping the keys of lost slots. A job is done in pieces of a few
 * milliseconds, and after each goes to the end of the queue, so that a long one delays no short one.
 *
 *     struct burial { struct mover_job job; ... };      the job sits inside what it is about
 *     movers_post(movers, &burial->job);                any thread, waits for nothing but the queue's lock
 *     static bool run(struct mover_job *job);           on a mover: one piece; true while there is more
 *
 * What must not wait behind such work, like a state file that votes depend on, has a thread of its own. */
#pragma once

#include "base/list.h"

struct movers;

struct mover_job {
    struct list link; /* the queue's while the job is in it */
    /* Does a piece. After it returned false the movers never look at the job again: it may have freed itself. */
    bool (*run)(struct mover_job *job);
};

/* NULL where the system gives not one thread. */
struct movers *movers_new(int threads);

/* The same with threads that run only while no other wants their CPU (SCHED_IDLE), and so may not run at all for seconds: for jobs that hold nothing others
 * wait for. Who needs one of them done gives way to it (base/give_way.h). */
struct movers *movers_new_in_gaps(int threads);

/* The job, and all it leads to, must stay until it is done. */
void movers_post(struct movers *movers, struct mover_job *job);

/* Ends the threads, each after the piece it is at. With finish, all jobs are done first; without it they are left as they are, for a
 * process that ends anyway. Nobody may post any more. */
void movers_free(struct movers **movers, bool finish);
