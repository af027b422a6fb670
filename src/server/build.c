#include "server/build.h"

#include "base/alloc.h"
#include "server/call.h"
#include "server/worker_internal.h"

#include <assert.h>
#include <string.h>

#define ROUNDS_MAX 2 /* so many times it is tried without the lock */

struct item {
    struct build asked; /* the source is a big one, and held, or NULL */
    struct entry *made; /* NULL: not yet, or taken */
};

struct builds {
    struct item *items; /* one for each key */
    size_t count, cap;
    size_t next; /* where the next one is looked for: they are asked for in the same order each time */
    unsigned rounds;
    bool asked_for_more; /* since the last round */
};

/* What is copied without the lock. A small source may change meanwhile; its few bytes are copied when the entry is taken. */
static const struct entry *big_source(const struct build *build)
{
    return build->source != NULL && entry_is_big(build->source) ? build->source : NULL;
}

/* The part from .. to of a value that begins with a former one. */
static void copy_part(char *value, struct bytes former, size_t from, size_t to)
{
    if (to > former.len) to = former.len;
    if (from < to) memcpy(value + from, former.data + from, to - from);
}

static void zero_part(char *value, struct bytes former, size_t from, size_t to)
{
    if (from < former.len) from = former.len;
    if (from < to) memset(value + from, 0, to - from);
}

/* What of a source's value the piece leaves. */
static void copy_source(struct entry *entry, const struct build *build, const struct entry *source)
{
    char *value = entry_value_mutable(entry);

    copy_part(value, entry_value(source), 0, build->offset);
    copy_part(value, entry_value(source), build->offset + build->piece.len, build->value_bytes);
}

/* Looks at nothing of the source that may change while it is held: its deadline is none of it. */
static struct entry *make(const struct call *call, const struct build *build, const struct entry *source)
{
    struct entry *entry = entry_new_sized(call->argv[build->key_arg], build->value_bytes, ENTRY_KEEPS_FOREVER);
    struct bytes former = source == NULL ? BYTES_NONE : entry_value(source);
    char *value = entry_value_mutable(entry);

    assert(build->offset + build->piece.len <= build->value_bytes);
    zero_part(value, former, 0, build->offset);
    if (build->piece.len > 0) memcpy(value + build->offset, build->piece.data, build->piece.len);
    zero_part(value, former, build->offset + build->piece.len, build->value_bytes);
    if (source != NULL) copy_source(entry, build, source);
    return entry;
}

static struct item *find(struct builds *builds, int key_arg)
{
    for (size_t i = 0; i < builds->count; i++) {
        struct item *item = &builds->items[(builds->next + i) % builds->count];

        if (item->asked.key_arg != key_arg) continue;
        builds->next = (size_t)(item - builds->items) + 1;
        return item;
    }
    return NULL;
}

static bool is_made(const struct item *item, const struct build *build)
{
    const struct build *asked = &item->asked;

    return item->made != NULL && asked->source == big_source(build) && asked->value_bytes == build->value_bytes &&
           asked->offset == build->offset;
}

static void drop(struct item *item)
{
    struct entry *source = (struct entry *)(uintptr_t)item->asked.source;

    entry_free(&item->made);
    entry_free(&source);
    item->asked.source = NULL;
}

static struct item *item_for(struct builds *builds, int key_arg)
{
    struct item *item = find(builds, key_arg);

    if (item != NULL) {
        drop(item);
        return item;
    }
    if (builds->count == builds->cap) {
        builds->cap = builds->cap == 0 ? 1 : builds->cap * 2;
        builds->items = alloc_resize(builds->items, builds->cap * sizeof(*builds->items));
    }
    return &builds->items[builds->count++];
}

static __attribute__((cold, noinline)) bool ask(struct call *call, const struct build *build)
{
    struct builds *builds = call->builds;
    struct item *item;

    if (builds == NULL) builds = call->builds = alloc_zeroed(sizeof(*builds));
    item = find(builds, build->key_arg);
    if (builds->rounds == ROUNDS_MAX || (item != NULL && is_made(item, build))) return true;
    item = item_for(builds, build->key_arg);
    *item = (struct item){ .asked = *build };
    item->asked.source = big_source(build);
    if (item->asked.source != NULL) entry_hold(item->asked.source);
    builds->asked_for_more = true;
    return false;
}

bool build_is_ready(struct call *call, const struct build *build)
{
    if (build->value_bytes < ENTRY_BIG_BYTES || call->in_exec) return true;
    return ask(call, build);
}

struct entry *build_take(struct call *call, const struct build *build)
{
    struct item *item = call->builds == NULL ? NULL : find(call->builds, build->key_arg);
    struct entry_attributes attributes;
    struct entry *entry;

    if (item == NULL || !is_made(item, build)) {
        if (build->value_bytes >= ENTRY_BIG_BYTES) count_up(&call->worker->counters.built_locked, 1);
        entry = make(call, build, build->source);
    } else {
        entry = item->made;
        item->made = NULL;
        if (build->source != NULL && item->asked.source == NULL) copy_source(entry, build, build->source);
    }
    if (build->source == NULL) return entry;
    if (entry_encoding(build->source) == ENTRY_RAW) entry_mark_raw(entry);
    if (entry_has_attributes(build->source)) {
        attributes = entry_attributes_kept(build->source);
        entry = entry_set_attributes(entry, &attributes);
    }
    return entry_set_expiry(entry, entry_expires_at_ms(build->source));
}

bool build_all(struct call *call)
{
    struct builds *builds = call->builds;

    if (!builds->asked_for_more) {
        build_end(call);
        return false;
    }
    builds->asked_for_more = false;
    builds->rounds++;
    builds->next = 0;
    for (size_t i = 0; i < builds->count; i++) {
        struct item *item = &builds->items[i];

        if (item->made != NULL) continue;
        item->made = make(call, &item->asked, item->asked.source);
        count_up(&call->worker->counters.built, 1);
    }
    return true;
}

void build_end(struct call *call)
{
    struct builds *builds = call->builds;

    if (builds == NULL) return;
    for (size_t i = 0; i < builds->count; i++) drop(&builds->items[i]);
    alloc_free(builds->items);
    alloc_free(builds);
    call->builds = NULL;
}
