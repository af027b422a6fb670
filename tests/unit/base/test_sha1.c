/* The sums of the standard's examples, and of lengths around the end of a block. */
#include "base/sha1.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

static bool sum_is(struct bytes bytes, const char *hex)
{
    unsigned char sum[SHA1_BYTES];
    char text[2 * SHA1_BYTES + 1];

    sha1(bytes, sum);
    for (int i = 0; i < SHA1_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", sum[i]);
    return strcmp(text, hex) == 0;
}

TEST(texts_have_the_sums_that_the_standard_gives)
{
    char many_a[64 * 100];

    memset(many_a, 'a', sizeof(many_a));
    CHECK(sum_is(BYTES(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709"));
    CHECK(sum_is(BYTES("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d"));
    CHECK(sum_is(BYTES("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                 "84983e441c3bd26ebaae4aa1f95129e5e54670f1"));
    CHECK(sum_is((struct bytes){ many_a, 55 }, "c1c8bbdc22796e28c0e15163d20899b65621d65a"));
    CHECK(sum_is((struct bytes){ many_a, 56 }, "c2db330f6083854c99d4b5bfb6e8f29f201be699"));
    CHECK(sum_is((struct bytes){ many_a, 63 }, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"));
    CHECK(sum_is((struct bytes){ many_a, 64 }, "0098ba824b5c16427bd7a1122a5a442a25ec644d"));
    CHECK(sum_is((struct bytes){ many_a, 6400 }, "b6e76693138dc1e6d3a5457e88d8d07ce19d5828"));
}

TESTS(texts_have_the_sums_that_the_standard_gives)
