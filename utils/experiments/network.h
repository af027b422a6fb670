/* utils/experiments/network.h
 *
 * A network namespace for each of a few servers, on a wire that can be cut: a process of tests/support/wire.c, which carries packets between them and this
 * process, where the clients are. From network_open() on this process is in a namespace of its own, too, until it ends. */
#pragma once

#include <stdbool.h>

/* NULL, or why there can be none: no rights, or no TUN devices. */
const char *network_open(unsigned count);
void network_close(void);
bool network_is_open(void);

const char *network_host(unsigned n);
/* In a process that is about to become a server. */
void network_enter(unsigned n);

/* Nothing goes from the one to the other any more; network_heal() lets everything through again. */
void network_cut_one_way(unsigned from, unsigned to);
void network_cut(unsigned a, unsigned b);
void network_heal(void);
