/* cache/backstop.h
 *
 * No key without an end: what the policies ttl, max-ttl and jitter make of the life a command wants for a value. It hangs on the store
 * (store/backstop.h), so that it holds on every path.
 *
 *     born                birth + ttl          birth + max-ttl
 *     |----- a value that comes without one ---|        |
 *     |----- EXPIRE, GETEX, SET PX: as they say --------|   and not beyond, however often they say it
 *
 * - A value that comes without a deadline has `ttl`, or where there is none `max-ttl`.
 * - No deadline is later than the birth of the value and max-ttl. Birth is when the key was given the value: by SET and its kin, RESTORE, or by
 *   the first INCR or APPEND. What changes a value, and RENAME and COPY, leave it as old as it is. A value of which nobody knows the birth (there
 *   was no max-ttl then, or it came from a node of another kind) is born when this is noticed.
 * - A deadline cannot be taken away where the policy would give one at once: PERSIST does nothing then.
 * - jitter takes up to so much percent off a time to live, when it is given; what is already in force is not shortened again. It only shortens.
 *   How much of that it takes off is the key's own, by the node's secret hash of it. So it is as by lot from key to key, but a value that is written again
 *   never ends before the last one would have; and no lot has to be drawn. */
#pragma once

#include "cache/policy.h"
#include "store/backstop.h"

struct keyspace;

struct backstop_verdict {
    bool defaulted, clipped;
};

/* What a wanted life becomes. former_ms is the deadline of the key's value before, chance draws the jitter: 0 takes off nothing, UINT32_MAX all that
 * may be. */
struct backstop_verdict backstop_judge(const struct policy_fields *fields, enum backstop_cause cause, int64_t former_ms,
                                       int64_t now_ms, uint32_t chance, struct backstop_life *life);

/* Asks the policies for each key of the keyspace from now on. Before the first policy; both outlive it. */
struct backstop_watch;
struct backstop_watch *backstop_start(struct keyspace *keyspace, struct policies *policies);
/* When no key changes any more. */
void backstop_stop(struct backstop_watch **watch);

/* Ever: keys that came without a deadline and were given one, and deadlines that were brought forward. */
struct backstop_counts {
    uint64_t defaulted, clipped;
};
struct backstop_counts backstop_counts(const struct backstop_watch *watch);
