/* server/latency.h
 *
 * Moments in which somebody had to wait, by what took the time: samples of at least latency-monitor-threshold milliseconds, one a second
 * and event, the worst. Shared by all workers under a lock of its own, which only a slow moment takes. */
#pragma once

#include "base/bytes.h"

enum latency_event {
    LATENCY_COMMAND,
    LATENCY_FAST_COMMAND, /* one that COMMAND INFO calls fast */
    LATENCY_EXPIRE_CYCLE,
    LATENCY_EVENTS
};

#define LATENCY_SAMPLES 160 /* kept of each event */

struct latency_sample {
    int64_t unix_seconds;
    int64_t ms;
};

struct latency;
struct node;

struct latency *latency_new(void);
void latency_free(struct latency **latency);

const char *latency_event_name(enum latency_event event);
/* LATENCY_EVENTS where there is none. */
enum latency_event latency_event_by_name(struct bytes name);

/* Samples a moment of that length if it is as long as latency-monitor-threshold asks for. */
void latency_note(struct node *node, enum latency_event event, uint64_t ns);

void latency_add(struct latency *latency, enum latency_event event, int64_t unix_seconds, int64_t ms);

/* The samples of an event, oldest first, and the worst there ever was. Returns how many. */
int latency_samples(struct latency *latency, enum latency_event event, struct latency_sample out[LATENCY_SAMPLES],
                    int64_t *worst_ms);
/* True if there was anything to forget. */
bool latency_reset(struct latency *latency, enum latency_event event);
