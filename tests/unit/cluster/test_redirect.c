/* Each rule of the redirect's order has a row, and each row differs from its neighbour in what decides it. */
#include "cluster/redirect.h"
#include "unit/unit.h"

#define HERE OWNER_HERE
#define ELSEWHERE OWNER_ELSEWHERE
#define NOBODY OWNER_NOBODY
#define MIGRATING OWNER_MIGRATING
#define IMPORTING OWNER_IMPORTING

#define FACTS(owner_state, owner_flags, ...)                                                                           \
    {                                                                                                                  \
        .owner = { .state = (owner_state), .flags = (owner_flags), .node = 1, .other = 2 }, __VA_ARGS__                \
    }
#define OK .cluster_ok = true

static const struct {
    const char *says;
    struct redirect_facts facts;
    enum redirect expected;
} rows[] = {
    { "ours is served", FACTS(HERE, 0, OK), REDIRECT_NONE },
    { "another's is not", FACTS(ELSEWHERE, 0, OK), REDIRECT_MOVED },
    { "nobody's is not served", FACTS(NOBODY, 0, OK), REDIRECT_UNOWNED },

    { "nobody's comes before the state", FACTS(NOBODY, 0, .cluster_ok = false), REDIRECT_UNOWNED },
    { "nobody's is not served to the importer's guests either", FACTS(NOBODY, IMPORTING, OK, .asking = true),
      REDIRECT_UNOWNED },

    { "down is down", FACTS(HERE, 0, .cluster_ok = false), REDIRECT_DOWN },
    { "down comes before MOVED", FACTS(ELSEWHERE, 0, .cluster_ok = false), REDIRECT_DOWN },
    { "down comes before ASK", FACTS(HERE, MIGRATING, .cluster_ok = false, .keys_missing = 1), REDIRECT_DOWN },
    { "down comes before MIGRATE", FACTS(HERE, MIGRATING, .cluster_ok = false, .migrates = true), REDIRECT_DOWN },
    { "down, but reads are allowed", FACTS(HERE, 0, .reads_when_down = true), REDIRECT_NONE },
    { "down, reads are allowed, writes are not", FACTS(HERE, 0, .reads_when_down = true, .writes = true),
      REDIRECT_DOWN_READONLY },
    { "down, a read that belongs elsewhere", FACTS(ELSEWHERE, 0, .reads_when_down = true), REDIRECT_MOVED },
    { "writes matter only when down", FACTS(HERE, 0, OK, .writes = true), REDIRECT_NONE },

    { "MIGRATE runs on what leaves", FACTS(HERE, MIGRATING, OK, .migrates = true, .keys_missing = 1), REDIRECT_NONE },
    { "MIGRATE runs on what arrives", FACTS(ELSEWHERE, IMPORTING, OK, .migrates = true, .keys_missing = 1),
      REDIRECT_NONE },
    { "MIGRATE of another's slot does not", FACTS(ELSEWHERE, 0, OK, .migrates = true), REDIRECT_MOVED },

    { "a key still here is served", FACTS(HERE, MIGRATING, OK, .keys_present = 1), REDIRECT_NONE },
    { "a key that left is asked for", FACTS(HERE, MIGRATING, OK, .keys_missing = 1), REDIRECT_ASK },
    { "all keys left", FACTS(HERE, MIGRATING, OK, .keys_missing = 2, .several_keys = true), REDIRECT_ASK },
    { "some keys left", FACTS(HERE, MIGRATING, OK, .keys_present = 1, .keys_missing = 1, .several_keys = true),
      REDIRECT_TRYAGAIN },
    { "ASKING does not help at the source", FACTS(HERE, MIGRATING, OK, .keys_missing = 1, .asking = true),
      REDIRECT_ASK },
    { "no keys, nothing to ask for", FACTS(HERE, MIGRATING, OK), REDIRECT_NONE },

    { "an importer serves who asks", FACTS(ELSEWHERE, IMPORTING, OK, .asking = true, .keys_present = 1),
      REDIRECT_NONE },
    { "also for a key to be born", FACTS(ELSEWHERE, IMPORTING, OK, .asking = true, .keys_missing = 1), REDIRECT_NONE },
    { "also for several that are there",
      FACTS(ELSEWHERE, IMPORTING, OK, .asking = true, .keys_present = 2, .several_keys = true), REDIRECT_NONE },
    { "not for several of which one is missing",
      FACTS(ELSEWHERE, IMPORTING, OK, .asking = true, .keys_present = 1, .keys_missing = 1, .several_keys = true),
      REDIRECT_TRYAGAIN },
    { "not for several that are all missing",
      FACTS(ELSEWHERE, IMPORTING, OK, .asking = true, .keys_missing = 2, .several_keys = true), REDIRECT_TRYAGAIN },
    { "an importer sends back who does not ask", FACTS(ELSEWHERE, IMPORTING, OK, .keys_present = 1), REDIRECT_MOVED },
    { "nor for a key that who sent the client here knows nothing of",
      FACTS(ELSEWHERE, IMPORTING, OK, .asking = true, .keys_missing = 1, .of_hearsay = true), REDIRECT_TRYAGAIN },
    { "which is served where it is here",
      FACTS(ELSEWHERE, IMPORTING, OK, .asking = true, .keys_present = 1, .of_hearsay = true), REDIRECT_NONE },
    { "ASKING alone opens nothing", FACTS(ELSEWHERE, 0, OK, .asking = true), REDIRECT_MOVED },
};

TEST(each_rule_decides_in_its_turn)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum redirect redirect = redirect_for(&rows[i].facts);
        if (redirect != rows[i].expected)
            fail_msg("%s: %d instead of %d", rows[i].says, (int)redirect, (int)rows[i].expected);
    }
}

TEST(an_owner_word_keeps_what_it_was_made_of)
{
    struct owner owner = {
        .state = OWNER_ELSEWHERE, .flags = OWNER_IMPORTING, .node = 0xfffe, .other = 0x1234, .sequence = 0xabcd
    };
    struct owner read = owner_unpack(owner_pack(owner));

    CHECK(read.state == owner.state && read.flags == owner.flags && read.node == owner.node);
    CHECK(read.other == owner.other && read.sequence == owner.sequence);
    CHECK(owner_unpack(0).state == OWNER_HERE && owner_unpack(0).flags == 0);
}

TESTS(each_rule_decides_in_its_turn, an_owner_word_keeps_what_it_was_made_of)
