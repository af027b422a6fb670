/* server/pubsub_client.c
 *
 * The subscriber's side: what a client subscribes to, and messages that have come to its worker. All of it runs on that worker. */
#include "server/pubsub_internal.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/keyslot.h"
#include "base/log.h"
#include "proto/reply.h"
#include "server/worker_internal.h"

#include <assert.h>
#include <string.h>

#define BUCKETS_LEAST 4u
/* A body of so many bytes is not copied into the queue of each connection. */
#define SHARED_BYTES_LEAST 2048u
/* Of a client that has left so many subscriptions are given up in a turn of the loop: some hundred microseconds' worth. */
#define LEAVING_A_TURN 512u

/* A client's subscriptions, by name; and when it has left, what is not given up yet of them. */
struct subscriptions {
    struct client *client; /* NULL: it has left, and hears nothing any more */
    struct {
        struct subscription **buckets;
        size_t bucket_count, count;
        struct list in_order; /* the latest last */
    } of[TOPIC_KINDS];
    size_t bytes;
    struct list leaving; /* the worker's, of those whose clients have left */
};

/* --- What a client subscribes to --- */

static struct subscription **find(const struct subscriptions *all, enum topic_kind kind, struct bytes name,
                                  uint64_t hash)
{
    struct subscription **at;

    if (all->of[kind].bucket_count == 0) return NULL;
    at = &all->of[kind].buckets[hash & (all->of[kind].bucket_count - 1)];
    while (*at != NULL && ((*at)->hash != hash || !bytes_equal(topic_part_name((*at)->part), name))) at = &(*at)->next;
    return at;
}

static void grow(struct subscriptions *all, enum topic_kind kind)
{
    size_t count = all->of[kind].bucket_count == 0 ? BUCKETS_LEAST : all->of[kind].bucket_count * 2;
    struct subscription **buckets = alloc_zeroed(count * sizeof(struct subscription *));

    list_each(at, &all->of[kind].in_order) {
        struct subscription *subscription = container_of(at, struct subscription, in_client);
        struct subscription **bucket = &buckets[subscription->hash & (count - 1)];

        subscription->next = *bucket;
        *bucket = subscription;
    }
    alloc_free(all->of[kind].buckets);
    all->of[kind].buckets = buckets;
    all->of[kind].bucket_count = count;
}

static struct subscriptions *subscriptions_of(struct client *client)
{
    if (client->subscriptions != NULL) return client->subscriptions;
    client->subscriptions = alloc_zeroed(sizeof(*client->subscriptions));
    client->subscriptions->client = client;
    for (int kind = 0; kind < TOPIC_KINDS; kind++) list_init(&client->subscriptions->of[kind].in_order);
    return client->subscriptions;
}

static void publish_counts(struct client *client, enum topic_kind kind)
{
    const struct subscriptions *all = client->subscriptions;
    size_t sum = 0;

    atomic_store_explicit(&client->subscribed[kind], (uint32_t)all->of[kind].count, memory_order_relaxed);
    for (int each = 0; each < TOPIC_KINDS; each++) sum += all->of[each].count;
    if (sum > 0)
        client_set(client, CLIENT_SUBSCRIBED);
    else
        client_clear(client, CLIENT_SUBSCRIBED);
}

static size_t bytes_of_one(struct bytes name)
{
    return sizeof(struct subscription) + topics_bytes(name);
}

bool pubsub_subscribe(struct client *client, enum topic_kind kind, struct bytes name)
{
    struct subscriptions *all = subscriptions_of(client);
    struct worker *worker = client->worker;
    uint64_t hash = hash_bytes(name);
    struct subscription **at = find(all, kind, name, hash), *subscription;
    bool is_new;

    if (at != NULL && *at != NULL) return false;
    if (all->of[kind].count == all->of[kind].bucket_count) grow(all, kind);
    subscription = alloc_zeroed(sizeof(*subscription));
    subscription->hash = hash;
    subscription->owner = all;
    subscription->part =
        topics_join(worker->node->pubsub->topics, kind, name, worker->index, &subscription->since, &is_new);
    if (is_new && kind == TOPIC_SHARD) list_append(&worker->shard_parts, &subscription->part->of_worker);
    list_append(&subscription->part->clients, &subscription->in_part);
    list_append(&all->of[kind].in_order, &subscription->in_client);
    at = &all->of[kind].buckets[hash & (all->of[kind].bucket_count - 1)];
    subscription->next = *at;
    *at = subscription;
    all->of[kind].count++;
    all->bytes += bytes_of_one(name);
    publish_counts(client, kind);
    return true;
}

