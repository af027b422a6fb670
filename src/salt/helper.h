/* salt/helper.h
 *
 * What a node knows of the copies it has of other nodes' salted keys: from which home each is, by which lease, and what was added to sums
 * here and is not folded yet. A pure state machine like salt/home.h; the copies themselves are the caller's, in a keyspace of their own.
 *
 *     a base:  wanted --link, WELCOME--> JOIN sent --VALUE--> copy --INV--> (none, ACK sent) --VALUE--> copy ...
 *
 *     a copy is good while   its session is that of the link to its home, and
 *                            the lease of that home has not ended: it ends lease_ms after this node *asked*
 *
 * On a new link the session is another one, so all copies of that home are void before HELLO says that there are none. On the loss of a
 * link they are good until the lease ends.
 *
 * Locks. One lock of the caller's guards a helper and its queue of effects; no slot's lock is taken inside it, it may be taken inside a
 * slot's. Only helper_copy_is_good() is called without it. One thread, that of the links, handles messages and carries effects out. */
#pragma once

#include "salt/talk.h"

#include <stdatomic.h>

#define HELPER_HOMES_MAX 1024u
#define HELPER_BASES_MAX 1024u

struct helper;

struct helper_options {
    char id[SALT_NODE_ID_BYTES + 1]; /* of this node */
    uint64_t
        first_session; /* above all that a former process of this node has used: microseconds of unix time at the start */
    int64_t renew_ms;  /* how often it asks for a lease: 50 */
    int64_t fold_ms;   /* how often it folds, and asks for totals: 20 */
    int64_t fresh_ms;  /* an older total is not told, and nothing is added to what could not be sent for longer: 50 */
    int64_t silent_ms; /* a link on which nothing has been answered for so long is opened anew: 1000 */
};
struct helper *helper_new(const struct helper_options *options);
void helper_free(struct helper **helper); /* after the copies: they point into it */

/* --- What this node has names of --- */

/* In this node's view it has a name of the base, and `home` (a node id) has the base's slot. Said of each such base and again when its
 * home or mode changes: the copy of a former home is dropped. False where there are too many bases or homes, or while what was added to the sum that it was is
 * being folded: to be said again. */
bool helper_want(struct helper *helper, struct bytes base, const char *home, bool sum, int64_t now_ms,
                 struct salt_effects *effects);
/* It has no name of it any more, or is its home now. What was added and is not folded is folded still. */
void helper_unwant(struct helper *helper, struct bytes base, int64_t now_ms, struct salt_effects *effects);

/* --- Links --- */
void helper_link_opened(struct helper *helper, const char *home, salt_link link, int64_t now_ms,
                        struct salt_effects *effects);
/* It is gone. The caller opens another with a back-off of its own; SALT_CONNECT is not said again. */
void helper_link_closed(struct helper *helper, salt_link link, int64_t now_ms, struct salt_effects *effects);
/* All that home says but VALUE. What comes on a link that is not the present one is ignored. */
void helper_message(struct helper *helper, salt_link link, const struct salt_message *message, int64_t now_ms,
                    struct salt_effects *effects);

/* --- Copies --- */

/* Of one home; lives as long as the helper. */
struct helper_lease {
    _Atomic uint64_t session;
    _Atomic int64_t until_ms;
};
/* Kept beside a copy. */
struct helper_copy {
    const struct helper_lease *lease;
    uint64_t session, seq;
    int64_t over_ms; /* not to be told from then on; INT64_MAX: as long as it is there */
};
/* A VALUE has come, with so much left of its life when home read it (-1: it does not expire): is it to be taken? Where it is, the caller keeps value and
 * *copy in place of any other of the base, under the copy's slot lock, before it handles another message or effect.
 *
 * A copy is over before the key is: what is left counts from when this node said that it has none, before which home has not read the value, and
 * a thousandth of it is for clocks that differ in rate. Then it is asked for again. */
bool helper_value(struct helper *helper, salt_link link, const struct salt_message *message, int64_t ttl_ms,
                  struct helper_copy *copy);
/* Any thread, no lock of ours. now_ms: monotonic, read after the request was, and after the copy was found under its slot's lock. */
bool helper_copy_is_good(const struct helper_copy *copy, int64_t now_ms);
/* The copy is not there any more (evicted): home is asked for it again after a while. */
void helper_copy_lost(struct helper *helper, struct bytes base, int64_t now_ms);
/* So many reads were answered from the copy since this was said last: for home, which compares them with its writes. Where there is no link they are not
 * told. */
void helper_tell_reads(const struct helper *helper, struct bytes base, uint64_t reads, struct salt_effects *effects);

/* --- Sums --- */

/* INCRBY by delta, here: false where home has to do it (no total, no lease, what was added cannot be sent or has no answer for too long, or the
 * sum would overflow). *value: what to reply, the last total that is known and all that was added here. now_ms as for a copy. */
bool helper_add(struct helper *helper, struct bytes base, int64_t delta, int64_t now_ms, int64_t *value);
/* GET, likewise; false, too, where the total is older than fresh_ms, or there is no such key. */
bool helper_sum(struct helper *helper, struct bytes base, int64_t now_ms, int64_t *value);

/* For CLUSTER SALTS. */
struct helper_sum_state {
    bool is_good;         /* there is a total, and a lease */
    int64_t total;        /* the last that is known */
    int64_t pending;      /* added here and not sent yet */
    int64_t sent;         /* sent, and not answered yet */
    int64_t folded;       /* sent and answered, all in all; it stays at what it was where it would overflow */
    uint64_t added, told; /* commands that were answered here */
};
/* False where the base is no sum that has names here. */
bool helper_sum_state(const struct helper *helper, struct bytes base, int64_t now_ms, struct helper_sum_state *out);

/* --- Time --- */
void helper_tick(struct helper *helper, int64_t now_ms, struct salt_effects *effects);
int64_t helper_next_ms(const struct helper *helper);

/* --- For INFO and CLUSTER SALTS --- */
struct helper_stats {
    uint64_t values, values_late, invalidations, renewals, renewals_refused, folds, folds_repeated;
    uint64_t added, told; /* INCRBYs and GETs of sums that were answered here */
    uint64_t pending;     /* what was added to sums and has not been folded now, whichever way */
    uint64_t discarded;   /* what was added to a sum that was set meanwhile */
    uint64_t lost;        /* what was added and had not been folded when another home took over */
    size_t homes, bases, copies;
};
struct helper_stats helper_stats(const struct helper *helper);
/* Whether the base has a good copy, or total, here. */
bool helper_has(const struct helper *helper, struct bytes base, int64_t now_ms);
