/* Percentiles within an eighth of the truth, from one to the largest number. */
#include "base/histogram.h"
#include "unit/unit.h"

static struct histogram histogram;

TEST(an_empty_histogram_says_zero)
{
    histogram_reset(&histogram);
    CHECK(histogram_percentile(&histogram, 50) == 0 && histogram_percentile(&histogram, 100) == 0);
}

TEST(small_values_are_exact_and_large_ones_near)
{
    for (uint64_t value = 0; value < UINT64_MAX / 3; value = value * 3 / 2 + 1) {
        uint64_t shown;

        histogram_reset(&histogram);
        histogram_add(&histogram, value);
        shown = histogram_percentile(&histogram, 50);
        CHECK(shown <= value && value - shown <= value / 8);
        if (value < 16) CHECK(shown == value);
    }
    histogram_reset(&histogram);
    histogram_add(&histogram, UINT64_MAX);
    CHECK(histogram_percentile(&histogram, 50) >= UINT64_MAX / 8 * 7);
}

TEST(a_percentile_is_what_so_many_do_not_exceed)
{
    histogram_reset(&histogram);
    histogram_add_to_cell(&histogram, histogram_cell(2), 98);
    histogram_add(&histogram, 10);
    histogram_add(&histogram, 1000);
    CHECK(histogram_percentile(&histogram, 50) == 2);
    CHECK(histogram_percentile(&histogram, 98) == 2);
    CHECK(histogram_percentile(&histogram, 99) == 10);
    CHECK(histogram_percentile(&histogram, 99.9) == 960);
}

TESTS(an_empty_histogram_says_zero, small_values_are_exact_and_large_ones_near,
      a_percentile_is_what_so_many_do_not_exceed)
