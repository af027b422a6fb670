/* utils/bench/protocol.h
 *
 * What the load generator says and what it understands: GET, SET and DEL in RESP, and the same in memcached's text protocol.
 *
 * All keys have 16 bytes: a prefix of four and twelve digits. A key's value has always the same size, drawn once for all by a hash of its
 * number where the sizes are a range, so that whoever writes a key again writes no more and no less than was there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 16u
#define PREFIX_BYTES 4u
#define REQUEST_OVERHEAD_MAX 128u /* of a request, beyond the value */

enum verb { VERB_GET, VERB_SET, VERB_DELETE };

struct shape {
    bool is_memcached;
    char prefix[PREFIX_BYTES + 1];
    size_t value_bytes_min, value_bytes_max;
    unsigned ttl_s; /* 0: none */
    uint64_t expires_at_ms, expires_over_ms,
        expiring_keys;  /* unix time of the first key's deadline (0: none), how much later the last one's is */
    const char *filler; /* value_bytes_max bytes that nobody could compress */
};

/* Writes a request and returns its length: at most REQUEST_OVERHEAD_MAX more than the largest value. */
size_t request_write(char *out, const struct shape *shape, enum verb verb, uint64_t key);

uint64_t key_hash(uint64_t key);
/* Of the 16384 of a cluster, which the key is in. */
unsigned key_slot(const struct shape *shape, uint64_t key);
size_t value_bytes(const struct shape *shape, uint64_t key);

/* Where a reply stands that may come in pieces. All zero is the beginning of one. */
struct reader {
    enum { READING_TYPE, READING_LINE, READING_VALUE } state;
    bool is_value_over; /* memcached: what is left is END */
    bool is_miss, is_error;
    size_t value_left;
    char line[128];
    size_t line_bytes;
};

/* Reads on; true when a reply has ended, its outcome is then in the reader, which the next call resets. *used tells how many bytes it took. A
 * reply that none of the verbs has ends the program. */
bool reply_read(struct reader *reader, bool is_memcached, const char *bytes, size_t length, size_t *used);

void die(const char *what) __attribute__((noreturn));
