/* store/entry.h
 *
 * A key, its value, their expiry: one allocation. Only strings so far.
 *
 *     | header | expiry, when it has one | attributes, when it has any | key | value |
 *
 * An entry is changed under its slot's lock only; built before, without one.
 *
 * An entry with a value of 16 KiB or more is *big*: it may be held by others than its slot, so that a reply is written from it
 * after the lock was given back. It is freed when the last one lets go, and whoever changes it while it is held goes on with
 * a copy. */
#pragma once

#include "base/bytes.h"

struct entry;

#define ENTRY_KEEPS_FOREVER (-1) /* an expiry that never comes */

/* How OBJECT ENCODING names a value. A value is INT when its text is a canonical int64; RAW when it is longer than 44
 * bytes or has been changed in place (APPEND, SETRANGE), as Redis has it; EMBSTR otherwise. */
enum entry_encoding { ENTRY_INT, ENTRY_EMBSTR, ENTRY_RAW };

#define ENTRY_BIG_BYTES ((size_t)16 << 10)

/* What a cache knows of a value beyond its deadline. Only some have any of it: all zero is none, and takes no room. A birth
 * alone takes three bytes where there is a deadline, too; whatever else, 19. */
struct entry_attributes {
    uint64_t version;  /* ENTRY_VERSIONED and the version, of 63 bits; or 0 */
    uint32_t birth_s;  /* when the value was made: unix seconds on the internal clock; 0: nobody asked */
    uint32_t fresh_ms; /* so long after birth_s it is fresh; 0: as long as it is there */
};
#define ENTRY_VERSIONED (UINT64_C(1) << 63)

struct entry *entry_new(struct bytes key, struct bytes value, int64_t expires_at_ms);
/* Room for a value that the caller then writes through entry_value_mutable(). */
struct entry *entry_new_sized(struct bytes key, size_t value_bytes, int64_t expires_at_ms);
struct entry *entry_new_attributed(struct bytes key, struct bytes value, int64_t expires_at_ms,
                                   const struct entry_attributes *attributes);
/* Lets go of it; it is freed when nobody else holds it. Any thread may let go of what it holds. */
void entry_free(struct entry **entry);

bool entry_is_big(const struct entry *entry);
/* One more entry_free() will be needed. Under the slot's lock; only of a big entry. */
void entry_hold(const struct entry *entry);

struct bytes entry_key(const struct entry *entry);
struct bytes entry_value(const struct entry *entry);
/* Of an entry that nobody else holds: a new one, a small one, or what slot_resize_value() returned. */
char *entry_value_mutable(struct entry *entry);

/* Unix ms on the internal clock, or ENTRY_KEEPS_FOREVER. */
int64_t entry_expires_at_ms(const struct entry *entry);
bool entry_is_expired(const struct entry *entry, int64_t now_ms);

/* Gives the entry another deadline, or none; it may move. Big ones stay where they are. For one that is in a slot there is
 * slot_set_expiry(). */
struct entry *entry_set_expiry(struct entry *entry, int64_t expires_at_ms);

/* Its attributes, all of them or none. Whoever makes an entry of another's value takes those along that are to stay; nothing else does but
 * entry_set_expiry(), and what resizes the value in place. */
static inline bool entry_has_attributes(const struct entry *entry);
static inline struct entry_attributes entry_attributes(const struct entry *entry);
/* May move it; not a big one. For one that is in a slot there is slot_set_attributes(). */
struct entry *entry_set_attributes(struct entry *entry, const struct entry_attributes *attributes);
/* Both at once: a deadline and when it was born, as unix seconds on the internal clock; the other attributes stay. */
struct entry *entry_set_life(struct entry *entry, int64_t expires_at_ms, uint32_t birth_s);

enum entry_encoding entry_encoding(const struct entry *entry);
void entry_mark_raw(struct entry *entry);

/* What it takes of memory, size class included. */
size_t entry_bytes(const struct entry *entry);

/* --- Inline, as every write asks for it --- */

struct entry_attributes entry_attributes_read(const struct entry *entry);

/* May they be other than none? The first byte of an entry tells. */
static inline bool entry_has_attributes(const struct entry *entry)
{
    return (*(const uint8_t *)entry & 2) != 0;
}

/* And a version among them? A birth alone, which is what most have, is kept in another form. */
static inline bool entry_may_have_version(const struct entry *entry)
{
    return (*(const uint8_t *)entry & 3) == 3;
}

static inline struct entry_attributes entry_attributes(const struct entry *entry)
{
    return entry_has_attributes(entry) ? entry_attributes_read(entry) : (struct entry_attributes){ 0, 0, 0 };
}

/* What an entry that is made of this one's value takes along: all but the version, which is of one key and one content. NULL: none. */
static inline struct entry_attributes entry_attributes_kept(const struct entry *entry)
{
    struct entry_attributes kept = entry == NULL ? (struct entry_attributes){ 0, 0, 0 } : entry_attributes(entry);

    kept.version = 0;
    return kept;
}
