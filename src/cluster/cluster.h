/* cluster/cluster.h
 *
 * What a node believes of its cluster and what it does about it, as a pure state machine: an event goes in (a packet, a tick, a
 * link that opened, an operator's command), effects come out (send bytes, open or close a link, set a slot's owner, persist, log).
 * No sockets, no clock, no random source and no files of its own, so that the simulator runs the very code that ships.
 *
 *     events                                 effects
 *     cluster_tick          every 100 ms     EFFECT_CONNECT  open the outbound link of a node
 *     cluster_link_opened   outbound is up   EFFECT_CLOSE    close a link
 *     cluster_link_accepted inbound came     EFFECT_SEND     bytes for a link
 *     cluster_link_closed   either is gone   EFFECT_OWNERS   slots whose owner word is another now
 *     cluster_packet        one message      EFFECT_PERSIST  write the state file, then say cluster_persisted
 *     cluster_persisted     file is safe     EFFECT_VIEW     state ok/fail, node addresses or flags changed
 *     cluster_<command>     CLUSTER ...      EFFECT_LOG      a line
 *                                            EFFECT_DROP_KEYS keys of slots we lost
 *                                            EFFECT_SHARED_ITEM another node's item, which was taken over
 *                                            EFFECT_PUBLISH  for the clients of this node
 *
 * The caller owns a `struct effects` queue, passes it with each event, carries the effects out in order, and empties it. What
 * concerns slots is in the queue once, for all of them, however many: a node's 16384 slots may change hands in one event. Not
 * thread-safe: the caller guards it (bus/bus.h). All times are internal-clock milliseconds (base/clock.h) and come in with
 * the event. Formats: the Redis Cluster bus, version 1. */
#pragma once

#include "base/buf.h"
#include "base/keyslot.h"
#include "cluster/owner.h"
#include "cluster/shared.h"

#define NODE_ID_BYTES 40
#define CLUSTER_PACKET_BYTES_MAX (64u << 20)
#define CLUSTER_HEADER_BYTES 2256u

struct cluster;

/* A link is named by the caller: never 0, never used twice. */
typedef uint64_t cluster_link;

enum effect_kind {
    EFFECT_CONNECT,
    EFFECT_CLOSE,
    EFFECT_SEND,
    EFFECT_OWNERS,
    EFFECT_PERSIST,
    EFFECT_VIEW,
    EFFECT_LOG,
    EFFECT_DROP_KEYS,
    EFFECT_SHARED_ITEM,
    EFFECT_PUBLISH
};

struct effect {
    enum effect_kind kind;
    uint16_t node; /* CONNECT: index of the node; the caller makes a link and says cluster_link_opened(node, link) */
    cluster_link link; /* CLOSE, SEND */
    /* SEND: the message; PERSIST: the file's whole content; LOG: the line; OWNERS, DROP_KEYS: a bit for each slot, see
     * effect_next_slot(); PUBLISH: the channel, and the message behind it. Owned by the queue. */
    struct bytes data;
    char ip[46];             /* CONNECT */
    uint16_t port;           /* CONNECT: bus port */
    int log_level;           /* LOG: enum log_level of base/log.h */
    uint64_t sequence;       /* PERSIST: what cluster_persisted() gives back */
    size_t channel_bytes;    /* PUBLISH: how many of data are the channel */
    bool shard;              /* PUBLISH: it is a shard channel */
    bool sync;               /* PERSIST: must be on disk before what follows in the queue is carried out */
    struct shared_item item; /* SHARED_ITEM: name and text are in data */
};

struct effects {
    struct effect *items;
    size_t count, cap;
    size_t owners, drops; /* 1 + the place of what concerns slots; 0: none */
};
void effects_clear(struct effects *effects); /* frees what the effects own; keeps an array of usual size */
void effects_free(struct effects *effects);
/* The first slot of OWNERS or DROP_KEYS that is `from` or above, SLOT_COUNT where there is none. The owner words are those of
 * cluster_owner_word() at the time the effect is carried out: of several for one slot only the last was ever to be seen. */
