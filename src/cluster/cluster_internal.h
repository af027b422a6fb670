/* cluster/cluster_internal.h
 *
 * What the files of this folder share: the node table, the map of slots and the few steps that more than one of them takes.
 *
 *     message.c     bytes <-> struct message, checked in the wire's order
 *     node.c        the table of nodes and of links
 *     view.c        who owns which slot; claims; is the cluster ok
 *     gossip.c      what a PING says of others, and what others' PINGs say
 *     packet.c      one message that came, step by step
 *     forgotten.c   whom an operator had us forget
 *     failure.c     suspicion, failure by quorum, and back
 *     election.c    votes for replicas of Redis nodes
 *     epoch.c       the cluster's logical clock
 *     announce.c    what of it is on disk, and may be told
 *     commands.c    what an operator asks for
 *     moves.c       which of us has a slot that two of our kind claim
 *     open.c        what becomes of a move that nobody goes on with
 *     difference.c  who sees other owners than we do
 *     shared_set.c  items that all nodes of our kind are to have the same of
 *     shared.c      how they come to
 *     text.c        CLUSTER NODES, CLUSTER INFO and the questions
 *     state_file.c  the same view on disk
 *     cluster.c     birth, ticks and links
 *
 * An event changes the view in memory at once, notes what follows from it (`save`, `state_dirty`, `view_dirty`), and ends with
 * cluster_settle(), which emits what was noted. Owner words are emitted on the spot, so that they stay in order with the keys
 * they drop.
 *
 * A node votes (election.c) and does not stand yet: that has its place in packet.c, where votes for us would be counted, and in
 * cluster.c's tick. */
#pragma once

#include "base/log.h"
#include "base/random.h"
#include "cluster/cluster.h"
#include "cluster/shared_set.h"

#define NODES_MAX 4096u     /* known nodes, handshakes included: what a hostile member could make us hold */
#define HANDSHAKES_MAX 256u /* anybody who reaches the port can ask for one */
#define INBOUND_LINKS_MAX 9000u
#define BLACKLIST_MAX 1024u
#define INDEX_NONE 0xffffu          /* no node: never given out */
#define INDEX_REST_MS 60000         /* how long an index lies unused before it may name another node */
#define EPOCH_MAX (UINT64_MAX >> 1) /* higher ones are refused: nobody could outbid them */

#define SLOT_BITMAP_BYTES (SLOT_COUNT / 8)
#define ID_BUCKETS 512u

#define WRITABLE_DELAY_MS 2000
#define BLACKLIST_MS 60000
#define TICKS_PER_IDLE_PING 10

enum node_flag {
    FLAG_PRIMARY = 0x0001,
    FLAG_REPLICA = 0x0002,
    FLAG_PFAIL = 0x0004,
    FLAG_FAIL = 0x0008,
    FLAG_MYSELF = 0x0010,
    FLAG_HANDSHAKE = 0x0020,
    FLAG_NOADDR = 0x0040,
    FLAG_MEET = 0x0080,
    FLAG_MIGRATE_TO = 0x0100,
    FLAG_NOFAILOVER = 0x0200,
};
/* What we tell of a node, and what we take over from somebody else's gossip about one we did not know. */
#define FLAGS_GOSSIPED                                                                                                 \
    (FLAG_PRIMARY | FLAG_REPLICA | FLAG_PFAIL | FLAG_FAIL | FLAG_NOADDR | FLAG_MIGRATE_TO | FLAG_NOFAILOVER)
#define FLAGS_LEARNED (FLAG_PRIMARY | FLAG_REPLICA | FLAG_MIGRATE_TO | FLAG_NOFAILOVER)

/* Of the wire, as message.h numbers them. */
#define MESSAGE_TYPES 11u

