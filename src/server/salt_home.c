#include "server/salt_home_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "bus/bus.h"
#include "cache/hot_reads.h"
#include "salt/copies.h"
#include "server/call.h"
#include "server/salt_peer.h"
#include "server/worker_internal.h"

#include <string.h>

/* The bases of a slot, hung on it as one feed; under the slot's lock. */
struct watched {
    struct slot_feed feed;
    struct salt_home *host;
    struct slot *slot;
    size_t count, cap;
    struct watched_base {
        struct bytes key; /* owned */
        uint64_t hash;
        struct salt_share_counts counts; /* since somebody asked */
        uint64_t lockless;               /* reads that took no lock, as they were counted then */
    } * bases;
};

/* A reply that waits: for one word of home for each of its bases, and for who is still asking. */
struct waiting {
    struct list link; /* of the host, under its lock */
    struct withheld *withheld;
    _Atomic uint32_t left;
    int64_t since_us;
};

/* The thread's: what the command that runs has changed. NULL: nobody asks. The store is written to at depths that know of no command. */
static _Thread_local struct salt_notes *notes_of_thread;

static int64_t load_ms(const _Atomic int64_t *ms)
{
    return atomic_load_explicit(ms, memory_order_relaxed);
}

static struct home_options options_of(const struct salt_home *host)
{
    const struct node *node = host->node;
    int64_t asked_ms = config_int(node->config, salt_lease_ms), limit_ms = load_ms(&host->lease_limit_ms);

    return (struct home_options){ .lease_ms = asked_ms < limit_ms ? asked_ms : limit_ms,
                                  .longest_ms = load_ms(&host->lease_longest_ms),
                                  .sync = config_int(node->config, salt_sync) != 0 };
}

/* --- What the core has to be told before anything else --- */

enum home_slot salt_home_slot_state(uint64_t word)
{
    struct owner owner = owner_unpack(word);

    if (owner.state == OWNER_HERE) return (owner.flags & OWNER_MIGRATING) != 0 ? HOME_SLOT_LEAVING : HOME_SLOT_HERE;
    return (owner.flags & OWNER_IMPORTING) != 0 ? HOME_SLOT_ARRIVING : HOME_SLOT_ELSEWHERE;
}

/* It serves all slots then, and nobody has heard of it. */
static bool is_alone(const struct node *node)
{
    return node->bus == NULL || bus_is_solo(node->bus);
}

static void tell_slot(struct salt_home *host, uint16_t slot, uint64_t word, int64_t now_ms)
{
    bool is_or_was_here;

    if (host->told[slot] == word) return;
    is_or_was_here = owner_unpack(host->told[slot]).state == OWNER_HERE || owner_unpack(word).state == OWNER_HERE;
    host->told[slot] = word;
    if (is_or_was_here && !is_alone(host->node))
        atomic_store_explicit(&host->was_here[slot], true, memory_order_relaxed);
    home_slot(host->core, slot, salt_home_slot_state(word), now_ms, &host->effects);
}

static void tell_cluster(struct salt_home *host, int64_t now_ms)
{
    const struct bus *bus = host->node->bus;

    home_cluster(host->core, bus == NULL || bus_state_ok(bus), now_ms, &host->effects);
}

static void note_effects(struct salt_home *host)
{
    if (host->effects.count > 0) atomic_store_explicit(&host->has_effects, true, memory_order_relaxed);
}

int64_t salt_home_lock(struct salt_home *host)
{
    lock_take(&host->lock);
    return clock_now_ms(); /* after it: what was said before is told with an earlier time */
}

void salt_home_unlock(struct salt_home *host)
{
    note_effects(host);
    lock_release(&host->lock);
}

/* --- Effects --- */

static void let_one_go(struct salt_home *host, struct waiting *waiting)
{
    if (atomic_fetch_sub_explicit(&waiting->left, 1, memory_order_acq_rel) > 1) return;
    lock_take(&host->lock);
    list_remove(&waiting->link);
    lock_release(&host->lock);
    if (waiting->withheld != NULL) {
        histogram_add(&host->withheld_us, (uint64_t)(clock_monotonic_us() - waiting->since_us));
        withheld_release(waiting->withheld);
    }
    alloc_free(waiting);
}

