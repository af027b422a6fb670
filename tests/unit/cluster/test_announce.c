/* What others hear of our epochs and slots, and when: not before it is on disk, and no less after that. */
#include "unit/cluster/neighbours.h"

/* What a header would say at this moment. */
struct told {
    uint64_t current_epoch, config_epoch;
    bool has_slot_5;
};

static struct told told(struct fixture *f)
{
    struct buf out = { 0 };
    struct message message;
    struct told result;

    header_begin(f->c, MESSAGE_PING, &out);
    message_finish(&out, 0, 0);
    CHECK(message_decode(buf_bytes(&out), &message) == MESSAGE_OK);
    result = (struct told){ message.current_epoch, message.config_epoch, bitmap_has(message.slots, 5) };
    buf_free(&out);
    return result;
}

/* The sequence of the newest save that was asked for. */
static uint64_t asked(const struct fixture *f)
{
    uint64_t sequence = 0;

    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_PERSIST) sequence = f->e.items[i].sequence;
    CHECK(sequence != 0);
    return sequence;
}

static void save(struct fixture *f, uint64_t sequence, bool ok)
{
    cluster_persisted(f->c, sequence, ok, NOW, &f->e);
}

static uint64_t bump(struct fixture *f)
{
    uint64_t epoch;

    f->b->config_epoch = f->c->current_epoch; /* so that ours is not the highest, and there is something to bump */
    if (f->b->config_epoch < f->c->myself->config_epoch + 1) f->b->config_epoch = f->c->myself->config_epoch + 1;
    CHECK(cluster_bump_epoch(f->c, &epoch, NOW, &f->e));
    return epoch;
}

static void add_slot(struct fixture *f, uint16_t slot)
{
    cluster_error error;

    cluster_add_slots(f->c, &slot, 1, NOW, &f->e, error);
    CHECK(error[0] == '\0');
}

static void add_slot_5(struct fixture *f)
{
    add_slot(f, 5);
}

TEST(an_epoch_and_a_slot_are_told_when_they_are_on_disk)
{
    struct fixture f = with_neighbour();
    uint64_t epoch;

    add_slot_5(&f);
    epoch = bump(&f);
    CHECK(told(&f).current_epoch == 0 && told(&f).config_epoch == 0 && !told(&f).has_slot_5);
    CHECK(cluster_slot_owner(f.c, 5) == f.c->myself->index); /* clients are served at once */
    save(&f, asked(&f), true);
    CHECK(told(&f).current_epoch == epoch && told(&f).config_epoch == epoch && told(&f).has_slot_5);
    done(&f);
}

TEST(a_save_that_failed_leaves_the_former_word)
{
    struct fixture f = with_neighbour();
    uint64_t former, next;
    struct buf text = { 0 };

    former = bump(&f);
    save(&f, asked(&f), true);
    next = bump(&f);
    add_slot_5(&f);
    effects_clear(&f.e);
    save(&f, f.c->save_sequence, false);
    CHECK(told(&f).config_epoch == former && !told(&f).has_slot_5);
    CHECK(f.e.count == 1 && f.e.items[0].kind == EFFECT_LOG);
    CHECK(memmem(f.e.items[0].data.data, f.e.items[0].data.len, "claims no slot", 14) != NULL);
    cluster_info_text(f.c, &text);
    CHECK(memmem(text.data, text.len, "cluster_state_save_status:err\r\n", 31) != NULL);

    save(&f, f.c->save_sequence, true);
    CHECK(told(&f).config_epoch == next && told(&f).has_slot_5);
    buf_clear(&text);
    cluster_info_text(f.c, &text);
    CHECK(memmem(text.data, text.len, "cluster_state_save_status:ok\r\n", 30) != NULL);
    buf_free(&text);
    done(&f);
}

