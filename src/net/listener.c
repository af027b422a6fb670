#include "net/listener.h"

#include "base/list.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define REST_AFTER_ERROR_S 0.1
#define ACCEPTS_A_TURN 1000

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
    struct sockaddr_storage room;
};

static int listening(int fd, const union address *address, socklen_t len, int backlog)
{
    int saved;

    if (bind(fd, &address->any, len) == 0 && listen(fd, backlog) == 0) return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static void share_port(int fd, int shares)
{
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shares, sizeof(shares));
}

/* The kernel remembers that a port was shared once, and would let any further sharer in: only who leaves that very port may ask. */
static bool is_on_port(int fd, uint16_t port)
{
    union address at = { 0 };
    socklen_t len = sizeof(at);

    if (getsockname(fd, &at.any, &len) != 0) return false;
    return ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port) == port;
}

static int tcp_socket(const union address *at, socklen_t len, int backlog, bool shares)
{
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;

    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    /* An IPv6 wildcard would else take the IPv4 port too, which is bound by itself. */
    if (at->any.sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    if (shares) share_port(fd, 1);
    return listening(fd, at, len, backlog);
}

int listener_tcp(const char *address, uint16_t port, int backlog)
{
    return listener_tcp_beside(address, port, backlog, NULL, 0);
}

int listener_tcp_beside(const char *address, uint16_t port, int backlog, const int *leaving, size_t leaving_count)
{
    union address at = { 0 };
    socklen_t len;
    bool any = false;
    int fd, error;

    if (strcmp(address, "*") == 0) address = "0.0.0.0";
    if (strcmp(address, "::*") == 0) address = "::";
    if (inet_pton(AF_INET, address, &at.v4.sin_addr) == 1) {
        at.v4.sin_family = AF_INET;
        at.v4.sin_port = htons(port);
        len = sizeof(at.v4);
    } else if (inet_pton(AF_INET6, address, &at.v6.sin6_addr) == 1) {
        at.v6.sin6_family = AF_INET6;
        at.v6.sin6_port = htons(port);
        len = sizeof(at.v6);
    } else {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    fd = tcp_socket(&at, len, backlog, false);
    if (fd >= 0 || errno != EADDRINUSE) return fd;
    for (size_t i = 0; i < leaving_count; i++) any |= is_on_port(leaving[i], port);
    errno = EADDRINUSE;
    if (!any) return -1;
    /* For this moment only: whoever else wanted the port would be let in beside us for ever, and a port that is taken go unnoticed. */
    for (size_t i = 0; i < leaving_count; i++) share_port(leaving[i], 1);
    fd = tcp_socket(&at, len, backlog, true);
    error = errno;
    if (fd >= 0) share_port(fd, 0);
    for (size_t i = 0; i < leaving_count; i++) share_port(leaving[i], 0);
    errno = error;
    return fd;
}

int listener_unix(const char *path, unsigned mode, int backlog)
{
    union address at = { 0 };
    struct stat there;
    mode_t old_mask;
    int fd;

    if (strlen(path) >= sizeof(at.path.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (lstat(path, &there) == 0) {
        if (!S_ISSOCK(there.st_mode)) {
            errno = EEXIST;
            return -1;
        }
        unlink(path);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    at.path.sun_family = AF_UNIX;
    memcpy(at.path.sun_path, path, strlen(path));
    /* The mask, not a chmod afterwards: between bind and chmod anybody could connect. */
    old_mask = mode != 0 ? umask((mode_t)(0777 & ~mode)) : 0;
    fd = listening(fd, &at, sizeof(at.path), backlog);
    if (mode != 0) umask(old_mask);
    return fd;
}

static void on_connection(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct listener *listener = container_of(watcher, struct listener, readable);

    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            listener->is_short = false;
            listener->accepted(listener, fd, listener->context);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        if (errno == EINVAL) {
            /* It listens no more: listener_end() was called. */
            ev_io_stop(loop, &listener->readable);
            return;
        }
        if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
        if (!listener->is_short) log_warning("clients: cannot accept a connection: %s; trying again", strerror(errno));
        listener->is_short = true;
        /* Out of descriptors or memory: the pending connection keeps the socket readable, so watching on would spin. */
        ev_io_stop(loop, &listener->readable);
        ev_timer_set(&listener->rest, REST_AFTER_ERROR_S, 0.);
        ev_timer_start(loop, &listener->rest);
        return;
    }
}

static void on_rested(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct listener *listener = container_of(watcher, struct listener, rest);

    (void)events;
    ev_io_start(loop, &listener->readable);
}

void listener_start(struct listener *listener, struct ev_loop *loop, int fd, bool is_unix,
                    void (*accepted)(struct listener *, int, void *), void *context)
{
    listener->fd = fd;
    listener->loop = loop;
    listener->is_unix = is_unix;
    listener->is_short = false;
    listener->accepted = accepted;
    listener->context = context;
    ev_io_init(&listener->readable, on_connection, fd, EV_READ);
    ev_timer_init(&listener->rest, on_rested, REST_AFTER_ERROR_S, 0.);
    ev_io_start(loop, &listener->readable);
}

void listener_end(int fd)
{
    shutdown(fd, SHUT_RDWR);
}

void listener_stop(struct listener *listener)
{
    if (listener->fd < 0) return;
    ev_io_stop(listener->loop, &listener->readable);
    ev_timer_stop(listener->loop, &listener->rest);
    close(listener->fd);
    listener->fd = -1;
}

static void address_text(const union address *address, char out[64])
{
    char ip[INET6_ADDRSTRLEN] = "?";

    switch (address->any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &address->v4.sin_addr, ip, sizeof(ip));
        snprintf(out, 64, "%s:%u", ip, ntohs(address->v4.sin_port));
        return;
    case AF_INET6:
        inet_ntop(AF_INET6, &address->v6.sin6_addr, ip, sizeof(ip));
        snprintf(out, 64, "[%s]:%u", ip, ntohs(address->v6.sin6_port));
        return;
    case AF_UNIX:
        snprintf(out, 64, "%.60s:0", address->path.sun_path);
        return;
    default:
        snprintf(out, 64, "?:0");
    }
}

void socket_peer_text(int fd, char out[64])
{
    union address address = { 0 };
    socklen_t len = sizeof(address);

    if (getpeername(fd, &address.any, &len) != 0) address.any.sa_family = AF_UNSPEC;
    address_text(&address, out);
}

void socket_local_text(int fd, char out[64])
{
    union address address = { 0 };
    socklen_t len = sizeof(address);

    if (getsockname(fd, &address.any, &len) != 0) address.any.sa_family = AF_UNSPEC;
    address_text(&address, out);
}

bool socket_peer_is_loopback(int fd)
{
    union address address = { 0 };
    socklen_t len = sizeof(address);

    if (getpeername(fd, &address.any, &len) != 0) return false;
    if (address.any.sa_family == AF_INET) return ntohl(address.v4.sin_addr.s_addr) >> 24 == 127;
    if (address.any.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&address.v6.sin6_addr) && address.v6.sin6_addr.s6_addr[12] == 127);
    return address.any.sa_family == AF_UNIX;
}

bool socket_keepalive(int fd, int seconds)
{
    int yes = 1, interval = seconds / 3 > 0 ? seconds / 3 : 1, probes = 3;

    if (seconds <= 0) return true;
    return setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes)) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds)) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval)) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes)) == 0;
}

void socket_nodelay(int fd)
{
    int yes = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}
