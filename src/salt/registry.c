#include "salt/registry.h"

#include "base/alloc.h"
#include "base/option.h"

#include <inttypes.h>
#include <stdio.h>

struct salt_registry {
    struct salt_entry *entries[SALT_ENTRIES_MAX]; /* by key */
    size_t count;
};

static void entry_free(struct salt_entry *entry)
{
    alloc_free((void *)(uintptr_t)entry->base.data);
    buf_free(&entry->text);
    alloc_free(entry);
}

struct salt_registry *salt_registry_new(void)
{
    return alloc_zeroed(sizeof(struct salt_registry));
}

void salt_registry_free(struct salt_registry **freed, void (*forget)(void *context, struct salt_entry *entry),
                        void *context)
{
    struct salt_registry *registry = *freed;

    *freed = NULL;
    if (registry == NULL) return;
    for (size_t i = 0; i < registry->count; i++) {
        if (forget != NULL) forget(context, registry->entries[i]);
        entry_free(registry->entries[i]);
    }
    alloc_free(registry);
}

size_t salt_registry_count(const struct salt_registry *registry)
{
    return registry->count;
}

struct salt_entry *salt_registry_at(const struct salt_registry *registry, size_t n)
{
    return n < registry->count ? registry->entries[n] : NULL;
}

/* Where an entry of this key is, or belongs. */
static size_t place_of(const struct salt_registry *registry, struct bytes base)
{
    size_t low = 0, high = registry->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (bytes_compare(registry->entries[middle]->base, base) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct salt_entry *salt_registry_find(const struct salt_registry *registry, struct bytes base)
{
    size_t at = place_of(registry, base);

    if (at == registry->count || !bytes_equal(registry->entries[at]->base, base)) return NULL;
    return registry->entries[at];
}

static bool lists(const struct salt_entry *entry, unsigned id)
{
    for (unsigned i = 0; i < entry->count; i++)
        if (entry->ids[i] == id) return true;
    return false;
}

bool salt_entry_leads(const struct salt_entry *entry, unsigned id)
{
    for (unsigned i = 0; i < entry->retired_count; i++)
        if (entry->retired[i].id == id) return true;
    return lists(entry, id);
}

struct salt_entry *salt_registry_find_name(const struct salt_registry *registry, struct bytes name)
{
    struct salt_parts parts;
    struct salt_entry *entry;

    if (registry->count == 0 || !salt_name_split(name, &parts)) return NULL;
    entry = salt_registry_find(registry, (struct bytes){ parts.base, parts.base_bytes });
    if (entry == NULL || entry->separator != parts.separator) return NULL;
    return salt_entry_leads(entry, parts.id) ? entry : NULL;
}

/* --- As text --- */

static const char *mode_text(const struct salt_entry *entry)
{
    if (entry->mode == SALT_MODE_SUM) return "sum";
    return entry->spread ? "spread" : "names";
}

static void write_text(struct salt_entry *entry)
{
    struct buf *text = &entry->text;

    buf_clear(text);
    buf_printf(text, "%s %" PRIu64 " ", mode_text(entry), entry->epoch);
    words_quote((struct bytes){ &entry->separator, 1 }, text);
    buf_printf(text, " %d %" PRId64, entry->automatic, entry->kept_until_ms);
    for (unsigned i = 0; i < entry->count; i++) buf_printf(text, " %u", entry->ids[i]);
    for (unsigned i = 0; i < entry->retired_count; i++)
        buf_printf(text, " %u@%" PRId64, entry->retired[i].id, entry->retired[i].until_ms);
}
_Static_assert(sizeof("spread 18446744073709551615 \"\\xff\" 0 9223372036854775807") +
                       (SALT_NAMES_MAX - 1) * sizeof(" 65535") +
                       SALT_RETIRED_MAX * sizeof(" 65535@9223372036854775807") <=
                   SALT_TEXT_BYTES_MAX,
               "what is written can be read");

/* "7" or "7@1795329480123". */
static bool read_id(struct salt_entry *entry, struct bytes word)
{
    const char *at = memchr(word.data, '@', word.len);
    struct bytes number = { word.data, at == NULL ? word.len : (size_t)(at - word.data) };
    uint64_t id;
    int64_t until_ms;

    if (!bytes_to_u64(number, &id) || id < 1 || id > SALT_ID_MAX || salt_entry_leads(entry, (unsigned)id)) return false;
    if (at == NULL) {
        if (entry->count == SALT_NAMES_MAX - 1) return false;
        entry->ids[entry->count++] = (uint16_t)id;
        return true;
    }
    if (entry->retired_count == SALT_RETIRED_MAX) return false;
    if (!bytes_to_i64((struct bytes){ at + 1, word.len - number.len - 1 }, &until_ms) || until_ms < 0) return false;
    entry->retired[entry->retired_count++] = (struct salt_retired){ (uint16_t)id, until_ms };
    return true;
}

static bool read_text(const struct words *words, struct salt_entry *entry)
{
    const struct bytes *word = words->items;
    int64_t automatic;

    if (words->count < 5) return false;
    *entry = (struct salt_entry){ 0 };
    if (bytes_equal(word[0], BYTES("sum")))
        entry->mode = SALT_MODE_SUM;
    else if (bytes_equal(word[0], BYTES("spread")))
        entry->spread = true;
    else if (!bytes_equal(word[0], BYTES("names")))
        return false;
    if (!bytes_to_u64(word[1], &entry->epoch) || entry->epoch == 0 || entry->epoch > INT64_MAX) return false;
    if (word[2].len != 1 || !salt_separator_ok(word[2].data[0])) return false;
    entry->separator = word[2].data[0];
    if (!bytes_to_i64(word[3], &automatic) || automatic < 0 || automatic > 1) return false;
    entry->automatic = automatic == 1;
    if (!bytes_to_i64(word[4], &entry->kept_until_ms) || entry->kept_until_ms < 0) return false;
    for (size_t i = 5; i < words->count; i++)
        if (!read_id(entry, word[i])) return false;
    return true;
}

/* --- Changing --- */

static struct salt_entry *add(struct salt_registry *registry, struct bytes base)
{
    size_t at = place_of(registry, base);
    struct salt_entry *entry = alloc_zeroed(sizeof(*entry));
    char *key = alloc(base.len + 1);

    if (base.len > 0) memcpy(key, base.data, base.len);
    entry->base = (struct bytes){ key, base.len };
    memmove(&registry->entries[at + 1], &registry->entries[at], (registry->count - at) * sizeof(*registry->entries));
    registry->entries[at] = entry;
    registry->count++;
    return entry;
}

static void retire(struct salt_entry *entry, unsigned id, int64_t until_ms)
{
    entry->retired[entry->retired_count++] = (struct salt_retired){ (uint16_t)id, until_ms };
}

/* What was retired and is a name again, or is over, is retired no more. */
static void drop_retired(struct salt_entry *entry, const struct salt_change *change)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < entry->retired_count; i++) {
        struct salt_retired retired = entry->retired[i];
        bool is_listed = false;

        for (unsigned k = 0; k < change->count; k++) is_listed |= change->ids[k] == retired.id;
        if (!change->drops_retired && !is_listed && retired.until_ms > change->now_ms) entry->retired[kept++] = retired;
    }
    entry->retired_count = kept;
}

