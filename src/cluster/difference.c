/* cluster/difference.c
 *
 * Who sees another owner of a slot than we do, and since when: what CLUSTER DIFF answers from.
 *
 *     a node of our kind    says a digest of its whole view with each message; where it is not ours, and has not been for a while, we
 *                           ask, and it sends the view
 *     any other             says in each header which slots it claims itself; of more we do not know
 *
 * What a node believes is kept as runs of slots, each with the time from which on we knew, and only while it is not what we believe.
 * The comparison is made when somebody asks, so that what has changed here meanwhile counts. It is for people to read. One thing only is
 * decided by a view: whose a slot is that we yielded to the node that tells it (view_told()). Nobody can make us keep much: runs, views and questions all have an end. */
#include "cluster/cluster_internal.h"

#include "base/alloc.h"
#include "cluster/message.h"

#define QUIET_MS 1000 /* a view that is still changing is not asked for, and none is compared to one that is */
#define ASK_AGAIN_MS 3000
#define HEARSAY_MS 2000 /* so long a client may be on its way that somebody has sent by a view of before */
#define TELL_AGAIN_MS 500
#define RUNS_MAX 4096u /* of one view; what is behind them is not known */
#define VIEWS_MAX 64u  /* of other nodes */
#define ID_NONE UINT16_MAX

struct run {
    uint16_t first, last;
    uint16_t owner; /* place in ids, or ID_NONE: nobody, or, of claims, not itself */
    int64_t since_ms;
};

struct beliefs {
    uint64_t view;        /* the digest of the view they are of */
    bool whole;           /* a view; otherwise claims, and a slot in no run is not spoken of */
    uint16_t known_below; /* of a view: what is at or above was left out */
    struct run *runs;     /* ascending */
    size_t run_count;
    char (*ids)[NODE_ID_BYTES + 1];
    size_t id_count;
};

void beliefs_drop(struct cluster *c, struct node *node)
{
    if (node->beliefs == NULL) return;
    alloc_free(node->beliefs->runs);
    alloc_free(node->beliefs->ids);
    alloc_free(node->beliefs);
    node->beliefs = NULL;
    c->belief_count--;
}

static const char *believed(const struct beliefs *beliefs, const struct run *run)
{
    return run->owner == ID_NONE ? "" : beliefs->ids[run->owner];
}

/* The run a slot is in, or NULL; *at belongs to a walk over ascending slots. */
static const struct run *run_at(const struct beliefs *beliefs, unsigned slot, size_t *at)
{
    while (*at < beliefs->run_count && beliefs->runs[*at].last < slot) ++*at;
    return *at < beliefs->run_count && beliefs->runs[*at].first <= slot ? &beliefs->runs[*at] : NULL;
}

/* Since when a run is believed: from now on, or from when it was first heard of for all of its slots. */
static int64_t believed_since(const struct beliefs *former, const struct beliefs *beliefs, const struct run *run,
                              int64_t now_ms)
{
    int64_t since_ms = 0;
    size_t at = 0;

    if (former == NULL || former->whole != beliefs->whole) return now_ms;
    for (unsigned slot = run->first; slot <= run->last; slot++) {
        const struct run *before = run_at(former, slot, &at);

        if (before == NULL || strcmp(believed(former, before), believed(beliefs, run)) != 0) return now_ms;
        if (before->since_ms > since_ms) since_ms = before->since_ms;
    }
    return since_ms;
}

/* Takes the new beliefs of a node, in place of any former ones. */
static void keep(struct cluster *c, struct node *node, struct beliefs *beliefs, int64_t now_ms)
{
    for (size_t i = 0; i < beliefs->run_count; i++)
        beliefs->runs[i].since_ms = believed_since(node->beliefs, beliefs, &beliefs->runs[i], now_ms);
    beliefs_drop(c, node);
    node->beliefs = beliefs;
    c->belief_count++;
}

static bool has_room(const struct cluster *c, const struct node *node)
{
    return node->beliefs != NULL || c->belief_count < VIEWS_MAX;
}

/* --- What a header tells --- */

