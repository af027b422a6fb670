/* What nodes of our kind tell each other beyond the wire's own words: a mark, an order, a digest of the view, and whom to forget. */
#include "unit/cluster/neighbours.h"

#include <stdio.h>

#define ID_Z "9686f8bbc0c3a60dee7d8a44874b824d39339700"

static struct message_header marked(const struct mark *mark)
{
    struct message_header head = header(MESSAGE_PING, ID_B);

    head.mark = *mark;
    return head;
}

/* What we say to B in a PING at some time. */
static struct message told(struct fixture *f, struct buf *keep, int64_t now_ms)
{
    struct message message = { 0 };

    effects_clear(&f->e);
    gossip_send(f->c, MESSAGE_PING, OUT, f->b, now_ms, &f->e);
    CHECK(f->e.count == 1 && f->e.items[0].kind == EFFECT_SEND);
    buf_clear(keep);
    buf_append_bytes(keep, f->e.items[0].data);
    CHECK(message_decode(buf_bytes(keep), &message) == MESSAGE_OK);
    return message;
}

TEST(a_mark_is_read_as_it_was_written_and_no_other_version_of_it)
{
    const struct mark mark = { .is_ours = true, .incarnation = 0xfedcba98, .sequence = 1, .view = UINT64_MAX - 1 };
    struct message_header head = marked(&mark);
    struct buf packet = { 0 };
    struct message message;

    message_header_write(&packet, &head);
    message_finish(&packet, 0, 0);
    CHECK(message_decode(buf_bytes(&packet), &message) == MESSAGE_OK);
    CHECK(message.mark.is_ours && message.mark.incarnation == 0xfedcba98 && message.mark.sequence == 1);
    CHECK(message.mark.view == UINT64_MAX - 1);
    /* The other fields of the header stay where they were. */
    CHECK(message.port == 8000 && message.cport == 18000 && message.pport == 0 && message.extensions == 0);
    packet.data[2220]++;
    CHECK(message_decode(buf_bytes(&packet), &message) == MESSAGE_OK && !message.mark.is_ours);
    CHECK(message.mark.sequence == 0 && message.mark.view == 0);

    head.mark.is_ours = false;
    buf_clear(&packet);
    message_header_write(&packet, &head);
    message_finish(&packet, 0, 0);
    for (size_t i = 2216; i < 2246; i++) CHECK(packet.data[i] == 0);
    buf_free(&packet);
}

TEST(every_message_of_ours_is_marked_and_later_than_the_one_before)
{
    struct fixture f = with_neighbour();
    struct buf keep = { 0 };
    uint64_t sequence = 0;

    for (int i = 0; i < 5; i++) {
        struct message message = told(&f, &keep, NOW);

        CHECK(message.mark.is_ours && message.mark.incarnation == f.c->incarnation);
        CHECK(message.mark.sequence > sequence && message.mark.view == f.c->view_digest);
        sequence = message.mark.sequence;
    }
    buf_free(&keep);
    done(&f);
}

TEST(what_was_overtaken_tells_nothing_of_roles_and_slots)
{
    struct fixture f = with_neighbour();
    uint8_t slots[SLOT_BITMAP_BYTES] = { 1 };
    struct message_header now = marked(&(struct mark){ .is_ours = true, .incarnation = 5, .sequence = 9 });
    struct message_header before = marked(&(struct mark){ .is_ours = true, .incarnation = 5, .sequence = 8 });

    now.slots = slots;
    now.config_epoch = now.current_epoch = before.config_epoch = before.current_epoch = 3;
    hear(&f, IN, now);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index && !bitmap_has(f.c->not_claiming, 0));
    /* From before it had the slot: it still has it. */
    hear(&f, OUT, before);
    CHECK(!bitmap_has(f.c->not_claiming, 0));
    before.flags = FLAG_REPLICA;
    before.primary = ID_C;
    hear(&f, IN, before);
    CHECK(node_is_primary(f.b) && cluster_slot_owner(f.c, 0) == f.b->index);

    /* Another start of it begins anew, and so does one that is of our kind no more. */
    before.flags = FLAG_PRIMARY;
    before.primary = "";
    before.mark.incarnation = 6;
    hear(&f, IN, before);
    CHECK(bitmap_has(f.c->not_claiming, 0));
    hear(&f, IN, now);
    CHECK(!bitmap_has(f.c->not_claiming, 0));
    now.slots = NULL;
    now.mark.is_ours = false;
    hear(&f, IN, now);
    CHECK(bitmap_has(f.c->not_claiming, 0) && !f.b->is_ours);
    done(&f);
}

