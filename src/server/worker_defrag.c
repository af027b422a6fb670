/* server/worker_defrag.c: how a worker takes its part in defragmentation (cache/defrag.h). */
#include "server/worker_internal.h"

#define each_defrag(worker, own)                                                                                       \
    for (struct worker_defrag *own = (worker)->defrag;                                                                 \
         own < (worker)->defrag + sizeof((worker)->defrag) / sizeof((worker)->defrag[0]); own++)

/* One slice, and then its clients' turn until the share of the time is kept. */
static void on_defrag(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct worker_defrag *own = container_of(watcher, struct worker_defrag, timer);
    int64_t wait_us = defrag_run(&own->share, DEFRAG_SLICE_US);

    (void)events;
    if (wait_us == DEFRAG_NOTHING) return;
    ev_timer_set(watcher, (double)wait_us / 1e6, 0);
    ev_timer_start(loop, watcher);
}

void worker_defrag_init(struct worker *worker)
{
    struct node *node = worker->node;
    struct defrag *of[] = { &node->defrag, &node->table_defrag };

    each_defrag(worker, own)
    {
        defrag_share_init(&own->share, of[own - worker->defrag], node->keyspace, (unsigned)worker->index,
                          (unsigned)node->worker_count);
        ev_init(&own->timer, on_defrag);
    }
}

void worker_defrag_stop(struct worker *worker)
{
    each_defrag(worker, own) ev_timer_stop(worker->loop, &own->timer);
}

void worker_defrag_tick(struct worker *worker)
{
    each_defrag(worker, own)
    {
        if (!defrag_is_due(&own->share) || ev_is_active(&own->timer)) continue;
        ev_timer_set(&own->timer, 0, 0);
        ev_timer_start(worker->loop, &own->timer);
    }
}
