/* store/slot.c
 *
 * The table finds and keeps; this file adds what a cache entry means: its deadline, the counters and the feeds. Each
 * change goes through one of added(), gone() and the like, so that nobody forgets one of the three. */
#include "store/slot_internal.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "store/entry_internal.h"
#include "store/graveyard.h"

#include <assert.h>
#include <string.h>

struct slot_shared *slot_shared_new(void)
{
    struct slot_shared *shared = alloc_aligned(sizeof *shared, _Alignof(struct slot_shared));

    memset((void *)shared, 0, sizeof *shared);
    account_init(&shared->account);
    return shared;
}

void slot_shared_free(struct slot_shared **shared)
{
    account_settle();
    alloc_free(*shared);
    *shared = NULL;
}

void slot_init(struct slot *slot, uint16_t id, struct slot_shared *shared)
{
    memset(slot, 0, sizeof *slot);
    slot->id = id;
    slot->shared = shared;
    list_init(&slot->feeds);
}

uint16_t slot_id(const struct slot *slot)
{
    return slot->id;
}

void slot_lock(struct slot *slot)
{
    lock_take(&slot->lock);
}

void slot_unlock(struct slot *slot)
{
    lock_release(&slot->lock);
}

void slot_assert_locked(const struct slot *slot)
{
    assert(lock_is_held(&slot->lock));
}

uint64_t slot_owner(const struct slot *slot)
{
    return atomic_load_explicit(&slot->owner, memory_order_acquire);
}

void slot_set_owner(struct slot *slot, uint64_t owner)
{
    atomic_store_explicit(&slot->owner, owner, memory_order_release);
}

/* --- Counters: written under the lock, so a plain load and store make no lost update --- */