TEST(who_agrees_on_every_slot_has_one_digest_whatever_the_order)
{
    struct fixture f = with_neighbour(), g = with_neighbour();
    struct node *c = known(&f, ID_C, 9000), *d = known(&g, ID_C, 9000);

    slot_bind(f.c, 1, f.b, &f.e);
    slot_bind(f.c, 2, c, &f.e);
    slot_bind(g.c, 1, d, &g.e);
    slot_bind(g.c, 2, g.b, &g.e);
    CHECK(f.c->view_digest != g.c->view_digest);
    slot_bind(g.c, 2, d, &g.e);
    CHECK(f.c->view_digest != g.c->view_digest);
    slot_bind(g.c, 1, NULL, &g.e);
    slot_bind(g.c, 1, g.b, &g.e);
    CHECK(f.c->view_digest == g.c->view_digest);
    slot_bind(f.c, 1, NULL, &f.e);
    slot_bind(f.c, 2, NULL, &f.e);
    CHECK(f.c->view_digest == 0);
    done(&f);
    done(&g);
}

static size_t forgotten(const struct message *message, const char *id, uint64_t *ttl_s)
{
    char found[NODE_ID_BYTES + 1];
    uint64_t found_ttl_s;
    size_t at = 0, count = 0;

    while (message_forgotten(message, &at, found, &found_ttl_s)) {
        count++;
        if (strcmp(found, id) == 0) *ttl_s = found_ttl_s;
    }
    return count;
}

TEST(whom_an_operator_forgets_here_others_of_our_kind_hear_of_for_as_long)
{
    struct fixture f = with_neighbour();
    struct buf keep = { 0 };
    struct message message;
    cluster_error error;
    uint64_t ttl_s = 0;

    known(&f, ID_C, 9000);
    cluster_forget(f.c, BYTES(ID_C), NOW, &f.e, error);
    CHECK(error[0] == '\0');
    /* Redis 7.0 would log a warning for each. */
    message = told(&f, &keep, NOW);
    CHECK(message.extensions == 0);
    f.b->is_ours = true;
    message = told(&f, &keep, NOW + 20000);
    CHECK(forgotten(&message, ID_C, &ttl_s) == 1 && ttl_s == 40);
    CHECK(strcmp(message.shard_id, f.c->myself->shard_id) == 0);
    message = told(&f, &keep, NOW + BLACKLIST_MS);
    CHECK(forgotten(&message, ID_C, &ttl_s) == 0);
    /* Met again, nobody is asked to forget it. */
    known(&f, ID_C, 9000);
    message = told(&f, &keep, NOW + 20000);
    CHECK(forgotten(&message, ID_C, &ttl_s) == 0);
    buf_free(&keep);
    done(&f);
}

TEST(whom_others_had_us_forget_nobody_hears_of)
{
    struct fixture f = with_neighbour();
    struct buf keep = { 0 };
    struct message message;
    uint64_t ttl_s = 0;

    f.b->is_ours = true;
    blacklist_add(f.c, ID_C, NOW, BLACKLIST_MS, true);
    message = told(&f, &keep, NOW);
    CHECK(forgotten(&message, ID_C, &ttl_s) == 0);
    /* Of an operator's word, which another's does not take back, they do. */
    blacklist_add(f.c, ID_C, NOW, BLACKLIST_MS, false);
    blacklist_add(f.c, ID_C, NOW, BLACKLIST_MS, true);
    message = told(&f, &keep, NOW);
    CHECK(forgotten(&message, ID_C, &ttl_s) == 1);
    buf_free(&keep);
    done(&f);
}

