/* What a socket takes in bits arrives whole and in order, and what was borrowed for it is given back once. The system calls are
 * played here, so that a write may end behind any byte. */
#include "net/bare.h"
#include "net/conn.h"
#include "unit/unit.h"

#include <errno.h>
#include <ev.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- The socket --- */

static char taken[4096];
static size_t taken_len; /* also of what had no room in it */
static size_t largest;   /* of what was offered in one call */
static size_t takes;     /* how much the next call takes; nothing: EAGAIN */
static size_t takes_later;
static int breaks_with;

static ssize_t take(const struct iovec *runs, size_t count)
{
    size_t room = takes, sum = 0, offered = 0;

    for (size_t i = 0; i < count; i++) offered += runs[i].iov_len;
    if (offered > largest) largest = offered;
    if (breaks_with != 0) {
        errno = breaks_with;
        return -1;
    }
    takes = takes_later;
    if (room == 0) {
        errno = EAGAIN;
        return -1;
    }
    for (size_t i = 0; i < count && room > 0; i++) {
        size_t part = runs[i].iov_len < room ? runs[i].iov_len : room;

        if (taken_len + part <= sizeof taken) memcpy(taken + taken_len, runs[i].iov_base, part);
        taken_len += part;
        sum += part;
        room -= part;
    }
    return (ssize_t)sum;
}

ssize_t bare_send(int fd, const void *data, size_t len)
{
    struct iovec run = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };

    (void)fd;
    return take(&run, 1);
}

