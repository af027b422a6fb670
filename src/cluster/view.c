/* cluster/view.c
 *
 * Who owns which slot. A slot is bound to at most one node; a higher configEpoch takes it, equal ones change nothing. An owner
 * that stops claiming a slot keeps it, marked, until somebody claims it: clients still have an address to go to. */
#include "cluster/cluster_internal.h"

#include "base/alloc.h"
#include "cluster/message.h"

const uint8_t *node_slots(const struct node *node)
{
    static const uint8_t none[SLOT_BITMAP_BYTES];

    return node->slots != NULL ? node->slots : none;
}

struct node *owner_node(const struct cluster *c, uint16_t slot)
{
    return node_at_index(c, c->owner[slot]);
}

uint64_t cluster_owner_word(const struct cluster *c, uint16_t slot)
{
    uint16_t index = c->owner[slot], mine = c->myself->index;
    struct owner owner = { .sequence = c->sequence[slot] };

    if (c->solo) index = mine;
    owner.state = index == INDEX_NONE ? OWNER_NOBODY : index == mine ? OWNER_HERE : OWNER_ELSEWHERE;
    if (index != INDEX_NONE) owner.node = index;
    if (c->migrating[slot] != INDEX_NONE) {
        owner.flags = OWNER_MIGRATING;
        owner.other = c->migrating[slot];
    } else if (c->importing[slot] != INDEX_NONE) {
        owner.flags = OWNER_IMPORTING;
        owner.other = c->importing[slot];
    }
    return owner_pack(owner);
}

static void tell(struct cluster *c, uint16_t slot, struct effects *e)
{
    c->sequence[slot]++;
    emit_owner(e, slot);
}

/* What one slot's owner adds to the digest. It is the same on every machine, and every bit of it depends on the slot and on the id: so
 * sums over all slots differ where views do, and the sum is kept up with each change. It guards against accidents, not against forgers,
 * who could say any number. */
