/* Cache-aside in three lines, with hiredis as it is.
 *
 *     cc -o cache_aside cache_aside.c -lhiredis
 *     ./cache_aside [PORT]           a node on 127.0.0.1 (6379)
 *
 * A row is read through the cache, changed, and read again. Then comes the race that plain caches lose: somebody who read the row before
 * the change stores it after the change. Here the node refuses it. */
#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct row {
    char name[32];
    long long version;
};

/* What would be a table with a version column, and its only row. The user is another one each time: the table begins anew, and the node knows the last
 * versions of the former one. */
static struct row database = { "Ada", 1 };
static long long user;
static int loads;

/* One query: the row as it is now. */
static struct row load(void)
{
    loads++;
    return database;
}

/* A command's reply; errors end the program. */
static redisReply *ask(redisContext *cache, const char *format, ...)
{
    va_list args;
    redisReply *reply;

    va_start(args, format);
    reply = redisvCommand(cache, format, args);
    va_end(args);
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        fprintf(stderr, "%s: %s\n", format, reply == NULL ? cache->errstr : reply->str);
        exit(1);
    }
    return reply;
}

/* FETCH answers [state, value or nil, version or nil, token or nil]. */
static struct row read_row(redisContext *cache)
{
    /* Who gets a token loads the row and stores it; the others wait up to half a second for that. */
    redisReply *reply = ask(cache, "FETCH user:%lld LEASE 2000 WAIT 500", user);
    const char *value = reply->element[1]->str, *token = reply->element[3]->str;
    struct row row = { 0 };

    if (value != NULL) sscanf(value, "%31s %lld", row.name, &row.version);
    if (value == NULL || token != NULL) {
        row = load();
        if (token != NULL)
            freeReplyObject(ask(cache, "SET user:%lld %b EX 3600 VER %lld TOKEN %s", user, row.name, strlen(row.name),
                                row.version, token));
    }
    freeReplyObject(reply);
    return row;
}

static void write_row(redisContext *cache, const char *name)
{
    snprintf(database.name, sizeof database.name, "%s", name);
    database.version++; /* UPDATE ... SET version = version + 1; COMMIT */
    freeReplyObject(ask(cache, "INVALIDATE user:%lld VER %lld", user, database.version));
}

static void print_row(const char *what, struct row row)
{
    printf("%s: %s - loads so far: %d\n", what, row.name, loads);
}

int main(int argc, char **argv)
{
    redisContext *cache = redisConnect("127.0.0.1", argc > 1 ? atoi(argv[1]) : 6379);
    redisReply *missed, *stored;
    struct row old;
    bool is_refused;

    if (cache == NULL || cache->err) {
        fprintf(stderr, "no node: %s\n", cache == NULL ? "no memory" : cache->errstr);
        return 1;
    }
    user = (long long)time(NULL) * 1000 + getpid() % 1000;

    print_row("read", read_row(cache));
    print_row("read", read_row(cache));
    assert(loads == 1);

    write_row(cache, "Grace");
    print_row("read after the write", read_row(cache));
    assert(loads == 2);

    /* The race: a slow reader has missed, and loaded version 2 ... */
    freeReplyObject(ask(cache, "DEL user:%lld", user));
    missed = ask(cache, "FETCH user:%lld LEASE 2000", user);
    old = load();
    /* ... a writer is quicker ... */
    write_row(cache, "Barbara");
    /* ... and what the reader has is not stored any more. */
    stored = ask(cache, "SET user:%lld %s EX 3600 TOKEN %s", user, old.name, missed->element[3]->str);
    is_refused = stored->type == REDIS_REPLY_NIL;
    printf("the old row is %s\n", is_refused ? "refused" : "stored");
    assert(is_refused);
    assert(strcmp(read_row(cache).name, "Barbara") == 0);
    freeReplyObject(missed);
    freeReplyObject(stored);
    redisFree(cache);
    printf("ok\n");
    return 0;
}
