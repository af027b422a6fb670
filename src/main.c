/* main.c
 *
 * Reads the options, builds every part in order, hands the commands to the server, starts the workers, and runs the control loop until
 * the node is asked to end. What is opened here is closed in reverse.
 *
 *     options -> background -> log -> keyspace -> commands -> listeners -> bus -> workers -> control loop
 *
 * Nothing that would not survive a fork (a loop, a thread) comes before the step into the background, and nothing is answered before every
 * port is ours: a node that cannot have one says so and leaves no trace in its directory. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/huge_pages.h"
#include "base/log.h"
#include "base/mover.h"
#include "base/random.h"
#include "bus/bus.h"
#include "cache/backstop.h"
#include "cache/eviction.h"
#include "cache/hot_session.h"
#include "cache/hot_reads.h"
#include "cache/hotkeys.h"
#include "cache/fill.h"
#include "cache/policy_sweep.h"
#include "commands/commands.h"
#include "server/acceptor.h"
#include "server/acl_log.h"
#include "server/apply.h"
#include "server/config.h"
#include "server/control.h"
#include "server/cost.h"
#include "server/dev_cluster.h"
#include "server/events.h"
#include "server/migrate.h"
#include "server/login.h"
#include "server/latency.h"
#include "server/node.h"
#include "server/open_slots.h"
#include "server/policy_keeper.h"
#include "server/process.h"
#include "server/pubsub.h"
#include "server/salt_helper.h"
#include "server/salt_home.h"
#include "server/salt_keeper.h"
#include "server/salt_spread.h"
#include "server/slowlog.h"
#include "server/worker.h"
#include "store/lazyfree.h"
#include "transfer/migrator.h"

#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command *const *const families[] = { commands_connection, commands_server,       commands_keys,
                                                         commands_strings,    commands_transactions, commands_cluster,
                                                         commands_config,     commands_cache,        commands_policy,
                                                         commands_pubsub,     commands_saltlink,     NULL };

static void print_and_exit(void (*print)(struct buf *out))
{
    struct buf text = { 0 };

    print(&text);
    fwrite(text.data, 1, text.len, stdout);
    exit(fflush(stdout) == 0 ? 0 : 1);
}

static void print_version(struct buf *out)
{
    buf_printf(out, "Redis-shard server v=%s sha=00000000:0 malloc=%s bits=%zu build=%.16s\n", REDIS_SHARD_VERSION,
               alloc_name(), 8 * sizeof(void *), process_build_id());
}

static void print_commands_docs(struct buf *out)
{
    struct command_table *commands = command_table_new(families);

    commands_print_docs(commands, out);
    command_table_free(&commands);
}

/* Words that stand alone: answered, and done. */
static void answer_questions(int argc, char **argv)
{
    static const struct {
        const char *word;
        void (*print)(struct buf *out);
    } questions[] = {
        { "--version", print_version },
        { "-v", print_version },
        { "--help", config_print_help },
        { "-h", config_print_help },
        { "--print-config-file", config_print_file },
        { "--print-config-docs", config_print_docs },
        { "--print-commands-docs", print_commands_docs },
    };

    if (argc != 2) return;
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        if (strcmp(argv[1], questions[i].word) == 0) print_and_exit(questions[i].print);
}

static void die(const char *text)
{
    fprintf(stderr, "\n%s\n", text);
    exit(1);
}

/* Takes `--test-config` out of the arguments. */
static bool take_test_flag(int *argc, char **argv)
{
    bool found = false;
    int kept = 1;

    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--test-config") == 0)
            found = true;
        else
            argv[kept++] = argv[i];
    }
    *argc = kept;
    return found;
}

