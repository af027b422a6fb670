#include "net/conn.h"

#include "base/alloc.h"
#include "base/list.h"
#include "net/bare.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How many runs of bytes one system call writes. */
#define RUNS_MAX 64
/* Room of a chunk of copied bytes: many small replies to a slow reader share one. The first is small, as it often stays the only one. */
#define FIRST_CHUNK_BYTES 1024u
#define CHUNK_BYTES (16u << 10)

/* What the socket did not take yet. Copied bytes lie behind the struct, and more may follow them there. */
struct conn_chunk {
    struct conn_chunk *next;
    struct piece rest;
    size_t room;  /* behind the bytes; 0 where they are somebody else's */
    size_t bytes; /* what it holds of memory */
    char copied[];
};

static bool is_for_later(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* What one system call is to write. */
struct runs {
    struct iovec items[RUNS_MAX];
    size_t count, bytes;
};

/* Adds as much of it as the call may write; false when that is nothing. */
static bool add_run(struct runs *runs, struct bytes bytes)
{
    size_t len = bytes.len;

    /* Where there is only a little more than it should write, it writes that too. */
    if (len > CONN_WRITE_BYTES_MAX - runs->bytes)
        len = runs->bytes < CONN_WRITE_BYTES ? CONN_WRITE_BYTES - runs->bytes : 0;
    if (runs->count == RUNS_MAX || (len == 0 && bytes.len > 0)) return false;
    runs->items[runs->count++] = (struct iovec){ .iov_base = (void *)(uintptr_t)bytes.data, .iov_len = len };
    runs->bytes += len;
    return len == bytes.len;
}

static ssize_t send_runs(const struct conn *conn, struct runs *runs)
{
    struct msghdr message = { .msg_iov = runs->items, .msg_iovlen = runs->count };

    if (runs->count == 1) return bare_send(conn->fd, runs->items[0].iov_base, runs->items[0].iov_len);
    return sendmsg(conn->fd, &message, MSG_NOSIGNAL);
}

/* Takes `sent` bytes off the front of a piece; returns how many of them were not its own. */
static size_t advance(struct piece *piece, size_t sent)
{
    size_t own = sent < piece->bytes.len ? sent : piece->bytes.len;

    if (own > 0) { /* else there may be nowhere to be at */
        piece->bytes.data += own;
        piece->bytes.len -= own;
    }
    if (piece->bytes.len == 0) piece_release(piece);
    return sent - own;
}

/* --- The queue --- */

static void append_chunk(struct conn *conn, struct conn_chunk *chunk)
{
    chunk->next = NULL;
    if (conn->last != NULL)
        conn->last->next = chunk;
    else
        conn->first = chunk;
    conn->last = chunk;
    conn->chunk_count++;
    conn->kept += chunk->bytes;
}

static void copy_behind(struct conn_chunk *chunk, struct bytes bytes)
{
    size_t used = chunk->bytes - sizeof(*chunk) - chunk->room;

    memcpy(chunk->copied + used, bytes.data, bytes.len);
    chunk->rest.bytes.len += bytes.len;
    chunk->room -= bytes.len;
}

/* is_alone: nothing that is copied comes behind it, so room for that would be lost. */
static void keep_copy(struct conn *conn, struct bytes bytes, bool is_alone)
{
    size_t cap = is_alone ? bytes.len : conn->first == NULL ? FIRST_CHUNK_BYTES : CHUNK_BYTES;
    struct conn_chunk *chunk = conn->last;

    if (chunk == NULL || chunk->room < bytes.len) {
        chunk = alloc(sizeof(*chunk) + (bytes.len > cap ? bytes.len : cap));
        chunk->bytes = alloc_size(chunk);
        chunk->rest = (struct piece){ .bytes = { chunk->copied, 0 } };
        chunk->room = chunk->bytes - sizeof(*chunk);
        append_chunk(conn, chunk);
    }
    copy_behind(chunk, bytes);
}

static void keep(struct conn *conn, struct piece *piece, bool is_alone)
{
    struct conn_chunk *chunk;

    conn->pending += piece->bytes.len;
    if (piece->release == NULL) {
        keep_copy(conn, piece->bytes, is_alone);
        return;
    }
    chunk = alloc(sizeof(*chunk));
    chunk->rest = *piece;
    chunk->room = 0;
    chunk->bytes = alloc_size(chunk) + piece->bytes.len;
    append_chunk(conn, chunk);
}

static void drop_first(struct conn *conn)
{
    struct conn_chunk *chunk = conn->first;

    piece_release(&chunk->rest);
    conn->first = chunk->next;
    if (conn->first == NULL) conn->last = NULL;
    conn->chunk_count--;
    conn->kept -= chunk->bytes;
    alloc_free(chunk);
}

/* Drops so many bytes of it. */
static void drop(struct conn *conn, size_t sent)
{
    conn->pending -= sent;
    while (conn->first != NULL) {
        size_t own = conn->first->rest.bytes.len;

        if (sent < own) {
            advance(&conn->first->rest, sent);
            break;
        }
        sent -= own;
        drop_first(conn);
    }
}

/* What the socket is to be watched for. Its end comes with bytes that are read, and urgent bytes stop a read short: both are to be known. */
static uint32_t wanted(const struct conn *conn)
{
    return (conn->is_reading ? EPOLLIN | EPOLLRDHUP | EPOLLPRI : 0u) | (conn->is_full ? EPOLLOUT : 0u);
}

/* Something is kept. Where the socket took all it was given it may take more; else it says when. That is asked for each time: only then is it sure that
 * the socket has not taken more in between, and said so to nobody. */
static void wait_to_write(struct conn *conn, bool is_full)
{
    conn->is_full = is_full || conn->events->more == NULL;
    if (conn->is_full)
        poller_watch(&conn->polled, wanted(conn));
    else
        conn->events->more(conn);
}

size_t conn_write_on(struct conn *conn)
{
    struct runs runs = { .count = 0 };
    ssize_t sent;

    for (const struct conn_chunk *chunk = conn->first; chunk != NULL && add_run(&runs, chunk->rest.bytes);)
        chunk = chunk->next;
    sent = send_runs(conn, &runs);
    if (sent < 0 && !is_for_later(errno)) {
        conn->events->failed(conn);
        return 0;
    }
    if (sent < 0) sent = 0;
    drop(conn, (size_t)sent);
    if (conn->first != NULL) {
        wait_to_write(conn, (size_t)sent < runs.bytes);
    } else {
        conn->is_full = false; /* the poller is told when it next tells of it */
        conn->events->drained(conn);
    }
    return (size_t)sent;
}

/* --- Events --- */

/* What is still so, as by level, is told again; what nobody wants to know any more is not. */
static void go_on_watching(struct conn *conn, uint32_t events)
{
    if ((conn->is_reading && conn->has_unread) || (events & conn->polled.watched & ~wanted(conn)) != 0)
        poller_watch(&conn->polled, wanted(conn));
}

static void on_ready(struct polled *polled, uint32_t events)
{
    struct conn *conn = container_of(polled, struct conn, polled);
    const struct poller *poller = polled->poller;

    if (__builtin_expect((events & (EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR)) != 0, 0)) conn->is_odd = true;
    if (conn->is_reading && (events & ~(uint32_t)EPOLLOUT) != 0) {
        conn->has_unread = true;
        conn->events->readable(conn);
        if (!poller_has_still(poller, polled)) return;
    }
    if (conn->is_full && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        if (conn->events->more != NULL)
            conn->events->more(conn);
        else
            conn_write_on(conn);
        if (!poller_has_still(poller, polled)) return;
    }
    go_on_watching(conn, events);
}

bool conn_open(struct conn *conn, struct poller *poller, int fd, const struct conn_events *events)
{
    *conn = (struct conn){ .fd = fd, .events = events, .is_reading = true, .polled = { .ready = on_ready } };
    if (poller_add(poller, &conn->polled, fd, wanted(conn))) return true;
    conn_close(conn);
    return false;
}

void conn_close(struct conn *conn)
{
    if (conn->fd < 0) return;
    poller_forget(&conn->polled);
    close(conn->fd);
    conn->fd = -1;
    conn->is_reading = conn->is_full = false;
    while (conn->first != NULL) drop_first(conn);
    conn->pending = 0;
}

void conn_set_reading(struct conn *conn, bool on)
{
    if (conn->fd < 0 || conn->is_reading == on) return;
    conn->is_reading = on;
    /* Off is told to the poller when something comes all the same. */
    if (on) poller_watch(&conn->polled, wanted(conn));
}

/* --- Bytes --- */

/* A read that brings less than it might has brought all there is. (Not where a descriptor came along over a unix socket: who sends one waits until it
 * sends more.) */
static ssize_t read_result(struct conn *conn, ssize_t got, size_t room)
{
    if (got > 0) {
        if ((size_t)got < room && !conn->is_odd) conn->has_unread = false;
        return got;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) conn->has_unread = false;
    if (got < 0 && is_for_later(errno)) return 0;
    conn->peer_ended = got == 0;
    return -1;
}

ssize_t conn_read(struct conn *conn, void *into, size_t room)
{
    return read_result(conn, bare_recv(conn->fd, into, room), room);
}

ssize_t conn_readv(struct conn *conn, const struct iovec *into, int count)
{
    size_t room = 0;

    for (int i = 0; i < count; i++) room += into[i].iov_len;
    return read_result(conn, readv(conn->fd, into, count), room);
}

bool conn_write(struct conn *conn, const void *data, size_t len)
{
    struct piece rest = { .bytes = { data, len } };
    ssize_t sent;

    if (conn->first != NULL || len > CONN_WRITE_BYTES_MAX) return conn_write_pieces(conn, &rest, 1);
    /* Nearly always: nothing waits, and the socket takes all of it. */
    sent = bare_send(conn->fd, data, len);
    if (sent == (ssize_t)len) return true;
    if (sent < 0 && !is_for_later(errno)) return false;
    if (sent > 0) rest.bytes = (struct bytes){ rest.bytes.data + sent, len - (size_t)sent };
    keep(conn, &rest, false);
    wait_to_write(conn, true);
    return true;
}

/* One call's worth from the front. *done is how many pieces are written and released; the one after them may be written in part. *is_full: the
 * socket did not take all it was given. False when the peer is gone. */
static bool send_pieces(const struct conn *conn, struct piece *pieces, size_t count, size_t *done, bool *is_full)
{
    struct runs runs = { .count = 0 };
    size_t left;
    ssize_t sent;

    for (size_t i = 0; i < count && add_run(&runs, pieces[i].bytes);) i++;
    sent = send_runs(conn, &runs);
    *is_full = sent < (ssize_t)runs.bytes;
    if (sent < 0) return is_for_later(errno);
    left = (size_t)sent;
    while (*done < count && left >= pieces[*done].bytes.len) left = advance(&pieces[(*done)++], left);
    if (left > 0) advance(&pieces[*done], left);
    return true;
}

bool conn_write_pieces(struct conn *conn, struct piece *pieces, size_t count)
{
    size_t done = 0;
    bool is_there = true, is_full = false, is_first = conn->first == NULL;

    if (is_first) is_there = send_pieces(conn, pieces, count, &done, &is_full);
    for (; done < count; done++) {
        if (is_there && pieces[done].bytes.len > 0)
            keep(conn, &pieces[done], false);
        else
            piece_release(&pieces[done]);
    }
    if (is_first && conn->first != NULL) wait_to_write(conn, is_full);
    return is_there;
}

void conn_queue(struct conn *conn, struct piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].bytes.len > 0)
            keep(conn, &pieces[i], i + 1 < count && pieces[i + 1].release != NULL);
        else
            piece_release(&pieces[i]);
    }
}
