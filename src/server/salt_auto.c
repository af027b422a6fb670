/* server/salt_auto.c: how many names a hot key has, where its policy says how many it may have (salt/factor.h decides). Of keys whose names somebody
 * has asked for with SALT nothing is changed. */
#include "server/salt_keeper_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/hotkeys.h"
#include "cache/policy.h"
#include "server/stats.h"

#include <string.h>

/* A key that is looked at: hot, or with names that a policy gave it. */
struct salt_watched {
    struct bytes base; /* owned */
    struct salt_factor state;
    struct salt_traffic traffic;
    bool is_seen; /* in this look */
};

static void drop(struct salt_watched *watched)
{
    alloc_free((void *)(uintptr_t)watched->base.data);
}

void salt_auto_free(struct salt_keeper *keeper)
{
    for (size_t i = 0; i < keeper->watched_count; i++) drop(&keeper->watched[i]);
    alloc_free(keeper->watched);
}

static struct salt_watched *watch(struct salt_keeper *keeper, struct bytes base)
{
    struct salt_watched *watched;
    char *copy;

    for (size_t i = 0; i < keeper->watched_count; i++)
        if (bytes_equal(keeper->watched[i].base, base)) return &keeper->watched[i];
    keeper->watched = alloc_resize(keeper->watched, (keeper->watched_count + 1) * sizeof(*watched));
    watched = &keeper->watched[keeper->watched_count++];
    copy = alloc(base.len + 1);
    if (base.len > 0) memcpy(copy, base.data, base.len);
    *watched = (struct salt_watched){ .base = { copy, base.len } };
    return watched;
}

static unsigned most_of(const struct salt_keeper *keeper, struct bytes base)
{
    struct policy_match matches[POLICY_FIELD_COUNT];
    int64_t most;

    policies_match(keeper->node->policies, base, matches);
    most = matches[POLICY_FIELD_SALT].value;
    return most < 1 ? 1 : most > (int64_t)SALT_NAMES_MAX ? SALT_NAMES_MAX : (unsigned)most;
}

static int64_t rate(uint64_t number)
{
    return number > INT64_MAX / 8 ? INT64_MAX / 8 : (int64_t)number;
}

static void watch_hot(struct salt_keeper *keeper)
{
    struct hot_report hot[HOTKEYS_MAX];
    size_t count = hotkeys_list(keeper->node->hotkeys, clock_now_ms(), stats_totals(keeper->node).commands, hot);

    for (size_t i = 0; i < count; i++) {
        /* One that is as long as can be shown may be longer. */
        if (hot[i].name.len < HOTKEYS_NAME_MAX && salt_is_home(keeper, hot[i].name) &&
            most_of(keeper, hot[i].name) > 1) {
            struct salt_watched *watched = watch(keeper, hot[i].name);

            watched->is_seen = true;
            watched->traffic.load = hot[i].load > 1e15 ? (int64_t)1e15 : (int64_t)hot[i].load;
            watched->traffic.reads = rate(hot[i].ops > hot[i].writes ? hot[i].ops - hot[i].writes : 0);
            watched->traffic.writes = rate(hot[i].writes);
        }
        alloc_free((void *)(uintptr_t)hot[i].name.data);
    }
}

/* Those that have cooled down. */
static void watch_named(struct salt_keeper *keeper)
{
    pthread_mutex_lock(&keeper->guard);
    for (size_t i = 0; i < salt_registry_count(keeper->registry); i++) {
        const struct salt_entry *entry = salt_registry_at(keeper->registry, i);

        if (entry->automatic && entry->count > 0 && salt_is_home(keeper, entry->base))
            watch(keeper, entry->base)->is_seen = true;
    }
    pthread_mutex_unlock(&keeper->guard);
}

static void settle(struct salt_keeper *keeper, const struct salt_watched *watched, unsigned factor)
{
    struct salt_map *map = alloc(sizeof(*map));
    char error[SALT_ERROR_BYTES];
    bool ok;

    salt_map_take(keeper->node, map);
    pthread_mutex_lock(&keeper->guard);
    ok = salt_change(keeper, watched->base, factor, SALT_MODE_NAMES, true, map, error);
    pthread_mutex_unlock(&keeper->guard);
    if (ok)
        log_notice("salt: %.*s has %u names now, by its policy", watched->base.len > 64 ? 64 : (int)watched->base.len,
                   watched->base.data, factor);
    else
        log_warning("salt: a hot key cannot have %u names: %s", factor, error);
    alloc_free(map);
}

/* False where somebody has asked for the names that it has. */
static bool is_for_policy(struct salt_keeper *keeper, struct bytes base, unsigned *factor)
{
    const struct salt_entry *entry;
    bool is_free = true;

    pthread_mutex_lock(&keeper->guard);
    entry = salt_registry_find(keeper->registry, base);
    *factor = entry == NULL ? 1 : entry->count + 1;
    if (entry != NULL && entry->count > 0) is_free = entry->automatic;
    pthread_mutex_unlock(&keeper->guard);
    return is_free;
}

void salt_auto_look(struct salt_keeper *keeper)
{
    struct node *node = keeper->node;
    size_t kept = 0;

    for (size_t i = 0; i < keeper->watched_count; i++) {
        keeper->watched[i].is_seen = false;
        keeper->watched[i].traffic = (struct salt_traffic){ 0 };
    }
    if (atomic_load_explicit(&keeper->has_workers, memory_order_acquire) && policies_count(node->policies) > 0)
        watch_hot(keeper);
    watch_named(keeper);
    for (size_t i = 0; i < keeper->watched_count; i++) {
        struct salt_watched *watched = &keeper->watched[i];
        unsigned factor, next;

        if (!watched->is_seen) {
            drop(watched);
            continue;
        }
        watched->traffic.threshold = config_int(node->config, hotkey_threshold);
        watched->traffic.now_ms = clock_monotonic_ms();
        if (is_for_policy(keeper, watched->base, &factor)) {
            next = salt_factor_next(&watched->state, &watched->traffic, factor, most_of(keeper, watched->base));
            if (next != factor) settle(keeper, watched, next);
        }
        keeper->watched[kept++] = *watched;
    }
    keeper->watched_count = kept;
}
