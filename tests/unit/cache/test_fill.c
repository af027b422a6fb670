/* A fill is kept when nothing has happened to its key since it was asked for, and nothing older than a version that was seen; whoever waits is woken
 * once; tables are bounded, and what finds no room makes nothing stale. */
#include "base/clock.h"
#include "cache/fill.h"
#include "store/keyspace.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#define NOW INT64_C(1754000000000)

struct fixture {
    struct keyspace *keyspace;
    struct fills *fills;
    struct slot *slot;
    struct slot_fills *of;
    uint64_t woken[1024];
    size_t woken_count;
};

static int64_t clock_us;

static int64_t test_clock(clockid_t id)
{
    (void)id;
    return clock_us;
}

static void begin(struct fixture *f)
{
    clock_us = NOW * 1000;
    clock_use(test_clock);
    *f = (struct fixture){ .keyspace = keyspace_new() };
    f->fills = fills_new(f->keyspace);
    f->slot = keyspace_slot(f->keyspace, 7);
    slot_lock(f->slot);
    CHECK(fills_find(f->fills, f->slot) == NULL);
    f->of = fills_of(f->fills, f->slot);
    CHECK(fills_find(f->fills, f->slot) == f->of && fills_are_used(f->fills, 7) && !fills_are_used(f->fills, 8));
}

static void end(struct fixture *f)
{
    slot_unlock(f->slot);
    fills_free(&f->fills);
    keyspace_free(&f->keyspace);
    clock_use(NULL);
}

static void note_woken(void *context, uint64_t who)
{
    struct fixture *f = context;

    f->woken[f->woken_count++] = who;
}

/* How many were woken since the last time. */
static size_t take_woken(struct fixture *f)
{
    f->woken_count = 0;
    CHECK(fills_any_woken(f->fills) || (fills_take_woken(f->fills, note_woken, f), f->woken_count == 0));
    fills_take_woken(f->fills, note_woken, f);
    CHECK(!fills_any_woken(f->fills));
    return f->woken_count;
}

static uint64_t counter(struct fixture *f, enum fill_counter which)
{
    uint64_t sums[FILL_COUNTERS];

    fills_counters(f->fills, sums);
    return sums[which];
}

static void put(struct fixture *f, const char *key, uint64_t version, int64_t expires_at_ms)
{
    struct entry_attributes attributes = { .version = version, .birth_s = 0, .fresh_ms = 0 };
    struct entry *entry =
        entry_new_attributed((struct bytes){ key, strlen(key) }, BYTES("v"), expires_at_ms, &attributes);

    slot_put(f->slot, &entry);
}

static uint64_t hash_of(const char *key)
{
    return slot_hash((struct bytes){ key, strlen(key) });
}

/* Another key of the same stripe, or of another one. */
static const char *neighbour(const char *key, bool same_stripe)
{
    static char text[32];

    for (int i = 0;; i++) {
        snprintf(text, sizeof text, "n%d", i);
        if ((hash_of(text) >> 58 == hash_of(key) >> 58) == same_stripe) return text;
    }
}

TEST(a_token_is_good_until_an_event_of_its_stripe)
{
    struct fixture f;
    struct fill_token token;
    uint64_t hash = hash_of("k");

    begin(&f);
    token = fill_token(f.of);
    CHECK(fill_token_is_good(f.of, hash, token));
    put(&f, neighbour("k", false), 0, ENTRY_KEEPS_FOREVER);
    CHECK(fill_token_is_good(f.of, hash, token));
    put(&f, neighbour("k", true), 0, ENTRY_KEEPS_FOREVER);
    CHECK(!fill_token_is_good(f.of, hash, token));
    token = fill_token(f.of);
    CHECK(!slot_remove(f.slot, BYTES("k"), NOW)); /* a DEL of nothing */
    CHECK(!fill_token_is_good(f.of, hash, token));
    token = fill_token(f.of);
    put(&f, "k", 0, NOW + 5);
    CHECK(!fill_token_is_good(f.of, hash, token));
    token = fill_token(f.of);
    CHECK(slot_find(f.slot, BYTES("k"), NOW + 5) == NULL); /* expired */
    CHECK(!fill_token_is_good(f.of, hash, token));
    token = fill_token(f.of);
    slot_flush(f.slot); /* of an empty slot, or nearly */
    CHECK(!fill_token_is_good(f.of, hash, token));
    token = fill_token(f.of);
    slot_flush(f.slot);
    CHECK(!fill_token_is_good(f.of, hash, token));
    token = fill_token(f.of);
    fill_note_event(f.of, hash, NOW);
    CHECK(!fill_token_is_good(f.of, hash, token));
    token = fill_token(f.of);
    fill_void_all(f.of);
    CHECK(!fill_token_is_good(f.of, hash, token));
    token = fill_token(f.of);
    fill_quiet_begin(f.of);
    put(&f, "k", 0, ENTRY_KEEPS_FOREVER);
    fill_quiet_end(f.of);
    CHECK(fill_token_is_good(f.of, hash, token));
    token.n++; /* nobody was given it */
    CHECK(!fill_token_is_good(f.of, hash, token));
    end(&f);
}

