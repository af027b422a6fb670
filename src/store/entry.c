/* store/entry.c
 *
 * The layout of an entry, with no padding anywhere:
 *
 *     | flags 1 | key length 1-8 | value length 1-8 | deadline 0 or 5            | key | value |
 *     | flags 1 | key length 1-8 | value length 1-8 | deadline 5 | span 3        | key | value |                         aged
 *     | flags 1 | key length 1-8 | value length 1-8 | deadline 8 | attributes 16 | key | value |
 *     | flags 1 | key length 1-8 | value length 2-8 | deadline 8 | attributes 16 | key | value | 0-3 | holders 4 |     big
 *
 * Each length takes as many bytes as it needs, which is one for nearly all keys and most values of a
 * cache, so a small entry has a header of three bytes. A deadline takes five: the milliseconds from the
 * beginning of 2020, which reach to 2054.
 *
 * Of most that have any attribute it is their birth alone, which a policy keeps. It takes three bytes: the *span*, how many seconds it lies
 * before the second of the deadline, of up to half a year.
 *
 * The few entries that have other attributes (a version, until when they are fresh), or a life that fits into none of the above (a user may ask for
 * it), take 16 bytes for them, and eight for the deadline.
 *
 * A big entry counts who holds it, in its last four bytes, where the count is aligned and small entries pay nothing for
 * it. It always has room for a deadline and for attributes, so that setting them never moves the value. What a
 * holder looks at without the slot's lock (flags, lengths, value) never changes while it holds: whoever would change it
 * makes a copy first. Deadline and attributes may, as no holder reads them.
 *
 * The allocation is never smaller than 16 bytes: the allocator then aligns it to 16, and the table
 * keeps bits of the hash in the four low bits of its pointers. */
#include "store/entry_internal.h"

#include "base/alloc.h"
#include "base/relocate.h"

#include <assert.h>
#include <endian.h>
#include <stdatomic.h>
#include <string.h>

enum {
    EXPIRY_MASK = 3,
    EXPIRY_NONE = 0,
    EXPIRY_NEAR = 1,       /* five bytes */
    EXPIRY_AGED = 2,       /* and the span to the birth */
    EXPIRY_ATTRIBUTED = 3, /* eight bytes, that of none too, and all attributes, which may be none */
    RAW = 1 << 2,
    KEY_WIDTH_SHIFT = 3, /* two bits: which of `widths` */
    VALUE_WIDTH_SHIFT = 5,
    BIG = 1 << 7,
};

#define ENTRY_BYTES_MIN 16u
#define EMBSTR_BYTES_MAX 44u                    /* what OBJECT ENCODING of Redis calls short */
#define DEADLINE_BASE_MS INT64_C(1577836800000) /* what a deadline of five bytes is counted from */
#define DEADLINE_BYTES 5u
#define NEAR_DEADLINES ((UINT64_C(1) << 40) - 1) /* so many fit into them */
#define SPAN_BYTES 3u
#define SPAN_SHIFT (8 * DEADLINE_BYTES)
#define SPANS ((INT64_C(1) << 24) - 1)
#define ATTRIBUTES_BYTES 16u

struct entry {
    uint8_t flags;
    uint8_t rest[];
};

static const uint8_t widths[4] = { 1, 2, 3, 8 };
static const uint8_t expiry_widths[4] = { 0, DEADLINE_BYTES, DEADLINE_BYTES + SPAN_BYTES, 8 + ATTRIBUTES_BYTES };
static const struct entry_attributes no_attributes = { 0, 0, 0 };
_Static_assert(DEADLINE_BYTES + SPAN_BYTES == sizeof(uint64_t), "both are read and written at once");
_Static_assert(3 + sizeof(uint64_t) <= ENTRY_BYTES_MIN, "a small deadline is read with what follows");

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

static bool is_near(int64_t expires_at_ms)
{
    return expires_at_ms >= DEADLINE_BASE_MS && (uint64_t)(expires_at_ms - DEADLINE_BASE_MS) < NEAR_DEADLINES;
}

/* From the birth to the second of a near deadline. */
static int64_t span_of(int64_t expires_at_ms, uint32_t birth_s)
{
    return expires_at_ms / 1000 - (int64_t)birth_s;
}

