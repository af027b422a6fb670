/* A buffer keeps what is appended, and a length that wraps around never gives it less room than was asked for. */
#include "base/buf.h"
#include "unit/stops.h"
#include "unit/unit.h"

#include <stdint.h>
#include <stdio.h>

TEST(what_is_appended_comes_out_in_order)
{
    struct buf buf = { 0 };

    for (unsigned i = 0; i < 1000; i++) {
        buf_append_text(&buf, "ab");
        buf_append_byte(&buf, 'c');
        buf_printf(&buf, "%03u", i);
    }
    CHECK(buf.len == 6000 && buf.cap > buf.len);
    for (unsigned i = 0; i < 1000; i++) {
        char piece[8];

        snprintf(piece, sizeof(piece), "abc%03u", i);
        CHECK(memcmp(buf.data + (size_t)i * 6, piece, 6) == 0);
    }
    buf_consume(&buf, 5997);
    CHECK(bytes_equal(buf_bytes(&buf), BYTES("999")));
    buf_free(&buf);
    CHECK(buf.data == NULL && buf.len == 0 && buf.cap == 0);
}

TEST(a_text_of_any_length_is_printed_whole)
{
    static const int lengths[] = { 0, 1, 62, 63, 64, 65, 127, 128, 5000 };

    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct buf buf = { 0 };

        buf_append_text(&buf, "<");
        buf_printf(&buf, "%*d>", lengths[i], 7);
        CHECK(buf.len == (size_t)(lengths[i] < 1 ? 1 : lengths[i]) + 2);
        CHECK(buf.data[0] == '<' && buf.data[buf.len - 2] == '7' && buf.data[buf.len - 1] == '>');
        buf_free(&buf);
    }
}

/* Volatile: the compiler sees through them otherwise, and refuses such sizes. */
static volatile size_t held, more;

static void grow(void)
{
    struct buf buf = { 0 };

    buf_append(&buf, "0123456789", 10);
    buf.len = held;
    buf_grow(&buf, more);
}

TEST(room_whose_size_wraps_around_stops_the_node)
{
    /* By the sum with what is there; by the one byte more; and one that just fits into a size, and nowhere else. */
    held = 10, more = SIZE_MAX - 5;
    CHECK(stops_saying(grow, "a buffer of 10 bytes cannot grow by", "cannot grow"));
    held = 0, more = SIZE_MAX;
    CHECK(stops_saying(grow, "a buffer of 0 bytes cannot grow by", "cannot grow"));
    held = 10, more = SIZE_MAX - 11;
    CHECK(stops_for_memory(grow));
    held = 10, more = 100;
    CHECK(!stops_for_memory(grow));
}

TESTS(what_is_appended_comes_out_in_order, a_text_of_any_length_is_printed_whole,
      room_whose_size_wraps_around_stops_the_node)
