/* store/table_internal.h: how a table lies in memory, for those who go through it. See table.h. */
#pragma once

#include "store/leaf_hints.h"
#include "store/table.h"

#include <assert.h>

#define BUCKET_ENTRIES 7u
#define TAG_BITS 12u
#define TAG_COUNT (1u << TAG_BITS)
#define LEAF_CLASS_MAX 12u
#define LEAF_BUCKETS_MAX 16u

struct bucket {
    _Atomic uint64_t fingerprints; /* byte i is word i's; the top byte counts entries that passed by */
    table_word words[BUCKET_ENTRIES];
};
_Static_assert(sizeof(struct bucket) == 64, "one cache line");
_Static_assert((1 + LEAF_HINTS_MAX) * sizeof(hint_place) == 64, "another one");
_Static_assert(BUCKET_ENTRIES == NEAR_PLACES, "a bit for each place");

/* The cache lines of a leaf, by its class: sizes that the allocator has, too. */
static const uint8_t class_lines[LEAF_CLASS_MAX + 1] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16 };

/* Where there are deadlines the last line is that of their hints. */
static inline unsigned class_buckets(unsigned class, bool hinted)
{
    return class_lines[class] - (hinted ? 1u : 0u);
}

/* --- Nodes: what the root and the cells of directories hold ---
 *
 *     leaf       0 | class 4 | entries 7 | depth 4 | pointer 44 | 0 3 | hinted 1    depth: bits of this directory's index it
 *     directory  1 |          0          | bits 4  | pointer 44 |      0 4          is known by; 2^(bits - depth) cells in
 *                                                                                   a row are the same
 */
#define NODE_DIRECTORY ((uint64_t)1 << 63)
#define NODE_HINTED ((uint64_t)1)
#define NODE_POINTER_MASK ((uint64_t)0x0000fffffffffff0)

static inline bool node_is_directory(uint64_t node)
{
    return node >> 63 != 0;
}

static inline unsigned node_class(uint64_t leaf)
{
    return (unsigned)(leaf >> 59) & 15;
}

static inline unsigned node_entries(uint64_t leaf)
{
    return (unsigned)(leaf >> 52) & 127;
}

static inline unsigned node_depth(uint64_t leaf)
{
    return (unsigned)(leaf >> 48) & 15;
}

static inline unsigned node_bits(uint64_t directory)
{
    return (unsigned)(directory >> 48) & 15;
}

/* Whether its last line holds the hints of its buckets: it has, or had, entries with a deadline. */
static inline bool node_is_hinted(uint64_t leaf)
{
    return (leaf & NODE_HINTED) != 0;
}

static inline unsigned node_bucket_count(uint64_t leaf)
{
    return class_buckets(node_class(leaf), node_is_hinted(leaf));
}

static inline struct bucket *node_buckets(uint64_t leaf)
{
    return (struct bucket *)(uintptr_t)(leaf & NODE_POINTER_MASK);
}

static inline _Atomic uint64_t *node_cells(uint64_t directory)
{
    return (_Atomic uint64_t *)(uintptr_t)(directory & NODE_POINTER_MASK);
}

/* Where in a leaf a word is. */
struct position {
    unsigned bucket, place;
};

/* The hints of a leaf's buckets, see leaf_hints.h. */
static inline hint_place *node_hints(uint64_t leaf)
{
    return (hint_place *)(node_buckets(leaf) + node_bucket_count(leaf));
}

/* The hints of a directory's cells. Where several cells lead to one leaf, the first one's counts. */
static inline hint_place *node_cell_hints(uint64_t directory)
{
    return (hint_place *)(uintptr_t)(node_cells(directory) + ((size_t)1 << node_bits(directory)));
}

static inline uint64_t leaf_node(const struct bucket *buckets, unsigned class, bool hinted, unsigned entries,
                                 unsigned depth)
{
    assert(((uintptr_t)buckets & ~NODE_POINTER_MASK) == 0);
    /* The analyzer of clang 14 takes a 64-bit zero that is shifted by 59 for one of 32 bits. */
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
    return (uint64_t) class << 59 | (uint64_t)entries << 52 | (uint64_t)depth << 48 | (uintptr_t)buckets |
           (hinted ? NODE_HINTED : 0);
}

