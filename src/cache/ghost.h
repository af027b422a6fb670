/* cache/ghost.h
 *
 * Remembers, for about two turnovers of the cache, which keys were evicted: one that comes back so soon has shown that
 * it is asked for again, and need not prove it a second time.
 *
 *     bucket:  | 32 x 16 bits |  one cache line      place:  | fingerprint 12, never 0 | generation 4 |
 *
 * A key's hash names the bucket and the fingerprint; a generation is a quarter of a turnover. A full bucket forgets the
 * oldest. It takes two to three bytes for each entry of the cache, and errs for less than one new key in a hundred.
 *
 * Any thread may ask and write at any time: places are relaxed atomics, and a mark that is lost in a race is only
 * forgotten. Growing and shrinking is for one thread at a time. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghost_bucket;
struct random;

#define GHOST_BITS_MAX 32

/* All zero is one that remembers nothing and owns no memory. The buckets are in segments, each as large as all before it, so that growing
 * moves nothing that somebody may be looking at. */
struct ghost {
    _Atomic uint32_t bits; /* 2^(bits - 1) buckets; 0: none */
    _Atomic(struct ghost_bucket *) segments[GHOST_BITS_MAX];
};

void ghost_free(struct ghost *ghost);

/* What it takes, and would take with so many bits. */
size_t ghost_bytes(const struct ghost *ghost);
size_t ghost_bytes_for(uint32_t bits);

/* The bits for so many entries: three quarters as many marks to half as many again. With twice as many, what goes round in a loop much
 * larger than the cache would come back into main each time and push out what is in use; with half as many, a new set of keys in use
 * would take long to push out a former one. */
uint32_t ghost_bits_for(uint64_t entries);

/* Grows to as many bits: the marks are kept, each in both of the buckets that may now be its own. */
void ghost_grow(struct ghost *ghost, uint32_t bits);

/* Shrinks in two steps. After the first nobody begins to look at what the second frees: between the two the caller waits
 * until all who had begun are done. */
void ghost_shrink_begin(struct ghost *ghost, uint32_t bits);
void ghost_shrink_end(struct ghost *ghost);

/* Remembers a key. */
void ghost_put(struct ghost *ghost, uint64_t hash, unsigned generation, struct random *random);

/* True if the key is remembered, which is forgotten then. */
bool ghost_take(struct ghost *ghost, uint64_t hash, unsigned generation);
