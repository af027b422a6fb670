/* base/keyslot.c
 *
 * Eight bytes at a time. The CRC is linear: that of a block is the exclusive or of what each of its bytes gives with the
 * bytes behind it taken as zeros, so eight table lookups that do not wait for one another stand for eight that do. And as
 * it begins with zero, zeros before the key change nothing: the bytes that do not fill a block are put at the end of a
 * first one, and no key needs a loop over single bytes.
 *
 * The tables are computed by the compiler: a byte's entry is the exclusive or of its bits' entries, and those are the
 * powers of x, X(n) = x^n modulo the polynomial x^16 + x^12 + x^5 + 1. */
#include "base/keyslot.h"

#include <string.h>

#define NEXT(power) ((((power) << 1) ^ ((power)&0x8000 ? 0x1021 : 0)) & 0xffff)

enum {
    X16 = 0x1021,
    X17 = NEXT(X16),
    X18 = NEXT(X17),
    X19 = NEXT(X18),
    X20 = NEXT(X19),
    X21 = NEXT(X20),
    X22 = NEXT(X21),
    X23 = NEXT(X22),
    X24 = NEXT(X23),
    X25 = NEXT(X24),
    X26 = NEXT(X25),
    X27 = NEXT(X26),
    X28 = NEXT(X27),
    X29 = NEXT(X28),
    X30 = NEXT(X29),
    X31 = NEXT(X30),
    X32 = NEXT(X31),
    X33 = NEXT(X32),
    X34 = NEXT(X33),
    X35 = NEXT(X34),
    X36 = NEXT(X35),
    X37 = NEXT(X36),
    X38 = NEXT(X37),
    X39 = NEXT(X38),
    X40 = NEXT(X39),
    X41 = NEXT(X40),
    X42 = NEXT(X41),
    X43 = NEXT(X42),
    X44 = NEXT(X43),
    X45 = NEXT(X44),
    X46 = NEXT(X45),
    X47 = NEXT(X46),
    X48 = NEXT(X47),
    X49 = NEXT(X48),
    X50 = NEXT(X49),
    X51 = NEXT(X50),
    X52 = NEXT(X51),
    X53 = NEXT(X52),
    X54 = NEXT(X53),
    X55 = NEXT(X54),
    X56 = NEXT(X55),
    X57 = NEXT(X56),
    X58 = NEXT(X57),
    X59 = NEXT(X58),
    X60 = NEXT(X59),
    X61 = NEXT(X60),
    X62 = NEXT(X61),
    X63 = NEXT(X62),
    X64 = NEXT(X63),
    X65 = NEXT(X64),
    X66 = NEXT(X65),
    X67 = NEXT(X66),
    X68 = NEXT(X67),
    X69 = NEXT(X68),
    X70 = NEXT(X69),
    X71 = NEXT(X70),
    X72 = NEXT(X71),
    X73 = NEXT(X72),
    X74 = NEXT(X73),
    X75 = NEXT(X74),
    X76 = NEXT(X75),
    X77 = NEXT(X76),
    X78 = NEXT(X77),
    X79 = NEXT(X78),
};

/* The entry of byte v in the table whose eight bits stand for the powers a .. h. */
#define ENTRY(v, a, b, c, d, e, f, g, h)                                                                               \
    (uint16_t)(((v)&1 ? a : 0) ^ ((v)&2 ? b : 0) ^ ((v)&4 ? c : 0) ^ ((v)&8 ? d : 0) ^ ((v)&16 ? e : 0) ^              \
               ((v)&32 ? f : 0) ^ ((v)&64 ? g : 0) ^ ((v)&128 ? h : 0))
#define ENTRIES_4(v, ...)                                                                                              \
    ENTRY((v), __VA_ARGS__), ENTRY((v) + 1, __VA_ARGS__), ENTRY((v) + 2, __VA_ARGS__), ENTRY((v) + 3, __VA_ARGS__)
#define ENTRIES_16(v, ...)                                                                                             \
    ENTRIES_4((v), __VA_ARGS__), ENTRIES_4((v) + 4, __VA_ARGS__), ENTRIES_4((v) + 8, __VA_ARGS__),                     \
        ENTRIES_4((v) + 12, __VA_ARGS__)
#define ENTRIES_64(v, ...)                                                                                             \
    ENTRIES_16((v), __VA_ARGS__), ENTRIES_16((v) + 16, __VA_ARGS__), ENTRIES_16((v) + 32, __VA_ARGS__),                \
        ENTRIES_16((v) + 48, __VA_ARGS__)
