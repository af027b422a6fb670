/* server/salt_spread_look.c: on the keeper's thread: which salted keys are spread, where they are at home; and what every node has to know of all that are. */
#include "server/salt_spread_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "salt/copies.h"
#include "server/salt_home.h"
#include "server/salt_keeper_internal.h"

#include <stdlib.h>
#include <string.h>

/* Of the keeper's ticks, of which ten make a second. */
#define DECIDE_EVERY_TICKS 10u
/* So long after all have the entry they act by it; and so long they have to get it. */
#define KNOWN_TICKS 3u
#define KNOWN_TICKS_MAX 30u
#define WIRE_FLAGS_FAILED                                                                                              \
    (4u | 8u) /* also one that only this node takes for failed: a client is better led to another */

static struct owner owner_of(const struct node *node, uint16_t slot)
{
    return owner_unpack(slot_owner(keyspace_slot(node->keyspace, slot)));
}

static struct bytes copied(struct bytes key)
{
    char *copy = alloc(key.len + 1);

    if (key.len > 0) memcpy(copy, key.data, key.len);
    return (struct bytes){ copy, key.len };
}

/* --- What is to be spread --- */

static struct spread_base *base_of(struct salt_spread *spread, struct bytes base)
{
    for (size_t i = 0; i < spread->base_count; i++)
        if (bytes_equal(spread->bases[i].base, base)) return &spread->bases[i];
    spread->bases = alloc_resize(spread->bases, (spread->base_count + 1) * sizeof(*spread->bases));
    spread->bases[spread->base_count] = (struct spread_base){ .base = copied(base) };
    return &spread->bases[spread->base_count++];
}

static void drop_unseen(struct salt_spread *spread)
{
    size_t kept = 0;

    for (size_t i = 0; i < spread->base_count; i++) {
        if (spread->bases[i].is_seen)
            spread->bases[kept++] = spread->bases[i];
        else
            alloc_free((void *)(uintptr_t)spread->bases[i].base.data);
    }
    spread->base_count = kept;
    for (size_t i = 0; i < kept; i++) spread->bases[i].is_seen = false;
}

static void note_copy(void *context, const char *node_id, bool linked, enum home_holding holding)
{
    (void)node_id;
    if (linked && holding == HOME_HAS) *(bool *)context = true;
}

/* Not before somebody has a copy; a value too long to have one is never spread. Once it is spread it stays so while a copy is renewed. */
static bool has_copies(const struct node *node, struct bytes base)
{
    struct slot *slot = keyspace_slot(node->keyspace, key_slot(base));
    const struct entry *entry;
    bool is_short, has = false;

    slot_lock(slot);
    entry = slot_peek(slot, base, clock_now_ms());
    is_short = entry != NULL && entry_value(entry).len <= COPY_VALUE_BYTES_MAX;
    slot_unlock(slot);
    if (is_short) salt_home_each_helper(node->salt_home, base, note_copy, &has);
    return has;
}

static bool is_too_long(const struct node *node, struct bytes base)
{
    struct slot *slot = keyspace_slot(node->keyspace, key_slot(base));
    const struct entry *entry;
    bool is_long;

    slot_lock(slot);
    entry = slot_peek(slot, base, clock_now_ms());
    is_long = entry != NULL && entry_value(entry).len > COPY_VALUE_BYTES_MAX;
    slot_unlock(slot);
    return is_long;
}

static bool is_wanted(struct salt_spread *spread, const struct salt_entry *entry)
{
    struct spread_base *base = base_of(spread, entry->base);
    struct salt_share_counts counts = salt_home_take_counts(spread->node->salt_home, entry->base);

    base->is_seen = true;
    base->is_paused = !salt_share_admits(&base->share, &counts, !base->is_paused);
    if (base->is_paused) return false;
    return entry->spread ? !is_too_long(spread->node, entry->base) : has_copies(spread->node, entry->base);
}

