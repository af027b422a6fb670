/* proto/reply.h
 *
 * Writes RESP replies into a buffer, in the version the client speaks. What RESP2 has no form for is
 * written as RESP2 clients know it: a map as a flat array, a set or push as an array, a null as an
 * empty bulk, a double or verbatim text as a bulk, a boolean as 0 or 1.
 *
 * Simple strings and errors are one line: CR and LF inside them are written as spaces, so nothing a
 * user names can end a line early. */
#pragma once

#include "base/buf.h"
#include "base/piece.h"

/* Bytes of others that belong into replies, in their order: each stands in `out` before the byte at its offset. */
struct reply_pieces {
    struct reply_piece {
        size_t offset;
        struct piece piece;
    } * items;
    size_t count, cap;
    size_t bytes; /* of all of them */
};

struct reply {
    struct buf *out;
    struct reply_pieces *pieces; /* NULL: everything is copied into out */
    uint8_t resp;                /* 2 or 3 */
    /* What `out` and the pieces may come to; 0: anything. Beyond it bulks of REPLY_BULK_LARGE bytes are left out: nobody will be sent it, and its owner
     * looks whether it came so far. */
    size_t most;
    uint64_t errors;     /* error replies written so far; a caller compares before and after */
    char error_code[32]; /* first word of the last error, for errorstats */
};

#define REPLY_BULK_LARGE 256u

/* Has it come to so much that nobody will be sent it? */
static inline bool reply_is_too_much(const struct reply *reply)
{
    return reply->most != 0 && reply->out->len + (reply->pieces == NULL ? 0 : reply->pieces->bytes) > reply->most;
}

/* Errors many commands share, without the leading '-'. */
#define ERROR_SYNTAX "ERR syntax error"
#define ERROR_NOT_INTEGER "ERR value is not an integer or out of range"
#define ERROR_NOT_FLOAT "ERR value is not a valid float"
#define ERROR_WRONG_TYPE "WRONGTYPE Operation against a key holding the wrong kind of value"
#define ERROR_NO_KEY "ERR no such key"
#define ERROR_OVERFLOW "ERR increment or decrement would overflow"
#define ERROR_OUT_OF_RANGE "ERR index out of range"

void reply_simple(struct reply *reply, const char *text);
void reply_ok(struct reply *reply);

/* The text begins with its code: "ERR no such key". */
void reply_error(struct reply *reply, const char *text);
void reply_errorf(struct reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));

void reply_integer(struct reply *reply, int64_t number);
void reply_bulk(struct reply *reply, struct bytes bytes);
/* The same without a copy, where there are pieces: the bytes are released when they were written. Takes the piece over. */
void reply_bulk_piece(struct reply *reply, struct piece piece);
/* The same, with bytes before and behind it that are copied. */
void reply_bulk_framed(struct reply *reply, struct bytes before, struct piece piece, struct bytes behind);
void reply_bulk_text(struct reply *reply, const char *text);
void reply_bulk_i64(struct reply *reply, int64_t number);
void reply_double(struct reply *reply, double number);
/* With so many significant digits, up to 17. */
void reply_double_rounded(struct reply *reply, double number, int digits);
/* A whole number in decimal, however long. */
void reply_big_number(struct reply *reply, const char *digits);
void reply_bool(struct reply *reply, bool value);

/* RESP3 verbatim string "txt"; RESP2 a bulk. */
void reply_verbatim(struct reply *reply, struct bytes text);

/* RESP2 "$-1" and "*-1"; RESP3 "_" for both. */
void reply_null(struct reply *reply);
void reply_null_array(struct reply *reply);

/* Heads; the caller then writes the elements. A map counts pairs. */
void reply_array(struct reply *reply, size_t count);
void reply_map(struct reply *reply, size_t pairs);
void reply_set(struct reply *reply, size_t count);
void reply_push(struct reply *reply, size_t count);
/* RESP3 only: pairs that say more about the reply that follows. */
void reply_attribute(struct reply *reply, size_t pairs);

/* Puts a reply that came later before the byte at an offset of `out`, behind the pieces that stand there. Needs pieces; takes the text
 * over. */
void reply_insert(struct reply *reply, size_t offset, struct buf *text);

/* Releases the pieces from a number on, as if they had not been replied. */
void reply_pieces_drop(struct reply_pieces *pieces, size_t from);
void reply_pieces_free(struct reply_pieces *pieces);