static uint64_t digest_of(uint16_t slot, const struct node *node)
{
    uint64_t mixed = node->id_digest ^ (slot + 1u) * UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static void unlist(struct cluster *c, uint16_t slot)
{
    struct node *former = owner_node(c, slot);

    if (former == NULL) return;
    c->view_digest ^= digest_of(slot, former);
    bitmap_clear(former->slots, slot);
    if (--former->slot_count == 0) {
        alloc_free(former->slots);
        former->slots = NULL;
    }
    c->assigned_count--;
}

static void bind_to(struct cluster *c, uint16_t slot, struct node *node, struct effects *e)
{
    struct node *former = owner_node(c, slot);

    bitmap_clear(c->not_claiming, slot);
    if (former == node) return;
    unlist(c, slot);
    c->owner[slot] = INDEX_NONE;
    if (node != NULL) {
        if (node->slots == NULL) node->slots = alloc_zeroed(SLOT_BITMAP_BYTES);
        c->view_digest ^= digest_of(slot, node);
        bitmap_set(node->slots, slot);
        node->slot_count++;
        c->assigned_count++;
        c->owner[slot] = node->index;
        if (node == c->myself) c->since_epoch[slot] = node->config_epoch;
    }
    c->taken_from[slot] = INDEX_NONE;
    bitmap_clear(c->giver_knows, slot);
    bitmap_clear(c->remembered, slot);
    c->bound_at[slot] = ++c->bindings;
    bitmap_clear(c->not_heard, slot);
    bitmap_set(c->rebound, slot);
    c->any_rebound = true;
    /* What is not ours cannot leave us, and what is ours cannot arrive. */
    if (node != c->myself) c->migrating[slot] = INDEX_NONE;
    if (node == c->myself) c->importing[slot] = INDEX_NONE;
    c->state_dirty = c->view_dirty = true;
    cluster_save_later(c, SAVE_SOON);
    tell(c, slot, e);
}

/* Nobody's word is awaited any more. */
static void stop_waiting(struct cluster *c, uint16_t slot)
{
    bitmap_clear(c->yielded, slot);
    cluster_save_later(c, SAVE_SOON);
}

void slot_bind(struct cluster *c, uint16_t slot, struct node *node, struct effects *e)
{
    bool yielded = bitmap_has(c->yielded, slot);

    if (yielded) stop_waiting(c, slot);
    bind_to(c, slot, node, e);
    if (yielded && node != c->myself) emit_drop_keys(e, slot);
}

void slot_set_migrating(struct cluster *c, uint16_t slot, uint16_t index, struct effects *e)
{
    if (c->migrating[slot] == index) return;
    c->migrating[slot] = index;
    cluster_save_later(c, SAVE_SOON);
    tell(c, slot, e);
}

void slot_set_importing(struct cluster *c, uint16_t slot, uint16_t index, struct effects *e)
{
    if (c->importing[slot] == index) return;
    c->importing[slot] = index;
    cluster_save_later(c, SAVE_SOON);
    tell(c, slot, e);
}

void view_settled(struct cluster *c, uint16_t slot, struct effects *e)
{
    stop_waiting(c, slot);
    emit_drop_keys(e, slot);
}

/* Whom a slot was yielded to says itself whether it has it. One of our kind is asked since when (moves.c), or else, for it may have given it back
 * to us or on to somebody, for its view. Of any other no more can be known. */
static void settle_yielded(struct cluster *c, uint16_t slot, struct node *owner, bool claimed, struct effects *e)
{
    if (!owner->is_ours)
        view_settled(c, slot, e);
    else if (!claimed)
        owner->view_wanted = true;
}

static void yield(struct cluster *c, uint16_t slot, struct node *to, struct effects *e)
{
    bool remembered = bitmap_has(c->remembered, slot);

    if (!bitmap_has(c->yielded, slot)) c->yielded_leaving[slot] = c->migrating[slot];
    bind_to(c, slot, to, e);
    bitmap_set(c->yielded, slot);
    if (remembered) bitmap_set(c->remembered, slot);
}

static void log_lost(struct cluster *c, const struct node *to, uint64_t epoch, enum word word, uint32_t lost,
                     struct effects *e)
{
    if (word == WORD_OWN)
        emit_log(e, LOG_WARNING, "slots: %u of mine went to %.40s, which claims them with epoch %llu over my %llu",
                 (unsigned)lost, to->id, (unsigned long long)epoch, (unsigned long long)c->myself->config_epoch);
    else
        emit_log(e, LOG_WARNING,
                 "slots: %u of mine are said to be %.40s's, with epoch %llu over my %llu: they are served here no "
                 "more, and "
                 "their keys kept until it says so itself",
                 (unsigned)lost, to->id, (unsigned long long)epoch, (unsigned long long)c->myself->config_epoch);
}

/* They went where an operator had them go; only his word to us was slower than theirs. */
static void log_migrated(const struct node *to, uint32_t count, uint16_t last, struct effects *e)
{
    if (count == 1)
        emit_log(e, LOG_NOTICE, "slot %u: migrated to %.40s, which claims it", last, to->id);
    else
        emit_log(e, LOG_NOTICE, "slots: %u of mine migrated to %.40s, which claims them", (unsigned)count, to->id);
}

/* Is it of our kind? Of whom nothing was heard since we began that may be: what is said of it waits for its own word. */
static bool may_be_kin(const struct node *node, enum word word)
{
    return node->is_ours || (word == WORD_HEARSAY && !node->heard_view);
}

void view_claim(struct cluster *c, struct node *claimer, uint64_t epoch, const uint8_t *bitmap, enum word word,
                struct effects *e)
{
    /* An own word with an epoch older than the one we have heard of was said before it took what it is said to have. */
    bool decides = word == WORD_OWN && epoch >= claimer->config_epoch, insist = false;
    uint32_t lost = 0, migrated = 0;
    uint16_t last_migrated = 0;

    /* Somebody else's word about my own slots: mine is the only one that counts. */
    if (claimer == c->myself) return;

    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        uint16_t slot = (uint16_t)i;
        struct node *owner;
        bool mine, yielded, leaves, is_meant;

        if ((i % 8) == 0 && bitmap[i / 8] == 0 && node_slots(claimer)[i / 8] == 0) {
            i += 7;
            continue;
        }
        owner = owner_node(c, slot);
        yielded = bitmap_has(c->yielded, slot);
        if (yielded && owner == claimer && decides) settle_yielded(c, slot, owner, bitmap_has(bitmap, slot), e);
        if (!bitmap_has(bitmap, slot)) {
            if (owner == claimer && !bitmap_has(c->not_claiming, slot)) {
                bitmap_set(c->not_claiming, slot);
                cluster_save_later(c, SAVE_SOON);
            }
            continue;
        }
        if (owner == claimer) {
            bitmap_clear(c->not_claiming, slot);
            continue;
        }
        /* What an operator is importing changes hands by the operator's word alone. It is nobody's where we began anew and did not know that its source
         * had been given it: that one is heard, or we would be without an owner for it until somebody closes the slot. */
        if (c->importing[slot] != INDEX_NONE) {
            bool is_source = c->importing[slot] == claimer->index && word == WORD_OWN;

            if (owner == NULL && is_source) slot_bind(c, slot, claimer, e);
            continue;
        }
        mine = owner == c->myself;
        /* The operator has it leave for there, and has told that node that it is its own: its epoch is not above ours only as it had not heard of ours
         * yet. Claimed here any longer, a Redis node would give it back, and drop the keys it was sent. Between our own, moves.c sees to that. (A
         * claim from before it gave us the slot says nothing.) */
        leaves = mine && c->migrating[slot] == claimer->index && word == WORD_OWN && !claimer->is_ours &&
                 moves_may_be_new(c, claimer, slot, epoch);
        if (!leaves && owner != NULL && !bitmap_has(c->not_claiming, slot) && owner->config_epoch >= epoch) continue;

        if (mine && moves_insists(c, claimer, slot) && (may_be_kin(claimer, word) || bitmap_has(c->remembered, slot))) {
            insist = true;
            continue;
        }
        is_meant = c->migrating[slot] == claimer->index && word == WORD_OWN;
        if ((mine || yielded) && (word == WORD_HEARSAY || claimer->is_ours))
            yield(c, slot, claimer, e);
        else
            slot_bind(c, slot, claimer, e);
        if (!mine) continue;
        if (is_meant) {
            migrated++;
            last_migrated = slot;
        } else {
            lost++;
        }
        if (!bitmap_has(c->yielded, slot)) emit_drop_keys(e, slot);
    }
    /* The operator had it moved here, keys and all, and the former owner has not heard of it: an epoch that we did not know when we took
     * ours is no newer claim. Given back, the keys would be gone (moves.c). A Redis node cannot tell us what we may have forgotten: to one such we
     * give it back where that may be. */
    if (insist && epoch_bump(c, NO_SLOTS, e))
        emit_log(e, LOG_NOTICE, "slots: %.40s claims what was moved here from it: my epoch is %llu now", claimer->id,
                 (unsigned long long)c->myself->config_epoch);
    if (migrated > 0) log_migrated(claimer, migrated, last_migrated, e);
    if (lost > 0) log_lost(c, claimer, epoch, word, lost, e);
    /* Here a node whose last slot went becomes a replica of who took it, once there are replicas. */
    if (migrated + lost > 0 && c->myself->slot_count == 0)
        emit_log(e, LOG_WARNING, "slots: none are left here; this node is an empty primary now");
}

