/* utils/experiments/server.c */
#include "server.h"
#include "conn.h"
#include "experiment.h"
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TRIES 20
#define START_MS 30000
#define ELSEWHERE_MAX 16u

/* Servers with addresses of their own. */
static struct {
    int port;
    const char *host;
} elsewhere[ELSEWHERE_MAX];

const char *server_host(int port)
{
    for (unsigned i = 0; i < ELSEWHERE_MAX; i++)
        if (elsewhere[i].host != NULL && elsewhere[i].port == port) return elsewhere[i].host;
    return "127.0.0.1";
}

static void note_host(int port, const char *host)
{
    for (unsigned i = 0; i < ELSEWHERE_MAX; i++)
        if (elsewhere[i].host == NULL) {
            elsewhere[i].port = port;
            elsewhere[i].host = host;
            return;
        }
    die("too many servers in namespaces");
}

static void forget_host(int port)
{
    for (unsigned i = 0; i < ELSEWHERE_MAX; i++)
        if (elsewhere[i].port == port) elsewhere[i].host = NULL;
}

/* Below the ephemeral ports, and so that the bus port (10000 more) is a port too. */
static int free_port(void)
{
    for (int tries = 0; tries < 1000; tries++) {
        int port = 15000 + (int)((now_us() * 31 + (uint64_t)getpid() * 7919 + (uint64_t)tries * 101) % 7000);
        int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        bool is_free;

        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        is_free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (is_free) return port;
    }
    die("no free port");
}

static void write_configuration(const struct server *server, const char *path, const char *more_lines)
{
    FILE *file = fopen(path, "w");

    if (file == NULL) die("%s: %s", path, strerror(errno));
    fprintf(file, "port %d\nbind %s\ndir %s\nsave \"\"\nappendonly no\nlogfile log\n", server->port,
            server_host(server->port), server->folder);
    if (server->space >= 0) fputs("protected-mode no\n", file);
    if (strstr(more_lines, "cluster-enabled") == NULL) fputs("cluster-enabled no\n", file);
    fputs(more_lines, file);
    fclose(file);
}

/* True when it serves; false when it ended, as one does that lost a race for its port. */
static bool wait_until_ready(struct server *server)
{
    uint64_t deadline = now_us() + START_MS * 1000;

    while (now_us() < deadline) {
        redisContext *context;
        redisReply *reply = NULL;

        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) return false;
        context = redisConnect(server_host(server->port), server->port);
        if (context != NULL && !context->err) reply = redisCommand(context, "PING");
        if (context != NULL) redisFree(context);
        if (reply != NULL) {
            freeReplyObject(reply);
            return true;
        }
        usleep(5000);
    }
    die("a server that serves nobody: port %d, %s/log", server->port, server->folder);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static void remove_folder(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void run_in_child(const struct server *server, const char *path, pid_t parent)
{
    int null = open("/dev/null", O_RDWR);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    if (server->space >= 0) network_enter((unsigned)server->space);
    dup2(null, 0);
    dup2(null, 1);
    execlp(server->binary, server->binary, path, (char *)NULL);
    fprintf(stderr, "%s: %s\n", server->binary, strerror(errno));
    _exit(127);
}

void server_restart(struct server *server)
{
    pid_t parent = getpid();
    char path[128];

    snprintf(path, sizeof path, "%s/redis.conf", server->folder);
    server->pid = fork();
    if (server->pid < 0) die("fork: %s", strerror(errno));
    if (server->pid == 0) run_in_child(server, path, parent);
}

static void start(struct server *server, const char *binary, const char *more_lines, int space)
{
    *server = (struct server){ .binary = binary, .space = space };
    for (int tries = 0; tries < START_TRIES; tries++) {
        const char *base = getenv("TMPDIR");
        char path[128];

        snprintf(server->folder, sizeof server->folder, "%.40s/experiment-XXXXXX", base != NULL ? base : "/tmp");
        if (mkdtemp(server->folder) == NULL) die("%s: %s", server->folder, strerror(errno));
        server->port = free_port();
        if (space >= 0) note_host(server->port, network_host((unsigned)space));
        snprintf(path, sizeof path, "%s/redis.conf", server->folder);
        write_configuration(server, path, more_lines);
        server_restart(server);
        if (wait_until_ready(server)) return;
        forget_host(server->port);
        note("port %d was taken, or the server refused its configuration: %s", server->port, server->folder);
    }
    die("%s does not start", binary);
}

void server_start(struct server *server, const char *binary, const char *more_lines)
{
    start(server, binary, more_lines, -1);
}

void server_start_in(struct server *server, const char *binary, const char *more_lines, unsigned n)
{
    start(server, binary, more_lines, network_is_open() ? (int)n : -1);
}

void server_kill(struct server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
}

void server_stop(struct server *server)
{
    server_kill(server);
    forget_host(server->port);
    remove_folder(server->folder);
}

/* Nanoseconds on a CPU, of all its threads. */
uint64_t server_cpu_us(const struct server *server)
{
    char path[300];
    uint64_t total = 0;
    struct dirent *entry;
    DIR *threads;

    snprintf(path, sizeof path, "/proc/%d/task", (int)server->pid);
    threads = opendir(path);
    if (threads == NULL) die("%s: %s", path, strerror(errno));
    while ((entry = readdir(threads)) != NULL) {
        unsigned long long ran_ns = 0;
        FILE *file;

        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)server->pid, entry->d_name);
        file = fopen(path, "r");
        if (file == NULL) continue;
        if (fscanf(file, "%llu", &ran_ns) == 1) total += ran_ns / 1000;
        fclose(file);
    }
    closedir(threads);
    return total;
}

uint64_t server_counter(const struct server *server, const char *field)
{
    redisReply *reply = command(server->port, "INFO everything");
    size_t length = strlen(field);
    uint64_t value = 0;

    for (const char *line = reply->str; line != NULL; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, field, length) == 0 && line[length] == ':') value = strtoull(line + length + 1, NULL, 10);
    freeReplyObject(reply);
    return value;
}
