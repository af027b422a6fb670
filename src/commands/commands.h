/* commands/commands.h
 *
 * The families of commands, each in a file of its own; main.c hands them to the server. Every array ends with NULL. */
#pragma once

#include "server/command.h"

extern const struct command *const commands_connection[];
extern const struct command *const commands_server[];
extern const struct command *const commands_keys[];
extern const struct command *const commands_strings[];
extern const struct command *const commands_transactions[];
extern const struct command *const commands_cluster[];
extern const struct command *const commands_config[];
extern const struct command *const commands_cache[];
extern const struct command *const commands_policy[];
extern const struct command *const commands_pubsub[];
extern const struct command *const commands_saltlink[];

struct buf;
/* docs/commands.md: redis-shard --print-commands-docs. */
void commands_print_docs(const struct command_table *commands, struct buf *out);
