/* salt/link.h
 *
 * The connections of a helper to the homes of what it has names of: to their ports for clients, with hiredis on libev, on a thread of their own. They have nothing to
 * do with the bus, whose heartbeats must not wait behind values.
 *
 *     wanted --connect, AUTH--> open --lost--> wanted, after a pause of 50 ms that doubles up to 2 s
 *
 * What is queued for a home that does not read is bounded: beyond LINK_SEND_BYTES_MAX the link is given up, and leases do the rest. So is what a home may
 * send before a message of it is whole. */
#pragma once

#include "salt/wire.h"

struct salt_links;

#define LINK_SEND_BYTES_MAX ((size_t)1 << 20)
#define LINK_TICK_MS 10

/* Where a node is reached, and as whom. */
struct salt_address {
    char host[64]; /* an address, no name: nothing is looked up */
    uint16_t port;
    char user[256], password[512]; /* "": none; without a password nothing is said at all */
};

/* All are told on the links' thread, with no lock held, and may call what is below. */
struct salt_link_events {
    void *context;
    /* False: nobody knows where the node is. */
    bool (*address)(void *context, const char *node, struct salt_address *address);
    void (*opened)(void *context, const char *node, salt_link link);
    void (*closed)(void *context, salt_link link); /* not where it was salt_links_close()d */
    /* value: of VALUE; what both point to is good for the call. */
    void (*message)(void *context, salt_link link, const struct salt_message *message, const struct salt_value *value);
    void (*tick)(void *context); /* every LINK_TICK_MS, about */
};

/* NULL, with errno, where no thread can be started. */
struct salt_links *salt_links_new(const struct salt_link_events *events, uint64_t seed);
/* Ends the thread; nothing is told any more. */
void salt_links_stop(struct salt_links *links);
/* The same, and closes all: when nobody asks any more. */
void salt_links_free(struct salt_links **links);
/* Has tick() called soon; any thread, with no lock held. */
void salt_links_wake(struct salt_links *links);
/* How many are open; any thread. */
size_t salt_links_open(const struct salt_links *links);

/* --- On the links' thread --- */

/* Wants a link to the node, again and again; or none any more, and closes the one there is. Saying it twice is harmless. */
void salt_links_connect(struct salt_links *links, const char *node);
void salt_links_disconnect(struct salt_links *links, const char *node);
/* Nothing where the link is gone. */
void salt_links_send(struct salt_links *links, salt_link link, const struct salt_message *message);
void salt_links_close(struct salt_links *links, salt_link link);
