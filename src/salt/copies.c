#include "salt/copies.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "store/account.h"
#include "store/keyspace.h"

#include <string.h>

/* One where there is an entry, and none elsewhere; but for its link all of it is guarded by the slot's lock. */
struct copy {
    struct copy *next; /* of the slot */
    struct helper_copy good;
    int64_t fresh_until_ms;
    uint64_t hash, hits, bytes; /* bytes: of the entry and this */
    struct bytes key;           /* behind it */
};

/* Made when the first copy comes. */
struct place {
    struct keyspace *keyspace;
    struct copy *chains[SLOT_COUNT]; /* each under its slot's lock, as the next */
    uint64_t reads[SLOT_COUNT];      /* answered, ever: copies come and go with each write */
};

struct copies {
    _Atomic(struct place *) place; /* NULL at first; then it stays */
    _Atomic uint64_t limit_bytes;
    _Atomic uint64_t count, bytes; /* changed under slots' locks, of several at once */
    _Atomic uint64_t hits, lease_expired, refused;
};

#define LIMIT_BYTES_FIRST ((uint64_t)64 << 20)

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static void subtract(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_sub_explicit(counter, by, memory_order_relaxed);
}

static struct place *place_of(const struct copies *copies)
{
    return atomic_load_explicit(&copies->place, memory_order_acquire);
}

struct copies *copies_new(void)
{
    struct copies *copies = alloc_zeroed(sizeof(*copies));

    atomic_init(&copies->limit_bytes, LIMIT_BYTES_FIRST);
    return copies;
}

static void free_place(struct place *place)
{
    keyspace_free(&place->keyspace);
    alloc_free(place);
}

void copies_free(struct copies **held)
{
    struct copies *copies = *held;

    if (copies == NULL) return;
    copies_set_limit(copies, 0);
    if (place_of(copies) != NULL) free_place(place_of(copies));
    alloc_free(copies);
    *held = NULL;
}

/* Two that make one at the same moment both find the same afterwards. */
static struct place *place_made(struct copies *copies)
{
    struct place *there = place_of(copies), *made;

    if (there != NULL) return there;
    made = alloc_zeroed(sizeof(*made));
    made->keyspace = keyspace_new();
    if (atomic_compare_exchange_strong_explicit(&copies->place, &there, made, memory_order_acq_rel,
                                                memory_order_acquire))
        return made;
    free_place(made);
    return there;
}

/* --- With the slot locked --- */

/* Where the chain leads to the key's copy, or ends. */
static struct copy **find(struct place *place, const struct slot *slot, struct bytes key, uint64_t hash)
{
    struct copy **at = &place->chains[slot_id(slot)];

    slot_assert_locked(slot);
    while (*at != NULL && ((*at)->hash != hash || !bytes_equal((*at)->key, key))) at = &(*at)->next;
    return at;
}

/* Takes a copy out; its entry is the caller's, to be freed without the lock. NULL where that has expired. */
static struct entry *take(struct copies *copies, struct slot *slot, struct copy **at)
{
    struct copy *copy = *at;
    struct entry *entry = slot_take(slot, copy->key, 0);

    *at = copy->next;
    subtract(&copies->count, 1);
    subtract(&copies->bytes, copy->bytes);
    alloc_free(copy);
    return entry;
}

static struct copy *new_copy(const struct helper_copy *good, const struct entry *entry, int64_t fresh_until_ms)
{
    struct bytes key = entry_key(entry);
    struct copy *copy = alloc(sizeof(*copy) + key.len);

    memcpy(copy + 1, key.data, key.len);
    *copy = (struct copy){ .good = *good,
                           .fresh_until_ms = fresh_until_ms,
                           .hash = slot_hash(key),
                           .key = { (const char *)(copy + 1), key.len },
                           .bytes = entry_bytes(entry) + alloc_size(copy) };
    return copy;
}

/* --- Keeping and dropping --- */

bool copies_drop(struct copies *copies, struct bytes key)
{
    struct place *place = place_of(copies);
    struct entry *entry = NULL;
    struct slot *slot;
    struct copy **at;
    bool was_there;

    if (place == NULL) return false;
    slot = keyspace_slot(place->keyspace, key_slot(key));
    slot_lock(slot);
    at = find(place, slot, key, slot_hash(key));
    was_there = *at != NULL;
    if (was_there) entry = take(copies, slot, at);
    slot_unlock(slot);
    if (entry != NULL) entry_free(&entry);
    account_settle();
    return was_there;
}