TEST(an_operator_who_forgets_what_is_forgotten_already_is_answered_ok)
{
    struct fixture f = with_neighbour();
    cluster_error error;

    blacklist_add(f.c, ID_C, NOW, BLACKLIST_MS, false);
    cluster_forget(f.c, BYTES(ID_C), NOW + 1, &f.e, error);
    CHECK(error[0] == '\0' && f.c->node_count == 2);
    cluster_forget(f.c, BYTES(ID_C), NOW + BLACKLIST_MS, &f.e, error);
    CHECK(strcmp(error, "ERR Unknown node " ID_C) == 0);
    done(&f);
}

TEST(of_many_forgotten_nodes_a_packet_names_some)
{
    struct fixture f = with_neighbour();
    struct buf keep = { 0 };
    char id[NODE_ID_BYTES + 1];
    bool last_told = false;

    f.b->is_ours = true;
    for (unsigned i = 0; i < 200; i++) {
        snprintf(id, sizeof(id), "%040u", i);
        blacklist_add(f.c, id, NOW, BLACKLIST_MS, false);
    }
    for (int i = 0; i < 200; i++) {
        struct message message = told(&f, &keep, NOW);
        uint64_t ttl_s = 0;

        CHECK(forgotten(&message, id, &ttl_s) == 16);
        last_told |= ttl_s != 0;
    }
    CHECK(last_told);
    buf_free(&keep);
    done(&f);
}

static void hear_of(struct fixture *f, const char *id, bool from_ours, int64_t now_ms)
{
    struct message_header head = marked(&(struct mark){ .is_ours = from_ours });
    struct gossip entry = { .ip = "127.0.0.3", .port = 9000, .cport = 19000, .flags = FLAG_PRIMARY };
    struct buf packet = { 0 };

    memcpy(entry.id, id, sizeof(entry.id));
    effects_clear(&f->e);
    message_header_write(&packet, &head);
    message_gossip_write(&packet, &entry);
    message_finish(&packet, 1, 0);
    cluster_packet(f->c, IN, buf_bytes(&packet), now_ms, &f->e);
    buf_free(&packet);
}

static void told_kin(struct fixture *f, enum kin what, const char *id, const char *ago, size_t len)
{
    struct message_header head = marked(&(struct mark){ .is_ours = true });
    struct buf payload = { 0 }, data = { 0 };

    head.type = MESSAGE_MODULE;
    buf_append(&payload, id, NODE_ID_BYTES);
    buf_append(&payload, ago, len);
    message_module_write(&data, "rshdview", (uint8_t)what, buf_bytes(&payload));
    receive(f, IN, &head, buf_bytes(&data), 0, NOW);
    buf_free(&payload);
    buf_free(&data);
}
#define AGO_5_S "\0\0\0\0\0\0\x13\x88", 8
#define AGO_10_S "\0\0\0\0\0\0\x27\x10", 8
#define AGO_20_S "\0\0\0\0\0\0\x4e\x20", 8

