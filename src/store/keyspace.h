/* store/keyspace.h
 *
 * The 16384 slots of a node.
 *
 * They live as long as the keyspace, so a slot's address is always good. slot_prefetch() reads nothing but the slot
 * itself: it needs no lock, and nobody has to wait for it before a table is freed. */
#pragma once

#include "store/deadlines.h"
#include "store/slot.h"

struct account;
struct backstop;
struct keyspace;
struct usage;

struct keyspace *keyspace_new(void);
void keyspace_free(struct keyspace **keyspace);
struct slot *keyspace_slot(struct keyspace *keyspace, uint16_t id);

/* Before other threads use it. The watch is borrowed for good. */
void keyspace_watch(struct keyspace *keyspace, const struct keyspace_watch *watch);

/* Guards itself. */
struct deadlines *keyspace_deadlines(struct keyspace *keyspace);

/* Sums over all slots, without locks. */
struct slot_counts keyspace_counts(const struct keyspace *keyspace);

/* The first slot from .. end - 1 that has entries, or end. Without locks: what comes or goes meanwhile may be missed. */
unsigned keyspace_next_occupied(const struct keyspace *keyspace, unsigned from, unsigned end);

/* What the data takes (store/account.h), and how its use is remembered (store/usage.h). */
struct account *keyspace_account(struct keyspace *keyspace);
struct usage *keyspace_usage(struct keyspace *keyspace);
/* Who says how long keys may live (store/backstop.h); nobody, at first. */
struct backstop *keyspace_backstop(struct keyspace *keyspace);
