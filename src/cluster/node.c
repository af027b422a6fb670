/* cluster/node.c
 *
 * The table of nodes: by index (what owner words and the caller name them by), by id (what the wire names them by) and in the
 * order they came. And the table of links, so that a packet finds its node. Both are bounded: neither a member that gossips
 * invented nodes nor a stranger who sends MEETs can make them grow for ever. */
#include "cluster/cluster_internal.h"

#include "base/alloc.h"
#include "base/hash.h"

static size_t bucket_of_id(const char *id)
{
    return (size_t)(hash_bytes((struct bytes){ id, NODE_ID_BYTES }) % ID_BUCKETS);
}

void id_random(struct cluster *c, char out[NODE_ID_BYTES + 1])
{
    for (unsigned i = 0; i < NODE_ID_BYTES; i++) out[i] = "0123456789abcdef"[random_below(&c->random, 16)];
    out[NODE_ID_BYTES] = '\0';
}

struct node *node_find(const struct cluster *c, const char *id)
{
    for (struct node *node = c->by_id[bucket_of_id(id)]; node != NULL; node = node->next_by_id)
        if (memcmp(node->id, id, NODE_ID_BYTES) == 0) return node;
    return NULL;
}

struct node *node_find_bytes(const struct cluster *c, struct bytes id)
{
    return id.len == NODE_ID_BYTES ? node_find(c, id.data) : NULL;
}

struct node *node_at_index(const struct cluster *c, uint16_t index)
{
    return index < c->index_count ? c->indices[index].node : NULL;
}

static uint64_t digest_of_id(const char *id)
{
    uint64_t mixed = 0;

    for (unsigned i = 0; i < NODE_ID_BYTES; i += 8) {
        uint64_t word = 0;

        for (unsigned byte = 0; byte < 8; byte++) word = word << 8 | (uint8_t)id[i + byte];
        mixed = (mixed ^ word) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed ^= mixed >> 29;
    }
    return mixed;
}

/* With the id it has now. */
static void chain(struct cluster *c, struct node *node)
{
    struct node **head = &c->by_id[bucket_of_id(node->id)];

    node->id_digest = digest_of_id(node->id);
    node->next_by_id = *head;
    *head = node;
}

static void unchain(struct cluster *c, struct node *node)
{
    struct node **at = &c->by_id[bucket_of_id(node->id)];

    while (*at != node) at = &(*at)->next_by_id;
    *at = node->next_by_id;
}

/* Fresh ones first. One that named a node before is given out again only when nobody can still mean that node by it. */
static uint16_t index_take(struct cluster *c, int64_t now_ms)
{
    if (c->index_count < INDEX_NONE) {
        if (c->index_count == c->index_cap) {
            c->index_cap = c->index_cap ? c->index_cap * 2 : 16;
            c->indices = alloc_resize(c->indices, c->index_cap * sizeof(*c->indices));
        }
        c->indices[c->index_count] = (struct index_entry){ 0 };
        return (uint16_t)c->index_count++;
    }
    for (size_t tried = 0; tried < c->index_count; tried++) {
        size_t at = c->index_cursor++ % c->index_count;
        const struct index_entry *entry = &c->indices[at];
        if (entry->node == NULL && !entry->connecting && now_ms - entry->freed_ms > INDEX_REST_MS) return (uint16_t)at;
    }
    return INDEX_NONE;
}

struct node *node_add(struct cluster *c, const char *id, unsigned flags, int64_t now_ms)
{
    struct node *node;
    uint16_t index;

    if (c->node_count >= NODES_MAX) return NULL;
    index = index_take(c, now_ms);
    if (index == INDEX_NONE) return NULL;

    node = alloc_zeroed(sizeof(*node));
    node->index = index;
    node->flags = (uint16_t)flags;
    memcpy(node->id, id, NODE_ID_BYTES);
    node->created_ms = now_ms;
    c->indices[index].node = node;
    chain(c, node);
    if (c->node_count == c->node_cap) {
        c->node_cap = c->node_cap ? c->node_cap * 2 : 8;
        c->nodes = alloc_resize(c->nodes, c->node_cap * sizeof(struct node *));
    }
    c->nodes[c->node_count++] = node;
    if (node_is(node, FLAG_HANDSHAKE)) c->handshake_count++;
    return node;
}

