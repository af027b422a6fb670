/* No client keeps a worker to itself: what it gets out of one turn is counted in bytes and commands. */
#include "base/clock.h"
#include "proto/reply.h"
#include "server/turns.h"
#include "unit/server/one_worker.h"

/* --- Commands --- */

static char big[MIB];
static size_t commands_run, released;

static void ping(struct call *call)
{
    commands_run++;
    reply_simple(call->reply, "PONG");
}

static void release(void *owner)
{
    (void)owner;
    released++;
}

static struct bytes of_size(struct call *call)
{
    int64_t len = 0;

    CHECK(call_arg_i64(call, 1, &len) && (size_t)len <= sizeof big);
    commands_run++;
    return (struct bytes){ big, (size_t)len };
}

static void lend(struct call *call)
{
    reply_bulk_piece(call->reply, (struct piece){ .bytes = of_size(call), .release = release });
}

static void copy(struct call *call)
{
    reply_bulk(call->reply, of_size(call));
}

/* Takes so many microseconds. */
static void dawdle(struct call *call)
{
    int64_t end_us, us = 0;

    CHECK(call_arg_i64(call, 1, &us));
    end_us = clock_monotonic_us() + us;
    while (clock_monotonic_us() < end_us) continue;
    ping(call);
}

static void set(struct call *call)
{
    commands_run++;
    call_store(call, 2, ENTRY_KEEPS_FOREVER);
    reply_ok(call->reply);
}

static const struct command command_ping = { .name = "ping", .arity = 1, .run = ping };
static const struct command command_lend = { .name = "lend", .arity = 2, .run = lend };
static const struct command command_copy = { .name = "copy", .arity = 2, .run = copy };
static const struct command command_dawdle = { .name = "dawdle", .arity = 2, .run = dawdle };
static const struct command command_set = {
    .name = "set", .arity = 3, .keys = { { .first = 1, .step = 1 } }, .flags = COMMAND_WRITE, .value_arg = 2, .run = set
};
static const struct command *const family[] = { &command_ping, &command_lend,   &command_copy,
                                                &command_set,  &command_dawdle, NULL };
static const struct command *const *const families[2] = { family, NULL };

static void begin_turns(struct fixture *f)
{
    commands_run = released = 0;
    begin(f);
}

/* The first peer asks for little each turn, and gets it in the next, whatever the others do. */
static size_t turn_of_polite(struct fixture *f)
{
    size_t bytes;

    say(f, 0, "PING\r\n", 6);
    bytes = turn(f);
    CHECK(sent[f->fd[0]].total == f->pings * 7);
    f->pings++;
    return bytes;
}

/* --- Tests --- */

#define LEND_BYTES (MIB + strlen("$1048576\r\n\r\n"))
/* The first share is written with the answer, and another one where its place in the queue comes up in the same turn. */
#define SHARE_MAX (2 * CONN_WRITE_BYTES_MAX)

TEST(who_asks_for_much_gets_a_share_of_it_each_turn)
{
    struct fixture f;
    size_t turns = 0, wanted = 40 * LEND_BYTES;

    begin_turns(&f);
    join(&f);
    join(&f);
    say_often(&f, 1, "LEND 1048576\r\n", 40);
    while (sent[f.fd[1]].total < wanted) {
        size_t bytes = turn_of_polite(&f);

        /* What is written with the answer, before the first turn ends, is that turn's. */
        CHECK((bytes > 0 || turns <= 1) && bytes <= SHARE_MAX);
        turns++;
    }
    CHECK(sent[f.fd[1]].total == wanted && ends_with(f.fd[1], "\r\n") && released == 40);
    CHECK(turns >= wanted / SHARE_MAX);
    turn(&f);
    done(&f);
}

TEST(many_of_them_share_a_turn_evenly)
{
    struct fixture f;
    size_t wanted = 20 * LEND_BYTES, first;

    begin_turns(&f);
    for (unsigned i = 0; i < PEERS; i++) join(&f);
    for (unsigned i = 1; i < PEERS; i++) say_often(&f, i, "LEND 1048576\r\n", 20);
    turn_of_polite(&f);
    first = turn_of_polite(&f);
    CHECK(first <= TURN_BYTES + SHARE_MAX); /* also of what they were answered at once */
    for (size_t all = first; all < (PEERS - 1) * wanted;) {
        size_t bytes = turn_of_polite(&f), least = SIZE_MAX, most = 0;

        CHECK(bytes > 0 && bytes < TURN_BYTES + SHARE_MAX);
        all += bytes;
        for (unsigned i = 1; i < PEERS; i++) {
            size_t total = sent[f.fd[i]].total;

            if (total < least) least = total;
            if (total > most) most = total;
        }
        CHECK(most - least <= 2 * SHARE_MAX);
    }
    turn(&f);
    done(&f);
}

TEST(a_socket_that_takes_all_is_not_watched_for_it)
{
    struct fixture f;
    struct client *client;

    begin_turns(&f);
    join(&f);
    join(&f);
    client = container_of(f.worker->clients.prev, struct client, link);
    say_often(&f, 1, "LEND 1048576\r\n", 1);
    while (sent[f.fd[1]].total < LEND_BYTES) {
        turn(&f);
        CHECK(!conn_is_full(&client->conn));
        CHECK(ev_is_active(&f.worker->no_wait) == (f.worker->turn_count > 0));
    }
    /* Each call but the last has written a whole share. */
    CHECK(sent[f.fd[1]].calls == MIB / CONN_WRITE_BYTES);
    done(&f);
}

