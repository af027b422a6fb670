/* commands/server.h: the commands about the node that have files of their own. */
#pragma once

#include "server/command.h"

extern const struct command command_acl, command_command, command_debug, command_function, command_hotkeys,
    command_module, command_info, command_latency, command_memory, command_psync, command_replconf, command_slowlog,
    command_sync;
