/* cache/hot_session.h
 *
 * What keys cost from one moment to another, for HOTKEYS START and GET: asked for by somebody, unlike what cache/hotkeys.h finds by itself. All
 * keys are looked at, not only hot ones, and the costliest are told, by CPU time, by bytes or both.
 *
 * For each of the two a table of 1024 keys, in sets of eight: a key that finds its set full takes the place of the one that has the least, and
 * begins with what that had. So what is told of a key is never too little, and too much by what its place was worth when it came.
 *
 * While there is no session it costs a load and takes no memory. While there is one all commands meet at its lock. */
#pragma once

#include "base/bytes.h"
#include "base/keyslot.h"

struct hot_session;

/* Of a longer key so much is told; it is told from others by its hash all the same. */
#define HOT_SESSION_NAME_MAX 128
#define HOT_SESSION_KEYS_MAX 64

/* A bit for each slot. */
struct hot_session_slots {
    uint64_t bits[SLOT_COUNT / 64];
};

struct hot_session_options {
    bool cpu, net;
    uint32_t count;      /* keys to be told of each, 1 to HOT_SESSION_KEYS_MAX */
    int64_t duration_ms; /* 0: until it is stopped */
    uint64_t sample;     /* one command in so many is looked at, by chance; 1: all */
    bool selects;        /* only the commands on these slots are looked at */
    struct hot_session_slots slots;
};

/* What the process has used of CPU time, ever. */
struct hot_session_cpu {
    int64_t user_us, system_us;
};

struct hot_session *hot_session_new(void);
void hot_session_free(struct hot_session **session);

/* Any thread. False where one is on; else what a former one has found is forgotten. */
bool hot_session_start(struct hot_session *session, const struct hot_session_options *options, int64_t now_ms,
                       struct hot_session_cpu cpu);
/* False where none is on. What was found stays. */
bool hot_session_stop(struct hot_session *session, int64_t now_ms, struct hot_session_cpu cpu);
/* False where one is on; else nothing is left of the last one. */
bool hot_session_reset(struct hot_session *session);

bool hot_session_is_on(const struct hot_session *session);
/* It is on, and has been for as long as it was to be: to be stopped. Until it is, nothing more is counted. */
bool hot_session_is_due(struct hot_session *session, int64_t now_ms);

/* A command has run. Of several keys each had an equal share; those without keys count in the sums. Any thread. */
struct hot_session_key {
    struct bytes key;
    uint64_t hash;
    uint16_t slot;
};
void hot_session_count(struct hot_session *session, const struct hot_session_key *keys, size_t key_count,
                       uint64_t bytes, uint64_t ns, int64_t now_ms);

struct hot_session_sums {
    uint64_t ns, bytes;
};
struct hot_session_found {
    uint64_t amount; /* nanoseconds, or bytes */
    size_t name_len;
    char name[HOT_SESSION_NAME_MAX];
};
struct hot_session_report {
    bool is_on;
    struct hot_session_options options;
    int64_t began_ms, lasted_ms;
    struct hot_session_cpu cpu;                     /* used since it began */
    struct hot_session_sums all, selected, sampled; /* of all commands; of those on the slots; and of those looked at */
    size_t cpu_count, net_count;
    struct hot_session_found by_cpu[HOT_SESSION_KEYS_MAX], by_net[HOT_SESSION_KEYS_MAX]; /* most first */
};
/* False where there was none since the last reset. */
bool hot_session_report(struct hot_session *session, int64_t now_ms, struct hot_session_cpu cpu,
                        struct hot_session_report *report);
