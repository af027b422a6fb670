/* base/histogram.h
 *
 * How often which value came, for percentiles: 16 cells for the values below 16, from there on 8 to each power of two, so that no
 * answer is off by more than an eighth. Any thread may add and read; all zero is empty. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_EXACT 16u
#define HISTOGRAM_CELLS (HISTOGRAM_EXACT + 8u * 60u)

struct histogram {
    _Atomic uint64_t cells[HISTOGRAM_CELLS];
};

/* Which cell a value belongs to: for those who count many values before they add them. */
unsigned histogram_cell(uint64_t value);
void histogram_add_to_cell(struct histogram *histogram, unsigned cell, uint64_t times);

void histogram_add(struct histogram *histogram, uint64_t value);

/* The value that so many percent do not exceed, rounded down to its cell; 0 when there is none. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* What others add in the same moment may stay. */
void histogram_reset(struct histogram *histogram);
