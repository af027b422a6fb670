/* sim/sim.c
 *
 * A queue of what is to come, in order of time. A link is a pair of numbers, one at each end, with a delay of its own; within it
 * order is kept, as TCP keeps it. */
#include "sim/sim_internal.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_TICK_MS 100
#define SIM_PORT 7000

bool sim_is_disk_full(const struct sim *sim, size_t node)
{
    return sim->nodes[node]->disk_full;
}

void sim_note(struct sim *sim, size_t node, const char *format, ...)
{
    va_list args;

    if (sim->options.trace == NULL) return;
    fprintf(sim->options.trace, "%8lld ms  node %zu  ", (long long)(sim->now_ms - SIM_START_MS), node);
    va_start(args, format);
    vfprintf(sim->options.trace, format, args);
    va_end(args);
    fputc('\n', sim->options.trace);
}

_Noreturn void sim_broken(const struct sim *sim, size_t node, const char *what)
{
    char *line = ((struct sim *)(uintptr_t)sim)->broke;

    snprintf(line, sizeof(sim->broke), "%lld ms, node %zu: %s", (long long)(sim->now_ms - SIM_START_MS), node, what);
    if (sim->options.broken != NULL) longjmp(*sim->options.broken, 1);
    fprintf(stderr, "sim: seed %llu, %s\n", (unsigned long long)sim->options.seed, line);
    abort();
}

const char *sim_what_broke(const struct sim *sim)
{
    return sim->broke;
}

/* --- The queue --- */

static bool comes_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void schedule(struct sim *sim, struct sim_event event)
{
    size_t at;

    if (sim->queue_count == sim->queue_cap) {
        sim->queue_cap = sim->queue_cap ? sim->queue_cap * 2 : 1024;
        sim->queue = alloc_resize(sim->queue, sim->queue_cap * sizeof(*sim->queue));
    }
    event.order = sim->order++;
    event.incarnation = sim->nodes[event.node]->incarnation;
    for (at = sim->queue_count++; at > 0 && comes_before(&event, &sim->queue[(at - 1) / 2]); at = (at - 1) / 2)
        sim->queue[at] = sim->queue[(at - 1) / 2];
    sim->queue[at] = event;
}

static struct sim_event take_next(struct sim *sim)
{
    struct sim_event first = sim->queue[0], last = sim->queue[--sim->queue_count];
    size_t at = 0;

    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= sim->queue_count) break;
        if (child + 1 < sim->queue_count && comes_before(&sim->queue[child + 1], &sim->queue[child])) child++;
        if (!comes_before(&sim->queue[child], &last)) break;
        sim->queue[at] = sim->queue[child];
        at = child;
    }
    if (sim->queue_count > 0) sim->queue[at] = last;
    return first;
}

/* --- Links --- */

static struct sim_link *link_of(struct sim *sim, cluster_link id, int *end)
{
    size_t n = (size_t)(id - 2) / 2;

    *end = (int)(id & 1);
    return id >= 2 && n < sim->link_count ? &sim->links[n] : NULL;
}

static void close_end(struct sim *sim, struct sim_link *link, int end, bool tell)
{
    struct sim_node *node = sim->nodes[link->nodes[end]];

    if (!link->open[end]) return;
    link->open[end] = false;
    if (!tell || !node->running || node->incarnation != link->incarnations[end]) return;
    schedule(sim, (struct sim_event){ .at_ms = sim->now_ms + link->delay_ms,
                                      .kind = SIM_CLOSED,
                                      .node = link->nodes[end],
                                      .link = link->ends[end] });
}

static bool is_cut(const struct sim *sim, size_t from, size_t to)
{
    return to < 64 && (sim->nodes[from]->not_heard_by >> to & 1) != 0;
}

/* What was on its way when a direction was cut is lost, and what follows too: TCP does not deliver the rest without it. */
static void hang_if_cut(struct sim *sim, struct sim_link *link, int to)
{
    if (is_cut(sim, link->nodes[1 - to], link->nodes[to])) link->hung[to] = true;
}

