/* A name is the key with a number at the end of its hashed part, and nothing else is one. */
#include "base/keyslot.h"
#include "base/random.h"
#include "salt/name.h"
#include "unit/unit.h"

#include <string.h>

static bool is_named(const char *base, unsigned id, const char *name)
{
    struct buf text = { 0 };
    bool same;

    salt_name(bytes_of(base), '~', id, &text);
    same = bytes_equal(buf_bytes(&text), bytes_of(name)) &&
           salt_name_slot(bytes_of(base), '~', id) == key_slot(bytes_of(name));
    buf_free(&text);
    return same;
}

static bool is_split(const char *name, const char *base, unsigned id)
{
    struct salt_parts parts;

    return salt_name_split(bytes_of(name), &parts) && parts.id == id && parts.separator == '~' &&
           bytes_equal((struct bytes){ parts.base, parts.base_bytes }, bytes_of(base));
}

static bool is_none(const char *name)
{
    struct salt_parts parts;

    return !salt_name_split(bytes_of(name), &parts) || parts.separator != '~';
}

TEST(the_number_stands_at_the_end_of_what_is_hashed)
{
    CHECK(is_named("star", 3, "star~3") && is_named("", 1, "~1"));
    CHECK(is_named("{user:1}:tl", 3, "{user:1~3}:tl") && is_named("a{b}c{d}", 65535, "a{b~65535}c{d}"));
    CHECK(is_named("{{a}}", 2, "{{a~2}}") && is_named("a}{b}", 2, "a}{b~2}"));
    CHECK(is_named("a{}b", 2, "a{}b~2") && is_named("{}{b}", 2, "{}{b}~2") && is_named("a{b", 2, "a{b~2"));
}

TEST(what_is_no_name_is_none)
{
    CHECK(is_split("star~3", "star", 3) && is_split("{user:1~3}:tl", "{user:1}:tl", 3) && is_split("~1", "", 1));
    CHECK(is_split("star~3~4", "star~3", 4) && is_split("s~65535", "s", 65535));
    CHECK(is_none("star") && is_none("star~") && is_none("star3") && is_none("star~0") && is_none("star~03"));
    CHECK(is_none("star~65536") && is_none("star~100000") && is_none("star~3x") && is_none("") && is_none("3"));
    CHECK(is_none("{user:1}:tl~3")); /* not in what is hashed */
    CHECK(is_none("{~3}x"));         /* {}x has no tag, and would be {}x~3 */
}

TEST(any_separator_but_what_could_be_part_of_a_tag_or_a_number)
{
    struct buf text = { 0 };
    struct salt_parts parts;

    CHECK(salt_separator_ok('~') && salt_separator_ok('#') && salt_separator_ok('@') && salt_separator_ok('-'));
    CHECK(!salt_separator_ok('{') && !salt_separator_ok('}') && !salt_separator_ok('7') && !salt_separator_ok('a'));
    CHECK(!salt_separator_ok(' ') && !salt_separator_ok('\0') && !salt_separator_ok('\n') &&
          !salt_separator_ok((char)0xe4));
    salt_name(BYTES("a"), '#', 12, &text);
    CHECK(bytes_equal(buf_bytes(&text), BYTES("a#12")));
    CHECK(salt_name_split(buf_bytes(&text), &parts) && parts.separator == '#');
    buf_free(&text);
}

TEST(a_key_that_is_too_long_is_none)
{
    char key[SALT_NAME_BYTES_MAX + 2];
    struct salt_parts parts;

    memset(key, 'k', sizeof(key));
    memcpy(key + SALT_KEY_BYTES_MAX, "~65535", 6);
    CHECK(salt_name_split((struct bytes){ key, SALT_KEY_BYTES_MAX + 6 }, &parts));
    CHECK(parts.base_bytes == SALT_KEY_BYTES_MAX && parts.id == 65535);
    memset(key, 'k', sizeof(key));
    memcpy(key + SALT_KEY_BYTES_MAX + 1, "~1", 2);
    CHECK(!salt_name_split((struct bytes){ key, SALT_KEY_BYTES_MAX + 3 }, &parts));
    CHECK(!salt_name_split((struct bytes){ key, sizeof(key) }, &parts));
}

/* Whatever the key is made of: its names lead back to it, each in the slot that is said. */
TEST(every_name_leads_back_to_its_key)
{
    static const char letters[] = "{}{}~~019ab";
    struct random random;
    unsigned whole = 0;

    random_seed(&random, 7);
    for (int i = 0; i < 200000; i++) {
        char key[12];
        struct bytes base = { key, random_below(&random, sizeof(key) + 1) };
        unsigned id = 1 + (unsigned)random_below(&random, i % 2 ? 12 : SALT_ID_MAX);
        struct salt_parts parts;
        struct buf name = { 0 };

        for (size_t k = 0; k < base.len; k++) key[k] = letters[random_below(&random, sizeof(letters) - 1)];
        salt_name(base, '~', id, &name);
        CHECK(salt_name_slot(base, '~', id) == key_slot(buf_bytes(&name)));
        CHECK(salt_name_split(buf_bytes(&name), &parts) && parts.id == id);
        CHECK(bytes_equal((struct bytes){ parts.base, parts.base_bytes }, base));
        whole += key_hash_tag(base).len == base.len;
        /* And whatever is taken for a name is the one that its key would have. */
        if (salt_name_split(base, &parts)) {
            struct buf again = { 0 };

            salt_name((struct bytes){ parts.base, parts.base_bytes }, parts.separator, parts.id, &again);
            CHECK(bytes_equal(buf_bytes(&again), base));
            buf_free(&again);
        }
        buf_free(&name);
    }
    CHECK(whole > 0 && whole < 200000);
}

TESTS(the_number_stands_at_the_end_of_what_is_hashed, what_is_no_name_is_none,
      any_separator_but_what_could_be_part_of_a_tag_or_a_number, a_key_that_is_too_long_is_none,
      every_name_leads_back_to_its_key)