static void store_attributes(uint8_t *to, const struct entry_attributes *attributes)
{
    store(to, 8, attributes->version);
    store(to + 8, 4, attributes->birth_s);
    store(to + 12, 4, attributes->fresh_ms);
}

/* A near deadline in its lower five bytes, and the span, where it is kept, in the three others. */
static inline uint64_t near_bits(unsigned expiry, int64_t expires_at_ms, const struct entry_attributes *attributes)
{
    uint64_t deadline = (uint64_t)(expires_at_ms - DEADLINE_BASE_MS);

    if (expiry == EXPIRY_NEAR) return deadline;
    return deadline | (uint64_t)span_of(expires_at_ms, attributes->birth_s) << SPAN_SHIFT;
}

static inline void store_near(uint8_t *to, unsigned expiry, uint64_t bits)
{
    bits = htole64(bits);
    if (expiry == EXPIRY_NEAR)
        memcpy(to, &bits, DEADLINE_BYTES);
    else
        memcpy(to, &bits, sizeof(bits));
}

/* Both together, as where the one is depends on the other. */
static void store_life(uint8_t *to, unsigned expiry, int64_t expires_at_ms, const struct entry_attributes *attributes)
{
    switch (expiry) {
    case EXPIRY_NEAR:
    case EXPIRY_AGED:
        store_near(to, expiry, near_bits(expiry, expires_at_ms, attributes));
        return;
    case EXPIRY_ATTRIBUTED:
        store(to, 8, (uint64_t)expires_at_ms); /* that of none is -1, which is no user's */
        store_attributes(to + 8, attributes);
        return;
    default:
        return;
    }
}

static unsigned width_code(size_t length)
{
    if (length <= 0xff) return 0;
    if (length <= 0xffff) return 1;
    if (length <= 0xffffff) return 2;
    return 3;
}

static bool is_big(size_t value_bytes)
{
    return value_bytes >= ENTRY_BIG_BYTES;
}

static unsigned expiry_code(int64_t expires_at_ms, size_t value_bytes, const struct entry_attributes *attributes)
{
    int64_t span;

    if (is_big(value_bytes) || attributes->version != 0 || attributes->fresh_ms != 0) return EXPIRY_ATTRIBUTED;
    if (expires_at_ms == ENTRY_KEEPS_FOREVER) return attributes->birth_s == 0 ? EXPIRY_NONE : EXPIRY_ATTRIBUTED;
    if (!is_near(expires_at_ms)) return EXPIRY_ATTRIBUTED;
    if (attributes->birth_s == 0) return EXPIRY_NEAR;
    span = span_of(expires_at_ms, attributes->birth_s);
    return span >= 0 && span <= SPANS ? EXPIRY_AGED : EXPIRY_ATTRIBUTED;
}

