/* The counters of a slot: when they sleep, who has one, who takes from whom, and that the short way of counting is the long one. */
#include "cache/hotkeys_line.h"

#include "base/alloc.h"
#include "unit/unit.h"

#define THRESHOLD 5000
#define WINDOW_MS 100
#define LIMIT (THRESHOLD * WINDOW_MS / 1000)

static struct hotkeys *watching(void)
{
    struct hotkeys *hotkeys = hotkeys_new(1);

    hotkeys_set(hotkeys, THRESHOLD, WINDOW_MS);
    return hotkeys;
}

static bool count_at(struct hotkeys *hotkeys, uint64_t hash, uint32_t units, int64_t now_ms)
{
    struct hot_use use = { .hash = hash, .key = BYTES("k"), .slot = 7, .cost = units * HOTKEYS_UNIT, .now_ms = now_ms };

    return hotkeys_count(hotkeys, 0, &use);
}

static bool count(struct hotkeys *hotkeys, uint64_t hash, uint32_t units)
{
    return count_at(hotkeys, hash, units, 1000);
}

/* Pairs that are awake, and have nothing: what made a key hot is used up. */
static struct hotkeys *watching_awake(void)
{
    struct hotkeys *hotkeys = watching();

    CHECK(count(hotkeys, 0x70, LIMIT) && count(hotkeys, 0x72, LIMIT));
    return hotkeys;
}

TEST(what_went_by_while_a_pair_slept_is_put_down_to_the_key_that_passes_and_to_no_other)
{
    struct hotkeys *hotkeys = watching();

    CHECK(!count(hotkeys, 0x10, 20) && !count(hotkeys, 0x20, 10)); /* a sixteenth are 31.25 */
    CHECK(!count(hotkeys, 0x30, LIMIT - 31));
    CHECK(count(hotkeys, 0x30, 1));
    CHECK(!count(hotkeys, 0x10, LIMIT - 1));
    CHECK(count(hotkeys, 0x10, 1));
    hotkeys_free(&hotkeys);
}

TEST(what_goes_by_when_a_pair_is_awake_is_put_down_to_nobody)
{
    struct hotkeys *hotkeys = watching();

    CHECK(!count(hotkeys, 0x10, 31));
    CHECK(!count(hotkeys, 0x20, 2)); /* wakes the pair, and is counted */
    for (uint64_t i = 0; i < 1000; i++) CHECK(!count(hotkeys, 0x100 + i * 0x10, 1));
    CHECK(!count(hotkeys, 0x30, LIMIT - 32));
    CHECK(!count(hotkeys, 0x12, LIMIT - 1)); /* nor to a key of the other pair */
    hotkeys_free(&hotkeys);
}

TEST(a_pair_sleeps_again_when_its_window_ends)
{
    struct hotkeys *hotkeys = watching();

    CHECK(!count_at(hotkeys, 0x10, 31, 1000) && !count_at(hotkeys, 0x20, LIMIT - 32, 1000));
    CHECK(!count_at(hotkeys, 0x20, LIMIT - 1, 1000 + WINDOW_MS));
    CHECK(!count_at(hotkeys, 0x10, 31, 1000 + 2 * WINDOW_MS) && !count_at(hotkeys, 0x20, 32, 1000 + 2 * WINDOW_MS));
    CHECK(!count_at(hotkeys, 0x10, LIMIT - 32, 1000 + 2 * WINDOW_MS));
    CHECK(count_at(hotkeys, 0x10, 1, 1000 + 3 * WINDOW_MS - 1));
    hotkeys_free(&hotkeys);
}

TEST(a_window_is_as_long_before_its_beginning_as_after_it)
{
    uint64_t asleep = hotkeys_counter_of(1000, 77), awake = asleep | HOTKEYS_AWAKE;

    CHECK(hotkeys_window_at(asleep, WINDOW_MS, 1000 + WINDOW_MS - 1) == asleep);
    CHECK(hotkeys_window_at(awake, WINDOW_MS, 1000 - WINDOW_MS) == awake);
    CHECK(hotkeys_window_at(awake, WINDOW_MS, 1000 + WINDOW_MS) == 1000 + WINDOW_MS);
    CHECK(hotkeys_window_at(awake, WINDOW_MS, 1000 - WINDOW_MS - 1) == 1000 - WINDOW_MS - 1);
    CHECK(hotkeys_slept(asleep) == 77 && hotkeys_slept(awake) == 77);
    /* More milliseconds than there is room for are cut alike. */
    CHECK(hotkeys_window_at(hotkeys_counter_of(UINT32_MAX - 9, 77), WINDOW_MS, ((int64_t)5 << 32) + 89) ==
          hotkeys_counter_of(UINT32_MAX - 9, 77));
    CHECK(hotkeys_window_at(hotkeys_counter_of(UINT32_MAX - 9, 77), WINDOW_MS, ((int64_t)5 << 32) + 90) == 90);
    CHECK(hotkeys_since(hotkeys_counter_of(UINT32_MAX - 9, 77), ((int64_t)5 << 32) + 89) == 99);
    CHECK(hotkeys_since(awake, -1000) == -2000);
}

