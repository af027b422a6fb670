/* cluster/owner.h
 *
 * The owner word of a slot: who serves it, in one atomic 64-bit number, so that redirect check and execution are one
 * step under the slot's lock.
 *
 *     bits 0-7    enum owner_state of the slot
 *     bits 8-15   flags: OWNER_MIGRATING, OWNER_IMPORTING
 *     bits 16-31  index of the owning node in the view (unless unowned)
 *     bits 32-47  index of the node it migrates to or is imported from
 *     bits 48-63  sequence: grows with each change
 *
 * An index names one node for the life of the process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum owner_state {
    OWNER_HERE = 0, /* 0, so that a keyspace without a cluster serves every slot */
    OWNER_ELSEWHERE,
    OWNER_NOBODY,
};
#define OWNER_MIGRATING 1u
#define OWNER_IMPORTING 2u

struct owner {
    enum owner_state state;
    uint8_t flags;
    uint16_t node;  /* index in the view */
    uint16_t other; /* migrating to / importing from */
    uint16_t sequence;
};

static inline uint64_t owner_pack(struct owner owner)
{
    return (uint64_t)owner.state | (uint64_t)owner.flags << 8 | (uint64_t)owner.node << 16 |
           (uint64_t)owner.other << 32 | (uint64_t)owner.sequence << 48;
}
static inline struct owner owner_unpack(uint64_t word)
{
    return (struct owner){ .state = (enum owner_state)(word & 0xff),
                           .flags = (uint8_t)(word >> 8),
                           .node = (uint16_t)(word >> 16),
                           .other = (uint16_t)(word >> 32),
                           .sequence = (uint16_t)(word >> 48) };
}
