#include "bus/share.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "bus/state_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SAVE_AGAIN_MS 1000

struct listener {
    void (*came)(void *context, const struct shared_item *items, size_t count);
    void *context;
};

/* Items, and what owns their bytes. */
struct batch {
    struct shared_item *items;
    size_t count, cap;
};

struct share {
    struct state_file *file;
    uint64_t saved, ticket; /* under the bus's lock: the changes that were asked to be written, and what to wait for */

    /* the control loop's own */
    struct listener listeners[SHARED_KINDS];
    struct batch came;
    int64_t save_again_ms;
    bool has_failed;
};

/* --- The file --- */

static bool accept_content(void *cluster, struct bytes content, char reason[256])
{
    return cluster_shared_load(cluster, content, clock_now_ms(), reason);
}

struct share *share_new(const char *state_file, struct cluster *cluster, char error[512])
{
    struct share *share = alloc_zeroed(sizeof(*share));
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s.shared", state_file);
    share->file = state_file_open(path, error);
    if (share->file == NULL) goto failed;
    switch (state_file_load(share->file, accept_content, cluster, error)) {
    case STATE_REFUSED:
        goto failed;
    case STATE_FORMER:
        log_warning("%s", error);
        break;
    case STATE_NONE:
    case STATE_CURRENT:
        break;
    }
    share->saved = cluster_shared_changes(cluster);
    state_file_start(share->file, NULL, NULL);
    return share;
failed:
    state_file_close(&share->file);
    alloc_free(share);
    return NULL;
}

static void submit(struct share *share, const struct cluster *cluster)
{
    struct buf content = { 0 };

    cluster_shared_save(cluster, &content);
    share->saved = cluster_shared_changes(cluster);
    share->ticket = state_file_submit(share->file, &content, 0);
}

void share_save(struct share *share, const struct cluster *cluster)
{
    if (share->saved != cluster_shared_changes(cluster)) submit(share, cluster);
}

void share_tick(struct share *share, const struct cluster *cluster, int64_t now_ms)
{
    struct state_done done = state_file_done(share->file);
    bool fails = done.durable < share->ticket && done.tried >= share->ticket;

    if (fails && !share->has_failed)
        log_warning("shared set: could not be written, and is tried again each second: %s", strerror(done.error));
    share->has_failed = fails;
    if (fails && now_ms >= share->save_again_ms) {
        share->save_again_ms = now_ms + SAVE_AGAIN_MS;
        submit(share, cluster);
    }
    share_save(share, cluster);
}

bool share_wait(struct share *share, struct lock *lock, const struct cluster *cluster)
{
    uint64_t ticket;

    lock_take(lock);
    share_save(share, cluster);
    ticket = share->ticket;
    lock_release(lock);
    return ticket == 0 || state_file_wait(share->file, ticket);
}

/* --- Who listens --- */

static void batch_add(struct batch *batch, const struct shared_item *item)
{
    if (batch->count == batch->cap) {
        batch->cap = batch->cap != 0 ? batch->cap * 2 : 64;
        batch->items = alloc_resize(batch->items, batch->cap * sizeof(*batch->items));
    }
    batch->items[batch->count++] = *item;
}

static void batch_free(struct batch *batch)
{
    /* The name and the text behind it are one piece. */
    for (size_t i = 0; i < batch->count; i++) alloc_free((void *)(uintptr_t)batch->items[i].name.data);
    alloc_free(batch->items);
    *batch = (struct batch){ 0 };
}

static void add_copy(void *context, const struct shared_item *item)
{
    struct shared_item copy = *item;
    char *data = alloc(item->name.len + item->text.len + 1); /* fits: an item of the set */

    if (item->name.len > 0) memcpy(data, item->name.data, item->name.len);
    if (item->text.len > 0) memcpy(data + item->name.len, item->text.data, item->text.len);
    copy.name.data = data;
    copy.text.data = data + item->name.len;
    batch_add(context, &copy);
}

void share_listen(struct share *share, enum shared_kind kind,
                  void (*came)(void *context, const struct shared_item *items, size_t count), void *context,
                  struct lock *lock, const struct cluster *cluster)
{
    struct batch batch = { 0 };

    share->listeners[kind] = (struct listener){ .came = came, .context = context };
    lock_take(lock);
    cluster_shared_each(cluster, kind, add_copy, &batch);
    lock_release(lock);
    if (batch.count > 0) came(context, batch.items, batch.count);
    batch_free(&batch);
}

void share_collect(struct share *share, struct effect *effect)
{
    batch_add(&share->came, &effect->item);
    effect->data = BYTES_NONE;
}

/* Those of one kind together, in the order in which they came. */
static void tell_kind(struct share *share, uint8_t kind, const struct batch *came)
{
    const struct listener *listener = &share->listeners[kind];
    struct batch some = { 0 };

    if (listener->came == NULL) return;
    for (size_t i = 0; i < came->count; i++)
        if (came->items[i].kind == kind) batch_add(&some, &came->items[i]);
    if (some.count > 0) listener->came(listener->context, some.items, some.count);
    alloc_free(some.items);
}

void share_tell(struct share *share)
{
    struct batch came = share->came;
    bool is_told[SHARED_KINDS] = { false };

    if (came.count == 0) return;
    share->came = (struct batch){ 0 };
    for (size_t i = 0; i < came.count; i++) {
        uint8_t kind = came.items[i].kind;

        if (!is_told[kind]) tell_kind(share, kind, &came);
        is_told[kind] = true;
    }
    batch_free(&came);
}

void share_free(struct share **freed, struct lock *lock, const struct cluster *cluster)
{
    struct share *share = *freed;

    *freed = NULL;
    if (share == NULL) return;
    if (!share_wait(share, lock, cluster))
        log_warning("the shared set could not be saved at the end: %s", strerror(errno));
    state_file_close(&share->file);
    batch_free(&share->came);
    alloc_free(share);
}
