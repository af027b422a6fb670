#include "server/worker.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/huge_pages.h"
#include "base/log.h"
#include "cache/eviction.h"
#include "cache/hot_reads.h"
#include "server/client_evict.h"
#include "server/latency.h"
#include "server/park.h"
#include "server/alias.h"
#include "server/pubsub.h"
#include "server/worker_internal.h"
#include "store/account.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TICK_S 0.1
#define TICKS_A_SECOND 10
/* So much of what MONITOR shows may wait for a worker that is busy. */
#define LINE_BYTES_MAX ((size_t)32 << 20)
/* An unauthenticated client must be done with its handshake by then. */
#define HANDSHAKE_MS_MAX 10000
#define EXPIRY_SLICE_US(effort) (50 + 50 * (effort))
/* For so long clients are read and answered before the loop looks whether anything else is due, where as many were ready each time. */
#define ROUNDS_NS_MAX 1000000u
#define ROUND_READY_LEAST 10

/* --- Messages to a worker --- */

struct adopt_message {
    struct message message;
    int fd;
    bool is_unix;
    char peer[64], local[64];
};

static void deliver_adopt(struct message *message, void *receiver)
{
    struct adopt_message *adopt = container_of(message, struct adopt_message, message);

    client_new(receiver, adopt->fd, adopt->peer, adopt->local, adopt->is_unix);
    alloc_free(adopt);
}

bool worker_adopt(struct worker *worker, int fd, const char *peer, const char *local, bool is_unix)
{
    struct adopt_message *adopt = alloc(sizeof(*adopt));

    *adopt = (struct adopt_message){ .message.deliver = deliver_adopt, .fd = fd, .is_unix = is_unix };
    snprintf(adopt->peer, sizeof(adopt->peer), "%s", peer);
    snprintf(adopt->local, sizeof(adopt->local), "%s", local);
    /* Counted here, so that the next connection of the same burst goes elsewhere. */
    atomic_fetch_add_explicit(&worker->client_count, 1, memory_order_relaxed);
    mailbox_post(&worker->mailbox, &adopt->message);
    return true;
}

int worker_client_count(const struct worker *worker)
{
    return atomic_load_explicit(&worker->client_count, memory_order_relaxed);
}

/* Closes the killed and lets the paused go on. */
static void look_after_clients(struct worker *worker)
{
    int64_t until_ms = atomic_load_explicit(&worker->node->pause_until_ms, memory_order_relaxed);
    bool is_paused = until_ms != 0 && clock_monotonic_ms() < until_ms;

    list_each_safe(link, &worker->clients) {
        struct client *client = container_of(link, struct client, link);

        if (atomic_load_explicit(&client->kill, memory_order_relaxed))
            client_close(client);
        else if ((client_flags(client) & CLIENT_PAUSED) && !is_paused)
            client_resume(client);
        else if (client_flags(client) & CLIENT_PARKED)
            park_look_after(client);
    }
}

/* --- Memory --- */

#define MAKE_ROOM_S 0.001

/* A slice of time each millisecond: commands that write only pay for themselves, so they bring memory down slowly or, where
 * there are none, not at all. */
static void on_make_room(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct worker *worker = container_of(watcher, struct worker, make_room);
    struct eviction *eviction = worker->node->eviction;

    (void)events;
    if (!eviction_make_room(eviction, 0, clock_now_ms()) || !eviction_is_due(eviction)) ev_timer_stop(loop, watcher);
}

static void look_after_memory(struct worker *worker)
{
    eviction_tick(worker->node->eviction, clock_now_ms());
    if (!eviction_is_due(worker->node->eviction) || ev_is_active(&worker->make_room)) return;
    ev_timer_set(&worker->make_room, 0, MAKE_ROOM_S);
    ev_timer_start(worker->loop, &worker->make_room);
}

/* --- Being told to look again --- */

static void deliver_poke(struct message *message, void *receiver)
{
    alloc_free(message);
    if (!worker_is_running(receiver)) return;
    look_after_clients(receiver);
    look_after_memory(receiver);
}

void worker_poke(struct worker *worker)
{
    struct message *message = alloc(sizeof(*message));

    message->deliver = deliver_poke;
    mailbox_post(&worker->mailbox, message);
}

