/* store/table_visit.c: the ways through a table that are not by key: a scan, a random entry, what is due. */
#include "store/table_internal.h"

#include "base/random.h"

uint32_t table_scan_words(const struct table *table, uint32_t cursor,
                          void (*visit)(void *context, table_word *word, uint64_t hash), void *context)
{
    uint64_t hash = (uint64_t)cursor << 32, prefix;
    unsigned depth, tag, tag_end = TAG_COUNT;
    uint64_t leaf = leaf_of(table, hash, &depth);
    unsigned buckets = node_bucket_count(leaf);

    tag = tag_of(hash, depth);
    prefix = depth == 0 ? 0 : hash >> (64 - depth) << (64 - depth);
    if (buckets != 0) {
        unsigned home = home_of(tag, buckets);

        /* One bucket, unless the leaf's prefix is so long that the cursor has no room for a bucket. */
        if (depth + TAG_BITS <= 32) tag_end = ((home + 1) * TAG_COUNT + buckets - 1) / buckets;
        for (unsigned at = home, seen = 0; seen < buckets; at = next_of(at, buckets), seen++) {
            struct bucket *bucket = &node_buckets(leaf)[at];

            for (unsigned place = 0; place < BUCKET_ENTRIES; place++) {
                unsigned own = tag_at(bucket, place);
                if (word_load(&bucket->words[place]) != 0 && own >= tag && own < tag_end)
                    visit(context, &bucket->words[place], prefix | (uint64_t)own << (64 - TAG_BITS - depth));
            }
            if (passers(bucket) == 0 && tag_end != TAG_COUNT) break;
        }
    }
    if (tag_end < TAG_COUNT)
        hash = prefix | (uint64_t)tag_end << (64 - TAG_BITS - depth);
    else
        hash = depth == 0 ? 0 : prefix + ((uint64_t)1 << (64 - depth));
    return (uint32_t)(hash >> 32);
}

struct entry_visit {
    void (*visit)(void *context, struct entry *entry);
    void *context;
};

static void visit_entry(void *context, table_word *word, uint64_t hash)
{
    const struct entry_visit *visit = context;

    (void)hash;
    visit->visit(visit->context, table_entry(word));
}

uint32_t table_scan(const struct table *table, uint32_t cursor, void (*visit)(void *context, struct entry *entry),
                    void *context)
{
    struct entry_visit each = { visit, context };

    return table_scan_words(table, cursor, visit_entry, &each);
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
        if (wanted == 0) return table_entry(&node_buckets(leaf)[at].words[place]);
        wanted--;
    }
    return NULL;
}

/* --- What is due --- */

struct search_due {
    int64_t now_ms;
    struct entry **due;
    unsigned found;
};

static bool bucket_is_due(uint64_t leaf, unsigned at, int64_t now_ms)
{
    return hint_is_due(hint_load(&node_hints(leaf)[at]), now_ms);
}

/* Looks at a due bucket, and sets its hint right. */
static void look_at_bucket(struct search_due *search, const struct bucket *bucket, hint_place *hint)
{
    uint32_t earliest = HINT_NONE;

    for (unsigned place = 0; place < BUCKET_ENTRIES; place++) {
        struct entry *entry = table_entry(&bucket->words[place]);

        if (entry == NULL) continue;
        if (entry_is_expired(entry, search->now_ms))
            search->due[search->found++] = entry;
        else
            earliest = hint_earlier(earliest, hint_of(entry_expires_at_ms(entry), search->now_ms));
    }
    hint_store(hint, earliest);
}

/* What is not looked at for want of room keeps its hint, and is looked at next time. */
static uint32_t look_at_leaf(struct search_due *search, uint64_t leaf)
{
    const struct bucket *buckets = node_buckets(leaf);

    if (!node_is_hinted(leaf)) return HINT_NONE;
    for (unsigned at = 0; at < node_bucket_count(leaf); at++)
        if (bucket_is_due(leaf, at, search->now_ms)) __builtin_prefetch(&buckets[at]);
    for (unsigned at = 0; at < node_bucket_count(leaf); at++)
        for (unsigned place = 0; bucket_is_due(leaf, at, search->now_ms) && place < BUCKET_ENTRIES; place++)
            __builtin_prefetch(table_entry(&buckets[at].words[place]));
    for (unsigned at = 0; at < node_bucket_count(leaf) && search->found + BUCKET_ENTRIES <= TABLE_DUE_MAX; at++)
        if (bucket_is_due(leaf, at, search->now_ms)) look_at_bucket(search, &buckets[at], &node_hints(leaf)[at]);
    return leaf_hint(leaf);
}

/* Goes down to the first leaf that is due and, on the way back, sets right what leads to it. Returns the node's hint. */
static uint32_t look_below(struct search_due *search, uint64_t node)
{
    uint32_t earliest = HINT_NONE;
    hint_place *hints;
    bool looked = false;

    if (!node_is_directory(node)) return look_at_leaf(search, node);
    hints = node_cell_hints(node);
    for (size_t i = 0, step; i < (size_t)1 << node_bits(node); i += step) {
        uint64_t below = node_load(node_cells(node) + i);

        step = node_is_directory(below) ? 1 : (size_t)1 << (node_bits(node) - node_depth(below));
        if (!looked && hint_is_due(hint_load(&hints[i]), search->now_ms)) {
            hint_store(&hints[i], look_below(search, below));
            looked = true;
        }
        earliest = hint_earlier(earliest, hint_load(&hints[i]));
    }
    return earliest;
}

unsigned table_find_due(struct table *table, int64_t now_ms, struct entry *due[TABLE_DUE_MAX])
{
    struct search_due search = { .now_ms = now_ms, .due = due };

    if (hint_is_due(hint_load(&table->hint), now_ms))
        hint_store(&table->hint, look_below(&search, node_load(&table->root)));
    return search.found;
}

/* --- Looking ahead --- */

#define AHEAD_BITS_MAX 4u /* a larger directory has more due leaves than one visit gets to */

static void prefetch_leaf(uint64_t leaf, int64_t now_ms, enum due_step step)
{
    const struct bucket *buckets = node_buckets(leaf);

    if (!node_is_hinted(leaf)) return;
    if (step <= DUE_HINTS) {
        __builtin_prefetch((const void *)node_hints(leaf));
        return;
    }
    for (unsigned at = 0; at < node_bucket_count(leaf); at++) {
        if (!bucket_is_due(leaf, at, now_ms)) continue;
        if (step == DUE_BUCKETS) {
            __builtin_prefetch(&buckets[at]);
            continue;
        }
        for (unsigned place = 0; place < BUCKET_ENTRIES; place++)
            __builtin_prefetch(table_entry(&buckets[at].words[place]));
    }
}

void table_prefetch_due(const struct table *table, int64_t now_ms, enum due_step step)
{
    uint64_t node = node_load(&table->root);

    if (!node_is_directory(node)) {
        prefetch_leaf(node, now_ms, step);
        return;
    }
    if (node_bits(node) > AHEAD_BITS_MAX) return;
    if (step == DUE_CELLS) {
        __builtin_prefetch((const void *)node_cells(node));
        __builtin_prefetch((const void *)node_cell_hints(node));
        return;
    }
    for (size_t i = 0, width; i < (size_t)1 << node_bits(node); i += width) {
        uint64_t below = node_load(node_cells(node) + i);

        width = node_is_directory(below) ? 1 : (size_t)1 << (node_bits(node) - node_depth(below));
        if (!node_is_directory(below) && hint_is_due(hint_load(&node_cell_hints(node)[i]), now_ms))
            prefetch_leaf(below, now_ms, step);
    }
}
