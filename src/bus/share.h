/* bus/share.h
 *
 * The shared set's way to the disk and to those on this node whose items are in it (cluster/shared.h).
 *
 *     nodes.conf.shared    a file as the state file is one (bus/state_file.h). What is set here is written at once, and whoever set it waits for it;
 *                          what comes from other nodes with the next tick, since it is on their disks
 *     those who listen     are told on the control loop of what came in one packet, together
 *
 * The set itself is in the core, under the bus's lock. */
#pragma once

#include "cluster/cluster.h"

struct lock;
struct share;

/* Reads the file beside the state file into the core, which nobody else uses yet. NULL, with a line for the user in error. */
struct share *share_new(const char *state_file, struct cluster *cluster, char error[512]);
/* Writes what is not on disk. */
void share_free(struct share **share, struct lock *lock, const struct cluster *cluster);

/* Has what has changed written. The lock is held. */
void share_save(struct share *share, const struct cluster *cluster);
/* The same again, where the disk would not have it. At each tick, with the lock held. */
void share_tick(struct share *share, const struct cluster *cluster, int64_t now_ms);
/* Has it written and waits for that, with no lock held. False with errno set. */
bool share_wait(struct share *share, struct lock *lock, const struct cluster *cluster);

/* --- The control loop --- */
void share_listen(struct share *share, enum shared_kind kind,
                  void (*came)(void *context, const struct shared_item *items, size_t count), void *context,
                  struct lock *lock, const struct cluster *cluster);
/* Takes an effect's data until share_tell(). */
void share_collect(struct share *share, struct effect *effect);
void share_tell(struct share *share);
