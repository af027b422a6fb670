/* What a home promises: no reply goes while somebody can answer with an older value, and every reply goes in time. */
#include "salt/home.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#define LEASE 200
#define MARGIN home_margin_ms(LEASE)
#define STAR BYTES("star")
#define ADA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BOB "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define START 1000000 /* when the fixture's home has been one for long */

struct fixture {
    struct home *home;
    struct salt_effects e;
    size_t seen;
    uint64_t session;
};

static struct fixture home_of_star(bool sum)
{
    struct fixture f = { .home = home_new(&(struct home_options){ .lease_ms = LEASE, .sync = true }, 5000, 0) };

    home_cluster(f.home, true, 0, &f.e);
    home_slot(f.home, key_slot(STAR), HOME_SLOT_HERE, 0, &f.e);
    CHECK(home_salted(f.home, STAR, sum, 0, &f.e));
    return f;
}

static void end(struct fixture *f)
{
    salt_effects_free(&f->e);
    home_free(&f->home);
}

/* The next effect that was not looked at yet. */
static struct salt_effect *next(struct fixture *f)
{
    return f->seen < f->e.count ? &f->e.items[f->seen++] : NULL;
}
static void nothing(struct fixture *f)
{
    CHECK(next(f) == NULL);
}
static struct salt_message sent(struct fixture *f, salt_link link, enum salt_word word)
{
    struct salt_effect *effect = next(f);

    CHECK(effect != NULL && effect->kind == SALT_SEND && effect->link == link && effect->message.word == word);
    return effect->message;
}
static void closed(struct fixture *f, salt_link link)
{
    struct salt_effect *effect = next(f);

    CHECK(effect != NULL && effect->kind == SALT_CLOSE && effect->link == link);
}
static void released(struct fixture *f, uint64_t ticket)
{
    struct salt_effect *effect = next(f);

    CHECK(effect != NULL && effect->kind == SALT_RELEASE && effect->ticket == ticket);
}
static void asked_to_push(struct fixture *f)
{
    struct salt_effect *effect = next(f);

    CHECK(effect != NULL && effect->kind == SALT_PUSH && bytes_equal(effect->message.base, STAR));
}

static void say(struct fixture *f, salt_link link, struct salt_message message, int64_t now_ms)
{
    home_message(f->home, link, &message, now_ms, &f->e);
}
static void hello(struct fixture *f, salt_link link, const char *id, int64_t now_ms)
{
    say(f, link, (struct salt_message){ .word = SALT_HELLO, .base = bytes_of(id), .session = ++f->session }, now_ms);
}
static void renew(struct fixture *f, salt_link link, int64_t now_ms)
{
    say(f, link, (struct salt_message){ .word = SALT_RENEW, .number = 7 }, now_ms);
}
static void join(struct fixture *f, salt_link link, uint64_t number, int64_t now_ms)
{
    say(f, link, (struct salt_message){ .word = SALT_JOIN, .base = STAR, .join = number }, now_ms);
}
static void ack(struct fixture *f, salt_link link, uint64_t number, uint64_t seq, int64_t now_ms)
{
    say(f, link, (struct salt_message){ .word = SALT_ACK, .base = STAR, .join = number, .seq = seq }, now_ms);
}
static struct home_target pushed(struct fixture *f, int64_t now_ms)
{
    struct home_target targets[HOME_HELPERS_MAX];

    CHECK(home_push(f->home, STAR, now_ms, targets) == 1);
    return targets[0];
}
static bool change(struct fixture *f, int64_t now_ms)
{
    return home_changed(f->home, STAR, HOME_CHANGED, now_ms, &f->e);
}

/* A helper with a lease as of now and a copy. */
static struct home_target helper_with_copy(struct fixture *f, salt_link link, const char *id, int64_t now_ms)
{
    hello(f, link, id, now_ms);
    sent(f, link, SALT_WELCOME);
    renew(f, link, now_ms);
    CHECK(sent(f, link, SALT_RENEWED).lease_ms == LEASE);
    join(f, link, link * 10, now_ms);
    asked_to_push(f);
    return pushed(f, now_ms);
}

