/* Under a policy no value lives longer than it says, whatever is asked for and however often. */
#include "base/clock.h"
#include "base/random.h"
#include "cache/backstop.h"
#include "store/keyspace.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define NOW_MS INT64_C(1700000000500)
#define NOW_S 1700000000u
#define FOREVER ENTRY_KEEPS_FOREVER
#define NO_CHANCE 0u
#define ALL_CHANCE UINT32_MAX

static const struct policy_fields only_ttl = { .ttl_ms = 10000, .salt = 1 };
static const struct policy_fields only_max = { .max_ttl_ms = 60000, .salt = 1 };
static const struct policy_fields both = { .ttl_ms = 10000, .max_ttl_ms = 60000, .salt = 1 };
static const struct policy_fields jittered = { .ttl_ms = 10000, .max_ttl_ms = 60000, .jitter_percent = 20, .salt = 1 };

static struct backstop_life life;

static struct backstop_verdict judge(const struct policy_fields *fields, enum backstop_cause cause, int64_t wanted_ms,
                                     uint32_t birth_s, int64_t former_ms, uint32_t chance)
{
    life = (struct backstop_life){ wanted_ms, birth_s, 0, 0 };
    return backstop_judge(fields, cause, former_ms, NOW_MS, chance, &life);
}

TEST(a_value_without_a_deadline_is_given_one)
{
    CHECK(judge(&only_ttl, BACKSTOP_BORN, FOREVER, 0, FOREVER, NO_CHANCE).defaulted);
    CHECK(life.expires_at_ms == NOW_MS + 10000 && life.birth_s == 0); /* nobody will ask for its birth */
    CHECK(judge(&only_max, BACKSTOP_BORN, FOREVER, 0, FOREVER, NO_CHANCE).defaulted);
    CHECK(life.expires_at_ms == NOW_MS + 60000 && life.birth_s == NOW_S);
    CHECK(judge(&both, BACKSTOP_AGED, FOREVER, 0, FOREVER, NO_CHANCE).defaulted);
    CHECK(life.expires_at_ms == NOW_MS + 10000 && life.birth_s == NOW_S);
    /* What it was to have before does not matter to a value that is born. */
    CHECK(judge(&both, BACKSTOP_BORN, FOREVER, 0, NOW_MS + 5, NO_CHANCE).defaulted);
    CHECK(life.expires_at_ms == NOW_MS + 10000);
}

TEST(a_deadline_within_bounds_stays_as_it_is)
{
    struct backstop_verdict verdict = judge(&both, BACKSTOP_BORN, NOW_MS + 20000, 0, FOREVER, ALL_CHANCE);

    CHECK(!verdict.defaulted && !verdict.clipped && life.expires_at_ms == NOW_MS + 20000);
    CHECK(!judge(&both, BACKSTOP_SET, NOW_MS + 59000, NOW_S, NOW_MS + 1, ALL_CHANCE).clipped);
    CHECK(life.expires_at_ms == NOW_MS + 59000 && life.birth_s == NOW_S);
    CHECK(!judge(&only_ttl, BACKSTOP_SET, INT64_MAX, 0, NOW_MS, NO_CHANCE).clipped);
    CHECK(life.expires_at_ms == INT64_MAX);
}

TEST(none_is_later_than_birth_and_max_ttl)
{
    CHECK(judge(&only_max, BACKSTOP_BORN, NOW_MS + 60001, 0, FOREVER, NO_CHANCE).clipped);
    CHECK(life.expires_at_ms == NOW_MS + 60000);
    CHECK(judge(&only_max, BACKSTOP_SET, NOW_MS + 60000, NOW_S - 50, NOW_MS + 1, NO_CHANCE).clipped);
    CHECK(life.expires_at_ms == NOW_S * INT64_C(1000) + 10000 && life.birth_s == NOW_S - 50);
    /* Older than it may be: gone at once. */
    CHECK(judge(&only_max, BACKSTOP_AGED, NOW_MS + 1000, NOW_S - 61, NOW_MS + 1000, NO_CHANCE).clipped);
    CHECK(life.expires_at_ms < NOW_MS);
    CHECK(judge(&only_max, BACKSTOP_BORN, INT64_MAX, 0, FOREVER, NO_CHANCE).clipped);
    CHECK(life.expires_at_ms == NOW_MS + 60000);
    CHECK(judge(&only_max, BACKSTOP_AGED, NOW_MS + 90000, NOW_S + 1000, FOREVER, NO_CHANCE).clipped);
    CHECK(life.expires_at_ms == NOW_MS + 60000 && life.birth_s == NOW_S); /* nothing is born in the future */
    CHECK(judge(&both, BACKSTOP_AGED, FOREVER, NOW_S - 55, FOREVER, NO_CHANCE).defaulted);
    CHECK(life.expires_at_ms == NOW_S * INT64_C(1000) + 5000);
}