static void schedule_packet(struct sim *sim, struct sim_link *link, int to, int64_t at_ms, struct bytes data)
{
    schedule(sim,
             (struct sim_event){
                 .at_ms = at_ms, .kind = SIM_PACKET, .node = link->nodes[to], .link = link->ends[to], .data = data });
}

static bool is_of_shared_set(struct bytes packet)
{
    return message_type_of(packet) == MESSAGE_MODULE && packet.len >= CLUSTER_HEADER_BYTES + 8 &&
           memcmp(packet.data + CLUSTER_HEADER_BYTES, "rshdset1", 8) == 0;
}

static void send_packet(struct sim *sim, cluster_link id, struct effect *effect)
{
    int end;
    struct sim_link *link = link_of(sim, id, &end);
    int other = 1 - end;
    int64_t at_ms;

    if (link != NULL && sim->options.disk_ms_max > 0) sim_check_told(sim, link->nodes[end], effect->data);
    if (link == NULL || !link->open[end] || !link->open[other]) return;
    sim->packets++;
    sim->bytes += effect->data.len;
    if (is_of_shared_set(effect->data)) {
        sim->shared_packets++;
        sim->shared_bytes += effect->data.len;
    }
    if (random_below(&sim->random, 1000) < sim->options.breaks_per_1000) {
        close_end(sim, link, 0, true);
        close_end(sim, link, 1, true);
        return;
    }
    if (random_below(&sim->random, 1000) < sim->options.hangs_per_1000)
        link->hung[other] = link->hung[random_below(&sim->random, 2)] = true;
    hang_if_cut(sim, link, other);
    if (link->hung[other]) return;
    at_ms = sim->now_ms + link->delay_ms + (int64_t)random_below(&sim->random, (uint64_t)link->delay_ms + 1);
    if (at_ms < link->last_ms[other]) at_ms = link->last_ms[other];
    link->last_ms[other] = at_ms;
    if (random_below(&sim->random, 1000) < sim->options.replays_per_1000) {
        struct buf copy = { 0 };

        buf_append_bytes(&copy, effect->data);
        schedule_packet(sim, link, other, at_ms + (int64_t)random_below(&sim->random, 2000), buf_bytes(&copy));
    }
    schedule_packet(sim, link, other, at_ms, effect->data);
    effect->data = BYTES_NONE;
}

static void connect_to(struct sim *sim, size_t node, const struct effect *effect)
{
    size_t target = (size_t)effect->port - SIM_PORT - 10000;

    schedule(sim,
             (struct sim_event){ .at_ms = sim->now_ms + 1 +
                                          (int64_t)random_below(&sim->random, (uint64_t)sim->options.delay_ms_max * 2),
                                 .kind = SIM_CONNECTED,
                                 .node = node,
                                 .index = effect->node,
                                 .target = target });
}

static void connected(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->node];
    cluster_link id;

    if (event->target >= sim->node_count || !sim->nodes[event->target]->running ||
        random_below(&sim->random, 1000) < sim->options.breaks_per_1000) {
        cluster_link_failed(node->core, event->index, sim_node_now(sim, event->node), &node->effects);
        return;
    }
    if (is_cut(sim, event->node, event->target) || is_cut(sim, event->target, event->node)) {
        /* No answer comes: whoever connects gives up after a while. */
        schedule(sim, (struct sim_event){ .at_ms = sim->now_ms + sim->options.node_timeout_ms / 2,
                                          .kind = SIM_FAILED,
                                          .node = event->node,
                                          .index = event->index });
        return;
    }
    if (sim->link_count == sim->link_cap) {
        sim->link_cap = sim->link_cap ? sim->link_cap * 2 : 256;
        sim->links = alloc_resize(sim->links, sim->link_cap * sizeof(*sim->links));
    }
    id = sim->link_count * 2 + 2;
    sim->links[sim->link_count++] = (struct sim_link){
        .ends = { id, id + 1 },
        .nodes = { event->node, event->target },
        .open = { true, true },
        .incarnations = { node->incarnation, sim->nodes[event->target]->incarnation },
        .delay_ms = 1 + (int64_t)random_below(&sim->random, (uint64_t)sim->options.delay_ms_max),
    };
    cluster_link_accepted(sim->nodes[event->target]->core, id + 1, "127.0.0.1", "127.0.0.1",
                          sim_node_now(sim, event->target));
    cluster_link_opened(node->core, event->index, id, sim_node_now(sim, event->node), &node->effects);
}

