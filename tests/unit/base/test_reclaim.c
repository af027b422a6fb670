/* Memory stays while anybody may look at it, and goes when nobody may. */
#include "base/alloc.h"
#include "base/reclaim.h"
#include "unit/unit.h"

#include <pthread.h>
#include <unistd.h>

TEST(without_readers_memory_goes_at_once)
{
    reclaim_later(NULL);
    reclaim_later(alloc(10));
    CHECK(reclaim_waiting() == 0);
}

TEST(memory_waits_for_the_turn_it_was_seen_in_and_for_no_other)
{
    struct reclaim_reader early, late;

    reclaim_join(&early);
    reclaim_enter(&early);
    reclaim_join(&late); /* this thread gives up memory as `late` from now on */
    reclaim_later(alloc(10));
    reclaim_enter(&late); /* entered after it was gone */
    reclaim_leave(&late);
    CHECK(reclaim_waiting() == 1); /* early may have seen it */
    reclaim_leave(&early);
    CHECK(reclaim_waiting() == 1); /* whoever gave it up frees it */
    reclaim_enter(&early);
    reclaim_enter(&late);
    reclaim_leave(&late);
    CHECK(reclaim_waiting() == 0);
    reclaim_leave(&early);
    reclaim_quit(&late);
    reclaim_quit(&early);
}

TEST(what_a_reader_keeps_outlives_it)
{
    struct reclaim_reader stays, goes;

    reclaim_join(&stays);
    reclaim_join(&goes);
    reclaim_enter(&stays);
    for (int i = 0; i < 100; i++) reclaim_later(alloc(10));
    reclaim_quit(&goes);
    CHECK(reclaim_waiting() == 100);
    reclaim_leave(&stays); /* looks after what others left behind */
    CHECK(reclaim_waiting() == 0);
    reclaim_quit(&stays);
}

/* One thread replaces what a shared pointer leads to, others look: under the sanitizers a look at freed memory ends the test. */
#define LOOKERS 3
#define SWAPS 20000
static struct {
    _Atomic(_Atomic int *) pointer;
    _Atomic int looking, done;
} shared;

static void *look(void *unused)
{
    struct reclaim_reader reader;

    (void)unused;
    reclaim_join(&reader);
    atomic_fetch_add(&shared.looking, 1);
    while (!atomic_load(&shared.done)) {
        reclaim_enter(&reader);
        for (int i = 0; i < 3; i++)
            CHECK(atomic_load_explicit(atomic_load_explicit(&shared.pointer, memory_order_acquire),
                                       memory_order_relaxed) == 7);
        reclaim_leave(&reader);
    }
    reclaim_quit(&reader);
    return NULL;
}

static _Atomic int *new_seven(void)
{
    _Atomic int *seven = alloc(sizeof(*seven));

    atomic_init(seven, 7);
    return seven;
}

TEST(lookers_never_see_freed_memory)
{
    pthread_t threads[LOOKERS];

    atomic_store(&shared.pointer, new_seven());
    for (int i = 0; i < LOOKERS; i++) CHECK(pthread_create(&threads[i], NULL, look, NULL) == 0);
    while (atomic_load(&shared.looking) < LOOKERS) usleep(100);
    for (int i = 0; i < SWAPS; i++) {
        _Atomic int *former = atomic_exchange(&shared.pointer, new_seven());

        reclaim_later((void *)former);
    }
    atomic_store(&shared.done, 1);
    for (int i = 0; i < LOOKERS; i++) pthread_join(threads[i], NULL);
    reclaim_later((void *)atomic_load(&shared.pointer));
    CHECK(reclaim_waiting() == 0);
}

TESTS(without_readers_memory_goes_at_once, memory_waits_for_the_turn_it_was_seen_in_and_for_no_other,
      what_a_reader_keeps_outlives_it, lookers_never_see_freed_memory)
