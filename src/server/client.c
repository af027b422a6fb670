#include "server/client.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/listener.h"
#include "server/dispatch.h"
#include "server/park.h"
#include "server/pubsub.h"
#include "server/salt_home.h"
#include "server/snapshot.h"
#include "server/transaction.h"
#include "server/turns.h"
#include "server/worker_internal.h"

#include <stdio.h>
#include <string.h>

struct client *client_new(struct worker *worker, int fd, const char *peer, const char *local, bool is_unix)
{
    struct node *node = worker->node;
    struct client *client = alloc_zeroed(sizeof(*client));
    uint32_t flags = 0;
    bool is_watched;

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
    client->reply = (struct reply){ .out = &worker->out, .pieces = &worker->pieces, .resp = 2 };
    is_watched = conn_open(&client->conn, worker->poller, fd, &client_events);
    client_account(client);

    lock_take(&worker->registry_lock);
    list_append(&worker->clients, &client->link);
    lock_release(&worker->registry_lock);
    log_verbose("client %llu: accepted from %s", (unsigned long long)client->id, client->peer);
    if (!is_watched) {
        log_warning("client %llu: %s: the system watches no more sockets (fs.epoll.max_user_watches); closed",
                    (unsigned long long)client->id, client->peer);
        client_close(client);
        return NULL;
    }
    return client;
}

void client_close(struct client *client)
{
    struct worker *worker = client->worker;

    log_verbose("client %llu: closed, %s", (unsigned long long)client->id, client->peer);
    lock_take(&worker->registry_lock);
    list_remove(&client->link);
    lock_release(&worker->registry_lock);
    client_monitor(client, false);
    pubsub_leave(client);
    client_forget_turn(client);
    turns_leave(client);
    intake_end(client);
    hold_end(client);
    park_close(client);
    snapshot_free(&client->snapshot);
    if (client->salt_peer != NULL) salt_home_client_closed(client);
    transaction_free(client, NULL);
    /* Its place is free before it can know that it was closed: whoever connects again then finds it. */
    atomic_fetch_sub_explicit(&worker->client_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&worker->node->connected_clients, 1, memory_order_relaxed);
    conn_close(&client->conn);
    client_account_gone(client);
    if (client->request != NULL) request_free(client->request);
    alloc_free(client->request);
    buf_free(&client->query);
    alloc_free(client->name);
    alloc_free(client->lib_name);
    alloc_free(client->lib_version);
    alloc_free(client);
}

/* --- What commands do to a client --- */

void client_set_text(struct client *client, char **text, struct bytes value)
{
    char *kept = NULL, *former;

    if (value.len > 0) {
        kept = alloc(value.len + 1);
        memcpy(kept, value.data, value.len);
        kept[value.len] = '\0';
        client->kept_bytes += alloc_size(kept);
    }
    if (*text != NULL) client->kept_bytes -= alloc_size(*text);
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
    atomic_store_explicit(&worker->kills, true, memory_order_release); /* behind the mark */
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
    pubsub_leave(client);
    client_clear(client, CLIENT_ASKING | CLIENT_READONLY | CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP |
                             CLIENT_REPLY_SKIP_NEXT | CLIENT_NO_TOUCH | CLIENT_NO_EVICT | CLIENT_FOLLOWS |
                             CLIENT_RDB_ONLY | CLIENT_RDB_NO_KEYS);
    client_set_resp(client, 2);
    client_set_text(client, &client->name, BYTES_NONE);
    if (!config_int(client->worker->node->config, requires_password)) return;
    client_clear(client, CLIENT_AUTHENTICATED);
    client->handshake_ms = clock_now_ms();
}
