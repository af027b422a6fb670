/* server/acceptor.c
 *
 * The TCP sockets are *doors*, in a list that two threads look at. The main loop accepts on them. Who changes `port` or `bind` opens the
 * new ones first, on its own thread, and ends the old ones when all new ones listen; the main loop then begins to watch those and closes
 * these. A change that fails halfway has touched nothing that was there, and clients that are connected notice none of it. */
#include "server/acceptor.h"

#include "base/alloc.h"
#include "base/list.h"
#include "base/log.h"
#include "net/listener.h"
#include "server/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESS_BYTES 64

struct door {
    struct list link;         /* under lock */
    struct listener listener; /* the main loop's */
    int fd;
    char address[ADDRESS_BYTES]; /* as `bind` says it, without the '-' */
    uint16_t port;
    bool wanted;  /* under lock; changed by whoever changes the configuration, one at a time */
    bool watched; /* the main loop's */
};

struct acceptor {
    struct node *node;
    struct ev_loop *loop;
    struct ev_async changed;
    struct lock lock; /* guards the list */
    struct list doors;
    struct listener unix_listener;
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

/* --- Doors --- */

static struct door *door_at(struct list *at)
{
    return container_of(at, struct door, link);
}

/* What a change opens and what it leaves, before any of it counts. */
struct move {
    struct list opened;
    struct door *kept[BIND_ADDRESSES_MAX];
    int leaving[BIND_ADDRESSES_MAX];
    size_t kept_count, leaving_count;
};

static bool is_kept(const struct move *move, const struct door *door)
{
    for (size_t i = 0; i < move->kept_count; i++)
        if (move->kept[i] == door) return true;
    return false;
}

/* Cuts the addresses of `bind`; false where they are too many or too long. */
static bool read_addresses(struct acceptor *acceptor, char text[1024], const char *addresses[BIND_ADDRESSES_MAX],
                           size_t *count)
{
    char *rest = text, *address;

    *count = 0;
    if (config_int(acceptor->node->config, port) == 0) return true;
    if (!config_text_copy(acceptor->node->config, CONFIG_BIND, text, 1024)) return false;
    while ((address = strsep(&rest, " ")) != NULL) {
        if (*address == '\0' || strcmp(address, "\"\"") == 0) continue;
        if (*count == BIND_ADDRESSES_MAX) return false;
        addresses[(*count)++] = address;
    }
    return true;
}

/* The door that listens there already and was not found for another of the addresses. */
static struct door *find_door(struct acceptor *acceptor, const struct move *move, const char *address, uint16_t port)
{
    struct door *found = NULL;

    lock_take(&acceptor->lock);
    list_each(at, &acceptor->doors) {
        struct door *door = door_at(at);

        if (door->wanted && door->port == port && strcmp(door->address, address) == 0 && !is_kept(move, door))
            found = door;
    }
    lock_release(&acceptor->lock);
    return found;
}

/* Those that listen and are not kept. They stay open until this change is over: only who makes one ends them. */
static void find_leaving(struct acceptor *acceptor, struct move *move)
{
    lock_take(&acceptor->lock);
    list_each(at, &acceptor->doors) {
        const struct door *door = door_at(at);

        if (!door->wanted || is_kept(move, door)) continue;
        move->leaving[move->leaving_count++] = door->fd;
    }
    lock_release(&acceptor->lock);
}

/* False with a line in error. An address with a leading '-' may be missing on this machine. */
static bool open_door(struct acceptor *acceptor, struct move *move, const char *address, char error[512])
{
    const struct config *config = acceptor->node->config;
    bool optional = address[0] == '-';
    uint16_t port = (uint16_t)config_int(config, port);
    struct door *door;
    int fd;

    if (optional) address++;
    fd = listener_tcp_beside(address, port, (int)config_int(config, tcp_backlog), move->leaving, move->leaving_count);
    if (fd < 0) {
        if (optional && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT)) return true;
        snprintf(error, 512, "Could not create server TCP listening socket %.200s:%u: bind: %s", address, port,
                 strerror(errno));
        return false;
    }
    door = alloc_zeroed(sizeof(*door));
    door->fd = fd;
    door->port = port;
    door->wanted = true;
    snprintf(door->address, sizeof(door->address), "%s", address);
    list_append(&move->opened, &door->link);
    return true;
}

static bool open_doors(struct acceptor *acceptor, struct move *move, char error[512])
{
    char text[1024];
    const char *addresses[BIND_ADDRESSES_MAX];
    bool open[BIND_ADDRESSES_MAX] = { false };
    uint16_t port = (uint16_t)config_int(acceptor->node->config, port);
    size_t count;

    if (!read_addresses(acceptor, text, addresses, &count)) {
        snprintf(error, 512, "Too long a list of bind addresses");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct door *door = find_door(acceptor, move, addresses[i] + (addresses[i][0] == '-'), port);

        if (door == NULL) continue;
        open[i] = true;
        move->kept[move->kept_count++] = door;
    }
    find_leaving(acceptor, move);
    for (size_t i = 0; i < count; i++)
        if (!open[i] && !open_door(acceptor, move, addresses[i], error)) return false;
    return true;
}

