/* commands/keys_flush.c: FLUSHALL and FLUSHDB, which are the same here.
 *
 * Each slot gives its whole table away under its lock, which takes no time; freeing millions of entries does, and movers do it with no
 * lock held. SYNC, too: nobody can see an entry that no table leads to, and a worker that frees for a second would let
 * all its clients wait for it. */
#include "cache/fill.h"
#include "commands/keys_internal.h"
#include "server/node.h"
#include "store/graveyard.h"
#include "store/lazyfree.h"

static struct graveyard *bury_everything(struct call *call)
{
    struct graveyard *graveyard = graveyard_new(SLOT_COUNT);

    for (uint16_t id = 0; id < SLOT_COUNT; id++) {
        struct slot *slot;

        /* Nobody can tell whether a key that is being written at this moment came before or after us. */
        if (slot_counts(keyspace_slot(call->node->keyspace, id)).keys == 0 && !fills_are_used(call->node->fills, id))
            continue;
        slot = call_slot_enter(call, id);
        slot_detach_all(slot, graveyard);
        call_slot_leave(call, slot);
    }
    return graveyard;
}

static void flushall(struct call *call)
{
    struct graveyard *graveyard;

    if (call->argc > 2 || (call->argc == 2 && !call_arg_is(call, 1, "async") && !call_arg_is(call, 1, "sync"))) {
        reply_error(call->reply, ERROR_SYNTAX);
        return;
    }
    graveyard = bury_everything(call);
    lazyfree_bury(call->node->lazyfree, &graveyard);
    reply_ok(call->reply);
}

static const struct command_arg flush_choice_args[] = {
    { .name = "async", .type = ARG_PURE_TOKEN, .token = "ASYNC", .since = "4.0.0" },
    { .name = "sync", .type = ARG_PURE_TOKEN, .token = "SYNC", .since = "6.2.0" },
    { .name = NULL },
};
static const struct command_arg flush_args[] = {
    { .name = "async", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = flush_choice_args },
    { .name = NULL },
};
static const char *const flush_tips[] = { "request_policy:all_shards", "response_policy:all_succeeded", NULL };

const struct command command_flushall = {
    .name = "flushall",
    .summary = "Delete all keys of the node.",
    .since = "1.0.0",
    .group = "server",
    .complexity = "O(1) in the number of keys: their memory comes back in the background",
    .history = COMMAND_HISTORY({ "4.0.0", "ASYNC." }, { "6.2.0", "SYNC." }),
    .arity = -1,
    .flags = COMMAND_WRITE | COMMAND_ALL_SLOTS,
    .acl = ACL_KEYSPACE | ACL_DANGEROUS,
    .args = flush_args,
    .tips = flush_tips,
    .run = flushall,
};

const struct command command_flushdb = {
    .name = "flushdb",
    .summary = "Delete all keys of the node; the same as FLUSHALL, as there is one database.",
    .since = "1.0.0",
    .group = "server",
    .complexity = "O(1) in the number of keys: their memory comes back in the background",
    .history = COMMAND_HISTORY({ "4.0.0", "ASYNC." }, { "6.2.0", "SYNC." }),
    .arity = -1,
    .flags = COMMAND_WRITE | COMMAND_ALL_SLOTS,
    .acl = ACL_KEYSPACE | ACL_DANGEROUS,
    .args = flush_args,
    .tips = flush_tips,
    .run = flushall,
};