/* Where a node's claims are not what we think them to be: what is not ours to compare, it does not say. */
static void hear_claims(struct cluster *c, struct node *node, const struct node *owner, const uint8_t *claims,
                        int64_t now_ms)
{
    const uint8_t *here = node_slots(owner);
    struct beliefs *beliefs;
    uint8_t differing[SLOT_BITMAP_BYTES];
    uint8_t any = 0;

    /* What it gave up it claims no more, also where nobody else has it yet. */
    for (size_t i = 0; i < SLOT_BITMAP_BYTES; i++) any |= differing[i] = here[i] ^ claims[i];
    if (any == 0) {
        beliefs_drop(c, node);
        return;
    }
    if (!has_room(c, node)) return;
    beliefs = alloc_zeroed(sizeof(*beliefs));
    beliefs->runs = alloc(RUNS_MAX * sizeof(*beliefs->runs));
    beliefs->ids = alloc(sizeof(*beliefs->ids));
    beliefs->id_count = 1;
    memcpy(beliefs->ids[0], owner->id, sizeof(owner->id));
    for (unsigned slot = 0; slot < SLOT_COUNT && beliefs->run_count < RUNS_MAX; slot++) {
        struct run *last = beliefs->run_count > 0 ? &beliefs->runs[beliefs->run_count - 1] : NULL;
        uint16_t who = bitmap_has(claims, slot) ? 0 : ID_NONE;

        if (!bitmap_has(differing, slot)) continue;
        if (last != NULL && last->last + 1u == slot && last->owner == who)
            last->last = (uint16_t)slot;
        else
            beliefs->runs[beliefs->run_count++] =
                (struct run){ .first = (uint16_t)slot, .last = (uint16_t)slot, .owner = who };
    }
    beliefs->runs = alloc_resize(beliefs->runs, beliefs->run_count * sizeof(*beliefs->runs));
    keep(c, node, beliefs, now_ms);
}

/* Of one that has begun anew nothing is known: it may go by an older file. */
void difference_forget(struct node *node)
{
    node->knew_bindings = node->agreed_bindings = 0;
}

static void note_agreement(const struct cluster *c, struct node *node, int64_t now_ms)
{
    if (node->agreed_bindings != 0 && now_ms - node->agreed_ms >= HEARSAY_MS) {
        node->knew_bindings = node->agreed_bindings;
        node->agreed_bindings = 0;
    }
    if (node->agreed_bindings != 0 || node->view != c->view_digest) return;
    node->agreed_bindings = c->bindings;
    node->agreed_ms = now_ms;
}

bool cluster_all_know(const struct cluster *c, uint16_t slot)
{
    for (size_t i = 0; i < c->node_count; i++) {
        const struct node *node = c->nodes[i];

        if (node == c->myself || node_is(node, FLAG_HANDSHAKE)) continue;
        if (!node->heard_view || (node->is_ours && node->knew_bindings < c->bound_at[slot])) return false;
    }
    return true;
}

void difference_heard(struct cluster *c, struct node *node, const struct message *message, int64_t now_ms)
{
    const struct node *owner = node_is_primary(node) ? node : node->primary;

    node->heard_view = true;
    if (!node->is_ours) {
        if (owner != NULL) hear_claims(c, node, owner, message->slots, now_ms);
        return;
    }
    if (node->view != message->mark.view) {
        node->view = message->mark.view;
        node->view_changed_ms = now_ms;
    }
    if (node->view == c->view_digest) beliefs_drop(c, node);
    note_agreement(c, node, now_ms);
}

/* --- Asking, and being asked --- */

static const char module_id[8] = { 'r', 's', 'h', 'd', 'v', 'i', 'e', 'w' };

void kin_send(struct cluster *c, cluster_link link, enum kin what, struct bytes payload, struct effects *e)
{
    struct buf out = { 0 };

    header_begin(c, MESSAGE_MODULE, &out);
    message_module_write(&out, module_id, (uint8_t)what, payload);
    message_send(c, link, &out, e);
}

static void ask(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e)
{
    node->view_asked_ms = now_ms;
    node->view_awaited = true;
    node->asked_bindings = c->bindings;
    kin_send(c, node->outbound, KIN_VIEW_ASK, BYTES_NONE, e);
}

/* Slots that nobody serves wait for it. */
static void ask_whom_we_yielded_to(struct cluster *c, int64_t now_ms, struct effects *e)
{
    for (size_t i = 0; i < c->node_count; i++) {
        struct node *node = c->nodes[i];

        if (!node->view_wanted || node->outbound == 0 || now_ms - node->view_asked_ms < TELL_AGAIN_MS) continue;
        node->view_wanted = false;
        ask(c, node, now_ms, e);
    }
}

/* One node in each tick at most: there is no hurry. */
void difference_tick(struct cluster *c, int64_t now_ms, struct effects *e)
{
    ask_whom_we_yielded_to(c, now_ms, e);
    if (c->solo || now_ms - c->view_changed_ms < QUIET_MS) return;
    for (size_t i = 0; i < c->node_count; i++) {
        struct node *node = c->nodes[i];

        if (!node->is_ours || !node->heard_view || node->view == c->view_digest || node->outbound == 0) continue;
        if (node->beliefs != NULL && node->beliefs->whole && node->beliefs->view == node->view) continue;
        if (now_ms - node->view_changed_ms < QUIET_MS || now_ms - node->view_asked_ms < ASK_AGAIN_MS) continue;
        if (!has_room(c, node)) continue;
        ask(c, node, now_ms, e);
        return;
    }
}

