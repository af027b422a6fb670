/* A listener outlives every error of accept(), and a unix socket has its mode from its first moment. */
#include "net/listener.h"
#include "unit/unit.h"

#include <errno.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_error_of_accept_ends_the_listening),
        cmocka_unit_test(a_unix_socket_has_its_mode_from_the_first_moment),
        cmocka_unit_test(a_file_that_is_no_socket_is_not_taken_away),
    };
    return cmocka_run_group_tests(tests, new_path, remove_path);
}
