/* commands/transactions.c: MULTI, EXEC, DISCARD, WATCH, UNWATCH. */
#include "commands/commands.h"
#include "server/call.h"
#include "server/client.h"
#include "server/transaction.h"

static void multi(struct call *call)
{
    if (client_flags(call->client) & CLIENT_MULTI) {
        reply_error(call->reply, "ERR MULTI calls can not be nested");
        return;
    }
    client_set(call->client, CLIENT_MULTI);
    reply_ok(call->reply);
}

static void exec(struct call *call)
{
    if (!(client_flags(call->client) & CLIENT_MULTI)) {
        reply_error(call->reply, "ERR EXEC without MULTI");
        return;
    }
    transaction_exec(call);
}

static void discard(struct call *call)
{
    if (!(client_flags(call->client) & CLIENT_MULTI)) {
        reply_error(call->reply, "ERR DISCARD without MULTI");
        return;
    }
    client_discard_transaction(call->client);
    reply_ok(call->reply);
}

static void watch(struct call *call)
{
    if (client_flags(call->client) & CLIENT_MULTI) {
        reply_error(call->reply, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    for (int arg = 1; arg < call->argc; arg++)
        transaction_watch(call->client, call_slot(call, arg), call_arg(call, arg), call->now_ms);
    reply_ok(call->reply);
}

static void unwatch(struct call *call)
{
    transaction_unwatch(call->client, call->held);
    reply_ok(call->reply);
}

#define COMMON (COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST)

static const struct command command_multi = {
    .name = "multi",
    .summary = "Begin a transaction: the commands that follow are queued.",
    .since = "1.2.0",
    .group = "transactions",
    .complexity = "O(1)",
    .arity = 1,
    .flags = COMMON | COMMAND_ALLOW_BUSY | COMMAND_IN_MULTI,
    .acl = ACL_TRANSACTION,
    .run = multi,
};

static const struct command command_exec = {
    .name = "exec",
    .summary = "Run the queued commands of a transaction, if no watched key has changed.",
    .since = "1.2.0",
    .group = "transactions",
    .complexity = "Depends on commands in the transaction",
    .arity = 1,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_SKIP_SLOWLOG | COMMAND_IN_MULTI,
    .acl = ACL_TRANSACTION,
    .run = exec,
};

static const struct command command_discard = {
    .name = "discard",
    .summary = "Drop a transaction and its watches.",
    .since = "2.0.0",
    .group = "transactions",
    .complexity = "O(N), when N is the number of queued commands",
    .arity = 1,
    .flags = COMMON | COMMAND_ALLOW_BUSY | COMMAND_IN_MULTI,
    .acl = ACL_TRANSACTION,
    .run = discard,
};

static const struct command_arg watch_args[] = {
    { .name = "key", .type = ARG_KEY, .flags = ARG_MULTIPLE, .key_spec = 0 },
    { .name = NULL },
};

static const struct command command_watch = {
    .name = "watch",
    .summary = "Watch keys: EXEC runs only if none of them has changed since.",
    .since = "2.2.0",
    .group = "transactions",
    .complexity = "O(1) for every key.",
    .arity = -2,
    .flags = COMMON | COMMAND_ALLOW_BUSY | COMMAND_IN_MULTI,
    .acl = ACL_TRANSACTION,
    .keys = { { .first = 1, .last = -1, .step = 1, .flags = KEY_RO } },
    .args = watch_args,
    .run = watch,
};

static const struct command command_unwatch = {
    .name = "unwatch",
    .summary = "Forget all watched keys.",
    .since = "2.2.0",
    .group = "transactions",
    .complexity = "O(1)",
    .arity = 1,
    .flags = COMMON | COMMAND_ALLOW_BUSY,
    .acl = ACL_TRANSACTION,
    .run = unwatch,
};

const struct command *const commands_transactions[] = {
    &command_multi, &command_exec, &command_discard, &command_watch, &command_unwatch, NULL,
};
