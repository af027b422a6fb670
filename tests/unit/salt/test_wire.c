/* Messages between home and helper, as bytes: each says the same on both sides, and whatever is not one is refused. */
#include "salt/wire.h"

#include "base/alloc.h"
#include "base/random.h"
#include "proto/request.h"
#include "unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define ID "0123456789abcdef0123456789abcdef01234567"

static const struct salt_message said[] = {
    { .word = SALT_HELLO, .base = { ID, 40 }, .session = UINT64_MAX },
    { .word = SALT_RENEW, .number = 7 },
    { .word = SALT_JOIN, .base = { "st\r\nar", 6 }, .join = 1, .sum = true },
    { .word = SALT_JOIN, .base = { "star", 4 }, .join = 2 },
    { .word = SALT_LEAVE, .base = { "", 0 }, .join = 3 },
    { .word = SALT_ACK, .base = { "star", 4 }, .join = 4, .seq = 5 },
    { .word = SALT_FOLD, .base = { "star", 4 }, .number = 6, .epoch = 7, .delta = INT64_MIN },
    { .word = SALT_READS, .base = { "star", 4 }, .number = 23 },
    { .word = SALT_WELCOME, .session = 8 },
    { .word = SALT_STALE, .session = 9 },
    { .word = SALT_RENEWED, .number = 10, .lease_ms = 200 },
    { .word = SALT_REFUSED, .base = { "star", 4 }, .join = 11 },
    { .word = SALT_INV, .base = { "star", 4 }, .join = 12, .seq = 13, .closed = true },
    { .word = SALT_VALUE, .base = { "star", 4 }, .join = 14, .seq = 15 },
    { .word = SALT_TOTAL, .base = { "star", 4 }, .join = 16, .seq = 17, .epoch = 18, .total = -19 },
    { .word = SALT_TOTAL, .base = { "star", 4 }, .join = 16, .seq = 17, .epoch = 18, .absent = true },
    { .word = SALT_FOLDED, .base = { "star", 4 }, .number = 20, .epoch = 21, .fold = SALT_FOLD_REFUSED, .total = 22 },
};
#define SAID (sizeof(said) / sizeof(said[0]))

static bool is_same(const struct salt_message *a, const struct salt_message *b)
{
    return a->word == b->word && a->fold == b->fold && a->sum == b->sum && a->closed == b->closed &&
           a->absent == b->absent && bytes_equal(a->base, b->base) && a->session == b->session &&
           a->number == b->number && a->join == b->join && a->seq == b->seq && a->epoch == b->epoch &&
           a->delta == b->delta && a->total == b->total && a->lease_ms == b->lease_ms;
}

/* A message as its words; those of a request without the first. They point into the buffer. */
static size_t words_of(const struct salt_message *message, struct buf *out, struct bytes words[SALT_WORDS_MAX])
{
    static const struct salt_value value = { .value = { "v\0w", 3 },
                                             .ttl_ms = 1500,
                                             .attributes = { ENTRY_VERSIONED | 3, 1700000000, 4 } };
    struct request_limits limits = { .args_max = 100, .bulk_max = 1000, .inline_max = 100 };
    struct request request = { 0 };
    bool is_request = message->word <= SALT_READS;
    size_t count;

    salt_wire_write(message, message->word == SALT_VALUE ? &value : NULL, is_request, out);
    CHECK(request_read(&request, buf_bytes(out), &limits) == REQUEST_READY && request.consumed == out->len);
    CHECK(!is_request || bytes_is_word(request.argv[0], "saltlink"));
    count = (size_t)request.argc - is_request;
    CHECK(count <= SALT_WORDS_MAX);
    memcpy(words, request.argv + is_request, count * sizeof(*words));
    request_free(&request);
    return count;
}

TEST(what_is_written_is_read_and_only_in_its_direction)
{
    for (size_t i = 0; i < SAID; i++) {
        struct buf text = { 0 };
        struct bytes words[SALT_WORDS_MAX];
        size_t count = words_of(&said[i], &text, words);
        struct salt_message message;
        struct salt_value value;

        CHECK(salt_wire_read(words, count, said[i].word <= SALT_READS, &message, &value));
        CHECK(is_same(&message, &said[i]));
        if (message.word == SALT_VALUE)
            CHECK(bytes_equal(value.value, (struct bytes){ "v\0w", 3 }) && value.ttl_ms == 1500 &&
                  value.attributes.version == (ENTRY_VERSIONED | 3) && value.attributes.birth_s == 1700000000 &&
                  value.attributes.fresh_ms == 4);
        CHECK(!salt_wire_read(words, count, said[i].word > SALT_READS, &message, &value));
        for (size_t cut = 0; cut < count; cut++)
            CHECK(!salt_wire_read(words, cut, said[i].word <= SALT_READS, &message, &value));
        if (count < SALT_WORDS_MAX) {
            words[count] = BYTES("1");
            CHECK(!salt_wire_read(words, count + 1, said[i].word <= SALT_READS, &message, &value));
        }
        buf_free(&text);
    }
}

