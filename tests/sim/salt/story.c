/* sim/salt/story.c
 *
 * What happens to the nodes of a seed, for some seconds; then all is mended, and everything must come right. */
#include "sim/salt/world.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <string.h>

#define STORY_US 5000000
#define CALM_US 4000000

void note(struct world *world, const char *format, ...)
{
    va_list args;

    if (world->trace == NULL) return;
    fprintf(world->trace, "%10.3f ms  ", (double)world->now_us / 1000.0);
    va_start(args, format);
    vfprintf(world->trace, format, args);
    va_end(args);
    fputc('\n', world->trace);
}

void broken(struct world *world, const char *format, ...)
{
    va_list args;
    int len = snprintf(world->wrong, sizeof(world->wrong), "at %lld ms: ", (long long)world->now_us / 1000);

    va_start(args, format);
    vsnprintf(world->wrong + len, sizeof(world->wrong) - (size_t)len, format, args);
    va_end(args);
    longjmp(world->broken, 1);
}

static uint8_t some_node(struct world *world)
{
    return (uint8_t)random_below(&world->random, world->node_count);
}

/* The truth about a base has changed: all hear of it, sooner or later. */
static void tell_all(struct world *world, uint8_t base)
{
    uint64_t number = ++world->bases[base].number;

    for (uint8_t node = 0; node < world->node_count; node++)
        if (world->nodes[node].is_alive)
            schedule(world, (struct event){ .kind = EVENT_VIEW, .node = node, .base = base, .number = number },
                     CHANCE(world, 50) ? between(world, 0, 20000) : between(world, 0, 900000));
}

/* --- Slots that move --- */

static void move_on(struct world *world, uint8_t base, uint64_t step, int64_t in_us)
{
    schedule(world,
             (struct event){
                 .kind = EVENT_MOVE, .base = base, .number = step, .value = (int64_t)world->bases[base].move },
             in_us);
}

static void move_ends(struct world *world, uint8_t base)
{
    struct truth *truth = &world->bases[base];

    truth->is_moving = false;
    world->nodes[truth->owner].held[base].in_flight = world->nodes[truth->target].held[base].in_flight = false;
    /* Who went away in the midst of it took the key along, or left it where it was. */
    if (truth->where != truth->owner) lose_value(world, base, truth->owner);
    if (world->nodes[truth->target].held[base].slot != HOME_SLOT_ELSEWHERE)
        node_slot(world, truth->target, base, HOME_SLOT_ELSEWHERE);
    if (world->nodes[truth->owner].held[base].slot == HOME_SLOT_LEAVING)
        node_slot(world, truth->owner, base, HOME_SLOT_HERE);
}

static void move_begin(struct world *world, uint8_t base)
{
    struct truth *truth = &world->bases[base];
    uint8_t target = some_node(world);

    if (truth->is_moving || target == truth->owner || truth->where != truth->owner || !is_running(world, target) ||
        !is_running(world, truth->owner) || !world->nodes[target].is_ok || !world->nodes[truth->owner].is_ok ||
        world->nodes[truth->owner].held[base].slot != HOME_SLOT_HERE)
        return;
    truth->is_moving = true;
    truth->move++;
    truth->target = target;
    node_slot(world, target, base, HOME_SLOT_ARRIVING);
    move_on(world, base, 1, between(world, 0, 20000));
}

/* The key is read when all that was added to it is in it, and deleted here when no copy of it can be valid; until then nobody writes it. */
static void move_key(struct world *world, uint8_t base)
{
    struct truth *truth = &world->bases[base];
    struct sim_node *from = &world->nodes[truth->owner], *to = &world->nodes[truth->target];
    struct held *held = &from->held[base];

    if (held->in_flight ? !home_may_leave(from->home, base_key(base), clock_ms(world, truth->owner))
                        : !home_may_be_sent(from->home, base_key(base), clock_ms(world, truth->owner))) {
        if (CHANCE(world, 2))
            move_ends(world, base); /* the operator thinks better of it */
        else
            move_on(world, base, 2, 5000);
        return;
    }
    if (!held->in_flight) {
        held->in_flight = true;
        held->sent = held->value;
        move_on(world, base, 2, between(world, 0, 10000));
        return;
    }
    to->held[base].value = held->sent;
    to->held[base].has_key = true;
    held->has_key = held->in_flight = false;
    truth->where = truth->target;
    note(world, "base %u: its key goes to node %u", base, truth->target);
    home_changed(from->home, base_key(base), HOME_CHANGED, clock_ms(world, truth->owner), &from->home_effects);
    touched(world, truth->owner);
    home_changed(to->home, base_key(base), HOME_CHANGED, clock_ms(world, truth->target), &to->home_effects);
    touched(world, truth->target);
    move_on(world, base, 3, between(world, 0, 100000));
}

