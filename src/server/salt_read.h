/* server/salt_read.h
 *
 * Reads of a salted key on a node that is not its home. */
#pragma once

#include "server/call.h"

/* A command that reads, with the one key that is the name of a salted one; call->argv has the base in its place, whose slot is elsewhere. True where it
 * was answered from a copy that is valid now. With no lock held, on the client's worker, not within MULTI. */
bool salt_read(struct call *call, struct bytes base);