/* Out of everything but the table of its client. */
static void give_up(struct worker *worker, struct subscription *subscription)
{
    list_remove(&subscription->in_part);
    list_remove(&subscription->in_client);
    if (list_is_empty(&subscription->part->clients)) list_remove(&subscription->part->of_worker);
    topics_leave(worker->node->pubsub->topics, subscription->part);
    alloc_free(subscription);
}

static void end(struct client *client, enum topic_kind kind, struct subscription **at)
{
    struct subscriptions *all = client->subscriptions;
    struct subscription *subscription = *at;

    *at = subscription->next;
    all->of[kind].count--;
    all->bytes -= bytes_of_one(topic_part_name(subscription->part));
    give_up(client->worker, subscription);
    publish_counts(client, kind);
}

bool pubsub_unsubscribe(struct client *client, enum topic_kind kind, struct bytes name)
{
    struct subscription **at;

    if (client->subscriptions == NULL) return false;
    at = find(client->subscriptions, kind, name, hash_bytes(name));
    if (at == NULL || *at == NULL) return false;
    end(client, kind, at);
    return true;
}

bool pubsub_any(const struct client *client, enum topic_kind kind, struct bytes *name)
{
    const struct subscriptions *all = client->subscriptions;

    if (all == NULL || list_is_empty(&all->of[kind].in_order)) return false;
    *name = topic_part_name(container_of(all->of[kind].in_order.next, struct subscription, in_client)->part);
    return true;
}

/* --- Leaving: a client may have a million of them --- */

/* Takes what it gives up off *most; true when that was all. */
static bool give_up_some(struct worker *worker, struct subscriptions *all, size_t *most)
{
    for (int kind = 0; kind < TOPIC_KINDS; kind++) {
        struct list *in_order = &all->of[kind].in_order;

        for (; !list_is_empty(in_order); --*most) {
            if (*most == 0) return false;
            give_up(worker, container_of(in_order->next, struct subscription, in_client));
        }
    }
    list_remove(&all->leaving);
    alloc_free(all);
    return true;
}

static void go_on_leaving(struct worker *worker, size_t most)
{
    while (!list_is_empty(&worker->leaving) &&
           give_up_some(worker, container_of(worker->leaving.next, struct subscriptions, leaving), &most))
        continue;
    if (list_is_empty(&worker->leaving))
        ev_idle_stop(worker->loop, &worker->leaving_on);
    else
        ev_idle_start(worker->loop, &worker->leaving_on);
}

static void on_leaving(struct ev_loop *loop, struct ev_idle *watcher, int events)
{
    (void)loop;
    (void)events;
    go_on_leaving(container_of(watcher, struct worker, leaving_on), LEAVING_A_TURN);
}

void pubsub_worker_init(struct worker *worker)
{
    list_init(&worker->leaving);
    /* Once a turn, however busy the turn; and the turn waits for nobody. */
    ev_idle_init(&worker->leaving_on, on_leaving);
    ev_set_priority(&worker->leaving_on, EV_MAXPRI);
}

void pubsub_worker_stop(struct worker *worker)
{
    go_on_leaving(worker, SIZE_MAX);
}

void pubsub_leave(struct client *client)
{
    struct subscriptions *all = client->subscriptions;
    bool are_first;

    if (all == NULL) return;
    are_first = list_is_empty(&client->worker->leaving);
    for (int kind = 0; kind < TOPIC_KINDS; kind++) {
        all->of[kind].count = 0;
        publish_counts(client, (enum topic_kind)kind);
        alloc_free(all->of[kind].buckets);
        all->of[kind].buckets = NULL;
    }
    client->subscriptions = NULL;
    all->client = NULL;
    list_append(&client->worker->leaving, &all->leaving);
    /* Those of nearly everybody are gone when this returns. Others are left alone: somebody may be walking the lists they are in. */
    if (are_first) go_on_leaving(client->worker, LEAVING_A_TURN);
}