TEST(a_token_is_good_nowhere_but_where_it_was_given_and_while_the_slot_is_ours)
{
    struct fixture f;
    struct fill_token token;
    struct slot *other;

    begin(&f);
    token = fill_token(f.of);
    other = keyspace_slot(f.keyspace, 8);
    slot_lock(other);
    fill_token(fills_of(f.fills, other));
    CHECK(!fill_token_is_good(fills_of(f.fills, other), hash_of("k"), token));
    slot_unlock(other);
    slot_set_owner(f.slot, slot_owner(f.slot) + ((uint64_t)1 << 48)); /* away and back again */
    CHECK(fills_find(f.fills, f.slot) == f.of);
    CHECK(!fill_token_is_good(f.of, hash_of("k"), token));
    CHECK(fill_token_is_good(f.of, hash_of("k"), fill_token(f.of)));
    end(&f);
}

TEST(a_token_is_read_as_it_was_written_and_nothing_else_is)
{
    static const struct fill_token tokens[] = { { 0, 0 }, { 1, UINT64_MAX }, { (UINT64_C(1) << 48) - 1, 10 } };
    static const char *const bad[] = { "",
                                       "-",
                                       "1-",
                                       "-1",
                                       "1",
                                       "01-1",
                                       "1-01",
                                       "+1-1",
                                       "1--1",
                                       "1-1 ",
                                       " 1-1",
                                       "a-1",
                                       "1-1-1",
                                       "281474976710656-1",
                                       "1-18446744073709551616" };
    struct fill_token read;

    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        char text[FILL_TOKEN_TEXT_MAX];
        struct bytes written = { text, fill_token_text(tokens[i], text) };

        CHECK(written.len < FILL_TOKEN_TEXT_MAX);
        CHECK(fill_token_parse(written, &read) && read.gen == tokens[i].gen && read.n == tokens[i].n);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!fill_token_parse((struct bytes){ bad[i], strlen(bad[i]) }, &read));
}

TEST(one_is_elected_and_the_next_when_he_is_gone_late_or_has_failed)
{
    struct fixture f;
    struct fill_token token, second;
    uint64_t hash = hash_of("k");

    begin(&f);
    CHECK(!fill_lease(f.of, hash, 1, 0, NOW, &token)); /* does not want to load */
    CHECK(fill_lease(f.of, hash, 1, 100, NOW, &token));
    CHECK(!fill_lease(f.of, hash, 1, 100, NOW, &second)); /* another request on the same connection */
    CHECK(!fill_lease(f.of, hash, 2, 100, NOW + 99, &second));
    CHECK(fill_loading_until_ms(f.of, hash, NOW) == NOW + 100 && fill_is_loaded_by(f.of, hash, 1, NOW));
    CHECK(fill_lease(f.of, hash, 2, 100, NOW + 100, &second)); /* late */
    CHECK(counter(&f, FILL_LEASES_EXPIRED) == 1 && counter(&f, FILL_LEASES_GRANTED) == 2);
    fill_give_up(f.of, hash, 1, NOW + 101); /* it is his no more */
    CHECK(!fill_lease(f.of, hash, 3, 100, NOW + 101, &token));
    fill_give_up(f.of, hash, 2, NOW + 101);
    CHECK(fill_lease(f.of, hash, 3, 100, NOW + 101, &token));
    put(&f, "other key", 0, ENTRY_KEEPS_FOREVER);
    fill_failed(f.of, hash, (struct fill_token){ token.gen, token.n + 1 }, NOW + 102);
    fill_failed(f.of, hash, (struct fill_token){ token.gen + 1, token.n }, NOW + 102);
    CHECK(!fill_lease(f.of, hash, 4, 100, NOW + 102, &second));
    fill_failed(f.of, hash, token, NOW + 102);
    CHECK(fill_lease(f.of, hash, 4, 100, NOW + 102, &second));
    /* What is being loaded was invalidated: he who comes next need not wait for what will be refused. */
    CHECK(!slot_remove(f.slot, BYTES("k"), NOW + 103));
    CHECK(fill_lease(f.of, hash, 5, 100, NOW + 103, &token));
    CHECK(!fill_token_is_good(f.of, hash, second) && fill_token_is_good(f.of, hash, token));
    put(&f, "k", 0, ENTRY_KEEPS_FOREVER);
    CHECK(fill_loading_until_ms(f.of, hash, NOW + 103) == 0);
    CHECK(take_woken(&f) == 0);
    CHECK(fill_lease(f.of, hash, 6, INT64_MAX, NOW, &token)); /* the end of time is no overflow */
    CHECK(fill_is_loaded_by(f.of, hash, 6, INT64_MAX - 1));
    end(&f);
}

