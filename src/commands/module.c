/* commands/module.c: MODULE, as far as a node without modules can answer it: the list is empty. Tools that adapt to what a server has ask for that. */
#include "commands/server.h"
#include "server/call.h"

static void module_list(struct call *call)
{
    reply_array(call->reply, 0);
}

static void module_help(struct call *call)
{
    static const char *const lines[] = { "LIST", "    The modules that are loaded. There are none.", NULL };

    call_reply_help(call, lines);
}

static const char *const list_tips[] = { "nondeterministic_output_order", NULL };

static const struct command command_module_list = {
    .name = "list",
    .parent = "module",
    .summary = "List the modules: none",
    .since = "4.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT,
    .tips = list_tips,
    .run = module_list,
};

static const struct command command_module_help = {
    .name = "help",
    .parent = "module",
    .summary = "Describe the subcommands",
    .since = "5.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .run = module_help,
};

static const struct command *const module_subcommands[] = { &command_module_help, &command_module_list, NULL };
const struct command command_module = {
    .name = "module",
    .summary = "Commands about modules, of which there are none",
    .since = "4.0.0",
    .group = "server",
    .complexity = "Depends on the subcommand",
    .arity = -2,
    .subcommands = module_subcommands,
};
