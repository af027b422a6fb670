#include "server/command.h"

#include "base/alloc.h"
#include "base/bytes.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#define NAME_BYTES_MAX 32

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
    ptrdiff_t at = find_place(table, name);

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
    assert(!"a subcommand of its parent");
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

size_t command_keys(const struct command *command, int argc,
                    void (*visit)(void *context, int arg, const struct key_spec *spec), void *context)
{
    size_t count = 0;

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
