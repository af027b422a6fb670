#include "salt/spread.h"

#include "base/crc64.h"

#define THOUSAND 1000u

/* Each bit of what comes in moves half of those that come out (Guy L. Steele Jr., Doug Lea, Christine H. Flood, "Fast splittable pseudorandom number
 * generators", 2014). A checksum alone would not do: the difference between those of two nodes would be the same for all addresses. */
static uint64_t avalanche(uint64_t number)
{
    number ^= number >> 30;
    number *= 0xbf58476d1ce4e5b9u;
    number ^= number >> 27;
    number *= 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

uint64_t salt_spread_node(const char *node_id)
{
    return avalanche(crc64(0, bytes_of(node_id)));
}

size_t salt_spread_choose(struct bytes address, const uint64_t *nodes, size_t count)
{
    uint64_t from = avalanche(crc64(1, address)), highest = 0;
    size_t chosen = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t weight = avalanche(from ^ nodes[i]);

        if (i > 0 && (weight < highest || (weight == highest && nodes[i] <= nodes[chosen]))) continue;
        highest = weight;
        chosen = i;
    }
    return chosen;
}

unsigned salt_spread_bit(uint16_t slot, uint64_t epoch)
{
    return (unsigned)(avalanche(epoch ^ (uint64_t)slot << 48) % SALT_SPREAD_BITS);
}

/* Are more than so many in a hundred of them writes? */
static bool writes_exceed(const struct salt_share *share, uint64_t percent)
{
    return share->writes * 100 > (share->reads + share->writes) * percent;
}

/* Thousandths, so that few do not count for more than many by what a division leaves. */
static uint64_t faded(uint64_t number, uint64_t more)
{
    uint64_t most = UINT64_MAX / 1000; /* far from where a share of it would be too big a number */

    number -= number / 4;
    return more > (most - number) / THOUSAND ? most : number + more * THOUSAND;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* While it is spread most is read elsewhere: writes that are counted a second before the reads among which they came would be a large share at first, and
 * after a second of fewer it is not spread again. */
static void count(struct salt_share *share, const struct salt_share_counts *more, bool is_spread)
{
    uint64_t reads = share->later_reads, writes = share->later_writes;

    share->later_reads = is_spread ? more->reads : 0;
    share->later_writes = is_spread ? more->writes : 0;
    if (!is_spread) {
        reads = sum(reads, more->reads);
        writes = sum(writes, more->writes);
    }
    share->reads = faded(share->reads, sum(reads, more->reads_elsewhere));
    share->writes = faded(share->writes, writes);
}

bool salt_share_admits(struct salt_share *share, const struct salt_share_counts *more, bool is_spread)
{
    count(share, more, is_spread);
    if (is_spread) {
        bool is_busy = share->reads + share->writes >= SALT_SPREAD_TELLING * THOUSAND &&
                       writes_exceed(share, SALT_SPREAD_MOST_WRITES);

        share->calm_looks = 0;
        share->busy_looks = is_busy ? share->busy_looks + 1 : 0;
        return share->busy_looks < SALT_SPREAD_BUSY_LOOKS;
    }
    share->busy_looks = 0;
    share->calm_looks = writes_exceed(share, SALT_SPREAD_FEW_WRITES) ? 0 : share->calm_looks + 1;
    return share->calm_looks >= SALT_SPREAD_CALM_LOOKS;
}
