/* An entry gives back what was put in, whatever the lengths, and takes little more. */
#include "base/alloc.h"
#include "store/entry_internal.h"
#include "unit/stops.h"
#include "unit/unit.h"

#include <string.h>

static const size_t lengths[] = { 0, 1, 2, 16, 44, 45, 127, 128, 255, 256, 257, 16383, 16384, 65535, 65536, 70000 };
#define LENGTHS (sizeof lengths / sizeof *lengths)

static const int64_t deadlines[] = {
    ENTRY_KEEPS_FOREVER,
    0,
    1,
    1754000000000,
    1577836799999,
    1577836800000,
    1577836800000 + ((int64_t)1 << 40) - 2,
    1577836800000 + ((int64_t)1 << 40) - 1,
    1577836800000 + ((int64_t)1 << 40),
    INT64_MAX,
    -5,
    INT64_MIN,
};
#define DEADLINES (sizeof deadlines / sizeof *deadlines)

static char key_text[70000], value_text[70000];

static void fill(void)
{
    for (size_t i = 0; i < sizeof key_text; i++) {
        key_text[i] = (char)(i * 7);
        value_text[i] = (char)(i * 13 + 1);
    }
}

static void check(const struct entry *entry, size_t key_bytes, size_t value_bytes, int64_t deadline)
{
    CHECK(bytes_equal(entry_key(entry), (struct bytes){ key_text, key_bytes }));
    CHECK(bytes_equal(entry_value(entry), (struct bytes){ value_text, value_bytes }));
    CHECK(entry_expires_at_ms(entry) == deadline);
}

TEST(an_entry_gives_back_key_value_and_deadline)
{
    fill();
    for (size_t k = 0; k < LENGTHS; k++)
        for (size_t v = 0; v < LENGTHS; v++)
            for (size_t d = 0; d < DEADLINES; d++) {
                struct entry *entry = entry_new((struct bytes){ key_text, lengths[k] },
                                                (struct bytes){ value_text, lengths[v] }, deadlines[d]);
                check(entry, lengths[k], lengths[v], deadlines[d]);
                CHECK(((uintptr_t)entry & 15) == 0);
                entry_free(&entry);
                CHECK(entry == NULL);
            }
}

TEST(a_deadline_may_be_set_moved_and_cleared)
{
    fill();
    for (size_t v = 0; v < LENGTHS; v++) {
        struct entry *entry =
            entry_new((struct bytes){ key_text, 16 }, (struct bytes){ value_text, lengths[v] }, ENTRY_KEEPS_FOREVER);

        for (size_t from = 0; from < DEADLINES; from++)
            for (size_t to = 0; to < DEADLINES; to++) {
                entry = entry_set_expiry(entry, deadlines[from]);
                check(entry, 16, lengths[v], deadlines[from]);
                entry = entry_set_expiry(entry, deadlines[to]);
                check(entry, 16, lengths[v], deadlines[to]);
            }
        entry_free(&entry);
    }
}

TEST(a_value_resized_keeps_what_fits_and_is_zero_beyond)
{
    fill();
    for (size_t d = 0; d < DEADLINES; d++)
        for (size_t from = 0; from < LENGTHS; from++)
            for (size_t to = 0; to < LENGTHS; to++) {
                struct entry *entry = entry_new((struct bytes){ key_text, 16 },
                                                (struct bytes){ value_text, lengths[from] }, deadlines[d]);
                size_t kept = lengths[from] < lengths[to] ? lengths[from] : lengths[to];
                struct bytes value;

                entry_mark_raw(entry);
                entry = entry_resize_value(entry, lengths[to]);
                value = entry_value(entry);
                CHECK(value.len == lengths[to]);
                CHECK(kept == 0 || memcmp(value.data, value_text, kept) == 0);
                for (size_t i = kept; i < value.len; i++) CHECK(value.data[i] == 0);
                CHECK(bytes_equal(entry_key(entry), (struct bytes){ key_text, 16 }));
                CHECK(entry_expires_at_ms(entry) == deadlines[d]);
                CHECK(entry_encoding(entry) == ENTRY_RAW);
                entry_free(&entry);
            }
}

static enum entry_encoding encoding_of(const char *text)
{
    struct entry *entry = entry_new(BYTES("k"), bytes_of(text), ENTRY_KEEPS_FOREVER);
    enum entry_encoding encoding = entry_encoding(entry);

