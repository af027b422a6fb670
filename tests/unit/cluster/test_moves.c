/* What the simulator found about slots that change hands while nodes do not hear each other: each has its case here. */
#include "unit/cluster/neighbours.h"

#define C_OUT 20 /* our link to C; 21 is its to us */

/* We own slot 0, B slot 1, with epochs 1 and 2. */
static struct fixture with_two(void)
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

static void hear_of(struct fixture *f, const struct node *from, uint16_t type, uint64_t epoch, unsigned slots,
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

static void ping(struct fixture *f, const struct node *from, uint64_t epoch, unsigned slots, bool ours)
{
    hear_of(f, from, MESSAGE_PING, epoch, slots, ours, BYTES_NONE, NOW);
}

/* C says that B has slots with an epoch. */
static void told_of_b(struct fixture *f, uint64_t epoch, unsigned slots, int64_t now_ms)
{
    uint8_t bitmap[SLOT_BITMAP_BYTES] = { (uint8_t)slots };
    struct buf data = { 0 };

    message_update_write(&data, epoch, ID_B, bitmap);
    hear_of(f, f->other, MESSAGE_UPDATE, 0, 0, true, buf_bytes(&data), now_ms);
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
    hear_of(&f, f.b, MESSAGE_FAIL, 9, 0, true, buf_bytes(&data), NOW);
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

/* What C's view says of slot 0 and 1: whose they are; NULL: nobody's. */
static void told_view(struct fixture *f, const struct node *from, const char *zero, const char *one)
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
static void told_kin(struct fixture *f, const struct node *from, enum kin what, unsigned claims, const char *entries,
                     size_t len)
{
    struct buf data = { 0 };

    message_module_write(&data, "rshdview", (uint8_t)what, (struct bytes){ entries, len });
    hear_of(f, from, MESSAGE_MODULE, 1, claims, true, buf_bytes(&data), NOW);
    buf_free(&data);
}
#define SLOT_SINCE(slot, epoch) "\0" slot "\0\0\0\0\0\0\0" epoch, 10
/* The same of who was given it by an operator after it began. */
#define REMEMBERED_SINCE(slot, epoch) "\x80" slot "\0\0\0\0\0\0\0" epoch, 10

/* B is silent, and C goes on saying that it has slot 0. */
static struct fixture with_slot_0_yielded_to_b(void)
{
    struct fixture f = with_two();

    ping(&f, f.b, 2, 1u << 1, true);
    told_of_b(&f, 9, 1u << 0 | 1u << 1, NOW);
    told_of_b(&f, 9, 1u << 0 | 1u << 1, NOW + 2001);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index);
    return f;
}

TEST(keys_are_dropped_at_the_word_of_him_alone_who_has_their_slot)
{
    struct fixture f = with_slot_0_yielded_to_b();
    struct buf held = { 0 };

    CHECK(!drops(&f, 0));
    /* It claims it: since when, compared to us? */
    ping(&f, f.b, 9, 1u << 0 | 1u << 1, true);
    CHECK(!drops(&f, 0) && kin_words(&f, KIN_HELD, &held) == 1);
    CHECK(held.len == 10 && memcmp(held.data, SLOT_SINCE("\0", "\1")) == 0);
    told_kin(&f, f.other, KIN_KEEPS, 1u << 0, SLOT_SINCE("\0", "\2")); /* somebody else's word */
    told_kin(&f, f.b, KIN_KEEPS, 0, SLOT_SINCE("\0", "\2"));           /* it does not claim it */
    CHECK(!drops(&f, 0) && cluster_slot_owner(f.c, 0) == f.b->index);
    told_kin(&f, f.b, KIN_KEEPS, 1u << 0, SLOT_SINCE("\0", "\2"));
    CHECK(drops(&f, 0) && cluster_slot_owner(f.c, 0) == f.b->index);
    told_kin(&f, f.b, KIN_KEEPS, 1u << 0, SLOT_SINCE("\0", "\2"));
    CHECK(!drops(&f, 0));
    done(&f);
    /* A third one claims it meanwhile. */
    f = with_slot_0_yielded_to_b();
    ping(&f, f.other, 10, 1u << 0, true);
    CHECK(!drops(&f, 0) && cluster_slot_owner(f.c, 0) == f.other->index);
    told_kin(&f, f.other, KIN_KEEPS, 1u << 0, SLOT_SINCE("\0", "\2"));
    CHECK(drops(&f, 0));
    buf_free(&held);
    done(&f);
}

TEST(a_claim_of_a_redis_node_to_a_yielded_slot_is_its_word)
{
    struct fixture f = with_slot_0_yielded_to_b();

    /* What it said before it took that epoch decides nothing. */
    ping(&f, f.b, 8, 1u << 0 | 1u << 1, false);
    CHECK(!drops(&f, 0));
    ping(&f, f.b, 9, 1u << 0 | 1u << 1, false);
    CHECK(drops(&f, 0) && cluster_slot_owner(f.c, 0) == f.b->index);
    done(&f);
}

/* An epoch rises with any slot a node takes, and its claims that are older than another's with it. */
TEST(between_our_own_the_later_taker_has_a_slot_whatever_the_epochs_of_the_nodes)
{
    struct fixture f = with_two();
    struct buf keeps = { 0 };

    f.c->myself->config_epoch = 5;
    slot_bind(f.c, 2, f.c->myself, &f.e);
    cluster_persist_now(f.c, true, &f.e);
    cluster_persisted(f.c, f.c->save_sequence, true, NOW, &f.e);
    /* Lost by the wire's rule, it waits, with its keys; B took it earlier and lets it go. */
    ping(&f, f.b, 9, 1u << 1 | 1u << 2, true);
    CHECK(cluster_slot_owner(f.c, 2) == f.b->index && !drops(&f, 2) && kin_words(&f, KIN_HELD, NULL) == 1);
    ping(&f, f.b, 9, 1u << 1, true);
    told_view(&f, f.b, ID_B, ID_B);
    CHECK(cluster_slot_owner(f.c, 2) == f.b->index);
    effects_clear(&f.e);
    cluster_tick(f.c, NOW + 1000, &f.e);
    CHECK(kin_words(&f, KIN_VIEW_ASK, NULL) == 1);
    /* Asked itself, who took it earlier lets go, and who took it later says so. */
    told_kin(&f, f.b, KIN_HELD, 0, SLOT_SINCE("\0", "\1"));
    CHECK(is_mine(&f, 0) && kin_words(&f, KIN_KEEPS, &keeps) == 1 && memcmp(keeps.data, SLOT_SINCE("\0", "\1")) == 0);
    told_kin(&f, f.b, KIN_HELD, 0, SLOT_SINCE("\0", "\2"));
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index && drops(&f, 0));
    buf_free(&keeps);
    done(&f);
}

