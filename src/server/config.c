/* server/config.c
 *
 * The values, and how they change at run time. A change is made in three steps, so that it happens whole or not at all: every pair is read,
 * all values are put in place, and those who must act on them (hooks) are told; a hook that refuses takes all of it back. */
#include "server/config_internal.h"

#include "base/alloc.h"
#include "base/glob.h"
#include "server/event_class.h"

#include <stdio.h>

static _Atomic int64_t *number_of(struct config *config, const struct option *option)
{
    return (_Atomic int64_t *)(void *)((char *)config + option->place);
}

void config_load(struct config *config, const struct option *option, struct option_value *out)
{
    if (option_is_number(option)) {
        out->number = atomic_load_explicit(number_of(config, option), memory_order_relaxed);
        return;
    }
    buf_clear(&out->text);
    config_text(config, (enum config_text)option->place, &out->text);
}

void config_store(struct config *config, const struct option *option, const struct option_value *value)
{
    uint32_t classes;

    if (option_is_number(option)) {
        atomic_store_explicit(number_of(config, option), value->number, memory_order_relaxed);
        return;
    }
    lock_take(&config->lock);
    buf_clear(&config->texts[option->place]);
    buf_append_bytes(&config->texts[option->place], buf_bytes(&value->text));
    if (option->place == CONFIG_REQUIREPASS)
        atomic_store_explicit(&config->requires_password, value->text.len > 0, memory_order_relaxed);
    if (option->place == CONFIG_NOTIFY_KEYSPACE_EVENTS && event_classes_read(buf_bytes(&value->text), &classes))
        atomic_store_explicit(&config->event_classes, classes, memory_order_relaxed);
    lock_release(&config->lock);
    if (option->place == CONFIG_CLIENT_OUTPUT_BUFFER_LIMIT)
        config_spread_output_limits(config, buf_bytes(&value->text));
}

bool config_is_default(const struct option *option, const struct option_value *value)
{
    struct option_value fallback = { 0 };
    bool equal;

    option_default(option, &fallback);
    equal = option_values_equal(option, value, &fallback);
    buf_free(&fallback.text);
    return equal;
}

struct config *config_new(void)
{
    struct config *config = alloc_zeroed(sizeof(*config));
    size_t count;
    const struct option *options = config_options(&count);

    pthread_mutex_init(&config->change_lock, NULL);
    for (size_t i = 0; i < count; i++) {
        struct option_value value = { 0 };

        option_default(&options[i], &value);
        config_store(config, &options[i], &value);
        buf_free(&value.text);
    }
    return config;
}

void config_free(struct config **config)
{
    if (!*config) return;
    for (size_t i = 0; i < CONFIG_TEXT_COUNT; i++) buf_free(&(*config)->texts[i]);
    pthread_mutex_destroy(&(*config)->change_lock);
    alloc_free(*config);
    *config = NULL;
}

void config_text(struct config *config, enum config_text text, struct buf *out)
{
    lock_take(&config->lock);
    buf_append_bytes(out, buf_bytes(&config->texts[text]));
    lock_release(&config->lock);
}

void config_put_text(struct config *config, enum config_text text, struct bytes bytes)
{
    lock_take(&config->lock);
    buf_clear(&config->texts[text]);
    buf_append_bytes(&config->texts[text], bytes);
    lock_release(&config->lock);
}

bool config_text_copy(struct config *config, enum config_text text, char *out, size_t size)
{
    bool fits;

    lock_take(&config->lock);
    fits = config->texts[text].len < size;
    if (fits && config->texts[text].len > 0) memcpy(out, config->texts[text].data, config->texts[text].len);
    out[fits ? config->texts[text].len : 0] = 0;
    lock_release(&config->lock);
    return fits;
}

