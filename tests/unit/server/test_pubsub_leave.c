/* A client may leave a million subscriptions behind. It hears nothing from then on; but they are given up some in each turn, and the worker's other clients
 * are served in between. */
#include "server/topics.h"
#include "unit/server/one_worker.h"

static const struct command *const family[] = { NULL };
static const struct command *const *const families[2] = { family, NULL };

#define MANY 5000u
#define A_TURN 512u

static struct bytes name(char text[16], unsigned n)
{
    return (struct bytes){ text, (size_t)snprintf(text, 16, "ch:%u", n) };
}

static void subscribe(struct client *client, enum topic_kind kind, unsigned count)
{
    char text[16];

    for (unsigned i = 0; i < count; i++) CHECK(pubsub_subscribe(client, kind, name(text, i)));
}

static size_t left(struct fixture *f)
{
    size_t sum = 0;

    for (int kind = 0; kind < TOPIC_KINDS; kind++) sum += topics_count(pubsub_topics(&f->node), (enum topic_kind)kind);
    return sum;
}

/* Until the worker has no more of it to do. */
static size_t turns_until_all_are_given_up(struct fixture *f)
{
    size_t turns = 0;

    for (; ev_is_active(&f->worker->leaving_on); turns++) {
        size_t before = left(f);

        turn(f);
        CHECK(before - left(f) <= A_TURN);
    }
    CHECK(list_is_empty(&f->worker->leaving));
    return turns;
}

TEST(many_are_given_up_some_in_each_turn)
{
    struct fixture f;
    struct client *client;

    begin(&f);
    client = join(&f);
    for (int kind = 0; kind < TOPIC_KINDS; kind++) subscribe(client, (enum topic_kind)kind, MANY);
    client_close(client);
    CHECK(left(&f) == 3 * MANY - A_TURN);
    CHECK(turns_until_all_are_given_up(&f) >= 3 * MANY / A_TURN - 1);
    CHECK(left(&f) == 0);
    done(&f);
}

TEST(few_are_given_up_at_once)
{
    struct fixture f;
    struct client *client;

    begin(&f);
    client = join(&f);
    subscribe(client, TOPIC_CHANNEL, 300);
    subscribe(client, TOPIC_PATTERN, 200);
    client_close(client);
    CHECK(left(&f) == 0 && !ev_is_active(&f.worker->leaving_on));
    done(&f);
}

TEST(several_who_leave_at_once_are_given_up_one_after_the_other)
{
    struct fixture f;
    struct client *clients[3];

    begin(&f);
    for (int i = 0; i < 3; i++) subscribe(clients[i] = join(&f), TOPIC_CHANNEL, MANY);
    for (int i = 0; i < 3; i++) client_close(clients[i]);
    CHECK(left(&f) == MANY);
    CHECK(turns_until_all_are_given_up(&f) >= 3 * MANY / A_TURN - 1);
    CHECK(left(&f) == 0);
    done(&f);
}

TEST(who_has_left_hears_nothing_and_may_subscribe_again)
{
    const char *message = "*3\r\n$7\r\nmessage\r\n$7\r\nch:4999\r\n$5\r\nhello\r\n";
    struct fixture f;
    struct client *leaves, *stays;

    begin(&f);
    leaves = join(&f);
    stays = join(&f);
    subscribe(leaves, TOPIC_CHANNEL, MANY);
    CHECK(pubsub_subscribe(stays, TOPIC_CHANNEL, BYTES("ch:4999")));
    pubsub_leave(leaves);
    CHECK(pubsub_subscriptions(leaves, TOPIC_CHANNEL) == 0 && !(client_flags(leaves) & CLIENT_SUBSCRIBED));
    pubsub_publish(&f.node, TOPIC_CHANNEL, BYTES("ch:4999"), BYTES("hello"));
    turn(&f);
    turn(&f);
    CHECK(left(&f) > 1); /* its own, which is among the last, is there still */
    CHECK(sent[f.fd[0]].total == 0 && sent[f.fd[1]].total == strlen(message));
    CHECK(pubsub_subscribe(leaves, TOPIC_CHANNEL, BYTES("ch:4999")));
    pubsub_publish(&f.node, TOPIC_CHANNEL, BYTES("ch:4999"), BYTES("hello"));
    turn(&f);
    turn(&f);
    CHECK(left(&f) > 1);
    CHECK(sent[f.fd[0]].total == strlen(message) && sent[f.fd[1]].total == 2 * strlen(message));
    turns_until_all_are_given_up(&f);
    CHECK(left(&f) == 1 && topics_subscribers(pubsub_topics(&f.node), TOPIC_CHANNEL, BYTES("ch:4999")) == 2);
    done(&f);
}

TEST(slots_that_leave_meanwhile_take_theirs_along)
{
    static uint8_t slots[SLOT_COUNT / 8];
    struct fixture f;
    struct client *leaves, *stays;

    begin(&f);
    leaves = join(&f);
    stays = join(&f);
    subscribe(leaves, TOPIC_SHARD, MANY);
    subscribe(stays, TOPIC_SHARD, 10);
    client_close(leaves);
    memset(slots, 0xff, sizeof slots);
    pubsub_slots_left(&f.node, slots);
    turn(&f);
    turn(&f);
    CHECK(left(&f) == 0 && pubsub_subscriptions(stays, TOPIC_SHARD) == 0);
    turns_until_all_are_given_up(&f);
    done(&f);
}

TEST(a_worker_that_ends_gives_up_the_rest)
{
    struct fixture f;

    begin(&f);
    subscribe(join(&f), TOPIC_CHANNEL, MANY);
    subscribe(join(&f), TOPIC_CHANNEL, MANY);
    done(&f); /* checks that nobody holds a topic */
}

TESTS(many_are_given_up_some_in_each_turn, few_are_given_up_at_once,
      several_who_leave_at_once_are_given_up_one_after_the_other, who_has_left_hears_nothing_and_may_subscribe_again,
      slots_that_leave_meanwhile_take_theirs_along, a_worker_that_ends_gives_up_the_rest)
