/* What the descriptors say in words: COMMAND DOCS, from which redis-cli makes its hints, and docs/commands.md. */
#include "commands/command_docs.h"

#include "base/alloc.h"
#include "commands/acl.h"
#include "commands/commands.h"
#include "commands/stats.h"
#include "server/call.h"
#include "server/node.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* --- COMMAND DOCS --- */

static const char *arg_type_name(enum arg_type type)
{
    switch (type) {
    case ARG_STRING:
        return "string";
    case ARG_INTEGER:
        return "integer";
    case ARG_DOUBLE:
        return "double";
    case ARG_KEY:
        return "key";
    case ARG_PATTERN:
        return "pattern";
    case ARG_UNIX_TIME:
        return "unix-time";
    case ARG_PURE_TOKEN:
        return "pure-token";
    case ARG_ONEOF:
        return "oneof";
    case ARG_BLOCK:
        return "block";
    }
    return "string";
}

static void pair_text(struct reply *reply, const char *name, const char *text)
{
    if (text == NULL) return;
    reply_bulk_text(reply, name);
    reply_bulk_text(reply, text);
}

static void reply_args(struct reply *reply, const struct command_arg *args);

static void reply_arg(struct reply *reply, const struct command_arg *arg)
{
    size_t pairs = 2u + (arg->type == ARG_KEY) + (arg->token != NULL) + (arg->since != NULL) +
                   (arg->deprecated_since != NULL) + (arg->flags != 0) + (arg->args != NULL);

    reply_map(reply, pairs);
    pair_text(reply, "name", arg->name);
    pair_text(reply, "type", arg_type_name(arg->type));
    if (arg->type == ARG_KEY) {
        reply_bulk_text(reply, "key_spec_index");
        reply_integer(reply, arg->key_spec);
    }
    pair_text(reply, "token", arg->token);
    pair_text(reply, "since", arg->since);
    pair_text(reply, "deprecated_since", arg->deprecated_since);
    if (arg->flags != 0) {
        reply_bulk_text(reply, "flags");
        reply_set(reply, (size_t)__builtin_popcount(arg->flags));
        if (arg->flags & ARG_OPTIONAL) reply_simple(reply, "optional");
        if (arg->flags & ARG_MULTIPLE) reply_simple(reply, "multiple");
        if (arg->flags & ARG_MULTIPLE_TOKEN) reply_simple(reply, "multiple_token");
    }
    if (arg->args != NULL) {
        reply_bulk_text(reply, "arguments");
        reply_args(reply, arg->args);
    }
}

static void reply_args(struct reply *reply, const struct command_arg *args)
{
    size_t count = 0;

    while (args[count].name != NULL) count++;
    reply_array(reply, count);
    for (size_t i = 0; i < count; i++) reply_arg(reply, &args[i]);
}

static void reply_doc_flags(struct reply *reply, const struct command *command)
{
    bool is_deprecated = command->deprecated_since != NULL;

    if (!is_deprecated && !command->is_system) return;
    reply_bulk_text(reply, "doc_flags");
    reply_set(reply, (size_t)is_deprecated + command->is_system);
    if (is_deprecated) reply_simple(reply, "deprecated");
    if (command->is_system) reply_simple(reply, "syscmd");
}

static void reply_history(struct reply *reply, const struct command_change *history)
{
    size_t count = 0;

    if (history == NULL) return;
    while (history[count].since != NULL) count++;
    reply_bulk_text(reply, "history");
    reply_set(reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_array(reply, 2);
        reply_bulk_text(reply, history[i].since);
        reply_bulk_text(reply, history[i].what);
    }
}

/* A name and its map: one pair of the map around it. */
static void reply_doc(struct reply *reply, const struct command *command)
{
    struct buf name = { 0 };
    size_t subcommands = 0;

    while (command->subcommands != NULL && command->subcommands[subcommands] != NULL) subcommands++;
    command_full_name(command, &name);
    reply_bulk(reply, buf_bytes(&name));
    buf_free(&name);
    reply_map(reply, (size_t)(command->summary != NULL) + (command->since != NULL) + (command->group != NULL) +
                         (command->complexity != NULL) + (command->deprecated_since != NULL || command->is_system) +
                         (command->deprecated_since != NULL) + (command->replaced_by != NULL) +
                         (command->history != NULL) + (command->args != NULL) + (subcommands > 0));
    pair_text(reply, "summary", command->summary);
    pair_text(reply, "since", command->since);
    pair_text(reply, "group", command->group);
    pair_text(reply, "complexity", command->complexity);
    reply_doc_flags(reply, command);
    pair_text(reply, "deprecated_since", command->deprecated_since);
    pair_text(reply, "replaced_by", command->replaced_by);
    reply_history(reply, command->history);
    if (command->args != NULL) {
        reply_bulk_text(reply, "arguments");
        reply_args(reply, command->args);
    }
    if (subcommands > 0) {
        reply_bulk_text(reply, "subcommands");
        reply_map(reply, subcommands);
        for (size_t i = 0; i < subcommands; i++) reply_doc(reply, command->subcommands[i]);
    }
}

