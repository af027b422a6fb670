/* utils/hitratio/replay.c
 *
 * Replays a trace of requests against a server that speaks RESP, as a cache is used: GET a key, and where it is not there SET
 * it. Prints what was missed.
 *
 *     replay [-h host] [-p port] [-v value bytes] [-r requests a second] [-n requests] [-b batch] [trace]
 *
 * A trace is text, "key" or "key,bytes" a line, the keys numbered from 0; standard input when no file is named. A key's value is as
 * large as at its first line, or as -v says. With -b the GETs of so many lines go in one write, then the SETs of what was missed. One
 * connection, so that the order of the trace is that of the requests. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH_MAX 64
#define KEY_MAX 100000000u
#define VALUE_MAX (64u << 20)

struct options {
    const char *host;
    uint16_t port;
    uint32_t value_bytes;
    double rate; /* 0: as fast as it goes */
    uint64_t requests_max;
    unsigned batch;
    FILE *trace;
};

struct trace {
    uint32_t *keys;
    uint64_t count;
    uint32_t *bytes; /* of each key */
    uint32_t key_count, bytes_max;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void *grown(void *memory, size_t count, size_t size)
{
    void *larger = reallocarray(memory, count, size);

    if (larger == NULL) fail("memory");
    return larger;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- The trace --- */

static void read_trace(struct trace *trace, const struct options *options)
{
    uint64_t room = 0;
    uint32_t key_room = 0;
    char line[128];

    while (trace->count < options->requests_max && fgets(line, sizeof(line), options->trace) != NULL) {
        char *end;
        unsigned long key = strtoul(line, &end, 10), bytes = *end == ',' ? strtoul(end + 1, NULL, 10) : 0;

        if (end == line) continue;
        if (key > KEY_MAX || bytes > VALUE_MAX) {
            fprintf(stderr, "line %llu: out of range\n", (unsigned long long)trace->count + 1);
            exit(1);
        }
        if (trace->count == room) trace->keys = grown(trace->keys, room = room * 2 + 4096, sizeof(*trace->keys));
        if (key >= key_room) {
            uint32_t former = key_room;

            key_room = (uint32_t)key * 2 + 4096;
            trace->bytes = grown(trace->bytes, key_room, sizeof(*trace->bytes));
            memset(trace->bytes + former, 0, (key_room - former) * sizeof(*trace->bytes));
        }
        if (trace->bytes[key] == 0) trace->bytes[key] = bytes == 0 ? options->value_bytes : (uint32_t)bytes;
        if (trace->bytes[key] > trace->bytes_max) trace->bytes_max = trace->bytes[key];
        if (key >= trace->key_count) trace->key_count = (uint32_t)key + 1;
        trace->keys[trace->count++] = (uint32_t)key;
    }
}

/* --- The server --- */

struct server {
    int fd;
    char *in;
    size_t at, len, cap;
    char *out;
    size_t out_len, out_cap;
};

static void connect_to(struct server *server, const struct options *options)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(options->port) };
    int on = 1;

    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (inet_pton(AF_INET, options->host, &address.sin_addr) != 1) fail(options->host);
    if (connect(server->fd, (struct sockaddr *)&address, sizeof(address)) != 0) fail("connect");
    setsockopt(server->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void add(struct server *server, const char *bytes, size_t len)
{
    if (server->out_len + len > server->out_cap)
        server->out = grown(server->out, server->out_cap = (server->out_len + len) * 2, 1);
    memcpy(server->out + server->out_len, bytes, len);
    server->out_len += len;
}

static void flush(struct server *server)
{
    for (size_t at = 0; at < server->out_len;) {
        ssize_t wrote = write(server->fd, server->out + at, server->out_len - at);

        if (wrote <= 0) fail("write");
        at += (size_t)wrote;
    }
    server->out_len = 0;
}

static void read_more(struct server *server)
{
    ssize_t got;

    if (server->at > 0) {
        memmove(server->in, server->in + server->at, server->len - server->at);
        server->len -= server->at;
        server->at = 0;
    }
    if (server->cap - server->len < 65536) server->in = grown(server->in, server->cap = server->cap * 2 + 131072, 1);
    got = read(server->fd, server->in + server->len, server->cap - server->len);
    if (got <= 0) fail("read");
    server->len += (size_t)got;
}

/* A bulk, a simple string or an error, which ends the program. True unless it is null; *value is good until the next. */
static bool read_reply(struct server *server, const char **value)
{
    const char *end;
    long bytes;

    while (server->len == server->at ||
           (end = memmem(server->in + server->at, server->len - server->at, "\r\n", 2)) == NULL)
        read_more(server);
    if (server->in[server->at] == '-') {
        fprintf(stderr, "%.*s\n", (int)(end - server->in - (long)server->at), server->in + server->at);
        exit(1);
    }
    if (server->in[server->at] != '$') {
        server->at = (size_t)(end - server->in) + 2;
        return true;
    }
    bytes = atol(server->in + server->at + 1);
    server->at = (size_t)(end - server->in) + 2;
    if (bytes < 0) return false;
    while (server->len - server->at < (size_t)bytes + 2) read_more(server);
    if (value != NULL) *value = server->in + server->at;
    server->at += (size_t)bytes + 2;
    return true;
}

static void ask(struct server *server, const char *verb, uint32_t key)
{
    char text[96];
    int len = snprintf(text, sizeof(text), "*%d\r\n$3\r\n%s\r\n$12\r\nk:%010u\r\n", verb[0] == 'G' ? 2 : 3, verb, key);

    add(server, text, (size_t)len);
}

static void send_set(struct server *server, uint32_t key, const char *values, uint32_t bytes)
{
    char head[32];

    ask(server, "SET", key);
    add(server, head, (size_t)snprintf(head, sizeof(head), "$%u\r\n", bytes));
    add(server, values, bytes);
    add(server, "\r\n", 2);
}

/* --- The replay --- */

struct result {
    uint64_t misses, missed_bytes, bytes;
};

static void replay_batch(struct server *server, const struct trace *trace, uint64_t from, unsigned count,
                         const char *values, struct result *result)
{
    bool hit[BATCH_MAX];
    bool any_missed = false;

    for (unsigned i = 0; i < count; i++) ask(server, "GET", trace->keys[from + i]);
    flush(server);
    for (unsigned i = 0; i < count; i++) hit[i] = read_reply(server, NULL);
    for (unsigned i = 0; i < count; i++) {
        uint32_t key = trace->keys[from + i];

        result->bytes += trace->bytes[key];
        if (hit[i]) continue;
        any_missed = true;
        result->misses++;
        result->missed_bytes += trace->bytes[key];
        send_set(server, key, values, trace->bytes[key]);
    }
    if (!any_missed) return;
    flush(server);
    for (unsigned i = 0; i < count; i++)
        if (!hit[i]) read_reply(server, NULL);
}

static void wait_until(double due_s)
{
    double left_s = due_s - now_s();

    if (left_s > 0.0005) usleep((useconds_t)(left_s * 1e6));
}

static uint64_t info(struct server *server, const char *field)
{
    const char *text = "", *found;

    add(server, "*1\r\n$4\r\nINFO\r\n", 14);
    flush(server);
    read_reply(server, &text);
    found = strstr(text, field);
    return found == NULL ? 0 : strtoull(found + strlen(field), NULL, 10);
}

static struct options read_options(int argc, char **argv)
{
    struct options options = {
        .host = "127.0.0.1", .port = 6379, .value_bytes = 1024, .requests_max = UINT64_MAX, .batch = 1, .trace = stdin
    };
    int option;

    while ((option = getopt(argc, argv, "h:p:v:r:n:b:")) != -1) {
        if (option == 'h') options.host = optarg;
        if (option == 'p') options.port = (uint16_t)atoi(optarg);
        if (option == 'v') options.value_bytes = (uint32_t)atoi(optarg);
        if (option == 'r') options.rate = atof(optarg);
        if (option == 'n') options.requests_max = strtoull(optarg, NULL, 10);
        if (option == 'b') options.batch = (unsigned)atoi(optarg);
        if (option == '?') exit(1);
    }
    if (options.batch < 1 || options.batch > BATCH_MAX || options.value_bytes < 1 || options.value_bytes > VALUE_MAX) {
        fprintf(stderr, "replay: -b is 1 to %d, -v 1 to %u\n", BATCH_MAX, VALUE_MAX);
        exit(1);
    }
    if (optind < argc && (options.trace = fopen(argv[optind], "re")) == NULL) fail(argv[optind]);
    return options;
}

int main(int argc, char **argv)
{
    struct options options = read_options(argc, argv);
    struct trace trace = { 0 };
    struct server server = { 0 };
    struct result result = { 0 };
    char *values;
    double began_s;

    read_trace(&trace, &options);
    if (trace.count == 0) {
        fprintf(stderr, "replay: an empty trace\n");
        return 1;
    }
    values = grown(NULL, trace.bytes_max, 1);
    memset(values, 'v', trace.bytes_max);
    connect_to(&server, &options);
    began_s = now_s();
    for (uint64_t at = 0; at < trace.count; at += options.batch) {
        uint64_t left = trace.count - at;

        replay_batch(&server, &trace, at, left < options.batch ? (unsigned)left : options.batch, values, &result);
        if (options.rate > 0) wait_until(began_s + (double)at / options.rate);
    }
    printf("requests=%llu misses=%llu miss_ratio=%.5f byte_miss_ratio=%.5f seconds=%.1f used_memory=%llu "
           "evicted=%llu\n",
           (unsigned long long)trace.count, (unsigned long long)result.misses,
           (double)result.misses / (double)trace.count, (double)result.missed_bytes / (double)result.bytes,
           now_s() - began_s, (unsigned long long)info(&server, "\nused_memory:"),
           (unsigned long long)info(&server, "\nevicted_keys:"));
    free(values);
    free(trace.keys);
    free(trace.bytes);
    free(server.in);
    free(server.out);
    close(server.fd);
    return 0;
}
