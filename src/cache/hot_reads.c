#include "cache/hot_reads.h"

#include "base/alloc.h"
#include "base/reclaim.h"
#include "cache/hotkeys_line.h"
#include "store/keyspace.h"

#include <assert.h>
#include <string.h>

/* Never changed once it can be found. */
struct hot_value {
    uint64_t owner; /* the slot's owner word */
    uint64_t rules;
    int64_t until_ms;
    size_t bytes;
    char data[];
};

/* The hits of one reader, which alone writes them, in a cache line of their own. */
struct hot_hits {
    _Atomic uint64_t count;
    uint64_t unused[7];
};

struct hot_key {
    /* Set once. */
    uint64_t hash;
    struct bytes key; /* behind the hits */
    /* Changed under the slot's lock, and looked at without. */
    _Atomic(struct hot_value *) value; /* NULL: withdrawn */
    _Atomic int64_t look_at_ms;        /* when a reader is to take the lock */
    /* Under the lock. */
    uint64_t counted; /* of the hits, among the slot's */
    unsigned reads;   /* under the lock, since the key was changed */
    uint64_t unused[8];
    struct hot_hits hits[]; /* of each reader */
};

struct hot_slot {
    struct slot_feed feed;
    struct hot_reads *reads;
    struct slot *slot;
    unsigned count;                                   /* of keys; under the slot's lock */
    _Atomic(struct hot_key *) keys[HOT_READS_A_SLOT]; /* changed under it */
};

struct hot_reads {
    struct keyspace *keyspace;
    struct hotkeys *hotkeys;
    unsigned readers;
    _Atomic bool off;
    _Atomic uint32_t keys; /* of all slots */
    _Atomic uint64_t published, withdrawn;
    _Atomic uint64_t
        slots[SLOT_COUNT / 64]; /* a bit for each slot that has a hot_slot; changed under the slot's lock */
};

#define LOADED(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define STORE(field, value) atomic_store_explicit(&(field), value, memory_order_relaxed)
#define ADD(field, more) atomic_fetch_add_explicit(&(field), more, memory_order_relaxed)
/* What leads to something that others follow without the lock. */
#define FOLLOW(pointer) atomic_load_explicit(&(pointer), memory_order_acquire)
#define LEAD(pointer, to) atomic_store_explicit(&(pointer), to, memory_order_release)

static struct hotkeys_line *line_of(const struct hot_reads *reads, uint16_t slot)
{
    return &((struct hotkeys_head *)reads->hotkeys)->lines[slot];
}

struct hot_reads *hot_reads_new(struct keyspace *keyspace, struct hotkeys *hotkeys, unsigned readers)
{
    struct hot_reads *reads = alloc_zeroed(sizeof(*reads));

    reads->keyspace = keyspace;
    reads->hotkeys = hotkeys;
    reads->readers = readers;
    return reads;
}

void hot_reads_set(struct hot_reads *reads, bool on)
{
    STORE(reads->off, !on);
}

/* --- Reading --- */

static struct hot_key *find_key(const struct hot_slot *of, uint64_t hash, struct bytes key)
{
    for (int i = 0; i < HOT_READS_A_SLOT; i++) {
        struct hot_key *at = FOLLOW(of->keys[i]);

        if (at != NULL && at->hash == hash && bytes_equal(at->key, key)) return at;
    }
    return NULL;
}

bool hot_read(struct hot_reads *reads, unsigned reader, const struct hot_question *question, struct bytes *value)
{
    const struct hot_slot *of = FOLLOW(line_of(reads, slot_id(question->slot))->reads);
    const struct hot_value *found;
    struct hot_key *at;

    if (of == NULL || LOADED(reads->off)) return false;
    at = find_key(of, question->hash, question->key);
    if (at == NULL) return false;
    found = FOLLOW(at->value);
    if (found == NULL || question->now_ms >= found->until_ms || question->rules != found->rules) return false;
    if (question->touches && question->now_ms >= LOADED(at->look_at_ms)) return false;
    /* Behind the pointer: with the same word the slot was here when that was loaded. The other way round it might have left, been written elsewhere and
     * come back between the two, with what it had before not dropped yet. */
    if (slot_owner(question->slot) != found->owner) return false;
    STORE(at->hits[reader].count, LOADED(at->hits[reader].count) + 1);
    *value = (struct bytes){ found->data, found->bytes };
    return true;
}

