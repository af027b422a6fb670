/* server/salt_keeper_internal.h
 *
 * What the files of the salt keeper share. */
#pragma once

#include "salt/factor.h"
#include "server/node.h"
#include "server/salt_keeper.h"

#include <pthread.h>

struct salt_keeper {
    struct node *node;
    pthread_mutex_t guard;
    struct salt_registry *registry; /* under guard, as the next three */
    uint64_t changes;
    struct salt_follower follower;
    struct salt_pending *pending; /* keys whose new names are not told yet */
    uint64_t told_with_copies, told_by_time;
    int64_t lease_limit_ms, lease_alike_since_ms, lease_lower_since_ms; /* see salt_lease.c */

    pthread_mutex_t wake_lock; /* the last that is taken; guards the next two lines */
    pthread_cond_t wake;
    bool news, publishes, ends;

    bool has_thread;
    pthread_t thread;
    _Atomic bool has_workers; /* there are workers to look at; set once */
    /* The thread's alone: */
    uint64_t map_seen,
        map_settled; /* what the map was like when it was looked at last, and when names were last chosen by it */
    int64_t map_changed_ms;
    uint64_t foreign_seen; /* which nodes are not of our kind, and since when they are those */
    int64_t foreign_since_ms;
    struct salt_watched *watched; /* the keys whose factor a policy decides */
    size_t watched_count;
};

/* Is there any salted key, or one that was lately? Takes the guard. */
bool salt_keeper_has_any(struct salt_keeper *keeper);
/* Is the key's slot served here? */
bool salt_is_home(const struct salt_keeper *keeper, struct bytes base);

/* With the guard: gives a key so many names, chosen by this map, marks, shares and tells. False with the reply's error text. */
bool salt_change(struct salt_keeper *keeper, struct bytes base, unsigned n, enum salt_mode mode, bool automatic,
                 const struct salt_map *map, char error[SALT_ERROR_BYTES]);

/* With the guard: whether a key that has an entry is spread (server/salt_spread.h). Nobody is told of that as of other names. False: it is as it was. */
bool salt_change_spread(struct salt_keeper *keeper, struct bytes base, bool spread);
/* With the guard: the key has no names any more, on no node, and those that were given up before lead to it no longer. */
void salt_give_up(struct salt_keeper *keeper, struct salt_entry *entry);

/* --- server/salt_publish.c; with the guard, but for the second and the third --- */

/* An entry has changed here; these were its ids before. */
void salt_publish(struct salt_keeper *keeper, const struct salt_entry *entry, const uint16_t *former, unsigned count);
/* On the thread. True: some are not told yet, and it is to be called again soon. */
bool salt_publish_look(struct salt_keeper *keeper);
/* Lets all replies go that wait; no guard held. */
void salt_publish_end(struct salt_keeper *keeper);
/* The ids that are to be told; returns how many. */
unsigned salt_published(struct salt_keeper *keeper, const struct salt_entry *entry, uint16_t ids[SALT_NAMES_MAX - 1]);

/* --- server/salt_map.c --- */

/* Which nodes may have names: those of our kind that serve slots and have not failed. False while that is not known of all of them. With no lock
 * held. */
bool salt_map_take(struct node *node, struct salt_map *map);
/* On the thread: chooses names anew where slots have moved, when they have come to rest. */
void salt_map_look(struct salt_keeper *keeper);

/* --- server/salt_lease.c --- */

/* Brings what is granted and what is waited for in line with salt-lease-ms, here and on other nodes. Any thread, no lock held. */
void salt_lease_look(struct salt_keeper *keeper);

/* --- server/salt_auto.c --- */

/* On the thread: more names, or fewer, for keys with a policy. */
void salt_auto_look(struct salt_keeper *keeper);
void salt_auto_free(struct salt_keeper *keeper);
