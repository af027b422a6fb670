#include "protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void die(const char *what)
{
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

/* --- Requests --- */

uint64_t key_hash(uint64_t key)
{
    key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9u;
    key = (key ^ (key >> 27)) * 0x94D049BB133111EBu;
    return key ^ (key >> 31);
}

size_t value_bytes(const struct shape *shape, uint64_t key)
{
    size_t span = shape->value_bytes_max - shape->value_bytes_min + 1;

    return shape->value_bytes_min + (span == 1 ? 0 : key_hash(key) % span);
}

static char *put(char *at, const char *bytes, size_t length)
{
    memcpy(at, bytes, length);
    return at + length;
}
#define PUT(at, literal) put(at, literal, sizeof(literal) - 1)

static char *put_number(char *at, uint64_t number)
{
    char digits[20];
    size_t count = 0;

    do {
        digits[sizeof(digits) - ++count] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return put(at, digits + sizeof(digits) - count, count);
}

static char *put_key(char *at, const struct shape *shape, uint64_t key)
{
    at = put(at, shape->prefix, PREFIX_BYTES);
    for (size_t i = KEY_BYTES - PREFIX_BYTES; i-- > 0; key /= 10) at[i] = (char)('0' + key % 10);
    return at + KEY_BYTES - PREFIX_BYTES;
}

unsigned key_slot(const struct shape *shape, uint64_t key)
{
    unsigned char text[KEY_BYTES];
    unsigned crc = 0;

    put_key((char *)text, shape, key);
    for (size_t i = 0; i < KEY_BYTES; i++) {
        crc ^= (unsigned)text[i] << 8;
        for (int bit = 0; bit < 8; bit++) crc = ((crc & 0x8000u) ? (crc << 1) ^ 0x1021u : crc << 1) & 0xffffu;
    }
    return crc % 16384u;
}

static char *put_number_bulk(char *at, uint64_t number)
{
    char digits[20];
    size_t count = (size_t)(put_number(digits, number) - digits);

    at = PUT(at, "$");
    at = put_number(at, count);
    at = PUT(at, "\r\n");
    at = put(at, digits, count);
    return PUT(at, "\r\n");
}

static char *put_resp(char *at, const struct shape *shape, enum verb verb, uint64_t key)
{
    size_t bytes;

    switch (verb) {
    case VERB_GET:
        at = PUT(at, "*2\r\n$3\r\nGET\r\n$16\r\n");
        break;
    case VERB_DELETE:
        at = PUT(at, "*2\r\n$3\r\nDEL\r\n$16\r\n");
        break;
    case VERB_SET:
        at = shape->ttl_s || shape->expires_at_ms ? PUT(at, "*5\r\n$3\r\nSET\r\n$16\r\n")
                                                  : PUT(at, "*3\r\n$3\r\nSET\r\n$16\r\n");
        break;
    }
    at = put_key(at, shape, key);
    at = PUT(at, "\r\n");
    if (verb != VERB_SET) return at;
    bytes = value_bytes(shape, key);
    at = PUT(at, "$");
    at = put_number(at, bytes);
    at = PUT(at, "\r\n");
    at = put(at, shape->filler, bytes);
    at = PUT(at, "\r\n");
    if (shape->ttl_s) {
        at = PUT(at, "$2\r\nEX\r\n");
        at = put_number_bulk(at, shape->ttl_s);
    } else if (shape->expires_at_ms) {
        at = PUT(at, "$4\r\nPXAT\r\n");
        at = put_number_bulk(at, shape->expires_at_ms + key * shape->expires_over_ms / shape->expiring_keys);
    }
    return at;
}

static char *put_memcached(char *at, const struct shape *shape, enum verb verb, uint64_t key)
{
    size_t bytes = value_bytes(shape, key);

    switch (verb) {
    case VERB_GET:
        at = PUT(at, "get ");
        break;
    case VERB_DELETE:
        at = PUT(at, "delete ");
        break;
    case VERB_SET:
        at = PUT(at, "set ");
        break;
    }
    at = put_key(at, shape, key);
    if (verb == VERB_SET) {
        at = PUT(at, " 0 ");
        at = put_number(at, shape->ttl_s);
        at = PUT(at, " ");
        at = put_number(at, bytes);
        at = PUT(at, "\r\n");
        at = put(at, shape->filler, bytes);
    }
    return PUT(at, "\r\n");
}

size_t request_write(char *out, const struct shape *shape, enum verb verb, uint64_t key)
{
    char *end = shape->is_memcached ? put_memcached(out, shape, verb, key) : put_resp(out, shape, verb, key);

    return (size_t)(end - out);
}

/* --- Replies --- */

/* A line has come, without its end. True: the reply has ended. */
static bool resp_line(struct reader *reader)
{
    char type = reader->line[0];

    if (type == '+' || type == ':') return true;
    if (type == '-') {
        reader->is_error = true;
        return true;
    }
    if (type == '_' || (type == '$' && reader->line[1] == '-')) {
        reader->is_miss = true;
        return true;
    }
    if (type != '$') die("a reply of a type that no command here has");
    reader->value_left = (size_t)strtoull(reader->line + 1, NULL, 10) + 2;
    reader->state = READING_VALUE;
    return false;
}

static bool memcached_line(struct reader *reader)
{
    const char *line = reader->line, *last_word;

    if (strncmp(line, "VALUE ", 6) == 0) {
        last_word = strrchr(line, ' ') + 1;
        reader->value_left = (size_t)strtoull(last_word, NULL, 10) + 2;
        reader->is_value_over = true;
        reader->state = READING_VALUE;
        return false;
    }
    if (strcmp(line, "END") == 0)
        reader->is_miss = !reader->is_value_over;
    else if (strcmp(line, "NOT_FOUND") == 0)
        reader->is_miss = true;
    else if (strcmp(line, "STORED") != 0 && strcmp(line, "DELETED") != 0)
        reader->is_error = true;
    return true;
}

static bool line_ended(struct reader *reader, bool is_memcached)
{
    if (reader->line_bytes > 0 && reader->line[reader->line_bytes - 1] == '\r') reader->line_bytes--;
    reader->line[reader->line_bytes] = '\0';
    reader->line_bytes = 0;
    return is_memcached ? memcached_line(reader) : resp_line(reader);
}

bool reply_read(struct reader *reader, bool is_memcached, const char *bytes, size_t length, size_t *used)
{
    size_t i = 0;

    if (reader->state == READING_TYPE) {
        reader->is_value_over = reader->is_miss = reader->is_error = false;
        reader->state = READING_LINE;
    }
    while (i < length) {
        if (reader->state == READING_VALUE) {
            size_t n = length - i < reader->value_left ? length - i : reader->value_left;

            i += n;
            reader->value_left -= n;
            if (reader->value_left > 0) break;
            reader->state = READING_LINE;
            if (is_memcached) continue;
        } else if (bytes[i++] != '\n') {
            if (reader->line_bytes < sizeof(reader->line) - 1) reader->line[reader->line_bytes++] = bytes[i - 1];
            continue;
        } else if (!line_ended(reader, is_memcached)) {
            continue;
        }
        reader->state = READING_TYPE;
        *used = i;
        return true;
    }
    *used = i;
    return false;
}
