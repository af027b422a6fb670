/* tests/soak/moves.c: slots that move back and forth between two nodes while clients write to them.
 *
 *     moves KEYS SECONDS WRITERS BATCH PORT ID PORT ID [still]
 *
 * The first node owns slots 0 to 99 at the beginning, empty, and at the end as well. KEYS keys are spread over these; they are moved to the other
 * node and back, BATCH keys at a time, for so long. Meanwhile each of the writers sets, deletes and reads keys of its own, as a
 * client of a cluster does: it follows MOVED and ASK, and tries again at TRYAGAIN. It knows what it was told about each key, so every value it reads
 * is right or wrong; at the end all of them are read once more. With `still` nothing moves.
 *
 * Prints one line of what was done, or the first promise that was broken. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 100u
#define PATIENCE_S 60
#define VALUE_BYTES 64u
#define BATCH_MAX 1000u
#define FILL_BATCH 500u

struct node {
    uint16_t port;
    const char *id;
};

static struct node nodes[2];
static unsigned key_count, writer_count, batch_keys;
static char tags[SLOTS][12];                /* each of the slot of its index */
static uint32_t *versions;                  /* of each key, as its writer was told; 0: none */
static _Atomic unsigned char owners[SLOTS]; /* as clients believe */
static _Atomic bool ending;
static _Atomic uint64_t acknowledged, reads, asked, moved, try_again, keys_moved, slots_moved;

