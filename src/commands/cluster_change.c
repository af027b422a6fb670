/* CLUSTER subcommands that change the cluster. Arguments are read here, in the order in which the field's servers refuse them; what is
 * allowed is decided by the core, under the bus's lock. */
#include "commands/cluster_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "cache/fill.h"
#include "server/client.h"
#include "server/hold.h"
#include "store/lazyfree.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static void reply_outcome(struct call *call, const char *error)
{
    if (error[0] == '\0')
        reply_ok(call->reply);
    else
        reply_error(call->reply, error);
}

static bool holds_keys(struct call *call)
{
    return keyspace_counts(call->node->keyspace).keys > 0;
}

/* Takes the locks of all slots, but for those that EXEC holds: what looks whether there is any key, and gives the slots up where there is
 * none, is one step for everybody who writes. */
static void enter_all_slots(struct call *call)
{
    for (unsigned id = 0; id < SLOT_COUNT; id++) call_slot_enter(call, (uint16_t)id);
}

static void leave_all_slots(struct call *call)
{
    for (unsigned id = 0; id < SLOT_COUNT; id++)
        call_slot_leave(call, keyspace_slot(call->node->keyspace, (uint16_t)id));
}

bool cluster_arg_slot(struct call *call, int arg, uint16_t *slot)
{
    int64_t number;

    if (!bytes_to_i64(call->argv[arg], &number) || number < 0 || number >= (int64_t)SLOT_COUNT) {
        reply_error(call->reply, "ERR Invalid or out of range slot");
        return false;
    }
    *slot = (uint16_t)number;
    return true;
}

/* --- Slots given and taken --- */

/* Slots in the order they were named. One more than there are is kept at most: by then one was named twice, and the core says so. */
struct slot_list {
    size_t count;
    uint16_t slots[SLOT_COUNT + 1];
};

static void list_add(struct slot_list *list, uint16_t slot)
{
    if (list->count <= SLOT_COUNT) list->slots[list->count++] = slot;
}

/* With its lock held since before it changed hands; gives it back. */
static void leave_changed_slot(struct call *call, struct slot *slot)
{
    struct graveyard *lost = bus_take_lost_keys(call->node->bus, slot);

    call_slot_leave(call, slot);
    if (lost != NULL) lazyfree_bury(call->node->lazyfree, &lost);
}

static void change_slots(struct call *call, const struct slot_list *list, bool add)
{
    struct effects *effects;
    cluster_error error;
    struct cluster *cluster;

    /* One that nobody has is lost by nobody while it is added. */
    for (size_t i = 0; add && i < list->count && i < SLOT_COUNT; i++)
        leave_changed_slot(call, call_slot_enter(call, list->slots[i]));
    cluster = bus_lock(call->node->bus, &effects);
    if (add)
        cluster_add_slots(cluster, list->slots, list->count, call->now_ms, effects, error);
    else
        cluster_del_slots(cluster, list->slots, list->count, call->now_ms, effects, error);
    bus_unlock(call->node->bus);
    reply_outcome(call, error);
}

static void change_named_slots(struct call *call, bool add)
{
    struct slot_list *list = alloc(sizeof *list);
    uint16_t slot = 0;
    int arg;

    list->count = 0;
    for (arg = 2; arg < call->argc && cluster_arg_slot(call, arg, &slot); arg++) list_add(list, slot);
    if (arg == call->argc) change_slots(call, list, add);
    alloc_free(list);
}

/* Ranges are judged one after the other, so a slot that is busy in the first comes before a second that cannot be read. True where it
 * has replied. */
static bool refuse_ranges_so_far(struct call *call, const struct slot_list *list, bool add)
{
    uint8_t seen[SLOT_COUNT] = { 0 };
    struct effects *effects;
    struct cluster *cluster = bus_lock(call->node->bus, &effects);
    bool solo = cluster_is_solo(cluster);
    const char *problem = NULL;
    unsigned slot = 0;

    for (size_t i = 0; i < list->count && problem == NULL; i++) {
        bool owned;

        slot = list->slots[i];
        owned = !solo && cluster_slot_owner(cluster, list->slots[i]) >= 0;
        if (add && owned)
            problem = "ERR Slot %u is already busy";
        else if (!add && !owned)
            problem = "ERR Slot %u is already unassigned";
        else if (seen[slot]++)
            problem = "ERR Slot %u specified multiple times";
    }
    bus_unlock(call->node->bus);
    if (problem == NULL) return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    reply_errorf(call->reply, problem, slot);
#pragma GCC diagnostic pop
    return true;
}

