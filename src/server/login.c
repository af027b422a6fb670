#include "server/login.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/lock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define FIRST_DELAY_MS 5
#define DELAY_MS_MAX 5000
/* The doublings after which it is at its most. */
#define DOUBLINGS_MAX 10
#define FORGET_AFTER_MS (10 * 60 * 1000)
#define SETS 256u
#define WAYS 4u

_Static_assert(FIRST_DELAY_MS << DOUBLINGS_MAX >= DELAY_MS_MAX, "the doubling reaches the longest delay");

struct attempt {
    uint64_t address; /* hash of it, under the secret seed */
    int64_t last_ms;
    unsigned failures; /* 0: free */
};

struct login_guard {
    struct lock lock; /* guards the rest */
    struct attempt attempts[SETS][WAYS];
};

struct login_guard *login_guard_new(void)
{
    return alloc_zeroed(sizeof(struct login_guard));
}

void login_guard_free(struct login_guard **guard)
{
    alloc_free(*guard);
    *guard = NULL;
}

/* What tells one guesser from another, hashed: the peer without its port. */
static uint64_t address_of(const char *peer)
{
    const char *port = strrchr(peer, ':');
    size_t len = port != NULL ? (size_t)(port - peer) : strlen(peer);
    char text[INET6_ADDRSTRLEN + 1];
    struct in6_addr v6;

    if (peer[0] == '[' && len >= 2 && len - 2 < sizeof(text)) {
        memcpy(text, peer + 1, len - 2);
        text[len - 2] = '\0';
        /* An IPv4 address within an IPv6 one counts whole: its first 64 bits are everybody's. */
        if (inet_pton(AF_INET6, text, &v6) == 1 && !IN6_IS_ADDR_V4MAPPED(&v6))
            return hash_bytes((struct bytes){ (const char *)v6.s6_addr, 8 });
    }
    return hash_bytes((struct bytes){ peer, len });
}

/* The address's place, or the place to give to it: the one that has been quiet for longest. */
static struct attempt *attempt_of(struct login_guard *guard, uint64_t address)
{
    struct attempt *set = guard->attempts[address % SETS], *oldest = &set[0];

    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].failures != 0 && set[i].address == address) return &set[i];
        if (set[i].failures == 0 || (oldest->failures != 0 && set[i].last_ms < oldest->last_ms)) oldest = &set[i];
    }
    return oldest;
}

int64_t login_failed(struct login_guard *guard, const char *peer, int64_t now_ms)
{
    uint64_t address = address_of(peer);
    struct attempt *attempt;
    unsigned doublings;
    int64_t delay_ms;

    lock_take(&guard->lock);
    attempt = attempt_of(guard, address);
    if (attempt->address != address || now_ms - attempt->last_ms > FORGET_AFTER_MS)
        *attempt = (struct attempt){ .address = address };
    doublings = attempt->failures;
    if (attempt->failures <= DOUBLINGS_MAX) attempt->failures++;
    attempt->last_ms = now_ms;
    lock_release(&guard->lock);
    delay_ms = (int64_t)FIRST_DELAY_MS << (doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX);
    return delay_ms < DELAY_MS_MAX ? delay_ms : DELAY_MS_MAX;
}

void login_succeeded(struct login_guard *guard, const char *peer)
{
    uint64_t address = address_of(peer);
    struct attempt *attempt;

    lock_take(&guard->lock);
    attempt = attempt_of(guard, address);
    if (attempt->address == address) *attempt = (struct attempt){ 0 };
    lock_release(&guard->lock);
}
