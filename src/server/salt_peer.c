#include "server/salt_peer.h"

#include "base/alloc.h"
#include "salt/home.h"
#include "server/worker_internal.h"

/* On its way to a worker or in the client's socket. Values are 4 MiB at most; a helper that does not read is dropped, and its leases do the rest. */
#define QUEUED_BYTES_MAX ((size_t)64 << 20)
#define UNREAD_BYTES_MAX ((size_t)32 << 20)

struct salt_peer {
    struct list link;      /* under the lock of the peers */
    salt_link id;          /* never changes */
    struct worker *worker; /* never changes */
    struct client *client; /* the worker's; NULL: closed */
    _Atomic size_t queued; /* bytes on their way to the worker */
    _Atomic uint32_t held; /* by its client and by messages */
};

struct salt_peers {
    struct lock lock;
    struct list all;   /* under lock */
    size_t count;      /* likewise */
    salt_link last_id; /* likewise */
};

struct peer_message {
    struct message message;
    struct salt_peer *peer; /* held */
    struct buf bytes;
    bool closes;
};

struct salt_peers *salt_peers_new(void)
{
    struct salt_peers *peers = alloc_zeroed(sizeof(*peers));

    list_init(&peers->all);
    return peers;
}

void salt_peers_free(struct salt_peers **peers)
{
    alloc_free(*peers);
    *peers = NULL;
}

static void let_go(struct salt_peer *peer)
{
    if (atomic_fetch_sub_explicit(&peer->held, 1, memory_order_acq_rel) == 1) alloc_free(peer);
}

struct salt_peer *salt_peers_add(struct salt_peers *peers, struct client *client)
{
    struct salt_peer *peer = client->salt_peer;

    if (peer != NULL) return peer;
    peer = alloc_zeroed(sizeof(*peer));
    peer->worker = client->worker;
    peer->client = client;
    atomic_init(&peer->held, 1);
    lock_take(&peers->lock);
    if (peers->count >= 2 * HOME_LINKS_MAX) {
        lock_release(&peers->lock);
        alloc_free(peer);
        return NULL;
    }
    peer->id = ++peers->last_id;
    peers->count++;
    list_append(&peers->all, &peer->link);
    lock_release(&peers->lock);
    client->salt_peer = peer;
    return peer;
}

salt_link salt_peer_link(const struct salt_peer *peer)
{
    return peer->id;
}

void salt_peers_remove(struct salt_peers *peers, struct salt_peer **held)
{
    struct salt_peer *peer = *held;

    *held = NULL;
    peer->client = NULL;
    lock_take(&peers->lock);
    list_remove(&peer->link);
    peers->count--;
    lock_release(&peers->lock);
    let_go(peer);
}

/* Held, or NULL. */
static struct salt_peer *find(struct salt_peers *peers, salt_link id)
{
    struct salt_peer *found = NULL;

    lock_take(&peers->lock);
    list_each(at, &peers->all) {
        struct salt_peer *peer = container_of(at, struct salt_peer, link);

        if (peer->id != id) continue;
        atomic_fetch_add_explicit(&peer->held, 1, memory_order_relaxed);
        found = peer;
        break;
    }
    lock_release(&peers->lock);
    return found;
}

static void deliver(struct message *message, void *receiver)
{
    struct peer_message *post = container_of(message, struct peer_message, message);
    struct salt_peer *peer = post->peer;
    struct worker *worker = receiver;

    atomic_fetch_sub_explicit(&peer->queued, post->bytes.len, memory_order_relaxed);
    /* Closing it, or its failing, makes peer->client NULL. */
    if (peer->client != NULL && worker_is_running(worker) && post->bytes.len > 0)
        client_send(peer->client, buf_bytes(&post->bytes));
    if (peer->client != NULL && worker_is_running(worker) &&
        (post->closes || conn_pending(&peer->client->conn) > UNREAD_BYTES_MAX))
        client_close(peer->client);
    buf_free(&post->bytes);
    let_go(peer);
    alloc_free(post);
}

static void post(struct salt_peer *peer, struct buf *bytes, bool closes)
{
    struct peer_message *post = alloc_zeroed(sizeof(*post));

    post->message.deliver = deliver;
    post->peer = peer;
    post->bytes = *bytes;
    post->closes = closes;
    mailbox_post(&peer->worker->mailbox, &post->message);
}

void salt_peers_send(struct salt_peers *peers, salt_link link, const struct salt_message *message,
                     const struct salt_value *value)
{
    struct salt_peer *peer = find(peers, link);
    struct buf bytes = { 0 };
    size_t queued;

    if (peer == NULL) return;
    salt_wire_write(message, value, false, &bytes);
    queued = atomic_fetch_add_explicit(&peer->queued, bytes.len, memory_order_relaxed) + bytes.len;
    post(peer, &bytes, queued > QUEUED_BYTES_MAX);
}

void salt_peers_close(struct salt_peers *peers, salt_link link)
{
    struct salt_peer *peer = find(peers, link);
    struct buf none = { 0 };

    if (peer != NULL) post(peer, &none, true);
}
