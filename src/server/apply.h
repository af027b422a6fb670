/* server/apply.h
 *
 * What directives do when they change at run time: the log level, the limit of clients, the working directory, the cluster's options. */
#pragma once

#include "cluster/cluster.h"

struct config;
struct node;

/* The options the cluster core reads. */
void apply_cluster_options(const struct node *node, struct cluster_options *out);
/* The port of the bus of a node that starts now. */
uint16_t apply_bus_port(const struct config *config);

/* Hands the directives about memory to eviction. */
void apply_memory_options(struct node *node);
void apply_fill_options(const struct node *node);

/* From here on CONFIG SET has its effects. For the life of the process. */
void apply_changes_of(struct node *node);

/* Descriptors the node needs beside its clients' sockets. */
int64_t apply_reserved_files(const struct config *config);
