/* sim/main.c
 *
 * Stories: a small cluster, and a row of misfortunes drawn from a seed: nodes stopped and started, links that break, slots imported in
 * the middle of it. Then all is healed, and within a bounded time every node must know every other, every slot must have one
 * owner on whom all agree, and every node must serve.
 *
 *     sim [first seed] [seeds]     SIM_LOG=1 prints what each node logs */
#include "sim/sim.h"

#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEDS 300
#define MISFORTUNES 30
#define HEALED_MS 60000

static bool is_healed(struct sim *sim)
{
    return sim_is_full_mesh(sim) && sim_epochs_are_unique(sim) && sim_agrees_on_slots(sim);
}

static struct sim *form(uint64_t seed, struct random *random)
{
    struct sim *sim = sim_new(&(struct sim_options){ .seed = seed,
                                                     .node_timeout_ms = 500 + (int64_t)random_below(random, 3000),
                                                     .delay_ms_max = 1 + (int64_t)random_below(random, 40),
                                                     .disk_ms_max = (int64_t)random_below(random, 4) * 40 });
    size_t n = 3 + random_below(random, 5);

    for (size_t i = 0; i < n; i++) sim_add_node(sim);
    for (size_t i = 0; i < n; i++)
        sim_add_slots(sim, i, (unsigned)(SLOT_COUNT * i / n), (unsigned)(SLOT_COUNT * (i + 1) / n - 1));
    for (size_t i = 1; i < n; i++) sim_meet(sim, i, random_below(random, i));
    return sim;
}

/* An operator who imports a slot without asking how the cluster is. */
static void import(struct sim *sim, size_t node, uint16_t slot)
{
    struct cluster *c = sim_core(sim, node);
    struct cluster_node_info owner;
    cluster_error error;
    int index = cluster_slot_owner(c, slot);

    if (index < 0 || !cluster_node_by_index(c, (uint16_t)index, &owner)) return;
    cluster_setslot_importing(c, slot, bytes_of(owner.id), sim_now(sim), sim_effects(sim, node), error);
    if (error[0]) return;
    cluster_setslot_node(c, slot, bytes_of(cluster_my_id(c)), 0, sim_now(sim), sim_effects(sim, node), error);
    sim_carry_out(sim, node);
}

static void misfortune(struct sim *sim, struct random *random)
{
    size_t node = random_below(random, sim_count(sim));

    switch (random_below(random, 5)) {
    case 0:
        if (sim_is_running(sim, node)) sim_stop(sim, node);
        break;
    case 1:
        if (!sim_is_running(sim, node)) sim_start(sim, node);
        break;
    case 2:
        sim_set_breaks(sim, (unsigned)random_below(random, 30));
        break;
    case 3:
        sim_set_hangs(sim, (unsigned)random_below(random, 10));
        break;
    default:
        if (sim_is_running(sim, node)) import(sim, node, (uint16_t)random_below(random, SLOT_COUNT));
        break;
    }
}

/* NULL, or what went wrong. */
static const char *story(uint64_t seed)
{
    struct random random;
    struct sim *sim;
    const char *wrong = NULL;

    random_seed(&random, seed);
    sim = form(seed, &random);
    if (!sim_run_until(sim, HEALED_MS, is_healed)) wrong = "the cluster did not form";
    for (unsigned i = 0; wrong == NULL && i < MISFORTUNES; i++) {
        misfortune(sim, &random);
        sim_run(sim, (int64_t)random_below(&random, 3000));
    }
    sim_set_breaks(sim, 0);
    sim_set_hangs(sim, 0);
    for (size_t i = 0; i < sim_count(sim); i++)
        if (!sim_is_running(sim, i)) sim_start(sim, i);
    if (wrong == NULL && !sim_run_until(sim, HEALED_MS, is_healed)) wrong = "the cluster did not heal";
    sim_free(&sim);
    return wrong;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, count = argc > 2 ? strtoull(argv[2], NULL, 10) : SEEDS;
    unsigned passed = 0, failed = 0;

    for (uint64_t seed = first; seed < first + count; seed++) {
        const char *wrong = story(seed);
        if (wrong == NULL)
            passed++;
        else
            failed++;
        if (wrong != NULL) printf("  FAILED  seed %llu: %s\n", (unsigned long long)seed, wrong);
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0;
}
