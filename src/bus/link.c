#include "bus/link.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUCKETS 1024u
#define READ_BYTES (64u << 10)
/* One link's share of a turn of the loop, so that a flood on one does not keep the others waiting. */
#define READS_A_TURN 8
/* Whoever does not read our answers is not read either: what waits to be sent stays bounded. */
#define STOP_READING_AT (1u << 20)
#define KEEPALIVE_SECONDS 30
/* Of one message of somebody who is no member: a MEET that tells of thousands of nodes is half as long. */
#define STRANGER_BYTES_MAX (1u << 20)
/* Beyond this sum of messages that are not whole yet, those of strangers are given up. */
#define INPUT_BYTES_MAX (64u << 20)
/* Hundreds of the longest messages there are; also where cluster-link-sendbuf-limit sets no limit. */
#define SEND_BYTES_MAX (16u << 20)

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
};

struct links {
    struct ev_loop *loop;
    struct poller *poller;
    const struct link_events *events;
    void *context;
    cluster_link last_id;
    struct list buckets[BUCKETS]; /* changed by the loop's thread under guard, read by it without */
    struct lock guard;
    struct list all, broken, buried;
    size_t input_bytes; /* the loop's thread's: what the links' input takes */
    char scratch[READ_BYTES];
};

static void on_readable(struct conn *conn);
static void on_drained(struct conn *conn);
static void on_failed(struct conn *conn);
static const struct conn_events conn_events = { .readable = on_readable, .drained = on_drained, .failed = on_failed };

struct links *links_new(struct ev_loop *loop, const struct link_events *events, void *context)
{
    struct links *links = alloc_zeroed(sizeof *links);

    links->loop = loop;
    links->poller = poller_new(loop, NULL, NULL);
    links->events = events;
    links->context = context;
    list_init(&links->all);
    list_init(&links->broken);
    list_init(&links->buried);
    for (size_t i = 0; i < BUCKETS; i++) list_init(&links->buckets[i]);
    return links;
}

static void count_input(struct link *link)
{
    link->links->input_bytes += link->input.cap - link->input_counted;
    link->input_counted = link->input.cap;
}

static struct list *bucket_of(struct links *links, cluster_link id)
{
    return &links->buckets[id % BUCKETS];
}

struct link *links_find(struct links *links, cluster_link id)
{
    list_each(at, bucket_of(links, id)) {
        struct link *link = container_of(at, struct link, chain);

        if (link->id == id) return link->broken ? NULL : link;
    }
    return NULL;
}

static struct link *link_new(struct links *links, bool outbound, int64_t now_ms, int64_t timeout_ms)
{
    struct link *link = alloc_zeroed(sizeof *link);

    link->links = links;
    link->id = ++links->last_id;
    link->outbound = outbound;
    link->created_ms = now_ms;
    link->deadline_ms = now_ms + timeout_ms;
    link->conn.fd = -1;
    lock_take(&links->guard);
    list_append(bucket_of(links, link->id), &link->chain);
    lock_release(&links->guard);
    list_append(&links->all, &link->listed);
    return link;
}

static void publish_numbers(struct link *link)
{
    atomic_store_explicit(&link->send_allocated, link->conn.kept, memory_order_relaxed);
    atomic_store_explicit(&link->send_used, conn_pending(&link->conn), memory_order_relaxed);
}

void link_break(struct link *link)
{
    if (link->broken) return;
    link->broken = true;
    list_remove(&link->listed);
    list_append(&link->links->broken, &link->listed);
}

struct link *links_take_broken(struct links *links)
{
    struct link *link;

    if (list_is_empty(&links->broken)) return NULL;
    link = container_of(links->broken.next, struct link, listed);
    list_remove(&link->listed);
    lock_take(&links->guard);
    list_remove(&link->chain);
    lock_release(&links->guard);
    return link;
}

void links_bury(struct links *links, struct link *link)
{
    if (link->connecting) {
        ev_io_stop(links->loop, &link->connected);
        if (link->connected.fd >= 0) close(link->connected.fd);
    }
    conn_close(&link->conn);
    list_append(&links->buried, &link->listed);
}

void links_reap(struct links *links)
{
    list_each_safe(at, &links->buried) {
        struct link *link = container_of(at, struct link, listed);

        list_remove(at);
        buf_free(&link->input);
        count_input(link);
        alloc_free(link);
    }
}

