/* Whom a heartbeat goes to, and of whom it speaks. */
#include "unit/cluster/neighbours.h"

#include <stdio.h>

#define OTHERS 40u

static void id_of(unsigned n, char id[NODE_ID_BYTES + 1])
{
    snprintf(id, NODE_ID_BYTES + 1, "%040u", n);
}

/* Beside B, and all of them linked. */
static struct fixture with_many(unsigned others)
{
    struct fixture f = with_neighbour();

    for (unsigned n = 0; n < others; n++) {
        char id[NODE_ID_BYTES + 1];

        id_of(n, id);
        link_both_ways(&f, known(&f, id, (uint16_t)(9000 + n)), 100 + 2 * n);
    }
    for (size_t i = 0; i < f.c->node_count; i++) {
        f.c->nodes[i]->pong_received_ms = f.c->nodes[i]->data_received_ms = NOW;
        f.c->nodes[i]->ping_sent_ms = 0;
    }
    effects_clear(&f.e);
    return f;
}

/* The entries of a PING to B; how many. */
static size_t spoken_of(struct fixture *f, struct gossip *out, size_t max)
{
    struct message message;
    size_t count = 0;

    effects_clear(&f->e);
    gossip_send(f->c, MESSAGE_PING, OUT, f->b, NOW, &f->e);
    CHECK(f->e.count == 1 && message_decode(f->e.items[0].data, &message) == MESSAGE_OK);
    CHECK(message.count <= max);
    for (; count < message.count; count++) CHECK(gossip_decode(&message, count, &out[count]));
    return count;
}

TEST(a_heartbeat_speaks_of_a_tenth_of_the_nodes_once_each_and_in_time_of_all)
{
    struct fixture f = with_many(OTHERS);
    struct node *nowhere = f.c->nodes[10], *shakes = f.c->nodes[11], *unlinked = f.c->nodes[12],
                *served = f.c->nodes[13];
    struct gossip entries[16];
    bool heard[NODES_MAX] = { false };
    size_t heard_of = 0;

    nowhere->flags |= FLAG_NOADDR;
    shakes->flags |= FLAG_HANDSHAKE;
    unlinked->outbound = served->outbound = 0;
    slot_bind(f.c, 7, served, &f.e);
    for (int packet = 0; packet < 1000; packet++) {
        size_t count = spoken_of(&f, entries, 16);

        CHECK(count <= (OTHERS + 2) / 10);
        for (size_t i = 0; i < count; i++) {
            struct node *node = node_find(f.c, entries[i].id);

            CHECK(node != NULL && node != f.c->myself && node != f.b); /* who hears it knows himself */
            CHECK(node != nowhere && node != shakes && node != unlinked);
            for (size_t j = 0; j < i; j++) CHECK(strcmp(entries[i].id, entries[j].id) != 0);
            heard_of += !heard[node->index];
            heard[node->index] = true;
        }
    }
    CHECK(heard_of == OTHERS - 3);
    done(&f);
    /* Of few it speaks of three at least, of fewer of those that there are. */
    f = with_many(5);
    for (int packet = 0; packet < 100; packet++) {
        size_t count = spoken_of(&f, entries, 16);

        CHECK(count <= 3);
        heard_of = count > heard_of || packet == 0 ? count : heard_of;
    }
    CHECK(heard_of == 3);
    done(&f);
    f = with_neighbour();
    CHECK(spoken_of(&f, entries, 16) == 0);
    done(&f);
}

TEST(each_heartbeat_speaks_of_all_that_are_suspected_and_calls_nobody_us)
{
    struct fixture f = with_many(OTHERS);
    struct gossip entries[16];

    for (int n = 5; n < 8; n++) f.c->nodes[n]->flags |= FLAG_PFAIL;
    f.c->pfail_count = 3; /* as a tick counts them */
    for (int packet = 0; packet < 100; packet++) {
        size_t count = spoken_of(&f, entries, 16);

        CHECK(count >= 3 && count <= (OTHERS + 2) / 10 + 3);
        for (size_t i = 0; i < 3; i++) {
            const struct gossip *entry = &entries[count - 3 + i];

            CHECK(strcmp(entry->id, f.c->nodes[5 + i]->id) == 0 && (entry->flags & FLAG_PFAIL) != 0);
        }
        for (size_t i = 0; i < count; i++) CHECK((entries[i].flags & (FLAG_MYSELF | FLAG_HANDSHAKE)) == 0);
    }
    done(&f);
}

/* Who is pinged at a tick; NULL: nobody. Each answers at once. */
static struct node *pinged(struct fixture *f, int64_t now_ms, size_t *count)
{
    struct node *last = NULL;

    effects_clear(&f->e);
    cluster_tick(f->c, now_ms, &f->e);
    *count = sends(f, MESSAGE_PING);
    for (size_t i = 0; i < f->c->node_count; i++) {
        struct node *node = f->c->nodes[i];

        if (node->ping_sent_ms == 0) continue;
        last = node;
        node->ping_sent_ms = 0;
        node->pong_received_ms = node->data_received_ms = now_ms;
    }
    return last;
}

TEST(one_node_is_pinged_each_second_and_who_was_silent_for_half_a_timeout_at_once)
{
    struct fixture f = with_many(3);
    size_t count, all = 0;
    int64_t now_ms = NOW;

    f.c->options.node_timeout_ms = 60000;
    for (int tick = 0; tick < 200; tick++) {
        struct node *node = pinged(&f, now_ms += 100, &count);

        CHECK(count <= 1 && (node != NULL) == (count == 1) && node != f.c->myself);
        all += count;
    }
    CHECK(all >= 19 && all <= 20); /* a lot of five may fall on us five times */
    f.c->nodes[2]->pong_received_ms = now_ms - 30000;
    while (f.c->tick_count % TICKS_PER_IDLE_PING >= TICKS_PER_IDLE_PING - 2) pinged(&f, now_ms, &count);
    pinged(&f, now_ms, &count);
    CHECK(count == 0);
    CHECK(pinged(&f, now_ms + 1, &count) == f.c->nodes[2] && count == 1);
    /* One that has not answered is not asked again, */
    f.c->nodes[2]->pong_received_ms = now_ms - 40000;
    f.c->nodes[2]->ping_sent_ms = now_ms;
    effects_clear(&f.e);
    cluster_tick(f.c, now_ms + 1, &f.e);
    CHECK(f.c->nodes[2]->ping_sent_ms == now_ms);
    done(&f);
}

TESTS(a_heartbeat_speaks_of_a_tenth_of_the_nodes_once_each_and_in_time_of_all,
      each_heartbeat_speaks_of_all_that_are_suspected_and_calls_nobody_us,
      one_node_is_pinged_each_second_and_who_was_silent_for_half_a_timeout_at_once)
