/* F4 and F5: what becomes of a slot that stands open though nobody works on it. */
#include "cluster/open.h"
#include "unit/cluster/neighbours.h"

#include <stdio.h>
#include <stdlib.h>

#define IDLE 300000
#define SLOT 7

/* --- The decision: each row differs from its neighbour in what decides it --- */

#define HEARD .is_heard = true

static const struct {
    const char *says;
    struct open_facts facts;
    enum open_step expected;
} rows[] = {
    { "what leaves to one that imports it is sent",
      { .leaves = true, .is_kin = true, .keys = 3, .other = { HEARD, .comes = true, .from_us = true } },
      OPEN_SEND },
    { "also where nothing is left to be sent",
      { .leaves = true, .is_kin = true, .other = { HEARD, .comes = true, .from_us = true, .keys = 5 } },
      OPEN_SEND },
    { "not to a Redis node",
      { .leaves = true, .is_kin = false, .keys = 3, .other = { HEARD, .comes = true, .from_us = true } },
      OPEN_WAIT },
    { "not to one that imports it from a third",
      { .leaves = true, .is_kin = true, .keys = 3, .other = { HEARD, .comes = true } },
      OPEN_WAIT },
    { "nor to one that does not answer", { .leaves = true, .is_kin = true, .keys = 3 }, OPEN_WAIT },
    { "which is given up when it has failed for long",
      { .leaves = true, .is_kin = true, .has_failed = true, .keys = 3 },
      OPEN_CLOSE },
    { "but not while it answers",
      { .leaves = true, .is_kin = true, .has_failed = true, .keys = 3, .other = { HEARD, .keys = 1 } },
      OPEN_REOPEN },
    { "what is the target's already is given to it",
      { .leaves = true, .is_kin = true, .other = { HEARD, .is_owner = true, .keys = 5 } },
      OPEN_GIVE },
    { "but not with keys",
      { .leaves = true, .is_kin = true, .keys = 1, .other = { HEARD, .is_owner = true, .keys = 5 } },
      OPEN_WAIT },
    { "a target that forgot, and has no key, had none",
      { .leaves = true, .is_kin = true, .keys = 3, .other = { HEARD } },
      OPEN_CLOSE },
    { "one with a key of it has the newest",
      { .leaves = true, .is_kin = true, .keys = 3, .other = { HEARD, .keys = 1 } },
      OPEN_REOPEN },

    { "what comes is its source's to send",
      { .is_kin = true, .keys = 3, .other = { HEARD, .is_owner = true, .leaves = true, .to_us = true } },
      OPEN_WAIT },
    { "what does not come any more goes back",
      { .is_kin = true, .keys = 3, .other = { HEARD, .is_owner = true } },
      OPEN_RETURN },
    { "not to a Redis node", { .is_kin = false, .keys = 3, .other = { HEARD, .is_owner = true } }, OPEN_WAIT },
    { "not to one that does not answer", { .is_kin = true, .keys = 3 }, OPEN_WAIT },
    { "nor is it closed, however long that has failed", { .is_kin = true, .has_failed = true }, OPEN_WAIT },
    { "where nothing came it is closed", { .is_kin = true, .other = { HEARD, .is_owner = true } }, OPEN_CLOSE },
    { "what goes to a third now goes there first",
      { .is_kin = true, .keys = 3, .other = { HEARD, .is_owner = true, .leaves = true } },
      OPEN_WAIT },
    { "and is closed where nothing came",
      { .is_kin = true, .other = { HEARD, .is_owner = true, .leaves = true } },
      OPEN_CLOSE },
    { "what its source says is ours is taken, or it is nobody's",
      { .is_kin = true, .keys = 3, .other = { HEARD, .is_ours = true } },
      OPEN_TAKE },
    { "what is somebody else's is closed", { .is_kin = true, .keys = 3, .other = { HEARD } }, OPEN_CLOSE },
};