static void read_options(struct node *node, int argc, char **argv)
{
    struct config_problem problem;
    bool test_only = take_test_flag(&argc, argv);
    int at = 1;

    node->config = config_new();
    if (argc > 1 && strncmp(argv[1], "--", 2) != 0 && strcmp(argv[1], "-") != 0) {
        if (!config_read_file(node->config, argv[1], &problem)) die(problem.text);
        node->config_file = realpath(argv[1], NULL);
        at = 2;
    }
    if (!config_read_arguments(node->config, argc - at, argv + at, &problem)) die(problem.text);
    if (!config_finish(node->config, &problem)) die(problem.text);
    if (!test_only) return;
    printf("Configuration is good\n");
    exit(0);
}

/* Standard output is right for the log until the log file is open, so a bad log file is said on the terminal. */
static void open_log(struct node *node)
{
    char path[PATH_MAX], directory[PATH_MAX];

    log_set_level((enum log_level)config_int(node->config, loglevel));
    if (!config_text_copy(node->config, CONFIG_DIR, directory, sizeof(directory)) || chdir(directory) != 0) {
        log_warning("Can't chdir to '%s': %s", directory, strerror(errno));
        exit(1);
    }
    if (!config_text_copy(node->config, CONFIG_LOGFILE, path, sizeof(path)) || !log_open(path)) {
        log_warning("Can't open the log file '%s': %s", path, strerror(errno));
        exit(1);
    }
}

static void write_pid(struct node *node, char path[PATH_MAX])
{
    config_text_copy(node->config, CONFIG_PIDFILE, path, PATH_MAX);
    if (!path[0] && config_int(node->config, daemonize)) snprintf(path, PATH_MAX, "/var/run/redis-shard.pid");
    if (!path[0] || process_write_pid(path)) return;
    log_warning("Can't write the pid file '%s': %s", path, strerror(errno));
    path[0] = '\0';
}

/* As redis-server's, which tools that look for a node in ps know: the first address it listens on, and whether it is of a cluster. */
static void set_title(const struct node *node, char **argv)
{
    const char *mode = config_int(node->config, cluster_enabled) ? " [cluster]" : "";
    char addresses[1024], title[1200];

    if (!config_int(node->config, set_proc_title)) return;
    if (config_int(node->config, port) == 0) {
        config_text_copy(node->config, CONFIG_UNIXSOCKET, addresses, sizeof(addresses));
        snprintf(title, sizeof(title), "redis-shard unixsocket:%s%s", addresses, mode);
    } else {
        config_text_copy(node->config, CONFIG_BIND, addresses, sizeof(addresses));
        addresses[strcspn(addresses, " ")] = '\0';
        snprintf(title, sizeof(title), "redis-shard %s:%lld%s", addresses + (addresses[0] == '-'),
                 (long long)config_int(node->config, port), mode);
    }
    process_set_title(argv, title);
}

static void fit_clients(struct config *config)
{
    int64_t wanted = config_int(config, maxclients), fit = process_allow_clients(wanted, apply_reserved_files(config));

    if (fit >= wanted) return;
    log_warning("maxclients: %lld asked for, but the limit of open files leaves room for %lld; raise it with 'ulimit "
                "-n' for more",
                (long long)wanted, (long long)fit);
    atomic_store_explicit(&config->maxclients, fit, memory_order_relaxed);
}

static void say_why_no_listening(const char *error, uint16_t port)
{
    char holder[128];

    if (strstr(error, strerror(EADDRINUSE)) && process_holding_port(port, holder, sizeof(holder)))
        log_warning("%s (port %u is held by %s)", error, port, holder);
    else
        log_warning("%s", error);
}

/* --- What the bus tells --- */

static void published_elsewhere(void *context, bool shard, struct bytes channel, struct bytes message)
{
    pubsub_publish(context, shard ? TOPIC_SHARD : TOPIC_CHANNEL, channel, message);
}

static void slots_left(void *context, const uint8_t slots[SLOT_COUNT / 8])
{
    pubsub_slots_left(context, slots);
}

