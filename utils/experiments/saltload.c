/* utils/experiments/saltload.c: E7. Does a salted key melt its node?
 *
 * Four nodes, and one key that most reads are for; the rest are spread evenly over many keys. A session reads any of the names that SALT tells,
 * with eight of them or without, over a connection of its own to each node, one read after the other: what many requests in one packet save is not what
 * is measured. Nothing is written: that is saltwrites.c.
 *
 * CPU      what each node's process used, less what it used where there was only the rest, at the same pace: what the hot key cost it
 * p99      at the load that a node can just bear alone, beside reads of many keys at the same load; alternating
 * reads/s  as many as can be had; tells something only where the nodes and the clients have CPUs of their own */
#include "experiment.h"
#include "nodes.h"
#include "task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FACTOR 8u
#define SESSIONS 128u
#define KEYS_MAX 100000u
#define ROUNDS_MAX 9u
#define CPUS_WANTED 8
#define CLIENT_PROCESSES 4u
#define HOT "star:e7"
#define VALUE "0123456789012345678901234567890123456789012345678901234567890123"

struct request {
    char key[32], *text;
    size_t bytes;
    unsigned slot;
};

static struct {
    struct nodes nodes;
    struct request keys[KEYS_MAX], names[FACTOR];
    unsigned key_count, name_count;
    struct conn *conns[SESSIONS][NODES_MAX];
} world;

/* What is asked for, and what came of it. */
struct load {
    double hot_share, per_second; /* per_second 0: as much as can be had */
    uint64_t us;
    unsigned sessions; /* that have begun */
    uint64_t ends_us, asked, wrong, redirected, cpu_us[NODES_MAX];
    uint64_t *hot_us, *other_us; /* how long each took */
    size_t hot_count, other_count, room;
};

static struct request request_of(const char *key, const char *format)
{
    struct request request = { .slot = key_slot(key) };
    int bytes = redisFormatCommand(&request.text, format, key, VALUE);

    if (bytes < 0) die("a request for %s", key);
    snprintf(request.key, sizeof request.key, "%s", key);
    request.bytes = (size_t)bytes;
    return request;
}

/* --- One load --- */

static void note_time(uint64_t **times, size_t *count, size_t room, uint64_t us)
{
    if (*times == NULL) *times = malloc(room * sizeof **times);
    if (*times == NULL) die("no memory");
    if (*count < room) (*times)[(*count)++] = us;
}

/* Where a helper has no copy for a moment it says so; then the read takes another way. */
static redisReply *ask_for(struct load *load, struct conn **conns, const struct request *request)
{
    unsigned n = world.nodes.owner[request->slot];
    struct awaited awaited;
    redisReply *reply;

    if (conns[n] == NULL) conns[n] = conn_open(world.nodes.servers[n].port);
    send_request(conns[n], &awaited, request->text, request->bytes);
    reply = await(&awaited);
    if (reply == NULL || reply->type != REDIS_REPLY_ERROR) return reply;
    freeReplyObject(reply);
    load->redirected++;
    return nodes_ask_for(&world.nodes, request->slot, request->text, request->bytes);
}

static void session(void *context)
{
    struct load *load = context;
    struct conn **conns = world.conns[load->sessions++];
    double pause_us = load->per_second > 0 ? SESSIONS * 1e6 / load->per_second : 0;
    double due_us = (double)now_us() + random_unit() * pause_us;

    while (now_us() < load->ends_us) {
        bool is_hot = random_unit() < load->hot_share;
        const struct request *request =
            is_hot ? &world.names[random_below(world.name_count)] : &world.keys[random_below(world.key_count)];
        redisReply *reply;
        uint64_t began = now_us(), due = (uint64_t)due_us;

        /* Who is late because of the one before has waited since it was due; a timer of a millisecond is nobody's fault but ours. */
        if (pause_us > 0 && due > began) {
            task_sleep_us(due - began);
            began = now_us();
        } else if (pause_us > 0) {
            began = due;
        }
        reply = ask_for(load, conns, request);
        if (reply == NULL || reply->type != REDIS_REPLY_STRING || strcmp(reply->str, VALUE) != 0) load->wrong++;
        freeReplyObject(reply);
        load->asked++;
        if (is_hot)
            note_time(&load->hot_us, &load->hot_count, load->room, now_us() - began);
        else
            note_time(&load->other_us, &load->other_count, load->room, now_us() - began);
        due_us += random_exponential(pause_us);
    }
}

