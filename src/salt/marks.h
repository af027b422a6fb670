/* salt/marks.h
 *
 * How those who run commands find out that a key is a name: by a mark on the slot of each name (store/slot.h), under the slot's lock, and without
 * the registry. A mark of a name leads to the base; the base has one of its own, which says that it is salted.
 *
 * The marks of an entry are its `marks`, and are placed and lifted by whoever guards the registry, one slot's lock at a time. A name that stays is
 * never without its mark meanwhile. */
#pragma once

#include "store/keyspace.h"

struct salt_entry;

/* Brings the marks in line with the entry's names, listed and retired. No slot's lock may be held. Returns how many more there are than before. */
int salt_marks_place(struct keyspace *keyspace, struct salt_entry *entry);
/* Takes all of them away, likewise. */
int salt_marks_lift(struct keyspace *keyspace, struct salt_entry *entry);

/* --- With the slot locked --- */

/* What a name is a name of; false where it is none. Lent until the unlock. */
struct salt_base {
    struct bytes key;
    uint16_t slot;
};
bool salt_marks_base(const struct slot *slot, uint64_t hash, struct bytes name, struct salt_base *base);
/* Is the key salted itself? */
bool salt_marks_has_names(const struct slot *slot, uint64_t hash, struct bytes key);
