/* Of two items of one name the later counts, whatever the order in which they come; what is deleted is remembered for its time; sets that are the same have
 * the same digests; what is on disk is read again, or refused. */
#include "base/alloc.h"
#include "base/crc64.h"
#include "base/random.h"
#include "cluster/shared_set.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#define NOW INT64_C(1700000000000)
#define DAY_MS (INT64_C(24) * 3600 * 1000)

/* An item, or, without a text, one that is gone. */
static struct shared_item item(uint8_t kind, const char *name, const char *text, int64_t time_ms, uint64_t number)
{
    struct shared_item made = { .kind = kind,
                                .is_gone = text == NULL,
                                .name = bytes_of(name),
                                .text = text != NULL ? bytes_of(text) : BYTES_NONE,
                                .version = { .time_ms = (uint64_t)time_ms, .number = number } };

    made.version.digest = shared_digest_of(&made);
    return made;
}

static enum shared_put put_at(struct shared_set *set, const char *name, const char *text, int64_t time_ms,
                              int64_t now_ms)
{
    struct shared_item put = item(1, name, text, time_ms, 0);

    return shared_set_put(set, &put, SHARED_ITEMS_MAX, SHARED_BYTES_MAX, now_ms);
}

static enum shared_put put(struct shared_set *set, const char *name, const char *text, int64_t time_ms)
{
    return put_at(set, name, text, time_ms, NOW);
}

/* NULL: there is none; "gone": it is. */
static bool holds(const struct shared_set *set, const char *name, const char *text)
{
    const struct shared_entry *entry = shared_set_find(set, 1, bytes_of(name));
    struct shared_item here;

    if (entry == NULL) return text == NULL;
    here = shared_entry_item(entry);
    if (text == NULL || !bytes_equal(here.name, bytes_of(name))) return false;
    return here.is_gone ? strcmp(text, "gone") == 0 : bytes_equal(here.text, bytes_of(text));
}

TEST(the_later_one_of_a_name_counts_in_whatever_order_they_come)
{
    struct shared_set set = { 0 };

    CHECK(holds(&set, "a", NULL) && set.digest == 0);
    CHECK(put(&set, "a", "one", NOW) == SHARED_TAKEN && holds(&set, "a", "one"));
    CHECK(put(&set, "a", "one", NOW) == SHARED_NOT_LATER && put(&set, "a", "old", NOW - 1) == SHARED_NOT_LATER);
    CHECK(put(&set, "b", "old", NOW - 1) == SHARED_TAKEN && holds(&set, "b", "old") && holds(&set, "a", "one"));
    CHECK(put(&set, "a", "longer than before", NOW + 1) == SHARED_TAKEN && holds(&set, "a", "longer than before"));
    CHECK(put(&set, "a", NULL, NOW + 2) == SHARED_TAKEN && holds(&set, "a", "gone"));
    CHECK(put(&set, "a", "older than its end", NOW + 1) == SHARED_NOT_LATER && holds(&set, "a", "gone"));
    CHECK(put(&set, "a", "again", NOW + 3) == SHARED_TAKEN && holds(&set, "a", "again"));
    CHECK(set.count == 2 && set.gone_count == 0 && set.bytes == 2 + 5 + 3);
    shared_set_free(&set);
    CHECK(set.count == 0 && set.digest == 0);
}

TEST(one_moment_s_two_texts_have_one_winner_and_an_end_wins)
{
    static const char *const texts[] = { "one", "other", "third", NULL };
    uint64_t digest = 0;

    for (size_t first = 0; first < 4; first++) {
        struct shared_set set = { 0 };

        for (size_t i = 0; i < 4; i++) put(&set, "a", texts[(first + i) % 4], NOW);
        CHECK(holds(&set, "a", "gone"));
        if (first == 0) digest = set.digest;
        CHECK(set.digest == digest);
        shared_set_free(&set);
    }
}