static void move_step(struct world *world, uint8_t base, uint64_t step)
{
    struct truth *truth = &world->bases[base];
    uint8_t former = truth->owner;

    if (!truth->is_moving) return;
    if (!world->nodes[truth->owner].is_alive || !world->nodes[truth->target].is_alive) return; /* see node_gone() */
    if (!is_running(world, truth->owner) || !is_running(world, truth->target)) {
        move_on(world, base, step, 20000);
        return;
    }
    switch (step) {
    case 1:
        node_slot(world, truth->owner, base, HOME_SLOT_LEAVING);
        move_on(world, base, 2, between(world, 0, 50000));
        return;
    case 2:
        move_key(world, base);
        return;
    case 3:
        truth->owner = truth->target;
        truth->target = former;
        node_slot(world, truth->owner, base, HOME_SLOT_HERE);
        node_hear(world, truth->owner, base, truth->number + 1);
        tell_all(world, base);
        move_on(world, base, 4, between(world, 0, 50000));
        return;
    case 4:
        truth->is_moving = false;
        node_slot(world, truth->target, base, HOME_SLOT_ELSEWHERE);
        return;
    default:
        return;
    }
}

/* Somebody else is given the slot of an owner that is dead or has noticed that it is cut off. */
static void take_over(struct world *world, uint8_t base)
{
    struct truth *truth = &world->bases[base];
    const struct sim_node *owner = &world->nodes[truth->owner];
    uint8_t taker = some_node(world);

    if (truth->is_moving || (owner->is_alive && owner->is_ok) || taker == truth->owner || !is_running(world, taker) ||
        !world->nodes[taker].is_ok || world->now_us - owner->down_since_us < 100000)
        return;
    /* By then everybody has heard that the key is salted: it takes a node timeout. */
    if (world->now_us - truth->salted_us < 1500000) return;
    note(world, "base %u: node %u takes over", base, taker);
    world->had_trouble = true;
    truth->owner = taker;
    lose_value(world, base, taker);
    node_slot(world, taker, base, HOME_SLOT_HERE);
    node_hear(world, taker, base, truth->number + 1);
    tell_all(world, base);
}

/* What somebody does about the slots of a node that is gone. */
static void look_after(struct world *world, uint8_t node)
{
    for (uint8_t base = 0; base < BASES; base++)
        if (world->bases[base].owner == node && CHANCE(world, 50))
            schedule(world, (struct event){ .kind = EVENT_TAKE, .base = base }, between(world, 110000, 600000));
}

/* --- Nodes that go and come --- */

/* It has died, and what it had with it. */
static void node_gone(struct world *world, uint8_t node)
{
    world->nodes[node].down_since_us = world->now_us;
    for (uint8_t base = 0; base < BASES; base++) {
        struct truth *truth = &world->bases[base];

        if (truth->where == node) lose_value(world, base, truth->owner);
        if (truth->is_moving && (truth->owner == node || truth->target == node)) move_ends(world, base);
    }
}

/* It knows by now what has happened meanwhile. */
static void rejoin(struct world *world, uint8_t node)
{
    struct sim_node *n = &world->nodes[node];

    if (!n->is_alive || n->is_ok) return;
    for (uint8_t base = 0; base < BASES; base++) {
        struct truth *truth = &world->bases[base];

        if (truth->owner != node && n->held[base].slot != HOME_SLOT_ELSEWHERE &&
            !(truth->is_moving && truth->target == node))
            node_slot(world, node, base, HOME_SLOT_ELSEWHERE);
        if (truth->owner == node && !truth->is_moving) {
            n->held[base].has_key = truth->where == node;
            node_slot(world, node, base, HOME_SLOT_HERE);
        }
        node_hear(world, node, base, truth->number + 1);
    }
    node_set_ok(world, node, true);
}

/* Cut off from all but at most one: no majority of anything. */
static bool is_isolated(const struct world *world, uint8_t node)
{
    size_t heard = 0;

    for (uint8_t other = 0; other < world->node_count; other++)
        heard += other != node && world->cut_until_us[node][other] <= world->now_us &&
                 world->cut_until_us[other][node] <= world->now_us;
    return heard <= (world->node_count >= 5);
}

static void cut_between(struct world *world, uint8_t a, uint8_t b, int64_t until_us)
{
    if (world->cut_until_us[a][b] < until_us) world->cut_until_us[a][b] = until_us;
    if (world->cut_until_us[b][a] < until_us) world->cut_until_us[b][a] = until_us;
    touched(world, a);
    touched(world, b);
}

