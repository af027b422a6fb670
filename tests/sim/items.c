/* sim/items.c: see the header. */
#include "sim/items.h"

#include "base/alloc.h"
#include "base/random.h"

#include <stdio.h>
#include <string.h>

#define NAMES 40

struct items {
    struct random random;
    struct sim *sim;
    size_t nodes;
    struct shared_version (*at)[NAMES]; /* each node's */
    struct shared_version last[NAMES];  /* that are to be everywhere */
    uint64_t count;
    char text[SHARED_TEXT_BYTES_MAX];
};

struct items *items_new(uint64_t seed, size_t nodes)
{
    struct items *items = alloc_zeroed(sizeof(*items));

    random_seed(&items->random, seed ^ UINT64_C(0x1735));
    items->nodes = nodes;
    items->at = alloc_zeroed(nodes * sizeof(*items->at));
    return items;
}

void items_free(struct items **items)
{
    alloc_free((*items)->at);
    alloc_free(*items);
    *items = NULL;
}

void items_attach(struct items *items, struct sim *sim)
{
    items->sim = sim;
}

static struct bytes name_of(size_t n, char name[16])
{
    snprintf(name, 16, "item %zu", n);
    return bytes_of(name);
}

static size_t number_of(struct bytes name)
{
    char text[16] = "";
    size_t n = NAMES;

    if (name.len < sizeof(text)) memcpy(text, name.data, name.len);
    return sscanf(text, "item %zu", &n) == 1 && n < NAMES ? n : NAMES;
}

static struct shared_version version_at(const struct items *items, size_t node, size_t n)
{
    char name[16];
    struct shared_item item = { 0 };

    cluster_shared_find(sim_core(items->sim, node), SHARED_POLICY, name_of(n, name), &item);
    return item.version;
}

static void go_on_to(struct items *items, size_t node, size_t n, const struct shared_version *version)
{
    struct shared_version here = version_at(items, node, n);

    if (shared_version_compare(version, &items->at[node][n]) <= 0)
        sim_broken(items->sim, node, "an item goes back to an earlier version");
    if (shared_version_compare(version, &here) > 0) sim_broken(items->sim, node, "an item that came is not there");
    items->at[node][n] = *version;
}

void items_came(void *context, size_t node, const struct shared_item *item)
{
    struct items *items = context;
    size_t n = number_of(item->name);

    if (n == NAMES || item->kind != SHARED_POLICY) sim_broken(items->sim, node, "an item came that nobody has set");
    go_on_to(items, node, n, &item->version);
}

void items_started(struct items *items, size_t node)
{
    for (size_t n = 0; n < NAMES; n++) items->at[node][n] = version_at(items, node, n);
}

/* Another one each time, now and then as long as may be. */
static struct bytes draw_text(struct items *items)
{
    size_t len = 16;

    memset(items->text, 'x', sizeof(items->text));
    snprintf(items->text, 16, "%llu", (unsigned long long)++items->count);
    if (random_below(&items->random, 4) == 0) len = sizeof(items->text);
    return (struct bytes){ items->text, len };
}

void items_set(struct items *items, size_t node)
{
    char name[16];
    size_t n = random_below(&items->random, NAMES);
    struct shared_item item = { .kind = SHARED_POLICY, .name = name_of(n, name) }, here;
    bool was_there = cluster_shared_find(sim_core(items->sim, node), SHARED_POLICY, item.name, &here) && !here.is_gone;
    cluster_error error;

    item.is_gone = random_below(&items->random, 3) == 0;
    if (!item.is_gone) item.text = draw_text(items);
    if (!cluster_share_item(sim_core(items->sim, node), SHARE_LATEST, &item, sim_node_now(items->sim, node), error))
        sim_broken(items->sim, node, error);
    if (item.is_gone && !was_there) return;
    sim_note(items->sim, node, "%s %s, version %llu.%llu", name, item.is_gone ? "is deleted" : "is set",
             (unsigned long long)item.version.time_ms, (unsigned long long)item.version.number);
    for (size_t i = 0; i < NAMES; i++)
        if (shared_version_compare(&item.version, &items->at[node][i]) <= 0)
            sim_broken(items->sim, node, "what is set is not later than what was there");
    if (!cluster_shared_find(sim_core(items->sim, node), SHARED_POLICY, item.name, &here) ||
        here.is_gone != item.is_gone || !bytes_equal(here.text, item.text))
        sim_broken(items->sim, node, "what is set is not there");
    go_on_to(items, node, n, &item.version);
}

void items_set_somewhere(struct items *items)
{
    size_t node = random_below(&items->random, sim_count(items->sim));

    if (sim_is_running(items->sim, node) && !sim_is_paused(items->sim, node)) items_set(items, node);
}

void items_remember(struct items *items)
{
    for (size_t node = 0; node < sim_count(items->sim); node++)
        for (size_t n = 0; n < NAMES; n++)
            if (shared_version_compare(&items->at[node][n], &items->last[n]) > 0) items->last[n] = items->at[node][n];
}

const char *items_check(struct items *items)
{
    for (size_t node = 0; node < sim_count(items->sim); node++)
        for (size_t n = 0; n < NAMES; n++) {
            struct shared_version here = version_at(items, node, n);

            if (shared_version_compare(&here, &items->last[n]) != 0) return "an item is not everywhere the latest";
            if (shared_version_compare(&here, &items->at[node][n]) != 0) return "an item changed without a word";
        }
    return NULL;
}
