/* server/config_table.c
 *
 * Every directive: its name, type, default, range and meaning. The order is that of redis-shard.conf. */
#include "server/config_internal.h"

#include <limits.h>

#define NETWORK "Network"
#define CLIENTS "Clients"
#define PROCESS "The process"
#define LOGS "Log"
#define ACCESS "Access"
#define MEMORY "Memory, expiry and eviction"
#define CLUSTER "Cluster"
#define WATCHING "Watching"
#define TLS "TLS (not in this node)"
#define ABSENT "Known from redis.conf, but not in this node"

#define FIELD(field_) .place = offsetof(struct config, field_)
#define BOOL(name_, field_, default_) .name = name_, .type = OPTION_BOOL, FIELD(field_), .fallback = default_, .max = 1
#define INTEGER(name_, field_, default_, min_, max_)                                                                   \
    .name = name_, .type = OPTION_INTEGER, FIELD(field_), .fallback = default_, .min = min_, .max = max_
#define SIZE(name_, field_, default_, min_, max_)                                                                      \
    .name = name_, .type = OPTION_SIZE, FIELD(field_), .fallback = default_, .min = min_, .max = max_
#define ENUM(name_, field_, default_, names_)                                                                          \
    .name = name_, .type = OPTION_ENUM, FIELD(field_), .fallback = default_, .names = names_
#define TEXT(name_, text_, default_) .name = name_, .type = OPTION_TEXT, .place = text_, .fallback_text = default_
#define LIST(name_, text_, default_) .name = name_, .type = OPTION_LIST, .place = text_, .fallback_text = default_
#define SPECIAL(name_, text_, default_) .name = name_, .type = OPTION_SPECIAL, .place = text_, .fallback_text = default_

/* What tunes something that is not here: any sound value is kept and shown, and nothing changes. */
#define TUNES(what) .section = ABSENT, .flags = OPTION_INERT, .help = "Tunes " what ". Taken and shown, without effect."
#define LACKS(what) .section = ABSENT, .lacks = what, .help = "Only its default is taken: this node has no " what "."

static const struct option_name yes_no_local[] = {
    { "no", CONFIG_NO }, { "yes", CONFIG_YES }, { "local", CONFIG_LOCAL }, { NULL, 0 }
};
static const struct option_name supervised_names[] = { { "upstart", SUPERVISED_UPSTART },
                                                       { "systemd", SUPERVISED_SYSTEMD },
                                                       { "auto", SUPERVISED_AUTO },
                                                       { "no", SUPERVISED_NO },
                                                       { NULL, 0 } };
static const struct option_name loglevels[] = {
    { "debug", 0 }, { "verbose", 1 }, { "notice", 2 }, { "warning", 3 }, { NULL, 0 }
};
static const struct option_name policies[] = { { "volatile-lru", POLICY_VOLATILE_LRU },
                                               { "volatile-lfu", POLICY_VOLATILE_LFU },
                                               { "volatile-random", POLICY_VOLATILE_RANDOM },
                                               { "volatile-ttl", POLICY_VOLATILE_TTL },
                                               { "allkeys-lru", POLICY_ALLKEYS_LRU },
                                               { "allkeys-lfu", POLICY_ALLKEYS_LFU },
                                               { "allkeys-random", POLICY_ALLKEYS_RANDOM },
                                               { "noeviction", POLICY_NOEVICTION },
                                               { "allkeys-s3s", POLICY_ALLKEYS_S3S },
                                               { "volatile-s3s", POLICY_VOLATILE_S3S },
                                               { NULL, 0 } };
static const struct option_name size_exponents[] = { { "0", 0 }, { "0.25", 1 }, { "0.5", 2 }, { "1", 4 }, { NULL, 0 } };
static const struct option_name endpoints[] = {
    { "ip", 0 }, { "hostname", 1 }, { "unknown-endpoint", 2 }, { NULL, 0 }
};
static const struct option_name oom_scores[] = {
    { "no", 0 }, { "yes", 1 }, { "relative", 1 }, { "absolute", 2 }, { NULL, 0 }
};
static const struct option_name pubsub_defaults[] = { { "allchannels", 0 }, { "resetchannels", 1 }, { NULL, 0 } };
static const struct option_name fsyncs[] = { { "everysec", 0 }, { "always", 1 }, { "no", 2 }, { NULL, 0 } };
static const struct option_name diskless_loads[] = {
    { "disabled", 0 }, { "on-empty-db", 1 }, { "swapdb", 2 }, { NULL, 0 }
};
static const struct option_name propagation[] = {
    { "ignore", 0 }, { "panic", 1 }, { "panic-on-replicas", 2 }, { NULL, 0 }
};
static const struct option_name tls_auth[] = { { "no", 0 }, { "yes", 1 }, { "optional", 2 }, { NULL, 0 } };
static const struct option_name sanitize[] = { { "no", 0 }, { "yes", 1 }, { "clients", 2 }, { NULL, 0 } };

static const char *const no_one[] = { "no one", NULL };
static const char *const open_user[] = { "default on nopass ~* &* +@all",
                                         "default on nopass sanitize-payload ~* &* +@all", NULL };
static const char *const default_mode[] = { "default",      "nosave",           "now",       "force", "nosave now",
                                            "nosave force", "nosave now force", "now force", NULL };

