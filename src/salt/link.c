#include "salt/link.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/random.h"
#include "net/mailbox.h"
#include "store/account.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* libev's macros cast and narrow by design. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wstrict-aliasing"

#define PAUSE_MS_FIRST 50
#define PAUSE_MS_MAX 2000
#define CONNECT_MS_MAX 1000
#define LOGIN_MS_MAX 15000 /* who refuses a password may take his time over it */
/* A value, and what is around it; and as much again, for what comes behind it may be there already. */
#define RECEIVE_BYTES_MAX ((size_t)16 << 20)

enum link_state { LINK_PAUSES, LINK_CONNECTS, LINK_LOGS_IN, LINK_OPEN };

/* The thread's. */
struct link {
    struct list link; /* of all */
    struct salt_links *links;
    char node[SALT_NODE_ID_BYTES + 1];
    enum link_state state;
    salt_link id; /* of the connection there is, or of the last one */
    redisContext *context;
    struct ev_io readable, writable;
    struct ev_timer timer; /* of the pause, or of connecting */
    int64_t pause_ms;
    bool is_dead;     /* freed when nobody is in it any more */
    const char *said; /* what went wrong with it last; NULL: nothing since home has spoken */
    char user[256], password[512];
};

struct salt_links {
    struct salt_link_events events;
    redisReplyObjectFunctions replies; /* of hiredis, but for arrays; the thread's */
    void *(*create_any_array)(const redisReadTask *task, int elements);
    struct ev_loop *loop;
    struct ev_timer tick;
    struct ev_async wake;
    struct mailbox mailbox;
    struct list all, dead; /* the thread's */
    struct random random;  /* likewise */
    salt_link last_id;     /* likewise */
    _Atomic size_t open;
    pthread_t thread;
    bool is_stopped; /* by who has started it */
};

static void pause_link(struct link *link);
static void limit_replies(struct salt_links *links, redisReader *reader);

/* --- One connection --- */

static void close_context(struct link *link)
{
    struct ev_loop *loop = link->links->loop;

    ev_io_stop(loop, &link->readable);
    ev_io_stop(loop, &link->writable);
    ev_timer_stop(loop, &link->timer);
    if (link->context != NULL) redisFree(link->context);
    link->context = NULL;
    explicit_bzero(link->password, sizeof(link->password));
    if (link->state == LINK_OPEN) atomic_fetch_sub_explicit(&link->links->open, 1, memory_order_relaxed);
    link->state = LINK_PAUSES;
}

/* Of several failures in a row only what is new is worth a line. */
static void give_up(struct link *link, const char *why)
{
    bool was_open = link->state == LINK_OPEN;

    if (link->said == NULL || strcmp(link->said, why) != 0)
        log_notice("salt: no link to %.40s, %s; tried again", link->node, why);
    else
        log_verbose("salt: no link to %.40s, %s", link->node, why);
    link->said = why;
    close_context(link);
    if (was_open) link->links->events.closed(link->links->events.context, link->id);
    if (!link->is_dead) pause_link(link);
}

/* Writes what there is; false: it was given up. */
static bool flush(struct link *link)
{
    int done = 0;

    if (sdslen(link->context->obuf) > LINK_SEND_BYTES_MAX) {
        give_up(link, "it does not read");
        return false;
    }
    if (redisBufferWrite(link->context, &done) != REDIS_OK) {
        give_up(link, "it was closed");
        return false;
    }
    if (done)
        ev_io_stop(link->links->loop, &link->writable);
    else
        ev_io_start(link->links->loop, &link->writable);
    return true;
}

static void open_link(struct link *link)
{
    ev_timer_stop(link->links->loop, &link->timer);
    link->state = LINK_OPEN;
    link->id = ++link->links->last_id;
    atomic_fetch_add_explicit(&link->links->open, 1, memory_order_relaxed);
    link->links->events.opened(link->links->events.context, link->node, link->id);
}

static void log_in(struct link *link)
{
    const char *words[] = { "AUTH", link->user, link->password };
    const char *without_user[] = { "AUTH", link->password };

    if (link->password[0] == '\0') {
        open_link(link);
        return;
    }
    link->state = LINK_LOGS_IN;
    ev_timer_stop(link->links->loop, &link->timer);
    ev_timer_set(&link->timer, LOGIN_MS_MAX / 1000., 0.);
    ev_timer_start(link->links->loop, &link->timer);
    if (link->user[0] != '\0')
        redisAppendCommandArgv(link->context, 3, words, NULL);
    else
        redisAppendCommandArgv(link->context, 2, without_user, NULL);
    explicit_bzero(link->password, sizeof(link->password));
    flush(link);
}

/* --- What comes --- */

static bool is_no_password(const redisReply *reply)
{
    return strstr(reply->str, "without any password configured") != NULL ||
           strstr(reply->str, "no password is set") != NULL;
}

static void take_login(struct link *link, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR && !is_no_password(reply)) {
        give_up(link, "it refuses the password");
        return;
    }
    open_link(link);
}

