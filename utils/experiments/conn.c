/* utils/experiments/conn.c */
#include "conn.h"
#include "experiment.h"
#include "server.h"
#include "task.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (256u * 1024)

static struct sockaddr_in address_of(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

    inet_pton(AF_INET, server_host(port), &address.sin_addr);
    return address;
}

struct conn *conn_try_open(int port)
{
    struct conn *conn = calloc(1, sizeof *conn);
    struct sockaddr_in address = address_of(port);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };
    int yes = 1;

    if (conn == NULL) die("no memory");
    conn->port = port;
    conn->last = &conn->first;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) die("no socket: %s", strerror(errno));
    if (connect(conn->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(conn->fd);
        free(conn);
        return NULL;
    }
    conn->reader = redisReaderCreate();
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (epoll_ctl(tasks_poller(), EPOLL_CTL_ADD, conn->fd, &event) < 0) die("epoll: %s", strerror(errno));
    return conn;
}

struct conn *conn_open(int port)
{
    struct conn *conn = conn_try_open(port);

    if (conn == NULL) die("connecting to port %d: %s", port, strerror(errno));
    return conn;
}

static void answer_first(struct conn *conn, redisReply *reply)
{
    struct awaited *awaited = conn->first;

    if (awaited == NULL) { /* nobody asked: what the server says by itself */
        freeReplyObject(reply);
        return;
    }
    conn->first = awaited->next;
    if (conn->first == NULL) conn->last = &conn->first;
    awaited->reply = reply;
    awaited->has_come = true;
    if (awaited->task != NULL) task_wake(awaited->task);
}

static void end(struct conn *conn)
{
    if (conn->has_ended) return;
    conn->has_ended = true;
    epoll_ctl(tasks_poller(), EPOLL_CTL_DEL, conn->fd, NULL);
    close(conn->fd);
    while (conn->first != NULL) answer_first(conn, NULL);
}

void conn_close(struct conn **conn)
{
    /* What it still has to send is on the list of this turn. */
    if ((*conn)->is_to_flush) conn_flush(*conn);
    end(*conn);
    redisReaderFree((*conn)->reader);
    free((*conn)->out);
    /* The struct itself may be in this turn's events, or on the list of those to flush: a few of them are left to the program's end. */
    (*conn)->reader = NULL;
    (*conn)->out = NULL;
    *conn = NULL;
}

void conn_flush(struct conn *conn)
{
    conn->is_to_flush = false;
    if (conn->has_ended) return;
    while (conn->out_sent < conn->out_bytes) {
        ssize_t n =
            send(conn->fd, conn->out + conn->out_sent, conn->out_bytes - conn->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            if (errno == EAGAIN) break;
            end(conn);
            return;
        }
        conn->out_sent += (size_t)n;
    }
    if (conn->out_sent == conn->out_bytes) conn->out_sent = conn->out_bytes = 0;
    if ((conn->out_bytes > 0) != conn->waits_writable) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };

        conn->waits_writable = conn->out_bytes > 0;
        if (conn->waits_writable) event.events |= EPOLLOUT;
        epoll_ctl(tasks_poller(), EPOLL_CTL_MOD, conn->fd, &event);
    }
}

void conn_ready(struct conn *conn, uint32_t events)
{
    static char bytes[READ_BYTES];
    ssize_t n;
    void *reply;

    if (conn->has_ended) return;
    if (events & EPOLLOUT) conn_flush(conn);
    if (conn->has_ended || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    n = recv(conn->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        end(conn);
        return;
    }
    redisReaderFeed(conn->reader, bytes, (size_t)n);
    while (redisReaderGetReply(conn->reader, &reply) == REDIS_OK && reply != NULL) answer_first(conn, reply);
    if (conn->reader->err) die("a reply that is none: %s", conn->reader->errstr);
}

/* --- Asking --- */

void send_request(struct conn *conn, struct awaited *awaited, const char *request, size_t bytes)
{
    *awaited = (struct awaited){ 0 };
    if (conn->has_ended) {
        awaited->has_come = true;
        return;
    }
    while (conn->out_bytes + bytes > conn->out_room) {
        conn->out_room = conn->out_room * 2 + 4096;
        conn->out = realloc(conn->out, conn->out_room);
        if (conn->out == NULL) die("no memory");
    }
    memcpy(conn->out + conn->out_bytes, request, bytes);
    conn->out_bytes += bytes;
    *conn->last = awaited;
    conn->last = &awaited->next;
    if (!conn->is_to_flush) {
        conn->is_to_flush = true;
        tasks_flush_later(conn);
    }
}

static void send_formatted(struct conn *conn, struct awaited *awaited, const char *format, va_list args)
{
    char *request;
    int bytes = redisvFormatCommand(&request, format, args);

    if (bytes < 0) die("the format '%s'", format);
    send_request(conn, awaited, request, (size_t)bytes);
    free(request);
}

void send_command(struct conn *conn, struct awaited *awaited, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    send_formatted(conn, awaited, format, args);
    va_end(args);
}

redisReply *await(struct awaited *awaited)
{
    if (!awaited->has_come) {
        awaited->task = task_current();
        task_wait();
    }
    return awaited->reply;
}

static redisReply *no_error(redisReply *reply, const char *format)
{
    if (reply == NULL) die("%s: the connection ended", format);
    if (reply->type == REDIS_REPLY_ERROR) die("%s: %s", format, reply->str);
    return reply;
}

redisReply *ask(struct conn *conn, const char *format, ...)
{
    struct awaited awaited;
    va_list args;

    va_start(args, format);
    send_formatted(conn, &awaited, format, args);
    va_end(args);
    return no_error(await(&awaited), format);
}

redisReply *try(struct conn *conn, const char *format, ...)
{
    struct awaited awaited;
    va_list args;

    va_start(args, format);
    send_formatted(conn, &awaited, format, args);
    va_end(args);
    return await(&awaited);
}

void tell(struct conn *conn, const char *format, ...)
{
    struct awaited awaited;
    va_list args;

    va_start(args, format);
    send_formatted(conn, &awaited, format, args);
    va_end(args);
    freeReplyObject(no_error(await(&awaited), format));
}

/* --- Without tasks --- */

static redisReply *blocking_command(int port, const char *format, va_list args)
{
    redisContext *context = redisConnect(server_host(port), port);
    redisReply *reply;

    if (context == NULL || context->err) die("connecting to port %d", port);
    reply = no_error(redisvCommand(context, format, args), format);
    redisFree(context);
    return reply;
}

redisReply *command(int port, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = blocking_command(port, format, args);
    va_end(args);
    return reply;
}

void run_command(int port, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    freeReplyObject(blocking_command(port, format, args));
    va_end(args);
}
