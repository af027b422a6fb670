/* utils/experiments/saltwrites.c: E7b. Is a salted key ever older under one of its names than what was acknowledged before the read began?
 *
 * Sessions read any names of four keys and write one time in a hundred. Meanwhile
 *
 *     a breaker    kills helpers and starts them again, stops nodes for as long as a lease and for longer, closes the links between nodes, cuts
 *                  nodes from each other, gives the keys more names and fewer
 *     a mover      gives the slot of the keys and the slots of their names to other nodes, with what is in them
 *
 * and while a node stands still or is cut off it is asked all the time, so that what it says when it goes on is about what it knew before. With `salt-sync
 * no` the same script has to find stale reads. The baseline knows nothing of the kind: a redis-server has one copy of a key that is written to.
 *
 * Then, without all that: for how long a write waits, beside that of a key without names, and where a helper does not answer. */
#include "experiment.h"
#include "network.h"
#include "salted.h"
#include "task.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS 64u
#define FACTOR 8u
#define NODE_TIMEOUT_MS 2000u
#define PROBE_EVERY_US 3000
#define ACK_US_MAX 250000u

enum fault { KILL, STOP, LINKS, NAMES, CUT, MOVE_HOME, MOVE_NAME, FAULTS };

static const char *const fault_names[FAULTS] = { "killed", "stopped",    "links closed", "other names",
                                                 "cut",    "home moved", "names moved" };

struct trial {
    bool is_sync, has_network, is_short;
    uint64_t reads;   /* at least */
    unsigned rounds;  /* of each fault, at least */
    uint64_t us_max;  /* then it is over, whatever is lacking */
    bool until_stale; /* over when that has been seen, too */
};

static struct {
    struct salted salted;
    const struct trial *trial;
    unsigned done[FAULTS], differ;
    uint64_t ends_us;
    unsigned moving[2]; /* the nodes that the mover deals with; both the same: none */
    bool is_moving;
    uint8_t owner[SLOTS]; /* as the mover knows, who gives them away */
} world;

static struct nodes *nodes(void)
{
    return &world.salted.nodes;
}

/* --- What goes wrong --- */

static bool is_busy(unsigned n)
{
    return world.is_moving && (n == world.moving[0] || n == world.moving[1]);
}

static void kill_helper(void)
{
    unsigned n = (unsigned)random_below(NODES_MAX);

    /* What home has is nowhere else: it is not to be lost here, nor what is on its way. */
    while (n == world.salted.home || is_busy(n)) {
        n = (unsigned)random_below(NODES_MAX);
        task_sleep_us(1000);
    }
    nodes_kill(nodes(), n);
    task_sleep_us(random_below(!world.trial->is_short && random_below(8) == 0 ? 4000000 : 400000));
    nodes_restart(nodes(), n);
}

static void probe_for(unsigned n, uint64_t us)
{
    for (uint64_t until = now_us() + us; now_us() < until; task_sleep_us(PROBE_EVERY_US))
        salted_probe(&world.salted, n);
}

static uint64_t draw_stop_us(void)
{
    switch (random_below(world.trial->is_short ? 3 : 8)) {
    case 0:
        return 200000 + random_below(400000); /* longer than a lease */
    case 7:
        return 1500000 + random_below(2500000); /* so long that the others notice */
    default:
        return 10000 + random_below(190000);
    }
}

static void stop_node(void)
{
    unsigned n = (unsigned)random_below(NODES_MAX);

    kill(nodes()->servers[n].pid, SIGSTOP);
    world.salted.is_stopped[n] = true;
    probe_for(n, draw_stop_us());
    world.salted.is_stopped[n] = false;
    kill(nodes()->servers[n].pid, SIGCONT);
}

static void cut_nodes(void)
{
    unsigned a = random_below(2) == 0 ? world.salted.home : (unsigned)random_below(NODES_MAX);
    unsigned b = (a + 1 + (unsigned)random_below(NODES_MAX - 1)) % NODES_MAX;

    switch (random_below(4)) {
    case 0:
        network_cut_one_way(a, b);
        break;
    case 1:
        network_cut_one_way(b, a);
        break;
    case 2: /* from all, though not from its clients */
        for (unsigned n = 0; n < NODES_MAX; n++)
            if (n != b) network_cut(n, b);
        break;
    default:
        network_cut(a, b);
    }
    probe_for(b, 20000 + random_below(random_below(4) == 0 ? 3000000 : 600000));
    network_heal();
}

