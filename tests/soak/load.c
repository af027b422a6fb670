/* tests/soak/load.c: clients as a node meets them in bad times, all at once and for as long as one likes.
 *
 *     load PORT idle COUNT      opens so many connections, says "connected", and closes them when its input ends
 *     load PORT fill            writes every key once
 *     load PORT mix SECONDS     the clients below; prints what they have done, or the first promise that was broken
 *     load PORT mix SECONDS slow,half-closed          only those kinds of them
 *     load PORT mix SECONDS slow,half-closed light    the same at a price: what they take of their own CPU is spared, for who measures others on it
 *
 * A mix ends with the CPU time that it took here, and what each kind has done and moved:
 *
 *     seconds=4.001 user_s=0.040 system_s=0.210 | quitter done=310 in=0 out=162529280 | ...
 *
 * Every value says which key it is of and which version, and all its bytes follow from these, so that whoever reads one knows whether
 * it is whole. No client is asked to be quick, but those that behave must get each reply before PATIENCE_MS. Light clients ask for the same and
 * move as much, but look at no more than the ends of a big value: the kernel throws away what lies between. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
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

#define PATIENCE_MS 30000
#define KEYS 64u
#define HEAD_BYTES 16u
#define BIG_BYTES (1u << 20)
#define ANNOUNCED_BYTES 50000000
/* So much of a value is sent by one call: whoever shares the CPU is not to wait for the end of more. */
#define PART_BYTES (64u << 10)
/* A bytewise client sends a byte each time this program looks around, but no more often than this on average, however many others make it look around. */
#define BYTE_US 250
#define BYTES_LATE 16
/* Light clients read so often before others have their turn. */
#define READS_MAX 8

static uint16_t port;
static uint64_t random_state = 88172645463325252u;

static __attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("BROKEN: ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t now_ms(void)
{
    return now_us() / 1000;
}

static unsigned random_below(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 11) % limit;
}

/* --- Values --- */

static char pattern[BIG_BYTES + 256];

static size_t value_bytes(unsigned key)
{
    static const size_t sizes[] = { 100, 20000, 200000, BIG_BYTES };

    return sizes[key % 4];
}

static void make_pattern(void)
{
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (char)('a' + (i * 7 + i / 251) % 26);
}

/* The byte of a value behind its head. */
static const char *body_of(unsigned key, unsigned version)
{
    return pattern + (key * 7 + version * 13) % 256;
}

static size_t write_get(char *to, unsigned key)
{
    return (size_t)sprintf(to, "*2\r\n$3\r\nGET\r\n$6\r\nkey:%02u\r\n", key);
}

#define SET_BYTES_MAX (BIG_BYTES + 128)

/* Up to the body of the value. */
static size_t write_set_head(char *to, unsigned key, unsigned version)
{
    return (size_t)sprintf(to, "*3\r\n$3\r\nSET\r\n$6\r\nkey:%02u\r\n$%zu\r\n%08u%08u", key, value_bytes(key), key,
                           version);
}

static size_t write_set(char *to, unsigned key, unsigned version)
{
    size_t len = write_set_head(to, key, version), body = value_bytes(key) - HEAD_BYTES;

    memcpy(to + len, body_of(key, version), body);
    memcpy(to + len + body, "\r\n", 2);
    return len + body + 2;
}

/* --- Clients --- */

enum kind { GOOD, NEVER, SLOW, BYTEWISE, HALF, QUITTER, LIAR, CHURN, KINDS };
static const char *const kind_names[] = {
    "good", "never", "slow", "bytewise", "half-closed", "quitter", "liar", "churn"
};
static const int kind_counts[KINDS] = { 16, 16, 16, 8, 8, 8, 6, 8 };
static uint64_t done[KINDS], bytes_in[KINDS], bytes_out[KINDS];
static bool is_light;

