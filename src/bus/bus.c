#include "bus/bus_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "bus/claims.h"
#include "bus/link.h"
#include "bus/publish.h"
#include "bus/share.h"
#include "bus/state_file.h"
#include "bus/recount.h"
#include "bus/sweep.h"
#include "net/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TICK_SECONDS 0.1
#define BACKLOG 511
/* An accepted connection that says nothing is closed; a Redis node speaks at once. */
#define FIRST_WORD_MS 15000
#define CONNECT_MS_MIN 500
#define CONNECT_MS_MAX 5000

static void outbox_add(struct outbox *outbox, const struct effect *effect, uint64_t after)
{
    if (outbox->count == outbox->cap) {
        outbox->cap = outbox->cap != 0 ? outbox->cap * 2 : 32;
        outbox->items = alloc_resize(outbox->items, outbox->cap * sizeof *outbox->items);
    }
    outbox->items[outbox->count++] = (struct posted){ .effect = *effect, .after = after };
}

static void outbox_free(struct outbox *outbox)
{
    for (size_t i = 0; i < outbox->count; i++) alloc_free((void *)(uintptr_t)outbox->items[i].effect.data.data);
    alloc_free(outbox->items);
    *outbox = (struct outbox){ 0 };
}

/* --- Memory effects, under the lock --- */

static void endpoint_text(const struct cluster_options *options, const struct cluster_node_info *info, char out[256])
{
    switch (options->preferred_endpoint) {
    case ENDPOINT_IP:
        snprintf(out, 256, "%s", info->ip);
        return;
    case ENDPOINT_HOSTNAME:
        snprintf(out, 256, "%s", info->hostname[0] != '\0' ? info->hostname : "?");
        return;
    case ENDPOINT_UNKNOWN:
        out[0] = '\0';
        return;
    }
}

static struct endpoint *endpoint_at(struct bus *bus, uint16_t index)
{
    if (index >= bus->endpoint_count) {
        size_t count = (size_t)index + 16;

        bus->endpoints = alloc_resize(bus->endpoints, count * sizeof *bus->endpoints);
        memset(bus->endpoints + bus->endpoint_count, 0, (count - bus->endpoint_count) * sizeof *bus->endpoints);
        bus->endpoint_count = count;
    }
    if (bus->endpoints[index] == NULL) bus->endpoints[index] = alloc_zeroed(sizeof **bus->endpoints);
    return bus->endpoints[index];
}

static void publish_endpoints(struct bus *bus)
{
    const struct cluster_options *options = cluster_current_options(bus->cluster);
    struct cluster_node_info info;

    lock_take(&bus->endpoints_lock);
    for (size_t n = 0; cluster_node_at(bus->cluster, n, &info); n++) {
        struct endpoint *endpoint = endpoint_at(bus, info.index);

        endpoint_text(options, &info, endpoint->text);
        endpoint->port = info.port;
    }
    lock_release(&bus->endpoints_lock);
}

/* The state to save leaves for the mover at once; its ticket is what later messages may have to wait for. */
static uint64_t submit(struct bus *bus, struct effect *effect)
{
    struct buf content = { .data = (char *)(uintptr_t)effect->data.data,
                           .len = effect->data.len,
                           .cap = effect->data.len };

    effect->data = BYTES_NONE;
    return state_file_submit(bus->file, &content, effect->sequence);
}

/* True where that has just happened. A node that served alone and now joins others keeps the slots it has keys in. */
static bool note_end_of_solo(struct bus *bus)
{
    uint8_t bitmap[SLOT_COUNT / 8] = { 0 };
    bool any = false;

    if (!bus->was_solo || cluster_is_solo(bus->cluster)) return false;
    bus->was_solo = false;
    for (uint16_t id = 0; id < SLOT_COUNT; id++) {
        if (slot_counts(keyspace_slot(bus->keyspace, id)).keys == 0) continue;
        bitmap[id / 8] |= (uint8_t)(1u << (id % 8));
        any = true;
    }
    if (any) cluster_note_keys(bus->cluster, bitmap, clock_now_ms(), &bus->effects);
    return true;
}

