#include "net/poller.h"

#include "base/alloc.h"
#include "base/list.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <string.h>
#include <unistd.h>

/* libev's macros cast and narrow by design. */
#pragma GCC diagnostic ignored "-Wstrict-aliasing"

/* Of one round; who is not among them comes first in the next. */
#define EVENTS_MAX 128

struct poller {
    int fd;
    struct ev_loop *loop;
    struct ev_io readable; /* the set has something to tell */
    bool (*again)(void *context, int ready);
    void *context;
    /* Of the round that is being made. */
    struct polled *telling; /* NULL: it was closed since */
    int at, count;
    struct epoll_event events[EVENTS_MAX]; /* those from `at` on are to be told; NULL in one that was closed since */
};

/* Returns how many were ready. */
static int make_round(struct poller *poller)
{
    int ready = epoll_wait(poller->fd, poller->events, EVENTS_MAX, 0);

    if (ready <= 0) return 0;
    poller->count = ready;
    for (poller->at = 0; poller->at < poller->count;) {
        const struct epoll_event *event = &poller->events[poller->at++];

        poller->telling = event->data.ptr;
        if (poller->telling != NULL) poller->telling->ready(poller->telling, event->events);
    }
    poller->at = poller->count = 0;
    poller->telling = NULL;
    return ready;
}

static void on_readable(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct poller *poller = container_of(watcher, struct poller, readable);
    int ready;

    (void)loop;
    (void)events;
    do ready = make_round(poller);
    while (ready > 0 && poller->again != NULL && poller->again(poller->context, ready));
}

struct poller *poller_new(struct ev_loop *loop, bool (*again)(void *context, int ready), void *context)
{
    struct poller *poller = alloc_zeroed(sizeof(*poller));

    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0) {
        log_warning("no descriptor to watch connections with: %s", strerror(errno));
        _exit(1);
    }
    poller->loop = loop;
    poller->again = again;
    poller->context = context;
    ev_io_init(&poller->readable, on_readable, poller->fd, EV_READ);
    ev_io_start(loop, &poller->readable);
    return poller;
}

void poller_free(struct poller **held)
{
    struct poller *poller = *held;

    *held = NULL;
    if (poller == NULL) return;
    ev_io_stop(poller->loop, &poller->readable);
    close(poller->fd);
    alloc_free(poller);
}

static int control(struct polled *polled, int operation, uint32_t events)
{
    struct epoll_event event = { .events = events | EPOLLET, .data = { .ptr = polled } };

    polled->watched = events;
    return epoll_ctl(polled->poller->fd, operation, polled->fd, &event);
}

bool poller_add(struct poller *poller, struct polled *polled, int fd, uint32_t events)
{
    polled->poller = poller;
    polled->fd = fd;
    if (control(polled, EPOLL_CTL_ADD, events) == 0) return true;
    polled->poller = NULL;
    return false;
}

void poller_watch(struct polled *polled, uint32_t events)
{
    int failed = control(polled, EPOLL_CTL_MOD, events);

    assert(failed == 0);
}

void poller_forget(struct polled *polled)
{
    struct poller *poller = polled->poller;

    if (poller == NULL) return;
    polled->poller = NULL;
    if (poller->telling == polled) poller->telling = NULL;
    for (int i = poller->at; i < poller->count; i++)
        if (poller->events[i].data.ptr == polled) poller->events[i].data.ptr = NULL;
}

bool poller_has_still(const struct poller *poller, const struct polled *polled)
{
    return poller->telling == polled;
}
