/* store/table.c: see table.h for how it works. */
#include "store/table.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/reclaim.h"

#include <assert.h>
#include <string.h>

#define BUCKET_ENTRIES 7u
#define TAG_BITS 12u
#define TAG_COUNT (1u << TAG_BITS)
#define LEAF_CLASS_MAX 12u
#define LEAF_ENTRIES_MAX 112u
#define MERGE_ENTRIES_MAX 54u /* half of what splits a leaf, so that no leaf splits and merges in turns */
#define ENTRY_LINE_BYTES 64
#define DIRECTORY_BITS_MAX 9u
#define DEPTH_MAX 32u /* 2^32 leaves; also what a scan's cursor can tell apart */

struct bucket {
    _Atomic uint64_t fingerprints; /* byte i is word i's; the top byte counts entries that passed by */
    table_word words[BUCKET_ENTRIES];
};
_Static_assert(sizeof(struct bucket) == 64, "one cache line");

/* The buckets of a leaf, by its class: sizes that the allocator has, too. */
static const uint8_t class_buckets[LEAF_CLASS_MAX + 1] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16 };

/* --- Nodes: what the root and the cells of directories hold ---
 *
 *     leaf       0 | class 4 | entries 7 | depth 4 | pointer 48     depth: bits of this directory's index it is known by;
 *     directory  1 |          0          | bits 4  | pointer 48            2^(bits - depth) cells in a row are the same
 */
#define NODE_DIRECTORY ((uint64_t)1 << 63)
#define NODE_POINTER_MASK (((uint64_t)1 << 48) - 1)

static bool node_is_directory(uint64_t node)
{
    return node >> 63 != 0;
}

static unsigned node_class(uint64_t leaf)
{
    return (unsigned)(leaf >> 59) & 15;
}

static unsigned node_entries(uint64_t leaf)
{
    return (unsigned)(leaf >> 52) & 127;
}

static unsigned node_depth(uint64_t leaf)
{
    return (unsigned)(leaf >> 48) & 15;
}

static unsigned node_bits(uint64_t directory)
{
    return (unsigned)(directory >> 48) & 15;
}

static struct bucket *node_buckets(uint64_t leaf)
{
    return (struct bucket *)(uintptr_t)(leaf & NODE_POINTER_MASK);
}

static _Atomic uint64_t *node_cells(uint64_t directory)
{
    return (_Atomic uint64_t *)(uintptr_t)(directory & NODE_POINTER_MASK);
}

static uint64_t leaf_node(const struct bucket *buckets, unsigned class, unsigned entries, unsigned depth)
{
    assert((uintptr_t)buckets >> 48 == 0);
    /* The analyzer of clang 14 takes a 64-bit zero that is shifted by 59 for one of 32 bits. */
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
    return (uint64_t) class << 59 | (uint64_t)entries << 52 | (uint64_t)depth << 48 | (uintptr_t)buckets;
}

static uint64_t directory_node(_Atomic uint64_t *cells, unsigned bits)
{
    assert((uintptr_t)cells >> 48 == 0);
    return NODE_DIRECTORY | (uint64_t)bits << 48 | (uintptr_t)cells;
}

static uint64_t leaf_with_depth(uint64_t leaf, unsigned depth)
{
    return leaf_node(node_buckets(leaf), node_class(leaf), node_entries(leaf), depth);
}

/* Whoever looks ahead follows nodes without the lock, so what a node leads to is written before the node is. */
static uint64_t node_load(const _Atomic uint64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_acquire);
}

static void node_store(_Atomic uint64_t *cell, uint64_t node)
{
    atomic_store_explicit(cell, node, memory_order_release);
}

