/* bus/bus.h
 *
 * The cluster core on real sockets and a real clock. Everything of the core is behind one lock: the control loop takes it for each
 * packet and tick, a worker for each CLUSTER command; both are short and neither waits for anything under it. Effects are carried
 * out by whoever caused them as far as they are memory (owner words, the state), and handed to the control loop where they are
 * sockets or files.
 *
 *     control loop (main thread)    listener, links, the 100 ms tick
 *     a mover thread                writes the state file
 *     any worker                    bus_lock(), cluster_<command>(), bus_unlock()
 *
 * What an event caused leaves in the order it was caused, whoever's thread it was on: it is queued under the lock and sent by the
 * control loop. A message that follows a state to be saved first (EFFECT_PERSIST with sync) waits for the disk; later events' messages
 * pass it, so that a slow disk makes no node look dead. Where the save fails, the messages that waited for it are dropped: a vote that
 * is not on disk is not given.
 *
 * Lock order: slot -> bus. The control loop takes no slot lock. */
#pragma once

#include "base/list.h"
#include "cluster/cluster.h"
#include "store/keyspace.h"

struct bus;
struct ev_loop;
struct graveyard;
struct lazyfree;
struct movers;
struct slot;

/* Told on the control loop, with no lock held. */
struct bus_events {
    void *context;
    /* Another node's client has published something. */
    void (*published)(void *context, bool shard, struct bytes channel, struct bytes message);
    void (*slots_left)(void *context, const uint8_t slots[SLOT_COUNT / 8]); /* a bit for each: they were ours */
    /* On whatever thread has changed it, under the bus lock and maybe the slot's: it takes no other of the node's, but salt's. */
    void (*owner_changed)(void *context, uint16_t slot, uint64_t word);
    void (*publish_goes_on)(void *context); /* bus_publish_must_wait() is false again */
};

struct bus_options {
    const char *const *bind; /* addresses as in the bind directive; a leading '-' means optional */
    int bind_count;
    uint16_t port;          /* bus port */
    const char *state_file; /* nodes.conf */
    struct cluster_options cluster;
    uint64_t link_sendbuf_limit; /* cluster-link-sendbuf-limit; 0: none */
    struct movers *movers;       /* drop the keys of lost slots; outlive the bus */
    struct lazyfree *lazyfree;   /* likewise */
    struct bus_events events;
};

/* Reads or makes the state file, takes its file lock, listens. On failure returns NULL with a line for the user in error. */
struct bus *bus_new(struct ev_loop *loop, struct keyspace *keyspace, const struct bus_options *options,
                    char error[512]);
/* Saves the state and closes everything. */
void bus_free(struct bus **bus);

/* The core for one CLUSTER command, with the effects queue to pass along. bus_unlock() carries the effects out: owner words are
 * in place when it returns; the rest is posted to the control loop. The saved state is asked for but not awaited. */
struct cluster *bus_lock(struct bus *bus, struct effects **effects);
void bus_unlock(struct bus *bus);
/* Wakes the control loop for what was posted so: by whoever called bus_unlock(), once it holds no slot. Forgotten, it waits for the tick. */
void bus_wake(struct bus *bus);

/* Waits until others can hear that a slot is ours, which they cannot before it is on disk; or until a slot may begin to move, which it may not before enough has been heard
 * from a Redis node at its other end (cluster/announce.c). */
struct bus_claim {
    struct list link; /* the bus's, under its lock */
    uint16_t slot;
    bool begins;                              /* the latter */
    bool is_unsaved;                          /* told: nobody will hear of it, as the state cannot be saved */
    void (*settled)(struct bus_claim *claim); /* once; any thread, without locks */
};
/* Is there nothing to wait for? Without locks, as the next two. */
bool bus_claim_is_settled(struct bus *bus, struct bus_claim *claim);
/* False where there is nothing to wait for; settled() is not called then. */
bool bus_await_claim(struct bus *bus, struct bus_claim *claim);
/* Settles all that wait. Nobody may come any more. */
void bus_end_claims(struct bus *bus);

/* For who has just made a slot ours, or lets it be imported, and has held its lock since before that: what is in it may be keys that were lost
 * together with it and are about to be dropped. They are taken out; lazyfree_bury() them without the lock. NULL: there are none. */
struct graveyard *bus_take_lost_keys(struct bus *bus, struct slot *slot);

/* Without the lock: */
bool bus_state_ok(const struct bus *bus);
bool bus_is_solo(const struct bus *bus);
/* Copies where a node is reached, as redirects name it, into endpoint ("" for unknown) and port. */
void bus_endpoint(struct bus *bus, uint16_t node, char endpoint[256], uint16_t *port);
void bus_configure(struct bus *bus, const struct cluster_options *options);
void bus_set_link_sendbuf_limit(struct bus *bus, uint64_t limit);
/* Writes the state file now, waiting: CLUSTER SAVECONFIG. False with errno set. */
bool bus_save_now(struct bus *bus);

/* --- The shared set (cluster/shared.h), kept in a file beside the state file (nodes.conf.shared) --- */

/* cluster_share_item(); does not wait for the disk. Any thread, as the next three. */
bool bus_share_item(struct bus *bus, enum share_as as, struct shared_item *item, cluster_error error);
/* Waits until all that was set so far is on disk; with no lock held. False with errno set. */
bool bus_shared_wait(struct bus *bus);
/* Appends the text of an item as it is now; false where there is none. */
bool bus_shared_text(struct bus *bus, enum shared_kind kind, struct bytes name, struct buf *out);
/* Is this the item as it is now? What comes from another node may have been set here since. */
bool bus_shared_is_latest(struct bus *bus, const struct shared_item *item);
/* cluster_shared_is_everywhere() */
bool bus_shared_is_everywhere(struct bus *bus);
/* Who is told of items of a kind that come from other nodes, some at a time, deleted ones among them: on the control loop, with no lock held; they are lent for the
 * call. Before the call returns he is told of all that are there. One for each kind; before the control loop runs. */
void bus_on_shared_items(struct bus *bus, enum shared_kind kind,
                         void (*came)(void *context, const struct shared_item *items, size_t count), void *context);

/* Tells the other nodes of what a client has published; copies, and does not wait. With no lock held. */
void bus_publish(struct bus *bus, bool shard, struct bytes channel, struct bytes message);
/* A yes-no: is so much to be told already that who publishes had better wait? */
bool bus_publish_must_wait(const struct bus *bus);
/* Messages that were not told to a node, as its link or all of the bus was too busy, or they were too long. */
uint64_t bus_publish_dropped(const struct bus *bus);

/* For CLUSTER LINKS. */
struct bus_link_info {
    bool outbound;
    char node[NODE_ID_BYTES + 1];
    int64_t created_ms;
    bool reads, writes;
    size_t send_allocated, send_used;
};
/* Fills at most max of them, returns how many there are. */
size_t bus_links(struct bus *bus, struct bus_link_info *out, size_t max);
/* Attempts to write the state file that failed, ever. */
uint64_t bus_save_failures(struct bus *bus);
/* Links closed because too much waited to be sent on them. */
uint64_t bus_links_over_limit(const struct bus *bus);
