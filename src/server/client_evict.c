#include "server/client_evict.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/worker.h"

#include <stdlib.h>

#define LOADED(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* The clients are gone only when their workers have come to it, so the sum stays high for a moment: whoever looks again at once would count
 * them all again for nothing. */
#define LOOK_AGAIN_MS 10

struct candidate {
    uint64_t id, bytes;
};

struct candidates {
    struct candidate *items;
    size_t count, cap;
    uint64_t bytes; /* of all that stay for now, the spared included */
};

static int64_t limit_bytes(const struct config *config)
{
    int64_t limit = config_int(config, maxmemory_clients);

    if (limit >= 0) return limit;
    return (int64_t)((double)config_int(config, maxmemory) * (double)-limit / 100); /* 0 without maxmemory: none */
}

static void collect(void *context, struct client *client)
{
    struct candidates *all = context;
    uint64_t bytes = LOADED(client->memory);

    if (LOADED(client->kill)) return;
    all->bytes += bytes;
    if (client_flags(client) & CLIENT_NO_EVICT) return;
    if (all->count == all->cap) {
        all->cap = all->cap == 0 ? 64 : all->cap * 2;
        all->items = alloc_resize(all->items, all->cap * sizeof(*all->items));
    }
    all->items[all->count++] = (struct candidate){ client->id, bytes };
}

static int by_bytes(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;

    return left->bytes > right->bytes ? -1 : left->bytes < right->bytes;
}

static int by_id(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;

    return left->id < right->id ? -1 : left->id > right->id;
}

struct sentence {
    struct candidate *items; /* by id */
    size_t count;
    uint64_t carried_out;
};

static void evict(void *context, struct client *client)
{
    struct sentence *sentence = context;
    struct candidate wanted = { .id = client->id };

    if (LOADED(client->kill)) return;
    if (bsearch(&wanted, sentence->items, sentence->count, sizeof(wanted), by_id) == NULL) return;
    client_kill(client);
    sentence->carried_out++;
}

/* How many of the largest have to go. */
static size_t choose(struct candidates *all, uint64_t limit)
{
    uint64_t left = all->bytes;
    size_t count = 0;

    qsort(all->items, all->count, sizeof(*all->items), by_bytes);
    while (count < all->count && left > limit) left -= all->items[count++].bytes;
    return count;
}

static bool is_my_turn_to_look(struct node *node)
{
    int64_t now_ms = clock_monotonic_ms(), last_ms = LOADED(node->client_evict_ms);

    return now_ms - last_ms >= LOOK_AGAIN_MS &&
           atomic_compare_exchange_strong_explicit(&node->client_evict_ms, &last_ms, now_ms, memory_order_relaxed,
                                                   memory_order_relaxed);
}

void client_evict(struct node *node)
{
    int64_t limit = limit_bytes(node->config);
    struct candidates all = { 0 };
    struct sentence sentence = { 0 };

    if (limit == 0 || LOADED(node->client_bytes) <= limit || !is_my_turn_to_look(node)) return;
    for (int i = 0; i < node->worker_count; i++) worker_each_client(node->workers[i], collect, &all);
    if (all.count > 0) sentence.count = choose(&all, (uint64_t)limit);
    if (sentence.count > 0) {
        sentence.items = all.items;
        qsort(sentence.items, sentence.count, sizeof(*sentence.items), by_id);
        for (int i = 0; i < node->worker_count; i++) worker_each_client(node->workers[i], evict, &sentence);
        atomic_fetch_add_explicit(&node->evicted_clients, sentence.carried_out, memory_order_relaxed);
        log_warning("clients: all take %llu bytes, more than maxmemory-clients; the largest %llu disconnected",
                    (unsigned long long)all.bytes, (unsigned long long)sentence.carried_out);
    }
    alloc_free(all.items);
}
