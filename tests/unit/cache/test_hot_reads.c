/* What is published, until when it is given, and that nothing may happen to a key without its value being withdrawn. */
#include "cache/hot_reads.h"

#include "base/alloc.h"
#include "base/reclaim.h"
#include "cache/hotkeys.h"
#include "store/account.h"
#include "store/backstop.h"
#include "store/graveyard.h"
#include "store/keyspace.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#define NOW 1000
#define SLOT 7
#define LATER (NOW + 60000)

static struct fixture {
    struct keyspace *keyspace;
    struct hotkeys *hotkeys;
    struct hot_reads *reads;
    struct slot *slot;
    struct reclaim_reader *reader; /* a test that fails leaves it where it is */
    uint64_t rules;
} f;

static void begin(void)
{
    f.keyspace = keyspace_new();
    atomic_store(&keyspace_deadlines(f.keyspace)->now_ms, NOW);
    f.hotkeys = hotkeys_new(2);
    hotkeys_set(f.hotkeys, 100, 100);
    f.reads = hot_reads_new(f.keyspace, f.hotkeys, 2);
    f.slot = keyspace_slot(f.keyspace, SLOT);
    f.rules = 0;
    f.reader = alloc(sizeof *f.reader);
    reclaim_join(f.reader);
}

static void end(void)
{
    reclaim_leave(f.reader);
    reclaim_quit(f.reader);
    alloc_free(f.reader);
    hot_reads_free(&f.reads);
    CHECK(reclaim_waiting() == 0);
    hotkeys_free(&f.hotkeys);
    keyspace_free(&f.keyspace);
}

static void heat_in(uint16_t slot, struct bytes key)
{
    struct hot_use use = { .hash = slot_hash(key), .key = key, .slot = slot, .cost = HOTKEYS_UNIT, .now_ms = NOW };

    for (int i = 0; i < 1000 && !hotkeys_has(f.hotkeys, slot, use.hash); i++) hotkeys_count(f.hotkeys, 0, &use);
    CHECK(hotkeys_has(f.hotkeys, slot, use.hash));
}

static void cool_all(void)
{
    struct hot_gone gone[HOTKEYS_GONE_MAX];
    size_t count;

    hotkeys_set(f.hotkeys, 0, 100);
    count = hotkeys_tick(f.hotkeys, NOW, 0, NULL, NULL, gone);
    for (size_t i = 0; i < count; i++) alloc_free((void *)(uintptr_t)gone[i].name.data);
    hotkeys_set(f.hotkeys, 100, 100);
}

static void set_in(struct slot *slot, struct bytes key, struct bytes value, int64_t expires_at_ms)
{
    slot_lock(slot);
    slot_store(slot, slot_hash(key), key, value, expires_at_ms, 0);
    slot_unlock(slot);
}

static bool is_given_as(struct slot *slot, struct bytes key, const char *value, int64_t now_ms, bool touches)
{
    struct hot_question question = { slot, slot_hash(key), key, now_ms, f.rules, touches };
    struct bytes got = BYTES_NONE;
    bool given;

    reclaim_enter(f.reader);
    given = hot_read(f.reads, 0, &question, &got) && bytes_equal(got, bytes_of(value));
    reclaim_leave(f.reader);
    return given;
}

static bool is_given(const char *value)
{
    return is_given_as(f.slot, BYTES("star"), value, NOW, true);
}

/* A GET that takes the lock. */
static void get_in(struct slot *slot, struct bytes key, int64_t now_ms)
{
    struct entry *entry;

    slot_lock(slot);
    entry = slot_use(slot, slot_hash(key), key, now_ms, SLOT_TOUCH);
    if (entry != NULL) {
        int64_t until_ms = entry_expires_at_ms(entry);

        hot_reads_offer(f.reads,
                        &(struct hot_offer){ .slot = slot,
                                             .owner = slot_owner(slot),
                                             .hash = slot_hash(key),
                                             .key = key,
                                             .value = entry_value(entry),
                                             .until_ms = until_ms == ENTRY_KEEPS_FOREVER ? INT64_MAX : until_ms,
                                             .rules = f.rules,
                                             .now_ms = now_ms });
    }
    slot_unlock(slot);
}

static void get_often(struct slot *slot, struct bytes key, int64_t now_ms)
{
    for (unsigned i = 0; i < HOT_READS_BEFORE; i++) get_in(slot, key, now_ms);
}

static void begin_published(int64_t expires_at_ms)
{
    begin();
    set_in(f.slot, BYTES("star"), BYTES("bright"), expires_at_ms);
    heat_in(SLOT, BYTES("star"));
    get_often(f.slot, BYTES("star"), NOW);
    CHECK(is_given("bright"));
}