bool copies_put(struct copies *copies, const struct helper_copy *good, struct entry **held, int64_t fresh_until_ms)
{
    struct entry *entry = *held, *former = NULL;
    struct copy *copy = new_copy(good, entry, fresh_until_ms), **at;
    struct place *place;
    struct slot *slot;

    *held = NULL;
    if (entry_value(entry).len > COPY_VALUE_BYTES_MAX ||
        load(&copies->bytes) + copy->bytes > load(&copies->limit_bytes)) {
        copies_drop(copies, copy->key);
        alloc_free(copy);
        entry_free(&entry);
        add(&copies->refused, 1);
        return false;
    }
    place = place_made(copies);
    slot = keyspace_slot(place->keyspace, key_slot(copy->key));
    slot_lock(slot);
    at = find(place, slot, copy->key, copy->hash);
    if (*at != NULL) {
        copy->hits = (*at)->hits;
        former = take(copies, slot, at);
    }
    copy->next = *at;
    *at = copy;
    add(&copies->count, 1);
    add(&copies->bytes, copy->bytes);
    slot_put_aged(slot, &entry);
    slot_unlock(slot);
    if (former != NULL) entry_free(&former);
    account_settle();
    return true;
}

size_t copies_set_limit(struct copies *copies, uint64_t bytes)
{
    struct place *place = place_of(copies);
    size_t dropped = 0;

    atomic_store_explicit(&copies->limit_bytes, bytes, memory_order_relaxed);
    for (uint16_t id = 0; place != NULL && id < SLOT_COUNT && load(&copies->bytes) > bytes; id++) {
        struct slot *slot = keyspace_slot(place->keyspace, id);

        if (slot_counts(slot).keys == 0) continue;
        for (bool more = true; more && load(&copies->bytes) > bytes;) {
            struct entry *entry = NULL;

            slot_lock(slot);
            more = place->chains[id] != NULL;
            if (more) entry = take(copies, slot, &place->chains[id]);
            slot_unlock(slot);
            if (entry != NULL) entry_free(&entry);
            dropped += more;
        }
    }
    account_settle();
    return dropped;
}

/* --- Answering --- */

struct slot *copies_enter(struct copies *copies, struct bytes key, uint64_t hash, int64_t now_ms)
{
    struct place *place = place_of(copies);
    struct entry *expired = NULL;
    const struct entry *entry;
    struct slot *slot;
    struct copy **at;

    if (place == NULL) return NULL;
    slot = keyspace_slot(place->keyspace, key_slot(key));
    slot_lock(slot);
    at = find(place, slot, key, hash);
    if (*at != NULL) {
        entry = slot_peek(slot, key, now_ms);
        /* One that is past its refresh point is for home, where somebody is sent to load it anew. */
        if (entry != NULL && now_ms < (*at)->fresh_until_ms) return slot;
        if (entry == NULL) expired = take(copies, slot, at);
    }
    slot_unlock(slot);
    if (expired != NULL) entry_free(&expired);
    return NULL;
}

bool copies_is_good(struct copies *copies, const struct slot *slot, struct bytes key, uint64_t hash)
{
    struct copy *copy = *find(place_of(copies), slot, key, hash);

    if (copy == NULL) return false;
    if (!helper_copy_is_good(&copy->good, clock_now_ms())) {
        add(&copies->lease_expired, 1);
        return false;
    }
    copy->hits++;
    place_of(copies)->reads[slot_id(slot)]++;
    add(&copies->hits, 1);
    return true;
}

struct copies_counts copies_counts(const struct copies *copies)
{
    return (struct copies_counts){ .copies = load(&copies->count),
                                   .bytes = load(&copies->bytes),
                                   .hits = load(&copies->hits),
                                   .lease_expired = load(&copies->lease_expired),
                                   .refused = load(&copies->refused) };
}

uint64_t copies_reads(struct copies *copies, uint16_t id)
{
    struct place *place = place_of(copies);
    struct slot *slot;
    uint64_t reads;

    if (place == NULL) return 0;
    slot = keyspace_slot(place->keyspace, id);
    slot_lock(slot);
    reads = place->reads[id];
    slot_unlock(slot);
    return reads;
}

bool copies_find(struct copies *copies, struct bytes key, struct helper_copy *good, uint64_t *hits)
{
    struct place *place = place_of(copies);
    const struct copy *copy;
    struct slot *slot;

    if (place == NULL) return false;
    slot = keyspace_slot(place->keyspace, key_slot(key));
    slot_lock(slot);
    copy = *find(place, slot, key, slot_hash(key));
    if (copy != NULL) {
        *good = copy->good;
        *hits = copy->hits;
    }
    slot_unlock(slot);
    return copy != NULL;
}
