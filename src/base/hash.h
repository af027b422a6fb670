/* base/hash.h
 *
 * The hash of keys: xxh3 of 64 bits under a seed drawn at the start, so that nobody outside can choose keys that
 * fall into one bucket. */
#pragma once

#include "base/bytes.h"

void hash_set_seed(uint64_t seed);
uint64_t hash_bytes(struct bytes bytes);
