/* A listener outlives every error of accept(), and a unix socket has its mode from its first moment. */
#include "net/listener.h"
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int next_error, errors_left, accepted_count;

/* In place of the C library's: fails as often as it is told to. */
int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    if (errors_left > 0) {
        errors_left--;
        errno = next_error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address, len, flags);
}

/* Whoever set the mode afterwards would leave a moment in which anybody could connect; here that changes nothing. */
int chmod(const char *path, mode_t mode)
{
    (void)path;
    (void)mode;
    return 0;
}

static struct sockaddr_storage peer_address;
static socklen_t peer_address_len;

/* In place of the C library's, where a test has said who the peer is. */
int getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    if (peer_address_len == 0) return (int)syscall(SYS_getpeername, fd, address, len);
    memcpy(address, &peer_address, peer_address_len);
    *len = peer_address_len;
    return 0;
}

static char folder[] = "/tmp/test_listener_XXXXXX";
static char path[sizeof(folder) + 8];

static int new_path(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) return 1;
    snprintf(path, sizeof(path), "%s/socket", folder);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void accepted(struct listener *listener, int fd, void *context)
{
    (void)listener;
    (void)context;
    accepted_count++;
    close(fd);
}

static int flags_of_accepted;

static void note_flags(struct listener *listener, int fd, void *context)
{
    flags_of_accepted = (fcntl(fd, F_GETFD) & FD_CLOEXEC) | (fcntl(fd, F_GETFL) & O_NONBLOCK);
    accepted(listener, fd, context);
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);

    CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    return ntohs(at.ss_family == AF_INET ? ((struct sockaddr_in *)&at)->sin_port
                                         : ((struct sockaddr_in6 *)&at)->sin6_port);
}

static int connected(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(at.sun_path, path, strlen(path));
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    return fd;
}

TEST(no_error_of_accept_ends_the_listening)
{
    static const int errors[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EINTR, EPROTO, EPERM, ENETDOWN };
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct listener listener = { 0 };
    int fd = listener_unix(path, 0600, 16);

    CHECK(fd >= 0);
    listener_start(&listener, loop, fd, true, accepted, NULL);
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
        int peer = connected(), before = accepted_count;

        next_error = errors[i];
        errors_left = 3;
        /* Each turn waits for something: the socket, or the end of a rest. A loop that spins would come here more often. */
        for (int turns = 0; turns < 10 && accepted_count == before; turns++) ev_run(loop, EVRUN_ONCE);
        CHECK(errors_left == 0 && accepted_count == before + 1);
        close(peer);
    }
    listener_stop(&listener);
    ev_loop_destroy(loop);
}

TEST(a_unix_socket_has_its_mode_from_the_first_moment)
{
    static const unsigned modes[] = { 0600, 0660, 0777, 0700 };
    mode_t before = umask(022), after;

    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        struct stat file;
        int fd = listener_unix(path, modes[i], 16); /* in the place of the one before */

        CHECK(fd >= 0 && stat(path, &file) == 0 && (file.st_mode & 0777) == modes[i]);
        close(fd);
    }
    after = umask(before);
    CHECK(after == 022);
}

TEST(a_file_that_is_no_socket_is_not_taken_away)
{
    FILE *file;
    struct stat still;

    unlink(path);
    file = fopen(path, "w");
    CHECK(file != NULL && fclose(file) == 0);
    CHECK(listener_unix(path, 0600, 16) == -1 && errno == EEXIST);
    CHECK(stat(path, &still) == 0 && S_ISREG(still.st_mode));
}

TEST(a_connection_that_is_gone_again_keeps_nobody_waiting_and_one_without_a_descriptor_does)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct listener listener = { 0 };
    int fd, peer, before = accepted_count;

    unlink(path);
    fd = listener_unix(path, 0600, 16);
    listener_start(&listener, loop, fd, true, note_flags, NULL);
    peer = connected();
    next_error = ECONNABORTED;
    errors_left = 3;
    ev_run(loop, EVRUN_NOWAIT);
    CHECK(accepted_count == before + 1 && !listener.is_short && ev_is_active(&listener.readable));
    CHECK(flags_of_accepted == (FD_CLOEXEC | O_NONBLOCK));
    close(peer);

    peer = connected();
    next_error = EMFILE;
    errors_left = 1;
    ev_run(loop, EVRUN_NOWAIT);
    CHECK(listener.is_short && !ev_is_active(&listener.readable) && ev_is_active(&listener.rest));
    close(peer);
    listener_stop(&listener);
    ev_loop_destroy(loop);
}

