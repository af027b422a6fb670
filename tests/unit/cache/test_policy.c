/* The longest prefix tells each field by itself; a table is read while it is replaced; what comes as text is believed only where it holds. */
#include "base/alloc.h"
#include "base/random.h"
#include "cache/policy.h"
#include "store/keyspace.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static char reason[POLICY_ERROR_BYTES];

static bool set(struct policies *policies, const char *prefix, enum policy_field field, int64_t value)
{
    struct policy_setting setting = { field, value };

    return policies_set(policies, bytes_of(prefix), &setting, 1, reason);
}

static const struct policy_fields *find(const struct policies *policies, const char *key)
{
    return policies_find(policies, bytes_of(key));
}

TEST(without_policies_no_key_has_one)
{
    struct policies *policies = policies_new();

    CHECK(find(policies, "") == NULL && find(policies, "user:1") == NULL);
    CHECK(policies_count(policies) == 0 && !policies_walk_is_due(policies));
    policies_free(&policies);
    CHECK(policies == NULL);
}

TEST(a_change_of_the_table_can_be_told_without_a_lock)
{
    struct policies *policies = policies_new();
    uint64_t before = policies_changes(policies);

    CHECK(set(policies, "user:", POLICY_FIELD_GUARD, 1));
    CHECK(policies_changes(policies) != before);
    before = policies_changes(policies);
    CHECK(find(policies, "user:1") != NULL && policies_changes(policies) == before);
    CHECK(policies_delete(policies, bytes_of("user:")));
    CHECK(policies_changes(policies) != before);
    policies_free(&policies);
}

/* What is asked first. */
TEST(it_is_known_which_fields_any_policy_sets)
{
    struct policies *policies = policies_new();
    uint32_t ttl = 1u << POLICY_FIELD_TTL, guard = 1u << POLICY_FIELD_GUARD, all = (1u << POLICY_FIELD_COUNT) - 1;

    CHECK(!policies_set_any(policies, all));
    CHECK(set(policies, "user:", POLICY_FIELD_TTL, 1));
    CHECK(policies_set_any(policies, ttl) && !policies_set_any(policies, all & ~ttl));
    CHECK(set(policies, "user:", POLICY_FIELD_GUARD, 1) && set(policies, "other:", POLICY_FIELD_GUARD, 0));
    CHECK(policies_set_any(policies, ttl) && policies_set_any(policies, guard | 1u << POLICY_FIELD_SALT));
    CHECK(policies_delete(policies, BYTES("user:")));
    CHECK(!policies_set_any(policies, ttl) && policies_set_any(policies, guard));
    CHECK(policies_delete(policies, BYTES("other:")) && !policies_set_any(policies, all));
    policies_free(&policies);
}

TEST(what_follows_from_the_fields_is_known_beforehand)
{
    struct policy_fields fields = { .salt = 4, .guard = true };

    policy_fields_conclude(&fields);
    CHECK(!fields.limits && !fields.needs_birth && fields.born_ms == 0 && fields.born_less_ms == 0);
    fields.refresh_percent = 80;
    policy_fields_conclude(&fields);
    CHECK(fields.limits && fields.needs_birth && fields.born_ms == 0);
    fields = (struct policy_fields){ .jitter_percent = 10 };
    policy_fields_conclude(&fields);
    CHECK(fields.limits && !fields.needs_birth && fields.born_ms == 0 && fields.born_less_ms == 0);
    fields = (struct policy_fields){ .ttl_ms = 7777, .jitter_percent = 10 };
    policy_fields_conclude(&fields);
    CHECK(fields.limits && !fields.needs_birth && fields.born_ms == 7777 && fields.born_less_ms == 777);
    fields.max_ttl_ms = 9000;
    policy_fields_conclude(&fields);
    CHECK(fields.needs_birth && fields.born_ms == 7777);
    fields.max_ttl_ms = 5000;
    policy_fields_conclude(&fields);
    CHECK(fields.born_ms == 5000 && fields.born_less_ms == 500);
    fields.ttl_ms = 0;
    policy_fields_conclude(&fields);
    CHECK(fields.born_ms == 5000);
    fields = (struct policy_fields){ .ttl_ms = policy_value_max(POLICY_FIELD_TTL), .jitter_percent = 99 };
    policy_fields_conclude(&fields);
    CHECK(fields.born_less_ms == policy_value_max(POLICY_FIELD_TTL) / 100 * 99);
}

