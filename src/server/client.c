#include "server/client.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/listener.h"
#include "server/dispatch.h"
#include "server/transaction.h"
#include "server/worker_internal.h"

#include <stdio.h>
#include <string.h>

/* An unauthenticated client may cost this much and no more. */
#define UNAUTHENTICATED_QUERY_MAX (1u << 20)
#define UNAUTHENTICATED_REPLY_MAX 1024u
/* And all of them together this much, however many they are. */
#define UNAUTHENTICATED_TOTAL_MAX (64 << 20)

static void on_readable(struct conn *conn);
static void on_drained(struct conn *conn);
static void on_failed(struct conn *conn);

static const struct conn_events client_events = { on_readable, on_drained, on_failed };

struct client *client_new(struct worker *worker, int fd, const char *peer, const char *local, bool is_unix)
{
    struct node *node = worker->node;
    struct client *client = alloc_zeroed(sizeof(*client));
    uint32_t flags = 0;

    client->worker = worker;
    client->id = 1 + atomic_fetch_add_explicit(&node->next_client_id, 1, memory_order_relaxed);
    snprintf(client->peer, sizeof(client->peer), "%s", peer);
    snprintf(client->local, sizeof(client->local), "%s", local);
    client->created_ms = client->handshake_ms = clock_now_ms();
    if (is_unix) flags |= CLIENT_UNIX_SOCKET;
    /* A password set later asks only those who come later, as Redis does. */
    if (!config_int(node->config, requires_password)) flags |= CLIENT_AUTHENTICATED;
    atomic_init(&client->flags, flags);
    atomic_init(&client->last_active_ms, client->created_ms);
    atomic_init(&client->resp, 2);
    atomic_init(&client->fd, fd);
    client->reply = (struct reply){ .out = &worker->out, .resp = 2 };
    conn_open(&client->conn, worker->loop, fd, &client_events);

    lock_take(&worker->registry_lock);
    list_append(&worker->clients, &client->link);
    lock_release(&worker->registry_lock);
    log_verbose("client %llu: accepted from %s", (unsigned long long)client->id, client->peer);
    return client;
}

static bool asks_for_password(const struct client *client)
{
    return !(client_flags(client) & CLIENT_AUTHENTICATED) &&
           config_int(client->worker->node->config, requires_password);
}

/* Keeps the node's sum of what unauthenticated clients hold; returns that sum. */
static int64_t count_unauthenticated(struct client *client, size_t bytes)
{
    int64_t counted = asks_for_password(client) ? (int64_t)bytes : 0, by = counted - client->unauthenticated_bytes;
    _Atomic int64_t *total = &client->worker->node->unauthenticated_bytes;

    if (by == 0) return atomic_load_explicit(total, memory_order_relaxed);
    client->unauthenticated_bytes = counted;
    return atomic_fetch_add_explicit(total, by, memory_order_relaxed) + by;
}

static void forget_replies(struct client *client);

void client_close(struct client *client)
{
    struct worker *worker = client->worker;

    log_verbose("client %llu: closed, %s", (unsigned long long)client->id, client->peer);
    lock_take(&worker->registry_lock);
    list_remove(&client->link);
    lock_release(&worker->registry_lock);
    client_monitor(client, false);
    forget_replies(client);
    hold_end(client);
    count_unauthenticated(client, 0);
    transaction_free(client, NULL);
    conn_close(&client->conn);
    request_free(&client->request);
    buf_free(&client->query);
    alloc_free(client->name);
    alloc_free(client->lib_name);
    alloc_free(client->lib_version);
    alloc_free(client);
    atomic_fetch_sub_explicit(&worker->client_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&worker->node->connected_clients, 1, memory_order_relaxed);
}

/* --- Bytes in, replies out --- */

static bool output_is_over_limit(const struct client *client)
{
    const struct config *config = client->worker->node->config;
    enum config_client_class class = client_flags(client) & CLIENT_MONITOR ? CLIENT_CLASS_REPLICA : CLIENT_CLASS_NORMAL;
    int64_t limit = config_int(config, client_output_buffer_limit[class].hard_bytes);
    size_t pending = conn_pending(&client->conn);

    if (asks_for_password(client) && pending > UNAUTHENTICATED_REPLY_MAX) return true;
    return limit > 0 && pending > (size_t)limit;
}

