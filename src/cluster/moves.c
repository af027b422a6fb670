/* cluster/moves.c
 *
 * Which of two nodes of our kind has a slot that both claim, or claimed.
 *
 * An epoch is a whole node's: it rises with any slot the node takes, and then claims older than another's, which it had forgotten in a crash or
 * was never told to give up, look newer. So a node knows of each of its slots with which epoch it took it, and from whom where an operator
 * had it moved, until that node is heard without it. That is said to one another, and a slot changes hands between us by that alone:
 *
 *     MOVED  I have these, moved from you by an operator   ->  it lets go, unless it took them later, and knows of no move
 *     HELD   I had these, since these epochs; you claim    ->  who took it later has it: it lets go, or says KEEPS
 *     KEEPS  I have these, since these epochs              ->  we drop the keys we kept, or let go
 *
 * Each word has the epoch since when, and whether its teller took the slot after it began and so has forgotten nothing that came later. Of two of whom
 * one remembers so, that one is right: the other may have given the slot away before a crash, and no disk knew of it. The epochs since when tell
 * less, where a slot went on through nodes that did not hear each other: each took it with the next epoch that it knew of.
 *
 * Where both took one with the same epoch, neither from the other, an operator gave it to two who did not hear each other. Nothing tells which of
 * them is right, so it is the one with the smaller id, and both say so.
 *
 * Meanwhile the slot is yielded to whom the wire's rule gives it: not served here, its keys not dropped. No slot is said to be ours that is not so
 * on disk. */
#include "cluster/cluster_internal.h"

#include "cluster/message.h"

#define ENTRY_BYTES 10u       /* slot and flag 2, epoch 8 */
#define REMEMBERED (1u << 15) /* beside the slot */

void moves_took_once(struct cluster *c, uint16_t slot, uint16_t from)
{
    c->taken_from[slot] = from;
    bitmap_clear(c->giver_knows, slot);
    bitmap_clear(c->remembered, slot);
    c->any_taken_from = true;
}

void moves_took(struct cluster *c, uint16_t slot, uint16_t from)
{
    moves_took_once(c, slot, from);
    bitmap_set(c->remembered, slot);
}

void moves_confirm(struct cluster *c, unsigned first, unsigned last)
{
    for (unsigned slot = first; slot <= last; slot++) {
        if (c->owner[slot] != c->myself->index) continue;
        bitmap_set(c->remembered, slot);
        if (c->since_epoch[slot] == c->myself->config_epoch) continue;
        c->since_epoch[slot] = c->myself->config_epoch;
        cluster_save_later(c, SAVE_SOON);
    }
}

static void forget_giver(struct cluster *c, unsigned slot)
{
    c->taken_from[slot] = INDEX_NONE;
    bitmap_clear(c->giver_knows, slot);
    bitmap_clear(c->remembered, slot);
}

/* The operator moves it on: whoever claims it may have been given it. Where we had it from that node its claim may also be one from before, which a Redis node
 * does not say: until it has been heard without the slot we hold on to it, and then it has to claim it with a higher epoch than it had. */
void moves_leaves(struct cluster *c, uint16_t slot, const struct node *target)
{
    bool back = c->taken_from[slot] == target->index;

    if (!target->is_ours && moves_insists(c, target, slot)) return;
    forget_giver(c, slot);
    if (!back) bitmap_set(c->giver_knows, slot);
}

/* What came here from a node was taken later than that node had, whatever our epochs were: it could not know ours, nor we its. */
static void raise_since(struct cluster *c, unsigned slot, uint64_t theirs)
{
    if (c->since_epoch[slot] > theirs || theirs >= EPOCH_MAX) return;
    c->since_epoch[slot] = theirs + 1;
    cluster_save_later(c, SAVE_SOON);
}

/* The node is heard without a slot that was moved here from it. Of one of our kind an older word that comes after it is known to be older. From a Redis node it may come
 * on the other link between us, and count: so our epoch has to be the higher one from here on, unless we may have forgotten what came later. */
