/* server/salt_keeper.c: see salt_keeper.h for what it is for; which nodes may have names is in salt_map.c, how many a policy asks for in
 * salt_auto.c. */
#include "server/salt_keeper_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "cluster/owner.h"
#include "salt/marks.h"
#include "server/events.h"
#include "server/salt_spread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS 100
#define PUBLISH_LOOK_MS 10
#define EXPIRE_EVERY_TICKS 5u
#define MAP_EVERY_TICKS 5u
#define LEASE_EVERY_TICKS 2u

int64_t salt_keeper_now_ms(void)
{
    return clock_wall_us() / 1000;
}

bool salt_keeper_has_any(struct salt_keeper *keeper)
{
    bool any;

    pthread_mutex_lock(&keeper->guard);
    any = salt_registry_count(keeper->registry) > 0;
    pthread_mutex_unlock(&keeper->guard);
    return any;
}

bool salt_is_home(const struct salt_keeper *keeper, struct bytes base)
{
    const struct slot *slot = keyspace_slot(keeper->node->keyspace, key_slot(base));

    return owner_unpack(slot_owner(slot)).state == OWNER_HERE;
}

/* --- What follows a change; with the guard --- */

static void place(struct salt_keeper *keeper, struct salt_entry *entry)
{
    int more = salt_marks_place(keeper->node->keyspace, entry);

    atomic_fetch_add_explicit(&keeper->node->salt_marks, more, memory_order_relaxed);
    if (keeper->follower.changed != NULL) keeper->follower.changed(keeper->follower.context, entry);
}

static void entry_changed(void *context, struct salt_entry *entry)
{
    place(context, entry);
}

static void entry_forgotten(void *context, struct salt_entry *entry)
{
    struct salt_keeper *keeper = context;
    int more = salt_marks_lift(keeper->node->keyspace, entry);

    atomic_fetch_add_explicit(&keeper->node->salt_marks, more, memory_order_relaxed);
    if (keeper->follower.forgotten != NULL) keeper->follower.forgotten(keeper->follower.context, entry);
}

static void note_change(struct salt_keeper *keeper, struct salt_entry *entry)
{
    keeper->changes++;
    place(keeper, entry);
}

/* False, with the reply's error text, where there is no room. */
static bool share(struct salt_keeper *keeper, struct bytes base, struct bytes text, char error[SALT_ERROR_BYTES])
{
    struct shared_item item = { .kind = SHARED_SALT, .is_gone = text.data == NULL, .name = base, .text = text };

    _Static_assert(SALT_ERROR_BYTES == CLUSTER_ERROR_BYTES, "a reason is passed on");
    _Static_assert(SALT_KEY_BYTES_MAX <= SHARED_NAME_BYTES_MAX && SALT_TEXT_BYTES_MAX <= SHARED_TEXT_BYTES_MAX,
                   "an entry is an item");
    return bus_share_item(keeper->node->bus, SHARE_LATEST, &item, error);
}

/* --- Changing --- */

struct taken {
    const struct salt_registry *registry;
    struct bytes base;
    char separator;
};

/* A name that is a salted key itself would lead to two. */
static bool is_taken(void *context, unsigned id)
{
    const struct taken *taken = context;
    struct buf name = { 0 };
    bool is_base;

    salt_name(taken->base, taken->separator, id, &name);
    is_base = salt_registry_find(taken->registry, buf_bytes(&name)) != NULL;
    buf_free(&name);
    return is_base;
}

static char separator_of(const struct salt_keeper *keeper, const struct salt_entry *entry)
{
    char text[8] = "~";

    if (entry != NULL) return entry->separator;
    config_text_copy(keeper->node->config, CONFIG_SALT_SEPARATOR, text, sizeof(text));
    return text[0];
}