static void owner_changed(void *context, uint16_t slot, uint64_t word)
{
    struct node *node = context;

    if (node->salt_home != NULL) salt_home_owner_changed(node->salt_home, slot, word);
    if (node->salt_helper != NULL) salt_helper_owners_changed(node->salt_helper);
    if (node->salt_spread != NULL) salt_spread_owners_changed(node->salt_spread);
}

static void publish_goes_on(void *context)
{
    pubsub_go_on(context);
}

static struct bus *start_bus(struct node *node, struct ev_loop *loop)
{
    char addresses[1024], state_file[PATH_MAX], error[512] = "", *rest = addresses, *address;
    const char *bind[32];
    struct bus_options options = { .bind = bind, .port = node->bus_port, .state_file = state_file };
    struct bus *bus;

    config_text_copy(node->config, CONFIG_BIND, addresses, sizeof(addresses));
    config_text_copy(node->config, CONFIG_CLUSTER_CONFIG_FILE, state_file, sizeof(state_file));
    while ((address = strsep(&rest, " ")) != NULL && options.bind_count < 32)
        if (*address) bind[options.bind_count++] = address;
    apply_cluster_options(node, &options.cluster);
    options.link_sendbuf_limit = (uint64_t)config_int(node->config, cluster_link_sendbuf_limit);
    options.movers = node->movers;
    options.lazyfree = node->lazyfree;
    options.events = (struct bus_events){ .context = node,
                                          .published = published_elsewhere,
                                          .slots_left = slots_left,
                                          .publish_goes_on = publish_goes_on,
                                          .owner_changed = owner_changed };
    bus = bus_new(loop, node->keyspace, &options, error);
    if (!bus) say_why_no_listening(error, options.port);
    return bus;
}

static void salt_changed(void *context, const struct salt_entry *entry)
{
    salt_helper_entry_changed(context, entry);
}

static void salt_forgotten(void *context, const struct salt_entry *entry)
{
    salt_helper_entry_forgotten(context, entry);
}

/* Before anybody is served. */
static bool start_salting(struct node *node)
{
    struct salt_follower follower = { .changed = salt_changed, .forgotten = salt_forgotten };
    char error[512];

    node->salt_home = salt_home_new(node);
    follower.context = node->salt_helper = salt_helper_start(node, error);
    if (node->salt_helper != NULL) {
        salt_keeper_follow(node->salt_keeper, &follower);
        salt_spread_begin(node->salt_spread);
        return true;
    }
    log_warning("%s", error);
    salt_keeper_close(&node->salt_keeper);
    salt_spread_free(&node->salt_spread);
    salt_home_free(&node->salt_home);
    acceptor_stop(&node->acceptor);
    bus_free(&node->bus);
    policy_keeper_close(&node->policy_keeper);
    return false;
}

static void start_workers(struct node *node)
{
    node->worker_count = (int)config_int(node->config, io_threads);
    node->workers = alloc_zeroed((size_t)node->worker_count * sizeof(struct worker *));
    for (int i = 0; i < node->worker_count; i++) node->workers[i] = worker_new(node, i);
    for (int i = 0; i < node->worker_count; i++) worker_start(node->workers[i]);
}

static void stop_workers(struct node *node)
{
    for (int i = 0; i < node->worker_count; i++) worker_stop(node->workers[i]);
    /* After those who post to them, before those they answer to. */
    migrator_free(&node->migrator);
    if (node->salt_home) salt_home_end(node->salt_home);
    withheld_list_release(&node->withheld);
    if (node->salt_keeper) salt_keeper_end(node->salt_keeper);
    if (node->bus) bus_end_claims(node->bus);
    for (int i = 0; i < node->worker_count; i++) worker_free(&node->workers[i]);
    node->worker_count = 0;
    alloc_free(node->workers);
    node->workers = NULL;
}

