#include "bus/await.h"

#include "base/alloc.h"
#include "base/lock.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

struct waiter {
    struct waiter *next;
    uint64_t ticket;
    int64_t until_ms;
    await_told *told;
    void *context;
    int error;
};

struct await {
    struct lock lock;       /* guards the next */
    struct waiter *waiters; /* in no order: there are few */
};

struct await *await_new(void)
{
    return alloc_zeroed(sizeof(struct await));
}

void await_free(struct await **await_pointer)
{
    struct await *await = *await_pointer;

    *await_pointer = NULL;
    if (await == NULL) return;
    assert(await->waiters == NULL);
    alloc_free(await);
}

void await_add(struct await *await, uint64_t ticket, int64_t until_ms, await_told *told, void *context)
{
    struct waiter *waiter = alloc(sizeof(*waiter));

    *waiter = (struct waiter){ .ticket = ticket, .until_ms = until_ms, .told = told, .context = context };
    lock_take(&await->lock);
    waiter->next = await->waiters;
    await->waiters = waiter;
    lock_release(&await->lock);
}

/* -1: nothing is known yet. */
static int outcome(const struct waiter *waiter, const struct state_done *done, int64_t now_ms)
{
    if (done->durable >= waiter->ticket) return 0;
    if (done->tried >= waiter->ticket) return done->error != 0 ? done->error : EIO;
    return now_ms >= waiter->until_ms ? ETIMEDOUT : -1;
}

static void tell(struct waiter *waiter)
{
    while (waiter != NULL) {
        struct waiter *next = waiter->next;

        waiter->told(waiter->context, waiter->error);
        alloc_free(waiter);
        waiter = next;
    }
}

void await_look(struct await *await, const struct state_done *done, int64_t now_ms)
{
    struct waiter *known = NULL;

    lock_take(&await->lock);
    for (struct waiter **at = &await->waiters; *at != NULL;) {
        struct waiter *waiter = *at;

        waiter->error = outcome(waiter, done, now_ms);
        if (waiter->error < 0) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->next = known;
        known = waiter;
    }
    lock_release(&await->lock);
    tell(known);
}

void await_end(struct await *await)
{
    struct waiter *waiters;

    lock_take(&await->lock);
    waiters = await->waiters;
    await->waiters = NULL;
    lock_release(&await->lock);
    for (struct waiter *waiter = waiters; waiter != NULL; waiter = waiter->next) waiter->error = ECANCELED;
    tell(waiters);
}
