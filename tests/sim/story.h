/* sim/story.h
 *
 * A story: a small cluster, and a row of misfortunes drawn from a seed. Then all is healed, and within a bounded time every node must know
 * every other, every slot must have one owner on whom all agree, every node must serve, and no acknowledged write may be lost. */
#pragma once

#include "sim/keys.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct story_end {
    char wrong[256]; /* "": all went well */
    uint64_t packets, writes;
    uint64_t decided[KEYS_DECISIONS]; /* what nodes were to do about open slots */
};

/* The same seed gives the same story. What happens in it is written to trace, unless that is NULL. */
struct story_end story_run(uint64_t seed, FILE *trace);
