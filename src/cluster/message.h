/* cluster/message.h
 *
 * The Redis Cluster bus, version 1: a header of 2256 bytes, big endian, and what depends on the type.
 *
 *     0      8   10    12    14     16            24           32      40      80       2128     2168  2214        2246   2256
 *     RCmb len  ver  port  type  count  currentEpoch configEpoch offset sender  slots    slaveof  ip    extensions  ...    data
 *
 *     PING, PONG, MEET   gossip entries of 104 bytes, then extensions
 *     FAIL               the id of who failed
 *     UPDATE             epoch, id and slots of a node the receiver is wrong about
 *     PUBLISH, MODULE    lengths and payload
 *
 * 30 bytes of the header mean nothing to anybody, and all peers send zeros there. Ours hold a mark, by which nodes of our kind know each
 * other, and what they tell each other with every message:
 *
 *     2216  2220     2221    2222         2226      2234  2242
 *     rshd  version  zero    incarnation  sequence  view  shared
 *
 * The incarnation is drawn at each start; the sequence grows with every message of one; the view is a digest of who owns which slot, shared one of
 * the shared set (cluster/shared.h), 0 of an empty one.
 *
 * Decoding borrows from the packet and believes nothing: each length is checked before it is followed, ids are 40 of [a-z0-9],
 * texts are made of what addresses and host names are made of, so that nothing read here can forge a line of the state file or
 * of the log. */
#pragma once

#include "base/buf.h"
#include "cluster/cluster.h"

enum message_type {
    MESSAGE_PING,
    MESSAGE_PONG,
    MESSAGE_MEET,
    MESSAGE_FAIL,
    MESSAGE_PUBLISH,
    MESSAGE_AUTH_REQUEST,
    MESSAGE_AUTH_ACK,
    MESSAGE_UPDATE,
    MESSAGE_MFSTART,
    MESSAGE_MODULE,
    MESSAGE_PUBLISHSHARD
};
#define MESSAGE_PAUSED 1u
#define MESSAGE_FORCEACK 2u
#define MESSAGE_EXT_DATA 4u

#define GOSSIP_BYTES 104u

/* What a node of our kind adds to each header. */
struct mark {
    bool
        is_ours; /* false: the sender is of another kind, or of a version that we do not know, and nothing else is set */
    uint32_t incarnation;
    uint64_t sequence, view;
    uint32_t shared;
};

struct message {
    uint16_t type, count;
    uint16_t port, cport, pport, flags, extensions;
    uint8_t state, mflags;
    uint64_t current_epoch, config_epoch, offset;
    char sender[NODE_ID_BYTES + 1];
    char primary[NODE_ID_BYTES + 1]; /* "" for a primary */
    char ip[46];                     /* "" = as the socket says */
    struct mark mark;
    const uint8_t *slots;  /* borrowed, 2048 bytes */
    const uint8_t *gossip; /* borrowed, count entries */

    /* Extensions that were there and made sense. */
    char hostname[256], shard_id[NODE_ID_BYTES + 1];
    struct bytes extension_data;

    /* FAIL and UPDATE. */
    char subject[NODE_ID_BYTES + 1];
    uint64_t subject_epoch;
    const uint8_t *subject_slots; /* borrowed */

    /* PUBLISH and PUBLISHSHARD, borrowed. */
    struct bytes channel, text;

    /* MODULE, borrowed. */
    const char *module; /* 8 bytes: whose business it is */
    uint8_t module_type;
    struct bytes module_payload;
};

enum message_verdict {
    MESSAGE_OK,
    MESSAGE_OTHER_VERSION, /* silently ignored, as everybody does */
    MESSAGE_BAD_EXTENSION,
    MESSAGE_BAD_LENGTH,
    MESSAGE_BAD_FIELD, /* an id, text or epoch that no honest node sends */
};

/* A packet of at least CLUSTER_HEADER_BYTES whose length is what its header says. */
enum message_verdict message_decode(struct bytes packet, struct message *out);
/* What a packet claims to be, before anything else is believed; for the statistics. */
uint16_t message_type_of(struct bytes packet);

struct gossip {
    char id[NODE_ID_BYTES + 1];
    uint32_t ping_sent_s, pong_received_s;
    char ip[46];
    uint16_t port, cport, flags, pport;
};
/* The n-th entry; false where it cannot be used. */
bool gossip_decode(const struct message *message, size_t n, struct gossip *out);

/* The next node this sender wants forgotten, and for how long; false past the last. *at begins with 0 and belongs to the walk: a packet
 * may hold tens of thousands of them, so each is come to once. */
bool message_forgotten(const struct message *message, size_t *at, char id[NODE_ID_BYTES + 1], uint64_t *ttl_s);

/* --- Writing --- */
struct message_header {
    uint16_t type;
    uint16_t port, cport, pport, flags;
    uint8_t state, mflags;
    uint64_t current_epoch, config_epoch, offset;
    const char *sender, *primary, *ip; /* "" where there is none */
    const uint8_t *slots;              /* NULL: none */
    struct mark mark;
};
void message_header_write(struct buf *out, const struct message_header *header);
void message_gossip_write(struct buf *out, const struct gossip *gossip);
void message_hostname_write(struct buf *out, const char *hostname);
void message_forgotten_write(struct buf *out, const char *id, uint64_t ttl_s);
void message_shard_id_write(struct buf *out, const char *shard_id);
void message_fail_write(struct buf *out, const char *failing);
void message_update_write(struct buf *out, uint64_t epoch, const char *id, const uint8_t *slots);
void message_publish_write(struct buf *out, struct bytes channel, struct bytes text);
void message_module_write(struct buf *out, const char module[8], uint8_t type, struct bytes payload);
/* The counts in the header, and the length of the whole. */
void message_finish(struct buf *out, uint16_t count, uint16_t extensions);

/* What may stand in an address or host name: letters, digits and a little punctuation. */
bool text_is_address(const char *text);
bool text_is_hostname(const char *text);
