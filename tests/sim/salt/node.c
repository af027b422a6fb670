/* sim/salt/node.c */
#include "sim/salt/world.h"

#include "base/alloc.h"

#include <string.h>

static bool is_sum(uint8_t base)
{
    return base >= BASE_TOTAL;
}

struct bytes base_key(uint8_t base)
{
    static const char *const keys[BASES] = { "star", "{moon}:tl", "visits", "likes" };

    return bytes_of(keys[base]);
}

static uint8_t base_named(struct bytes key)
{
    uint8_t base = 0;

    while (!bytes_equal(base_key(base), key)) base++;
    return base;
}

const char *node_id(uint8_t node)
{
    static const char ids[NODES_MAX][SALT_NODE_ID_BYTES + 1] = {
        "0000000000000000000000000000000000000000", "1111111111111111111111111111111111111111",
        "2222222222222222222222222222222222222222", "3333333333333333333333333333333333333333",
        "4444444444444444444444444444444444444444", "5555555555555555555555555555555555555555",
    };

    return ids[node];
}

int64_t clock_ms(const struct world *world, uint8_t node)
{
    return 1000000 + (int64_t)((double)world->now_us * world->nodes[node].rate / 1000.0);
}

bool is_running(const struct world *world, uint8_t node)
{
    return world->nodes[node].is_alive && world->nodes[node].stopped_until_us <= world->now_us;
}

void touched(struct world *world, uint8_t node)
{
    struct sim_node *n = &world->nodes[node];

    if (n->trouble_us < world->now_us) n->trouble_us = world->now_us;
    if (!n->is_alive || n->is_draining || (n->home_effects.count == 0 && n->helper_effects.count == 0)) return;
    n->is_draining = true;
    schedule(world, (struct event){ .kind = EVENT_DRAIN, .node = node }, between(world, 0, 2000));
}

static void drain_soon(struct world *world, uint8_t node)
{
    int64_t trouble_us = world->nodes[node].trouble_us;

    touched(world, node);
    world->nodes[node].trouble_us = trouble_us;
}

/* --- What a node believes --- */

/* What was added at a node to the sum whose total is known, and is not in it as far as the node knows. */
static int64_t outstanding(const struct world *world, uint8_t node)
{
    const struct base_link *at = base_map_find(&world->nodes[node].helper->bases, base_key(BASE_TOTAL));
    const struct helper_base *base = at != NULL ? container_of(at, struct helper_base, link) : NULL;

    return base != NULL ? base->added.pending + base->added.sent : 0;
}

/* What is outstanding goes by being folded, and else only when something has gone wrong. */
static void account(struct world *world, uint8_t node, int64_t before)
{
    int64_t given_up = before - outstanding(world, node);
    const struct truth *truth = &world->bases[BASE_TOTAL];

    if (given_up <= 0) return;
    note(world, "node %u gives up %lld", node, (long long)given_up);
    world->lost_units += given_up;
    if (truth->gone == 0 && !world->had_trouble)
        broken(world, "node %u gives up %lld that were added, and nothing was wrong", node, (long long)given_up);
}

void node_want(struct world *world, uint8_t node, uint8_t base)
{
    struct sim_node *n = &world->nodes[node];
    struct held *held = &n->held[base];
    int64_t before;

    if (!n->is_alive) return;
    before = outstanding(world, node);
    if (held->has_name && held->view_salted && held->view_home != node)
        helper_want(n->helper, base_key(base), node_id(held->view_home), is_sum(base), clock_ms(world, node),
                    &n->helper_effects);
    else
        helper_unwant(n->helper, base_key(base), clock_ms(world, node), &n->helper_effects);
    account(world, node, before);
    drain_soon(world, node);
}

void node_hear(struct world *world, uint8_t node, uint8_t base, uint64_t number)
{
    struct sim_node *n = &world->nodes[node];
    struct held *held = &n->held[base];
    const struct truth *truth = &world->bases[base];

    if (!n->is_alive || number <= held->view_number) return;
    held->view_number = truth->number;
    held->view_home = truth->owner;
    if (held->view_salted != truth->is_salted) {
        held->view_salted = truth->is_salted;
        if (truth->is_salted)
            home_salted(n->home, base_key(base), is_sum(base), clock_ms(world, node), &n->home_effects);
        else
            home_unsalted(n->home, base_key(base), clock_ms(world, node), &n->home_effects);
    }
    node_want(world, node, base);
}

