/* transfer/slot_peer.h
 *
 * The other end of a slot's move, for who goes on with that move by himself (server/open_slots.h): what it says of the slot, and the keys of the slot that go there.
 * It is asked as any client of it would, and keys are sent as MIGRATE sends them (transfer/migration.h).
 *
 * Everything here waits, with no lock held: it is for a thread that serves nobody. */
#pragma once

#include "cluster/open.h"
#include "transfer/migration.h"

struct slot_peer {
    const struct migration_site *site; /* its ended() is slot_peer_ended() */
    struct target_address address;
    int64_t timeout_ms; /* for the connection, for each reply */
    uint16_t slot;
};

/* For the site of who uses this; the ticket is this file's own. */
void slot_peer_ended(void *context, void *ticket, enum migration_end end, const char *error);

/* What the node with that id says of the slot to the one with the other id. Not heard, with the reason in error, where it does not answer, or is another
 * node. */
void slot_peer_account(const struct slot_peer *peer, const char *their_id, const char *our_id, struct open_account *out,
                       char error[TARGET_ERROR_BYTES]);

/* Says CLUSTER SETSLOT slot verb id. False, with the reason in error, where it has not done it or nobody knows. */
bool slot_peer_setslot(const struct slot_peer *peer, struct bytes verb, const char *id, char error[TARGET_ERROR_BYTES]);

/* Sends some keys of the slot, in place of whatever the peer has by these names; it imports the slot from us. Adds to *sent. False, with the reason in error,
 * where one did not arrive. */
bool slot_peer_send_some(const struct slot_peer *peer, uint64_t *sent, char error[TARGET_ERROR_BYTES]);

/* Of some keys of the slot sends those that the peer, which owns it, lacks; drops the others. Likewise. */
bool slot_peer_return_some(const struct slot_peer *peer, uint64_t *sent, uint64_t *dropped,
                           char error[TARGET_ERROR_BYTES]);
