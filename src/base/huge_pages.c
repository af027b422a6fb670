/* base/huge_pages.c
 *
 * jemalloc maps memory in extents, one arena for each few threads. Its hook for mapping is wrapped: what it asks for comes in huge
 * pages, one at a time, and while memory grows these have been touched before (base/ready_pages.h). jemalloc's own switch for huge
 * pages, opt.thp, would give the first extent of every arena one too, which is 10 MiB of an empty node.
 *
 * It would ask for ever larger extents. As it asks for one page at a time, all arenas share the few that are ready, and no arena holds
 * more than the end of one page that it has not used. */
#include "base/huge_pages.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/give_way.h"
#include "base/mover.h"
#include "base/ready_pages.h"

#include <sys/mman.h>

void *huge_pages_alloc(size_t bytes)
{
    void *memory = alloc_aligned(bytes, HUGE_PAGE_BYTES);

    madvise(memory, bytes, MADV_HUGEPAGE); /* a wish, which may be refused */
    return memory;
}

#ifdef SANITIZED

void huge_pages_use(unsigned arena)
{
    (void)arena;
}

void huge_pages_trim(void)
{
}

void huge_pages_fill_by(struct movers *movers)
{
    (void)movers;
}

void huge_pages_keep_up(void)
{
}

void huge_pages_give_way(void)
{
}

void huge_pages_rest(void)
{
}

#else

#include <jemalloc/jemalloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

/* What all arenas may map before huge pages pay: less would show in the size of an empty node. */
#define SMALL_NODE_BYTES ((size_t)6 << 20)
/* From then on the first one is expected. */
#define NEARLY_BYTES (SMALL_NODE_BYTES - HUGE_PAGE_BYTES)

/* What trimming takes of an arena for a moment: blocks that fit between allocations, and of them more than a huge page in all. */
#define BLOCK_BYTES ((size_t)64 << 10)
#define BLOCKS (3 * HUGE_PAGE_BYTES / 2 / BLOCK_BYTES)
#define ARENAS_MAX 256u

/* Of those that use huge pages the number, plus one: on a single CPU there is but arena 0. Those beyond are not trimmed. */
static _Atomic unsigned arenas[ARENAS_MAX], arena_count;
static _Atomic size_t mapped_bytes;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static extent_hooks_t *jemallocs, hooks; /* written once */

static struct ready_pages ready;
static _Thread_local bool is_trimming;

static void *take_page(void)
{
    return is_trimming ? ready_pages_take_cold(&ready) : ready_pages_take(&ready, clock_monotonic_us());
}

static void *map_extent(extent_hooks_t *own, void *address, size_t size, size_t alignment, bool *zero, bool *commit,
                        unsigned arena)
{
    size_t mapped = atomic_fetch_add_explicit(&mapped_bytes, size, memory_order_relaxed);
    void *extent;

    (void)own;
    if (mapped > SMALL_NODE_BYTES && address == NULL && size == HUGE_PAGE_BYTES && alignment <= HUGE_PAGE_BYTES) {
        extent = take_page();
        if (extent != NULL) *zero = *commit = true;
        return extent;
    }
    extent = jemallocs->alloc(jemallocs, address, size, alignment, zero, commit, arena);
    if (extent == NULL) return NULL;
    if (mapped > SMALL_NODE_BYTES)
        madvise(extent, size, MADV_HUGEPAGE);
    else if (mapped > NEARLY_BYTES)
        ready_pages_expect(&ready, clock_monotonic_us());
    return extent;
}

static void hooks_name(char *name, size_t room, unsigned arena)
{
    snprintf(name, room, "arena.%u.extent_hooks", arena);
}

/* All arenas begin with the same hooks. */
static void wrap_hooks(void)
{
    size_t size = sizeof(jemallocs);
    char name[64];

    hooks_name(name, sizeof(name), 0);
    if (mallctl(name, &jemallocs, &size, NULL, 0) != 0) {
        jemallocs = NULL;
        return;
    }
    hooks = *jemallocs;
    hooks.alloc = map_extent;
}

