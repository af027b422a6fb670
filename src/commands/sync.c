/* commands/sync.c: SYNC and PSYNC: all keys as a file, for who makes a backup (server/snapshot.h). REPLCONF is what such a client says
 * before. There are no replicas: one that would follow is told so, rather than left with what it got at the beginning. */
#include "commands/server.h"
#include "server/call.h"
#include "server/client.h"
#include "server/node.h"
#include "server/snapshot.h"

#include <limits.h>
#include <stdio.h>

/* True: has replied. By this word a Redis replica knows that it is to ask again in a second; at any other it would at once, for ever. */
static bool refuse_replica(struct call *call)
{
    uint32_t flags = client_flags(call->client);

    if (!(flags & CLIENT_FOLLOWS) || (flags & CLIENT_RDB_ONLY)) return false;
    reply_error(call->reply, "NOMASTERLINK This node has no replicas. A backup is had with REPLCONF rdb-only 1 before "
                             "SYNC or PSYNC.");
    return true;
}

static void begin(struct call *call)
{
    atomic_fetch_add_explicit(&call->node->snapshots_begun, 1, memory_order_relaxed);
    client_monitor(call->client, false); /* whose lines would stand in the middle of the file */
    snapshot_begin(call->client, !(client_flags(call->client) & CLIENT_RDB_NO_KEYS));
}

static void sync_run(struct call *call)
{
    if (!refuse_replica(call)) begin(call);
}

/* There is no stream of changes to go on with, so whatever was had before, all comes again. */
static void psync_run(struct call *call)
{
    char line[sizeof("FULLRESYNC  0") + sizeof(call->node->run_id)];
    int64_t offset;

    if (!call_arg_i64(call, 2, &offset) || refuse_replica(call)) return;
    snprintf(line, sizeof(line), "FULLRESYNC %s 0", call->node->run_id);
    reply_simple(call->reply, line);
    begin(call);
}

/* --- REPLCONF --- */

static void set_flag(struct client *client, uint32_t flag, bool on)
{
    if (on)
        client_set(client, flag);
    else
        client_clear(client, flag);
}

/* False: has replied, or nothing is to be. */
static bool take_option(struct call *call, int arg)
{
    int64_t number;

    if (call_arg_is(call, arg, "listening-port")) {
        if (!call_arg_i64(call, arg + 1, &number)) return false;
        client_set(call->client, CLIENT_FOLLOWS);
    } else if (call_arg_is(call, arg, "rdb-only")) {
        if (!call_arg_i64(call, arg + 1, &number)) return false;
        if (number < 0 || number > 1) {
            reply_error(call->reply, "ERR value is out of range, value must between 0 and 1");
            return false;
        }
        set_flag(call->client, CLIENT_RDB_ONLY, number == 1);
    } else if (call_arg_is(call, arg, "rdb-filter-only")) {
        struct bytes filter = call_arg(call, arg + 1);
        bool functions = bytes_is_word(filter, "functions");

        if (!functions && filter.len > 0) {
            reply_errorf(call->reply, "ERR Unsupported rdb-filter-only option: %.*s", (int)(filter.len & INT_MAX),
                         filter.data);
            return false;
        }
        set_flag(call->client, CLIENT_RDB_NO_KEYS, functions);
    } else if (call_arg_is(call, arg, "ack") || call_arg_is(call, arg, "getack")) {
        return call->in_exec; /* where a reply has to stand */
    } else if (!call_arg_is(call, arg, "ip-address") && !call_arg_is(call, arg, "capa") &&
               !call_arg_is(call, arg, "version")) {
        struct bytes name = call_arg(call, arg);

        reply_errorf(call->reply, "ERR Unrecognized REPLCONF option: %.*s", (int)(name.len & INT_MAX), name.data);
        return false;
    }
    return true;
}

static void replconf(struct call *call)
{
    if (call->argc % 2 == 0) {
        reply_error(call->reply, ERROR_SYNTAX);
        return;
    }
    for (int arg = 1; arg < call->argc; arg += 2)
        if (!take_option(call, arg)) return;
    reply_ok(call->reply);
}

/* --- Descriptors --- */

#define SYNC_FLAGS (COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_NO_ASYNC_LOADING | COMMAND_NO_MULTI)

static const struct command_arg psync_args[] = { { .name = "replicationid", .type = ARG_STRING },
                                                 { .name = "offset", .type = ARG_INTEGER },
                                                 { .name = NULL } };

const struct command command_sync = {
    .name = "sync",
    .summary = "Send all keys as a file, for a backup",
    .since = "1.0.0",
    .group = "server",
    .arity = 1,
    .flags = SYNC_FLAGS,
    .run = sync_run,
};
const struct command command_psync = {
    .name = "psync",
    .summary = "The same, with the position of a replica, which is always the beginning",
    .since = "2.8.0",
    .group = "server",
    .arity = -3,
    .flags = SYNC_FLAGS,
    .args = psync_args,
    .run = psync_run,
};
const struct command command_replconf = {
    .name = "replconf",
    .summary = "Say what the file that SYNC sends is for",
    .since = "3.0.0",
    .group = "server",
    .complexity = "O(1)",
    .is_system = true,
    .arity = -1,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_ALLOW_BUSY,
    .run = replconf,
};
