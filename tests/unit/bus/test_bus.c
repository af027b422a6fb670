/* The bus on real sockets, with peers that send what they like in whatever pieces, go away, and come back. */
#include "bus/bus.h"

#include "base/clock.h"
#include "base/mover.h"
#include "cluster/message.h"
#include "store/lazyfree.h"
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ev_loop *loop;
static struct movers *movers;
static struct lazyfree *lazyfree;
static char folder[32];

struct side {
    struct bus *bus;
    struct keyspace *keyspace;
    uint16_t port;
    char file[64];
};

/* The tick of each bus wakes the loop ten times a second. */
#define UNTIL(condition)                                                                                               \
    do {                                                                                                               \
        bool holds = (condition);                                                                                      \
        for (int turns = 0; turns < 2000 && !holds; turns++) {                                                         \
            ev_run(loop, EVRUN_ONCE);                                                                                  \
            holds = (condition);                                                                                       \
        }                                                                                                              \
        CHECK(holds);                                                                                                  \
    } while (0)

static void turn(int times)
{
    while (times-- > 0) ev_run(loop, EVRUN_ONCE);
}

static int listening(uint16_t *port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void start(struct side *side)
{
    static const char *const bind[] = { "127.0.0.1" };
    struct bus_options options = {
        .bind = bind,
        .bind_count = 1,
        .port = side->port,
        .state_file = side->file,
        .cluster = { .node_timeout_ms = 1000, .port = 7000, .cport = side->port },
        .movers = movers,
        .lazyfree = lazyfree,
    };
    char error[512];

    side->keyspace = keyspace_new();
    side->bus = bus_new(loop, side->keyspace, &options, error);
    if (side->bus == NULL) printf("%s\n", error);
    CHECK(side->bus != NULL);
}

static void begin(struct side *side, const char *name)
{
    if (loop == NULL) {
        snprintf(folder, sizeof(folder), "/tmp/test_bus_XXXXXX");
        CHECK(mkdtemp(folder) != NULL);
        loop = ev_loop_new(EVFLAG_AUTO);
        movers = movers_new(1);
        lazyfree = lazyfree_new(movers);
    }
    *side = (struct side){ 0 };
    snprintf(side->file, sizeof(side->file), "%s/%s", folder, name);
    close(listening(&side->port)); /* a port that is free */
    start(side);
}

static void stop(struct side *side)
{
    bus_free(&side->bus);
    keyspace_free(&side->keyspace);
}

static void end(struct side *side)
{
    static const char *const suffixes[] = { "", ".old", ".lock", ".tmp" };
    char path[80];

    stop(side);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        snprintf(path, sizeof(path), "%s%s", side->file, suffixes[i]);
        unlink(path);
    }
    if (rmdir(folder) != 0) return; /* another one's files are still there */
    movers_free(&movers, true);
    lazyfree_free(&lazyfree);
    ev_loop_destroy(loop);
    loop = NULL;
}

static size_t nodes_of(const struct side *side)
{
    struct effects *effects;
    size_t count = cluster_node_count(bus_lock(side->bus, &effects));

    bus_unlock(side->bus);
    return count;
}

/* --- A peer --- */

struct peer {
    int fd;
    bool is_closed;
    struct buf input;
};

static void peer_open(struct peer *peer, const struct side *side)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(side->port) };

    *peer = (struct peer){ .fd = socket(AF_INET, SOCK_STREAM, 0) };
    CHECK(connect(peer->fd, (struct sockaddr *)&at, sizeof(at)) == 0);
}

static void peer_close(struct peer *peer)
{
    close(peer->fd);
    buf_free(&peer->input);
}

/* True where a whole message has come, which is then decoded into *message. */
static bool hears(struct peer *peer, struct message *message)
{
    char room[4096];
    ssize_t got;
    int64_t len;

    while ((got = recv(peer->fd, room, sizeof(room), MSG_DONTWAIT)) > 0) buf_append(&peer->input, room, (size_t)got);
    if (got == 0 || errno == ECONNRESET) peer->is_closed = true;
    len = cluster_frame(buf_bytes(&peer->input));
    CHECK(len >= 0);
    if (len == 0) return false;
    CHECK(message_decode((struct bytes){ peer->input.data, (size_t)len }, message) == MESSAGE_OK);
    memmove(peer->input.data, peer->input.data + len, peer->input.len - (size_t)len);
    peer->input.len -= (size_t)len;
    return true;
}

static bool is_closed(struct peer *peer)
{
    struct message message;

    hears(peer, &message);
    return peer->is_closed;
}

/* A stranger's MEET that names no bus port, so that nobody is connected to. */
static void meet_write(struct buf *out)
{
    buf_clear(out);
    message_header_write(out, &(struct message_header){ .type = MESSAGE_MEET,
                                                        .port = 7009,
                                                        .flags = 1,
                                                        .sender = "e000000000000000000000000000000000000000",
                                                        .primary = "",
                                                        .ip = "" });
    message_finish(out, 0, 0);
}

