/* utils/experiments/hotread.c: E6. What does one hot key cost a node with one worker or two?
 *
 * The same pipelines of GETs, of keys drawn evenly and with nine in ten of them for one key, in turns, so that what else the machine does falls on both
 * alike; and the latter also with `hotkey-lock-free-reads no`. The clients are threads that send what was written before and compare what
 * comes with what has to come, all values being the same: the server is to be what is measured. */
#include "conn.h"
#include "experiment.h"
#include "server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEYS 100000u
#define VALUE "0123456789012345678901234567890123456789012345678901234567890123"
#define REPLY "$64\r\n" VALUE "\r\n"
#define REPLY_BYTES (sizeof REPLY - 1)
#define DEPTH 64u /* GETs in one write */
#define THREADS 4u
#define BATCHES 256u /* written before, for each thread and load */
#define BATCH_ROOM (DEPTH * 64)
#define ROUNDS_MAX 15u

enum load { UNIFORM, HOT, HOT_LOCKED, LOADS };

struct batch {
    size_t bytes;
    char text[BATCH_ROOM];
};

static struct {
    int port;
    uint64_t ends_us;
    bool is_hot;
    _Atomic uint64_t replies, wrong;
} run_of;
static struct batch *batches[THREADS][2]; /* uniform, hot */
static char expected[DEPTH * REPLY_BYTES];

static void write_batches(void)
{
    for (unsigned i = 0; i < DEPTH; i++) memcpy(expected + i * REPLY_BYTES, REPLY, REPLY_BYTES);
    for (unsigned thread = 0; thread < THREADS; thread++)
        for (int hot = 0; hot < 2; hot++) {
            struct batch *own = malloc(BATCHES * sizeof *own);

            if (own == NULL) die("no memory");
            for (unsigned b = 0; b < BATCHES; b++) {
                own[b].bytes = 0;
                for (unsigned i = 0; i < DEPTH; i++) {
                    uint64_t key = hot && random_below(10) < 9 ? 0 : random_below(KEYS);

                    own[b].bytes += (size_t)snprintf(own[b].text + own[b].bytes, BATCH_ROOM - own[b].bytes,
                                                     "*2\r\n$3\r\nGET\r\n$10\r\nkey:%06u\r\n", (unsigned)key);
                }
            }
            batches[thread][hot] = own;
        }
}

static int connected(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)run_of.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

static void send_batch(int fd, const struct batch *batch)
{
    for (size_t sent = 0; sent < batch->bytes;) {
        ssize_t more = send(fd, batch->text + sent, batch->bytes - sent, MSG_NOSIGNAL);

        if (more <= 0) die("the server ended a connection");
        sent += (size_t)more;
    }
}

static void read_replies(int fd)
{
    char got[sizeof expected];

    for (size_t read = 0; read < sizeof got;) {
        ssize_t more = recv(fd, got + read, sizeof got - read, 0);

        if (more <= 0) die("the server ended a connection");
        read += (size_t)more;
    }
    atomic_fetch_add(&run_of.replies, DEPTH);
    if (memcmp(got, expected, sizeof got) != 0) atomic_fetch_add(&run_of.wrong, 1);
}

/* Two connections, so that the server has something to do while this thread looks at what came. */
static void *ask_much(void *argument)
{
    const struct batch *own = argument;
    int fds[2] = { connected(), connected() };
    unsigned next = 0;

    for (int i = 0; i < 2; i++) send_batch(fds[i], &own[next++ % BATCHES]);
    for (unsigned turn = 0; now_us() < run_of.ends_us; turn++) {
        read_replies(fds[turn % 2]);
        send_batch(fds[turn % 2], &own[next++ % BATCHES]);
    }
    for (int i = 0; i < 2; i++) read_replies(fds[i]);
    for (int i = 0; i < 2; i++) close(fds[i]);
    return NULL;
}

/* GETs per second. *cpu_ns is what one of them takes of the server's CPU time. */
static uint64_t measure(const struct server *server, bool is_hot, uint64_t us, uint64_t *cpu_ns)
{
    pthread_t threads[THREADS];
    uint64_t began = now_us(), cpu = server_cpu_us(server), replies;

    run_of.port = server->port;
    run_of.ends_us = began + us;
    atomic_store(&run_of.replies, 0);
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, ask_much, batches[i][is_hot]) != 0) die("no thread");
    for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    replies = atomic_load(&run_of.replies);
    *cpu_ns = (server_cpu_us(server) - cpu) * 1000 / replies;
    return replies * 1000000 / (now_us() - began);
}