/* The entry, shared and marked; NULL, and all as it was, with the reply's error text. */
static struct salt_entry *apply(struct salt_keeper *keeper, struct bytes base, const struct salt_change *change,
                                char error[SALT_ERROR_BYTES])
{
    struct salt_entry *entry = salt_registry_find(keeper->registry, base);
    struct buf former = { 0 };
    bool ok;

    if (entry != NULL) buf_append_bytes(&former, buf_bytes(&entry->text));
    entry = salt_registry_change(keeper->registry, base, change, error);
    ok = entry != NULL;
    if (ok && !share(keeper, base, buf_bytes(&entry->text), error)) {
        char ignored[SALT_ERROR_BYTES];

        /* As it was. */
        if (former.data == NULL)
            salt_registry_forget(keeper->registry, base, entry_forgotten, keeper);
        else
            salt_registry_take(keeper->registry, base, buf_bytes(&former), 0, &entry, ignored);
        ok = false;
    }
    buf_free(&former);
    if (ok) note_change(keeper, entry);
    return ok ? entry : NULL;
}

bool salt_change(struct salt_keeper *keeper, struct bytes base, unsigned n, enum salt_mode mode, bool automatic,
                 const struct salt_map *map, char error[SALT_ERROR_BYTES])
{
    struct salt_entry *entry = salt_registry_find(keeper->registry, base);
    uint16_t ids[SALT_NAMES_MAX - 1];
    struct taken taken = { keeper->registry, base, separator_of(keeper, entry) };
    struct salt_change change = { .mode = n > 1 ? mode : SALT_MODE_NAMES,
                                  .separator = taken.separator,
                                  .automatic = automatic,
                                  .spread = entry != NULL && entry->spread,
                                  .ids = ids,
                                  .now_ms = salt_keeper_now_ms(),
                                  .grace_ms = config_int(keeper->node->config, salt_grace) * 1000 };
    uint16_t former_ids[SALT_NAMES_MAX - 1];
    unsigned former_count = 0;

    if (n > 1) change.count = salt_choose(base, taken.separator, n, map, is_taken, &taken, ids);
    if (change.count < n - 1) {
        snprintf(error, SALT_ERROR_BYTES, "ERR There are only %u names that this key can have", change.count + 1);
        return false;
    }
    if (entry == NULL && n == 1) return true;
    if (entry != NULL && entry->mode == change.mode && entry->automatic == automatic && entry->count == change.count &&
        memcmp(entry->ids, ids, change.count * sizeof(*ids)) == 0)
        return true;
    if (entry != NULL) {
        former_count = entry->count;
        memcpy(former_ids, entry->ids, sizeof(former_ids));
    }
    entry = apply(keeper, base, &change, error);
    if (entry == NULL) return false;
    salt_publish(keeper, entry, former_ids, former_count);
    return true;
}

bool salt_change_spread(struct salt_keeper *keeper, struct bytes base, bool spread)
{
    const struct salt_entry *entry = salt_registry_find(keeper->registry, base);
    uint16_t ids[SALT_NAMES_MAX - 1];
    char ignored[SALT_ERROR_BYTES];
    struct salt_change change = { .mode = entry->mode,
                                  .separator = entry->separator,
                                  .automatic = entry->automatic,
                                  .spread = spread,
                                  .ids = ids,
                                  .count = entry->count,
                                  .now_ms = salt_keeper_now_ms(),
                                  .grace_ms = config_int(keeper->node->config, salt_grace) * 1000 };

    memcpy(ids, entry->ids, sizeof(ids));
    return apply(keeper, base, &change, ignored) != NULL;
}

void salt_give_up(struct salt_keeper *keeper, struct salt_entry *entry)
{
    struct salt_change change = {
        .mode = SALT_MODE_NAMES, .separator = entry->separator, .now_ms = salt_keeper_now_ms(), .drops_retired = true
    };
    char error[SALT_ERROR_BYTES];

    if (salt_registry_change(keeper->registry, entry->base, &change, error) == NULL ||
        !share(keeper, entry->base, buf_bytes(&entry->text), error))
        log_warning("salt: other nodes are not told that a key has no names any more: %s", error);
    note_change(keeper, entry);
}

