/* bus/recount.h
 *
 * Looks for keys where nobody serves them. A node that ends being alone keeps the slots it has keys in; a command that had begun before
 * the slots changed hands may put a key into one that was just counted as empty. So every slot is looked at again, under its lock
 * and after its owner word has changed: whoever had read the old word is done by then. A mover does it, once. */
#pragma once

#include "store/keyspace.h"

struct movers;
struct recount;

/* found() runs on a mover, with no lock held, where there were any: a bit for each slot that has keys and no owner. */
struct recount *recount_new(struct keyspace *keyspace, struct movers *movers,
                            void (*found)(void *context, const uint8_t *bitmap_2048), void *context);
/* Waits for nothing; any thread. After the first time it does nothing. */
void recount_start(struct recount *recount);
/* Ends it, waiting for the piece it is at. */
void recount_free(struct recount **recount);
