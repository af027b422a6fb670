/* commands/string_internal.h: what the files of the string commands share. */
#pragma once

#include "server/call.h"

/* A value as a string, empty for a key that is not there. False, with WRONGTYPE replied, where it is of another type. Strings are
 * the only type so far, so this never fails yet; every string command goes through it all the same. */
static inline bool string_of(struct call *call, const struct entry *entry, struct bytes *out)
{
    (void)call;
    *out = entry == NULL ? BYTES_NONE : entry_value(entry);
    return true;
}

/* May a string of len bytes grow by so many more? On no, has replied. */
bool string_fits(struct call *call, size_t len, size_t more);

extern const struct command command_set, command_setnx, command_setex, command_psetex, command_getex, command_delifeq;
extern const struct command command_incr, command_decr, command_incrby, command_decrby, command_incrbyfloat;
extern const struct command command_lcs;

/* Key specs most string commands have: one key. */
#define ONE_KEY(key_flags)                                                                                             \
    {                                                                                                                  \
        {                                                                                                              \
            .first = 1, .last = 0, .step = 1, .flags = (key_flags)                                                     \
        }                                                                                                              \
    }
#define MANY_KEYS(key_step, key_flags)                                                                                 \
    {                                                                                                                  \
        {                                                                                                              \
            .first = 1, .last = -1, .step = (key_step), .flags = (key_flags)                                           \
        }                                                                                                              \
    }

/* The first line of most argument tables. */
#define ARG_THE_KEY                                                                                                    \
    {                                                                                                                  \
        .name = "key", .type = ARG_KEY, .key_spec = 0                                                                  \
    }
