/* What a helper promises: it says that it holds nothing only when that is so, and answers from a copy only while it may. */
#include "salt/helper.h"
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#define STAR BYTES("star")
#define ME "0000000000000000000000000000000000000000"
#define ADA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BOB "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define START 1000000
#define LEASE 200

struct fixture {
    struct helper *helper;
    struct salt_effects e;
    size_t seen;
};

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
static void did(struct fixture *f, enum salt_effect_kind kind)
{
    struct salt_effect *effect = next(f);

    CHECK(effect != NULL && effect->kind == kind);
}
static void hear(struct fixture *f, salt_link link, struct salt_message message, int64_t now_ms)
{
    helper_message(f->helper, link, &message, now_ms, &f->e);
}
static void end(struct fixture *f)
{
    salt_effects_free(&f->e);
    helper_free(&f->helper);
}

static struct fixture that_wants_star(bool sum)
{
    struct helper_options options = {
        .id = ME, .first_session = 100, .renew_ms = 50, .fold_ms = 50, .fresh_ms = 100, .silent_ms = 1000
    };
    struct fixture f = { .helper = helper_new(&options) };

    CHECK(helper_want(f.helper, STAR, ADA, sum, START, &f.e));
    CHECK(strcmp(f.e.items[0].node, ADA) == 0);
    did(&f, SALT_CONNECT);
    nothing(&f);
    return f;
}

/* Says what a helper says on a new link; returns the number of its joining. */
static uint64_t joins_on(struct fixture *f, salt_link link, int64_t now_ms)
{
    struct salt_message hello, join;
    uint64_t session;

    helper_link_opened(f->helper, ADA, link, now_ms, &f->e);
    hello = sent(f, link, SALT_HELLO);
    CHECK(bytes_equal(hello.base, BYTES(ME)));
    session = hello.session;
    nothing(f);
    hear(f, link, (struct salt_message){ .word = SALT_WELCOME, .session = session }, now_ms);
    CHECK(sent(f, link, SALT_RENEW).number == 1);
    join = sent(f, link, SALT_JOIN);
    CHECK(bytes_equal(join.base, STAR));
    nothing(f);
    return join.join;
}
static void granted(struct fixture *f, salt_link link, uint64_t number, int64_t now_ms)
{
    hear(f, link, (struct salt_message){ .word = SALT_RENEWED, .number = number, .lease_ms = LEASE }, now_ms);
}
static struct salt_message value(uint64_t join, uint64_t seq)
{
    return (struct salt_message){ .word = SALT_VALUE, .base = STAR, .join = join, .seq = seq };
}
static bool takes(struct fixture *f, salt_link link, uint64_t join, uint64_t seq, struct helper_copy *copy)
{
    struct salt_message message = value(join, seq);

    return helper_value(f->helper, link, &message, -1, copy);
}
static void inv(struct fixture *f, salt_link link, uint64_t join, uint64_t seq, bool closed, int64_t now_ms)
{
    hear(f, link, (struct salt_message){ .word = SALT_INV, .base = STAR, .join = join, .seq = seq, .closed = closed },
         now_ms);
}

static int64_t over_ms(struct fixture *f, salt_link link, uint64_t join, uint64_t seq, int64_t ttl_ms)
{
    struct salt_message message = value(join, seq);
    struct helper_copy copy;

    CHECK(helper_value(f->helper, link, &message, ttl_ms, &copy));
    return copy.over_ms;
}

