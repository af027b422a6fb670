/* utils/bench/load.c
 *
 * Puts a server under load and prints one line of what came of it. One thread, one epoll, N connections. Each connection sends a batch of
 * `depth` commands with one write, reads until every reply is there, and sends the next: a closed loop, as an application with a pipeline is.
 *
 *     connection:  [ request | request | ... ]   built once; before each send only the digits of the keys are written over
 *                  keys from a random sequence of its own, so that no two connections walk the keyspace in step
 *
 * The latency of a command is from the write of its batch to the read that brought its reply. Time is counted after a warm-up, and the
 * server's CPU time (-x) from the same two moments, so that what a command costs is known even where the machine is busy with others. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEY_DIGITS 12
#define KEY_BYTES 16 /* "key:" and the digits */
#define EVENTS_MAX 128
#define READ_BYTES (256 * 1024)

/* A histogram of nanoseconds: 64 cells to each power of two, so no value is off by more than 1.6%. */
#define CELLS_PER_OCTAVE 64
#define OCTAVE_BITS 6
#define CELLS (CELLS_PER_OCTAVE * (64 - OCTAVE_BITS + 1))

enum work { WORK_GET, WORK_SET, WORK_LOAD };

struct options {
    int port, connections, depth;
    uint64_t keys;
    size_t value_bytes;
    enum work work;
    double seconds, warm_up_seconds;
    uint64_t seed;
    int server_pid; /* 0: nobody's CPU time is asked for */
};

/* Where a reply stands that may have come in pieces. */
enum reading { READING_TYPE, READING_LINE, READING_BULK };

struct connection {
    int fd;
    char *requests;
    size_t request_bytes; /* of one */
    int batch;            /* commands in this batch; the last one of a load may be shorter */
    size_t to_send, sent;
    int awaited;
    uint64_t sent_ns;
    uint64_t random;
    uint64_t next_key, end_key; /* of a load */

    enum reading reading;
    char type;
    bool is_negative;
    uint64_t number;
    size_t bulk_left;
    char text[120]; /* of an error */
    size_t text_bytes;
};

struct counts {
    uint64_t replies, misses, errors;
    uint64_t cells[CELLS];
};

struct cpu {
    double user_s, system_s;
};

static struct options options = {
    .port = 6379,
    .connections = 50,
    .depth = 1,
    .keys = 1000000,
    .value_bytes = 64,
    .seconds = 4,
    .warm_up_seconds = 0.3,
    .seed = 1,
};
static struct counts counts;
static char first_error[120];
static char read_buffer[READ_BYTES];

