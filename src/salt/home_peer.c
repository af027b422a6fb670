/* salt/home_peer.c
 *
 * The helpers of a home: their links, their leases, what they say. */
#include "salt/home_internal.h"

#include "base/alloc.h"

#include <string.h>

static struct peer *peer_on(const struct home *home, salt_link link)
{
    list_each(at, &home->peers) {
        struct peer *peer = container_of(at, struct peer, all);
        if (peer->link == link) return peer;
    }
    return NULL;
}

static struct peer *peer_named(const struct home *home, struct bytes id)
{
    list_each(at, &home->peers) {
        struct peer *peer = container_of(at, struct peer, all);
        if (bytes_equal(bytes_of(peer->id), id)) return peer;
    }
    return NULL;
}

static struct peer *peer_new(struct home *home, struct bytes id)
{
    struct peer *peer = alloc_zeroed(sizeof(*peer));

    memcpy(peer->id, id.data, SALT_NODE_ID_BYTES);
    list_init(&peer->seats);
    list_init(&peer->asked);
    list_append(&home->peers, &peer->all);
    home->peer_count++;
    return peer;
}

void peer_free(struct home *home, struct peer *peer)
{
    list_each_safe(at, &peer->seats) member_remove(container_of(at, struct member, seat));
    list_remove(&peer->all);
    home->peer_count--;
    alloc_free(peer);
}

/* It holds nothing of ours. */
static void let_go(struct home *home, struct peer *peer, int64_t now_ms, struct salt_effects *effects)
{
    peer->lease_until_ms = 0;
    while (!list_is_empty(&peer->seats)) {
        struct member *member = container_of(peer->seats.next, struct member, seat);
        struct home_base *base = member->base;

        member_remove(member);
        base_settle(home, base, now_ms, effects);
    }
}

static void unlink_peer(struct peer *peer)
{
    peer->link = 0;
    /* What was asked on that link is not answered any more; what has to wait for the lease goes on waiting. */
    while (!list_is_empty(&peer->asked)) list_remove(peer->asked.next);
}

void peers_prune(struct home *home, int64_t now_ms, struct salt_effects *effects)
{
    list_each_safe(at, &home->peers) {
        struct peer *peer = container_of(at, struct peer, all);

        if (peer->link != 0 || now_ms < peer->lease_until_ms) continue;
        let_go(home, peer, now_ms, effects);
        peer_free(home, peer);
    }
}

static void hello(struct home *home, salt_link link, const struct salt_message *message, int64_t now_ms,
                  struct salt_effects *effects)
{
    struct peer *peer = peer_named(home, message->base), *present = peer_on(home, link);

    if (message->base.len != SALT_NODE_ID_BYTES || memchr(message->base.data, '\0', message->base.len) != NULL ||
        present != NULL) {
        salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = link;
        if (present != NULL) home_link_closed(home, link, now_ms, effects);
        return;
    }
    if (peer == NULL && home->peer_count >= HOME_LINKS_MAX) {
        home->stats.overflows++;
        salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = link;
        return;
    }
    /* It has been on its way since before the helper opened the link that it has now, on which it may have been sent copies. */
    if (peer != NULL && message->session <= peer->session) {
        salt_send(effects, link, &(struct salt_message){ .word = SALT_STALE, .session = peer->session });
        salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = link;
        return;
    }
    if (peer == NULL) peer = peer_new(home, message->base);
    if (peer->link != 0) salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = peer->link;
    unlink_peer(peer);
    let_go(home, peer, now_ms, effects);
    peer->link = link;
    peer->session = message->session;
    salt_send(effects, link, &(struct salt_message){ .word = SALT_WELCOME, .session = message->session });
}

/* A helper that reads and does not answer is not relied on. (Were it late only, it would have dropped its copies before it heard of the
 * renewal, which stands behind the INV on its link.) */
static bool may_renew(const struct home *home, const struct peer *peer, int64_t now_ms)
{
    const struct member *oldest;

    if (!home->is_ok) return false;
    if (list_is_empty(&peer->asked)) return true;
    oldest = container_of(peer->asked.next, struct member, asked);
    return now_ms - oldest->asked_ms <= home->options.lease_ms;
}

