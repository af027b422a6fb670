/* store/slot.h
 *
 * A slot is one 16384th of the keyspace and a small store of its own. It is the unit of all we do to
 * keys: we lock it, count it, copy it to a replica and move it to another node.
 *
 *     slot -> lock
 *             owner     an opaque word: whoever decides redirects writes and reads it (cluster/owner.h)
 *             table     key -> entry
 *             counters  keys, expiring, bytes, hits, misses, expired, evicted
 *             feeds     who is told of each change
 *
 * The owner word is read under the same lock as the entries, so a command finds a slot it may serve,
 * or a redirect; it never finds a slot that leaves halfway through. */
#pragma once

#include "base/keyslot.h"
#include "base/list.h"
#include "base/lock.h"
#include "store/deadline_hints.h"
#include "store/entry.h"

struct graveyard;
struct random;
struct slot;

/* Hung on a slot by whoever follows it; told of each change, under the slot's lock. NULL hooks are not called. Every write of the slot
 * waits for all of them, so each follower hangs on one feed however many keys it is after, and the key's hash comes along. */
struct slot_feed {
    struct list link;
    void (*changed)(struct slot_feed *feed, struct bytes key,
                    uint64_t hash); /* created, overwritten, or its expiry set */
    void (*removed)(struct slot_feed *feed, struct bytes key, uint64_t hash); /* deleted, expired or evicted */
    void (*missed)(struct slot_feed *feed, uint64_t hash);                    /* was to be deleted, and not there */
    /* A versioned entry's last moment, before one of the above: what comes in its place, or NULL. The entry itself where its value is
     * changed and its version therefore forgotten. */
    void (*leaving)(struct slot_feed *feed, const struct entry *entry, uint64_t hash, const struct entry *next);
    /* The value is as it was, and something else that is known of it is not: its attributes; or it is marked. */
    void (*restated)(struct slot_feed *feed, uint64_t hash);
    void (*flushed)(struct slot_feed *feed);
};

/* Told, under the slot's lock, of entries that go without having been asked to. One for a keyspace: keyspace_watch(). */
struct keyspace_watch {
    void *context;
    void (*expired)(void *context, struct bytes key);
    void (*evicted)(void *context, struct bytes key);
};

/* Read without the lock too, hence atomic; written under it. */
struct slot_counts {
    uint64_t keys;
    uint64_t expiring;
    uint64_t bytes; /* of entries and table, size classes included */
    uint64_t table_bytes;
    uint64_t expired; /* ever */
    uint64_t evicted;
    uint64_t hits, misses; /* of slot_use() */
};

uint16_t slot_id(const struct slot *slot);
void slot_lock(struct slot *slot);
void slot_unlock(struct slot *slot);
void slot_assert_locked(const struct slot *slot);

/* The owner word; the keyspace starts with 0 in all of them. */
uint64_t slot_owner(const struct slot *slot);
void slot_set_owner(struct slot *slot, uint64_t owner);

/* May be called without the lock: each number is right by itself. */
struct slot_counts slot_counts(const struct slot *slot);

/* --- Looking ahead, without the lock ---
 *
 * Starts the loads that a later slot_find() of a key will wait for. They hang one on the other, so each step is taken for
 * all keys of a batch before the next step is. */
void slot_prefetch_head(const struct slot *slot); /* the slot itself, which the steps read */

enum slot_prefetch_step {
    SLOT_PREFETCH_CELL, /* of the directory that leads to the bucket; the bucket itself, in slots of few keys */
    SLOT_PREFETCH_BUCKET,
    SLOT_PREFETCH_ENTRY,
};
/* Between reclaim_enter() and reclaim_leave() (base/reclaim.h), or with the slot locked. The hash is slot_hash()'s. */
void slot_prefetch(const struct slot *slot, uint64_t hash, enum slot_prefetch_step step);
uint64_t slot_hash(struct bytes key);

/* The same for slot_take_due(), which finds its way by hints; after slot_prefetch_head(). */
void slot_prefetch_due(const struct slot *slot, int64_t now_ms, enum due_step step);

/* --- With the slot locked --- */

/* The live entry of a key, or NULL; an expired one is removed on the way (feeds are told). Borrowed: good until
 * slot_unlock() or the next change of the slot. */
struct entry *slot_find(struct slot *slot, struct bytes key, int64_t now_ms);
/* The same for who knows the key's slot_hash(). */
struct entry *slot_find_hashed(struct slot *slot, uint64_t hash, struct bytes key, int64_t now_ms);

