#include "server/events.h"

#include "base/alloc.h"
#include "base/lock.h"

#include <string.h>

/* So much of what was noted may wait to be delivered. */
#define WAITING_BYTES_MAX ((size_t)32 << 20)

/* An event, as it was noted. */
struct noted {
    struct noted *next;
    const char *event;
    bool on_keyspace, on_keyevent;
    struct bytes key; /* behind it */
};

struct events {
    struct node *node;
    _Atomic(struct noted *) newest; /* a stack: any thread pushes, one takes all */
    _Atomic bool is_delivering;
    _Atomic size_t waiting_bytes;
    _Atomic uint64_t dropped;
};

struct events *events_new(struct node *node)
{
    struct events *events = alloc_zeroed(sizeof(*events));

    events->node = node;
    return events;
}

static size_t size_of(const struct noted *noted)
{
    return sizeof(*noted) + noted->key.len;
}

void events_note(struct node *node, const char *event, struct bytes key)
{
    struct events *events = node->events;
    uint32_t classes = config_int(node->config, event_classes);
    struct noted *noted, *newest;

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
    atomic_fetch_add_explicit(&events->waiting_bytes, size_of(noted), memory_order_relaxed);
    newest = atomic_load_explicit(&events->newest, memory_order_relaxed);
    do noted->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&events->newest, &newest, noted, memory_order_seq_cst,
                                                  memory_order_relaxed));
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
    atomic_fetch_sub_explicit(&events->waiting_bytes, size_of(noted), memory_order_relaxed);
    alloc_free(noted);
}

static void publish(struct events *events, const struct noted *noted)
{
    (void)events;
    (void)noted;
}

bool events_are_pending(const struct node *node)
{
    return atomic_load_explicit(&node->events->newest, memory_order_relaxed) != NULL;
}

void events_publish(struct node *node)
{
    struct events *events = node->events;

    lock_assert_none_held();
    while (atomic_load_explicit(&events->newest, memory_order_seq_cst) != NULL &&
           !atomic_exchange_explicit(&events->is_delivering, true, memory_order_seq_cst)) {
        struct noted *noted = take_all(events), *next;

        for (; noted != NULL; noted = next) {
            next = noted->next;
            publish(events, noted);
            drop(events, noted);
        }
        /* Who noted something since, and found us at it, has gone: hence the loop. */
        atomic_store_explicit(&events->is_delivering, false, memory_order_seq_cst);
    }
}

uint64_t events_dropped(const struct node *node)
{
    return atomic_load_explicit(&node->events->dropped, memory_order_relaxed);
}

void events_free(struct events **events)
{
    struct noted *noted = take_all(*events), *next;

    for (; noted != NULL; noted = next) {
        next = noted->next;
        drop(*events, noted);
    }
    alloc_free(*events);
    *events = NULL;
}
