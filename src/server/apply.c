/* server/apply.c
 *
 * Hooks of the configuration. */
#include "server/apply.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/relocate.h"
#include "bus/bus.h"
#include "cache/eviction.h"
#include "cache/fill.h"
#include "server/acceptor.h"
#include "server/cost.h"
#include "server/node.h"
#include "server/policy_keeper.h"
#include "server/process.h"
#include "server/salt_helper.h"
#include "server/salt_home.h"
#include "server/worker.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint16_t apply_bus_port(const struct config *config)
{
    int64_t port = config_int(config, cluster_port);

    return (uint16_t)(port ? port : config_int(config, port) + 10000);
}

void apply_cluster_options(const struct node *node, struct cluster_options *out)
{
    struct config *config = node->config;

    *out = (struct cluster_options){
        .node_timeout_ms = config_int(config, cluster_node_timeout),
        .require_full_coverage = config_int(config, cluster_require_full_coverage),
        .allow_replica_migration = config_int(config, cluster_allow_replica_migration),
        .port = (uint16_t)config_int(config, port),
        .cport = node->bus_port,
        .announce_port = (uint16_t)config_int(config, cluster_announce_port),
        .announce_cport = (uint16_t)config_int(config, cluster_announce_bus_port),
        .preferred_endpoint = (enum endpoint_type)config_int(config, cluster_preferred_endpoint_type),
    };
    config_text_copy(config, CONFIG_CLUSTER_ANNOUNCE_IP, out->announce_ip, sizeof(out->announce_ip));
    config_text_copy(config, CONFIG_CLUSTER_ANNOUNCE_HOSTNAME, out->announce_hostname, sizeof(out->announce_hostname));
}

#define FLOOR_BYTES_DEFAULT ((uint64_t)64 << 20)
#define LEASE_BYTES_DEFAULT ((uint64_t)160 << 20)

int64_t apply_reserved_files(const struct config *config)
{
    return 32 + 4 * config_int(config, io_threads);
}

static bool cluster_changed(void *context, struct config *config, char error[256])
{
    struct node *node = context;
    struct cluster_options options;

    (void)error;
    if (!node->bus) return true;
    apply_cluster_options(node, &options);
    bus_configure(node->bus, &options);
    bus_set_link_sendbuf_limit(node->bus, (uint64_t)config_int(config, cluster_link_sendbuf_limit));
    return true;
}

/* On entry error names the directive the refusal will be put down to. */
static bool listening_changed(void *context, struct config *config, char error[256])
{
    struct node *node = context;
    bool is_bind = strcmp(error, "bind") == 0;
    struct config_problem problem;
    char line[512];

    /* What a rewritten file says has to be what the next start takes. */
    if (!config_finish(config, &problem)) {
        snprintf(error, 256, "%.250s", problem.text);
        return false;
    }
    if (acceptor_rebind(node->acceptor, line)) return true;
    log_warning("clients: %s", line);
    snprintf(error, 256, "%s",
             is_bind ? "Failed to bind to specified addresses." : "Unable to listen on this port. Check server logs.");
    return false;
}

static bool loglevel_changed(void *context, struct config *config, char error[256])
{
    (void)context;
    (void)error;
    log_set_level((enum log_level)config_int(config, loglevel));
    return true;
}

static bool maxclients_changed(void *context, struct config *config, char error[256])
{
    int64_t wanted = config_int(config, maxclients), fit = process_allow_clients(wanted, apply_reserved_files(config));

    (void)context;
    if (fit >= wanted) return true;
    snprintf(error, 256, "The operating system is not able to handle the specified number of clients, try with %lld",
             (long long)fit);
    return false;
}

static bool dir_changed(void *context, struct config *config, char error[256])
{
    char path[PATH_MAX];

    (void)context;
    if (config_text_copy(config, CONFIG_DIR, path, sizeof(path)) && chdir(path) == 0) return true;
    snprintf(error, 256, "%s", strerror(errno));
    return false;
}

static bool workers_concerned(void *context, struct config *config, char error[256])
{
    struct node *node = context;

    (void)config;
    (void)error;
    for (int i = 0; i < node->worker_count; i++) worker_poke(node->workers[i]);
    return true;
}

static bool purging_changed(void *context, struct config *config, char error[256])
{
    (void)context;
    (void)error;
    /* An allocator without such threads keeps the pages: no reason to refuse. */
    alloc_purge_in_background(config_int(config, jemalloc_bg_thread) != 0);
    return true;
}

static bool defrag_changed(void *context, struct config *config, char error[256])
{
    (void)context;
    if (!config_int(config, activedefrag) || relocate_is_possible()) return true;
    snprintf(error, 256,
             "Active defragmentation needs an allocator that tells how full its pages are: jemalloc 5.2 or later");
    return false;
}

static bool hotkeys_changed(void *context, struct config *config, char error[256])
{
    (void)config;
    (void)error;
    cost_configure(context);
    return true;
}

/* How long a command may be kept: as redis-server has it, 50 us a step up to 10, then half as much again with each few. */
static int64_t eviction_slice_us(int64_t tenacity)
{
    double slice_us = 500;

    if (tenacity >= 100) return -1;
    if (tenacity <= 10) return 50 * tenacity;
    for (int64_t step = 10; step < tenacity; step++) slice_us *= 1.15;
    return (int64_t)slice_us;
}