TEST(a_deadline_cannot_be_taken_away)
{
    struct backstop_verdict verdict = judge(&jittered, BACKSTOP_SET, FOREVER, NOW_S - 1, NOW_MS + 7000, ALL_CHANCE);

    CHECK(!verdict.defaulted && !verdict.clipped && life.expires_at_ms == NOW_MS + 7000);
    judge(&only_ttl, BACKSTOP_SET, FOREVER, 0, NOW_MS + 7000, NO_CHANCE);
    CHECK(life.expires_at_ms == NOW_MS + 7000);
    judge(&(struct policy_fields){ .jitter_percent = 50 }, BACKSTOP_SET, FOREVER, 0, NOW_MS + 7000, ALL_CHANCE);
    CHECK(life.expires_at_ms == FOREVER); /* only where a policy would give it another at once */
}

TEST(jitter_shortens_what_is_given_and_nothing_else)
{
    judge(&jittered, BACKSTOP_BORN, NOW_MS + 50000, 0, FOREVER, ALL_CHANCE);
    CHECK(life.expires_at_ms > NOW_MS + 40000 - 2 && life.expires_at_ms <= NOW_MS + 40001);
    judge(&jittered, BACKSTOP_BORN, NOW_MS + 50000, 0, FOREVER, NO_CHANCE);
    CHECK(life.expires_at_ms == NOW_MS + 50000);
    judge(&jittered, BACKSTOP_BORN, NOW_MS + 50000, 0, FOREVER, UINT32_MAX / 2 + 1);
    CHECK(life.expires_at_ms == NOW_MS + 45000);
    judge(&jittered, BACKSTOP_SET, NOW_MS + 50000, NOW_S, NOW_MS + 10, ALL_CHANCE);
    CHECK(life.expires_at_ms <= NOW_MS + 40001);
    judge(&jittered, BACKSTOP_BORN, FOREVER, 0, FOREVER, ALL_CHANCE);
    CHECK(life.expires_at_ms >= NOW_MS + 8000 && life.expires_at_ms <= NOW_MS + 8001);
    /* Those that are clipped are spread, too; and those that are found without one. */
    judge(&jittered, BACKSTOP_SET, NOW_MS + 90000, NOW_S, NOW_MS + 10, ALL_CHANCE);
    CHECK(life.expires_at_ms < NOW_MS + 48002);
    judge(&jittered, BACKSTOP_AGED, FOREVER, NOW_S, FOREVER, ALL_CHANCE);
    CHECK(life.expires_at_ms <= NOW_MS + 8001);

    judge(&jittered, BACKSTOP_AGED, NOW_MS + 50000, NOW_S, NOW_MS + 3, ALL_CHANCE);
    CHECK(life.expires_at_ms == NOW_MS + 50000); /* changed, or under another key */
    judge(&jittered, BACKSTOP_BORN, NOW_MS + 50000, 0, NOW_MS + 50000, ALL_CHANCE);
    CHECK(life.expires_at_ms == NOW_MS + 50000); /* KEEPTTL */
    judge(&(struct policy_fields){ .jitter_percent = 99 }, BACKSTOP_BORN, INT64_MAX, 0, FOREVER, ALL_CHANCE);
    CHECK(life.expires_at_ms > NOW_MS && life.expires_at_ms < INT64_MAX / 50);
    judge(&jittered, BACKSTOP_BORN, NOW_MS - 5, 0, FOREVER, ALL_CHANCE);
    CHECK(life.expires_at_ms == NOW_MS - 5);
}

