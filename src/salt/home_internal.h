/* salt/home_internal.h
 *
 * What home.c (the bases and their writes) and home_peer.c (the helpers and what they say) share. */
#pragma once

#include "salt/base_map.h"
#include "salt/home.h"

/* A helper, by its node id. All under the caller's lock, as everything here. */
struct peer {
    struct list all;   /* in home.peers */
    struct list seats; /* of members */
    struct list asked; /* members whose INV it has not answered, the oldest first; on its present link */
    char id[SALT_NODE_ID_BYTES + 1];
    salt_link link; /* 0: gone */
    uint64_t session;
    int64_t lease_until_ms; /* the margin is in it: by then its lease has ended on its own clock */
};

/* A helper that has joined for a base. */
struct member {
    struct list seat;  /* in peer.seats */
    struct list asked; /* in peer.asked, or alone */
    struct peer *peer;
    struct home_base *base;
    enum home_holding holding;
    bool is_closing; /* it goes when it has answered */
    uint64_t join, asked_seq;
    int64_t asked_ms, until_ms; /* ASKED: when INV was queued, and when its lease, as of then, has ended */
};

/* The last FOLD of a helper that was applied: one that comes again counts once. */
struct folded {
    char id[SALT_NODE_ID_BYTES + 1];
    uint64_t number;
};
#define FOLDED_MAX (2 * HOME_HELPERS_MAX)

/* A reply that is held back. */
struct waiting {
    uint64_t ticket;
    int64_t until_ms; /* at least: what its home had to wait for then because it was new */
};

struct home_base {
    struct base_link link; /* its key is behind this struct */
    struct list busy;      /* in home.busy while time has to pass for it */
    uint16_t slot;
    bool sum;
    bool is_removed;     /* unsalted: goes when nobody can hold a copy */
    bool is_push_asked;  /* a SALT_PUSH is on its way */
    uint64_t seq, epoch; /* the newest value; the newest that was not an addition */
    struct member *members[HOME_HELPERS_MAX];
    size_t member_count;
    struct waiting *tickets; /* in the order in which they came */
    size_t ticket_count, ticket_cap;
    struct folded *folds; /* the one used last is the last */
    size_t fold_count;
};

struct home {
    struct home_options options;
    int64_t lease_max_ms; /* the longest that anybody may have granted: what a new home assumes of the former one */
    bool is_ok;
    int64_t ok_since_ms, ticked_ms;
    uint64_t seq;
    struct base_map bases;
    struct list busy;
    struct list peers;
    size_t peer_count, ticket_count;
    struct home_stats stats;
    uint8_t slots[SLOT_COUNT];    /* enum home_slot */
    int64_t since_ms[SLOT_COUNT]; /* from when on it has been ours */
};

/* --- home.c --- */
/* Does what can be done for a base at this moment: releases, pushes, lets go of who is gone. Frees the base where nothing is left of it. */
void base_settle(struct home *home, struct home_base *base, int64_t now_ms, struct salt_effects *effects);
bool base_is_served(const struct home *home, const struct home_base *base);
struct home_base *base_find(const struct home *home, struct bytes key);
void member_remove(struct member *member);

/* --- home_peer.c --- */
/* Those whose link is gone and whose lease has ended hold nothing. */
void peers_prune(struct home *home, int64_t now_ms, struct salt_effects *effects);
void peer_free(struct home *home, struct peer *peer);