TEST(a_slot_that_is_not_his_who_was_said_to_have_it_is_ours_again_with_its_keys)
{
    struct fixture f = with_slot_0_yielded_to_b();

    ping(&f, f.b, 9, 1u << 1, true);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index && !drops(&f, 0));
    effects_clear(&f.e);
    cluster_tick(f.c, NOW, &f.e);
    CHECK(kin_words(&f, KIN_VIEW_ASK, NULL) == 1); /* it may have given it on */
    told_view(&f, f.b, cluster_my_id(f.c), ID_B);
    CHECK(is_mine(&f, 0) && !drops(&f, 0));
    CHECK(f.c->myself->config_epoch == 1);
    done(&f);
}

TEST(a_slot_that_each_of_two_holds_for_the_others_is_taken_by_who_is_told)
{
    struct fixture f = with_two();

    ping(&f, f.b, 2, 1u << 1, true);
    f.b->view_awaited = true;
    told_view(&f, f.b, cluster_my_id(f.c), cluster_my_id(f.c));
    CHECK(!is_mine(&f, 1)); /* it claims it */
    ping(&f, f.b, 2, 0, true);
    f.b->view_awaited = true;
    f.c->importing[1] = f.b->index; /* the operator has not said yet that it is here */
    told_view(&f, f.b, cluster_my_id(f.c), cluster_my_id(f.c));
    CHECK(!is_mine(&f, 1));
    f.b->view_awaited = true;
    f.c->importing[1] = INDEX_NONE;
    told_view(&f, f.b, cluster_my_id(f.c), cluster_my_id(f.c));
    CHECK(is_mine(&f, 1));
    done(&f);
}