TEST(the_longest_prefix_that_sets_a_field_tells_it)
{
    struct policies *policies = policies_new();
    const struct policy_fields *fields;

    CHECK(set(policies, "", POLICY_FIELD_MAX_TTL, 86400000) && set(policies, "", POLICY_FIELD_JITTER, 10));
    CHECK(set(policies, "user:", POLICY_FIELD_TTL, 3600000) && set(policies, "user:", POLICY_FIELD_GUARD, 1));
    CHECK(set(policies, "user:a", POLICY_FIELD_JITTER, 0) && set(policies, "user:ab", POLICY_FIELD_SALT, 8));
    CHECK(set(policies, "user:ab", POLICY_FIELD_REFRESH, 80) && set(policies, "user:ab", POLICY_FIELD_HOLD, 7));
    CHECK(set(policies, "user:ab", POLICY_FIELD_COALESCE, 100) && set(policies, "video", POLICY_FIELD_TTL, 5));

    fields = find(policies, "user:abc");
    CHECK(fields->ttl_ms == 3600000 && fields->max_ttl_ms == 86400000 && fields->jitter_percent == 0);
    CHECK(fields->guard && fields->salt == 8 && fields->refresh_percent == 80);
    CHECK(fields->coalesce_ms == 100 && fields->hold_ms == 7);
    fields = find(policies, "user:b"); /* behind user:ab in the order, and not of it */
    CHECK(fields->ttl_ms == 3600000 && fields->jitter_percent == 10 && fields->salt == 1);
    CHECK(find(policies, "user:")->guard && !find(policies, "user")->guard && !find(policies, "")->guard);
    CHECK(find(policies, "zebra")->ttl_ms == 0 && find(policies, "zebra")->max_ttl_ms == 86400000);
    CHECK(find(policies, "video:1")->ttl_ms == 5 && find(policies, "a")->jitter_percent == 10);
    policies_free(&policies);
}

TEST(without_a_root_keys_of_no_prefix_have_no_policy)
{
    struct policies *policies = policies_new();

    CHECK(set(policies, "b", POLICY_FIELD_TTL, 1));
    CHECK(find(policies, "") == NULL && find(policies, "a") == NULL && find(policies, "c") == NULL);
    CHECK(find(policies, "b") != NULL && find(policies, "bb") != NULL);
    CHECK(policies_delete(policies, BYTES("b")) && !policies_delete(policies, BYTES("b")));
    CHECK(find(policies, "b") == NULL && policies_count(policies) == 0);
    policies_free(&policies);
}

/* The plain way, as an oracle. */
struct plain {
    char text[1 << 12][12];
    size_t len[1 << 12];
    size_t count;
};

static int64_t plain_ttl(const struct plain *plain, struct bytes key)
{
    size_t best = 0;
    int64_t found = -1;

    for (size_t i = 0; i < plain->count; i++)
        if (plain->len[i] <= key.len && (found < 0 || plain->len[i] >= best) &&
            memcmp(plain->text[i], key.data, plain->len[i]) == 0) {
            best = plain->len[i];
            found = (int64_t)i + 1;
        }
    return found;
}

/* Few letters, so that prefixes lie within each other; a zero and a byte above 127 among them. Around eight bytes, which are compared at once. */
static struct bytes draw(struct random *random, char text[12])
{
    static const char letters[4] = { '\0', 'a', 'b', '\xff' };
    size_t len = random_below(random, 3) == 0 ? 7 + random_below(random, 5) : random_below(random, 12);

    for (size_t i = 0; i < len; i++) text[i] = letters[random_below(random, 4)];
    return (struct bytes){ text, len };
}

