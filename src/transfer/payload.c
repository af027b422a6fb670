#include "transfer/payload.h"

#include "base/crc64.h"
#include "transfer/lzf.h"
#include "transfer/rdb.h"
#include "transfer/rdb_forms.h"

#include <endian.h>

#define VERSION_WRITTEN 10u
#define VERSION_READ_MAX 11u
#define CRC_BYTES 8u

static const char *const type_names[] = {
    [0] = "string",      [1] = "list",   [2] = "set",     [3] = "sorted set", [4] = "hash",
    [5] = "sorted set",  [7] = "module", [9] = "hash",    [10] = "list",      [11] = "set",
    [12] = "sorted set", [13] = "hash",  [14] = "list",   [15] = "stream",    [16] = "hash",
    [17] = "sorted set", [18] = "list",  [19] = "stream", [20] = "set",       [21] = "stream",
};

static unsigned type_of(struct bytes payload)
{
    return (unsigned char)payload.data[0];
}

/* --- Writing --- */

size_t payload_head(struct bytes value, char head[PAYLOAD_HEAD_MAX], bool *value_follows)
{
    head[0] = (char)RDB_TYPE_STRING;
    return 1 + rdb_string_head(value, head + 1, value_follows);
}

void payload_tail(uint64_t crc, char tail[PAYLOAD_TAIL_BYTES])
{
    uint16_t version = htole16(VERSION_WRITTEN);
    uint64_t sum;

    memcpy(tail, &version, sizeof(version));
    sum = htole64(crc64(crc, (struct bytes){ tail, sizeof(version) }));
    memcpy(tail + sizeof(version), &sum, sizeof(sum));
}

void payload_of_string(struct buf *out, struct bytes value)
{
    size_t begin = out->len;
    bool value_follows;

    buf_added(out,
              payload_head(value, buf_reserve(out, PAYLOAD_HEAD_MAX + value.len + PAYLOAD_TAIL_BYTES), &value_follows));
    if (value_follows) buf_append_bytes(out, value);
    payload_tail(crc64(0, (struct bytes){ out->data + begin, out->len - begin }), buf_reserve(out, PAYLOAD_TAIL_BYTES));
    buf_added(out, PAYLOAD_TAIL_BYTES);
}

/* --- Reading --- */

bool payload_is_framed(struct bytes payload)
{
    uint16_t version;
    uint64_t sum;

    if (payload.len < PAYLOAD_TAIL_BYTES) return false;
    memcpy(&version, payload.data + payload.len - PAYLOAD_TAIL_BYTES, sizeof(version));
    memcpy(&sum, payload.data + payload.len - CRC_BYTES, sizeof(sum));
    return le16toh(version) <= VERSION_READ_MAX &&
           crc64(0, (struct bytes){ payload.data, payload.len - CRC_BYTES }) == le64toh(sum);
}

/* What is left to read. Each read says whether there was as much. */
static bool take(struct bytes *left, void *out, size_t len)
{
    if (left->len < len) return false;
    memcpy(out, left->data, len);
    *left = (struct bytes){ left->data + len, left->len - len };
    return true;
}

/* A length whose first byte was read; false for what is none. */
static bool take_length_after(struct bytes *left, unsigned char first, uint64_t *out)
{
    unsigned char second;
    uint32_t len32;
    uint64_t len64;

    switch (first & RDB_FORM_BITS) {
    case RDB_LENGTH_6_BITS:
        *out = first;
        return true;
    case RDB_LENGTH_14_BITS:
        if (!take(left, &second, 1)) return false;
        *out = (uint64_t)(first & ~RDB_FORM_BITS) << 8 | second;
        return true;
    default:
        break;
    }
    if (first == RDB_LENGTH_32_BITS) {
        if (!take(left, &len32, sizeof(len32))) return false;
        *out = be32toh(len32);
        return true;
    }
    if (first != RDB_LENGTH_64_BITS || !take(left, &len64, sizeof(len64))) return false;
    *out = be64toh(len64);
    return true;
}

static bool take_length(struct bytes *left, uint64_t *out)
{
    unsigned char first;

    return take(left, &first, 1) && take_length_after(left, first, out);
}

static void give_number(struct buf *space, int64_t number, struct bytes *value)
{
    buf_clear(space);
    buf_added(space, i64_to_text(buf_reserve(space, I64_TEXT_BYTES), number));
    *value = buf_bytes(space);
}

static bool take_compressed(struct bytes *left, size_t value_max, struct buf *space, struct bytes *value)
{
    uint64_t compressed, len;

    if (!take_length(left, &compressed) || !take_length(left, &len) || compressed > left->len) return false;
    if (len > value_max || len > compressed * LZF_FACTOR_MAX) return false;
    buf_clear(space);
    if (!lzf_expand((struct bytes){ left->data, compressed }, buf_reserve(space, len), len)) return false;
    buf_added(space, len);
    *left = (struct bytes){ left->data + compressed, left->len - compressed };
    *value = buf_bytes(space);
    return true;
}

static bool take_string(struct bytes *left, size_t value_max, struct buf *space, struct bytes *value)
{
    unsigned char first;
    int8_t number8;
    uint16_t number16;
    uint32_t number32;
    uint64_t len;

    if (!take(left, &first, 1)) return false;
    switch (first) {
    case RDB_FORM_INT8:
        if (!take(left, &number8, sizeof(number8))) return false;
        give_number(space, number8, value);
        return true;
    case RDB_FORM_INT16:
        if (!take(left, &number16, sizeof(number16))) return false;
        give_number(space, (int16_t)le16toh(number16), value);
        return true;
    case RDB_FORM_INT32:
        if (!take(left, &number32, sizeof(number32))) return false;
        give_number(space, (int32_t)le32toh(number32), value);
        return true;
    case RDB_FORM_LZF:
        return take_compressed(left, value_max, space, value);
    default:
        break;
    }
    if (!take_length_after(left, first, &len) || len > left->len || len > value_max) return false;
    *value = (struct bytes){ left->data, len };
    *left = (struct bytes){ left->data + len, left->len - len };
    return true;
}

enum payload_flaw payload_to_string(struct bytes payload, size_t value_max, struct buf *space, struct bytes *value)
{
    struct bytes left, read;

    if (!payload_is_framed(payload)) return PAYLOAD_BAD_FRAME;
    if (payload.len == PAYLOAD_TAIL_BYTES) return PAYLOAD_BAD_VALUE;
    if (type_of(payload) >= sizeof(type_names) / sizeof(*type_names) || type_names[type_of(payload)] == NULL)
        return PAYLOAD_BAD_VALUE;
    if (type_of(payload) != RDB_TYPE_STRING) return PAYLOAD_FOREIGN_TYPE;
    left = (struct bytes){ payload.data + 1, payload.len - 1 - PAYLOAD_TAIL_BYTES };
    if (!take_string(&left, value_max, space, &read) || left.len > 0) return PAYLOAD_BAD_VALUE;
    *value = read;
    return PAYLOAD_FINE;
}

const char *payload_type_name(struct bytes payload)
{
    return type_names[type_of(payload)];
}