static void say_hello(const struct node *node)
{
    log_notice("redis-shard version=%s, bits=%zu, pid=%d, just started", REDIS_SHARD_VERSION, 8 * sizeof(void *),
               (int)getpid());
    if (!node->config_file)
        log_notice("no config file: defaults and the command line; 'redis-shard /path/to/redis-shard.conf' reads one");
    log_notice("Running mode=%s, port=%lld, workers=%lld.",
               config_int(node->config, cluster_enabled) ? "cluster" : "standalone",
               (long long)config_int(node->config, port), (long long)config_int(node->config, io_threads));
}

static void say_ready(const struct node *node)
{
    int64_t supervised = config_int(node->config, supervised);

    log_notice("Server initialized");
    if (config_int(node->config, port))
        log_notice("The server is now ready to accept connections on port %lld",
                   (long long)config_int(node->config, port));
    log_notice("Ready to accept connections");
    if (supervised == SUPERVISED_SYSTEMD || (supervised == SUPERVISED_AUTO && getenv("NOTIFY_SOCKET")))
        process_notify_systemd("STATUS=Ready to accept connections\nREADY=1\n");
    else if (supervised == SUPERVISED_UPSTART || supervised == SUPERVISED_AUTO)
        process_notify_upstart();
}

/* Freeing is bound by memory, and the sweeper must not wait for one big slot. */
#define MOVERS 2

static void build_node(struct node *node)
{
    static char executable[PATH_MAX];
    uint64_t seed;

    random_system(&seed, sizeof(seed));
    hash_set_seed(seed);
    random_hex(node->run_id, 40);
    node->started_ms = clock_now_ms();
    node->executable = readlink("/proc/self/exe", executable, sizeof(executable) - 1) > 0 ? executable : "";
    node->keyspace = keyspace_new();
    atomic_store_explicit(&keyspace_deadlines(node->keyspace)->now_ms, node->started_ms, memory_order_relaxed);
    node->eviction = eviction_new(node->keyspace);
    apply_memory_options(node);
    node->hotkeys = hotkeys_new((unsigned)config_int(node->config, io_threads));
    node->hot_reads = hot_reads_new(node->keyspace, node->hotkeys, (unsigned)config_int(node->config, io_threads));
    node->hot_session = hot_session_new();
    cost_configure(node);
    node->fills = fills_new(node->keyspace);
    apply_fill_options(node);
    node->policies = policies_new();
    node->backstop = backstop_start(node->keyspace, node->policies);
    node->policy_sweep = policy_sweep_start(node->keyspace, node->policies);
    if (!node->policy_sweep) {
        log_warning("no thread can be started to enforce policies with: %s", strerror(errno));
        exit(1);
    }
    node->commands = command_table_new(families);
    node->slowlog = slowlog_new();
    node->latency = latency_new();
    node->acl_log = acl_log_new();
    node->pubsub = pubsub_new(node);
    node->events = events_new(node);
    node->logins = login_guard_new();
    node->movers = movers_new(MOVERS);
    if (!node->movers) {
        log_warning("no thread can be started for work in the background: %s", strerror(errno));
        exit(1);
    }
    node->filler = movers_new_in_gaps(1);
    if (node->filler) huge_pages_fill_by(node->filler);
    node->lazyfree = lazyfree_new(node->movers);
    node->migrator = migrate_start(node);
    if (!node->migrator) {
        log_warning("no thread can be started to send keys from: %s", strerror(errno));
        exit(1);
    }
}

/* A release does not give back what the system takes anyway: with many keys that would take seconds; nor does it wait for a thread that may seldom run.
 * Sanitizer builds look for leaks. */
static void free_node(struct node *node)
{
#ifdef SANITIZED
    login_guard_free(&node->logins);
    movers_free(&node->movers, true);
    movers_free(&node->filler, true);
    lazyfree_free(&node->lazyfree);
    slowlog_free(&node->slowlog);
    latency_free(&node->latency);
    acl_log_free(&node->acl_log);
    events_free(&node->events);
    pubsub_free(&node->pubsub);
    command_table_free(&node->commands);
    hot_session_free(&node->hot_session);
    hot_reads_free(&node->hot_reads);
    hotkeys_free(&node->hotkeys);
    eviction_free(&node->eviction);
    fills_free(&node->fills);
    backstop_stop(&node->backstop);
    policies_free(&node->policies);
    keyspace_free(&node->keyspace);
    config_free(&node->config);
    free((void *)(uintptr_t)node->config_file);
#else
    movers_free(&node->movers, false);
#endif
}

