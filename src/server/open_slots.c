/* server/open_slots.c: see open_slots.h for what it is for. */
#include "server/open_slots.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "cache/fill.h"
#include "cluster/owner.h"
#include "server/migrate.h"
#include "server/node.h"
#include "store/account.h"
#include "store/lazyfree.h"
#include "transfer/slot_peer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* How often it looks: with a short timeout more often. */
#define LOOK_MS_MAX 1000
#define LOOK_MS_MIN 50
/* And for strays, for which it looks at all slots. */
#define STRAYS_MS_MAX 10000
/* What cannot be done yet is looked at again after so long. */
#define AGAIN_MS 5000
/* What the other end has for each answer; also for saying that it owns the slot, which it says when that is on its disk. */
#define ANSWER_MS 5000
/* A failure is logged so often at most. */
#define COMPLAIN_MS 60000

struct open_slots {
    struct node *node;
    struct migration_site site;
    pthread_t thread;
    bool has_thread;     /* the main thread's */
    _Atomic bool ending; /* changed under the guard, read without it too */
    pthread_mutex_t guard;
    pthread_cond_t called;
    _Atomic uint64_t finished, closed, keys_sent, keys_returned, keys_dropped, failures; /* the thread's to change */

    /* the thread's own */
    int64_t complained_ms, strays_ms;  /* monotonic; when it did so last */
    char silent_id[NODE_ID_BYTES + 1]; /* in this round; "": all have answered */
};

/* A slot that is worked on. */
struct errand {
    struct open_slots *slots;
    int64_t idle_ms;
    struct slot *slot;
    struct open_slot open;
    char my_id[NODE_ID_BYTES + 1];
    char port[8], user[256], password[1024]; /* of address */
    struct slot_peer peer;
    uint64_t keys; /* here, at the beginning */
    int64_t began_ms;
};

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static bool is_ending(const struct open_slots *slots)
{
    return atomic_load_explicit(&slots->ending, memory_order_relaxed);
}

static uint16_t id_of(const struct errand *errand)
{
    return errand->peer.slot;
}

/* --- What is known of it --- */

/* As for other links of the node to its own kind: masterauth, or else what it asks of others itself. */
static void give_address(struct errand *errand)
{
    struct config *config = errand->slots->node->config;
    struct target_address *address = &errand->peer.address;

    snprintf(errand->port, sizeof(errand->port), "%u", errand->open.other.port);
    /* A text that does not fit is no password that anybody would accept. */
    if (!config_text_copy(config, CONFIG_MASTERUSER, errand->user, sizeof(errand->user))) errand->user[0] = '\0';
    if (!config_text_copy(config, CONFIG_MASTERAUTH, errand->password, sizeof(errand->password)))
        errand->password[0] = '\0';
    if (errand->password[0] == '\0') {
        errand->user[0] = '\0';
        if (!config_text_copy(config, CONFIG_REQUIREPASS, errand->password, sizeof(errand->password)))
            errand->password[0] = '\0';
    }
    *address = (struct target_address){ .host = bytes_of(errand->open.other.ip),
                                        .port = bytes_of(errand->port),
                                        .user = bytes_of(errand->user),
                                        .password = bytes_of(errand->password),
                                        .has_user = errand->user[0] != '\0',
                                        .has_password = errand->password[0] != '\0' };
}

/* Does it still stand open as it did, and nobody works on it? */
static bool is_still_so(const struct errand *errand, const struct cluster *cluster)
{
    struct open_slot now;

    return cluster_open_slot(cluster, id_of(errand), errand->idle_ms, clock_now_ms(), &now) &&
           now.leaves == errand->open.leaves && now.other.index == errand->open.other.index;
}

static bool may_go_on(const struct errand *errand)
{
    struct bus *bus = errand->slots->node->bus;
    struct effects *effects;
    bool may = is_still_so(errand, bus_lock(bus, &effects));

    bus_unlock(bus);
    return may && !is_ending(errand->slots);
}

/* --- What is done here, under the locks that commands do it under --- */

enum change { CHANGE_CLOSE, CHANGE_GIVE, CHANGE_TAKE };

