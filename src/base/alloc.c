/* base/alloc.c
 *
 * In release builds jemalloc stands behind malloc(), so one call serves us and the libraries we use, and its statistics
 * cover both. The sanitizers have to see malloc() themselves; there we count live bytes on the way through. */
#include "base/alloc.h"

#include "base/huge_pages.h"
#include "base/log.h"

#include <limits.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SANITIZED
#include <unistd.h>

static _Atomic size_t live_bytes;

static void count_added(void *memory)
{
    atomic_fetch_add_explicit(&live_bytes, malloc_usable_size(memory), memory_order_relaxed);
}

static void count_removed(void *memory)
{
    if (memory) atomic_fetch_sub_explicit(&live_bytes, malloc_usable_size(memory), memory_order_relaxed);
}
#else
#include <jemalloc/jemalloc.h>
#include <pthread.h>

#define count_added(memory) ((void)0)
#define count_removed(memory) ((void)0)

/* What jemalloc reads at its start, before MALLOC_CONF. It keeps a note of 128 bytes for each slab, which by default has between 16
 * and 256 allocations of up to 256 bytes: four bytes for each allocation of 128, eight for each of 256. In slabs of some 32 KiB it
 * is half a byte to one, and fewer slabs are begun. */
const char *malloc_conf = "slab_sizes:1-128:8|129-160:10|161-192:9|193-224:14|225-256:8";
#endif

static __attribute__((noreturn, cold, noinline)) void out_of_memory(size_t bytes)
{
    log_warning("memory: the system has no %zu bytes left, stopping", bytes);
    abort();
}

void *alloc(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);

    if (__builtin_expect(!memory, 0)) out_of_memory(bytes);
    count_added(memory);
    return memory;
}

void *alloc_zeroed(size_t bytes)
{
    void *memory = calloc(1, bytes ? bytes : 1);

    if (__builtin_expect(!memory, 0)) out_of_memory(bytes);
    count_added(memory);
    return memory;
}

void *alloc_resize(void *memory, size_t bytes)
{
    void *resized;

    count_removed(memory);
    /* Never zero: realloc() would free the memory and return NULL. */
    resized = realloc(memory, bytes ? bytes : 1);
    if (__builtin_expect(!resized, 0)) out_of_memory(bytes);
    count_added(resized);
    return resized;
}

char *alloc_text(const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(alloc(bytes), text, bytes);
}

void *alloc_aligned(size_t bytes, size_t alignment)
{
    void *memory;

    if (posix_memalign(&memory, alignment, bytes) != 0) out_of_memory(bytes);
    count_added(memory);
    return memory;
}

static _Atomic uint64_t apart_count;

uint64_t alloc_apart_count(void)
{
    return atomic_load_explicit(&apart_count, memory_order_relaxed);
}

#ifdef SANITIZED

void alloc_begin_thread(void)
{
}

void alloc_join(void)
{
}

void *alloc_apart(size_t bytes)
{
    atomic_fetch_add_explicit(&apart_count, 1, memory_order_relaxed);
    return alloc_zeroed(bytes);
}

void alloc_apart_free(void *memory)
{
    alloc_free(memory);
}

#else

/* --- Giving pages back ---
 *
 * What is freed goes back to the system later, by the allocator's own threads (alloc_purge_in_background()), so whoever frees under a lock
 * does not wait for it. But from 8 MiB on jemalloc makes an exception: such memory comes from an arena that keeps nothing, and such a
 * stretch of free pages, even of many small allocations, is given back at once by whoever frees the last of it. That is 20 us and more a
 * MiB (128 MiB: 2.6 to 35 ms, against 12 us), with all of the worker's clients waiting. So both exceptions are switched off, and the
 * arena of the big ones keeps its pages for a second: the next big value then needs no fresh ones either. */
#define BIG_BYTES ((size_t)8 << 20) /* opt.oversize_threshold of jemalloc */
#define BIG_DECAY_MS 1000
#define ARENA_NONE UINT_MAX

static pthread_once_t big_once = PTHREAD_ONCE_INIT;
static unsigned big_arena = ARENA_NONE; /* written once */

static void arena_control(unsigned arena, const char *what, void *value, size_t size)
{
    char name[64];

    snprintf(name, sizeof(name), "arena.%u.%s", arena, what);
    mallctl(name, NULL, NULL, value, size);
}

