#include "server/command.h"

#include "base/alloc.h"
#include "base/bytes.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#define NAME_BYTES_MAX 32

/* Names of up to eight letters, which nearly all requests begin with, are looked up as one number: their lower-case bytes. */
#define QUICK_PLACES 512u
#define QUICK_BYTES_MAX 8

struct quick_place {
    uint64_t name; /* 0: free */
    const struct command *command;
    uint32_t number;
};

/* Commands hashed by name into an open table at most a quarter full, so that a look-up is one or two probes. The numbers of a
 * command's subcommands follow its own. */
struct command_table {
    const struct command **places;
    uint32_t *numbers; /* beside places */
    size_t place_mask;
    const struct command **commands;
    size_t count;
    const struct command **by_number;
    size_t number_max;
    struct quick_place quick[QUICK_PLACES];
};

static uint32_t name_hash(const char *name, size_t len)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c >= 'A' && c <= 'Z') c = (unsigned char)(c | 0x20);
        hash = (hash ^ c) * 16777619u;
    }
    return hash;
}

static bool name_is(const struct command *command, struct bytes name)
{
    return strncasecmp(command->name, name.data, name.len) == 0 && command->name[name.len] == '\0';
}

/* 1 to 8 bytes as one number, letters in lower case. A name of letters has this number to itself: whatever else becomes a
 * lower-case letter when bit 5 is set was the same letter before. */
static inline uint64_t quick_name(const char *name, size_t len)
{
    uint64_t number;
    uint32_t low, high;

    if (len >= 4) {
        memcpy(&low, name, 4);
        memcpy(&high, name + len - 4, 4);
        number = low | (uint64_t)high << 8 * (len - 4);
    } else {
        number = (uint64_t)(unsigned char)name[0] | (uint64_t)(unsigned char)name[len / 2] << 8 * (len / 2) |
                 (uint64_t)(unsigned char)name[len - 1] << 8 * (len - 1);
    }
    return number | (uint64_t)0x2020202020202020 >> 8 * (8 - len);
}

static inline size_t quick_place(uint64_t name)
{
    return (size_t)(name * 0x9e3779b97f4a7c15u >> 55) % QUICK_PLACES;
}

static bool is_quick(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++)
        if (name[i] < 'a' || name[i] > 'z') return false;
    return len >= 1 && len <= QUICK_BYTES_MAX;
}

static void place_quick(struct command_table *table, const struct command *command, uint32_t number)
{
    uint64_t name = quick_name(command->name, strlen(command->name));
    size_t at = quick_place(name);

    while (table->quick[at].name != 0) at = (at + 1) % QUICK_PLACES;
    table->quick[at] = (struct quick_place){ .name = name, .command = command, .number = number };
}

static size_t sub_count(const struct command *command)
{
    size_t count = 0;

    if (command->subcommands == NULL) return 0;
    while (command->subcommands[count] != NULL) count++;
    return count;
}

static void place(struct command_table *table, const struct command *command, uint32_t number)
{
    size_t at = name_hash(command->name, strlen(command->name)) & table->place_mask;

    while (table->places[at] != NULL) {
        assert(strcmp(table->places[at]->name, command->name) != 0);
        at = (at + 1) & table->place_mask;
    }
    table->places[at] = command;
    table->numbers[at] = number;
}

struct command_table *command_table_new(const struct command *const *const *families)
{
    struct command_table *table = alloc_zeroed(sizeof(*table));
    size_t places = 64;

    for (size_t f = 0; families[f] != NULL; f++)
        for (size_t i = 0; families[f][i] != NULL; i++) {
            table->count++;
            table->number_max += 1 + sub_count(families[f][i]);
        }
    assert(table->count < QUICK_PLACES / 2);
    while (places < table->count * 4) places *= 2;
    table->place_mask = places - 1;
    table->places = alloc_zeroed(places * sizeof(*table->places));
    table->numbers = alloc_zeroed(places * sizeof(*table->numbers));
    table->commands = alloc_zeroed(table->count * sizeof(*table->commands) + 1);
    table->by_number = alloc_zeroed(table->number_max * sizeof(*table->by_number) + 1);

