/* commands/connection.c: AUTH, HELLO and the other commands about the connection itself. CLIENT is in client.c and client_list.c. */
#include "base/log.h"
#include "bus/bus.h"
#include "commands/client.h"
#include "commands/client_list.h"
#include "commands/commands.h"
#include "server/acl_log.h"
#include "server/call.h"
#include "server/client.h"
#include "server/login.h"
#include "server/node.h"

#include <limits.h>

static void note_denial(struct call *call, struct bytes user)
{
    struct buf info = { 0 };

    client_info_line(call->client, &info);
    acl_log_add(call->node->acl_log,
                &(struct acl_denial){ .context = call->in_exec ? "multi" : "toplevel",
                                      .object = call->command->name,
                                      .user = user,
                                      .client_info = buf_bytes(&info) },
                call->now_ms, config_int(call->node->config, acllog_max_len));
    buf_free(&info);
}

/* There is one user. */
static bool user_matches(struct call *call, struct bytes user, struct bytes password)
{
    /* The password is compared even for a wrong user, so that the time taken does not tell which was wrong. */
    bool password_matches = config_password_matches(call->node->config, password);
    bool is_asked = config_int(call->node->config, requires_password);

    if (bytes_equal(user, BYTES("default")) && password_matches) {
        if (is_asked) login_succeeded(call->node->logins, call->client->peer);
        return true;
    }
    /* Where no password is asked for there is none to guess, and nobody has to wait. */
    if (is_asked) client_hold_reply(call->client, login_failed(call->node->logins, call->client->peer, call->now_ms));
    note_denial(call, user);
    call->kept = call->client; /* EXEC holds locks, and a line of the log may have to wait */
    return false;
}

static void log_denial(struct call *call)
{
    call->kept = NULL;
    log_warning("client %llu: a wrong password from %s", (unsigned long long)call->client->id, call->client->peer);
}

#define ERROR_WRONG_PASSWORD "WRONGPASS invalid username-password pair or user is disabled."

static void auth(struct call *call)
{
    struct bytes user = BYTES("default"), password = call_arg(call, 1);

    if (call->argc > 3) {
        reply_error(call->reply, ERROR_SYNTAX);
        return;
    }
    if (call->argc == 2 && !config_int(call->node->config, requires_password)) {
        reply_error(call->reply, "ERR AUTH <password> called without any password configured for the default user. "
                                 "Are you sure your configuration is correct?");
        return;
    }
    if (call->argc == 3) {
        user = call_arg(call, 1);
        password = call_arg(call, 2);
    }
    if (!user_matches(call, user, password)) {
        reply_error(call->reply, ERROR_WRONG_PASSWORD);
        return;
    }
    client_set(call->client, CLIENT_AUTHENTICATED);
    reply_ok(call->reply);
}

static const struct command_arg auth_args[] = {
    { .name = "username", .type = ARG_STRING, .flags = ARG_OPTIONAL, .since = "6.0.0" },
    { .name = "password", .type = ARG_STRING },
    { .name = NULL },
};
static const struct command command_auth = {
    .name = "auth",
    .summary = "Prove who you are with a password",
    .since = "1.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .history = COMMAND_HISTORY({ "6.0.0", "Takes a user name, too." }),
    .arity = -2,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY |
             COMMAND_UNLOCKED,
    .acl = ACL_CONNECTION,
    .args = auth_args,
    .run = auth,
    .finish = log_denial,
};

static void echo(struct call *call)
{
    reply_bulk(call->reply, call_arg(call, 1));
}

static const struct command_arg echo_args[] = {
    { .name = "message", .type = ARG_STRING },
    { .name = NULL },
};
static const struct command command_echo = {
    .name = "echo",
    .summary = "Return the message that was given",
    .since = "1.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
    .acl = ACL_CONNECTION,
    .args = echo_args,
    .run = echo,
};

struct hello {
    int64_t version; /* 0: none was asked for */
    bool has_user, has_name;
    struct bytes user, password, name;
};

/* False: has replied. */
static bool read_hello(struct call *call, struct hello *hello)
{
    if (call->argc >= 2) {
        if (!bytes_to_i64(call_arg(call, 1), &hello->version)) {
            reply_error(call->reply, "ERR Protocol version is not an integer or out of range");
            return false;
        }
        if (hello->version < 2 || hello->version > 3) {
            reply_error(call->reply, "NOPROTO unsupported protocol version");
            return false;
        }
    }
    for (int arg = 2; arg < call->argc; arg++) {
        int more = call->argc - 1 - arg;

        if (call_arg_is(call, arg, "auth") && more >= 2) {
            hello->has_user = true;
            hello->user = call_arg(call, arg + 1);
            hello->password = call_arg(call, arg + 2);
            arg += 2;
        } else if (call_arg_is(call, arg, "setname") && more >= 1) {
            hello->has_name = true;
            hello->name = call_arg(call, arg + 1);
            if (!client_name_is_valid(call, hello->name)) return false;
            arg++;
        } else {
            reply_errorf(call->reply, "ERR Syntax error in HELLO option '%.*s'",
                         (int)(call_arg(call, arg).len & INT_MAX), call_arg(call, arg).data);
            return false;
        }
    }
    return true;
}

/* Clients look for server "redis", whoever we are besides. */
static void reply_hello(struct call *call)
{
    reply_map(call->reply, 7);
    reply_bulk_text(call->reply, "server");
    reply_bulk_text(call->reply, "redis");
    reply_bulk_text(call->reply, "version");
    reply_bulk_text(call->reply, REDIS_COMPATIBLE_VERSION);
    reply_bulk_text(call->reply, "proto");
    reply_integer(call->reply, call->reply->resp);
    reply_bulk_text(call->reply, "id");
    reply_integer(call->reply, (int64_t)call->client->id);
    reply_bulk_text(call->reply, "mode");
    reply_bulk_text(call->reply, call->node->bus != NULL ? "cluster" : "standalone");
    reply_bulk_text(call->reply, "role");
    reply_bulk_text(call->reply, "master");
    reply_bulk_text(call->reply, "modules");
    reply_array(call->reply, 0);
}