TEST(those_who_wait_are_woken_by_a_value_and_one_of_them_by_an_election)
{
    struct fixture f;
    struct fill_token token;
    uint64_t hash = hash_of("k");

    begin(&f);
    CHECK(fill_lease(f.of, hash, 1, 100, NOW, &token));
    fill_wait(f.of, hash, 2, 0, NOW); /* would not load */
    fill_wait(f.of, hash, 3, 50, NOW);
    fill_wait(f.of, hash, 4, 50, NOW);
    fill_wait(f.of, hash, 5, 50, NOW);
    fill_wait_no_more(f.of, hash, 4);
    fill_give_up(f.of, hash, 1, NOW);
    CHECK(take_woken(&f) == 1 && f.woken[0] == 3);
    CHECK(!fill_lease(f.of, hash, 6, 50, NOW, &token)); /* it is kept for him */
    CHECK(fill_lease(f.of, hash, 3, 50, NOW, &token));
    CHECK(!fill_lease(f.of, hash, 3, 50, NOW, &token)); /* once */
    fill_failed(f.of, hash, token, NOW);
    CHECK(take_woken(&f) == 1 && f.woken[0] == 5);
    fill_failed(f.of, hash, token, NOW); /* it has been passed on */
    CHECK(take_woken(&f) == 0);
    fill_give_up_handed(f.of, hash, 5, NOW); /* he went before he had come for it, and nobody else would load */
    CHECK(take_woken(&f) == 0);
    CHECK(fill_lease(f.of, hash, 7, 50, NOW, &token));
    put(&f, "k", 0, ENTRY_KEEPS_FOREVER);
    CHECK(take_woken(&f) == 1 && f.woken[0] == 2);
    put(&f, "k", 0, ENTRY_KEEPS_FOREVER);
    CHECK(take_woken(&f) == 0);
    /* The last of a list may go, and others come. */
    CHECK(fill_lease(f.of, hash, 1, 50, NOW, &token));
    fill_wait(f.of, hash, 2, 50, NOW);
    fill_wait(f.of, hash, 3, 50, NOW);
    CHECK(!fill_lease(f.of, hash, 4, 50, NOW + 50, &token)); /* late, but others were here before */
    CHECK(take_woken(&f) == 1 && f.woken[0] == 2);
    CHECK(fill_lease(f.of, hash, 2, 50, NOW + 50, &token));
    fill_expire(f.of, hash, NOW + 99);
    CHECK(take_woken(&f) == 0);
    fill_expire(f.of, hash, NOW + 100);
    CHECK(take_woken(&f) == 1 && f.woken[0] == 3);
    fill_wait(f.of, hash, 7, 50, NOW); /* behind nobody: the last one has been elected */
    put(&f, "k", 0, ENTRY_KEEPS_FOREVER);
    CHECK(take_woken(&f) == 1 && f.woken[0] == 7);
    fill_wait(f.of, hash, 8, 50, NOW);
    fill_wait_no_more(f.of, hash, 8);
    fill_wait(f.of, hash, 9, 50, NOW);
    fill_wait(f.of, hash, 10, 50, NOW);
    fill_wait_no_more(f.of, hash, 10);
    fill_wait(f.of, hash, 11, 50, NOW);
    slot_set_owner(f.slot, slot_owner(f.slot) + ((uint64_t)1 << 48));
    fills_find(f.fills, f.slot);
    CHECK(take_woken(&f) == 2 && f.woken[0] == 9 && f.woken[1] == 11);
    end(&f);
}

