/* transfer/migrator.h
 *
 * The threads that send keys to other nodes. Each does one migration at a time and waits for its target as long as that takes.
 *
 *     target a   done now: <= 4   waiting: . . .      in the order they were asked for
 *     target b   done now: <= 4   waiting:
 *
 * So a target that does not answer delays what is asked of it, and nothing else: there are threads for sixteen such, and they are started
 * when they are needed. */
#pragma once

#include "transfer/migration.h"

struct migrator;

/* The site is copied; its `targets` and `ending` are the migrator's own and need not be set. NULL where the system gives not one thread. */
struct migrator *migrator_new(const struct migration_site *site);
/* Ends what is being done, which takes a moment: keys whose reply has not come stay here. What has not begun is dropped. Nobody may post any more. */
void migrator_free(struct migrator **migrator);

/* Any thread; takes it. */
void migrator_post(struct migrator *migrator, struct migration **migration);

/* Connections that are kept for the next one. */
size_t migrator_kept_targets(const struct migrator *migrator);
