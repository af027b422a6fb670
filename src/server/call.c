#include "server/call.h"

#include "base/buf.h"
#include "cache/hot_reads.h"
#include "cluster/owner.h"
#include "server/client.h"
#include "server/slot_set.h"
#include "server/worker_internal.h"

#include <ctype.h>

bool call_arg_is(const struct call *call, int arg, const char *word)
{
    return bytes_is_word(call->argv[arg], word);
}

bool call_arg_i64(struct call *call, int arg, int64_t *out)
{
    if (bytes_to_i64(call->argv[arg], out)) return true;
    reply_error(call->reply, ERROR_NOT_INTEGER);
    return false;
}

bool call_arg_i64_in(struct call *call, int arg, int64_t min, int64_t max, int64_t *out)
{
    int64_t number;

    if (!call_arg_i64(call, arg, &number)) return false;
    if (number < min || number > max) {
        reply_errorf(call->reply, "ERR value is out of range, value must between %lld and %lld", (long long)min,
                     (long long)max);
        return false;
    }
    *out = number;
    return true;
}

struct slot *call_slot_of_key(struct call *call, struct bytes key)
{
    struct slot *slot = call->slot;

    if (slot == NULL) slot = keyspace_slot(call->node->keyspace, key_slot(key));
    slot_assert_locked(slot);
    return slot;
}

struct slot *call_slot(struct call *call, int arg)
{
    return call_slot_of_key(call, call->argv[arg]);
}

/* Of a key argument; known already where it was looked ahead at. */
static inline uint64_t hash_of(const struct call *call, int arg)
{
    return arg == call->key_arg ? call->key_hash : slot_hash(call->argv[arg]);
}

struct entry *call_find_write(struct call *call, int arg)
{
    return slot_find_hashed(call_slot(call, arg), hash_of(call, arg), call->argv[arg], call->now_ms);
}

bool call_makes_new(struct call *call, int arg)
{
    return events_wanted(call->node, EVENT_NEW | EVENT_EXPIRED) && call_find_write(call, arg) == NULL;
}

void call_store(struct call *call, int value_arg, int64_t expires_at_ms)
{
    int key_arg = call->command->keys[0].first;
    struct slot *slot = call_slot(call, key_arg);
    struct entry *entry = *call->incoming;
    bool is_new = call_makes_new(call, key_arg);

    if (entry == NULL || value_arg != call->command->value_arg) {
        slot_store(slot, hash_of(call, key_arg), call->argv[key_arg], call->argv[value_arg], expires_at_ms,
                   call->now_ms);
        call_event_new(call, is_new, key_arg);
        return;
    }
    /* The argument points into it: MONITOR and the slow log will look there when the slot is no longer locked. */
    entry_hold(entry);
    entry = entry_set_expiry(entry, expires_at_ms);
    slot_put(slot, &entry);
    call_event_new(call, is_new, key_arg);
}

void call_publish(struct call *call, struct bytes value, int64_t until_ms, uint64_t policies_changes)
{
    int key_arg = call->command->keys[0].first;
    uint64_t owner = slot_owner(call_slot(call, key_arg));

    if (owner_unpack(owner).state != OWNER_HERE) return;
    hot_reads_offer(call->node->hot_reads,
                    &(struct hot_offer){ .slot = call_slot(call, key_arg),
                                         .owner = owner,
                                         .hash = hash_of(call, key_arg),
                                         .key = call->argv[key_arg],
                                         .value = value,
                                         .until_ms = until_ms == ENTRY_KEEPS_FOREVER ? INT64_MAX : until_ms,
                                         .rules = policies_changes,
                                         .now_ms = call->now_ms });
}

static inline void count_use(const struct call *call, const struct entry *entry, int arg)
{
    count_up(entry != NULL ? &call->worker->counters.hits : &call->worker->counters.misses, 1);
    if (entry == NULL) call_event(call, EVENT_MISSED, "keymiss", arg);
}