struct client {
    enum kind kind;
    int fd; /* -1: connects at wake_ms */
    char *out;
    size_t out_len, out_at;
    const char *body; /* of a value, behind that: sent from where it lies */
    size_t body_left;
    uint64_t wake_ms;  /* when it does the next thing it does by itself */
    uint64_t asked_ms; /* when the oldest reply was asked for */
    int replies_due;
    bool has_ended; /* its own side */
    /* Of the reply that is being read. */
    char line[64];
    size_t line_len;
    bool in_bulk;
    size_t bulk_at, bulk_len;
    char head[HEAD_BYTES + 1];
    unsigned key, version, asked_key;
};

static int poller;

static bool has_to_send(const struct client *client)
{
    return client->out_at < client->out_len || client->body_left > 0;
}

static void watch(struct client *client, bool reads)
{
    struct epoll_event event = { .data.ptr = client };

    if (reads) event.events |= EPOLLIN;
    if (has_to_send(client) && client->kind != BYTEWISE) event.events |= EPOLLOUT;
    epoll_ctl(poller, EPOLL_CTL_MOD, client->fd, &event);
}

static int open_socket(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    if (fd < 0) fail("no socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("no connection: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

static void close_client(struct client *client, uint64_t again_in_ms)
{
    if (client->kind == QUITTER && random_below(2) == 0) {
        struct linger abort = { .l_onoff = 1 };

        setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    }
    close(client->fd);
    client->fd = -1;
    client->wake_ms = now_ms() + again_in_ms;
}

static void append(struct client *client, const char *data, size_t len)
{
    client->out = realloc(client->out, client->out_len + len);
    memcpy(client->out + client->out_len, data, len);
    client->out_len += len;
}

static void ask_get(struct client *client, unsigned key, int times)
{
    char text[64];
    size_t len = write_get(text, key);

    for (int i = 0; i < times; i++) append(client, text, len);
    client->replies_due += times;
    client->asked_key = key;
    client->asked_ms = now_ms();
}

static void ask_set(struct client *client, unsigned key)
{
    client->out = realloc(client->out, client->out_len + SET_BYTES_MAX);
    client->out_len += write_set(client->out + client->out_len, key, random_below(100000));
    client->replies_due++;
    client->asked_ms = now_ms();
}

/* The first bytes of one, which it will leave it at. */
static void ask_half_a_set(struct client *client, unsigned key, size_t bytes)
{
    unsigned version = random_below(100000);
    char text[128];
    size_t len = write_set_head(text, key, version);

    append(client, text, len < bytes ? len : bytes);
    client->body = body_of(key, version);
    client->body_left = bytes - client->out_len;
    client->replies_due++;
    client->asked_ms = now_ms();
}

static unsigned big_key(void)
{
    return random_below(KEYS / 4) * 4 + 3;
}

/* What a client asks for next. */
static void ask(struct client *client)
{
    char text[128];

    client->out_len = client->out_at = client->body_left = 0;
    switch (client->kind) {
    case GOOD:
        if (random_below(3) == 0)
            ask_set(client, random_below(KEYS));
        else
            ask_get(client, random_below(KEYS), 1);
        break;
    case NEVER:
        ask_get(client, big_key(), 1000);
        client->wake_ms = now_ms() + 3000 + random_below(5000);
        break;
    case SLOW:
        ask_get(client, big_key(), 4);
        break;
    case BYTEWISE:
        if (random_below(2) == 0)
            ask_set(client, random_below(KEYS / 4) * 4);
        else
            ask_get(client, big_key(), 1);
        break;
    case HALF:
        ask_get(client, big_key(), 5);
        break;
    case QUITTER:
        ask_half_a_set(client, big_key(), 1 + random_below(BIG_BYTES));
        break;
    case LIAR:
        append(client, text,
               (size_t)sprintf(text, "*3\r\n$3\r\nSET\r\n$4\r\nlies\r\n$%d\r\nfew bytes", ANNOUNCED_BYTES));
        client->wake_ms = now_ms() + 1000 + random_below(2000);
        break;
    case CHURN:
        append(client, "PING\r\n", 6);
        client->replies_due++;
        client->asked_ms = now_ms();
        break;
    case KINDS:
        break;
    }
}

static void open_client(struct client *client)
{
    struct epoll_event event = { .events = EPOLLOUT, .data.ptr = client };

    client->fd = open_socket();
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    client->replies_due = 0;
    client->has_ended = client->in_bulk = false;
    client->line_len = 0;
    client->wake_ms = 0;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event) != 0) fail("epoll: %s", strerror(errno));
    ask(client);
    watch(client, client->kind != NEVER && client->kind != SLOW);
}

