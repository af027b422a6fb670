/* store/leaf_hints.h
 *
 * The hints of a leaf's buckets, in the leaf's last line: when each bucket has to be looked at (deadline_hints.h), and which of its
 * entries have to be.
 *
 *     line:  | base 4 | bucket 0: 4 | bucket 1: 4 | ... up to 15 |
 *     word:  | ticks after the base, 25 bits | near, 7 bits |          0: nothing in this bucket has a deadline
 *
 * *Near* has a bit for each place of the bucket that may hold a deadline in the same *span* of 8 seconds as the hint. The deadlines of all
 * other places lie in later spans, so nobody has to look at those entries before the near ones are gone. A million keys whose deadlines lie
 * within one second, beside a million that live for an hour: four entries are read for each that goes, where it would be six.
 *
 * No hint of a leaf is before its base. 25 bits are six days; what is further away is looked at again by then. */
#pragma once

#include "store/deadline_hints.h"

#define LEAF_HINTS_MAX 15u /* and the base: one cache line */
#define NEAR_PLACES 7u
#define NEAR_ALL ((1u << NEAR_PLACES) - 1)
#define NEAR_SPAN_BITS 9u /* ticks of 16 ms */
#define HINT_AFTER_BASE_MAX ((1u << 25) - 1)

static inline bool hint_is_in_span(uint32_t a, uint32_t b)
{
    return a >> NEAR_SPAN_BITS == b >> NEAR_SPAN_BITS;
}

/* The first tick of the span after a hint's. */
static inline uint32_t hint_next_span(uint32_t hint)
{
    uint32_t next = (hint | ((1u << NEAR_SPAN_BITS) - 1)) + 1;

    return next == HINT_NONE ? next - 1 : next;
}

static inline uint32_t leaf_hints_near(const hint_place *line, unsigned at)
{
    return hint_load(&line[1 + at]) & NEAR_ALL;
}

static inline uint32_t leaf_hints_get(const hint_place *line, unsigned at)
{
    uint32_t word = hint_load(&line[1 + at]);

    return word == 0 ? HINT_NONE : hint_load(&line[0]) + (word >> NEAR_PLACES);
}

/* The earliest of all. */
static inline uint32_t leaf_hints_earliest(const hint_place *line, unsigned buckets)
{
    uint32_t least = UINT32_MAX; /* of the words, which count from the same base; one less, so that 0 is the largest */

    for (unsigned at = 0; at < buckets; at++) {
        uint32_t word = hint_load(&line[1 + at]) - 1;

        if (word < least) least = word;
    }
    return least == UINT32_MAX ? HINT_NONE : hint_load(&line[0]) + ((least + 1) >> NEAR_PLACES);
}

/* Which buckets are due, a bit for each. */
static inline unsigned leaf_hints_due(const hint_place *line, unsigned buckets, int64_t now_ms)
{
    uint32_t past = (uint32_t)(now_ms / HINT_TICK_MS) - hint_load(&line[0]), end;
    unsigned due = 0;

    if ((int32_t)past <= 0) return 0;
    end = past > HINT_AFTER_BASE_MAX ? UINT32_MAX : (past << NEAR_PLACES) - 1;
    for (unsigned at = buckets; at > 0; at--) due += due + (hint_load(&line[at]) - 1 < end); /* 0 wraps around: never */
    return due;
}

/* A hint that is too far away becomes an earlier one: to look too early is no harm. */
static inline uint32_t hint_after_base(uint32_t base, uint32_t hint)
{
    uint32_t after = hint - base < HINT_AFTER_BASE_MAX ? hint - base : HINT_AFTER_BASE_MAX;

    return base + after == HINT_NONE ? after - 1 : after;
}

static inline void leaf_hints_rebase(hint_place *line, unsigned buckets, uint32_t base)
{
    for (unsigned at = 0; at < buckets; at++) {
        uint32_t near = leaf_hints_near(line, at);

        if (near != 0) hint_store(&line[1 + at], hint_after_base(base, leaf_hints_get(line, at)) << NEAR_PLACES | near);
    }
    hint_store(&line[0], base);
}

/* Sets a bucket's hint and which places are near, at least one unless it is HINT_NONE. */
static inline void leaf_hints_set(hint_place *line, unsigned buckets, unsigned at, uint32_t hint, uint32_t near)
{
    uint32_t earliest;

    hint_store(&line[1 + at], 0);
    if (hint == HINT_NONE) return;
    if (hint - hint_load(&line[0]) > HINT_AFTER_BASE_MAX) { /* also where it is before the base */
        earliest = leaf_hints_earliest(line, buckets);
        leaf_hints_rebase(line, buckets, hint_earlier(hint, earliest));
    }
    hint_store(&line[1 + at], hint_after_base(hint_load(&line[0]), hint) << NEAR_PLACES | near);
}

/* What is known of the deadlines in one bucket. */
struct bucket_hint {
    uint32_t earliest, near;
};

/* There are entries with this deadline, or with later ones, at some places. False where the hint was as early already. */
static inline bool bucket_hint_lower(struct bucket_hint *bucket, uint32_t places, uint32_t hint)
{
    if (bucket->earliest == HINT_NONE || !hint_is_in_span(hint, bucket->earliest)) {
        if (!hint_is_earlier(hint, bucket->earliest)) return false;
        *bucket = (struct bucket_hint){ hint, places };
        return true;
    }
    bucket->near |= places;
    if (!hint_is_earlier(hint, bucket->earliest)) return false;
    bucket->earliest = hint;
    return true;
}

static inline struct bucket_hint leaf_hints_bucket(const hint_place *line, unsigned at)
{
    return (struct bucket_hint){ leaf_hints_get(line, at), leaf_hints_near(line, at) };
}

/* The same for one entry in a bucket of a leaf. */
static inline bool leaf_hints_lower(hint_place *line, unsigned buckets, unsigned at, unsigned place, uint32_t hint)
{
    struct bucket_hint bucket = leaf_hints_bucket(line, at);
    bool is_lower = bucket_hint_lower(&bucket, 1u << place, hint);

    if (is_lower)
        leaf_hints_set(line, buckets, at, bucket.earliest, bucket.near);
    else
        hint_store(&line[1 + at], hint_load(&line[1 + at]) | bucket.near);
    return is_lower;
}
