/* utils/experiments/staleness.c: E1, E1b, E1c. Does a read ever see less than what was acknowledged before it began?
 *
 *     reader    GET: miss ... loads v1 ................................... SET v1    <- stays: a stale value nobody will drop
 *     writer                            commits v2 ... DEL ... acknowledged
 *
 * Sessions read and write rows of a database through a cache, each in one of the ways below. A write is acknowledged when its
 * commit and its invalidation are done. The checker knows, for each row, the highest version that was acknowledged; a read that
 * returns less than it was when the read began is stale. Who shares connections with whom must not matter, so there are two kinds of clients:
 * multiplexed ones, all sessions on few connections, and pooled ones, where each command takes a free connection. */
#include "cache.h"
#include "database.h"
#include "experiment.h"
#include "server.h"
#include "task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS 2000u
#define SESSIONS 256u
#define SHARED_CONNECTIONS 16u
#define GROUPS 8u /* of keys that move: as many slots */
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
    bool replays;            /* what was lost is found in the outbox a second later */
    uint64_t moves_every_us; /* all slots, to the other of two nodes; 0: never */
};

static struct {
    struct database database;
    struct cache cache;
    uint64_t acknowledged[ROWS];
    uint64_t acknowledged_us[ROWS][DATABASE_HISTORY]; /* when version v was, at v modulo */
    uint64_t reads, reads_wanted, stale, *ages_us;
    size_t age_room;
    unsigned moves;
    const struct trial *trial;
} world;

/* --- Keys --- */

static char keys[ROWS][32];
/* Of slots in the lower half, which the first of two nodes has. */
static const unsigned tags[GROUPS] = { 2, 3, 6, 7, 10, 11, 14, 15 };

/* Where slots move, the keys are in a few of them, which are named by tags. */
static unsigned group_of(uint64_t row)
{
    return world.trial->moves_every_us > 0 ? (unsigned)(row % GROUPS) : 0;
}

/* Each trial has keys of its own: a node remembers versions of values that are gone, and the database begins anew. */
static void name_keys(void)
{
    static unsigned trials;

    trials++;
    for (unsigned row = 0; row < ROWS; row++) {
        if (world.trial->moves_every_us > 0)
            snprintf(keys[row], sizeof keys[row], "row:%u:{%u}:%u", trials, tags[group_of(row)], row);
        else
            snprintf(keys[row], sizeof keys[row], "row:%u:%u", trials, row);
    }
}

#define asked(row, format, ...) cache_ask(&world.cache, group_of(row), format, keys[row], ##__VA_ARGS__)
#define told(row, format, ...) cache_tell(&world.cache, group_of(row), format, keys[row], ##__VA_ARGS__)

static uint64_t number(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_STRING) return strtoull(reply->str, NULL, 10);
    return reply->type == REDIS_REPLY_INTEGER ? (uint64_t)reply->integer : 0;
}

/* --- The ways --- */

static uint64_t plain_read(uint64_t row)
{
    redisReply *reply = asked(row, "GET %s");
    uint64_t version = number(reply);

    freeReplyObject(reply);
    if (version == 0) {
        version = database_load(&world.database, row, false);
        told(row, "SET %s %llu EX 60", version);
    }
    return version;
}

static void plain_invalidate(uint64_t row, uint64_t version)
{
    (void)version;
    told(row, "DEL %s");
}

struct deletion {
    uint64_t row;
};

static void delete_later(void *context)
{
    struct deletion *deletion = context;

    task_sleep_us(500000);
    told(deletion->row, "DEL %s");
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
    if (fetched.token[0] != '\0') told(row, "SET %s %llu EX 60 TOKEN %s", version, fetched.token);
    return version;
}

static uint64_t token_read(uint64_t row)
{
    return token_fill(row, take_apart(asked(row, "FETCH %s LEASE 2000")));
}

static uint64_t token_wait_read(uint64_t row)
{
    return token_fill(row, take_apart(asked(row, "FETCH %s LEASE 2000 WAIT 500")));
}

static void token_invalidate(uint64_t row, uint64_t version)
{
    (void)version;
    told(row, "INVALIDATE %s");
}

static void hold_invalidate(uint64_t row, uint64_t version)
{
    (void)version;
    told(row, "INVALIDATE %s HOLD 200");
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
    told(row, "SET %s %llu EX 60 VER %llu", version, version);
    return version;
}

