/* unit/server/one_worker.h
 *
 * A node with one worker, which is the test's thread: its loop is driven turn by turn over sockets that take all they are given, so that what a client gets out
 * of one turn is counted, and no clock has a say. The includer has the commands: `families`. */
#pragma once

#include "base/alloc.h"
#include "cache/eviction.h"
#include "cache/fill.h"
#include "cache/hot_reads.h"
#include "cache/hot_session.h"
#include "cache/hotkeys.h"
#include "cache/policy.h"
#include "net/bare.h"
#include "server/call.h"
#include "server/events.h"
#include "server/latency.h"
#include "server/node.h"
#include "server/pubsub.h"
#include "server/slowlog.h"
#include "server/worker_internal.h"
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static const struct command *const *const families[2];

/* --- What clients are sent --- */

#define FDS 1024

static struct sent {
    size_t total, in_turn, calls;
    char last[16]; /* bytes, from the end of what was sent last */
} sent[FDS];

/* What a test does whenever the worker reads of a client, or has sent to one. */
static void (*when_read)(void);
static void (*when_sent)(int fd);

static ssize_t count(int fd, const struct iovec *runs, size_t count)
{
    size_t bytes = 0;

    CHECK(fd < FDS);
    for (size_t i = 0; i < count; i++) {
        const char *data = runs[i].iov_base;
        size_t len = runs[i].iov_len, part = len < sizeof sent[fd].last ? len : sizeof sent[fd].last;

        memmove(sent[fd].last, sent[fd].last + part, sizeof sent[fd].last - part);
        memcpy(sent[fd].last + sizeof sent[fd].last - part, data + len - part, part);
        bytes += len;
    }
    sent[fd].total += bytes;
    sent[fd].in_turn += bytes;
    sent[fd].calls++;
    if (when_sent != NULL) when_sent(fd);
    return (ssize_t)bytes;
}

ssize_t bare_send(int fd, const void *data, size_t len)
{
    return count(fd, &(struct iovec){ (void *)(uintptr_t)data, len }, 1);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    (void)flags;
    return count(fd, message->msg_iov, message->msg_iovlen);
}

ssize_t bare_recv(int fd, void *into, size_t room)
{
    if (when_read != NULL) when_read();
    return recv(fd, into, room, 0);
}

static inline bool ends_with(int fd, const char *text)
{
    size_t len = strlen(text);

    return memcmp(sent[fd].last + sizeof sent[fd].last - len, text, len) == 0;
}

/* --- A node with one worker, which is this thread's --- */

#ifndef PEERS
#define PEERS 8u
#endif

struct fixture {
    struct node node;
    struct worker *worker;
    int peer[PEERS], fd[PEERS]; /* the test's end, the server's */
    unsigned peers;
    size_t pings; /* of the first peer that were read */
    size_t turns;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){ .peers = 0 };
    memset(sent, 0, sizeof sent);
    when_read = NULL;
    when_sent = NULL;
    f->node.config = config_new();
    f->node.keyspace = keyspace_new();
    f->node.eviction = eviction_new(f->node.keyspace);
    f->node.hotkeys = hotkeys_new(1);
    f->node.hot_reads = hot_reads_new(f->node.keyspace, f->node.hotkeys, 1);
    f->node.policies = policies_new();
    f->node.hot_session = hot_session_new();
    f->node.fills = fills_new(f->node.keyspace);
    f->node.commands = command_table_new(families);
    f->node.slowlog = slowlog_new();
    f->node.latency = latency_new();
    f->node.pubsub = pubsub_new(&f->node);
    f->node.events = events_new(&f->node);
    f->node.worker_count = 1;
    f->worker = worker_new(&f->node, 0);
    f->node.workers = &f->worker;
    f->worker->is_running = true; /* the test is its thread */
    reclaim_join(&f->worker->reader);
}

/* One more client connects. */
static struct client *join(struct fixture *f)
{
    int fds[2], room = (int)MIB;
    struct client *client;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    client = client_new(f->worker, fds[1], "peer", "local", true);
    f->peer[f->peers] = fds[0];
    f->fd[f->peers] = fds[1];
    f->peers++;
    return client;
}

static void done(struct fixture *f)
{
    CHECK(f->worker->turn_count == 0);
    for (unsigned i = 0; i < f->peers; i++) close(f->peer[i]);
    reclaim_quit(&f->worker->reader);
    f->worker->is_running = false;
    worker_free(&f->worker);
    slowlog_free(&f->node.slowlog);
    latency_free(&f->node.latency);
    events_free(&f->node.events);
    pubsub_free(&f->node.pubsub);
    command_table_free(&f->node.commands);
    hot_session_free(&f->node.hot_session);
    hot_reads_free(&f->node.hot_reads);
    hotkeys_free(&f->node.hotkeys);
    policies_free(&f->node.policies);
    eviction_free(&f->node.eviction);
    fills_free(&f->node.fills);
    keyspace_free(&f->node.keyspace);
    config_free(&f->node.config);
}

static inline void say(struct fixture *f, unsigned peer, const char *text, size_t len)
{
    CHECK(send(f->peer[peer], text, len, 0) == (ssize_t)len);
}

/* The same request, inline, so many times. */
static inline void say_often(struct fixture *f, unsigned peer, const char *request, size_t times)
{
    size_t len = strlen(request);
    char *text = alloc(len * times);

    for (size_t i = 0; i < times; i++) memcpy(text + i * len, request, len);
    say(f, peer, text, len * times);
    alloc_free(text);
}

/* A turn: what the last one has read is answered, the queue goes on, and what has come is read. Returns what all but the first peer got. */
static size_t turn(struct fixture *f)
{
    size_t bytes = 0;

    CHECK(++f->turns < 10000);
    for (int fd = 0; fd < FDS; fd++) sent[fd].in_turn = 0;
    ev_run(f->worker->loop, EVRUN_NOWAIT);
    for (unsigned i = 1; i < f->peers; i++) bytes += sent[f->fd[i]].in_turn;
    return bytes;
}
