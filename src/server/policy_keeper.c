/* server/policy_keeper.c: see policy_keeper.h for what it is for. */
#include "server/policy_keeper.h"

#include "base/alloc.h"
#include "base/crc64.h"
#include "base/log.h"
#include "base/option.h"
#include "bus/bus.h"
#include "bus/state_file.h"
#include "cache/policy.h"
#include "cache/policy_sweep.h"
#include "server/config.h"
#include "server/node.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define REPLACED_MAX 8 /* tables that wait for the sweep */

struct policy_keeper {
    struct node *node;
    struct state_file *file; /* NULL without a cluster */
    uint64_t directives;     /* the digest of what the file and the command line say */
    pthread_mutex_t guard;   /* what follows a change is done for one at a time, so that the last is what stays */
};

uint64_t policy_keeper_epoch(const struct policy_keeper *keeper)
{
    struct effects *effects;
    uint64_t epoch;

    if (keeper->node->bus == NULL) return 0;
    epoch = cluster_epoch(bus_lock(keeper->node->bus, &effects));
    bus_unlock(keeper->node->bus);
    return epoch;
}

/* --- The configuration shows them --- */

struct shown {
    struct buf lines;
    int64_t ttl_ms, max_ttl_ms; /* of all keys; they have directives of their own, in milliseconds */
};

static void show(void *context, const struct policy *policy)
{
    struct shown *shown = context;
    struct buf line = { 0 };
    bool is_root = policy->prefix.len == 0;
    unsigned count = 0;

    words_quote(policy->prefix, &line);
    for (unsigned i = 0; i < POLICY_FIELD_COUNT; i++) {
        enum policy_field field = (enum policy_field)i;
        int64_t value = policy->values[field];

        if (!policy_sets(policy, field)) continue;
        if (is_root && field == POLICY_FIELD_TTL) {
            shown->ttl_ms = value;
        } else if (is_root && field == POLICY_FIELD_MAX_TTL) {
            shown->max_ttl_ms = value;
        } else {
            buf_printf(&line, " %s ", policy_field_name(field));
            if (policy_field_is_yes_no(field))
                buf_append_text(&line, value ? "yes" : "no");
            else
                buf_printf(&line, "%" PRId64, policy_value_shown(field, value));
            count++;
        }
    }
    if (count > 0) {
        if (shown->lines.len > 0) buf_append_byte(&shown->lines, '\n');
        buf_append_bytes(&shown->lines, buf_bytes(&line));
    }
    buf_free(&line);
}

static void show_all(struct policy_keeper *keeper)
{
    struct config *config = keeper->node->config;
    struct shown shown = { .ttl_ms = 0 };

    policies_each(keeper->node->policies, show, &shown);
    config_put_text(config, CONFIG_POLICY, buf_bytes(&shown.lines));
    atomic_store_explicit(&config->default_ttl_ms, shown.ttl_ms, memory_order_relaxed);
    atomic_store_explicit(&config->max_ttl_ms, shown.max_ttl_ms, memory_order_relaxed);
    buf_free(&shown.lines);
}

/* --- The file ---
 *
 *     directives 0123456789abcdef        the digest of those of the last start
 *     redis-shard policies 1             the rest is policies_save()'s
 *     ... */

#define DIRECTIVES "directives "
#define DIRECTIVES_BYTES (sizeof(DIRECTIVES "0123456789abcdef\n") - 1)

/* Its ticket. */
static uint64_t save(struct policy_keeper *keeper)
{
    struct buf content = { 0 };

    buf_printf(&content, DIRECTIVES "%016" PRIx64 "\n", keeper->directives);
    policies_save(keeper->node->policies, &content);
    return state_file_submit(keeper->file, &content, 0);
}

struct loading {
    struct policies *policies;
    uint64_t directives;
};

