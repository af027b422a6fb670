/* utils/experiments/staleness.c: E1, E1b, E1c. Does a read ever see less than what was acknowledged before it began?
 *
 *     reader    GET: miss ... loads v1 ................................... SET v1    <- stays: a stale value nobody will drop
 *     writer                            commits v2 ... DEL ... acknowledged
 *
 * Sessions read and write rows of a database through a cache, each in one of the ways below. A write is acknowledged when its
 * commit and its invalidation are done. The checker knows, for each row, the highest version that was acknowledged; a read that
 * returns less than it was when the read began is stale. Who shares connections with whom must not matter, so there are two kinds of clients:
 * multiplexed ones, all sessions on few connections, and pooled ones, where each command takes a free connection. */
#include "conn.h"
#include "database.h"
#include "experiment.h"
#include "server.h"
#include "task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 2000u
#define SESSIONS 256u
#define SHARED_CONNECTIONS 16u
#define WRITE_SHARE 0.05
#define COMMIT_TO_INVALIDATE_US 500
#define REPLICA_LAG_US 20000
#define LOST_SHARE 0.001
#define REPLAY_US 1000000

/* A way to use the cache. `read` returns the version it got, `invalidate` comes after the commit. */
struct way {
    const char *name;
    uint64_t (*read)(uint64_t row);
    void (*invalidate)(uint64_t row, uint64_t version);
    bool waits; /* a read may be parked: not for multiplexed clients */
    const char *policy;
};

struct trial {
    const char *id;
    const struct way *way;
    bool is_pooled;
    double replica_lag_us, lost_share;
    bool replays; /* what was lost is found in the outbox a second later */
};

static struct {
    struct database database;
    struct conn *conns[SESSIONS]; /* pooled: the free ones */
    unsigned conn_count;
    uint64_t acknowledged[ROWS];
    uint64_t acknowledged_us[ROWS][DATABASE_HISTORY]; /* when version v was, at v modulo */
    uint64_t reads, reads_wanted, stale, *ages_us;
    size_t age_room;
    const struct trial *trial;
} world;

/* --- Connections --- */

static struct conn *conn_take(void)
{
    if (!world.trial->is_pooled) return world.conns[random_below(world.conn_count)];
    if (world.conn_count == 0) die("more commands at once than connections");
    return world.conns[--world.conn_count];
}

static void conn_give_back(struct conn *conn)
{
    if (world.trial->is_pooled) world.conns[world.conn_count++] = conn;
}

#define asked(...)                                                                                                     \
    __extension__({                                                                                                    \
        struct conn *taken = conn_take();                                                                              \
        redisReply *got = ask(taken, __VA_ARGS__);                                                                     \
        conn_give_back(taken);                                                                                         \
        got;                                                                                                           \
    })
#define told(...) freeReplyObject(asked(__VA_ARGS__))

static uint64_t number(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_STRING) return strtoull(reply->str, NULL, 10);
    return reply->type == REDIS_REPLY_INTEGER ? (uint64_t)reply->integer : 0;
}

/* --- The ways --- */

static uint64_t plain_read(uint64_t row)
{
    redisReply *reply = asked("GET row:%llu", row);
    uint64_t version = number(reply);

    freeReplyObject(reply);
    if (version == 0) {
        version = database_load(&world.database, row, false);
        told("SET row:%llu %llu EX 60", row, version);
    }
    return version;
}

static void plain_invalidate(uint64_t row, uint64_t version)
{
    (void)version;
    told("DEL row:%llu", row);
}

struct deletion {
    uint64_t row;
};

static void delete_later(void *context)
{
    struct deletion *deletion = context;

    task_sleep_us(500000);
    told("DEL row:%llu", deletion->row);
    free(deletion);
}

/* What is recommended for plain caches: delete, and once more half a second later. */
static void double_invalidate(uint64_t row, uint64_t version)
{
    struct deletion *deletion = malloc(sizeof *deletion);

    plain_invalidate(row, version);
    deletion->row = row;
    task_start(delete_later, deletion);
}

/* [state, value, version, token], taken apart. */
struct fetched {
    uint64_t value; /* 0: a miss */
    uint64_t version;
    char token[64]; /* "": none */
};

