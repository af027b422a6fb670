/* server/policy_keeper.c: see policy_keeper.h for what it is for. */
#include "server/policy_keeper.h"

#include "base/alloc.h"
#include "base/crc64.h"
#include "base/log.h"
#include "base/option.h"
#include "bus/bus.h"
#include "cache/policy_sweep.h"
#include "server/config.h"
#include "server/node.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct policy_keeper {
    struct node *node;
    pthread_mutex_t guard; /* of changes: table and set are changed together, and what is shown is of the last */
};

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

/* --- The shared set has them --- */

static void item_of(struct bytes prefix, struct bytes text, bool is_gone, struct shared_item *item)
{
    *item = (struct shared_item){ .kind = SHARED_POLICY, .is_gone = is_gone, .name = prefix, .text = text };
}

/* Under guard. The table has changed at a prefix; where the set refuses that, it is as it was before. */
static bool share(struct policy_keeper *keeper, struct bytes prefix, const struct policy_text *former,
                  char error[POLICY_ERROR_BYTES])
{
    struct policies *policies = keeper->node->policies;
    struct buf text = { 0 };
    struct shared_item item;
    char reason[POLICY_ERROR_BYTES];
    bool is_there, ok;

    _Static_assert(POLICY_ERROR_BYTES == CLUSTER_ERROR_BYTES, "an error is passed on");
    if (keeper->node->bus == NULL) return true;
    is_there = policies_text(policies, prefix, &text);
    item_of(prefix, buf_bytes(&text), !is_there, &item);
    ok = bus_share_item(keeper->node->bus, SHARE_LATEST, &item, error);
    if (!ok) policies_take(policies, former, 1, reason);
    buf_free(&text);
    return ok;
}

/* On the control loop: other nodes' policies, or those that there are at the start. */
static void came(void *context, const struct shared_item *items, size_t count)
{
    struct policy_keeper *keeper = context;
    struct policies *policies = keeper->node->policies;
    struct policy_text *texts = alloc((count + 1) * sizeof(*texts));
    char error[POLICY_ERROR_BYTES];
    size_t latest = 0, refused;

    _Static_assert(POLICIES_TAKEN_MAX >= SHARED_TAKEN_ITEMS_MAX, "whatever the set has");
    pthread_mutex_lock(&keeper->guard);
    for (size_t i = 0; i < count; i++) /* What was set here since is later. */
        if (bus_shared_is_latest(keeper->node->bus, &items[i]))
            texts[latest++] = (struct policy_text){ items[i].name, items[i].text, items[i].is_gone };
    refused = policies_take(policies, texts, latest, error);
    show_all(keeper);
    pthread_mutex_unlock(&keeper->guard);
    alloc_free(texts);
    if (refused > 0)
        log_warning("policies: of %zu of the cluster %zu mean nothing to this node: %s", latest, refused, error);
    policy_sweep_wake(keeper->node->policy_sweep);
}

/* --- The start --- */

