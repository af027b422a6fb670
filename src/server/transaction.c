#include "server/transaction.h"

#include "base/alloc.h"
#include "server/client.h"

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
    atomic_store_explicit(&client->multi_bytes, transaction == NULL ? 0 : transaction->bytes, memory_order_relaxed);
    atomic_store_explicit(&client->watch_count, transaction == NULL ? 0 : (uint32_t)transaction->watch_count,
                          memory_order_relaxed);
}

void transaction_queue(struct client *client, const struct command *command, size_t number, int argc,
                       const struct bytes *argv, struct entry **incoming)
{
    struct transaction *transaction = transaction_of(client);
    size_t bytes = (size_t)argc * sizeof(*argv);
    struct queued_command *queued;
    char *text;

    for (int i = 0; i < argc; i++)
        if (*incoming == NULL || i != command->value_arg) bytes += argv[i].len;
    if (transaction->count == transaction->cap) {
        transaction->cap = transaction->cap == 0 ? 8 : transaction->cap * 2;
        transaction->queue = alloc_resize(transaction->queue, transaction->cap * sizeof(*transaction->queue));
    }
    queued = &transaction->queue[transaction->count++];
    *queued = (struct queued_command){
        .command = command, .number = number, .argc = argc, .argv = alloc(bytes), .entry = *incoming
    };
    *incoming = NULL;
    text = (char *)(queued->argv + argc);
    for (int i = 0; i < argc; i++) {
        if (queued->entry != NULL && i == command->value_arg) {
            queued->argv[i] = entry_value(queued->entry);
            bytes += entry_bytes(queued->entry);
            continue;
        }
        if (argv[i].len > 0) memcpy(text, argv[i].data, argv[i].len);
        queued->argv[i] = (struct bytes){ text, argv[i].len };
        text += argv[i].len;
    }
    transaction->bytes += bytes;
    publish_sizes(client);
}

static void on_key(struct slot_feed *feed, struct bytes key)
{
    struct watch *watch = container_of(feed, struct watch, feed);

    if (bytes_equal(watch->key, key)) watch->changed = true;
}

/* A key that was not there is not changed by going: it had expired before it was watched, and only now leaves the memory. One that came
 * meanwhile has been marked when it did. */
static void on_removed(struct slot_feed *feed, struct bytes key)
{
    if (container_of(feed, struct watch, feed)->existed) on_key(feed, key);
}

static void on_flush(struct slot_feed *feed)
{
    struct watch *watch = container_of(feed, struct watch, feed);

    if (watch->existed) watch->changed = true;
}

void transaction_watch(struct client *client, struct slot *slot, struct bytes key, int64_t now_ms)
{
    struct transaction *transaction = transaction_of(client);
    struct watch *watch;
    char *text;

    for (size_t i = 0; i < transaction->watch_count; i++)
        if (transaction->watches[i]->slot == slot && bytes_equal(transaction->watches[i]->key, key)) return;
    if (transaction->watch_count == transaction->watch_cap) {
        transaction->watch_cap = transaction->watch_cap == 0 ? 4 : transaction->watch_cap * 2;
        transaction->watches = alloc_resize(transaction->watches, transaction->watch_cap * sizeof(struct watch *));
    }
    watch = alloc(sizeof(*watch) + key.len);
    text = (char *)(watch + 1);
    if (key.len > 0) memcpy(text, key.data, key.len);
    *watch = (struct watch){ .feed = { .changed = on_key, .removed = on_removed, .flushed = on_flush },
                             .slot = slot,
                             .key = { text, key.len },
                             .existed = slot_peek(slot, key, now_ms) != NULL };
    slot_feed_attach(slot, &watch->feed);
    transaction->watches[transaction->watch_count++] = watch;
    publish_sizes(client);
}

void transaction_unwatch(struct client *client, const struct slot_set *held)
{
    struct transaction *transaction = client->transaction;

    if (transaction == NULL) return;
    for (size_t i = 0; i < transaction->watch_count; i++) {
        struct watch *watch = transaction->watches[i];
        bool locked_already = held != NULL && slot_set_has(held, slot_id(watch->slot));

        if (!locked_already) slot_lock(watch->slot);
        slot_feed_detach(watch->slot, &watch->feed);
        if (!locked_already) slot_unlock(watch->slot);
        alloc_free(watch);
    }
    transaction->watch_count = 0;
    publish_sizes(client);
}

void transaction_free(struct client *client, const struct slot_set *held)
{
    struct transaction *transaction = client->transaction;

    if (transaction == NULL) return;
    transaction_unwatch(client, held);
    for (size_t i = 0; i < transaction->count; i++) {
        alloc_free(transaction->queue[i].argv);
        entry_free(&transaction->queue[i].entry);
    }
    alloc_free(transaction->queue);
    alloc_free(transaction->watches);
    alloc_free(transaction);
    client->transaction = NULL;
    publish_sizes(client);
}

bool transaction_is_stale(const struct transaction *transaction, int64_t now_ms)
{
    for (size_t i = 0; i < transaction->watch_count; i++) {
        const struct watch *watch = transaction->watches[i];

        if (watch->changed) return true;
        /* Expired, though nothing has removed it yet. */
        if (watch->existed && slot_peek(watch->slot, watch->key, now_ms) == NULL) return true;
    }
    return false;
}