TEST(who_sends_many_commands_has_some_of_them_run_each_turn)
{
    struct fixture f;
    size_t times = 30000, turns = 0;
    struct client *client;

    begin_turns(&f);
    join(&f);
    join(&f);
    client = container_of(f.worker->clients.prev, struct client, link);
    say_often(&f, 1, "PING\r\n", times);
    while (sent[f.fd[1]].total < times * strlen("+PONG\r\n")) {
        size_t before = commands_run;

        turn_of_polite(&f);
        /* Those of the read, and where its place in the queue comes up those of another go. */
        CHECK(commands_run - before <= 2 * (TURN_COMMANDS + LOOK_AHEAD_MAX) + 1);
        CHECK(client->query.len <= 4 * READ_BYTES); /* no more is read before that has run */
        turns++;
    }
    CHECK(turns >= times / (2 * (TURN_COMMANDS + LOOK_AHEAD_MAX)));
    done(&f);
}

TEST(who_is_copied_much_has_his_turn_ended)
{
    struct fixture f;
    size_t reply = strlen("$10000\r\n\r\n") + 10000, times = 500;

    begin_turns(&f);
    join(&f);
    join(&f);
    say_often(&f, 1, "COPY 10000\r\n", times);
    for (size_t left = times; left > 0;) {
        size_t bytes = turn_of_polite(&f);

        CHECK((bytes > 0 || left == times) && bytes <= 2 * (TURN_REPLY_BYTES + reply));
        CHECK(f.worker->out.cap <= MIB / 2);
        left -= bytes / reply;
    }
    CHECK(sent[f.fd[1]].total == times * reply);
    done(&f);
}

TEST(what_takes_long_ends_a_turn)
{
    struct fixture f;

    begin_turns(&f);
    join(&f);
    join(&f);
    say_often(&f, 1, "DAWDLE 2000\r\n", 12);
    while (sent[f.fd[1]].total < 12 * strlen("+PONG\r\n")) turn_of_polite(&f);
    CHECK(f.pings >= 12);
    say_often(&f, 1, "DAWDLE 700\r\n", 60);
    while (sent[f.fd[1]].total < 72 * strlen("+PONG\r\n")) turn_of_polite(&f);
    CHECK(f.pings >= 12 + 4);
    done(&f);
}

/* It reads nothing before it has written all; so a lot waits when it has its replies. */
TEST(what_was_sent_while_replies_waited_runs_little_by_little)
{
    struct fixture f;
    size_t pings = 4000, wanted = 9 * LEND_BYTES + pings * strlen("+PONG\r\n");
    struct client *client;

    begin_turns(&f);
    join(&f);
    join(&f);
    client = container_of(f.worker->clients.prev, struct client, link);
    say_often(&f, 1, "LEND 1048576\r\n", 9);
    turn_of_polite(&f);
    turn_of_polite(&f);
    CHECK(client_flags(client) & CLIENT_BEHIND);
    say_often(&f, 1, "PING\r\n", pings);
    while (sent[f.fd[1]].total < wanted) {
        size_t before = commands_run;

        CHECK(turn_of_polite(&f) <= SHARE_MAX);
        CHECK(commands_run - before <= 2 * (TURN_COMMANDS + LOOK_AHEAD_MAX) + 1);
        CHECK(client->query_ran <= client->query.len / 2);
    }
    CHECK(sent[f.fd[1]].total == wanted && ends_with(f.fd[1], "+PONG\r\n"));
    CHECK(client->query.cap == 0 && client->query_ran == 0);
    done(&f);
}

TEST(a_big_value_is_read_a_share_at_a_time)
{
    struct fixture f;
    const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\n";
    size_t at = 0;

    begin_turns(&f);
    join(&f);
    join(&f);
    say(&f, 1, head, strlen(head));
    while (sent[f.fd[1]].total == 0) {
        uint64_t before = atomic_load(&f.worker->counters.net_input_bytes);
        ssize_t put = at < sizeof big ? send(f.peer[1], big + at, sizeof big - at, MSG_DONTWAIT) : 0;

        if (put > 0) at += (size_t)put;
        if (at == sizeof big && put > 0) say(&f, 1, "\r\n", 2);
        turn_of_polite(&f);
        CHECK(atomic_load(&f.worker->counters.net_input_bytes) - before <= VALUE_READ_BYTES + READ_BYTES);
    }
    CHECK(ends_with(f.fd[1], "+OK\r\n"));
    done(&f);
}

TEST(one_who_goes_while_it_is_queued_is_forgotten)
{
    struct fixture f;

    begin_turns(&f);
    for (int i = 0; i < 4; i++) join(&f);
    for (unsigned i = 1; i < 4; i++) say_often(&f, i, "LEND 1048576\r\n", 3);
    turn_of_polite(&f);
    turn_of_polite(&f);
    CHECK(f.worker->turn_count == 3);
    client_close(container_of(f.worker->clients.prev->prev, struct client, link));
    CHECK(f.worker->turn_count == 2);
    while (f.worker->turn_count > 0) turn_of_polite(&f);
    CHECK(released == 9);
    CHECK(sent[f.fd[1]].total == 3 * LEND_BYTES && sent[f.fd[3]].total == 3 * LEND_BYTES);
    CHECK(sent[f.fd[2]].total < 3 * LEND_BYTES);
    done(&f);
}

TESTS(who_asks_for_much_gets_a_share_of_it_each_turn, many_of_them_share_a_turn_evenly,
      a_socket_that_takes_all_is_not_watched_for_it, who_sends_many_commands_has_some_of_them_run_each_turn,
      who_is_copied_much_has_his_turn_ended, what_takes_long_ends_a_turn,
      what_was_sent_while_replies_waited_runs_little_by_little, a_big_value_is_read_a_share_at_a_time,
      one_who_goes_while_it_is_queued_is_forgotten)