static bool set_one(struct policy_keeper *keeper, struct bytes prefix, enum policy_field field, int64_t value,
                    char error[512])
{
    struct policies *policies = keeper->node->policies;
    char reason[POLICY_ERROR_BYTES] = "";

    if (policies_set(policies, prefix, &(struct policy_setting){ field, value }, 1, reason)) return true;
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

/* What the configuration file and the command line say: kept apart, for the configuration will show what holds. */
struct directives {
    struct buf text; /* lines of policy */
    int64_t ttl_ms, max_ttl_ms;
    char digest[17];
};

static void read_directives(struct config *config, struct directives *directives)
{
    struct buf *text = &directives->text;
    size_t len;

    *directives = (struct directives){ .ttl_ms = config_int(config, default_ttl_ms),
                                       .max_ttl_ms = config_int(config, max_ttl_ms) };
    config_text(config, CONFIG_POLICY, text);
    len = text->len;
    buf_printf(text, "\n%lld %lld", (long long)directives->ttl_ms, (long long)directives->max_ttl_ms);
    snprintf(directives->digest, sizeof(directives->digest), "%016" PRIx64, crc64(0, buf_bytes(text)));
    text->len = len;
}

static bool set_all(struct policy_keeper *keeper, const struct directives *directives, char error[512])
{
    struct bytes text = buf_bytes(&directives->text);
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
    if (ok && directives->ttl_ms != 0) ok = set_one(keeper, BYTES_NONE, POLICY_FIELD_TTL, directives->ttl_ms, error);
    if (ok && directives->max_ttl_ms != 0)
        ok = set_one(keeper, BYTES_NONE, POLICY_FIELD_MAX_TTL, directives->max_ttl_ms, error);
    return ok;
}

struct sharing {
    struct bus *bus;
    enum share_as as;
    bool ok;
    cluster_error error;
};

static void share_one(void *context, const struct policy *policy)
{
    struct sharing *sharing = context;
    struct buf text = { 0 };
    struct shared_item item;

    policy_write(policy, &text);
    item_of(policy->prefix, buf_bytes(&text), false, &item);
    if (sharing->ok) sharing->ok = bus_share_item(sharing->bus, sharing->as, &item, sharing->error);
    buf_free(&text);
}

/* Sets the directives where they are not those of the last start. */
static bool heed(struct policy_keeper *keeper, const struct directives *directives, char error[512])
{
    struct sharing sharing = { .bus = keeper->node->bus, .as = SHARE_DEFAULT, .ok = true };
    struct shared_item item = { .kind = SHARED_DIRECTIVES, .text = bytes_of(directives->digest) };
    struct buf former = { 0 };
    bool are_same;

    if (sharing.bus == NULL) return set_all(keeper, directives, error);
    if (bus_shared_text(sharing.bus, SHARED_DIRECTIVES, BYTES_NONE, &former)) sharing.as = SHARE_LATEST;
    are_same = bytes_equal(buf_bytes(&former), item.text);
    buf_free(&former);
    if (are_same) return true;
    if (!set_all(keeper, directives, error)) return false;
    policies_each(keeper->node->policies, share_one, &sharing);
    if (sharing.ok) sharing.ok = bus_share_item(sharing.bus, SHARE_LATEST, &item, sharing.error);
    if (!sharing.ok) snprintf(error, 512, "The policies of the configuration cannot be set: %s", sharing.error);
    return sharing.ok;
}

struct policy_keeper *policy_keeper_open(struct node *node, char error[512])
{
    struct policy_keeper *keeper = alloc_zeroed(sizeof(*keeper));
    struct directives directives;

    keeper->node = node;
    pthread_mutex_init(&keeper->guard, NULL);
    read_directives(node->config, &directives);
    if (node->bus != NULL) bus_on_shared_items(node->bus, SHARED_POLICY, came, keeper);
    if (!heed(keeper, &directives, error)) policy_keeper_close(&keeper);
    buf_free(&directives.text);
    if (keeper == NULL) return NULL;
    show_all(keeper);
    policy_sweep_wake(node->policy_sweep);
    if (policies_count(node->policies) > 0) log_notice("policies: %zu", policies_count(node->policies));
    return keeper;
}

void policy_keeper_close(struct policy_keeper **closed)
{
    struct policy_keeper *keeper = *closed;

    *closed = NULL;
    if (keeper == NULL) return;
    pthread_mutex_destroy(&keeper->guard);
    alloc_free(keeper);
}

/* --- Changes --- */

/* Sets, or, without settings, deletes. */
static bool change(struct policy_keeper *keeper, struct bytes prefix, const struct policy_setting *settings,
                   size_t count, bool *was_there, char error[POLICY_ERROR_BYTES])
{
    struct policies *policies = keeper->node->policies;
    struct policy_text former = { .prefix = prefix };
    struct buf text = { 0 };
    bool ok = true;

    pthread_mutex_lock(&keeper->guard);
    *was_there = policies_text(policies, prefix, &text);
    former.text = buf_bytes(&text);
    former.is_gone = !*was_there;
    if (settings == NULL)
        policies_delete(policies, prefix);
    else
        ok = policies_set(policies, prefix, settings, count, error);
    if (ok) ok = share(keeper, prefix, &former, error);
    show_all(keeper);
    pthread_mutex_unlock(&keeper->guard);
    buf_free(&text);
    return ok;
}

/* What may wait. */
static bool settle(struct policy_keeper *keeper, char error[POLICY_ERROR_BYTES])
{
    struct node *node = keeper->node;

    policy_sweep_wake(node->policy_sweep);
    /* Whoever sets policies faster than the sweep goes round frees the former tables himself. */
    if (policies_waiting(node->policies) > POLICIES_WAITING_MAX) policies_settle(node->policies, node->keyspace);
    if (node->bus == NULL || bus_shared_wait(node->bus)) return true;
    snprintf(error, POLICY_ERROR_BYTES, "ERR The policies hold, but are not on disk: %s", strerror(errno));
    return false;
}

bool policy_keeper_set(struct policy_keeper *keeper, struct bytes prefix, const struct policy_setting *settings,
                       size_t count, char error[POLICY_ERROR_BYTES])
{
    bool was_there;

    return change(keeper, prefix, settings, count, &was_there, error) && settle(keeper, error);
}

bool policy_keeper_delete(struct policy_keeper *keeper, struct bytes prefix, bool *was_there,
                          char error[POLICY_ERROR_BYTES])
{
    return change(keeper, prefix, NULL, 0, was_there, error) && (!*was_there || settle(keeper, error));
}

bool policy_keeper_set_limits(struct policy_keeper *keeper, int64_t default_ttl_ms, int64_t max_ttl_ms,
                              char error[POLICY_ERROR_BYTES])
{
    struct policy_setting settings[] = { { POLICY_FIELD_TTL, default_ttl_ms }, { POLICY_FIELD_MAX_TTL, max_ttl_ms } };

    if (policy_keeper_set(keeper, BYTES_NONE, settings, 2, error)) return true;
    /* CONFIG SET says ERR itself. */
    if (strncmp(error, "ERR ", 4) == 0) memmove(error, error + 4, strlen(error) - 3);
    return false;
}
