#include "server/events.h"

#include "base/alloc.h"
#include "base/lock.h"
#include "server/pubsub_internal.h"
#include "server/worker_internal.h"

#include <string.h>

/* So much of what was noted may wait to be delivered. */
#define WAITING_BYTES_MAX ((size_t)32 << 20)

/* So often one thread takes what the others have noted meanwhile, and then leaves it to a worker's next turn: its own clients wait. */
#define ROUNDS_MAX 8

/* An event, as it was noted; or messages that others published while events were pending. */
struct noted {
    struct noted *next;
    const char *event; /* NULL: messages */
    bool on_keyspace, on_keyevent;
    struct bytes key; /* behind it */
    struct delivery *deliveries;
};

struct events {
    struct node *node;
    _Atomic(struct noted *) newest; /* a stack: any thread pushes, one takes all */
    _Atomic bool is_delivering;
    struct keyspace_watch watch;
    struct message go_on; /* belongs to who delivers */
    _Atomic size_t waiting_bytes;
    _Atomic uint64_t dropped;
};

static void note_expired(void *context, struct bytes key)
{
    keyspace_event(context, EVENT_EXPIRED, "expired", key);
}

static void note_evicted(void *context, struct bytes key)
{
    keyspace_event(context, EVENT_EVICTED, "evicted", key);
}

struct events *events_new(struct node *node)
{
    struct events *events = alloc_zeroed(sizeof(*events));

    events->node = node;
    events->watch = (struct keyspace_watch){ .context = node, .expired = note_expired, .evicted = note_evicted };
    keyspace_watch(node->keyspace, &events->watch);
    return events;
}

static size_t size_of(const struct noted *noted)
{
    return sizeof(*noted) + noted->key.len;
}

static void push(struct events *events, struct noted *noted)
{
    struct noted *newest = atomic_load_explicit(&events->newest, memory_order_relaxed);

    atomic_fetch_add_explicit(&events->waiting_bytes, size_of(noted), memory_order_relaxed);
    do noted->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&events->newest, &newest, noted, memory_order_seq_cst,
                                                  memory_order_relaxed));
}

void events_note(struct node *node, const char *event, struct bytes key)
{
    struct events *events = node->events;
    uint32_t classes = config_int(node->config, event_classes);
    struct noted *noted;

    if (!(classes & (EVENT_KEYSPACE | EVENT_KEYEVENT))) return;
    if (atomic_load_explicit(&events->waiting_bytes, memory_order_relaxed) > WAITING_BYTES_MAX) {
        atomic_fetch_add_explicit(&events->dropped, 1, memory_order_relaxed);
        return;
    }
    noted = alloc(sizeof(*noted) + key.len);
    *noted = (struct noted){ .event = event,
                             .on_keyspace = (classes & EVENT_KEYSPACE) != 0,
                             .on_keyevent = (classes & EVENT_KEYEVENT) != 0,
                             .key = { (char *)(noted + 1), key.len } };
    if (key.len > 0) memcpy(noted + 1, key.data, key.len);
    push(events, noted);
}

void events_note_deliveries(struct node *node, struct delivery *first)
{
    struct noted *noted = alloc(sizeof(*noted));

    *noted = (struct noted){ .event = NULL, .deliveries = first };
    push(node->events, noted);
}

/* Takes all that were noted, the oldest first. */
static struct noted *take_all(struct events *events)
{
    struct noted *stack = atomic_exchange_explicit(&events->newest, NULL, memory_order_seq_cst), *in_order = NULL;

    while (stack != NULL) {
        struct noted *next = stack->next;

        stack->next = in_order;
        in_order = stack;
        stack = next;
    }
    return in_order;
}

static void drop(struct events *events, struct noted *noted)
{
    pubsub_drop(noted->deliveries);
    atomic_fetch_sub_explicit(&events->waiting_bytes, size_of(noted), memory_order_relaxed);
    alloc_free(noted);
}

/* On "__keyspace@0__:" or "__keyevent@0__:" and a name. */
static void publish_on(struct node *node, const char *prefix, struct bytes name, struct bytes message)
{
    struct buf channel = { 0 };

    buf_append_text(&channel, prefix);
    buf_append_bytes(&channel, name);
    pubsub_publish_event(node, buf_bytes(&channel), message);
    buf_free(&channel);
}

static void publish(const struct events *events, struct noted *noted)
{
    struct node *node = events->node;
    struct bytes event;

    if (noted->event == NULL) {
        pubsub_post(node, noted->deliveries);
        noted->deliveries = NULL;
        return;
    }
    event = bytes_of(noted->event);
    if (noted->on_keyspace) publish_on(node, "__keyspace@0__:", noted->key, event);
    if (noted->on_keyevent) publish_on(node, "__keyevent@0__:", event, noted->key);
}

bool events_are_pending(const struct node *node)
{
    /* In this order: what is taken out is taken by who delivers. */
    return atomic_load_explicit(&node->events->newest, memory_order_acquire) != NULL ||
           atomic_load_explicit(&node->events->is_delivering, memory_order_acquire);
}

/* As the one who delivers. */
static void publish_all(struct events *events)
{
    struct noted *noted = take_all(events), *next;

    for (; noted != NULL; noted = next) {
        next = noted->next;
        publish(events, noted);
        drop(events, noted);
    }
}

static bool has_more(const struct events *events)
{
    return atomic_load_explicit(&events->newest, memory_order_seq_cst) != NULL;
}

static void deliver_go_on(struct message *message, void *receiver);

/* Who noted something while we delivered has found us at it, and gone: hence the rounds. */
static void publish_in_rounds(struct events *events)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        publish_all(events);
        atomic_store_explicit(&events->is_delivering, false, memory_order_seq_cst);
        if (!has_more(events) || atomic_exchange_explicit(&events->is_delivering, true, memory_order_seq_cst)) return;
    }
    events->go_on.deliver = deliver_go_on;
    mailbox_post(&events->node->workers[0]->mailbox, &events->go_on);
}

static void deliver_go_on(struct message *message, void *receiver)
{
    /* Else the node ends, and what is left goes with it. */
    if (worker_is_running(receiver)) publish_in_rounds(container_of(message, struct events, go_on));
}

void events_publish(struct node *node)
{
    struct events *events = node->events;

    lock_assert_none_held();
    if (has_more(events) && !atomic_exchange_explicit(&events->is_delivering, true, memory_order_seq_cst))
        publish_in_rounds(events);
}

uint64_t events_dropped(const struct node *node)
{
    return atomic_load_explicit(&node->events->dropped, memory_order_relaxed);
}

void events_free(struct events **events)
{
    keyspace_watch((*events)->node->keyspace, NULL);
    struct noted *noted = take_all(*events), *next;

    for (; noted != NULL; noted = next) {
        next = noted->next;
        drop(*events, noted);
    }
    alloc_free(*events);
    *events = NULL;
}