TEST(who_joins_is_pushed_the_value)
{
    struct fixture f = home_of_star(false);
    struct home_target target = helper_with_copy(&f, 1, ADA, START);

    CHECK(target.link == 1 && target.join == 10 && target.seq > 5000 && !target.sum);
    nothing(&f);
    end(&f);
}

TEST(a_write_of_a_key_that_nobody_has_a_copy_of_is_acknowledged_at_once)
{
    struct fixture f = home_of_star(false);

    CHECK(!change(&f, START));
    CHECK(!home_withhold(f.home, STAR, 1, START));
    CHECK(!home_changed(f.home, BYTES("other"), HOME_CHANGED, START, &f.e));
    nothing(&f);
    end(&f);
}

TEST(a_reply_waits_until_every_helper_has_answered)
{
    struct fixture f = home_of_star(false);
    struct salt_message to_ada, to_bob;

    helper_with_copy(&f, 1, ADA, START);
    helper_with_copy(&f, 2, BOB, START);
    CHECK(change(&f, START + 1));
    to_ada = sent(&f, 1, SALT_INV);
    to_bob = sent(&f, 2, SALT_INV);
    CHECK(!to_ada.closed && to_ada.join == 10 && to_bob.join == 20);
    CHECK(home_withhold(f.home, STAR, 77, START + 1));
    ack(&f, 1, 10, to_ada.seq, START + 2);
    nothing(&f);
    ack(&f, 2, 20, to_bob.seq - 1, START + 2); /* of something older */
    ack(&f, 2, 10, to_bob.seq, START + 2);     /* of another joining */
    nothing(&f);
    ack(&f, 2, 20, to_bob.seq, START + 3);
    released(&f, 77);
    asked_to_push(&f);
    nothing(&f);
    CHECK(home_stats(f.home).waiting == 0);
    end(&f);
}

TEST(a_reply_waits_for_a_silent_helper_until_its_lease_and_the_margin_are_over)
{
    struct fixture f = home_of_star(false);

    helper_with_copy(&f, 1, ADA, START);
    change(&f, START + 50);
    sent(&f, 1, SALT_INV);
    CHECK(home_withhold(f.home, STAR, 77, START + 50));
    /* What it is granted from now on is behind the INV. */
    renew(&f, 1, START + 60);
    sent(&f, 1, SALT_RENEWED);
    CHECK(home_next_ms(f.home) == START + LEASE + MARGIN);
    home_tick(f.home, START + LEASE + MARGIN - 1, &f.e);
    nothing(&f);
    home_tick(f.home, START + LEASE + MARGIN, &f.e);
    released(&f, 77);
    nothing(&f); /* it is not sent the value before it has answered */
    CHECK(home_next_ms(f.home) == INT64_MAX);
    CHECK(home_stats(f.home).released_by_lease == 1);
    end(&f);
}

TEST(the_loss_of_a_link_is_no_answer)
{
    struct fixture f = home_of_star(false);

    helper_with_copy(&f, 1, ADA, START);
    home_link_closed(f.home, 1, START + 10, &f.e);
    CHECK(change(&f, START + 20));
    CHECK(home_withhold(f.home, STAR, 77, START + 20));
    nothing(&f);
    home_tick(f.home, START + LEASE + MARGIN - 1, &f.e);
    nothing(&f);
    home_tick(f.home, START + LEASE + MARGIN, &f.e);
    released(&f, 77);
    nothing(&f);
    CHECK(!change(&f, START + 900));
    end(&f);
}

TEST(who_says_hello_anew_holds_nothing)
{
    struct fixture f = home_of_star(false);

    helper_with_copy(&f, 1, ADA, START);
    change(&f, START + 1);
    sent(&f, 1, SALT_INV);
    CHECK(home_withhold(f.home, STAR, 77, START + 1));
    hello(&f, 2, ADA, START + 2);
    closed(&f, 1);
    released(&f, 77);
    sent(&f, 2, SALT_WELCOME);
    /* What was on its way on the link of before counts for nothing. */
    renew(&f, 1, START + 3);
    closed(&f, 1);
    nothing(&f);
    end(&f);
}

