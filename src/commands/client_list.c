/* The clients of all workers, looked at under each worker's registry lock. Under it a line is written or a mark is set and nothing else;
 * sorting, choosing and replying come after. */
#include "commands/client_list.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "server/call.h"
#include "server/client.h"
#include "server/node.h"
#include "server/topics.h"
#include "server/worker.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#define LOADED(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* --- Types --- */

enum client_type { TYPE_ANY, TYPE_NORMAL, TYPE_REPLICA, TYPE_PUBSUB, TYPE_PRIMARY };

/* We have no replicas and no primary. */
static bool is_of_type(const struct client *client, enum client_type type)
{
    switch (type) {
    case TYPE_ANY:
        return true;
    case TYPE_NORMAL:
        return !(client_flags(client) & CLIENT_SUBSCRIBED);
    case TYPE_PUBSUB:
        return (client_flags(client) & CLIENT_SUBSCRIBED) != 0;
    case TYPE_REPLICA:
    case TYPE_PRIMARY:
        return false;
    }
    return false;
}

/* False: has replied. */
static bool read_type(struct call *call, int arg, enum client_type *type)
{
    struct bytes word = call_arg(call, arg);

    if (bytes_is_word(word, "normal")) {
        *type = TYPE_NORMAL;
    } else if (bytes_is_word(word, "slave") || bytes_is_word(word, "replica")) {
        *type = TYPE_REPLICA;
    } else if (bytes_is_word(word, "pubsub")) {
        *type = TYPE_PUBSUB;
    } else if (bytes_is_word(word, "master")) {
        *type = TYPE_PRIMARY;
    } else {
        reply_errorf(call->reply, "ERR Unknown client type '%.*s'", (int)(word.len & INT_MAX), word.data);
        return false;
    }
    return true;
}

/* --- Lines --- */

static void append_flags(struct buf *out, uint32_t flags, bool is_closing)
{
    size_t before = out->len;

    if (flags & CLIENT_MONITOR) buf_append_byte(out, 'O');
    if (flags & CLIENT_SUBSCRIBED) buf_append_byte(out, 'P');
    if (flags & CLIENT_MULTI) buf_append_byte(out, 'x');
    if (flags & (CLIENT_PAUSED | CLIENT_PARKED)) buf_append_byte(out, 'b');
    if (flags & CLIENT_CLOSE_AFTER_REPLY) buf_append_byte(out, 'c');
    if (is_closing) buf_append_byte(out, 'A');
    if (flags & CLIENT_UNIX_SOCKET) buf_append_byte(out, 'U');
    if (flags & CLIENT_READONLY) buf_append_byte(out, 'r');
    if (flags & CLIENT_NO_EVICT) buf_append_byte(out, 'e');
    if (flags & CLIENT_NO_TOUCH) buf_append_byte(out, 'T');
    if (out->len == before) buf_append_byte(out, 'N');
}

static void append_command_name(struct buf *out, const struct command *command)
{
    if (command == NULL)
        buf_append_text(out, "NULL");
    else if (command->parent != NULL)
        buf_printf(out, "%s|%s", command->parent, command->name);
    else
        buf_append_text(out, command->name);
}