static void put16(struct buf *out, unsigned value)
{
    buf_append_byte(out, (char)(value >> 8));
    buf_append_byte(out, (char)value);
}

static unsigned get16(const char *at)
{
    return (unsigned)(uint8_t)at[0] << 8 | (uint8_t)at[1];
}

/*     view digest 8 | known below 2 | ids 2 | runs 2 | ids, 40 each | runs: first 2, last 2, place of the owner's id 2
 *
 * A slot in no run is nobody's. */
#define VIEW_HEAD_BYTES 14u
#define VIEW_RUN_BYTES 6u

static void tell_view(struct cluster *c, cluster_link link, struct effects *e)
{
    struct buf ids = { 0 }, runs = { 0 }, out = { 0 };
    uint16_t *places = alloc(c->index_count * sizeof(*places));
    unsigned id_count = 0, run_count = 0, slot = 0;

    memset(places, 0xff, c->index_count * sizeof(*places));
    while (slot < SLOT_COUNT && run_count < RUNS_MAX) {
        uint16_t owner = c->owner[slot];
        unsigned first = slot++;

        if (owner == INDEX_NONE) continue;
        while (slot < SLOT_COUNT && c->owner[slot] == owner) slot++;
        if (places[owner] == ID_NONE) {
            places[owner] = (uint16_t)id_count++;
            buf_append(&ids, node_at_index(c, owner)->id, NODE_ID_BYTES);
        }
        put16(&runs, first);
        put16(&runs, slot - 1);
        put16(&runs, places[owner]);
        run_count++;
    }
    for (int shift = 56; shift >= 0; shift -= 8) buf_append_byte(&out, (char)(c->view_digest >> shift));
    put16(&out, slot);
    put16(&out, id_count);
    put16(&out, run_count);
    buf_append_bytes(&out, buf_bytes(&ids));
    buf_append_bytes(&out, buf_bytes(&runs));
    kin_send(c, link, KIN_VIEW, buf_bytes(&out), e);
    buf_free(&ids);
    buf_free(&runs);
    buf_free(&out);
    alloc_free(places);
}

static void free_beliefs(struct beliefs *beliefs)
{
    alloc_free(beliefs->runs);
    alloc_free(beliefs->ids);
    alloc_free(beliefs);
}

/* NULL where it is not what a node of our kind sends. */
static struct beliefs *read_view(struct bytes payload)
{
    struct beliefs *beliefs;
    const char *at = payload.data;
    size_t ids, runs;

    if (payload.len < VIEW_HEAD_BYTES) return NULL;
    ids = get16(at + 10);
    runs = get16(at + 12);
    if (runs > RUNS_MAX || ids > runs || get16(at + 8) > SLOT_COUNT) return NULL;
    if (payload.len != VIEW_HEAD_BYTES + ids * NODE_ID_BYTES + runs * VIEW_RUN_BYTES) return NULL;

    beliefs = alloc_zeroed(sizeof(*beliefs));
    beliefs->whole = true;
    for (unsigned i = 0; i < 8; i++) beliefs->view = beliefs->view << 8 | (uint8_t)at[i];
    beliefs->known_below = (uint16_t)get16(at + 8);
    beliefs->ids = alloc((ids + 1) * sizeof(*beliefs->ids));
    beliefs->runs = alloc((runs + 1) * sizeof(*beliefs->runs));
    beliefs->id_count = ids;
    at += VIEW_HEAD_BYTES;
    for (size_t i = 0; i < ids; i++, at += NODE_ID_BYTES) {
        memcpy(beliefs->ids[i], at, NODE_ID_BYTES);
        beliefs->ids[i][NODE_ID_BYTES] = '\0';
        if (!id_is_valid(beliefs->ids[i])) goto refused;
    }
    for (size_t i = 0; i < runs; i++, at += VIEW_RUN_BYTES) {
        struct run run = { .first = (uint16_t)get16(at),
                           .last = (uint16_t)get16(at + 2),
                           .owner = (uint16_t)get16(at + 4) };

        if (run.first > run.last || run.last >= beliefs->known_below || run.owner >= ids) goto refused;
        if (i > 0 && run.first <= beliefs->runs[i - 1].last) goto refused;
        beliefs->runs[beliefs->run_count++] = run;
    }
    return beliefs;
refused:
    free_beliefs(beliefs);
    return NULL;
}

static void take_back(struct cluster *c, struct node *node, const struct beliefs *beliefs, struct effects *e)
{
    unsigned back = 0, slot = 0;

    for (size_t i = 0; i < beliefs->run_count; i++) {
        for (; slot < beliefs->runs[i].first; slot++) back += view_told(c, node, (uint16_t)slot, NULL, e);
        for (; slot <= beliefs->runs[i].last; slot++)
            back += view_told(c, node, (uint16_t)slot, believed(beliefs, &beliefs->runs[i]), e);
    }
    for (; slot < beliefs->known_below; slot++) back += view_told(c, node, (uint16_t)slot, NULL, e);
    if (back > 0)
        emit_log(e, LOG_NOTICE, "slots: %u are mine again, says %.40s, which was said to have them", back, node->id);
}

