/* store/table_visit.c: the ways through a table that are not by key: a scan, a random entry, what is due. */
#include "store/table_internal.h"

#include "base/hash.h"
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

/* --- Revising ---
 *
 * So that nobody waits for memory, a leaf is fetched while the one before it is revised: its buckets first, and then, with each bucket that is revised, the
 * entries of one. To fetch all of it at once is to wait, too: only some ten lines can be on their way. */

static void fetch_buckets(uint64_t leaf)
{
    for (unsigned at = 0; at < node_bucket_count(leaf); at++) __builtin_prefetch(&node_buckets(leaf)[at]);
    if (node_is_hinted(leaf)) __builtin_prefetch((const void *)node_hints(leaf));
}

static void fetch_entries(uint64_t leaf, unsigned at)
{
    for (unsigned place = 0; place < BUCKET_ENTRIES; place++) {
        const struct entry *entry = table_entry(&node_buckets(leaf)[at].words[place]);

        if (entry != NULL) __builtin_prefetch(entry);
    }
}

/* Those of all its buckets from one on. */
static void fetch_rest(uint64_t leaf, unsigned at)
{
    for (; at < node_bucket_count(leaf); at++) fetch_entries(leaf, at);
}

/* False: the leaf was replaced, by one with hints, when it came by its first deadline. next: what is to be fetched meanwhile; a leaf that may be empty. */
static bool revise_leaf(struct table *table, uint64_t hash, uint64_t leaf, uint64_t next,
                        bool (*revise)(void *context, table_word *word), void *context, int64_t now_ms)
{
    uint32_t earliest = HINT_NONE;
    unsigned fetched = 0; /* of the next leaf's buckets */

    each_word(leaf, at, place)
    {
        table_word *word = &node_buckets(leaf)[at].words[place];
        uint32_t hint;

        for (; fetched <= at && fetched < node_bucket_count(next); fetched++) fetch_entries(next, fetched);
        if (!revise(context, word)) continue;
        hint = hint_of(entry_expires_at_ms(table_entry(word)), now_ms);
        if (hint == HINT_NONE) continue;
        if (!node_is_hinted(leaf)) {
            table_replace(table, hash_bytes(entry_key(table_entry(word))), word, table_entry(word), now_ms);
            return false;
        }
        if (leaf_hints_lower(node_hints(leaf), node_bucket_count(leaf), at, place, hint))
            earliest = hint_earlier(earliest, hint);
    }
    if (earliest != HINT_NONE) table_lower_hints(table, hash, earliest);
    fetch_rest(next, fetched);
    return true;
}

uint32_t table_revise(struct table *table, uint32_t cursor, bool (*revise)(void *context, table_word *word),
                      void *context, int64_t now_ms)
{
    uint64_t hash = (uint64_t)cursor << 32, leaf, next;
    uint32_t behind;
    unsigned depth, depth_of_next;

    for (bool is_first = cursor == 0;; is_first = false) {
        leaf = leaf_of(table, hash, &depth);
        behind = depth == 0 ? 0 : (uint32_t)((((uint64_t)cursor >> (32 - depth)) + 1) << (32 - depth));
        next = behind == 0 ? 0 : leaf_of(table, (uint64_t)behind << 32, &depth_of_next);
        fetch_buckets(is_first ? leaf : next);
        if (is_first) {
            fetch_rest(leaf, 0);
            fetch_buckets(next);
        }
        /* A leaf that was full is two afterwards, and the rest of it comes with the next cursor. */
        if (revise_leaf(table, hash, leaf, next, revise, context, now_ms)) return behind;
    }
}

/* --- What is due --- */

struct search_due {
    int64_t now_ms;
    struct entry **due;
    unsigned found;
    uint64_t hash; /* leads to the leaf that was looked at */
};

static unsigned due_buckets(uint64_t leaf, int64_t now_ms)
{
    return leaf_hints_due(node_hints(leaf), node_bucket_count(leaf), now_ms);
}

#define each_bit(bits, at)                                                                                             \
    for (unsigned left_ = (bits), at; left_ != 0 && (at = (unsigned)__builtin_ctz(left_), true); left_ &= left_ - 1)

/* What a visit to a bucket reads. When the only near entry goes all others are looked at, to know when one of them is due. */
static unsigned places_read(uint64_t leaf, unsigned at)
{
    unsigned near = leaf_hints_near(node_hints(leaf), at);

    return near != 0 && (near & (near - 1)) != 0 ? near : NEAR_ALL;
}