/* --- Disks --- */

static void write_begin(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];

    node->writing = true;
    schedule(sim, (struct sim_event){ .at_ms = sim->now_ms + 1 +
                                               (int64_t)random_below(&sim->random, (uint64_t)sim->options.disk_ms_max),
                                      .kind = SIM_SAVED,
                                      .node = n,
                                      .data = buf_bytes(&node->unwritten),
                                      .sequence = node->unwritten_sequence });
    node->unwritten = (struct buf){ 0 };
}

/* Asked of the core itself: what it loads from the file is what it would come back with. */
static struct sim_durable load_durable(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];
    char error[256];
    struct cluster *again = cluster_load(buf_bytes(&node->file), &node->options, 1, sim_node_now(sim, n), error);
    struct sim_durable durable = { 0 };
    struct cluster_node_info me;

    if (again == NULL) sim_broken(sim, n, error);
    cluster_node_at(again, 0, &me);
    durable.config_epoch = me.config_epoch;
    durable.current_epoch = cluster_epoch(again);
    for (unsigned slot = 0; slot < SLOT_COUNT && !cluster_is_solo(again); slot++)
        if (cluster_slot_owner(again, (uint16_t)slot) == me.index)
            durable.slots[slot / 8] = (uint8_t)(durable.slots[slot / 8] | 1u << (slot % 8));
    cluster_free(&again);
    return durable;
}

/* The same out of its text, which is half of a story's time otherwise: the epochs of all lines, the slots of the node's own. */
static struct sim_durable read_durable(const struct sim_node *node)
{
    struct sim_durable durable = { 0 };
    char *next = strchr(node->file.data, '\n');

    while (next != NULL && *++next != '\0' && *next != 's' && *next != 'v') { /* since, vars */
        char *line = next, *end = strchr(line, '\n');
        bool own = memmem(line, (size_t)(end - line), " myself,", 8) != NULL;
        uint64_t epoch;

        for (int fields = 0; fields < 6; fields++) next = strchr(next, ' ') + 1;
        epoch = strtoull(next, &next, 10);
        if (epoch > durable.current_epoch) durable.current_epoch = epoch;
        if (own) durable.config_epoch = epoch;
        next += sizeof(" connected") - 1;
        while (own && *next == ' ' && next[1] != '[') {
            unsigned long first = strtoul(next, &next, 10), last = *next == '-' ? strtoul(next + 1, &next, 10) : first;

            for (; first <= last; first++)
                durable.slots[first / 8] = (uint8_t)(durable.slots[first / 8] | 1u << (first % 8));
        }
        next = end;
    }
    next = strstr(next, "vars currentEpoch ") + 18;
    if (strtoull(next, NULL, 10) > durable.current_epoch) durable.current_epoch = strtoull(next, NULL, 10);
    return durable;
}

/* Now and then both are asked, and have to say the same. */
#define LOADED_EVERY 64

static void note_durable(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];
    struct sim_durable loaded;

    node->durable = read_durable(node);
    if (node->saves++ % LOADED_EVERY != 0) return;
    loaded = load_durable(sim, n);
    if (memcmp(&loaded, &node->durable, sizeof(loaded)) != 0)
        sim_broken(sim, n, "its file says something else than it loads");
}

static void saved(struct sim *sim, size_t n, struct bytes content, uint64_t sequence)
{
    struct sim_node *node = sim->nodes[n];

    if (!node->disk_full) {
        buf_clear(&node->file);
        buf_append_bytes(&node->file, content);
        buf_append_byte(&node->file, '\0'); /* for strtoull(); not counted */
        node->file.len--;
        if (sim->options.disk_ms_max > 0) note_durable(sim, n);
    }
    node->writing = false;
    cluster_persisted(node->core, sequence, !node->disk_full, sim_node_now(sim, n), &node->effects);
    if (node->unwritten.len > 0) write_begin(sim, n);
}

