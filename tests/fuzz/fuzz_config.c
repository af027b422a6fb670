/* Any bytes as files, command line and CONFIG SET are a configuration or are refused with a reason. What was taken can be written and
 * is read back as the same; what CONFIG SET refuses leaves all as it was.
 *
 *     sections, each ended by \x1e:  the file | a.conf | b.conf | the words of the command line | name, value, name, value...
 *     words of the last two, each ended by \x1f
 *
 * The reader's own way to its files, fopen() and glob(), is led to those three, so that no input reads what the machine holds. */
#include "base/hash.h"
#include "server/config_internal.h"

#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES 3
#define WORDS_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found);
void __wrap_globfree(glob_t *found);

static const char *const names[FILES] = { "fuzzed.conf", "a.conf", "b.conf" };
static struct bytes files[FILES];
static bool reading; /* our own files, rather than the fuzzer's */
static unsigned files_left;

FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (!reading) return __real_fopen(path, mode);
    /* Sixteen levels of files that include each other twice would be right, and take all day. */
    for (int i = 0; i < FILES; i++) {
        if (strcmp(path, names[i]) != 0 || files_left == 0) continue;
        files_left--;
        /* fmemopen() takes no empty file; to the reader a line's end is none either. */
        return files[i].len > 0 ? fmemopen((void *)(uintptr_t)files[i].data, files[i].len, "r")
                                : fmemopen((void *)(uintptr_t) "\n", 1, "r");
    }
    errno = ENOENT;
    return NULL;
}

int __wrap_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found)
{
    static char *paths[FILES];

    (void)flags;
    (void)failed;
    *found = (glob_t){ .gl_pathv = paths };
    for (int i = 0; i < FILES; i++)
        if (fnmatch(pattern, names[i], 0) == 0) paths[found->gl_pathc++] = (char *)(uintptr_t)names[i];
    return found->gl_pathc > 0 ? 0 : GLOB_NOMATCH;
}

void __wrap_globfree(glob_t *found)
{
    (void)found;
}

/* Takes what stands before the next `end` off the front. */
static struct bytes take(struct bytes *rest, char end)
{
    const char *at = rest->len > 0 ? memchr(rest->data, end, rest->len) : NULL;
    struct bytes taken = { rest->data, at ? (size_t)(at - rest->data) : rest->len };

    rest->data += taken.len + (at != NULL);
    rest->len -= taken.len + (at != NULL);
    return taken;
}

static size_t take_words(struct bytes section, struct bytes words[WORDS_MAX])
{
    size_t count = 0;

    while (section.len > 0 && count < WORDS_MAX) words[count++] = take(&section, '\x1f');
    return count;
}

static void list_one(void *context, struct bytes name, struct bytes value)
{
    struct buf *out = context;

    buf_append_bytes(out, name);
    buf_append_byte(out, '=');
    buf_append_bytes(out, value);
    buf_append_byte(out, '\n');
}

/* Every directive with its value. */
static void list(struct config *config, struct buf *out)
{
    struct bytes all = BYTES("*");

    buf_clear(out);
    config_each(config, &all, 1, list_one, out);
}

static void check_reason(const char *text, size_t room)
{
    if (text[0] == '\0' || strnlen(text, room) == room) abort();
}

/* The configuration as a file, a line for each directive that is not at its default, is the same configuration. */
static void check_it_reads_back(struct config *config)
{
    size_t count;
    const struct option *options = config_options(&count);
    struct config *again = config_new();
    struct config_problem problem;
    struct buf file = { 0 }, wanted = { 0 }, got = { 0 };

    for (size_t i = 0; i < count; i++) {
        struct option_value value = { 0 };

        if (options[i].flags & OPTION_HIDDEN) continue;
        config_load(config, &options[i], &value);
        if (!config_is_default(&options[i], &value)) {
            config_words(&options[i], &value, &file);
            buf_append_byte(&file, '\n');
        }
        buf_free(&value.text);
    }
    if (!config_read_text(again, buf_bytes(&file), "written.conf", &problem)) {
        fprintf(stderr, "%s\n", problem.text);
        abort();
    }
    list(config, &wanted);
    list(again, &got);
    if (!bytes_equal(buf_bytes(&wanted), buf_bytes(&got))) {
        fprintf(stderr, "--- taken\n%.*s--- read back\n%.*s", (int)wanted.len, wanted.data, (int)got.len, got.data);
        abort();
    }
    buf_free(&file);
    buf_free(&wanted);
    buf_free(&got);
    config_free(&again);
}

static bool read_arguments(struct config *config, struct bytes section, struct config_problem *problem)
{
    struct bytes words[WORDS_MAX];
    char *arguments[WORDS_MAX];
    size_t count = take_words(section, words);
    bool ok;

    for (size_t i = 0; i < count; i++) arguments[i] = strndup(words[i].len > 0 ? words[i].data : "", words[i].len);
    /* "-" would be standard input. */
    if (count > 0 && strcmp(arguments[count - 1], "-") == 0) arguments[count - 1][0] = '+';
    ok = config_read_arguments(config, (int)count, arguments, problem);
    for (size_t i = 0; i < count; i++) free(arguments[i]);
    return ok;
}

static void set(struct config *config, struct bytes section)
{
    struct bytes words[WORDS_MAX];
    struct config_pair pairs[WORDS_MAX / 2];
    struct buf before = { 0 }, after = { 0 };
    char error[512] = "";
    size_t count = take_words(section, words) / 2;

    for (size_t i = 0; i < count; i++) pairs[i] = (struct config_pair){ words[2 * i], words[2 * i + 1] };
    list(config, &before);
    if (config_set(config, pairs, count, true, error)) {
        check_it_reads_back(config);
    } else {
        check_reason(error, sizeof(error));
        list(config, &after);
        if (strncmp(error, "ERR ", 4) != 0 || !bytes_equal(buf_bytes(&before), buf_bytes(&after))) abort();
    }
    buf_free(&before);
    buf_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = { (const char *)data, size };
    struct config_problem problem = { "" };
    struct config *config;
    bool ok;

    hash_set_seed(1);
    for (int i = 0; i < FILES; i++) files[i] = take(&rest, '\x1e');
    config = config_new();
    reading = true;
    files_left = 24;
    ok = config_read_file(config, names[0], &problem) && read_arguments(config, take(&rest, '\x1e'), &problem) &&
         config_finish(config, &problem);
    reading = false;
    if (ok) {
        check_it_reads_back(config);
        set(config, rest);
    } else {
        check_reason(problem.text, sizeof(problem.text));
    }
    config_free(&config);
    return 0;
}