void huge_pages_use(unsigned arena)
{
    extent_hooks_t *wrapped = &hooks;
    size_t growth = HUGE_PAGE_BYTES;
    unsigned place;
    char name[64];

    pthread_once(&once, wrap_hooks);
    if (jemallocs == NULL) return;
    hooks_name(name, sizeof(name), arena);
    if (mallctl(name, NULL, NULL, (void *)&wrapped, sizeof(wrapped)) != 0) return;
    snprintf(name, sizeof(name), "arena.%u.retain_grow_limit", arena);
    mallctl(name, NULL, NULL, &growth, sizeof(growth));
    for (unsigned i = 0; i < ARENAS_MAX; i++)
        if (atomic_load_explicit(&arenas[i], memory_order_relaxed) == arena + 1) return; /* another thread's, too */
    place = atomic_fetch_add_explicit(&arena_count, 1, memory_order_relaxed);
    if (place < ARENAS_MAX) atomic_store_explicit(&arenas[place], arena + 1, memory_order_relaxed);
}

/* The allocator takes blocks from where it ended before, or from holes of their size, and does not touch them. */
static void trim(unsigned arena)
{
    int flags = (int)(MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE);
    void *blocks[BLOCKS];
    unsigned count = 0;

    while (count < BLOCKS && (blocks[count] = mallocx(BLOCK_BYTES, flags)) != NULL) count++;
    while (count > 0) dallocx(blocks[--count], flags);
}

void huge_pages_trim(void)
{
    if (atomic_load_explicit(&mapped_bytes, memory_order_relaxed) <= NEARLY_BYTES) return;
    ready_pages_drop(&ready);
    is_trimming = true;
    for (unsigned i = 0; i < ARENAS_MAX; i++) {
        unsigned arena = atomic_load_explicit(&arenas[i], memory_order_relaxed);

        if (arena > 0) trim(arena - 1);
    }
    is_trimming = false;
}

/* --- Those that are ready --- */

#define GAVE_WAY_LATELY_US 1000000

static struct movers *fillers; /* set while there is one thread */
static _Atomic bool is_filling;
static _Atomic int64_t gave_way_us; /* when somebody last did */
static _Atomic bool has_clock;
static clockid_t filler_clock; /* the CPU time of the mover that fills; with has_clock */

static void note_clock(void)
{
    if (atomic_load_explicit(&has_clock, memory_order_relaxed)) return;
    if (pthread_getcpuclockid(pthread_self(), &filler_clock) == 0)
        atomic_store_explicit(&has_clock, true, memory_order_release);
}

/* Then it is begun by who gives way. Even a thread of the lowest class that wants the CPU is given it in the end: for a tick, in the middle of a command. So
 * it is to want it only while others sleep for it, and to have had more of it then than is due to it in between. */
static bool is_given_way(void)
{
    return clock_monotonic_us() - atomic_load_explicit(&gave_way_us, memory_order_relaxed) < GAVE_WAY_LATELY_US;
}

static bool fill(struct mover_job *job)
{
    (void)job;
    note_clock();
    if (ready_pages_fill(&ready)) return true;
    atomic_store_explicit(&is_filling, false, memory_order_release);
    return false;
}

static void begin_filling(void)
{
    static struct mover_job job = { .run = fill };

    if (!atomic_exchange_explicit(&is_filling, true, memory_order_acq_rel)) movers_post(fillers, &job);
}

void huge_pages_fill_by(struct movers *movers)
{
    fillers = movers;
    begin_filling(); /* of nothing yet; but its clock is known then */
}

void huge_pages_keep_up(void)
{
    if (ready_pages_are_wanted(&ready) && fillers != NULL && !is_given_way()) begin_filling();
}

/* -1 where that is not known. */
static int64_t filler_ran_us(void)
{
    struct timespec ran;

    if (!atomic_load_explicit(&has_clock, memory_order_acquire) || clock_gettime(filler_clock, &ran) != 0) return -1;
    return (int64_t)ran.tv_sec * 1000000 + ran.tv_nsec / 1000;
}

static __attribute__((cold, noinline)) void give_way(void)
{
    static _Thread_local struct give_way way;
    int64_t ran_us = filler_ran_us(), sleep_us, now_us;
    struct timespec sleep = { 0 };

    if (ran_us < 0) return;
    sleep_us = give_way_us(&way, clock_monotonic_us(), ran_us);
    if (sleep_us == 0) return;
    begin_filling();
    sleep.tv_nsec = sleep_us * 1000;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &sleep, NULL);
    now_us = clock_monotonic_us();
    atomic_store_explicit(&gave_way_us, now_us, memory_order_relaxed);
    give_way_slept(&way, now_us, filler_ran_us());
}

void huge_pages_give_way(void)
{
    if (ready_pages_are_wanted(&ready)) give_way();
}

void huge_pages_rest(void)
{
    ready_pages_rest(&ready, clock_monotonic_us());
}

#endif
