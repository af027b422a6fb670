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
#define UNIT_PICK(_1, _2, _3, _4, _5, _6, _7, _8, chosen, ...) chosen
#define UNIT_MAP(m, ...)                                                                                              \
    UNIT_PICK(__VA_ARGS__, UNIT_MAP_8, UNIT_MAP_7, UNIT_MAP_6, UNIT_MAP_5, UNIT_MAP_4, UNIT_MAP_3, UNIT_MAP_2, UNIT_MAP_1) \
    (m, __VA_ARGS__)

#define TESTS(...)                                                                                                    \
    int main(void)                                                                                                    \
    {                                                                                                                 \
        const struct CMUnitTest tests[] = { UNIT_MAP(UNIT_ENTRY, __VA_ARGS__) };                                      \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                             \
    }