TEST(it_finds_what_looking_at_all_of_them_finds)
{
    static struct plain plain;
    struct random *random = random_of_thread();
    struct policies *policies = policies_new();

    for (unsigned round = 0; round < 700; round++) {
        struct bytes prefix = draw(random, plain.text[plain.count]);
        struct policy_setting setting = { POLICY_FIELD_TTL, (int64_t)plain.count + 1 };
        size_t before = policies_count(policies);

        CHECK(policies_set(policies, prefix, &setting, 1, reason));
        if (policies_count(policies) == before) { /* it was there: the later value holds */
            for (size_t i = 0; i < plain.count; i++)
                if (plain.len[i] == prefix.len && memcmp(plain.text[i], prefix.data, prefix.len) == 0)
                    setting.value = (int64_t)i + 1;
            CHECK(policies_set(policies, prefix, &setting, 1, reason));
        } else {
            plain.len[plain.count++] = prefix.len;
        }
        for (unsigned i = 0; i < 50; i++) {
            char text[12];
            struct bytes key = draw(random, text);
            const struct policy_fields *fields = policies_find(policies, key);

            CHECK(plain_ttl(&plain, key) == (fields == NULL ? -1 : fields->ttl_ms));
        }
    }
    CHECK(plain.count > 300);
    policies_free(&policies);
}

/* One prefix of a first byte is compared without a search. */
TEST(a_prefix_that_is_alone_with_its_first_byte_is_found_by_that)
{
    static const char *const prefixes[] = { "a", "bcdefg:", "ccdefgh:", "dcdefghi:", "ecdefghij:and much longer" };
    struct policies *policies = policies_new();

    for (unsigned with_root = 0; with_root < 2; with_root++) {
        if (with_root == 1) CHECK(set(policies, "", POLICY_FIELD_TTL, 9));
        for (unsigned i = 0; i < 5; i++) {
            char text[64];
            size_t len = strlen(prefixes[i]);

            CHECK(set(policies, prefixes[i], POLICY_FIELD_TTL, 10 + i));
            for (size_t cut = 0; cut < len + 20; cut++) {
                struct bytes key = { text, cut };
                const struct policy_fields *fields;

                memset(text, '\0', sizeof(text));
                memcpy(text, prefixes[i], len);
                fields = policies_find(policies, key);
                CHECK(cut >= len ? fields->ttl_ms == 10 + i : with_root == 1 ? fields->ttl_ms == 9 : fields == NULL);
                if (cut == 0 || cut > len) continue;
                text[cut - 1]++; /* it differs in the last byte that counts */
                fields = policies_find(policies, (struct bytes){ text, len + 9 });
                CHECK(with_root == 1 ? fields->ttl_ms == 9 : fields == NULL);
            }
            CHECK(policies_delete(policies, bytes_of(prefixes[i])));
        }
    }
    policies_free(&policies);
}

TEST(words_are_read_and_bounded)
{
    static const struct {
        const char *field, *least, *below, *most, *above;
    } bounds[] = {
        { "ttl", "0", "-1", "3153600000", "3153600001" },
        { "max-ttl", "0", "-1", "3153600000", "3153600001" },
        { "jitter", "0", "-1", "99", "100" },
        { "refresh", "0", "-1", "99", "100" },
        { "coalesce", "0", "-1", "60000", "60001" },
        { "hold", "0", "-1", "3600000", "3600001" },
        { "salt", "1", "0", "256", "257" },
    };
    enum policy_field field = POLICY_FIELD_TTL;
    int64_t value;

    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        CHECK(policy_field_of(bytes_of(bounds[i].field), &field));
        CHECK(strcmp(policy_field_name(field), bounds[i].field) == 0);
        CHECK(policy_value_of(field, bytes_of(bounds[i].least), &value, reason));
        CHECK(policy_value_of(field, bytes_of(bounds[i].most), &value, reason) && value == policy_value_max(field));
        CHECK(!policy_value_of(field, bytes_of(bounds[i].below), &value, reason));
        CHECK(!policy_value_of(field, bytes_of(bounds[i].above), &value, reason));
        CHECK(!policy_value_of(field, BYTES("yes"), &value, reason) &&
              !policy_value_of(field, BYTES(""), &value, reason));
        CHECK(!policy_value_of(field, BYTES("9223372036854775808"), &value, reason));
        CHECK(strncmp(reason, bounds[i].field, strlen(bounds[i].field)) == 0);
    }
    CHECK(policy_field_of(BYTES("TTL"), &field) && policy_value_of(field, BYTES("2"), &value, reason) && value == 2000);
    CHECK(policy_field_of(BYTES("guard"), &field) && policy_value_of(field, BYTES("YES"), &value, reason) &&
          value == 1);
    CHECK(policy_value_of(field, BYTES("no"), &value, reason) && value == 0);
    CHECK(!policy_value_of(field, BYTES("1"), &value, reason));
    CHECK(!policy_field_of(BYTES("tt"), &field) && !policy_field_of(BYTES("ttll"), &field));
    CHECK(policy_value_shown(POLICY_FIELD_TTL, 1) == 1 && policy_value_shown(POLICY_FIELD_TTL, 2000) == 2);
}

