/* server/room.h
 *
 * Before a command: is there memory for what it brings? Called where the data takes more than it may (eviction_is_due()),
 * with no slot locked. */
#pragma once

#include "server/call.h"

/* Makes room where the command needs it. False: there is none; the caller refuses the command. What only reads, or frees,
 * needs none; whatever comes inside a transaction does, but for what ends it. */
bool room_for(const struct call *call);

/* "OOM ...", or for EXEC what ends the transaction. */
void room_reply_none(struct call *call);
