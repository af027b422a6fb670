/* Names that are given up are aliases for their time; what comes as text is believed only where it holds; each name leads to its key. */
#include "base/random.h"
#include "salt/marks.h"
#include "salt/registry.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

static char error[SALT_ERROR_BYTES];

static struct salt_entry *change(struct salt_registry *registry, const char *base, int64_t now_ms, unsigned count,
                                 const uint16_t *ids)
{
    struct salt_change change = {
        .separator = '~', .ids = ids, .count = count, .now_ms = now_ms, .grace_ms = 1000, .mode = SALT_MODE_NAMES
    };

    return salt_registry_change(registry, bytes_of(base), &change, error);
}

static enum salt_taken take(struct salt_registry *registry, const char *base, const char *text, int64_t now_ms)
{
    struct salt_entry *entry;

    return salt_registry_take(registry, bytes_of(base), bytes_of(text), now_ms, &entry, error);
}

static bool has(const struct salt_registry *registry, const char *name, const char *base)
{
    const struct salt_entry *entry = salt_registry_find_name(registry, bytes_of(name));

    return base == NULL ? entry == NULL : entry != NULL && bytes_equal(entry->base, bytes_of(base));
}

static void count_one(void *context, struct salt_entry *entry)
{
    (void)entry;
    ++*(unsigned *)context;
}

static bool expire(struct salt_registry *registry, int64_t now_ms)
{
    unsigned count = 0;

    return salt_registry_expire(registry, now_ms, count_one, count_one, &count);
}

TEST(names_that_are_given_up_are_aliases_for_their_time)
{
    struct salt_registry *registry = salt_registry_new();
    struct salt_entry *entry = change(registry, "star", 100, 3, (uint16_t[]){ 1, 4, 9 });

    CHECK(entry != NULL && entry->epoch == 100 && entry->count == 3);
    CHECK(has(registry, "star~4", "star") && has(registry, "star~5", NULL) && has(registry, "star", NULL));
    CHECK(has(registry, "stars~4", NULL) && has(registry, "star#4", NULL));
    entry = change(registry, "star", 100, 1, (uint16_t[]){ 4 });
    CHECK(entry->epoch == 101 && entry->count == 1 && entry->retired_count == 2);
    CHECK(has(registry, "star~1", "star") && has(registry, "star~9", "star"));
    /* One that comes back is listed again, and none that is listed is over. */
    entry = change(registry, "star", 500, 2, (uint16_t[]){ 1, 4 });
    CHECK(entry->epoch == 500 && entry->retired_count == 1 && !expire(registry, 1099));
    CHECK(expire(registry, 1100) && has(registry, "star~9", NULL) && has(registry, "star~1", "star"));
    entry = change(registry, "star", 2000, 0, NULL);
    CHECK(entry->count == 0 && entry->retired_count == 2 && has(registry, "star~4", "star"));
    CHECK(expire(registry, 3000) && has(registry, "star~4", NULL) && salt_registry_count(registry) == 1);
    CHECK(!expire(registry, 2000 + SALT_FORGET_MS - 1));
    CHECK(expire(registry, 2000 + SALT_FORGET_MS) && salt_registry_count(registry) == 0);
    salt_registry_free(&registry, NULL, NULL);
}

TEST(names_of_a_key_that_is_to_have_none_at_once_lead_nowhere)
{
    struct salt_registry *registry = salt_registry_new(), *other = salt_registry_new();
    struct salt_change none = { .mode = SALT_MODE_NAMES, .separator = '~', .now_ms = 700, .drops_retired = true };
    struct salt_entry *entry;

    change(registry, "star", 100, 3, (uint16_t[]){ 1, 4, 9 });
    entry = change(registry, "star", 600, 1, (uint16_t[]){ 4 });
    buf_append_byte(&entry->text, '\0');
    CHECK(take(other, "star", entry->text.data, 600) == SALT_TAKEN && has(other, "star~9", "star"));
    CHECK(salt_registry_change(registry, entry->base, &none, error) == entry);
    CHECK(entry->epoch == 700 && entry->count == 0 && entry->retired_count == 0);
    CHECK(has(registry, "star~4", NULL) && has(registry, "star~9", NULL));
    buf_append_byte(&entry->text, '\0');
    CHECK(take(other, "star", entry->text.data, 701) == SALT_TAKEN && has(other, "star~9", NULL));
    salt_registry_free(&registry, NULL, NULL);
    salt_registry_free(&other, NULL, NULL);
}