/* What VALUE says of an entry; a big one is held rather than copied. False: it is too long to be a copy. */
static bool read_value(const struct entry *entry, int64_t now_ms, struct salt_value *value, char **copy)
{
    int64_t expires_at_ms = entry_expires_at_ms(entry);
    struct bytes bytes = entry_value(entry);

    if (bytes.len > COPY_VALUE_BYTES_MAX) return false;
    value->ttl_ms = expires_at_ms == ENTRY_KEEPS_FOREVER ? -1 : expires_at_ms > now_ms ? expires_at_ms - now_ms : 0;
    value->attributes = entry_attributes(entry);
    if (entry_is_big(entry)) {
        entry_hold(entry);
        value->value = bytes;
        return true;
    }
    *copy = alloc(bytes.len + 1);
    memcpy(*copy, bytes.data, bytes.len);
    value->value = (struct bytes){ *copy, bytes.len };
    return true;
}

static void send_value(struct salt_home *host, const struct home_target *target, struct bytes base,
                       const struct salt_value *value)
{
    struct salt_message message = {
        .word = SALT_VALUE, .base = base, .join = target->join, .seq = target->seq, .epoch = target->epoch
    };

    if (!target->sum) {
        if (value != NULL) salt_peers_send(host->peers, target->link, &message, value);
        return;
    }
    /* A sum may begin where there is no key. */
    message.absent = value == NULL;
    if (value != NULL && !bytes_to_i64(value->value, &message.total)) return;
    message.word = SALT_TOTAL;
    salt_peers_send(host->peers, target->link, &message, NULL);
}

static void push(struct salt_home *host, struct bytes base)
{
    struct home_target *targets = alloc(HOME_HELPERS_MAX * sizeof(*targets));
    struct slot *slot = keyspace_slot(host->node->keyspace, key_slot(base));
    struct salt_value value = { .ttl_ms = -1 };
    const struct entry *entry, *held = NULL;
    size_t count;
    char *copy = NULL;
    int64_t now_ms;
    bool is_there, is_sent;

    slot_lock(slot);
    entry = slot_peek(slot, base, clock_now_ms());
    is_there = entry != NULL;
    is_sent = !is_there || read_value(entry, clock_now_ms(), &value, &copy);
    if (is_there && is_sent && copy == NULL) held = entry;
    now_ms = salt_home_lock(host);
    /* Also where nothing is sent: it is pushed again at its next change. */
    count = home_push(host->core, base, now_ms, targets);
    salt_home_unlock(host);
    slot_unlock(slot);
    if (!is_sent) count = 0;
    for (size_t i = 0; i < count; i++) send_value(host, &targets[i], base, is_there ? &value : NULL);
    if (held != NULL) {
        struct entry *owned = (struct entry *)(uintptr_t)held;

        entry_free(&owned);
    }
    alloc_free(copy);
    alloc_free(targets);
}

static void carry_out_one(struct salt_home *host, const struct salt_effect *effect)
{
    switch (effect->kind) {
    case SALT_SEND:
        salt_peers_send(host->peers, effect->link, &effect->message, NULL);
        return;
    case SALT_CLOSE:
        salt_peers_close(host->peers, effect->link);
        return;
    case SALT_PUSH:
        push(host, effect->message.base);
        return;
    case SALT_RELEASE:
        let_one_go(host, (struct waiting *)(uintptr_t)effect->ticket);
        return;
    case SALT_CONNECT:
    case SALT_DISCONNECT:
    case SALT_DROP:
        return; /* a helper's */
    }
}

static __attribute__((cold, noinline)) void carry_out(struct salt_home *host)
{
    lock_take(&host->lock);
    if (host->is_carrying) { /* and looks again when it is done with what it has */
        lock_release(&host->lock);
        return;
    }
    host->is_carrying = true;
    while (host->effects.count > 0) {
        struct salt_effects taken = host->effects;

        host->effects = (struct salt_effects){ 0 };
        lock_release(&host->lock);
        for (size_t i = 0; i < taken.count; i++) carry_out_one(host, &taken.items[i]);
        salt_effects_free(&taken);
        lock_take(&host->lock);
    }
    host->is_carrying = false;
    atomic_store_explicit(&host->has_effects, false, memory_order_relaxed);
    lock_release(&host->lock);
}