size_t pubsub_subscriptions(const struct client *client, enum topic_kind kind)
{
    return atomic_load_explicit(&client->subscribed[kind], memory_order_relaxed);
}

size_t pubsub_bytes(const struct client *client)
{
    return client->subscriptions == NULL ? 0 : sizeof(*client->subscriptions) + client->subscriptions->bytes;
}

void pubsub_reply_change(struct client *client, struct reply *reply, const char *word, const struct bytes *name,
                         enum topic_kind kind)
{
    size_t left = kind == TOPIC_SHARD
                      ? pubsub_subscriptions(client, TOPIC_SHARD)
                      : pubsub_subscriptions(client, TOPIC_CHANNEL) + pubsub_subscriptions(client, TOPIC_PATTERN);

    reply_push(reply, 3);
    reply_bulk_text(reply, word);
    if (name == NULL)
        reply_null(reply);
    else
        reply_bulk(reply, *name);
    reply_integer(reply, (int64_t)left);
}

bool pubsub_admits(const struct call *call)
{
    return call->reply->resp == 3 || (call->command->flags & COMMAND_SUBSCRIBED) != 0;
}

void pubsub_refuse(struct call *call)
{
    const char *parent = call->command->parent;
    bool is_exec = parent == NULL && strcmp(call->command->name, "exec") == 0;

    reply_errorf(call->reply,
                 "%s Can't execute '%s%s%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
                 "in this context",
                 is_exec ? "EXECABORT Transaction discarded because of:" : "ERR", parent != NULL ? parent : "",
                 parent != NULL ? "|" : "", call->command->name);
    if (is_exec) client_discard_transaction(call->client);
}

/* --- Messages that have come --- */

/* The beginnings of a message to the subscribers of a part, by protocol; made for the first of each. */
struct heads {
    const struct topic_part *part;
    struct buf text[2]; /* RESP2, RESP3 */
};

static struct bytes head_for(struct heads *heads, const struct client *client)
{
    struct buf *text = &heads->text[client->reply.resp == 3];
    struct reply reply = { .out = text, .resp = client->reply.resp };

    if (text->len > 0) return buf_bytes(text);
    switch (topic_part_kind(heads->part)) {
    case TOPIC_CHANNEL:
        reply_push(&reply, 3);
        reply_bulk_text(&reply, "message");
        break;
    case TOPIC_SHARD:
        reply_push(&reply, 3);
        reply_bulk_text(&reply, "smessage");
        break;
    case TOPIC_PATTERN:
        reply_push(&reply, 4);
        reply_bulk_text(&reply, "pmessage");
        reply_bulk(&reply, topic_part_name(heads->part));
        break;
    case TOPIC_KINDS:
        break;
    }
    return buf_bytes(text);
}

static void let_go(void *owner)
{
    publication_let_go(owner);
}

/* May anything be sent to it that it did not ask for just now? */
static bool takes_pushes(const struct client *client)
{
    return !(client_flags(client) & CLIENT_CLOSE_AFTER_REPLY) && client->snapshot == NULL &&
           !atomic_load_explicit(&client->kill, memory_order_relaxed);
}

static void push_message(struct client *client, struct heads *heads, struct publication *publication)
{
    struct piece pieces[2] = { { .bytes = head_for(heads, client) },
                               { .bytes = { publication->body, publication->len } } };

    if (publication->len >= SHARED_BYTES_LEAST) {
        atomic_fetch_add_explicit(&publication->holders, 1, memory_order_relaxed);
        pieces[1].release = let_go;
        pieces[1].owner = publication;
    }
    client_push(client, pieces, 2);
}