void node_slot(struct world *world, uint8_t node, uint8_t base, enum home_slot state)
{
    struct sim_node *n = &world->nodes[node];

    n->held[base].slot = state;
    if (state == HOME_SLOT_ELSEWHERE) n->held[base].has_key = n->held[base].in_flight = false;
    if (!n->is_alive) return;
    note(world, "node %u: base %u is %s", node, base,
         (const char *[]){ "elsewhere", "arriving", "here", "leaving" }[state]);
    home_slot(n->home, key_slot(base_key(base)), state, clock_ms(world, node), &n->home_effects);
    drain_soon(world, node);
}

void node_set_ok(struct world *world, uint8_t node, bool ok)
{
    struct sim_node *n = &world->nodes[node];

    if (!n->is_alive || n->is_ok == ok) return;
    note(world, "node %u: its cluster is %s", node, ok ? "there" : "down");
    n->is_ok = ok;
    n->down_since_us = ok ? 0 : world->now_us;
    home_cluster(n->home, ok, clock_ms(world, node), &n->home_effects);
    drain_soon(world, node);
}

void node_start(struct world *world, uint8_t node, bool ok)
{
    struct sim_node *n = &world->nodes[node];
    uint64_t first = (uint64_t)world->now_us + 1000000;
    struct helper_options options = {
        .first_session = first, .renew_ms = 50, .fold_ms = FOLD_MS, .fresh_ms = FRESH_MS, .silent_ms = 1000
    };

    note(world, "node %u starts", node);
    memcpy(options.id, node_id(node), sizeof(options.id));
    /* Its clock may have been ahead before. */
    if (CHANCE(world, 20)) options.first_session = first / 2;
    n->is_alive = true;
    n->is_ok = false;
    n->incarnation++;
    n->stopped_until_us = 0;
    n->down_since_us = world->now_us;
    n->is_draining = false;
    memset(n->wants, 0, sizeof(n->wants));
    memset(n->is_connecting, 0, sizeof(n->is_connecting));
    n->lease_ms = !world->leases_differ ? LEASE_MS
                  : CHANCE(world, 50)   ? LEASE_MS * 3 / 4
                                        : between(world, LEASE_MS, LEASE_MS_MAX);
    n->home = home_new(&(struct home_options){ .lease_ms = n->lease_ms,
                                               .longest_ms = world->leases_differ ? LEASE_MS_MAX : LEASE_MS,
                                               .sync = true },
                       first, clock_ms(world, node));
    n->helper = helper_new(&options);
    for (uint8_t base = 0; base < BASES; base++) {
        struct held *held = &n->held[base];

        held->has_copy = held->in_flight = false;
        held->added_count = 0;
        held->view_salted = false;
        held->view_number = 0;
        node_slot(world, node, base, world->bases[base].owner == node ? HOME_SLOT_HERE : HOME_SLOT_ELSEWHERE);
        node_hear(world, node, base, world->bases[base].number);
    }
    schedule(world, (struct event){ .kind = EVENT_TICK, .node = node }, between(world, 0, 10000));
    if (ok) node_set_ok(world, node, true);
}

/* What was added here at most that long ago. */
int64_t units_of(const struct held *held, int64_t since_us)
{
    int64_t units = 0;

    for (uint64_t i = 0; i < held->added_count && i < 256; i++)
        units += held->added_at_us[(held->added_count - 1 - i) % 256] >= since_us;
    return units;
}