/* --- Replies --- */

static void reply_done(struct client *client)
{
    client->replies_due--;
    client->asked_ms = now_ms();
    if (client->kind != NEVER) done[client->kind]++;
}

static void read_head(struct client *client)
{
    client->head[HEAD_BYTES] = '\0';
    if (sscanf(client->head, "%8u%8u", &client->key, &client->version) != 2 || client->key != client->asked_key ||
        client->bulk_len != value_bytes(client->key))
        fail("a %s client asked for key %u and got %zu bytes that begin with '%s'", kind_names[client->kind],
             client->asked_key, client->bulk_len, client->head);
}

/* Bytes of a bulk and the CRLF behind it; returns how many it used. */
static size_t read_bulk(struct client *client, const char *data, size_t len)
{
    size_t used = 0;

    while (used < len && client->in_bulk) {
        size_t left = len - used, at = client->bulk_at, part;

        if (at < HEAD_BYTES) {
            part = left < HEAD_BYTES - at ? left : HEAD_BYTES - at;
            memcpy(client->head + at, data + used, part);
            if (at + part == HEAD_BYTES) read_head(client);
        } else if (at < client->bulk_len) {
            part = left < client->bulk_len - at ? left : client->bulk_len - at;
            if (memcmp(data + used, body_of(client->key, client->version) + at - HEAD_BYTES, part) != 0)
                fail("a %s client got a value of key %u that is not one", kind_names[client->kind], client->key);
        } else {
            part = 1;
            if (data[used] != "\r\n"[at - client->bulk_len]) fail("a value does not end where it should");
        }
        client->bulk_at += part;
        used += part;
        if (client->bulk_at == client->bulk_len + 2) {
            client->in_bulk = false;
            reply_done(client);
        }
    }
    return used;
}

static void end_line(struct client *client)
{
    client->line[client->line_len - 1] = '\0';
    client->line_len = 0;
    if (client->line[0] == '$') {
        client->bulk_len = (size_t)atol(client->line + 1);
        client->bulk_at = 0;
        client->in_bulk = true;
        if (client->line[1] == '-') fail("a key is gone");
    } else if (client->line[0] == '+') {
        reply_done(client);
    } else {
        fail("a %s client was told '%s'", kind_names[client->kind], client->line);
    }
}

static void read_replies(struct client *client, const char *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        if (client->in_bulk) {
            at += read_bulk(client, data + at, len - at);
            continue;
        }
        if (client->line_len == sizeof client->line) fail("a line without an end");
        client->line[client->line_len++] = data[at++];
        if (client->line[client->line_len - 1] == '\n') end_line(client);
    }
}

static void on_closed(struct client *client)
{
    switch (client->kind) {
    case HALF:
        if (client->replies_due > 0) fail("a half-closed client lacks %d replies", client->replies_due);
        break;
    case NEVER: /* its limit */
    case QUITTER:
    case LIAR:
        break;
    default:
        fail("a %s client was disconnected", kind_names[client->kind]);
    }
    close_client(client, 10);
}

static char into[256 << 10];
#define END_BYTES 64u