/* Everything is checked before anything is changed, so that a refused HELLO leaves the connection as it was. */
static void hello(struct call *call)
{
    struct hello hello = { 0 };
    struct client *client = call->client;

    if (!read_hello(call, &hello)) return;
    if (hello.has_user) {
        if (!user_matches(call, hello.user, hello.password)) {
            reply_error(call->reply, ERROR_WRONG_PASSWORD);
            return;
        }
        client_set(client, CLIENT_AUTHENTICATED);
    }
    if (!(client_flags(client) & CLIENT_AUTHENTICATED) && config_int(call->node->config, requires_password)) {
        reply_error(
            call->reply,
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
            "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at "
            "the same time");
        return;
    }
    if (hello.has_name) client_set_text(client, &client->name, hello.name);
    if (hello.version != 0) client_set_resp(client, (int)hello.version);
    reply_hello(call);
}

static const struct command_arg hello_all_username_password_args[] = {
    { .name = "username", .type = ARG_STRING },
    { .name = "password", .type = ARG_STRING },
    { .name = NULL },
};
static const struct command_arg hello_all_args[] = {
    { .name = "protover", .type = ARG_INTEGER },
    { .name = "username_password",
      .type = ARG_BLOCK,
      .flags = ARG_OPTIONAL,
      .token = "AUTH",
      .args = hello_all_username_password_args },
    { .name = "clientname", .type = ARG_STRING, .flags = ARG_OPTIONAL, .token = "SETNAME" },
    { .name = NULL },
};
static const struct command_arg hello_args[] = {
    { .name = "arguments", .type = ARG_BLOCK, .flags = ARG_OPTIONAL, .args = hello_all_args },
    { .name = NULL },
};
static const struct command command_hello = {
    .name = "hello",
    .summary = "Agree on the protocol version, and log in and name the connection on the way",
    .since = "6.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .history = COMMAND_HISTORY({ "6.2.0", "The version may be left out, to only ask about the connection." }),
    .arity = -1,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY,
    .acl = ACL_CONNECTION,
    .args = hello_args,
    .run = hello,
    .finish = log_denial,
};

static void ping(struct call *call)
{
    bool as_message = (client_flags(call->client) & CLIENT_SUBSCRIBED) && call->reply->resp == 2;

    if (call->argc > 2) {
        reply_error(call->reply, "ERR wrong number of arguments for 'ping' command");
    } else if (as_message) {
        reply_array(call->reply, 2);
        reply_bulk_text(call->reply, "pong");
        reply_bulk(call->reply, call->argc == 2 ? call_arg(call, 1) : BYTES(""));
    } else if (call->argc == 2) {
        reply_bulk(call->reply, call_arg(call, 1));
    } else {
        reply_simple(call->reply, "PONG");
    }
}

static const struct command_arg ping_args[] = {
    { .name = "message", .type = ARG_STRING, .flags = ARG_OPTIONAL },
    { .name = NULL },
};
static const char *const ping_tips[] = { "request_policy:all_shards", "response_policy:all_succeeded", NULL };
static const struct command command_ping = {
    .name = "ping",
    .summary = "Answer PONG or the message given: is anybody there?",
    .since = "1.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = -1,
    .flags = COMMAND_FAST | COMMAND_SUBSCRIBED,
    .acl = ACL_CONNECTION,
    .args = ping_args,
    .tips = ping_tips,
    .run = ping,
};

static void quit(struct call *call)
{
    reply_ok(call->reply);
    client_set(call->client, CLIENT_CLOSE_AFTER_REPLY);
}

static const struct command command_quit = {
    .name = "quit",
    .summary = "End the connection",
    .since = "1.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = -1,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY |
             COMMAND_IN_MULTI | COMMAND_SUBSCRIBED,
    .acl = ACL_CONNECTION,
    .run = quit,
};

static void reset(struct call *call)
{
    client_reset_session(call->client);
    reply_simple(call->reply, "RESET");
}

static const struct command command_reset = {
    .name = "reset",
    .summary = "Bring the connection back to the state of a new one",
    .since = "6.2.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 1,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY |
             COMMAND_IN_MULTI | COMMAND_SUBSCRIBED,
    .acl = ACL_CONNECTION,
    .run = reset,
};

static void select_database(struct call *call)
{
    int64_t index;

    if (!call_arg_i64(call, 1, &index)) return;
    if (index < INT_MIN || index > INT_MAX)
        reply_error(call->reply, "ERR value is out of range, value must between -2147483648 and 2147483647");
    else if (index != 0 && call->node->bus != NULL)
        reply_error(call->reply, "ERR SELECT is not allowed in cluster mode");
    else if (index != 0)
        reply_error(call->reply, "ERR DB index is out of range");
    else
        reply_ok(call->reply);
}

static const struct command_arg select_args[] = {
    { .name = "index", .type = ARG_INTEGER },
    { .name = NULL },
};
static const struct command command_select = {
    .name = "select",
    .summary = "Choose a database; there is only number 0",
    .since = "1.0.0",
    .group = "connection",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
    .acl = ACL_CONNECTION,
    .args = select_args,
    .run = select_database,
};

const struct command *const commands_connection[] = {
    &command_auth, &command_client, &command_echo,   &command_hello, &command_ping,
    &command_quit, &command_reset,  &command_select, NULL,
};