static bool accept_content(void *context, struct bytes content, char reason[256])
{
    struct loading *loading = context;
    struct bytes text = { content.data + DIRECTIVES_BYTES, content.len - DIRECTIVES_BYTES };
    char line[DIRECTIVES_BYTES + 1];
    unsigned long long directives;

    _Static_assert(POLICY_ERROR_BYTES == 256, "a reason is passed on");
    if (content.len <= DIRECTIVES_BYTES) {
        snprintf(reason, 256, "it is cut off");
        return false;
    }
    memcpy(line, content.data, DIRECTIVES_BYTES);
    line[DIRECTIVES_BYTES] = '\0';
    if (sscanf(line, DIRECTIVES "%16llx\n", &directives) != 1) {
        snprintf(reason, 256, "its first line cannot be read");
        return false;
    }
    /* A table without a version, of a node that never had a policy, is as good as none. */
    if (policies_load(loading->policies, text, reason) == POLICIES_DAMAGED) return false;
    loading->directives = directives;
    return true;
}

/* --- The start --- */

static bool set_one(struct policy_keeper *keeper, struct bytes prefix, enum policy_field field, int64_t value,
                    char error[512])
{
    struct policies *policies = keeper->node->policies;
    char reason[POLICY_ERROR_BYTES] = "";

    if (policies_set(policies, prefix, &(struct policy_setting){ field, value }, 1, policies_version(policies).epoch,
                     reason))
        return true;
    snprintf(error, 512, "The policies of the configuration cannot be set: %s", reason);
    return false;
}

static bool set_line(struct policy_keeper *keeper, const struct words *words, char error[512])
{
    bool ok = true;

    for (size_t at = 1; ok && at + 1 < words->count; at += 2) {
        enum policy_field field;
        char reason[POLICY_ERROR_BYTES];
        int64_t value;

        if (policy_field_of(words->items[at], &field) && policy_value_of(field, words->items[at + 1], &value, reason))
            ok = set_one(keeper, words->items[0], field, value, error);
    }
    return ok;
}

static bool set_directives(struct policy_keeper *keeper, struct bytes text, char error[512])
{
    int64_t ttl_ms = config_int(keeper->node->config, default_ttl_ms),
            max_ttl_ms = config_int(keeper->node->config, max_ttl_ms);
    bool ok = true;

    while (ok && text.len > 0) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        struct words words;

        if (words_split((struct bytes){ text.data, len }, &words)) ok = set_line(keeper, &words, error);
        words_free(&words);
        if (end != NULL) len++;
        text.data += len;
        text.len -= len;
    }
    if (ok && ttl_ms != 0) ok = set_one(keeper, BYTES_NONE, POLICY_FIELD_TTL, ttl_ms, error);
    if (ok && max_ttl_ms != 0) ok = set_one(keeper, BYTES_NONE, POLICY_FIELD_MAX_TTL, max_ttl_ms, error);
    return ok;
}

static bool read_all(struct policy_keeper *keeper, char error[512])
{
    struct loading loading = { .policies = keeper->node->policies };
    struct config *config = keeper->node->config;
    struct policy_version version;
    struct buf text = { 0 };
    bool ok = true;

    if (keeper->file != NULL) switch (state_file_load(keeper->file, accept_content, &loading, error)) {
        case STATE_REFUSED:
            return false;
        case STATE_FORMER:
            log_warning("%s", error);
            break;
        case STATE_NONE:
        case STATE_CURRENT:
            break;
        }
    config_text(config, CONFIG_POLICY, &text);
    buf_printf(&text, "\n%lld %lld", (long long)config_int(config, default_ttl_ms),
               (long long)config_int(config, max_ttl_ms));
    keeper->directives = crc64(0, buf_bytes(&text));
    buf_clear(&text);
    config_text(config, CONFIG_POLICY, &text);
    if (keeper->directives != loading.directives) ok = set_directives(keeper, buf_bytes(&text), error);
    version = policies_version(keeper->node->policies);
    if (ok && version.number > 0)
        log_notice("policies: %zu, of version %" PRIu64 ".%" PRIu64, policies_count(keeper->node->policies),
                   version.epoch, version.number);
    buf_free(&text);
    return ok;
}

