#include "cache/hot_session.h"

#include "base/alloc.h"
#include "base/lock.h"

#include <stdlib.h>
#include <string.h>

#define SETS 128u
#define WAYS 8u

struct table {
    struct cell {
        uint64_t hash;
        struct hot_session_found found; /* amount 0: free */
    } cells[SETS][WAYS];
};

struct hot_session {
    _Atomic bool is_on; /* changed under lock */
    struct lock lock;   /* guards what follows */
    bool exists;        /* one is on, or has been since the last reset */
    struct hot_session_options options;
    int64_t began_ms, ended_ms;
    struct hot_session_cpu cpu_before, cpu_after;
    struct hot_session_sums all, selected, sampled;
    uint64_t chance;
    struct table *by_cpu, *by_net; /* NULL: not asked for */
};

struct hot_session *hot_session_new(void)
{
    return alloc_zeroed(sizeof(struct hot_session));
}

void hot_session_free(struct hot_session **session)
{
    if (*session == NULL) return;
    alloc_free((*session)->by_cpu);
    alloc_free((*session)->by_net);
    alloc_free(*session);
    *session = NULL;
}

bool hot_session_is_on(const struct hot_session *session)
{
    return atomic_load_explicit(&session->is_on, memory_order_relaxed);
}

/* --- From beginning to end. Tables are made and freed outside the lock. --- */

bool hot_session_start(struct hot_session *session, const struct hot_session_options *options, int64_t now_ms,
                       struct hot_session_cpu cpu)
{
    struct table *by_cpu = options->cpu ? alloc_zeroed(sizeof(*by_cpu)) : NULL,
                 *by_net = options->net ? alloc_zeroed(sizeof(*by_net)) : NULL, *kept;
    bool starts;

    lock_take(&session->lock);
    starts = !hot_session_is_on(session);
    if (starts) {
        kept = session->by_cpu;
        session->by_cpu = by_cpu;
        by_cpu = kept;
        kept = session->by_net;
        session->by_net = by_net;
        by_net = kept;
        session->exists = true;
        session->options = *options;
        session->began_ms = now_ms;
        session->cpu_before = cpu;
        session->all = session->selected = session->sampled = (struct hot_session_sums){ 0, 0 };
        session->chance = (uint64_t)now_ms | 1;
        atomic_store_explicit(&session->is_on, true, memory_order_relaxed);
    }
    lock_release(&session->lock);
    alloc_free(by_cpu);
    alloc_free(by_net);
    return starts;
}

static int64_t lasted_ms(const struct hot_session *session, int64_t now_ms)
{
    int64_t ms = now_ms > session->began_ms ? now_ms - session->began_ms : 0, most_ms = session->options.duration_ms;

    return most_ms > 0 && ms > most_ms ? most_ms : ms;
}

bool hot_session_stop(struct hot_session *session, int64_t now_ms, struct hot_session_cpu cpu)
{
    bool stops;

    lock_take(&session->lock);
    stops = hot_session_is_on(session);
    if (stops) {
        session->ended_ms = session->began_ms + lasted_ms(session, now_ms);
        session->cpu_after = cpu;
        atomic_store_explicit(&session->is_on, false, memory_order_relaxed);
    }
    lock_release(&session->lock);
    return stops;
}

bool hot_session_reset(struct hot_session *session)
{
    struct table *by_cpu = NULL, *by_net = NULL;
    bool resets;

    lock_take(&session->lock);
    resets = !hot_session_is_on(session);
    if (resets) {
        by_cpu = session->by_cpu;
        by_net = session->by_net;
        session->by_cpu = session->by_net = NULL;
        session->exists = false;
    }
    lock_release(&session->lock);
    alloc_free(by_cpu);
    alloc_free(by_net);
    return resets;
}

/* Under lock. */
static bool is_over(const struct hot_session *session, int64_t now_ms)
{
    return session->options.duration_ms > 0 && now_ms - session->began_ms >= session->options.duration_ms;
}

bool hot_session_is_due(struct hot_session *session, int64_t now_ms)
{
    bool due;

    if (!hot_session_is_on(session)) return false;
    lock_take(&session->lock);
    due = hot_session_is_on(session) && is_over(session, now_ms);
    lock_release(&session->lock);
    return due;
}

/* --- Counting --- */

