/* utils/experiments/stampede.c: E2. A thousand clients want one cold key at the same moment; the database takes 50 ms. How often is it asked?
 *
 * The clients can not have their value before the database has answered, and then a thousand sockets must be written to and read. What
 * that takes by itself is measured in the same run, by a server that does nothing else: it answers a thousand requests
 * all at once, 50 ms after the first. */
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

static struct {
    struct conn *conns[CLIENTS];
    unsigned conn_count, round, rounds, waiting;
    uint64_t loads, latencies_us[CLIENTS * ROUNDS_MAX];
    size_t latency_count;
    void (*read)(struct conn *conn);
    /* Of the loader that is killed. */
    uint64_t killed_us, elected_us;
} herd;

static void load(void)
{
    herd.loads++;
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
    herd.latencies_us[herd.latency_count++] = now_us() - began;
}

struct outcome {
    double loads_per_miss;
    uint64_t p99_us;
};

/* One round after the other, each with a key of its own. */
static struct outcome run_herd(int port, unsigned conn_count, unsigned rounds, void (*read)(struct conn *conn))
{
    herd.conn_count = conn_count;
    herd.read = read;
    herd.loads = 0;
    herd.latency_count = 0;
    for (unsigned i = 0; i < conn_count; i++) herd.conns[i] = conn_open(port);
    for (unsigned round = 0; round < rounds; round++) {
        herd.round++;
        for (size_t i = 0; i < CLIENTS; i++) task_start(client, (void *)i);
        tasks_run();
    }
    for (unsigned i = 0; i < conn_count; i++)
        if (herd.conns[i] != NULL) conn_close(&herd.conns[i]);
    return (struct outcome){ .loads_per_miss = (double)herd.loads / rounds,
                             .p99_us = percentile(herd.latencies_us, herd.latency_count, 0.99) };
}

/* --- A server that only wakes --- */

struct waker {
    int listener, port;
    unsigned rounds;
    pthread_t thread;
};

static const char waker_request[] = "*1\r\n$4\r\nWAKE\r\n";

static void *waker_main(void *context)
{
    const struct waker *waker = context;
    int sockets[CLIENTS], poller = epoll_create1(0);
    struct epoll_event events[64];

    for (unsigned i = 0; i < CLIENTS; i++) {
        struct epoll_event event = { .events = EPOLLIN };

        event.data.fd = sockets[i] = accept(waker->listener, NULL, NULL);
        epoll_ctl(poller, EPOLL_CTL_ADD, sockets[i], &event);
    }
    for (unsigned round = 0; round < waker->rounds; round++) {
        size_t bytes = 0;
        uint64_t first_us = 0, now;

        while (bytes < CLIENTS * (sizeof waker_request - 1)) {
            int count = epoll_wait(poller, events, 64, -1);
            char request[256];

            if (first_us == 0) first_us = now_us();
            for (int i = 0; i < count; i++) {
                ssize_t n = recv(events[i].data.fd, request, sizeof request, 0);

                if (n > 0) bytes += (size_t)n;
            }
        }
        now = now_us();
        if (now < first_us + DATABASE_US) usleep((useconds_t)(first_us + DATABASE_US - now));
        for (unsigned i = 0; i < CLIENTS; i++)
            if (send(sockets[i], "$5\r\nvalue\r\n", 11, MSG_NOSIGNAL) < 0) die("waking a client");
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
    tell(conn, "WAKE");
}

/* --- The experiment --- */

static double ms(uint64_t us)
{
    return (double)us / 1000;
}

static void loads_once(const char *what, struct outcome outcome, double loads_wanted, uint64_t woken_p99_us,
                       struct outcome baseline)
{
    found(CONTENT, "E2", text("%s: loads per miss", what), text("%.2f", outcome.loads_per_miss),
          text("<= %.2f", loads_wanted), text("%.0f", baseline.loads_per_miss), outcome.loads_per_miss <= loads_wanted);
    found(SPEED, "E2", text("%s: p99 of the %u clients", what, CLIENTS), text("%.1f ms", ms(outcome.p99_us)),
          text("<= %.1f ms (waking them by itself) + 2 ms", ms(woken_p99_us)), text("%.1f ms", ms(baseline.p99_us)),
          outcome.p99_us <= woken_p99_us + 2000);
}

static void kill_loaders(const struct server *server, unsigned rounds)
{
    uint64_t delays_us[ROUNDS_MAX];
    double loads = 0;
    bool all_elected = true;

    for (unsigned i = 0; i < rounds; i++) {
        herd.killed_us = herd.elected_us = 0;
        loads += run_herd(server->port, CLIENTS, 1, mortal_read).loads_per_miss;
        all_elected &= herd.elected_us != 0;
        delays_us[i] = herd.elected_us - herd.killed_us;
    }
    found(CONTENT, "E2", "the loader is killed: loads by those who are elected after it",
          text("%.2f per miss", loads / rounds), "1.00", "", all_elected && loads == rounds);
    found(SPEED, "E2", "the loader is killed: until the next is elected",
          text("%.2f ms, at worst %.2f ms", ms(percentile(delays_us, rounds, 0.5)),
               ms(percentile(delays_us, rounds, 1))),
          "<= 5 ms", "", percentile(delays_us, rounds, 1) <= 5000);
}

static void run(const struct settings *settings)
{
    unsigned rounds = settings->is_short ? 3 : 50;
    struct server redis, ours;
    struct outcome plain, plain_multiplexed, woken;
    struct waker waker;

    server_start(&redis, settings->baseline, "");
    plain = run_herd(redis.port, CLIENTS, rounds, plain_read);
    plain_multiplexed = run_herd(redis.port, PROCESSES, rounds, plain_read);
    server_stop(&redis);
    found(CONTENT, "E2", "the baseline bites: loads per miss", text("%.0f", plain.loads_per_miss), ">= 500", "itself",
          plain.loads_per_miss >= 500);

    waker_start(&waker, rounds);
    woken = run_herd(waker.port, CLIENTS, rounds, woken_read);
    waker_stop(&waker);

    server_start(&ours, settings->ours, "");
    loads_once("FETCH LEASE WAIT", run_herd(ours.port, CLIENTS, rounds, fetch_read), 1, woken.p99_us, plain);
    kill_loaders(&ours, settings->is_short ? 1 : 20);
    run_command(ours.port, "POLICY SET cold: guard yes coalesce 500");
    loads_once("GET under `coalesce`", run_herd(ours.port, CLIENTS, rounds, plain_read), 1, woken.p99_us, plain);
    loads_once(text("GET under `coalesce`, %u multiplexed processes", PROCESSES),
               run_herd(ours.port, PROCESSES, rounds, plain_read), PROCESSES, woken.p99_us, plain_multiplexed);
    server_stop(&ours);
}

const struct experiment experiment_stampede = { .name = "stampede",
                                                .title = "E2: a thousand misses, one load",
                                                .run = run };
