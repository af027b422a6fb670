/* utils/experiments/saltsum.c: E9. A counter with eight names on four nodes (SALT key 8 SUM): is its total exact, how old is what a name tells, and
 * what does a helper take along that dies?
 *
 *     how many      threads that send pipelines of INCRs, each to the names of one node; what is sent home is sent again there
 *     how old       tasks that add and read at a measured pace: a value is as old as the moment at which more than that had been acknowledged
 *     what is lost  one helper is added to, and killed in the midst of it
 *
 * The baseline is redis-server, one of them, with the plain key. */
#include "conn.h"
#include "experiment.h"
#include "nodes.h"
#include "task.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NODES NODES_MAX
#define NAMES 8u
#define THREADS 4u
#define DEPTH 64u /* INCRs in one write */
#define KILL_DEPTH 16u
#define ROUNDS_MAX 9u
#define ACKNOWLEDGED_MAX 2000000u
#define SETTLE_US 30000000u
#define AGE_US_MAX 50000u
/* What may be lost of a helper's, and a millisecond for the grain of its clock. */
#define LOSS_US_MAX 51000u

struct name {
    char text[48];
    unsigned node;
};

/* The nodes, and the counter: its first name is the key. */
struct group {
    struct nodes nodes;
    struct name names[NAMES];
    unsigned home;
    uint64_t added; /* acknowledged, all in all */
};

/* --- Blocking connections --- */

static int connected(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

static bool send_all(int fd, const char *bytes, size_t count)
{
    for (size_t sent = 0; sent < count;) {
        ssize_t more = send(fd, bytes + sent, count - sent, MSG_NOSIGNAL);

        if (more <= 0) return false;
        sent += (size_t)more;
    }
    return true;
}

/* Reads so many replies, each a line: integers and redirects. False where the connection ends. */
static bool read_lines(int fd, unsigned lines, unsigned *integers, unsigned *redirects)
{
    char bytes[DEPTH * 64];
    bool begins = true;

    *integers = *redirects = 0;
    while (lines > 0) {
        ssize_t count = recv(fd, bytes, sizeof bytes, 0);

        if (count <= 0) return false;
        for (ssize_t i = 0; i < count; i++) {
            if (begins && bytes[i] != ':' && bytes[i] != '-') die("an INCR is answered with %.40s", bytes + i);
            if (begins && bytes[i] == ':') ++*integers;
            if (begins && bytes[i] == '-') ++*redirects;
            begins = bytes[i] == '\n';
            if (begins) lines--;
        }
    }
    return true;
}

/* --- Four nodes and a sum --- */

static unsigned node_of(const struct group *group, const char *key)
{
    return group->nodes.owner[key_slot(key)];
}

static int port_of(const struct group *group, unsigned name)
{
    return group->nodes.servers[group->names[name].node].port;
}

/* Is what is added to it taken where it is? */
static bool is_taken(struct group *group, unsigned name)
{
    redisContext *context = redisConnect("127.0.0.1", port_of(group, name));
    redisReply *reply;
    bool is_taken;

    if (context == NULL || context->err) die("cannot connect");
    reply = redisCommand(context, "INCR %s", group->names[name].text);
    is_taken = reply != NULL && reply->type == REDIS_REPLY_INTEGER;
    group->added += is_taken;
    freeReplyObject(reply);
    redisFree(context);
    return is_taken;
}

static void wait_until_taken(struct group *group)
{
    for (unsigned name = 0; name < NAMES; name++)
        for (uint64_t until = now_us() + SETTLE_US; !is_taken(group, name); usleep(20000))
            if (now_us() > until) die("nothing is added to %s where it is", group->names[name].text);
}

static void group_start(struct group *group, const struct settings *settings)
{
    redisReply *names;

    group->added = 0;
    nodes_start(&group->nodes, NODES, settings->ours, "io-threads 1\n");
    group->home = node_of(group, "visits");
    names = command(group->nodes.servers[group->home].port, "SALT visits %u SUM", NAMES);
    if (names->elements != NAMES) die("SALT tells %zu names", names->elements);
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(group->names[i].text, sizeof group->names[i].text, "%s", names->element[i]->str);
        group->names[i].node = node_of(group, group->names[i].text);
    }
    freeReplyObject(names);
    wait_until_taken(group);
}

