/* commands/cache_guard.h: what policies do to plain GET, SET and DEL (see cache_guard.c). With the slots locked. Whoever asks has_guards() first pays a load and
 * a branch while no policy has anything of it. */
#pragma once

#include "cache/fill.h"
#include "cache/policy.h"
#include "server/call.h"
#include "server/node.h"

/* Is there any of what this file is about? */
static inline bool has_guards(const struct call *call)
{
    return policies_set_any(call->node->policies, 1u << POLICY_FIELD_GUARD | 1u << POLICY_FIELD_REFRESH |
                                                      1u << POLICY_FIELD_COALESCE | 1u << POLICY_FIELD_HOLD);
}

/* A GET of the first key that found nothing: false where it waits and is run again. */
bool guard_read_missing(struct call *call);
/* The same of a read that never waits. */
void guard_note_miss(struct call *call, int arg);
/* A GET of the first key: is the value withheld from this one, who is to load it anew? */
bool guard_withholds(struct call *call, const struct entry *entry);
/* Until when nobody is withheld it, and it is there; ENTRY_KEEPS_FOREVER: for ever. */
int64_t guard_gives_until_ms(const struct call *call, const struct entry *entry);

/* Before a plain SET: may the value be kept, and until when at most? Where *quiet is not NULL then, fill_quiet_end() it when it is. */
enum guard_verdict { GUARD_KEEPS, GUARD_KEEPS_NOT };
enum guard_verdict guard_fill_begin(struct call *call, int key_arg, int64_t *expires_at_ms, struct slot_fills **quiet);

/* A key was deleted, or was to be. */
void guard_note_deletion(struct call *call, int arg);