/* The same for a user who reads: counts a hit or a miss and, unless told otherwise, remembers the use for eviction. Whatever
 * changes an entry remembers it by itself. */
enum slot_touch { SLOT_TOUCH, SLOT_NO_TOUCH };
struct entry *slot_use(struct slot *slot, uint64_t hash, struct bytes key, int64_t now_ms, enum slot_touch touch);

/* Hits that were had without the lock (cache/hot_reads.h). */
void slot_add_hits(struct slot *slot, uint64_t hits);

/* Without side effects. */
const struct entry *slot_peek(const struct slot *slot, struct bytes key, int64_t now_ms);

/* Keeps the entry in place of any other of its key: a value that begins its life. Takes it: *entry is NULL afterwards. The deadline may come to be
 * another than the entry's (store/backstop.h), here as in all that follows. */
void slot_put(struct slot *slot, struct entry **entry);
/* The same for a value that goes on with its life: changed, of another key, from another node. */
void slot_put_aged(struct slot *slot, struct entry **entry);

/* Gives a key this value and deadline, whatever it was before. Where the entry it has is as large, that is written over.
 * The hash is the key's slot_hash(). now_ms: 0 where it is not known, and is asked for if need be. */
void slot_store(struct slot *slot, uint64_t hash, struct bytes key, struct bytes value, int64_t expires_at_ms,
                int64_t now_ms);

/* True if there was one. */
bool slot_remove(struct slot *slot, struct bytes key, int64_t now_ms);

/* Takes an entry out without freeing it, or NULL. */
struct entry *slot_take(struct slot *slot, struct bytes key, int64_t now_ms);

/* Sets or clears (ENTRY_KEEPS_FOREVER) the expiry of an entry that slot_find() lent. The entry may move: use what is
 * returned from then on, and look there whether it was cleared. */
struct entry *slot_set_expiry(struct slot *slot, struct entry *entry, int64_t expires_at_ms);

/* Gives the entries from a cursor on, a leaf of the table and so a hundred or so at most, the life that they may have by now, and returns the next cursor, 0
 * at the end: an entry that is there from the first call to the last is seen. They may move. Does not count as a use. */
uint32_t slot_limit_lives(struct slot *slot, uint32_t cursor, int64_t now_ms);

/* Gives a lent entry these attributes; it may move. To the feeds the value is the same: they are told that it is restated. */
struct entry *slot_set_attributes(struct slot *slot, struct entry *entry, const struct entry_attributes *attributes);

/* Gives the entry's value a new length, keeping what fits and zeroing what is new; may move it. Nobody else holds
 * what is returned, so it may be written to, also where the length stays. Marks nothing changed: the caller writes and then
 * calls slot_changed(). */
struct entry *slot_resize_value(struct slot *slot, struct entry *entry, size_t value_bytes);

/* Makes room for that where a big entry is. False where slot_resize_value() would copy the value: it is held by others, or there is no
 * room. */
bool slot_extend_value(struct slot *slot, struct entry *entry, size_t value_bytes);

/* Tells the feeds that a lent entry was changed in place; it has no version then. */
void slot_changed(struct slot *slot, const struct entry *entry);

/* Tells the feeds that a key counts as changed, though nothing of its value is. */
void slot_signal(struct slot *slot, struct bytes key);

/* Frees all entries. Feeds are told of an empty slot, too. */
void slot_flush(struct slot *slot);
/* Takes the whole table out in O(1); freeing it is then the graveyard's. Returns how many keys went. */
uint64_t slot_detach_all(struct slot *slot, struct graveyard *graveyard);

/* Visits the entries of a few buckets and returns the next cursor, 0 at the end. As SCAN promises: an entry that is
 * there from the first call to the last is seen at least once, also when the table grows or shrinks in between. The visitor must not
 * change the slot. */
uint32_t slot_scan(struct slot *slot, uint32_t cursor, void (*visit)(void *context, struct entry *entry),
                   void *context);

/* The same for what must not see an entry, or another of its key, twice. */
uint32_t slot_scan_once(struct slot *slot, uint32_t cursor, void (*visit)(void *context, struct entry *entry),
                        void *context);

/* Some entry, live at now_ms, or NULL; near uniform. */
struct entry *slot_random(struct slot *slot, struct random *random, int64_t now_ms);

