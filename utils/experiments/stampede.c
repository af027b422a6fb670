/* utils/experiments/stampede.c: E2. A thousand clients want one cold key at the same moment; the database takes 50 ms. How often is it asked?
 *
 * The clients can not have their value before the database has answered, and a thousand sockets must be written to and read. What that
 * takes by itself is measured in the same run, by a server that does nothing else: it has the first that asks load, and
 * answers all others when that has been done. */
#include "conn.h"
#include "experiment.h"
#include "server.h"
#include "task.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 1000u
#define PROCESSES 10u /* of multiplexed clients: a connection each */
#define DATABASE_US 50000
#define ROUNDS_MAX 100u

/* What came of the rounds of one kind. */
struct sample {
    uint64_t loads, latencies_us[CLIENTS * ROUNDS_MAX];
    size_t latency_count;
    unsigned rounds;
};

static struct {
    struct conn *conns[CLIENTS];
    unsigned conn_count, round;
    struct sample *sample;
    void (*read)(struct conn *conn);
    /* Of the loader that is killed. */
    uint64_t killed_us, elected_us;
} herd;

static void load(void)
{
    herd.sample->loads++;
    task_sleep_us(DATABASE_US);
}

/* --- The clients --- */

static void plain_read(struct conn *conn)
{
    redisReply *reply = ask(conn, "GET cold:%u", herd.round);

    if (reply->type == REDIS_REPLY_NIL) {
        load();
        tell(conn, "SET cold:%u value EX 60", herd.round);
    }
    freeReplyObject(reply);
}

/* As a process does that asks once for what several of its tasks want: the first asks, the others wait for what it gets. */
static struct flight {
    unsigned round;
    bool has_landed;
    struct task *waiting[CLIENTS];
    unsigned waits;
} flights[PROCESSES];

static void shared_read(struct conn *conn)
{
    struct flight *flight = flights;

    for (unsigned i = 0; i < PROCESSES; i++)
        if (herd.conns[i] == conn) flight = &flights[i];
    if (flight->round != herd.round) {
        *flight = (struct flight){ .round = herd.round };
        plain_read(conn);
        flight->has_landed = true;
        while (flight->waits > 0) task_wake(flight->waiting[--flight->waits]);
    } else if (!flight->has_landed) {
        flight->waiting[flight->waits++] = task_current();
        task_wait();
    }
}

static void fetch_read(struct conn *conn)
{
    redisReply *reply = ask(conn, "FETCH cold:%u LEASE 2000 WAIT 1000", herd.round);

    if (reply->element[1]->type == REDIS_REPLY_NIL) {
        load();
        if (reply->element[3]->str != NULL)
            tell(conn, "SET cold:%u value EX 60 TOKEN %s", herd.round, reply->element[3]->str);
    }
    freeReplyObject(reply);
}

/* As tasks do that share a connection, where none may wait: who is not told to load asks again. */
static void polling_read(struct conn *conn)
{
    for (;;) {
        redisReply *reply = ask(conn, "FETCH cold:%u LEASE 2000", herd.round);
        bool is_there = reply->element[1]->type != REDIS_REPLY_NIL, is_elected = reply->element[3]->str != NULL;

        if (is_elected) {
            load();
            tell(conn, "SET cold:%u value EX 60 TOKEN %s", herd.round, reply->element[3]->str);
        }
        freeReplyObject(reply);
        if (is_there || is_elected) return;
        task_sleep_us(5000);
    }
}

/* The first to be elected dies with the lease in its hands, which is good for a minute. */
static void mortal_read(struct conn *conn)
{
    redisReply *reply = try(conn, "FETCH cold:%u LEASE 60000 WAIT 30000", herd.round);

    if (reply == NULL) return;
    if (reply->type != REDIS_REPLY_ARRAY) die("FETCH: %s", reply->str);
    if (reply->element[1]->type == REDIS_REPLY_NIL && herd.killed_us == 0) {
        for (unsigned i = 0; i < herd.conn_count; i++) {
            if (herd.conns[i] != conn) continue;
            /* When all the others wait. */
            task_sleep_us(DATABASE_US);
            herd.killed_us = now_us();
            conn_close(&herd.conns[i]);
        }
    } else if (reply->element[1]->type == REDIS_REPLY_NIL) {
        if (herd.elected_us == 0) herd.elected_us = now_us();
        load();
        if (reply->element[3]->str != NULL)
            tell(conn, "SET cold:%u value EX 60 TOKEN %s", herd.round, reply->element[3]->str);
    }
    freeReplyObject(reply);
}

static void client(void *context)
{
    size_t number = (size_t)context;
    uint64_t began = now_us();

    herd.read(herd.conns[number % herd.conn_count]);
    herd.sample->latencies_us[herd.sample->latency_count++] = now_us() - began;
}

