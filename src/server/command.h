/* server/command.h
 *
 * A command is a descriptor beside its handler. COMMAND, COMMAND DOCS, COMMAND GETKEYS, the ACL categories and the command
 * list in docs/commands.md all come from it, and so does what the server may do with it: which keys to lock, whether it writes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes;
struct call;
struct slot;

/* What COMMAND INFO shows as flags, in its names. */
enum command_flag {
    COMMAND_WRITE = 1u << 0,
    COMMAND_READONLY = 1u << 1,
    COMMAND_DENYOOM = 1u << 2,
    COMMAND_ADMIN = 1u << 3,
    COMMAND_PUBSUB = 1u << 4,
    COMMAND_NOSCRIPT = 1u << 5,
    COMMAND_BLOCKING = 1u << 6,
    COMMAND_LOADING = 1u << 7,
    COMMAND_STALE = 1u << 8,
    COMMAND_SKIP_MONITOR = 1u << 9,
    COMMAND_SKIP_SLOWLOG = 1u << 10,
    COMMAND_ASKING = 1u << 11,
    COMMAND_FAST = 1u << 12,
    COMMAND_NO_AUTH = 1u << 13, /* may run before AUTH */
    COMMAND_NO_MULTI = 1u << 14,
    COMMAND_NO_ASYNC_LOADING = 1u << 15,
    COMMAND_MOVABLE_KEYS = 1u << 16,
    COMMAND_ALLOW_BUSY = 1u << 17,
    /* Ours; never shown. */
    COMMAND_ALL_SLOTS = 1u << 24, /* visits many slots: EXEC takes every lock for it */
    COMMAND_IN_MULTI = 1u << 25,  /* runs at once inside MULTI: EXEC, DISCARD, MULTI, WATCH, RESET, QUIT */
    COMMAND_MIGRATES = 1u << 26,  /* the redirect decision lets MIGRATE pass */
    /* Touches no slot, and waits, calls on the system or wakes other threads: EXEC runs it when it has given its locks back. */
    COMMAND_UNLOCKED = 1u << 28,
    COMMAND_PUBLISHES = 1u << 22,  /* waits while much is on its way to subscribers */
    COMMAND_SUBSCRIBED = 1u << 23, /* for clients that subscribe to something and speak RESP2, too */
    /* Replies the value of its only key and does nothing else, so that one which was published may answer it (cache/hot_reads.h). It offers what it
     * finds: call_publish(). */
    COMMAND_GIVES_VALUE = 1u << 29,
    /* What it replies is in the values of its keys, all of it, and it leaves no trace: a copy of a salted key's value will do
     * (server/salt_read.h). */
    COMMAND_TELLS_VALUES = 1u << 21,
    COMMAND_CLUSTER_ONLY = 1u << 27, /* "ERR This instance has cluster support disabled" without a cluster */
};

/* ACL categories besides those that follow from flags (@write, @read, @admin, @dangerous, @fast, @slow, @pubsub, @blocking). */
enum command_acl {
    ACL_KEYSPACE = 1u << 0,
    ACL_STRING = 1u << 1,
    ACL_CONNECTION = 1u << 2,
    ACL_TRANSACTION = 1u << 3,
    ACL_DANGEROUS = 1u << 4,
    ACL_CACHE = 1u << 5,
    ACL_SCRIPTING = 1u << 6,
    ACL_READ = 1u << 7,
    ACL_WRITE = 1u << 8,
    ACL_ADMIN = 1u << 9,
};

enum key_flag {
    KEY_RO = 1u << 0,
    KEY_RW = 1u << 1,
    KEY_OW = 1u << 2,
    KEY_RM = 1u << 3,
    KEY_ACCESS = 1u << 4,
    KEY_UPDATE = 1u << 5,
    KEY_INSERT = 1u << 6,
    KEY_DELETE = 1u << 7,
    KEY_NOT_KEY = 1u << 8,
    KEY_INCOMPLETE = 1u << 9,
    KEY_VARIABLE_FLAGS = 1u << 10,
};

/* Where keys stand: from argument `first`, each `step`-th, up to `last` (relative to `first`; negative counts from the end: -1 is the last
 * argument), as COMMAND INFO's range spec has it. first 0: no such spec. Of a spec with a keyword they stand behind that word, which is looked for
 * from `first` on; such a spec is only shown, the command has a find_keys(). */