TEST(what_is_done_with_an_open_slot_follows_from_what_both_ends_say)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum open_step step = open_next(&rows[i].facts);

        if (step != rows[i].expected) fprintf(stderr, "%s: %d, not %d\n", rows[i].says, step, rows[i].expected);
        CHECK(step == rows[i].expected);
    }
}

/* Of all facts there are. A slot is never closed here while its keys are there and answer, nor sent where it is not imported; one that may have a Redis node
 * at its other end is let be. */
TEST(no_facts_lead_to_a_step_that_could_lose_keys)
{
    for (unsigned bits = 0; bits < 1u << 12; bits++) {
        struct open_facts facts = {
            .leaves = (bits & 1) != 0,
            .is_kin = (bits & 2) != 0,
            .has_failed = (bits & 4) != 0,
            .keys = (bits & 8) != 0,
            .other = { .is_heard = (bits & 16) != 0,
                       .is_owner = (bits & 32) != 0,
                       .is_ours = (bits & 64) != 0,
                       .leaves = (bits & 128) != 0,
                       .comes = (bits & 256) != 0,
                       .to_us = (bits & 512) != 0,
                       .from_us = (bits & 1024) != 0,
                       .keys = (bits & 2048) != 0 },
        };
        enum open_step step = open_next(&facts);

        CHECK(facts.is_kin || step == OPEN_WAIT);
        CHECK(facts.other.is_heard || step == OPEN_WAIT || (step == OPEN_CLOSE && facts.leaves && facts.has_failed));
        if (step == OPEN_CLOSE && facts.leaves && facts.other.is_heard) CHECK(facts.other.keys == 0);
        if (step == OPEN_CLOSE && !facts.leaves && facts.other.is_owner) CHECK(facts.keys == 0);
        if (step == OPEN_SEND) CHECK(facts.leaves && facts.other.comes && facts.other.from_us);
        if (step == OPEN_GIVE) CHECK(facts.leaves && facts.keys == 0 && facts.other.is_owner);
        if (step == OPEN_REOPEN) CHECK(facts.leaves && !facts.other.is_owner && !facts.other.comes);
        if (step == OPEN_TAKE) CHECK(!facts.leaves && facts.other.is_ours);
        if (step == OPEN_RETURN) CHECK(!facts.leaves && facts.other.is_owner && !facts.other.leaves);
    }
}

/* --- What the other end says --- */

#define LINE_C(flags, rest) ID_C " 127.0.0.1:9000@19000 " flags " - 0 0 3 connected" rest "\n"
#define LINE_B(flags, rest) ID_B " 127.0.0.1:8000@18000,host " flags " - 0 0 2 connected" rest "\n"

/* B's words to C about slot 7. */
static struct open_account account_of(const char *text, bool *is_read)
{
    struct open_account account = { .keys = 99 };

    *is_read = open_account_read(bytes_of(text), SLOT, ID_B, ID_C, &account);
    CHECK(*is_read == account.is_heard && account.keys == 0);
    return account;
}

TEST(an_account_is_read_from_what_a_node_says_of_itself)
{
    bool is_read;
    struct open_account account;

    account = account_of(LINE_C("master", " 8-9") LINE_B("myself,master", " 0-7 10"), &is_read);
    CHECK(is_read && account.is_owner && !account.is_ours && !account.leaves && !account.comes);
    account = account_of(LINE_C("master", " 7") LINE_B("myself,master", ""), &is_read);
    CHECK(is_read && account.is_ours && !account.is_owner);
    account =
        account_of(LINE_B("myself,master", " 7 [7->-" ID_C "] [8-<-" ID_C "]") LINE_C("master", " 70-77"), &is_read);
    CHECK(is_read && account.is_owner && account.leaves && account.to_us && !account.comes && !account.is_ours);
    account = account_of(LINE_B("myself,master", " [7-<-" ID_B "] [70->-" ID_C "]"), &is_read);
    CHECK(is_read && account.comes && !account.from_us && !account.leaves);
    account = account_of(LINE_B("myself,master", " [7-<-" ID_C "]"), &is_read);
    CHECK(is_read && account.comes && account.from_us);
}