static void take_message(struct link *link, const redisReply *reply)
{
    struct bytes words[SALT_WORDS_MAX];
    struct salt_message message;
    struct salt_value value;

    for (size_t i = 0; i < reply->elements && i < SALT_WORDS_MAX; i++) {
        const redisReply *word = reply->element[i];

        if (word->type != REDIS_REPLY_STRING) {
            give_up(link, "what it says is not understood");
            return;
        }
        words[i] = (struct bytes){ word->str, word->len };
    }
    if (reply->elements > SALT_WORDS_MAX || !salt_wire_read(words, reply->elements, false, &message, &value)) {
        give_up(link, "what it says is not understood");
        return;
    }
    link->pause_ms = PAUSE_MS_FIRST;
    link->said = NULL;
    link->links->events.message(link->links->events.context, link->id, &message,
                                message.word == SALT_VALUE ? &value : NULL);
}

static void take(struct link *link, const redisReply *reply)
{
    if (link->state == LINK_LOGS_IN)
        take_login(link, reply);
    else if (reply->type == REDIS_REPLY_ERROR)
        give_up(link, "it takes no helpers");
    else if (reply->type == REDIS_REPLY_ARRAY)
        take_message(link, reply);
}

static void on_readable(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct link *link = container_of(watcher, struct link, readable);
    void *reply = NULL;

    (void)loop;
    (void)events;
    if (redisBufferRead(link->context) != REDIS_OK) {
        give_up(link, "it was closed");
        return;
    }
    while (link->context != NULL) { /* whatever is called in here may close it */
        if (redisGetReplyFromReader(link->context, &reply) != REDIS_OK) {
            give_up(link, "what it says is not understood");
            return;
        }
        if (reply == NULL) break;
        take(link, reply);
        freeReplyObject(reply);
        reply = NULL;
    }
    if (link->context != NULL && link->context->reader->len - link->context->reader->pos > RECEIVE_BYTES_MAX)
        give_up(link, "it says too much");
}

/* --- Connecting --- */