    entry_free(&entry);
    return encoding;
}

TEST(the_encoding_follows_from_the_text_and_the_raw_mark)
{
    struct entry *entry = entry_new(BYTES("k"), BYTES("12"), ENTRY_KEEPS_FOREVER);

    CHECK(encoding_of("0") == ENTRY_INT);
    CHECK(encoding_of("-1") == ENTRY_INT);
    CHECK(encoding_of("9223372036854775807") == ENTRY_INT);
    CHECK(encoding_of("-9223372036854775808") == ENTRY_INT);
    CHECK(encoding_of("9223372036854775808") == ENTRY_EMBSTR);
    CHECK(encoding_of("007") == ENTRY_EMBSTR);
    CHECK(encoding_of("") == ENTRY_EMBSTR);
    CHECK(encoding_of("12345678901234567890123456789012345678901234") == ENTRY_EMBSTR);
    CHECK(encoding_of("123456789012345678901234567890123456789012345") == ENTRY_RAW);
    entry_mark_raw(entry);
    CHECK(entry_encoding(entry) == ENTRY_RAW);
    CHECK(bytes_equal(entry_value(entry), BYTES("12")));
    entry_free(&entry);
}

TEST(a_deadline_is_the_first_moment_without_the_entry)
{
    struct entry *entry = entry_new(BYTES("k"), BYTES("v"), 1000);
    struct entry *forever = entry_new(BYTES("k"), BYTES("v"), ENTRY_KEEPS_FOREVER);

    CHECK(!entry_is_expired(entry, 999));
    CHECK(entry_is_expired(entry, 1000));
    CHECK(!entry_is_expired(forever, INT64_MAX));
    entry_free(&entry);
    entry_free(&forever);
}

TEST(a_small_entry_has_a_header_of_three_bytes_and_eight_with_a_deadline)
{
    struct entry *entry =
        entry_new((struct bytes){ key_text, 16 }, (struct bytes){ value_text, 200 }, ENTRY_KEEPS_FOREVER);
    struct entry *expiring =
        entry_new((struct bytes){ key_text, 16 }, (struct bytes){ value_text, 200 }, 1754000000000);

    CHECK(entry_key(entry).data - (const char *)entry == 3);
    CHECK(entry_key(expiring).data - (const char *)expiring == 8);
    CHECK(entry_bytes(entry) >= 219 && entry_bytes(entry) <= 256);
    entry_free(&entry);
    entry_free(&expiring);
}

static struct entry *big_entry(size_t value_bytes)
{
    fill();
    return entry_new((struct bytes){ key_text, 16 }, (struct bytes){ value_text, value_bytes }, ENTRY_KEEPS_FOREVER);
}

TEST(an_entry_is_big_from_16_KiB_on)
{
    struct entry *small = big_entry(ENTRY_BIG_BYTES - 1), *big = big_entry(ENTRY_BIG_BYTES);

    CHECK(!entry_is_big(small));
    CHECK(entry_is_big(big));
    small = entry_resize_value(small, ENTRY_BIG_BYTES);
    big = entry_resize_value(big, ENTRY_BIG_BYTES - 1);
    CHECK(entry_is_big(small));
    CHECK(!entry_is_big(big));
    CHECK(entry_encoding(big) == ENTRY_RAW);
    entry_free(&small);
    entry_free(&big);
}

TEST(a_held_entry_lives_until_the_last_holder_lets_go)
{
    /* Larger than what a thread's cache of the allocator keeps. */
    struct entry *entry = big_entry(70000), *first = entry, *second = entry;
    size_t before = alloc_stats().allocated_bytes;

    entry_hold(entry);
    entry_hold(entry);
    entry_free(&entry);
    entry_free(&first);
    check(second, 16, 70000, ENTRY_KEEPS_FOREVER);
    entry_free(&second);
    CHECK(alloc_stats().allocated_bytes < before);
}