void worker_keys_released(struct worker *worker)
{
    if (atomic_load_explicit(&worker->awaits_keys, memory_order_relaxed) &&
        atomic_exchange_explicit(&worker->awaits_keys, false, memory_order_relaxed))
        worker_poke(worker);
}

struct line_message {
    struct message message;
    struct bytes line; /* behind it */
};

/* They would miss lines, and not know it. */
static void close_monitors(struct worker *worker)
{
    list_each_safe(link, &worker->clients) {
        struct client *client = container_of(link, struct client, link);

        if (!(client_flags(client) & CLIENT_MONITOR)) continue;
        log_warning("client %llu: %s monitors more than its worker keeps up with; closed",
                    (unsigned long long)client->id, client->peer);
        client_close(client);
    }
}

static void tell_monitors(struct worker *worker, struct bytes line)
{
    /* What a client was replied comes before what it is told. */
    worker_flush(worker);
    if (atomic_exchange_explicit(&worker->lines_lost, false, memory_order_relaxed)) close_monitors(worker);
    list_each_safe(link, &worker->clients) {
        struct client *client = container_of(link, struct client, link);

        if (worker->monitors == 0) break;
        if (client_flags(client) & CLIENT_MONITOR) client_send(client, line);
    }
}

static void deliver_line(struct message *message, void *receiver)
{
    struct line_message *line = container_of(message, struct line_message, message);
    struct worker *worker = receiver;

    atomic_fetch_sub_explicit(&worker->line_bytes, line->line.len, memory_order_relaxed);
    if (worker_is_running(worker)) tell_monitors(worker, line->line);
    alloc_free(line);
}

void worker_monitor_line(struct worker *worker, struct bytes line)
{
    struct line_message *message;
    char *text;

    if (atomic_fetch_add_explicit(&worker->line_bytes, line.len, memory_order_relaxed) > LINE_BYTES_MAX) {
        atomic_fetch_sub_explicit(&worker->line_bytes, line.len, memory_order_relaxed);
        atomic_store_explicit(&worker->lines_lost, true, memory_order_relaxed);
        return;
    }
    message = alloc(sizeof(*message) + line.len + 1);
    text = (char *)(message + 1);

    text[0] = '+';
    memcpy(text + 1, line.data + 1, line.len - 1);
    message->message.deliver = deliver_line;
    message->line = (struct bytes){ text, line.len };
    mailbox_post(&worker->mailbox, &message->message);
}

/* --- The tick --- */

static void close_idle(struct worker *worker)
{
    const struct config *config = worker->node->config;
    int64_t timeout_ms = config_int(config, timeout) * 1000, now_ms = clock_now_ms();
    bool asks_password = config_int(config, requires_password);

    list_each_safe(link, &worker->clients) {
        struct client *client = container_of(link, struct client, link);
        int64_t idle_ms = now_ms - atomic_load_explicit(&client->last_active_ms, memory_order_relaxed);
        bool is_idle = timeout_ms > 0 && idle_ms > timeout_ms &&
                       !(client_flags(client) &
                         (CLIENT_MONITOR | CLIENT_PAUSED | CLIENT_HELD | CLIENT_PARKED | CLIENT_SUBSCRIBED));

        if (asks_password && !(client_flags(client) & CLIENT_AUTHENTICATED) &&
            now_ms - client->handshake_ms > HANDSHAKE_MS_MAX)
            is_idle = true;
        if (!is_idle) {
            if (client_output_is_over_limit(client)) client_close_slow(client);
            continue;
        }
        log_verbose("client %llu: idle, closing", (unsigned long long)client->id);
        client_close(client);
    }
}

static void publish_cpu(struct worker *worker)
{
    int64_t user_us, system_us;

    if (!clock_thread_cpu(&user_us, &system_us)) return;
    atomic_store_explicit(&worker->cpu_user_us, user_us, memory_order_relaxed);
    atomic_store_explicit(&worker->cpu_system_us, system_us, memory_order_relaxed);
}

/* What expiry may take of this turn. While a wave of deadlines is taken down, clients of a worker that has no time to spare wait longer, and so
 * much that memory comes back on time. */
