#include "transfer/target.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "transfer/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define KEPT_MAX 64
#define KEPT_MS_MAX 10000
/* A wait looks so often whether the node is about to end. */
#define SLICE_MS 50
#define READ_BYTES (16u << 10)
/* Each part of a request has a time of its own. */
#define PART_BYTES ((size_t)64 << 10)
#define SHORT_REPLY_BYTES ((size_t)64 << 10)

struct target {
    struct list link;              /* guarded by its targets, while it is kept */
    struct target_address address; /* its texts are behind it */
    redisContext *context;
    redisReplyObjectFunctions replies; /* of hiredis, but for arrays */
    struct sockaddr_storage peer, local;
    char local_name[INET6_ADDRSTRLEN + 8];
    int64_t db; /* the one that is chosen; -1: the one a connection begins with */
    bool has_failed;
    int64_t idle_since_ms; /* monotonic; while it is kept */
};

struct targets {
    struct resolver *resolver; /* never changes */
    pthread_mutex_t guard;     /* for all below */
    struct list kept;          /* the longest first */
    _Atomic size_t count;      /* read without it too */
};

/* --- Waiting --- */

static bool is_ending(const struct target_patience *patience)
{
    return atomic_load_explicit(patience->ending, memory_order_relaxed);
}

/* True when the socket is ready before the time is over. */
static bool wait_for(int fd, short events, int64_t until_ms, const struct target_patience *patience)
{
    for (;;) {
        struct pollfd watched = { .fd = fd, .events = events };
        int64_t left_ms = until_ms - clock_monotonic_ms();
        int ready;

        if (left_ms <= 0 || is_ending(patience)) return false;
        ready = poll(&watched, 1, (int)(left_ms < SLICE_MS ? left_ms : SLICE_MS));
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return false;
    }
}

static int64_t until(const struct target_patience *patience)
{
    int64_t now_ms = clock_monotonic_ms();

    return patience->timeout_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + patience->timeout_ms;
}

/* --- Writing and reading --- */

static enum target_fault failed(struct target *target, enum target_fault fault)
{
    target->has_failed = true;
    return fault;
}

static size_t skip_written(struct iovec **parts, size_t count, size_t written)
{
    while (count > 0 && written >= (*parts)->iov_len) {
        written -= (*parts)->iov_len;
        ++*parts;
        count--;
    }
    if (count > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + written;
        (*parts)->iov_len -= written;
    }
    return count;
}

enum target_fault target_write(struct target *target, struct iovec *parts, size_t count,
                               const struct target_patience *patience)
{
    int64_t until_ms = until(patience);
    size_t of_part = 0;

    count = skip_written(&parts, count, 0);
    while (count > 0) {
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = count < 64 ? count : 64 };
        ssize_t written = sendmsg(target->context->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && (errno != EAGAIN || !wait_for(target->context->fd, POLLOUT, until_ms, patience)))
            return failed(target, TARGET_NOT_WRITTEN);
        if (written < 0) continue;
        count = skip_written(&parts, count, (size_t)written);
        of_part += (size_t)written;
        if (of_part < PART_BYTES) continue;
        of_part = 0;
        until_ms = until(patience);
        if (is_ending(patience)) return failed(target, TARGET_NOT_WRITTEN);
    }
    return TARGET_FINE;
}

enum target_fault target_ask(struct target *target, const struct bytes *words, size_t count,
                             const struct target_patience *patience)
{
    struct buf request = { 0 };
    struct iovec part;
    enum target_fault fault;

    buf_printf(&request, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&request, "$%zu\r\n", words[i].len);
        buf_append_bytes(&request, words[i]);
        buf_append_text(&request, "\r\n");
    }
    part = (struct iovec){ request.data, request.len };
    fault = target_write(target, &part, 1, patience);
    buf_free(&request);
    return fault;
}

enum target_fault target_read(struct target *target, size_t bytes_max, const struct target_patience *patience,
                              struct redisReply **reply)
{
    int64_t until_ms = until(patience);
    size_t total = 0;
    char bytes[READ_BYTES];
    void *whole = NULL;

    *reply = NULL;
    for (;;) {
        ssize_t got;

        if (redisReaderGetReply(target->context->reader, &whole) != REDIS_OK) return failed(target, TARGET_NOT_READ);
        if (whole != NULL) break;
        got = recv(target->context->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN && wait_for(target->context->fd, POLLIN, until_ms, patience)) continue;
        if (got <= 0) return failed(target, TARGET_NOT_READ);
        total += (size_t)got;
        if (total > bytes_max || redisReaderFeed(target->context->reader, bytes, (size_t)got) != REDIS_OK)
            return failed(target, TARGET_NOT_READ);
    }
    *reply = whole;
    return TARGET_FINE;
}

void target_reply_free(struct redisReply *reply)
{
    if (reply != NULL) freeReplyObject(reply);
}