/* Whoever has slots or may have some has been heard, and is not silent now: what nobody of them claims is nobody's. */
static bool all_are_heard(const struct cluster *c)
{
    for (size_t i = 0; i < c->node_count; i++) {
        const struct node *node = c->nodes[i];

        if (node == c->myself || !node_is_primary(node)) continue;
        if (!node->heard_view || node_is(node, FLAG_PFAIL | FLAG_FAIL | FLAG_HANDSHAKE | FLAG_NOADDR)) return false;
    }
    return true;
}

bool view_told(struct cluster *c, struct node *teller, uint16_t slot, const char *owner_id, struct effects *e)
{
    uint64_t since_epoch = c->since_epoch[slot];
    bool yielded = bitmap_has(c->yielded, slot), remembered = yielded && bitmap_has(c->remembered, slot);
    struct node *owner;

    if (c->owner[slot] != teller->index || c->importing[slot] != INDEX_NONE) return false;
    if (!yielded && !bitmap_has(c->not_claiming, slot)) return false;
    /* By an operator's word we may have given it the slot since. Ours again, without its keys, it would answer nothing for each of them. */
    if (c->bound_at[slot] > teller->asked_bindings) {
        teller->view_wanted = true;
        return false;
    }
    /* It has let it go, and forgotten for whom: for us, where nobody else claims it. */
    if (owner_id == NULL && (!yielded || !all_are_heard(c))) return false;
    owner = owner_id == NULL ? c->myself : node_find(c, owner_id);
    if (owner == NULL || owner == teller || node_is(owner, FLAG_HANDSHAKE)) return false;
    if (owner != c->myself) {
        if (!yielded) return false;
        yield(c, slot, owner, e); /* whose own word is awaited next */
        return false;
    }
    /* Our epoch stays: whoever has heard that the other does not claim it takes our word, whatever it is. */
    slot_bind(c, slot, c->myself, e);
    c->since_epoch[slot] = since_epoch;
    if (remembered) bitmap_set(c->remembered, slot);
    /* Whoever moves it goes on to. What is there by now is to be asked for there. */
    if (yielded) slot_set_migrating(c, slot, c->yielded_leaving[slot], e);
    return true;
}

