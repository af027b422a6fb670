/* base/piece.h
 *
 * A run of bytes on its way out. It may belong to somebody else: then it stays where it is until all of it was written, and
 * is released after that, once, whatever happens to the connection. */
#pragma once

#include "base/bytes.h"

struct piece {
    struct bytes bytes;
    void (*release)(void *owner); /* NULL: the bytes are lent for the call and copied where they have to be kept */
    void *owner;
};

static inline void piece_release(struct piece *piece)
{
    if (piece->release != NULL) piece->release(piece->owner);
    *piece = (struct piece){ .bytes = BYTES_NONE };
}