/* Has it what is asked for, where it should be? */
static bool is_so(const struct salt_keeper *keeper, struct bytes base, unsigned n, enum salt_mode mode,
                  const struct salt_map *map)
{
    const struct salt_entry *entry = salt_registry_find(keeper->registry, base);

    if (entry == NULL) return n == 1;
    if (entry->count + 1 != n || entry->automatic) return false;
    return n == 1 ||
           (entry->mode == mode && salt_misplaced(base, entry->separator, entry->ids, entry->count, map) == 0);
}

bool salt_keeper_set(struct salt_keeper *keeper, struct bytes base, unsigned n, enum salt_mode mode,
                     char error[SALT_ERROR_BYTES])
{
    struct salt_map *map = alloc(sizeof(*map));
    bool ok;

    salt_map_take(keeper->node, map);
    pthread_mutex_lock(&keeper->guard);
    ok = is_so(keeper, base, n, mode, map) || salt_change(keeper, base, n, mode, false, map, error);
    pthread_mutex_unlock(&keeper->guard);
    alloc_free(map);
    if (!ok || bus_shared_wait(keeper->node->bus)) return ok;
    snprintf(error, SALT_ERROR_BYTES, "ERR The names hold, but are not on disk: %s", strerror(errno));
    return false;
}

/* --- What other nodes say --- */

/* All items as they are now, with copies of name and text. */
struct items {
    struct item {
        size_t name, name_bytes, text, text_bytes;
    } * items;
    size_t count, cap;
    struct buf bytes;
};

static void copy_item(void *context, const struct shared_item *item)
{
    struct items *items = context;

    if (items->count == items->cap) {
        items->cap = items->cap == 0 ? 16 : items->cap * 2;
        items->items = alloc_resize(items->items, items->cap * sizeof(*items->items));
    }
    items->items[items->count++] =
        (struct item){ items->bytes.len, item->name.len, items->bytes.len + item->name.len, item->text.len };
    buf_append_bytes(&items->bytes, item->name);
    buf_append_bytes(&items->bytes, item->text);
}

static struct bytes name_of(const struct items *items, size_t n)
{
    return (struct bytes){ items->bytes.data + items->items[n].name, items->items[n].name_bytes };
}

static bool has_item(const struct items *items, struct bytes base)
{
    for (size_t i = 0; i < items->count; i++)
        if (bytes_equal(name_of(items, i), base)) return true;
    return false;
}

static void take_item(struct salt_keeper *keeper, const struct items *items, size_t n, int64_t now_ms)
{
    struct bytes base = name_of(items, n);
    struct bytes text = { items->bytes.data + items->items[n].text, items->items[n].text_bytes };
    char error[SALT_ERROR_BYTES] = "";
    struct salt_entry *entry;

    switch (salt_registry_take(keeper->registry, base, text, now_ms, &entry, error)) {
    case SALT_TAKEN:
        note_change(keeper, entry);
        if (salt_is_home(keeper, base)) keyspace_event(keeper->node, EVENT_HOT, "salted", base);
        return;
    case SALT_NOTHING:
        return;
    case SALT_FULL:
        log_warning("salt: another node has given a key names, and there are %u such keys already: here they are none",
                    SALT_ENTRIES_MAX);
        return;
    case SALT_DAMAGED:
        log_warning("salt: what another node says of the names of a key is refused: %s", error);
        return;
    }
}

/* Everything, whatever it was that came: so nothing is lost that came while nobody looked. */
static void take_over(struct salt_keeper *keeper)
{
    struct items items = { 0 };
    struct effects *effects;
    int64_t now_ms = salt_keeper_now_ms();

    pthread_mutex_lock(&keeper->guard);
    cluster_shared_each(bus_lock(keeper->node->bus, &effects), SHARED_SALT, copy_item, &items);
    bus_unlock(keeper->node->bus);
    for (size_t left = salt_registry_count(keeper->registry); left > 0; left--) {
        struct bytes base = salt_registry_at(keeper->registry, left - 1)->base;

        if (!has_item(&items, base)) salt_registry_forget(keeper->registry, base, entry_forgotten, keeper);
    }
    for (size_t i = 0; i < items.count; i++) take_item(keeper, &items, i, now_ms);
    pthread_mutex_unlock(&keeper->guard);
    alloc_free(items.items);
    buf_free(&items.bytes);
}