static inline void carry_out_any(struct salt_home *host)
{
    if (atomic_load_explicit(&host->has_effects, memory_order_relaxed)) carry_out(host);
}

/* --- What changes --- */

static struct watched_base *find_watched(struct watched *watched, uint64_t hash)
{
    for (size_t i = 0; watched != NULL && i < watched->count; i++)
        if (watched->bases[i].hash == hash) return &watched->bases[i];
    return NULL;
}

static void note_base(struct salt_notes *notes, struct bytes base)
{
    char *copy;

    for (size_t i = 0; i < notes->count; i++)
        if (bytes_equal(notes->items[i].base, base)) return;
    if (notes->count == notes->cap) {
        notes->cap = notes->cap == 0 ? 4 : notes->cap * 2;
        notes->items = alloc_resize(notes->items, notes->cap * sizeof(*notes->items));
    }
    copy = alloc(base.len + 1);
    memcpy(copy, base.data, base.len);
    notes->items[notes->count++].base = (struct bytes){ copy, base.len };
}

/* Does what the command leaves of a sum have in it what was there? So that what others have added by then belongs to it, too. */
static bool goes_on_with_the_sum(const struct command *command)
{
    static const char *const names[] = { "incr",    "decr",     "incrby",    "decrby",  "expire",
                                         "pexpire", "expireat", "pexpireat", "persist", "getex" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(command->name, names[i]) == 0) return true;
    return false;
}

static enum home_change kind_of(const struct salt_notes *notes)
{
    return notes != NULL && (notes->call == NULL || goes_on_with_the_sum(notes->command)) ? HOME_ADDED : HOME_CHANGED;
}

int64_t salt_home_lock_told(struct salt_home *host, const struct slot *slot)
{
    int64_t now_ms = salt_home_lock(host);

    tell_cluster(host, now_ms);
    tell_slot(host, slot_id(slot), slot_owner(slot), now_ms);
    return now_ms;
}

static void note_change(struct slot_feed *feed, struct bytes key, uint64_t hash, enum home_change kind)
{
    struct watched *watched = container_of(feed, struct watched, feed);
    struct salt_home *host = watched->host;
    struct salt_notes *notes = notes_of_thread;
    struct watched_base *base = find_watched(watched, hash);
    int64_t now_ms;
    bool must_wait;

    if (base == NULL) return;
    base->counts.writes++;
    now_ms = salt_home_lock_told(host, watched->slot);
    must_wait = home_changed(host->core, key, kind, now_ms, &host->effects);
    salt_home_unlock(host);
    if (must_wait && notes != NULL) note_base(notes, key);
}

static void key_changed(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    note_change(feed, key, hash, kind_of(notes_of_thread));
}

/* Also the one that has expired, and that a command finds which adds. */
static void key_removed(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    note_change(feed, key, hash, HOME_CHANGED);
}

static void all_flushed(struct slot_feed *feed)
{
    struct watched *watched = container_of(feed, struct watched, feed);
    struct salt_home *host = watched->host;
    struct salt_notes *notes = notes_of_thread;
    int64_t now_ms = salt_home_lock_told(host, watched->slot);
    bool must_wait = home_flushed(host->core, slot_id(watched->slot), now_ms, &host->effects);

    salt_home_unlock(host);
    for (size_t i = 0; must_wait && notes != NULL && i < watched->count; i++) note_base(notes, watched->bases[i].key);
}

static void watch(struct salt_home *host, struct bytes base)
{
    uint16_t id = key_slot(base);
    struct slot *slot = keyspace_slot(host->node->keyspace, id);
    struct watched *watched, *fresh = alloc_zeroed(sizeof(*fresh));
    uint64_t hash = slot_hash(base);
    char *copy = alloc(base.len + 1);

    memcpy(copy, base.data, base.len);
    slot_lock(slot);
    watched = host->watched[id];
    if (watched == NULL) {
        watched = host->watched[id] = fresh;
        fresh = NULL;
        watched->host = host;
        watched->slot = slot;
        watched->feed.changed = key_changed;
        watched->feed.removed = key_removed;
        watched->feed.flushed = all_flushed;
    }
    if (find_watched(watched, hash) == NULL) {
        if (watched->count == 0) slot_feed_attach(slot, &watched->feed);
        if (watched->count == watched->cap) {
            watched->cap = watched->cap == 0 ? 2 : watched->cap * 2;
            watched->bases = alloc_resize(watched->bases, watched->cap * sizeof(*watched->bases));
        }
        watched->bases[watched->count++] = (struct watched_base){ .key = { copy, base.len }, .hash = hash };
        copy = NULL;
    }
    slot_unlock(slot);
    alloc_free(copy);
    alloc_free(fresh);
}

