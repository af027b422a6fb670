/* base/huge_pages.h
 *
 * A cache is read at random, so with pages of 4 KiB nearly every access first walks the page tables: at a million keys that is
 * two fifths of the user time of a GET. Memory that a node maps once it has grown past its first few MiB is therefore asked for
 * in huge pages; a small node stays small. */
#pragma once

#include <stddef.h>

/* For what an arena of the allocator maps from now on (alloc_join() has its thread's use them). Does nothing where the allocator has no
 * hooks (sanitizer builds) or the system no huge pages. */
void huge_pages_use(unsigned arena);

/* The first byte of a huge page makes all of it resident, so each arena's last one is, on average, half a mebibyte and more that nobody has
 * used. Marks those ends as if they had been used and freed: the allocator gives them back as it does such memory, now or some
 * seconds later. Any thread; for a moment when little is allocated. What is then allocated there comes in small pages. */
void huge_pages_trim(void);

/* For a large array that is read at random. Not zeroed; alloc_free() frees it. */
void *huge_pages_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
