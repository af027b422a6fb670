/* server/salt_home_internal.h
 *
 * What the files of the home of salted keys share. */
#pragma once

#include "base/histogram.h"
#include "base/list.h"
#include "base/lock.h"
#include "server/salt_home.h"
#include "store/keyspace.h"

struct salt_peers;
struct watched;

struct salt_home {
    struct node *node;
    struct salt_peers *peers;            /* guards itself */
    struct watched *watched[SLOT_COUNT]; /* each under its slot's lock; once there it stays until the end */
    _Atomic bool has_effects;
    _Atomic int64_t lease_limit_ms, lease_longest_ms;
    _Atomic bool was_here[SLOT_COUNT]; /* may have been; only ever set */
    struct histogram withheld_us;

    struct lock lock;
    struct home *core; /* under lock, as all below */
    struct salt_effects effects;
    bool is_carrying;          /* somebody carries effects out */
    uint64_t told[SLOT_COUNT]; /* the owner words that the core has been told of */
    struct list waiting;
    int64_t overflow_told_ms;
};

/* Takes the lock; the time after that, as what was said before is told with an earlier one. Waits for nothing else. */
int64_t salt_home_lock(struct salt_home *host);
/* And remembers whether there are effects to carry out. */
void salt_home_unlock(struct salt_home *host);
/* With the slot locked. The core then knows as much of slot and cluster as the command that changes something: a slot that has just come here is one that
 * must wait. */
int64_t salt_home_lock_told(struct salt_home *host, const struct slot *slot);
/* What an owner word says of the slot. */
enum home_slot salt_home_slot_state(uint64_t word);
/* Ends what salt_home_begin() began, and frees what was noted. */
void salt_home_end_notes(struct salt_notes *notes);

/* --- salt_home_fold.c --- */
/* A message FOLD of a helper, with no lock held: takes the slot's. Effects are left to be carried out. */
void salt_home_fold(struct salt_home *host, salt_link link, const struct salt_message *message, int64_t now_ms);
