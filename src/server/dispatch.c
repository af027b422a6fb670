/* server/dispatch.c
 *
 * One request is checked, redirected or run under its slots' locks. The order of the checks is the wire contract's: unknown, arity,
 * authentication, transaction, redirect, pause, queue or run. */
#include "server/dispatch.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "cache/eviction.h"
#include "cluster/redirect.h"
#include "server/build.h"
#include "server/cost.h"
#include "server/hold.h"
#include "server/latency.h"
#include "server/monitor.h"
#include "server/park.h"
#include "server/pubsub.h"
#include "server/room.h"
#include "server/slot_set.h"
#include "server/slowlog.h"
#include "server/transaction.h"
#include "server/worker_internal.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

/* --- Redirects --- */

static bool is_clustered(const struct node *node)
{
    return node->bus != NULL && !bus_is_solo(node->bus);
}

static void reply_redirect(struct call *call, enum redirect redirect, struct owner owner, uint16_t slot)
{
    char endpoint[256];
    uint16_t port;

    switch (redirect) {
    case REDIRECT_NONE:
        return;
    case REDIRECT_UNOWNED:
        reply_error(call->reply, "CLUSTERDOWN Hash slot not served");
        return;
    case REDIRECT_DOWN:
        reply_error(call->reply, "CLUSTERDOWN The cluster is down");
        return;
    case REDIRECT_DOWN_READONLY:
        reply_error(call->reply, "CLUSTERDOWN The cluster is down and only accepts read commands");
        return;
    case REDIRECT_TRYAGAIN:
        reply_error(call->reply, "TRYAGAIN Multiple keys request during rehashing of slot");
        return;
    case REDIRECT_ASK:
        bus_endpoint(call->node->bus, owner.other, endpoint, &port);
        reply_errorf(call->reply, "ASK %u %s:%u", slot, endpoint, port);
        return;
    case REDIRECT_MOVED:
        bus_endpoint(call->node->bus, owner.node, endpoint, &port);
        reply_errorf(call->reply, "MOVED %u %s:%u", slot, endpoint, port);
        return;
    }
}

/* What the keys of a command, or of a whole transaction, need. */
struct plan {
    struct slot_set slots;
    int first_slot; /* of the first key; -1 without keys */
    bool cross_slot;
    bool several_keys;
    bool writes, migrates, asking;
    struct bytes first_key;
    const struct call *call; /* whose keys are being added */
    struct cost_keys keys;   /* of one command; of several they are none's */
};

static void plan_init(struct plan *plan)
{
    slot_set_init(&plan->slots);
    plan->first_slot = -1;
    plan->cross_slot = plan->several_keys = plan->writes = plan->migrates = plan->asking = false;
    plan->first_key = BYTES_NONE;
    plan->call = NULL;
    plan->keys.count = plan->keys.hashed = 0;
}

static void plan_key(void *context, int arg, const struct key_spec *spec)
{
    struct plan *plan = context;
    struct bytes key = plan->call->argv[arg];
    uint16_t slot = key_slot(key);

    if ((spec->flags & KEY_NOT_KEY) == 0) cost_keys_add(&plan->keys, arg, slot);
    slot_set_add(&plan->slots, slot);
    if (plan->first_slot < 0) {
        plan->first_slot = slot;
        plan->first_key = key;
        return;
    }
    if (bytes_equal(plan->first_key, key)) return;
    plan->several_keys = true;
    if (slot != plan->first_slot) plan->cross_slot = true;
}

static void plan_command(struct plan *plan, const struct call *call)
{
    const struct command *command = call->command;

    plan->call = call;
    command_keys(command, call->argc, call->argv, plan_key, plan);
    if (command->flags & COMMAND_WRITE) plan->writes = true;
    if (command->flags & COMMAND_MIGRATES) plan->migrates = true;
    if (command->flags & COMMAND_ASKING) plan->asking = true;
}

struct presence {
    const struct call *call;
    size_t present, missing;
    size_t in_flight, gone_in_flight; /* on their way to another node; gone: with no entry here */
};

