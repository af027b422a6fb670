/* cache/fill_floor.c: versions of values that are gone, for a while.
 *
 * A table of cells in a row, found by the low bits of the hash and looked at one after the other. What has run out is taken out when the table
 * would have to grow. */
#include "cache/fill_internal.h"

#include "base/alloc.h"

#include <string.h>

#define CELLS_FIRST 8u
#define CELLS_MAX (1u << 16) /* of a slot: growing it must not take long */

static uint32_t home_of(const struct slot_fills *of, uint64_t hash)
{
    return (uint32_t)hash & (of->floor_cells - 1);
}

static struct fill_floor_cell *find(const struct slot_fills *of, uint64_t hash)
{
    if (of->floor_cells == 0) return NULL;
    for (uint32_t at = home_of(of, hash);; at = (at + 1) & (of->floor_cells - 1)) {
        struct fill_floor_cell *cell = &of->floors[at];

        if (cell->version == 0) return NULL;
        if (cell->hash == hash) return cell;
    }
}

static void put(struct slot_fills *of, const struct fill_floor_cell *cell)
{
    uint32_t at = home_of(of, cell->hash);

    while (of->floors[at].version != 0) at = (at + 1) & (of->floor_cells - 1);
    of->floors[at] = *cell;
    of->floor_count++;
}

static bool is_over(const struct fill_floor_cell *cell, int64_t now_ms)
{
    return cell->until >> 1 <= now_ms;
}

static uint32_t count_live(const struct slot_fills *of, int64_t now_ms)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < of->floor_cells; i++)
        live += of->floors[i].version != 0 && !is_over(&of->floors[i], now_ms);
    return live;
}

/* Adds to what all floors take, unless that were too much. */
static bool charge(struct fills *fills, uint64_t bytes)
{
    uint64_t max = atomic_load_explicit(&fills->floor_bytes_max, memory_order_relaxed);

    if (atomic_fetch_add_explicit(&fills->floor_bytes, bytes, memory_order_relaxed) + bytes <= max) return true;
    atomic_fetch_sub_explicit(&fills->floor_bytes, bytes, memory_order_relaxed);
    return false;
}

/* Another table, of so many cells, with what has not run out. */
static void rebuild(struct slot_fills *of, uint32_t cells, int64_t now_ms)
{
    struct fill_floor_cell *former = of->floors;
    uint32_t former_cells = of->floor_cells;

    of->floors = alloc_zeroed(cells * sizeof(*of->floors));
    of->floor_cells = cells;
    of->floor_count = 0;
    for (uint32_t i = 0; i < former_cells; i++)
        if (former[i].version != 0 && !is_over(&former[i], now_ms)) put(of, &former[i]);
    alloc_free(former);
    atomic_fetch_sub_explicit(&of->fills->floor_bytes, former_cells * sizeof(*former), memory_order_relaxed);
}

/* False: there is no room for one more. */
static bool make_room(struct slot_fills *of, int64_t now_ms)
{
    uint32_t cells = CELLS_FIRST, live;

    if (of->floor_cells > 0 && of->floor_count < of->floor_cells / 4 * 3) return true;
    live = count_live(of, now_ms);
    while (cells / 2 <= live) cells *= 2; /* at most half of it is taken, so that it is long until the next time */
    if (cells > CELLS_MAX || !charge(of->fills, cells * sizeof(struct fill_floor_cell))) {
        if (live >= of->floor_cells / 4 * 3) return false;
        cells = of->floor_cells; /* without growing, then */
        atomic_fetch_add_explicit(&of->fills->floor_bytes, cells * sizeof(struct fill_floor_cell),
                                  memory_order_relaxed);
    }
    rebuild(of, cells, now_ms);
    return true;
}

struct fill_floor fill_floor(const struct slot_fills *of, uint64_t hash, int64_t now_ms)
{
    const struct fill_floor_cell *cell = find(of, hash);

    if (cell == NULL || is_over(cell, now_ms)) return (struct fill_floor){ 0, false };
    return (struct fill_floor){ .version = cell->version, .is_strict = (cell->until & 1) != 0 };
}

void fill_floor_raise(struct slot_fills *of, uint64_t hash, struct fill_floor floor, int64_t now_ms)
{
    struct fill_floor_cell *cell = find(of, hash);
    int64_t until_ms;

    of->has_versions = true;
    if (__builtin_add_overflow(now_ms, fills_floor_ttl(of->fills), &until_ms) || until_ms > INT64_MAX / 2)
        until_ms = INT64_MAX / 2;
    if (cell != NULL) {
        bool is_strict = (cell->until & 1) != 0;

        if (is_over(cell, now_ms) || floor.version > cell->version) {
            cell->version = floor.version;
            is_strict = floor.is_strict;
        } else if (floor.version == cell->version) {
            is_strict |= floor.is_strict;
        }
        cell->until = until_ms * 2 + is_strict;
        return;
    }
    if (!make_room(of, now_ms)) {
        fill_count(of, FILL_FLOOR_OVERFLOWS);
        fill_hold(of, hash, until_ms);
        return;
    }
    put(of, &(struct fill_floor_cell){ hash, floor.version, until_ms * 2 + floor.is_strict });
}

void fill_floors_free(struct slot_fills *of)
{
    atomic_fetch_sub_explicit(&of->fills->floor_bytes, of->floor_cells * sizeof(*of->floors), memory_order_relaxed);
    alloc_free(of->floors);
    of->floors = NULL;
    of->floor_cells = of->floor_count = 0;
}