void view_correct(struct cluster *c, struct node *sender, uint64_t epoch, const uint8_t *bitmap, struct effects *e)
{
    struct announcement mine = announce_now(c);

    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        uint16_t slot = (uint16_t)i;
        uint8_t slots[SLOT_BITMAP_BYTES];
        struct buf out = { 0 };
        struct node *owner;
        uint64_t owner_epoch;

        if ((i % 8) == 0 && bitmap[i / 8] == 0) {
            i += 7;
            continue;
        }
        if (!bitmap_has(bitmap, slot) || bitmap_has(c->not_claiming, slot)) continue;
        owner = owner_node(c, slot);
        if (owner == NULL || owner == sender) continue;
        /* Of ourselves nothing is told that is not on disk, here as in any header. */
        owner_epoch = owner == c->myself ? mine.config_epoch : owner->config_epoch;
        if (owner_epoch <= epoch || (owner == c->myself && !bitmap_has(mine.slots, slot))) continue;
        if (sender->outbound == 0) return;

        memcpy(slots, owner == c->myself ? mine.slots : node_slots(owner), sizeof(slots));
        for (unsigned byte = 0; byte < SLOT_BITMAP_BYTES; byte++)
            slots[byte] = (uint8_t)(slots[byte] & ~c->not_claiming[byte]);
        header_begin(c, MESSAGE_UPDATE, &out);
        message_update_write(&out, owner_epoch, owner->id, slots);
        message_send(c, sender->outbound, &out, e);
        return; /* one for each packet: the rest follows when the next one is wrong too */
    }
}

void view_close_impossible(struct cluster *c)
{
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        if (c->migrating[slot] != INDEX_NONE && c->owner[slot] != c->myself->index) c->migrating[slot] = INDEX_NONE;
        if (c->importing[slot] != INDEX_NONE && c->owner[slot] == c->myself->index) c->importing[slot] = INDEX_NONE;
        if (c->taken_from[slot] != INDEX_NONE && c->owner[slot] != c->myself->index) c->taken_from[slot] = INDEX_NONE;
        if (c->taken_from[slot] != INDEX_NONE) c->any_taken_from = true;
        if (!bitmap_has(c->yielded, slot)) continue;
        if (c->owner[slot] == INDEX_NONE || c->owner[slot] == c->myself->index || c->importing[slot] != INDEX_NONE)
            bitmap_clear(c->yielded, slot);
    }
}

