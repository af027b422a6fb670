/* Replies are written in the client's version, and no text ends a line early. */
#include "proto/reply.h"
#include "unit/unit.h"

#include <math.h>

/* Writes with `write`, in the version, and compares. */
#define WRITES(version, text, write)                                                                                   \
    do {                                                                                                               \
        struct buf out = { 0 };                                                                                        \
        struct reply to = { .out = &out, .resp = (version) }, *reply = &to;                                            \
        write;                                                                                                         \
        assert_int_equal(out.len, sizeof(text) - 1);                                                                   \
        assert_memory_equal(out.data, text, sizeof(text) - 1);                                                         \
        buf_free(&out);                                                                                                \
    } while (0)
#define WRITES_BOTH(text, write)                                                                                       \
    do {                                                                                                               \
        WRITES(2, text, write);                                                                                        \
        WRITES(3, text, write);                                                                                        \
    } while (0)

TEST(what_both_versions_share_is_written_alike)
{
    WRITES_BOTH("+OK\r\n", reply_ok(reply));
    WRITES_BOTH("+PONG\r\n", reply_simple(reply, "PONG"));
    WRITES_BOTH("-ERR no such key\r\n", reply_error(reply, ERROR_NO_KEY));
    WRITES_BOTH(":0\r\n", reply_integer(reply, 0));
    WRITES_BOTH(":10\r\n", reply_integer(reply, 10));
    WRITES_BOTH(":-1\r\n", reply_integer(reply, -1));
    WRITES_BOTH(":-9223372036854775808\r\n", reply_integer(reply, INT64_MIN));
    WRITES_BOTH("$0\r\n\r\n", reply_bulk(reply, BYTES_NONE));
    WRITES_BOTH("$3\r\n\r\n\0\r\n", reply_bulk(reply, BYTES("\r\n\0")));
    WRITES_BOTH("$10\r\n0123456789\r\n", reply_bulk_text(reply, "0123456789"));
    WRITES_BOTH("$3\r\n-42\r\n", reply_bulk_i64(reply, -42));
    WRITES_BOTH("*0\r\n", reply_array(reply, 0));
    WRITES_BOTH("*100\r\n", reply_array(reply, 100));
}

TEST(what_resp2_lacks_it_gets_in_its_own_words)
{
    WRITES(2, "$-1\r\n", reply_null(reply));
    WRITES(2, "*-1\r\n", reply_null_array(reply));
    WRITES(2, "*4\r\n", reply_map(reply, 2));
    WRITES(2, "*2\r\n", reply_set(reply, 2));
    WRITES(2, "*3\r\n", reply_push(reply, 3));
    WRITES(2, ":1\r\n", reply_bool(reply, true));
    WRITES(2, ":0\r\n", reply_bool(reply, false));
    WRITES(2, "$2\r\nhi\r\n", reply_verbatim(reply, BYTES("hi")));
    WRITES(2, "$3\r\n1.5\r\n", reply_double(reply, 1.5));
    WRITES(0, "$-1\r\n", reply_null(reply)); /* a zeroed one speaks RESP2 */
}

TEST(resp3_says_what_a_reply_is)
{
    WRITES(3, "_\r\n", reply_null(reply));
    WRITES(3, "_\r\n", reply_null_array(reply));
    WRITES(3, "%2\r\n", reply_map(reply, 2));
    WRITES(3, "~12\r\n", reply_set(reply, 12));
    WRITES(3, ">3\r\n", reply_push(reply, 3));
    WRITES(3, "#t\r\n", reply_bool(reply, true));
    WRITES(3, "#f\r\n", reply_bool(reply, false));
    WRITES(3, "=6\r\ntxt:hi\r\n", reply_verbatim(reply, BYTES("hi")));
    WRITES(3, ",1.5\r\n", reply_double(reply, 1.5));
}

TEST(a_double_is_written_as_redis_writes_it)
{
    WRITES(3, ",3\r\n", reply_double(reply, 3));
    WRITES(3, ",3.2000000000000002\r\n", reply_double(reply, 3.2));
    WRITES(3, ",3.333\r\n", reply_double_rounded(reply, 10.0 / 3, 4));
    WRITES(3, ",9.9999999999999995e-08\r\n", reply_double(reply, 1e-7));
    WRITES(3, ",10000000000000000\r\n", reply_double(reply, 1e16));
    WRITES(3, ",1e+17\r\n", reply_double(reply, 1e17));
    WRITES(3, ",-inf\r\n", reply_double(reply, -INFINITY));
    WRITES(2, "$3\r\ninf\r\n", reply_double(reply, INFINITY));
    WRITES(3, ",nan\r\n", reply_double(reply, -NAN));
    WRITES(2, "$24\r\n-1.7976931348623157e+308\r\n", reply_double(reply, -1.7976931348623157e308));
}

TEST(a_line_ends_where_we_end_it)
{
    WRITES_BOTH("-ERR unknown command 'a  +OK'\r\n", reply_error(reply, "ERR unknown command 'a\r\n+OK'"));
    WRITES_BOTH("-ERR bad ' '  \r\n", reply_errorf(reply, "ERR bad '%s'\r\n", "\n"));
    WRITES_BOTH("+a b \r\n", reply_simple(reply, "a\nb\r"));
    for (int byte = 1; byte < 256; byte++) {
        struct buf out = { 0 };
        struct reply reply = { .out = &out };
        char text[] = { 'x', (char)byte, 'y', '\0' };

        reply_simple(&reply, text);
        reply_error(&reply, text);
        reply_errorf(&reply, "%s", text);
        CHECK(out.len == 3 * 6);
        for (size_t i = 0; i < out.len; i++) {
            CHECK((out.data[i] == '\r') == (i % 6 == 4));
            CHECK((out.data[i] == '\n') == (i % 6 == 5));
        }
        buf_free(&out);
    }
}