/* It goes into a line of ours. */
void target_error_text(const struct redisReply *reply, char error[TARGET_ERROR_BYTES])
{
    snprintf(error, TARGET_ERROR_BYTES, "%.*s", (int)strnlen(reply->str, (size_t)reply->len), reply->str);
    for (char *c = error; *c != '\0'; c++)
        if (*c == '\r' || *c == '\n') *c = ' ';
}

/* --- Making one --- */

static struct target *new_target(const struct target_address *address)
{
    size_t texts = address->host.len + address->port.len + address->user.len + address->password.len;
    struct target *target = alloc_zeroed(sizeof(*target) + texts);
    char *at = (char *)(target + 1);
    struct bytes *const copies[] = { &target->address.host, &target->address.port, &target->address.user,
                                     &target->address.password };

    target->address = *address;
    target->db = -1;
    list_init(&target->link);
    for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
        if (copies[i]->len > 0) memcpy(at, copies[i]->data, copies[i]->len);
        copies[i]->data = at;
        at += copies[i]->len;
    }
    return target;
}

void target_close(struct target **held)
{
    struct target *target = *held;

    *held = NULL;
    if (target == NULL) return;
    if (target->context != NULL) redisFree(target->context);
    explicit_bzero((char *)(uintptr_t)target->address.password.data, target->address.password.len);
    alloc_free(target);
}

static void name_local(struct target *target)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&target->local;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&target->local;
    bool is_v6 = target->local.ss_family == AF_INET6;

    inet_ntop(target->local.ss_family, is_v6 ? (const void *)&v6->sin6_addr : &v4->sin_addr, ip, sizeof(ip));
    snprintf(target->local_name, sizeof(target->local_name), "%s:%u", ip, ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
}

/* Nothing that we ask is answered by an array; and hiredis makes room for as many elements as are announced. */
static void *refuse_array(const redisReadTask *task, int elements)
{
    (void)task;
    (void)elements;
    return NULL;
}

static void limit_replies(struct target *target)
{
    redisReader *reader = target->context->reader;

    target->replies = *reader->fn;
    target->replies.createArray = refuse_array;
    reader->fn = &target->replies;
}

/* Text that has no port in it is none: nothing listens on port 0. */
static int port_of(struct bytes text)
{
    int64_t port;

    return bytes_to_i64(text, &port) && port > 0 && port < 65536 ? (int)port : 0;
}

/* Time counts from the look for the name on. */
static enum target_fault connect_to(struct target *target, struct resolver *resolver,
                                    const struct target_patience *patience)
{
    int64_t until_ms = until(patience);
    char host[RESOLVER_TEXT_BYTES];
    socklen_t error_len = sizeof(int), peer_len = sizeof(target->peer), local_len = sizeof(target->local);
    int error = 0, on = 1, fd;

    if (!resolver_ask(resolver, target->address.host, until_ms, patience->ending, host)) return TARGET_NOT_CONNECTED;
    target->context = redisConnectNonBlock(host, port_of(target->address.port));
    if (target->context == NULL) return TARGET_NOT_CONNECTED;
    if (target->context->err != 0) return TARGET_NOT_CONNECTED;
    limit_replies(target);
    fd = target->context->fd;
    if (!wait_for(fd, POLLOUT, until_ms, patience)) return TARGET_NOT_CONNECTED;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0 || error != 0)
        return error == ECONNREFUSED ? TARGET_NOBODY_THERE : TARGET_NOT_WRITTEN;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (getpeername(fd, (struct sockaddr *)&target->peer, &peer_len) != 0 ||
        getsockname(fd, (struct sockaddr *)&target->local, &local_len) != 0)
        return TARGET_NOT_WRITTEN;
    name_local(target);
    return TARGET_FINE;
}

/* Asks for what is to be said first; false where the answer is an error or there is none. */
static bool is_granted(struct target *target, const struct bytes *words, size_t count,
                       const struct target_patience *patience, enum target_fault *fault, char error[TARGET_ERROR_BYTES])
{
    struct redisReply *reply = NULL;
    bool is_error;

    *fault = target_ask(target, words, count, patience);
    if (*fault == TARGET_FINE) *fault = target_read(target, SHORT_REPLY_BYTES, patience, &reply);
    if (*fault != TARGET_FINE) return false;
    is_error = reply->type == REDIS_REPLY_ERROR;
    if (is_error) target_error_text(reply, error);
    target_reply_free(reply);
    return !is_error;
}

/* Nothing is sent to who does not take the password, or has no such database: he might take what is sent all the same. */
static bool introduce(struct target *target, const struct target_patience *patience, enum target_fault *fault,
                      char error[TARGET_ERROR_BYTES])
{
    const struct target_address *address = &target->address;
    struct bytes words[3] = { BYTES("AUTH") };
    size_t count = 1;

    if (!address->has_password) return true;
    if (address->has_user) words[count++] = address->user;
    words[count++] = address->password;
    return is_granted(target, words, count, patience, fault, error);
}

