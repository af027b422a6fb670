/* base/clock.h
 *
 * Three times. Monotonic time measures durations and never jumps. Internal time is what deadlines
 * are kept in: boot time anchored once, at the start, to the wall clock, so that it reads as unix
 * milliseconds yet does not jump when somebody sets the clock. Wall time appears on the wire only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t clock_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* For the time each command takes, which is asked once a command: the processor's own counter where it runs evenly, at a
 * third of the cost of asking the system. Good for differences only. */
extern bool clock_has_counter;     /* set before main() */
extern uint64_t clock_ns_per_tick; /* times 2^32 */

static inline uint64_t clock_ticks(void)
{
#ifdef __x86_64__
    if (clock_has_counter) return __builtin_ia32_rdtsc();
#endif
    return clock_monotonic_ns();
}

static inline uint64_t clock_ticks_to_ns(uint64_t ticks)
{
    return (uint64_t)((unsigned __int128)ticks * clock_ns_per_tick >> 32);
}

int64_t clock_monotonic_us(void);
int64_t clock_monotonic_ms(void);

/* Unix milliseconds that never jump: what now_ms means in this code. */
int64_t clock_now_ms(void);
int64_t clock_now_us(void);

/* What the system's clock says, for replies of TIME and for the log. */
int64_t clock_wall_us(void);
/* How far that is ahead of the internal clock: 0 unless somebody has set it since the start. Exact to ten milliseconds; a clock that nobody
 * sets is never a millisecond off. */
int64_t clock_wall_ahead_ms(void);
/* A deadline of the internal clock as unix time, for the wire. */
int64_t clock_deadline_to_wall_ms(int64_t deadline_ms);

/* How much of a CPU the calling thread has had since its start, in microseconds. False, and nothing written, where the system does not say. */
bool clock_thread_cpu(int64_t *user_us, int64_t *system_us);

/* For tests: where the times above come from (microseconds; CLOCK_REALTIME or CLOCK_BOOTTIME), from now on as at a start. NULL is the
 * system again. Not while other threads ask. */
typedef int64_t clock_source(clockid_t id);
void clock_use(clock_source *source);
