/* server/worker_defrag.c: how a worker takes its part in defragmentation (cache/defrag.h). */
#include "server/worker_internal.h"

/* One slice, and then its clients' turn until the share of the time is kept. */
static void on_defrag(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct worker *worker = container_of(watcher, struct worker, defrag_timer);
    int64_t wait_us = defrag_run(&worker->defrag, DEFRAG_SLICE_US);

    (void)events;
    if (wait_us == DEFRAG_NOTHING) return;
    ev_timer_set(watcher, (double)wait_us / 1e6, 0);
    ev_timer_start(loop, watcher);
}

void worker_defrag_init(struct worker *worker)
{
    struct node *node = worker->node;

    defrag_share_init(&worker->defrag, &node->defrag, node->keyspace, (unsigned)worker->index,
                      (unsigned)node->worker_count);
    ev_init(&worker->defrag_timer, on_defrag);
}

void worker_defrag_tick(struct worker *worker)
{
    if (!defrag_is_due(&worker->defrag) || ev_is_active(&worker->defrag_timer)) return;
    ev_timer_set(&worker->defrag_timer, 0, 0);
    ev_timer_start(worker->loop, &worker->defrag_timer);
}