/* Takes out entries that are past their deadline: a few, from a place that has some. To be called again while the slot's hint
 * (store/deadlines.h) is due. The caller frees them, after the unlock. */
#define SLOT_TAKE_MAX 32
size_t slot_take_due(struct slot *slot, int64_t now_ms, struct entry *taken[SLOT_TAKE_MAX]);

/* --- For eviction (cache/eviction.h) --- */

/* An entry as a word of the table shows it; the entry itself is not looked at, and need not be there any more when the
 * lock was given back since. */
struct slot_candidate {
    struct entry *entry;
    uint64_t hash;  /* as much of it as finds the entry again */
    uint16_t usage; /* the sixteen bits of store/usage.h */
};

/* Shows whole buckets, from a cursor on, until `least` entries were seen or the end has come; adds to *seen and returns the next cursor, 0
 * at the end. The judge returns the usage that the entry is to have from now on. */
uint32_t slot_judge(struct slot *slot, uint32_t cursor, size_t least, size_t *seen,
                    uint16_t (*judge)(void *context, const struct slot_candidate *candidate), void *context);

/* Takes a candidate out, as evicted or, where its deadline has passed, as expired; feeds are told. The entry is then the
 * caller's, and *hash is its whole hash. NULL if it is gone, was used since or, where only volatile ones may go, has no deadline. */
struct entry *slot_evict(struct slot *slot, const struct slot_candidate *candidate, bool only_volatile, int64_t now_ms,
                         uint64_t *hash);

/* The usage of a key's entry; false if it has none. */
bool slot_usage(const struct slot *slot, struct bytes key, int64_t now_ms, uint16_t *usage);
/* Gives it this one; nothing where there is no entry. */
void slot_set_usage(struct slot *slot, struct bytes key, int64_t now_ms, uint16_t usage);

/* --- For defragmentation (cache/defrag.h) --- */

struct slot_moves {
    uint64_t entries_moved, entries_left, nodes_moved, nodes_left; /* nodes: of the table */
};
/* Moves what pays (base/relocate.h) of a few buckets and their table, adds to the counts and returns the next cursor, 0 at the end. The slot
 * is as before but for addresses: nothing is told to feeds, nothing counts as a use. */
uint32_t slot_defrag(struct slot *slot, uint32_t cursor, struct slot_moves *moves);
/* The same for a few leaves of the table, and no entries. */
uint32_t slot_defrag_table(struct slot *slot, uint32_t cursor, struct slot_moves *moves);

/* --- Marks ---
 *
 * What whoever runs commands has to know of a key before it does anything with it. The mark is of the key, not of its entry, which may expire or be
 * evicted meanwhile, or may never have been there. The slot only keeps it. What removes entries without being asked (expiry, eviction, FLUSHALL)
 * need not look.
 *
 *     in flight   on its way to another node (transfer/migration.h), until its sender knows what came of it: nothing may be done with it but to
 *                 read an entry that is still here
 *     name        of a salted key (salt/marks.h), of which it is an alias
 *     salted      a key that has such names */
enum slot_mark_kind { SLOT_MARK_IN_FLIGHT, SLOT_MARK_NAME, SLOT_MARK_SALTED };
struct slot_mark {
    struct slot_mark *next; /* the slot's */
    uint64_t hash;          /* slot_hash() of the key */
    struct bytes key;
    enum slot_mark_kind kind;
    bool is_sent; /* in flight: the other node may have it by now */
};
/* Lent to the slot until slot_unmark(). A key has one mark of a kind at most. */
void slot_mark(struct slot *slot, struct slot_mark *mark);
void slot_unmark(struct slot *slot, struct slot_mark *mark);
/* Of a key in flight: it is about to be sent, or has not arrived after all. */
void slot_mark_sent(struct slot *slot, struct slot_mark *mark, bool is_sent);
const struct slot_mark *slot_find_mark(const struct slot *slot, enum slot_mark_kind kind, uint64_t hash,
                                       struct bytes key);
/* Of any kind. May be asked without the lock, too, and is then as right as anything that is soon over. */
bool slot_has_marks(const struct slot *slot);
/* Keys in flight: */
bool slot_has_keys_in_flight(const struct slot *slot);
bool slot_is_in_flight(const struct slot *slot, struct bytes key);

/* With the slot locked. */
bool slot_has_feeds(const struct slot *slot);
void slot_feed_attach(struct slot *slot, struct slot_feed *feed);
void slot_feed_detach(struct slot *slot, struct slot_feed *feed);
