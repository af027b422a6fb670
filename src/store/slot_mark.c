/* store/slot_mark.c: what whoever runs commands has to know of a key. */
#include "store/slot_internal.h"

#include "base/hash.h"

#include <assert.h>

static uint16_t count(const struct slot *slot)
{
    return atomic_load_explicit(&slot->mark_count, memory_order_relaxed);
}

static void set_count(struct slot *slot, int marks)
{
    atomic_store_explicit(&slot->mark_count, (uint16_t)marks, memory_order_relaxed);
}

void slot_mark(struct slot *slot, struct slot_mark *mark)
{
    slot_assert_locked(slot);
    assert(slot_find_mark(slot, mark->kind, mark->hash, mark->key) == NULL && count(slot) < UINT16_MAX);
    mark->next = slot->marks;
    slot->marks = mark;
    set_count(slot, count(slot) + 1);
    slot_tell_restated(slot, mark->hash);
}

void slot_unmark(struct slot *slot, struct slot_mark *mark)
{
    struct slot_mark **at = &slot->marks;

    slot_assert_locked(slot);
    while (*at != mark) at = &(*at)->next;
    *at = mark->next;
    set_count(slot, count(slot) - 1);
}

void slot_mark_sent(struct slot *slot, struct slot_mark *mark, bool is_sent)
{
    slot_assert_locked(slot);
    mark->is_sent = is_sent;
    slot_tell_restated(slot, mark->hash);
}

const struct slot_mark *slot_find_mark(const struct slot *slot, enum slot_mark_kind kind, uint64_t hash,
                                       struct bytes key)
{
    slot_assert_locked(slot);
    for (const struct slot_mark *mark = slot->marks; mark != NULL; mark = mark->next)
        if (mark->hash == hash && mark->kind == kind && bytes_equal(mark->key, key)) return mark;
    return NULL;
}

bool slot_has_marks(const struct slot *slot)
{
    return count(slot) > 0;
}

bool slot_has_keys_in_flight(const struct slot *slot)
{
    slot_assert_locked(slot);
    for (const struct slot_mark *mark = slot->marks; mark != NULL; mark = mark->next)
        if (mark->kind == SLOT_MARK_IN_FLIGHT) return true;
    return false;
}

bool slot_is_in_flight(const struct slot *slot, struct bytes key)
{
    slot_assert_locked(slot);
    return slot_has_marks(slot) && slot_find_mark(slot, SLOT_MARK_IN_FLIGHT, hash_bytes(key), key) != NULL;
}