TEST(prefixes_and_policies_are_bounded)
{
    struct policies *policies = policies_new();
    char prefix[POLICY_PREFIX_BYTES_MAX + 2];

    memset(prefix, 'p', sizeof(prefix));
    prefix[POLICY_PREFIX_BYTES_MAX + 1] = '\0';
    CHECK(!set(policies, prefix, POLICY_FIELD_TTL, 1) && strstr(reason, "longer than 256 bytes") != NULL);
    prefix[POLICY_PREFIX_BYTES_MAX] = '\0';
    CHECK(set(policies, prefix, POLICY_FIELD_TTL, 1));
    for (unsigned i = 1; i < POLICIES_MAX; i++) {
        snprintf(prefix, sizeof(prefix), "%u", i);
        CHECK(set(policies, prefix, POLICY_FIELD_TTL, i));
    }
    CHECK(policies_count(policies) == POLICIES_MAX);
    CHECK(!set(policies, "one more", POLICY_FIELD_TTL, 1) && strstr(reason, "1024 policies") != NULL);
    CHECK(set(policies, "77", POLICY_FIELD_TTL, 5) && find(policies, "77")->ttl_ms == 5);
    CHECK(policies_delete(policies, BYTES("78")) && set(policies, "one more", POLICY_FIELD_TTL, 1));
    policies_free(&policies);
}

static size_t take(struct policies *policies, const char *prefix, const char *text)
{
    struct policy_text one = { .prefix = bytes_of(prefix), .is_gone = text == NULL };

    if (text != NULL) one.text = bytes_of(text);
    return policies_take(policies, &one, 1, reason);
}

static bool reads(struct policies *policies, const char *prefix, const char *text)
{
    struct buf out = { 0 };
    bool is = policies_text(policies, bytes_of(prefix), &out) && bytes_equal(buf_bytes(&out), bytes_of(text));

    buf_free(&out);
    return is;
}

TEST(a_policy_goes_to_another_node_as_text)
{
    struct policies *here = policies_new(), *there = policies_new();
    struct buf text = { 0 };

    CHECK(set(here, "", POLICY_FIELD_MAX_TTL, 1500) && set(here, "user:", POLICY_FIELD_GUARD, 1));
    CHECK(set(here, "user:", POLICY_FIELD_SALT, 4) && reads(here, "user:", "guard 1 salt 4"));
    CHECK(reads(here, "", "max-ttl 1500") && !policies_text(here, BYTES("user"), &text) && text.len == 0);
    CHECK(take(there, "user:", "guard 1 salt 4") == 0 && take(there, "", "max-ttl 1500") == 0);
    CHECK(find(there, "user:1")->salt == 4 && find(there, "user:1")->max_ttl_ms == 1500);
    /* All of it: a field that is not in the text is not set any more. */
    CHECK(take(there, "user:", "salt 5") == 0 && reads(there, "user:", "salt 5"));
    CHECK(take(there, "user:", NULL) == 0 && take(there, "user:", NULL) == 0);
    CHECK(!find(there, "user:1")->guard && policies_count(there) == 1);
    policies_free(&here);
    policies_free(&there);
}