/* A node, and in a large cluster perhaps another with it, is cut off from all others. They notice, one sooner than the other. */
static void isolate(struct world *world, uint8_t node, uint8_t friend)
{
    int64_t for_us = between(world, 100000, 2000000);

    if (world->node_count < 5) friend = node;
    for (uint8_t other = 0; other < world->node_count; other++) {
        if (other == node || other == friend) continue;
        cut_between(world, node, other, world->now_us + for_us);
        cut_between(world, friend, other, world->now_us + for_us);
    }
    note(world, "nodes %u and %u are cut off for %lld ms", node, friend, (long long)for_us / 1000);
    schedule(world, (struct event){ .kind = EVENT_DOWN, .node = node }, NODE_TIMEOUT_US);
    schedule(world, (struct event){ .kind = EVENT_DOWN, .node = friend }, NODE_TIMEOUT_US + between(world, 0, 900000));
    schedule(world, (struct event){ .kind = EVENT_REJOIN, .node = node }, for_us + between(world, 0, 200000));
    schedule(world, (struct event){ .kind = EVENT_REJOIN, .node = friend }, for_us + between(world, 0, 200000));
}

/* --- Faults --- */

static void cut(struct world *world, uint8_t from, uint8_t to)
{
    int64_t until_us = world->now_us + between(world, 10000, 1500000);

    if (world->cut_until_us[from][to] < until_us) world->cut_until_us[from][to] = until_us;
    note(world, "nothing comes from node %u to node %u for %lld ms", from, to,
         (long long)(until_us - world->now_us) / 1000);
    touched(world, from);
    touched(world, to);
}

static void reset_link(struct world *world)
{
    size_t index;
    struct link *link;
    bool at_home = CHANCE(world, 30), tell = CHANCE(world, 80);
    struct sim_node *n;
    int64_t now_ms;
    uint8_t node;

    if (world->link_count == 0) return;
    index = (size_t)between(world, (int64_t)(world->link_count > 12 ? world->link_count - 12 : 0),
                            (int64_t)world->link_count - 1);
    link = world->links[index];
    node = at_home ? link->home : link->helper;
    n = &world->nodes[node];
    if (!is_running(world, node) || !(at_home ? link->home_open : link->helper_open) ||
        n->incarnation != (at_home ? link->home_incarnation : link->helper_incarnation))
        return;
    note(world, "link %zu breaks at node %u%s", index, node, tell ? "" : ", and the other end does not hear of it");
    link_close(world, index, at_home, tell);
    touched(world, link->home);
    now_ms = clock_ms(world, node);
    if (at_home) {
        home_link_closed(n->home, link_name(index), now_ms, &n->home_effects);
    } else {
        helper_link_closed(n->helper, link_name(index), now_ms, &n->helper_effects);
        if (n->wants[link->home] && !n->is_connecting[link->home]) {
            n->is_connecting[link->home] = true;
            schedule(world, (struct event){ .kind = EVENT_CONNECT, .node = node, .other = link->home },
                     between(world, 0, 100000));
        }
    }
    touched(world, node);
}

/* Names come to live elsewhere, or there are more of them, or fewer. */
static void change_names(struct world *world, uint8_t base)
{
    uint8_t node = some_node(world);

    world->nodes[node].held[base].has_name ^= true;
    node_want(world, node, base);
}

static void change_salt(struct world *world, uint8_t base)
{
    struct truth *truth = &world->bases[base];

    if (truth->is_moving || !is_running(world, truth->owner) || !world->nodes[truth->owner].is_ok) return;
    if (!truth->is_salted) truth->salted_us = world->now_us;
    truth->is_salted ^= true;
    note(world, "base %u is %s", base, truth->is_salted ? "salted" : "salted no more");
    node_hear(world, truth->owner, base, truth->number + 1);
    tell_all(world, base);
}

static void lose_copy(struct world *world, uint8_t node, uint8_t base)
{
    struct sim_node *n = &world->nodes[node];

    if (!is_running(world, node) || !n->held[base].has_copy) return;
    n->held[base].has_copy = false;
    helper_copy_lost(n->helper, base_key(base), clock_ms(world, node));
}

static void kill_node(struct world *world, uint8_t node)
{
    if (!world->nodes[node].is_alive) return;
    node_kill(world, node, CHANCE(world, 70));
    node_gone(world, node);
    look_after(world, node);
    schedule(world, (struct event){ .kind = EVENT_RESTART, .node = node },
             CHANCE(world, 40) ? between(world, 1000, 100000) : between(world, 100000, 2000000));
}