/* clang-format off */
static const struct option table[] = {
    /* --- Network --- */
    { LIST("bind", CONFIG_BIND, "* -::*"), .section = NETWORK, .check = config_check_bind,
      .help = "Addresses to listen on, at most 16, for clients and, from the start on, for the cluster bus. An address with a leading '-' may be missing on this machine. "
              "'*' is every IPv4 address, '::*' every IPv6 address; \"\" listens on none." },
    { INTEGER("port", port, 6379, 0, 65535), .section = NETWORK,
      .help = "TCP port for clients; 0 listens on none. Where it changes at run time, the cluster bus stays at its port until the next start." },
    { INTEGER("tcp-backlog", tcp_backlog, 511, 0, INT_MAX), .section = NETWORK, .flags = OPTION_FIXED,
      .help = "Connections that may wait to be accepted. The kernel cuts it to net.core.somaxconn." },
    { TEXT("unixsocket", CONFIG_UNIXSOCKET, ""), .section = NETWORK, .flags = OPTION_FIXED, .help = "Path of a unix socket to listen on; empty for none." },
    { INTEGER("unixsocketperm", unixsocketperm, 0, 0, 0777), .section = NETWORK, .flags = OPTION_FIXED | OPTION_OCTAL,
      .help = "Mode of the unix socket, in octal; 0 leaves what the umask gives." },
    { BOOL("protected-mode", protected_mode, 1), .section = NETWORK,
      .help = "Without a password, answer clients from this machine only." },
    { INTEGER("tcp-keepalive", tcp_keepalive, 300, 0, INT_MAX), .section = NETWORK,
      .help = "Seconds of silence after which the kernel asks whether a client is still there; 0 never asks." },
    { LIST("bind-source-addr", CONFIG_BIND_SOURCE_ADDR, ""), .section = NETWORK, .lacks = "source address for outgoing connections",
      .help = "Only its default is taken: outgoing connections leave from the address the system chooses." },
    { INTEGER("socket-mark-id", socket_mark_id, 0, 0, 0), .section = NETWORK, .flags = OPTION_FIXED, .lacks = "socket marks",
      .help = "Only its default is taken: sockets are not marked." },

    /* --- Clients --- */
    { INTEGER("io-threads", io_threads, 0, 0, 128), .section = CLIENTS, .flags = OPTION_FIXED,
      .help = "Worker threads: each serves its own share of the clients, reads, runs and answers their commands. 0 is one for each CPU." },
    { BOOL("io-threads-do-reads", io_threads_do_reads, 0), .section = CLIENTS, .flags = OPTION_FIXED | OPTION_INERT,
      .help = "Taken and shown, without effect: workers always read." },
    { INTEGER("look-ahead", look_ahead, LOOK_AHEAD_MAX, 0, LOOK_AHEAD_MAX), .section = CLIENTS,
      .help = "How many commands of a pipeline are looked ahead over: what they touch is fetched from memory while the first of them run. 0 "
              "does without, to measure what it is worth." },
    { INTEGER("maxclients", maxclients, 10000, 1, UINT_MAX), .section = CLIENTS,
      .help = "Clients that may be connected at once. Lowered at the start where the limit of open files does not allow it." },
    { INTEGER("timeout", timeout, 0, 0, INT_MAX), .section = CLIENTS, .help = "Seconds after which an idle client is disconnected; 0 never does." },
    { SIZE("client-query-buffer-limit", client_query_buffer_limit, 1 << 30, 1 << 20, INT64_MAX), .section = CLIENTS,
      .help = "A client whose incomplete request, with what it has queued in MULTI and what it watches, grows past this is disconnected." },
    { SIZE("proto-max-bulk-len", proto_max_bulk_len, 512 << 20, 1 << 20, INT64_MAX), .section = CLIENTS, .help = "Longest single argument of a command." },
    { SPECIAL("client-output-buffer-limit", CONFIG_CLIENT_OUTPUT_BUFFER_LIMIT,
              "normal 1073741824 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"), .section = CLIENTS, .check = config_check_output_limits,
      .help = "For each class of clients (normal, replica, pubsub): the size of unsent replies at which a client is disconnected at once, and the "
              "size and seconds after which it is. 0 is no limit. For normal clients 1 GiB unless set, twice the longest value. Where the first limit of "
              "normal clients is 0 or at least 256mb, commands of a pipeline wait while more than 8 MiB of replies before them are unsent, rather than "
              "adding to them; one that MONITORs counts as a replica." },
    { SIZE("maxmemory-clients", maxmemory_clients, 0, -100, INT64_MAX), .section = CLIENTS, .flags = OPTION_PERCENT,
      .help = "What all clients together may take of memory, in bytes or in percent of maxmemory; beyond it the largest are disconnected, except those that said "
              "CLIENT NO-EVICT ON. 0 is no limit." },

    /* --- The process --- */
    { BOOL("daemonize", daemonize, 0), .section = PROCESS, .flags = OPTION_FIXED, .help = "Run in the background." },
    { ENUM("supervised", supervised, SUPERVISED_NO, supervised_names), .section = PROCESS, .flags = OPTION_FIXED,
      .help = "Tell the supervisor when the node is ready: systemd over $NOTIFY_SOCKET; upstart by stopping; auto looks which of them is there." },
    { TEXT("pidfile", CONFIG_PIDFILE, ""), .section = PROCESS, .flags = OPTION_FIXED,
      .help = "Where to write the process id. /var/run/redis-shard.pid with daemonize when empty. A new file has mode 600: whoever else must "
              "read it makes it beforehand." },
    { TEXT("dir", CONFIG_DIR, "./"), .section = PROCESS, .flags = OPTION_PROTECTED, .check = config_check_directory,
      .help = "Working directory, where the cluster's state file is." },
    { INTEGER("databases", databases, 16, 1, INT_MAX), .section = PROCESS, .flags = OPTION_FIXED | OPTION_INERT,
      .help = "Taken and shown, without effect: there is database 0 only." },
    { INTEGER("hz", hz, 10, 0, INT_MAX), .section = PROCESS, .flags = OPTION_INERT, .help = "Taken and shown, without effect: background work paces itself." },
    { BOOL("dynamic-hz", dynamic_hz, 1), .section = PROCESS, .flags = OPTION_INERT, .help = "Taken and shown, without effect." },
    { INTEGER("shutdown-timeout", shutdown_timeout, 10, 0, INT_MAX), .section = PROCESS, .flags = OPTION_INERT,
      .help = "Seconds to wait for replicas at the end. Without effect: this node has no replicas to wait for." },
    { LIST("shutdown-on-sigint", CONFIG_SHUTDOWN_ON_SIGINT, "default"), .section = PROCESS, .check = config_check_shutdown, .lacks = "snapshot to save at the end",
      .allowed = default_mode, .help = "How to end on SIGINT: default, nosave, now or force, which are all one here; not save." },
    { LIST("shutdown-on-sigterm", CONFIG_SHUTDOWN_ON_SIGTERM, "default"), .section = PROCESS, .check = config_check_shutdown, .lacks = "snapshot to save at the end",
      .allowed = default_mode, .help = "How to end on SIGTERM: default, nosave, now or force, which are all one here; not save." },
    { BOOL("set-proc-title", set_proc_title, 1), .section = PROCESS, .flags = OPTION_FIXED,
      .help = "Show the first address, the port and the mode in ps, as \"redis-shard 127.0.0.1:6379 [cluster]\", instead of the command line." },
    { TEXT("proc-title-template", CONFIG_PROC_TITLE_TEMPLATE, "{title} {listen-addr} {server-mode}"), .section = PROCESS, .flags = OPTION_INERT, .help = "Taken and shown, without effect: the title has one form." },
    { BOOL("disable-thp", disable_thp, 0), .section = PROCESS, .flags = OPTION_FIXED,
      .help = "Keep transparent huge pages away from this process. Off by default: this node never forks, so they cost it nothing, and a large "
              "table that is read at random needs them." },
    { ENUM("oom-score-adj", oom_score_adj, 0, oom_scores), .section = PROCESS, .lacks = "adjustment of its OOM score", .help = "Only its default is taken: the process keeps the OOM score it was given." },
    { SPECIAL("oom-score-adj-values", CONFIG_OOM_SCORE_ADJ_VALUES, "0 200 800"), .section = PROCESS, .flags = OPTION_INERT, .check = config_check_oom_values, .help = "Taken and shown, without effect." },
    { TEXT("server_cpulist", CONFIG_SERVER_CPULIST, ""), .alias = "server-cpulist", .section = PROCESS, .flags = OPTION_FIXED, .lacks = "pinning of threads to CPUs", .help = "Only its default is taken: use taskset or the supervisor's CPU affinity." },
    { TEXT("bio_cpulist", CONFIG_BIO_CPULIST, ""), .alias = "bio-cpulist", .section = PROCESS, .flags = OPTION_FIXED, .lacks = "pinning of threads to CPUs", .help = "Only its default is taken." },
    { BOOL("crash-log-enabled", crash_log_enabled, 1), .section = PROCESS, .help = "Write a report with a stack trace into the log when the process crashes." },
    { BOOL("crash-memcheck-enabled", crash_memcheck_enabled, 1), .section = PROCESS, .flags = OPTION_INERT, .help = "Taken and shown, without effect: a crash report tests no memory." },
    { LIST("ignore-warnings", CONFIG_IGNORE_WARNINGS, ""), .section = PROCESS, .flags = OPTION_INERT, .help = "Taken and shown, without effect." },
    { BOOL("always-show-logo", always_show_logo, 0), .section = PROCESS, .flags = OPTION_FIXED | OPTION_INERT, .help = "Taken and shown, without effect: there is no logo." },

    /* --- Log --- */
    { ENUM("loglevel", loglevel, 2, loglevels), .section = LOGS, .help = "The least that is logged: debug (each command), verbose (each connection), notice (changes of state), warning." },
    { TEXT("logfile", CONFIG_LOGFILE, ""), .section = LOGS, .flags = OPTION_FIXED, .help = "Log file; empty for standard output. SIGHUP opens it again, after somebody has moved it away. A file that is not there is made "
              "with mode 600; one that is keeps its mode." },
    { BOOL("syslog-enabled", syslog_enabled, 0), .section = LOGS, .flags = OPTION_FIXED, .lacks = "log to syslog", .help = "Only its default is taken: log to standard output and let the supervisor collect it." },
    { TEXT("syslog-ident", CONFIG_SYSLOG_IDENT, "redis"), .section = LOGS, .flags = OPTION_FIXED | OPTION_INERT, .help = "Taken and shown, without effect." },
    { TEXT("syslog-facility", CONFIG_SYSLOG_FACILITY, "local0"), .section = LOGS, .flags = OPTION_FIXED | OPTION_INERT, .help = "Taken and shown, without effect." },

    /* --- Access --- */
    { TEXT("masterauth", CONFIG_MASTERAUTH, ""), .section = ACCESS, .flags = OPTION_SECRET, .help = "Password that this node gives to the other nodes of its cluster when it asks them for copies of salted keys, or ends the move of a slot; empty for that of requirepass." },
    { TEXT("masteruser", CONFIG_MASTERUSER, ""), .section = ACCESS, .help = "User that goes with masterauth; empty for the default user." },
    { TEXT("requirepass", CONFIG_REQUIREPASS, ""), .section = ACCESS, .flags = OPTION_SECRET, .help = "Password that clients must give with AUTH or HELLO; empty for none." },
    { ENUM("enable-protected-configs", enable_protected_configs, CONFIG_NO, yes_no_local), .section = ACCESS, .flags = OPTION_FIXED, .help = "Who may CONFIG SET the directives that reach the file system (dir): no one, everyone (yes), clients from this machine (local)." },
    { ENUM("enable-debug-command", enable_debug_command, CONFIG_NO, yes_no_local), .section = ACCESS, .flags = OPTION_FIXED, .help = "Who may use DEBUG." },
    { ENUM("enable-module-command", enable_module_command, CONFIG_NO, yes_no_local), .section = ACCESS, .flags = OPTION_FIXED | OPTION_INERT, .help = "Taken and shown, without effect: there are no modules." },
    { TEXT("aclfile", CONFIG_ACLFILE, ""), .section = ACCESS, .flags = OPTION_FIXED, .lacks = "ACL users beside the default one", .help = "Only its default is taken." },
    { LIST("user", CONFIG_USER, NULL), .section = ACCESS, .flags = OPTION_FIXED | OPTION_HIDDEN, .lacks = "ACL users beside the default one", .allowed = open_user, .help = "An ACL user. Only the default user with every right is known." },
    { ENUM("acl-pubsub-default", acl_pubsub_default, 1, pubsub_defaults), .section = ACCESS, .flags = OPTION_INERT, .help = "Taken and shown, without effect." },
    { INTEGER("acllog-max-len", acllog_max_len, 128, 0, INT64_MAX), .section = ACCESS, .help = "How many entries ACL LOG keeps." },
    { LIST("rename-command", CONFIG_RENAME_COMMAND, NULL), .section = ACCESS, .flags = OPTION_FIXED | OPTION_HIDDEN, .lacks = "renaming of commands", .help = "Not taken: commands keep their names." },
    { LIST("loadmodule", CONFIG_LOADMODULE, NULL), .section = ACCESS, .flags = OPTION_FIXED | OPTION_HIDDEN, .lacks = "modules", .help = "Not taken: there are no modules." },

    /* --- Memory, expiry and eviction --- */
    { SIZE("maxmemory", maxmemory, 0, 0, INT64_MAX), .section = MEMORY,
      .help = "How much the data may take: entries, tables and what eviction remembers (used_memory_data in INFO). Buffers of clients do not count: data "
              "never goes for a client that reads slowly. 0 is no limit." },
    { ENUM("maxmemory-policy", maxmemory_policy, POLICY_ALLKEYS_S3S, policies), .section = MEMORY,
      .help = "What goes when memory is full. allkeys-s3s: what was asked for once and not again, then by idle time, hits and size; it finds more than "
              "the others at the same size. allkeys-lru: what was not used for longest. allkeys-lfu: what is used least often. allkeys-random: any. "
              "volatile-*: the same among the keys with a deadline; volatile-ttl: the nearest deadline. noeviction: nothing; writes are refused." },
    { INTEGER("maxmemory-samples", maxmemory_samples, 8, 1, INT_MAX), .section = MEMORY,
      .help = "How many entries are looked at for each one that goes. 5 is cheaper, 16 chooses a little better; more than 64 are 64." },
    { ENUM("maxmemory-size-exponent", maxmemory_size_exponent, 2, size_exponents), .section = MEMORY,
      .help = "How much the size of an entry counts with allkeys-s3s and volatile-s3s: 0 not at all, for the most hits by bytes; 1 fully, for the most hits "
              "by requests where sizes differ much." },
    { INTEGER("maxmemory-eviction-tenacity", maxmemory_eviction_tenacity, 10, 0, 100), .section = MEMORY,
      .help = "How long a command may be kept evicting beyond what it needs itself, as after a limit was lowered: 10 is 0.5 ms, 0 not at all, 100 until "
              "there is room." },
    { INTEGER("lfu-log-factor", lfu_log_factor, 10, 0, INT_MAX), .section = MEMORY,
      .help = "The counts of allkeys-lfu and volatile-lfu grow the slower the higher this is: with 10 they are full after about a million uses." },
    { INTEGER("lfu-decay-time", lfu_decay_time, 1, 0, INT_MAX), .section = MEMORY,
      .help = "Minutes without use after which those counts lose one; 0 never." },
    { INTEGER("active-expire-effort", active_expire_effort, 1, 1, 10), .section = MEMORY, .help = "How much of a worker's time goes into removing expired entries while many are due: at 1 as much as its clients take, and up to twice as much where it falls behind; at 10 five times as much." },
    { INTEGER("floor-ttl", floor_ttl, 60000, 1, INT_MAX), .section = MEMORY, .flags = OPTION_OURS,
      .help = "Milliseconds for which the version of a value that is gone is remembered: fills with an older one are refused meanwhile. It has to be longer "
              "than a replica of the source may be behind." },
    { SPECIAL("policy", CONFIG_POLICY, ""), .section = MEMORY, .flags = OPTION_FIXED | OPTION_REPEATED | OPTION_OURS, .check = config_check_policy,
      .help = "What holds for all keys that begin alike: a prefix, \"\" for all keys, then fields and values, as POLICY SET takes them: ttl and max-ttl in "
              "seconds, jitter, refresh, guard, coalesce, hold, salt. May stand many times. At run time POLICY SET changes them, CONFIG REWRITE writes "
              "them here; what POLICY SET has set is kept beside nodes.conf, and a directive counts against that where it was changed since the last start." },
    { INTEGER("default-ttl-ms", default_ttl_ms, 0, 0, INT64_C(3153600000000)), .section = MEMORY, .flags = OPTION_OURS,
      .help = "Milliseconds to live for keys that are written without a time to live: the ttl of the policy of all keys. 0 lets them live for ever." },
    { INTEGER("max-ttl-ms", max_ttl_ms, 0, 0, INT64_C(3153600000000)), .section = MEMORY, .flags = OPTION_OURS,
      .help = "Milliseconds after its birth beyond which no value lives, whatever it is given: the max-ttl of the policy of all keys. 0 is no limit." },
    { BOOL("lazyfree-lazy-eviction", lazyfree_lazy_eviction, 0), .section = MEMORY, .flags = OPTION_INERT, .help = "Free evicted entries in the background. Taken and shown, without effect." },
    { BOOL("lazyfree-lazy-expire", lazyfree_lazy_expire, 0), .section = MEMORY, .flags = OPTION_INERT, .help = "Free expired entries in the background. Taken and shown, without effect." },
    { BOOL("lazyfree-lazy-server-del", lazyfree_lazy_server_del, 0), .section = MEMORY, .flags = OPTION_INERT, .help = "Free overwritten entries in the background. Taken and shown, without effect." },
    { BOOL("lazyfree-lazy-user-del", lazyfree_lazy_user_del, 0), .section = MEMORY, .flags = OPTION_INERT, .help = "Make DEL behave as UNLINK. Taken and shown, without effect: the two are one here." },
    { BOOL("lazyfree-lazy-user-flush", lazyfree_lazy_user_flush, 0), .section = MEMORY, .flags = OPTION_INERT, .help = "Make FLUSHALL and FLUSHDB free in the background. Taken and shown, without effect: they always do." },
    { BOOL("activerehashing", activerehashing, 1), .section = MEMORY, .flags = OPTION_INERT, .help = "Taken and shown, without effect: tables grow in small steps by themselves." },
    { BOOL("activedefrag", activedefrag, 0), .section = MEMORY,
      .help = "Move entries out of thinly used pages, so that memory comes back also while some of what lay there stays. Needs jemalloc 5.2 or later." },
    { SIZE("active-defrag-ignore-bytes", active_defrag_ignore_bytes, 100 << 20, 1, INT64_MAX), .section = MEMORY,
      .help = "So many bytes of holes (allocator_frag_bytes in INFO) are left as they are." },
    { INTEGER("active-defrag-threshold-lower", active_defrag_threshold_lower, 10, 0, 1000), .section = MEMORY,
      .help = "Holes, in percent of what is allocated, from which on defragmentation runs." },
    { INTEGER("active-defrag-threshold-upper", active_defrag_threshold_upper, 100, 0, 1000), .section = MEMORY,
      .help = "Holes, in percent of what is allocated, from which on it takes active-defrag-cycle-max of the time." },
    { INTEGER("active-defrag-cycle-min", active_defrag_cycle_min, 1, 1, 99), .section = MEMORY,
      .help = "Percent of each worker's time that it takes at the lower threshold." },
    { INTEGER("active-defrag-cycle-max", active_defrag_cycle_max, 25, 1, 99), .section = MEMORY,
      .help = "Percent of each worker's time that it takes at the upper threshold: a quarter of a millisecond at a time." },
    { INTEGER("active-defrag-max-scan-fields", active_defrag_max_scan_fields, 1000, 1, INT64_MAX), .section = MEMORY, .flags = OPTION_INERT,
      .help = "Taken and shown, without effect: there are no values of many fields." },
    { BOOL("jemalloc-bg-thread", jemalloc_bg_thread, 1), .section = MEMORY, .help = "Let the allocator give unused memory back to the system from threads of its own." },

    /* --- Cluster --- */
    { BOOL("cluster-enabled", cluster_enabled, 1), .section = CLUSTER, .flags = OPTION_FIXED,
      .help = "Be a node of a cluster. A fresh node is a cluster of one and serves every slot until it meets others or is given slots." },
    { TEXT("cluster-config-file", CONFIG_CLUSTER_CONFIG_FILE, "nodes.conf"), .section = CLUSTER, .flags = OPTION_FIXED, .help = "State file of the cluster, in dir. The node writes it; each node needs its own." },
    { INTEGER("cluster-port", cluster_port, 0, 0, 65535), .section = CLUSTER, .flags = OPTION_FIXED, .help = "Port of the cluster bus; 0 is port + 10000." },
    { INTEGER("cluster-node-timeout", cluster_node_timeout, 15000, 0, INT64_MAX), .section = CLUSTER, .help = "Milliseconds a node may be unreachable before it is taken for failed." },
    { INTEGER("cluster-slot-move-timeout", cluster_slot_move_timeout, 300000, 0, INT64_MAX / 1000000), .section = CLUSTER, .flags = OPTION_OURS, .help = "Milliseconds after which a slot that stands open between two nodes of this kind, and on which nobody works, is finished or closed by them; 0 leaves that to `redis-cli --cluster fix`. Each SETSLOT of it and each MIGRATE from it begins the time anew." },
    { BOOL("cluster-require-full-coverage", cluster_require_full_coverage, 1), .section = CLUSTER, .help = "Stop serving when a slot has no owner. A cache is better off with no." },
    { BOOL("cluster-allow-reads-when-down", cluster_allow_reads_when_down, 0), .section = CLUSTER, .help = "Serve reads of this node's slots while the cluster is down." },
    { BOOL("cluster-allow-pubsubshard-when-down", cluster_allow_pubsubshard_when_down, 1), .section = CLUSTER,
      .help = "While the cluster is down, go on with shard channels in slots of this node." },
    { TEXT("cluster-announce-ip", CONFIG_CLUSTER_ANNOUNCE_IP, ""), .section = CLUSTER, .check = config_check_announce_ip, .help = "Address that other nodes and clients are told; empty finds it out." },
    { TEXT("cluster-announce-hostname", CONFIG_CLUSTER_ANNOUNCE_HOSTNAME, ""), .section = CLUSTER, .check = config_check_hostname, .help = "Host name that clients are told beside the address." },
    { INTEGER("cluster-announce-port", cluster_announce_port, 0, 0, 65535), .section = CLUSTER, .help = "Client port that others are told; 0 is port." },
    { INTEGER("cluster-announce-bus-port", cluster_announce_bus_port, 0, 0, 65535), .section = CLUSTER, .help = "Bus port that others are told; 0 is the one listened on." },
    { INTEGER("cluster-announce-tls-port", cluster_announce_tls_port, 0, 0, 65535), .section = CLUSTER, .lacks = "TLS", .help = "Only its default is taken: this node has no TLS." },
    { ENUM("cluster-preferred-endpoint-type", cluster_preferred_endpoint_type, 0, endpoints), .section = CLUSTER, .help = "What redirects and CLUSTER SLOTS name: ip, hostname, or unknown-endpoint (the client stays with the address it used)." },
    { INTEGER("cluster-replica-validity-factor", cluster_replica_validity_factor, 10, 0, INT_MAX), .alias = "cluster-slave-validity-factor", .section = CLUSTER, .flags = OPTION_INERT, .help = "Taken and shown, without effect: this node is no replica." },
    { BOOL("cluster-replica-no-failover", cluster_replica_no_failover, 0), .alias = "cluster-slave-no-failover", .section = CLUSTER, .flags = OPTION_INERT, .help = "Taken and shown, without effect: this node is no replica." },
    { INTEGER("cluster-migration-barrier", cluster_migration_barrier, 1, 0, INT_MAX), .section = CLUSTER, .flags = OPTION_INERT, .help = "Taken and shown, without effect: this node is no replica." },
    { BOOL("cluster-allow-replica-migration", cluster_allow_replica_migration, 1), .section = CLUSTER, .help = "Follow the node that took this one's last slot, as Redis nodes do." },
    { SIZE("cluster-link-sendbuf-limit", cluster_link_sendbuf_limit, 0, 0, INT64_MAX), .section = CLUSTER, .help = "Bytes that may wait to be sent on a link between nodes; more closes the link. 0: no limit of this kind." },
    { BOOL("cluster-slot-stats-enabled", cluster_slot_stats_enabled, 0), .section = CLUSTER, .lacks = "CPU time and traffic by slot", .flags = OPTION_OURS, .help = "Only its default is taken: CLUSTER SLOT-STATS shows keys, memory, and since the start hits, misses, expired and evicted, which are always counted." },
    { TEXT("availability-zone", CONFIG_AVAILABILITY_ZONE, ""), .section = CLUSTER, .flags = OPTION_OURS, .help = "Where the node runs; told to clients." },

    /* --- Watching --- */
    { INTEGER("slowlog-log-slower-than", slowlog_log_slower_than, 10000, -1, INT64_MAX), .section = WATCHING, .help = "Microseconds a command may take before SLOWLOG keeps it; 0 keeps all, -1 none." },
    { INTEGER("slowlog-max-len", slowlog_max_len, 128, 0, INT64_MAX), .section = WATCHING, .help = "Commands that SLOWLOG keeps." },
    { BOOL("latency-tracking", latency_tracking, 1), .section = WATCHING, .help = "Keep a histogram of each command's time, for INFO latencystats and LATENCY HISTOGRAM." },
    { SPECIAL("latency-tracking-info-percentiles", CONFIG_LATENCY_TRACKING_INFO_PERCENTILES, "50 99 99.9"), .section = WATCHING, .check = config_check_percentiles, .help = "Percentiles that INFO latencystats shows." },
    { INTEGER("latency-monitor-threshold", latency_monitor_threshold, 0, 0, INT64_MAX), .section = WATCHING, .help = "Commands and expiry cycles that take at least so many milliseconds are shown by LATENCY; 0: none." },
    { INTEGER("salt-lease-ms", salt_lease_ms, 200, 20, 10000), .section = WATCHING, .flags = OPTION_OURS, .help = "For how long the nodes that have names of a salted key may answer reads from their copy without hearing from its home: so long does a write of it wait at the most for one that does not answer. More than 200 is granted when all nodes have heard of it, since whoever takes over a salted key's slot waits for the longest that anybody grants." },
    { BOOL("salt-sync", salt_sync, 1), .section = WATCHING, .flags = OPTION_OURS, .help = "Whether a write of a salted key is answered only when no node has an older copy any more. With no, a copy may be older for as long as salt-lease-ms." },
    { BOOL("salt-spread", salt_spread, 0), .section = WATCHING, .flags = OPTION_OURS, .help = "Whether clients that know nothing of names are led to all nodes that have a copy of a salted key: CLUSTER SLOTS and CLUSTER SHARDS then tell each connection one of them as the owner of the key's slot, where CLUSTER NODES tells its owner. Decided by the node where the key is at home. The same on all nodes." },
    { INTEGER("hotkey-threshold", hotkey_threshold, 5000, 0, 1000000000), .section = WATCHING, .flags = OPTION_OURS, .help = "A key is hot that costs so much in a second: 1 for each command, 1 for each KiB of request and reply, 1 for each microsecond of work beyond the first. 0 looks for none." },
    { INTEGER("hotkey-window-ms", hotkey_window_ms, 100, 10, 10000), .section = WATCHING, .flags = OPTION_OURS, .help = "Milliseconds over which that is counted: a hot key is found within them, and what lasts shorter is not taken for one." },
    { BOOL("hotkey-lock-free-reads", hotkey_lock_free_reads, 1), .section = WATCHING, .flags = OPTION_OURS, .help = "Answer GETs of a hot key without its slot's lock, where its value is small and seldom written. no is for measuring what that is worth." },
    { TEXT("salt-separator", CONFIG_SALT_SEPARATOR, "~"), .section = WATCHING, .check = config_check_salt_separator, .flags = OPTION_OURS, .help = "What stands between a key and the number in the names that SALT gives it. Keys that have names keep the one they were given." },
    { INTEGER("salt-grace", salt_grace, 3600, 0, 2592000), .section = WATCHING, .flags = OPTION_OURS, .help = "Seconds for which a name that a key has no more still leads to it, for clients that have learned it before." },
    { TEXT("notify-keyspace-events", CONFIG_NOTIFY_KEYSPACE_EVENTS, ""), .section = WATCHING, .check = config_check_events,
      .help = "Which changes of keys are published, one letter a class: K on __keyspace@0__:<key> or E on __keyevent@0__:<event>, or both; g generic commands, "
              "$ strings, l lists, s sets, h hashes, z sorted sets, x expired, e evicted, t streams, d modules, A all of these; m reads that found nothing, n keys that "
              "are new, H keys that became hot, cold or salted. Empty is none, and costs nothing." },
    { INTEGER("busy-reply-threshold", busy_reply_threshold, 5000, 0, INT64_MAX), .alias = "lua-time-limit", .section = WATCHING, .flags = OPTION_INERT, .help = "Taken and shown, without effect: there are no scripts." },
    { INTEGER("tracking-table-max-keys", tracking_table_max_keys, 1000000, 0, INT64_MAX), .section = WATCHING, .flags = OPTION_INERT, .help = "Taken and shown, without effect so far." },

    /* --- TLS --- */
    { INTEGER("tls-port", tls_port, 0, 0, 65535), .section = TLS, .flags = OPTION_FIXED, .lacks = "TLS", .help = "Only its default is taken: this node has no TLS." },
    { BOOL("tls-replication", tls_replication, 0), .section = TLS, .lacks = "TLS", .help = "Only its default is taken: this node has no TLS." },
    { BOOL("tls-cluster", tls_cluster, 0), .section = TLS, .lacks = "TLS", .help = "Only its default is taken: this node has no TLS." },
#define TLS_TUNES .section = TLS, .flags = OPTION_INERT, .help = "Tunes TLS. Taken and shown, without effect."
    { TEXT("tls-cert-file", CONFIG_TLS_CERT_FILE, ""), TLS_TUNES },
    { TEXT("tls-key-file", CONFIG_TLS_KEY_FILE, ""), TLS_TUNES },
    { TEXT("tls-key-file-pass", CONFIG_TLS_KEY_FILE_PASS, ""), .section = TLS, .flags = OPTION_INERT | OPTION_SECRET, .help = "Tunes TLS. Taken and shown, without effect." },
    { TEXT("tls-client-cert-file", CONFIG_TLS_CLIENT_CERT_FILE, ""), TLS_TUNES },
    { TEXT("tls-client-key-file", CONFIG_TLS_CLIENT_KEY_FILE, ""), TLS_TUNES },
    { TEXT("tls-client-key-file-pass", CONFIG_TLS_CLIENT_KEY_FILE_PASS, ""), .section = TLS, .flags = OPTION_INERT | OPTION_SECRET, .help = "Tunes TLS. Taken and shown, without effect." },
    { TEXT("tls-dh-params-file", CONFIG_TLS_DH_PARAMS_FILE, ""), TLS_TUNES },
    { TEXT("tls-ca-cert-file", CONFIG_TLS_CA_CERT_FILE, ""), TLS_TUNES },
    { TEXT("tls-ca-cert-dir", CONFIG_TLS_CA_CERT_DIR, ""), TLS_TUNES },
    { LIST("tls-protocols", CONFIG_TLS_PROTOCOLS, ""), TLS_TUNES },
    { TEXT("tls-ciphers", CONFIG_TLS_CIPHERS, ""), TLS_TUNES },
    { TEXT("tls-ciphersuites", CONFIG_TLS_CIPHERSUITES, ""), TLS_TUNES },
    { ENUM("tls-auth-clients", tls_auth_clients, 1, tls_auth), TLS_TUNES },
    { BOOL("tls-prefer-server-ciphers", tls_prefer_server_ciphers, 0), TLS_TUNES },
    { BOOL("tls-session-caching", tls_session_caching, 1), TLS_TUNES },
    { INTEGER("tls-session-cache-size", tls_session_cache_size, 20480, 0, INT_MAX), TLS_TUNES },
    { INTEGER("tls-session-cache-timeout", tls_session_cache_timeout, 300, 0, INT_MAX), TLS_TUNES },

    /* --- Not here --- */
    { SPECIAL("save", CONFIG_SAVE, ""), .check = config_check_save, LACKS("snapshots on disk") },
    { TEXT("dbfilename", CONFIG_DBFILENAME, "dump.rdb"), TUNES("snapshots on disk") },
    { BOOL("rdbcompression", rdbcompression, 1), TUNES("snapshots on disk") },
    { BOOL("rdbchecksum", rdbchecksum, 1), TUNES("snapshots on disk") },
    { BOOL("rdb-del-sync-files", rdb_del_sync_files, 0), TUNES("snapshots on disk") },
    { BOOL("rdb-save-incremental-fsync", rdb_save_incremental_fsync, 1), TUNES("snapshots on disk") },
    { BOOL("stop-writes-on-bgsave-error", stop_writes_on_bgsave_error, 1), TUNES("snapshots on disk") },
    { ENUM("sanitize-dump-payload", sanitize_dump_payload, 0, sanitize), TUNES("how far a dump is checked; it always is") },
    { TEXT("bgsave_cpulist", CONFIG_BGSAVE_CPULIST, ""), .alias = "bgsave-cpulist", TUNES("snapshots on disk") },
    { BOOL("appendonly", appendonly, 0), LACKS("append-only file") },
    { TEXT("appendfilename", CONFIG_APPENDFILENAME, "appendonly.aof"), TUNES("the append-only file") },
    { TEXT("appenddirname", CONFIG_APPENDDIRNAME, "appendonlydir"), TUNES("the append-only file") },
    { ENUM("appendfsync", appendfsync, 0, fsyncs), TUNES("the append-only file") },
    { BOOL("no-appendfsync-on-rewrite", no_appendfsync_on_rewrite, 0), TUNES("the append-only file") },
    { INTEGER("auto-aof-rewrite-percentage", auto_aof_rewrite_percentage, 100, 0, INT_MAX), TUNES("the append-only file") },
    { SIZE("auto-aof-rewrite-min-size", auto_aof_rewrite_min_size, 64 << 20, 0, INT64_MAX), TUNES("the append-only file") },
    { BOOL("aof-load-truncated", aof_load_truncated, 1), TUNES("the append-only file") },
    { BOOL("aof-use-rdb-preamble", aof_use_rdb_preamble, 1), TUNES("the append-only file") },
    { BOOL("aof-timestamp-enabled", aof_timestamp_enabled, 0), TUNES("the append-only file") },
    { BOOL("aof-rewrite-incremental-fsync", aof_rewrite_incremental_fsync, 1), TUNES("the append-only file") },
    { BOOL("aof-disable-auto-gc", aof_disable_auto_gc, 0), TUNES("the append-only file") },
    { TEXT("aof_rewrite_cpulist", CONFIG_AOF_REWRITE_CPULIST, ""), .alias = "aof-rewrite-cpulist", TUNES("the append-only file") },
    { LIST("replicaof", CONFIG_REPLICAOF, ""), .alias = "slaveof", .allowed = no_one, LACKS("replication") },
    { BOOL("replica-serve-stale-data", replica_serve_stale_data, 1), .alias = "slave-serve-stale-data", TUNES("replication") },
    { BOOL("replica-read-only", replica_read_only, 1), .alias = "slave-read-only", TUNES("replication") },
    { INTEGER("replica-priority", replica_priority, 100, 0, INT_MAX), .alias = "slave-priority", TUNES("replication") },
    { BOOL("replica-announced", replica_announced, 1), TUNES("replication") },
    { TEXT("replica-announce-ip", CONFIG_REPLICA_ANNOUNCE_IP, ""), .alias = "slave-announce-ip", TUNES("replication") },
    { INTEGER("replica-announce-port", replica_announce_port, 0, 0, 65535), .alias = "slave-announce-port", TUNES("replication") },
    { BOOL("replica-lazy-flush", replica_lazy_flush, 0), .alias = "slave-lazy-flush", TUNES("replication") },
    { BOOL("replica-ignore-maxmemory", replica_ignore_maxmemory, 1), .alias = "slave-ignore-maxmemory", TUNES("replication") },
    { BOOL("replica-ignore-disk-write-errors", replica_ignore_disk_write_errors, 0), TUNES("replication") },
    { BOOL("repl-diskless-sync", repl_diskless_sync, 1), TUNES("replication") },
    { INTEGER("repl-diskless-sync-delay", repl_diskless_sync_delay, 5, 0, INT_MAX), TUNES("replication") },
    { INTEGER("repl-diskless-sync-max-replicas", repl_diskless_sync_max_replicas, 0, 0, INT_MAX), TUNES("replication") },
    { ENUM("repl-diskless-load", repl_diskless_load, 0, diskless_loads), TUNES("replication") },
    { INTEGER("repl-ping-replica-period", repl_ping_replica_period, 10, 1, INT_MAX), .alias = "repl-ping-slave-period", TUNES("replication") },
    { INTEGER("repl-timeout", repl_timeout, 60, 1, INT_MAX), TUNES("replication") },
    { BOOL("repl-disable-tcp-nodelay", repl_disable_tcp_nodelay, 0), TUNES("replication") },
    { SIZE("repl-backlog-size", repl_backlog_size, 1 << 20, 1, INT64_MAX), TUNES("replication") },
    { INTEGER("repl-backlog-ttl", repl_backlog_ttl, 3600, 0, INT64_MAX), TUNES("replication") },
    { INTEGER("min-replicas-to-write", min_replicas_to_write, 0, 0, INT_MAX), .alias = "min-slaves-to-write", LACKS("replication") },
    { INTEGER("min-replicas-max-lag", min_replicas_max_lag, 10, 0, INT_MAX), .alias = "min-slaves-max-lag", TUNES("replication") },
    { ENUM("propagation-error-behavior", propagation_error_behavior, 0, propagation), TUNES("replication") },
    { SIZE("hash-max-listpack-entries", hash_max_listpack_entries, 512, 0, INT64_MAX), .alias = "hash-max-ziplist-entries", TUNES("an encoding of hashes") },
    { SIZE("hash-max-listpack-value", hash_max_listpack_value, 64, 0, INT64_MAX), .alias = "hash-max-ziplist-value", TUNES("an encoding of hashes") },
    { INTEGER("list-max-listpack-size", list_max_listpack_size, -2, INT_MIN, INT_MAX), .alias = "list-max-ziplist-size", TUNES("an encoding of lists") },
    { INTEGER("list-compress-depth", list_compress_depth, 0, 0, INT_MAX), TUNES("an encoding of lists") },
    { INTEGER("set-max-intset-entries", set_max_intset_entries, 512, 0, INT64_MAX), TUNES("an encoding of sets") },
    { INTEGER("zset-max-listpack-entries", zset_max_listpack_entries, 128, 0, INT64_MAX), .alias = "zset-max-ziplist-entries", TUNES("an encoding of sorted sets") },
    { SIZE("zset-max-listpack-value", zset_max_listpack_value, 64, 0, INT64_MAX), .alias = "zset-max-ziplist-value", TUNES("an encoding of sorted sets") },
    { SIZE("hll-sparse-max-bytes", hll_sparse_max_bytes, 3000, 0, INT64_MAX), TUNES("an encoding of HyperLogLogs") },
    { SIZE("stream-node-max-bytes", stream_node_max_bytes, 4096, 0, INT64_MAX), TUNES("an encoding of streams") },
    { INTEGER("stream-node-max-entries", stream_node_max_entries, 100, 0, INT64_MAX), TUNES("an encoding of streams") },
};
/* clang-format on */

const struct option *config_options(size_t *count)
{
    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
