/* utils/bench/load.c
 *
 * Puts a server under load and prints one line of what came of it. One thread, one epoll, N connections. Each connection sends a batch of
 * `depth` commands with one write, reads until every reply is there, and sends the next: a closed loop, as an application with a pipeline is.
 * Each draws its keys from a random sequence of its own, so that no two connections walk the keyspace in step.
 *
 * The latency of a command is from the write of its batch to the read that brought its reply. Time is counted after a warm-up, and the
 * server's CPU time (-x) from the same two moments, so that what a command costs is known even where the machine is busy with others.
 *
 * With -A the kernel notes when each reply reached its socket, in the context of who sent it. From the write of a batch to that moment is what the server takes; what
 * comes after it is this program waiting for its own CPU, and `waited` is the share of the time for which it did. */
#include "histogram.h"
#include "protocol.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 128
#define READ_BYTES (256 * 1024)

/* GET, SET and MIX (half and half) take random keys for a while; LOAD writes each key once; DELETE deletes a share of them, spread
 * evenly; IDLE connects and says nothing. */
enum work { WORK_GET, WORK_SET, WORK_MIX, WORK_LOAD, WORK_DELETE, WORK_IDLE };

struct options {
    int port, connections, depth;
    uint64_t keys;
    enum work work;
    double seconds, warm_up_seconds, share;
    uint64_t commands_max; /* 0: as long as it takes */
    uint64_t seed;
    int spared_from, spared_to; /* slots whose keys are left alone; none where from is above to */
    int server_pid;             /* 0: nobody's CPU time is asked for */
    bool notes_arrival;
};

struct connection {
    int fd;
    char *requests;
    size_t to_send, sent;
    int awaited;
    uint64_t sent_ns, sent_wall_ns; /* the latter where arrivals are noted, which is by that clock */
    uint64_t random;
    uint64_t next_key, end_key; /* of LOAD and DELETE */
    struct reader reader;
};

struct cpu {
    double user_s, system_s;
    double total_s; /* from another clock of the kernel's, in nanoseconds where those two are in ticks */
};

static struct options options = { .port = 6379,
                                  .connections = 50,
                                  .depth = 1,
                                  .keys = 1000000,
                                  .seconds = 4,
                                  .warm_up_seconds = 0.3,
                                  .seed = 1,
                                  .spared_from = 1,
                                  .share = 1 };
static struct shape shape = { .prefix = "key:", .value_bytes_min = 64, .value_bytes_max = 64 };
static struct histogram latency, arrival;
static uint64_t replies, misses, errors;
static char first_error[128];
static char read_buffer[READ_BYTES];

static uint64_t ns_of(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return ns_of(&t);
}

static uint64_t wall_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return ns_of(&t);
}

/* xorshift64*: a handful of instructions, and good enough to visit keys evenly. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

static uint64_t random_key(uint64_t *state)
{
    return (uint64_t)(((unsigned __int128)random_next(state) * options.keys) >> 64);
}

/* --- Batches --- */

static void connection_send(struct connection *connection)
{
    while (connection->sent < connection->to_send) {
        ssize_t n = send(connection->fd, connection->requests + connection->sent,
                         connection->to_send - connection->sent, MSG_NOSIGNAL);

        if (n < 0) {
            if (errno == EAGAIN) return; /* the socket will be told writable */
            die("send");
        }
        connection->sent += (size_t)n;
    }
}

static bool is_in_share(uint64_t key)
{
    return (double)(key_hash(key ^ options.seed << 40) >> 11) * 0x1p-53 < options.share;
}

static bool is_spared(uint64_t key)
{
    unsigned slot;

    if (options.spared_from > options.spared_to) return false;
    slot = key_slot(&shape, key);
    return slot >= (unsigned)options.spared_from && slot <= (unsigned)options.spared_to;
}

static bool is_wanted(uint64_t key)
{
    return is_in_share(key) && !is_spared(key);
}

/* The next command; false when there is none. */
static bool connection_draw(struct connection *connection, enum verb *verb, uint64_t *key)
{
    switch (options.work) {
    case WORK_GET:
        *verb = VERB_GET;
        break;
    case WORK_SET:
        *verb = VERB_SET;
        break;
    case WORK_MIX:
        *verb = random_next(&connection->random) >> 63 ? VERB_GET : VERB_SET;
        break;
    case WORK_LOAD:
    case WORK_DELETE:
        *verb = options.work == WORK_LOAD ? VERB_SET : VERB_DELETE;
        while (connection->next_key < connection->end_key && !is_wanted(connection->next_key)) connection->next_key++;
        if (connection->next_key == connection->end_key) return false;
        *key = connection->next_key++;
        return true;
    case WORK_IDLE:
        return false;
    }
    do *key = random_key(&connection->random);
    while (is_spared(*key));
    return true;
}

