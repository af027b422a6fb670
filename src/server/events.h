/* server/events.h
 *
 * Keyspace events: what notify-keyspace-events asks for is published on __keyspace@0__:<key> and __keyevent@0__:<event>.
 *
 *     any thread, slots locked or not     keyspace_event()  -->  one queue  -->  events_deliver(), no lock held
 *
 * Nothing is published under a slot's lock: an event is noted there, and that is all. The queue is one for the node, so the events of a key are
 * published in the order in which its slot's lock was held, whichever threads changed it. Each worker delivers at the end of its turn, before
 * the replies leave, and ten times a second where it has nothing to do: so what other threads note needs no more than the noting. One thread
 * delivers at a time; the others leave to it what they have noted, and do not wait.
 *
 * While a class is not asked for, an event of it costs one relaxed load. The queue is bounded: beyond that events are dropped and counted. */
#pragma once

#include "server/event_class.h"
#include "server/node.h"

struct delivery;
struct events;

/* Watches what expires and what is evicted, too. Before other threads run. */
struct events *events_new(struct node *node);
/* When no other thread runs. Frees what was not delivered. */
void events_free(struct events **events);

/* Is any of these classes asked for? For who has to find something out before there is an event. */
static inline bool events_wanted(const struct node *node, uint32_t classes)
{
    return (config_int(node->config, event_classes) & classes) != 0;
}

/* keyspace_event()'s own. */
void events_note(struct node *node, const char *event, struct bytes key);

/* Something has happened to a key: to be said where it happens, with the lock of the key's slot held, from any thread. `event` is a text
 * that lasts; the key is copied. */
static inline void keyspace_event(struct node *node, enum event_class class, const char *event, struct bytes key)
{
    if (__builtin_expect(events_wanted(node, class), 0)) events_note(node, event, key);
}

/* Publishes what was noted. With no lock held; any thread. */
bool events_are_pending(const struct node *node);
void events_publish(struct node *node);
static inline void events_deliver(struct node *node)
{
    if (__builtin_expect(events_are_pending(node), 0)) events_publish(node);
}

/* Messages that are to be posted behind the events that are pending: server/pubsub.c's own. Takes them over. Locks may be held. */
void events_note_deliveries(struct node *node, struct delivery *first);

/* How many were dropped since the start. */
uint64_t events_dropped(const struct node *node);