/* Reads once; false when there was nothing. */
static bool receive(struct client *client, size_t most)
{
    bool is_spared = is_light && client->kind != SLOW; /* those read little, and by the clock */
    bool is_between =
        is_spared && client->in_bulk && client->bulk_at >= HEAD_BYTES && client->bulk_at < client->bulk_len;
    ssize_t got;

    if (is_between && most > client->bulk_len - client->bulk_at) most = client->bulk_len - client->bulk_at;
    if (is_spared && !is_between) most = END_BYTES;
    got = recv(client->fd, into, most, is_between ? MSG_TRUNC : 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
        on_closed(client);
        return false;
    }
    bytes_in[client->kind] += (uint64_t)got;
    if (is_between)
        client->bulk_at += (size_t)got;
    else
        read_replies(client, into, (size_t)got);
    return true;
}

/* When all it asked for has come. */
static void go_on(struct client *client)
{
    switch (client->kind) {
    case CHURN:
        close_client(client, 1 + random_below(20));
        return;
    case SLOW:
    case GOOD:
    case BYTEWISE:
        ask(client);
        break;
    default:
        break;
    }
    if (client->kind != SLOW) watch(client, true);
}

static ssize_t send_some(struct client *client)
{
    size_t most = client->out_len - client->out_at;
    ssize_t sent;

    if (client->kind == BYTEWISE && most > 1) most = 1;
    if (most > 0) {
        sent =
            send(client->fd, client->out + client->out_at, most, MSG_NOSIGNAL | (client->body_left > 0 ? MSG_MORE : 0));
        if (sent > 0) client->out_at += (size_t)sent;
    } else {
        most = client->body_left < PART_BYTES ? client->body_left : PART_BYTES;
        sent = send(client->fd, client->body, most, MSG_NOSIGNAL);
        if (sent > 0) client->body += sent;
        if (sent > 0) client->body_left -= (size_t)sent;
    }
    if (sent > 0) bytes_out[client->kind] += (uint64_t)sent;
    return sent;
}

static void transmit(struct client *client)
{
    ssize_t sent;

    do sent = send_some(client);
    while (sent > 0 && client->body_left > 0);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) on_closed(client);
        return;
    }
    if (has_to_send(client)) return;
    if (client->kind == QUITTER || client->kind == NEVER || client->kind == LIAR) done[client->kind]++;
    if (client->kind == QUITTER) {
        close_client(client, 50 + random_below(100)); /* a slow node would have to take ever more of them */
        return;
    }
    if (client->kind == HALF && !client->has_ended) {
        shutdown(client->fd, SHUT_WR);
        client->has_ended = true;
    }
    watch(client, client->kind != NEVER && client->kind != SLOW);
}

/* What a client does by itself, as time goes on. */
static void tick(struct client *client, uint64_t now)
{
    if (client->fd < 0) {
        if (now >= client->wake_ms) open_client(client);
        return;
    }
    switch (client->kind) {
    case NEVER:
    case LIAR:
        if (now < client->wake_ms) return;
        close_client(client, 1 + random_below(500));
        return;
    case SLOW:
        if (now < client->wake_ms) return;
        client->wake_ms = now + 20;
        receive(client, 16 << 10);
        if (client->fd < 0 || client->replies_due > 0) return;
        go_on(client);
        watch(client, false);
        return;
    case BYTEWISE:
        if (has_to_send(client)) transmit(client);
        return;
    default:
        if (client->replies_due > 0 && now - client->asked_ms > PATIENCE_MS)
            fail("a %s client waits for more than %d s", kind_names[client->kind], PATIENCE_MS / 1000);
    }
}

