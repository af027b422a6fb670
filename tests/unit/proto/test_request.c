/* However a request is cut and wherever its pieces lie, the same arguments come out; and each wrong one is told why. */
#include "base/alloc.h"
#include "proto/request.h"
#include "unit/unit.h"

#include <stdio.h>

static const struct request_limits limits = { .args_max = 1024 * 1024, .bulk_max = 512 << 20, .inline_max = 64 * 1024 };

/* Copies to memory of exactly that size, so that a read beyond it is found. */
static struct bytes copy_of(struct bytes bytes)
{
    char *copy = alloc(bytes.len);
    if (bytes.len > 0) memcpy(copy, bytes.data, bytes.len);
    return (struct bytes){ copy, bytes.len };
}

static void drop(struct bytes copy)
{
    alloc_free((void *)(uintptr_t)copy.data);
}

/* What all requests in the bytes are, in one text: <arg><arg>. per request, ? where more is needed, !error. */
static const char *outcome(struct bytes bytes, size_t cut, const struct request_limits *with)
{
    static char texts[2][8192];
    static int turn;
    char *text = texts[turn ^= 1];
    struct request request = { 0 };
    size_t from = 0, upto = cut < bytes.len ? cut : bytes.len, len = 0;

    text[0] = '\0';
    for (;;) {
        struct bytes piece = copy_of((struct bytes){ bytes.data + from, upto - from });
        enum request_status status = piece.len == 0 ? REQUEST_PARTIAL : request_read(&request, piece, with);

        if (status == REQUEST_READY) {
            CHECK(request.consumed > 0 && request.consumed <= piece.len);
            for (int i = 0; i < request.argc; i++)
                len +=
                    (size_t)snprintf(text + len, 8192 - len, "<%.*s>", (int)request.argv[i].len, request.argv[i].data);
            len += (size_t)snprintf(text + len, 8192 - len, ".");
            from += request.consumed;
        }
        if (status == REQUEST_BROKEN) snprintf(text + len, 8192 - len, "!%s", request.error);
        drop(piece);
        if (status == REQUEST_BROKEN) break;
        if (status == REQUEST_PARTIAL) {
            if (upto == bytes.len) {
                if (from < upto) snprintf(text + len, 8192 - len, "?");
                break;
            }
            /* Cut at 1: one more at a time, from there to the end; else the rest at once. */
            upto = cut <= 1 ? upto + 1 : bytes.len;
        }
    }
    request_free(&request);
    return text;
}

static bool gives_with(struct bytes bytes, const char *expected, const struct request_limits *with)
{
    for (size_t cut = 1; cut <= bytes.len; cut++) {
        const char *text = outcome(bytes, cut, with);
        if (strcmp(text, expected) != 0) {
            print_error("cut at %zu: %s\n    expected: %s\n", cut, text, expected);
            return false;
        }
    }
    return true;
}

static bool gives(struct bytes bytes, const char *expected)
{
    return gives_with(bytes, expected, &limits);
}