TEST(what_is_no_account_or_another_nodes_is_not_heard)
{
    static const char *const texts[] = {
        "",
        "\n",
        "x",
        "ERR",
        LINE_B("master", " 7"),
        LINE_C("myself,master", " 7"),
        LINE_B("myselfish", " 7"),
        LINE_B("myself,master", " 7") "short line\n",
    };
    bool is_read;
    struct open_account account;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        account_of(texts[i], &is_read);
        CHECK(!is_read);
    }
    /* What is no slot is none. */
    account = account_of(LINE_B("myself,master",
                                " -7 7- 6-x 16384 0-16384 [7->-short] [7-?-" ID_C "] [x->-" ID_C "] [] [-" ID_C "]"),
                         &is_read);
    CHECK(is_read && !account.is_owner && !account.leaves && !account.comes);
}

TEST(an_account_cut_anywhere_is_read_or_refused)
{
    static const char whole[] = LINE_C("master", " 8-9") LINE_B("myself,master", " 0-7 [7->-" ID_C "] [8-<-" ID_C "]");

    for (size_t len = 0; len < sizeof(whole); len++) {
        char *cut = malloc(len + 1); /* so that a byte too far is seen */
        struct open_account account;

        memcpy(cut, whole, len);
        open_account_read((struct bytes){ cut, len }, SLOT, ID_B, ID_C, &account);
        CHECK(!account.is_ours);
        free(cut);
    }
}

/* --- Whose time has come --- */

/* Slot 7 is ours, slot 8 B's. */
static struct fixture with_slots(void)
{
    struct fixture f = with_neighbour();

    slot_bind(f.c, SLOT, f.c->myself, &f.e);
    slot_bind(f.c, SLOT + 1, f.b, &f.e);
    f.b->is_ours = f.c->ok = true;
    f.c->owner_after_ms[SLOT + 1] = NOW - f.c->started_ms;
    return f;
}

static unsigned next_open(const struct fixture *f, int64_t now_ms)
{
    return cluster_next_open(f->c, 0, IDLE, now_ms);
}

TEST(the_time_of_an_open_slot_begins_with_the_last_work_on_it)
{
    struct fixture f = with_slots();
    cluster_error error;
    struct open_slot open;

    CHECK(next_open(&f, NOW + 10 * IDLE) == SLOT_COUNT && cluster_open_count(f.c) == 0);
    cluster_setslot_migrating(f.c, SLOT, BYTES(ID_B), NOW + 5, &f.e, error);
    CHECK(error[0] == '\0' && cluster_open_count(f.c) == 1);
    CHECK(next_open(&f, NOW + 4 + IDLE) == SLOT_COUNT && next_open(&f, NOW + 5 + IDLE) == SLOT);
    f.c->ok = true;
    CHECK(!cluster_open_slot(f.c, SLOT, IDLE, NOW + 4 + IDLE, &open));
    CHECK(cluster_open_slot(f.c, SLOT, IDLE, NOW + 5 + IDLE, &open) && open.leaves && open.other.index == f.b->index);
    /* MIGRATE, and any SETSLOT, also one that is refused. */
    cluster_slot_worked(f.c, SLOT, NOW + 100);
    CHECK(next_open(&f, NOW + 99 + IDLE) == SLOT_COUNT && next_open(&f, NOW + 100 + IDLE) == SLOT);
    cluster_setslot_node(f.c, SLOT, BYTES(ID_B), 1, NOW + 200, &f.e, error);
    CHECK(error[0] != '\0' && next_open(&f, NOW + 199 + IDLE) == SLOT_COUNT);
    /* What could not be done is looked at again soon. */
    cluster_slot_look_again(f.c, SLOT, 5000, IDLE, NOW + 300 + IDLE);
    CHECK(next_open(&f, NOW + 5299 + IDLE) == SLOT_COUNT && next_open(&f, NOW + 5300 + IDLE) == SLOT);
    /* The operator closes it. */
    cluster_setslot_stable(f.c, SLOT, NOW + 400, &f.e, error);
    CHECK(error[0] == '\0' && next_open(&f, NOW + 10 * IDLE) == SLOT_COUNT);
    CHECK(!cluster_open_slot(f.c, SLOT, IDLE, NOW + 10 * IDLE, &open));
    done(&f);
}