void salt_home_salted(struct salt_home *host, struct bytes base, bool sum)
{
    const struct slot *slot = keyspace_slot(host->node->keyspace, key_slot(base));
    int64_t now_ms;

    watch(host, base);
    now_ms = salt_home_lock_told(host, slot);
    home_salted(host->core, base, sum, now_ms, &host->effects);
    salt_home_unlock(host);
    carry_out_any(host);
}

/* The feed stays: there may be copies for a lease yet, and who was salted once is likely to be again. */
void salt_home_unsalted(struct salt_home *host, struct bytes base)
{
    int64_t now_ms = salt_home_lock(host);

    home_unsalted(host->core, base, now_ms, &host->effects);
    salt_home_unlock(host);
    carry_out_any(host);
}

void salt_home_owner_changed(struct salt_home *host, uint16_t slot, uint64_t word)
{
    int64_t now_ms = salt_home_lock(host);

    tell_slot(host, slot, word, now_ms);
    salt_home_unlock(host); /* what it caused is carried out at the next tick */
}

bool salt_home_was_here(const struct salt_home *host, uint16_t slot)
{
    return atomic_load_explicit(&host->was_here[slot], memory_order_relaxed);
}

/* Asks the core about a key, with its slot locked. */
static bool ask(struct salt_home *host, struct bytes key, bool (*may)(struct home *, struct bytes, int64_t))
{
    const struct slot *slot = keyspace_slot(host->node->keyspace, key_slot(key));
    int64_t now_ms;
    bool answer;

    /* Sent away on its own, to whatever node: it is deleted here as by anybody. */
    if (salt_home_slot_state(slot_owner(slot)) == HOME_SLOT_HERE) return true;
    now_ms = salt_home_lock_told(host, slot);
    answer = may(host->core, key, now_ms);
    salt_home_unlock(host);
    return answer;
}

bool salt_home_may_leave(struct salt_home *host, struct bytes key)
{
    return ask(host, key, home_may_leave);
}

bool salt_home_may_be_sent(struct salt_home *host, struct bytes key)
{
    return ask(host, key, home_may_be_sent);
}

void salt_home_tick(struct salt_home *host)
{
    int64_t now_ms = salt_home_lock(host);

    tell_cluster(host, now_ms);
    home_tick(host->core, now_ms, &host->effects);
    salt_home_unlock(host);
    carry_out_any(host);
}

/* --- Around a command --- */

bool salt_home_watches(const struct salt_home *host, const struct slot *slot)
{
    slot_assert_locked(slot);
    return host->watched[slot_id(slot)] != NULL;
}

void salt_home_begin(struct salt_notes *notes, struct call *call)
{
    *notes =
        (struct salt_notes){ .outer = notes_of_thread, .call = call, .command = call != NULL ? call->command : NULL };
    notes_of_thread = notes;
}

void salt_home_goes_on_with(const struct command *command)
{
    if (notes_of_thread != NULL) notes_of_thread->command = command;
}

void salt_home_end_notes(struct salt_notes *notes)
{
    notes_of_thread = notes->outer;
    if (notes->items == NULL) return;
    for (size_t i = 0; i < notes->count; i++) alloc_free((void *)(uintptr_t)notes->items[i].base.data);
    alloc_free(notes->items);
}

static void withhold(struct salt_home *host, const struct salt_notes *notes)
{
    struct waiting *waiting = alloc_zeroed(sizeof(*waiting));
    int64_t now_ms;

    waiting->since_us = clock_monotonic_us();
    atomic_init(&waiting->left, 1); /* until all have been asked */
    now_ms = salt_home_lock(host);
    list_append(&host->waiting, &waiting->link);
    for (size_t i = 0; i < notes->count; i++)
        if (home_withhold(host->core, notes->items[i].base, (uint64_t)(uintptr_t)waiting, now_ms))
            atomic_fetch_add_explicit(&waiting->left, 1, memory_order_relaxed);
    /* Nobody else reads this before all of them have been released, the last of which may be the one below. */
    if (atomic_load_explicit(&waiting->left, memory_order_relaxed) > 1)
        waiting->withheld = client_withhold(notes->call->client);
    salt_home_unlock(host);
    let_one_go(host, waiting);
}

