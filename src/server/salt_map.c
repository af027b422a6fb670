/* server/salt_map.c: which nodes may have names of salted keys, and when those have to be others. */
#include "server/salt_keeper_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/log.h"
#include "bus/bus.h"
#include "cluster/owner.h"

#include <string.h>

#define QUIET_MS 2000
#define WIRE_FLAG_FAIL 8u

struct member {
    uint16_t index;
    uint16_t number; /* in the map; SALT_NO_NODE: not yet, or never */
    bool may;
    bool is_known;   /* heard of since the start, or failed: so what it is will not change by itself */
    bool is_foreign; /* it has said that it is not of our kind */
};

struct members {
    struct member *items;
    size_t count;
};

static void list_members(const struct node *node, struct members *members)
{
    struct effects *effects;
    const struct cluster *cluster = bus_lock(node->bus, &effects);
    struct cluster_node_info info;

    *members = (struct members){ .items = alloc((cluster_node_count(cluster) + 1) * sizeof(struct member)) };
    for (size_t n = 0; cluster_node_at(cluster, n, &info); n++) {
        bool has_failed = (info.flags & WIRE_FLAG_FAIL) != 0;
        bool is_heard = info.connected && info.pong_received_ms != 0;

        members->items[members->count++] = (struct member){ .index = info.index,
                                                            .number = SALT_NO_NODE,
                                                            .may = n == 0 || (info.is_kin && !has_failed),
                                                            .is_known = n == 0 || has_failed || is_heard,
                                                            .is_foreign = n > 0 && is_heard && !info.is_kin };
    }
    bus_unlock(node->bus);
}

static struct member *find_member(const struct members *members, uint16_t index)
{
    for (size_t i = 0; i < members->count; i++)
        if (members->items[i].index == index) return &members->items[i];
    return NULL;
}

bool salt_map_take(struct node *node, struct salt_map *map)
{
    struct members members;
    struct member *last = NULL;
    bool is_known = true;

    list_members(node, &members);
    map->node_count = 0;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        struct owner owner = owner_unpack(slot_owner(keyspace_slot(node->keyspace, (uint16_t)slot)));

        map->node_of[slot] = SALT_NO_NODE;
        if (owner.state == OWNER_NOBODY) continue;
        if (owner.state == OWNER_HERE)
            last = &members.items[0];
        else if (last == NULL || last->index != owner.node)
            last = find_member(&members, owner.node);
        if (last == NULL) continue;
        if (!last->is_known) is_known = false;
        if (!last->may) continue;
        if (last->number == SALT_NO_NODE) last->number = map->node_count++;
        map->node_of[slot] = last->number;
    }
    alloc_free(members.items);
    return is_known;
}

/* --- Names that are not where they were --- */

/* Of one name too many or too few nothing is made: the spread is still even to within two names. */
static bool is_spread(const struct salt_entry *entry, const struct salt_map *map)
{
    return salt_misplaced(entry->base, entry->separator, entry->ids, entry->count, map) <= 1;
}

static void choose_anew(struct salt_keeper *keeper, const struct salt_map *map)
{
    char error[SALT_ERROR_BYTES];
    unsigned changed = 0;

    pthread_mutex_lock(&keeper->guard);
    for (size_t i = 0; i < salt_registry_count(keeper->registry); i++) {
        const struct salt_entry *entry = salt_registry_at(keeper->registry, i);
        uint64_t epoch = entry->epoch;

        if (entry->count == 0 || !salt_is_home(keeper, entry->base) || is_spread(entry, map)) continue;
        if (!salt_change(keeper, entry->base, entry->count + 1, entry->mode, entry->automatic, map, error))
            log_warning("salt: names are not chosen anew for the slots that have moved: %s", error);
        else
            changed += salt_registry_at(keeper->registry, i)->epoch != epoch;
    }
    pthread_mutex_unlock(&keeper->guard);
    if (changed > 0) log_notice("salt: slots have moved, so %u keys have other names", changed);
}

/* --- Keys that have gone where nobody knows names --- */

static uint64_t foreign_digest(const struct members *members)
{
    uint64_t digest = 1;

    for (size_t i = 0; i < members->count; i++)
        if (members->items[i].is_foreign)
            digest = crc64(digest, (struct bytes){ (const char *)&members->items[i].index, sizeof(uint16_t) });
    return digest;
}

/* We would send a client that asks for a name to the key's new node, and that one would send it back: it takes a name for a key like any
 * other. So that is what names are again. Whoever of us notices says it; it is the same that all say. */
static void give_up_abroad(struct salt_keeper *keeper, int64_t now_ms)
{
    struct members members;
    unsigned given_up = 0;
    uint64_t digest;

    list_members(keeper->node, &members);
    digest = foreign_digest(&members);
    if (digest != keeper->foreign_seen) {
        keeper->foreign_seen = digest;
        keeper->foreign_since_ms = now_ms;
    }
    pthread_mutex_lock(&keeper->guard);
    for (size_t i = 0; now_ms - keeper->foreign_since_ms >= QUIET_MS && i < salt_registry_count(keeper->registry);
         i++) {
        struct salt_entry *entry = salt_registry_at(keeper->registry, i);
        struct owner owner = owner_unpack(slot_owner(keyspace_slot(keeper->node->keyspace, key_slot(entry->base))));
        const struct member *home = owner.state == OWNER_ELSEWHERE ? find_member(&members, owner.node) : NULL;

        if (home == NULL || !home->is_foreign || entry->count + entry->retired_count == 0) continue;
        salt_give_up(keeper, entry);
        given_up++;
    }
    pthread_mutex_unlock(&keeper->guard);
    alloc_free(members.items);
    if (given_up > 0) log_notice("salt: %u keys are at nodes that know no names, and have none any more", given_up);
}

void salt_map_look(struct salt_keeper *keeper)
{
    int64_t now_ms = clock_monotonic_ms();
    struct salt_map *map;
    uint64_t digest;
    bool is_known;

    if (!salt_keeper_has_any(keeper) || !bus_state_ok(keeper->node->bus)) return;
    give_up_abroad(keeper, now_ms);
    map = alloc(sizeof(*map));
    is_known = salt_map_take(keeper->node, map);
    digest = crc64(1, (struct bytes){ (const char *)map->node_of, sizeof(map->node_of) }) | 1;
    if (digest != keeper->map_seen || !is_known) {
        keeper->map_seen = digest;
        keeper->map_changed_ms = now_ms;
    } else if (digest != keeper->map_settled && now_ms - keeper->map_changed_ms >= QUIET_MS) {
        keeper->map_settled = digest;
        choose_anew(keeper, map);
    }
    alloc_free(map);
}
