/* Who sees other owners than we do, and since when: asked for, told, kept within bounds, and compared when somebody wants to know. */
#include "unit/cluster/neighbours.h"

#include <stdio.h>

/* Slot 1 is B's, slot 2 C's, both with epoch 0. Nobody is suspected in these tests, which take long. */
static struct fixture with_neighbours(void)
{
    struct fixture f = with_neighbour();

    f.c->options.node_timeout_ms = 100000;
    f.other = known(&f, ID_C, 9000);
    f.b->pong_received_ms = NOW;
    slot_bind(f.c, 1, f.b, &f.e);
    slot_bind(f.c, 2, f.other, &f.e);
    cluster_settle(f.c, true, NOW, &f.e);
    effects_clear(&f.e);
    return f;
}

static void hear_view(struct fixture *f, uint16_t type, const uint8_t *slots, uint64_t view, bool ours,
                      struct bytes data, int64_t now_ms)
{
    struct message_header head = header(type, ID_B);

    head.slots = slots;
    head.mark = (struct mark){ .is_ours = ours, .incarnation = 1, .sequence = 1, .view = view };
    receive(f, IN, &head, data, 0, now_ms);
}

static const uint8_t slot_1[SLOT_BITMAP_BYTES] = { 1u << 1 };

static void ping(struct fixture *f, uint64_t view, int64_t now_ms)
{
    hear_view(f, MESSAGE_PING, slot_1, view, true, BYTES_NONE, now_ms);
}

static size_t asked(struct fixture *f, int64_t now_ms)
{
    effects_clear(&f->e);
    cluster_tick(f->c, now_ms, &f->e);
    return kin_words(f, KIN_VIEW_ASK, NULL);
}

static void tell(struct fixture *f, struct bytes view, int64_t now_ms)
{
    struct buf data = { 0 };

    message_module_write(&data, "rshdview", 2, view);
    hear_view(f, MESSAGE_MODULE, slot_1, 0, true, buf_bytes(&data), now_ms);
    buf_free(&data);
}

struct found {
    size_t count;
    struct cluster_difference items[8];
};

static void add(void *context, const struct cluster_difference *difference)
{
    struct found *found = context;

    CHECK(found->count < 8);
    found->items[found->count++] = *difference;
}

static struct found differences(const struct fixture *f)
{
    struct found found = { 0 };

    cluster_differences(f->c, f->b->index, add, &found);
    return found;
}

static enum agreement agreement(const struct fixture *f)
{
    struct cluster_node_info info;

    CHECK(cluster_node_by_index(f->c, f->b->index, &info));
    return cluster_agreement(f->c, &info);
}

/* What a node says whose slots 1, 2 and 3 are whose. */
static void view_of(const char *one, const char *two, const char *three, struct buf *payload, uint64_t *digest)
{
    struct cluster *c = cluster_new(&options, 7, NOW);
    struct fixture g = { .c = c };
    const char *owners[] = { one, two, three };

    c->solo = false;
    g.b = known(&g, ID_B, 8000);
    g.other = known(&g, ID_C, 9000);
    for (uint16_t slot = 1; slot <= 3; slot++) {
        const char *owner = owners[slot - 1];
        if (owner[0] != '\0') slot_bind(c, slot, node_find(c, owner), &g.e);
    }
    g.b->is_ours = true;
    /* Asked as B would ask it. */
    {
        struct message message = { .module = "rshdview", .module_type = 1 };

        effects_clear(&g.e);
        difference_module(c, g.b, 99, &message, NOW, &g.e);
        CHECK(kin_words(&g, KIN_VIEW, payload) == 1);
    }
    *digest = c->view_digest;
    done(&g);
}

TEST(a_node_whose_view_stays_another_is_asked_for_it_and_no_other)
{
    struct fixture f = with_neighbours();

    ping(&f, f.c->view_digest, NOW);
    CHECK(agreement(&f) == AGREEMENT_FULL && asked(&f, NOW + 5000) == 0);
    ping(&f, 77, NOW + 5000);
    CHECK(agreement(&f) == AGREEMENT_UNKNOWN);
    CHECK(asked(&f, NOW + 5900) == 0); /* it may be on its way */
    CHECK(asked(&f, NOW + 6100) == 1 && f.b->view_awaited);
    CHECK(asked(&f, NOW + 8000) == 0); /* the answer may be */
    CHECK(asked(&f, NOW + 9200) == 1);
    /* Our own view changes: later. */
    slot_bind(f.c, 3, f.b, &f.e);
    cluster_settle(f.c, true, NOW + 13000, &f.e);
    CHECK(asked(&f, NOW + 13900) == 0 && asked(&f, NOW + 14100) == 1);
    hear_view(&f, MESSAGE_PING, slot_1, 77, false, BYTES_NONE, NOW + 14200);
    CHECK(asked(&f, NOW + 30000) == 0);
    done(&f);
}

