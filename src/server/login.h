/* server/login.h
 *
 * Makes guessing passwords slow. Who gives a wrong one waits for the answer: five milliseconds the first time, twice as long each time
 * after that, five seconds at most. It is kept by address, so that a new connection is no new start; a right password, or ten quiet
 * minutes, are one. The worker waits for nobody: the reply is held back (client_hold_reply()) while others are served.
 *
 *     address -> failures, time of the last
 *
 * The table has a fixed size: where many addresses guess, those that have been quiet for longest are forgotten. Of an IPv6 address its
 * first 64 bits count, for the rest is its owner's to choose. The loopback is an address like any other. */
#pragma once

#include <stdint.h>

struct login_guard;

struct login_guard *login_guard_new(void);
void login_guard_free(struct login_guard **guard);

/* A wrong password came from this peer ("127.0.0.1:6379", "[::1]:6379", "/path:0"): for how many milliseconds its reply shall wait. Any
 * thread. */
int64_t login_failed(struct login_guard *guard, const char *peer, int64_t now_ms);
/* The right one came. Any thread. */
void login_succeeded(struct login_guard *guard, const char *peer);
