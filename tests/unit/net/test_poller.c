/* What has come is told once, and what was left of it again: a connection that is watched by edge is told as by level. And a turn of the loop has as many
 * rounds as the owner wants. Sockets and system calls are the real ones. */
#include "net/conn.h"
#include "net/poller.h"
#include "unit/unit.h"

#include <arpa/inet.h>
#include <ev.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS 20

static struct ev_loop *loop;
static struct poller *poller;
static struct conn conns[PAIRS];
static int peers[PAIRS], told[PAIRS], drained_count, failed_count;
static size_t reads;     /* bytes an owner asks for when it is told; 0: none */
static bool sends_again; /* it has its peer send as much once more */
static bool closes_next;
static ssize_t last_got;
static int more_rounds, asked, asked_ready;

static int index_of(const struct conn *conn)
{
    return (int)(conn - conns);
}

static void on_readable(struct conn *conn)
{
    char room[64 << 10];
    int i = index_of(conn);

    told[i]++;
    if (closes_next) {
        conn_close(&conns[(i + 1) % PAIRS]);
        conn_close(conn);
        return;
    }
    if (reads == 0) return;
    last_got = conn_read(conn, room, reads);
    if (last_got < 0) conn_set_reading(conn, false);
    if (sends_again && last_got > 0) CHECK(send(peers[i], room, (size_t)last_got, 0) == last_got);
}

static void on_drained(struct conn *conn)
{
    (void)conn;
    drained_count++;
}

static void on_failed(struct conn *conn)
{
    failed_count++;
    conn_close(conn);
}

static const struct conn_events events = { .readable = on_readable, .drained = on_drained, .failed = on_failed };

static bool again(void *context, int ready)
{
    CHECK(context == &asked);
    asked++;
    asked_ready = ready;
    return more_rounds-- > 0;
}

static void begin(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    poller = poller_new(loop, again, &asked);
    memset(told, 0, sizeof told);
    reads = 64 << 10;
    sends_again = closes_next = false;
    more_rounds = asked = asked_ready = drained_count = failed_count = 0;
    last_got = 0;
}

static void open_pair(int i)
{
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    peers[i] = fds[1];
    CHECK(conn_open(&conns[i], poller, fds[0], &events));
}

/* The same over TCP, which knows urgent bytes. */
static void open_tcp_pair(int i)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, (struct sockaddr *)(void *)&address, len) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)(void *)&address, &len) == 0);
    peers[i] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(peers[i], (struct sockaddr *)(void *)&address, len) == 0);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    CHECK(fd >= 0);
    close(listener);
    CHECK(conn_open(&conns[i], poller, fd, &events));
}

static void close_pair(int i)
{
    conn_close(&conns[i]);
    if (peers[i] >= 0) close(peers[i]);
}

static void end(void)
{
    poller_free(&poller);
    CHECK(poller == NULL);
    ev_loop_destroy(loop);
}

static void turn(void)
{
    ev_run(loop, EVRUN_NOWAIT);
}

static void say(int i, const char *text)
{
    CHECK(send(peers[i], text, strlen(text), 0) == (ssize_t)strlen(text));
}

/* --- Tests --- */

TEST(what_was_read_to_its_end_is_told_once)
{
    begin();
    open_pair(0);
    turn();
    CHECK(told[0] == 0);
    say(0, "abc");
    for (int i = 0; i < 3; i++) turn();
    CHECK(told[0] == 1 && last_got == 3);
    say(0, "de");
    for (int i = 0; i < 3; i++) turn();
    CHECK(told[0] == 2 && last_got == 2);
    close_pair(0);
    end();
}

TEST(what_was_not_read_is_told_again)
{
    begin();
    open_pair(0);
    reads = 0;
    say(0, "abcdef");
    for (int i = 1; i <= 3; i++) {
        turn();
        CHECK(told[0] == i);
    }
    /* In parts, each of which is all that was asked for. */
    reads = 2;
    for (int i = 4; i <= 6; i++) {
        turn();
        CHECK(told[0] == i && last_got == 2);
    }
    /* That there is no more only another read can tell. */
    turn();
    CHECK(told[0] == 6);
    close_pair(0);
    end();
}

TEST(an_end_that_comes_with_the_last_bytes_is_told)
{
    begin();
    open_pair(0);
    say(0, "abc");
    CHECK(shutdown(peers[0], SHUT_WR) == 0);
    turn();
    CHECK(told[0] == 1 && last_got == 3 && !conns[0].peer_ended);
    turn();
    CHECK(told[0] == 2 && last_got == -1 && conns[0].peer_ended);
    /* It reads no more, so nothing is told any more. */
    for (int i = 0; i < 3; i++) turn();
    CHECK(told[0] == 2);
    close_pair(0);
    end();
}

