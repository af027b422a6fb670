/* commands/cache_internal.h: what the commands that fill, read and invalidate a cache share. */
#pragma once

#include "cache/fill.h"
#include "server/call.h"

/* VER, TOKEN and FRESH of SET: which arguments they are; 0 without. */
struct fill_args {
    int version_arg, token_arg, fresh_arg;
};

static inline bool is_fill(const struct fill_args *args)
{
    return (args->version_arg | args->token_arg | args->fresh_arg) != 0;
}

struct fill {
    uint64_t version; /* ENTRY_VERSIONED and the version; or 0 */
    bool has_token;
    struct fill_token token;
    int64_t fresh_ms; /* 0: as long as it is there */
};

/* Is the argument one of the three words, with something behind it? Steps over that. */
bool fill_word(const struct call *call, int *arg, struct fill_args *args);
/* Reads what stands behind them; false: has replied. */
bool fill_read(struct call *call, const struct fill_args *args, struct fill *fill);
/* With the slot locked: may the value be kept, in place of an entry or of none? `admitted`: what SET's other conditions say. Where not, the next who
 * waits for the key is elected. */
bool fill_settle(struct call *call, const struct fill *fill, bool admitted, const struct entry *entry);
/* Gives the first key the value at argument 2; until a hold's end at most. */
void fill_keep(struct call *call, const struct fill *fill, int64_t expires_at_ms, bool has_deadline);

/* A version at an argument, with ENTRY_VERSIONED; false: has replied. */
bool version_of_arg(struct call *call, int arg, uint64_t *version);
/* A number of ms from `min` to some weeks; false: has replied. */
bool ms_of_arg(struct call *call, int arg, int64_t min, int64_t *ms);

/* Is it past the moment until which it is fresh? */
bool entry_is_stale(const struct entry *entry, int64_t now_ms);
/* The same, or past the part of its life that its policy's refresh is. */
bool entry_is_due(const struct call *call, const struct entry *entry);
/* fresh_ms of what is fresh no longer, whenever it was born. */
#define FRESH_NO_MORE 1u

extern const struct command command_invalidate;
extern const struct command command_salt;
