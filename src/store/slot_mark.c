/* store/slot_mark.c: which keys are on their way to another node. */
#include "store/slot_internal.h"

#include "base/hash.h"

#include <assert.h>

void slot_mark(struct slot *slot, struct slot_mark *mark)
{
    slot_assert_locked(slot);
    assert(!slot_is_marked(slot, mark->key) && slot->mark_count < UINT16_MAX);
    mark->next = slot->marks;
    slot->marks = mark;
    slot->mark_count++;
}

void slot_unmark(struct slot *slot, struct slot_mark *mark)
{
    struct slot_mark **at = &slot->marks;

    slot_assert_locked(slot);
    while (*at != mark) at = &(*at)->next;
    *at = mark->next;
    slot->mark_count--;
}

/* Every command asks; that it does with the lock held its author has to know. */
bool slot_has_marks(const struct slot *slot)
{
    return slot->mark_count > 0;
}

bool slot_is_marked(const struct slot *slot, struct bytes key)
{
    uint64_t hash;

    slot_assert_locked(slot);
    if (!slot_has_marks(slot)) return false;
    hash = hash_bytes(key);
    for (const struct slot_mark *mark = slot->marks; mark != NULL; mark = mark->next)
        if (mark->hash == hash && bytes_equal(mark->key, key)) return true;
    return false;
}