TEST(a_copy_is_over_before_the_key_is_and_is_asked_for_again)
{
    struct fixture f = that_wants_star(false);
    uint64_t join = joins_on(&f, 1, START), again;

    CHECK(over_ms(&f, 1, join, 7, -1) == INT64_MAX);
    /* What is left counts from when it joined, however late the value comes; less a thousandth. */
    granted(&f, 1, 1, START + 30);
    CHECK(over_ms(&f, 1, join, 7, 0) == START);
    CHECK(over_ms(&f, 1, join, 7, 500) == START + 500);
    CHECK(over_ms(&f, 1, join, 7, 100000) == START + 99900);
    CHECK(over_ms(&f, 1, join, 7, INT64_MAX / 4) == START + INT64_MAX / 4 - INT64_MAX / 4000);
    /* From when it last said that it has none. */
    inv(&f, 1, join, 8, false, START + 1000);
    did(&f, SALT_DROP);
    sent(&f, 1, SALT_ACK);
    CHECK(over_ms(&f, 1, join, 8, 2000) == START + 3000 - 2);
    helper_tick(f.helper, START + 1001, &f.e);
    sent(&f, 1, SALT_RENEW);
    CHECK(helper_next_ms(f.helper) <= START + 2998);
    for (int64_t at_ms = START + 1100; at_ms < START + 2998; at_ms += 400) {
        hear(&f, 1, (struct salt_message){ .word = SALT_REFUSED, .base = BYTES("other") }, at_ms);
        helper_tick(f.helper, at_ms, &f.e);
        sent(&f, 1, SALT_RENEW);
        nothing(&f);
    }
    helper_tick(f.helper, START + 2998, &f.e);
    sent(&f, 1, SALT_RENEW);
    did(&f, SALT_DROP);
    nothing(&f);
    helper_tick(f.helper, START + 3200, &f.e);
    sent(&f, 1, SALT_RENEW);
    again = sent(&f, 1, SALT_JOIN).join;
    CHECK(again > join);
    CHECK(over_ms(&f, 1, again, 8, 2) == START + 3200 + 2);
    end(&f);
}

TEST(a_copy_is_good_until_a_lease_after_it_was_asked_for)
{
    struct fixture f = that_wants_star(false);
    struct helper_copy copy;
    uint64_t join = joins_on(&f, 1, START);

    CHECK(takes(&f, 1, join, 7, &copy));
    CHECK(!helper_copy_is_good(&copy, START)); /* no lease yet */
    granted(&f, 1, 1, START + 30);
    CHECK(helper_copy_is_good(&copy, START + LEASE - 1));
    CHECK(!helper_copy_is_good(&copy, START + LEASE));
    helper_tick(f.helper, START + 50, &f.e);
    CHECK(sent(&f, 1, SALT_RENEW).number == 2);
    hear(&f, 1, (struct salt_message){ .word = SALT_RENEWED, .number = 2, .lease_ms = 0 }, START + 60); /* refused */
    CHECK(!helper_copy_is_good(&copy, START + LEASE));
    granted(&f, 1, 2, START + 70); /* it has been answered */
    granted(&f, 1, 9, START + 70); /* it was never asked for */
    CHECK(!helper_copy_is_good(&copy, START + LEASE));
    CHECK(helper_has(f.helper, STAR, START + LEASE - 1) && !helper_has(f.helper, STAR, START + LEASE));
    end(&f);
}

TEST(an_invalidated_copy_is_dropped_before_that_is_said)
{
    struct fixture f = that_wants_star(false);
    struct helper_copy copy;
    uint64_t join = joins_on(&f, 1, START);

    CHECK(takes(&f, 1, join, 7, &copy));
    inv(&f, 1, join, 8, false, START);
    did(&f, SALT_DROP);
    CHECK(sent(&f, 1, SALT_ACK).seq == 8);
    CHECK(!takes(&f, 1, join, 7, &copy)); /* what was on its way is older */
    CHECK(takes(&f, 1, join, 8, &copy));
    CHECK(helper_stats(f.helper).values_late == 1);
    inv(&f, 1, join + 5, 9, false, START); /* whatever joining it speaks of */
    did(&f, SALT_DROP);
    CHECK(sent(&f, 1, SALT_ACK).join == join + 5);
    hear(&f, 1, (struct salt_message){ .word = SALT_INV, .base = BYTES("other"), .seq = 1 }, START);
    sent(&f, 1, SALT_ACK);
    nothing(&f);
    end(&f);
}

