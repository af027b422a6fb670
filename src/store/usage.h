/* store/usage.h
 *
 * What is remembered of an entry's use: sixteen bits beside its pointer in the table (store/table.h), so that to judge
 * an entry costs no look at it. What they say depends on the eviction policy (cache/eviction.h):
 *
 *     S3S   | main 1 | hits 3 | size class 4 | tick 8 |     tick: of insertion; in main, of the last use
 *     LRU   | tick 16 |                                     of the last use
 *     LFU   | period 8 | count 8 |                          a logarithmic count that loses one for each period unused
 *     none  what they happen to be
 *
 * Ticks are a virtual clock, which insertions drive: it turns as fast as the cache does, whatever the rate of
 * requests, and stands still with it. A hit writes nothing where the bits would not change. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum usage_kind { USAGE_NONE, USAGE_S3S, USAGE_LRU, USAGE_LFU };

#define S3S_MAIN 0x8000u
#define S3S_HITS_SHIFT 12
#define S3S_HITS_MAX 7u
#define S3S_SIZE_SHIFT 8
#define S3S_SIZE_MASK 0x0f00u
#define S3S_TICK_MASK 0xffu
#define LFU_COUNT_FRESH 5u

/* Read at every hit and written rarely, so it has a cache line to itself. Relaxed atomics, but for the hook. */
struct usage {
    _Alignas(64) _Atomic uint32_t kind; /* enum usage_kind */
    _Atomic uint32_t tick;
    _Atomic uint32_t lfu_period, lfu_log_factor;

    /* The bits of a new entry, or with USAGE_NONE zero. Called under the slot's lock. Set before the first insertion. */
    uint16_t (*fresh)(void *context, uint64_t hash, size_t bytes);
    void *context;
};

static inline uint32_t usage_load(const _Atomic uint32_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

static inline unsigned s3s_hits(uint16_t bits)
{
    return (unsigned)bits >> S3S_HITS_SHIFT & S3S_HITS_MAX;
}

static inline unsigned s3s_size_class(uint16_t bits)
{
    return (unsigned)(bits & S3S_SIZE_MASK) >> S3S_SIZE_SHIFT;
}

/* 0 below 64 bytes, then one more for each doubling. */
static inline unsigned s3s_class_of(size_t bytes)
{
    unsigned class = bytes < 64 ? 0 : 58u - (unsigned)__builtin_clzll(bytes);

    return class > 15 ? 15 : class;
}

/* The count of an entry now, and what a use makes of it. */
unsigned lfu_count(const struct usage *usage, uint16_t bits);
uint16_t lfu_bits(const struct usage *usage, unsigned count);
uint16_t lfu_used(const struct usage *usage, uint16_t bits);

/* The bits after a use. */
static inline uint16_t usage_used(const struct usage *usage, uint32_t kind, uint16_t bits)
{
    uint32_t tick = usage_load(&usage->tick);

    if (kind == USAGE_LFU) return lfu_used(usage, bits);
    if (kind == USAGE_LRU) return (uint16_t)tick;
    if (s3s_hits(bits) < S3S_HITS_MAX) bits = (uint16_t)(bits + (1u << S3S_HITS_SHIFT));
    if (bits & S3S_MAIN) bits = (uint16_t)((bits & ~S3S_TICK_MASK) | (tick & S3S_TICK_MASK));
    return bits;
}

/* The bits after the entry's size has changed. */
static inline uint16_t usage_resized(uint32_t kind, uint16_t bits, size_t bytes)
{
    if (kind != USAGE_S3S) return bits;
    return (uint16_t)((bits & ~S3S_SIZE_MASK) | s3s_class_of(bytes) << S3S_SIZE_SHIFT);
}
