/* net/mailbox.h
 *
 * How one thread tells another something: a lock-free stack of messages that many push and one empties, and an ev_async that wakes the
 * receiver's loop. Messages arrive in the order each sender posted them. A message belongs to the receiver from the post on. */
#pragma once

#include <ev.h>
#include <stdatomic.h>
#include <stdbool.h>

struct message {
    struct message *next;
    void (*deliver)(struct message *message, void *receiver); /* runs on the receiver's thread; frees the message */
};

struct mailbox {
    _Atomic(struct message *) head;
    struct ev_async wake;
    struct ev_loop *loop;
    void *receiver;
};

void mailbox_open(struct mailbox *mailbox, struct ev_loop *loop, void *receiver);
void mailbox_post(struct mailbox *mailbox, struct message *message);
/* Delivers what is there; the loop does so by itself when woken. */
void mailbox_deliver(struct mailbox *mailbox);
/* Does nothing wait in it at this moment? The receiver's thread. */
static inline bool mailbox_is_empty(const struct mailbox *mailbox)
{
    return atomic_load_explicit(&mailbox->head, memory_order_relaxed) == NULL;
}
void mailbox_close(struct mailbox *mailbox);
