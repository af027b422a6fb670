/* cache/backstop.c: see backstop.h for what holds. */
#include "cache/backstop.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "store/keyspace.h"

#include <string.h>

/* A thread has a cache line to itself to count in, so that it needs no atomic addition. Those that come when all are taken share the last. */
#define STRIPES 64u

struct stripe {
    _Alignas(64) _Atomic uint64_t defaulted;
    _Atomic uint64_t clipped;
};

struct backstop_watch {
    struct stripe stripes[STRIPES];
    struct policies *policies;
    struct backstop *hook;
    uint64_t id;             /* of this one among all that there have been; not 0 */
    _Atomic unsigned claims; /* so many threads have asked for a stripe */
};

/* The calling thread's stripe, and of which watch. */
static _Thread_local struct {
    uint64_t watch;
    struct stripe *stripe;
} own;

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

/* 0 of it for no chance, nearly all of it for all. */
static inline int64_t part_of(int64_t most, uint32_t chance)
{
    return (int64_t)((unsigned __int128)(uint64_t)most * chance >> 32);
}

static int64_t shortened(const struct policy_fields *fields, int64_t expires_at_ms, int64_t now_ms, uint32_t chance)
{
    if (fields->jitter_percent == 0 || expires_at_ms <= now_ms) return expires_at_ms;
    return expires_at_ms - part_of(policy_jitter_most_ms(fields, expires_at_ms - now_ms), chance);
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
    if (life->expires_at_ms > (cause == BACKSTOP_AGED && !verdict.defaulted ? add_clamped(cap, 999) : cap)) {
        life->expires_at_ms = cap;
        is_given = true;
        verdict.clipped = !verdict.defaulted;
    }
    if (is_given) life->expires_at_ms = shortened(fields, life->expires_at_ms, now_ms, chance);
    return verdict;
}

/* What nearly all writes ask: a value is born without a deadline, and it is known when. For one that was there, of which nobody knows when it was born,
 * that is now. */
static inline bool is_plain_birth(const struct policy_fields *fields, enum backstop_cause cause,
                                  const struct backstop_life *life)
{
    return cause != BACKSTOP_SET && life->expires_at_ms == ENTRY_KEEPS_FOREVER && life->birth_s == 0 &&
           fields->born_ms != 0 && life->now_ms >= 1000 && life->now_ms < ((int64_t)UINT32_MAX + 1) * 1000;
}

/* As backstop_judge() has it, by what is known beforehand. */
static inline void bear(const struct policy_fields *fields, uint32_t chance, struct backstop_life *life)
{
    life->expires_at_ms = life->now_ms + fields->born_ms - part_of(fields->born_less_ms, chance);
    if (fields->needs_birth) life->birth_s = (uint32_t)(life->now_ms / 1000);
}

static __attribute__((noinline)) void claim_stripe(struct backstop_watch *watch)
{
    unsigned claim = atomic_fetch_add_explicit(&watch->claims, 1, memory_order_relaxed);

    own.watch = watch->id;
    own.stripe = &watch->stripes[claim < STRIPES - 1 ? claim : STRIPES - 1];
}

static inline void count(struct backstop_watch *watch, bool defaulted)
{
    _Atomic uint64_t *counter;

    if (__builtin_expect(own.watch != watch->id, 0)) claim_stripe(watch);
    counter = defaulted ? &own.stripe->defaulted : &own.stripe->clipped;
    if (__builtin_expect(own.stripe == &watch->stripes[STRIPES - 1], 0))
        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    else
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

static inline uint32_t chance_of(const struct policy_fields *fields, struct bytes key, const struct backstop_life *life)
{
    if (fields->jitter_percent == 0) return 0;
    return (uint32_t)(life->hash != 0 ? life->hash : slot_hash(key));
}

static __attribute__((noinline)) void limit_by_judge(struct backstop_watch *watch, const struct policy_fields *fields,
                                                     enum backstop_cause cause, struct bytes key, int64_t former_ms,
                                                     struct backstop_life *life)
{
    struct backstop_verdict verdict =
        backstop_judge(fields, cause, former_ms, life->now_ms != 0 ? life->now_ms : clock_now_ms(),
                       chance_of(fields, key, life), life);

    if (verdict.defaulted || verdict.clipped) count(watch, verdict.defaulted);
}

static void limit(void *context, enum backstop_cause cause, struct bytes key, int64_t former_ms,
                  struct backstop_life *life)
{
    struct backstop_watch *watch = context;
    const struct policy_fields *fields = policies_find(watch->policies, key);

    if (fields == NULL || !fields->limits) return;
    if (!is_plain_birth(fields, cause, life)) {
        limit_by_judge(watch, fields, cause, key, former_ms, life);
        return;
    }
    bear(fields, chance_of(fields, key, life), life);
    count(watch, true);
}

struct backstop_watch *backstop_start(struct keyspace *keyspace, struct policies *policies)
{
    static _Atomic uint64_t watches;
    struct backstop_watch *watch = alloc_aligned(sizeof(*watch), _Alignof(struct backstop_watch));

    memset((void *)watch, 0, sizeof(*watch));
    watch->id = atomic_fetch_add_explicit(&watches, 1, memory_order_relaxed) + 1;
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