TEST(a_hello_that_comes_late_is_not_believed)
{
    struct fixture f = home_of_star(false);

    f.session = 10;
    helper_with_copy(&f, 1, ADA, START);
    change(&f, START + 1);
    sent(&f, 1, SALT_INV);
    CHECK(home_withhold(f.home, STAR, 77, START + 1));
    f.session = 9;
    hello(&f, 2, ADA, START + 2);
    CHECK(sent(&f, 2, SALT_STALE).session == 11);
    f.session = 10;
    closed(&f, 2);
    nothing(&f);
    f.session = 11;
    hello(&f, 3, ADA, START + 3);
    closed(&f, 1);
    released(&f, 77);
    end(&f);
}

TEST(one_inv_serves_many_writes_and_the_newest_value_is_pushed_when_they_are_done)
{
    struct fixture f = home_of_star(false);
    struct home_target targets[HOME_HELPERS_MAX], first = helper_with_copy(&f, 1, ADA, START);
    struct salt_message inv;

    change(&f, START + 1);
    inv = sent(&f, 1, SALT_INV);
    CHECK(inv.seq > first.seq);
    CHECK(home_withhold(f.home, STAR, 1, START + 1));
    CHECK(change(&f, START + 2));
    CHECK(home_withhold(f.home, STAR, 2, START + 2));
    nothing(&f);
    CHECK(home_push(f.home, STAR, START + 2, targets) == 0);
    ack(&f, 1, 10, inv.seq, START + 3);
    released(&f, 1);
    released(&f, 2);
    asked_to_push(&f);
    CHECK(pushed(&f, START + 4).seq > inv.seq);
    CHECK(home_push(f.home, STAR, START + 4, targets) == 0);
    end(&f);
}

TEST(a_value_that_was_asked_for_is_not_pushed_while_a_newer_inv_is_out)
{
    struct fixture f = home_of_star(false);
    struct home_target targets[HOME_HELPERS_MAX];

    helper_with_copy(&f, 1, ADA, START);
    hello(&f, 2, BOB, START);
    sent(&f, 2, SALT_WELCOME);
    join(&f, 2, 20, START);
    asked_to_push(&f);
    change(&f, START + 1);
    sent(&f, 1, SALT_INV);
    CHECK(home_push(f.home, STAR, START + 1, targets) == 0);
    nothing(&f);
    home_tick(f.home, START + LEASE + MARGIN, &f.e);
    asked_to_push(&f);
    CHECK(pushed(&f, START + LEASE + MARGIN).link == 2);
    end(&f);
}

TEST(a_new_home_acknowledges_nothing_before_a_lease_and_the_margin_have_passed)
{
    struct fixture f = home_of_star(false);
    uint16_t slot = key_slot(STAR);

    home_slot(f.home, slot, HOME_SLOT_ELSEWHERE, START, &f.e);
    home_slot(f.home, slot, HOME_SLOT_HERE, START, &f.e);
    CHECK(change(&f, START + 1));
    CHECK(home_withhold(f.home, STAR, 77, START + 1));
    home_tick(f.home, START + LEASE + MARGIN - 1, &f.e);
    nothing(&f);
    home_tick(f.home, START + LEASE + MARGIN, &f.e);
    released(&f, 77);
    CHECK(!change(&f, START + LEASE + MARGIN));

    /* One that imported it, and then owns it; one that gave nothing away. */
    home_slot(f.home, slot, HOME_SLOT_ELSEWHERE, START + 500, &f.e);
    home_slot(f.home, slot, HOME_SLOT_ARRIVING, START + 1000, &f.e);
    CHECK(change(&f, START + 1001));
    CHECK(!change(&f, START + 1000 + LEASE + MARGIN));
    home_slot(f.home, slot, HOME_SLOT_HERE, START + 2000, &f.e);
    CHECK(change(&f, START + 2001));
    home_slot(f.home, slot, HOME_SLOT_LEAVING, START + 3000, &f.e);
    home_slot(f.home, slot, HOME_SLOT_HERE, START + 3001, &f.e);
    CHECK(!change(&f, START + 3001));

    /* One that was cut off. */
    home_cluster(f.home, false, START + 4000, &f.e);
    home_cluster(f.home, true, START + 5000, &f.e);
    CHECK(change(&f, START + 5001));
    end(&f);
}

