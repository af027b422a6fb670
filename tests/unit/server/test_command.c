/* The command table finds commands in any case, numbers them and their subcommands densely, and knows where keys stand. */
#include "base/bytes.h"
#include "server/command.h"
#include "unit/unit.h"

static void run(struct call *call)
{
    (void)call;
}

static const struct command sub_a = { .name = "alpha", .parent = "box", .arity = 2, .run = run };
static const struct command sub_b = { .name = "beta", .parent = "box", .arity = -3, .run = run };
static const struct command *const subs[] = { &sub_a, &sub_b, NULL };
static const struct command box = { .name = "box", .arity = -2, .subcommands = subs };
static const struct command get = {
    .name = "get", .arity = 2, .keys = { { .first = 1, .last = 0, .step = 1, .flags = KEY_RO } }, .run = run
};
static const struct command mset = {
    .name = "mset", .arity = -3, .keys = { { .first = 1, .last = -1, .step = 2, .flags = KEY_OW } }, .run = run
};
static const struct command two = { .name = "two",
                                    .arity = 3,
                                    .keys = { { .first = 1, .last = 0, .step = 1, .flags = KEY_RO },
                                              { .first = 2, .last = 0, .step = 1, .flags = KEY_OW } },
                                    .run = run };

/* As EVAL has it: the first argument says how many keys follow. */
static size_t find_counted(const struct command *command, int argc, const struct bytes *argv,
                           void (*visit)(void *context, int arg, const struct key_spec *spec), void *context)
{
    int64_t count;

    if (!bytes_to_i64(argv[1], &count) || count < 0 || count > argc - 2) return 0;
    for (int arg = 2; visit != NULL && arg < 2 + (int)count; arg++) visit(context, arg, &command->keys[0]);
    return (size_t)count;
}
static const struct command counted = { .name = "counted", .arity = -3, .find_keys = find_counted, .run = run };
static const struct command *const first[] = { &get, &box, NULL };
static const struct command *const second[] = { &mset, &two, NULL };
static const struct command *const *const families[] = { first, second, NULL };

TEST(a_command_is_found_in_any_case_and_only_whole)
{
    struct command_table *table = command_table_new(families);

    CHECK(command_find(table, BYTES("get")) == &get);
    CHECK(command_find(table, BYTES("MSet")) == &mset);
    CHECK(command_find(table, BYTES("ge")) == NULL);
    CHECK(command_find(table, BYTES("gets")) == NULL);
    CHECK(command_find(table, BYTES("get\0")) == NULL);
    CHECK(command_find(table, BYTES("")) == NULL);
    /* Each byte but the one that is meant, and the same letter in the other case. */
    for (int i = 0; i < 3; i++)
        for (int byte = 0; byte < 256; byte++) {
            char name[] = "get";
            size_t number;
            bool is_same = (byte | 0x20) == name[i] && byte >= 'A';

            name[i] = (char)byte;
            CHECK((command_find_numbered(table, (struct bytes){ name, 3 }, &number) != NULL) == is_same);
        }
    CHECK(command_find_sub(&box, BYTES("BETA")) == &sub_b);
    CHECK(command_find_sub(&box, BYTES("bet")) == NULL);
    CHECK(command_find_sub(&get, BYTES("beta")) == NULL);
    command_table_free(&table);
    CHECK(table == NULL);
}

TEST(numbers_are_dense_and_lead_back)
{
    struct command_table *table = command_table_new(families);

    CHECK(command_number_max(table) == 6);
    CHECK(command_count(table) == 4);
    for (size_t n = 0; n < 6; n++) CHECK(command_number(table, command_by_number(table, n)) == n);
    CHECK(command_number(table, &sub_b) == command_number(table, &box) + 2);
    command_table_free(&table);
}

struct seen {
    int args[8];
    size_t count;
};

static void note(void *context, int arg, const struct key_spec *spec)
{
    struct seen *seen = context;

    (void)spec;
    seen->args[seen->count++] = arg;
}

TEST(keys_stand_where_the_spec_says)
{
    struct seen seen = { .count = 0 };

    CHECK(command_keys(&mset, 5, NULL, note, &seen) == 2);
    CHECK(seen.args[0] == 1 && seen.args[1] == 3);
    seen.count = 0;
    CHECK(command_keys(&two, 3, NULL, note, &seen) == 2);
    CHECK(seen.args[0] == 1 && seen.args[1] == 2);
    CHECK(command_keys(&get, 1, NULL, NULL, NULL) == 0);
    CHECK(command_keys(&sub_a, 2, NULL, NULL, NULL) == 0);
    CHECK(command_arity_ok(&get, 2) && !command_arity_ok(&get, 3));
    CHECK(command_arity_ok(&mset, 3) && !command_arity_ok(&mset, 2));
}

TEST(a_command_may_find_its_keys_itself)
{
    const struct bytes argv[] = { BYTES("counted"), BYTES("2"), BYTES("a"), BYTES("b"), BYTES("c") };
    const struct bytes too_many[] = { BYTES("counted"), BYTES("9"), BYTES("a") };
    struct seen seen = { .count = 0 };

    CHECK(command_keys(&counted, 5, argv, NULL, NULL) == 2);
    CHECK(command_keys(&counted, 5, argv, note, &seen) == 2);
    CHECK(seen.count == 2 && seen.args[0] == 2 && seen.args[1] == 3);
    CHECK(command_keys(&counted, 3, too_many, NULL, NULL) == 0);
}

TESTS(a_command_may_find_its_keys_itself, a_command_is_found_in_any_case_and_only_whole,
      numbers_are_dense_and_lead_back, keys_stand_where_the_spec_says)
