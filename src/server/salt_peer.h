/* server/salt_peer.h
 *
 * The connections of helpers, seen from home: clients that have said SALTLINK HELLO, by the number of their link. What is sent to one is posted to its
 * worker, so all of it arrives in the order it was sent, as long as one thread at a time sends. */
#pragma once

#include "salt/wire.h"

struct client;
struct salt_peer;
struct salt_peers;

struct salt_peers *salt_peers_new(void);
void salt_peers_free(struct salt_peers **peers); /* when the workers have been freed */

/* Gives the client's connection a link, or says which it has; on its worker. NULL: too many. */
struct salt_peer *salt_peers_add(struct salt_peers *peers, struct client *client);
salt_link salt_peer_link(const struct salt_peer *peer);
/* The client is being closed; on its worker. Takes it. */
void salt_peers_remove(struct salt_peers *peers, struct salt_peer **peer);

/* Any thread, no lock held. Nothing where it is gone; one to whom too much is on its way is closed. */
void salt_peers_send(struct salt_peers *peers, salt_link link, const struct salt_message *message,
                     const struct salt_value *value);
void salt_peers_close(struct salt_peers *peers, salt_link link);
