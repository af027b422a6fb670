/* server/pubsub_internal.h: what the files of publish and subscribe share. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "net/mailbox.h"
#include "server/pubsub.h"

struct reply;
struct subscriptions;

/* One client, one name. */
struct subscription {
    struct subscription *next; /* in its bucket */
    uint64_t hash;
    struct subscriptions *owner; /* its client's */
    struct topic_part *part;     /* kept by the subscription */
    uint64_t since;              /* messages up to this number are not for it */
    struct list in_part;
    struct list in_client;
};

struct publication {
    _Atomic uint32_t holders;
    size_t len;  /* of the body */
    char body[]; /* "$4\r\nnews\r\n$2\r\nhi\r\n" */
};
void publication_let_go(struct publication *publication);

/* A message on its way to a worker, for one part. */
struct delivery {
    struct message message;
    struct delivery *next;           /* until it is posted */
    struct topic_part *part;         /* held */
    struct publication *publication; /* held; NULL: messages were lost, and the part's subscribers are to go */
    uint64_t number;
};

struct pubsub {
    struct node *node;
    struct topics *topics;
    _Atomic size_t bytes_on_way; /* what is posted and not delivered yet */
    _Atomic uint64_t lost;
};

/* Posts them in order; frees them instead. */
void pubsub_post(struct node *node, struct delivery *first);
void pubsub_drop(struct delivery *first);

/* server/pubsub_client.c: the deliver of a struct delivery. */
void pubsub_deliver(struct message *message, void *receiver);
size_t delivery_bytes(const struct delivery *delivery);
/* Some are not on their way any more. */
void pubsub_arrived(struct pubsub *pubsub, size_t bytes);
