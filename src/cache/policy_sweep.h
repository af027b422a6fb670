/* cache/policy_sweep.h
 *
 * Brings the keys that are there under policies that are new. A thread of its own goes through all slots once after each change, a few dozen
 * entries under one lock, and then rests, so that it takes less than a twentieth of one CPU. Where so many keys would keep it under way for more
 * than a minute it takes a twentieth of what all CPUs can do, and half of one at most. What is written meanwhile is under the new policies already (cache/backstop.h), so that nothing is left when it has come round. */
#pragma once

struct keyspace;
struct policies;
struct policy_sweep;

/* NULL where the system gives no thread. Both outlive it. */
struct policy_sweep *policy_sweep_start(struct keyspace *keyspace, struct policies *policies);
/* The policies have changed; any thread. */
void policy_sweep_wake(struct policy_sweep *sweep);
void policy_sweep_stop(struct policy_sweep **sweep);
