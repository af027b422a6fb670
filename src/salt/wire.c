#include "salt/wire.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* The fields of each word, in order: Id (a node's), Base, seSSion, Number, Join, seQ, Epoch, Delta, Total, Lease, sUm, Closed, Absent, Fold, Value and its kin. */
static const struct {
    const char *name, *fields;
    bool is_request;
} forms[] = {
    [SALT_HELLO] = { "HELLO", "is", true },        [SALT_RENEW] = { "RENEW", "n", true },
    [SALT_JOIN] = { "JOIN", "bju", true },         [SALT_LEAVE] = { "LEAVE", "bj", true },
    [SALT_ACK] = { "ACK", "bjq", true },           [SALT_FOLD] = { "FOLD", "bned", true },
    [SALT_READS] = { "READS", "bn", true },        [SALT_WELCOME] = { "WELCOME", "s", false },
    [SALT_STALE] = { "STALE", "s", false },        [SALT_RENEWED] = { "RENEWED", "nl", false },
    [SALT_REFUSED] = { "REFUSED", "bj", false },   [SALT_INV] = { "INV", "bjqc", false },
    [SALT_VALUE] = { "VALUE", "bjqv", false },     [SALT_TOTAL] = { "TOTAL", "bjqeta", false },
    [SALT_FOLDED] = { "FOLDED", "bnefta", false },
};
#define FORMS (sizeof(forms) / sizeof(forms[0]))
#define VALUE_WORDS 5u /* value, what is left of its life, version, birth, fresh */
/* Longer than any deadline that means something, and far from where sums of two would overflow. */
#define TTL_MS_MAX (INT64_MAX / 4)
#define LEASE_MS_MAX 3600000

/* --- Writing --- */

static void write_text(struct buf *out, struct bytes text)
{
    buf_printf(out, "$%zu\r\n", text.len);
    buf_append_bytes(out, text);
    buf_append_text(out, "\r\n");
}

static void write_u64(struct buf *out, uint64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);

    write_text(out, (struct bytes){ text, (size_t)len });
}

static void write_i64(struct buf *out, int64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%lld", (long long)number);

    write_text(out, (struct bytes){ text, (size_t)len });
}

static void write_value(struct buf *out, const struct salt_value *value)
{
    write_text(out, value->value);
    write_i64(out, value->ttl_ms);
    write_u64(out, value->attributes.version);
    write_u64(out, value->attributes.birth_s);
    write_u64(out, value->attributes.fresh_ms);
}

static void write_field(char field, const struct salt_message *message, const struct salt_value *value, struct buf *out)
{
    switch (field) {
    case 'i':
    case 'b':
        write_text(out, message->base);
        return;
    case 's':
        write_u64(out, message->session);
        return;
    case 'n':
        write_u64(out, message->number);
        return;
    case 'j':
        write_u64(out, message->join);
        return;
    case 'q':
        write_u64(out, message->seq);
        return;
    case 'e':
        write_u64(out, message->epoch);
        return;
    case 'd':
        write_i64(out, message->delta);
        return;
    case 't':
        write_i64(out, message->total);
        return;
    case 'l':
        write_i64(out, message->lease_ms);
        return;
    case 'u':
        write_u64(out, message->sum);
        return;
    case 'c':
        write_u64(out, message->closed);
        return;
    case 'a':
        write_u64(out, message->absent);
        return;
    case 'f':
        write_u64(out, message->fold);
        return;
    default:
        write_value(out, value);
    }
}

void salt_wire_write(const struct salt_message *message, const struct salt_value *value, bool is_request,
                     struct buf *out)
{
    const char *fields = forms[message->word].fields;

    assert(forms[message->word].is_request == is_request && (value != NULL) == (message->word == SALT_VALUE));
    buf_printf(out, "*%zu\r\n", strlen(fields) + 1 + is_request + (value != NULL ? VALUE_WORDS - 1 : 0));
    if (is_request) write_text(out, BYTES("SALTLINK"));
    write_text(out, bytes_of(forms[message->word].name));
    for (; *fields != '\0'; fields++) write_field(*fields, message, value, out);
}

/* --- Reading --- */

static bool read_up_to(struct bytes word, uint64_t max, uint64_t *out)
{
    return bytes_to_u64(word, out) && *out <= max;
}

static bool read_bool(struct bytes word, bool *out)
{
    uint64_t number;

    if (!read_up_to(word, 1, &number)) return false;
    *out = number == 1;
    return true;
}

static bool is_node_id(struct bytes word)
{
    if (word.len != SALT_NODE_ID_BYTES) return false;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    }
    return true;
}

static bool read_value(const struct bytes *words, struct salt_value *value)
{
    uint64_t birth_s, fresh_ms;

    value->value = words[0];
    if (!bytes_to_i64(words[1], &value->ttl_ms) || value->ttl_ms < -1 || value->ttl_ms > TTL_MS_MAX ||
        !bytes_to_u64(words[2], &value->attributes.version) || !read_up_to(words[3], UINT32_MAX, &birth_s) ||
        !read_up_to(words[4], UINT32_MAX, &fresh_ms))
        return false;
    /* A version without its mark is none that an entry can have. */
    if (value->attributes.version != 0 && (value->attributes.version & ENTRY_VERSIONED) == 0) return false;
    value->attributes.birth_s = (uint32_t)birth_s;
    value->attributes.fresh_ms = (uint32_t)fresh_ms;
    return true;
}

static bool read_field(char field, const struct bytes *word, struct salt_message *message, struct salt_value *value)
{
    uint64_t number;

    switch (field) {
    case 'i':
        message->base = *word;
        return is_node_id(*word);
    case 'b':
        message->base = *word;
        return word->len <= SALT_BASE_BYTES_MAX;
    case 's':
        return bytes_to_u64(*word, &message->session);
    case 'n':
        return bytes_to_u64(*word, &message->number);
    case 'j':
        return bytes_to_u64(*word, &message->join);
    case 'q':
        return bytes_to_u64(*word, &message->seq);
    case 'e':
        return bytes_to_u64(*word, &message->epoch);
    case 'd':
        return bytes_to_i64(*word, &message->delta);
    case 't':
        return bytes_to_i64(*word, &message->total);
    case 'l':
        return bytes_to_i64(*word, &message->lease_ms) && message->lease_ms >= 0 && message->lease_ms <= LEASE_MS_MAX;
    case 'u':
        return read_bool(*word, &message->sum);
    case 'c':
        return read_bool(*word, &message->closed);
    case 'a':
        return read_bool(*word, &message->absent);
    case 'f':
        if (!read_up_to(*word, SALT_FOLD_REFUSED, &number)) return false;
        message->fold = (enum salt_fold)number;
        return true;
    default:
        return read_value(word, value);
    }
}

bool salt_wire_read(const struct bytes *words, size_t count, bool is_request, struct salt_message *message,
                    struct salt_value *value)
{
    *message = (struct salt_message){ .word = SALT_HELLO };
    *value = (struct salt_value){ .value = BYTES_NONE };
    if (count == 0) return false;
    for (size_t form = 0; form < FORMS; form++) {
        const char *fields = forms[form].fields;
        size_t at = 1;

        if (forms[form].is_request != is_request || !bytes_is_word(words[0], forms[form].name)) continue;
        message->word = (enum salt_word)form;
        for (; *fields != '\0'; fields++) {
            size_t takes = *fields == 'v' ? VALUE_WORDS : 1;

            if (count - at < takes || !read_field(*fields, &words[at], message, value)) return false;
            at += takes;
        }
        return at == count;
    }
    return false;
}
