/* server/intake.h
 *
 * A big value on its way from the socket into the entry it will be kept in, without a copy in between:
 *
 *     *3 $3 SET $3 key $1048576 | the value ............................ | CRLF *1 $4 PING ...
 *     the query buffer ---------  the entry ----------------------------   the query buffer goes on
 *
 * It begins when a request is cut inside the argument that its command keeps as a whole (`value_arg` of the descriptor). The handler then
 * finds the entry ready made: call_store(). Where it does not take it (a condition did not hold, the key is elsewhere), the entry is
 * freed after the command. A value that had come whole with its request is copied into an entry before the slot's lock is taken.
 *
 * What is announced costs its sender nothing, so all that is announced and has not come is bounded for the node. Beyond it, and before
 * authentication, a request is read into the query buffer, which grows with what has come. */
#pragma once

#include "base/bytes.h"

#include <sys/uio.h>

struct call;
struct client;
struct entry;

struct intake {
    struct entry *entry; /* NULL: none */
    size_t filled;       /* bytes of its value that have come */
};

/* The request that rest begins with is cut. True where its value goes into an entry from now on: *head is how much of rest comes before it, and
 * is all that has to be kept. */
bool intake_begin(struct client *client, struct bytes rest, size_t *head);

/* Is there an entry that waits for more bytes? */
bool intake_is_open(const struct client *client);
/* Where they go; intake_added() then counts those that came. */
struct iovec intake_room(const struct client *client);
void intake_added(struct client *client, size_t bytes);

/* Makes an entry of the big value of a command, where it has come whole and is none yet; before any lock is taken. */
void intake_prepare(struct call *call);

/* Keeps an entry that a command's prepare() has made for its run(), which takes it; *entry is NULL afterwards. */
void intake_keep(struct call *call, struct entry **entry);

/* The command has run, or the client goes. */
void intake_end(struct client *client);

/* What it takes of memory. */
size_t intake_bytes(const struct client *client);