/* Only where it is as it was. A key in flight is still here. */
static bool change_here(const struct errand *errand, enum change change)
{
    struct node *node = errand->slots->node;
    struct slot *slot = errand->slot;
    struct graveyard *lost = NULL;
    struct effects *effects;
    struct cluster *cluster;
    cluster_error error = "";
    int64_t now_ms = clock_now_ms();
    bool done = false;
    uint64_t keys;

    slot_lock(slot);
    keys = slot_counts(slot).keys + slot_has_keys_in_flight(slot);
    cluster = bus_lock(node->bus, &effects);
    if (is_still_so(errand, cluster)) {
        switch (change) {
        case CHANGE_CLOSE:
            cluster_setslot_stable(cluster, id_of(errand), now_ms, effects, error);
            break;
        case CHANGE_GIVE:
            cluster_setslot_node(cluster, id_of(errand), bytes_of(errand->open.other.id), keys, now_ms, effects, error);
            break;
        case CHANGE_TAKE:
            cluster_setslot_node(cluster, id_of(errand), bytes_of(errand->my_id), keys, now_ms, effects, error);
            break;
        }
        done = error[0] == '\0';
    }
    bus_unlock(node->bus);
    if (done && change == CHANGE_TAKE) {
        fills_slot_came(node->fills, id_of(errand), now_ms);
        lost = bus_take_lost_keys(node->bus, slot);
    }
    slot_unlock(slot);
    if (lost != NULL) lazyfree_bury(node->lazyfree, &lost);
    bus_wake(node->bus);
    return done;
}

static void hand_over(const struct errand *errand, unsigned slot)
{
    struct bus *bus = errand->slots->node->bus;
    struct effects *effects;

    cluster_hand_over(bus_lock(bus, &effects), slot);
    bus_unlock(bus);
}

/* From here on until hand_over(SLOT_COUNT) nobody closes it: the target may become its owner at any moment. */
static bool begin_to_hand_over(const struct errand *errand)
{
    struct bus *bus = errand->slots->node->bus;
    struct effects *effects;
    struct cluster *cluster;
    bool may;

    slot_lock(errand->slot);
    cluster = bus_lock(bus, &effects);
    may = is_still_so(errand, cluster) && slot_counts(errand->slot).keys == 0 && !slot_has_keys_in_flight(errand->slot);
    if (may) cluster_hand_over(cluster, id_of(errand));
    bus_unlock(bus);
    slot_unlock(errand->slot);
    return may;
}

/* --- Steps; false: failed, or somebody works on it --- */

static void complain(struct errand *errand, const char *what, const char *error)
{
    struct open_slots *slots = errand->slots;
    int64_t now_ms = clock_monotonic_ms();

    count(&slots->failures, 1);
    if (slots->complained_ms != 0 && now_ms - slots->complained_ms < COMPLAIN_MS) return;
    slots->complained_ms = now_ms;
    log_warning("slot %u: left open, %s %.40s cannot be ended yet, and is tried again: %s", id_of(errand), what,
                errand->open.other.id, error);
}

static bool send_all(struct errand *errand)
{
    struct open_slots *slots = errand->slots;
    char error[TARGET_ERROR_BYTES] = "";
    uint64_t sent = 0;
    bool ok = true;

    while (ok && slot_counts(errand->slot).keys > 0) {
        if (!may_go_on(errand)) return false;
        ok = slot_peer_send_some(&errand->peer, &sent, error);
        count(&slots->keys_sent, sent);
        sent = 0;
    }
    if (!ok) complain(errand, "its move to", error);
    return ok;
}

static void finished(struct errand *errand)
{
    count(&errand->slots->finished, 1);
    log_notice("slot %u: left open and finished: migrated to %.40s, the last %llu keys in %lld ms", id_of(errand),
               errand->open.other.id, (unsigned long long)errand->keys,
               (long long)(clock_monotonic_ms() - errand->began_ms));
}

