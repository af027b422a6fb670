/* commands/client.c: CLIENT, as far as it is about the connection that asks. LIST, INFO and KILL are in client_list.c. */
#include "commands/client.h"

#include "base/clock.h"
#include "commands/client_list.h"
#include "server/call.h"
#include "server/client.h"
#include "server/node.h"
#include "server/park.h"
#include "server/worker.h"

#include <limits.h>

/* Names go into the lines of CLIENT LIST, where blanks and line ends separate. */
static bool text_is_printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '!' || text.data[i] > '~') return false;
    return true;
}

bool client_name_is_valid(struct call *call, struct bytes name)
{
    if (text_is_printable(name)) return true;
    reply_error(call->reply, "ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
}

/* ON or OFF at argument 2; false: has replied. */
static bool read_switch(struct call *call, bool *on)
{
    *on = call_arg_is(call, 2, "on");
    if (*on || call_arg_is(call, 2, "off")) return true;
    reply_error(call->reply, ERROR_SYNTAX);
    return false;
}

static const struct command_arg on_off_args[] = {
    { .name = "on", .type = ARG_PURE_TOKEN, .token = "ON" },
    { .name = "off", .type = ARG_PURE_TOKEN, .token = "OFF" },
    { .name = NULL },
};
static const struct command_arg enabled_args[] = {
    { .name = "enabled", .type = ARG_ONEOF, .args = on_off_args },
    { .name = NULL },
};

static void switch_flag(struct call *call, uint32_t flag)
{
    bool on;

    if (!read_switch(call, &on)) return;
    if (on)
        client_set(call->client, flag);
    else
        client_clear(call->client, flag);
    reply_ok(call->reply);
}

/* No connection tracks keys, so there is nothing to tell about any. */
static void client_caching(struct call *call)
{
    reply_error(call->reply, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
                             "OPTOUT mode enabled");
}

static const struct command_arg client_caching_mode_args[] = {
    { .name = "yes", .type = ARG_PURE_TOKEN, .token = "YES" },
    { .name = "no", .type = ARG_PURE_TOKEN, .token = "NO" },
    { .name = NULL },
};
static const struct command_arg client_caching_args[] = {
    { .name = "mode", .type = ARG_ONEOF, .args = client_caching_mode_args },
    { .name = NULL },
};
static const struct command command_client_caching = {
    .name = "caching",
    .parent = "client",
    .summary = "Say whether the keys of the next command are tracked",
    .since = "6.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = client_caching_args,
    .run = client_caching,
};

static void client_getname(struct call *call)
{
    if (call->client->name != NULL)
        reply_bulk_text(call->reply, call->client->name);
    else
        reply_null(call->reply);
}

static const struct command command_client_getname = {
    .name = "getname",
    .parent = "client",
    .summary = "Return the name of this connection",
    .since = "2.6.9",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .run = client_getname,
};

static void client_getredir(struct call *call)
{
    reply_integer(call->reply, -1);
}

static const struct command command_client_getredir = {
    .name = "getredir",
    .parent = "client",
    .summary = "Return which client gets the invalidations of this one",
    .since = "6.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .run = client_getredir,
};

static void client_help(struct call *call)
{
    static const char *const lines[] = {
        "CACHING (YES|NO)",
        "    Say whether the keys of the next command are tracked.",
        "GETNAME",
        "    The name of this connection.",
        "GETREDIR",
        "    Which client gets the invalidations of this one.",
        "ID",
        "    The number of this connection.",
        "INFO",
        "    This connection as a line of LIST.",
        "KILL <ip:port>",
        "    Close the connection from that address.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Close the connections that all options fit:",
        "    * ADDR, LADDR (<ip:port>|<unixsocket>:0): its address, or ours",
        "    * ID <client-id>, USER <username>",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "    * SKIPME (YES|NO): spare this connection (default: yes)",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)|ID <client-id> [...]]",
        "    One line for each connection.",
        "NO-EVICT (ON|OFF)",
        "    Keep this connection when client memory runs short.",
        "NO-TOUCH (ON|OFF)",
        "    Let reads of this connection leave the recency of keys alone.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Hold back all commands, or those that write, for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Switch replies to this connection on or off.",
        "SETINFO (LIB-NAME|LIB-VER) <text>",
        "    Name the client library and its version.",
        "SETNAME <name>",
        "    Name this connection.",
        "TRACKING (ON|OFF) [<option> ...]",
        "    Switch client-side caching on or off.",
        "TRACKINGINFO",
        "    The client-side caching of this connection.",
        "UNBLOCK <client-id> [TIMEOUT|ERROR]",
        "    Let a waiting client go on.",
        "UNPAUSE",
        "    End PAUSE.",
        NULL,
    };

    call_reply_help(call, lines);
}