void links_free(struct links **links_pointer)
{
    struct links *links = *links_pointer;
    struct link *link;

    *links_pointer = NULL;
    if (links == NULL) return;
    while (!list_is_empty(&links->all)) link_break(container_of(links->all.next, struct link, listed));
    while ((link = links_take_broken(links)) != NULL) links_bury(links, link);
    links_reap(links);
    poller_free(&links->poller);
    alloc_free(links);
}

/* --- Opening --- */

static bool address_of(const char *ip, uint16_t port, union address *out, socklen_t *len)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, ip, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        *len = sizeof out->v4;
        return true;
    }
    if (inet_pton(AF_INET6, ip, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        *len = sizeof out->v6;
        return true;
    }
    return false;
}

static void is_open(struct link *link, int fd)
{
    socket_nodelay(fd);
    socket_keepalive(fd, KEEPALIVE_SECONDS);
    if (!conn_open(&link->conn, link->links->poller, fd, &conn_events)) link_break(link);
}

static void on_connected(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct link *link = container_of(watcher, struct link, connected);
    struct links *links = link->links;
    socklen_t len = sizeof(int);
    int failed = 0;

    (void)events;
    ev_io_stop(loop, watcher);
    if (getsockopt(watcher->fd, SOL_SOCKET, SO_ERROR, &failed, &len) != 0 || failed != 0) {
        link_break(link);
    } else {
        link->connecting = false;
        link->deadline_ms = 0;
        is_open(link, watcher->fd);
        links->events->opened(links->context, link);
    }
    links->events->turn_ended(links->context);
}

/* Where this node is being connected to already. */
static struct link *connecting_to(struct links *links, uint16_t node)
{
    list_each(at, &links->all) {
        struct link *link = container_of(at, struct link, listed);

        if (link->connecting && link->node == node) return link;
    }
    return NULL;
}

void links_connect(struct links *links, uint16_t node, const char *ip, uint16_t port, int64_t now_ms,
                   int64_t timeout_ms)
{
    struct link *link = connecting_to(links, node);
    union address address;
    socklen_t len;
    int fd;

    if (link != NULL) {
        if (link->port == port && strcmp(link->ip, ip) == 0) return;
        /* Nobody was told of it yet, so it goes without a word: the new one speaks for the node. */
        link_break(link);
        list_remove(&link->listed);
        lock_take(&links->guard);
        list_remove(&link->chain);
        lock_release(&links->guard);
        links_bury(links, link);
    }
    link = link_new(links, true, now_ms, timeout_ms);
    link->connecting = true;
    link->node = node;
    link->port = port;
    snprintf(link->ip, sizeof link->ip, "%s", ip);
    fd = address_of(ip, port, &address, &len)
             ? socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
             : -1;
    ev_io_init(&link->connected, on_connected, fd, EV_WRITE);
    if (fd < 0) {
        link_break(link);
        return;
    }
    if (connect(fd, &address.any, len) != 0 && errno != EINPROGRESS && errno != EINTR) {
        link_break(link);
        return;
    }
    /* Also where it is up at once: the loop tells, so that opened() never runs inside links_connect(). */
    ev_io_start(links->loop, &link->connected);
}

struct link *links_adopt(struct links *links, int fd, int64_t now_ms, int64_t timeout_ms)
{
    struct link *link = link_new(links, false, now_ms, timeout_ms);

    is_open(link, fd);
    return link;
}

static void ip_text(const union address *address, char out[46])
{
    struct in6_addr v6;

    out[0] = '\0';
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, out, 46);
    } else if (address->any.sa_family == AF_INET6) {
        v6 = address->v6.sin6_addr;
        /* An IPv4 peer of an IPv6 socket is still an IPv4 node to all the others. */
        if (IN6_IS_ADDR_V4MAPPED(&v6))
            inet_ntop(AF_INET, &v6.s6_addr[12], out, 46);
        else
            inet_ntop(AF_INET6, &v6, out, 46);
    }
}

void link_addresses(const struct link *link, char local[46], char peer[46])
{
    union address address = { 0 };
    socklen_t len = sizeof address;

    local[0] = peer[0] = '\0';
    if (getsockname(link->conn.fd, &address.any, &len) == 0) ip_text(&address, local);
    len = sizeof address;
    if (getpeername(link->conn.fd, &address.any, &len) == 0) ip_text(&address, peer);
}