/* --- Withdrawing, under the slot's lock --- */

static void withdraw(struct hot_reads *reads, struct hot_key *key)
{
    struct hot_value *value = LOADED(key->value);

    key->reads = 0;
    if (value == NULL) return;
    LEAD(key->value, NULL);
    reclaim_later(value);
    ADD(reads->withdrawn, 1);
}

static void withdraw_hash(struct slot_feed *feed, uint64_t hash)
{
    struct hot_slot *of = container_of(feed, struct hot_slot, feed);

    for (int i = 0; i < HOT_READS_A_SLOT; i++) {
        struct hot_key *key = LOADED(of->keys[i]);

        if (key != NULL && key->hash == hash) withdraw(of->reads, key);
    }
}

static void on_key(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    (void)key;
    withdraw_hash(feed, hash);
}

static void on_flushed(struct slot_feed *feed)
{
    struct hot_slot *of = container_of(feed, struct hot_slot, feed);

    for (int i = 0; i < HOT_READS_A_SLOT; i++)
        if (LOADED(of->keys[i]) != NULL) withdraw(of->reads, LOADED(of->keys[i]));
}

/* --- Publishing, under the slot's lock --- */

static void attach(struct hot_reads *reads, struct slot *slot, struct hot_slot *of)
{
    uint16_t id = slot_id(slot);

    *of = (struct hot_slot){
        .feed = { .changed = on_key, .removed = on_key, .restated = withdraw_hash, .flushed = on_flushed },
        .reads = reads,
        .slot = slot,
    };
    slot_feed_attach(slot, &of->feed);
    atomic_fetch_or_explicit(&reads->slots[id / 64], (uint64_t)1 << id % 64, memory_order_relaxed);
    LEAD(line_of(reads, id)->reads, of);
}

static void detach(struct hot_slot *of)
{
    uint16_t id = slot_id(of->slot);

    LEAD(line_of(of->reads, id)->reads, NULL);
    atomic_fetch_and_explicit(&of->reads->slots[id / 64], ~((uint64_t)1 << id % 64), memory_order_relaxed);
    slot_feed_detach(of->slot, &of->feed);
    reclaim_later(of);
}

static struct hot_key *new_key(const struct hot_reads *reads, const struct hot_offer *offer)
{
    size_t bytes = sizeof(struct hot_key) + reads->readers * sizeof(struct hot_hits);
    struct hot_key *key = alloc_zeroed(bytes + offer->key.len); /* fits: HOT_READ_KEY_BYTES_MAX */
    char *name = (char *)key + bytes;

    if (offer->key.len > 0) memcpy(name, offer->key.data, offer->key.len);
    key->hash = offer->hash;
    key->key = (struct bytes){ name, offer->key.len };
    return key;
}

/* A hot key that is new here, or NULL where there is no room for it. */
static struct hot_key *add_key(struct hot_reads *reads, struct hot_slot *of, const struct hot_offer *offer)
{
    int free_at = 0;

    if (offer->key.len > HOT_READ_KEY_BYTES_MAX || !hotkeys_has(reads->hotkeys, slot_id(offer->slot), offer->hash))
        return NULL;
    if (of != NULL && of->count == HOT_READS_A_SLOT) return NULL;
    if (ADD(reads->keys, 1) >= HOTKEYS_MAX) {
        atomic_fetch_sub_explicit(&reads->keys, 1, memory_order_relaxed);
        return NULL;
    }
    if (of == NULL) {
        of = alloc(sizeof(*of));
        attach(reads, offer->slot, of);
    }
    while (LOADED(of->keys[free_at]) != NULL) free_at++;
    of->count++;
    LEAD(of->keys[free_at], new_key(reads, offer));
    return LOADED(of->keys[free_at]);
}

static struct hot_value *new_value(const struct hot_offer *offer)
{
    struct hot_value *value = alloc(sizeof(*value) + offer->value.len);

    value->owner = offer->owner; /* not as it is by now: that another node has the slot may have been said since */
    value->rules = offer->rules;
    value->until_ms = offer->until_ms;
    value->bytes = offer->value.len;
    if (offer->value.len > 0) memcpy(value->data, offer->value.data, offer->value.len);
    return value;
}