static void persist(struct sim *sim, size_t n, const struct effect *effect)
{
    struct sim_node *node = sim->nodes[n];

    if (sim->options.disk_ms_max == 0) {
        saved(sim, n, effect->data, effect->sequence);
        return;
    }
    buf_clear(&node->unwritten);
    buf_append_bytes(&node->unwritten, effect->data);
    node->unwritten_sequence = effect->sequence;
    if (!node->writing) write_begin(sim, n);
}

/* At a tick: a disk is done with it now and then, and what came since its last time is lost when the node is stopped. */
static void save_shared(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];

    if (node->shared_saved == cluster_shared_changes(node->core) || node->disk_full) return;
    if (sim->options.disk_ms_max > 0 && random_below(&sim->random, 3) != 0) return;
    if (random_below(&sim->random, 8) == 0) {
        buf_clear(&node->shared_former);
        buf_append_bytes(&node->shared_former, buf_bytes(&node->shared_file));
    }
    buf_clear(&node->shared_file);
    cluster_shared_save(node->core, &node->shared_file);
    node->shared_saved = cluster_shared_changes(node->core);
}

static void load_shared(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];
    char error[256];

    if (node->shared_file.len > 0 &&
        !cluster_shared_load(node->core, buf_bytes(&node->shared_file), sim_node_now(sim, n), error))
        sim_broken(sim, n, error);
    node->shared_saved = cluster_shared_changes(node->core);
}

void sim_put_back_shared(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];

    sim_note(sim, n, "--- an older file of its shared set is put back");
    buf_clear(&node->shared_file);
    buf_append_bytes(&node->shared_file, buf_bytes(&node->shared_former));
}

/* --- Effects --- */

#define CHECKED_AT_ONCE 16

void sim_carry_out(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];
    struct effects effects;

    while (node->effects.count > 0) {
        effects = node->effects;
        node->effects = (struct effects){ 0 };
        for (size_t i = 0; i < effects.count; i++) {
            struct effect *effect = &effects.items[i];
            int end;
            struct sim_link *link;
            switch (effect->kind) {
            case EFFECT_CONNECT:
                connect_to(sim, n, effect);
                break;
            case EFFECT_CLOSE:
                link = link_of(sim, effect->link, &end);
                if (link == NULL) break;
                close_end(sim, link, end, false);
                close_end(sim, link, 1 - end, true);
                break;
            case EFFECT_SEND:
                send_packet(sim, effect->link, effect);
                break;
            case EFFECT_OWNERS:
                for (unsigned slot = effect_next_slot(effect, 0); slot < SLOT_COUNT;
                     slot = effect_next_slot(effect, slot + 1)) {
                    if (owner_unpack(node->owners[slot]).state == OWNER_HERE)
                        node->left_epoch[slot] = node->config_epoch;
                    node->owners[slot] = cluster_owner_word(node->core, (uint16_t)slot);
                }
                break;
            case EFFECT_PERSIST:
                persist(sim, n, effect);
                break;
            case EFFECT_LOG:
                sim_note(sim, n, "%.*s", (int)effect->data.len, effect->data.data);
                break;
            case EFFECT_DROP_KEYS:
                for (unsigned slot = effect_next_slot(effect, 0); slot < SLOT_COUNT;
                     slot = effect_next_slot(effect, slot + 1)) {
                    sim_check_dropped(sim, n, (uint16_t)slot);
                    if (sim->options.keys_dropped != NULL)
                        sim->options.keys_dropped(sim->options.context, n, (uint16_t)slot);
                }
                break;
            case EFFECT_SHARED_ITEM:
                if (sim->options.item_came != NULL) sim->options.item_came(sim->options.items, n, &effect->item);
                break;
            case EFFECT_PUBLISH:
            case EFFECT_VIEW:
                break;
            }
        }
        effects_free(&effects);
        /* A few each time: who changes hands and is not told of shows in the next round. */
        for (int i = 0; i < CHECKED_AT_ONCE; i++) sim_check_owner(sim, n, (uint16_t)(node->checked++ % SLOT_COUNT));
    }
    sim_check_epochs(sim, n);
}

