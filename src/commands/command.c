/* commands/command.c: COMMAND, all of it from the table of descriptors. DOCS and docs/commands.md are in command_docs.c. */
#include "base/glob.h"
#include "commands/acl.h"
#include "commands/command_docs.h"
#include "commands/server.h"
#include "commands/stats.h"
#include "server/call.h"
#include "server/node.h"

#include <string.h>

/* --- A command as COMMAND INFO shows it --- */

struct flag_name {
    uint32_t flag;
    const char *name;
};

static const struct flag_name command_flags[] = {
    { COMMAND_WRITE, "write" },
    { COMMAND_READONLY, "readonly" },
    { COMMAND_DENYOOM, "denyoom" },
    { COMMAND_ADMIN, "admin" },
    { COMMAND_PUBSUB, "pubsub" },
    { COMMAND_NOSCRIPT, "noscript" },
    { COMMAND_BLOCKING, "blocking" },
    { COMMAND_LOADING, "loading" },
    { COMMAND_STALE, "stale" },
    { COMMAND_SKIP_MONITOR, "skip_monitor" },
    { COMMAND_SKIP_SLOWLOG, "skip_slowlog" },
    { COMMAND_ASKING, "asking" },
    { COMMAND_FAST, "fast" },
    { COMMAND_NO_AUTH, "no_auth" },
    { COMMAND_NO_ASYNC_LOADING, "no_async_loading" },
    { COMMAND_NO_MULTI, "no_multi" },
    { COMMAND_MOVABLE_KEYS, "movablekeys" },
    { COMMAND_ALLOW_BUSY, "allow_busy" },
    { 0, NULL },
};

static const struct flag_name key_flags[] = {
    { KEY_RO, "RO" },
    { KEY_RW, "RW" },
    { KEY_OW, "OW" },
    { KEY_RM, "RM" },
    { KEY_ACCESS, "access" },
    { KEY_UPDATE, "update" },
    { KEY_INSERT, "insert" },
    { KEY_DELETE, "delete" },
    { KEY_NOT_KEY, "not_key" },
    { KEY_INCOMPLETE, "incomplete" },
    { KEY_VARIABLE_FLAGS, "variable_flags" },
    { 0, NULL },
};

static void reply_flags(struct reply *reply, const struct flag_name *names, uint32_t flags)
{
    size_t count = 0;

    for (const struct flag_name *at = names; at->name != NULL; at++) count += (flags & at->flag) != 0;
    reply_set(reply, count);
    for (const struct flag_name *at = names; at->name != NULL; at++)
        if (flags & at->flag) reply_simple(reply, at->name);
}

static void reply_categories(struct reply *reply, uint64_t categories)
{
    reply_set(reply, (size_t)__builtin_popcountll(categories));
    for (size_t i = 0; i < acl_category_count(); i++) {
        char name[40] = "@";

        if (!(categories & ((uint64_t)1 << i))) continue;
        strncat(name, acl_category_name(i), sizeof(name) - 2);
        reply_simple(reply, name);
    }
}

static void reply_key_spec(struct reply *reply, const struct key_spec *spec)
{
    reply_map(reply, spec->notes != NULL ? 4 : 3);
    if (spec->notes != NULL) {
        reply_bulk_text(reply, "notes");
        reply_bulk_text(reply, spec->notes);
    }
    reply_bulk_text(reply, "flags");
    reply_flags(reply, key_flags, spec->flags);
    reply_bulk_text(reply, "begin_search");
    reply_map(reply, 2);
    reply_bulk_text(reply, "type");
    reply_bulk_text(reply, spec->keyword != NULL ? "keyword" : "index");
    reply_bulk_text(reply, "spec");
    reply_map(reply, spec->keyword != NULL ? 2 : 1);
    if (spec->keyword != NULL) {
        reply_bulk_text(reply, "keyword");
        reply_bulk_text(reply, spec->keyword);
    }
    reply_bulk_text(reply, spec->keyword != NULL ? "startfrom" : "index");
    reply_integer(reply, spec->first);
    reply_bulk_text(reply, "find_keys");
    reply_map(reply, 2);
    reply_bulk_text(reply, "type");
    reply_bulk_text(reply, "range");
    reply_bulk_text(reply, "spec");
    reply_map(reply, 3);
    reply_bulk_text(reply, "lastkey");
    reply_integer(reply, spec->last);
    reply_bulk_text(reply, "keystep");
    reply_integer(reply, spec->step);
    reply_bulk_text(reply, "limit");
    reply_integer(reply, 0);
}

