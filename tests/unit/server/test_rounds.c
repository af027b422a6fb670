/* While many clients are ready, a turn of the loop reads and answers them several times; but nothing else that is due waits for that. */
#define PEERS 16u

#include "proto/reply.h"
#include "unit/server/one_worker.h"

static void ping(struct call *call)
{
    reply_simple(call->reply, "PONG");
}

static const struct command command_ping = { .name = "ping", .arity = 1, .run = ping };
static const struct command *const family[] = { &command_ping, NULL };
static const struct command *const *const families[2] = { family, NULL };

/* More replies than any turn is to bring. */
#define ENOUGH 100000u

static struct fixture f;
static size_t replies, reads;

/* Each asks for more as soon as it is answered, as a client of a closed loop does on another CPU. */
static void ask_again(int fd)
{
    if (++replies > ENOUGH) return;
    for (unsigned i = 0; i < f.peers; i++)
        if (f.fd[i] == fd) say(&f, i, "PING\r\n", 6);
}

static void begin_asking(unsigned clients)
{
    begin(&f);
    replies = reads = 0;
    for (unsigned i = 0; i < clients; i++) join(&f);
    turn(&f);
    for (unsigned i = 0; i < clients; i++) say(&f, i, "PING\r\n", 6);
    when_sent = ask_again;
}

static void end(void)
{
    when_sent = NULL;
    when_read = NULL;
    turn(&f);
    turn(&f);
    done(&f);
}

TEST(a_turn_has_several_rounds_while_many_are_ready)
{
    begin_asking(PEERS);
    turn(&f);
    /* Those of the last round of a turn are written in the next. */
    CHECK(replies >= PEERS && replies % PEERS == 0);
    CHECK(replies < ENOUGH);
    end();
}

TEST(and_one_while_few_are)
{
    begin_asking(PEERS / 2);
    turn(&f);
    CHECK(replies == 0);
    turn(&f);
    CHECK(replies == PEERS / 2);
    end();
}

static void post(void)
{
    if (reads++ == 0) worker_poke(f.worker);
}

TEST(another_thread_is_not_kept_waiting)
{
    begin_asking(PEERS);
    when_read = post;
    turn(&f);
    CHECK(reads == PEERS && replies == 0);
    turn(&f);
    CHECK(replies >= 2 * PEERS);
    end();
}

static void let_expire(void)
{
    if (reads++ == 0) ev_idle_start(f.worker->loop, &f.worker->expiry_at_once);
}

TEST(expiry_that_has_more_to_do_is_not_kept_waiting)
{
    begin_asking(PEERS);
    when_read = let_expire;
    turn(&f);
    CHECK(reads == PEERS && replies == 0);
    turn(&f);
    CHECK(!ev_is_active(&f.worker->expiry_at_once) && replies >= 2 * PEERS);
    end();
}

TESTS(a_turn_has_several_rounds_while_many_are_ready, and_one_while_few_are, another_thread_is_not_kept_waiting,
      expiry_that_has_more_to_do_is_not_kept_waiting)
