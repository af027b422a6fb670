/* server/worker_internal.h: what the files of the server share about a worker. */
#pragma once

#include "base/reclaim.h"
#include "cache/defrag.h"
#include "cache/expiry.h"
#include "net/mailbox.h"
#include "net/poller.h"
#include "server/batch.h"
#include "server/dispatch.h"
#include "server/turns.h"
#include "server/worker.h"

#include <pthread.h>

/* What one read asks the socket for, and the room for all that was read and not answered yet. A value of 16 KiB comes with its request. More at once
 * would be no faster, makes others wait and would have to be copied where it is part of a bigger value, which is read to its place from then on. */
#define READ_BYTES (20u << 10)
#define SCRATCH_BYTES (4 * READ_BYTES)
/* And where more is known to come, of a big value or another long request. */
#define VALUE_READ_BYTES (128u << 10)
/* A client that was replied so much by copying has had its turn. */
#define TURN_REPLY_BYTES (112u << 10)
/* Or had so many commands run. */
#define TURN_COMMANDS 512
/* A reply buffer beyond this is given back after the turn that needed it. */
#define OUT_KEPT_BYTES (1u << 20)
#define ERROR_CODES_MAX 128

struct command_counter {
    _Atomic uint64_t calls, ns, rejected, failed;
    _Atomic(_Atomic uint64_t *) latency; /* LATENCY_BUCKETS of them, NULL until first used */
};

struct error_counter {
    char code[32];
    _Atomic uint64_t count;
};

/* A part of the worker's reply buffer. */
struct turn_reply {
    struct client *client; /* NULL when it was closed since */
    size_t start, len;
    size_t first_piece, piece_count; /* of the worker's pieces */
};

struct worker {
    /* Set before the thread starts. */
    struct node *node;
    int index;
    struct ev_loop *loop;
    struct poller *poller;  /* of its clients' sockets */
    struct mailbox mailbox; /* any thread posts */
    pthread_t thread;
    _Atomic bool is_running;         /* written by who starts and joins its thread, read by all workers */
    _Atomic size_t line_bytes;       /* of MONITOR's lines in the mailbox */
    _Atomic bool kills;              /* clients of it were marked for closing; it is to be woken */
    _Atomic bool awaits_keys;        /* clients of it wait for keys in flight; set under such a key's slot lock */
    _Atomic bool lines_lost;         /* some were too many: its monitors are closed */
    _Atomic bool awaits_subscribers; /* clients of it wait until less is on its way to subscribers */
    _Atomic int64_t cpu_user_us, cpu_system_us; /* published once a second */

    /* Walked by other threads under the lock, changed by the owner under it. */
    struct lock registry_lock;
    struct list clients;      /* under registry_lock */
    _Atomic int client_count; /* acceptors read it to spread connections evenly */

    /* Read by others as relaxed atomics, written by the owner alone. */
    struct worker_counters counters;
    struct command_counter *commands;             /* by command number */
    struct error_counter errors[ERROR_CODES_MAX]; /* under registry_lock where the set grows */
    int error_codes;                              /* under registry_lock */

