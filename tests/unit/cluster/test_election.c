/* Votes for the replicas of Redis nodes: each rule has a case in which it alone says no; and none is given before it is on disk. */
#include "cluster/cluster_internal.h"
#include "cluster/message.h"
#include "unit/unit.h"

#include <stdio.h>

#define ID_B "7686f8bbc0c3a60dee7d8a44874b824d39339700" /* the primary that failed */
#define ID_C "8686f8bbc0c3a60dee7d8a44874b824d39339700" /* its replicas */
#define ID_D "9686f8bbc0c3a60dee7d8a44874b824d39339700"
#define ID_Z "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz" /* another primary */
#define NOW 1700000000000

static const struct cluster_options options = {
    .node_timeout_ms = 1000, .require_full_coverage = true, .port = 7000, .cport = 17000
};

struct fixture {
    struct cluster *c;
    struct effects e;
    struct node *b, *candidate, *rival, *z;
};

static struct node *known(struct fixture *f, const char *id, unsigned flags)
{
    struct node *node = node_add(f->c, id, flags, NOW);
    cluster_link link = (cluster_link)(10 * node->index);

    node_set_address(f->c, node, "127.0.0.2", (uint16_t)(8000 + node->index), (uint16_t)(18000 + node->index), 0,
                     &f->e);
    node->connecting = true;
    cluster_link_opened(f->c, node->index, link, NOW, &f->e);
    cluster_link_accepted(f->c, link + 1, "127.0.0.1", "127.0.0.2", NOW);
    return node;
}

static void persisted(struct fixture *f, bool ok)
{
    uint64_t sequence = f->c->save_sequence;

    effects_clear(&f->e);
    cluster_persisted(f->c, sequence, ok, NOW, &f->e);
}

/* We own slot 0; B owned 1 and 2 with epoch 3 and has failed; C and D are its replicas; Z owns slot 3 with epoch 2. */
static struct fixture with_a_failed_primary(void)
{
    struct fixture f = { .c = cluster_new(&options, 42, NOW) };

    f.c->solo = false;
    f.b = known(&f, ID_B, FLAG_PRIMARY | FLAG_FAIL);
    f.candidate = known(&f, ID_C, FLAG_REPLICA);
    f.rival = known(&f, ID_D, FLAG_REPLICA);
    f.z = known(&f, ID_Z, FLAG_PRIMARY);
    node_set_primary(f.c, f.candidate, f.b);
    node_set_primary(f.c, f.rival, f.b);
    slot_bind(f.c, 0, f.c->myself, &f.e);
    slot_bind(f.c, 1, f.b, &f.e);
    slot_bind(f.c, 2, f.b, &f.e);
    slot_bind(f.c, 3, f.z, &f.e);
    f.b->config_epoch = 3;
    f.z->config_epoch = 2;
    f.c->current_epoch = 3;
    f.c->myself->config_epoch = 1;
    cluster_persist_now(f.c, true, &f.e);
    persisted(&f, true);
    effects_clear(&f.e);
    return f;
}

static void done(struct fixture *f)
{
    effects_free(&f->e);
    cluster_free(&f->c);
}

static const uint8_t of_b[SLOT_BITMAP_BYTES] = { 1u << 1 | 1u << 2 };

/* A request as Redis sends it: the slots and the epoch are its primary's. */
static struct message_header request(const struct node *from, uint64_t epoch)
{
    return (struct message_header){ .type = MESSAGE_AUTH_REQUEST,
                                    .port = from->port,
                                    .cport = from->cport,
                                    .flags = FLAG_REPLICA | FLAG_MYSELF,
                                    .current_epoch = epoch,
                                    .config_epoch = 3,
                                    .sender = from->id,
                                    .primary = ID_B,
                                    .ip = "",
                                    .slots = of_b };
}

