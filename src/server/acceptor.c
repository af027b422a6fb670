#include "server/acceptor.h"

#include "base/alloc.h"
#include "base/log.h"
#include "net/listener.h"
#include "server/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENERS_MAX 17

struct acceptor {
    struct node *node;
    struct ev_loop *loop;
    struct listener listeners[LISTENERS_MAX];
    int count;
    char unix_path[108];
};

static void turn_away(int fd, const char *error)
{
    /* A fresh socket takes a short line; whether it did is not ours to care. */
    ssize_t sent = send(fd, error, strlen(error), MSG_NOSIGNAL);

    (void)sent;
    close(fd);
}

static struct worker *least_loaded(struct node *node)
{
    struct worker *chosen = node->workers[0];

    for (int i = 1; i < node->worker_count; i++)
        if (worker_client_count(node->workers[i]) < worker_client_count(chosen)) chosen = node->workers[i];
    return chosen;
}

static void on_accepted(struct listener *listener, int fd, void *context)
{
    struct acceptor *acceptor = context;
    struct node *node = acceptor->node;
    const struct config *config = node->config;
    char peer[64], local[64];

    if (atomic_load_explicit(&node->connected_clients, memory_order_relaxed) >= config_int(config, maxclients)) {
        atomic_fetch_add_explicit(&node->connections_rejected, 1, memory_order_relaxed);
        turn_away(fd, "-ERR max number of clients reached\r\n");
        return;
    }
    atomic_fetch_add_explicit(&node->connections_received, 1, memory_order_relaxed);
    if (!listener->is_unix && config_int(config, protected_mode) && !config_int(config, requires_password) &&
        !socket_peer_is_loopback(fd)) {
        atomic_fetch_add_explicit(&node->connections_rejected, 1, memory_order_relaxed);
        turn_away(fd,
                  "-DENIED redis-shard runs in protected mode and has no password, so it answers only this machine. "
                  "To be reachable from elsewhere, set a password with 'requirepass', or say 'protected-mode no' "
                  "where the network itself is trusted.\r\n");
        return;
    }
    if (listener->is_unix) {
        snprintf(peer, sizeof(peer), "%.60s:0", acceptor->unix_path);
        snprintf(local, sizeof(local), "%.60s:0", acceptor->unix_path);
    } else {
        socket_nodelay(fd);
        socket_keepalive(fd, (int)config_int(config, tcp_keepalive));
        socket_peer_text(fd, peer);
        socket_local_text(fd, local);
    }
    atomic_fetch_add_explicit(&node->connected_clients, 1, memory_order_relaxed);
    worker_adopt(least_loaded(node), fd, peer, local, listener->is_unix);
}

static void add(struct acceptor *acceptor, int fd, bool is_unix)
{
    listener_start(&acceptor->listeners[acceptor->count++], acceptor->loop, fd, is_unix, on_accepted, acceptor);
}

static bool listen_on(struct acceptor *acceptor, const char *address, char error[512])
{
    const struct config *config = acceptor->node->config;
    bool optional = address[0] == '-';
    uint16_t port = (uint16_t)config_int(config, port);
    int fd = listener_tcp(address + (optional ? 1 : 0), port, (int)config_int(config, tcp_backlog));

    if (fd >= 0) {
        add(acceptor, fd, false);
        return true;
    }
    if (optional && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT)) return true;
    snprintf(error, 512, "Could not create server TCP listening socket %s:%u: bind: %s", address + (optional ? 1 : 0),
             port, strerror(errno));
    return false;
}

static bool listen_everywhere(struct acceptor *acceptor, char error[512])
{
    const struct config *config = acceptor->node->config;
    char addresses[1024], *rest = addresses, *address;

    if (config_int(config, port) != 0) {
        if (!config_text_copy(acceptor->node->config, CONFIG_BIND, addresses, sizeof(addresses))) {
            snprintf(error, 512, "Too long a list of bind addresses");
            return false;
        }
        while ((address = strsep(&rest, " ")) != NULL) {
            if (*address == '\0' || strcmp(address, "\"\"") == 0) continue;
            if (acceptor->count == LISTENERS_MAX - 1) {
                snprintf(error, 512, "More than %d bind addresses", LISTENERS_MAX - 1);
                return false;
            }
            if (!listen_on(acceptor, address, error)) return false;
        }
    }
    if (!config_text_copy(acceptor->node->config, CONFIG_UNIXSOCKET, acceptor->unix_path,
                          sizeof(acceptor->unix_path))) {
        snprintf(error, 512, "unixsocket: a path of at most %zu bytes", sizeof(acceptor->unix_path) - 1);
        return false;
    }
    if (acceptor->unix_path[0] != '\0') {
        int fd = listener_unix(acceptor->unix_path, (unsigned)config_int(config, unixsocketperm),
                               (int)config_int(config, tcp_backlog));

        if (fd < 0) {
            snprintf(error, 512, "Failed opening Unix socket %s: %s", acceptor->unix_path, strerror(errno));
            acceptor->unix_path[0] = '\0';
            return false;
        }
        add(acceptor, fd, true);
    }
    if (acceptor->count > 0) return true;
    snprintf(error, 512, "Configured to not listen anywhere, exiting.");
    return false;
}

struct acceptor *acceptor_start(struct node *node, struct ev_loop *loop, char error[512])
{
    struct acceptor *acceptor = alloc_zeroed(sizeof(*acceptor));

    acceptor->node = node;
    acceptor->loop = loop;
    if (!listen_everywhere(acceptor, error)) acceptor_stop(&acceptor);
    return acceptor;
}

void acceptor_stop(struct acceptor **held)
{
    struct acceptor *acceptor = *held;

    if (acceptor == NULL) return;
    for (int i = 0; i < acceptor->count; i++) listener_stop(&acceptor->listeners[i]);
    if (acceptor->unix_path[0] != '\0') unlink(acceptor->unix_path);
    alloc_free(acceptor);
    *held = NULL;
}
