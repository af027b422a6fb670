/* base/ready_pages.h
 *
 * Whoever touches a huge page first waits until the kernel has cleared 2 MiB, and on a virtual machine until the host has found them:
 * several milliseconds. So while memory grows, a few pages are touched by another thread before they are needed.
 *
 *     take <-- [ ready | ready | ready ] <-- fill <-- addresses
 *
 * How many are ready follows from the pace: three where pages are taken one soon after the other, one where it is seldom, and none
 * when nobody has taken one for a while; those are given back. */
#pragma once

#include "base/lock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define READY_PAGES_MAX 3

/* All zero at first. What is taken from it is never given back to it. */
struct ready_pages {
    struct lock lock;                                     /* for all below; the atomics are read without it */
    char *ready[READY_PAGES_MAX], *cold[READY_PAGES_MAX]; /* touched, and not */
    unsigned ready_count, cold_count;
    char *next, *end; /* of the addresses that pages are cut from */
    unsigned goal;    /* so many are to be ready */
    _Atomic int64_t taken_us;
    _Atomic bool wanted; /* fewer are */
};

/* A huge page's worth of memory, aligned and zero, for good. NULL where the system has no more addresses. Waits for no other thread that
 * fills. Any thread; now_us is monotonic. */
void *ready_pages_take(struct ready_pages *pages, int64_t now_us);

/* The same for one who may never touch it, so none that is ready; nor does it tell of the pace. */
void *ready_pages_take_cold(struct ready_pages *pages);

/* The first page will be taken soon. */
void ready_pages_expect(struct ready_pages *pages, int64_t now_us);

/* Makes one ready if one is wanted; true while more are. Takes milliseconds, so it is for a thread that nobody waits for; one at a time. No lock is held for
 * more than some instructions, nor a mapping that others may want to change: that thread may be one that seldom runs. */
bool ready_pages_fill(struct ready_pages *pages);

static inline bool ready_pages_are_wanted(const struct ready_pages *pages)
{
    return atomic_load_explicit(&pages->wanted, memory_order_relaxed);
}

/* Gives back what is ready and, at this pace, not needed; to be called several times a second. */
void ready_pages_rest(struct ready_pages *pages, int64_t now_us);

/* Gives back all that is ready. */
void ready_pages_drop(struct ready_pages *pages);