static void giver_lets_go(struct cluster *c, const struct node *node, unsigned slot, uint64_t epoch, struct effects *e)
{
    if (!node->is_ours && bitmap_has(c->remembered, slot)) {
        if (epoch >= c->myself->config_epoch && epoch_bump(c, NO_SLOTS, e))
            emit_log(e, LOG_NOTICE, "slot %u: was moved here from %.40s, which had epoch %llu: mine is %llu now", slot,
                     node->id, (unsigned long long)epoch, (unsigned long long)c->myself->config_epoch);
        raise_since(c, slot, epoch);
    }
    if (c->migrating[slot] == node->index)
        forget_giver(c, slot);
    else
        bitmap_set(c->giver_knows, slot);
    cluster_save_later(c, SAVE_SOON);
}

static void hear_with(struct cluster *c, const struct node *node, uint64_t epoch, const uint8_t *bitmap)
{
    bool any = false;

    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        if (!bitmap_has(c->not_heard, slot)) continue;
        if (c->owner[slot] == node->index && bitmap_has(bitmap, slot) && epoch > c->since_epoch[slot])
            bitmap_clear(c->not_heard, slot);
        else
            any = true;
    }
    c->any_not_heard = any;
}

/* It took it with a higher epoch than we claimed it with. Before it is heard to have done so, a heartbeat without the slot may be one from before. */
void moves_gave(struct cluster *c, uint16_t slot, const struct node *to)
{
    if (to->is_ours) return;
    bitmap_set(c->not_heard, slot);
    c->any_not_heard = true;
    c->since_epoch[slot] = c->told.config_epoch;
}

void moves_heard(struct cluster *c, const struct node *node, uint64_t current_epoch, uint64_t epoch,
                 const uint8_t *bitmap, struct effects *e)
{
    bool any = false;

    if (c->any_not_heard) hear_with(c, node, epoch, bitmap);
    for (unsigned slot = 0; c->any_taken_from && slot < SLOT_COUNT; slot++) {
        if (c->taken_from[slot] == INDEX_NONE || bitmap_has(c->giver_knows, slot)) continue;
        /* A Redis node that has not heard of the epoch we took it with says nothing of that, but of before it had the slot. */
        if (c->taken_from[slot] == node->index && !bitmap_has(bitmap, slot) &&
            (node->is_ours || current_epoch >= c->since_epoch[slot])) {
            giver_lets_go(c, node, slot, epoch, e);
            continue;
        }
        any = true;
    }
    c->any_taken_from = any;
}

bool moves_insists(const struct cluster *c, const struct node *node, unsigned slot)
{
    return c->taken_from[slot] == node->index && !bitmap_has(c->giver_knows, slot);
}

bool moves_may_be_new(const struct cluster *c, const struct node *target, unsigned slot, uint64_t epoch)
{
    return bitmap_has(c->giver_knows, slot) || (!moves_insists(c, target, slot) && epoch > c->since_epoch[slot]);
}

static void put_entry(const struct cluster *c, unsigned slot, struct buf *out)
{
    unsigned word = slot | (bitmap_has(c->remembered, slot) ? REMEMBERED : 0);

    buf_append_byte(out, (char)(word >> 8));
    buf_append_byte(out, (char)word);
    for (int shift = 56; shift >= 0; shift -= 8) buf_append_byte(out, (char)(c->since_epoch[slot] >> shift));
}

static void say(struct cluster *c, cluster_link link, enum kin what, struct buf *entries, struct effects *e)
{
    if (entries->len > 0) kin_send(c, link, what, buf_bytes(entries), e);
    buf_free(entries);
}

void moves_tell(struct cluster *c, struct node *node, uint64_t epoch, const uint8_t *bitmap, struct effects *e)
{
    const uint8_t *mine = node_slots(c->myself);
    struct announcement told = announce_now(c);
    struct buf moved = { 0 }, held = { 0 };

    if (node->outbound == 0) return;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        if ((bitmap[slot / 8] & (mine[slot / 8] | c->yielded[slot / 8])) == 0) {
            slot |= 7;
            continue;
        }
        if (!bitmap_has(bitmap, slot)) continue;
        if (bitmap_has(c->yielded, slot) && c->owner[slot] == node->index)
            put_entry(c, slot, &held);
        else if (!bitmap_has(mine, slot) || !bitmap_has(told.slots, slot))
            continue;
        else if (moves_insists(c, node, slot))
            put_entry(c, slot, &moved);
        else if (epoch == c->myself->config_epoch)
            put_entry(c, slot, &held);
    }
    say(c, node->outbound, KIN_MOVED, &moved, e);
    say(c, node->outbound, KIN_HELD, &held, e);
}

