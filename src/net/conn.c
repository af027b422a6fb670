#include "net/conn.h"

#include "base/list.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_readable(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct conn *conn = container_of(watcher, struct conn, readable);

    (void)loop;
    (void)events;
    conn->events->readable(conn);
}

static void on_writable(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct conn *conn = container_of(watcher, struct conn, writable);
    ssize_t sent;

    (void)events;
    sent = send(conn->fd, conn->output.data + conn->written, conn_pending(conn), MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) conn->events->failed(conn);
        return;
    }
    conn->written += (size_t)sent;
    if (conn_pending(conn) > 0) return;
    buf_free(&conn->output);
    conn->written = 0;
    ev_io_stop(loop, &conn->writable);
    conn->events->drained(conn);
}

void conn_open(struct conn *conn, struct ev_loop *loop, int fd, const struct conn_events *events)
{
    *conn = (struct conn){ .fd = fd, .loop = loop, .events = events };
    ev_io_init(&conn->readable, on_readable, fd, EV_READ);
    ev_io_init(&conn->writable, on_writable, fd, EV_WRITE);
    ev_io_start(loop, &conn->readable);
}

void conn_close(struct conn *conn)
{
    if (conn->fd < 0) return;
    ev_io_stop(conn->loop, &conn->readable);
    ev_io_stop(conn->loop, &conn->writable);
    close(conn->fd);
    conn->fd = -1;
    buf_free(&conn->output);
    conn->written = 0;
}

ssize_t conn_read(struct conn *conn, void *into, size_t room)
{
    ssize_t got = recv(conn->fd, into, room, 0);

    if (got > 0) return got;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return 0;
    return -1;
}

bool conn_write(struct conn *conn, const void *data, size_t len)
{
    ssize_t sent = 0;

    if (len == 0) return true;
    if (conn_pending(conn) == 0) {
        sent = send(conn->fd, data, len, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return false;
            sent = 0;
        }
        if ((size_t)sent == len) return true;
    }
    if (conn->written > 0) {
        buf_consume(&conn->output, conn->written);
        conn->written = 0;
    }
    buf_append(&conn->output, (const char *)data + sent, len - (size_t)sent);
    ev_io_start(conn->loop, &conn->writable);
    return true;
}

void conn_set_reading(struct conn *conn, bool on)
{
    if (conn->fd < 0) return;
    if (on)
        ev_io_start(conn->loop, &conn->readable);
    else
        ev_io_stop(conn->loop, &conn->readable);
}