/* A key in flight is here until that is over. */
static void count_presence(void *context, int arg, const struct key_spec *spec)
{
    struct presence *presence = context;
    struct bytes key = presence->call->argv[arg];
    const struct slot *slot = keyspace_slot(presence->call->node->keyspace, key_slot(key));
    bool is_there = slot_peek(slot, key, presence->call->now_ms) != NULL, in_flight = slot_is_marked(slot, key);

    if (spec->flags & KEY_NOT_KEY) return;
    presence->in_flight += in_flight;
    presence->gone_in_flight += in_flight && !is_there;
    if (is_there || in_flight)
        presence->present++;
    else
        presence->missing++;
}

/* The commands a redirect decision is about: one, or a transaction's queue. With the slots locked. */
static void count_keys(struct call *call, struct presence *presence)
{
    *presence = (struct presence){ .call = call };
    if (strcmp(call->command->name, "exec") != 0) {
        command_keys(call->command, call->argc, call->argv, count_presence, presence);
        return;
    }
    for (size_t i = 0; i < call->client->transaction->count; i++) {
        const struct queued_command *queued = &call->client->transaction->queue[i];
        struct call inner = *call;

        inner.argc = queued->argc;
        inner.argv = queued->argv;
        presence->call = &inner; // cppcheck-suppress autoVariables
        command_keys(queued->command, queued->argc, queued->argv, count_presence, presence);
    }
    presence->call = call;
}

/* With the slot of the first key locked: may the command run here? On no, has replied. */
static bool slot_admits(struct call *call, const struct plan *plan, struct slot *slot)
{
    struct node *node = call->node;
    struct owner owner = owner_unpack(slot_owner(slot));
    struct redirect_facts facts;
    struct presence presence = { 0 };
    enum redirect redirect;

    if (node->bus == NULL) return true;
    if (owner.state == OWNER_HERE && owner.flags == 0 && !plan->cross_slot && bus_state_ok(node->bus)) return true;
    if (owner.state == OWNER_NOBODY) {
        reply_redirect(call, REDIRECT_UNOWNED, owner, slot_id(slot));
        return false;
    }
    if (plan->cross_slot) {
        reply_error(call->reply, "CROSSSLOT Keys in request don't hash to the same slot");
        return false;
    }
    if (owner.flags != 0) count_keys(call, &presence);
    facts = (struct redirect_facts){
        .owner = owner,
        .cluster_ok = bus_state_ok(node->bus),
        .reads_when_down = config_int(node->config, cluster_allow_reads_when_down) != 0,
        .channels_when_down = (call->command->flags & COMMAND_PUBSUB) != 0 &&
                              config_int(node->config, cluster_allow_pubsubshard_when_down) != 0,
        .writes = plan->writes,
        .asking = plan->asking || (client_flags(call->client) & CLIENT_ASKING) != 0,
        .migrates = plan->migrates,
        .several_keys = plan->several_keys,
        .keys_present = presence.present,
        .keys_missing = presence.missing,
    };
    redirect = redirect_for(&facts);
    reply_redirect(call, redirect, owner, slot_id(slot));
    return redirect == REDIRECT_NONE;
}

/* Across slots, which only a node that serves all of them may do. */
static bool slots_are_all_here(const struct plan *plan, struct keyspace *keyspace)
{
    for (size_t i = 0; i < plan->slots.count; i++) {
        struct owner owner = owner_unpack(slot_owner(keyspace_slot(keyspace, plan->slots.ids[i])));

        if (owner.state != OWNER_HERE || owner.flags != 0) return false;
    }
    return true;
}

/* Takes the locks the plan needs and decides. True: the locks are held and the caller runs and unlocks. False: has replied and holds nothing. */
static bool lock_and_admit(struct call *call, struct plan *plan)
{
    struct keyspace *keyspace = call->node->keyspace;
    struct slot *first;

    if (plan->first_slot >= 0 && plan->cross_slot && is_clustered(call->node)) {
        /* Ends in a refusal; the owner of the first key's slot says in which. */
        first = keyspace_slot(keyspace, (uint16_t)plan->first_slot);
        slot_lock(first);
        bool admitted = slot_admits(call, plan, first);
        slot_unlock(first);
        assert(!admitted);
        return false;
    }
    slot_set_lock(&plan->slots, keyspace);
    if (plan->first_slot < 0) return true;
    first = keyspace_slot(keyspace, (uint16_t)plan->first_slot);
    if (plan->cross_slot ? call->node->bus == NULL || slots_are_all_here(plan, keyspace)
                         : slot_admits(call, plan, first))
        return true;
    /* The node stopped being solo between the plan and the locks. */
    if (plan->cross_slot) slot_admits(call, plan, first);
    slot_set_unlock(&plan->slots, keyspace);
    return false;
}

