/* salt/helper_sum.c
 *
 * Sums: what is added to one of their names is taken where the name lives, and folded into the key at its home.
 *
 *     INCRBY --> pending --every fold_ms---> sent, under a number --FOLDED--> in the total
 *                                              `--the link is lost: sent again under the same number
 *
 * A fold is of one helper and one number, so home counts it once however often it comes. There is one at a time for each base. Its answer has the
 * total, so one that brings nothing is sent, too, while somebody reads. */
#include "salt/helper_internal.h"

/* While a fold has had no answer for so many renewals, nothing more is taken: that much is what can be lost with the network. */
#define UNANSWERED_PERIODS 4
/* Home is asked for a total that somebody has wanted within so long; and on one that is older nothing is built. */
#define USED_MS 1000

static struct helper_base *find(const struct helper *helper, struct bytes key)
{
    struct base_link *link = base_map_find(&helper->bases, key);

    return link != NULL ? container_of(link, struct helper_base, link) : NULL;
}

bool additions_are_folded(const struct additions *added)
{
    return added->pending == 0 && (!added->is_sent || added->sent == 0);
}

uint64_t additions_units(const struct additions *added)
{
    int64_t units = added->pending + added->sent; /* fits: helper_add() */

    return units < 0 ? (uint64_t) - (units + 1) + 1 : (uint64_t)units;
}

void additions_discard(struct additions *added, uint64_t *count)
{
    *count += additions_units(added);
    *added = (struct additions){ 0 };
}

static void discard_sent(struct additions *added, uint64_t *count)
{
    struct additions sent = { .sent = added->sent };

    additions_discard(&sent, count);
    added->sent = 0;
}

static void send_fold(const struct helper_base *base, struct salt_effects *effects)
{
    salt_send(effects, base->home->link,
              &(struct salt_message){ .word = SALT_FOLD,
                                      .base = base->link.key,
                                      .epoch = base->added.epoch,
                                      .number = base->added.sent_number,
                                      .delta = base->added.sent });
}

void sum_fold(struct helper *helper, struct helper_base *base, int64_t now_ms, struct salt_effects *effects)
{
    struct additions *added = &base->added;

    if (base_link_up(base) == 0 || added->is_sent) return;
    base->fold_due_ms = now_ms + helper->options.fold_ms;
    /* With nothing to add it asks for the total, to which others add, for those who read here. */
    if (added->pending == 0 && (!base->has_total || now_ms - base->used_ms > USED_MS)) return;
    if (added->pending == 0) added->epoch = base->epoch;
    added->is_sent = true;
    added->sent_number = ++helper->folds;
    added->sent = added->pending;
    added->sent_ms = added->pending != 0 ? added->pending_ms : now_ms;
    added->asked_ms = now_ms;
    added->pending = 0;
    helper->stats.folds++;
    send_fold(base, effects);
}

void sum_fold_again(struct helper *helper, const struct helper_base *base, struct salt_effects *effects)
{
    if (!base->added.is_sent) return;
    helper->stats.folds_repeated++;
    send_fold(base, effects);
}

static void take_total(struct helper_base *base, const struct salt_message *message, int64_t as_of_ms)
{
    base->total = message->total;
    base->is_absent = message->absent;
    base->total_ms = as_of_ms;
}

void sum_total(struct helper *helper, struct helper_base *base, const struct salt_message *message)
{
    if (!base->sum || !base->is_wanted || !base->has_joined || base->join != message->join ||
        message->seq < base->floor) {
        helper->stats.values_late++;
        return;
    }
    /* The value that it was added to has been set since. */
    if (base->added.epoch != message->epoch && (base->added.is_sent || base->added.pending != 0))
        additions_discard(&base->added, &helper->stats.discarded);
    helper->stats.values++;
    base->has_total = true;
    base->epoch = message->epoch;
    take_total(base, message, base->asked_ms);
}

/* INV with closed waits for this. */
static void pay_ack(struct helper_base *base, struct salt_effects *effects)
{
    if (!base->owes_ack) return;
    base->owes_ack = false;
    base_acknowledge(base, base->owed_join, base->owed_seq, effects);
}

void sum_folded(struct helper *helper, struct helper_base *base, const struct salt_message *message, int64_t now_ms,
                struct salt_effects *effects)
{
    struct additions *added = &base->added;
    int64_t asked_ms = added->asked_ms, sum;

