/* base/sha1.c: by the standard's description; small rather than fast. */
#include "base/sha1.h"

#include <string.h>

#define BLOCK_BYTES 64

static uint32_t rotate(uint32_t word, unsigned by)
{
    return word << by | word >> (32 - by);
}

static uint32_t read_word(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void write_word(unsigned char *at, uint32_t word)
{
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(word >> (24 - 8 * i));
}

/* What is mixed into round t, of three of the words: choice, parity, majority, parity. */
static uint32_t round_word(int t, uint32_t b, uint32_t c, uint32_t d)
{
    switch (t / 20) {
    case 0:
        return ((b & c) | (~b & d)) + 0x5a827999;
    case 1:
        return (b ^ c ^ d) + 0x6ed9eba1;
    case 2:
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    default:
        return (b ^ c ^ d) + 0xca62c1d6;
    }
}

static void add_block(uint32_t state[5], const unsigned char *block)
{
    uint32_t schedule[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

    for (int t = 0; t < 16; t++) schedule[t] = read_word(block + 4 * t);
    for (int t = 16; t < 80; t++)
        schedule[t] = rotate(schedule[t - 3] ^ schedule[t - 8] ^ schedule[t - 14] ^ schedule[t - 16], 1);
    for (int t = 0; t < 80; t++) {
        uint32_t next = rotate(a, 5) + round_word(t, b, c, d) + e + schedule[t];

        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void sha1(struct bytes bytes, unsigned char sum[SHA1_BYTES])
{
    uint32_t state[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
    size_t whole = bytes.len / BLOCK_BYTES * BLOCK_BYTES, rest = bytes.len - whole;
    size_t end_bytes = rest < BLOCK_BYTES - 8 ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    unsigned char end[2 * BLOCK_BYTES] = { 0 };
    uint64_t bits = (uint64_t)bytes.len * 8;

    for (size_t at = 0; at < whole; at += BLOCK_BYTES) add_block(state, (const unsigned char *)bytes.data + at);
    /* What is left, a one bit, zeros, and the length in bits fill the last block or two. */
    if (rest > 0) memcpy(end, bytes.data + whole, rest);
    end[rest] = 0x80;
    write_word(end + end_bytes - 8, (uint32_t)(bits >> 32));
    write_word(end + end_bytes - 4, (uint32_t)bits);
    for (size_t at = 0; at < end_bytes; at += BLOCK_BYTES) add_block(state, end + at);
    for (int i = 0; i < 5; i++) write_word(sum + 4 * i, state[i]);
}