static bool reads(bool is_request, const char *text)
{
    struct bytes words[SALT_WORDS_MAX];
    struct salt_message message;
    struct salt_value value;
    size_t count = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        words[count++] = (struct bytes){ text, len };
        text += len + (text[len] == ' ');
    }
    return salt_wire_read(words, count, is_request, &message, &value);
}

TEST(fields_that_cannot_be_are_refused)
{
    CHECK(reads(true, "hello " ID " 1") && reads(true, "HELLO " ID " 18446744073709551615"));
    CHECK(!reads(true, "hello " ID " 18446744073709551616") && !reads(true, "hello " ID " -1"));
    CHECK(!reads(true, "hello 0123 1") && !reads(true, "hello 0123456789ABCDEF0123456789abcdef01234567 1"));
    CHECK(!reads(true, "") && !reads(true, "hell " ID " 1") && !reads(true, "hello"));
    CHECK(reads(true, "join b 1 0") && !reads(true, "join b 1 2") && !reads(true, "join b 1 x") &&
          !reads(true, "join b 1 01"));
    CHECK(reads(true, "fold b 1 2 -9223372036854775808") && !reads(true, "fold b 1 2 9223372036854775808"));
    CHECK(reads(false, "renewed 1 3600000") && !reads(false, "renewed 1 3600001") && !reads(false, "renewed 1 -1"));
    CHECK(reads(false, "folded b 1 2 2 3 1") && !reads(false, "folded b 1 2 3 3 0"));
    CHECK(!reads(false, "folded b 1 2 2 3") && !reads(false, "folded b 1 2 2 3 2") && !reads(false, "total b 1 2 3 4"));
    CHECK(reads(false, "value b 1 2 v -1 0 0 0") && !reads(false, "value b 1 2 v -2 0 0 0"));
    CHECK(!reads(false, "value b 1 2 v 9223372036854775807 0 0 0") && !reads(false, "value b 1 2 v -1 1 0 0"));
    CHECK(!reads(false, "value b 1 2 v -1 0 4294967296 0") && !reads(false, "value b 1 2 v -1 0 0 4294967296"));
}

TEST(a_base_may_be_as_long_as_the_registry_lets_it_and_no_longer)
{
    char *base = alloc_zeroed(SALT_BASE_BYTES_MAX + 1);
    struct bytes words[] = { BYTES("leave"), { base, SALT_BASE_BYTES_MAX }, BYTES("1") };
    struct salt_message message;
    struct salt_value value;

    CHECK(salt_wire_read(words, 3, true, &message, &value));
    words[1].len++;
    CHECK(!salt_wire_read(words, 3, true, &message, &value));
    alloc_free(base);
}

TEST(no_words_whatever_do_harm)
{
    struct random random;
    static const char *const heads[] = { "hello", "renew",   "join",  "leave", "ack",
                                         "fold",  "welcome", "value", "total", "inv" };

    random_seed(&random, 4711);
    for (int round = 0; round < 20000; round++) {
        struct bytes words[SALT_WORDS_MAX];
        struct salt_message message;
        struct salt_value value;
        char bytes[64];
        size_t count = 1 + random_below(&random, SALT_WORDS_MAX);

        for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (char)random_below(&random, i % 2 ? 256 : 10 + '0');
        words[0] = bytes_of(heads[random_below(&random, sizeof(heads) / sizeof(heads[0]))]);
        for (size_t i = 1; i < count; i++)
            words[i] = random_below(&random, 2) ? BYTES("1") : (struct bytes){ bytes, random_below(&random, 65) };
        salt_wire_read(words, count, random_below(&random, 2) != 0, &message, &value);
    }
}

TESTS(what_is_written_is_read_and_only_in_its_direction, fields_that_cannot_be_are_refused,
      a_base_may_be_as_long_as_the_registry_lets_it_and_no_longer, no_words_whatever_do_harm)