TEST(slots_that_are_anothers_there_are_told_with_both_owners_and_the_time)
{
    struct fixture f = with_neighbours();
    struct buf view = { 0 };
    struct found found;
    uint64_t digest;

    view_of(ID_C, ID_C, ID_B, &view, &digest);
    ping(&f, digest, NOW + 2000);
    CHECK(asked(&f, NOW + 4000) == 1);
    tell(&f, buf_bytes(&view), NOW + 4100);
    CHECK(agreement(&f) == AGREEMENT_NONE);
    found = differences(&f);
    CHECK(found.count == 2);
    CHECK(found.items[0].first == 1 && found.items[0].last == 1 && found.items[0].whole);
    CHECK(strcmp(found.items[0].here, ID_B) == 0 && strcmp(found.items[0].there, ID_C) == 0);
    CHECK(found.items[0].since_ms == NOW + 4100);
    CHECK(found.items[1].first == 3 && found.items[1].here[0] == '\0' && strcmp(found.items[1].there, ID_B) == 0);
    CHECK(asked(&f, NOW + 20000) == 0); /* it is known */

    /* Slot 3 changes there: what was believed before of slots 1 and 2 is as old as it was. */
    view_of(ID_C, ID_C, ID_C, &view, &digest);
    ping(&f, digest, NOW + 30000);
    CHECK(asked(&f, NOW + 31100) == 1);
    tell(&f, buf_bytes(&view), NOW + 31200);
    found = differences(&f);
    CHECK(found.count == 2 && strcmp(found.items[1].there, ID_C) == 0);
    CHECK(found.items[1].since_ms == NOW + 31200);

    /* And slot 1 changes here: from then on. */
    slot_bind(f.c, 1, NULL, &f.e);
    cluster_settle(f.c, true, NOW + 40000, &f.e);
    found = differences(&f);
    CHECK(found.items[0].here[0] == '\0' && found.items[0].since_ms == NOW + 40000);

    /* The two agree, once we have heard that slot 1 is B's: nothing is kept. */
    ping(&f, digest, NOW + 41000);
    ping(&f, f.c->view_digest, NOW + 41000);
    CHECK(f.b->beliefs == NULL && f.c->belief_count == 0 && agreement(&f) == AGREEMENT_FULL);
    CHECK(differences(&f).count == 0);
    buf_free(&view);
    done(&f);
}

TEST(what_was_believed_before_is_as_old_as_it_was)
{
    struct fixture f = with_neighbours();
    struct buf view = { 0 };
    struct found found;
    uint64_t digest;

    view_of(ID_C, "", "", &view, &digest);
    ping(&f, digest, NOW + 2000);
    CHECK(asked(&f, NOW + 4000) == 1);
    tell(&f, buf_bytes(&view), NOW + 4100);
    view_of(ID_C, "", ID_B, &view, &digest);
    ping(&f, digest, NOW + 10000);
    CHECK(asked(&f, NOW + 12000) == 1);
    tell(&f, buf_bytes(&view), NOW + 12100);
    found = differences(&f);
    CHECK(found.count == 3);
    CHECK(found.items[0].first == 1 && found.items[0].since_ms == NOW + 4100);
    CHECK(found.items[1].first == 2 && strcmp(found.items[1].here, ID_C) == 0 && found.items[1].there[0] == '\0');
    CHECK(found.items[2].first == 3 && found.items[2].since_ms == NOW + 12100);
    buf_free(&view);
    done(&f);
}

