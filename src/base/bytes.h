/* base/bytes.h
 *
 * A run of bytes and its length, which never travel apart. Bytes are borrowed: a struct bytes owns
 * nothing and is good as long as what it points into. Keys, arguments and values are binary safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const char *data;
    size_t len;
};

#define BYTES(literal) ((struct bytes){ (literal), sizeof(literal) - 1 })
#define BYTES_NONE ((struct bytes){ NULL, 0 })

/* Room for any int64_t in text, sign and final NUL included. */
#define I64_TEXT_BYTES 24

struct bytes bytes_of(const char *text);
bool bytes_equal(struct bytes a, struct bytes b);

/* Compares without regard to ASCII case; the word is NUL-terminated text. */
bool bytes_is_word(struct bytes bytes, const char *word);

/* <0, 0, >0 as memcmp would, a prefix being smaller. */
int bytes_compare(struct bytes a, struct bytes b);

/* Compares in a time that depends only on the length of `given`: for passwords. */
bool bytes_equal_secret(struct bytes given, struct bytes secret);

/* Reads a whole number in its only canonical form: no spaces, no '+', no leading zeros, no "-0".
 * False, leaving *out alone, where the text is anything else or does not fit. */
bool bytes_to_i64(struct bytes text, int64_t *out);
bool bytes_to_u64(struct bytes text, uint64_t *out);

/* Reads a finite or infinite decimal number that takes up the whole text (as INCRBYFLOAT takes it):
 * no leading space, no NaN. */
bool bytes_to_long_double(struct bytes text, long double *out);

/* Writes the decimal form and a NUL; returns its length without the NUL. */
size_t i64_to_text(char out[I64_TEXT_BYTES], int64_t number);
size_t u64_to_text(char out[I64_TEXT_BYTES], uint64_t number);