/* Sends the next batch; false when there is nothing left to send. */
static bool connection_next_batch(struct connection *connection)
{
    enum verb verb = VERB_GET;
    uint64_t key = 0;

    connection->to_send = connection->sent = 0;
    for (connection->awaited = 0; connection->awaited < options.depth; connection->awaited++) {
        if (!connection_draw(connection, &verb, &key)) break;
        connection->to_send += request_write(connection->requests + connection->to_send, &shape, verb, key);
    }
    if (connection->awaited == 0) return false;
    connection->sent_ns = now_ns();
    if (options.notes_arrival) connection->sent_wall_ns = wall_ns();
    connection_send(connection);
    return true;
}

static void connection_feed(struct connection *connection, const char *bytes, size_t length, uint64_t ns)
{
    size_t used;

    for (; length > 0; bytes += used, length -= used) {
        if (!reply_read(&connection->reader, shape.is_memcached, bytes, length, &used)) return;
        if (connection->awaited == 0) die("a reply that nobody asked for");
        connection->awaited--;
        replies++;
        histogram_add(&latency, ns - connection->sent_ns);
        if (connection->reader.is_miss) misses++;
        if (connection->reader.is_error && errors++ == 0)
            snprintf(first_error, sizeof(first_error), "%s", connection->reader.line);
    }
}

/* When the last of what a read brought had come, by the wall clock; 0 where the kernel does not say. */
static uint64_t arrived_ns(struct msghdr *message)
{
    struct timespec t;

    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS) continue;
        memcpy(&t, CMSG_DATA(part), sizeof(t));
        return ns_of(&t);
    }
    return 0;
}

static ssize_t receive(const struct connection *connection)
{
    struct iovec into = { .iov_base = read_buffer, .iov_len = sizeof(read_buffer) };
    char control[128];
    struct msghdr message = {
        .msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    uint64_t arrived;
    ssize_t n;

    if (!options.notes_arrival) return recv(connection->fd, read_buffer, sizeof(read_buffer), 0);
    n = recvmsg(connection->fd, &message, 0);
    if (n <= 0) return n;
    arrived = arrived_ns(&message);
    if (arrived > connection->sent_wall_ns) histogram_add(&arrival, arrived - connection->sent_wall_ns);
    return n;
}

static void connection_read(struct connection *connection)
{
    for (;;) {
        ssize_t n = receive(connection);

        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) die("recv");
        if (n == 0) {
            errno = 0;
            die("the server closed a connection");
        }
        connection_feed(connection, read_buffer, (size_t)n, now_ns());
        /* Less than there was room for: nothing is left, and edge-triggered epoll tells of what comes next. */
        if ((size_t)n < sizeof(read_buffer)) return;
    }
}

static void connection_open(struct connection *connection, int index, int epoll)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port) };
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection };
    uint64_t part = options.keys / (uint64_t)options.connections;
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->fd < 0) die("socket");
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) != 0) die("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (options.notes_arrival && setsockopt(connection->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) != 0)
        die("timestamps");
    if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) != 0) die("fcntl");
    connection->random = (options.seed * 1000003u + (uint64_t)index + 1) * 0x9E3779B97F4A7C15u | 1u;
    for (int i = 0; i < 10; i++) (void)random_next(&connection->random);
    connection->next_key = part * (uint64_t)index;
    connection->end_key = index == options.connections - 1 ? options.keys : connection->next_key + part;
    if (options.work != WORK_IDLE) {
        connection->requests = malloc((shape.value_bytes_max + REQUEST_OVERHEAD_MAX) * (size_t)options.depth);
        if (!connection->requests) die("memory");
    }
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0) die("epoll_ctl");
}

/* --- CPU time --- */

static bool read_line(const char *path, char *text, int room)
{
    FILE *file = fopen(path, "r");
    bool ok = file && fgets(text, room, file);

    if (file) fclose(file);
    return ok;
}

/* The time its threads ran, each to the nanosecond. */
static double server_run_s(void)
{
    char path[320], text[256];
    unsigned long long ns, total_ns = 0;
    struct dirent *task;
    DIR *tasks;

    snprintf(path, sizeof(path), "/proc/%d/task", options.server_pid);
    tasks = opendir(path);
    if (!tasks) die(path);
    while ((task = readdir(tasks)) != NULL) {
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", options.server_pid, task->d_name);
        if (read_line(path, text, sizeof(text)) && sscanf(text, "%llu", &ns) == 1) total_ns += ns;
    }
    closedir(tasks);
    return (double)total_ns / 1e9;
}