/* From listening to the end; the exit status. */
static int serve(struct node *node)
{
    struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO | EVFLAG_NOENV);
    char error[512] = "", pid_path[PATH_MAX];

    node->bus_port = apply_bus_port(node->config);
    node->acceptor = acceptor_start(node, loop, error);
    if (!node->acceptor) {
        say_why_no_listening(error, (uint16_t)config_int(node->config, port));
        return 1;
    }
    if (config_int(node->config, cluster_enabled)) {
        node->bus = start_bus(node, loop);
        if (!node->bus) {
            acceptor_stop(&node->acceptor);
            return 1;
        }
    }
    node->policy_keeper = policy_keeper_open(node, error);
    if (!node->policy_keeper) {
        log_warning("%s", error);
        acceptor_stop(&node->acceptor);
        if (node->bus) bus_free(&node->bus);
        return 1;
    }
    if (node->bus) node->salt_spread = salt_spread_new(node);
    if (node->bus && (node->salt_keeper = salt_keeper_open(node, error)) == NULL) {
        log_warning("%s", error);
        acceptor_stop(&node->acceptor);
        bus_free(&node->bus);
        policy_keeper_close(&node->policy_keeper);
        return 1;
    }
    /* Not before it is sure to run: the file may be that of a node which already does. */
    write_pid(node, pid_path);
    if (node->bus && !start_salting(node)) return 1;
    if (node->bus) node->open_slots = open_slots_new(node);
    start_workers(node);
    if (node->salt_keeper) salt_keeper_begin(node->salt_keeper);
    if (node->bus && !open_slots_start(node->open_slots))
        log_warning("no thread can be started to end the moves of slots that are left open: %s", strerror(errno));
    apply_changes_of(node);
    control_start(node, loop);
    alloc_purge(); /* what building it all took and freed */
    alloc_purge_in_background(config_int(node->config, jemalloc_bg_thread) != 0);
    say_ready(node);
    control_run(node);

    log_warning("User requested shutdown...");
    process_notify_systemd("STOPPING=1\n");
    if (node->salt_helper) salt_helper_stop(node->salt_helper);
    if (node->open_slots) open_slots_stop(node->open_slots);
    stop_workers(node);
    open_slots_free(&node->open_slots);
    acceptor_stop(&node->acceptor); /* after those who may ask it to listen elsewhere */
    control_stop(node);
    salt_keeper_close(&node->salt_keeper);
    salt_spread_free(&node->salt_spread);
    salt_helper_free(&node->salt_helper);
    salt_home_free(&node->salt_home);
    if (node->bus) bus_free(&node->bus);
    policy_keeper_close(&node->policy_keeper);
    policy_sweep_stop(&node->policy_sweep);
    ev_loop_destroy(loop);
    if (pid_path[0]) unlink(pid_path);
    log_warning("redis-shard is now ready to exit, bye bye...");
    return 0;
}

int main(int argc, char **argv)
{
    static struct node node;
    int status;

    answer_questions(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--dev-cluster") == 0) return dev_cluster_run(argc - 1, argv + 1);
    tzset();
    read_options(&node, argc, argv);
    if (config_int(node.config, daemonize)) process_daemonize();
    open_log(&node);
    if (config_int(node.config, crash_log_enabled)) process_report_crashes();
    if (config_int(node.config, disable_thp)) process_disable_huge_pages();
    set_title(&node, argv);
    say_hello(&node);
    fit_clients(node.config);
    build_node(&node);
    status = serve(&node);
    free_node(&node);
    return status;
}
