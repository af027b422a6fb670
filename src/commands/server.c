/* commands/server.c: commands about the node as a whole, and the table of them. The larger ones have files of their own. */
#include "commands/server.h"

#include "base/clock.h"
#include "bus/bus.h"
#include "commands/commands.h"
#include "server/call.h"
#include "server/client.h"
#include "server/node.h"

static void lastsave(struct call *call)
{
    reply_integer(call->reply, call->node->started_ms / 1000);
}

static const char *const lastsave_tips[] = { "nondeterministic_output", NULL };
static const struct command command_lastsave = {
    .name = "lastsave",
    .summary = "Return when the data was last on disk",
    .since = "1.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 1,
    .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
    .acl = ACL_ADMIN | ACL_DANGEROUS,
    .tips = lastsave_tips,
    .run = lastsave,
};

static void monitor(struct call *call)
{
    if (call->in_exec) {
        reply_error(call->reply, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    client_monitor(call->client, true);
    reply_ok(call->reply);
}

static const struct command command_monitor = {
    .name = "monitor",
    .summary = "Follow all commands the node runs, as they come",
    .since = "1.0.0",
    .group = "server",
    .arity = 1,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .run = monitor,
};

static void time_now(struct call *call)
{
    int64_t now_us = clock_wall_us();

    reply_array(call->reply, 2);
    reply_bulk_i64(call->reply, now_us / 1000000);
    reply_bulk_i64(call->reply, now_us % 1000000);
}

static const char *const time_tips[] = { "nondeterministic_output", NULL };
static const struct command command_time = {
    .name = "time",
    .summary = "Return the time of the node",
    .since = "2.6.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 1,
    .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
    .tips = time_tips,
    .run = time_now,
};

static void role(struct call *call)
{
    reply_array(call->reply, 3);
    reply_bulk_text(call->reply, "master");
    reply_integer(call->reply, 0);
    reply_array(call->reply, 0);
}

static const struct command command_role = {
    .name = "role",
    .summary = "Return the role of the node in replication",
    .since = "2.8.12",
    .group = "server",
    .complexity = "O(1)",
    .arity = 1,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
    .acl = ACL_ADMIN | ACL_DANGEROUS,
    .run = role,
};

enum { SHUTDOWN_NOSAVE = 1, SHUTDOWN_SAVE = 2, SHUTDOWN_NOW = 4, SHUTDOWN_FORCE = 8 };

/* False where the words make no sense together. */
static bool read_shutdown(struct call *call, int *flags, bool *abort)
{
    for (int arg = 1; arg < call->argc; arg++) {
        if (call_arg_is(call, arg, "nosave"))
            *flags |= SHUTDOWN_NOSAVE;
        else if (call_arg_is(call, arg, "save"))
            *flags |= SHUTDOWN_SAVE;
        else if (call_arg_is(call, arg, "now"))
            *flags |= SHUTDOWN_NOW;
        else if (call_arg_is(call, arg, "force"))
            *flags |= SHUTDOWN_FORCE;
        else if (call_arg_is(call, arg, "abort"))
            *abort = true;
        else
            return false;
    }
    return !(*abort && *flags != 0) && !((*flags & SHUTDOWN_NOSAVE) && (*flags & SHUTDOWN_SAVE));
}

static void shutdown_node(struct call *call)
{
    int flags = 0;
    bool abort = false;

    if (!read_shutdown(call, &flags, &abort)) {
        reply_error(call->reply, ERROR_SYNTAX);
        return;
    }
    if (abort) {
        reply_error(call->reply, "ERR No shutdown in progress.");
        return;
    }
    /* Who asks for SAVE would lose keys they believe safe. */
    if ((flags & SHUTDOWN_SAVE) && !(flags & SHUTDOWN_FORCE)) {
        reply_error(call->reply, "ERR Errors trying to SHUTDOWN. Check logs.");
        return;
    }
    node_shutdown(call->node);
}

static const struct command_arg shutdown_nosave_save_args[] = {
    { .name = "nosave", .type = ARG_PURE_TOKEN, .token = "NOSAVE" },
    { .name = "save", .type = ARG_PURE_TOKEN, .token = "SAVE" },
    { .name = NULL },
};
static const struct command_arg shutdown_args[] = {
    { .name = "nosave_save", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = shutdown_nosave_save_args },
    { .name = "now", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "NOW", .since = "7.0.0" },
    { .name = "force", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "FORCE", .since = "7.0.0" },
    { .name = "abort", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "ABORT", .since = "7.0.0" },
    { .name = NULL },
};
static const struct command command_shutdown = {
    .name = "shutdown",
    .summary = "End the process",
    .since = "1.0.0",
    .group = "server",
    .complexity = "O(1)",
    .history = COMMAND_HISTORY({ "7.0.0", "NOW, FORCE and ABORT." }),
    .arity = -1,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_NO_MULTI | COMMAND_ALLOW_BUSY,
    .args = shutdown_args,
    .run = shutdown_node,
};

static void swapdb(struct call *call)
{
    int64_t first, second;

    if (call->node->bus != NULL)
        reply_error(call->reply, "ERR SWAPDB is not allowed in cluster mode");
    else if (!bytes_to_i64(call_arg(call, 1), &first) || first < INT32_MIN || first > INT32_MAX)
        reply_error(call->reply, "ERR invalid first DB index");
    else if (!bytes_to_i64(call_arg(call, 2), &second) || second < INT32_MIN || second > INT32_MAX)
        reply_error(call->reply, "ERR invalid second DB index");
    else if (first != 0 || second != 0)
        reply_error(call->reply, "ERR DB index is out of range");
    else
        reply_ok(call->reply);
}

static const struct command_arg swapdb_args[] = {
    { .name = "index1", .type = ARG_INTEGER },
    { .name = "index2", .type = ARG_INTEGER },
    { .name = NULL },
};
static const struct command command_swapdb = {
    .name = "swapdb",
    .summary = "Swap two databases; there is only number 0",
    .since = "4.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_WRITE | COMMAND_FAST,
    .acl = ACL_KEYSPACE | ACL_DANGEROUS,
    .args = swapdb_args,
    .run = swapdb,
};

static void replicaof(struct call *call)
{
    int64_t port;

    if (call->node->bus != NULL)
        reply_error(call->reply, "ERR REPLICAOF not allowed in cluster mode.");
    else if (call_arg_is(call, 1, "no") && call_arg_is(call, 2, "one"))
        reply_ok(call->reply);
    else if (!bytes_to_i64(call_arg(call, 2), &port) || port < 0 || port > UINT16_MAX)
        reply_error(call->reply, "ERR Invalid master port");
    else
        reply_error(call->reply, "ERR REPLICAOF is not supported by this node");
}

static const struct command_arg replicaof_args_host_port_args[] = {
    { .name = "host", .type = ARG_STRING },
    { .name = "port", .type = ARG_INTEGER },
    { .name = NULL },
};
static const struct command_arg replicaof_args_no_one_args[] = {
    { .name = "no", .type = ARG_PURE_TOKEN, .token = "NO" },
    { .name = "one", .type = ARG_PURE_TOKEN, .token = "ONE" },
    { .name = NULL },
};
static const struct command_arg replicaof_args_args[] = {
    { .name = "host-port", .type = ARG_BLOCK, .args = replicaof_args_host_port_args },
    { .name = "no-one", .type = ARG_BLOCK, .args = replicaof_args_no_one_args },
    { .name = NULL },
};
static const struct command_arg replicaof_args[] = {
    { .name = "args", .type = ARG_ONEOF, .args = replicaof_args_args },
    { .name = NULL },
};
static const struct command command_replicaof = {
    .name = "replicaof",
    .summary = "Make the node a replica of another; not in a cluster",
    .since = "5.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_STALE | COMMAND_NO_ASYNC_LOADING,
    .args = replicaof_args,
    .run = replicaof,
};

static const struct command_arg slaveof_args_host_port_args[] = {
    { .name = "host", .type = ARG_STRING },
    { .name = "port", .type = ARG_INTEGER },
    { .name = NULL },
};
static const struct command_arg slaveof_args_no_one_args[] = {
    { .name = "no", .type = ARG_PURE_TOKEN, .token = "NO" },
    { .name = "one", .type = ARG_PURE_TOKEN, .token = "ONE" },
    { .name = NULL },
};
static const struct command_arg slaveof_args_args[] = {
    { .name = "host-port", .type = ARG_BLOCK, .args = slaveof_args_host_port_args },
    { .name = "no-one", .type = ARG_BLOCK, .args = slaveof_args_no_one_args },
    { .name = NULL },
};
static const struct command_arg slaveof_args[] = {
    { .name = "args", .type = ARG_ONEOF, .args = slaveof_args_args },
    { .name = NULL },
};
static const struct command command_slaveof = {
    .name = "slaveof",
    .summary = "The older name of REPLICAOF",
    .since = "1.0.0",
    .group = "server",
    .complexity = "O(1)",
    .deprecated_since = "5.0.0",
    .replaced_by = "`REPLICAOF`",
    .arity = 3,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_STALE | COMMAND_NO_ASYNC_LOADING,
    .args = slaveof_args,
    .run = replicaof,
};

/* TO host port [FORCE] and TIMEOUT ms. False: has replied. */
static bool parse_failover_options(struct call *call)
{
    bool has_target = false, has_timeout = false, has_force = false;
    int64_t timeout_ms, port;

    for (int arg = 1; arg < call->argc; arg++) {
        if (call_arg_is(call, arg, "timeout") && arg + 1 < call->argc && !has_timeout) {
            if (!call_arg_i64(call, ++arg, &timeout_ms)) return false;
            if (timeout_ms <= 0) {
                reply_error(call->reply, "ERR FAILOVER timeout must be greater than 0");
                return false;
            }
            has_timeout = true;
        } else if (call_arg_is(call, arg, "to") && arg + 2 < call->argc && !has_target) {
            if (!call_arg_i64(call, arg + 2, &port)) return false;
            arg += 2;
            has_target = true;
        } else if (call_arg_is(call, arg, "force") && !has_force) {
            has_force = true;
        } else {
            reply_error(call->reply, ERROR_SYNTAX);
            return false;
        }
    }
    return true;
}

static void failover(struct call *call)
{
    if (call->node->bus != NULL)
        reply_error(call->reply, "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.");
    else if (call->argc == 2 && call_arg_is(call, 1, "abort"))
        reply_error(call->reply, "ERR No failover in progress.");
    else if (parse_failover_options(call))
        reply_error(call->reply, "ERR FAILOVER requires connected replicas.");
}

static const struct command_arg failover_target_args[] = {
    { .name = "host", .type = ARG_STRING },
    { .name = "port", .type = ARG_INTEGER },
    { .name = "force", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "FORCE" },
    { .name = NULL },
};
static const struct command_arg failover_args[] = {
    { .name = "target", .type = ARG_BLOCK, .flags = ARG_OPTIONAL, .token = "TO", .args = failover_target_args },
    { .name = "abort", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "ABORT" },
    { .name = "milliseconds", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "TIMEOUT" },
    { .name = NULL },
};
static const struct command command_failover = {
    .name = "failover",
    .summary = "Hand over to a replica; not in a cluster, where CLUSTER FAILOVER does it",
    .since = "6.2.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = -1,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_STALE,
    .args = failover_args,
    .run = failover,
};

/* There are no replicas to wait for, so waiting any longer would not bring one. */
static void wait_for_replicas(struct call *call)
{
    int64_t replicas, timeout_ms;

    if (!call_arg_i64(call, 1, &replicas)) return;
    if (!bytes_to_i64(call_arg(call, 2), &timeout_ms))
        reply_error(call->reply, "ERR timeout is not an integer or out of range");
    else if (timeout_ms < 0)
        reply_error(call->reply, "ERR timeout is negative");
    else
        reply_integer(call->reply, 0);
}

static const struct command_arg wait_args[] = {
    { .name = "numreplicas", .type = ARG_INTEGER },
    { .name = "timeout", .type = ARG_INTEGER },
    { .name = NULL },
};
static const char *const wait_tips[] = { "request_policy:all_shards", "response_policy:agg_min", NULL };
static const struct command command_wait = {
    .name = "wait",
    .summary = "Wait until replicas have the writes of this connection",
    .since = "3.0.0",
    .group = "generic",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_NOSCRIPT,
    .acl = ACL_CONNECTION,
    .args = wait_args,
    .tips = wait_tips,
    .run = wait_for_replicas,
};

const struct command *const commands_server[] = {
    &command_acl,     &command_command,  &command_debug,     &command_failover, &command_function, &command_hotkeys,
    &command_info,    &command_lastsave, &command_latency,   &command_memory,   &command_module,   &command_monitor,
    &command_psync,   &command_replconf, &command_replicaof, &command_role,     &command_shutdown, &command_slaveof,
    &command_slowlog, &command_swapdb,   &command_sync,      &command_time,     &command_wait,     NULL,
};
