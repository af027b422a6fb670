/* net/conn.h
 *
 * A connected, non-blocking socket on a loop. Bytes are read where the owner wants them and written at once; only what the socket
 * did not take is kept, so an idle connection holds no buffer. What is kept is a queue of chunks:
 *
 *     first -> | copied bytes | -> | bytes of somebody else, released when written | -> | copied bytes | <- last
 *
 * It is watched by edge (net/poller.h), and yet told as by level: whoever has not read all there is, is told again.
 *
 * Everything here runs on the loop's thread. */
#pragma once

#include "base/piece.h"
#include "net/poller.h"

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct conn;
struct conn_chunk;

/* No call writes more than so many bytes, however much waits and however fast the peer reads: others are to have their turn. */
#define CONN_WRITE_BYTES (128u << 10)
#define CONN_WRITE_BYTES_MAX (CONN_WRITE_BYTES / 8 * 9) /* where that is all there is */

/* What happens to a connection; told on the loop's thread. The owner may close it in any of them but `more`. */
struct conn_events {
    void (*readable)(struct conn *conn);
    void (*drained)(struct conn *conn); /* all that was kept has been written */
    void (*failed)(struct conn *conn);  /* writing failed: the peer is gone */
    /* Something is kept and the socket may take it: the owner calls conn_write_on() when it is this connection's turn. May be told again before
     * that. NULL: it is written on by itself, a call's worth in each round. */
    void (*more)(struct conn *conn);
};

struct conn {
    int fd;          /* -1 when closed */
    bool peer_ended; /* a read came to the end of what the peer sends; it may still read */
    bool is_reading; /* its owner is told of readable bytes */
    bool is_full;    /* the socket is waited for, until it takes more */
    bool has_unread; /* the socket may have more than was read */
    bool is_odd;     /* a read may stop short of all there is: the peer has ended, or has sent something urgent */
    uint32_t chunk_count;
    const struct conn_events *events;
    struct polled polled;
    struct conn_chunk *first; /* what the socket did not take yet, up to `last` */
    size_t pending;           /* bytes of it */
    size_t kept;              /* what the queue holds of memory, bytes of others included */
    struct conn_chunk *last;
};

/* Takes fd over, in any case, and starts to watch it for bytes. False where the system can not watch another one: it is closed. */
bool conn_open(struct conn *conn, struct poller *poller, int fd, const struct conn_events *events);
/* Closes the socket; harmless when closed. Bytes not written yet are lost. */
void conn_close(struct conn *conn);

/* Bytes read; 0 when there are none now; -1 when the peer has ended (peer_ended) or failed. */
ssize_t conn_read(struct conn *conn, void *into, size_t room);
/* The same into several places, one after the other. */
ssize_t conn_readv(struct conn *conn, const struct iovec *into, int count);

/* Writes what the socket takes, up to CONN_WRITE_BYTES, and keeps the rest. False when the peer is gone. */
bool conn_write(struct conn *conn, const void *data, size_t len);
/* The same of several pieces in a row; takes them over, all of them, in any case. */
bool conn_write_pieces(struct conn *conn, struct piece *pieces, size_t count);

/* Keeps pieces behind what waits, without writing: the owner calls conn_write_on() when it is this connection's turn. Takes them over. */
void conn_queue(struct conn *conn, struct piece *pieces, size_t count);
/* Does something wait for the socket to take more? */
static inline bool conn_is_full(const struct conn *conn)
{
    return conn->is_full;
}

/* Writes on with what is kept, and tells what came of it: drained, failed, or more. Returns how many bytes the socket took. */
size_t conn_write_on(struct conn *conn);

/* Stops or goes on telling of readable bytes. */
void conn_set_reading(struct conn *conn, bool on);

/* Bytes that the socket did not take yet. */
static inline size_t conn_pending(const struct conn *conn)
{
    return conn->pending;
}
