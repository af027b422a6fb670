/* bus/publish.h
 *
 * What clients publish, on its way to the other nodes: any thread adds, the control loop takes and sends. It rides on the links of the bus, as Redis's nodes
 * expect it, and must not be in the way of heartbeats:
 *
 *     the queue   bounded: who publishes is made to wait while it is long (publish_is_long()), and beyond that messages are dropped
 *     a turn      so many bytes of packets and no more; what is left comes after the other events of the loop
 *     a link      one that has more than a little to send already is waited for, but not for long: then it is left out until it has sent that, and what is
 *                 left out is counted. So a node that stands still costs the others a moment, once, and one that is only slow holds publishers back
 *     a message   one that is too long is not sent to other nodes at all */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of channel and message together: what leaves a link room for heartbeats below the bound of bus/link.c. */
#define PUBLISH_BYTES_MAX ((size_t)8 << 20)
/* What waits on a link beyond which it gets no more, and how long it is waited for. */
#define PUBLISH_LINK_BYTES_MAX ((size_t)1 << 20)
#define PUBLISH_LINK_WAIT_MS 200
/* What is made of packets in one turn of the loop. */
#define PUBLISH_TURN_BYTES ((size_t)1 << 20)

struct publish_queue;

struct cluster;
struct links;
struct lock;

struct publish_queue *publish_queue_new(void);
void publish_queue_free(struct publish_queue **queue);

/* Copies. Any thread. False: dropped. */
bool publish_add(struct publish_queue *queue, bool shard, struct bytes channel, struct bytes message);
/* A yes-no: should who publishes wait? Where publish_turn() sets *goes_on, no more. */
bool publish_is_long(const struct publish_queue *queue);
bool publish_is_empty(const struct publish_queue *queue);

/* The control loop: sends what waits, about PUBLISH_TURN_BYTES of it. Takes the lock that guards the cluster for a while; links are used without. */
enum publish_turn {
    PUBLISH_DONE, /* all of it */
    PUBLISH_MORE, /* there is more to be sent at once */
    PUBLISH_WAIT, /* until a link has sent what it has, or a while has passed */
};
enum publish_turn publish_turn(struct publish_queue *queue, struct lock *lock, struct cluster *cluster,
                               struct links *links, int64_t now_ms, bool *goes_on);

/* Messages that were dropped, for a link or for all. Any thread. */
uint64_t publish_dropped(const struct publish_queue *queue);