TEST(a_request_cut_anywhere_gives_the_same_arguments)
{
    CHECK(gives(BYTES("*1\r\n$4\r\nPING\r\n"), "<PING>."));
    CHECK(gives(BYTES("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000012345\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
                "<SET><key:000000012345><>.<GET><k>."));
    CHECK(gives(BYTES("*2\r\n$4\r\nECHO\r\n$5\r\n\r\n*1\r\r\n"), "<ECHO><\r\n*1\r>."));
    CHECK(gives(BYTES("*12\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$1\r\nh\r\n$"
                      "1\r\ni\r\n"
                      "$1\r\nj\r\n$1\r\nk\r\n$1\r\nl\r\nPING\r\n"),
                "<a><b><c><d><e><f><g><h><i><j><k><l>.<PING>."));
    CHECK(gives(BYTES("*2\r\n$4\r\nECHO\r\n$10\r\nabcdefgh"), "?"));
    CHECK(gives(BYTES("*0\r\n*-1\r\n*-5\r\n\r\n  \r\nPING\n"), ".....<PING>."));
}

TEST(long_arguments_and_counts_are_read_alike)
{
    struct buf text = { 0 };
    struct request request = { 0 };

    for (size_t len = 1; len <= 10000000; len *= 10)
        for (size_t extra = 0; extra < 2; extra++) {
            size_t bulk = len - extra;

            buf_clear(&text);
            buf_printf(&text, "*1\r\n$%zu\r\n", bulk);
            memset(buf_reserve(&text, bulk), 'v', bulk);
            buf_added(&text, bulk);
            buf_append_text(&text, "\r\n");
            CHECK(request_read(&request, buf_bytes(&text), &limits) == REQUEST_READY);
            CHECK(request.argc == 1 && request.argv[0].len == bulk && request.consumed == text.len);
        }
    for (int count = 1; count <= 100000; count *= 10) {
        buf_clear(&text);
        buf_printf(&text, "*%d\r\n", count);
        for (int i = 0; i < count; i++) buf_append_text(&text, "$1\r\nx\r\n");
        CHECK(request_read(&request, buf_bytes(&text), &limits) == REQUEST_READY);
        CHECK(request.argc == count && request.argv[count - 1].len == 1);
    }
    request_free(&request);
    buf_free(&text);
}

TEST(each_wrong_request_is_told_what_redis_tells_it)
{
#define BROKEN(text) "!ERR Protocol error: " text
    const char *const bad_counts[] = {
        "*x\r\n",  "*\r\n",   "*01\r\n",         "*-0\r\n",      "*+1\r\n",
        "* 1\r\n", "*1 \r\n", "*2147483648\r\n", "*1048577\r\n", "*111111111111111111111111111111\r\n",
        "*1\rx",   "*1x\r\n", "*00\r\n"
    };
    const char *const bad_lengths[] = { "$x\r\n",
                                        "$\r\n",
                                        "$-1\r\n",
                                        "$-0\r\n",
                                        "$04\r\n",
                                        "$00\r\n",
                                        "$4\rx",
                                        "$536870913\r\n",
                                        "$99999999999999999999\r\n",
                                        "$9223372036854775807\r\n",
                                        "$12345x\r\n" };

    for (size_t i = 0; i < sizeof(bad_counts) / sizeof(*bad_counts); i++)
        CHECK(gives(bytes_of(bad_counts[i]), BROKEN("invalid multibulk length")));
    for (size_t i = 0; i < sizeof(bad_lengths) / sizeof(*bad_lengths); i++) {
        char text[64];
        snprintf(text, sizeof(text), "*2\r\n$1\r\na\r\n%s", bad_lengths[i]);
        CHECK(gives(bytes_of(text), BROKEN("invalid bulk length")));
    }
    /* With more behind, so that the quick reader sees them. */
    CHECK(gives(BYTES("*01\r\n$4\r\nPING\r\n"), BROKEN("invalid multibulk length")));
    CHECK(gives(BYTES("*001\r\n$4\r\nPING\r\n"), BROKEN("invalid multibulk length")));
    CHECK(gives(BYTES("*1\r\n$04\r\nPING\r\n"), BROKEN("invalid bulk length")));
    CHECK(gives(BYTES("*1\r\n$004\r\nPING\r\n"), BROKEN("invalid bulk length")));
    CHECK(gives(BYTES("*1\r\n$4x\r\nPING\r\n"), BROKEN("invalid bulk length")));
    CHECK(gives(BYTES("*1\r\nx\r\n"), BROKEN("expected '$', got 'x'")));
    CHECK(gives(BYTES("*1\r\n\r\n"), BROKEN("expected '$', got ' '")));
    CHECK(gives(BYTES("*1\r\n\n"), BROKEN("expected '$', got ' '")));
    CHECK(gives(BYTES("*1\r\n\xff\r\n"), BROKEN("expected '$', got '\xff'")));
    CHECK(gives(BYTES("*1\r\n:1\r\n"), BROKEN("expected '$', got ':'")));
    CHECK(gives(BYTES("*1\r\n$4\r\nPINGxx"), BROKEN("expected CRLF after bulk string")));
    CHECK(gives(BYTES("*1\r\n$4\r\nPING\rx"), BROKEN("expected CRLF after bulk string")));
    CHECK(gives(BYTES("*1\r\n$536870912\r\nabc"), "?"));
}

TEST(who_has_not_logged_in_may_send_little)
{
    const struct request_limits before = {
        .args_max = 10, .bulk_max = 16384, .inline_max = 65536, .unauthenticated = true
    };

    CHECK(gives_with(BYTES("*10\r\n"), "?", &before));
    CHECK(gives_with(BYTES("*11\r\n"), BROKEN("unauthenticated multibulk length"), &before));
    CHECK(gives_with(BYTES("*1048577\r\n"), BROKEN("unauthenticated multibulk length"), &before));
    CHECK(gives_with(BYTES("*2147483648\r\n"), BROKEN("invalid multibulk length"), &before));
    CHECK(gives_with(BYTES("*1\r\n$16384\r\n"), "?", &before));
    CHECK(gives_with(BYTES("*1\r\n$16385\r\n"), BROKEN("unauthenticated bulk length"), &before));
    CHECK(gives_with(BYTES("*1\r\n$536870913\r\n"), BROKEN("invalid bulk length"), &before));
}

/* The status of `count` bytes of `fill` behind a head, given in pieces. */
static const char *fill_outcome(const char *start, char fill, size_t total, const char *tail, size_t piece)
{
    static char error[128];
    struct buf text = { 0 };
    struct request request = { 0 };
    enum request_status status = REQUEST_PARTIAL;

    buf_append_text(&text, start);
    memset(buf_reserve(&text, total), fill, total - text.len);
    buf_added(&text, total - text.len);
    buf_append_text(&text, tail);
    for (size_t upto = piece; status == REQUEST_PARTIAL; upto += piece) {
        status = request_read(&request, (struct bytes){ text.data, upto < text.len ? upto : text.len }, &limits);
        if (upto >= text.len) break;
    }
    snprintf(error, sizeof(error), "%s",
             status == REQUEST_BROKEN  ? request.error
             : status == REQUEST_READY ? "ready"
                                       : "more");
    request_free(&request);
    buf_free(&text);
    return error;
}

TEST(a_line_that_does_not_end_is_refused_at_64_kib)
{
    const size_t pieces[] = { 1, 1000, 16384, 1 << 20 };

    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
        size_t piece = pieces[i];
        CHECK(strcmp(fill_outcome("A", 'A', 65536, "", piece), "more") == 0);
        CHECK(strcmp(fill_outcome("A", 'A', 65536, "\n", piece), "ready") == 0);
        CHECK(strcmp(fill_outcome("A", 'A', 65537, "", piece), "ERR Protocol error: too big inline request") == 0);
        CHECK(strcmp(fill_outcome("A", 'A', 65537, "\n", piece), "ERR Protocol error: too big inline request") == 0);
        CHECK(strcmp(fill_outcome("*", '1', 65536, "", piece), "more") == 0);
        CHECK(strcmp(fill_outcome("*", '1', 65536, "\r\n", piece), "ERR Protocol error: invalid multibulk length") ==
              0);
        CHECK(strcmp(fill_outcome("*", '1', 65537, "", piece), "ERR Protocol error: too big mbulk count string") == 0);
        CHECK(strcmp(fill_outcome("*1\r\n$", '1', 65540, "", piece), "more") == 0);
        CHECK(strcmp(fill_outcome("*1\r\n$", '1', 65541, "", piece), "ERR Protocol error: too big bulk count string") ==
              0);
    }
}