void apply_memory_options(struct node *node)
{
    static const struct {
        enum eviction_order order;
        bool volatile_only;
    } policies[] = {
        [POLICY_VOLATILE_LRU] = { EVICTION_LRU, true },       [POLICY_VOLATILE_LFU] = { EVICTION_LFU, true },
        [POLICY_VOLATILE_RANDOM] = { EVICTION_RANDOM, true }, [POLICY_VOLATILE_TTL] = { EVICTION_TTL, true },
        [POLICY_ALLKEYS_LRU] = { EVICTION_LRU, false },       [POLICY_ALLKEYS_LFU] = { EVICTION_LFU, false },
        [POLICY_ALLKEYS_RANDOM] = { EVICTION_RANDOM, false }, [POLICY_NOEVICTION] = { EVICTION_NEVER, false },
        [POLICY_ALLKEYS_S3S] = { EVICTION_S3S, false },       [POLICY_VOLATILE_S3S] = { EVICTION_S3S, true },
    };
    const struct config *config = node->config;
    int64_t policy = config_int(config, maxmemory_policy), samples = config_int(config, maxmemory_samples);
    struct eviction_options options = {
        .limit_bytes = config_int(config, maxmemory),
        .order = policies[policy].order,
        .volatile_only = policies[policy].volatile_only,
        .samples = samples > 64 ? 64 : (unsigned)samples,
        .size_quarters = (unsigned)config_int(config, maxmemory_size_exponent),
        .slice_us = eviction_slice_us(config_int(config, maxmemory_eviction_tenacity)),
        .threads = (unsigned)config_int(config, io_threads),
        .lfu_log_factor = (uint32_t)config_int(config, lfu_log_factor),
        .lfu_decay_minutes = (uint32_t)config_int(config, lfu_decay_time),
    };

    eviction_configure(node->eviction, &options);
}

static bool memory_changed(void *context, struct config *config, char error[256])
{
    (void)config;
    (void)error;
    apply_memory_options(context);
    return workers_concerned(context, config, error);
}

/* Floors and leases are no data: they have a hundredth and a twentieth of maxmemory to themselves. */
void apply_fill_options(const struct node *node)
{
    uint64_t limit = (uint64_t)config_int(node->config, maxmemory);

    fills_set_floor_ttl(node->fills, config_int(node->config, floor_ttl));
    fills_set_floor_bytes_max(node->fills, limit == 0 ? FLOOR_BYTES_DEFAULT : limit / 100);
    fills_set_lease_bytes_max(node->fills, limit == 0 ? LEASE_BYTES_DEFAULT : limit / 20);
}

static bool fills_changed(void *context, struct config *config, char error[256])
{
    (void)config;
    (void)error;
    apply_fill_options(context);
    return true;
}

static bool ttl_limits_changed(void *context, struct config *config, char error[256])
{
    struct node *node = context;

    return policy_keeper_set_limits(node->policy_keeper, config_int(config, default_ttl_ms),
                                    config_int(config, max_ttl_ms), error);
}

static bool salting_changed(void *context, struct config *config, char error[256])
{
    struct node *node = context;

    (void)config;
    (void)error;
    if (node->salt_home != NULL) salt_home_configure(node->salt_home);
    if (node->salt_helper != NULL) salt_helper_configure(node->salt_helper);
    return true;
}

void apply_changes_of(struct node *node)
{
    static const char *const of_ttl_limits[] = { "default-ttl-ms", "max-ttl-ms", NULL };
    static const char *const of_listening[] = { "port", "bind", NULL };
    static const char *const of_cluster[] = { "port",
                                              "cluster-node-timeout",
                                              "cluster-require-full-coverage",
                                              "cluster-allow-replica-migration",
                                              "cluster-announce-ip",
                                              "cluster-announce-hostname",
                                              "cluster-announce-port",
                                              "cluster-announce-bus-port",
                                              "cluster-preferred-endpoint-type",
                                              "cluster-link-sendbuf-limit",
                                              NULL };
    static const char *const of_loglevel[] = { "loglevel", NULL };
    static const char *const of_maxclients[] = { "maxclients", NULL };
    static const char *const of_dir[] = { "dir", NULL };
    static const char *const of_memory[] = { "maxmemory",
                                             "maxmemory-policy",
                                             "maxmemory-samples",
                                             "maxmemory-size-exponent",
                                             "maxmemory-eviction-tenacity",
                                             "lfu-log-factor",
                                             "lfu-decay-time",
                                             NULL };
    static const char *const of_workers[] = { "timeout", "client-query-buffer-limit", "client-output-buffer-limit",
                                              NULL };
    static const char *const of_fills[] = { "floor-ttl", "maxmemory", NULL };
    static const char *const of_purging[] = { "jemalloc-bg-thread", NULL };
    static const char *const of_defrag[] = { "activedefrag", NULL };
    static const char *const of_hotkeys[] = { "hotkey-threshold", "hotkey-window-ms", "hotkey-lock-free-reads", NULL };
    static const char *const of_salting[] = { "salt-lease-ms", "salt-sync", "maxmemory", NULL };
    static struct config_hook hooks[] = {
        { .names = of_cluster, .changed = cluster_changed },
        /* The last is the first that is asked. A port that was left cannot be had back for sure, so all that may refuse has been asked before
         * it; and others hear of a port when we have it. */
        { .names = of_listening, .changed = listening_changed },
        { .names = of_loglevel, .changed = loglevel_changed },
        { .names = of_maxclients, .changed = maxclients_changed },
        { .names = of_dir, .changed = dir_changed },
        { .names = of_memory, .changed = memory_changed },
        { .names = of_fills, .changed = fills_changed },
        { .names = of_workers, .changed = workers_concerned },
        { .names = of_purging, .changed = purging_changed },
        { .names = of_defrag, .changed = defrag_changed },
        { .names = of_ttl_limits, .changed = ttl_limits_changed },
        { .names = of_hotkeys, .changed = hotkeys_changed },
        { .names = of_salting, .changed = salting_changed },
    };

    for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
        hooks[i].context = node;
        config_on_change(node->config, &hooks[i]);
    }
}
