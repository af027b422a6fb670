/* server/control.c
 *
 * Signals come through libev, so that their handlers run between other events and may do anything the loop may. */
#include "server/control.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/huge_pages.h"
#include "base/log.h"
#include "base/relocate.h"
#include "server/cost.h"
#include "server/node.h"

#include <ev.h>
#include <signal.h>

/* libev's macros cast and narrow by design. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wstrict-aliasing"

struct control {
    struct node *node;
    struct ev_loop *loop;
    struct ev_signal terminate, interrupt, hangup;
    struct ev_async wake;
    struct ev_timer sample;
    struct tables_seen tables;
    int64_t unsettled_us,
        trimmed_us; /* when tables last changed, and when what is behind them was last given back; 0: never */
    bool trims;     /* they have changed since */
};

/* A load that comes and goes would lose its huge pages one by one. */
#define TRIM_AFTER_US 1000000
#define TRIM_EVERY_US 10000000

static void on_end(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
    struct control *control = watcher->data;

    (void)events;
    log_warning("Received %s scheduling shutdown...", watcher->signum == SIGINT ? "SIGINT" : "SIGTERM");
    atomic_store(&control->node->shutdown_asked, true);
    ev_break(loop, EVBREAK_ALL);
}

static void on_hangup(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
    if (log_reopen())
        log_notice("log: opened again");
    else
        log_warning("log: cannot be opened again; going on with the former file");
}

static void on_wake(struct ev_loop *loop, struct ev_async *watcher, int events)
{
    struct control *control = watcher->data;

    (void)events;
    if (atomic_load(&control->node->shutdown_asked)) ev_break(loop, EVBREAK_ALL);
}

static void measure_defrag(struct node *node)
{
    const struct config *config = node->config;
    struct defrag_limits limits = {
        .on = config_int(config, activedefrag) != 0,
        .ignore_bytes = (uint64_t)config_int(config, active_defrag_ignore_bytes),
        .lower = (uint32_t)config_int(config, active_defrag_threshold_lower),
        .upper = (uint32_t)config_int(config, active_defrag_threshold_upper),
        .cycle_min = (uint32_t)config_int(config, active_defrag_cycle_min),
        .cycle_max = (uint32_t)config_int(config, active_defrag_cycle_max),
    };
    struct relocate_use use = { 0, 0 };

    if (limits.on) use = relocate_use();
    defrag_measure(&node->defrag, &limits, use.allocated_bytes, use.active_bytes, (uint32_t)node->worker_count,
                   clock_monotonic_us());
}

/* What has grown is moved together, and what then lies unused behind it is given back. */
static void look_after_tables(struct control *control)
{
    struct node *node = control->node;
    int64_t now_us = clock_monotonic_us();

    tables_measure(&node->table_defrag, &control->tables, alloc_apart_count(), relocate_use_apart,
                   (uint32_t)node->worker_count, now_us);
    if (!control->tables.settled) {
        control->unsettled_us = now_us;
        control->trims = true;
    } else if (control->trims && now_us - control->unsettled_us >= TRIM_AFTER_US &&
               (control->trimmed_us == 0 || now_us - control->trimmed_us >= TRIM_EVERY_US)) {
        huge_pages_trim();
        control->trimmed_us = now_us;
        control->trims = false;
    }
}

static void publish_cpu(struct node *node)
{
    int64_t user_us, system_us;

    if (!clock_thread_cpu(&user_us, &system_us)) return;
    atomic_store_explicit(&node->main_cpu_user_us, user_us, memory_order_relaxed);
    atomic_store_explicit(&node->main_cpu_system_us, system_us, memory_order_relaxed);
}

static void on_sample(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct control *control = watcher->data;

    (void)loop;
    (void)events;
    stats_sample(control->node, clock_now_ms());
    publish_cpu(control->node);
    measure_defrag(control->node);
    cost_tick(control->node);
    huge_pages_rest();
    if (relocate_is_possible()) look_after_tables(control);
}

void control_start(struct node *node, struct ev_loop *loop)
{
    struct control *control = alloc_zeroed(sizeof(*control));

    control->node = node;
    control->loop = loop;
    node->table_defrag.tables_only = true;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    ev_signal_init(&control->terminate, on_end, SIGTERM);
    ev_signal_init(&control->interrupt, on_end, SIGINT);
    ev_signal_init(&control->hangup, on_hangup, SIGHUP);
    ev_async_init(&control->wake, on_wake);
    ev_timer_init(&control->sample, on_sample, 0.1, 0.1);
    control->terminate.data = control->interrupt.data = control->hangup.data = control->wake.data =
        control->sample.data = control;
    ev_signal_start(loop, &control->terminate);
    ev_signal_start(loop, &control->interrupt);
    ev_signal_start(loop, &control->hangup);
    ev_async_start(loop, &control->wake);
    ev_timer_start(loop, &control->sample);
    node->control = control;
}

void control_run(struct node *node)
{
    while (!atomic_load(&node->shutdown_asked)) ev_run(node->control->loop, 0);
}

void control_stop(struct node *node)
{
    struct control *control = node->control;

    if (!control) return;
    ev_signal_stop(control->loop, &control->terminate);
    ev_signal_stop(control->loop, &control->interrupt);
    ev_signal_stop(control->loop, &control->hangup);
    ev_async_stop(control->loop, &control->wake);
    ev_timer_stop(control->loop, &control->sample);
    node->control = NULL;
    alloc_free(control);
}

void node_shutdown(struct node *node)
{
    atomic_store(&node->shutdown_asked, true);
    if (node->control) ev_async_send(node->control->loop, &node->control->wake);
}