unsigned effect_next_slot(const struct effect *effect, unsigned from);

/* Options the core reads; may be changed at any time through cluster_configure(). Texts are copied. */
struct cluster_options {
    int64_t node_timeout_ms;
    bool require_full_coverage;
    bool allow_replica_migration;
    uint16_t port, cport;                   /* what we listen on */
    char announce_ip[46];                   /* "" = find out */
    uint16_t announce_port, announce_cport; /* 0 = port, cport */
    char announce_hostname[256];
    enum endpoint_type { ENDPOINT_IP, ENDPOINT_HOSTNAME, ENDPOINT_UNKNOWN } preferred_endpoint;
};

/* A new identity; solo until it meets others or is given slots. The seed feeds its random choices. */
struct cluster *cluster_new(const struct cluster_options *options, uint64_t seed, int64_t now_ms);
/* From a state file's content. NULL, with a reason in error, where it is damaged: never guessed at. */
struct cluster *cluster_load(struct bytes state, const struct cluster_options *options, uint64_t seed, int64_t now_ms,
                             char error[256]);
void cluster_free(struct cluster **cluster);
void cluster_configure(struct cluster *cluster, const struct cluster_options *options, struct effects *effects);
/* The state file's content as it should be now (versioned, checksummed). */
void cluster_save(const struct cluster *cluster, struct buf *out);

/* --- The shared set (cluster/shared.h) --- */
#define CLUSTER_ERROR_BYTES 256
typedef char cluster_error[CLUSTER_ERROR_BYTES];
/* Sets an item, or deletes it where it is_gone; copies it. Sets item->version to what holds afterwards: where it was so already, and where a default comes
 * too late, nothing changes and that is the former one's. No effect tells of it. False, with the reply's error text and nothing changed, where it is too long
 * or there are too many. */
bool cluster_share_item(struct cluster *cluster, enum share_as as, struct shared_item *item, int64_t now_ms,
                        cluster_error error);
/* The item as it is now, also one that is gone; false where there is none. What it points to is lent until the next event. */
bool cluster_shared_find(const struct cluster *cluster, enum shared_kind kind, struct bytes name,
                         struct shared_item *item);
/* All of a kind that are not gone, in no order to rely on; lent for the visit. */
void cluster_shared_each(const struct cluster *cluster, enum shared_kind kind,
                         void (*visit)(void *context, const struct shared_item *item), void *context);
/* What is kept of it on disk: text, versioned, checksummed. */
void cluster_shared_save(const struct cluster *cluster, struct buf *out);
/* Before the first event. False, with a reason and nothing taken, where it is damaged. */
bool cluster_shared_load(struct cluster *cluster, struct bytes text, int64_t now_ms, char error[256]);
/* Grows with each change of what cluster_shared_save() gives. */
uint64_t cluster_shared_changes(const struct cluster *cluster);
/* Have all the nodes of our kind that we have a link to said that they have what we have? */
bool cluster_shared_is_everywhere(const struct cluster *cluster);

/* Emits an EFFECT_OWNERS of every slot and an EFFECT_VIEW: once after new/load. */
void cluster_announce_all(struct cluster *cluster, struct effects *effects);

/* --- Events --- */
void cluster_tick(struct cluster *cluster, int64_t now_ms, struct effects *effects);
void cluster_link_opened(struct cluster *cluster, uint16_t node, cluster_link link, int64_t now_ms,
                         struct effects *effects);
void cluster_link_failed(struct cluster *cluster, uint16_t node, int64_t now_ms, struct effects *effects);
/* local_ip, peer_ip: of the accepted socket, as text. */
void cluster_link_accepted(struct cluster *cluster, cluster_link link, const char *local_ip, const char *peer_ip,
                           int64_t now_ms);
