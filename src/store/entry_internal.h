/* store/entry_internal.h
 *
 * What a slot does to an entry it holds. Each may move the entry, so only who can mend the table may call them. */
#pragma once

#include "store/entry.h"

/* Keeps what fits of the value and zeroes what is new. What is returned nobody else holds. */
struct entry *entry_resize_value(struct entry *entry, size_t value_bytes);

/* Has the allocator give a big entry room for a value of so many bytes where it is, so that entry_resize_value() copies nothing. False where
 * it would copy all the same. */
bool entry_extend(struct entry *entry, size_t value_bytes);

/* Writes another value, deadline and attributes over those of an entry that needs no more and no less room for them, and has a deadline where
 * it is to have one. False, and nothing done, where that is not so, or where a reply may be holding the value. */
bool entry_overwrite(struct entry *entry, struct bytes value, int64_t expires_at_ms,
                     const struct entry_attributes *attributes);

/* The same entry elsewhere (base/relocate.h), or where it was if memory is short. Not of a big one: others may be reading it. */
struct entry *entry_relocate(struct entry *entry);

/* The value has been changed: the version was the former's. The entry stays where it is. */
void entry_forget_version(struct entry *entry);