TEST(leases_are_bounded_and_a_lost_one_wakes_who_waits)
{
    struct fixture f;
    struct fill_token token;

    begin(&f);
    CHECK(fill_lease(f.of, 1, 1, 1000, NOW, &token));
    fill_wait(f.of, 1, 2, 0, NOW);
    for (uint64_t hash = 2; hash <= FILL_LEASES_MAX; hash++) CHECK(fill_lease(f.of, hash, 1, 1000, NOW, &token));
    CHECK(take_woken(&f) == 0);
    CHECK(fill_lease(f.of, 1000, 1, 1000, NOW, &token));
    CHECK(take_woken(&f) == 1 && f.woken[0] == 2);
    CHECK(counter(&f, FILL_LEASES_LOST) == 1);
    CHECK(fill_lease(f.of, 1, 3, 1000, NOW, &token)); /* an extra load, and no more */
    CHECK(fill_held_until_ms(f.of, 1, NOW) == 0);
    end(&f);
}

TEST(leases_of_all_slots_are_bounded_together)
{
    struct fixture f;
    struct fill_token token;
    struct slot *slot;
    uint64_t one;

    begin(&f);
    CHECK(fill_lease(f.of, 1, 1, 1000, NOW, &token));
    one = fills_lease_bytes(f.fills);
    CHECK(one > 0);
    fills_set_lease_bytes_max(f.fills, 10 * one);
    for (uint64_t hash = 2; hash <= 100; hash++) CHECK(fill_lease(f.of, hash, 1, 1000, NOW, &token));
    CHECK(fills_lease_bytes(f.fills) == 10 * one && counter(&f, FILL_LEASES_LOST) == 90);
    slot_unlock(f.slot);
    /* Another slot is granted one all the same, and no more. */
    slot = keyspace_slot(f.keyspace, 8);
    slot_lock(slot);
    for (uint64_t hash = 1; hash <= 2; hash++) CHECK(fill_lease(fills_of(f.fills, slot), hash, 1, 1000, NOW, &token));
    CHECK(fills_lease_bytes(f.fills) == 11 * one);
    slot_unlock(slot);
    slot_lock(f.slot);
    end(&f);
}

/* Or they would stay until their slot is full, and nothing that a client announces has to come. */
TEST(leases_that_are_over_go_when_others_come)
{
    struct fixture f;
    struct fill_token token;
    uint64_t one;

    begin(&f);
    CHECK(fill_lease(f.of, 1, 1, 1000, NOW, &token));
    one = fills_lease_bytes(f.fills);
    for (uint64_t hash = 2; hash <= 20; hash++) CHECK(fill_lease(f.of, hash, 1, 1000, NOW, &token));
    CHECK(fills_lease_bytes(f.fills) == 20 * one);
    for (uint64_t hash = 21; hash <= 30; hash++) CHECK(fill_lease(f.of, hash, 1, 1000, NOW + 999, &token));
    CHECK(fills_lease_bytes(f.fills) == 30 * one);
    for (uint64_t hash = 31; hash <= 40; hash++) CHECK(fill_lease(f.of, hash, 1, 1000, NOW + 1000, &token));
    CHECK(fills_lease_bytes(f.fills) == 20 * one);
    CHECK(counter(&f, FILL_LEASES_EXPIRED) == 20 && counter(&f, FILL_LEASES_LOST) == 0);
    /* One that somebody waits for stays, and so does what may yet be answered. */
    fill_guard_miss(f.of, 51, NOW + 1000);
    for (uint64_t hash = 60; hash <= 100; hash++) CHECK(fill_lease(f.of, hash, 1, 1, NOW + 5000, &token));
    CHECK(fill_guard_answer(f.of, 51, NOW + 6000) == FILL_GOOD);
    fill_wait(f.of, hash_of("k"), 2, 0, NOW + 6000);
    for (uint64_t hash = 101; hash <= 200; hash++) CHECK(fill_lease(f.of, hash, 1, 1, NOW + 7000, &token));
    CHECK(take_woken(&f) == 0);
    put(&f, "k", 0, ENTRY_KEEPS_FOREVER);
    CHECK(take_woken(&f) == 1 && f.woken[0] == 2);
    end(&f);
}

