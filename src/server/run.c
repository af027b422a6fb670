#include "server/run.h"

#include "base/alloc.h"

struct slow_entry *run_slow_entry(const struct call *call, const struct command *command, int argc,
                                  const struct bytes *argv)
{
    struct slow_entry *entry;
    struct bytes *shown;

    if (command->flags & COMMAND_SKIP_SLOWLOG) return NULL;
    shown = alloc((size_t)argc * sizeof(*shown));
    for (int i = 0; i < argc; i++) shown[i] = argument_is_secret(command, argv, i) ? BYTES("(redacted)") : argv[i];
    entry = slowlog_prepare(argc, shown, call->client->peer, call->client->name);
    alloc_free(shown);
    return entry;
}

__attribute__((cold, noinline)) void run_log_slow(struct call *call, const struct command *command, int argc,
                                                  const struct bytes *argv, uint64_t ns)
{
    struct slow_entry *entry = run_slow_entry(call, command, argc, argv);

    if (entry == NULL) return;
    slowlog_keep(call->node->slowlog, &entry, clock_wall_us() / 1000000, (int64_t)(ns / 1000),
                 config_int(call->node->config, slowlog_max_len));
}