TEST(a_slot_that_was_given_on_is_whose_the_giver_says)
{
    struct fixture f = with_slot_0_yielded_to_b();

    ping(&f, f.b, 9, 1u << 1, true);
    cluster_tick(f.c, NOW, &f.e);
    told_view(&f, f.b, ID_C, ID_B);
    CHECK(cluster_slot_owner(f.c, 0) == f.other->index && !drops(&f, 0));
    /* And C's own word is awaited now. */
    ping(&f, f.other, 3, 1u << 0, true);
    CHECK(cluster_slot_owner(f.c, 0) == f.other->index && !drops(&f, 0) && kin_words(&f, KIN_HELD, NULL) == 1);
    told_kin(&f, f.other, KIN_KEEPS, 1u << 0, SLOT_SINCE("\0", "\3"));
    CHECK(drops(&f, 0));
    done(&f);
}

TEST(of_a_redis_node_that_does_not_claim_a_yielded_slot_no_more_is_known)
{
    struct fixture f = with_slot_0_yielded_to_b();

    ping(&f, f.b, 9, 1u << 1, false);
    CHECK(drops(&f, 0) && cluster_slot_owner(f.c, 0) == f.b->index);
    effects_clear(&f.e);
    cluster_tick(f.c, NOW, &f.e);
    CHECK(kin_words(&f, KIN_VIEW_ASK, NULL) == 0);
    done(&f);
}

TEST(an_operators_word_on_a_yielded_slot_ends_the_waiting)
{
    struct fixture f = with_slot_0_yielded_to_b();
    cluster_error error;

    /* Old keys and new ones would be in it together. */
    cluster_setslot_importing(f.c, 0, BYTES(ID_B), NOW, &f.e, error);
    CHECK(strncmp(error, "ERR Keys of hash slot 0 are kept here", 37) == 0 && f.c->importing[0] == INDEX_NONE);
    cluster_setslot_node(f.c, 0, BYTES(ID_B), 0, NOW, &f.e, error);
    CHECK(error[0] == '\0' && drops(&f, 0));
    cluster_setslot_importing(f.c, 0, BYTES(ID_B), NOW, &f.e, error);
    CHECK(error[0] == '\0');
    done(&f);
    f = with_slot_0_yielded_to_b();
    cluster_setslot_node(f.c, 0, bytes_of(cluster_my_id(f.c)), 7, NOW, &f.e, error);
    CHECK(error[0] == '\0' && is_mine(&f, 0) && !drops(&f, 0));
    done(&f);
    f = with_slot_0_yielded_to_b();
    cluster_forget(f.c, BYTES(ID_B), NOW, &f.e, error);
    CHECK(error[0] == '\0' && cluster_slot_owner(f.c, 0) < 0 && drops(&f, 0));
    done(&f);
}

TEST(what_was_yielded_and_what_was_moved_here_is_known_after_a_restart)
{
    struct fixture f = with_slot_0_yielded_to_b();
    struct buf file = { 0 };
    char error[256];

    import_1(&f);
    ping(&f, f.b, 9, 1u << 1, true); /* not slot 0: in the file that is nobody's */
    cluster_save(f.c, &file);
    cluster_free(&f.c);
    f.c = cluster_load(buf_bytes(&file), &options, 1, NOW, error);
    CHECK(f.c != NULL);
    f.b = node_find(f.c, ID_B);
    f.other = node_find(f.c, ID_C);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index && bitmap_has(f.c->yielded, 0) && bitmap_has(f.c->not_claiming, 0));
    CHECK(is_mine(&f, 1) && f.c->taken_from[1] == f.b->index);
    link_both_ways(&f, f.b, OUT);
    ping(&f, f.b, 30, 1u << 1, true);
    CHECK(is_mine(&f, 1) && f.c->myself->config_epoch > 30);
    cluster_tick(f.c, NOW, &f.e);
    told_view(&f, f.b, cluster_my_id(f.c), ID_B);
    CHECK(is_mine(&f, 0));
    buf_free(&file);
    done(&f);
}

TEST(what_was_moved_here_is_not_given_back_to_who_has_not_heard_of_it)
{
    struct fixture f = with_two();
    struct buf moved = { 0 };

    ping(&f, f.b, 2, 1u << 1, true);
    import_1(&f);
    CHECK(f.c->myself->config_epoch == 3);
    /* It has taken an epoch that we did not know. That the slot was moved is said to it when it is on our disk. */
    ping(&f, f.b, 7, 1u << 1, true);
    CHECK(is_mine(&f, 1) && f.c->myself->config_epoch == 8 && kin_words(&f, KIN_MOVED, NULL) == 0);
    cluster_persisted(f.c, f.c->save_sequence, true, NOW, &f.e);
    ping(&f, f.b, 9, 1u << 1, true);
    CHECK(is_mine(&f, 1) && f.c->myself->config_epoch == 10);
    CHECK(kin_words(&f, KIN_MOVED, &moved) == 1 && moved.len == 10 &&
          memcmp(moved.data, REMEMBERED_SINCE("\1", "\3")) == 0);
    /* Once it has been heard without the slot, a claim to it is a new one. */
    ping(&f, f.b, 9, 0, true);
    ping(&f, f.b, 20, 1u << 1, true);
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index);
    buf_free(&moved);
    done(&f);
}