/* A slot that is nobody's for a moment within an event was never so to its clients: they see the word it has now. */
static void set_owners(struct bus *bus, const struct effect *effect)
{
    uint8_t left[SLOT_COUNT / 8] = { 0 };
    bool any = false;

    for (unsigned id = effect_next_slot(effect, 0); id < SLOT_COUNT; id = effect_next_slot(effect, id + 1)) {
        struct slot *slot = keyspace_slot(bus->keyspace, (uint16_t)id);
        uint64_t word = cluster_owner_word(bus->cluster, (uint16_t)id);

        if (owner_unpack(slot_owner(slot)).state == OWNER_HERE && owner_unpack(word).state != OWNER_HERE) {
            left[id / 8] = (uint8_t)(left[id / 8] | 1u << id % 8);
            any = true;
        }
        if (slot_owner(slot) == word) continue;
        slot_set_owner(slot, word);
        if (bus->events.owner_changed != NULL) bus->events.owner_changed(bus->events.context, (uint16_t)id, word);
    }
    if (any) {
        struct effect told = { .kind = EFFECT_OWNERS, .data = { alloc(sizeof left), sizeof left } };

        memcpy((void *)(uintptr_t)told.data.data, left, sizeof left);
        outbox_add(&bus->outbox, &told, 0);
    }
}

static void drop_keys(struct bus *bus, const struct effect *effect)
{
    for (unsigned slot = effect_next_slot(effect, 0); slot < SLOT_COUNT; slot = effect_next_slot(effect, slot + 1))
        sweep_drop(bus->sweep, (uint16_t)slot);
}

/* Empties the queue of effects: memory is changed here and now, the rest goes to the outbox. */
static void carry_out(struct bus *bus)
{
    uint64_t after = 0;
    bool view = false, ended_solo = note_end_of_solo(bus);

    bus->was_solo = cluster_is_solo(bus->cluster);
    for (size_t i = 0; i < bus->effects.count; i++) view |= bus->effects.items[i].kind == EFFECT_VIEW;
    /* A redirect that a new owner word causes must find where to. */
    if (view) publish_endpoints(bus);
    for (size_t i = 0; i < bus->effects.count; i++)
        if (bus->effects.items[i].kind == EFFECT_OWNERS) set_owners(bus, &bus->effects.items[i]);
    for (size_t i = 0; i < bus->effects.count; i++) {
        struct effect *effect = &bus->effects.items[i];
        uint64_t ticket;

        switch (effect->kind) {
        case EFFECT_DROP_KEYS:
            drop_keys(bus, effect);
            break;
        case EFFECT_PERSIST:
            ticket = submit(bus, effect);
            if (effect->sync) after = ticket;
            break;
        case EFFECT_OWNERS:
        case EFFECT_VIEW:
            break; /* done above; done below */
        case EFFECT_SEND:
        case EFFECT_CLOSE: /* with the messages before it, or they would be lost */
            outbox_add(&bus->outbox, effect, after);
            effect->data = BYTES_NONE;
            break;
        case EFFECT_CONNECT:
        case EFFECT_SHARED_ITEM:
        case EFFECT_PUBLISH:
        case EFFECT_LOG: /* the caller may hold a slot's lock: the control loop logs */
            outbox_add(&bus->outbox, effect, 0);
            effect->data = BYTES_NONE;
            break;
        }
    }
    effects_clear(&bus->effects);
    /* Commands that had begun before the owner words changed may have added keys since. */
    if (ended_solo) recount_start(bus->recount);
    if (!view) return;
    atomic_store_explicit(&bus->solo, cluster_is_solo(bus->cluster), memory_order_release);
    atomic_store_explicit(&bus->state_ok, cluster_state_ok(bus->cluster), memory_order_release);
}

/* Around an event on the control loop, which drains afterwards. */
static struct effects *begin(struct bus *bus)
{
    lock_take(&bus->lock);
    return &bus->effects;
}

