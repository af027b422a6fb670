/* A key's slot is what every node and client of a Redis cluster computes. */
#include "base/alloc.h"
#include "base/keyslot.h"
#include "base/random.h"
#include "unit/unit.h"

#include <string.h>

/* The definition of CRC-16/XMODEM, bit by bit. */
static uint16_t crc16_by_bits(struct bytes bytes)
{
    unsigned crc = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned)(unsigned char)bytes.data[i] << 8;
        for (int bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
    }
    return (uint16_t)crc;
}

TEST(a_keys_slot_is_the_one_redis_gives_it)
{
    const struct {
        struct bytes key;
        int slot;
    } known[] = {
        { BYTES(""), 0 },         { BYTES("foo"), 12182 },          { BYTES("bar"), 5061 },
        { BYTES("hello"), 866 },  { BYTES("123456789"), 12739 },    { BYTES("{user1000}.following"), 3443 },
        { BYTES("{}foo"), 9500 }, { BYTES("foo{}{bar}"), 8363 },    { BYTES("foo{{bar}}zap"), 4015 },
        { BYTES("{foo"), 13308 }, { BYTES("foo{bar}{zap}"), 5061 }, { BYTES("foo}"), 15679 },
        { BYTES("}{a}"), 15495 }, { BYTES("{a}"), 15495 },          { BYTES("a{b"), 13340 },
        { BYTES("key{"), 2667 },  { BYTES("{{}}x"), 4092 },         { BYTES("\0\xff"), 7920 },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) CHECK(key_slot(known[i].key) == known[i].slot);
    CHECK(key_slot(BYTES_NONE) == 0);
    CHECK(crc16(BYTES("123456789")) == 0x31c3);
}

TEST(blocks_give_the_same_crc_as_single_bits)
{
    struct random random;

    random_seed(&random, 1);
    for (size_t len = 0; len < 200; len++)
        for (int round = 0; round < 20; round++) {
            /* As big as the key, so that a read beyond it is found. */
            char *key = alloc(len + 1);
            memset(key, 0, len + 1);
            for (size_t i = 0; i < len; i++) key[i] = (char)random_u64(&random);
            struct bytes exact = { key + 1, len };
            memmove(key + 1, key, len);
            CHECK(crc16(exact) == crc16_by_bits(exact));
            CHECK(key_slot(exact) == (crc16_by_bits(key_hash_tag(exact)) & 16383));
            alloc_free(key);
        }
}

TEST(a_tag_is_found_wherever_it_stands)
{
    char key[64];

    for (size_t len = 3; len <= sizeof(key); len++)
        for (size_t at = 0; at + 3 <= len; at++) {
            memset(key, 'x', sizeof(key));
            memcpy(key + at, "{a}", 3);
            CHECK(key_slot((struct bytes){ key, len }) == 15495);
        }
}

TESTS(a_keys_slot_is_the_one_redis_gives_it, blocks_give_the_same_crc_as_single_bits, a_tag_is_found_wherever_it_stands)
