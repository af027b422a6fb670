/* utils/bench/histogram.h: counts of nanoseconds, 64 cells to each power of two, so that no value is off by more than 1.6 %. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CELLS_PER_OCTAVE 64
#define OCTAVE_BITS 6
#define CELLS (CELLS_PER_OCTAVE * (64 - OCTAVE_BITS + 1))

struct histogram {
    uint64_t count;
    uint64_t cells[CELLS];
};

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
    size_t cell = (size_t)ns;

    if (ns >= CELLS_PER_OCTAVE) {
        unsigned octave = 63u - (unsigned)__builtin_clzll(ns);

        cell =
            (octave - OCTAVE_BITS + 1) * CELLS_PER_OCTAVE + ((ns >> (octave - OCTAVE_BITS)) & (CELLS_PER_OCTAVE - 1));
    }
    histogram->cells[cell]++;
    histogram->count++;
}

/* The smallest value of a cell. */
static inline uint64_t histogram_cell_ns(size_t cell)
{
    size_t octave = cell / CELLS_PER_OCTAVE;

    if (octave == 0) return cell;
    return ((uint64_t)CELLS_PER_OCTAVE + cell % CELLS_PER_OCTAVE) << (octave - 1);
}

static inline double histogram_percentile_us(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)((double)histogram->count * share), seen = 0;

    for (size_t i = 0; i < CELLS; i++) {
        seen += histogram->cells[i];
        if (seen > wanted) return (double)histogram_cell_ns(i) / 1000;
    }
    return 0;
}
