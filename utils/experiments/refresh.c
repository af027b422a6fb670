/* utils/experiments/refresh.c: E2b. A key that all the world reads is refreshed before it expires, by one of its readers, and nobody waits.
 *
 * The clients know GET and SET only: who gets nil loads (50 ms) and sets. */
#include "conn.h"
#include "experiment.h"
#include "server.h"
#include "task.h"

#include <stdlib.h>

#define CLIENTS 100u
#define DATABASE_US 50000

static struct {
    struct conn *conns[CLIENTS];
    unsigned ttl_s, loading, loading_most;
    uint64_t ends_us, pause_us, reads, loads;
    /* Of reads that had the value: those while somebody was loading it, and the others. */
    uint64_t *during_us, *otherwise_us;
    size_t during, otherwise, room;
} hot;

static void client(void *context)
{
    struct conn *conn = hot.conns[(size_t)context];

    task_sleep_us(random_below(hot.pause_us));
    for (uint64_t next = now_us(); next < hot.ends_us; next += hot.pause_us) {
        uint64_t began = now_us();
        redisReply *reply;

        if (began < next) {
            task_sleep_us(next - began);
            began = now_us();
        }
        reply = ask(conn, "GET popular");
        hot.reads++;
        if (reply->type == REDIS_REPLY_NIL) {
            hot.loads++;
            if (++hot.loading > hot.loading_most) hot.loading_most = hot.loading;
            task_sleep_us(DATABASE_US);
            tell(conn, "SET popular value EX %u", hot.ttl_s);
            hot.loading--;
            next = now_us();
        } else if (hot.loading > 0) {
            if (hot.during < hot.room) hot.during_us[hot.during++] = now_us() - began;
        } else if (hot.otherwise < hot.room) {
            hot.otherwise_us[hot.otherwise++] = now_us() - began;
        }
        freeReplyObject(reply);
    }
}

struct outcome {
    uint64_t reads, loads, during_p99_us, otherwise_p99_us;
    unsigned loading_most;
};

static struct outcome run_clients(const struct server *server, unsigned reads_per_second, unsigned ttl_s,
                                  unsigned seconds)
{
    struct outcome outcome;

    hot.ttl_s = ttl_s;
    hot.pause_us = 1000000u * CLIENTS / reads_per_second;
    hot.reads = hot.loads = hot.during = hot.otherwise = 0;
    hot.loading = hot.loading_most = 0;
    hot.room = (size_t)reads_per_second * (seconds + 1);
    hot.during_us = calloc(hot.room, sizeof *hot.during_us);
    hot.otherwise_us = calloc(hot.room, sizeof *hot.otherwise_us);
    run_command(server->port, "SET popular value EX %u", ttl_s);
    hot.ends_us = now_us() + (uint64_t)seconds * 1000000;
    for (size_t i = 0; i < CLIENTS; i++) {
        hot.conns[i] = conn_open(server->port);
        task_start(client, (void *)i);
    }
    tasks_run();
    for (size_t i = 0; i < CLIENTS; i++) conn_close(&hot.conns[i]);
    outcome = (struct outcome){ .reads = hot.reads,
                                .loads = hot.loads,
                                .during_p99_us = percentile(hot.during_us, hot.during, 0.99),
                                .otherwise_p99_us = percentile(hot.otherwise_us, hot.otherwise, 0.99),
                                .loading_most = hot.loading_most };
    free(hot.during_us);
    free(hot.otherwise_us);
    return outcome;
}

static void run(const struct settings *settings)
{
    /* The short form has a long time from the soft point to the end: a machine that stands still for a moment must not spoil it. */
    unsigned reads_per_second = settings->is_short ? 4000 : 20000, ttl_s = settings->is_short ? 4 : 2,
             seconds = settings->is_short ? 8 : 60;
    unsigned periods = seconds * 10 / (ttl_s * 8) + 1;
    struct server redis, ours;
    struct outcome plain, soft;

    server_start(&redis, settings->baseline, "");
    plain = run_clients(&redis, reads_per_second, ttl_s, settings->is_short ? ttl_s + 1 : seconds);
    server_stop(&redis);
    found(CONTENT, "E2b", "the baseline bites: who loads at the same time", text("%u", plain.loading_most), "> 1",
          "itself", plain.loading_most > 1);

    server_start(&ours, settings->ours, "");
    run_command(ours.port, "POLICY SET popular guard yes refresh 80 coalesce 100");
    soft = run_clients(&ours, reads_per_second, ttl_s, seconds);
    server_stop(&ours);
    found(CONTENT, "E2b", text("`refresh 80`, %u GET/s: loads in %u s of TTL %u s", reads_per_second, seconds, ttl_s),
          text("%llu, %u at the same time", (unsigned long long)soft.loads, soft.loading_most),
          text("1 in each 80 %% of a TTL (<= %u), 1 at the same time", periods),
          text("%llu, %u at the same time", (unsigned long long)plain.loads, plain.loading_most),
          soft.loads >= 1 && soft.loads <= periods && soft.loading_most == 1);
    found(SPEED, "E2b", "p99 of reads while one of them loads, against other times",
          text("%.2f and %.2f ms", (double)soft.during_p99_us / 1e3, (double)soft.otherwise_p99_us / 1e3),
          "no 1 ms more", "nobody has a value then", soft.during_p99_us <= soft.otherwise_p99_us + 1000);
}

const struct experiment experiment_refresh = { .name = "refresh",
                                               .title = "E2b: a popular key is refreshed by one, and nobody waits",
                                               .run = run };
