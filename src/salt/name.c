#include "salt/name.h"

#include "base/keyslot.h"

#include <ctype.h>

bool salt_separator_ok(char separator)
{
    return separator > ' ' && separator < 0x7f && !isalnum((unsigned char)separator) && separator != '{' &&
           separator != '}';
}

/* Where the hashed part of a key ends. */
static size_t hashed_end(struct bytes key)
{
    struct bytes tag = key_hash_tag(key);

    return tag.data == key.data ? key.len : (size_t)(tag.data - key.data) + tag.len;
}

void salt_name(struct bytes base, char separator, unsigned id, struct buf *out)
{
    size_t at = hashed_end(base);
    char digits[I64_TEXT_BYTES];

    buf_append(out, base.data, at);
    buf_append_byte(out, separator);
    buf_append(out, digits, u64_to_text(digits, id));
    if (at < base.len) buf_append(out, base.data + at, base.len - at);
}

uint16_t salt_name_slot(struct bytes base, char separator, unsigned id)
{
    char room[SALT_NAME_BYTES_MAX], digits[I64_TEXT_BYTES];
    struct bytes hashed = key_hash_tag(base);
    size_t len = u64_to_text(digits, id);

    if (hashed.len > SALT_KEY_BYTES_MAX) return 0;
    if (hashed.len > 0) memcpy(room, hashed.data, hashed.len);
    room[hashed.len] = separator;
    memcpy(room + hashed.len + 1, digits, len);
    return (uint16_t)(crc16((struct bytes){ room, hashed.len + 1 + len }) % SLOT_COUNT);
}

bool salt_name_split(struct bytes name, struct salt_parts *parts)
{
    size_t end = hashed_end(name), begin = hashed_end(name) - key_hash_tag(name).len, at = end;
    struct bytes base = { parts->base, 0 };
    struct buf text = { 0 };
    uint64_t id = 0;
    bool same;

    if (name.len > SALT_NAME_BYTES_MAX) return false;
    while (at > begin && end - at < 5 && isdigit((unsigned char)name.data[at - 1])) at--;
    if (at == end || at == begin || !bytes_to_u64((struct bytes){ name.data + at, end - at }, &id)) return false;
    if (id < 1 || id > SALT_ID_MAX || !salt_separator_ok(name.data[at - 1])) return false;

    parts->id = (unsigned)id;
    parts->separator = name.data[at - 1];
    memcpy(parts->base, name.data, at - 1);
    memcpy(parts->base + at - 1, name.data + end, name.len - end);
    parts->base_bytes = base.len = at - 1 + name.len - end;
    if (base.len > SALT_KEY_BYTES_MAX) return false;

    /* The base may have another tag than the name: {~3}x would be a name of {}x, which has none. */
    salt_name(base, parts->separator, parts->id, &text);
    same = bytes_equal(buf_bytes(&text), name);
    buf_free(&text);
    return same;
}