void node_kill(struct world *world, uint8_t node, bool tell)
{
    struct sim_node *n = &world->nodes[node];

    note(world, "node %u is killed", node);
    for (size_t i = 0; i < world->link_count; i++) {
        const struct link *link = world->links[i];

        if (link->helper == node && link->helper_incarnation == n->incarnation) link_close(world, i, false, tell);
        if (link->home == node && link->home_incarnation == n->incarnation) link_close(world, i, true, tell);
    }
    base_map_each(at, &n->helper->bases)
    {
        const struct helper_base *base = container_of(at, struct helper_base, link);
        const struct held *held = &n->held[base_named(at->key)];
        int64_t units = base->added.pending + base->added.sent;
        size_t index = 0;
        const struct link *link = link_of(world, base->home->link, &index);
        int64_t round_us = link != NULL ? 4 * link->delay_us + 4000 : 0;
        bool is_well = link != NULL && base->has_total && n->trouble_us < world->now_us - 1200000 &&
                       world->nodes[link->home].trouble_us < world->now_us - 1200000;

        if (base_named(at->key) == BASE_TOTAL) world->killed_units += units;
        /* What is lost was added in the last period (and a tick that came late); where nobody answered, in the time for which that is borne. */
        if (round_us < 50000) round_us = 50000;
        if (is_well && units > 0 && base->added.pending > units_of(held, world->now_us - 45000 - round_us))
            broken(world, "node %u: %lld were not folded when it died", node, (long long)base->added.pending);
        if (units > units_of(held, held->added_at_us[(held->added_count + 255) % 256] - 400000))
            broken(world, "node %u: %lld were lost when it died", node, (long long)units);
    }
    n->is_alive = n->is_ok = false;
    n->incarnation++;
    n->trouble_us = world->now_us;
    helper_free(&n->helper);
    home_free(&n->home);
    salt_effects_free(&n->home_effects);
    salt_effects_free(&n->helper_effects);
    for (uint8_t base = 0; base < BASES; base++) n->held[base].has_copy = false;
}

void node_stop(struct world *world, uint8_t node, int64_t for_us)
{
    struct sim_node *n = &world->nodes[node];

    note(world, "node %u stands still for %lld ms", node, (long long)for_us / 1000);
    n->stopped_until_us = world->now_us + for_us;
    n->stopped_us += for_us;
    touched(world, node);
    schedule(world, (struct event){ .kind = EVENT_RESUME, .node = node, .number = (uint64_t)for_us }, for_us);
}

/* --- Values --- */

/* Versions are told apart in the values themselves. */
static int64_t version_of(uint8_t base, int64_t value)
{
    return base == BASE_SET ? value / SET_STEP : value;
}
static int64_t value_of(uint8_t base, int64_t version)
{
    return base == BASE_SET ? version * SET_STEP : version;
}

/* The value of a base has changed at its home. */
static void note_total(struct world *world, uint8_t base, int64_t value)
{
    struct truth *truth = &world->bases[base];

    truth->totals[truth->total_count % TOTALS].at_us = world->now_us;
    truth->totals[truth->total_count++ % TOTALS].value = value;
}

/* A total that is told is no older than is promised: all that home had then is in it. */
static void check_total(struct world *world, uint8_t node, int64_t sum)
{
    const struct truth *truth = &world->bases[BASE_TOTAL];

    for (uint64_t i = truth->total_count; i > 0 && i + TOTALS > truth->total_count; i--) {
        if (world->now_us - truth->totals[(i - 1) % TOTALS].at_us < FRESH_US) continue;
        if (sum < truth->totals[(i - 1) % TOTALS].value)
            broken(world, "node %u tells %lld, and it was %lld at home %lld ms ago", node, (long long)sum,
                   (long long)truth->totals[(i - 1) % TOTALS].value,
                   (long long)(world->now_us - truth->totals[(i - 1) % TOTALS].at_us) / 1000);
        return;
    }
}

/* Nothing is added to what could not be sent for too long: it is what dies with its node. */
static void check_pending(struct world *world, uint8_t node, uint8_t base)
{
    const struct held *held = &world->nodes[node].held[base];
    struct helper_sum_state state;
    int64_t since_us;

    if (!helper_sum_state(world->nodes[node].helper, base_key(base), clock_ms(world, node), &state)) return;
    if (state.pending <= 0 || state.pending > 256 || (uint64_t)state.pending > held->added_count) return;
    since_us = held->added_at_us[(held->added_count - (uint64_t)state.pending) % 256];
    if (world->now_us - since_us > FRESH_US)
        broken(world, "node %u: %lld of base %u are pending, the first for %lld ms, and one is added", node,
               (long long)state.pending, base, (long long)(world->now_us - since_us) / 1000);
}