static void run_load(struct load *load)
{
    uint64_t before[NODES_MAX];

    load->room = 1000000;
    for (unsigned n = 0; n < NODES_MAX; n++) before[n] = server_cpu_us(&world.nodes.servers[n]);
    load->ends_us = now_us() + load->us;
    for (unsigned i = 0; i < SESSIONS; i++) task_start(session, load);
    tasks_run();
    for (unsigned n = 0; n < NODES_MAX; n++) load->cpu_us[n] = server_cpu_us(&world.nodes.servers[n]) - before[n];
}

static void load_end(struct load *load)
{
    free(load->hot_us);
    free(load->other_us);
    load->hot_us = load->other_us = NULL;
}

/* Reads per second, as many as several processes of clients can have. */
static double most_per_second(double hot_share, uint64_t us, unsigned processes)
{
    int results[2];
    uint64_t all = 0, one;

    if (pipe(results) < 0) die("no pipe");
    for (unsigned i = 0; i < processes; i++) {
        pid_t pid = fork();

        if (pid < 0) die("no process");
        if (pid == 0) {
            struct load load = { .hot_share = hot_share, .us = us };

            tasks_forget();
            memset(world.nodes.conns, 0, sizeof world.nodes.conns);
            memset(world.conns, 0, sizeof world.conns);
            random_seed(now_us() + i);
            run_load(&load);
            if (write(results[1], &load.asked, sizeof load.asked) != sizeof load.asked) _exit(1);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < processes; i++) {
        if (read(results[0], &one, sizeof one) != sizeof one) die("a process of clients failed");
        all += one;
    }
    for (unsigned i = 0; i < processes; i++) wait(NULL);
    close(results[0]);
    close(results[1]);
    return (double)all * 1e6 / (double)us;
}

/* --- Keys and names --- */

static void fill_some(void *context)
{
    for (unsigned i = *(const unsigned *)context; i < world.key_count; i += SESSIONS) {
        struct request set = request_of(text("key:%u", i), "SET %s %s");

        freeReplyObject(nodes_ask_for(&world.nodes, set.slot, set.text, set.bytes));
        redisFreeCommand(set.text);
    }
}

static void fill(unsigned keys)
{
    static unsigned firsts[SESSIONS];

    world.key_count = keys;
    for (unsigned i = 0; i < keys; i++) world.keys[i] = request_of(text("key:%u", i), "GET %s");
    for (unsigned i = 0; i < SESSIONS; i++) {
        firsts[i] = i;
        task_start(fill_some, &firsts[i]);
    }
    tasks_run();
}

static void forget_names(void)
{
    while (world.name_count > 0) redisFreeCommand(world.names[--world.name_count].text);
}

static void read_base_only(void)
{
    forget_names();
    world.names[world.name_count++] = request_of(HOT, "GET %s");
}

static void set_hot(void *context)
{
    (void)context;
    freeReplyObject(nodes_ask(&world.nodes, HOT, "SET %s %s", HOT, VALUE));
}

static void take_names(void *context)
{
    redisReply *reply = nodes_ask(&world.nodes, HOT, "SALT %s %u", HOT, FACTOR);

    (void)context;
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != FACTOR) die("the key cannot be salted");
    forget_names();
    for (size_t i = 0; i < reply->elements; i++)
        world.names[world.name_count++] = request_of(reply->element[i]->str, "GET %s");
    freeReplyObject(reply);
    /* Until each has its copy. */
    for (unsigned i = 0; i < world.name_count; i++)
        for (bool is_there = false; !is_there; task_sleep_us(5000)) {
            reply = nodes_ask_node(&world.nodes, world.nodes.owner[world.names[i].slot], "GET %s", world.names[i].key);
            is_there = reply != NULL && reply->type == REDIS_REPLY_STRING;
            freeReplyObject(reply);
        }
}

/* Of the nodes, the most names that one has, less the fewest. */
static unsigned unevenness(void)
{
    unsigned counts[NODES_MAX] = { 0 }, most = 0, fewest = FACTOR;

    for (unsigned i = 0; i < world.name_count; i++) counts[world.nodes.owner[world.names[i].slot]]++;
    for (unsigned n = 0; n < NODES_MAX; n++) {
        if (counts[n] > most) most = counts[n];
        if (counts[n] < fewest) fewest = counts[n];
    }
    return most - fewest;
}