static struct fetched take_apart(redisReply *reply)
{
    struct fetched fetched = { 0 };

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 4) die("FETCH answered something else");
    fetched.value = number(reply->element[1]);
    fetched.version = number(reply->element[2]);
    if (reply->element[3]->str != NULL) snprintf(fetched.token, sizeof fetched.token, "%s", reply->element[3]->str);
    freeReplyObject(reply);
    return fetched;
}

static uint64_t token_fill(uint64_t row, struct fetched fetched)
{
    uint64_t version = fetched.value;

    if (version != 0) return version;
    version = database_load(&world.database, row, false);
    if (fetched.token[0] != '\0') told("SET row:%llu %llu EX 60 TOKEN %s", row, version, fetched.token);
    return version;
}

static uint64_t token_read(uint64_t row)
{
    return token_fill(row, take_apart(asked("FETCH row:%llu LEASE 2000", row)));
}

static uint64_t token_wait_read(uint64_t row)
{
    return token_fill(row, take_apart(asked("FETCH row:%llu LEASE 2000 WAIT 500", row)));
}

static void token_invalidate(uint64_t row, uint64_t version)
{
    (void)version;
    told("INVALIDATE row:%llu", row);
}

static void hold_invalidate(uint64_t row, uint64_t version)
{
    (void)version;
    told("INVALIDATE row:%llu HOLD 200", row);
}

/* The miss tells which version there is at least: a replica that does not have it yet is not believed. */
static uint64_t load_at_least(uint64_t row, uint64_t floor)
{
    uint64_t version = database_load(&world.database, row, false);

    return version >= floor ? version : database_load(&world.database, row, true);
}

static uint64_t version_fill(uint64_t row, struct fetched fetched)
{
    uint64_t version = fetched.value;

    if (version != 0) return version;
    version = load_at_least(row, fetched.version);
    told("SET row:%llu %llu EX 60 VER %llu", row, version, version);
    return version;
}

static uint64_t version_read(uint64_t row)
{
    return version_fill(row, take_apart(asked("FETCH row:%llu", row)));
}

/* The reader brings what it knows of: the version cookie. */
static uint64_t cookie_read(uint64_t row)
{
    uint64_t known = world.acknowledged[row];

    return version_fill(row, take_apart(asked("FETCH row:%llu VER %llu", row, known)));
}

static void version_invalidate(uint64_t row, uint64_t version)
{
    told("INVALIDATE row:%llu VER %llu", row, version);
}

/* All three lines of the manual: one loader, a version and a token. */
static uint64_t both_read(uint64_t row)
{
    struct fetched fetched = take_apart(asked("FETCH row:%llu LEASE 2000 WAIT 500", row));
    uint64_t version = fetched.value;

    if (version != 0) return version;
    version = load_at_least(row, fetched.version);
    if (fetched.token[0] != '\0')
        told("SET row:%llu %llu EX 60 VER %llu TOKEN %s", row, version, version, fetched.token);
    return version;
}

static const struct way plain = { .name = "GET, SET, DEL", .read = plain_read, .invalidate = plain_invalidate };
static const struct way twice = { .name = "delayed double DEL", .read = plain_read, .invalidate = double_invalidate };
static const struct way guard = {
    .name = "GET, SET, DEL under `guard`", .read = plain_read, .invalidate = plain_invalidate, .policy = "guard yes"
};
static const struct way token = { .name = "FETCH, SET TOKEN", .read = token_read, .invalidate = token_invalidate };
static const struct way token_wait = {
    .name = "FETCH WAIT, SET TOKEN", .read = token_wait_read, .invalidate = token_invalidate, .waits = true
};
static const struct way versions = { .name = "FETCH, SET VER", .read = version_read, .invalidate = version_invalidate };
static const struct way hold = { .name = "FETCH, INVALIDATE HOLD 200",
                                 .read = token_read,
                                 .invalidate = hold_invalidate };
static const struct way cookie = { .name = "FETCH VER (cookie)",
                                   .read = cookie_read,
                                   .invalidate = version_invalidate };
static const struct way both = {
    .name = "FETCH WAIT, SET VER TOKEN", .read = both_read, .invalidate = version_invalidate, .waits = true
};

/* --- The checker --- */

static void acknowledge(uint64_t row, uint64_t version)
{
    uint64_t now = now_us();

    for (uint64_t each = world.acknowledged[row] + 1; each <= version; each++)
        world.acknowledged_us[row][each % DATABASE_HISTORY] = now;
    if (version > world.acknowledged[row]) world.acknowledged[row] = version;
}

