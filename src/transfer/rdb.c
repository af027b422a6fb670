#include "transfer/rdb.h"

#include "base/crc64.h"
#include "transfer/rdb_forms.h"

#include <endian.h>

/* A text that is no longer than this may be of an integer of 32 bits. */
#define INT_TEXT_MAX 11u

/* What a record may begin with, and what may come instead of one. */
#define FACT 0xfau
#define SIZES 0xfbu
#define DEADLINE_MS 0xfcu
#define DATABASE 0xfeu
#define END 0xffu

static const char magic[] = "REDIS0010";

static size_t write_int(char *out, int64_t number)
{
    uint32_t bits = htole32((uint32_t)number);
    size_t len = number >= INT8_MIN && number <= INT8_MAX ? 1 : number >= INT16_MIN && number <= INT16_MAX ? 2 : 4;

    out[0] = (char)(len == 1 ? RDB_FORM_INT8 : len == 2 ? RDB_FORM_INT16 : RDB_FORM_INT32);
    memcpy(out + 1, &bits, len);
    return 1 + len;
}

static size_t write_length(char *out, uint64_t len)
{
    uint32_t len32 = htobe32((uint32_t)len);
    uint64_t len64 = htobe64(len);

    if (len < 1u << 6) {
        out[0] = (char)(RDB_LENGTH_6_BITS | len);
        return 1;
    }
    if (len < 1u << 14) {
        out[0] = (char)(RDB_LENGTH_14_BITS | len >> 8);
        out[1] = (char)len;
        return 2;
    }
    if (len <= UINT32_MAX) {
        out[0] = (char)RDB_LENGTH_32_BITS;
        memcpy(out + 1, &len32, sizeof(len32));
        return 1 + sizeof(len32);
    }
    out[0] = (char)RDB_LENGTH_64_BITS;
    memcpy(out + 1, &len64, sizeof(len64));
    return 1 + sizeof(len64);
}

size_t rdb_string_head(struct bytes string, char head[RDB_STRING_HEAD_MAX], bool *text_follows)
{
    int64_t number;

    *text_follows =
        string.len > INT_TEXT_MAX || !bytes_to_i64(string, &number) || number < INT32_MIN || number > INT32_MAX;
    return *text_follows ? write_length(head, string.len) : write_int(head, number);
}

/* --- The file --- */

static bool append_head(struct buf *out, struct bytes string)
{
    bool text_follows;

    buf_added(out, rdb_string_head(string, buf_reserve(out, RDB_STRING_HEAD_MAX), &text_follows));
    return text_follows;
}

static void append_string(struct buf *out, struct bytes string)
{
    if (append_head(out, string)) buf_append_bytes(out, string);
}

static void append_length(struct buf *out, uint64_t len)
{
    buf_added(out, write_length(buf_reserve(out, RDB_STRING_HEAD_MAX), len));
}

static void append_fact(struct buf *out, const char *name, struct bytes value)
{
    buf_append_byte(out, (char)FACT);
    append_string(out, bytes_of(name));
    append_string(out, value);
}

static void append_number(struct buf *out, const char *name, int64_t number)
{
    struct buf text = { 0 };

    buf_printf(&text, "%lld", (long long)number);
    append_fact(out, name, buf_bytes(&text));
    buf_free(&text);
}

void rdb_begin(struct buf *out, const struct rdb_facts *facts)
{
    buf_append_text(out, magic);
    append_fact(out, "redis-ver", bytes_of(facts->version));
    append_number(out, "redis-bits", 64);
    append_number(out, "ctime", facts->created_s);
    append_number(out, "used-mem", (int64_t)facts->used_memory);
    append_number(out, "aof-base", 0);
    buf_append_byte(out, (char)DATABASE);
    append_length(out, 0);
    buf_append_byte(out, (char)SIZES);
    append_length(out, facts->keys);
    append_length(out, facts->expiring);
}

bool rdb_record(struct buf *out, struct bytes key, struct bytes value, int64_t expires_at_ms)
{
    if (expires_at_ms != RDB_KEEPS_FOREVER) {
        uint64_t deadline = htole64((uint64_t)expires_at_ms);

        buf_append_byte(out, (char)DEADLINE_MS);
        buf_append(out, &deadline, sizeof(deadline));
    }
    buf_append_byte(out, (char)RDB_TYPE_STRING);
    append_string(out, key);
    return append_head(out, value);
}

void rdb_end(struct buf *out, uint64_t crc)
{
    char end = (char)END;
    uint64_t sum = htole64(crc64(crc, (struct bytes){ &end, 1 }));

    buf_append_byte(out, end);
    buf_append(out, &sum, sizeof(sum));
}