void salt_home_settle(struct salt_notes *notes)
{
    struct call *call = notes->call;
    struct salt_home *host = call->node->salt_home;

    carry_out_any(host);
    if (__builtin_expect(notes->count == 0, 1)) {
        salt_home_end_notes(notes);
        return;
    }
    /* What is to run again, or is answered by another thread, has changed nothing but what had expired. */
    if (!call->waits && call->parked == NULL) withhold(host, notes);
    salt_home_end_notes(notes);
}

void salt_home_deliver(struct node *node)
{
    if (node->salt_home != NULL) carry_out_any(node->salt_home);
}

/* --- How often --- */

void salt_home_count_reads(struct salt_home *host, const struct slot *slot, uint64_t hash, uint64_t reads)
{
    struct watched_base *base = find_watched(host->watched[slot_id(slot)], hash);

    slot_assert_locked(slot);
    if (base != NULL) base->counts.reads += reads;
}

/* Of a key that was not hot for a while they begin anew. */
static uint64_t take_lockless(struct salt_home *host, const struct slot *slot, struct watched_base *base)
{
    uint64_t before = base->lockless;

    base->lockless = hot_reads_hits(host->node->hot_reads, slot, base->hash);
    return base->lockless < before ? base->lockless : base->lockless - before;
}

struct salt_share_counts salt_home_take_counts(struct salt_home *host, struct bytes key)
{
    struct slot *slot = keyspace_slot(host->node->keyspace, key_slot(key));
    struct salt_share_counts counts = { 0 };
    struct watched_base *base;

    slot_lock(slot);
    base = find_watched(host->watched[slot_id(slot)], slot_hash(key));
    if (base != NULL) {
        counts = base->counts;
        counts.reads += take_lockless(host, slot, base);
        base->counts = (struct salt_share_counts){ 0 };
    }
    slot_unlock(slot);
    return counts;
}

/* No more than a node can have answered since it said so last: what it says is believed to decide nothing but who is told of it. */
#define READS_MAX ((uint64_t)1 << 32)

static void reads_elsewhere(struct salt_home *host, const struct salt_message *message)
{
    struct slot *slot = keyspace_slot(host->node->keyspace, key_slot(message->base));
    struct watched_base *base;

    slot_lock(slot);
    base = find_watched(host->watched[slot_id(slot)], slot_hash(message->base));
    if (base != NULL) base->counts.reads_elsewhere += message->number < READS_MAX ? message->number : READS_MAX;
    slot_unlock(slot);
}

/* --- SALTLINK --- */

bool salt_home_message(struct call *call, const struct salt_message *message, const char **error)
{
    struct salt_home *host = call->node->salt_home;
    struct client *client = call->client;
    salt_link link;
    int64_t now_ms;

    if (client->salt_peer == NULL && message->word != SALT_HELLO) {
        *error = "ERR SALTLINK HELLO comes first";
        return false;
    }
    if (salt_peers_add(host->peers, client) == NULL) {
        *error = "ERR too many helpers";
        return false;
    }
    link = salt_peer_link(client->salt_peer);
    if (message->word == SALT_FOLD) {
        salt_home_fold(host, link, message, call->now_ms);
    } else if (message->word == SALT_READS) {
        reads_elsewhere(host, message);
    } else {
        now_ms = salt_home_lock(host);
        tell_cluster(host, now_ms);
        home_message(host->core, link, message, now_ms, &host->effects);
        salt_home_unlock(host);
    }
    carry_out_any(host);
    return true;
}

void salt_home_client_closed(struct client *client)
{
    struct salt_home *host = client->worker->node->salt_home;
    salt_link link = salt_peer_link(client->salt_peer);
    int64_t now_ms;

    salt_peers_remove(host->peers, &client->salt_peer);
    now_ms = salt_home_lock(host);
    home_link_closed(host->core, link, now_ms, &host->effects);
    salt_home_unlock(host);
}