TEST(a_new_link_voids_what_came_over_the_former_one)
{
    struct fixture f = that_wants_star(false);
    struct helper_copy copy, later;
    uint64_t join = joins_on(&f, 1, START);

    CHECK(takes(&f, 1, join, 7, &copy));
    granted(&f, 1, 1, START);
    helper_link_closed(f.helper, 1, START, &f.e);
    CHECK(helper_copy_is_good(&copy, START + 1)); /* the lease goes on */
    helper_link_opened(f.helper, ADA, 2, START + 1, &f.e);
    CHECK(!helper_copy_is_good(&copy, START + 1));
    did(&f, SALT_DROP);
    CHECK(sent(&f, 2, SALT_HELLO).session > copy.session);
    hear(&f, 2, (struct salt_message){ .word = SALT_WELCOME }, START + 1);
    sent(&f, 2, SALT_RENEW);
    CHECK(sent(&f, 2, SALT_JOIN).join > join);
    granted(&f, 2, 1, START + 1);
    CHECK(!helper_copy_is_good(&copy, START + 1));
    /* The rest of what was on its way over the former link. */
    CHECK(!takes(&f, 1, join, 8, &later));
    inv(&f, 1, join, 9, false, START + 1);
    nothing(&f);
    end(&f);
}

TEST(a_value_for_a_former_joining_is_not_taken)
{
    struct fixture f = that_wants_star(false);
    struct helper_copy copy;
    uint64_t join = joins_on(&f, 1, START), again;

    helper_unwant(f.helper, STAR, START, &f.e);
    CHECK(sent(&f, 1, SALT_LEAVE).join == join);
    CHECK(!takes(&f, 1, join, 7, &copy));
    helper_want(f.helper, STAR, ADA, false, START, &f.e);
    again = sent(&f, 1, SALT_JOIN).join;
    CHECK(again > join && !takes(&f, 1, join, 7, &copy) && takes(&f, 1, again, 7, &copy));
    end(&f);
}

TEST(a_copy_goes_when_its_home_is_another)
{
    struct fixture f = that_wants_star(false);
    struct helper_copy copy;
    uint64_t join = joins_on(&f, 1, START);

    CHECK(takes(&f, 1, join, 7, &copy));
    helper_want(f.helper, STAR, BOB, false, START, &f.e);
    did(&f, SALT_DROP);
    CHECK(sent(&f, 1, SALT_LEAVE).join == join);
    did(&f, SALT_CONNECT);
    CHECK(!takes(&f, 1, join, 8, &copy));
    /* The link that serves nothing any more is given up after a while. */
    helper_tick(f.helper, START + 1999, &f.e);
    f.seen = f.e.count;
    helper_link_opened(f.helper, BOB, 2, START + 2000, &f.e);
    sent(&f, 2, SALT_HELLO);
    CHECK(helper_next_ms(f.helper) == START + 2000);
    helper_tick(f.helper, START + 2000, &f.e);
    did(&f, SALT_DISCONNECT);
    nothing(&f);
    end(&f);
}

TEST(who_is_refused_or_closed_joins_again_later)
{
    struct fixture f = that_wants_star(false);
    uint64_t join = joins_on(&f, 1, START);

    hear(&f, 1, (struct salt_message){ .word = SALT_REFUSED, .base = STAR, .join = join }, START);
    helper_tick(f.helper, START + 199, &f.e);
    sent(&f, 1, SALT_RENEW);
    nothing(&f);
    helper_tick(f.helper, START + 200, &f.e);
    CHECK(sent(&f, 1, SALT_JOIN).join == join + 1);
    inv(&f, 1, join + 1, 9, true, START + 210);
    sent(&f, 1, SALT_ACK);
    helper_tick(f.helper, START + 410, &f.e);
    sent(&f, 1, SALT_RENEW);
    CHECK(sent(&f, 1, SALT_JOIN).join == join + 2);
    end(&f);
}

