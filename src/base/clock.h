/* base/clock.h
 *
 * Three times. Monotonic time measures durations and never jumps. Internal time is what deadlines
 * are kept in: boot time anchored once, at the start, to the wall clock, so that it reads as unix
 * milliseconds yet does not jump when somebody sets the clock. Wall time appears on the wire only. */
#pragma once

#include <stdint.h>
#include <time.h>

/* For the time each command takes: inline, as it is read twice a command. */
static inline uint64_t clock_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t clock_monotonic_us(void);
int64_t clock_monotonic_ms(void);

/* Unix milliseconds that never jump: what now_ms means in this code. */
int64_t clock_now_ms(void);
int64_t clock_now_us(void);

/* What the system's clock says, for replies of TIME and for the log. */
int64_t clock_wall_us(void);
