/* What others say of our slots, and what becomes of one that is somebody else's by their word: it is yielded, and its keys wait for the word of him who has it. The
 * simulator found most of these. */
#include "unit/cluster/three.h"

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
    await_view(&f, f.b);
    told_view(&f, f.b, cluster_my_id(f.c), cluster_my_id(f.c));
    CHECK(!is_mine(&f, 1)); /* it claims it */
    ping(&f, f.b, 2, 0, true);
    await_view(&f, f.b);
    f.c->importing[1] = f.b->index; /* the operator has not said yet that it is here */
    told_view(&f, f.b, cluster_my_id(f.c), cluster_my_id(f.c));
    CHECK(!is_mine(&f, 1));
    await_view(&f, f.b);
    f.c->importing[1] = INDEX_NONE;
    told_view(&f, f.b, cluster_my_id(f.c), cluster_my_id(f.c));
    CHECK(is_mine(&f, 1));
    done(&f);
}

/* It was said before B was given it, and comes behind the operator's word: whoever asked for one of the slot's keys would be told that there is none. */
TEST(a_slot_that_was_given_away_is_not_taken_back_for_a_view_of_before)
{
    struct fixture f = with_two();
    cluster_error error;

    ping(&f, f.b, 2, 1u << 1, true);
    await_view(&f, f.b);
    cluster_setslot_migrating(f.c, 0, BYTES(ID_B), NOW, &f.e, error);
    CHECK(error[0] == '\0');
    cluster_setslot_node(f.c, 0, BYTES(ID_B), 0, NOW, &f.e, error);
    CHECK(error[0] == '\0' && !is_mine(&f, 0));
    ping(&f, f.b, 2, 1u << 1, true);
    CHECK(bitmap_has(f.c->not_claiming, 0));
    told_view(&f, f.b, cluster_my_id(f.c), ID_B);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index);
    /* That B was never told of it shows when it is asked once more, at once. */
    effects_clear(&f.e);
    cluster_tick(f.c, NOW, &f.e);
    CHECK(kin_words(&f, KIN_VIEW_ASK, NULL) == 1);
    told_view(&f, f.b, cluster_my_id(f.c), ID_B);
    CHECK(is_mine(&f, 0));
    done(&f);
}

/* Keys that were sent before are to be asked for where they are. */
TEST(a_slot_that_was_leaving_when_it_was_said_to_be_anothers_leaves_still)
{
    struct fixture f = with_two();
    cluster_error error;

    ping(&f, f.b, 2, 1u << 1, true);
    cluster_setslot_migrating(f.c, 0, BYTES(ID_C), NOW, &f.e, error);
    CHECK(error[0] == '\0');
    told_of_b(&f, 9, 1u << 0 | 1u << 1, NOW);
    told_of_b(&f, 9, 1u << 0 | 1u << 1, NOW + 2001);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index && f.c->migrating[0] == INDEX_NONE);
    ping(&f, f.b, 9, 1u << 1, true);
    cluster_tick(f.c, NOW, &f.e);
    told_view(&f, f.b, cluster_my_id(f.c), ID_B);
    CHECK(is_mine(&f, 0) && f.c->migrating[0] == f.other->index);
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

TESTS(an_epoch_is_learnt_only_with_the_slots_it_is_said_of, a_slot_that_its_owner_gave_up_is_nobodys_in_the_file,
      what_others_say_of_our_slots_waits_for_the_word_of_whom_it_is_about,
      what_others_say_of_a_redis_node_or_of_others_slots_counts_at_once,
      keys_are_dropped_at_the_word_of_him_alone_who_has_their_slot,
      a_claim_of_a_redis_node_to_a_yielded_slot_is_its_word,
      between_our_own_the_later_taker_has_a_slot_whatever_the_epochs_of_the_nodes,
      a_slot_that_is_not_his_who_was_said_to_have_it_is_ours_again_with_its_keys,
      a_slot_that_each_of_two_holds_for_the_others_is_taken_by_who_is_told,
      a_slot_that_was_given_away_is_not_taken_back_for_a_view_of_before,
      a_slot_that_was_leaving_when_it_was_said_to_be_anothers_leaves_still,
      a_slot_that_was_given_on_is_whose_the_giver_says,
      of_a_redis_node_that_does_not_claim_a_yielded_slot_no_more_is_known,
      an_operators_word_on_a_yielded_slot_ends_the_waiting,
      what_was_yielded_and_what_was_moved_here_is_known_after_a_restart,
      who_begins_anew_serves_when_it_is_known_what_became_of_its_slots,
      a_yielded_slot_that_is_nobodys_there_is_taken_back_when_all_have_been_heard)
