/* server/salt_keeper.h
 *
 * The salted keys of the cluster as this node knows them, and what follows when they change, whoever changed them: SALT, a policy, another node, time.
 *
 *     salt_registry     what there is (salt/registry.h)
 *     marks             on the slots of names, so that commands find them (salt/marks.h, server/alias.h)
 *     the shared set    other nodes hear of it, and it is on disk (cluster/shared.h)
 *     `salted`          the keyspace event, at home
 *
 *     any worker        SALT: changes the registry, places marks, shares, waits for the disk
 *     a thread          takes over what comes from other nodes; forgets retired names when their time is over; where the key is at home, chooses its
 *                       names anew when slots have moved, and has more or fewer of them as a policy allows
 *
 * One lock guards it; under it slots' locks are taken one at a time, and the bus's. So nobody who holds a slot's lock may ask here. */
#pragma once

#include "salt/registry.h"

struct client;
struct node;
struct salt_keeper;

/* Before the node serves, with node->bus there and no workers yet. Places the marks of what is known. NULL, with a line for the user in error, where no thread can be started. */
struct salt_keeper *salt_keeper_open(struct node *node, char error[512]);
/* The workers are there: from now on it looks at what they have counted. */
void salt_keeper_begin(struct salt_keeper *keeper);
/* At the end, with the workers stopped and not yet gone: ends the thread, which looks at them, and lets all replies go that wait for it. */
void salt_keeper_end(struct salt_keeper *keeper);
/* Ends it, where that is still to be done. */
void salt_keeper_close(struct salt_keeper **keeper);

/* All that follows: any thread that holds no lock. */

/* Gives a key so many names, itself included; 1: none. Where it has them already, and they are where they should be, nothing changes. Waits for the disk.
 * False with the reply's error text. */
bool salt_keeper_set(struct salt_keeper *keeper, struct bytes base, unsigned n, enum salt_mode mode,
                     char error[SALT_ERROR_BYTES]);

/* Appends the ids of a key's names as clients are to know them: those of which not all nodes have heard are left out, but for who has set them. Returns how
 * many; its separator is *separator. */
unsigned salt_keeper_names(struct salt_keeper *keeper, struct bytes base, bool all, char *separator,
                           uint16_t ids[SALT_NAMES_MAX - 1]);
/* Where not all nodes have heard of a key's names the reply of this client, whose command runs on this worker, waits until they have. */
void salt_keeper_withhold(struct salt_keeper *keeper, struct bytes base, struct client *client);

/* Shows the entry of a salted key, lent for the visit, under the keeper's lock; false where it has none. The visitor takes no other lock. */
bool salt_keeper_show(struct salt_keeper *keeper, struct bytes base,
                      void (*visit)(void *context, const struct salt_entry *entry), void *context);
/* The same of all of them, in the order of keys. */
void salt_keeper_show_all(struct salt_keeper *keeper, void (*visit)(void *context, const struct salt_entry *entry),
                          void *context);
/* How many names a key has. */
unsigned salt_keeper_factor(struct salt_keeper *keeper, struct bytes base);

/* The time of retired names. */
int64_t salt_keeper_now_ms(void);

struct salt_counts {
    uint64_t keys;    /* that have names */
    uint64_t names;   /* the keys themselves not included */
    uint64_t retired; /* names that are aliases for a while */
    uint64_t changes; /* of entries, made here or elsewhere, since the start */
    uint64_t told_with_copies,
        told_by_time; /* changes made here: new names told as their nodes had copies, or after a while */
};
struct salt_counts salt_keeper_counts(struct salt_keeper *keeper);

/* Who follows the entries: told of each that there is when he comes, and then of each change, under the keeper's lock and in their order. An
 * entry without listed names is one that is not salted any more. He waits for nothing. One; before the node serves. */
struct salt_follower {
    void *context;
    void (*changed)(void *context, const struct salt_entry *entry);
    void (*forgotten)(void *context, const struct salt_entry *entry);
};
void salt_keeper_follow(struct salt_keeper *keeper, const struct salt_follower *follower);