bool config_password_matches(struct config *config, struct bytes given)
{
    bool matches;

    lock_take(&config->lock);
    matches = config->texts[CONFIG_REQUIREPASS].len == 0 ||
              bytes_equal_secret(given, buf_bytes(&config->texts[CONFIG_REQUIREPASS]));
    lock_release(&config->lock);
    return matches;
}

void config_on_change(struct config *config, struct config_hook *hook)
{
    lock_take(&config->lock);
    hook->next = config->hooks;
    config->hooks = hook;
    lock_release(&config->lock);
}

/* Cuts a word at its spaces, as CONFIG SET and a quoted value of several words are read. */
static void split_at_spaces(struct bytes text, struct words *words)
{
    size_t at = 0;

    while (at < text.len) {
        size_t start;

        while (at < text.len && text.data[at] == ' ') at++;
        start = at;
        while (at < text.len && text.data[at] != ' ') at++;
        if (at == start) break;
        words->items = alloc_resize(words->items, (words->count + 1) * sizeof(*words->items));
        words->items[words->count++] = (struct bytes){ text.data + start, at - start };
    }
}

bool config_parse(struct config *config, const struct option *option, const struct bytes *words, size_t count,
                  struct option_value *out, char error[OPTION_ERROR_BYTES])
{
    struct bytes nothing = BYTES("");
    struct words split = { 0 };
    bool ok;

    if (option->type == OPTION_SPECIAL) config_load(config, option, out);
    /* A list is kept joined by spaces, so its words hold none and none is empty: else it would be another when it is read back. */
    if (option->type == OPTION_LIST || (option->type == OPTION_SPECIAL && count == 1 && words[0].len > 0)) {
        for (size_t i = 0; i < count; i++) split_at_spaces(words[i], &split);
        words = split.count > 0 || option->type == OPTION_SPECIAL ? split.items : &nothing;
        count = split.count > 0 || option->type == OPTION_SPECIAL ? split.count : 1;
    }
    ok = option_parse(option, words, count, out, error);
    words_free(&split);
    return ok;
}

/* --- CONFIG SET --- */

struct change {
    const struct option *option;
    struct option_value before, after;
};

static bool hook_watches(const struct config_hook *hook, const struct change *changes, size_t count)
{
    if (!hook->names) return true;
    for (const char *const *name = hook->names; *name; name++)
        for (size_t i = 0; i < count; i++)
            if (strcmp(changes[i].option->name, *name) == 0) return true;
    return false;
}

/* Hooks are only ever added, at the front, so a walk from a head that was read under the lock needs none. */
static struct config_hook *first_hook(struct config *config)
{
    struct config_hook *hook;

    lock_take(&config->lock);
    hook = config->hooks;
    lock_release(&config->lock);
    return hook;
}

/* The name among the pairs that a refusing hook was about: the first it watches. */
static const char *name_for(const struct config_hook *hook, const struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (hook_watches(hook, &changes[i], 1)) return changes[i].option->name;
    return changes[0].option->name;
}

static bool apply(struct config *config, struct change *changes, size_t count, char error[512])
{
    struct config_hook *first = first_hook(config);
    char reason[256] = "";

    for (size_t i = 0; i < count; i++) config_store(config, changes[i].option, &changes[i].after);
    for (struct config_hook *hook = first; hook; hook = hook->next) {
        if (!hook_watches(hook, changes, count)) continue;
        snprintf(reason, sizeof(reason), "%s", name_for(hook, changes, count));
        if (hook->changed(hook->context, config, reason)) continue;
        snprintf(error, 512, "ERR CONFIG SET failed (possibly related to argument '%s') - %s",
                 name_for(hook, changes, count), reason);
        for (size_t i = 0; i < count; i++) config_store(config, changes[i].option, &changes[i].before);
        for (struct config_hook *again = first; again != hook->next; again = again->next)
            if (hook_watches(again, changes, count)) again->changed(again->context, config, reason);
        return false;
    }
    return true;
}

