#include "server/turns.h"

#include "server/client.h"
#include "server/worker_internal.h"

/* libev's macros cast and narrow by design. */
#pragma GCC diagnostic ignored "-Wstrict-aliasing"

/* It is there for not waiting: the queue is run at the end of the turn. */
static void on_idle(struct ev_loop *loop, struct ev_idle *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
}

void turns_init(struct worker *worker)
{
    list_init(&worker->turns);
    ev_idle_init(&worker->no_wait, on_idle);
}

void turns_stop(struct worker *worker)
{
    ev_idle_stop(worker->loop, &worker->no_wait);
}

void turns_join(struct client *client, enum due due)
{
    struct worker *worker = client->worker;

    if (client->due == 0) {
        list_append(&worker->turns, &client->turn);
        worker->turn_count++;
    }
    client->due |= due;
}

void turns_leave(struct client *client)
{
    if (client->due == 0) return;
    list_remove(&client->turn);
    client->due = 0;
    client->worker->turn_count--;
}

/* Takes the first out, with one of what is due; the rest is for its next turn. */
static struct client *next(struct worker *worker, enum due *due)
{
    struct client *client = container_of(worker->turns.next, struct client, turn);
    uint32_t all = client->due;

    *due = (enum due)(1u << __builtin_ctz(all));
    turns_leave(client);
    if (all != *due) turns_join(client, (enum due)(all & ~(uint32_t)*due));
    return client;
}

/* For so many turns after a small reply another one is expected. */
#define SMALL_TURNS 16

void turns_note_small(struct worker *worker)
{
    worker->small_turns = SMALL_TURNS;
}

bool turns_take(struct worker *worker, size_t bytes)
{
    if (worker->is_at_queue) return true; /* it has come to its turn, and what it is replied counts as that */
    if (worker->small_turns > 0 && (worker->turn_count > 0 || worker->turn_bytes >= TURN_BYTES)) return false;
    worker->turn_bytes += bytes < CONN_WRITE_BYTES ? bytes : CONN_WRITE_BYTES;
    return true;
}

static void run_queue(struct worker *worker)
{
    /* What was moved ahead of it counts, but not while all replies are big. */
    size_t bytes = worker->small_turns > 0 ? worker->turn_bytes : 0;

    if (worker->turn_count == 0 && !ev_is_active(&worker->no_wait)) return;
    for (size_t left = worker->turn_count; left > 0 && worker->turn_count > 0 && bytes < TURN_BYTES; left--) {
        enum due due;
        struct client *client = next(worker, &due);
        size_t took = client_go_on(client, due);

        bytes += took < TURN_BYTES_LEAST ? TURN_BYTES_LEAST : took;
    }
    worker_flush(worker);
    if (worker->turn_count > 0)
        ev_idle_start(worker->loop, &worker->no_wait);
    else
        ev_idle_stop(worker->loop, &worker->no_wait);
}

void turns_run(struct worker *worker)
{
    worker->is_at_queue = true;
    run_queue(worker);
    worker->is_at_queue = false;
    worker->turn_bytes = 0;
    if (worker->small_turns > 0) worker->small_turns--;
}
