/* server/config_read.c
 *
 * Reading directives at the start: from files, standard input and the command line. Whatever is wrong stops the start with the place, the
 * line, the reason and the nearest known name, because a node that runs with half of its configuration is worse than none. */
#include "server/config_internal.h"

#include "base/alloc.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INCLUDE_DEPTH_MAX 16
#define FILE_BYTES_MAX (64u << 20)

/* Where a line stands: a file and its number, or the command line (number 0). */
struct place {
    const char *name;
    size_t line;
    int depth;
};

static bool read_file(struct config *config, const char *path, int depth, struct config_problem *problem);

void config_current_directory(struct buf *out)
{
    char path[PATH_MAX];

    lock_assert_none_held();
    buf_append_text(out, getcwd(path, sizeof(path)) ? path : "./");
}

/* What of a line may be shown: its first word alone where that is the name of a secret, or was meant to be. */
static struct bytes without_secret(struct bytes line)
{
    size_t count, quote = line.len > 0 && (line.data[0] == '"' || line.data[0] == '\'');
    struct bytes name = { line.data + quote, 0 };
    const struct option *options, *option;
    const char *nearest;

    line.len -= quote;
    while (name.len < line.len && strchr(" \t\"'", name.data[name.len]) == NULL) name.len++;
    options = config_options(&count);
    option = option_find(options, count, name);
    nearest = option == NULL ? option_nearest(options, count, name) : NULL;
    if (nearest != NULL) option = option_find(options, count, bytes_of(nearest));
    return option != NULL && (option->flags & OPTION_SECRET) ? name
                                                             : (struct bytes){ name.data - quote, line.len + quote };
}

static bool complain(struct config_problem *problem, const struct place *place, struct bytes line, const char *reason,
                     const char *nearest)
{
    struct bytes shown = without_secret(line);
    struct buf text = { 0 };
    size_t len;

    buf_append_text(&text, "*** FATAL CONFIG FILE ERROR (redis-shard " REDIS_SHARD_VERSION ") ***\n");
    if (place->line > 0)
        buf_printf(&text, "Reading the configuration file '%s', at line %zu\n", place->name, place->line);
    else
        buf_printf(&text, "Reading %s\n", place->name);
    buf_printf(&text, ">>> '%.*s'\n%s", (int)(shown.len < 512 ? shown.len : 512), shown.len ? shown.data : "", reason);
    if (nearest) buf_printf(&text, "\nDid you mean '%s'?", nearest);
    len = text.len < sizeof(problem->text) - 1 ? text.len : sizeof(problem->text) - 1;
    memcpy(problem->text, text.data, len);
    problem->text[len] = 0;
    buf_free(&text);
    return false;
}

/* `include` takes globs; a pattern without any magic must name a file that is there. */
static bool include(struct config *config, const struct words *words, const struct place *place, struct bytes line,
                    struct config_problem *problem)
{
    bool ok = true;

    if (words->count < 2) return complain(problem, place, line, "wrong number of arguments", NULL);
    if (place->depth >= INCLUDE_DEPTH_MAX)
        return complain(problem, place, line, "includes are nested too deeply", NULL);
    for (size_t i = 1; ok && i < words->count; i++) {
        char pattern[PATH_MAX];
        glob_t found;
        int outcome;

        if (words->items[i].len >= sizeof(pattern)) return complain(problem, place, line, "the path is too long", NULL);
        memcpy(pattern, words->items[i].data, words->items[i].len);
        pattern[words->items[i].len] = 0;
        outcome = glob(pattern, 0, NULL, &found);
        if (outcome == GLOB_NOMATCH && !strpbrk(pattern, "*?["))
            ok = read_file(config, pattern, place->depth + 1, problem); /* says that it is not there */
        else if (outcome != 0 && outcome != GLOB_NOMATCH)
            ok = complain(problem, place, line, "the pattern cannot be read", NULL);
        for (size_t n = 0; outcome == 0 && ok && n < found.gl_pathc; n++)
            ok = read_file(config, found.gl_pathv[n], place->depth + 1, problem);
        if (outcome == 0) globfree(&found);
    }
    return ok;
}

static bool read_words(struct config *config, const struct words *words, const struct place *place, struct bytes line,
                       struct config_problem *problem)
{
    size_t count;
    const struct option *options = config_options(&count), *option;
    struct option_value value = { 0 };
    char reason[OPTION_ERROR_BYTES] = "";
    bool ok;

    if (bytes_is_word(words->items[0], "include")) return include(config, words, place, line, problem);
    option = option_find(options, count, words->items[0]);
    if (!option)
        return complain(problem, place, line, "Bad directive or wrong number of arguments",
                        option_nearest(options, count, words->items[0]));
    if (words->count < 2)
        ok = snprintf(reason, sizeof(reason), "wrong number of arguments") < 0;
    else
        ok = config_parse(config, option, words->items + 1, words->count - 1, &value, reason);
    if (ok)
        config_store(config, option, &value);
    else
        complain(problem, place, line, reason, NULL);
    buf_free(&value.text);
    return ok;
}

static bool read_line(struct config *config, struct bytes line, const struct place *place,
                      struct config_problem *problem)
{
    struct words words;
    bool ok = true;