static void renew(struct home *home, struct peer *peer, uint64_t number, int64_t now_ms, struct salt_effects *effects)
{
    int64_t lease_ms = home->options.lease_ms, until_ms = now_ms + lease_ms + home_margin_ms(lease_ms);

    if (!may_renew(home, peer, now_ms)) {
        home->stats.refused_renewals++;
        lease_ms = 0;
    } else if (peer->lease_until_ms < until_ms) {
        peer->lease_until_ms = until_ms;
    }
    salt_send(effects, peer->link,
              &(struct salt_message){ .word = SALT_RENEWED, .number = number, .lease_ms = lease_ms });
}

static struct member *member_of(const struct home_base *base, const struct peer *peer)
{
    for (size_t i = 0; base != NULL && i < base->member_count; i++)
        if (base->members[i]->peer == peer) return base->members[i];
    return NULL;
}

static void join(struct home *home, struct peer *peer, const struct salt_message *message, int64_t now_ms,
                 struct salt_effects *effects)
{
    struct home_base *base = base_find(home, message->base);
    struct member *member = member_of(base, peer);

    if (base == NULL || !base_is_served(home, base) || base->sum != message->sum ||
        (member == NULL && base->member_count == HOME_HELPERS_MAX)) {
        salt_send(effects, peer->link,
                  &(struct salt_message){ .word = SALT_REFUSED, .base = message->base, .join = message->join });
        return;
    }
    if (member == NULL) {
        member = alloc_zeroed(sizeof(*member));
        member->base = base;
        member->peer = peer;
        list_init(&member->asked);
        list_append(&peer->seats, &member->seat);
        base->members[base->member_count++] = member;
    }
    /* Who joins holds nothing, also where it had joined before. */
    list_remove(&member->asked);
    member->holding = HOME_NOTHING;
    member->is_closing = false;
    member->join = message->join;
    base_settle(home, base, now_ms, effects);
}

static void leave(struct home *home, struct peer *peer, const struct salt_message *message, int64_t now_ms,
                  struct salt_effects *effects)
{
    struct home_base *base = base_find(home, message->base);
    struct member *member = member_of(base, peer);

    if (member == NULL || member->join != message->join) return;
    member_remove(member);
    base_settle(home, base, now_ms, effects);
}

static void acknowledge(struct home *home, struct peer *peer, const struct salt_message *message, int64_t now_ms,
                        struct salt_effects *effects)
{
    struct home_base *base = base_find(home, message->base);
    struct member *member = member_of(base, peer);

    if (member == NULL || member->join != message->join || member->holding != HOME_ASKED ||
        message->seq < member->asked_seq)
        return;
    home->stats.acks++;
    list_remove(&member->asked);
    member->holding = HOME_NOTHING;
    if (member->is_closing) member_remove(member);
    base_settle(home, base, now_ms, effects);
}

void home_message(struct home *home, salt_link link, const struct salt_message *message, int64_t now_ms,
                  struct salt_effects *effects)
{
    struct peer *peer;

    if (message->word == SALT_HELLO) {
        hello(home, link, message, now_ms, effects);
        return;
    }
    peer = peer_on(home, link);
    if (peer == NULL) { /* a link that another has replaced, or one that has not said who it is */
        salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = link;
        return;
    }
    switch (message->word) {
    case SALT_RENEW:
        renew(home, peer, message->number, now_ms, effects);
        return;
    case SALT_JOIN:
        join(home, peer, message, now_ms, effects);
        return;
    case SALT_LEAVE:
        leave(home, peer, message, now_ms, effects);
        return;
    case SALT_ACK:
        acknowledge(home, peer, message, now_ms, effects);
        return;
    case SALT_FOLD:  /* has a function of its own */
    case SALT_READS: /* changes nothing that is known here */
    case SALT_HELLO:
    case SALT_WELCOME:
    case SALT_STALE:
    case SALT_RENEWED:
    case SALT_REFUSED:
    case SALT_INV:
    case SALT_VALUE:
    case SALT_TOTAL:
    case SALT_FOLDED:
        salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = link;
        home_link_closed(home, link, now_ms, effects);
    }
}

