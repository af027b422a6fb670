/* server/slowlog.h
 *
 * The last slow commands, newest first; shared by all workers under a lock of its own. Arguments are cut (32 of them, 128 bytes each) and
 * passwords never come in (the dispatcher leaves out commands flagged COMMAND_SKIP_SLOWLOG). */
#pragma once

#include "base/bytes.h"

struct reply;
struct slow_entry;
struct slowlog;

struct slowlog *slowlog_new(void);
void slowlog_free(struct slowlog **slowlog);
void slowlog_add(struct slowlog *slowlog, int64_t unix_seconds, int64_t duration_us, int argc, const struct bytes *argv,
                 const char *peer, const char *name, int64_t max_len);

/* The same in two steps, for a command that is not there any more when it is known how long it took. */
struct slow_entry *slowlog_prepare(int argc, const struct bytes *argv, const char *peer, const char *name);
/* Takes it. */
void slowlog_keep(struct slowlog *slowlog, struct slow_entry **entry, int64_t unix_seconds, int64_t duration_us,
                  int64_t max_len);
void slowlog_drop(struct slow_entry **entry);

void slowlog_reset(struct slowlog *slowlog);
size_t slowlog_len(struct slowlog *slowlog);
/* Replies the newest `count` (-1: all) as SLOWLOG GET does. */
void slowlog_reply(struct slowlog *slowlog, struct reply *reply, int64_t count);
