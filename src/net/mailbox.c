#include "net/mailbox.h"

#include "base/list.h"
#include "base/lock.h"

static void on_wake(struct ev_loop *loop, struct ev_async *watcher, int events)
{
    (void)loop;
    (void)events;
    mailbox_deliver(container_of(watcher, struct mailbox, wake));
}

void mailbox_open(struct mailbox *mailbox, struct ev_loop *loop, void *receiver)
{
    atomic_init(&mailbox->head, NULL);
    mailbox->loop = loop;
    mailbox->receiver = receiver;
    ev_async_init(&mailbox->wake, on_wake);
    ev_async_start(loop, &mailbox->wake);
}

void mailbox_post(struct mailbox *mailbox, struct message *message)
{
    struct message *head = atomic_load_explicit(&mailbox->head, memory_order_relaxed);

    lock_assert_none_held();
    do message->next = head;
    while (!atomic_compare_exchange_weak_explicit(&mailbox->head, &head, message, memory_order_release,
                                                  memory_order_relaxed));
    /* Only the first message of a batch needs to wake the loop: it empties the whole stack. */
    if (head == NULL) ev_async_send(mailbox->loop, &mailbox->wake);
}

void mailbox_deliver(struct mailbox *mailbox)
{
    struct message *stack = atomic_exchange_explicit(&mailbox->head, NULL, memory_order_acquire);
    struct message *in_order = NULL;

    while (stack != NULL) {
        struct message *next = stack->next;

        stack->next = in_order;
        in_order = stack;
        stack = next;
    }
    while (in_order != NULL) {
        struct message *next = in_order->next;

        in_order->deliver(in_order, mailbox->receiver);
        in_order = next;
    }
}

void mailbox_close(struct mailbox *mailbox)
{
    mailbox_deliver(mailbox);
    ev_async_stop(mailbox->loop, &mailbox->wake);
}