static uint64_t word_load(const table_word *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void word_store(table_word *word, uint64_t bits)
{
    atomic_store_explicit(word, bits, memory_order_relaxed);
}

static void count_bytes(struct table *table, int64_t more)
{
    uint64_t bytes = atomic_load_explicit(&table->bytes, memory_order_relaxed);
    atomic_store_explicit(&table->bytes, bytes + (uint64_t)more, memory_order_relaxed);
}

/* --- Inside a leaf --- */

/* A few places stay free, so that searches remain short to the last. */
static unsigned class_capacity(unsigned class)
{
    return class_buckets[class] * BUCKET_ENTRIES - class_buckets[class] / 4;
}

static unsigned class_for(unsigned entries)
{
    unsigned class = 0;

    while (class_capacity(class) < entries) class ++;
    return class;
}

static unsigned tag_of(uint64_t hash, unsigned depth)
{
    return (unsigned)(hash << depth >> (64 - TAG_BITS));
}

static unsigned home_of(unsigned tag, unsigned buckets)
{
    return tag * buckets / TAG_COUNT;
}

static unsigned tag_at(const struct bucket *bucket, unsigned place)
{
    return (unsigned)(word_load(&bucket->words[place]) & 15) << 8 |
           (unsigned)(word_load(&bucket->fingerprints) >> 8 * place & 255);
}

static unsigned passers(const struct bucket *bucket)
{
    return (unsigned)(word_load(&bucket->fingerprints) >> 56);
}

static unsigned next_of(unsigned at, unsigned buckets)
{
    return at + 1 == buckets ? 0 : at + 1;
}

static void add_passer(struct bucket *bucket, uint64_t more)
{
    word_store(&bucket->fingerprints, word_load(&bucket->fingerprints) + (more << 56));
}

/* Puts a word into the first free place from its home on; there is one. */
static void leaf_place(struct bucket *leaf, unsigned buckets, unsigned tag, uint64_t word)
{
    for (unsigned at = home_of(tag, buckets);; at = next_of(at, buckets)) {
        struct bucket *bucket = &leaf[at];

        for (unsigned place = 0; place < BUCKET_ENTRIES; place++) {
            if (word_load(&bucket->words[place]) != 0) continue;
            word_store(&bucket->words[place], (word & ~(uint64_t)15) | tag >> 8);
            word_store(&bucket->fingerprints, word_load(&bucket->fingerprints) | (uint64_t)(tag & 255) << 8 * place);
            return;
        }
        add_passer(bucket, 1);
    }
}

static void leaf_unplace(struct bucket *leaf, unsigned buckets, table_word *word)
{
    unsigned at = (unsigned)((size_t)((char *)word - (char *)leaf) / sizeof(struct bucket));
    unsigned place = (unsigned)(word - leaf[at].words);
    unsigned home = home_of(tag_at(&leaf[at], place), buckets);

    for (; home != at; home = next_of(home, buckets)) add_passer(&leaf[home], (uint64_t)-1);
    word_store(&leaf[at].fingerprints, word_load(&leaf[at].fingerprints) & ~((uint64_t)255 << 8 * place));
    word_store(word, 0);
}

static struct bucket *buckets_new(struct table *table, unsigned class)
{
    size_t bytes = class_buckets[class] * sizeof(struct bucket);

    if (class == 0) return NULL;
    count_bytes(table, (int64_t)bytes);
    return alloc_zeroed(bytes);
}

static void buckets_free(struct table *table, uint64_t leaf)
{
    count_bytes(table, -(int64_t)(class_buckets[node_class(leaf)] * sizeof(struct bucket)));
    reclaim_later(node_buckets(leaf));
}

#define each_word(leaf, at, place)                                                                                     \
    for (unsigned at = 0; at < class_buckets[node_class(leaf)]; at++)                                                  \
        for (unsigned place = 0; place < BUCKET_ENTRIES; place++)                                                      \
            if (word_load(&node_buckets(leaf)[at].words[place]) != 0)

/* The same leaf with another number of buckets. Its entries are not looked at. */
static uint64_t leaf_rebuilt(struct table *table, uint64_t leaf, unsigned class)
{
    struct bucket *buckets = buckets_new(table, class);
    const struct bucket *from = node_buckets(leaf);

    each_word(leaf, at, place)
    {
        leaf_place(buckets, class_buckets[class], tag_at(&from[at], place), word_load(&from[at].words[place]));
    }
    table->moved += node_entries(leaf);
    buckets_free(table, leaf);
    return leaf_node(buckets, class, node_entries(leaf), node_depth(leaf));
}

/* --- The way to a leaf --- */

struct path {
    _Atomic uint64_t *cell;           /* the leaf's, the first of them if it has several */
    _Atomic uint64_t *directory_cell; /* what leads to its directory; NULL where the leaf is the root */
    unsigned index;                   /* of cell in the directory */
    unsigned bits;                    /* of the directory */
    unsigned cells;                   /* how many lead to the leaf */
    unsigned depth;                   /* length of the leaf's prefix */
    uint64_t leaf;
};

static struct path path_to(struct table *table, uint64_t hash)
{
    struct path path = { .cell = &table->root, .cells = 1 };
    unsigned used = 0;

    for (;;) {
        uint64_t node = node_load(path.cell);

        if (!node_is_directory(node)) {
            path.leaf = node;
            break;
        }
        used += path.bits;
        path.directory_cell = path.cell;
        path.bits = node_bits(node);
        path.index = (unsigned)(hash << used >> (64 - path.bits));
        path.cell = node_cells(node) + path.index;
    }
    path.depth = used + node_depth(path.leaf);
    if (path.directory_cell != NULL) {
        path.cells = 1u << (path.bits - node_depth(path.leaf));
        path.cell -= path.index & (path.cells - 1);
        path.index &= ~(path.cells - 1);
    }
    return path;
}

static void path_store(struct path *path, uint64_t leaf)
{
    for (unsigned i = 0; i < path->cells; i++) node_store(path->cell + i, leaf);
    path->leaf = leaf;
}

static uint64_t leaf_of(const struct table *table, uint64_t hash, unsigned *depth)
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

/* --- Searching --- */

/* A mark in the top bit of each byte that may equal the fingerprint; the lowest mark is exact, those above it may be
 * wrong, which costs one comparison more. */
static uint64_t marks_of(uint64_t fingerprints, unsigned tag)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t differ = fingerprints ^ (ones * (tag & 255));

    return (differ - ones) & ~differ & 0x0080808080808080;
}

