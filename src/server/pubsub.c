/* server/pubsub.c
 *
 * The publisher's side. The subscriber's is in pubsub_client.c. */
#include "server/pubsub_internal.h"

#include "base/alloc.h"
#include "base/lock.h"
#include "bus/bus.h"
#include "proto/reply.h"
#include "server/events.h"
#include "server/worker_internal.h"

#include <string.h>

/* Of what is on its way: who publishes waits beyond the first and goes on below the second; beyond the third nothing is added. */
#define WAIT_BYTES ((size_t)8 << 20)
#define GO_ON_BYTES ((size_t)4 << 20)
#define WAY_BYTES_MAX ((size_t)64 << 20)

struct pubsub *pubsub_new(struct node *node)
{
    struct pubsub *pubsub = alloc_zeroed(sizeof(*pubsub));

    pubsub->node = node;
    pubsub->topics = topics_new();
    return pubsub;
}

void pubsub_free(struct pubsub **pubsub)
{
    topics_free(&(*pubsub)->topics);
    alloc_free(*pubsub);
    *pubsub = NULL;
}

struct topics *pubsub_topics(const struct node *node)
{
    return node->pubsub->topics;
}

uint64_t pubsub_lost(const struct node *node)
{
    return atomic_load_explicit(&node->pubsub->lost, memory_order_relaxed);
}

/* --- Messages --- */

void publication_let_go(struct publication *publication)
{
    if (atomic_fetch_sub_explicit(&publication->holders, 1, memory_order_acq_rel) == 1) alloc_free(publication);
}

static char *write_bulk(char *at, struct bytes bytes)
{
    *at++ = '$';
    at += u64_to_text(at, bytes.len);
    *at++ = '\r';
    *at++ = '\n';
    if (bytes.len > 0) memcpy(at, bytes.data, bytes.len);
    at += bytes.len;
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static struct publication *publication_new(struct bytes channel, struct bytes message)
{
    struct publication *publication =
        /* fits: each is in memory already */
        alloc(sizeof(*publication) + channel.len + message.len + 2 * (1 + I64_TEXT_BYTES + 4));

    atomic_init(&publication->holders, 1);
    publication->len = (size_t)(write_bulk(write_bulk(publication->body, channel), message) - publication->body);
    return publication;
}

/* What a message has been collected for, in order. */
struct outgoing {
    struct publication *publication; /* made for the first */
    struct bytes channel, message;
    struct delivery *first, **last;
};

static void add_delivery(void *context, struct topic_part *part, uint64_t number)
{
    struct outgoing *outgoing = context;
    struct delivery *delivery = alloc(sizeof(*delivery));

    if (outgoing->publication == NULL) outgoing->publication = publication_new(outgoing->channel, outgoing->message);
    topic_part_hold(part);
    atomic_fetch_add_explicit(&outgoing->publication->holders, 1, memory_order_relaxed);
    *delivery = (struct delivery){
        .message.deliver = pubsub_deliver, .part = part, .publication = outgoing->publication, .number = number
    };
    *outgoing->last = delivery;
    outgoing->last = &delivery->next;
}

size_t delivery_bytes(const struct delivery *delivery)
{
    return sizeof(*delivery) + (delivery->publication == NULL ? 0 : delivery->publication->len);
}

/* --- On their way --- */

bool pubsub_must_wait(struct worker *worker)
{
    struct pubsub *pubsub = worker->node->pubsub;

    if (atomic_load_explicit(&pubsub->bytes_on_way, memory_order_relaxed) <= WAIT_BYTES &&
        (worker->node->bus == NULL || !bus_publish_must_wait(worker->node->bus)))
        return false;
    atomic_store_explicit(&worker->awaits_subscribers, true, memory_order_relaxed);
    return true;
}

/* One that has just begun to wait is not seen, and looks again at its next tick. */
void pubsub_go_on(struct node *node)
{
    for (int i = 0; i < node->worker_count; i++) {
        struct worker *worker = node->workers[i];

        if (worker == NULL || !worker_is_running(worker)) continue; /* the node ends */
        if (atomic_load_explicit(&worker->awaits_subscribers, memory_order_relaxed) &&
            atomic_exchange_explicit(&worker->awaits_subscribers, false, memory_order_relaxed))
            worker_poke(worker);
    }
}

void pubsub_arrived(struct pubsub *pubsub, size_t bytes)
{
    size_t before = atomic_fetch_sub_explicit(&pubsub->bytes_on_way, bytes, memory_order_relaxed);

    if (before > GO_ON_BYTES && before - bytes <= GO_ON_BYTES) pubsub_go_on(pubsub->node);
}

static void post(struct pubsub *pubsub, struct delivery *delivery)
{
    struct worker *worker = pubsub->node->workers[delivery->part->worker];
    size_t bytes = delivery_bytes(delivery);

    if (atomic_load_explicit(&pubsub->bytes_on_way, memory_order_relaxed) > WAY_BYTES_MAX) {
        atomic_fetch_add_explicit(&pubsub->lost, 1, memory_order_relaxed);
        publication_let_go(delivery->publication);
        delivery->publication = NULL;
        if (atomic_exchange_explicit(&delivery->part->lost, true, memory_order_relaxed)) {
            topic_part_let_go(delivery->part);
            alloc_free(delivery);
            return;
        }
        bytes = delivery_bytes(delivery);
    }
    atomic_fetch_add_explicit(&pubsub->bytes_on_way, bytes, memory_order_relaxed);
    mailbox_post(&worker->mailbox, &delivery->message);
}

void pubsub_post(struct node *node, struct delivery *first)
{
    for (struct delivery *delivery = first, *next; delivery != NULL; delivery = next) {
        next = delivery->next;
        post(node->pubsub, delivery);
    }
}

void pubsub_drop(struct delivery *first)
{
    for (struct delivery *delivery = first, *next; delivery != NULL; delivery = next) {
        next = delivery->next;
        topic_part_let_go(delivery->part);
        publication_let_go(delivery->publication);
        alloc_free(delivery);
    }
}

static uint64_t collect(struct node *node, enum topic_kind kind, struct bytes channel, struct bytes message,
                        struct delivery **first)
{
    struct outgoing outgoing = { .channel = channel, .message = message };
    uint64_t subscribers;

    outgoing.last = &outgoing.first;
    subscribers = topics_collect(node->pubsub->topics, kind, channel, add_delivery, &outgoing);
    if (outgoing.publication != NULL) publication_let_go(outgoing.publication);
    *first = outgoing.first;
    return subscribers;
}

uint64_t pubsub_publish(struct node *node, enum topic_kind kind, struct bytes channel, struct bytes message)
{
    struct delivery *first;
    uint64_t subscribers;

    lock_assert_none_held();
    /* What the publisher's commands have caused comes before what it says. */
    events_deliver(node);
    subscribers = collect(node, kind, channel, message, &first);
    if (first != NULL && events_are_pending(node)) {
        events_note_deliveries(node, first); /* another thread is delivering them */
        events_deliver(node);                /* and may have ended before it could see this */
    } else {
        pubsub_post(node, first);
    }
    return subscribers;
}

uint64_t pubsub_publish_in_order(struct node *node, enum topic_kind kind, struct bytes channel, struct bytes message)
{
    struct delivery *first;
    uint64_t subscribers = collect(node, kind, channel, message, &first);

    if (first != NULL) events_note_deliveries(node, first);
    return subscribers;
}

void pubsub_publish_event(struct node *node, struct bytes channel, struct bytes message)
{
    struct delivery *first;

    collect(node, TOPIC_CHANNEL, channel, message, &first);
    pubsub_post(node, first);
}
