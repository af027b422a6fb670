#include "salt/choose.h"

#include "base/alloc.h"
#include "salt/name.h"

#include <stdlib.h>

struct choice {
    uint16_t *counts; /* names of each node */
    unsigned floor, more;
};

/* May the node have another name? Each has the floor before the rest is shared out, but for nodes of so few slots that no name leads there. */
static bool has_room(const struct choice *choice, uint16_t node, unsigned most)
{
    return choice->counts[node] < most && (choice->counts[node] < choice->floor || choice->more > 0);
}

static void count(struct choice *choice, uint16_t node)
{
    if (choice->counts[node] >= choice->floor && choice->more > 0) choice->more--;
    choice->counts[node]++;
}

static int ascending(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static bool is_among(const uint16_t *ids, unsigned count, unsigned id)
{
    for (unsigned i = 0; i < count; i++)
        if (ids[i] == id) return true;
    return false;
}

unsigned salt_choose(struct bytes base, char separator, unsigned n, const struct salt_map *map,
                     bool (*taken)(void *context, unsigned id), void *context, uint16_t ids[SALT_NAMES_MAX - 1])
{
    struct choice choice;
    uint16_t home = map->node_of[key_slot(base)];
    unsigned chosen = 0, ceil;

    if (map->node_count == 0) return 0;
    choice.counts = alloc_zeroed(map->node_count * sizeof(*choice.counts));
    choice.floor = n / map->node_count;
    choice.more = n % map->node_count;
    ceil = choice.floor + (choice.more > 0);
    if (home != SALT_NO_NODE) count(&choice, home);
    /* Once as it ought to be; then, where a node can have no more names, the others have them. */
    for (unsigned most = ceil; chosen < n - 1 && most <= n; most++) {
        for (unsigned id = 1; chosen < n - 1 && id <= SALT_ID_MAX; id++) {
            uint16_t node = map->node_of[salt_name_slot(base, separator, id)];

            if (node == SALT_NO_NODE || !has_room(&choice, node, most)) continue;
            if (most > ceil && is_among(ids, chosen, id)) continue;
            if (taken != NULL && taken(context, id)) continue;
            ids[chosen++] = (uint16_t)id;
            count(&choice, node);
        }
        choice.more = n;
    }
    qsort(ids, chosen, sizeof(*ids), ascending);
    alloc_free(choice.counts);
    return chosen;
}

unsigned salt_misplaced(struct bytes base, char separator, const uint16_t *ids, unsigned count,
                        const struct salt_map *map)
{
    unsigned n = count + 1, lost = 0, above = 0, below = 0, floor, ceil;
    uint16_t *counts;

    if (map->node_count == 0) return 0;
    counts = alloc_zeroed(map->node_count * sizeof(*counts));
    for (unsigned i = 0; i < n; i++) {
        uint16_t node = map->node_of[i == 0 ? key_slot(base) : salt_name_slot(base, separator, ids[i - 1])];

        if (node == SALT_NO_NODE)
            lost++;
        else
            counts[node]++;
    }
    floor = n / map->node_count;
    ceil = floor + (n % map->node_count > 0);
    for (unsigned i = 0; i < map->node_count; i++) {
        if (counts[i] > ceil) above += counts[i] - ceil;
        if (counts[i] < floor) below += floor - counts[i];
    }
    alloc_free(counts);
    return 2 * lost + (above > below ? above : below);
}