/* --- Reading and writing --- */

/* Hands over the whole messages at the front of the bytes and returns how many bytes they took. */
static size_t hand_over(struct link *link, struct bytes data)
{
    struct links *links = link->links;
    size_t done = 0;

    while (!link->broken && done < data.len) {
        struct bytes rest = { data.data + done, data.len - done };
        int64_t length = cluster_frame(rest);

        if (length < 0 || length > (int64_t)CLUSTER_PACKET_BYTES_MAX) {
            link_break(link);
            break;
        }
        if (length == 0 || (size_t)length > rest.len) break;
        link->deadline_ms = 0;
        links->events->packet(links->context, link, (struct bytes){ rest.data, (size_t)length });
        done += (size_t)length;
    }
    return done;
}

static void take_in(struct link *link, const char *data, size_t len)
{
    size_t done;

    if (link->input.len == 0) {
        done = hand_over(link, (struct bytes){ data, len });
        if (!link->broken) buf_append(&link->input, data + done, len - done);
        return;
    }
    buf_append(&link->input, data, len);
    done = hand_over(link, buf_bytes(&link->input));
    if (link->broken || done == link->input.len)
        buf_free(&link->input);
    else if (done > 0)
        buf_consume(&link->input, done);
}

/* Whoever is no member and makes us keep too much of a message, or anything while too much is kept already, is let go. */
static void bound_input(struct link *link)
{
    const struct links *links = link->links;

    count_input(link);
    if (link->input.len <= STRANGER_BYTES_MAX && links->input_bytes <= INPUT_BYTES_MAX) return;
    if (link->broken || link->input.len == 0 || links->events->is_member(links->context, link)) return;
    link_break(link);
}

static void on_readable(struct conn *conn)
{
    struct link *link = container_of(conn, struct link, conn);
    struct links *links = link->links;

    for (int i = 0; i < READS_A_TURN && !link->broken; i++) {
        ssize_t got = conn_read(conn, links->scratch, sizeof links->scratch);

        if (got < 0) link_break(link);
        if (got <= 0) break;
        take_in(link, links->scratch, (size_t)got);
        bound_input(link);
        if ((size_t)got < sizeof links->scratch) break;
    }
    links->events->turn_ended(links->context);
}

static void on_drained(struct conn *conn)
{
    struct link *link = container_of(conn, struct link, conn);

    publish_numbers(link);
    conn_set_reading(conn, true);
    if (link->links->events->drained != NULL) link->links->events->drained(link->links->context, link);
}

static void on_failed(struct conn *conn)
{
    struct link *link = container_of(conn, struct link, conn);

    link_break(link);
    link->links->events->turn_ended(link->links->context);
}

void link_send(struct link *link, struct bytes message)
{
    if (link->broken || link->connecting) return;
    if (conn_pending(&link->conn) + message.len > SEND_BYTES_MAX ||
        !conn_write(&link->conn, message.data, message.len)) {
        link_break(link);
        return;
    }
    publish_numbers(link);
    if (conn_pending(&link->conn) > STOP_READING_AT) conn_set_reading(&link->conn, false);
}

void links_tick(struct links *links, int64_t now_ms)
{
    list_each_safe(at, &links->all) {
        struct link *link = container_of(at, struct link, listed);

        publish_numbers(link);
        if (link->deadline_ms != 0 && now_ms >= link->deadline_ms) link_break(link);
    }
}

size_t links_break_over(struct links *links, size_t limit)
{
    size_t broken = 0;

    list_each_safe(at, &links->all) {
        struct link *link = container_of(at, struct link, listed);

        if (link->conn.fd < 0 || conn_pending(&link->conn) <= limit) continue;
        link_break(link);
        broken++;
    }
    return broken;
}

bool links_info(struct links *links, cluster_link id, struct link_numbers *out)
{
    bool found = false;

    lock_take(&links->guard);
    list_each(at, bucket_of(links, id)) {
        struct link *link = container_of(at, struct link, chain);

        if (link->id != id) continue;
        out->created_ms = link->created_ms;
        out->send_allocated = atomic_load_explicit(&link->send_allocated, memory_order_relaxed);
        out->send_used = atomic_load_explicit(&link->send_used, memory_order_relaxed);
        found = true;
        break;
    }
    lock_release(&links->guard);
    return found;
}
