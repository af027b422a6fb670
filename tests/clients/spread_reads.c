/* spread_reads.c: what spread_reads.py does, as a program does that follows redirects by itself on hiredis.
 *
 *     spread_reads hiredis PORT KEY SECONDS READS CLIENTS
 *
 * Of each client's map only the key's slot is needed: it comes from CLUSTER SLOTS of a node that changes each second, and from MOVED. All nodes are on
 * 127.0.0.1, so a port is a node. */
#include <hiredis/hiredis.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NODES_MAX 16
#define CLIENTS_MAX 64
#define REDIRECTS_MAX 5

struct node {
    int port;
    redisContext *link;
};

struct client {
    struct node nodes[NODES_MAX];
    int node_count, asked, home;
    double refresh_at;
    long commands, reads;
};

static long errors, stale, acknowledged;
static char first_error[256];
static int slot;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct node *node_at(struct client *client, int port)
{
    for (int i = 0; i < client->node_count; i++)
        if (client->nodes[i].port == port) return &client->nodes[i];
    if (client->node_count == NODES_MAX) exit(3);
    client->nodes[client->node_count] = (struct node){ port, redisConnect("127.0.0.1", port) };
    if (client->nodes[client->node_count].link == NULL || client->nodes[client->node_count].link->err) exit(3);
    return &client->nodes[client->node_count++];
}

static void refresh(struct client *client)
{
    redisReply *map = redisCommand(client->nodes[client->asked++ % client->node_count].link, "CLUSTER SLOTS");

    client->refresh_at = now() + 1;
    if (map == NULL || map->type != REDIS_REPLY_ARRAY) exit(3);
    for (size_t i = 0; i < map->elements; i++) {
        redisReply **range = map->element[i]->element;
        int port = (int)range[2]->element[1]->integer;

        node_at(client, port);
        if (slot >= range[0]->integer && slot <= range[1]->integer) client->home = port;
    }
    freeReplyObject(map);
}

/* The reply, or NULL, and the error is counted. */
static redisReply *run(struct client *client, int argc, const char **argv)
{
    int port = client->home, asking = 0;

    for (int redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
        redisContext *link = node_at(client, port)->link;
        redisReply *reply;
        char kind[8], host[64];
        int of;

        if (asking) {
            reply = redisCommand(link, "ASKING");
            if (reply != NULL) freeReplyObject(reply);
        }
        reply = redisCommandArgv(link, argc, argv, NULL);
        if (reply == NULL) exit(3);
        if (reply->type != REDIS_REPLY_ERROR) return reply;
        if (sscanf(reply->str, "%7s %d %63[^:]:%d", kind, &of, host, &port) != 4 ||
            (strcmp(kind, "ASK") != 0 && strcmp(kind, "MOVED") != 0)) {
            snprintf(first_error, sizeof(first_error), "%.200s", reply->str);
            freeReplyObject(reply);
            errors++;
            return NULL;
        }
        asking = strcmp(kind, "ASK") == 0;
        if (!asking) client->home = port;
        freeReplyObject(reply);
    }
    snprintf(first_error, sizeof(first_error), "too many redirects");
    errors++;
    return NULL;
}

static void work(struct client *client, const char *key, const char *other, int is_writer)
{
    const char *get[] = { "GET", key }, *neighbour[] = { "GET", other };
    redisReply *reply;

    if (now() >= client->refresh_at) refresh(client);
    client->commands++;
    if (client->commands % 400 == 0) {
        reply = run(client, 2, neighbour);
    } else if (client->commands % 200 == 0 && is_writer) {
        char value[32];
        const char *set[] = { "SET", key, value };

        snprintf(value, sizeof(value), "%ld", acknowledged + 1);
        reply = run(client, 3, set);
        if (reply != NULL) acknowledged++;
    } else {
        reply = run(client, 2, get);
        client->reads++;
        if (reply != NULL && (reply->str == NULL || atol(reply->str) < acknowledged)) stale++;
    }
    if (reply != NULL) freeReplyObject(reply);
}

int main(int argc, char **argv)
{
    static struct client clients[CLIENTS_MAX];
    long reads = 0, commands = 0;
    int count, is_done = 0;
    char other[600];
    double until;
    redisReply *reply;

    if (argc != 7) return 2;
    count = atoi(argv[6]);
    if (count < 1 || count > CLIENTS_MAX) return 2;
    snprintf(other, sizeof(other), "{%s}:other", argv[3]);
    until = now() + atof(argv[4]);
    for (int i = 0; i < count; i++) node_at(&clients[i], atoi(argv[2]));
    reply = redisCommand(clients[0].nodes[0].link, "CLUSTER KEYSLOT %s", argv[3]);
    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER) return 3;
    slot = (int)reply->integer;
    freeReplyObject(reply);
    while (!is_done && errors < 1000) {
        is_done = now() >= until;
        for (int i = 0; i < count; i++) {
            work(&clients[i], argv[3], other, i == 0);
            if (clients[i].reads < atol(argv[5])) is_done = 0;
        }
    }
    for (int i = 0; i < count; i++) {
        reads += clients[i].reads;
        commands += clients[i].commands;
        for (int n = 0; n < clients[i].node_count; n++) redisFree(clients[i].nodes[n].link);
    }
    if (first_error[0] != '\0') puts(first_error);
    printf("reads %ld commands %ld errors %ld stale %ld\n", reads, commands, errors, stale);
    return 0;
}
