/* A file as redis-server 7.0.15's SAVE wrote it, beside ours of the same keys. */
#include "base/crc64.h"
#include "transfer/rdb.h"
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct buf file;

static bool is_hex(const char *hex)
{
    size_t len = strlen(hex) / 2;

    if (file.len != len) return false;
    for (size_t i = 0; i < len; i++) {
        char digits[3] = { hex[2 * i], hex[2 * i + 1], '\0' };
        if (strtoul(digits, NULL, 16) != (unsigned char)file.data[i]) return false;
    }
    return true;
}

/* The key's record as it is sent: the value behind its head. */
static void add(const char *key, struct bytes value, int64_t expires_at_ms)
{
    if (rdb_record(&file, bytes_of(key), value, expires_at_ms)) buf_append_bytes(&file, value);
}

TEST(a_file_is_what_redis_writes)
{
    /* With the facts of a run of its own, and without the types and functions that are not ours. */
    struct rdb_facts facts = {
        .version = "7.0.15", .created_s = 1795251242, .used_memory = 1335192, .keys = 3, .expiring = 1
    };

    buf_clear(&file);
    rdb_begin(&file, &facts);
    CHECK(is_hex("524544495330303130"
                 "fa0972656469732d76657206372e302e3135"
                 "fa0a72656469732d62697473c040"
                 "fa056374696d65c22a5c016b"
                 "fa08757365642d6d656dc2985f1400"
                 "fa08616f662d62617365c000"
                 "fe00fb0301"));
    buf_clear(&file);
    add("a", BYTES("1"), RDB_KEEPS_FOREVER);
    CHECK(is_hex("000161c001"));
    buf_clear(&file);
    add("b", BYTES("x"), 1900000000000);
    CHECK(is_hex("fc0038d360ba01000000016201"
                 "78"));
}

TEST(keys_and_values_take_the_shortest_form)
{
    static const struct {
        const char *text, *hex;
    } forms[] = {
        { "-128", "c080" },
        { "-129", "c17fff" },
        { "32767", "c1ff7f" },
        { "-2147483648", "c200000080" },
        { "007", "03303037" },
        { "-0", "022d30" },
        { "", "00" },
        { "+1", "022b31" },
        { "2147483648", "0a32313437343833363438" },
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char hex[64];

        buf_clear(&file);
        add(forms[i].text, bytes_of(forms[i].text), RDB_KEEPS_FOREVER);
        snprintf(hex, sizeof hex, "00%s%s", forms[i].hex, forms[i].hex);
        CHECK(is_hex(hex));
    }
}

TEST(long_ones_tell_their_length)
{
    static const struct {
        size_t len;
        const char *head;
    } forms[] = { { 63, "3f" }, { 64, "4040" }, { 16383, "7fff" }, { 16384, "8000004000" }, { 1 << 20, "8000100000" } };
    char *text = malloc(1 << 20);

    memset(text, 'x', 1 << 20);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char hex[64];

        buf_clear(&file);
        CHECK(rdb_record(&file, BYTES("k"), (struct bytes){ text, forms[i].len }, RDB_KEEPS_FOREVER));
        snprintf(hex, sizeof hex, "00016b%s", forms[i].head);
        CHECK(is_hex(hex));
    }
    free(text);
}

TEST(the_end_has_the_sum_of_all_before)
{
    buf_clear(&file);
    buf_append_text(&file, "12345678");
    rdb_end(&file, crc64(0, BYTES("12345678")));
    CHECK(file.len == 17 && (unsigned char)file.data[8] == 0xff);
    /* Whoever reads the file sums up to the sum. */
    uint64_t sum = crc64(0, (struct bytes){ file.data, 9 });
    for (int i = 0; i < 8; i++) CHECK((unsigned char)file.data[9 + i] == (unsigned char)(sum >> 8 * i));
    buf_free(&file);
}

TESTS(a_file_is_what_redis_writes, keys_and_values_take_the_shortest_form, long_ones_tell_their_length,
      the_end_has_the_sum_of_all_before)