TEST(an_evicted_copy_is_asked_for_again)
{
    struct fixture f = that_wants_star(false);
    struct helper_copy copy;
    uint64_t join = joins_on(&f, 1, START);

    CHECK(takes(&f, 1, join, 7, &copy));
    helper_copy_lost(f.helper, STAR, START);
    CHECK(!takes(&f, 1, join, 7, &copy));
    helper_tick(f.helper, START + 999, &f.e);
    sent(&f, 1, SALT_RENEW);
    hear(&f, 1, (struct salt_message){ .word = SALT_RENEWED, .number = 2 }, START + 999);
    helper_tick(f.helper, START + 1000, &f.e);
    sent(&f, 1, SALT_JOIN);
    end(&f);
}

TEST(a_home_that_knows_a_later_session_is_told_one_above)
{
    struct fixture f = that_wants_star(false);

    helper_link_opened(f.helper, ADA, 1, START, &f.e);
    sent(&f, 1, SALT_HELLO);
    hear(&f, 1, (struct salt_message){ .word = SALT_STALE, .session = 9000 }, START);
    helper_link_closed(f.helper, 1, START, &f.e);
    helper_link_opened(f.helper, ADA, 2, START, &f.e);
    CHECK(sent(&f, 2, SALT_HELLO).session == 9001);
    end(&f);
}

TEST(a_link_without_answers_is_opened_anew)
{
    struct fixture f = that_wants_star(false);

    joins_on(&f, 1, START);
    for (int64_t now_ms = START + 50; now_ms <= START + 1000; now_ms += 50) helper_tick(f.helper, now_ms, &f.e);
    for (size_t asked = 1; asked < 16; asked++) sent(&f, 1, SALT_RENEW); /* no more than so many are out */
    nothing(&f);
    helper_tick(f.helper, START + 1001, &f.e);
    did(&f, SALT_CLOSE);
    nothing(&f);
    helper_link_opened(f.helper, BOB, 2, START, &f.e); /* nobody asked for it */
    did(&f, SALT_CLOSE);
    end(&f);
}

TEST(what_a_home_does_not_say_ends_the_link)
{
    struct fixture f = that_wants_star(false);

    joins_on(&f, 1, START);
    hear(&f, 1, (struct salt_message){ .word = SALT_JOIN, .base = STAR }, START);
    did(&f, SALT_CLOSE);
    nothing(&f);
    end(&f);
}

TEST(bases_and_homes_are_bounded)
{
    struct fixture f = that_wants_star(false);
    char key[32], home[SALT_NODE_ID_BYTES + 1];

    for (int i = 1; i < (int)HELPER_BASES_MAX; i++) {
        int len = snprintf(key, sizeof(key), "key:%d", i);
        snprintf(home, sizeof(home), "%040d", i);
        CHECK(helper_want(f.helper, (struct bytes){ key, (size_t)len }, home, false, START, &f.e));
    }
    CHECK(!helper_want(f.helper, BYTES("more"), ADA, false, START, &f.e));
    helper_unwant(f.helper, STAR, START, &f.e);
    CHECK(!helper_want(f.helper, BYTES("more"), BOB, false, START, &f.e)); /* ada's place is still taken */
    helper_tick(f.helper, START + 2000, &f.e);
    CHECK(helper_want(f.helper, BYTES("more"), BOB, false, START, &f.e));
    CHECK(helper_stats(f.helper).homes == HELPER_HOMES_MAX && helper_stats(f.helper).bases == HELPER_BASES_MAX);
    end(&f);
}

/* --- Sums --- */

static void told(struct fixture *f, salt_link link, uint64_t join, uint64_t epoch, int64_t total)
{
    hear(f, link,
         (struct salt_message){
             .word = SALT_TOTAL, .base = STAR, .join = join, .seq = epoch, .epoch = epoch, .total = total },
         START);
}
static void folded(struct fixture *f, salt_link link, uint64_t number, enum salt_fold fold, int64_t total,
                   int64_t now_ms)
{
    hear(f, link,
         (struct salt_message){
             .word = SALT_FOLDED, .base = STAR, .number = number, .fold = fold, .epoch = 10, .total = total },
         now_ms);
}
static struct fixture with_total(int64_t total, uint64_t *join)
{
    struct fixture f = that_wants_star(true);

