/* server/hold.c: replies that wait.
 *
 * The reply stands aside while the worker serves others: with a timer of its own, until another thread gives the answer, or until one says that the
 * answer, which is there, may leave. Nothing more is read from its client meanwhile, so that the replies stay in order and a client cannot have several
 * waiting.
 *
 * Who is to answer has a ticket, the hold itself: it comes back to the worker as a message, and the worker alone knows whether its client
 * is still there. Who is to let an answer go has one that is not the hold: a timer may run besides it. */
#include "server/hold.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "server/client.h"
#include "server/latency.h"
#include "server/slowlog.h"
#include "server/worker_internal.h"

#include <assert.h>
#include <stdio.h>

/* libev's macros cast and narrow by design. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wstrict-aliasing"

/* All of it is the worker's but for what who answers fills in. */
struct hold {
    struct ev_timer timer;     /* not of one that is parked */
    struct client *client;     /* NULL: it went away, and the answer will free this */
    struct worker *worker;     /* of one that is parked */
    struct withheld *withheld; /* its reply is not to leave before all of these are released; NULL: it may */
    struct buf replies;
    bool is_parked, is_timed;
    bool is_silent; /* the client wants no reply to this one */
    /* Of the command, where it is to be counted when it is over: */
    const struct command *command;
    size_t number;
    uint64_t began; /* in clock_ticks() */
    struct slow_entry *slow;
    struct message message;
    bool is_error; /* filled in before the message is posted */
    char text[HOLD_TEXT_BYTES];
};

/* A ticket: the worker's, but for what links those of DEBUG. */
struct withheld {
    struct message message;
    struct worker *worker; /* never changes */
    struct hold *hold;     /* NULL: its client went away */
    struct withheld *also; /* of the hold */
    struct withheld *next; /* under the lock of its list */
};

/* The replies may leave, unless they have something more to wait for. */
static void let_go(struct hold *hold)
{
    struct client *client = hold->client;
    struct buf replies = hold->replies;

    if (hold->is_timed || hold->withheld != NULL) return;
    client->hold = NULL;
    alloc_free(hold);
    client_clear(client, CLIENT_HELD);
    client_unhold(client, buf_bytes(&replies));
    buf_free(&replies);
}

static void on_due(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct hold *hold = container_of(watcher, struct hold, timer);

    (void)loop;
    (void)events;
    hold->is_timed = false;
    let_go(hold);
}

static struct hold *hold_of(struct client *client)
{
    struct hold *hold = client->hold;

    if (hold == NULL) {
        hold = alloc_zeroed(sizeof(*hold));
        hold->client = client;
        ev_timer_init(&hold->timer, on_due, 0., 0.);
        client->hold = hold;
        client_set(client, CLIENT_HELD);
    }
    return hold;
}

void client_hold_reply(struct client *client, int64_t ms)
{
    struct hold *hold = hold_of(client);
    struct ev_loop *loop = client->worker->loop;

    /* Two wrong passwords in one transaction: the later one waits longer. */
    ev_timer_stop(loop, &hold->timer);
    ev_timer_set(&hold->timer, (double)ms / 1000, 0.);
    ev_timer_start(loop, &hold->timer);
    hold->is_timed = true;
}

size_t hold_bytes(const struct client *client)
{
    return client->hold == NULL ? 0 : sizeof(*client->hold) + client->hold->replies.cap;
}

void hold_replies(struct client *client, struct bytes replies)
{
    buf_append(&client->hold->replies, replies.data, replies.len);
}

void hold_end(struct client *client)
{
    struct hold *hold = client->hold;

    if (hold == NULL) return;
    client->hold = NULL;
    buf_free(&hold->replies);
    if (hold->is_parked) {
        hold->client = NULL;
        return;
    }
    for (struct withheld *withheld = hold->withheld; withheld != NULL; withheld = withheld->also) withheld->hold = NULL;
    ev_timer_stop(client->worker->loop, &hold->timer);
    alloc_free(hold);
}

/* --- Until another thread says that it may leave --- */

static void take_off(struct hold *hold, const struct withheld *withheld)
{
    struct withheld **at = &hold->withheld;

    while (*at != withheld) at = &(*at)->also;
    *at = withheld->also;
}

