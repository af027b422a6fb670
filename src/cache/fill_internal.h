/* cache/fill_internal.h: what the files about fills share. */
#pragma once

#include "base/list.h"
#include "base/lock.h"
#include "cache/fill.h"

#define FILL_STRIPES 64u
#define FILL_LEASE_BUCKETS 64u

struct fills {
    struct keyspace *keyspace;
    uint64_t seed;          /* of gens */
    _Atomic uint64_t drawn; /* how many of them there were */
    _Atomic int64_t floor_ttl_ms;
    _Atomic uint64_t floor_bytes, floor_bytes_max;
    _Atomic uint64_t lease_bytes, lease_bytes_max;
    struct {
        struct lock lock; /* for all of these; taken under a slot's lock, and nothing is taken under it */
        uint64_t *ids;
        size_t count, cap;
        _Atomic bool any; /* read without */
    } woken;
    _Atomic int64_t came_ms[SLOT_COUNT]; /* when the slot came from another node; 0: it did not */
    /* Written once, under the slot's lock; read without by who counts. */
    _Atomic(struct slot_fills *) slots[SLOT_COUNT];
};

struct fill_stripe {
    uint64_t n;
    int64_t hold_until_ms;
};

struct fill_waiter {
    struct fill_waiter *next;
    uint64_t who;
    int64_t lease_ms;
};

/* Misses of about one time that no SET has answered. They are told apart by when they were, so that one which nobody will ever answer does not
 * stand for those that come after it. */
struct fill_misses {
    uint32_t count;
    uint64_t n; /* of the slot, at the first */
    int64_t first_ms, last_ms;
};

struct fill_lease {
    struct fill_lease *next; /* in its bucket */
    struct list used;        /* the least recently used first */
    uint64_t hash;
    uint64_t holder, n; /* who loads, and his token's n */
    int64_t until_ms;   /* 0: nobody does */
    bool is_handed;     /* to a waiter who has yet to come for it */
    struct fill_waiter *first, **last;
    struct fill_misses older, newer; /* of a guarded key */
};

struct fill_floor_cell {
    uint64_t hash;
    uint64_t version; /* ENTRY_VERSIONED is set; the cell is free where it is 0 */
    int64_t until;    /* in ms; the lowest bit says that it is strict */
};

struct slot_fills {
    struct slot_feed feed;
    struct fills *fills;
    struct slot *slot;
    uint64_t owner; /* word that gen was drawn under */
    uint64_t gen, n, floor_n;
    int64_t hold_until_ms;        /* of the whole slot */
    int64_t misses_lost_until_ms; /* there may have been misses of guarded keys that are not known here */
    bool is_quiet;
    uint32_t walks;
    bool has_versions;           /* has had; what a flush takes then leaves no floors */
    struct fill_stripe *stripes; /* NULL before the first token or hold */
    struct fill_lease **buckets; /* NULL before the first lease */
    struct list used;
    uint32_t lease_count;
    struct fill_floor_cell *floors; /* open addressing, a power of two of cells, or NULL */
    uint32_t floor_cells, floor_count;
    _Atomic uint64_t counters[FILL_COUNTERS]; /* written under the lock */
};

static inline struct fill_stripe *fill_stripe_of(const struct slot_fills *of, uint64_t hash)
{
    return of->stripes == NULL ? NULL : &of->stripes[hash >> 58];
}
void fill_make_stripes(struct slot_fills *of);
void fill_wake(struct slot_fills *of, uint64_t who);

/* When the slot came from another node; 0: it did not. */
int64_t fill_came_ms(const struct slot_fills *of);

/* cache/fill_lease.c */
void fill_lease_filled(struct slot_fills *of, uint64_t hash);
void fill_lease_voided(struct slot_fills *of, uint64_t hash, int64_t now_ms);
/* All leases end, and all who wait look again. Misses stay: what was lost of a guarded key nobody could refuse. */
void fill_leases_end_all(struct slot_fills *of);
void fill_leases_free(struct slot_fills *of);

/* cache/fill_floor.c */
void fill_floors_free(struct slot_fills *of);
