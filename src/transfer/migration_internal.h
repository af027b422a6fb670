/* transfer/migration_internal.h: keys that are sent together, shared by who sends them and who finds out what came of them. */
#pragma once

#include "base/buf.h"
#include "store/slot.h"
#include "transfer/migration.h"

/* So many keys are sent, and marked, before their replies are read; and no more bytes than a first big value has. */
#define BATCH_KEYS_MAX 128u
#define BATCH_BYTES_MAX ((size_t)1 << 20)

struct parcel {
    struct slot_mark mark; /* on the slot, unless it is only copied; its key is the migration's */
    struct slot *slot;
    struct entry *big;  /* held; or NULL: */
    size_t offset, len; /* of the value in the batch's values */
    int64_t expires_at_ms;
    int64_t unix_ms;                    /* the same on the wire; 0: never */
    struct entry_attributes attributes; /* to be sent; the birth in unix seconds on the wire */
    bool is_settled;                    /* the mark is gone, the value let go */
};

struct batch {
    size_t count;
    size_t bytes; /* of values */
    struct parcel parcels[BATCH_KEYS_MAX];
    struct buf values; /* the small ones */
};

struct migration {
    struct migration_options options; /* its texts and keys are its own */
    size_t next;                      /* key to be sent */
    int waited;                       /* how often for its value to be complete */
    bool found_any;
    bool has_answered;
    char error[TARGET_ERROR_BYTES]; /* the target's first */
    struct batch batch;
};

struct bytes parcel_value(const struct batch *batch, const struct parcel *parcel);

/* It is known what came of it: takes the mark off and, where it has arrived and is not only copied, the key out. */
void parcel_settle(struct migration *migration, const struct migration_site *site, struct parcel *parcel,
                   bool has_arrived);

/* transfer/doubt.c: asks the target, over new connections, which keys of the batch have arrived, and settles them. Tries until a moment of the
 * monotonic clock; false where nobody could be asked by then. *all_arrived says whether they all have. */
bool doubt_resolve(struct migration *migration, const struct migration_site *site, const char *former_name,
                   int64_t until_ms, bool *all_arrived);
