/* What a link keeps has an end, whoever is at its other end. */
#include "bus/link.h"

#include "unit/unit.h"

#include <ev.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (1u << 20)

static struct ev_loop *loop;
static struct links *links;
static bool are_members;
static size_t packets;

static void opened(void *context, struct link *link)
{
    (void)context;
    (void)link;
}

static void packet(void *context, struct link *link, struct bytes message)
{
    (void)context;
    (void)link;
    (void)message;
    packets++;
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
    static const struct link_events events = { opened, packet, turn_ended, is_member };

    are_members = members;
    packets = 0;
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

TESTS(a_strangers_message_may_be_so_large_and_no_larger, all_strangers_together_are_kept_so_much_of_and_no_more,
      what_waits_to_be_sent_on_a_link_has_an_end)
