/* utils/experiments/server.h
 *
 * A server on a free port of 127.0.0.1, with a folder of its own that goes with it. It dies with this process, however that ends. It may be killed
 * and started again with what it has on disk; on a network of namespaces (network.h) it has an address of its own. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct server {
    pid_t pid;
    int port;
    char folder[64];
    const char *binary;
    int space; /* of the network, -1: none */
};

/* Starts a server that keeps nothing on disk and waits until it serves. More lines of redis.conf ("maxmemory 1gb\n..."), or "". */
void server_start(struct server *server, const char *binary, const char *more_lines);
/* The same in the nth namespace, where network_open() has been called. */
void server_start_in(struct server *server, const char *binary, const char *more_lines, unsigned n);
void server_stop(struct server *server);

/* Ends it at once and keeps its folder; starts it again, without waiting until it serves. */
void server_kill(struct server *server);
void server_restart(struct server *server);

/* The address of the server on this port. */
const char *server_host(int port);

/* CPU time of the server so far, user and kernel. */
uint64_t server_cpu_us(const struct server *server);
/* A field of INFO, 0 where there is none. */
uint64_t server_counter(const struct server *server, const char *field);