void lose_value(struct world *world, uint8_t base, uint8_t now_at)
{
    struct truth *truth = &world->bases[base];
    struct held *held = &world->nodes[truth->where].held[base];

    if (base == BASE_TOTAL) {
        truth->gone += held->value;
        truth->total_count = 0;
    }
    held->has_key = held->in_flight = false;
    truth->version++;
    truth->given_since_set = 0;
    truth->where = now_at;
    held = &world->nodes[now_at].held[base];
    held->value = base == BASE_TOTAL ? 0 : value_of(base, truth->version);
    held->has_key = true;
    note(world, "base %u: lost, and new at node %u as version %lld", base, now_at, (long long)truth->version);
}

static void check_read(struct world *world, uint8_t node, uint8_t base, int64_t value, const char *how)
{
    int64_t version = version_of(base, value);

    world->reads++;
    if (base == BASE_TOTAL || version >= world->bases[base].acked) return;
    broken(world, "node %u, %s of base %u: version %lld was read after %lld had been acknowledged", node, how, base,
           (long long)version, (long long)world->bases[base].acked);
}

static void read_copy(struct world *world, uint8_t node, uint8_t base)
{
    struct sim_node *n = &world->nodes[node];
    struct held *held = &n->held[base];
    int64_t sum;

    if (!is_running(world, node) || held->slot == HOME_SLOT_HERE) return;
    if (is_sum(base)) {
        if (!helper_sum(n->helper, base_key(base), clock_ms(world, node), &sum)) return;
        world->copy_reads++;
        check_read(world, node, base, sum, "the total");
        if (base == BASE_TOTAL) check_total(world, node, sum);
    } else if (held->has_copy && helper_copy_is_good(&held->copy, clock_ms(world, node))) {
        world->copy_reads++;
        check_read(world, node, base, held->copy_value, "the copy");
    }
}

void check_everybody(struct world *world, uint8_t base)
{
    for (uint8_t node = 0; node < world->node_count; node++) read_copy(world, node, base);
}

static void acknowledged(struct world *world, uint8_t base, int64_t version)
{
    if (world->bases[base].acked < version) world->bases[base].acked = version;
    check_everybody(world, base);
}

/* Where a client that follows redirects ends up: the node that has the key, if that serves it. */
static bool find_home(const struct world *world, uint8_t base, uint8_t *node)
{
    *node = world->bases[base].where;
    return is_running(world, *node) && world->nodes[*node].is_ok && world->nodes[*node].held[base].has_key &&
           !world->nodes[*node].held[base].in_flight && world->nodes[*node].held[base].slot != HOME_SLOT_ELSEWHERE;
}

static void write_at(struct world *world, uint8_t node, uint8_t base)
{
    struct sim_node *n = &world->nodes[node];
    struct truth *truth = &world->bases[base];
    uint64_t ticket = ++world->ticket_count;
    int64_t now_ms = clock_ms(world, node);
    bool must_wait;

    if (ticket >= TICKETS) return;
    world->writes++;
    truth->version++;
    truth->given_since_set = 0;
    n->held[base].value = value_of(base, truth->version);
    note(world, "node %u: base %u is written, version %lld", node, base, (long long)truth->version);
    must_wait = CHANCE(world, 10) ? home_flushed(n->home, key_slot(base_key(base)), now_ms, &n->home_effects)
                                  : home_changed(n->home, base_key(base), HOME_CHANGED, now_ms, &n->home_effects);
    world->tickets[ticket] = (struct ticket){ .node = node,
                                              .base = base,
                                              .incarnation = n->incarnation,
                                              .version = truth->version,
                                              .at_ms = now_ms - (int64_t)((double)n->stopped_us * n->rate / 1000.0),
                                              .is_open = true };
    drain_soon(world, node);
    if (!must_wait) {
        world->tickets[ticket].is_open = false;
        acknowledged(world, base, truth->version);
        return;
    }
    /* The lock is given back, and taken again. */
    schedule(world, (struct event){ .kind = EVENT_WITHHOLD, .node = node, .base = base, .number = ticket },
             between(world, 0, 500));
}

