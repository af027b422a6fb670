/* utils/experiments/network.c */
#include "network.h"
#include "experiment.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPACES_MAX 8u

static struct {
    unsigned count;
    pid_t holders[SPACES_MAX]; /* a namespace lives as long as a process in it */
    char hosts[SPACES_MAX][16];
    pid_t wire;
    FILE *to_wire, *from_wire;
} network;

bool network_is_open(void)
{
    return network.count > 0;
}

const char *network_host(unsigned n)
{
    return network.hosts[n];
}

void network_enter(unsigned n)
{
    int space = open(text("/proc/%d/ns/net", (int)network.holders[n]), O_RDONLY | O_CLOEXEC);

    if (space < 0 || setns(space, CLONE_NEWNET) < 0) _exit(126);
    close(space);
}

/* --- The wire --- */

static void say(const char *line)
{
    char answer[64] = "";

    fprintf(network.to_wire, "%s\n", line);
    fflush(network.to_wire);
    if (fgets(answer, sizeof answer, network.from_wire) == NULL || strcmp(answer, "ok\n") != 0)
        die("the wire answers '%s' to '%s'", answer, line);
}

void network_cut_one_way(unsigned from, unsigned to)
{
    say(text("rule %u %u 100 0", from + 1, to + 1));
}

void network_cut(unsigned a, unsigned b)
{
    network_cut_one_way(a, b);
    network_cut_one_way(b, a);
}

void network_heal(void)
{
    say("heal");
}

/* It lies beside this program. */
static void wire_path(char path[256])
{
    ssize_t length = readlink("/proc/self/exe", path, 240);

    if (length < 0) die("no path of this program: %s", strerror(errno));
    path[length] = '\0';
    strcpy(strrchr(path, '/') + 1, "wire");
}

static void start_wire(unsigned count)
{
    int in[2], out[2];
    char path[256], pids[SPACES_MAX + 1][16], *arguments[SPACES_MAX + 3] = { path };

    wire_path(path);
    for (unsigned n = 0; n <= count; n++) {
        snprintf(pids[n], sizeof pids[n], "%d", (int)(n < count ? network.holders[n] : getpid()));
        arguments[n + 1] = pids[n];
    }
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) die("no pipe: %s", strerror(errno));
    network.wire = fork();
    if (network.wire == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], 0);
        dup2(out[1], 1);
        execv(path, arguments);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    network.to_wire = fdopen(in[1], "w");
    network.from_wire = fdopen(out[0], "r");
    say("up");
}

static bool set_up(const char *space, unsigned number)
{
    return system(text("%s sh -c 'ip link set lo up && ip addr add 10.78.0.%u/24 dev wire0 && ip link set wire0 up'",
                       space, number)) == 0;
}

/* --- Namespaces --- */

static pid_t start_holder(void)
{
    pid_t parent = getpid(), pid = fork();
    char mine[64] = "", its[64] = "";

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || unshare(CLONE_NEWNET) < 0) _exit(1);
        for (;;) pause();
    }
    /* Until it is in its own. */
    do {
        usleep(1000);
        if (readlink("/proc/self/ns/net", mine, sizeof mine - 1) < 0 ||
            readlink(text("/proc/%d/ns/net", (int)pid), its, sizeof its - 1) < 0)
            die("a namespace was not to be had");
    } while (strcmp(mine, its) == 0);
    return pid;
}

const char *network_open(unsigned count)
{
    char path[256];

    wire_path(path);
    if (count > SPACES_MAX) die("too many namespaces");
    if (access(path, X_OK) != 0) return text("there is no %s", path);
    if (access("/dev/net/tun", R_OK | W_OK) != 0) return "no TUN devices";
    if (system("command -v ip nsenter >/dev/null") != 0) return "there is no ip, or no nsenter";
    if (unshare(CLONE_NEWNET) < 0) return text("no network namespaces: %s", strerror(errno));
    for (unsigned n = 0; n < count; n++) {
        network.holders[n] = start_holder();
        snprintf(network.hosts[n], sizeof network.hosts[n], "10.78.0.%u", n + 1);
    }
    start_wire(count);
    network.count = count;
    for (unsigned n = 0; n < count; n++)
        if (!set_up(text("nsenter --net=/proc/%d/ns/net", (int)network.holders[n]), n + 1))
            die("the wire's devices cannot be set up");
    if (!set_up("", count + 1)) die("the wire's device cannot be set up");
    return NULL;
}

static void end_process(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

void network_close(void)
{
    fclose(network.to_wire);
    fclose(network.from_wire);
    end_process(network.wire);
    for (unsigned n = 0; n < network.count; n++) end_process(network.holders[n]);
    network.count = 0;
}
