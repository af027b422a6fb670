#include "server/acl_log.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/lock.h"
#include "proto/reply.h"

#include <string.h>

#define USER_BYTES_MAX 128
/* Tries that are further apart than this, or older than so many others, are told apart. */
#define SAME_MS_MAX 60000
#define SAME_ENTRIES_MAX 10

struct acl_entry {
    struct list link;
    int64_t count, at_ms; /* of the last try */
    const char *context, *object;
    struct buf user, client_info;
};

struct acl_log {
    struct lock lock;
    struct list entries; /* newest first; under lock */
    int64_t len;         /* under lock */
};

struct acl_log *acl_log_new(void)
{
    struct acl_log *log = alloc_zeroed(sizeof(*log));

    list_init(&log->entries);
    return log;
}

static void entry_drop(struct acl_log *log, struct acl_entry *entry)
{
    list_remove(&entry->link);
    log->len--;
    buf_free(&entry->user);
    buf_free(&entry->client_info);
    alloc_free(entry);
}

void acl_log_free(struct acl_log **log)
{
    if (*log == NULL) return;
    acl_log_reset(*log);
    alloc_free(*log);
    *log = NULL;
}

static struct acl_entry *find_same(struct acl_log *log, const struct acl_denial *denial, struct bytes user,
                                   int64_t now_ms)
{
    int looked_at = 0;

    list_each(at, &log->entries) {
        struct acl_entry *entry = container_of(at, struct acl_entry, link);

        if (looked_at++ == SAME_ENTRIES_MAX) break;
        if (now_ms - entry->at_ms <= SAME_MS_MAX && strcmp(entry->context, denial->context) == 0 &&
            strcmp(entry->object, denial->object) == 0 && bytes_equal(buf_bytes(&entry->user), user))
            return entry;
    }
    return NULL;
}

void acl_log_add(struct acl_log *log, const struct acl_denial *denial, int64_t now_ms, int64_t max_len)
{
    struct bytes user = { denial->user.data, denial->user.len < USER_BYTES_MAX ? denial->user.len : USER_BYTES_MAX };
    struct acl_entry *entry;

    lock_take(&log->lock);
    entry = find_same(log, denial, user, now_ms);
    if (entry == NULL) {
        entry = alloc_zeroed(sizeof(*entry));
        entry->context = denial->context;
        entry->object = denial->object;
        buf_append_bytes(&entry->user, user);
        log->len++;
    } else {
        list_remove(&entry->link);
        entry->client_info.len = 0;
    }
    buf_append_bytes(&entry->client_info, denial->client_info);
    entry->count++;
    entry->at_ms = now_ms;
    list_insert_after(&log->entries, &entry->link);
    while (log->len > max_len) entry_drop(log, container_of(log->entries.prev, struct acl_entry, link));
    lock_release(&log->lock);
}

static void reply_entry(struct reply *reply, const struct acl_entry *entry, int64_t now_ms)
{
    reply_map(reply, 7);
    reply_bulk_text(reply, "count");
    reply_integer(reply, entry->count);
    reply_bulk_text(reply, "reason");
    reply_bulk_text(reply, "auth");
    reply_bulk_text(reply, "context");
    reply_bulk_text(reply, entry->context);
    reply_bulk_text(reply, "object");
    reply_bulk_text(reply, entry->object);
    reply_bulk_text(reply, "username");
    reply_bulk(reply, buf_bytes(&entry->user));
    reply_bulk_text(reply, "age-seconds");
    reply_double(reply, (double)(now_ms - entry->at_ms) / 1000);
    reply_bulk_text(reply, "client-info");
    reply_bulk(reply, buf_bytes(&entry->client_info));
}

void acl_log_reply(struct acl_log *log, struct reply *reply, int64_t now_ms, int64_t count)
{
    int64_t shown = 0;

    lock_take(&log->lock);
    reply_array(reply, (size_t)(count < log->len ? count : log->len));
    list_each(at, &log->entries) {
        if (shown++ == count) break;
        reply_entry(reply, container_of(at, struct acl_entry, link), now_ms);
    }
    lock_release(&log->lock);
}

void acl_log_reset(struct acl_log *log)
{
    lock_take(&log->lock);
    while (!list_is_empty(&log->entries)) entry_drop(log, container_of(log->entries.next, struct acl_entry, link));
    lock_release(&log->lock);
}
