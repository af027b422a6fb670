/* cache/policy.c
 *
 * A change makes a whole table anew: there are a thousand policies at most, and they change when an operator says so. */
#include "cache/policy.h"

#include "base/alloc.h"
#include "base/crc64.h"
#include "base/lock.h"
#include "base/option.h"
#include "cache/policy_table.h"
#include "store/keyspace.h"

#include <stdio.h>
#include <string.h>

/* A table that somebody may still be reading. */
struct replaced {
    struct replaced *next;
    struct policy_table *table;
    uint64_t free_at; /* what policies_walked() has to say */
};

struct policies {
    struct policies_head head; /* the table is replaced under lock */
    _Atomic uint64_t walked;   /* written by who walks */
    _Atomic uint64_t due;      /* what `walked` is to reach; written under lock */
    _Atomic bool *armed;       /* NULL: nobody asked; set before the first policy */

    struct lock lock; /* guards the rest */
    struct policy_version version;
    struct replaced *replaced; /* the newest first */
    size_t replaced_count;
};
_Static_assert(offsetof(struct policies, head) == 0, "policies_find() reads it there");

/* --- Words --- */

#define SECONDS_MAX INT64_C(3153600000) /* a hundred years */

static const struct {
    const char *name, *what;
    int64_t min, max; /* as users say it */
} fields[POLICY_FIELD_COUNT] = {
    [POLICY_FIELD_TTL] = { "ttl", "seconds from 0 to 3153600000", 0, SECONDS_MAX },
    [POLICY_FIELD_MAX_TTL] = { "max-ttl", "seconds from 0 to 3153600000", 0, SECONDS_MAX },
    [POLICY_FIELD_JITTER] = { "jitter", "a percentage from 0 to 99", 0, 99 },
    [POLICY_FIELD_REFRESH] = { "refresh", "a percentage from 0 to 99", 0, 99 },
    [POLICY_FIELD_GUARD] = { "guard", "yes or no", 0, 1 },
    [POLICY_FIELD_COALESCE] = { "coalesce", "milliseconds from 0 to 60000", 0, 60000 },
    [POLICY_FIELD_HOLD] = { "hold", "milliseconds from 0 to 3600000", 0, 3600000 },
    [POLICY_FIELD_SALT] = { "salt", "a factor from 1 to 256", 1, 256 },
};

static bool is_seconds(enum policy_field field)
{
    return field == POLICY_FIELD_TTL || field == POLICY_FIELD_MAX_TTL;
}

bool policy_field_is_yes_no(enum policy_field field)
{
    return field == POLICY_FIELD_GUARD;
}

bool policy_field_of(struct bytes name, enum policy_field *field)
{
    for (unsigned i = 0; i < POLICY_FIELD_COUNT; i++)
        if (bytes_is_word(name, fields[i].name)) {
            *field = (enum policy_field)i;
            return true;
        }
    return false;
}

const char *policy_field_name(enum policy_field field)
{
    return fields[field].name;
}

int64_t policy_value_max(enum policy_field field)
{
    return is_seconds(field) ? fields[field].max * 1000 : fields[field].max;
}

int64_t policy_value_shown(enum policy_field field, int64_t value)
{
    return is_seconds(field) ? value / 1000 + (value % 1000 > 0) : value;
}

bool policy_value_of(enum policy_field field, struct bytes word, int64_t *value, char error[POLICY_ERROR_BYTES])
{
    int64_t number;

    if (policy_field_is_yes_no(field) && (bytes_is_word(word, "yes") || bytes_is_word(word, "no"))) {
        *value = bytes_is_word(word, "yes");
        return true;
    }
    if (!policy_field_is_yes_no(field) && bytes_to_i64(word, &number) && number >= fields[field].min &&
        number <= fields[field].max) {
        *value = is_seconds(field) ? number * 1000 : number;
        return true;
    }
    snprintf(error, POLICY_ERROR_BYTES, "%s must be %s", fields[field].name, fields[field].what);
    return false;
}

/* --- The present table --- */

/* Takes out what was replaced so long ago that it may be freed when `walked` slots were gone through. */
static struct replaced *take_replaced(struct policies *policies, uint64_t walked)
{
    struct replaced **at = &policies->replaced, *taken;