static void end(struct bus *bus)
{
    carry_out(bus);
    lock_release(&bus->lock);
}

/* --- Sockets and lines, on the control loop --- */

static int64_t connect_timeout_ms(const struct bus *bus)
{
    int64_t half = atomic_load_explicit(&bus->node_timeout_ms, memory_order_relaxed) / 2;

    return half < CONNECT_MS_MIN ? CONNECT_MS_MIN : half > CONNECT_MS_MAX ? CONNECT_MS_MAX : half;
}

/* Carries one posted effect out and frees it. */
static void carry_out_posted(struct bus *bus, struct posted *posted)
{
    struct effect *effect = &posted->effect;
    struct link *link;

    switch (effect->kind) {
    case EFFECT_CONNECT:
        links_connect(bus->links, effect->node, effect->ip, effect->port, clock_now_ms(), connect_timeout_ms(bus));
        break;
    case EFFECT_CLOSE:
        link = links_find(bus->links, effect->link);
        if (link != NULL) link_break(link);
        break;
    case EFFECT_SEND:
        link = links_find(bus->links, effect->link);
        if (link != NULL) link_send(link, effect->data);
        break;
    case EFFECT_SHARED_ITEM:
        share_collect(bus->share, effect);
        break;
    case EFFECT_LOG:
        log_at((enum log_level)effect->log_level, "%.*s", (int)effect->data.len, effect->data.data);
        break;
    case EFFECT_OWNERS: /* those that left us */
        if (bus->events.slots_left != NULL)
            bus->events.slots_left(bus->events.context, (const uint8_t *)effect->data.data);
        break;
    case EFFECT_PUBLISH:
        if (bus->events.published != NULL)
            bus->events.published(bus->events.context, effect->shard,
                                  (struct bytes){ effect->data.data, effect->channel_bytes },
                                  (struct bytes){ effect->data.data + effect->channel_bytes,
                                                  effect->data.len - effect->channel_bytes });
        break;
    case EFFECT_PERSIST:
    case EFFECT_VIEW:
    case EFFECT_DROP_KEYS:
        break; /* never posted */
    }
    alloc_free((void *)(uintptr_t)effect->data.data);
    effect->data = BYTES_NONE;
}

/* Tells the core what is safe, and lets go what waited for it. True where anything was done. */
static bool hear_of_saves(struct bus *bus)
{
    struct state_done done = state_file_done(bus->file);
    struct outbox held = bus->held;

    if (done.durable == bus->seen.durable && done.tried == bus->seen.tried) return false;
    if (done.durable_sequence > bus->seen.durable_sequence) {
        cluster_persisted(bus->cluster, done.durable_sequence, true, clock_now_ms(), begin(bus));
        end(bus);
    }
    if (done.tried_sequence > done.durable_sequence && done.tried_sequence > bus->seen.tried_sequence) {
        cluster_persisted(bus->cluster, done.tried_sequence, false, clock_now_ms(), begin(bus));
        end(bus);
    }
    bus->seen = done;
    bus->held = (struct outbox){ 0 };
    for (size_t i = 0; i < held.count; i++) {
        struct posted *posted = &held.items[i];

        if (posted->after <= done.durable || (posted->after <= done.tried && posted->effect.kind != EFFECT_SEND)) {
            carry_out_posted(bus, posted);
        } else if (posted->after > done.tried) {
            outbox_add(&bus->held, &posted->effect, posted->after);
        } else {
            alloc_free((void *)(uintptr_t)posted->effect.data.data);
        }
    }
    alloc_free(held.items);
    return true;
}

static bool empty_outbox(struct bus *bus)
{
    struct outbox outbox;

    lock_take(&bus->lock);
    outbox = bus->outbox;
    bus->outbox = (struct outbox){ 0 };
    lock_release(&bus->lock);
    for (size_t i = 0; i < outbox.count; i++) {
        struct posted *posted = &outbox.items[i];

        if (posted->after > bus->seen.durable)
            outbox_add(&bus->held, &posted->effect, posted->after);
        else
            carry_out_posted(bus, posted);
    }
    alloc_free(outbox.items);
    return outbox.count > 0;
}