static const struct command command_client_help = {
    .name = "help",
    .parent = "client",
    .summary = "List what CLIENT can do",
    .since = "5.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .run = client_help,
};

static void client_id(struct call *call)
{
    reply_integer(call->reply, (int64_t)call->client->id);
}

static const struct command command_client_id = {
    .name = "id",
    .parent = "client",
    .summary = "Return the number of this connection",
    .since = "5.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .run = client_id,
};

static const char *const client_info_tips[] = { "nondeterministic_output", NULL };
static const struct command command_client_info = {
    .name = "info",
    .parent = "client",
    .summary = "Describe this connection in the form of CLIENT LIST",
    .since = "6.2.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .tips = client_info_tips,
    .run = client_info,
};

static const struct command_arg client_kill_filter_new_format_normal_master_slave_pubsub_args[] = {
    { .name = "normal", .type = ARG_PURE_TOKEN, .token = "NORMAL" },
    { .name = "master", .type = ARG_PURE_TOKEN, .token = "MASTER", .since = "3.2.0" },
    { .name = "slave", .type = ARG_PURE_TOKEN, .token = "SLAVE" },
    { .name = "replica", .type = ARG_PURE_TOKEN, .token = "REPLICA", .since = "5.0.0" },
    { .name = "pubsub", .type = ARG_PURE_TOKEN, .token = "PUBSUB" },
    { .name = NULL },
};
static const struct command_arg client_kill_filter_new_format_args[] = {
    { .name = "client-id", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "ID", .since = "2.8.12" },
    { .name = "normal_master_slave_pubsub",
      .type = ARG_ONEOF,
      .flags = ARG_OPTIONAL,
      .token = "TYPE",
      .since = "2.8.12",
      .args = client_kill_filter_new_format_normal_master_slave_pubsub_args },
    { .name = "username", .type = ARG_STRING, .flags = ARG_OPTIONAL, .token = "USER" },
    { .name = "ip:port", .type = ARG_STRING, .flags = ARG_OPTIONAL, .token = "ADDR" },
    { .name = "ip:port", .type = ARG_STRING, .flags = ARG_OPTIONAL, .token = "LADDR", .since = "6.2.0" },
    { .name = "yes/no", .type = ARG_STRING, .flags = ARG_OPTIONAL, .token = "SKIPME" },
    { .name = NULL },
};
static const struct command_arg client_kill_filter_args[] = {
    { .name = "ip:port", .type = ARG_STRING, .deprecated_since = "2.8.12" },
    { .name = "new-format", .type = ARG_ONEOF, .flags = ARG_MULTIPLE, .args = client_kill_filter_new_format_args },
    { .name = NULL },
};
static const struct command_arg client_kill_args[] = {
    { .name = "filter", .type = ARG_ONEOF, .args = client_kill_filter_args },
    { .name = NULL },
};
static const struct command command_client_kill = {
    .name = "kill",
    .parent = "client",
    .summary = "Close connections chosen by address, number, type or user",
    .since = "2.4.0",
    .group = "connection",
    .complexity = "O(C) over the clients of the node",
    .history = COMMAND_HISTORY({ "2.8.12", "Options in place of an address." }, { "2.8.12", "ID." },
                               { "3.2.0", "TYPE master." }, { "5.0.0", "TYPE replica; slave means the same." },
                               { "6.2.0", "LADDR." }),
    .arity = -3,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_UNLOCKED,
    .acl = ACL_CONNECTION,
    .args = client_kill_args,
    .run = client_kill_matching,
};

