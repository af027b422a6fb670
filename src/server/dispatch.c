/* server/dispatch.c
 *
 * One request is checked, redirected or run under its slots' locks. The order of the checks is the wire contract's: unknown, arity,
 * authentication, transaction, redirect, pause, queue or run. */
#include "server/dispatch.h"

#include "base/clock.h"
#include "bus/bus.h"
#include "cache/eviction.h"
#include "cache/hot_reads.h"
#include "cache/hotkeys_line.h"
#include "cache/policy.h"
#include "server/alias.h"
#include "server/build.h"
#include "server/hold.h"
#include "server/park.h"
#include "server/plan.h"
#include "server/pubsub.h"
#include "server/room.h"
#include "server/run.h"
#include "server/salt_home.h"
#include "server/salt_spread.h"
#include "server/transaction.h"

#include <ctype.h>
#include <string.h>

/* --- Running --- */

/* True: finish() has handed the command to another thread, and it is counted when that has answered. */
static __attribute__((cold, noinline)) bool finish_parks(struct call *call, size_t number, uint64_t *clock)
{
    struct slow_entry *slow;

    call->command->finish(call);
    call->kept = NULL;
    if (call->parked == NULL) return false;
    slow = run_slow_entry(call, call->command, call->argc, call->argv);
    hold_count(call->parked, call->command, number, *clock, &slow);
    *clock = clock_ticks();
    return true;
}

