/* server/run.h
 *
 * A command that may run here: the handler, and what is to be noted of each that has run. */
#pragma once

#include "base/clock.h"
#include "server/latency.h"
#include "server/monitor.h"
#include "server/slowlog.h"
#include "server/worker_internal.h"

/* NULL: the command is not for the slow log. */
struct slow_entry *run_slow_entry(const struct call *call, const struct command *command, int argc,
                                  const struct bytes *argv);
void run_log_slow(struct call *call, const struct command *command, int argc, const struct bytes *argv, uint64_t ns);

/* With the locks held. */
static inline void run_command(struct call *call)
{
    if ((call->command->flags & COMMAND_CLUSTER_ONLY) && call->node->bus == NULL)
        reply_error(call->reply, "ERR This instance has cluster support disabled");
    else
        call->command->run(call);
}

/* The locks are given back by now: does what may take long, and the accounts. *clock is when the command began, in clock_ticks(),
 * and then when it ended. Returns how long it took. */
static inline uint64_t run_finish(struct call *call, size_t number, uint64_t errors, uint64_t *clock)
{
    uint64_t now, ns;

    if (call->kept != NULL) call->command->finish(call);
    now = clock_ticks();
    ns = clock_ticks_to_ns(now - *clock);
    *clock = now;
    worker_count_command(call->worker, number, ns, call->reply->errors != errors);
    return ns;
}

static inline void run_log_if_slow(struct call *call, const struct command *command, int argc, const struct bytes *argv,
                                   uint64_t ns)
{
    int64_t slower_than_us = config_int(call->node->config, slowlog_log_slower_than);

    if (slower_than_us >= 0 && (int64_t)(ns / 1000) >= slower_than_us) run_log_slow(call, command, argc, argv, ns);
    if (__builtin_expect(ns >= 1000000, 0)) /* milliseconds are what latency-monitor-threshold is in */
        latency_note(call->node, command->flags & COMMAND_FAST ? LATENCY_FAST_COMMAND : LATENCY_COMMAND, ns);
}

static inline void run_tell_monitors(struct call *call)
{
    if (atomic_load_explicit(&call->node->monitors, memory_order_relaxed) == 0) return;
    if (call->command->flags & (COMMAND_SKIP_MONITOR | COMMAND_ADMIN)) return;
    monitor_send(call);
}
