/* server/topics.h
 *
 * Who listens to what, of all workers: the registry of channels, patterns and shard channels. It knows no clients and no sockets.
 *
 *     topic "news" --> part of worker 0: how many of its clients subscribe  --> their list, which is worker 0's alone
 *                  --> part of worker 2
 *
 * A topic is there while somebody subscribes to it, and a part while one of that worker's clients does. A publisher collects the parts a message
 * is for, under the short lock of the channel's stripe, and posts the message to their workers after that: a worker finds the clients in
 * the part and searches nothing. Patterns are matched with no lock held, over a list that is made anew when it has changed.
 *
 * Messages to a part are numbered, so that who subscribes while one is on its way is not sent it.
 *
 * Lock order: slot -> stripe -> the patterns' own; memory is all that is asked for under them. Any thread. */
#pragma once

#include "base/bytes.h"
#include "base/list.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum topic_kind { TOPIC_CHANNEL, TOPIC_PATTERN, TOPIC_SHARD, TOPIC_KINDS };

struct topic;
struct topics;

/* One worker's part of a topic. Lives while it has subscribers or somebody holds it. */
struct topic_part {
    struct topic *topic; /* held */
    int worker;
    _Atomic uint32_t holders;
    _Atomic bool lost;     /* messages for it were dropped: its subscribers are to be disconnected */
    struct list in_topic;  /* under the stripe's lock */
    uint64_t subscribers;  /* under the stripe's lock */
    uint64_t messages;     /* that were collected for it; under the stripe's lock */
    struct list clients;   /* the worker's own: whatever it chains here */
    struct list of_worker; /* the worker's own likewise */
};

struct topics *topics_new(void);
/* When nobody is left who holds a part. */
void topics_free(struct topics **topics);

/* One subscriber more of a worker's. Returns the part, good until topics_leave(); messages numbered above *since are for this subscriber.
 * *is_new: it is the worker's first. */
struct topic_part *topics_join(struct topics *topics, enum topic_kind kind, struct bytes name, int worker,
                               uint64_t *since, bool *is_new);
/* One less. The part may be gone when it returns, unless it is held. True where it was the worker's last. */
bool topics_leave(struct topics *topics, struct topic_part *part);

struct bytes topic_part_name(const struct topic_part *part);
enum topic_kind topic_part_kind(const struct topic_part *part);
void topic_part_hold(struct topic_part *part);
void topic_part_let_go(struct topic_part *part);

/* Visits the parts that a message on a channel (or shard channel) is for: first those of the channel itself, then those of the patterns that match it,
 * each with the message's number for it. The visitor is called under a stripe's lock; it may hold the part and allocate, and nothing else. Returns how many
 * subscribers that is. */
uint64_t topics_collect(struct topics *topics, enum topic_kind kind, struct bytes channel,
                        void (*visit)(void *context, struct topic_part *part, uint64_t number), void *context);

/* How many topics of a kind there are, and of one how many subscribers. The first is one relaxed load. */
size_t topics_count(const struct topics *topics, enum topic_kind kind);
uint64_t topics_subscribers(struct topics *topics, enum topic_kind kind, struct bytes name);
/* Visits the names of a kind that a pattern matches, each once; no lock is held. */
void topics_each(struct topics *topics, enum topic_kind kind, struct bytes pattern,
                 void (*visit)(void *context, struct bytes name), void *context);
/* What one subscription to a name takes of memory, about: the topic and the part counted as if they were this one's alone. */
size_t topics_bytes(struct bytes name);
