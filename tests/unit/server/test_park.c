/* Of many who wait for one key and are woken at once the first are not kept waiting for the last, and others not for all of them. */
#define PEERS 300u

#include "cache/fill.h"
#include "proto/reply.h"
#include "server/park.h"
#include "unit/server/one_worker.h"

static struct answered {
    size_t count, replies_before[PEERS]; /* by those that were answered: how many replies had left */
} answered;

static size_t replies_sent(void)
{
    size_t sum = 0;

    for (int fd = 0; fd < FDS; fd++) sum += sent[fd].calls;
    return sum;
}

static void wait_for_key(struct call *call)
{
    struct slot *slot = call_slot(call, 1);
    uint64_t hash = call_hash(call, 1);

    if (call_is_again(call)) {
        call_unwait(call, slot);
        answered.replies_before[answered.count++] = replies_sent();
        reply_ok(call->reply);
        return;
    }
    fill_wait(fills_of(call->node->fills, slot), hash, client_filler(call->client), 0, call->now_ms);
    call_park(call, &(struct park_options){ .slot = slot, .hash = hash, .wait_ms = 3600000 });
}

static const struct command command_wait = {
    .name = "waitkey", .arity = 2, .keys = { { .first = 1, .step = 1 } }, .flags = COMMAND_WRITE, .run = wait_for_key
};
static const struct command *const family[] = { &command_wait, NULL };
static const struct command *const *const families[2] = { family, NULL };

static struct client *clients[PEERS];

static bool is_parked(const struct client *client)
{
    return (client_flags(client) & CLIENT_PARKED) != 0;
}

static void begin_waiting(struct fixture *f)
{
    begin(f);
    answered = (struct answered){ 0 };
    for (unsigned i = 0; i < PEERS; i++) {
        clients[i] = join(f);
        say(f, i, "WAITKEY k\r\n", 11);
    }
    for (unsigned i = 0; i < PEERS; i++)
        while (!is_parked(clients[i])) turn(f);
    CHECK(replies_sent() == 0);
}

static void fill_key(struct fixture *f)
{
    struct slot *slot = keyspace_slot(f->node.keyspace, key_slot(BYTES("k")));
    struct entry *entry = entry_new(BYTES("k"), BYTES("v"), ENTRY_KEEPS_FOREVER);

    slot_lock(slot);
    slot_put(slot, &entry);
    slot_unlock(slot);
    park_deliver(&f->node);
}

TEST(the_first_that_are_woken_have_their_replies_before_the_last_run)
{
    struct fixture f;

    begin_waiting(&f);
    fill_key(&f);
    while (answered.count < PEERS) turn(&f);
    for (size_t i = 0; i < PEERS; i++) CHECK(answered.replies_before[i] >= i / LOOK_AHEAD_MAX * LOOK_AHEAD_MAX);
    CHECK(replies_sent() == PEERS);
    for (unsigned i = 0; i < PEERS; i++) CHECK(sent[f.fd[i]].total == strlen("+OK\r\n") && !is_parked(clients[i]));
    done(&f);
}

TEST(only_so_many_of_them_go_on_in_one_turn)
{
    struct fixture f;

    begin_waiting(&f);
    fill_key(&f);
    while (answered.count < PEERS) {
        size_t before = answered.count;

        turn(&f);
        CHECK(answered.count - before <= 256);
    }
    done(&f);
}

TEST(one_who_leaves_before_it_goes_on_is_forgotten)
{
    struct fixture f;
    unsigned last = PEERS - 1;

    begin_waiting(&f);
    fill_key(&f);
    client_close(clients[0]);
    while (answered.count < 200) turn(&f);
    while (!is_parked(clients[last])) last--;
    client_close(clients[last]);
    while (answered.count < PEERS - 2) turn(&f);
    turn(&f);
    CHECK(answered.count == PEERS - 2 && replies_sent() == PEERS - 2);
    done(&f);
}

TESTS(the_first_that_are_woken_have_their_replies_before_the_last_run, only_so_many_of_them_go_on_in_one_turn,
      one_who_leaves_before_it_goes_on_is_forgotten)