void reply_command_docs(struct call *call)
{
    const struct command_table *commands = call->node->commands;
    size_t count = 0;

    if (call->argc == 2) {
        reply_map(call->reply, command_count(commands));
        for (size_t i = 0; i < command_count(commands); i++) reply_doc(call->reply, command_at(commands, i));
        return;
    }
    for (int arg = 2; arg < call->argc; arg++) count += command_by_full_name(commands, call_arg(call, arg)) != NULL;
    reply_map(call->reply, count);
    for (int arg = 2; arg < call->argc; arg++) {
        const struct command *command = command_by_full_name(commands, call_arg(call, arg));

        if (command != NULL) reply_doc(call->reply, command);
    }
}

/* --- docs/commands.md --- */

static void print_args(struct buf *out, const struct command_arg *args, const char *between);

/* An argument's own form, without the brackets that say it may be left out. */
static void print_arg_once(struct buf *out, const struct command_arg *arg)
{
    if (arg->type == ARG_PURE_TOKEN) {
        buf_append_text(out, arg->token);
        return;
    }
    if (arg->token != NULL) buf_printf(out, "%s ", arg->token);
    if (arg->type == ARG_ONEOF && arg->args != NULL) {
        bool wrap = !(arg->flags & ARG_OPTIONAL) || arg->token != NULL;

        if (wrap) buf_append_byte(out, '<');
        print_args(out, arg->args, " | ");
        if (wrap) buf_append_byte(out, '>');
    } else if (arg->args != NULL) {
        print_args(out, arg->args, " ");
    } else {
        buf_append_text(out, arg->name);
    }
}

static void print_args(struct buf *out, const struct command_arg *args, const char *between)
{
    for (size_t i = 0; args[i].name != NULL; i++) {
        bool is_optional = (args[i].flags & ARG_OPTIONAL) != 0;

        if (i > 0) buf_append_text(out, between);
        if (is_optional) buf_append_byte(out, '[');
        print_arg_once(out, &args[i]);
        if (args[i].flags & ARG_MULTIPLE) {
            buf_append_text(out, " [");
            if (args[i].flags & ARG_MULTIPLE_TOKEN)
                print_arg_once(out, &args[i]);
            else if (args[i].args != NULL)
                print_args(out, args[i].args, args[i].type == ARG_ONEOF ? " | " : " ");
            else
                buf_append_text(out, args[i].name);
            buf_append_text(out, " ...]");
        }
        if (is_optional) buf_append_byte(out, ']');
    }
}

static void print_upper(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) buf_append_byte(out, (char)toupper((unsigned char)*text));
}

static void print_command(struct buf *out, const struct command *command)
{
    buf_append_text(out, "- `");
    if (command->parent != NULL) {
        print_upper(out, command->parent);
        buf_append_byte(out, ' ');
    }
    print_upper(out, command->name);
    if (command->args != NULL) {
        buf_append_byte(out, ' ');
        print_args(out, command->args, " ");
    }
    buf_printf(out, "`: %s", command->summary);
    if (command->summary[0] != '\0' && command->summary[strlen(command->summary) - 1] != '.') buf_append_byte(out, '.');
    if (command->complexity != NULL) {
        buf_printf(out, " %s", command->complexity);
        if (command->complexity[strlen(command->complexity) - 1] != '.') buf_append_byte(out, '.');
    }
    if (command->replaced_by != NULL) {
        buf_printf(out, " Deprecated since %s: use ", command->deprecated_since);
        for (const char *c = command->replaced_by; *c != '\0'; c++)
            if (*c != '!') buf_append_byte(out, *c); /* marks an argument, for those who make links of it */
        buf_append_byte(out, '.');
    }
    buf_append_byte(out, '\n');
}

static int compare_commands(const void *a, const void *b)
{
    const struct command *const *left = a, *const *right = b;
    int by_group = strcmp((*left)->group, (*right)->group);

    return by_group != 0 ? by_group : strcmp((*left)->name, (*right)->name);
}

void commands_print_docs(const struct command_table *commands, struct buf *out)
{
    size_t count = command_count(commands);
    const struct command **sorted = alloc((count + 1) * sizeof(*sorted));
    const char *group = "";

    buf_append_text(out, "# Commands\n\n"
                         "Made from the command table by `redis-shard --print-commands-docs`; do not edit. Replies and "
                         "errors are those of\n"
                         "Redis 7.0 where Redis has the command.\n");
    for (size_t i = 0; i < count; i++) sorted[i] = command_at(commands, i);
    qsort(sorted, count, sizeof(*sorted), compare_commands);
    for (size_t i = 0; i < count; i++) {
        const struct command *command = sorted[i];

        if (strcmp(group, command->group) != 0) {
            group = command->group;
            buf_append_text(out, "\n## ");
            buf_append_byte(out, (char)toupper((unsigned char)group[0]));
            buf_printf(out, "%s\n\n", group + 1);
        }
        if (command->subcommands == NULL || command->arity == -1) print_command(out, command);
        for (size_t s = 0; command->subcommands != NULL && command->subcommands[s] != NULL; s++)
            print_command(out, command->subcommands[s]);
    }
    alloc_free(sorted);
}