/* --- Keys in flight --- */

static inline bool any_marks(const struct plan *plan, struct keyspace *keyspace)
{
    for (size_t i = 0; i < plan->slots.count; i++)
        if (slot_has_marks(keyspace_slot(keyspace, plan->slots.ids[i]))) return true;
    return false;
}

static __attribute__((cold, noinline)) bool needs_keys_in_flight(struct call *call, const struct plan *plan)
{
    struct presence presence;

    count_keys(call, &presence);
    if (presence.gone_in_flight == 0 && !(plan->writes && presence.in_flight > 0)) return false;
    call_wait_for_keys(call);
    return true;
}

/* With the slots locked: has the command to do with a key that is being sent to another node (transfer/migration.h)? It may be read as long
 * as it is here; all else waits until it is known where it is. */
static inline bool waits_for_keys(struct call *call, const struct plan *plan)
{
    return any_marks(plan, call->node->keyspace) && needs_keys_in_flight(call, plan);
}

/* --- Running --- */

/* With the locks held. */
static inline void run_command(struct call *call)
{
    if ((call->command->flags & COMMAND_CLUSTER_ONLY) && call->node->bus == NULL)
        reply_error(call->reply, "ERR This instance has cluster support disabled");
    else
        call->command->run(call);
}

/* The locks are given back by now: does what may take long, and the accounts. *clock is when the command began, in clock_ticks(),
 * and then when it ended. Returns how long it took. */
static inline uint64_t finish_command(struct call *call, size_t number, uint64_t errors, uint64_t *clock)
{
    uint64_t now, ns;

    if (call->kept != NULL) call->command->finish(call);
    now = clock_ticks();
    ns = clock_ticks_to_ns(now - *clock);
    *clock = now;
    worker_count_command(call->worker, number, ns, call->reply->errors != errors);
    return ns;
}

/* NULL: the command is not for the slow log. */
static struct slow_entry *slow_entry_of(const struct call *call, const struct command *command, int argc,
                                        const struct bytes *argv)
{
    struct slow_entry *entry;
    struct bytes *shown;

    if (command->flags & COMMAND_SKIP_SLOWLOG) return NULL;
    shown = alloc((size_t)argc * sizeof(*shown));
    for (int i = 0; i < argc; i++)
        shown[i] = argument_is_secret(command, argc, argv, i) ? BYTES("(redacted)") : argv[i];
    entry = slowlog_prepare(argc, shown, call->client->peer, call->client->name);
    alloc_free(shown);
    return entry;
}

static __attribute__((cold, noinline)) void log_slow(struct call *call, const struct command *command, int argc,
                                                     const struct bytes *argv, uint64_t ns)
{
    struct slow_entry *entry = slow_entry_of(call, command, argc, argv);

    if (entry == NULL) return;
    slowlog_keep(call->node->slowlog, &entry, clock_wall_us() / 1000000, (int64_t)(ns / 1000),
                 config_int(call->node->config, slowlog_max_len));
}

static inline void log_if_slow(struct call *call, const struct command *command, int argc, const struct bytes *argv,
                               uint64_t ns)
{
    int64_t slower_than_us = config_int(call->node->config, slowlog_log_slower_than);

    if (slower_than_us >= 0 && (int64_t)(ns / 1000) >= slower_than_us) log_slow(call, command, argc, argv, ns);
    if (__builtin_expect(ns >= 1000000, 0)) /* milliseconds are what latency-monitor-threshold is in */
        latency_note(call->node, command->flags & COMMAND_FAST ? LATENCY_FAST_COMMAND : LATENCY_COMMAND, ns);
}

