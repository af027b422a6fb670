/* commands/deadline.h
 *
 * When a user says that a key is to go: in seconds or milliseconds, from now or as unix time. Everything is turned into one
 * deadline on the internal clock, which nobody can set; what was said as unix time is moved by as much as the wall clock
 * has been set since the node started, and moved back when it is shown. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct call;

enum deadline_form { DEADLINE_IN_SECONDS, DEADLINE_IN_MS, DEADLINE_AT_SECONDS, DEADLINE_AT_MS };

static inline bool deadline_is_unix_time(enum deadline_form form)
{
    return form == DEADLINE_AT_SECONDS || form == DEADLINE_AT_MS;
}

/* The deadline a number asks for; false where it does not fit into 64 bits of milliseconds. wall_ahead_ms is how far the wall clock
 * is ahead of the internal one. */
bool deadline_from(int64_t number, enum deadline_form form, int64_t now_ms, int64_t wall_ahead_ms,
                   int64_t *expires_at_ms);

/* The same from an argument; on failure has replied. only_future: zero and less are refused, as SET does; EXPIRE takes them and
 * deletes. */
bool deadline_of_arg(struct call *call, int arg, enum deadline_form form, bool only_future, int64_t *expires_at_ms);

/* What EXPIRETIME shows of a deadline. */
int64_t deadline_unix_ms(int64_t expires_at_ms);
