/* salt/name.h
 *
 * The names of a salted key: the key with `~i` at the end of the part that is hashed, so that each name is in another slot, also of a key that has
 * a tag.
 *
 *     star          star~3
 *     {user:1}:tl   {user:1~3}:tl
 *     a{}b          a{}b~3          an empty tag is none
 *
 * Pure text: whether somebody has given a key such names is the registry's to know (salt/registry.h). */
#pragma once

#include "base/buf.h"

#define SALT_ID_MAX 65535u
#define SALT_KEY_BYTES_MAX 512u
/* Of a name. */
#define SALT_NAME_BYTES_MAX (SALT_KEY_BYTES_MAX + 6u)

/* May it stand between a key and a number? What would end or begin a tag may not, and no digit, blank or letter. */
bool salt_separator_ok(char separator);

/* Appends the name of a key, of at most SALT_KEY_BYTES_MAX, with this id (1 to SALT_ID_MAX). */
void salt_name(struct bytes base, char separator, unsigned id, struct buf *out);
/* Its slot. */
uint16_t salt_name_slot(struct bytes base, char separator, unsigned id);

/* What a name says. */
struct salt_parts {
    char base[SALT_NAME_BYTES_MAX];
    size_t base_bytes;
    char separator;
    unsigned id;
};
/* False where it cannot be one: salt_name() would give no key this name. */
bool salt_name_split(struct bytes name, struct salt_parts *parts);
