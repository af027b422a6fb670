/* unit/cluster/neighbours.h
 *
 * A node that is not alone, and those it knows: what most tests of the core begin with. Links of B are OUT (ours to it) and IN (its to us);
 * STRANGE is one on which nobody has spoken. */
#pragma once

#include "cluster/cluster_internal.h"
#include "cluster/message.h"
#include "unit/unit.h"

#define ID_B "7686f8bbc0c3a60dee7d8a44874b824d39339700"
#define ID_C "8686f8bbc0c3a60dee7d8a44874b824d39339700"
#define NOW 1700000000000
#define OUT 10
#define IN 11
#define STRANGE 50

static const struct cluster_options options = {
    .node_timeout_ms = 1000, .require_full_coverage = true, .port = 7000, .cport = 17000
};

struct fixture {
    struct cluster *c;
    struct effects e; /* of the last event, where a function below makes one */
    struct node *b, *other;
};

/* One more that is known; without a link. */
static inline struct node *known(struct fixture *f, const char *id, uint16_t port)
{
    struct node *node = node_add(f->c, id, FLAG_PRIMARY, NOW);

    node_set_address(f->c, node, "127.0.0.2", port, (uint16_t)(port + 10000), 0, &f->e);
    return node;
}

/* Linked both ways, by `out` and the number behind it. */
static inline void link_both_ways(struct fixture *f, struct node *node, cluster_link out)
{
    node->connecting = true;
    cluster_link_opened(f->c, node->index, out, NOW, &f->e);
    cluster_link_accepted(f->c, out + 1, "127.0.0.1", "127.0.0.2", NOW);
}

static inline struct fixture with_neighbour(void)
{
    struct fixture f = { .c = cluster_new(&options, 42, NOW) };

    f.c->solo = false;
    f.b = known(&f, ID_B, 8000);
    link_both_ways(&f, f.b, OUT);
    cluster_link_accepted(f.c, STRANGE, "127.0.0.1", "127.0.0.9", NOW);
    effects_clear(&f.e);
    return f;
}

static inline void done(struct fixture *f)
{
    effects_free(&f->e);
    cluster_free(&f->c);
}

/* Of a primary at B's address. */
static inline struct message_header header(uint16_t type, const char *sender)
{
    return (struct message_header){ .type = type,
                                    .port = 8000,
                                    .cport = 18000,
                                    .flags = FLAG_PRIMARY | FLAG_MYSELF,
                                    .sender = sender,
                                    .primary = "",
                                    .ip = "" };
}

/* A packet comes; what follows its header may be anything. */
static inline void receive(struct fixture *f, cluster_link link, const struct message_header *head, struct bytes data,
                           uint16_t extensions, int64_t now_ms)
{
    struct buf packet = { 0 };

    effects_clear(&f->e);
    message_header_write(&packet, head);
    buf_append_bytes(&packet, data);
    message_finish(&packet, 0, extensions);
    cluster_packet(f->c, link, buf_bytes(&packet), now_ms, &f->e);
    buf_free(&packet);
}

static inline void hear(struct fixture *f, cluster_link link, struct message_header head)
{
    receive(f, link, &head, BYTES_NONE, 0, NOW);
}

/* --- What is to be done then --- */

static inline bool closes(const struct fixture *f, cluster_link link)
{
    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_CLOSE && f->e.items[i].link == link) return true;
    return false;
}

static inline size_t sends(const struct fixture *f, uint16_t type)
{
    size_t count = 0;

    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_SEND && message_type_of(f->e.items[i].data) == type) count++;
    return count;
}

/* The messages that nodes of our kind say to each other alone; the payload of the last, unless that is NULL. */
static inline size_t kin_words(const struct fixture *f, enum kin what, struct buf *payload)
{
    size_t count = 0;

    for (size_t i = 0; i < f->e.count; i++) {
        struct message message;

        if (f->e.items[i].kind != EFFECT_SEND) continue;
        CHECK(message_decode(f->e.items[i].data, &message) == MESSAGE_OK);
        if (message.type != MESSAGE_MODULE || message.module_type != what) continue;
        CHECK(memcmp(message.module, "rshdview", 8) == 0);
        count++;
        if (payload == NULL) continue;
        buf_clear(payload);
        buf_append_bytes(payload, message.module_payload);
    }
    return count;
}

/* Keys of a slot are to be dropped. */
static inline bool drops(const struct fixture *f, unsigned slot)
{
    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_DROP_KEYS && effect_next_slot(&f->e.items[i], slot) == slot) return true;
    return false;
}
