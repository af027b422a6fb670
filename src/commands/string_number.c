/* commands/string_number.c: values that are numbers, counted up and down. A counter is a string that happens to be a canonical
 * int64, so the new text usually has the old one's length and is written over it. */
#include "commands/string_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A long double in full, the digits behind the point included: 4933 before it, 17 behind it, sign and point. */
#define LONG_DOUBLE_TEXT_BYTES 5120

static void put_number(struct call *call, struct entry *entry, int64_t number)
{
    struct slot *slot = call_slot(call, 1);
    struct entry_attributes kept;
    char text[I64_TEXT_BYTES];
    size_t len = i64_to_text(text, number);

    /* A value that APPEND made is RAW although it reads as a number: a new entry forgets that. */
    if (entry != NULL && entry_value(entry).len == len && entry_encoding(entry) == ENTRY_INT) {
        memcpy(entry_value_mutable(entry), text, len);
        slot_changed(slot, entry);
        return;
    }
    kept = entry_attributes_kept(entry);
    entry = entry_new_attributed(call_arg(call, 1), (struct bytes){ text, len },
                                 entry == NULL ? ENTRY_KEEPS_FOREVER : entry_expires_at_ms(entry), &kept);
    slot_put_aged(slot, &entry);
}

static void add(struct call *call, int64_t delta)
{
    struct entry *entry = call_find_write(call, 1);
    struct bytes text;
    int64_t number = 0;
    bool is_new;

    if (!string_of(call, entry, &text)) return;
    if (entry != NULL && !bytes_to_i64(text, &number)) {
        reply_error(call->reply, ERROR_NOT_INTEGER);
        return;
    }
    if (__builtin_add_overflow(number, delta, &number)) {
        reply_error(call->reply, ERROR_OVERFLOW);
        return;
    }
    is_new = entry == NULL;
    put_number(call, entry, number);
    call_event_new(call, is_new, 1);
    call_event(call, EVENT_STRING, "incrby", 1);
    reply_integer(call->reply, number);
}

static void incr(struct call *call)
{
    add(call, 1);
}

static void decr(struct call *call)
{
    add(call, -1);
}

static void incrby(struct call *call)
{
    int64_t delta;

    if (!call_arg_i64(call, 2, &delta)) return;
    add(call, delta);
}

static void decrby(struct call *call)
{
    int64_t delta;

    if (!call_arg_i64(call, 2, &delta)) return;
    if (delta == INT64_MIN) { /* its opposite does not fit */
        reply_error(call->reply, "ERR decrement would overflow");
        return;
    }
    add(call, -delta);
}

/* Decimal, never with an exponent, without zeros at the end. */
static size_t number_text(char out[LONG_DOUBLE_TEXT_BYTES], long double number)
{
    size_t len = (size_t)snprintf(out, LONG_DOUBLE_TEXT_BYTES, "%.17Lf", number);

    if (memchr(out, '.', len) != NULL) {
        while (out[len - 1] == '0') len--;
        if (out[len - 1] == '.') len--;
    }
    if (len == 2 && memcmp(out, "-0", 2) == 0) {
        out[0] = '0';
        len = 1;
    }
    return len;
}

static void incrbyfloat(struct call *call)
{
    struct entry *entry = call_find_write(call, 1), *next;
    struct entry_attributes kept;
    struct bytes text;
    long double number = 0, delta;
    char sum[LONG_DOUBLE_TEXT_BYTES];
    size_t len;

    if (!string_of(call, entry, &text)) return;
    if ((entry != NULL && !bytes_to_long_double(text, &number)) || !bytes_to_long_double(call_arg(call, 2), &delta)) {
        reply_error(call->reply, ERROR_NOT_FLOAT);
        return;
    }
    number += delta;
    if (isnan(number) || isinf(number)) {
        reply_error(call->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    len = number_text(sum, number);
    kept = entry_attributes_kept(entry);
    next = entry_new_attributed(call_arg(call, 1), (struct bytes){ sum, len },
                                entry == NULL ? ENTRY_KEEPS_FOREVER : entry_expires_at_ms(entry), &kept);
    slot_put_aged(call_slot(call, 1), &next);
    call_event_new(call, entry == NULL, 1);
    call_event(call, EVENT_STRING, "incrbyfloat", 1);
    reply_bulk(call->reply, (struct bytes){ sum, len });
}

/* --- Descriptors --- */

static const struct command_arg key_args[] = { ARG_THE_KEY, { .name = NULL } };
static const struct command_arg increment_args[] = {
    ARG_THE_KEY,
    { .name = "increment", .type = ARG_INTEGER },
    { .name = NULL },
};
static const struct command_arg decrement_args[] = {
    ARG_THE_KEY,
    { .name = "decrement", .type = ARG_INTEGER },
    { .name = NULL },
};
static const struct command_arg float_args[] = {
    ARG_THE_KEY,
    { .name = "increment", .type = ARG_DOUBLE },
    { .name = NULL },
};

#define COUNTS COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST
#define COUNTED ONE_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE)

const struct command command_incr = {
    .name = "incr",
    .summary = "Add one to the number at a key.",
    .since = "1.0.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COUNTS,
    .acl = ACL_STRING,
    .keys = COUNTED,
    .args = key_args,
    .run = incr,
};

const struct command command_decr = {
    .name = "decr",
    .summary = "Take one from the number at a key.",
    .since = "1.0.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COUNTS,
    .acl = ACL_STRING,
    .keys = COUNTED,
    .args = key_args,
    .run = decr,
};

const struct command command_incrby = {
    .name = "incrby",
    .summary = "Add to the number at a key.",
    .since = "1.0.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COUNTS,
    .acl = ACL_STRING,
    .keys = COUNTED,
    .args = increment_args,
    .run = incrby,
};

const struct command command_decrby = {
    .name = "decrby",
    .summary = "Take from the number at a key.",
    .since = "1.0.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COUNTS,
    .acl = ACL_STRING,
    .keys = COUNTED,
    .args = decrement_args,
    .run = decrby,
};

const struct command command_incrbyfloat = {
    .name = "incrbyfloat",
    .summary = "Add to the number at a key, with digits behind the point.",
    .since = "2.6.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COUNTS,
    .acl = ACL_STRING,
    .keys = COUNTED,
    .args = float_args,
    .run = incrbyfloat,
};