TEST(what_was_moved_here_was_taken_later_than_its_former_owner_took_it_whatever_the_epochs)
{
    struct fixture f = with_two();
    struct buf keeps = { 0 };

    import_1(&f); /* with epoch 3: that of B was 9 and is not known here */
    cluster_persisted(f.c, f.c->save_sequence, true, NOW, &f.e);
    ping(&f, f.b, 2, 0, true);
    f.c->taken_from[1] = f.b->index;
    f.c->any_taken_from = true;
    told_kin(&f, f.b, KIN_HELD, 0, SLOT_SINCE("\1", "\7"));
    CHECK(is_mine(&f, 1) && kin_words(&f, KIN_KEEPS, &keeps) == 1 &&
          memcmp(keeps.data, REMEMBERED_SINCE("\1", "\x8")) == 0);
    told_kin(&f, f.b, KIN_HELD, 0, SLOT_SINCE("\1", "\7"));
    CHECK(is_mine(&f, 1));
    buf_free(&keeps);
    done(&f);
}

TEST(an_operator_who_bumps_a_nodes_epoch_has_its_claims_win)
{
    struct fixture f = with_two();
    uint64_t epoch;
    struct buf keeps = { 0 };

    CHECK(cluster_bump_epoch(f.c, &epoch, NOW, &f.e) && epoch == 3);
    cluster_persisted(f.c, f.c->save_sequence, true, NOW, &f.e);
    ping(&f, f.b, 2, 1u << 1, true);
    told_kin(&f, f.b, KIN_HELD, 0, SLOT_SINCE("\0", "\2"));
    CHECK(is_mine(&f, 0) && kin_words(&f, KIN_KEEPS, &keeps) == 1 &&
          memcmp(keeps.data, REMEMBERED_SINCE("\0", "\3")) == 0);
    buf_free(&keeps);
    done(&f);
}

TEST(who_hears_that_a_slot_was_moved_from_him_lets_it_go_whatever_the_epochs)
{
    struct fixture f = with_two();

    ping(&f, f.b, 1, 1u << 1, true);
    f.c->myself->config_epoch = 5;
    told_kin(&f, f.b, KIN_MOVED, 1u << 0, "\0\0\0\0\0\0\0\0\0", 9); /* not what it should be */
    told_kin(&f, f.b, KIN_MOVED, 1u << 1, SLOT_SINCE("\0", "\1"));  /* it does not claim it */
    told_kin(&f, f.b, KIN_MOVED, 1u << 1, "\xff\xff\0\0\0\0\0\0\0\1", 10);
    CHECK(is_mine(&f, 0));
    told_kin(&f, f.b, KIN_MOVED, 1u << 0, SLOT_SINCE("\0", "\1"));
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index && drops(&f, 0));
    done(&f);
}

TEST(of_two_who_took_a_slot_with_one_epoch_from_a_third_one_has_it)
{
    struct fixture f = with_two();

    CHECK(memcmp(cluster_my_id(f.c), ID_B, NODE_ID_BYTES) < 0);
    ping(&f, f.b, 2, 1u << 1, true);
    told_kin(&f, f.b, KIN_KEEPS, 1u << 0, SLOT_SINCE("\0", "\1"));
    CHECK(is_mine(&f, 0) && f.c->since_epoch[0] == 2);
    told_kin(&f, f.b, KIN_KEEPS, 1u << 0, SLOT_SINCE("\0", "\1"));
    CHECK(is_mine(&f, 0) && f.c->since_epoch[0] == 2);
    done(&f);
    f = with_two();
    ping(&f, f.b, 2, 1u << 1, true);
    memset(f.c->myself->id, 'z', NODE_ID_BYTES);
    told_kin(&f, f.b, KIN_KEEPS, 1u << 0, SLOT_SINCE("\0", "\1"));
    CHECK(is_mine(&f, 0) && f.c->since_epoch[0] == 1);
    told_kin(&f, f.b, KIN_KEEPS, 1u << 0, SLOT_SINCE("\0", "\2"));
    CHECK(!is_mine(&f, 0));
    done(&f);
}

