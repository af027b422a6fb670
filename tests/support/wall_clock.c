/* tests/support/wall_clock.c
 *
 * Loaded into a server by LD_PRELOAD, it sets the server's wall clock, and no other clock, without being root: by as many seconds as stand
 * in the file $WALL_CLOCK_FILE. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef int reader(clockid_t id, struct timespec *time);

static long set_by_s(void)
{
    const char *path = getenv("WALL_CLOCK_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char text[32] = "";

    if (file < 0) return 0;
    if (read(file, text, sizeof(text) - 1) < 0) text[0] = '\0';
    close(file);
    return strtol(text, NULL, 10);
}

int clock_gettime(clockid_t id, struct timespec *time)
{
    static reader *system_clock;
    int status;

    if (!system_clock) system_clock = (reader *)dlsym(RTLD_NEXT, "clock_gettime");
    status = system_clock(id, time);
    if (status == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) time->tv_sec += set_by_s();
    return status;
}
