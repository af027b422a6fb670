/* store/entry.c
 *
 * The layout of an entry, with no padding anywhere:
 *
 *     | flags 1 | key length 1-8 | value length 1-8 | deadline 0, 6 or 8 | key | value |
 *
 * Each length takes as many bytes as it needs, which is one for nearly all keys and most values of a
 * cache, so a small entry has a header of three bytes. A deadline takes six: 2^48 ms reach to the year
 * 10889; a deadline beyond that (a user may ask for it) takes eight.
 *
 * The allocation is never smaller than 16 bytes: the allocator then aligns it to 16, and the table
 * keeps bits of the hash in the four low bits of its pointers. */
#include "store/entry_internal.h"

#include "base/alloc.h"

#include <assert.h>
#include <string.h>

enum {
    EXPIRY_MASK = 3, /* 0 none, 1 six bytes, 2 eight bytes */
    RAW = 1 << 2,
    KEY_WIDTH_SHIFT = 3, /* two bits: which of `widths` */
    VALUE_WIDTH_SHIFT = 5,
};

#define ENTRY_BYTES_MIN 16u
#define EMBSTR_BYTES_MAX 44u /* what OBJECT ENCODING of Redis calls short */

struct entry {
    uint8_t flags;
    uint8_t rest[];
};

static const uint8_t widths[4] = { 1, 2, 3, 8 };
static const uint8_t expiry_widths[4] = { 0, 6, 8, 0 };

struct layout {
    uint8_t flags;
    size_t key_width, value_width, expiry_width;
    size_t key_bytes, value_bytes;
    size_t header_bytes; /* all that comes before the key */
};

static uint64_t load(const uint8_t *from, size_t width)
{
    uint64_t number = 0;

    if (width == 1) return *from;
    for (size_t i = 0; i < width; i++) number |= (uint64_t)from[i] << (8 * i);
    return number;
}

static void store(uint8_t *to, size_t width, uint64_t number)
{
    for (size_t i = 0; i < width; i++) to[i] = (uint8_t)(number >> (8 * i));
}

static unsigned width_code(size_t length)
{
    if (length <= 0xff) return 0;
    if (length <= 0xffff) return 1;
    if (length <= 0xffffff) return 2;
    return 3;
}

static unsigned expiry_code(int64_t expires_at_ms)
{
    if (expires_at_ms == ENTRY_KEEPS_FOREVER) return 0;
    return expires_at_ms >= 0 && expires_at_ms < (int64_t)1 << 48 ? 1 : 2;
}

static struct layout layout_for(size_t key_bytes, size_t value_bytes, unsigned expiry)
{
    unsigned key_code = width_code(key_bytes), value_code = width_code(value_bytes);
    struct layout layout = {
        .flags = (uint8_t)(expiry | key_code << KEY_WIDTH_SHIFT | value_code << VALUE_WIDTH_SHIFT),
        .key_width = widths[key_code],
        .value_width = widths[value_code],
        .expiry_width = expiry_widths[expiry],
        .key_bytes = key_bytes,
        .value_bytes = value_bytes,
    };

    layout.header_bytes = 1 + layout.key_width + layout.value_width + layout.expiry_width;
    return layout;
}

static struct layout layout_of(const struct entry *entry)
{
    struct layout layout = {
        .flags = entry->flags,
        .key_width = widths[entry->flags >> KEY_WIDTH_SHIFT & 3],
        .value_width = widths[entry->flags >> VALUE_WIDTH_SHIFT & 3],
        .expiry_width = expiry_widths[entry->flags & EXPIRY_MASK],
    };

    layout.key_bytes = (size_t)load(entry->rest, layout.key_width);
    layout.value_bytes = (size_t)load(entry->rest + layout.key_width, layout.value_width);
    layout.header_bytes = 1 + layout.key_width + layout.value_width + layout.expiry_width;
    return layout;
}

static size_t layout_total(const struct layout *layout)
{
    size_t total;

    if (__builtin_add_overflow(layout->header_bytes + layout->key_bytes, layout->value_bytes, &total))
        total = SIZE_MAX; /* the allocator then says that there is not so much memory */
    return total < ENTRY_BYTES_MIN ? ENTRY_BYTES_MIN : total;
}

static void write_header(struct entry *entry, const struct layout *layout, int64_t expires_at_ms)
{
    uint8_t *at = entry->rest;

    entry->flags = layout->flags;
    store(at, layout->key_width, layout->key_bytes);
    at += layout->key_width;
    store(at, layout->value_width, layout->value_bytes);
    at += layout->value_width;
    store(at, layout->expiry_width, (uint64_t)expires_at_ms);
}