    size_t n = 0;
    uint32_t number = 0;
    for (size_t f = 0; families[f] != NULL; f++)
        for (size_t i = 0; families[f][i] != NULL; i++) {
            const struct command *command = families[f][i];

            assert(strlen(command->name) < NAME_BYTES_MAX);
            place(table, command, number);
            if (is_quick(command->name)) place_quick(table, command, number);
            table->commands[n++] = command;
            table->by_number[number++] = command;
            for (size_t s = 0; s < sub_count(command); s++) table->by_number[number++] = command->subcommands[s];
        }
    return table;
}

void command_table_free(struct command_table **table)
{
    if (*table == NULL) return;
    alloc_free((*table)->places);
    alloc_free((*table)->numbers);
    alloc_free((*table)->commands);
    alloc_free((*table)->by_number);
    alloc_free(*table);
    *table = NULL;
}

/* The place of a name, or -1. */
static ptrdiff_t find_place(const struct command_table *table, struct bytes name)
{
    size_t at;

    if (name.len == 0 || name.len >= NAME_BYTES_MAX || memchr(name.data, '\0', name.len) != NULL) return -1;
    at = name_hash(name.data, name.len) & table->place_mask;
    for (; table->places[at] != NULL; at = (at + 1) & table->place_mask)
        if (name_is(table->places[at], name)) return (ptrdiff_t)at;
    return -1;
}

const struct command *command_find(const struct command_table *table, struct bytes name)
{
    ptrdiff_t at = find_place(table, name);

    return at < 0 ? NULL : table->places[at];
}

const struct command *command_find_numbered(const struct command_table *table, struct bytes name, size_t *number)
{
    ptrdiff_t at;

    if (name.len >= 1 && name.len <= QUICK_BYTES_MAX) {
        uint64_t wanted = quick_name(name.data, name.len);
        const struct quick_place *quick = &table->quick[quick_place(wanted)];

        while (quick->name != 0 && quick->name != wanted)
            quick = quick + 1 == table->quick + QUICK_PLACES ? table->quick : quick + 1;
        if (quick->name == wanted) {
            *number = quick->number;
            return quick->command;
        }
    }
    at = find_place(table, name);
    if (at < 0) return NULL;
    *number = table->numbers[at];
    return table->places[at];
}

const struct command *command_find_sub(const struct command *container, struct bytes name)
{
    if (container->subcommands == NULL || name.len == 0 || memchr(name.data, '\0', name.len) != NULL) return NULL;
    for (size_t i = 0; container->subcommands[i] != NULL; i++)
        if (name_is(container->subcommands[i], name)) return container->subcommands[i];
    return NULL;
}

size_t command_count(const struct command_table *table)
{
    return table->count;
}

const struct command *command_at(const struct command_table *table, size_t n)
{
    return n < table->count ? table->commands[n] : NULL;
}

size_t command_number(const struct command_table *table, const struct command *command)
{
    bool is_sub = command->parent != NULL;
    const char *name = is_sub ? command->parent : command->name;
    ptrdiff_t at = find_place(table, bytes_of(name));

    assert(at >= 0);
    if (!is_sub) return table->numbers[at];
    for (size_t i = 0; table->places[at]->subcommands[i] != NULL; i++)
        if (table->places[at]->subcommands[i] == command) return table->numbers[at] + 1 + i;
    assert(false && "a subcommand of its parent");
    return 0;
}

size_t command_number_max(const struct command_table *table)
{
    return table->number_max;
}

const struct command *command_by_number(const struct command_table *table, size_t number)
{
    return number < table->number_max ? table->by_number[number] : NULL;
}

bool command_arity_ok(const struct command *command, int argc)
{
    return command->arity >= 0 ? argc == command->arity : argc >= -command->arity;
}

size_t command_keys(const struct command *command, int argc, const struct bytes *argv,
                    void (*visit)(void *context, int arg, const struct key_spec *spec), void *context)
{
    size_t count = 0;

    if (command->find_keys != NULL) return command->find_keys(command, argc, argv, visit, context);
    for (int s = 0; s < KEY_SPECS_MAX; s++) {
        const struct key_spec *spec = &command->keys[s];
        int last;

        if (spec->first == 0 || spec->first >= argc) continue;
        last = spec->last >= 0 ? spec->first + spec->last : argc + spec->last;
        for (int arg = spec->first; arg <= last && arg<argc; arg += spec->step> 0 ? spec->step : 1) {
            if (visit != NULL) visit(context, arg, spec);
            count++;
        }
    }
    return count;
}