    *join = joins_on(&f, 1, START);
    granted(&f, 1, 1, START);
    told(&f, 1, *join, 10, total);
    return f;
}
static int64_t added(struct fixture *f, int64_t delta, int64_t now_ms)
{
    int64_t reply = -1;

    CHECK(helper_add(f->helper, STAR, delta, now_ms, &reply));
    return reply;
}
static struct salt_message fold_at(struct fixture *f, int64_t now_ms)
{
    helper_tick(f->helper, now_ms, &f->e);
    if (f->seen < f->e.count && f->e.items[f->seen].message.word == SALT_RENEW) {
        granted(f, 1, f->e.items[f->seen].message.number, now_ms);
        f->seen++;
    }
    return sent(f, 1, SALT_FOLD);
}

TEST(what_is_added_is_taken_here_and_folded_at_home)
{
    uint64_t join;
    struct fixture f = with_total(40, &join);
    struct salt_message fold;
    int64_t sum;

    CHECK(added(&f, 2, START + 1) == 42 && added(&f, -1, START + 2) == 41);
    fold = fold_at(&f, START + 50);
    CHECK(fold.delta == 1 && fold.epoch == 10 && fold.number > 100);
    CHECK(added(&f, 5, START + 51) == 46);
    folded(&f, 1, fold.number - 1, SALT_FOLD_APPLIED, 7, START + 52); /* an answer to another */
    CHECK(helper_sum(f.helper, STAR, START + 52, &sum) && sum == 46);
    folded(&f, 1, fold.number, SALT_FOLD_APPLIED, 141, START + 52); /* others have added 100 */
    CHECK(helper_sum(f.helper, STAR, START + 52, &sum) && sum == 146);
    CHECK(fold_at(&f, START + 100).delta == 5);
    end(&f);
}

TEST(a_fold_without_an_answer_goes_again_under_its_number)
{
    uint64_t join;
    struct fixture f = with_total(0, &join);
    struct salt_message fold, again;

    added(&f, 3, START);
    fold = fold_at(&f, START + 50);
    added(&f, 4, START + 60);
    helper_link_opened(f.helper, ADA, 2, START + 70, &f.e);
    did(&f, SALT_CLOSE);
    sent(&f, 2, SALT_HELLO);
    hear(&f, 2, (struct salt_message){ .word = SALT_WELCOME }, START + 70);
    sent(&f, 2, SALT_RENEW);
    again = sent(&f, 2, SALT_FOLD);
    CHECK(again.number == fold.number && again.delta == 3);
    join = sent(&f, 2, SALT_JOIN).join;
    folded(&f, 2, fold.number, SALT_FOLD_APPLIED, 3, START + 71);
    told(&f, 2, join, 10, 3);
    helper_tick(f.helper, START + 110, &f.e);
    again = sent(&f, 2, SALT_FOLD);
    CHECK(again.number > fold.number && again.delta == 4);
    end(&f);
}

TEST(additions_to_a_value_that_was_set_are_discarded)
{
    uint64_t join;
    struct fixture f = with_total(0, &join);
    int64_t sum;

    added(&f, 3, START);
    inv(&f, 1, join, 11, false, START + 1);
    sent(&f, 1, SALT_ACK);
    CHECK(!helper_add(f.helper, STAR, 1, START + 1, &sum) && !helper_sum(f.helper, STAR, START + 1, &sum));
    told(&f, 1, join, 10, 0); /* late */
    CHECK(!helper_sum(f.helper, STAR, START + 1, &sum));
    told(&f, 1, join, 11, 1000);
    CHECK(helper_sum(f.helper, STAR, START + 1, &sum) && sum == 1000);
    CHECK(helper_stats(f.helper).discarded == 3);
    end(&f);
}