TEST(kinds_have_names_of_their_own)
{
    struct shared_set set = { 0 };
    struct shared_item other = item(2, "a", "of two", NOW, 0);

    CHECK(put(&set, "a", "of one", NOW) == SHARED_TAKEN);
    CHECK(shared_set_put(&set, &other, SHARED_ITEMS_MAX, SHARED_BYTES_MAX, NOW) == SHARED_TAKEN);
    CHECK(holds(&set, "a", "of one") && set.count == 2);
    CHECK(shared_set_find(&set, 2, BYTES("a")) != NULL && shared_set_find(&set, 3, BYTES("a")) == NULL);
    CHECK(put(&set, "", "no name", NOW) == SHARED_TAKEN && holds(&set, "", "no name"));
    shared_set_free(&set);
}

TEST(versions_are_later_than_all_that_were_here)
{
    struct shared_set set = { 0 };
    struct shared_item one = item(1, "a", "x", 0, 0), far = item(1, "far", "x", NOW + DAY_MS, 7);
    struct shared_version first, next;

    first = shared_set_next_version(&set, &one, NOW);
    CHECK(first.time_ms == (uint64_t)NOW && first.number == 0 && first.digest == shared_digest_of(&one));
    one.version = first;
    CHECK(shared_set_put(&set, &one, 10, 1000, NOW) == SHARED_TAKEN);
    next = shared_set_next_version(&set, &one, NOW);
    CHECK(next.number == 1 && shared_version_compare(&next, &first) > 0);
    next = shared_set_next_version(&set, &one, NOW - DAY_MS); /* another clock */
    CHECK(shared_version_compare(&next, &first) > 0);
    CHECK(shared_set_put(&set, &far, 10, 1000, NOW) == SHARED_TAKEN);
    next = shared_set_next_version(&set, &one, NOW + 1);
    CHECK(next.time_ms == (uint64_t)(NOW + DAY_MS) && next.number == 8);
    /* Also of what is not there any more. */
    far = item(SHARED_OWN, "own", "x", NOW + 2 * DAY_MS, 0);
    CHECK(shared_set_put(&set, &far, 10, 1000, NOW) == SHARED_TAKEN);
    far = item(SHARED_OWN, "own", NULL, NOW + 3 * DAY_MS, SHARED_VERSION_MAX);
    CHECK(shared_set_put(&set, &far, 10, 1000, NOW) == SHARED_TAKEN &&
          shared_set_find(&set, SHARED_OWN, far.name) == NULL);
    next = shared_set_next_version(&set, &one, NOW);
    CHECK(next.time_ms == (uint64_t)(NOW + 3 * DAY_MS) + 1 && next.number == 0);
    CHECK(shared_set_next_version(&set, &one, -5).time_ms == next.time_ms);
    shared_set_free(&set);
}

TEST(sets_are_the_same_where_their_digests_are)
{
    struct shared_set here = { 0 }, there = { 0 };
    struct shared_item own = item(SHARED_OWN, "mine", "x", NOW, 0);
    char name[16];

    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "name %u", i);
        CHECK(put(&here, name, i % 7 == 0 ? NULL : "text", NOW + i % 3) == SHARED_TAKEN);
    }
    for (unsigned i = 2000; i-- > 0;) {
        snprintf(name, sizeof(name), "name %u", i);
        if (i % 5 == 0) CHECK(put(&there, name, "former", NOW - 1) == SHARED_TAKEN);
        CHECK(put(&there, name, i % 7 == 0 ? NULL : "text", NOW + i % 3) == SHARED_TAKEN);
    }
    CHECK(here.digest != 0 && here.digest == there.digest);
    CHECK(memcmp(here.buckets, there.buckets, sizeof(here.buckets)) == 0);
    CHECK(here.count == 2000 && here.gone_count == there.gone_count && here.bytes == there.bytes);
    for (size_t i = 1; i < here.count; i++) CHECK(here.entries[i - 1]->hash <= here.entries[i]->hash);
    /* Its own it tells nobody. */
    CHECK(shared_set_put(&here, &own, SHARED_ITEMS_MAX, SHARED_BYTES_MAX, NOW) == SHARED_TAKEN);
    CHECK(here.digest == there.digest && here.changes != there.changes);
    /* Any change of any item shows, in its bucket alone. */
    for (unsigned i = 0; i < 2000; i += 97) {
        unsigned differing = 0;

        snprintf(name, sizeof(name), "name %u", i);
        CHECK(put(&here, name, "another", NOW + 10) == SHARED_TAKEN && here.digest != there.digest);
        for (unsigned b = 0; b < SHARED_BUCKETS; b++) differing += here.buckets[b] != there.buckets[b];
        CHECK(differing == 1);
        CHECK(put(&there, name, "another", NOW + 10) == SHARED_TAKEN && here.digest == there.digest);
    }
    shared_set_free(&here);
    shared_set_free(&there);
}

