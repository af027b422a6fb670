/* What a cluster of our nodes does over time, whatever the network does: they find each other, agree on the slots, tell the dead from
 * the silent, and take them back. Every failure names its seed. */
#include "sim/sim.h"
#include "unit/unit.h"

/* The unit tests of a folder are one file each; the simulator is shared with whoever else needs it. */
#include "sim/sim.c"
#include "sim/sim_checks.c"
#include "sim/sim_questions.c"

#define PFAIL 0x0004u
#define FAIL 0x0008u

static bool is_formed(struct sim *sim)
{
    return sim_is_full_mesh(sim) && sim_epochs_are_unique(sim) && sim_agrees_on_slots(sim);
}

/* n nodes, each with its share, all met by the first's address. */
static struct sim *sim_of(size_t n, const struct sim_options *options)
{
    struct sim *sim = sim_new(options);

    for (size_t i = 0; i < n; i++) sim_add_node(sim);
    for (size_t i = 0; i < n; i++)
        sim_add_slots(sim, i, (unsigned)(SLOT_COUNT * i / n), (unsigned)(SLOT_COUNT * (i + 1) / n - 1));
    for (size_t i = 1; i < n; i++) sim_meet(sim, i, 0);
    return sim;
}

/* MEETs are sent once: a link that breaks at that moment leaves somebody out, and the operator says it again. */
static bool forms(struct sim *sim, int tries)
{
    for (; tries > 0; tries--) {
        if (sim_run_until(sim, 20000, is_formed)) return true;
        for (size_t i = 1; i < sim_count(sim); i++)
            if (cluster_node_count(sim_core(sim, i)) < sim_count(sim)) sim_meet(sim, i, 0);
    }
    return false;
}

TEST(nodes_that_meet_one_find_all_and_agree_on_every_slot)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct sim *sim = sim_of(3 + seed % 5, &(struct sim_options){ .seed = seed,
                                                                      .node_timeout_ms = 2000,
                                                                      .delay_ms_max = 30,
                                                                      .breaks_per_1000 = (unsigned)(seed % 3 * 10) });
        if (!forms(sim, 5)) fail_msg("seed %d: the cluster did not form", (int)seed);
        sim_free(&sim);
    }
}

static size_t victim;

static bool is_failed_everywhere(struct sim *sim)
{
    return sim_seen_with(sim, victim, FAIL) == sim_count(sim) - 1;
}

static bool is_suspected_nowhere(struct sim *sim)
{
    return sim_seen_with(sim, victim, PFAIL | FAIL) == 0 && is_formed(sim);
}

TEST(a_dead_node_is_failed_at_all_and_is_taken_back_when_it_returns)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim *sim =
            sim_of(3 + seed % 4, &(struct sim_options){ .seed = seed, .node_timeout_ms = 1000, .delay_ms_max = 20 });
        struct cluster_node_info before, after;

        if (!forms(sim, 3)) fail_msg("seed %d: the cluster did not form", (int)seed);
        /* Alive, nobody is suspected for long. */
        sim_run(sim, 10000);
        for (victim = 0; victim < sim_count(sim); victim++) CHECK(sim_seen_with(sim, victim, PFAIL | FAIL) == 0);

        victim = seed % sim_count(sim);
        cluster_node_at(sim_core(sim, victim), 0, &before);
        sim_stop(sim, victim);
        sim_run(sim, 900);
        CHECK(sim_seen_with(sim, victim, PFAIL | FAIL) == 0);
        if (!sim_run_until(sim, 5000, is_failed_everywhere))
            fail_msg("seed %d: node %d is not failed", (int)seed, (int)victim);
        for (size_t i = 0; i < sim_count(sim); i++)
            CHECK(!sim_is_running(sim, i) || !cluster_state_ok(sim_core(sim, i)));

        sim_run(sim, 3000);
        sim_start(sim, victim);
        if (!sim_run_until(sim, 20000, is_suspected_nowhere))
            fail_msg("seed %d: node %d is not back", (int)seed, (int)victim);
        cluster_node_at(sim_core(sim, victim), 0, &after);
        CHECK(after.config_epoch >= before.config_epoch && after.slot_count == before.slot_count);
        sim_free(&sim);
    }
}

