/* server/salt_home_fold.c: what helpers have added to a sum is added to the key, as by INCRBY. */
#include "server/salt_home_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "cache/eviction.h"
#include "server/events.h"

/* What does not fit into a sum is told of in the log so often at most. */
#define OVERFLOW_TOLD_MS 1000

/* Would INCRBY of it be accepted at this moment? While its slot leaves it is as long as it is here; what is on its way to another node is not touched. */
static bool may_write(const struct salt_home *host, const struct slot *slot, struct bytes base, bool is_there)
{
    const struct node *node = host->node;
    enum home_slot state = salt_home_slot_state(slot_owner(slot));

    if (state != HOME_SLOT_HERE && !(state == HOME_SLOT_LEAVING && is_there)) return false;
    if (slot_is_in_flight(slot, base) || (node->bus != NULL && !bus_state_ok(node->bus))) return false;
    return clock_monotonic_ms() >= atomic_load_explicit(&node->pause_until_ms, memory_order_relaxed);
}

/* INCRBY, of a base by a fold. False where it cannot be added. */
static bool add_to(const struct salt_home *host, struct slot *slot, struct bytes base, int64_t delta, int64_t now_ms,
                   int64_t *total)
{
    struct entry *entry = slot_find(slot, base, now_ms);
    bool is_new = entry == NULL;
    struct entry_attributes kept = entry_attributes_kept(entry);
    char text[I64_TEXT_BYTES];
    int64_t number = 0;

    if (entry != NULL && !bytes_to_i64(entry_value(entry), &number)) return false;
    if (__builtin_add_overflow(number, delta, &number)) return false;
    *total = number;
    entry = entry_new_attributed(base, (struct bytes){ text, i64_to_text(text, number) },
                                 entry == NULL ? ENTRY_KEEPS_FOREVER : entry_expires_at_ms(entry), &kept);
    slot_put_aged(slot, &entry);
    if (is_new) keyspace_event(host->node, EVENT_NEW, "new", base);
    keyspace_event(host->node, EVENT_STRING, "incrby", base);
    return true;
}

/* With no lock held. */
static void tell_of_overflow(struct salt_home *host, int64_t delta)
{
    int64_t now_ms = salt_home_lock(host);
    bool is_told = now_ms - host->overflow_told_ms < OVERFLOW_TOLD_MS;

    if (!is_told) host->overflow_told_ms = now_ms;
    salt_home_unlock(host);
    if (!is_told)
        log_warning("salted keys: %lld that other nodes had added to a sum would have made it overflow, and is "
                    "discarded",
                    (long long)delta);
}

void salt_home_fold(struct salt_home *host, salt_link link, const struct salt_message *message, int64_t now_ms)
{
    struct slot *slot = keyspace_slot(host->node->keyspace, key_slot(message->base));
    struct eviction *eviction = host->node->eviction;
    bool has_room = message->delta == 0 || !eviction_is_due(eviction) ||
                    eviction_make_room(eviction, message->base.len + I64_TEXT_BYTES, now_ms);
    bool may, is_to_add, is_added = false;
    struct salt_notes notes;
    const struct entry *entry;
    int64_t total = 0;

    salt_home_begin(&notes, NULL);
    slot_lock(slot);
    entry = slot_find(slot, message->base, now_ms);
    if (entry != NULL && !bytes_to_i64(entry_value(entry), &total)) total = 0;
    may = has_room && may_write(host, slot, message->base, entry != NULL);
    {
        int64_t told_ms = salt_home_lock_told(host, slot);

        is_to_add = home_fold(host->core, link, message, may, entry != NULL ? &total : NULL, told_ms, &host->effects);
        salt_home_unlock(host);
    }
    if (is_to_add) {
        is_added = add_to(host, slot, message->base, message->delta, now_ms, &total);
        lock_take(&host->lock);
        home_folded(host->core, link, message, is_added, total, &host->effects);
        salt_home_unlock(host);
    }
    slot_unlock(slot);
    salt_home_end_notes(&notes);
    if (is_to_add && !is_added) tell_of_overflow(host, message->delta);
}