TEST(a_floor_is_there_for_its_time_and_only_rises)
{
    struct fixture f;
    uint64_t hash = hash_of("k");
    struct fill_floor floor;

    begin(&f);
    fills_set_floor_ttl(f.fills, 100);
    CHECK(fill_floor(f.of, hash, NOW).version == 0);
    fill_floor_raise(f.of, hash, (struct fill_floor){ ENTRY_VERSIONED | 5, false }, NOW);
    fill_floor_raise(f.of, hash, (struct fill_floor){ ENTRY_VERSIONED | 3, true }, NOW + 50);
    floor = fill_floor(f.of, hash, NOW + 149);
    CHECK(floor.version == (ENTRY_VERSIONED | 5) && !floor.is_strict);
    CHECK(fill_floor(f.of, hash, NOW + 150).version == 0);
    fill_floor_raise(f.of, hash, (struct fill_floor){ ENTRY_VERSIONED, false }, NOW + 150); /* version 0 is one */
    CHECK(fill_floor(f.of, hash, NOW + 150).version == ENTRY_VERSIONED);
    fill_floor_raise(f.of, hash, (struct fill_floor){ UINT64_MAX, false }, NOW + 150);
    fill_floor_raise(f.of, hash, (struct fill_floor){ UINT64_MAX, true }, NOW + 150);
    floor = fill_floor(f.of, hash, NOW + 150);
    CHECK(floor.version == UINT64_MAX && floor.is_strict);
    fills_set_floor_ttl(f.fills, INT64_MAX);
    fill_floor_raise(f.of, hash, (struct fill_floor){ UINT64_MAX, false }, NOW + 150);
    CHECK(fill_floor(f.of, hash, INT64_MAX / 4).is_strict);
    end(&f);
}

TEST(what_goes_leaves_its_version)
{
    struct fixture f;
    uint64_t hash = hash_of("k");
    struct fill_floor floor;

    begin(&f);
    put(&f, "k", ENTRY_VERSIONED | 1, ENTRY_KEEPS_FOREVER);
    put(&f, "k", ENTRY_VERSIONED | 2, ENTRY_KEEPS_FOREVER);
    CHECK(fill_floor(f.of, hash, NOW).version == 0); /* the value itself knows */
    put(&f, "k", 0, ENTRY_KEEPS_FOREVER);
    floor = fill_floor(f.of, hash, NOW);
    CHECK(floor.version == (ENTRY_VERSIONED | 2) && floor.is_strict);
    put(&f, "k", ENTRY_VERSIONED | 3, NOW + 10);
    CHECK(slot_find(f.slot, BYTES("k"), NOW + 10) == NULL);
    floor = fill_floor(f.of, hash, NOW);
    CHECK(floor.version == (ENTRY_VERSIONED | 3) && !floor.is_strict);
    /* A flush takes too many to remember each. */
    CHECK(fill_held_until_ms(f.of, hash, NOW) == 0);
    slot_flush(f.slot);
    CHECK(fill_held_until_ms(f.of, hash, NOW) == NOW + fills_floor_ttl(f.fills));
    CHECK(fill_held_until_ms(f.of, hash, NOW + fills_floor_ttl(f.fills)) == 0);
    end(&f);
}

static uint64_t spread(uint64_t number)
{
    return slot_hash((struct bytes){ (const char *)&number, sizeof number });
}

