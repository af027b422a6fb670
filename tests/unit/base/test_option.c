/* Options are read as their types say, refused with the words users know, and words survive quoting. */
#include "base/option.h"
#include "unit/unit.h"

#include <string.h>

static const struct option_name colours[] = { { "red", 1 }, { "blue", 2 }, { NULL, 0 } };
static const char *const also_off[] = { "off", NULL };
static const struct option table[] = {
    { .name = "maxmemory", .type = OPTION_SIZE, .max = INT64_MAX },
    { .name = "maxclients", .type = OPTION_INTEGER, .min = 1, .max = 100 },
    { .name = "colour", .alias = "color", .type = OPTION_ENUM, .names = colours, .fallback = 1 },
    { .name = "share", .type = OPTION_SIZE, .flags = OPTION_PERCENT, .min = -100, .max = INT64_MAX },
    { .name = "mode", .type = OPTION_INTEGER, .flags = OPTION_OCTAL, .max = 0777 },
    { .name = "log", .type = OPTION_BOOL, .lacks = "log" },
    { .name = "tail", .type = OPTION_TEXT, .fallback_text = "", .lacks = "tail", .allowed = also_off },
};
#define TABLE (sizeof table / sizeof *table)

static char error[OPTION_ERROR_BYTES];

static bool reads(const char *name, const char *text, int64_t *number)
{
    const struct option *option = option_find(table, TABLE, bytes_of(name));
    struct option_value value = { 0 };
    struct bytes word = bytes_of(text);
    bool ok = option_parse(option, &word, 1, &value, error);

    if (number) *number = value.number;
    buf_free(&value.text);
    return ok;
}

TEST(sizes_have_units_of_a_thousand_and_of_1024)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = { { "0", 0 },           { "1b", 1 },           { "1k", 1000 },
                  { "1kb", 1024 },      { "2M", 2000000 },     { "1mb", 1048576 },
                  { "1g", 1000000000 }, { "1Gb", 1073741824 }, { "18446744073709551615", UINT64_MAX } };
    static const char *const bad[] = { "", "k", "1x", "1.5gb", "-1", "1 gb", "18446744073709551616", "99999999999gb" };
    uint64_t bytes = 0;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK(option_size(bytes_of(sizes[i].text), &bytes) && bytes == sizes[i].bytes);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!option_size(bytes_of(bad[i]), &bytes));
}

TEST(a_bad_value_is_refused_with_its_reason)
{
    int64_t number = 0;

    CHECK(!reads("maxmemory", "abc", NULL) && strcmp(error, "argument must be a memory value") == 0);
    CHECK(!reads("maxclients", "x", NULL) && strcmp(error, "argument couldn't be parsed into an integer") == 0);
    CHECK(!reads("maxclients", "101", NULL) && strcmp(error, "argument must be between 1 and 100 inclusive") == 0);
    CHECK(!reads("colour", "green", NULL) && strcmp(error, "argument(s) must be one of the following: red, blue") == 0);
    CHECK(!reads("share", "101%", NULL) && strcmp(error, "percentage argument must be less or equal to 100") == 0);
    CHECK(!reads("mode", "8", NULL) && strcmp(error, "argument couldn't be parsed as an octal number") == 0);
    CHECK(reads("mode", "700", &number) && number == 0700);
    CHECK(reads("share", "5%", &number) && number == -5);
    CHECK(reads("color", "BLUE", &number) && number == 2);
}

TEST(what_is_not_here_can_only_be_declined)
{
    CHECK(reads("log", "no", NULL));
    CHECK(!reads("log", "yes", NULL) && strcmp(error, "this node has no log: the value can only be 'no'") == 0);
    CHECK(reads("tail", "", NULL));
    CHECK(reads("tail", "off", NULL));
    CHECK(!reads("tail", "on", NULL));
}

TEST(a_slip_finds_the_name_that_was_meant)
{
    const char *nearest = option_nearest(table, TABLE, BYTES("maxmemori"));

    CHECK(nearest && strcmp(nearest, "maxmemory") == 0);
    nearest = option_nearest(table, TABLE, BYTES("max_cleints"));
    CHECK(nearest == NULL || strcmp(nearest, "maxclients") == 0);
    CHECK(option_nearest(table, TABLE, BYTES("zzzzzzzzz")) == NULL);
    /* Up to a third of it is wrong, wherever that is; what is more is another word. */
    static const char *const slips[] = { "amxmemory", "maxmemroy",     "maxmmoery",
                                         "xmemory",   "qqqqmaxmemory", "maxmemorysz" };
    for (size_t i = 0; i < sizeof(slips) / sizeof(slips[0]); i++) {
        nearest = option_nearest(table, TABLE, bytes_of(slips[i]));
        CHECK(nearest && strcmp(nearest, "maxmemory") == 0);
    }
    CHECK(option_nearest(table, TABLE, BYTES("zzzzmemory")) == NULL);
    CHECK(option_nearest(table, TABLE, BYTES("yromemxam")) == NULL);
}

TEST(words_are_cut_as_quotes_and_escapes_say)
{
    struct words words;

    CHECK(words_split(BYTES("  save  900 1\t\"a b\" '' 'it\\'s' \"\\x41\\n\" "), &words) && words.count == 7);
    CHECK(bytes_equal(words.items[3], BYTES("a b")) && words.items[4].len == 0);
    CHECK(bytes_equal(words.items[5], BYTES("it's")) && bytes_equal(words.items[6], BYTES("A\n")));
    words_free(&words);
    CHECK(!words_split(BYTES("a \"b"), &words));
    words_free(&words);
    CHECK(!words_split(BYTES("\"a\"b"), &words));
    words_free(&words);
}

TEST(any_word_is_read_back_from_its_quoted_form)
{
    char all[256];
    struct bytes words[] = { BYTES(""),        BYTES("plain"),     BYTES("two words"), BYTES("#no comment"),
                             BYTES("\"'\\\n"), { all, sizeof all } };

    for (size_t i = 0; i < sizeof all; i++) all[i] = (char)i;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct buf line = { 0 };
        struct words back;

        words_quote(words[i], &line);
        CHECK(words_split(buf_bytes(&line), &back) && back.count == 1 && bytes_equal(back.items[0], words[i]));
        words_free(&back);
        buf_free(&line);
    }
}

TESTS(sizes_have_units_of_a_thousand_and_of_1024, a_bad_value_is_refused_with_its_reason,
      what_is_not_here_can_only_be_declined, a_slip_finds_the_name_that_was_meant,
      words_are_cut_as_quotes_and_escapes_say, any_word_is_read_back_from_its_quoted_form)
