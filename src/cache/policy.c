/* cache/policy.c
 *
 * A change makes a whole table anew: there are a thousand policies at most, and they change when an operator says so. */
#include "cache/policy.h"

#include "base/alloc.h"
#include "base/lock.h"
#include "base/option.h"
#include "cache/policy_table.h"
#include "store/keyspace.h"

#include <stdio.h>
#include <stdlib.h>
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

    struct lock lock;          /* guards the rest */
    struct replaced *replaced; /* the newest first */
    size_t replaced_count;
};
_Static_assert(offsetof(struct policies, head) == 0, "policies_find() reads it there");

int64_t policy_refresh_at_ms(const struct policy_fields *fields, uint32_t birth_s, int64_t expires_at_ms)
{
    int64_t birth_ms = (int64_t)birth_s * 1000 + 500;

    if (fields->refresh_percent == 0 || birth_s == 0) return INT64_MAX;
    if (expires_at_ms < birth_ms) return INT64_MAX; /* no deadline is before all births */
    return birth_ms + (int64_t)(((__int128)(expires_at_ms - birth_ms) * fields->refresh_percent + 99) / 100);
}

bool policy_is_past_refresh(const struct policy_fields *fields, uint32_t birth_s, int64_t expires_at_ms, int64_t now_ms)
{
    int64_t refresh_at_ms = policy_refresh_at_ms(fields, birth_s, expires_at_ms);

    return refresh_at_ms != INT64_MAX && now_ms >= refresh_at_ms;
}

int64_t policy_jitter_most_ms(const struct policy_fields *fields, int64_t span_ms)
{
    /* No product is larger than the span. */
    return span_ms / 100 * fields->jitter_percent + span_ms % 100 * fields->jitter_percent / 100;
}

void policy_fields_conclude(struct policy_fields *fields)
{
    fields->needs_birth = fields->max_ttl_ms != 0 || fields->refresh_percent != 0;
    fields->limits = fields->ttl_ms != 0 || fields->jitter_percent != 0 || fields->needs_birth;
    fields->born_ms = fields->ttl_ms;
    if (fields->max_ttl_ms != 0 && (fields->ttl_ms == 0 || fields->max_ttl_ms < fields->ttl_ms))
        fields->born_ms = fields->max_ttl_ms;
    fields->born_less_ms = policy_jitter_most_ms(fields, fields->born_ms);
}

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

/* The slots that are to be gone through from now on: all but the one that is under way. */
static uint64_t end_of_walk(const struct policies *policies)
{
    return atomic_load_explicit(&policies->walked, memory_order_seq_cst) + 1 + SLOT_COUNT;
}

/* Under lock. Takes the table; one without policies is none. */
static void put(struct policies *policies, struct policy_table *table)
{
    struct policy_table *former = present(policies);
    uint32_t sets;

    if (policy_table_count(table) == 0) policy_table_free(&table);
    sets = policy_table_sets(table);
    /* Whoever reads the table finds its fields among those that are set. */
    atomic_fetch_or_explicit(&policies->head.sets, sets, memory_order_seq_cst);
    atomic_store_explicit(&policies->head.table, table, memory_order_seq_cst);
    atomic_store_explicit(&policies->head.sets, sets, memory_order_seq_cst);
    atomic_fetch_add_explicit(&policies->head.changes, 1, memory_order_seq_cst);
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

/* What a prefix's policy becomes. */
struct edit {
    struct policy policy; /* the prefix alone, where it is gone */
    bool is_gone;
};

static bool is_same(const struct policy *a, const struct policy *b)
{
    if (a->set != b->set) return false;
    for (unsigned field = 0; field < POLICY_FIELD_COUNT; field++)
        if (policy_sets(a, (enum policy_field)field) && a->values[field] != b->values[field]) return false;
    return true;
}

/* Under lock. Edits are in ascending order of prefixes. A policy that is as it was stays as far walked as it is. */
static void change(struct policies *policies, const struct edit *edits, size_t edit_count)
{
    struct policy_table *table = present(policies);
    size_t count = policy_table_count(table), made = 0, at = 0, edit = 0;
    struct policy *all = alloc((count + edit_count + 1) * sizeof(*all)); /* fits: a table, and as many again */
    uint64_t now = end_of_walk(policies) - SLOT_COUNT;
    bool changes = false;

    while (at < count || edit < edit_count) {
        int order = at == count          ? 1
                    : edit == edit_count ? -1
                                         : bytes_compare(policy_table_at(table, at)->prefix, edits[edit].policy.prefix);
        const struct policy *former = order <= 0 ? policy_table_at(table, at++) : NULL;
        const struct edit *new = order >= 0 ? &edits[edit++] : NULL;

        if (former != NULL && (new == NULL || (!new->is_gone &&is_same(former, &new->policy)))) {
            all[made++] = *former;
            continue;
        }
        if (new == NULL) continue;
        changes |= former != NULL || !new->is_gone;
        if (new->is_gone) continue;
        all[made] = new->policy;
        all[made++].changed_at = now;
    }
    if (changes && made <= POLICIES_TAKEN_MAX) put(policies, policy_table_new(all, made));
    alloc_free(all);
}

static void apply(struct policy *policy, const struct policy_setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        policy->set |= 1u << settings[i].field;
        policy->values[settings[i].field] = settings[i].value;
    }
}

