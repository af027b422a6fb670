/* commands/acl_user.c: ACL as far as it is about users. There is one, default, who may do everything; whether he has to say a password is
 * requirepass's matter, and ACL SETUSER another way to set it. Whatever else a rule asks for is refused rather than taken in vain. */
#include "commands/acl_user.h"

#include "base/alloc.h"
#include "base/random.h"
#include "server/acl_log.h"
#include "server/call.h"
#include "server/client.h"
#include "server/config.h"
#include "server/node.h"

#include <limits.h>
#include <string.h>

/* Who reads what ACL SETUSER and CONFIG SET write waits for the end of EXEC as they do, so that the order stays. */
#define ADMIN (COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_UNLOCKED)

static bool is_the_user(struct bytes name)
{
    return bytes_equal(name, BYTES("default"));
}

static int shown(struct bytes text)
{
    return (int)(text.len < 128 ? text.len : 128);
}

/* The password's hash is left out: nobody has a use for it here, and it invites guessing. */
static void acl_list(struct call *call)
{
    reply_array(call->reply, 1);
    reply_bulk_text(call->reply, config_int(call->node->config, requires_password)
                                     ? "user default on ~* &* +@all"
                                     : "user default on nopass ~* &* +@all");
}

const struct command command_acl_list = {
    .name = "list",
    .parent = "acl",
    .summary = "List the rules of all users",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = ADMIN,
    .run = acl_list,
};

static void acl_users(struct call *call)
{
    reply_array(call->reply, 1);
    reply_bulk_text(call->reply, "default");
}

const struct command command_acl_users = {
    .name = "users",
    .parent = "acl",
    .summary = "List the names of all users",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = ADMIN,
    .run = acl_users,
};

static void acl_whoami(struct call *call)
{
    reply_bulk_text(call->reply, "default");
}

const struct command command_acl_whoami = {
    .name = "whoami",
    .parent = "acl",
    .summary = "Return the user of this connection",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .run = acl_whoami,
};

/* --- What a user may do --- */

static void acl_getuser(struct call *call)
{
    bool asks_password = config_int(call->node->config, requires_password) != 0;
    struct reply *reply = call->reply;

    if (!is_the_user(call_arg(call, 2))) {
        reply_null(reply);
        return;
    }
    reply_map(reply, 6);
    reply_bulk_text(reply, "flags");
    reply_set(reply, asks_password ? 1 : 2);
    reply_bulk_text(reply, "on");
    if (!asks_password) reply_bulk_text(reply, "nopass");
    reply_bulk_text(reply, "passwords");
    reply_array(reply, 0);
    reply_bulk_text(reply, "commands");
    reply_bulk_text(reply, "+@all");
    reply_bulk_text(reply, "keys");
    reply_bulk_text(reply, "~*");
    reply_bulk_text(reply, "channels");
    reply_bulk_text(reply, "&*");
    reply_bulk_text(reply, "selectors");
    reply_array(reply, 0);
}

static const struct command_arg username_args[] = {
    { .name = "username", .type = ARG_STRING },
    { .name = NULL },
};

const struct command command_acl_getuser = {
    .name = "getuser",
    .parent = "acl",
    .summary = "Return what a user may do",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(1)",
    .history = COMMAND_HISTORY({ "6.2.0", "Channels." }, { "7.0.0", "Selectors; patterns in the form of rules." }),
    .arity = 3,
    .flags = ADMIN,
    .args = username_args,
    .run = acl_getuser,
};

/* Rules that say what is so anyway. */
static bool is_true_already(struct bytes rule)
{
    static const char *const rules[] = { "on",
                                         "allkeys",
                                         "~*",
                                         "allchannels",
                                         "&*",
                                         "+@all",
                                         "allcommands",
                                         "clearselectors",
                                         "sanitize-payload",
                                         "skip-sanitize-payload",
                                         NULL };

    for (size_t i = 0; rules[i] != NULL; i++)
        if (bytes_is_word(rule, rules[i])) return true;
    return false;
}

/* The last rule about the password decides; NULL: none is. False: has replied. */
static bool read_rules(struct call *call, const struct bytes **password, struct bytes *place)
{
    bool needs_one = false;

    for (int arg = 3; arg < call->argc; arg++) {
        struct bytes rule = call_arg(call, arg);

        if (is_true_already(rule)) continue;
        if (bytes_is_word(rule, "nopass")) {
            *place = BYTES_NONE;
            *password = place;
            needs_one = false;
        } else if (bytes_is_word(rule, "resetpass")) {
            *password = NULL;
            needs_one = true;
        } else if (rule.len > 1 && rule.data[0] == '>') {
            *place = (struct bytes){ rule.data + 1, rule.len - 1 };
            *password = place;
            needs_one = false;
        } else {
            /* Not the rule itself, which may be a password. */
            reply_errorf(call->reply,
                         "ERR Error in ACL SETUSER modifier number %d: the user of this node may do everything; only "
                         "nopass and ><password> change anything",
                         arg - 2);
            return false;
        }
    }
    if (needs_one) reply_error(call->reply, "ERR Error in ACL SETUSER: after resetpass give nopass or ><password>");
    return !needs_one;
}

static void acl_setuser(struct call *call)
{
    const struct bytes *password = NULL;
    struct bytes place;
    struct config_pair pair;
    char error[512] = "";

    if (!is_the_user(call_arg(call, 2))) {
        reply_error(call->reply, "ERR This node has no users but 'default'");
        return;
    }
    if (!read_rules(call, &password, &place)) return;
    if (password != NULL) {
        pair = (struct config_pair){ BYTES("requirepass"), *password };
        if (!config_set(call->node->config, &pair, 1, true, error)) {
            reply_error(call->reply, error);
            return;
        }
    }
    reply_ok(call->reply);
}