TEST(who_hears_of_somebody_it_has_forgotten_asks_whether_an_operator_met_him_since)
{
    struct fixture f = with_neighbour();
    struct buf asked = { 0 };

    hear_of(&f, cluster_my_id(f.c), true, NOW); /* is of our kind */
    blacklist_add(f.c, ID_C, NOW - 10000, BLACKLIST_MS, false);
    hear_of(&f, ID_C, true, NOW);
    CHECK(f.c->node_count == 2 && kin_words(&f, KIN_FORGOTTEN, &asked) == 1 && asked.len == NODE_ID_BYTES + 8);
    CHECK(memcmp(asked.data, ID_C, NODE_ID_BYTES) == 0 && memcmp(asked.data + NODE_ID_BYTES, AGO_10_S) == 0);
    hear_of(&f, ID_C, true, NOW);
    CHECK(kin_words(&f, KIN_FORGOTTEN, NULL) == 0);
    hear_of(&f, ID_C, false, NOW + 2000);
    CHECK(kin_words(&f, KIN_FORGOTTEN, NULL) == 0);
    hear_of(&f, ID_C, true, NOW + 2000);
    CHECK(kin_words(&f, KIN_FORGOTTEN, NULL) == 1);

    told_kin(&f, KIN_MET, ID_C, AGO_20_S);
    told_kin(&f, KIN_MET, ID_C, AGO_10_S);
    told_kin(&f, KIN_MET, ID_C, "\0\0\0\0\0\0\0", 7);
    told_kin(&f, KIN_MET, ID_C, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    told_kin(&f, KIN_MET, ID_Z, AGO_5_S);
    CHECK(blacklist_has(f.c, ID_C, NOW));
    told_kin(&f, KIN_MET, ID_C, AGO_5_S);
    CHECK(!blacklist_has(f.c, ID_C, NOW));
    hear_of(&f, ID_C, true, NOW);
    CHECK(f.c->node_count == 3);
    buf_free(&asked);
    done(&f);
}

TEST(who_was_told_to_meet_somebody_says_so_to_those_who_forgot_him_before)
{
    struct fixture f = with_neighbour();
    struct buf met = { 0 };

    hear_of(&f, cluster_my_id(f.c), true, NOW);
    f.other = known(&f, ID_C, 9000);
    told_kin(&f, KIN_FORGOTTEN, ID_C, AGO_20_S);
    CHECK(kin_words(&f, KIN_MET, NULL) == 0); /* it came by hearsay */
    blacklist_add(f.c, ID_C, NOW - 20000, BLACKLIST_MS, false);
    forgotten_met(f.c, f.other, NOW - 10000, NOW);
    CHECK(!blacklist_has(f.c, ID_C, NOW));
    told_kin(&f, KIN_FORGOTTEN, ID_C, AGO_5_S);
    told_kin(&f, KIN_FORGOTTEN, ID_C, AGO_10_S);
    told_kin(&f, KIN_FORGOTTEN, ID_Z, AGO_20_S);
    CHECK(kin_words(&f, KIN_MET, NULL) == 0);
    told_kin(&f, KIN_FORGOTTEN, ID_C, AGO_20_S);
    CHECK(kin_words(&f, KIN_MET, &met) == 1 && met.len == NODE_ID_BYTES + 8);
    CHECK(memcmp(met.data, ID_C, NODE_ID_BYTES) == 0 && memcmp(met.data + NODE_ID_BYTES, AGO_10_S) == 0);
    buf_free(&met);
    done(&f);
}

TEST(who_had_failed_is_well_as_soon_as_it_answers_where_nobody_can_be_taking_its_slots)
{
    static const struct {
        bool is_ours, has_replica, at_once;
    } cases[] = { { true, false, true }, { true, true, false }, { false, false, false }, { false, true, false } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f = with_neighbour();
        struct mark mark = { .is_ours = cases[i].is_ours, .incarnation = 1, .sequence = 1 };
        struct message_header head = marked(&mark);
        const uint8_t slots[SLOT_BITMAP_BYTES] = { 1 };

        head.type = MESSAGE_PONG;
        head.slots = slots;
        hear(&f, OUT, head);
        if (cases[i].has_replica) node_become_replica(f.c, known(&f, ID_C, 8001), f.b, &f.e);
        failure_told(f.c, f.c->myself, ID_B, NOW, &f.e);
        CHECK(node_is(f.b, FLAG_FAIL));
        head.mark.sequence++;
        hear(&f, OUT, head);
        CHECK(node_is(f.b, FLAG_FAIL) == !cases[i].at_once);
        done(&f);
    }
}

TESTS(a_mark_is_read_as_it_was_written_and_no_other_version_of_it,
      every_message_of_ours_is_marked_and_later_than_the_one_before,
      what_was_overtaken_tells_nothing_of_roles_and_slots, who_agrees_on_every_slot_has_one_digest_whatever_the_order,
      whom_an_operator_forgets_here_others_of_our_kind_hear_of_for_as_long, whom_others_had_us_forget_nobody_hears_of,
      an_operator_who_forgets_what_is_forgotten_already_is_answered_ok,
      who_hears_of_somebody_it_has_forgotten_asks_whether_an_operator_met_him_since,
      who_was_told_to_meet_somebody_says_so_to_those_who_forgot_him_before, of_many_forgotten_nodes_a_packet_names_some,
      who_had_failed_is_well_as_soon_as_it_answers_where_nobody_can_be_taking_its_slots)
