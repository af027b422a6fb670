/* commands/cache_invalidate.c: INVALIDATE: what is cached of a key, or of all keys with its hash tag, is not to be used any more.
 *
 * With TAG the slot is walked: a slot is small. Where it is not, the walk goes on without the lock between its pieces. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/keyslot.h"
#include "cluster/owner.h"
#include "commands/cache_guard.h"
#include "commands/cache_internal.h"
#include "commands/string_internal.h"
#include "server/node.h"

#define WALK_AT_ONCE 4096u /* a slot of so many keys is walked in one piece */
#define PIECE_KEYS 1024u

struct invalidation {
    uint64_t version; /* what is older goes; 0: all goes */
    int64_t hold_ms;
    bool marks_stale, all_with_tag;
};

/* False: has replied. */
static bool parse(struct call *call, struct invalidation *what)
{
    for (int arg = 2; arg < call->argc; arg++) {
        bool has_more = arg + 1 < call->argc;

        if (has_more && call_arg_is(call, arg, "ver")) {
            if (!version_of_arg(call, ++arg, &what->version)) return false;
        } else if (has_more && call_arg_is(call, arg, "hold")) {
            if (!ms_of_arg(call, ++arg, 1, &what->hold_ms)) return false;
        } else if (call_arg_is(call, arg, "stale")) {
            what->marks_stale = true;
        } else if (call_arg_is(call, arg, "tag")) {
            what->all_with_tag = true;
        } else {
            reply_error(call->reply, ERROR_SYNTAX);
            return false;
        }
    }
    if (!what->all_with_tag || what->version == 0) return true;
    /* A version is one key's. */
    reply_error(call->reply, ERROR_SYNTAX);
    return false;
}

static void mark_stale(struct slot *slot, struct entry *entry)
{
    struct entry_attributes attributes = entry_attributes(entry);

    attributes.fresh_ms = FRESH_NO_MORE;
    entry = slot_set_attributes(slot, entry, &attributes);
    slot_signal(slot, entry_key(entry));
}

/* --- One key --- */

static void invalidate_key(struct call *call, const struct invalidation *what)
{
    struct slot *slot = call_slot(call, 1);
    uint64_t hash = call_hash(call, 1);
    struct entry *entry = call_find_write(call, 1);
    struct slot_fills *of = fills_find(call->node->fills, slot);
    bool is_current = entry != NULL && what->version != 0 && entry_attributes(entry).version >= what->version;
    bool goes = entry != NULL && !is_current;

    if ((what->version != 0 && !is_current) || what->hold_ms != 0) of = fills_of(call->node->fills, slot);
    if (of != NULL) fill_count(of, FILL_INVALIDATIONS);
    if (what->hold_ms != 0)
        fill_hold(of, hash, call->now_ms + what->hold_ms);
    else if (what->version == 0 && has_guards(call))
        guard_note_deletion(call, 1);
    if (goes && what->marks_stale) {
        mark_stale(slot, entry);
    } else if (!is_current) {
        if (slot_remove(slot, call_arg(call, 1), call->now_ms)) call_event(call, EVENT_GENERIC, "del", 1);
    } else if (of != NULL) {
        fill_note_event(of, hash, call->now_ms); /* whoever is loading it may have read an older one */
    }
    if (what->version != 0 && !is_current)
        fill_floor_raise(of, hash, (struct fill_floor){ .version = what->version }, call->now_ms);
    reply_integer(call->reply, goes);
}

/* --- All keys with a tag --- */

struct walk {
    struct node *node;
    struct slot *slot;
    struct bytes tag;
    bool marks_stale;
    uint32_t cursor;
    int64_t found;
    size_t seen;
    struct buf keys; /* to be dropped: the length of each before it */
};

static void note_if_tagged(void *context, struct entry *entry)
{
    struct walk *walk = context;
    struct bytes key = entry_key(entry);

    walk->seen++;
    if (!bytes_equal(key_hash_tag(key), walk->tag)) return;
    buf_append(&walk->keys, &key.len, sizeof(key.len));
    buf_append_bytes(&walk->keys, key);
}