void call_wait_for_keys(struct call *call)
{
    /* Under the lock that is needed to take the mark off: so nobody is forgotten. */
    atomic_store_explicit(&call->worker->awaits_keys, true, memory_order_relaxed);
    call->waits = true;
}

uint64_t call_hash(const struct call *call, int arg)
{
    return hash_of(call, arg);
}

void call_store_attributed(struct call *call, int value_arg, int64_t expires_at_ms,
                           const struct entry_attributes *attributes)
{
    int key_arg = call->command->keys[0].first;
    struct entry *entry = *call->incoming;
    bool is_new = call_makes_new(call, key_arg);

    if (entry == NULL || value_arg != call->command->value_arg) {
        entry = entry_new_attributed(call->argv[key_arg], call->argv[value_arg], expires_at_ms, attributes);
    } else {
        entry_hold(entry);
        entry = entry_set_attributes(entry_set_expiry(entry, expires_at_ms), attributes);
    }
    slot_put(call_slot(call, key_arg), &entry);
    call_event_new(call, is_new, key_arg);
}

struct entry *call_find_read(struct call *call, int arg)
{
    struct entry *entry = slot_use(call_slot(call, arg), hash_of(call, arg), call->argv[arg], call->now_ms,
                                   call->no_touch ? SLOT_NO_TOUCH : SLOT_TOUCH);

    count_use(call, entry, arg);
    return entry;
}

struct entry *call_find_look(struct call *call, int arg)
{
    struct entry *entry =
        slot_use(call_slot(call, arg), hash_of(call, arg), call->argv[arg], call->now_ms, SLOT_NO_TOUCH);

    count_use(call, entry, arg);
    return entry;
}

static bool is_held(const struct call *call, uint16_t id)
{
    if (call->held != NULL) return slot_set_has(call->held, id);
    return call->slot != NULL && slot_id(call->slot) == id;
}

static void let_go(void *owner)
{
    struct entry *entry = owner;

    entry_free(&entry);
}

void call_reply_value(struct call *call, const struct entry *entry, struct bytes part)
{
    /* A short part is copied: it would keep all of the entry for a few bytes. */
    if (part.len < ENTRY_BIG_BYTES) {
        reply_bulk(call->reply, part);
        return;
    }
    entry_hold(entry);
    reply_bulk_piece(call->reply,
                     (struct piece){ .bytes = part, .release = let_go, .owner = (void *)(uintptr_t)entry });
}

struct slot *call_slot_enter(struct call *call, uint16_t id)
{
    struct slot *slot = keyspace_slot(call->node->keyspace, id);

    if (is_held(call, id)) return slot;
    slot_lock(slot);
    return slot;
}

void call_slot_leave(struct call *call, struct slot *slot)
{
    if (is_held(call, slot_id(slot))) return;
    slot_unlock(slot);
}

static void append_upper(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) buf_append_byte(out, (char)toupper((unsigned char)*text));
}

void call_reply_subcommand_error(struct call *call)
{
    struct buf container = { 0 };
    struct bytes typed = call->argc > 1 ? call->argv[1] : call->argv[0];
    int shown = typed.len > 128 ? 128 : (int)typed.len;

    append_upper(&container, call->command->parent != NULL ? call->command->parent : call->command->name);
    buf_append_byte(&container, '\0');
    reply_errorf(call->reply, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.", shown,
                 typed.data, container.data);
    buf_free(&container);
}

void call_reply_help(struct call *call, const char *const *lines)
{
    struct buf head = { 0 };
    size_t count = 0;

    while (lines[count] != NULL) count++;
    append_upper(&head, call->command->parent != NULL ? call->command->parent : call->command->name);
    buf_append_text(&head, " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    buf_append_byte(&head, '\0');
    reply_array(call->reply, count + 3);
    reply_simple(call->reply, head.data);
    for (size_t i = 0; i < count; i++) reply_simple(call->reply, lines[i]);
    reply_simple(call->reply, "HELP");
    reply_simple(call->reply, "    Prints this help.");
    buf_free(&head);
}
