/* store/table.h
 *
 * The entries of one slot, found by the 64-bit hash of their keys. Made for 16384 tables of some sixty entries as much
 * as for one of a hundred million: it takes 10-11 bytes an entry at any size, and no operation ever moves more than
 * about a hundred entries.
 *
 *     root --> leaf                                  up to 108 entries: nothing but the leaf
 *     root --> directory [ | | | | | ] --> leaves    beyond: top bits of the hash choose the leaf
 *                         +-> directory --> leaves   a directory of 512 is full: its leaves become directories
 *
 * A *leaf* is an array of 1 to 16 buckets, each one cache line: seven entries, their seven fingerprints and a count.
 * It covers all hashes that begin with its prefix, and the twelve bits after the prefix (the *tag*) place an entry
 * among its buckets, in order: bucket = tag * buckets / 4096. A leaf grows and shrinks by a bucket or two, to sizes
 * the allocator has a class for, so it is never half empty; and needs no look at the entries for it, because the
 * whole tag is kept: eight bits as the fingerprint, four in the low bits of the pointer, which alignment leaves free.
 * At sixteen buckets it splits into two (the entries are then hashed again for the next bit of their tags); two small
 * siblings merge. An entry that finds its bucket full goes to the next one of its leaf, and each bucket
 * counts the entries that passed it by, so a search ends at the first bucket that nobody has passed: it never leaves the leaf.
 *
 *     bucket:  | 7 fingerprints, count of passers-by | 7 words |
 *     word:    | 16 bits for eviction | 44 bits of pointer | 4 high bits of the tag |
 *
 * A leaf that has entries with deadlines uses its last line for hints when they are due: see deadline_hints.h.
 *
 * Doubling everything at once was not wanted (a slot may hold millions), linear hashing leaves buckets of two densities
 * and could not be filled to 90 %.
 *
 * As all is kept in the order of hashes, a scan's cursor is simply a hash: what lies below has been seen, however the
 * table grew or shrank meanwhile. */
#pragma once

#include "store/deadline_hints.h"

#include <stdatomic.h>

struct random;

/* All zero is an empty table, which owns no memory. */
struct table {
    _Atomic uint64_t root;  /* read without the lock for prefetching; see table_prefetch() */
    _Atomic uint64_t bytes; /* of leaves and directories; read without the lock */
    hint_place hint;        /* the earliest deadline in it, at the latest; see deadline_hints.h */
    uint32_t moved;         /* entries moved by growth and shrinking, ever: the measure of what an operation costs */
};

#define TABLE_LEAF_MAX 112u /* entries of a leaf: as many as one step of a scan shows at most */
#define TABLE_POINTER_MASK ((uint64_t)0x0000fffffffffff0)
#define TABLE_EVICTION_SHIFT 48 /* the upper 16 bits of a word belong to eviction; the table only carries them */

/* Written under the slot's lock; looked at without it by whoever prefetches. */
typedef _Atomic uint64_t table_word;

static inline struct entry *table_entry(const table_word *word)
{
    uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);
    return (struct entry *)(uintptr_t)(bits & TABLE_POINTER_MASK);
}

static inline uint16_t table_eviction_bits(const table_word *word)
{
    return (uint16_t)(atomic_load_explicit(word, memory_order_relaxed) >> TABLE_EVICTION_SHIFT);
}

static inline void table_set_eviction_bits(table_word *word, uint16_t bits)
{
    uint64_t rest = atomic_load_explicit(word, memory_order_relaxed) & (((uint64_t)1 << TABLE_EVICTION_SHIFT) - 1);

    atomic_store_explicit(word, rest | (uint64_t)bits << TABLE_EVICTION_SHIFT, memory_order_relaxed);
}

/* Lets it lead to the same entry at another address. */
static inline void table_set_entry(table_word *word, struct entry *entry)
{
    uint64_t rest = atomic_load_explicit(word, memory_order_relaxed) & ~TABLE_POINTER_MASK;

    atomic_store_explicit(word, rest | (uintptr_t)entry, memory_order_relaxed);
}