/* What nodes of our kind say to each other alone: see difference.c, moves.c and forgotten.c. */
enum kin {
    KIN_VIEW_ASK = 1,
    KIN_VIEW = 2,
    KIN_MOVED = 3,
    KIN_HELD = 4,
    KIN_KEEPS = 5,
    KIN_FORGOTTEN = 6,
    KIN_MET = 7,
};

struct message;
struct mark;
struct beliefs;

struct failure_report {
    uint16_t reporter; /* index */
    int64_t at_ms;
};

/* What we know of another node's shared set, see shared.c. */
struct node_shared {
    uint32_t digest; /* as the latest of its messages said, and since when */
    int64_t since_ms;
    uint32_t incarnation; /* of that message */
    uint64_t sequence;
    bool has_said;                   /* that it has changed, and we have not asked it since */
    uint32_t left_ours, left_theirs; /* while they are so it is not asked until then */
    int64_t left_until_ms;
};

struct node {
    uint16_t index;
    uint16_t flags;
    char id[NODE_ID_BYTES + 1];
    uint64_t id_digest;               /* of id, see view.c */
    char shard_id[NODE_ID_BYTES + 1]; /* "" = never said */
    char ip[46];                      /* "" = unknown */
    char hostname[256];
    uint16_t port, cport, pport;
    uint64_t config_epoch;
    uint64_t said_epoch;  /* the current epoch of its latest heartbeat: it has heard of those up to it */
    uint64_t asked_epoch; /* it was sent a PING to hear whether it has heard of this one, see announce.c */
    uint64_t offset;
    struct node *primary; /* of a replica; NULL where it is unknown */
    size_t replica_count;

    int64_t created_ms;
    int64_t met_ms;       /* when an operator said MEET, here or there; 0: it came by hearsay, or from the file */
    int64_t ping_sent_ms; /* 0 = none outstanding */
    int64_t pong_received_ms;
    int64_t data_received_ms;
    int64_t fail_ms;
    struct failure_report *reports;
    size_t report_count, report_cap;

    cluster_link outbound, inbound; /* 0 = none */
    int64_t outbound_opened_ms;
    bool connecting;       /* EFFECT_CONNECT is out and not answered */
    bool connect_is_stale; /* the address has changed since */
    int64_t connect_asked_ms;
    bool sends_shard_id; /* so it understands one */

    bool is_ours; /* of our kind, as its last message said; what follows is of that message */
    uint32_t incarnation;
    uint64_t sequence;       /* the highest of this incarnation */
    uint64_t doubted_epoch;  /* somebody else said it has it, and with it slots of ours */
    int64_t doubted_ms;      /* when this was said first */
    uint64_t refused_epoch;  /* the last one in which it was said why it has no vote */
    uint64_t disputed_epoch; /* of both of us, with claims to one slot */
    int64_t disputed_ms;     /* since when; 0: it was said */
    int64_t voted_ms;        /* of a primary: when a replica of it had our vote last; 0: never */
    uint64_t view;           /* its digest of who owns which slot */
    int64_t view_changed_ms, view_asked_ms, view_told_ms;
    bool heard_view, view_awaited;
    uint64_t asked_bindings; /* how often slots had changed hands when it was asked for its view */
    /* It saw the same owners as we did when so many slots had changed hands here: for a while, and as last heard, which was when; 0: not since. */
    uint64_t knew_bindings, agreed_bindings;
    int64_t agreed_ms;
    struct node_shared shared;
    bool view_wanted;        /* at once: it was said to have slots of ours, and does not claim them */
    struct beliefs *beliefs; /* where they are not ours, see difference.c; or NULL */

    uint8_t *slots; /* bitmap of those bound to it; NULL while it has none */
    uint32_t slot_count;
    uint16_t gossip_mark; /* last packet it was put into */
    struct node *next_by_id;
};

struct link {
    cluster_link id;
    uint16_t node; /* INDEX_NONE until a packet told */
    bool inbound;
    char local_ip[46], peer_ip[46];
    struct link *next;
};

