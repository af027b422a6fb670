/* base/clock.c
 *
 * The anchor is drawn before main() begins and never again: all threads read it without any synchronisation. Boot time
 * is used rather than monotonic time because it goes on while the machine sleeps, and so must deadlines. */
#include "base/clock.h"

#include <sys/resource.h>
#include <time.h>

static int64_t read_us(clockid_t id);

static int64_t anchor_us; /* wall time minus boot time at the start */
static clock_source *source = read_us;

static int64_t read_us(clockid_t id)
{
    struct timespec time;

    clock_gettime(id, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

__attribute__((constructor)) static void anchor(void)
{
    anchor_us = source(CLOCK_REALTIME) - source(CLOCK_BOOTTIME);
}

void clock_use(clock_source *other)
{
    source = other != NULL ? other : read_us;
    anchor();
}

bool clock_has_counter;
uint64_t clock_ns_per_tick = (uint64_t)1 << 32;

#ifdef __x86_64__
#include <cpuid.h>

#define CALIBRATION_NS 200000u /* long enough for an error of a thousandth */
#define INVARIANT_TSC (1u << 8)

static bool counter_is_even(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & INVARIANT_TSC) != 0;
}

/* How fast the processor's counter runs is nowhere to be read; so it is measured, once. */
__attribute__((constructor)) static void calibrate_counter(void)
{
    uint64_t start_ns, start_ticks, ns, ticks;

    if (!counter_is_even()) return;
    start_ns = clock_monotonic_ns();
    start_ticks = __builtin_ia32_rdtsc();
    do ns = clock_monotonic_ns() - start_ns;
    while (ns < CALIBRATION_NS);
    ticks = __builtin_ia32_rdtsc() - start_ticks;
    if (ticks == 0) return;
    clock_ns_per_tick = (uint64_t)(((unsigned __int128)ns << 32) / ticks);
    clock_has_counter = true;
}
#endif

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
    return anchor_us + source(CLOCK_BOOTTIME);
}

int64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

int64_t clock_wall_us(void)
{
    return source(CLOCK_REALTIME);
}

/* Nothing but setting the clock parts the two, so what is below the
 * grain is only the time between two readings, and a user who never sets the clock gets back to the millisecond what was said. */
#define GRAIN_US 10000
#define READINGS_MAX 8

int64_t clock_wall_ahead_ms(void)
{
    int64_t before_us, wall_us, after_us, ahead_us;
    int readings = 0;

    /* A thread may be put aside between two readings: those that took long are thrown away. */
    do {
        before_us = clock_now_us();
        wall_us = clock_wall_us();
        after_us = clock_now_us();
    } while (after_us - before_us > GRAIN_US / 4 && ++readings < READINGS_MAX);
    ahead_us = wall_us - before_us;
    ahead_us += ahead_us >= 0 ? GRAIN_US / 2 : -GRAIN_US / 2; /* the division then rounds to the nearest grain */
    return ahead_us / GRAIN_US * (GRAIN_US / 1000);
}

int64_t clock_deadline_to_wall_ms(int64_t deadline_ms)
{
    int64_t wall_ms;

    if (!__builtin_add_overflow(deadline_ms, clock_wall_ahead_ms(), &wall_ms)) return wall_ms;
    return deadline_ms < 0 ? INT64_MIN : INT64_MAX;
}

bool clock_thread_cpu(int64_t *user_us, int64_t *system_us)
{
    struct rusage usage;

    if (getrusage(RUSAGE_THREAD, &usage) != 0) return false;
    *user_us = usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec;
    *system_us = usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
    return true;
}
