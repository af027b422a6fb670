/* utils/experiments/conn.h
 *
 * A connection that tasks ask over. Several tasks may share one, as those of a multiplexing client library do: requests are sent in the
 * order they were asked in, and each reply goes to the task that is due. Commands are hiredis' formats. */
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

/* A reply that is awaited. On the stack of the task that does. */
struct awaited {
    struct task *task;
    redisReply *reply;
    bool has_come; /* a connection that ends answers with NULL */
    struct awaited *next;
};

struct conn {
    int fd;
    int port;
    redisReader *reader;
    char *out;
    size_t out_bytes, out_sent, out_room;
    struct awaited *first, **last;
    bool is_to_flush, waits_writable, has_ended;
    struct conn *next_to_flush; /* of those with something to send */
};

struct conn *conn_open(int port);
/* The same; NULL where nobody listens. */
struct conn *conn_try_open(int port);
/* As a client that dies: whatever is awaited is answered with NULL. */
void conn_close(struct conn **conn);

/* --- Within a task --- */
/* Sends a command and waits for its reply. An error reply ends the program: no experiment expects one. Free it with freeReplyObject(). */
redisReply *ask(struct conn *conn, const char *format, ...);
/* The same; errors are returned like any reply, and NULL when the connection ends. */
redisReply *try(struct conn *conn, const char *format, ...);
/* Sends a command and frees its reply. */
void tell(struct conn *conn, const char *format, ...);

/* Sends now, waits later: what a pipeline is made of. */
void send_command(struct conn *conn, struct awaited *awaited, const char *format, ...);
/* Of a request that has been written already. */
void send_request(struct conn *conn, struct awaited *awaited, const char *request, size_t bytes);
redisReply *await(struct awaited *awaited);

/* --- For whoever waits on its socket --- */
void conn_flush(struct conn *conn);
void conn_ready(struct conn *conn, uint32_t events);

/* --- Without tasks: one command after the other, waiting for each --- */
redisReply *command(int port, const char *format, ...);
/* The same, freeing the reply. */
void run_command(int port, const char *format, ...);

/* --- Many commands at once --- */
/* Runs `count` commands over a few connections, pipelined, and returns when all replies are in. `ask_one` sends command number i with
 * send_command(); `got_one` looks at its reply (NULL: nobody does). Not within a task. */
struct bulk {
    uint64_t count;
    void (*ask_one)(struct conn *conn, struct awaited *awaited, uint64_t i);
    void (*got_one)(uint64_t i, const redisReply *reply);
};
void run_bulk(int port, const struct bulk *bulk);