TEST(there_is_no_room_beyond_the_bounds)
{
    struct salt_registry *registry = salt_registry_new();
    char key[SALT_KEY_BYTES_MAX + 2];
    uint16_t ids[SALT_NAMES_MAX - 1];
    int rounds = 0;

    memset(key, 'k', sizeof(key));
    key[SALT_KEY_BYTES_MAX + 1] = '\0';
    CHECK(change(registry, key, 1, 1, (uint16_t[]){ 1 }) == NULL && strstr(error, "512 bytes") != NULL);
    for (unsigned i = 0; i < SALT_ENTRIES_MAX; i++) {
        snprintf(key, sizeof(key), "key:%u", i);
        CHECK(change(registry, key, 1, 1, (uint16_t[]){ 1 }) != NULL);
    }
    CHECK(change(registry, "one more", 1, 1, (uint16_t[]){ 1 }) == NULL && strstr(error, "1024 keys") != NULL);
    CHECK(take(registry, "another", "names 7 \"~\" 0 0 1", 1) == SALT_FULL);
    CHECK(take(registry, "key:7", "names 70 \"~\" 0 0 2", 1) == SALT_TAKEN &&
          salt_registry_count(registry) == SALT_ENTRIES_MAX);
    /* Names that change all the time are too many at some point. */
    for (unsigned k = 0; change(registry, "key:1", 2, SALT_NAMES_MAX - 1, ids) != NULL || k == 0; k++) {
        for (unsigned i = 0; i < SALT_NAMES_MAX - 1; i++) ids[i] = (uint16_t)(1 + k * 100 + i);
        CHECK(rounds++ < 10);
    }
    CHECK(strstr(error, "salt-grace") != NULL);
    CHECK(change(registry, "key:1", 2000, SALT_NAMES_MAX - 1, ids) != NULL);
    salt_registry_free(&registry, NULL, NULL);
}

TEST(what_another_node_says_holds_until_it_is_over)
{
    struct salt_registry *one = salt_registry_new(), *other = salt_registry_new();
    struct salt_entry *entry = change(one, "star", 100, 2, (uint16_t[]){ 1, 2 }), *taken;
    unsigned forgotten = 0;

    CHECK(salt_registry_take(other, BYTES("star"), buf_bytes(&entry->text), 100, &taken, error) == SALT_TAKEN);
    CHECK(has(other, "star~2", "star") && taken->epoch == 100);
    CHECK(salt_registry_take(other, BYTES("star"), buf_bytes(&entry->text), 100, &taken, error) == SALT_NOTHING);
    entry = change(one, "star", 50, 0, NULL); /* by a clock that has gone back */
    CHECK(entry->epoch == 101);
    CHECK(salt_registry_take(other, BYTES("star"), buf_bytes(&entry->text), 100, &taken, error) == SALT_TAKEN);
    CHECK(taken->count == 0 && taken->retired_count == 2 && has(other, "star~2", "star"));
    /* What is over is not taken up again. */
    CHECK(expire(other, 100000) && salt_registry_count(other) == 0);
    CHECK(salt_registry_take(other, BYTES("star"), buf_bytes(&entry->text), 100000, &taken, error) == SALT_NOTHING);
    CHECK(salt_registry_count(other) == 0);
    salt_registry_forget(one, BYTES("stars"), count_one, &forgotten);
    CHECK(forgotten == 0);
    salt_registry_forget(one, BYTES("star"), count_one, &forgotten);
    CHECK(forgotten == 1 && salt_registry_count(one) == 0);
    salt_registry_free(&one, NULL, NULL);
    salt_registry_free(&other, NULL, NULL);
}

TEST(a_text_is_read_as_it_was_written)
{
    struct salt_registry *one = salt_registry_new(), *other = salt_registry_new();
    static const char odd[] = "a \"b\"\n\0{c}~";
    struct bytes base = { odd, sizeof(odd) - 1 };
    struct salt_change wanted = { .mode = SALT_MODE_SUM,
                                  .separator = '"',
                                  .automatic = true,
                                  .ids = (uint16_t[]){ 2, 65535 },
                                  .count = 2,
                                  .now_ms = 100,
                                  .grace_ms = 1000 };
    struct salt_entry *written, *read;

    CHECK(salt_registry_change(one, base, &wanted, error) != NULL);
    wanted.count = 1;
    written = salt_registry_change(one, base, &wanted, error);
    CHECK(salt_registry_take(other, base, buf_bytes(&written->text), 100, &read, error) == SALT_TAKEN);
    CHECK(bytes_equal(read->base, base) && read->mode == SALT_MODE_SUM && read->separator == '"' && read->automatic);
    CHECK(read->epoch == written->epoch && read->count == 1 && read->ids[0] == 2);
    CHECK(read->retired_count == 1 && read->retired[0].id == 65535 && read->retired[0].until_ms == 1100);
    CHECK(written->text.len <= SALT_TEXT_BYTES_MAX);
    salt_registry_free(&one, NULL, NULL);
    salt_registry_free(&other, NULL, NULL);
}