TEST(a_held_value_stays_as_it_is_while_the_entry_is_changed)
{
    static const size_t to[] = { 0, 100, 16383, 16384, 20000, 20001, 70000 };

    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        struct entry *entry = big_entry(20000), *held = entry;

        entry_hold(entry);
        entry = entry_resize_value(entry, to[i]);
        CHECK(entry != held);
        memset(entry_value_mutable(entry), 'x', to[i]);
        entry_mark_raw(entry);
        check(held, 16, 20000, ENTRY_KEEPS_FOREVER);
        CHECK(bytes_equal(entry_key(entry), entry_key(held)));
        entry_free(&held);
        CHECK(entry_value(entry).len == to[i]);
        entry_free(&entry);
    }
}

TEST(an_entry_that_nobody_else_holds_is_changed_where_it_is)
{
    struct entry *entry = big_entry(20000), *held = entry, *same;

    entry_hold(entry);
    entry_free(&held);
    same = entry_resize_value(entry, 20000);
    CHECK(same == entry);
    entry_free(&same);
}

TEST(a_deadline_never_moves_a_big_value)
{
    struct entry *entry = big_entry(20000), *held = entry;

    entry_hold(entry);
    CHECK(entry_set_expiry(entry, 1754000000000) == held);
    check(entry, 16, 20000, 1754000000000);
    CHECK(!entry_is_expired(entry, 1753999999999));
    CHECK(entry_is_expired(entry, 1754000000000));
    CHECK(entry_set_expiry(entry, ENTRY_KEEPS_FOREVER) == held);
    CHECK(!entry_is_expired(entry, INT64_MAX));
    CHECK(entry_set_expiry(entry, INT64_MAX) == held);
    check(entry, 16, 20000, INT64_MAX);
    entry_free(&entry);
    entry_free(&held);
}

static bool is_same(struct entry_attributes a, struct entry_attributes b)
{
    return a.version == b.version && a.birth_s == b.birth_s && a.fresh_ms == b.fresh_ms;
}

TEST(attributes_come_and_go_and_leave_the_rest_alone)
{
    static const struct entry_attributes kinds[] = {
        { 0, 0, 0 },
        { ENTRY_VERSIONED, 0, 0 },
        { UINT64_MAX, UINT32_MAX, UINT32_MAX },
        { 0, 0, 1 },
        { ENTRY_VERSIONED | 5, 1, 2 },
        /* A birth alone: at the second of a deadline, after it, and as far before it as fits into three bytes, or not. */
        { 0, 1754000000, 0 },
        { 0, 1754000001, 0 },
        { 0, 1754000000 - ((1 << 24) - 1), 0 },
        { 0, 1754000000 - (1 << 24), 0 },
        { 0, 1, 0 },
        { 0, UINT32_MAX, 0 },
    };
    enum { KINDS = sizeof kinds / sizeof *kinds };
    static const size_t values[] = { 0, 5, 255, 256, 16383, 16384, 70000 };

    fill();
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
        for (size_t d = 0; d < DEADLINES; d++)
            for (size_t a = 0; a < KINDS; a++)
                for (size_t b = 0; b < KINDS; b++) {
                    struct bytes key = { key_text, 16 };
                    struct entry *entry =
                        entry_new_attributed(key, (struct bytes){ value_text, values[v] }, deadlines[d], &kinds[a]);
                    struct entry *plain = entry_new(key, (struct bytes){ value_text, values[v] }, deadlines[d]);

                    check(entry, 16, values[v], deadlines[d]);
                    CHECK(is_same(entry_attributes(entry), kinds[a]));
                    if (a == 0) CHECK(entry_bytes(entry) == entry_bytes(plain));
                    entry = entry_set_attributes(entry, &kinds[b]);
                    check(entry, 16, values[v], deadlines[d]);
                    CHECK(is_same(entry_attributes(entry), kinds[b]));
                    entry = entry_set_expiry(entry, deadlines[(d + 3) % DEADLINES]);
                    check(entry, 16, values[v], deadlines[(d + 3) % DEADLINES]);
                    CHECK(is_same(entry_attributes(entry), kinds[b]));
                    entry = entry_set_life(entry, deadlines[(d + 5) % DEADLINES], kinds[a].birth_s);
                    CHECK(entry_attributes(entry).birth_s == kinds[a].birth_s);
                    entry = entry_set_life(entry, deadlines[(d + 3) % DEADLINES], kinds[b].birth_s);
                    check(entry, 16, values[v], deadlines[(d + 3) % DEADLINES]);
                    CHECK(is_same(entry_attributes(entry), kinds[b]));
                    entry = entry_resize_value(entry, values[v] / 2);
                    entry = entry_resize_value(entry, 40000);
                    entry = entry_resize_value(entry, values[v] / 2);
                    check(entry, 16, values[v] / 2, deadlines[(d + 3) % DEADLINES]);
                    CHECK(is_same(entry_attributes(entry), kinds[b]));
                    entry = entry_set_attributes(entry, &kinds[0]);
                    CHECK(is_same(entry_attributes(entry), kinds[0]));
                    check(entry, 16, values[v] / 2, deadlines[(d + 3) % DEADLINES]);
                    entry_free(&entry);
                    entry_free(&plain);
                }
}