/* The fields and their order are Redis 7.2's. What we have no buffer for is 0. */
static void append_client(struct buf *out, struct client *client, int64_t now_ms)
{
    uint32_t flags = client_flags(client);
    uint64_t output = LOADED(client->output_bytes);
    int multi = flags & CLIENT_MULTI ? (int)LOADED(client->multi_count) : -1;

    buf_printf(out, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=", (unsigned long long)client->id,
               client->peer, client->local, LOADED(client->fd), client->name != NULL ? client->name : "",
               (long long)((now_ms - client->created_ms) / 1000),
               (long long)((now_ms - LOADED(client->last_active_ms)) / 1000));
    append_flags(out, flags, LOADED(client->kill));
    buf_printf(out,
               " db=0 sub=%u psub=%u ssub=%u multi=%d qbuf=%" PRIu64 " qbuf-free=%" PRIu64 " argv-mem=%" PRIu64
               " multi-mem=%" PRIu64 " rbs=0 rbp=0 obl=0 oll=%u omem=%" PRIu64 " tot-mem=%" PRIu64 " events=%s cmd=",
               LOADED(client->subscribed[TOPIC_CHANNEL]), LOADED(client->subscribed[TOPIC_PATTERN]),
               LOADED(client->subscribed[TOPIC_SHARD]), multi, LOADED(client->query_bytes), LOADED(client->query_free),
               LOADED(client->argument_bytes), LOADED(client->multi_bytes), LOADED(client->output_chunks), output,
               LOADED(client->memory), output > 0 ? "rw" : "r");
    append_command_name(out, LOADED(client->last_command));
    buf_printf(out, " user=default redir=-1 resp=%u lib-name=%s lib-ver=%s\n", LOADED(client->resp),
               client->lib_name != NULL ? client->lib_name : "",
               client->lib_version != NULL ? client->lib_version : "");
}

struct line {
    uint64_t id;
    size_t begin, len;
};

struct listing {
    struct buf text;
    struct line *lines;
    size_t count, cap;
    int64_t now_ms;
    enum client_type type;
};

static void list_client(void *context, struct client *client)
{
    struct listing *listing = context;
    size_t begin = listing->text.len;

    if (!is_of_type(client, listing->type)) return;
    append_client(&listing->text, client, listing->now_ms);
    if (listing->count == listing->cap) {
        listing->cap = listing->cap == 0 ? 64 : listing->cap * 2;
        listing->lines = alloc_resize(listing->lines, listing->cap * sizeof(*listing->lines));
    }
    listing->lines[listing->count++] = (struct line){ client->id, begin, listing->text.len - begin };
}

static int compare_lines(const void *a, const void *b)
{
    const struct line *left = a, *right = b;

    return left->id < right->id ? -1 : left->id > right->id;
}

static void listing_make(struct listing *listing, const struct call *call, enum client_type type)
{
    *listing = (struct listing){ .now_ms = clock_now_ms(), .type = type };
    for (int i = 0; i < call->node->worker_count; i++) worker_each_client(call->node->workers[i], list_client, listing);
    if (listing->count > 0) qsort(listing->lines, listing->count, sizeof(*listing->lines), compare_lines);
}

static void listing_append(const struct listing *listing, const struct line *line, struct buf *out)
{
    buf_append(out, listing->text.data + line->begin, line->len);
}

static void listing_free(struct listing *listing)
{
    buf_free(&listing->text);
    alloc_free(listing->lines);
}

/* --- LIST and INFO --- */

static void append_ids(struct call *call, const struct listing *listing, struct buf *out)
{
    for (int arg = 3; arg < call->argc; arg++) {
        struct line wanted = { 0 };
        const struct line *found;
        int64_t id;

        if (!bytes_to_i64(call_arg(call, arg), &id) || id < 0) continue;
        wanted.id = (uint64_t)id;
        found = listing->count == 0
                    ? NULL
                    : bsearch(&wanted, listing->lines, listing->count, sizeof(*listing->lines), compare_lines);
        if (found != NULL) listing_append(listing, found, out);
    }
}

static bool ids_are_numbers(struct call *call)
{
    for (int arg = 3; arg < call->argc; arg++) {
        int64_t id;

        if (bytes_to_i64(call_arg(call, arg), &id)) continue;
        reply_error(call->reply, "ERR Invalid client ID");
        return false;
    }
    return true;
}

