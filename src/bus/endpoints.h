/* bus/endpoints.h: where nodes are reached, as redirects name them; by the index the core knows them by. */
#pragma once

#include "cluster/cluster.h"

struct endpoints;

struct endpoints *endpoints_new(void);
void endpoints_free(struct endpoints **endpoints);
/* Takes what the core knows; the caller guards the core. */
void endpoints_publish(struct endpoints *endpoints, const struct cluster *cluster);
/* Any thread: "" and 0 where it is not known. Its lock is innermost. */
void endpoints_find(struct endpoints *endpoints, uint16_t node, char endpoint[256], uint16_t *port);
