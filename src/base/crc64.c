/* base/crc64.c
 *
 * Eight bytes at a time, by as many tables of 256 words: what a byte adds to the sum depends on how many bytes come behind it, and on
 * nothing else (Kounavis and Berry, "A Systematic Approach to Building High Performance Software-based CRC Generators", 2005). The tables take
 * 16 KiB, so they are made when somebody first asks for a sum: most nodes never do. */
#include "base/crc64.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

#define REFLECTED_POLYNOMIAL 0x95ac9329ac4bc9b5u
#define STRIDE 8

static uint64_t table[STRIDE][256]; /* [n][byte]: what the byte adds with n bytes behind it; made once, then read */
static pthread_once_t table_made = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t crc = byte;

        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ REFLECTED_POLYNOMIAL : crc >> 1;
        table[0][byte] = crc;
    }
    for (unsigned n = 1; n < STRIDE; n++)
        for (unsigned byte = 0; byte < 256; byte++) {
            uint64_t before = table[n - 1][byte];

            table[n][byte] = table[0][before & 0xff] ^ before >> 8;
        }
}

uint64_t crc64(uint64_t crc, struct bytes bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    size_t left = bytes.len;

    pthread_once(&table_made, make_table);
    for (; left >= STRIDE; left -= STRIDE, at += STRIDE) {
        uint64_t word;

        memcpy(&word, at, sizeof(word));
        word = le64toh(word) ^ crc;
        crc = table[7][word & 0xff] ^ table[6][word >> 8 & 0xff] ^ table[5][word >> 16 & 0xff] ^
              table[4][word >> 24 & 0xff] ^ table[3][word >> 32 & 0xff] ^ table[2][word >> 40 & 0xff] ^
              table[1][word >> 48 & 0xff] ^ table[0][word >> 56];
    }
    for (; left > 0; left--, at++) crc = table[0][(crc ^ *at) & 0xff] ^ crc >> 8;
    return crc;
}
