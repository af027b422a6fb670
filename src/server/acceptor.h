/* server/acceptor.h
 *
 * Listens for clients on the main loop and deals their connections to the workers, each to the one that has the fewest. */
#pragma once

#include <stdbool.h>

struct acceptor;
struct ev_loop;
struct node;

/* Listens on every `bind` address and on `unixsocket`. An address with a leading '-' may be missing on this machine. NULL, with a
 * line for the user in error, where a port or the socket cannot be had. */
struct acceptor *acceptor_start(struct node *node, struct ev_loop *loop, char error[512]);
/* Listens where `port` and `bind` say now, and nowhere else; what listened there already goes on. False, with a line in error, where one of
 * them cannot be had: all is as it was. Any thread, one at a time, holding no lock; accepting begins in the main loop's next turn. */
bool acceptor_rebind(struct acceptor *acceptor, char error[512]);
/* Stops listening and removes the unix socket. */
void acceptor_stop(struct acceptor **acceptor);