TEST(several_are_taken_over_at_once_and_of_one_prefix_the_last)
{
    static const struct {
        const char *prefix, *text;
    } given[] = { { "m", "ttl 1" }, { "c", NULL },    { "z", "ttl 2" }, { "a", "ttl 3" },
                  { "m", NULL },    { "e", "ttl x" }, { "a", "ttl 4" }, { "", "ttl 5" },
                  { "q", NULL },    { "q", "ttl 6" }, { "d", "ttl 7" } };
    struct policy_text texts[sizeof(given) / sizeof(given[0])] = { 0 };
    struct policies *policies = policies_new();

    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        texts[i].prefix = bytes_of(given[i].prefix);
        texts[i].is_gone = given[i].text == NULL;
        if (given[i].text != NULL) texts[i].text = bytes_of(given[i].text);
    }
    for (const char *prefix = "bcdem"; *prefix != '\0'; prefix++)
        CHECK(set(policies, (char[]){ *prefix, '\0' }, POLICY_FIELD_TTL, 100));
    CHECK(policies_take(policies, texts, sizeof(given) / sizeof(given[0]), reason) == 1);
    CHECK(policies_count(policies) == 7);
    CHECK(reads(policies, "", "ttl 5") && reads(policies, "a", "ttl 4") && reads(policies, "b", "ttl 100"));
    CHECK(reads(policies, "d", "ttl 7") && reads(policies, "e", "ttl 100") && reads(policies, "q", "ttl 6"));
    CHECK(reads(policies, "z", "ttl 2") && !reads(policies, "m", "ttl 1") && !reads(policies, "c", "ttl 100"));
    policies_free(&policies);
}

TEST(what_cannot_be_read_changes_nothing)
{
    static const char *const wrong[] = {
        "",    "ttl",     "ttl 1 guard", "ttl -1",  "ttl 3153600000001",    "salt 0",
        "ttl", "guard 2", "other 1",     "\"ttl 1", "ttl \"1\"2",           "ttl 1 2",
        " ",   "guard",   "guard yes",   "1 ttl",   "ttl 9999999999999999", "jitter 100",
    };
    struct policies *policies = policies_new();
    char prefix[POLICY_PREFIX_BYTES_MAX + 2];

    CHECK(set(policies, "a", POLICY_FIELD_TTL, 9));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        reason[0] = '\0';
        CHECK(take(policies, "a", wrong[i]) == 1);
        CHECK(reason[0] != '\0' && reads(policies, "a", "ttl 9") && policies_count(policies) == 1);
    }
    memset(prefix, 'p', sizeof(prefix));
    prefix[POLICY_PREFIX_BYTES_MAX + 1] = '\0';
    CHECK(take(policies, prefix, "ttl 1") == 1 && take(policies, prefix, NULL) == 1);
    prefix[POLICY_PREFIX_BYTES_MAX] = '\0';
    CHECK(take(policies, prefix, "ttl 1") == 0 && policies_count(policies) == 2);
    policies_free(&policies);
}

TEST(of_other_nodes_more_are_taken_than_are_set_here)
{
    static struct policy_text texts[POLICIES_TAKEN_MAX];
    static char prefixes[POLICIES_TAKEN_MAX][8];
    struct policies *policies = policies_new();

    for (unsigned i = 0; i < POLICIES_TAKEN_MAX; i++) {
        snprintf(prefixes[i], sizeof(prefixes[i]), "%u", i);
        texts[i] = (struct policy_text){ .prefix = bytes_of(prefixes[i]), .text = BYTES("ttl 7") };
    }
    CHECK(policies_take(policies, texts, POLICIES_TAKEN_MAX, reason) == 0);
    CHECK(policies_count(policies) == POLICIES_TAKEN_MAX && find(policies, "9999")->ttl_ms == 7);
    CHECK(!set(policies, "new", POLICY_FIELD_TTL, 1) && set(policies, "9999", POLICY_FIELD_TTL, 8));
    CHECK(find(policies, "9999")->ttl_ms == 8);
    policies_free(&policies);
}

