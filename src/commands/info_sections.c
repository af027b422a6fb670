/* The sections of INFO about what the node is and holds. Names, order and forms of the fields are those tools parse; a field about what
 * this node does not have is there with the value it has on a node that does not use it. */
#include "commands/info.h"
#include "commands/stats.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "cache/eviction.h"
#include "cache/hot_reads.h"
#include "cache/hotkeys.h"
#include "cluster/open.h"
#include "server/call.h"
#include "server/client.h"
#include "server/node.h"
#include "server/open_slots.h"
#include "server/process.h"
#include "server/worker.h"
#include "store/lazyfree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LOADED(field) atomic_load_explicit(&(field), memory_order_relaxed)

static void line_u64(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, "%s:%" PRIu64 "\r\n", name, value);
}

static void line_text(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s:%s\r\n", name, value);
}

/* 1.50K, 2.00M: with two decimals, bytes without. */
static void line_human(struct buf *out, const char *name, uint64_t bytes)
{
    static const char units[] = "KMGTP";
    double value = (double)bytes / 1024;
    int unit = 0;

    if (bytes < 1024) {
        buf_printf(out, "%s:%" PRIu64 "B\r\n", name, bytes);
        return;
    }
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    buf_printf(out, "%s:%.2f%c\r\n", name, value, units[unit]);
}