struct key_spec {
    int first, last, step;
    uint32_t flags; /* enum key_flag */
    const char *notes;
    const char *keyword;
};
#define KEY_SPECS_MAX 2

enum arg_type {
    ARG_STRING,
    ARG_INTEGER,
    ARG_DOUBLE,
    ARG_KEY,
    ARG_PATTERN,
    ARG_UNIX_TIME,
    ARG_PURE_TOKEN,
    ARG_ONEOF,
    ARG_BLOCK
};
enum arg_flag { ARG_OPTIONAL = 1, ARG_MULTIPLE = 2, ARG_MULTIPLE_TOKEN = 4 };

/* One argument, as COMMAND DOCS shows it; a table ends with name NULL. */
struct command_arg {
    const char *name;
    enum arg_type type;
    uint32_t flags;
    const char *token;
    const char *since, *deprecated_since;
    int key_spec;                   /* of an ARG_KEY: index of its key spec */
    const struct command_arg *args; /* of ONEOF and BLOCK */
};

/* What a version added; a list of them ends with since NULL. */
struct command_change {
    const char *since, *what;
};
#define COMMAND_HISTORY(...) ((const struct command_change[]){ __VA_ARGS__, { NULL, NULL } })

struct command {
    const char *name; /* lower case; of a subcommand without its parent */
    const char *summary, *since, *group, *complexity;
    const char *deprecated_since, *replaced_by; /* NULL: it is not */
    const struct command_change *history;
    bool is_system; /* a tool for the node's own tests, no service to users */
    int arity;      /* counts the name; negative: at least; a subcommand counts its parent too */
    int value_arg;  /* the argument that becomes the value at the first key, as it is; 0: none */
    uint32_t flags; /* enum command_flag */
    uint32_t acl;   /* enum command_acl */
    struct key_spec keys[KEY_SPECS_MAX];
    /* Where the arguments tell which of them are keys: finds them as command_keys() does. The specs are then only shown. */
    size_t (*find_keys)(const struct command *command, int argc, const struct bytes *argv,
                        void (*visit)(void *context, int arg, const struct key_spec *spec), void *context);
    const struct command_arg *args;
    const char *const *tips;                  /* ends with NULL */
    const struct command *const *subcommands; /* ends with NULL */
    const char *parent;                       /* of a subcommand: its container's name */
    /* What takes long and needs no slot: called before the lock is taken, but not within EXEC. May leave an entry for run() in
     * *call->incoming (intake_keep()), and replies nothing. */
    void (*prepare)(struct call *call);
    /* With the slot of the first key locked, before other entries go for a big value: will run() keep it, as things stand? Replies nothing and changes
     * nothing; what cannot be told so is a yes. NULL: always. */
    bool (*keeps)(const struct call *call, const struct slot *slot);
    void (*run)(struct call *call);
    /* What takes long, or waits, and needs no slot: called where run() left something in call->kept, after the locks were given back,
     * those of EXEC too. Replies, and frees what was kept. */
    void (*finish)(struct call *call);
};

/* All commands of the server; main.c hands the families in. */
struct command_table;

struct command_table *command_table_new(const struct command *const *const *families);
void command_table_free(struct command_table **table);
/* By name, in any case; NULL if there is none. Does not look at subcommands. */
const struct command *command_find(const struct command_table *table, struct bytes name);
/* The same, with its number: what the dispatcher asks for each request. */
const struct command *command_find_numbered(const struct command_table *table, struct bytes name, size_t *number);
const struct command *command_find_sub(const struct command *container, struct bytes name);
size_t command_count(const struct command_table *table);
const struct command *command_at(const struct command_table *table, size_t n);
/* A dense number of each command and subcommand, for counters: 0 .. command_number_max()-1. */
size_t command_number(const struct command_table *table, const struct command *command);
size_t command_number_max(const struct command_table *table);
const struct command *command_by_number(const struct command_table *table, size_t number);

bool command_arity_ok(const struct command *command, int argc);
/* Visits the index of every key argument; returns how many. visit may be NULL. */
size_t command_keys(const struct command *command, int argc, const struct bytes *argv,
                    void (*visit)(void *context, int arg, const struct key_spec *spec), void *context);