static void on_event(struct client *client, uint32_t events)
{
    if (events & EPOLLOUT) transmit(client);
    if (client->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    if (client->kind == SLOW) return;
    for (int reads = 0; reads < (is_light ? READS_MAX : 1) && (reads == 0 || client->replies_due > 0); reads++)
        if (!receive(client, sizeof into)) return;
    if (client->replies_due == 0 && client->kind != NEVER && client->kind != LIAR && client->kind != QUITTER)
        go_on(client);
}

/* Whether a kind is in a list of names with commas between them; all are in the empty list. */
static bool is_wanted(const char *list, enum kind kind)
{
    size_t len = strlen(kind_names[kind]);

    if (*list == '\0') return true;
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (strncmp(at, kind_names[kind], len) == 0 && (at[len] == ',' || at[len] == '\0')) return true;
    }
    return false;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void tell(uint64_t ms, const char *kinds)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    printf("seconds=%.3f user_s=%.3f system_s=%.3f", (double)ms / 1000, seconds_of(used.ru_utime),
           seconds_of(used.ru_stime));
    for (int kind = 0; kind < KINDS; kind++) {
        if (!is_wanted(kinds, (enum kind)kind)) continue;
        printf(" | %s done=%llu in=%llu out=%llu", kind_names[kind], (unsigned long long)done[kind],
               (unsigned long long)bytes_in[kind], (unsigned long long)bytes_out[kind]);
        if (done[kind] == 0) fail("no %s client has done anything", kind_names[kind]);
    }
    printf("\n");
}

static void mix(uint64_t seconds, const char *kinds)
{
    uint64_t began_ms = now_ms(), end_ms = began_ms + seconds * 1000, due_us = 0;
    struct client *clients;
    int count = 0, at = 0;

    for (int kind = 0; kind < KINDS; kind++) count += is_wanted(kinds, (enum kind)kind) ? kind_counts[kind] : 0;
    if (count == 0) fail("no such kinds: %s", kinds);
    clients = calloc((size_t)count, sizeof *clients);
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < kind_counts[kind] && is_wanted(kinds, (enum kind)kind); i++)
            clients[at++] = (struct client){ .kind = (enum kind)kind, .fd = -1 };
    poller = epoll_create1(EPOLL_CLOEXEC);
    while (now_ms() < end_ms) {
        struct epoll_event events[64];
        int ready = epoll_wait(poller, events, 64, 1);
        uint64_t now;

        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (client->fd >= 0) on_event(client, events[i].events);
        }
        now = now_us();
        if (now < due_us) continue;
        due_us = due_us + BYTE_US * BYTES_LATE < now ? now : due_us + BYTE_US;
        for (int i = 0; i < count; i++) tick(&clients[i], now / 1000);
    }
    tell(now_ms() - began_ms, kinds);
}

/* --- The other errands --- */

static void fill(void)
{
    static char set_text[SET_BYTES_MAX];
    int fd = open_socket();

    for (unsigned key = 0; key < KEYS; key++) {
        size_t len = write_set(set_text, key, 0);
        char reply[5];

        for (size_t at = 0; at < len;) {
            ssize_t sent = send(fd, set_text + at, len - at, MSG_NOSIGNAL);
            if (sent <= 0) fail("cannot write: %s", strerror(errno));
            at += (size_t)sent;
        }
        if (recv(fd, reply, 5, MSG_WAITALL) != 5 || memcmp(reply, "+OK\r\n", 5) != 0) fail("a SET was refused");
    }
    close(fd);
}

static void idle(int count)
{
    struct rlimit limit;
    char byte;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < (rlim_t)count + 20) {
        printf("too few descriptors: %llu\n", (unsigned long long)limit.rlim_cur);
        return;
    }
    for (int i = 0; i < count; i++) {
        char reply[7];
        int fd = open_socket();

        /* Each is served once, so that it is as big as a client that has been used. */
        if (send(fd, "PING\r\n", 6, MSG_NOSIGNAL) != 6 || recv(fd, reply, 7, MSG_WAITALL) != 7)
            fail("connection %d is not served", i);
    }
    printf("connected\n");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) continue;
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    port = (uint16_t)atoi(argv[1]);
    make_pattern();
    random_state ^= (uint64_t)time(NULL) * 2654435761u;
    if (strcmp(argv[2], "idle") == 0) idle(atoi(argv[3]));
    if (strcmp(argv[2], "fill") == 0) fill();
    is_light = argc > 5 && strcmp(argv[5], "light") == 0;
    if (strcmp(argv[2], "mix") == 0) mix((uint64_t)atoll(argv[3]), argc > 4 ? argv[4] : "");
    return 0;
}
