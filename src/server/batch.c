/* server/batch.c: see batch.h for what belongs together here. */
#include "server/batch.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/huge_pages.h"
#include "base/log.h"
#include "cache/hotkeys_line.h"
#include "server/dispatch.h"
#include "server/intake.h"
#include "server/park.h"
#include "server/worker_internal.h"

#include <string.h>

#define UNAUTHENTICATED_ARGS_MAX 10
#define UNAUTHENTICATED_BULK_MAX 16384
#define ARGS_MAX (1024 * 1024)
#define INLINE_MAX (64u << 10)
/* Commands may see a time that is so much older than the clock, and no more. */
#define TIME_NS_MAX 500000u
/* A client whose command took so long, or all its commands together so long, has had its turn. */
#define LONG_NS 1000000u
#define TURN_NS_MAX 10000000u

static struct request_limits limits_for(const struct client *client)
{
    const struct config *config = client->worker->node->config;

    if (!(client_flags(client) & CLIENT_AUTHENTICATED) && config_int(config, requires_password))
        return (struct request_limits){ .args_max = UNAUTHENTICATED_ARGS_MAX,
                                        .bulk_max = UNAUTHENTICATED_BULK_MAX,
                                        .inline_max = INLINE_MAX,
                                        .unauthenticated = true };
    return (struct request_limits){ .args_max = ARGS_MAX,
                                    .bulk_max = config_int(config, proto_max_bulk_len),
                                    .inline_max = INLINE_MAX };
}

/* Other protocols that were sent here by mistake or malice: nothing of what they say may run, and a browser that was lured into
 * posting to us must not get through with the lines of its body. */
static inline bool is_other_protocol(const struct request *request, const struct command *command, bool is_inline)
{
    const struct bytes *argv = request->argv;

    if (command == NULL && (bytes_is_word(argv[0], "post") || bytes_is_word(argv[0], "host:"))) return true;
    return is_inline && request->argc == 3 && argv[2].len >= 5 && memcmp(argv[2].data, "HTTP/", 5) == 0;
}

static bool is_tls_hello(struct bytes data)
{
    return data.len >= 2 && data.data[0] == 0x16 && data.data[1] == 0x03;
}

static void close_other_protocol(struct client *client)
{
    log_warning("client %llu: %s speaks another protocol (HTTP or TLS?); closed", (unsigned long long)client->id,
                client->peer);
    atomic_store_explicit(&client->kill, true, memory_order_relaxed);
}

/* A request that is cut moves from its place to its client, and back when more of it has come. */
static void put_aside(struct client *client, struct request *request)
{
    client->request = alloc(sizeof(*request));
    *client->request = *request;
    *request = (struct request){ 0 };
}

static void take_up(struct client *client, struct request *request)
{
    request_free(request);
    *request = *client->request;
    alloc_free(client->request);
    client->request = NULL;
}

static bool has_one_key(const struct command *command, int argc)
{
    return command->keys[0].first != 0 && command->find_keys == NULL && command->keys[0].last == 0 &&
           command->keys[1].first == 0 && argc > command->keys[0].first;
}

/* Finds the command and its key's slot, and starts to load that. Subcommands, and commands of several keys, are looked at when they run. */
static void prepare(const struct worker *worker, const struct request *request, struct prepared *prepared)
{
    *prepared = (struct prepared){ .command = NULL };
    if (request->argc == 0) return;
    prepared->command = command_find_numbered(worker->node->commands, request->argv[0], &prepared->number);
    if (prepared->command != NULL && has_one_key(prepared->command, request->argc)) {
        struct bytes key = request->argv[prepared->command->keys[0].first];

        uint16_t slot = key_slot(key);

        prepared->slot = keyspace_slot(worker->node->keyspace, slot);
        slot_prefetch_head(prepared->slot);
        hotkeys_prefetch(worker->node->hotkeys, slot);
        prepared->hash = slot_hash(key);
    }
}

/* What a batch will touch is loaded step by step, each for all its commands, so that their misses overlap. */
static void look_ahead(struct worker *worker, int count)
{
    const struct prepared *batch = worker->prepared;

    reclaim_enter(&worker->reader);
    for (enum slot_prefetch_step step = SLOT_PREFETCH_CELL; step <= SLOT_PREFETCH_ENTRY; step++)
        for (int i = 0; i < count; i++)
            if (batch[i].slot != NULL) slot_prefetch(batch[i].slot, batch[i].hash, step);
    reclaim_leave(&worker->reader);
}

