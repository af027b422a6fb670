/* The slow log: a list of entries, newest first. An entry is one allocation for its texts, made and freed outside the lock, so that
 * the lock is held for a few pointer writes; only SLOWLOG GET holds it for longer, while it copies the entries into a reply. */
#include "server/slowlog.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/lock.h"
#include "proto/reply.h"

#define ARGS_MAX 32
#define ARG_BYTES_MAX 128

struct slow_entry {
    struct list link;
    int64_t id, unix_seconds, duration_us;
    int argc;
    uint32_t ends[ARGS_MAX]; /* where each argument ends in texts */
    struct buf texts;
    char *peer, *name;
};

struct slowlog {
    struct lock lock;
    struct list entries; /* under lock */
    size_t len;          /* under lock */
    int64_t next_id;     /* under lock; goes on after a reset, so that a reader sees that entries are new */
};

struct slowlog *slowlog_new(void)
{
    struct slowlog *slowlog = alloc_zeroed(sizeof(*slowlog));

    list_init(&slowlog->entries);
    return slowlog;
}

void slowlog_drop(struct slow_entry **held)
{
    struct slow_entry *entry = *held;

    *held = NULL;
    if (entry == NULL) return;
    buf_free(&entry->texts);
    alloc_free(entry->peer);
    alloc_free(entry->name);
    alloc_free(entry);
}

static void free_entries(struct list *entries)
{
    list_each_safe(at, entries) {
        struct slow_entry *entry = container_of(at, struct slow_entry, link);

        slowlog_drop(&entry);
    }
    list_init(entries);
}

void slowlog_free(struct slowlog **slowlog)
{
    if (*slowlog == NULL) return;
    free_entries(&(*slowlog)->entries);
    alloc_free(*slowlog);
    *slowlog = NULL;
}

/* Long arguments keep their head and say how much is missing; so does a long list of them. */
struct slow_entry *slowlog_prepare(int argc, const struct bytes *argv, const char *peer, const char *name)
{
    struct slow_entry *entry = alloc_zeroed(sizeof(*entry));

    list_init(&entry->link);
    entry->argc = argc < ARGS_MAX ? argc : ARGS_MAX;
    for (int i = 0; i < entry->argc; i++) {
        if (i == ARGS_MAX - 1 && argc > ARGS_MAX) {
            buf_printf(&entry->texts, "... (%d more arguments)", argc - ARGS_MAX + 1);
        } else if (argv[i].len > ARG_BYTES_MAX) {
            buf_append(&entry->texts, argv[i].data, ARG_BYTES_MAX);
            buf_printf(&entry->texts, "... (%zu more bytes)", argv[i].len - ARG_BYTES_MAX);
        } else {
            buf_append_bytes(&entry->texts, argv[i]);
        }
        entry->ends[i] = (uint32_t)entry->texts.len;
    }
    entry->peer = alloc_text(peer);
    entry->name = alloc_text(name != NULL ? name : "");
    return entry;
}

/* Moves what is over max_len to `dropped`. */
static void trim(struct slowlog *slowlog, int64_t max_len, struct list *dropped)
{
    while (slowlog->len > 0 && (int64_t)slowlog->len > max_len) {
        struct list *oldest = slowlog->entries.prev;

        list_remove(oldest);
        list_append(dropped, oldest);
        slowlog->len--;
    }
}

void slowlog_keep(struct slowlog *slowlog, struct slow_entry **held, int64_t unix_seconds, int64_t duration_us,
                  int64_t max_len)
{
    struct slow_entry *entry = *held;
    struct list dropped;

    *held = NULL;
    entry->unix_seconds = unix_seconds;
    entry->duration_us = duration_us;
    list_init(&dropped);
    lock_take(&slowlog->lock);
    entry->id = slowlog->next_id++;
    list_insert_after(&slowlog->entries, &entry->link);
    slowlog->len++;
    trim(slowlog, max_len, &dropped);
    lock_release(&slowlog->lock);
    free_entries(&dropped);
}

void slowlog_add(struct slowlog *slowlog, int64_t unix_seconds, int64_t duration_us, int argc, const struct bytes *argv,
                 const char *peer, const char *name, int64_t max_len)
{
    struct slow_entry *entry = slowlog_prepare(argc, argv, peer, name);

    slowlog_keep(slowlog, &entry, unix_seconds, duration_us, max_len);
}

void slowlog_reset(struct slowlog *slowlog)
{
    struct list dropped;

    list_init(&dropped);
    lock_take(&slowlog->lock);
    trim(slowlog, 0, &dropped);
    lock_release(&slowlog->lock);
    free_entries(&dropped);
}

size_t slowlog_len(struct slowlog *slowlog)
{
    size_t len;

    lock_take(&slowlog->lock);
    len = slowlog->len;
    lock_release(&slowlog->lock);
    return len;
}

static void reply_entry(struct reply *reply, const struct slow_entry *entry)
{
    uint32_t begin = 0;

    reply_array(reply, 6);
    reply_integer(reply, entry->id);
    reply_integer(reply, entry->unix_seconds);
    reply_integer(reply, entry->duration_us);
    reply_array(reply, (size_t)entry->argc);
    for (int i = 0; i < entry->argc; i++) {
        reply_bulk(reply, (struct bytes){ entry->texts.data + begin, entry->ends[i] - begin });
        begin = entry->ends[i];
    }
    reply_bulk_text(reply, entry->peer);
    reply_bulk_text(reply, entry->name);
}

void slowlog_reply(struct slowlog *slowlog, struct reply *reply, int64_t count)
{
    size_t left;

    lock_take(&slowlog->lock);
    left = count < 0 || (uint64_t)count > slowlog->len ? slowlog->len : (size_t)count;
    reply_array(reply, left);
    list_each(at, &slowlog->entries) {
        if (left == 0) break;
        left--;
        reply_entry(reply, container_of(at, struct slow_entry, link));
    }
    lock_release(&slowlog->lock);
}
