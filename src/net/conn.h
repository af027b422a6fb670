/* net/conn.h
 *
 * A connected, non-blocking socket on a loop. Bytes are read where the owner wants them and written at once; only what the socket
 * did not take is kept, so an idle connection holds no buffer.
 *
 * Everything here runs on the loop's thread. */
#pragma once

#include "base/buf.h"

#include <ev.h>
#include <sys/types.h>

struct conn;

/* What happens to a connection; told on the loop's thread. The owner may close it in any of them. */
struct conn_events {
    void (*readable)(struct conn *conn);
    void (*drained)(struct conn *conn); /* all that was kept has been written */
    void (*failed)(struct conn *conn);  /* writing failed: the peer is gone */
};

struct conn {
    int fd; /* -1 when closed */
    struct ev_loop *loop;
    struct ev_io readable, writable;
    struct buf output; /* what the socket did not take yet */
    size_t written;    /* of output */
    const struct conn_events *events;
};

/* Takes fd over and starts to watch it for bytes. */
void conn_open(struct conn *conn, struct ev_loop *loop, int fd, const struct conn_events *events);
/* Closes the socket; harmless when closed. Bytes not written yet are lost. */
void conn_close(struct conn *conn);

/* Bytes read; 0 when there are none now; -1 when the peer has closed or failed. */
ssize_t conn_read(struct conn *conn, void *into, size_t room);

/* Writes what the socket takes and keeps the rest. False when the peer is gone. */
bool conn_write(struct conn *conn, const void *data, size_t len);

/* Stops or goes on telling of readable bytes. */
void conn_set_reading(struct conn *conn, bool on);

static inline size_t conn_pending(const struct conn *conn)
{
    return conn->output.len - conn->written;
}
