/* utils/hitratio/simulate.c
 *
 * Replays a trace inside one process, against the very store and eviction that ship, without sockets and a server: seconds instead of
 * minutes, to try a change on many traces before real servers judge it (utils/hitratio/run).
 *
 *     simulate [-p policy,...] [-s percent,...] [-v value bytes] [-n requests] trace ...
 *
 * Traces and the way a cache is used are replay.c's; a time to live counts in requests. The limit is a share of what the whole trace takes
 * here. Prints trace, percent, policy and miss ratio, a line each. */
#include "base/clock.h"
#include "base/keyslot.h"
#include "cache/eviction.h"
#include "store/account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZES_MAX 16
#define VALUE_MAX (64u << 20)

struct key {
    uint32_t bytes, ttl;
};

struct trace {
    uint32_t *requests;
    size_t count;
    struct key *keys;
    size_t key_count;
};

static const struct policy {
    const char *name;
    enum eviction_order order;
    bool volatile_only;
} policies[] = {
    { "allkeys-s3s", EVICTION_S3S, false },       { "allkeys-lru", EVICTION_LRU, false },
    { "allkeys-lfu", EVICTION_LFU, false },       { "allkeys-random", EVICTION_RANDOM, false },
    { "volatile-s3s", EVICTION_S3S, true },       { "volatile-lru", EVICTION_LRU, true },
    { "volatile-lfu", EVICTION_LFU, true },       { "volatile-ttl", EVICTION_TTL, true },
    { "volatile-random", EVICTION_RANDOM, true },
};

static void *grown(void *memory, size_t count, size_t size)
{
    void *larger = reallocarray(memory, count, size);

    if (larger == NULL) {
        perror("memory");
        exit(1);
    }
    return larger;
}

static struct trace read_trace(const char *path, uint32_t value_bytes, size_t requests_max)
{
    FILE *file = fopen(path, "re");
    struct trace trace = { 0 };
    size_t room = 0, key_room = 0;
    char line[128];

    if (file == NULL) {
        perror(path);
        exit(1);
    }
    while (trace.count < requests_max && fgets(line, sizeof line, file) != NULL) {
        char *end;
        size_t number = strtoul(line, &end, 10);
        struct key key = { 0 };

        if (end == line || number > 100000000) continue;
        if (*end == ',') key.bytes = (uint32_t)strtoul(end + 1, &end, 10);
        if (*end == ',') key.ttl = (uint32_t)strtoul(end + 1, &end, 10);
        if (key.bytes == 0 || key.bytes > VALUE_MAX) key.bytes = value_bytes;
        if (trace.count == room) trace.requests = grown(trace.requests, room = room * 2 + 4096, sizeof *trace.requests);
        if (number >= key_room) {
            size_t former = key_room;

            trace.keys = grown(trace.keys, key_room = number * 2 + 4096, sizeof *trace.keys);
            memset(trace.keys + former, 0, (key_room - former) * sizeof *trace.keys);
        }
        if (trace.keys[number].bytes == 0) trace.keys[number] = key;
        trace.requests[trace.count++] = (uint32_t)number;
        if (number >= trace.key_count) trace.key_count = number + 1;
    }
    fclose(file);
    return trace;
}

struct cache {
    struct keyspace *keyspace;
    struct eviction *eviction;
    const uint8_t *value;
};

static struct cache cache_new(const struct policy *policy, int64_t limit_bytes, const uint8_t *value)
{
    struct cache cache = { .keyspace = keyspace_new(), .value = value };
    struct eviction_options options = {
        .limit_bytes = limit_bytes,
        .order = policy->order,
        .volatile_only = policy->volatile_only,
        .samples = 8,
        .size_quarters = 2,
        .slice_us = -1,
        .threads = 1,
        .lfu_log_factor = 10,
        .lfu_decay_minutes = 1,
    };

    cache.eviction = eviction_new(cache.keyspace);
    eviction_configure(cache.eviction, &options);
    return cache;
}

static void cache_free(struct cache *cache)
{
    account_settle();
    eviction_free(&cache->eviction);
    keyspace_free(&cache->keyspace);
}

