#include "server/latency.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/lock.h"
#include "server/node.h"

#include <string.h>

struct samples {
    struct latency_sample ring[LATENCY_SAMPLES];
    int first, count;
    int64_t worst_ms;
};

struct latency {
    struct lock lock; /* guards all of it */
    struct samples events[LATENCY_EVENTS];
};

struct latency *latency_new(void)
{
    return alloc_zeroed(sizeof(struct latency));
}

void latency_free(struct latency **latency)
{
    alloc_free(*latency);
    *latency = NULL;
}

static const char *const names[LATENCY_EVENTS] = {
    [LATENCY_COMMAND] = "command",
    [LATENCY_FAST_COMMAND] = "fast-command",
    [LATENCY_EXPIRE_CYCLE] = "expire-cycle",
};

const char *latency_event_name(enum latency_event event)
{
    return names[event];
}

enum latency_event latency_event_by_name(struct bytes name)
{
    enum latency_event event = 0;

    while (event < LATENCY_EVENTS && !bytes_equal(name, bytes_of(names[event]))) event++;
    return event;
}

static struct latency_sample *sample_at(struct samples *samples, int n)
{
    return &samples->ring[(samples->first + n) % LATENCY_SAMPLES];
}

void latency_add(struct latency *latency, enum latency_event event, int64_t unix_seconds, int64_t ms)
{
    struct samples *samples = &latency->events[event];
    struct latency_sample *last;

    lock_take(&latency->lock);
    if (ms > samples->worst_ms) samples->worst_ms = ms;
    last = samples->count > 0 ? sample_at(samples, samples->count - 1) : NULL;
    if (last != NULL && last->unix_seconds == unix_seconds) {
        if (ms > last->ms) last->ms = ms;
    } else {
        if (samples->count == LATENCY_SAMPLES)
            samples->first = (samples->first + 1) % LATENCY_SAMPLES;
        else
            samples->count++;
        *sample_at(samples, samples->count - 1) = (struct latency_sample){ .unix_seconds = unix_seconds, .ms = ms };
    }
    lock_release(&latency->lock);
}

void latency_note(struct node *node, enum latency_event event, uint64_t ns)
{
    int64_t threshold_ms = config_int(node->config, latency_monitor_threshold), ms = (int64_t)(ns / 1000000);

    if (threshold_ms > 0 && ms >= threshold_ms) latency_add(node->latency, event, clock_wall_us() / 1000000, ms);
}

int latency_samples(struct latency *latency, enum latency_event event, struct latency_sample out[LATENCY_SAMPLES],
                    int64_t *worst_ms)
{
    struct samples *samples = &latency->events[event];
    int count;

    lock_take(&latency->lock);
    count = samples->count;
    for (int i = 0; i < count; i++) out[i] = *sample_at(samples, i);
    *worst_ms = samples->worst_ms;
    lock_release(&latency->lock);
    return count;
}

bool latency_reset(struct latency *latency, enum latency_event event)
{
    bool had;

    lock_take(&latency->lock);
    had = latency->events[event].count > 0;
    memset(&latency->events[event], 0, sizeof(latency->events[event]));
    lock_release(&latency->lock);
    return had;
}
