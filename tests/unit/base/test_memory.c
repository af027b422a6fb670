/* Buffers keep what is appended, and allocations are counted and given back. */
#include "base/alloc.h"
#include "base/buf.h"
#include "unit/unit.h"

TEST(a_buffer_keeps_what_is_appended_however_it_grows)
{
    struct buf buf = { 0 };

    CHECK(buf.data == NULL);
    for (int i = 0; i < 10000; i++) {
        buf_append_byte(&buf, (char)i);
        CHECK(buf.len <= buf.cap);
    }
    for (int i = 0; i < 10000; i++) CHECK(buf.data[i] == (char)i);
    buf_consume(&buf, 9990);
    CHECK(buf.len == 10 && buf.data[0] == (char)9990);
    buf_consume(&buf, 11);
    CHECK(buf.len == 0);
    buf_free(&buf);
    CHECK(buf.data == NULL && buf.cap == 0);
}

TEST(a_formatted_text_of_any_length_fits)
{
    struct buf buf = { 0 };
    char word[3000];

    memset(word, 'w', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    for (int len = 0; len < 200; len++) {
        buf_clear(&buf);
        buf_append_text(&buf, "head ");
        buf_printf(&buf, "%.*s|%d", len, word, len);
        CHECK(buf.len >= 7 && buf.data[5 + len] == '|');
    }
    buf_clear(&buf);
    buf_printf(&buf, "%s%s", word, word);
    CHECK(buf.len == 2 * (sizeof(word) - 1) && buf.data[buf.len - 1] == 'w');
    buf_free(&buf);
}

TEST(reserved_room_has_a_byte_to_spare)
{
    for (size_t more = 0; more < 300; more++) {
        struct buf buf = { 0 };
        char *room = buf_reserve(&buf, more);

        CHECK(room != NULL);
        room[more] = '\0';
        buf_free(&buf);
    }
}

TEST(nothing_appended_to_nothing_is_nothing)
{
    struct buf buf = { 0 };

    buf_append(&buf, NULL, 0);
    buf_append_bytes(&buf, BYTES_NONE);
    buf_append_text(&buf, "");
    buf_consume(&buf, 0);
    CHECK(buf.len == 0 && buf.data == NULL);
    buf_free(&buf);
}

TEST(live_allocations_are_counted)
{
    const size_t big = 8 << 20;
    size_t before = alloc_stats().allocated_bytes;
    char *memory = alloc_zeroed(big);

    CHECK(memory[0] == 0 && memory[big - 1] == 0);
    CHECK(alloc_size(memory) >= big);
    CHECK(alloc_stats().allocated_bytes >= before + big);
    memory = alloc_resize(memory, 2 * big);
    CHECK(alloc_stats().allocated_bytes >= before + 2 * big);
    alloc_free(memory);
    CHECK(alloc_stats().allocated_bytes < before + big);
    CHECK(alloc_stats().resident_bytes > 0);
    alloc_purge();
    alloc_free(NULL);
}

TEST(an_allocation_of_nothing_is_still_one)
{
    void *nothing = alloc(0);

    CHECK(nothing != NULL);
    nothing = alloc_resize(nothing, 0);
    CHECK(nothing != NULL);
    alloc_free(nothing);
}

TESTS(a_buffer_keeps_what_is_appended_however_it_grows, a_formatted_text_of_any_length_fits,
      reserved_room_has_a_byte_to_spare, nothing_appended_to_nothing_is_nothing, live_allocations_are_counted,
      an_allocation_of_nothing_is_still_one)