TEST(only_names_that_there_are_can_be_spread)
{
    struct salt_registry *registry = salt_registry_new();
    const uint16_t ids[] = { 1, 4 };
    struct salt_change change = { .separator = '~', .ids = ids, .count = 2, .now_ms = 100, .spread = true };
    struct salt_entry *entry = salt_registry_change(registry, BYTES("star"), &change, error);

    CHECK(entry->spread && entry->mode == SALT_MODE_NAMES);
    CHECK(strncmp(entry->text.data, "spread 100 ", 11) == 0);
    change.mode = SALT_MODE_SUM;
    CHECK(!salt_registry_change(registry, BYTES("star"), &change, error)->spread);
    change.mode = SALT_MODE_NAMES;
    change.count = 0;
    CHECK(!salt_registry_change(registry, BYTES("star"), &change, error)->spread);
    CHECK(take(registry, "star", "spread 200 \"~\" 0 0 7", 100) == SALT_TAKEN);
    entry = salt_registry_find(registry, BYTES("star"));
    CHECK(entry->spread && entry->mode == SALT_MODE_NAMES && entry->count == 1 && entry->epoch == 200);
    CHECK(take(registry, "star", "names 201 \"~\" 0 0 7", 100) == SALT_TAKEN);
    CHECK(!salt_registry_find(registry, BYTES("star"))->spread);
    salt_registry_free(&registry, NULL, NULL);
}

TEST(nothing_else_is_believed)
{
    static const char *const damaged[] = {
        "",
        "names",
        "names 1 \"~\" 0",
        "other 1 \"~\" 0 0",
        "names 0 \"~\" 0 0",
        "names -1 \"~\" 0 0",
        "names 9223372036854775808 \"~\" 0 0",
        "names 1 \"~~\" 0 0",
        "names 1 \"{\" 0 0",
        "names 1 \"\" 0 0",
        "names 1 \"~\" 2 0",
        "names 1 \"~\" 0 -1",
        "names 1 \"~\" 0 x",
        "names 1 \"~\" 0 0 0",
        "names 1 \"~\" 0 0 65536",
        "names 1 \"~\" 0 0 1 1",
        "names 1 \"~\" 0 0 1 1@5",
        "names 1 \"~\" 0 0 1@5 1@6",
        "names 1 \"~\" 0 0 1@",
        "names 1 \"~\" 0 0 1@-1",
        "names 1 \"~\" 0 0 @1",
        "names 1 \"~\" 0 0 1@2@3",
        "\"names 1 \"~\" 0 0 1",
    };
    struct salt_registry *registry = salt_registry_new();
    struct buf line = { 0 };

    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++)
        CHECK(take(registry, "star", damaged[i], 1) == SALT_DAMAGED);
    buf_append_text(&line, "names 1 \"~\" 0 0");
    for (unsigned i = 1; i <= SALT_NAMES_MAX; i++) buf_printf(&line, " %u", i);
    buf_append_byte(&line, '\0');
    CHECK(take(registry, "star", line.data, 1) == SALT_DAMAGED); /* one name too many */
    *(strrchr(line.data, ' ')) = '\0';
    CHECK(take(registry, "star", line.data, 1) == SALT_TAKEN);
    buf_clear(&line);
    buf_append_text(&line, "names 2 \"~\" 0 0");
    for (unsigned i = 1; i <= SALT_RETIRED_MAX + 1; i++) buf_printf(&line, " %u@99", i);
    buf_append_byte(&line, '\0');
    CHECK(take(registry, "star", line.data, 1) == SALT_DAMAGED);
    buf_clear(&line);
    for (unsigned i = 0; i <= SALT_TEXT_BYTES_MAX; i++) buf_append_byte(&line, 'x');
    CHECK(salt_registry_take(registry, BYTES("star"), buf_bytes(&line), 1, &(struct salt_entry *){ NULL }, error) ==
          SALT_DAMAGED);
    CHECK(salt_registry_count(registry) == 1);
    buf_free(&line);
    salt_registry_free(&registry, NULL, NULL);
}