static void die(const char *what)
{
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- The histogram --- */
static size_t cell_of(uint64_t ns)
{
    unsigned octave;

    if (ns < CELLS_PER_OCTAVE) return (size_t)ns;
    octave = 63u - (unsigned)__builtin_clzll(ns);
    return (octave - OCTAVE_BITS + 1) * CELLS_PER_OCTAVE + ((ns >> (octave - OCTAVE_BITS)) & (CELLS_PER_OCTAVE - 1));
}

/* The smallest value of a cell. */
static uint64_t cell_ns(size_t cell)
{
    size_t octave = cell / CELLS_PER_OCTAVE;

    if (octave == 0) return cell;
    return ((uint64_t)CELLS_PER_OCTAVE + cell % CELLS_PER_OCTAVE) << (octave - 1);
}

static double percentile_us(double share)
{
    uint64_t wanted = (uint64_t)((double)counts.replies * share), seen = 0;

    for (size_t i = 0; i < CELLS; i++) {
        seen += counts.cells[i];
        if (seen > wanted) return (double)cell_ns(i) / 1000;
    }
    return 0;
}

/* --- Requests --- */
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

static size_t key_offset(void)
{
    return strlen(options.work == WORK_GET ? "*2\r\n$3\r\nGET\r\n$16\r\nkey:" : "*3\r\n$3\r\nSET\r\n$16\r\nkey:");
}

static void connection_build_requests(struct connection *connection)
{
    size_t room = options.value_bytes + 128;
    char *request = malloc(room);
    int length;

    if (!request) die("memory");
    if (options.work == WORK_GET) {
        length = snprintf(request, room, "*2\r\n$3\r\nGET\r\n$%d\r\nkey:%0*d\r\n", KEY_BYTES, KEY_DIGITS, 0);
    } else {
        length = snprintf(request, room, "*3\r\n$3\r\nSET\r\n$%d\r\nkey:%0*d\r\n$%zu\r\n", KEY_BYTES, KEY_DIGITS, 0,
                          options.value_bytes);
        /* Bytes that a compressing or deduplicating server could make nothing of. */
        for (size_t i = 0; i < options.value_bytes; i++)
            request[length++] = (char)('!' + random_next(&connection->random) % 90);
        request[length++] = '\r';
        request[length++] = '\n';
    }
    connection->request_bytes = (size_t)length;
    connection->requests = malloc(connection->request_bytes * (size_t)options.depth);
    if (!connection->requests) die("memory");
    for (int i = 0; i < options.depth; i++)
        memcpy(connection->requests + (size_t)i * connection->request_bytes, request, connection->request_bytes);
    free(request);
}

static void write_key(char *digits, uint64_t key)
{
    for (int i = KEY_DIGITS - 1; i >= 0; i--) {
        digits[i] = (char)('0' + key % 10);
        key /= 10;
    }
}

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

/* Sends the next batch; false when a load has no more keys. */
static bool connection_next_batch(struct connection *connection)
{
    size_t offset = key_offset();

    connection->batch = options.depth;
    if (options.work == WORK_LOAD) {
        uint64_t left = connection->end_key - connection->next_key;

        if (left == 0) return false;
        if (left < (uint64_t)connection->batch) connection->batch = (int)left;
    }
    for (int i = 0; i < connection->batch; i++) {
        uint64_t key = options.work == WORK_LOAD ? connection->next_key++ : random_key(&connection->random);

        write_key(connection->requests + (size_t)i * connection->request_bytes + offset, key);
    }
    connection->to_send = (size_t)connection->batch * connection->request_bytes;
    connection->sent = 0;
    connection->awaited = connection->batch;
    connection->sent_ns = now_ns();
    connection_send(connection);
    return true;
}

/* --- Replies --- */
static void reply_ended(struct connection *connection, uint64_t ns)
{
    if (connection->awaited == 0) die("a reply that nobody asked for");
    connection->awaited--;
    connection->reading = READING_TYPE;
    counts.replies++;
    counts.cells[cell_of(ns - connection->sent_ns)]++;
    if (connection->type == '$' && connection->is_negative) counts.misses++;
    if (connection->type == '-') {
        connection->text[connection->text_bytes] = '\0';
        if (counts.errors++ == 0) memcpy(first_error, connection->text, sizeof(first_error));
    }
}

static void line_ended(struct connection *connection, uint64_t ns)
{
    if (connection->type == '$' && !connection->is_negative) {
        connection->bulk_left = (size_t)connection->number + 2;
        connection->reading = READING_BULK;
    } else {
        reply_ended(connection, ns);
    }
}

static void line_byte(struct connection *connection, char byte)
{
    if (connection->type == '$') {
        if (byte == '-')
            connection->is_negative = true;
        else if (isdigit((unsigned char)byte))
            connection->number = connection->number * 10 + (uint64_t)(byte - '0');
    } else if (connection->type == '-' && connection->text_bytes < sizeof(connection->text) - 1 && byte != '\r') {
        connection->text[connection->text_bytes++] = byte;
    }
}

static void connection_feed(struct connection *connection, const char *bytes, size_t length, uint64_t ns)
{
    size_t i = 0;

    while (i < length) {
        switch (connection->reading) {
        case READING_TYPE:
            connection->type = bytes[i++];
            if (!strchr("+-:$_", connection->type)) die("a reply of a type that GET and SET do not have");
            connection->is_negative = connection->type == '_';
            connection->number = 0;
            connection->text_bytes = 0;
            connection->reading = READING_LINE;
            break;
        case READING_LINE:
            if (bytes[i] == '\n')
                line_ended(connection, ns);
            else
                line_byte(connection, bytes[i]);
            i++;
            break;
        case READING_BULK: {
            size_t n = length - i < connection->bulk_left ? length - i : connection->bulk_left;

            i += n;
            connection->bulk_left -= n;
            if (connection->bulk_left == 0) reply_ended(connection, ns);
            break;
        }
        }
    }
}

static void connection_read(struct connection *connection)
{
    for (;;) {
        ssize_t n = recv(connection->fd, read_buffer, sizeof(read_buffer), 0);

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

/* --- The run --- */
static void connection_open(struct connection *connection, int index, int epoll)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port) };
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection };
    uint64_t share = options.keys / (uint64_t)options.connections;
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->fd < 0) die("socket");
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) != 0) die("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) != 0) die("fcntl");
    connection->random = (options.seed * 1000003u + (uint64_t)index + 1) * 0x9E3779B97F4A7C15u | 1u;
    for (int i = 0; i < 10; i++) (void)random_next(&connection->random);
    connection->next_key = share * (uint64_t)index;
    connection->end_key = index == options.connections - 1 ? options.keys : connection->next_key + share;
    connection_build_requests(connection);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0) die("epoll_ctl");
}

/* utime and stime of the process, all its threads together. */
static struct cpu server_cpu(void)
{
    char path[64], text[1024];
    const char *after_name;
    unsigned long long user, system;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    FILE *file;