/* --- Nodes --- */

struct sim *sim_new(const struct sim_options *options)
{
    struct sim *sim = alloc_zeroed(sizeof(*sim));

    sim->options = *options;
    sim->now_ms = SIM_START_MS;
    random_seed(&sim->random, options->seed);
    return sim;
}

void sim_free(struct sim **sim)
{
    struct sim *s = *sim;

    for (size_t i = 0; i < s->queue_count; i++) alloc_free((void *)(uintptr_t)s->queue[i].data.data);
    for (size_t i = 0; i < s->node_count; i++) {
        if (s->nodes[i]->core != NULL) cluster_free(&s->nodes[i]->core);
        effects_free(&s->nodes[i]->effects);
        buf_free(&s->nodes[i]->file);
        buf_free(&s->nodes[i]->unwritten);
        buf_free(&s->nodes[i]->shared_file);
        buf_free(&s->nodes[i]->shared_former);
        alloc_free(s->nodes[i]);
    }
    alloc_free(s->nodes);
    alloc_free(s->queue);
    alloc_free(s->links);
    alloc_free(s);
    *sim = NULL;
}

static void draw_clock(struct sim *sim, size_t n)
{
    int64_t max_ms = sim->options.clock_jump_ms_max;

    if (max_ms > 0) sim->nodes[n]->clock_offset_ms = (int64_t)random_below(&sim->random, (uint64_t)max_ms * 2) - max_ms;
}

static void begin(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];

    node->running = true;
    cluster_announce_all(node->core, &node->effects);
    schedule(sim, (struct sim_event){ .at_ms = sim->now_ms + (int64_t)random_below(&sim->random, SIM_TICK_MS),
                                      .kind = SIM_TICK,
                                      .node = n });
    sim_carry_out(sim, n);
}

size_t sim_add_node(struct sim *sim)
{
    struct sim_node *node = alloc_zeroed(sizeof(*node));
    size_t n = sim->node_count;

    node->options = (struct cluster_options){ .node_timeout_ms = sim->options.node_timeout_ms,
                                              .require_full_coverage = true,
                                              .port = (uint16_t)(SIM_PORT + n),
                                              .cport = (uint16_t)(SIM_PORT + n + 10000) };
    sim->nodes = alloc_resize(sim->nodes, (n + 1) * sizeof(struct sim_node *));
    sim->nodes[n] = node;
    sim->node_count++;
    draw_clock(sim, n);
    node->core = cluster_new(&node->options, random_u64(&sim->random), sim_node_now(sim, n));
    cluster_save(node->core, &node->file); /* a node without a file does not start */
    buf_append_byte(&node->file, '\0');
    node->file.len--;
    note_durable(sim, n);
    begin(sim, n);
    return n;
}

struct cluster *sim_core(struct sim *sim, size_t node)
{
    return sim->nodes[node]->core;
}

struct effects *sim_effects(struct sim *sim, size_t node)
{
    return &sim->nodes[node]->effects;
}

int64_t sim_now(const struct sim *sim)
{
    return sim->now_ms;
}

int64_t sim_node_now(const struct sim *sim, size_t node)
{
    return sim->now_ms + sim->nodes[node]->clock_offset_ms;
}

uint64_t sim_owner_word(const struct sim *sim, size_t node, uint16_t slot)
{
    return sim->nodes[node]->owners[slot];
}

size_t sim_node_of_index(struct sim *sim, size_t observer, uint16_t index)
{
    struct cluster_node_info info;

    if (!cluster_node_by_index(sim->nodes[observer]->core, index, &info)) return SIZE_MAX;
    for (size_t n = 0; n < sim->node_count; n++)
        if (strcmp(sim->nodes[n]->id, info.id) == 0) return n;
    return SIZE_MAX;
}

