/* cluster/gossip.c
 *
 * What a PING says of others: a few nodes drawn by chance, and all that are suspected, so that news of a failure does not wait
 * for luck. What is heard of others is only ever a suspicion, an address to try, or a node to get to know. */
#include "cluster/cluster_internal.h"

#include "cluster/message.h"

#define GOSSIP_MIN 3u
#define CLOCK_SKEW_MS 500

void header_begin(struct cluster *c, unsigned type, struct buf *out)
{
    const struct node *me = c->myself, *primary = me->primary;
    struct announcement mine = announce_now(c);

    message_header_write(out, &(struct message_header){
                                  .type = (uint16_t)type,
                                  .port = me->port,
                                  .cport = me->cport,
                                  .pport = me->pport,
                                  .flags = (uint16_t)(me->flags & (FLAG_PRIMARY | FLAG_REPLICA | FLAG_MYSELF |
                                                                   FLAG_MIGRATE_TO | FLAG_NOFAILOVER)),
                                  .state = c->ok ? 0 : 1,
                                  .current_epoch = mine.current_epoch,
                                  .config_epoch = primary != NULL ? primary->config_epoch : mine.config_epoch,
                                  .offset = me->offset,
                                  .sender = me->id,
                                  .primary = primary != NULL ? primary->id : "",
                                  .ip = c->options.announce_ip,
                                  .slots = primary != NULL ? primary->slots : mine.slots,
                                  .mark = { .is_ours = true,
                                            .incarnation = c->incarnation,
                                            .sequence = ++c->told_sequence,
                                            .view = c->view_digest,
                                            .shared = shared_digest(c) },
                              });
}

void message_send(struct cluster *c, cluster_link link, struct buf *message, struct effects *e)
{
    uint16_t type = message_type_of(buf_bytes(message));

    if (!announce_may_speak(c)) {
        buf_free(message);
        return;
    }
    if (type != MESSAGE_PING && type != MESSAGE_PONG && type != MESSAGE_MEET) message_finish(message, 0, 0);
    if (type < MESSAGE_TYPES) c->sent[type]++;
    emit_send(e, link, message);
}

void message_broadcast(struct cluster *c, struct buf *message, struct effects *e)
{
    for (size_t i = 0; i < c->node_count; i++) {
        const struct node *node = c->nodes[i];
        struct buf copy = { 0 };
        if (node->outbound == 0 || node == c->myself || node_is(node, FLAG_HANDSHAKE)) continue;
        buf_append_bytes(&copy, buf_bytes(message));
        message_send(c, node->outbound, &copy, e);
    }
    buf_free(message);
}

/* --- What clients publish --- */

size_t cluster_publish_links(const struct cluster *c, bool shard, cluster_link *links, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < c->node_count; i++) {
        const struct node *node = c->nodes[i];

        if (node->outbound == 0 || node == c->myself || node_is(node, FLAG_HANDSHAKE)) continue;
        if (shard && node->primary != c->myself) continue;
        if (count < max) links[count] = node->outbound;
        count++;
    }
    return count;
}

bool cluster_publication(struct cluster *c, bool shard, struct bytes channel, struct bytes message, size_t links,
                         struct buf *out)
{
    unsigned type = shard ? MESSAGE_PUBLISHSHARD : MESSAGE_PUBLISH;
    struct buf packet = { 0 };

    if (!announce_may_speak(c)) return false;
    header_begin(c, type, &packet);
    message_publish_write(&packet, channel, message);
    message_finish(&packet, 0, 0);
    buf_append_bytes(out, buf_bytes(&packet));
    buf_free(&packet);
    c->sent[type] += links;
    return true;
}

/* --- Gossip --- */

static void put(struct cluster *c, struct node *node, struct buf *out)
{
    struct gossip entry = {
        .ping_sent_s = (uint32_t)(node->ping_sent_ms / 1000),
        .pong_received_s = (uint32_t)(node->pong_received_ms / 1000),
        .port = node->port,
        .cport = node->cport,
        .pport = node->pport,
        .flags = node->flags & FLAGS_GOSSIPED,
    };

    memcpy(entry.id, node->id, sizeof(entry.id));
    memcpy(entry.ip, node->ip, sizeof(entry.ip));
    message_gossip_write(out, &entry);
    node->gossip_mark = c->gossip_mark;
}

static void new_mark(struct cluster *c)
{
    if (++c->gossip_mark != 0) return;
    for (size_t i = 0; i < c->node_count; i++) c->nodes[i]->gossip_mark = 0;
    c->gossip_mark = 1;
}

static uint16_t put_some(struct cluster *c, const struct node *to, struct buf *out)
{
    size_t fresh = c->node_count > 2 ? c->node_count - 2 : 0;
    size_t wanted = c->node_count / 10 > GOSSIP_MIN ? c->node_count / 10 : GOSSIP_MIN;
    size_t count = 0;

    if (wanted > fresh) wanted = fresh;
    for (size_t tries = wanted * 3; tries > 0 && count < wanted && fresh > 0; tries--) {
        struct node *node = c->nodes[random_below(&c->random, c->node_count)];
        if (node == c->myself || node == to || node_is(node, FLAG_PFAIL) || node->gossip_mark == c->gossip_mark)
            continue;
        if (node_is(node, FLAG_HANDSHAKE | FLAG_NOADDR) || (node->outbound == 0 && node->slot_count == 0)) {
            fresh--;
            continue;
        }
        put(c, node, out);
        count++;
        fresh--;
    }
    return (uint16_t)count;
}

