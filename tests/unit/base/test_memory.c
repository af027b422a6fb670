/* Buffers keep what is appended, and allocations are counted and given back. */
#include "base/alloc.h"
#include "base/buf.h"
#include "unit/unit.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

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

#ifndef SANITIZED

/* What this thread has asked the system to take, by calls that the allocator makes here rather than in the C library: what is in memory tells as much of how
 * long the thread stood still meanwhile, since other threads give pages back when they like. */
static _Thread_local size_t given_back;

int madvise(void *memory, size_t bytes, int advice)
{
    if (advice == MADV_DONTNEED || advice == MADV_FREE) given_back += bytes;
    return (int)syscall(SYS_madvise, memory, bytes, advice);
}

int munmap(void *memory, size_t bytes)
{
    given_back += bytes;
    return (int)syscall(SYS_munmap, memory, bytes);
}

/* How much of so many bytes, in allocations of `each`, whoever frees them gives back. */
static size_t given_back_by_freeing(size_t bytes, size_t each)
{
    size_t count = bytes / each, given;
    char **memory = alloc(count * sizeof(*memory));

    for (size_t i = 0; i < count; i++) {
        memory[i] = alloc(each);
        memset(memory[i], 1, each);
    }
    given_back = 0;
    for (size_t i = 0; i < count; i++) alloc_free_sized(memory[i], each);
    given = given_back;
    alloc_free(memory);
    return given;
}

static bool is_given_back(size_t resident_before)
{
    for (int tries = 0; tries < 2000; tries++) {
        if (alloc_stats().resident_bytes < resident_before + ((size_t)8 << 20)) return true;
        usleep(10000);
    }
    return false;
}

#endif

TEST(whoever_frees_much_leaves_giving_its_pages_back_to_others)
{
#ifdef SANITIZED
    skip();
#else
    size_t resident;

    alloc_join();
    CHECK(alloc_purge_in_background(true));
    resident = alloc_stats().resident_bytes;
    CHECK(given_back_by_freeing((size_t)64 << 20, (size_t)64 << 20) == 0);
    CHECK(is_given_back(resident));
    /* Stretches of free pages come to as much. */
    CHECK(given_back_by_freeing((size_t)64 << 20, (size_t)1 << 20) == 0);
    CHECK(given_back_by_freeing((size_t)64 << 20, (size_t)20 << 10) == 0);
    alloc_purge();
    CHECK(alloc_purge_in_background(false));
    /* Nobody else would do it. */
    CHECK(given_back_by_freeing((size_t)64 << 20, (size_t)64 << 20) >= (size_t)64 << 20);
#endif
}

/* Its blocks are taken from between these, and given back. */
TEST(trimming_the_last_huge_page_leaves_what_is_allocated)
{
    enum { COUNT = 200000 };
    unsigned **numbers = alloc(COUNT * sizeof *numbers);
    size_t allocated;

    alloc_join();
    for (unsigned i = 0; i < COUNT; i++) {
        numbers[i] = alloc(96);
        memset(numbers[i], (int)i, 96);
        *numbers[i] = i;
    }
    allocated = alloc_stats().allocated_bytes;
    for (int i = 0; i < 3; i++) alloc_purge();
    CHECK(alloc_stats().allocated_bytes <= allocated + 4096);
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK(*numbers[i] == i && ((unsigned char *)numbers[i])[95] == (unsigned char)i);
        alloc_free(numbers[i]);
    }
    alloc_free(numbers);
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
      whoever_frees_much_leaves_giving_its_pages_back_to_others, trimming_the_last_huge_page_leaves_what_is_allocated,
      an_allocation_of_nothing_is_still_one)