/* The target first, as the tools do: told to the source first, the slot would be nobody's in between. */
static bool send_slot(struct errand *errand)
{
    char error[TARGET_ERROR_BYTES] = "";
    bool ok;

    if (!send_all(errand) || !begin_to_hand_over(errand)) return false;
    ok = slot_peer_setslot(&errand->peer, BYTES("NODE"), errand->open.other.id, error);
    /* Where the bus has heard of it before we came here, it is so already. */
    if (ok) change_here(errand, CHANGE_GIVE);
    hand_over(errand, SLOT_COUNT);
    if (ok)
        finished(errand);
    else
        complain(errand, "its move to", error);
    return ok;
}

static bool reopen(struct errand *errand)
{
    char error[TARGET_ERROR_BYTES] = "";

    if (!may_go_on(errand)) return false;
    if (slot_peer_setslot(&errand->peer, BYTES("IMPORTING"), errand->my_id, error)) return send_slot(errand);
    complain(errand, "its move to", error);
    return false;
}

/* It may be the target's in memory only; told once more that it is, the target says OK when it is on disk. */
static bool give(struct errand *errand)
{
    char error[TARGET_ERROR_BYTES] = "";

    if (!slot_peer_setslot(&errand->peer, BYTES("NODE"), errand->open.other.id, error)) {
        complain(errand, "its move to", error);
        return false;
    }
    if (!change_here(errand, CHANGE_GIVE)) return false;
    finished(errand);
    return true;
}

static bool take(struct errand *errand)
{
    if (!change_here(errand, CHANGE_TAKE)) return false;
    count(&errand->slots->finished, 1);
    log_notice("slot %u: left open and finished: imported from %.40s, which had given it away", id_of(errand),
               errand->open.other.id);
    return true;
}

static bool close_slot(struct errand *errand, const struct open_facts *facts)
{
    if (!change_here(errand, CHANGE_CLOSE)) return false;
    count(&errand->slots->closed, 1);
    log_notice("slot %u: left open and closed: it was %s %.40s, which %s", id_of(errand),
               facts->leaves ? "migrating to" : "imported from", errand->open.other.id,
               !facts->other.is_heard ? "has failed"
               : facts->leaves        ? "has no key of it"
                                      : "does not migrate it");
    return true;
}

static bool return_keys(struct errand *errand, const struct open_facts *facts)
{
    struct open_slots *slots = errand->slots;
    char error[TARGET_ERROR_BYTES] = "";
    uint64_t sent = 0, dropped = 0;
    bool ok = true;

    while (ok && slot_counts(errand->slot).keys > 0) {
        if (!may_go_on(errand)) return false;
        ok = slot_peer_return_some(&errand->peer, &sent, &dropped, error);
    }
    count(&slots->keys_returned, sent);
    count(&slots->keys_dropped, dropped);
    if (sent + dropped > 0)
        log_notice("slot %u: %llu keys of a move that was given up are back at %.40s, %llu that it has were dropped",
                   id_of(errand), (unsigned long long)sent, errand->open.other.id, (unsigned long long)dropped);
    if (!ok) complain(errand, "the import from", error);
    return ok && close_slot(errand, facts);
}

static bool carry_out(struct errand *errand, const struct open_facts *facts)
{
    switch (open_next(facts)) {
    case OPEN_WAIT:
        return false;
    case OPEN_SEND:
        return send_slot(errand);
    case OPEN_REOPEN:
        return reopen(errand);
    case OPEN_GIVE:
        return give(errand);
    case OPEN_TAKE:
        return take(errand);
    case OPEN_RETURN:
        return return_keys(errand, facts);
    case OPEN_CLOSE:
        return close_slot(errand, facts);
    }
    return false;
}

/* --- Rounds --- */

static void look_again(const struct errand *errand)
{
    struct bus *bus = errand->slots->node->bus;
    struct effects *effects;
    struct cluster *cluster = bus_lock(bus, &effects);

    if (is_still_so(errand, cluster))
        cluster_slot_look_again(cluster, id_of(errand), AGAIN_MS, errand->idle_ms, clock_now_ms());
    bus_unlock(bus);
}

/* A MIGRATE is under way: that is work. */
static bool has_keys_in_flight(const struct errand *errand)
{
    struct bus *bus = errand->slots->node->bus;
    struct effects *effects;
    bool has;

    slot_lock(errand->slot);
    has = slot_has_keys_in_flight(errand->slot);
    slot_unlock(errand->slot);
    if (!has) return false;
    cluster_slot_worked(bus_lock(bus, &effects), id_of(errand), clock_now_ms());
    bus_unlock(bus);
    return true;
}