/* The place of the lowest mark. */
static unsigned place_of(uint64_t marks)
{
    return (unsigned)__builtin_ctzll(marks) / 8;
}

typedef bool matches(const struct entry *entry, const void *wanted);

static inline table_word *search(const struct table *table, uint64_t hash, matches *is_it, const void *wanted)
{
    unsigned depth;
    uint64_t leaf = leaf_of(table, hash, &depth);
    unsigned buckets = class_buckets[node_class(leaf)];
    unsigned tag = tag_of(hash, depth);

    for (unsigned at = home_of(tag, buckets), seen = 0; seen < buckets; at = next_of(at, buckets), seen++) {
        struct bucket *bucket = &node_buckets(leaf)[at];

        for (uint64_t marks = marks_of(word_load(&bucket->fingerprints), tag); marks != 0; marks &= marks - 1) {
            table_word *word = &bucket->words[place_of(marks)];
            uint64_t bits = word_load(word);

            if (bits != 0 && (bits & 15) == tag >> 8 && is_it(table_entry(word), wanted)) return word;
        }
        if (passers(bucket) == 0) break;
    }
    return NULL;
}

static bool has_key(const struct entry *entry, const void *wanted)
{
    const struct bytes *key = wanted;
    struct bytes own = entry_key(entry);

    return own.len == key->len && (own.len == 0 || memcmp(own.data, key->data, own.len) == 0);
}

static bool is_same(const struct entry *entry, const void *wanted)
{
    return entry == wanted;
}

table_word *table_find(const struct table *table, uint64_t hash, struct bytes key)
{
    return search(table, hash, has_key, &key);
}

table_word *table_find_entry(const struct table *table, uint64_t hash, const struct entry *entry)
{
    return search(table, hash, is_same, entry);
}

void table_replace(table_word *word, struct entry *entry)
{
    assert(((uintptr_t)entry & ~TABLE_POINTER_MASK) == 0);
    word_store(word, (word_load(word) & ~TABLE_POINTER_MASK) | (uintptr_t)entry);
}

/* --- Looking ahead --- */

static struct bucket *home_bucket(const struct table *table, uint64_t hash, unsigned *tag)
{
    unsigned depth;
    uint64_t leaf = leaf_of(table, hash, &depth);

    *tag = tag_of(hash, depth);
    if (node_class(leaf) == 0) return NULL;
    return &node_buckets(leaf)[home_of(*tag, class_buckets[node_class(leaf)])];
}

void table_prefetch_cell(const struct table *table, uint64_t hash)
{
    uint64_t node = node_load(&table->root);

    if (node_is_directory(node))
        __builtin_prefetch((const void *)(node_cells(node) + (hash >> (64 - node_bits(node)))));
}

void table_prefetch_bucket(const struct table *table, uint64_t hash)
{
    unsigned tag;

    __builtin_prefetch(home_bucket(table, hash, &tag));
}