    lock_take(&policies->lock);
    while (*at != NULL && (*at)->free_at > walked) at = &(*at)->next;
    taken = *at;
    *at = NULL;
    for (const struct replaced *each = taken; each != NULL; each = each->next) policies->replaced_count--;
    lock_release(&policies->lock);
    return taken;
}

static void free_replaced(struct replaced *taken)
{
    while (taken != NULL) {
        struct replaced *next = taken->next;

        policy_table_free(&taken->table);
        alloc_free(taken);
        taken = next;
    }
}

struct policies *policies_new(void)
{
    struct policies *policies = alloc_zeroed(sizeof(*policies));

    atomic_init(&policies->walked, SLOT_COUNT);
    return policies;
}

void policies_arm(struct policies *policies, _Atomic bool *armed)
{
    policies->armed = armed;
}

static struct policy_table *present(const struct policies *policies)
{
    return (struct policy_table *)(uintptr_t)atomic_load_explicit(&policies->head.table, memory_order_relaxed);
}

void policies_free(struct policies **freed)
{
    struct policies *policies = *freed;
    struct policy_table *table;

    if (policies == NULL) return;
    *freed = NULL;
    free_replaced(take_replaced(policies, UINT64_MAX));
    table = present(policies);
    policy_table_free(&table);
    alloc_free(policies);
}

int policy_version_compare(const struct policy_version *a, const struct policy_version *b)
{
    if (a->epoch != b->epoch) return a->epoch < b->epoch ? -1 : 1;
    if (a->number != b->number) return a->number < b->number ? -1 : 1;
    if (a->digest != b->digest) return a->digest < b->digest ? -1 : 1;
    return 0;
}

static uint64_t digest_of(const struct policy_table *table)
{
    struct buf text = { 0 };
    uint64_t digest;

    policy_table_write(table, &text);
    digest = crc64(0, buf_bytes(&text));
    buf_free(&text);
    return digest;
}

/* The slots that are to be gone through from now on: all but the one that is under way. */
static uint64_t end_of_walk(const struct policies *policies)
{
    return atomic_load_explicit(&policies->walked, memory_order_seq_cst) + 1 + SLOT_COUNT;
}

/* Under lock. Takes the table; one without policies is none. */
static void put(struct policies *policies, struct policy_table *table, uint64_t epoch, uint64_t number)
{
    struct policy_table *former = present(policies);

    policies->version = (struct policy_version){ .epoch = epoch, .number = number, .digest = digest_of(table) };
    if (policy_table_count(table) == 0) policy_table_free(&table);
    atomic_store_explicit(&policies->head.table, table, memory_order_seq_cst);
    if (policies->armed != NULL) atomic_store_explicit(policies->armed, table != NULL, memory_order_seq_cst);
    atomic_store_explicit(&policies->due, end_of_walk(policies), memory_order_release);
    if (former != NULL) {
        struct replaced *replaced = alloc(sizeof(*replaced));

        *replaced = (struct replaced){ .next = policies->replaced, .table = former, .free_at = end_of_walk(policies) };
        policies->replaced = replaced;
        policies->replaced_count++;
    }
}

/* --- Changing --- */

/* Under lock. The present policies with `edited` at its place, or without the one at `gone`. */
static void change(struct policies *policies, const struct policy *edited, size_t gone, uint64_t epoch)
{
    struct policy_table *table = present(policies);
    size_t count = policy_table_count(table), made = 0;
    struct policy *all = alloc((count + 1) * sizeof(*all));
    bool is_placed = edited == NULL;

    for (size_t i = 0; i < count; i++) {
        const struct policy *policy = policy_table_at(table, i);
        int order = edited == NULL || is_placed ? 1 : bytes_compare(edited->prefix, policy->prefix);

        if (!is_placed && order <= 0) {
            all[made++] = *edited;
            is_placed = true;
        }
        if (i != gone && order != 0) all[made++] = *policy;
    }
    if (!is_placed) all[made++] = *edited;
    if (epoch < policies->version.epoch) epoch = policies->version.epoch;
    put(policies, policy_table_new(all, made), epoch, policies->version.number + 1);
    alloc_free(all);
}

