/* Patterns mean what users of KEYS know them to mean, and no pattern costs more than its length times the text's. */
#include "base/clock.h"
#include "base/glob.h"
#include "unit/unit.h"

#include <string.h>

static bool matches(const char *pattern, const char *text)
{
    return glob_match(bytes_of(pattern), bytes_of(text));
}

TEST(stars_and_question_marks_stand_for_any_bytes)
{
    CHECK(matches("*", "") && matches("*", "abc") && matches("a*", "a") && matches("*c", "abc"));
    CHECK(matches("a*c", "abbc") && matches("a**c", "ac") && !matches("a*c", "abb") && !matches("a*c", "bac"));
    CHECK(matches("*ab*ab", "abab") && matches("*ab*ab", "abxabyab") && !matches("*ab*ab", "ab"));
    CHECK(matches("?", "a") && !matches("?", "") && !matches("?", "ab") && matches("h?llo*", "hallo"));
    CHECK(matches("", "") && !matches("", "a") && !matches("a", ""));
    CHECK(glob_match(BYTES("a*\0c"), BYTES("a\0\0c")) && !glob_match(BYTES("a"), BYTES("a\0")));
}

TEST(a_class_stands_for_one_byte_of_it)
{
    CHECK(matches("h[ae]llo", "hallo") && !matches("h[ae]llo", "hillo"));
    CHECK(matches("[a-c]", "b") && matches("[c-a]", "b") && !matches("[a-c]", "d"));
    CHECK(matches("[^a]", "b") && !matches("[^a]", "a") && !matches("[^a]", ""));
    CHECK(!matches("[]", "a") && !matches("[]", "]") && matches("[^]", "a"));
    CHECK(matches("[\\]]", "]") && matches("[\\^a]", "^") && matches("[a^]", "^"));
    CHECK(matches("[a-]", "a") && matches("[a-]", "]") && matches("[a-]", "^")); /* a range up to ']', never closed */
}

TEST(a_pattern_that_ends_early_still_means_something)
{
    CHECK(matches("[ab", "a") && matches("[ab", "b") && !matches("[ab", "c") && !matches("[ab", "ab"));
    CHECK(!matches("[", "[") && matches("[^", "x") && !matches("[a", ""));
    CHECK(matches("a\\", "a\\") && !matches("a\\", "a") && matches("[\\", "\\"));
}

TEST(a_backslash_takes_a_byte_literally)
{
    CHECK(matches("\\*", "*") && !matches("\\*", "a") && matches("a\\?b", "a?b") && !matches("a\\?b", "axb"));
    CHECK(matches("\\a", "a") && matches("\\\\", "\\"));
}

TEST(case_is_ignored_where_asked)
{
    CHECK(glob_match_nocase(BYTES("MAX*"), BYTES("maxmemory")) && !glob_match(BYTES("MAX*"), BYTES("maxmemory")));
    CHECK(glob_match_nocase(BYTES("[a-c]"), BYTES("B")) && glob_match_nocase(BYTES("[A-C]"), BYTES("b")));
    CHECK(!glob_match_nocase(BYTES("[^A]"), BYTES("a")));
}

TEST(many_stars_cost_no_more_than_pattern_times_text)
{
    char pattern[400], text[20000];
    int64_t begun_us = clock_monotonic_us();

    for (size_t i = 0; i < sizeof(pattern); i += 2) memcpy(pattern + i, "*a", 2);
    memset(text, 'a', sizeof(text));
    pattern[sizeof(pattern) - 1] = 'b';
    CHECK(!glob_match((struct bytes){ pattern, sizeof(pattern) }, (struct bytes){ text, sizeof(text) }));
    /* An exponential matcher would not come back in our lifetime. */
    CHECK(clock_monotonic_us() - begun_us < 5000000);
}

TESTS(stars_and_question_marks_stand_for_any_bytes, a_class_stands_for_one_byte_of_it,
      a_pattern_that_ends_early_still_means_something, a_backslash_takes_a_byte_literally, case_is_ignored_where_asked,
      many_stars_cost_no_more_than_pattern_times_text)