static inline void tell_monitors(struct call *call)
{
    if (atomic_load_explicit(&call->node->monitors, memory_order_relaxed) == 0) return;
    if (call->command->flags & (COMMAND_SKIP_MONITOR | COMMAND_ADMIN)) return;
    monitor_send(call);
}

/* True: finish() has handed the command to another thread, and it is counted when that has answered. */
static __attribute__((cold, noinline)) bool finish_parks(struct call *call, size_t number, uint64_t *clock)
{
    struct slow_entry *slow;

    call->command->finish(call);
    call->kept = NULL;
    if (call->parked == NULL) return false;
    slow = slow_entry_of(call, call->command, call->argc, call->argv);
    hold_count(call->parked, call->command, number, *clock, &slow);
    *clock = clock_ticks();
    return true;
}

/* The locks are given back by now. *clock as for finish_command(), and so is what is returned: nothing where somebody else is at work on it. */
static inline __attribute__((always_inline)) uint64_t end_command(struct call *call, size_t number, uint64_t errors,
                                                                  uint64_t *clock)
{
    uint64_t ns = 0;

    if (__builtin_expect(call->kept == NULL, 1) || !finish_parks(call, number, clock)) {
        ns = finish_command(call, number, errors, clock);
        log_if_slow(call, call->command, call->argc, call->argv, ns);
    }
    tell_monitors(call);
    return ns;
}

/* With the slots locked: starts to fetch what the keys of a command lead to, as is done over the commands of a batch. What lies behind the first
 * of very many would not stay in the cache. */
static void look_at_keys(const struct call *call, struct plan *plan)
{
    struct keyspace *keyspace = call->node->keyspace;
    struct cost_keys *keys = &plan->keys;

    if (config_int(call->node->config, look_ahead) == 0) return;
    keys->hashed = keys->count < COST_KEYS_MAX ? keys->count : COST_KEYS_MAX;
    for (uint32_t i = 0; i < keys->hashed; i++) keys->hashes[i] = slot_hash(call->argv[keys->args[i]]);
    for (enum slot_prefetch_step step = SLOT_PREFETCH_CELL; step <= SLOT_PREFETCH_ENTRY; step++)
        for (uint32_t i = 0; i < keys->hashed; i++)
            slot_prefetch(keyspace_slot(keyspace, keys->slots[i]), keys->hashes[i], step);
}

/* Checks and runs, everything under the slots' locks. False: it may not run here. */
static bool run_locked(struct call *call, struct plan *plan)
{
    if (!lock_and_admit(call, plan)) return false;
    if (waits_for_keys(call, plan)) {
        slot_set_unlock(&plan->slots, call->node->keyspace);
        return false;
    }
    call->held = &plan->slots;
    if (plan->slots.count == 1) call->slot = keyspace_slot(call->node->keyspace, plan->slots.ids[0]);
    if (plan->several_keys) look_at_keys(call, plan);
    run_command(call);
    slot_set_unlock(&plan->slots, call->node->keyspace);
    if (call->node->bus != NULL) bus_wake(call->node->bus);
    call->held = NULL;
    call->slot = NULL;
    return true;
}

/* Runs, and what may wait comes after the locks. */
static void run_on_slots(struct call *call, size_t number, uint64_t *clock)
{
    struct plan plan;
    uint64_t errors = call->reply->errors, replied = cost_replied(call->reply);
    bool ran;

    plan_init(&plan);
    plan_command(&plan, call);
    do ran = run_locked(call, &plan);
    while (ran && call->builds != NULL && build_all(call));
    build_end(call);
    if (ran && !call->waits) {
        uint64_t ns = end_command(call, number, errors, clock);

        cost_note_keys(call, &plan.keys, cost_replied(call->reply) - replied, ns);
    } else if (!call->waits && (client_flags(call->client) & CLIENT_MULTI)) {
        client_set(call->client, CLIENT_DIRTY_EXEC);
    }
    slot_set_free(&plan.slots);
}