static bool apply(struct policy *policy, const struct policy_setting *settings, size_t count)
{
    bool changed = false;

    for (size_t i = 0; i < count; i++) {
        enum policy_field field = settings[i].field;

        if (policy_sets(policy, field) && policy->values[field] == settings[i].value) continue;
        policy->set |= 1u << field;
        policy->values[field] = settings[i].value;
        changed = true;
    }
    return changed;
}

bool policies_set(struct policies *policies, struct bytes prefix, const struct policy_setting *settings, size_t count,
                  uint64_t epoch, char error[POLICY_ERROR_BYTES])
{
    struct policy edited = { .prefix = prefix };
    const struct policy_table *table;
    size_t place;
    bool ok = true;

    if (prefix.len > POLICY_PREFIX_BYTES_MAX) {
        snprintf(error, POLICY_ERROR_BYTES, "ERR The prefix is longer than %u bytes", POLICY_PREFIX_BYTES_MAX);
        return false;
    }
    lock_take(&policies->lock);
    table = present(policies);
    place = policy_table_place(table, prefix);
    if (place < policy_table_count(table)) {
        edited = *policy_table_at(table, place);
    } else if (place == POLICIES_MAX) {
        snprintf(error, POLICY_ERROR_BYTES, "ERR There are %u policies already", POLICIES_MAX);
        ok = false;
    }
    if (ok && apply(&edited, settings, count)) {
        edited.changed_at = end_of_walk(policies) - SLOT_COUNT;
        change(policies, &edited, SIZE_MAX, epoch);
    }
    lock_release(&policies->lock);
    return ok;
}

bool policies_delete(struct policies *policies, struct bytes prefix, uint64_t epoch)
{
    const struct policy_table *table;
    size_t place;
    bool is_there;

    lock_take(&policies->lock);
    table = present(policies);
    place = policy_table_place(table, prefix);
    is_there = place < policy_table_count(table);
    if (is_there) change(policies, NULL, place, epoch);
    lock_release(&policies->lock);
    return is_there;
}

/* --- As text ---
 *
 *     redis-shard policies 1
 *     version 3 17                      epoch and number
 *     user: ttl 3600000 guard 1         prefix, then fields in the units they are kept in
 *     sum 0123456789abcdef              CRC-64 of all before this line */

#define FIRST_LINE "redis-shard policies 1\n"
#define SUM_LINE_BYTES (sizeof("sum 0123456789abcdef\n") - 1)

struct policy_version policies_save(struct policies *policies, struct buf *out)
{
    struct policy_version version;
    size_t from = out->len;
    uint64_t sum;

    lock_take(&policies->lock);
    buf_append_text(out, FIRST_LINE);
    buf_printf(out, "version %llu %llu\n", (unsigned long long)policies->version.epoch,
               (unsigned long long)policies->version.number);
    policy_table_write(present(policies), out);
    version = policies->version;
    lock_release(&policies->lock);
    sum = crc64(0, (struct bytes){ out->data + from, out->len - from });
    buf_printf(out, "sum %016llx\n", (unsigned long long)sum);
    return version;
}

/* A text on its way in. */
struct reading {
    struct bytes rest;
    struct policy_version version;
    struct policy *policies;
    size_t count;
    struct buf prefixes; /* what the policies' prefixes point into, once all are read; until then they hold offsets */
};

static bool refuse(char error[POLICY_ERROR_BYTES], const char *why)
{
    snprintf(error, POLICY_ERROR_BYTES, "%s", why);
    return false;
}

/* The checksum, which is then no longer part of the rest; and the first line. */
static bool read_frame(struct reading *reading, char error[POLICY_ERROR_BYTES])
{
    struct bytes text = reading->rest;
    size_t head = sizeof(FIRST_LINE) - 1;
    char wanted[SUM_LINE_BYTES + 1];

    if (text.len > POLICY_TEXT_BYTES_MAX) return refuse(error, "it is too long");
    if (text.len < head + SUM_LINE_BYTES) return refuse(error, "it is cut off");
    text.len -= SUM_LINE_BYTES;
    snprintf(wanted, sizeof(wanted), "sum %016llx\n", (unsigned long long)crc64(0, text));
    if (memcmp(text.data + text.len, wanted, SUM_LINE_BYTES) != 0) return refuse(error, "the checksum is wrong");
    if (memcmp(text.data, FIRST_LINE, head) != 0) return refuse(error, "it is of another version");
    reading->rest = (struct bytes){ text.data + head, text.len - head };
    return true;
}

