/* server/dev_cluster.c
 *
 * Starts the nodes by exec of this program, so that each is a node like any other and no loop or thread is carried over a fork, and asks the
 * kernel to end them with their parent, so that none is left behind even by a kill -9. The cluster is formed with the commands an operator
 * would give: slots, epochs, MEET. A directory that holds a formed cluster needs none of them. */
#include "server/dev_cluster.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "net/listener.h"
#include "server/process.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODES_MAX 100
#define START_MS_MAX 20000
#define FORM_MS_MAX 60000
#define CONFIG_PATH_BYTES (PATH_MAX + 32)

struct cluster_node {
    pid_t pid;
    int port;
    int first, last; /* its share of the slots */
    char dir[PATH_MAX];
    redisContext *link;
};

struct dev_cluster {
    int count, port;
    char dir[PATH_MAX];
    struct cluster_node nodes[NODES_MAX];
};

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    is_interrupted = 1;
}

static bool read_number(const char *text, long min, long max, int *out)
{
    char *end;
    long value = text ? strtol(text, &end, 10) : 0;

    if (!text || *text == '\0' || *end != '\0' || value < min || value > max) return false;
    *out = (int)value;
    return true;
}

static bool read_arguments(struct dev_cluster *cluster, int argc, char **argv)
{
    char *dir = "./redis-shard-dev";

    cluster->port = 7000;
    if (argc < 2 || !read_number(argv[1], 1, NODES_MAX, &cluster->count)) {
        fprintf(stderr, "redis-shard --dev-cluster N [--port P] [--dir D]: N is 1 to %d nodes\n", NODES_MAX);
        return false;
    }
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--port") == 0) {
            if (read_number(argv[i + 1], 1, 55535 - cluster->count + 1, &cluster->port)) continue;
            fprintf(stderr, "--port: %s: a port of at most %d, for the bus is at port + 10000\n", argv[i + 1],
                    55535 - cluster->count + 1);
            return false;
        }
        if (i + 1 < argc && strcmp(argv[i], "--dir") == 0) {
            dir = argv[i + 1];
            continue;
        }
        fprintf(stderr, "%s: not an option of --dev-cluster: it has --port P and --dir D\n", argv[i]);
        return false;
    }
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "%s: %s\n", dir, strerror(errno));
        return false;
    }
    if (realpath(dir, cluster->dir)) return true;
    fprintf(stderr, "%s: %s\n", dir, strerror(errno));
    return false;
}

/* A port in use is found before any node is started, so that none has to be ended again. */
static bool port_is_free(int port)
{
    int fd = listener_tcp("127.0.0.1", (uint16_t)port, 1);
    char holder[128];

    if (fd >= 0) {
        close(fd);
        return true;
    }
    if (errno == EADDRINUSE && process_holding_port((uint16_t)port, holder, sizeof(holder)))
        fprintf(stderr, "127.0.0.1:%d: held by %s; give another --port\n", port, holder);
    else
        fprintf(stderr, "127.0.0.1:%d: %s; give another --port\n", port, strerror(errno));
    return false;
}

/* Each node has a file of its own, empty at first, for what CONFIG REWRITE keeps: the cluster manager's set-timeout asks for that. */
static void config_path(const struct cluster_node *node, char path[CONFIG_PATH_BYTES])
{
    snprintf(path, CONFIG_PATH_BYTES, "%s/redis-shard.conf", node->dir);
}