/* The usual command, with one key: no plan is made. */
static void run_on_slot(struct call *call, const struct prepared *prepared, uint64_t *clock)
{
    struct node *node = call->node;
    struct slot *slot = prepared->slot;
    struct owner owner;
    uint64_t errors = call->reply->errors, replied = cost_replied(call->reply), ns;

    slot_lock(slot);
    owner = owner_unpack(slot_owner(slot));
    if (owner.state != OWNER_HERE || owner.flags != 0 || slot_has_marks(slot) ||
        (node->bus != NULL && !bus_state_ok(node->bus))) {
        slot_unlock(slot);
        run_on_slots(call, prepared->number, clock);
        return;
    }
    call->slot = slot;
    call->key_arg = call->command->keys[0].first;
    call->key_hash = prepared->hash;
    run_command(call);
    slot_unlock(slot);
    call->slot = NULL;
    call->key_arg = 0;
    if (call->builds != NULL && build_all(call)) {
        run_on_slots(call, prepared->number, clock);
        return;
    }
    if (__builtin_expect(call->waits, 0)) return;
    ns = end_command(call, prepared->number, errors, clock);
    cost_note_key(call, prepared, cost_replied(call->reply) - replied, ns);
}

/* --- Transactions --- */

/* What a command of EXEC has taken. */
struct took {
    uint64_t ns, replied_bytes;
};

/* What EXEC's commands have left to do without its locks. */
struct put_off {
    struct unfinished {
        struct call call;
        bool to_run;           /* all of it is left, not only finish() */
        bool failed;           /* in run() */
        uint8_t resp;          /* the protocol of its reply */
        size_t queued, offset; /* its number in the queue; where its reply belongs */
        uint64_t ticks;        /* what it has taken so far */
    } * items;
    size_t count, cap;
};

static void put_off(struct put_off *later, const struct call *call, size_t queued, bool to_run, bool failed,
                    uint64_t *clock)
{
    uint64_t now = clock_ticks();

    if (later->count == later->cap) {
        later->cap = later->cap == 0 ? 2 : later->cap * 2;
        later->items = alloc_resize(later->items, later->cap * sizeof(*later->items));
    }
    later->items[later->count++] = (struct unfinished){ .call = *call,
                                                        .to_run = to_run,
                                                        .failed = failed,
                                                        .resp = call->reply->resp,
                                                        .queued = queued,
                                                        .offset = call->reply->out->len,
                                                        .ticks = now - *clock };
    later->items[later->count - 1].call.held = NULL;
    *clock = now;
}

static void run_queue(struct call *call, struct plan *plan, struct took *took, struct put_off *later)
{
    struct transaction *transaction = call->client->transaction;
    uint64_t clock = clock_ticks();

    reply_array(call->reply, transaction->count);
    for (size_t i = 0; i < transaction->count; i++) {
        struct queued_command *queued = &transaction->queue[i];
        struct call inner = *call;
        uint64_t errors = call->reply->errors, replied = cost_replied(call->reply);
        bool to_run_later = (queued->command->flags & COMMAND_UNLOCKED) != 0 && plan->slots.count > 0;

        inner.command = queued->command;
        inner.argc = queued->argc;
        inner.argv = queued->argv;
        inner.incoming = &queued->entry;
        inner.in_exec = true;
        inner.held = &plan->slots;
        inner.slot = plan->first_slot >= 0 && !plan->cross_slot &&
                             command_keys(queued->command, queued->argc, queued->argv, NULL, NULL) > 0
                         ? keyspace_slot(call->node->keyspace, (uint16_t)plan->first_slot)
                         : NULL;
        if (!to_run_later) run_command(&inner);
        if (to_run_later || inner.kept != NULL)
            put_off(later, &inner, i, to_run_later, call->reply->errors != errors, &clock);
        else
            took[i].ns = finish_command(&inner, queued->number, errors, &clock);
        took[i].replied_bytes = cost_replied(call->reply) - replied;
    }
}

