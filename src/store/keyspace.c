/* store/keyspace.c */
#include "store/keyspace.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/huge_pages.h"
#include "store/slot_internal.h"

#include <assert.h>

struct keyspace {
    struct slot slots
        [SLOT_COUNT]; /* and nothing else: with a byte more it would take the allocator's next size, half a MiB more */
};

static struct slot_shared *shared_of(const struct keyspace *keyspace)
{
    return keyspace->slots[0].shared;
}

struct keyspace *keyspace_new(void)
{
    struct keyspace *keyspace = huge_pages_alloc(sizeof *keyspace);
    struct slot_shared *shared = slot_shared_new();

    for (uint16_t id = 0; id < SLOT_COUNT; id++) slot_init(&keyspace->slots[id], id, shared);
    /* Until the expiry cycle first runs: what is far is told by it. */
    atomic_store_explicit(&shared->deadlines.now_ms, clock_now_ms(), memory_order_relaxed);
    return keyspace;
}

void keyspace_free(struct keyspace **keyspace)
{
    struct slot_shared *shared;

    if (*keyspace == NULL) return;
    for (size_t id = 0; id < SLOT_COUNT; id++) table_clear(&(*keyspace)->slots[id].table);
    shared = shared_of(*keyspace);
    slot_shared_free(&shared);
    alloc_free(*keyspace);
    *keyspace = NULL;
}

struct slot *keyspace_slot(struct keyspace *keyspace, uint16_t id)
{
    assert(id < SLOT_COUNT);
    return &keyspace->slots[id];
}

void keyspace_watch(struct keyspace *keyspace, const struct keyspace_watch *watch)
{
    shared_of(keyspace)->watch = watch;
}

struct deadlines *keyspace_deadlines(struct keyspace *keyspace)
{
    return &shared_of(keyspace)->deadlines;
}

struct slot_counts keyspace_counts(const struct keyspace *keyspace)
{
    struct slot_counts sum = { 0 };

    for (size_t id = 0; id < SLOT_COUNT; id++) {
        struct slot_counts counts = slot_counts(&keyspace->slots[id]);

        sum.keys += counts.keys;
        sum.expiring += counts.expiring;
        sum.bytes += counts.bytes;
        sum.table_bytes += counts.table_bytes;
        sum.expired += counts.expired;
        sum.evicted += counts.evicted;
        sum.hits += counts.hits;
        sum.misses += counts.misses;
    }
    return sum;
}

struct account *keyspace_account(struct keyspace *keyspace)
{
    return &shared_of(keyspace)->account;
}

struct usage *keyspace_usage(struct keyspace *keyspace)
{
    return &shared_of(keyspace)->usage;
}

struct backstop *keyspace_backstop(struct keyspace *keyspace)
{
    return &shared_of(keyspace)->backstop;
}

unsigned keyspace_next_occupied(const struct keyspace *keyspace, unsigned from, unsigned end)
{
    const struct slot_shared *shared = shared_of(keyspace);

    while (from < end) {
        uint64_t bits = atomic_load_explicit(&shared->occupied[from / 64], memory_order_relaxed) >> from % 64;

        if (bits != 0) {
            from += (unsigned)__builtin_ctzll(bits);
            return from < end ? from : end;
        }
        from = (from / 64 + 1) * 64;
    }
    return end;
}
