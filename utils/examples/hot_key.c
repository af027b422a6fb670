/* A key that everybody reads, read on every node, with hiredis as it is.
 *
 *     cc -o hot_key hot_key.c -lhiredis
 *     ./hot_key [PORT]               a node of a cluster on 127.0.0.1 (7000)
 *
 * The key has several names, which are in slots of several nodes. Who reads takes one of them at random; whatever is written is there under all of
 * them, at the latest when the write is acknowledged. hiredis knows nothing of clusters, so this follows redirects itself: it remembers for each name
 * where it was found. */
#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NODES_MAX 64
#define NAMES_MAX 64
#define NAMES_GOOD_FOR 60 /* seconds; a name that is given up leads to the key for an hour */
#define ADDRESS_BYTES 128

/* A node that a redirect has led to. */
struct node {
    char address[ADDRESS_BYTES];
    redisContext *connection;
};

static struct node nodes[NODES_MAX];

struct name {
    char *text;
    struct node *at; /* NULL: it was not asked for yet */
};

/* The names of a key, as they were asked for last. */
struct hot_key {
    const char *key;
    struct name names[NAMES_MAX];
    size_t count;
    time_t until;
};

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* The node with this address, "host:port". */
static struct node *node_at(const char *address)
{
    const char *colon = strrchr(address, ':');
    struct node *node = nodes;
    char host[ADDRESS_BYTES];

    while (node < nodes + NODES_MAX && node->connection != NULL && strcmp(node->address, address) != 0) node++;
    if (node == nodes + NODES_MAX || colon == NULL) stop(address, "one node too many, or no address");
    if (node->connection != NULL) return node;
    snprintf(node->address, sizeof(node->address), "%s", address);
    snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
    node->connection = redisConnect(host, atoi(colon + 1));
    if (node->connection == NULL || node->connection->err)
        stop(address, node->connection == NULL ? "no memory" : node->connection->errstr);
    return node;
}

/* A command's reply, wherever its key is. Where that is goes to *at, which may be NULL. */
static redisReply *ask(struct node **at, int argc, const char **argv)
{
    struct node *to = *at != NULL ? *at : nodes;

    for (int hops = 0; hops < 8; hops++) {
        redisReply *reply = redisCommandArgv(to->connection, argc, argv, NULL);
        char address[ADDRESS_BYTES];

        if (reply == NULL) stop(to->address, to->connection->errstr);
        if (reply->type != REDIS_REPLY_ERROR) return reply;
        if (sscanf(reply->str, "MOVED %*d %127s", address) == 1) {
            to = *at = node_at(address);
        } else if (sscanf(reply->str, "ASK %*d %127s", address) == 1) { /* for this time only */
            to = node_at(address);
            freeReplyObject(redisCommand(to->connection, "ASKING"));
        } else {
            stop(argv[0], reply->str);
        }
        freeReplyObject(reply);
    }
    stop(argv[0], "it is sent from node to node");
    return NULL;
}

static void set(const char *key, const char *value)
{
    struct node *at = NULL;

    freeReplyObject(ask(&at, 3, (const char *[]){ "SET", key, value }));
}

/* Asks for the names again where that was long ago. */
static void refresh(struct hot_key *hot)
{
    struct node *at = NULL;
    redisReply *reply;

    if (time(NULL) < hot->until) return;
    for (size_t i = 0; i < hot->count; i++) free(hot->names[i].text);
    reply = ask(&at, 2, (const char *[]){ "SALT", hot->key }); /* of a key without names: the key */
    for (hot->count = 0; hot->count < reply->elements && hot->count < NAMES_MAX; hot->count++)
        hot->names[hot->count] = (struct name){ .text = strdup(reply->element[hot->count]->str) };
    hot->until = time(NULL) + NAMES_GOOD_FOR;
    freeReplyObject(reply);
}

/* Its value by one of its names is as `expected`? */
static bool reads(struct name *name, const char *expected)
{
    redisReply *reply = ask(&name->at, 2, (const char *[]){ "GET", name->text });
    bool is = reply->str == NULL ? expected == NULL : expected != NULL && strcmp(reply->str, expected) == 0;

    freeReplyObject(reply);
    return is;
}

static struct name *any_name(struct hot_key *hot)
{
    refresh(hot);
    return &hot->names[(size_t)rand() % hot->count];
}

int main(int argc, char **argv)
{
    struct hot_key star = { .key = "star" };
    struct node *at = NULL;
    char first[ADDRESS_BYTES];

    snprintf(first, sizeof(first), "127.0.0.1:%s", argc > 1 ? argv[1] : "7000");
    node_at(first);
    set("star", "bright");
    /* Once, by an operator, or by the node itself: POLICY SET star salt 6 */
    freeReplyObject(ask(&at, 3, (const char *[]){ "SALT", "star", "6" }));

    refresh(&star);
    printf("names:");
    for (size_t i = 0; i < star.count; i++) printf(" %s", star.names[i].text);
    printf("\n");
    assert(star.count == 6);
    for (int i = 0; i < 2000; i++) assert(reads(any_name(&star), "bright"));

    /* Acknowledged is acknowledged: no name has the former value. */
    set("star", "dim");
    for (size_t i = 0; i < star.count; i++) assert(reads(&star.names[i], "dim"));
    printf("after a write each of them has the new value\n");

    /* All of them are one key. */
    at = NULL;
    freeReplyObject(ask(&at, 2, (const char *[]){ "DEL", any_name(&star)->text }));
    assert(reads(any_name(&star), NULL));

    for (size_t i = 0; i < star.count; i++) free(star.names[i].text);
    for (size_t i = 0; i < NODES_MAX && nodes[i].connection != NULL; i++) redisFree(nodes[i].connection);
    printf("ok\n");
    return 0;
}
