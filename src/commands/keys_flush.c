/* commands/keys_flush.c: FLUSHALL and FLUSHDB, which are the same here.
 *
 * Each slot gives its whole table away under its lock, which takes no time; freeing millions of entries does, and is done with no lock
 * held: by this thread (SYNC), or by one that is started for it (ASYNC). */
#include "base/alloc.h"
#include "commands/keys_internal.h"
#include "server/node.h"

#include <pthread.h>

struct graves {
    uint64_t keys; /* in all of them */
    size_t count, cap;
    struct slot_graveyard **items;
};

static void graves_add(struct graves *graves, struct slot_graveyard *graveyard)
{
    if (graves->count == graves->cap) {
        graves->cap = graves->cap == 0 ? 64 : graves->cap * 2;
        graves->items = alloc_resize(graves->items, graves->cap * sizeof(*graves->items));
    }
    graves->items[graves->count++] = graveyard;
}

static void graves_free(struct graves *graves)
{
    for (size_t i = 0; i < graves->count; i++) slot_graveyard_free(&graves->items[i]);
    alloc_free(graves->items);
    alloc_free(graves);
}

static void *free_in_background(void *graves)
{
    graves_free(graves);
    return NULL;
}

/* Takes the graves. */
static void graves_free_later(struct graves *graves)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, free_in_background, graves) == 0)
        pthread_detach(thread);
    else
        graves_free(graves); /* slower, but done */
}

static struct graves *bury_everything(struct call *call)
{
    struct graves *graves = alloc_zeroed(sizeof(*graves));

    for (uint16_t id = 0; id < SLOT_COUNT; id++) {
        struct slot *slot = call_slot_enter(call, id);
        uint64_t keys = slot_counts(slot).keys;
        struct slot_graveyard *graveyard = slot_detach_all(slot);

        call_slot_leave(call, slot);
        if (graveyard == NULL) continue;
        graves_add(graves, graveyard);
        graves->keys += keys;
    }
    return graves;
}

/* So few are freed sooner than a thread is started; and nobody can start threads by flushing next to nothing. */
#define FEW_KEYS 10000u

static void flushall(struct call *call)
{
    bool later = config_int(call->node->config, lazyfree_lazy_user_flush) != 0;
    struct graves *graves;

    if (call->argc == 2 && call_arg_is(call, 1, "async")) {
        later = true;
    } else if (call->argc == 2 && call_arg_is(call, 1, "sync")) {
        later = false;
    } else if (call->argc > 1) {
        reply_error(call->reply, ERROR_SYNTAX);
        return;
    }
    graves = bury_everything(call);
    /* In a transaction all locks are held, and nobody should wait for them that long. */
    if ((later || call->in_exec) && graves->keys > FEW_KEYS)
        graves_free_later(graves);
    else
        graves_free(graves);
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
    .complexity = "O(N) for N keys; with ASYNC in the background",
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
    .complexity = "O(N) for N keys; with ASYNC in the background",
    .arity = -1,
    .flags = COMMAND_WRITE | COMMAND_ALL_SLOTS,
    .acl = ACL_KEYSPACE | ACL_DANGEROUS,
    .args = flush_args,
    .tips = flush_tips,
    .run = flushall,
};
