/* server/plan.h
 *
 * Which slots a command, or a transaction's queue, needs; takes their locks and says whether it may run here. */
#pragma once

#include "server/cost.h"
#include "server/slot_set.h"

/* What the keys of a command, or of a whole transaction, need. */
struct plan {
    struct slot_set slots;
    int first_slot; /* of the first key; -1 without keys */
    bool cross_slot;
    bool several_keys;
    bool writes, migrates, asking;
    bool by_name; /* the client said a name of a salted key */
    struct bytes first_key;
    const struct call *call; /* whose keys are being added */
    struct cost_keys keys;   /* of one command; of several they are none's */
};

void plan_init(struct plan *plan);
/* Adds what one command needs; of several, each. The slots are the caller's to slot_set_free(). */
void plan_command(struct plan *plan, const struct call *call);

/* Takes the locks the plan needs and decides. True: the locks are held and the caller runs and unlocks. False: has replied and holds nothing. */
bool plan_lock(struct call *call, struct plan *plan);

/* --- With the slots locked --- */

static inline bool plan_has_marks(const struct plan *plan, struct keyspace *keyspace)
{
    for (size_t i = 0; i < plan->slots.count; i++)
        if (slot_has_marks(keyspace_slot(keyspace, plan->slots.ids[i]))) return true;
    return false;
}

/* Of one that has. It replies nothing, and the call is to wait, where it says so. */
bool plan_needs_keys_in_flight(struct call *call, const struct plan *plan);

/* Has the command to do with a key that is being sent to another node (transfer/migration.h)? It may be read as long as it is here (a salted one, until
 * it is sent); all else waits until it is known where it is. */
static inline bool plan_waits_for_keys(struct call *call, const struct plan *plan)
{
    return plan_has_marks(plan, call->node->keyspace) && plan_needs_keys_in_flight(call, plan);
}
