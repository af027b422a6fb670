/* store/lazyfree.h
 *
 * Frees graveyards on the movers, a few thousand entries at a time. */
#pragma once

#include <stdint.h>

struct graveyard;
struct lazyfree;
struct movers;

struct lazyfree *lazyfree_new(struct movers *movers);
/* After the movers have ended. */
void lazyfree_free(struct lazyfree **lazyfree);

/* Takes the graveyard; any thread. What is next to nothing is freed at once: that is sooner done than handed over. So it is when so
 * much waits already that the movers cannot keep up: whoever makes the work then does it. */
void lazyfree_bury(struct lazyfree *lazyfree, struct graveyard **graveyard);

struct lazyfree_counts {
    uint64_t pending; /* entries that wait to be freed */
    uint64_t freed;   /* entries that movers have freed, ever */
};
struct lazyfree_counts lazyfree_counts(const struct lazyfree *lazyfree);
/* CONFIG RESETSTAT: counts the freed from 0 again. */
void lazyfree_reset_counts(struct lazyfree *lazyfree);
