/* transfer/target.h
 *
 * A connection to the node that keys are sent to. Who uses it waits, so it is used by threads that serve nobody else, by one at a time.
 * hiredis makes the connection and reads replies; requests are written from where they lie, so that a big value is not copied.
 *
 * A connection that was used is kept for some seconds, as the next keys mostly go to the same place. It is found again only by
 * who gives the same address and the same password. */
#pragma once

#include "base/bytes.h"

#include <stdatomic.h>
#include <sys/uio.h>

struct redisReply;
struct target;
struct targets;

struct target_address {
    struct bytes host, port; /* as text */
    struct bytes user, password;
    bool has_user, has_password;
    int64_t db;
};

/* What could not be done with a connection; it is then good for nothing. */
enum target_fault {
    TARGET_FINE,
    TARGET_NOT_CONNECTED, /* no such address, or no answer in time */
    TARGET_NOBODY_THERE,  /* refused: no process listens */
    TARGET_NOT_WRITTEN,
    TARGET_NOT_READ,
};

/* How long to wait: for the connection, for every part of a request, for a reply. */
struct target_patience {
    int64_t timeout_ms;
    const _Atomic bool *ending; /* once it is set nothing is waited for */
};

/* What an error reply of the other side is kept of; with the NUL. */
#define TARGET_ERROR_BYTES 256

/* --- Connections that are kept; any thread --- */

struct targets *targets_new(void);
void targets_free(struct targets **targets);
/* Closes those that nobody has used for some seconds; true while there are others. */
bool targets_close_idle(struct targets *targets);
size_t targets_count(const struct targets *targets);

/* Takes one that is kept, or makes one: connected, with the password accepted and the database chosen. NULL where that fails: *fault says
 * what did, or is FINE where the other side has answered with an error, which then is in `error` (empty otherwise). */
struct target *target_open(struct targets *targets, const struct target_address *address,
                           const struct target_patience *patience, enum target_fault *fault,
                           char error[TARGET_ERROR_BYTES]);
/* Keeps it for the next one, when every reply was read; one that has failed is closed instead. NULL is allowed. */
void target_keep(struct targets *targets, struct target **target);
/* Closes it; NULL is allowed. */
void target_close(struct target **target);

/* --- Using one --- */

/* Writes a part of a request, or several requests; changes the array. */
enum target_fault target_write(struct target *target, struct iovec *parts, size_t count,
                               const struct target_patience *patience);

/* Writes a request of a few words. */
enum target_fault target_ask(struct target *target, const struct bytes *words, size_t count,
                             const struct target_patience *patience);

/* Waits for the reply to the oldest request that has none. One of more than bytes_max bytes is a fault. The reply is freed with
 * target_reply_free(). */
enum target_fault target_read(struct target *target, size_t bytes_max, const struct target_patience *patience,
                              struct redisReply **reply);
void target_reply_free(struct redisReply *reply);

/* Copies the text of an error reply. */
void target_error_text(const struct redisReply *reply, char error[TARGET_ERROR_BYTES]);

/* By what name the other side knows the connection: "ip:port". */
const char *target_local_name(const struct target *target);

/* Does it lead to this machine and this port? */
bool target_is_local_port(const struct target *target, uint16_t port);
