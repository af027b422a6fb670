/* tests/support/wire.c
 *
 * A wire between network namespaces, which loses, delays and cuts as it is told: what tc and nft would do, on kernels that have neither.
 *
 *     wire PID...        the first process's namespace is 10.78.0.1, the second's 10.78.0.2 and so on
 *
 * In each namespace it opens a TUN device, wire0, of which the namespace's processes see an interface and the wire sees the packets. It
 * reads words from standard input, one line each, and answers "ok":
 *
 *     up                           the devices are there: asked for once, at the beginning
 *     rule FROM TO LOSS DELAY_MS   of what goes from FROM to TO (1, 2, ...) so many per cent are lost (100: all), the rest comes so
 *                                  much later, and up to a quarter of that sooner or later
 *     heal                         everything arrives at once again
 *
 * It ends when its standard input does. The devices go with it, the namespaces with their processes. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { ENDS_MAX = 32, PACKET_MAX = 2048, WAITING_MAX = 8192 };

struct packet {
    int64_t due_us;
    int to;
    size_t len;
    unsigned char bytes[PACKET_MAX];
};

static int ends[ENDS_MAX], end_count;
static int loss[ENDS_MAX][ENDS_MAX], delay_ms[ENDS_MAX][ENDS_MAX];
static struct packet *waiting[WAITING_MAX];
static size_t waiting_count;

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int open_end(const char *pid)
{
    char path[64];
    struct ifreq request = { 0 };
    int space, tun;

    snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
    if ((space = open(path, O_RDONLY | O_CLOEXEC)) < 0) die(path);
    if (setns(space, CLONE_NEWNET) != 0) die("setns");
    close(space);
    if ((tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0) die("/dev/net/tun");
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    strcpy(request.ifr_name, "wire0");
    if (ioctl(tun, TUNSETIFF, &request) != 0) die("TUNSETIFF");
    return tun;
}

/* Of an IPv4 packet; -1 for what is none, or goes elsewhere. */
static int end_of(const unsigned char *address)
{
    if (address[0] != 10 || address[1] != 78 || address[2] != 0) return -1;
    return address[3] >= 1 && address[3] <= end_count ? address[3] - 1 : -1;
}

static void deliver(const struct packet *packet)
{
    /* A device that is full, or gone with its namespace, loses it: such are networks. */
    ssize_t written = write(ends[packet->to], packet->bytes, packet->len);
    (void)written;
}

static void carry(int from)
{
    struct packet packet;
    int64_t late_us;
    ssize_t len;

    while ((len = read(ends[from], packet.bytes, sizeof(packet.bytes))) > 0) {
        if (len < 20 || packet.bytes[0] >> 4 != 4) continue;
        packet.len = (size_t)len;
        packet.to = end_of(packet.bytes + 16);
        if (packet.to < 0 || rand() % 100 < loss[from][packet.to]) continue;
        late_us = (int64_t)delay_ms[from][packet.to] * 1000;
        if (late_us == 0) {
            deliver(&packet);
        } else if (waiting_count < WAITING_MAX) {
            struct packet *copy = malloc(sizeof(*copy));
            if (copy == NULL) die("malloc");
            packet.due_us = now_us() + late_us * 3 / 4 + rand() % (late_us / 2 + 1);
            *copy = packet;
            waiting[waiting_count++] = copy;
        }
    }
}

/* Those whose time has come; returns how long it is until the next, -1 where there is none. */
static int deliver_due(void)
{
    int64_t now = now_us(), next = INT64_MAX;

    for (size_t i = 0; i < waiting_count;) {
        struct packet *packet = waiting[i];
        if (packet->due_us > now) {
            if (packet->due_us < next) next = packet->due_us;
            i++;
            continue;
        }
        deliver(packet);
        free(packet);
        waiting[i] = waiting[--waiting_count];
    }
    return next == INT64_MAX ? -1 : (int)((next - now) / 1000 + 1);
}

static void obey(const char *line)
{
    int from, to, percent, ms;

    if (strcmp(line, "heal") == 0) {
        memset(loss, 0, sizeof(loss));
        memset(delay_ms, 0, sizeof(delay_ms));
    } else if (sscanf(line, "rule %d %d %d %d", &from, &to, &percent, &ms) == 4 && from >= 1 && from <= end_count &&
               to >= 1 && to <= end_count) {
        loss[from - 1][to - 1] = percent;
        delay_ms[from - 1][to - 1] = ms;
    } else if (strcmp(line, "up") != 0) {
        printf("what is '%s'?\n", line);
        fflush(stdout);
        return;
    }
    printf("ok\n");
    fflush(stdout);
}

/* Lines that are whole; false at the end of standard input. */
static bool listen_to_orders(void)
{
    static char text[4096];
    static size_t len;
    ssize_t more = read(STDIN_FILENO, text + len, sizeof(text) - 1 - len);

    if (more <= 0) return false;
    len += (size_t)more;
    text[len] = '\0';
    for (char *end; (end = strchr(text, '\n')) != NULL;) {
        *end = '\0';
        obey(text);
        len -= (size_t)(end + 1 - text);
        memmove(text, end + 1, len + 1);
    }
    return len < sizeof(text) - 1;
}

int main(int argc, char **argv)
{
    struct pollfd watched[ENDS_MAX + 1];

    if (argc < 2 || argc - 1 > ENDS_MAX) return 2;
    srand(1);
    for (int i = 1; i < argc; i++) ends[end_count++] = open_end(argv[i]);
    while (true) {
        int wait_ms = deliver_due();
        watched[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
        for (int i = 0; i < end_count; i++) watched[i + 1] = (struct pollfd){ .fd = ends[i], .events = POLLIN };
        poll(watched, (nfds_t)end_count + 1, wait_ms);
        if (watched[0].revents != 0 && !listen_to_orders()) return 0;
        for (int i = 0; i < end_count; i++)
            if (watched[i + 1].revents & POLLIN) carry(i);
    }
}
