/* server/transaction.h
 *
 * What a client has WATCHed and what it has queued since MULTI. The watches on a slot hang on it as one feed, so that whatever changes a
 * key, in whichever thread, is noticed under the slot's lock; EXEC takes the locks of all watched slots too, and so sees every change that
 * came before it. */
#pragma once

#include "server/call.h"
#include "server/slot_set.h"

struct queued_command {
    const struct command *command;
    size_t number;
    int argc;
    struct bytes *argv;  /* one allocation with the bytes behind it, but for a big value: */
    struct entry *entry; /* that is in its entry; or NULL */
};

/* A watched key. */
struct watch {
    struct watch *next; /* of its bucket */
    uint64_t hash;
    struct bytes key; /* owned */
    bool existed;     /* when it was watched */
};

/* A client's watches on one slot: one feed, so that a write by others costs a look into this table, however many keys are in it. All of it
 * is under the slot's lock. */
struct slot_watch {
    struct slot_feed feed;
    struct slot *slot;
    struct watch **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count, existed_count;
    bool changed; /* one of the keys was */
};

struct transaction {
    struct queued_command *queue;
    size_t count, cap;
    size_t bytes;                /* what the commands of the queue hold besides */
    size_t watch_bytes;          /* and the watches */
    struct slot_watch **watched; /* by slot, with empty cells between */
    size_t watched_count, watched_cells;
    size_t watch_count; /* keys */
};

/* The client's, made on first use. transaction_queue() takes the entry over. */
struct transaction *transaction_of(struct client *client);
void transaction_queue(struct client *client, const struct command *command, size_t number, int argc,
                       const struct bytes *argv, struct entry **incoming);
/* Gives a queued command other arguments, as many; copies them. Its entry's value is the value argument as before. */
void transaction_set_arguments(struct queued_command *queued, const struct bytes *argv);
/* Watches a key whose slot is locked; watching it again does nothing. */
void transaction_watch(struct client *client, struct slot *slot, struct bytes key, int64_t now_ms);
/* Forgets all watches; takes the slots' locks one at a time, except those in `held`. Many are taken off their slots later, by movers (server/retire.h), unless
 * the caller has locks: held is not NULL then. */
void transaction_unwatch(struct client *client, const struct slot_set *held);
/* Drops the queue and the watches, in the same way. */
void transaction_free(struct client *client, const struct slot_set *held);
/* Adds those that have watches. */
void transaction_add_slots(const struct transaction *transaction, struct slot_set *slots);
/* With all watched slots locked: has one of the keys changed since? */
bool transaction_is_stale(const struct transaction *transaction, int64_t now_ms);

/* Runs the queue of a client that said EXEC, and replies (server/exec.c). */
void transaction_exec(struct call *call);
