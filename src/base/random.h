/* base/random.h
 *
 * Random bits from a seed (splitmix64 seeding xoshiro256**, Blackman and Vigna 2018), so that a test
 * chooses them; and the system's random bits, for ids and secrets. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_seed(struct random *random, uint64_t seed);
uint64_t random_u64(struct random *random);

/* Uniform in 0 .. below-1; below is at least 1. */
uint64_t random_below(struct random *random, uint64_t below);

/* The calling thread's own, seeded from the clock: for what wants lots drawn without a place to keep the state. */
struct random *random_of_thread(void);

/* The system's own; stops the node if there are none. */
void random_system(void *out, size_t bytes);

/* Lower-case hex digits and a NUL, from the system's random bits. */
void random_hex(char *out, size_t digits);
