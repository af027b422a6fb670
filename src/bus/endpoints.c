#include "bus/endpoints.h"

#include "base/alloc.h"
#include "base/lock.h"

#include <stdio.h>
#include <string.h>

struct endpoint {
    char text[256];
    uint16_t port;
};

/* The table grows with the indexes the core hands out and keeps the nodes that are gone. */
struct endpoints {
    struct lock lock; /* guards the next two */
    struct endpoint **items;
    size_t count;
};

struct endpoints *endpoints_new(void)
{
    return alloc_zeroed(sizeof(struct endpoints));
}

void endpoints_free(struct endpoints **endpoints_pointer)
{
    struct endpoints *endpoints = *endpoints_pointer;

    *endpoints_pointer = NULL;
    if (endpoints == NULL) return;
    for (size_t i = 0; i < endpoints->count; i++) alloc_free(endpoints->items[i]);
    alloc_free(endpoints->items);
    alloc_free(endpoints);
}

static void endpoint_text(const struct cluster_options *options, const struct cluster_node_info *info, char out[256])
{
    switch (options->preferred_endpoint) {
    case ENDPOINT_IP:
        snprintf(out, 256, "%s", info->ip);
        return;
    case ENDPOINT_HOSTNAME:
        snprintf(out, 256, "%s", info->hostname[0] != '\0' ? info->hostname : "?");
        return;
    case ENDPOINT_UNKNOWN:
        out[0] = '\0';
        return;
    }
}

static struct endpoint *endpoint_at(struct endpoints *endpoints, uint16_t index)
{
    if (index >= endpoints->count) {
        size_t count = (size_t)index + 16;

        endpoints->items = alloc_resize(endpoints->items, count * sizeof *endpoints->items);
        memset(endpoints->items + endpoints->count, 0, (count - endpoints->count) * sizeof *endpoints->items);
        endpoints->count = count;
    }
    if (endpoints->items[index] == NULL) endpoints->items[index] = alloc_zeroed(sizeof **endpoints->items);
    return endpoints->items[index];
}

void endpoints_publish(struct endpoints *endpoints, const struct cluster *cluster)
{
    const struct cluster_options *options = cluster_current_options(cluster);
    struct cluster_node_info info;

    lock_take(&endpoints->lock);
    for (size_t n = 0; cluster_node_at(cluster, n, &info); n++) {
        struct endpoint *endpoint = endpoint_at(endpoints, info.index);

        endpoint_text(options, &info, endpoint->text);
        endpoint->port = info.port;
    }
    lock_release(&endpoints->lock);
}

void endpoints_find(struct endpoints *endpoints, uint16_t node, char endpoint[256], uint16_t *port)
{
    endpoint[0] = '\0';
    *port = 0;
    lock_take(&endpoints->lock);
    if (node < endpoints->count && endpoints->items[node] != NULL) {
        memcpy(endpoint, endpoints->items[node]->text, sizeof endpoints->items[node]->text);
        *port = endpoints->items[node]->port;
    }
    lock_release(&endpoints->lock);
}