TEST(an_open_slot_is_let_be_while_the_cluster_is_down)
{
    struct fixture f = with_slots();
    cluster_error error;
    struct open_slot open;

    cluster_setslot_importing(f.c, SLOT + 1, BYTES(ID_B), NOW, &f.e, error);
    f.c->ok = true;
    CHECK(cluster_open_slot(f.c, SLOT + 1, IDLE, NOW + IDLE, &open) && !open.leaves && !open.has_failed);
    f.c->ok = false;
    CHECK(!cluster_open_slot(f.c, SLOT + 1, IDLE, NOW + IDLE, &open));
    f.c->ok = true;
    f.b->flags |= FLAG_FAIL;
    f.b->fail_ms = NOW + 1;
    CHECK(cluster_open_slot(f.c, SLOT + 1, IDLE, NOW + IDLE, &open) && !open.has_failed);
    CHECK(cluster_open_slot(f.c, SLOT + 1, IDLE, NOW + 1 + IDLE, &open) && open.has_failed);
    done(&f);
}

TEST(its_time_begins_anew_with_a_restart)
{
    struct fixture f = with_slots();
    struct buf file = { 0 };
    struct cluster *again;
    cluster_error error;
    char reason[256];

    cluster_setslot_migrating(f.c, SLOT, BYTES(ID_B), NOW, &f.e, error);
    cluster_save(f.c, &file);
    again = cluster_load(buf_bytes(&file), &options, 1, NOW + IDLE, reason);
    CHECK(again != NULL);
    CHECK(cluster_next_open(again, 0, IDLE, NOW + 2 * IDLE - 1) == SLOT_COUNT);
    CHECK(cluster_next_open(again, 0, IDLE, NOW + 2 * IDLE) == SLOT);
    cluster_free(&again);
    buf_free(&file);
    done(&f);
}

TEST(strays_are_keys_of_slots_that_others_of_our_kind_have_and_nobody_works_on)
{
    struct fixture f = with_slots();
    uint16_t slot = SLOT + 1;

    CHECK(!cluster_is_stray(f.c, slot, IDLE, NOW + IDLE - 1) && cluster_is_stray(f.c, slot, IDLE, NOW + IDLE));
    CHECK(!cluster_is_stray(f.c, SLOT, IDLE, NOW + IDLE));     /* ours */
    CHECK(!cluster_is_stray(f.c, SLOT + 2, IDLE, NOW + IDLE)); /* nobody's */
    f.c->owner_after_ms[slot] = NOW + 1 - f.c->started_ms;
    CHECK(!cluster_is_stray(f.c, slot, IDLE, NOW + IDLE));
    f.c->owner_after_ms[slot] = NOW - f.c->started_ms;
    cluster_slot_worked(f.c, slot, NOW + 1);
    CHECK(!cluster_is_stray(f.c, slot, IDLE, NOW + IDLE));
    cluster_slot_worked(f.c, slot, NOW);
    /* Kept for its owner's word. */
    bitmap_set(f.c->yielded, slot);
    CHECK(!cluster_is_stray(f.c, slot, IDLE, NOW + IDLE));
    bitmap_clear(f.c->yielded, slot);
    f.b->is_ours = false;
    CHECK(!cluster_is_stray(f.c, slot, IDLE, NOW + IDLE));
    f.b->is_ours = true;
    f.c->ok = false;
    CHECK(!cluster_is_stray(f.c, slot, IDLE, NOW + IDLE));
    f.c->ok = true;
    cluster_adopt_stray(f.c, slot, IDLE, NOW + IDLE - 1, &f.e);
    CHECK(f.c->importing[slot] == INDEX_NONE);
    cluster_adopt_stray(f.c, slot, IDLE, NOW + IDLE, &f.e);
    CHECK(f.c->importing[slot] == f.b->index && next_open(&f, NOW + IDLE) == slot);
    done(&f);
}