/* --- The whole --- */

/* A node that knows others at its start was one of theirs before, with whatever slots. */
static bool has_a_past(struct node *node)
{
    struct effects *effects;
    bool has;

    if (node->bus == NULL) return false;
    has = cluster_node_count(bus_lock(node->bus, &effects)) > 1;
    bus_unlock(node->bus);
    return has;
}

struct salt_home *salt_home_new(struct node *node)
{
    struct salt_home *host = alloc_zeroed(sizeof(*host));
    struct home_options options;
    bool was_here = has_a_past(node); /* else it is alone, and of no slot's owner has anybody heard */
    int64_t now_ms = clock_now_ms();

    host->node = node;
    atomic_init(&host->lease_limit_ms, SALT_LEASE_ASSUMED_MS);
    atomic_init(&host->lease_longest_ms, SALT_LEASE_ASSUMED_MS);
    options = options_of(host);
    host->peers = salt_peers_new();
    list_init(&host->waiting);
    host->core = home_new(&options, (uint64_t)clock_wall_us(), now_ms);
    for (uint32_t id = 0; id < SLOT_COUNT; id++) {
        host->told[id] = slot_owner(keyspace_slot(node->keyspace, (uint16_t)id));
        atomic_init(&host->was_here[id], was_here);
        home_slot(host->core, (uint16_t)id, salt_home_slot_state(host->told[id]), now_ms, &host->effects);
    }
    return host;
}

void salt_home_configure(struct salt_home *host)
{
    struct home_options options;

    lock_take(&host->lock);
    options = options_of(host);
    home_configure(host->core, &options);
    lock_release(&host->lock);
}

void salt_home_set_leases(struct salt_home *host, int64_t limit_ms, int64_t longest_ms)
{
    if (load_ms(&host->lease_limit_ms) == limit_ms && load_ms(&host->lease_longest_ms) == longest_ms) return;
    atomic_store_explicit(&host->lease_limit_ms, limit_ms, memory_order_relaxed);
    atomic_store_explicit(&host->lease_longest_ms, longest_ms, memory_order_relaxed);
    salt_home_configure(host);
}

void salt_home_end(struct salt_home *host)
{
    lock_take(&host->lock);
    while (!list_is_empty(&host->waiting)) {
        struct waiting *waiting = container_of(host->waiting.next, struct waiting, link);

        list_remove(&waiting->link);
        lock_release(&host->lock);
        if (waiting->withheld != NULL) withheld_release(waiting->withheld);
        alloc_free(waiting);
        lock_take(&host->lock);
    }
    lock_release(&host->lock);
}

void salt_home_free(struct salt_home **held)
{
    struct salt_home *host = *held;

    if (host == NULL) return;
    for (uint32_t id = 0; id < SLOT_COUNT; id++) {
        struct watched *watched = host->watched[id];

        if (watched == NULL) continue;
        slot_lock(watched->slot);
        slot_feed_detach(watched->slot, &watched->feed);
        slot_unlock(watched->slot);
        for (size_t i = 0; i < watched->count; i++) alloc_free((void *)(uintptr_t)watched->bases[i].key.data);
        alloc_free(watched->bases);
        alloc_free(watched);
    }
    salt_effects_free(&host->effects);
    home_free(&host->core);
    salt_peers_free(&host->peers);
    alloc_free(host);
    *held = NULL;
}

void salt_home_info(struct salt_home *host, struct salt_home_info *out)
{
    lock_take(&host->lock);
    out->core = home_stats(host->core);
    out->lease_ms = options_of(host).lease_ms;
    out->longest_ms = load_ms(&host->lease_longest_ms);
    lock_release(&host->lock);
    out->withheld_us_p50 = histogram_percentile(&host->withheld_us, 50);
    out->withheld_us_p99 = histogram_percentile(&host->withheld_us, 99);
}

void salt_home_each_helper(struct salt_home *host, struct bytes base,
                           void (*each)(void *context, const char *node_id, bool linked, enum home_holding holding),
                           void *context)
{
    lock_take(&host->lock);
    home_each_helper(host->core, base, each, context);
    lock_release(&host->lock);
}
