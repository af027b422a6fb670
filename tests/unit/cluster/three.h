/* unit/cluster/three.h
 *
 * Three nodes that know each other: we own slot 0, B slot 1, C none; and what B and C say of those. */
#pragma once

#include "unit/cluster/neighbours.h"

#define C_OUT 20 /* our link to C; 21 is its to us */

/* We own slot 0, B slot 1, with epochs 1 and 2. */
static inline struct fixture with_two(void)
{
    struct fixture f = with_neighbour();

    f.other = known(&f, ID_C, 9000);
    link_both_ways(&f, f.other, C_OUT);
    f.c->myself->config_epoch = 1;
    slot_bind(f.c, 0, f.c->myself, &f.e);
    slot_bind(f.c, 1, f.b, &f.e);
    f.b->config_epoch = f.c->current_epoch = 2;
    cluster_persist_now(f.c, true, &f.e);
    cluster_persisted(f.c, f.c->save_sequence, true, NOW, &f.e);
    effects_clear(&f.e);
    return f;
}

static inline void hear_of(struct fixture *f, const struct node *from, uint16_t type, uint64_t epoch, unsigned slots,
                           bool ours, struct bytes data, int64_t now_ms)
{
    uint8_t bitmap[SLOT_BITMAP_BYTES] = { (uint8_t)slots };
    struct message_header head = header(type, from->id);

    head.port = from->port;
    head.cport = from->cport;
    head.current_epoch = head.config_epoch = epoch;
    head.slots = bitmap;
    head.mark.is_ours = ours;
    receive(f, from == f->b ? IN : C_OUT + 1, &head, data, 0, now_ms);
}

static inline void ping(struct fixture *f, const struct node *from, uint64_t epoch, unsigned slots, bool ours)
{
    hear_of(f, from, MESSAGE_PING, epoch, slots, ours, BYTES_NONE, NOW);
}

/* C says that B has slots with an epoch. */
static inline void told_of_b(struct fixture *f, uint64_t epoch, unsigned slots, int64_t now_ms)
{
    uint8_t bitmap[SLOT_BITMAP_BYTES] = { (uint8_t)slots };
    struct buf data = { 0 };

    message_update_write(&data, epoch, ID_B, bitmap);
    hear_of(f, f->other, MESSAGE_UPDATE, 0, 0, true, buf_bytes(&data), now_ms);
    buf_free(&data);
}

/* As if we had asked it for its view at this moment. */
static inline void await_view(const struct fixture *f, struct node *node)
{
    node->view_awaited = true;
    node->asked_bindings = f->c->bindings;
}

/* What C's view says of slot 0 and 1: whose they are; NULL: nobody's. */
static inline void told_view(struct fixture *f, const struct node *from, const char *zero, const char *one)
{
    struct cluster *c = cluster_new(&options, 7, NOW);
    struct fixture g = { .c = c };
    struct message ask = { .module = "rshdview", .module_type = KIN_VIEW_ASK };
    struct buf view = { 0 }, data = { 0 };
    const char *owners[] = { zero, one };

    c->solo = false;
    for (uint16_t slot = 0; slot < 2; slot++) {
        struct node *owner = owners[slot] != NULL ? node_find(c, owners[slot]) : NULL;

        if (owners[slot] == NULL) continue;
        slot_bind(c, slot, owner != NULL ? owner : known(&g, owners[slot], 9001), &g.e);
    }
    effects_clear(&g.e);
    difference_module(c, c->myself, 99, &ask, NOW, &g.e);
    CHECK(kin_words(&g, KIN_VIEW, &view) == 1);
    message_module_write(&data, "rshdview", KIN_VIEW, buf_bytes(&view));
    hear_of(f, from, MESSAGE_MODULE, 0, 0, true, buf_bytes(&data), NOW);
    buf_free(&view);
    buf_free(&data);
    done(&g);
}

/* A word of a kind B says to us alone, of slots that it took with epochs. */
static inline void told_kin(struct fixture *f, const struct node *from, enum kin what, unsigned claims,
                            const char *entries, size_t len)
{
    struct buf data = { 0 };

    message_module_write(&data, "rshdview", (uint8_t)what, (struct bytes){ entries, len });
    hear_of(f, from, MESSAGE_MODULE, 1, claims, true, buf_bytes(&data), NOW);
    buf_free(&data);
}
#define SLOT_SINCE(slot, epoch) "\0" slot "\0\0\0\0\0\0\0" epoch, 10
/* The same of who was given it by an operator after it began. */
#define REMEMBERED_SINCE(slot, epoch) "\x80" slot "\0\0\0\0\0\0\0" epoch, 10

static inline bool is_mine(const struct fixture *f, uint16_t slot)
{
    return cluster_slot_owner(f->c, slot) == f->c->myself->index;
}

static inline void import_1(struct fixture *f)
{
    cluster_error error;

    cluster_setslot_importing(f->c, 1, BYTES(ID_B), NOW, &f->e, error);
    CHECK(error[0] == '\0');
    cluster_setslot_node(f->c, 1, bytes_of(cluster_my_id(f->c)), 0, NOW, &f->e, error);
    CHECK(error[0] == '\0' && is_mine(f, 1));
}

static inline void restart(struct fixture *f)
{
    struct buf file = { 0 };
    char error[256];

    cluster_save(f->c, &file);
    cluster_free(&f->c);
    f->c = cluster_load(buf_bytes(&file), &options, 1, NOW, error);
    CHECK(f->c != NULL);
    f->b = node_find(f->c, ID_B);
    f->other = node_find(f->c, ID_C);
    link_both_ways(f, f->b, OUT);
    link_both_ways(f, f->other, C_OUT);
    buf_free(&file);
}