TEST(a_policy_that_stays_as_it_is_stays_as_far_walked)
{
    struct policies *policies = policies_new();

    CHECK(set(policies, "a", POLICY_FIELD_TTL, 1) && policies_waiting(policies) == 0);
    CHECK(set(policies, "a", POLICY_FIELD_TTL, 1) && take(policies, "a", "ttl 1") == 0);
    CHECK(!policies_delete(policies, BYTES("b")) && take(policies, "b", NULL) == 0);
    CHECK(policies_waiting(policies) == 0); /* the table is still the first */
    CHECK(take(policies, "a", "ttl 2") == 0 && policies_waiting(policies) == 1);
    policies_free(&policies);
}

TEST(a_key_is_told_where_each_field_comes_from)
{
    struct policies *policies = policies_new();
    struct policy_match matches[POLICY_FIELD_COUNT];

    CHECK(set(policies, "", POLICY_FIELD_JITTER, 5) && set(policies, "user:", POLICY_FIELD_TTL, 1000));
    CHECK(set(policies, "user:a", POLICY_FIELD_TTL, 0) && set(policies, "user:a", POLICY_FIELD_GUARD, 1));
    policies_match(policies, BYTES("user:ab"), matches);
    CHECK(matches[POLICY_FIELD_TTL].is_set && matches[POLICY_FIELD_TTL].value == 0);
    CHECK(matches[POLICY_FIELD_TTL].prefix_bytes == 6 && memcmp(matches[POLICY_FIELD_TTL].prefix, "user:a", 6) == 0);
    CHECK(matches[POLICY_FIELD_JITTER].is_set && matches[POLICY_FIELD_JITTER].prefix_bytes == 0);
    CHECK(!matches[POLICY_FIELD_HOLD].is_set && matches[POLICY_FIELD_SALT].value == 1);
    policies_match(policies, BYTES("none"), matches);
    CHECK(!matches[POLICY_FIELD_TTL].is_set && matches[POLICY_FIELD_JITTER].value == 5);
    policies_free(&policies);
}

static void walk(struct policies *policies, unsigned slots)
{
    while (slots-- > 0) policies_count_slot(policies);
}

TEST(a_replaced_table_stays_until_all_slots_were_gone_through)
{
    struct policies *policies = policies_new();

    CHECK(set(policies, "a", POLICY_FIELD_TTL, 1) && policies_waiting(policies) == 0);
    walk(policies, 100);
    CHECK(set(policies, "a", POLICY_FIELD_TTL, 2) && policies_waiting(policies) == 1);
    walk(policies, SLOT_COUNT - 50);
    CHECK(set(policies, "a", POLICY_FIELD_TTL, 3) && policies_waiting(policies) == 2);
    CHECK(policies_walk_is_due(policies));
    walk(policies, 50);
    CHECK(policies_waiting(policies) == 2); /* the slot that was under way does not count */
    walk(policies, SLOT_COUNT - 50);
    CHECK(policies_waiting(policies) == 1 && policies_walk_is_due(policies));
    walk(policies, 1);
    CHECK(policies_waiting(policies) == 0 && !policies_walk_is_due(policies));
    policies_free(&policies);
}

#define READERS 3
static struct keyspace *keyspace;
static struct policies *shared;
static _Atomic bool over;

/* Whichever table it sees is whole: both fields were set together. */
static void *read_on(void *context)
{
    uint64_t seen = 0;

    (void)context;
    do {
        struct slot *slot = keyspace_slot(keyspace, (uint16_t)random_below(random_of_thread(), SLOT_COUNT));

        slot_lock(slot);
        for (unsigned i = 0; i < 100; i++) {
            const struct policy_fields *fields = policies_find(shared, BYTES("user:1"));

            if (fields == NULL) continue;
            CHECK(fields->ttl_ms == fields->max_ttl_ms);
            seen++;
        }
        slot_unlock(slot);
    } while (!atomic_load(&over));
    return (void *)(uintptr_t)(seen > 0);
}