/* From here on only slots that were given to us, or that hold keys, are served. */
void view_end_solo(struct cluster *c, struct effects *e)
{
    if (!c->solo) return;
    c->solo = false;
    c->state_dirty = c->view_dirty = true;
    cluster_save_later(c, SAVE_SOON);
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        if (bitmap_has(c->kept, slot))
            slot_bind(c, (uint16_t)slot, c->myself, e);
        else
            tell(c, (uint16_t)slot, e);
    }
    emit_log(e, LOG_NOTICE,
             "cluster: this node is not alone any more; it serves the %u slots it holds keys of or was given",
             (unsigned)c->myself->slot_count);
}

/* --- Is the cluster ok? --- */

size_t view_size(const struct cluster *c)
{
    size_t size = 0;

    for (size_t i = 0; i < c->node_count; i++)
        if (node_votes(c->nodes[i])) size++;
    return size;
}

static int64_t rejoin_delay_ms(const struct cluster *c)
{
    int64_t timeout = c->options.node_timeout_ms;

    return timeout < 500 ? 500 : timeout > 5000 ? 5000 : timeout;
}

/* Every slot has an owner that is not known to be gone. */
static bool is_covered(const struct cluster *c)
{
    if (c->assigned_count < SLOT_COUNT) return false;
    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i]->slot_count > 0 && node_is(c->nodes[i], FLAG_FAIL)) return false;
    return true;
}

/* Somebody has said that slots of ours are another's, and that one has not been heard yet. */
static bool is_in_doubt(const struct cluster *c, int64_t now_ms)
{
    for (size_t i = 0; i < c->node_count; i++)
        if (doubt_lasts(c, c->nodes[i], now_ms)) return true;
    return false;
}

static bool is_ok(struct cluster *c, int64_t now_ms)
{
    size_t reachable = 0, heard = 0, size = view_size(c);

    if (c->solo) return true;
    for (size_t i = 0; i < c->node_count; i++) {
        const struct node *node = c->nodes[i];

        if (!node_votes(node) || node_is(node, FLAG_FAIL | FLAG_PFAIL)) continue;
        reachable++;
        if (node == c->myself || node->heard_view) heard++;
    }
    if (reachable < size / 2 + 1) {
        /* Where nobody owns a slot nobody is in a minority: a cluster being formed does not wait to rejoin itself. */
        if (size > 0) {
            c->minority_seen = true;
            c->minority_ms = now_ms;
        }
        return false;
    }
    /* A node that comes back may be alone with what it last wrote down, and that be old: not suspected yet is not heard. */
    if (c->delayed_start && heard < size / 2 + 1) return false;
    /* Who has served all along goes on with it; who begins anew, from what may be an old file, first hears what became of its slots. */
    if (!c->ok && is_in_doubt(c, now_ms)) return false;
    return !c->options.require_full_coverage || is_covered(c);
}

void view_update_state(struct cluster *c, int64_t now_ms, struct effects *e)
{
    bool ok = is_ok(c, now_ms);

    c->state_dirty = false;
    /* A node that comes back may have been replaced meanwhile: it first listens. Alone, or without a past, it has nobody to
     * listen to and nothing to give away. */
    if (ok && !c->ok && c->delayed_start && c->node_count > 1 && now_ms - c->started_ms < WRITABLE_DELAY_MS) return;
    if (ok && !c->ok && c->minority_seen && now_ms - c->minority_ms < rejoin_delay_ms(c)) return;
    if (ok == c->ok) return;
    c->ok = ok;
    c->view_dirty = true;
    emit_log(e, ok ? LOG_NOTICE : LOG_WARNING, "cluster: state is %s now", ok ? "ok" : "fail");
}
