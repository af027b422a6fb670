/* salt/base_map.h
 *
 * Finds what is kept of a base by its key: a small hash of links that sit inside the structs they chain. */
#pragma once

#include "base/bytes.h"
#include "base/list.h"

#define BASE_MAP_BUCKETS 1024u

struct base_link {
    struct base_link *next;
    struct bytes key; /* of the struct around it */
};

struct base_map {
    struct base_link *buckets[BASE_MAP_BUCKETS];
    size_t count;
};

struct base_link *base_map_find(const struct base_map *map, struct bytes key);
/* The link's key is set, and not there yet. */
void base_map_add(struct base_map *map, struct base_link *link);
void base_map_remove(struct base_map *map, struct base_link *link);

/* One after the other, in no order: pass NULL first; NULL after the last. The one that was given last may have been removed, but not freed. */
struct base_link *base_map_next(const struct base_map *map, const struct base_link *former);

/* All of them; `at` may be removed and freed in the body. */
#define base_map_each(at, map)                                                                                         \
    for (struct base_link *at = base_map_next(map, NULL), *at##_next = at ? base_map_next(map, at) : NULL; at != NULL; \
         at = at##_next, at##_next = at ? base_map_next(map, at) : NULL)
