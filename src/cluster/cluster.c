/* cluster/cluster.c
 *
 * Birth and death of a view, its ticks and its links, and how each event ends. */
#include "cluster/cluster_internal.h"

#include "base/alloc.h"
#include "cluster/message.h"

#define IDLE_PING_SAMPLES 5
#define HANDSHAKE_MS_MIN 1000
#define SAVE_RETRY_TICKS 10
#define NODE_TIMEOUT_MS_MAX (INT64_MAX / 4) /* its multiples are numbers, too */

struct cluster *cluster_bare(const struct cluster_options *options, uint64_t seed, int64_t now_ms)
{
    struct cluster *c = alloc_zeroed(sizeof(*c));

    c->options = *options;
    c->started_ms = c->view_changed_ms = now_ms;
    c->handed_over = SLOT_COUNT;
    random_seed(&c->random, seed);
    c->incarnation = (uint32_t)random_u64(&c->random);
    /* INDEX_NONE, of which all bits are set. */
    memset(c->owner, 0xff, sizeof(c->owner));
    memset(c->migrating, 0xff, sizeof(c->migrating));
    memset(c->importing, 0xff, sizeof(c->importing));
    memset(c->taken_from, 0xff, sizeof(c->taken_from));
    memset(c->yielded_leaving, 0xff, sizeof(c->yielded_leaving));
    return c;
}

struct cluster *cluster_new(const struct cluster_options *options, uint64_t seed, int64_t now_ms)
{
    struct cluster *c = cluster_bare(options, seed, now_ms);
    char id[NODE_ID_BYTES + 1];

    id_random(c, id);
    c->myself = node_add(c, id, FLAG_MYSELF | FLAG_PRIMARY, now_ms);
    id_random(c, c->myself->shard_id);
    c->solo = c->ok = true;
    cluster_apply_options(c);
    cluster_save_later(c, SAVE_SOON);
    return c;
}

void cluster_free(struct cluster **cluster)
{
    struct cluster *c = *cluster;

    if (c == NULL) return;
    for (size_t i = 0; i < c->link_buckets; i++)
        for (struct link *link = c->links[i], *next; link != NULL; link = next) {
            next = link->next;
            alloc_free(link);
        }
    for (size_t i = 0; i < c->node_count; i++) {
        beliefs_drop(c, c->nodes[i]);
        node_free(c->nodes[i]);
    }
    shared_set_free(&c->shared.set);
    alloc_free(c->links);
    alloc_free(c->nodes);
    alloc_free(c->indices);
    alloc_free(c);
    *cluster = NULL;
}

/* What we say of ourselves. Texts that could not stand in a line of the state file are left out. */
void cluster_apply_options(struct cluster *c)
{
    struct cluster_options *options = &c->options;
    struct node *me = c->myself;

    options->announce_ip[sizeof(options->announce_ip) - 1] = '\0';
    options->announce_hostname[sizeof(options->announce_hostname) - 1] = '\0';
    if (!text_is_address(options->announce_ip)) options->announce_ip[0] = '\0';
    if (!text_is_hostname(options->announce_hostname)) options->announce_hostname[0] = '\0';
    if (options->node_timeout_ms < 1) options->node_timeout_ms = 1;
    if (options->node_timeout_ms > NODE_TIMEOUT_MS_MAX) options->node_timeout_ms = NODE_TIMEOUT_MS_MAX;
    if (options->announce_ip[0]) memcpy(me->ip, options->announce_ip, sizeof(me->ip));
    memcpy(me->hostname, options->announce_hostname, sizeof(me->hostname));
    me->port = options->announce_port ? options->announce_port : options->port;
    me->cport = options->announce_cport ? options->announce_cport : options->cport;
}

void cluster_configure(struct cluster *c, const struct cluster_options *options, struct effects *e)
{
    /* An address that is not announced any more is found out anew, with the next packet that comes to one of ours. */
    if (c->options.announce_ip[0] && !options->announce_ip[0]) memset(c->myself->ip, 0, sizeof(c->myself->ip));
    c->options = *options;
    cluster_apply_options(c);
    cluster_save_later(c, SAVE_SOON);
    c->state_dirty = true;
    emit_view(e);
}

void cluster_announce_all(struct cluster *c, struct effects *e)
{
    (void)c;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) emit_owner(e, (uint16_t)slot);
    emit_view(e);
}

void cluster_note_keys(struct cluster *c, const uint8_t *bitmap, int64_t now_ms, struct effects *e)
{
    if (c->solo) {
        memcpy(c->kept, bitmap, sizeof(c->kept));
        return;
    }
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        uint16_t slot = (uint16_t)i;
        if (!bitmap_has(bitmap, slot)) continue;
        if (c->owner[slot] == INDEX_NONE)
            slot_bind(c, slot, c->myself, e);
        else if (c->owner[slot] != c->myself->index && c->importing[slot] == INDEX_NONE)
            slot_set_importing(c, slot, c->owner[slot], e);
    }
    cluster_settle(c, true, now_ms, e);
}