/* True where it is as good as ever; else it is withdrawn. */
static bool look_at(struct hot_reads *reads, struct hot_key *key, const struct hot_offer *offer)
{
    const struct hot_value *value = LOADED(key->value);
    unsigned had = key->reads;

    if (value == NULL) return false;
    if (value->owner == offer->owner && value->rules == offer->rules && value->until_ms == offer->until_ms) {
        /* Or something has changed the key and told nobody. */
        assert(bytes_equal((struct bytes){ value->data, value->bytes }, offer->value));
        return true;
    }
    withdraw(reads, key);
    key->reads = had;
    return false;
}

void hot_reads_offer(struct hot_reads *reads, const struct hot_offer *offer)
{
    struct hot_slot *of = LOADED(line_of(reads, slot_id(offer->slot))->reads);
    struct hot_key *key = of == NULL ? NULL : find_key(of, offer->hash, offer->key);

    slot_assert_locked(offer->slot);
    if (LOADED(reads->off) || offer->value.len > HOT_READ_VALUE_BYTES_MAX) return;
    if (key == NULL) key = add_key(reads, of, offer);
    if (key == NULL) return;
    if (key->reads < HOT_READS_BEFORE) key->reads++;
    if (!look_at(reads, key, offer)) {
        if (key->reads < HOT_READS_BEFORE) return;
        LEAD(key->value, new_value(offer));
        ADD(reads->published, 1);
    }
    STORE(key->look_at_ms, offer->now_ms + HOT_READ_LOOK_MS);
}

/* --- Now and then --- */

static uint64_t hits_of(const struct hot_reads *reads, const struct hot_key *key)
{
    uint64_t hits = 0;

    for (unsigned i = 0; i < reads->readers; i++) hits += LOADED(key->hits[i].count);
    return hits;
}

uint64_t hot_reads_hits(const struct hot_reads *reads, const struct slot *slot, uint64_t hash)
{
    const struct hot_slot *of = LOADED(line_of(reads, slot_id(slot))->reads);

    slot_assert_locked(slot);
    for (int i = 0; of != NULL && i < HOT_READS_A_SLOT; i++) {
        const struct hot_key *key = LOADED(of->keys[i]);

        if (key != NULL && key->hash == hash) return hits_of(reads, key);
    }
    return 0;
}

static void count_hits(const struct hot_reads *reads, struct slot *slot, struct hot_key *key)
{
    uint64_t hits = hits_of(reads, key);

    slot_add_hits(slot, hits - key->counted);
    key->counted = hits;
}

static void drop_key(struct hot_slot *of, int at)
{
    struct hot_key *key = LOADED(of->keys[at]);

    /* A reader that has found it finds no value in it. */
    withdraw(of->reads, key);
    LEAD(of->keys[at], NULL);
    reclaim_later(key);
    of->count--;
    atomic_fetch_sub_explicit(&of->reads->keys, 1, memory_order_relaxed);
}

static void tidy_slot(struct hot_reads *reads, uint16_t id, bool keeps_hot)
{
    struct slot *slot = keyspace_slot(reads->keyspace, id);
    struct hot_slot *of;

    slot_lock(slot);
    of = LOADED(line_of(reads, id)->reads);
    for (int i = 0; of != NULL && i < HOT_READS_A_SLOT; i++) {
        struct hot_key *key = LOADED(of->keys[i]);

        if (key == NULL) continue;
        count_hits(reads, slot, key);
        if (!keeps_hot || !hotkeys_has(reads->hotkeys, id, key->hash)) drop_key(of, i);
    }
    if (of != NULL && of->count == 0) detach(of);
    slot_unlock(slot);
}

static void tidy(struct hot_reads *reads, bool keeps_hot)
{
    for (uint16_t from = 0; from < SLOT_COUNT; from = (uint16_t)(from + 64))
        for (uint64_t bits = LOADED(reads->slots[from / 64]); bits != 0; bits &= bits - 1)
            tidy_slot(reads, (uint16_t)(from + __builtin_ctzll(bits)), keeps_hot);
}

void hot_reads_tidy(struct hot_reads *reads)
{
    tidy(reads, !LOADED(reads->off));
}

void hot_reads_free(struct hot_reads **held)
{
    if (*held == NULL) return;
    tidy(*held, false);
    alloc_free(*held);
    *held = NULL;
}

struct hot_reads_counts hot_reads_counts(const struct hot_reads *reads)
{
    return (struct hot_reads_counts){ .keys = LOADED(reads->keys),
                                      .published = LOADED(reads->published),
                                      .withdrawn = LOADED(reads->withdrawn) };
}