TEST(a_hot_key_is_published_when_it_was_read_often_since_it_was_changed)
{
    begin();
    set_in(f.slot, BYTES("star"), BYTES("bright"), ENTRY_KEEPS_FOREVER);
    heat_in(SLOT, BYTES("star"));
    CHECK(!is_given("bright"));
    for (unsigned i = 1; i < HOT_READS_BEFORE; i++) get_in(f.slot, BYTES("star"), NOW);
    CHECK(!is_given("bright"));
    get_in(f.slot, BYTES("star"), NOW);
    CHECK(is_given("bright"));
    set_in(f.slot, BYTES("star"), BYTES("dim"), ENTRY_KEEPS_FOREVER);
    CHECK(!is_given("bright") && !is_given("dim"));
    for (unsigned i = 1; i < HOT_READS_BEFORE; i++) get_in(f.slot, BYTES("star"), NOW);
    CHECK(!is_given("dim"));
    get_in(f.slot, BYTES("star"), NOW);
    CHECK(is_given("dim"));
    CHECK(hot_reads_counts(f.reads).published == 2 && hot_reads_counts(f.reads).withdrawn == 1);
    end();
}

TEST(an_empty_value_and_an_empty_key_are_values_and_keys)
{
    begin();
    set_in(f.slot, BYTES(""), BYTES(""), ENTRY_KEEPS_FOREVER);
    heat_in(SLOT, BYTES(""));
    get_often(f.slot, BYTES(""), NOW);
    CHECK(is_given_as(f.slot, BYTES(""), "", NOW, true));
    end();
}

/* --- Whatever happens to the key --- */

static struct entry *star(void)
{
    struct entry *entry = slot_find(f.slot, BYTES("star"), NOW);

    CHECK(entry != NULL);
    return entry;
}

static void overwritten(void)
{
    slot_store(f.slot, slot_hash(BYTES("star")), BYTES("star"), BYTES("Bright"), LATER, 0);
}

static void replaced(void)
{
    slot_store(f.slot, slot_hash(BYTES("star")), BYTES("star"), BYTES("of another length"), ENTRY_KEEPS_FOREVER, 0);
}

static void put_anew(void)
{
    struct entry *entry = entry_new(BYTES("star"), BYTES("new"), ENTRY_KEEPS_FOREVER);

    slot_put(f.slot, &entry);
}

static void put_aged(void)
{
    struct entry *entry = entry_new(BYTES("star"), BYTES("aged"), ENTRY_KEEPS_FOREVER);

    slot_put_aged(f.slot, &entry);
}

static void removed(void)
{
    CHECK(slot_remove(f.slot, BYTES("star"), NOW));
}

static void taken(void)
{
    struct entry *entry = slot_take(f.slot, BYTES("star"), NOW);

    CHECK(entry != NULL);
    entry_free(&entry);
}

static void given_a_deadline(void)
{
    slot_set_expiry(f.slot, star(), NOW + 1);
}

static void given_no_deadline(void)
{
    slot_set_expiry(f.slot, star(), ENTRY_KEEPS_FOREVER);
}

static void appended_to(void)
{
    struct entry *entry = slot_resize_value(f.slot, star(), 7);

    entry_value_mutable(entry)[6] = '!';
    slot_changed(f.slot, entry);
}

static void changed_in_place(void)
{
    entry_value_mutable(star())[0] = 'f';
    slot_changed(f.slot, star());
}

static void given_attributes(void)
{
    slot_set_attributes(f.slot, star(), &(struct entry_attributes){ .birth_s = 1, .fresh_ms = 1 });
}

static void signalled(void)
{
    slot_signal(f.slot, BYTES("star"));
}

static void flushed(void)
{
    slot_flush(f.slot);
}

static void detached(void)
{
    struct graveyard *graveyard = graveyard_new(1);

    slot_detach_all(f.slot, graveyard);
    graveyard_free(&graveyard);
}

static void expired_on_the_way(void)
{
    CHECK(slot_find(f.slot, BYTES("star"), LATER) == NULL);
}

static void expired_by_the_cycle(void)
{
    struct entry *due[SLOT_TAKE_MAX];

    size_t count = 0;

    /* The first looks may be in vain. */
    for (int i = 0; count == 0 && i < 10; i++) count = slot_take_due(f.slot, LATER + 1000, due);
    CHECK(count == 1);
    entry_free(&due[0]);
}

static struct slot_candidate candidate;

static uint16_t judge(void *context, const struct slot_candidate *shown)
{
    (void)context;
    candidate = *shown;
    return shown->usage;
}

