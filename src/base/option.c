/* base/option.c
 *
 * Reading and writing the values of options, by their types. */
#include "base/option.h"

#include "base/alloc.h"

#include <ctype.h>
#include <stdio.h>

/* A whole unsigned decimal of at least one digit, as redis.conf's sizes have it: leading zeros are fine. */
static bool digits_to_u64(struct bytes text, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool option_size(struct bytes text, uint64_t *out)
{
    static const struct {
        const char *suffix;
        uint64_t unit;
    } units[] = { { "", 1 },        { "b", 1 },         { "k", 1000 },       { "kb", 1024 },
                  { "m", 1000000 }, { "mb", 1u << 20 }, { "g", 1000000000 }, { "gb", 1u << 30 } };
    size_t digits = 0;
    uint64_t number;

    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9') digits++;
    if (!digits_to_u64((struct bytes){ text.data, digits }, &number)) return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!bytes_is_word((struct bytes){ text.data + digits, text.len - digits }, units[i].suffix)) continue;
        return !__builtin_mul_overflow(number, units[i].unit, out);
    }
    return false;
}

static bool parse_octal(struct bytes text, int64_t *out)
{
    int64_t value = 0;

    if (text.len == 0 || text.len > 10) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '7') return false;
        value = value * 8 + (text.data[i] - '0');
    }
    *out = value;
    return true;
}

static bool refuse(char error[OPTION_ERROR_BYTES], const char *reason)
{
    snprintf(error, OPTION_ERROR_BYTES, "%s", reason);
    return false;
}

static bool parse_percent(const struct option *option, struct bytes word, int64_t *out, char error[OPTION_ERROR_BYTES])
{
    uint64_t percent;

    if (!digits_to_u64((struct bytes){ word.data, word.len - 1 }, &percent))
        return refuse(error, "argument must be a memory or percent value");
    if (percent > (uint64_t)-option->min) {
        snprintf(error, OPTION_ERROR_BYTES, "percentage argument must be less or equal to %lld",
                 (long long)-option->min);
        return false;
    }
    *out = -(int64_t)percent;
    return true;
}

static bool parse_number(const struct option *option, struct bytes word, int64_t *out, char error[OPTION_ERROR_BYTES])
{
    bool percent = option->flags & OPTION_PERCENT;
    int64_t value = 0, min = percent ? 0 : option->min;

    if (percent && word.len > 0 && word.data[word.len - 1] == '%') return parse_percent(option, word, out, error);
    if (option->type == OPTION_SIZE) {
        uint64_t bytes = 0;

        /* An empty size means none, as an empty maxmemory always has. */
        if (word.len > 0 && !option_size(word, &bytes))
            return refuse(error,
                          percent ? "argument must be a memory or percent value" : "argument must be a memory value");
        value = bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
    } else if (option->flags & OPTION_OCTAL) {
        if (!parse_octal(word, &value)) return refuse(error, "argument couldn't be parsed as an octal number");
    } else if (!bytes_to_i64(word, &value)) {
        return refuse(error, "argument couldn't be parsed into an integer");
    }
    if (value < min || value > option->max) {
        if (option->flags & OPTION_OCTAL)
            snprintf(error, OPTION_ERROR_BYTES, "argument must be between %llo and %llo inclusive",
                     (unsigned long long)min, (unsigned long long)option->max);
        else
            snprintf(error, OPTION_ERROR_BYTES, "argument must be between %lld and %lld inclusive", (long long)min,
                     (long long)option->max);
        return false;
    }
    *out = value;
    return true;
}

static bool parse_enum(const struct option *option, struct bytes word, int64_t *out, char error[OPTION_ERROR_BYTES])
{
    size_t used;

    for (const struct option_name *name = option->names; name->name; name++) {
        if (!bytes_is_word(word, name->name)) continue;
        *out = name->value;
        return true;
    }
    used = (size_t)snprintf(error, OPTION_ERROR_BYTES, "argument(s) must be one of the following: ");
    for (const struct option_name *name = option->names; name->name && used < OPTION_ERROR_BYTES; name++)
        used += (size_t)snprintf(error + used, OPTION_ERROR_BYTES - used, "%s%s", name == option->names ? "" : ", ",
                                 name->name);
    return false;
}

static bool parse_bool(struct bytes word, int64_t *out, char error[OPTION_ERROR_BYTES])
{
    if (!bytes_is_word(word, "yes") && !bytes_is_word(word, "no"))
        return refuse(error, "argument must be 'yes' or 'no'");
    *out = bytes_is_word(word, "yes");
    return true;
}

