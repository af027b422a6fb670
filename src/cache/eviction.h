/* cache/eviction.h
 *
 * Makes room when the data takes more than it may: which entries go is the art of a cache.
 *
 * The default order is S3S, a sampled relative of S3-FIFO (Yang et al., SOSP 2023) that needs no lists and no order of all
 * entries, only the sixteen bits beside each pointer (store/usage.h):
 *
 *     new entry --> probation --- asked for again in time ---> main
 *                      |                                        |
 *                      +--> evicted first      evicted by idle time / hits, weighed by size
 *                               |                               |
 *                               +-----> ghost table <-----------+  (of main only what was hit)
 *                                            |
 *                   asked for again soon: comes back straight into main
 *
 * So what is asked for once passes through without pushing out what is in use. The slots are divided into 1 to 16
 * *partitions*, each with a cursor that goes round its slots: an eviction looks at the next few entries there, keeps the
 * worst it has seen in a small pool, and takes the worst of those if nobody used it meanwhile. The clock by which age is
 * told (a *tick* is a thirty-second of a turnover of the cache) is driven by insertions.
 *
 * The other policies use the same walk with another order: allkeys-lru by idle time, allkeys-lfu by a logarithmic count
 * of uses, volatile-ttl by deadline, random by lot; volatile-* looks at nothing that has no deadline. What the walk comes
 * by that has expired goes at once, whatever the order.
 *
 * Locks: partition, then slot; never two slots, and the caller holds none. */
#pragma once

#include "store/keyspace.h"

enum eviction_order { EVICTION_NEVER, EVICTION_S3S, EVICTION_LRU, EVICTION_LFU, EVICTION_RANDOM, EVICTION_TTL };

struct eviction_options {
    int64_t limit_bytes; /* 0: none */
    enum eviction_order order;
    bool volatile_only;     /* entries without a deadline stay */
    unsigned samples;       /* entries looked at for each one evicted */
    unsigned size_quarters; /* S3S: size counts to the power of so many quarters, 0 to 4 */
    int64_t slice_us;       /* how long one command may be kept evicting; -1: until there is room */
    unsigned threads;       /* that write */
    uint32_t lfu_log_factor, lfu_decay_minutes;
};

struct eviction;

struct eviction *eviction_new(struct keyspace *keyspace);
/* Before the keyspace, and when no thread uses it. */
void eviction_free(struct eviction **eviction);

/* Any thread. */
void eviction_configure(struct eviction *eviction, const struct eviction_options *options);

/* Does the data take more than it may? Cheap enough to ask before every command. */
bool eviction_is_due(const struct eviction *eviction);

/* Evicts until there is room. Goes on at least until it has freed twice what the caller is about to bring, so that memory
 * never grows; stops after a slice of time where more is to be done than that. False: there is no room, and nothing that may go or
 * nothing within what one command may look at; the next goes on from there. */
bool eviction_make_room(struct eviction *eviction, size_t incoming_bytes, int64_t now_ms);

/* Before a large entry is kept: evicts until it fits too, so that memory does not grow beyond the limit by it first.
 * As far as that goes: whether the command is refused is for eviction_make_room() to say. For what could not fit at all nothing goes. */
void eviction_make_way(struct eviction *eviction, size_t incoming_bytes, int64_t now_ms);
/* Would anything go for it? */
bool eviction_lacks_way(const struct eviction *eviction, size_t incoming_bytes);

/* Each thread that changes the store, some ten times a second: settles its account. Moves on the clock of LFU. */
void eviction_tick(struct eviction *eviction, int64_t now_ms);

/* What the ghost table takes: part of what is limited, beside what the slots count. */
size_t eviction_own_bytes(const struct eviction *eviction);

/* What can be told of an entry from its bits. Seconds since its last use, coarsely: to a thirty-second of a turnover, and as if the hits
 * that left no trace had not been. 0 where no use is remembered. */
int64_t eviction_idle_s(const struct eviction *eviction, uint16_t usage, int64_t now_ms);
/* The count of LFU. */
unsigned eviction_frequency(const struct eviction *eviction, uint16_t usage);

/* The other way round, for an entry that comes with a past: its bits, as if it had last been used so many seconds ago, or with LFU so often.
 * As far back as is remembered; where the policy remembers nothing of the kind, the bits stay. */
uint16_t eviction_usage_idle(const struct eviction *eviction, uint16_t usage, int64_t idle_s, int64_t now_ms);
uint16_t eviction_usage_frequent(const struct eviction *eviction, uint16_t usage, unsigned frequency);