/* Its words, or false at the end. A line that is none has no words. */
static bool next_line(struct reading *reading, struct words *words)
{
    const char *end;
    size_t len;

    *words = (struct words){ 0 };
    if (reading->rest.len == 0) return false;
    end = memchr(reading->rest.data, '\n', reading->rest.len);
    len = end == NULL ? reading->rest.len : (size_t)(end - reading->rest.data);
    if (!words_split((struct bytes){ reading->rest.data, len }, words)) words->count = 0;
    reading->rest.data += end == NULL ? len : len + 1;
    reading->rest.len -= end == NULL ? len : len + 1;
    return true;
}

static bool read_version(struct reading *reading, char error[POLICY_ERROR_BYTES])
{
    struct words words;
    bool ok = next_line(reading, &words) && words.count == 3 && bytes_is_word(words.items[0], "version") &&
              bytes_to_u64(words.items[1], &reading->version.epoch) &&
              bytes_to_u64(words.items[2], &reading->version.number) && reading->version.epoch < INT64_MAX &&
              reading->version.number < INT64_MAX;

    words_free(&words);
    return ok || refuse(error, "the version cannot be read");
}

static bool read_fields(const struct words *words, struct policy *policy)
{
    if (words->count < 3 || words->count % 2 == 0) return false;
    for (size_t at = 1; at < words->count; at += 2) {
        enum policy_field field;
        int64_t value;

        if (!policy_field_of(words->items[at], &field) || !bytes_to_i64(words->items[at + 1], &value)) return false;
        if (value < fields[field].min || value > policy_value_max(field)) return false;
        policy->set |= 1u << field;
        policy->values[field] = value;
    }
    return true;
}

static bool read_policy(struct reading *reading, const struct words *words)
{
    struct policy *policy = &reading->policies[reading->count];
    struct bytes prefix;

    *policy = (struct policy){ 0 };
    if (!read_fields(words, policy)) return false;
    prefix = words->items[0];
    if (prefix.len > POLICY_PREFIX_BYTES_MAX) return false;
    if (reading->count > 0 && bytes_compare(policy[-1].prefix, prefix) >= 0) return false;
    /* Room for all of them was made before, so that none moves. */
    policy->prefix = (struct bytes){ reading->prefixes.data + reading->prefixes.len, prefix.len };
    buf_append_bytes(&reading->prefixes, prefix);
    reading->count++;
    return true;
}

static bool read_policies(struct reading *reading, char error[POLICY_ERROR_BYTES])
{
    struct words words;
    bool ok = true;

    buf_reserve(&reading->prefixes, reading->rest.len);
    while (ok && next_line(reading, &words)) {
        ok = reading->count < POLICIES_MAX && read_policy(reading, &words);
        words_free(&words);
    }
    return ok || refuse(error, "a policy cannot be read");
}

static bool policies_equal(const struct policy *a, const struct policy *b)
{
    if (a->set != b->set) return false;
    for (unsigned field = 0; field < POLICY_FIELD_COUNT; field++)
        if (policy_sets(a, (enum policy_field)field) && a->values[field] != b->values[field]) return false;
    return true;
}

/* Under lock. A policy that is as it was stays as far walked as it is. */
static void date_policies(const struct policies *policies, struct reading *reading)
{
    const struct policy_table *table = present(policies);

    for (size_t i = 0; i < reading->count; i++) {
        struct policy *policy = &reading->policies[i];
        size_t place = policy_table_place(table, policy->prefix);

        policy->changed_at = end_of_walk(policies) - SLOT_COUNT;
        if (place < policy_table_count(table) && policies_equal(policy_table_at(table, place), policy))
            policy->changed_at = policy_table_at(table, place)->changed_at;
    }
}