static struct layout layout_for(size_t key_bytes, size_t value_bytes, unsigned expiry)
{
    unsigned key_code = width_code(key_bytes), value_code = width_code(value_bytes);
    struct layout layout = {
        .flags = (uint8_t)(expiry | key_code << KEY_WIDTH_SHIFT | value_code << VALUE_WIDTH_SHIFT |
                           (is_big(value_bytes) ? BIG | RAW : 0)),
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

/* Where the count of holders of a big entry is. */
static size_t holders_offset(const struct layout *layout)
{
    return (layout->header_bytes + layout->key_bytes + layout->value_bytes + 3) & ~(size_t)3;
}

static size_t layout_total(const struct layout *layout)
{
    size_t total;

    if (__builtin_add_overflow(layout->header_bytes + layout->key_bytes, layout->value_bytes, &total) ||
        total > SIZE_MAX - 8)
        return SIZE_MAX; /* the allocator then says that there is not so much memory */
    if (layout->flags & BIG) return holders_offset(layout) + sizeof(_Atomic uint32_t);
    return total < ENTRY_BYTES_MIN ? ENTRY_BYTES_MIN : total;
}

static _Atomic uint32_t *holders_of(const struct entry *entry, const struct layout *layout)
{
    return (_Atomic uint32_t *)((uintptr_t)entry + holders_offset(layout));
}

static void write_header(struct entry *entry, const struct layout *layout, int64_t expires_at_ms,
                         const struct entry_attributes *attributes)
{
    uint8_t *at = entry->rest;

    entry->flags = layout->flags;
    store(at, layout->key_width, layout->key_bytes);
    at += layout->key_width;
    store(at, layout->value_width, layout->value_bytes);
    at += layout->value_width;
    store_life(at, layout->flags & EXPIRY_MASK, expires_at_ms, attributes);
    if (layout->flags & BIG) atomic_init(holders_of(entry, layout), 1);
}

static struct entry *new_sized(struct bytes key, size_t value_bytes, int64_t expires_at_ms,
                               const struct entry_attributes *attributes)
{
    struct layout layout = layout_for(key.len, value_bytes, expiry_code(expires_at_ms, value_bytes, attributes));
    struct entry *entry = alloc(layout_total(&layout));

    write_header(entry, &layout, expires_at_ms, attributes);
    if (key.len != 0) memcpy((char *)entry + layout.header_bytes, key.data, key.len);
    return entry;
}

struct entry *entry_new_sized(struct bytes key, size_t value_bytes, int64_t expires_at_ms)
{
    return new_sized(key, value_bytes, expires_at_ms, &no_attributes);
}

struct entry *entry_new_attributed(struct bytes key, struct bytes value, int64_t expires_at_ms,
                                   const struct entry_attributes *attributes)
{
    struct entry *entry = new_sized(key, value.len, expires_at_ms, attributes);

    if (value.len != 0) memcpy(entry_value_mutable(entry), value.data, value.len);
    return entry;
}

struct entry *entry_new(struct bytes key, struct bytes value, int64_t expires_at_ms)
{
    return entry_new_attributed(key, value, expires_at_ms, &no_attributes);
}

bool entry_is_big(const struct entry *entry)
{
    return (entry->flags & BIG) != 0;
}

void entry_hold(const struct entry *entry)
{
    struct layout layout = layout_of(entry);

    assert(layout.flags & BIG);
    /* Four billion replies would have to wait at once; each takes more memory than the count does. */
    atomic_fetch_add_explicit(holders_of(entry, &layout), 1, memory_order_relaxed);
}

static bool is_held_by_others(const struct entry *entry)
{
    struct layout layout;

    if (!entry_is_big(entry)) return false;
    layout = layout_of(entry);
    /* Acquires what a holder that just let go did before, so that its reads come before our writes. */
    return atomic_load_explicit(holders_of(entry, &layout), memory_order_acquire) > 1;
}

void entry_free(struct entry **held)
{
    struct entry *entry = *held;
    struct layout layout;

    if (entry == NULL) return;
    *held = NULL;
    layout = layout_of(entry);
    if ((layout.flags & BIG) && atomic_fetch_sub_explicit(holders_of(entry, &layout), 1, memory_order_acq_rel) > 1)
        return;
    alloc_free_sized(entry, layout_total(&layout));
}

/* Nearly all: a key and a value of up to 255 bytes, whose lengths are the two bytes behind the flags. */
static inline bool is_small(const struct entry *entry)
{
    return (entry->flags & ~(EXPIRY_MASK | RAW)) == 0;
}

static inline const char *small_key(const struct entry *entry)
{
    return (const char *)entry + 3 + expiry_widths[entry->flags & EXPIRY_MASK];
}

struct bytes entry_key(const struct entry *entry)
{
    struct layout layout;

    if (is_small(entry)) return (struct bytes){ small_key(entry), entry->rest[0] };
    layout = layout_of(entry);
    return (struct bytes){ (const char *)entry + layout.header_bytes, layout.key_bytes };
}

struct bytes entry_value(const struct entry *entry)
{
    struct layout layout;