static void withhold(struct world *world, uint8_t node, uint8_t base, uint64_t number)
{
    struct sim_node *n = &world->nodes[node];
    struct ticket *ticket = &world->tickets[number];

    if (home_withhold(n->home, base_key(base), number, clock_ms(world, node))) {
        world->withheld++;
        return;
    }
    ticket->is_open = false;
    acknowledged(world, base, ticket->version);
}

static void release(struct world *world, uint8_t node, uint64_t number)
{
    struct sim_node *n = &world->nodes[node];
    struct ticket *ticket = &world->tickets[number];
    int64_t longest_ms = world->leases_differ ? LEASE_MS_MAX : LEASE_MS;
    int64_t took_ms = clock_ms(world, node) - (int64_t)((double)n->stopped_us * n->rate / 1000.0) - ticket->at_ms;

    if (!ticket->is_open || ticket->node != node) broken(world, "node %u: it releases what does not wait", node);
    ticket->is_open = false;
    if (took_ms > world->longest_ms) world->longest_ms = took_ms;
    /* Ticks are at most 45 ms apart, effects carried out within 2. */
    if (took_ms > longest_ms + home_margin_ms(longest_ms) + 50)
        broken(world, "node %u: a write of base %u took %lld ms", node, ticket->base, (long long)took_ms);
    note(world, "node %u: version %lld of base %u is acknowledged after %lld ms", node, (long long)ticket->version,
         ticket->base, (long long)took_ms);
    acknowledged(world, ticket->base, ticket->version);
}

static void add_at(struct world *world, uint8_t node, uint8_t base)
{
    struct sim_node *n = &world->nodes[node];
    struct held *held = &n->held[base];
    struct truth *truth = &world->bases[base];
    uint8_t home;
    int64_t value;

    if (!is_running(world, node)) return;
    if (held->slot != HOME_SLOT_HERE && held->has_name &&
        helper_add(n->helper, base_key(base), 1, clock_ms(world, node), &value)) {
        held->added_at_us[held->added_count++ % 256] = world->now_us;
        check_read(world, node, base, value, "an addition");
        check_pending(world, node, base);
    } else if (find_home(world, base, &home)) {
        node = home;
        n = &world->nodes[node];
        note_total(world, base, ++n->held[base].value);
        home_changed(n->home, base_key(base), HOME_ADDED, clock_ms(world, node), &n->home_effects);
        drain_soon(world, node);
    } else {
        return;
    }
    truth->given++;
    truth->given_since_set++;
}

void client(struct world *world)
{
    uint8_t base = (uint8_t)random_below(&world->random, BASES),
            node = (uint8_t)random_below(&world->random, world->node_count), home;

    if (CHANCE(world, 80) || (world->is_calm && !is_sum(base))) {
        read_copy(world, node, base);
        if (find_home(world, base, &home)) check_read(world, home, base, world->nodes[home].held[base].value, "home");
    } else if (is_sum(base) && (base == BASE_TOTAL || world->is_calm || !CHANCE(world, 10))) {
        if (!world->is_calm) add_at(world, node, base);
    } else if (find_home(world, base, &home)) {
        write_at(world, home, base);
    }
}

/* --- Effects --- */

static void connect_later(struct world *world, uint8_t node, uint8_t other, int64_t in_us)
{
    struct sim_node *n = &world->nodes[node];

    if (!n->wants[other] || n->is_connecting[other]) return;
    n->is_connecting[other] = true;
    schedule(world, (struct event){ .kind = EVENT_CONNECT, .node = node, .other = other }, in_us);
}

static void connect_now(struct world *world, uint8_t node, uint8_t other)
{
    struct sim_node *n = &world->nodes[node];
    size_t link;

    n->is_connecting[other] = false;
    if (!n->wants[other]) return;
    if (!world->nodes[other].is_alive || world->cut_until_us[node][other] > world->now_us ||
        world->cut_until_us[other][node] > world->now_us) {
        connect_later(world, node, other, between(world, 50000, 400000));
        return;
    }
    link = link_new(world, node, other);
    note(world, "node %u opens link %zu to node %u", node, link, other);
    helper_link_opened(n->helper, node_id(other), link_name(link), clock_ms(world, node), &n->helper_effects);
    drain_soon(world, node);
}

