#include "cluster/open.h"

#include "cluster/cluster_internal.h"

/* --- The decision --- */

static enum open_step next_of_source(const struct open_facts *facts)
{
    const struct open_account *target = &facts->other;

    if (!target->is_heard) return facts->has_failed ? OPEN_CLOSE : OPEN_WAIT;
    /* With keys here two claim it: the bus settles that. */
    if (target->is_owner) return facts->keys == 0 ? OPEN_GIVE : OPEN_WAIT;
    if (target->comes) return target->from_us ? OPEN_SEND : OPEN_WAIT;
    return target->keys > 0 ? OPEN_REOPEN : OPEN_CLOSE;
}

static enum open_step next_of_target(const struct open_facts *facts)
{
    const struct open_account *source = &facts->other;

    if (!source->is_heard) return OPEN_WAIT;
    if (source->is_ours) return OPEN_TAKE;
    if (!source->is_owner) return OPEN_CLOSE;
    if (source->leaves && source->to_us) return OPEN_WAIT;
    if (facts->keys == 0) return OPEN_CLOSE;
    /* What it lacks it would send elsewhere. */
    return source->leaves ? OPEN_WAIT : OPEN_RETURN;
}

enum open_step open_next(const struct open_facts *facts)
{
    if (!facts->is_kin) return OPEN_WAIT;
    return facts->leaves ? next_of_source(facts) : next_of_target(facts);
}

/* --- What the other end says --- */

static struct bytes cut(struct bytes *text, char at)
{
    const char *end = text->len > 0 ? memchr(text->data, at, text->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - text->data) : text->len;
    struct bytes head = { text->data, len };

    text->data += len + (end != NULL);
    text->len -= len + (end != NULL);
    return head;
}

static bool read_slot(struct bytes text, unsigned *slot)
{
    int64_t number;

    if (!bytes_to_i64(text, &number) || number < 0 || number >= (int64_t)SLOT_COUNT) return false;
    *slot = (unsigned)number;
    return true;
}

/* "first-last", or one slot. */
static bool range_has(struct bytes word, unsigned slot)
{
    struct bytes rest = word, head = cut(&rest, '-');
    unsigned first, last;

    if (!read_slot(head, &first)) return false;
    last = first;
    if (head.len < word.len && !read_slot(rest, &last)) return false;
    return slot >= first && slot <= last;
}

/* "[slot->-id]" or "[slot-<-id]", of the node that says it. */
static void read_open(struct bytes word, unsigned slot, const char *our_id, struct open_account *out)
{
    struct bytes id, number;
    unsigned its_slot;
    char kind;

    if (word.len < 1 + 1 + 3 + NODE_ID_BYTES + 1 || word.data[word.len - 1] != ']') return;
    id = (struct bytes){ word.data + word.len - 1 - NODE_ID_BYTES, NODE_ID_BYTES };
    number = (struct bytes){ word.data + 1, word.len - 1 - 1 - 3 - NODE_ID_BYTES };
    kind = id.data[-2];
    if (id.data[-3] != '-' || id.data[-1] != '-' || !read_slot(number, &its_slot) || its_slot != slot) return;
    if (kind == '>') {
        out->leaves = true;
        out->to_us = memcmp(id.data, our_id, NODE_ID_BYTES) == 0;
    } else if (kind == '<') {
        out->comes = true;
        out->from_us = memcmp(id.data, our_id, NODE_ID_BYTES) == 0;
    }
}

static bool has_flag(struct bytes flags, struct bytes flag)
{
    while (flags.len > 0)
        if (bytes_equal(cut(&flags, ','), flag)) return true;
    return false;
}

bool open_account_read(struct bytes nodes, uint16_t slot, const char *their_id, const char *our_id,
                       struct open_account *out)
{
    struct open_account account = { .is_heard = true };
    bool is_theirs = false;

