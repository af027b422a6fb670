/* cluster/packet.c
 *
 * One message that came, step by step and in the wire's order: who sent it, what the header says, the answer, the address, the
 * role, the slots, the epochs, and what it says of others. The answer goes out before the rest is believed.
 *
 * A sender is *known* once it is a node of ours that is past its handshake. What a stranger says changes nothing, but for a MEET,
 * which makes us shake hands. */
#include "cluster/cluster_internal.h"

#include "cluster/message.h"

#include <assert.h>

struct packet {
    const struct message *message;
    struct link *link; /* looked up again after what may remove it */
    cluster_link link_id;
    struct node *sender; /* NULL: a stranger */
    int64_t now_ms;
};

static const char *const type_names[MESSAGE_TYPES] = { "ping",    "pong",     "meet",        "fail",
                                                       "publish", "auth-req", "auth-ack",    "update",
                                                       "mfstart", "module",   "publishshard" };

static const char *type_name(uint16_t type)
{
    return type < MESSAGE_TYPES ? type_names[type] : "unknown";
}

static const char *sender_ip(const struct packet *packet)
{
    return packet->message->ip[0] ? packet->message->ip : packet->link->peer_ip;
}

/* The node at the other end, handshakes included. */
static struct node *link_node(const struct cluster *c, const struct link *link)
{
    return node_at_index(c, link->node);
}

/* The first packet of an accepted link that names a known node ties the two together. Of two such links the newer one counts. */
static void attach(struct cluster *c, struct link *link, struct node *node, struct effects *e)
{
    if (node->inbound != 0 && node->inbound != link->id) {
        emit_close(e, node->inbound);
        link_remove(c, node->inbound);
    }
    node->inbound = link->id;
    link->node = node->index;
}

static void learn_own_ip(struct cluster *c, const struct link *link, struct effects *e)
{
    struct node *me = c->myself;

    assert(me != NULL);
    if (c->options.announce_ip[0] || link->local_ip[0] == '\0' || strcmp(me->ip, link->local_ip) == 0) return;
    memset(me->ip, 0, sizeof(me->ip));
    memcpy(me->ip, link->local_ip, strlen(link->local_ip));
    c->view_dirty = true;
    cluster_save_later(c, SAVE_SOON);
    emit_log(e, LOG_NOTICE, "cluster: my address is %s", me->ip);
}

/* What every message of a known sender tells, whatever its type. */
static void learn_header(struct cluster *c, const struct packet *packet, struct effects *e)
{
    struct node *sender = packet->sender;
    const struct message *message = packet->message;

    sender->data_received_ms = packet->now_ms;
    epoch_saw(c, sender, message->current_epoch, e);
    sender->offset = message->offset;
    shared_heard(c, sender, &message->mark, packet->now_ms);
}

/* Only together with the slots it is said of. Taken from a message whose slots nobody reads it would stand beside older ones: a slot
 * that its owner had lost before it took this epoch would look like one it claims with it, and whoever has it by now be told
 * to give it back, to somebody who does not claim it. */
static void learn_epoch(struct cluster *c, struct node *sender, const struct message *message)
{
    if (message->config_epoch <= sender->config_epoch) return;
    sender->config_epoch = message->config_epoch;
    cluster_save_later(c, SAVE_SOON);
}

/* Two links run between two nodes, and what was said first on one may come last. Of a node of our kind we know the order: what is older
 * than what we have heard tells nothing of its role, its slots or others any more. */
static bool is_overtaken(struct node *sender, const struct mark *mark)
{
    sender->is_ours = mark->is_ours;
    if (!mark->is_ours) return false;
    if (sender->incarnation == mark->incarnation && mark->sequence < sender->sequence) return true;
    if (sender->incarnation != mark->incarnation) difference_forget(sender);
    sender->incarnation = mark->incarnation;
    sender->sequence = mark->sequence;
    return false;
}