/* Those that it has and will not have. */
static unsigned leaving(const struct salt_entry *entry, const struct salt_change *change, uint16_t *ids)
{
    unsigned count = 0;

    for (unsigned i = 0; i < entry->count; i++) {
        bool stays = false;

        for (unsigned k = 0; k < change->count; k++) stays |= change->ids[k] == entry->ids[i];
        if (!stays) ids[count++] = entry->ids[i];
    }
    return count;
}

struct salt_entry *salt_registry_change(struct salt_registry *registry, struct bytes base,
                                        const struct salt_change *change, char error[SALT_ERROR_BYTES])
{
    struct salt_entry *entry = salt_registry_find(registry, base);
    uint16_t gone[SALT_NAMES_MAX - 1];
    unsigned gone_count;
    uint64_t epoch = change->now_ms > 0 ? (uint64_t)change->now_ms : 1;

    if (base.len > SALT_KEY_BYTES_MAX) {
        snprintf(error, SALT_ERROR_BYTES, "ERR A key of more than %u bytes cannot be salted", SALT_KEY_BYTES_MAX);
        return NULL;
    }
    if (entry == NULL && registry->count == SALT_ENTRIES_MAX) {
        snprintf(error, SALT_ERROR_BYTES, "ERR %u keys are salted already, and no more can be", SALT_ENTRIES_MAX);
        return NULL;
    }
    if (entry == NULL) {
        entry = add(registry, base);
        entry->separator = change->separator;
    }
    drop_retired(entry, change);
    gone_count = leaving(entry, change, gone);
    if (change->grace_ms > 0 && entry->retired_count + gone_count > SALT_RETIRED_MAX) {
        snprintf(error, SALT_ERROR_BYTES,
                 "ERR So many names of this key were given up lately that no more can be before salt-grace is over");
        return NULL;
    }
    for (unsigned i = 0; i < gone_count && change->grace_ms > 0; i++)
        retire(entry, gone[i], change->now_ms + change->grace_ms);
    entry->epoch = entry->epoch >= epoch ? entry->epoch + 1 : epoch;
    entry->mode = change->mode;
    entry->automatic = change->automatic;
    entry->spread = change->spread && change->mode == SALT_MODE_NAMES && change->count > 0;
    entry->count = change->count;
    if (change->count > 0) memcpy(entry->ids, change->ids, change->count * sizeof(*entry->ids));
    entry->kept_until_ms = change->count > 0 ? 0 : change->now_ms + SALT_FORGET_MS;
    write_text(entry);
    return entry;
}