static bool make_config(const struct cluster_node *node)
{
    char path[CONFIG_PATH_BYTES];
    int fd;

    config_path(node, path);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

static bool make_folder(const struct dev_cluster *cluster, struct cluster_node *node)
{
    if (snprintf(node->dir, sizeof(node->dir), "%.4000s/%d", cluster->dir, node->port) >= (int)sizeof(node->dir))
        return false;
    if (mkdir(node->dir, 0777) == 0 || errno == EEXIST) return true;
    fprintf(stderr, "%s: %s\n", node->dir, strerror(errno));
    return false;
}

static bool lay_out(struct dev_cluster *cluster)
{
    for (int i = 0; i < cluster->count; i++) {
        struct cluster_node *node = &cluster->nodes[i];

        node->port = cluster->port + i;
        node->first = 16384 * i / cluster->count;
        node->last = 16384 * (i + 1) / cluster->count - 1;
        if (!port_is_free(node->port) || !port_is_free(node->port + 10000)) return false;
        if (!make_folder(cluster, node) || !make_config(node)) return false;
    }
    return true;
}

static bool start_node(const struct dev_cluster *cluster, struct cluster_node *node)
{
    pid_t parent = getpid();
    char port[16], program[PATH_MAX] = "", config[CONFIG_PATH_BYTES];

    (void)cluster;
    /* By its real path, so that ps and the message about a held port name it. */
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
        snprintf(program, sizeof(program), "/proc/self/exe");
    snprintf(port, sizeof(port), "%d", node->port);
    config_path(node, config);
    node->pid = fork();
    if (node->pid < 0) {
        fprintf(stderr, "Cannot start a process: %s\n", strerror(errno));
        return false;
    }
    if (node->pid > 0) return true;
    /* A group of its own: Ctrl-C reaches the parent alone, which ends the nodes in order. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1); /* it died before we asked to be told */
    execl(program, "redis-shard", config, "--port", port, "--bind", "127.0.0.1", "--dir", node->dir, "--logfile",
          "node.log", "--cluster-enabled", "yes", "--io-threads", "1", "--enable-debug-command", "local", (char *)NULL);
    _exit(127);
}

/* A child that has ended is not signalled again: its pid may be somebody else's by then. */
static struct cluster_node *reap(struct dev_cluster *cluster)
{
    pid_t pid = waitpid(-1, NULL, WNOHANG);

    for (int i = 0; pid > 0 && i < cluster->count; i++) {
        if (cluster->nodes[i].pid != pid) continue;
        cluster->nodes[i].pid = 0;
        return &cluster->nodes[i];
    }
    return NULL;
}

static void end_nodes(struct dev_cluster *cluster)
{
    for (int i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].link) redisFree(cluster->nodes[i].link);
        if (cluster->nodes[i].pid > 0) kill(cluster->nodes[i].pid, SIGTERM);
    }
    for (int i = 0; i < cluster->count; i++)
        if (cluster->nodes[i].pid > 0) waitpid(cluster->nodes[i].pid, NULL, 0);
}

static bool say_ended(const struct cluster_node *node)
{
    fprintf(stderr, "The node on port %d has ended; %s/node.log says why\n", node->port, node->dir);
    return false;
}

static void rest(void)
{
    usleep(50 * 1000);
}

static bool connect_to(struct dev_cluster *cluster, struct cluster_node *node)
{
    int64_t deadline_ms = clock_monotonic_ms() + START_MS_MAX;

    while (!is_interrupted && clock_monotonic_ms() < deadline_ms) {
        struct cluster_node *ended = reap(cluster);

        if (ended) return say_ended(ended);
        node->link = redisConnectWithTimeout("127.0.0.1", node->port, (struct timeval){ .tv_sec = 2 });
        if (node->link && !node->link->err) {
            redisSetTimeout(node->link, (struct timeval){ .tv_sec = 10 });
            return true;
        }
        if (node->link) redisFree(node->link);
        node->link = NULL;
        rest();
    }
    if (!is_interrupted)
        fprintf(stderr, "The node on port %d does not answer; see %s/node.log\n", node->port, node->dir);
    return false;
}

/* The reply's text, which the caller frees, or NULL after it was said what went wrong. */
static char *ask(struct cluster_node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));
static char *ask(struct cluster_node *node, const char *format, ...)
{
    char command[256], *text = NULL;
    redisReply *reply;
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    /* No argument of ours holds a '%' or a space. */
    reply = redisCommand(node->link, command);
    if (reply && reply->type != REDIS_REPLY_ERROR)
        text = alloc_text(reply->str ? reply->str : "");
    else
        fprintf(stderr, "Port %d: %s: %s\n", node->port, command, reply ? reply->str : node->link->errstr);
    if (reply) freeReplyObject(reply);
    return text;
}

static bool tell(struct cluster_node *node, const char *command)
{
    char *text = ask(node, "%s", command);
    bool ok = text != NULL;

    alloc_free(text);
    return ok;
}

/* Has this directory's cluster been formed before? A node that knows only itself has not met anyone. */
static bool is_formed(struct dev_cluster *cluster, bool *formed)
{
    char *info = ask(&cluster->nodes[0], "CLUSTER INFO");
    const char *epoch;

    if (!info) return false;
    epoch = strstr(info, "cluster_my_epoch:");
    *formed = epoch && strtol(epoch + strlen("cluster_my_epoch:"), NULL, 10) > 0;
    alloc_free(info);
    return true;
}

