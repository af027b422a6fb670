/* cache/policy_table.c: see policy_table.h for how it is searched. */
#include "cache/policy_table.h"

#include "base/alloc.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define NONE UINT16_MAX
_Static_assert(POLICIES_TAKEN_MAX < NONE, "a row is named by 16 bits");

/* What the search looks at: four of them in a cache line, and the prefix itself only where these eight bytes do not tell. */
struct row {
    uint64_t head; /* the first bytes of the prefix, as a number that orders as they do; zeros behind a shorter one */
    uint16_t parent;
};

struct policy_table {
    struct policy_table_head head;
    size_t count;
    struct row *rows;
    struct policy_fields *fields; /* as they hold for keys whose longest prefix it is */
    struct policy *policies;
    char *prefixes;
    uint16_t first[257]; /* of the rows that begin with this byte; [256]: the count */
};

static uint64_t head_of(struct bytes text)
{
    uint64_t head = 0;

    if (text.len != 0) memcpy(&head, text.data, text.len < sizeof(head) ? text.len : sizeof(head));
    return be64toh(head);
}

static size_t common(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len, at = 0;

    while (at < len && a.data[at] == b.data[at]) at++;
    return at;
}

/* How many rows are not greater than the key. */
static size_t place_behind(const struct policy_table *table, struct bytes key)
{
    uint64_t head = head_of(key);
    size_t low = 0, high;

    if (key.len == 0) return table->count > 0 && table->policies[0].prefix.len == 0;
    low = table->first[(uint8_t)key.data[0]];
    high = table->first[(uint8_t)key.data[0] + 1];
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct row *row = &table->rows[middle];
        bool is_greater = row->head != head ? row->head > head : bytes_compare(table->policies[middle].prefix, key) > 0;

        if (is_greater)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static size_t longest(const struct policy_table *table, struct bytes key)
{
    size_t at = place_behind(table, key), shared;

    if (at == 0) return NONE;
    shared = common(table->policies[--at].prefix, key);
    while (at != NONE && table->policies[at].prefix.len > shared) at = table->rows[at].parent;
    return at;
}

const struct policy_fields *policy_table_find(const struct policy_table *table, struct bytes key)
{
    size_t at = longest(table, key);

    return at == NONE ? NULL : &table->fields[at];
}

const struct policy *policy_table_match(const struct policy_table *table, struct bytes key)
{
    size_t at = longest(table, key);

    return at == NONE ? NULL : &table->policies[at];
}

const struct policy *policy_table_parent(const struct policy_table *table, const struct policy *policy)
{
    uint16_t parent = table->rows[policy - table->policies].parent;

    return parent == NONE ? NULL : &table->policies[parent];
}

static void set_field(struct policy_fields *fields, enum policy_field field, int64_t value)
{
    switch (field) {
    case POLICY_FIELD_TTL:
        fields->ttl_ms = value;
        return;
    case POLICY_FIELD_MAX_TTL:
        fields->max_ttl_ms = value;
        return;
    case POLICY_FIELD_JITTER:
        fields->jitter_percent = (uint8_t)value;
        return;
    case POLICY_FIELD_REFRESH:
        fields->refresh_percent = (uint8_t)value;
        return;
    case POLICY_FIELD_GUARD:
        fields->guard = value != 0;
        return;
    case POLICY_FIELD_COALESCE:
        fields->coalesce_ms = (int32_t)value;
        return;
    case POLICY_FIELD_HOLD:
        fields->hold_ms = (int32_t)value;
        return;
    case POLICY_FIELD_SALT:
        fields->salt = (uint16_t)value;
        return;
    case POLICY_FIELD_COUNT:
        return;
    }
}

/* The longest earlier row that this one begins with: the one before it, or one of those that one begins with. */
static uint16_t parent_of(const struct policy_table *table, size_t at)
{
    struct bytes prefix = table->policies[at].prefix;
    size_t shared;
    uint16_t parent;

    if (at == 0) return NONE;
    parent = (uint16_t)(at - 1);
    shared = common(table->policies[parent].prefix, prefix);
    while (parent != NONE && table->policies[parent].prefix.len > shared) parent = table->rows[parent].parent;
    return parent;
}

static void add_row(struct policy_table *table, size_t at)
{
    const struct policy *policy = &table->policies[at];
    struct policy_fields fields = { .salt = 1 };
    uint16_t parent = parent_of(table, at);

    table->rows[at] = (struct row){ .head = head_of(policy->prefix), .parent = parent };
    if (parent != NONE) fields = table->fields[parent];
    for (unsigned field = 0; field < POLICY_FIELD_COUNT; field++)
        if (policy_sets(policy, (enum policy_field)field)) {
            table->head.sets |= 1u << field;
            set_field(&fields, (enum policy_field)field, policy->values[field]);
        }
    table->fields[at] = fields;
}

static void index_first_bytes(struct policy_table *table)
{
    size_t at = table->count > 0 && table->policies[0].prefix.len == 0 ? 1 : 0;

    for (unsigned byte = 0; byte < 257; byte++) {
        while (at < table->count && byte < 256 && (uint8_t)table->policies[at].prefix.data[0] < byte) at++;
        table->first[byte] = (uint16_t)(byte == 256 ? table->count : at);
    }
}

struct policy_table *policy_table_new(const struct policy *policies, size_t count)
{
    struct policy_table *table = alloc_zeroed(sizeof(*table));
    size_t bytes = 0;
    char *at;

    assert(count <= POLICIES_TAKEN_MAX);
    for (size_t i = 0; i < count; i++) bytes += policies[i].prefix.len;
    table->count = count;
    table->rows = alloc((count + 1) * sizeof(*table->rows));
    table->fields = alloc((count + 1) * sizeof(*table->fields));
    table->policies = alloc((count + 1) * sizeof(*table->policies));
    at = table->prefixes = alloc(bytes + 1);
    for (size_t i = 0; i < count; i++) {
        assert(i == 0 || bytes_compare(policies[i - 1].prefix, policies[i].prefix) < 0);
        table->policies[i] = policies[i];
        if (policies[i].prefix.len > 0) memcpy(at, policies[i].prefix.data, policies[i].prefix.len);
        table->policies[i].prefix.data = at;
        at += policies[i].prefix.len;
        add_row(table, i);
    }
    index_first_bytes(table);
    return table;
}

void policy_table_free(struct policy_table **table)
{
    if (*table == NULL) return;
    alloc_free((*table)->rows);
    alloc_free((*table)->fields);
    alloc_free((*table)->policies);
    alloc_free((*table)->prefixes);
    alloc_free(*table);
    *table = NULL;
}

size_t policy_table_count(const struct policy_table *table)
{
    return table == NULL ? 0 : table->count;
}

const struct policy *policy_table_at(const struct policy_table *table, size_t at)
{
    return &table->policies[at];
}

size_t policy_table_place(const struct policy_table *table, struct bytes prefix)
{
    size_t at;

    if (table == NULL) return 0;
    at = place_behind(table, prefix);
    return at > 0 && bytes_equal(table->policies[at - 1].prefix, prefix) ? at - 1 : table->count;
}