static size_t key_spec_count(const struct command *command)
{
    size_t count = 0;

    while (count < KEY_SPECS_MAX && command->keys[count].first != 0) count++;
    return count;
}

/* The older form, one range for all keys: specs that follow each other make one. */
static void reply_key_range(struct reply *reply, const struct command *command)
{
    size_t count = key_spec_count(command);
    int first = 0, last = 0, step = 0;

    for (size_t i = 0; i < count; i++) {
        const struct key_spec *spec = &command->keys[i];
        int spec_last = spec->last >= 0 ? spec->first + spec->last : spec->last;

        if (i == 0) {
            first = spec->first;
            last = spec_last;
            step = spec->step;
        } else if (spec->keyword == NULL && spec->first == last + 1) {
            last = spec_last;
        }
    }
    reply_integer(reply, first);
    reply_integer(reply, last);
    reply_integer(reply, step);
}

static size_t text_count(const char *const *texts)
{
    size_t count = 0;

    while (texts != NULL && texts[count] != NULL) count++;
    return count;
}

static size_t subcommand_count(const struct command *command)
{
    size_t count = 0;

    while (command->subcommands != NULL && command->subcommands[count] != NULL) count++;
    return count;
}

static void reply_name(struct reply *reply, const struct command *command)
{
    struct buf name = { 0 };

    command_full_name(command, &name);
    reply_bulk(reply, buf_bytes(&name));
    buf_free(&name);
}

static void reply_info(struct reply *reply, const struct command *command)
{
    size_t tips = text_count(command->tips), subcommands = subcommand_count(command);

    reply_array(reply, 10);
    reply_name(reply, command);
    reply_integer(reply, command->arity);
    reply_flags(reply, command_flags, command->flags);
    reply_key_range(reply, command);
    reply_categories(reply, acl_categories(command));
    reply_set(reply, tips);
    for (size_t i = 0; i < tips; i++) reply_bulk_text(reply, command->tips[i]);
    reply_set(reply, key_spec_count(command));
    for (size_t i = 0; i < key_spec_count(command); i++) reply_key_spec(reply, &command->keys[i]);
    if (subcommands == 0) {
        reply_set(reply, 0);
        return;
    }
    reply_array(reply, subcommands);
    for (size_t i = 0; i < subcommands; i++) reply_info(reply, command->subcommands[i]);
}

static void describe_all(struct call *call)
{
    const struct command_table *commands = call->node->commands;

    reply_array(call->reply, command_count(commands));
    for (size_t i = 0; i < command_count(commands); i++) reply_info(call->reply, command_at(commands, i));
}

/* --- Subcommands --- */

static void count_commands(struct call *call)
{
    reply_integer(call->reply, (int64_t)command_count(call->node->commands));
}

static const struct command command_command_count = {
    .name = "count",
    .parent = "command",
    .summary = "Count the commands of the node",
    .since = "2.8.13",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .run = count_commands,
};

static void document_commands(struct call *call)
{
    reply_command_docs(call);
}

static const struct command_arg command_docs_args[] = {
    { .name = "command-name", .type = ARG_STRING, .flags = ARG_OPTIONAL | ARG_MULTIPLE },
    { .name = NULL },
};
static const char *const command_docs_tips[] = { "nondeterministic_output_order", NULL };
static const struct command command_command_docs = {
    .name = "docs",
    .parent = "command",
    .summary = "Return the documentation of commands",
    .since = "7.0.0",
    .group = "server",
    .complexity = "O(N) over the names given",
    .arity = -2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = command_docs_args,
    .tips = command_docs_tips,
    .run = document_commands,
};

struct found_keys {
    struct call *call;
    const struct command *command;
    size_t count;
    bool with_flags;
};