static void close_links(void)
{
    redisReply *list = nodes_ask_node(nodes(), world.salted.home, "CLIENT LIST");

    for (const char *line = list != NULL ? list->str : NULL; line != NULL; line = strchr(line, '\n')) {
        size_t length;

        line += *line == '\n';
        length = strcspn(line, "\n");
        if (memmem(line, length, "cmd=saltlink", 12) != NULL && random_below(3) > 0)
            freeReplyObject(
                nodes_ask_node(nodes(), world.salted.home, "CLIENT KILL ID %llu", strtoull(line + 3, NULL, 10)));
    }
    freeReplyObject(list);
}

static void change_names(void)
{
    salted_salt(&world.salted, (unsigned)random_below(SALTED_KEYS), 2 + (unsigned)random_below(10));
}

static bool is_wanted(enum fault fault)
{
    return fault != CUT || world.trial->has_network;
}

static bool all_done(void)
{
    for (unsigned fault = 0; fault < FAULTS; fault++)
        if (is_wanted((enum fault)fault) && world.done[fault] < world.trial->rounds) return false;
    return world.salted.reads >= world.trial->reads;
}

static bool is_over(void)
{
    if (now_us() >= world.ends_us) return true;
    return all_done() || (world.trial->until_stale && world.salted.stale > 0);
}

static void break_things(void *context)
{
    static void (*const ways[])(void) = { kill_helper, stop_node, close_links, change_names, cut_nodes };

    enum fault deck[CUT + 1];
    unsigned left = 0;

    (void)context;
    while (!is_over()) {
        unsigned drawn;

        /* All of them in some order, again and again: so that none has to be waited for. */
        for (; left == 0; left = CUT + 1)
            for (unsigned fault = 0; fault <= CUT; fault++) deck[fault] = (enum fault)fault;
        drawn = (unsigned)random_below(left);
        left--;
        if (is_wanted(deck[drawn])) {
            ways[deck[drawn]]();
            world.done[deck[drawn]]++;
            task_sleep_us(random_below(random_below(3) == 0 ? 500000 : 60000));
        }
        deck[drawn] = deck[left];
    }
    world.salted.ends = true;
}

/* --- Who moves slots --- */

static unsigned draw_target(unsigned from)
{
    return (from + 1 + (unsigned)random_below(NODES_MAX - 1)) % NODES_MAX;
}

static void move_slot(unsigned slot)
{
    unsigned from = world.owner[slot], to = draw_target(from);

    if (nodes()->is_down[from] || nodes()->is_down[to] || nodes()->is_starting[from] || nodes()->is_starting[to])
        return;
    world.moving[0] = from;
    world.moving[1] = to;
    world.is_moving = true;
    nodes_move(nodes(), slot, from, to);
    world.owner[slot] = (uint8_t)to;
    if (slot == world.salted.slot) world.salted.home = to;
    world.is_moving = false;
    world.done[slot == world.salted.slot ? MOVE_HOME : MOVE_NAME]++;
}

static void move_things(void *context)
{
    (void)context;
    for (unsigned turn = 0; !world.salted.ends; turn++) {
        const struct salted_key *key = &world.salted.keys[random_below(SALTED_KEYS)];

        move_slot(turn % 2 == 0 ? world.salted.slot : key->names[random_below(key->name_count)].slot);
        task_sleep_us(random_below(random_below(3) == 0 ? 1500000 : 200000));
    }
}

static void ask_for_names(void *context)
{
    (void)context;
    for (unsigned k = 0; !world.salted.ends; k = (k + 1) % SALTED_KEYS) {
        task_sleep_us(100000);
        salted_salt(&world.salted, k, 0);
    }
}

/* --- The trial --- */

static void begin(void *context)
{
    (void)context;
    salted_fill(&world.salted);
    if (!salted_salt_all(&world.salted, FACTOR)) die("the keys cannot be salted");
    salted_wait_copies(&world.salted, SALTED_KEYS, 10000000);
}

static void look_at_all(void *context)
{
    (void)context;
    world.differ = salted_differ(&world.salted);
}

static const char *configuration(bool is_sync)
{
    return text("io-threads 2\ncluster-node-timeout %u\nsalt-sync %s\n", NODE_TIMEOUT_MS, is_sync ? "yes" : "no");
}

static const char *faults_text(void)
{
    const char *all = "";

    for (unsigned fault = 0; fault < FAULTS; fault++)
        if (is_wanted((enum fault)fault))
            all = text("%s%s%u %s", all, *all != '\0' ? ", " : "", world.done[fault], fault_names[fault]);
    return all;
}