/* Reads one pair into changes[*count]; false with the reply in error. */
static bool read_pair(struct config *config, const struct config_pair *pair, struct change *changes, size_t *count,
                      bool protected_ok, char error[512])
{
    size_t option_count;
    const struct option *options = config_options(&option_count),
                        *option = option_find(options, option_count, pair->name);
    char reason[OPTION_ERROR_BYTES] = "";
    struct change *change = &changes[*count];

    if (!option || (option->flags & OPTION_HIDDEN)) {
        const char *nearest = option_nearest(options, option_count, pair->name);

        snprintf(error, 512, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'%s%s%s",
                 (int)(pair->name.len < 128 ? pair->name.len : 128), pair->name.data, nearest ? " (did you mean '" : "",
                 nearest ? nearest : "", nearest ? "'?)" : "");
        return false;
    }
    for (size_t i = 0; i < *count; i++)
        if (changes[i].option == option) snprintf(reason, sizeof(reason), "duplicate parameter");
    if (!reason[0] && (option->flags & OPTION_FIXED)) snprintf(reason, sizeof(reason), "can't set immutable config");
    if (!reason[0] && (option->flags & OPTION_PROTECTED) && !protected_ok)
        snprintf(reason, sizeof(reason), "can't set protected config");
    if (!reason[0]) {
        *change = (struct change){ .option = option };
        (*count)++;
        config_load(config, option, &change->before);
        /* A relative name leads back only from where it was said. */
        if (option->place == CONFIG_DIR && !option_is_number(option)) {
            buf_clear(&change->before.text);
            config_current_directory(&change->before.text);
        }
        if (config_parse(config, option, &pair->value, 1, &change->after, reason)) return true;
    }
    snprintf(error, 512, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
             (int)(pair->name.len < 64 ? pair->name.len : 64), pair->name.data, reason);
    return false;
}

bool config_set(struct config *config, const struct config_pair *pairs, size_t pair_count, bool protected_ok,
                char error[512])
{
    struct change *changes = alloc_zeroed((pair_count + 1) * sizeof(*changes));
    size_t count = 0;
    bool ok = true;

    lock_assert_none_held();
    pthread_mutex_lock(&config->change_lock);
    for (size_t i = 0; ok && i < pair_count; i++)
        ok = read_pair(config, &pairs[i], changes, &count, protected_ok, error);
    if (ok && count > 0) ok = apply(config, changes, count, error);
    pthread_mutex_unlock(&config->change_lock);
    for (size_t i = 0; i < count; i++) {
        buf_free(&changes[i].before.text);
        buf_free(&changes[i].after.text);
    }
    alloc_free(changes);
    return ok;
}

/* --- CONFIG GET --- */

static bool any_matches(const struct bytes *globs, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (glob_match_nocase(globs[i], name)) return true;
    return false;
}

void config_each(struct config *config, const struct bytes *globs, size_t glob_count,
                 void (*visit)(void *context, struct bytes name, struct bytes value), void *context)
{
    size_t count;
    const struct option *options = config_options(&count);
    struct option_value value = { 0 };
    struct buf text = { 0 };

    for (size_t i = 0; i < count; i++) {
        const char *names[2] = { options[i].name, options[i].alias };

        if (options[i].flags & OPTION_HIDDEN) continue;
        for (int n = 0; n < 2; n++) {
            if (!names[n] || !any_matches(globs, glob_count, bytes_of(names[n]))) continue;
            config_load(config, &options[i], &value);
            buf_clear(&text);
            if (options[i].place == CONFIG_DIR && !option_is_number(&options[i]))
                config_current_directory(&text);
            else if (options[i].place == CONFIG_NOTIFY_KEYSPACE_EVENTS && !option_is_number(&options[i]))
                event_classes_show(config_int(config, event_classes), &text);
            else
                option_format(&options[i], &value, &text);
            visit(context, bytes_of(names[n]), buf_bytes(&text));
        }
    }
    buf_free(&text);
    buf_free(&value.text);
}