TEST(a_home_that_closes_is_given_the_rest_before_the_answer)
{
    uint64_t join;
    struct fixture f = with_total(0, &join);
    struct salt_message fold;
    int64_t sum;

    added(&f, 3, START);
    fold = fold_at(&f, START + 50);
    added(&f, 4, START + 51);
    inv(&f, 1, join, 11, true, START + 52);
    nothing(&f);
    CHECK(!helper_add(f.helper, STAR, 1, START + 52, &sum));
    folded(&f, 1, fold.number, SALT_FOLD_APPLIED, 3, START + 53);
    fold = sent(&f, 1, SALT_FOLD);
    CHECK(fold.delta == 4);
    nothing(&f);
    folded(&f, 1, fold.number, SALT_FOLD_APPLIED, 7, START + 54);
    CHECK(sent(&f, 1, SALT_ACK).seq == 11);
    nothing(&f);
    end(&f);
}

TEST(an_answer_that_is_owed_is_given_when_the_base_goes)
{
    uint64_t join;
    struct fixture f = with_total(0, &join);

    added(&f, 3, START);
    inv(&f, 1, join, 11, true, START + 1);
    sent(&f, 1, SALT_FOLD);
    helper_want(f.helper, STAR, BOB, true, START + 2, &f.e);
    CHECK(sent(&f, 1, SALT_ACK).seq == 11);
    CHECK(helper_stats(f.helper).lost == 3);
    end(&f);
}

TEST(a_refused_fold_is_kept_and_nothing_more_is_taken)
{
    uint64_t join;
    struct fixture f = with_total(0, &join);
    struct salt_message fold;
    int64_t sum;

    added(&f, 3, START);
    fold = fold_at(&f, START + 50);
    folded(&f, 1, fold.number, SALT_FOLD_REFUSED, 0, START + 51);
    CHECK(!helper_add(f.helper, STAR, 1, START + 52, &sum));
    CHECK(fold_at(&f, START + 100).delta == 3);
    end(&f);
}

TEST(nothing_is_taken_without_a_lease_or_while_folds_have_no_answer_or_beyond_the_range)
{
    uint64_t join;
    struct fixture f = with_total(INT64_MAX - 10, &join);
    int64_t sum;

    CHECK(!helper_add(f.helper, STAR, 11, START, &sum));
    CHECK(!helper_add(f.helper, STAR, 1, START + LEASE, &sum) && !helper_sum(f.helper, STAR, START + LEASE, &sum));
    CHECK(added(&f, 1, START + 10) == INT64_MAX - 9);
    fold_at(&f, START + 50);
    helper_tick(f.helper, START + 150, &f.e);
    granted(&f, 1, sent(&f, 1, SALT_RENEW).number, START + 150);
    CHECK(helper_add(f.helper, STAR, 1, START + 210, &sum));
    CHECK(!helper_add(f.helper, STAR, 1, START + 211, &sum)); /* four periods after what is not folded yet */
    CHECK(!helper_sum(f.helper, STAR, START + 211, &sum));
    end(&f);
}

TEST(a_name_that_goes_leaves_its_additions_at_home)
{
    uint64_t join;
    struct fixture f = with_total(0, &join);
    struct salt_message fold;

    added(&f, 3, START);
    helper_unwant(f.helper, STAR, START + 1, &f.e);
    fold = sent(&f, 1, SALT_FOLD);
    CHECK(fold.delta == 3);
    nothing(&f);
    folded(&f, 1, fold.number, SALT_FOLD_APPLIED, 3, START + 2);
    CHECK(sent(&f, 1, SALT_LEAVE).join == join);
    CHECK(helper_stats(f.helper).bases == 0 && helper_stats(f.helper).lost == 0);
    end(&f);
}

TEST(additions_of_a_name_that_went_are_given_up_in_the_end)
{
    uint64_t join;
    struct fixture f = with_total(0, &join);

    added(&f, 3, START);
    helper_link_closed(f.helper, 1, START, &f.e);
    helper_unwant(f.helper, STAR, START, &f.e);
    CHECK(helper_stats(f.helper).bases == 1);
    helper_tick(f.helper, START + 2001, &f.e);
    CHECK(helper_stats(f.helper).bases == 0 && helper_stats(f.helper).lost == 3);
    end(&f);
}