static bool parse_words(const struct option *option, const struct bytes *words, size_t count, struct option_value *out,
                        char error[OPTION_ERROR_BYTES])
{
    if (option->type != OPTION_SPECIAL) {
        buf_clear(&out->text);
        for (size_t i = 0; i < count; i++) {
            if (i > 0) buf_append_byte(&out->text, ' ');
            buf_append_bytes(&out->text, words[i]);
        }
    }
    return !option->check || option->check(words, count, &out->text, error);
}

/* What this node lacks may be asked for in no other form than that it is not wanted. */
static bool is_allowed(const struct option *option, const struct option_value *value, char error[OPTION_ERROR_BYTES])
{
    struct option_value fallback = { 0 };
    struct buf text = { 0 };
    bool allowed;

    if (!option->lacks) return true;
    option_default(option, &fallback);
    allowed = !(option->flags & OPTION_HIDDEN) && option_values_equal(option, value, &fallback);
    option_format(option, value, &text);
    for (const char *const *at = option->allowed; !allowed && at && *at; at++)
        allowed = bytes_is_word(buf_bytes(&text), *at);
    if (!allowed) {
        buf_clear(&text);
        option_format(option, &fallback, &text);
        if (option->flags & OPTION_HIDDEN)
            snprintf(error, OPTION_ERROR_BYTES, "this node has no %s", option->lacks);
        else
            snprintf(error, OPTION_ERROR_BYTES, "this node has no %s: the value can only be '%.*s'", option->lacks,
                     (int)text.len, text.len ? text.data : "");
    }
    buf_free(&text);
    buf_free(&fallback.text);
    return allowed;
}

bool option_parse(const struct option *option, const struct bytes *words, size_t count, struct option_value *out,
                  char error[OPTION_ERROR_BYTES])
{
    bool many = option->type == OPTION_LIST || option->type == OPTION_SPECIAL;
    bool ok = false;

    if (!many && count != 1) return refuse(error, "wrong number of arguments");
    switch (option->type) {
    case OPTION_BOOL:
        ok = parse_bool(words[0], &out->number, error);
        break;
    case OPTION_INTEGER:
    case OPTION_SIZE:
        ok = parse_number(option, words[0], &out->number, error);
        break;
    case OPTION_ENUM:
        ok = parse_enum(option, words[0], &out->number, error);
        break;
    case OPTION_TEXT:
    case OPTION_LIST:
    case OPTION_SPECIAL:
        ok = parse_words(option, words, count, out, error);
        break;
    }
    return ok && is_allowed(option, out, error);
}

void option_default(const struct option *option, struct option_value *out)
{
    out->number = option->fallback;
    if (option_is_number(option)) return;
    buf_clear(&out->text);
    if (option->fallback_text) buf_append_text(&out->text, option->fallback_text);
}

void option_format(const struct option *option, const struct option_value *value, struct buf *out)
{
    switch (option->type) {
    case OPTION_BOOL:
        buf_append_text(out, value->number ? "yes" : "no");
        break;
    case OPTION_INTEGER:
    case OPTION_SIZE:
        if (option->flags & OPTION_OCTAL)
            buf_printf(out, "%llo", (unsigned long long)value->number);
        else if ((option->flags & OPTION_PERCENT) && value->number < 0)
            buf_printf(out, "%lld%%", (long long)-value->number);
        else
            buf_printf(out, "%lld", (long long)value->number);
        break;
    case OPTION_ENUM:
        for (const struct option_name *name = option->names; name->name; name++) {
            if (name->value != value->number) continue;
            buf_append_text(out, name->name);
            break;
        }
        break;
    case OPTION_TEXT:
    case OPTION_LIST:
    case OPTION_SPECIAL:
        buf_append_bytes(out, buf_bytes(&value->text));
        break;
    }
}

bool option_values_equal(const struct option *option, const struct option_value *a, const struct option_value *b)
{
    return option_is_number(option) ? a->number == b->number : bytes_equal(buf_bytes(&a->text), buf_bytes(&b->text));
}

const struct option *option_find(const struct option *table, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_is_word(name, table[i].name) || (table[i].alias && bytes_is_word(name, table[i].alias)))
            return &table[i];
    return NULL;
}

#define NAME_BYTES_MAX 64

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap of neighbours) from a to b; both are at most NAME_BYTES_MAX long. '_' and '-' are the same. As many as
 * `enough`, or more, is all that is said of words that are so far apart: for most pairs that is known from their lengths, or their beginnings. */
