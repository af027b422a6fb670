#include "salt/base_map.h"

#include "base/hash.h"

static size_t bucket_of(struct bytes key)
{
    return (size_t)(hash_bytes(key) % BASE_MAP_BUCKETS);
}

struct base_link *base_map_find(const struct base_map *map, struct bytes key)
{
    struct base_link *link;

    if (map->count == 0) return NULL;
    for (link = map->buckets[bucket_of(key)]; link != NULL && !bytes_equal(link->key, key);) link = link->next;
    return link;
}

void base_map_add(struct base_map *map, struct base_link *link)
{
    struct base_link **bucket = &map->buckets[bucket_of(link->key)];

    link->next = *bucket;
    *bucket = link;
    map->count++;
}

void base_map_remove(struct base_map *map, struct base_link *link)
{
    struct base_link **at = &map->buckets[bucket_of(link->key)];

    while (*at != link) at = &(*at)->next;
    *at = link->next;
    map->count--;
}

struct base_link *base_map_next(const struct base_map *map, const struct base_link *former)
{
    if (former != NULL && former->next != NULL) return former->next;
    for (size_t b = former != NULL ? bucket_of(former->key) + 1 : 0; b < BASE_MAP_BUCKETS && map->count > 0; b++)
        if (map->buckets[b] != NULL) return map->buckets[b];
    return NULL;
}
