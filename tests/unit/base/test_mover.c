/* Every job is done, in turns with the others, and an end may wait for them or not. */
#include "base/alloc.h"
#include "base/mover.h"
#include "unit/unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct counted {
    struct mover_job job;
    int pieces;
    int done; /* plain on purpose: a job is never at two movers at once */
    _Atomic int *finished;
};

static bool do_piece(struct mover_job *job)
{
    struct counted *counted = container_of(job, struct counted, job);

    if (++counted->done < counted->pieces) return true;
    atomic_fetch_add(counted->finished, 1);
    return false;
}

TEST(an_end_that_finishes_leaves_no_job_behind)
{
    static struct counted jobs[500];
    _Atomic int finished = 0;
    struct movers *movers = movers_new(3);

    for (int i = 0; i < 500; i++) {
        jobs[i] = (struct counted){ .job = { .run = do_piece }, .pieces = 1 + i % 7, .finished = &finished };
        movers_post(movers, &jobs[i].job);
    }
    movers_free(&movers, true);
    CHECK(movers == NULL && finished == 500);
    for (int i = 0; i < 500; i++) CHECK(jobs[i].done == jobs[i].pieces);
}

static _Atomic bool endless_may_end;

static bool do_endless(struct mover_job *job)
{
    (void)job;
    return !atomic_load(&endless_may_end);
}

TEST(a_long_job_lets_others_pass)
{
    struct mover_job endless = { .run = do_endless };
    _Atomic int finished = 0;
    struct counted late = { .job = { .run = do_piece }, .pieces = 3, .finished = &finished };
    struct movers *movers = movers_new(1);

    movers_post(movers, &endless);
    movers_post(movers, &late.job);
    while (atomic_load(&finished) == 0) continue;
    atomic_store(&endless_may_end, true);
    movers_free(&movers, true);
}

TEST(an_end_that_does_not_finish_waits_for_no_job)
{
    struct mover_job endless = { .run = do_endless };
    struct movers *movers = movers_new(2);

    atomic_store(&endless_may_end, false);
    movers_post(movers, &endless);
    movers_free(&movers, false);
    CHECK(movers == NULL);
}

struct classed {
    struct mover_job job;
    int class;
};

static bool note_class(struct mover_job *job)
{
    container_of(job, struct classed, job)->class = sched_getscheduler(0);
    return false;
}

static int class_of(struct movers *movers)
{
    struct classed classed = { .job = { .run = note_class }, .class = -1 };

    movers_post(movers, &classed.job);
    movers_free(&movers, true);
    return classed.class;
}

TEST(only_movers_in_gaps_leave_the_cpu_to_others)
{
    CHECK(class_of(movers_new_in_gaps(1)) == SCHED_IDLE);
    CHECK(class_of(movers_new(1)) == sched_getscheduler(0));
}

TESTS(an_end_that_finishes_leaves_no_job_behind, a_long_job_lets_others_pass,
      an_end_that_does_not_finish_waits_for_no_job, only_movers_in_gaps_leave_the_cpu_to_others)
