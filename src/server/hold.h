/* server/hold.h
 *
 * A client whose answer comes from another thread (client_park()), or whose answer is there and must not leave before another thread says so
 * (client_withhold()). What it has sent behind the command waits, too. */
#pragma once

#include "base/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct command;
struct hold;
struct withheld;
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

/* Lets the reply of the command that runs wait, whatever it is; what the command does, and counts, is not put off. The reply of EXEC waits where one of
 * its commands says so, and until each that has said so lets it go. What it returns is for one withheld_release(), which must come: the client may be gone by then.
 * Owner only. */
struct withheld *client_withhold(struct client *client);
/* Lets it go; takes the ticket. Any thread, without locks. */
void withheld_release(struct withheld *withheld);

/* Tickets that are released together; any thread. Empty when zeroed. */
struct withheld_list {
    struct lock lock;
    struct withheld *first; /* under lock */
};
/* Takes it. */
void withheld_list_add(struct withheld_list *list, struct withheld *withheld);
/* Releases them all, without locks; returns how many. */
size_t withheld_list_release(struct withheld_list *list);
