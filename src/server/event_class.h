/* server/event_class.h
 *
 * The classes of notify-keyspace-events: a letter and a bit each. Two of them, K and E, say on which channels; the others, of what. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum event_class {
    EVENT_KEYSPACE = 1u << 0, /* K: on __keyspace@0__:<key>, the event is the message */
    EVENT_KEYEVENT = 1u << 1, /* E: on __keyevent@0__:<event>, the key is the message */
    EVENT_GENERIC = 1u << 2,  /* g */
    EVENT_STRING = 1u << 3,   /* $ */
    EVENT_LIST = 1u << 4,     /* l */
    EVENT_SET = 1u << 5,      /* s */
    EVENT_HASH = 1u << 6,     /* h */
    EVENT_ZSET = 1u << 7,     /* z */
    EVENT_EXPIRED = 1u << 8,  /* x */
    EVENT_EVICTED = 1u << 9,  /* e */
    EVENT_STREAM = 1u << 10,  /* t */
    EVENT_MODULE = 1u << 11,  /* d */
    EVENT_MISSED = 1u << 12,  /* m: a read found nothing */
    EVENT_NEW = 1u << 13,     /* n: a key came into being */
    EVENT_HOT = 1u << 14,     /* H, ours: hot, cold, salted */
};
#define EVENT_ALL                                                                                                      \
    (EVENT_GENERIC | EVENT_STRING | EVENT_LIST | EVENT_SET | EVENT_HASH | EVENT_ZSET | EVENT_EXPIRED | EVENT_EVICTED | \
     EVENT_STREAM | EVENT_MODULE) /* A */

struct buf;

/* The classes that letters name. False where one names none. */
bool event_classes_read(struct bytes letters, uint32_t *classes);
/* Appends their letters. */
void event_classes_write(uint32_t classes, struct buf *out);
/* As CONFIG GET shows them: as redis-server does, which beside A says nothing of n. */
void event_classes_show(uint32_t classes, struct buf *out);
