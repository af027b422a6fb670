/* base/buf.c
 *
 * Growth doubles, so appending costs a constant per byte, and takes the whole size class, which malloc would
 * otherwise leave unused. */
#include "base/buf.h"

#include "base/alloc.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define BUF_BYTES_MIN 64

void buf_grow(struct buf *buf, size_t more)
{
    size_t wanted, cap;

    if (__builtin_add_overflow(buf->len, more, &wanted) || __builtin_add_overflow(wanted, 1, &wanted)) {
        log_warning("memory: a buffer of %zu bytes cannot grow by %zu", buf->len, more);
        abort();
    }
    cap = buf->cap < BUF_BYTES_MIN ? BUF_BYTES_MIN : buf->cap;
    /* No allocation is half of all memory, so what is there may be doubled. */
    if (cap < wanted) cap = cap <= wanted / 2 ? wanted : cap * 2;
    buf->data = alloc_resize(buf->data, cap);
    buf->cap = alloc_size(buf->data);
}

void buf_append_bytes(struct buf *buf, struct bytes bytes)
{
    buf_append(buf, bytes.data, bytes.len);
}

void buf_append_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_byte(struct buf *buf, char byte)
{
    *buf_reserve(buf, 1) = byte;
    buf->len++;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    size_t room;
    int len;

    va_copy(again, args);
    buf_reserve(buf, BUF_BYTES_MIN);
    room = buf->cap - buf->len;
    len = vsnprintf(buf->data + buf->len, room, format, args);
    if (len >= 0 && (size_t)len >= room) {
        buf_reserve(buf, (size_t)len);
        len = vsnprintf(buf->data + buf->len, buf->cap - buf->len, format, again);
    }
    va_end(again);
    if (len > 0) buf->len += (size_t)len;
}

void buf_consume(struct buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    if (len == 0) return;
    memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
}

void buf_free(struct buf *buf)
{
    alloc_free(buf->data);
    *buf = (struct buf){ 0 };
}
