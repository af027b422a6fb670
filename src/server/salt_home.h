/* server/salt_home.h
 *
 * The home of salted keys on this node (salt/home.h), with slots, clients and a clock:
 *
 *     slot locked     a feed on each slot with salted bases says what has changed     salt lock: home_changed(), effects are queued
 *     unlocked        the effects are carried out: INV to the helpers' connections; the reply of the command is withheld (server/hold.h)
 *     worker          SALTLINK ACK of a helper: home_message(); the reply is released, the new value read and pushed
 *
 * Effects are carried out by whoever finds some, without locks, one thread at a time and in order; what goes to a helper's connection is posted to its
 * worker. Lock order: slot -> bus -> salt. */
#pragma once

#include "salt/home.h"
#include "salt/spread.h"
#include "server/node.h"

struct call;
struct client;
struct salt_home;

/* Longer leases than this are announced before they are granted (server/salt_lease.c). The default of salt-lease-ms, and for ever the same. */
#define SALT_LEASE_ASSUMED_MS 200

/* What a command has changed that its reply may have to wait for. */
struct salt_notes {
    struct salt_notes *outer;      /* of the thread, meanwhile */
    struct call *call;             /* NULL: a fold, which is home's own doing */
    const struct command *command; /* that runs, also within EXEC */
    size_t count, cap;
    struct salt_note {
        struct bytes base; /* owned */
    } * items;
};

struct salt_home *salt_home_new(struct node *node);
/* Releases all replies that wait; the workers have stopped. */
void salt_home_end(struct salt_home *host);
void salt_home_free(struct salt_home **host);
/* Grants no longer leases than that, whatever salt-lease-ms says; and nobody grants longer ones than longest_ms. Any thread, no lock held. */
void salt_home_set_leases(struct salt_home *host, int64_t limit_ms, int64_t longest_ms);
/* salt-lease-ms and salt-sync have changed. */
void salt_home_configure(struct salt_home *host);

/* A base of the registry, or one no more; said again when its mode changes. No lock held; one thread at a time. */
void salt_home_salted(struct salt_home *host, struct bytes base, bool sum);
void salt_home_unsalted(struct salt_home *host, struct bytes base);
/* An owner word has changed; under the bus lock, maybe under the slot's. */
void salt_home_owner_changed(struct salt_home *host, uint16_t slot, uint64_t word);
/* May this node have been the owner of the slot before? Any thread. */
bool salt_home_was_here(const struct salt_home *host, uint16_t slot);
/* Every few milliseconds; no lock held. */
void salt_home_tick(struct salt_home *host);
/* May a key leave with its slot (home_may_leave())? Under the slot's lock. */
bool salt_home_may_leave(struct salt_home *host, struct bytes key);
/* May it be sent (home_may_be_sent())? Likewise. */
bool salt_home_may_be_sent(struct salt_home *host, struct bytes key);

/* --- Around a command that may write, on its worker --- */

/* Are there salted keys in the slot, or were there? Under its lock. */
bool salt_home_watches(const struct salt_home *host, const struct slot *slot);
void salt_home_begin(struct salt_notes *notes, struct call *call);
/* EXEC has come to this command. */
void salt_home_goes_on_with(const struct command *command);
/* After its last unlock, when it has replied: carries out what it caused, and withholds its reply where that has to wait. */
void salt_home_settle(struct salt_notes *notes);
/* Carries out what others have caused (expiry, eviction): at the end of a worker's turn. */
void salt_home_deliver(struct node *node);

/* --- How often a salted key is read, on all nodes, and written --- */

/* A read of a key of this slot, which is locked. */
void salt_home_count_reads(struct salt_home *host, const struct slot *slot, uint64_t hash, uint64_t reads);
/* Since this was asked last, those included that took no lock (cache/hot_reads.h). Takes the slot's lock. */
struct salt_share_counts salt_home_take_counts(struct salt_home *host, struct bytes key);

/* --- SALTLINK --- */

/* A message of a helper, with no lock held; takes slots' locks. False: it was refused, and error says why. */
bool salt_home_message(struct call *call, const struct salt_message *message, const char **error);
/* Its connection is being closed. */
void salt_home_client_closed(struct client *client);

/* --- For INFO and CLUSTER SALTS --- */
struct salt_home_info {
    struct home_stats core;
    int64_t lease_ms, longest_ms; /* what is granted, here and by any node */
    uint64_t withheld_us_p50, withheld_us_p99;
};
void salt_home_info(struct salt_home *host, struct salt_home_info *out);
/* As home_each_helper(); under the salt lock, so each() is short. */
void salt_home_each_helper(struct salt_home *host, struct bytes base,
                           void (*each)(void *context, const char *node_id, bool linked, enum home_holding holding),
                           void *context);