/* Ticks from one time to another, and answers; returns when a fold was sent last. */
static int64_t asked_until(struct fixture *f, int64_t from_ms, int64_t until_ms)
{
    int64_t asked_ms = 0;

    for (int64_t now_ms = from_ms; now_ms <= until_ms; now_ms += 50) {
        helper_tick(f->helper, now_ms, &f->e);
        while (f->seen < f->e.count) {
            struct salt_message said = next(f)->message;

            if (said.word == SALT_RENEW) granted(f, 1, said.number, now_ms);
            if (said.word != SALT_FOLD) continue;
            asked_ms = now_ms;
            folded(f, 1, said.number, SALT_FOLD_APPLIED, 60, now_ms);
        }
    }
    return asked_ms;
}

TEST(a_total_is_told_while_it_is_fresh_and_asked_for_while_somebody_reads)
{
    uint64_t join;
    struct fixture f = with_total(40, &join);
    struct salt_message ask;
    int64_t sum;

    CHECK(helper_sum(f.helper, STAR, START + 100, &sum) && sum == 40); /* of when it was asked for: at the joining */
    CHECK(!helper_sum(f.helper, STAR, START + 101, &sum));
    ask = fold_at(&f, START + 110);
    CHECK(ask.delta == 0);
    folded(&f, 1, ask.number, SALT_FOLD_APPLIED, 50, START + 190);
    CHECK(helper_sum(f.helper, STAR, START + 210, &sum) &&
          sum == 50); /* of when home was asked, not of when it answered */
    CHECK(!helper_sum(f.helper, STAR, START + 211, &sum));
    /* Nobody has wanted it for a second: home is not asked any more, and the first who comes is sent there. */
    CHECK(asked_until(&f, START + 250, START + 1250) == START + 1200);
    CHECK(!helper_sum(f.helper, STAR, START + 1301, &sum));
    CHECK(asked_until(&f, START + 1350, START + 1350) == START + 1350);
    CHECK(added(&f, 1, START + 1351) == 61);
    CHECK(asked_until(&f, START + 1400, START + 3400) == START + 2350);
    CHECK(!helper_add(f.helper, STAR, 1, START + 3401, &sum)); /* the total is of a second ago and more */
    CHECK(asked_until(&f, START + 3450, START + 3450) == START + 3450);
    CHECK(added(&f, 1, START + 3451) == 61);
    end(&f);
}

TEST(nothing_is_added_to_what_could_not_be_sent_for_too_long)
{
    uint64_t join;
    struct fixture f = with_total(0, &join);
    int64_t sum;

    CHECK(added(&f, 1, START + 10) == 1 && added(&f, 1, START + 110) == 2);
    CHECK(!helper_add(f.helper, STAR, 1, START + 111, &sum));
    CHECK(fold_at(&f, START + 112).delta == 2);
    CHECK(added(&f, 1, START + 113) == 3);
    end(&f);
}

TEST(a_sum_begins_where_there_is_no_key)
{
    uint64_t join;
    struct fixture f = that_wants_star(true);
    struct salt_message fold;
    struct helper_sum_state state;
    int64_t sum;

    join = joins_on(&f, 1, START);
    granted(&f, 1, 1, START);
    hear(&f, 1,
         (struct salt_message){
             .word = SALT_TOTAL, .base = STAR, .join = join, .seq = 10, .epoch = 10, .absent = true },
         START);
    CHECK(!helper_sum(f.helper, STAR, START, &sum)); /* none is not 0 */
    CHECK(added(&f, 5, START + 1) == 5);
    CHECK(helper_sum(f.helper, STAR, START + 1, &sum) && sum == 5);
    fold = fold_at(&f, START + 50);
    CHECK(fold.delta == 5 && helper_sum(f.helper, STAR, START + 51, &sum) && sum == 5);
    CHECK(helper_sum_state(f.helper, STAR, START + 51, &state));
    CHECK(state.is_good && state.sent == 5 && state.pending == 0 && state.total == 0 && state.added == 1);
    CHECK(helper_stats(f.helper).pending == 5);
    folded(&f, 1, fold.number, SALT_FOLD_APPLIED, 5, START + 52);
    CHECK(helper_sum(f.helper, STAR, START + 53, &sum) && sum == 5);
    CHECK(helper_sum_state(f.helper, STAR, START + 53, &state) && state.folded == 5 && state.sent == 0);
    CHECK(helper_stats(f.helper).pending == 0 && helper_stats(f.helper).told == 3);
    CHECK(!helper_sum_state(f.helper, BYTES("other"), START, &state));
    end(&f);
}

