/* base/list.h
 *
 * A ring of links that sit inside the structs they chain. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *list)
{
    list->prev = list->next = list;
}
static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}
static inline void list_insert_after(struct list *at, struct list *link)
{
    link->prev = at;
    link->next = at->next;
    at->next->prev = link;
    at->next = link;
}
static inline void list_append(struct list *list, struct list *link)
{
    list_insert_after(list->prev, link);
}
/* Takes a link out; it is then a ring of its own, so taking it out again is harmless. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}
/* (The parameter is not called "list": it would be replaced inside "struct list" too.) */
#define list_each(at, ring) for (struct list *at = (ring)->next; at != (ring); at = at->next)
#define list_each_safe(at, ring)                                                                                       \
    for (struct list *at = (ring)->next, *at##_next = at->next; at != (ring); at = at##_next, at##_next = at->next)
