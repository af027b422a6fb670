/* cache/ghost.c: see ghost.h for how it works.
 *
 * The lower half of the hash names the bucket and the bits above it the fingerprint; the table of a slot takes the upper
 * ones, so that keys of one bucket there are spread here. */
#include "cache/ghost.h"

#include "base/alloc.h"
#include "base/random.h"

#include <assert.h>
#include <string.h>

#define PLACES 32u
#define GENERATION_MASK 15u
#define GENERATIONS_MAX 8u /* two turnovers */

struct ghost_bucket {
    _Alignas(64) _Atomic uint16_t places[PLACES];
};
_Static_assert(sizeof(struct ghost_bucket) == 64, "one cache line");

static uint16_t load(const _Atomic uint16_t *place)
{
    return atomic_load_explicit(place, memory_order_relaxed);
}

static void store(_Atomic uint16_t *place, uint16_t mark)
{
    atomic_store_explicit(place, mark, memory_order_relaxed);
}

/* Segment 0 is one bucket, segment n the 2^(n-1) that doubled the ones before. */
static size_t segment_buckets(uint32_t segment)
{
    return segment == 0 ? 1 : (size_t)1 << (segment - 1);
}

static struct ghost_bucket *bucket_at(const struct ghost *ghost, size_t index)
{
    uint32_t segment = index == 0 ? 0 : 64u - (uint32_t)__builtin_clzll(index);
    struct ghost_bucket *first = atomic_load_explicit(&ghost->segments[segment], memory_order_acquire);

    return first + (index == 0 ? 0 : index - segment_buckets(segment));
}

static unsigned fingerprint_of(uint64_t hash)
{
    unsigned fingerprint = (unsigned)(hash >> 32) & 0xfff;

    return fingerprint == 0 ? 1 : fingerprint;
}

static struct ghost_bucket *bucket_of(const struct ghost *ghost, uint64_t hash)
{
    uint32_t bits = atomic_load_explicit(&ghost->bits, memory_order_acquire);

    return bits == 0 ? NULL : bucket_at(ghost, (uint32_t)hash & (((size_t)1 << (bits - 1)) - 1));
}

uint32_t ghost_bits_for(uint64_t entries)
{
    uint32_t bits = 1;

    while (bits < GHOST_BITS_MAX && entries / 4 * 3 > (uint64_t)PLACES << (bits - 1)) bits++;
    return bits;
}

size_t ghost_bytes_for(uint32_t bits)
{
    return bits == 0 ? 0 : sizeof(struct ghost_bucket) << (bits - 1);
}

size_t ghost_bytes(const struct ghost *ghost)
{
    return ghost_bytes_for(atomic_load_explicit(&ghost->bits, memory_order_relaxed));
}

static void copy_bucket(struct ghost_bucket *to, struct ghost_bucket *from)
{
    for (unsigned i = 0; i < PLACES; i++) store(&to->places[i], load(&from->places[i]));
}

void ghost_grow(struct ghost *ghost, uint32_t bits)
{
    assert(bits <= GHOST_BITS_MAX);
    for (uint32_t at = atomic_load_explicit(&ghost->bits, memory_order_relaxed); at < bits; at++) {
        size_t buckets = segment_buckets(at);
        struct ghost_bucket *segment = alloc_aligned(buckets * sizeof *segment, sizeof *segment);

        if (at == 0) memset((void *)segment, 0, sizeof *segment);
        for (size_t i = 0; at > 0 && i < buckets; i++) copy_bucket(&segment[i], bucket_at(ghost, i));
        atomic_store_explicit(&ghost->segments[at], segment, memory_order_release);
        atomic_store_explicit(&ghost->bits, at + 1, memory_order_release);
    }
}

void ghost_shrink_begin(struct ghost *ghost, uint32_t bits)
{
    assert(bits <= atomic_load_explicit(&ghost->bits, memory_order_relaxed));
    atomic_store_explicit(&ghost->bits, bits, memory_order_release);
}

void ghost_shrink_end(struct ghost *ghost)
{
    for (uint32_t at = atomic_load_explicit(&ghost->bits, memory_order_relaxed); at < GHOST_BITS_MAX; at++) {
        alloc_free(atomic_load_explicit(&ghost->segments[at], memory_order_relaxed));
        atomic_store_explicit(&ghost->segments[at], NULL, memory_order_relaxed);
    }
}

void ghost_free(struct ghost *ghost)
{
    ghost_shrink_begin(ghost, 0);
    ghost_shrink_end(ghost);
}

void ghost_put(struct ghost *ghost, uint64_t hash, unsigned generation, struct random *random)
{
    struct ghost_bucket *bucket = bucket_of(ghost, hash);
    unsigned start, chosen = 0, oldest = 0;

    if (bucket == NULL) return;
    /* Equally old ones are forgotten by lot: always the first would keep the rest for good. */
    start = (unsigned)random_below(random, PLACES);
    for (unsigned i = 0; i < PLACES; i++) {
        unsigned at = (start + i) % PLACES, mark = load(&bucket->places[at]),
                 age = (generation - mark) & GENERATION_MASK;

        if (mark == 0) {
            chosen = at;
            break;
        }
        if (i == 0 || age > oldest) {
            chosen = at;
            oldest = age;
        }
    }
    store(&bucket->places[chosen], (uint16_t)(fingerprint_of(hash) << 4 | (generation & GENERATION_MASK)));
}

bool ghost_take(struct ghost *ghost, uint64_t hash, unsigned generation)
{
    struct ghost_bucket *bucket = bucket_of(ghost, hash);

    if (bucket == NULL) return false;
    for (unsigned i = 0; i < PLACES; i++) {
        unsigned mark = load(&bucket->places[i]);

        if (mark >> 4 != fingerprint_of(hash)) continue;
        if (((generation - mark) & GENERATION_MASK) > GENERATIONS_MAX) continue;
        store(&bucket->places[i], 0);
        return true;
    }
    return false;
}
