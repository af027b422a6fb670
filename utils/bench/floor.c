/* utils/bench/floor.c: the least a server can do.
 *
 * One thread, a bare epoll loop; whatever it reads it takes for one whole command and answers from a constant: a GET with a value of 64
 * bytes, anything else with OK. It parses nothing and keeps nothing, so what it costs is what the kernel and the loop cost, and what another
 * server costs beyond it is that server's own doing. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 128

static const char value_reply[] = "$64\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n";
static const char ok_reply[] = "+OK\r\n";
static char buffer[65536];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_on(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 511) != 0)
        die("floor: listen");
    return fd;
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("floor: epoll_ctl");
}

static void accept_one(int epoll, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), on = 1;

    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    watch(epoll, fd);
}

static void answer(int fd)
{
    ssize_t got = read(fd, buffer, sizeof(buffer)), sent;

    if (got <= 0) {
        close(fd);
        return;
    }
    if (got > 8 && buffer[8] == 'G')
        sent = write(fd, value_reply, sizeof(value_reply) - 1);
    else
        sent = write(fd, ok_reply, sizeof(ok_reply) - 1);
    if (sent < 0) close(fd);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    int epoll = epoll_create1(0), listener = listen_on(argc > 1 ? atoi(argv[1]) : 0);

    if (epoll < 0) die("floor: epoll_create1");
    watch(epoll, listener);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_one(epoll, listener);
            else
                answer(events[i].data.fd);
        }
    }
}