    if (is_small(entry)) return (struct bytes){ small_key(entry) + entry->rest[0], entry->rest[1] };
    layout = layout_of(entry);
    return (struct bytes){ (const char *)entry + layout.header_bytes + layout.key_bytes, layout.value_bytes };
}

char *entry_value_mutable(struct entry *entry)
{
    struct layout layout = layout_of(entry);

    return (char *)entry + layout.header_bytes + layout.key_bytes;
}

/* Where its deadline and its attributes are. */
static uint8_t *life_of(const struct entry *entry)
{
    return (uint8_t *)(uintptr_t)entry->rest + widths[entry->flags >> KEY_WIDTH_SHIFT & 3] +
           widths[entry->flags >> VALUE_WIDTH_SHIFT & 3];
}

int64_t entry_expires_at_ms(const struct entry *entry)
{
    unsigned expiry = entry->flags & EXPIRY_MASK;
    uint64_t deadline;

    if (expiry == EXPIRY_NONE) return ENTRY_KEEPS_FOREVER;
    if (is_small(entry) && expiry != EXPIRY_ATTRIBUTED) {
        /* Eight bytes at once, which end before the least that is allocated does. */
        memcpy(&deadline, entry->rest + 2, sizeof(deadline));
        return DEADLINE_BASE_MS + (int64_t)(le64toh(deadline) & NEAR_DEADLINES);
    }
    if (expiry == EXPIRY_ATTRIBUTED) return (int64_t)load(life_of(entry), 8);
    return DEADLINE_BASE_MS + (int64_t)load(life_of(entry), DEADLINE_BYTES);
}

bool entry_is_expired(const struct entry *entry, int64_t now_ms)
{
    int64_t expires_at_ms;

    if ((entry->flags & EXPIRY_MASK) == 0) return false;
    expires_at_ms = entry_expires_at_ms(entry);
    return expires_at_ms != ENTRY_KEEPS_FOREVER && expires_at_ms <= now_ms;
}

struct entry_attributes entry_attributes_read(const struct entry *entry)
{
    const uint8_t *at = life_of(entry);
    struct entry_attributes attributes = { 0, 0, 0 };
    uint64_t bits;