TEST(a_new_home_waits_for_the_longest_lease_that_anybody_grants)
{
    const int64_t longest = 3 * LEASE;
    struct home_options options = { .lease_ms = LEASE, .longest_ms = longest, .sync = true };
    struct fixture f = home_of_star(false);
    uint16_t slot = key_slot(STAR);

    home_configure(f.home, &options);
    home_slot(f.home, slot, HOME_SLOT_ELSEWHERE, START, &f.e);
    home_slot(f.home, slot, HOME_SLOT_HERE, START, &f.e);
    CHECK(change(&f, START + 1));
    CHECK(home_withhold(f.home, STAR, 77, START + 1));
    home_tick(f.home, START + longest + home_margin_ms(longest) - 1, &f.e);
    nothing(&f);
    home_tick(f.home, START + longest + home_margin_ms(longest), &f.e);
    released(&f, 77);
    /* What it grants itself is its own, and what it waits for once it is home. */
    helper_with_copy(&f, 1, ADA, START + 1000);
    CHECK(change(&f, START + 1001));
    sent(&f, 1, SALT_INV);
    CHECK(home_withhold(f.home, STAR, 78, START + 1001));
    home_tick(f.home, START + 1000 + LEASE + MARGIN, &f.e);
    released(&f, 78);
    options.longest_ms = 0;
    home_configure(f.home, &options);
    home_slot(f.home, slot, HOME_SLOT_ELSEWHERE, START + 2000, &f.e);
    home_slot(f.home, slot, HOME_SLOT_HERE, START + 2000, &f.e);
    CHECK(!change(&f, START + 2000 + LEASE + MARGIN));
    end(&f);
}

TEST(a_home_that_just_started_is_new)
{
    struct fixture f = { .home = home_new(&(struct home_options){ .lease_ms = LEASE, .sync = true }, 1, START) };

    home_slot(f.home, key_slot(STAR), HOME_SLOT_HERE, START, &f.e);
    home_cluster(f.home, true, START, &f.e);
    home_salted(f.home, STAR, false, START + 10, &f.e);
    CHECK(change(&f, START + 20));
    CHECK(!change(&f, START + LEASE + MARGIN));
    end(&f);
}

TEST(a_slot_that_leaves_takes_its_copies_back_first)
{
    struct fixture f = home_of_star(false);
    struct salt_message inv;
    uint16_t slot = key_slot(STAR);

    helper_with_copy(&f, 1, ADA, START);
    CHECK(!home_may_leave(f.home, STAR, START + 1)); /* it has not been said here yet */
    CHECK(home_may_leave(f.home, BYTES("other"), START + 1));
    home_slot(f.home, slot, HOME_SLOT_LEAVING, START + 1, &f.e);
    inv = sent(&f, 1, SALT_INV);
    CHECK(inv.closed);
    CHECK(!home_may_leave(f.home, STAR, START + 2));
    ack(&f, 1, 10, inv.seq, START + 3);
    CHECK(home_may_leave(f.home, STAR, START + 3));
    nothing(&f);
    join(&f, 1, 11, START + 4);
    sent(&f, 1, SALT_REFUSED);
    CHECK(!change(&f, START + 5));
    home_slot(f.home, slot, HOME_SLOT_ELSEWHERE, START + 6, &f.e);
    nothing(&f);
    end(&f);
}

TEST(a_helper_that_does_not_answer_delays_a_leaving_key_for_a_lease)
{
    struct fixture f = home_of_star(false);

    helper_with_copy(&f, 1, ADA, START);
    home_slot(f.home, key_slot(STAR), HOME_SLOT_LEAVING, START + 1, &f.e);
    CHECK(!home_may_leave(f.home, STAR, START + LEASE + MARGIN - 1));
    CHECK(home_may_leave(f.home, STAR, START + LEASE + MARGIN));
    end(&f);
}

TEST(a_home_without_a_cluster_renews_nothing_and_pushes_nothing)
{
    struct fixture f = home_of_star(false);
    struct salt_message inv;

    helper_with_copy(&f, 1, ADA, START);
    home_cluster(f.home, false, START + 1, &f.e);
    inv = sent(&f, 1, SALT_INV);
    CHECK(inv.closed);
    renew(&f, 1, START + 2);
    CHECK(sent(&f, 1, SALT_RENEWED).lease_ms == 0);
    ack(&f, 1, 10, inv.seq, START + 3);
    join(&f, 1, 11, START + 4);
    sent(&f, 1, SALT_REFUSED);
    nothing(&f);
    CHECK(home_stats(f.home).refused_renewals == 1);
    end(&f);
}