TEST(floors_are_bounded_and_one_without_room_is_a_hold)
{
    enum { MANY = 5000 };
    struct fixture f;
    size_t kept = 0;

    begin(&f);
    fills_set_floor_bytes_max(f.fills, 24 * 2048);
    for (uint64_t i = 1; i <= MANY; i++)
        fill_floor_raise(f.of, spread(i), (struct fill_floor){ ENTRY_VERSIONED | i, false }, NOW);
    CHECK(fills_floor_bytes(f.fills) <= 24 * 2048);
    for (uint64_t i = 1; i <= MANY; i++) {
        uint64_t hash = spread(i);
        struct fill_floor floor = fill_floor(f.of, hash, NOW);

        if (floor.version != 0) kept++;
        CHECK(floor.version == 0 || floor.version == (ENTRY_VERSIONED | i));
        CHECK(floor.version != 0 || fill_held_until_ms(f.of, hash, NOW) == NOW + fills_floor_ttl(f.fills));
    }
    CHECK(kept >= 768 && kept + counter(&f, FILL_FLOOR_OVERFLOWS) == MANY);
    /* Those that have run out make room. */
    for (uint64_t i = 1; i <= 700; i++)
        fill_floor_raise(f.of, i, (struct fill_floor){ ENTRY_VERSIONED | i, false }, NOW + fills_floor_ttl(f.fills));
    CHECK(kept + counter(&f, FILL_FLOOR_OVERFLOWS) == MANY);
    CHECK(fill_floor(f.of, 700, NOW + fills_floor_ttl(f.fills)).version == (ENTRY_VERSIONED | 700));
    end(&f);
}

TEST(holds_are_of_a_stripe_or_of_the_slot_and_only_grow)
{
    struct fixture f;

    begin(&f);
    fill_hold(f.of, hash_of("k"), NOW + 50);
    fill_hold(f.of, hash_of("k"), NOW + 20);
    CHECK(fill_held_until_ms(f.of, hash_of("k"), NOW + 49) == NOW + 50);
    CHECK(fill_held_until_ms(f.of, hash_of("k"), NOW + 50) == 0);
    CHECK(fill_held_until_ms(f.of, hash_of(neighbour("k", true)), NOW) == NOW + 50);
    CHECK(fill_held_until_ms(f.of, hash_of(neighbour("k", false)), NOW) == 0);
    fill_hold_all(f.of, NOW + 30);
    CHECK(fill_held_until_ms(f.of, hash_of("k"), NOW) == NOW + 50);
    CHECK(fill_held_until_ms(f.of, hash_of(neighbour("k", false)), NOW) == NOW + 30);
    end(&f);
}

TEST(the_oldest_miss_of_a_guarded_key_governs_until_all_are_answered)
{
    struct fixture f;
    uint64_t hash = hash_of("k");

    begin(&f);
    CHECK(fill_guard_answer(f.of, hash, NOW) == FILL_NO_MISS);
    fill_guard_miss(f.of, hash, NOW);
    CHECK(fill_guard_answer(f.of, hash, NOW) == FILL_GOOD);
    CHECK(fill_guard_answer(f.of, hash, NOW) == FILL_NO_MISS);
    fill_guard_miss(f.of, hash, NOW);
    CHECK(!slot_remove(f.slot, BYTES("k"), NOW));
    fill_guard_miss(f.of, hash, NOW); /* after the write; nobody can tell whose fill comes first */
    CHECK(fill_guard_answer(f.of, hash, NOW) == FILL_STALE);
    CHECK(fill_guard_answer(f.of, hash, NOW) == FILL_STALE);
    CHECK(fill_guard_answer(f.of, hash, NOW) == FILL_NO_MISS);
    fill_guard_miss(f.of, hash, NOW);
    CHECK(!slot_remove(f.slot, BYTES("k"), NOW));
    fill_guard_miss(f.of, hash, NOW + FILL_GUARD_MS); /* by now the former is nobody's */
    CHECK(fill_guard_answer(f.of, hash, NOW + FILL_GUARD_MS) == FILL_GOOD);
    fill_guard_miss(f.of, hash, NOW);
    CHECK(fill_guard_answer(f.of, hash, NOW + FILL_GUARD_MS) == FILL_NO_MISS);
    /* One that nobody ever answers stands for those of its time only, however many come. */
    fill_guard_miss(f.of, hash, NOW);
    CHECK(!slot_remove(f.slot, BYTES("k"), NOW));
    for (int64_t ms = 1; ms < FILL_GUARD_MS; ms += 1000) {
        fill_guard_miss(f.of, hash, NOW + ms);
        CHECK(fill_guard_answer(f.of, hash, NOW + ms) == FILL_STALE);
    }
    for (int64_t ms = FILL_GUARD_MS; ms < 2 * FILL_GUARD_MS; ms += 1000) {
        fill_guard_miss(f.of, hash, NOW + ms);
        fill_guard_answer(f.of, hash, NOW + ms);
    }
    fill_guard_miss(f.of, hash, NOW + 2 * FILL_GUARD_MS);
    CHECK(fill_guard_answer(f.of, hash, NOW + 2 * FILL_GUARD_MS) == FILL_GOOD);
    while (fill_guard_answer(f.of, hash, NOW + 2 * FILL_GUARD_MS) != FILL_NO_MISS) continue;
    /* But it does stand for those: as long as it may be answered, an answer may be its. */
    fill_guard_miss(f.of, hash, NOW);
    fill_guard_miss(f.of, hash, NOW + FILL_GUARD_MS - 1);
    CHECK(!slot_remove(f.slot, BYTES("k"), NOW));
    fill_guard_miss(f.of, hash, NOW + FILL_GUARD_MS);
    CHECK(fill_guard_answer(f.of, hash, NOW + FILL_GUARD_MS + 1) == FILL_STALE);
    CHECK(fill_guard_answer(f.of, hash, NOW + FILL_GUARD_MS + 1) == FILL_STALE);
    CHECK(fill_guard_answer(f.of, hash, NOW + FILL_GUARD_MS + 1) == FILL_GOOD);
    /* What voids all tokens voids these, and forgets none. */
    fill_guard_miss(f.of, hash, NOW);
    fill_void_all(f.of);
    CHECK(fill_guard_answer(f.of, hash, NOW) == FILL_STALE);
    fill_guard_miss(f.of, hash, NOW);
    slot_set_owner(f.slot, slot_owner(f.slot) + ((uint64_t)1 << 48));
    fills_find(f.fills, f.slot);
    CHECK(fill_guard_answer(f.of, hash, NOW) == FILL_STALE);
    end(&f);
}

