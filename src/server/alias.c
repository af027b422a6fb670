#include "server/alias.h"

#include "base/alloc.h"
#include "bus/bus.h"
#include "salt/marks.h"
#include "server/salt_read.h"
#include "server/salt_spread.h"
#include "server/salt_sum.h"
#include "server/transaction.h"
#include "server/worker_internal.h"

#include <string.h>

#define KEPT_BYTES_MAX (64u << 10) /* between two commands */

/* A worker's, for the command that runs. */
struct aliases {
    struct replaced {
        int arg;
        size_t offset, len; /* in bases */
    } * replaced;
    size_t count, cap;
    struct buf bases;
    struct bytes *argv; /* as it is to be */
    size_t argv_cap;
    struct entry *entry; /* the value that was made for a name, as one of the base */
};

static struct aliases *aliases_of(struct worker *worker)
{
    if (worker->aliases == NULL) worker->aliases = alloc_zeroed(sizeof(*worker->aliases));
    return worker->aliases;
}

void alias_end(struct worker *worker)
{
    struct aliases *aliases = worker->aliases;

    if (aliases == NULL) return;
    if (aliases->entry != NULL) entry_free(&aliases->entry);
    aliases->count = 0;
    buf_clear(&aliases->bases);
    if (aliases->argv_cap * sizeof(*aliases->argv) <= KEPT_BYTES_MAX && aliases->bases.cap <= KEPT_BYTES_MAX) return;
    alloc_free(aliases->argv);
    alloc_free(aliases->replaced);
    buf_free(&aliases->bases);
    *aliases = (struct aliases){ 0 };
}

void alias_free(struct worker *worker)
{
    struct aliases *aliases = worker->aliases;

    if (aliases == NULL) return;
    alias_end(worker);
    alloc_free(aliases->argv);
    alloc_free(aliases->replaced);
    buf_free(&aliases->bases);
    alloc_free(aliases);
    worker->aliases = NULL;
}

/* --- Finding names --- */

struct search {
    const struct call *call;
    struct aliases *found;
};

static void note(struct aliases *aliases, int arg, struct bytes base)
{
    if (aliases->count == aliases->cap) {
        aliases->cap = aliases->cap == 0 ? 4 : aliases->cap * 2;
        aliases->replaced = alloc_resize(aliases->replaced, aliases->cap * sizeof(*aliases->replaced));
    }
    aliases->replaced[aliases->count++] = (struct replaced){ arg, aliases->bases.len, base.len };
    buf_append_bytes(&aliases->bases, base);
}

static void find_name(void *context, int arg, const struct key_spec *spec)
{
    struct search *search = context;
    struct bytes key = search->call->argv[arg];
    struct slot *slot = keyspace_slot(search->call->node->keyspace, key_slot(key));
    struct salt_base base;

    if ((spec->flags & KEY_NOT_KEY) || !slot_has_marks(slot)) return;
    slot_lock(slot);
    if (salt_marks_base(slot, slot_hash(key), key, &base)) note(search->found, arg, base.key);
    slot_unlock(slot);
}

/* The arguments with bases for names, or NULL where there are no names. Lent until the next call on this worker. */
static const struct bytes *replaced(const struct call *call)
{
    struct search search = { call, aliases_of(call->worker) };
    struct aliases *found = search.found;

    alias_end(call->worker);
    command_keys(call->command, call->argc, call->argv, find_name, &search);
    if (found->count == 0) return NULL;
    if (found->argv_cap < (size_t)call->argc) {
        found->argv_cap = (size_t)call->argc;
        found->argv = alloc_resize(found->argv, found->argv_cap * sizeof(*found->argv));
    }
    memcpy(found->argv, call->argv, (size_t)call->argc * sizeof(*found->argv));
    for (size_t i = 0; i < found->count; i++)
        found->argv[found->replaced[i].arg] =
            (struct bytes){ found->bases.data + found->replaced[i].offset, found->replaced[i].len };
    return found->argv;
}

/* --- One command --- */

static void plan_anew(struct call *call, struct plan *plan, const struct bytes *argv)
{
    call->argv = argv;
    slot_set_free(&plan->slots);
    plan_init(plan);
    plan_command(plan, call);
}

