/* server/acl_log.h
 *
 * Who tried to come in and could not: what ACL LOG shows, newest first. One who tries again and again is counted in one entry, so that he
 * does not push the others out. Shared by all workers under a lock of its own. */
#pragma once

#include "base/bytes.h"

struct acl_log;
struct reply;

struct acl_log *acl_log_new(void);
void acl_log_free(struct acl_log **log);

struct acl_denial {
    const char *context; /* "toplevel" or "multi"; a constant */
    const char *object;  /* the command that was refused; a constant */
    struct bytes user;
    struct bytes client_info; /* a line as CLIENT INFO's */
};
void acl_log_add(struct acl_log *log, const struct acl_denial *denial, int64_t now_ms, int64_t max_len);

/* Replies the newest `count`. */
void acl_log_reply(struct acl_log *log, struct reply *reply, int64_t now_ms, int64_t count);
void acl_log_reset(struct acl_log *log);