static void ask_set(struct conn *conn, struct awaited *awaited, uint64_t i)
{
    send_command(conn, awaited, "SET key:%06u " VALUE, (unsigned)i);
}

struct measured {
    double hot, locked;             /* throughput, over that of uniform keys in the same round: the median */
    uint64_t per_second, lock_free; /* uniform keys; GETs without the lock while they were allowed */
    uint64_t lock_free_off;
};

static uint64_t median_of(uint64_t *values, unsigned count)
{
    return percentile(values, count, 0.5);
}

static struct measured compare(const struct server *server, bool is_ours, unsigned rounds, uint64_t us)
{
    uint64_t rates[ROUNDS_MAX], hot[ROUNDS_MAX], locked[ROUNDS_MAX], cpu[LOADS][ROUNDS_MAX], unused;
    struct measured measured = { .locked = 0 };

    run_bulk(server->port, &(struct bulk){ .count = KEYS, .ask_one = ask_set });
    /* Until it is hot; on a machine that does nothing else this is once. */
    for (int tries = 0; tries < (is_ours ? 100 : 1) && server_counter(server, "hot_reads_lock_free") == 0; tries++)
        measure(server, true, us / 4, &unused);
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t before = server_counter(server, "hot_reads_lock_free");

        rates[round] = measure(server, false, us, &cpu[UNIFORM][round]);
        /* In parts of a million: percentile() sorts whole numbers. */
        hot[round] = measure(server, true, us, &cpu[HOT][round]) * 1000000 / rates[round];
        measured.lock_free += server_counter(server, "hot_reads_lock_free") - before;
        if (!is_ours) continue;
        run_command(server->port, "CONFIG SET hotkey-lock-free-reads no");
        before = server_counter(server, "hot_reads_lock_free");
        locked[round] = measure(server, true, us, &cpu[HOT_LOCKED][round]) * 1000000 / rates[round];
        measured.lock_free_off += server_counter(server, "hot_reads_lock_free") - before;
        run_command(server->port, "CONFIG SET hotkey-lock-free-reads yes");
    }
    measured.per_second = median_of(rates, rounds);
    measured.hot = (double)median_of(hot, rounds) / 1e6;
    if (is_ours) measured.locked = (double)median_of(locked, rounds) / 1e6;
    note("    %llu GET/s of uniform keys; CPU of a GET: %llu ns uniform, %llu ns hot, %llu ns hot with the lock",
         (unsigned long long)measured.per_second, (unsigned long long)median_of(cpu[UNIFORM], rounds),
         (unsigned long long)median_of(cpu[HOT], rounds),
         is_ours ? (unsigned long long)median_of(cpu[HOT_LOCKED], rounds) : 0);
    return measured;
}

static void run(const struct settings *settings)
{
    unsigned rounds = settings->is_short ? 1 : ROUNDS_MAX;
    uint64_t us = settings->is_short ? 200000 : 1500000;
    struct measured baseline;
    struct server server;

    write_batches();
    server_start(&server, settings->baseline, "");
    baseline = compare(&server, false, rounds, us);
    server_stop(&server);
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct measured ours;

        atomic_store(&run_of.wrong, 0);
        server_start(&server, settings->ours, text("io-threads %u\n", workers));
        ours = compare(&server, true, rounds, us);
        server_stop(&server);
        found(CONTENT, "E6", text("%u worker%s: GETs that were answered wrongly", workers, workers > 1 ? "s" : ""),
              text("%llu", (unsigned long long)atomic_load(&run_of.wrong)), "0", "", atomic_load(&run_of.wrong) == 0);
        found(CONTENT, "E6", text("%u: GETs without the lock; while that is switched off", workers),
              text("%llu; %llu", (unsigned long long)ours.lock_free, (unsigned long long)ours.lock_free_off), "> 0; 0",
              "", ours.lock_free > 0 && ours.lock_free_off == 0);
        found(SPEED, "E6",
              text("%u: throughput with 90 %% of the GETs on one key, over that of uniform keys (%llu/s)", workers,
                   (unsigned long long)ours.per_second),
              text("%.2f; with the lock %.2f", ours.hot, ours.locked), ">= 0.80", text("%.2f", baseline.hot),
              ours.hot >= 0.80);
    }
    for (unsigned thread = 0; thread < THREADS; thread++)
        for (int hot = 0; hot < 2; hot++) free(batches[thread][hot]);
}

const struct experiment experiment_hotread = { .name = "hotread", .title = "E6: one hot key on one node", .run = run };