struct index_entry {
    struct node *node;
    bool connecting; /* outlives the node: the caller still owes an answer */
    int64_t freed_ms;
};

struct forgotten {
    char id[NODE_ID_BYTES + 1];
    int64_t until_ms;
    bool on_word; /* of another node; else an operator said so here */
    int64_t asked_ms;
};

enum save { SAVE_NO, SAVE_SOON, SAVE_SYNC };

/* What we may tell of ourselves, as one save put it on disk. */
struct announcement {
    uint64_t sequence; /* of the save; 0: none */
    uint64_t current_epoch, config_epoch;
    uint8_t slots[SLOT_BITMAP_BYTES];
};

struct cluster {
    struct cluster_options options;
    struct random random;
    struct node *myself;

    struct node **nodes; /* known ones in the order they came, myself first */
    size_t node_count, node_cap;
    size_t handshake_count;
    struct index_entry *indices;
    size_t index_count, index_cap, index_cursor;
    struct node *by_id[ID_BUCKETS];

    struct link **links; /* hash of link ids */
    size_t link_count, link_buckets, inbound_count;

    uint16_t owner[SLOT_COUNT];     /* index of a node, or INDEX_NONE */
    uint16_t migrating[SLOT_COUNT]; /* likewise */
    uint16_t importing[SLOT_COUNT];
    uint16_t sequence[SLOT_COUNT];
    /* When an operator or a tool last did something with it, see open.h; not on disk. In milliseconds after started_ms: what nothing was done with is 0, and takes no
     * memory. */
    int64_t worked_after_ms[SLOT_COUNT];
    uint16_t handed_over;             /* the slot that a target is being told to be its own; SLOT_COUNT: none */
    uint16_t taken_from[SLOT_COUNT];  /* of ours: whom an operator moved it from, while that node may not know */
    uint64_t since_epoch[SLOT_COUNT]; /* of ours, and of what is yielded: our epoch when we took it, or a higher one */
    /* Of taken_from: that node has been heard without the slot. Of migrating: we did not have it from its target, so that any claim of that one is a new one. Not on disk. */
    uint8_t giver_knows[SLOT_BITMAP_BYTES];
    bool any_taken_from; /* one that does not know */
    /* An operator gave them to a Redis node, which has not been heard with them since, and claims them with a higher epoch than since_epoch. Not on disk. */
    uint8_t not_heard[SLOT_BITMAP_BYTES];
    bool any_not_heard;
    /* Of ours, and of what is yielded: an operator gave it to us since we began, so that nothing later is forgotten. Not on disk. */
    uint8_t remembered[SLOT_BITMAP_BYTES];
    /* Ours until their owner claimed them, or a third node said it has them: its own word on each is awaited, and their keys are here as long. */
    uint8_t yielded[SLOT_BITMAP_BYTES];
    uint16_t yielded_leaving
        [SLOT_COUNT]; /* of what is yielded: whom it was leaving for, and some of its keys may be with. Not on disk */
    uint8_t not_claiming[SLOT_BITMAP_BYTES]; /* bound to an owner that no longer claims them */
    uint32_t assigned_count;

    bool solo;
    uint8_t kept[SLOT_BITMAP_BYTES]; /* slots with keys, to be ours when solo ends */

    uint64_t view_digest;               /* of owner[]: the same for all who agree, see view.c */
    int64_t owner_after_ms[SLOT_COUNT]; /* likewise */
    uint64_t bindings;                  /* how often a slot has changed hands here */
    uint64_t bound_at[SLOT_COUNT];      /* the last of them that was this slot's */
    uint8_t rebound[SLOT_BITMAP_BYTES]; /* in this event: their time is taken at its end */
    bool any_rebound;
    int64_t view_changed_ms;
    size_t belief_count;  /* nodes that have some */
    uint32_t incarnation; /* drawn at each start */
    uint64_t told_sequence;