    switch (entry->flags & EXPIRY_MASK) {
    case EXPIRY_AGED:
        memcpy(&bits, at, sizeof(bits));
        bits = le64toh(bits);
        attributes.birth_s =
            (uint32_t)((DEADLINE_BASE_MS + (int64_t)(bits & NEAR_DEADLINES)) / 1000 - (int64_t)(bits >> SPAN_SHIFT));
        break;
    case EXPIRY_ATTRIBUTED:
        attributes.version = load(at + 8, 8);
        attributes.birth_s = (uint32_t)load(at + 16, 4);
        attributes.fresh_ms = (uint32_t)load(at + 20, 4);
        break;
    default:
        break;
    }
    return attributes;
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
    /* A big entry is RAW from the start, and its flags stay alone: others may be reading them. */
    if (!(entry->flags & RAW)) entry->flags = (uint8_t)(entry->flags | RAW);
}

/* Of a small one, with a life that takes so many bytes. */
static inline size_t small_total(const struct entry *entry, size_t expiry_width)
{
    size_t total = 3 + expiry_width + entry->rest[0] + entry->rest[1];

    return total < ENTRY_BYTES_MIN ? ENTRY_BYTES_MIN : total;
}

size_t entry_bytes(const struct entry *entry)
{
    struct layout layout;

    if (is_small(entry)) return alloc_class(small_total(entry, expiry_widths[entry->flags & EXPIRY_MASK]));
    layout = layout_of(entry);
    return alloc_class(layout_total(&layout));
}

static bool overwrite(struct entry *entry, struct bytes value, int64_t expires_at_ms,
                      const struct entry_attributes *attributes)
{
    struct layout from = layout_of(entry);
    struct layout to = layout_for(from.key_bytes, value.len, expiry_code(expires_at_ms, value.len, attributes));
    size_t from_total = layout_total(&from), to_total = layout_total(&to);

    if ((from.flags | to.flags) & BIG) return false;
    if (to.header_bytes != from.header_bytes || to.expiry_width != from.expiry_width) return false;
    if ((to.flags & EXPIRY_MASK) == EXPIRY_ATTRIBUTED &&
        (expires_at_ms == ENTRY_KEEPS_FOREVER) != (entry_expires_at_ms(entry) == ENTRY_KEEPS_FOREVER))
        return false;
    if (to_total != from_total && alloc_class(to_total) != alloc_class(from_total)) return false;
    write_header(entry, &to, expires_at_ms, attributes);
    if (value.len != 0) memcpy((char *)entry + to.header_bytes + to.key_bytes, value.data, value.len);
    return true;
}

/* Nearly all: a small one that stays one, with a life that is none, near or aged. The lengths of key and value have one byte each. */
static inline bool small_overwrite(struct entry *entry, struct bytes value, int64_t expires_at_ms,
                                   const struct entry_attributes *attributes)
{
    unsigned expiry = expiry_code(expires_at_ms, value.len, attributes);
    size_t width = expiry_widths[expiry], total, former;
    uint64_t bits;

    if ((entry->flags & EXPIRY_MASK) != expiry) return false;
    if (value.len != entry->rest[1]) {
        former = small_total(entry, width);
        total = 3 + width + entry->rest[0] + value.len;
        if (total < ENTRY_BYTES_MIN) total = ENTRY_BYTES_MIN;
        if (alloc_class(total) != alloc_class(former)) return false;
        entry->rest[1] = (uint8_t)value.len;
    }
    entry->flags = (uint8_t)expiry;
    if (expiry != EXPIRY_NONE) {
        bits = near_bits(expiry, expires_at_ms, attributes);
        store_near(entry->rest + 2, expiry, bits);
    }
    if (value.len != 0) memcpy((char *)entry + 3 + width + entry->rest[0], value.data, value.len);
    return true;
}

bool entry_overwrite(struct entry *entry, struct bytes value, int64_t expires_at_ms,
                     const struct entry_attributes *attributes)
{
    if (is_small(entry) && value.len <= UINT8_MAX && !entry_may_have_version(entry))
        return small_overwrite(entry, value, expires_at_ms, attributes);
    return overwrite(entry, value, expires_at_ms, attributes);
}

/* The entry goes on as a copy, of another layout. What somebody else holds stays as it is. */
static struct entry *relayout_copy(struct entry *entry, const struct layout *from, const struct layout *to, size_t kept,
                                   int64_t expires_at_ms, const struct entry_attributes *attributes)
{
    struct entry *copy = alloc(layout_total(to));

    write_header(copy, to, expires_at_ms, attributes);
    memcpy((char *)copy + to->header_bytes, (char *)entry + from->header_bytes, from->key_bytes + kept);
    entry_free(&entry);
    return copy;
}

/* The same where it is or, if it has to move, where the allocator moves it to: what is big may then grow without a copy. What follows the header
 * is moved after the allocation grew and before it shrinks, so that no byte of it is ever outside. */
static struct entry *relayout_resize(struct entry *entry, const struct layout *from, const struct layout *to,
                                     size_t kept, int64_t expires_at_ms, const struct entry_attributes *attributes)
{
    size_t from_total = layout_total(from), to_total = layout_total(to);
    bool is_same_class = alloc_class(from_total) == alloc_class(to_total);

    if (to_total > from_total && !is_same_class) entry = alloc_resize(entry, to_total);
    if (to->header_bytes != from->header_bytes)
        memmove((char *)entry + to->header_bytes, (char *)entry + from->header_bytes, from->key_bytes + kept);
    write_header(entry, to, expires_at_ms, attributes);
    if (to_total < from_total && !is_same_class) entry = alloc_resize(entry, to_total);
    return entry;
}

/* A small one that moves is copied by us: the allocator would first look up how large it is. */
static bool moves(const struct layout *from, const struct layout *to)
{
    return ((from->flags | to->flags) & BIG) == 0 && alloc_class(layout_total(from)) != alloc_class(layout_total(to));
}

/* Gives the entry another header, and the room the new layout asks for. */
static struct entry *relayout(struct entry *entry, struct layout to, int64_t expires_at_ms,
                              const struct entry_attributes *attributes)
{
    struct layout from = layout_of(entry);
    size_t kept = from.value_bytes < to.value_bytes ? from.value_bytes : to.value_bytes;

    to.flags = (uint8_t)(to.flags | (from.flags & RAW));
    if (moves(&from, &to) || is_held_by_others(entry))
        entry = relayout_copy(entry, &from, &to, kept, expires_at_ms, attributes);
    else
        entry = relayout_resize(entry, &from, &to, kept, expires_at_ms, attributes);
    memset((char *)entry + to.header_bytes + to.key_bytes + kept, 0, to.value_bytes - kept);
    return entry;
}

/* Of a few bytes. A compiler that knows that they are few copies them with an instruction that takes longer to begin (30 ns) than all of it. */
static inline void copy_short(void *to, const void *from, size_t bytes)
{
    __asm__("" : "+r"(bytes));
    memcpy(to, from, bytes);
}

/* Makes room for another life: nothing else of a small entry depends on how wide that is. */
static struct entry *small_relayout(struct entry *entry, unsigned expiry)
{
    size_t from_width = expiry_widths[entry->flags & EXPIRY_MASK], to_width = expiry_widths[expiry];
    size_t from_total = small_total(entry, from_width), to_total = small_total(entry, to_width);
    size_t kept = (size_t)entry->rest[0] + entry->rest[1]; /* key and value */
    struct entry *to = entry;

