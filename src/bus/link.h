/* bus/link.h
 *
 * The TCP connections of the cluster bus, on the control loop. For each pair of nodes there are two: each one's outbound link to the
 * other. A link connects or is accepted, cuts what it reads into messages, and keeps what the peer did not take yet.
 *
 *     connecting --opened()--> open --broken--> links_take_broken(), links_bury()
 *          \_______________________________________/
 *
 * What a link keeps has an end in both directions: anybody who reaches the port can make us keep a message that never becomes whole, and
 * a member that reads nothing could make us keep what we tell it. So a stranger's message may be so large and no larger, all of them
 * together so much, and what waits to be sent on a link so much; beyond, the link is broken.
 *
 * A link never goes away on its own: where it fails, or its peer sends what is no message, it is put among the broken and
 * turn_ended() is called, and the owner takes it from there. So a link that is being read or written is never freed under the reader.
 *
 * Only the control loop's thread calls this, but for links_info(). */
#pragma once

#include "base/list.h"
#include "base/lock.h"
#include "cluster/cluster.h"
#include "net/conn.h"

#include <ev.h>

struct links;

struct link {
    struct list chain;  /* in its bucket */
    struct list listed; /* among all, or the broken, or the buried */
    struct links *links;
    cluster_link id;
    bool outbound, connecting, broken;
    uint16_t node; /* of an outbound one: index of the node it was opened to */
    uint16_t port;
    char ip[46];
    struct conn conn;
    struct ev_io connected; /* while connecting */
    struct buf input;       /* a message that is not whole yet */
    size_t input_counted;   /* its part of what all links keep of such messages */
    int64_t created_ms;
    int64_t
        busy_since_ms;   /* since when there has been too much on it for what clients publish (bus/publish.h); 0: not */
    int64_t deadline_ms; /* to be connected, or of an inbound one to say something; 0 once it has */
    _Atomic size_t send_allocated, send_used; /* for links_info() */
};

struct link_events {
    void (*opened)(void *context, struct link *link);                      /* an outbound one is up */
    void (*packet)(void *context, struct link *link, struct bytes packet); /* may break the link */
    void (*drained)(void *context, struct link *link);                     /* nothing waits on it any more */
    void (*turn_ended)(void *context);                                     /* after what the loop woke us for */
    bool (*is_member)(void *context, const struct link *link);             /* a known node is at its other end */
};

struct links *links_new(struct ev_loop *loop, const struct link_events *events, void *context);
/* Closes all. */
void links_free(struct links **links);

/* Starts to connect. One that is still connecting to the same node and address goes on instead; to another address, it gives way. */
void links_connect(struct links *links, uint16_t node, const char *ip, uint16_t port, int64_t now_ms,
                   int64_t timeout_ms);
/* Takes an accepted socket. */
struct link *links_adopt(struct links *links, int fd, int64_t now_ms, int64_t timeout_ms);
struct link *links_find(struct links *links, cluster_link id);
/* Breaks those that did not connect, or did not speak, in time. */
void links_tick(struct links *links, int64_t now_ms);
/* How many wait to be sent more than limit bytes; breaks them. */
size_t links_break_over(struct links *links, size_t limit);

void link_send(struct link *link, struct bytes message);
void link_break(struct link *link);
/* Addresses of an open link as text, without ports; "" where unknown. */
void link_addresses(const struct link *link, char local[46], char peer[46]);

/* One of the broken, out of every table, or NULL. */
struct link *links_take_broken(struct links *links);
/* To be freed by links_reap(), which is called where no link is in use. */
void links_bury(struct links *links, struct link *link);
void links_reap(struct links *links);

struct link_numbers {
    int64_t created_ms;
    size_t send_allocated, send_used;
};
/* Any thread. */
bool links_info(struct links *links, cluster_link id, struct link_numbers *out);