/* The locks are given back by now. *clock as for run_finish(), and so is what is returned: nothing where somebody else is at work on it. */
static inline __attribute__((always_inline)) uint64_t end_command(struct call *call, size_t number, uint64_t errors,
                                                                  uint64_t *clock)
{
    uint64_t ns = 0;

    if (__builtin_expect(call->kept == NULL, 1) || !finish_parks(call, number, clock)) {
        ns = run_finish(call, number, errors, clock);
        run_log_if_slow(call, call->command, call->argc, call->argv, ns);
    }
    run_tell_monitors(call);
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

static inline bool any_is_spread(const struct node *node)
{
    return __builtin_expect(atomic_load_explicit(&node->salt_spreads, memory_order_relaxed) > 0, 0);
}

/* Checks and runs, everything under the slots' locks. False: it may not run here. */
static bool run_locked(struct call *call, struct plan *plan)
{
    if (!plan_lock(call, plan)) return false;
    if (plan_waits_for_keys(call, plan)) {
        slot_set_unlock(&plan->slots, call->node->keyspace);
        return false;
    }
    if (plan->by_name && any_is_spread(call->node)) salt_spread_note_name(call, plan);
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
static void run_planned(struct call *call, size_t number, uint64_t *clock)
{
    struct plan plan;
    uint64_t errors = call->reply->errors, replied = cost_replied(call->reply);
    enum alias_outcome alias;
    bool ran;

    plan_init(&plan);
    plan_command(&plan, call);
    alias = alias_settle(call, &plan, true);
    ran = alias == ALIAS_READ;
    if (alias == ALIAS_NONE) {
        if (__builtin_expect(call->worker->aliases != NULL, 0)) alias_take_value(call);
        do ran = run_locked(call, &plan);
        while (ran && call->builds != NULL && build_all(call));
        build_end(call);
    }
    if (ran && !call->waits) {
        uint64_t ns = end_command(call, number, errors, clock);

        cost_note_keys(call, &plan.keys, cost_replied(call->reply) - replied, ns);
    } else if (!call->waits && (client_flags(call->client) & CLIENT_MULTI)) {
        client_set(call->client, CLIENT_DIRTY_EXEC);
    }
    slot_set_free(&plan.slots);
    if (__builtin_expect(call->worker->aliases != NULL, 0)) alias_end(call->worker);
}

/* Is the key of a slot that has marks one of those that have them, other than for being salted; or salted, and its clients are led elsewhere? */
static __attribute__((noinline)) bool key_is_marked(const struct call *call, const struct prepared *prepared)
{
    struct bytes key = call->argv[call->command->keys[0].first];

    return slot_find_mark(prepared->slot, SLOT_MARK_NAME, prepared->hash, key) != NULL ||
           slot_find_mark(prepared->slot, SLOT_MARK_IN_FLIGHT, prepared->hash, key) != NULL ||
           (any_is_spread(call->node) && salt_spread_concerns(call, prepared->slot, prepared->hash));
}

/* A key of this slot is hot: is it this one, and its value published? Then that is the reply, and the lock is not taken. */
static __attribute__((noinline)) bool answer_published(struct call *call, const struct prepared *prepared)
{
    struct node *node = call->node;
    struct hot_question question = { .slot = prepared->slot,
                                     .hash = prepared->hash,
                                     .key = call->argv[call->command->keys[0].first],
                                     .now_ms = call->now_ms,
                                     .rules = policies_changes(node->policies),
                                     .touches = !call->no_touch };
    struct bytes value;
    bool found;

    if (node->bus != NULL && !bus_state_ok(node->bus)) return false;
    if (any_is_spread(node) && salt_spread_is_due(salt_spread_word(node->salt_spread, slot_id(prepared->slot)),
                                                  prepared->hash, call->client->told))
        return false;
    reclaim_enter(&call->worker->reader);
    found = hot_read(node->hot_reads, (unsigned)call->worker->index, &question, &value);
    if (found) reply_bulk(call->reply, value);
    reclaim_leave(&call->worker->reader);
    call->publishes = !found;
    if (!found) return false;
    count_up(&call->worker->counters.hits, 1);
    count_up(&call->worker->counters.hot_reads, 1);
    return true;
}

/* The same, and withholds the reply where others have to hear of a change first. */
static void run_on_slots(struct call *call, size_t number, uint64_t *clock)
{
    struct salt_notes notes;

    if (call->node->salt_home == NULL) {
        run_planned(call, number, clock);
        return;
    }
    salt_home_begin(&notes, call);
    run_planned(call, number, clock);
    salt_home_settle(&notes);
}

/* A write of a salted key may have to wait for others; and then more is to be done than here. */
static inline bool tells_of_writes(const struct call *call, const struct slot *slot)
{
    return slot_has_feeds(slot) && (call->command->flags & COMMAND_WRITE) != 0 && call->node->salt_home != NULL &&
           salt_home_watches(call->node->salt_home, slot);
}

/* Runs under the slot's lock alone. False: it waits, or more was to be done than that, and it was. */
static inline __attribute__((always_inline)) bool run_with_slot(struct call *call, const struct prepared *prepared,
                                                                uint64_t *clock)
{
    struct node *node = call->node;
    struct slot *slot = prepared->slot;
    struct owner owner;

    slot_lock(slot);
    owner = owner_unpack(slot_owner(slot));
    if (owner.state != OWNER_HERE || owner.flags != 0 || (slot_has_marks(slot) && key_is_marked(call, prepared)) ||
        tells_of_writes(call, slot) || (node->bus != NULL && !bus_state_ok(node->bus))) {
        slot_unlock(slot);
        call->publishes = false;
        run_on_slots(call, prepared->number, clock);
        return false;
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
        return false;
    }
    return __builtin_expect(!call->waits, 1);
}

/* The usual command, with one key: no plan is made. */
static void run_on_slot(struct call *call, const struct prepared *prepared, uint64_t *clock)
{
    uint64_t errors = call->reply->errors, replied = cost_replied(call->reply), ns;
    bool is_answered = hotkeys_any_in(call->node->hotkeys, slot_id(prepared->slot)) &&
                       (call->command->flags & COMMAND_GIVES_VALUE) && answer_published(call, prepared);

    if (!is_answered && !run_with_slot(call, prepared, clock)) return;
    ns = end_command(call, prepared->number, errors, clock);
    cost_note_key(call, prepared, cost_replied(call->reply) - replied, ns);
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
    admitted = alias_settle(call, &plan, false) == ALIAS_NONE && (plan.first_slot < 0 || plan_lock(call, &plan));
    if (admitted && plan.first_slot >= 0) slot_set_unlock(&plan.slots, call->node->keyspace);
    slot_set_free(&plan.slots);
    return admitted;
}

static inline bool has_big_value(const struct call *call)
{
    int arg = call->command->value_arg;

    return arg != 0 && call->argv[arg].len >= ENTRY_BIG_BYTES;
}

/* Will the value be kept here? Another thread may change that before the command runs: then others have gone for it, or it is over the limit until the
 * next command. */
static bool will_be_kept(const struct call *call, struct slot *slot)
{
    struct owner owner;
    bool is_kept;

    if (slot == NULL) return true;
    slot_lock(slot);
    owner = owner_unpack(slot_owner(slot));
    is_kept = (owner.state == OWNER_HERE || (owner.flags & OWNER_IMPORTING) != 0) &&
              (call->command->keeps == NULL || call->command->keeps(call, slot));
    slot_unlock(slot);
    return is_kept;
}

/* Makes the entry that the command is to keep, where that takes long, and room for it: it may be far larger than what the command had room
 * for. For one that will be sent elsewhere, or refused, nothing goes. */
static __attribute__((cold, noinline)) void make_incoming(struct call *call, struct slot *slot)
{
    struct eviction *eviction = call->node->eviction;
    size_t bytes;

    call->made_incoming = *call->incoming == NULL;
    if (call->command->prepare != NULL)
        call->command->prepare(call);
    else
        intake_prepare(call);
    if (*call->incoming == NULL) return;
    bytes = entry_bytes(*call->incoming);
    if (eviction_lacks_way(eviction, bytes) && will_be_kept(call, slot))
        eviction_make_way(eviction, bytes, call->now_ms);
}

/* One that will not be run is not kept, and EXEC does not ask where its keys are. */
static void queue_command(struct call *call, size_t number)
{
    struct client *client = call->client;

    if (!(client_flags(client) & CLIENT_DIRTY_EXEC)) {
        if (has_big_value(call)) intake_prepare(call);
        if (__builtin_expect(call->worker->aliases != NULL, 0)) alias_take_value(call);
        transaction_queue(client, call->command, number, call->argc, call->argv, call->incoming);
    }
    reply_simple(call->reply, "QUEUED");
}

/* A command that waits is read again, and its value made again; but what was read into place is not in the data any more. */
static __attribute__((cold, noinline)) void put_back(struct call *call)
{
    /* It will be counted when it runs. */
    count_down(&call->worker->counters.commands);
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
