/* server/cost.h
 *
 * What a command that has run has cost its keys, told to those who look for hot ones (cache/hotkeys.h). On the client's worker, when
 * the slots' locks are given back: the time a command took is known then, and looking takes nothing of the time others wait for a lock. */
#pragma once

#include "cache/hot_session.h"
#include "cache/hotkeys_line.h"
#include "server/dispatch.h"
#include "server/node.h"

/* How much has been replied so far: the difference of two is a command's. */
static inline uint64_t cost_replied(const struct reply *reply)
{
    return reply->out->len + (reply->pieces != NULL ? reply->pieces->bytes : 0);
}

/* cost_note_key()'s own: what a command costs that is not small, and one whose key may be hot, or while there is a session. */
uint32_t cost_of_key(const struct call *call, const struct prepared *prepared, uint64_t replied_bytes, uint64_t ns);
void cost_note_loudly(struct call *call, const struct prepared *prepared, uint64_t replied_bytes, uint64_t ns,
                      uint32_t cost);

/* Does it cost no more than the command itself? What was read for it is more than its arguments, but for a value that was read to its place. */
static inline bool cost_is_small(const struct call *call, uint64_t replied_bytes, uint64_t ns)
{
    uint64_t bytes = call->request_bytes + replied_bytes, value_bytes = call->argv[call->command->value_arg].len;

    return (bytes | value_bytes) < HOTKEYS_FREE_BYTES && ns < 2 * HOTKEYS_FREE_NS;
}

/* Of a command with the one key that was looked ahead at. */
static inline void cost_note_key(struct call *call, const struct prepared *prepared, uint64_t replied_bytes,
                                 uint64_t ns)
{
    const struct node *node = call->node;
    bool in_session = __builtin_expect(hot_session_is_on(node->hot_session), 0);
    uint32_t cost = HOTKEYS_UNIT;

    if (!hotkeys_are_watched(node->hotkeys) && !in_session) return;
    if (__builtin_expect(!cost_is_small(call, replied_bytes, ns), 0))
        cost = cost_of_key(call, prepared, replied_bytes, ns);
    if (in_session ||
        !hotkeys_count_quietly(node->hotkeys, slot_id(prepared->slot), prepared->hash, cost, call->now_ms))
        cost_note_loudly(call, prepared, replied_bytes, ns, cost);
}

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