/* --- On every path of the store --- */

static int64_t clock_us;

static int64_t told_time(clockid_t id)
{
    (void)id;
    return clock_us;
}

static struct keyspace *keyspace;
static struct policies *policies;
static struct backstop_watch *watch;

static void begin(void)
{
    clock_us = NOW_MS * 1000;
    clock_use(told_time);
    keyspace = keyspace_new();
    policies = policies_new();
    watch = backstop_start(keyspace, policies);
}

static void end(void)
{
    backstop_stop(&watch);
    keyspace_free(&keyspace);
    policies_free(&policies);
    clock_use(NULL);
}

static void set(const char *prefix, enum policy_field field, int64_t value)
{
    char error[POLICY_ERROR_BYTES];

    CHECK(policies_set(policies, bytes_of(prefix), &(struct policy_setting){ field, value }, 1, error));
}

static struct slot *slot_of(struct bytes key)
{
    return keyspace_slot(keyspace, key_slot(key));
}

static int64_t deadline_of(struct bytes key)
{
    const struct entry *entry = slot_peek(slot_of(key), key, clock_now_ms());

    return entry == NULL ? 0 : entry_expires_at_ms(entry);
}

static void limit_all(struct slot *slot)
{
    uint32_t cursor = 0;

    do cursor = slot_limit_lives(slot, cursor, 0);
    while (cursor != 0);
}

TEST(without_policies_nobody_is_asked)
{
    struct bytes key = BYTES("k");

    begin();
    slot_lock(slot_of(key));
    slot_store(slot_of(key), slot_hash(key), key, BYTES("v"), FOREVER, 0);
    CHECK(deadline_of(key) == FOREVER);
    limit_all(slot_of(key));
    CHECK(deadline_of(key) == FOREVER);
    set("", POLICY_FIELD_TTL, 1000);
    CHECK(deadline_of(key) == FOREVER); /* until somebody goes by */
    limit_all(slot_of(key));
    CHECK(deadline_of(key) == NOW_MS + 1000 && slot_counts(slot_of(key)).expiring == 1);
    clock_us += 500000;
    limit_all(slot_of(key));
    CHECK(deadline_of(key) == NOW_MS + 1000 && backstop_counts(watch).defaulted == 1);
    CHECK(policies_delete(policies, BYTES("")));
    slot_store(slot_of(key), slot_hash(key), key, BYTES("v"), FOREVER, 0);
    CHECK(deadline_of(key) == FOREVER && slot_counts(slot_of(key)).expiring == 0);
    slot_unlock(slot_of(key));
    end();
}

TEST(only_keys_of_the_prefix_are_concerned)
{
    struct bytes key = BYTES("user:1"), other = BYTES("usel:1");

    begin();
    set("user:", POLICY_FIELD_TTL, 1000);
    slot_lock(slot_of(key));
    slot_store(slot_of(key), slot_hash(key), key, BYTES("v"), FOREVER, 0);
    CHECK(deadline_of(key) == NOW_MS + 1000);
    slot_unlock(slot_of(key));
    slot_lock(slot_of(other));
    slot_store(slot_of(other), slot_hash(other), other, BYTES("v"), FOREVER, 0);
    CHECK(deadline_of(other) == FOREVER);
    slot_unlock(slot_of(other));
    CHECK(backstop_counts(watch).defaulted == 1 && backstop_counts(watch).clipped == 0);
    end();
}

/* --- What is known beforehand --- */

static struct bytes numbered(char text[32], unsigned number)
{
    return (struct bytes){ text, (size_t)snprintf(text, 32, "{t}:%u", number) };
}