TEST(a_node_cut_off_alone_suspects_but_does_not_fail_others)
{
    struct sim *sim = sim_of(3, &(struct sim_options){ .seed = 5, .node_timeout_ms = 1000, .delay_ms_max = 10 });
    size_t left;

    CHECK(forms(sim, 3));
    sim_stop(sim, 1);
    sim_stop(sim, 2);
    sim_run(sim, 5000);
    for (left = 1; left < 3; left++) {
        CHECK(sim_seen_with(sim, left, PFAIL) == 1);
        CHECK(sim_seen_with(sim, left, FAIL) == 0);
    }
    CHECK(!cluster_state_ok(sim_core(sim, 0)));
    sim_start(sim, 1);
    sim_start(sim, 2);
    CHECK(sim_run_until(sim, 20000, is_formed));
    sim_free(&sim);
}

static bool is_ok_at_victim(struct sim *sim)
{
    return cluster_state_ok(sim_core(sim, victim));
}

/* What it wrote down may be old, and nobody is suspected before the node timeout. */
TEST(a_node_that_comes_back_serves_nothing_before_it_has_heard_a_majority)
{
    struct sim *sim = sim_of(3, &(struct sim_options){ .seed = 6, .node_timeout_ms = 15000, .delay_ms_max = 10 });

    CHECK(forms(sim, 3));
    victim = 1;
    sim_stop(sim, victim);
    for (size_t other = 0; other < 3; other++) {
        sim_cut(sim, victim, other, true);
        sim_cut(sim, other, victim, true);
    }
    sim_start(sim, victim);
    sim_run(sim, 10000);
    CHECK(sim_seen_with(sim, 0, PFAIL | FAIL) == 0 && !is_ok_at_victim(sim));
    sim_heal_cuts(sim);
    CHECK(sim_run_until(sim, 20000, is_ok_at_victim));
    sim_free(&sim);
}

/* F25 */
TEST(clocks_that_are_an_hour_apart_or_jump_so_far_make_nobody_suspected)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct sim *sim =
            sim_of(5, &(struct sim_options){
                          .seed = seed, .node_timeout_ms = 2000, .delay_ms_max = 10, .clock_jump_ms_max = 3600000 });

        if (!forms(sim, 3)) fail_msg("seed %d: the cluster did not form", (int)seed);
        for (size_t node = 0; node < 5; node++) {
            /* Back at once, with another clock. */
            sim_stop(sim, node);
            sim_start(sim, node);
            if (!sim_run_until(sim, 20000, is_formed)) fail_msg("seed %d: node %d is not back", (int)seed, (int)node);
            for (int i = 0; i < 100; i++) {
                sim_run(sim, 100);
                for (size_t other = 0; other < 5; other++)
                    if (sim_seen_with(sim, other, PFAIL | FAIL) > 0)
                        fail_msg("seed %d: node %d is suspected", (int)seed, (int)other);
            }
        }
        sim_free(&sim);
    }
}

TEST(a_slot_imported_is_its_new_owners_in_every_view)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim *sim =
            sim_of(4, &(struct sim_options){
                          .seed = seed, .node_timeout_ms = 2000, .delay_ms_max = 30, .breaks_per_1000 = 10 });
        cluster_error error;
        struct bytes source, target;
        uint16_t slot = (uint16_t)(seed * 37 % 4096);

        if (!forms(sim, 5)) fail_msg("seed %d: the cluster did not form", (int)seed);
        source = bytes_of(cluster_my_id(sim_core(sim, 0)));
        target = bytes_of(cluster_my_id(sim_core(sim, 2)));
        cluster_setslot_importing(sim_core(sim, 2), slot, source, sim_now(sim), sim_effects(sim, 2), error);
        CHECK(error[0] == '\0');
        cluster_setslot_migrating(sim_core(sim, 0), slot, target, sim_now(sim), sim_effects(sim, 0), error);
        CHECK(error[0] == '\0');
        sim_carry_out(sim, 0);
        sim_run(sim, 1000);
        cluster_setslot_node(sim_core(sim, 2), slot, target, 0, sim_now(sim), sim_effects(sim, 2), error);
        CHECK(error[0] == '\0');
        sim_carry_out(sim, 2);
        sim_run(sim, 10000);
        if (!sim_run_until(sim, 20000, is_formed)) fail_msg("seed %d: no agreement after the import", (int)seed);
        CHECK(cluster_slot_owner(sim_core(sim, 2), slot) == 0);
        sim_free(&sim);
    }
}