TEST(nothing_is_renewed_while_an_inv_is_unanswered_for_more_than_a_lease)
{
    struct fixture f = home_of_star(false);
    struct salt_message inv;

    helper_with_copy(&f, 1, ADA, START);
    change(&f, START + 100);
    inv = sent(&f, 1, SALT_INV);
    renew(&f, 1, START + 100 + LEASE);
    CHECK(sent(&f, 1, SALT_RENEWED).lease_ms == LEASE);
    home_tick(f.home, START + 101 + LEASE, &f.e);
    renew(&f, 1, START + 101 + LEASE);
    CHECK(sent(&f, 1, SALT_RENEWED).lease_ms == 0);
    ack(&f, 1, 10, inv.seq, START + 500);
    asked_to_push(&f);
    renew(&f, 1, START + 501);
    CHECK(sent(&f, 1, SALT_RENEWED).lease_ms == LEASE);
    end(&f);
}

TEST(helpers_come_and_go_while_a_write_waits)
{
    struct fixture f = home_of_star(false);
    struct salt_message inv;

    helper_with_copy(&f, 1, ADA, START);
    change(&f, START + 1);
    inv = sent(&f, 1, SALT_INV);
    CHECK(home_withhold(f.home, STAR, 77, START + 1));
    hello(&f, 2, BOB, START + 2);
    sent(&f, 2, SALT_WELCOME);
    join(&f, 2, 20, START + 2);
    nothing(&f); /* it has nothing and is given nothing: nobody waits for it */
    say(&f, 1, (struct salt_message){ .word = SALT_LEAVE, .base = STAR, .join = 9 }, START + 3);
    nothing(&f);
    say(&f, 1, (struct salt_message){ .word = SALT_LEAVE, .base = STAR, .join = 10 }, START + 3);
    released(&f, 77);
    asked_to_push(&f);
    CHECK(pushed(&f, START + 4).link == 2);
    ack(&f, 1, 10, inv.seq, START + 5);
    nothing(&f);
    end(&f);
}

TEST(an_unsalted_base_goes_when_nobody_can_have_a_copy)
{
    struct fixture f = home_of_star(false);
    struct salt_message inv;

    helper_with_copy(&f, 1, ADA, START);
    home_unsalted(f.home, STAR, START + 1, &f.e);
    inv = sent(&f, 1, SALT_INV);
    CHECK(inv.closed);
    CHECK(change(&f, START + 2));
    CHECK(home_withhold(f.home, STAR, 77, START + 2));
    CHECK(home_stats(f.home).bases == 1);
    ack(&f, 1, 10, inv.seq, START + 3);
    released(&f, 77);
    CHECK(home_stats(f.home).bases == 0);
    CHECK(!change(&f, START + 4));
    nothing(&f);
    end(&f);
}

TEST(a_flush_is_a_change_of_every_base_of_the_slot)
{
    struct fixture f = home_of_star(false);

    helper_with_copy(&f, 1, ADA, START);
    CHECK(!home_flushed(f.home, (uint16_t)(key_slot(STAR) + 1), START + 1, &f.e));
    CHECK(home_flushed(f.home, key_slot(STAR), START + 1, &f.e));
    sent(&f, 1, SALT_INV);
    CHECK(home_withhold(f.home, STAR, 77, START + 1));
    end(&f);
}

TEST(without_sync_no_reply_waits_and_copies_are_taken_back_all_the_same)
{
    struct fixture f = home_of_star(false);

    home_configure(f.home, &(struct home_options){ .lease_ms = LEASE, .sync = false });
    helper_with_copy(&f, 1, ADA, START);
    CHECK(!change(&f, START + 1));
    sent(&f, 1, SALT_INV);
    CHECK(!home_withhold(f.home, STAR, 77, START + 1));
    end(&f);
}

