/* server/policy_keeper.h
 *
 * Through here the policies change (cache/policy.h), whoever changes them: POLICY SET and DEL, CONFIG SET of default-ttl-ms, another node. What follows:
 *
 *     the configuration   shows them, so that CONFIG REWRITE writes them
 *     the cluster         a policy is an item of the shared set (cluster/shared.h), named by its prefix: our other nodes take it over, and it is kept on disk
 *     the sweep           brings the keys that are there under them
 *
 * A node without a cluster keeps no file: CONFIG REWRITE does it there.
 *
 * At the start the shared set counts; the directives are set on top of it where they are others than at the last start, so that whoever has edited them
 * is heard, and whoever has not undoes nothing that POLICY SET has set since. At the very first start they are defaults: a node that joins a cluster brings
 * none back that was changed or deleted there. */
#pragma once

#include "cache/policy.h"

#include <stdbool.h>

struct node;
struct policy_keeper;

/* Reads set and directives. Before the node serves, with node->policies there and node->bus where there is a cluster. NULL, with a line for the
 * user in error, where the directives cannot be policies. */
struct policy_keeper *policy_keeper_open(struct node *node, char error[512]);
void policy_keeper_close(struct policy_keeper **keeper);

/* policies_set() and policies_delete(), and what follows. They wait for the disk: any thread that holds nothing. False with the reply's error text; where that is
 * because of the disk it holds all the same. */
bool policy_keeper_set(struct policy_keeper *keeper, struct bytes prefix, const struct policy_setting *settings,
                       size_t count, char error[POLICY_ERROR_BYTES]);
bool policy_keeper_delete(struct policy_keeper *keeper, struct bytes prefix, bool *was_there,
                          char error[POLICY_ERROR_BYTES]);

/* CONFIG SET of default-ttl-ms and max-ttl-ms; likewise. */
bool policy_keeper_set_limits(struct policy_keeper *keeper, int64_t default_ttl_ms, int64_t max_ttl_ms,
                              char error[POLICY_ERROR_BYTES]);