static void forget(struct sim *sim, size_t node, size_t whom)
{
    cluster_error error;

    cluster_forget(sim_core(sim, node), bytes_of(sim_node_id(sim, whom)), sim_node_now(sim, node),
                   sim_effects(sim, node), error);
    CHECK(error[0] == '\0');
    sim_carry_out(sim, node);
}

/* To whom the words were given last is whom it is met by; the others have their minutes yet. */
TEST(who_is_met_after_all_were_told_to_forget_it_is_taken_in_by_all)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim *sim =
            sim_of(5, &(struct sim_options){
                          .seed = seed, .node_timeout_ms = 2000, .delay_ms_max = 30, .clock_jump_ms_max = 3600000 });

        if (!forms(sim, 5)) fail_msg("seed %d: the cluster did not form", (int)seed);
        /* One node is told, and the others by it; or each. */
        for (size_t i = 0; i < (seed % 2 == 0 ? 1u : 4u); i++) forget(sim, i, 4);
        sim_run(sim, 3000);
        for (size_t i = 0; i < 4; i++) CHECK(cluster_node_count(sim_core(sim, i)) == 4);
        /* As CLUSTER MEET says it, or as redis-cli --cluster add-node does. */
        if (seed % 4 < 2)
            sim_meet(sim, 0, 4);
        else
            sim_meet(sim, 4, 0);
        if (!forms(sim, 1)) fail_msg("seed %d: it was not taken in", (int)seed);
        sim_run(sim, 10000);
        if (!is_formed(sim)) fail_msg("seed %d: it was forgotten again", (int)seed);
        sim_free(&sim);
    }
}

/* The simulator checks each packet against the sender's disk; here are the crashes in between, and that it costs no agreement. */
TEST(what_a_slow_disk_has_not_written_yet_is_told_to_nobody)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim *sim = sim_of(4, &(struct sim_options){ .seed = seed,
                                                           .node_timeout_ms = 2000,
                                                           .delay_ms_max = 30,
                                                           .disk_ms_max = 50 + (int64_t)seed * 10 });

        if (!forms(sim, 5)) fail_msg("seed %d: the cluster did not form", (int)seed);
        for (unsigned i = 0; i < 10; i++) {
            size_t n = (seed + i) % sim_count(sim);
            uint64_t epoch;

            cluster_bump_epoch(sim_core(sim, n), &epoch, sim_now(sim), sim_effects(sim, n));
            sim_carry_out(sim, n);
            sim_run(sim, (int64_t)(seed * 7 + i * 31) % 120);
            sim_stop(sim, n);
            sim_start(sim, n);
        }
        if (!sim_run_until(sim, 30000, is_formed)) fail_msg("seed %d: no agreement afterwards", (int)seed);
        sim_free(&sim);
    }
}

static bool is_known_to_all(struct sim *sim)
{
    for (size_t i = 0; i < sim_count(sim); i++)
        if (cluster_node_count(sim_core(sim, i)) != sim_count(sim)) return false;
    return true;
}

TEST(two_hundred_nodes_become_one_cluster_while_links_break)
{
    struct sim *sim = sim_new(
        &(struct sim_options){ .seed = 200, .node_timeout_ms = 15000, .delay_ms_max = 20, .breaks_per_1000 = 2 });
    int64_t started_ms = sim_now(sim);
    cluster_error error;

    for (size_t i = 0; i < 200; i++) {
        sim_add_node(sim);
        sim_add_slots(sim, i, (unsigned)(SLOT_COUNT * i / 200), (unsigned)(SLOT_COUNT * (i + 1) / 200 - 1));
        cluster_set_config_epoch(sim_core(sim, i), (int64_t)i + 1, sim_now(sim), sim_effects(sim, i), error);
        CHECK(error[0] == '\0');
        sim_carry_out(sim, i);
    }
    for (size_t i = 1; i < 200; i++) sim_meet(sim, i, 0);
    if (!sim_run_until(sim, 20000, is_known_to_all)) fail_msg("not everybody knows everybody");
    print_message("200 nodes: all known to all after %lld ms, %llu packets\n", (long long)(sim_now(sim) - started_ms),
                  (unsigned long long)sim_packets(sim));
    /* With so many links one is always broken somewhere: they are all there once it stops. */
    sim_set_breaks(sim, 0);
    if (!sim_run_until(sim, 20000, is_formed)) fail_msg("200 nodes did not form a cluster");
    print_message("200 nodes: one cluster after %lld ms, %llu packets\n", (long long)(sim_now(sim) - started_ms),
                  (unsigned long long)sim_packets(sim));
    sim_free(&sim);
}