static void decide(struct salt_keeper *keeper, struct salt_spread *spread)
{
    struct node *node = keeper->node;
    bool is_on = config_int(node->config, salt_spread) != 0;

    pthread_mutex_lock(&keeper->guard);
    for (size_t i = 0; i < salt_registry_count(keeper->registry); i++) {
        const struct salt_entry *entry = salt_registry_at(keeper->registry, i);
        struct owner owner = owner_of(node, key_slot(entry->base));
        bool wanted;

        /* While the slot is on its way nothing changes: its next home decides. */
        if (owner.state != OWNER_HERE || owner.flags != 0) continue;
        if (!is_on && !entry->spread) continue;
        wanted = is_on && entry->mode == SALT_MODE_NAMES && entry->count > 0 && is_wanted(spread, entry);
        if (wanted != entry->spread) salt_change_spread(keeper, entry->base, wanted);
    }
    pthread_mutex_unlock(&keeper->guard);
    drop_unseen(spread);
}

/* --- What all are to know --- */

struct member {
    uint64_t number;
    uint16_t index;
    bool may; /* be told to clients */
};

struct drawing {
    struct salt_spread *spread;
    bool alike;             /* all nodes have heard of what this one has said */
    struct member *members; /* this node first */
    size_t member_count;
    struct spread_place *places;
    size_t count, cap;
};

static void list_members(struct drawing *drawing)
{
    const struct node *node = drawing->spread->node;
    struct effects *effects;
    const struct cluster *cluster = bus_lock(node->bus, &effects);
    struct cluster_node_info info;

    drawing->members = alloc((cluster_node_count(cluster) + 1) * sizeof(*drawing->members));
    for (size_t n = 0; cluster_node_at(cluster, n, &info); n++)
        drawing->members[drawing->member_count++] =
            (struct member){ .number = salt_spread_node(info.id),
                             .index = info.index,
                             .may = n == 0 || (info.is_kin && (info.flags & WIRE_FLAGS_FAILED) == 0) };
    bus_unlock(node->bus);
}

static const struct member *owner_among(const struct drawing *drawing, uint16_t slot)
{
    struct owner owner = owner_of(drawing->spread->node, slot);

    if (owner.state == OWNER_HERE) return &drawing->members[0];
    for (size_t i = 0; owner.state == OWNER_ELSEWHERE && i < drawing->member_count; i++)
        if (drawing->members[i].index == owner.node) return &drawing->members[i];
    return NULL;
}

static void add_node(struct spread_place *place, const struct member *member)
{
    for (unsigned i = 0; i < place->count; i++)
        if (place->nodes[i].index == member->index) return;
    place->nodes[place->count++] = (struct spread_node){ member->number, member->index };
}

/* The nodes of one entry; false where there is nobody but its home. */
static bool draw(const struct drawing *drawing, const struct salt_entry *entry, struct spread_place *place)
{
    const struct member *home = owner_among(drawing, key_slot(entry->base));

    *place = (struct spread_place){ .slot = key_slot(entry->base), .epoch = entry->epoch };
    if (home == NULL) return false;
    place->is_home = home == &drawing->members[0];
    add_node(place, home);
    for (unsigned i = 0; i < entry->count; i++) {
        const struct member *member =
            owner_among(drawing, salt_name_slot(entry->base, entry->separator, entry->ids[i]));

        if (member != NULL && member->may) add_node(place, member);
    }
    return place->count > 1;
}

static bool has_place(const struct drawing *drawing, uint16_t slot)
{
    for (size_t i = 0; i < drawing->count; i++)
        if (drawing->places[i].slot == slot) return true;
    return false;
}

/* To whom others have not heard of it nobody is led, for they would send him back. Who cannot be reached is not waited for. */
static bool is_known(const struct drawing *drawing, const struct salt_entry *entry)
{
    struct spread_base *base = base_of(drawing->spread, entry->base);

    if (base->epoch != entry->epoch) {
        base->epoch = entry->epoch;
        base->waited = base->alike = 0;
    }
    if (base->waited < KNOWN_TICKS_MAX) base->waited++;
    if (drawing->alike && base->alike < KNOWN_TICKS) base->alike++;
    if (base->alike == KNOWN_TICKS || base->waited == KNOWN_TICKS_MAX) return true;
    drawing->spread->awaits_others = true;
    return false;
}

static void draw_entry(void *context, const struct salt_entry *entry)
{
    struct drawing *drawing = context;
    struct spread_place place;

    if (!entry->spread || has_place(drawing, key_slot(entry->base)) || !draw(drawing, entry, &place)) return;
    place.base = copied(entry->base);
    place.is_known = !place.is_home || is_known(drawing, entry);
    if (drawing->count == drawing->cap) {
        drawing->cap = drawing->cap == 0 ? 8 : drawing->cap * 2;
        drawing->places = alloc_resize(drawing->places, drawing->cap * sizeof(*drawing->places));
    }
    drawing->places[drawing->count++] = place;
}

