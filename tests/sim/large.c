/* sim/large.c: see the header. */
#include "sim/large.h"

#include "sim/sim.h"

#include <time.h>

#define NODE_TIMEOUT_MS 15000
#define KNOWN_MS 600000
#define STEADY_MS 20000
#define MET_AT_ONCE 50
#define MET_EVERY_MS 1000

static bool is_known_to_all(struct sim *sim)
{
    for (size_t i = 0; i < sim_count(sim); i++)
        if (cluster_node_count(sim_core(sim, i)) != sim_count(sim)) return false;
    return true;
}

static bool agrees(struct sim *sim)
{
    return is_known_to_all(sim) && sim_agrees_on_slots(sim);
}

static double cpu_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct cost {
    int64_t now_ms;
    uint64_t packets, bytes;
    double cpu_s;
};

static struct cost cost(const struct sim *sim)
{
    return (struct cost){ sim_now(sim), sim_packets(sim), sim_bytes(sim), cpu_s() };
}

static void print_cost(const char *what, size_t nodes, const struct cost *from, const struct cost *to)
{
    double seconds = (double)(to->now_ms - from->now_ms) / 1000, node_seconds = seconds * (double)nodes;

    printf("%zu nodes, %s: %.1f s; a node and second: %.1f packets, %.0f bytes, %.0f us of CPU (the simulator's "
           "included)\n",
           nodes, what, seconds, (double)(to->packets - from->packets) / node_seconds,
           (double)(to->bytes - from->bytes) / node_seconds, (to->cpu_s - from->cpu_s) / node_seconds * 1e6);
    fflush(stdout);
}

bool large_run(size_t nodes)
{
    struct sim *sim =
        sim_new(&(struct sim_options){ .seed = nodes, .node_timeout_ms = NODE_TIMEOUT_MS, .delay_ms_max = 20 });
    struct cost start, formed, steady;
    cluster_error error;
    bool ok;

    for (size_t i = 0; i < nodes; i++) {
        sim_add_node(sim);
        sim_add_slots(sim, i, (unsigned)(SLOT_COUNT * i / nodes), (unsigned)(SLOT_COUNT * (i + 1) / nodes - 1));
        cluster_set_config_epoch(sim_core(sim, i), (int64_t)i + 1, sim_now(sim), sim_effects(sim, i), error);
        sim_carry_out(sim, i);
    }
    start = cost(sim);
    /* More at once would find the first one's handshakes used up, and would have to be said again. */
    for (size_t i = 1; i < nodes; i++) {
        sim_meet(sim, i, 0);
        if (i % MET_AT_ONCE == 0) sim_run(sim, MET_EVERY_MS);
    }
    ok = sim_run_until(sim, KNOWN_MS, agrees);
    formed = cost(sim);
    print_cost(ok ? "until all agree" : "did NOT agree", nodes, &start, &formed);
    if (ok) {
        sim_run(sim, STEADY_MS);
        steady = cost(sim);
        print_cost("in peace", nodes, &formed, &steady);
    }
    sim_free(&sim);
    return ok;
}
