/* server/park.h
 *
 * Clients that wait for a key to be filled (cache/fill.h). The command has done nothing and replied nothing; it is run again, from the request that
 * was kept, when there is something to answer:
 *
 *     run()     call_park()                 the client goes into its worker's table, under an opaque number, and is read from but not answered
 *     anybody   fill_wake(): the number     under the slot's lock, into an outbox
 *               park_deliver()              no lock held: the outbox goes to the workers whose clients they are
 *     worker    the number is a client that still waits: its command is run again
 *
 * The same happens when its time is over, on CLIENT UNBLOCK, when its slot is another's by now (the command is then answered MOVED, as ever) and, where
 * the command says so, when the client sends something more. Only the client's own worker ends a wait, so it ends once.
 *
 * Of a connection that many share, several may ask for the same at once: the same bytes again. What only *repeats* the command that waits is nothing more: it would
 * have the same answer, so it has none to wait for before. It has had its wait when that one is over. */
#pragma once

#include "base/bytes.h"

struct call;
struct client;
struct node;
struct slot;
struct worker;

/* By what number the fills know the client; never another's. */
uint64_t client_filler(const struct client *client);

/* --- For handlers, with the slot locked --- */

/* For how long may the command still wait, of so many ms that it was given? 0 within EXEC, and when the wait was ended. */
int64_t call_may_wait_ms(const struct call *call, int64_t wait_ms);
/* Is this the same command once more? */
bool call_is_again(const struct call *call);
/* Has its client sent nothing behind it, or nothing that does not repeat it? */
bool call_is_last(const struct call *call);
/* Lets it wait so long at most; look_ms, where it is not 0, is when there will be something to see earlier. The handler has said
 * fill_wait() and returns without a reply. */
struct park_options {
    struct slot *slot;
    uint64_t hash;
    int64_t wait_ms; /* what it was given */
    int64_t look_at_ms;
    bool ends_on_input; /* what the client sends ends the wait, where it does more than repeat the command */
};
void call_park(struct call *call, const struct park_options *options);
/* The command no longer waits in the slot's fills: it was run again, and is going to be answered, or to wait anew. */
void call_unwait(struct call *call, struct slot *slot);

/* The client loads this key until then: when it goes, the next one is to be elected. */
void client_loads(struct client *client, struct slot *slot, uint64_t hash, int64_t until_ms);

/* It has filled it, or tried to. */
void client_loads_no_more(struct client *client, const struct slot *slot, uint64_t hash);
/* Does it load anything? */
bool client_is_loading(const struct client *client, int64_t now_ms);

/* --- For the worker --- */

struct parks;

struct parks *parks_new(void);
void parks_free(struct parks **parks);

/* Its command has been answered, or one that repeats it. Takes a slot's lock where it still waits there. */
void park_answered(struct client *client);
/* Gives up what it loads; it is being closed. */
void park_close(struct client *client);
/* Once a tick: ends the wait of one that was unblocked or whose slot has another owner. May close it. */
void park_look_after(struct client *client);
/* It has sent something while it waits; query: all from the command on. True where that ends the wait: it goes on, and may be closed. */
bool park_note_input(struct client *client, struct bytes query);
/* To be answered at once, where the wait was ended with an error: true, and has replied. */
bool park_refuses(struct call *call);

/* Sends to the workers whose wait is over; any thread, no lock held. */
void park_deliver(struct node *node);

/* CLIENT UNBLOCK, for visitors of worker_each_client(): false where it does not wait. */
bool client_end_wait(struct client *client, bool with_error);
