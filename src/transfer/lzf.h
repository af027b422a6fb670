/* transfer/lzf.h
 *
 * The compression that Redis puts strings in payloads and RDB files through: that of Marc Lehmann's LibLZF. Read here, never written: to
 * compress a value costs more time than to send it. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>

/* So many times longer than what it was made from is the most that a result can be. */
#define LZF_FACTOR_MAX 88u

/* Fills `out` with exactly out_len bytes. False where the input does not lead to just that many, or refers to what is not there. */
bool lzf_expand(struct bytes compressed, char *out, size_t out_len);
