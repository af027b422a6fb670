#include "salt/marks.h"

#include "base/alloc.h"
#include "salt/registry.h"

#include <string.h>

struct name_mark {
    struct slot_mark mark;  /* first, so that it leads back */
    struct name_mark *next; /* of the entry */
    struct salt_base base;  /* the set's */
    uint16_t slot;
    unsigned id; /* 0: of the base itself */
    char separator;
    bool wanted;
    char key[];
};

_Static_assert(offsetof(struct name_mark, mark) == 0, "a mark is cast to what it is part of");

struct mark_set {
    struct name_mark *first;
    size_t base_bytes;
    char base[];
};

static struct mark_set *set_of(struct salt_entry *entry)
{
    struct mark_set *set = entry->marks;

    if (set != NULL) return set;
    set = alloc(sizeof(*set) + entry->base.len);
    *set = (struct mark_set){ .base_bytes = entry->base.len };
    if (entry->base.len > 0) memcpy(set->base, entry->base.data, entry->base.len);
    entry->marks = set;
    return set;
}

static void place(struct keyspace *keyspace, struct mark_set *set, struct bytes key, unsigned id, char separator)
{
    struct name_mark *mark = alloc(sizeof(*mark) + key.len);
    struct bytes base = { set->base, set->base_bytes };
    struct slot *slot;

    *mark =
        (struct name_mark){ .next = set->first,
                            .base = { base, key_slot(base) },
                            .slot = key_slot(key),
                            .id = id,
                            .separator = separator,
                            .wanted = true,
                            .mark = { .hash = slot_hash(key), .kind = id == 0 ? SLOT_MARK_SALTED : SLOT_MARK_NAME } };
    if (key.len > 0) memcpy(mark->key, key.data, key.len);
    mark->mark.key = (struct bytes){ mark->key, key.len };
    set->first = mark;
    slot = keyspace_slot(keyspace, mark->slot);
    slot_lock(slot);
    slot_mark(slot, &mark->mark);
    slot_unlock(slot);
}

static void want(struct keyspace *keyspace, struct salt_entry *entry, unsigned id, int *more)
{
    struct mark_set *set = set_of(entry);
    struct buf name = { 0 };

    for (struct name_mark *mark = set->first; mark != NULL; mark = mark->next) {
        if (mark->id != id || (id != 0 && mark->separator != entry->separator)) continue;
        mark->wanted = true;
        return;
    }
    if (id == 0)
        buf_append_bytes(&name, entry->base);
    else
        salt_name(entry->base, entry->separator, id, &name);
    place(keyspace, set, buf_bytes(&name), id, entry->separator);
    buf_free(&name);
    ++*more;
}

static void lift_unwanted(struct keyspace *keyspace, struct mark_set *set, int *more)
{
    struct name_mark **at = &set->first;

    while (*at != NULL) {
        struct name_mark *mark = *at;
        struct slot *slot = keyspace_slot(keyspace, mark->slot);

        if (mark->wanted) {
            at = &mark->next;
            continue;
        }
        *at = mark->next;
        slot_lock(slot);
        slot_unmark(slot, &mark->mark);
        slot_unlock(slot);
        alloc_free(mark);
        --*more;
    }
}

int salt_marks_place(struct keyspace *keyspace, struct salt_entry *entry)
{
    struct mark_set *set = set_of(entry);
    int more = 0;

    for (struct name_mark *mark = set->first; mark != NULL; mark = mark->next) mark->wanted = false;
    if (entry->count > 0 || entry->retired_count > 0) want(keyspace, entry, 0, &more);
    for (unsigned i = 0; i < entry->count; i++) want(keyspace, entry, entry->ids[i], &more);
    for (unsigned i = 0; i < entry->retired_count; i++) want(keyspace, entry, entry->retired[i].id, &more);
    lift_unwanted(keyspace, set, &more);
    return more;
}

int salt_marks_lift(struct keyspace *keyspace, struct salt_entry *entry)
{
    struct mark_set *set = entry->marks;
    int more = 0;

    if (set == NULL) return 0;
    for (struct name_mark *mark = set->first; mark != NULL; mark = mark->next) mark->wanted = false;
    lift_unwanted(keyspace, set, &more);
    alloc_free(set);
    entry->marks = NULL;
    return more;
}

bool salt_marks_base(const struct slot *slot, uint64_t hash, struct bytes name, struct salt_base *base)
{
    const struct slot_mark *mark = slot_find_mark(slot, SLOT_MARK_NAME, hash, name);

    if (mark == NULL) return false;
    *base = ((const struct name_mark *)(const void *)mark)->base;
    return true;
}

bool salt_marks_has_names(const struct slot *slot, uint64_t hash, struct bytes key)
{
    return slot_find_mark(slot, SLOT_MARK_SALTED, hash, key) != NULL;
}