static uint64_t total_of(const struct server *server)
{
    redisReply *reply = command(server->port, "GET visits");
    uint64_t total = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;

    freeReplyObject(reply);
    return total;
}

/* What the total comes to when nobody adds any more: waits for what it should be, for a while. */
static uint64_t settled(const struct group *group)
{
    uint64_t until = now_us() + SETTLE_US, total;

    do {
        usleep(20000);
        total = total_of(&group->nodes.servers[group->home]);
    } while (total != group->added && now_us() < until);
    return total;
}

/* --- How many --- */

/* A thread's. */
struct load {
    int port, home_port;
    char pipeline[DEPTH * 80], at_home[DEPTH * 80];
    size_t bytes, home_bytes; /* home_bytes: of one INCR */
    uint64_t ends_us, added, redirected;
};

static size_t write_incr(char *to, size_t room, const char *key)
{
    return (size_t)snprintf(to, room, "*2\r\n$4\r\nINCR\r\n$%zu\r\n%s\r\n", strlen(key), key);
}

static void *add_much(void *argument)
{
    struct load *load = argument;
    int fds[2] = { connected(load->port), connected(load->port) }, home = connected(load->home_port);

    for (int i = 0; i < 2; i++)
        if (!send_all(fds[i], load->pipeline, load->bytes)) die("the server ended a connection");
    for (unsigned turn = 0, left = 2; left > 0; turn++) {
        unsigned integers, redirects, more;

        if (!read_lines(fds[turn % 2], DEPTH, &integers, &redirects)) die("the server ended a connection");
        if (now_us() >= load->ends_us)
            left--;
        else if (!send_all(fds[turn % 2], load->pipeline, load->bytes))
            die("the server ended a connection");
        load->added += integers;
        load->redirected += redirects;
        if (redirects == 0) continue;
        if (!send_all(home, load->at_home, redirects * load->home_bytes) ||
            !read_lines(home, redirects, &integers, &more) || more > 0)
            die("what was sent home is not taken there");
        load->added += integers;
    }
    for (int i = 0; i < 2; i++) close(fds[i]);
    close(home);
    return NULL;
}

struct rate {
    uint64_t per_second, cpu_ns, added, redirected;
};

/* Each thread adds to the names of one node; without names, all to the key. */
static struct rate measure(const struct group *group, const struct server *servers, unsigned count, uint64_t us)
{
    static struct load loads[THREADS];
    pthread_t threads[THREADS];
    struct rate rate = { .added = 0 };
    uint64_t began = now_us(), cpu_us = 0;

