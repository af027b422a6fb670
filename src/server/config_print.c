/* server/config_print.c
 *
 * What is printed from the table of directives: --help, redis-shard.conf, docs/configuration.md. */
#include "server/config_internal.h"

#include <ctype.h>
#include <string.h>

/* Visits the sections in the order they first appear. */
static void each_section(struct buf *out, void (*print)(struct buf *out, const char *section))
{
    size_t count;
    const struct option *options = config_options(&count);

    for (size_t i = 0; i < count; i++) {
        bool seen = false;

        for (size_t before = 0; before < i; before++)
            seen = seen || strcmp(options[before].section, options[i].section) == 0;
        if (!seen) print(out, options[i].section);
    }
}

/* The default, as a line of the file has it. */
static void default_words(const struct option *option, struct buf *out)
{
    struct option_value value = { 0 };

    option_default(option, &value);
    config_words(option, &value, out);
    buf_free(&value.text);
}

static void wrap(struct buf *out, const char *prefix, const char *text, size_t columns)
{
    size_t column = 0;

    while (*text) {
        size_t word = strcspn(text, " ");

        if (column > 0 && column + 1 + word > columns) {
            buf_append_byte(out, '\n');
            column = 0;
        }
        if (column == 0)
            buf_append_text(out, prefix);
        else
            buf_append_byte(out, ' ');
        buf_append(out, text, word);
        column += word + 1;
        text += word;
        while (*text == ' ') text++;
    }
    buf_append_byte(out, '\n');
}

static void values_of(const struct option *option, struct buf *out)
{
    switch (option->type) {
    case OPTION_BOOL:
        buf_append_text(out, "yes, no");
        break;
    case OPTION_ENUM:
        for (const struct option_name *name = option->names; name->name; name++)
            buf_printf(out, "%s%s", name == option->names ? "" : ", ", name->name);
        break;
    case OPTION_INTEGER:
    case OPTION_SIZE:
        if (option->flags & OPTION_OCTAL)
            buf_printf(out, "%llo to %llo, octal", (unsigned long long)option->min, (unsigned long long)option->max);
        else if (option->max == INT64_MAX)
            buf_printf(out, "%s from %lld", option->type == OPTION_SIZE ? "size" : "number",
                       (long long)(option->min < -1 ? 0 : option->min));
        else
            buf_printf(out, "%lld to %lld", (long long)option->min, (long long)option->max);
        break;
    case OPTION_TEXT:
        buf_append_text(out, "text");
        break;
    case OPTION_LIST:
    case OPTION_SPECIAL:
        buf_append_text(out, "words");
        break;
    }
}

static void file_section(struct buf *out, const char *section)
{
    size_t count;
    const struct option *options = config_options(&count);

    buf_printf(out, "\n# === %s ===\n", section);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(options[i].section, section) != 0) continue;
        buf_append_byte(out, '\n');
        wrap(out, "# ", options[i].help, 100);
        if (options[i].alias) buf_printf(out, "# Also known as %s.\n", options[i].alias);
        if (options[i].flags & OPTION_HIDDEN) {
            buf_printf(out, "# %s ...\n", options[i].name);
            continue;
        }
        if (options[i].flags & OPTION_REPEATED) {
            buf_printf(out, "# %s ...\n", options[i].name);
            continue;
        }
        buf_append_text(out, "# ");
        default_words(&options[i], out);
        buf_append_byte(out, '\n');
    }
}

void config_print_file(struct buf *out)
{
    buf_append_text(out, "# redis-shard.conf: every directive with its default, written by `redis-shard "
                         "--print-config-file`.\n"
                         "#\n"
                         "#     redis-shard /path/to/redis-shard.conf [--name value ...]\n"
                         "#\n"
                         "# Names and values are redis.conf's. A line is a directive and its values; quotes hold "
                         "spaces: \"a b\". Sizes:\n"
                         "# 1k is 1000 bytes, 1kb is 1024, then m, mb, g, gb. `include /path/*.conf` reads further "
                         "files where it stands.\n"
                         "# Later lines win over earlier ones, and the command line over the file.\n");
    each_section(out, file_section);
}

static void docs_section(struct buf *out, const char *section)
{
    size_t count;
    const struct option *options = config_options(&count);

    buf_printf(out, "\n## %s\n\n| directive | default | values | at run time | meaning |\n|---|---|---|---|---|\n",
               section);
    for (size_t i = 0; i < count; i++) {
        const struct option *option = &options[i];
        struct buf line = { 0 };

        if (strcmp(option->section, section) != 0) continue;
        buf_printf(out, "| `%s`", option->name);
        if (option->alias) buf_printf(out, " (`%s`)", option->alias);
        default_words(option, &line);
        /* The words without the name before them. */
        if (line.len > strlen(option->name) + 1 && !(option->flags & OPTION_HIDDEN))
            buf_printf(out, " | `%.*s` | ", (int)(line.len - strlen(option->name) - 1),
                       line.data + strlen(option->name) + 1);
        else
            buf_append_text(out, " | | ");
        values_of(option, out);
        buf_printf(out, " | %s | %s |\n",
                   option->flags & OPTION_FIXED       ? "no"
                   : option->flags & OPTION_PROTECTED ? "protected"
                                                      : "yes",
                   option->help);
        buf_free(&line);
    }
}

void config_print_docs(struct buf *out)
{
    buf_append_text(out, "# Configuration\n\n"
                         "Written by `redis-shard --print-config-docs` from the table that the program itself uses.\n\n"
                         "    redis-shard [/path/to/redis-shard.conf] [--name value ...] [-]\n\n"
                         "`-` reads directives from standard input. Later settings win: the file, standard input, the "
                         "command line. Names and values are\n"
                         "redis.conf's. An unknown directive or a bad value stops the start with the file, the line "
                         "and the reason; `--test-config` only checks.\n"
                         "A directive for what this node does not have is taken where it asks for what the node does "
                         "anyway, and refused where it does not.\n"
                         "*At run time*: may `CONFIG SET` change it; *protected* needs `enable-protected-configs`.\n");
    each_section(out, docs_section);
}

void config_print_help(struct buf *out)
{
    buf_append_text(out,
                    "Usage: redis-shard [/path/to/redis-shard.conf] [--name value ...] [-]\n"
                    "       redis-shard - (reads directives from standard input)\n"
                    "       redis-shard --dev-cluster N [--port P] [--dir D] (a local cluster of N nodes)\n"
                    "       redis-shard [...] --test-config (checks the configuration, starts nothing)\n"
                    "       redis-shard -v or --version\n"
                    "       redis-shard -h or --help\n"
                    "       redis-shard --print-config-file (every directive, documented, as a file to start from)\n\n"
                    "Examples:\n"
                    "       redis-shard (defaults: port 6379, a cluster of one)\n"
                    "       redis-shard /etc/redis-shard/redis-shard.conf --loglevel verbose\n"
                    "       redis-shard --port 7777 --requirepass secret\n"
                    "       echo 'maxclients 500' | redis-shard -\n"
                    "       redis-shard --dev-cluster 3\n\n"
                    "Every directive of the configuration may be given as --name value.\n");
}