static void set_some_policy(struct random *random)
{
    static const int64_t spans_ms[] = { 0, 0, 1000, 50000, 3600000, 86400000, INT64_C(3153600000000) };
    static const int64_t percents[] = { 0, 0, 1, 10, 50, 99 };

    set("{t}", POLICY_FIELD_TTL, spans_ms[random_below(random, 7)]);
    set("{t}", POLICY_FIELD_MAX_TTL, spans_ms[random_below(random, 7)]);
    set("{t}", POLICY_FIELD_JITTER, percents[random_below(random, 6)]);
    set("{t}", POLICY_FIELD_REFRESH, percents[random_below(random, 6)]);
}

/* Nearly every write has its answer from the policy's row; it is to be what the judge says. */
TEST(a_value_is_born_to_the_life_that_the_judge_gives_it)
{
    static const int64_t nows_ms[] = {
        1, 999, 1000, 1001, NOW_MS, NOW_MS + 1, INT64_C(4294967295999), INT64_C(4294967296000)
    };
    struct random random;
    struct slot *slot;
    uint64_t defaulted = 0, births = 0;

    begin();
    random_seed(&random, 11);
    slot = slot_of(BYTES("{t}"));
    for (unsigned round = 0; round < 2000; round++) {
        set_some_policy(&random);
        policies_settle(policies, keyspace);
        slot_lock(slot);
        for (unsigned i = 0; i < 8; i++) {
            char text[32];
            struct bytes key = numbered(text, (unsigned)random_below(&random, 1000));
            int64_t now_ms = nows_ms[random_below(&random, 8)];
            int64_t asked_ms =
                random_below(&random, 3) == 0 ? now_ms + (int64_t)random_below(&random, 100000) : FOREVER;
            uint64_t before = backstop_counts(watch).defaulted;
            /* Beyond the seconds that a birth is kept in, what is looked at twice may lose one. */
            bool was_there = now_ms / 1000 <= UINT32_MAX && random_below(&random, 3) == 0;
            const struct entry *entry;
            struct backstop_verdict verdict;

            clock_us = now_ms * 1000;
            atomic_store(&keyspace_backstop(keyspace)->on, !was_there);
            slot_store(slot, slot_hash(key), key, BYTES("v"), asked_ms, random_below(&random, 2) == 0 ? 0 : now_ms);
            atomic_store(&keyspace_backstop(keyspace)->on, true);
            if (was_there) slot_limit_lives(slot, 0, random_below(&random, 2) == 0 ? 0 : now_ms);
            life = (struct backstop_life){ asked_ms, 0, 0, 0 };
            verdict = backstop_judge(policies_find(policies, key), was_there ? BACKSTOP_AGED : BACKSTOP_BORN,
                                     was_there ? asked_ms : FOREVER, now_ms, (uint32_t)slot_hash(key), &life);
            entry = slot_peek(slot, key, INT64_MIN);
            CHECK(entry != NULL && entry_expires_at_ms(entry) == life.expires_at_ms);
            CHECK(entry_attributes(entry).birth_s == life.birth_s);
            CHECK(backstop_counts(watch).defaulted == before + verdict.defaulted);
            slot_remove(slot, key, INT64_MIN);
            defaulted += verdict.defaulted;
            births += life.birth_s != 0;
        }
        slot_unlock(slot);
    }
    CHECK(defaulted > 1000 && births > 1000);
    end();
}

TEST(the_share_of_the_jitter_is_as_by_lot_from_key_to_key_and_always_the_same_for_one)
{
    enum { COUNT = 4000, PARTS = 10 };
    unsigned parts[PARTS] = { 0 };
    struct slot *slot;

    begin();
    set("", POLICY_FIELD_TTL, 100000);
    set("", POLICY_FIELD_JITTER, 50);
    slot = slot_of(BYTES("{t}"));
    slot_lock(slot);
    for (unsigned number = 0; number < COUNT; number++) {
        char text[32];
        struct bytes key = numbered(text, number);
        int64_t taken_ms, former_ms;

        slot_store(slot, slot_hash(key), key, BYTES("v"), FOREVER, NOW_MS);
        former_ms = deadline_of(key);
        taken_ms = NOW_MS + 100000 - former_ms;
        CHECK(taken_ms >= 0 && taken_ms < 50000);
        parts[taken_ms * PARTS / 50000]++;
        /* Later, it ends as much later, by whatever way it was written. */
        clock_us = (NOW_MS + 3) * 1000;
        slot_store(slot, slot_hash(key), key, BYTES("w"), FOREVER, NOW_MS + 3);
        CHECK(deadline_of(key) == former_ms + 3);
        slot_store(slot, slot_hash(key), key, BYTES("w"), NOW_MS + 100001, NOW_MS + 1);
        CHECK(deadline_of(key) == former_ms + 1);
        slot_set_expiry(slot, slot_find(slot, key, NOW_MS), NOW_MS + 100003);
        CHECK(deadline_of(key) == former_ms + 3);
    }
    slot_unlock(slot);
    for (unsigned part = 0; part < PARTS; part++)
        CHECK(parts[part] > COUNT / PARTS * 3 / 4 && parts[part] < COUNT / PARTS * 5 / 4);
    end();
}

