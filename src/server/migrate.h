/* server/migrate.h: what the migrator (transfer/migrator.h) asks of a node, and tells it. */
#pragma once

struct migrator;
struct node;

/* The node's migrator; NULL where the system gives it no thread. */
struct migrator *migrate_start(struct node *node);
