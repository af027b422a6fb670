/* base/give_way.h
 *
 * A thread of the lowest class (movers_new_in_gaps()) never takes the CPU from one that is at work. What it does may become urgent while others keep every
 * CPU busy: then who needs it sleeps for a moment, at a point that it chooses itself.
 *
 *     works | sleeps | works | sleeps | ...      as long as it worked, and half a millisecond at most
 *             the other       the other
 *
 * Nobody sleeps where the other gets on by itself, because it has a CPU of its own or there are gaps, nor for a while where sleeping was of no use, because
 * somebody else took the CPU.
 *
 * One of these for each thread that gives way; the times come in, so that tests can choose them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* All zero at first. */
struct give_way {
    int64_t looked_us, ran_us; /* when it was looked last, and how long the other had run by then */
    unsigned useless;          /* sleeps in a row */
    int64_t useless_until_us;
    bool is_needed; /* it was when that was last seen */
};

/* It is urgent; ran_us is what the other has run so far, of CPU time. Returns for how long to sleep now, in microseconds: 0 is not at all. */
int64_t give_way_us(struct give_way *way, int64_t now_us, int64_t ran_us);

/* Right after having slept. */
void give_way_slept(struct give_way *way, int64_t now_us, int64_t ran_us);
