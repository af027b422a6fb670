/* One thread at a time, and no sleeper is forgotten. */
#include "base/lock.h"
#include "unit/unit.h"

#include <pthread.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS 50000

static struct {
    struct lock lock;
    uint64_t count; /* plain on purpose: only the lock keeps it right */
} shared;

static void *count_up(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        lock_take(&shared.lock);
        shared.count++;
        lock_release(&shared.lock);
    }
    return NULL;
}

TEST(threads_that_take_turns_lose_no_count)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, count_up, NULL) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(shared.count == (uint64_t)THREADS * ROUNDS);
    CHECK(!lock_is_held(&shared.lock));
}

TEST(sleepers_wake_when_a_long_holder_lets_go)
{
    pthread_t threads[THREADS];

    shared.count = 0;
    lock_take(&shared.lock);
    CHECK(lock_is_held(&shared.lock) && !lock_try(&shared.lock));
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, count_up, NULL) == 0);
    usleep(20000); /* long enough for them to have gone to sleep */
    CHECK(shared.count == 0);
    lock_release(&shared.lock);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(shared.count == (uint64_t)THREADS * ROUNDS);
}

TESTS(threads_that_take_turns_lose_no_count, sleepers_wake_when_a_long_holder_lets_go)
