/* transfer/resolver.h
 *
 * What address a host's name stands for. The system takes as long over that as it likes and cannot be told to stop, so it is asked by a
 * thread of the question's own, which is left alone with it when the time is over. So many of those there are at most: for as many names, as who asks for
 * one that is asked for already waits for the same answer. */
#pragma once

#include "base/bytes.h"

#include <stdatomic.h>

struct resolver;

#define RESOLVER_TEXT_BYTES 256 /* of a name, or an address as text; with the NUL */

struct resolver *resolver_new(void);
/* Nobody may ask any more. Questions that are still open hold what they need. */
void resolver_free(struct resolver **resolver);

/* Writes the host's address as text: the one of IPv4 where there is one; an address is its own. Waits until a moment of the monotonic clock, or
 * until *ending. False: there is none, or nobody said so in time. */
bool resolver_ask(struct resolver *resolver, struct bytes host, int64_t until_ms, const _Atomic bool *ending,
                  char address[RESOLVER_TEXT_BYTES]);