    if (from_total != to_total && alloc_class(from_total) != alloc_class(to_total)) {
        to = alloc(to_total);
        memcpy(to, entry, 3);
        copy_short((char *)to + 3 + to_width, (char *)entry + 3 + from_width, kept);
        alloc_free_sized(entry, from_total);
    } else {
        memmove((char *)to + 3 + to_width, (char *)to + 3 + from_width, kept);
    }
    to->flags = (uint8_t)((to->flags & ~(unsigned)EXPIRY_MASK) | expiry);
    return to;
}

static struct entry *set_life(struct entry *entry, int64_t expires_at_ms, const struct entry_attributes *attributes)
{
    struct layout layout;
    unsigned expiry;

    if (is_small(entry)) {
        expiry = expiry_code(expires_at_ms, entry->rest[1], attributes);
        if ((entry->flags & EXPIRY_MASK) != expiry) entry = small_relayout(entry, expiry);
        store_life(life_of(entry), expiry, expires_at_ms, attributes);
        return entry;
    }
    layout = layout_of(entry);
    expiry = expiry_code(expires_at_ms, layout.value_bytes, attributes);
    if ((layout.flags & EXPIRY_MASK) == expiry) {
        store_life(life_of(entry), expiry, expires_at_ms, attributes);
        return entry;
    }
    return relayout(entry, layout_for(layout.key_bytes, layout.value_bytes, expiry), expires_at_ms, attributes);
}

struct entry *entry_set_expiry(struct entry *entry, int64_t expires_at_ms)
{
    struct entry_attributes attributes = entry_attributes(entry);

    return set_life(entry, expires_at_ms, &attributes);
}

struct entry *entry_set_attributes(struct entry *entry, const struct entry_attributes *attributes)
{
    return set_life(entry, entry_expires_at_ms(entry), attributes);
}

struct entry *entry_set_life(struct entry *entry, int64_t expires_at_ms, uint32_t birth_s)
{
    struct entry_attributes attributes = entry_attributes(entry);

    attributes.birth_s = birth_s;
    return set_life(entry, expires_at_ms, &attributes);
}

void entry_forget_version(struct entry *entry)
{
    if ((entry->flags & EXPIRY_MASK) == EXPIRY_ATTRIBUTED) store(life_of(entry) + 8, 8, 0);
}

struct entry *entry_resize_value(struct entry *entry, size_t value_bytes)
{
    struct layout layout = layout_of(entry);
    int64_t expires_at_ms = entry_expires_at_ms(entry);
    struct entry_attributes attributes = entry_attributes(entry);

    return relayout(entry,
                    layout_for(layout.key_bytes, value_bytes, expiry_code(expires_at_ms, value_bytes, &attributes)),
                    expires_at_ms, &attributes);
}

bool entry_extend(struct entry *entry, size_t value_bytes)
{
    struct layout from = layout_of(entry);
    struct entry_attributes attributes = entry_attributes(entry);
    struct layout to =
        layout_for(from.key_bytes, value_bytes, expiry_code(entry_expires_at_ms(entry), value_bytes, &attributes));

    assert(from.flags & BIG);
    if (is_held_by_others(entry) || to.header_bytes != from.header_bytes) return false;
    return alloc_extend(entry, layout_total(&to));
}

struct entry *entry_relocate(struct entry *entry)
{
    struct layout layout = layout_of(entry);
    size_t total = layout_total(&layout);
    struct entry *moved;

    assert(!(layout.flags & BIG));
    moved = relocate_alloc(total);
    if (moved == NULL) return entry;
    memcpy(moved, entry, total);
    relocate_free(entry, total);
    return moved;
}
