/* cluster/open.h
 *
 * Slots that stand open though nobody works on them: a tool was killed, a node crashed, a step failed. Between two nodes of our kind such a move
 * ends by itself. Work on a slot is a SETSLOT of it here, or a MIGRATE from it; where there was none for a while the node looks at what it has
 * of the slot and asks the other end for the same:
 *
 *     here        the other end says                  what is to be done
 *     migrating   it imports the slot from us         SEND     the rest of the keys, and then the slot
 *                 the slot is its own, no key here    GIVE     so it is told here, too, when the other has it on disk
 *                 not its own, not open, has keys     REOPEN   it is to import it again: its keys are newer than none
 *                 not its own, not open, no keys      CLOSE    no key has left
 *                 nothing, and has failed for long    CLOSE    what it has comes back with it, by RETURN
 *     importing   it migrates the slot to us          WAIT     it sends
 *                 it has the slot, no key here        CLOSE
 *                 it has the slot, keys here          RETURN   each key that it lacks; the others go
 *                 the slot is ours                    TAKE     it was told so, and we were not
 *                 it is somebody else's               CLOSE    whose, is heard as soon as it is not imported here; the keys are strays then
 *     neither,    (strays: keys of a slot that        ADOPT    the slot is imported from its owner, and then as above
 *     but keys    another node of our kind has)
 *
 * Anything else waits, as does whatever has a Redis node at its other end: there the wire's rules hold, and a slot is open until somebody closes it.
 *
 * The decision is a pure function of what both ends say; who asks, and does it, is server/open_slots.h. */
#pragma once

#include "cluster/cluster.h"

enum open_step { OPEN_WAIT, OPEN_SEND, OPEN_GIVE, OPEN_REOPEN, OPEN_TAKE, OPEN_RETURN, OPEN_CLOSE };

/* What the other end says of the slot. */
struct open_account {
    bool is_heard;       /* else it has not said anything */
    bool is_owner;       /* the slot is its own */
    bool is_ours;        /* the slot is ours, as it sees it */
    bool leaves, comes;  /* it has it migrating; importing */
    bool to_us, from_us; /* and we are the other end */
    uint64_t keys;       /* of the slot that are there */
};

struct open_facts {
    bool leaves;     /* migrating here; else importing */
    bool is_kin;     /* the other end is of our kind */
    bool has_failed; /* the others agree that it cannot be reached, and have for long */
    uint64_t keys;   /* of the slot that are here */
    struct open_account other;
};

enum open_step open_next(const struct open_facts *facts);

/* Reads what a node's CLUSTER NODES tells of a slot into the account, but for the keys. False, with nothing told, where it is no such text, or another node's
 * than `their_id`. Ids are of NODE_ID_BYTES. */
bool open_account_read(struct bytes nodes, uint16_t slot, const char *their_id, const char *our_id,
                       struct open_account *out);

/* --- Of the core, with its caller's lock --- */

struct open_slot {
    bool leaves; /* migrating; else importing */
    bool has_failed;
    struct cluster_node_info other;
};

/* Somebody works on it: its time begins anew. */
void cluster_slot_worked(struct cluster *c, uint16_t slot, int64_t now_ms);
/* When that was last. */
int64_t cluster_slot_worked_ms(const struct cluster *c, uint16_t slot);
/* It is looked at again after so long, unless somebody works on it. idle_ms: as in the next. */
void cluster_slot_look_again(struct cluster *c, uint16_t slot, int64_t after_ms, int64_t idle_ms, int64_t now_ms);
/* The first slot from `from` on that stands open, and on which nobody has worked for so long; SLOT_COUNT where there is none. */
unsigned cluster_next_open(const struct cluster *c, unsigned from, int64_t idle_ms, int64_t now_ms);
/* False where it is not so, or not any more. */
bool cluster_open_slot(const struct cluster *c, uint16_t slot, int64_t idle_ms, int64_t now_ms, struct open_slot *out);
size_t cluster_open_count(const struct cluster *c);

/* Is the slot one whose keys here, if there are any, are strays? */
bool cluster_is_stray(const struct cluster *c, uint16_t slot, int64_t idle_ms, int64_t now_ms);
/* Imports it from its owner; only where that is so. */
void cluster_adopt_stray(struct cluster *c, uint16_t slot, int64_t idle_ms, int64_t now_ms, struct effects *e);

/* The target is about to be told that the slot is its own, as no key of it is left here: until it has answered nobody closes it here, which would let clients
 * write to it. SLOT_COUNT: there is none any more. */
void cluster_hand_over(struct cluster *c, unsigned slot);