/* Who has not answered in this round is not asked again in it: a node that hangs may be the other end of many. */
static void ask_other(struct errand *errand, struct open_facts *facts)
{
    struct open_slots *slots = errand->slots;
    const char *id = errand->open.other.id;
    char error[TARGET_ERROR_BYTES] = "";

    if (!facts->is_kin || strcmp(slots->silent_id, id) == 0) return;
    slot_peer_account(&errand->peer, id, errand->my_id, &facts->other, error);
    if (facts->other.is_heard) return;
    memcpy(slots->silent_id, id, sizeof(slots->silent_id));
    if (!facts->leaves || !facts->has_failed)
        complain(errand, facts->leaves ? "its move to" : "the import from", error);
}

static void work_on(struct errand *errand)
{
    struct open_facts facts = { .leaves = errand->open.leaves,
                                .is_kin = errand->open.other.is_kin,
                                .has_failed = errand->open.has_failed };

    if (has_keys_in_flight(errand)) return;
    errand->began_ms = clock_monotonic_ms();
    give_address(errand);
    ask_other(errand, &facts);
    facts.keys = errand->keys = slot_counts(errand->slot).keys;
    if (!carry_out(errand, &facts)) look_again(errand);
    explicit_bzero(errand->password, sizeof(errand->password));
}

/* The next that stands open, from a slot on. */
static bool find_next(struct errand *errand, unsigned from)
{
    struct open_slots *slots = errand->slots;
    struct bus *bus = slots->node->bus;
    struct effects *effects;
    struct cluster *cluster = bus_lock(bus, &effects);
    int64_t now_ms = clock_now_ms();
    bool found = false;

    for (unsigned slot = from; !found; slot++) {
        slot = cluster_next_open(cluster, slot, errand->idle_ms, now_ms);
        if (slot == SLOT_COUNT) break;
        errand->peer.slot = (uint16_t)slot;
        found = cluster_open_slot(cluster, (uint16_t)slot, errand->idle_ms, now_ms, &errand->open);
    }
    memcpy(errand->my_id, cluster_my_id(cluster), NODE_ID_BYTES);
    bus_unlock(bus);
    errand->slot = keyspace_slot(slots->node->keyspace, errand->peer.slot);
    return found;
}

static void adopt(struct node *node, struct slot *slot, int64_t idle_ms)
{
    int64_t now_ms = clock_now_ms();
    struct graveyard *lost;
    struct effects *effects;
    struct cluster *cluster;

    slot_lock(slot);
    cluster = bus_lock(node->bus, &effects);
    cluster_adopt_stray(cluster, slot_id(slot), idle_ms, now_ms, effects);
    bus_unlock(node->bus);
    fills_slot_came(node->fills, slot_id(slot), now_ms);
    lost = bus_take_lost_keys(node->bus, slot);
    slot_unlock(slot);
    if (lost != NULL) lazyfree_bury(node->lazyfree, &lost);
    bus_wake(node->bus);
}

static void adopt_strays(struct open_slots *slots, int64_t idle_ms)
{
    struct node *node = slots->node;
    int64_t now_ms = clock_monotonic_ms();

    if (now_ms - slots->strays_ms < (idle_ms / 4 < STRAYS_MS_MAX ? idle_ms / 4 : STRAYS_MS_MAX)) return;
    slots->strays_ms = now_ms;
    for (unsigned id = 0; id < SLOT_COUNT; id++) {
        struct slot *slot = keyspace_slot(node->keyspace, (uint16_t)id);
        struct owner owner = owner_unpack(slot_owner(slot));
        struct effects *effects;
        bool is_stray;

        if (owner.state != OWNER_ELSEWHERE || owner.flags != 0 || slot_counts(slot).keys == 0) continue;
        is_stray = cluster_is_stray(bus_lock(node->bus, &effects), (uint16_t)id, idle_ms, clock_now_ms());
        bus_unlock(node->bus);
        if (is_stray) adopt(node, slot, idle_ms);
    }
}