ssize_t bare_recv(int fd, void *into, size_t room)
{
    return recv(fd, into, room, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    (void)fd;
    (void)flags;
    return take(message->msg_iov, message->msg_iovlen);
}

/* --- Its owner --- */

static int drained, failed, told_more;

static void on_readable(struct conn *conn)
{
    (void)conn;
}

static void on_drained(struct conn *conn)
{
    drained++;
    CHECK(conn_pending(conn) == 0);
    CHECK(conn->kept == 0);
    CHECK(conn->chunk_count == 0);
}

static void on_failed(struct conn *conn)
{
    failed++;
    conn_close(conn);
}

static void on_more(struct conn *conn)
{
    told_more++;
    CHECK(conn_pending(conn) > 0);
}

static const struct conn_events events = { .readable = on_readable, .drained = on_drained, .failed = on_failed };
/* Of an owner who says when to write on. */
static const struct conn_events taking_turns = {
    .readable = on_readable, .drained = on_drained, .failed = on_failed, .more = on_more
};
static struct ev_loop *loop;
static struct poller *poller;
static int peer;

static void open_conn_of(struct conn *conn, const struct conn_events *owner, size_t first, size_t later)
{
    int fds[2];

    if (loop == NULL) {
        loop = ev_loop_new(EVFLAG_AUTO);
        poller = poller_new(loop, NULL, NULL);
    }
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    CHECK(conn_open(conn, poller, fds[0], owner));
    peer = fds[1];
    taken_len = largest = 0;
    takes = first;
    takes_later = later;
    breaks_with = drained = failed = told_more = 0;
}

static void open_conn(struct conn *conn, size_t first, size_t later)
{
    open_conn_of(conn, &events, first, later);
}

static void close_conn(struct conn *conn)
{
    conn_close(conn);
    close(peer);
}

static void run_until_written(const struct conn *conn)
{
    for (int turns = 0; turns < 1000 && conn_pending(conn) > 0; turns++) ev_run(loop, EVRUN_NOWAIT);
}

/* --- What is borrowed --- */

#define OWNERS 4
static int released[OWNERS];

static void release(void *owner)
{
    ++*(int *)owner;
}

static struct piece lent(const char *text)
{
    return (struct piece){ .bytes = bytes_of(text) };
}

static struct piece held(const char *text, int owner)
{
    return (struct piece){ .bytes = bytes_of(text), .release = release, .owner = &released[owner] };
}

#define TEXT "$5\r\nhello\r\n$7\r\ngoodbye\r\n$0\r\n\r\n$3\r\nfoo\r\nbye"

/* Lent bytes are overwritten after the call, as a shared buffer is. */
static bool write_text(struct conn *conn)
{
    char heads[3][16] = { "$5\r\n", "\r\n$7\r\n", "\r\n$0\r\n" }, end[16] = "\r\nbye";
    struct piece pieces[] = { lent(heads[0]), held("hello", 0), lent(heads[1]),     held("goodbye", 1), lent(heads[2]),
                              held("", 2),    lent(""),         lent("\r\n$3\r\n"), held("foo", 3),     lent(end) };
    bool is_there;

    memset(released, 0, sizeof released);
    is_there = conn_write_pieces(conn, pieces, sizeof pieces / sizeof *pieces);
    memset(heads, '?', sizeof heads);
    memset(end, '?', sizeof end);
    return is_there;
}

static void check_released_once(void)
{
    for (int i = 0; i < OWNERS; i++) CHECK(released[i] == 1);
}

static void check_text(const char *text)
{
    CHECK(taken_len == strlen(text));
    CHECK(memcmp(taken, text, taken_len) == 0);
}

/* --- Tests --- */

TEST(a_write_may_be_cut_behind_any_byte)
{
    for (size_t first = 0; first <= sizeof TEXT; first++)
        for (size_t later = 1; later <= sizeof TEXT; later++) {
            struct conn conn;

            open_conn(&conn, first, later);
            CHECK(write_text(&conn));
            CHECK(conn_pending(&conn) == (first < sizeof TEXT - 1 ? sizeof TEXT - 1 - first : 0));
            run_until_written(&conn);
            check_text(TEXT);
            check_released_once();
            CHECK(drained == (first < sizeof TEXT - 1));
            close_conn(&conn);
        }
}

TEST(what_comes_later_is_written_behind_what_waits)
{
    struct conn conn;

    open_conn(&conn, 0, 3);
    CHECK(conn_write(&conn, "one ", 4));
    CHECK(write_text(&conn));
    CHECK(conn_write(&conn, " two", 4));
    CHECK(conn_write(&conn, " three", 6));
    run_until_written(&conn);
    check_text("one " TEXT " two three");
    check_released_once();
    CHECK(drained == 1);
    close_conn(&conn);
}

TEST(small_writes_to_a_slow_reader_share_a_chunk)
{
    struct conn conn;

    open_conn(&conn, 0, 7);
    for (int i = 0; i < 100; i++) CHECK(conn_write(&conn, "0123456789", 10));
    CHECK(conn.chunk_count == 1);
    CHECK(conn_pending(&conn) == 1000);
    CHECK(conn.kept >= 1000 && conn.kept < 2048);
    run_until_written(&conn);
    CHECK(taken_len == 1000);
    CHECK(memcmp(taken + 990, "0123456789", 10) == 0);
    close_conn(&conn);
}

TEST(closing_gives_back_what_was_not_written)
{
    struct conn conn;

    open_conn(&conn, 6, 0);
    CHECK(write_text(&conn));
    CHECK(released[0] == 0);
    close_conn(&conn);
    check_released_once();
    CHECK(conn.kept == 0);
}

TEST(a_peer_that_is_gone_at_once_keeps_nothing)
{
    struct conn conn;

    open_conn(&conn, 0, 0);
    breaks_with = EPIPE;
    CHECK(!write_text(&conn));
    check_released_once();
    CHECK(conn_pending(&conn) == 0);
    close_conn(&conn);
}

TEST(a_peer_that_goes_while_bytes_wait_is_told_of)
{
    struct conn conn;

    open_conn(&conn, 6, 0);
    CHECK(write_text(&conn));
    breaks_with = ECONNRESET;
    ev_run(loop, EVRUN_NOWAIT);
    CHECK(failed == 1);
    check_released_once();
    close_conn(&conn);
}

/* --- Many bytes to one peer --- */

#define MUCH ((size_t)CONN_WRITE_BYTES * 5 - 1000)
static char much[MUCH];

static bool write_much(struct conn *conn, bool is_lent)
{
    struct piece piece = { .bytes = { much, MUCH }, .release = is_lent ? NULL : release, .owner = &released[0] };

    released[0] = 0;
    return is_lent ? conn_write(conn, much, MUCH) : conn_write_pieces(conn, &piece, 1);
}

static void check_written_in_turns(bool is_lent)
{
    struct conn conn;

    open_conn_of(&conn, &taking_turns, SIZE_MAX, SIZE_MAX);
    CHECK(write_much(&conn, is_lent));
    CHECK(taken_len == CONN_WRITE_BYTES && told_more == 1);
    /* Nothing happens before it is its turn, and nobody waits for a socket that is not full. */
    CHECK(!conn_is_full(&conn));
    for (int turn = 0; turn < 3; turn++) ev_run(loop, EVRUN_NOWAIT);
    CHECK(taken_len == CONN_WRITE_BYTES && told_more == 1);
    for (size_t turn = 2; turn <= 5; turn++) {
        size_t wanted = turn < 5 ? turn * CONN_WRITE_BYTES : MUCH;

        CHECK(conn_write_on(&conn) == wanted - (turn - 1) * CONN_WRITE_BYTES);
        CHECK(taken_len == wanted && conn_pending(&conn) == MUCH - wanted);
        CHECK(told_more == (turn < 5 ? (int)turn : 4) && drained == (turn == 5));
    }
    CHECK(largest <= CONN_WRITE_BYTES_MAX);
    CHECK(is_lent || released[0] == 1);
    close_conn(&conn);
}

TEST(no_call_writes_more_than_its_share)
{
    check_written_in_turns(false);
    check_written_in_turns(true);
}

TEST(a_little_more_than_its_share_is_written_with_it)
{
    char head[] = "$131072\r\n", end[] = "\r\n";
    struct piece pieces[] = { lent(head), held("", 0), lent(end) };
    struct conn conn;

    pieces[1].bytes = (struct bytes){ much, CONN_WRITE_BYTES };
    released[0] = 0;
    open_conn_of(&conn, &taking_turns, SIZE_MAX, SIZE_MAX);
    CHECK(conn_write_pieces(&conn, pieces, 3));
    CHECK(conn_pending(&conn) == 0 && told_more == 0 && released[0] == 1);
    CHECK(largest == CONN_WRITE_BYTES + strlen(head) + strlen(end));
    close_conn(&conn);
}

TEST(a_full_socket_is_waited_for_before_its_owner_is_told)
{
    struct conn conn;

    open_conn_of(&conn, &taking_turns, 1000, SIZE_MAX);
    CHECK(write_much(&conn, false));
    CHECK(taken_len == 1000 && told_more == 0 && conn_is_full(&conn));
    ev_run(loop, EVRUN_NOWAIT);
    CHECK(taken_len == 1000 && told_more == 1);
    takes = 500;
    CHECK(conn_write_on(&conn) == 500);
    CHECK(told_more == 1 && conn_is_full(&conn));
    while (conn_pending(&conn) > 0) CHECK(conn_write_on(&conn) > 0);
    CHECK(taken_len == MUCH && drained == 1 && !conn_is_full(&conn));
    close_conn(&conn);
}

TEST(without_an_owner_who_takes_turns_each_turn_of_the_loop_writes_a_share)
{
    struct conn conn;

    open_conn(&conn, SIZE_MAX, SIZE_MAX);
    CHECK(write_much(&conn, true));
    for (size_t turn = 2; turn <= 5; turn++) {
        ev_run(loop, EVRUN_NOWAIT);
        CHECK(taken_len <= turn * CONN_WRITE_BYTES_MAX);
    }
    run_until_written(&conn);
    CHECK(taken_len == MUCH && drained == 1 && largest <= CONN_WRITE_BYTES_MAX);
    close_conn(&conn);
}

TEST(the_end_of_what_a_peer_sends_is_told_apart)
{
    struct conn conn;
    char room[8];

    open_conn(&conn, 0, 0);
    CHECK(conn_read(&conn, room, sizeof room) == 0);
    CHECK(write(peer, "ab", 2) == 2);
    CHECK(conn_readv(&conn, (struct iovec[]){ { room, 1 }, { room + 4, 4 } }, 2) == 2);
    CHECK(room[0] == 'a' && room[4] == 'b');
    CHECK(shutdown(peer, SHUT_WR) == 0);
    CHECK(conn_read(&conn, room, sizeof room) == -1);
    CHECK(conn.peer_ended);
    close_conn(&conn);
}

TESTS(a_write_may_be_cut_behind_any_byte, what_comes_later_is_written_behind_what_waits,
      small_writes_to_a_slow_reader_share_a_chunk, closing_gives_back_what_was_not_written,
      a_peer_that_is_gone_at_once_keeps_nothing, a_peer_that_goes_while_bytes_wait_is_told_of,
      no_call_writes_more_than_its_share, a_little_more_than_its_share_is_written_with_it,
      a_full_socket_is_waited_for_before_its_owner_is_told,
      without_an_owner_who_takes_turns_each_turn_of_the_loop_writes_a_share, the_end_of_what_a_peer_sends_is_told_apart)