static bool report_broken(struct bus *bus)
{
    struct link *link = links_take_broken(bus->links);
    struct effects *effects;

    if (link == NULL) return false;
    effects = begin(bus);
    if (link->connecting)
        cluster_link_failed(bus->cluster, link->node, clock_now_ms(), effects);
    else
        cluster_link_closed(bus->cluster, link->id, clock_now_ms(), effects);
    end(bus);
    links_bury(bus->links, link);
    return true;
}

/* Goes on until nothing is left to do. What is done here causes more: a message that cannot be sent breaks its link, which the core
 * hears of, which may send others. Hence a loop, and no recursion. */
static void drain(struct bus *bus)
{
    if (bus->draining) return;
    bus->draining = true;
    while (empty_outbox(bus) || hear_of_saves(bus) || report_broken(bus)) share_tell(bus->share);
    bus->draining = false;
}

static void turn_ended(void *context)
{
    struct bus *bus = context;

    drain(bus);
    /* By now what tells the others is on its way. */
    claims_settle(&bus->claims, false, &bus->lock, bus->cluster);
    links_reap(bus->links);
}

/* --- What clients publish --- */

/* What is left comes in the next turn of the loop, for which it is woken, or when a link has room. */
static void publish_some(struct bus *bus)
{
    bool goes_on;
    enum publish_turn left =
        publish_turn(bus->publications, &bus->lock, bus->cluster, bus->links, clock_now_ms(), &goes_on);

    if (left == PUBLISH_MORE) ev_async_send(bus->loop, &bus->wake);
    if (goes_on && bus->events.publish_goes_on != NULL) bus->events.publish_goes_on(bus->events.context);
}

void bus_publish(struct bus *bus, bool shard, struct bytes channel, struct bytes message)
{
    bool was_empty = publish_is_empty(bus->publications);

    lock_assert_none_held();
    if (bus_is_solo(bus) || !publish_add(bus->publications, shard, channel, message)) return;
    if (was_empty) ev_async_send(bus->loop, &bus->wake);
}

bool bus_publish_must_wait(const struct bus *bus)
{
    return publish_is_long(bus->publications);
}

uint64_t bus_publish_dropped(const struct bus *bus)
{
    return publish_dropped(bus->publications);
}

static void opened(void *context, struct link *link)
{
    struct bus *bus = context;

    cluster_link_opened(bus->cluster, link->node, link->id, clock_now_ms(), begin(bus));
    end(bus);
}

static void packet(void *context, struct link *link, struct bytes message)
{
    struct bus *bus = context;

    cluster_packet(bus->cluster, link->id, message, clock_now_ms(), begin(bus));
    end(bus);
    /* Before the next message of the link: this one may close it. */
    drain(bus);
}

static bool is_member(void *context, const struct link *link)
{
    struct bus *bus = context;
    bool is;

    lock_take(&bus->lock);
    is = cluster_link_is_member(bus->cluster, link->id);
    lock_release(&bus->lock);
    return is;
}

static void drained(void *context, struct link *link)
{
    struct bus *bus = context;

    (void)link;
    if (!publish_is_empty(bus->publications)) ev_async_send(bus->loop, &bus->wake);
}

static const struct link_events link_events = {
    .opened = opened, .packet = packet, .drained = drained, .turn_ended = turn_ended, .is_member = is_member
};

static void accepted(struct listener *listener, int fd, void *context)
{
    struct bus *bus = context;
    struct link *link = links_adopt(bus->links, fd, clock_now_ms(), FIRST_WORD_MS);
    char local[46], peer[46];

    (void)listener;
    link_addresses(link, local, peer);
    begin(bus);
    cluster_link_accepted(bus->cluster, link->id, local, peer, clock_now_ms());
    end(bus);
}