static void run_trial(const char *binary, const struct trial *trial)
{
    world.trial = trial;
    memset(world.done, 0, sizeof world.done);
    salted_open(&world.salted, binary, configuration(trial->is_sync));
    memcpy(world.owner, nodes()->owner, sizeof world.owner);
    task_start(begin, NULL);
    tasks_run();

    world.ends_us = now_us() + trial->us_max;
    for (unsigned i = 0; i < SESSIONS; i++) task_start(salted_session, &world.salted);
    task_start(break_things, NULL);
    task_start(move_things, NULL);
    task_start(ask_for_names, NULL);
    tasks_run();
    task_start(look_at_all, NULL);
    tasks_run();
    note("    %s: %s; %s", trial->is_sync ? "salt-sync yes" : "salt-sync no", salted_text(&world.salted),
         faults_text());
    note("        %llu redirects, %llu unanswered, %llu loops", (unsigned long long)nodes()->redirects,
         (unsigned long long)nodes()->unanswered, (unsigned long long)nodes()->loops);
    salted_close(&world.salted);
}

static const char *stale_text(void)
{
    if (world.salted.stale == 0) return text("0 stale of %llu", (unsigned long long)world.salted.reads);
    return text("%llu stale of %llu, oldest %.1f ms", (unsigned long long)world.salted.stale,
                (unsigned long long)world.salted.reads, (double)world.salted.oldest_us / 1e3);
}

static void none_stale(const struct settings *settings, bool has_network, uint64_t reads, const char *baseline)
{
    uint64_t wrong, lost;

    run_trial(settings->ours, &(struct trial){ .is_sync = true,
                                               .has_network = has_network,
                                               .is_short = settings->is_short,
                                               .reads = reads,
                                               .rounds = settings->is_short ? 1 : 20,
                                               .us_max = settings->is_short ? 12000000 : 3600000000 });
    found(CONTENT, "E7b", text("names of salted keys, 1 %% writes, nodes %s", faults_text()), stale_text(), "0",
          baseline, world.salted.stale == 0);
    wrong = world.salted.nothing + world.salted.unwritten;
    lost = world.salted.lost + nodes()->twice;
    found(CONTENT, "E7b",
          "reads of nothing where there is a value, or of what nobody wrote; writes that are lost; refusals",
          text("%llu; %llu; %llu", (unsigned long long)wrong, (unsigned long long)lost,
               (unsigned long long)world.salted.errors),
          "0; 0; 0", "", wrong + lost + world.salted.errors == 0);
    found(CONTENT, "E7b", "names that are not the key when all is over", text("%u", world.differ), "0", "",
          world.differ == 0);
}

/* --- How long a write waits --- */

static struct {
    uint64_t us; /* of one round */
    unsigned rounds;
    uint32_t *taken[2]; /* without names, with names */
    size_t count[2];
    uint64_t *waits;
    unsigned wait_count;
} times;

static void end_later(void *context)
{
    task_sleep_us(*(const uint64_t *)context);
    world.salted.ends = true;
}

static void set_names(void *context)
{
    if (!salted_salt_all(&world.salted, *(const unsigned *)context)) die("the keys cannot be salted");
    salted_wait_copies(&world.salted, SALTED_KEYS, 10000000);
}

static void time_writes(unsigned factor)
{
    size_t *count = &times.count[factor > 1];

    task_start(set_names, &factor);
    tasks_run();
    salted_reset(&world.salted);
    for (unsigned i = 0; i < SESSIONS; i++) task_start(salted_session, &world.salted);
    task_start(end_later, &times.us);
    tasks_run();
    times.taken[factor > 1] = realloc(times.taken[factor > 1], (*count + world.salted.write_count) * sizeof(uint32_t));
    if (world.salted.write_count > 0 && times.taken[factor > 1] == NULL) die("no memory");
    memcpy(times.taken[factor > 1] + *count, world.salted.write_us, world.salted.write_count * sizeof(uint32_t));
    *count += world.salted.write_count;
}

static double p99_us(const uint32_t *taken, size_t count)
{
    uint64_t *all = malloc((count + 1) * sizeof *all), p99;

    if (all == NULL) die("no memory");
    for (size_t i = 0; i < count; i++) all[i] = taken[i];
    p99 = percentile(all, count, 0.99);
    free(all);
    return (double)p99;
}

enum silence { IS_STOPPED, IS_KILLED, IS_CUT };