static const struct command_arg client_list_normal_master_replica_pubsub_args[] = {
    { .name = "normal", .type = ARG_PURE_TOKEN, .token = "NORMAL" },
    { .name = "master", .type = ARG_PURE_TOKEN, .token = "MASTER" },
    { .name = "replica", .type = ARG_PURE_TOKEN, .token = "REPLICA" },
    { .name = "pubsub", .type = ARG_PURE_TOKEN, .token = "PUBSUB" },
    { .name = NULL },
};
static const struct command_arg client_list_id_args[] = {
    { .name = "client-id", .type = ARG_INTEGER, .flags = ARG_MULTIPLE },
    { .name = NULL },
};
static const struct command_arg client_list_args[] = {
    { .name = "normal_master_replica_pubsub",
      .type = ARG_ONEOF,
      .flags = ARG_OPTIONAL,
      .token = "TYPE",
      .since = "5.0.0",
      .args = client_list_normal_master_replica_pubsub_args },
    { .name = "id",
      .type = ARG_BLOCK,
      .flags = ARG_OPTIONAL,
      .token = "ID",
      .since = "6.2.0",
      .args = client_list_id_args },
    { .name = NULL },
};
static const char *const client_list_tips[] = { "nondeterministic_output", NULL };
static const struct command command_client_list = {
    .name = "list",
    .parent = "client",
    .summary = "Describe the connections of the node, one on each line",
    .since = "2.4.0",
    .group = "connection",
    .complexity = "O(C log C) over the clients of the node",
    .history = COMMAND_HISTORY({ "2.8.12", "Lines have the number of the client, id." }, { "5.0.0", "TYPE." },
                               { "6.0.0", "Lines have the user." },
                               { "6.2.0", "ID; lines have argv-mem, tot-mem, laddr and redir." },
                               { "7.0.0", "Lines have resp, multi-mem, rbs and rbp." }, { "7.0.3", "Lines have ssub." },
                               { "7.2.0", "Lines have lib-name and lib-ver." }),
    .arity = -2,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = client_list_args,
    .tips = client_list_tips,
    .run = client_list,
};

static void client_no_evict(struct call *call)
{
    switch_flag(call, CLIENT_NO_EVICT);
}

static const struct command command_client_no_evict = {
    .name = "no-evict",
    .parent = "client",
    .summary = "Keep this connection when client memory runs short",
    .since = "7.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = enabled_args,
    .run = client_no_evict,
};

static void client_no_touch(struct call *call)
{
    switch_flag(call, CLIENT_NO_TOUCH);
}

static const struct command command_client_no_touch = {
    .name = "no-touch",
    .parent = "client",
    .summary = "Let reads of this connection leave the recency of keys alone",
    .since = "7.2.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = enabled_args,
    .run = client_no_touch,
};

static void poke_workers(struct node *node)
{
    for (int i = 0; i < node->worker_count; i++) worker_poke(node->workers[i]);
}

/* A pause under way is never made shorter or weaker by another: only UNPAUSE ends it early. */
static void pause_clients(struct node *node, int64_t timeout_ms, bool all)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t until_ms, old_ms = atomic_load_explicit(&node->pause_until_ms, memory_order_relaxed);
    bool is_paused = old_ms > now_ms;

    /* As in Redis, a pause until beyond the end of time is none: nobody could end it. */
    if (__builtin_add_overflow(now_ms, timeout_ms, &until_ms)) return;
    if (!is_paused || all) atomic_store_explicit(&node->pause_all, all, memory_order_relaxed);
    if (!is_paused || until_ms > old_ms) atomic_store_explicit(&node->pause_until_ms, until_ms, memory_order_relaxed);
}

