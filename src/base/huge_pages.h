/* base/huge_pages.h
 *
 * A cache is read at random, so with pages of 4 KiB nearly every access first walks the page tables: at a million keys that is
 * two fifths of the user time of a GET. Memory that a node maps once it has grown past its first few MiB is therefore asked for
 * in huge pages; a small node stays small. */
#pragma once

#include <stddef.h>

struct movers;

/* For what an arena of the allocator maps from now on (alloc_join() has its thread's use them). Does nothing where the allocator has no
 * hooks (sanitizer builds) or the system no huge pages. */
void huge_pages_use(unsigned arena);

/* Some are touched ahead while memory grows (base/ready_pages.h), by this mover, one that runs in gaps. Before the first thread that asks for it; it must
 * outlive the last. */
void huge_pages_fill_by(struct movers *movers);
/* Has a mover do so where that is due; else it costs next to nothing. For every thread that allocates, now and then, holding no lock. */
void huge_pages_keep_up(void);
/* Where more are wanted and that mover, which runs only while nobody else wants its CPU, is not given one, sleeps for half a millisecond at most, so that
 * it gets this one: else whoever takes the next page would wait for the whole of it, in the middle of a command. For the same threads, between two turns,
 * holding no lock; it costs next to nothing where none is wanted. */
void huge_pages_give_way(void);
/* Gives back those that are ready when memory no longer grows. Several times a second, from any one thread. */
void huge_pages_rest(void);

/* The first byte of a huge page makes all of it resident, so each arena's last one is, on average, half a mebibyte and more that nobody has
 * used. Marks those ends as if they had been used and freed: the allocator gives them back as it does such memory, now or some
 * seconds later. Any thread; for a moment when little is allocated. What is then allocated there comes in small pages. */
void huge_pages_trim(void);

/* For a large array that is read at random. Not zeroed; alloc_free() frees it. */
void *huge_pages_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
