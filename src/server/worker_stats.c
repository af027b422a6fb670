/* server/worker_stats.c: what a worker counts, written by itself alone and read by whoever asks for INFO. */
#include "base/alloc.h"
#include "server/worker_internal.h"

#include <stdio.h>
#include <string.h>

struct worker_counters *worker_counters(struct worker *worker)
{
    return &worker->counters;
}

void worker_cpu_us(const struct worker *worker, int64_t *user_us, int64_t *system_us)
{
    *user_us = atomic_load_explicit(&worker->cpu_user_us, memory_order_relaxed);
    *system_us = atomic_load_explicit(&worker->cpu_system_us, memory_order_relaxed);
}

static int latency_bucket(uint64_t ns)
{
    uint64_t us = ns / 1000;
    int bucket = us == 0 ? 0 : 64 - __builtin_clzll(us);

    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

void worker_count_command(struct worker *worker, size_t number, uint64_t ns, bool failed)
{
    struct command_counter *counter = &worker->commands[number];
    _Atomic uint64_t *latency = atomic_load_explicit(&counter->latency, memory_order_relaxed);

    count_up(&counter->calls, 1);
    count_up(&counter->ns, ns);
    if (failed) count_up(&counter->failed, 1);
    if (latency == NULL) {
        latency = alloc_zeroed(LATENCY_BUCKETS * sizeof(*latency));
        atomic_store_explicit(&counter->latency, latency, memory_order_release);
    }
    count_up(&latency[latency_bucket(ns)], 1);
}

void worker_add_command_stats(const struct worker *worker, size_t number, struct command_stats *into)
{
    struct command_counter *counter = &worker->commands[number];
    _Atomic uint64_t *latency = atomic_load_explicit(&counter->latency, memory_order_acquire);

    into->calls += atomic_load_explicit(&counter->calls, memory_order_relaxed);
    into->us += atomic_load_explicit(&counter->ns, memory_order_relaxed) / 1000;
    into->rejected += atomic_load_explicit(&counter->rejected, memory_order_relaxed);
    into->failed += atomic_load_explicit(&counter->failed, memory_order_relaxed);
    if (latency == NULL) return;
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        into->latency[i] += atomic_load_explicit(&latency[i], memory_order_relaxed);
}

void worker_count_error(struct worker *worker, const char *code)
{
    int count = worker->error_codes; /* written by this thread alone */

    for (int i = 0; i < count; i++)
        if (strcmp(worker->errors[i].code, code) == 0) {
            count_up(&worker->errors[i].count, 1);
            return;
        }
    if (count == ERROR_CODES_MAX) return;
    lock_take(&worker->registry_lock);
    snprintf(worker->errors[count].code, sizeof(worker->errors[count].code), "%s", code);
    atomic_store_explicit(&worker->errors[count].count, 1, memory_order_relaxed);
    worker->error_codes = count + 1;
    lock_release(&worker->registry_lock);
}

void worker_each_error(struct worker *worker, void (*visit)(void *context, const char *code, uint64_t count),
                       void *context)
{
    lock_take(&worker->registry_lock);
    for (int i = 0; i < worker->error_codes; i++) {
        uint64_t count = atomic_load_explicit(&worker->errors[i].count, memory_order_relaxed);

        if (count > 0) visit(context, worker->errors[i].code, count);
    }
    lock_release(&worker->registry_lock);
}

/* A count the owner adds to in the same moment may survive; the next reset takes it. */
void worker_reset_stats(struct worker *worker)
{
    struct worker_counters *counters = &worker->counters;
    _Atomic uint64_t *all[] = { &counters->commands,       &counters->net_input_bytes, &counters->net_output_bytes,
                                &counters->hits,           &counters->misses,          &counters->expired,
                                &counters->errors,         &counters->reads,           &counters->writes,
                                &counters->built,          &counters->built_locked,    &counters->salt_served,
                                &counters->salt_sent_home, &counters->hot_reads,       &counters->spread_told,
                                &counters->spread_reads };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) atomic_store_explicit(all[i], 0, memory_order_relaxed);
    for (size_t i = 0; i < command_number_max(worker->node->commands); i++) {
        struct command_counter *counter = &worker->commands[i];
        _Atomic uint64_t *latency = atomic_load_explicit(&counter->latency, memory_order_acquire);

        atomic_store_explicit(&counter->calls, 0, memory_order_relaxed);
        atomic_store_explicit(&counter->ns, 0, memory_order_relaxed);
        atomic_store_explicit(&counter->rejected, 0, memory_order_relaxed);
        atomic_store_explicit(&counter->failed, 0, memory_order_relaxed);
        for (int b = 0; latency != NULL && b < LATENCY_BUCKETS; b++)
            atomic_store_explicit(&latency[b], 0, memory_order_relaxed);
    }
    lock_take(&worker->registry_lock);
    for (int i = 0; i < worker->error_codes; i++)
        atomic_store_explicit(&worker->errors[i].count, 0, memory_order_relaxed);
    lock_release(&worker->registry_lock);
}