static void deliver_release(struct message *message, void *receiver)
{
    struct withheld *withheld = container_of(message, struct withheld, message);
    struct worker *worker = receiver;
    struct hold *hold = withheld->hold;

    if (hold != NULL) take_off(hold, withheld);
    alloc_free(withheld);
    if (hold == NULL) return;
    if (worker_is_running(worker)) let_go(hold); /* else it is about to be closed */
}

struct withheld *client_withhold(struct client *client)
{
    struct hold *hold = hold_of(client);
    struct withheld *withheld = alloc_zeroed(sizeof(*withheld));

    assert(!hold->is_parked);
    withheld->worker = client->worker;
    withheld->hold = hold;
    withheld->message.deliver = deliver_release;
    withheld->also = hold->withheld;
    hold->withheld = withheld;
    return withheld;
}

void withheld_release(struct withheld *withheld)
{
    mailbox_post(&withheld->worker->mailbox, &withheld->message);
}

void withheld_list_add(struct withheld_list *list, struct withheld *withheld)
{
    lock_take(&list->lock);
    withheld->next = list->first;
    list->first = withheld;
    lock_release(&list->lock);
}

size_t withheld_list_release(struct withheld_list *list)
{
    struct withheld *withheld, *next;
    size_t count = 0;

    lock_take(&list->lock);
    withheld = list->first;
    list->first = NULL;
    lock_release(&list->lock);
    for (; withheld != NULL; withheld = next, count++) {
        next = withheld->next;
        withheld_release(withheld);
    }
    return count;
}

/* --- Until another thread answers --- */

static void append_answer(struct hold *hold)
{
    struct client *client = hold->client;
    struct reply reply = { .out = &hold->replies, .resp = client->reply.resp };

    if (hold->is_error) {
        reply_error(&reply, hold->text);
        count_up(&hold->worker->counters.errors, 1);
        worker_count_error(hold->worker, reply.error_code);
    } else {
        reply_simple(&reply, hold->text);
    }
}

/* All of it has been the command, also while others were served. */
static void count_command(struct hold *hold)
{
    struct worker *worker = hold->worker;
    struct config *config = worker->node->config;
    uint64_t ns = clock_ticks_to_ns(clock_ticks() - hold->began);
    int64_t us = (int64_t)(ns / 1000), slower_than_us = config_int(config, slowlog_log_slower_than);

    if (hold->command == NULL) return;
    worker_count_command(worker, hold->number, ns, hold->is_error);
    if (hold->slow != NULL && slower_than_us >= 0 && us >= slower_than_us)
        slowlog_keep(worker->node->slowlog, &hold->slow, clock_wall_us() / 1000000, us,
                     config_int(config, slowlog_max_len));
    latency_note(worker->node, (hold->command->flags & COMMAND_FAST) ? LATENCY_FAST_COMMAND : LATENCY_COMMAND, ns);
}

static void deliver_answer(struct message *message, void *receiver)
{
    struct hold *hold = container_of(message, struct hold, message);
    struct client *client = hold->client;

    (void)receiver;
    count_command(hold);
    if (client != NULL) client->hold = NULL;
    if (client != NULL && worker_is_running(hold->worker)) { /* else both are about to end */
        size_t before = hold->replies.len;

        append_answer(hold);
        if (hold->is_silent) hold->replies.len = before;
        client_clear(client, CLIENT_HELD);
        client_unhold(client, buf_bytes(&hold->replies));
    }
    slowlog_drop(&hold->slow);
    buf_free(&hold->replies);
    alloc_free(hold);
}

struct hold *client_park(struct client *client)
{
    struct hold *hold = alloc_zeroed(sizeof(*hold));

    assert(client->hold == NULL);
    hold->client = client;
    hold->worker = client->worker;
    hold->is_parked = true;
    hold->is_silent = (client_flags(client) & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP)) != 0;
    hold->message.deliver = deliver_answer;
    client->hold = hold;
    client_set(client, CLIENT_HELD);
    return hold;
}

void hold_count(struct hold *hold, const struct command *command, size_t number, uint64_t began,
                struct slow_entry **slow)
{
    hold->command = command;
    hold->number = number;
    hold->began = began;
    hold->slow = *slow;
    *slow = NULL;
}

void hold_answer(struct hold *hold, bool is_error, const char *text)
{
    hold->is_error = is_error;
    snprintf(hold->text, sizeof(hold->text), "%s", text);
    mailbox_post(&hold->worker->mailbox, &hold->message);
}