TEST(errors_are_counted_under_their_code)
{
    struct buf out = { 0 };
    struct reply reply = { .out = &out };

    reply_ok(&reply);
    CHECK(reply.errors == 0);
    reply_error(&reply, ERROR_WRONG_TYPE);
    CHECK(reply.errors == 1 && strcmp(reply.error_code, "WRONGTYPE") == 0);
    reply_errorf(&reply, "MOVED %d %s", 1, "127.0.0.1:1");
    CHECK(reply.errors == 2 && strcmp(reply.error_code, "MOVED") == 0);
    reply_error(&reply, "ONEWORD");
    CHECK(strcmp(reply.error_code, "ONEWORD") == 0);
    reply_error(&reply, "THIRTYTWOCHARACTERSANDSOMEMORELONG x");
    CHECK(strcmp(reply.error_code, "THIRTYTWOCHARACTERSANDSOMEMOREL") == 0);
    reply_error(&reply, "");
    CHECK(reply.error_code[0] == '\0');
    buf_free(&out);
}

static int released;

static void release(void *owner)
{
    CHECK(owner == &released);
    released++;
}

TEST(a_piece_stands_where_it_was_replied_and_is_released_once)
{
    struct buf out = { 0 };
    struct reply_pieces pieces = { 0 };
    struct reply reply = { .out = &out, .pieces = &pieces, .resp = 2 };
    struct piece piece = { .bytes = BYTES("hello"), .release = release, .owner = &released };

    released = 0;
    reply_ok(&reply);
    reply_bulk_piece(&reply, piece);
    reply_bulk_piece(&reply, piece);
    CHECK(bytes_equal(buf_bytes(&out), BYTES("+OK\r\n$5\r\n\r\n$5\r\n\r\n")));
    CHECK(pieces.count == 2 && pieces.bytes == 10);
    CHECK(pieces.items[0].offset == 9 && pieces.items[1].offset == 15);
    reply_pieces_drop(&pieces, 1);
    CHECK(released == 1 && pieces.count == 1 && pieces.bytes == 5);
    reply_pieces_free(&pieces);
    CHECK(released == 2);
    buf_free(&out);
}

TEST(a_piece_may_have_bytes_before_and_behind_it_in_its_bulk)
{
    struct piece piece = { .bytes = BYTES("hello"), .release = release, .owner = &released };
    struct reply_pieces pieces = { 0 };
    struct buf out = { 0 };
    struct reply reply = { .out = &out, .resp = 2, .pieces = &pieces };

    released = 0;
    reply_bulk_framed(&reply, BYTES("<<"), piece, BYTES(">"));
    CHECK(bytes_equal(buf_bytes(&out), BYTES("$8\r\n<<>\r\n")));
    CHECK(pieces.count == 1 && pieces.bytes == 5 && pieces.items[0].offset == 6);
    reply_pieces_free(&pieces);
    buf_free(&out);
    CHECK(released == 1);
}

TEST(a_piece_is_copied_where_pieces_are_not_kept)
{
    released = 0;
    WRITES_BOTH("$5\r\nhello\r\n",
                reply_bulk_piece(reply,
                                 (struct piece){ .bytes = BYTES("hello"), .release = release, .owner = &released }));
    WRITES_BOTH("$8\r\n<<hello>\r\n",
                reply_bulk_framed(reply, BYTES("<<"),
                                  (struct piece){ .bytes = BYTES("hello"), .release = release, .owner = &released },
                                  BYTES(">")));
    CHECK(released == 4);
}

TEST(beyond_what_a_reply_may_come_to_nothing_large_is_added)
{
    struct buf out = { 0 };
    struct reply_pieces pieces = { 0 };
    struct reply reply = { .out = &out, .pieces = &pieces, .resp = 2, .most = 1000 };
    struct piece piece = { .bytes = BYTES("hello"), .release = release, .owner = &released };
    char large[600] = "";
    size_t len;

    released = 0;
    reply_bulk(&reply, (struct bytes){ large, sizeof(large) });
    reply_bulk_piece(&reply, piece);
    CHECK(!reply_is_too_much(&reply) && pieces.count == 1);
    reply_bulk(&reply, (struct bytes){ large, sizeof(large) });
    CHECK(reply_is_too_much(&reply));
    len = out.len;
    reply_bulk(&reply, (struct bytes){ large, REPLY_BULK_LARGE });
    reply_bulk_piece(&reply, piece);
    CHECK(out.len == len && pieces.count == 1 && released == 1);
    /* A small one costs less than to look each time. */
    reply_bulk(&reply, (struct bytes){ large, REPLY_BULK_LARGE - 1 });
    CHECK(out.len > len && reply_is_too_much(&reply));
    /* Pieces count as well; and 0 is no bound. */
    buf_clear(&out);
    reply.most = 4;
    CHECK(reply_is_too_much(&reply));
    reply.most = 0;
    CHECK(!reply_is_too_much(&reply));
    reply_pieces_free(&pieces);
    buf_free(&out);
}

TESTS(what_both_versions_share_is_written_alike, what_resp2_lacks_it_gets_in_its_own_words, resp3_says_what_a_reply_is,
      a_double_is_written_as_redis_writes_it, a_line_ends_where_we_end_it, errors_are_counted_under_their_code,
      a_piece_stands_where_it_was_replied_and_is_released_once, a_piece_may_have_bytes_before_and_behind_it_in_its_bulk,
      a_piece_is_copied_where_pieces_are_not_kept, beyond_what_a_reply_may_come_to_nothing_large_is_added)