TEST(what_was_added_to_a_sum_that_is_none_any_more_is_folded_first)
{
    uint64_t join;
    struct fixture f = with_total(0, &join);
    struct salt_message fold;

    added(&f, 3, START);
    CHECK(!helper_want(f.helper, STAR, ADA, false, START + 1, &f.e));
    fold = sent(&f, 1, SALT_FOLD);
    CHECK(!helper_want(f.helper, STAR, ADA, false, START + 2, &f.e));
    nothing(&f);
    folded(&f, 1, fold.number, SALT_FOLD_APPLIED, 3, START + 3);
    CHECK(sent(&f, 1, SALT_LEAVE).join == join);
    CHECK(helper_want(f.helper, STAR, ADA, false, START + 4, &f.e));
    CHECK(!sent(&f, 1, SALT_JOIN).sum && helper_stats(f.helper).lost == 0);
    end(&f);
}

TEST(what_did_not_fit_is_discarded_and_the_sum_goes_on)
{
    uint64_t join;
    struct fixture f = with_total(0, &join);
    struct salt_message fold;
    int64_t sum;

    added(&f, 3, START);
    fold = fold_at(&f, START + 50);
    CHECK(added(&f, -4, START + 51) == -1);
    folded(&f, 1, fold.number, SALT_FOLD_DISCARDED, INT64_MAX - 1, START + 52); /* others have added so much */
    CHECK(helper_stats(f.helper).discarded == 3);
    CHECK(helper_sum(f.helper, STAR, START + 52, &sum) && sum == INT64_MAX - 5);
    CHECK(fold_at(&f, START + 100).delta == -4);
    end(&f);
}

TESTS(a_copy_is_over_before_the_key_is_and_is_asked_for_again, a_copy_is_good_until_a_lease_after_it_was_asked_for,
      an_invalidated_copy_is_dropped_before_that_is_said, a_new_link_voids_what_came_over_the_former_one,
      a_value_for_a_former_joining_is_not_taken, a_copy_goes_when_its_home_is_another,
      who_is_refused_or_closed_joins_again_later, an_evicted_copy_is_asked_for_again,
      a_home_that_knows_a_later_session_is_told_one_above, a_link_without_answers_is_opened_anew,
      what_a_home_does_not_say_ends_the_link, bases_and_homes_are_bounded,
      what_is_added_is_taken_here_and_folded_at_home, a_fold_without_an_answer_goes_again_under_its_number,
      additions_to_a_value_that_was_set_are_discarded, a_home_that_closes_is_given_the_rest_before_the_answer,
      an_answer_that_is_owed_is_given_when_the_base_goes, a_refused_fold_is_kept_and_nothing_more_is_taken,
      nothing_is_taken_without_a_lease_or_while_folds_have_no_answer_or_beyond_the_range,
      a_name_that_goes_leaves_its_additions_at_home, additions_of_a_name_that_went_are_given_up_in_the_end,
      a_total_is_told_while_it_is_fresh_and_asked_for_while_somebody_reads,
      nothing_is_added_to_what_could_not_be_sent_for_too_long, a_sum_begins_where_there_is_no_key,
      what_was_added_to_a_sum_that_is_none_any_more_is_folded_first, what_did_not_fit_is_discarded_and_the_sum_goes_on)