static uint64_t counter(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static void count(_Atomic uint64_t *at, int64_t more)
{
    atomic_store_explicit(at, counter(at) + (uint64_t)more, memory_order_relaxed);
}

static uint64_t taken_by(const struct slot *slot)
{
    return counter(&slot->entry_bytes) + counter(&slot->table.bytes);
}

/* sign is 1 for what comes, -1 for what goes. */
static void count_form(struct slot *slot, const struct entry *entry, int64_t sign)
{
    int64_t bytes = (int64_t)entry_bytes(entry);

    count(&slot->entry_bytes, sign < 0 ? -bytes : bytes);
    if (entry_expires_at_ms(entry) != ENTRY_KEEPS_FOREVER) count(&slot->expiring, sign);
}

static void count_keys(struct slot *slot, int64_t more)
{
    uint64_t former = counter(&slot->keys), bit = (uint64_t)1 << slot->id % 64;
    _Atomic uint64_t *occupied = &slot->shared->occupied[slot->id / 64];

    count(&slot->keys, more);
    if (former == 0) atomic_fetch_or_explicit(occupied, bit, memory_order_relaxed);
    if (counter(&slot->keys) == 0) atomic_fetch_and_explicit(occupied, ~bit, memory_order_relaxed);
}

static void count_entry(struct slot *slot, const struct entry *entry, int64_t sign)
{
    count_keys(slot, sign);
    count_form(slot, entry, sign);
}

/* At the end of whatever changes the slot: what it took before, and how many keys more there are. */
static void charge(struct slot *slot, uint64_t taken_before, int64_t keys)
{
    account_charge(&slot->shared->account, (int64_t)taken_by(slot) - (int64_t)taken_before, keys);
}

struct slot_counts slot_counts(const struct slot *slot)
{
    return (struct slot_counts){
        .keys = counter(&slot->keys),
        .expiring = counter(&slot->expiring),
        .bytes = taken_by(slot),
        .table_bytes = counter(&slot->table.bytes),
        .expired = counter(&slot->expired),
        .evicted = counter(&slot->evicted),
        .hits = counter(&slot->hits),
        .misses = counter(&slot->misses),
    };
}

/* --- Usage --- */

static uint32_t usage_kind(const struct slot *slot)
{
    return usage_load(&slot->shared->usage.kind);
}

static __attribute__((noinline)) void remember(const struct usage *usage, uint32_t kind, table_word *word)
{
    uint16_t bits = table_eviction_bits(word), used = usage_used(usage, kind, bits);

    if (used != bits) table_set_eviction_bits(word, used);
}

/* Where nothing is to be evicted a use costs no more than to see that. */
static inline void remember_use(const struct slot *slot, table_word *word)
{
    uint32_t kind = usage_kind(slot);

    if (kind != USAGE_NONE) remember(&slot->shared->usage, kind, word);
}

/* Before a word comes to lead to another entry. */
static void remember_size(const struct slot *slot, table_word *word, const struct entry *entry)
{
    uint32_t kind = usage_kind(slot);

    if (kind == USAGE_S3S)
        table_set_eviction_bits(word, usage_resized(kind, table_eviction_bits(word), entry_bytes(entry)));
}

static uint16_t fresh_usage(const struct slot *slot, uint64_t hash, const struct entry *entry)
{
    const struct usage *usage = &slot->shared->usage;

    return usage_kind(slot) == USAGE_NONE ? 0 : usage->fresh(usage->context, hash, entry_bytes(entry));
}

/* --- Feeds --- */

bool slot_has_feeds(const struct slot *slot)
{
    return !list_is_empty(&slot->feeds);
}

void slot_feed_attach(struct slot *slot, struct slot_feed *feed)
{
    slot_assert_locked(slot);
    list_append(&slot->feeds, &feed->link);
}

void slot_feed_detach(struct slot *slot, struct slot_feed *feed)
{
    slot_assert_locked(slot);
    list_remove(&feed->link);
}

static void tell_changed(struct slot *slot, struct bytes key)
{
    uint64_t hash;

    if (list_is_empty(&slot->feeds)) return;
    hash = hash_bytes(key);
    list_each_safe(at, &slot->feeds) {
        struct slot_feed *feed = container_of(at, struct slot_feed, link);
        if (feed->changed != NULL) feed->changed(feed, key, hash);
    }
}

static void tell_removed(struct slot *slot, struct bytes key)
{
    uint64_t hash;

    if (list_is_empty(&slot->feeds)) return;
    hash = hash_bytes(key);
    list_each_safe(at, &slot->feeds) {
        struct slot_feed *feed = container_of(at, struct slot_feed, link);
        if (feed->removed != NULL) feed->removed(feed, key, hash);
    }
}

static void tell_missed(struct slot *slot, uint64_t hash)
{
    list_each_safe(at, &slot->feeds) {
        struct slot_feed *feed = container_of(at, struct slot_feed, link);
        if (feed->missed != NULL) feed->missed(feed, hash);
    }
}

static __attribute__((cold, noinline)) void tell_leaving(struct slot *slot, const struct entry *entry, uint64_t hash,
                                                         const struct entry *next)
{
    if (entry_attributes(entry).version == 0) return;
    list_each_safe(at, &slot->feeds) {
        struct slot_feed *feed = container_of(at, struct slot_feed, link);
        if (feed->leaving != NULL) feed->leaving(feed, entry, hash, next);
    }
}

void slot_tell_restated(struct slot *slot, uint64_t hash)
{
    list_each_safe(at, &slot->feeds) {
        struct slot_feed *feed = container_of(at, struct slot_feed, link);
        if (feed->restated != NULL) feed->restated(feed, hash);
    }
}

static void tell_flushed(struct slot *slot)
{
    list_each_safe(at, &slot->feeds) {
        struct slot_feed *feed = container_of(at, struct slot_feed, link);
        if (feed->flushed != NULL) feed->flushed(feed);
    }
}

void slot_changed(struct slot *slot, const struct entry *entry)
{
    slot_assert_locked(slot);
    if (entry_may_have_version(entry)) {
        tell_leaving(slot, entry, hash_bytes(entry_key(entry)), entry);
        entry_forget_version((struct entry *)(uintptr_t)entry);
    }
    if (usage_kind(slot) != USAGE_NONE)
        remember_use(slot, table_find_entry(&slot->table, hash_bytes(entry_key(entry)), entry));
    tell_changed(slot, entry_key(entry));
}

void slot_signal(struct slot *slot, struct bytes key)
{
    slot_assert_locked(slot);
    tell_changed(slot, key);
}

/* --- Finding --- */

void slot_prefetch_head(const struct slot *slot)
{
    __builtin_prefetch(slot);
    __builtin_prefetch((const char *)slot + 64);
}

uint64_t slot_hash(struct bytes key)
{
    return hash_bytes(key);
}

void slot_prefetch(const struct slot *slot, uint64_t hash, enum slot_prefetch_step step)
{
    switch (step) {
    case SLOT_PREFETCH_CELL:
        table_prefetch_cell(&slot->table, hash);
        return;
    case SLOT_PREFETCH_BUCKET:
        table_prefetch_bucket(&slot->table, hash);
        return;
    case SLOT_PREFETCH_ENTRY:
        table_prefetch_entry(&slot->table, hash);
        return;
    }
}

/* --- Deadlines --- */

/* What time it is, about: for telling which deadlines are far. */
static int64_t about_now_ms(const struct slot *slot)
{
    return atomic_load_explicit(&slot->shared->deadlines.now_ms, memory_order_relaxed);
}

/* To be called after the table's hint may have changed; `former` is what it was. */
static void show_hint(struct slot *slot, uint32_t former)
{
    uint32_t hint = hint_load(&slot->table.hint);

    if (hint != former) hint_store(&slot->shared->deadlines.hints[slot->id], hint);
}

/* Lets a word lead to another entry of its key. */
static void replace_word(struct slot *slot, uint64_t hash, table_word *word, struct entry *entry)
{
    uint32_t former = hint_load(&slot->table.hint);

    remember_size(slot, word, entry);
    table_replace(&slot->table, hash, word, entry, about_now_ms(slot));
    show_hint(slot, former);
}

static void insert(struct slot *slot, uint64_t hash, struct entry *entry)
{
    uint32_t former = hint_load(&slot->table.hint);

    table_insert(&slot->table, hash, entry, fresh_usage(slot, hash, entry), about_now_ms(slot));
    show_hint(slot, former);
}

/* Takes out what a word leads to, and tells so. */
static struct entry *take_word(struct slot *slot, uint64_t hash, table_word *word)
{
    uint64_t taken_before = taken_by(slot);
    struct entry *entry = table_remove(&slot->table, hash, word);

    if (entry_may_have_version(entry)) tell_leaving(slot, entry, hash, NULL);
    count_entry(slot, entry, -1);
    charge(slot, taken_before, -1);
    tell_removed(slot, entry_key(entry));
    return entry;
}

static void tell_expired(const struct slot *slot, const struct entry *entry)
{
    const struct keyspace_watch *watch = slot->shared->watch;

    if (watch != NULL) watch->expired(watch->context, entry_key(entry));
}

static struct entry *take_expired(struct slot *slot, uint64_t hash, table_word *word)
{
    count(&slot->expired, 1);
    tell_expired(slot, table_entry(word));
    return take_word(slot, hash, word);
}

static void add_lag(struct slot *slot, const struct entry *expired, int64_t now_ms)
{
    histogram_add(&slot->shared->deadlines.lag_ms, (uint64_t)(now_ms - entry_expires_at_ms(expired)));
}

/* The word of a live entry; an expired one is removed on the way. */
static table_word *find_live(struct slot *slot, uint64_t hash, struct bytes key, int64_t now_ms)
{
    table_word *word = table_find(&slot->table, hash, key);
    struct entry *expired;

    if (word == NULL) return NULL;
    if (!entry_is_expired(table_entry(word), now_ms)) return word;
    expired = take_expired(slot, hash, word);
    add_lag(slot, expired, now_ms);
    entry_free(&expired);
    return NULL;
}

struct entry *slot_find_hashed(struct slot *slot, uint64_t hash, struct bytes key, int64_t now_ms)
{
    table_word *word;

    slot_assert_locked(slot);
    word = find_live(slot, hash, key, now_ms);
    return word == NULL ? NULL : table_entry(word);
}

struct entry *slot_find(struct slot *slot, struct bytes key, int64_t now_ms)
{
    return slot_find_hashed(slot, hash_bytes(key), key, now_ms);
}

struct entry *slot_use(struct slot *slot, uint64_t hash, struct bytes key, int64_t now_ms, enum slot_touch touch)
{
    table_word *word;

    slot_assert_locked(slot);
    word = find_live(slot, hash, key, now_ms);
    count(word != NULL ? &slot->hits : &slot->misses, 1);
    if (word == NULL) return NULL;
    if (touch == SLOT_TOUCH) remember_use(slot, word);
    return table_entry(word);
}

void slot_add_hits(struct slot *slot, uint64_t hits)
{
    slot_assert_locked(slot);
    count(&slot->hits, (int64_t)hits);
}

const struct entry *slot_peek(const struct slot *slot, struct bytes key, int64_t now_ms)
{
    const table_word *word;

    slot_assert_locked(slot);
    word = table_find(&slot->table, hash_bytes(key), key);
    if (word == NULL || entry_is_expired(table_entry(word), now_ms)) return NULL;
    return table_entry(word);
}

/* --- Changing --- */

/* Puts an entry where a word leads to a former one of its key, or in a place of its own where there is no word. */
static void put_word(struct slot *slot, uint64_t hash, table_word *word, struct entry *own)
{
    uint64_t taken_before = taken_by(slot);

    if (word != NULL) {
        struct entry *former = table_entry(word);

        if (entry_may_have_version(former)) tell_leaving(slot, former, hash, own);
        count_form(slot, former, -1);
        remember_use(slot, word);
        replace_word(slot, hash, word, own);
        count_form(slot, own, 1);
        charge(slot, taken_before, 0);
        entry_free(&former);
    } else {
        insert(slot, hash, own);
        count_entry(slot, own, 1);
        charge(slot, taken_before, 1);
    }
    tell_changed(slot, entry_key(own));
}

/* --- How long it may live --- */

static inline bool is_limited(const struct slot *slot)
{
    return __builtin_expect(atomic_load_explicit(&slot->shared->backstop.on, memory_order_acquire), 0);
}

static inline void limit(const struct slot *slot, enum backstop_cause cause, struct bytes key, int64_t former_ms,
                         struct backstop_life *life)
{
    const struct backstop *backstop = &slot->shared->backstop;

    backstop->limit(backstop->context, cause, key, former_ms, life);
}

/* hash: of its key; 0 where it is not known. */
static struct backstop_life life_of(const struct entry *entry, uint64_t hash)
{
    return (struct backstop_life){ entry_expires_at_ms(entry), entry_attributes(entry).birth_s, 0, hash };
}

/* Of what a word leads to; NULL: nothing. */
static inline int64_t deadline_of(const table_word *word)
{
    return word == NULL ? ENTRY_KEEPS_FOREVER : entry_expires_at_ms(table_entry(word));
}

/* --- */

static void put(struct slot *slot, struct entry **entry, enum backstop_cause cause)
{
    struct entry *own = *entry;
    uint64_t hash = hash_bytes(entry_key(own));
    table_word *word = table_find(&slot->table, hash, entry_key(own));

    slot_assert_locked(slot);
    *entry = NULL;
    if (is_limited(slot)) {
        struct backstop_life life = life_of(own, hash);

        limit(slot, cause, entry_key(own), deadline_of(word), &life);
        own = entry_set_life(own, life.expires_at_ms, life.birth_s);
    }
    put_word(slot, hash, word, own);
}

void slot_put(struct slot *slot, struct entry **entry)
{
    put(slot, entry, BACKSTOP_BORN);
}

void slot_put_aged(struct slot *slot, struct entry **entry)
{
    put(slot, entry, BACKSTOP_AGED);
}

/* Its version is to be told of before it goes. */
static inline bool is_versioned(const struct entry *entry)
{
    return entry_may_have_version(entry) && entry_attributes(entry).version != 0;
}

void slot_store(struct slot *slot, uint64_t hash, struct bytes key, struct bytes value, int64_t expires_at_ms,
                int64_t now_ms)
{
    struct backstop_life life = { expires_at_ms, 0, now_ms, hash };
    struct entry_attributes attributes = { 0, 0, 0 };
    table_word *word;
    int64_t former_ms;

    slot_assert_locked(slot);
    word = table_find(&slot->table, hash, key);
    former_ms = deadline_of(word);
    if (is_limited(slot)) {
        limit(slot, BACKSTOP_BORN, key, former_ms, &life);
        attributes.birth_s = life.birth_s;
    }
    if (word != NULL && !is_versioned(table_entry(word)) &&
        entry_overwrite(table_entry(word), value, life.expires_at_ms, &attributes)) {
        /* As large as it was, and as it was with or without a deadline: nothing to count. But the deadline may be earlier, which the table has to know. */
        remember_use(slot, word);
        if (life.expires_at_ms < former_ms) replace_word(slot, hash, word, table_entry(word));
        tell_changed(slot, key);
    } else {
        put_word(slot, hash, word, entry_new_attributed(key, value, life.expires_at_ms, &attributes));
    }
}

struct entry *slot_take(struct slot *slot, struct bytes key, int64_t now_ms)
{
    uint64_t hash = hash_bytes(key);
    table_word *word;

    slot_assert_locked(slot);
    word = find_live(slot, hash, key, now_ms);
    if (word != NULL) return take_word(slot, hash, word);
    if (!list_is_empty(&slot->feeds)) tell_missed(slot, hash);
    return NULL;
}

bool slot_remove(struct slot *slot, struct bytes key, int64_t now_ms)
{
    struct entry *entry = slot_take(slot, key, now_ms);

    if (entry == NULL) return false;
    entry_free(&entry);
    return true;
}

/* Of an entry that a word leads to. */
static struct entry *change_life(struct slot *slot, uint64_t hash, table_word *word, const struct backstop_life *life)
{
    struct entry *entry = table_entry(word);
    uint64_t taken_before = taken_by(slot);

    count_form(slot, entry, -1);
    entry = entry_set_life(entry, life->expires_at_ms, life->birth_s);
    replace_word(slot, hash, word, entry);
    count_form(slot, entry, 1);
    charge(slot, taken_before, 0);
    tell_changed(slot, entry_key(entry));
    return entry;
}

struct entry *slot_set_expiry(struct slot *slot, struct entry *entry, int64_t expires_at_ms)
{
    uint64_t hash = hash_bytes(entry_key(entry));
    struct backstop_life life = life_of(entry, hash);
    table_word *word;

    slot_assert_locked(slot);
    word = table_find_entry(&slot->table, hash, entry);
    assert(word != NULL);
    remember_use(slot, word);
    life.expires_at_ms = expires_at_ms;
    if (is_limited(slot)) {
        limit(slot, BACKSTOP_SET, entry_key(entry), entry_expires_at_ms(entry), &life);
        /* It may not live for ever, and is left as it is. */
        if (expires_at_ms == ENTRY_KEEPS_FOREVER && life.expires_at_ms == entry_expires_at_ms(entry)) return entry;
    }
    return change_life(slot, hash, word, &life);
}

struct limiting {
    struct slot *slot;
    int64_t now_ms;
    int64_t bytes, expiring; /* what the entries take more, and how many more have a deadline */
};

static bool limit_word(void *context, table_word *word)
{
    struct limiting *limiting = context;
    struct slot *slot = limiting->slot;
    const struct backstop *backstop = &slot->shared->backstop;
    struct entry *entry = table_entry(word);
    struct backstop_life present = life_of(entry, 0), life = present;

    life.now_ms = limiting->now_ms;
    backstop->limit(backstop->context, BACKSTOP_AGED, entry_key(entry), present.expires_at_ms, &life);
    if (life.expires_at_ms == present.expires_at_ms && life.birth_s == present.birth_s) return false;
    limiting->bytes -= (int64_t)entry_bytes(entry);
    limiting->expiring += (life.expires_at_ms != ENTRY_KEEPS_FOREVER) - (present.expires_at_ms != ENTRY_KEEPS_FOREVER);
    entry = entry_set_life(entry, life.expires_at_ms, life.birth_s);
    limiting->bytes += (int64_t)entry_bytes(entry);
    remember_size(slot, word, entry);
    table_set_entry(word, entry);
    tell_changed(slot, entry_key(entry));
    return true;
}

uint32_t slot_limit_lives(struct slot *slot, uint32_t cursor, int64_t now_ms)
{
    struct limiting limiting = { .slot = slot, .now_ms = now_ms };
    uint64_t taken_before = taken_by(slot);
    uint32_t former = hint_load(&slot->table.hint);

    slot_assert_locked(slot);
    if (!is_limited(slot)) return 0;
    cursor = table_revise(&slot->table, cursor, limit_word, &limiting, about_now_ms(slot));
    show_hint(slot, former);
    count(&slot->entry_bytes, limiting.bytes);
    count(&slot->expiring, limiting.expiring);
    charge(slot, taken_before, 0);
    return cursor;
}

struct entry *slot_set_attributes(struct slot *slot, struct entry *entry, const struct entry_attributes *attributes)
{
    uint64_t hash = hash_bytes(entry_key(entry)), taken_before = taken_by(slot);
    table_word *word;

    slot_assert_locked(slot);
    word = table_find_entry(&slot->table, hash, entry);
    assert(word != NULL);
    count_form(slot, entry, -1);
    entry = entry_set_attributes(entry, attributes);
    replace_word(slot, hash, word, entry);
    count_form(slot, entry, 1);
    charge(slot, taken_before, 0);
    slot_tell_restated(slot, hash);
    return entry;
}

struct entry *slot_resize_value(struct slot *slot, struct entry *entry, size_t value_bytes)
{
    uint64_t hash = hash_bytes(entry_key(entry)), taken_before = taken_by(slot);
    table_word *word;

    slot_assert_locked(slot);
    word = table_find_entry(&slot->table, hash, entry);
    assert(word != NULL);
    count_form(slot, entry, -1);
    entry = entry_resize_value(entry, value_bytes);
    replace_word(slot, hash, word, entry);
    count_form(slot, entry, 1);
    charge(slot, taken_before, 0);
    return entry;
}

bool slot_extend_value(struct slot *slot, struct entry *entry, size_t value_bytes)
{
    slot_assert_locked(slot);
    return entry_extend(entry, value_bytes);
}

/* --- All of it --- */

uint64_t slot_detach_all(struct slot *slot, struct graveyard *graveyard)
{
    uint64_t keys = counter(&slot->keys);
    uint32_t hint;

    slot_assert_locked(slot);
    if (keys == 0) {
        tell_flushed(slot);
        return 0;
    }
    hint = hint_load(&slot->table.hint);
    account_charge(&slot->shared->account, -(int64_t)taken_by(slot), -(int64_t)keys);
    account_settle(); /* whoever drops a slot may not come back for long */
    atomic_fetch_and_explicit(&slot->shared->occupied[slot->id / 64], ~((uint64_t)1 << slot->id % 64),
                              memory_order_relaxed);
    graveyard_add(graveyard, &slot->table, keys);
    show_hint(slot, hint);
    atomic_store_explicit(&slot->keys, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->expiring, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->entry_bytes, 0, memory_order_relaxed);
    tell_flushed(slot);
    return keys;
}

void slot_flush(struct slot *slot)
{
    struct graveyard *graveyard = graveyard_new(1);

    slot_detach_all(slot, graveyard);
    graveyard_free(&graveyard);
}

/* --- What is due --- */

void slot_prefetch_due(const struct slot *slot, int64_t now_ms, enum due_step step)
{
    table_prefetch_due(&slot->table, now_ms, step);
}

size_t slot_take_due(struct slot *slot, int64_t now_ms, struct entry *taken[SLOT_TAKE_MAX])
{
    uint64_t taken_before = taken_by(slot);
    uint32_t former = hint_load(&slot->table.hint);
    int64_t found = table_take_due(&slot->table, now_ms, taken);

    slot_assert_locked(slot);
    show_hint(slot, former);
    if (found == 0) return 0;
    for (int64_t i = 0; i < found; i++) count_form(slot, taken[i], -1);
    count_keys(slot, -found);
    count(&slot->expired, found);
    charge(slot, taken_before, -found);
    if (!list_is_empty(&slot->feeds))
        for (int64_t i = 0; i < found; i++) {
            if (entry_may_have_version(taken[i])) tell_leaving(slot, taken[i], hash_bytes(entry_key(taken[i])), NULL);
            tell_removed(slot, entry_key(taken[i]));
        }
    for (int64_t i = 0; i < found; i++) tell_expired(slot, taken[i]);
    return (size_t)found;
}

/* --- For eviction --- */

struct entry *slot_evict(struct slot *slot, const struct slot_candidate *candidate, bool only_volatile, int64_t now_ms,
                         uint64_t *hash)
{
    table_word *word;

    slot_assert_locked(slot);
    word = table_find_entry(&slot->table, candidate->hash, candidate->entry);
    if (word == NULL || table_eviction_bits(word) != candidate->usage) return NULL;
    if (only_volatile && entry_expires_at_ms(candidate->entry) == ENTRY_KEEPS_FOREVER) return NULL;
    *hash = hash_bytes(entry_key(candidate->entry));
    if (entry_is_expired(candidate->entry, now_ms)) {
        add_lag(slot, candidate->entry, now_ms);
        return take_expired(slot, *hash, word);
    }
    count(&slot->evicted, 1);
    if (slot->shared->watch != NULL)
        slot->shared->watch->evicted(slot->shared->watch->context, entry_key(candidate->entry));
    return take_word(slot, *hash, word);
}

bool slot_usage(const struct slot *slot, struct bytes key, int64_t now_ms, uint16_t *usage)
{
    const table_word *word;

    slot_assert_locked(slot);
    word = table_find(&slot->table, hash_bytes(key), key);
    if (word == NULL || entry_is_expired(table_entry(word), now_ms)) return false;
    *usage = table_eviction_bits(word);
    return true;
}

void slot_set_usage(struct slot *slot, struct bytes key, int64_t now_ms, uint16_t usage)
{
    table_word *word;

    slot_assert_locked(slot);
    word = table_find(&slot->table, hash_bytes(key), key);
    if (word != NULL && !entry_is_expired(table_entry(word), now_ms)) table_set_eviction_bits(word, usage);
}