TEST(what_is_deleted_is_told_for_a_day_and_remembered_for_a_week)
{
    struct shared_set set = { 0 }, other = { 0 };
    uint64_t changes;

    CHECK(put(&set, "a", "text", NOW) == SHARED_TAKEN && put(&set, "stays", "text", NOW) == SHARED_TAKEN);
    CHECK(put(&other, "stays", "text", NOW) == SHARED_TAKEN);
    CHECK(put(&set, "a", NULL, NOW + 1) == SHARED_TAKEN);
    shared_set_age(&set, NOW + DAY_MS);
    CHECK(holds(&set, "a", "gone") && set.digest != other.digest);
    shared_set_age(&set, NOW + 1 + DAY_MS);
    CHECK(holds(&set, "a", "gone") && set.digest == other.digest);
    /* Whoever has an older one is told of its end at any time, and nobody else. */
    CHECK(put_at(&other, "a", NULL, NOW + 1, NOW + 1 + DAY_MS) == SHARED_NOT_LATER && holds(&other, "a", NULL));
    CHECK(put_at(&other, "a", "text", NOW, NOW + 1 + DAY_MS) == SHARED_TAKEN && set.digest != other.digest);
    CHECK(put_at(&set, "a", "text", NOW, NOW + 1 + DAY_MS) == SHARED_NOT_LATER);
    CHECK(put_at(&other, "a", NULL, NOW + 1, NOW + 1 + DAY_MS) == SHARED_TAKEN && set.digest == other.digest);
    changes = set.changes;
    shared_set_age(&set, NOW + 7 * DAY_MS);
    CHECK(holds(&set, "a", "gone") && set.changes == changes);
    shared_set_age(&set, NOW + 1 + 7 * DAY_MS);
    CHECK(holds(&set, "a", NULL) && set.digest == other.digest && set.changes != changes && set.gone_count == 0);
    shared_set_age(&set, NOW + 70 * DAY_MS);
    CHECK(holds(&set, "stays", "text"));
    shared_set_free(&set);
    shared_set_free(&other);
}

TEST(of_deleted_ones_the_latest_are_kept)
{
    struct shared_set set = { 0 };
    char name[16];

    for (unsigned i = 0; i < SHARED_GONE_MAX + 10; i++) {
        snprintf(name, sizeof(name), "%u", i);
        CHECK(put(&set, name, NULL, NOW + i) == SHARED_TAKEN);
    }
    CHECK(set.gone_count == SHARED_GONE_MAX && set.count == SHARED_GONE_MAX);
    CHECK(holds(&set, "9", NULL) && holds(&set, "10", "gone"));
    CHECK(put(&set, "early", NULL, NOW + 9) == SHARED_NOT_LATER && holds(&set, "10", "gone"));
    CHECK(put(&set, "live", "text", NOW) == SHARED_TAKEN && put(&set, "live", NULL, NOW + 1) == SHARED_TAKEN);
    CHECK(holds(&set, "live", NULL) && holds(&set, "10", "gone") && set.gone_count == SHARED_GONE_MAX);
    shared_set_free(&set);
}

