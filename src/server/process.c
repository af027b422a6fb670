/* server/process.c
 *
 * What a process does for its supervisor and its operator. The crash report uses only what may be called in a signal handler: no
 * allocation, no locks, write(2) to the log's descriptor. */
#include "server/process.h"

#include "base/alloc.h"
#include "base/log.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void process_daemonize(void)
{
    int null;
    pid_t pid = fork();

    if (pid < 0) {
        fprintf(stderr, "Cannot go into the background: %s\n", strerror(errno));
        exit(1);
    }
    if (pid > 0) _exit(0);
    setsid();
    null = open("/dev/null", O_RDWR);
    if (null < 0) return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO) close(null);
}

bool process_write_pid(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), saved;
    bool written;

    if (fd < 0) return false;
    written = dprintf(fd, "%d\n", (int)getpid()) > 0;
    saved = errno;
    close(fd);
    errno = saved;
    return written;
}

/* The end of the strings that lie behind each other in memory, beginning at `end`. */
static char *end_of_strings(char **strings, char *end)
{
    for (; *strings; strings++)
        if (*strings == end) end += strlen(end) + 1;
    return end;
}

void process_set_title(char **argv, const char *title)
{
    static char *copy; /* of arguments and environment; stays for ever: getenv() hands out pointers into it */
    char *at = argv[0], *end;

    if (!at || copy) return;
    end = end_of_strings(environ, end_of_strings(argv, at));
    copy = alloc((size_t)(end - at));
    memcpy(copy, at, (size_t)(end - at));
    for (char **variable = environ; *variable; variable++)
        if (*variable >= at && *variable < end) *variable = copy + (*variable - at);
    program_invocation_name = program_invocation_short_name =
        (char *)(uintptr_t) "redis-shard"; /* they led into argv[0] */
    memset(at, 0, (size_t)(end - at));
    snprintf(at, (size_t)(end - at), "%s", title);
}

bool process_notify_systemd(const char *state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    ssize_t sent;
    int fd;

    if (len < 2 || len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@')) return false;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@') address.sun_path[0] = '\0'; /* the abstract namespace */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)(void *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
    return sent > 0;
}

void process_notify_upstart(void)
{
    if (!getenv("UPSTART_JOB")) return;
    raise(SIGSTOP);
    unsetenv("UPSTART_JOB");
}

int64_t process_allow_clients(int64_t clients, int64_t others)
{
    rlim_t wanted = (rlim_t)(clients + others);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return clients;
    if (limit.rlim_cur >= wanted) return clients;
    /* Privileged processes may raise the hard limit too; others go as high as it lets them. */
    if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ wanted, limit.rlim_max > wanted ? limit.rlim_max : wanted }) == 0)
        return clients;
    if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ limit.rlim_max, limit.rlim_max }) == 0)
        limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur >= wanted) return clients;
    return (int64_t)limit.rlim_cur > others ? (int64_t)limit.rlim_cur - others : 1;
}

void process_disable_huge_pages(void)
{
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

/* --- Crash report --- */

static char build_id[2 * 64 + 1]; /* written once at the start, so that the handler need not look for it */

static int find_build_id(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        const char *at = (const char *)(info->dlpi_addr + header->p_vaddr), *end = at + header->p_memsz;

        if (header->p_type != PT_NOTE) continue;
        while (end - at >= (ptrdiff_t)sizeof(ElfW(Nhdr))) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)(const void *)at;
            const char *name = at + sizeof(*note);
            const unsigned char *id = (const unsigned char *)name + ((note->n_namesz + (size_t)3) & ~(size_t)3);

            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && note->n_descsz <= 64 &&
                memcmp(name, "GNU", 4) == 0) {
                for (size_t n = 0; n < note->n_descsz; n++) snprintf(build_id + 2 * n, 3, "%02x", id[n]);
                return 1;
            }
            at = (const char *)id + ((note->n_descsz + (size_t)3) & ~(size_t)3);
        }
    }
    return 1; /* the first object is the executable; libraries do not matter */
}