/* After the locks were given back. The replies go where they would have stood. */
static void run_put_off(struct call *call, struct put_off *later, struct took *took)
{
    for (size_t i = 0; i < later->count; i++) {
        struct unfinished *unfinished = &later->items[i];
        struct buf text = { 0 };
        struct reply reply = { .out = &text, .resp = unfinished->resp };
        uint64_t clock = clock_ticks() - unfinished->ticks;

        unfinished->call.reply = &reply;
        if (unfinished->to_run) run_command(&unfinished->call);
        took[unfinished->queued].ns =
            finish_command(&unfinished->call, call->client->transaction->queue[unfinished->queued].number,
                           unfinished->failed ? UINT64_MAX : 0, &clock);
        took[unfinished->queued].replied_bytes += text.len;
        if (reply.errors > 0) memcpy(call->reply->error_code, reply.error_code, sizeof(reply.error_code));
        call->reply->errors += reply.errors;
        reply_insert(call->reply, unfinished->offset, &text);
    }
    alloc_free(later->items);
}

static bool visits_other_slots(const struct command *command)
{
    return (command->flags & COMMAND_ALL_SLOTS) != 0 ||
           (command->parent != NULL && strcmp(command->parent, "cluster") == 0 &&
            (command->flags & COMMAND_UNLOCKED) == 0);
}

void transaction_exec(struct call *call)
{
    struct client *client = call->client;
    struct transaction *transaction = transaction_of(client);
    struct plan plan;
    struct put_off later = { 0 };
    bool all_slots = false, ran = false;
    struct took *took = alloc_zeroed((transaction->count + 1) * sizeof(*took));

    plan_init(&plan);
    for (size_t i = 0; i < transaction->count; i++) {
        const struct queued_command *queued = &transaction->queue[i];
        struct call inner = *call;

        inner.command = queued->command;
        inner.argc = queued->argc;
        inner.argv = queued->argv;
        plan_command(&plan, &inner);
        if (visits_other_slots(queued->command)) all_slots = true;
    }
    plan.call = NULL;
    transaction_add_slots(transaction, &plan.slots);
    if (all_slots) slot_set_add_all(&plan.slots);

    if (lock_and_admit(call, &plan)) {
        if (client_flags(client) & CLIENT_DIRTY_EXEC) {
            reply_error(call->reply, "EXECABORT Transaction discarded because of previous errors.");
        } else if (transaction_is_stale(transaction, call->now_ms)) {
            reply_null_array(call->reply);
        } else if (!waits_for_keys(call, &plan)) {
            run_queue(call, &plan, took, &later);
            ran = true;
        }
        slot_set_unlock(&plan.slots, call->node->keyspace);
        if (call->node->bus != NULL) bus_wake(call->node->bus);
        run_put_off(call, &later, took);
    }
    for (size_t i = 0; ran && i < transaction->count; i++) {
        const struct queued_command *queued = &transaction->queue[i];
        struct call inner = *call;

        inner.command = queued->command;
        inner.argc = queued->argc;
        inner.argv = queued->argv;
        cost_note_keys(&inner, NULL, took[i].replied_bytes, took[i].ns);
        log_if_slow(call, queued->command, queued->argc, queued->argv, took[i].ns);
        tell_monitors(&inner);
    }
    slot_set_free(&plan.slots);
    alloc_free(took);
    if (!call->waits) client_discard_transaction(client);
}

/* --- Checks --- */

/* An EXEC that is refused ends the transaction all the same: what was queued must not wait for the next one. */
static void abort_exec(struct call *call, const char *why)
{
    reply_errorf(call->reply, "EXECABORT Transaction discarded because of: %s", why);
    client_discard_transaction(call->client);
}

/* Text NULL: has replied. */
static void refuse(struct call *call, size_t number, const char *text)
{
    if (text != NULL && call->command != NULL && strcmp(call->command->name, "exec") == 0)
        abort_exec(call, text);
    else if (text != NULL)
        reply_error(call->reply, text);
    if (client_flags(call->client) & CLIENT_MULTI) client_set(call->client, CLIENT_DIRTY_EXEC);
    if (call->command != NULL) count_up(&call->worker->commands[number].rejected, 1);
}

static int shown_len(struct bytes text, size_t max)
{
    return (int)strnlen(text.data == NULL ? "" : text.data, text.len < max ? text.len : max);
}

