/* commands/debug.c: DEBUG, what tests need to reach inside. Refused unless enable-debug-command allows it; it sees every slot, so inside
 * EXEC all locks are held (COMMAND_ALL_SLOTS). */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/option.h"
#include "cluster/owner.h"
#include "commands/debug_internal.h"
#include "commands/server.h"
#include "server/call.h"
#include "server/client.h"
#include "server/node.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct debug_subcommand {
    const char *name;
    int argc_min, argc_max;
    void (*run)(struct call *call);
};

static void reply_subcommand_error(struct call *call)
{
    struct bytes name = call_arg(call, 1);

    reply_errorf(call->reply, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                 name.len < 128 ? (int)name.len : 128, name.data);
}

static void debug_error(struct call *call)
{
    struct bytes text = call_arg(call, 2);

    reply_errorf(call->reply, "%.*s", (int)(text.len & INT_MAX), text.data);
}

static void debug_help(struct call *call)
{
    static const char *const lines[] = {
        "DIGEST",
        "    A sum of all keys, values and whether they expire.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    A sum of the value of each key.",
        "ERROR <text>",
        "    Reply that error.",
        "LOG <text>",
        "    Write a line into the log.",
        "OBJECT <key>",
        "    Where a key's value is and how it is kept.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Make keys <prefix>:0, <prefix>:1, ... that are not there yet; of the slots that are here.",
        "PROTOCOL <type>",
        "    Reply so: string, integer, double, bignum, null, array, set, map, attrib, push, verbatim, true, false.",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Taken without effect: there are no lists.",
        "RELEASE",
        "    Let all the replies leave that wait because of WITHHOLD.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Whether expired keys go before somebody asks for them.",
        "SLEEP <seconds>",
        "    Keep this worker busy; decimals are allowed.",
        "WITHHOLD",
        "    Let this reply, or that of the transaction, wait until somebody says RELEASE.",
        NULL,
    };

    call_reply_help(call, lines);
}

static void debug_log(struct call *call)
{
    struct bytes text = call_arg(call, 2);

    /* Inside EXEC every slot is locked, and under a lock nothing is written to a file. */
    if (!call->in_exec) log_warning("debug: %.*s", text.len < 1024 ? (int)text.len : 1024, text.data);
    reply_ok(call->reply);
}

static void debug_object(struct call *call)
{
    static const char *const encodings[] = { [ENTRY_INT] = "int", [ENTRY_EMBSTR] = "embstr", [ENTRY_RAW] = "raw" };
    struct bytes key = call_arg(call, 2);
    struct slot *slot = call_slot_enter(call, key_slot(key));
    const struct entry *entry = slot_peek(slot, key, call->now_ms);
    char text[192];

    if (entry == NULL) {
        reply_error(call->reply, ERROR_NO_KEY);
    } else {
        snprintf(text, sizeof(text), "Value at:%p refcount:1 encoding:%s serializedlength:%zu lru:0 lru_seconds_idle:0",
                 (const void *)entry, encodings[entry_encoding(entry)], entry_value(entry).len + 1);
        reply_simple(call->reply, text);
    }
    call_slot_leave(call, slot);
}

static bool slot_is_here(const struct slot *slot)
{
    return owner_unpack(slot_owner(slot)).state == OWNER_HERE;
}

static void populate_one(struct call *call, struct bytes key, int64_t number, int64_t size)
{
    struct slot *slot = call_slot_enter(call, key_slot(key));
    struct entry *entry;
    char text[32], *value;
    size_t bytes = (size_t)snprintf(text, sizeof(text), "value:%lld", (long long)number);

    if (slot_is_here(slot) && slot_peek(slot, key, call->now_ms) == NULL) {
        entry = entry_new_sized(key, size == 0 ? bytes : (size_t)size, ENTRY_KEEPS_FOREVER);
        value = entry_value_mutable(entry);
        if (size > 0) memset(value, 0, (size_t)size);
        memcpy(value, text, size > 0 && (size_t)size < bytes ? (size_t)size : bytes);
        slot_put(slot, &entry);
    }
    call_slot_leave(call, slot);
}

static void debug_populate(struct call *call)
{
    struct bytes prefix = call->argc > 3 ? call_arg(call, 3) : BYTES("key");
    struct buf key = { 0 };
    int64_t count, size = 0, bulk_max = config_int(call->node->config, proto_max_bulk_len);

    if (!bytes_to_i64(call_arg(call, 2), &count) || count < 0 ||
        (call->argc > 4 && (!bytes_to_i64(call_arg(call, 4), &size) || size < 0 || size > bulk_max))) {
        reply_error(call->reply, "ERR value is out of range, must be positive");
        return;
    }
    for (int64_t number = 0; number < count; number++) {
        key.len = 0;
        buf_append_bytes(&key, prefix);
        buf_printf(&key, ":%lld", (long long)number);
        populate_one(call, buf_bytes(&key), number, size);
    }
    buf_free(&key);
    reply_ok(call->reply);
}

