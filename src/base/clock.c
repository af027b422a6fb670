/* base/clock.c
 *
 * The anchor is drawn before main() begins and never again: all threads read it without any synchronisation. Boot time
 * is used rather than monotonic time because it goes on while the machine sleeps, and so must deadlines. */
#include "base/clock.h"

#include <time.h>

static int64_t anchor_us; /* wall time minus boot time at the start */

static int64_t read_us(clockid_t id)
{
    struct timespec time;

    clock_gettime(id, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

__attribute__((constructor)) static void anchor(void)
{
    anchor_us = read_us(CLOCK_REALTIME) - read_us(CLOCK_BOOTTIME);
}

int64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

int64_t clock_now_us(void)
{
    return anchor_us + read_us(CLOCK_BOOTTIME);
}

int64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}