/* All the server's threads together. */
static struct cpu server_cpu(void)
{
    char path[64], text[1024];
    const char *after_name;
    unsigned long long user, system;
    double ticks = (double)sysconf(_SC_CLK_TCK);

    if (options.server_pid == 0) return (struct cpu){ 0, 0, 0 };
    snprintf(path, sizeof(path), "/proc/%d/stat", options.server_pid);
    if (!read_line(path, text, sizeof(text))) die(path);
    /* The name may hold anything, spaces and brackets too; it ends at the last bracket. */
    after_name = strrchr(text, ')');
    if (!after_name ||
        sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        die(path);
    return (struct cpu){ (double)user / ticks, (double)system / ticks, server_run_s() };
}

static double own_cpu_s(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* For so long it could have run, and another did on its CPU. */
static double own_wait_s(void)
{
    unsigned long long ns;
    char text[256];

    return read_line("/proc/self/schedstat", text, sizeof(text)) && sscanf(text, "%*u %llu", &ns) == 1
               ? (double)ns / 1e9
               : 0;
}

/* --- The run --- */

struct moment {
    uint64_t ns;
    struct cpu server;
    double own_s, waited_s;
};

static struct moment moment_now(void)
{
    struct moment moment = { .server = server_cpu(), .own_s = own_cpu_s(), .waited_s = own_wait_s() };

    moment.ns = now_ns();
    return moment;
}

static void print_result(const struct moment *from, const struct moment *to)
{
    double seconds = (double)(to->ns - from->ns) / 1e9, count = replies ? (double)replies : 1;
    double user_s = to->server.user_s - from->server.user_s, system_s = to->server.system_s - from->server.system_s;
    double total_s = to->server.total_s - from->server.total_s;
    const struct histogram *arrivals = options.notes_arrival ? &arrival : &latency;

    printf("commands=%" PRIu64
           " seconds=%.3f per_second=%.0f p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f user_us=%.4f "
           "system_us=%.4f total_us=%.4f server_busy=%.3f load_busy=%.3f misses=%" PRIu64 " errors=%" PRIu64
           " arrived_p50_us=%.1f arrived_p99_us=%.1f arrived_p999_us=%.1f waited=%.4f\n",
           replies, seconds, (double)replies / seconds, histogram_percentile_us(&latency, 0.50),
           histogram_percentile_us(&latency, 0.99), histogram_percentile_us(&latency, 0.999),
           histogram_percentile_us(&latency, 1.0 - 1e-12), user_s * 1e6 / count, system_s * 1e6 / count,
           total_s * 1e6 / count, total_s / seconds, (to->own_s - from->own_s) / seconds, misses, errors,
           histogram_percentile_us(arrivals, 0.50), histogram_percentile_us(arrivals, 0.99),
           histogram_percentile_us(arrivals, 0.999), (to->waited_s - from->waited_s) / seconds);
}

static void run(struct connection *connections, int epoll)
{
    struct epoll_event events[EVENTS_MAX];
    bool is_timed = options.work != WORK_LOAD && options.work != WORK_DELETE, is_warm = !is_timed;
    struct moment from = moment_now(), to;
    int active = options.connections;

    for (int i = 0; i < options.connections; i++)
        if (!connection_next_batch(&connections[i])) active--;

    while (active > 0) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, 1000);
        double seconds = (double)(now_ns() - from.ns) / 1e9;

        if (count < 0 && errno != EINTR) die("epoll_wait");
        if (!is_warm && seconds >= options.warm_up_seconds) {
            is_warm = true;
            memset(&latency, 0, sizeof(latency));
            memset(&arrival, 0, sizeof(arrival));
            replies = misses = errors = 0;
            from = moment_now();
        } else if (is_timed && is_warm && seconds >= options.seconds) {
            break;
        }
        if (options.commands_max > 0 && replies >= options.commands_max) break;
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;

            connection_send(connection);
            if (connection->awaited == 0) continue; /* it has finished */
            connection_read(connection);
            if (connection->awaited == 0 && !connection_next_batch(connection)) active--;
        }
    }
    to = moment_now();
    print_result(&from, &to);
}

/* Holds the connections until standard input ends. */
static void idle(void)
{
    char byte;

    puts("connected");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
}

/* --- Options --- */

static void usage(void)
{
    fprintf(stderr,
            "usage: load -p PORT [-t get|set|mix|load|delete|idle] [-c connections] [-P depth] [-k keys] [-d value "
            "bytes, or MIN-MAX]\n"
            "            [-e seconds to live, or -E AT:OVER (unix ms of the first deadline, ms to the last)] [-a "
            "prefix of four] [-f share of the keys to load or delete] [-m "
            "(memcached's protocol)] [-o FROM-TO (slots whose keys are left out)]\n"
            "            [-s seconds] [-n commands at most] [-w warm-up seconds] [-r seed] [-x pid of the server] [-A "
            "(note "
            "when replies arrive)]\n");
    exit(2);
}