static void debug_quicklist_packed_threshold(struct call *call)
{
    uint64_t bytes;

    if (option_size(call_arg(call, 2), &bytes) && bytes <= UINT32_MAX)
        reply_ok(call->reply);
    else
        reply_error(call->reply, "ERR argument must be a memory value bigger than 1 and smaller than 4gb");
}

static void debug_release(struct call *call)
{
    if (call->in_exec) /* whose locks are held */
        reply_error(call->reply, "ERR not within a transaction");
    else
        reply_integer(call->reply, (int64_t)withheld_list_release(&call->node->withheld));
}

static void debug_withhold(struct call *call)
{
    withheld_list_add(&call->node->withheld, client_withhold(call->client));
    reply_ok(call->reply);
}

static void debug_set_active_expire(struct call *call)
{
    bool on = bytes_equal(call_arg(call, 2), BYTES("1"));

    atomic_store_explicit(&call->node->active_expire_off, !on, memory_order_relaxed);
    reply_ok(call->reply);
}

static void debug_sleep(struct call *call)
{
    long double seconds;
    struct timespec *left;

    if (!bytes_to_long_double(call_arg(call, 2), &seconds) || !(seconds >= 0)) {
        reply_error(call->reply, ERROR_NOT_FLOAT);
        return;
    }
    if (seconds > 3600) seconds = 3600;
    call->kept = left = alloc(sizeof(*left));
    left->tv_sec = (time_t)seconds;
    left->tv_nsec = (long)((seconds - (long double)left->tv_sec) * 1e9L);
}

/* Of DEBUG SLEEP, which keeps its worker, and nobody else, not even from within EXEC. */
static void debug_finish(struct call *call)
{
    struct timespec *left = call->kept;

    call->kept = NULL;
    lock_assert_none_held();
    while (nanosleep(left, left) == -1 && errno == EINTR) continue;
    alloc_free(left);
    reply_ok(call->reply);
}

static bool is_local(const struct client *client)
{
    return (client_flags(client) & CLIENT_UNIX_SOCKET) || strncmp(client->peer, "127.", 4) == 0 ||
           strncmp(client->peer, "::1", 3) == 0 || strncmp(client->peer, "[::1]", 5) == 0;
}

static bool is_allowed(const struct call *call)
{
    int64_t who = config_int(call->node->config, enable_debug_command);

    return who == CONFIG_YES || (who == CONFIG_LOCAL && is_local(call->client));
}

static void debug(struct call *call)
{
    static const struct debug_subcommand subcommands[] = {
        { "digest", 2, 2, debug_digest },
        { "digest-value", 2, INT_MAX, debug_digest_value },
        { "error", 3, 3, debug_error },
        { "help", 2, 2, debug_help },
        { "log", 3, 3, debug_log },
        { "object", 3, 4, debug_object },
        { "populate", 3, 5, debug_populate },
        { "protocol", 3, 3, debug_protocol },
        { "quicklist-packed-threshold", 3, 3, debug_quicklist_packed_threshold },
        { "release", 2, 2, debug_release },
        { "set-active-expire", 3, 3, debug_set_active_expire },
        { "sleep", 3, 3, debug_sleep },
        { "withhold", 2, 2, debug_withhold },
    };

    if (!is_allowed(call)) {
        reply_error(call->reply, "ERR DEBUG command not allowed. If the enable-debug-command option is set to "
                                 "\"local\", you can run it from a "
                                 "local connection, otherwise you need to set this option in the configuration file, "
                                 "and then restart the "
                                 "server.");
        return;
    }

    for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
        const struct debug_subcommand *subcommand = &subcommands[i];

        if (!call_arg_is(call, 1, subcommand->name)) continue;
        if (call->argc < subcommand->argc_min || call->argc > subcommand->argc_max) break;
        subcommand->run(call);
        return;
    }
    reply_subcommand_error(call);
}

const struct command command_debug = {
    .name = "debug",
    .summary = "Tools for testing the node itself",
    .since = "1.0.0",
    .group = "server",
    .complexity = "Depends on the subcommand",
    .is_system = true,
    .arity = -2,
    .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_ALL_SLOTS,
    .run = debug,
    .finish = debug_finish,
};