static void on_writable(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct link *link = container_of(watcher, struct link, writable);
    int error = 0, on = 1;
    socklen_t len = sizeof(error);

    (void)events;
    if (link->state != LINK_CONNECTS) {
        flush(link);
        return;
    }
    if (getsockopt(link->context->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        give_up(link, "it cannot be reached");
        return;
    }
    /* A message is one write, and what it waits for is a round trip. */
    setsockopt(link->context->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ev_io_stop(loop, &link->writable);
    ev_io_start(loop, &link->readable);
    log_in(link);
}

static void start(struct link *link)
{
    struct salt_links *links = link->links;
    struct salt_address address = { .port = 0 };

    if (!links->events.address(links->events.context, link->node, &address)) {
        pause_link(link);
        return;
    }
    memcpy(link->user, address.user, sizeof(link->user));
    memcpy(link->password, address.password, sizeof(link->password));
    explicit_bzero(&address.password, sizeof(address.password));
    link->state = LINK_CONNECTS;
    link->context = redisConnectNonBlock(address.host, address.port);
    if (link->context == NULL || link->context->err != 0) {
        give_up(link, "it cannot be reached");
        return;
    }
    limit_replies(links, link->context->reader);
    ev_io_set(&link->readable, link->context->fd, EV_READ);
    ev_io_set(&link->writable, link->context->fd, EV_WRITE);
    ev_io_start(links->loop, &link->writable);
    ev_timer_set(&link->timer, CONNECT_MS_MAX / 1000., 0.);
    ev_timer_start(links->loop, &link->timer);
}

static void on_timer(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct link *link = container_of(watcher, struct link, timer);

    (void)loop;
    (void)events;
    if (link->state == LINK_PAUSES)
        start(link);
    else
        give_up(link, "it does not answer");
}

/* Several helpers that have lost one home do not all come back at the same moment. */
static void pause_link(struct link *link)
{
    struct salt_links *links = link->links;
    int64_t ms = link->pause_ms / 2 + (int64_t)random_below(&links->random, (uint64_t)link->pause_ms);

    link->state = LINK_PAUSES;
    if (link->pause_ms < PAUSE_MS_MAX) link->pause_ms *= 2;
    ev_timer_stop(links->loop, &link->timer);
    ev_timer_set(&link->timer, (double)ms / 1000, 0.);
    ev_timer_start(links->loop, &link->timer);
}

/* --- On the thread --- */

static struct link *find(const struct salt_links *links, const char *node)
{
    list_each(at, &links->all) {
        struct link *link = container_of(at, struct link, link);

        if (strcmp(link->node, node) == 0) return link;
    }
    return NULL;
}

static struct link *find_open(const struct salt_links *links, salt_link id)
{
    list_each(at, &links->all) {
        struct link *link = container_of(at, struct link, link);

        if (link->state == LINK_OPEN && link->id == id) return link;
    }
    return NULL;
}

void salt_links_connect(struct salt_links *links, const char *node)
{
    struct link *link = find(links, node);

    if (link != NULL) return;
    link = alloc_zeroed(sizeof(*link));
    link->links = links;
    link->pause_ms = PAUSE_MS_FIRST;
    snprintf(link->node, sizeof(link->node), "%s", node);
    ev_init(&link->readable, on_readable);
    ev_init(&link->writable, on_writable);
    ev_init(&link->timer, on_timer);
    list_append(&links->all, &link->link);
    ev_timer_set(&link->timer, 0., 0.);
    ev_timer_start(links->loop, &link->timer);
}

void salt_links_disconnect(struct salt_links *links, const char *node)
{
    struct link *link = find(links, node);

    if (link == NULL) return;
    close_context(link);
    link->is_dead = true;
    list_remove(&link->link);
    list_append(&links->dead, &link->link);
}

void salt_links_send(struct salt_links *links, salt_link id, const struct salt_message *message)
{
    struct link *link = find_open(links, id);
    struct buf text = { 0 };

    if (link == NULL) return;
    salt_wire_write(message, NULL, true, &text);
    redisAppendFormattedCommand(link->context, text.data, text.len);
    buf_free(&text);
    ev_io_start(links->loop, &link->writable); /* with what else comes in this turn */
}

void salt_links_close(struct salt_links *links, salt_link id)
{
    struct link *link = find_open(links, id);

    if (link == NULL) return;
    close_context(link);
    pause_link(link);
}

static void free_dead(struct salt_links *links)
{
    list_each_safe(at, &links->dead) {
        list_remove(at);
        alloc_free(container_of(at, struct link, link));
    }
}

static void on_tick(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct salt_links *links = container_of(watcher, struct salt_links, tick);

    (void)loop;
    (void)events;
    free_dead(links);
    links->events.tick(links->events.context);
}

static void on_wake(struct ev_loop *loop, struct ev_async *watcher, int events)
{
    struct salt_links *links = container_of(watcher, struct salt_links, wake);

    (void)loop;
    (void)events;
    links->events.tick(links->events.context);
}

/* --- The thread --- */

/* No message has that many words, nor arrays in it; and hiredis makes room for as many as are announced. */
static void *create_array(const redisReadTask *task, int elements)
{
    const struct salt_links *links = task->privdata;

    if (task->parent != NULL || elements > (int)SALT_WORDS_MAX) return NULL;
    return links->create_any_array(task, elements);
}

static void limit_replies(struct salt_links *links, redisReader *reader)
{
    links->replies = *reader->fn;
    links->create_any_array = links->replies.createArray;
    links->replies.createArray = create_array;
    reader->fn = &links->replies;
    reader->privdata = links;
}

static void free_loop(struct salt_links *links)
{
    mailbox_close(&links->mailbox);
    ev_async_stop(links->loop, &links->wake);
    ev_timer_stop(links->loop, &links->tick);
    ev_loop_destroy(links->loop);
}

static void *run(void *argument)
{
    struct salt_links *links = argument;

    pthread_setname_np(pthread_self(), "salt-links");
    alloc_join();
    ev_run(links->loop, 0);
    account_settle();
    return NULL;
}

struct salt_links *salt_links_new(const struct salt_link_events *events, uint64_t seed)
{
    struct salt_links *links = alloc_zeroed(sizeof(*links));
    sigset_t every, former;
    int error;

    links->events = *events;
    list_init(&links->all);
    list_init(&links->dead);
    random_seed(&links->random, seed);
    links->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    mailbox_open(&links->mailbox, links->loop, links);
    ev_async_init(&links->wake, on_wake);
    ev_async_start(links->loop, &links->wake);
    ev_timer_init(&links->tick, on_tick, LINK_TICK_MS / 1000., LINK_TICK_MS / 1000.);
    ev_timer_start(links->loop, &links->tick);
    /* Signals belong to the main thread. */
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &former);
    error = pthread_create(&links->thread, NULL, run, links);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    if (error == 0) return links;
    free_loop(links);
    alloc_free(links);
    errno = error;
    return NULL;
}

static void deliver_stop(struct message *message, void *receiver)
{
    struct salt_links *links = receiver;

    alloc_free(message);
    ev_break(links->loop, EVBREAK_ALL);
}

void salt_links_stop(struct salt_links *links)
{
    struct message *message;

    if (links == NULL || links->is_stopped) return;
    message = alloc(sizeof(*message));
    message->deliver = deliver_stop;
    mailbox_post(&links->mailbox, message);
    pthread_join(links->thread, NULL);
    links->is_stopped = true;
}

void salt_links_free(struct salt_links **held)
{
    struct salt_links *links = *held;

    if (links == NULL) return;
    salt_links_stop(links);
    while (!list_is_empty(&links->all))
        salt_links_disconnect(links, container_of(links->all.next, struct link, link)->node);
    free_dead(links);
    free_loop(links);
    alloc_free(links);
    *held = NULL;
}

void salt_links_wake(struct salt_links *links)
{
    lock_assert_none_held();
    ev_async_send(links->loop, &links->wake);
}

size_t salt_links_open(const struct salt_links *links)
{
    return atomic_load_explicit(&links->open, memory_order_relaxed);
}