static void fault(struct world *world)
{
    uint8_t node = some_node(world), other = some_node(world), base = (uint8_t)random_below(&world->random, BASES);
    bool is_gentle = world->seed % 4 == 0; /* slots and names move, and that is all */
    uint64_t what = random_below(&world->random, is_gentle ? 40 : 100);

    if (what >= 40) world->had_trouble = true;
    if (what < 15) {
        move_begin(world, base);
    } else if (what < 28) {
        change_names(world, base);
    } else if (what < 34) {
        change_salt(world, base);
    } else if (what < 40) {
        lose_copy(world, node, base);
    } else if (what < 55 && node != other) {
        cut(world, node, other);
        if (CHANCE(world, 40)) cut(world, other, node);
    } else if (what < 68) {
        reset_link(world);
    } else if (what < 76) {
        kill_node(world, node);
    } else if (what < 86) {
        if (is_running(world, node))
            node_stop(world, node, CHANCE(world, 70) ? between(world, 5000, 400000) : between(world, 400000, 1500000));
    } else if (what < 91) {
        isolate(world, node, other);
    } else {
        take_over(world, base);
    }
    schedule(world, (struct event){ .kind = EVENT_FAULT }, between(world, 5000, 120000));
}

static void resume(struct world *world, uint8_t node, int64_t stopped_us)
{
    if (!world->nodes[node].is_alive || world->nodes[node].stopped_until_us > world->now_us) return;
    if (stopped_us < NODE_TIMEOUT_US) return;
    /* It may have been replaced, and looks before it goes on. */
    node_set_ok(world, node, false);
    schedule(world, (struct event){ .kind = EVENT_REJOIN, .node = node }, between(world, 20000, 200000));
}

/* --- The end --- */

static void mend(struct world *world)
{
    note(world, "all is mended");
    world->is_calm = true;
    world->has_spikes = false;
    memset(world->cut_until_us, 0, sizeof(world->cut_until_us));
    for (uint8_t node = 0; node < world->node_count; node++) {
        if (!world->nodes[node].is_alive) node_start(world, node, false);
        world->nodes[node].stopped_until_us = 0;
        rejoin(world, node);
    }
    for (uint8_t base = 0; base < BASES; base++) {
        if (!world->bases[base].is_salted) {
            world->bases[base].is_salted = true;
            world->bases[base].salted_us = world->now_us;
        }
        tell_all(world, base);
    }
}

static void check_end(struct world *world)
{
    const struct truth *total = &world->bases[BASE_TOTAL];
    int64_t value = world->nodes[total->where].held[BASE_TOTAL].value + total->gone;

    for (uint64_t ticket = 1; ticket <= world->ticket_count && ticket < TICKETS; ticket++) {
        const struct ticket *t = &world->tickets[ticket];

        if (t->is_open && world->nodes[t->node].incarnation == t->incarnation)
            broken(world, "version %lld of base %u was never acknowledged", (long long)t->version, t->base);
    }
    for (uint8_t base = 0; base < BASES; base++) {
        const struct truth *truth = &world->bases[base];
        int64_t at_home = world->nodes[truth->owner].held[base].value;

        if (truth->where != truth->owner || truth->is_moving) broken(world, "base %u has not arrived", base);
        for (uint8_t node = 0; node < world->node_count; node++) {
            struct held *held = &world->nodes[node].held[base];
            int64_t here = held->copy_value;

            if (!held->has_name || node == truth->owner) continue;
            if (!helper_has(world->nodes[node].helper, base_key(base), clock_ms(world, node)))
                broken(world, "node %u has no copy of base %u", node, base);
            if (base >= BASE_TOTAL) {
                struct helper_sum_state sum = { .total = -1 };

                helper_sum_state(world->nodes[node].helper, base_key(base), clock_ms(world, node), &sum);
                here = sum.total + sum.pending + sum.sent;
            }
            if (here != at_home)
                broken(world, "node %u has %lld of base %u, which is %lld", node, (long long)here, base,
                       (long long)at_home);
        }
    }
    if (value > total->given || value < total->given - world->killed_units - world->lost_units)
        broken(world, "%lld were added, %lld died with their helpers, %lld were given up: %lld is not the sum",
               (long long)total->given, (long long)world->killed_units, (long long)world->lost_units, (long long)value);
}