static bool read_range(struct call *call, int arg, const struct slot_list *before, bool add, uint16_t *first,
                       uint16_t *last)
{
    int64_t a, b;
    bool readable = bytes_to_i64(call->argv[arg], &a) && a >= 0 && a < (int64_t)SLOT_COUNT &&
                    bytes_to_i64(call->argv[arg + 1], &b) && b >= 0 && b < (int64_t)SLOT_COUNT;

    if (readable && a <= b) {
        *first = (uint16_t)a;
        *last = (uint16_t)b;
        return true;
    }
    if (before->count > 0 && refuse_ranges_so_far(call, before, add)) return false;
    if (!readable)
        reply_error(call->reply, "ERR Invalid or out of range slot");
    else
        reply_errorf(call->reply, "ERR start slot number %d is greater than end slot number %d", (int)a, (int)b);
    return false;
}

static void change_slot_ranges(struct call *call, bool add)
{
    struct slot_list *list;
    uint16_t first = 0, last = 0;
    int arg;

    if (call->argc % 2 != 0) {
        reply_errorf(call->reply, "ERR wrong number of arguments for 'cluster|%s' command", call->command->name);
        return;
    }
    list = alloc(sizeof *list);
    list->count = 0;
    for (arg = 2; arg < call->argc && read_range(call, arg, list, add, &first, &last); arg += 2)
        for (unsigned slot = first; slot <= last; slot++) list_add(list, (uint16_t)slot);
    if (arg == call->argc) change_slots(call, list, add);
    alloc_free(list);
}

void cluster_cmd_addslots(struct call *call)
{
    change_named_slots(call, true);
}

void cluster_cmd_delslots(struct call *call)
{
    change_named_slots(call, false);
}

void cluster_cmd_addslotsrange(struct call *call)
{
    change_slot_ranges(call, true);
}

void cluster_cmd_delslotsrange(struct call *call)
{
    change_slot_ranges(call, false);
}

void cluster_cmd_flushslots(struct call *call)
{
    struct effects *effects;
    struct cluster *cluster;
    cluster_error error;

    enter_all_slots(call);
    cluster = bus_lock(call->node->bus, &effects);
    cluster_flush_slots(cluster, holds_keys(call), call->now_ms, effects, error);
    bus_unlock(call->node->bus);
    leave_all_slots(call);
    reply_outcome(call, error);
}

/* --- SETSLOT --- */

/* What was written to a slot while another node had it was not told here, and its floors do not come along. */
static void note_arrival(struct call *call, const struct slot *slot, uint64_t former_word)
{
    struct owner former = owner_unpack(former_word), owner = owner_unpack(slot_owner(slot));

    if (former.state == OWNER_ELSEWHERE && (owner.state == OWNER_HERE || (owner.flags & OWNER_IMPORTING) != 0))
        fills_slot_came(call->node->fills, slot_id(slot), call->now_ms);
}

/* Within EXEC nobody waits. */
static void reply_or_wait(struct call *call, const char *error)
{
    if (error[0] == '\0' && !call->in_exec)
        call->kept = call->node;
    else
        reply_outcome(call, error);
}

/* The form that looks at keys: they are counted under the slot's lock, which is held until the owner word has changed. */
static void setslot_node(struct call *call, uint16_t id)
{
    struct effects *effects;
    cluster_error error;
    struct slot *slot = call_slot_enter(call, id);
    uint64_t former_word = slot_owner(slot);
    /* A key on its way to another node is still here, also where its entry has expired meanwhile. */
    uint64_t keys = slot_counts(slot).keys + slot_has_keys_in_flight(slot);
    struct cluster *cluster = bus_lock(call->node->bus, &effects);

    cluster_setslot_node(cluster, id, call->argv[4], keys, call->now_ms, effects, error);
    bus_unlock(call->node->bus);
    note_arrival(call, slot, former_word);
    leave_changed_slot(call, slot);
    reply_or_wait(call, error);
}

static void setslot_migrating(struct call *call, uint16_t slot)
{
    struct effects *effects;
    cluster_error error;
    struct cluster *cluster = bus_lock(call->node->bus, &effects);

    cluster_setslot_migrating(cluster, slot, call->argv[4], call->now_ms, effects, error);
    bus_unlock(call->node->bus);
    reply_or_wait(call, error);
}

/* --- The reply to one that was given a slot, or begins to move one --- */

/* Whoever had OK would have the former owner give the slot up, and then nobody might have it after a restart of ours. */
#define UNSAVED "ERR The state of this node cannot be saved: the slot is its own, but others hear of it when it can be"

struct waiting_reply {
    struct bus_claim claim;
    struct hold *hold;
};