/* What is told and shown, but for the disk. */
static void tell(struct policy_keeper *keeper)
{
    struct policy_version version;
    struct buf text = { 0 };

    show_all(keeper);
    if (keeper->node->bus == NULL) return;
    version = policies_save(keeper->node->policies, &text);
    bus_share(keeper->node->bus, &(struct cluster_shared_version){ version.epoch, version.number, version.digest },
              buf_bytes(&text));
    buf_free(&text);
}

static void heard(void *context, struct bytes text)
{
    policy_keeper_heard(context, text);
}

struct policy_keeper *policy_keeper_open(struct node *node, char error[512])
{
    struct policy_keeper *keeper = alloc_zeroed(sizeof(*keeper));
    char path[PATH_MAX];
    size_t len;

    keeper->node = node;
    pthread_mutex_init(&keeper->guard, NULL);
    if (node->bus != NULL) {
        config_text_copy(node->config, CONFIG_CLUSTER_CONFIG_FILE, path, sizeof(path));
        len = strlen(path);
        snprintf(path + len, sizeof(path) - len, ".policies");
        keeper->file = state_file_open(path, error);
        if (keeper->file == NULL) goto failed;
    }
    if (!read_all(keeper, error)) goto failed;
    if (keeper->file != NULL) {
        state_file_start(keeper->file, NULL, NULL);
        if (policies_version(node->policies).number > 0) save(keeper);
    }
    tell(keeper);
    policy_sweep_wake(node->policy_sweep);
    if (node->bus != NULL) bus_on_shared(node->bus, heard, keeper);
    return keeper;
failed:
    policy_keeper_close(&keeper);
    return NULL;
}

void policy_keeper_close(struct policy_keeper **closed)
{
    struct policy_keeper *keeper = *closed;

    *closed = NULL;
    if (keeper == NULL) return;
    state_file_close(&keeper->file);
    pthread_mutex_destroy(&keeper->guard);
    alloc_free(keeper);
}

/* --- Changes --- */

/* The ticket to wait for; 0 where nothing is kept. */
static uint64_t spread(struct policy_keeper *keeper)
{
    uint64_t ticket = 0;

    pthread_mutex_lock(&keeper->guard);
    if (keeper->file != NULL) ticket = save(keeper);
    tell(keeper);
    pthread_mutex_unlock(&keeper->guard);
    policy_sweep_wake(keeper->node->policy_sweep);
    return ticket;
}

bool policy_keeper_changed(struct policy_keeper *keeper, char error[256])
{
    uint64_t ticket = spread(keeper);

    /* Whoever sets policies faster than the sweep goes round frees the former tables himself. */
    if (policies_waiting(keeper->node->policies) > REPLACED_MAX)
        policies_settle(keeper->node->policies, keeper->node->keyspace);
    if (ticket == 0 || state_file_wait(keeper->file, ticket)) return true;
    snprintf(error, 256, "The policies hold, but are not on disk: %s", strerror(errno));
    return false;
}

void policy_keeper_heard(struct policy_keeper *keeper, struct bytes text)
{
    char error[POLICY_ERROR_BYTES];
    struct policy_version version;

    /* It will be told again, when the sweep has come round. */
    if (policies_waiting(keeper->node->policies) > REPLACED_MAX) return;
    switch (policies_load(keeper->node->policies, text, error)) {
    case POLICIES_LOADED:
        spread(keeper);
        version = policies_version(keeper->node->policies);
        log_notice("policies: taken over from another node, %zu of version %" PRIu64 ".%" PRIu64,
                   policies_count(keeper->node->policies), version.epoch, version.number);
        return;
    case POLICIES_NOT_LATER:
        return;
    case POLICIES_DAMAGED:
        log_warning("policies: what another node has sent is refused: %s", error);
        return;
    }
}

bool policy_keeper_set_limits(struct policy_keeper *keeper, int64_t default_ttl_ms, int64_t max_ttl_ms, char error[256])
{
    struct policy_setting settings[] = { { POLICY_FIELD_TTL, default_ttl_ms }, { POLICY_FIELD_MAX_TTL, max_ttl_ms } };

    if (!policies_set(keeper->node->policies, BYTES_NONE, settings, 2, policy_keeper_epoch(keeper), error))
        return false;
    return policy_keeper_changed(keeper, error);
}
