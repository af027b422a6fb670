/* sim/large.h
 *
 * Clusters too large for a machine: how long they take to know each other, and what a node costs when they do. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* False where they do not agree in time. Prints bytes and CPU a node and second, of simulated time. */
bool large_run(size_t nodes);
