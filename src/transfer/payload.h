/* transfer/payload.h
 *
 * What DUMP gives and RESTORE takes: a value as bytes that any server of the Redis family understands.
 *
 *     type 1 | the value, as its type is written | version 2 | checksum 8
 *
 * Both numbers at the end are little endian; the checksum (base/crc64.h) is of all that stands before it. Written is version 10,
 * which Redis 7.0 reads; read is up to 11, which Redis 7.2 and Valkey 8 write. */
#pragma once

#include "base/buf.h"

#define PAYLOAD_HEAD_MAX 10u
#define PAYLOAD_TAIL_BYTES 10u

/* --- Writing: head, the value where it is not in the head already, tail --- */

/* Writes what stands before a string, or all of it where it is the text of a small integer. Returns the head's length; *value_follows
 * says whether the value's bytes are to come behind it. */
size_t payload_head(struct bytes value, char head[PAYLOAD_HEAD_MAX], bool *value_follows);

/* Writes what stands behind a value: the version, and the checksum of all before, whose crc64() so far is given. */
void payload_tail(uint64_t crc, char tail[PAYLOAD_TAIL_BYTES]);

/* The three of them for a string. */
void payload_of_string(struct buf *out, struct bytes value);

/* --- Reading --- */

enum payload_flaw {
    PAYLOAD_FINE,
    PAYLOAD_BAD_FRAME,    /* too short, of a version that is not known, or damaged */
    PAYLOAD_BAD_VALUE,    /* the value is not what its type says, or the type is none */
    PAYLOAD_FOREIGN_TYPE, /* whole as far as can be seen, but of a type this node does not have */
};

/* Reads the string in a payload. *value is then in the payload or in `space`, which grows to at most value_max bytes, whatever the payload
 * claims; a longer value is PAYLOAD_BAD_VALUE. Where it is something else, *value is left alone. */
enum payload_flaw payload_to_string(struct bytes payload, size_t value_max, struct buf *space, struct bytes *value);

/* Are its end, its version and its sum as they should be? That is all that FUNCTION RESTORE has to know of what has nothing in it. */
bool payload_is_framed(struct bytes payload);

/* The name of the type a payload is of, such as "list"; for messages. Of one that payload_to_string() called foreign. */
const char *payload_type_name(struct bytes payload);