static void arena_free_later(unsigned arena)
{
    size_t threshold = SIZE_MAX >> 1;

    arena_control(arena, "oversize_threshold", &threshold, sizeof(threshold));
}

static void find_big_arena(void)
{
    void *big = mallocx(BIG_BYTES, 0);
    size_t size = sizeof(big_arena);

    if (big == NULL) {
        big_arena = ARENA_NONE;
        return;
    }
    if (mallctl("arenas.lookup", &big_arena, &size, &big, sizeof(big)) != 0) big_arena = ARENA_NONE;
    dallocx(big, 0);
    if (big_arena != ARENA_NONE) arena_free_later(big_arena);
}

void alloc_begin_thread(void)
{
    /* Not malloc() and free(), which a compiler may see through. */
    void *memory = mallocx(1, 0);

    if (memory != NULL) dallocx(memory, 0);
}

void alloc_join(void)
{
    unsigned arena;
    size_t size = sizeof(arena);

    if (mallctl("thread.arena", &arena, &size, NULL, 0) != 0) return;
    huge_pages_use(arena);
    arena_free_later(arena);
}

bool alloc_purge_in_background(bool on)
{
    ssize_t decay_ms = on ? BIG_DECAY_MS : 0;

    if (mallctl("background_thread", NULL, NULL, &on, sizeof(on)) != 0) return false;
    pthread_once(&big_once, find_big_arena);
    if (big_arena != ARENA_NONE) arena_control(big_arena, "dirty_decay_ms", &decay_ms, sizeof(decay_ms));
    return true;
}

/* --- Memory apart --- */

/* An arena of its own, and no thread's cache in between: that would hand its memory out to others. A cache for this arena alone
 * (tcache.create) was measured over what leaves do while a million keys come to 16384 slots: an allocation and what it replaces take 245
 * ns rather than 290, 0.15 times a key, so it spares 7 ns of a SET; but the slabs take 19.7 MiB rather than 12.9, 7 bytes a key. Two
 * threads that do nothing else wait for each other (800 ns); a worker is at it for one part in thirty of its time. Where many
 * workers take in new keys only, an arena for each of them would be the way. */
static pthread_once_t apart_once = PTHREAD_ONCE_INIT;
static int apart_flags;
static _Atomic unsigned apart_arena; /* 0, which is never it, while there is none */

static void make_arena(void)
{
    unsigned arena;
    size_t size = sizeof(arena);

    apart_flags = MALLOCX_TCACHE_NONE | MALLOCX_ZERO;
    if (mallctl("arenas.create", &arena, &size, NULL, 0) != 0) return;
    apart_flags |= MALLOCX_ARENA(arena);
    huge_pages_use(arena);
    atomic_store_explicit(&apart_arena, arena, memory_order_relaxed);
    arena_free_later(arena);
}

void *alloc_apart(size_t bytes)
{
    void *memory;

    pthread_once(&apart_once, make_arena);
    atomic_fetch_add_explicit(&apart_count, 1, memory_order_relaxed);
    memory = mallocx(bytes ? bytes : 1, apart_flags);
    if (__builtin_expect(!memory, 0)) out_of_memory(bytes);
    return memory;
}

void alloc_apart_free(void *memory)
{
    if (memory != NULL) dallocx(memory, MALLOCX_TCACHE_NONE);
}

#endif

void alloc_free(void *memory)
{
    count_removed(memory);
    free(memory);
}

void alloc_free_sized(void *memory, size_t bytes)
{
#ifdef SANITIZED
    (void)bytes;
    alloc_free(memory);
#else
    sdallocx(memory, bytes ? bytes : 1, 0);
#endif
}

bool alloc_extend(void *memory, size_t bytes)
{
#ifdef SANITIZED
    return malloc_usable_size(memory) >= bytes;
#else
    return sallocx(memory, 0) >= nallocx(bytes, 0) || xallocx(memory, bytes, 0, 0) >= bytes;
#endif
}

#ifdef SANITIZED

size_t alloc_class(size_t bytes)
{
    return bytes;
}

#else

/* Every write asks for the classes of what comes and what goes. Those of small sizes are read here, where jemalloc takes four times as long to say
 * them. */