static void evicted(void)
{
    struct entry *entry;
    uint64_t hash;
    size_t seen = 0;

    slot_judge(f.slot, 0, 1, &seen, judge, NULL);
    entry = slot_evict(f.slot, &candidate, false, NOW, &hash);
    CHECK(entry != NULL);
    entry_free(&entry);
}

static void limit(void *context, enum backstop_cause cause, struct bytes key, int64_t former_ms,
                  struct backstop_life *life)
{
    (void)context, (void)cause, (void)key, (void)former_ms;
    life->expires_at_ms = NOW + 5;
}

static void limited(void)
{
    struct backstop *backstop = keyspace_backstop(f.keyspace);

    backstop->limit = limit;
    atomic_store(&backstop->on, true);
    CHECK(slot_limit_lives(f.slot, 0, NOW) == 0);
    CHECK(entry_expires_at_ms(star()) == NOW + 5);
}

static struct slot_mark mark;

static void marked(void)
{
    mark = (struct slot_mark){ .hash = slot_hash(BYTES("star")), .key = BYTES("star") };
    slot_mark(f.slot, &mark);
}

TEST(whatever_happens_to_a_key_withdraws_its_value)
{
    static void (*const ways[])(void) = { overwritten,
                                          replaced,
                                          put_anew,
                                          put_aged,
                                          removed,
                                          taken,
                                          flushed,
                                          given_a_deadline,
                                          given_no_deadline,
                                          detached,
                                          evicted,
                                          appended_to,
                                          changed_in_place,
                                          signalled,
                                          limited,
                                          given_attributes,
                                          expired_on_the_way,
                                          marked,
                                          expired_by_the_cycle };

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        begin_published(LATER);
        slot_lock(f.slot);
        ways[i]();
        /* Before the unlock: nobody who was told of it can have come earlier. */
        CHECK(!is_given("bright"));
        CHECK(hot_reads_counts(f.reads).withdrawn == 1);
        slot_unlock(f.slot);
        end();
    }
}

TEST(what_happens_to_others_withdraws_nothing)
{
    begin_published(LATER);
    set_in(f.slot, BYTES("moon"), BYTES("pale"), NOW + 1);
    slot_lock(f.slot);
    CHECK(slot_remove(f.slot, BYTES("moon"), NOW));
    mark = (struct slot_mark){ .hash = slot_hash(BYTES("moon")), .key = BYTES("moon") };
    slot_mark(f.slot, &mark);
    slot_unmark(f.slot, &mark);
    slot_set_usage(f.slot, BYTES("star"), NOW, 1);
    slot_unlock(f.slot);
    set_in(keyspace_slot(f.keyspace, SLOT + 1), BYTES("star"), BYTES("elsewhere"), ENTRY_KEEPS_FOREVER);
    CHECK(is_given("bright"));
    end();
}

TEST(a_value_that_moves_is_the_same)
{
    struct slot_moves moves = { 0 };

    begin_published(LATER);
    slot_lock(f.slot);
    for (uint32_t cursor = 0; (cursor = slot_defrag(f.slot, cursor, &moves)) != 0;) continue;
    slot_unlock(f.slot);
    CHECK(is_given("bright"));
    end();
}

/* --- Until when --- */

TEST(a_value_is_given_before_its_deadline_and_not_at_it)
{
    begin_published(NOW + 5);
    CHECK(is_given_as(f.slot, BYTES("star"), "bright", NOW + 4, false));
    CHECK(!is_given_as(f.slot, BYTES("star"), "bright", NOW + 5, false));
    end();
}

TEST(a_value_is_given_under_one_owner_word_only)
{
    uint64_t word;

    begin_published(ENTRY_KEEPS_FOREVER);
    word = slot_owner(f.slot);
    slot_set_owner(f.slot, word + ((uint64_t)1 << 48)); /* away and back again, its number says, and not dropped yet */
    CHECK(!is_given("bright"));
    get_in(f.slot, BYTES("star"), NOW);
    CHECK(is_given("bright"));
    end();
}

TEST(a_value_is_given_under_the_rules_it_was_published_under_only)
{
    begin_published(ENTRY_KEEPS_FOREVER);
    f.rules = 1;
    CHECK(!is_given("bright"));
    get_in(f.slot, BYTES("star"), NOW);
    CHECK(is_given("bright"));
    f.rules = 0;
    CHECK(!is_given("bright"));
    end();
}