static void on_tick(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct bus *bus = container_of(watcher, struct bus, tick);
    uint64_t limit = atomic_load_explicit(&bus->sendbuf_limit, memory_order_relaxed);
    int64_t now_ms = clock_now_ms();

    (void)loop;
    (void)events;
    links_tick(bus->links, now_ms);
    if (limit != 0) {
        size_t broken = links_break_over(bus->links, limit);

        if (broken != 0) atomic_fetch_add_explicit(&bus->over_limit, broken, memory_order_relaxed);
    }
    cluster_tick(bus->cluster, now_ms, begin(bus));
    share_tick(bus->share, bus->cluster, now_ms);
    end(bus);
    publish_some(bus); /* whatever it was that forgot to wake us */
    turn_ended(bus);
}

static void on_wake(struct ev_loop *loop, struct ev_async *watcher, int events)
{
    struct bus *bus = container_of(watcher, struct bus, wake);

    (void)loop;
    (void)events;
    publish_some(bus);
    turn_ended(bus);
}

/* On the mover's thread. */
static void on_saved(void *context)
{
    struct bus *bus = context;

    ev_async_send(bus->loop, &bus->wake);
}

/* On a mover: keys in slots that are nobody's. Those slots stay ours, unless somebody has them by now. */
static void keep_slots(void *context, const uint8_t *bitmap)
{
    struct bus *bus = context;
    struct effects *effects;
    struct cluster *cluster = bus_lock(bus, &effects);
    uint8_t kept[SLOT_COUNT / 8] = { 0 };

    for (uint16_t slot = 0; slot < SLOT_COUNT; slot++)
        if (cluster_slot_owner(cluster, slot) < 0)
            kept[slot / 8] = (uint8_t)(kept[slot / 8] | (bitmap[slot / 8] & 1u << (slot % 8)));
    cluster_note_keys(cluster, kept, clock_now_ms(), effects);
    bus_unlock(bus);
    bus_wake(bus);
}

/* --- Start and end --- */

struct loading {
    struct bus *bus;
    const struct cluster_options *options;
    uint64_t seed;
};

static bool accept_state(void *context, struct bytes content, char reason[256])
{
    struct loading *loading = context;

    loading->bus->cluster = cluster_load(content, loading->options, loading->seed, clock_now_ms(), reason);
    return loading->bus->cluster != NULL;
}

static bool save_and_wait(struct bus *bus)
{
    struct buf content = { 0 };
    uint64_t ticket;

    lock_take(&bus->lock);
    cluster_save(bus->cluster, &content);
    /* Within the lock, so that contents are asked for in the order they were true in. */
    ticket = state_file_submit(bus->file, &content, 0);
    lock_release(&bus->lock);
    return state_file_wait(bus->file, ticket);
}

static bool load_state(struct bus *bus, const struct bus_options *options, char error[512])
{
    struct loading loading = { .bus = bus, .options = &options->cluster };
    enum state_found found;

    bus->file = state_file_open(options->state_file, error);
    if (bus->file == NULL) return false;
    random_system(&loading.seed, sizeof loading.seed);
    found = state_file_load(bus->file, accept_state, &loading, error);
    switch (found) {
    case STATE_REFUSED:
        return false;
    case STATE_FORMER:
        log_warning("%s", error);
        break;
    case STATE_NONE:
        bus->cluster = cluster_new(&options->cluster, loading.seed, clock_now_ms());
        log_notice("No cluster configuration found, I'm %s", cluster_my_id(bus->cluster));
        break;
    case STATE_CURRENT:
        log_notice("Node configuration loaded, I'm %s", cluster_my_id(bus->cluster));
        break;
    }
    bus->share = share_new(options->state_file, bus->cluster, error);
    if (bus->share == NULL) return false;
    state_file_start(bus->file, on_saved, bus);
    /* An identity that cannot be kept would be another one after the next start. */
    if (found != STATE_CURRENT && !save_and_wait(bus)) {
        snprintf(error, 512, "Can't write the cluster state file %.300s: %s", options->state_file, strerror(errno));
        return false;
    }
    return true;
}

