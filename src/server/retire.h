/* server/retire.h
 *
 * What a client has queued since MULTI and WATCHed, when it wants it no more. It may be millions of allocations, and feeds on all slots: too much for one
 * turn of the worker's loop. So the movers free it, a piece at a time (base/mover.h).
 *
 * Watches that wait for that hang on their slots as before, and are told of changes that concern nobody. */
#pragma once

#include "server/transaction.h"

struct node;
struct retired;

/* Takes what a transaction holds. Little is freed at once, and so is what comes while the movers do not keep up: whoever makes the work then does it. So is
 * all where the caller has locks: those of the slots in `held`, or NULL. */
void retire(struct node *node, const struct transaction *gone, const struct slot_set *held);

/* What is posted, and a piece of it: so many commands and watched keys. True while there is more; it frees itself behind the last. For tests. */
struct retired *retired_new(struct node *node, const struct transaction *gone);
bool retired_free_some(struct retired *retired, size_t most);
