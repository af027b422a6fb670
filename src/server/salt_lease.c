/* server/salt_lease.c: leases that are not the same on all nodes.
 *
 * A helper takes a lease for as long as home says, so nodes may well grant different ones. But who takes a slot over waits for the leases of whoever had it
 * before, of whom he knows nothing but what all know: so a lease of more than SALT_LEASE_ASSUMED_MS is announced first, as an item of the shared set,
 * and granted when all have it. It goes down again when none of those can be left.
 *
 *     item of a node      how long a lease it may grant          its own to change
 *     limit               what is granted here at the most: what all have heard
 *     longest             of all items: what a new home waits for, and a margin (salt/home.h)
 *
 * All of it is looked after on the keeper's thread. */
#include "server/salt_keeper_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "server/salt_home.h"

#include <stdio.h>

/* So long after all say that they have the item, they are taken to go by it. */
#define SETTLED_MS 1000
#define SALT_LEASE_MAX_MS 10000 /* of salt-lease-ms */

struct found {
    struct bytes mine; /* id */
    int64_t announced_ms, longest_ms;
};

/* What cannot be read says nothing. */
static int64_t lease_of(struct bytes text)
{
    int64_t ms;

    return bytes_to_i64(text, &ms) && ms > 0 && ms <= SALT_LEASE_MAX_MS ? ms : 0;
}

static void note_item(void *context, const struct shared_item *item)
{
    struct found *found = context;
    int64_t ms = item->is_gone ? 0 : lease_of(item->text);

    if (ms > found->longest_ms) found->longest_ms = ms;
    if (bytes_equal(item->name, found->mine)) found->announced_ms = ms;
}

static void announce(struct salt_keeper *keeper, struct bytes id, int64_t ms)
{
    char text[24], error[SALT_ERROR_BYTES];
    int len = snprintf(text, sizeof(text), "%lld", (long long)ms);
    struct shared_item item = {
        .kind = SHARED_SALT_LEASE, .is_gone = ms == 0, .name = id, .text = { text, ms == 0 ? 0 : (size_t)len }
    };

    if (bus_share_item(keeper->node->bus, SHARE_LATEST, &item, error)) return;
    log_warning("salt: other nodes are not told of salt-lease-ms: %s", error);
}

void salt_lease_look(struct salt_keeper *keeper)
{
    struct bus *bus = keeper->node->bus;
    struct salt_home *host;
    int64_t now_ms = clock_monotonic_ms(), asked_ms = config_int(keeper->node->config, salt_lease_ms);
    struct found found = { .longest_ms = SALT_LEASE_ASSUMED_MS };
    struct effects *effects;
    char id[NODE_ID_BYTES + 1];

    if (asked_ms <= SALT_LEASE_ASSUMED_MS) asked_ms = 0;
    pthread_mutex_lock(&keeper->guard);
    if (keeper->follower.changed == NULL) { /* there is no home yet */
        pthread_mutex_unlock(&keeper->guard);
        return;
    }
    host = keeper->node->salt_home;
    {
        struct cluster *cluster = bus_lock(bus, &effects);

        snprintf(id, sizeof(id), "%s", cluster_my_id(cluster));
        found.mine = bytes_of(id);
        cluster_shared_each(cluster, SHARED_SALT_LEASE, note_item, &found);
        bus_unlock(bus);
    }
    /* While more than is asked for may have been granted, all are to know. */
    if (asked_ms >= found.announced_ms) keeper->lease_lower_since_ms = now_ms;
    if (asked_ms > found.announced_ms ||
        now_ms - keeper->lease_lower_since_ms > found.announced_ms + home_margin_ms(found.announced_ms)) {
        announce(keeper, bytes_of(id), asked_ms);
        keeper->lease_alike_since_ms = 0;
        if (keeper->lease_limit_ms > asked_ms) keeper->lease_limit_ms = asked_ms;
        if (asked_ms > found.longest_ms) found.longest_ms = asked_ms;
    } else if (found.announced_ms > keeper->lease_limit_ms) {
        if (!bus_shared_is_everywhere(bus))
            keeper->lease_alike_since_ms = 0;
        else if (keeper->lease_alike_since_ms == 0)
            keeper->lease_alike_since_ms = now_ms;
        else if (now_ms - keeper->lease_alike_since_ms >= SETTLED_MS)
            keeper->lease_limit_ms = found.announced_ms;
    }
    salt_home_set_leases(host,
                         keeper->lease_limit_ms > SALT_LEASE_ASSUMED_MS ? keeper->lease_limit_ms
                                                                        : SALT_LEASE_ASSUMED_MS,
                         found.longest_ms);
    pthread_mutex_unlock(&keeper->guard);
}