/* Something newer of the node has been heard already: what changes hands by a word changes by its last. What is lost so is said again. */
static bool is_late(const struct node *node, const struct mark *mark)
{
    return node->incarnation == mark->incarnation && mark->sequence < node->sequence;
}

void difference_module(struct cluster *c, struct node *node, cluster_link link, const struct message *message,
                       int64_t now_ms, struct effects *e)
{
    struct beliefs *beliefs;

    if (memcmp(message->module, module_id, sizeof(module_id)) != 0) return;
    switch (message->module_type) {
    case KIN_VIEW_ASK:
        if (now_ms - node->view_told_ms < TELL_AGAIN_MS) return;
        node->view_told_ms = now_ms;
        tell_view(c, link, e);
        return;
    case KIN_VIEW:
        /* Only what was asked for is listened to, and once. */
        if (!node->view_awaited) return;
        beliefs = read_view(message->module_payload);
        if (beliefs == NULL) return;
        node->view_awaited = false;
        if (!is_late(node, &message->mark)) take_back(c, node, beliefs, e);
        if (beliefs->view != c->view_digest && has_room(c, node))
            keep(c, node, beliefs, now_ms);
        else
            free_beliefs(beliefs);
        return;
    case KIN_MOVED:
    case KIN_HELD:
    case KIN_KEEPS:
        if (is_late(node, &message->mark))
            c->ignored++;
        else
            moves_told(c, node, (enum kin)message->module_type, message, e);
        return;
    case KIN_FORGOTTEN:
    case KIN_MET:
        if (is_late(node, &message->mark))
            c->ignored++;
        else
            forgotten_word(c, link, (enum kin)message->module_type, message, now_ms, e);
        return;
    default:
        return;
    }
}

/* --- Answers --- */

enum agreement cluster_agreement(const struct cluster *c, const struct cluster_node_info *info)
{
    const struct node *node = node_at_index(c, info->index);

    if (node == NULL || node == c->myself) return AGREEMENT_FULL;
    if (!node->heard_view || node_is(node, FLAG_PFAIL | FLAG_FAIL | FLAG_HANDSHAKE | FLAG_NOADDR))
        return AGREEMENT_UNKNOWN;
    if (!node->is_ours) return node->beliefs == NULL ? AGREEMENT_FULL : AGREEMENT_NONE;
    if (node->view == c->view_digest) return AGREEMENT_FULL;
    return node->beliefs != NULL && node->beliefs->whole ? AGREEMENT_NONE : AGREEMENT_UNKNOWN;
}

static int64_t later_ms(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void cluster_differences(const struct cluster *c, uint16_t index,
                         void (*each)(void *context, const struct cluster_difference *difference), void *context)
{
    const struct node *node = node_at_index(c, index);
    const struct beliefs *beliefs = node != NULL ? node->beliefs : NULL;
    struct cluster_difference found = { 0 };
    bool open = false;
    size_t at = 0;

    for (unsigned slot = 0; beliefs != NULL && slot < (beliefs->whole ? beliefs->known_below : SLOT_COUNT); slot++) {
        const struct run *run = run_at(beliefs, slot, &at);
        const struct node *here = owner_node(c, (uint16_t)slot);
        const char *mine = here != NULL ? here->id : "", *theirs = run != NULL ? believed(beliefs, run) : "";
        int64_t since_ms = c->started_ms + c->owner_after_ms[slot];
        /* Of claims: "not itself" differs from itself alone. */
        bool differs = strcmp(mine, theirs) != 0;

        if (!beliefs->whole && (run == NULL || (run->owner == ID_NONE && strcmp(mine, beliefs->ids[0]) != 0)))
            differs = false;
        /* What was never somebody's there was so from when its view was first heard of: that is told by the node's own times. */
        since_ms = later_ms(since_ms, run != NULL ? run->since_ms : node->view_changed_ms);
        if (open && (!differs || strcmp(found.here, mine) != 0 || strcmp(found.there, theirs) != 0 ||
                     found.since_ms != since_ms)) {
            each(context, &found);
            open = false;
        }
        if (!differs) continue;
        if (!open) {
            found =
                (struct cluster_difference){ .first = (uint16_t)slot, .since_ms = since_ms, .whole = beliefs->whole };
            memcpy(found.here, mine, strlen(mine) + 1);
            memcpy(found.there, theirs, strlen(theirs) + 1);
            open = true;
        }
        found.last = (uint16_t)slot;
    }
    if (open) each(context, &found);
}
