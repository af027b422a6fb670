/* utils/hitratio/replay.c
 *
 * Replays a trace of requests against a server that speaks RESP, as a cache is used: GET a key, and where it is not there SET
 * it. Prints what was missed.
 *
 *     replay [-h host] [-p port] [-v value bytes] [-r requests a second] [-n requests] [-w share] [-c connections] [-B batch] [trace]
 *
 * A trace is text, "key", "key,bytes" or "key,bytes,ttl" a line, the keys numbered from 0; standard input when no file is named. A key's
 * value is as large as at its first line, or as -v says, and lives for as many requests as that line says; as a server counts in seconds,
 * this is heeded with -r only, and 0 is for good.
 * With -B the GETs of so many lines go out together, then the SETs of what was missed. With -c a key always goes over the same of
 * so many connections, so the order of each key's requests is kept; with one, that of all. Misses are counted from the start, and
 * besides without the first share of the requests that -w names. */
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
#define CONNECTIONS_MAX 256
#define KEY_MAX 100000000u
#define VALUE_MAX (64u << 20)

struct options {
    const char *host;
    uint16_t port;
    uint32_t value_bytes;
    double rate; /* 0: as fast as it goes */
    uint64_t requests_max;
    double warm_share; /* of the requests, whose misses are told apart */
    unsigned batch, connections;
    FILE *trace;
};