static int64_t expiry_slice_us(const struct worker *worker)
{
    int64_t effort = config_int(worker->node->config, active_expire_effort), least = EXPIRY_SLICE_US(effort), share;

    if (!ev_is_active(&worker->expiry_at_once)) return least;
    share = expiry_share_us(&worker->expiry, clock_monotonic_us() - worker->expiry_ended_us, effort);
    return share < least ? least : share < 10 * least ? share : 10 * least;
}

/* One run, and then either another one in the next turn, or a timer, or nothing until the next tick. */
static void run_expiry(struct worker *worker)
{
    int64_t wait_ms = EXPIRY_NOTHING;
    uint64_t removed = 0, began_ns = clock_monotonic_ns();

    if (!atomic_load_explicit(&worker->node->active_expire_off, memory_order_relaxed))
        wait_ms = expiry_run(&worker->expiry, clock_now_ms(), expiry_slice_us(worker), &removed);
    latency_note(worker->node, LATENCY_EXPIRE_CYCLE, clock_monotonic_ns() - began_ns);
    count_up(&worker->counters.expired, removed);
    ev_timer_stop(worker->loop, &worker->expiry_timer);
    worker->expiry_ended_us = clock_monotonic_us();
    if (wait_ms == 0) {
        ev_idle_start(worker->loop, &worker->expiry_at_once);
        return;
    }
    ev_idle_stop(worker->loop, &worker->expiry_at_once);
    if (wait_ms == EXPIRY_NOTHING) return;
    ev_timer_set(&worker->expiry_timer, (double)wait_ms / 1000, 0);
    ev_timer_start(worker->loop, &worker->expiry_timer);
}

static void on_expiry_timer(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    run_expiry(container_of(watcher, struct worker, expiry_timer));
}

static void on_expiry_at_once(struct ev_loop *loop, struct ev_idle *watcher, int events)
{
    (void)loop;
    (void)events;
    run_expiry(container_of(watcher, struct worker, expiry_at_once));
}

static void on_tick(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct worker *worker = container_of(watcher, struct worker, tick);

    (void)loop;
    (void)events;
    if (!ev_is_active(&worker->expiry_timer) && !ev_is_active(&worker->expiry_at_once)) run_expiry(worker);
    atomic_store_explicit(&worker->counters.expired_backlog, expiry_backlog(&worker->expiry, clock_now_ms()),
                          memory_order_relaxed);
    look_after_clients(worker);
    look_after_memory(worker);
    worker_defrag_tick(worker);
    if (worker->index == 0) hot_reads_tidy(worker->node->hot_reads);
    if (++worker->ticks % TICKS_A_SECOND != 0) return;
    close_idle(worker);
    publish_cpu(worker);
}

static void end_turn(struct worker *worker)
{
    worker_flush(worker);
    turns_run(worker);
    if (config_int(worker->node->config, maxmemory_clients) != 0) client_evict(worker->node);
    reclaim_leave(&worker->reader); /* also what it gave up in a turn without looking ahead */
    huge_pages_give_way();
}

static void on_flush(struct ev_loop *loop, struct ev_prepare *watcher, int events)
{
    struct worker *worker = container_of(watcher, struct worker, flush);

    (void)loop;
    (void)events;
    end_turn(worker);
    worker->rounds_began = 0;
}

/* Are clients to be read once more before the loop looks at anything else? Where there were few of them there would most often be none; and timers and other
 * threads are not to wait. */
static bool on_round(void *context, int ready)
{
    struct worker *worker = context;
    uint64_t now;

    if (ready < ROUND_READY_LEAST || ev_is_active(&worker->expiry_at_once) || !mailbox_is_empty(&worker->mailbox))
        return false;
    now = clock_ticks();
    if (worker->rounds_began == 0) worker->rounds_began = now;
    if (clock_ticks_to_ns(now - worker->rounds_began) > ROUNDS_NS_MAX) return false;
    end_turn(worker);
    return true;
}

/* --- The thread --- */

struct worker *worker_new(struct node *node, int index)
{
    struct worker *worker = alloc_zeroed(sizeof(*worker));