static const struct command_arg setuser_args[] = {
    { .name = "username", .type = ARG_STRING },
    { .name = "rule", .type = ARG_STRING, .flags = ARG_OPTIONAL | ARG_MULTIPLE },
    { .name = NULL },
};

const struct command command_acl_setuser = {
    .name = "setuser",
    .parent = "acl",
    .summary = "Set the password of the user",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(N) over the rules",
    .history = COMMAND_HISTORY({ "6.2.0", "Channels." }, { "7.0.0", "Selectors." }),
    .arity = -3,
    .flags = ADMIN,
    .args = setuser_args,
    .run = acl_setuser,
};

static void acl_deluser(struct call *call)
{
    for (int arg = 2; arg < call->argc; arg++)
        if (is_the_user(call_arg(call, arg))) {
            reply_error(call->reply, "ERR The 'default' user cannot be removed");
            return;
        }
    reply_integer(call->reply, 0);
}

static const struct command_arg deluser_args[] = {
    { .name = "username", .type = ARG_STRING, .flags = ARG_MULTIPLE },
    { .name = NULL },
};

const struct command command_acl_deluser = {
    .name = "deluser",
    .parent = "acl",
    .summary = "Remove users",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = -3,
    .flags = ADMIN,
    .args = deluser_args,
    .run = acl_deluser,
};

static void acl_dryrun(struct call *call)
{
    struct bytes name = call_arg(call, 3);
    const struct command *command = command_find(call->node->commands, name);

    if (!is_the_user(call_arg(call, 2))) {
        reply_errorf(call->reply, "ERR User '%.*s' not found", shown(call_arg(call, 2)), call_arg(call, 2).data);
        return;
    }
    if (command != NULL && command->subcommands != NULL && call->argc > 4)
        command = command_find_sub(command, call_arg(call, 4));
    if (command == NULL)
        reply_errorf(call->reply, "ERR Command '%.*s' not found", shown(name), name.data);
    else if (!command_arity_ok(command, call->argc - 3))
        reply_errorf(call->reply, "ERR wrong number of arguments for '%s%s%s' command",
                     command->parent != NULL ? command->parent : "", command->parent != NULL ? "|" : "", command->name);
    else
        reply_ok(call->reply);
}

static const struct command_arg dryrun_args[] = {
    { .name = "username", .type = ARG_STRING },
    { .name = "command", .type = ARG_STRING },
    { .name = "arg", .type = ARG_STRING, .flags = ARG_OPTIONAL | ARG_MULTIPLE },
    { .name = NULL },
};

const struct command command_acl_dryrun = {
    .name = "dryrun",
    .parent = "acl",
    .summary = "Tell whether a user may run a command, without running it",
    .since = "7.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = -4,
    .flags = ADMIN,
    .args = dryrun_args,
    .run = acl_dryrun,
};

/* --- Passwords, files, the log --- */

#define PASSWORD_BITS_MAX 4096

static void acl_genpass(struct call *call)
{
    char text[PASSWORD_BITS_MAX / 4 + 1];
    int64_t bits = 256;

    if (call->argc > 3) {
        call_reply_subcommand_error(call);
        return;
    }
    if (call->argc == 3 && !call_arg_i64(call, 2, &bits)) return;
    if (bits < 1 || bits > PASSWORD_BITS_MAX) {
        reply_error(call->reply, "ERR ACL GENPASS argument must be the number of bits for the output password, a "
                                 "positive number up to 4096");
        return;
    }
    random_hex(text, (size_t)(bits + 3) / 4);
    reply_bulk_text(call->reply, text);
}

static const struct command_arg genpass_args[] = {
    { .name = "bits", .type = ARG_INTEGER, .flags = ARG_OPTIONAL },
    { .name = NULL },
};

const struct command command_acl_genpass = {
    .name = "genpass",
    .parent = "acl",
    .summary = "Make a password by chance",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = -2,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_UNLOCKED,
    .args = genpass_args,
    .run = acl_genpass,
};

static void acl_without_file(struct call *call)
{
    reply_error(call->reply,
                "ERR This node keeps no users in a file: the password is requirepass in the configuration");
}

const struct command command_acl_load = {
    .name = "load",
    .parent = "acl",
    .summary = "Read the users from a file, which there is none of",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = ADMIN,
    .run = acl_without_file,
};

const struct command command_acl_save = {
    .name = "save",
    .parent = "acl",
    .summary = "Write the users into a file, which there is none of",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = ADMIN,
    .run = acl_without_file,
};

#define SHOWN_BY_DEFAULT 10

static void acl_log(struct call *call)
{
    int64_t count = SHOWN_BY_DEFAULT;

    if (call->argc > 3) {
        call_reply_subcommand_error(call);
        return;
    }
    if (call->argc == 3 && call_arg_is(call, 2, "reset")) {
        acl_log_reset(call->node->acl_log);
        reply_ok(call->reply);
        return;
    }
    if (call->argc == 3 && !call_arg_i64(call, 2, &count)) return;
    acl_log_reply(call->node->acl_log, call->reply, call->now_ms, count > 0 ? count : 0);
}

static const struct command_arg log_operation_args[] = {
    { .name = "count", .type = ARG_INTEGER },
    { .name = "reset", .type = ARG_PURE_TOKEN, .token = "RESET" },
    { .name = NULL },
};
static const struct command_arg log_args[] = {
    { .name = "operation", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = log_operation_args },
    { .name = NULL },
};

const struct command command_acl_log = {
    .name = "log",
    .parent = "acl",
    .summary = "Show who tried to come in and could not",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(N) over the entries shown",
    .arity = -2,
    .flags = ADMIN,
    .args = log_args,
    .run = acl_log,
};
