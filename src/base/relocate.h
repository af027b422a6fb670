/* base/relocate.h
 *
 * What defragmentation asks of the allocator. Small allocations of one size lie together in *slabs* of some pages, and a slab is given back
 * only when the last allocation in it is gone: after most of a node was deleted at random, nearly every slab is still kept by a few. Moving
 * those few into slabs that are fuller frees the others. The allocator knows how full each slab is; whoever holds the only
 * reference to an allocation can move it.
 *
 * In sanitizer builds there are no slabs. There a quarter of what is asked about is said to be worth moving, at random, so that
 * the moving itself is under the sanitizers' eyes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* False where the allocator cannot tell: then nothing is ever worth moving. */
bool relocate_is_possible(void);

#define RELOCATE_MAX 128

/* Which of at most RELOCATE_MAX allocations are worth moving: their slab is no fuller than the mean of its size class, others have room
 * for what is in it, and it is not the one that is being filled now. None of them is looked at. Returns how many are. */
size_t relocate_judge(void *const memory[], size_t count, bool worth[]);

/* Memory where there already is much of its size. A thread's cache would hand out what was just freed, which is where things
 * are to be moved away from: both calls pass it by. NULL where memory is short: then nothing is moved. */
void *relocate_alloc(size_t bytes);
void relocate_free(void *memory, size_t bytes);

/* Bytes in pages that hold allocations, and how many of them are allocated: the rest is what moving might bring. */
struct relocate_use {
    size_t active_bytes, allocated_bytes;
};
struct relocate_use relocate_use(void);
/* The same of what alloc_apart() made. In sanitizer builds there is nothing to bring. */
struct relocate_use relocate_use_apart(void);