TEST(what_is_left_of_a_cost_when_a_counter_was_taken_counts)
{
    struct hotkeys *hotkeys = watching_awake();

    /* Two keys fill the pair; the third takes one unit from both, and a place, with what it has left. */
    CHECK(!count(hotkeys, 0x10, 1) && !count(hotkeys, 0x20, 1));
    CHECK(!count(hotkeys, 0x30, LIMIT));
    CHECK(count(hotkeys, 0x30, 1));
    hotkeys_free(&hotkeys);
}

TEST(a_key_without_a_counter_takes_from_both_of_its_pair_and_from_no_other)
{
    struct hotkeys *hotkeys = watching_awake();

    CHECK(!count(hotkeys, 0x10, LIMIT - 1) && !count(hotkeys, 0x20, LIMIT - 1));
    CHECK(!count(hotkeys, 0x12, LIMIT - 1) && !count(hotkeys, 0x22, LIMIT - 1)); /* the other pair */
    CHECK(!count(hotkeys, 0x30, 10));
    CHECK(!count(hotkeys, 0x10, 10) && !count(hotkeys, 0x20, 10));
    CHECK(count(hotkeys, 0x10, 1) && count(hotkeys, 0x20, 1));
    CHECK(count(hotkeys, 0x12, 1) && count(hotkeys, 0x22, 1));
    hotkeys_free(&hotkeys);
}

TEST(the_lesser_of_a_pair_is_the_one_that_goes)
{
    struct hotkeys *hotkeys = watching_awake();

    CHECK(!count(hotkeys, 0x10, 3) && !count(hotkeys, 0x20, LIMIT - 1));
    CHECK(!count(hotkeys, 0x30, 5)); /* has 2, the second three less */
    CHECK(!count(hotkeys, 0x20, 3));
    CHECK(count(hotkeys, 0x20, 1));
    CHECK(!count(hotkeys, 0x30, LIMIT - 3));
    CHECK(count(hotkeys, 0x30, 1));
    hotkeys_free(&hotkeys);
}

TEST(the_short_way_counts_as_the_long_one_and_leaves_to_it_what_may_be_hot)
{
    struct hotkeys *quiet = watching(), *loud = watching();
    uint64_t random = 1;
    int64_t now_ms = 1000;
    int hot = 0, short_ways = 0;

    for (int i = 0; i < 300000; i++) {
        uint64_t hash;
        uint32_t units;
        bool is_hot;

        random = random * 6364136223846793005u + 1442695040888963407u;
        /* Mostly the same few keys, some of which go down to nothing before they are hot. */
        hash = (random >> 33) % 100 < 60 ? (random >> 50) % 3 * 0x51 : random >> 20;
        units = 1 + (uint32_t)((random >> 40) % 4);
        now_ms += i % 37 == 0;
        if ((random >> 30) % 2000 == 0) now_ms -= WINDOW_MS * 2;
        is_hot = count_at(loud, hash, units, now_ms);
        if (hotkeys_count_quietly(quiet, 7, hash, units * HOTKEYS_UNIT, now_ms)) {
            CHECK(!is_hot);
            short_ways++;
        } else {
            CHECK(count_at(quiet, hash, units, now_ms) == is_hot);
        }
        hot += is_hot;
        if (i % 3000 == 0) { /* all go, so that the short way is open again */
            struct hot_gone gone[HOTKEYS_GONE_MAX];

            for (int side = 0; side < 2; side++) {
                struct hotkeys *hotkeys = side == 0 ? quiet : loud;
                size_t gone_count;

                hotkeys_set(hotkeys, 0, WINDOW_MS);
                gone_count = hotkeys_tick(hotkeys, now_ms, 0, NULL, NULL, gone);
                for (size_t g = 0; g < gone_count; g++) alloc_free((void *)(uintptr_t)gone[g].name.data);
                hotkeys_set(hotkeys, THRESHOLD, WINDOW_MS);
            }
        }
    }
    CHECK(hot > 20 && short_ways > 30000);
    hotkeys_free(&quiet);
    hotkeys_free(&loud);
}

/* The rule, one case after the other. */
struct model {
    uint32_t hashes[2], costs[2];
};

static int counter_of(const struct model *model, uint32_t hash)
{
    if (model->hashes[1] == hash) return 1;
    if (model->hashes[0] == hash) return 0;
    if (model->costs[1] != model->costs[0]) return model->costs[1] < model->costs[0];
    return model->hashes[1] < model->hashes[0];
}

