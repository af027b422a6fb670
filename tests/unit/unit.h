/* tests/unit/unit.h
 *
 * The unit tests' few words over cmocka:
 *
 *     TEST(an_entry_is_gone_at_its_deadline) { CHECK(...); }
 *     TESTS(an_entry_is_gone_at_its_deadline, ...)      once, at the end of the file: main() */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEST(name) static void name(void **unit_state __attribute__((unused)))
#define CHECK(condition) assert_true(condition)

#define UNIT_ENTRY(name) cmocka_unit_test(name),
#define UNIT_MAP_1(m, a) m(a)
#define UNIT_MAP_2(m, a, ...) m(a) UNIT_MAP_1(m, __VA_ARGS__)
#define UNIT_MAP_3(m, a, ...) m(a) UNIT_MAP_2(m, __VA_ARGS__)
#define UNIT_MAP_4(m, a, ...) m(a) UNIT_MAP_3(m, __VA_ARGS__)
#define UNIT_MAP_5(m, a, ...) m(a) UNIT_MAP_4(m, __VA_ARGS__)
#define UNIT_MAP_6(m, a, ...) m(a) UNIT_MAP_5(m, __VA_ARGS__)
#define UNIT_MAP_7(m, a, ...) m(a) UNIT_MAP_6(m, __VA_ARGS__)
#define UNIT_MAP_8(m, a, ...) m(a) UNIT_MAP_7(m, __VA_ARGS__)
#define UNIT_MAP_9(m, a, ...) m(a) UNIT_MAP_8(m, __VA_ARGS__)
#define UNIT_MAP_10(m, a, ...) m(a) UNIT_MAP_9(m, __VA_ARGS__)
#define UNIT_MAP_11(m, a, ...) m(a) UNIT_MAP_10(m, __VA_ARGS__)
#define UNIT_MAP_12(m, a, ...) m(a) UNIT_MAP_11(m, __VA_ARGS__)
#define UNIT_MAP_13(m, a, ...) m(a) UNIT_MAP_12(m, __VA_ARGS__)
#define UNIT_MAP_14(m, a, ...) m(a) UNIT_MAP_13(m, __VA_ARGS__)
#define UNIT_MAP_15(m, a, ...) m(a) UNIT_MAP_14(m, __VA_ARGS__)
#define UNIT_MAP_16(m, a, ...) m(a) UNIT_MAP_15(m, __VA_ARGS__)
#define UNIT_MAP_17(m, a, ...) m(a) UNIT_MAP_16(m, __VA_ARGS__)
#define UNIT_MAP_18(m, a, ...) m(a) UNIT_MAP_17(m, __VA_ARGS__)
#define UNIT_MAP_19(m, a, ...) m(a) UNIT_MAP_18(m, __VA_ARGS__)
#define UNIT_MAP_20(m, a, ...) m(a) UNIT_MAP_19(m, __VA_ARGS__)
#define UNIT_MAP_21(m, a, ...) m(a) UNIT_MAP_20(m, __VA_ARGS__)
#define UNIT_MAP_22(m, a, ...) m(a) UNIT_MAP_21(m, __VA_ARGS__)
#define UNIT_MAP_23(m, a, ...) m(a) UNIT_MAP_22(m, __VA_ARGS__)
#define UNIT_MAP_24(m, a, ...) m(a) UNIT_MAP_23(m, __VA_ARGS__)
#define UNIT_MAP_25(m, a, ...) m(a) UNIT_MAP_24(m, __VA_ARGS__)
#define UNIT_MAP_26(m, a, ...) m(a) UNIT_MAP_25(m, __VA_ARGS__)
#define UNIT_MAP_27(m, a, ...) m(a) UNIT_MAP_26(m, __VA_ARGS__)
#define UNIT_MAP_28(m, a, ...) m(a) UNIT_MAP_27(m, __VA_ARGS__)
#define UNIT_MAP_29(m, a, ...) m(a) UNIT_MAP_28(m, __VA_ARGS__)
#define UNIT_MAP_30(m, a, ...) m(a) UNIT_MAP_29(m, __VA_ARGS__)
#define UNIT_MAP_31(m, a, ...) m(a) UNIT_MAP_30(m, __VA_ARGS__)
#define UNIT_MAP_32(m, a, ...) m(a) UNIT_MAP_31(m, __VA_ARGS__)
#define UNIT_PICK(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, _17, _18, _19, _20, _21, _22, \
                  _23, _24, _25, _26, _27, _28, _29, _30, _31, _32, chosen, ...)                                       \
    chosen
#define UNIT_MAP(m, ...)                                                                                               \
    UNIT_PICK(__VA_ARGS__, UNIT_MAP_32, UNIT_MAP_31, UNIT_MAP_30, UNIT_MAP_29, UNIT_MAP_28, UNIT_MAP_27, UNIT_MAP_26,  \
              UNIT_MAP_25, UNIT_MAP_24, UNIT_MAP_23, UNIT_MAP_22, UNIT_MAP_21, UNIT_MAP_20, UNIT_MAP_19, UNIT_MAP_18,  \
              UNIT_MAP_17, UNIT_MAP_16, UNIT_MAP_15, UNIT_MAP_14, UNIT_MAP_13, UNIT_MAP_12, UNIT_MAP_11, UNIT_MAP_10,  \
              UNIT_MAP_9, UNIT_MAP_8, UNIT_MAP_7, UNIT_MAP_6, UNIT_MAP_5, UNIT_MAP_4, UNIT_MAP_3, UNIT_MAP_2,          \
              UNIT_MAP_1)                                                                                              \
    (m, __VA_ARGS__)

#define TESTS(...)                                                                                                     \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const struct CMUnitTest tests[] = { UNIT_MAP(UNIT_ENTRY, __VA_ARGS__) };                                       \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                              \
    }