static void ask_at(struct fixture *f, const struct message_header *head, int64_t now_ms)
{
    const struct node *from = node_find(f->c, head->sender);
    struct buf packet = { 0 };

    message_header_write(&packet, head);
    message_finish(&packet, 0, 0);
    effects_clear(&f->e);
    cluster_packet(f->c, from != NULL ? (cluster_link)(10 * from->index + 1) : 99, buf_bytes(&packet), now_ms, &f->e);
    buf_free(&packet);
}

static size_t saves(const struct fixture *f)
{
    size_t count = 0;

    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_PERSIST && f->e.items[i].sync) count++;
    return count;
}

/* Votes that were sent, each to that node's link. */
static size_t votes(const struct fixture *f, const struct node *to)
{
    size_t count = 0;

    for (size_t i = 0; i < f->e.count; i++) {
        struct message message;

        if (f->e.items[i].kind != EFFECT_SEND) continue;
        CHECK(message_decode(f->e.items[i].data, &message) == MESSAGE_OK);
        if (message.type != MESSAGE_AUTH_ACK) continue;
        CHECK(f->e.items[i].link == to->outbound);
        /* What the candidate counts by. */
        CHECK(message.current_epoch >= f->c->vote.epoch && bitmap_has(message.slots, 0));
        count++;
    }
    return count;
}

static bool logs(const struct fixture *f, const char *what)
{
    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_LOG &&
            memmem(f->e.items[i].data.data, f->e.items[i].data.len, what, strlen(what)) != NULL)
            return true;
    return false;
}

/* True where the vote is given: asked for now, and on disk. */
static bool gives(struct fixture *f, const struct message_header *head, int64_t now_ms)
{
    struct node *from;
    size_t count;

    ask_at(f, head, now_ms);
    from = node_find(f->c, head->sender);
    CHECK(votes(f, from) == 0); /* not before it is on disk */
    if (saves(f) == 0) return false;
    persisted(f, true);
    count = votes(f, from);
    CHECK(count <= 1);
    return count == 1;
}

static void refuses(struct fixture *f, const struct message_header *head, const char *reason)
{
    uint64_t last = f->c->last_vote_epoch;

    CHECK(!gives(f, head, NOW));
    if (reason != NULL && !logs(f, reason)) fail_msg("not said: %s", reason);
    CHECK(f->c->last_vote_epoch == last && f->c->vote.sequence == 0);
}

TEST(a_replica_of_a_failed_primary_has_our_vote_when_it_is_on_disk)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.candidate, 4);
    struct buf file = { 0 };
    struct cluster *again;
    char error[256];

    ask_at(&f, &head, NOW);
    CHECK(saves(&f) == 1 && votes(&f, f.candidate) == 0);
    /* What is being written has it: after a crash from here on this epoch is over for us. */
    cluster_save(f.c, &file);
    again = cluster_load(buf_bytes(&file), &options, 1, NOW, error);
    CHECK(again != NULL && again->last_vote_epoch == 4 && again->current_epoch == 4);
    persisted(&f, true);
    CHECK(votes(&f, f.candidate) == 1);
    persisted(&f, true);
    CHECK(votes(&f, f.candidate) == 0); /* one, not one for each save */
    cluster_free(&again);
    buf_free(&file);
    done(&f);
}

TEST(a_vote_that_cannot_be_saved_is_not_given)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.candidate, 4);

    ask_at(&f, &head, NOW);
    persisted(&f, false);
    CHECK(votes(&f, f.candidate) == 0);
    /* From here on it is known that the disk is full, and said. */
    f.b->voted_ms = 0;
    head = request(f.rival, 5);
    refuses(&f, &head, "the state cannot be saved");
    f.c->save_sequence++;
    persisted(&f, true);
    CHECK(votes(&f, f.candidate) == 0 && votes(&f, f.rival) == 0);
    head = request(f.rival, 6);
    CHECK(gives(&f, &head, NOW + 5000));
    done(&f);
}

TEST(a_vote_that_comes_late_does_not_count_in_the_next_election)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.candidate, 4);

    ask_at(&f, &head, NOW);
    f.c->current_epoch = 5;
    persisted(&f, true);
    CHECK(votes(&f, f.candidate) == 0);
    done(&f);
}