static bool form(struct dev_cluster *cluster)
{
    char command[128];

    for (int i = 0; i < cluster->count; i++) {
        snprintf(command, sizeof(command), "CLUSTER ADDSLOTSRANGE %d %d", cluster->nodes[i].first,
                 cluster->nodes[i].last);
        if (!tell(&cluster->nodes[i], command)) return false;
        snprintf(command, sizeof(command), "CLUSTER SET-CONFIG-EPOCH %d", i + 1);
        if (!tell(&cluster->nodes[i], command)) return false;
    }
    for (int i = 1; i < cluster->count; i++) {
        snprintf(command, sizeof(command), "CLUSTER MEET 127.0.0.1 %d", cluster->nodes[i].port);
        if (!tell(&cluster->nodes[0], command)) return false;
    }
    return true;
}

static bool knows_all(struct dev_cluster *cluster, struct cluster_node *node, bool *knows)
{
    char *info = ask(node, "CLUSTER INFO"), wanted[64];

    if (!info) return false;
    snprintf(wanted, sizeof(wanted), "cluster_known_nodes:%d\r\n", cluster->count);
    *knows = strstr(info, "cluster_state:ok") && strstr(info, "cluster_slots_assigned:16384") && strstr(info, wanted);
    alloc_free(info);
    return true;
}

static bool wait_until_formed(struct dev_cluster *cluster)
{
    int64_t deadline_ms = clock_monotonic_ms() + FORM_MS_MAX;
    int agreed = 0;

    while (!is_interrupted && clock_monotonic_ms() < deadline_ms) {
        struct cluster_node *ended = reap(cluster);
        bool knows;

        if (ended) return say_ended(ended);
        if (!knows_all(cluster, &cluster->nodes[agreed], &knows)) return false;
        if (knows && ++agreed == cluster->count) return true;
        if (!knows) rest();
    }
    if (!is_interrupted)
        fprintf(stderr,
                "The node on port %d does not see all %d nodes; if %s is of another cluster, remove it or give another "
                "--dir\n",
                cluster->nodes[agreed].port, cluster->count, cluster->dir);
    return false;
}

static void print_cluster(struct dev_cluster *cluster)
{
    char *nodes = ask(&cluster->nodes[0], "CLUSTER NODES");

    printf("\nA cluster of %d in %s\n\n", cluster->count, cluster->dir);
    for (int i = 0; i < cluster->count; i++)
        printf("  127.0.0.1:%d  pid %d  %s/node.log\n", cluster->nodes[i].port, (int)cluster->nodes[i].pid,
               cluster->nodes[i].dir);
    printf("\n%s\nTry:\n  redis-cli -c -p %d set hello world\n  redis-cli -p %d cluster slots\n  redis-cli --cluster "
           "check 127.0.0.1:%d\n"
           "\nReady to accept connections. Ctrl-C ends all of it; the same command brings the same cluster back.\n",
           nodes ? nodes : "", cluster->port, cluster->port, cluster->port);
    fflush(stdout);
    alloc_free(nodes);
}

static bool run(struct dev_cluster *cluster)
{
    bool formed = false;

    if (!lay_out(cluster)) return false;
    for (int i = 0; i < cluster->count; i++)
        if (!start_node(cluster, &cluster->nodes[i])) return false;
    for (int i = 0; i < cluster->count; i++)
        if (!connect_to(cluster, &cluster->nodes[i])) return false;
    if (!is_formed(cluster, &formed)) return false;
    if (!formed && !form(cluster)) return false;
    if (!wait_until_formed(cluster)) return false;
    print_cluster(cluster);
    while (!is_interrupted) {
        struct cluster_node *ended = reap(cluster);

        if (ended) say_ended(ended); /* the others go on: that is what a cluster is for */
        rest();
    }
    return true;
}

int dev_cluster_run(int argc, char **argv)
{
    struct dev_cluster *cluster = alloc_zeroed(sizeof(*cluster));
    bool ok = false;

    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    signal(SIGHUP, on_interrupt);
    signal(SIGPIPE, SIG_IGN);
    if (read_arguments(cluster, argc, argv)) {
        ok = run(cluster);
        end_nodes(cluster);
    }
    alloc_free(cluster);
    return ok || is_interrupted ? 0 : 1;
}
