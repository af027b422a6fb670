/* utils/experiments/cache.c */
#include "cache.h"
#include "experiment.h"
#include "task.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void cache_open(struct cache *cache, const int *ports, unsigned nodes, unsigned connections, bool is_pooled)
{
    *cache = (struct cache){ .node_count = nodes, .connections = connections, .is_pooled = is_pooled };
    for (unsigned n = 0; n < nodes; n++) {
        cache->nodes[n].port = ports[n];
        while (cache->nodes[n].conn_count < connections)
            cache->nodes[n].conns[cache->nodes[n].conn_count++] = conn_open(ports[n]);
    }
}

void cache_close(struct cache *cache)
{
    for (unsigned n = 0; n < cache->node_count; n++) {
        struct cache_node *node = &cache->nodes[n];

        while (node->conn_count > 0) conn_close(&node->conns[--node->conn_count]);
    }
}

static struct conn *take(struct cache *cache, struct cache_node *node)
{
    if (!cache->is_pooled) return node->conns[random_below(node->conn_count)];
    if (node->conn_count == 0) return conn_open(node->port);
    return node->conns[--node->conn_count];
}

static void give_back(struct cache *cache, struct cache_node *node, struct conn *conn)
{
    if (!cache->is_pooled) return;
    if (node->conn_count == cache->connections)
        conn_close(&conn);
    else
        node->conns[node->conn_count++] = conn;
}

static redisReply *ask_node(struct cache *cache, struct cache_node *node, bool is_asking, const char *request,
                            size_t bytes)
{
    struct conn *conn = take(cache, node);
    struct awaited asking, awaited;
    redisReply *reply;

    if (is_asking) send_command(conn, &asking, "ASKING");
    send_request(conn, &awaited, request, bytes);
    if (is_asking) freeReplyObject(await(&asking));
    reply = await(&awaited);
    give_back(cache, node, conn);
    return reply;
}

static struct cache_node *node_of_redirect(struct cache *cache, const char *error)
{
    const char *colon = strrchr(error, ':');
    int port = colon != NULL ? atoi(colon + 1) : 0;

    for (unsigned n = 0; n < cache->node_count; n++)
        if (cache->nodes[n].port == port) return &cache->nodes[n];
    die("redirected to nobody: %s", error);
}

static redisReply *ask_until_answered(struct cache *cache, unsigned group, const char *format, va_list args)
{
    struct cache_node *node = &cache->nodes[cache->owner[group]];
    bool is_asking = false;
    char *request;
    int bytes = redisvFormatCommand(&request, format, args);

    if (bytes < 0) die("the format '%s'", format);
    for (;;) {
        redisReply *reply = ask_node(cache, node, is_asking, request, (size_t)bytes);

        if (reply == NULL) die("%s: the connection ended", format);
        if (reply->type != REDIS_REPLY_ERROR) {
            free(request);
            return reply;
        }
        is_asking = strncmp(reply->str, "ASK ", 4) == 0;
        if (is_asking || strncmp(reply->str, "MOVED ", 6) == 0) {
            node = node_of_redirect(cache, reply->str);
            if (!is_asking) cache->owner[group] = (unsigned)(node - cache->nodes);
        } else if (strncmp(reply->str, "TRYAGAIN", 8) == 0) {
            task_sleep_us(1000);
        } else {
            die("%s: %s", format, reply->str);
        }
        cache->redirects++;
        freeReplyObject(reply);
    }
}

redisReply *cache_ask(struct cache *cache, unsigned group, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = ask_until_answered(cache, group, format, args);
    va_end(args);
    return reply;
}

void cache_tell(struct cache *cache, unsigned group, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    freeReplyObject(ask_until_answered(cache, group, format, args));
    va_end(args);
}
