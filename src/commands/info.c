/* commands/info.c: INFO: which sections, in which order. What stands in them is in info_sections.c and info_stats.c. */
#include "commands/info.h"

#include "commands/server.h"
#include "server/call.h"
#include "server/client.h"

struct section {
    const char *name;
    bool in_default, in_all;
    void (*append)(struct call *call, struct buf *out);
};

/* In the order they are printed, whatever the order they are asked for in. */
static const struct section sections[] = {
    { "server", true, true, info_server },
    { "clients", true, true, info_clients },
    { "memory", true, true, info_memory },
    { "persistence", true, true, info_persistence },
    { "stats", true, true, info_stats },
    { "replication", true, true, info_replication },
    { "cpu", true, true, info_cpu },
    { "modules", true, false, info_modules },
    { "commandstats", false, true, info_commandstats },
    { "errorstats", true, true, info_errorstats },
    { "latencystats", false, true, info_latencystats },
    { "hotkeys", true, true, info_hotkeys },
    { "cluster", true, true, info_cluster },
    { "cache", true, true, info_cache },
    { "salting", true, true, info_salting },
    { "keyspace", true, true, info_keyspace },
};
#define SECTION_COUNT (sizeof(sections) / sizeof(sections[0]))

/* The sections a word stands for, a bit each; unknown words for none. */
static uint32_t sections_of(struct bytes word)
{
    uint32_t set = 0;

    for (size_t i = 0; i < SECTION_COUNT; i++) {
        const struct section *section = &sections[i];

        if (bytes_is_word(word, "everything") || bytes_is_word(word, section->name) ||
            (bytes_is_word(word, "all") && section->in_all) || (bytes_is_word(word, "default") && section->in_default))
            set |= 1u << i;
    }
    return set;
}

/* Nothing that a client does of its own accord came before. */
static bool is_opening(const struct command *previous)
{
    return previous == NULL || (previous->flags & COMMAND_NO_AUTH) != 0;
}

static void info(struct call *call)
{
    uint32_t wanted = call->argc == 1 ? sections_of(BYTES("default")) : 0;
    struct buf out = { 0 };

    if (!call->in_exec && is_opening(call->previous)) call->client->opened_with_info = true;
    for (int arg = 1; arg < call->argc; arg++) wanted |= sections_of(call_arg(call, arg));
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        if (!(wanted & (1u << i))) continue;
        if (out.len > 0) buf_append_text(&out, "\r\n");
        sections[i].append(call, &out);
    }
    reply_verbatim(call->reply, buf_bytes(&out));
    buf_free(&out);
}

static const struct command_arg info_args[] = {
    { .name = "section", .type = ARG_STRING, .flags = ARG_OPTIONAL | ARG_MULTIPLE },
    { .name = NULL },
};
static const char *const info_tips[] = { "nondeterministic_output", "request_policy:all_shards",
                                         "response_policy:special", NULL };
const struct command command_info = {
    .name = "info",
    .summary = "Report the state and the counters of the node",
    .since = "1.0.0",
    .group = "server",
    .complexity = "O(W + N) over workers and commands",
    .history = COMMAND_HISTORY({ "7.0.0", "Takes several sections." }),
    .arity = -1,
    .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_UNLOCKED,
    .acl = ACL_DANGEROUS,
    .args = info_args,
    .tips = info_tips,
    .run = info,
};
