/* cache/policy_table.h
 *
 * The table of policies as it stands at one moment; never changed once it is made. For cache/policy.c, which keeps the present one.
 *
 *     rows, in the order of their prefixes        "" | "user:" | "user:a" | "video:"
 *                                                  0      0         1          0         each knows the longest other one that it begins with
 *
 * The longest prefix of a key is found by a search for the place the key itself would have. The row before that place begins as the
 * key does as far as any row does; so it is the one, or one of those it begins with.
 *
 * Every write asks, so it is to be few instructions and, as what a command needs has often left the caches when the next one comes, few cache lines:
 * the table's own, a place of the index by the first byte, and the row, which has the fields and the first eight bytes of the prefix.
 * Only where several prefixes have that first byte there is a search. */
#pragma once

#include "cache/policy.h"

struct policy_table *policy_table_new(const struct policy *policies,
                                      size_t count); /* in ascending order of prefixes, which are copied */
void policy_table_free(struct policy_table **table);

size_t policy_table_count(const struct policy_table *table);
/* The fields that any of its policies sets, a bit for each policy_field. */
uint32_t policy_table_sets(const struct policy_table *table);
/* Lent by the table. */
const struct policy *policy_table_at(const struct policy_table *table, size_t at);
/* Of a prefix itself; the count where there is none. */
size_t policy_table_place(const struct policy_table *table, struct bytes prefix);

/* The longest prefix of a key, or NULL. */
const struct policy *policy_table_match(const struct policy_table *table, struct bytes key);
/* The next shorter one, or NULL. */
const struct policy *policy_table_parent(const struct policy_table *table, const struct policy *policy);