/* Each round: all copies are good, a helper falls silent, and a write begins at once. */
static void wait_for_silent(enum silence how)
{
    times.wait_count = 0;
    for (unsigned round = 0; round < times.rounds; round++) {
        unsigned n = 1 + round % (NODES_MAX - 1);
        pid_t pid = nodes()->servers[n].pid;

        if (!salted_wait_copies(&world.salted, 1, 20000000)) die("copies that do not come");
        if (how == IS_STOPPED) {
            kill(pid, SIGSTOP);
            world.salted.is_stopped[n] = true;
        } else if (how == IS_KILLED) {
            nodes_kill(nodes(), n);
        } else {
            for (unsigned other = 0; other < NODES_MAX; other++)
                if (other != n) network_cut(other, n);
        }
        times.waits[times.wait_count++] = salted_write_us(&world.salted);
        if (how == IS_STOPPED) {
            kill(pid, SIGCONT);
            world.salted.is_stopped[n] = false;
        } else if (how == IS_KILLED) {
            nodes_restart(nodes(), n);
        } else {
            network_heal();
        }
    }
}

static void wait_for_stopped(void *context)
{
    (void)context;
    wait_for_silent(IS_STOPPED);
}

static void wait_for_killed(void *context)
{
    (void)context;
    wait_for_silent(IS_KILLED);
}

static void wait_for_cut(void *context)
{
    (void)context;
    wait_for_silent(IS_CUT);
}

static void time_silence(const char *what, void (*how)(void *context))
{
    uint64_t most;

    task_start(how, NULL);
    tasks_run();
    most = percentile(times.waits, times.wait_count, 1);
    found(SPEED, "E7b", text("a helper %s: the longest of %u first writes after it", what, times.wait_count),
          text("%.0f ms", (double)most / 1e3), text("<= %u ms", ACK_US_MAX / 1000), "", most <= ACK_US_MAX);
}

static void time_all(const struct settings *settings, bool has_network)
{
    double bare, salted;

    times.us = settings->is_short ? 700000 : 10000000;
    times.rounds = settings->is_short ? 2 : 30;
    times.waits = calloc(times.rounds, sizeof *times.waits);
    times.count[0] = times.count[1] = 0;
    if (times.waits == NULL) die("no memory");
    salted_open(&world.salted, settings->ours, configuration(true));
    world.salted.pause_us = 6400; /* ten thousand operations per second */
    world.salted.reads_former = false;
    task_start(begin, NULL);
    tasks_run();
    for (unsigned round = 0; round < (settings->is_short ? 1 : 5); round++) {
        time_writes(1);
        time_writes(FACTOR);
    }
    bare = p99_us(times.taken[0], times.count[0]);
    salted = p99_us(times.taken[1], times.count[1]);
    found(SPEED, "E7b", text("p99 of %zu acknowledged writes among 10 000 operations/s", times.count[1]),
          text("%.2f ms", salted / 1e3), text("<= 2 x %.2f ms (no names) + 1 ms", bare / 1e3), "",
          salted <= 2 * bare + 1000);
    time_silence("is stopped", wait_for_stopped);
    time_silence("is killed", wait_for_killed);
    if (has_network) time_silence("is cut from all nodes", wait_for_cut);
    salted_close(&world.salted);
    for (unsigned i = 0; i < 2; i++) {
        free(times.taken[i]);
        times.taken[i] = NULL;
    }
    free(times.waits);
}

/* --- The experiment --- */

static void run(const struct settings *settings)
{
    const char *baseline, *missing;

    run_trial(settings->ours, &(struct trial){ .is_short = settings->is_short,
                                               .reads = settings->is_short ? 20000 : 1000000,
                                               .rounds = settings->is_short ? 1 : 10,
                                               .us_max = settings->is_short ? 20000000 : 600000000,
                                               .until_stale = settings->is_short });
    baseline = text("`salt-sync no`: %s", stale_text());
    found(CONTENT, "E7b", "the script bites: the same with `salt-sync no` (a redis-server has one copy, and no names)",
          stale_text(), "> 0", "itself", world.salted.stale > 0);
    none_stale(settings, false, settings->is_short ? 60000 : 10000000, baseline);
    time_all(settings, false);
    if (settings->is_short) return;
    missing = network_open(NODES_MAX);
    if (missing != NULL) {
        note("    E7b, nodes cut from each other: NOT MEASURED, %s", missing);
        return;
    }
    none_stale(settings, true, 2000000, baseline);
    time_all(settings, true);
    network_close();
}

const struct experiment experiment_saltwrites = {
    .name = "saltwrites",
    .title = "E7b: no name of a salted key is older than what was acknowledged, whatever happens to nodes",
    .run = run
};