/* --- Counts --- */

#define FEW 50u
#define MANY 60000u
#define AT_ONCE 4u
#define ONE_BY_ONE 64u /* as many as have a line to themselves */

struct counter {
    pthread_t thread;
    uint16_t slot;
    unsigned counts;
};
static unsigned begun;

static void *write_to_a_slot(void *context)
{
    const struct counter *counter = context;
    struct slot *slot = keyspace_slot(keyspace, counter->slot);
    struct bytes key = BYTES("k");

    for (unsigned i = 0; i < counter->counts; i++) {
        slot_lock(slot);
        slot_store(slot, slot_hash(key), key, BYTES("v"), i % 2 == 0 ? NOW_MS + 60000 : FOREVER, NOW_MS);
        slot_unlock(slot);
    }
    return NULL;
}

/* So many threads, each in a slot of its own; returns how often they counted. */
static uint64_t count_by(unsigned threads, unsigned counts)
{
    struct counter counters[AT_ONCE];

    for (unsigned i = 0; i < threads; i++) {
        counters[i] = (struct counter){ .slot = (uint16_t)(begun++ % SLOT_COUNT), .counts = counts };
        CHECK(pthread_create(&counters[i].thread, NULL, write_to_a_slot, &counters[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++) CHECK(pthread_join(counters[i].thread, NULL) == 0);
    return (uint64_t)threads * counts;
}

TEST(no_count_is_lost_between_threads)
{
    for (unsigned turn = 0; turn < 2; turn++) { /* this thread has counted for the first watch when the second begins */
        struct counter own = { .counts = FEW };
        uint64_t counted;

        begin();
        set("", POLICY_FIELD_TTL, 1000);
        set("", POLICY_FIELD_MAX_TTL, 2000);
        counted = count_by(AT_ONCE, MANY);
        write_to_a_slot(&own);
        for (unsigned i = 0; i < ONE_BY_ONE; i++) counted += count_by(1, FEW);
        counted += count_by(AT_ONCE, MANY) + FEW; /* these share one */
        CHECK(backstop_counts(watch).defaulted == counted / 2 && backstop_counts(watch).clipped == counted / 2);
        end();
    }
}

#define KEYS 40
#define MAX_MS 50000
#define TTL_MS 20000
static int64_t birth_ms[KEYS]; /* 0: no key */

static struct bytes key_at(unsigned index, char text[8])
{
    memcpy(text, "{t}k00", 6);
    text[4] = (char)('0' + index / 10);
    text[5] = (char)('0' + index % 10);
    return (struct bytes){ text, 6 };
}

static int64_t wanted(struct random *random)
{
    if (random_below(random, 3) == 0) return FOREVER;
    return clock_now_ms() + 1 + (int64_t)random_below(random, 2 * MAX_MS);
}

static struct bytes some_value(struct random *random, char text[64])
{
    memset(text, 'v', 64);
    return (struct bytes){ text, random_below(random, 64) };
}

static void do_one(struct slot *slot, struct random *random)
{
    char text[8], target_text[8], value[64];
    unsigned index = (unsigned)random_below(random, KEYS), target = (unsigned)random_below(random, KEYS);
    struct bytes key = key_at(index, text);
    struct entry *entry = slot_find(slot, key, clock_now_ms()), *made;
    struct entry_attributes kept = entry_attributes_kept(entry);
    int64_t deadline_ms;

    if (entry == NULL) birth_ms[index] = 0;
    switch (random_below(random, 5)) {
    case 0:
        slot_store(slot, slot_hash(key), key, some_value(random, value), wanted(random), 0);
        birth_ms[index] = clock_now_ms();
        return;
    case 1:
        made = entry_new(key, some_value(random, value), wanted(random));
        slot_put(slot, &made);
        birth_ms[index] = clock_now_ms();
        return;
    case 2:
        made = entry_new_attributed(key, some_value(random, value),
                                    entry == NULL ? FOREVER : entry_expires_at_ms(entry), &kept);
        slot_put_aged(slot, &made);
        if (birth_ms[index] == 0) birth_ms[index] = clock_now_ms();
        return;
    case 3:
        if (entry != NULL) slot_set_expiry(slot, entry, wanted(random));
        return;
    case 4: /* to another key */
        if (entry == NULL || target == index) return;
        deadline_ms = entry_expires_at_ms(entry);
        made = entry_new_attributed(key_at(target, target_text), some_value(random, value), deadline_ms, &kept);
        slot_put_aged(slot, &made);
        birth_ms[target] = birth_ms[index];
        /* Not shortened once more. But the birth is kept in whole seconds. */
        entry = slot_find(slot, key_at(target, target_text), clock_now_ms());
        CHECK(entry == NULL
                  ? deadline_ms < clock_now_ms() + 1000
                  : entry_expires_at_ms(entry) > deadline_ms - 1000 && entry_expires_at_ms(entry) <= deadline_ms);
        return;
    }
}

static unsigned check_all(struct slot *slot)
{
    unsigned live = 0;

    for (unsigned index = 0; index < KEYS; index++) {
        char text[8];
        struct bytes key = key_at(index, text);
        const struct entry *entry = slot_peek(slot, key, clock_now_ms());

        if (entry == NULL) continue;
        live++;
        CHECK(birth_ms[index] != 0);
        CHECK(entry_expires_at_ms(entry) != FOREVER);
        CHECK(entry_expires_at_ms(entry) <= birth_ms[index] + MAX_MS);
    }
    return live;
}

TEST(whatever_is_done_nothing_lives_without_end_or_beyond_its_birth_and_max_ttl)
{
    struct random random;
    struct slot *slot;
    uint64_t live = 0;

    begin();
    random_seed(&random, 7);
    set("", POLICY_FIELD_MAX_TTL, MAX_MS);
    set("{t}", POLICY_FIELD_TTL, TTL_MS);
    set("{t}k1", POLICY_FIELD_JITTER, 90);
    set("{t}k2", POLICY_FIELD_TTL, 0);
    slot = slot_of(BYTES("{t}"));
    slot_lock(slot);
    for (unsigned i = 0; i < 200000; i++) {
        clock_us += (int64_t)random_below(&random, 400000);
        do_one(slot, &random);
        if (i % 8 == 0) live += check_all(slot);
        CHECK(slot_counts(slot).expiring == slot_counts(slot).keys);
    }
    slot_unlock(slot);
    CHECK(live > 200000);
    CHECK(backstop_counts(watch).defaulted > 10000 && backstop_counts(watch).clipped > 10000);
    end();
}

TESTS(a_value_without_a_deadline_is_given_one, a_deadline_within_bounds_stays_as_it_is,
      none_is_later_than_birth_and_max_ttl, a_deadline_cannot_be_taken_away,
      jitter_shortens_what_is_given_and_nothing_else, without_policies_nobody_is_asked,
      only_keys_of_the_prefix_are_concerned, a_value_is_born_to_the_life_that_the_judge_gives_it,
      the_share_of_the_jitter_is_as_by_lot_from_key_to_key_and_always_the_same_for_one,
      no_count_is_lost_between_threads, whatever_is_done_nothing_lives_without_end_or_beyond_its_birth_and_max_ttl)