static void client_pause(struct call *call)
{
    int64_t timeout_ms;
    bool all = true;

    if (call->argc == 4) {
        all = call_arg_is(call, 3, "all");
        if (!all && !call_arg_is(call, 3, "write")) {
            reply_error(call->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
            return;
        }
    }
    if (!bytes_to_i64(call_arg(call, 2), &timeout_ms)) {
        reply_error(call->reply, "ERR timeout is not an integer or out of range");
        return;
    }
    if (timeout_ms < 0) {
        reply_error(call->reply, "ERR timeout is negative");
        return;
    }
    pause_clients(call->node, timeout_ms, all);
    reply_ok(call->reply);
}

static const struct command_arg client_pause_mode_args[] = {
    { .name = "write", .type = ARG_PURE_TOKEN, .token = "WRITE" },
    { .name = "all", .type = ARG_PURE_TOKEN, .token = "ALL" },
    { .name = NULL },
};
static const struct command_arg client_pause_args[] = {
    { .name = "timeout", .type = ARG_INTEGER },
    { .name = "mode", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .since = "6.2.0", .args = client_pause_mode_args },
    { .name = NULL },
};
static const struct command command_client_pause = {
    .name = "pause",
    .parent = "client",
    .summary = "Hold back the commands of clients for some time",
    .since = "2.9.50",
    .group = "connection",
    .complexity = "O(1)",
    .history = COMMAND_HISTORY({ "6.2.0", "WRITE and ALL." }),
    .arity = -3,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_UNLOCKED,
    .acl = ACL_CONNECTION,
    .args = client_pause_args,
    .run = client_pause,
};

static void client_reply(struct call *call)
{
    struct client *client = call->client;

    if (call_arg_is(call, 2, "on")) {
        client_clear(client, CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT);
        reply_ok(call->reply);
    } else if (call_arg_is(call, 2, "off")) {
        client_set(client, CLIENT_REPLY_OFF);
    } else if (call_arg_is(call, 2, "skip")) {
        if (!(client_flags(client) & CLIENT_REPLY_OFF)) client_set(client, CLIENT_REPLY_SKIP_NEXT);
    } else {
        reply_error(call->reply, ERROR_SYNTAX);
    }
}

static const struct command_arg client_reply_on_off_skip_args[] = {
    { .name = "on", .type = ARG_PURE_TOKEN, .token = "ON" },
    { .name = "off", .type = ARG_PURE_TOKEN, .token = "OFF" },
    { .name = "skip", .type = ARG_PURE_TOKEN, .token = "SKIP" },
    { .name = NULL },
};
static const struct command_arg client_reply_args[] = {
    { .name = "on_off_skip", .type = ARG_ONEOF, .args = client_reply_on_off_skip_args },
    { .name = NULL },
};
static const struct command command_client_reply = {
    .name = "reply",
    .parent = "client",
    .summary = "Switch replies to this connection on or off",
    .since = "3.2.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = client_reply_args,
    .run = client_reply,
};

static void client_setinfo(struct call *call)
{
    struct client *client = call->client;
    struct bytes attribute = call_arg(call, 2);
    bool is_name = bytes_is_word(attribute, "lib-name");

    if (!is_name && !bytes_is_word(attribute, "lib-ver")) {
        reply_errorf(call->reply, "ERR Unrecognized option '%.*s'", (int)(attribute.len & INT_MAX), attribute.data);
        return;
    }
    if (!text_is_printable(call_arg(call, 3))) {
        reply_errorf(call->reply, "ERR %.*s cannot contain spaces, newlines or special characters.", (int)attribute.len,
                     attribute.data);
        return;
    }
    client_set_text(client, is_name ? &client->lib_name : &client->lib_version, call_arg(call, 3));
    reply_ok(call->reply);
}

static const struct command_arg client_setinfo_attr_args[] = {
    { .name = "libname", .type = ARG_STRING, .token = "LIB-NAME" },
    { .name = "libver", .type = ARG_STRING, .token = "LIB-VER" },
    { .name = NULL },
};
static const struct command_arg client_setinfo_args[] = {
    { .name = "attr", .type = ARG_ONEOF, .args = client_setinfo_attr_args },
    { .name = NULL },
};
static const struct command command_client_setinfo = {
    .name = "setinfo",
    .parent = "client",
    .summary = "Tell the name or the version of the client library",
    .since = "7.2.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 4,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = client_setinfo_args,
    .run = client_setinfo,
};

static void client_setname(struct call *call)
{
    if (!client_name_is_valid(call, call_arg(call, 2))) return;
    client_set_text(call->client, &call->client->name, call_arg(call, 2));
    reply_ok(call->reply);
}

static const struct command_arg client_setname_args[] = {
    { .name = "connection-name", .type = ARG_STRING },
    { .name = NULL },
};
static const struct command command_client_setname = {
    .name = "setname",
    .parent = "client",
    .summary = "Name this connection",
    .since = "2.6.9",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = client_setname_args,
    .run = client_setname,
};

static void client_tracking(struct call *call)
{
    bool on;

    if (!read_switch(call, &on)) return;
    /* A client that was told OK would keep stale values for ever. */
    if (on)
        reply_error(call->reply, "ERR CLIENT TRACKING ON is not supported by this node");
    else
        reply_ok(call->reply);
}

static const struct command_arg client_tracking_args[] = {
    { .name = "status", .type = ARG_ONEOF, .args = on_off_args },
    { .name = "client-id", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "REDIRECT" },
    { .name = "prefix",
      .type = ARG_STRING,
      .flags = ARG_OPTIONAL | ARG_MULTIPLE | ARG_MULTIPLE_TOKEN,
      .token = "PREFIX" },
    { .name = "bcast", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "BCAST" },
    { .name = "optin", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "OPTIN" },
    { .name = "optout", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "OPTOUT" },
    { .name = "noloop", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "NOLOOP" },
    { .name = NULL },
};
static const struct command command_client_tracking = {
    .name = "tracking",
    .parent = "client",
    .summary = "Switch server-assisted client-side caching on or off",
    .since = "6.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = -3,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = client_tracking_args,
    .run = client_tracking,
};

static void client_trackinginfo(struct call *call)
{
    reply_map(call->reply, 3);
    reply_bulk_text(call->reply, "flags");
    reply_set(call->reply, 1);
    reply_bulk_text(call->reply, "off");
    reply_bulk_text(call->reply, "redirect");
    reply_integer(call->reply, -1);
    reply_bulk_text(call->reply, "prefixes");
    reply_array(call->reply, 0);
}

static const struct command command_client_trackinginfo = {
    .name = "trackinginfo",
    .parent = "client",
    .summary = "Describe the client-side caching of this connection",
    .since = "6.2.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .run = client_trackinginfo,
};

struct unblocking {
    uint64_t id;
    bool with_error, found;
};

static void unblock(void *context, struct client *client)
{
    struct unblocking *unblocking = context;

    if (client->id == unblocking->id && client_end_wait(client, unblocking->with_error)) unblocking->found = true;
}

/* Only of a command that waits for a key (server/park.h): MIGRATE does not let go, as in Redis. */
static void client_unblock(struct call *call)
{
    struct unblocking unblocking = { .with_error = call->argc == 4 && call_arg_is(call, 3, "error") };
    int64_t id;

    if (call->argc == 4 && !call_arg_is(call, 3, "timeout") && !call_arg_is(call, 3, "error")) {
        reply_error(call->reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return;
    }
    if (!call_arg_i64(call, 2, &id)) return;
    unblocking.id = (uint64_t)id;
    for (int i = 0; i < call->node->worker_count && !unblocking.found; i++)
        worker_each_client(call->node->workers[i], unblock, &unblocking);
    reply_integer(call->reply, unblocking.found);
}

static const struct command_arg client_unblock_timeout_error_args[] = {
    { .name = "timeout", .type = ARG_PURE_TOKEN, .token = "TIMEOUT" },
    { .name = "error", .type = ARG_PURE_TOKEN, .token = "ERROR" },
    { .name = NULL },
};
static const struct command_arg client_unblock_args[] = {
    { .name = "client-id", .type = ARG_INTEGER },
    { .name = "timeout_error", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = client_unblock_timeout_error_args },
    { .name = NULL },
};
static const struct command command_client_unblock = {
    .name = "unblock",
    .parent = "client",
    .summary = "Let go a client that waits in a blocking command",
    .since = "5.0.0",
    .group = "connection",
    .complexity = "O(C) over the clients of the node",
    .arity = -3,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_UNLOCKED,
    .acl = ACL_CONNECTION,
    .args = client_unblock_args,
    .run = client_unblock,
};

static void client_unpause(struct call *call)
{
    atomic_store_explicit(&call->node->pause_until_ms, 0, memory_order_relaxed);
    poke_workers(call->node);
    reply_ok(call->reply);
}

static const struct command command_client_unpause = {
    .name = "unpause",
    .parent = "client",
    .summary = "End CLIENT PAUSE",
    .since = "6.2.0",
    .group = "connection",
    .complexity = "O(C) over the paused clients",
    .arity = 2,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_UNLOCKED,
    .acl = ACL_CONNECTION,
    .run = client_unpause,
};

static const struct command *const client_subcommands[] = {
    &command_client_caching,
    &command_client_getname,
    &command_client_getredir,
    &command_client_help,
    &command_client_id,
    &command_client_info,
    &command_client_kill,
    &command_client_list,
    &command_client_no_evict,
    &command_client_no_touch,
    &command_client_pause,
    &command_client_reply,
    &command_client_setinfo,
    &command_client_setname,
    &command_client_tracking,
    &command_client_trackinginfo,
    &command_client_unblock,
    &command_client_unpause,
    NULL,
};
const struct command command_client = {
    .name = "client",
    .summary = "Commands about client connections",
    .since = "2.4.0",
    .group = "connection",
    .complexity = "Depends on the subcommand",
    .arity = -2,
    .subcommands = client_subcommands,
};
