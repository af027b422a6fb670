#include "base/histogram.h"

#define EXACT_BITS 4u /* HISTOGRAM_EXACT is 2^4: its cells are of width 1, those of the next power of two of width 2 */

unsigned histogram_cell(uint64_t value)
{
    unsigned power;

    if (value < HISTOGRAM_EXACT) return (unsigned)value;
    power = 63u - (unsigned)__builtin_clzll(value);
    return HISTOGRAM_EXACT + 8 * (power - EXACT_BITS) + (unsigned)(value >> (power - 3) & 7);
}

static uint64_t least_of(unsigned cell)
{
    unsigned above = cell - HISTOGRAM_EXACT;

    if (cell < HISTOGRAM_EXACT) return cell;
    return (uint64_t)(8 + above % 8) << (above / 8 + EXACT_BITS - 3);
}

void histogram_add_to_cell(struct histogram *histogram, unsigned cell, uint64_t times)
{
    atomic_fetch_add_explicit(&histogram->cells[cell], times, memory_order_relaxed);
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram_add_to_cell(histogram, histogram_cell(value), 1);
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    uint64_t all = 0, seen = 0;
    unsigned last = 0;

    for (unsigned i = 0; i < HISTOGRAM_CELLS; i++)
        all += atomic_load_explicit(&histogram->cells[i], memory_order_relaxed);
    for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) {
        uint64_t times = atomic_load_explicit(&histogram->cells[i], memory_order_relaxed);

        if (times == 0) continue;
        seen += times;
        last = i;
        if ((double)seen * 100 >= (double)all * percent) break;
    }
    return least_of(last);
}

void histogram_reset(struct histogram *histogram)
{
    for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) atomic_store_explicit(&histogram->cells[i], 0, memory_order_relaxed);
}