/* It has taken other slots since, and was never told: it is not younger than what an operator moved on. */
TEST(what_was_moved_on_is_not_given_back_to_an_earlier_owner_that_remembers_an_older_move)
{
    struct fixture f = with_two();

    ping(&f, f.b, 2, 1u << 1, true);
    f.c->myself->config_epoch = f.c->since_epoch[0] = 9;
    told_kin(&f, f.b, KIN_MOVED, 1u << 0, SLOT_SINCE("\0", "\5"));
    CHECK(is_mine(&f, 0));
    f.c->migrating[0] = f.b->index; /* but where it leaves for there, we know it to be moved */
    told_kin(&f, f.b, KIN_MOVED, 1u << 0, SLOT_SINCE("\0", "\5"));
    CHECK(!is_mine(&f, 0));
    done(&f);
}

TEST(a_word_that_is_replayed_or_overtaken_gives_nothing_away)
{
    struct fixture f = with_two();

    ping(&f, f.b, 1, 1u << 1, true);
    f.b->sequence = 1; /* what told_kin() says was said before */
    told_kin(&f, f.b, KIN_MOVED, 1u << 0, SLOT_SINCE("\0", "\1"));
    CHECK(is_mine(&f, 0) && f.c->ignored > 0);
    f.b->sequence = 0;
    told_kin(&f, f.b, KIN_MOVED, 1u << 0, SLOT_SINCE("\0", "\1"));
    CHECK(!is_mine(&f, 0));
    done(&f);
}

TEST(of_two_to_whom_an_operator_moved_a_slot_from_each_other_the_later_has_it)
{
    struct fixture f = with_two();

    ping(&f, f.b, 2, 1u << 1, true);
    import_1(&f); /* with epoch 3 */
    told_kin(&f, f.b, KIN_MOVED, 1u << 1, REMEMBERED_SINCE("\1", "\2"));
    CHECK(is_mine(&f, 1));
    told_kin(&f, f.b, KIN_MOVED, 1u << 1, REMEMBERED_SINCE("\1", "\4"));
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index && drops(&f, 1));
    done(&f);
}

static void restart(struct fixture *f)
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

/* One of the two gave it away before a crash, and its disk knew nothing of that. */
TEST(of_two_to_whom_an_operator_moved_a_slot_from_each_other_the_one_that_did_not_crash_has_it)
{
    struct fixture f = with_two();
    struct buf keeps = { 0 };

    ping(&f, f.b, 2, 1u << 1, true);
    import_1(&f); /* with epoch 3 */
    cluster_persisted(f.c, f.c->save_sequence, true, NOW, &f.e);
    told_kin(&f, f.b, KIN_MOVED, 1u << 1, SLOT_SINCE("\1", "\7"));
    CHECK(is_mine(&f, 1) && kin_words(&f, KIN_KEEPS, &keeps) == 1 &&
          memcmp(keeps.data, REMEMBERED_SINCE("\1", "\x8")) == 0);
    told_kin(&f, f.b, KIN_KEEPS, 1u << 1, SLOT_SINCE("\1", "\x9"));
    CHECK(is_mine(&f, 1));
    buf_free(&keeps);
    done(&f);

    f = with_two();
    ping(&f, f.b, 2, 1u << 1, true);
    import_1(&f);
    restart(&f);
    CHECK(is_mine(&f, 1) && f.c->taken_from[1] == f.b->index);
    ping(&f, f.b, 2, 1u << 1, true);
    told_kin(&f, f.b, KIN_MOVED, 1u << 1, SLOT_SINCE("\1", "\2"));
    CHECK(is_mine(&f, 1));
    told_kin(&f, f.b, KIN_MOVED, 1u << 1, REMEMBERED_SINCE("\1", "\2"));
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index);
    done(&f);
}

