/* store/table.c: see table.h for how it works. */
#include "store/table_internal.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/reclaim.h"
#include "base/relocate.h"

#include <string.h>

#define MERGE_ENTRIES_MAX 54u /* half of what splits a leaf, so that no leaf splits and merges in turns */
#define ENTRY_LINE_BYTES 64
#define DIRECTORY_BITS_MAX 9u
#define DEPTH_MAX 32u /* 2^32 leaves; also what a scan's cursor can tell apart */

static void count_bytes(struct table *table, int64_t more)
{
    uint64_t bytes = atomic_load_explicit(&table->bytes, memory_order_relaxed);
    atomic_store_explicit(&table->bytes, bytes + (uint64_t)more, memory_order_relaxed);
}

/* --- Inside a leaf --- */

/* A few places stay free, so that searches remain short to the last. */
static unsigned class_capacity(unsigned class, bool hinted)
{
    unsigned buckets = class_buckets(class, hinted);

    return buckets * BUCKET_ENTRIES - buckets / 4;
}

static unsigned class_for(unsigned entries, bool hinted)
{
    unsigned class = hinted ? 1 : 0;

    while (class_capacity(class, hinted) < entries) class ++;
    return class;
}

static void add_passer(struct bucket *bucket, uint64_t more)
{
    word_store(&bucket->fingerprints, word_load(&bucket->fingerprints) + (more << 56));
}

/* Puts a word into the first free place from its home on; there is one. Returns where it came to. */
static struct position leaf_place(struct bucket *leaf, unsigned buckets, unsigned tag, uint64_t word)
{
    for (unsigned at = home_of(tag, buckets);; at = next_of(at, buckets)) {
        struct bucket *bucket = &leaf[at];

        for (unsigned place = 0; place < BUCKET_ENTRIES; place++) {
            if (word_load(&bucket->words[place]) != 0) continue;
            word_store(&bucket->words[place], (word & ~(uint64_t)15) | tag >> 8);
            word_store(&bucket->fingerprints, word_load(&bucket->fingerprints) | (uint64_t)(tag & 255) << 8 * place);
            return (struct position){ at, place };
        }
        add_passer(bucket, 1);
    }
}

static struct position position_of(uint64_t leaf, const table_word *word)
{
    unsigned at = (unsigned)((size_t)((const char *)word - (const char *)node_buckets(leaf)) / sizeof(struct bucket));

    return (struct position){ at, (unsigned)(word - node_buckets(leaf)[at].words) };
}

void leaf_unplace(uint64_t leaf, struct position position)
{
    struct bucket *buckets = node_buckets(leaf), *bucket = &buckets[position.bucket];
    unsigned count = node_bucket_count(leaf);
    unsigned home = home_of(tag_at(bucket, position.place), count);

    for (; home != position.bucket; home = next_of(home, count)) add_passer(&buckets[home], (uint64_t)-1);
    word_store(&bucket->fingerprints, word_load(&bucket->fingerprints) & ~((uint64_t)255 << 8 * position.place));
    word_store(&bucket->words[position.place], 0);
}

static struct bucket *buckets_new(struct table *table, unsigned class)
{
    size_t bytes = class_lines[class] * sizeof(struct bucket);

    if (class == 0) return NULL;
    count_bytes(table, (int64_t)bytes);
    return alloc_apart(bytes);
}

static void buckets_free(struct table *table, uint64_t leaf)
{
    count_bytes(table, -(int64_t)(class_lines[node_class(leaf)] * sizeof(struct bucket)));
    reclaim_later(node_buckets(leaf));
}

/* A leaf that is being filled. What would be searched for in it, where there is room and what is known of deadlines, is at hand. */
struct filling {
    uint64_t leaf;
    unsigned buckets;
    uint8_t used[LEAF_BUCKETS_MAX]; /* places of each bucket */
    struct bucket_hint hints[LEAF_BUCKETS_MAX];
    struct bucket_hint
        far[LEAF_BUCKETS_MAX]; /* of what was not near where it was: a hint of an earlier span than its own */
};

static void filling_begin(struct filling *filling, uint64_t leaf)
{
    *filling = (struct filling){ .leaf = leaf, .buckets = node_bucket_count(leaf) };
}

