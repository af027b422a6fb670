/* store/slot_visit.c: a slot's entries seen one after the other, or one by chance; nothing is changed but the bits of eviction. */
#include "store/slot_internal.h"

#include "base/random.h"

uint32_t slot_scan(struct slot *slot, uint32_t cursor, void (*visit)(void *context, struct entry *entry), void *context)
{
    slot_assert_locked(slot);
    return table_scan(&slot->table, cursor, visit, context);
}

struct scan_once {
    void (*visit)(void *context, struct entry *entry);
    void *context;
    uint32_t cursor;
};

/* A cursor is a hash, and what lies below has been seen. A leaf that has been merged since tells hashes apart less finely, so that a scan begins a
 * little below its cursor there. */
static void visit_once(void *context, struct entry *entry)
{
    const struct scan_once *once = context;

    if (slot_hash(entry_key(entry)) >> 32 >= once->cursor) once->visit(once->context, entry);
}

uint32_t slot_scan_once(struct slot *slot, uint32_t cursor, void (*visit)(void *context, struct entry *entry),
                        void *context)
{
    struct scan_once once = { visit, context, cursor };

    return slot_scan(slot, cursor, visit_once, &once);
}

struct search_live {
    int64_t now_ms;
    struct entry *found;
};

static void keep_live(void *context, struct entry *entry)
{
    struct search_live *search = context;

    if (!entry_is_expired(entry, search->now_ms)) search->found = entry;
}

struct entry *slot_random(struct slot *slot, struct random *random, int64_t now_ms)
{
    struct search_live search = { .now_ms = now_ms };
    uint32_t cursor;

    slot_assert_locked(slot);
    for (int tries = 0; tries < 16; tries++) {
        struct entry *entry = table_random(&slot->table, random);

        if (entry == NULL || !entry_is_expired(entry, now_ms)) return entry;
    }
    /* Nearly all are expired. Whatever is live is then found by looking at everything, from somewhere on. */
    cursor = (uint32_t)random_u64(random);
    for (int turns = 0; turns < 2 && search.found == NULL; turns++) do
            cursor = table_scan(&slot->table, cursor, keep_live, &search);
        while (cursor != 0 && search.found == NULL);
    return search.found;
}

struct judging {
    uint16_t (*judge)(void *context, const struct slot_candidate *candidate);
    void *context;
    size_t seen;
};

static void judge_word(void *context, table_word *word, uint64_t hash)
{
    struct judging *judging = context;
    struct slot_candidate candidate = { table_entry(word), hash, table_eviction_bits(word) };
    uint16_t usage = judging->judge(judging->context, &candidate);

    judging->seen++;
    if (usage != candidate.usage) table_set_eviction_bits(word, usage);
}

uint32_t slot_judge(struct slot *slot, uint32_t cursor, size_t least, size_t *seen,
                    uint16_t (*judge)(void *context, const struct slot_candidate *candidate), void *context)
{
    struct judging judging = { .judge = judge, .context = context };

    slot_assert_locked(slot);
    do cursor = table_scan_words(&slot->table, cursor, judge_word, &judging);
    while (cursor != 0 && judging.seen < least);
    *seen += judging.seen;
    return cursor;
}
