/* server/hold.h: a client whose answer comes from another thread. */
#pragma once

#include <stdbool.h>

struct client;
struct hold;

#define HOLD_TEXT_BYTES 512

/* Lets the client wait, from within a command that has replied nothing, while its worker goes on with others. What it returns is for one
 * hold_answer(), which must come: the client may be gone by then. Owner only, and not within EXEC. */
struct hold *client_park(struct client *client);

/* Replies a simple string, or an error, and lets the client go on; takes the hold. Any thread, without locks. */
void hold_answer(struct hold *hold, bool is_error, const char *text);