/* True where the packet has been dealt with: nothing more of it is read. */
static bool shake_hands(struct cluster *c, struct packet *packet, struct effects *e)
{
    struct node *node = link_node(c, packet->link), *known;

    if (packet->link->inbound || node == NULL) return false;
    if (node_is(node, FLAG_HANDSHAKE)) {
        known = node_find(c, packet->message->sender);
        if (known != NULL) {
            /* We met somebody we know already, perhaps at a new address; or ourselves. */
            if (known != c->myself && !node_is(known, FLAG_HANDSHAKE)) {
                forgotten_met(c, known, node->created_ms, packet->now_ms);
                node_set_address(c, known, sender_ip(packet), packet->message->port, packet->message->cport,
                                 packet->message->pport, e);
            }
            node_remove(c, node, packet->now_ms, e);
            return true;
        }
        node_rename(c, node, packet->message->sender);
        forgotten_met(c, node, node->created_ms, packet->now_ms);
        node->flags |= packet->message->flags & FLAG_REPLICA ? FLAG_REPLICA : FLAG_PRIMARY;
        cluster_save_later(c, SAVE_SOON);
        emit_log(e, LOG_NOTICE, "node %.40s: joined, at %s:%u", node->id, node->ip, node->port);
        /* Redis takes roles, slots and epochs from its next packet on. In a large cluster, where gossip makes most pings needless,
         * that can be long after: what it says with its name is as good. */
        packet->sender = node;
        learn_header(c, packet, e);
        return false;
    }
    if (memcmp(node->id, packet->message->sender, NODE_ID_BYTES) == 0) return false;

    /* Somebody else answers where this node used to be. */
    emit_log(e, LOG_WARNING, "node %.40s: its address now answers as %.40s", node->id, packet->message->sender);
    node->flags |= FLAG_NOADDR;
    memset(node->ip, 0, sizeof(node->ip));
    node->port = node->cport = node->pport = 0;
    c->view_dirty = true;
    cluster_save_later(c, SAVE_SOON);
    node_disconnect(c, node, e);
    return true;
}

static void met(struct cluster *c, const struct packet *packet, struct effects *e)
{
    bool exists;

    /* Whoever meets us wants us in a cluster: being one of one is over. */
    view_end_solo(c, e);
    if (packet->sender != NULL) forgotten_met(c, packet->sender, packet->now_ms, packet->now_ms);
    if (packet->sender != NULL || packet->message->cport == 0) return;
    if (memcmp(packet->message->sender, c->myself->id, NODE_ID_BYTES) == 0) return;
    handshake_start(c, sender_ip(packet), packet->message->port, packet->message->cport, 0, packet->now_ms, &exists);
}

static void learn_flag_and_address(struct cluster *c, const struct packet *packet, struct effects *e)
{
    struct node *sender = packet->sender;
    const struct message *message = packet->message;

    sender->flags = (uint16_t)((sender->flags & ~FLAG_NOFAILOVER) | (message->flags & FLAG_NOFAILOVER));
    if (message->type != MESSAGE_PING || !packet->link->inbound || message->cport == 0) return;
    if (node_set_address(c, sender, sender_ip(packet), message->port, message->cport, message->pport, e))
        emit_log(e, LOG_NOTICE, "node %.40s: moved to %s:%u", sender->id, sender->ip, sender->port);
}

static void learn_role(struct cluster *c, const struct packet *packet, struct effects *e)
{
    struct node *sender = packet->sender, *primary;

    if (packet->message->primary[0] == '\0') {
        node_become_primary(c, sender);
        return;
    }
    primary = node_find(c, packet->message->primary);
    if (primary != NULL && node_is(primary, FLAG_HANDSHAKE)) primary = NULL;
    node_become_replica(c, sender, primary, e);
}

/* True where these are the node's slots, and none of them is noted as one that it gave up, or waits for its word. */
static bool says_what_we_know(const struct cluster *c, const struct node *node, const uint8_t *slots)
{
    if (memcmp(node_slots(node), slots, SLOT_BITMAP_BYTES) != 0) return false;
    for (size_t i = 0; node->slot_count > 0 && i < SLOT_BITMAP_BYTES; i++)
        if (slots[i] & (c->not_claiming[i] | c->yielded[i])) return false;
    return true;
}

static void learn_slots(struct cluster *c, const struct packet *packet, struct effects *e)
{
    const struct message *message = packet->message;
    struct node *sender = packet->sender, *primary = node_is_primary(sender) ? sender : sender->primary;

    if (primary == sender) moves_heard(c, sender, message->current_epoch, message->config_epoch, message->slots, e);
    if (primary == NULL || says_what_we_know(c, primary, message->slots)) return;
    if (node_is_primary(sender)) view_claim(c, sender, message->config_epoch, message->slots, WORD_OWN, e);
    view_correct(c, sender, message->config_epoch, message->slots, e);
    if (primary == sender && sender->is_ours) moves_tell(c, sender, message->config_epoch, message->slots, e);
}

