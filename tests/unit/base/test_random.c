/* A seed gives the same numbers everywhere, ranges are kept, and hashes depend on their seed. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "unit/unit.h"

#include <string.h>

TEST(a_seed_gives_the_same_numbers_again)
{
    struct random one, same, other;

    random_seed(&one, 42);
    random_seed(&same, 42);
    random_seed(&other, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t drawn = random_u64(&one);
        CHECK(drawn == random_u64(&same) && drawn != random_u64(&other));
    }
}

/* The numbers xoshiro256** gives from the state 1, 2, 3, 4. */
TEST(the_generator_is_the_published_one)
{
    struct random random = { { 1, 2, 3, 4 } };

    CHECK(random_u64(&random) == 11520);
    CHECK(random_u64(&random) == 0);
    CHECK(random_u64(&random) == 1509978240);
    CHECK(random_u64(&random) == 1215971899390074240);
}

TEST(numbers_below_a_bound_are_uniform)
{
    struct random random;
    int seen[7] = { 0 };

    random_seed(&random, 1);
    for (int i = 0; i < 70000; i++) {
        uint64_t drawn = random_below(&random, 7);
        CHECK(drawn < 7);
        seen[drawn]++;
    }
    for (int i = 0; i < 7; i++) CHECK(seen[i] > 9500 && seen[i] < 10500);
    CHECK(random_below(&random, 1) == 0);
    CHECK(random_below(&random, UINT64_MAX) < UINT64_MAX);
}

TEST(an_id_is_hex_of_the_length_asked_for)
{
    char id[42], odd[6];

    memset(id, 'X', sizeof(id));
    random_hex(id, 40);
    CHECK(strlen(id) == 40 && strspn(id, "0123456789abcdef") == 40 && id[41] == 'X');
    random_hex(odd, 5);
    CHECK(strlen(odd) == 5);
}

TEST(a_hash_depends_on_its_seed_and_on_every_byte)
{
    char key[300];

    memset(key, 'k', sizeof(key));
    for (size_t len = 1; len < sizeof(key); len++) {
        struct bytes bytes = { key, len };

        hash_set_seed(1);
        uint64_t hash = hash_bytes(bytes);
        CHECK(hash == hash_bytes(bytes));
        key[len - 1] ^= 1;
        CHECK(hash != hash_bytes(bytes));
        key[len - 1] ^= 1;
        hash_set_seed(2);
        CHECK(hash != hash_bytes(bytes));
    }
}

TEST(internal_time_reads_as_unix_time_and_goes_forward)
{
    int64_t before = clock_now_us(), wall = clock_wall_us();

    CHECK(wall - before < 5000000 && before - wall < 5000000);
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_now_us();
        CHECK(now >= before);
        before = now;
    }
    CHECK(clock_now_ms() - before / 1000 < 1000);
}

TESTS(a_seed_gives_the_same_numbers_again, the_generator_is_the_published_one, numbers_below_a_bound_are_uniform,
      an_id_is_hex_of_the_length_asked_for, a_hash_depends_on_its_seed_and_on_every_byte,
      internal_time_reads_as_unix_time_and_goes_forward)