static void begin(struct world *world)
{
    world->node_count = 3 + random_below(&world->random, NODES_MAX - 2);
    world->leases_differ = world->seed % 3 == 0;
    world->has_spikes = world->seed % 4 != 0 && CHANCE(world, 50);
    for (uint8_t base = 0; base < BASES; base++) {
        uint8_t owner = some_node(world);

        world->bases[base] = (struct truth){ .owner = owner, .where = owner, .number = 1, .is_salted = true };
        for (uint8_t node = 0; node < world->node_count; node++)
            world->nodes[node].held[base].has_name = CHANCE(world, 75);
        lose_value(world, base, owner);
        world->bases[base].given_since_set = 0;
    }
    for (uint8_t node = 0; node < world->node_count; node++) {
        struct sim_node *n = &world->nodes[node];

        /* What a margin is for: within it all must hold. */
        n->rate = CHANCE(world, 30)   ? 0.96
                  : CHANCE(world, 40) ? 1.04
                                      : 0.96 + (double)random_below(&world->random, 81) / 1000.0;
        if (world->leases_differ) n->rate = 1 + (n->rate - 1) / 2;
        n->trouble_us = -10000000;
        node_start(world, node, true);
    }
    schedule(world, (struct event){ .kind = EVENT_CLIENT }, 1000);
    schedule(world, (struct event){ .kind = EVENT_FAULT }, 500000);
}

static void run(struct world *world)
{
    struct event event;

    while (next_event(world, &event) && world->now_us < STORY_US + CALM_US) {
        if (!world->is_calm && world->now_us >= STORY_US) mend(world);
        switch (event.kind) {
        case EVENT_PUMP:
            pump(world, &event);
            break;
        case EVENT_CLIENT:
            client(world);
            schedule(world, (struct event){ .kind = EVENT_CLIENT }, between(world, 50, 1500));
            break;
        case EVENT_FAULT:
            if (!world->is_calm) fault(world);
            break;
        case EVENT_MOVE:
            if ((uint64_t)event.value == world->bases[event.base].move) move_step(world, event.base, event.number);
            break;
        case EVENT_RESUME:
            if (event.incarnation == world->nodes[event.node].incarnation)
                resume(world, event.node, (int64_t)event.number);
            break;
        case EVENT_RESTART:
            if (!world->nodes[event.node].is_alive) {
                node_start(world, event.node, CHANCE(world, 30));
                schedule(world, (struct event){ .kind = EVENT_REJOIN, .node = event.node }, between(world, 0, 300000));
            }
            break;
        case EVENT_REJOIN:
            if (event.incarnation != world->nodes[event.node].incarnation) break;
            if (is_running(world, event.node) && !is_isolated(world, event.node))
                rejoin(world, event.node);
            else if (!world->nodes[event.node].is_ok)
                schedule(world, (struct event){ .kind = EVENT_REJOIN, .node = event.node }, 50000);
            break;
        case EVENT_DOWN:
            if (event.incarnation == world->nodes[event.node].incarnation && is_running(world, event.node) &&
                is_isolated(world, event.node)) {
                node_set_ok(world, event.node, false);
                look_after(world, event.node);
            }
            break;
        case EVENT_TAKE:
            if (!world->is_calm) take_over(world, event.base);
            break;
        case EVENT_NONE:
        case EVENT_TICK:
        case EVENT_DRAIN:
        case EVENT_LATE:
        case EVENT_CONNECT:
        case EVENT_PUSH:
        case EVENT_WITHHOLD:
        case EVENT_VIEW:
            node_event(world, &event);
            break;
        }
    }
    check_end(world);
}

struct salt_story salt_story(uint64_t seed, FILE *trace)
{
    struct world *world = alloc_zeroed(sizeof(*world));
    struct salt_story story;

    world->seed = seed;
    world->trace = trace;
    world->tickets = alloc_zeroed(TICKETS * sizeof(*world->tickets));
    random_seed(&world->random, seed);
    if (setjmp(world->broken) == 0) {
        begin(world);
        run(world);
    }
    story = (struct salt_story){ .reads = world->reads,
                                 .copy_reads = world->copy_reads,
                                 .writes = world->writes,
                                 .withheld = world->withheld,
                                 .messages = world->messages,
                                 .longest_ms = world->longest_ms };
    memcpy(story.wrong, world->wrong, sizeof(story.wrong));
    for (uint8_t node = 0; node < world->node_count; node++) {
        struct sim_node *n = &world->nodes[node];

        if (n->helper != NULL) helper_free(&n->helper);
        if (n->home != NULL) home_free(&n->home);
        salt_effects_free(&n->home_effects);
        salt_effects_free(&n->helper_effects);
    }
    wire_free(world);
    alloc_free(world->tickets);
    alloc_free(world);
    return story;
}