/* F4: its target may become its owner at any moment. */
TEST(a_slot_that_is_being_handed_over_is_neither_closed_nor_opened_again)
{
    struct fixture f = with_slots();
    cluster_error error;

    cluster_setslot_migrating(f.c, SLOT, BYTES(ID_B), NOW, &f.e, error);
    cluster_hand_over(f.c, SLOT);
    cluster_setslot_stable(f.c, SLOT, NOW, &f.e, error);
    CHECK(error[0] != '\0' && f.c->migrating[SLOT] == f.b->index);
    cluster_setslot_migrating(f.c, SLOT, BYTES(ID_B), NOW, &f.e, error);
    CHECK(error[0] != '\0');
    cluster_setslot_stable(f.c, SLOT + 1, NOW, &f.e, error);
    CHECK(error[0] == '\0');
    cluster_setslot_node(f.c, SLOT, BYTES(ID_B), 0, NOW, &f.e, error);
    CHECK(error[0] == '\0' && cluster_slot_owner(f.c, SLOT) == f.b->index);
    cluster_hand_over(f.c, SLOT_COUNT);
    cluster_setslot_stable(f.c, SLOT, NOW, &f.e, error);
    CHECK(error[0] == '\0');
    done(&f);
}

static void claim(struct fixture *f, const struct node *node, cluster_link link, uint64_t epoch, unsigned slots)
{
    uint8_t bitmap[SLOT_BITMAP_BYTES] = { (uint8_t)slots };
    struct message_header head = header(MESSAGE_PING, node->id);

    head.port = node->port;
    head.cport = node->cport;
    head.current_epoch = head.config_epoch = epoch;
    head.slots = bitmap;
    hear(f, link, head);
}

/* Restarted, a node may hold for nobody's what its source had been given. That source is asked by whoever ends the move, and while a slot is nobody's the
 * cluster is not well here, and no move is ended. */
TEST(a_slot_that_is_imported_is_its_sources_where_it_was_nobodys_here)
{
    struct fixture f = with_neighbour();
    cluster_error error;

    f.other = known(&f, ID_C, 9000);
    link_both_ways(&f, f.other, 20);
    slot_bind(f.c, 1, f.other, &f.e);
    for (uint16_t slot = 0; slot < 2; slot++) {
        cluster_setslot_importing(f.c, slot, BYTES(ID_B), NOW, &f.e, error);
        CHECK(error[0] == '\0');
    }
    claim(&f, f.other, 21, 5, 1u << 0 | 1u << 1); /* no business of a third one */
    CHECK(cluster_slot_owner(f.c, 0) == -1 && cluster_slot_owner(f.c, 1) == f.other->index);
    claim(&f, f.b, IN, 9, 1u << 0 | 1u << 1);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index && f.c->importing[0] == f.b->index);
    CHECK(cluster_slot_owner(f.c, 1) == f.other->index && f.c->importing[1] == f.b->index);
    done(&f);
}

TESTS(what_is_done_with_an_open_slot_follows_from_what_both_ends_say, no_facts_lead_to_a_step_that_could_lose_keys,
      an_account_is_read_from_what_a_node_says_of_itself, what_is_no_account_or_another_nodes_is_not_heard,
      an_account_cut_anywhere_is_read_or_refused, the_time_of_an_open_slot_begins_with_the_last_work_on_it,
      an_open_slot_is_let_be_while_the_cluster_is_down, its_time_begins_anew_with_a_restart,
      strays_are_keys_of_slots_that_others_of_our_kind_have_and_nobody_works_on,
      a_slot_that_is_being_handed_over_is_neither_closed_nor_opened_again,
      a_slot_that_is_imported_is_its_sources_where_it_was_nobodys_here)