enum policies_loaded policies_load(struct policies *policies, struct bytes text, char error[POLICY_ERROR_BYTES])
{
    struct reading reading = { .rest = text };
    enum policies_loaded loaded = POLICIES_DAMAGED;
    struct policy_table *table;

    reading.policies = alloc(POLICIES_MAX * sizeof(*reading.policies));
    if (!read_frame(&reading, error) || !read_version(&reading, error) || !read_policies(&reading, error)) goto done;
    table = policy_table_new(reading.policies, reading.count);
    reading.version.digest = digest_of(table);
    policy_table_free(&table);

    lock_take(&policies->lock);
    loaded = POLICIES_NOT_LATER;
    if (policy_version_compare(&reading.version, &policies->version) > 0) {
        loaded = POLICIES_LOADED;
        date_policies(policies, &reading);
        put(policies, policy_table_new(reading.policies, reading.count), reading.version.epoch, reading.version.number);
    }
    lock_release(&policies->lock);
done:
    buf_free(&reading.prefixes);
    alloc_free(reading.policies);
    return loaded;
}

struct policy_version policies_version(struct policies *policies)
{
    struct policy_version version;

    lock_take(&policies->lock);
    version = policies->version;
    lock_release(&policies->lock);
    return version;
}

/* --- Looking --- */

void policies_each(struct policies *policies, void (*visit)(void *context, const struct policy *policy), void *context)
{
    const struct policy_table *table;

    lock_take(&policies->lock);
    table = present(policies);
    for (size_t i = 0; i < policy_table_count(table); i++) visit(context, policy_table_at(table, i));
    lock_release(&policies->lock);
}

size_t policies_count(struct policies *policies)
{
    size_t count;

    lock_take(&policies->lock);
    count = policy_table_count(present(policies));
    lock_release(&policies->lock);
    return count;
}

static void add_matches(const struct policy *policy, struct policy_match matches[POLICY_FIELD_COUNT])
{
    for (unsigned field = 0; field < POLICY_FIELD_COUNT; field++) {
        struct policy_match *match = &matches[field];

        if (match->is_set || !policy_sets(policy, (enum policy_field)field)) continue;
        match->is_set = true;
        match->value = policy->values[field];
        match->prefix_bytes = policy->prefix.len;
        if (policy->prefix.len > 0) memcpy(match->prefix, policy->prefix.data, policy->prefix.len);
    }
}

void policies_match(struct policies *policies, struct bytes key, struct policy_match matches[POLICY_FIELD_COUNT])
{
    const struct policy_table *table;

    memset(matches, 0, POLICY_FIELD_COUNT * sizeof(*matches));
    matches[POLICY_FIELD_SALT].value = 1;
    lock_take(&policies->lock);
    table = present(policies);
    if (table != NULL)
        for (const struct policy *policy = policy_table_match(table, key); policy != NULL;
             policy = policy_table_parent(table, policy))
            add_matches(policy, matches);
    lock_release(&policies->lock);
}

/* --- Walks --- */

uint64_t policies_walked(const struct policies *policies)
{
    return atomic_load_explicit(&policies->walked, memory_order_acquire);
}

bool policies_walk_is_due(const struct policies *policies)
{
    return policies_walked(policies) < atomic_load_explicit(&policies->due, memory_order_acquire);
}

void policies_count_slot(struct policies *policies)
{
    uint64_t walked = atomic_fetch_add_explicit(&policies->walked, 1, memory_order_seq_cst) + 1;

    /* Once a round, and when it ends. */
    if (walked % SLOT_COUNT == 0 || !policies_walk_is_due(policies)) free_replaced(take_replaced(policies, walked));
}

size_t policies_waiting(struct policies *policies)
{
    size_t count;

    lock_take(&policies->lock);
    count = policies->replaced_count;
    lock_release(&policies->lock);
    return count;
}

void policies_settle(struct policies *policies, struct keyspace *keyspace)
{
    struct replaced *taken = take_replaced(policies, UINT64_MAX);

    if (taken == NULL) return;
    for (uint16_t id = 0; id < SLOT_COUNT; id++) {
        slot_lock(keyspace_slot(keyspace, id));
        slot_unlock(keyspace_slot(keyspace, id));
    }
    free_replaced(taken);
}