TEST(another_mode_begins_with_nobody_joined)
{
    struct fixture f = home_of_star(false);
    struct salt_message inv;

    helper_with_copy(&f, 1, ADA, START);
    home_salted(f.home, STAR, true, START + 1, &f.e);
    inv = sent(&f, 1, SALT_INV);
    CHECK(inv.closed);
    ack(&f, 1, 10, inv.seq, START + 2);
    join(&f, 1, 11, START + 3);
    sent(&f, 1, SALT_REFUSED);
    say(&f, 1, (struct salt_message){ .word = SALT_JOIN, .base = STAR, .join = 12, .sum = true }, START + 4);
    asked_to_push(&f);
    CHECK(pushed(&f, START + 4).sum);
    end(&f);
}

TEST(what_does_not_belong_on_a_link_ends_it)
{
    struct fixture f = home_of_star(false);

    join(&f, 1, 10, START); /* before HELLO */
    closed(&f, 1);
    say(&f, 2, (struct salt_message){ .word = SALT_HELLO, .base = BYTES("short"), .session = 1 }, START);
    closed(&f, 2);
    helper_with_copy(&f, 3, ADA, START);
    say(&f, 3, (struct salt_message){ .word = SALT_INV, .base = STAR }, START);
    closed(&f, 3);
    nothing(&f);
    CHECK(change(&f, START + 1)); /* its copy is still good */
    end(&f);
}

TEST(replies_bases_and_helpers_are_bounded)
{
    struct fixture f = home_of_star(false);
    char key[32], id[SALT_NODE_ID_BYTES + 1];

    for (int i = 1; i < (int)HOME_BASES_MAX; i++) {
        int len = snprintf(key, sizeof(key), "key:%d", i);
        CHECK(home_salted(f.home, (struct bytes){ key, (size_t)len }, false, START, &f.e));
    }
    CHECK(!home_salted(f.home, BYTES("more"), false, START, &f.e));
    for (unsigned i = 1; i <= HOME_HELPERS_MAX + 1; i++) {
        snprintf(id, sizeof(id), "%040u", i);
        hello(&f, i, id, START);
        join(&f, i, i, START);
    }
    CHECK(f.e.items[f.e.count - 1].message.word == SALT_REFUSED);
    f.seen = f.e.count;
    for (unsigned i = HOME_HELPERS_MAX + 2; i <= HOME_LINKS_MAX + 1; i++) {
        snprintf(id, sizeof(id), "%040u", i);
        hello(&f, i, id, START);
    }
    CHECK(f.e.items[f.e.count - 1].kind == SALT_CLOSE);
    /* Some have gone: there is room again. */
    home_link_closed(f.home, 900, START + 1, &f.e);
    home_tick(f.home, START + 1, &f.e);
    hello(&f, 5000, ADA, START + 2);
    CHECK(f.e.items[f.e.count - 1].message.word == SALT_WELCOME);

    home_slot(f.home, key_slot(STAR), HOME_SLOT_ELSEWHERE, START + 3, &f.e);
    home_slot(f.home, key_slot(STAR), HOME_SLOT_HERE, START + 3, &f.e);
    for (uint64_t i = 0; i < HOME_TICKETS_MAX; i++) CHECK(home_withhold(f.home, STAR, i + 1, START + 4));
    CHECK(!home_withhold(f.home, STAR, 1, START + 4));
    CHECK(home_stats(f.home).overflows == 2);
    end(&f);
}

static struct salt_message fold(uint64_t number, uint64_t epoch, int64_t delta)
{
    return (struct salt_message){ .word = SALT_FOLD, .base = STAR, .number = number, .epoch = epoch, .delta = delta };
}
static uint64_t helper_with_total(struct fixture *f, salt_link link, const char *id)
{
    hello(f, link, id, START);
    renew(f, link, START);
    say(f, link, (struct salt_message){ .word = SALT_JOIN, .base = STAR, .join = link, .sum = true }, START);
    f->seen = f->e.count;
    return pushed(f, START).epoch;
}

TEST(a_fold_counts_once_also_over_another_link)
{
    struct fixture f = home_of_star(true);
    uint64_t epoch = helper_with_total(&f, 1, ADA);
    struct salt_message first = fold(100, epoch, 5), answer;

    CHECK(home_fold(f.home, 1, &first, true, &(int64_t){ 10 }, START, &f.e));
    home_folded(f.home, 1, &first, true, 15, &f.e);
    answer = sent(&f, 1, SALT_FOLDED);
    CHECK(answer.fold == SALT_FOLD_APPLIED && answer.total == 15 && answer.number == 100 && answer.epoch == epoch);
    hello(&f, 2, ADA, START);
    f.seen = f.e.count;
    CHECK(!home_fold(f.home, 2, &first, true, &(int64_t){ 15 }, START, &f.e));
    answer = sent(&f, 2, SALT_FOLDED);
    CHECK(answer.fold == SALT_FOLD_APPLIED && answer.total == 15);
    /* Another helper's of the same number is another. */
    helper_with_total(&f, 3, BOB);
    CHECK(home_fold(f.home, 3, &first, true, &(int64_t){ 15 }, START, &f.e));
    end(&f);
}

