/* server/config.h
 *
 * What the node was told: every directive of redis.conf, as a value that any thread may read while CONFIG SET changes it.
 *
 *     numbers   booleans, integers, sizes and enums: one atomic field each, named as the directive with underscores
 *     texts     everything else: under a lock inside, copied out
 *
 * One descriptor per directive (server/config_table.c, base/option.h) says its type, default, range and help. The file, the command line,
 * CONFIG GET, SET and REWRITE, --help, redis-shard.conf and docs/configuration.md all come from it.
 *
 * Names, meanings and values are redis.conf's. A directive for what this node does not have is taken where it asks for what the node does
 * anyway (`appendonly no`), and refused with the reason where it does not; a mere tuning of such a thing is taken and does nothing. */
#pragma once

#include "base/buf.h"
#include "base/lock.h"
#include "base/option.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REDIS_SHARD_VERSION "0.1.0"

enum config_yes { CONFIG_NO = 0, CONFIG_YES = 1, CONFIG_LOCAL = 2 }; /* enable-debug-command and the like */
enum config_supervised { SUPERVISED_NO, SUPERVISED_AUTO, SUPERVISED_SYSTEMD, SUPERVISED_UPSTART };
enum config_policy {
    POLICY_VOLATILE_LRU,
    POLICY_VOLATILE_LFU,
    POLICY_VOLATILE_RANDOM,
    POLICY_VOLATILE_TTL,
    POLICY_ALLKEYS_LRU,
    POLICY_ALLKEYS_LFU,
    POLICY_ALLKEYS_RANDOM,
    POLICY_NOEVICTION,
    POLICY_ALLKEYS_S3S,
    POLICY_VOLATILE_S3S,
};

/* Directives kept as text: config_text(config, CONFIG_REQUIREPASS, &out). */
enum config_text {
    CONFIG_BIND,
    CONFIG_BIND_SOURCE_ADDR,
    CONFIG_UNIXSOCKET,
    CONFIG_LOGFILE,
    CONFIG_DIR,
    CONFIG_PIDFILE,
    CONFIG_REQUIREPASS,
    CONFIG_MASTERAUTH,
    CONFIG_MASTERUSER,
    CONFIG_ACLFILE,
    CONFIG_SYSLOG_IDENT,
    CONFIG_SYSLOG_FACILITY,
    CONFIG_SAVE,
    CONFIG_REPLICAOF,
    CONFIG_DBFILENAME,
    CONFIG_APPENDFILENAME,
    CONFIG_APPENDDIRNAME,
    CONFIG_CLUSTER_CONFIG_FILE,
    CONFIG_CLUSTER_ANNOUNCE_IP,
    CONFIG_CLUSTER_ANNOUNCE_HOSTNAME,
    CONFIG_REPLICA_ANNOUNCE_IP,
    CONFIG_CLIENT_OUTPUT_BUFFER_LIMIT,
    CONFIG_NOTIFY_KEYSPACE_EVENTS,
    CONFIG_LATENCY_TRACKING_INFO_PERCENTILES,
    CONFIG_OOM_SCORE_ADJ_VALUES,
    CONFIG_IGNORE_WARNINGS,
    CONFIG_POLICY,
    CONFIG_SALT_SEPARATOR,
    CONFIG_PROC_TITLE_TEMPLATE,
    CONFIG_SERVER_CPULIST,
    CONFIG_BIO_CPULIST,
    CONFIG_AOF_REWRITE_CPULIST,
    CONFIG_BGSAVE_CPULIST,
    CONFIG_TLS_CERT_FILE,
    CONFIG_TLS_KEY_FILE,
    CONFIG_TLS_KEY_FILE_PASS,
    CONFIG_TLS_CLIENT_CERT_FILE,
    CONFIG_TLS_CLIENT_KEY_FILE,
    CONFIG_TLS_CLIENT_KEY_FILE_PASS,
    CONFIG_TLS_DH_PARAMS_FILE,
    CONFIG_TLS_CA_CERT_FILE,
    CONFIG_TLS_CA_CERT_DIR,
    CONFIG_TLS_PROTOCOLS,
    CONFIG_TLS_CIPHERS,
    CONFIG_TLS_CIPHERSUITES,
    CONFIG_USER,
    CONFIG_LOADMODULE,
    CONFIG_RENAME_COMMAND,
    CONFIG_AVAILABILITY_ZONE,
    CONFIG_SHUTDOWN_ON_SIGTERM,
    CONFIG_SHUTDOWN_ON_SIGINT,
    CONFIG_TEXT_COUNT
};

