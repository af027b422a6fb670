/* server/open_slots.h
 *
 * The thread that ends moves of slots which nobody goes on with: what is to be done is decided in cluster/open.h, and this does it, as redis-cli would have
 * done it. It begins cluster-slot-move-timeout after the last work on a slot, and stops where somebody works on it.
 *
 *     each second     open slots and strays (bus lock)  -->  the other end is asked  -->  open_next()
 *     a step          keys, as MIGRATE sends them; SETSLOT at the other end, as a client of it; SETSLOT here
 *
 * One slot after the other; a step that fails is tried again some seconds later, for as long as the slot stands open. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct node;
struct open_slots;

/* With the bus there, and before anybody may ask for the counts. */
struct open_slots *open_slots_new(struct node *node);
/* Starts the thread, with the workers there. False, with errno set, where the system gives none: it goes without. */
bool open_slots_start(struct open_slots *slots);
/* Ends what it does, which takes a moment; keys whose reply has not come stay here. Before the workers and the bus go. */
void open_slots_stop(struct open_slots *slots);
/* When nobody asks any more. NULL in *slots is all right. */
void open_slots_free(struct open_slots **slots);

/* Ever; any thread. */
struct open_slots_counts {
    uint64_t finished, closed; /* moves that came to their end; that were given up */
    uint64_t keys_sent, keys_returned, keys_dropped;
    uint64_t failures; /* steps that are tried again */
};
struct open_slots_counts open_slots_counts(const struct open_slots *slots);
