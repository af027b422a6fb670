/* base/alloc.h
 *
 * The one way to memory. Small allocations do not fail: when memory is gone the node stops with a
 * message, because a cache that cannot allocate has nothing left to say. A size that came from
 * outside is checked by its reader before it gets here.
 *
 * jemalloc serves it in release builds. Under the sanitizers the C library's malloc does, and only
 * the counts below are kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *alloc_zeroed(size_t bytes) __attribute__((malloc, returns_nonnull));
void *alloc_resize(void *memory, size_t bytes) __attribute__((returns_nonnull));
/* Makes it larger where it is, where it can: true when it has room for so many bytes. They are to be claimed by alloc_resize() then. */
bool alloc_extend(void *memory, size_t bytes);
char *alloc_text(const char *text) __attribute__((malloc, returns_nonnull));

/* At a multiple of `alignment`, a power of two. */
void *alloc_aligned(size_t bytes, size_t alignment) __attribute__((malloc, returns_nonnull));

/* Memory apart from all other, for what is small and moves from one size to the next as it grows: between entries of the same
 * sizes it would leave holes behind that nothing fits into. Zeroed. alloc_apart_free() takes memory from alloc() as well. */
void *alloc_apart(size_t bytes) __attribute__((malloc, returns_nonnull));
void alloc_apart_free(void *memory);
/* How many allocations alloc_apart() has ever made; any thread. */
uint64_t alloc_apart_count(void);

/* Gives memory back; NULL is allowed. */
void alloc_free(void *memory);

/* The same where the size is known, which spares looking it up: what was asked of alloc() or alloc_resize(), or another
 * size of the same class. */
void alloc_free_sized(void *memory, size_t bytes);

/* What an allocation really takes: its size class. */
size_t alloc_size(const void *memory);
/* What one of so many bytes would take. */
size_t alloc_class(size_t bytes);

struct alloc_stats {
    size_t allocated_bytes; /* in live allocations, size classes counted; what threads keep for reuse is not */
    size_t active_bytes;    /* in pages that hold them */
    size_t resident_bytes;  /* mapped and present */
    size_t mapped_bytes;
};
struct alloc_stats alloc_stats(void);

/* The allocated and the active bytes of alloc_apart() alone, which are part of the above; the others are 0. All are 0 where it has no
 * memory of its own. */
struct alloc_stats alloc_apart_stats(void);

/* "jemalloc-5.3.0" or "libc". */
const char *alloc_name(void);

/* The first call of every thread that we start, unless that is alloc_join(). jemalloc makes a thread ready with its first allocation; one
 * that only frees is made ready in the midst of a free(), if that joins extents of an arena which has our hooks (base/huge_pages.h), by
 * an allocation from arena 0. Where that is the same arena, as it always is on a machine with one CPU, the thread waits for a lock that
 * it holds, for ever. */
void alloc_begin_thread(void);

/* From each thread that allocates entries, at its start: its pages are huge ones (base/huge_pages.h), and what it frees is given back
 * to the system later, by others, however large. */
void alloc_join(void);

/* Gives unused pages back to the system where the allocator can. */
void alloc_purge(void);

/* Has threads of the allocator's own do that, some seconds after pages fell into disuse. Without them only threads that go on allocating
 * do, each for its own arena, so that an idle node would keep what it no longer needs; and what is 8 MiB or more is given back by who
 * frees it, who waits for that. False where the allocator cannot. Not before the last fork. */
bool alloc_purge_in_background(bool on);