/* Returns what the key has. */
static uint32_t use_model(struct model *model, uint32_t hash, uint32_t cost)
{
    uint32_t taken;
    int own = counter_of(model, hash), other = 1 - own;

    if (model->hashes[own] == hash || model->costs[own] == 0) {
        model->hashes[own] = hash;
        return model->costs[own] += cost;
    }
    taken = cost < model->costs[own] ? cost : model->costs[own];
    model->costs[own] -= taken;
    CHECK(model->costs[other] >= taken);
    model->costs[other] -= taken;
    if (cost == taken) return 0;
    model->hashes[own] = hash;
    return model->costs[own] = cost - taken;
}

TEST(a_pair_follows_the_rule_in_all_its_cases)
{
    struct hotkeys_pair pair = { .window = 0 };
    struct model model = { .hashes = { 0 } };
    uint64_t random = 7;

    for (int i = 0; i < 1000000; i++) {
        uint32_t hash, cost, has;
        struct hotkeys_step step;

        random = random * 6364136223846793005u + 1442695040888963407u;
        hash = (uint32_t)(random >> 40) % 4 * 0x9e3779b9u; /* also 0, which free counters say, too */
        cost = 1 + (uint32_t)(random >> 33) % 6;
        if ((random >> 53) % 50 == 0) { /* as where a window begins */
            model = (struct model){ .hashes = { 0 } };
            atomic_store(&pair.counters[0], 0);
            atomic_store(&pair.counters[1], 0);
        }
        has = use_model(&model, hash, cost);
        step = hotkeys_step(atomic_load(&pair.counters[0]), atomic_load(&pair.counters[1]), hash, cost);
        hotkeys_take_step(&pair, &step);
        CHECK((step.left == 0 ? 0 : step.cost) == has);
        for (int at = 0; at < 2; at++)
            CHECK(atomic_load(&pair.counters[at]) == hotkeys_counter_of(model.hashes[at], model.costs[at]));
    }
}

TEST(with_a_threshold_of_zero_nothing_goes_the_short_way)
{
    struct hotkeys *hotkeys = watching();

    CHECK(hotkeys_count_quietly(hotkeys, 7, 1, HOTKEYS_UNIT, 1000));
    CHECK(!hotkeys_count_quietly(hotkeys, 8, 1, LIMIT * HOTKEYS_UNIT, 1000)); /* hot at once */
    CHECK(hotkeys_count_quietly(hotkeys, 8, 1, HOTKEYS_UNIT, 1000));
    CHECK(!hotkeys_count_quietly(hotkeys, 8, 1, UINT32_MAX, 1000));
    hotkeys_set(hotkeys, 0, WINDOW_MS);
    CHECK(!hotkeys_count_quietly(hotkeys, 7, 1, HOTKEYS_UNIT, 1000));
    hotkeys_free(&hotkeys);
}

TEST(a_look_right_after_a_key_became_hot_makes_it_no_colder)
{
    struct hotkeys *hotkeys = watching();
    struct hot_gone gone[HOTKEYS_GONE_MAX];
    struct hot_use use = { .key = BYTES("k"), .cost = 2 * LIMIT * HOTKEYS_UNIT, .now_ms = 1000 };

    for (uint16_t i = 0; i < HOTKEYS_MAX; i++) {
        use.slot = i;
        use.hash = i;
        CHECK(hotkeys_count(hotkeys, 0, &use));
    }
    CHECK(hotkeys_tick(hotkeys, 1001, 0, NULL, NULL, gone) == 0);
    use.slot = 100;
    use.cost = LIMIT * HOTKEYS_UNIT;
    CHECK(!hotkeys_count(hotkeys, 0, &use));
    CHECK(hotkeys_counts(hotkeys).pushed_out == 0 && hotkeys_counts(hotkeys).missed == 1);
    hotkeys_free(&hotkeys);
}

TESTS(what_went_by_while_a_pair_slept_is_put_down_to_the_key_that_passes_and_to_no_other,
      what_goes_by_when_a_pair_is_awake_is_put_down_to_nobody, a_pair_sleeps_again_when_its_window_ends,
      a_window_is_as_long_before_its_beginning_as_after_it, what_is_left_of_a_cost_when_a_counter_was_taken_counts,
      a_key_without_a_counter_takes_from_both_of_its_pair_and_from_no_other, the_lesser_of_a_pair_is_the_one_that_goes,
      the_short_way_counts_as_the_long_one_and_leaves_to_it_what_may_be_hot, a_pair_follows_the_rule_in_all_its_cases,
      with_a_threshold_of_zero_nothing_goes_the_short_way, a_look_right_after_a_key_became_hot_makes_it_no_colder)