static void go_round(struct open_slots *slots, int64_t idle_ms)
{
    struct errand *errand;

    if (bus_is_solo(slots->node->bus)) return;
    errand = alloc_zeroed(sizeof(*errand));
    *errand = (struct errand){ .slots = slots,
                               .idle_ms = idle_ms,
                               .peer = { .site = &slots->site, .timeout_ms = ANSWER_MS } };
    slots->silent_id[0] = '\0';
    adopt_strays(slots, idle_ms);
    for (unsigned from = 0; !is_ending(slots) && find_next(errand, from); from = id_of(errand) + 1u) work_on(errand);
    alloc_free(errand);
    targets_close_idle(slots->site.targets);
    account_settle();
}

/* --- The thread --- */

static int64_t pause_ms(int64_t idle_ms)
{
    int64_t pause = idle_ms / 4;

    return idle_ms == 0 || pause > LOOK_MS_MAX ? LOOK_MS_MAX : pause < LOOK_MS_MIN ? LOOK_MS_MIN : pause;
}

/* With the guard held. */
static void rest(struct open_slots *slots, int64_t ms)
{
    int64_t until_us = clock_monotonic_us() + ms * 1000;
    struct timespec until = { .tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000 };

    while (!is_ending(slots) && pthread_cond_timedwait(&slots->called, &slots->guard, &until) == 0) {
    }
}

static void *run(void *context)
{
    struct open_slots *slots = context;

    alloc_begin_thread();
    pthread_mutex_lock(&slots->guard);
    while (!is_ending(slots)) {
        int64_t idle_ms = config_int(slots->node->config, cluster_slot_move_timeout);

        rest(slots, pause_ms(idle_ms));
        if (idle_ms == 0 || is_ending(slots)) continue;
        pthread_mutex_unlock(&slots->guard);
        go_round(slots, idle_ms);
        pthread_mutex_lock(&slots->guard);
    }
    pthread_mutex_unlock(&slots->guard);
    account_settle();
    return NULL;
}

struct open_slots *open_slots_new(struct node *node)
{
    struct open_slots *slots = alloc_zeroed(sizeof(*slots));
    pthread_condattr_t attributes;

    slots->node = node;
    slots->site = migrate_site(node);
    slots->site.targets = targets_new();
    slots->site.ending = &slots->ending;
    slots->site.ended = slot_peer_ended;
    pthread_mutex_init(&slots->guard, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&slots->called, &attributes);
    pthread_condattr_destroy(&attributes);
    return slots;
}

bool open_slots_start(struct open_slots *slots)
{
    sigset_t all, before;

    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&slots->thread, NULL, run, slots);
    slots->has_thread = errno == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (slots->has_thread) pthread_setname_np(slots->thread, "open-slots");
    return slots->has_thread;
}

void open_slots_stop(struct open_slots *slots)
{
    if (!slots->has_thread) return;
    pthread_mutex_lock(&slots->guard);
    atomic_store_explicit(&slots->ending, true, memory_order_relaxed);
    pthread_cond_signal(&slots->called);
    pthread_mutex_unlock(&slots->guard);
    pthread_join(slots->thread, NULL);
    slots->has_thread = false;
}

void open_slots_free(struct open_slots **held)
{
    struct open_slots *slots = *held;

    *held = NULL;
    if (slots == NULL) return;
    targets_free(&slots->site.targets);
    pthread_cond_destroy(&slots->called);
    pthread_mutex_destroy(&slots->guard);
    alloc_free(slots);
}

struct open_slots_counts open_slots_counts(const struct open_slots *slots)
{
    return (struct open_slots_counts){
        .finished = atomic_load_explicit(&slots->finished, memory_order_relaxed),
        .closed = atomic_load_explicit(&slots->closed, memory_order_relaxed),
        .keys_sent = atomic_load_explicit(&slots->keys_sent, memory_order_relaxed),
        .keys_returned = atomic_load_explicit(&slots->keys_returned, memory_order_relaxed),
        .keys_dropped = atomic_load_explicit(&slots->keys_dropped, memory_order_relaxed),
        .failures = atomic_load_explicit(&slots->failures, memory_order_relaxed),
    };
}
