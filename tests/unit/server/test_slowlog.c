/* The slow log keeps the newest entries, cut to a size that cannot hurt. */
#include "base/buf.h"
#include "proto/reply.h"
#include "server/slowlog.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

static void add_text(struct slowlog *slowlog, const char *text, int64_t max_len)
{
    struct bytes argument = { text, strlen(text) };

    slowlog_add(slowlog, 1700000000, 12345, 1, &argument, "127.0.0.1:4242", "ada", max_len);
}

/* What SLOWLOG GET replies, with a NUL. */
static const char *shown(struct slowlog *slowlog, int64_t count, struct buf *out)
{
    struct reply reply = { .out = out, .resp = 2 };

    buf_clear(out);
    slowlog_reply(slowlog, &reply, count);
    buf_reserve(out, 1)[0] = '\0';
    return out->data;
}

TEST(an_entry_is_told_as_it_was)
{
    struct slowlog *slowlog = slowlog_new();
    struct bytes argv[] = { BYTES("get"), BYTES("k\0y") };
    struct buf out = { 0 };
    static const char expected[] =
        "*1\r\n*6\r\n:0\r\n:1700000000\r\n:20000\r\n*2\r\n$3\r\nget\r\n$3\r\nk\0y\r\n$9\r\n1.2.3.4:5\r\n$0\r\n\r\n";

    slowlog_add(slowlog, 1700000000, 20000, 2, argv, "1.2.3.4:5", NULL, 128);
    shown(slowlog, -1, &out);
    assert_int_equal(out.len, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, sizeof(expected) - 1);
    buf_free(&out);
    slowlog_free(&slowlog);
    CHECK(slowlog == NULL);
}

TEST(the_newest_come_first_and_the_oldest_go)
{
    struct slowlog *slowlog = slowlog_new();
    struct buf out = { 0 };
    const char *b, *c;

    add_text(slowlog, "a", 2);
    add_text(slowlog, "b", 2);
    add_text(slowlog, "c", 2);
    assert_int_equal(slowlog_len(slowlog), 2);
    shown(slowlog, -1, &out);
    CHECK(strncmp(out.data, "*2\r\n*6\r\n:2\r\n", 12) == 0);
    b = strstr(out.data, "$1\r\nb\r\n");
    c = strstr(out.data, "$1\r\nc\r\n");
    CHECK(b != NULL && c != NULL && c < b);
    CHECK(strstr(out.data, "$1\r\na\r\n") == NULL);

    CHECK(strncmp(shown(slowlog, 1, &out), "*1\r\n*6\r\n:2\r\n", 12) == 0);
    assert_string_equal(shown(slowlog, 0, &out), "*0\r\n");
    CHECK(strncmp(shown(slowlog, 100, &out), "*2\r\n", 4) == 0);
    buf_free(&out);
    slowlog_free(&slowlog);
}

TEST(a_log_of_length_none_keeps_none)
{
    struct slowlog *slowlog = slowlog_new();

    add_text(slowlog, "a", 5);
    add_text(slowlog, "b", 0);
    assert_int_equal(slowlog_len(slowlog), 0);
    slowlog_free(&slowlog);
}

TEST(ids_go_on_after_a_reset)
{
    struct slowlog *slowlog = slowlog_new();
    struct buf out = { 0 };

    add_text(slowlog, "a", 10);
    slowlog_reset(slowlog);
    assert_int_equal(slowlog_len(slowlog), 0);
    add_text(slowlog, "b", 10);
    CHECK(strncmp(shown(slowlog, -1, &out), "*1\r\n*6\r\n:1\r\n", 12) == 0);
    buf_free(&out);
    slowlog_free(&slowlog);
}

TEST(a_long_argument_is_cut_and_says_by_how_much)
{
    struct slowlog *slowlog = slowlog_new();
    struct buf out = { 0 };
    char text[201], fits[129];

    memset(text, 'x', 200);
    text[200] = '\0';
    memset(fits, 'y', 128);
    fits[128] = '\0';
    add_text(slowlog, text, 10);
    add_text(slowlog, fits, 10);
    shown(slowlog, -1, &out);
    CHECK(strstr(out.data, "$128\r\nyyy") != NULL);
    CHECK(strstr(out.data, "$147\r\nxxx") != NULL);
    CHECK(strstr(out.data, "xxx... (72 more bytes)\r\n") != NULL);
    buf_free(&out);
    slowlog_free(&slowlog);
}

TEST(a_long_command_is_cut_to_32_arguments)
{
    struct slowlog *slowlog = slowlog_new();
    struct buf out = { 0 };
    struct bytes argv[33];
    char texts[33][16];

    for (int i = 0; i < 33; i++) {
        snprintf(texts[i], sizeof(texts[i]), "a%02d", i);
        argv[i] = bytes_of(texts[i]);
    }
    slowlog_add(slowlog, 1, 1, 32, argv, "p", "n", 10);
    shown(slowlog, 1, &out);
    CHECK(strstr(out.data, "*32\r\n$3\r\na00\r\n") != NULL && strstr(out.data, "a31\r\n") != NULL);
    slowlog_add(slowlog, 1, 1, 33, argv, "p", "n", 10);
    shown(slowlog, 1, &out);
    CHECK(strstr(out.data, "*32\r\n$3\r\na00\r\n") != NULL && strstr(out.data, "a30\r\n") != NULL);
    CHECK(strstr(out.data, "a31\r\n") == NULL && strstr(out.data, "... (2 more arguments)\r\n") != NULL);
    buf_free(&out);
    slowlog_free(&slowlog);
}

TESTS(an_entry_is_told_as_it_was, the_newest_come_first_and_the_oldest_go, a_log_of_length_none_keeps_none,
      ids_go_on_after_a_reset, a_long_argument_is_cut_and_says_by_how_much, a_long_command_is_cut_to_32_arguments)