TEST(attributes_never_move_a_big_value_and_are_written_over_by_others_only)
{
    struct entry_attributes some = { ENTRY_VERSIONED | 7, 3, 4 }, none = { 0, 0, 0 }, others = { 0, 9, 0 };
    struct entry *entry = big_entry(20000), *held = entry, *small;

    entry_hold(entry);
    CHECK(entry_set_attributes(entry, &some) == held);
    CHECK(is_same(entry_attributes(held), some));
    entry_free(&held);
    entry_free(&entry);
    /* What has none takes less room. */
    small = entry_new_attributed(BYTES("k"), BYTES("v"), 1754000000000, &some);
    CHECK(!entry_overwrite(small, BYTES("w"), 1754000000000, &none));
    CHECK(!entry_overwrite(small, BYTES("w"), ENTRY_KEEPS_FOREVER, &others)); /* whoever counts deadlines has to know */
    CHECK(entry_overwrite(small, BYTES("w"), INT64_MAX, &others));
    CHECK(is_same(entry_attributes(small), others) && entry_expires_at_ms(small) == INT64_MAX);
    CHECK(entry_overwrite(small, BYTES("x"), INT64_MAX, &none)); /* so late a deadline takes their room anyway */
    CHECK(is_same(entry_attributes(small), none) && entry_expires_at_ms(small) == INT64_MAX);
    entry_free(&small);
}

/* Volatile: the compiler sees through it otherwise, and refuses such sizes. */
static volatile size_t impossible;

static void make_impossible(void)
{
    entry_new_sized(BYTES("k"), impossible, ENTRY_KEEPS_FOREVER);
}

static void resize_to_impossible(void)
{
    entry_resize_value(big_entry(20000), impossible);
}

TEST(a_value_whose_size_wraps_around_with_its_header_is_no_small_one)
{
    /* Header and key take 35 bytes, the count of holders up to seven. */
    for (size_t below = 0; below < 64; below++) {
        impossible = SIZE_MAX - below;
        CHECK(stops_for_memory(make_impossible));
    }
    impossible = SIZE_MAX - 40;
    CHECK(stops_for_memory(resize_to_impossible));
    impossible = 100;
    CHECK(!stops_for_memory(make_impossible));
}

/* So is the next value of a key under max-ttl, of another birth, written over the former. */
TEST(a_birth_takes_three_bytes_and_is_written_over)
{
    struct entry_attributes born = { 0, 1753999000, 0 }, later = { 0, 1753999009, 0 }, none = { 0, 0, 0 };
    struct entry *entry, *kept;

    for (size_t value = 0; value < 200; value++) {
        struct entry *aged = entry_new_attributed(BYTES("some key"), (struct bytes){ value_text, value },
                                                  INT64_C(1754000000123), &born),
                     *plain = entry_new(BYTES("some key"), (struct bytes){ value_text, value + 3 }, 1754000000123);

        CHECK(entry_bytes(aged) == entry_bytes(plain));
        entry_free(&aged);
        entry_free(&plain);
    }
    kept = entry = entry_new_attributed(BYTES("some key"), BYTES("a value"), 1754000000123, &born);
    CHECK(entry_has_attributes(entry) && is_same(entry_attributes(entry), born));
    CHECK(entry_overwrite(entry, BYTES("another"), 1754000009999, &later));
    CHECK(is_same(entry_attributes(entry), later) && entry_expires_at_ms(entry) == 1754000009999);
    CHECK(bytes_equal(entry_value(entry), BYTES("another")));
    CHECK(!entry_overwrite(entry, BYTES("another"), 1754000009999, &none));
    CHECK(entry_set_expiry(entry, 1754000001000) == kept);
    CHECK(is_same(entry_attributes(kept), later) && entry_expires_at_ms(kept) == 1754000001000);
    entry_forget_version(kept); /* it has none, and keeps the rest */
    CHECK(is_same(entry_attributes(kept), later));
    entry_free(&kept);
}