/* As leaf_place(). */
static inline struct position filling_add(struct filling *filling, unsigned tag, uint64_t word)
{
    struct bucket *buckets = node_buckets(filling->leaf);
    unsigned at = home_of(tag, filling->buckets), place;

    for (; filling->used[at] == BUCKET_ENTRIES; at = next_of(at, filling->buckets)) add_passer(&buckets[at], 1);
    place = filling->used[at]++;
    word_store(&buckets[at].words[place], (word & ~(uint64_t)15) | tag >> 8);
    word_store(&buckets[at].fingerprints, word_load(&buckets[at].fingerprints) | (uint64_t)(tag & 255) << 8 * place);
    return (struct position){ at, place };
}

/* Where nothing near came to a bucket, the far ones are looked at when those were due that they were far from: not later than
 * necessary, so that a leaf whose deadlines are all over has no hint left. */
static void filling_end(struct filling *filling)
{
    hint_place *line = node_hints(filling->leaf);

    if (!node_is_hinted(filling->leaf)) return;
    for (unsigned at = 0; at < filling->buckets; at++) {
        struct bucket_hint hint = filling->hints[at], far = filling->far[at];

        if (hint.earliest == HINT_NONE)
            hint = far;
        else if (far.earliest != HINT_NONE && !hint_is_in_span(far.earliest, hint.earliest))
            bucket_hint_lower(&hint, far.near, hint_next_span(far.earliest));
        leaf_hints_set(line, filling->buckets, at, hint.earliest, hint.near);
    }
}

/* Adds all words of a leaf. Entries are not looked at: each takes along what the hint of its bucket says of it, which may be earlier
 * than the truth. half and shift turn the tag it had into the one it gets. */
static void filling_add_leaf(struct filling *filling, uint64_t from, unsigned half, unsigned shift)
{
    bool hinted = node_is_hinted(from) && node_is_hinted(filling->leaf);

    for (unsigned at = 0; at < node_bucket_count(from); at++) {
        const struct bucket *bucket = &node_buckets(from)[at];
        struct bucket_hint hint = { HINT_NONE, 0 };

        if (hinted) hint = leaf_hints_bucket(node_hints(from), at);
        for (unsigned place = 0; place < BUCKET_ENTRIES; place++) {
            uint64_t word = word_load(&bucket->words[place]);
            struct bucket_hint *kept;
            struct position came_to;

            if (word == 0) continue;
            came_to = filling_add(filling, half << (TAG_BITS - 1) | tag_at(bucket, place) >> shift, word);
            if (hint.earliest == HINT_NONE) continue;
            kept = (hint.near >> place & 1) != 0 ? filling->hints : filling->far;
            bucket_hint_lower(&kept[came_to.bucket], 1u << came_to.place, hint.earliest);
        }
    }
}

/* The same leaf with another number of buckets, and with or without hints. */
static uint64_t leaf_rebuilt(struct table *table, uint64_t leaf, unsigned class, bool hinted)
{
    uint64_t rebuilt = leaf_node(buckets_new(table, class), class, hinted, node_entries(leaf), node_depth(leaf));
    struct filling filling;

    filling_begin(&filling, rebuilt);
    filling_add_leaf(&filling, leaf, 0, 0);
    filling_end(&filling);
    table->moved += node_entries(leaf);
    buckets_free(table, leaf);
    return rebuilt;
}

/* --- The way to a leaf --- */

struct path {
    _Atomic uint64_t *cell;           /* the leaf's, the first of them if it has several */
    _Atomic uint64_t *directory_cell; /* what leads to its directory; NULL where the leaf is the root */
    unsigned index;                   /* of cell in the directory */
    unsigned bits;                    /* of the directory */
    unsigned cells;                   /* how many lead to the leaf */
    hint_place *hint;                 /* the leaf's, beside cell */
    unsigned depth;                   /* length of the leaf's prefix */
    uint64_t leaf;
};

static struct path path_to(struct table *table, uint64_t hash)
{
    struct path path = { .cell = &table->root, .cells = 1, .hint = &table->hint };
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
        path.hint = node_cell_hints(node) + path.index;
    }
    path.depth = used + node_depth(path.leaf);
    if (path.directory_cell != NULL) {
        path.cells = 1u << (path.bits - node_depth(path.leaf));
        path.cell -= path.index & (path.cells - 1);
        path.hint -= path.index & (path.cells - 1);
        path.index &= ~(path.cells - 1);
    }
    return path;
}