/* Each took it with the next epoch that it knew of. One gave it away when its disk was full, and came back as the owner that it had been. */
TEST(what_went_on_through_nodes_that_did_not_hear_each_other_is_its_last_takers_who_remembers_it)
{
    struct fixture f = with_two();
    struct buf held = { 0 };
    cluster_error error;

    /* We are the last, and hear the one that forgot: it has to let go. */
    import_1(&f); /* with epoch 3 */
    cluster_persisted(f.c, f.c->save_sequence, true, NOW, &f.e);
    ping(&f, f.other, 10, 1u << 1, true);
    CHECK(cluster_slot_owner(f.c, 1) == f.other->index && !drops(&f, 1) && kin_words(&f, KIN_HELD, &held) == 1);
    CHECK(memcmp(held.data, REMEMBERED_SINCE("\1", "\3")) == 0);
    told_kin(&f, f.other, KIN_MOVED, 1u << 1,
             SLOT_SINCE("\1", "\x9")); /* from us, once: it does not know of the later move */
    CHECK(!drops(&f, 1) && kin_words(&f, KIN_HELD, &held) == 1);
    CHECK(memcmp(held.data, REMEMBERED_SINCE("\1", "\3")) == 0);
    told_view(&f, f.other, ID_C, cluster_my_id(f.c));
    CHECK(!is_mine(&f, 1)); /* nobody asked */
    f.other->view_awaited = true;
    ping(&f, f.other, 10, 0, true);
    told_view(&f, f.other, NULL, cluster_my_id(f.c));
    CHECK(is_mine(&f, 1));
    ping(&f, f.b, 2, 0, true);
    told_kin(&f, f.b, KIN_HELD, 0, SLOT_SINCE("\1", "\x9"));
    CHECK(is_mine(&f, 1) && kin_words(&f, KIN_KEEPS, NULL) == 1);
    /* Of another that remembers it, too, the epochs tell; and once it leaves here it may have been given to anybody. */
    told_kin(&f, f.other, KIN_HELD, 0, REMEMBERED_SINCE("\1", "\2"));
    CHECK(is_mine(&f, 1));
    cluster_setslot_migrating(f.c, 1, BYTES(ID_B), NOW, &f.e, error);
    CHECK(error[0] == '\0');
    told_kin(&f, f.other, KIN_HELD, 0, SLOT_SINCE("\1", "\x9"));
    CHECK(!is_mine(&f, 1));
    done(&f);

    /* We are the one that forgot. */
    f = with_two();
    import_1(&f);
    restart(&f);
    ping(&f, f.b, 2, 0, true);
    ping(&f, f.other, 1, 0, true);
    told_kin(&f, f.b, KIN_HELD, 0, SLOT_SINCE("\1", "\x9"));
    told_kin(&f, f.other, KIN_HELD, 0, SLOT_SINCE("\1", "\2"));
    CHECK(is_mine(&f, 1)); /* B gave it to us, and C had it before that */
    told_kin(&f, f.b, KIN_HELD, 0, REMEMBERED_SINCE("\1", "\2"));
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index && drops(&f, 1)); /* B was given it back */
    told_kin(&f, f.other, KIN_HELD, 0, REMEMBERED_SINCE("\0", "\0"));
    CHECK(cluster_slot_owner(f.c, 0) == f.other->index && drops(&f, 0));
    buf_free(&held);
    done(&f);
}

/* Of who was not heard since the start nobody knows yet of what kind it is. */
TEST(what_was_moved_here_is_not_given_back_on_hearsay_of_a_node_that_was_not_heard_yet)
{
    struct fixture f = with_two();

    ping(&f, f.b, 2, 1u << 1, true);
    restart(&f);
    import_1(&f);
    CHECK(!f.b->heard_view);
    told_of_b(&f, 20, 1u << 1, NOW);
    told_of_b(&f, 20, 1u << 1, NOW + 9000);
    CHECK(is_mine(&f, 1) && f.c->myself->config_epoch > 20);
    done(&f);
}

TEST(who_begins_anew_serves_when_it_is_known_what_became_of_its_slots)
{
    struct fixture f = with_two();

    restart(&f);
    f.c->options.require_full_coverage = false;
    ping(&f, f.b, 2, 1u << 1, true);
    ping(&f, f.other, 1, 1u << 2, true);
    told_of_b(&f, 9, 1u << 0 | 1u << 1, NOW + 2500);
    hear_of(&f, f.b, MESSAGE_PING, 2, 1u << 1, true, BYTES_NONE, NOW + 2600);
    cluster_tick(f.c, NOW + 2600, &f.e);
    CHECK(is_mine(&f, 0) && !f.c->ok);
    /* Not that one: then nobody has. */
    hear_of(&f, f.b, MESSAGE_PING, 9, 1u << 1, true, BYTES_NONE, NOW + 2700);
    cluster_tick(f.c, NOW + 2700, &f.e);
    CHECK(is_mine(&f, 0) && f.c->ok);
    /* Who serves goes on with it. */
    told_of_b(&f, 10, 1u << 0 | 1u << 1, NOW + 2800);
    cluster_tick(f.c, NOW + 2800, &f.e);
    CHECK(is_mine(&f, 0) && f.c->ok);
    done(&f);
}