static void says(struct peer *peer, const char *data, size_t len)
{
    CHECK(send(peer->fd, data, len, MSG_NOSIGNAL) == (ssize_t)len);
}

/* The next message is the answer to a MEET. */
static void meets(struct peer *peer, struct message *answer)
{
    struct buf meet = { 0 };

    meet_write(&meet);
    says(peer, meet.data, meet.len);
    buf_free(&meet);
    UNTIL(hears(peer, answer));
    CHECK(answer->type == MESSAGE_PONG);
}

TEST(a_message_is_the_same_in_single_bytes)
{
    struct side ada;
    struct peer peer;
    struct message answer;
    struct buf meet = { 0 };

    begin(&ada, "ada");
    peer_open(&peer, &ada);
    meet_write(&meet);
    for (size_t i = 0; i + 1 < meet.len; i++) {
        says(&peer, meet.data + i, 1);
        ev_run(loop, EVRUN_NOWAIT);
    }
    turn(3);
    CHECK(bus_is_solo(ada.bus) && !hears(&peer, &answer));
    says(&peer, meet.data + meet.len - 1, 1);
    UNTIL(hears(&peer, &answer));
    CHECK(answer.type == MESSAGE_PONG && !bus_is_solo(ada.bus));
    buf_free(&meet);
    peer_close(&peer);
    end(&ada);
}

TEST(what_is_cut_short_is_as_if_it_had_not_been_sent)
{
    struct side ada;
    struct peer peer;
    struct message answer;
    struct buf meet = { 0 };

    begin(&ada, "ada");
    meet_write(&meet);
    for (size_t cut = 0; cut < meet.len; cut = cut < 20 ? cut + 1 : cut * 2 < meet.len - 1 ? cut * 2 : meet.len - 1) {
        peer_open(&peer, &ada);
        says(&peer, meet.data, cut);
        CHECK(shutdown(peer.fd, SHUT_WR) == 0);
        UNTIL(is_closed(&peer));
        CHECK(peer.input.len == 0);
        peer_close(&peer);
        if (cut == meet.len - 1) break;
    }
    CHECK(bus_is_solo(ada.bus) && nodes_of(&ada) == 1);
    peer_open(&peer, &ada);
    meets(&peer, &answer);
    peer_close(&peer);
    buf_free(&meet);
    end(&ada);
}

TEST(what_is_no_message_ends_its_link_and_no_other)
{
    static const struct {
        const char *data;
        size_t len;
    } wrong[] = {
        { "GET / HTTP/1.1\r\n\r\n", 18 },
        { "*1\r\n$4\r\nPING\r\n", 14 },
        { "\x16\x03\x01\x02\x00", 5 },
        { "RCmb\x00\x00\x00\x00", 8 },
        { "RCmb\x00\x00\x00\x08", 8 },
        { "RCmb\x00\x00\x08\xcf", 8 }, /* 2255: a byte less than a header */
        { "RCmb\x04\x00\x00\x01", 8 }, /* 64 MiB and one */
        { "RCmb\x7f\xff\xff\xff", 8 },
        { "RCmb\xff\xff\xff\xff", 8 },
        { "Rcmb", 4 },
    };
    struct side ada;
    struct peer peer, other;
    struct message answer;

    begin(&ada, "ada");
    peer_open(&other, &ada);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        peer_open(&peer, &ada);
        says(&peer, wrong[i].data, wrong[i].len);
        UNTIL(is_closed(&peer));
        CHECK(peer.input.len == 0);
        peer_close(&peer);
    }
    CHECK(bus_is_solo(ada.bus) && nodes_of(&ada) == 1);
    meets(&other, &answer);
    peer_close(&other);
    end(&ada);
}

/* Whole by its frame, and yet no message: dropped without a word, and the link goes on with the next. */
TEST(what_is_not_of_its_types_length_or_of_no_type_is_passed_over)
{
    struct side ada;
    struct peer peer;
    struct message answer;
    struct buf out = { 0 };

    begin(&ada, "ada");
    peer_open(&peer, &ada);
    for (int i = 0; i < 4; i++) {
        meet_write(&out);
        switch (i) {
        case 0: /* bytes behind it */
            buf_append(&out, "12345678", 8);
            message_finish(&out, 0, 0);
            break;
        case 1: /* gossip that is not there */
            message_finish(&out, 600, 0);
            break;
        case 2: /* another version */
            out.data[9] = 7;
            break;
        case 3: /* no type */
            out.data[12] = 0x7f;
            break;
        }
        says(&peer, out.data, out.len);
    }
    turn(5);
    CHECK(bus_is_solo(ada.bus) && !is_closed(&peer) && peer.input.len == 0);
    meets(&peer, &answer);
    CHECK(!hears(&peer, &answer));
    buf_free(&out);
    peer_close(&peer);
    end(&ada);
}