/* The word of a key, or NULL. Good until the next insertion or removal. */
table_word *table_find(const struct table *table, uint64_t hash, struct bytes key);

/* The word of this very entry by its old address, which is not followed: to be called also after it moved. NULL if it
 * is not in the table. */
table_word *table_find_entry(const struct table *table, uint64_t hash, const struct entry *entry);

/* Lets a found word lead to another entry of the same key, or to the same one with another deadline; eviction's bits stay.
 * The word is no longer good afterwards. now_ms is what deadlines are measured against, see hint_of(). */
void table_replace(struct table *table, uint64_t hash, table_word *word, struct entry *entry, int64_t now_ms);

/* The key must not be in the table. */
void table_insert(struct table *table, uint64_t hash, struct entry *entry, uint16_t eviction_bits, int64_t now_ms);

/* Takes out what a found word leads to; the entry is then the caller's. */
struct entry *table_remove(struct table *table, uint64_t hash, table_word *word);

/* Takes out and frees everything. */
void table_clear(struct table *table);

/* The same for about `*budget` entries, which it takes off the budget; true when all is gone. Between the first call and the last the
 * table is good for nothing else. */
bool table_clear_some(struct table *table, size_t *budget);

/* Gives all of a table to another, whose former content is not looked at. */
void table_move(struct table *to, struct table *from);

/* Visits the entries of one bucket and returns the next cursor, 0 at the end. The visitor must not change the table. */
uint32_t table_scan(const struct table *table, uint32_t cursor, void (*visit)(void *context, struct entry *entry),
                    void *context);

/* The same over the words, with as much of each one's hash as its place tells without a look at the entry: enough for
 * table_find_entry(). The visitor may change eviction's bits. */
uint32_t table_scan_words(const struct table *table, uint32_t cursor,
                          void (*visit)(void *context, table_word *word, uint64_t hash), void *context);

/* Moves the leaf at whose beginning a cursor of table_scan_words() is, and the directories that begin there, where that pays
 * (base/relocate.h). Counts what it moved and what it left. Words of that leaf are no longer good. Returns the
 * cursor of the next leaf, 0 at the end. */
uint32_t table_relocate_nodes(struct table *table, uint32_t cursor, uint64_t *moved, uint64_t *left);

/* Visits all words of the leaf that a cursor of table_scan() is in, and returns the cursor of the next leaf, 0 at the end. The entries are fetched ahead. The
 * visitor may let a word lead to the same entry elsewhere, or with another deadline, and returns true where it did; it may be shown a word again, and
 * leaves it alone then. now_ms as for table_replace(). */
uint32_t table_revise(struct table *table, uint32_t cursor, bool (*revise)(void *context, table_word *word),
                      void *context, int64_t now_ms);

/* Near uniform; NULL in an empty table. */
struct entry *table_random(const struct table *table, struct random *random);

/* Looks at entries whose hints say that they may be due, a few dozen at most, takes out those that are past their deadline, puts them
 * into due[] and returns how many they are; they are then the caller's. To be called until the table's hint is no longer due. */
#define TABLE_DUE_MAX 32u
unsigned table_take_due(struct table *table, int64_t now_ms, struct entry *due[TABLE_DUE_MAX]);

/* Looking ahead for table_take_due(), as below for a key: each step loads what the one before led to. In a table of very many
 * leaves it does nothing. */
void table_prefetch_due(const struct table *table, int64_t now_ms, enum due_step step);

/* --- Looking ahead, without the lock, between reclaim_enter() and reclaim_leave() (base/reclaim.h) ---
 *
 * A key's misses come one after the other: the directory's cell (the bucket at once, if there is none), the bucket, the entry. Each step starts
 * one load and waits for that of the step before; so whoever has several keys takes each step for all of them. */
void table_prefetch_cell(const struct table *table, uint64_t hash);
void table_prefetch_bucket(const struct table *table, uint64_t hash);
void table_prefetch_entry(const struct table *table, uint64_t hash);
