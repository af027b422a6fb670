/* base/random.c */
#include "base/random.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;

    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

static inline uint64_t rotate_left(uint64_t bits, int by)
{
    return (bits << by) | (bits >> (64 - by));
}

void random_seed(struct random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) random->state[i] = splitmix64(&seed);
}

uint64_t random_u64(struct random *random)
{
    uint64_t *s = random->state;
    uint64_t drawn = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return drawn;
}

uint64_t random_below(struct random *random, uint64_t below)
{
    /* The high half of the product is the number; those low halves that would make some numbers more frequent than
     * others are drawn again (Lemire 2019). */
    unsigned __int128 product = (unsigned __int128)random_u64(random) * below;

    if ((uint64_t)product < below) {
        uint64_t uneven = (UINT64_MAX - below + 1) % below;
        while ((uint64_t)product < uneven) product = (unsigned __int128)random_u64(random) * below;
    }
    return (uint64_t)(product >> 64);
}

struct random *random_of_thread(void)
{
    static _Thread_local struct random own;
    static _Thread_local bool is_seeded;

    if (!is_seeded) {
        random_seed(&own, clock_monotonic_ns());
        is_seeded = true;
    }
    return &own;
}

void random_system(void *out, size_t bytes)
{
    char *at = out;

    while (bytes > 0) {
        ssize_t got = getrandom(at, bytes, 0);

        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            log_warning("random: the system gives no random bits: %s", strerror(errno));
            abort();
        }
        at += got;
        bytes -= (size_t)got;
    }
}

void random_hex(char *out, size_t digits)
{
    size_t done = 0;

    while (done < digits) {
        unsigned char bits[32];

        random_system(bits, sizeof(bits));
        for (size_t i = 0; i < sizeof(bits) && done < digits; i++) {
            out[done++] = "0123456789abcdef"[bits[i] >> 4];
            if (done < digits) out[done++] = "0123456789abcdef"[bits[i] & 15];
        }
    }
    out[digits] = '\0';
}