/* --- How an event ends --- */

void cluster_save_later(struct cluster *c, enum save save)
{
    if (c->save < save) c->save = save;
}

void cluster_persist_now(struct cluster *c, bool sync, struct effects *e)
{
    struct buf content = { 0 };

    cluster_save(c, &content);
    emit_persist(e, &content, ++c->save_sequence, sync);
    announce_saving(c);
    c->save = SAVE_NO;
}

static void date_rebound(struct cluster *c, int64_t now_ms)
{
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        if (c->rebound[slot / 8] == 0)
            slot += 7;
        else if (bitmap_has(c->rebound, slot))
            c->owner_after_ms[slot] = now_ms - c->started_ms;
    }
    memset(c->rebound, 0, sizeof(c->rebound));
    c->any_rebound = false;
    c->view_changed_ms = now_ms;
}

static void tell_all(struct cluster *c, int64_t now_ms, struct effects *e)
{
    if (!c->tell_all || !announce_is_current(c)) return;
    c->tell_all = false;
    gossip_broadcast_pong(c, now_ms, e);
}

void cluster_settle(struct cluster *c, bool flush, int64_t now_ms, struct effects *e)
{
    if (announce_settle(c, now_ms, e)) tell_all(c, now_ms, e);
    if (c->any_rebound) date_rebound(c, now_ms);
    if (c->state_dirty || (flush && !c->ok)) view_update_state(c, now_ms, e);
    if (c->save == SAVE_SYNC || (flush && c->save != SAVE_NO)) cluster_persist_now(c, c->save == SAVE_SYNC, e);
    if (c->view_dirty) emit_view(e);
    c->view_dirty = false;
}

void cluster_persisted(struct cluster *c, uint64_t sequence, bool ok, int64_t now_ms, struct effects *e)
{
    if (ok) announce_saved(c, sequence);
    election_saved(c, sequence, ok, e);
    announce_settle(c, now_ms, e);
    tell_all(c, now_ms, e);
    if (ok == !c->save_failed) return;
    c->save_failed = !ok;
    if (ok)
        emit_log(e, LOG_NOTICE, "cluster: state %llu is on disk, after failures: others are told of it",
                 (unsigned long long)sequence);
    else
        emit_log(e, LOG_WARNING,
                 "cluster: state %llu could not be written: this node goes on serving and tries again each second, but "
                 "claims no slot and no epoch that is not on disk, and votes for nobody",
                 (unsigned long long)sequence);
}

/* --- Links --- */

static struct node *connect_answered(struct cluster *c, uint16_t index)
{
    struct node *node = node_at_index(c, index);

    if (index < c->index_count) c->indices[index].connecting = false;
    if (node != NULL) node->connecting = false;
    return node;
}

void cluster_link_opened(struct cluster *c, uint16_t index, cluster_link link, int64_t now_ms, struct effects *e)
{
    struct node *node = connect_answered(c, index);

    if (node == NULL || node == c->myself || node->outbound != 0 || node->connect_is_stale ||
        link_find(c, link) != NULL) {
        emit_close(e, link);
        return;
    }
    link_add(c, link, false)->node = index;
    memcpy(link_find(c, link)->peer_ip, node->ip, sizeof(node->ip));
    node->outbound = link;
    node->outbound_opened_ms = now_ms;
    gossip_send(c, node_is(node, FLAG_MEET) ? MESSAGE_MEET : MESSAGE_PING, link, node, now_ms, e);
    cluster_settle(c, false, now_ms, e);
}

void cluster_link_failed(struct cluster *c, uint16_t index, int64_t now_ms, struct effects *e)
{
    struct node *node = connect_answered(c, index);

    (void)e;
    /* A node that cannot be reached is a node that does not answer. */
    if (node != NULL && !node->connect_is_stale && node->ping_sent_ms == 0) node->ping_sent_ms = now_ms;
}

static void copy_ip(char out[46], const char *ip)
{
    size_t len = ip != NULL ? strnlen(ip, 46) : 0;

    if (len < 46 && len > 0) memcpy(out, ip, len + 1);
    if (!text_is_address(out)) out[0] = '\0';
}

void cluster_link_accepted(struct cluster *c, cluster_link id, const char *local_ip, const char *peer_ip,
                           int64_t now_ms)
{
    struct link *link;

    (void)now_ms;
    /* One too many is not remembered, and closed with its first packet. */
    if (c->inbound_count >= INBOUND_LINKS_MAX || link_find(c, id) != NULL) return;
    link = link_add(c, id, true);
    copy_ip(link->local_ip, local_ip);
    copy_ip(link->peer_ip, peer_ip);
}

