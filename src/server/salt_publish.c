/* server/salt_publish.c: a name is told to clients when the nodes know it, for until then it is a key that is not there on the node that has its slot.
 *
 *     SALT star 8     the entry has the names at once, and home takes them; the reply waits
 *     SALT star       meanwhile: the names that there were, as far as they still lead to the key
 *     then            the reply goes, and `salted` is said
 *
 * That all have what we have is what they say with each message (cluster/shared.h); the marks follow within milliseconds, for which SETTLE_MS is left. Who
 * does not say so in time is not waited for any longer: whoever cannot be reached is of no use to clients either. */
#include "server/salt_keeper_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "server/events.h"

#include <string.h>

#define SETTLE_MS 200
#define WAIT_MS 3000

/* A key whose new names are not told yet. */
struct salt_pending {
    struct salt_pending *next;
    struct bytes base; /* owned */
    unsigned count;
    uint16_t ids[SALT_NAMES_MAX - 1]; /* what is told meanwhile */
    int64_t since_ms, alike_since_ms; /* 0: they are not */
    struct withheld_list withheld;
};

static struct salt_pending **place_of(struct salt_keeper *keeper, struct bytes base)
{
    struct salt_pending **at = &keeper->pending;

    while (*at != NULL && !bytes_equal((*at)->base, base)) at = &(*at)->next;
    return at;
}

static void tell(struct salt_keeper *keeper, struct bytes base)
{
    keyspace_event(keeper->node, EVENT_HOT, "salted", base);
}

static bool is_among(const uint16_t *ids, unsigned count, unsigned id)
{
    for (unsigned i = 0; i < count; i++)
        if (ids[i] == id) return true;
    return false;
}

static bool has_new(const struct salt_entry *entry, const uint16_t *ids, unsigned count)
{
    for (unsigned i = 0; i < entry->count; i++)
        if (!is_among(ids, count, entry->ids[i])) return true;
    return false;
}

void salt_publish(struct salt_keeper *keeper, const struct salt_entry *entry, const uint16_t *former, unsigned count)
{
    struct salt_pending **at = place_of(keeper, entry->base), *pending = *at;
    char *key;

    if (pending == NULL && (!has_new(entry, former, count) || bus_shared_is_everywhere(keeper->node->bus))) {
        tell(keeper, entry->base);
        return;
    }
    if (pending == NULL) {
        pending = *at = alloc_zeroed(sizeof(*pending));
        key = alloc(entry->base.len + 1);
        if (entry->base.len > 0) memcpy(key, entry->base.data, entry->base.len);
        pending->base = (struct bytes){ key, entry->base.len };
        pending->count = count;
        if (count > 0) memcpy(pending->ids, former, count * sizeof(*former));
    }
    pending->since_ms = clock_monotonic_ms();
    pending->alike_since_ms = 0;
}

static void end(struct salt_keeper *keeper, struct salt_pending **at)
{
    struct salt_pending *pending = *at;

    *at = pending->next;
    tell(keeper, pending->base);
    withheld_list_release(&pending->withheld);
    alloc_free((void *)(uintptr_t)pending->base.data);
    alloc_free(pending);
}

void salt_publish_look(struct salt_keeper *keeper)
{
    int64_t now_ms = clock_monotonic_ms();
    bool alike;

    pthread_mutex_lock(&keeper->guard);
    alike = keeper->pending != NULL && bus_shared_is_everywhere(keeper->node->bus);
    for (struct salt_pending **at = &keeper->pending; *at != NULL;) {
        struct salt_pending *pending = *at;

        if (alike && pending->alike_since_ms == 0) pending->alike_since_ms = now_ms;
        /* Another item that is on its way keeps nothing back that all had before it came. */
        if ((pending->alike_since_ms != 0 && now_ms - pending->alike_since_ms >= SETTLE_MS) ||
            now_ms - pending->since_ms >= WAIT_MS)
            end(keeper, at);
        else
            at = &pending->next;
    }
    pthread_mutex_unlock(&keeper->guard);
}

unsigned salt_published(struct salt_keeper *keeper, const struct salt_entry *entry, uint16_t ids[SALT_NAMES_MAX - 1])
{
    const struct salt_pending *pending = *place_of(keeper, entry->base);
    unsigned count = 0;

    if (pending == NULL) {
        if (entry->count > 0) memcpy(ids, entry->ids, entry->count * sizeof(*ids));
        return entry->count;
    }
    for (unsigned i = 0; i < pending->count; i++)
        if (salt_entry_leads(entry, pending->ids[i])) ids[count++] = pending->ids[i];
    return count;
}

void salt_keeper_withhold(struct salt_keeper *keeper, struct bytes base, struct client *client)
{
    struct salt_pending *pending;

    pthread_mutex_lock(&keeper->guard);
    pending = *place_of(keeper, base);
    if (pending != NULL && !client_is_withheld(client)) withheld_list_add(&pending->withheld, client_withhold(client));
    pthread_mutex_unlock(&keeper->guard);
}

void salt_keeper_release(struct salt_keeper *keeper)
{
    pthread_mutex_lock(&keeper->guard);
    while (keeper->pending != NULL) end(keeper, &keeper->pending);
    pthread_mutex_unlock(&keeper->guard);
}
