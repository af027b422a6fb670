/* What the simulator found about slots that change hands while nodes do not hear each other: each has its case here. */
#include "cluster/cluster_internal.h"
#include "cluster/message.h"
#include "unit/unit.h"

#define ID_B "7686f8bbc0c3a60dee7d8a44874b824d39339700"
#define ID_C "8686f8bbc0c3a60dee7d8a44874b824d39339700"
#define NOW 1700000000000
#define OUT 10 /* our link to B; 11 is B's to us, 20 and 21 are C's */

static const struct cluster_options options = {
    .node_timeout_ms = 1000, .require_full_coverage = true, .port = 7000, .cport = 17000
};

struct fixture {
    struct cluster *c;
    struct effects e;
    struct node *b, *other;
};

static struct node *known(struct fixture *f, const char *id, cluster_link link)
{
    struct node *node = node_add(f->c, id, FLAG_PRIMARY, NOW);

    node_set_address(f->c, node, "127.0.0.2", (uint16_t)(8000 + link), (uint16_t)(18000 + link), 0, &f->e);
    node->connecting = true;
    cluster_link_opened(f->c, node->index, link, NOW, &f->e);
    cluster_link_accepted(f->c, link + 1, "127.0.0.1", "127.0.0.2", NOW);
    return node;
}

/* We own slot 0, B slot 1, with epochs 1 and 2. */
static struct fixture with_two(void)
{
    struct fixture f = { .c = cluster_new(&options, 42, NOW) };

    f.c->solo = false;
    f.b = known(&f, ID_B, OUT);
    f.other = known(&f, ID_C, 20);
    slot_bind(f.c, 0, f.c->myself, &f.e);
    slot_bind(f.c, 1, f.b, &f.e);
    f.c->myself->config_epoch = 1;
    f.b->config_epoch = f.c->current_epoch = 2;
    cluster_persist_now(f.c, true, &f.e);
    cluster_persisted(f.c, f.c->save_sequence, true, NOW, &f.e);
    effects_clear(&f.e);
    return f;
}

static void done(struct fixture *f)
{
    effects_free(&f->e);
    cluster_free(&f->c);
}

static void hear(struct fixture *f, const struct node *from, uint16_t type, uint64_t epoch, unsigned slots, bool ours,
                 struct bytes data, int64_t now_ms)
{
    uint8_t bitmap[SLOT_BITMAP_BYTES] = { (uint8_t)slots };
    struct buf packet = { 0 };

    message_header_write(&packet, &(struct message_header){ .type = type,
                                                            .port = from->port,
                                                            .cport = from->cport,
                                                            .flags = FLAG_PRIMARY | FLAG_MYSELF,
                                                            .current_epoch = epoch,
                                                            .config_epoch = epoch,
                                                            .sender = from->id,
                                                            .primary = "",
                                                            .ip = "",
                                                            .slots = bitmap,
                                                            .mark = { .is_ours = ours } });
    buf_append_bytes(&packet, data);
    message_finish(&packet, 0, 0);
    effects_clear(&f->e);
    cluster_packet(f->c, from == f->b ? OUT + 1 : 21, buf_bytes(&packet), now_ms, &f->e);
    buf_free(&packet);
}

static void ping(struct fixture *f, const struct node *from, uint64_t epoch, unsigned slots, bool ours)
{
    hear(f, from, MESSAGE_PING, epoch, slots, ours, BYTES_NONE, NOW);
}

/* C says that B has slots with an epoch. */
static void told_of_b(struct fixture *f, uint64_t epoch, unsigned slots, int64_t now_ms)
{
    uint8_t bitmap[SLOT_BITMAP_BYTES] = { (uint8_t)slots };
    struct buf data = { 0 };

    message_update_write(&data, epoch, ID_B, bitmap);
    hear(f, f->other, MESSAGE_UPDATE, 0, 0, true, buf_bytes(&data), now_ms);
    buf_free(&data);
}

static bool is_mine(const struct fixture *f, uint16_t slot)
{
    return cluster_slot_owner(f->c, slot) == f->c->myself->index;
}