TEST(a_link_that_ends_is_opened_again)
{
    struct side ada;
    struct effects *effects;
    cluster_error error;
    uint16_t port;
    int listener = listening(&port), fd = -1;
    struct cluster *cluster;

    begin(&ada, "ada");
    cluster = bus_lock(ada.bus, &effects);
    cluster_meet(cluster, BYTES("127.0.0.1"), 7001, port, clock_now_ms(), effects, error);
    bus_unlock(ada.bus);
    CHECK(error[0] == '\0');
    for (int times = 0; times < 3; times++) {
        char head[4];

        UNTIL((fd = accept(listener, NULL, NULL)) >= 0);
        UNTIL(recv(fd, head, sizeof(head), MSG_DONTWAIT | MSG_PEEK) == (ssize_t)sizeof(head));
        CHECK(memcmp(head, "RCmb", 4) == 0);
        close(fd);
    }
    close(listener);
    end(&ada);
}

static size_t links_of(const struct side *side)
{
    struct bus_link_info info[4];

    return bus_links(side->bus, info, 4);
}

TEST(a_node_that_comes_back_is_linked_both_ways_again)
{
    struct side ada, bob;
    struct effects *effects;
    struct cluster *cluster;
    cluster_error error;

    begin(&ada, "ada");
    begin(&bob, "bob");
    cluster = bus_lock(ada.bus, &effects);
    cluster_meet(cluster, BYTES("127.0.0.1"), 7000, bob.port, clock_now_ms(), effects, error);
    bus_unlock(ada.bus);
    UNTIL(links_of(&ada) == 2 && links_of(&bob) == 2 && nodes_of(&ada) == 2 && nodes_of(&bob) == 2);
    stop(&bob);
    UNTIL(links_of(&ada) == 0);
    CHECK(nodes_of(&ada) == 2);
    start(&bob);
    CHECK(nodes_of(&bob) == 2);
    UNTIL(links_of(&ada) == 2 && links_of(&bob) == 2);
    end(&bob);
    end(&ada);
}

static bool file_has(const struct side *side, const char *text)
{
    static char content[4096];
    FILE *file = fopen(side->file, "r");
    size_t len = file != NULL ? fread(content, 1, sizeof(content) - 1, file) : 0;

    if (file != NULL) fclose(file);
    content[len] = '\0';
    return strstr(content, text) != NULL;
}

TEST(an_epoch_is_on_disk_before_anybody_hears_of_it)
{
    struct side ada;
    struct peer peer;
    struct message answer;
    struct effects *effects;
    struct cluster *cluster;
    char in_the_way[80];
    uint64_t epoch, failures;

    begin(&ada, "ada");
    peer_open(&peer, &ada);
    meets(&peer, &answer);
    CHECK(answer.config_epoch == 0);
    UNTIL(file_has(&ada, "currentEpoch 0") && !file_has(&ada, "solo 1"));
    /* A folder where the new file is to be written fails for root too. */
    snprintf(in_the_way, sizeof(in_the_way), "%s.tmp", ada.file);
    CHECK(mkdir(in_the_way, 0700) == 0);
    failures = bus_save_failures(ada.bus);
    cluster = bus_lock(ada.bus, &effects);
    CHECK(cluster_bump_epoch(cluster, &epoch, clock_now_ms(), effects) && epoch == 1);
    bus_unlock(ada.bus);
    UNTIL(bus_save_failures(ada.bus) > failures);
    /* It goes on answering, with what it had said before. */
    for (int times = 0; times < 3; times++) {
        meets(&peer, &answer);
        CHECK(answer.config_epoch == 0 && answer.current_epoch == 0);
    }
    CHECK(rmdir(in_the_way) == 0);
    for (int times = 0; times < 1000 && answer.config_epoch == 0; times++) {
        ev_run(loop, EVRUN_ONCE);
        meets(&peer, &answer);
        /* The moment it is told of is not before the one it is on disk at. */
        if (answer.config_epoch != 0) CHECK(file_has(&ada, "currentEpoch 1"));
    }
    CHECK(answer.config_epoch == 1 && answer.current_epoch == 1);
    peer_close(&peer);
    end(&ada);
}

TESTS(a_message_is_the_same_in_single_bytes, what_is_cut_short_is_as_if_it_had_not_been_sent,
      what_is_no_message_ends_its_link_and_no_other, what_is_not_of_its_types_length_or_of_no_type_is_passed_over,
      a_link_that_ends_is_opened_again, a_node_that_comes_back_is_linked_both_ways_again,
      an_epoch_is_on_disk_before_anybody_hears_of_it)
