/* server/salt_spread_internal.h
 *
 * What salt_spread.c (who asks) and salt_spread_look.c (the keeper's thread) share. */
#pragma once

#include "base/lock.h"
#include "salt/registry.h"
#include "salt/spread.h"
#include "server/salt_spread.h"

/* A slot of which clients are told one of several nodes. */
struct spread_place {
    uint16_t slot;
    struct bytes base; /* owned */
    uint64_t epoch;
    bool is_home;   /* this node is: then nodes[0] is this one */
    bool is_known;  /* of home: the others know of it */
    unsigned count; /* of nodes, home being the first; two at least */
    struct spread_node {
        uint64_t number; /* salt_spread_node() */
        uint16_t index;  /* in the view */
    } nodes[SALT_NAMES_MAX];
};

/* A key that is at home here and has names, while salt-spread is yes. */
struct spread_base {
    struct bytes base; /* owned */
    struct salt_share share;
    bool is_paused; /* it is written too much */
    bool is_seen;   /* in this look */
    /* Have all heard that it is spread, as of this epoch? Counted in ticks. */
    uint64_t epoch;
    unsigned waited, alike;
};

struct salt_spread {
    struct node *node;
    _Atomic bool has_begun; /* the keeper's thread may look */
    _Atomic bool owners_changed;
    _Atomic uint64_t words[SLOT_COUNT]; /* the keeper's thread writes */

    struct lock lock;
    struct spread_place *places; /* by slot; under lock, as the next; the keeper's thread alone changes them */
    size_t count;

    /* The keeper's thread's: */
    struct spread_base *bases;
    size_t base_count;
    uint64_t changes_seen;
    unsigned tick;
    bool awaits_others; /* to have heard of something */
};