static void close_at(struct world *world, uint8_t node, salt_link name, bool at_home)
{
    size_t index = 0;
    const struct link *link = link_of(world, name, &index);

    if (link == NULL) return;
    link_close(world, index, at_home, true);
    if (!at_home) connect_later(world, node, link->home, between(world, 50000, 200000));
}

static uint8_t node_named(const char *id)
{
    return (uint8_t)(id[0] - '0');
}

static void carry_out(struct world *world, uint8_t node, struct salt_effects *taken, bool is_home)
{
    struct sim_node *n = &world->nodes[node];
    size_t index = 0;

    for (size_t i = 0; i < taken->count; i++) {
        const struct salt_effect *effect = &taken->items[i];

        switch (effect->kind) {
        case SALT_SEND:
            world->messages++;
            if (link_of(world, effect->link, &index) != NULL) link_send(world, index, !is_home, &effect->message, 0);
            break;
        case SALT_CLOSE:
            close_at(world, node, effect->link, is_home);
            break;
        case SALT_PUSH:
            schedule(world,
                     (struct event){ .kind = EVENT_PUSH, .node = node, .base = base_named(effect->message.base) },
                     between(world, 0, 3000));
            break;
        case SALT_RELEASE:
            release(world, node, effect->ticket);
            break;
        case SALT_CONNECT:
            n->wants[node_named(effect->node)] = true;
            connect_later(world, node, node_named(effect->node), between(world, 0, 5000));
            break;
        case SALT_DISCONNECT:
            n->wants[node_named(effect->node)] = false;
            break;
        case SALT_DROP:
            n->held[base_named(effect->message.base)].has_copy = false;
            break;
        }
    }
    salt_effects_free(taken);
}

static void drain(struct world *world, uint8_t node)
{
    struct sim_node *n = &world->nodes[node];
    struct salt_effects home = n->home_effects, helper = n->helper_effects;

    n->is_draining = false;
    n->home_effects = n->helper_effects = (struct salt_effects){ 0 };
    carry_out(world, node, &helper, false);
    carry_out(world, node, &home, true);
}

/* The value is read under the slot's lock, and sent whenever that thread comes to it. */
static void push(struct world *world, uint8_t node, uint8_t base)
{
    struct sim_node *n = &world->nodes[node];
    struct home_target targets[HOME_HELPERS_MAX];
    size_t count = home_push(n->home, base_key(base), clock_ms(world, node), targets), index = 0;

    for (size_t i = 0; i < count; i++) {
        struct salt_message message = { .word = targets[i].sum ? SALT_TOTAL : SALT_VALUE,
                                        .base = base_key(base),
                                        .join = targets[i].join,
                                        .seq = targets[i].seq,
                                        .epoch = targets[i].epoch,
                                        .total = n->held[base].value };

        if (link_of(world, targets[i].link, &index) == NULL) continue;
        schedule(world,
                 (struct event){ .kind = EVENT_LATE,
                                 .node = node,
                                 .link = index,
                                 .message = message_copy(&message),
                                 .value = n->held[base].value },
                 CHANCE(world, 70) ? between(world, 0, 1000) : between(world, 0, CHANCE(world, 80) ? 20000 : 500000));
    }
}

/* --- What arrives --- */

static void fold_at(struct world *world, uint8_t node, salt_link name, const struct salt_message *message)
{
    struct sim_node *n = &world->nodes[node];
    uint8_t base = base_named(message->base);
    struct held *held = &n->held[base];
    struct truth *truth = &world->bases[base];
    bool may_write =
        n->is_ok && held->has_key && !held->in_flight && truth->where == node && held->slot != HOME_SLOT_ELSEWHERE;
    int64_t now_ms = clock_ms(world, node);

    if (!home_fold(n->home, name, message, may_write, &held->value, now_ms, &n->home_effects)) return;
    if (!may_write) broken(world, "node %u: a fold of base %u is to be added where it cannot be", node, base);
    held->value += message->delta;
    note_total(world, base, held->value);
    home_changed(n->home, message->base, HOME_ADDED, now_ms, &n->home_effects);
    home_folded(n->home, name, message, true, held->value, &n->home_effects);
    if (base == BASE_SET && held->value - value_of(base, truth->version) > truth->given_since_set)
        broken(world, "base %u: %lld more than was added since it was set", base,
               (long long)(held->value - value_of(base, truth->version) - truth->given_since_set));
}