void cluster_link_closed(struct cluster *c, cluster_link link, int64_t now_ms, struct effects *e)
{
    (void)now_ms;
    (void)e;
    link_remove(c, link);
}

/* --- Ticks --- */

static int64_t max_ms(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min_ms(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void expire_handshakes(struct cluster *c, int64_t now_ms, struct effects *e)
{
    int64_t patience_ms = max_ms(c->options.node_timeout_ms, HANDSHAKE_MS_MIN);

    for (size_t left = c->handshake_count > 0 ? c->node_count : 0; left > 0; left--) {
        struct node *node = c->nodes[left - 1];

        if (node_is(node, FLAG_HANDSHAKE) && now_ms - node->created_ms > patience_ms) node_remove(c, node, now_ms, e);
    }
}

static void connect_node(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e)
{
    if (node->outbound != 0 || node_is(node, FLAG_NOADDR) || node->ip[0] == '\0') return;
    if (node->connecting) {
        /* An attempt that hangs is silence too. */
        if (node->ping_sent_ms == 0 && now_ms - node->connect_asked_ms > c->options.node_timeout_ms / 2)
            node->ping_sent_ms = now_ms;
        return;
    }
    node->connecting = c->indices[node->index].connecting = true;
    node->connect_is_stale = false;
    node->connect_asked_ms = now_ms;
    emit_connect(e, node);
}

/* About one PING a second, to whom of a few we have not heard from for longest. */
static void ping_one(struct cluster *c, int64_t now_ms, struct effects *e)
{
    struct node *oldest = NULL;

    for (int i = 0; i < IDLE_PING_SAMPLES; i++) {
        struct node *node = c->nodes[random_below(&c->random, c->node_count)];
        if (node->outbound == 0 || node->ping_sent_ms != 0 || node_is(node, FLAG_MYSELF | FLAG_HANDSHAKE)) continue;
        if (oldest == NULL || node->pong_received_ms < oldest->pong_received_ms) oldest = node;
    }
    if (oldest != NULL) gossip_send(c, MESSAGE_PING, oldest->outbound, oldest, now_ms, e);
}

static void watch(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e)
{
    int64_t timeout_ms = c->options.node_timeout_ms, waited_ms, silent_ms;

    if (node_is(node, FLAG_MYSELF | FLAG_NOADDR | FLAG_HANDSHAKE)) return;
    waited_ms = node->ping_sent_ms != 0 ? now_ms - node->ping_sent_ms : 0;
    silent_ms = now_ms - node->data_received_ms;

    /* The connection may be what is broken: a new one is tried before the node is suspected. And also where the node is heard on its own
     * connection all the while: ours may be one that something between us has forgotten, and without an answer on it we would never take
     * back that it failed. */
    if (node->outbound != 0 && now_ms - node->outbound_opened_ms > timeout_ms &&
        (waited_ms > timeout_ms || (waited_ms > timeout_ms / 2 && silent_ms > timeout_ms / 2)))
        node_disconnect(c, node, e);

    if (node->outbound != 0 && node->ping_sent_ms == 0 && now_ms - node->pong_received_ms > timeout_ms / 2) {
        gossip_send(c, MESSAGE_PING, node->outbound, node, now_ms, e);
        return;
    }
    if (min_ms(waited_ms, silent_ms) > timeout_ms && !node_is(node, FLAG_PFAIL | FLAG_FAIL))
        failure_suspect(c, node, now_ms, e);
}

void cluster_tick(struct cluster *c, int64_t now_ms, struct effects *e)
{
    c->tick_count++;
    c->pfail_count = 0;
    for (size_t i = 0; i < c->node_count; i++)
        if (node_is(c->nodes[i], FLAG_PFAIL)) c->pfail_count++;
    expire_handshakes(c, now_ms, e);
    for (size_t i = 0; i < c->node_count; i++) failure_reports_expire(c, c->nodes[i], now_ms);
    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i] != c->myself && announce_may_speak(c)) connect_node(c, c->nodes[i], now_ms, e);
    if (c->tick_count % TICKS_PER_IDLE_PING == 0) ping_one(c, now_ms, e);
    for (size_t i = 0; i < c->node_count; i++) watch(c, c->nodes[i], now_ms, e);
    difference_tick(c, now_ms, e);
    shared_tick(c, now_ms, e);
    /* Who stands for election takes its steps here, once there are replicas. */
    if (c->save_failed && c->tick_count % SAVE_RETRY_TICKS == 0) cluster_save_later(c, SAVE_SYNC);
    cluster_settle(c, true, now_ms, e);
}
