/* base/bytes.c
 *
 * Comparing, and reading and writing numbers. Numbers are read by hand rather than by strtoll(): the text is not
 * terminated, and every form but the canonical one has to be refused, for a value that is kept as a number must come
 * back as the very text that was given. */
#include "base/bytes.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct bytes bytes_of(const char *text)
{
    return (struct bytes){ text, strlen(text) };
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static unsigned char lower(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte + ('a' - 'A')) : byte;
}

bool bytes_is_word(struct bytes bytes, const char *word)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (word[i] == '\0' || lower(bytes.data[i]) != lower(word[i])) return false;
    return word[bytes.len] == '\0';
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    if (order != 0) return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool bytes_equal_secret(struct bytes given, struct bytes secret)
{
    /* Volatile, so that the compiler does not see that one difference settles it and leave the loop early. */
    volatile unsigned char difference = given.len != secret.len;

    for (size_t i = 0; i < given.len; i++) {
        const char *against = secret.len == 0 ? given.data + i : &secret.data[i % secret.len];
        difference = (unsigned char)(difference | ((unsigned char)given.data[i] ^ (unsigned char)*against));
    }
    return difference == 0;
}

bool bytes_to_u64(struct bytes text, uint64_t *out)
{
    uint64_t number = 0;

    if (text.len == 0 || text.len > 20) return false;
    if (text.data[0] == '0' && text.len > 1) return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit;

        if (text.data[i] < '0' || text.data[i] > '9') return false;
        digit = (unsigned)(text.data[i] - '0');
        /* Only the twentieth digit can overflow. */
        if (i >= 19 && (number > UINT64_MAX / 10 || number * 10 > UINT64_MAX - digit)) return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

bool bytes_to_i64(struct bytes text, int64_t *out)
{
    uint64_t magnitude;
    bool negative = text.len > 0 && text.data[0] == '-';

    if (!negative) {
        if (!bytes_to_u64(text, &magnitude) || magnitude > INT64_MAX) return false;
        *out = (int64_t)magnitude;
        return true;
    }
    if (!bytes_to_u64((struct bytes){ text.data + 1, text.len - 1 }, &magnitude)) return false;
    if (magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1) return false;
    *out = -(int64_t)(magnitude - 1) - 1; /* INT64_MIN has no positive counterpart */
    return true;
}

bool bytes_to_long_double(struct bytes text, long double *out)
{
    char copy[5 * 1024]; /* longer numbers are refused, as users know it */
    char *end;
    long double number;

    if (text.len == 0 || text.len >= sizeof(copy)) return false;
    if (strchr(" \t\n\v\f\r", text.data[0])) return false; /* finds a leading NUL as well */
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';

    errno = 0;
    number = strtold(copy, &end);
    /* A NUL inside ends the number early, so it is refused here too. */
    if (end != copy + text.len) return false;
    if (errno == ERANGE && (isinf(number) || number == 0)) return false;
    if (isnan(number)) return false;
    *out = number;
    return true;
}

size_t u64_to_text(char out[I64_TEXT_BYTES], uint64_t number)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    char digits[I64_TEXT_BYTES];
    size_t at = sizeof(digits), len;

    while (number >= 100) {
        at -= 2;
        memcpy(digits + at, pairs + 2 * (number % 100), 2);
        number /= 100;
    }
    if (number >= 10) {
        at -= 2;
        memcpy(digits + at, pairs + 2 * number, 2);
    } else {
        digits[--at] = (char)('0' + number);
    }
    len = sizeof(digits) - at;
    memcpy(out, digits + at, len);
    out[len] = '\0';
    return len;
}

size_t i64_to_text(char out[I64_TEXT_BYTES], int64_t number)
{
    if (number >= 0) return u64_to_text(out, (uint64_t)number);
    out[0] = '-';
    char digits[I64_TEXT_BYTES];
    size_t len = u64_to_text(digits, (uint64_t)(-(number + 1)) + 1);
    memcpy(out + 1, digits, len + 1);
    return len + 1;
}