TEST(an_inline_line_is_split_as_a_shell_would)
{
    const struct {
        struct bytes line;
        const char *words;
    } lines[] = {
        { BYTES("SET key value\r\n"), "<SET><key><value>." },
        { BYTES("  SET\tkey \x0b value  \n"), "<SET><key><value>." },
        { BYTES("ECHO \"\\x41\\n\\r\\t\\b\\a\\q\\\"\\x4g\"\r\n"), "<ECHO><A\n\r\t\b\aq\"x4g>." },
        { BYTES("ECHO 'a\\'b\\n'\r\n"), "<ECHO><a'b\\n>." },
        { BYTES("ECHO a\"b c\" 'd e' \"\"\r\n"), "<ECHO><ab c><d e><>." },
        { BYTES("ECHO \"a\"\x0b\r\n"), "<ECHO><a>." },
        { BYTES("ECHO a\x0b"
                "b a\rb\r\r\n"),
          "<ECHO><a\x0b"
          "b><a><b>." },
        { BYTES("\rPING\r\n\r\nPING \\x41\\\n"), "<PING>..<PING><\\x41\\>." },
        { BYTES("ECHO \"a\r\n"), BROKEN("unbalanced quotes in request") },
        { BYTES("ECHO 'a\r\n"), BROKEN("unbalanced quotes in request") },
        { BYTES("ECHO \"a\"b\r\n"), BROKEN("unbalanced quotes in request") },
        { BYTES("ECHO 'a'b\r\n"), BROKEN("unbalanced quotes in request") },
        { BYTES("ECHO \"a\\\r\n"), BROKEN("unbalanced quotes in request") },
        { BYTES("ECHO 'a\\'\r\n"), BROKEN("unbalanced quotes in request") },
        { BYTES("ECHO \"a\\\"\r\n"), BROKEN("unbalanced quotes in request") },
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) CHECK(gives(lines[i].line, lines[i].words));
}

