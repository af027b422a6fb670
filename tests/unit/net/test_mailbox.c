/* A message reaches the receiver's thread, each sender's in the order they were posted, and none is lost. */
#include "base/alloc.h"
#include "base/list.h"
#include "net/mailbox.h"
#include "unit/unit.h"

#include <pthread.h>

#define SENDERS 3
#define POSTS 20000

struct numbered {
    struct message message;
    int sender, number;
};

struct receiver {
    struct mailbox mailbox;
    int next[SENDERS];
    int total;
    bool in_order;
};

static void deliver(struct message *message, void *receiver)
{
    struct numbered *numbered = container_of(message, struct numbered, message);
    struct receiver *at = receiver;

    if (numbered->number != at->next[numbered->sender]++) at->in_order = false;
    alloc_free(numbered);
    if (++at->total == SENDERS * POSTS) ev_break(at->mailbox.loop, EVBREAK_ALL);
}

struct sender {
    struct mailbox *mailbox;
    int id;
};

static void *post_all(void *argument)
{
    struct sender *sender = argument;

    for (int i = 0; i < POSTS; i++) {
        struct numbered *numbered = alloc(sizeof(*numbered));

        *numbered = (struct numbered){ .message.deliver = deliver, .sender = sender->id, .number = i };
        mailbox_post(sender->mailbox, &numbered->message);
    }
    return NULL;
}

TEST(messages_of_a_sender_arrive_in_order_and_none_is_lost)
{
    struct receiver receiver = { .in_order = true };
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);

    mailbox_open(&receiver.mailbox, loop, &receiver);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ &receiver.mailbox, i };
        pthread_create(&threads[i], NULL, post_all, &senders[i]);
    }
    ev_run(loop, 0);
    for (int i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    CHECK(receiver.in_order);
    CHECK(receiver.total == SENDERS * POSTS);
    mailbox_close(&receiver.mailbox);
    ev_loop_destroy(loop);
}

TESTS(messages_of_a_sender_arrive_in_order_and_none_is_lost)
