/* server/cost.h
 *
 * What a command that has run has cost its keys, told to those who look for hot ones (cache/hotkeys.h). On the client's worker, when
 * the slots' locks are given back: the time a command took is known then, and looking takes nothing of the time others wait for a lock. */
#pragma once

#include "server/dispatch.h"

/* How much has been replied so far: the difference of two is a command's. */
static inline uint64_t cost_replied(const struct reply *reply)
{
    return reply->out->len + (reply->pieces != NULL ? reply->pieces->bytes : 0);
}

/* Of a command with the one key that was looked ahead at. */
void cost_note_key(struct call *call, const struct prepared *prepared, uint64_t replied_bytes, uint64_t ns);

/* Of any other, whose keys are looked for; none is all right. */
void cost_note_keys(struct call *call, uint64_t replied_bytes, uint64_t ns);

/* Ten times a second, on the main thread: decides what is hot no more. */
void cost_tick(struct node *node);

/* The configuration has changed. */
void cost_configure(const struct node *node);