static void on_claim_settled(struct bus_claim *claim)
{
    struct waiting_reply *waiting = container_of(claim, struct waiting_reply, claim);

    hold_answer(waiting->hold, claim->is_unsaved, claim->is_unsaved ? UNSAVED : "OK");
    alloc_free(waiting);
}

/* With no lock held. Whoever moves slots goes on to others when we say OK, and tells the former owner to let go. That one must not hear a header of
 * ours, after that, which does not claim the slot: a Redis node would then hold it for nobody's, and give it to whoever claims it with whatever
 * epoch. Redis itself saves before it goes on; a worker may not wait for the disk, so the client does. Who begins to move one goes on to give it to the target, at either end: a
 * Redis node has to take it with a higher epoch than any that we claim it with, and we have to know with which it has what it gives us. */
void cluster_setslot_finish(struct call *call)
{
    struct bus_claim claim = { .begins = !call_arg_is(call, 3, "node"), .settled = on_claim_settled };
    struct waiting_reply *waiting;
    int64_t slot = 0;

    call->kept = NULL;
    bytes_to_i64(call->argv[2], &slot);
    claim.slot = (uint16_t)slot;
    if (bus_claim_is_settled(call->node->bus, &claim)) {
        reply_outcome(call, claim.is_unsaved ? UNSAVED : "");
        return;
    }
    waiting = alloc_zeroed(sizeof *waiting);
    waiting->claim = claim;
    list_init(&waiting->claim.link);
    waiting->hold = client_park(call->client);
    call->parked = waiting->hold;
    if (!bus_await_claim(call->node->bus, &waiting->claim)) on_claim_settled(&waiting->claim);
}

/* Keys that the slot had when it was lost must not be there, nor go, when the first of those that are to come has come. */
static void setslot_importing(struct call *call, uint16_t id)
{
    struct effects *effects;
    cluster_error error;
    struct slot *slot = call_slot_enter(call, id);
    uint64_t former_word = slot_owner(slot);
    struct cluster *cluster = bus_lock(call->node->bus, &effects);

    cluster_setslot_importing(cluster, id, call->argv[4], call->now_ms, effects, error);
    bus_unlock(call->node->bus);
    note_arrival(call, slot, former_word);
    leave_changed_slot(call, slot);
    reply_or_wait(call, error);
}

static bool is_replica(struct call *call)
{
    struct effects *effects;
    struct cluster_node_info myself;
    struct cluster *cluster = bus_lock(call->node->bus, &effects);
    bool replica = cluster_node_at(cluster, 0, &myself) && (myself.flags & NODE_IS_REPLICA);

    bus_unlock(call->node->bus);
    return replica;
}

void cluster_cmd_setslot(struct call *call)
{
    struct effects *effects;
    struct cluster *cluster;
    cluster_error error;
    uint16_t slot;

    if (is_replica(call)) {
        reply_error(call->reply, "ERR Please use SETSLOT only with masters.");
        return;
    }
    if (!cluster_arg_slot(call, 2, &slot)) return;
    if (call->argc == 5 && call_arg_is(call, 3, "node")) {
        setslot_node(call, slot);
        return;
    }
    if (call->argc == 5 && call_arg_is(call, 3, "importing")) {
        setslot_importing(call, slot);
        return;
    }
    if (call->argc == 5 && call_arg_is(call, 3, "migrating")) {
        setslot_migrating(call, slot);
        return;
    }
    cluster = bus_lock(call->node->bus, &effects);
    if (call->argc == 4 && call_arg_is(call, 3, "stable"))
        cluster_setslot_stable(cluster, slot, call->now_ms, effects, error);
    else
        snprintf(error, CLUSTER_ERROR_BYTES,
                 "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");
    bus_unlock(call->node->bus);
    reply_outcome(call, error);
}

/* --- Nodes --- */

/* The text of an argument, for an error line. */
#define SHOWN(bytes) (int)((bytes).len & INT_MAX), (bytes).data

void cluster_cmd_meet(struct call *call)
{
    struct effects *effects;
    struct cluster *cluster;
    cluster_error error;
    int64_t port, cport;

    if (call->argc > 5) {
        call_reply_subcommand_error(call);
        return;
    }
    if (!bytes_to_i64(call->argv[3], &port)) {
        reply_errorf(call->reply, "ERR Invalid TCP base port specified: %.*s", SHOWN(call->argv[3]));
        return;
    }
    if (call->argc == 5) {
        if (!bytes_to_i64(call->argv[4], &cport)) {
            reply_errorf(call->reply, "ERR Invalid TCP bus port specified: %.*s", SHOWN(call->argv[4]));
            return;
        }
    } else if (__builtin_add_overflow(port, 10000, &cport)) {
        cport = -1;
    }
    cluster = bus_lock(call->node->bus, &effects);
    cluster_meet(cluster, call->argv[2], port, cport, call->now_ms, effects, error);
    bus_unlock(call->node->bus);
    reply_outcome(call, error);
}