static uint64_t version_read(uint64_t row)
{
    return version_fill(row, take_apart(asked(row, "FETCH %s")));
}

/* The reader brings what it knows of: the version cookie. */
static uint64_t cookie_read(uint64_t row)
{
    uint64_t known = world.acknowledged[row];

    return version_fill(row, take_apart(asked(row, "FETCH %s VER %llu", known)));
}

static void version_invalidate(uint64_t row, uint64_t version)
{
    told(row, "INVALIDATE %s VER %llu", version);
}

/* All three lines of the manual: one loader, a version and a token. */
static uint64_t both_read(uint64_t row)
{
    struct fetched fetched = take_apart(asked(row, "FETCH %s LEASE 2000 WAIT 500"));
    uint64_t version = fetched.value;

    if (version != 0) return version;
    version = load_at_least(row, fetched.version);
    if (fetched.token[0] != '\0') told(row, "SET %s %llu EX 60 VER %llu TOKEN %s", version, version, fetched.token);
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

/* --- Slots on the move, by the commands that redis-cli --cluster reshard gives --- */

/* True when it went well. What two nodes of Redis think of a slot may be different for a moment after it was moved. */
static bool did(struct conn *conn, const char *command)
{
    redisReply *reply = try(conn, command);
    bool is_well = reply != NULL && reply->type != REDIS_REPLY_ERROR;

    if (!is_well) note("        %s: %s", command, reply == NULL ? "the connection ended" : reply->str);
    freeReplyObject(reply);
    return is_well;
}

static bool move_slot(struct conn *from, struct conn *to, const char *from_id, const char *to_id, unsigned slot)
{
    bool is_empty = false;

    if (!did(to, text("CLUSTER SETSLOT %u IMPORTING %s", slot, from_id)) ||
        !did(from, text("CLUSTER SETSLOT %u MIGRATING %s", slot, to_id)))
        return false;
    /* What is not there any more is asked for at the other node: no key comes back. */
    while (!is_empty) {
        redisReply *found = ask(from, "CLUSTER GETKEYSINSLOT %u 20", slot);
        bool is_well = true;

        is_empty = found->elements == 0;
        for (size_t i = 0; i < found->elements && is_well; i++)
            is_well = did(from, text("MIGRATE 127.0.0.1 %d %s 0 5000", to->port, found->element[i]->str));
        freeReplyObject(found);
        if (!is_well) return false;
    }
    return did(to, text("CLUSTER SETSLOT %u NODE %s", slot, to_id)) &&
           did(from, text("CLUSTER SETSLOT %u NODE %s", slot, to_id));
}

static void move_back_and_forth(void *context)
{
    struct conn *conns[2];
    char *ids[2];
    unsigned here = world.cache.owner[0];

    (void)context;
    for (unsigned n = 0; n < 2; n++) {
        redisReply *id;

        conns[n] = conn_open(world.cache.nodes[n].port);
        id = ask(conns[n], "CLUSTER MYID");
        ids[n] = strdup(id->str);
        freeReplyObject(id);
    }
    /* An even number of times, so that the next trial finds them where it thinks they are. */
    while (world.reads < world.reads_wanted || here != 0) {
        for (unsigned group = 0; group < GROUPS; group++) {
            redisReply *slot = ask(conns[0], "CLUSTER KEYSLOT {%u}", tags[group]);

            while (!move_slot(conns[here], conns[!here], ids[here], ids[!here], (unsigned)slot->integer))
                task_sleep_us(200000);
            freeReplyObject(slot);
        }
        here = !here;
        world.moves++;
        if (world.reads < world.reads_wanted) task_sleep_us(world.trial->moves_every_us);
    }
    for (unsigned n = 0; n < 2; n++) {
        conn_close(&conns[n]);
        free(ids[n]);
    }
}

struct outcome {
    uint64_t reads, stale, oldest_us, age_999_us, of_all_999_us, loads;
    double seconds;
};

/* The age that 99.9 % of all reads are not above, most of which have none; the ages are sorted. */
static uint64_t of_all_999_us(void)
{
    uint64_t fresh = world.reads - world.stale, rank = (uint64_t)((double)(world.reads - 1) * 0.999);

    return rank < fresh ? 0 : world.ages_us[rank - fresh];
}

static struct outcome run_trial(const struct server *servers, const struct trial *trial, uint64_t reads)
{
    unsigned nodes = trial->moves_every_us > 0 ? 2 : 1;
    int ports[2] = { servers[0].port, nodes > 1 ? servers[1].port : 0 };
    struct outcome outcome;
    uint64_t began;

    world.trial = trial;
    world.reads_wanted = reads;
    world.reads = world.stale = world.moves = 0;
    memset(world.acknowledged_us, 0, sizeof world.acknowledged_us);
    for (unsigned i = 0; i < ROWS; i++) world.acknowledged[i] = 1;
    name_keys();
    database_open(&world.database, ROWS);
    world.database.replica_lag_us = trial->replica_lag_us;
    for (unsigned n = 0; n < nodes; n++) {
        run_command(ports[n], "FLUSHALL");
        if (trial->way->policy != NULL) run_command(ports[n], text("POLICY SET row: %s", trial->way->policy));
    }
    cache_open(&world.cache, ports, nodes, trial->is_pooled ? SESSIONS : SHARED_CONNECTIONS, trial->is_pooled);

    began = now_us();
    for (unsigned i = 0; i < SESSIONS; i++) task_start(session, NULL);
    if (nodes > 1) task_start(move_back_and_forth, NULL);
    tasks_run();

    outcome = (struct outcome){ .reads = world.reads,
                                .stale = world.stale,
                                .oldest_us = percentile(world.ages_us, world.stale, 1),
                                .age_999_us = percentile(world.ages_us, world.stale, 0.999),
                                .loads = world.database.loads,
                                .seconds = (double)(now_us() - began) / 1e6 };
    outcome.of_all_999_us = of_all_999_us();
    cache_close(&world.cache);
    for (unsigned n = 0; n < nodes && trial->way->policy != NULL; n++) run_command(ports[n], "POLICY DEL row:");
    database_close(&world.database);
    note("    %s %s, %s: %llu stale of %llu, oldest %.1f ms, %.1f %% of reads loaded, %.0f reads/s", trial->id,
         trial->way->name, trial->is_pooled ? "pooled" : "multiplexed", (unsigned long long)outcome.stale,
         (unsigned long long)outcome.reads, (double)outcome.oldest_us / 1e3,
         100 * (double)outcome.loads / (double)outcome.reads, (double)outcome.reads / outcome.seconds);
    if (nodes > 1)
        note("        %u times all slots moved, %llu redirects", world.moves,
             (unsigned long long)world.cache.redirects);
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

static void no_older_than(enum finding kind, const struct server *server, const struct trial *trial, uint64_t reads,
                          double limit_ms, const struct outcome *baseline)
{
    struct outcome outcome = run_trial(server, trial, reads);

    found(kind, trial->id, text("%s: age of 99.9 %% of the stale reads", trial->way->name),
          text("%.0f ms (of all reads, the fresh ones too: %.0f ms), oldest %.0f ms (%llu stale of %llu)",
               (double)outcome.age_999_us / 1e3, (double)outcome.of_all_999_us / 1e3, (double)outcome.oldest_us / 1e3,
               (unsigned long long)outcome.stale, (unsigned long long)outcome.reads),
          text("<= %.0f ms", limit_ms), stale_text(baseline), (double)outcome.age_999_us / 1e3 <= limit_ms);
}

/* Two nodes that know each other, with half of the slots each: one of Redis's that has lost its last becomes a replica. */
static void two_start(struct server two[2], const char *binary)
{
    for (unsigned n = 0; n < 2; n++)
        server_start(&two[n], binary, "cluster-enabled yes\ncluster-require-full-coverage no\n");
    run_command(two[0].port, "CLUSTER ADDSLOTSRANGE 0 8191");
    run_command(two[1].port, "CLUSTER ADDSLOTSRANGE 8192 16383");
    run_command(two[1].port, "CLUSTER SET-CONFIG-EPOCH 1");
    run_command(two[1].port, "CLUSTER MEET 127.0.0.1 %d", two[0].port);
    for (unsigned n = 0; n < 2; n++) {
        for (bool is_ok = false; !is_ok; usleep(20000)) {
            redisReply *info = command(two[n].port, "CLUSTER INFO");

            is_ok = strstr(info->str, "cluster_state:ok") != NULL &&
                    strstr(info->str, "cluster_known_nodes:2") != NULL &&
                    strstr(info->str, "cluster_slots_assigned:16384") != NULL;
            freeReplyObject(info);
        }
    }
}

static void two_stop(struct server two[2])
{
    server_stop(&two[0]);
    server_stop(&two[1]);
}

static void run(const struct settings *settings)
{
    uint64_t reads = settings->is_short ? 30000 : 10000000;
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
    none_stale(&ours, &(struct trial){ .id = "E1b", .way = &versions, .replica_lag_us = REPLICA_LAG_US }, reads,
               &lagging);
    none_stale(&ours, &(struct trial){ .id = "E1c", .way = &cookie, .lost_share = LOST_SHARE, .replays = true }, reads,
               &losing);
    /* How late a replay or a hold's end comes is a matter of the machine's speed too. */
    if (!settings->is_short) {
        no_older_than(SPEED, &ours, &(struct trial){ .id = "E1b", .way = &hold, .replica_lag_us = REPLICA_LAG_US },
                      reads, 200, &lagging);
        no_older_than(SPEED, &ours,
                      &(struct trial){ .id = "E1c", .way = &versions, .lost_share = LOST_SHARE, .replays = true },
                      reads, 1000, &losing);
    }
    server_stop(&ours);
}

static uint64_t moving_reads(const struct settings *settings)
{
    return settings->is_short ? 30000 : 2000000;
}

static uint64_t moves_every_us(const struct settings *settings)
{
    return settings->is_short ? 300000 : 5000000;
}

static void run_moves(const struct settings *settings)
{
    uint64_t reads = moving_reads(settings), every_us = moves_every_us(settings);
    struct server two[2];
    struct outcome baseline;

    two_start(two, settings->baseline);
    baseline = must_bite(two, &(struct trial){ .id = "E1d", .way = &plain, .moves_every_us = every_us }, reads);
    two_stop(two);
    two_start(two, settings->ours);
    none_stale(two, &(struct trial){ .id = "E1d", .way = &token, .moves_every_us = every_us }, reads, &baseline);
    none_stale(two, &(struct trial){ .id = "E1d", .way = &token_wait, .is_pooled = true, .moves_every_us = every_us },
               reads, &baseline);
    none_stale(two, &(struct trial){ .id = "E1d", .way = &both, .is_pooled = true, .moves_every_us = every_us }, reads,
               &baseline);
    /* Floors stay behind when a slot goes: what is stored by its version alone is held for floor-ttl, no longer. */
    no_older_than(CONTENT, two, &(struct trial){ .id = "E1d", .way = &versions, .moves_every_us = every_us }, reads,
                  60000, &baseline);
    two_stop(two);
}

const struct experiment experiment_moves = {
    .name = "moves", .title = "E1d: the same while all slots move from one node to another and back", .run = run_moves
};

/* Clients that know GET, SET and DEL only, on a node that guards fills. */
static void run_guard(const struct settings *settings)
{
    uint64_t reads = settings->is_short ? 30000 : 10000000;
    struct server redis, ours, two[2];
    struct outcome multiplexed, pooled, moving;

    server_start(&redis, settings->baseline, "");
    multiplexed = must_bite(&redis, &(struct trial){ .id = "E1", .way = &plain }, reads);
    pooled = must_bite(&redis, &(struct trial){ .id = "E1", .way = &plain, .is_pooled = true }, reads);
    server_stop(&redis);
    server_start(&ours, settings->ours, "");
    none_stale(&ours, &(struct trial){ .id = "E1", .way = &guard }, reads, &multiplexed);
    none_stale(&ours, &(struct trial){ .id = "E1", .way = &guard, .is_pooled = true }, reads, &pooled);
    server_stop(&ours);

    two_start(two, settings->baseline);
    moving = must_bite(two, &(struct trial){ .id = "E1d", .way = &plain, .moves_every_us = moves_every_us(settings) },
                       moving_reads(settings));
    two_stop(two);
    two_start(two, settings->ours);
    none_stale(two, &(struct trial){ .id = "E1d", .way = &guard, .moves_every_us = moves_every_us(settings) },
               moving_reads(settings), &moving);
    two_stop(two);
}

const struct experiment experiment_guard = { .name = "guard",
                                             .title = "E1: nor do unmodified clients, where fills are guarded",
                                             .run = run_guard };

const struct experiment experiment_staleness = { .name = "staleness",
                                                 .title = "E1: no read sees less than was acknowledged before it began",
                                                 .run = run };
