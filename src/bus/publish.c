#include "bus/publish.h"

#include "base/alloc.h"
#include "base/lock.h"
#include "bus/link.h"

#include <stdatomic.h>
#include <string.h>

#define LONG_BYTES ((size_t)8 << 20)
#define SHORT_BYTES ((size_t)4 << 20)
#define QUEUE_BYTES_MAX ((size_t)32 << 20)

/* More links than that are not open. */
#define NODES_MAX 4096u

struct publish_item {
    struct publish_item *next;
    bool shard;
    struct bytes channel, message; /* behind it */
};

struct publish_queue {
    struct lock lock; /* guards the next two */
    struct publish_item *first, **last;
    _Atomic size_t bytes; /* written under the lock */
    _Atomic uint64_t dropped;
};

struct publish_queue *publish_queue_new(void)
{
    struct publish_queue *queue = alloc_zeroed(sizeof(*queue));

    queue->last = &queue->first;
    return queue;
}

void publish_queue_free(struct publish_queue **queue)
{
    if (*queue == NULL) return;
    for (struct publish_item *item = (*queue)->first, *next; item != NULL; item = next) {
        next = item->next;
        alloc_free(item);
    }
    alloc_free(*queue);
    *queue = NULL;
}

/* The packet it will be, which is what it costs. */
static size_t cost(const struct publish_item *item)
{
    return CLUSTER_HEADER_BYTES + item->channel.len + item->message.len;
}

static size_t waiting(const struct publish_queue *queue)
{
    return atomic_load_explicit(&queue->bytes, memory_order_relaxed);
}

static void count_dropped(struct publish_queue *queue, uint64_t more)
{
    atomic_fetch_add_explicit(&queue->dropped, more, memory_order_relaxed);
}

bool publish_add(struct publish_queue *queue, bool shard, struct bytes channel, struct bytes message)
{
    struct publish_item *item;

    if (channel.len > PUBLISH_BYTES_MAX || message.len > PUBLISH_BYTES_MAX - channel.len ||
        waiting(queue) > QUEUE_BYTES_MAX) {
        count_dropped(queue, 1);
        return false;
    }
    item = alloc(sizeof(*item) + channel.len + message.len); /* fits: PUBLISH_BYTES_MAX */
    *item = (struct publish_item){ .shard = shard,
                                   .channel = { (char *)(item + 1), channel.len },
                                   .message = { (char *)(item + 1) + channel.len, message.len } };
    if (channel.len > 0) memcpy(item + 1, channel.data, channel.len);
    if (message.len > 0) memcpy((char *)(item + 1) + channel.len, message.data, message.len);
    lock_take(&queue->lock);
    *queue->last = item;
    queue->last = &item->next;
    atomic_store_explicit(&queue->bytes, waiting(queue) + cost(item), memory_order_relaxed);
    lock_release(&queue->lock);
    return true;
}

bool publish_is_long(const struct publish_queue *queue)
{
    return waiting(queue) > LONG_BYTES;
}

bool publish_is_empty(const struct publish_queue *queue)
{
    return waiting(queue) == 0;
}

/* The oldest, as many as make about a turn. *goes_on: the queue was long and is no more. */
static struct publish_item *take(struct publish_queue *queue, bool *goes_on)
{
    struct publish_item *taken, *at;
    size_t bytes = 0, before;

    lock_take(&queue->lock);
    taken = at = queue->first;
    for (; at != NULL; at = at->next) {
        bytes += cost(at);
        if (bytes >= PUBLISH_TURN_BYTES) break;
    }
    queue->first = at == NULL ? NULL : at->next;
    if (at != NULL) at->next = NULL;
    if (queue->first == NULL) queue->last = &queue->first;
    before = waiting(queue);
    atomic_store_explicit(&queue->bytes, before - bytes, memory_order_relaxed);
    lock_release(&queue->lock);
    *goes_on = before > SHORT_BYTES && before - bytes <= SHORT_BYTES;
    return taken;
}

/* The packets of one kind in a row, and where they go. */
struct batch {
    struct buf packets;
    uint64_t count;
    cluster_link *ids;
    size_t links;
};

static void find_links(struct batch *batch, struct cluster *cluster, bool shard)
{
    batch->ids = alloc(NODES_MAX * sizeof(cluster_link));
    batch->links = cluster_publish_links(cluster, shard, batch->ids, NODES_MAX);
    if (batch->links > NODES_MAX) batch->links = NODES_MAX;
}

/* Is there more on a link than messages may wait behind? It is remembered since when. */
static bool is_busy(struct link *link, int64_t now_ms)
{
    if (conn_pending(&link->conn) <= PUBLISH_LINK_BYTES_MAX) {
        link->busy_since_ms = 0;
        return false;
    }
    if (link->busy_since_ms == 0) link->busy_since_ms = now_ms;
    return true;
}

static bool must_wait_for_links(const struct batch *batch, struct links *links, int64_t now_ms)
{
    bool waits = false;

    for (size_t i = 0; i < batch->links; i++) {
        struct link *link = links_find(links, batch->ids[i]);

        if (link != NULL && is_busy(link, now_ms) && now_ms - link->busy_since_ms < PUBLISH_LINK_WAIT_MS) waits = true;
    }
    return waits;
}

static void send_batch(struct publish_queue *queue, const struct batch *batch, struct links *links, int64_t now_ms)
{
    for (size_t i = 0; i < batch->links && batch->count > 0; i++) {
        struct link *link = links_find(links, batch->ids[i]);

        if (link == NULL || link->connecting) continue;
        if (is_busy(link, now_ms))
            count_dropped(queue, batch->count);
        else
            link_send(link, buf_bytes(&batch->packets));
    }
}

static void send_items(struct publish_queue *queue, struct publish_item *item, struct batch batches[2],
                       struct lock *lock, struct cluster *cluster, struct links *links, int64_t now_ms)
{
    lock_take(lock);
    for (struct publish_item *next; item != NULL; item = next) {
        struct batch *batch = &batches[item->shard];

        next = item->next;
        if (batch->links > 0 &&
            cluster_publication(cluster, item->shard, item->channel, item->message, batch->links, &batch->packets))
            batch->count++;
        alloc_free(item);
    }
    lock_release(lock);
    for (int shard = 0; shard < 2; shard++) send_batch(queue, &batches[shard], links, now_ms);
}

enum publish_turn publish_turn(struct publish_queue *queue, struct lock *lock, struct cluster *cluster,
                               struct links *links, int64_t now_ms, bool *goes_on)
{
    struct batch batches[2] = { { .count = 0 }, { .count = 0 } }; /* of channels, of shard channels */
    bool waits;

    *goes_on = false;
    if (publish_is_empty(queue)) return PUBLISH_DONE;
    lock_take(lock);
    for (int shard = 0; shard < 2; shard++) find_links(&batches[shard], cluster, shard != 0);
    lock_release(lock);
    waits = must_wait_for_links(&batches[0], links, now_ms);
    if (!waits) send_items(queue, take(queue, goes_on), batches, lock, cluster, links, now_ms);
    for (int shard = 0; shard < 2; shard++) {
        buf_free(&batches[shard].packets);
        alloc_free(batches[shard].ids);
    }
    return waits ? PUBLISH_WAIT : publish_is_empty(queue) ? PUBLISH_DONE : PUBLISH_MORE;
}

uint64_t publish_dropped(const struct publish_queue *queue)
{
    return atomic_load_explicit(&queue->dropped, memory_order_relaxed);
}