    if (!added->is_sent || message->number != added->sent_number) return;
    added->is_sent = false;
    switch (message->fold) {
    case SALT_FOLD_APPLIED:
        if (!__builtin_add_overflow(base->folded, added->sent, &sum)) base->folded = sum;
        added->sent = 0;
        if (base->has_total && base->epoch == message->epoch) take_total(base, message, asked_ms);
        break;
    case SALT_FOLD_DISCARDED:
        if (base->has_total && base->epoch == message->epoch) { /* the value goes on, and that did not fit */
            discard_sent(added, &helper->stats.discarded);
            take_total(base, message, asked_ms);
            break;
        }
        additions_discard(added, &helper->stats.discarded);
        base->has_total = false;
        break;
    case SALT_FOLD_REFUSED:
        /* It has not been added, and will not be: the next is under another number. */
        added->pending += added->sent;
        added->pending_ms = added->sent_ms;
        added->sent = 0;
        base->has_total = false; /* nothing more is taken before home takes what there is */
        if (base->has_joined) base->join_due_ms = now_ms + JOIN_AGAIN_MS;
        base->has_joined = false;
        pay_ack(base, effects);
        break;
    }
    if (!base->owes_ack && base->is_wanted) {
        if (now_ms >= base->fold_due_ms) sum_fold(helper, base, now_ms, effects);
        return;
    }
    if (!additions_are_folded(added) && message->fold != SALT_FOLD_REFUSED) sum_fold(helper, base, now_ms, effects);
    if (additions_are_folded(added)) pay_ack(base, effects);
}

bool sum_invalidated(struct helper *helper, struct helper_base *base, const struct salt_message *message,
                     int64_t now_ms, struct salt_effects *effects)
{
    if (!message->closed) {
        additions_discard(&base->added, &helper->stats.discarded);
        return true;
    }
    if (additions_are_folded(&base->added)) return true;
    /* Home goes away, and takes with it what it has by then. */
    base->owes_ack = true;
    base->owed_join = message->join;
    base->owed_seq = message->seq;
    sum_fold(helper, base, now_ms, effects);
    return false;
}

/* The three must fit together, whatever the order in which they reach the total. */
static bool sum_of(const struct helper_base *base, int64_t *value)
{
    return !__builtin_add_overflow(base->total, base->added.sent, value) &&
           !__builtin_add_overflow(*value, base->added.pending, value);
}

/* What has not been sent is lost with this node, what has no answer with the network: it is to be as little as is said. */
static bool is_overdue(const struct helper *helper, const struct additions *added, int64_t now_ms)
{
    if (added->pending != 0 && now_ms - added->pending_ms > helper->options.fresh_ms) return true;
    return added->is_sent && now_ms - added->sent_ms > UNANSWERED_PERIODS * helper->options.renew_ms;
}

/* It is used; is there a total of that age at most? */
static bool has_total(struct helper_base *base, int64_t age_ms, int64_t now_ms)
{
    if (base == NULL || !base->sum) return false;
    base->used_ms = now_ms;
    return base->is_wanted && base->has_total && now_ms - base->total_ms <= age_ms && lease_is_good(base->home, now_ms);
}

bool helper_add(struct helper *helper, struct bytes key, int64_t delta, int64_t now_ms, int64_t *value)
{
    struct helper_base *base = find(helper, key);
    struct additions *added;
    int64_t sum, pending, all;

    if (!has_total(base, USED_MS, now_ms)) return false;
    added = &base->added;
    if (is_overdue(helper, added, now_ms)) return false;
    if (!sum_of(base, &sum) || __builtin_add_overflow(sum, delta, &sum) ||
        __builtin_add_overflow(added->pending, delta, &pending) || __builtin_add_overflow(pending, added->sent, &all))
        return false;
    if (added->pending == 0) added->pending_ms = now_ms;
    added->pending = pending;
    added->epoch = base->epoch;
    base->taken++;
    helper->stats.added++;
    *value = sum;
    return true;
}

bool helper_sum(struct helper *helper, struct bytes key, int64_t now_ms, int64_t *value)
{
    struct helper_base *base = find(helper, key);

    if (!has_total(base, helper->options.fresh_ms, now_ms) || !sum_of(base, value)) return false;
    /* A key that nobody has made yet is not 0. */
    if (base->is_absent && base->added.pending == 0 && base->added.sent == 0) return false;
    base->told++;
    helper->stats.told++;
    return true;
}

bool helper_sum_state(const struct helper *helper, struct bytes key, int64_t now_ms, struct helper_sum_state *out)
{
    const struct helper_base *base = find(helper, key);

    if (base == NULL || !base->sum) return false;
    *out =
        (struct helper_sum_state){ .is_good = base->is_wanted && base->has_total && lease_is_good(base->home, now_ms),
                                   .total = base->has_total ? base->total : 0,
                                   .pending = base->added.pending,
                                   .sent = base->added.sent,
                                   .folded = base->folded,
                                   .added = base->taken,
                                   .told = base->told };
    return true;
}
