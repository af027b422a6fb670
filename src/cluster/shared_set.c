#include "cluster/shared_set.h"

#include "base/alloc.h"
#include "base/crc64.h"
#include "base/option.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int shared_version_compare(const struct shared_version *a, const struct shared_version *b)
{
    if (a->time_ms != b->time_ms) return a->time_ms < b->time_ms ? -1 : 1;
    if (a->number != b->number) return a->number < b->number ? -1 : 1;
    if (a->digest != b->digest) return a->digest < b->digest ? -1 : 1;
    return 0;
}

/* --- Hashes and digests, the same on all machines --- */

/* Every bit depends on every other, so that differences do not cancel each other out where digests are put together. */
static uint64_t digest_of(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static uint64_t hash_of(uint8_t kind, struct bytes name)
{
    char first = (char)kind;

    return digest_of(crc64(crc64(0, (struct bytes){ &first, 1 }), name));
}

static uint64_t counted_digest(const struct shared_entry *entry)
{
    const struct shared_version *version = &entry->version;

    return digest_of(digest_of(digest_of(entry->hash ^ version->time_ms) ^ version->number) ^ version->digest);
}

uint64_t shared_digest_of(const struct shared_item *item)
{
    return item->is_gone ? UINT64_MAX : crc64(0, item->text);
}

static void count(struct shared_set *set, struct shared_entry *entry, bool counted)
{
    uint64_t digest = counted_digest(entry);

    if (entry->is_counted == counted) return;
    entry->is_counted = counted;
    set->buckets[shared_bucket(entry->hash)] ^= digest;
    set->digest ^= digest;
}

/* --- Items --- */

bool shared_item_is_valid(const struct shared_item *item)
{
    return item->kind != 0 && item->name.len <= SHARED_NAME_BYTES_MAX && item->text.len <= SHARED_TEXT_BYTES_MAX &&
           (!item->is_gone || item->text.len == 0) && item->version.time_ms <= SHARED_VERSION_MAX &&
           item->version.number <= SHARED_VERSION_MAX;
}

struct shared_item shared_entry_item(const struct shared_entry *entry)
{
    return (struct shared_item){ .kind = entry->kind,
                                 .is_gone = entry->is_gone,
                                 .name = { entry->data, entry->name_bytes },
                                 .text = { entry->data + entry->name_bytes, entry->text_bytes },
                                 .version = entry->version };
}

struct shared_version shared_set_next_version(const struct shared_set *set, const struct shared_item *item,
                                              int64_t now_ms)
{
    struct shared_version next = { .time_ms = now_ms < 0 ? 0 : (uint64_t)now_ms, .digest = shared_digest_of(item) };

    if (next.time_ms > set->latest.time_ms) return next;
    next.time_ms = set->latest.time_ms;
    next.number = set->latest.number + 1;
    if (next.number <= SHARED_VERSION_MAX) return next;
    next.time_ms++;
    next.number = 0;
    return next;
}

/* --- The order --- */

size_t shared_set_place(const struct shared_set *set, uint64_t hash)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (set->entries[middle]->hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int compare_names(const struct shared_entry *entry, uint8_t kind, struct bytes name)
{
    if (entry->kind != kind) return entry->kind < kind ? -1 : 1;
    return bytes_compare((struct bytes){ entry->data, entry->name_bytes }, name);
}

/* The entry of a name, or NULL; *at is where it is or would be. */
static struct shared_entry *look_up(const struct shared_set *set, uint64_t hash, uint8_t kind, struct bytes name,
                                    size_t *at)
{
    for (*at = shared_set_place(set, hash); *at < set->count && set->entries[*at]->hash == hash; ++*at) {
        int order = compare_names(set->entries[*at], kind, name);

        if (order == 0) return set->entries[*at];
        if (order > 0) return NULL;
    }
    return NULL;
}

const struct shared_entry *shared_set_find(const struct shared_set *set, uint8_t kind, struct bytes name)
{
    size_t at;

    return look_up(set, hash_of(kind, name), kind, name, &at);
}

static size_t size_of(const struct shared_entry *entry)
{
    return (size_t)entry->name_bytes + entry->text_bytes;
}

static void forget(struct shared_set *set, size_t at)
{
    struct shared_entry *entry = set->entries[at];

    count(set, entry, false);
    set->bytes -= size_of(entry);
    if (entry->is_gone) set->gone_count--;
    set->changes++;
    alloc_free(entry);
}

static void remove_at(struct shared_set *set, size_t at)
{
    forget(set, at);
    set->count--;
    memmove(&set->entries[at], &set->entries[at + 1], (set->count - at) * sizeof(struct shared_entry *));
}

static void make_room_at(struct shared_set *set, size_t at)
{
    if (set->count == set->cap) {
        set->cap = set->cap != 0 ? set->cap * 2 : 16;
        set->entries = alloc_resize(set->entries, set->cap * sizeof(struct shared_entry *));
    }
    memmove(&set->entries[at + 1], &set->entries[at], (set->count - at) * sizeof(struct shared_entry *));
    set->count++;
}

void shared_set_free(struct shared_set *set)
{
    for (size_t i = 0; i < set->count; i++) alloc_free(set->entries[i]);
    alloc_free(set->entries);
    *set = (struct shared_set){ 0 };
}

/* --- Those that are gone --- */

static int64_t gone_for_ms(const struct shared_version *version, int64_t now_ms)
{
    return now_ms - (int64_t)version->time_ms;
}

static size_t earliest_gone(const struct shared_set *set)
{
    size_t found = set->count;

    for (size_t i = 0; i < set->count; i++) {
        const struct shared_entry *entry = set->entries[i];

        if (!entry->is_gone) continue;
        if (found == set->count || shared_version_compare(&entry->version, &set->entries[found]->version) < 0)
            found = i;
    }
    return found;
}

/* It is told of nothing that is here. Is it worth being remembered? Not where it has been gone for `old_ms`. */
static bool is_of_use(const struct shared_set *set, const struct shared_item *item, int64_t old_ms, int64_t now_ms)
{
    if (item->kind >= SHARED_OWN || gone_for_ms(&item->version, now_ms) >= old_ms) return false;
    return set->gone_count < SHARED_GONE_MAX ||
           shared_version_compare(&item->version, &set->entries[earliest_gone(set)]->version) > 0;
}

void shared_set_age(struct shared_set *set, int64_t now_ms)
{
    if (now_ms < set->due_ms) return;
    set->due_ms = INT64_MAX;
    for (size_t left = set->count; left > 0; left--) {
        struct shared_entry *entry = set->entries[left - 1];
        int64_t gone_ms = gone_for_ms(&entry->version, now_ms), due_ms = (int64_t)entry->version.time_ms;

        if (!entry->is_gone) continue;
        if (gone_ms >= SHARED_GONE_KEPT_MS) {
            remove_at(set, left - 1);
            continue;
        }
        if (gone_ms >= SHARED_GONE_TOLD_MS) count(set, entry, false);
        due_ms += gone_ms >= SHARED_GONE_TOLD_MS ? SHARED_GONE_KEPT_MS : SHARED_GONE_TOLD_MS;
        if (due_ms < set->due_ms) set->due_ms = due_ms;
    }
}

/* --- Taking --- */

static bool has_room(const struct shared_set *set, const struct shared_item *item, const struct shared_entry *former,
                     size_t items, size_t bytes)
{
    size_t size = item->name.len + item->text.len, former_size = former == NULL ? 0 : size_of(former);
    bool is_more = former == NULL || former->is_gone;

    if (is_more && set->count - set->gone_count >= items) return false;
    return (!is_more && size <= former_size) || set->bytes - former_size + size <= bytes;
}

static void place(struct shared_set *set, const struct shared_item *item, uint64_t hash, size_t at, int64_t now_ms)
{
    struct shared_entry *entry = alloc(sizeof(*entry) + item->name.len + item->text.len); /* fits: a valid item */

    *entry = (struct shared_entry){ .hash = hash,
                                    .version = item->version,
                                    .kind = item->kind,
                                    .is_gone = item->is_gone,
                                    .name_bytes = (uint16_t)item->name.len,
                                    .text_bytes = (uint16_t)item->text.len };
    if (item->name.len > 0) memcpy(entry->data, item->name.data, item->name.len);
    if (item->text.len > 0) memcpy(entry->data + item->name.len, item->text.data, item->text.len);
    set->entries[at] = entry;
    set->bytes += size_of(entry);
    set->changes++;
    if (entry->is_gone) {
        set->gone_count++;
        set->due_ms = now_ms; /* whenever that is due: looked at once */
    }
    count(set, entry,
          entry->kind < SHARED_OWN && (!entry->is_gone || gone_for_ms(&entry->version, now_ms) < SHARED_GONE_TOLD_MS));
}

static enum shared_put put(struct shared_set *set, const struct shared_item *item, size_t items, size_t bytes,
                           int64_t old_ms, int64_t now_ms)
{
    uint64_t hash = hash_of(item->kind, item->name);
    size_t at;
    const struct shared_entry *former = look_up(set, hash, item->kind, item->name, &at);

    if (former != NULL && shared_version_compare(&item->version, &former->version) <= 0) return SHARED_NOT_LATER;
    if (item->is_gone && former == NULL && !is_of_use(set, item, old_ms, now_ms)) return SHARED_NOT_LATER;
    if (!item->is_gone && !has_room(set, item, former, items, bytes)) return SHARED_NO_ROOM;
    if (shared_version_compare(&item->version, &set->latest) > 0) set->latest = item->version;
    if (former != NULL && item->is_gone && item->kind >= SHARED_OWN) {
        remove_at(set, at);
        return SHARED_TAKEN;
    }
    if (former != NULL)
        forget(set, at);
    else
        make_room_at(set, at);
    place(set, item, hash, at, now_ms);
    if (set->gone_count > SHARED_GONE_MAX) remove_at(set, earliest_gone(set));
    return SHARED_TAKEN;
}

enum shared_put shared_set_put(struct shared_set *set, const struct shared_item *item, size_t items, size_t bytes,
                               int64_t now_ms)
{
    return put(set, item, items, bytes, SHARED_GONE_TOLD_MS, now_ms);
}

/* --- As text ---
 *
 *     redis-shard shared set 1
 *     latest 1700000000000 2                     time and number of the latest version that was ever here
 *     1 1700000000000 2 user: "ttl 3600000"      kind, time, number, name, text
 *     1 1700000000000 0 video:                   one that is gone
 *     sum 0123456789abcdef                       CRC-64 of all before this line */

#define FIRST_LINE "redis-shard shared set 1\n"
#define SUM_LINE_BYTES (sizeof("sum 0123456789abcdef\n") - 1)

void shared_set_save(const struct shared_set *set, struct buf *out)
{
    size_t from = out->len;

    buf_append_text(out, FIRST_LINE);
    buf_printf(out, "latest %" PRIu64 " %" PRIu64 "\n", set->latest.time_ms, set->latest.number);
    for (size_t i = 0; i < set->count; i++) {
        struct shared_item item = shared_entry_item(set->entries[i]);

        buf_printf(out, "%u %" PRIu64 " %" PRIu64 " ", item.kind, item.version.time_ms, item.version.number);
        words_quote(item.name, out);
        if (!item.is_gone) {
            buf_append_byte(out, ' ');
            words_quote(item.text, out);
        }
        buf_append_byte(out, '\n');
    }
    buf_printf(out, "sum %016" PRIx64 "\n", crc64(0, (struct bytes){ out->data + from, out->len - from }));
}

static bool refuse(char error[256], const char *why)
{
    snprintf(error, 256, "%s", why);
    return false;
}

/* What is between the first line and the checksum. */
static bool read_frame(struct bytes *text, char error[256])
{
    size_t head = sizeof(FIRST_LINE) - 1;
    char wanted[SUM_LINE_BYTES + 1];

    if (text->len < head + SUM_LINE_BYTES) return refuse(error, "it is cut off");
    text->len -= SUM_LINE_BYTES;
    snprintf(wanted, sizeof(wanted), "sum %016" PRIx64 "\n", crc64(0, *text));
    if (memcmp(text->data + text->len, wanted, SUM_LINE_BYTES) != 0) return refuse(error, "the checksum is wrong");
    if (memcmp(text->data, FIRST_LINE, head) != 0) return refuse(error, "it is of another version");
    text->data += head;
    text->len -= head;
    return true;
}

static bool read_latest(const struct words *words, struct shared_version *latest)
{
    return words->count == 3 && bytes_is_word(words->items[0], "latest") &&
           bytes_to_u64(words->items[1], &latest->time_ms) && bytes_to_u64(words->items[2], &latest->number) &&
           latest->time_ms <= SHARED_VERSION_MAX && latest->number <= SHARED_VERSION_MAX;
}

static bool read_item(const struct words *words, struct shared_item *item)
{
    uint64_t kind;

    if (words->count < 4 || words->count > 5) return false;
    *item = (struct shared_item){ .is_gone = words->count == 4, .name = words->items[3] };
    if (!bytes_to_u64(words->items[0], &kind) || kind >= SHARED_KINDS) return false;
    item->kind = (uint8_t)kind;
    if (!bytes_to_u64(words->items[1], &item->version.time_ms)) return false;
    if (!bytes_to_u64(words->items[2], &item->version.number)) return false;
    if (!item->is_gone) item->text = words->items[4];
    item->version.digest = shared_digest_of(item);
    return shared_item_is_valid(item);
}

static bool read_line(struct shared_set *set, struct bytes line, bool is_first, int64_t now_ms)
{
    struct shared_item item;
    struct words words;
    bool ok = words_split(line, &words);

    if (ok && is_first)
        ok = read_latest(&words, &set->latest);
    else if (ok)
        /* One that has been gone for long enough is left out, and that is no damage. */
        ok = read_item(&words, &item) && (put(set, &item, SHARED_TAKEN_ITEMS_MAX, SHARED_TAKEN_BYTES_MAX,
                                              SHARED_GONE_KEPT_MS, now_ms) == SHARED_TAKEN ||
                                          item.is_gone);
    words_free(&words);
    return ok;
}

bool shared_set_load(struct shared_set *set, struct bytes text, int64_t now_ms, char error[256])
{
    bool is_first = true;

    if (!read_frame(&text, error)) return false;
    while (text.len > 0) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data), read = end == NULL ? len : len + 1;

        if (!read_line(set, (struct bytes){ text.data, len }, is_first, now_ms)) {
            shared_set_free(set);
            return refuse(error, is_first ? "the latest version cannot be read" : "an item cannot be read");
        }
        is_first = false;
        text.data += read;
        text.len -= read;
    }
    return !is_first || refuse(error, "it is cut off");
}
