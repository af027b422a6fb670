/* proto/reply.c
 *
 * Heads of known length are written straight into the buffer, which is asked for room once per reply. Lines (simple
 * strings and errors) are appended first and cleaned where they lie, so no text is too long for them. */
#include "proto/reply.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>

/* A type byte, a number and CRLF. */
#define HEAD_BYTES_MAX (1 + I64_TEXT_BYTES + 2)

static bool speaks_resp3(const struct reply *reply)
{
    return reply->resp >= 3;
}

static inline char *put_crlf(char *at)
{
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static inline char *put_head(char *at, char type, uint64_t count)
{
    *at++ = type;
    /* Most lengths and counts have one or two digits. */
    if (count < 10)
        *at++ = (char)('0' + count);
    else if (count < 100)
        *at++ = (char)('0' + count / 10), *at++ = (char)('0' + count % 10);
    else
        at += u64_to_text(at, count);
    return put_crlf(at);
}

static void head(struct reply *reply, char type, uint64_t count)
{
    char *start = buf_reserve(reply->out, HEAD_BYTES_MAX);
    buf_added(reply->out, (size_t)(put_head(start, type, count) - start));
}

/* Ends the line that begins at `start` in the buffer. */
static void end_line(struct reply *reply, size_t start)
{
    struct buf *out = reply->out;

    for (size_t i = start; i < out->len; i++)
        if (out->data[i] == '\r' || out->data[i] == '\n') out->data[i] = ' ';
    buf_append(out, "\r\n", 2);
}

void reply_simple(struct reply *reply, const char *text)
{
    size_t start = reply->out->len;

    buf_append_byte(reply->out, '+');
    buf_append_text(reply->out, text);
    end_line(reply, start);
}

void reply_ok(struct reply *reply)
{
    buf_append(reply->out, "+OK\r\n", 5);
}

/* Ends and counts the error that begins at `start` in the buffer. */
static void end_error(struct reply *reply, size_t start)
{
    size_t len = 0;

    end_line(reply, start);
    /* It begins behind the '-'; the line's CR ends it where there is no space. */
    for (const char *at = reply->out->data + start + 1; len < sizeof(reply->error_code) - 1; at++) {
        if (*at == ' ' || *at == '\r') break;
        reply->error_code[len++] = *at;
    }
    reply->error_code[len] = '\0';
    reply->errors++;
}

void reply_error(struct reply *reply, const char *text)
{
    size_t start = reply->out->len;

    buf_append_byte(reply->out, '-');
    buf_append_text(reply->out, text);
    end_error(reply, start);
}

void reply_errorf(struct reply *reply, const char *format, ...)
{
    size_t start = reply->out->len;
    va_list args;

    buf_append_byte(reply->out, '-');
    va_start(args, format);
    buf_vprintf(reply->out, format, args);
    va_end(args);
    end_error(reply, start);
}

void reply_integer(struct reply *reply, int64_t number)
{
    char *start = buf_reserve(reply->out, HEAD_BYTES_MAX), *at = start;

    *at++ = ':';
    if (number >= 0 && number < 10)
        *at++ = (char)('0' + number);
    else
        at += i64_to_text(at, number);
    buf_added(reply->out, (size_t)(put_crlf(at) - start));
}

void reply_bulk(struct reply *reply, struct bytes bytes)
{
    char *start, *at;

    if (bytes.len >= REPLY_BULK_LARGE && reply_is_too_much(reply)) return;
    start = buf_reserve(reply->out, HEAD_BYTES_MAX + bytes.len + 2);
    at = put_head(start, '$', bytes.len);
    if (bytes.len > 0) memcpy(at, bytes.data, bytes.len);
    buf_added(reply->out, (size_t)(put_crlf(at + bytes.len) - start));
}

static void make_room(struct reply_pieces *pieces)
{
    if (pieces->count < pieces->cap) return;
    pieces->cap = pieces->cap == 0 ? 16 : pieces->cap * 2;
    pieces->items = alloc_resize(pieces->items, pieces->cap * sizeof(*pieces->items));
}

void reply_bulk_piece(struct reply *reply, struct piece piece)
{
    reply_bulk_framed(reply, BYTES_NONE, piece, BYTES_NONE);
}

void reply_bulk_framed(struct reply *reply, struct bytes before, struct piece piece, struct bytes behind)
{
    struct reply_pieces *pieces = reply->pieces;

    if (reply_is_too_much(reply)) {
        piece_release(&piece);
        return;
    }
    head(reply, '$', before.len + piece.bytes.len + behind.len);
    buf_append_bytes(reply->out, before);
    if (pieces == NULL) {
        buf_append_bytes(reply->out, piece.bytes);
        piece_release(&piece);
    } else {
        make_room(pieces);
        pieces->items[pieces->count++] = (struct reply_piece){ .offset = reply->out->len, .piece = piece };
        pieces->bytes += piece.bytes.len;
    }
    buf_append_bytes(reply->out, behind);
    buf_append(reply->out, "\r\n", 2);
}

void reply_bulk_text(struct reply *reply, const char *text)
{
    reply_bulk(reply, bytes_of(text));
}

void reply_bulk_i64(struct reply *reply, int64_t number)
{
    char text[I64_TEXT_BYTES];
    size_t len = i64_to_text(text, number);

    reply_bulk(reply, (struct bytes){ text, len });
}

void reply_double(struct reply *reply, double number)
{
    reply_double_rounded(reply, number, 17);
}

void reply_double_rounded(struct reply *reply, double number, int digits)
{
    char text[40];

    if (isinf(number))
        snprintf(text, sizeof(text), "%s", number > 0 ? "inf" : "-inf");
    else if (isnan(number))
        snprintf(text, sizeof(text), "nan"); /* printf would write its sign */
    else
        snprintf(text, sizeof(text), "%.*g", digits, number);

    if (speaks_resp3(reply))
        buf_printf(reply->out, ",%s\r\n", text);
    else
        reply_bulk_text(reply, text);
}

void reply_bool(struct reply *reply, bool value)
{
    if (speaks_resp3(reply))
        buf_append(reply->out, value ? "#t\r\n" : "#f\r\n", 4);
    else
        reply_integer(reply, value);
}

void reply_verbatim(struct reply *reply, struct bytes text)
{
    if (!speaks_resp3(reply)) {
        reply_bulk(reply, text);
        return;
    }
    head(reply, '=', text.len + 4);
    buf_append(reply->out, "txt:", 4);
    buf_append_bytes(reply->out, text);
    buf_append(reply->out, "\r\n", 2);
}

void reply_null(struct reply *reply)
{
    if (speaks_resp3(reply))
        buf_append(reply->out, "_\r\n", 3);
    else
        buf_append(reply->out, "$-1\r\n", 5);
}

void reply_null_array(struct reply *reply)
{
    if (speaks_resp3(reply))
        buf_append(reply->out, "_\r\n", 3);
    else
        buf_append(reply->out, "*-1\r\n", 5);
}

void reply_array(struct reply *reply, size_t count)
{
    head(reply, '*', count);
}

void reply_big_number(struct reply *reply, const char *digits)
{
    if (speaks_resp3(reply))
        buf_printf(reply->out, "(%s\r\n", digits);
    else
        reply_bulk_text(reply, digits);
}

void reply_map(struct reply *reply, size_t pairs)
{
    if (speaks_resp3(reply))
        head(reply, '%', pairs);
    else
        head(reply, '*', 2 * pairs);
}

void reply_set(struct reply *reply, size_t count)
{
    head(reply, speaks_resp3(reply) ? '~' : '*', count);
}

void reply_push(struct reply *reply, size_t count)
{
    head(reply, speaks_resp3(reply) ? '>' : '*', count);
}

void reply_attribute(struct reply *reply, size_t pairs)
{
    head(reply, '|', pairs);
}

/* --- Pieces --- */

void reply_insert(struct reply *reply, size_t offset, struct buf *text)
{
    struct reply_pieces *pieces = reply->pieces;
    size_t at = pieces->count;

    make_room(pieces);
    for (; at > 0 && pieces->items[at - 1].offset > offset; at--) pieces->items[at] = pieces->items[at - 1];
    pieces->items[at] =
        (struct reply_piece){ .offset = offset,
                              .piece = { .bytes = buf_bytes(text), .release = alloc_free, .owner = text->data } };
    pieces->count++;
    pieces->bytes += text->len;
    *text = (struct buf){ 0 };
}

void reply_pieces_drop(struct reply_pieces *pieces, size_t from)
{
    while (pieces->count > from) {
        struct reply_piece *last = &pieces->items[--pieces->count];

        pieces->bytes -= last->piece.bytes.len;
        piece_release(&last->piece);
    }
}

void reply_pieces_free(struct reply_pieces *pieces)
{
    reply_pieces_drop(pieces, 0);
    alloc_free(pieces->items);
    *pieces = (struct reply_pieces){ 0 };
}