/* Items are told once to each, whoever tells it, and what it takes to find that out stays small beside them. */
TEST(a_thousand_items_reach_a_hundred_nodes_without_a_flood)
{
    struct sim *sim = sim_new(&(struct sim_options){ .seed = 100, .node_timeout_ms = 15000, .delay_ms_max = 5 });
    struct shared_item item = { .kind = SHARED_POLICY,
                                .text = BYTES("ttl 3600000 max-ttl 86400000 jitter 10 guard 1") };
    uint64_t packets, bytes, all_bytes;
    int64_t started_ms;
    cluster_error error;
    char name[32];

    for (size_t i = 0; i < 100; i++) sim_add_node(sim);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "application %u:", i);
        item.name = bytes_of(name);
        CHECK(cluster_share_item(sim_core(sim, 0), SHARE_LATEST, &item, sim_now(sim), error));
    }
    started_ms = sim_now(sim);
    for (size_t i = 1; i < 100; i++) sim_meet(sim, i, 0);
    if (!sim_run_until(sim, 60000, is_known_to_all)) fail_msg("not everybody knows everybody");
    if (!sim_run_until(sim, 60000, sim_shares_alike)) fail_msg("not all have the same items");
    packets = sim_shared_packets(sim);
    bytes = sim_shared_bytes(sim);
    all_bytes = sim_bytes(sim);
    print_message("1000 items, 99 nodes that join: everywhere after %lld ms; %llu packets, %llu bytes, %llu with "
                  "heartbeats\n",
                  (long long)(sim_now(sim) - started_ms), (unsigned long long)packets, (unsigned long long)bytes,
                  (unsigned long long)all_bytes);
    /* An item takes about a hundred bytes, a header more than two thousand. */
    CHECK(bytes < 99 * (1000 * 100 + 100 * 2500) && packets < 99 * 100);

    item.name = BYTES("one more");
    CHECK(cluster_share_item(sim_core(sim, 50), SHARE_LATEST, &item, sim_now(sim), error));
    started_ms = sim_now(sim);
    if (!sim_run_until(sim, 20000, sim_shares_alike)) fail_msg("not all have one more");
    print_message("one more: everywhere after %lld ms; %llu packets, %llu bytes\n",
                  (long long)(sim_now(sim) - started_ms), (unsigned long long)(sim_shared_packets(sim) - packets),
                  (unsigned long long)(sim_shared_bytes(sim) - bytes));
    CHECK(sim_shared_packets(sim) - packets < 100 * 10);
    sim_run(sim, 2000);
    packets = sim_shared_packets(sim);
    sim_run(sim, 20000);
    CHECK(sim_shared_packets(sim) == packets);
    sim_free(&sim);
}

TESTS(nodes_that_meet_one_find_all_and_agree_on_every_slot,
      a_dead_node_is_failed_at_all_and_is_taken_back_when_it_returns,
      a_node_cut_off_alone_suspects_but_does_not_fail_others,
      a_node_that_comes_back_serves_nothing_before_it_has_heard_a_majority,
      clocks_that_are_an_hour_apart_or_jump_so_far_make_nobody_suspected,
      a_slot_imported_is_its_new_owners_in_every_view, who_is_met_after_all_were_told_to_forget_it_is_taken_in_by_all,
      what_a_slow_disk_has_not_written_yet_is_told_to_nobody, two_hundred_nodes_become_one_cluster_while_links_break,
      a_thousand_items_reach_a_hundred_nodes_without_a_flood)