    for (unsigned n = 0; n < count; n++) cpu_us += server_cpu_us(&servers[n]);
    for (unsigned t = 0; t < THREADS; t++) {
        struct load *load = &loads[t];
        unsigned name = 0;

        *load = (struct load){ .port = servers[group != NULL ? t % NODES : 0].port,
                               .home_port = servers[group != NULL ? group->home : 0].port,
                               .ends_us = began + us };
        for (unsigned i = 0; i < DEPTH; i++) {
            const char *key = "visits";

            load->home_bytes = write_incr(load->at_home + i * load->home_bytes, 80, key);
            for (unsigned tries = 0; group != NULL && tries <= NAMES; tries++, name++)
                if (group->names[name % NAMES].node == t % NODES)
                    key = group->names[name++ % NAMES].text, tries = NAMES;
            load->bytes += write_incr(load->pipeline + load->bytes, 80, key);
        }
    }
    for (unsigned t = 0; t < THREADS; t++)
        if (pthread_create(&threads[t], NULL, add_much, &loads[t]) != 0) die("no thread");
    for (unsigned t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    for (unsigned t = 0; t < THREADS; t++) {
        rate.added += loads[t].added;
        rate.redirected += loads[t].redirected;
    }
    rate.per_second = rate.added * 1000000 / (now_us() - began);
    for (unsigned n = 0; n < count; n++) rate.cpu_ns += server_cpu_us(&servers[n]);
    rate.cpu_ns = (rate.cpu_ns - cpu_us) * 1000 / rate.added;
    return rate;
}

static void run_rates(const struct settings *settings, struct group *group)
{
    unsigned rounds = settings->is_short ? 1 : ROUNDS_MAX, differing = 0;
    uint64_t us = settings->is_short ? 300000 : 2000000, ours[ROUNDS_MAX], plain[ROUNDS_MAX], redis[ROUNDS_MAX];
    uint64_t cpu_ns[ROUNDS_MAX], plain_ns[ROUNDS_MAX], redirected = 0, added = 0, total;
    struct server one, baseline;

    server_start(&one, settings->ours, "io-threads 1\n");
    server_start(&baseline, settings->baseline, "");
    for (unsigned round = 0; round < rounds; round++) {
        struct rate rate = measure(group, group->nodes.servers, NODES, us);

        group->added += rate.added;
        added += rate.added;
        redirected += rate.redirected;
        ours[round] = rate.per_second;
        cpu_ns[round] = rate.cpu_ns;
        rate = measure(NULL, &one, 1, us);
        plain[round] = rate.per_second;
        plain_ns[round] = rate.cpu_ns;
        redis[round] = measure(NULL, &baseline, 1, us).per_second;
    }
    total = settled(group);
    for (unsigned name = 0; name < NAMES; name++) {
        redisContext *context = redisConnect("127.0.0.1", port_of(group, name));
        redisReply *reply = NULL;

        if (context == NULL || context->err) die("cannot connect");
        for (uint64_t until = now_us() + SETTLE_US; now_us() < until; usleep(20000)) {
            reply = redisCommand(context, "GET %s", group->names[name].text);
            if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
                break; /* one that is not wanted is sent home first */
            freeReplyObject(reply);
            reply = NULL;
        }
        differing += reply == NULL || reply->type != REDIS_REPLY_STRING || strtoull(reply->str, NULL, 10) != total;
        freeReplyObject(reply);
        redisFree(context);
    }
    found(CONTENT, "E9", "the total when all is quiet, less what was acknowledged; names that tell another",
          text("%lld of %llu; %u", (long long)(total - group->added), (unsigned long long)group->added, differing),
          "0; 0", "", total == group->added && differing == 0);
    found(SPEED, "E9", "INCR/s over 8 names of 4 nodes",
          text("%llu (%.1f %% were sent home); CPU of one %llu ns, of one of the plain key %llu ns",
               (unsigned long long)percentile(ours, rounds, 0.5), 100.0 * (double)redirected / (double)added,
               (unsigned long long)percentile(cpu_ns, rounds, 0.5),
               (unsigned long long)percentile(plain_ns, rounds, 0.5)),
          ">= 1000000",
          text("%llu (the plain key on one node of ours: %llu)", (unsigned long long)percentile(redis, rounds, 0.5),
               (unsigned long long)percentile(plain, rounds, 0.5)),
          percentile(ours, rounds, 0.5) >= 1000000);
    server_stop(&baseline);
    server_stop(&one);
}

/* --- How old --- */

static struct {
    uint64_t *acknowledged_us; /* when each addition was */
    uint64_t start, acknowledged, ends_us, redirected;
    uint64_t *ages_us;
    size_t reads, too_old;
    uint64_t late_us; /* how much too late this very program was woken up: what the machine does to anybody */
} paced;

struct pacer {
    struct conn *conn, *home;
    const char *name;
};

/* The reply of where the name is, or else of home. */
static redisReply *follow(const struct pacer *pacer, const char *command_name)
{
    redisReply *reply = try(pacer->conn, "%s %s", command_name, pacer->name);

    if (reply == NULL) die("a node has ended a connection");
    if (reply->type != REDIS_REPLY_ERROR) return reply;
    freeReplyObject(reply);
    paced.redirected++;
    return ask(pacer->home, "%s visits", command_name);
}

static void add_paced(void *context)
{
    const struct pacer *pacer = context;

    while (now_us() < paced.ends_us && paced.acknowledged < ACKNOWLEDGED_MAX) {
        freeReplyObject(follow(pacer, "INCR"));
        paced.acknowledged_us[paced.acknowledged++] = now_us();
        task_sleep_us((uint64_t)random_exponential(2000));
    }
}

static void read_paced(void *context)
{
    const struct pacer *pacer = context;

    while (now_us() < paced.ends_us && paced.reads < ACKNOWLEDGED_MAX) {
        uint64_t asked_us = now_us(), had = paced.acknowledged, value;
        redisReply *reply = follow(pacer, "GET");

        if (reply->type != REDIS_REPLY_STRING) die("a sum that is not there");
        value = strtoull(reply->str, NULL, 10) - paced.start;
        freeReplyObject(reply);
        paced.ages_us[paced.reads++] = value < had ? asked_us - paced.acknowledged_us[value] : 0;
        task_sleep_us((uint64_t)random_exponential(1000));
    }
}

static void watch_the_machine(void *unused)
{
    (void)unused;
    while (now_us() < paced.ends_us) {
        uint64_t due_us = now_us() + 1000;

        task_sleep_us(1000);
        if (now_us() > due_us + paced.late_us) paced.late_us = now_us() - due_us;
    }
}

/* GETs of names that were answered where they are. */
static uint64_t told_by_all(const struct group *group)
{
    uint64_t told = 0;

    for (unsigned n = 0; n < NODES; n++) told += server_counter(&group->nodes.servers[n], "salt_sums_told");
    return told;
}

static void run_ages(const struct settings *settings, struct group *group)
{
    struct pacer adders[NAMES], readers[NAMES];
    uint64_t told = told_by_all(group);

    paced.start = settled(group);
    if (paced.start != group->added) die("the sum is not what was added");
    paced.acknowledged = paced.reads = paced.too_old = paced.redirected = paced.late_us = 0;
    paced.acknowledged_us = calloc(ACKNOWLEDGED_MAX, sizeof *paced.acknowledged_us);
    paced.ages_us = calloc(ACKNOWLEDGED_MAX, sizeof *paced.ages_us);
    if (paced.acknowledged_us == NULL || paced.ages_us == NULL) die("no memory");
    paced.ends_us = now_us() + (settings->is_short ? 1000000 : 60000000);
    for (unsigned i = 0; i < NAMES; i++) {
        int home = group->nodes.servers[group->home].port;

        adders[i] = (struct pacer){ conn_open(port_of(group, i)), conn_open(home), group->names[i].text };
        readers[i] = (struct pacer){ conn_open(port_of(group, i)), conn_open(home), group->names[i].text };
        task_start(add_paced, &adders[i]);
        task_start(read_paced, &readers[i]);
    }
    task_start(watch_the_machine, NULL);
    tasks_run();
    for (size_t i = 0; i < paced.reads; i++) paced.too_old += paced.ages_us[i] > AGE_US_MAX;
    for (unsigned i = 0; i < NAMES; i++) {
        conn_close(&adders[i].conn);
        conn_close(&adders[i].home);
        conn_close(&readers[i].conn);
        conn_close(&readers[i].home);
    }
    group->added += paced.acknowledged;
    told = told_by_all(group) - told;
    found(CONTENT, "E9", "GETs of names that were answered where they are, the total exact afterwards",
          text("%llu of %zu; %s", (unsigned long long)told, paced.reads, settled(group) == group->added ? "yes" : "no"),
          "> 0; yes", "", told > 0 && settled(group) == group->added);
    found(SPEED, "E9",
          text("age of what a GET of any name tells, %.0f INCR/s",
               (double)paced.acknowledged * 1e6 / (settings->is_short ? 1e6 : 60e6)),
          text("half <= %.1f ms, 99 %% <= %.1f ms, 99.9 %% <= %.1f ms, all <= %.1f ms; %zu of %zu above 50 ms, while "
               "clients were "
               "woken up to %.1f ms late",
               (double)percentile(paced.ages_us, paced.reads, 0.5) / 1e3,
               (double)percentile(paced.ages_us, paced.reads, 0.99) / 1e3,
               (double)percentile(paced.ages_us, paced.reads, 0.999) / 1e3,
               (double)percentile(paced.ages_us, paced.reads, 1) / 1e3, paced.too_old, paced.reads,
               (double)paced.late_us / 1e3),
          "<= 50 ms", "0 (one copy)", percentile(paced.ages_us, paced.reads, 1) <= AGE_US_MAX);
    free(paced.acknowledged_us);
    free(paced.ages_us);
}

/* --- What is lost --- */

struct taken {
    uint64_t asked_us, got_us;
};

static struct {
    int port;
    const char *name;
    struct taken *taken; /* additions that the helper has acknowledged */
    size_t count;
} victim;

static void *add_until_it_dies(void *unused)
{
    char pipeline[KILL_DEPTH * 80];
    size_t bytes = 0;
    int fd = connected(victim.port);

    (void)unused;
    for (unsigned i = 0; i < KILL_DEPTH; i++)
        bytes += write_incr(pipeline + bytes, sizeof pipeline - bytes, victim.name);
    while (victim.count + KILL_DEPTH <= ACKNOWLEDGED_MAX) {
        struct taken taken = { .asked_us = now_us() };
        unsigned integers, redirects;
        bool is_alive = send_all(fd, pipeline, bytes) && read_lines(fd, KILL_DEPTH, &integers, &redirects);

        if (!is_alive) break;
        taken.got_us = now_us();
        for (unsigned i = 0; i < integers; i++) victim.taken[victim.count++] = taken;
    }
    close(fd);
    return NULL;
}

/* How many of a helper's acknowledged additions are not in the total; *at_most: how many it may be. */
static uint64_t kill_one(struct group *group, uint64_t *at_most, double *ms)
{
    unsigned name = 0;
    pthread_t thread;
    uint64_t total, expected, lost, since_us, last_us;

    while (group->names[name].node == group->home) name++;
    if (settled(group) != group->added) die("the sum is not what was added");
    victim.port = port_of(group, name);
    victim.name = group->names[name].text;
    victim.count = 0;
    if (pthread_create(&thread, NULL, add_until_it_dies, NULL) != 0) die("no thread");
    usleep((useconds_t)(300000 + random_below(100000)));
    kill(group->nodes.servers[group->names[name].node].pid, SIGKILL);
    pthread_join(thread, NULL);
    /* What it had sent has come when home has seen its connection end. */
    for (uint64_t until = now_us() + SETTLE_US;
         server_counter(&group->nodes.servers[group->home], "salt_helpers") > NODES - 2 && now_us() < until;)
        usleep(10000);
    total = total_of(&group->nodes.servers[group->home]);
    expected = group->added + victim.count;
    lost = total < expected ? expected - total : 0;
    if (victim.count == 0) die("nothing was added before the helper died");
    last_us = victim.taken[victim.count - 1].asked_us;
    since_us = last_us - LOSS_US_MAX;
    *at_most = 0;
    for (size_t i = victim.count; i > 0 && victim.taken[i - 1].got_us >= since_us; i--) ++*at_most;
    *ms = lost == 0 ? 0 : (double)(last_us - victim.taken[victim.count - lost].asked_us) / 1e3;
    note("    killed after %zu additions: %llu lost, of %llu in its last 50 ms", victim.count, (unsigned long long)lost,
         (unsigned long long)*at_most);
    return lost;
}

static void run_deaths(const struct settings *settings, struct group *group)
{
    unsigned deaths = settings->is_short ? 1 : 20, too_much = 0;
    double worst_ms = 0;
    uint64_t worst = 0;

    victim.taken = calloc(ACKNOWLEDGED_MAX, sizeof *victim.taken);
    if (victim.taken == NULL) die("no memory");
    for (unsigned i = 0; i < deaths; i++) {
        uint64_t at_most, lost;
        double ms;

        if (i > 0) group_start(group, settings);
        lost = kill_one(group, &at_most, &ms);
        nodes_stop(&group->nodes);
        if (lost > at_most) too_much++;
        if (lost > worst) worst = lost;
        if (ms > worst_ms) worst_ms = ms;
    }
    found(CONTENT, "E9", text("helpers killed -9 of which more was lost than their last 50 ms, of %u", deaths),
          text("%u (at most %llu additions, those of %.1f ms)", too_much, (unsigned long long)worst, worst_ms), "0",
          "all of it", too_much == 0);
    free(victim.taken);
}

static void run(const struct settings *settings)
{
    static struct group group;

    group_start(&group, settings);
    run_rates(settings, &group);
    run_ages(settings, &group);
    run_deaths(settings, &group);
}

const struct experiment experiment_saltsum = { .name = "saltsum", .title = "E9: sums on four nodes", .run = run };