static void line_bytes(struct buf *out, const char *name, const char *human_name, uint64_t bytes)
{
    line_u64(out, name, bytes);
    line_human(out, human_name, bytes);
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

static void line_ratio(struct buf *out, const char *name, uint64_t part, uint64_t whole)
{
    buf_printf(out, "%s:%.2f\r\n", name, ratio(part, whole));
}

static void line_difference(struct buf *out, const char *name, uint64_t a, uint64_t b)
{
    buf_printf(out, "%s:%" PRId64 "\r\n", name, (int64_t)a - (int64_t)b);
}

/* Who was told that the node is ready; where that is found out, systemd is whoever has left a socket. */
static const char *supervisor(const struct node *node)
{
    int64_t supervised = config_int(node->config, supervised);

    if (supervised == SUPERVISED_AUTO) return getenv("NOTIFY_SOCKET") ? "systemd" : "no";
    return supervised == SUPERVISED_SYSTEMD ? "systemd" : supervised == SUPERVISED_UPSTART ? "upstart" : "no";
}

void info_server(struct call *call, struct buf *out)
{
    struct node *node = call->node;
    int64_t uptime_s = (clock_now_ms() - node->started_ms) / 1000, hz = config_int(node->config, hz);
    struct utsname system;
    char build_id[17];

    snprintf(build_id, sizeof(build_id), "%s", process_build_id());
    buf_append_text(out, "# Server\r\n");
    line_text(out, "redis_version", REDIS_COMPATIBLE_VERSION);
    line_text(out, "server_name", "redis-shard");
    line_text(out, "redis_shard_version", REDIS_SHARD_VERSION);
    line_text(out, "redis_git_sha1", "00000000");
    line_text(out, "redis_git_dirty", "0");
    line_text(out, "redis_build_id", build_id);
    line_text(out, "redis_mode", node->bus != NULL ? "cluster" : "standalone");
    if (uname(&system) == 0) buf_printf(out, "os:%s %s %s\r\n", system.sysname, system.release, system.machine);
    line_u64(out, "arch_bits", sizeof(void *) * 8);
    line_text(out, "monotonic_clock", "POSIX clock_gettime");
    line_text(out, "multiplexing_api", "epoll");
    line_text(out, "atomicvar_api", "c11-builtin");
    line_text(out, "gcc_version", __VERSION__);
    line_u64(out, "process_id", (uint64_t)getpid());
    line_text(out, "process_supervised", supervisor(node));
    line_text(out, "run_id", node->run_id);
    line_u64(out, "tcp_port", (uint64_t)config_int(node->config, port));
    line_u64(out, "server_time_usec", (uint64_t)clock_wall_us());
    line_u64(out, "uptime_in_seconds", (uint64_t)uptime_s);
    line_u64(out, "uptime_in_days", (uint64_t)uptime_s / 86400);
    line_u64(out, "hz", (uint64_t)hz);
    line_u64(out, "configured_hz", (uint64_t)hz);
    line_u64(out, "lru_clock", (uint64_t)(clock_now_ms() / 1000) & 0xffffff);
    line_text(out, "executable", node->executable != NULL ? node->executable : "");
    line_text(out, "config_file", node->config_file != NULL ? node->config_file : "");
    line_u64(out, "io_threads_active", node->worker_count > 1);
}

struct client_totals {
    uint64_t input_max, output_max, blocked;
};

static void add_client(void *context, struct client *client)
{
    struct client_totals *totals = context;
    uint64_t input = LOADED(client->query_bytes), output = LOADED(client->output_bytes);

    if (input > totals->input_max) totals->input_max = input;
    if (output > totals->output_max) totals->output_max = output;
    if (client_flags(client) & (CLIENT_PAUSED | CLIENT_PARKED)) totals->blocked++;
}

static struct client_totals client_totals(const struct node *node)
{
    struct client_totals totals = { 0 };

    for (int i = 0; i < node->worker_count; i++) worker_each_client(node->workers[i], add_client, &totals);
    return totals;
}

void info_clients(struct call *call, struct buf *out)
{
    struct node *node = call->node;
    struct client_totals totals = client_totals(node);
    uint64_t link_bytes;

    buf_append_text(out, "# Clients\r\n");
    line_u64(out, "connected_clients", (uint64_t)LOADED(node->connected_clients));
    line_u64(out, "cluster_connections", stats_links(node->bus, &link_bytes));
    line_u64(out, "maxclients", (uint64_t)config_int(node->config, maxclients));
    line_u64(out, "client_recent_max_input_buffer", totals.input_max);
    line_u64(out, "client_recent_max_output_buffer", totals.output_max);
    line_u64(out, "blocked_clients", totals.blocked);
    buf_append_text(out, "tracking_clients:0\r\nclients_in_timeout_table:0\r\n");
}

static uint64_t physical_memory(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void used_memory(struct node *node, struct buf *out, const struct alloc_stats *stats, size_t resident)
{
    uint64_t used = stats->allocated_bytes,
             data = keyspace_counts(node->keyspace).bytes + eviction_own_bytes(node->eviction);
    size_t peak, startup;

    stats_memory(node, stats->allocated_bytes, &peak, &startup);
    line_bytes(out, "used_memory", "used_memory_human", used);
    line_bytes(out, "used_memory_rss", "used_memory_rss_human", resident);
    line_bytes(out, "used_memory_peak", "used_memory_peak_human", peak);
    buf_printf(out, "used_memory_peak_perc:%.2f%%\r\n", 100 * ratio(used, peak));
    line_u64(out, "used_memory_overhead", used > data ? used - data : 0);
    line_u64(out, "used_memory_startup", startup);
    line_u64(out, "used_memory_dataset", data);
    buf_printf(out, "used_memory_dataset_perc:%.2f%%\r\n",
               used > startup && data < used - startup ? 100 * ratio(data, used - startup) : 100.0);
    line_u64(out, "used_memory_data", data);
}

void info_memory(struct call *call, struct buf *out)
{
    struct node *node = call->node;
    struct alloc_stats stats = alloc_stats();
    size_t resident = stats_resident_bytes();
    struct lazyfree_counts lazyfree = lazyfree_counts(node->lazyfree);
    uint64_t maxmemory = (uint64_t)config_int(node->config, maxmemory), link_bytes;
    static const char *const policy_names[] = {
        [POLICY_VOLATILE_LRU] = "volatile-lru",       [POLICY_VOLATILE_LFU] = "volatile-lfu",
        [POLICY_VOLATILE_RANDOM] = "volatile-random", [POLICY_VOLATILE_TTL] = "volatile-ttl",
        [POLICY_ALLKEYS_LRU] = "allkeys-lru",         [POLICY_ALLKEYS_LFU] = "allkeys-lfu",
        [POLICY_ALLKEYS_RANDOM] = "allkeys-random",   [POLICY_NOEVICTION] = "noeviction",
        [POLICY_ALLKEYS_S3S] = "allkeys-s3s",         [POLICY_VOLATILE_S3S] = "volatile-s3s",
    };

    buf_append_text(out, "# Memory\r\n");
    used_memory(node, out, &stats, resident);
    line_u64(out, "allocator_allocated", stats.allocated_bytes);
    line_u64(out, "allocator_active", stats.active_bytes);
    line_u64(out, "allocator_resident", stats.resident_bytes);
    line_bytes(out, "total_system_memory", "total_system_memory_human", physical_memory());
    buf_append_text(
        out,
        "used_memory_lua:0\r\nused_memory_vm_eval:0\r\nused_memory_lua_human:0B\r\nused_memory_scripts_eval:0\r\n"
        "number_of_cached_scripts:0\r\nnumber_of_functions:0\r\nnumber_of_libraries:0\r\nused_memory_vm_functions:0\r\n"
        "used_memory_vm_total:0\r\nused_memory_vm_total_human:0B\r\nused_memory_functions:0\r\nused_memory_scripts:"
        "0\r\n"
        "used_memory_scripts_human:0B\r\n");
    line_bytes(out, "maxmemory", "maxmemory_human", maxmemory);
    line_text(out, "maxmemory_policy", policy_names[config_int(node->config, maxmemory_policy)]);
    line_ratio(out, "allocator_frag_ratio", stats.active_bytes, stats.allocated_bytes);
    line_difference(out, "allocator_frag_bytes", stats.active_bytes, stats.allocated_bytes);
    line_ratio(out, "allocator_rss_ratio", stats.resident_bytes, stats.active_bytes);
    line_difference(out, "allocator_rss_bytes", stats.resident_bytes, stats.active_bytes);
    line_ratio(out, "rss_overhead_ratio", resident, stats.resident_bytes);
    line_difference(out, "rss_overhead_bytes", resident, stats.resident_bytes);
    line_ratio(out, "mem_fragmentation_ratio", resident, stats.allocated_bytes);
    line_difference(out, "mem_fragmentation_bytes", resident, stats.allocated_bytes);
    buf_append_text(out, "mem_not_counted_for_evict:0\r\nmem_replication_backlog:0\r\nmem_total_replication_buffers:"
                         "0\r\nmem_clients_slaves:0\r\n");
    line_u64(out, "mem_clients_normal", (uint64_t)LOADED(node->client_bytes));
    stats_links(node->bus, &link_bytes);
    line_u64(out, "mem_cluster_links", link_bytes);
    buf_append_text(out, "mem_aof_buffer:0\r\n");
    line_text(out, "mem_allocator", alloc_name());
    line_u64(out, "active_defrag_running", LOADED(node->defrag.percent));
    line_u64(out, "lazyfree_pending_objects", lazyfree.pending);
    line_u64(out, "lazyfreed_objects", lazyfree.freed);
}

void info_persistence(struct call *call, struct buf *out)
{
    buf_append_text(out, "# "
                         "Persistence\r\nloading:0\r\nasync_loading:0\r\ncurrent_cow_peak:0\r\ncurrent_cow_size:"
                         "0\r\ncurrent_cow_size_age:0\r\n"
                         "current_fork_perc:0.00\r\ncurrent_save_keys_processed:0\r\ncurrent_save_keys_total:0\r\n"
                         "rdb_changes_since_last_save:0\r\nrdb_bgsave_in_progress:0\r\n");
    buf_printf(out, "rdb_last_save_time:%lld\r\n", (long long)(call->node->started_ms / 1000));
    buf_append_text(
        out,
        "rdb_last_bgsave_status:ok\r\nrdb_last_bgsave_time_sec:-1\r\nrdb_current_bgsave_time_sec:-1\r\nrdb_saves:0\r\n"
        "rdb_last_cow_size:0\r\nrdb_last_load_keys_expired:0\r\nrdb_last_load_keys_loaded:0\r\naof_enabled:0\r\n"
        "aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\naof_last_rewrite_time_sec:-1\r\n"
        "aof_current_rewrite_time_sec:-1\r\naof_last_bgrewrite_status:ok\r\naof_rewrites:0\r\n"
        "aof_rewrites_consecutive_failures:0\r\naof_last_write_status:ok\r\naof_last_cow_size:0\r\n"
        "module_fork_in_progress:0\r\nmodule_fork_last_cow_size:0\r\n");
}

void info_replication(struct call *call, struct buf *out)
{
    buf_append_text(out, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n");
    line_text(out, "master_replid", call->node->run_id);
    buf_append_text(out, "master_replid2:0000000000000000000000000000000000000000\r\nmaster_repl_offset:0\r\nsecond_"
                         "repl_offset:-1\r\n"
                         "repl_backlog_active:0\r\n");
    line_u64(out, "repl_backlog_size", (uint64_t)config_int(call->node->config, repl_backlog_size));
    buf_append_text(out, "repl_backlog_first_byte_offset:0\r\nrepl_backlog_histlen:0\r\n");
}

static void line_time(struct buf *out, const char *name, struct timeval time)
{
    buf_printf(out, "%s:%ld.%06ld\r\n", name, (long)time.tv_sec, (long)time.tv_usec);
}

static void put_thread_cpu(struct buf *out, const char *thread, int64_t system_us, int64_t user_us)
{
    buf_printf(out, "used_cpu_sys_%s:%lld.%06lld\r\nused_cpu_user_%s:%lld.%06lld\r\n", thread,
               (long long)(system_us / 1000000), (long long)(system_us % 1000000), thread,
               (long long)(user_us / 1000000), (long long)(user_us % 1000000));
}

void info_cpu(struct call *call, struct buf *out)
{
    struct node *node = call->node;
    struct rusage self, children;
    char thread[24];

    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    buf_append_text(out, "# CPU\r\n");
    line_time(out, "used_cpu_sys", self.ru_stime);
    line_time(out, "used_cpu_user", self.ru_utime);
    line_time(out, "used_cpu_sys_children", children.ru_stime);
    line_time(out, "used_cpu_user_children", children.ru_utime);
    put_thread_cpu(out, "main_thread", atomic_load_explicit(&node->main_cpu_system_us, memory_order_relaxed),
                   atomic_load_explicit(&node->main_cpu_user_us, memory_order_relaxed));
    for (int i = 0; i < node->worker_count; i++) {
        int64_t user_us, system_us;

        worker_cpu_us(node->workers[i], &user_us, &system_us);
        snprintf(thread, sizeof(thread), "worker_%d", i);
        put_thread_cpu(out, thread, system_us, user_us);
    }
}

void info_modules(struct call *call, struct buf *out)
{
    (void)call;
    buf_append_text(out, "# Modules\r\n");
}

void info_hotkeys(struct call *call, struct buf *out)
{
    struct hotkeys_counts counts = hotkeys_counts(call->node->hotkeys);
    struct hot_reads_counts reads = hot_reads_counts(call->node->hot_reads);

    buf_append_text(out, "# Hotkeys\r\n");
    line_u64(out, "hotkeys_now", counts.now);
    line_u64(out, "hotkeys_found", counts.found);
    line_u64(out, "hotkeys_cooled", counts.cooled);
    line_u64(out, "hotkeys_pushed_out", counts.pushed_out);
    line_u64(out, "hotkeys_missed", counts.missed);
    line_u64(out, "hot_reads_lock_free", stats_totals(call->node).hot_reads);
    line_u64(out, "hot_values_published", reads.published);
    line_u64(out, "hot_values_withdrawn", reads.withdrawn);
}

static void put_open_slots(struct node *node, struct buf *out)
{
    struct open_slots_counts counts = open_slots_counts(node->open_slots);
    struct effects *effects;
    size_t open = cluster_open_count(bus_lock(node->bus, &effects));

    bus_unlock(node->bus);
    line_u64(out, "cluster_slots_open", open);
    line_u64(out, "cluster_open_slots_finished", counts.finished);
    line_u64(out, "cluster_open_slots_closed", counts.closed);
    line_u64(out, "cluster_open_slots_keys_sent", counts.keys_sent);
    line_u64(out, "cluster_open_slots_keys_returned", counts.keys_returned);
    line_u64(out, "cluster_open_slots_keys_dropped", counts.keys_dropped);
    line_u64(out, "cluster_open_slots_failures", counts.failures);
}

void info_cluster(struct call *call, struct buf *out)
{
    buf_append_text(out, "# Cluster\r\n");
    line_u64(out, "cluster_enabled", call->node->bus != NULL);
    if (call->node->bus != NULL) line_u64(out, "cluster_state_save_failures", bus_save_failures(call->node->bus));
    if (call->node->open_slots != NULL) put_open_slots(call->node, out);
}

/* No line for a database without keys: some tools divide by their number. */
void info_keyspace(struct call *call, struct buf *out)
{
    struct slot_counts counts = keyspace_counts(call->node->keyspace);

    buf_append_text(out, "# Keyspace\r\n");
    if (counts.keys > 0)
        buf_printf(out, "db0:keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=0\r\n", counts.keys, counts.expiring);
}