    while (line.len > 0 && strchr(" \t\r\n", line.data[line.len - 1]) && line.data[line.len - 1]) line.len--;
    while (line.len > 0 && strchr(" \t\r\n", line.data[0]) && line.data[0]) line.data++, line.len--;
    if (line.len == 0 || line.data[0] == '#') return true;
    if (!words_split(line, &words))
        ok = complain(problem, place, line, "Unbalanced quotes in configuration line", NULL);
    else if (words.count > 0)
        ok = read_words(config, &words, place, line, problem);
    words_free(&words);
    return ok;
}

static bool read_text(struct config *config, struct bytes content, const char *name, int depth,
                      struct config_problem *problem)
{
    struct place place = { .name = name, .depth = depth };
    size_t at = 0;

    while (at < content.len) {
        const char *end = memchr(content.data + at, '\n', content.len - at);
        size_t len = end ? (size_t)(end - content.data) - at : content.len - at;

        place.line++;
        if (!read_line(config, (struct bytes){ content.data + at, len }, &place, problem)) return false;
        at += len + 1;
    }
    return true;
}

bool config_read_text(struct config *config, struct bytes content, const char *name, struct config_problem *problem)
{
    return read_text(config, content, name, 0, problem);
}

/* Everything a stream holds; false with errno. */
static bool slurp(FILE *file, struct buf *out)
{
    size_t got;

    do {
        got = fread(buf_reserve(out, 16384), 1, 16384, file);
        buf_added(out, got);
        if (out->len > FILE_BYTES_MAX) {
            errno = EFBIG;
            return false;
        }
    } while (got > 0);
    return !ferror(file);
}

bool config_slurp(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    bool ok;

    if (!file) return false;
    ok = slurp(file, out);
    fclose(file);
    return ok;
}

static bool read_file(struct config *config, const char *path, int depth, struct config_problem *problem)
{
    struct buf content = { 0 };
    bool ok = config_slurp(path, &content);

    if (!ok)
        snprintf(problem->text, sizeof(problem->text), "Fatal error, can't open config file '%.1024s': %s", path,
                 strerror(errno));
    else
        ok = read_text(config, buf_bytes(&content), path, depth, problem);
    buf_free(&content);
    return ok;
}

bool config_read_file(struct config *config, const char *path, struct config_problem *problem)
{
    return read_file(config, path, 0, problem);
}

static bool read_standard_input(struct config *config, struct config_problem *problem)
{
    struct buf content = { 0 };
    bool ok = slurp(stdin, &content);

    if (!ok)
        snprintf(problem->text, sizeof(problem->text),
                 "Fatal error, can't read the configuration from standard input: %s", strerror(errno));
    else
        ok = read_text(config, buf_bytes(&content), "standard input", 0, problem);
    buf_free(&content);
    return ok;
}

/* `--name value ...` is the line `name value ...`: the name as it stands (it may hold values already: "--port 7777"), the values quoted.
 * What follows a name directly is its value even if it begins with dashes, except after --save, which may come without one. */
bool config_read_arguments(struct config *config, int argc, char **argv, struct config_problem *problem)
{
    struct buf line = { 0 };
    bool ok = true;
    int at = 0;

    if (argc > 0 && strcmp(argv[argc - 1], "-") == 0) {
        if (!read_standard_input(config, problem)) return false;
        argc--;
    }
    while (ok && at < argc) {
        struct place place = { .name = "the command line" };
        bool is_name = strncmp(argv[at], "--", 2) == 0, has_value = false,
             is_save = strcasecmp(argv[at], "--save") == 0;

        buf_clear(&line);
        if (is_name)
            buf_append_text(&line, argv[at] + 2);
        else
            words_quote(bytes_of(argv[at]), &line);
        has_value = is_name && strpbrk(argv[at], " \t");
        at++;
        for (; at < argc && (strncmp(argv[at], "--", 2) != 0 || !(has_value || is_save)); at++) {
            buf_append_byte(&line, ' ');
            words_quote(bytes_of(argv[at]), &line);
            has_value = true;
        }
        if (is_save && !has_value) buf_append_text(&line, " \"\"");
        ok = read_line(config, buf_bytes(&line), &place, problem);
    }
    buf_free(&line);
    return ok;
}

bool config_finish(struct config *config, struct config_problem *problem)
{
    int64_t port = config_int(config, port), bus_port = config_int(config, cluster_port);

    if (config_int(config, io_threads) == 0) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);

        atomic_store_explicit(&config->io_threads, cpus < 1 ? 1 : cpus > 128 ? 128 : cpus, memory_order_relaxed);
        atomic_store_explicit(&config->io_threads_chosen, true, memory_order_relaxed);
    }
    if (config_int(config, cluster_enabled) && bus_port == 0 && port + 10000 > 65535) {
        snprintf(problem->text, sizeof(problem->text),
                 "port %lld leaves no room for the cluster bus at port + 10000: give cluster-port, a port of at most "
                 "55535, or cluster-enabled no",
                 (long long)port);
        return false;
    }
    if (config_int(config, cluster_enabled) && bus_port != 0 && bus_port == port) {
        snprintf(problem->text, sizeof(problem->text),
                 "cluster-port and port are both %lld: clients and the cluster bus need a port each", (long long)port);
        return false;
    }
    return true;
}
