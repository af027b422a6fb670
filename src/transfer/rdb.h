/* transfer/rdb.h
 *
 * The file that Redis keeps its keys in and sends to whoever asks with SYNC, as far as strings go:
 *
 *     "REDIS0010" | facts | db 0 | sizes | record | record | ... | end 1 | checksum 8
 *     record:  [deadline 9] | type 1 | key | value
 *
 * Written is version 10, which Redis 7.0 reads. The checksum (base/crc64.h) is of all that stands before it and little endian. */
#pragma once

#include "base/buf.h"

/* --- Strings, as they stand in payloads too --- */

#define RDB_STRING_HEAD_MAX 9u

/* Writes what stands before a string, or all of it where it is the text of a small integer. Returns the head's length; *text_follows
 * says whether the string's bytes are to come behind it. */
size_t rdb_string_head(struct bytes string, char head[RDB_STRING_HEAD_MAX], bool *text_follows);

/* --- The file --- */

struct rdb_facts {
    const char *version;     /* of the server, as INFO shows it */
    int64_t created_s;       /* unix time */
    uint64_t used_memory;    /* bytes */
    uint64_t keys, expiring; /* about how many: a reader makes room by them */
};

/* Writes all that stands before the first record. */
void rdb_begin(struct buf *out, const struct rdb_facts *facts);

#define RDB_KEEPS_FOREVER (-1)

/* Writes what stands before a value: deadline (unix ms, or RDB_KEEPS_FOREVER), type, key, the value's head. True where the value's bytes
 * are to come behind it. */
bool rdb_record(struct buf *out, struct bytes key, struct bytes value, int64_t expires_at_ms);

/* Writes the end; crc is crc64() of all before. */
void rdb_end(struct buf *out, uint64_t crc);
