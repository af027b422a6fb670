/* Clients of a salted key are spread over its nodes: the same everywhere, evenly, and not when it is written much. */
#include "salt/spread.h"

#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#define NODES 5u
#define ADDRESSES 20000u

/* Ids as nodes have them, alike but for a digit, which is the worst that may be. */
static void number_nodes(uint64_t nodes[NODES])
{
    char id[] = "00000000000000000000000000000000000000a0";

    for (unsigned i = 0; i < NODES; i++) {
        id[39] = (char)('1' + i);
        nodes[i] = salt_spread_node(id);
    }
}

static struct bytes address_of(unsigned i, char text[32])
{
    snprintf(text, 32, "10.0.%u.%u:%u", i % 4, i % 200, 1024 + i);
    return bytes_of(text);
}

TEST(addresses_are_spread_evenly_over_however_many_nodes)
{
    uint64_t nodes[NODES];
    char text[32];

    number_nodes(nodes);
    for (size_t count = 1; count <= NODES; count++) {
        unsigned told[NODES] = { 0 };

        for (unsigned i = 0; i < ADDRESSES; i++) told[salt_spread_choose(address_of(i, text), nodes, count)]++;
        for (size_t i = 0; i < count; i++) {
            CHECK(told[i] > ADDRESSES / count * 9 / 10);
            CHECK(told[i] < ADDRESSES / count * 11 / 10 + 1);
        }
    }
}

TEST(an_address_is_told_the_same_node_in_whatever_order_they_are_listed)
{
    uint64_t nodes[NODES], turned[NODES];
    char text[32];

    number_nodes(nodes);
    for (unsigned i = 0; i < NODES; i++) turned[i] = nodes[(i + 2) % NODES];
    for (unsigned i = 0; i < ADDRESSES; i++) {
        struct bytes address = address_of(i, text);

        CHECK(nodes[salt_spread_choose(address, nodes, NODES)] == turned[salt_spread_choose(address, turned, NODES)]);
    }
}

TEST(when_a_node_goes_only_its_own_are_told_another)
{
    uint64_t nodes[NODES];
    unsigned changed = 0;
    char text[32];

    number_nodes(nodes);
    for (unsigned i = 0; i < ADDRESSES; i++) {
        struct bytes address = address_of(i, text);
        size_t before = salt_spread_choose(address, nodes, NODES),
               after = salt_spread_choose(address, nodes, NODES - 1);

        if (before != NODES - 1) CHECK(after == before);
        changed += after != before;
    }
    CHECK(changed > ADDRESSES / NODES / 2);
}

TEST(another_epoch_has_another_bit_mostly)
{
    unsigned same = 0;

    for (uint64_t epoch = 1795325880123; epoch < 1795325880123 + 6400; epoch++) {
        CHECK(salt_spread_bit(7, epoch) < SALT_SPREAD_BITS);
        CHECK(salt_spread_bit(7, epoch) == salt_spread_bit(7, epoch));
        same += salt_spread_bit(7, epoch) == salt_spread_bit(7, epoch + 1);
        same += salt_spread_bit(7, epoch) == salt_spread_bit(8, epoch);
    }
    CHECK(same < 400); /* 200 of 12800, by chance */
}

/* Looks that see the same; is it to be spread at the end of each? */
static bool look(struct salt_share *share, uint64_t reads, uint64_t writes, unsigned looks, bool is_spread)
{
    const struct salt_share_counts traffic = { .reads = reads, .writes = writes };

    for (unsigned i = 0; i < looks; i++) is_spread = salt_share_admits(share, &traffic, is_spread);
    return is_spread;
}

TEST(more_than_two_writes_in_a_hundred_are_too_many)
{
    struct salt_share share = { 0 };

    CHECK(look(&share, 982, 18, 100, true));
    share = (struct salt_share){ 0 };
    CHECK(look(&share, 978, 22, SALT_SPREAD_BUSY_LOOKS, true)); /* those of the first look are counted in the second */
    CHECK(!look(&share, 978, 22, 1, true));
    /* Reads of others may be told even later than that. */
    share = (struct salt_share){ 0 };
    CHECK(look(&share, 0, 100, SALT_SPREAD_BUSY_LOOKS, true));
    CHECK(salt_share_admits(&share, &(struct salt_share_counts){ .reads_elsewhere = 30000, .writes = 100 }, true));
    CHECK(look(&share, 0, 100, SALT_SPREAD_BUSY_LOOKS - 1, true));
    /* Of so few nothing is concluded. */
    share = (struct salt_share){ 0 };
    CHECK(look(&share, 0, 20, 100, true));
}

/* A quarter is read at home, the rest elsewhere, of which home hears with the next look. */
static unsigned looks_until_it_is_not_spread(uint64_t writes, unsigned looks_max)
{
    struct salt_share share = { 0 };
    struct salt_share_counts traffic = { .reads = 250, .writes = writes };
    unsigned looks = 0;

    while (looks < looks_max && salt_share_admits(&share, &traffic, true)) {
        traffic.reads_elsewhere = 750 - writes;
        looks++;
    }
    return looks;
}

TEST(writes_are_compared_to_the_reads_among_which_they_came)
{
    for (uint64_t writes = 0; writes < 20; writes++) CHECK(looks_until_it_is_not_spread(writes, 1000) == 1000);
    CHECK(looks_until_it_is_not_spread(21, 1000) < 1000);
    CHECK(looks_until_it_is_not_spread(50, 1000) <= SALT_SPREAD_BUSY_LOOKS + 2);
}

TEST(it_is_spread_again_when_writes_have_been_few_for_a_while)
{
    struct salt_share share = { 0 };

    CHECK(!look(&share, 900, 100, 10, true));
    /* Between the two bounds it stays as it is, whichever that is. */
    share = (struct salt_share){ 0 };
    for (int i = 0; i < 100; i++) CHECK(!look(&share, 985, 15, 1, false));
    for (int i = 0; i < 100; i++) CHECK(look(&share, 985, 15, 1, true));
    share = (struct salt_share){ 0 };
    CHECK(!look(&share, 1000, 9, SALT_SPREAD_CALM_LOOKS - 1, false));
    CHECK(look(&share, 1000, 9, 1, false));
    /* One look with more, and it begins anew. */
    share = (struct salt_share){ 0 };
    CHECK(!look(&share, 1000, 9, SALT_SPREAD_CALM_LOOKS - 1, false));
    CHECK(!look(&share, 1000, 100, 1, false));
    CHECK(!look(&share, 1000, 9, 1, false));
}

TEST(what_is_long_ago_does_not_count)
{
    struct salt_share share = { 0 };
    int looks = 0;

    CHECK(!look(&share, 0, 1000000, SALT_SPREAD_BUSY_LOOKS + 1, true));
    while (!look(&share, 10000, 0, 1, false)) CHECK(++looks < 60);
    /* And no number is too big. */
    CHECK(!look(&share, UINT64_MAX, UINT64_MAX, 10, false));
    CHECK(!look(&share, UINT64_MAX, UINT64_MAX, 10, true));
}

TESTS(addresses_are_spread_evenly_over_however_many_nodes,
      an_address_is_told_the_same_node_in_whatever_order_they_are_listed,
      when_a_node_goes_only_its_own_are_told_another, another_epoch_has_another_bit_mostly,
      more_than_two_writes_in_a_hundred_are_too_many, writes_are_compared_to_the_reads_among_which_they_came,
      it_is_spread_again_when_writes_have_been_few_for_a_while, what_is_long_ago_does_not_count)