TEST(where_misses_may_be_unknown_no_plain_fill_is_kept_until_they_do_not_count)
{
    struct fixture f;
    uint64_t hash = hash_of("k");

    begin(&f);
    /* One had to make room. */
    fill_guard_miss(f.of, hash, NOW);
    for (uint64_t other = 1; other <= FILL_LEASES_MAX; other++) fill_guard_miss(f.of, other, NOW + 1);
    CHECK(fill_guard_answer(f.of, hash, NOW + 1) == FILL_STALE);
    fill_guard_miss(f.of, hash, NOW + 2); /* which the one that is lost may be answered in place of */
    CHECK(fill_guard_answer(f.of, hash, NOW + 3) == FILL_STALE);
    CHECK(fill_guard_answer(f.of, hash, NOW + FILL_GUARD_MS + 2) == FILL_NO_MISS);
    end(&f);

    /* The slot was another node's. */
    begin(&f);
    fills_slot_came(f.fills, slot_id(f.slot), NOW);
    CHECK(fill_guard_answer(f.of, hash, NOW) == FILL_STALE);
    fill_guard_miss(f.of, hash, NOW + 1);
    CHECK(fill_guard_answer(f.of, hash, NOW + FILL_GUARD_MS - 1) == FILL_STALE);
    CHECK(fill_guard_answer(f.of, hash, NOW + FILL_GUARD_MS) == FILL_NO_MISS);
    CHECK(fill_held_until_ms(f.of, hash, NOW) == NOW + fills_floor_ttl(f.fills));
    end(&f);
}

TESTS(a_token_is_good_until_an_event_of_its_stripe,
      a_token_is_good_nowhere_but_where_it_was_given_and_while_the_slot_is_ours,
      a_token_is_read_as_it_was_written_and_nothing_else_is,
      one_is_elected_and_the_next_when_he_is_gone_late_or_has_failed,
      those_who_wait_are_woken_by_a_value_and_one_of_them_by_an_election,
      leases_are_bounded_and_a_lost_one_wakes_who_waits, leases_of_all_slots_are_bounded_together,
      leases_that_are_over_go_when_others_come, a_floor_is_there_for_its_time_and_only_rises,
      what_goes_leaves_its_version, floors_are_bounded_and_one_without_room_is_a_hold,
      holds_are_of_a_stripe_or_of_the_slot_and_only_grow,
      the_oldest_miss_of_a_guarded_key_governs_until_all_are_answered,
      where_misses_may_be_unknown_no_plain_fill_is_kept_until_they_do_not_count)
