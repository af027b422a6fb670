/* commands/keys_migrate.c: MIGRATE: keys of this node become another node's.
 *
 * What is done is in transfer/migration.h. Here the request is read, and its client waits: the worker goes on with others, and another thread
 * answers. */
#include "base/alloc.h"
#include "bus/bus.h"
#include "cluster/open.h"
#include "commands/keys_internal.h"
#include "server/client.h"
#include "server/hold.h"
#include "server/node.h"
#include "transfer/migrator.h"

#include <string.h>

enum { HOST_ARG = 1, PORT_ARG, KEY_ARG, DB_ARG, TIMEOUT_ARG, OPTIONS_ARG };

#define TIMEOUT_MS 1000 /* where none is given */

/* The index of the word KEYS among the options, or argc. What follows AUTH and AUTH2 is no option, whatever it reads. */
static int find_keys_word(int argc, const struct bytes *argv)
{
    int arg = OPTIONS_ARG;

    while (arg < argc && !bytes_is_word(argv[arg], "keys"))
        arg += bytes_is_word(argv[arg], "auth") ? 2 : bytes_is_word(argv[arg], "auth2") ? 3 : 1;
    return arg < argc ? arg : argc;
}

/* Where both forms are mixed there are none, and run() refuses it. With nothing behind KEYS it is the empty key, as elsewhere in the field, though
 * nothing is done with it. */
static size_t find_keys(const struct command *command, int argc, const struct bytes *argv,
                        void (*visit)(void *context, int arg, const struct key_spec *spec), void *context)
{
    int word = find_keys_word(argc, argv);
    bool is_list = word + 1 < argc;
    int first = is_list ? word + 1 : KEY_ARG, end = is_list ? argc : KEY_ARG + 1;

    if (is_list && argv[KEY_ARG].len > 0) return 0;
    for (int arg = first; arg < end && visit != NULL; arg++) visit(context, arg, &command->keys[is_list]);
    return (size_t)(end - first);
}

