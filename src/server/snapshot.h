/* server/snapshot.h
 *
 * All keys of the node as a file of Redis's (transfer/rdb.h), sent to one client while the node goes on serving the others.
 *
 *     "$EOF:" | mark 40 | CRLF | the file | mark 40
 *
 * The file is made as it is sent, a little in each turn of the client's worker and no faster than the client reads, so it costs the memory of
 * one such piece, however many keys there are. That is also why its length is not known when it begins.
 *
 * What it shows: a key that is there from the beginning to the end is in it once, with a value that it had in between; what comes or goes
 * meanwhile may be in it or not, and no key is in it twice. */
#pragma once

#include <stdbool.h>

struct client;
struct snapshot;

/* Sends the snapshot after all that was replied so far, then closes the connection; the client's requests are not read any more. With
 * keys false, a file without keys. From within a command of that client. */
void snapshot_begin(struct client *client, bool keys);

/* Goes on: what was sent has left the connection's queue. */
void snapshot_go_on(struct snapshot *snapshot);

/* Forgets it, for the client is being closed. NULL is none. */
void snapshot_free(struct snapshot **snapshot);
