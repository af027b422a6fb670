/* salt/factor.h
 *
 * How many names a hot key is to have, where a policy lets the node decide (`salt n`). Pure: what is measured goes in, a factor comes out.
 *
 *     hot     its load where it lives is above four times what makes a key hot, in three looks in a row, with 50 reads or more for each
 *             write: twice as many names
 *     cool    below the threshold, for a minute: half as many
 *
 * Halving doubles the load that is left, which is then still half of what would double the names again: so it does not go back and forth. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SALT_HOT_LOOKS 3u
#define SALT_HOT_TIMES 4
#define SALT_READS_PER_WRITE 50
#define SALT_COOL_MS 60000
/* Rates are of the last second: so long a change of the factor is not seen in them. */
#define SALT_SETTLE_MS 1000

/* What is remembered of a key between two looks; zeroed for a new one. */
struct salt_factor {
    unsigned hot_looks;
    int64_t cool_since_ms; /* 0: it is not */
    int64_t changed_ms;
};

/* A look: rates are per second, at the node where the key is at home. */
struct salt_traffic {
    int64_t load; /* as hotkey-threshold counts */
    int64_t reads, writes;
    int64_t threshold; /* 0: nothing is hot, and nothing is changed */
    int64_t now_ms;    /* above 0 */
};

/* The factor to have, from 1 to `most`; a factor above that is brought down at once. */
unsigned salt_factor_next(struct salt_factor *state, const struct salt_traffic *traffic, unsigned factor,
                          unsigned most);
