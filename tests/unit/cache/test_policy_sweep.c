/* What was there before a policy comes under it, also while others write and policies change. */
#include "base/clock.h"
#include "base/random.h"
#include "cache/backstop.h"
#include "cache/policy_sweep.h"
#include "store/keyspace.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define KEYS 20000

static struct keyspace *keyspace;
static struct policies *policies;
static struct backstop_watch *watch;
static struct policy_sweep *sweep;
static _Atomic bool over;

static void begin(void)
{
    keyspace = keyspace_new();
    policies = policies_new();
    watch = backstop_start(keyspace, policies);
    sweep = policy_sweep_start(keyspace, policies);
    CHECK(sweep != NULL);
}

static void end(void)
{
    policy_sweep_stop(&sweep);
    backstop_stop(&watch);
    keyspace_free(&keyspace);
    policies_free(&policies);
}

static void set(const char *prefix, enum policy_field field, int64_t value)
{
    char error[POLICY_ERROR_BYTES];

    CHECK(policies_set(policies, bytes_of(prefix), &(struct policy_setting){ field, value }, 1, error));
    policy_sweep_wake(sweep);
}

static void put(unsigned number)
{
    char text[32];
    struct bytes key = { text, (size_t)snprintf(text, sizeof(text), "%s:%u", number % 2 ? "odd" : "even", number) };
    struct slot *slot = keyspace_slot(keyspace, key_slot(key));

    slot_lock(slot);
    slot_store(slot, slot_hash(key), key, BYTES("value"), ENTRY_KEEPS_FOREVER, 0);
    slot_unlock(slot);
}

static void wait_for_sweep(void)
{
    while (policies_walk_is_due(policies)) nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

TEST(a_new_policy_holds_for_what_was_there)
{
    struct slot_counts counts;

    begin();
    for (unsigned number = 0; number < KEYS; number++) put(number);
    set("odd:", POLICY_FIELD_TTL, 3600000);
    wait_for_sweep();
    counts = keyspace_counts(keyspace);
    CHECK(counts.keys == KEYS && counts.expiring == KEYS / 2);
    set("", POLICY_FIELD_MAX_TTL, 7200000);
    wait_for_sweep();
    counts = keyspace_counts(keyspace);
    CHECK(counts.keys == KEYS && counts.expiring == KEYS);
    CHECK(backstop_counts(watch).defaulted == KEYS);
    set("even:", POLICY_FIELD_MAX_TTL, 3600000);
    wait_for_sweep();
    CHECK(backstop_counts(watch).clipped == KEYS / 2);
    CHECK(policies_waiting(policies) == 0);
    end();
}

static void *write_on(void *context)
{
    (void)context;
    while (!atomic_load(&over)) put((unsigned)random_below(random_of_thread(), KEYS));
    return NULL;
}

TEST(none_is_left_while_others_write)
{
    pthread_t writers[2];
    struct slot_counts counts;

    begin();
    for (unsigned i = 0; i < 2; i++) CHECK(pthread_create(&writers[i], NULL, write_on, NULL) == 0);
    for (unsigned round = 0; round < 5; round++) {
        set("", POLICY_FIELD_TTL, 3600000);
        wait_for_sweep();
        counts = keyspace_counts(keyspace);
        CHECK(counts.keys > 0);
        /* Each slot by itself, under its lock: counts of all are not of one moment. */
        for (uint16_t id = 0; id < SLOT_COUNT; id++) {
            struct slot *slot = keyspace_slot(keyspace, id);

            slot_lock(slot);
            counts = slot_counts(slot);
            slot_unlock(slot);
            CHECK(counts.keys == counts.expiring);
        }
        CHECK(policies_delete(policies, BYTES("")));
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < 2; i++) CHECK(pthread_join(writers[i], NULL) == 0);
    end();
}

TESTS(a_new_policy_holds_for_what_was_there, none_is_left_while_others_write)
