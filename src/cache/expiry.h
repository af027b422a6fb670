/* cache/expiry.h
 *
 * Removes what nobody reads any more. An entry is gone for every reader at its deadline, whether it is
 * still in memory or not (slot_find() sees to that); the cycle here only gives the memory back.
 *
 * Each worker owns a share of the slots and calls expiry_cycle() from a timer, about ten times a second.
 * A cycle goes over the slots that have expiring keys, one lock at a time and for a few entries only, and
 * remembers where it stopped. An entry looked at costs one of the budget; one that was removed costs
 * nothing, so that a cycle which finds much goes on, up to a few times its budget. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct keyspace;

struct expiry {
    uint16_t first; /* the share: slots first .. first + count - 1 */
    uint16_t count;
    uint16_t next; /* where the next cycle begins, counted from first */
};

/* The state of worker `index` of `workers`, 1 <= workers <= 16384. */
void expiry_init(struct expiry *expiry, unsigned index, unsigned workers);

/* Returns how many entries were removed. */
size_t expiry_cycle(struct expiry *expiry, struct keyspace *keyspace, int64_t now_ms, size_t budget_entries);
