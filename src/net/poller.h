/* net/poller.h
 *
 * Sockets that are watched by edge. libev asks by level: the kernel, which can not know that all was read, looks at each socket that was ready once more in
 * the next turn, and that is most of what a wait costs. A poller has a set of its own, in which a socket is told of when something comes, and once:
 *
 *     libev's set --by level--> the poller's set --by edge--> 7, 9, 12, ...
 *
 * Who did not use up what it was told of says so (poller_watch()): the kernel then looks once more, and tells of it in the next round. So nothing has to
 * be remembered here.
 *
 * While many are ready, several rounds are made in one turn of libev's loop, which spares that the rest of its turn; the owner says for how long, and
 * does between two rounds what it does at the end of a turn.
 *
 * Everything here runs on the loop's thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct ev_loop;
struct poller;

/* A socket in the set; sits inside the struct it serves. */
struct polled {
    struct poller *poller; /* NULL: in none */
    int fd;
    uint32_t watched; /* EPOLLIN and the like */
    /* Some of that has come about; errors and hang-ups are told of in any case. The struct may be gone when it returns. */
    void (*ready)(struct polled *polled, uint32_t events);
};

/* again(), asked after each round in which so many were ready: is there to be another one in this turn? NULL: no. Ends the process where the system has no
 * descriptor for it. */
struct poller *poller_new(struct ev_loop *loop, bool (*again)(void *context, int ready), void *context);
/* When nothing is in it any more. */
void poller_free(struct poller **poller);

/* Begins to watch a socket for these events. False where the system does not take another one. */
bool poller_add(struct poller *poller, struct polled *polled, int fd, uint32_t events);
/* Watches it for these from now on, and tells, in the next round, of all that are so already. */
void poller_watch(struct polled *polled, uint32_t events);
/* It is about to be closed: nothing is told of it any more. Harmless when it is in no set. */
void poller_forget(struct polled *polled);

/* For ready(), behind what it has called: is the socket that it was told of still there? */
bool poller_has_still(const struct poller *poller, const struct polled *polled);
