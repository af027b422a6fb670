/* commands/debug_internal.h: what the files of DEBUG share. */
#pragma once

#include "server/call.h"

/* commands/debug_digest.c */
void debug_digest(struct call *call);
void debug_digest_value(struct call *call);
/* commands/debug_protocol.c */
void debug_protocol(struct call *call);