void deliver(struct world *world, size_t index, bool to_home, const struct salt_message *message, int64_t value,
             bool is_end)
{
    struct link *link = world->links[index];
    uint8_t node = to_home ? link->home : link->helper;
    struct sim_node *n = &world->nodes[node];
    int64_t now_ms = clock_ms(world, node);
    struct helper_copy copy;

    if (!n->is_alive || n->incarnation != (to_home ? link->home_incarnation : link->helper_incarnation)) return;
    if (!(to_home ? link->home_open : link->helper_open)) return;
    if (is_end) {
        link_close(world, index, to_home, true);
        if (to_home) {
            home_link_closed(n->home, link_name(index), now_ms, &n->home_effects);
        } else {
            helper_link_closed(n->helper, link_name(index), now_ms, &n->helper_effects);
            connect_later(world, node, link->home, between(world, 50000, 200000));
        }
    } else if (!to_home && message->word == SALT_VALUE) {
        if (helper_value(n->helper, link_name(index), message, -1, &copy)) {
            struct held *held = &n->held[base_named(message->base)];

            held->has_copy = true;
            held->copy = copy;
            held->copy_value = value;
        }
    } else if (!to_home) {
        int64_t before = outstanding(world, node);

        helper_message(n->helper, link_name(index), message, now_ms, &n->helper_effects);
        if (message->word != SALT_FOLDED || message->fold != SALT_FOLD_APPLIED) account(world, node, before);
    } else if (message->word == SALT_FOLD) {
        fold_at(world, node, link_name(index), message);
    } else {
        home_message(n->home, link_name(index), message, now_ms, &n->home_effects);
    }
    /* One thread does both at a helper: what it was told to do is done before the next message. */
    if (!to_home) {
        struct salt_effects taken = n->helper_effects;

        n->helper_effects = (struct salt_effects){ 0 };
        carry_out(world, node, &taken, false);
    }
    drain_soon(world, node);
}

/* --- Events of a node --- */

static void tick(struct world *world, uint8_t node)
{
    struct sim_node *n = &world->nodes[node];
    int64_t before;

    home_tick(n->home, clock_ms(world, node), &n->home_effects);
    before = outstanding(world, node);
    helper_tick(n->helper, clock_ms(world, node), &n->helper_effects);
    account(world, node, before);
    drain_soon(world, node);
    schedule(world, (struct event){ .kind = EVENT_TICK, .node = node },
             CHANCE(world, 95) ? between(world, 8000, 11000) : between(world, 11000, 40000));
}

void node_event(struct world *world, struct event *event)
{
    struct sim_node *n = &world->nodes[event->node];
    uint8_t node = event->node;

    if (!n->is_alive || event->incarnation != n->incarnation) {
        message_free(&event->message);
        return;
    }
    if (n->stopped_until_us > world->now_us) { /* when it goes on */
        schedule(world, *event, n->stopped_until_us - world->now_us + 1);
        return;
    }
    switch (event->kind) {
    case EVENT_TICK:
        tick(world, node);
        break;
    case EVENT_DRAIN:
        drain(world, node);
        break;
    case EVENT_LATE:
        link_send(world, event->link, false, &event->message, event->value);
        message_free(&event->message);
        break;
    case EVENT_CONNECT:
        connect_now(world, node, event->other);
        break;
    case EVENT_PUSH:
        push(world, node, event->base);
        break;
    case EVENT_WITHHOLD:
        withhold(world, node, event->base, event->number);
        break;
    case EVENT_VIEW:
        node_hear(world, node, event->base, event->number);
        break;
    case EVENT_NONE:
    case EVENT_PUMP:
    case EVENT_CLIENT:
    case EVENT_FAULT:
    case EVENT_RESUME:
    case EVENT_RESTART:
    case EVENT_MOVE:
    case EVENT_REJOIN:
    case EVENT_DOWN:
    case EVENT_TAKE:
        break;
    }
}
