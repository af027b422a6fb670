/* commands/acl.c: ACL: the categories of commands. What is about users, of whom there is one, is in acl_user.c. */
#include "commands/acl.h"

#include "commands/acl_user.h"
#include "commands/server.h"
#include "commands/stats.h"
#include "server/call.h"
#include "server/node.h"

static void acl_cat(struct call *call)
{
    const struct command_table *commands = call->node->commands;
    struct buf out = { 0 };
    struct reply names = { .out = &out, .resp = call->reply->resp };
    uint64_t category;
    size_t count = 0;

    if (call->argc > 3) {
        call_reply_subcommand_error(call);
        return;
    }
    if (call->argc == 2) {
        reply_array(call->reply, acl_category_count());
        for (size_t i = 0; i < acl_category_count(); i++) reply_bulk_text(call->reply, acl_category_name(i));
        return;
    }
    category = acl_category_by_name(call_arg(call, 2));
    if (category == 0) {
        reply_errorf(call->reply, "ERR Unknown category '%.*s'",
                     (int)(call_arg(call, 2).len < 128 ? call_arg(call, 2).len : 128), call_arg(call, 2).data);
        return;
    }
    for (size_t i = 0; i < command_number_max(commands); i++) {
        const struct command *command = command_by_number(commands, i);
        struct buf name = { 0 };

        if (!(acl_categories(command) & category)) continue;
        command_full_name(command, &name);
        reply_bulk(&names, buf_bytes(&name));
        buf_free(&name);
        count++;
    }
    reply_array(call->reply, count);
    buf_append_bytes(call->reply->out, buf_bytes(&out));
    buf_free(&out);
}

static const struct command_arg acl_cat_args[] = {
    { .name = "categoryname", .type = ARG_STRING, .flags = ARG_OPTIONAL },
    { .name = NULL },
};
static const struct command command_acl_cat = {
    .name = "cat",
    .parent = "acl",
    .summary = "List the categories of commands, or the commands of one",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(N) over the commands",
    .arity = -2,
    .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    .args = acl_cat_args,
    .run = acl_cat,
};

static void acl_help(struct call *call)
{
    static const char *const lines[] = {
        "CAT [<category>]",
        "    The categories, or the commands of one.",
        "DELUSER <username> [<username> ...]",
        "    Remove users.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Whether the user may run this, without running it.",
        "GENPASS [<bits>]",
        "    A password by chance, of 256 bits or as many as are asked for.",
        "GETUSER <username>",
        "    What a user may do.",
        "LIST",
        "    The rules of all users.",
        "LOAD",
        "    Read the users from a file.",
        "LOG [<count>|RESET]",
        "    Who tried to come in and could not.",
        "SAVE",
        "    Write the users into a file.",
        "SETUSER default [<rule> ...]",
        "    Set the password: nopass or ><password>. There is one user, who may do everything.",
        "USERS",
        "    The names of all users.",
        "WHOAMI",
        "    The user of this connection.",
        NULL,
    };

    call_reply_help(call, lines);
}

static const struct command command_acl_help = {
    .name = "help",
    .parent = "acl",
    .summary = "List what ACL can do",
    .since = "6.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .run = acl_help,
};

static const struct command *const acl_subcommands[] = {
    &command_acl_cat,     &command_acl_deluser,
    &command_acl_dryrun,  &command_acl_genpass,
    &command_acl_getuser, &command_acl_help,
    &command_acl_list,    &command_acl_load,
    &command_acl_log,     &command_acl_save,
    &command_acl_setuser, &command_acl_users,
    &command_acl_whoami,  NULL,
};
const struct command command_acl = {
    .name = "acl",
    .summary = "Commands about users and their rights",
    .since = "6.0.0",
    .group = "server",
    .complexity = "Depends on the subcommand",
    .arity = -2,
    .subcommands = acl_subcommands,
};