/* Of the home bucket only: four entries out of five are there. */
void table_prefetch_entry(const struct table *table, uint64_t hash)
{
    unsigned tag;
    const struct bucket *bucket = home_bucket(table, hash, &tag);

    if (bucket == NULL) return;
    for (uint64_t marks = marks_of(word_load(&bucket->fingerprints), tag); marks != 0; marks &= marks - 1) {
        const char *entry = (const char *)table_entry(&bucket->words[place_of(marks)]);

        /* The address may be stale by now; a prefetch of it does no harm. */
        __builtin_prefetch(entry);
        __builtin_prefetch(entry + ENTRY_LINE_BYTES);
    }
}

/* --- Growing --- */

static _Atomic uint64_t *cells_new(struct table *table, unsigned bits)
{
    size_t bytes = sizeof(uint64_t) << bits;

    count_bytes(table, (int64_t)bytes);
    return alloc(bytes);
}

static void cells_free(struct table *table, uint64_t directory)
{
    count_bytes(table, -(int64_t)(sizeof(uint64_t) << node_bits(directory)));
    reclaim_later((void *)node_cells(directory));
}

static void directory_double(struct table *table, _Atomic uint64_t *cell)
{
    uint64_t directory = node_load(cell);
    unsigned bits = node_bits(directory);
    _Atomic uint64_t *cells = cells_new(table, bits + 1);

    for (size_t i = 0; i < (size_t)2 << bits; i++) node_store(cells + i, node_load(node_cells(directory) + i / 2));
    node_store(cell, directory_node(cells, bits + 1));
    cells_free(table, directory);
}

/* Two leaves for one, the depth of each being one more. */
static void leaf_split(struct table *table, uint64_t leaf, unsigned depth, uint64_t halves[2])
{
    uint64_t words[LEAF_ENTRIES_MAX], hashes[LEAF_ENTRIES_MAX];
    const struct entry *entries_of[LEAF_ENTRIES_MAX];
    unsigned entries = 0, counts[2] = { 0, 0 };
    struct bucket *buckets[2];
    unsigned classes[2];

    assert(depth < DEPTH_MAX); /* the seed is secret: nobody can choose a hundred keys of one prefix */
    each_word(leaf, at, place)
    {
        words[entries] = word_load(&node_buckets(leaf)[at].words[place]);
        entries_of[entries] = table_entry(&node_buckets(leaf)[at].words[place]);
        __builtin_prefetch(entries_of[entries++]);
    }
    for (unsigned i = 0; i < entries; i++) {
        hashes[i] = hash_bytes(entry_key(entries_of[i]));
        counts[hashes[i] << depth >> 63]++;
    }
    for (int half = 0; half < 2; half++) {
        classes[half] = class_for(counts[half]);
        buckets[half] = buckets_new(table, classes[half]);
        halves[half] = leaf_node(buckets[half], classes[half], counts[half], node_depth(leaf) + 1);
    }
    for (unsigned i = 0; i < entries; i++) {
        unsigned half = (unsigned)(hashes[i] << depth >> 63);
        leaf_place(buckets[half], class_buckets[classes[half]], tag_of(hashes[i], depth + 1), words[i]);
    }
    table->moved += entries;
    buckets_free(table, leaf);
}

static void split(struct table *table, uint64_t hash)
{
    struct path path = path_to(table, hash);
    uint64_t halves[2];

    if (path.directory_cell != NULL && path.cells == 1 && path.bits < DIRECTORY_BITS_MAX) {
        directory_double(table, path.directory_cell);
        path = path_to(table, hash);
    }
    leaf_split(table, path.leaf, path.depth, halves);
    if (path.cells == 1) {
        /* It is the root, or its directory is as large as one gets. */
        _Atomic uint64_t *cells = cells_new(table, 1);

        for (int half = 0; half < 2; half++) node_store(cells + half, leaf_with_depth(halves[half], 1));
        node_store(path.cell, directory_node(cells, 1));
        return;
    }
    for (unsigned i = 0; i < path.cells; i++) node_store(path.cell + i, halves[i >= path.cells / 2]);
}

void table_insert(struct table *table, uint64_t hash, struct entry *entry)
{
    struct path path = path_to(table, hash);
    unsigned class, entries;

    assert(((uintptr_t)entry & ~TABLE_POINTER_MASK) == 0);
    while (node_class(path.leaf) == LEAF_CLASS_MAX && node_entries(path.leaf) == class_capacity(LEAF_CLASS_MAX)) {
        split(table, hash);
        path = path_to(table, hash);
    }
    class = node_class(path.leaf);
    entries = node_entries(path.leaf);
    if (entries == class_capacity(class)) path.leaf = leaf_rebuilt(table, path.leaf, ++class);
    leaf_place(node_buckets(path.leaf), class_buckets[class], tag_of(hash, path.depth), (uintptr_t)entry);
    path_store(&path, leaf_node(node_buckets(path.leaf), class, entries + 1, node_depth(path.leaf)));
}