/* False: has replied. */
static bool parse_options(struct call *call, struct migration_options *options)
{
    int argc = call->argc;

    for (int arg = OPTIONS_ARG; arg < argc; arg++) {
        if (call_arg_is(call, arg, "copy")) {
            options->copies = true;
        } else if (call_arg_is(call, arg, "replace")) {
            options->replaces = true;
        } else if (call_arg_is(call, arg, "auth") && arg + 1 < argc) {
            options->address.has_password = true;
            options->address.password = call_arg(call, ++arg);
        } else if (call_arg_is(call, arg, "auth2") && arg + 2 < argc) {
            options->address.has_password = options->address.has_user = true;
            options->address.user = call_arg(call, ++arg);
            options->address.password = call_arg(call, ++arg);
        } else if (call_arg_is(call, arg, "keys")) {
            if (call_arg(call, KEY_ARG).len == 0) return true;
            reply_error(call->reply,
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string");
            return false;
        } else {
            reply_error(call->reply, ERROR_SYNTAX);
            return false;
        }
    }
    return true;
}

/* False: has replied. */
static bool parse(struct call *call, struct migration_options *options)
{
    int word = find_keys_word(call->argc, call->argv);

    *options = (struct migration_options){ .asks = call->node->bus != NULL };
    if (!parse_options(call, options) || !call_arg_i64(call, TIMEOUT_ARG, &options->timeout_ms) ||
        !call_arg_i64(call, DB_ARG, &options->address.db))
        return false;
    if (options->timeout_ms <= 0) options->timeout_ms = TIMEOUT_MS;
    options->address.host = call_arg(call, HOST_ARG);
    options->address.port = call_arg(call, PORT_ARG);
    options->keys = call->argv + (word < call->argc ? word + 1 : KEY_ARG);
    options->key_count = word < call->argc ? (size_t)(call->argc - word - 1) : 1;
    return true;
}

static bool is_any_here(struct call *call, const struct migration_options *options)
{
    for (size_t i = 0; i < options->key_count; i++)
        if (slot_peek(call_slot_of_key(call, options->keys[i]), options->keys[i], call->now_ms) != NULL) return true;
    return false;
}

/* Whoever moves a slot is not taken for gone. */
static void note_work(struct call *call, const struct migration_options *options)
{
    struct effects *effects;

    if (call->node->bus == NULL || options->key_count == 0) return;
    cluster_slot_worked(bus_lock(call->node->bus, &effects), key_slot(options->keys[0]), call->now_ms);
    bus_unlock(call->node->bus);
}

static void migrate(struct call *call)
{
    struct migration_options options;

    if (!parse(call, &options)) return;
    note_work(call, &options);
    if (!is_any_here(call, &options))
        reply_simple(call->reply, "NOKEY");
    else if (call->in_exec)
        reply_error(call->reply, "ERR MIGRATE waits for another node, which a transaction cannot");
    else
        call->kept = call->node->migrator;
}

/* Is the target one of our own nodes, as far as the bus knows it by this address? Others take no versions. */
static bool is_kin(struct call *call, const struct migration_options *options)
{
    struct effects *effects;
    struct cluster *cluster;
    struct cluster_node_info node;
    int64_t port;
    bool found = false;

    if (call->node->bus == NULL || !bytes_to_i64(options->address.port, &port)) return false;
    cluster = bus_lock(call->node->bus, &effects);
    for (size_t n = 1; !found && cluster_node_at(cluster, n, &node); n++)
        found = node.is_kin && node.port == port &&
                (bytes_equal(options->address.host, (struct bytes){ node.ip, strlen(node.ip) }) ||
                 bytes_equal(options->address.host, (struct bytes){ node.hostname, strlen(node.hostname) }));
    bus_unlock(call->node->bus);
    return found;
}

/* With no lock held: hands the request over. */
static void migrate_finish(struct call *call)
{
    struct migration_options options;
    struct migration *migration;

    call->kept = NULL;
    parse(call, &options); /* for the second time */
    options.to_kin = is_kin(call, &options);
    options.ticket = call->parked = client_park(call->client);
    migration = migration_new(&options);
    migrator_post(call->node->migrator, &migration);
}

/* --- Descriptor --- */

static const char *const migrate_tips[] = { "nondeterministic_output", NULL };

static const struct command_arg key_args[] = {
    { .name = "key", .type = ARG_KEY, .key_spec = 0 },
    { .name = "empty_string", .type = ARG_PURE_TOKEN, .token = "" },
    { .name = NULL },
};
static const struct command_arg auth2_args[] = {
    { .name = "username", .type = ARG_STRING },
    { .name = "password", .type = ARG_STRING },
    { .name = NULL },
};
static const struct command_arg authentication_args[] = {
    { .name = "password", .type = ARG_STRING, .flags = ARG_OPTIONAL, .token = "AUTH", .since = "4.0.7" },
    { .name = "username_password",
      .type = ARG_BLOCK,
      .flags = ARG_OPTIONAL,
      .token = "AUTH2",
      .since = "6.0.0",
      .args = auth2_args },
    { .name = NULL },
};
static const struct command_arg migrate_args[] = {
    { .name = "host", .type = ARG_STRING },
    { .name = "port", .type = ARG_INTEGER },
    { .name = "key_or_empty_string", .type = ARG_ONEOF, .args = key_args },
    { .name = "destination-db", .type = ARG_INTEGER },
    { .name = "timeout", .type = ARG_INTEGER },
    { .name = "copy", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "COPY", .since = "3.0.0" },
    { .name = "replace", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "REPLACE", .since = "3.0.0" },
    { .name = "authentication", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = authentication_args },
    { .name = "key",
      .type = ARG_KEY,
      .flags = ARG_OPTIONAL | ARG_MULTIPLE,
      .token = "KEYS",
      .since = "3.0.6",
      .key_spec = 1 },
    { .name = NULL },
};

const struct command command_migrate = {
    .name = "migrate",
    .summary = "Move keys to another node, each with its value and its deadline.",
    .since = "2.6.0",
    .group = "generic",
    .complexity = "O(N) for values of N bytes, while others are served",
    .history = COMMAND_HISTORY({ "3.0.0", "COPY and REPLACE." }, { "3.0.6", "KEYS." }, { "4.0.7", "AUTH." },
                               { "6.0.0", "AUTH2." }),
    .arity = -6,
    .flags = COMMAND_WRITE | COMMAND_MOVABLE_KEYS | COMMAND_MIGRATES,
    .acl = ACL_KEYSPACE | ACL_DANGEROUS,
    .keys = { { .first = 3, .last = 0, .step = 1, .flags = KEY_RW | KEY_ACCESS | KEY_DELETE },
              { .first = -2,
                .last = -1,
                .step = 1,
                .flags = KEY_RW | KEY_ACCESS | KEY_DELETE | KEY_INCOMPLETE,
                .keyword = "KEYS" } },
    .find_keys = find_keys,
    .args = migrate_args,
    .tips = migrate_tips,
    .run = migrate,
    .finish = migrate_finish,
};
