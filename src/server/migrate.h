/* server/migrate.h: what the migrator (transfer/migrator.h) asks of a node, and tells it. */
#pragma once

#include "transfer/migration.h"

struct migrator;
struct node;

/* The node's migrator; NULL where the system gives it no thread. */
struct migrator *migrate_start(struct node *node);

/* What sends keys of this node needs to know of it and tells it. Without `targets` and `ending`; ended() is for MIGRATE's clients. */
struct migration_site migrate_site(struct node *node);