static double number(const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(value >= min && value <= max)) usage();
    return value;
}

static void read_sizes(char *text)
{
    char *dash = strchr(text, '-');

    if (dash) *dash = '\0';
    shape.value_bytes_min = (size_t)number(text, 0, 16777216);
    shape.value_bytes_max = dash ? (size_t)number(dash + 1, 0, 16777216) : shape.value_bytes_min;
    if (shape.value_bytes_max < shape.value_bytes_min) usage();
}

static void read_deadlines(char *text)
{
    char *colon = strchr(text, ':');

    if (!colon) usage();
    *colon = '\0';
    shape.expires_at_ms = (uint64_t)number(text, 1, 1e15);
    shape.expires_over_ms = (uint64_t)number(colon + 1, 0, 1e9);
}

static void read_spared(char *text)
{
    char *dash = strchr(text, '-');

    if (!dash) usage();
    *dash = '\0';
    options.spared_from = (int)number(text, 0, 16383);
    options.spared_to = (int)number(dash + 1, 0, 16383);
}

static enum work work_named(const char *name)
{
    static const char *const names[] = { "get", "set", "mix", "load", "delete", "idle" };

    for (int i = 0; i <= WORK_IDLE; i++)
        if (strcmp(name, names[i]) == 0) return (enum work)i;
    usage();
    return WORK_GET;
}

static void read_options(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "p:t:c:P:k:d:e:E:a:f:mo:s:n:w:r:x:A")) != -1) {
        switch (option) {
        case 'p':
            options.port = (int)number(optarg, 1, 65535);
            break;
        case 't':
            options.work = work_named(optarg);
            break;
        case 'c':
            options.connections = (int)number(optarg, 1, 100000);
            break;
        case 'P':
            options.depth = (int)number(optarg, 1, 10000);
            break;
        case 'k':
            options.keys = (uint64_t)number(optarg, 1, 999999999999.0);
            break;
        case 'd':
            read_sizes(optarg);
            break;
        case 'e':
            shape.ttl_s = (unsigned)number(optarg, 1, 2000000);
            break;
        case 'E':
            read_deadlines(optarg);
            break;
        case 'a':
            if (strlen(optarg) != PREFIX_BYTES) usage();
            memcpy(shape.prefix, optarg, PREFIX_BYTES);
            break;
        case 'f':
            options.share = number(optarg, 0, 1);
            break;
        case 'm':
            shape.is_memcached = true;
            break;
        case 'o':
            read_spared(optarg);
            break;
        case 's':
            options.seconds = number(optarg, 0.01, 86400);
            break;
        case 'n':
            options.commands_max = (uint64_t)number(optarg, 1, 1e15);
            break;
        case 'w':
            options.warm_up_seconds = number(optarg, 0, 3600);
            break;
        case 'r':
            options.seed = (uint64_t)number(optarg, 0, 65535);
            break;
        case 'A':
            options.notes_arrival = true;
            break;
        case 'x':
            options.server_pid = (int)number(optarg, 1, 4194304);
            break;
        default:
            usage();
        }
    }
    if (optind != argc) usage();
}

/* Printable bytes that a compressing or deduplicating server could make nothing of. */
static char *filler_new(void)
{
    char *filler = malloc(shape.value_bytes_max + 1);
    uint64_t random = options.seed * 2654435761u + 88172645463325252u;

    if (!filler) die("memory");
    for (size_t i = 0; i < shape.value_bytes_max; i++) filler[i] = (char)('!' + random_next(&random) % 90);
    return filler;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    struct connection *connections;
    char *filler;
    int epoll = epoll_create1(0);

    read_options(argc, argv);
    if (epoll < 0) die("epoll_create1");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    shape.filler = filler = filler_new();
    shape.expiring_keys = options.keys;
    connections = calloc((size_t)options.connections, sizeof(*connections));
    if (!connections) die("memory");
    for (int i = 0; i < options.connections; i++) connection_open(&connections[i], i, epoll);
    if (options.work == WORK_IDLE)
        idle();
    else
        run(connections, epoll);
    if (errors) fprintf(stderr, "load: %" PRIu64 " errors, the first: %s\n", errors, first_error);
    for (int i = 0; i < options.connections; i++) {
        close(connections[i].fd);
        free(connections[i].requests);
    }
    free(connections);
    free(filler);
    close(epoll);
    return errors ? 1 : 0;
}