#define CLASS_STEP 8u
#define CLASSED_MAX 1024u
static uint16_t small_classes[CLASSED_MAX / CLASS_STEP + 1]; /* written before main() */

static __attribute__((constructor)) void note_small_classes(void)
{
    for (size_t i = 0; i <= CLASSED_MAX / CLASS_STEP; i++)
        small_classes[i] = (uint16_t)nallocx(i == 0 ? 1 : i * CLASS_STEP, 0);
}

size_t alloc_class(size_t bytes)
{
    if (bytes <= CLASSED_MAX) return small_classes[(bytes + CLASS_STEP - 1) / CLASS_STEP];
    return nallocx(bytes, 0);
}

#endif

size_t alloc_size(const void *memory)
{
    return malloc_usable_size((void *)(uintptr_t)memory);
}

#ifdef SANITIZED

static size_t pages_resident(void)
{
    unsigned long total = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");

    if (!statm) return 0;
    if (fscanf(statm, "%lu %lu", &total, &resident) != 2) resident = 0;
    fclose(statm);
    return resident;
}

struct alloc_stats alloc_stats(void)
{
    size_t live = atomic_load_explicit(&live_bytes, memory_order_relaxed);
    size_t resident = pages_resident() * (size_t)sysconf(_SC_PAGESIZE);

    return (struct alloc_stats){
        .allocated_bytes = live, .active_bytes = live, .resident_bytes = resident, .mapped_bytes = resident
    };
}

struct alloc_stats alloc_apart_stats(void)
{
    return (struct alloc_stats){ 0 };
}

const char *alloc_name(void)
{
    return "libc";
}

void alloc_purge(void)
{
}

bool alloc_purge_in_background(bool on)
{
    return !on;
}

#else

#define TEXT_OF(number) #number
#define TEXT_OF_VALUE(macro) TEXT_OF(macro)
#define ARENAS_ALL TEXT_OF_VALUE(MALLCTL_ARENAS_ALL)

static size_t stat_bytes(const char *name)
{
    size_t bytes = 0, size = sizeof(bytes);
    return mallctl(name, &bytes, &size, NULL, 0) == 0 ? bytes : 0;
}

struct alloc_stats alloc_stats(void)
{
    uint64_t epoch = 1;
    size_t size = sizeof(epoch), cached;

    /* jemalloc answers from a snapshot, which a new epoch refreshes. */
    mallctl("epoch", &epoch, &size, &epoch, size);
    /* jemalloc counts as allocated what a thread has freed and keeps for its next allocation: hundreds of kilobytes a thread. */
    cached = stat_bytes("stats.arenas." ARENAS_ALL ".tcache_bytes");
    return (struct alloc_stats){
        .allocated_bytes = stat_bytes("stats.allocated") - cached,
        .active_bytes = stat_bytes("stats.active"),
        .resident_bytes = stat_bytes("stats.resident"),
        .mapped_bytes = stat_bytes("stats.mapped"),
    };
}

static size_t arena_stat(unsigned arena, const char *name)
{
    char full[64];

    snprintf(full, sizeof(full), "stats.arenas.%u.%s", arena, name);
    return stat_bytes(full);
}

struct alloc_stats alloc_apart_stats(void)
{
    unsigned arena = atomic_load_explicit(&apart_arena, memory_order_relaxed);
    uint64_t epoch = 1;
    size_t size = sizeof(epoch), page = stat_bytes("arenas.page");

    if (arena == 0) return (struct alloc_stats){ 0 };
    mallctl("epoch", &epoch, &size, &epoch, size);
    return (struct alloc_stats){
        .allocated_bytes = arena_stat(arena, "small.allocated") + arena_stat(arena, "large.allocated"),
        .active_bytes = arena_stat(arena, "pactive") * page,
    };
}

#define VERSION_TEXT(major, minor, bugfix) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(bugfix)

const char *alloc_name(void)
{
    return "jemalloc-" VERSION_TEXT(JEMALLOC_VERSION_MAJOR, JEMALLOC_VERSION_MINOR, JEMALLOC_VERSION_BUGFIX);
}

void alloc_purge(void)
{
    /* A thread's own cache holds freed memory back from its arena. */
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    huge_pages_trim();
    mallctl("arena." ARENAS_ALL ".purge", NULL, NULL, NULL, 0);
}

#endif