/* Whether we let it go at another's word. That it was moved there we know ourselves where it leaves for there; otherwise the later taker has it.
 * Who had it before us, and gave it to us, did not take it later, whatever the epochs: each of us may not have known the other's. */
static bool is_theirs(const struct cluster *c, const struct node *node, enum kin what, unsigned slot,
                      bool they_remember, uint64_t epoch)
{
    bool we_remember = bitmap_has(c->remembered, slot);

    if (what == KIN_MOVED && c->migrating[slot] == node->index) return true;
    if (we_remember != they_remember) return they_remember;
    if (what == KIN_HELD && c->taken_from[slot] == node->index) return false;
    /* With one epoch, which takes an operator who had both take it from each other and neither know, it has to be somebody. */
    if (what == KIN_MOVED && c->since_epoch[slot] == epoch)
        return c->taken_from[slot] != node->index || memcmp(c->myself->id, node->id, NODE_ID_BYTES) > 0;
    return c->since_epoch[slot] < epoch;
}

void moves_told(struct cluster *c, struct node *node, enum kin what, const struct message *message, struct effects *e)
{
    struct bytes entries = message->module_payload;
    struct announcement told = announce_now(c);
    struct buf keeps = { 0 }, held = { 0 };
    unsigned gone = 0, tied = 0;

    if (entries.len % ENTRY_BYTES != 0 || !node_is_primary(node)) return;
    for (size_t at = 0; at < entries.len; at += ENTRY_BYTES) {
        const uint8_t *entry = (const uint8_t *)entries.data + at;
        unsigned word = (unsigned)entry[0] << 8 | entry[1], slot = word & ~REMEMBERED;
        uint64_t epoch = 0;

        for (unsigned i = 2; i < ENTRY_BYTES; i++) epoch = epoch << 8 | entry[i];
        if (slot >= SLOT_COUNT || epoch > EPOCH_MAX || (what != KIN_HELD && !bitmap_has(message->slots, slot)))
            continue;
        if (bitmap_has(c->yielded, slot) && c->owner[slot] == node->index && what != KIN_HELD) {
            /* MOVED was said without knowing since when we had it. */
            if (what == KIN_KEEPS || is_theirs(c, node, what, slot, (word & REMEMBERED) != 0, epoch))
                view_settled(c, (uint16_t)slot, e);
            else
                put_entry(c, slot, &held);
        } else if (c->owner[slot] != c->myself->index) {
            continue;
        } else if (is_theirs(c, node, what, slot, (word & REMEMBERED) != 0, epoch)) {
            slot_bind(c, (uint16_t)slot, node, e);
            emit_drop_keys(e, (uint16_t)slot);
            gone++;
        } else if (what == KIN_KEEPS && c->since_epoch[slot] == epoch) {
            if (memcmp(c->myself->id, node->id, NODE_ID_BYTES) < 0) raise_since(c, slot, epoch);
            tied++;
        } else if (what != KIN_KEEPS && bitmap_has(told.slots, slot)) {
            if (c->taken_from[slot] == node->index) raise_since(c, slot, epoch);
            put_entry(c, slot, &keeps);
        }
    }
    if (node->outbound != 0) {
        say(c, node->outbound, KIN_KEEPS, &keeps, e);
        say(c, node->outbound, KIN_HELD, &held, e);
    }
    buf_free(&keeps);
    buf_free(&held);
    if (tied > 0)
        emit_log(e, LOG_WARNING, "slots: %u were given to me and to %.40s with one epoch: the smaller id has them",
                 tied, node->id);
    if (gone > 0)
        emit_log(e, LOG_WARNING, "slots: %u of mine went to %.40s, which took them later than I and had not been heard",
                 gone, node->id);
}
