#include "server/transaction.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "server/client.h"
#include "server/retire.h"
#include "server/worker_internal.h"

#include <string.h>

struct transaction *transaction_of(struct client *client)
{
    if (client->transaction == NULL) client->transaction = alloc_zeroed(sizeof(*client->transaction));
    return client->transaction;
}

static void publish_sizes(struct client *client)
{
    const struct transaction *transaction = client->transaction;

    atomic_store_explicit(&client->multi_count, transaction == NULL ? 0 : (uint32_t)transaction->count,
                          memory_order_relaxed);
    atomic_store_explicit(&client->multi_bytes,
                          transaction == NULL ? 0
                                              : transaction->cap * sizeof(*transaction->queue) + transaction->bytes +
                                                    transaction->watch_bytes,
                          memory_order_relaxed);
    atomic_store_explicit(&client->watch_count, transaction == NULL ? 0 : (uint32_t)transaction->watch_count,
                          memory_order_relaxed);
}

/* One allocation with the bytes behind it, but for a value that is in its entry. *bytes is its size. */
static struct bytes *copy_arguments(const struct command *command, int argc, const struct bytes *argv,
                                    const struct entry *entry, size_t *bytes)
{
    struct bytes *copy;
    char *text;

    *bytes = (size_t)argc * sizeof(*argv);
    for (int i = 0; i < argc; i++)
        if (entry == NULL || i != command->value_arg) *bytes += argv[i].len;
    copy = alloc(*bytes);
    text = (char *)(copy + argc);
    for (int i = 0; i < argc; i++) {
        if (entry != NULL && i == command->value_arg) {
            copy[i] = entry_value(entry);
            continue;
        }
        if (argv[i].len > 0) memcpy(text, argv[i].data, argv[i].len);
        copy[i] = (struct bytes){ text, argv[i].len };
        text += argv[i].len;
    }
    return copy;
}

void transaction_set_arguments(struct queued_command *queued, const struct bytes *argv)
{
    size_t bytes;
    struct bytes *copy = copy_arguments(queued->command, queued->argc, argv, queued->entry, &bytes);

    alloc_free(queued->argv);
    queued->argv = copy;
}

void transaction_queue(struct client *client, const struct command *command, size_t number, int argc,
                       const struct bytes *argv, struct entry **incoming)
{
    struct transaction *transaction = transaction_of(client);
    struct queued_command *queued;
    size_t bytes;

    if (transaction->count == transaction->cap) {
        transaction->cap = transaction->cap == 0 ? 8 : transaction->cap * 2;
        transaction->queue = alloc_resize(transaction->queue, transaction->cap * sizeof(*transaction->queue));
    }
    queued = &transaction->queue[transaction->count++];
    *queued = (struct queued_command){ .command = command, .number = number, .argc = argc, .entry = *incoming };
    *incoming = NULL;
    queued->argv = copy_arguments(command, argc, argv, queued->entry, &bytes);
    if (queued->entry != NULL) bytes += entry_bytes(queued->entry);
    transaction->bytes += bytes;
    publish_sizes(client);
}

/* --- Watches --- */

static struct watch *watch_find(const struct slot_watch *on, struct bytes key, uint64_t hash)
{
    struct watch *watch = on->bucket_count > 0 ? on->buckets[hash & (on->bucket_count - 1)] : NULL;

    while (watch != NULL && (watch->hash != hash || !bytes_equal(watch->key, key))) watch = watch->next;
    return watch;
}

static void on_changed(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    struct slot_watch *on = container_of(feed, struct slot_watch, feed);

    if (!on->changed && watch_find(on, key, hash) != NULL) on->changed = true;
}

/* A key that was not there is not changed by going: it had expired before it was watched, and only now leaves the memory. One that came
 * meanwhile has been marked when it did. */
static void on_removed(struct slot_feed *feed, struct bytes key, uint64_t hash)
{
    struct slot_watch *on = container_of(feed, struct slot_watch, feed);
    const struct watch *watch = on->changed ? NULL : watch_find(on, key, hash);

    if (watch != NULL && watch->existed) on->changed = true;
}

static void on_flush(struct slot_feed *feed)
{
    struct slot_watch *on = container_of(feed, struct slot_watch, feed);

    if (on->existed_count > 0) on->changed = true;
}

/* Where a slot's watches are or belong, in a table of a power of two that is never full. */
static struct slot_watch **watched_cell(struct slot_watch **table, size_t cells, const struct slot *slot)
{
    size_t at = slot_id(slot) & (cells - 1);

    while (table[at] != NULL && table[at]->slot != slot) at = (at + 1) & (cells - 1);
    return &table[at];
}