static void check(uint64_t row, uint64_t acknowledged_before, uint64_t served)
{
    world.reads++;
    if (served >= acknowledged_before) return;
    /* Its age: for how long something newer has been acknowledged. Long histories are cut off at what is kept of them. */
    if (acknowledged_before - served > DATABASE_HISTORY - 1) served = acknowledged_before - (DATABASE_HISTORY - 1);
    if (world.stale == world.age_room) {
        world.age_room = world.age_room * 2 + 1024;
        world.ages_us = realloc(world.ages_us, world.age_room * sizeof *world.ages_us);
        if (world.ages_us == NULL) die("no memory");
    }
    world.ages_us[world.stale++] = now_us() - world.acknowledged_us[row][(served + 1) % DATABASE_HISTORY];
}

/* --- Sessions --- */

struct replay {
    uint64_t row, version;
};

static void replay_later(void *context)
{
    struct replay *replay = context;

    task_sleep_us(REPLAY_US);
    world.trial->way->invalidate(replay->row, replay->version);
    free(replay);
}

static void write_row(uint64_t row)
{
    uint64_t version = database_commit(&world.database, row);

    task_sleep_us((uint64_t)random_exponential(COMMIT_TO_INVALIDATE_US));
    if (random_unit() >= world.trial->lost_share) {
        world.trial->way->invalidate(row, version);
    } else if (world.trial->replays) {
        struct replay *replay = malloc(sizeof *replay);

        *replay = (struct replay){ row, version };
        task_start(replay_later, replay);
    }
    acknowledge(row, version);
}

/* A few rows are read most of the time. */
static uint64_t draw_row(void)
{
    double u = random_unit();

    return (uint64_t)(ROWS * u * u * u);
}

static void session(void *context)
{
    (void)context;
    while (world.reads < world.reads_wanted) {
        uint64_t row = draw_row();

        if (random_unit() < WRITE_SHARE) {
            write_row(row);
        } else {
            uint64_t acknowledged = world.acknowledged[row];

            check(row, acknowledged, world.trial->way->read(row));
        }
    }
}

struct outcome {
    uint64_t reads, stale, oldest_us, age_999_us, loads;
    double seconds;
};

static struct outcome run_trial(const struct server *server, const struct trial *trial, uint64_t reads)
{
    struct outcome outcome;
    uint64_t began;

    world.trial = trial;
    world.reads_wanted = reads;
    world.reads = world.stale = 0;
    memset(world.acknowledged_us, 0, sizeof world.acknowledged_us);
    for (unsigned i = 0; i < ROWS; i++) world.acknowledged[i] = 1;
    database_open(&world.database, ROWS);
    world.database.replica_lag_us = trial->replica_lag_us;
    run_command(server->port, "FLUSHALL");
    if (trial->way->policy != NULL) run_command(server->port, text("POLICY SET row: %s", trial->way->policy));
    world.conn_count = trial->is_pooled ? SESSIONS : SHARED_CONNECTIONS;
    for (unsigned i = 0; i < world.conn_count; i++) world.conns[i] = conn_open(server->port);

    began = now_us();
    for (unsigned i = 0; i < SESSIONS; i++) task_start(session, NULL);
    tasks_run();

    outcome = (struct outcome){ .reads = world.reads,
                                .stale = world.stale,
                                .oldest_us = percentile(world.ages_us, world.stale, 1),
                                .age_999_us = percentile(world.ages_us, world.stale, 0.999),
                                .loads = world.database.loads,
                                .seconds = (double)(now_us() - began) / 1e6 };
    while (world.conn_count > 0) conn_close(&world.conns[--world.conn_count]);
    if (trial->way->policy != NULL) run_command(server->port, "POLICY DEL row:");
    database_close(&world.database);
    note("    %s %s, %s: %llu stale of %llu, oldest %.1f ms, %.1f %% of reads loaded, %.0f reads/s", trial->id,
         trial->way->name, trial->is_pooled ? "pooled" : "multiplexed", (unsigned long long)outcome.stale,
         (unsigned long long)outcome.reads, (double)outcome.oldest_us / 1e3,
         100 * (double)outcome.loads / (double)outcome.reads, (double)outcome.reads / outcome.seconds);
    return outcome;
}

/* --- The experiment --- */

