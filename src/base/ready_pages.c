/* base/ready_pages.c
 *
 * Pages are cut one behind the other, so that the allocator can join them. One that was ready and is given back keeps its addresses and
 * is the next to be cut: holes would add up. The lock is held over calls on the system, as an allocator's are, but not by who fills.
 *
 * A page that is being touched holds its mapping: whoever would change that one, or join another to it, waits until it has been. So regions lie apart, with
 * something that nobody may access in between. */
#include "base/ready_pages.h"

#include <stddef.h>
#include <sys/mman.h>

#define SMALL_PAGE_BYTES 4096u
#define REGION_BYTES (64 * HUGE_PAGE_BYTES)

/* Pages that follow each other within this time are taken fast: a tenth of it is what it takes to touch one, where that is slow. */
#define FAST_US 250000
/* After so long without another one the pace is over, and then memory no longer grows. */
#define SLOW_US 1000000
#define QUIET_US 10000000

/* With the lock held, as the others here. */
static void look_whether_wanted(struct ready_pages *pages)
{
    atomic_store_explicit(&pages->wanted, pages->ready_count < pages->goal, memory_order_relaxed);
}

static bool has_addresses(const struct ready_pages *pages)
{
    return pages->cold_count > 0 || pages->next != pages->end;
}

/* Addresses of whole huge pages, with some before and behind them that nobody may access; NULL where there are none. */
static char *find_region(void)
{
    size_t bytes = SMALL_PAGE_BYTES + HUGE_PAGE_BYTES + REGION_BYTES + SMALL_PAGE_BYTES;
    char *found = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *region;

    if (found == MAP_FAILED) return NULL;
    region = found + SMALL_PAGE_BYTES;
    region += (HUGE_PAGE_BYTES - (uintptr_t)region % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
    if (mprotect(region, REGION_BYTES, PROT_READ | PROT_WRITE) != 0) {
        munmap(found, bytes);
        return NULL;
    }
    madvise(region, REGION_BYTES, MADV_HUGEPAGE); /* a wish, which may be refused */
    return region;
}

/* Where somebody else has found some meanwhile they are lost, as addresses, which cost nothing. */
static void add_region(struct ready_pages *pages, char *region)
{
    if (region == NULL || has_addresses(pages)) return;
    pages->next = region;
    pages->end = region + REGION_BYTES;
}

/* Those that were given back come first, so there are never more than the most that were ready at a time. */
static char *cut(struct ready_pages *pages)
{
    char *page;

    if (pages->cold_count > 0) return pages->cold[--pages->cold_count];
    if (!has_addresses(pages)) add_region(pages, find_region());
    if (!has_addresses(pages)) return NULL;
    page = pages->next;
    pages->next += HUGE_PAGE_BYTES;
    return page;
}

static char *take_first(struct ready_pages *pages)
{
    char *page = pages->ready[0];

    pages->ready_count--;
    for (unsigned i = 0; i < pages->ready_count; i++) pages->ready[i] = pages->ready[i + 1];
    return page;
}

/* In small pages, in case that it is none but those. */
static void touch(char *page)
{
    for (size_t at = 0; at < HUGE_PAGE_BYTES; at += SMALL_PAGE_BYTES) *(volatile char *)(page + at) = 0;
}

/* --- Taking --- */

void *ready_pages_take(struct ready_pages *pages, int64_t now_us)
{
    char *page;

    lock_take(&pages->lock);
    page = pages->ready_count > 0 ? take_first(pages) : cut(pages);
    pages->goal = now_us - atomic_load_explicit(&pages->taken_us, memory_order_relaxed) < FAST_US ? READY_PAGES_MAX : 1;
    atomic_store_explicit(&pages->taken_us, now_us, memory_order_relaxed);
    look_whether_wanted(pages);
    lock_release(&pages->lock);
    return page;
}

void *ready_pages_take_cold(struct ready_pages *pages)
{
    char *page;

    lock_take(&pages->lock);
    page = cut(pages);
    lock_release(&pages->lock);
    return page;
}

/* --- Filling --- */

void ready_pages_expect(struct ready_pages *pages, int64_t now_us)
{
    lock_take(&pages->lock);
    if (pages->goal == 0) pages->goal = 1;
    atomic_store_explicit(&pages->taken_us, now_us, memory_order_relaxed);
    look_whether_wanted(pages);
    lock_release(&pages->lock);
}

/* Before it is needed, without the lock. */
static void find_addresses(struct ready_pages *pages)
{
    bool has_some;
    char *region;

    lock_take(&pages->lock);
    has_some = has_addresses(pages) || pages->ready_count >= pages->goal;
    lock_release(&pages->lock);
    if (has_some) return;
    region = find_region();
    lock_take(&pages->lock);
    add_region(pages, region);
    lock_release(&pages->lock);
}

bool ready_pages_fill(struct ready_pages *pages)
{
    char *page = NULL;

    find_addresses(pages);
    lock_take(&pages->lock);
    if (pages->ready_count < pages->goal) page = cut(pages);
    if (page == NULL) atomic_store_explicit(&pages->wanted, false, memory_order_relaxed);
    lock_release(&pages->lock);
    if (page == NULL) return false;

    touch(page);
    lock_take(&pages->lock);
    pages->ready[pages->ready_count++] = page;
    look_whether_wanted(pages);
    lock_release(&pages->lock);
    return ready_pages_are_wanted(pages);
}

/* --- Giving back --- */

static void keep(struct ready_pages *pages, unsigned goal)
{
    lock_take(&pages->lock);
    if (pages->goal > goal) pages->goal = goal;
    while (pages->ready_count > pages->goal) {
        char *page = pages->ready[--pages->ready_count];

        madvise(page, HUGE_PAGE_BYTES, MADV_DONTNEED);
        pages->cold[pages->cold_count++] = page;
    }
    look_whether_wanted(pages);
    lock_release(&pages->lock);
}

void ready_pages_rest(struct ready_pages *pages, int64_t now_us)
{
    int64_t quiet_us = now_us - atomic_load_explicit(&pages->taken_us, memory_order_relaxed);

    if (quiet_us >= SLOW_US) keep(pages, quiet_us < QUIET_US ? 1 : 0);
}

void ready_pages_drop(struct ready_pages *pages)
{
    keep(pages, 0);
}