    worker->node = node;
    worker->index = index;
    worker->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    worker->poller = poller_new(worker->loop, on_round, worker);
    list_init(&worker->clients);
    list_init(&worker->shard_parts);
    worker->commands = alloc_zeroed((command_number_max(node->commands) + 1) * sizeof(*worker->commands));
    expiry_init(&worker->expiry, node->keyspace, (unsigned)index, (unsigned)node->worker_count);
    worker->expiry.reader = &worker->reader;
    worker->scratch = alloc(SCRATCH_BYTES);
    mailbox_open(&worker->mailbox, worker->loop, worker);
    ev_timer_init(&worker->tick, on_tick, TICK_S, TICK_S);
    ev_timer_start(worker->loop, &worker->tick);
    ev_timer_init(&worker->expiry_timer, on_expiry_timer, 0, 0);
    /* Of the highest priority an idle watcher runs once a turn, however busy the turn; and the turn does not wait for anybody. */
    ev_idle_init(&worker->expiry_at_once, on_expiry_at_once);
    ev_set_priority(&worker->expiry_at_once, EV_MAXPRI);
    worker_defrag_init(worker);
    turns_init(worker);
    pubsub_worker_init(worker);
    worker->parks = parks_new();
    ev_init(&worker->make_room, on_make_room);
    ev_prepare_init(&worker->flush, on_flush);
    ev_prepare_start(worker->loop, &worker->flush);
    return worker;
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    char name[16];

    snprintf(name, sizeof(name), "worker-%d", worker->index);
    pthread_setname_np(pthread_self(), name);
    alloc_join();
    reclaim_join(&worker->reader);
    ev_run(worker->loop, 0);
    account_settle();
    reclaim_quit(&worker->reader);
    return NULL;
}

void worker_start(struct worker *worker)
{
    sigset_t all, former;

    /* Signals belong to the main thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    atomic_store_explicit(&worker->is_running, true, memory_order_relaxed);
    if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
        log_warning("worker %d: cannot start a thread", worker->index);
        _exit(1);
    }
    pthread_sigmask(SIG_SETMASK, &former, NULL);
}

static void deliver_stop(struct message *message, void *receiver)
{
    struct worker *worker = receiver;

    alloc_free(message);
    ev_break(worker->loop, EVBREAK_ALL);
}

void worker_stop(struct worker *worker)
{
    struct message *message;

    if (!worker_is_running(worker)) return;
    message = alloc(sizeof(*message));
    message->deliver = deliver_stop;
    mailbox_post(&worker->mailbox, message);
    pthread_join(worker->thread, NULL);
    atomic_store_explicit(&worker->is_running, false, memory_order_relaxed);
}

void worker_free(struct worker **held)
{
    struct worker *worker = *held;

    if (worker == NULL) return;
    mailbox_close(&worker->mailbox);
    list_each_safe(link, &worker->clients) client_close(container_of(link, struct client, link));
    ev_timer_stop(worker->loop, &worker->tick);
    ev_timer_stop(worker->loop, &worker->expiry_timer);
    ev_idle_stop(worker->loop, &worker->expiry_at_once);
    ev_timer_stop(worker->loop, &worker->make_room);
    worker_defrag_stop(worker);
    turns_stop(worker);
    pubsub_worker_stop(worker);
    ev_prepare_stop(worker->loop, &worker->flush);
    poller_free(&worker->poller);
    ev_loop_destroy(worker->loop);
    for (size_t i = 0; i < command_number_max(worker->node->commands); i++)
        alloc_free((void *)atomic_load(&worker->commands[i].latency));
    for (int i = 0; i < LOOK_AHEAD_MAX; i++) request_free(&worker->batch[i]);
    parks_free(&worker->parks);
    alloc_free(worker->commands);
    alloc_free(worker->scratch);
    alloc_free(worker->replies);
    alloc_free(worker->gathered);
    reply_pieces_free(&worker->pieces);
    buf_free(&worker->out);
    alias_free(worker);
    alloc_free(worker);
    *held = NULL;
}

void worker_each_client(struct worker *worker, void (*visit)(void *context, struct client *client), void *context)
{
    lock_take(&worker->registry_lock);
    list_each(link, &worker->clients) visit(context, container_of(link, struct client, link));
    lock_release(&worker->registry_lock);
    /* Not before: nothing is posted under a lock. */
    if (atomic_load_explicit(&worker->kills, memory_order_relaxed) &&
        atomic_exchange_explicit(&worker->kills, false, memory_order_acq_rel))
        worker_poke(worker);
}