/* More saves than the disk keeps up with: it wrote the first, was asked for two more, and the second was replaced by the third. */
TEST(of_saves_that_replaced_each_other_only_what_is_written_is_told)
{
    struct fixture f = with_neighbour();
    uint64_t first, last, first_sequence;

    first = bump(&f);
    first_sequence = asked(&f);
    bump(&f);
    last = bump(&f);
    save(&f, first_sequence, true);
    CHECK(told(&f).config_epoch == first && told(&f).current_epoch == first);
    save(&f, f.c->save_sequence - 1, true); /* nobody remembers that one any more: the word before stands */
    CHECK(told(&f).config_epoch == first);
    save(&f, f.c->save_sequence, true);
    CHECK(told(&f).config_epoch == last && told(&f).current_epoch == last);
    done(&f);
}

TEST(a_slot_that_is_lost_is_not_claimed_any_more_whatever_the_disk_says)
{
    struct fixture f = with_neighbour();
    cluster_error error;

    add_slot_5(&f);
    save(&f, asked(&f), true);
    CHECK(told(&f).has_slot_5);
    cluster_del_slots(f.c, &(uint16_t){ 5 }, 1, NOW, &f.e, error);
    CHECK(error[0] == '\0' && !told(&f).has_slot_5);
    done(&f);
}

TEST(the_end_of_an_import_is_told_to_all_as_soon_as_it_is_on_disk)
{
    struct fixture f = with_neighbour();
    cluster_error error;

    f.b->config_epoch = 3;
    cluster_setslot_importing(f.c, 5, BYTES(ID_B), NOW, &f.e, error);
    cluster_setslot_node(f.c, 5, bytes_of(cluster_my_id(f.c)), 0, NOW, &f.e, error);
    CHECK(error[0] == '\0' && sends(&f, MESSAGE_PONG) == 0);
    save(&f, f.c->save_sequence, false);
    CHECK(sends(&f, MESSAGE_PONG) == 0);
    save(&f, f.c->save_sequence, true);
    CHECK(sends(&f, MESSAGE_PONG) == 1 && told(&f).config_epoch == 4 && told(&f).has_slot_5);
    save(&f, f.c->save_sequence, true);
    CHECK(sends(&f, MESSAGE_PONG) == 1);
    done(&f);
}

/* An UPDATE that corrects somebody about our own slots is a claim too. */
TEST(nobody_is_corrected_with_what_is_not_on_disk)
{
    struct fixture f = with_neighbour();
    uint8_t claim[SLOT_BITMAP_BYTES] = { 0 };

    add_slot_5(&f);
    save(&f, asked(&f), true);
    bump(&f);
    effects_clear(&f.e);
    bitmap_set(claim, 5);
    view_correct(f.c, f.b, 0, claim, &f.e);
    CHECK(f.e.count == 0);
    save(&f, f.c->save_sequence, true);
    view_correct(f.c, f.b, 0, claim, &f.e);
    CHECK(f.e.count == 1 && message_type_of(f.e.items[0].data) == MESSAGE_UPDATE);
    done(&f);
}

TEST(a_loaded_node_tells_what_was_in_its_file_and_a_new_identity_nothing)
{
    struct fixture f = with_neighbour(), again = { 0 };
    struct buf file = { 0 };
    char error[256];
    cluster_error refusal;
    uint64_t epoch;

    add_slot_5(&f);
    epoch = bump(&f);
    cluster_save(f.c, &file);
    again.c = cluster_load(buf_bytes(&file), &options, 1, NOW, error);
    CHECK(again.c != NULL && told(&again).config_epoch == epoch && told(&again).has_slot_5);

    cluster_reset(again.c, true, false, NOW, &again.e, refusal);
    CHECK(refusal[0] == '\0' && told(&again).current_epoch == 0 && told(&again).config_epoch == 0);
    cluster_set_config_epoch(again.c, 2, NOW, &again.e, refusal);
    CHECK(refusal[0] == '\0' && told(&again).config_epoch == 0);
    buf_free(&file);
    done(&again);
    done(&f);
}

static bool asks_to_connect(const struct fixture *f)
{
    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_CONNECT) return true;
    return false;
}