    struct {
        struct shared_set set;
        int64_t changed_ms;
        size_t to_say, say_at; /* so many hear that it has changed; the next one's place in `nodes` */
        bool is_asking;        /* what follows is of that */
        bool page_is_due;      /* with the next tick */
        uint16_t asked;        /* index of the node */
        uint32_t asked_digest; /* that it had at the beginning */
        uint64_t asked_from;   /* the hash that the page begins with */
        int64_t asked_ms;
        size_t pages, told_bytes; /* heard; told to all others; since the last tick */
    } shared;

    uint64_t current_epoch, last_vote_epoch;
    bool ok;
    bool delayed_start; /* this node has a past: it waits before it serves writes again */
    int64_t started_ms, minority_ms;
    bool minority_seen;

    struct forgotten blacklist[BLACKLIST_MAX];
    size_t blacklist_count;

    uint64_t tick_count;
    size_t pfail_count; /* as of the last tick */
    uint16_t gossip_mark;
    uint64_t sent[MESSAGE_TYPES], received[MESSAGE_TYPES];
    uint64_t ignored; /* of those received: damaged, a stranger's, or overtaken */

    enum save save;
    bool save_failed;
    bool state_dirty, view_dirty;
    uint64_t save_sequence;
    struct announcement told;                        /* what headers say, but for the current epoch */
    struct announcement durable;                     /* what is on disk */
    struct announcement being_saved, newest_unsaved; /* asked for since, in this order */
    int64_t withheld_ms;        /* since when `told` is an older one than `durable`; 0: it is the same */
    uint64_t identity_sequence; /* the save that has to succeed before our id is said; 0: it is on disk */
    struct vote {
        uint64_t sequence; /* of the save that has it; 0: none waits to be given */
        uint64_t epoch;
        char candidate[NODE_ID_BYTES + 1];
    } vote;
    bool tell_all; /* as soon as what we are is what we may say */
};

