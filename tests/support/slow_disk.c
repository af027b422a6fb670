/* tests/support/slow_disk.c
 *
 * Loaded into a server by LD_PRELOAD, it is a disk that takes its time: nothing is synced while there is a file $SLOW_DISK_FILE. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int fsync(int fd)
{
    while (access(getenv("SLOW_DISK_FILE"), F_OK) == 0) usleep(5000);
    return (int)syscall(SYS_fsync, fd);
}