TEST(a_view_is_told_when_asked_and_not_as_often_as_asked)
{
    struct fixture f = with_neighbours();
    struct buf ask = { 0 }, view = { 0 };

    message_module_write(&ask, "rshdview", 1, BYTES_NONE);
    hear_view(&f, MESSAGE_MODULE, NULL, 0, true, buf_bytes(&ask), NOW);
    CHECK(kin_words(&f, KIN_VIEW, NULL) == 0); /* not known to be of our kind yet */
    ping(&f, 77, NOW);
    hear_view(&f, MESSAGE_MODULE, NULL, 0, true, buf_bytes(&ask), NOW);
    CHECK(kin_words(&f, KIN_VIEW, &view) == 1);
    /* Two ids, two runs, of all slots. */
    CHECK(view.len == 14 + 2 * 40 + 2 * 6 && memcmp(view.data + 8, "\x40\0\0\x02\0\x02", 6) == 0);
    CHECK(memcmp(view.data + 14, ID_B ID_C "\0\x01\0\x01\0\0\0\x02\0\x02\0\x01", 92) == 0);
    hear_view(&f, MESSAGE_MODULE, NULL, 0, true, buf_bytes(&ask), NOW + 100);
    CHECK(kin_words(&f, KIN_VIEW, NULL) == 0);
    hear_view(&f, MESSAGE_MODULE, NULL, 0, true, buf_bytes(&ask), NOW + 600);
    CHECK(kin_words(&f, KIN_VIEW, NULL) == 1);
    /* Another's module is nobody's business here. */
    buf_clear(&ask);
    message_module_write(&ask, "othermod", 1, BYTES_NONE);
    hear_view(&f, MESSAGE_MODULE, NULL, 0, true, buf_bytes(&ask), NOW + 2000);
    CHECK(kin_words(&f, KIN_VIEW, NULL) == 0);
    buf_free(&ask);
    buf_free(&view);
    done(&f);
}

TEST(a_view_nobody_asked_for_or_that_cannot_be_is_not_kept)
{
    struct fixture f = with_neighbours();
    struct buf view = { 0 };
    uint64_t digest;

    view_of(ID_C, ID_C, ID_B, &view, &digest);
    ping(&f, digest, NOW + 2000);
    tell(&f, buf_bytes(&view), NOW + 2000);
    CHECK(f.b->beliefs == NULL);
    CHECK(asked(&f, NOW + 4000) == 1);
    for (size_t len = 0; len < view.len; len++) tell(&f, (struct bytes){ view.data, len }, NOW + 4000);
    CHECK(f.b->beliefs == NULL);
    /* One wrong field each: an id's letter, a run's order, its end, its owner, the known part, the counts. */
    {
        static const struct {
            size_t at;
            char value;
        } wrong[] = { { 14, 'A' }, { 94, 1 },   { 95, 9 }, { 96, 0x40 }, { 98, 1 }, { 99, 9 },
                      { 101, 1 },  { 8, 0x41 }, { 11, 3 }, { 13, 3 },    { 8, 0 } };

        CHECK(view.len == 14 + 80 + 12);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
            char was = view.data[wrong[i].at], after = view.data[9];

            view.data[wrong[i].at] = wrong[i].value;
            if (wrong[i].at == 8) view.data[9] = 1;
            tell(&f, buf_bytes(&view), NOW + 4000);
            if (f.b->beliefs != NULL) fail_msg("field %zu", i);
            view.data[wrong[i].at] = was;
            view.data[9] = after;
        }
    }
    tell(&f, buf_bytes(&view), NOW + 4000);
    CHECK(f.b->beliefs != NULL && !f.b->view_awaited);
    buf_free(&view);
    done(&f);
}

TEST(what_is_kept_of_others_views_has_an_end)
{
    struct fixture f = with_neighbours();

    f.c->belief_count = 64;
    ping(&f, 77, NOW + 2000);
    CHECK(asked(&f, NOW + 4000) == 0 && agreement(&f) == AGREEMENT_UNKNOWN);
    f.c->belief_count = 63;
    CHECK(asked(&f, NOW + 4100) == 1);
    f.c->belief_count = 0;
    done(&f);
}