TEST(items_and_bytes_are_bounded)
{
    struct shared_set set = { 0 };
    struct shared_item a = item(1, "a", "12345", NOW, 0), b = item(1, "b", "12345", NOW, 0),
                       c = item(1, "c", "1", NOW, 0);

    CHECK(shared_set_put(&set, &a, 2, 12, NOW) == SHARED_TAKEN && shared_set_put(&set, &b, 2, 12, NOW) == SHARED_TAKEN);
    CHECK(shared_set_put(&set, &c, 2, 100, NOW) == SHARED_NO_ROOM && set.count == 2);
    CHECK(shared_set_put(&set, &c, 3, 13, NOW) == SHARED_NO_ROOM && set.bytes == 12);
    a = item(1, "a", "123456", NOW + 1, 0);
    CHECK(shared_set_put(&set, &a, 2, 12, NOW) == SHARED_NO_ROOM && holds(&set, "a", "12345"));
    a = item(1, "a", "54321", NOW + 1, 0); /* no larger: also where it is full to overflowing */
    CHECK(shared_set_put(&set, &a, 1, 5, NOW) == SHARED_TAKEN && holds(&set, "a", "54321"));
    b = item(1, "b", NULL, NOW + 1, 0);
    CHECK(shared_set_put(&set, &b, 1, 5, NOW) == SHARED_TAKEN && set.gone_count == 1);
    CHECK(shared_set_put(&set, &c, 2, 12, NOW) == SHARED_TAKEN); /* those that are gone are none of them */
    b = item(1, "b", "1", NOW + 2, 0);
    CHECK(shared_set_put(&set, &b, 2, 100, NOW) == SHARED_NO_ROOM && holds(&set, "b", "gone"));
    shared_set_free(&set);
}

TEST(what_no_item_may_be_is_told)
{
    static char bytes[SHARED_TEXT_BYTES_MAX + 1];
    struct shared_item it = item(1, "a", "b", NOW, 0);

    CHECK(shared_item_is_valid(&it));
    it.kind = 0;
    CHECK(!shared_item_is_valid(&it));
    it = item(1, "", "", NOW, 0);
    CHECK(shared_item_is_valid(&it));
    it.name = (struct bytes){ bytes, SHARED_NAME_BYTES_MAX };
    it.text = (struct bytes){ bytes, SHARED_TEXT_BYTES_MAX };
    CHECK(shared_item_is_valid(&it));
    it.name.len++;
    CHECK(!shared_item_is_valid(&it));
    it.name.len = 0;
    it.text.len++;
    CHECK(!shared_item_is_valid(&it));
    it = item(1, "a", NULL, NOW, 0);
    CHECK(shared_item_is_valid(&it));
    it.text = BYTES("x");
    CHECK(!shared_item_is_valid(&it));
    it = item(1, "a", "b", (int64_t)SHARED_VERSION_MAX, SHARED_VERSION_MAX);
    CHECK(shared_item_is_valid(&it));
    it.version.number++;
    CHECK(!shared_item_is_valid(&it));
    it = item(1, "a", "b", (int64_t)SHARED_VERSION_MAX + 1, 0);
    CHECK(!shared_item_is_valid(&it));
}

TEST(a_set_comes_back_from_its_file_as_it_was)
{
    struct shared_set set = { 0 }, again = { 0 };
    struct shared_item strange = item(200, "own", "of nobody's kind", NOW, 3), late = item(1, "x", "y", NOW + 99, 5);
    struct buf file = { 0 }, second = { 0 };
    char error[256];

    CHECK(put(&set, "user:", "ttl 1", NOW) == SHARED_TAKEN && put(&set, "", "", NOW + 1) == SHARED_TAKEN);
    CHECK(put(&set, "quoted \"\n\x01\xff", " \r\n", NOW + 2) == SHARED_TAKEN);
    CHECK(put(&set, "gone", NULL, NOW - 1) == SHARED_TAKEN && put(&set, "live", "x", NOW) == SHARED_TAKEN);
    CHECK(put(&set, "long gone", "x", NOW - 3 * DAY_MS) == SHARED_TAKEN);
    CHECK(put(&set, "long gone", NULL, NOW - 2 * DAY_MS) == SHARED_TAKEN);
    CHECK(shared_set_put(&set, &strange, SHARED_ITEMS_MAX, SHARED_BYTES_MAX, NOW) == SHARED_TAKEN);
    CHECK(shared_set_put(&set, &late, SHARED_ITEMS_MAX, SHARED_BYTES_MAX, NOW) == SHARED_TAKEN);
    shared_set_save(&set, &file);
    CHECK(shared_set_load(&again, buf_bytes(&file), NOW, error));
    shared_set_save(&again, &second);
    CHECK(bytes_equal(buf_bytes(&file), buf_bytes(&second)) && again.digest == set.digest);
    CHECK(holds(&again, "quoted \"\n\x01\xff", " \r\n") && holds(&again, "gone", "gone") && holds(&again, "", ""));
    CHECK(holds(&again, "long gone", "gone"));
    CHECK(again.latest.time_ms == (uint64_t)NOW + 99 && again.latest.number == 5);
    /* What has been gone for its time by now is left out. */
    shared_set_free(&again);
    CHECK(shared_set_load(&again, buf_bytes(&file), NOW + 5 * DAY_MS, error));
    CHECK(holds(&again, "long gone", NULL) && holds(&again, "gone", "gone") && holds(&again, "live", "x"));
    buf_free(&file);
    buf_free(&second);
    shared_set_free(&set);
    shared_set_free(&again);
}