/* The classes of client-output-buffer-limit. */
enum config_client_class { CLIENT_CLASS_NORMAL, CLIENT_CLASS_REPLICA, CLIENT_CLASS_PUBSUB, CLIENT_CLASS_COUNT };

#define BIND_ADDRESSES_MAX 16
#define LOOK_AHEAD_MAX 64 /* commands: more than the clients of one turn of the loop mostly are */

struct config {
    /* Network and clients */
    _Atomic int64_t port, tcp_backlog, unixsocketperm, timeout, tcp_keepalive, maxclients, maxmemory_clients,
        protected_mode, socket_mark_id, client_query_buffer_limit, proto_max_bulk_len, io_threads, io_threads_do_reads,
        look_ahead;
    struct {
        _Atomic int64_t hard_bytes, soft_bytes, soft_seconds;
    } client_output_buffer_limit[CLIENT_CLASS_COUNT];

    /* The process */
    _Atomic int64_t daemonize, supervised, loglevel, syslog_enabled, crash_log_enabled, crash_memcheck_enabled,
        set_proc_title, always_show_logo, disable_thp, oom_score_adj, shutdown_timeout, enable_protected_configs,
        enable_debug_command, enable_module_command, hz, dynamic_hz, databases;

    /* Memory, expiry, eviction */
    _Atomic int64_t maxmemory, maxmemory_policy, maxmemory_samples, maxmemory_size_exponent,
        maxmemory_eviction_tenacity, active_expire_effort, floor_ttl, lfu_log_factor, lfu_decay_time,
        lazyfree_lazy_eviction, lazyfree_lazy_expire, lazyfree_lazy_server_del, lazyfree_lazy_user_del,
        lazyfree_lazy_user_flush, activerehashing, activedefrag, active_defrag_threshold_lower,
        active_defrag_threshold_upper, active_defrag_ignore_bytes, active_defrag_cycle_min, active_defrag_cycle_max,
        active_defrag_max_scan_fields, jemalloc_bg_thread, tracking_table_max_keys, default_ttl_ms, max_ttl_ms;

    /* Cluster */
    _Atomic int64_t cluster_enabled, cluster_port, cluster_node_timeout, cluster_slot_move_timeout,
        cluster_announce_port, cluster_announce_bus_port, cluster_announce_tls_port, cluster_preferred_endpoint_type,
        cluster_require_full_coverage, cluster_allow_reads_when_down, cluster_allow_pubsubshard_when_down,
        cluster_replica_validity_factor, cluster_replica_no_failover, cluster_migration_barrier,
        cluster_allow_replica_migration, cluster_link_sendbuf_limit, cluster_slot_stats_enabled;

    /* Watching */
    _Atomic int64_t salt_grace, salt_lease_ms, salt_sync, salt_spread, hotkey_threshold, hotkey_window_ms,
        hotkey_lock_free_reads, slowlog_log_slower_than, slowlog_max_len, latency_monitor_threshold, latency_tracking,
        acllog_max_len, acl_pubsub_default, busy_reply_threshold;

    /* For what this node does not have: kept so that CONFIG GET shows what was asked for */
    _Atomic int64_t appendonly, appendfsync, no_appendfsync_on_rewrite, auto_aof_rewrite_percentage,
        auto_aof_rewrite_min_size, aof_load_truncated, aof_use_rdb_preamble, aof_timestamp_enabled,
        aof_rewrite_incremental_fsync, aof_disable_auto_gc, rdbcompression, rdbchecksum, rdb_del_sync_files,
        rdb_save_incremental_fsync, stop_writes_on_bgsave_error, sanitize_dump_payload, replica_serve_stale_data,
        replica_read_only, replica_priority, replica_announced, replica_announce_port, replica_lazy_flush,
        replica_ignore_maxmemory, replica_ignore_disk_write_errors, repl_diskless_sync, repl_diskless_sync_delay,
        repl_diskless_sync_max_replicas, repl_diskless_load, repl_ping_replica_period, repl_timeout,
        repl_disable_tcp_nodelay, repl_backlog_size, repl_backlog_ttl, min_replicas_to_write, min_replicas_max_lag,
        propagation_error_behavior, hash_max_listpack_entries, hash_max_listpack_value, list_max_listpack_size,
        list_compress_depth, set_max_intset_entries, zset_max_listpack_entries, zset_max_listpack_value,
        hll_sparse_max_bytes, stream_node_max_bytes, stream_node_max_entries, tls_port, tls_auth_clients,
        tls_replication, tls_cluster, tls_prefer_server_ciphers, tls_session_caching, tls_session_cache_size,
        tls_session_cache_timeout;

