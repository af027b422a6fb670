/* net/listener.h
 *
 * Listening sockets. Accept errors (EMFILE, ENFILE, ENOBUFS, ENOMEM) do not stop the loop: the listener rests 100 ms and tries again. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct listener {
    int fd;
    struct ev_io readable;
    struct ev_timer rest;
    struct ev_loop *loop;
    bool is_unix;
    bool is_short; /* of descriptors or memory since the last connection */
    void (*accepted)(struct listener *listener, int fd,
                     void *context); /* owns fd; it is non-blocking and close-on-exec */
    void *context;
};

/* A non-blocking listening socket on a literal IPv4/IPv6 address ("*" every IPv4, "::*" every IPv6), or -1 with errno. */
int listener_tcp(const char *address, uint16_t port, int backlog);
/* Likewise, where listening sockets of ours that are about to leave (descriptors) may hold the same address and port, or one that
 * overlaps: "*" is bound while 127.0.0.1 still listens. Another's socket is in the way as ever. */
int listener_tcp_beside(const char *address, uint16_t port, int backlog, const int *leaving, size_t leaving_count);
/* From now on nobody can connect, and the address is free for others. Any thread; the loop's listener_stop() closes it. */
void listener_end(int fd);
/* On a unix socket; the mode is set before anybody can connect (umask around bind); 0 leaves the default. Removes a stale socket file. */
int listener_unix(const char *path, unsigned mode, int backlog);

void listener_start(struct listener *listener, struct ev_loop *loop, int fd, bool is_unix,
                    void (*accepted)(struct listener *, int, void *), void *context);
void listener_stop(struct listener *listener);

/* "127.0.0.1:6379" / "[::1]:6379" as CLIENT LIST has it (Redis: no brackets when it prints addr=::1:6379 -> prints [::1]:6379). Peer or own side. */
void socket_peer_text(int fd, char out[64]);
void socket_local_text(int fd, char out[64]);
bool socket_peer_is_loopback(int fd);
bool socket_keepalive(int fd, int seconds);
void socket_nodelay(int fd);