static void sign(struct buf *text)
{
    buf_printf(text, "sum %016llx\n", (unsigned long long)crc64(0, buf_bytes(text)));
}

TEST(a_damaged_file_gives_nothing)
{
    static const char *const wrong[] = {
        "",
        "latest 1\n",
        "latest 1 x\n",
        "first 1 1\n",
        "latest 1 1\n1 1 1\n",
        "latest 1 1\n1 1 1 a b c\n",
        "latest 1 1\n0 1 1 a b\n",
        "latest 1 1\n256 1 1 a b\n",
        "latest 1 1\n1 -1 1 a b\n",
        "latest 1 1\n1 1 99999999999999999999 a b\n",
        "latest 1 1\n1 1 1152921504606846977 a b\n",
        "latest 1 1\n1 1 1 \"a b\n",
        "latest 1 1\n1 1 1 a b\n1 1 1 a b\n",
        "latest 1 1\n\n",
        "latest 1152921504606846977 1\n",
    };
    struct shared_set set = { 0 };
    struct buf text = { 0 };
    char error[256];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        buf_clear(&text);
        buf_printf(&text, "redis-shard shared set 1\n%s", wrong[i]);
        sign(&text);
        error[0] = '\0';
        CHECK(!shared_set_load(&set, buf_bytes(&text), NOW, error) && error[0] != '\0');
        CHECK(set.count == 0 && set.digest == 0);
    }
    buf_clear(&text);
    buf_append_text(&text, "redis-shard shared set 2\nlatest 1 1\n");
    sign(&text);
    CHECK(!shared_set_load(&set, buf_bytes(&text), NOW, error));
    buf_clear(&text);
    buf_append_text(&text, "redis-shard shared set 1\nlatest 1 1\n1 1 1 a b\n");
    sign(&text);
    for (size_t len = 0; len < text.len; len++)
        CHECK(!shared_set_load(&set, (struct bytes){ text.data, len }, NOW, error) && set.count == 0);
    for (size_t at = 0; at < text.len; at++) {
        text.data[at] ^= 1;
        CHECK(!shared_set_load(&set, buf_bytes(&text), NOW, error) && set.count == 0);
        text.data[at] ^= 1;
    }
    CHECK(shared_set_load(&set, buf_bytes(&text), NOW, error) && holds(&set, "a", "b"));
    buf_free(&text);
    shared_set_free(&set);
}

TESTS(the_later_one_of_a_name_counts_in_whatever_order_they_come,
      one_moment_s_two_texts_have_one_winner_and_an_end_wins, kinds_have_names_of_their_own,
      versions_are_later_than_all_that_were_here, sets_are_the_same_where_their_digests_are,
      what_is_deleted_is_told_for_a_day_and_remembered_for_a_week, of_deleted_ones_the_latest_are_kept,
      items_and_bytes_are_bounded, what_no_item_may_be_is_told, a_set_comes_back_from_its_file_as_it_was,
      a_damaged_file_gives_nothing)
