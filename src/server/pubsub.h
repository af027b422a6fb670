/* server/pubsub.h
 *
 * Publish and subscribe. Who listens to what is in the registry (server/topics.h); a message goes to the workers that have subscribers, once to each
 * part of a topic, and from there to the clients:
 *
 *     publisher's thread   pubsub_publish()   registry: parts and numbers    ---> mailboxes of the workers
 *     subscriber's worker  deliver            part's clients: head + body    ---> their connections, written at the turn's end
 *
 * The body, channel and message in RESP, is made once and shared: by workers, by clients and, where it is large, by the queues of connections. Its head
 * depends on the protocol and the kind of subscription.
 *
 * What one publisher publishes arrives at one subscriber in that order, and behind the keyspace events that it caused before. What waits in mailboxes is bounded for the
 * node: publishers wait (as in CLIENT PAUSE) while it is much; where it is too much all the same, as with events or what other nodes publish, the
 * subscribers whose worker does not keep up are disconnected. So is one that does not read, by client-output-buffer-limit's class pubsub. */
#pragma once

#include "server/topics.h"

struct call;
struct client;
struct message;
struct node;
struct pubsub;
struct publication;
struct reply;
struct worker;

struct pubsub *pubsub_new(struct node *node);
/* When no worker is there any more. */
void pubsub_free(struct pubsub **pubsub);
struct topics *pubsub_topics(const struct node *node);

/* --- Publishing: any thread, with no lock held --- */

/* A message on a channel or a shard channel. Returns how many subscribers it is for. */
uint64_t pubsub_publish(struct node *node, enum topic_kind kind, struct bytes channel, struct bytes message);
/* The same from a command of EXEC, with its locks held: the message goes behind the events that were noted before it, by events_deliver(). */
uint64_t pubsub_publish_in_order(struct node *node, enum topic_kind kind, struct bytes channel, struct bytes message);
/* The same for a keyspace event, which need not queue behind the keyspace events: it is one. */
void pubsub_publish_event(struct node *node, struct bytes channel, struct bytes message);
/* Is so much on its way that who publishes had better wait? On yes the worker's paused clients are told when there is less. */
bool pubsub_must_wait(struct worker *worker);

/* There is less on its way: those who wait look again. */
void pubsub_go_on(struct node *node);

/* Messages whose subscribers were disconnected instead, since the start. */
uint64_t pubsub_lost(const struct node *node);

/* --- A client's subscriptions: on its worker --- */

/* False where it had that one already. */
bool pubsub_subscribe(struct client *client, enum topic_kind kind, struct bytes name);
/* False where it had none. */
bool pubsub_unsubscribe(struct client *client, enum topic_kind kind, struct bytes name);
/* All, without a word. It hears nothing any more when this returns; where it had thousands they are given up in the worker's next turns, some in each, and
 * are counted as subscribers until then. */
void pubsub_leave(struct client *client);
/* What a worker has for that; stop gives up all that is left, when it has no clients any more. */
void pubsub_worker_init(struct worker *worker);
void pubsub_worker_stop(struct worker *worker);
/* Any thread. */
size_t pubsub_subscriptions(const struct client *client, enum topic_kind kind);
/* One of its names, or false; good until it is unsubscribed. */
bool pubsub_any(const struct client *client, enum topic_kind kind, struct bytes *name);
/* May a client that subscribes to something run this command? One that speaks RESP2 could not tell other replies from messages; the refusal says so,
 * and of EXEC ends the transaction. */
bool pubsub_admits(const struct call *call);
void pubsub_refuse(struct call *call);
/* What they take of memory. */
size_t pubsub_bytes(const struct client *client);
/* Adds that to what the client takes; after any change. */
void client_account_subscriptions(struct client *client);

/* Writes what is said of a change ("subscribe" and its kin): the name (NULL: none), and how many subscriptions there are. */
void pubsub_reply_change(struct client *client, struct reply *reply, const char *word, const struct bytes *name,
                         enum topic_kind kind);

/* --- Slots --- */

/* These slots (a bit each) are not served here any more: who subscribes to shard channels in them is told, and subscribes no more. Any thread, with no
 * lock held. */
void pubsub_slots_left(struct node *node, const uint8_t slots[2048]);
