/* utils/experiments/jitter.c: E3. A million keys that were set within a second with the same TTL end all at once, unless their TTLs are spread.
 *
 * They are given the deadlines of keys that were set within one second, as unix times, however long the machine takes to set them: the time that is
 * left of a TTL when its key is set is what jitter takes its share of. */
#include "conn.h"
#include "experiment.h"
#include "server.h"
#include "task.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TTL_S 60u
#define JITTER_PERCENT 10u
#define SECONDS_MAX 100u
#define SLICES (SECONDS_MAX * 10) /* of 100 ms */

static uint64_t slices[SLICES], first_ms, without, count_wanted, left_ms;

static void set_one(struct conn *conn, struct awaited *awaited, uint64_t i)
{
    uint64_t deadline_ms = first_ms + TTL_S * 1000 + i * 1000 / count_wanted;

    left_ms += deadline_ms - unix_now_ms();
    send_command(conn, awaited, "SET jitter:%llu v PXAT %llu", i, deadline_ms);
}

static void ask_deadline(struct conn *conn, struct awaited *awaited, uint64_t i)
{
    send_command(conn, awaited, "PEXPIRETIME jitter:%llu", i);
}

static void note_deadline(uint64_t i, const redisReply *reply)
{
    uint64_t slice = ((uint64_t)reply->integer - first_ms) / 100;

    (void)i;
    if (reply->integer <= 0 || slice >= SLICES)
        without++;
    else
        slices[slice]++;
}

/* The most that fall into one second. */
static uint64_t peak(void)
{
    uint64_t sum = 0, most = 0;

    for (unsigned i = 0; i < SLICES; i++) {
        sum += slices[i];
        if (i >= 10) sum -= slices[i - 10];
        if (sum > most) most = sum;
    }
    return most;
}

/* When they really went: by the server's own counter, until all have. What went between two looks is spread over that time: a look may come late. */
static void watch_expiries(const struct server *server, uint64_t count)
{
    uint64_t before = server_counter(server, "expired_keys"), began = now_us();
    unsigned looked = 0;

    memset(slices, 0, sizeof slices);
    while (looked < SLICES && before < count) {
        unsigned until = looked;
        uint64_t now;

        while (until == looked) {
            usleep(100000);
            until = (unsigned)((now_us() - began) / 100000);
        }
        if (until > SLICES) until = SLICES;
        now = server_counter(server, "expired_keys");
        for (unsigned i = looked; i < until; i++) slices[i] = (now - before) / (until - looked);
        before = now;
        looked = until;
    }
}

struct outcome {
    uint64_t by_deadline, by_expiry;
    double seconds, uniform; /* so many end in each second where jitter spreads them evenly */
};

static struct outcome run_keys(const char *binary, uint64_t count, bool is_short, bool has_policy)
{
    struct server server;
    struct outcome outcome = { 0 };
    uint64_t began;

    server_start(&server, binary, "");
    if (has_policy) run_command(server.port, "POLICY SET jitter: jitter %u", JITTER_PERCENT);
    memset(slices, 0, sizeof slices);
    without = left_ms = 0;
    count_wanted = count;
    first_ms = unix_now_ms();
    began = now_us();
    run_bulk(server.port, &(struct bulk){ .count = count, .ask_one = set_one });
    outcome.seconds = (double)(now_us() - began) / 1e6;
    if (outcome.seconds > TTL_S / 2.0) die("this machine takes %.0f s to set the keys", outcome.seconds);
    outcome.uniform = (double)count / ((double)left_ms / (double)count / 1000 * JITTER_PERCENT / 100);
    run_bulk(server.port, &(struct bulk){ .count = count, .ask_one = ask_deadline, .got_one = note_deadline });
    if (without > 0) die("%llu keys have no deadline", (unsigned long long)without);
    outcome.by_deadline = peak();
    if (!is_short) {
        watch_expiries(&server, count);
        outcome.by_expiry = peak();
    }
    server_stop(&server);
    return outcome;
}

static void run(const struct settings *settings)
{
    uint64_t count = settings->is_short ? 100000 : 1000000;
    struct outcome plain = run_keys(settings->baseline, count, settings->is_short, false);
    struct outcome spread = run_keys(settings->ours, count, settings->is_short, true);

    found(CONTENT, "E3", "the baseline bites: deadlines in the fullest second",
          text("%.2f of what is uniform", (double)plain.by_deadline / plain.uniform), "> 1.30", "itself",
          (double)plain.by_deadline > 1.3 * plain.uniform);
    found(CONTENT, "E3",
          text("`jitter %u`, %llu keys of one second (set in %.1f s) with a TTL of %u s: deadlines in the fullest "
               "second",
               JITTER_PERCENT, (unsigned long long)count, spread.seconds, TTL_S),
          text("%.2f of what is uniform over %.1f s", (double)spread.by_deadline / spread.uniform,
               (double)count / spread.uniform),
          "<= 1.30", text("%.2f, set in %.1f s", (double)plain.by_deadline / plain.uniform, plain.seconds),
          (double)spread.by_deadline <= 1.3 * spread.uniform);
    if (settings->is_short) return;
    found(SPEED, "E3", "keys that the server expired in its busiest second",
          text("%.2f", (double)spread.by_expiry / spread.uniform), "<= 1.30",
          text("%.2f", (double)plain.by_expiry / plain.uniform), (double)spread.by_expiry <= 1.3 * spread.uniform);
}

const struct experiment experiment_jitter = { .name = "jitter",
                                              .title = "E3: what was set at once does not end at once",
                                              .run = run };
