/* Numbers are read in their one canonical form, and what is written is read back. */
#include "base/bytes.h"
#include "unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool reads_i64(const char *text, int64_t expected)
{
    int64_t number = 0;
    return bytes_to_i64(bytes_of(text), &number) && number == expected;
}

static bool refuses_i64(const char *text)
{
    int64_t number = 77;
    return !bytes_to_i64(bytes_of(text), &number) && number == 77;
}

TEST(a_whole_number_is_read_in_its_canonical_form_only)
{
    CHECK(reads_i64("0", 0));
    CHECK(reads_i64("7", 7));
    CHECK(reads_i64("-1", -1));
    CHECK(reads_i64("9223372036854775807", INT64_MAX));
    CHECK(reads_i64("-9223372036854775808", INT64_MIN));

    const char *refused[] = { "",
                              "-",
                              "+1",
                              "01",
                              "-0",
                              "-01",
                              "00",
                              " 1",
                              "1 ",
                              "1x",
                              "0x10",
                              "1e3",
                              "9223372036854775808",
                              "-9223372036854775809",
                              "18446744073709551616",
                              "99999999999999999999",
                              "100000000000000000000",
                              "\xb2",
                              "1\xb2" };
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) CHECK(refuses_i64(refused[i]));
    CHECK(refuses_i64("/") && refuses_i64(":"));

    int64_t number;
    CHECK(!bytes_to_i64((struct bytes){ "1\0", 2 }, &number));
    CHECK(!bytes_to_i64(BYTES_NONE, &number));
}

TEST(an_unsigned_number_is_read_up_to_its_last_value)
{
    uint64_t number;

    CHECK(bytes_to_u64(BYTES("18446744073709551615"), &number) && number == UINT64_MAX);
    CHECK(bytes_to_u64(BYTES("10000000000000000000"), &number) && number == 10000000000000000000u);
    CHECK(!bytes_to_u64(BYTES("18446744073709551616"), &number));
    CHECK(!bytes_to_u64(BYTES("20000000000000000000"), &number));
    CHECK(!bytes_to_u64(BYTES("-1"), &number));
}

TEST(a_number_that_was_written_is_read_back)
{
    char text[I64_TEXT_BYTES], expected[32];
    const int64_t edges[] = { 0, 9, 10, 99, 100, -1, -9, -10, -100, INT64_MAX, INT64_MIN };

    for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
        size_t len = i64_to_text(text, edges[i]);
        CHECK(len == (size_t)snprintf(expected, sizeof(expected), "%lld", (long long)edges[i]));
        CHECK(strcmp(text, expected) == 0);
        CHECK(reads_i64(text, edges[i]));
    }
    for (uint64_t number = 1; number != 0; number = number > UINT64_MAX / 7 ? 0 : number * 7) {
        uint64_t back;
        size_t len = u64_to_text(text, number);
        CHECK(len == strlen(text));
        CHECK(bytes_to_u64((struct bytes){ text, len }, &back) && back == number);
    }
}

static bool refuses_float(struct bytes text)
{
    long double number;
    return !bytes_to_long_double(text, &number);
}

TEST(a_float_takes_up_the_whole_text_and_is_a_number)
{
    long double number;
    char zeros[5 * 1024 + 1];

    CHECK(bytes_to_long_double(BYTES("1.5"), &number) && number == 1.5L);
    CHECK(bytes_to_long_double(BYTES("+.5"), &number) && number == 0.5L);
    CHECK(bytes_to_long_double(BYTES("0x10"), &number) && number == 16);
    CHECK(bytes_to_long_double(BYTES("-inf"), &number) && isinf(number) && number < 0);
    CHECK(bytes_to_long_double(BYTES("1e400"), &number) && number > 1e300L && !isinf(number));
    CHECK(refuses_float(BYTES("")) && refuses_float(BYTES(" 1")) && refuses_float(BYTES("1 ")));
    CHECK(refuses_float(BYTES("nan")) && refuses_float(BYTES("1e")) && refuses_float(BYTES("1\0")));
    CHECK(refuses_float(BYTES("\0")) && refuses_float(BYTES("\t1")));
    CHECK(refuses_float(BYTES("1e5000")) && refuses_float(BYTES("1e-5000")));

    memset(zeros, '0', sizeof(zeros));
    CHECK(!refuses_float((struct bytes){ zeros, 5 * 1024 - 1 }));
    CHECK(refuses_float((struct bytes){ zeros, 5 * 1024 }));
}

TEST(bytes_compare_by_value_then_length)
{
    CHECK(bytes_equal(BYTES("a\0b"), BYTES("a\0b")) && !bytes_equal(BYTES("a\0b"), BYTES("a\0c")));
    CHECK(bytes_equal(BYTES_NONE, BYTES("")));
    CHECK(bytes_compare(BYTES("a"), BYTES("ab")) < 0 && bytes_compare(BYTES("b"), BYTES("ab")) > 0);
    CHECK(bytes_compare(BYTES_NONE, BYTES("")) == 0 && bytes_compare(BYTES("\xff"), BYTES("a")) > 0);
    CHECK(bytes_is_word(BYTES("MiGrAtE"), "migrate") && !bytes_is_word(BYTES("migrat"), "migrate"));
    CHECK(!bytes_is_word(BYTES("migrates"), "migrate") && !bytes_is_word(BYTES("get\0"), "get"));
    CHECK(!bytes_is_word(BYTES("[et"), "{et")); /* they differ in the case bit only, but are no letters */
}

TEST(a_secret_equals_only_itself)
{
    CHECK(bytes_equal_secret(BYTES("hunter2"), BYTES("hunter2")));
    CHECK(!bytes_equal_secret(BYTES("hunter3"), BYTES("hunter2")));
    CHECK(!bytes_equal_secret(BYTES("hunter"), BYTES("hunter2")));
    CHECK(!bytes_equal_secret(BYTES("hunter2hunter2"), BYTES("hunter2")));
    CHECK(!bytes_equal_secret(BYTES(""), BYTES("hunter2")) && !bytes_equal_secret(BYTES("x"), BYTES("")));
    CHECK(bytes_equal_secret(BYTES(""), BYTES("")));
}

TESTS(a_whole_number_is_read_in_its_canonical_form_only, an_unsigned_number_is_read_up_to_its_last_value,
      a_number_that_was_written_is_read_back, a_float_takes_up_the_whole_text_and_is_a_number,
      bytes_compare_by_value_then_length, a_secret_equals_only_itself)
