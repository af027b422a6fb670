/* server/client_evict.h
 *
 * maxmemory-clients: what all clients together may take of memory. Beyond it the largest are disconnected, until the rest fits; those that
 * said CLIENT NO-EVICT ON are spared. */
#pragma once

struct node;

/* Called by workers at the end of their turns; cheap as long as there is no limit, or it is kept. */
void client_evict(struct node *node);