TEST(an_announcement_takes_no_memory)
{
    struct request request = { 0 };

    CHECK(request_read(&request, BYTES("*1048576\r\n$536870912\r\nab"), &limits) == REQUEST_PARTIAL);
    CHECK(request.argv_cap <= 8 && request.spans_cap <= 8);
    CHECK(request.needed == 22 + 536870912u + 2);
    request_reset(&request);
    CHECK(request.argv == NULL);
    CHECK(request_read(&request, BYTES("PING\r\n"), &limits) == REQUEST_READY && request.argc == 1);
    CHECK(request_read(&request, BYTES("*1\r"), &limits) == REQUEST_PARTIAL && request.needed == 0);
    request_free(&request);
}

TEST(pieces_cost_no_more_than_the_whole)
{
    enum { ARGS = 200000 };
    struct buf text = { 0 };
    struct request request = { 0 };
    enum request_status status = REQUEST_PARTIAL;

    /* Byte by byte: if each call looked at all that came before, this would take minutes. */
    buf_printf(&text, "*%d\r\n", ARGS);
    for (int i = 0; i < ARGS; i++) buf_append_text(&text, "$1\r\nx\r\n");
    for (size_t upto = 1; upto <= text.len; upto++)
        status = request_read(&request, (struct bytes){ text.data, upto }, &limits);
    CHECK(status == REQUEST_READY && request.argc == ARGS);
    for (int i = 0; i < ARGS; i++) CHECK(request.argv[i].len == 1 && *request.argv[i].data == 'x');
    /* What it took is given back with the next request. */
    CHECK(request_read(&request, BYTES("*1\r\n$4\r\nPING\r\n"), &limits) == REQUEST_READY);
    CHECK(request.argv_cap == 8 && request.spans == NULL);
    request_free(&request);
    buf_free(&text);
}

#define MOVED "*5\r\n$3\r\nSET\r\n$3\r\nkey\r\n$10\r\n0123456789\r\n$2\r\nEX\r\n$3\r\n100\r\n"

static void check_moved(const struct request *request)
{
    static const char *const args[] = { "SET", "key", "0123456789", "EX", "100" };

    CHECK(request->argc == 5);
    for (int i = 0; i < 5; i++) CHECK(bytes_equal(request->argv[i], bytes_of(args[i])));
}

