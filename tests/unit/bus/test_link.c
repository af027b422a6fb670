/* What a link keeps has an end, whoever is at its other end. */
#include "bus/link.h"

#include "unit/unit.h"

#include <arpa/inet.h>
#include <ev.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (1u << 20)

static struct ev_loop *loop;
static struct links *links;
static bool are_members;
static size_t packets;

static size_t openings;
static bool packet_breaks;

static void opened(void *context, struct link *link)
{
    (void)context;
    (void)link;
    openings++;
}

static void packet(void *context, struct link *link, struct bytes message)
{
    (void)context;
    (void)message;
    packets++;
    if (packet_breaks) link_break(link);
}

static void drained(void *context, struct link *link)
{
    (void)context;
    (void)link;
}

static void turn_ended(void *context)
{
    struct link *link;

    (void)context;
    while ((link = links_take_broken(links)) != NULL) links_bury(links, link);
    links_reap(links);
}

static bool is_member(void *context, const struct link *link)
{
    (void)context;
    (void)link;
    return are_members;
}

static void begin(bool members)
{
    static const struct link_events events = { opened, packet, drained, turn_ended, is_member };

    are_members = members;
    packets = openings = 0;
    packet_breaks = false;
    loop = ev_loop_new(EVFLAG_AUTO);
    links = links_new(loop, &events, NULL);
}

static void end(void)
{
    links_free(&links);
    ev_loop_destroy(loop);
}

/* A link whose other end is *peer; returns its id. */
static cluster_link adopt(int *peer)
{
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    *peer = ends[1];
    return links_adopt(links, ends[0], 0, 15000)->id;
}

static bool is_open(cluster_link id)
{
    return links_find(links, id) != NULL;
}

/* Sends bytes from the peer's side, letting the link read; stops where the link is gone. */
static void feed(int peer, cluster_link id, size_t bytes)
{
    static const char zeros[64 << 10];

    while (bytes > 0 && is_open(id)) {
        ssize_t sent = send(peer, zeros, bytes < sizeof(zeros) ? bytes : sizeof(zeros), MSG_NOSIGNAL);

        if (sent > 0) bytes -= (size_t)sent;
        ev_run(loop, EVRUN_NOWAIT);
    }
    for (int turns = 0; turns < 100 && is_open(id); turns++) ev_run(loop, EVRUN_NOWAIT);
}

/* The first bytes of a message of this length. */
static void begin_message(int peer, uint32_t length)
{
    unsigned char head[8] = { 'R',
                              'C',
                              'm',
                              'b',
                              (unsigned char)(length >> 24),
                              (unsigned char)(length >> 16),
                              (unsigned char)(length >> 8),
                              (unsigned char)length };

    CHECK(send(peer, head, sizeof(head), MSG_NOSIGNAL) == sizeof(head));
}

TEST(a_strangers_message_may_be_so_large_and_no_larger)
{
    for (int members = 0; members < 2; members++) {
        cluster_link id;
        int peer;

        begin(members != 0);
        id = adopt(&peer);
        begin_message(peer, 2 * MIB);
        feed(peer, id, MIB - 8);
        CHECK(is_open(id));
        feed(peer, id, 64 << 10);
        CHECK(is_open(id) == (members != 0));
        if (members) feed(peer, id, 2 * MIB - (MIB + (64 << 10)));
        CHECK(packets == (size_t)members);
        close(peer);
        end();
    }
}

TEST(all_strangers_together_are_kept_so_much_of_and_no_more)
{
    enum { COUNT = 140 };
    static int peers[COUNT];
    static cluster_link ids[COUNT];
    size_t open = 0;

    begin(false);
    for (int i = 0; i < COUNT; i++) {
        ids[i] = adopt(&peers[i]);
        begin_message(peers[i], 2 * MIB);
        feed(peers[i], ids[i], MIB - 8);
        open += is_open(ids[i]);
    }
    /* Room doubles as it grows, so that fewer than sixty-four fit into 64 MiB. */
    CHECK(open >= 16 && open <= 64);
    for (int i = 0; i < COUNT; i++) close(peers[i]);
    for (int turns = 0; turns < 1000; turns++) ev_run(loop, EVRUN_NOWAIT);
    /* They went, and what was kept of them with them: there is room for others. */
    ids[0] = adopt(&peers[0]);
    begin_message(peers[0], 2 * MIB);
    feed(peers[0], ids[0], MIB - 8);
    CHECK(is_open(ids[0]));
    close(peers[0]);
    end();
}