static int distance(const struct worker *worker)
{
    int64_t wanted = config_int(worker->node->config, look_ahead);

    return wanted < 1 ? 1 : (int)wanted;
}

/* Reads requests of one client into the places from part->first on, up to `end`. */
static void read_part(struct worker *worker, struct batch_part *part, int end)
{
    struct client *client = part->client;
    struct request_limits limits = limits_for(client);
    struct bytes data = { part->data.data + part->used, part->data.len - part->used };

    part->count = 0;
    part->last = REQUEST_READY;
    if (limits.unauthenticated) end = part->first + 1;
    if (client->request != NULL) take_up(client, &worker->batch[part->first]);
    while (part->first + part->count < end && data.len > 0) {
        int at = part->first + part->count;
        struct request *request = &worker->batch[at];

        worker->prepared[at].slot = NULL;
        part->last = request_read(request, data, &limits);
        if (part->last != REQUEST_READY) break;
        data.data += request->consumed;
        data.len -= request->consumed;
        prepare(worker, request, &worker->prepared[at]);
        part->count++;
    }
    part->has_more = part->last == REQUEST_READY && data.len > 0;
}

/* Now and then: what has to be looked at more often than once a turn, which may be long, and less than for each command. */
static void look_up(struct worker *worker)
{
    huge_pages_keep_up();
    worker->now_ticks = clock_ticks();
    worker->now_ms = clock_now_ms();
}

int batch_read(struct worker *worker, struct batch_part *parts, int count)
{
    int most = distance(worker), places = 0, read = 0;

    look_up(worker);
    while (read < count && places < most) {
        struct batch_part *part = &parts[read++];

        *part = (struct batch_part){ .client = part->client, .data = part->data, .first = places };
        if (part->client != NULL) read_part(worker, part, most);
        /* What could not be read to its end has a place of its own, where the reading goes on or the error is. */
        places += part->count + (part->last != REQUEST_READY);
        if (part->has_more) break; /* the rest is read when this much has run, and then into the first places */
    }
    if (most > 1 && places > 1) look_ahead(worker, places);
    return read;
}

void batch_set_marks(struct worker *worker)
{
    size_t turn_ends_at = worker->turn_ends_at + worker->pieces.bytes;

    worker->look_at = turn_ends_at < worker->behind_at ? turn_ends_at : worker->behind_at;
}

/* Where a reply begins. */
struct mark {
    size_t bytes, pieces;
};

static void end_reply(struct client *client, struct call *call, struct mark mark, uint64_t errors)
{
    struct worker *worker = client->worker;
    uint32_t flags;

    if (__builtin_expect(call->reply->errors != errors, 0)) {
        count_up(&worker->counters.errors, call->reply->errors - errors);
        worker_count_error(worker, call->reply->error_code);
    }
    flags = client_flags(client);
    if (!(flags & (CLIENT_ASKING | CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT))) return;
    /* ASKING holds for one command, or for the transaction it stands before. */
    if (!(flags & CLIENT_MULTI) && (call->command == NULL || strcmp(call->command->name, "asking") != 0))
        client_clear(client, CLIENT_ASKING);
    if ((flags & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP)) && !call->is_push) {
        worker->out.len = mark.bytes;
        reply_pieces_drop(&worker->pieces, mark.pieces);
    }
    if (flags & (CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT)) {
        client_clear(client, CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT);
        if (flags & CLIENT_REPLY_SKIP_NEXT) client_set(client, CLIENT_REPLY_SKIP);
    }
}

static bool is_over(const struct client *client)
{
    return (client_flags(client) & (CLIENT_CLOSE_AFTER_REPLY | CLIENT_PAUSED | CLIENT_HELD | CLIENT_BEHIND |
                                    CLIENT_MORE | CLIENT_PARKED)) != 0 ||
           atomic_load_explicit(&client->kill, memory_order_relaxed);
}

/* The request will be read again, but its value is not in the data: it goes on being cut behind it. */
static void pause_intake(struct client *client, struct request *request)
{
    if (client->intake.entry == NULL) return;
    request_undo(request);
    put_aside(client, request);
}

/* The replies to a client have passed a mark. */
static void look_at_replies(struct worker *worker, struct client *client)
{
    if (worker->out.len + worker->pieces.bytes > worker->behind_at)
        client_set(client, CLIENT_BEHIND);
    else if (worker->out.len > worker->turn_ends_at)
        client_set(client, CLIENT_MORE);
    else /* what is not copied costs nothing here */
        batch_set_marks(worker);
}