static void grow_watched(struct transaction *transaction)
{
    size_t cells = transaction->watched_cells == 0 ? 4 : transaction->watched_cells * 2;
    struct slot_watch **table = alloc_zeroed(cells * sizeof(*table));

    for (size_t i = 0; i < transaction->watched_cells; i++) {
        struct slot_watch *on = transaction->watched[i];
        if (on != NULL) *watched_cell(table, cells, on->slot) = on;
    }
    alloc_free(transaction->watched);
    transaction->watched = table;
    transaction->watched_cells = cells;
}

static struct slot_watch *watches_on(struct transaction *transaction, struct slot *slot)
{
    struct slot_watch **cell;

    if (transaction->watched_count * 2 >= transaction->watched_cells) grow_watched(transaction);
    cell = watched_cell(transaction->watched, transaction->watched_cells, slot);
    if (*cell == NULL) {
        *cell = alloc_zeroed(sizeof(**cell));
        (*cell)->feed = (struct slot_feed){ .changed = on_changed, .removed = on_removed, .flushed = on_flush };
        (*cell)->slot = slot;
        slot_feed_attach(slot, &(*cell)->feed);
        transaction->watched_count++;
        transaction->watch_bytes += sizeof(**cell);
    }
    return *cell;
}

static void grow_buckets(struct slot_watch *on)
{
    size_t count = on->bucket_count == 0 ? 2 : on->bucket_count * 2;
    struct watch **buckets = alloc_zeroed(count * sizeof(*buckets));

    for (size_t i = 0; i < on->bucket_count; i++)
        for (struct watch *watch = on->buckets[i], *next; watch != NULL; watch = next) {
            next = watch->next;
            watch->next = buckets[watch->hash & (count - 1)];
            buckets[watch->hash & (count - 1)] = watch;
        }
    alloc_free(on->buckets);
    on->buckets = buckets;
    on->bucket_count = count;
}

void transaction_watch(struct client *client, struct slot *slot, struct bytes key, int64_t now_ms)
{
    struct transaction *transaction = transaction_of(client);
    struct slot_watch *on = watches_on(transaction, slot);
    uint64_t hash = hash_bytes(key);
    struct watch *watch, **bucket;
    char *text;

    if (watch_find(on, key, hash) != NULL) return;
    if (on->count == on->bucket_count) grow_buckets(on);
    bucket = &on->buckets[hash & (on->bucket_count - 1)];
    watch = alloc(sizeof(*watch) + key.len);
    text = (char *)(watch + 1);
    if (key.len > 0) memcpy(text, key.data, key.len);
    *watch = (struct watch){
        .next = *bucket, .hash = hash, .key = { text, key.len }, .existed = slot_peek(slot, key, now_ms) != NULL
    };
    *bucket = watch;
    on->count++;
    if (watch->existed) on->existed_count++;
    transaction->watch_count++;
    transaction->watch_bytes += sizeof(*watch) + key.len + sizeof(*bucket);
    publish_sizes(client);
}

void transaction_unwatch(struct client *client, const struct slot_set *held)
{
    struct transaction *transaction = client->transaction, gone;

    if (transaction == NULL) return;
    gone = (struct transaction){ .watched = transaction->watched,
                                 .watched_cells = transaction->watched_cells,
                                 .watch_count = transaction->watch_count };
    transaction->watched = NULL;
    transaction->watched_cells = transaction->watched_count = transaction->watch_count = transaction->watch_bytes = 0;
    publish_sizes(client);
    retire(client->worker->node, &gone, held);
}

void transaction_add_slots(const struct transaction *transaction, struct slot_set *slots)
{
    for (size_t i = 0; i < transaction->watched_cells; i++)
        if (transaction->watched[i] != NULL) slot_set_add(slots, slot_id(transaction->watched[i]->slot));
}

void transaction_free(struct client *client, const struct slot_set *held)
{
    struct transaction *transaction = client->transaction, gone;

    if (transaction == NULL) return;
    gone = *transaction;
    alloc_free(transaction);
    client->transaction = NULL;
    publish_sizes(client);
    retire(client->worker->node, &gone, held);
}

/* An expired key that nothing has removed yet is changed, too. */
static bool is_any_expired(const struct slot_watch *on, int64_t now_ms)
{
    if (on->existed_count == 0) return false;
    for (size_t i = 0; i < on->bucket_count; i++)
        for (const struct watch *watch = on->buckets[i]; watch != NULL; watch = watch->next)
            if (watch->existed && slot_peek(on->slot, watch->key, now_ms) == NULL) return true;
    return false;
}

bool transaction_is_stale(const struct transaction *transaction, int64_t now_ms)
{
    for (size_t i = 0; i < transaction->watched_cells; i++) {
        const struct slot_watch *on = transaction->watched[i];

        if (on != NULL && (on->changed || is_any_expired(on, now_ms))) return true;
    }
    return false;
}