static bool listen_on(struct bus *bus, const char *address, uint16_t port, char error[512])
{
    bool optional = address[0] == '-';
    int fd;

    if (optional) address++;
    fd = listener_tcp(address, port, BACKLOG);
    if (fd < 0) {
        /* Optional is what the machine may not have; a port that somebody else holds is an error all the same. */
        if (optional && errno != EADDRINUSE && errno != EACCES) return true;
        snprintf(error, 512, "Could not create the cluster bus listening socket %.200s:%u: bind: %s", address, port,
                 strerror(errno));
        return false;
    }
    listener_start(&bus->listeners[bus->listener_count++], bus->loop, fd, false, accepted, bus);
    return true;
}

static bool listen_everywhere(struct bus *bus, const struct bus_options *options, char error[512])
{
    static const char *const everywhere[] = { "*", "-::*" };
    const char *const *bind = options->bind_count > 0 ? options->bind : everywhere;
    int count = options->bind_count > 0 ? options->bind_count : 2;

    for (int i = 0; i < count && bus->listener_count < LISTENERS_MAX; i++)
        if (!listen_on(bus, bind[i], options->port, error)) return false;
    if (bus->listener_count > 0) return true;
    snprintf(error, 512, "The cluster bus found no address to listen on, port %u", options->port);
    return false;
}

struct bus *bus_new(struct ev_loop *loop, struct keyspace *keyspace, const struct bus_options *options, char error[512])
{
    struct bus *bus = alloc_zeroed(sizeof *bus);

    error[0] = '\0';
    bus->loop = loop;
    bus->keyspace = keyspace;
    bus->events = options->events;
    bus->publications = publish_queue_new();
    atomic_store(&bus->node_timeout_ms, options->cluster.node_timeout_ms);
    atomic_store(&bus->sendbuf_limit, options->link_sendbuf_limit);
    bus->links = links_new(loop, &link_events, bus);
    ev_async_init(&bus->wake, on_wake);
    ev_async_start(loop, &bus->wake);
    ev_timer_init(&bus->tick, on_tick, TICK_SECONDS, TICK_SECONDS);
    ev_timer_start(loop, &bus->tick);
    claims_init(&bus->claims);
    bus->sweep = sweep_new(keyspace, options->movers, options->lazyfree);
    bus->recount = recount_new(keyspace, options->movers, keep_slots, bus);

    if (!load_state(bus, options, error) || !listen_everywhere(bus, options, error)) {
        bus_free(&bus);
        return NULL;
    }
    bus->was_solo = cluster_is_solo(bus->cluster);
    cluster_announce_all(bus->cluster, begin(bus));
    end(bus);
    ev_async_send(loop, &bus->wake);
    return bus;
}

void bus_free(struct bus **bus_pointer)
{
    struct bus *bus = *bus_pointer;

    *bus_pointer = NULL;
    if (bus == NULL) return;
    for (int i = 0; i < bus->listener_count; i++) listener_stop(&bus->listeners[i]);
    ev_timer_stop(bus->loop, &bus->tick);
    recount_free(&bus->recount);
    sweep_free(&bus->sweep);
    share_free(&bus->share, &bus->lock, bus->cluster);
    if (bus->file != NULL && bus->cluster != NULL && !save_and_wait(bus))
        log_warning("the cluster state could not be saved at the end: %s", strerror(errno));
    state_file_close(&bus->file);
    ev_async_stop(bus->loop, &bus->wake);
    links_free(&bus->links);
    outbox_free(&bus->outbox);
    outbox_free(&bus->held);
    publish_queue_free(&bus->publications);
    if (bus->cluster != NULL) cluster_free(&bus->cluster);
    effects_free(&bus->effects);
    for (size_t i = 0; i < bus->endpoint_count; i++) alloc_free(bus->endpoints[i]);
    alloc_free(bus->endpoints);
    alloc_free(bus);
}

/* --- For the workers --- */

struct cluster *bus_lock(struct bus *bus, struct effects **effects)
{
    *effects = begin(bus);
    return bus->cluster;
}