    *out = (struct open_account){ .is_heard = false };
    while (nodes.len > 0) {
        struct bytes line = cut(&nodes, '\n'), id = cut(&line, ' '), flags;
        bool is_speaker, is_me;

        cut(&line, ' '); /* address */
        flags = cut(&line, ' ');
        for (int skipped = 0; skipped < 5; skipped++) cut(&line, ' ');
        if (id.len != NODE_ID_BYTES) return false;
        is_speaker = has_flag(flags, BYTES("myself"));
        is_me = memcmp(id.data, our_id, NODE_ID_BYTES) == 0;
        if (is_speaker && memcmp(id.data, their_id, NODE_ID_BYTES) != 0) return false;
        is_theirs |= is_speaker;
        while (line.len > 0) {
            struct bytes word = cut(&line, ' ');

            if (word.len > 0 && word.data[0] == '[') {
                if (is_speaker) read_open(word, slot, our_id, &account);
            } else if ((is_speaker || is_me) && range_has(word, slot)) {
                account.is_owner |= is_speaker;
                account.is_ours |= is_me;
            }
        }
    }
    if (is_theirs) *out = account;
    return is_theirs;
}

/* --- Of the core --- */

void cluster_slot_worked(struct cluster *c, uint16_t slot, int64_t now_ms)
{
    c->worked_after_ms[slot] = now_ms - c->started_ms;
}

int64_t cluster_slot_worked_ms(const struct cluster *c, uint16_t slot)
{
    return c->started_ms + c->worked_after_ms[slot];
}

void cluster_slot_look_again(struct cluster *c, uint16_t slot, int64_t after_ms, int64_t idle_ms, int64_t now_ms)
{
    cluster_slot_worked(c, slot, now_ms - idle_ms + (after_ms < idle_ms ? after_ms : idle_ms));
}

static bool is_idle(const struct cluster *c, unsigned slot, int64_t idle_ms, int64_t now_ms)
{
    return now_ms - cluster_slot_worked_ms(c, (uint16_t)slot) >= idle_ms;
}

static bool is_open(const struct cluster *c, unsigned slot)
{
    return c->migrating[slot] != INDEX_NONE || c->importing[slot] != INDEX_NONE;
}

unsigned cluster_next_open(const struct cluster *c, unsigned from, int64_t idle_ms, int64_t now_ms)
{
    while (from < SLOT_COUNT && (!is_open(c, from) || !is_idle(c, from, idle_ms, now_ms))) from++;
    return from;
}

bool cluster_open_slot(const struct cluster *c, uint16_t slot, int64_t idle_ms, int64_t now_ms, struct open_slot *out)
{
    const struct node *other;

    if (!c->ok || !is_open(c, slot) || !is_idle(c, slot, idle_ms, now_ms)) return false;
    *out = (struct open_slot){ .leaves = c->migrating[slot] != INDEX_NONE };
    other = node_at_index(c, out->leaves ? c->migrating[slot] : c->importing[slot]);
    if (other == NULL || !cluster_node_by_index(c, other->index, &out->other)) return false;
    out->has_failed = node_is(other, FLAG_FAIL) && now_ms - other->fail_ms >= idle_ms;
    return true;
}

size_t cluster_open_count(const struct cluster *c)
{
    size_t count = 0;

    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) count += is_open(c, slot);
    return count;
}

bool cluster_is_stray(const struct cluster *c, uint16_t slot, int64_t idle_ms, int64_t now_ms)
{
    const struct node *owner = owner_node(c, slot);

    if (c->solo || !c->ok || owner == NULL || owner == c->myself || !owner->is_ours) return false;
    /* What was yielded is kept for its owner's word. */
    if (is_open(c, slot) || bitmap_has(c->yielded, slot)) return false;
    return is_idle(c, slot, idle_ms, now_ms) && now_ms - c->started_ms - c->owner_after_ms[slot] >= idle_ms;
}

void cluster_adopt_stray(struct cluster *c, uint16_t slot, int64_t idle_ms, int64_t now_ms, struct effects *e)
{
    if (!cluster_is_stray(c, slot, idle_ms, now_ms)) return;
    slot_set_importing(c, slot, c->owner[slot], e);
    cluster_settle(c, true, now_ms, e);
}

void cluster_hand_over(struct cluster *c, unsigned slot)
{
    c->handed_over = (uint16_t)slot;
}