TEST(one_vote_in_an_epoch)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.candidate, 4);

    CHECK(gives(&f, &head, NOW));
    f.b->voted_ms = 0;
    refuses(&f, &head, "this epoch has my vote already");
    head = request(f.rival, 4);
    refuses(&f, &head, "this epoch has my vote already");
    head = request(f.rival, 5);
    CHECK(gives(&f, &head, NOW));
    done(&f);
}

TEST(one_vote_for_the_replicas_of_a_primary_in_a_while)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.candidate, 4);

    CHECK(gives(&f, &head, NOW));
    head = request(f.rival, 5);
    CHECK(!gives(&f, &head, NOW + 1999));
    CHECK(logs(&f, "another replica of its primary had my vote just now"));
    head = request(f.rival, 6);
    CHECK(gives(&f, &head, NOW + 2000));
    done(&f);
}

TEST(an_epoch_that_is_over_has_no_votes)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.candidate, 2);

    refuses(&f, &head, "its epoch is over");
    done(&f);
}

TEST(who_owns_no_slot_has_no_vote)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.candidate, 4);

    slot_bind(f.c, 0, NULL, &f.e);
    cluster_persist_now(f.c, true, &f.e);
    persisted(&f, true);
    refuses(&f, &head, NULL);
    CHECK(!logs(&f, "election"));
    done(&f);
}

TEST(a_primary_that_is_up_is_not_replaced_unless_it_agreed_to_it)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.candidate, 4);

    f.b->flags = FLAG_PRIMARY | FLAG_PFAIL; /* suspicion is not enough */
    refuses(&f, &head, "its primary is up");
    head.current_epoch = 5;
    head.mflags = MESSAGE_FORCEACK;
    CHECK(gives(&f, &head, NOW));
    done(&f);
}

TEST(who_is_no_replica_or_nobodys_is_not_voted_for)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.z, 4);

    refuses(&f, &head, "it is a primary");
    node_set_primary(f.c, f.candidate, NULL);
    head = request(f.candidate, 4);
    refuses(&f, &head, "its primary is not known");
    head.sender = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    ask_at(&f, &head, NOW);
    CHECK(saves(&f) == 0);
    done(&f);
}

TEST(slots_that_have_a_newer_owner_are_not_taken_back_by_a_vote)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.candidate, 5);

    slot_bind(f.c, 2, f.z, &f.e);
    f.z->config_epoch = 4;
    refuses(&f, &head, "a slot it would take has a newer owner");
    /* One that its owner gave up is anybody's. */
    bitmap_set(f.c->not_claiming, 2);
    head.current_epoch = 6;
    CHECK(gives(&f, &head, NOW));
    done(&f);
}

TEST(a_refusal_is_said_once_for_each_epoch)
{
    struct fixture f = with_a_failed_primary();
    struct message_header head = request(f.candidate, 4);

    f.b->flags = FLAG_PRIMARY;
    ask_at(&f, &head, NOW);
    CHECK(logs(&f, "no vote for"));
    ask_at(&f, &head, NOW);
    CHECK(!logs(&f, "no vote for"));
    head.current_epoch = 5;
    ask_at(&f, &head, NOW);
    CHECK(logs(&f, "no vote for"));
    done(&f);
}

TESTS(a_replica_of_a_failed_primary_has_our_vote_when_it_is_on_disk, a_vote_that_cannot_be_saved_is_not_given,
      a_vote_that_comes_late_does_not_count_in_the_next_election, one_vote_in_an_epoch,
      one_vote_for_the_replicas_of_a_primary_in_a_while, an_epoch_that_is_over_has_no_votes,
      who_owns_no_slot_has_no_vote, a_primary_that_is_up_is_not_replaced_unless_it_agreed_to_it,
      who_is_no_replica_or_nobodys_is_not_voted_for, slots_that_have_a_newer_owner_are_not_taken_back_by_a_vote,
      a_refusal_is_said_once_for_each_epoch)