/* --- effects.c --- */
void emit_connect(struct effects *effects, const struct node *node);
void emit_close(struct effects *effects, cluster_link link);
/* Takes the buffer's memory. */
void emit_send(struct effects *effects, cluster_link link, struct buf *message);
void emit_owner(struct effects *effects, uint16_t slot);
void emit_drop_keys(struct effects *effects, uint16_t slot);
void emit_persist(struct effects *effects, struct buf *content, uint64_t sequence, bool sync);
void emit_publish(struct effects *effects, bool shard, struct bytes channel, struct bytes text);
void emit_view(struct effects *effects);
void emit_shared_item(struct effects *effects, const struct shared_item *item);
void emit_log(struct effects *effects, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- node.c --- */
static inline bool node_is(const struct node *node, unsigned flags)
{
    return (node->flags & flags) != 0;
}
static inline bool node_is_primary(const struct node *node)
{
    return node_is(node, FLAG_PRIMARY);
}
static inline bool node_votes(const struct node *node)
{
    return node_is_primary(node) && node->slot_count > 0;
}
bool id_is_valid(const char *id);
void id_random(struct cluster *c, char out[NODE_ID_BYTES + 1]);
struct node *node_find(const struct cluster *c, const char *id);
struct node *node_find_bytes(const struct cluster *c, struct bytes id);
struct node *node_at_index(const struct cluster *c, uint16_t index);
/* NULL where there is no room for more. */
struct node *node_add(struct cluster *c, const char *id, unsigned flags, int64_t now_ms);
/* Its slots become nobody's, its links are closed, its reports and replicas let go. Never myself. */
void node_remove(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e);
void node_free(struct node *node);
void node_rename(struct cluster *c, struct node *node, const char *id);
void node_set_primary(struct cluster *c, struct node *node, struct node *primary);
void node_become_primary(struct cluster *c, struct node *node);
void node_become_replica(struct cluster *c, struct node *node, struct node *primary, struct effects *e);
/* Closes the outbound link (or disowns the one being opened); the next tick connects again. */
void node_disconnect(struct cluster *c, struct node *node, struct effects *e);
bool node_set_address(struct cluster *c, struct node *node, const char *ip, uint16_t port, uint16_t cport,
                      uint16_t pport, struct effects *e);
/* NULL where there is no room, or such a handshake is under way (*exists). */
struct node *handshake_start(struct cluster *c, const char *ip, uint16_t port, uint16_t cport, unsigned flags,
                             int64_t now_ms, bool *exists);
struct link *link_find(const struct cluster *c, cluster_link id);
struct link *link_add(struct cluster *c, cluster_link id, bool inbound);
void link_remove(struct cluster *c, cluster_link id);

/* --- forgotten.c --- */
bool blacklist_has(const struct cluster *c, const char *id, int64_t now_ms);
/* on_word: as another node asks. That is not passed on: the word would go round, and undo a MEET that came after it. */
void blacklist_add(struct cluster *c, const char *id, int64_t now_ms, int64_t for_ms, bool on_word);
/* Into a message; how many. Neither those of whom we were told by others are among them, nor who was met again since. */
uint16_t forgotten_put(struct cluster *c, int64_t now_ms, struct buf *out);
/* Whom a message asks us to forget: neither us nor its sender, and not for ever. */
void forgotten_told(struct cluster *c, struct node *sender, const struct message *message, int64_t now_ms,
                    struct effects *e);
/* A node came by a MEET, which was said then. */
void forgotten_met(struct cluster *c, struct node *node, int64_t met_ms, int64_t now_ms);
/* The sender speaks of somebody who is forgotten here. */
void forgotten_ask(struct cluster *c, const struct node *sender, const char *id, int64_t now_ms, struct effects *e);
/* One of our kind asks so, or answers. */
void forgotten_word(struct cluster *c, cluster_link link, enum kin what, const struct message *message, int64_t now_ms,
                    struct effects *e);

/* --- view.c --- */
static inline bool bitmap_has(const uint8_t *bitmap, unsigned bit)
{
    return (bitmap[bit / 8] >> (bit % 8) & 1) != 0;
}
static inline void bitmap_set(uint8_t *bitmap, unsigned bit)
{
    bitmap[bit / 8] = (uint8_t)(bitmap[bit / 8] | 1u << (bit % 8));
}
static inline void bitmap_clear(uint8_t *bitmap, unsigned bit)
{
    bitmap[bit / 8] = (uint8_t)(bitmap[bit / 8] & ~(1u << (bit % 8)));
}
/* The bitmap of a node, all zeros where it has none. */
const uint8_t *node_slots(const struct node *node);
struct node *owner_node(const struct cluster *c, uint16_t slot);
/* NULL: nobody. Emits the new owner word where anything changed. What was yielded is decided with it: its keys are dropped, unless it is
 * ours again. */
void slot_bind(struct cluster *c, uint16_t slot, struct node *node, struct effects *e);
void slot_set_migrating(struct cluster *c, uint16_t slot, uint16_t index, struct effects *e);
void slot_set_importing(struct cluster *c, uint16_t slot, uint16_t index, struct effects *e);
/* Whose word it is: the claimer's own, or a third node's. */
enum word { WORD_OWN, WORD_HEARSAY };
/* Who claims what in a packet: the wire's slot claim procedure. On hearsay slots of ours are yielded, not lost. */
void view_claim(struct cluster *c, struct node *claimer, uint64_t epoch, const uint8_t *bitmap, enum word word,
                struct effects *e);
/* A yielded slot is its owner's, who has said so. */
void view_settled(struct cluster *c, uint16_t slot, struct effects *e);
/* One of our kind says in its view whose a slot is (NULL: nobody's) that we yielded to it, or that it does not claim though we hold it for its own.
 * True where it is ours now: each of us would wait for the other. A view that was asked for before we took it for the teller's decides nothing: it may be of
 * before it was given the slot, and is asked for again. */
bool view_told(struct cluster *c, struct node *teller, uint16_t slot, const char *owner_id, struct effects *e);
/* Tells the sender of the first slot that somebody owns with a higher epoch than its own. */
void view_correct(struct cluster *c, struct node *sender, uint64_t epoch, const uint8_t *bitmap, struct effects *e);
/* A file may say that a slot leaves here that is not here, or comes that is: not so. Nor is one moved here that is elsewhere, or yielded to
 * nobody. */
void view_close_impossible(struct cluster *c);
void view_end_solo(struct cluster *c, struct effects *e);
void view_update_state(struct cluster *c, int64_t now_ms, struct effects *e);
size_t view_size(const struct cluster *c);
static inline size_t view_quorum(const struct cluster *c)
{
    return view_size(c) / 2 + 1;
}

/* --- gossip.c --- */
/* A PING, PONG or MEET (message.h) to a link; `to` is the node at its end where that is known. */
void gossip_send(struct cluster *c, unsigned type, cluster_link link, struct node *to, int64_t now_ms,
                 struct effects *e);
void gossip_broadcast_pong(struct cluster *c, int64_t now_ms, struct effects *e);

void gossip_receive(struct cluster *c, struct node *sender, const struct message *message, int64_t now_ms,
                    struct effects *e);
/* A header with our own facts, for any type. */
void header_begin(struct cluster *c, unsigned type, struct buf *out);
/* Takes the message; sets its length, counts it. */
void message_send(struct cluster *c, cluster_link link, struct buf *message, struct effects *e);
void message_broadcast(struct cluster *c, struct buf *message, struct effects *e);

/* --- failure.c --- */
void failure_suspect(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e);
void failure_report_add(struct node *node, const struct node *reporter, int64_t now_ms);
void failure_report_remove(struct node *node, uint16_t reporter);
/* Those that were not repeated for too long go. */
void failure_reports_expire(const struct cluster *c, struct node *node, int64_t now_ms);
size_t failure_report_count(const struct cluster *c, const struct node *node, int64_t now_ms);
void failure_evaluate(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e);
void failure_told(struct cluster *c, const struct node *sender, const char *failing, int64_t now_ms, struct effects *e);
/* A node answered. */
void failure_cleared(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e);

/* Whether a node has slots of ours is still its own to say, and not for long enough that others' word counts. */
#define DOUBT_TIMEOUTS 2
static inline bool doubt_lasts(const struct cluster *c, const struct node *node, int64_t now_ms)
{
    return node->doubted_epoch > node->config_epoch &&
           now_ms - node->doubted_ms <= c->options.node_timeout_ms * DOUBT_TIMEOUTS;
}

/* --- election.c --- */
/* A known node asks for our vote. */
void election_asked(struct cluster *c, struct node *candidate, const struct message *request, int64_t now_ms,
                    struct effects *e);
/* A save has succeeded, or failed: the vote that waited for it is given, or never. */
void election_saved(struct cluster *c, uint64_t sequence, bool ok, struct effects *e);

/* --- epoch.c --- */
void epoch_saw(struct cluster *c, const struct node *sender, uint64_t current, struct effects *e);
/* With it slots from first to last, of ours, are taken anew. False where ours is the highest already. */
#define NO_SLOTS 1, 0
bool epoch_bump(struct cluster *c, unsigned first, unsigned last, struct effects *e);
/* slots: what the sender claims with it. */
void epoch_collision(struct cluster *c, struct node *sender, uint64_t epoch, const uint8_t *slots, int64_t now_ms,
                     struct effects *e);

/* --- announce.c --- */
/* What memory holds was read from the disk just now. */
void announce_loaded(struct cluster *c);
/* This node is somebody else from now on, of whom nothing is on disk: until it is, nobody hears a word of us. */
void announce_forget(struct cluster *c);
bool announce_may_speak(const struct cluster *c);
/* A save of what memory holds has been asked for; those up to a sequence are on disk. */
void announce_saving(struct cluster *c);
void announce_saved(struct cluster *c, uint64_t sequence);
/* True where others are told all there is. */
bool announce_is_current(const struct cluster *c);
/* Tells what is on disk, if it may be told by now. True where something was withheld until now. */
bool announce_settle(struct cluster *c, int64_t now_ms, struct effects *e);
struct announcement announce_now(const struct cluster *c);

/* --- moves.c --- */
/* An operator has moved a slot to us. */
void moves_took(struct cluster *c, uint16_t slot, uint16_t from);
/* The same as the state file has it: what came after it may not be in there. */
void moves_took_once(struct cluster *c, uint16_t slot, uint16_t from);
/* An operator says that those of these slots that are ours are so: as if we had taken them with the epoch we have. */
void moves_confirm(struct cluster *c, unsigned first, unsigned last);
/* A node's own word on its slots, and the epochs with it: what was moved here from it, and it claims no more, it knows of. */
void moves_heard(struct cluster *c, const struct node *node, uint64_t current_epoch, uint64_t epoch,
                 const uint8_t *bitmap, struct effects *e);
/* An operator has given a slot of ours to a node. */
void moves_gave(struct cluster *c, uint16_t slot, const struct node *to);
/* An operator has a slot of ours leave for a node. */
void moves_leaves(struct cluster *c, uint16_t slot, const struct node *target);
/* It was moved here from the node, which has not been heard without it yet. */
bool moves_insists(const struct cluster *c, const struct node *node, unsigned slot);
/* A slot leaves for a Redis node, which claims it with that epoch: might it have been told that it has it? */
bool moves_may_be_new(const struct cluster *c, const struct node *target, unsigned slot, uint64_t epoch);
/* To one of our kind, with what it claims: what was moved here from it, and what both claim or claimed. */
void moves_tell(struct cluster *c, struct node *node, uint64_t epoch, const uint8_t *bitmap, struct effects *e);
/* One of our kind says such a word to us. */
void moves_told(struct cluster *c, struct node *node, enum kin what, const struct message *message, struct effects *e);

/* --- difference.c --- */
void kin_send(struct cluster *c, cluster_link link, enum kin what, struct bytes payload, struct effects *e);
/* What a heartbeat of a known node says of who owns what; after it was learnt from. */
void difference_heard(struct cluster *c, struct node *node, const struct message *message, int64_t now_ms);
/* The node has been started anew. */
void difference_forget(struct node *node);
/* Asks one whose view is another for it. */
void difference_tick(struct cluster *c, int64_t now_ms, struct effects *e);
/* A MODULE message of a known node of our kind. */
void difference_module(struct cluster *c, struct node *node, cluster_link link, const struct message *message,
                       int64_t now_ms, struct effects *e);
void beliefs_drop(struct cluster *c, struct node *node);

/* --- shared.c --- */
/* Of what every message of ours says it. */
uint32_t shared_digest(const struct cluster *c);
/* What a message of a known node says of its own. */
void shared_heard(const struct cluster *c, struct node *node, const struct mark *mark, int64_t now_ms);
void shared_tick(struct cluster *c, int64_t now_ms, struct effects *e);
/* A MODULE message of a known node of our kind. */
void shared_module(struct cluster *c, struct node *node, cluster_link link, const struct message *message,
                   int64_t now_ms, struct effects *e);

/* --- text.c --- */
void node_line(const struct cluster *c, const struct node *node, bool for_file, struct buf *out);

/* --- cluster.c --- */
struct cluster *cluster_bare(const struct cluster_options *options, uint64_t seed, int64_t now_ms);
void cluster_apply_options(struct cluster *c);
void cluster_save_later(struct cluster *c, enum save save);
void cluster_persist_now(struct cluster *c, bool sync, struct effects *e);
/* The end of an event. `flush`: write also what could wait for the next tick. */
void cluster_settle(struct cluster *c, bool flush, int64_t now_ms, struct effects *e);