const char *process_build_id(void)
{
    if (!build_id[0]) dl_iterate_phdr(find_build_id, NULL);
    return build_id;
}

static void put(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0) return; /* a crash has nobody left to tell */
}

static void put_number(int fd, unsigned long number, unsigned base)
{
    char text[32];
    size_t at = sizeof(text) - 1;

    text[at] = 0;
    do {
        text[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    put(fd, text + at);
}

static void on_crash(int signal_number, siginfo_t *info, void *context)
{
    void *frames[64];
    int fd = log_descriptor();

    (void)context;
    put(fd, "\n\n=== REDIS-SHARD BUG REPORT START: please report it with the lines up to END ===\nredis-shard crashed "
            "by signal ");
    put_number(fd, (unsigned long)signal_number, 10);
    put(fd, "\nAccessing address: 0x");
    put_number(fd, (unsigned long)info->si_addr, 16);
    put(fd, "\nBuild id: ");
    put(fd, build_id);
    put(fd, "\n\n------ STACK TRACE ------\n");
    backtrace_symbols_fd(frames, backtrace(frames, 64), fd);
    put(fd, "=== REDIS-SHARD BUG REPORT END ===\n");
    raise(signal_number); /* SA_RESETHAND: this time it does what it does to everyone */
}

void process_report_crashes(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    struct sigaction action = { .sa_sigaction = on_crash, .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER) };
    void *frame;

    process_build_id();
    backtrace(&frame, 1); /* its first call loads a library, which a handler must not */
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) sigaction(signals[i], &action, NULL);
}

/* --- Who holds a port --- */

/* The inode of the socket that listens on a port, from one of /proc/net's tables; 0 if there is none. */
static unsigned long listening_inode(const char *table, uint16_t port)
{
    FILE *file = fopen(table, "re");
    unsigned long found = 0;
    char line[512];

    if (!file) return 0;
    while (!found && fgets(line, sizeof(line), file)) {
        unsigned local_port, state;
        unsigned long inode;

        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu", &local_port, &state,
                   &inode) == 3 &&
            local_port == port && state == 0x0a)
            found = inode;
    }
    fclose(file);
    return found;
}

/* Has the process a descriptor that is this socket? */
static bool holds(const char *pid, const char *socket)
{
    char path[PATH_MAX], target[64];
    struct dirent *entry;
    bool found = false;
    DIR *directory;

    snprintf(path, sizeof(path), "/proc/%.32s/fd", pid);
    directory = opendir(path);
    if (!directory) return false;
    while (!found && (entry = readdir(directory))) {
        ssize_t len = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);

        if (len <= 0) continue;
        target[len] = 0;
        found = strcmp(target, socket) == 0;
    }
    closedir(directory);
    return found;
}

bool process_holding_port(uint16_t port, char *out, size_t size)
{
    unsigned long inode = listening_inode("/proc/net/tcp", port);
    char socket_name[64];
    struct dirent *entry;
    bool found = false;
    DIR *processes;

    if (!inode) inode = listening_inode("/proc/net/tcp6", port);
    processes = inode ? opendir("/proc") : NULL;
    if (!processes) return false;
    snprintf(socket_name, sizeof(socket_name), "socket:[%lu]", inode);
    while (!found && (entry = readdir(processes))) {
        char path[PATH_MAX], name[64] = "?";
        FILE *file;

        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !holds(entry->d_name, socket_name)) continue;
        snprintf(path, sizeof(path), "/proc/%.32s/comm", entry->d_name);
        file = fopen(path, "re");
        if (file) {
            if (fgets(name, sizeof(name), file)) name[strcspn(name, "\n")] = 0;
            fclose(file);
        }
        snprintf(out, size, "%s, pid %.32s", name, entry->d_name);
        found = true;
    }
    closedir(processes);
    return found;
}
