/* The sums that servers of Redis 7.0 put behind their payloads, and sums taken in pieces. */
#include "base/crc64.h"
#include "unit/unit.h"

#include <string.h>

TEST(known_bytes_have_the_sums_that_are_known)
{
    char bytes[1000];

    CHECK(crc64(0, BYTES("")) == 0);
    CHECK(crc64(0, BYTES("a")) == 0x5fb354025b277b14u);
    CHECK(crc64(0, BYTES("123456789")) == 0xe9c6d914c4b8d9cau);
    CHECK(crc64(0, (struct bytes){ "\0\0\n\0", 4 }) == 0xdaa27f0f405c9b5du);
    for (int i = 0; i < 256; i++) bytes[i] = (char)i;
    CHECK(crc64(0, (struct bytes){ bytes, 256 }) == 0x88bfa574e806500eu);
    memset(bytes, 'z', sizeof(bytes));
    CHECK(crc64(0, (struct bytes){ bytes, sizeof(bytes) }) == 0x82d3aad59374146au);
}

TEST(a_sum_does_not_depend_on_how_the_bytes_are_cut)
{
    char bytes[100];
    uint64_t whole;

    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (char)(i * 31 + 7);
    whole = crc64(0, (struct bytes){ bytes, sizeof(bytes) });
    for (size_t cut = 0; cut <= sizeof(bytes); cut++)
        CHECK(crc64(crc64(0, (struct bytes){ bytes, cut }), (struct bytes){ bytes + cut, sizeof(bytes) - cut }) ==
              whole);
}

TESTS(known_bytes_have_the_sums_that_are_known, a_sum_does_not_depend_on_how_the_bytes_are_cut)