TEST(readers_see_one_table_or_the_other)
{
    pthread_t readers[READERS];
    void *seen;

    keyspace = keyspace_new();
    shared = policies_new();
    for (unsigned i = 0; i < READERS; i++) CHECK(pthread_create(&readers[i], NULL, read_on, NULL) == 0);
    for (int64_t round = 1; round < 400; round++) {
        struct policy_setting settings[] = { { POLICY_FIELD_TTL, round }, { POLICY_FIELD_MAX_TTL, round } };

        CHECK(policies_set(shared, BYTES("user:"), settings, 2, reason));
        if (round % 50 == 0) CHECK(policies_delete(shared, BYTES("user:")));
        if (policies_waiting(shared) > 4) policies_settle(shared, keyspace);
        CHECK(policies_waiting(shared) <= 5);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < READERS; i++) CHECK(pthread_join(readers[i], &seen) == 0 && seen != NULL);
    policies_settle(shared, keyspace);
    CHECK(policies_waiting(shared) == 0);
    policies_free(&shared);
    keyspace_free(&keyspace);
}

/* Of two seconds that begin anywhere in a second: on the average at four fifths, and never wrong by more than a tenth of a second. */
TEST(a_value_is_due_for_refresh_when_so_much_of_its_life_is_over)
{
    struct policy_fields fields = { .refresh_percent = 80 };
    int64_t off_by_ms = 0;

    for (int64_t part = 0; part < 1000; part++) {
        int64_t born_ms = INT64_C(1754000000000) + part, due_ms = born_ms;
        uint32_t birth_s = (uint32_t)(born_ms / 1000);

        while (!policy_is_past_refresh(&fields, birth_s, born_ms + 2000, due_ms)) due_ms++;
        CHECK(due_ms >= born_ms + 1500 && due_ms <= born_ms + 1700);
        off_by_ms += due_ms - (born_ms + 1600);
    }
    CHECK(off_by_ms > -20 * 1000 && off_by_ms < 20 * 1000);
    /* Of an hour, where it does not matter. */
    CHECK(!policy_is_past_refresh(&fields, 1754000000, 1754003600000, 1754002879000));
    CHECK(policy_is_past_refresh(&fields, 1754000000, 1754003600000, 1754002882000));
    /* Nobody knows when. */
    CHECK(!policy_is_past_refresh(&fields, 0, 1754003600000, 1754003599000));
    CHECK(!policy_is_past_refresh(&fields, 1754000000, -1, INT64_MAX)); /* it keeps for ever */
    CHECK(!policy_is_past_refresh(&fields, 1754000000, 1754003600000, 1753999999000));
    fields.refresh_percent = 0;
    CHECK(!policy_is_past_refresh(&fields, 1754000000, 1754003600000, INT64_MAX));
}

TESTS(a_change_of_the_table_can_be_told_without_a_lock, without_policies_no_key_has_one,
      it_is_known_which_fields_any_policy_sets, what_follows_from_the_fields_is_known_beforehand,
      a_prefix_that_is_alone_with_its_first_byte_is_found_by_that, the_longest_prefix_that_sets_a_field_tells_it,
      without_a_root_keys_of_no_prefix_have_no_policy, it_finds_what_looking_at_all_of_them_finds,
      words_are_read_and_bounded, prefixes_and_policies_are_bounded, a_policy_goes_to_another_node_as_text,
      several_are_taken_over_at_once_and_of_one_prefix_the_last, what_cannot_be_read_changes_nothing,
      of_other_nodes_more_are_taken_than_are_set_here, a_policy_that_stays_as_it_is_stays_as_far_walked,
      a_key_is_told_where_each_field_comes_from, a_value_is_due_for_refresh_when_so_much_of_its_life_is_over,
      a_replaced_table_stays_until_all_slots_were_gone_through, readers_see_one_table_or_the_other)
