/* sim/story.c: see the header.
 *
 * Of two stories one has an operator who imports slots here and there without asking how the cluster is, which loses keys and is allowed to;
 * the other has clients that write, and one who moves their slots with care; in half of those the nodes end by themselves what was left open. */
#include "sim/story.h"

#include "base/random.h"
#include "sim/items.h"
#include "sim/keys.h"
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define MISFORTUNES 30
#define FORMED_MS 60000
#define HEALED_MS 60000
#define SETTLED_MS 10000
#define OPEN_MS 3000
#define OPEN_ROUNDS 6000
#define SHARED_MS 20000
#define QUIET_MS 2000
#define HOUR_MS 3600000

struct story {
    struct random random;
    struct sim *sim;
    struct keys *keys; /* NULL: the careless operator's */
    bool ends_moves;   /* nodes end by themselves what was left open; else the operator does, at the end */
    struct items *items;
};

static bool is_healed(struct sim *sim)
{
    return sim_is_full_mesh(sim) && sim_epochs_are_unique(sim) && sim_agrees_on_slots(sim);
}

static void form(struct story *story, const struct sim_options *options, size_t n)
{
    struct sim *sim = story->sim = sim_new(options);

    if (story->keys != NULL) keys_attach(story->keys, sim);
    items_attach(story->items, sim);
    for (size_t i = 0; i < n; i++) {
        sim_add_node(sim);
        items_set(story->items, i);
    }
    for (size_t i = 0; i < n; i++)
        sim_add_slots(sim, i, (unsigned)(SLOT_COUNT * i / n), (unsigned)(SLOT_COUNT * (i + 1) / n - 1));
    for (size_t i = 1; i < n; i++) sim_meet(sim, i, random_below(&story->random, i));
}

/* An operator who imports a slot without asking how the cluster is. */
static void import(struct story *story, size_t node, uint16_t slot)
{
    struct sim *sim = story->sim;
    struct cluster *c = sim_core(sim, node);
    struct cluster_node_info owner;
    cluster_error error;
    int index = cluster_slot_owner(c, slot);

    if (index < 0 || !cluster_node_by_index(c, (uint16_t)index, &owner)) return;
    cluster_setslot_importing(c, slot, bytes_of(owner.id), sim_node_now(sim, node), sim_effects(sim, node), error);
    if (error[0] == '\0')
        cluster_setslot_node(c, slot, bytes_of(cluster_my_id(c)), 0, sim_node_now(sim, node), sim_effects(sim, node),
                             error);
    sim_carry_out(sim, node);
    sim_note(sim, node, "slot %u is imported from %.8s: %s", slot, owner.id, error[0] ? error : "OK");
}

/* The nodes fall into two parts that do not hear each other, or of which one does not hear the other. */
static void part(struct story *story)
{
    struct sim *sim = story->sim;
    uint64_t side = random_u64(&story->random);
    bool one_way = random_below(&story->random, 2) == 0;

    sim_note(sim, 0,
             one_way ? "--- cut in two, one way: who is in %llx is not heard by the others"
                     : "--- cut in two: who is in %llx, and the others",
             (unsigned long long)(side & ((UINT64_C(1) << sim_count(sim)) - 1)));
    for (size_t a = 0; a < sim_count(sim); a++)
        for (size_t b = 0; b < sim_count(sim); b++)
            if ((side >> a & 1) != (side >> b & 1) && (!one_way || (side >> a & 1))) sim_cut(sim, a, b, true);
}

/* Each node is heard by the next one only. */
static void ring(struct story *story)
{
    struct sim *sim = story->sim;
    size_t n = sim_count(sim);

    sim_note(sim, 0, "--- each node hears and is heard by its two neighbours only");
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < n; b++)
            if (a != b && (a + 1) % n != b && (b + 1) % n != a) sim_cut(sim, a, b, true);
}

static void start(struct story *story, size_t node)
{
    if (random_below(&story->random, 4) == 0) sim_put_back_shared(story->sim, node);
    sim_start(story->sim, node);
    items_started(story->items, node);
}

static void stop(struct story *story, size_t node)
{
    if (!sim_is_running(story->sim, node)) return;
    if (story->keys != NULL) keys_lost(story->keys, node);
    sim_stop(story->sim, node);
}

static void misfortune(struct story *story)
{
    struct sim *sim = story->sim;
    struct random *random = &story->random;
    size_t node = random_below(random, sim_count(sim));

    switch (random_below(random, 12)) {
    case 0:
    case 1:
        stop(story, node);
        break;
    case 2:
    case 3:
        if (!sim_is_running(sim, node)) start(story, node);
        break;
    case 4:
        sim_set_breaks(sim, (unsigned)random_below(random, 30));
        break;
    case 5:
        sim_set_hangs(sim, (unsigned)random_below(random, 10));
        break;
    case 6:
        part(story);
        break;
    case 7:
        if (random_below(random, 3) == 0)
            ring(story);
        else
            sim_cut(sim, node, random_below(random, sim_count(sim)), true);
        break;
    case 8:
        sim_note(sim, 0, "--- all hear each other again");
        sim_heal_cuts(sim);
        break;
    case 9:
        if (sim_is_running(sim, node)) sim_pause(sim, node, (int64_t)random_below(random, 8000));
        break;
    case 10:
        sim_set_disk_full(sim, node, random_below(random, 2) == 0);
        break;
    default:
        sim_set_replays(sim, (unsigned)random_below(random, 20));
        break;
    }
}