    if (options.server_pid == 0) return (struct cpu){ 0, 0 };
    snprintf(path, sizeof(path), "/proc/%d/stat", options.server_pid);
    file = fopen(path, "r");
    if (!file || !fgets(text, sizeof(text), file)) die(path);
    fclose(file);
    /* The name may hold anything, spaces and brackets too; it ends at the last bracket. */
    after_name = strrchr(text, ')');
    if (!after_name ||
        sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        die(path);
    return (struct cpu){ (double)user / ticks, (double)system / ticks };
}

static double own_cpu_s(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void print_result(double seconds, struct cpu cpu, double own_s)
{
    double replies = counts.replies ? (double)counts.replies : 1;

    printf("commands=%" PRIu64
           " seconds=%.3f per_second=%.0f p50_us=%.1f p99_us=%.1f p999_us=%.1f user_us=%.4f system_us=%.4f "
           "server_busy=%.3f load_busy=%.3f misses=%" PRIu64 " errors=%" PRIu64 "\n",
           counts.replies, seconds, (double)counts.replies / seconds, percentile_us(0.50), percentile_us(0.99),
           percentile_us(0.999), cpu.user_s * 1e6 / replies, cpu.system_s * 1e6 / replies,
           (cpu.user_s + cpu.system_s) / seconds, own_s / seconds, counts.misses, counts.errors);
}

static void run(struct connection *connections)
{
    struct epoll_event events[EVENTS_MAX];
    int epoll = epoll_create1(0), active = options.connections;
    bool is_warm = options.work == WORK_LOAD;
    uint64_t began, warm_at, end_at;
    struct cpu cpu_before, cpu_after;
    double own_before;

    if (epoll < 0) die("epoll_create1");
    for (int i = 0; i < options.connections; i++) connection_open(&connections[i], i, epoll);
    cpu_before = server_cpu();
    own_before = own_cpu_s();
    began = now_ns();
    warm_at = began + (uint64_t)(options.warm_up_seconds * 1e9);
    end_at = warm_at + (uint64_t)(options.seconds * 1e9);
    for (int i = 0; i < options.connections; i++)
        if (!connection_next_batch(&connections[i])) active--;

    while (active > 0) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, 1000);
        uint64_t now = now_ns();

        if (count < 0 && errno != EINTR) die("epoll_wait");
        if (!is_warm && now >= warm_at) {
            is_warm = true;
            memset(&counts, 0, sizeof(counts));
            cpu_before = server_cpu();
            own_before = own_cpu_s();
            began = now_ns();
            end_at = began + (uint64_t)(options.seconds * 1e9);
        }
        if (is_warm && options.work != WORK_LOAD && now >= end_at) break;
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;

            connection_send(connection);
            if (connection->awaited == 0) continue; /* a load's connection that has finished */
            connection_read(connection);
            if (connection->awaited == 0 && !connection_next_batch(connection)) active--;
        }
    }
    cpu_after = server_cpu();
    print_result((double)(now_ns() - began) / 1e9,
                 (struct cpu){ cpu_after.user_s - cpu_before.user_s, cpu_after.system_s - cpu_before.system_s },
                 own_cpu_s() - own_before);
}

static void usage(void)
{
    fprintf(stderr, "usage: load -p PORT [-t get|set|load] [-c connections] [-P depth] [-k keys] [-d value bytes]\n"
                    "            [-s seconds] [-w warm-up seconds] [-r seed] [-x pid of the server]\n"
                    "load writes every key once; get and set take random ones for the time given.\n");
    exit(2);
}

static double number(const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(value >= min && value <= max)) usage();
    return value;
}

static void read_options(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "p:t:c:P:k:d:s:w:r:x:")) != -1) {
        switch (option) {
        case 'p':
            options.port = (int)number(optarg, 1, 65535);
            break;
        case 'c':
            options.connections = (int)number(optarg, 1, 10000);
            break;
        case 'P':
            options.depth = (int)number(optarg, 1, 10000);
            break;
        case 'k':
            options.keys = (uint64_t)number(optarg, 1, 999999999999.0);
            break;
        case 'd':
            options.value_bytes = (size_t)number(optarg, 0, 16777216);
            break;
        case 's':
            options.seconds = number(optarg, 0.01, 86400);
            break;
        case 'w':
            options.warm_up_seconds = number(optarg, 0, 3600);
            break;
        case 'r':
            options.seed = (uint64_t)number(optarg, 0, 4294967295.0);
            break;
        case 'x':
            options.server_pid = (int)number(optarg, 1, 4194304);
            break;
        case 't':
            if (strcmp(optarg, "get") == 0)
                options.work = WORK_GET;
            else if (strcmp(optarg, "set") == 0)
                options.work = WORK_SET;
            else if (strcmp(optarg, "load") == 0)
                options.work = WORK_LOAD;
            else
                usage();
            break;
        default:
            usage();
        }
    }
    if (optind != argc) usage();
}

int main(int argc, char **argv)
{
    struct connection *connections;

    read_options(argc, argv);
    connections = calloc((size_t)options.connections, sizeof(*connections));
    if (!connections) die("memory");
    run(connections);
    if (counts.errors) fprintf(stderr, "load: %" PRIu64 " errors, the first: %s\n", counts.errors, first_error);
    for (int i = 0; i < options.connections; i++) {
        close(connections[i].fd);
        free(connections[i].requests);
    }
    free(connections);
    return counts.errors ? 1 : 0;
}
