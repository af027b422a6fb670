/* cluster/shared_set.h
 *
 * The items of the shared set as one node has them (cluster/shared.h), in the order of their hashes, with digests by which two nodes find out whether and
 * where they differ:
 *
 *     hash      of kind and name, the same on all machines
 *     bucket    a 256th of the hashes; its digest is of the items in it with their versions
 *     digest    of all buckets: goes with every message (cluster/message.h)
 *
 * A deleted item stays, without its text, or whoever did not hear of that would bring it back.
 *
 *     for a day       it is told and counts in the digests as any other does: whoever is there knows of it by then
 *     for a week      it is no longer in the digests, and nobody is told of it who has no older one. So nodes whose clocks are not the same do not
 *                     go on telling each other what the other has put away
 *     then            it goes: when it is safe. A node that was away for longer than a week, or a file as old, brings back what was deleted meanwhile
 *
 * Of deleted ones SHARED_GONE_MAX are kept, the latest. The times are those of their versions by this node's clock.
 *
 * The node's own items (SHARED_OWN) are in no digest, and go at once when they are deleted. All zero is an empty set. */
#pragma once

#include "base/buf.h"
#include "cluster/shared.h"

#define SHARED_BUCKETS 256u
#define SHARED_GONE_TOLD_MS (INT64_C(24) * 3600 * 1000)
#define SHARED_GONE_KEPT_MS (INT64_C(7) * 24 * 3600 * 1000)
#define SHARED_GONE_MAX 4096u
/* No honest clock or count comes near it. */
#define SHARED_VERSION_MAX (UINT64_C(1) << 60)

struct shared_entry {
    uint64_t hash;
    struct shared_version version;
    uint8_t kind;
    bool is_gone;
    bool is_counted; /* in the digests */
    uint16_t name_bytes, text_bytes;
    char data[]; /* the name, and the text behind it */
};

struct shared_set {
    struct shared_entry **entries; /* by hash, kind and name */
    size_t count, cap;
    size_t gone_count; /* of these */
    size_t bytes;      /* of names and texts */
    uint64_t buckets[SHARED_BUCKETS], digest;
    uint64_t changes;
    struct shared_version latest; /* of all that were ever here */
    int64_t due_ms;               /* nothing comes of age before */
};

void shared_set_free(struct shared_set *set); /* empty afterwards */

/* The item as a view of its entry, lent as long as that stays. */
struct shared_item shared_entry_item(const struct shared_entry *entry);
static inline unsigned shared_bucket(uint64_t hash)
{
    return (unsigned)(hash >> 56);
}

/* NULL: there is none. */
const struct shared_entry *shared_set_find(const struct shared_set *set, uint8_t kind, struct bytes name);
/* The place of the first entry with at least this hash. */
size_t shared_set_place(const struct shared_set *set, uint64_t hash);

/* A version that is later than all that were here, for a text, or for none. */
struct shared_version shared_set_next_version(const struct shared_set *set, const struct shared_item *item,
                                              int64_t now_ms);
/* What tells this text from another, and from none. */
uint64_t shared_digest_of(const struct shared_item *item);

enum shared_put {
    SHARED_TAKEN,
    SHARED_NOT_LATER, /* than what is there; or it has been gone for so long that only older ones mind, and there is none */
    SHARED_NO_ROOM,
};
/* Copies an item of a valid size into the set, where it is later than the one there and the set stays within `items` and `bytes`. What makes it no larger has
 * room always. */
enum shared_put shared_set_put(struct shared_set *set, const struct shared_item *item, size_t items, size_t bytes,
                               int64_t now_ms);
/* Whether sizes, kind and version are what an item may have. */
bool shared_item_is_valid(const struct shared_item *item);

/* What was deleted long enough ago leaves the digests, and later the set. */
void shared_set_age(struct shared_set *set, int64_t now_ms);

/* As text, and from it; into an empty set. */
void shared_set_save(const struct shared_set *set, struct buf *out);
bool shared_set_load(struct shared_set *set, struct bytes text, int64_t now_ms, char error[256]);
