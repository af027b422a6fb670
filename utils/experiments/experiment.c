/* utils/experiments/experiment.c: time, chance, and the report. */
#include "experiment.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t random_state;

static uint64_t clock_us(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

uint64_t unix_now_ms(void)
{
    return clock_us(CLOCK_REALTIME) / 1000;
}

void random_seed(uint64_t seed)
{
    random_state = seed * 0x9E3779B97F4A7C15u + 1;
    for (int i = 0; i < 8; i++) (void)random_next();
}

/* xorshift64*. */
uint64_t random_next(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545F4914F6CDD1Du;
}

uint64_t random_below(uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)random_next() * limit) >> 64);
}

double random_unit(void)
{
    return (double)(random_next() >> 11) * 0x1p-53;
}

double random_exponential(double mean)
{
    return -mean * log(1 - random_unit());
}

static int compare_values(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

uint64_t percentile(uint64_t *values, size_t count, double share)
{
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, compare_values);
    return values[(size_t)((double)(count - 1) * share)];
}

const char *text(const char *format, ...)
{
    char *made;
    va_list args;

    va_start(args, format);
    if (vasprintf(&made, format, args) < 0) abort();
    va_end(args);
    return made;
}

void note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void die(const char *format, ...)
{
    va_list args;

    fputs("experiments: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}
