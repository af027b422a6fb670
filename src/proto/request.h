/* proto/request.h
 *
 * Reads requests: arrays of bulk strings, and inline lines. Nothing is copied: arguments point into the bytes that were
 * given. A request may be cut anywhere; the reader remembers how far it got, so that bytes are looked at once however
 * small the pieces they come in.
 *
 *     struct request request = { 0 };
 *     while (data is left)
 *         switch (request_read(&request, data, &limits)) {
 *         case REQUEST_READY:   request.argv, request.argc; then drop request.consumed bytes of data
 *         case REQUEST_PARTIAL: keep data from its first byte, append more, call again
 *         case REQUEST_BROKEN:  reply request.error, close
 *         }
 *
 * Errors are worded as redis-server words them. Two things that it lets pass are refused here, because they mean that the
 * peer and we disagree about where a request ends: a head whose CR is not followed by LF, and an argument that is not
 * followed by CRLF.
 *
 * An empty request (`*0`, `*-1`, a blank inline line) is READY with argc 0 and consumed > 0. */
#pragma once

#include "base/buf.h"

struct request_limits {
    int64_t args_max;     /* 1024*1024; 10 before authentication */
    int64_t bulk_max;     /* proto-max-bulk-len; 16384 before authentication */
    size_t inline_max;    /* 64 KiB */
    bool unauthenticated; /* words the errors: "unauthenticated multibulk length" */
};

enum request_status { REQUEST_READY, REQUEST_PARTIAL, REQUEST_BROKEN };

struct request {
    /* what READY gives */
    int argc;
    struct bytes *argv; /* owned by the reader, reused by the next request; points into the data given */
    size_t consumed;
    const char *error; /* BROKEN: the reply's text without '-', e.g. "ERR Protocol error: invalid bulk length" */

    /* how far a cut request was read; offsets from its first byte */
    size_t position;   /* of the argument that comes next, or of its head */
    size_t scanned;    /* the line at position does not end before here */
    int64_t args_left; /* 0 before the head of the request was read */
    int64_t bulk_len;  /* of the argument at position, -1 before its head was read */
    int argv_cap;
    /* The arguments that earlier calls read, for the caller may have moved the data since; argv has the later ones. */
    struct request_span {
        uint64_t offset, len;
    } * spans;
    int spans_count;
    int spans_cap;
    struct buf inline_words; /* where quoted inline words are unescaped */
    /* An argument that is not in the data (request_move_out()); moved_arg 0: none */
    int moved_arg;
    size_t moved_offset; /* where it would stand */
    struct bytes moved;
    /* For a partial request: how many bytes in all, from its first, are known to be needed (0 = unknown): lets a caller
     * reserve once for a big value. */
    size_t needed;
    char error_text[96]; /* rarely touched */
};

enum request_status request_read(struct request *request, struct bytes data, const struct request_limits *limits);

/* Of a partial request: an argument that was read, in the same data. */
struct bytes request_arg(const struct request *request, struct bytes data, int arg);

/* A partial request that ends inside an argument, behind its head: which, its length, and where it begins in the data. */
struct request_cut {
    int arg;
    size_t len, offset;
};
bool request_cut(const struct request *request, struct request_cut *cut);

/* That argument is put together elsewhere, where `bytes` point: the data ends before it, and goes on with what comes behind it. */
void request_move_out(struct request *request, struct bytes bytes);

/* A request that was READY and has an argument elsewhere is partial again: the same data gives it once more. */
void request_undo(struct request *request);

/* Forgets a half-read request and gives back the memory. */
void request_reset(struct request *request);
void request_free(struct request *request);