/* Reads the bytes in two pieces or more: up to `cut`, and then by `step`. A value that is cut is moved out, and the data goes on behind it.
 * Gives the data as it stands at the end. */
static bool read_moved(struct request *request, struct buf *data, char value[10], size_t cut, size_t step, bool *moved)
{
    struct bytes all = BYTES(MOVED);
    size_t from = 0, upto = cut, filled = 0;

    *moved = false;
    for (;;) {
        struct request_cut in;
        struct bytes copy;
        enum request_status status;

        for (; from < upto; from++)
            if (*moved && filled < 10)
                value[filled++] = all.data[from];
            else
                buf_append_byte(data, all.data[from]);
        copy = copy_of(buf_bytes(data));
        status = copy.len == 0 || (*moved && filled < 10) ? REQUEST_PARTIAL : request_read(request, copy, &limits);
        if (status == REQUEST_PARTIAL && !*moved && copy.len > 0 && request_cut(request, &in) && in.arg == 2) {
            CHECK(in.len == 10 && in.offset == 27);
            CHECK(bytes_equal(request_arg(request, copy, 0), BYTES("SET")));
            CHECK(bytes_equal(request_arg(request, copy, 1), BYTES("key")));
            if (copy.len - in.offset <= in.len) {
                filled = copy.len - in.offset;
                memcpy(value, copy.data + in.offset, filled);
                data->len = in.offset;
                request_move_out(request, (struct bytes){ value, 10 });
                *moved = true;
            }
        }
        if (status == REQUEST_READY) check_moved(request);
        drop(copy);
        if (status == REQUEST_READY) return request->consumed == data->len;
        if (status == REQUEST_BROKEN || upto == all.len) return false;
        upto = upto + step < all.len ? upto + step : all.len;
    }
}

TEST(an_argument_may_be_put_together_elsewhere)
{
    size_t times = 0;

    for (size_t cut = 1; cut <= sizeof MOVED - 1; cut++)
        for (size_t step = 1; step <= sizeof MOVED; step++) {
            struct request request = { 0 };
            struct buf data = { 0 };
            char value[10];
            bool moved;

            CHECK(read_moved(&request, &data, value, cut, step, &moved));
            times += moved;
            if (moved) {
                CHECK(data.len == sizeof MOVED - 1 - 10);
                CHECK(request.argv[2].data == value);
            }
            /* The next request has all its arguments in its data. */
            CHECK(request_read(&request, BYTES(MOVED), &limits) == REQUEST_READY);
            check_moved(&request);
            CHECK(request.argv[2].data != value);
            CHECK(request_read(&request, (struct bytes){ MOVED, 45 }, &limits) == REQUEST_PARTIAL);
            CHECK(request_read(&request, BYTES(MOVED), &limits) == REQUEST_READY);
            check_moved(&request);
            CHECK(request.argv[2].data != value);
            request_free(&request);
            buf_free(&data);
        }
    CHECK(times > 100);
}

TEST(a_request_with_an_argument_elsewhere_may_be_read_again)
{
    struct request request = { 0 };
    struct buf data = { 0 };
    struct bytes copy;
    char value[10];
    bool moved;

    CHECK(read_moved(&request, &data, value, 30, 100, &moved));
    CHECK(moved);
    request_undo(&request);
    copy = copy_of(buf_bytes(&data));
    CHECK(request_read(&request, copy, &limits) == REQUEST_READY);
    check_moved(&request);
    CHECK(request.consumed == copy.len);
    drop(copy);
    request_free(&request);
    buf_free(&data);
}

TESTS(a_request_cut_anywhere_gives_the_same_arguments, long_arguments_and_counts_are_read_alike,
      each_wrong_request_is_told_what_redis_tells_it, who_has_not_logged_in_may_send_little,
      a_line_that_does_not_end_is_refused_at_64_kib, an_inline_line_is_split_as_a_shell_would,
      an_announcement_takes_no_memory, pieces_cost_no_more_than_the_whole, an_argument_may_be_put_together_elsewhere,
      a_request_with_an_argument_elsewhere_may_be_read_again)