/* A stranger says MEET on an accepted link. */
static void be_met(struct fixture *f)
{
    struct message_header head = header(MESSAGE_MEET, "0cea2a19014efb9c80da68f01b7393c7870c6223");

    head.port = 9000;
    head.cport = 19000;
    hear(f, STRANGE, head);
}

TEST(nobody_hears_of_a_new_identity_before_it_is_on_disk)
{
    struct fixture f = with_neighbour();
    struct message message;
    cluster_error error;
    uint64_t asked_for;

    cluster_reset(f.c, true, false, NOW, &f.e, error);
    asked_for = asked(&f);
    cluster_meet(f.c, BYTES("127.0.0.2"), 8000, 18000, NOW, &f.e, error);
    CHECK(error[0] == '\0');
    effects_clear(&f.e);

    cluster_tick(f.c, NOW, &f.e);
    CHECK(!asks_to_connect(&f));
    be_met(&f);
    CHECK(!asks_to_connect(&f) && sends(&f, MESSAGE_PONG) == 0);
    /* Neither a save that failed nor one that was asked for before. */
    save(&f, asked_for - 1, true);
    save(&f, asked_for, false);
    cluster_tick(f.c, NOW, &f.e);
    CHECK(!asks_to_connect(&f));
    be_met(&f);
    CHECK(!asks_to_connect(&f) && sends(&f, MESSAGE_PONG) == 0);

    save(&f, asked_for, true);
    effects_clear(&f.e);
    cluster_tick(f.c, NOW, &f.e);
    CHECK(asks_to_connect(&f));
    be_met(&f);
    CHECK(sends(&f, MESSAGE_PONG) == 1);
    for (size_t i = 0; i < f.e.count; i++) {
        if (f.e.items[i].kind != EFFECT_SEND) continue;
        CHECK(message_decode(f.e.items[i].data, &message) == MESSAGE_OK);
        assert_string_equal(message.sender, cluster_my_id(f.c));
    }
    done(&f);
}

static void hear_b(struct fixture *f, uint64_t current_epoch, bool ours)
{
    struct message_header head = header(MESSAGE_PING, ID_B);

    head.current_epoch = current_epoch;
    head.mark.is_ours = ours;
    hear(f, IN, head);
}

static void let_slot_5_leave(struct fixture *f)
{
    cluster_error error;

    effects_clear(&f->e);
    cluster_setslot_migrating(f->c, 5, BYTES(ID_B), NOW, &f->e, error);
    CHECK(error[0] == '\0');
}

/* A slot of ours leaves for B, which has heard of all that was told. */
static struct fixture with_slot_5_leaving(bool for_kin, uint64_t *epoch)
{
    struct fixture f = with_neighbour();

    add_slot_5(&f);
    *epoch = bump(&f);
    save(&f, asked(&f), true);
    hear_b(&f, *epoch, for_kin);
    let_slot_5_leave(&f);
    CHECK(cluster_may_move(f.c, 5, NOW) && sends(&f, MESSAGE_PING) == 0);
    save(&f, asked(&f), true);
    return f;
}

TEST(a_redis_node_for_which_a_slot_leaves_has_heard_of_an_epoch_before_it_is_claimed_with)
{
    uint64_t former, next;
    struct fixture f = with_slot_5_leaving(false, &former);

    next = bump(&f);
    add_slot(&f, 6);
    effects_clear(&f.e);
    save(&f, f.c->save_sequence, true);
    CHECK(told(&f).current_epoch == next && told(&f).config_epoch == former && told(&f).has_slot_5);
    CHECK(!cluster_is_announced(f.c, 6));
    CHECK(sends(&f, MESSAGE_PING) == 1); /* it is asked, once */
    hear_b(&f, former, false);
    CHECK(told(&f).config_epoch == former && sends(&f, MESSAGE_PING) == 0);
    hear_b(&f, next, false);
    CHECK(told(&f).config_epoch == next && cluster_is_announced(f.c, 6));
    done(&f);
    /* Nor is it waited for where none leaves any more, */
    f = with_slot_5_leaving(false, &former);
    next = bump(&f);
    save(&f, f.c->save_sequence, true);
    CHECK(told(&f).config_epoch == former);
    cluster_setslot_stable(f.c, 5, NOW, &f.e, (cluster_error){ 0 });
    CHECK(told(&f).config_epoch == next);
    done(&f);
    /* or leaves for a node of our kind. */
    f = with_slot_5_leaving(true, &former);
    next = bump(&f);
    save(&f, f.c->save_sequence, true);
    CHECK(told(&f).config_epoch == next);
    done(&f);
}

