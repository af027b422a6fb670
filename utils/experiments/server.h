/* utils/experiments/server.h
 *
 * A server on a free port of 127.0.0.1, with a folder of its own that goes with it. It dies with this process, however that ends. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct server {
    pid_t pid;
    int port;
    char folder[64];
};

/* Starts a server that keeps nothing on disk and waits until it serves. More lines of redis.conf ("maxmemory 1gb\n..."), or "". */
void server_start(struct server *server, const char *binary, const char *more_lines);
void server_stop(struct server *server);

/* CPU time of the server so far, user and kernel. */
uint64_t server_cpu_us(const struct server *server);
/* A field of INFO, 0 where there is none. */
uint64_t server_counter(const struct server *server, const char *field);
