/* commands/scan_cursor.h
 *
 * SCAN's cursor as one number: which slot, and how far into it.
 *
 *     | position within the slot, its 32 bits turned round | slot 14 |
 *
 * A slot's position is the upper half of a hash, and a small table stops only where few of the highest bits are set. Turned round
 * these become the lowest, so that cursors are small numbers as long as slots are small: clients that read them as a C int work with
 * slots of a few thousand keys. 0 is the start, and the end. */
#pragma once

#include "base/keyslot.h"

#include <stdbool.h>
#include <stdint.h>

#define SCAN_CURSOR_SLOT_BITS 14

struct scan_cursor {
    uint16_t slot;
    uint32_t position; /* slot_scan()'s */
};

static inline uint32_t scan_cursor_reversed(uint32_t bits)
{
    bits = (bits >> 1 & 0x55555555u) | (bits & 0x55555555u) << 1;
    bits = (bits >> 2 & 0x33333333u) | (bits & 0x33333333u) << 2;
    bits = (bits >> 4 & 0x0f0f0f0fu) | (bits & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(bits);
}

static inline uint64_t scan_cursor_number(struct scan_cursor cursor)
{
    return (uint64_t)scan_cursor_reversed(cursor.position) << SCAN_CURSOR_SLOT_BITS | cursor.slot;
}

/* False for a number no scan has ever given. Any other, made up or not, is a place to go on from. */
static inline bool scan_cursor_from(uint64_t number, struct scan_cursor *cursor)
{
    if (number >> SCAN_CURSOR_SLOT_BITS > UINT32_MAX) return false;
    cursor->slot = (uint16_t)(number & (SLOT_COUNT - 1));
    cursor->position = scan_cursor_reversed((uint32_t)(number >> SCAN_CURSOR_SLOT_BITS));
    return true;
}