static void learn_names(struct cluster *c, struct node *sender, const struct message *message, int64_t now_ms,
                        struct effects *e)
{
    if (strcmp(sender->hostname, message->hostname) != 0) {
        memcpy(sender->hostname, message->hostname, sizeof(sender->hostname));
        c->view_dirty = true;
        cluster_save_later(c, SAVE_SOON);
    }
    if (message->shard_id[0]) {
        sender->sends_shard_id = true;
        if (strcmp(sender->shard_id, message->shard_id) != 0) {
            memcpy(sender->shard_id, message->shard_id, sizeof(sender->shard_id));
            cluster_save_later(c, SAVE_SOON);
        }
    }
    forgotten_told(c, sender, message, now_ms, e);
}

/* PING, PONG and MEET. */
static void heartbeat(struct cluster *c, struct packet *packet, struct effects *e)
{
    const struct message *message = packet->message;
    struct node *sender = packet->sender, *node;
    bool overtaken;

    if (message->type != MESSAGE_PONG) {
        if (message->type == MESSAGE_MEET || c->myself->ip[0] == '\0') learn_own_ip(c, packet->link, e);
        if (message->type == MESSAGE_MEET) met(c, packet, e);
        gossip_send(c, MESSAGE_PONG, packet->link_id, sender, packet->now_ms, e);
    }
    if (shake_hands(c, packet, e)) return;

    sender = packet->sender;
    overtaken = sender != NULL && is_overtaken(sender, &message->mark);
    if (overtaken) c->ignored++;
    if (sender != NULL && !overtaken) learn_flag_and_address(c, packet, e);
    /* The new address may have cost us the link. */
    packet->link = link_find(c, packet->link_id);
    node = packet->link != NULL ? link_node(c, packet->link) : NULL;
    if (message->type == MESSAGE_PONG && node != NULL && !packet->link->inbound) {
        node->pong_received_ms = packet->now_ms;
        node->ping_sent_ms = 0;
        failure_cleared(c, node, packet->now_ms, e);
    }
    if (sender == NULL || overtaken) return;
    learn_epoch(c, sender, message);
    learn_role(c, packet, e);
    learn_slots(c, packet, e);
    sender->said_epoch = message->current_epoch;
    difference_heard(c, sender, message, packet->now_ms);
    epoch_collision(c, sender, message->config_epoch, message->slots, packet->now_ms, e);
    gossip_receive(c, sender, message, packet->now_ms, e);
    learn_names(c, sender, message, packet->now_ms, e);
}

/* What a third node says may be what it knew before the subject gave us the slots. A node of our kind is asked itself, and we go on serving
 * them, unless we are about to begin with that (view.c). Where it does not answer for long the word of others counts, which they repeat as long as they believe it: the slots are yielded. */
static bool is_doubtful(struct cluster *c, struct node *subject, const struct message *message, int64_t now_ms,
                        struct effects *e)
{
    const uint8_t *mine = node_slots(c->myself);
    bool takes = false;

    if (subject->heard_view && !subject->is_ours) return false;
    for (size_t i = 0; i < SLOT_BITMAP_BYTES && !takes; i++) takes = (mine[i] & message->subject_slots[i]) != 0;
    if (!takes) return false;
    if (subject->doubted_epoch < message->subject_epoch) {
        subject->doubted_epoch = message->subject_epoch;
        subject->doubted_ms = now_ms;
        emit_log(e, LOG_NOTICE, "slots: %s says that %.40s has some of mine, with epoch %llu: waiting for its own word",
                 message->sender, subject->id, (unsigned long long)message->subject_epoch);
        if (subject->outbound != 0 && subject->ping_sent_ms == 0)
            gossip_send(c, MESSAGE_PING, subject->outbound, subject, now_ms, e);
        return true;
    }
    return doubt_lasts(c, subject, now_ms);
}

static void update(struct cluster *c, const struct packet *packet, struct effects *e)
{
    const struct message *message = packet->message;
    struct node *node = node_find(c, message->subject);

    if (node == NULL || node == c->myself || node_is(node, FLAG_HANDSHAKE) ||
        node->config_epoch >= message->subject_epoch)
        return;
    if (is_doubtful(c, node, message, packet->now_ms, e)) return;
    node_become_primary(c, node);
    node->config_epoch = message->subject_epoch;
    cluster_save_later(c, SAVE_SOON);
    view_claim(c, node, message->subject_epoch, message->subject_slots, WORD_HEARSAY, e);
}

