/* commands/saltlink.c: SALTLINK, what the nodes of a cluster say to each other about salted keys (salt/wire.h). Not for users. */
#include "commands/commands.h"
#include "server/call.h"
#include "server/client.h"
#include "server/node.h"
#include "salt/wire.h"
#include "server/salt_home.h"

static void saltlink(struct call *call)
{
    struct salt_message message;
    struct salt_value value;
    const char *error = NULL;

    if (call->node->salt_home == NULL) {
        reply_error(call->reply, "ERR This instance has cluster support disabled");
        return;
    }
    if (!salt_wire_read(call->argv + 1, (size_t)call->argc - 1, true, &message, &value)) {
        reply_error(call->reply, "ERR invalid SALTLINK message");
        return;
    }
    if (salt_home_message(call, &message, &error))
        reply_ok(call->reply);
    else
        reply_error(call->reply, error);
}

#define SALTLINK_FLAGS                                                                                                 \
    (COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_NO_MULTI | COMMAND_UNLOCKED |        \
     COMMAND_CLUSTER_ONLY)
#define SAID(variable, name_, summary_, arity_)                                                                        \
    static const struct command variable = { .name = name_,                                                            \
                                             .summary = summary_,                                                      \
                                             .parent = "saltlink",                                                     \
                                             .since = "7.2.4",                                                         \
                                             .group = "cluster",                                                       \
                                             .complexity = "O(1)",                                                     \
                                             .is_system = true,                                                        \
                                             .arity = arity_,                                                          \
                                             .flags = SALTLINK_FLAGS,                                                  \
                                             .run = saltlink }

SAID(command_hello, "hello", "Internal: a node that has names of salted keys says who it is", 4);
SAID(command_renew, "renew", "Internal: asks for a lease of all its copies", 3);
SAID(command_join, "join", "Internal: wants a salted key's value, and each later one", 5);
SAID(command_leave, "leave", "Internal: wants no more of them", 4);
SAID(command_ack, "ack", "Internal: has dropped a value that is not good any more", 5);
SAID(command_fold, "fold", "Internal: brings what was added to a sum elsewhere", 6);
SAID(command_reads, "reads", "Internal: tells how often a copy of a salted key was read", 4);

static const struct command *const saltlink_subcommands[] = {
    &command_hello, &command_renew, &command_join, &command_leave, &command_ack, &command_fold, &command_reads, NULL
};

static const struct command command_saltlink = {
    .name = "saltlink",
    .summary = "Internal: what nodes say to each other about salted keys",
    .since = "7.2.4",
    .group = "cluster",
    .complexity = "Depends on the subcommand",
    .is_system = true,
    .arity = -2,
    .flags = SALTLINK_FLAGS,
    .subcommands = saltlink_subcommands,
};

const struct command *const commands_saltlink[] = { &command_saltlink, NULL };