TEST(entries_are_found_among_many)
{
    struct salt_registry *registry = salt_registry_new();
    struct random random;
    char key[16];

    random_seed(&random, 5);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "k%u", (unsigned)random_below(&random, 500));
        CHECK(change(registry, key, 1, 1, (uint16_t[]){ (uint16_t)(1 + i % 3) }) != NULL);
    }
    for (size_t i = 1; i < salt_registry_count(registry); i++)
        CHECK(bytes_compare(salt_registry_at(registry, i - 1)->base, salt_registry_at(registry, i)->base) < 0);
    CHECK(salt_registry_at(registry, salt_registry_count(registry)) == NULL);
    for (size_t i = 0; i < salt_registry_count(registry); i++) {
        struct salt_entry *entry = salt_registry_at(registry, i);

        CHECK(salt_registry_find(registry, entry->base) == entry);
    }
    CHECK(salt_registry_find(registry, BYTES("k500")) == NULL);
    salt_registry_free(&registry, NULL, NULL);
}

/* --- Marks --- */

static bool leads_to(struct keyspace *keyspace, const char *name, const char *base)
{
    struct bytes key = bytes_of(name);
    struct slot *slot = keyspace_slot(keyspace, key_slot(key));
    struct salt_base found;
    bool same;

    slot_lock(slot);
    same = salt_marks_base(slot, slot_hash(key), key, &found);
    if (base == NULL)
        same = !same;
    else
        same = same && bytes_equal(found.key, bytes_of(base)) && found.slot == key_slot(bytes_of(base));
    slot_unlock(slot);
    return same;
}

static bool is_salted(struct keyspace *keyspace, const char *name)
{
    struct bytes key = bytes_of(name);
    struct slot *slot = keyspace_slot(keyspace, key_slot(key));
    bool salted;

    slot_lock(slot);
    salted = salt_marks_has_names(slot, slot_hash(key), key);
    slot_unlock(slot);
    return salted;
}

static unsigned marked_slots(struct keyspace *keyspace)
{
    unsigned count = 0;

    for (unsigned id = 0; id < SLOT_COUNT; id++) count += slot_has_marks(keyspace_slot(keyspace, (uint16_t)id));
    return count;
}

TEST(each_name_has_a_mark_that_leads_to_its_key)
{
    struct keyspace *keyspace = keyspace_new();
    struct salt_registry *registry = salt_registry_new();
    struct salt_entry *entry = change(registry, "star", 100, 3, (uint16_t[]){ 1, 4, 9 });

    CHECK(salt_marks_place(keyspace, entry) == 4);
    CHECK(leads_to(keyspace, "star~1", "star") && leads_to(keyspace, "star~4", "star") && is_salted(keyspace, "star"));
    CHECK(leads_to(keyspace, "star", NULL) && leads_to(keyspace, "star~2", NULL) && !is_salted(keyspace, "star~1"));
    entry = change(registry, "star", 200, 2, (uint16_t[]){ 4, 5 });
    CHECK(salt_marks_place(keyspace, entry) == 1); /* 5 comes; 1 and 9 are retired, and aliases still */
    CHECK(leads_to(keyspace, "star~1", "star") && leads_to(keyspace, "star~5", "star"));
    CHECK(expire(registry, 1200) && salt_marks_place(keyspace, entry) == -2);
    CHECK(leads_to(keyspace, "star~1", NULL) && leads_to(keyspace, "star~4", "star") && marked_slots(keyspace) == 3);
    /* Another node gave it names with another separator. */
    CHECK(take(registry, "star", "names 900 # 0 0 4", 1200) == SALT_TAKEN && salt_marks_place(keyspace, entry) == -1);
    CHECK(leads_to(keyspace, "star#4", "star") && leads_to(keyspace, "star~4", NULL));
    CHECK(salt_marks_lift(keyspace, entry) == -2 && salt_marks_lift(keyspace, entry) == 0);
    CHECK(leads_to(keyspace, "star#4", NULL) && !is_salted(keyspace, "star") && marked_slots(keyspace) == 0);
    salt_registry_free(&registry, NULL, NULL);
    keyspace_free(&keyspace);
}

TESTS(names_that_are_given_up_are_aliases_for_their_time, names_of_a_key_that_is_to_have_none_at_once_lead_nowhere,
      there_is_no_room_beyond_the_bounds, what_another_node_says_holds_until_it_is_over,
      a_text_is_read_as_it_was_written, only_names_that_there_are_can_be_spread, nothing_else_is_believed,
      entries_are_found_among_many, each_name_has_a_mark_that_leads_to_its_key)
