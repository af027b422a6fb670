/* base/option.h
 *
 * One descriptor per option: what it is called, what it may be, what it means. Reading, writing, help and documentation all come from the
 * table of them. This file knows types and words; where values live and what they do is the owner's matter (server/config.h).
 *
 *     name      type     what the words are
 *     bool      yes no
 *     integer   a whole number in a range; octal where it is a file mode
 *     size      a number with k kb m mb g gb (k = 1000, kb = 1024); a percentage as a negative number where allowed
 *     enum      one of a list of names (any case)
 *     text      one word, any bytes
 *     list      any number of words, kept joined by spaces
 *     special   any number of words, checked and put into one form by the descriptor's own function */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type { OPTION_BOOL, OPTION_INTEGER, OPTION_SIZE, OPTION_ENUM, OPTION_TEXT, OPTION_LIST, OPTION_SPECIAL };

enum option_flag {
    OPTION_FIXED = 1u << 0,     /* set at the start only */
    OPTION_PROTECTED = 1u << 1, /* at run time only with enable-protected-configs */
    OPTION_SECRET = 1u << 2,    /* never in a log or an error */
    OPTION_HIDDEN = 1u << 3,    /* a directive of the file without a value of its own: not in CONFIG GET */
    OPTION_OCTAL = 1u << 4,
    OPTION_PERCENT = 1u << 5, /* a size that may also be N% : kept as -N */
    OPTION_INERT = 1u << 6,   /* taken and kept, changes nothing here */
    OPTION_OURS = 1u << 7,    /* redis.conf has no such directive */
    OPTION_REPEATED =
        1u
        << 8, /* a special that may stand in a file many times: its text has the words of each, quoted, on a line of its own */
};

struct option_name {
    const char *name;
    int64_t value;
};

/* Room for the reason a value is refused. */
#define OPTION_ERROR_BYTES 256

struct option {
    const char *name;
    const char *alias;   /* an older name, or NULL */
    const char *section; /* heading it is documented under */
    const char *help;    /* sentences */
    enum option_type type;
    uint32_t flags;            /* enum option_flag */
    size_t place;              /* where the owner keeps it: an offset or an index */
    int64_t fallback;          /* default number */
    const char *fallback_text; /* default text, written as in the file */
    int64_t min, max;
    const struct option_name *names; /* of an enum; ends with name NULL */
    /* What is not here, as "an append-only file": only the default and the values named in `allowed` are then taken. */
    const char *lacks;
    const char *const *allowed; /* texts as formatted; ends with NULL; may be NULL */
    /* A further check of the words of a text, list or special, which may put the text into its one form; false with a reason. On entry a
     * special's text is the present value (so that one class of several can be changed), another's the words joined. */
    bool (*check)(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES]);
};

struct option_value {
    int64_t number;  /* bool, integer, size, enum */
    struct buf text; /* the others; the holder frees it */
};

/* Reads a value from its words; of a special, out->text holds the present value on entry. The reason it is refused is in error. Does not look at flags FIXED and PROTECTED. */
bool option_parse(const struct option *option, const struct bytes *words, size_t count, struct option_value *out,
                  char error[OPTION_ERROR_BYTES]);
/* The default. */
void option_default(const struct option *option, struct option_value *out);
/* Appends the value as CONFIG GET shows it. */
void option_format(const struct option *option, const struct option_value *value, struct buf *out);
static inline bool option_is_number(const struct option *option)
{
    return option->type <= OPTION_ENUM;
}
bool option_values_equal(const struct option *option, const struct option_value *a, const struct option_value *b);

/* By name or alias, in any case. */
const struct option *option_find(const struct option *table, size_t count, struct bytes name);
/* The known name that is fewest edits away from an unknown one, or NULL where none is near. */
const char *option_nearest(const struct option *table, size_t count, struct bytes name);

/* "1gb", "100mb", "1k" as bytes; false where it is not a size or does not fit. */
bool option_size(struct bytes text, uint64_t *out);

/* A line cut into words: quotes "..." with \n \r \t \b \a \xHH escapes, '...' with \' only. */
struct words {
    struct bytes *items;
    size_t count;
    struct buf memory;
};
/* False where quotes do not close or text follows a closing quote. words_free() either way. */
bool words_split(struct bytes line, struct words *words);
void words_free(struct words *words);
/* Appends one word so that words_split() reads it back: quoted where it must be. */
void words_quote(struct bytes word, struct buf *out);
