/* server/client.h
 *
 * A user's connection. It belongs to one worker for its whole life; only that worker's thread touches it, apart from the fields marked
 * *shared*, which CLIENT LIST and CLIENT KILL of other workers read (worker_each_client() in server/worker.h). */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "net/conn.h"
#include "proto/reply.h"
#include "proto/request.h"
#include "server/intake.h"

#include <stdatomic.h>
#include <stdint.h>

struct worker;
struct command;
struct transaction;
struct hold;
struct loads;
struct park;
struct salt_peer;
struct snapshot;
struct subscriptions;

enum client_flag {
    CLIENT_AUTHENTICATED = 1u << 0,
    CLIENT_MULTI = 1u << 1,      /* MULTI was said */
    CLIENT_DIRTY_EXEC = 1u << 2, /* a queued command was refused */
    CLIENT_ASKING = 1u << 3,
    CLIENT_READONLY = 1u << 4,
    CLIENT_MONITOR = 1u << 5,
    CLIENT_CLOSE_AFTER_REPLY = 1u << 6,
    CLIENT_REPLY_OFF = 1u << 7,
    CLIENT_REPLY_SKIP = 1u << 8,      /* the reply of the command that runs now */
    CLIENT_REPLY_SKIP_NEXT = 1u << 9, /* of the next one */
    CLIENT_NO_EVICT = 1u << 10,
    CLIENT_NO_TOUCH = 1u << 11,
    CLIENT_UNIX_SOCKET = 1u << 12,
    CLIENT_PAUSED = 1u << 13, /* a command waits for the end of CLIENT PAUSE, or for a key in flight */
    CLIENT_HELD = 1u << 14, /* its reply waits (client_hold_reply(), client_park()), and so does all that comes after */
    CLIENT_BEHIND = 1u << 15,      /* commands wait until the replies before them have left */
    CLIENT_ENDED = 1u << 16,       /* the peer sends no more; it is closed when it has its replies */
    CLIENT_FOLLOWS = 1u << 17,     /* REPLCONF: it means to be a replica */
    CLIENT_RDB_ONLY = 1u << 18,    /* REPLCONF: of SYNC it wants the file and nothing after it */
    CLIENT_RDB_NO_KEYS = 1u << 19, /* REPLCONF: and no keys in it */
    CLIENT_MORE = 1u << 20,        /* commands wait for its next turn (server/turns.h) */
    CLIENT_PARKED = 1u << 21,      /* a command waits for a key to be filled (server/park.h) */
    CLIENT_SUBSCRIBED = 1u << 22,  /* to something */
    CLIENT_WAITED = 1u << 23,      /* what it has sent may have lain here since waited_since_ms */
    CLIENT_CAUGHT_UP = 1u << 24,   /* of that the last has been read: what is read next has not */
};

/* What a small request and its reply touch comes first, in as few cache lines as it takes: with many clients each comes out of the second
 * cache or from beyond. */
struct client {
    struct worker *worker; /* never changes */

    /* shared: relaxed atomics */
    _Atomic uint32_t flags;       /* enum client_flag; written by the owner only */
    _Atomic bool kill;            /* set by anyone; the owner closes it at its next turn */
    _Atomic uint32_t parked_turn; /* while it is parked, which of its worker's waits that is; else 0 */
    _Atomic uint32_t unblock;     /* set by anyone: twice the wait that is to end, and 1 for one with an error */
    _Atomic int64_t last_active_ms;
    _Atomic(const struct command *) last_command;
    _Atomic uint64_t memory; /* all of it; also in the node's client_bytes */
    _Atomic uint64_t multi_bytes;

    /* the owner's alone */
    struct request *request;    /* NULL unless one is incomplete */
    int64_t over_soft_since_ms; /* client-output-buffer-limit; monotonic, 0 = it is not */
    struct buf query;           /* holds bytes only while a request is incomplete or waits */
    size_t query_ran;           /* of these, from the first on */
    struct intake intake;       /* a big value of that request */
    struct conn conn;
    struct reply reply;
    struct list turn;                    /* in its worker's queue, while something is due */
    uint32_t due;                        /* enum due of server/turns.h */
    struct transaction *transaction;     /* NULL unless MULTI or WATCH */
    int64_t unauthenticated_bytes;       /* its part of the node's */
    int64_t waited_since_ms;             /* when it was stopped first; of CLIENT_WAITED */
    int64_t handshake_ms;                /* when it connected or said RESET: it has to log in soon after */
    struct hold *hold;                   /* NULL unless CLIENT_HELD */
    struct park *park;                   /* of a command that has waited for a key; or NULL */
    struct loads *loads;                 /* keys that it loads, or NULL */
    struct snapshot *snapshot;           /* that is being sent, or NULL */
    struct salt_peer *salt_peer;         /* of a helper of salted keys (server/salt_peer.h), or NULL */
    struct subscriptions *subscriptions; /* NULL: it never had any */
    size_t kept_bytes;                   /* what its texts take, and the list of what it loads */
    uint64_t told;                       /* of which slots it was told another node: bits of salt_spread_bit() */
    bool opened_with_info;               /* INFO was the first it asked for */

    /* shared: relaxed atomics */
    _Atomic uint32_t resp;
    _Atomic uint32_t multi_count, watch_count, output_chunks;
    _Atomic uint32_t subscribed[3]; /* how many channels, patterns and shard channels: by enum topic_kind */
    _Atomic uint64_t query_bytes, query_free, argument_bytes, output_bytes;
    _Atomic int fd;

    /* shared: written by the owner under its worker's registry lock, read by others under it */
    char *name, *lib_name, *lib_version; /* NULL or allocated */

    struct list link;         /* in its worker's clients; guarded by the worker's registry lock */
    uint64_t id;              /* never changes */
    char peer[64], local[64]; /* "127.0.0.1:6379", or "/path:0"; never change */
    int64_t created_ms;       /* never changes */
};

static inline uint32_t client_flags(const struct client *client)
{
    return atomic_load_explicit(&client->flags, memory_order_relaxed);
}
/* Owner only. */
static inline void client_set(struct client *client, uint32_t flags)
{
    atomic_store_explicit(&client->flags, client_flags(client) | flags, memory_order_relaxed);
}
static inline void client_clear(struct client *client, uint32_t flags)
{
    atomic_store_explicit(&client->flags, client_flags(client) & ~flags, memory_order_relaxed);
}

/* Sets one of the three texts (&client->name, ...); an empty text clears it. Owner only; takes the registry lock. */
void client_set_text(struct client *client, char **text, struct bytes value);

/* Speaks RESP `version` (2 or 3) from now on. */
void client_set_resp(struct client *client, int version);

/* Marks a client of any worker for closing: for visitors of worker_each_client(), which wakes the worker afterwards. The owner may kill
 * the client it is answering: the reply is still sent. */
void client_kill(struct client *client);

/* Lets the reply of what runs now wait, while the worker goes on with others. Owner only, from within a command. */
void client_hold_reply(struct client *client, int64_t ms);

/* Ends MULTI and WATCH, as DISCARD and RESET do. */
void client_discard_transaction(struct client *client);
/* Back to a fresh connection, as RESET does. */
void client_reset_session(struct client *client);
/* Starts to MONITOR / stops. */
void client_monitor(struct client *client, bool on);
