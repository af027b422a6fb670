#include "server/plan.h"

#include "bus/bus.h"
#include "cluster/open.h"
#include "cluster/redirect.h"
#include "salt/marks.h"
#include "server/salt_home.h"
#include "server/transaction.h"
#include "server/worker_internal.h"

#include <assert.h>
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

void plan_init(struct plan *plan)
{
    slot_set_init(&plan->slots);
    plan->first_slot = -1;
    plan->cross_slot = plan->several_keys = plan->writes = plan->migrates = plan->asking = plan->by_name = false;
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

void plan_command(struct plan *plan, const struct call *call)
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
    size_t salted_sent;               /* of those, salted ones that may have arrived */
};

/* Helpers may send names of it to the other node at once, which may write: what was here is then not to be told any more. */
static bool is_salted_and_sent(const struct slot *slot, struct bytes key)
{
    uint64_t hash = slot_hash(key);

    return slot_find_mark(slot, SLOT_MARK_IN_FLIGHT, hash, key)->is_sent && salt_marks_has_names(slot, hash, key);
}

/* A key in flight is here until that is over. */
static void count_presence(void *context, int arg, const struct key_spec *spec)
{
    struct presence *presence = context;
    struct bytes key = presence->call->argv[arg];
    const struct slot *slot = keyspace_slot(presence->call->node->keyspace, key_slot(key));
    bool is_there = slot_peek(slot, key, presence->call->now_ms) != NULL, in_flight = slot_is_in_flight(slot, key);

    if (spec->flags & KEY_NOT_KEY) return;
    presence->in_flight += in_flight;
    presence->salted_sent += in_flight && is_salted_and_sent(slot, key);
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

/* Of a key that has not come yet, after ASKING: is that perhaps not a word of the source of this import? Helpers send names home with ASK by the map that
 * they have: where home was here once, and the slot is on its way back, the key may be at its source yet, and a second one must not be born here. Nobody who
 * never was home is taken for it, nor who all know to be none. And a command that has lain here, behind one whose reply had to wait, may be of an
 * import before: the slot has come, and gone, and the key with it. RESTORE-ASKING is its source's own. */
static bool is_of_hearsay(const struct call *call, const struct plan *plan, const struct slot *slot)
{
    const struct client *client = call->client;
    bool by_map =
             plan->by_name && call->node->salt_home != NULL && salt_home_was_here(call->node->salt_home, slot_id(slot)),
         has_waited = !plan->asking && (client_flags(client) & CLIENT_WAITED) != 0;
    struct effects *effects;
    const struct cluster *cluster;

    if (!by_map && !has_waited) return false;
    cluster = bus_lock(call->node->bus, &effects);
    by_map = by_map && !cluster_all_know(cluster, slot_id(slot));
    has_waited = has_waited && client->waited_since_ms <= cluster_slot_worked_ms(cluster, slot_id(slot));
    bus_unlock(call->node->bus);
    return by_map || has_waited;
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
    facts.of_hearsay = (owner.flags & OWNER_IMPORTING) != 0 && facts.asking && facts.keys_missing > 0 &&
                       is_of_hearsay(call, plan, slot);
    redirect = redirect_for(&facts);
    if (redirect == REDIRECT_TRYAGAIN && !plan->several_keys) {
        reply_error(call->reply, "TRYAGAIN The key may be on its way here");
        return false;
    }
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

bool plan_lock(struct call *call, struct plan *plan)
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

__attribute__((cold, noinline)) bool plan_needs_keys_in_flight(struct call *call, const struct plan *plan)
{
    struct presence presence;

    count_keys(call, &presence);
    if (presence.gone_in_flight + presence.salted_sent == 0 && !(plan->writes && presence.in_flight > 0)) return false;
    call_wait_for_keys(call);
    return true;
}