/* SET reads its key only where it says GET. */
static uint32_t flags_of_key(const struct found_keys *found, const struct key_spec *spec)
{
    uint32_t flags = spec->flags & ~(uint32_t)(KEY_VARIABLE_FLAGS | KEY_INCOMPLETE);

    if (!(spec->flags & KEY_VARIABLE_FLAGS) || !(flags & KEY_RW)) return flags;
    for (int arg = 5; arg < found->call->argc; arg++)
        if (call_arg_is(found->call, arg, "get")) return flags;
    return (flags & ~(uint32_t)(KEY_RW | KEY_ACCESS)) | KEY_OW;
}

static void reply_key(void *context, int arg, const struct key_spec *spec)
{
    struct found_keys *found = context;
    struct reply *reply = found->call->reply;

    if (found->with_flags) reply_array(reply, 2);
    reply_bulk(reply, call_arg(found->call, arg + 2));
    if (found->with_flags) reply_flags(reply, key_flags, flags_of_key(found, spec));
}

static void reply_keys(struct call *call, bool with_flags)
{
    const struct command *command = command_find(call->node->commands, call_arg(call, 2));
    struct found_keys found = { .call = call, .with_flags = with_flags };
    int argc = call->argc - 2;

    if (command != NULL && subcommand_count(command) > 0 && argc > 1)
        command = command_find_sub(command, call_arg(call, 3));
    if (command == NULL) {
        reply_error(call->reply, "ERR Invalid command specified");
        return;
    }
    if ((command->keys[0].first == 0 && command->find_keys == NULL) || (command->keys[0].flags & KEY_NOT_KEY)) {
        reply_error(call->reply, "ERR The command has no key arguments");
        return;
    }
    if (!command_arity_ok(command, argc)) {
        reply_error(call->reply, "ERR Invalid number of arguments specified for command");
        return;
    }
    found.command = command;
    found.count = command_keys(command, argc, call->argv + 2, NULL, NULL);
    if (found.count == 0) {
        reply_error(call->reply, "ERR Invalid arguments specified for command");
        return;
    }
    reply_array(call->reply, found.count);
    command_keys(command, argc, call->argv + 2, reply_key, &found);
}

static void find_keys(struct call *call)
{
    reply_keys(call, false);
}

static const struct command command_command_getkeys = {
    .name = "getkeys",
    .parent = "command",
    .summary = "Name the keys of a full command line",
    .since = "2.8.13",
    .group = "server",
    .complexity = "O(N) over the arguments",
    .arity = -4,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .run = find_keys,
};

static void find_keys_and_flags(struct call *call)
{
    reply_keys(call, true);
}

static const struct command command_command_getkeysandflags = {
    .name = "getkeysandflags",
    .parent = "command",
    .summary = "Name the keys of a full command line and what is done to each",
    .since = "7.0.0",
    .group = "server",
    .complexity = "O(N) over the arguments",
    .arity = -4,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .run = find_keys_and_flags,
};

static void help_with_commands(struct call *call)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    Describe all commands.",
        "COUNT",
        "    How many commands there are.",
        "DOCS [<command-name> ...]",
        "    The documentation of some commands, or of all.",
        "GETKEYS <full-command>",
        "    The keys of a command line.",
        "GETKEYSANDFLAGS <full-command>",
        "    The keys of a command line and what is done to each.",
        "INFO [<command-name> ...]",
        "    Describe some commands, or all.",
        "LIST [FILTERBY (MODULE <module>|ACLCAT <category>|PATTERN <pattern>)]",
        "    The names of commands.",
        NULL,
    };

    call_reply_help(call, lines);
}

static const struct command command_command_help = {
    .name = "help",
    .parent = "command",
    .summary = "List what COMMAND can do",
    .since = "5.0.0",
    .group = "server",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .run = help_with_commands,
};

static void describe_commands(struct call *call)
{
    if (call->argc == 2) {
        describe_all(call);
        return;
    }
    reply_array(call->reply, (size_t)(call->argc - 2));
    for (int arg = 2; arg < call->argc; arg++) {
        const struct command *command = command_by_full_name(call->node->commands, call_arg(call, arg));

        if (command != NULL)
            reply_info(call->reply, command);
        else
            reply_null(call->reply);
    }
}

