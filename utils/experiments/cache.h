/* utils/experiments/cache.h
 *
 * A cache as an application sees it: a client library with connections to one node, or to two that divide the keys, and that follows
 * redirects. Either its tasks share a few connections, as with multiplexing libraries, or each command takes a free one from a pool. */
#pragma once

#include "conn.h"

#include <stdint.h>

#define CACHE_NODES_MAX 2u
#define CACHE_CONNECTIONS_MAX 512u
#define CACHE_GROUPS_MAX 16u

struct cache_node {
    int port;
    struct conn *conns[CACHE_CONNECTIONS_MAX]; /* pooled: the free ones */
    unsigned conn_count;
};

struct cache {
    struct cache_node nodes[CACHE_NODES_MAX];
    unsigned node_count, connections;
    bool is_pooled;
    unsigned owner[CACHE_GROUPS_MAX]; /* where the keys of a group were last */
    uint64_t redirects;
};

void cache_open(struct cache *cache, const int *ports, unsigned nodes, unsigned connections, bool is_pooled);
void cache_close(struct cache *cache);

/* Within a task. Asks for a key of a group (keys of one group are always on one node), following MOVED, ASK and TRYAGAIN. Other errors end the
 * program. Free the reply with freeReplyObject(). */
redisReply *cache_ask(struct cache *cache, unsigned group, const char *format, ...);
/* The same, freeing the reply. */
void cache_tell(struct cache *cache, unsigned group, const char *format, ...);