/* Whoever has it was told so by the giver, whose disk forgot it. */
TEST(a_yielded_slot_that_is_nobodys_there_is_taken_back_when_all_have_been_heard)
{
    struct fixture f = with_slot_0_yielded_to_b();

    ping(&f, f.b, 9, 1u << 1, true);
    cluster_tick(f.c, NOW, &f.e);
    told_view(&f, f.b, NULL, ID_B);
    CHECK(!is_mine(&f, 0)); /* C may have it */
    ping(&f, f.other, 1, 1u << 2, true);
    ping(&f, f.b, 9, 1u << 1, true);
    cluster_tick(f.c, NOW + 600, &f.e);
    told_view(&f, f.b, NULL, ID_B);
    CHECK(is_mine(&f, 0) && !drops(&f, 0));
    done(&f);
}

/* F2: a former owner with the smaller id would take back what was moved from it. */
TEST(between_our_own_no_id_decides_who_has_a_slot)
{
    struct fixture f = with_two();
    bool smaller = memcmp(cluster_my_id(f.c), ID_B, NODE_ID_BYTES) < 0;
    struct buf text = { 0 };

    CHECK(smaller);
    f.c->myself->config_epoch = f.c->current_epoch = 3;
    ping(&f, f.b, 3, 1u << 0 | 1u << 1, true);
    CHECK(f.c->myself->config_epoch == 3 && is_mine(&f, 0));
    /* Neither knows of a move: an operator has to hear of it. */
    hear_of(&f, f.b, MESSAGE_PING, 3, 1u << 0 | 1u << 1, true, BYTES_NONE, NOW + 3999);
    CHECK(f.e.count == 0 || f.e.items[f.e.count - 1].kind != EFFECT_LOG);
    hear_of(&f, f.b, MESSAGE_PING, 3, 1u << 0 | 1u << 1, true, BYTES_NONE, NOW + 4001);
    CHECK(f.c->myself->config_epoch == 3);
    for (size_t i = 0; i < f.e.count; i++)
        if (f.e.items[i].kind == EFFECT_LOG) buf_append_bytes(&text, f.e.items[i].data);
    CHECK(text.len > 0 && memmem(text.data, text.len, "until an operator says whose", 28) != NULL);
    /* Where nothing is claimed twice a number is all it is about, and to a Redis node the wire's rule applies. */
    ping(&f, f.b, 3, 1u << 1, true);
    CHECK(f.c->myself->config_epoch == 4);
    f.c->myself->config_epoch = 3;
    ping(&f, f.b, 3, 1u << 0 | 1u << 1, false);
    CHECK(f.c->myself->config_epoch == 5);
    buf_free(&text);
    done(&f);
}

TEST(what_an_operator_moves_on_is_not_insisted_on)
{
    struct fixture f = with_two();
    cluster_error error;

    /* A Redis node is told by the operator that it has it, and has not heard of our epoch. */
    f.c->myself->config_epoch = 5;
    ping(&f, f.b, 2, 1u << 0 | 1u << 1, false);
    CHECK(is_mine(&f, 0)); /* nobody moves it */
    cluster_setslot_migrating(f.c, 0, BYTES(ID_B), NOW, &f.e, error);
    CHECK(error[0] == '\0');
    ping(&f, f.other, 2, 1u << 0, false);
    told_of_b(&f, 3, 1u << 0 | 1u << 1, NOW);
    CHECK(is_mine(&f, 0)); /* not to that one, and that one says nothing of it */
    ping(&f, f.b, 3, 1u << 0 | 1u << 1, true);
    CHECK(is_mine(&f, 0)); /* one of our kind says MOVED */
    ping(&f, f.b, 3, 1u << 0 | 1u << 1, false);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index && f.c->myself->config_epoch == 5);
    done(&f);
    /* At the way back a claim of it may be from before it gave us the slot. */
    for (unsigned heard_without = 0; heard_without < 2; heard_without++) {
        f = with_two();
        ping(&f, f.b, 2, 1u << 1, false);
        import_1(&f);
        if (heard_without) ping(&f, f.b, 2, 0, false);
        cluster_setslot_migrating(f.c, 1, BYTES(ID_B), NOW, &f.e, error);
        ping(&f, f.b, 2, 1u << 1, false);
        CHECK(is_mine(&f, 1) == !heard_without);
        done(&f);
    }
    f = with_two();

    ping(&f, f.b, 2, 1u << 1, true);
    import_1(&f);
    cluster_setslot_migrating(f.c, 1, BYTES(ID_B), NOW, &f.e, error);
    CHECK(error[0] == '\0');
    ping(&f, f.b, 7, 1u << 1, true);
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index);
    done(&f);
}