TEST(now_and_then_a_reader_takes_the_lock_unless_it_leaves_no_trace)
{
    begin_published(ENTRY_KEEPS_FOREVER);
    CHECK(is_given_as(f.slot, BYTES("star"), "bright", NOW + HOT_READ_LOOK_MS - 1, true));
    CHECK(!is_given_as(f.slot, BYTES("star"), "bright", NOW + HOT_READ_LOOK_MS, true));
    CHECK(is_given_as(f.slot, BYTES("star"), "bright", NOW + HOT_READ_LOOK_MS, false));
    get_in(f.slot, BYTES("star"), NOW + HOT_READ_LOOK_MS);
    CHECK(is_given_as(f.slot, BYTES("star"), "bright", NOW + HOT_READ_LOOK_MS, true));
    CHECK(hot_reads_counts(f.reads).published == 1);
    end();
}

/* --- Who is published, and for how long --- */

TEST(only_hot_keys_are_known_and_only_while_they_are_hot)
{
    begin();
    set_in(f.slot, BYTES("star"), BYTES("bright"), ENTRY_KEEPS_FOREVER);
    get_often(f.slot, BYTES("star"), NOW);
    CHECK(!is_given("bright") && hot_reads_counts(f.reads).keys == 0);
    heat_in(SLOT, BYTES("star"));
    get_often(f.slot, BYTES("star"), NOW);
    CHECK(is_given("bright") && hot_reads_counts(f.reads).keys == 1);
    hot_reads_tidy(f.reads);
    CHECK(is_given("bright"));
    cool_all();
    hot_reads_tidy(f.reads);
    CHECK(!is_given("bright") && hot_reads_counts(f.reads).keys == 0);
    /* Nothing is left hanging on the slot. */
    set_in(f.slot, BYTES("star"), BYTES("dim"), ENTRY_KEEPS_FOREVER);
    heat_in(SLOT, BYTES("star"));
    get_often(f.slot, BYTES("star"), NOW);
    CHECK(is_given("dim"));
    end();
}

TEST(what_is_large_is_not_published)
{
    static char large[HOT_READ_VALUE_BYTES_MAX + 2];

    begin();
    memset(large, 'x', sizeof large);
    large[HOT_READ_VALUE_BYTES_MAX + 1] = '\0';
    set_in(f.slot, BYTES("star"), bytes_of(large), ENTRY_KEEPS_FOREVER);
    heat_in(SLOT, BYTES("star"));
    get_often(f.slot, BYTES("star"), NOW);
    CHECK(!is_given(large));
    large[HOT_READ_VALUE_BYTES_MAX] = '\0';
    set_in(f.slot, BYTES("star"), bytes_of(large), ENTRY_KEEPS_FOREVER);
    get_often(f.slot, BYTES("star"), NOW);
    CHECK(is_given(large));
    large[HOT_READ_KEY_BYTES_MAX + 1] = '\0';
    set_in(f.slot, bytes_of(large), BYTES("v"), ENTRY_KEEPS_FOREVER);
    heat_in(SLOT, bytes_of(large));
    get_often(f.slot, bytes_of(large), NOW);
    CHECK(!is_given_as(f.slot, bytes_of(large), "v", NOW, true));
    end();
}

static struct bytes numbered(char text[24], unsigned number)
{
    return (struct bytes){ text, (size_t)snprintf(text, 24, "key:%u", number) };
}

static unsigned given_of(unsigned keys, unsigned slots)
{
    unsigned count = 0;
    char text[24];

    for (unsigned i = 0; i < keys; i++)
        count += is_given_as(keyspace_slot(f.keyspace, (uint16_t)(i % slots)), numbered(text, i), text, NOW, true);
    return count;
}

static void publish_many(unsigned keys, unsigned slots)
{
    char text[24];

    for (unsigned i = 0; i < keys; i++) {
        struct bytes key = numbered(text, i);
        uint16_t slot = (uint16_t)(i % slots);

        set_in(keyspace_slot(f.keyspace, slot), key, key, ENTRY_KEEPS_FOREVER);
        heat_in(slot, key);
        get_often(keyspace_slot(f.keyspace, slot), key, NOW);
    }
}

TEST(several_keys_of_a_slot_are_published_and_each_is_told_from_the_others)
{
    char text[24];

    begin();
    publish_many(HOT_READS_A_SLOT + 3, 1);
    CHECK(given_of(HOT_READS_A_SLOT + 3, 1) == HOT_READS_A_SLOT);
    set_in(keyspace_slot(f.keyspace, 0), numbered(text, 1), BYTES("other"), ENTRY_KEEPS_FOREVER);
    CHECK(given_of(HOT_READS_A_SLOT, 1) == HOT_READS_A_SLOT - 1);
    /* Nor is one given for another of the same hash. */
    CHECK(!hot_read(f.reads, 0,
                    &(struct hot_question){ .slot = keyspace_slot(f.keyspace, 0),
                                            .hash = slot_hash(BYTES("key:0")),
                                            .key = BYTES("key:9"),
                                            .now_ms = NOW },
                    &(struct bytes){ NULL, 0 }));
    end();
}

