/* base/relocate.c
 *
 * jemalloc 5.2 and later say of a whole batch of addresses how full their slabs are, without a lock; and of one address also how full all
 * slabs of its arena and size class are, for which they take a short lock. So the first question sorts out what lies in slabs that
 * are nearly full, and the second one is for the others. */
#include "base/relocate.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdint.h>

#ifdef SANITIZED

bool relocate_is_possible(void)
{
    return true;
}

size_t relocate_judge(void *const memory[], size_t count, bool worth[])
{
    static _Thread_local uint64_t state = 0x9e3779b97f4a7c15;
    size_t found = 0;

    (void)memory;
    for (size_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        worth[i] = (state >> 32 & 3) == 0;
        found += worth[i];
    }
    return found;
}

void *relocate_alloc(size_t bytes)
{
    return alloc(bytes);
}

void relocate_free(void *memory, size_t bytes)
{
    alloc_free_sized(memory, bytes);
}

/* As if half of it were holes. */
struct relocate_use relocate_use(void)
{
    size_t allocated = alloc_stats().allocated_bytes;

    return (struct relocate_use){ 2 * allocated, allocated };
}

#else

#include <jemalloc/jemalloc.h>
#include <pthread.h>

/* A class of which less than this part is free is left as it is: what could be won is not worth the work. */
#define FREE_PART_MIN 16

struct slab_state {
    size_t free, regions,
        bytes; /* of a slab; all 0 for what is no allocation of ours, no free ones where it has no slab */
};

struct class_state {
    void *filling; /* the slab that the next allocation comes from */
    struct slab_state slab;
    size_t free, regions; /* of all slabs of the class, in the arena of the one */
};

struct question {
    size_t mib[3], length;
};

static struct question about_many, about_one;
static bool possible; /* written once, as the two above */

static bool find_question(struct question *question, const char *name)
{
    question->length = sizeof(question->mib) / sizeof(question->mib[0]);
    return mallctlnametomib(name, question->mib, &question->length) == 0;
}

static void find_questions(void)
{
    possible = find_question(&about_many, "experimental.utilization.batch_query") &&
               find_question(&about_one, "experimental.utilization.query");
}

bool relocate_is_possible(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, find_questions);
    return possible;
}

static bool is_thin(size_t free, size_t regions)
{
    return free * FREE_PART_MIN >= regions && free > 0;
}

static bool is_worth_moving(void *memory)
{
    struct class_state class;
    size_t size = sizeof(class);

    if (mallctlbymib(about_one.mib, about_one.length, &class, &size, &memory, sizeof(memory)) != 0) return false;
    /* Unless the others can take all that a slab holds, none becomes empty. */
    if (!is_thin(class.free, class.regions) || class.free <= class.slab.regions) return false;
    if ((uintptr_t)memory - (uintptr_t) class.filling < class.slab.bytes) return false;
    return class.slab.free * class.regions >= class.free * class.slab.regions;
}

size_t relocate_judge(void *const memory[], size_t count, bool worth[])
{
    struct slab_state slabs[RELOCATE_MAX];
    size_t size = count * sizeof(slabs[0]), found = 0;
    bool answered;

    assert(count <= RELOCATE_MAX);
    if (count == 0) return 0;
    answered = relocate_is_possible() && mallctlbymib(about_many.mib, about_many.length, slabs, &size,
                                                      (void *)(uintptr_t)memory, count * sizeof(memory[0])) == 0;
    for (size_t i = 0; i < count; i++) {
        worth[i] = answered && is_thin(slabs[i].free, slabs[i].regions) && is_worth_moving(memory[i]);
        found += worth[i];
    }
    return found;
}

void *relocate_alloc(size_t bytes)
{
    return mallocx(bytes ? bytes : 1, MALLOCX_TCACHE_NONE);
}

void relocate_free(void *memory, size_t bytes)
{
    sdallocx(memory, bytes ? bytes : 1, MALLOCX_TCACHE_NONE);
}

struct relocate_use relocate_use(void)
{
    struct alloc_stats stats = alloc_stats();

    return (struct relocate_use){ stats.active_bytes, stats.allocated_bytes };
}

#endif

struct relocate_use relocate_use_apart(void)
{
    struct alloc_stats stats = alloc_apart_stats();

    return (struct relocate_use){ stats.active_bytes, stats.allocated_bytes };
}