void cluster_cmd_forget(struct call *call)
{
    struct effects *effects;
    cluster_error error;
    struct cluster *cluster = bus_lock(call->node->bus, &effects);

    cluster_forget(cluster, call->argv[2], call->now_ms, effects, error);
    bus_unlock(call->node->bus);
    reply_outcome(call, error);
}

/* Everything a real replica would check, and then the truth. */
void cluster_cmd_replicate(struct call *call)
{
    struct effects *effects;
    struct cluster_node_info node, myself;
    struct cluster *cluster = bus_lock(call->node->bus, &effects);
    bool known = cluster_node_by_id(cluster, call->argv[2], &node);
    bool has_slots = cluster_node_at(cluster, 0, &myself) && myself.slot_count > 0 && !cluster_is_solo(cluster);

    bus_unlock(call->node->bus);
    if (!known)
        reply_errorf(call->reply, "ERR Unknown node %.*s", SHOWN(call->argv[2]));
    else if (node.index == myself.index)
        reply_error(call->reply, "ERR Can't replicate myself");
    else if (node.flags & NODE_IS_REPLICA)
        reply_error(call->reply, "ERR I can only replicate a master, not a replica.");
    else if (has_slots || holds_keys(call))
        reply_error(call->reply, "ERR To set a master the node must be empty and without assigned slots.");
    else
        reply_error(call->reply, "ERR This node cannot become a replica: replication is not supported yet");
}

void cluster_cmd_failover(struct call *call)
{
    if (call->argc > 3)
        call_reply_subcommand_error(call);
    else if (call->argc == 3 && !call_arg_is(call, 2, "force") && !call_arg_is(call, 2, "takeover"))
        reply_error(call->reply, ERROR_SYNTAX);
    else
        reply_error(call->reply, "ERR You should send CLUSTER FAILOVER to a replica");
}

void cluster_cmd_reset(struct call *call)
{
    struct effects *effects;
    struct cluster *cluster;
    cluster_error error;
    bool hard = false;

    if (call->argc > 3) {
        call_reply_subcommand_error(call);
        return;
    }
    if (call->argc == 3) {
        hard = call_arg_is(call, 2, "hard");
        if (!hard && !call_arg_is(call, 2, "soft")) {
            reply_error(call->reply, ERROR_SYNTAX);
            return;
        }
    }
    enter_all_slots(call);
    cluster = bus_lock(call->node->bus, &effects);
    cluster_reset(cluster, hard, holds_keys(call), call->now_ms, effects, error);
    bus_unlock(call->node->bus);
    leave_all_slots(call);
    if (hard && error[0] == '\0')
        call->kept = call->node->bus;
    else
        reply_outcome(call, error);
}

/* Who was told that this is another node finds it to be, also after a crash. */
void cluster_cmd_reset_wait(struct call *call)
{
    call->kept = NULL;
    if (bus_save_now(call->node->bus))
        reply_ok(call->reply);
    else
        reply_errorf(call->reply, "ERR the node has a new identity, which nobody hears of until it is on disk: %s",
                     strerror(errno));
}

/* --- Epochs and the state file --- */

void cluster_cmd_set_config_epoch(struct call *call)
{
    struct effects *effects;
    struct cluster *cluster;
    cluster_error error;
    int64_t epoch;

    if (!call_arg_i64(call, 2, &epoch)) return;
    cluster = bus_lock(call->node->bus, &effects);
    cluster_set_config_epoch(cluster, epoch, call->now_ms, effects, error);
    bus_unlock(call->node->bus);
    reply_outcome(call, error);
}

void cluster_cmd_bumpepoch(struct call *call)
{
    struct effects *effects;
    uint64_t epoch;
    struct cluster *cluster = bus_lock(call->node->bus, &effects);
    bool bumped = cluster_bump_epoch(cluster, &epoch, call->now_ms, effects);
    char text[16 + I64_TEXT_BYTES];

    bus_unlock(call->node->bus);
    snprintf(text, sizeof(text), "%s %llu", bumped ? "BUMPED" : "STILL", (unsigned long long)epoch);
    reply_simple(call->reply, text);
}

void cluster_cmd_saveconfig(struct call *call)
{
    if (bus_save_now(call->node->bus))
        reply_ok(call->reply);
    else
        reply_errorf(call->reply, "ERR error saving the cluster node config: %s", strerror(errno));
}