static int by_slot(const void *a, const void *b)
{
    return (int)((const struct spread_place *)a)->slot - (int)((const struct spread_place *)b)->slot;
}

static bool has_node(const struct spread_place *place, uint16_t index)
{
    for (unsigned i = 0; i < place->count; i++)
        if (place->nodes[i].index == index) return true;
    return false;
}

static uint64_t word_of(const struct drawing *drawing, const struct spread_place *place)
{
    uint64_t word = (slot_hash(place->base) & SALT_SPREAD_HASH) | salt_spread_bit(place->slot, place->epoch);

    if (place->is_home) return word | SALT_SPREAD_HOME | (place->is_known ? SALT_SPREAD_TOLD : 0);
    return has_node(place, drawing->members[0].index) ? word | SALT_SPREAD_HELPER : 0;
}

/* A word that stays is never taken away meanwhile: who is sent home by a helper that knew of nothing for a moment stays there. */
static int set_words(const struct drawing *drawing)
{
    struct salt_spread *spread = drawing->spread;
    uint64_t *words = alloc_zeroed(SLOT_COUNT * sizeof(*words));
    int count = 0;

    /* Of keys of this home that are not spread, for now, reads are counted. */
    for (size_t i = 0; i < spread->base_count; i++)
        words[key_slot(spread->bases[i].base)] =
            (slot_hash(spread->bases[i].base) & SALT_SPREAD_HASH) | SALT_SPREAD_HOME;
    for (size_t i = 0; i < drawing->count; i++) words[drawing->places[i].slot] = word_of(drawing, &drawing->places[i]);
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        count += words[slot] != 0;
        if (words[slot] != salt_spread_word(spread, slot))
            atomic_store_explicit(&spread->words[slot], words[slot], memory_order_relaxed);
    }
    alloc_free(words);
    return count;
}

static void put_up(struct drawing *drawing)
{
    struct salt_spread *spread = drawing->spread;
    struct spread_place *former;
    size_t former_count;

    if (drawing->count > 0) qsort(drawing->places, drawing->count, sizeof(*drawing->places), by_slot);
    lock_take(&spread->lock);
    former = spread->places;
    former_count = spread->count;
    spread->places = drawing->places;
    spread->count = drawing->count;
    lock_release(&spread->lock);
    atomic_store_explicit(&spread->node->salt_spreads, set_words(drawing), memory_order_relaxed);
    for (size_t i = 0; i < former_count; i++) alloc_free((void *)(uintptr_t)former[i].base.data);
    alloc_free(former);
}

/* Has something changed, or may have without a word of it? */
static bool is_due(struct salt_keeper *keeper, struct salt_spread *spread, bool is_time)
{
    bool owners_changed = atomic_exchange_explicit(&spread->owners_changed, false, memory_order_relaxed);
    bool changed;

    pthread_mutex_lock(&keeper->guard);
    changed = spread->changes_seen != keeper->changes;
    spread->changes_seen = keeper->changes;
    pthread_mutex_unlock(&keeper->guard);
    return is_time || owners_changed || changed || spread->awaits_others;
}

void salt_spread_look(struct salt_keeper *keeper)
{
    struct salt_spread *spread = keeper->node->salt_spread;
    struct drawing drawing = { .spread = spread };
    bool is_time;

    if (spread == NULL || !atomic_load_explicit(&spread->has_begun, memory_order_acquire)) return;
    is_time = spread->tick++ % DECIDE_EVERY_TICKS == 0;
    if (is_time) decide(keeper, spread);
    if (!is_due(keeper, spread, is_time)) return;
    spread->awaits_others = false;
    drawing.alike = bus_shared_is_everywhere(keeper->node->bus);
    list_members(&drawing);
    salt_keeper_show_all(keeper, draw_entry, &drawing);
    if (drawing.count > 0 || spread->base_count > 0 || atomic_load(&keeper->node->salt_spreads) > 0) put_up(&drawing);
    alloc_free(drawing.members);
}