static void dispatch(struct cluster *c, struct packet *packet, struct effects *e)
{
    if (packet->sender != NULL) learn_header(c, packet, e);
    switch (packet->message->type) {
    case MESSAGE_PING:
    case MESSAGE_PONG:
    case MESSAGE_MEET:
        heartbeat(c, packet, e);
        return;
    case MESSAGE_FAIL:
        if (packet->sender != NULL) failure_told(c, packet->sender, packet->message->subject, packet->now_ms, e);
        return;
    case MESSAGE_UPDATE:
        if (packet->sender != NULL) update(c, packet, e);
        return;
    case MESSAGE_AUTH_REQUEST:
        if (packet->sender != NULL) election_asked(c, packet->sender, packet->message, packet->now_ms, e);
        return;
    case MESSAGE_AUTH_ACK: /* nobody here stands */
    case MESSAGE_MFSTART:
        return;
    case MESSAGE_PUBLISH:
    case MESSAGE_PUBLISHSHARD:
        if (packet->sender != NULL)
            emit_publish(e, packet->message->type == MESSAGE_PUBLISHSHARD, packet->message->channel,
                         packet->message->text);
        return;
    case MESSAGE_MODULE:
        if (packet->sender == NULL || !packet->sender->is_ours) return;
        difference_module(c, packet->sender, packet->link_id, packet->message, packet->now_ms, e);
        shared_module(c, packet->sender, packet->link_id, packet->message, packet->now_ms, e);
        return;
    default:
        return;
    }
}

static bool refuse(struct cluster *c, enum message_verdict verdict, uint16_t type, size_t len, struct effects *e)
{
    (void)c;
    switch (verdict) {
    case MESSAGE_OK:
        return false;
    case MESSAGE_OTHER_VERSION:
        return true;
    case MESSAGE_BAD_EXTENSION:
        emit_log(e, LOG_VERBOSE, "packet: %s of %zu bytes with damaged extensions dropped", type_name(type), len);
        return true;
    case MESSAGE_BAD_LENGTH:
        emit_log(e, LOG_VERBOSE, "packet: %s of %zu bytes, which is not its length, dropped", type_name(type), len);
        return true;
    case MESSAGE_BAD_FIELD:
        emit_log(e, LOG_VERBOSE, "packet: %s of %zu bytes with an impossible id, text or epoch dropped",
                 type_name(type), len);
        return true;
    }
    return true;
}

/* Who a packet is from. False: it is nobody's business here. */
static bool find_sender(struct cluster *c, struct packet *packet, struct effects *e)
{
    struct node *node = link_node(c, packet->link), *named = node_find(c, packet->message->sender);

    if (named != NULL && node_is(named, FLAG_HANDSHAKE)) named = NULL;
    if (named == c->myself) {
        /* Our own voice: a MEET with our own address. It gets its answer, and the handshake its end. */
        packet->sender = NULL;
        return packet->message->type <= MESSAGE_MEET;
    }
    if (packet->link->inbound && node != NULL && node != named) {
        /* One connection speaks for one node. Who changes its id comes again on a new one. */
        emit_log(e, LOG_VERBOSE, "link of node %.40s: closed, a packet on it is from %.40s", node->id,
                 packet->message->sender);
        emit_close(e, packet->link_id);
        link_remove(c, packet->link_id);
        return false;
    }
    packet->sender = named;
    if (packet->link->inbound && named == NULL && packet->message->type != MESSAGE_MEET) c->ignored++;
    if (packet->link->inbound && named != NULL && node == NULL) attach(c, packet->link, named, e);
    /* On a link we opened to somebody else the name is not enough to be believed: shake_hands() sorts that out. */
    if (!packet->link->inbound && node != NULL && node != named) packet->sender = NULL;
    return true;
}

void cluster_packet(struct cluster *c, cluster_link link, struct bytes bytes, int64_t now_ms, struct effects *e)
{
    uint16_t type = message_type_of(bytes);
    struct message message;
    struct packet packet = { .message = &message, .link = link_find(c, link), .link_id = link, .now_ms = now_ms };

    if (packet.link == NULL) {
        emit_close(e, link);
        return;
    }
    if (type < MESSAGE_TYPES) c->received[type]++;
    if (refuse(c, message_decode(bytes, &message), type, bytes.len, e)) {
        c->ignored++;
        return;
    }
    if (find_sender(c, &packet, e)) dispatch(c, &packet, e);
    cluster_settle(c, false, now_ms, e);
}