static bool choose_db(struct target *target, int64_t db, const struct target_patience *patience,
                      enum target_fault *fault, char error[TARGET_ERROR_BYTES])
{
    char text[I64_TEXT_BYTES];
    struct bytes words[2] = { BYTES("SELECT"), { text, i64_to_text(text, db) } };

    if (target->db == db) return true;
    if (!is_granted(target, words, 2, patience, fault, error)) return false;
    target->db = db;
    return true;
}

/* --- Keeping them --- */

struct targets *targets_new(void)
{
    struct targets *targets = alloc_zeroed(sizeof(*targets));

    targets->resolver = resolver_new();
    pthread_mutex_init(&targets->guard, NULL);
    list_init(&targets->kept);
    return targets;
}

void targets_free(struct targets **held)
{
    struct targets *targets = *held;

    *held = NULL;
    if (targets == NULL) return;
    list_each_safe(at, &targets->kept) {
        struct target *target = container_of(at, struct target, link);

        list_remove(&target->link);
        target_close(&target);
    }
    resolver_free(&targets->resolver);
    pthread_mutex_destroy(&targets->guard);
    alloc_free(targets);
}

size_t targets_count(const struct targets *targets)
{
    return atomic_load_explicit(&targets->count, memory_order_relaxed);
}

/* With the guard held. */
static void take_out(struct targets *targets, struct target *target)
{
    list_remove(&target->link);
    atomic_fetch_sub_explicit(&targets->count, 1, memory_order_relaxed);
}

/* The one that was kept for the longest, if that is too long or there are too many. */
static struct target *take_unwanted(struct targets *targets)
{
    struct target *oldest = NULL;

    pthread_mutex_lock(&targets->guard);
    if (!list_is_empty(&targets->kept)) {
        oldest = container_of(targets->kept.next, struct target, link);
        if (clock_monotonic_ms() - oldest->idle_since_ms < KEPT_MS_MAX && targets_count(targets) <= KEPT_MAX)
            oldest = NULL;
        else
            take_out(targets, oldest);
    }
    pthread_mutex_unlock(&targets->guard);
    return oldest;
}

bool targets_close_idle(struct targets *targets)
{
    struct target *unwanted;

    while ((unwanted = take_unwanted(targets)) != NULL) target_close(&unwanted);
    return targets_count(targets) > 0;
}

static bool is_same(const struct target_address *a, const struct target_address *b)
{
    return bytes_equal(a->host, b->host) && bytes_equal(a->port, b->port) && a->has_user == b->has_user &&
           bytes_equal(a->user, b->user) && a->has_password == b->has_password && a->password.len == b->password.len &&
           bytes_equal_secret(a->password, b->password);
}

static struct target *take_kept(struct targets *targets, const struct target_address *address)
{
    struct target *found = NULL;

    pthread_mutex_lock(&targets->guard);
    list_each(at, &targets->kept) {
        struct target *target = container_of(at, struct target, link);

        if (is_same(&target->address, address)) found = target;
    }
    if (found != NULL) take_out(targets, found);
    pthread_mutex_unlock(&targets->guard);
    return found;
}

/* Nothing was asked of it, so whatever can be read of it is its end. */
static bool is_open(const struct target *target)
{
    char byte;

    return recv(target->context->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

struct target *target_open(struct targets *targets, const struct target_address *address,
                           const struct target_patience *patience, enum target_fault *fault,
                           char error[TARGET_ERROR_BYTES])
{
    struct target *target;

    *fault = TARGET_FINE;
    error[0] = '\0';
    while ((target = take_kept(targets, address)) != NULL && !is_open(target)) target_close(&target);
    if (target == NULL) {
        target = new_target(address);
        *fault = connect_to(target, targets->resolver, patience);
        if (*fault != TARGET_FINE || !introduce(target, patience, fault, error)) {
            target_close(&target);
            return NULL;
        }
    }
    if (!choose_db(target, address->db, patience, fault, error)) target_close(&target);
    return target;
}

void target_keep(struct targets *targets, struct target **held)
{
    struct target *target = *held;

    if (target == NULL || target->has_failed) {
        target_close(held);
        return;
    }
    *held = NULL;
    target->idle_since_ms = clock_monotonic_ms();
    pthread_mutex_lock(&targets->guard);
    list_append(&targets->kept, &target->link);
    atomic_fetch_add_explicit(&targets->count, 1, memory_order_relaxed);
    pthread_mutex_unlock(&targets->guard);
    targets_close_idle(targets);
}

const char *target_local_name(const struct target *target)
{
    return target->local_name;
}

static bool same_ip(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
    return a->ss_family == AF_INET6 && memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                                              &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr, 16) == 0;
}

bool target_is_local_port(const struct target *target, uint16_t port)
{
    return same_ip(&target->peer, &target->local) && port_of(target->address.port) == port;
}