static void drop_noted(struct walk *walk, int64_t now_ms)
{
    for (size_t at = 0; at < walk->keys.len;) {
        struct bytes key;
        struct entry *entry;

        memcpy(&key.len, walk->keys.data + at, sizeof(key.len));
        key.data = walk->keys.data + at + sizeof(key.len);
        at += sizeof(key.len) + key.len;
        entry = slot_find(walk->slot, key, now_ms);
        if (entry == NULL) continue;
        walk->found++;
        if (walk->marks_stale)
            mark_stale(walk->slot, entry);
        else if (slot_remove(walk->slot, key, now_ms))
            keyspace_event(walk->node, EVENT_GENERIC, "del", key);
    }
    buf_clear(&walk->keys);
}

/* With the slot locked; false where all of it has been walked. */
static bool walk_on(struct walk *walk, size_t keys, int64_t now_ms)
{
    walk->seen = 0;
    do {
        walk->cursor = slot_scan_once(walk->slot, walk->cursor, note_if_tagged, walk);
        drop_noted(walk, now_ms);
    } while (walk->cursor != 0 && walk->seen < keys);
    return walk->cursor != 0;
}

static void end_walk(struct call *call, struct walk *walk)
{
    reply_integer(call->reply, walk->found);
    buf_free(&walk->keys);
    alloc_free(walk);
}

static void invalidate_tag(struct call *call, const struct invalidation *what)
{
    struct slot *slot = call_slot(call, 1);
    struct slot_fills *of = fills_find(call->node->fills, slot);
    struct walk *walk;

    if (slot_has_keys_in_flight(slot) && !call->in_exec) {
        /* What is being sent to another node must not be forgotten here. */
        call_wait_for_keys(call);
        return;
    }
    if (what->hold_ms != 0) of = fills_of(call->node->fills, slot);
    if (of != NULL) {
        fill_count(of, FILL_INVALIDATIONS);
        fill_void_all(of);
    }
    if (what->hold_ms != 0) fill_hold_all(of, call->now_ms + what->hold_ms);
    walk = alloc_zeroed(sizeof(*walk));
    walk->node = call->node;
    walk->slot = slot;
    walk->tag = key_hash_tag(call_arg(call, 1));
    walk->marks_stale = what->marks_stale;
    if (!walk_on(walk, call->in_exec ? SIZE_MAX : WALK_AT_ONCE, call->now_ms)) {
        end_walk(call, walk);
        return;
    }
    /* A key that is sent from here on would arrive after it was dropped. */
    fill_walk_begin(fills_of(call->node->fills, slot));
    call->kept = walk;
}

/* The rest of a large slot, with no lock held between its pieces. Keys of a slot that is another's by now are going anyway. */
static void invalidate_finish(struct call *call)
{
    struct walk *walk = call->kept;
    bool more = true;

    call->kept = NULL;
    while (more) {
        slot_lock(walk->slot);
        more = owner_unpack(slot_owner(walk->slot)).state == OWNER_HERE && walk_on(walk, PIECE_KEYS, call->now_ms);
        if (!more) fill_walk_end(fills_of(call->node->fills, walk->slot));
        slot_unlock(walk->slot);
    }
    end_walk(call, walk);
}

static void invalidate(struct call *call)
{
    struct invalidation what = { 0 };

    if (!parse(call, &what)) return;
    if (what.all_with_tag)
        invalidate_tag(call, &what);
    else
        invalidate_key(call, &what);
}

/* --- Descriptor --- */

static const struct command_arg invalidate_args[] = {
    ARG_THE_KEY,
    { .name = "version", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "VER" },
    { .name = "hold-milliseconds", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "HOLD" },
    { .name = "stale", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "STALE" },
    { .name = "tag", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "TAG" },
    { .name = NULL },
};

const struct command command_invalidate = {
    .name = "invalidate",
    .summary = "Drop what is cached of a key, or of all keys with its hash tag, and refuse what is being loaded.",
    .since = "0.1.0",
    .group = "cache",
    .complexity = "O(1); with TAG O(N) for N keys of the slot",
    .arity = -2,
    .flags = COMMAND_WRITE,
    .acl = ACL_KEYSPACE | ACL_CACHE,
    .keys = ONE_KEY(KEY_RM | KEY_DELETE),
    .args = invalidate_args,
    .run = invalidate,
    .finish = invalidate_finish,
};