/* On the control loop, which must not wait for the guard. */
static void came(void *context, const struct shared_item *items, size_t count)
{
    struct salt_keeper *keeper = context;

    (void)items;
    (void)count;
    pthread_mutex_lock(&keeper->wake_lock);
    keeper->news = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->wake_lock);
}

/* --- Time --- */

/* The item goes with the entry, at home; elsewhere it is forgotten only. */
static void over(void *context, struct salt_entry *entry)
{
    struct salt_keeper *keeper = context;
    char ignored[SALT_ERROR_BYTES];

    if (salt_is_home(keeper, entry->base)) share(keeper, entry->base, BYTES_NONE, ignored);
    entry_forgotten(keeper, entry);
}

static void expire(struct salt_keeper *keeper)
{
    pthread_mutex_lock(&keeper->guard);
    salt_registry_expire(keeper->registry, salt_keeper_now_ms(), entry_changed, over, keeper);
    pthread_mutex_unlock(&keeper->guard);
}

/* True: it is to end. */
static bool rest(struct salt_keeper *keeper, int64_t for_ms, bool *news)
{
    struct timespec until;
    bool ends;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += for_ms * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&keeper->wake_lock);
    while (!keeper->news && !keeper->publishes && !keeper->ends)
        if (pthread_cond_timedwait(&keeper->wake, &keeper->wake_lock, &until) == ETIMEDOUT) break;
    *news = keeper->news;
    keeper->news = keeper->publishes = false;
    ends = keeper->ends;
    pthread_mutex_unlock(&keeper->wake_lock);
    return ends;
}

static void *run(void *context)
{
    struct salt_keeper *keeper = context;
    int64_t tick_at_ms = clock_monotonic_ms() + TICK_MS;
    unsigned tick = 0;
    bool news, is_pending = false;

    while (!rest(keeper, is_pending ? PUBLISH_LOOK_MS : TICK_MS, &news)) {
        if (news) take_over(keeper);
        is_pending = salt_publish_look(keeper);
        if (clock_monotonic_ms() < tick_at_ms) continue;
        tick_at_ms = clock_monotonic_ms() + TICK_MS;
        tick++;
        if (tick % EXPIRE_EVERY_TICKS == 0) expire(keeper);
        if (tick % MAP_EVERY_TICKS == 1) salt_map_look(keeper);
        if (tick % LEASE_EVERY_TICKS == 0) salt_lease_look(keeper);
        salt_auto_look(keeper);
        salt_spread_look(keeper);
    }
    return NULL;
}

/* --- */

static bool start_thread(struct salt_keeper *keeper)
{
    sigset_t all, former;
    bool ok;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    ok = pthread_create(&keeper->thread, NULL, run, keeper) == 0;
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return ok;
}

struct salt_keeper *salt_keeper_open(struct node *node, char error[512])
{
    struct salt_keeper *keeper = alloc_zeroed(sizeof(*keeper));
    pthread_condattr_t attributes;