TEST(additions_do_not_take_totals_back_and_a_set_discards_older_additions)
{
    struct fixture f = home_of_star(true);
    uint64_t epoch = helper_with_total(&f, 1, ADA);
    struct salt_message old = fold(100, epoch, 5), answer;

    CHECK(!home_changed(f.home, STAR, HOME_ADDED, START + 1, &f.e));
    nothing(&f);
    CHECK(change(&f, START + 2));
    sent(&f, 1, SALT_INV);
    /* Nobody may have waited for that, as when the key expired: then who adds next waits. */
    CHECK(home_changed(f.home, STAR, HOME_ADDED, START + 2, &f.e));
    CHECK(home_withhold(f.home, STAR, 77, START + 2));
    CHECK(!home_fold(f.home, 1, &old, true, &(int64_t){ 0 }, START + 3, &f.e));
    answer = sent(&f, 1, SALT_FOLDED);
    CHECK(answer.fold == SALT_FOLD_DISCARDED && answer.epoch > epoch);
    end(&f);
}

TEST(a_fold_is_refused_where_it_cannot_be_added_and_taken_while_the_slot_is_leaving)
{
    struct fixture f = home_of_star(true);
    uint64_t epoch = helper_with_total(&f, 1, ADA);
    struct salt_message one = fold(100, epoch, 5), none = fold(101, epoch, 0);

    CHECK(!home_fold(f.home, 1, &one, false, &(int64_t){ 0 }, START, &f.e));
    CHECK(sent(&f, 1, SALT_FOLDED).fold == SALT_FOLD_REFUSED);
    CHECK(!home_fold(f.home, 1, &none, true, &(int64_t){ 42 }, START, &f.e));
    CHECK(sent(&f, 1, SALT_FOLDED).total == 42);
    CHECK(home_fold(f.home, 1, &one, true, &(int64_t){ 0 }, START, &f.e));
    home_folded(f.home, 1, &one, false, 0, &f.e); /* the value is a text by now */
    CHECK(sent(&f, 1, SALT_FOLDED).fold == SALT_FOLD_DISCARDED);
    home_slot(f.home, key_slot(STAR), HOME_SLOT_LEAVING, START, &f.e);
    CHECK(sent(&f, 1, SALT_INV).closed);
    CHECK(home_fold(f.home, 1, &one, true, &(int64_t){ 0 }, START, &f.e));
    home_slot(f.home, key_slot(STAR), HOME_SLOT_ELSEWHERE, START, &f.e);
    CHECK(!home_fold(f.home, 1, &one, true, &(int64_t){ 0 }, START, &f.e));
    CHECK(sent(&f, 1, SALT_FOLDED).fold == SALT_FOLD_REFUSED);
    CHECK(!home_fold(f.home, 9, &one, true, &(int64_t){ 0 }, START, &f.e));
    closed(&f, 9);
    end(&f);
}

static void count_helper(void *context, const char *node_id, bool linked, enum home_holding holding)
{
    CHECK(strcmp(node_id, ADA) == 0 && linked && holding == HOME_HAS);
    ++*(int *)context;
}

TEST(who_has_a_copy_can_be_seen)
{
    struct fixture f = home_of_star(false);
    int count = 0;

    helper_with_copy(&f, 1, ADA, START);
    home_each_helper(f.home, STAR, count_helper, &count);
    CHECK(count == 1);
    CHECK(home_stats(f.home).links == 1 && home_stats(f.home).bases == 1 && home_stats(f.home).pushes == 1);
    end(&f);
}

