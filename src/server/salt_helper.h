/* server/salt_helper.h
 *
 * This node as a helper of others (salt/helper.h): which names of salted keys have their slots here, the links to the homes of those (salt/link.h), and what is
 * here of their values (salt/copies.h).
 *
 *     the keeper's entries ---> a queue of news            any thread
 *     the links' thread    ---> which bases are wanted, by entries and owner words; messages of homes; copies kept and dropped; the ticks of both cores
 *     workers              ---> reads, from the copies
 *
 * Lock order: slot -> salt. No lock is held while anything is sent. */
#pragma once

#include "salt/copies.h"
#include "salt/registry.h"

struct node;
struct salt_helper;

/* With node->bus and node->salt_home there. NULL, with a line in error, where no thread can be started. */
struct salt_helper *salt_helper_start(struct node *node, char error[512]);
/* Ends the thread: nothing is told to salt_home any more. Copies stay until _free(). Waits for a quarter of a second at most, with no lock held, for what
 * was added to sums here to get home. */
void salt_helper_stop(struct salt_helper *helper);
void salt_helper_free(struct salt_helper **helper);
/* maxmemory has changed. */
void salt_helper_configure(struct salt_helper *helper);

/* An entry of the registry is another, or is forgotten; any thread, waits for nothing. */
void salt_helper_entry_changed(struct salt_helper *helper, const struct salt_entry *entry);
void salt_helper_entry_forgotten(struct salt_helper *helper, const struct salt_entry *entry);
/* Some owner words have changed. Under any locks. */
void salt_helper_owners_changed(struct salt_helper *helper);

/* Guards itself. */
struct copies *salt_helper_copies(struct salt_helper *helper);

/* helper_add() and helper_sum(); with no slot's lock of the copies held. */
bool salt_helper_add(struct salt_helper *helper, struct bytes base, int64_t delta, int64_t *value);
bool salt_helper_sum(struct salt_helper *helper, struct bytes base, int64_t *value);

/* --- For INFO and CLUSTER SALTS --- */
bool salt_helper_sum_state(struct salt_helper *helper, struct bytes base, struct helper_sum_state *out);
struct salt_helper_info {
    struct helper_stats core;
    struct copies_counts copies;
    size_t links_open;
};
void salt_helper_info(struct salt_helper *helper, struct salt_helper_info *out);
/* Is a good copy of it here (of a sum: the total), and how many commands has it answered? False: there is no copy at all. */
bool salt_helper_copy(struct salt_helper *helper, struct bytes base, bool *is_good, uint64_t *hits);