static __attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("BROKEN: ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
    _exit(1);
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- Keys and values --- */

static unsigned slot_of(const char *text)
{
    unsigned crc = 0;

    for (; *text != '\0'; text++) {
        crc ^= (unsigned)(unsigned char)*text << 8;
        for (int bit = 0; bit < 8; bit++) crc = ((crc & 0x8000u) ? (crc << 1) ^ 0x1021u : crc << 1) & 0xffffu;
    }
    return crc % 16384u;
}

static void find_tags(void)
{
    unsigned found = 0;

    for (unsigned number = 0; found < SLOTS; number++) {
        char text[12];
        unsigned slot;

        snprintf(text, sizeof(text), "%u", number);
        slot = slot_of(text);
        if (slot >= SLOTS || tags[slot][0] != '\0') continue;
        memcpy(tags[slot], text, sizeof(text));
        found++;
    }
}

static unsigned slot_of_key(unsigned key)
{
    return key % SLOTS;
}

static int key_text(char *out, unsigned key)
{
    return sprintf(out, "{%s}%u", tags[slot_of_key(key)], key);
}

/* Which key, which version, and the rest follows from these. */
static void value_text(char out[VALUE_BYTES + 1], unsigned key, uint32_t version)
{
    int len = snprintf(out, VALUE_BYTES + 1, "%u:%u:", key, version);

    memset(out + len, 'a' + (int)((key + version) % 26), VALUE_BYTES - (unsigned)len);
    out[VALUE_BYTES] = '\0';
}

/* --- A connection --- */

struct link {
    int fd;
    char in[1 << 16];
    size_t at, end;
};

struct reply {
    char type;
    long number; /* of an integer, of a bulk its bytes, of an array its elements; -1: null */
    char text[512];
};

static void link_open(struct link *link, uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct timeval patience = { .tv_sec = PATIENCE_S };
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    link->at = link->end = 0;
    link->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (link->fd < 0 || connect(link->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect: %s", strerror(errno));
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static void send_all(struct link *link, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(link->fd, bytes, len, MSG_NOSIGNAL);

        if (sent < 0) fail("send: %s", strerror(errno));
        bytes += sent;
        len -= (size_t)sent;
    }
}

static char next_byte(struct link *link)
{
    if (link->at == link->end) {
        ssize_t got = recv(link->fd, link->in, sizeof(link->in), 0);

        if (got <= 0) fail("no reply: %s", got == 0 ? "closed" : strerror(errno));
        link->at = 0;
        link->end = (size_t)got;
    }
    return link->in[link->at++];
}

static void read_line(struct link *link, char *out, size_t room)
{
    size_t len = 0;
    char c;

    while ((c = next_byte(link)) != '\r')
        if (len + 1 < room) out[len++] = c;
    out[len] = '\0';
    next_byte(link);
}

/* The elements of an array are to be read one by one after it. */
static void read_reply(struct link *link, struct reply *reply)
{
    reply->type = next_byte(link);
    read_line(link, reply->text, sizeof(reply->text));
    reply->number = strtol(reply->text, NULL, 10);
    if (reply->type != '$') return;
    for (long i = 0; i < reply->number + (reply->number >= 0 ? 2 : 0); i++) {
        char c = next_byte(link);

        if (i < reply->number && (size_t)i + 1 < sizeof(reply->text)) reply->text[i] = c;
    }
    reply->text[reply->number < 0                             ? 0
                : (size_t)reply->number < sizeof(reply->text) ? (size_t)reply->number
                                                              : sizeof(reply->text) - 1] = '\0';
}

struct request {
    char text[BATCH_MAX * 64 + 4096];
    size_t len;
};

static void request_begin(struct request *request, unsigned words)
{
    request->len += (size_t)sprintf(request->text + request->len, "*%u\r\n", words);
}

static void request_word(struct request *request, const char *word)
{
    request->len += (size_t)sprintf(request->text + request->len, "$%zu\r\n%s\r\n", strlen(word), word);
}

static void request_words(struct request *request, unsigned count, ...)
{
    va_list words;

    request_begin(request, count);
    va_start(words, count);
    for (unsigned i = 0; i < count; i++) request_word(request, va_arg(words, const char *));
    va_end(words);
}

static void ask(struct link *link, struct request *request, struct reply *reply)
{
    send_all(link, request->text, request->len);
    request->len = 0;
    read_reply(link, reply);
}

/* --- Writers --- */

struct writer {
    pthread_t thread;
    unsigned index;
    uint64_t random;
    struct link links[2];
    struct request request;
};

static unsigned draw(struct writer *writer, unsigned limit)
{
    writer->random ^= writer->random << 13;
    writer->random ^= writer->random >> 7;
    writer->random ^= writer->random << 17;
    return (unsigned)((writer->random >> 16) % limit);
}

static unsigned node_named(const char *redirect)
{
    const char *colon = strrchr(redirect, ':');
    long port = colon == NULL ? 0 : strtol(colon + 1, NULL, 10);

    if (port == nodes[0].port) return 0;
    if (port == nodes[1].port) return 1;
    fail("a redirect to nobody: %s", redirect);
}

/* Sends the request, which is kept, until somebody serves it. */
static void follow(struct writer *writer, unsigned slot, struct reply *reply)
{
    const char *text = writer->request.text;
    size_t len = writer->request.len;
    double until_s = now_s() + PATIENCE_S;

    for (;;) {
        unsigned node = atomic_load(&owners[slot]);

        if (now_s() > until_s) fail("slot %u: nobody serves it: %s", slot, reply->text);
        send_all(&writer->links[node], text, len);
        read_reply(&writer->links[node], reply);
        if (reply->type == '-' && strncmp(reply->text, "ASK ", 4) == 0) {
            atomic_fetch_add(&asked, 1);
            node = node_named(reply->text);
            send_all(&writer->links[node], "*1\r\n$6\r\nASKING\r\n", 16);
            send_all(&writer->links[node], text, len);
            read_reply(&writer->links[node], reply);
            if (reply->type != '+') fail("ASKING: %s", reply->text);
            read_reply(&writer->links[node], reply);
        }
        if (reply->type != '-') break;
        if (strncmp(reply->text, "MOVED ", 6) == 0) {
            atomic_fetch_add(&moved, 1);
            atomic_store(&owners[slot], (unsigned char)node_named(reply->text));
        } else if (strncmp(reply->text, "TRYAGAIN ", 9) == 0) {
            atomic_fetch_add(&try_again, 1);
            usleep(500);
        } else {
            fail("slot %u: %s", slot, reply->text);
        }
    }
    writer->request.len = 0;
}

static void check_value(unsigned key, const struct reply *reply)
{
    char expected[VALUE_BYTES + 1];

    if (versions[key] == 0) {
        if (reply->number != -1) fail("key %u was deleted, and is '%s'", key, reply->text);
        return;
    }
    if (reply->number == -1) fail("key %u is lost: version %u was acknowledged", key, versions[key]);
    value_text(expected, key, versions[key]);
    if (strcmp(expected, reply->text) != 0) fail("key %u should be '%s', and is '%s'", key, expected, reply->text);
}

/* Another key of the same slot and the same writer. */
static unsigned neighbour(unsigned key)
{
    unsigned other = key + SLOTS * writer_count;

    return other < key_count ? other : slot_of_key(key) + SLOTS * (key / SLOTS % writer_count);
}

static void write_keys(struct writer *writer, unsigned first, unsigned second)
{
    struct request *request = &writer->request;
    unsigned keys[2] = { first, second }, count = first == second ? 1 : 2;
    struct reply reply;

    request_begin(request, 1 + 2 * count);
    request_word(request, "MSET");
    for (unsigned i = 0; i < count; i++) {
        char key[32], value[VALUE_BYTES + 1];

        key_text(key, keys[i]);
        value_text(value, keys[i], versions[keys[i]] + 1);
        request_word(request, key);
        request_word(request, value);
    }
    follow(writer, slot_of_key(first), &reply);
    if (reply.type != '+') fail("MSET: %s", reply.text);
    for (unsigned i = 0; i < count; i++) versions[keys[i]]++;
}

static void delete_key(struct writer *writer, unsigned key)
{
    struct reply reply;
    char text[32];

    key_text(text, key);
    request_words(&writer->request, 2, "DEL", text);
    follow(writer, slot_of_key(key), &reply);
    if (reply.type != ':' || reply.number != (versions[key] != 0))
        fail("DEL of key %u, version %u: %s", key, versions[key], reply.text);
    versions[key] = 0;
}

static void read_key(struct writer *writer, unsigned key)
{
    struct reply reply;
    char text[32];

    key_text(text, key);
    request_words(&writer->request, 2, "GET", text);
    follow(writer, slot_of_key(key), &reply);
    check_value(key, &reply);
    atomic_fetch_add(&reads, 1);
}

/* A key's writer follows from its place in its slot. */
static void *write_and_read(void *argument)
{
    struct writer *writer = argument;
    unsigned rows = key_count / SLOTS / writer_count;

    while (!atomic_load(&ending)) {
        unsigned key = draw(writer, SLOTS) + SLOTS * (draw(writer, rows) * writer_count + writer->index);
        unsigned what = draw(writer, 20);

        if (what < 8) {
            read_key(writer, key);
            continue;
        }
        if (what < 10)
            delete_key(writer, key);
        else
            write_keys(writer, key, what < 13 ? neighbour(key) : key);
        atomic_fetch_add(&acknowledged, 1);
    }
    return NULL;
}

/* --- Moving --- */

struct operator
{
    struct link links[2];
    struct request request;
    struct reply reply;
};

static void tell(struct operator* operator, unsigned node, unsigned slot, const char *verb, unsigned other)
{
    char text[12];

    snprintf(text, sizeof(text), "%u", slot);
    request_words(&operator->request, 5, "CLUSTER", "SETSLOT", text, verb, nodes[other].id);
    ask(&operator->links[node], &operator->request, &operator->reply);
    if (operator->reply.type != '+') fail("SETSLOT %u %s: %s", slot, verb, operator->reply.text);
}

/* Appends MIGRATE with the next keys of the slot; how many they are. */
static unsigned request_keys(struct operator* operator, unsigned from, unsigned to, unsigned slot)
{
    char slot_text[12], count_text[12], port[12];
    unsigned count;

    snprintf(slot_text, sizeof(slot_text), "%u", slot);
    snprintf(count_text, sizeof(count_text), "%u", batch_keys);
    snprintf(port, sizeof(port), "%u", nodes[to].port);
    request_words(&operator->request, 4, "CLUSTER", "GETKEYSINSLOT", slot_text, count_text);
    ask(&operator->links[from], &operator->request, &operator->reply);
    if (operator->reply.type != '*') fail("GETKEYSINSLOT: %s", operator->reply.text);
    count = (unsigned)operator->reply.number;
    request_begin(&operator->request, 7 + count);
    request_word(&operator->request, "MIGRATE");
    request_word(&operator->request, "127.0.0.1");
    request_word(&operator->request, port);
    request_word(&operator->request, "");
    request_word(&operator->request, "0");
    request_word(&operator->request, "60000");
    request_word(&operator->request, "KEYS");
    for (unsigned i = 0; i < count; i++) {
        read_reply(&operator->links[from], &operator->reply);
        request_word(&operator->request, operator->reply.text);
    }
    return count;
}

static void move_slot(struct operator* operator, unsigned slot, unsigned from, unsigned to)
{
    unsigned count;

    tell(operator, to, slot, "IMPORTING", from);
    tell(operator, from, slot, "MIGRATING", to);
    while ((count = request_keys(operator, from, to, slot)) > 0) {
        ask(&operator->links[from], &operator->request, &operator->reply);
        if (operator->reply.type != '+') fail("MIGRATE: %s", operator->reply.text);
        atomic_fetch_add(&keys_moved, count);
    }
    operator->request.len = 0;
    tell(operator, to, slot, "NODE", to);
    tell(operator, from, slot, "NODE", to);
    atomic_fetch_add(&slots_moved, 1);
}

/* To the other node and back, until the time is over; then home. */
static void *move_slots(void *argument)
{
    struct operator* operator= argument;
    unsigned from = 0, slot = 0;

    while (!atomic_load(&ending)) {
        move_slot(operator, slot, from, 1 - from);
        if (++slot < SLOTS) continue;
        slot = 0;
        from = 1 - from;
    }
    while (from == 0 && slot > 0) move_slot(operator, -- slot, 1, 0);
    while (from == 1 && slot < SLOTS) move_slot(operator, slot++, 1, 0);
    return NULL;
}

/* --- All of it --- */

static void fill(struct writer *writer)
{
    struct link *link = &writer->links[0];
    struct reply reply;

    for (unsigned key = 0; key < key_count; key += FILL_BATCH) {
        unsigned count = key_count - key < FILL_BATCH ? key_count - key : FILL_BATCH;

        for (unsigned i = key; i < key + count; i++) {
            char text[32], value[VALUE_BYTES + 1];

            versions[i] = 1;
            key_text(text, i);
            value_text(value, i, 1);
            request_words(&writer->request, 3, "SET", text, value);
        }
        send_all(link, writer->request.text, writer->request.len);
        writer->request.len = 0;
        for (unsigned i = 0; i < count; i++) {
            read_reply(link, &reply);
            if (reply.type != '+') fail("SET: %s", reply.text);
        }
    }
}

/* All is where it was at the beginning, whole, and nowhere else. */
static void check_content(struct writer *writer)
{
    unsigned live = 0;
    struct reply reply;

    for (unsigned key = 0; key < key_count; key += FILL_BATCH) {
        unsigned count = key_count - key < FILL_BATCH ? key_count - key : FILL_BATCH;

        for (unsigned i = key; i < key + count; i++) {
            char text[32];

            key_text(text, i);
            request_words(&writer->request, 2, "GET", text);
        }
        send_all(&writer->links[0], writer->request.text, writer->request.len);
        writer->request.len = 0;
        for (unsigned i = key; i < key + count; i++) {
            read_reply(&writer->links[0], &reply);
            if (reply.type != '$') fail("key %u: %s", i, reply.text);
            check_value(i, &reply);
            live += versions[i] != 0;
        }
    }
    for (unsigned node = 0; node < 2; node++) {
        long total = 0;

        for (unsigned slot = 0; slot < SLOTS; slot++) {
            char text[12];

            snprintf(text, sizeof(text), "%u", slot);
            request_words(&writer->request, 3, "CLUSTER", "COUNTKEYSINSLOT", text);
            ask(&writer->links[node], &writer->request, &reply);
            total += reply.number;
        }
        if (total != (node == 0 ? (long)live : 0)) fail("node %u has %ld keys of %u", node, total, live);
    }
}

int main(int argc, char **argv)
{
    bool moves = argc == 9;
    struct writer *writers;
    struct operator* operator= calloc(1, sizeof(*operator));
    pthread_t mover;
    double seconds, began_s, took_s;

    if (argc != 9 && !(argc == 10 && strcmp(argv[9], "still") == 0)) fail("usage: see the top of moves.c");
    writer_count = (unsigned)atoi(argv[3]);
    batch_keys = (unsigned)atoi(argv[4]);
    seconds = atof(argv[2]);
    if (writer_count == 0 || writer_count > 64 || batch_keys == 0 || batch_keys > BATCH_MAX)
        fail("so many are not possible");
    key_count = (unsigned)atoi(argv[1]) / (SLOTS * writer_count) * (SLOTS * writer_count);
    if (key_count == 0) fail("too few keys");
    for (unsigned i = 0; i < 2; i++) {
        nodes[i] = (struct node){ .port = (uint16_t)atoi(argv[5 + 2 * i]), .id = argv[6 + 2 * i] };
        link_open(&operator->links[i], nodes[i].port);
    }
    find_tags();
    versions = calloc(key_count, sizeof(*versions));
    writers = calloc(writer_count, sizeof(*writers));
    for (unsigned i = 0; i < writer_count; i++) {
        writers[i].index = i;
        writers[i].random = 88172645463325252u + 2654435761u * i;
        for (unsigned node = 0; node < 2; node++) link_open(&writers[i].links[node], nodes[node].port);
    }
    fill(&writers[0]);
    puts("filled");
    fflush(stdout);

    began_s = now_s();
    for (unsigned i = 0; i < writer_count; i++) pthread_create(&writers[i].thread, NULL, write_and_read, &writers[i]);
    if (moves) pthread_create(&mover, NULL, move_slots, operator);
    while (now_s() < began_s + seconds) usleep(10000);
    atomic_store(&ending, true);
    took_s = now_s() - began_s;
    printf("seconds=%.1f keys_moved=%llu slots_moved=%llu writes=%llu reads=%llu asked=%llu moved=%llu try_again=%llu ",
           took_s, (unsigned long long)keys_moved, (unsigned long long)slots_moved, (unsigned long long)acknowledged,
           (unsigned long long)reads, (unsigned long long)asked, (unsigned long long)moved,
           (unsigned long long)try_again);
    for (unsigned i = 0; i < writer_count; i++) pthread_join(writers[i].thread, NULL);
    if (moves) pthread_join(mover, NULL);
    check_content(&writers[0]);
    puts("whole=yes");
    return 0;
}