/* --- Shrinking --- */

/* Makes a directory no larger than its deepest leaf asks for; one that leads to a single leaf goes away. */
static void directory_trim(struct table *table, _Atomic uint64_t *cell, unsigned cell_depth)
{
    uint64_t directory = node_load(cell);
    unsigned bits = node_bits(directory), needed = 0;
    _Atomic uint64_t *cells;

    for (size_t i = 0; i < (size_t)1 << bits && needed < bits; i++) {
        uint64_t node = node_load(node_cells(directory) + i);
        unsigned depth = node_is_directory(node) ? bits : node_depth(node);
        if (depth > needed) needed = depth;
    }
    if (needed == bits) return;
    if (needed == 0) {
        node_store(cell, leaf_with_depth(node_load(node_cells(directory)), cell_depth));
    } else {
        cells = cells_new(table, needed);
        for (size_t i = 0; i < (size_t)1 << needed; i++)
            node_store(cells + i, node_load(node_cells(directory) + (i << (bits - needed))));
        node_store(cell, directory_node(cells, needed));
    }
    cells_free(table, directory);
}

static uint64_t leaf_merged(struct table *table, const uint64_t halves[2])
{
    unsigned entries = node_entries(halves[0]) + node_entries(halves[1]);
    unsigned class = class_for(entries);
    struct bucket *buckets = buckets_new(table, class);

    for (unsigned half = 0; half < 2; half++) {
        const struct bucket *from = node_buckets(halves[half]);

        /* The bit that told the halves apart becomes the first of the tag. */
        each_word(halves[half], at, place)
        {
            leaf_place(buckets, class_buckets[class], half << (TAG_BITS - 1) | tag_at(&from[at], place) >> 1,
                       word_load(&from[at].words[place]));
        }
        buckets_free(table, halves[half]);
    }
    table->moved += entries;
    return leaf_node(buckets, class, entries, node_depth(halves[0]) - 1);
}

/* Merges the leaf of a hash with its sibling if both are small. */
static bool merge(struct table *table, uint64_t hash)
{
    struct path path = path_to(table, hash);
    unsigned sibling_index;
    uint64_t sibling, halves[2];
    bool was_deepest = path.cells == 1, is_first;

    if (path.directory_cell == NULL) return false;
    sibling_index = path.index ^ path.cells;
    sibling = node_load(path.cell - path.index + sibling_index);
    if (node_is_directory(sibling) || node_depth(sibling) != node_depth(path.leaf)) return false;
    if (node_entries(path.leaf) + node_entries(sibling) > MERGE_ENTRIES_MAX) return false;

    is_first = path.index < sibling_index;
    halves[0] = is_first ? path.leaf : sibling;
    halves[1] = is_first ? sibling : path.leaf;
    if (!is_first) path.cell -= path.cells;
    path.cells *= 2;
    path_store(&path, leaf_merged(table, halves));
    /* A directory below another one hangs on a cell of its own, of that one's full depth. */
    if (was_deepest)
        directory_trim(table, path.directory_cell, path.directory_cell == &table->root ? 0 : DIRECTORY_BITS_MAX);
    return true;
}

struct entry *table_remove(struct table *table, uint64_t hash, table_word *word)
{
    struct path path = path_to(table, hash);
    struct entry *entry = table_entry(word);
    unsigned class = node_class(path.leaf), entries = node_entries(path.leaf) - 1;

    leaf_unplace(node_buckets(path.leaf), class_buckets[class], word);
    path_store(&path, leaf_node(node_buckets(path.leaf), class, entries, node_depth(path.leaf)));
    if (merge(table, hash)) {
        /* On to the next level, so that two sibling leaves never have fewer entries than a merged one may have. */
        while (merge(table, hash)) continue;
        return entry;
    }
    if (entries == 0) {
        buckets_free(table, path.leaf);
        path_store(&path, leaf_node(NULL, 0, 0, node_depth(path.leaf)));
    } else if (entries + entries / 8 + 1 <= class_capacity(class - 1)) {
        path_store(&path, leaf_rebuilt(table, path.leaf, class - 1));
    }
    return entry;
}

