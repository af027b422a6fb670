/* cache/hot_reads.h
 *
 * GETs of a hot key without its slot's lock. Threads that all want one key queue for one lock, however many they are; so the value of a key that
 * the hot table knows (cache/hotkeys.h), that is small and that is read far more often than it is written, is *published*: a copy that
 * never changes, behind an atomic pointer.
 *
 *     line of the slot (cache/hotkeys_line.h)
 *       +-> hot_slot: a feed of the slot, up to 4 keys
 *             +-> hot_key: hash, name, hits of each reader
 *                   +-> hot_value: owner word, deadline, bytes          NULL: withdrawn
 *
 * A GET that holds the lock publishes; whatever changes the key withdraws, under the lock too, as the slot's feed tells of it, and so before the write
 * is answered. A reader loads the pointer and then the owner word. Where that is the one under which the value was published, the slot has been
 * here all the time since (the word has a number that grows with each change), so at the moment the pointer was loaded this was the value of the key,
 * and the answer is the one that a GET would have had which took the lock at that moment.
 *
 * That holds for transactions, too: within one nothing is published, and all it changes is withdrawn before it gives back the first of its locks.
 *
 * Memory goes by base/reclaim.h: a reader is in a turn while it looks. A key that is not hot any more is dropped by hot_reads_tidy(), since whoever
 * finds that takes no slot's lock. So there are never more keys here than in the hot table. */
#pragma once

#include "store/slot.h"

struct hotkeys;
struct keyspace;

#define HOT_READS_A_SLOT 4 /* keys of one slot; others keep to the lock */
#define HOT_READ_KEY_BYTES_MAX 512u
#define HOT_READ_VALUE_BYTES_MAX 4096u
/* A key is published when it has been read so often since it was last changed: one that is written as often as it is read would only cost. */
#define HOT_READS_BEFORE 16u
/* After so long one reader takes the lock: eviction is to know that the key is used, and whoever publishes whether it still may. */
#define HOT_READ_LOOK_MS 10

/* Of a node. Guards itself, but for what says that it wants the slot's lock. */
struct hot_reads;

/* For readers numbered 0 .. readers-1. Both are borrowed. */
struct hot_reads *hot_reads_new(struct keyspace *keyspace, struct hotkeys *hotkeys, unsigned readers);
/* No thread may be using any of it. */
void hot_reads_free(struct hot_reads **reads);

/* Off: nothing is answered so, and hot_reads_tidy() drops what there is. On at first. Any thread. */
void hot_reads_set(struct hot_reads *reads, bool on);

/* --- For readers; no lock held --- */

struct hot_question {
    const struct slot *slot;
    uint64_t hash; /* slot_hash() of the key */
    struct bytes key;
    int64_t now_ms;
    uint64_t rules; /* as it was for the one who published, or the answer is no */
    bool touches;   /* a use that eviction is to know of */
};

/* Reader number `reader` asks, between reclaim_enter() and reclaim_leave(); the value is lent until then. True is a hit, and counted as one of the
 * slot's. False says nothing: it has to be looked for under the lock. */
bool hot_read(struct hot_reads *reads, unsigned reader, const struct hot_question *question, struct bytes *value);

/* --- With the slot locked --- */

/* What a GET has found, that anybody else may be given without the lock until `until_ms`, or until the key is changed. Not within a transaction: the
 * slot must be here, and under the lock of no other slot may anything be changed. Publishes it, now or when it has come often enough. */
struct hot_offer {
    struct slot *slot;
    uint64_t
        owner; /* its owner word, loaded under the lock and found to say that the slot is here; it may have left since */
    uint64_t hash;
    struct bytes key, value;
    int64_t until_ms; /* INT64_MAX: for ever */
    uint64_t rules;   /* a number for whatever else it depends on: with another it is good no more */
    int64_t now_ms;
};
void hot_reads_offer(struct hot_reads *reads, const struct hot_offer *offer);
/* How often a key was given without the lock since it became hot; 0 where it is not. */
uint64_t hot_reads_hits(const struct hot_reads *reads, const struct slot *slot, uint64_t hash);

/* --- Now and then, ten times a second --- */

/* Drops the keys that are hot no more, and adds up the hits of slots. One thread, no lock held. */
void hot_reads_tidy(struct hot_reads *reads);

/* --- For those who ask; any thread --- */

struct hot_reads_counts {
    uint64_t keys;      /* that are known here now, published or about to be */
    uint64_t published; /* times a value was; and */
    uint64_t withdrawn;
};
struct hot_reads_counts hot_reads_counts(const struct hot_reads *reads);
