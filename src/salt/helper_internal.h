/* salt/helper_internal.h
 *
 * What helper.c (bases, links, copies) and helper_sum.c share. */
#pragma once

#include "salt/base_map.h"
#include "salt/helper.h"

/* A home that has refused, or has taken back all, is asked again after so long. */
#define JOIN_AGAIN_MS 200
/* Renewals that have been asked for and not answered; more are not asked for. */
#define ASKS_MAX 16u

/* A home, as its helper knows it. Never freed: copies point to its lease. */
struct remote {
    struct helper_lease lease;
    char id[SALT_NODE_ID_BYTES + 1]; /* "": free for another */
    salt_link link;                  /* 0: none */
    bool is_welcome;
    uint64_t asked, answered; /* numbers of renewals */
    int64_t asked_ms[ASKS_MAX];
    int64_t renew_due_ms, heard_ms;
    size_t bases;
    int64_t idle_since_ms; /* without bases */
};

/* What has been added here to a sum. Each addition is in one of the two. */
struct additions {
    uint64_t epoch;       /* of the sum they belong to */
    int64_t pending;      /* not sent */
    int64_t pending_ms;   /* when the first of it was added */
    bool is_sent;         /* a fold has no answer */
    uint64_t sent_number; /* that one, which is sent again until it has one */
    int64_t sent;
    int64_t sent_ms;  /* when the first of it was added */
    int64_t asked_ms; /* when it was first sent */
};

struct helper_base {
    struct base_link link; /* its key is behind this struct */
    struct remote *home;
    bool sum;
    bool is_wanted; /* no: it is here until what was added has been folded */
    bool has_joined;
    uint64_t join;
    int64_t join_due_ms;
    uint64_t floor; /* what is older has been taken back */
    bool has_copy;
    uint64_t seq;    /* of the copy */
    int64_t over_ms; /* until when the copy may be told; INT64_MAX: for ever */
    /* sums */
    bool has_total;
    int64_t total;
    bool is_absent;   /* the total is 0 because there is no such key */
    uint64_t epoch;   /* of the total */
    int64_t total_ms; /* it is of then at the earliest */
    int64_t asked_ms; /* when home was last told that nothing is here: a VALUE or TOTAL is of then at the earliest */
    int64_t used_ms;  /* when somebody last wanted it */
    uint64_t told, taken; /* GETs and INCRBYs that were answered here */
    int64_t folded;
    struct additions added;
    int64_t fold_due_ms;
    int64_t unwanted_ms;
    bool owes_ack; /* as soon as all that was added is folded */
    uint64_t owed_join, owed_seq;
};

struct helper {
    struct helper_options options;
    uint64_t session, joins, folds;
    struct base_map bases;
    struct remote *homes[HELPER_HOMES_MAX];
    size_t home_count;
    struct helper_stats stats;
};

bool lease_is_good(const struct remote *remote, int64_t now_ms);
void base_acknowledge(struct helper_base *base, uint64_t join, uint64_t seq, struct salt_effects *effects);
/* The link of the base's home, where it is up; else 0. */
salt_link base_link_up(const struct helper_base *base);
void helper_base_free(struct helper *helper, struct helper_base *base, int64_t now_ms);

/* --- helper_sum.c --- */
bool additions_are_folded(const struct additions *added);
/* However it is signed, and whatever it would be: for counting. */
uint64_t additions_units(const struct additions *added);
/* They belong to a value that is no more, or to a home that is not. */
void additions_discard(struct additions *added, uint64_t *count);
void sum_fold(struct helper *helper, struct helper_base *base, int64_t now_ms, struct salt_effects *effects);
/* A fold without an answer goes again, on a new link. */
void sum_fold_again(struct helper *helper, const struct helper_base *base, struct salt_effects *effects);
void sum_total(struct helper *helper, struct helper_base *base, const struct salt_message *message);
void sum_folded(struct helper *helper, struct helper_base *base, const struct salt_message *message, int64_t now_ms,
                struct salt_effects *effects);
/* INV of a sum. True where it may be acknowledged at once. */
bool sum_invalidated(struct helper *helper, struct helper_base *base, const struct salt_message *message,
                     int64_t now_ms, struct salt_effects *effects);
