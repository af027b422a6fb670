/* bus/bus_internal.h: what the files about a bus as a whole share. */
#pragma once

#include "base/lock.h"
#include "bus/bus.h"
#include "bus/claims.h"
#include "bus/state_file.h"
#include "net/listener.h"

#include <ev.h>

#define LISTENERS_MAX 32

struct links;
struct publish_queue;
struct recount;
struct share;
struct sweep;

/* What only the control loop may carry out. */
struct posted {
    struct effect effect; /* owns its data */
    uint64_t after;       /* the ticket that must be on disk before; 0: none */
};

struct outbox {
    struct posted *items;
    size_t count, cap;
};

/* Where a node is reached. The table grows with the indexes the core hands out and keeps the nodes that are gone. */
struct endpoint {
    char text[256];
    uint16_t port;
};

struct bus {
    struct ev_loop *loop;
    struct keyspace *keyspace;
    struct state_file *file;
    struct sweep *sweep;
    struct recount *recount;
    struct publish_queue *publications; /* guards itself */
    struct share *share;                /* likewise, with the lock below */
    struct bus_events events;           /* set at the start */
    struct ev_timer tick;
    /* One wake for all that is posted: the order is the outbox's, which is kept under the lock; messages posted after the lock was
     * given back could overtake each other. */
    struct ev_async wake;

    struct lock lock; /* guards the next five */
    struct cluster *cluster;
    struct effects effects;
    struct outbox outbox;
    bool was_solo;
    struct claims claims;

    struct lock endpoints_lock; /* innermost; guards the next two */
    struct endpoint **endpoints;
    size_t endpoint_count;

    _Atomic bool state_ok, solo, wake_owed;
    _Atomic int64_t node_timeout_ms;
    _Atomic uint64_t sendbuf_limit, over_limit;

    /* the control loop's own */
    struct links *links;
    struct listener listeners[LISTENERS_MAX];
    int listener_count;
    struct outbox held;     /* waits for the disk */
    struct state_done seen; /* of the state file: what the core was told */
    bool draining;
};