static void refuse_unknown(struct call *call)
{
    struct buf args = { 0 };

    for (int i = 1; i < call->argc && args.len < 128; i++)
        buf_printf(&args, "'%.*s' ", shown_len(call->argv[i], 128 - args.len), call->argv[i].data);
    buf_append_byte(&args, '\0');
    reply_errorf(call->reply, "ERR unknown command '%.*s', with args beginning with: %s", shown_len(call->argv[0], 128),
                 call->argv[0].data, args.data);
    buf_free(&args);
    refuse(call, 0, NULL);
}

static void refuse_unknown_sub(struct call *call, size_t number)
{
    char container[32];
    size_t len = 0;

    for (const char *c = call->command->name; *c != '\0' && len + 1 < sizeof(container); c++)
        container[len++] = (char)toupper((unsigned char)*c);
    container[len] = '\0';
    reply_errorf(call->reply, "ERR unknown subcommand '%.*s'. Try %s HELP.", shown_len(call->argv[1], 128),
                 call->argv[1].data, container);
    refuse(call, number, NULL);
}

static void refuse_arity(struct call *call, size_t number)
{
    const struct command *command = call->command;

    if (strcmp(command->name, "exec") == 0) {
        refuse(call, number, "wrong number of arguments for 'exec' command");
        return;
    }
    reply_errorf(call->reply, "ERR wrong number of arguments for '%s%s%s' command",
                 command->parent != NULL ? command->parent : "", command->parent != NULL ? "|" : "", command->name);
    refuse(call, number, NULL);
}

/* Finds the command or its subcommand. False: has replied. */
static bool resolve(struct call *call, const struct prepared *prepared, size_t *number)
{
    const struct command *command = prepared->command;

    *number = prepared->number;

    call->command = command;
    if (command == NULL) {
        refuse_unknown(call);
        return false;
    }
    if (command->subcommands != NULL && call->argc > 1) {
        const struct command *sub = command_find_sub(command, call->argv[1]);

        if (sub == NULL) {
            refuse_unknown_sub(call, *number);
            return false;
        }
        for (size_t i = 0; command->subcommands[i] != sub; i++) ++*number;
        ++*number;
        call->command = sub;
    }
    if (!command_arity_ok(call->command, call->argc) || call->command->run == NULL) {
        refuse_arity(call, *number);
        return false;
    }
    return true;
}

static __attribute__((cold, noinline)) bool is_held_by_pause(struct call *call, int64_t until_ms)
{
    struct node *node = call->node;
    bool writes = (call->command->flags & COMMAND_WRITE) != 0;

    if (clock_monotonic_ms() >= until_ms) return false;
    if (atomic_load_explicit(&node->pause_all, memory_order_relaxed)) return true;
    if (strcmp(call->command->name, "exec") == 0 && call->client->transaction != NULL)
        for (size_t i = 0; i < call->client->transaction->count; i++)
            writes |= (call->client->transaction->queue[i].command->flags & COMMAND_WRITE) != 0;
    return writes;
}

static inline bool is_paused(struct call *call)
{
    int64_t until_ms = atomic_load_explicit(&call->node->pause_until_ms, memory_order_relaxed);

    return until_ms != 0 && is_held_by_pause(call, until_ms);
}

/* A redirect is told when a command is queued, not only at EXEC. */
static bool may_queue(struct call *call)
{
    struct plan plan;
    bool admitted;

    plan_init(&plan);
    plan_command(&plan, call);
    admitted = plan.first_slot < 0 || lock_and_admit(call, &plan);
    if (admitted && plan.first_slot >= 0) slot_set_unlock(&plan.slots, call->node->keyspace);
    slot_set_free(&plan.slots);
    return admitted;
}

static inline bool has_big_value(const struct call *call)
{
    int arg = call->command->value_arg;

    return arg != 0 && call->argv[arg].len >= ENTRY_BIG_BYTES;
}

/* May the value be kept here, as far as the slot goes? */
static bool slot_is_here(struct slot *slot)
{
    struct owner owner;

    if (slot == NULL) return true;
    slot_lock(slot);
    owner = owner_unpack(slot_owner(slot));
    slot_unlock(slot);
    return owner.state == OWNER_HERE || (owner.flags & OWNER_IMPORTING) != 0;
}

