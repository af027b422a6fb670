/* cluster/shared.h
 *
 * The shared set: small items that all nodes of our kind come to have the same of, whichever of them they were set on. An item is named within its
 * kind, and what is in it is its kind's business alone; of two that were set the later one counts, each by itself, so that what was set on two nodes
 * at the same moment is kept, both, unless it is of one name.
 *
 *     POLICY SET, SALT ...       cluster_share_item()      here at once, on disk soon, on the others within some tenths of a second
 *     another node's             EFFECT_SHARED_ITEM        after the core has taken it over: it is not asked whether it may
 *     deleted ones               are remembered for a week, so that a node that was away does not bring back what it has not heard the end of
 *
 * How nodes find out that they differ and what they tell each other: cluster/shared.c. What is kept of a set and when: cluster/shared_set.h. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define SHARED_NAME_BYTES_MAX 600u
#define SHARED_TEXT_BYTES_MAX 4096u
/* What is set here is refused beyond this; of other nodes four times as much is taken, since what was set on the sides of a cut network comes together. */
#define SHARED_ITEMS_MAX 4096u
#define SHARED_BYTES_MAX (4u << 20) /* of names and texts */
#define SHARED_TAKEN_ITEMS_MAX (4u * SHARED_ITEMS_MAX)
#define SHARED_TAKEN_BYTES_MAX (4u * SHARED_BYTES_MAX)

/* On the wire and on disk; never 0. */
enum shared_kind {
    SHARED_POLICY = 1, /* the fields of a prefix (cache/policy.h) */
    SHARED_SALT = 2,   /* the names of a salted key */
    SHARED_SALT_LEASE =
        3,            /* of a node, by its id: how long a lease it may grant, where that is longer than all assume */
    SHARED_OWN = 128, /* from here on: this node's own, kept with the others and told to nobody */
    SHARED_DIRECTIVES = SHARED_OWN, /* what the configuration file said at the last start */
    SHARED_KINDS = 256
};

/* Where an item stands; greater is later. Whoever sets one gets a version that is later than all that this node has seen, by its clock as far as that is
 * ahead of them: so what was set in the knowledge of something else is always later, and of what was set without it the later by the clocks counts. */
struct shared_version {
    uint64_t time_ms, number;
    uint64_t digest; /* of the text: between two that are else the same, somebody has to win on all nodes */
};
int shared_version_compare(const struct shared_version *a, const struct shared_version *b);

struct shared_item {
    uint8_t kind;
    bool is_gone;      /* deleted: it has no text */
    struct bytes name; /* at most SHARED_NAME_BYTES_MAX; any bytes, or none */
    struct bytes text; /* at most SHARED_TEXT_BYTES_MAX */
    struct shared_version version;
};

/* As what an item is set. */
enum share_as {
    SHARE_LATEST,  /* later than all there is */
    SHARE_DEFAULT, /* counts where nobody has ever set it: earlier than whatever was, on any node */
};
