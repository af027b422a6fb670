/* server/dispatch.h
 *
 * From the bytes a client sent to the replies it gets. */
#pragma once

#include "base/bytes.h"

struct client;
struct worker;

/* Runs what one client has sent, replies into the worker's buffer. Returns how many bytes of data it used; the rest is an incomplete request, or waits
 * because the client is paused or about to be closed. On the client's worker only.
 * Never inlined: tests/instructions counts what is run in here. */
size_t dispatch_bytes(struct worker *worker, struct client *client, struct bytes data) __attribute__((noinline));
