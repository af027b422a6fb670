/* base/reclaim.c
 *
 * Each thing given up carries the number of the epoch it was reachable in, and starts a new one. A reader notes the epoch
 * when it enters, so everything older than the oldest note is out of sight. What non-readers give up (movers, the main
 * thread) is kept in one shared place, which every reader looks after when it leaves.
 *
 * A reader stores its note and then reads the epoch again; a writer starts a new epoch and then reads the notes. All four
 * are sequentially consistent, so one of the two sees the other. */
#include "base/reclaim.h"

#include "base/alloc.h"
#include "base/lock.h"

#include <string.h>

struct reclaim_item {
    void *memory;
    uint64_t epoch; /* whoever entered in a later one cannot see it */
};

static _Atomic uint64_t epoch = 1;
static _Atomic size_t waiting;
static _Atomic size_t reader_count;

static struct lock registry; /* guards what follows */
static struct list readers = { &readers, &readers };
static struct reclaim_item *orphans;
static size_t orphan_count, orphan_cap;
static _Atomic size_t orphans_seen; /* orphan_count, for a look without the lock */

/* Its thread's reader, so that reclaim_later() needs none handed to it. */
static _Thread_local struct reclaim_reader *own;

static void keep(struct reclaim_item **items, size_t *count, size_t *cap, struct reclaim_item item)
{
    if (*count == *cap) {
        *cap = *cap == 0 ? 32 : *cap * 2;
        *items = alloc_resize(*items, *cap * sizeof(**items));
    }
    (*items)[(*count)++] = item;
    atomic_fetch_add_explicit(&waiting, 1, memory_order_relaxed);
}

/* Frees those of the items, oldest first, that were given up before `oldest`. */
static void free_before(struct reclaim_item *items, size_t *count, uint64_t oldest)
{
    size_t freed = 0;

    while (freed < *count && items[freed].epoch < oldest) alloc_apart_free(items[freed++].memory);
    if (freed == 0) return;
    *count -= freed;
    memmove(items, items + freed, *count * sizeof(*items));
    atomic_fetch_sub_explicit(&waiting, freed, memory_order_relaxed);
}

/* The epoch of the oldest turn that goes on. With the registry locked. */
static uint64_t oldest_turn(void)
{
    uint64_t oldest = UINT64_MAX;

    list_each(link, &readers) {
        struct reclaim_reader *reader = container_of(link, struct reclaim_reader, link);
        uint64_t entered = atomic_load(&reader->entered);

        if (entered != 0 && entered < oldest) oldest = entered;
    }
    return oldest;
}

static void set_orphan_count(size_t count)
{
    orphan_count = count;
    atomic_store_explicit(&orphans_seen, count, memory_order_relaxed);
}

static void free_orphans(uint64_t oldest)
{
    size_t count = orphan_count;

    free_before(orphans, &count, oldest);
    set_orphan_count(count);
    if (count > 0) return;
    alloc_free(orphans);
    orphans = NULL;
    orphan_cap = 0;
}

void reclaim_join(struct reclaim_reader *reader)
{
    *reader = (struct reclaim_reader){ .kept = NULL };
    lock_take(&registry);
    list_append(&readers, &reader->link);
    atomic_fetch_add(&reader_count, 1);
    lock_release(&registry);
    own = reader;
}

void reclaim_quit(struct reclaim_reader *reader)
{
    lock_take(&registry);
    list_remove(&reader->link);
    atomic_fetch_sub(&reader_count, 1);
    for (size_t i = 0; i < reader->kept_count; i++) {
        size_t count = orphan_count;

        keep(&orphans, &count, &orphan_cap, reader->kept[i]);
        set_orphan_count(count);
    }
    atomic_fetch_sub_explicit(&waiting, reader->kept_count, memory_order_relaxed);
    free_orphans(oldest_turn());
    lock_release(&registry);
    alloc_free(reader->kept);
    reader->kept = NULL;
    reader->kept_count = reader->kept_cap = 0;
    own = NULL;
}

void reclaim_enter(struct reclaim_reader *reader)
{
    uint64_t now = atomic_load(&epoch), seen;

    do {
        seen = now;
        atomic_store(&reader->entered, seen);
        now = atomic_load(&epoch);
    } while (now != seen);
}

void reclaim_leave(struct reclaim_reader *reader)
{
    uint64_t oldest;

    atomic_store_explicit(&reader->entered, 0, memory_order_release);
    if (reader->kept_count == 0 && atomic_load_explicit(&orphans_seen, memory_order_relaxed) == 0) return;
    lock_take(&registry);
    oldest = oldest_turn();
    free_orphans(oldest);
    lock_release(&registry);
    free_before(reader->kept, &reader->kept_count, oldest);
}

void reclaim_later(void *memory)
{
    struct reclaim_item item = { .memory = memory };

    if (memory == NULL) return;
    if (atomic_load(&reader_count) == 0) {
        alloc_apart_free(memory);
        return;
    }
    item.epoch = atomic_fetch_add(&epoch, 1);
    if (own != NULL) {
        keep(&own->kept, &own->kept_count, &own->kept_cap, item);
        return;
    }
    lock_take(&registry);
    size_t count = orphan_count;
    keep(&orphans, &count, &orphan_cap, item);
    set_orphan_count(count);
    free_orphans(oldest_turn());
    lock_release(&registry);
}

size_t reclaim_waiting(void)
{
    return atomic_load_explicit(&waiting, memory_order_relaxed);
}