TEST(a_fold_says_whether_there_is_a_key)
{
    struct fixture f = home_of_star(true);
    uint64_t epoch = helper_with_total(&f, 1, ADA);
    struct salt_message none = fold(100, epoch, 0), one = fold(101, epoch, 3), answer;

    CHECK(!home_fold(f.home, 1, &none, true, NULL, START, &f.e));
    answer = sent(&f, 1, SALT_FOLDED);
    CHECK(answer.fold == SALT_FOLD_APPLIED && answer.absent && answer.total == 0);
    CHECK(home_fold(f.home, 1, &one, true, NULL, START, &f.e));
    home_folded(f.home, 1, &one, true, 3, &f.e);
    answer = sent(&f, 1, SALT_FOLDED);
    CHECK(answer.fold == SALT_FOLD_APPLIED && !answer.absent && answer.total == 3);
    one.number = 102;
    CHECK(home_fold(f.home, 1, &one, true, &(int64_t){ INT64_MAX }, START, &f.e));
    home_folded(f.home, 1, &one, false, 0, &f.e);
    CHECK(sent(&f, 1, SALT_FOLDED).fold == SALT_FOLD_DISCARDED);
    CHECK(home_stats(f.home).folds_overflowed == 1 && home_stats(f.home).folds_discarded == 0);
    end(&f);
}

TEST(a_sum_is_sent_to_its_new_home_when_all_that_was_added_is_in_it)
{
    struct fixture f = home_of_star(true), names = home_of_star(false);

    helper_with_total(&f, 1, ADA);
    home_slot(f.home, key_slot(STAR), HOME_SLOT_LEAVING, START + 1, &f.e);
    CHECK(!home_may_be_sent(f.home, STAR, START + 2));
    say(&f, 1, (struct salt_message){ .word = SALT_ACK, .base = STAR, .join = 1, .seq = UINT64_MAX }, START + 3);
    CHECK(home_may_be_sent(f.home, STAR, START + 3));
    CHECK(home_may_be_sent(f.home, BYTES("other"), START));
    /* Of another salted key nothing is added elsewhere. */
    hello(&names, 1, ADA, START);
    renew(&names, 1, START);
    join(&names, 1, 1, START);
    names.seen = names.e.count;
    pushed(&names, START);
    home_slot(names.home, key_slot(STAR), HOME_SLOT_LEAVING, START + 1, &names.e);
    CHECK(home_may_be_sent(names.home, STAR, START + 2));
    end(&names);
    end(&f);
}

TESTS(who_joins_is_pushed_the_value, a_write_of_a_key_that_nobody_has_a_copy_of_is_acknowledged_at_once,
      a_reply_waits_until_every_helper_has_answered,
      a_reply_waits_for_a_silent_helper_until_its_lease_and_the_margin_are_over, the_loss_of_a_link_is_no_answer,
      who_says_hello_anew_holds_nothing, a_hello_that_comes_late_is_not_believed,
      one_inv_serves_many_writes_and_the_newest_value_is_pushed_when_they_are_done,
      a_value_that_was_asked_for_is_not_pushed_while_a_newer_inv_is_out,
      a_new_home_acknowledges_nothing_before_a_lease_and_the_margin_have_passed,
      a_new_home_waits_for_the_longest_lease_that_anybody_grants, a_home_that_just_started_is_new,
      a_slot_that_leaves_takes_its_copies_back_first, a_helper_that_does_not_answer_delays_a_leaving_key_for_a_lease,
      a_home_without_a_cluster_renews_nothing_and_pushes_nothing,
      nothing_is_renewed_while_an_inv_is_unanswered_for_more_than_a_lease, helpers_come_and_go_while_a_write_waits,
      an_unsalted_base_goes_when_nobody_can_have_a_copy, a_flush_is_a_change_of_every_base_of_the_slot,
      without_sync_no_reply_waits_and_copies_are_taken_back_all_the_same, another_mode_begins_with_nobody_joined,
      what_does_not_belong_on_a_link_ends_it, replies_bases_and_helpers_are_bounded,
      a_fold_counts_once_also_over_another_link, additions_do_not_take_totals_back_and_a_set_discards_older_additions,
      a_fold_is_refused_where_it_cannot_be_added_and_taken_while_the_slot_is_leaving, who_has_a_copy_can_be_seen,
      a_fold_says_whether_there_is_a_key, a_sum_is_sent_to_its_new_home_when_all_that_was_added_is_in_it)