/* What goes on while nobody makes trouble. */
static void go_on(struct story *story, int64_t for_ms)
{
    struct sim *sim = story->sim;
    int64_t until_ms = sim_now(sim) + for_ms;

    while (sim_now(sim) < until_ms) {
        size_t node = random_below(&story->random, sim_count(sim));

        sim_run(sim, 10 + (int64_t)random_below(&story->random, 200));
        if (sim_now(sim) / 1000 % 2 == 0) items_set_somewhere(story->items);
        if (story->keys != NULL) {
            for (int i = 0; i < 3; i++) keys_write(story->keys);
            keys_move(story->keys);
            if (story->ends_moves) keys_go_on(story->keys, OPEN_MS);
            if (story->ends_moves) keys_leave_move(story->keys);
            if (story->ends_moves) keys_close_by_hand(story->keys);
        } else if (random_below(&story->random, 20) == 0 && sim_is_running(sim, node) && !sim_is_paused(sim, node)) {
            import(story, node, (uint16_t)random_below(&story->random, SLOT_COUNT));
        }
    }
}

static void heal(struct story *story)
{
    struct sim *sim = story->sim;

    sim_note(sim, 0, "--- all is healed");
    sim_set_breaks(sim, 0);
    sim_set_hangs(sim, 0);
    sim_set_replays(sim, 0);
    sim_heal_cuts(sim);
    for (size_t i = 0; i < sim_count(sim); i++) {
        sim_set_disk_full(sim, i, false);
        if (!sim_is_running(sim, i)) start(story, i);
    }
}

/* "" or what went wrong. One more node joins, and all come to have the same items; who agrees says nothing more. */
static const char *share(struct story *story)
{
    struct sim *sim = story->sim;
    size_t late = sim_add_node(sim);
    uint64_t packets;
    const char *wrong;

    items_set(story->items, late);
    items_remember(story->items);
    sim_meet(sim, late, random_below(&story->random, late));
    if (!sim_run_until(sim, SHARED_MS, sim_is_full_mesh)) return "a late node does not come to know all";
    if (!sim_run_until(sim, SHARED_MS, sim_shares_alike)) return "not all have the same items";
    wrong = items_check(story->items);
    if (wrong != NULL) return wrong;
    sim_run(sim, QUIET_MS);
    packets = sim_shared_packets(sim);
    sim_run(sim, QUIET_MS);
    return sim_shared_packets(sim) == packets ? "" : "who has the same items goes on to speak of them";
}

static void end_moves(struct story *story)
{
    if (!story->ends_moves) {
        for (int i = 0; i < 5 && keys_is_any_open(story->keys); i++) {
            keys_fix(story->keys);
            sim_run(story->sim, SETTLED_MS);
        }
        return;
    }
    for (int i = 0; i < OPEN_ROUNDS && (keys_is_any_open(story->keys) || keys_is_any_lost(story->keys)); i++) {
        keys_go_on(story->keys, OPEN_MS);
        sim_run(story->sim, 50);
    }
}

/* "" or what went wrong. */
static const char *tell(struct story *story)
{
    const char *lost;

    if (!sim_run_until(story->sim, FORMED_MS, is_healed)) return "the cluster did not form";
    for (unsigned i = 0; i < MISFORTUNES; i++) {
        misfortune(story);
        go_on(story, (int64_t)random_below(&story->random, 3000));
    }
    heal(story);
    if (story->keys == NULL)
        return sim_run_until(story->sim, HEALED_MS, is_healed) ? share(story) : "the cluster did not heal";
    /* Who is importing a slot listens to the operator alone about it: what was left open is closed first. */
    if (!sim_run_until(story->sim, HEALED_MS, sim_is_full_mesh)) return "not all know each other";
    sim_run(story->sim, SETTLED_MS);
    end_moves(story);
    if (keys_is_any_open(story->keys)) return "a slot stays open";
    if (!sim_run_until(story->sim, HEALED_MS, is_healed)) return "the cluster did not heal";
    lost = keys_check(story->keys);
    if (story->ends_moves && keys_is_any_lost(story->keys)) return "a key lies where nobody can read it";
    return lost != NULL ? lost : share(story);
}

struct story_end story_run(uint64_t seed, FILE *trace)
{
    struct story story = { 0 };
    struct story_end end = { 0 };
    const char *volatile wrong;
    jmp_buf broken;
    struct sim_options options;
    size_t n;

    random_seed(&story.random, seed);
    n = 3 + random_below(&story.random, 10);
    options = (struct sim_options){
        .seed = seed,
        .node_timeout_ms = 500 + (int64_t)random_below(&story.random, 3000),
        .delay_ms_max = 1 + (int64_t)random_below(&story.random, 40),
        .disk_ms_max = 1 + (int64_t)random_below(&story.random, 4) * 40,
        .clock_jump_ms_max = random_below(&story.random, 2) == 0 ? HOUR_MS : 0,
        .trace = trace,
        .broken = &broken,
        .item_came = items_came,
    };
    story.items = options.items = items_new(seed, n + 1);
    if (seed % 2 == 0) {
        story.keys = keys_new(&story.random, n);
        story.ends_moves = seed % 4 == 2;
        keys_seed_own(story.keys, seed);
        options.context = story.keys;
        options.keys_dropped = keys_dropped;
    }
    if (setjmp(broken) == 0) {
        form(&story, &options, n);
        wrong = tell(&story);
    } else {
        wrong = sim_what_broke(story.sim);
    }
    snprintf(end.wrong, sizeof(end.wrong), "%s", wrong);
    end.packets = sim_packets(story.sim);
    if (story.keys != NULL) {
        end.writes = keys_written(story.keys);
        for (unsigned step = 0; step < KEYS_DECISIONS; step++) end.decided[step] = keys_decided(story.keys, step);
    }
    if (trace != NULL && end.wrong[0] != '\0') sim_describe(story.sim, trace);
    sim_free(&story.sim);
    if (story.keys != NULL) keys_free(&story.keys);
    items_free(&story.items);
    return end;
}
