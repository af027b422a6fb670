/* transfer/lzf.c
 *
 * A control byte below 32 says how many bytes follow as they are, less one. Any other begins a reference to what is there already: three
 * bits of length, which if all set go on in a byte of their own, and thirteen of distance. */
#include "transfer/lzf.h"

#include <string.h>

#define LITERAL_LIMIT 32u
#define LENGTH_SHIFT 5
#define LENGTH_GOES_ON 7u
#define LENGTH_LEAST 2u
#define DISTANCE_MASK 31u

bool lzf_expand(struct bytes compressed, char *out, size_t out_len)
{
    const unsigned char *in = (const unsigned char *)compressed.data;
    size_t at = 0, filled = 0;

    while (at < compressed.len) {
        size_t control = in[at++], len, distance;

        if (control < LITERAL_LIMIT) {
            len = control + 1;
            if (len > compressed.len - at || len > out_len - filled) return false;
            memcpy(out + filled, in + at, len);
            at += len;
            filled += len;
            continue;
        }
        len = control >> LENGTH_SHIFT;
        if (len == LENGTH_GOES_ON) {
            if (at == compressed.len) return false;
            len += in[at++];
        }
        len += LENGTH_LEAST;
        if (at == compressed.len) return false;
        distance = ((control & DISTANCE_MASK) << 8 | in[at++]) + 1;
        if (distance > filled || len > out_len - filled) return false;
        /* It may refer to what it is about to write. */
        for (size_t i = 0; i < len; i++, filled++) out[filled] = out[filled - distance];
    }
    return filled == out_len;
}
