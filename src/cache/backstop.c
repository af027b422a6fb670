/* cache/backstop.c: see backstop.h for what holds. */
#include "cache/backstop.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "store/keyspace.h"

#include <string.h>

/* So that workers, which write to slots all over, seldom count in the same cache line. */
#define STRIPES 64u

struct stripe {
    _Alignas(64) _Atomic uint64_t defaulted;
    _Atomic uint64_t clipped;
};

struct backstop_watch {
    struct stripe stripes[STRIPES];
    struct policies *policies;
    struct backstop *hook;
};

static int64_t add_clamped(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* The latest deadline, where there is a max-ttl. */
static int64_t latest(const struct policy_fields *fields, enum backstop_cause cause, int64_t now_ms,
                      struct backstop_life *life)
{
    uint32_t now_s = now_ms < 0 || now_ms / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(now_ms / 1000);
    /* None is born in the future, whatever another node's clock says, or a user. */
    bool is_new = life->birth_s == 0 || life->birth_s > now_s || (cause == BACKSTOP_BORN && life->birth_s == now_s);

    if (is_new) {
        life->birth_s = now_s == 0 ? 1 : now_s;
        return add_clamped(now_ms, fields->max_ttl_ms); /* exact: the birth is kept in whole seconds */
    }
    return add_clamped((int64_t)life->birth_s * 1000, fields->max_ttl_ms);
}

static int64_t shortened(int64_t expires_at_ms, int64_t now_ms, unsigned percent, uint32_t chance)
{
    uint64_t span, most;

    if (percent == 0 || expires_at_ms <= now_ms) return expires_at_ms;
    span = (uint64_t)(expires_at_ms - now_ms);
    most = span / 100 * percent + span % 100 * percent / 100; /* no product is larger than the span */
    return expires_at_ms - (int64_t)((unsigned __int128)most * chance >> 32);
}

struct backstop_verdict backstop_judge(const struct policy_fields *fields, enum backstop_cause cause, int64_t former_ms,
                                       int64_t now_ms, uint32_t chance, struct backstop_life *life)
{
    struct backstop_verdict verdict = { false, false };
    bool needs_birth = fields->max_ttl_ms != 0 || fields->refresh_percent != 0; /* both are told from it */
    int64_t age_cap = needs_birth ? latest(fields, cause, now_ms, life) : INT64_MAX;
    int64_t cap = fields->max_ttl_ms == 0 ? INT64_MAX : age_cap;
    bool is_given = cause != BACKSTOP_AGED && life->expires_at_ms != former_ms;

    if (life->expires_at_ms == ENTRY_KEEPS_FOREVER) {
        if (fields->ttl_ms == 0 && fields->max_ttl_ms == 0) return verdict;
        if (cause == BACKSTOP_SET && former_ms != ENTRY_KEEPS_FOREVER) {
            life->expires_at_ms = former_ms;
            is_given = false;
        } else {
            life->expires_at_ms = fields->ttl_ms == 0 ? cap : add_clamped(now_ms, fields->ttl_ms);
            is_given = verdict.defaulted = true;
        }
    }
    /* What was exact to the millisecond when the value was born is within the second that is kept of its birth. */
    if (life->expires_at_ms > (cause == BACKSTOP_AGED ? add_clamped(cap, 999) : cap)) {
        life->expires_at_ms = cap;
        is_given = true;
        verdict.clipped = !verdict.defaulted;
    }
    if (is_given) life->expires_at_ms = shortened(life->expires_at_ms, now_ms, fields->jitter_percent, chance);
    return verdict;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void limit(void *context, enum backstop_cause cause, struct bytes key, int64_t former_ms,
                  struct backstop_life *life)
{
    struct backstop_watch *watch = context;
    const struct policy_fields *fields = policies_find(watch->policies, key);
    struct backstop_verdict verdict;
    struct stripe *stripe;
    int64_t now_ms = life->now_ms;
    uint32_t chance;

    if (fields == NULL ||
        (fields->ttl_ms == 0 && fields->max_ttl_ms == 0 && fields->jitter_percent == 0 && fields->refresh_percent == 0))
        return;
    chance = fields->jitter_percent == 0 ? 0 : (uint32_t)(random_u64(random_of_thread()) >> 32);
    verdict = backstop_judge(fields, cause, former_ms, now_ms != 0 ? now_ms : clock_now_ms(), chance, life);
    if (!verdict.defaulted && !verdict.clipped) return;
    stripe = &watch->stripes[(uintptr_t)key.data / 64 % STRIPES]; /* a worker's buffer, or an entry anywhere */
    if (verdict.defaulted) count(&stripe->defaulted);
    if (verdict.clipped) count(&stripe->clipped);
}

struct backstop_watch *backstop_start(struct keyspace *keyspace, struct policies *policies)
{
    struct backstop_watch *watch = alloc_aligned(sizeof(*watch), _Alignof(struct backstop_watch));

    memset((void *)watch, 0, sizeof(*watch));
    watch->policies = policies;
    watch->hook = keyspace_backstop(keyspace);
    watch->hook->limit = limit;
    watch->hook->context = watch;
    policies_arm(policies, &watch->hook->on);
    return watch;
}

void backstop_stop(struct backstop_watch **watch)
{
    if (*watch == NULL) return;
    policies_arm((*watch)->policies, NULL);
    atomic_store(&(*watch)->hook->on, false);
    alloc_free(*watch);
    *watch = NULL;
}

struct backstop_counts backstop_counts(const struct backstop_watch *watch)
{
    struct backstop_counts sum = { 0, 0 };

    for (unsigned i = 0; i < STRIPES; i++) {
        sum.defaulted += atomic_load_explicit(&watch->stripes[i].defaulted, memory_order_relaxed);
        sum.clipped += atomic_load_explicit(&watch->stripes[i].clipped, memory_order_relaxed);
    }
    return sum;
}
