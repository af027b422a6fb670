/* salt/home.h
 *
 * The home of salted keys: the one node that writes them. It knows which helpers have joined for which base, when each one's lease has
 * run out at the latest, and holds back the reply to a write until nobody can answer with an older value. A pure state machine: events
 * in, effects out, no clock, no sockets, no slots; the simulator runs the very code that ships.
 *
 *     a helper, for a base:   NOTHING --home_push()--> HAS --change: INV--> ASKED --ACK--> NOTHING
 *                                                                          `-- its lease as of the INV runs out, or HELLO --'
 *
 *     a base is quiet when no helper of it is ASKED (and its home is not new): then replies go, and then only the value is pushed
 *
 * Why a reply may go when the lease has run out *as it was known when INV was queued*: a renewal that home grants later is behind that
 * INV on the link, so who receives it has dropped the copy. Why a new home waits: it does not know whom the former one had lent to.
 *
 * Locks. One lock of the caller's guards a home and its queue of effects. It is the innermost: home_changed(), home_flushed(),
 * home_push(), home_fold() and home_folded() are called with it inside the lock of the base's slot, so that what they say of a value is
 * said in the order in which it changed; the others are called without a slot's lock. Nothing here waits or calls back. Effects are
 * carried out after both locks are given back, in order, see salt/talk.h.
 *
 * Time is monotonic milliseconds. For what a message says it must be read after the message was: an earlier reading could make a lease
 * look shorter than it is. */
#pragma once

#include "base/keyslot.h"
#include "salt/talk.h"

#define HOME_HELPERS_MAX 64u    /* of one base */
#define HOME_LINKS_MAX 1024u    /* helpers of this home */
#define HOME_BASES_MAX 1024u    /* what the registry holds at most; more are refused */
#define HOME_TICKETS_MAX 65536u /* replies held back; one more is not (and is counted) */

struct home;

struct home_options {
    int64_t lease_ms; /* what is granted */
    /* What any other node may have granted at the most, as far as that is more: a new home waits for that. It is for the caller not to say
     * less, of this or of the other, before what was granted is over. */
    int64_t longest_ms;
    bool sync; /* salt-sync: false holds no reply back */
};

/* Nobody's home yet: all slots elsewhere, the cluster down. Sequences start above first_seq, which is above all that a former process of
 * this node has used: microseconds of unix time at the start are. */
struct home *home_new(const struct home_options *options, uint64_t first_seq, int64_t now_ms);
void home_free(struct home **home);
void home_configure(struct home *home, const struct home_options *options);
/* How much longer than a lease home waits: what clocks may differ in rate, and the grain of a millisecond. */
int64_t home_margin_ms(int64_t lease_ms);

/* --- What this node is home of --- */

/* A base of the registry, wherever its slot is: said of each, and again when its mode changes. False where there are too many. */
bool home_salted(struct home *home, struct bytes base, bool sum, int64_t now_ms, struct salt_effects *effects);
void home_unsalted(struct home *home, struct bytes base, int64_t now_ms, struct salt_effects *effects);

/* Said at each change of an owner word, after it; and for all slots that are not elsewhere at the start. */
enum home_slot {
    HOME_SLOT_ELSEWHERE,
    HOME_SLOT_ARRIVING, /* importing */
    HOME_SLOT_HERE,     /* plainly ours: only now are there copies */
    HOME_SLOT_LEAVING,  /* migrating */
};
void home_slot(struct home *home, uint16_t slot, enum home_slot state, int64_t now_ms, struct salt_effects *effects);
/* Whether the cluster is there for this node (cluster_state_ok()). Who was cut off is a new home afterwards. */
void home_cluster(struct home *home, bool ok, int64_t now_ms, struct salt_effects *effects);

/* May the key of a slot that is leaving go to its new home? No while a copy of it may be valid: the new home may not know of the salt
 * yet, and would not wait. Asked before the key is deleted here; a key that is not salted may. */