static void prefetch_entries(uint64_t leaf, unsigned at)
{
    const struct bucket *bucket = &node_buckets(leaf)[at];

    each_bit(places_read(leaf, at), place)
    {
        const struct entry *entry = table_entry(&bucket->words[place]);

        /* To find that nothing is mapped at 0 takes the processor as long as a miss, each time. */
        if (entry != NULL) __builtin_prefetch(entry);
    }
}

/* What is to be known of a bucket once the due entries are gone. */
struct rest {
    uint32_t hints[BUCKET_ENTRIES]; /* of the places that were read */
    uint32_t earliest;
};

static void look_at_places(struct search_due *search, uint64_t leaf, unsigned at, unsigned places, struct rest *rest)
{
    each_bit(places, place)
    {
        struct entry *entry = table_entry(&node_buckets(leaf)[at].words[place]);

        if (entry == NULL) continue;
        if (entry_is_expired(entry, search->now_ms)) {
            search->due[search->found++] = entry;
            leaf_unplace(leaf, (struct position){ at, place });
            continue;
        }
        rest->hints[place] = hint_of(entry_expires_at_ms(entry), search->now_ms);
        rest->earliest = hint_earlier(rest->earliest, rest->hints[place]);
    }
}

/* Takes what is due out of a bucket, and sets its hint right. */
static void look_at_bucket(struct search_due *search, uint64_t leaf, unsigned at)
{
    hint_place *line = node_hints(leaf);
    unsigned near = leaf_hints_near(line, at), still_near = 0;
    struct rest rest = { .earliest = HINT_NONE };

    look_at_places(search, leaf, at, near, &rest);
    if (rest.earliest == HINT_NONE || !hint_is_in_span(rest.earliest, leaf_hints_get(line, at)))
        look_at_places(search, leaf, at, NEAR_ALL & ~near, &rest);
    for (unsigned place = 0; place < BUCKET_ENTRIES; place++)
        if (rest.hints[place] != HINT_NONE && hint_is_in_span(rest.hints[place], rest.earliest))
            still_near |= 1u << place;
    leaf_hints_set(line, node_bucket_count(leaf), at, rest.earliest, still_near);
}

/* What is not looked at for want of room keeps its hint, and is looked at next time. */
static uint32_t look_at_leaf(struct search_due *search, uint64_t leaf)
{
    unsigned due;

    if (!node_is_hinted(leaf)) return HINT_NONE;
    due = due_buckets(leaf, search->now_ms);
    each_bit(due, at) __builtin_prefetch(&node_buckets(leaf)[at]);
    each_bit(due, at) prefetch_entries(leaf, at);
    each_bit(due, at) if (search->found + BUCKET_ENTRIES <= TABLE_DUE_MAX) look_at_bucket(search, leaf, at);
    return leaf_hint(leaf);
}

/* Goes down to the first leaf that is due and, on the way back, sets right what leads to it. Returns the node's hint. */
static uint32_t look_below(struct search_due *search, uint64_t node, unsigned used)
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
            search->hash |= (uint64_t)i << (64 - used - node_bits(node));
            hint_store(&hints[i], look_below(search, below, used + node_bits(node)));
            looked = true;
        }
        earliest = hint_earlier(earliest, hint_load(&hints[i]));
    }
    return earliest;
}

unsigned table_take_due(struct table *table, int64_t now_ms, struct entry *due[TABLE_DUE_MAX])
{
    struct search_due search = { .now_ms = now_ms, .due = due };

    if (!hint_is_due(hint_load(&table->hint), now_ms)) return 0;
    hint_store(&table->hint, look_below(&search, node_load(&table->root), 0));
    if (search.found > 0) table_settle(table, search.hash, search.found);
    return search.found;
}

/* --- Looking ahead --- */

#define AHEAD_BITS_MAX 4u /* a larger directory has more due leaves than one visit gets to */

static void prefetch_leaf(uint64_t leaf, int64_t now_ms, enum due_step step)
{
    if (!node_is_hinted(leaf)) return;
    if (step <= DUE_HINTS) {
        __builtin_prefetch((const void *)node_hints(leaf));
        return;
    }
    each_bit(due_buckets(leaf, now_ms), at)
    {
        if (step == DUE_BUCKETS)
            __builtin_prefetch(&node_buckets(leaf)[at]);
        else
            prefetch_entries(leaf, at);
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