TEST(bytes_behind_an_urgent_one_are_told)
{
    begin();
    open_tcp_pair(0);
    say(0, "ab");
    CHECK(send(peers[0], "!", 1, MSG_OOB) == 1);
    say(0, "cde");
    for (int i = 0; i < 1000 && told[0] < 1; i++) turn();
    for (ssize_t sum = last_got; sum < 5; sum += last_got) {
        int before = told[0];

        for (int i = 0; i < 1000 && told[0] == before; i++) turn();
        CHECK(told[0] > before && last_got > 0);
    }
    close_pair(0);
    end();
}

TEST(who_does_not_read_is_told_when_it_does)
{
    begin();
    open_pair(0);
    conn_set_reading(&conns[0], false);
    say(0, "abc");
    for (int i = 0; i < 3; i++) turn();
    CHECK(told[0] == 0);
    conn_set_reading(&conns[0], true);
    turn();
    CHECK(told[0] == 1 && last_got == 3);
    conn_set_reading(&conns[0], false);
    conn_set_reading(&conns[0], true);
    for (int i = 0; i < 3; i++) turn();
    CHECK(told[0] == 1);
    close_pair(0);
    end();
}

TEST(a_socket_that_takes_more_again_is_told_of_each_time)
{
    static char much[8 << 20], room[64 << 10];
    size_t got = 0;

    begin();
    open_pair(0);
    CHECK(conn_write(&conns[0], much, sizeof much));
    CHECK(conn_is_full(&conns[0]));
    for (int i = 0; i < 100000 && got < sizeof much; i++) {
        ssize_t part = recv(peers[0], room, sizeof room, MSG_DONTWAIT);

        if (part > 0) got += (size_t)part;
        turn();
    }
    CHECK(got == sizeof much && drained_count == 1 && !conn_is_full(&conns[0]));
    /* And it is read as ever. */
    say(0, "abc");
    turn();
    turn();
    CHECK(told[0] == 1 && last_got == 3);
    close_pair(0);
    end();
}

TEST(a_peer_that_is_gone_is_told_of_while_bytes_wait_for_it)
{
    static char much[8 << 20];

    begin();
    open_pair(0);
    conn_set_reading(&conns[0], false);
    CHECK(conn_write(&conns[0], much, sizeof much));
    close(peers[0]);
    peers[0] = -1;
    for (int i = 0; i < 10 && failed_count == 0; i++) turn();
    CHECK(failed_count == 1);
    close_pair(0);
    end();
}

TEST(one_that_another_has_closed_is_told_of_nothing)
{
    int sum = 0;

    begin();
    for (int i = 0; i < PAIRS; i++) open_pair(i);
    for (int i = 0; i < PAIRS; i++) say(i, "abc");
    closes_next = true;
    turn();
    for (int i = 0; i < PAIRS; i++) sum += told[i];
    CHECK(sum == PAIRS / 2);
    for (int i = 0; i < PAIRS; i++) close_pair(i);
    end();
}

TEST(a_turn_has_as_many_rounds_as_its_owner_wants)
{
    begin();
    for (int i = 0; i < PAIRS; i++) open_pair(i);
    sends_again = true;
    for (int i = 0; i < PAIRS; i++) say(i, "abc");
    turn();
    for (int i = 0; i < PAIRS; i++) CHECK(told[i] == 1);
    CHECK(asked == 1 && asked_ready == PAIRS);
    more_rounds = 4;
    turn();
    for (int i = 0; i < PAIRS; i++) CHECK(told[i] == 6);
    CHECK(asked == 6);
    /* With nothing ready nobody is asked. */
    sends_again = false;
    more_rounds = 10;
    turn();
    CHECK(asked == 7);
    turn();
    CHECK(asked == 7);
    for (int i = 0; i < PAIRS; i++) close_pair(i);
    end();
}

TESTS(what_was_read_to_its_end_is_told_once, what_was_not_read_is_told_again,
      an_end_that_comes_with_the_last_bytes_is_told, bytes_behind_an_urgent_one_are_told,
      who_does_not_read_is_told_when_it_does, a_socket_that_takes_more_again_is_told_of_each_time,
      a_peer_that_is_gone_is_told_of_while_bytes_wait_for_it, one_that_another_has_closed_is_told_of_nothing,
      a_turn_has_as_many_rounds_as_its_owner_wants)
