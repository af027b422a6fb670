/* store/backstop.h
 *
 * How long a key may live is not for the store to know, but that nobody gets past it is: every value and every deadline comes to a key
 * through slot_put(), slot_store() or slot_set_expiry(), and each asks here what it is to be. So a command, also one that is yet to be
 * written, cannot forget. cache/backstop.h answers. */
#pragma once

#include "base/bytes.h"

#include <stdatomic.h>

enum backstop_cause {
    BACKSTOP_BORN, /* a value comes into being, in place of any other of its key */
    BACKSTOP_AGED, /* one that has lived: changed, under another key, from another node, or found where it is */
    BACKSTOP_SET,  /* a value that is there is given another deadline */
};

struct backstop_life {
    int64_t expires_at_ms; /* ENTRY_KEEPS_FOREVER: never */
    uint32_t birth_s;      /* unix seconds on the internal clock; 0: it is not known */
    int64_t now_ms;        /* where whoever asks knows it; 0: nobody does */
    uint64_t hash;         /* slot_hash() of the key, likewise */
};

/* Set before the first key comes; `on` at any time. */
struct backstop {
    _Atomic bool on; /* false: any life is allowed, and nobody is asked */
    /* Changes a life that is wanted to what it may be. former_ms is the deadline of the key's value before, if it had one; that a
     * value is born without a deadline of its own is reason enough to leave it out. Under the slot's lock. */
    void (*limit)(void *context, enum backstop_cause cause, struct bytes key, int64_t former_ms,
                  struct backstop_life *life);
    void *context;
};
