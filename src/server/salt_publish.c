/* server/salt_publish.c: a name is told to clients when the nodes know it, for until then it is a key that is not there on the node that has its slot.
 *
 *     SALT star 8     the entry has the names at once, and home takes them; the reply waits
 *     SALT star       meanwhile: the names that there were, as far as they still lead to the key
 *     then            the reply goes, and `salted` is said
 *
 * That all have what we have is what they say with each message (cluster/shared.h). Then it takes milliseconds until a node has placed the marks, and this
 * is how home hears of it: who has a name for the first time joins (salt/home.h) after that, and is sent the value. Who had names before need not, and for
 * those SETTLE_MS is left. Who does not say so in time is not waited for any longer: whoever cannot be reached is of no use to clients either. */
#include "server/salt_keeper_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "cluster/owner.h"
#include "server/events.h"
#include "server/salt_home.h"

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
    pthread_mutex_lock(&keeper->wake_lock);
    keeper->publishes = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->wake_lock);
}

/* --- Whose nodes have copies --- */

struct holders {
    size_t count;
    char ids[HOME_HELPERS_MAX][SALT_NODE_ID_BYTES + 1];
};

static void note_holder(void *context, const char *node_id, bool linked, enum home_holding holding)
{
    struct holders *holders = context;

    if (linked && holding == HOME_HAS) memcpy(holders->ids[holders->count++], node_id, SALT_NODE_ID_BYTES + 1);
}

static struct owner owner_of_name(const struct salt_keeper *keeper, const struct salt_entry *entry, unsigned id)
{
    uint16_t slot = salt_name_slot(entry->base, entry->separator, id);

    return owner_unpack(slot_owner(keyspace_slot(keeper->node->keyspace, slot)));
}

static bool holds(const struct salt_keeper *keeper, const struct holders *holders, uint16_t node)
{
    struct cluster_node_info info;
    struct effects *effects;
    bool is_known = cluster_node_by_index(bus_lock(keeper->node->bus, &effects), node, &info);

    bus_unlock(keeper->node->bus);
    for (size_t i = 0; is_known && i < holders->count; i++)
        if (strcmp(holders->ids[i], info.id) == 0) return true;
    return false;
}

/* Has the node joined for a name that there was before? */
static bool had_name(const struct salt_keeper *keeper, const struct salt_entry *entry,
                     const struct salt_pending *pending, uint16_t node)
{
    for (unsigned i = 0; i < pending->count; i++) {
        struct owner owner = owner_of_name(keeper, entry, pending->ids[i]);

        if (owner.state == OWNER_ELSEWHERE && owner.node == node) return true;
    }
    for (unsigned i = 0; i < entry->retired_count; i++) {
        struct owner owner = owner_of_name(keeper, entry, entry->retired[i].id);

        if (owner.state == OWNER_ELSEWHERE && owner.node == node) return true;
    }
    return false;
}

/* Has each node that has a new name joined for it, and been sent the value? */
static bool is_at_helpers(const struct salt_keeper *keeper, const struct salt_pending *pending)
{
    const struct salt_entry *entry = salt_registry_find(keeper->registry, pending->base);
    struct holders *holders;
    bool is = true;

    if (entry == NULL || keeper->node->salt_home == NULL) return false;
    holders = alloc_zeroed(sizeof(*holders));
    salt_home_each_helper(keeper->node->salt_home, entry->base, note_holder, holders);
    for (unsigned i = 0; i < entry->count && is; i++) {
        struct owner owner = owner_of_name(keeper, entry, entry->ids[i]);

        if (is_among(pending->ids, pending->count, entry->ids[i]) || owner.state == OWNER_HERE) continue;
        is = owner.state == OWNER_ELSEWHERE && !had_name(keeper, entry, pending, owner.node) &&
             holds(keeper, holders, owner.node);
    }
    alloc_free(holders);
    return is;
}

/* --- */

static void end(struct salt_keeper *keeper, struct salt_pending **at)
{
    struct salt_pending *pending = *at;

    *at = pending->next;
    tell(keeper, pending->base);
    withheld_list_release(&pending->withheld);
    alloc_free((void *)(uintptr_t)pending->base.data);
    alloc_free(pending);
}

bool salt_publish_look(struct salt_keeper *keeper)
{
    int64_t now_ms = clock_monotonic_ms();
    bool alike, any;

    pthread_mutex_lock(&keeper->guard);
    alike = keeper->pending != NULL && bus_shared_is_everywhere(keeper->node->bus);
    for (struct salt_pending **at = &keeper->pending; *at != NULL;) {
        struct salt_pending *pending = *at;

        if (alike && pending->alike_since_ms == 0) pending->alike_since_ms = now_ms;
        if (alike && is_at_helpers(keeper, pending)) {
            keeper->told_with_copies++;
            end(keeper, at);
            continue;
        }
        /* Another item that is on its way keeps nothing back that all had before it came. */
        if ((pending->alike_since_ms != 0 && now_ms - pending->alike_since_ms >= SETTLE_MS) ||
            now_ms - pending->since_ms >= WAIT_MS) {
            keeper->told_by_time++;
            end(keeper, at);
            continue;
        }
        at = &pending->next;
    }
    any = keeper->pending != NULL;
    pthread_mutex_unlock(&keeper->guard);
    return any;
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
    if (pending != NULL) withheld_list_add(&pending->withheld, client_withhold(client));
    pthread_mutex_unlock(&keeper->guard);
}

void salt_publish_end(struct salt_keeper *keeper)
{
    pthread_mutex_lock(&keeper->guard);
    while (keeper->pending != NULL) end(keeper, &keeper->pending);
    pthread_mutex_unlock(&keeper->guard);
}
