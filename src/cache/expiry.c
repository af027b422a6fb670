/* cache/expiry.c: see expiry.h for how it works. */
#include "cache/expiry.h"

#include "store/keyspace.h"

#include <assert.h>

#define LOOK_ENTRIES 128u /* at most so many under one lock */
#define STRETCH 8u        /* a cycle that finds much looks at so many times its budget */

void expiry_init(struct expiry *expiry, unsigned index, unsigned workers)
{
    assert(workers >= 1 && workers <= SLOT_COUNT && index < workers);
    expiry->first = (uint16_t)((uint64_t)SLOT_COUNT * index / workers);
    expiry->count = (uint16_t)((uint64_t)SLOT_COUNT * (index + 1) / workers - expiry->first);
    expiry->next = 0;
}

struct budget {
    size_t charged, charged_max;
    size_t looked_at, looked_at_max;
};

static bool is_spent(const struct budget *budget)
{
    return budget->charged >= budget->charged_max || budget->looked_at >= budget->looked_at_max;
}

/* Looks at a few entries of a slot, and goes on while a quarter of them were due. True once all were looked at. */
static bool visit(struct slot *slot, int64_t now_ms, struct budget *budget, size_t *removed)
{
    size_t looked_at, found, seen = 0;

    do {
        size_t left = budget->charged_max - budget->charged;

        found = 0;
        slot_lock(slot);
        looked_at = slot_expire_some(slot, now_ms, left < LOOK_ENTRIES ? left : LOOK_ENTRIES, &found);
        slot_unlock(slot);
        budget->looked_at += looked_at;
        budget->charged += looked_at > found ? looked_at - found : 0;
        *removed += found;
        seen += looked_at;
    } while (found > 0 && found >= looked_at / 4 && !is_spent(budget));
    return slot_counts(slot).expiring == 0 || seen >= slot_counts(slot).keys;
}

size_t expiry_cycle(struct expiry *expiry, struct keyspace *keyspace, int64_t now_ms, size_t budget_entries)
{
    struct budget budget = { .charged_max = budget_entries };
    size_t removed = 0;
    bool all_seen = false;

    if (__builtin_mul_overflow(budget_entries, STRETCH, &budget.looked_at_max)) budget.looked_at_max = SIZE_MAX;
    /* Large slots are come back to until the budget is spent; small ones are done in one round. */
    while (!all_seen && !is_spent(&budget)) {
        all_seen = true;
        for (unsigned visited = 0; visited < expiry->count && !is_spent(&budget); visited++) {
            struct slot *slot = keyspace_slot(keyspace, (uint16_t)(expiry->first + expiry->next));

            if (slot_counts(slot).expiring != 0 && !visit(slot, now_ms, &budget, &removed)) all_seen = false;
            expiry->next = (uint16_t)((expiry->next + 1) % expiry->count);
        }
    }
    return removed;
}
