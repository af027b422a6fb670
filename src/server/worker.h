/* server/worker.h
 *
 * One thread: its loop, its clients, its counters. Others read its counters (relaxed atomics) and walk its clients under its registry
 * lock; everything else is the worker's own. */
#pragma once

#include "server/client.h"
#include "server/node.h"

#define LATENCY_BUCKETS 32 /* bucket b: calls that took below 2^b us and not below 2^(b-1); bucket 0: below 1 us */

struct worker_counters {
    _Atomic uint64_t commands, net_input_bytes, net_output_bytes, hits, misses, expired, errors, reads, writes;
    _Atomic uint64_t hot_reads;                   /* of the hits, those without the slot's lock (cache/hot_reads.h) */
    _Atomic uint64_t salt_served, salt_sent_home; /* commands on names: run here as the base's, sent to its home */
    _Atomic uint64_t spread_told,
        spread_reads; /* of salted keys: who was led to a copy, what was read there (server/salt_spread.h) */
    _Atomic uint64_t expired_backlog;     /* as of the last tick */
    _Atomic uint64_t built, built_locked; /* big values: without their slots' locks, and with them (server/build.h) */
};

struct worker; /* fields in server/worker_internal.h */

struct worker *worker_new(struct node *node, int index);
void worker_start(struct worker *worker);
/* Asks it to end and waits until its thread has. */
void worker_stop(struct worker *worker);
void worker_free(struct worker **worker);
/* How many connections it has or is about to get. */
int worker_client_count(const struct worker *worker);
struct worker_counters *worker_counters(struct worker *worker);
/* CPU time of the thread. */
void worker_cpu_us(const struct worker *worker, int64_t *user_us, int64_t *system_us);

/* Per command number (command_number()): what commandstats and latencystats are summed from. */
struct command_stats {
    uint64_t calls, us, rejected, failed;
    uint64_t latency[LATENCY_BUCKETS];
};
/* Adds this worker's numbers to *into. */
void worker_add_command_stats(const struct worker *worker, size_t number, struct command_stats *into);
/* Error code counts: visits (code, count) of this worker. */
void worker_each_error(struct worker *worker, void (*visit)(void *context, const char *code, uint64_t count),
                       void *context);
void worker_reset_stats(struct worker *worker);

/* Visits the clients of a worker under its registry lock: the visitor must be short and must not reply to sockets; it may call client_kill(). */
void worker_each_client(struct worker *worker, void (*visit)(void *context, struct client *client), void *context);

/* Takes a connected socket over: any thread. Returns false where the mailbox is closed (the caller then closes the socket). */
bool worker_adopt(struct worker *worker, int fd, const char *peer, const char *local, bool is_unix);
/* Wakes paused clients, reapplies options; any thread. */
void worker_poke(struct worker *worker);
/* Keys that were on their way to another node are here or there now: wakes who waits for one; any thread. */
void worker_keys_released(struct worker *worker);
/* Sends text to all of this worker's MONITOR clients: any thread; copies. */
void worker_monitor_line(struct worker *worker, struct bytes line);