bool policies_set(struct policies *policies, struct bytes prefix, const struct policy_setting *settings, size_t count,
                  char error[POLICY_ERROR_BYTES])
{
    struct edit edit = { .policy.prefix = prefix };
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
        edit.policy = *policy_table_at(table, place);
    } else if (place >= POLICIES_MAX) {
        snprintf(error, POLICY_ERROR_BYTES, "ERR There are %u policies already", POLICIES_MAX);
        ok = false;
    }
    if (ok) {
        apply(&edit.policy, settings, count);
        change(policies, &edit, 1);
    }
    lock_release(&policies->lock);
    return ok;
}

bool policies_delete(struct policies *policies, struct bytes prefix)
{
    const struct policy_table *table;
    bool is_there;

    lock_take(&policies->lock);
    table = present(policies);
    is_there = policy_table_place(table, prefix) < policy_table_count(table);
    if (is_there) change(policies, &(struct edit){ .policy.prefix = prefix, .is_gone = true }, 1);
    lock_release(&policies->lock);
    return is_there;
}

/* --- As text --- */

void policy_write(const struct policy *policy, struct buf *out)
{
    const char *gap = "";

    for (unsigned field = 0; field < POLICY_FIELD_COUNT; field++) {
        if (!policy_sets(policy, (enum policy_field)field)) continue;
        buf_printf(out, "%s%s %lld", gap, policy_field_name((enum policy_field)field),
                   (long long)policy->values[field]);
        gap = " ";
    }
}

bool policies_text(struct policies *policies, struct bytes prefix, struct buf *out)
{
    const struct policy_table *table;
    size_t place;
    bool is_there;

    lock_take(&policies->lock);
    table = present(policies);
    place = policy_table_place(table, prefix);
    is_there = place < policy_table_count(table);
    if (is_there) policy_write(policy_table_at(table, place), out);
    lock_release(&policies->lock);
    return is_there;
}

static bool refuse(char error[POLICY_ERROR_BYTES], const char *why)
{
    snprintf(error, POLICY_ERROR_BYTES, "%s", why);
    return false;
}

static bool read_fields(const struct words *words, struct policy *policy, char error[POLICY_ERROR_BYTES])
{
    if (words->count == 0 || words->count % 2 != 0) return refuse(error, "its fields are not pairs");
    for (size_t at = 0; at < words->count; at += 2) {
        enum policy_field field;
        int64_t value;

        if (!policy_field_of(words->items[at], &field)) return refuse(error, "it has a field that is not known here");
        if (!bytes_to_i64(words->items[at + 1], &value) || value < fields[field].min || value > policy_value_max(field))
            return refuse(error, "a value is not what the field may be");
        policy->set |= 1u << field;
        policy->values[field] = value;
    }
    return true;
}

static bool read_edit(const struct policy_text *text, struct edit *edit, char error[POLICY_ERROR_BYTES])
{
    struct words words;
    bool ok;

    *edit = (struct edit){ .policy.prefix = text->prefix, .is_gone = text->is_gone };
    if (text->prefix.len > POLICY_PREFIX_BYTES_MAX) return refuse(error, "the prefix is too long");
    if (text->is_gone) return true;
    ok = words_split(text->text, &words) ? read_fields(&words, &edit->policy, error)
                                         : refuse(error, "it is not made of words");
    words_free(&words);
    return ok;
}

/* By prefix, and of one prefix in the order in which they were given: places in memory tell that. */
static int compare_edits(const void *a, const void *b)
{
    const struct edit *const *one = a, *const *other = b;
    int order = bytes_compare((*one)->policy.prefix, (*other)->policy.prefix);

    return order != 0 ? order : *one < *other ? -1 : *one > *other;
}

size_t policies_take(struct policies *policies, const struct policy_text *texts, size_t count,
                     char error[POLICY_ERROR_BYTES])
{
    struct edit *edits = alloc((count + 1) * sizeof(*edits)), *sorted = alloc((count + 1) * sizeof(*sorted));
    struct edit **places = alloc((count + 1) * sizeof(struct edit *));
    size_t read = 0, kept = 0;

    for (size_t i = 0; i < count; i++)
        if (read_edit(&texts[i], &edits[read], error)) {
            places[read] = &edits[read];
            read++;
        }
    qsort((void *)places, read, sizeof(struct edit *), compare_edits);
    for (size_t i = 0; i < read; i++)
        if (i + 1 == read || !bytes_equal(places[i]->policy.prefix, places[i + 1]->policy.prefix))
            sorted[kept++] = *places[i];
    lock_take(&policies->lock);
    change(policies, sorted, kept);
    lock_release(&policies->lock);
    alloc_free(edits);
    alloc_free(sorted);
    alloc_free((void *)places);
    return count - read;
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