/* Writes what a turn replied to one client, and closes it where that was the last word. */
static void send_replies(struct client *client, struct bytes replies)
{
    struct worker *worker = client->worker;
    bool is_open = true;

    if (replies.len > 0) {
        count_up(&worker->counters.net_output_bytes, replies.len);
        count_up(&worker->counters.writes, 1);
        is_open = conn_write(&client->conn, replies.data, replies.len);
    }
    atomic_store_explicit(&client->output_bytes, (uint32_t)conn_pending(&client->conn), memory_order_relaxed);
    if (is_open && output_is_over_limit(client)) {
        log_warning("client %llu: %s reads too slowly, %zu bytes wait; closed", (unsigned long long)client->id,
                    client->peer, conn_pending(&client->conn));
        is_open = false;
    }
    if (atomic_load_explicit(&client->kill, memory_order_relaxed)) is_open = false;
    if (is_open && (client_flags(client) & CLIENT_CLOSE_AFTER_REPLY)) {
        if (conn_pending(&client->conn) == 0)
            is_open = false;
        else
            conn_set_reading(&client->conn, false);
    }
    if (!is_open) client_close(client);
}

void worker_flush(struct worker *worker)
{
    for (size_t i = 0; i < worker->reply_count; i++) {
        struct turn_reply *reply = &worker->replies[i];

        if (reply->client == NULL) continue; /* closed since */
        send_replies(reply->client, (struct bytes){ worker->out.data + reply->start, reply->len });
    }
    worker->reply_count = 0;
    buf_clear(&worker->out);
    if (worker->out.cap > OUT_KEPT_BYTES) buf_free(&worker->out);
}

static void forget_replies(struct client *client)
{
    struct worker *worker = client->worker;

    for (size_t i = 0; i < worker->reply_count; i++)
        if (worker->replies[i].client == client) worker->replies[i].client = NULL;
}

/* What stands in the worker's buffer from start on is this client's. */
static void post_replies(struct client *client, size_t start)
{
    struct worker *worker = client->worker;

    if (worker->reply_count == worker->reply_cap) {
        worker->reply_cap = worker->reply_cap == 0 ? 64 : worker->reply_cap * 2;
        worker->replies = alloc_resize(worker->replies, worker->reply_cap * sizeof(*worker->replies));
    }
    worker->replies[worker->reply_count++] =
        (struct turn_reply){ .client = client, .start = start, .len = worker->out.len - start };
}

/* Runs what is in data. The replies are written at the end of the turn, all clients' together: a client that is woken while others are
 * still being answered takes the CPU from them. */
static size_t answer(struct client *client, struct bytes data)
{
    struct worker *worker = client->worker;
    size_t start = worker->out.len, used;

    worker->answering = client;
    used = dispatch_bytes(worker, client, data);
    worker->answering = NULL;
    if (client_flags(client) & (CLIENT_PAUSED | CLIENT_HELD)) conn_set_reading(&client->conn, false);
    if (client_flags(client) & CLIENT_HELD) {
        hold_replies(client, (struct bytes){ worker->out.data + start, worker->out.len - start });
        worker->out.len = start;
    }
    post_replies(client, start);
    return used;
}

static bool query_is_over_limit(struct client *client)
{
    int64_t limit = config_int(client->worker->node->config, client_query_buffer_limit);
    int64_t total = count_unauthenticated(client, client->query.cap);

    if (asks_for_password(client) &&
        (client->query.len > UNAUTHENTICATED_QUERY_MAX || total > UNAUTHENTICATED_TOTAL_MAX))
        return true;
    return limit > 0 && client->query.len > (size_t)limit;
}

/* Keeps what is left of data, which may already stand in the query buffer; may close the client. */
static void keep_rest(struct client *client, struct bytes data, size_t used)
{
    bool is_query = client->query.len > 0;

    if (is_query)
        buf_consume(&client->query, used);
    else
        buf_append(&client->query, data.data + used, data.len - used);
    if (client->query.len == 0) buf_free(&client->query);
    atomic_store_explicit(&client->query_bytes, (uint32_t)client->query.len, memory_order_relaxed);
    if (!query_is_over_limit(client)) return;
    log_warning("client %llu: %s sent %zu bytes of one request; closed", (unsigned long long)client->id, client->peer,
                client->query.len);
    client_close(client);
}