TEST(what_waits_to_be_sent_on_a_link_has_an_end)
{
    static char message[MIB];
    cluster_link id;
    int peer, sent;

    begin(true);
    id = adopt(&peer);
    for (sent = 0; sent < 64 && is_open(id); sent++)
        link_send(links_find(links, id), (struct bytes){ message, sizeof(message) });
    CHECK(!is_open(id) && sent >= 16 && sent <= 20);
    close(peer);
    end();
}

static void send_message(int peer)
{
    static const char rest[2256 - 8];

    begin_message(peer, 2256);
    CHECK(send(peer, rest, sizeof(rest), MSG_NOSIGNAL) == sizeof(rest));
}

TEST(who_says_nothing_in_time_is_let_go_and_who_has_spoken_is_not)
{
    cluster_link silent, speaks;
    int peers[2];

    begin(true);
    silent = adopt(&peers[0]);
    speaks = adopt(&peers[1]);
    send_message(peers[1]);
    for (int i = 0; i < 20 && packets == 0; i++) ev_run(loop, EVRUN_NOWAIT);
    CHECK(packets == 1);
    links_tick(links, 14999);
    turn_ended(NULL);
    CHECK(is_open(silent) && is_open(speaks));
    links_tick(links, 15000);
    turn_ended(NULL);
    CHECK(!is_open(silent) && is_open(speaks));
    close(peers[0]);
    close(peers[1]);
    end();
}

TEST(nothing_is_read_of_a_link_that_a_message_of_it_has_ended)
{
    cluster_link id;
    int peer;

    begin(true);
    packet_breaks = true;
    id = adopt(&peer);
    send_message(peer);
    send_message(peer);
    for (int i = 0; i < 20 && is_open(id); i++) ev_run(loop, EVRUN_NOWAIT);
    CHECK(packets == 1 && !is_open(id));
    close(peer);
    end();
}

TEST(who_does_not_read_is_not_read_from_and_over_the_limit_let_go)
{
    static char message[64 << 10];
    struct link *link;
    cluster_link id;
    size_t pending;
    int peer;

    begin(true);
    id = adopt(&peer);
    link = links_find(links, id);
    while (conn_pending(&link->conn) <= MIB) {
        CHECK(link->conn.is_reading);
        link_send(link, (struct bytes){ message, sizeof(message) });
    }
    CHECK(!link->conn.is_reading);
    pending = conn_pending(&link->conn);
    CHECK(links_break_over(links, pending) == 0 && links_break_over(links, pending - 1) == 1);
    turn_ended(NULL);
    CHECK(!is_open(id));
    close(peer);
    end();
}

TEST(a_node_is_connected_to_once_and_where_nobody_listens_not_at_all)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof(at);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), taken;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listening, (struct sockaddr *)&at, len) == 0 && listen(listening, 8) == 0);
    CHECK(getsockname(listening, (struct sockaddr *)&at, &len) == 0);
    begin(true);
    links_connect(links, 3, "127.0.0.1", ntohs(at.sin_port), 0, 1000);
    links_connect(links, 3, "127.0.0.1", ntohs(at.sin_port), 0, 1000);
    for (int i = 0; i < 100 && openings == 0; i++) ev_run(loop, EVRUN_ONCE);
    CHECK(openings == 1);
    CHECK((taken = accept(listening, NULL, NULL)) >= 0 && accept(listening, NULL, NULL) < 0);
    close(listening);

    links_connect(links, 4, "127.0.0.1", ntohs(at.sin_port), 0, 1000);
    for (int i = 0; i < 5; i++) ev_run(loop, EVRUN_NOWAIT);
    CHECK(openings == 1);
    close(taken);
    end();
}

TESTS(who_says_nothing_in_time_is_let_go_and_who_has_spoken_is_not,
      nothing_is_read_of_a_link_that_a_message_of_it_has_ended,
      who_does_not_read_is_not_read_from_and_over_the_limit_let_go,
      a_node_is_connected_to_once_and_where_nobody_listens_not_at_all,
      a_strangers_message_may_be_so_large_and_no_larger, all_strangers_together_are_kept_so_much_of_and_no_more,
      what_waits_to_be_sent_on_a_link_has_an_end)
