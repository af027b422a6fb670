/* server/cost.h
 *
 * What a command that has run has cost its keys, told to those who look for hot ones (cache/hotkeys.h). On the client's worker, when
 * the slots' locks are given back: the time a command took is known then, and looking takes nothing of the time others wait for a lock. */
#pragma once

#include "cache/hot_session.h"
#include "server/dispatch.h"

/* How much has been replied so far: the difference of two is a command's. */
static inline uint64_t cost_replied(const struct reply *reply)
{
    return reply->out->len + (reply->pieces != NULL ? reply->pieces->bytes : 0);
}

/* Of a command with the one key that was looked ahead at. */
void cost_note_key(struct call *call, const struct prepared *prepared, uint64_t replied_bytes, uint64_t ns);

/* The keys of a command as they were found when its slots were, so that they need not be looked for again: so many at most. */
#define COST_KEYS_MAX 64
struct cost_keys {
    uint32_t count;  /* of all */
    uint32_t hashed; /* of how many the slot_hash() is known */
    int args[COST_KEYS_MAX];
    uint16_t slots[COST_KEYS_MAX];
    uint64_t hashes[COST_KEYS_MAX];
};

static inline void cost_keys_add(struct cost_keys *keys, int arg, uint16_t slot)
{
    if (keys->count < COST_KEYS_MAX) {
        keys->args[keys->count] = arg;
        keys->slots[keys->count] = slot;
    }
    keys->count++;
}

/* Of any other command; its keys are looked for where they are not given. None is all right. */
void cost_note_keys(struct call *call, const struct cost_keys *keys, uint64_t replied_bytes, uint64_t ns);

/* Ten times a second, on the main thread: decides what is hot no more. */
void cost_tick(struct node *node);

/* What the process has used of CPU time. */
struct hot_session_cpu cost_cpu(void);

/* The configuration has changed. */
void cost_configure(const struct node *node);
