/* cluster/shared.c
 *
 * A text that all nodes of our kind are to have the same of: the policies. What is in it is nobody's business here; it has a version, and the later
 * one counts.
 *
 *     SAY    the version of ours, to a node that was not told it yet, and to each again now and then: a message may be lost with its link
 *     ASK    by whoever hears of a later one
 *     TELL   the text; heard only by whoever has asked, and once
 *
 * MODULE messages, so that nodes of another kind neither get nor mind them. A cluster in which nobody ever set anything sends none. */
#include "cluster/cluster_internal.h"

#include "cluster/message.h"

#define SAY_AGAIN_MS 10000
#define ASK_AGAIN_MS 1000
#define TELL_AGAIN_MS 500
#define SAID_IN_TICK 8u /* so many hear of a new version in one tick; of those who have, one hears it again */

static const char module_id[8] = { 'r', 's', 'h', 'd', 'p', 'o', 'l', 'y' };
enum { SHARED_SAY = 1, SHARED_ASK = 2, SHARED_TELL = 3 };

#define VERSION_BYTES 24u

static int compare(const struct cluster_shared_version *a, const struct cluster_shared_version *b)
{
    if (a->epoch != b->epoch) return a->epoch < b->epoch ? -1 : 1;
    if (a->number != b->number) return a->number < b->number ? -1 : 1;
    if (a->digest != b->digest) return a->digest < b->digest ? -1 : 1;
    return 0;
}

static void put64(struct buf *out, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8) buf_append_byte(out, (char)(value >> shift));
}

static uint64_t get64(const char *at)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++) value = value << 8 | (uint8_t)at[i];
    return value;
}

static void send(struct cluster *c, cluster_link link, uint8_t type, bool with_text, struct effects *e)
{
    struct buf out = { 0 }, payload = { 0 };

    if (type != SHARED_ASK) {
        put64(&payload, c->shared_version.epoch);
        put64(&payload, c->shared_version.number);
        put64(&payload, c->shared_version.digest);
    }
    if (with_text) buf_append_bytes(&payload, buf_bytes(&c->shared_text));
    header_begin(c, MESSAGE_MODULE, &out);
    message_module_write(&out, module_id, type, buf_bytes(&payload));
    message_send(c, link, &out, e);
    buf_free(&payload);
}

void cluster_share(struct cluster *c, const struct cluster_shared_version *version, struct bytes text)
{
    if (text.len > CLUSTER_SHARED_BYTES_MAX || compare(version, &c->shared_version) <= 0) return;
    c->shared_version = *version;
    buf_clear(&c->shared_text);
    buf_append_bytes(&c->shared_text, text);
}

static void say(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e)
{
    node->shared_said = c->shared_version;
    node->shared_said_ms = now_ms;
    send(c, node->outbound, SHARED_SAY, false, e);
}

/* What comes too soon after the last time is asked later: the version was heard. */
static void ask(struct cluster *c, struct node *node, cluster_link link, int64_t now_ms, struct effects *e)
{
    if (now_ms - node->shared_asked_ms < ASK_AGAIN_MS) return;
    node->shared_asked_ms = now_ms;
    node->shared_awaited = true;
    send(c, link, SHARED_ASK, false, e);
}

void shared_tick(struct cluster *c, int64_t now_ms, struct effects *e)
{
    unsigned news = 0;
    bool again = false;

    if (c->solo || !announce_may_speak(c)) return;
    for (size_t i = 0; i < c->node_count && news < SAID_IN_TICK; i++) {
        struct node *node = c->nodes[i];

        if (!node->is_ours || node->outbound == 0 || node_is(node, FLAG_HANDSHAKE)) continue;
        if (compare(&node->shared_heard, &c->shared_version) > 0) {
            ask(c, node, node->outbound, now_ms, e);
        } else if (c->shared_version.number == 0) {
            continue;
        } else if (compare(&node->shared_said, &c->shared_version) != 0) {
            say(c, node, now_ms, e);
            news++;
        } else if (!again && now_ms - node->shared_said_ms >= SAY_AGAIN_MS) {
            say(c, node, now_ms, e);
            again = true;
        }
    }
}

static void hear(struct cluster *c, struct node *node, cluster_link link, const struct message *message, int64_t now_ms,
                 struct effects *e)
{
    struct bytes payload = message->module_payload;
    struct cluster_shared_version version;

    if (payload.len < VERSION_BYTES) return;
    version = (struct cluster_shared_version){ get64(payload.data), get64(payload.data + 8), get64(payload.data + 16) };
    node->shared_heard = version;
    if (compare(&version, &c->shared_version) <= 0) return;
    if (message->module_type == SHARED_SAY) {
        ask(c, node, link, now_ms, e);
        return;
    }
    if (!node->shared_awaited || payload.len - VERSION_BYTES > CLUSTER_SHARED_BYTES_MAX) return;
    node->shared_awaited = false;
    emit_shared(e, (struct bytes){ payload.data + VERSION_BYTES, payload.len - VERSION_BYTES });
}

void shared_module(struct cluster *c, struct node *node, cluster_link link, const struct message *message,
                   int64_t now_ms, struct effects *e)
{
    if (memcmp(message->module, module_id, sizeof(module_id)) != 0) return;
    switch (message->module_type) {
    case SHARED_SAY:
    case SHARED_TELL:
        hear(c, node, link, message, now_ms, e);
        return;
    case SHARED_ASK:
        if (c->shared_version.number == 0 || now_ms - node->shared_told_ms < TELL_AGAIN_MS) return;
        node->shared_told_ms = now_ms;
        send(c, link, SHARED_TELL, true, e);
        return;
    default:
        return;
    }
}
