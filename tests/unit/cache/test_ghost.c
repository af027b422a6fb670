/* The ghost table remembers what it was told for two turnovers, and grows and shrinks under those who use it. */
#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"
#include "cache/ghost.h"
#include "unit/unit.h"

#include <pthread.h>
#include <string.h>

static uint64_t hash_of(uint32_t number)
{
    return hash_bytes((struct bytes){ (const char *)&number, sizeof number });
}

static unsigned remembered(struct ghost *ghost, uint32_t from, uint32_t to, unsigned generation)
{
    unsigned found = 0;

    for (uint32_t number = from; number < to; number++) found += ghost_take(ghost, hash_of(number), generation);
    return found;
}

static void put_all(struct ghost *ghost, uint32_t from, uint32_t to, unsigned generation)
{
    for (uint32_t number = from; number < to; number++)
        ghost_put(ghost, hash_of(number), generation, random_of_thread());
}

TEST(what_was_put_is_found_once)
{
    struct ghost ghost = { 0 };

    CHECK(!ghost_take(&ghost, hash_of(1), 0) && ghost_bytes(&ghost) == 0);
    put_all(&ghost, 0, 10, 0); /* nowhere to put it: forgotten */
    ghost_grow(&ghost, ghost_bits_for(1300));
    CHECK(ghost_bytes(&ghost) == 2048);
    put_all(&ghost, 0, 500, 3);
    CHECK(remembered(&ghost, 0, 500, 3) > 480);
    CHECK(remembered(&ghost, 0, 500, 3) < 10);
    CHECK(remembered(&ghost, 1000, 11000, 3) == 0);
    ghost_free(&ghost);
}

TEST(other_keys_are_rarely_taken_for_one_that_was_put)
{
    struct ghost ghost = { 0 };

    ghost_grow(&ghost, ghost_bits_for(32000));
    put_all(&ghost, 0, 32000, 0);
    CHECK(remembered(&ghost, 100000, 200000, 0) < 1000);
    ghost_free(&ghost);
}

TEST(two_turnovers_later_all_is_forgotten)
{
    struct ghost ghost = { 0 };

    ghost_grow(&ghost, ghost_bits_for(1300));
    put_all(&ghost, 0, 300, 15);
    put_all(&ghost, 300, 600, 15);
    CHECK(remembered(&ghost, 0, 300, 15 + 8) > 280);
    CHECK(remembered(&ghost, 300, 600, 15 + 9) == 0);
    ghost_free(&ghost);
}

TEST(a_full_bucket_forgets_the_oldest)
{
    struct ghost ghost = { 0 };

    ghost_grow(&ghost, 1); /* one bucket of 32 */
    put_all(&ghost, 0, 16, 1);
    put_all(&ghost, 16, 32, 2);
    put_all(&ghost, 32, 48, 3);
    CHECK(remembered(&ghost, 0, 16, 3) == 0);
    CHECK(remembered(&ghost, 16, 48, 3) == 32);
    ghost_free(&ghost);
}

TEST(growing_keeps_and_shrinking_frees)
{
    struct ghost ghost = { 0 };

    ghost_grow(&ghost, 3);
    put_all(&ghost, 0, 60, 0);
    ghost_grow(&ghost, 8);
    CHECK(ghost_bytes(&ghost) == 128 * 64);
    CHECK(remembered(&ghost, 0, 30, 0) == 30);
    ghost_shrink_begin(&ghost, 2);
    ghost_shrink_end(&ghost);
    CHECK(ghost_bytes(&ghost) == 128);
    put_all(&ghost, 100, 110, 0);
    CHECK(remembered(&ghost, 100, 110, 0) == 10);
    ghost_free(&ghost);
    CHECK(ghost_bytes(&ghost) == 0);
}

static void *use(void *argument)
{
    struct ghost *ghost = argument;

    for (unsigned round = 0; round < 20; round++) {
        put_all(ghost, round * 100, round * 100 + 300, round / 4);
        remembered(ghost, round * 100, round * 100 + 200, round / 4);
    }
    return NULL;
}

TEST(threads_use_it_while_it_grows)
{
    struct ghost ghost = { 0 };
    pthread_t threads[2];

    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, use, &ghost) == 0);
    for (uint32_t bits = 1; bits <= 10; bits++) ghost_grow(&ghost, bits);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    ghost_free(&ghost);
}

TESTS(what_was_put_is_found_once, other_keys_are_rarely_taken_for_one_that_was_put,
      two_turnovers_later_all_is_forgotten, a_full_bucket_forgets_the_oldest, growing_keeps_and_shrinking_frees,
      threads_use_it_while_it_grows)
