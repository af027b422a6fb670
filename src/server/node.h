/* server/node.h
 *
 * The process: built by main.c, shared by all threads. Every field says what guards it. */
#pragma once

#include "base/list.h"
#include "base/lock.h"
#include "base/random.h"
#include "cache/defrag.h"
#include "server/command.h"
#include "server/config.h"
#include "server/hold.h"
#include "server/stats.h"
#include "store/keyspace.h"

#include <stdatomic.h>

#define REDIS_COMPATIBLE_VERSION "7.2.4"

struct acceptor;
struct acl_log;
struct backstop_watch;
struct bus;
struct control;
struct events;
struct eviction;
struct hot_session;
struct hotkeys;
struct hot_reads;
struct fills;
struct latency;
struct lazyfree;
struct login_guard;
struct migrator;
struct movers;
struct open_slots;
struct policies;
struct policy_keeper;
struct policy_sweep;
struct pubsub;
struct salt_helper;
struct salt_home;
struct salt_keeper;
struct salt_spread;
struct slowlog;
struct worker;

struct node {
    /* Set before the first worker starts, never changed. */
    struct config *config;               /* guards itself */
    struct keyspace *keyspace;           /* each slot has its lock */
    struct eviction *eviction;           /* guards itself */
    struct hot_session *hot_session;     /* guards itself */
    struct hotkeys *hotkeys;             /* guards itself */
    struct hot_reads *hot_reads;         /* guards itself */
    struct fills *fills;                 /* guards itself */
    struct policies *policies;           /* guards itself */
    struct backstop_watch *backstop;     /* its counters are atomics */
    struct policy_sweep *policy_sweep;   /* guards itself */
    struct policy_keeper *policy_keeper; /* guards itself */
    struct salt_home *salt_home;         /* guards itself; NULL without a cluster */
    struct salt_helper *salt_helper;     /* likewise */
    struct salt_keeper *salt_keeper;     /* guards itself; NULL without a cluster */
    struct salt_spread *salt_spread;     /* likewise */
    struct command_table *commands;
    struct acceptor *acceptor; /* guards itself */
    uint16_t bus_port;         /* where the bus listens, whatever `port` says by now */
    struct bus *bus;           /* NULL with cluster-enabled no; guards itself */
    struct worker **workers;
    int worker_count;
    struct slowlog *slowlog;       /* guards itself */
    struct login_guard *logins;    /* guards itself */
    struct acl_log *acl_log;       /* guards itself */
    struct events *events;         /* guards itself */
    struct pubsub *pubsub;         /* guards itself */
    struct latency *latency;       /* guards itself */
    struct movers *movers;         /* guard themselves */
    struct movers *filler;         /* likewise: one that touches huge pages; NULL where there is no thread for it */
    struct lazyfree *lazyfree;     /* guards itself */
    struct migrator *migrator;     /* guards itself */
    struct open_slots *open_slots; /* its counters are atomics; NULL without a cluster */
    struct control *control;       /* the main thread's loop (server/control.h) */
    char run_id[41];
    int64_t started_ms; /* internal clock */
    const char *executable;
    const char *config_file; /* absolute, or NULL */

    _Atomic int64_t main_cpu_user_us, main_cpu_system_us; /* of the main thread, as of its last look */
    _Atomic uint64_t next_client_id;
    _Atomic int64_t connected_clients;
    _Atomic uint64_t connections_received, connections_rejected;
    _Atomic uint64_t snapshots_begun;
    _Atomic int64_t client_evict_ms; /* when somebody last looked whether that is too much */
    _Atomic uint64_t evicted_clients;
    _Atomic int64_t announced_bytes;       /* of big values that clients have begun to send (server/intake.h) */
    _Atomic int64_t client_bytes;          /* what all clients take of memory */
    _Atomic int64_t unauthenticated_bytes; /* in the query buffers of clients that have yet to say their password */

    /* CLIENT PAUSE: until when (0 = not), and whether writes only. */
    _Atomic int64_t pause_until_ms;
    _Atomic bool pause_all;

    _Atomic int monitors;        /* how many clients MONITOR; guarded for changes by monitor_lock */
    _Atomic bool shutdown_asked; /* SHUTDOWN or a signal; main's loop is woken by node_shutdown() */

    struct defrag defrag, table_defrag; /* their atomics; the rest is the main thread's */

    struct stats stats;             /* guards itself; main samples it: stats_sample() */
    struct withheld_list withheld;  /* replies that wait for DEBUG RELEASE; guards itself */
    _Atomic int salt_marks;         /* on how many keys' slots there are marks of names: salt_keeper's to change */
    _Atomic int retired;            /* transactions that movers are to free (server/retire.h) */
    _Atomic int salt_spreads;       /* how many slots salt_spread knows of: its own to change */
    _Atomic bool active_expire_off; /* DEBUG SET-ACTIVE-EXPIRE 0: expired keys go only when they are asked for */
};

/* Asks the main thread to end the process cleanly; any thread. */
void node_shutdown(struct node *node);

/* Redirect and state questions of commands go to bus/bus.h. */