bool sim_is_saved(const struct sim *sim, size_t node)
{
    const struct sim_node *it = sim->nodes[node];
    struct cluster_node_info me;

    if (sim->options.disk_ms_max == 0) return !it->disk_full;
    cluster_node_at(it->core, 0, &me);
    return !it->disk_full && !it->writing && it->unwritten.len == 0 && it->durable.config_epoch == me.config_epoch;
}

void sim_meet(struct sim *sim, size_t node, size_t other)
{
    cluster_error error;

    cluster_meet(sim->nodes[node]->core, BYTES("127.0.0.1"), sim->nodes[other]->options.port,
                 sim->nodes[other]->options.cport, sim_node_now(sim, node), &sim->nodes[node]->effects, error);
    if (error[0]) sim_broken(sim, node, error);
    sim_carry_out(sim, node);
}

void sim_add_slots(struct sim *sim, size_t node, unsigned first, unsigned last)
{
    uint16_t slots[SLOT_COUNT];
    cluster_error error;

    for (unsigned slot = first; slot <= last; slot++) slots[slot - first] = (uint16_t)slot;
    cluster_add_slots(sim->nodes[node]->core, slots, last - first + 1, sim_node_now(sim, node),
                      &sim->nodes[node]->effects, error);
    if (error[0]) sim_broken(sim, node, error);
    sim_carry_out(sim, node);
}

void sim_stop(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];

    node->running = false;
    for (size_t i = 0; i < sim->link_count; i++) {
        struct sim_link *link = &sim->links[i];
        if (link->nodes[0] != n && link->nodes[1] != n) continue;
        close_end(sim, link, 0, true);
        close_end(sim, link, 1, true);
    }
    node->incarnation++;
    buf_clear(&node->unwritten);
    node->writing = false;
    node->current_epoch = 0;
    if (sim->options.disk_ms_max > 0) {
        node->config_epoch = node->durable.config_epoch;
        node->current_epoch = node->durable.current_epoch;
    }
    node->paused_until_ms = 0;
    sim_note(sim, n, "--- stopped");
    cluster_free(&node->core);
    effects_clear(&node->effects);
}

void sim_start(struct sim *sim, size_t n)
{
    struct sim_node *node = sim->nodes[n];
    char error[256];

    draw_clock(sim, n);
    sim_note(sim, n, "--- started, its clock %+lld ms", (long long)node->clock_offset_ms);
    node->core =
        cluster_load(buf_bytes(&node->file), &node->options, random_u64(&sim->random), sim_node_now(sim, n), error);
    if (node->core == NULL) sim_broken(sim, n, error);
    load_shared(sim, n);
    begin(sim, n);
}

void sim_set_replays(struct sim *sim, unsigned replays_per_1000)
{
    sim->options.replays_per_1000 = replays_per_1000;
}

void sim_cut(struct sim *sim, size_t from, size_t to, bool cut)
{
    if (to >= 64) return;
    if (cut)
        sim->nodes[from]->not_heard_by |= UINT64_C(1) << to;
    else
        sim->nodes[from]->not_heard_by &= ~(UINT64_C(1) << to);
}

void sim_heal_cuts(struct sim *sim)
{
    for (size_t n = 0; n < sim->node_count; n++) sim->nodes[n]->not_heard_by = 0;
}

void sim_pause(struct sim *sim, size_t node, int64_t for_ms)
{
    sim_note(sim, node, "--- stands still for %lld ms", (long long)for_ms);
    sim->nodes[node]->paused_until_ms = sim->now_ms + for_ms;
}

void sim_set_disk_full(struct sim *sim, size_t node, bool full)
{
    if (sim->nodes[node]->disk_full != full) sim_note(sim, node, full ? "--- disk is full" : "--- disk has room again");
    sim->nodes[node]->disk_full = full;
}

void sim_set_hangs(struct sim *sim, unsigned hangs_per_1000)
{
    sim->options.hangs_per_1000 = hangs_per_1000;
}

void sim_set_breaks(struct sim *sim, unsigned breaks_per_1000)
{
    sim->options.breaks_per_1000 = breaks_per_1000;
}

/* --- Running --- */

