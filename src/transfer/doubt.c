/* transfer/doubt.c
 *
 * Have the keys arrived that were sent before the link broke? The target may not even have read them yet: they may lie in its socket, or
 * it may be stopped. So first it is told to close the former connection, until it knows of none by that name; what it has not read by
 * then it never will. Then it is asked for the value of each key. A target that refuses connections is gone, and its keys with it.
 *
 * It is asked by commands that every server of the Redis family has: CLIENT KILL, ASKING, DUMP, INFO. */
#include "base/clock.h"
#include "transfer/migration_internal.h"
#include "transfer/payload.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAUSE_US 50000
#define KILL_PAUSE_US 10000
#define INFO_BYTES_MAX ((size_t)1 << 20)

enum answer { NO_ANSWER, ANSWER_NO, ANSWER_YES };

static struct redisReply *ask(struct target *target, const struct bytes *words, size_t count, size_t bytes_max,
                              const struct target_patience *patience)
{
    struct redisReply *reply = NULL;

    if (target_ask(target, words, count, patience) != TARGET_FINE) return NULL;
    if (target_read(target, bytes_max, patience, &reply) != TARGET_FINE) return NULL;
    return reply;
}

/* One that may not be killed, or goes by another name there, cannot be waited for: then it is left at that. */
static bool end_former(struct target *target, const char *former_name, int64_t until_ms,
                       const struct target_patience *patience)
{
    const struct bytes words[] = { BYTES("CLIENT"), BYTES("KILL"), BYTES("ADDR"), bytes_of(former_name) };

    for (;;) {
        struct redisReply *reply = ask(target, words, 4, INFO_BYTES_MAX, patience);
        bool was_there = reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
        bool has_answered = reply != NULL;

        target_reply_free(reply);
        if (!was_there) return has_answered;
        if (clock_monotonic_ms() >= until_ms) return false;
        /* Some servers, this one too, close it a moment later. */
        usleep(KILL_PAUSE_US);
    }
}

/* Is the target this very node? Then what it has says nothing. */
static enum answer is_myself(struct target *target, const char *run_id, const struct target_patience *patience)
{
    const struct bytes words[] = { BYTES("INFO"), BYTES("server") };
    struct redisReply *reply = ask(target, words, 2, INFO_BYTES_MAX, patience);
    enum answer answer = NO_ANSWER;

    if (reply != NULL)
        answer = reply->type == REDIS_REPLY_STRING && strstr(reply->str, run_id) != NULL ? ANSWER_YES : ANSWER_NO;
    target_reply_free(reply);
    return answer;
}

/* Does the target refuse to tell just now, whatever it has? */
static bool is_put_off(const struct redisReply *reply)
{
    static const char *const words[] = { "CLUSTERDOWN ", "TRYAGAIN ", "LOADING ", "BUSY ", "MASTERDOWN " };

    if (reply->type != REDIS_REPLY_ERROR) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(reply->str, words[i], strlen(words[i])) == 0) return true;
    return false;
}

static enum answer has_value(struct target *target, struct bytes key, struct bytes value,
                             const struct target_patience *patience)
{
    const struct bytes asking[] = { BYTES("ASKING") }, dump[] = { BYTES("DUMP"), key };
    struct redisReply *reply = ask(target, asking, 1, INFO_BYTES_MAX, patience); /* an error outside a cluster */
    enum answer answer = ANSWER_NO;
    struct buf space = { 0 };
    struct bytes found;

    if (reply == NULL) return NO_ANSWER;
    target_reply_free(reply);
    reply = ask(target, dump, 2, value.len + INFO_BYTES_MAX, patience);
    if (reply == NULL) return NO_ANSWER;
    if (is_put_off(reply))
        answer = NO_ANSWER;
    else if (reply->type == REDIS_REPLY_STRING &&
             payload_to_string((struct bytes){ reply->str, (size_t)reply->len }, value.len, &space, &found) ==
                 PAYLOAD_FINE &&
             bytes_equal(found, value))
        answer = ANSWER_YES;
    target_reply_free(reply);
    buf_free(&space);
    return answer;
}

/* False where the link breaks again; what is settled by then stays so. */
static bool ask_for_all(struct migration *migration, const struct migration_site *site, struct target *target,
                        const char *former_name, int64_t until_ms, bool *all_arrived)
{
    struct target_patience patience = { until_ms - clock_monotonic_ms(), site->ending };
    struct batch *batch = &migration->batch;
    enum answer myself;

    if (!end_former(target, former_name, until_ms, &patience)) return false;
    myself = is_myself(target, site->run_id, &patience);
    if (myself == NO_ANSWER) return false;
    for (size_t i = 0; i < batch->count; i++) {
        struct parcel *parcel = &batch->parcels[i];
        enum answer arrived;

        if (parcel->is_settled) continue;
        arrived = myself == ANSWER_YES ? ANSWER_NO
                                       : has_value(target, parcel->mark.key, parcel_value(batch, parcel), &patience);
        if (arrived == NO_ANSWER) return false;
        if (arrived == ANSWER_NO) *all_arrived = false;
        parcel_settle(migration, site, parcel, arrived == ANSWER_YES);
    }
    return true;
}

static bool is_all_settled(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (!batch->parcels[i].is_settled) return false;
    return true;
}

bool doubt_resolve(struct migration *migration, const struct migration_site *site, const char *former_name,
                   int64_t until_ms, bool *all_arrived)
{
    *all_arrived = true;
    while (!is_all_settled(&migration->batch)) {
        int64_t left_ms = until_ms - clock_monotonic_ms();
        struct target_patience patience = { left_ms, site->ending };
        enum target_fault fault = TARGET_FINE;
        char error[TARGET_ERROR_BYTES];
        struct target *target;

        if (left_ms <= 0 || atomic_load_explicit(site->ending, memory_order_relaxed)) return false;
        target = target_open(site->targets, &migration->options.address, &patience, &fault, error);
        if (target == NULL && fault == TARGET_NOBODY_THERE) {
            *all_arrived = false;
            return true; /* what is left is settled by the caller: it stays here */
        }
        if (target == NULL || !ask_for_all(migration, site, target, former_name, until_ms, all_arrived))
            usleep(PAUSE_US);
        target_close(&target);
    }
    return true;
}
