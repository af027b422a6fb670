/* server/alias.h
 *
 * Commands on the names of a salted key (salt/name.h). A name stands for its base: where the base is at home the arguments are changed, and all goes
 * on as if the client had said the base; elsewhere reads are answered from a copy, where there is one, sums are added to, and all else is sent home.
 *
 *     the base's slot is here, or on its way here    the base instead of the name; redirects, too, are those of the base
 *     the name's slot is here                        a copy; or ASK <slot of the name> <home>, within MULTI MOVED
 *     neither                                        MOVED to where the name's slot is, as for any key; after ASKING, which a helper with a map of
 *                                                    before has caused, ASK home
 *
 * So a client that asks the owner of a name's slot is one hop from home, or two where that owner has a map of before. Several keys: each name counts as its base.
 *
 * Found by marks on the slots of names (salt/marks.h): while there are none on a command's slots all this costs a load, and a look at each slot's
 * count of marks where any key of the node has names. */
#pragma once

#include "server/plan.h"
#include "server/node.h"

struct aliases;
struct worker;

enum alias_outcome {
    ALIAS_NONE, /* it is to run as it is by now */
    ALIAS_SENT, /* it does not run here, and has been told where */
    ALIAS_READ, /* it has run, on a copy or as part of a sum */
};

/* Before the plan's locks are taken, with none held: puts bases in the place of names, in call->argv and the plan, which are good until the next call on
 * this worker. may_run: it may be answered from a copy at once. */
enum alias_outcome alias_replace(struct call *call, struct plan *plan, bool may_run);
static inline enum alias_outcome alias_settle(struct call *call, struct plan *plan, bool may_run)
{
    if (__builtin_expect(atomic_load_explicit(&call->node->salt_marks, memory_order_relaxed) == 0, 1))
        return ALIAS_NONE;
    return plan_has_marks(plan, call->node->keyspace) ? alias_replace(call, plan, may_run) : ALIAS_NONE;
}

/* The value that was made for a name, if any, becomes one of the base: before it is kept or queued. */
void alias_take_value(struct call *call);
/* The command has run: frees what that took. */
void alias_end(struct worker *worker);

/* Of commands that were queued when their keys were no names yet. */
void alias_settle_queue(struct call *call);

void alias_free(struct worker *worker);