void node_free(struct node *node)
{
    alloc_free(node->reports);
    alloc_free(node->slots);
    alloc_free(node);
}

static void let_go_of_slots(struct cluster *c, struct node *node, struct effects *e)
{
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        if (c->migrating[slot] == node->index) slot_set_migrating(c, (uint16_t)slot, INDEX_NONE, e);
        if (c->yielded_leaving[slot] == node->index) c->yielded_leaving[slot] = INDEX_NONE;
        if (c->importing[slot] == node->index) slot_set_importing(c, (uint16_t)slot, INDEX_NONE, e);
        if (c->taken_from[slot] == node->index) c->taken_from[slot] = INDEX_NONE;
        if (c->owner[slot] == node->index) slot_bind(c, (uint16_t)slot, NULL, e);
    }
}

void node_remove(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e)
{
    size_t at = 0;

    /* A handshake never owned, replicated or reported anything: strangers must not be able to buy this loop with a MEET. */
    if (!node_is(node, FLAG_HANDSHAKE)) {
        let_go_of_slots(c, node, e);
        for (size_t i = 0; i < c->node_count; i++) {
            failure_report_remove(c->nodes[i], node->index);
            if (c->nodes[i]->primary == node) c->nodes[i]->primary = NULL;
        }
    } else {
        c->handshake_count--;
    }
    beliefs_drop(c, node);
    node_set_primary(c, node, NULL);
    if (node->outbound != 0) {
        emit_close(e, node->outbound);
        link_remove(c, node->outbound);
    }
    if (node->inbound != 0) {
        emit_close(e, node->inbound);
        link_remove(c, node->inbound);
    }
    while (c->nodes[at] != node) at++;
    memmove(&c->nodes[at], &c->nodes[at + 1], (c->node_count - at - 1) * sizeof(struct node *));
    c->node_count--;
    unchain(c, node);
    c->indices[node->index] = (struct index_entry){ .connecting = node->connecting, .freed_ms = now_ms };
    c->view_dirty = true;
    node_free(node);
}

void node_rename(struct cluster *c, struct node *node, const char *id)
{
    unchain(c, node);
    memcpy(node->id, id, NODE_ID_BYTES);
    chain(c, node);
    if (node_is(node, FLAG_HANDSHAKE)) c->handshake_count--;
    node->flags = (uint16_t)(node->flags & ~(FLAG_HANDSHAKE | FLAG_MEET));
    c->view_dirty = true;
}

void node_set_primary(struct cluster *c, struct node *node, struct node *primary)
{
    struct node *former = node->primary;

    if (former == primary) return;
    if (former != NULL && --former->replica_count == 0) former->flags = (uint16_t)(former->flags & ~FLAG_MIGRATE_TO);
    node->primary = primary;
    if (primary != NULL) {
        primary->replica_count++;
        primary->flags |= FLAG_MIGRATE_TO;
    }
    c->view_dirty = true;
}

void node_become_primary(struct cluster *c, struct node *node)
{
    if (node_is_primary(node)) return;
    if (node->primary != NULL) node->flags |= FLAG_MIGRATE_TO;
    node_set_primary(c, node, NULL);
    node->flags = (uint16_t)((node->flags & ~FLAG_REPLICA) | FLAG_PRIMARY);
    c->view_dirty = c->state_dirty = true;
    cluster_save_later(c, SAVE_SOON);
}

void node_become_replica(struct cluster *c, struct node *node, struct node *primary, struct effects *e)
{
    if (!node_is(node, FLAG_REPLICA)) {
        for (unsigned slot = 0; node->slot_count > 0 && slot < SLOT_COUNT; slot++)
            if (c->owner[slot] == node->index) slot_bind(c, (uint16_t)slot, NULL, e);
        node->flags = (uint16_t)((node->flags & ~(FLAG_PRIMARY | FLAG_MIGRATE_TO)) | FLAG_REPLICA);
        c->view_dirty = c->state_dirty = true;
        cluster_save_later(c, SAVE_SOON);
    }
    if (primary == NULL || primary == node->primary || primary == node) return;
    node_set_primary(c, node, primary);
    cluster_save_later(c, SAVE_SOON);
}

