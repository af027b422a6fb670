/* server/hold.h: a client whose answer comes from another thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct command;
struct hold;
struct slow_entry;

#define HOLD_TEXT_BYTES 512

/* Lets the client wait, from within a command that has replied nothing, while its worker goes on with others. What it returns is for one
 * hold_answer(), which must come: the client may be gone by then. Owner only, and not within EXEC. */
struct hold *client_park(struct client *client);

/* What is to be counted when the answer comes: the command, its number, when it began in clock_ticks(), and its line of the slow log, which is
 * taken; NULL: none. Owner only, within the same command. */
void hold_count(struct hold *hold, const struct command *command, size_t number, uint64_t began,
                struct slow_entry **slow);

/* Replies a simple string, or an error, and lets the client go on; takes the hold. Any thread, without locks. */
void hold_answer(struct hold *hold, bool is_error, const char *text);