static void import_1(struct fixture *f)
{
    cluster_error error;

    cluster_setslot_importing(f->c, 1, BYTES(ID_B), NOW, &f->e, error);
    CHECK(error[0] == '\0');
    cluster_setslot_node(f->c, 1, bytes_of(cluster_my_id(f->c)), 0, NOW, &f->e, error);
    CHECK(error[0] == '\0' && is_mine(f, 1));
}

TEST(an_epoch_is_learnt_only_with_the_slots_it_is_said_of)
{
    struct fixture f = with_two();
    struct buf data = { 0 };

    /* B has lost slot 1 and taken epoch 9: said in a message whose slots nobody reads. */
    message_fail_write(&data, ID_C);
    hear(&f, f.b, MESSAGE_FAIL, 9, 0, true, buf_bytes(&data), NOW);
    CHECK(f.b->config_epoch == 2 && f.c->current_epoch == 9);
    /* Who has the slot by now, with an epoch between, is not told that B has it. */
    ping(&f, f.other, 5, 1u << 1, true);
    CHECK(cluster_slot_owner(f.c, 1) == f.other->index);
    ping(&f, f.b, 9, 0, true);
    CHECK(f.b->config_epoch == 9);
    buf_free(&data);
    done(&f);
}

TEST(a_slot_that_its_owner_gave_up_is_nobodys_in_the_file)
{
    struct fixture f = with_two();
    struct buf file = { 0 };
    struct cluster *again;
    char error[256];

    ping(&f, f.b, 2, 1u << 1, true);
    f.c->save = SAVE_NO;
    ping(&f, f.b, 2, 0, true);
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index && bitmap_has(f.c->not_claiming, 1));
    CHECK(f.c->save != SAVE_NO); /* and it is asked for */
    cluster_save(f.c, &file);
    again = cluster_load(buf_bytes(&file), &options, 1, NOW, error);
    CHECK(again != NULL && cluster_slot_owner(again, 1) < 0 && cluster_slot_owner(again, 0) == again->myself->index);
    cluster_free(&again);
    buf_free(&file);
    done(&f);
}

TEST(what_others_say_of_our_slots_waits_for_the_word_of_whom_it_is_about)
{
    struct fixture f = with_two();

    ping(&f, f.b, 2, 1u << 1, true);
    f.b->ping_sent_ms = 0;
    told_of_b(&f, 9, 1u << 0 | 1u << 1, NOW);
    CHECK(is_mine(&f, 0) && f.b->ping_sent_ms != 0); /* B is asked */
    told_of_b(&f, 9, 1u << 0 | 1u << 1, NOW + 2000);
    CHECK(is_mine(&f, 0));
    /* B's own word: it does not have it. */
    ping(&f, f.b, 9, 1u << 1, true);
    told_of_b(&f, 9, 1u << 0 | 1u << 1, NOW + 9000);
    CHECK(is_mine(&f, 0));
    /* It is silent for long, and others go on saying so. */
    told_of_b(&f, 10, 1u << 0 | 1u << 1, NOW + 10000);
    CHECK(is_mine(&f, 0));
    told_of_b(&f, 10, 1u << 0 | 1u << 1, NOW + 12001);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index);
    done(&f);
}

TEST(what_others_say_of_a_redis_node_or_of_others_slots_counts_at_once)
{
    struct fixture f = with_two();

    ping(&f, f.b, 2, 1u << 1, false);
    told_of_b(&f, 9, 1u << 0 | 1u << 1, NOW);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index);
    done(&f);
    f = with_two();
    ping(&f, f.b, 2, 1u << 1, true);
    told_of_b(&f, 9, 1u << 1 | 1u << 2, NOW);
    CHECK(cluster_slot_owner(f.c, 2) == f.b->index);
    done(&f);
}