void cluster_link_closed(struct cluster *cluster, cluster_link link, int64_t now_ms, struct effects *effects);
/* One whole message, framed by the caller: signature and totlen are checked already (cluster_frame). */
void cluster_packet(struct cluster *cluster, cluster_link link, struct bytes packet, int64_t now_ms,
                    struct effects *effects);
/* Epochs and slots of ours are told to others from here on, not before. Where it failed the node goes on with its last durable ones. */
void cluster_persisted(struct cluster *cluster, uint64_t sequence, bool ok, int64_t now_ms, struct effects *effects);

/* How long the message that starts here is: 0 more bytes are needed, -1 not a message (close the link). */
int64_t cluster_frame(struct bytes data);

/* --- What clients publish --- */

/* The links it is to be sent on: to every node, or of a shard channel to the replicas of this one. Fills at most max, returns how many there are. */
size_t cluster_publish_links(const struct cluster *cluster, bool shard, cluster_link *links, size_t max);
/* Appends the packet that tells other nodes of a message, and counts it as sent on so many links. False, and nothing, while nothing may be told. */
bool cluster_publication(struct cluster *cluster, bool shard, struct bytes channel, struct bytes message, size_t links,
                         struct buf *out);

/* --- Commands. Each writes "" into error and does it, or writes the reply's error text ("ERR Unknown node x") and does nothing. --- */
void cluster_meet(struct cluster *c, struct bytes ip, int64_t port, int64_t cport, int64_t now_ms, struct effects *e,
                  cluster_error error);
void cluster_add_slots(struct cluster *c, const uint16_t *slots, size_t count, int64_t now_ms, struct effects *e,
                       cluster_error error);
void cluster_del_slots(struct cluster *c, const uint16_t *slots, size_t count, int64_t now_ms, struct effects *e,
                       cluster_error error);
/* keys: whether this node holds keys at all, counted under the locks of all slots, which the caller still holds. */
void cluster_flush_slots(struct cluster *c, bool keys, int64_t now_ms, struct effects *e, cluster_error error);
void cluster_set_config_epoch(struct cluster *c, int64_t epoch, int64_t now_ms, struct effects *e, cluster_error error);
/* True where it was changed; *epoch is ours afterwards either way. */
bool cluster_bump_epoch(struct cluster *c, uint64_t *epoch, int64_t now_ms, struct effects *e);
void cluster_setslot_migrating(struct cluster *c, uint16_t slot, struct bytes node, int64_t now_ms, struct effects *e,
                               cluster_error error);
void cluster_setslot_importing(struct cluster *c, uint16_t slot, struct bytes node, int64_t now_ms, struct effects *e,
                               cluster_error error);
void cluster_setslot_stable(struct cluster *c, uint16_t slot, int64_t now_ms, struct effects *e, cluster_error error);
/* keys: how many keys of the slot are here, counted under its lock, which the caller still holds. */
void cluster_setslot_node(struct cluster *c, uint16_t slot, struct bytes node, uint64_t keys, int64_t now_ms,
                          struct effects *e, cluster_error error);
void cluster_forget(struct cluster *c, struct bytes node, int64_t now_ms, struct effects *e, cluster_error error);
void cluster_reset(struct cluster *c, bool hard, bool keys, int64_t now_ms, struct effects *e, cluster_error error);

/* --- Questions --- */
/* False while solo: every slot is served here and no other node is known. */
bool cluster_is_solo(const struct cluster *c);
bool cluster_state_ok(const struct cluster *c);
uint64_t cluster_epoch(const struct cluster *c);
const char *cluster_my_id(const struct cluster *c);
const char *cluster_my_shard_id(const struct cluster *c);
/* A range of slots that have keys although nobody asked: keys loaded before the cluster was (solo ends with keys). */
void cluster_note_keys(struct cluster *c, const uint8_t *bitmap_2048, int64_t now_ms, struct effects *e);

