/* base/alloc.c
 *
 * In release builds jemalloc stands behind malloc(), so one call serves us and the libraries we use, and its statistics
 * cover both. The sanitizers have to see malloc() themselves; there we count live bytes on the way through. */
#include "base/alloc.h"

#include "base/huge_pages.h"
#include "base/log.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SANITIZED
#include <stdatomic.h>
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

#ifdef SANITIZED

void *alloc_apart(size_t bytes)
{
    return alloc_zeroed(bytes);
}

void alloc_apart_free(void *memory)
{
    alloc_free(memory);
}

#else

/* An arena of its own, and no thread's cache in between: that would hand its memory out to others. */
static pthread_once_t apart_once = PTHREAD_ONCE_INIT;
static int apart_flags;

static void make_arena(void)
{
    unsigned arena;
    size_t size = sizeof(arena);

    apart_flags = MALLOCX_TCACHE_NONE | MALLOCX_ZERO;
    if (mallctl("arenas.create", &arena, &size, NULL, 0) != 0) return;
    apart_flags |= MALLOCX_ARENA(arena);
    huge_pages_use(arena);
}

void *alloc_apart(size_t bytes)
{
    void *memory;

    pthread_once(&apart_once, make_arena);
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

size_t alloc_class(size_t bytes)
{
#ifdef SANITIZED
    return bytes;
#else
    return nallocx(bytes ? bytes : 1, 0);
#endif
}

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

#define VERSION_TEXT(major, minor, bugfix) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(bugfix)

const char *alloc_name(void)
{
    return "jemalloc-" VERSION_TEXT(JEMALLOC_VERSION_MAJOR, JEMALLOC_VERSION_MINOR, JEMALLOC_VERSION_BUGFIX);
}

void alloc_purge(void)
{
    /* A thread's own cache holds freed memory back from its arena. */
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    mallctl("arena." ARENAS_ALL ".purge", NULL, NULL, NULL, 0);
}

bool alloc_purge_in_background(bool on)
{
    return mallctl("background_thread", NULL, NULL, &on, sizeof(on)) == 0;
}

#endif