bool home_may_leave(struct home *home, struct bytes base, int64_t now_ms);
/* May the value of a key of such a slot be read, to be sent to its new home? Of a sum no while helpers may have something for it: it would be added to
 * what is deleted soon. Asked before it is read; from then on until it is deleted here home_fold() is told that nothing may be written. */
bool home_may_be_sent(struct home *home, struct bytes base, int64_t now_ms);

/* --- Writes --- */

enum home_change {
    HOME_CHANGED, /* set, deleted, expired, evicted, moved away: anything */
    HOME_ADDED, /* by INCRBY and its kin, or its deadline is another; of a base in SUM mode no reason to drop what others add. Else as CHANGED */
};
/* A key has changed: said under its slot's lock, of each key of a slot that has salted ones. True where replies may have to wait for it:
 * the call notes the base and asks home_withhold() for each such base after its last unlock. */
bool home_changed(struct home *home, struct bytes base, enum home_change change, int64_t now_ms,
                  struct salt_effects *effects);
/* All keys of a slot are gone, under its lock. True as above, of any base. */
bool home_flushed(struct home *home, uint16_t slot, int64_t now_ms, struct salt_effects *effects);
/* Must a reply wait for this base? Where it must, a SALT_RELEASE of this ticket comes, once for each time that this said yes; false says
 * that all that was changed before may be acknowledged. A ticket whose client has gone is released all the same. */
bool home_withhold(struct home *home, struct bytes base, uint64_t ticket, int64_t now_ms);

/* Who is to be sent the value that the caller has before it: asked for each SALT_PUSH, under the slot's lock, under which the value is
 * read too. From here on these count as having it. In SUM mode a TOTAL is sent where the value is a whole number, nothing otherwise. Where
 * the value is not sent after all, nothing is lost but the copy. Fills at most HOME_HELPERS_MAX; returns how many. */
struct home_target {
    salt_link link;
    uint64_t join, seq, epoch; /* for VALUE or TOTAL */
    bool sum;
};
size_t home_push(struct home *home, struct bytes base, int64_t now_ms, struct home_target targets[HOME_HELPERS_MAX]);

/* --- Helpers --- */

/* HELLO, RENEW, JOIN, LEAVE, ACK. What does not belong on the link ends it. */
void home_message(struct home *home, salt_link link, const struct salt_message *message, int64_t now_ms,
                  struct salt_effects *effects);
void home_link_closed(struct home *home, salt_link link, int64_t now_ms, struct salt_effects *effects);

/* A FOLD, under the slot's lock. may_write: whether a write to the base would be accepted here at this moment; total: its value now, 0 where
 * it is no whole number; NULL where there is no such key. True: add message->delta to the base (telling home_changed() of HOME_ADDED) and say home_folded()
 * before the slot's lock is given back. False: it has been answered. */
bool home_fold(struct home *home, salt_link link, const struct salt_message *message, bool may_write,
               const int64_t *total, int64_t now_ms, struct salt_effects *effects);
/* done: it was added. Else the value is not a number that it can be added to (the sum would overflow), and it is discarded. total: the value as it is
 * by now. */
void home_folded(struct home *home, salt_link link, const struct salt_message *message, bool done, int64_t total,
                 struct salt_effects *effects);

/* --- Time --- */
void home_tick(struct home *home, int64_t now_ms, struct salt_effects *effects);
/* When home_tick() next has something to do; INT64_MAX: nothing. */
int64_t home_next_ms(const struct home *home);

/* --- For INFO and CLUSTER SALTS --- */
struct home_stats {
    uint64_t invalidations, acks, pushes, withheld, released, released_by_lease, refused_renewals, folds,
        folds_repeated, folds_discarded, folds_overflowed, overflows;
    size_t links, bases, waiting; /* now; waiting: replies */
};
struct home_stats home_stats(const struct home *home);
/* How a base's helpers stand: calls back for each, in no order. */
enum home_holding { HOME_NOTHING, HOME_HAS, HOME_ASKED };
void home_each_helper(const struct home *home, struct bytes base,
                      void (*each)(void *context, const char *node_id, bool linked, enum home_holding holding),
                      void *context);