/* --- What is compared --- */

/* CPU time of the hot key on the busiest node, over the mean; in turns with the rest alone, because what a machine gives for its time changes from one
 * second to the next. *shares shows all of them, in per cent of a CPU. */
static double busiest(double hot_share, double per_second, uint64_t us, unsigned turns, const char **shares,
                      uint64_t *wrong)
{
    double hot[NODES_MAX] = { 0 }, most = 0, sum = 0;

    for (unsigned turn = 0; turn < turns; turn++) {
        struct load all = { .hot_share = hot_share, .per_second = per_second, .us = us };
        struct load rest = { .per_second = per_second * (1 - hot_share), .us = us };

        run_load(turn % 2 == 0 ? &rest : &all);
        run_load(turn % 2 == 0 ? &all : &rest);
        for (unsigned n = 0; n < NODES_MAX; n++) hot[n] += (double)all.cpu_us[n] - (double)rest.cpu_us[n];
        *wrong += all.wrong + rest.wrong;
        load_end(&all);
        load_end(&rest);
    }
    *shares = "";
    for (unsigned n = 0; n < NODES_MAX; n++) {
        if (hot[n] > most) most = hot[n];
        sum += hot[n];
        *shares = text("%s%s%.1f", *shares, n > 0 ? "/" : "", 100 * hot[n] / (double)us / turns);
    }
    return most * NODES_MAX / sum;
}

/* A load's p99 in microseconds: of the hot key, or of all keys where there is none. */
static uint64_t p99(double hot_share, double per_second, uint64_t us, uint64_t *wrong, double *reached)
{
    struct load load = { .hot_share = hot_share, .per_second = per_second, .us = us };
    uint64_t figure;

    run_load(&load);
    *wrong += load.wrong;
    if (load.redirected > 0)
        note("        %llu of %llu reads were sent home", (unsigned long long)load.redirected,
             (unsigned long long)load.asked);
    *reached = (double)load.asked * 1e6 / (double)us;
    figure = hot_share > 0 ? percentile(load.hot_us, load.hot_count, 0.99)
                           : percentile(load.other_us, load.other_count, 0.99);
    load_end(&load);
    return figure;
}

struct measured {
    double skew_bare, skew; /* of CPU; without names and with them */
    const char *shares_bare, *shares;
    double saturation;                       /* reads per second without names */
    uint64_t uniform_us, bare_us, salted_us; /* p99 at that load, medians */
    double reached;                          /* of that load, with names */
    double most_bare, most;                  /* 0: not measured */
};

static struct measured measure(const struct settings *settings, bool has_names, double hot_share, uint64_t *wrong)
{
    unsigned rounds = settings->is_short ? 1 : ROUNDS_MAX, turns = settings->is_short ? 1 : 8,
             processes = CLIENT_PROCESSES;
    uint64_t us = settings->is_short ? 300000 : 3000000;
    uint64_t uniform[ROUNDS_MAX], bare[ROUNDS_MAX], salted[ROUNDS_MAX] = { 0 };
    bool is_wide = sysconf(_SC_NPROCESSORS_ONLN) >= CPUS_WANTED;
    struct load most = { .hot_share = hot_share, .us = us };
    struct measured measured = { .skew = 0 };
    double unused;

    read_base_only();
    run_load(&most);
    measured.saturation = (double)most.asked * 1e6 / (double)us;
    load_end(&most);
    measured.skew_bare = busiest(hot_share, measured.saturation / 2, us, turns, &measured.shares_bare, wrong);
    if (is_wide) measured.most_bare = most_per_second(hot_share, us, processes);
    if (has_names) {
        task_start(take_names, NULL);
        tasks_run();
        measured.skew = busiest(hot_share, measured.saturation / 2, us, turns, &measured.shares, wrong);
        if (is_wide) measured.most = most_per_second(hot_share, us, processes);
    }
    for (unsigned round = 0; round < rounds; round++) {
        uniform[round] = p99(0, measured.saturation, us, wrong, &unused);
        if (has_names) {
            salted[round] = p99(hot_share, measured.saturation, us, wrong, &measured.reached);
            read_base_only();
        }
        bare[round] = p99(hot_share, measured.saturation, us, wrong, &unused);
        if (has_names) {
            task_start(take_names, NULL);
            tasks_run();
        }
    }
    measured.uniform_us = percentile(uniform, rounds, 0.5);
    measured.bare_us = percentile(bare, rounds, 0.5);
    measured.salted_us = percentile(salted, rounds, 0.5);
    measured.reached /= measured.saturation;
    return measured;
}