TEST(a_redis_node_that_does_not_answer_is_not_waited_for_for_ever)
{
    uint64_t former, next;
    struct fixture f = with_slot_5_leaving(false, &former);

    f.b->data_received_ms = f.b->pong_received_ms = NOW + 1000;
    next = bump(&f);
    save(&f, f.c->save_sequence, true);
    cluster_tick(f.c, NOW + 1000, &f.e);
    CHECK(told(&f).config_epoch == former);
    cluster_tick(f.c, NOW + 1001, &f.e);
    CHECK(told(&f).config_epoch == next);
    done(&f);
    f = with_slot_5_leaving(false, &former);
    next = bump(&f);
    save(&f, f.c->save_sequence, true);
    CHECK(told(&f).config_epoch == former);
    f.b->flags |= FLAG_PFAIL;
    cluster_tick(f.c, NOW + 100, &f.e);
    CHECK(told(&f).config_epoch == next);
    done(&f);
}

TEST(a_slot_begins_to_leave_for_a_redis_node_when_that_has_heard_of_all_we_claim_it_with)
{
    struct fixture f = with_neighbour();
    uint64_t epoch;

    add_slot_5(&f);
    epoch = bump(&f);
    save(&f, asked(&f), true);
    hear_b(&f, epoch - 1, false);
    let_slot_5_leave(&f);
    CHECK(!cluster_may_move(f.c, 5, NOW) && sends(&f, MESSAGE_PING) == 1);
    CHECK(cluster_may_move(f.c, 5, NOW + 1001)); /* so long and no longer */
    f.b->flags |= FLAG_PFAIL;
    CHECK(cluster_may_move(f.c, 5, NOW));
    f.b->flags &= (uint16_t)~FLAG_PFAIL;
    hear_b(&f, epoch - 1, false);
    CHECK(!cluster_may_move(f.c, 5, NOW));
    hear_b(&f, epoch, false);
    CHECK(cluster_may_move(f.c, 5, NOW));
    /* We had it from there, and have not heard that it knows. */
    moves_took(f.c, 5, f.b->index);
    let_slot_5_leave(&f);
    CHECK(!cluster_may_move(f.c, 5, NOW) && sends(&f, MESSAGE_PING) == 1);
    hear_b(&f, epoch, false);
    CHECK(cluster_may_move(f.c, 5, NOW));
    /* One of our kind knows of each slot since when it has it. */
    hear_b(&f, epoch - 1, true);
    CHECK(cluster_may_move(f.c, 5, NOW));
    done(&f);
}

TESTS(nobody_hears_of_a_new_identity_before_it_is_on_disk, an_epoch_and_a_slot_are_told_when_they_are_on_disk,
      a_save_that_failed_leaves_the_former_word, of_saves_that_replaced_each_other_only_what_is_written_is_told,
      a_slot_that_is_lost_is_not_claimed_any_more_whatever_the_disk_says,
      the_end_of_an_import_is_told_to_all_as_soon_as_it_is_on_disk, nobody_is_corrected_with_what_is_not_on_disk,
      a_loaded_node_tells_what_was_in_its_file_and_a_new_identity_nothing,
      a_redis_node_for_which_a_slot_leaves_has_heard_of_an_epoch_before_it_is_claimed_with,
      a_redis_node_that_does_not_answer_is_not_waited_for_for_ever,
      a_slot_begins_to_leave_for_a_redis_node_when_that_has_heard_of_all_we_claim_it_with)
