/* store/usage.c: the logarithmic count of LFU. It starts at five, grows with ever less probability the higher it is
 * (255 stand for about a million uses at the usual factor of ten), and loses one for each period without use. */
#include "store/usage.h"

#include "base/random.h"

#define LFU_COUNT_MAX 255u

unsigned lfu_count(const struct usage *usage, uint16_t bits)
{
    unsigned count = bits & 0xff, unused = (usage_load(&usage->lfu_period) - (bits >> 8)) & 0xff;

    return unused < count ? count - unused : 0;
}

uint16_t lfu_bits(const struct usage *usage, unsigned count)
{
    return (uint16_t)((usage_load(&usage->lfu_period) & 0xff) << 8 | count);
}

uint16_t lfu_used(const struct usage *usage, uint16_t bits)
{
    unsigned count = lfu_count(usage, bits);
    uint64_t above = count > LFU_COUNT_FRESH ? count - LFU_COUNT_FRESH : 0;
    uint64_t lots = above * usage_load(&usage->lfu_log_factor) + 1;

    if (count < LFU_COUNT_MAX && (lots == 1 || random_below(random_of_thread(), lots) == 0)) count++;
    return lfu_bits(usage, count);
}
