/* base/huge_pages.c
 *
 * jemalloc maps memory in ever larger extents, one arena for each few threads. Its hook for mapping is wrapped: the extent is
 * mapped as before, and then the kernel is told that huge pages are welcome. (jemalloc's own switch for this, opt.thp, would
 * give the first extent of every arena a huge page too, which is 10 MiB of an empty node.)
 *
 * Their price is paid at the first touch: the kernel clears 2 MiB, and a virtual machine's host may have to find them. Five million
 * keys set into one slot, the server with a real-time priority: 268 commands took more than a millisecond, nearly all with one page
 * fault of 4 to 8 ms; what the table does for its growth is not among them. A mover that allocates a MiB in the thread's arena as it
 * grows, touches it and frees it, for the next slabs to be cut from, took the faults away from the worker (8 commands were left,
 * none with a fault). It is not here because what is ready and not yet used is 2 to 7 bytes a key at a million keys. */
#include "base/huge_pages.h"

#include "base/alloc.h"

#include <sys/mman.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

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

#else

#include <jemalloc/jemalloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

/* What all arenas may map before huge pages pay: less would show in the size of an empty node. */
#define SMALL_NODE_BYTES ((size_t)6 << 20)

/* What trimming takes of an arena for a moment: blocks that fit between allocations, and of them more than a huge page in all. */
#define BLOCK_BYTES ((size_t)64 << 10)
#define BLOCKS (3 * HUGE_PAGE_BYTES / 2 / BLOCK_BYTES)
#define ARENAS_MAX 256u

static _Atomic unsigned arenas[ARENAS_MAX], arena_count; /* that use huge pages; those beyond are not trimmed */
static _Atomic size_t mapped_bytes;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static extent_hooks_t *jemallocs, hooks; /* written once */

static void *map_extent(extent_hooks_t *own, void *address, size_t size, size_t alignment, bool *zero, bool *commit,
                        unsigned arena)
{
    void *extent = jemallocs->alloc(jemallocs, address, size, alignment, zero, commit, arena);

    (void)own;
    if (extent == NULL) return NULL;
    if (atomic_fetch_add_explicit(&mapped_bytes, size, memory_order_relaxed) > SMALL_NODE_BYTES)
        madvise(extent, size, MADV_HUGEPAGE);
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
    unsigned place;
    char name[64];

    pthread_once(&once, wrap_hooks);
    if (jemallocs == NULL) return;
    hooks_name(name, sizeof(name), arena);
    if (mallctl(name, NULL, NULL, (void *)&wrapped, sizeof(wrapped)) != 0) return;
    for (unsigned i = 0; i < ARENAS_MAX; i++)
        if (atomic_load_explicit(&arenas[i], memory_order_relaxed) == arena) return; /* another thread's, too */
    place = atomic_fetch_add_explicit(&arena_count, 1, memory_order_relaxed);
    if (place < ARENAS_MAX) atomic_store_explicit(&arenas[place], arena, memory_order_relaxed);
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
    if (atomic_load_explicit(&mapped_bytes, memory_order_relaxed) <= SMALL_NODE_BYTES) return;
    for (unsigned i = 0; i < ARENAS_MAX; i++) {
        unsigned arena = atomic_load_explicit(&arenas[i], memory_order_relaxed);

        if (arena == 0) continue; /* no place, or the main thread's, which has none of this */
        trim(arena);
    }
}

#endif