static inline uint64_t directory_node(_Atomic uint64_t *cells, unsigned bits)
{
    assert(((uintptr_t)cells & ~NODE_POINTER_MASK) == 0);
    return NODE_DIRECTORY | (uint64_t)bits << 48 | (uintptr_t)cells;
}

static inline uint64_t leaf_with_depth(uint64_t leaf, unsigned depth)
{
    return leaf_node(node_buckets(leaf), node_class(leaf), node_is_hinted(leaf), node_entries(leaf), depth);
}

static inline uint64_t leaf_with_entries(uint64_t leaf, unsigned entries)
{
    return leaf_node(node_buckets(leaf), node_class(leaf), node_is_hinted(leaf), entries, node_depth(leaf));
}

/* Whoever looks ahead follows nodes without the lock, so what a node leads to is written before the node is. */
static inline uint64_t node_load(const _Atomic uint64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_acquire);
}

static inline void node_store(_Atomic uint64_t *cell, uint64_t node)
{
    atomic_store_explicit(cell, node, memory_order_release);
}

static inline uint64_t word_load(const table_word *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void word_store(table_word *word, uint64_t bits)
{
    atomic_store_explicit(word, bits, memory_order_relaxed);
}

/* --- Inside a leaf --- */

static inline unsigned tag_of(uint64_t hash, unsigned depth)
{
    return (unsigned)(hash << depth >> (64 - TAG_BITS));
}

static inline unsigned home_of(unsigned tag, unsigned buckets)
{
    return tag * buckets / TAG_COUNT;
}

static inline unsigned tag_at(const struct bucket *bucket, unsigned place)
{
    return (unsigned)(word_load(&bucket->words[place]) & 15) << 8 |
           (unsigned)(word_load(&bucket->fingerprints) >> 8 * place & 255);
}

static inline unsigned passers(const struct bucket *bucket)
{
    return (unsigned)(word_load(&bucket->fingerprints) >> 56);
}

static inline unsigned next_of(unsigned at, unsigned buckets)
{
    return at + 1 == buckets ? 0 : at + 1;
}

#define each_word(leaf, at, place)                                                                                     \
    for (unsigned at = 0; at < node_bucket_count(leaf); at++)                                                          \
        for (unsigned place = 0; place < BUCKET_ENTRIES; place++)                                                      \
            if (word_load(&node_buckets(leaf)[at].words[place]) != 0)

/* The earliest hint of a leaf's buckets. */
static inline uint32_t leaf_hint(uint64_t leaf)
{
    return node_is_hinted(leaf) ? leaf_hints_earliest(node_hints(leaf), node_bucket_count(leaf)) : HINT_NONE;
}

/* --- The way to a leaf --- */

static inline uint64_t leaf_of(const struct table *table, uint64_t hash, unsigned *depth)
{
    uint64_t node = node_load(&table->root);
    unsigned used = 0, bits = 0;

    while (node_is_directory(node)) {
        used += bits;
        bits = node_bits(node);
        node = node_load(node_cells(node) + (hash << used >> (64 - bits)));
    }
    *depth = used + node_depth(node);
    return node;
}

/* --- Taking out (table.c) --- */

/* Takes the word at a position out of a leaf, whose node still counts it. */
void leaf_unplace(uint64_t leaf, struct position position);

/* After so many words were taken out of the leaf that a hash leads to: counts them off, and makes it smaller, or one with its sibling,
 * where it has become too large. Hints must be right by now. */
void table_settle(struct table *table, uint64_t hash, unsigned taken);

/* A bucket of the leaf that a hash leads to has this hint now, which is earlier than its former one: lowers those of all that leads to the leaf. */
void table_lower_hints(struct table *table, uint64_t hash, uint32_t hint);