/* True for a hit; a miss is written, where there is room. */
static bool request(struct cache *cache, uint32_t number, const struct key *key, int64_t now_ms)
{
    char text[24];
    struct bytes name = { text, (size_t)snprintf(text, sizeof text, "k:%010u", number) };
    struct slot *slot = keyspace_slot(cache->keyspace, key_slot(name));
    uint64_t hash = slot_hash(name);
    bool hit;

    slot_lock(slot);
    hit = slot_use(slot, hash, name, now_ms, SLOT_TOUCH) != NULL;
    slot_unlock(slot);
    if (hit || !eviction_make_room(cache->eviction, key->bytes, now_ms)) return hit;
    slot_lock(slot);
    slot_store(slot, hash, name, (struct bytes){ (const char *)cache->value, key->bytes },
               key->ttl > 0 ? now_ms + key->ttl : ENTRY_KEEPS_FOREVER, 0);
    slot_unlock(slot);
    return false;
}

static double replay(const struct trace *trace, const struct policy *policy, int64_t limit_bytes, int64_t *taken_bytes,
                     const uint8_t *value)
{
    struct cache cache = cache_new(policy, limit_bytes, value);
    size_t misses = 0;
    int64_t began_ms = clock_now_ms();

    for (size_t i = 0; i < trace->count; i++) {
        uint32_t number = trace->requests[i];

        if (i % 1000 == 0) eviction_tick(cache.eviction, began_ms + (int64_t)i);
        misses += !request(&cache, number, &trace->keys[number], began_ms + (int64_t)i);
    }
    account_settle();
    if (taken_bytes != NULL) *taken_bytes = account_bytes(keyspace_account(cache.keyspace));
    cache_free(&cache);
    return (double)misses / (double)trace->count;
}

static size_t read_sizes(char *text, double sizes[SIZES_MAX])
{
    size_t count = 0;

    for (char *at = strtok(text, ","); at != NULL && count < SIZES_MAX; at = strtok(NULL, ","))
        sizes[count++] = atof(at);
    return count;
}

static void run(const char *path, const struct trace *trace, const char *wanted, const double *sizes, size_t size_count,
                const uint8_t *value)
{
    const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    struct trace whole = *trace;
    int64_t taken_bytes;

    /* Each key once, for as long as there is. */
    whole.requests = grown(NULL, trace->key_count, sizeof *whole.requests);
    whole.count = 0;
    for (size_t i = 0; i < trace->key_count; i++)
        if (trace->keys[i].bytes != 0) whole.requests[whole.count++] = (uint32_t)i;
    replay(&whole, &policies[0], 0, &taken_bytes, value);
    free(whole.requests);
    for (size_t size = 0; size < size_count; size++)
        for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
            size_t len = strlen(policies[i].name);
            const char *found = strstr(wanted, policies[i].name);

            if (found == NULL || (found[len] != '\0' && found[len] != ',')) continue;
            printf("%s %g %s %.5f\n", name, sizes[size], policies[i].name,
                   replay(trace, &policies[i], (int64_t)((double)taken_bytes * sizes[size] / 100), NULL, value));
            fflush(stdout);
        }
}

int main(int argc, char **argv)
{
    const char *wanted = "allkeys-s3s";
    char all_sizes[] = "3,10,30";
    double sizes[SIZES_MAX];
    size_t size_count = read_sizes(all_sizes, sizes), requests_max = SIZE_MAX;
    uint32_t value_bytes = 1024;
    uint8_t *value = grown(NULL, 1, VALUE_MAX);
    int option;

    memset(value, 'v', VALUE_MAX);
    while ((option = getopt(argc, argv, "p:s:v:n:")) != -1) {
        if (option == 'p') wanted = optarg;
        if (option == 's') size_count = read_sizes(optarg, sizes);
        if (option == 'v') value_bytes = (uint32_t)atoi(optarg);
        if (option == 'n') requests_max = strtoul(optarg, NULL, 10);
        if (option == '?') return 1;
    }
    if (value_bytes < 1 || value_bytes > VALUE_MAX || optind == argc) {
        fprintf(stderr, "usage: simulate [-p policy,...] [-s percent,...] [-v value bytes] [-n requests] trace ...\n");
        return 1;
    }
    for (; optind < argc; optind++) {
        struct trace trace = read_trace(argv[optind], value_bytes, requests_max);

        run(argv[optind], &trace, wanted, sizes, size_count, value);
        free(trace.requests);
        free(trace.keys);
    }
    free(value);
    return 0;
}
