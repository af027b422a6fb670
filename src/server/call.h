/* server/call.h
 *
 * One command while it runs: its arguments, its reply, the slots locked for it, and what time it is. This is all a command handler
 * knows of the server. Handlers run on the client's worker with the slots of their keys locked, so they must not wait, log at notice or
 * write sockets. */
#pragma once

#include "proto/reply.h"
#include "server/command.h"
#include "server/events.h"
#include "store/keyspace.h"

#include <stddef.h>
#include <string.h>

struct batch_part;
struct builds;
struct client;
struct hold;
struct node;
struct slot_set;
struct worker;

struct call {
    /* The same for all that a part of a batch has of a client. */
    struct node *node;
    struct worker *worker;
    struct client *client;
    struct reply *reply;
    const struct batch_part *part; /* of what its client has sent: it stands there at `used`, and takes request_bytes */

    /* From here on a command's own: call_renew(). */
    const struct command *command;
    const struct bytes *argv;
    int argc;
    int key_arg;       /* of the only key, where it has just one that was looked ahead at; else 0 */
    uint64_t key_hash; /* slot_hash() of that argument */
    int64_t now_ms;
    size_t request_bytes;
    struct entry **incoming;     /* of the value argument, where it is a big one: call_store(). NULL in it: none */
    struct slot *slot;           /* the locked slot when all keys are in one; else NULL */
    const struct slot_set *held; /* the slots that are locked for this call; NULL: none, or `slot` alone */
    const struct command
        *previous;         /* what the client ran before, where this one has no slot looked ahead at; else NULL */
    void *kept;            /* by run() for the command's finish() */
    struct builds *builds; /* what run() asked for (server/build.h); NULL: nothing */
    struct hold *parked;   /* by finish(): another thread will answer (server/hold.h), and then it is over */
    bool in_exec;
    bool made_incoming; /* of the argument, rather than read into place */
    bool waits;         /* for a key in flight: it has done nothing, and is to run again */
    bool is_parked;     /* for a key to be filled; waits is set, too */
    bool no_touch;      /* CLIENT NO-TOUCH: reads leave recency alone */
    bool publishes;     /* its key may be hot: what it finds is to be offered, call_publish() */
    bool is_push;       /* what it replied is sent whatever CLIENT REPLY says */
};

/* Forgets all that the command before has left, for another one of the same client. A few bytes are cleared by a few stores; for the whole struct at once the
 * compiler takes an instruction that takes longer to begin than a key takes to be looked up. */
static inline void call_renew(struct call *call)
{
    char *first = (char *)call + offsetof(struct call, command), *end = (char *)call + sizeof(*call);
    size_t half = (size_t)(end - first) / 2;

    memset(first, 0, half);
    memset(first + half, 0, (size_t)(end - first) - half);
}

static inline struct bytes call_arg(const struct call *call, int arg)
{
    return call->argv[arg];
}

/* A yes-no: is argument `arg` this word, in any case? */
bool call_arg_is(const struct call *call, int arg, const char *word);

/* An int64 argument; on failure has already replied "ERR value is not an integer or out of range". */
bool call_arg_i64(struct call *call, int arg, int64_t *out);
/* The same within a range; outside it has replied ERROR_NOT_INTEGER too. */
bool call_arg_i64_in(struct call *call, int arg, int64_t min, int64_t max, int64_t *out);

/* The locked slot of the key at an argument. */
struct slot *call_slot(struct call *call, int arg);
struct slot *call_slot_of_key(struct call *call, struct bytes key);

/* The live entry of the key at an argument, or NULL. _read and _look count a hit or a miss; _write does not. Eviction takes
 * note of a _read; of a change it takes note where the change is made; whoever only has a look leaves no trace. Of a miss that counts
 * there is an event. */
struct entry *call_find_read(struct call *call, int arg);
struct entry *call_find_look(struct call *call, int arg);
struct entry *call_find_write(struct call *call, int arg);

/* Replies a value, or a part of one, as a bulk. That of a big entry is not copied: the reply holds the entry until it was written. */
void call_reply_value(struct call *call, const struct entry *entry, struct bytes part);

/* Where call->publishes: this value of the first key may be given to others without the slot's lock, until then (ENTRY_KEEPS_FOREVER: for ever) and
 * while policies_changes() is what it was before that was found out. */
void call_publish(struct call *call, struct bytes value, int64_t until_ms, uint64_t policies_changes);

/* Says what has happened to the key at an argument, where notify-keyspace-events asks for it (server/events.h). */
static inline void call_event(const struct call *call, enum event_class class, const char *event, int arg)
{
    keyspace_event(call->node, class, event, call->argv[arg]);
}
/* Before a key is given a value: is there none? False, too, where nobody asks for what would have to be said: that one expired, or that one is
 * new, which is to be said behind it. */
bool call_makes_new(struct call *call, int arg);
static inline void call_event_new(const struct call *call, bool is_new, int arg)
{
    if (__builtin_expect(is_new, 0)) call_event(call, EVENT_NEW, "new", arg);
}

/* Gives the first key the value at an argument and this deadline, whatever it was before. A big value is an entry already, and is not
 * copied. That the key is new is said; what has set it, by the caller. */
void call_store(struct call *call, int value_arg, int64_t expires_at_ms);

/* The same with attributes (store/entry.h). */
void call_store_attributed(struct call *call, int value_arg, int64_t expires_at_ms,
                           const struct entry_attributes *attributes);

/* The slot_hash() of the key at an argument. */
uint64_t call_hash(const struct call *call, int arg);

/* A key in flight is in the way, though it is none of the command's: it has done nothing yet, and is run again. Not within EXEC. */
void call_wait_for_keys(struct call *call);

/* For commands without keys that visit slots one at a time (KEYS, SCAN, DBSIZE, FLUSHALL): takes and gives back the lock, unless EXEC
 * already holds all of them. */
struct slot *call_slot_enter(struct call *call, uint16_t id);
void call_slot_leave(struct call *call, struct slot *slot);

/* Replies that the subcommand or its number of arguments is wrong:
 * "ERR unknown subcommand or wrong number of arguments for 'X'. Try OBJECT HELP." */
void call_reply_subcommand_error(struct call *call);

/* Replies a HELP text: "CONTAINER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", the lines (NULL-terminated), then HELP's own two. */
void call_reply_help(struct call *call, const char *const *lines);