static void on_readable(struct conn *conn)
{
    struct client *client = container_of(conn, struct client, conn);
    struct worker *worker = client->worker;
    struct bytes data;
    size_t used, room = SCRATCH_BYTES;
    char *into = worker->scratch;
    ssize_t got;

    if (client->query.len > 0) {
        /* Room grows with what has come, never with what was announced. */
        if (room < client->query.len) room = client->query.len;
        if (client->request.needed > client->query.len && client->request.needed - client->query.len < room)
            room = client->request.needed - client->query.len;
        into = buf_reserve(&client->query, room);
    }
    got = conn_read(conn, into, room);
    if (got == 0) return;
    if (got < 0) {
        client_close(client);
        return;
    }
    count_up(&worker->counters.net_input_bytes, (uint64_t)got);
    count_up(&worker->counters.reads, 1);
    data = (struct bytes){ into, (size_t)got };
    if (client->query.len > 0) {
        buf_added(&client->query, (size_t)got);
        data = buf_bytes(&client->query);
    }
    used = answer(client, data);
    keep_rest(client, data, used);
    if (worker->out.len > OUT_KEPT_BYTES) worker_flush(worker);
}

void client_resume(struct client *client)
{
    struct bytes data = buf_bytes(&client->query);

    client_clear(client, CLIENT_PAUSED);
    conn_set_reading(&client->conn, true);
    if (data.len > 0) keep_rest(client, data, answer(client, data));
}

void client_go_on(struct client *client, struct bytes replies)
{
    struct buf *out = &client->worker->out;
    size_t start = out->len;

    buf_append(out, replies.data, replies.len);
    post_replies(client, start);
    client_resume(client);
}

void client_send(struct client *client, struct bytes bytes)
{
    count_up(&client->worker->counters.net_output_bytes, bytes.len);
    if (!conn_write(&client->conn, bytes.data, bytes.len) || output_is_over_limit(client)) client_close(client);
}

static void on_drained(struct conn *conn)
{
    struct client *client = container_of(conn, struct client, conn);

    atomic_store_explicit(&client->output_bytes, 0, memory_order_relaxed);
    if (client_flags(client) & CLIENT_CLOSE_AFTER_REPLY) client_close(client);
}

static void on_failed(struct conn *conn)
{
    client_close(container_of(conn, struct client, conn));
}

/* --- What commands do to a client --- */

void client_set_text(struct client *client, char **text, struct bytes value)
{
    char *kept = NULL, *former;

    if (value.len > 0) {
        kept = alloc(value.len + 1);
        memcpy(kept, value.data, value.len);
        kept[value.len] = '\0';
    }
    lock_take(&client->worker->registry_lock);
    former = *text;
    *text = kept;
    lock_release(&client->worker->registry_lock);
    alloc_free(former);
}

void client_set_resp(struct client *client, int version)
{
    client->reply.resp = (uint8_t)version;
    atomic_store_explicit(&client->resp, (uint32_t)version, memory_order_relaxed);
}

void client_kill(struct client *client)
{
    struct worker *worker = client->worker;

    /* The thread comes first: whom another worker answers at this moment is that worker's alone to know. */
    if (pthread_equal(pthread_self(), worker->thread) && worker->answering == client) {
        client_set(client, CLIENT_CLOSE_AFTER_REPLY);
        return;
    }
    atomic_store_explicit(&client->kill, true, memory_order_relaxed);
    worker_poke(worker);
}

void client_discard_transaction(struct client *client)
{
    transaction_free(client, NULL);
    client_clear(client, CLIENT_MULTI | CLIENT_DIRTY_EXEC);
}

void client_monitor(struct client *client, bool on)
{
    struct worker *worker = client->worker;
    bool was_on = (client_flags(client) & CLIENT_MONITOR) != 0;

    if (on == was_on) return;
    if (on)
        client_set(client, CLIENT_MONITOR);
    else
        client_clear(client, CLIENT_MONITOR);
    worker->monitors += on ? 1 : -1;
    atomic_fetch_add_explicit(&worker->node->monitors, on ? 1 : -1, memory_order_relaxed);
}

void client_reset_session(struct client *client)
{
    client_discard_transaction(client);
    client_monitor(client, false);
    client_clear(client, CLIENT_ASKING | CLIENT_READONLY | CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP |
                             CLIENT_REPLY_SKIP_NEXT | CLIENT_NO_TOUCH | CLIENT_NO_EVICT);
    client_set_resp(client, 2);
    client_set_text(client, &client->name, BYTES_NONE);
    if (!config_int(client->worker->node->config, requires_password)) return;
    client_clear(client, CLIENT_AUTHENTICATED);
    client->handshake_ms = clock_now_ms();
}