static bool is_over(const struct salt_entry *entry, int64_t now_ms)
{
    return entry->count == 0 && entry->retired_count == 0 && entry->kept_until_ms <= now_ms;
}

static bool drop_over(struct salt_entry *entry, int64_t now_ms)
{
    unsigned kept = 0;
    bool dropped;

    for (unsigned i = 0; i < entry->retired_count; i++)
        if (entry->retired[i].until_ms > now_ms) entry->retired[kept++] = entry->retired[i];
    dropped = kept < entry->retired_count;
    entry->retired_count = kept;
    return dropped;
}

/* Puts what was read in the place of what was there. */
static void take_over(struct salt_entry *entry, const struct salt_entry *read, struct bytes text)
{
    struct salt_entry former = *entry;

    *entry = *read;
    entry->base = former.base;
    entry->text = former.text;
    entry->marks = former.marks;
    buf_clear(&entry->text);
    buf_append_bytes(&entry->text, text);
}

static enum salt_taken take(struct salt_registry *registry, struct bytes base, struct salt_entry *read,
                            struct bytes text, int64_t now_ms, struct salt_entry **taken)
{
    struct salt_entry *entry = salt_registry_find(registry, base);

    if (entry != NULL && bytes_equal(buf_bytes(&entry->text), text)) return SALT_NOTHING;
    drop_over(read, now_ms);
    if (entry == NULL && is_over(read, now_ms)) return SALT_NOTHING;
    if (entry == NULL) {
        if (registry->count == SALT_ENTRIES_MAX) return SALT_FULL;
        entry = add(registry, base);
    }
    take_over(entry, read, text);
    *taken = entry;
    return SALT_TAKEN;
}

enum salt_taken salt_registry_take(struct salt_registry *registry, struct bytes base, struct bytes text, int64_t now_ms,
                                   struct salt_entry **entry, char error[SALT_ERROR_BYTES])
{
    struct salt_entry *read;
    struct words words;
    enum salt_taken taken = SALT_DAMAGED;

    if (base.len > SALT_KEY_BYTES_MAX || text.len > SALT_TEXT_BYTES_MAX) {
        snprintf(error, SALT_ERROR_BYTES, "it is too long");
        return SALT_DAMAGED;
    }
    read = alloc(sizeof(*read));
    if (words_split(text, &words) && read_text(&words, read))
        taken = take(registry, base, read, text, now_ms, entry);
    else
        snprintf(error, SALT_ERROR_BYTES, "it cannot be read");
    words_free(&words);
    alloc_free(read);
    return taken;
}

static void remove_at(struct salt_registry *registry, size_t at)
{
    entry_free(registry->entries[at]);
    registry->count--;
    memmove(&registry->entries[at], &registry->entries[at + 1], (registry->count - at) * sizeof(*registry->entries));
}

void salt_registry_forget(struct salt_registry *registry, struct bytes base,
                          void (*forgotten)(void *context, struct salt_entry *entry), void *context)
{
    struct salt_entry *entry = salt_registry_find(registry, base);

    if (entry == NULL) return;
    forgotten(context, entry);
    remove_at(registry, place_of(registry, base));
}

bool salt_registry_expire(struct salt_registry *registry, int64_t now_ms,
                          void (*changed)(void *context, struct salt_entry *entry),
                          void (*forgotten)(void *context, struct salt_entry *entry), void *context)
{
    bool any = false;

    for (size_t i = 0; i < registry->count;) {
        struct salt_entry *entry = registry->entries[i];
        bool dropped = drop_over(entry, now_ms);

        any |= dropped;
        if (is_over(entry, now_ms)) {
            any = true;
            forgotten(context, entry);
            remove_at(registry, i);
            continue;
        }
        if (dropped) changed(context, entry);
        i++;
    }
    return any;
}
