/* server/policy_keeper.h
 *
 * What follows when the policies change (cache/policy.h), whoever changed them: POLICY SET, CONFIG SET of default-ttl-ms, another node.
 *
 *     the configuration   shows them, so that CONFIG REWRITE writes them
 *     a file              nodes.conf.policies, as nodes.conf is kept (bus/state_file.h), so that they are there before the node serves again
 *     the cluster         our other nodes take them over
 *     the sweep           brings the keys that are there under them
 *
 * A node without a cluster keeps no file: CONFIG REWRITE does it there.
 *
 * At the start the file counts; the directives are set on top of it where they are others than at the last start, so that whoever has edited them
 * is heard, and whoever has not undoes nothing that POLICY SET has set since. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

struct node;
struct policy_keeper;

/* Reads file and directives. Before the node serves, with node->policies there and node->bus where there is a cluster. NULL, with a line for the
 * user in error, where the policies cannot be known, or kept. */
struct policy_keeper *policy_keeper_open(struct node *node, char error[512]);
/* Waits until all is on disk. */
void policy_keeper_close(struct policy_keeper **keeper);

/* The epoch that a change made now belongs to. */
uint64_t policy_keeper_epoch(const struct policy_keeper *keeper);

/* The policies have changed. Waits for the disk; false, with the reason, where they are not on it. Any thread that holds nothing. */
bool policy_keeper_changed(struct policy_keeper *keeper, char error[256]);

/* What another node says the policies are, which may be anything. Waits for nothing. */
void policy_keeper_heard(struct policy_keeper *keeper, struct bytes text);

/* CONFIG SET of default-ttl-ms and max-ttl-ms; as policy_keeper_changed(). */
bool policy_keeper_set_limits(struct policy_keeper *keeper, int64_t default_ttl_ms, int64_t max_ttl_ms,
                              char error[256]);