#define TABLE(...)                                                                                                     \
    {                                                                                                                  \
        ENTRIES_64(0, __VA_ARGS__), ENTRIES_64(64, __VA_ARGS__), ENTRIES_64(128, __VA_ARGS__),                         \
            ENTRIES_64(192, __VA_ARGS__)                                                                               \
    }

/* crc_behind[n][v]: the CRC of byte v with n zero bytes behind it. */
static const _Alignas(64) uint16_t crc_behind[8][256] = {
    TABLE(X16, X17, X18, X19, X20, X21, X22, X23), TABLE(X24, X25, X26, X27, X28, X29, X30, X31),
    TABLE(X32, X33, X34, X35, X36, X37, X38, X39), TABLE(X40, X41, X42, X43, X44, X45, X46, X47),
    TABLE(X48, X49, X50, X51, X52, X53, X54, X55), TABLE(X56, X57, X58, X59, X60, X61, X62, X63),
    TABLE(X64, X65, X66, X67, X68, X69, X70, X71), TABLE(X72, X73, X74, X75, X76, X77, X78, X79),
};

/* The next eight bytes, the first one highest. */
static inline uint64_t load_block(const char *data)
{
    uint64_t block;

    memcpy(&block, data, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    block = __builtin_bswap64(block);
#endif
    return block;
}

static inline uint64_t load_half(const char *data)
{
    uint32_t half;

    memcpy(&half, data, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    half = __builtin_bswap32(half);
#endif
    return half;
}

/* How many bytes the first block takes, so that whole blocks remain: 1 to 8, or none of an empty key. */
static inline size_t first_bytes(size_t len)
{
    return len == 0 ? 0 : (len - 1) % 8 + 1;
}

/* The first `count` bytes, behind zeros. */
static inline uint64_t load_first(struct bytes bytes, size_t count)
{
    const unsigned char *data = (const unsigned char *)bytes.data;

    /* Of a longer key a whole block can be read, and what is too much shifted out. */
    if (bytes.len >= 8) return load_block(bytes.data) >> (64 - 8 * count);
    /* Loads that overlap agree on the bytes they share. */
    if (count >= 4) return load_half(bytes.data) << (8 * (count - 4)) | load_half(bytes.data + count - 4);
    if (count == 0) return 0;
    return (uint64_t)data[0] << (8 * (count - 1)) | (uint64_t)data[count / 2] << (8 * (count - 1 - count / 2)) |
           data[count - 1];
}

static inline uint16_t add_block(uint16_t crc, uint64_t block)
{
    block ^= (uint64_t)crc << 48;
    return crc_behind[7][block >> 56] ^ crc_behind[6][block >> 48 & 0xff] ^ crc_behind[5][block >> 40 & 0xff] ^
           crc_behind[4][block >> 32 & 0xff] ^ crc_behind[3][block >> 24 & 0xff] ^ crc_behind[2][block >> 16 & 0xff] ^
           crc_behind[1][block >> 8 & 0xff] ^ crc_behind[0][block & 0xff];
}

uint16_t crc16(struct bytes bytes)
{
    size_t at = first_bytes(bytes.len);
    uint16_t crc = add_block(0, load_first(bytes, at));

    for (; at < bytes.len; at += 8) crc = add_block(crc, load_block(bytes.data + at));
    return crc;
}

struct bytes key_hash_tag(struct bytes key)
{
    const char *open, *close;

    if (key.len == 0) return key;
    open = memchr(key.data, '{', key.len);
    if (!open) return key;
    open++;
    close = memchr(open, '}', (size_t)(key.data + key.len - open));
    if (!close || close == open) return key;
    return (struct bytes){ open, (size_t)(close - open) };
}

/* Not zero where a byte of the block is '{'. */
static inline uint64_t find_brace(uint64_t block)
{
    uint64_t same = block ^ 0x7b7b7b7b7b7b7b7bu;
    return (same - 0x0101010101010101u) & ~same & 0x8080808080808080u;
}

/* Looks for a tag in the same pass that computes the CRC; only the few keys with a brace are looked at again. */
uint16_t key_slot(struct bytes key)
{
    size_t at = first_bytes(key.len);
    uint64_t block = load_first(key, at), brace = find_brace(block);
    uint16_t crc = add_block(0, block);

    for (; at < key.len; at += 8) {
        block = load_block(key.data + at);
        brace |= find_brace(block);
        crc = add_block(crc, block);
    }
    if (__builtin_expect(brace != 0, 0)) crc = crc16(key_hash_tag(key));
    return crc & (SLOT_COUNT - 1);
}