struct cluster_node_info {
    uint16_t index;
    char id[NODE_ID_BYTES + 1];
    char ip[46], hostname[256], shard_id[NODE_ID_BYTES + 1];
    uint16_t port, cport;
    uint16_t flags;                     /* as on the wire */
    char primary_id[NODE_ID_BYTES + 1]; /* "" for a primary */
    int64_t ping_sent_ms, pong_received_ms;
    uint64_t config_epoch, offset;
    bool connected;
    bool is_kin; /* of our kind, as it last said */
    uint32_t slot_count;
    cluster_link outbound, inbound;
    size_t failure_reports;
};
/* True where a node that is past its handshake is at the other end of a link. */
bool cluster_link_is_member(const struct cluster *c, cluster_link link);
size_t cluster_node_count(const struct cluster *c);
/* The n-th known node (handshakes included), myself first; false past the end. */
bool cluster_node_at(const struct cluster *c, size_t n, struct cluster_node_info *out);
bool cluster_node_by_index(const struct cluster *c, uint16_t index, struct cluster_node_info *out);
bool cluster_node_by_id(const struct cluster *c, struct bytes id, struct cluster_node_info *out);
/* Whether a node sees each slot's owner as we do. Of one that is silent, or has not told its view yet, it is unknown. A Redis node tells
 * what it claims itself: that these are the slots we think it has is all that is known of it. */
enum agreement { AGREEMENT_FULL, AGREEMENT_NONE, AGREEMENT_UNKNOWN };
enum agreement cluster_agreement(const struct cluster *c, const struct cluster_node_info *node);
/* Have all nodes of our kind, those that are silent now too, known for a while who owns the slot, and whoever they had sent elsewhere before has arrived? */
bool cluster_all_know(const struct cluster *c, uint16_t slot);

/* Slots, first to last, of which a node believes something else than we do. */
struct cluster_difference {
    uint16_t first, last;
    char here[NODE_ID_BYTES + 1]; /* whose they are here; "": nobody's */
    char there[NODE_ID_BYTES +
               1];    /* whose they are there; "": nobody's, or, where it told its claims only, not its own */
    bool whole;       /* it told its whole view */
    int64_t since_ms; /* from when on we knew of both */
};
/* Hands them out, slots ascending. */
void cluster_differences(const struct cluster *c, uint16_t node,
                         void (*each)(void *context, const struct cluster_difference *difference), void *context);
/* Has all been said about whose a slot of ours is that we can say now? No while others cannot hear of it yet, because it is not on disk, or is withheld (announce.c). */
bool cluster_is_announced(const struct cluster *c, uint16_t slot);
/* Is a slot ours that after a restart would not be, because the state cannot be saved? */
bool cluster_is_unsaved(const struct cluster *c, uint16_t slot);
/* Has enough been heard from the other end of a slot that begins to migrate, or to be imported? Until a Redis node would take it with a higher epoch than all we claim it with,
 * or has been heard with what it is to give us, the operator is not told OK. True also where that has been waited for long enough, or the slot does neither. */
bool cluster_may_move(const struct cluster *c, uint16_t slot, int64_t now_ms);
/* Index of the owner of a slot, or -1. */
int cluster_slot_owner(const struct cluster *c, uint16_t slot);
/* Its word for those who serve it, see cluster/owner.h. */
uint64_t cluster_owner_word(const struct cluster *c, uint16_t slot);
/* One CLUSTER NODES line, without the line end; and all of them, each with one. */
void cluster_node_line(const struct cluster *c, uint16_t index, struct buf *out);
void cluster_nodes_text(const struct cluster *c, struct buf *out);
/* The same, without the slots that a solo node serves though it was not given them. */
void cluster_nodes_text_given(const struct cluster *c, struct buf *out);
/* The text of CLUSTER INFO, but for its last line, which counts links: those are the caller's. */
void cluster_info_text(const struct cluster *c, struct buf *out);
const struct cluster_options *cluster_current_options(const struct cluster *c);
