/* server/config_check.c
 *
 * The checks of single directives: those whose words mean more than a type can say. */
#include "server/config_internal.h"

#include "cache/policy.h"
#include "salt/name.h"
#include "server/event_class.h"

#include <ctype.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static bool refuse(char error[OPTION_ERROR_BYTES], const char *reason)
{
    snprintf(error, OPTION_ERROR_BYTES, "%s", reason);
    return false;
}

static void join(const struct bytes *words, size_t count, struct buf *text)
{
    buf_clear(text);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) buf_append_byte(text, ' ');
        buf_append_bytes(text, words[i]);
    }
}

/* --- client-output-buffer-limit: "normal 0 0 0 slave 268435456 67108864 60 pubsub ..." --- */

struct limits {
    uint64_t hard, soft, seconds;
};
static const char *const class_names[CLIENT_CLASS_COUNT] = { "normal", "slave", "pubsub" };

static int class_of(struct bytes word)
{
    if (bytes_is_word(word, "replica")) return CLIENT_CLASS_REPLICA;
    for (int class = 0; class < CLIENT_CLASS_COUNT; class ++)
        if (bytes_is_word(word, class_names[class])) return class;
    return -1;
}

/* Fours of class, hard limit, soft limit, seconds; classes that are not named stay as they are. */
static bool read_limits(const struct bytes *words, size_t count, struct limits limits[CLIENT_CLASS_COUNT],
                        char error[OPTION_ERROR_BYTES])
{
    if (count % 4 != 0) return refuse(error, "Wrong number of arguments in buffer limit configuration.");
    for (size_t i = 0; i < count; i += 4) {
        int class = class_of(words[i]);
        int64_t seconds;
        struct limits given;

        if (class < 0) return refuse(error, "Invalid client class specified in buffer limit configuration.");
        if (!option_size(words[i + 1], &given.hard) || !option_size(words[i + 2], &given.soft) ||
            given.hard > INT64_MAX || given.soft > INT64_MAX || !bytes_to_i64(words[i + 3], &seconds) || seconds < 0)
            return refuse(error, "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
        given.seconds = (uint64_t)seconds;
        limits[class] = given;
    }
    return true;
}

bool config_check_output_limits(const struct bytes *words, size_t count, struct buf *text,
                                char error[OPTION_ERROR_BYTES])
{
    struct limits limits[CLIENT_CLASS_COUNT] = { 0 };
    struct words present;
    bool ok;

    /* Nothing given changes nothing. */
    if (count == 1 && words[0].len == 0) count = 0;
    if (words_split(buf_bytes(text), &present) && present.count > 0)
        read_limits(present.items, present.count, limits, error);
    words_free(&present);
    ok = read_limits(words, count, limits, error);
    if (!ok) return false;
    buf_clear(text);
    for (int class = 0; class < CLIENT_CLASS_COUNT; class ++)
        buf_printf(text, "%s%s %llu %llu %llu", class == 0 ? "" : " ", class_names[class],
                   (unsigned long long)limits[class].hard, (unsigned long long)limits[class].soft,
                   (unsigned long long)limits[class].seconds);
    return true;
}

void config_spread_output_limits(struct config *config, struct bytes text)
{
    struct limits limits[CLIENT_CLASS_COUNT] = { 0 };
    char error[OPTION_ERROR_BYTES];
    struct words words;

    if (words_split(text, &words) && read_limits(words.items, words.count, limits, error)) {
        for (int class = 0; class < CLIENT_CLASS_COUNT; class ++) {
            atomic_store_explicit(&config->client_output_buffer_limit[class].hard_bytes, (int64_t)limits[class].hard,
                                  memory_order_relaxed);
            atomic_store_explicit(&config->client_output_buffer_limit[class].soft_bytes, (int64_t)limits[class].soft,
                                  memory_order_relaxed);
            atomic_store_explicit(&config->client_output_buffer_limit[class].soft_seconds,
                                  (int64_t)limits[class].seconds, memory_order_relaxed);
        }
    }
    words_free(&words);
}

/* --- Texts --- */

bool config_check_bind(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES])
{
    (void)words;
    (void)text;
    return count <= BIND_ADDRESSES_MAX || refuse(error, "Too many bind addresses specified.");
}

bool config_check_directory(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES])
{
    struct stat status;
    char path[4096];

    (void)count;
    (void)text;
    if (words[0].len == 0 || words[0].len >= sizeof(path) || memchr(words[0].data, 0, words[0].len))
        return refuse(error, "argument must be the path of a directory");
    memcpy(path, words[0].data, words[0].len);
    path[words[0].len] = 0;
    if (stat(path, &status) != 0) return refuse(error, "No such file or directory");
    if (!S_ISDIR(status.st_mode)) return refuse(error, "Not a directory");
    return true;
}