bool acceptor_rebind(struct acceptor *acceptor, char error[512])
{
    struct move move = { .kept_count = 0 };
    bool ok;

    list_init(&move.opened);
    ok = open_doors(acceptor, &move, error);
    if (!ok) {
        list_each_safe(at, &move.opened) {
            close(door_at(at)->fd);
            alloc_free(door_at(at));
        }
        return false;
    }
    /* Before the main loop may know: it closes those, and their numbers are somebody else's then. */
    for (size_t i = 0; i < move.leaving_count; i++) listener_end(move.leaving[i]);
    lock_take(&acceptor->lock);
    list_each(at, &acceptor->doors) {
        struct door *door = door_at(at);

        door->wanted = door->wanted && is_kept(&move, door);
    }
    list_each_safe(at, &move.opened) {
        list_remove(at);
        list_append(&acceptor->doors, at);
    }
    lock_release(&acceptor->lock);
    ev_async_send(acceptor->loop, &acceptor->changed);
    return true;
}

/* A door to begin with, or to be done with: *closing, which is out of the list then. NULL: none is left. */
static struct door *next_change(struct acceptor *acceptor, bool all, bool *closing)
{
    struct door *found = NULL;

    lock_take(&acceptor->lock);
    list_each(at, &acceptor->doors) {
        struct door *door = door_at(at);

        *closing = all || !door->wanted;
        if (!*closing && door->watched) continue;
        found = door;
        break;
    }
    if (found && *closing) list_remove(&found->link);
    lock_release(&acceptor->lock);
    return found;
}

/* On the main loop. */
static void settle(struct acceptor *acceptor, bool all)
{
    struct door *door;
    bool closing;

    while ((door = next_change(acceptor, all, &closing)) != NULL) {
        if (!closing) {
            listener_start(&door->listener, acceptor->loop, door->fd, false, on_accepted, acceptor);
            door->watched = true;
            continue;
        }
        if (door->watched)
            listener_stop(&door->listener);
        else
            close(door->fd);
        alloc_free(door);
    }
}

static void on_changed(struct ev_loop *loop, struct ev_async *watcher, int events)
{
    (void)loop;
    (void)events;
    settle(container_of(watcher, struct acceptor, changed), false);
}

/* --- Start and end --- */

static bool open_unix_socket(struct acceptor *acceptor, char error[512])
{
    const struct config *config = acceptor->node->config;
    int fd;

    if (!config_text_copy(acceptor->node->config, CONFIG_UNIXSOCKET, acceptor->unix_path,
                          sizeof(acceptor->unix_path))) {
        snprintf(error, 512, "unixsocket: a path of at most %zu bytes", sizeof(acceptor->unix_path) - 1);
        return false;
    }
    if (acceptor->unix_path[0] == '\0') return true;
    fd = listener_unix(acceptor->unix_path, (unsigned)config_int(config, unixsocketperm),
                       (int)config_int(config, tcp_backlog));
    if (fd < 0) {
        snprintf(error, 512, "Failed opening Unix socket %s: %s", acceptor->unix_path, strerror(errno));
        acceptor->unix_path[0] = '\0';
        return false;
    }
    listener_start(&acceptor->unix_listener, acceptor->loop, fd, true, on_accepted, acceptor);
    return true;
}

static bool listen_everywhere(struct acceptor *acceptor, char error[512])
{
    if (!acceptor_rebind(acceptor, error) || !open_unix_socket(acceptor, error)) return false;
    if (!list_is_empty(&acceptor->doors) || acceptor->unix_path[0] != '\0') return true;
    snprintf(error, 512, "Configured to not listen anywhere, exiting.");
    return false;
}

struct acceptor *acceptor_start(struct node *node, struct ev_loop *loop, char error[512])
{
    struct acceptor *acceptor = alloc_zeroed(sizeof(*acceptor));

    acceptor->node = node;
    acceptor->loop = loop;
    acceptor->unix_listener.fd = -1;
    list_init(&acceptor->doors);
    ev_async_init(&acceptor->changed, on_changed);
    ev_async_start(loop, &acceptor->changed);
    if (!listen_everywhere(acceptor, error)) acceptor_stop(&acceptor);
    return acceptor;
}

void acceptor_stop(struct acceptor **held)
{
    struct acceptor *acceptor = *held;

    if (acceptor == NULL) return;
    ev_async_stop(acceptor->loop, &acceptor->changed);
    settle(acceptor, true);
    if (acceptor->unix_listener.fd >= 0) listener_stop(&acceptor->unix_listener);
    if (acceptor->unix_path[0] != '\0') unlink(acceptor->unix_path);
    alloc_free(acceptor);
    *held = NULL;
}