static bool is_as_large(const struct entry *a, const struct entry *b)
{
    /* The first byte says how wide everything is, and 4 of it that a value was changed in place. */
    return (*(const uint8_t *)a & ~4) == (*(const uint8_t *)b & ~4) && entry_bytes(a) == entry_bytes(b);
}

TEST(what_is_written_over_an_entry_is_all_of_another_or_nothing)
{
    static const size_t keys[] = { 0, 1, 16, 255, 256 },
                        values[] = { 0, 1, 2, 3, 9, 10, 11, 240, 255, 256, 257, 16384 };
    static const int64_t lives[] = { ENTRY_KEEPS_FOREVER, 1754000000000, 1754000003999, 1754000600000, 5, INT64_MAX };
    static const struct entry_attributes kinds[] = {
        { 0, 0, 0 }, { 0, 1754000000, 0 }, { 0, 1753990000, 0 }, { 0, 9, 0 }, { ENTRY_VERSIONED | 5, 1754000000, 2 },
    };
    enum { KEYS = 5, VALUES = 12, LIVES = 6, KINDS = 5, FORMS = VALUES * LIVES * KINDS };
    unsigned done = 0, refused = 0;

    fill();
    for (unsigned k = 0; k < KEYS; k++)
        for (unsigned from = 0; from < FORMS; from++)
            for (unsigned to = from % 7; to < FORMS; to += 7) {
                struct bytes key = { key_text, keys[k] };
                struct bytes before = { value_text, values[from % VALUES] },
                             after = { value_text + 1, values[to % VALUES] };
                int64_t from_life = lives[from / VALUES % LIVES], to_life = lives[to / VALUES % LIVES];
                const struct entry_attributes *from_kind = &kinds[from / VALUES / LIVES],
                                              *to_kind = &kinds[to / VALUES / LIVES];
                struct entry *entry = entry_new_attributed(key, before, from_life, from_kind);
                struct entry *other = entry_new_attributed(key, after, to_life, to_kind);
                bool fits = is_as_large(entry, other) && !entry_is_big(other) &&
                            (from_life == ENTRY_KEEPS_FOREVER) == (to_life == ENTRY_KEEPS_FOREVER);

                if (to % 2 == 0) entry_mark_raw(entry);
                CHECK(entry_overwrite(entry, after, to_life, to_kind) == fits);
                CHECK(bytes_equal(entry_key(entry), key));
                CHECK(bytes_equal(entry_value(entry), fits ? after : before));
                CHECK(entry_expires_at_ms(entry) == (fits ? to_life : from_life));
                CHECK(is_same(entry_attributes(entry), fits ? *to_kind : *from_kind));
                if (fits) CHECK(entry_encoding(entry) == entry_encoding(other));
                done += fits;
                refused += !fits;
                entry_free(&entry);
                entry_free(&other);
            }
    CHECK(done > 500 && refused > 5000); /* under the sanitizers a class is one size */
}

TESTS(an_entry_gives_back_key_value_and_deadline, a_deadline_may_be_set_moved_and_cleared,
      a_value_resized_keeps_what_fits_and_is_zero_beyond, the_encoding_follows_from_the_text_and_the_raw_mark,
      a_deadline_is_the_first_moment_without_the_entry,
      a_small_entry_has_a_header_of_three_bytes_and_eight_with_a_deadline, an_entry_is_big_from_16_KiB_on,
      a_held_entry_lives_until_the_last_holder_lets_go, a_held_value_stays_as_it_is_while_the_entry_is_changed,
      an_entry_that_nobody_else_holds_is_changed_where_it_is, a_deadline_never_moves_a_big_value,
      attributes_come_and_go_and_leave_the_rest_alone, what_is_written_over_an_entry_is_all_of_another_or_nothing,
      a_birth_takes_three_bytes_and_is_written_over,
      attributes_never_move_a_big_value_and_are_written_over_by_others_only,
      a_value_whose_size_wraps_around_with_its_header_is_no_small_one)