static const struct command_arg command_info_args[] = {
    { .name = "command-name", .type = ARG_STRING, .flags = ARG_OPTIONAL | ARG_MULTIPLE },
    { .name = NULL },
};
static const char *const command_info_tips[] = { "nondeterministic_output_order", NULL };
static const struct command command_command_info = {
    .name = "info",
    .parent = "command",
    .summary = "Describe the named commands, or all",
    .since = "2.8.13",
    .group = "server",
    .complexity = "O(N) over the names given",
    .history = COMMAND_HISTORY({ "7.0.0", "Describes all commands where none is named." }),
    .arity = -2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = command_info_args,
    .tips = command_info_tips,
    .run = describe_commands,
};

struct name_filter {
    enum { FILTER_NONE, FILTER_MODULE, FILTER_CATEGORY, FILTER_PATTERN } kind;
    uint64_t category;
    struct bytes pattern;
};

static bool filter_takes(const struct name_filter *filter, const struct command *command, struct bytes name)
{
    switch (filter->kind) {
    case FILTER_NONE:
        return true;
    case FILTER_MODULE:
        return false; /* there are no modules */
    case FILTER_CATEGORY:
        return (acl_categories(command) & filter->category) != 0;
    case FILTER_PATTERN:
        return glob_match_nocase(filter->pattern, name);
    }
    return false;
}

static bool read_filter(struct call *call, struct name_filter *filter)
{
    if (call->argc == 2) return true;
    if (call->argc != 5 || !call_arg_is(call, 2, "filterby")) return false;
    filter->pattern = call_arg(call, 4);
    if (call_arg_is(call, 3, "module")) {
        filter->kind = FILTER_MODULE;
    } else if (call_arg_is(call, 3, "aclcat")) {
        filter->kind = FILTER_CATEGORY;
        filter->category = acl_category_by_name(filter->pattern);
    } else if (call_arg_is(call, 3, "pattern")) {
        filter->kind = FILTER_PATTERN;
    } else {
        return false;
    }
    return true;
}

static void list_commands(struct call *call)
{
    const struct command_table *commands = call->node->commands;
    struct name_filter filter = { .kind = FILTER_NONE };
    struct buf out = { 0 };
    struct reply names = { .out = &out, .resp = call->reply->resp };
    size_t count = 0;

    if (!read_filter(call, &filter)) {
        reply_error(call->reply, ERROR_SYNTAX);
        return;
    }
    for (size_t i = 0; i < command_number_max(commands); i++) {
        const struct command *command = command_by_number(commands, i);
        struct buf name = { 0 };

        command_full_name(command, &name);
        if (filter_takes(&filter, command, buf_bytes(&name))) {
            reply_bulk(&names, buf_bytes(&name));
            count++;
        }
        buf_free(&name);
    }
    reply_array(call->reply, count);
    buf_append_bytes(call->reply->out, buf_bytes(&out));
    buf_free(&out);
}

static const struct command_arg command_list_filterby_args[] = {
    { .name = "module-name", .type = ARG_STRING, .token = "MODULE" },
    { .name = "category", .type = ARG_STRING, .token = "ACLCAT" },
    { .name = "pattern", .type = ARG_PATTERN, .token = "PATTERN" },
    { .name = NULL },
};
static const struct command_arg command_list_args[] = {
    { .name = "filterby",
      .type = ARG_ONEOF,
      .flags = ARG_OPTIONAL,
      .token = "FILTERBY",
      .args = command_list_filterby_args },
    { .name = NULL },
};
static const char *const command_list_tips[] = { "nondeterministic_output_order", NULL };
static const struct command command_command_list = {
    .name = "list",
    .parent = "command",
    .summary = "List the names of commands",
    .since = "7.0.0",
    .group = "server",
    .complexity = "O(N) over the commands",
    .arity = -2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .args = command_list_args,
    .tips = command_list_tips,
    .run = list_commands,
};

static const char *const command_tips[] = { "nondeterministic_output_order", NULL };
static const struct command *const command_subcommands[] = {
    &command_command_count, &command_command_docs, &command_command_getkeys, &command_command_getkeysandflags,
    &command_command_help,  &command_command_info, &command_command_list,    NULL,
};
const struct command command_command = {
    .name = "command",
    .summary = "Describe every command of the node",
    .since = "2.8.13",
    .group = "server",
    .complexity = "O(N) over the commands",
    .arity = -1,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .acl = ACL_CONNECTION,
    .tips = command_tips,
    .subcommands = command_subcommands,
    .run = describe_all,
};