TEST(no_more_keys_are_known_than_can_be_hot_and_all_of_them_go)
{
    begin();
    publish_many(HOTKEYS_MAX, HOTKEYS_MAX / 2);
    CHECK(given_of(HOTKEYS_MAX, HOTKEYS_MAX / 2) == HOTKEYS_MAX);
    CHECK(hot_reads_counts(f.reads).keys == HOTKEYS_MAX);
    /* Those who were hot before hold their places until somebody tidies. */
    cool_all();
    set_in(f.slot, BYTES("star"), BYTES("bright"), ENTRY_KEEPS_FOREVER);
    heat_in(SLOT, BYTES("star"));
    get_often(f.slot, BYTES("star"), NOW);
    CHECK(!is_given("bright"));
    hot_reads_tidy(f.reads);
    CHECK(hot_reads_counts(f.reads).keys == 0 && given_of(HOTKEYS_MAX, HOTKEYS_MAX / 2) == 0);
    get_often(f.slot, BYTES("star"), NOW);
    CHECK(is_given("bright"));
    end();
}

TEST(what_is_switched_off_is_not_given_and_goes)
{
    begin_published(ENTRY_KEEPS_FOREVER);
    hot_reads_set(f.reads, false);
    CHECK(!is_given("bright"));
    hot_reads_tidy(f.reads);
    CHECK(hot_reads_counts(f.reads).keys == 0);
    get_often(f.slot, BYTES("star"), NOW);
    CHECK(hot_reads_counts(f.reads).keys == 0);
    hot_reads_set(f.reads, true);
    get_often(f.slot, BYTES("star"), NOW);
    CHECK(is_given("bright"));
    end();
}

/* --- What is counted --- */

TEST(hits_without_the_lock_are_the_slots_once)
{
    uint64_t hits;

    begin_published(ENTRY_KEEPS_FOREVER);
    hits = slot_counts(f.slot).hits;
    CHECK(hits == HOT_READS_BEFORE);
    hot_reads_tidy(f.reads); /* that of begin_published() */
    for (int i = 0; i < 100; i++) CHECK(is_given("bright"));
    hot_reads_tidy(f.reads);
    CHECK(slot_counts(f.slot).hits == hits + 101);
    hot_reads_tidy(f.reads);
    CHECK(slot_counts(f.slot).hits == hits + 101);
    /* Also those of a key that goes. */
    CHECK(is_given("bright"));
    cool_all();
    hot_reads_tidy(f.reads);
    CHECK(slot_counts(f.slot).hits == hits + 102);
    end();
}

static uint64_t hits_of(struct bytes key)
{
    uint64_t hits;

    slot_lock(f.slot);
    hits = hot_reads_hits(f.reads, f.slot, slot_hash(key));
    slot_unlock(f.slot);
    return hits;
}

TEST(hits_of_a_key_are_told_as_long_as_it_is_hot)
{
    begin_published(ENTRY_KEEPS_FOREVER);
    CHECK(hits_of(BYTES("star")) == 1);
    for (int i = 0; i < 100; i++) CHECK(is_given("bright"));
    CHECK(hits_of(BYTES("star")) == 101 && hits_of(BYTES("moon")) == 0);
    cool_all();
    hot_reads_tidy(f.reads);
    CHECK(hits_of(BYTES("star")) == 0);
    end();
}

TESTS(a_hot_key_is_published_when_it_was_read_often_since_it_was_changed,
      an_empty_value_and_an_empty_key_are_values_and_keys, whatever_happens_to_a_key_withdraws_its_value,
      what_happens_to_others_withdraws_nothing, a_value_that_moves_is_the_same,
      a_value_is_given_before_its_deadline_and_not_at_it, a_value_is_given_under_one_owner_word_only,
      a_value_is_given_under_the_rules_it_was_published_under_only,
      now_and_then_a_reader_takes_the_lock_unless_it_leaves_no_trace,
      only_hot_keys_are_known_and_only_while_they_are_hot, what_is_large_is_not_published,
      several_keys_of_a_slot_are_published_and_each_is_told_from_the_others,
      no_more_keys_are_known_than_can_be_hot_and_all_of_them_go, what_is_switched_off_is_not_given_and_goes,
      hits_without_the_lock_are_the_slots_once, hits_of_a_key_are_told_as_long_as_it_is_hot)
