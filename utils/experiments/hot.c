/* utils/experiments/hot.c: E5 over the wire. Is a hot key found, is only a hot key found, and how soon?
 *
 * Twice: among keys drawn by Zipf's law some have given rates, a quarter above the threshold and a fifth below; and a key nobody knew begins to
 * be read 50 000 times a second. Then keys that are hot by their bytes, or by the CPU time that their commands take, though they are asked for
 * rarely. What a node answers in one process at a million operations per second is told by hotkeys.c; here it is the rate that is reached. */
#include "conn.h"
#include "experiment.h"
#include "server.h"
#include "task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZIPF_KEYS 10000000u
#define ZIPF_EXPONENT 0.99
#define THRESHOLD 5000u /* the directive's default */
#define PLANTED 4u      /* keys of each given rate */
#define BURST_US 2000
#define LISTED_MAX 64u
#define TRIALS_MAX 200u

static struct {
    uint64_t ends_us, commands, key_counts[PLANTED * 2], zipf_counts[64];
    double zipf_total, *zipf_shares;
    bool ends;
} load;

/* --- Zipf's law: rank r has a share of 1 / r^exponent. --- */

static uint64_t draw_zipf(void)
{
    double wanted = random_unit() * load.zipf_total;
    uint64_t low = 0, high = ZIPF_KEYS - 1;

    while (low < high) {
        uint64_t middle = (low + high) / 2;

        if (load.zipf_shares[middle] > wanted)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void zipf_prepare(void)
{
    load.zipf_shares = malloc(ZIPF_KEYS * sizeof *load.zipf_shares);
    if (load.zipf_shares == NULL) die("no memory");
    load.zipf_total = 0;
    for (uint64_t i = 0; i < ZIPF_KEYS; i++)
        load.zipf_shares[i] = load.zipf_total += pow((double)(i + 1), -ZIPF_EXPONENT);
}

/* --- What is asked --- */

#define DEPTH_MAX 256u

/* A key that is read at a rate, in small bursts. */
struct reader {
    const struct server *server;
    const char *words;
    double per_second;
    uint64_t *counts;
};

static void read_at_rate(void *context)
{
    struct reader *reader = context;
    struct conn *conn = conn_open(reader->server->port);
    /* What it owes after a pause of the machine it does not make up for: that would be a burst above its rate. */
    double owed = 0, most = fmin(DEPTH_MAX, 1 + reader->per_second * 2 * BURST_US / 1e6);
    uint64_t last = now_us();

    while (!load.ends && now_us() < load.ends_us) {
        struct awaited awaited[DEPTH_MAX];
        uint64_t now = now_us();
        unsigned count;

        owed += (double)(now - last) / 1e6 * reader->per_second;
        last = now;
        if (owed > most) owed = most;
        count = (unsigned)owed;
        owed -= count;
        for (unsigned i = 0; i < count; i++) {
            if (reader->words != NULL)
                send_command(conn, &awaited[i], reader->words);
            else
                send_command(conn, &awaited[i], "GET zipf:%llu", draw_zipf());
        }
        for (unsigned i = 0; i < count; i++) freeReplyObject(await(&awaited[i]));
        if (reader->counts != NULL) *reader->counts += count;
        load.commands += count;
        task_sleep_us(BURST_US);
    }
    conn_close(&conn);
    free(reader);
}

static void start_reader(const struct server *server, const char *words, double per_second, uint64_t *counts)
{
    struct reader *reader = malloc(sizeof *reader);

    *reader = (struct reader){ .server = server, .words = words, .per_second = per_second, .counts = counts };
    task_start(read_at_rate, reader);
}

/* --- Who is hot --- */

struct listed {
    char names[LISTED_MAX][64];
    unsigned count;
};

static struct listed list_hot(struct conn *conn)
{
    redisReply *reply = ask(conn, "HOTKEYS LIST COUNT %u", LISTED_MAX);
    struct listed listed = { 0 };

    for (size_t i = 0; i < reply->elements && listed.count < LISTED_MAX; i++) {
        const redisReply *fields = reply->element[i];

        for (size_t f = 0; f + 1 < fields->elements; f += 2)
            if (strcmp(fields->element[f]->str, "key") == 0)
                snprintf(listed.names[listed.count], sizeof listed.names[0], "%s", fields->element[f + 1]->str);
        listed.count++;
    }
    freeReplyObject(reply);
    return listed;
}

static bool is_listed(const struct listed *listed, const char *name)
{
    for (unsigned i = 0; i < listed->count; i++)
        if (strcmp(listed->names[i], name) == 0) return true;
    return false;
}

/* What the node says of a key that it ought not to have listed. */
static void note_why(struct conn *conn, const char *name)
{
    redisReply *reply = ask(conn, "HOTKEYS LIST");

    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *fields = reply->element[i];
        const char *said = "";

        for (size_t f = 0; f + 1 < fields->elements; f += 2) {
            const redisReply *value = fields->element[f + 1];

            said = value->type == REDIS_REPLY_INTEGER
                       ? text("%s %s %lld", said, fields->element[f]->str, value->integer)
                       : text("%s %s %s", said, fields->element[f]->str, value->str);
        }
        if (strstr(said, name) != NULL) note("    listed:%s", said);
    }
    freeReplyObject(reply);
}

/* --- Recall and false positives --- */

static struct {
    const struct server *server;
    uint64_t hot_seen, hot_asked, mild_seen, mild_asked;
    double seconds;
} watch;

static void watch_list(void *context)
{
    struct conn *conn = conn_open(watch.server->port);

    (void)context;
    task_sleep_us(1000000);
    memset(load.key_counts, 0, sizeof load.key_counts);
    watch.seconds = (double)now_us() / 1e6;
    while (now_us() + 100000 < load.ends_us) {
        struct listed listed = list_hot(conn);

        for (unsigned i = 0; i < PLANTED; i++) {
            char name[64];

            snprintf(name, sizeof name, "hot:%u", i);
            watch.hot_asked++;
            watch.hot_seen += is_listed(&listed, name);
            snprintf(name, sizeof name, "mild:%u", i);
            watch.mild_asked++;
            if (is_listed(&listed, name) && watch.mild_seen++ == 0) note_why(conn, name);
        }
        task_sleep_us(100000);
    }
    watch.seconds = (double)now_us() / 1e6 - watch.seconds;
    load.ends = true;
    conn_close(&conn);
}

static void find_planted(const struct server *server, unsigned seconds)
{
    double slowest_hot = 1e9, fastest_mild = 0;

    memset(&watch, 0, sizeof watch);
    watch.server = server;
    load.ends = false;
    load.commands = 0;
    load.ends_us = now_us() + (uint64_t)seconds * 1000000;
    for (unsigned i = 0; i < 4; i++) start_reader(server, NULL, 15000, NULL);
    for (unsigned i = 0; i < PLANTED; i++) {
        start_reader(server, text("GET hot:%u", i), THRESHOLD * 1.4, &load.key_counts[i]);
        start_reader(server, text("GET mild:%u", i), THRESHOLD * 0.8, &load.key_counts[PLANTED + i]);
    }
    task_start(watch_list, NULL);
    tasks_run();
    for (unsigned i = 0; i < PLANTED; i++) {
        double hot = (double)load.key_counts[i] / watch.seconds,
               mild = (double)load.key_counts[PLANTED + i] / watch.seconds;

        if (hot < slowest_hot) slowest_hot = hot;
        if (mild > fastest_mild) fastest_mild = mild;
    }
    note("    %.0f commands/s; the slowest hot key has %.0f/s, the fastest mild one %.0f/s",
         (double)load.commands / seconds, slowest_hot, fastest_mild);
    found(SPEED, "E5",
          text("over the wire at %.0f/s, threshold %u/s: keys of 1.25x that are listed",
               (double)load.commands / seconds, THRESHOLD),
          text("%.2f %% (slowest: %.0f/s)", 100 * (double)watch.hot_seen / (double)watch.hot_asked, slowest_hot),
          ">= 99.9 %", "none can be asked", (double)watch.hot_seen >= 0.999 * (double)watch.hot_asked);
    found(SPEED, "E5", "keys of 0.8x that are listed",
          text("%.2f %% (fastest: %.0f/s)", 100 * (double)watch.mild_seen / (double)watch.mild_asked, fastest_mild),
          "<= 0.1 %", "", (double)watch.mild_seen <= 0.001 * (double)watch.mild_asked);
}

/* --- How soon --- */

static struct {
    const struct server *server;
    char name[64], words[600];
    uint64_t began_us, found_us, patience_us;
} hunt;

static void watch_one(void *context)
{
    struct conn *conn = conn_open(hunt.server->port);

    (void)context;
    while (hunt.found_us == 0 && now_us() < load.ends_us) {
        struct listed listed = list_hot(conn);

        if (is_listed(&listed, hunt.name)) hunt.found_us = now_us();
        task_sleep_us(500);
    }
    load.ends = true;
    conn_close(&conn);
}

static void wait_until_cold(void *context)
{
    struct conn *conn = conn_open(hunt.server->port);
    struct listed listed;

    while (listed = list_hot(conn), is_listed(&listed, context)) task_sleep_us(20000);
    conn_close(&conn);
}

/* How long until a key is listed that begins to be asked for now; 0 when it never is. */
static uint64_t time_to_find(const struct server *server, const char *name, const char *words, double per_second,
                             double others_per_second)
{
    hunt.server = server;
    snprintf(hunt.name, sizeof hunt.name, "%s", name);
    snprintf(hunt.words, sizeof hunt.words, "%s", words);
    hunt.found_us = 0;
    load.ends = false;
    /* To have been written may have made it hot. */
    task_start(wait_until_cold, hunt.name);
    tasks_run();
    hunt.began_us = now_us();
    load.ends_us = hunt.began_us + 5000000;
    start_reader(server, hunt.words, per_second, NULL);
    if (others_per_second > 0) start_reader(server, NULL, others_per_second, NULL);
    task_start(watch_one, NULL);
    tasks_run();
    return hunt.found_us == 0 ? 0 : hunt.found_us - hunt.began_us;
}

static void find_new(const struct server *server, unsigned trials)
{
    uint64_t times_us[TRIALS_MAX];
    bool all_found = true;

    for (unsigned i = 0; i < trials; i++) {
        const char *name = text("new:%u", i);

        times_us[i] = time_to_find(server, name, text("GET %s", name), 50000, 10000);
        all_found &= times_us[i] != 0;
    }
    found(CONTENT, "E5", text("%u new keys of 50 000/s: are found", trials), all_found ? "all" : "not all", "all", "",
          all_found);
    found(SPEED, "E5", "within (p99)",
          text("%.1f ms, median %.1f ms", (double)percentile(times_us, trials, 0.99) / 1e3,
               (double)percentile(times_us, trials, 0.5) / 1e3),
          "<= 20 ms", "", all_found && percentile(times_us, trials, 0.99) <= 20000);
}

static void find_other_kinds(const struct server *server, unsigned trials)
{
    static const char *const kinds[] = { "bytes: 1 MiB, 50 times a second",
                                         "CPU: LCS of 1000 bytes, 100 times a second" };
    char *big = malloc(1u << 20);

    memset(big, 'x', 1u << 20);
    for (unsigned kind = 0; kind < 2; kind++) {
        uint64_t times_us[TRIALS_MAX];
        bool all_found = true;

        for (unsigned i = 0; i < trials; i++) {
            const char *name = text(kind == 0 ? "big:%u" : "{slow:%u}", i);

            run_command(server->port, "SET %s %b", name, big, (size_t)(kind == 0 ? 1u << 20 : 1000));
            if (kind == 1) run_command(server->port, "SET %s:other %b", name, big, (size_t)1000);
            times_us[i] =
                time_to_find(server, name, kind == 0 ? text("GET %s", name) : text("LCS %s %s:other LEN", name, name),
                             kind == 0 ? 50 : 100, 60000);
            all_found &= times_us[i] != 0;
            run_command(server->port, "DEL %s", name);
        }
        found(CONTENT, "E5b", text("hot by %s, among small GETs: is found", kinds[kind]),
              all_found ? "always" : "not always", "always", "", all_found);
        found(SPEED, "E5b", "within (at worst)", text("%.0f ms", (double)percentile(times_us, trials, 1) / 1e3),
              "<= 200 ms", "", all_found && percentile(times_us, trials, 1) <= 200000);
    }
    free(big);
}

static void run(const struct settings *settings)
{
    struct server ours;

    zipf_prepare();
    server_start(&ours, settings->ours, "");
    find_planted(&ours, settings->is_short ? 3 : 30);
    find_new(&ours, settings->is_short ? 3 : 100);
    find_other_kinds(&ours, settings->is_short ? 1 : 10);
    server_stop(&ours);
    free(load.zipf_shares);
}

const struct experiment experiment_hot = { .name = "hot",
                                           .title = "E5: hot keys are found, over the wire",
                                           .run = run };
