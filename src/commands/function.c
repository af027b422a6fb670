/* commands/function.c: FUNCTION, as far as a node without functions can answer it: the set of its libraries is empty.
 *
 * Tools ask. redis-cli's add-node reads FUNCTION DUMP of a node of the cluster, and gives it to the new one by FUNCTION RESTORE. */
#include "server/call.h"
#include "transfer/payload.h"

#include <limits.h>

#define TYPE_LIBRARY 0xf5u /* of a payload: a library's text follows */

/* --- What is there --- */

static void function_list(struct call *call)
{
    bool with_code = false, is_named = false;

    for (int arg = 2; arg < call->argc; arg++) {
        if (!with_code && call_arg_is(call, arg, "withcode")) {
            with_code = true;
        } else if (is_named || !call_arg_is(call, arg, "libraryname")) {
            struct bytes word = call_arg(call, arg);

            reply_errorf(call->reply, "ERR Unknown argument %.*s", (int)(word.len & INT_MAX), word.data);
            return;
        } else if (++arg == call->argc) {
            reply_error(call->reply, "ERR library name argument was not given");
            return;
        } else {
            is_named = true;
        }
    }
    reply_array(call->reply, 0);
}

static void function_stats(struct call *call)
{
    reply_map(call->reply, 2);
    reply_bulk_text(call->reply, "running_script");
    reply_null(call->reply);
    reply_bulk_text(call->reply, "engines");
    reply_map(call->reply, 1);
    reply_bulk_text(call->reply, "LUA");
    reply_map(call->reply, 2);
    reply_bulk_text(call->reply, "libraries_count");
    reply_integer(call->reply, 0);
    reply_bulk_text(call->reply, "functions_count");
    reply_integer(call->reply, 0);
}

static void function_dump(struct call *call)
{
    char payload[PAYLOAD_TAIL_BYTES];

    payload_tail(0, payload);
    reply_bulk(call->reply, (struct bytes){ payload, sizeof(payload) });
}

/* --- What would change it --- */

static void function_restore(struct call *call)
{
    if (call->argc > 4) {
        call_reply_subcommand_error(call);
        return;
    }
    if (call->argc == 4 && !call_arg_is(call, 3, "flush") && !call_arg_is(call, 3, "append") &&
        !call_arg_is(call, 3, "replace"))
        reply_error(call->reply, "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
    else if (!payload_is_framed(call_arg(call, 2)))
        reply_error(call->reply, "ERR DUMP payload version or checksum are wrong");
    else if (call_arg(call, 2).len > PAYLOAD_TAIL_BYTES && (unsigned char)call_arg(call, 2).data[0] != TYPE_LIBRARY)
        reply_error(call->reply, "ERR given type is not a function");
    else if (call_arg(call, 2).len > PAYLOAD_TAIL_BYTES)
        reply_error(call->reply, "ERR There are libraries in the payload, and this node has no functions");
    else
        reply_ok(call->reply);
}

static void function_flush(struct call *call)
{
    if (call->argc > 3)
        call_reply_subcommand_error(call);
    else if (call->argc == 3 && !call_arg_is(call, 2, "sync") && !call_arg_is(call, 2, "async"))
        reply_error(call->reply, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    else
        reply_ok(call->reply);
}

static void function_help(struct call *call)
{
    static const char *const lines[] = {
        "DUMP",
        "    Give all libraries as one payload. There are none.",
        "FLUSH [ASYNC|SYNC]",
        "    Remove all libraries.",
        "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
        "    List the libraries.",
        "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
        "    Take the libraries of a payload, if there are none in it.",
        "STATS",
        "    Tell which function runs, and what the engines have.",
        NULL,
    };

    call_reply_help(call, lines);
}

/* --- Descriptors --- */

static const char *const of_all[] = { "request_policy:all_shards", "response_policy:all_succeeded", NULL };
static const char *const list_tips[] = { "nondeterministic_output_order", NULL };
static const char *const stats_tips[] = { "nondeterministic_output", "request_policy:all_shards",
                                          "response_policy:special", NULL };

#define FUNCTION_SUBCOMMAND .parent = "function", .since = "7.0.0", .group = "scripting", .acl = ACL_SCRIPTING

static const struct command_arg list_args[] = {
    { .name = "library-name-pattern", .type = ARG_STRING, .flags = ARG_OPTIONAL, .token = "LIBRARYNAME" },
    { .name = "withcode", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "WITHCODE" },
    { .name = NULL },
};
static const struct command command_function_list = {
    FUNCTION_SUBCOMMAND,  .name = "list",    .summary = "List the libraries of functions: none",
    .complexity = "O(1)", .arity = -2,       .flags = COMMAND_NOSCRIPT,
    .args = list_args,    .tips = list_tips, .run = function_list,
};

static const struct command command_function_dump = {
    FUNCTION_SUBCOMMAND,
    .name = "dump",
    .summary = "Read all libraries of functions in the form that FUNCTION RESTORE takes",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_NOSCRIPT,
    .run = function_dump,
};

static const struct command_arg policies[] = {
    { .name = "flush", .type = ARG_PURE_TOKEN, .token = "FLUSH" },
    { .name = "append", .type = ARG_PURE_TOKEN, .token = "APPEND" },
    { .name = "replace", .type = ARG_PURE_TOKEN, .token = "REPLACE" },
    { .name = NULL },
};
static const struct command_arg restore_args[] = {
    { .name = "serialized-value", .type = ARG_STRING },
    { .name = "policy", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = policies },
    { .name = NULL },
};
static const struct command command_function_restore = {
    FUNCTION_SUBCOMMAND,
    .name = "restore",
    .summary = "Take libraries of functions that FUNCTION DUMP has read, where there are none",
    .complexity = "O(N) for a payload of N bytes",
    .arity = -3,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_NOSCRIPT,
    .args = restore_args,
    .tips = of_all,
    .run = function_restore,
};

static const struct command command_function_stats = {
    FUNCTION_SUBCOMMAND,
    .name = "stats",
    .summary = "Tell which function runs: none",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_NOSCRIPT | COMMAND_ALLOW_BUSY,
    .tips = stats_tips,
    .run = function_stats,
};

static const struct command_arg modes[] = {
    { .name = "async", .type = ARG_PURE_TOKEN, .token = "ASYNC" },
    { .name = "sync", .type = ARG_PURE_TOKEN, .token = "SYNC" },
    { .name = NULL },
};
static const struct command_arg flush_args[] = {
    { .name = "async", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = modes },
    { .name = NULL },
};
static const struct command command_function_flush = {
    FUNCTION_SUBCOMMAND,  .name = "flush", .summary = "Remove all libraries of functions, of which there are none",
    .complexity = "O(1)", .arity = -2,     .flags = COMMAND_WRITE | COMMAND_NOSCRIPT,
    .args = flush_args,   .tips = of_all,  .run = function_flush,
};

static const struct command command_function_help = {
    FUNCTION_SUBCOMMAND,  .name = "help", .summary = "Describe the subcommands",
    .complexity = "O(1)", .arity = 2,     .flags = COMMAND_LOADING | COMMAND_STALE,
    .run = function_help,
};

static const struct command *const function_subcommands[] = {
    &command_function_dump,
    &command_function_flush,
    &command_function_help,
    &command_function_list,
    &command_function_restore,
    &command_function_stats,
    NULL,
};
const struct command command_function = {
    .name = "function",
    .summary = "Commands about functions, of which there are none yet",
    .since = "7.0.0",
    .group = "scripting",
    .complexity = "Depends on the subcommand",
    .arity = -2,
    .subcommands = function_subcommands,
};
