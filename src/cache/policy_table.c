/* cache/policy_table.c: see policy_table.h for how it is searched. */
#include "cache/policy_table.h"

#include "base/alloc.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define NONE UINT16_MAX
_Static_assert(POLICIES_TAKEN_MAX < NONE, "a row is named by 16 bits");

/* What a key's fields are found by, and they. */
struct row {
    _Alignas(64) uint64_t
        head;        /* the first bytes of the prefix, as a number that orders as they do; zeros behind a shorter one */
    uint32_t prefix; /* where it begins among the prefixes */
    uint16_t prefix_bytes;
    uint16_t parent;
    struct policy_fields fields; /* as they hold for keys whose longest prefix it is */
};
_Static_assert(sizeof(struct row) == 64, "one cache line");

struct policy_table {
    size_t count;
    struct row *rows;
    uint64_t *heads; /* of the rows once more, for the search: eight of them in a cache line */
    char *prefixes;
    struct policy *policies;
    uint32_t sets;
    uint16_t root;       /* the row of the empty prefix, or NONE */
    uint16_t first[257]; /* of the rows that begin with this byte; [256]: the count */
};

#define HEAD_BYTES sizeof(uint64_t)

static uint64_t head_of(struct bytes text)
{
    uint64_t head = 0;

    if (__builtin_expect(text.len >= HEAD_BYTES, 1)) {
        memcpy(&head, text.data, HEAD_BYTES);
        return be64toh(head);
    }
    for (size_t at = 0; at < text.len; at++) head |= (uint64_t)(uint8_t)text.data[at] << (56 - 8 * at);
    return head;
}

static size_t common(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len, at = 0;

    while (at < len && a.data[at] == b.data[at]) at++;
    return at;
}

static inline struct bytes prefix_of(const struct policy_table *table, size_t at)
{
    return (struct bytes){ table->prefixes + table->rows[at].prefix, table->rows[at].prefix_bytes };
}

/* How many rows are not greater than the key, which has this head; it is known of the rows outside `low` and `high`. */
static size_t place_behind(const struct policy_table *table, struct bytes key, uint64_t head, size_t low, size_t high)
{
    while (low < high) {
        size_t middle = (low + high) / 2;
        bool is_greater = table->heads[middle] != head ? table->heads[middle] > head
                                                       : bytes_compare(prefix_of(table, middle), key) > 0;

        if (is_greater)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static inline bool is_of(const struct policy_table *table, size_t at, struct bytes key, uint64_t head)
{
    const struct row *row = &table->rows[at];
    size_t len = row->prefix_bytes;

    if (key.len < len) return false;
    if (len < HEAD_BYTES) return ((row->head ^ head) & ~(UINT64_MAX >> 8 * len)) == 0;
    return row->head == head && (len == HEAD_BYTES || memcmp(table->prefixes + row->prefix + HEAD_BYTES,
                                                             key.data + HEAD_BYTES, len - HEAD_BYTES) == 0);
}

static inline size_t longest(const struct policy_table *table, struct bytes key)
{
    uint64_t head = head_of(key);
    size_t at, behind, shared;

    if (__builtin_expect(key.len == 0, 0)) return table->root;
    at = table->first[head >> 56];
    behind = table->first[(head >> 56) + 1];
    if (at == behind) return table->root;
    if (behind - at > 1) {
        behind = place_behind(table, key, head, at, behind);
        if (behind == at) return table->root;
        at = behind - 1;
    }
    if (is_of(table, at, key, head)) return at;
    if (table->rows[at].parent == NONE) return NONE;
    shared = common(prefix_of(table, at), key);
    do at = table->rows[at].parent;
    while (at != NONE && table->rows[at].prefix_bytes > shared);
    return at;
}

const struct policy_fields *policy_table_find(const struct policy_table *table, struct bytes key)
{
    size_t at = longest(table, key);

    return at == NONE ? NULL : &table->rows[at].fields;
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
    size_t shared;
    uint16_t parent;

    if (at == 0) return NONE;
    parent = (uint16_t)(at - 1);
    shared = common(prefix_of(table, parent), prefix_of(table, at));
    while (parent != NONE && table->rows[parent].prefix_bytes > shared) parent = table->rows[parent].parent;
    return parent;
}

/* Its prefix is in place. */
static void add_row(struct policy_table *table, size_t at)
{
    const struct policy *policy = &table->policies[at];
    struct row *row = &table->rows[at];
    uint16_t parent;

    *row = (struct row){ .head = head_of(policy->prefix),
                         .prefix = (uint32_t)(policy->prefix.data - table->prefixes),
                         .prefix_bytes = (uint16_t)policy->prefix.len,
                         .fields = { .salt = 1 } };
    table->heads[at] = row->head;
    row->parent = parent = parent_of(table, at);
    if (parent != NONE) row->fields = table->rows[parent].fields;
    for (unsigned field = 0; field < POLICY_FIELD_COUNT; field++)
        if (policy_sets(policy, (enum policy_field)field)) {
            table->sets |= 1u << field;
            set_field(&row->fields, (enum policy_field)field, policy->values[field]);
        }
    policy_fields_conclude(&row->fields);
}

static void index_first_bytes(struct policy_table *table)
{
    size_t at = table->count > 0 && table->policies[0].prefix.len == 0 ? 1 : 0;

    table->root = at == 1 ? 0 : NONE;
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
    for (size_t i = 0; i < count; i++) {
        assert(policies[i].prefix.len <= POLICY_PREFIX_BYTES_MAX);
        bytes += policies[i].prefix.len;
    }
    table->count = count;
    table->rows = alloc_aligned((count + 1) * sizeof(*table->rows), _Alignof(struct row));
    table->heads = alloc((count + 1) * sizeof(*table->heads));
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
    alloc_free((*table)->heads);
    alloc_free((*table)->policies);
    alloc_free((*table)->prefixes);
    alloc_free(*table);
    *table = NULL;
}

size_t policy_table_count(const struct policy_table *table)
{
    return table == NULL ? 0 : table->count;
}

uint32_t policy_table_sets(const struct policy_table *table)
{
    return table == NULL ? 0 : table->sets;
}

const struct policy *policy_table_at(const struct policy_table *table, size_t at)
{
    return &table->policies[at];
}

size_t policy_table_place(const struct policy_table *table, struct bytes prefix)
{
    size_t at;

    if (table == NULL) return 0;
    at = place_behind(table, prefix, head_of(prefix), 0, table->count);
    return at > 0 && bytes_equal(table->policies[at - 1].prefix, prefix) ? at - 1 : table->count;
}