    /* The owner's alone. */
    struct ev_timer tick;      /* every 100 ms: idle clients, paused clients */
    struct ev_timer make_room; /* runs while the data takes more than it may, as after the limit was lowered */
    int ticks;
    struct expiry expiry;
    struct ev_timer expiry_timer;  /* until the next deadline; not while nothing has one */
    struct ev_idle expiry_at_once; /* while more is due than one run could take */
    int64_t expiry_ended_us;       /* when the last run did */
    struct worker_defrag {
        struct defrag_share share;
        struct ev_timer timer; /* until the next slice; not while there is nothing to do */
    } defrag[2];               /* of all there is, and of tables */
    char *scratch;             /* SCRATCH_BYTES, of which as many are taken: */
    size_t scratch_used;       /* by what the ready clients have sent; READ_BYTES are always free when one is read */
    struct batch_part ready[LOOK_AHEAD_MAX]; /* clients that were read in this turn and wait to be answered together */
    int ready_count;
    struct buf out;             /* replies of the client being answered */
    struct reply_pieces pieces; /* big values among them */
    size_t behind_at;           /* of out and pieces: more makes the client that is being answered wait */
    size_t turn_ends_at;        /* of out alone: more ends its turn */
    uint64_t turn_began;        /* in ticks */
    size_t look_at;             /* of out and pieces: at more these two are looked at */
    struct piece *gathered;     /* one client's replies while they are written */
    size_t gathered_cap;
    struct turn_reply *replies; /* whose they are, in the order they were written */
    size_t reply_count, reply_cap;
    struct ev_prepare flush;      /* before the loop waits again */
    uint64_t rounds_began;        /* in ticks, when the first of this turn had been made; 0: none was */
    struct parks *parks;          /* its clients that wait for keys (server/park.h) */
    struct list turns;            /* clients that go on without having been waited for (server/turns.h) */
    size_t turn_count;            /* how many they are */
    size_t turn_bytes;            /* of big replies, written in this turn ahead of them */
    unsigned small_turns;         /* for so many more, small replies are expected */
    bool is_at_queue;             /* whoever is replied to now is one of them */
    struct ev_idle no_wait;       /* while there are any */
    struct reclaim_reader reader; /* joined while the thread runs */
    struct worker_slow {
        long switches; /* times the system had put the thread aside when that was looked at last */
        uint64_t hash; /* of the key of the last command that took long */
    } slow;            /* what took long by itself, and what the system kept waiting (server/cost.c) */
    /* The batch that runs: its requests, and what is known of each. */
    struct request batch[LOOK_AHEAD_MAX];
    struct prepared prepared[LOOK_AHEAD_MAX];
    int64_t now_ms; /* what commands are told; of now_ticks */
    uint64_t now_ticks;
    struct aliases *aliases;   /* of the command that runs (server/alias.h); NULL until one has names */
    struct client *answering;  /* whose requests run now, or NULL */
    int monitors;              /* of its clients */
    struct list leaving;       /* subscriptions of clients that have left (server/pubsub_client.c) */
    struct ev_idle leaving_on; /* while there are any */
    struct list shard_parts;   /* of topics (server/topics.h): the shard channels that its clients subscribe to */
};

/* False at the end: its thread is gone, and others may be gone altogether. What still comes to it by its mailbox is freed, and causes nothing. */
static inline bool worker_is_running(const struct worker *worker)
{
    return atomic_load_explicit(&worker->is_running, memory_order_relaxed);
}

/* For counters only the owner writes: no locked instruction. */
static inline void count_up(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}
static inline void count_down(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) - 1, memory_order_relaxed);
}

/* Counts an error reply by its code. */
void worker_count_error(struct worker *worker, const char *code);
/* Counts a run of a command. */
void worker_count_command(struct worker *worker, size_t number, uint64_t ns, bool failed);

/* server/worker_defrag.c */
void worker_defrag_init(struct worker *worker);
void worker_defrag_stop(struct worker *worker);
/* Begins with a pass that was asked for. */
void worker_defrag_tick(struct worker *worker);

/* server/client.c */
/* NULL where the system can not watch another socket: it is closed. */
struct client *client_new(struct worker *worker, int fd, const char *peer, const char *local, bool is_unix);
/* Closes and frees; not while it is being answered (client_kill() then does). */
void client_close(struct client *client);

/* server/client_io.c */
extern const struct conn_events client_events;
/* Sends bytes that answer no request; may close a client that does not read them. */
void client_send(struct client *client, struct bytes bytes);
/* The same for pieces that are written at its turn, together with what else comes until then; takes them over. */
void client_push(struct client *client, struct piece *pieces, size_t count);
/* Reads and runs what several clients have sent; may close some of them. Never inlined: tests/instructions counts what is run in here. */
void worker_answer(struct worker *worker, struct batch_part *parts, int count) __attribute__((noinline));
/* Answers who is ready and writes the replies of this turn. May close clients. */
void worker_flush(struct worker *worker);
/* Goes on with what a paused client had sent. */
void client_resume(struct client *client);
/* The same for one that was parked. */
void client_unpark(struct client *client);
/* The same, together with others: worker_flush() runs them, before anything else is read of them. */
void client_unpark_soon(struct client *client);
/* The same for one whose replies were held: these first. */
void client_unhold(struct client *client, struct bytes replies);
/* Does what is due; it has come to its turn. Returns how many bytes that moved. May close it. */
size_t client_go_on(struct client *client, enum due due);

/* Publishes what a client takes of memory, and adds it to the node's sum. */
void client_account(struct client *client);
void client_account_gone(struct client *client);
/* What it sent in this turn is not run, and what was replied to it is not written. */
void client_forget_turn(struct client *client);
/* Looks at client-output-buffer-limit; also once a second, as its soft limits come with time. */
bool client_output_is_over_limit(struct client *client);
void client_close_slow(struct client *client);

/* server/hold.c */
/* Keeps replies of a held client until its time is over. */
void hold_replies(struct client *client, struct bytes replies);
/* Forgets them, for the client is being closed. */
void hold_end(struct client *client);
/* What they take of memory. */
size_t hold_bytes(const struct client *client);