void client_list(struct call *call)
{
    bool by_id = call->argc > 3 && call_arg_is(call, 2, "id");
    enum client_type type = TYPE_ANY;
    struct listing listing;
    struct buf out = { 0 };

    if (call->argc == 4 && call_arg_is(call, 2, "type")) {
        if (!read_type(call, 3, &type)) return;
    } else if (by_id) {
        if (!ids_are_numbers(call)) return;
    } else if (call->argc != 2) {
        reply_error(call->reply, ERROR_SYNTAX);
        return;
    }
    listing_make(&listing, call, type);
    if (by_id)
        append_ids(call, &listing, &out);
    else
        for (size_t i = 0; i < listing.count; i++) listing_append(&listing, &listing.lines[i], &out);
    reply_verbatim(call->reply, buf_bytes(&out));
    buf_free(&out);
    listing_free(&listing);
}

void client_info_line(struct client *client, struct buf *out)
{
    append_client(out, client, clock_now_ms());
    if (out->len > 0 && out->data[out->len - 1] == '\n') out->len--;
}

void client_info(struct call *call)
{
    struct buf out = { 0 };

    append_client(&out, call->client, clock_now_ms());
    reply_verbatim(call->reply, buf_bytes(&out));
    buf_free(&out);
}

/* --- KILL --- */

struct kill {
    struct client *me;
    bool skip_me;
    uint64_t id; /* 0: any */
    struct bytes peer, local;
    bool has_peer, has_local;
    enum client_type type;
    int64_t killed;
};

static void kill_client(void *context, struct client *client)
{
    struct kill *kill = context;

    if (LOADED(client->kill)) return;
    if (kill->has_peer && !bytes_equal(kill->peer, bytes_of(client->peer))) return;
    if (kill->has_local && !bytes_equal(kill->local, bytes_of(client->local))) return;
    if (!is_of_type(client, kill->type)) return;
    if (kill->id != 0 && kill->id != client->id) return;
    if (kill->skip_me && client == kill->me) return;
    client_kill(client);
    kill->killed++;
}

/* One option and its value; false: has replied. */
static bool read_kill_option(struct call *call, int arg, struct kill *kill)
{
    struct bytes value = call_arg(call, arg + 1);
    int64_t id;

    if (call_arg_is(call, arg, "id")) {
        if (!bytes_to_i64(value, &id) || id < 1) {
            reply_error(call->reply, "ERR client-id should be greater than 0");
            return false;
        }
        kill->id = (uint64_t)id;
        return true;
    }
    if (call_arg_is(call, arg, "type")) return read_type(call, arg + 1, &kill->type);
    if (call_arg_is(call, arg, "addr")) {
        kill->has_peer = true;
        kill->peer = value;
        return true;
    }
    if (call_arg_is(call, arg, "laddr")) {
        kill->has_local = true;
        kill->local = value;
        return true;
    }
    if (call_arg_is(call, arg, "user")) {
        if (bytes_equal(value, BYTES("default"))) return true;
        reply_errorf(call->reply, "ERR No such user '%.*s'", (int)(value.len & INT_MAX), value.data);
        return false;
    }
    if (call_arg_is(call, arg, "skipme")) {
        kill->skip_me = bytes_is_word(value, "yes");
        if (kill->skip_me || bytes_is_word(value, "no")) return true;
    }
    reply_error(call->reply, ERROR_SYNTAX);
    return false;
}

void client_kill_matching(struct call *call)
{
    bool is_old_form = call->argc == 3;
    struct kill kill = { .me = call->client, .skip_me = !is_old_form };

    if (is_old_form) {
        kill.has_peer = true;
        kill.peer = call_arg(call, 2);
    } else {
        for (int arg = 2; arg < call->argc; arg += 2) {
            if (arg + 1 == call->argc) {
                reply_error(call->reply, ERROR_SYNTAX);
                return;
            }
            if (!read_kill_option(call, arg, &kill)) return;
        }
    }
    for (int i = 0; i < call->node->worker_count; i++) worker_each_client(call->node->workers[i], kill_client, &kill);
    if (!is_old_form)
        reply_integer(call->reply, kill.killed);
    else if (kill.killed > 0)
        reply_ok(call->reply);
    else
        reply_error(call->reply, "ERR No such client");
}