struct entry *entry_new_sized(struct bytes key, size_t value_bytes, int64_t expires_at_ms)
{
    struct layout layout = layout_for(key.len, value_bytes, expiry_code(expires_at_ms));
    struct entry *entry = alloc(layout_total(&layout));

    write_header(entry, &layout, expires_at_ms);
    if (key.len != 0) memcpy((char *)entry + layout.header_bytes, key.data, key.len);
    return entry;
}

struct entry *entry_new(struct bytes key, struct bytes value, int64_t expires_at_ms)
{
    struct entry *entry = entry_new_sized(key, value.len, expires_at_ms);

    if (value.len != 0) memcpy(entry_value_mutable(entry), value.data, value.len);
    return entry;
}

void entry_free(struct entry **entry)
{
    alloc_free(*entry);
    *entry = NULL;
}

struct bytes entry_key(const struct entry *entry)
{
    struct layout layout = layout_of(entry);

    return (struct bytes){ (const char *)entry + layout.header_bytes, layout.key_bytes };
}

struct bytes entry_value(const struct entry *entry)
{
    struct layout layout = layout_of(entry);

    return (struct bytes){ (const char *)entry + layout.header_bytes + layout.key_bytes, layout.value_bytes };
}

char *entry_value_mutable(struct entry *entry)
{
    struct layout layout = layout_of(entry);

    return (char *)entry + layout.header_bytes + layout.key_bytes;
}

int64_t entry_expires_at_ms(const struct entry *entry)
{
    size_t expiry_width = expiry_widths[entry->flags & EXPIRY_MASK];

    if (expiry_width == 0) return ENTRY_KEEPS_FOREVER;
    return (int64_t)load(entry->rest + widths[entry->flags >> KEY_WIDTH_SHIFT & 3] +
                             widths[entry->flags >> VALUE_WIDTH_SHIFT & 3],
                         expiry_width);
}

bool entry_is_expired(const struct entry *entry, int64_t now_ms)
{
    return (entry->flags & EXPIRY_MASK) != 0 && entry_expires_at_ms(entry) <= now_ms;
}

enum entry_encoding entry_encoding(const struct entry *entry)
{
    struct bytes value = entry_value(entry);
    int64_t number;

    if (entry->flags & RAW || value.len > EMBSTR_BYTES_MAX) return ENTRY_RAW;
    return bytes_to_i64(value, &number) ? ENTRY_INT : ENTRY_EMBSTR;
}

void entry_mark_raw(struct entry *entry)
{
    entry->flags = (uint8_t)(entry->flags | RAW);
}

size_t entry_bytes(const struct entry *entry)
{
    return alloc_size(entry);
}

/* Gives the entry another header, and the room the new layout asks for. What follows the header is moved after the
 * allocation grew and before it shrinks, so that no byte of it is ever outside. */
static struct entry *relayout(struct entry *entry, struct layout to, int64_t expires_at_ms)
{
    struct layout from = layout_of(entry);
    size_t from_total = layout_total(&from), to_total = layout_total(&to);
    size_t kept = from.value_bytes < to.value_bytes ? from.value_bytes : to.value_bytes;

    to.flags = (uint8_t)(to.flags | (from.flags & RAW));
    if (to_total > from_total) entry = alloc_resize(entry, to_total);
    if (to.header_bytes != from.header_bytes)
        memmove((char *)entry + to.header_bytes, (char *)entry + from.header_bytes, from.key_bytes + kept);
    write_header(entry, &to, expires_at_ms);
    memset((char *)entry + to.header_bytes + to.key_bytes + kept, 0, to.value_bytes - kept);
    if (to_total < from_total) entry = alloc_resize(entry, to_total);
    return entry;
}

struct entry *entry_set_expiry(struct entry *entry, int64_t expires_at_ms)
{
    struct layout layout = layout_of(entry);

    return relayout(entry, layout_for(layout.key_bytes, layout.value_bytes, expiry_code(expires_at_ms)), expires_at_ms);
}

struct entry *entry_resize_value(struct entry *entry, size_t value_bytes)
{
    struct layout layout = layout_of(entry);

    return relayout(entry, layout_for(layout.key_bytes, value_bytes, layout.flags & EXPIRY_MASK),
                    entry_expires_at_ms(entry));
}