/* One round after the other, each with a key of its own. */
static void run_herd(struct sample *sample, int port, unsigned conn_count, unsigned rounds,
                     void (*read)(struct conn *conn))
{
    herd.conn_count = conn_count;
    herd.read = read;
    herd.sample = sample;
    sample->rounds += rounds;
    for (unsigned i = 0; i < conn_count; i++) herd.conns[i] = conn_open(port);
    for (unsigned round = 0; round < rounds; round++) {
        herd.round++;
        for (size_t i = 0; i < CLIENTS; i++) task_start(client, (void *)i);
        tasks_run();
    }
    for (unsigned i = 0; i < conn_count; i++)
        if (herd.conns[i] != NULL) conn_close(&herd.conns[i]);
}

static double loads_per_miss(const struct sample *sample)
{
    return (double)sample->loads / sample->rounds;
}

static uint64_t p99_us(struct sample *sample)
{
    return percentile(sample->latencies_us, sample->latency_count, 0.99);
}

/* --- A server that only wakes --- */

struct waker {
    int listener, port;
    unsigned rounds;
    pthread_t thread;
};

static void waker_say(int socket, const char *reply)
{
    if (send(socket, reply, strlen(reply), MSG_NOSIGNAL) < 0) die("waking a client");
}

#define WAKER_REQUEST_BYTES 14u /* of WAKE and of DONE */

/* Whoever asks first is told to load; the others are answered when it says that it has. */
static void *waker_main(void *context)
{
    const struct waker *waker = context;
    int sockets[CLIENTS], waiting[CLIENTS], poller = epoll_create1(0);
    struct epoll_event events[64];

    for (unsigned i = 0; i < CLIENTS; i++) {
        struct epoll_event event = { .events = EPOLLIN };

        event.data.fd = sockets[i] = accept(waker->listener, NULL, NULL);
        epoll_ctl(poller, EPOLL_CTL_ADD, sockets[i], &event);
    }
    for (unsigned round = 0; round < waker->rounds; round++) {
        unsigned asked = 0, waits = 0;

        for (bool is_done = false; asked < CLIENTS || !is_done;) {
            int count = epoll_wait(poller, events, 64, -1);

            for (int i = 0; i < count; i++) {
                char request[WAKER_REQUEST_BYTES];
                int from = events[i].data.fd;

                if (recv(from, request, sizeof request, MSG_WAITALL) != sizeof request)
                    die("a client of the waker is gone");
                if (request[8] == 'D') {
                    is_done = true;
                    waker_say(from, "+OK\r\n");
                } else if (asked++ == 0) {
                    waker_say(from, "$-1\r\n");
                } else {
                    waiting[waits++] = from;
                }
            }
            if (!is_done) continue;
            while (waits > 0) waker_say(waiting[--waits], "$5\r\nvalue\r\n");
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++) close(sockets[i]);
    close(poller);
    return NULL;
}

static void waker_start(struct waker *waker, unsigned rounds)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;

    waker->rounds = rounds;
    waker->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(waker->listener, (struct sockaddr *)&address, length) < 0 || listen(waker->listener, CLIENTS) < 0 ||
        getsockname(waker->listener, (struct sockaddr *)&address, &length) < 0)
        die("the waker has no port");
    waker->port = ntohs(address.sin_port);
    if (pthread_create(&waker->thread, NULL, waker_main, waker) != 0) die("no thread");
}

static void waker_stop(struct waker *waker)
{
    pthread_join(waker->thread, NULL);
    close(waker->listener);
}

static void woken_read(struct conn *conn)
{
    redisReply *reply = ask(conn, "WAKE");

    if (reply->type == REDIS_REPLY_NIL) {
        load();
        tell(conn, "DONE");
    }
    freeReplyObject(reply);
}

/* --- The experiment --- */

static double ms(uint64_t us)
{
    return (double)us / 1000;
}

static void loads_once(const char *what, struct sample *sample, double loads_wanted, struct sample *woken,
                       struct sample *baseline)
{
    found(CONTENT, "E2", text("%s: loads per miss", what), text("%.2f", loads_per_miss(sample)),
          text("<= %.2f", loads_wanted), text("%.0f", loads_per_miss(baseline)),
          loads_per_miss(sample) <= loads_wanted);
    found(SPEED, "E2", text("%s: p99 of the %u clients", what, CLIENTS), text("%.1f ms", ms(p99_us(sample))),
          text("<= %.1f ms (the same clients, only woken) + 2 ms", ms(p99_us(woken))),
          text("%.1f ms", ms(p99_us(baseline))), p99_us(sample) <= p99_us(woken) + 2000);
}