static void free_leaf(struct table *table, uint64_t leaf)
{
    each_word(leaf, at, place)
    {
        struct entry *entry = table_entry(&node_buckets(leaf)[at].words[place]);
        entry_free(&entry);
    }
    buckets_free(table, leaf);
}

static void spend(size_t *budget, size_t by)
{
    *budget -= by < *budget ? by : *budget;
}

/* Frees what a cell leads to while the budget lasts; true when all of it is gone. What is gone leaves 0 behind in its cells, which a
 * living directory never holds: a leaf in one has a depth. */
static bool free_below(struct table *table, _Atomic uint64_t *cell, size_t *budget)
{
    uint64_t node = node_load(cell);

    if (!node_is_directory(node)) {
        spend(budget, 1u + node_entries(node));
        free_leaf(table, node);
        node_store(cell, 0);
        return true;
    }
    for (size_t i = 0, step; i < (size_t)1 << node_bits(node); i += step) {
        _Atomic uint64_t *below = node_cells(node) + i;
        uint64_t kept = node_load(below);

        step = 1;
        if (kept == 0) continue;
        if (*budget == 0) return false;
        if (!node_is_directory(kept)) step = (size_t)1 << (node_bits(node) - node_depth(kept));
        if (!free_below(table, below, budget)) return false;
        for (size_t same = 1; same < step; same++) node_store(below + same, 0);
    }
    cells_free(table, node);
    node_store(cell, 0);
    return true;
}

bool table_clear_some(struct table *table, size_t *budget)
{
    return free_below(table, &table->root, budget);
}

void table_clear(struct table *table)
{
    size_t all = SIZE_MAX;

    while (!table_clear_some(table, &all)) all = SIZE_MAX;
}

void table_move(struct table *to, struct table *from)
{
    atomic_init(&to->root, node_load(&from->root));
    atomic_init(&to->bytes, atomic_load_explicit(&from->bytes, memory_order_relaxed));
    to->moved = 0;
    node_store(&from->root, 0);
    atomic_store_explicit(&from->bytes, 0, memory_order_relaxed);
}

/* --- Visiting --- */

uint32_t table_scan(const struct table *table, uint32_t cursor, void (*visit)(void *context, struct entry *entry),
                    void *context)
{
    uint64_t hash = (uint64_t)cursor << 32, prefix;
    unsigned depth, tag, tag_end = TAG_COUNT;
    uint64_t leaf = leaf_of(table, hash, &depth);
    unsigned buckets = class_buckets[node_class(leaf)];

    tag = tag_of(hash, depth);
    if (buckets != 0) {
        unsigned home = home_of(tag, buckets);

        /* One bucket, unless the leaf's prefix is so long that the cursor has no room for a bucket. */
        if (depth + TAG_BITS <= 32) tag_end = ((home + 1) * TAG_COUNT + buckets - 1) / buckets;
        for (unsigned at = home, seen = 0; seen < buckets; at = next_of(at, buckets), seen++) {
            const struct bucket *bucket = &node_buckets(leaf)[at];

            for (unsigned place = 0; place < BUCKET_ENTRIES; place++) {
                unsigned own = tag_at(bucket, place);
                if (word_load(&bucket->words[place]) != 0 && own >= tag && own < tag_end)
                    visit(context, table_entry(&bucket->words[place]));
            }
            if (passers(bucket) == 0 && tag_end != TAG_COUNT) break;
        }
    }
    prefix = depth == 0 ? 0 : hash >> (64 - depth);
    if (tag_end < TAG_COUNT)
        hash = (depth == 0 ? 0 : prefix << (64 - depth)) | (uint64_t)tag_end << (64 - TAG_BITS - depth);
    else
        hash = depth == 0 ? 0 : (prefix + 1) << (64 - depth);
    return (uint32_t)(hash >> 32);
}

struct entry *table_random(const struct table *table, struct random *random)
{
    uint64_t hash = random_u64(random), wanted;
    unsigned depth;
    uint64_t leaf = leaf_of(table, hash, &depth);

    if (depth == 0 && node_entries(leaf) == 0) return NULL;
    /* Empty leaves are rare, and two siblings are never both empty: merging sees to it. */
    while (node_entries(leaf) == 0) leaf = leaf_of(table, random_u64(random), &depth);
    wanted = random_below(random, node_entries(leaf));
    each_word(leaf, at, place)
    {
        if (wanted-- == 0) return table_entry(&node_buckets(leaf)[at].words[place]);
    }
    return NULL;
}