void home_link_closed(struct home *home, salt_link link, int64_t now_ms, struct salt_effects *effects)
{
    struct peer *peer = peer_on(home, link);

    if (peer == NULL) return;
    unlink_peer(peer);
    /* Who holds nothing goes now, the others when their lease has ended. */
    list_each_safe(at, &peer->seats) base_settle(home, container_of(at, struct member, seat)->base, now_ms, effects);
}

/* --- Sums --- */

static struct folded *folded_of(const struct home_base *base, const struct peer *peer)
{
    for (size_t i = 0; i < base->fold_count; i++)
        if (memcmp(base->folds[i].id, peer->id, sizeof(peer->id)) == 0) return &base->folds[i];
    return NULL;
}

static void answer_fold(struct home *home, salt_link link, const struct salt_message *message, enum salt_fold fold,
                        const int64_t *total, struct salt_effects *effects)
{
    const struct home_base *base = base_find(home, message->base);

    salt_send(effects, link,
              &(struct salt_message){ .word = SALT_FOLDED,
                                      .base = message->base,
                                      .number = message->number,
                                      .fold = fold,
                                      .epoch = base != NULL ? base->epoch : 0,
                                      .total = total != NULL ? *total : 0,
                                      .absent = total == NULL });
}

bool home_fold(struct home *home, salt_link link, const struct salt_message *message, bool may_write,
               const int64_t *total, int64_t now_ms, struct salt_effects *effects)
{
    struct peer *peer = peer_on(home, link);
    struct home_base *base = base_find(home, message->base);
    const struct folded *folded;
    enum home_slot slot;

    if (peer == NULL) {
        salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = link;
        return false;
    }
    (void)now_ms;
    folded = base != NULL ? folded_of(base, peer) : NULL;
    /* It is the last one if it is one of before: the next is not sent before that has its answer, and what comes on a link of before is not
     * heard. (Lower ones are those of a helper whose clock went back over a restart.) */
    if (folded != NULL && message->number == folded->number) {
        home->stats.folds_repeated++;
        answer_fold(home, link, message, SALT_FOLD_APPLIED, total, effects);
        return false;
    }
    slot = base != NULL ? (enum home_slot)home->slots[base->slot] : HOME_SLOT_ELSEWHERE;
    if (!may_write || !home->is_ok || (slot != HOME_SLOT_HERE && slot != HOME_SLOT_LEAVING)) {
        answer_fold(home, link, message, SALT_FOLD_REFUSED, total, effects);
        return false;
    }
    if (message->epoch != base->epoch) {
        home->stats.folds_discarded++;
        answer_fold(home, link, message, SALT_FOLD_DISCARDED, total, effects);
        return false;
    }
    if (message->delta == 0) { /* it asks how much it is by now */
        answer_fold(home, link, message, SALT_FOLD_APPLIED, total, effects);
        return false;
    }
    return true;
}

void home_folded(struct home *home, salt_link link, const struct salt_message *message, bool done, int64_t total,
                 struct salt_effects *effects)
{
    struct peer *peer = peer_on(home, link);
    struct home_base *base = base_find(home, message->base);
    struct folded *folded, now;

    if (peer == NULL || base == NULL) return;
    if (!done) {
        home->stats.folds_overflowed++;
        answer_fold(home, link, message, SALT_FOLD_DISCARDED, &total, effects);
        return;
    }
    home->stats.folds++;
    if (base->folds == NULL) base->folds = alloc(FOLDED_MAX * sizeof(*base->folds));
    folded = folded_of(base, peer);
    if (folded == NULL && base->fold_count < FOLDED_MAX)
        folded = &base->folds[base->fold_count++];
    else if (folded == NULL)
        folded = &base->folds[0]; /* the one that has been silent for the longest */
    memcpy(now.id, peer->id, sizeof(now.id));
    now.number = message->number;
    memmove(folded, folded + 1, (size_t)(&base->folds[base->fold_count - 1] - folded) * sizeof(*folded));
    base->folds[base->fold_count - 1] = now;
    answer_fold(home, link, message, SALT_FOLD_APPLIED, &total, effects);
}