static struct owner owner_of(const struct call *call, int slot)
{
    return owner_unpack(slot_owner(keyspace_slot(call->node->keyspace, (uint16_t)slot)));
}

static bool is_asking(const struct call *call, const struct plan *plan)
{
    return plan->asking || (client_flags(call->client) & CLIENT_ASKING) != 0;
}

static bool is_served(const struct call *call, const struct plan *plan, struct owner owner)
{
    return owner.state == OWNER_HERE || (is_asking(call, plan) && (owner.flags & OWNER_IMPORTING) != 0);
}

static void send_home(struct call *call, int slot, struct owner home)
{
    char endpoint[256];
    uint16_t port;

    bus_endpoint(call->node->bus, home.node, endpoint, &port);
    reply_errorf(call->reply, "%s %d %s:%u", client_flags(call->client) & CLIENT_MULTI ? "MOVED" : "ASK", slot,
                 endpoint, port);
    count_up(&call->worker->counters.salt_sent_home, 1);
}

/* Is the one key of the command enough of here to answer it? */
static bool is_answered_here(struct call *call, const struct plan *plan)
{
    struct bytes base;

    if (plan->several_keys || (client_flags(call->client) & CLIENT_MULTI)) return false;
    base = call->argv[call->command->keys[0].first];
    if ((call->command->flags & COMMAND_TELLS_VALUES) != 0 && salt_read(call, base)) return true;
    return salt_sum(call, base);
}

enum alias_outcome alias_replace(struct call *call, struct plan *plan, bool may_run)
{
    const struct bytes *former = call->argv, *argv = replaced(call);
    int slot = plan->first_slot;
    struct owner home;

    if (argv == NULL) return salt_spread_settle(call, plan, may_run);
    plan_anew(call, plan, argv);
    plan->by_name = true;
    home = owner_of(call, plan->first_slot);
    /* Served here, or refused as the base would be: unowned, or across slots. */
    if (plan->cross_slot || home.state == OWNER_NOBODY || is_served(call, plan, home)) {
        count_up(&call->worker->counters.salt_served, 1);
        return ALIAS_NONE;
    }
    if (is_served(call, plan, owner_of(call, slot))) {
        if (may_run && is_answered_here(call, plan)) return ALIAS_READ;
        send_home(call, slot, home);
        return ALIAS_SENT;
    }
    /* Sent by a helper that takes this node for home: back there, and it would be sent here again. */
    if (is_asking(call, plan) && !(client_flags(call->client) & CLIENT_MULTI)) {
        send_home(call, slot, home);
        return ALIAS_SENT;
    }
    plan_anew(call, plan, former);
    return ALIAS_NONE;
}

/* Its key is in it. */
static struct entry *renamed(const struct entry *entry, struct bytes key)
{
    struct entry_attributes attributes = entry_attributes(entry);

    return entry_new_attributed(key, entry_value(entry), entry_expires_at_ms(entry), &attributes);
}

void alias_take_value(struct call *call)
{
    struct aliases *aliases = call->worker->aliases;
    struct bytes key;

    if (*call->incoming == NULL || aliases == NULL || call->argv != aliases->argv) return;
    key = call->argv[call->command->keys[0].first];
    if (bytes_equal(entry_key(*call->incoming), key)) return;
    aliases->entry = renamed(*call->incoming, key);
    call->incoming = &aliases->entry;
    if (call->command->value_arg != 0) aliases->argv[call->command->value_arg] = entry_value(aliases->entry);
}

/* --- A transaction --- */

void alias_settle_queue(struct call *call)
{
    struct transaction *transaction = transaction_of(call->client);

    if (atomic_load_explicit(&call->node->salt_marks, memory_order_relaxed) == 0) return;
    for (size_t i = 0; i < transaction->count; i++) {
        struct queued_command *queued = &transaction->queue[i];
        struct call inner = *call;
        const struct bytes *argv;

        inner.command = queued->command;
        inner.argc = queued->argc;
        inner.argv = queued->argv;
        argv = replaced(&inner);
        if (argv == NULL) continue;
        if (queued->entry != NULL) {
            struct entry *entry = renamed(queued->entry, argv[queued->command->keys[0].first]);

            entry_free(&queued->entry);
            queued->entry = entry;
        }
        transaction_set_arguments(queued, argv);
    }
    alias_end(call->worker);
}
