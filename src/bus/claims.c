#include "bus/claims.h"

#include "base/clock.h"
#include "bus/bus.h"

void claims_init(struct claims *claims)
{
    list_init(&claims->waiting);
}

bool claim_is_settled(struct bus_claim *claim, const struct cluster *cluster)
{
    claim->is_unsaved = !claim->begins && cluster_is_unsaved(cluster, claim->slot);
    return claim->begins ? cluster_may_move(cluster, claim->slot, clock_now_ms())
                         : cluster_is_announced(cluster, claim->slot);
}

bool claims_add(struct claims *claims, struct bus_claim *claim, struct lock *lock, const struct cluster *cluster)
{
    bool waits;

    lock_take(lock);
    waits = !claim_is_settled(claim, cluster);
    if (waits) list_append(&claims->waiting, &claim->link);
    if (waits) atomic_store_explicit(&claims->any, true, memory_order_relaxed);
    lock_release(lock);
    return waits;
}

/* With the lock held: takes the first that is to be told. */
static struct bus_claim *take(struct claims *claims, bool all, const struct cluster *cluster)
{
    list_each(at, &claims->waiting) {
        struct bus_claim *claim = container_of(at, struct bus_claim, link);

        if (!claim_is_settled(claim, cluster) && !all) continue;
        list_remove(&claim->link);
        return claim;
    }
    return NULL;
}

void claims_settle(struct claims *claims, bool all, struct lock *lock, const struct cluster *cluster)
{
    struct bus_claim *claim;

    if (!atomic_load_explicit(&claims->any, memory_order_relaxed)) return;
    do {
        lock_take(lock);
        claim = take(claims, all, cluster);
        atomic_store_explicit(&claims->any, !list_is_empty(&claims->waiting), memory_order_relaxed);
        lock_release(lock);
        if (claim != NULL) claim->settled(claim);
    } while (claim != NULL);
}