static void kill_loaders(const struct server *server, unsigned rounds)
{
    static struct sample killed;
    uint64_t delays_us[ROUNDS_MAX];
    bool all_elected = true;

    for (unsigned i = 0; i < rounds; i++) {
        herd.killed_us = herd.elected_us = 0;
        run_herd(&killed, server->port, CLIENTS, 1, mortal_read);
        all_elected &= herd.elected_us != 0;
        delays_us[i] = herd.elected_us - herd.killed_us;
    }
    found(CONTENT, "E2", "the loader is killed: loads by those who are elected after it",
          text("%.2f per miss", loads_per_miss(&killed)), "1.00", "", all_elected && killed.loads == rounds);
    found(SPEED, "E2", "the loader is killed: until the next is elected",
          text("%.2f ms, at worst %.2f ms", ms(percentile(delays_us, rounds, 0.5)),
               ms(percentile(delays_us, rounds, 1))),
          "<= 5 ms", "", percentile(delays_us, rounds, 1) <= 5000);
}

static struct sample plain, plain_shared, plain_piped, woken, fetch, fetch_shared, coalesce, coalesce_shared,
    coalesce_piped;

/* `turn` runs some rounds of each kind on ours; the baseline and the waker have theirs before. In turns, so that what else the machine does
 * falls on all alike. */
static void run_turns(const struct settings *settings, const struct server *ours,
                      void (*turn)(int port, unsigned rounds))
{
    unsigned turns = settings->is_short ? 1 : 10, rounds = settings->is_short ? 3 : 5;
    struct server redis;

    plain = plain_shared = plain_piped = woken = (struct sample){ 0 };
    server_start(&redis, settings->baseline, "");
    for (unsigned i = 0; i < turns; i++) {
        struct waker waker;

        run_herd(&plain, redis.port, CLIENTS, rounds, plain_read);
        run_herd(&plain_shared, redis.port, PROCESSES, rounds, shared_read);
        run_herd(&plain_piped, redis.port, PROCESSES, rounds, plain_read);
        waker_start(&waker, rounds);
        run_herd(&woken, waker.port, CLIENTS, rounds, woken_read);
        waker_stop(&waker);
        turn(ours->port, rounds);
    }
    server_stop(&redis);
    found(CONTENT, "E2", "the baseline bites: loads per miss", text("%.0f", loads_per_miss(&plain)), ">= 10", "itself",
          loads_per_miss(&plain) >= 10);
}

static void turn_of_fetch(int port, unsigned rounds)
{
    run_herd(&fetch, port, CLIENTS, rounds, fetch_read);
    run_herd(&fetch_shared, port, PROCESSES, rounds, polling_read);
}

static void run(const struct settings *settings)
{
    struct server ours;

    server_start(&ours, settings->ours, "");
    run_turns(settings, &ours, turn_of_fetch);
    loads_once("FETCH LEASE WAIT", &fetch, 1, &woken, &plain);
    found(CONTENT, "E2",
          text("FETCH LEASE, %u multiplexed processes that ask a hundred times at once, and again where another loads: "
               "loads per miss",
               PROCESSES),
          text("%.2f", loads_per_miss(&fetch_shared)), text("<= %u (one of each process)", PROCESSES),
          text("%.0f", loads_per_miss(&plain_piped)), loads_per_miss(&fetch_shared) <= PROCESSES);
    kill_loaders(&ours, settings->is_short ? 1 : 20);
    server_stop(&ours);
}

const struct experiment experiment_stampede = { .name = "stampede",
                                                .title = "E2: a thousand misses, one load",
                                                .run = run };

static void turn_of_coalesce(int port, unsigned rounds)
{
    run_herd(&coalesce, port, CLIENTS, rounds, plain_read);
    run_herd(&coalesce_shared, port, PROCESSES, rounds, shared_read);
    run_herd(&coalesce_piped, port, PROCESSES, rounds, plain_read);
}

/* The same for clients that know GET and SET only. */
static void run_coalesce(const struct settings *settings)
{
    struct server ours;

    server_start(&ours, settings->ours, "");
    run_command(ours.port, "POLICY SET cold: guard yes coalesce 500");
    run_turns(settings, &ours, turn_of_coalesce);
    server_stop(&ours);
    loads_once("GET under `coalesce`", &coalesce, 1, &woken, &plain);
    loads_once(text("GET under `coalesce`, %u multiplexed processes that ask once each", PROCESSES), &coalesce_shared,
               PROCESSES, &woken, &plain_shared);
    /* Of the connection that loads each GET is answered nil, and loads, too: see docs/cache-features.md. */
    found(SPEED, "E2",
          text("GET under `coalesce`, %u multiplexed processes that ask a hundred times at once: loads per miss",
               PROCESSES),
          text("%.0f", loads_per_miss(&coalesce_piped)), text("<= %u (one of each process)", PROCESSES),
          text("%.0f", loads_per_miss(&plain_piped)), loads_per_miss(&coalesce_piped) <= PROCESSES);
}

const struct experiment experiment_coalesce = { .name = "coalesce",
                                                .title = "E2: a thousand misses of unmodified clients, one load",
                                                .run = run_coalesce };
