/* cache/expiry.c: see expiry.h for how it works. */
#include "cache/expiry.h"

#include "base/clock.h"
#include "base/reclaim.h"
#include "store/keyspace.h"

#include <assert.h>

#define CHUNK_SLOTS 256u /* so many due slots are found before the first of them is visited */
#define TAKES_MAX 8u     /* a slot that still has more is come back to after the others */
#define STEPS 5u         /* of looking ahead: the slot itself, and four on the way to its due entries */
#define AHEAD 2u         /* slots between two steps: time for a load to arrive */

void expiry_init(struct expiry *expiry, struct keyspace *keyspace, unsigned index, unsigned workers)
{
    assert(workers >= 1 && workers <= SLOT_COUNT && index < workers);
    expiry->keyspace = keyspace;
    expiry->reader = NULL;
    expiry->first = (uint16_t)((uint64_t)SLOT_COUNT * index / workers);
    expiry->count = (uint16_t)((uint64_t)SLOT_COUNT * (index + 1) / workers - expiry->first);
    expiry->next = 0;
    expiry->late_ms = 0;
}

/* Percent of the clients' time for each step of effort and one. The first two are near each other: clients wait the shortest in the worst
 * case where a wave is met by an even share from the first moment on. */
#define SHARE_LEAST 50
#define SHARE_LATE 65
#define SHARE_MOST 100
#define EXPIRY_EARLY_MS 16

int64_t expiry_share_us(const struct expiry *expiry, int64_t clients_us, int64_t effort)
{
    int64_t late_ms = expiry->late_ms, percent = SHARE_MOST;

    if (late_ms <= EXPIRY_EARLY_MS)
        percent = SHARE_LEAST;
    else if (late_ms <= EXPIRY_LATE_MS)
        percent =
            SHARE_LEAST + (SHARE_LATE - SHARE_LEAST) * (late_ms - EXPIRY_EARLY_MS) / (EXPIRY_LATE_MS - EXPIRY_EARLY_MS);
    else if (late_ms < 2 * EXPIRY_LATE_MS)
        percent = SHARE_LATE + (SHARE_MOST - SHARE_LATE) * (late_ms - EXPIRY_LATE_MS) / EXPIRY_LATE_MS;
    return clients_us * percent * (1 + effort) / 100;
}

/* One call of expiry_run(). */
struct run {
    struct keyspace *keyspace;
    struct deadlines *deadlines;
    struct reclaim_reader *reader;
    int64_t now_ms, end_us;
    uint64_t removed;
    uint32_t soonest;               /* of the slots that are not due */
    uint32_t lags[HISTOGRAM_CELLS]; /* added to everybody's at the end: the histogram is shared by all workers */
};

static void visit(struct run *run, uint16_t id)
{
    struct slot *slot = keyspace_slot(run->keyspace, id);
    struct entry *taken[SLOT_TAKE_MAX];
    unsigned takes = 0;

    do {
        size_t count;

        slot_lock(slot);
        count = slot_take_due(slot, run->now_ms, taken);
        slot_unlock(slot);
        run->removed += count;
        for (size_t i = 0; i < count; i++) {
            run->lags[histogram_cell((uint64_t)(run->now_ms - entry_expires_at_ms(taken[i])))]++;
            entry_free(&taken[i]);
        }
    } while (hint_is_due(deadlines_hint(run->deadlines, id), run->now_ms) && ++takes < TAKES_MAX);
    run->soonest = hint_earlier(run->soonest, deadlines_hint(run->deadlines, id));
}

/* The slot that is to be visited far ahead is only begun with; the nearer a visit, the further is the way to what is due. Each
 * step finds loaded what it has to read, so that the misses of several slots overlap and none is waited for. */
static void look_ahead(const struct run *run, const uint16_t *ids, unsigned at, unsigned count)
{
    static const enum due_step steps[STEPS] = { [0] = DUE_ENTRIES, DUE_BUCKETS, DUE_HINTS, DUE_CELLS };

    for (unsigned step = 0; step < STEPS; step++) {
        unsigned ahead = at + AHEAD * (step + 1);
        const struct slot *slot;

        if (ahead >= count) return;
        slot = keyspace_slot(run->keyspace, ids[ahead]);
        if (step == STEPS - 1)
            slot_prefetch_head(slot);
        else
            slot_prefetch_due(slot, run->now_ms, steps[step]);
    }
}

/* Visits slots until the time is over, at least one; returns how many. */
static unsigned visit_all(struct run *run, const uint16_t *ids, unsigned count)
{
    for (unsigned i = 0; i < count && i < AHEAD * STEPS; i++) slot_prefetch_head(keyspace_slot(run->keyspace, ids[i]));
    for (unsigned i = 0; i < count;) {
        if (run->reader != NULL) look_ahead(run, ids, i, count);
        visit(run, ids[i++]);
        if (clock_monotonic_us() >= run->end_us) return i;
    }
    return count;
}