TEST(what_was_moved_here_is_not_given_back_to_who_has_not_heard_of_it)
{
    struct fixture f = with_two();

    ping(&f, f.b, 2, 1u << 1, true);
    import_1(&f);
    CHECK(f.c->myself->config_epoch == 3);
    /* It has taken an epoch that we did not know. */
    ping(&f, f.b, 7, 1u << 1, true);
    CHECK(is_mine(&f, 1) && f.c->myself->config_epoch == 8);
    /* Once: two nodes who insist would go on for ever. */
    ping(&f, f.b, 9, 1u << 1, true);
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index);
    import_1(&f);
    /* Once it has been heard without the slot, a claim to it is a new one. */
    ping(&f, f.b, 9, 0, true);
    ping(&f, f.b, 20, 1u << 1, true);
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index);
    done(&f);
}

TEST(what_an_operator_moves_on_is_not_insisted_on)
{
    struct fixture f = with_two();
    cluster_error error;

    ping(&f, f.b, 2, 1u << 1, true);
    import_1(&f);
    cluster_setslot_migrating(f.c, 1, BYTES(ID_B), NOW, &f.e, error);
    CHECK(error[0] == '\0');
    ping(&f, f.b, 7, 1u << 1, true);
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index);
    done(&f);
}

TEST(a_redis_node_is_given_back_what_it_claims_with_a_higher_epoch)
{
    struct fixture f = with_two();

    ping(&f, f.b, 2, 1u << 1, false);
    import_1(&f);
    ping(&f, f.b, 7, 1u << 1, false);
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index);
    done(&f);
}

TEST(a_slot_of_a_third_node_is_not_insisted_on)
{
    struct fixture f = with_two();

    import_1(&f);
    ping(&f, f.other, 7, 1u << 1, true);
    CHECK(cluster_slot_owner(f.c, 1) == f.other->index);
    done(&f);
}

TEST(a_node_whose_state_cannot_be_saved_takes_no_slot_from_another)
{
    struct fixture f = with_two();
    cluster_error error;

    cluster_persist_now(f.c, true, &f.e);
    cluster_persisted(f.c, f.c->save_sequence, false, NOW, &f.e);
    cluster_setslot_importing(f.c, 1, BYTES(ID_B), NOW, &f.e, error);
    CHECK(error[0] == '\0');
    cluster_setslot_node(f.c, 1, bytes_of(cluster_my_id(f.c)), 0, NOW, &f.e, error);
    CHECK(strncmp(error, "ERR The state of this node cannot be saved", 42) == 0);
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index && f.c->importing[1] == f.b->index);
    /* One of its own it may say again, and one it may give away. */
    cluster_setslot_node(f.c, 0, bytes_of(cluster_my_id(f.c)), 0, NOW, &f.e, error);
    CHECK(error[0] == '\0');
    cluster_setslot_node(f.c, 0, BYTES(ID_B), 0, NOW, &f.e, error);
    CHECK(error[0] == '\0');
    done(&f);
}

static bool closes(const struct fixture *f, cluster_link link)
{
    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_CLOSE && f->e.items[i].link == link) return true;
    return false;
}

TEST(a_link_without_answers_is_opened_again_though_the_node_is_heard_on_its_own)
{
    struct fixture f = with_two();

    f.b->ping_sent_ms = NOW;
    f.b->flags |= FLAG_FAIL;
    f.b->data_received_ms = NOW + 990;
    cluster_tick(f.c, NOW + 1000, &f.e);
    CHECK(!closes(&f, OUT));
    f.b->data_received_ms = NOW + 1090;
    cluster_tick(f.c, NOW + 1100, &f.e);
    CHECK(closes(&f, OUT));
    done(&f);
}

TESTS(an_epoch_is_learnt_only_with_the_slots_it_is_said_of, a_slot_that_its_owner_gave_up_is_nobodys_in_the_file,
      what_others_say_of_our_slots_waits_for_the_word_of_whom_it_is_about,
      what_others_say_of_a_redis_node_or_of_others_slots_counts_at_once,
      what_was_moved_here_is_not_given_back_to_who_has_not_heard_of_it, what_an_operator_moves_on_is_not_insisted_on,
      a_redis_node_is_given_back_what_it_claims_with_a_higher_epoch, a_slot_of_a_third_node_is_not_insisted_on,
      a_node_whose_state_cannot_be_saved_takes_no_slot_from_another,
      a_link_without_answers_is_opened_again_though_the_node_is_heard_on_its_own)