static void path_store(struct path *path, uint64_t leaf)
{
    for (unsigned i = 0; i < path->cells; i++) node_store(path->cell + i, leaf);
    path->leaf = leaf;
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
    unsigned buckets = node_bucket_count(leaf);
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

/* --- Looking ahead --- */

static struct bucket *home_bucket(const struct table *table, uint64_t hash, unsigned *tag)
{
    unsigned depth;
    uint64_t leaf = leaf_of(table, hash, &depth);

    *tag = tag_of(hash, depth);
    if (node_class(leaf) == 0) return NULL;
    return &node_buckets(leaf)[home_of(*tag, node_bucket_count(leaf))];
}

void table_prefetch_cell(const struct table *table, uint64_t hash)
{
    uint64_t node = node_load(&table->root);
    unsigned tag;

    if (node_is_directory(node))
        __builtin_prefetch((const void *)(node_cells(node) + (hash >> (64 - node_bits(node)))));
    else
        __builtin_prefetch(home_bucket(table, hash, &tag));
}

void table_prefetch_bucket(const struct table *table, uint64_t hash)
{
    unsigned tag;

    if (node_is_directory(node_load(&table->root))) __builtin_prefetch(home_bucket(table, hash, &tag));
}

/* Of the home bucket only: four entries out of five are there. */
void table_prefetch_entry(const struct table *table, uint64_t hash)
{
    unsigned tag;
    const struct bucket *bucket = home_bucket(table, hash, &tag);

    if (bucket == NULL) return;
    for (uint64_t marks = marks_of(word_load(&bucket->fingerprints), tag); marks != 0; marks &= marks - 1) {
        uintptr_t entry = (uintptr_t)table_entry(&bucket->words[place_of(marks)]);

        /* The address may be stale by now, or none; a prefetch of it does no harm. */
        __builtin_prefetch((const void *)entry);
        __builtin_prefetch((const void *)(entry + ENTRY_LINE_BYTES));
    }
}

/* --- Growing --- */

static size_t cells_bytes(unsigned bits)
{
    return (sizeof(uint64_t) + sizeof(uint32_t)) << bits;
}

/* A directory whose cells and hints are to be written. */
static uint64_t directory_new(struct table *table, unsigned bits)
{
    count_bytes(table, (int64_t)cells_bytes(bits));
    return directory_node(alloc_apart(cells_bytes(bits)), bits);
}

static void directory_free(struct table *table, uint64_t directory)
{
    count_bytes(table, -(int64_t)cells_bytes(node_bits(directory)));
    reclaim_later((void *)node_cells(directory));
}

static void directory_double(struct table *table, _Atomic uint64_t *cell)
{
    uint64_t directory = node_load(cell), doubled = directory_new(table, node_bits(directory) + 1);

    for (size_t i = 0; i < (size_t)1 << node_bits(doubled); i++) {
        node_store(node_cells(doubled) + i, node_load(node_cells(directory) + i / 2));
        hint_store(&node_cell_hints(doubled)[i], hint_load(&node_cell_hints(directory)[i / 2]));
    }
    node_store(cell, doubled);
    directory_free(table, directory);
}

/* Two leaves for one, the depth of each being one more. As all entries are looked at, their hints are exact. */
static void leaf_split(struct table *table, uint64_t leaf, unsigned depth, int64_t now_ms, uint64_t halves[2])
{
    uint64_t words[TABLE_LEAF_MAX], hashes[TABLE_LEAF_MAX];
    const struct entry *entries_of[TABLE_LEAF_MAX];
    uint32_t hints[TABLE_LEAF_MAX];
    unsigned entries = 0, counts[2] = { 0, 0 };
    bool hinted[2] = { false, false };
    struct filling fillings[2];

    assert(depth < DEPTH_MAX); /* the seed is secret: nobody can choose a hundred keys of one prefix */
    each_word(leaf, at, place)
    {
        words[entries] = word_load(&node_buckets(leaf)[at].words[place]);
        entries_of[entries] = table_entry(&node_buckets(leaf)[at].words[place]);
        __builtin_prefetch(entries_of[entries++]);
    }
    for (unsigned i = 0; i < entries; i++) {
        unsigned half;

        hashes[i] = hash_bytes(entry_key(entries_of[i]));
        half = (unsigned)(hashes[i] << depth >> 63);
        hints[i] = node_is_hinted(leaf) ? hint_of(entry_expires_at_ms(entries_of[i]), now_ms) : HINT_NONE;
        counts[half]++;
        if (hints[i] != HINT_NONE) hinted[half] = true;
    }
    for (int half = 0; half < 2; half++) {
        unsigned class = class_for(counts[half], hinted[half]);

        halves[half] = leaf_node(buckets_new(table, class), class, hinted[half], counts[half], node_depth(leaf) + 1);
        filling_begin(&fillings[half], halves[half]);
    }
    for (unsigned i = 0; i < entries; i++) {
        struct filling *filling = &fillings[hashes[i] << depth >> 63];
        struct position came_to = filling_add(filling, tag_of(hashes[i], depth + 1), words[i]);

        if (hints[i] != HINT_NONE) bucket_hint_lower(&filling->hints[came_to.bucket], 1u << came_to.place, hints[i]);
    }
    for (int half = 0; half < 2; half++) filling_end(&fillings[half]);
    table->moved += entries;
    buckets_free(table, leaf);
}

static void split(struct table *table, uint64_t hash, int64_t now_ms)
{
    struct path path = path_to(table, hash);
    uint64_t halves[2];

    if (path.directory_cell != NULL && path.cells == 1 && path.bits < DIRECTORY_BITS_MAX) {
        directory_double(table, path.directory_cell);
        path = path_to(table, hash);
    }
    leaf_split(table, path.leaf, path.depth, now_ms, halves);
    if (path.cells == 1) {
        /* It is the root, or its directory is as large as one gets. */
        uint64_t directory = directory_new(table, 1);

        for (int half = 0; half < 2; half++) {
            node_store(node_cells(directory) + half, leaf_with_depth(halves[half], 1));
            hint_store(&node_cell_hints(directory)[half], leaf_hint(halves[half]));
        }
        node_store(path.cell, directory);
        return;
    }
    for (unsigned i = 0; i < path.cells; i++) node_store(path.cell + i, halves[i >= path.cells / 2]);
    for (unsigned half = 0; half < 2; half++) hint_store(&path.hint[half * path.cells / 2], leaf_hint(halves[half]));
}

void table_lower_hints(struct table *table, uint64_t hash, uint32_t hint)
{
    uint64_t node = node_load(&table->root);
    hint_place *above = &table->hint;
    unsigned used = 0;

    for (;;) {
        unsigned bits = node_bits(node), index, cells = 1;
        uint64_t below;

        hint_lower(above, hint);
        if (!node_is_directory(node)) return;
        index = (unsigned)(hash << used >> (64 - bits));
        below = node_load(node_cells(node) + index);
        if (!node_is_directory(below)) cells = 1u << (bits - node_depth(below));
        above = node_cell_hints(node) + (index & ~(cells - 1));
        used += bits;
        node = below;
    }
}

/* Lowers the hint of a bucket for the entry at a position of the leaf, and those of all that leads to it. */
static void lower_hints(struct table *table, uint64_t hash, uint64_t leaf, struct position position, uint32_t hint)
{
    if (leaf_hints_lower(node_hints(leaf), node_bucket_count(leaf), position.bucket, position.place, hint))
        table_lower_hints(table, hash, hint);
}

/* The way to a leaf that has room for so many entries more, and for their hints if it needs any. */
static struct path path_with_room(struct table *table, uint64_t hash, unsigned more, bool needs_hints, int64_t now_ms)
{
    struct path path = path_to(table, hash);
    bool hinted;

    for (;;) {
        hinted = needs_hints || node_is_hinted(path.leaf);
        if (node_entries(path.leaf) + more <= class_capacity(LEAF_CLASS_MAX, hinted)) break;
        split(table, hash, now_ms);
        path = path_to(table, hash);
    }
    if (hinted != node_is_hinted(path.leaf) ||
        node_entries(path.leaf) + more > class_capacity(node_class(path.leaf), hinted)) {
        unsigned class = class_for(node_entries(path.leaf) + more, hinted);

        path_store(&path, leaf_rebuilt(table, path.leaf, class, hinted));
    }
    return path;
}

void table_insert(struct table *table, uint64_t hash, struct entry *entry, uint16_t eviction_bits, int64_t now_ms)
{
    uint64_t word = (uintptr_t)entry | (uint64_t)eviction_bits << TABLE_EVICTION_SHIFT;
    uint32_t hint = hint_of(entry_expires_at_ms(entry), now_ms);
    struct path path = path_with_room(table, hash, 1, hint != HINT_NONE, now_ms);
    struct position came_to;

    assert(((uintptr_t)entry & ~TABLE_POINTER_MASK) == 0);
    came_to = leaf_place(node_buckets(path.leaf), node_bucket_count(path.leaf), tag_of(hash, path.depth), word);
    path_store(&path, leaf_with_entries(path.leaf, node_entries(path.leaf) + 1));
    if (hint != HINT_NONE) lower_hints(table, hash, path.leaf, came_to, hint);
}

void table_replace(struct table *table, uint64_t hash, table_word *word, struct entry *entry, int64_t now_ms)
{
    uint32_t hint = hint_of(entry_expires_at_ms(entry), now_ms);
    unsigned depth;
    uint64_t leaf;

    assert(((uintptr_t)entry & ~TABLE_POINTER_MASK) == 0);
    word_store(word, (word_load(word) & ~TABLE_POINTER_MASK) | (uintptr_t)entry);
    if (hint == HINT_NONE) return;
    leaf = leaf_of(table, hash, &depth);
    if (!node_is_hinted(leaf)) {
        leaf = path_with_room(table, hash, 0, true, now_ms).leaf;
        word = table_find_entry(table, hash, entry);
    }
    lower_hints(table, hash, leaf, position_of(leaf, word), hint);
}

/* --- Shrinking --- */

/* Makes a directory no larger than its deepest leaf asks for; one that leads to a single leaf goes away. */
static void directory_trim(struct table *table, _Atomic uint64_t *cell, unsigned cell_depth)
{
    uint64_t directory = node_load(cell);
    unsigned bits = node_bits(directory), needed = 0;

    for (size_t i = 0; i < (size_t)1 << bits && needed < bits; i++) {
        uint64_t node = node_load(node_cells(directory) + i);
        unsigned depth = node_is_directory(node) ? bits : node_depth(node);
        if (depth > needed) needed = depth;
    }
    if (needed == bits) return;
    if (needed == 0) {
        node_store(cell, leaf_with_depth(node_load(node_cells(directory)), cell_depth));
    } else {
        uint64_t trimmed = directory_new(table, needed);

        for (size_t i = 0; i < (size_t)1 << needed; i++) {
            node_store(node_cells(trimmed) + i, node_load(node_cells(directory) + (i << (bits - needed))));
            hint_store(&node_cell_hints(trimmed)[i], hint_load(&node_cell_hints(directory)[i << (bits - needed)]));
        }
        node_store(cell, trimmed);
    }
    directory_free(table, directory);
}

static uint64_t leaf_merged(struct table *table, const uint64_t halves[2])
{
    unsigned entries = node_entries(halves[0]) + node_entries(halves[1]);
    bool hinted = leaf_hint(halves[0]) != HINT_NONE || leaf_hint(halves[1]) != HINT_NONE;
    unsigned class = class_for(entries, hinted);
    uint64_t merged = leaf_node(buckets_new(table, class), class, hinted, entries, node_depth(halves[0]) - 1);
    struct filling filling;

    filling_begin(&filling, merged);
    for (unsigned half = 0; half < 2; half++) {
        /* The bit that told the halves apart becomes the first of the tag. */
        filling_add_leaf(&filling, halves[half], half, 1);
        buckets_free(table, halves[half]);
    }
    filling_end(&filling);
    table->moved += entries;
    return merged;
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
    if (!is_first) {
        path.cell -= path.cells;
        path.hint -= path.cells;
    }
    path.cells *= 2;
    path_store(&path, leaf_merged(table, halves));
    hint_store(path.hint, leaf_hint(path.leaf));
    /* A directory below another one hangs on a cell of its own, of that one's full depth. */
    if (was_deepest)
        directory_trim(table, path.directory_cell, path.directory_cell == &table->root ? 0 : DIRECTORY_BITS_MAX);
    return true;
}

/* The smallest class that leaves some room for more, or the one it has. */
static unsigned class_shrunk(unsigned class, unsigned entries, bool hinted)
{
    while (entries + entries / 8 + 1 <= class_capacity(class - 1, hinted)) class --;
    return class;
}

void table_settle(struct table *table, uint64_t hash, unsigned taken)
{
    struct path path = path_to(table, hash);
    unsigned entries = node_entries(path.leaf) - taken, class;
    bool hinted;

    path_store(&path, leaf_with_entries(path.leaf, entries));
    if (merge(table, hash)) {
        /* On to the next level, so that two sibling leaves never have fewer entries than a merged one may have. */
        while (merge(table, hash)) continue;
        return;
    }
    if (entries == 0) {
        buckets_free(table, path.leaf);
        path_store(&path, leaf_node(NULL, 0, false, 0, node_depth(path.leaf)));
        return;
    }
    hinted = leaf_hint(path.leaf) != HINT_NONE;
    class = class_shrunk(node_class(path.leaf), entries, hinted);
    if (class != node_class(path.leaf)) path_store(&path, leaf_rebuilt(table, path.leaf, class, hinted));
}

struct entry *table_remove(struct table *table, uint64_t hash, table_word *word)
{
    struct entry *entry = table_entry(word);
    unsigned depth;
    uint64_t leaf = leaf_of(table, hash, &depth);

    leaf_unplace(leaf, position_of(leaf, word));
    table_settle(table, hash, 1);
    return entry;
}

/* --- Moving, without any other change --- */

static bool is_worth_moving(void *memory, uint64_t *moved, uint64_t *left)
{
    bool worth;

    relocate_judge(&memory, 1, &worth);
    ++*(worth ? moved : left);
    return worth;
}

static uint64_t leaf_relocated(struct table *table, uint64_t leaf)
{
    struct bucket *copy = buckets_new(table, node_class(leaf));

    memcpy((void *)copy, (const void *)node_buckets(leaf), class_lines[node_class(leaf)] * sizeof(struct bucket));
    buckets_free(table, leaf);
    return leaf_node(copy, node_class(leaf), node_is_hinted(leaf), node_entries(leaf), node_depth(leaf));
}

static void directory_relocate(struct table *table, _Atomic uint64_t *cell)
{
    uint64_t directory = node_load(cell), copy = directory_new(table, node_bits(directory));

    memcpy((void *)node_cells(copy), (const void *)node_cells(directory), cells_bytes(node_bits(directory)));
    node_store(cell, copy);
    directory_free(table, directory);
}

uint32_t table_relocate_nodes(struct table *table, uint32_t cursor, uint64_t *moved, uint64_t *left)
{
    uint64_t hash = (uint64_t)cursor << 32;
    _Atomic uint64_t *cell = &table->root;
    struct path path;

    for (unsigned used = 0; node_is_directory(node_load(cell));) {
        unsigned bits;

        if (hash << used == 0 && is_worth_moving((void *)node_cells(node_load(cell)), moved, left))
            directory_relocate(table, cell);
        bits = node_bits(node_load(cell));
        cell = node_cells(node_load(cell)) + (hash << used >> (64 - bits));
        used += bits;
    }
    path = path_to(table, hash);
    if (hash << path.depth == 0 && node_class(path.leaf) != 0 && is_worth_moving(node_buckets(path.leaf), moved, left))
        path_store(&path, leaf_relocated(table, path.leaf));
    return path.depth == 0 ? 0 : ((cursor >> (32 - path.depth)) + 1) << (32 - path.depth);
}

/* --- Freeing all --- */

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
    directory_free(table, node);
    node_store(cell, 0);
    return true;
}

bool table_clear_some(struct table *table, size_t *budget)
{
    hint_store(&table->hint, HINT_NONE);
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
    atomic_init(&to->hint, hint_load(&from->hint));
    to->moved = 0;
    node_store(&from->root, 0);
    hint_store(&from->hint, HINT_NONE);
    atomic_store_explicit(&from->bytes, 0, memory_order_relaxed);
}