static uint16_t put_suspected(struct cluster *c, struct buf *out)
{
    size_t count = 0;

    for (size_t i = 0; i < c->node_count && count < c->pfail_count; i++) {
        struct node *node = c->nodes[i];
        if (!node_is(node, FLAG_PFAIL) || node_is(node, FLAG_HANDSHAKE | FLAG_NOADDR)) continue;
        put(c, node, out);
        count++;
    }
    return (uint16_t)count;
}

void gossip_send(struct cluster *c, unsigned type, cluster_link link, struct node *to, int64_t now_ms,
                 struct effects *e)
{
    struct buf out = { 0 };
    uint16_t entries, extensions = 0;

    header_begin(c, type, &out);
    /* Says that we read extensions: without the bit newer peers would not send us theirs. */
    out.data[2253] = (char)(out.data[2253] | (char)MESSAGE_EXT_DATA);
    new_mark(c);
    entries = put_some(c, to, &out);
    entries = (uint16_t)(entries + put_suspected(c, &out));
    if (c->options.announce_hostname[0]) {
        message_hostname_write(&out, c->options.announce_hostname);
        extensions++;
    }
    /* Redis 7.0 logs a warning for each extension it does not know: only who sends a shard id, or is of our kind, is sent these. */
    if (to != NULL && (to->sends_shard_id || to->is_ours)) {
        extensions = (uint16_t)(extensions + forgotten_put(c, now_ms, &out));
        message_shard_id_write(&out, c->myself->shard_id);
        extensions++;
    }
    message_finish(&out, entries, extensions);
    if (type == MESSAGE_PING && to != NULL && to->ping_sent_ms == 0) to->ping_sent_ms = now_ms;
    message_send(c, link, &out, e);
}

void gossip_broadcast_pong(struct cluster *c, int64_t now_ms, struct effects *e)
{
    for (size_t i = 0; i < c->node_count; i++) {
        struct node *node = c->nodes[i];
        if (node->outbound == 0 || node == c->myself || node_is(node, FLAG_HANDSHAKE)) continue;
        gossip_send(c, MESSAGE_PONG, node->outbound, node, now_ms, e);
    }
}

static bool has_address(const struct gossip *entry)
{
    return entry->ip[0] != '\0' && entry->cport != 0 && (entry->flags & FLAG_NOADDR) == 0;
}

static void about_known(struct cluster *c, struct node *sender, struct node *node, const struct gossip *entry,
                        int64_t now_ms, struct effects *e)
{
    bool fails = (entry->flags & (FLAG_PFAIL | FLAG_FAIL)) != 0;
    int64_t pong_ms = (int64_t)entry->pong_received_s * 1000;

    if (node_is_primary(sender)) {
        if (fails) {
            failure_report_add(node, sender, now_ms);
            failure_evaluate(c, node, now_ms, e);
        } else {
            failure_report_remove(node, sender->index);
        }
    }
    if (fails) return;
    if (node->ping_sent_ms == 0 && pong_ms > node->pong_received_ms && pong_ms <= now_ms + CLOCK_SKEW_MS &&
        failure_report_count(c, node, now_ms) == 0)
        node->pong_received_ms = pong_ms;
    if (node_is(node, FLAG_PFAIL | FLAG_FAIL) && has_address(entry))
        node_set_address(c, node, entry->ip, entry->port, entry->cport, entry->pport, e);
}

static void about_stranger(struct cluster *c, const struct node *sender, const struct gossip *entry, int64_t now_ms,
                           struct effects *e)
{
    /* Not its failure flags: that it is gone is for us to find out. */
    unsigned flags = entry->flags & FLAGS_LEARNED & ~FLAG_MIGRATE_TO;
    struct node *node;

    if (!has_address(entry)) return;
    if (blacklist_has(c, entry->id, now_ms)) {
        forgotten_ask(c, sender, entry->id, now_ms, e);
        return;
    }
    if (flags & FLAG_REPLICA)
        flags &= ~(unsigned)FLAG_PRIMARY;
    else
        flags |= FLAG_PRIMARY;
    node = node_add(c, entry->id, flags, now_ms);
    if (node == NULL) return;
    node_set_address(c, node, entry->ip, entry->port, entry->cport, entry->pport, e);
    emit_log(e, LOG_VERBOSE, "node %.40s: new, at %s:%u, says %.40s", node->id, node->ip, node->port, sender->id);
}

void gossip_receive(struct cluster *c, struct node *sender, const struct message *message, int64_t now_ms,
                    struct effects *e)
{
    for (size_t i = 0; i < message->count; i++) {
        struct gossip entry;
        struct node *node;
        if (!gossip_decode(message, i, &entry)) continue;
        node = node_find(c, entry.id);
        if (node == c->myself) continue;
        if (node == NULL)
            about_stranger(c, sender, &entry, now_ms, e);
        else if (!node_is(node, FLAG_HANDSHAKE))
            about_known(c, sender, node, &entry, now_ms, e);
    }
}
