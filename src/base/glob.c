/* base/glob.c
 *
 * One pattern element is matched against one byte at a time. When that fails, the last '*' is let swallow one byte more
 * and matching goes on behind it. Earlier stars need no second try: what stands between two stars has matched as early as
 * it can, and any later match leaves less text for the rest. So no pattern costs more than its length times the text's,
 * where a recursive matcher needs exponential time for a few stars in a row. */
#include "base/glob.h"

static int folded(char c, bool nocase)
{
    /* Ranges compare as signed characters: that is what users' patterns mean today for bytes above 127. */
    signed char byte = (signed char)c;
    return nocase && byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte;
}

/* Matches the class that begins at pattern[at] == '[' and sets *next behind it. A class that is never closed ends with the
 * pattern. */
static bool class_has(struct bytes pattern, size_t at, char c, bool nocase, size_t *next)
{
    bool negated, found = false;

    at++;
    negated = at < pattern.len && pattern.data[at] == '^';
    if (negated) at++;
    for (; at < pattern.len && pattern.data[at] != ']'; at++) {
        size_t left = pattern.len - at;

        if (pattern.data[at] == '\\' && left >= 2) {
            at++;
            /* An escaped byte stands for itself alone, even where case is ignored. */
            if (pattern.data[at] == c) found = true;
        } else if (left >= 3 && pattern.data[at + 1] == '-') {
            bool reversed = (signed char)pattern.data[at] > (signed char)pattern.data[at + 2];
            int low = folded(pattern.data[reversed ? at + 2 : at], nocase);
            int high = folded(pattern.data[reversed ? at : at + 2], nocase);
            int byte = folded(c, nocase);

            at += 2;
            if (byte >= low && byte <= high) found = true;
        } else if (folded(pattern.data[at], nocase) == folded(c, nocase)) {
            found = true;
        }
    }
    *next = at < pattern.len ? at + 1 : at;
    return found != negated;
}

/* Matches one element of the pattern, not a star, with one byte, and sets *next behind the element. */
static bool element_matches(struct bytes pattern, size_t at, char c, bool nocase, size_t *next)
{
    switch (pattern.data[at]) {
    case '?':
        *next = at + 1;
        return true;
    case '[':
        return class_has(pattern, at, c, nocase, next);
    case '\\':
        if (at + 1 < pattern.len) at++; /* a last backslash stands for itself */
        break;
    }
    *next = at + 1;
    return folded(pattern.data[at], nocase) == folded(c, nocase);
}

static bool match(struct bytes pattern, struct bytes text, bool nocase)
{
    size_t at = 0, in_text = 0;
    size_t after_star = 0, star_text = 0;
    bool has_star = false;

    while (in_text < text.len) {
        size_t next;

        if (at < pattern.len && pattern.data[at] == '*') {
            has_star = true;
            after_star = ++at;
            star_text = in_text;
            if (at == pattern.len) return true;
        } else if (at < pattern.len && element_matches(pattern, at, text.data[in_text], nocase, &next)) {
            at = next;
            in_text++;
        } else if (has_star) {
            at = after_star;
            in_text = ++star_text;
        } else {
            return false;
        }
    }
    while (at < pattern.len && pattern.data[at] == '*') at++;
    return at == pattern.len;
}

bool glob_match(struct bytes pattern, struct bytes text)
{
    return match(pattern, text, false);
}

bool glob_match_nocase(struct bytes pattern, struct bytes text)
{
    return match(pattern, text, true);
}