/* The time that commands are told has become old; where it is much older than TIME_NS_MAX the command that has just run took that long. The next one begins
 * behind this: never before the time it is told. */
static void look_at_time(struct worker *worker, struct client *client, uint64_t *clock)
{
    if (clock_ticks_to_ns(*clock - worker->now_ticks) > LONG_NS ||
        clock_ticks_to_ns(*clock - worker->turn_began) > TURN_NS_MAX)
        client_set(client, CLIENT_MORE);
    look_up(worker);
    *clock = worker->now_ticks;
}

/* Runs what was read of a part. */
static void run_part(struct worker *worker, struct batch_part *part, uint64_t *clock)
{
    struct client *client = part->client;
    struct call call; /* what is a command's own is set before each: call_renew() */

    call.node = worker->node;
    call.worker = worker;
    call.client = client;
    call.reply = &client->reply;
    call.part = part;
    for (int at = part->first; at < part->first + part->count && !is_over(client); at++) {
        struct request *request = &worker->batch[at];
        struct mark mark = { worker->out.len, worker->pieces.count };
        uint64_t errors = client->reply.errors;

        if (request->argc > 0) {
            call_renew(&call);
            call.argc = request->argc;
            call.argv = request->argv;
            call.incoming = &client->intake.entry;
            call.now_ms = worker->now_ms;
            call.request_bytes = request->consumed;
            call.no_touch = (client_flags(client) & CLIENT_NO_TOUCH) != 0;
            if (is_other_protocol(request, worker->prepared[at].command, part->data.data[part->used] != '*')) {
                close_other_protocol(client);
                return;
            }
            enum outcome outcome = dispatch_request(&call, &worker->prepared[at], clock);

            if (outcome != OUTCOME_DONE) {
                client_set(client, outcome == OUTCOME_PARKED ? CLIENT_PARKED : CLIENT_PAUSED);
                pause_intake(client, request);
                return;
            }
            if (__builtin_expect(client->park != NULL, 0)) park_answered(client);
            if (client->intake.entry != NULL) intake_end(client);
            end_reply(client, &call, mark, errors);
            if (worker->out.len + worker->pieces.bytes > worker->look_at) look_at_replies(worker, client);
            if (clock_ticks_to_ns(*clock - worker->now_ticks) > TIME_NS_MAX) look_at_time(worker, client, clock);
        }
        part->used += request->consumed;
    }
}

/* What cannot be read is answered with an error, the last one. */
static void refuse_part(struct worker *worker, struct batch_part *part)
{
    struct request *request = &worker->batch[part->first + part->count];
    struct client *client = part->client;
    uint64_t errors = client->reply.errors;

    reply_error(&client->reply, request->error);
    if (client->reply.errors != errors) worker_count_error(worker, client->reply.error_code);
    request_reset(request);
    client_set(client, CLIENT_CLOSE_AFTER_REPLY);
    part->used = part->data.len;
}

size_t batch_run(struct worker *worker, struct batch_part *part)
{
    struct client *client = part->client;
    struct request *next;
    uint64_t clock = clock_ticks();
    int left = TURN_COMMANDS;

    worker->turn_began = clock;
    /* Data begins where a request does, also where the request came in pieces. */
    if (is_tls_hello(part->data)) {
        batch_drop(worker, part);
        close_other_protocol(client);
        return part->data.len;
    }
    atomic_store_explicit(&client->last_active_ms, worker->now_ms, memory_order_relaxed);
    for (;;) {
        run_part(worker, part, &clock);
        if (is_over(client) || !part->has_more) break;
        left -= part->count;
        if (left <= 0) {
            client_set(client, CLIENT_MORE);
            break;
        }
        part->first = 0;
        read_part(worker, part, distance(worker));
        if (part->count > 1) look_ahead(worker, part->count);
    }
    next = &worker->batch[part->first + part->count];
    if (is_over(client)) {
        if (part->last != REQUEST_READY) request_reset(next);
    } else if (part->last == REQUEST_PARTIAL) {
        put_aside(client, next);
    } else if (part->last == REQUEST_BROKEN) {
        refuse_part(worker, part);
    }
    /* Nothing that another protocol has sent is looked at again. */
    return atomic_load_explicit(&client->kill, memory_order_relaxed) ? part->data.len : part->used;
}

void batch_drop(struct worker *worker, const struct batch_part *part)
{
    if (part->last != REQUEST_READY) request_reset(&worker->batch[part->first + part->count]);
}
