/* What an operator has moved stays where it was moved to, whoever has not heard of that. The simulator found most of these. */
#include "unit/cluster/three.h"

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
    await_view(&f, f.other);
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
    /* At the way back a claim of it may be from before it gave us the slot: that is so until it has been heard without it, and unless it has a higher epoch than it had
     * then. */
    for (unsigned heard_without = 0; heard_without < 3; heard_without++) {
        f = with_two();
        ping(&f, f.b, 2, 1u << 1, false);
        import_1(&f);
        if (heard_without == 1) ping(&f, f.b, 3, 0, false);
        cluster_setslot_migrating(f.c, 1, BYTES(ID_B), NOW, &f.e, error);
        if (heard_without == 2) ping(&f, f.b, 3, 0, false);
        ping(&f, f.b, 3, 1u << 1, false);
        CHECK(is_mine(&f, 1));
        f.c->myself->config_epoch = 9;
        ping(&f, f.b, 5, 1u << 1, false);
        CHECK(is_mine(&f, 1) == !heard_without && !(heard_without && f.c->myself->config_epoch != 9));
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
    ping(&f, f.b, 9, 1u << 1, false);
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

TESTS(what_was_moved_here_is_not_given_back_to_who_has_not_heard_of_it,
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
      between_our_own_no_id_decides_who_has_a_slot, what_an_operator_moves_on_is_not_insisted_on,
      a_redis_node_is_given_back_what_it_claims_with_a_higher_epoch_where_it_may_know_of_the_move,
      a_slot_of_a_third_node_is_not_insisted_on, a_node_whose_state_cannot_be_saved_takes_no_slot_from_another)
