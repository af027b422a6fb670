/* store/deadlines.h: what the slots of a keyspace tell the expiry cycle (cache/expiry.h), and it them. */
#pragma once

#include "base/histogram.h"
#include "base/keyslot.h"
#include "store/deadline_hints.h"

#include <stdatomic.h>

/* All zero is ready, but for the time, which keyspace_new() sets. */
struct deadlines {
    _Atomic int64_t now_ms;             /* about: the cycle writes it; tells slots which deadlines are far */
    _Atomic uint32_t hints[SLOT_COUNT]; /* of each slot; written under its lock, read without */
    struct histogram lag_ms;            /* from an entry's deadline to when its memory is given back */
};

static inline uint32_t deadlines_hint(const struct deadlines *deadlines, uint16_t slot)
{
    return atomic_load_explicit(&deadlines->hints[slot], memory_order_relaxed);
}