static void packet_came(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->node];
    struct cluster_node_info me, sender;
    struct message message;
    bool known;

    if (cluster_frame(event->data) != (int64_t)event->data.len)
        sim_broken(sim, event->node, "was sent what is no packet");
    cluster_node_at(node->core, 0, &me);
    if (message_decode(event->data, &message) == MESSAGE_OK) node->hearing = &message;
    known = node->hearing != NULL && message.type <= MESSAGE_MEET && cluster_link_is_member(node->core, event->link) &&
            cluster_node_by_id(node->core, (struct bytes){ message.sender, NODE_ID_BYTES }, &sender);
    cluster_packet(node->core, event->link, event->data, sim_node_now(sim, event->node), &node->effects);
    sim_carry_out(sim, event->node);
    node->hearing = NULL;
    if (known && me.slot_count > 0 && !cluster_is_solo(node->core)) sim_check_deposed(sim, event->node, &message);
}

static void happen(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->node];
    int64_t now_ms = sim_node_now(sim, event->node);
    struct sim_link *link;
    int end;

    switch (event->kind) {
    case SIM_TICK:
        cluster_tick(node->core, now_ms, &node->effects);
        save_shared(sim, event->node);
        schedule(sim, (struct sim_event){ .at_ms = sim->now_ms + SIM_TICK_MS, .kind = SIM_TICK, .node = event->node });
        break;
    case SIM_CONNECTED:
        connected(sim, event);
        break;
    case SIM_FAILED:
        cluster_link_failed(node->core, event->index, now_ms, &node->effects);
        break;
    case SIM_PACKET:
        link = link_of(sim, event->link, &end);
        hang_if_cut(sim, link, end);
        if (link->open[end] && !link->hung[end]) packet_came(sim, event);
        break;
    case SIM_CLOSED:
        cluster_link_closed(node->core, event->link, now_ms, &node->effects);
        break;
    case SIM_SAVED:
        saved(sim, event->node, event->data, event->sequence);
        break;
    }
    sim_carry_out(sim, event->node);
}

/* One event; false where none is due before then. */
static bool step(struct sim *sim, int64_t until_ms)
{
    struct sim_event event;

    if (sim->queue_count == 0 || sim->queue[0].at_ms > until_ms) return false;
    event = take_next(sim);
    sim->now_ms = event.at_ms;
    if (sim->nodes[event.node]->running && sim->nodes[event.node]->incarnation == event.incarnation) {
        if (sim->nodes[event.node]->paused_until_ms > sim->now_ms) {
            event.at_ms = sim->nodes[event.node]->paused_until_ms;
            schedule(sim, event);
            return true;
        }
        happen(sim, &event);
    }
    alloc_free((void *)(uintptr_t)event.data.data);
    return true;
}

void sim_run(struct sim *sim, int64_t for_ms)
{
    int64_t until_ms = sim->now_ms + for_ms;

    while (step(sim, until_ms)) {
    }
    sim->now_ms = until_ms;
}

bool sim_run_until(struct sim *sim, int64_t for_ms, bool (*holds)(struct sim *sim))
{
    int64_t until_ms = sim->now_ms + for_ms;

    while (sim->now_ms < until_ms) {
        if (holds(sim)) return true;
        sim_run(sim, SIM_TICK_MS * 2);
    }
    return holds(sim);
}

/* --- Questions --- */

size_t sim_count(const struct sim *sim)
{
    return sim->node_count;
}

bool sim_is_running(const struct sim *sim, size_t node)
{
    return sim->nodes[node]->running;
}

uint64_t sim_packets(const struct sim *sim)
{
    return sim->packets;
}

uint64_t sim_bytes(const struct sim *sim)
{
    return sim->bytes;
}

uint64_t sim_shared_packets(const struct sim *sim)
{
    return sim->shared_packets;
}

uint64_t sim_shared_bytes(const struct sim *sim)
{
    return sim->shared_bytes;
}

bool sim_is_paused(const struct sim *sim, size_t node)
{
    return sim->nodes[node]->paused_until_ms > sim->now_ms;
}

const char *sim_node_id(const struct sim *sim, size_t node)
{
    return sim->nodes[node]->id;
}