TEST(a_path_that_does_not_fit_is_refused)
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];

    memset(name, 'x', sizeof(name));
    memcpy(name, "/tmp/", 5);
    name[sizeof(name) - 1] = '\0';
    CHECK(listener_unix(name, 0600, 16) == -1 && errno == ENAMETOOLONG);
}

static bool is_loopback(const char *text)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    bool is;

    memset(&peer_address, 0, sizeof(peer_address));
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        memcpy(&peer_address, &v4, peer_address_len = sizeof(v4));
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        memcpy(&peer_address, &v6, peer_address_len = sizeof(v6));
    is = socket_peer_is_loopback(0);
    peer_address_len = 0;
    return is;
}

TEST(whoever_is_on_this_machine_is_told_from_whoever_is_not)
{
    static const char *const here[] = { "127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1" };
    static const char *const elsewhere[] = {
        "128.0.0.1", "10.0.0.1", "126.0.0.1", "::2", "::ffff:10.0.0.1", "::7f00:1"
    };

    for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++) CHECK(is_loopback(here[i]));
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(*elsewhere); i++) CHECK(!is_loopback(elsewhere[i]));
}

TEST(a_wildcard_takes_the_place_of_an_address_of_ours_and_of_nobody_elses)
{
    int first = listener_tcp("127.0.0.1", 0, 16), wild, second;
    uint16_t port = port_of(first);

    CHECK(listener_tcp("*", port, 16) == -1 && errno == EADDRINUSE);
    wild = listener_tcp_beside("*", port, 16, &first, 1);
    CHECK(wild >= 0 && port_of(wild) == port);
    /* The moment in which the port was shared is over. */
    CHECK(listener_tcp_beside("*", port, 16, NULL, 0) == -1 && errno == EADDRINUSE);
    CHECK(listener_tcp("127.0.0.1", port, 16) == -1 && errno == EADDRINUSE);
    second = listener_tcp("127.0.0.1", 0, 16);
    CHECK(listener_tcp_beside("127.0.0.1", port, 16, &second, 1) == -1 && errno == EADDRINUSE);
    close(first);
    close(second);
    /* Every IPv6 address is none of IPv4. */
    second = listener_tcp("::*", port, 16);
    CHECK(second >= 0 || errno == EAFNOSUPPORT);
    if (second >= 0) close(second);
    close(wild);
}

TEST(what_has_ended_frees_its_address_and_is_not_watched_any_more)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct listener listener = { 0 };
    int fd = listener_tcp("127.0.0.1", 0, 16), again;
    uint16_t port = port_of(fd);

    listener_start(&listener, loop, fd, false, accepted, NULL);
    listener_end(fd);
    again = listener_tcp("127.0.0.1", port, 16);
    CHECK(again >= 0);
    ev_run(loop, EVRUN_NOWAIT);
    CHECK(!ev_is_active(&listener.readable) && !ev_is_active(&listener.rest));
    listener_stop(&listener);
    close(again);
    ev_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_error_of_accept_ends_the_listening),
        cmocka_unit_test(a_unix_socket_has_its_mode_from_the_first_moment),
        cmocka_unit_test(a_file_that_is_no_socket_is_not_taken_away),
        cmocka_unit_test(a_connection_that_is_gone_again_keeps_nobody_waiting_and_one_without_a_descriptor_does),
        cmocka_unit_test(a_path_that_does_not_fit_is_refused),
        cmocka_unit_test(whoever_is_on_this_machine_is_told_from_whoever_is_not),
        cmocka_unit_test(a_wildcard_takes_the_place_of_an_address_of_ours_and_of_nobody_elses),
        cmocka_unit_test(what_has_ended_frees_its_address_and_is_not_watched_any_more),
    };
    return cmocka_run_group_tests(tests, new_path, remove_path);
}
