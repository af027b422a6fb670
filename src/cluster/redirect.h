/* cluster/redirect.h
 *
 * Whether a command may run here: a pure function of the slot's owner word, the keys that are there, and what the client and the
 * command may do. The order of the checks is the wire contract's. CROSSSLOT and "Hash slot not served" of the first key
 * are decided by the caller while it walks the keys: an unowned slot of the first key comes before CROSSSLOT. */
#pragma once

#include "cluster/owner.h"

#include <stddef.h>

enum redirect {
    REDIRECT_NONE,
    REDIRECT_UNOWNED,       /* CLUSTERDOWN Hash slot not served */
    REDIRECT_DOWN,          /* CLUSTERDOWN The cluster is down */
    REDIRECT_DOWN_READONLY, /* CLUSTERDOWN The cluster is down and only accepts read commands */
    REDIRECT_TRYAGAIN,
    REDIRECT_ASK,   /* to owner.other */
    REDIRECT_MOVED, /* to owner.node */
};

struct redirect_facts {
    struct owner owner;
    bool cluster_ok;
    bool reads_when_down;    /* cluster-allow-reads-when-down */
    bool channels_when_down; /* it is about shard channels, and cluster-allow-pubsubshard-when-down is set */
    bool writes;             /* the command (or one queued in the transaction) writes */
    bool asking;             /* the client said ASKING, or the command implies it */
    bool migrates;           /* the command is MIGRATE */
    bool several_keys;       /* more than one distinct key */
    bool
        of_hearsay; /* who sent the client here may have taken this node for the owner, as it once was, or done so before this import */
    size_t keys_present; /* counted only where the slot is migrating or importing */
    size_t keys_missing;
};

enum redirect redirect_for(const struct redirect_facts *facts);