void bus_unlock(struct bus *bus)
{
    carry_out(bus);
    if (bus->outbox.count > 0) atomic_store_explicit(&bus->wake_owed, true, memory_order_relaxed);
    lock_release(&bus->lock);
}

void bus_wake(struct bus *bus)
{
    if (!atomic_load_explicit(&bus->wake_owed, memory_order_relaxed)) return;
    if (atomic_exchange(&bus->wake_owed, false)) ev_async_send(bus->loop, &bus->wake);
}

bool bus_state_ok(const struct bus *bus)
{
    return atomic_load_explicit(&bus->state_ok, memory_order_acquire);
}

bool bus_is_solo(const struct bus *bus)
{
    return atomic_load_explicit(&bus->solo, memory_order_acquire);
}

bool bus_claim_is_settled(struct bus *bus, struct bus_claim *claim)
{
    bool is;

    lock_take(&bus->lock);
    is = claim_is_settled(claim, bus->cluster);
    lock_release(&bus->lock);
    return is;
}

bool bus_await_claim(struct bus *bus, struct bus_claim *claim)
{
    return claims_add(&bus->claims, claim, &bus->lock, bus->cluster);
}

void bus_end_claims(struct bus *bus)
{
    claims_settle(&bus->claims, true, &bus->lock, bus->cluster);
}

struct graveyard *bus_take_lost_keys(struct bus *bus, struct slot *slot)
{
    return sweep_take(bus->sweep, slot);
}

void bus_endpoint(struct bus *bus, uint16_t node, char endpoint[256], uint16_t *port)
{
    endpoint[0] = '\0';
    *port = 0;
    lock_take(&bus->endpoints_lock);
    if (node < bus->endpoint_count && bus->endpoints[node] != NULL) {
        memcpy(endpoint, bus->endpoints[node]->text, sizeof bus->endpoints[node]->text);
        *port = bus->endpoints[node]->port;
    }
    lock_release(&bus->endpoints_lock);
}

void bus_configure(struct bus *bus, const struct cluster_options *options)
{
    struct effects *effects;
    struct cluster *cluster = bus_lock(bus, &effects);

    atomic_store_explicit(&bus->node_timeout_ms, options->node_timeout_ms, memory_order_relaxed);
    cluster_configure(cluster, options, effects);
    /* Whatever the core makes of it: how endpoints are named may have changed. */
    publish_endpoints(bus);
    bus_unlock(bus);
    bus_wake(bus);
}

void bus_set_link_sendbuf_limit(struct bus *bus, uint64_t limit)
{
    atomic_store_explicit(&bus->sendbuf_limit, limit, memory_order_relaxed);
}

bool bus_save_now(struct bus *bus)
{
    return save_and_wait(bus);
}

uint64_t bus_save_failures(struct bus *bus)
{
    return state_file_done(bus->file).failures;
}

uint64_t bus_links_over_limit(const struct bus *bus)
{
    return atomic_load_explicit(&bus->over_limit, memory_order_relaxed);
}

/* Links that have no node yet are left out, as tools expect. */
size_t bus_links(struct bus *bus, struct bus_link_info *out, size_t max)
{
    struct cluster_node_info node;
    size_t count = 0;

    lock_take(&bus->lock);
    for (size_t n = 0; cluster_node_at(bus->cluster, n, &node); n++) {
        const cluster_link ids[2] = { node.outbound, node.inbound };

        for (int i = 0; i < 2; i++) {
            struct link_numbers numbers;

            if (ids[i] == 0 || !links_info(bus->links, ids[i], &numbers)) continue;
            if (count < max) {
                struct bus_link_info *info = &out[count];

                *info = (struct bus_link_info){
                    .outbound = i == 0,
                    .created_ms = numbers.created_ms,
                    .reads = true,
                    .writes = numbers.send_used > 0,
                    .send_allocated = numbers.send_allocated,
                    .send_used = numbers.send_used,
                };
                memcpy(info->node, node.id, sizeof info->node);
            }
            count++;
        }
    }
    lock_release(&bus->lock);
    return count;
}
