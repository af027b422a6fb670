/* base/buf.h
 *
 * A growable run of bytes that owns its memory: what replies, packets and texts are built in. A
 * zeroed struct buf is an empty one and holds no memory. Growth stops the node when memory is gone,
 * so nothing here fails; whoever appends what came from outside checks its size before. */
#pragma once

#include "base/bytes.h"

#include <stdarg.h>
#include <string.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
};

void buf_grow(struct buf *buf, size_t more);

/* Makes room for more bytes and returns where they go; buf_added() then counts those written. One byte beyond them is
 * there too, for a NUL. */
static inline char *buf_reserve(struct buf *buf, size_t more)
{
    if (__builtin_expect(buf->cap - buf->len <= more, 0)) buf_grow(buf, more);
    return buf->data + buf->len;
}

static inline void buf_added(struct buf *buf, size_t len)
{
    buf->len += len;
}

static inline void buf_append(struct buf *buf, const void *data, size_t len)
{
    if (len == 0) return;
    memcpy(buf_reserve(buf, len), data, len);
    buf->len += len;
}

void buf_append_bytes(struct buf *buf, struct bytes bytes);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_byte(struct buf *buf, char byte);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args);

/* Drops bytes from the front; the rest moves down. */
void buf_consume(struct buf *buf, size_t len);

/* Empties it but keeps the memory. */
static inline void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

/* Empties it and gives the memory back. */
void buf_free(struct buf *buf);

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return (struct bytes){ buf->data, buf->len };
}