static size_t edits(struct bytes a, struct bytes b, size_t enough)
{
    size_t rows[3][NAME_BYTES_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2], least_before = 0;

    if ((a.len > b.len ? a.len - b.len : b.len - a.len) >= enough) return enough;
    for (size_t j = 0; j <= b.len; j++) last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t least = i;

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            int x = tolower((unsigned char)a.data[i - 1]), y = tolower((unsigned char)b.data[j - 1]);
            bool same = x == y || (x == '_' && y == '-');

            row[j] = min_of(last[j - 1] + !same, 1 + min_of(last[j], row[j - 1]));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b.data[j - 2]) &&
                y == tolower((unsigned char)a.data[i - 2]))
                row[j] = min_of(row[j], before[j - 2] + 1);
            least = min_of(least, row[j]);
        }
        if (least >= enough && least_before >= enough)
            return enough; /* rows are made of the two before them, and grow */
        least_before = least;
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[b.len];
}

const char *option_nearest(const struct option *table, size_t count, struct bytes name)
{
    const char *nearest = NULL;
    size_t fewest;

    if (name.len == 0 || name.len > NAME_BYTES_MAX) return NULL;
    fewest = name.len / 3 + 1; /* what is further off is another word, not a slip */
    for (size_t i = 0; i < count; i++) {
        const char *both[2] = { table[i].name, table[i].alias };

        for (int n = 0; n < 2; n++) {
            size_t distance;

            if (!both[n]) continue;
            distance = edits(name, bytes_of(both[n]), fewest);
            if (distance >= fewest) continue;
            fewest = distance;
            nearest = both[n];
        }
    }
    return nearest;
}

/* --- Words --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static char escaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* Copies what a pair of quotes holds; *at stands behind the opening one and ends behind the closing one. */
static bool copy_quoted(struct bytes line, size_t *at, char quote, struct buf *out)
{
    for (size_t i = *at; i < line.len; i++) {
        char c = line.data[i];

        if (c == quote) {
            /* What follows a closing quote directly is a slip of the user's, never a part of the word. */
            if (i + 1 < line.len && !isspace((unsigned char)line.data[i + 1])) return false;
            *at = i + 1;
            return true;
        }
        if (c == '\\' && i + 1 < line.len && quote == '\'' && line.data[i + 1] == '\'') {
            c = line.data[++i];
        } else if (c == '\\' && quote == '"' && i + 3 < line.len && line.data[i + 1] == 'x' &&
                   hex_digit(line.data[i + 2]) >= 0 && hex_digit(line.data[i + 3]) >= 0) {
            c = (char)(hex_digit(line.data[i + 2]) * 16 + hex_digit(line.data[i + 3]));
            i += 3;
        } else if (c == '\\' && quote == '"' && i + 1 < line.len) {
            c = escaped(line.data[++i]);
        }
        buf_append_byte(out, c);
    }
    return false;
}

bool words_split(struct bytes line, struct words *words)
{
    size_t at = 0;

    *words = (struct words){ 0 };
    /* A word is never longer than its source: with this room the memory does not move while words point into it. */
    buf_reserve(&words->memory, line.len + 1);
    for (;;) {
        size_t start = words->memory.len;

        while (at < line.len && isspace((unsigned char)line.data[at])) at++;
        if (at == line.len) return true;
        while (at < line.len && !isspace((unsigned char)line.data[at])) {
            char c = line.data[at++];

            if (c != '"' && c != '\'')
                buf_append_byte(&words->memory, c);
            else if (!copy_quoted(line, &at, c, &words->memory))
                return false;
        }
        words->items = alloc_resize(words->items, (words->count + 1) * sizeof(*words->items));
        words->items[words->count++] = (struct bytes){ words->memory.data + start, words->memory.len - start };
    }
}

void words_free(struct words *words)
{
    alloc_free(words->items);
    buf_free(&words->memory);
    *words = (struct words){ 0 };
}

static bool is_plain(struct bytes word)
{
    if (word.len == 0 || word.data[0] == '#') return false;
    for (size_t i = 0; i < word.len; i++)
        if (!isgraph((unsigned char)word.data[i]) || strchr("\"'\\", word.data[i])) return false;
    return true;
}

void words_quote(struct bytes word, struct buf *out)
{
    if (is_plain(word)) {
        buf_append_bytes(out, word);
        return;
    }
    buf_append_byte(out, '"');
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.data[i];

        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_append_text(out, "\\n");
        else if (c == '\r')
            buf_append_text(out, "\\r");
        else if (c == '\t')
            buf_append_text(out, "\\t");
        else if (!isprint(c))
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_byte(out, (char)c);
    }
    buf_append_byte(out, '"');
}