/* Makes the entry that the command is to keep, where that takes long, and room for it: it may be far larger than what the command had room
 * for. For one that will be sent elsewhere nothing goes. */
static __attribute__((cold, noinline)) void make_incoming(struct call *call, struct slot *slot)
{
    call->made_incoming = *call->incoming == NULL;
    if (call->command->prepare != NULL)
        call->command->prepare(call);
    else
        intake_prepare(call);
    if (*call->incoming != NULL && slot_is_here(slot))
        eviction_make_way(call->node->eviction, entry_bytes(*call->incoming), call->now_ms);
}

/* One that will not be run is not kept, and EXEC does not ask where its keys are. */
static void queue_command(struct call *call, size_t number)
{
    struct client *client = call->client;

    if (!(client_flags(client) & CLIENT_DIRTY_EXEC)) {
        if (has_big_value(call)) intake_prepare(call);
        transaction_queue(client, call->command, number, call->argc, call->argv, call->incoming);
    }
    reply_simple(call->reply, "QUEUED");
}

/* A command that waits is read again, and its value made again; but what was read into place is not in the data any more. */
static __attribute__((cold, noinline)) void put_back(struct call *call)
{
    /* It will be counted when it runs. */
    count_up(&call->worker->counters.commands, (uint64_t)-1);
    if (call->made_incoming) intake_end(call->client);
}

/* A client that is at the wrong node is told that first. */
static void refuse_without_room(struct call *call, size_t number)
{
    if (may_queue(call)) room_reply_none(call);
    refuse(call, number, NULL);
}

enum outcome dispatch_request(struct call *call, const struct prepared *prepared, uint64_t *clock)
{
    struct client *client = call->client;
    size_t number;

    if (!resolve(call, prepared, &number)) return OUTCOME_DONE;
    if (!(client_flags(client) & CLIENT_AUTHENTICATED) && !(call->command->flags & COMMAND_NO_AUTH) &&
        config_int(call->node->config, requires_password)) {
        refuse(call, number, "NOAUTH Authentication required.");
        return OUTCOME_DONE;
    }
    if (__builtin_expect(client_flags(client) & CLIENT_SUBSCRIBED, 0) && !pubsub_admits(call)) {
        if (may_queue(call)) pubsub_refuse(call); /* one that is at the wrong node is told that first */
        refuse(call, number, NULL);
        return OUTCOME_DONE;
    }
    if ((client_flags(client) & CLIENT_MULTI) && (call->command->flags & COMMAND_NO_MULTI)) {
        refuse(call, number, "ERR Command not allowed inside a transaction");
        return OUTCOME_DONE;
    }
    bool queues = (client_flags(client) & CLIENT_MULTI) && !(call->command->flags & COMMAND_IN_MULTI);
    if (queues && !may_queue(call)) {
        refuse(call, number, NULL);
        return OUTCOME_DONE;
    }
    if (eviction_is_due(call->node->eviction) && !room_for(call)) {
        refuse_without_room(call, number);
        return OUTCOME_DONE;
    }
    if (is_paused(call) || ((call->command->flags & COMMAND_PUBLISHES) && pubsub_must_wait(call->worker)))
        return OUTCOME_PAUSED;
    if (__builtin_expect(client->park != NULL, 0) && park_refuses(call)) return OUTCOME_DONE;

    if (prepared->slot == NULL) call->previous = atomic_load_explicit(&client->last_command, memory_order_relaxed);
    atomic_store_explicit(&client->last_command, call->command, memory_order_relaxed);
    count_up(&call->worker->counters.commands, 1);
    if (queues) {
        queue_command(call, number);
        return OUTCOME_DONE;
    }
    if (call->command->prepare != NULL || has_big_value(call)) make_incoming(call, prepared->slot);
    if (prepared->slot != NULL)
        run_on_slot(call, prepared, clock);
    else
        run_on_slots(call, number, clock);
    if (__builtin_expect(!call->waits, 1)) return OUTCOME_DONE;
    put_back(call);
    return call->is_parked ? OUTCOME_PARKED : OUTCOME_PAUSED;
}