static const char *stale_text(const struct outcome *outcome)
{
    if (outcome->stale == 0) return text("0 stale of %llu", (unsigned long long)outcome->reads);
    return text("%llu stale of %llu, oldest %.1f s", (unsigned long long)outcome->stale,
                (unsigned long long)outcome->reads, (double)outcome->oldest_us / 1e6);
}

static void none_stale(const struct server *server, const struct trial *trial, uint64_t reads,
                       const struct outcome *baseline)
{
    struct outcome outcome = run_trial(server, trial, reads);

    found(CONTENT, trial->id, text("%s, %s", trial->way->name, trial->is_pooled ? "pooled" : "multiplexed"),
          stale_text(&outcome), "0", stale_text(baseline), outcome.stale == 0);
}

static struct outcome must_bite(const struct server *server, const struct trial *trial, uint64_t reads)
{
    struct outcome outcome = run_trial(server, trial, reads);

    found(CONTENT, trial->id, text("the baseline bites (%s)", trial->way->name), stale_text(&outcome), "> 0", "itself",
          outcome.stale > 0);
    return outcome;
}

static void no_older_than(const struct server *server, const struct trial *trial, uint64_t reads, double limit_ms,
                          const struct outcome *baseline)
{
    struct outcome outcome = run_trial(server, trial, reads);

    /* How late a replay comes is a matter of the machine's speed too. */
    found(SPEED, trial->id, text("%s: age of 99.9 %% of the stale reads", trial->way->name),
          text("%.0f ms, oldest %.0f ms", (double)outcome.age_999_us / 1e3, (double)outcome.oldest_us / 1e3),
          text("<= %.0f ms", limit_ms), stale_text(baseline), (double)outcome.age_999_us / 1e3 <= limit_ms);
}

static void run(const struct settings *settings)
{
    uint64_t reads = settings->is_short ? 60000 : 10000000;
    struct server redis, ours;
    struct outcome multiplexed, pooled, lagging, losing;

    server_start(&redis, settings->baseline, "");
    multiplexed = must_bite(&redis, &(struct trial){ .id = "E1", .way = &plain }, reads);
    pooled = must_bite(&redis, &(struct trial){ .id = "E1", .way = &plain, .is_pooled = true }, reads);
    if (!settings->is_short) must_bite(&redis, &(struct trial){ .id = "E1", .way = &twice }, reads);
    lagging = must_bite(&redis, &(struct trial){ .id = "E1b", .way = &plain, .replica_lag_us = REPLICA_LAG_US }, reads);
    losing = must_bite(&redis, &(struct trial){ .id = "E1c", .way = &plain, .lost_share = LOST_SHARE }, reads);
    server_stop(&redis);

    server_start(&ours, settings->ours, "");
    none_stale(&ours, &(struct trial){ .id = "E1", .way = &token }, reads, &multiplexed);
    none_stale(&ours, &(struct trial){ .id = "E1", .way = &token_wait, .is_pooled = true }, reads, &pooled);
    none_stale(&ours, &(struct trial){ .id = "E1", .way = &versions }, reads, &multiplexed);
    none_stale(&ours, &(struct trial){ .id = "E1", .way = &both, .is_pooled = true }, reads, &pooled);
    none_stale(&ours, &(struct trial){ .id = "E1", .way = &guard }, reads, &multiplexed);
    none_stale(&ours, &(struct trial){ .id = "E1", .way = &guard, .is_pooled = true }, reads, &pooled);
    none_stale(&ours, &(struct trial){ .id = "E1b", .way = &versions, .replica_lag_us = REPLICA_LAG_US }, reads,
               &lagging);
    none_stale(&ours, &(struct trial){ .id = "E1c", .way = &cookie, .lost_share = LOST_SHARE, .replays = true }, reads,
               &losing);
    if (!settings->is_short) {
        no_older_than(&ours, &(struct trial){ .id = "E1b", .way = &hold, .replica_lag_us = REPLICA_LAG_US }, reads, 200,
                      &lagging);
        no_older_than(&ours,
                      &(struct trial){ .id = "E1c", .way = &versions, .lost_share = LOST_SHARE, .replays = true },
                      reads, 1000, &losing);
    }
    server_stop(&ours);
}

const struct experiment experiment_staleness = { .name = "staleness",
                                                 .title = "E1: no read sees less than was acknowledged before it began",
                                                 .run = run };