/* Messages were dropped, so who goes on listening would miss some and not know it. */
static void disconnect_all(struct topic_part *part)
{
    atomic_store_explicit(&part->lost, false, memory_order_relaxed);
    list_each_safe(at, &part->clients) {
        struct client *client = container_of(at, struct subscription, in_part)->owner->client;

        if (client == NULL) continue;
        log_warning("client %llu: %s subscribes to more than its worker keeps up with; closed",
                    (unsigned long long)client->id, client->peer);
        client_close(client);
    }
}

static void tell_part(struct worker *worker, const struct delivery *delivery)
{
    struct heads heads = { .part = delivery->part };

    /* What a client was replied comes before what it is told. */
    worker_flush(worker);
    if (delivery->publication == NULL) {
        disconnect_all(delivery->part);
        return;
    }
    list_each_safe(at, &delivery->part->clients) {
        const struct subscription *subscription = container_of(at, struct subscription, in_part);
        struct client *client = subscription->owner->client;

        if (delivery->number > subscription->since && client != NULL && takes_pushes(client))
            push_message(client, &heads, delivery->publication);
    }
    for (int i = 0; i < 2; i++) buf_free(&heads.text[i]);
}

void pubsub_deliver(struct message *message, void *receiver)
{
    struct delivery *delivery = container_of(message, struct delivery, message);
    struct worker *worker = receiver;
    size_t bytes = delivery_bytes(delivery);

    if (worker_is_running(worker)) tell_part(worker, delivery);
    if (delivery->publication != NULL) publication_let_go(delivery->publication);
    topic_part_let_go(delivery->part);
    alloc_free(delivery);
    pubsub_arrived(worker->node->pubsub, bytes);
}

/* --- Slots that left --- */

struct slots_message {
    struct message message;
    uint8_t slots[SLOT_COUNT / 8];
};

static void tell_and_end(struct client *client, const struct topic_part *part)
{
    struct bytes lent = topic_part_name(part);
    struct buf name = { 0 }, text = { 0 };
    struct reply reply = { .out = &text, .resp = client->reply.resp };
    struct piece piece;

    buf_append_bytes(&name, lent); /* the part may go with its last subscriber */
    lent = buf_bytes(&name);
    pubsub_unsubscribe(client, TOPIC_SHARD, lent);
    pubsub_reply_change(client, &reply, "sunsubscribe", &lent, TOPIC_SHARD);
    piece = (struct piece){ .bytes = buf_bytes(&text) };
    if (takes_pushes(client)) client_push(client, &piece, 1);
    buf_free(&text);
    buf_free(&name);
}

static void tell_of_slots(struct worker *worker, const struct slots_message *left)
{
    struct list leaving;

    worker_flush(worker);
    list_init(&leaving);
    list_each_safe(at, &worker->shard_parts) {
        uint16_t slot = key_slot(topic_part_name(container_of(at, struct topic_part, of_worker)));

        if (!(left->slots[slot / 8] & 1u << slot % 8)) continue;
        list_remove(at);
        list_append(&leaving, at);
    }
    /* A client that is closed on the way takes its other parts out of the list. */
    while (!list_is_empty(&leaving)) {
        struct topic_part *part = container_of(leaving.next, struct topic_part, of_worker);
        struct subscription *subscription = container_of(part->clients.next, struct subscription, in_part);

        if (subscription->owner->client == NULL)
            give_up(worker, subscription);
        else
            tell_and_end(subscription->owner->client, part);
    }
}

static void deliver_slots(struct message *message, void *receiver)
{
    struct slots_message *left = container_of(message, struct slots_message, message);

    if (worker_is_running(receiver)) tell_of_slots(receiver, left);
    alloc_free(left);
}

void pubsub_slots_left(struct node *node, const uint8_t slots[2048])
{
    if (topics_count(node->pubsub->topics, TOPIC_SHARD) == 0) return;
    for (int i = 0; i < node->worker_count; i++) {
        struct slots_message *left = alloc(sizeof(*left));

        left->message.deliver = deliver_slots;
        memcpy(left->slots, slots, sizeof(left->slots));
        mailbox_post(&node->workers[i]->mailbox, &left->message);
    }
}