struct trace {
    uint32_t *keys;
    uint64_t count;
    struct key {
        uint32_t bytes;
        uint32_t ttl; /* in requests; 0: none */
    } * of_key;
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

static void see_key(struct trace *trace, uint32_t number, uint32_t *room, struct key first)
{
    if (number >= *room) {
        uint32_t former = *room;

        *room = number * 2 + 4096;
        trace->of_key = grown(trace->of_key, *room, sizeof(*trace->of_key));
        memset(trace->of_key + former, 0, (*room - former) * sizeof(*trace->of_key));
    }
    if (trace->of_key[number].bytes == 0) trace->of_key[number] = first;
    if (trace->of_key[number].bytes > trace->bytes_max) trace->bytes_max = trace->of_key[number].bytes;
    if (number >= trace->key_count) trace->key_count = number + 1;
}

static void read_trace(struct trace *trace, const struct options *options)
{
    uint64_t room = 0;
    uint32_t key_room = 0;
    char line[128];

    while (trace->count < options->requests_max && fgets(line, sizeof(line), options->trace) != NULL) {
        char *end;
        unsigned long key = strtoul(line, &end, 10), bytes = 0, ttl = 0;

        if (end == line) continue;
        if (*end == ',') bytes = strtoul(end + 1, &end, 10);
        if (*end == ',') ttl = strtoul(end + 1, &end, 10);
        if (key > KEY_MAX || bytes > VALUE_MAX || ttl > UINT32_MAX) {
            fprintf(stderr, "line %llu: out of range\n", (unsigned long long)trace->count + 1);
            exit(1);
        }
        if (trace->count == room) trace->keys = grown(trace->keys, room = room * 2 + 4096, sizeof(*trace->keys));
        see_key(trace, (uint32_t)key, &key_room,
                (struct key){ bytes == 0 ? options->value_bytes : (uint32_t)bytes, (uint32_t)ttl });
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
    uint64_t refused;
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

/* A bulk, a simple string or an error: "OOM ..." counts as refused, another ends the program. True unless it is null; *value is good until the
 * next. */
static bool read_reply(struct server *server, const char **value)
{
    const char *end;
    long bytes;

    while (server->len == server->at ||
           (end = memmem(server->in + server->at, server->len - server->at, "\r\n", 2)) == NULL)
        read_more(server);
    if (server->in[server->at] == '-' && memcmp(server->in + server->at, "-OOM", 4) == 0)
        server->refused++;
    else if (server->in[server->at] == '-') {
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

static void ask(struct server *server, const char *verb, uint32_t key, int argc)
{
    char text[96];
    int len = snprintf(text, sizeof(text), "*%d\r\n$%zu\r\n%s\r\n$12\r\nk:%010u\r\n", argc, strlen(verb), verb, key);

    add(server, text, (size_t)len);
}

/* Lives for ttl_ms, or 0: for good. */
static void send_set(struct server *server, uint32_t key, const char *values, uint32_t bytes, uint64_t ttl_ms)
{
    char text[96];

    ask(server, ttl_ms == 0 ? "SET" : "PSETEX", key, 3 + (ttl_ms != 0));
    if (ttl_ms != 0) {
        char digits[24];
        int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)ttl_ms);

        add(server, text, (size_t)snprintf(text, sizeof(text), "$%d\r\n%s\r\n", len, digits));
    }
    add(server, text, (size_t)snprintf(text, sizeof(text), "$%u\r\n", bytes));
    add(server, values, bytes);
    add(server, "\r\n", 2);
}

/* --- The replay --- */

struct result {
    uint64_t misses, late_misses, missed_bytes, bytes;
};

struct replay {
    const struct trace *trace;
    struct server *servers;
    unsigned connections;
    const char *values;
    double ms_per_request; /* by which times to live are told; 0: none are */
    uint64_t late_from;    /* the first request after the warm-up */
    struct result result;
};

static struct server *server_of(const struct replay *replay, uint32_t key)
{
    return &replay->servers[replay->connections == 1 ? 0 : (key * 2654435761u >> 8) % replay->connections];
}

static void flush_all(const struct replay *replay)
{
    for (unsigned i = 0; i < replay->connections; i++) flush(&replay->servers[i]);
}

static void set_missed(const struct replay *replay, uint32_t key)
{
    const struct key *of = &replay->trace->of_key[key];
    uint64_t ttl_ms = 0;

    if (of->ttl > 0 && replay->ms_per_request > 0) ttl_ms = (uint64_t)(of->ttl * replay->ms_per_request) + 1;
    send_set(server_of(replay, key), key, replay->values, of->bytes, ttl_ms);
}

static void replay_batch(struct replay *replay, uint64_t from, unsigned count)
{
    const uint32_t *keys = replay->trace->keys + from;
    struct result *result = &replay->result;
    bool hit[BATCH_MAX];
    bool any_missed = false;

    for (unsigned i = 0; i < count; i++) ask(server_of(replay, keys[i]), "GET", keys[i], 2);
    flush_all(replay);
    for (unsigned i = 0; i < count; i++) hit[i] = read_reply(server_of(replay, keys[i]), NULL);
    for (unsigned i = 0; i < count; i++) {
        uint32_t bytes = replay->trace->of_key[keys[i]].bytes;

        result->bytes += bytes;
        if (hit[i]) continue;
        any_missed = true;
        result->misses++;
        result->late_misses += from + i >= replay->late_from;
        result->missed_bytes += bytes;
        set_missed(replay, keys[i]);
    }
    if (!any_missed) return;
    flush_all(replay);
    for (unsigned i = 0; i < count; i++)
        if (!hit[i]) read_reply(server_of(replay, keys[i]), NULL);
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
        .host = "127.0.0.1",
        .port = 6379,
        .value_bytes = 1024,
        .requests_max = UINT64_MAX,
        .batch = 1,
        .connections = 1,
        .trace = stdin,
    };
    int option;

    while ((option = getopt(argc, argv, "h:p:v:r:n:w:c:B:")) != -1) {
        if (option == 'h') options.host = optarg;
        if (option == 'p') options.port = (uint16_t)atoi(optarg);
        if (option == 'v') options.value_bytes = (uint32_t)atoi(optarg);
        if (option == 'r') options.rate = atof(optarg);
        if (option == 'n') options.requests_max = strtoull(optarg, NULL, 10);
        if (option == 'w') options.warm_share = atof(optarg);
        if (option == 'c') options.connections = (unsigned)atoi(optarg);
        if (option == 'B') options.batch = (unsigned)atoi(optarg);
        if (option == '?') exit(1);
    }
    if (options.batch < 1 || options.batch > BATCH_MAX || options.value_bytes < 1 || options.value_bytes > VALUE_MAX ||
        options.connections < 1 || options.connections > CONNECTIONS_MAX || !(options.warm_share >= 0) ||
        !(options.warm_share < 1) || !(options.rate >= 0)) {
        fprintf(stderr, "replay: -B is 1 to %d, -v 1 to %u, -c 1 to %d, -w 0 to less than 1\n", BATCH_MAX, VALUE_MAX,
                CONNECTIONS_MAX);
        exit(1);
    }
    if (optind < argc && (options.trace = fopen(argv[optind], "re")) == NULL) fail(argv[optind]);
    return options;
}

static void print_result(const struct replay *replay, double seconds)
{
    const struct result *result = &replay->result;
    uint64_t count = replay->trace->count, refused = 0;

    for (unsigned i = 0; i < replay->connections; i++) refused += replay->servers[i].refused;

    printf("requests=%llu misses=%llu miss_ratio=%.5f miss_ratio_after_warm=%.5f byte_miss_ratio=%.5f seconds=%.1f "
           "used_memory=%llu evicted=%llu refused=%llu\n",
           (unsigned long long)count, (unsigned long long)result->misses, (double)result->misses / (double)count,
           (double)result->late_misses / (double)(count - replay->late_from),
           (double)result->missed_bytes / (double)result->bytes, seconds,
           (unsigned long long)info(replay->servers, "\nused_memory:"),
           (unsigned long long)info(replay->servers, "\nevicted_keys:"), (unsigned long long)refused);
}

int main(int argc, char **argv)
{
    struct options options = read_options(argc, argv);
    struct trace trace = { 0 };
    struct replay replay = { .trace = &trace, .connections = options.connections };
    char *values;
    double began_s;

    read_trace(&trace, &options);
    if (trace.count == 0) {
        fprintf(stderr, "replay: an empty trace\n");
        return 1;
    }
    values = grown(NULL, trace.bytes_max, 1);
    memset(values, 'v', trace.bytes_max);
    replay.values = values;
    replay.ms_per_request = options.rate > 0 ? 1000 / options.rate : 0;
    replay.late_from = (uint64_t)((double)trace.count * options.warm_share);
    replay.servers = grown(NULL, options.connections, sizeof(*replay.servers));
    memset(replay.servers, 0, options.connections * sizeof(*replay.servers));
    for (unsigned i = 0; i < options.connections; i++) connect_to(&replay.servers[i], &options);
    began_s = now_s();
    for (uint64_t at = 0; at < trace.count; at += options.batch) {
        uint64_t left = trace.count - at;

        replay_batch(&replay, at, left < options.batch ? (unsigned)left : options.batch);
        if (options.rate > 0) wait_until(began_s + (double)(at + options.batch) / options.rate);
    }
    print_result(&replay, now_s() - began_s);
    for (unsigned i = 0; i < options.connections; i++) {
        close(replay.servers[i].fd);
        free(replay.servers[i].in);
        free(replay.servers[i].out);
    }
    free(replay.servers);
    free(values);
    free(trace.keys);
    free(trace.of_key);
    return 0;
}
