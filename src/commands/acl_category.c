/* The categories in the order Redis lists them; ours come last. */
#include "commands/acl.h"

enum {
    KEYSPACE,
    READ,
    WRITE,
    SET,
    SORTEDSET,
    LIST,
    HASH,
    STRING,
    BITMAP,
    HYPERLOGLOG,
    GEO,
    STREAM,
    PUBSUB,
    ADMIN,
    FAST,
    SLOW,
    BLOCKING,
    DANGEROUS,
    CONNECTION,
    TRANSACTION,
    SCRIPTING,
    CACHE,
    CATEGORY_COUNT
};

static const char *const names[CATEGORY_COUNT] = {
    [KEYSPACE] = "keyspace",
    [READ] = "read",
    [WRITE] = "write",
    [SET] = "set",
    [SORTEDSET] = "sortedset",
    [LIST] = "list",
    [HASH] = "hash",
    [STRING] = "string",
    [BITMAP] = "bitmap",
    [HYPERLOGLOG] = "hyperloglog",
    [GEO] = "geo",
    [STREAM] = "stream",
    [PUBSUB] = "pubsub",
    [ADMIN] = "admin",
    [FAST] = "fast",
    [SLOW] = "slow",
    [BLOCKING] = "blocking",
    [DANGEROUS] = "dangerous",
    [CONNECTION] = "connection",
    [TRANSACTION] = "transaction",
    [SCRIPTING] = "scripting",
    [CACHE] = "cache",
};

#define BIT(category) ((uint64_t)1 << (category))

static const struct {
    uint32_t acl;
    int category;
} added[] = {
    { ACL_KEYSPACE, KEYSPACE },     { ACL_STRING, STRING },
    { ACL_CONNECTION, CONNECTION }, { ACL_TRANSACTION, TRANSACTION },
    { ACL_DANGEROUS, DANGEROUS },   { ACL_CACHE, CACHE },
    { ACL_SCRIPTING, SCRIPTING },   { ACL_READ, READ },
    { ACL_WRITE, WRITE },           { ACL_ADMIN, ADMIN },
};

uint64_t acl_categories(const struct command *command)
{
    uint32_t flags = command->flags;
    uint64_t set = flags & COMMAND_FAST ? BIT(FAST) : BIT(SLOW);

    if (flags & COMMAND_WRITE) set |= BIT(WRITE);
    if (flags & COMMAND_READONLY) set |= BIT(READ);
    if (flags & COMMAND_ADMIN) set |= BIT(ADMIN) | BIT(DANGEROUS);
    if (flags & COMMAND_PUBSUB) set |= BIT(PUBSUB);
    if (flags & COMMAND_BLOCKING) set |= BIT(BLOCKING);
    for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++)
        if (command->acl & added[i].acl) set |= BIT(added[i].category);
    return set;
}

size_t acl_category_count(void)
{
    return CATEGORY_COUNT;
}

const char *acl_category_name(size_t n)
{
    return names[n];
}

uint64_t acl_category_by_name(struct bytes name)
{
    for (size_t i = 0; i < CATEGORY_COUNT; i++)
        if (bytes_is_word(name, names[i])) return BIT(i);
    return 0;
}