static void add_key(struct table *table, const struct hot_session_key *key, uint64_t amount)
{
    struct cell *set, *at;

    if (table == NULL || amount == 0) return;
    set = table->cells[key->hash % SETS];
    at = &set[0];
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].hash == key->hash && set[i].found.amount > 0) {
            set[i].found.amount += amount;
            return;
        }
        if (set[i].found.amount < at->found.amount) at = &set[i];
    }
    at->hash = key->hash;
    at->found.amount += amount;
    at->found.name_len = key->key.len < HOT_SESSION_NAME_MAX ? key->key.len : HOT_SESSION_NAME_MAX;
    if (at->found.name_len > 0) memcpy(at->found.name, key->key.data, at->found.name_len);
}

static bool is_selected(const struct hot_session_options *options, const struct hot_session_key *keys, size_t key_count)
{
    if (!options->selects) return true;
    return key_count > 0 && (options->slots.bits[keys[0].slot / 64] >> keys[0].slot % 64 & 1) != 0;
}

static bool draws_this(struct hot_session *session)
{
    if (session->options.sample <= 1) return true;
    session->chance ^= session->chance << 13;
    session->chance ^= session->chance >> 7;
    session->chance ^= session->chance << 17;
    return session->chance % session->options.sample == 0;
}

static void add_sums(struct hot_session_sums *sums, uint64_t bytes, uint64_t ns)
{
    sums->bytes += bytes;
    sums->ns += ns;
}

void hot_session_count(struct hot_session *session, const struct hot_session_key *keys, size_t key_count,
                       uint64_t bytes, uint64_t ns, int64_t now_ms)
{
    lock_take(&session->lock);
    if (hot_session_is_on(session) && !is_over(session, now_ms)) {
        add_sums(&session->all, bytes, ns);
        if (is_selected(&session->options, keys, key_count)) {
            add_sums(&session->selected, bytes, ns);
            if (draws_this(session)) {
                add_sums(&session->sampled, bytes, ns);
                for (size_t i = 0; i < key_count; i++) {
                    add_key(session->by_cpu, &keys[i], ns / key_count);
                    add_key(session->by_net, &keys[i], bytes / key_count);
                }
            }
        }
    }
    lock_release(&session->lock);
}

/* --- Telling --- */

static int most_first(const void *a, const void *b)
{
    const struct hot_session_found *x = a, *y = b;

    return (x->amount < y->amount) - (x->amount > y->amount);
}

static size_t tell(const struct table *table, size_t most, struct hot_session_found *out)
{
    struct hot_session_found *all = alloc(SETS * WAYS * sizeof(*all));
    size_t count = 0;

    for (unsigned set = 0; set < SETS; set++)
        for (unsigned way = 0; way < WAYS; way++)
            if (table->cells[set][way].found.amount > 0) all[count++] = table->cells[set][way].found;
    qsort(all, count, sizeof(*all), most_first);
    if (count > most) count = most;
    memcpy(out, all, count * sizeof(*all));
    alloc_free(all);
    return count;
}

bool hot_session_report(struct hot_session *session, int64_t now_ms, struct hot_session_cpu cpu,
                        struct hot_session_report *report)
{
    struct table *by_cpu = alloc(sizeof(*by_cpu)), *by_net = alloc(sizeof(*by_net));
    bool exists;

    report->cpu_count = report->net_count = 0;
    lock_take(&session->lock);
    exists = session->exists;
    if (exists) {
        report->is_on = hot_session_is_on(session);
        report->options = session->options;
        report->began_ms = session->began_ms;
        report->lasted_ms = lasted_ms(session, report->is_on ? now_ms : session->ended_ms);
        if (!report->is_on) cpu = session->cpu_after;
        report->cpu = (struct hot_session_cpu){ cpu.user_us - session->cpu_before.user_us,
                                                cpu.system_us - session->cpu_before.system_us };
        report->all = session->all;
        report->selected = session->selected;
        report->sampled = session->sampled;
        if (session->by_cpu != NULL) *by_cpu = *session->by_cpu;
        if (session->by_net != NULL) *by_net = *session->by_net;
    }
    lock_release(&session->lock);
    if (exists && report->options.cpu) report->cpu_count = tell(by_cpu, report->options.count, report->by_cpu);
    if (exists && report->options.net) report->net_count = tell(by_net, report->options.count, report->by_net);
    alloc_free(by_cpu);
    alloc_free(by_net);
    return exists;
}