    _Atomic bool requires_password; /* requirepass is not empty */
    _Atomic uint32_t event_classes; /* notify-keyspace-events, as enum event_class has them */
    _Atomic bool io_threads_chosen; /* io-threads was 0: the number of CPUs stands there now */

    struct lock lock; /* guards the texts and the hooks */
    struct buf texts[CONFIG_TEXT_COUNT];
    struct config_hook *hooks;
    /* One CONFIG SET or REWRITE at a time. Of another kind than the rest, for whoever holds it may have to wait for the disk: it is taken
     * by those only who hold nothing else. */
    pthread_mutex_t change_lock;
};

/* A number, as every thread reads it: config_int(node->config, maxclients). */
#define config_int(config, field) atomic_load_explicit(&(config)->field, memory_order_relaxed)

/* All directives at their defaults. */
struct config *config_new(void);
void config_free(struct config **config);

/* Appends a text. */
void config_text(struct config *config, enum config_text text, struct buf *out);
/* Puts one in place, unchecked, of what was not set by a directive alone. */
void config_put_text(struct config *config, enum config_text text, struct bytes bytes);
/* Copies a text with a NUL behind it; false where it does not fit (out is then ""). */
bool config_text_copy(struct config *config, enum config_text text, char *out, size_t size);

/* In a time that says nothing about the password. True for any word where there is none. */
bool config_password_matches(struct config *config, struct bytes given);

/* --- Called when directives have changed at run time, on the thread of the caller of config_set, once per change; no lock is held. --- */
struct config_hook {
    struct config_hook *next; /* config's own */
    const char *const *names; /* ends with NULL; NULL: any directive */
    /* False, with a reason in error, takes the whole change back (and calls the hook again with the old values). On entry error holds the
     * name of the directive that a refusal would be put down to. */
    bool (*changed)(void *context, struct config *config, char error[256]);
    void *context;
};
void config_on_change(struct config *config, struct config_hook *hook);

/* --- Reading at the start --- */

/* Where a directive came from and what is wrong with it, in words for the user. */
struct config_problem {
    char text[2048];
};

/* A file's content; name is for messages. `include` reads further files. */
bool config_read_text(struct config *config, struct bytes content, const char *name, struct config_problem *problem);
bool config_read_file(struct config *config, const char *path, struct config_problem *problem);
/* `--name value ...` as redis-server takes it. */
bool config_read_arguments(struct config *config, int argc, char **argv, struct config_problem *problem);
/* What only the whole can tell (port + 10000 fits, ...); also fills in defaults that depend on others. */
bool config_finish(struct config *config, struct config_problem *problem);

/* --- At run time --- */

struct config_pair {
    struct bytes name, value;
};
/* All or nothing. False with the reply's error text ("ERR CONFIG SET failed ..."). protected_ok: the caller may set protected directives. */
bool config_set(struct config *config, const struct config_pair *pairs, size_t count, bool protected_ok,
                char error[512]);
/* Visits (name, value) of every directive that one of the globs matches, each once. */
void config_each(struct config *config, const struct bytes *globs, size_t count,
                 void (*visit)(void *context, struct bytes name, struct bytes value), void *context);
/* Writes the current values into the file: changed lines where they stood, new ones at the end; comments and order stay. */
bool config_rewrite(struct config *config, const char *path, char error[256]);

/* --- The table and what is printed from it --- */
const struct option *config_options(size_t *count);
void config_print_help(struct buf *out);
void config_print_file(struct buf *out);
void config_print_docs(struct buf *out);