void node_disconnect(struct cluster *c, struct node *node, struct effects *e)
{
    if (node->connecting) node->connect_is_stale = true;
    if (node->outbound == 0) return;
    emit_close(e, node->outbound);
    link_remove(c, node->outbound);
}

bool node_set_address(struct cluster *c, struct node *node, const char *ip, uint16_t port, uint16_t cport,
                      uint16_t pport, struct effects *e)
{
    if (strcmp(node->ip, ip) == 0 && node->port == port && node->cport == cport && node->pport == pport) return false;
    memset(node->ip, 0, sizeof(node->ip));
    memcpy(node->ip, ip, strnlen(ip, sizeof(node->ip) - 1));
    node->port = port;
    node->cport = cport;
    node->pport = pport;
    node->flags = (uint16_t)(node->flags & ~FLAG_NOADDR);
    node_disconnect(c, node, e);
    c->view_dirty = true;
    cluster_save_later(c, SAVE_SOON);
    return true;
}

struct node *handshake_start(struct cluster *c, const char *ip, uint16_t port, uint16_t cport, unsigned flags,
                             int64_t now_ms, bool *exists)
{
    char id[NODE_ID_BYTES + 1];
    struct node *node;

    *exists = false;
    if (c->handshake_count > 0) {
        for (size_t i = 0; i < c->node_count; i++) {
            node = c->nodes[i];
            if (!node_is(node, FLAG_HANDSHAKE) || strcmp(node->ip, ip) != 0) continue;
            if (node->port == port && node->cport == cport) {
                *exists = true;
                return NULL;
            }
        }
    }
    if (c->handshake_count >= HANDSHAKES_MAX) return NULL;
    id_random(c, id);
    if (node_find(c, id) != NULL) return NULL;
    node = node_add(c, id, FLAG_HANDSHAKE | flags, now_ms);
    if (node == NULL) return NULL;
    memcpy(node->ip, ip, strnlen(ip, sizeof(node->ip) - 1));
    node->port = port;
    node->cport = cport;
    return node;
}

/* --- Links --- */

static size_t bucket_of_link(size_t buckets, cluster_link id)
{
    return (size_t)(id * 0x9e3779b97f4a7c15u >> 32) & (buckets - 1);
}

struct link *link_find(const struct cluster *c, cluster_link id)
{
    if (c->link_buckets == 0) return NULL;
    for (struct link *link = c->links[bucket_of_link(c->link_buckets, id)]; link != NULL; link = link->next)
        if (link->id == id) return link;
    return NULL;
}

static void links_grow(struct cluster *c)
{
    size_t buckets = c->link_buckets ? c->link_buckets * 2 : 16;
    struct link **links = alloc_zeroed(buckets * sizeof(struct link *));

    for (size_t i = 0; i < c->link_buckets; i++) {
        for (struct link *link = c->links[i], *next; link != NULL; link = next) {
            struct link **head = &links[bucket_of_link(buckets, link->id)];
            next = link->next;
            link->next = *head;
            *head = link;
        }
    }
    alloc_free(c->links);
    c->links = links;
    c->link_buckets = buckets;
}

struct link *link_add(struct cluster *c, cluster_link id, bool inbound)
{
    struct link *link, **head;

    if (c->link_count >= c->link_buckets) links_grow(c);
    link = alloc_zeroed(sizeof(*link));
    link->id = id;
    link->inbound = inbound;
    link->node = INDEX_NONE;
    head = &c->links[bucket_of_link(c->link_buckets, id)];
    link->next = *head;
    *head = link;
    c->link_count++;
    if (inbound) c->inbound_count++;
    return link;
}

/* Forgets a link, on its node's side too. Saying so to the caller is somebody else's part: it may be the caller who told us. */
void link_remove(struct cluster *c, cluster_link id)
{
    struct link *link = link_find(c, id), **at;
    struct node *node;

    if (link == NULL) return;
    node = node_at_index(c, link->node);
    if (node != NULL && node->outbound == id) node->outbound = 0;
    if (node != NULL && node->inbound == id) node->inbound = 0;
    at = &c->links[bucket_of_link(c->link_buckets, id)];
    while (*at != link) at = &(*at)->next;
    *at = link->next;
    c->link_count--;
    if (link->inbound) c->inbound_count--;
    alloc_free(link);
}