bool config_check_shutdown(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES])
{
    static const char *const known[] = { "default", "save", "nosave", "now", "force" };

    (void)text;
    for (size_t i = 0; i < count; i++) {
        bool found = false;

        for (size_t n = 0; n < sizeof(known) / sizeof(known[0]); n++)
            found = found || bytes_is_word(words[i], known[n]);
        if (!found) return refuse(error, "argument(s) must be one of the following: default, save, nosave, now, force");
    }
    return true;
}

bool config_check_announce_ip(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES])
{
    (void)count;
    (void)text;
    /* 45 characters hold any address; the bus's header has room for no more. */
    if (words[0].len > 45) return refuse(error, "argument must be an IP address");
    /* What the cluster takes for one: other characters it would pass over without a word. */
    for (size_t i = 0; i < words[0].len; i++) {
        char c = words[0].data[i];

        if (!isalnum((unsigned char)c) && (c == '\0' || strchr(".:-_%", c) == NULL))
            return refuse(error, "argument must be an IP address");
    }
    return true;
}

bool config_check_hostname(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES])
{
    (void)count;
    (void)text;
    if (words[0].len > 255) return refuse(error, "Hostnames must be less than 256 characters");
    for (size_t i = 0; i < words[0].len; i++) {
        unsigned char c = (unsigned char)words[0].data[i];

        if (!isalnum(c) && c != '-' && c != '.')
            return refuse(error, "Hostnames may only contain alphanumeric characters, hyphens or dots");
    }
    return true;
}

bool config_check_events(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES])
{
    uint32_t classes;

    (void)count;
    if (!event_classes_read(words[0], &classes))
        return refuse(error, "Invalid event class character. Use 'Ag$lshzxeKEtmdnH'.");
    buf_clear(text);
    event_classes_write(classes, text);
    return true;
}

bool config_check_salt_separator(const struct bytes *words, size_t count, struct buf *text,
                                 char error[OPTION_ERROR_BYTES])
{
    (void)count;
    (void)text;
    if (words[0].len == 1 && salt_separator_ok(words[0].data[0])) return true;
    return refuse(error, "salt-separator is one character that is no letter, digit, blank or brace");
}

/* --- Numbers in a row --- */

bool config_check_oom_values(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES])
{
    if (count != 3) return refuse(error, "wrong number of arguments");
    for (size_t i = 0; i < count; i++) {
        int64_t value;

        if (!bytes_to_i64(words[i], &value) || value < -2000 || value > 2000)
            return refuse(error, "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
    }
    join(words, count, text);
    return true;
}

bool config_check_percentiles(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES])
{
    buf_clear(text);
    if (count == 1 && words[0].len == 0) return true;
    for (size_t i = 0; i < count; i++) {
        long double value;

        if (!bytes_to_long_double(words[i], &value))
            return refuse(error, "Invalid latency-tracking-info-percentiles parameters");
        if (!(value >= 0 && value <= 100))
            return refuse(error, "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
    }
    join(words, count, text);
    return true;
}

bool config_check_save(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES])
{
    if (count == 0 || (count == 1 && words[0].len == 0)) {
        buf_clear(text);
        return true;
    }
    if (count % 2 != 0) return refuse(error, "Invalid save parameters");
    for (size_t i = 0; i < count; i++) {
        int64_t value;

        if (!bytes_to_i64(words[i], &value) || value < (i % 2 == 0 ? 1 : 0))
            return refuse(error, "Invalid save parameters");
    }
    join(words, count, text);
    return true;
}

/* Adds a line to those before it; what it says is put together when the node starts. */
bool config_check_policy(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES])
{
    if (count < 3 || count % 2 == 0) return refuse(error, "a prefix and pairs of a field and its value are needed");
    if (words[0].len > POLICY_PREFIX_BYTES_MAX) return refuse(error, "the prefix is too long");
    if (text->len > POLICY_TEXT_BYTES_MAX) return refuse(error, "there are too many policies");
    if (text->len > 0) buf_append_byte(text, '\n');
    words_quote(words[0], text);
    for (size_t at = 1; at < count; at += 2) {
        enum policy_field field;
        int64_t value;

        if (!policy_field_of(words[at], &field)) return refuse(error, "there is no such field");
        if (!policy_value_of(field, words[at + 1], &value, error)) return false;
        buf_printf(text, " %s %.*s", policy_field_name(field), (int)words[at + 1].len, words[at + 1].data);
    }
    return true;
}
