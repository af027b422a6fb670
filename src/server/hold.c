/* server/hold.c: replies that wait.
 *
 * The reply stands aside with a timer of its own while the worker serves others. Nothing more is read from its client meanwhile, so
 * that the replies stay in order and a client cannot have several waiting. */
#include "base/alloc.h"
#include "server/client.h"
#include "server/worker_internal.h"

/* libev's macros cast and narrow by design. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wstrict-aliasing"

struct hold {
    struct ev_timer timer;
    struct client *client;
    struct buf replies;
};

static void on_due(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct hold *hold = container_of(watcher, struct hold, timer);
    struct client *client = hold->client;
    struct buf replies = hold->replies;

    (void)loop;
    (void)events;
    client->hold = NULL;
    alloc_free(hold);
    client_clear(client, CLIENT_HELD);
    client_go_on(client, buf_bytes(&replies));
    buf_free(&replies);
}

void client_hold_reply(struct client *client, int64_t ms)
{
    struct hold *hold = client->hold;
    struct ev_loop *loop = client->worker->loop;

    if (hold == NULL) {
        hold = alloc_zeroed(sizeof(*hold));
        hold->client = client;
        client->hold = hold;
        ev_timer_init(&hold->timer, on_due, (double)ms / 1000, 0.);
    } else {
        /* Two wrong passwords in one transaction: the later one waits longer. */
        ev_timer_stop(loop, &hold->timer);
        ev_timer_set(&hold->timer, (double)ms / 1000, 0.);
    }
    ev_timer_start(loop, &hold->timer);
    client_set(client, CLIENT_HELD);
}

void hold_replies(struct client *client, struct bytes replies)
{
    buf_append(&client->hold->replies, replies.data, replies.len);
}

void hold_end(struct client *client)
{
    if (client->hold == NULL) return;
    ev_timer_stop(client->worker->loop, &client->hold->timer);
    buf_free(&client->hold->replies);
    alloc_free(client->hold);
    client->hold = NULL;
}