static double over(uint64_t a, uint64_t b)
{
    return (double)a / (double)(b > 0 ? b : 1);
}

static void report(double hot_share, const struct measured *ours, const struct measured *redis)
{
    unsigned share = (unsigned)lround(hot_share * 100);
    double ratio = over(ours->salted_us, ours->uniform_us), times = share == 90 ? 3.2 : 2.5;

    found(SPEED, "E7",
          text("%u %% of the reads for one key with 8 names on 4 nodes: its CPU time on the busiest node, over the "
               "mean",
               share),
          text("%.2f (%s %% of a CPU)", ours->skew, ours->shares), "<= 1.15",
          text("%.2f without names; redis-server %.2f", ours->skew_bare, redis->skew_bare), ours->skew <= 1.15);
    found(SPEED, "E7",
          text("%u %%: p99 of its reads at %.0f reads/s, the most without names, over that of many keys", share,
               ours->saturation),
          text("%.2f (%.2f ms, %.2f ms; %.0f %% of that load)", ratio, (double)ours->salted_us / 1e3,
               (double)ours->uniform_us / 1e3, 100 * ours->reached),
          "<= 1.30",
          text("%.2f without names; redis-server %.2f", over(ours->bare_us, ours->uniform_us),
               over(redis->bare_us, redis->uniform_us)),
          ratio <= 1.3);
    if (ours->most > 0)
        found(SPEED, "E7", text("%u %%: reads/s, over those without names", share),
              text("%.2f (%.0f)", ours->most / ours->most_bare, ours->most), text(">= %.1f", times),
              text("%.0f; redis-server %.0f", ours->most_bare, redis->most_bare),
              ours->most >= times * ours->most_bare);
    else
        told("E7", text("%u %%: reads/s, over those without names", share),
             text("not measured: %ld CPUs", sysconf(_SC_NPROCESSORS_ONLN)),
             text(">= %.1f, on %d CPUs and more", times, CPUS_WANTED), "");
}

static void start(const char *binary, const char *more_lines, unsigned keys)
{
    nodes_start(&world.nodes, NODES_MAX, binary, more_lines);
    fill(keys);
    task_start(set_hot, NULL);
    tasks_run();
}

static void end(void)
{
    for (unsigned i = 0; i < SESSIONS; i++)
        for (unsigned n = 0; n < NODES_MAX; n++)
            if (world.conns[i][n] != NULL) conn_close(&world.conns[i][n]);
    nodes_stop(&world.nodes);
    forget_names();
    while (world.key_count > 0) redisFreeCommand(world.keys[--world.key_count].text);
}

static void run(const struct settings *settings)
{
    static const double shares[] = { 0.9, 0.6 };
    unsigned count = settings->is_short ? 1 : 2, uneven;
    unsigned keys = settings->is_short ? 5000 : KEYS_MAX;
    struct measured redis[2], ours[2];
    uint64_t wrong = 0, ignored = 0;

    start(settings->baseline, "", keys);
    for (unsigned i = 0; i < count; i++) redis[i] = measure(settings, false, shares[i], &ignored);
    end();
    start(settings->ours, "io-threads 1\n", keys);
    for (unsigned i = 0; i < count; i++) ours[i] = measure(settings, true, shares[i], &wrong);
    uneven = unevenness();
    end();
    found(CONTENT, "E7", "8 names on 4 nodes: the most that one has, less the fewest; reads that were answered wrongly",
          text("%u; %llu", uneven, (unsigned long long)wrong), "0; 0", "", uneven == 0 && wrong == 0);
    for (unsigned i = 0; i < count; i++) report(shares[i], &ours[i], &redis[i]);
}

const struct experiment experiment_saltload = { .name = "saltload",
                                                .title = "E7: one hot key, served by four nodes under eight names",
                                                .run = run };