    keeper->node = node;
    keeper->registry = salt_registry_new();
    keeper->lease_lower_since_ms = clock_monotonic_ms();
    pthread_mutex_init(&keeper->guard, NULL);
    pthread_mutex_init(&keeper->wake_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    bus_on_shared_items(node->bus, SHARED_SALT, came, keeper);
    take_over(keeper);
    keeper->has_thread = start_thread(keeper);
    if (keeper->has_thread) return keeper;
    snprintf(error, 512, "no thread can be started to look after salted keys: %s", strerror(errno));
    salt_keeper_close(&keeper);
    return NULL;
}

void salt_keeper_begin(struct salt_keeper *keeper)
{
    atomic_store_explicit(&keeper->has_workers, true, memory_order_release);
}

void salt_keeper_end(struct salt_keeper *keeper)
{
    if (keeper->has_thread) {
        pthread_mutex_lock(&keeper->wake_lock);
        keeper->ends = true;
        pthread_cond_signal(&keeper->wake);
        pthread_mutex_unlock(&keeper->wake_lock);
        pthread_join(keeper->thread, NULL);
        keeper->has_thread = false;
    }
    salt_publish_end(keeper);
}

void salt_keeper_close(struct salt_keeper **closed)
{
    struct salt_keeper *keeper = *closed;

    *closed = NULL;
    if (keeper == NULL) return;
    salt_keeper_end(keeper);
    salt_registry_free(&keeper->registry, entry_forgotten, keeper);
    salt_auto_free(keeper);
    pthread_cond_destroy(&keeper->wake);
    pthread_mutex_destroy(&keeper->wake_lock);
    pthread_mutex_destroy(&keeper->guard);
    alloc_free(keeper);
}

/* --- Asking --- */

unsigned salt_keeper_names(struct salt_keeper *keeper, struct bytes base, bool all, char *separator,
                           uint16_t ids[SALT_NAMES_MAX - 1])
{
    const struct salt_entry *entry;
    unsigned count = 0;

    pthread_mutex_lock(&keeper->guard);
    entry = salt_registry_find(keeper->registry, base);
    if (entry != NULL) {
        *separator = entry->separator;
        count = entry->count;
        memcpy(ids, entry->ids, sizeof(entry->ids));
        if (!all) count = salt_published(keeper, entry, ids);
    }
    pthread_mutex_unlock(&keeper->guard);
    return count;
}

bool salt_keeper_show(struct salt_keeper *keeper, struct bytes base,
                      void (*visit)(void *context, const struct salt_entry *entry), void *context)
{
    const struct salt_entry *entry;

    pthread_mutex_lock(&keeper->guard);
    entry = salt_registry_find(keeper->registry, base);
    if (entry != NULL) visit(context, entry);
    pthread_mutex_unlock(&keeper->guard);
    return entry != NULL;
}

void salt_keeper_show_all(struct salt_keeper *keeper, void (*visit)(void *context, const struct salt_entry *entry),
                          void *context)
{
    pthread_mutex_lock(&keeper->guard);
    for (size_t i = 0; i < salt_registry_count(keeper->registry); i++)
        visit(context, salt_registry_at(keeper->registry, i));
    pthread_mutex_unlock(&keeper->guard);
}

unsigned salt_keeper_factor(struct salt_keeper *keeper, struct bytes base)
{
    const struct salt_entry *entry;
    unsigned factor;

    pthread_mutex_lock(&keeper->guard);
    entry = salt_registry_find(keeper->registry, base);
    factor = entry == NULL ? 1 : entry->count + 1;
    pthread_mutex_unlock(&keeper->guard);
    return factor;
}

struct salt_counts salt_keeper_counts(struct salt_keeper *keeper)
{
    struct salt_counts counts = { 0 };

    pthread_mutex_lock(&keeper->guard);
    for (size_t i = 0; i < salt_registry_count(keeper->registry); i++) {
        const struct salt_entry *entry = salt_registry_at(keeper->registry, i);

        counts.keys += entry->count > 0;
        counts.names += entry->count;
        counts.retired += entry->retired_count;
    }
    counts.changes = keeper->changes;
    counts.told_with_copies = keeper->told_with_copies;
    counts.told_by_time = keeper->told_by_time;
    pthread_mutex_unlock(&keeper->guard);
    return counts;
}

void salt_keeper_follow(struct salt_keeper *keeper, const struct salt_follower *follower)
{
    pthread_mutex_lock(&keeper->guard);
    keeper->follower = *follower;
    for (size_t i = 0; i < salt_registry_count(keeper->registry); i++)
        follower->changed(follower->context, salt_registry_at(keeper->registry, i));
    pthread_mutex_unlock(&keeper->guard);
    /* Before a client is served it is known what a new home waits for. */
    salt_lease_look(keeper);
}