TEST(a_redis_node_is_given_back_what_it_claims_with_a_higher_epoch_where_it_may_know_of_the_move)
{
    struct fixture f = with_two();

    /* It had the higher epoch before we took the slot, and nobody had heard of it. */
    ping(&f, f.b, 2, 1u << 1, false);
    import_1(&f);
    ping(&f, f.b, 7, 1u << 1, false);
    CHECK(is_mine(&f, 1) && !drops(&f, 1) && f.c->myself->config_epoch == 8);
    told_of_b(&f, 9, 1u << 1, NOW);
    CHECK(is_mine(&f, 1) && f.c->myself->config_epoch == 10);
    done(&f);
    f = with_two();
    /* It has heard that it does not have it. */
    ping(&f, f.b, 2, 1u << 1, false);
    import_1(&f);
    ping(&f, f.b, 7, 0, false);
    ping(&f, f.b, 8, 1u << 1, false);
    CHECK(cluster_slot_owner(f.c, 1) == f.b->index);
    done(&f);
    /* We may have forgotten that. */
    f = with_two();
    ping(&f, f.b, 2, 1u << 1, false);
    import_1(&f);
    restart(&f);
    ping(&f, f.b, 2, 1u << 1, false);
    CHECK(is_mine(&f, 1));
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
      keys_are_dropped_at_the_word_of_him_alone_who_has_their_slot,
      a_claim_of_a_redis_node_to_a_yielded_slot_is_its_word,
      between_our_own_the_later_taker_has_a_slot_whatever_the_epochs_of_the_nodes,
      a_slot_that_is_not_his_who_was_said_to_have_it_is_ours_again_with_its_keys,
      a_slot_that_each_of_two_holds_for_the_others_is_taken_by_who_is_told,
      a_slot_that_was_given_on_is_whose_the_giver_says,
      of_a_redis_node_that_does_not_claim_a_yielded_slot_no_more_is_known,
      an_operators_word_on_a_yielded_slot_ends_the_waiting,
      what_was_yielded_and_what_was_moved_here_is_known_after_a_restart,
      what_was_moved_here_was_taken_later_than_its_former_owner_took_it_whatever_the_epochs,
      an_operator_who_bumps_a_nodes_epoch_has_its_claims_win,
      who_hears_that_a_slot_was_moved_from_him_lets_it_go_whatever_the_epochs,
      of_two_who_took_a_slot_with_one_epoch_from_a_third_one_has_it,
      what_was_moved_on_is_not_given_back_to_an_earlier_owner_that_remembers_an_older_move,
      a_word_that_is_replayed_or_overtaken_gives_nothing_away,
      of_two_to_whom_an_operator_moved_a_slot_from_each_other_the_later_has_it,
      of_two_to_whom_an_operator_moved_a_slot_from_each_other_the_one_that_did_not_crash_has_it,
      what_went_on_through_nodes_that_did_not_hear_each_other_is_its_last_takers_who_remembers_it,
      what_was_moved_here_is_not_given_back_on_hearsay_of_a_node_that_was_not_heard_yet,
      who_begins_anew_serves_when_it_is_known_what_became_of_its_slots,
      a_yielded_slot_that_is_nobodys_there_is_taken_back_when_all_have_been_heard,
      between_our_own_no_id_decides_who_has_a_slot, what_was_moved_here_is_not_given_back_to_who_has_not_heard_of_it,
      what_an_operator_moves_on_is_not_insisted_on,
      a_redis_node_is_given_back_what_it_claims_with_a_higher_epoch_where_it_may_know_of_the_move,
      a_slot_of_a_third_node_is_not_insisted_on, a_node_whose_state_cannot_be_saved_takes_no_slot_from_another,
      a_link_without_answers_is_opened_again_though_the_node_is_heard_on_its_own)