/* Looks at the slots from *seen on until enough of them are due or all were looked at. */
static unsigned find_due(struct expiry *expiry, struct run *run, unsigned *seen, uint16_t ids[CHUNK_SLOTS])
{
    unsigned found = 0;

    for (; *seen < expiry->count && found < CHUNK_SLOTS; ++*seen) {
        uint16_t id = (uint16_t)(expiry->first + expiry->next);
        uint32_t hint = deadlines_hint(run->deadlines, id);

        if (hint_is_due(hint, run->now_ms))
            ids[found++] = id;
        else
            run->soonest = hint_earlier(run->soonest, hint);
        expiry->next = (uint16_t)(expiry->next + 1 == expiry->count ? 0 : expiry->next + 1);
    }
    return found;
}

static void add_lags(struct run *run)
{
    for (unsigned cell = 0; cell < HISTOGRAM_CELLS; cell++)
        if (run->lags[cell] != 0) histogram_add_to_cell(&run->deadlines->lag_ms, cell, run->lags[cell]);
}

static int64_t wait_ms(const struct run *run)
{
    int64_t ms;

    if (run->soonest == HINT_NONE) return EXPIRY_NOTHING;
    ms = hint_due_in_ms(run->soonest, run->now_ms);
    if (ms <= 0) return 0; /* a slot that was left for later */
    return ms < EXPIRY_WAIT_MS_MAX ? ms : EXPIRY_WAIT_MS_MAX;
}

/* How long a slot has been due. Somebody may have emptied it since it was found. */
static int64_t late_ms(uint32_t hint, int64_t now_ms)
{
    int64_t ms = hint == HINT_NONE ? 0 : -hint_due_in_ms(hint, now_ms);

    return ms > 0 ? ms : 0;
}

int64_t expiry_run(struct expiry *expiry, int64_t now_ms, int64_t slice_us, uint64_t *removed)
{
    struct run run = { .keyspace = expiry->keyspace, .reader = expiry->reader, .now_ms = now_ms };
    unsigned seen = 0, found;
    uint16_t ids[CHUNK_SLOTS];
    bool is_over = false;

    if (__builtin_add_overflow(clock_monotonic_us(), slice_us, &run.end_us)) run.end_us = INT64_MAX;
    run.deadlines = keyspace_deadlines(expiry->keyspace);
    atomic_store_explicit(&run.deadlines->now_ms, now_ms, memory_order_relaxed);
    expiry->late_ms = 0;
    while (!is_over && (found = find_due(expiry, &run, &seen, ids)) > 0) {
        unsigned visited;

        if (run.reader != NULL) reclaim_enter(run.reader);
        visited = visit_all(&run, ids, found);
        if (run.reader != NULL) reclaim_leave(run.reader);
        if (visited == found) continue;
        expiry->next = (uint16_t)(ids[visited] - expiry->first);
        expiry->late_ms = late_ms(deadlines_hint(run.deadlines, ids[visited]), now_ms);
        is_over = true;
    }
    *removed += run.removed;
    if (run.removed > 0) add_lags(&run);
    return is_over ? 0 : wait_ms(&run);
}

/* --- How much is left --- */

#define SAMPLE_SLOTS 8u
#define SAMPLE_ENTRIES 32u /* of each */

struct sample {
    int64_t now_ms;
    uint64_t looked_at, expired;
};

static void look(void *context, struct entry *entry)
{
    struct sample *sample = context;

    sample->looked_at++;
    if (entry_is_expired(entry, sample->now_ms)) sample->expired++;
}

static uint64_t backlog_of(struct slot *slot, int64_t now_ms)
{
    struct sample sample = { .now_ms = now_ms };
    uint32_t cursor = 0;
    uint64_t keys;

    slot_lock(slot);
    keys = slot_counts(slot).keys;
    do cursor = slot_scan(slot, cursor, look, &sample);
    while (cursor != 0 && sample.looked_at < SAMPLE_ENTRIES);
    slot_unlock(slot);
    return sample.looked_at == 0 ? 0 : sample.expired * keys / sample.looked_at;
}

uint64_t expiry_backlog(const struct expiry *expiry, int64_t now_ms)
{
    const struct deadlines *deadlines = keyspace_deadlines(expiry->keyspace);
    uint64_t due = 0, sampled = 0, sum = 0;

    for (unsigned i = 0; i < expiry->count; i++)
        if (hint_is_due(deadlines_hint(deadlines, (uint16_t)(expiry->first + i)), now_ms)) due++;
    /* Evenly over those that are due. */
    for (uint64_t i = 0, at = 0; i < expiry->count && sampled < SAMPLE_SLOTS; i++) {
        uint16_t id = (uint16_t)(expiry->first + i);

        if (!hint_is_due(deadlines_hint(deadlines, id), now_ms)) continue;
        if (at++ * SAMPLE_SLOTS < sampled * due) continue;
        sum += backlog_of(keyspace_slot(expiry->keyspace, id), now_ms);
        sampled++;
    }
    return sampled == 0 ? 0 : sum * due / sampled;
}
