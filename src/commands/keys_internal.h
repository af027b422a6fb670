/* commands/keys_internal.h: what the files of the key commands share. */
#pragma once

#include "server/call.h"

extern const struct command command_expire, command_pexpire, command_expireat, command_pexpireat;
extern const struct command command_ttl, command_pttl, command_expiretime, command_pexpiretime, command_persist;
extern const struct command command_keys_pattern, command_scan, command_randomkey, command_dbsize;
extern const struct command command_flushall, command_flushdb;
extern const struct command command_object;
extern const struct command command_dump, command_restore, command_restore_asking, command_migrate;

#define ONE_KEY(key_flags)                                                                                             \
    {                                                                                                                  \
        {                                                                                                              \
            .first = 1, .last = 0, .step = 1, .flags = (key_flags)                                                     \
        }                                                                                                              \
    }
#define MANY_KEYS(key_flags)                                                                                           \
    {                                                                                                                  \
        {                                                                                                              \
            .first = 1, .last = -1, .step = 1, .flags = (key_flags)                                                    \
        }                                                                                                              \
    }