TEST(of_a_redis_node_its_claims_are_what_is_known)
{
    struct fixture f = with_neighbours();
    uint8_t slots[SLOT_BITMAP_BYTES] = { 1u << 1 | 1u << 2 };
    struct found found;

    hear_view(&f, MESSAGE_PING, slot_1, 0, false, BYTES_NONE, NOW);
    CHECK(agreement(&f) == AGREEMENT_FULL && f.b->beliefs == NULL);
    /* It claims C's, and with no higher epoch. */
    hear_view(&f, MESSAGE_PING, slots, 0, false, BYTES_NONE, NOW + 1000);
    hear_view(&f, MESSAGE_PING, slots, 0, false, BYTES_NONE, NOW + 2000);
    CHECK(agreement(&f) == AGREEMENT_NONE);
    found = differences(&f);
    CHECK(found.count == 1 && found.items[0].first == 2 && !found.items[0].whole);
    CHECK(strcmp(found.items[0].here, ID_C) == 0 && strcmp(found.items[0].there, ID_B) == 0);
    CHECK(found.items[0].since_ms == NOW + 1000);
    /* It gives its own up: that slot is its own here still. */
    slots[0] = 0;
    hear_view(&f, MESSAGE_PING, slots, 0, false, BYTES_NONE, NOW + 3000);
    found = differences(&f);
    CHECK(found.count == 1 && found.items[0].first == 1 && found.items[0].there[0] == '\0');
    CHECK(strcmp(found.items[0].here, ID_B) == 0 && found.items[0].since_ms == NOW + 3000);
    slot_bind(f.c, 1, NULL, &f.e);
    CHECK(differences(&f).count == 0);
    hear_view(&f, MESSAGE_PING, slots, 0, false, BYTES_NONE, NOW + 4000);
    CHECK(f.b->beliefs == NULL && agreement(&f) == AGREEMENT_FULL);
    done(&f);
}

TEST(who_is_silent_agrees_with_nobody)
{
    struct fixture f = with_neighbours();

    CHECK(agreement(&f) == AGREEMENT_UNKNOWN); /* not heard since the start */
    ping(&f, f.c->view_digest, NOW);
    CHECK(agreement(&f) == AGREEMENT_FULL);
    f.b->flags |= FLAG_PFAIL;
    CHECK(agreement(&f) == AGREEMENT_UNKNOWN);
    done(&f);
}

/* B's next message, by which it sees the same owners as we do. */
static void agree(struct fixture *f, uint32_t incarnation, int64_t now_ms)
{
    struct message_header head = header(MESSAGE_PING, ID_B);

    head.slots = slot_1;
    head.mark = (struct mark){ .is_ours = true, .incarnation = incarnation, .view = f->c->view_digest };
    head.mark.sequence = (uint64_t)now_ms;
    receive(f, IN, &head, BYTES_NONE, 0, now_ms);
}

TEST(who_owns_a_slot_is_known_to_all_a_while_after_each_has_agreed)
{
    struct fixture f = with_neighbours();

    CHECK(!cluster_all_know(f.c, 2)); /* B has said nothing, and neither has C */
    f.other->heard_view = true;       /* C is a redis-server */
    agree(&f, 1, NOW + 1000);
    CHECK(!cluster_all_know(f.c, 2)); /* whoever it sent elsewhere may be on the way */
    agree(&f, 1, NOW + 2900);
    CHECK(!cluster_all_know(f.c, 2));
    agree(&f, 1, NOW + 3100);
    CHECK(cluster_all_know(f.c, 2));
    /* A slot that changes hands here is not known by what was heard before. */
    slot_bind(f.c, 2, f.b, &f.e);
    cluster_settle(f.c, true, NOW + 3200, &f.e);
    CHECK(!cluster_all_know(f.c, 2) && cluster_all_know(f.c, 1));
    slot_bind(f.c, 2, f.other, &f.e);
    cluster_settle(f.c, true, NOW + 9000, &f.e);
    agree(&f, 1, NOW + 10000);
    agree(&f, 1, NOW + 12100);
    agree(&f, 1, NOW + 14200);
    CHECK(cluster_all_know(f.c, 2));
    /* Who begins anew may go by an older file. */
    agree(&f, 2, NOW + 15000);
    CHECK(!cluster_all_know(f.c, 2) && !cluster_all_know(f.c, 1));
    agree(&f, 2, NOW + 17100);
    CHECK(cluster_all_know(f.c, 2));
    done(&f);
}

TESTS(a_node_whose_view_stays_another_is_asked_for_it_and_no_other,
      slots_that_are_anothers_there_are_told_with_both_owners_and_the_time,
      what_was_believed_before_is_as_old_as_it_was, a_view_is_told_when_asked_and_not_as_often_as_asked,
      a_view_nobody_asked_for_or_that_cannot_be_is_not_kept, what_is_kept_of_others_views_has_an_end,
      of_a_redis_node_its_claims_are_what_is_known, who_is_silent_agrees_with_nobody,
      who_owns_a_slot_is_known_to_all_a_while_after_each_has_agreed)
