/* server/client_io.c
 *
 * Bytes in, replies out. A turn of the worker's loop reads each ready client once. Small requests wait until several clients have
 * sent theirs, so that what they will touch can be fetched for all of them at once. They are answered into one buffer that all share, and
 * the replies leave together at the end of the turn:
 *
 *     scratch | 7's requests | 9's requests | ...
 *     out     | replies to client 7 | replies to client 9        | ... |
 *     pieces                          ^ a big value belongs here: written from its entry, never copied
 *
 * A client that wants more than its share of a turn has the rest in later ones: server/turns.h.
 *
 * Nobody makes us keep much for a client that does not read. A client with more than AHEAD_BYTES_MAX of unread replies is *behind*: what it
 * sends is read, so that a client that writes all its requests before it reads a reply is not stuck, but answered only when the
 * replies have left. One reply may still be as big as its command makes it; that is what client-output-buffer-limit is for. Where that is
 * set low enough to be a bound by itself, it is left to be it: the client is answered until it is over, and disconnected, as Redis does. */
#include "server/client.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/events.h"
#include "server/park.h"
#include "server/pubsub.h"
#include "server/salt_home.h"
#include "server/snapshot.h"
#include "server/worker_internal.h"

/* An unauthenticated client may cost this much and no more. */
#define UNAUTHENTICATED_QUERY_MAX (1u << 20)
#define UNAUTHENTICATED_REPLY_MAX 1024u
/* And all of them together this much, however many they are. */
#define UNAUTHENTICATED_TOTAL_MAX (64 << 20)

/* A client that has sent so much has a pipeline, or a value, and need not wait for others. */
#define ALONE_BYTES 512u
_Static_assert(LOOK_AHEAD_MAX *ALONE_BYTES + READ_BYTES <= SCRATCH_BYTES, "what the clients of a batch have sent fits");
#define AHEAD_BYTES_MAX (8u << 20)
#define LOW_LIMIT_MAX ((uint64_t)256 << 20)

static bool asks_for_password(const struct client *client)
{
    return !(client_flags(client) & CLIENT_AUTHENTICATED) &&
           config_int(client->worker->node->config, requires_password);
}

/* --- Accounts --- */

/* Keeps the node's sum of what unauthenticated clients hold; returns that sum. */
static int64_t count_unauthenticated(struct client *client, size_t bytes)
{
    int64_t counted = asks_for_password(client) ? (int64_t)bytes : 0, by = counted - client->unauthenticated_bytes;
    _Atomic int64_t *total = &client->worker->node->unauthenticated_bytes;

    if (by == 0) return atomic_load_explicit(total, memory_order_relaxed);
    client->unauthenticated_bytes = counted;
    return atomic_fetch_add_explicit(total, by, memory_order_relaxed) + by;
}

static void count_memory(struct client *client, uint64_t bytes)
{
    uint64_t former = atomic_load_explicit(&client->memory, memory_order_relaxed);

    /* The node's sum is written by all workers, but only when a client's part changes: an idle or a well-read one's never does. */
    if (bytes == former) return;
    atomic_store_explicit(&client->memory, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&client->worker->node->client_bytes, (int64_t)(bytes - former), memory_order_relaxed);
}

/* What has come of requests that did not run. */
static struct bytes query_bytes(const struct client *client)
{
    if (client->query.len == 0) return BYTES_NONE;
    return (struct bytes){ client->query.data + client->query_ran, client->query.len - client->query_ran };
}

/* Bytes of it, those in an entry included. */
static size_t query_len(const struct client *client)
{
    return client->query.len - client->query_ran + (client->intake.entry == NULL ? 0 : client->intake.filled);
}

/* Has it nothing of its own, and is that what was published? So it nearly always is, and then there is nothing to do. */
static bool is_bare(const struct client *client)
{
    return client->request == NULL && client->query.cap == 0 && client->conn.kept == 0 &&
           client->intake.entry == NULL &&
           atomic_load_explicit(&client->memory, memory_order_relaxed) == sizeof(*client) + client->kept_bytes &&
           atomic_load_explicit(&client->multi_bytes, memory_order_relaxed) == 0;
}

static void publish(struct client *client)
{
    const struct conn *conn = &client->conn;
    const struct request *request = client->request;
    uint64_t multi = atomic_load_explicit(&client->multi_bytes, memory_order_relaxed);
    uint64_t arguments = 0;

    if (request != NULL)
        arguments = sizeof(*request) + (uint64_t)request->argv_cap * sizeof(*request->argv) +
                    (uint64_t)request->spans_cap * sizeof(*request->spans);
    atomic_store_explicit(&client->query_bytes, query_len(client), memory_order_relaxed);
    atomic_store_explicit(&client->query_free, client->query.cap - client->query.len, memory_order_relaxed);
    atomic_store_explicit(&client->argument_bytes, arguments, memory_order_relaxed);
    atomic_store_explicit(&client->output_bytes, conn->kept, memory_order_relaxed);
    atomic_store_explicit(&client->output_chunks, conn->chunk_count, memory_order_relaxed);
    count_memory(client, sizeof(*client) + client->kept_bytes + client->query.cap + intake_bytes(client) + arguments +
                             conn->kept + multi + pubsub_bytes(client) + hold_bytes(client));
}

void client_account(struct client *client)
{
    if (!is_bare(client)) publish(client);
}

void client_account_subscriptions(struct client *client)
{
    publish(client);
}

void client_account_gone(struct client *client)
{
    count_unauthenticated(client, 0);
    count_memory(client, 0);
}

/* --- Replies out --- */

/* What client-output-buffer-limit calls it: one that MONITORs is sent what it did not ask for, as a replica is; and a backup is read like
 * one. */
static enum config_client_class class_of(const struct client *client)
{
    if (client_flags(client) & CLIENT_SUBSCRIBED) return CLIENT_CLASS_PUBSUB;
    return (client_flags(client) & CLIENT_MONITOR) || client->snapshot != NULL ? CLIENT_CLASS_REPLICA
                                                                               : CLIENT_CLASS_NORMAL;
}

static bool has_low_limit(const struct client *client)
{
    uint64_t hard =
        (uint64_t)config_int(client->worker->node->config, client_output_buffer_limit[class_of(client)].hard_bytes);

    return hard > 0 && hard < LOW_LIMIT_MAX;
}

/* Bounds by class: `hard` at once, `soft` when it has been exceeded for so many seconds. */
static bool is_over_limit(struct client *client)
{
    const struct config *config = client->worker->node->config;
    enum config_client_class class = class_of(client);
    uint64_t hard = (uint64_t)config_int(config, client_output_buffer_limit[class].hard_bytes);
    uint64_t soft = (uint64_t)config_int(config, client_output_buffer_limit[class].soft_bytes);
    int64_t seconds = config_int(config, client_output_buffer_limit[class].soft_seconds), now_ms;
    size_t kept = client->conn.kept;

    if (asks_for_password(client) && conn_pending(&client->conn) > UNAUTHENTICATED_REPLY_MAX) return true;
    if (hard > 0 && kept > hard) return true;
    if (soft == 0 || kept <= soft) {
        client->over_soft_since_ms = 0;
        return false;
    }
    now_ms = clock_monotonic_ms();
    if (client->over_soft_since_ms == 0) client->over_soft_since_ms = now_ms;
    /* Whatever was set may be more than there are milliseconds. */
    return seconds < INT64_MAX / 1000 && now_ms - client->over_soft_since_ms > seconds * 1000;
}

bool client_output_is_over_limit(struct client *client)
{
    if (conn_pending(&client->conn) > 0) return is_over_limit(client);
    client->over_soft_since_ms = 0;
    return false;
}

void client_close_slow(struct client *client)
{
    log_warning("client %llu: %s reads too slowly, %zu bytes wait; closed", (unsigned long long)client->id,
                client->peer, conn_pending(&client->conn));
    client_close(client);
}

/* Has everything been said, with nothing left to answer? */
static bool is_done(const struct client *client)
{
    uint32_t flags = client_flags(client);

    if (conn_pending(&client->conn) > 0 || client->snapshot != NULL || (flags & CLIENT_HELD)) return false;
    if (flags & CLIENT_CLOSE_AFTER_REPLY) return true;
    return (flags & CLIENT_ENDED) && !(flags & (CLIENT_BEHIND | CLIENT_MORE | CLIENT_PAUSED | CLIENT_PARKED));
}

/* Was it answered in this turn? Then the end of the turn writes that, and closes it where it is done. */
static bool is_answered(const struct client *client)
{
    const struct worker *worker = client->worker;

    for (size_t i = 0; i < worker->reply_count; i++)
        if (worker->replies[i].client == client) return true;
    return false;
}

/* What lies in the worker's buffer; where nothing does there may be no buffer. */
static struct piece copied(const struct worker *worker, size_t from, size_t to)
{
    if (from == to) return (struct piece){ .bytes = BYTES_NONE };
    return (struct piece){ .bytes = { worker->out.data + from, to - from } };
}

/* A turn's replies to one client in the order they are written: what lies in the worker's buffer is lent, the pieces are given away. */
static size_t gather(struct worker *worker, const struct turn_reply *reply)
{
    size_t count = 0, at = reply->start, end = reply->start + reply->len;
    size_t most = 2 * reply->piece_count + 1;

    if (worker->gathered_cap < most) {
        worker->gathered_cap = most;
        worker->gathered = alloc_resize(worker->gathered, most * sizeof(*worker->gathered));
    }
    for (size_t i = 0; i < reply->piece_count; i++) {
        struct reply_piece *item = &worker->pieces.items[reply->first_piece + i];

        worker->gathered[count++] = copied(worker, at, item->offset);
        worker->gathered[count++] = item->piece;
        at = item->offset;
        worker->pieces.bytes -= item->piece.bytes.len;
        item->piece = (struct piece){ .bytes = BYTES_NONE };
    }
    worker->gathered[count++] = copied(worker, at, end);
    return count;
}

/* A client that had to wait has several replies in one turn: what waited, and what was answered after it. */
static bool is_last_of(const struct worker *worker, const struct turn_reply *reply)
{
    for (const struct turn_reply *later = reply + 1; later < worker->replies + worker->reply_count; later++)
        if (later->client == reply->client) return false;
    return true;
}

/* Commands that waited may run when it is its turn. */
static void catch_up(struct client *client)
{
    client_clear(client, CLIENT_BEHIND);
    client_set(client, CLIENT_MORE);
    turns_join(client, DUE_COMMANDS);
}

/* The replies that it was to wait for have mostly left already, and nothing else would wake it. */
static void look_whether_behind(struct client *client)
{
    if (conn_pending(&client->conn) == 0 || has_low_limit(client)) catch_up(client);
}

/* At once, as much as a call takes; or when it comes to its turn, where others have had what may be moved in this one. */
static bool write_big(struct client *client, struct piece *pieces, size_t count, size_t bytes)
{
    struct conn *conn = &client->conn;
    bool waits = conn_pending(conn) > 0;

    if (waits || turns_take(client->worker, bytes)) return conn_write_pieces(conn, pieces, count);
    conn_queue(conn, pieces, count);
    turns_join(client, DUE_WRITE);
    return true;
}

/* Writes what a turn replied to one client, and closes it where that was the last word. */
static void send_replies(struct worker *worker, const struct turn_reply *reply)
{
    struct client *client = reply->client;
    size_t bytes = reply->len;
    bool is_open = true;

    if (reply->piece_count > 0) {
        size_t count = gather(worker, reply);

        for (size_t i = 1; i < count; i += 2) bytes += worker->gathered[i].bytes.len;
        is_open = write_big(client, worker->gathered, count, bytes);
    } else if (bytes > 0) {
        is_open = conn_write(&client->conn, worker->out.data + reply->start, bytes);
    }
    if (bytes > 0) {
        count_up(&worker->counters.net_output_bytes, bytes);
        count_up(&worker->counters.writes, 1);
    }
    client_account(client);
    if (is_open && client_output_is_over_limit(client)) {
        client_close_slow(client);
        return;
    }
    if (atomic_load_explicit(&client->kill, memory_order_relaxed) || (is_done(client) && is_last_of(worker, reply)))
        is_open = false;
    if (!is_open) {
        client_close(client);
        return;
    }
    if (client_flags(client) & CLIENT_CLOSE_AFTER_REPLY) conn_set_reading(&client->conn, false);
    if (client_flags(client) & CLIENT_BEHIND) look_whether_behind(client);
}

static void answer_ready(struct worker *worker);

static bool has_small_reply(const struct worker *worker)
{
    for (size_t i = 0; i < worker->reply_count; i++)
        if (worker->replies[i].piece_count == 0 && worker->replies[i].len > 0) return true;
    return false;
}

static void write_replies(struct worker *worker)
{
    if (worker->reply_count == 0) return;
    if (has_small_reply(worker)) turns_note_small(worker);
    for (size_t i = 0; i < worker->reply_count; i++)
        if (worker->replies[i].client != NULL) send_replies(worker, &worker->replies[i]); /* else closed since */
    reply_pieces_drop(&worker->pieces, 0);
    buf_clear(&worker->out);
    if (worker->out.cap > OUT_KEPT_BYTES) buf_free(&worker->out);
    worker->reply_count = 0;
}

void worker_flush(struct worker *worker)
{
    answer_ready(worker);
    park_deliver(worker->node);
    events_deliver(worker->node);
    salt_home_deliver(worker->node);
    write_replies(worker);
}

void client_forget_turn(struct client *client)
{
    struct worker *worker = client->worker;

    for (int i = 0; i < worker->ready_count; i++)
        if (worker->ready[i].client == client) worker->ready[i].client = NULL;
    for (size_t i = 0; i < worker->reply_count; i++)
        if (worker->replies[i].client == client) worker->replies[i].client = NULL;
}

void client_send(struct client *client, struct bytes bytes)
{
    count_up(&client->worker->counters.net_output_bytes, bytes.len);
    if (!conn_write(&client->conn, bytes.data, bytes.len)) {
        client_close(client);
        return;
    }
    client_account(client);
    if (client_output_is_over_limit(client)) client_close_slow(client);
}

/* So much is queued for a client before it is offered to its socket ahead of its turn. */
#define PUSH_BYTES_MAX CONN_WRITE_BYTES

void client_push(struct client *client, struct piece *pieces, size_t count)
{
    struct conn *conn = &client->conn;
    bool waits = conn_pending(conn) > 0;
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++) bytes += pieces[i].bytes.len;
    count_up(&client->worker->counters.net_output_bytes, bytes);
    conn_queue(conn, pieces, count);
    if (!waits) turns_join(client, DUE_WRITE);
    if (!conn_is_full(conn)) {
        /* It may be gone after this. Whether it reads at all is known when its socket does not take what it is given. */
        if (conn->kept > PUSH_BYTES_MAX) conn_write_on(conn);
        return;
    }
    client_account(client);
    if (client_output_is_over_limit(client)) client_close_slow(client);
}

/* --- Requests in --- */

/* What stands in the worker's buffer from start on is this client's, and the pieces from first_piece on. */
static void post_replies(struct client *client, size_t start, size_t first_piece)
{
    struct worker *worker = client->worker;

    if (worker->reply_count == worker->reply_cap) {
        worker->reply_cap = worker->reply_cap == 0 ? 64 : worker->reply_cap * 2;
        worker->replies = alloc_resize(worker->replies, worker->reply_cap * sizeof(*worker->replies));
    }
    worker->replies[worker->reply_count++] = (struct turn_reply){ .client = client,
                                                                  .start = start,
                                                                  .len = worker->out.len - start,
                                                                  .first_piece = first_piece,
                                                                  .piece_count = worker->pieces.count - first_piece };
}

/* Takes what was posted last back and lets it wait. */
static void hold_posted(struct client *client)
{
    struct worker *worker = client->worker;
    struct turn_reply *posted = &worker->replies[worker->reply_count - 1];
    size_t count = gather(worker, posted);

    for (size_t i = 0; i < count; i++) {
        hold_replies(client, worker->gathered[i].bytes);
        piece_release(&worker->gathered[i]);
    }
    worker->out.len = posted->start;
    worker->pieces.count = posted->first_piece;
    posted->len = posted->piece_count = 0;
    publish(client); /* they may be long */
}

#define STOPPED (CLIENT_PAUSED | CLIENT_HELD | CLIENT_PARKED | CLIENT_BEHIND)

/* What it has sent by now, and is about to, runs later than it was sent for: whoever sent it here may know better by then (server/plan.c). */
static __attribute__((cold, noinline)) void note_wait(struct client *client)
{
    if (!(client_flags(client) & CLIENT_WAITED)) client->waited_since_ms = client->worker->now_ms;
    client_set(client, CLIENT_WAITED);
    client_clear(client, CLIENT_CAUGHT_UP);
}

/* It goes on, and its socket was read, to its end or not: behind the end nothing has waited. */
static __attribute__((cold, noinline)) void note_read(struct client *client, bool to_the_end)
{
    uint32_t flags = client_flags(client);

    if (flags & (CLIENT_BEHIND | CLIENT_PARKED)) return;
    if (flags & CLIENT_CAUGHT_UP)
        client_clear(client, CLIENT_WAITED | CLIENT_CAUGHT_UP);
    else if (to_the_end)
        client_set(client, CLIENT_CAUGHT_UP);
}

/* It is not to go on at once: others come first, or it waits for something else. */
static void stop_for_now(struct client *client, bool has_more)
{
    uint32_t flags = client_flags(client);

    if (flags & STOPPED) note_wait(client);
    if (flags & (CLIENT_PAUSED | CLIENT_HELD)) conn_set_reading(&client->conn, false);
    if (!(flags & CLIENT_MORE)) return;
    if (has_more && !(flags & (STOPPED | CLIENT_CLOSE_AFTER_REPLY)))
        turns_join(client, DUE_COMMANDS);
    else
        client_clear(client, CLIENT_MORE);
}

/* What a client may be replied in a turn: its limit, and what one write takes. With more it would be disconnected as soon as it has been made. 0:
 * anything. */
static size_t reply_bytes_max(const struct client *client)
{
    uint64_t hard =
        (uint64_t)config_int(client->worker->node->config, client_output_buffer_limit[class_of(client)].hard_bytes);

    return hard < SIZE_MAX / 2 && hard > 0 ? hard + CONN_WRITE_BYTES_MAX : 0;
}

/* What it would be sent was not even made to its end. */
static __attribute__((cold, noinline)) void close_insatiable(struct client *client, size_t start, size_t first_piece)
{
    struct worker *worker = client->worker;

    log_warning("client %llu: %s asked for more at once than client-output-buffer-limit allows; closed",
                (unsigned long long)client->id, client->peer);
    worker->out.len = start;
    reply_pieces_drop(&worker->pieces, first_piece);
    atomic_store_explicit(&client->kill, true, memory_order_relaxed);
}

/* Runs what was read of a client. The replies are written at the end of the turn, all clients' together: a client that is woken while
 * others are still being answered takes the CPU from them. Returns how many bytes were used. */
static size_t answer(struct worker *worker, struct batch_part *part)
{
    struct client *client = part->client;
    size_t start = worker->out.len, first_piece = worker->pieces.count, used;
    size_t pending = conn_pending(&client->conn), most = reply_bytes_max(client);

    worker->answering = client;
    client->reply.most = most == 0 ? 0 : start + worker->pieces.bytes + most;
    worker->behind_at =
        start + worker->pieces.bytes + (pending < AHEAD_BYTES_MAX ? AHEAD_BYTES_MAX - pending : AHEAD_BYTES_MAX);
    worker->turn_ends_at = start + TURN_REPLY_BYTES;
    batch_set_marks(worker);
    used = batch_run(worker, part);
    worker->answering = NULL;
    if (reply_is_too_much(&client->reply)) close_insatiable(client, start, first_piece);
    if (client_flags(client) & (STOPPED | CLIENT_MORE)) stop_for_now(client, used < part->data.len);
    post_replies(client, start, first_piece);
    if (client_flags(client) & CLIENT_HELD) hold_posted(client);
    return used;
}

/* multi: what is queued and watched, which was sent, and waits, too. */
static bool query_is_over_limit(struct client *client, size_t multi)
{
    int64_t limit = config_int(client->worker->node->config, client_query_buffer_limit);
    int64_t total = count_unauthenticated(client, client->query.cap);

    if (asks_for_password(client) &&
        (query_len(client) > UNAUTHENTICATED_QUERY_MAX || total > UNAUTHENTICATED_TOTAL_MAX))
        return true;
    return limit > 0 && query_len(client) + multi > (size_t)limit;
}

static void check_query(struct client *client)
{
    size_t multi = atomic_load_explicit(&client->multi_bytes, memory_order_relaxed);

    client_account(client);
    if (!query_is_over_limit(client, multi)) return;
    if (multi > 0)
        log_warning("client %llu: %s sent %zu bytes of one request, and has %zu queued and watched; closed",
                    (unsigned long long)client->id, client->peer, query_len(client), multi);
    else
        log_warning("client %llu: %s sent %zu bytes of one request; closed", (unsigned long long)client->id,
                    client->peer, query_len(client));
    client_close(client);
}

/* So much of the query buffer has run. A client may have a lot in it and run a little at a time: what is left is moved down when it is no more than
 * what that makes room for. */
static void query_consume(struct client *client, size_t used)
{
    client->query_ran += used;
    if (2 * client->query_ran < client->query.len) return;
    buf_consume(&client->query, client->query_ran);
    client->query_ran = 0;
}

/* Keeps what is left of data, which may already stand in the query buffer; may close the client. */
static void keep_rest(struct client *client, struct bytes data, size_t used)
{
    struct buf *query = &client->query;
    struct bytes rest = used < data.len ? (struct bytes){ data.data + used, data.len - used } : BYTES_NONE;
    size_t head;

    if (rest.len == 0 && is_bare(client)) return;

    if (rest.len > 0 && intake_begin(client, rest, &head)) {
        /* The head is short, and whatever it stood in may be long. */
        struct buf kept = { 0 };

        buf_append(&kept, rest.data, head);
        buf_free(query);
        *query = kept;
        client->query_ran = 0;
        if (data.len >= READ_BYTES) turns_join(client, DUE_READ); /* there was more than was asked for */
    } else if (query->len > 0) {
        query_consume(client, used);
    } else {
        buf_append_bytes(query, rest);
    }
    if (query->len == 0) buf_free(query);
    check_query(client);
}

void worker_answer(struct worker *worker, struct batch_part *parts, int count)
{
    for (int done = 0; done < count;) {
        int end = done + batch_read(worker, parts + done, count - done);

        for (; done < end; done++) {
            struct client *client = parts[done].client;

            if (client == NULL)
                batch_drop(worker, &parts[done]);
            else
                keep_rest(client, parts[done].data, answer(worker, &parts[done]));
        }
    }
}

static void answer_ready(struct worker *worker)
{
    if (worker->ready_count == 0) return;
    worker_answer(worker, worker->ready, worker->ready_count);
    worker->ready_count = 0;
    worker->scratch_used = 0;
}

/* Answers what was kept of a client that had to wait. */
static void go_on(struct client *client)
{
    struct batch_part part = { .client = client, .data = query_bytes(client) };

    worker_answer(client->worker, &part, 1);
}

/* Lets what a client has sent, which is in the scratch, wait for what others have. */
static void add_ready(struct client *client, struct bytes data)
{
    struct worker *worker = client->worker;

    worker->ready[worker->ready_count++] = (struct batch_part){ .client = client, .data = data };
    worker->scratch_used += data.len;
    if (worker->ready_count == LOOK_AHEAD_MAX || data.len >= ALONE_BYTES) answer_ready(worker);
}

/* A peer that has said all it wants to may still read: it gets its replies first. One that has yet to say its password does not. */
static void on_ended(struct client *client)
{
    bool waits = conn_pending(&client->conn) > 0 || (client_flags(client) & (CLIENT_BEHIND | CLIENT_MORE)) ||
                 is_answered(client);

    if (!client->conn.peer_ended || !waits || asks_for_password(client)) {
        client_close(client);
        return;
    }
    client_set(client, CLIENT_ENDED);
    conn_set_reading(&client->conn, false);
}

/* Reads the rest of a big value to its place, and what comes behind it into the query buffer. True when there is something to answer. */
static bool read_value(struct client *client, ssize_t *got)
{
    char *behind = client->worker->scratch + client->worker->scratch_used;
    struct iovec into[] = { intake_room(client), { behind, READ_BYTES } };
    bool is_last = into[0].iov_len <= VALUE_READ_BYTES;
    size_t of_value;

    if (!is_last) into[0].iov_len = VALUE_READ_BYTES;
    *got = conn_readv(&client->conn, into, is_last ? 2 : 1);
    if (*got <= 0) return false;
    of_value = (size_t)*got < into[0].iov_len ? (size_t)*got : into[0].iov_len;
    intake_added(client, of_value);
    buf_append(&client->query, behind, (size_t)*got - of_value);
    atomic_store_explicit(&client->last_active_ms, clock_now_ms(), memory_order_relaxed);
    return (size_t)*got > of_value;
}

/* Reads what has come, to where data then is. */
static ssize_t read_bytes(struct client *client, struct bytes *data)
{
    size_t room = READ_BYTES, needed = client->request != NULL ? client->request->needed : 0;
    size_t len = query_bytes(client).len;
    char *into = client->worker->scratch + client->worker->scratch_used;
    ssize_t got;

    if (client->query.len > 0) {
        /* Room grows with what has come, never with what was announced. */
        if (room < len) room = len < VALUE_READ_BYTES ? len : VALUE_READ_BYTES;
        if (needed > len && needed - len < room) room = needed - len;
        into = buf_reserve(&client->query, room);
    }
    got = conn_read(&client->conn, into, room);
    if (got <= 0) return got;
    if (__builtin_expect(client_flags(client) & CLIENT_WAITED, 0)) note_read(client, (size_t)got < room);
    *data = (struct bytes){ into, (size_t)got };
    if (client->query.len > 0) {
        buf_added(&client->query, (size_t)got);
        *data = query_bytes(client);
    }
    return got;
}

/* Reads and answers. Returns what came of the read. */
static ssize_t receive(struct client *client)
{
    struct worker *worker = client->worker;
    struct bytes data = BYTES_NONE;
    bool is_value = intake_is_open(client);
    ssize_t got;

    if (is_value && read_value(client, &got))
        data = query_bytes(client);
    else if (!is_value)
        got = read_bytes(client, &data);
    if (got == 0) return got;
    if (got < 0) {
        on_ended(client);
        return got;
    }
    count_up(&worker->counters.net_input_bytes, (uint64_t)got);
    count_up(&worker->counters.reads, 1);
    if (data.len == 0) { /* all of it is in its place */
        check_query(client);
        return got;
    }
    if (client_flags(client) & (CLIENT_BEHIND | CLIENT_PARKED)) {
        if (client->query.len == 0) buf_append_bytes(&client->query, data);
        if (park_note_input(client, query_bytes(client))) return got;
        check_query(client);
        return got;
    }
    if (client->query.len > 0)
        go_on(client);
    else
        add_ready(client, data);
    if (worker->out.len + worker->pieces.bytes > OUT_KEPT_BYTES) worker_flush(worker);
    return got;
}

static void on_readable(struct conn *conn)
{
    struct client *client = container_of(conn, struct client, conn);

    if (client_flags(client) & CLIENT_MORE) return; /* what came before runs before */
    if (intake_is_open(client))
        turns_join(client, DUE_READ);
    else
        receive(client);
}

size_t client_go_on(struct client *client, enum due due)
{
    ssize_t got;

    switch (due) {
    case DUE_WRITE:
        return conn_pending(&client->conn) > 0 ? conn_write_on(&client->conn) : 0;
    case DUE_COMMANDS:
        client_clear(client, CLIENT_MORE);
        go_on(client);
        return CONN_WRITE_BYTES;
    case DUE_READ:
        got = intake_is_open(client) ? receive(client) : 0;
        return got > 0 ? (size_t)got : 0;
    }
    return 0;
}

void client_resume(struct client *client)
{
    client_clear(client, CLIENT_PAUSED);
    if (!(client_flags(client) & CLIENT_ENDED)) conn_set_reading(&client->conn, true);
    go_on(client);
}

void client_unpark(struct client *client)
{
    client_clear(client, CLIENT_PARKED);
    go_on(client);
}

void client_unpark_soon(struct client *client)
{
    struct worker *worker = client->worker;

    client_clear(client, CLIENT_PARKED);
    if (worker->ready_count == LOOK_AHEAD_MAX) answer_ready(worker);
    worker->ready[worker->ready_count++] = (struct batch_part){ .client = client, .data = query_bytes(client) };
}

void client_unhold(struct client *client, struct bytes replies)
{
    struct worker *worker = client->worker;
    size_t start = worker->out.len;

    buf_append(&worker->out, replies.data, replies.len);
    post_replies(client, start, worker->pieces.count);
    client_resume(client);
}

static void on_drained(struct conn *conn)
{
    struct client *client = container_of(conn, struct client, conn);

    client_account(client);
    client->over_soft_since_ms = 0;
    if (client->snapshot != NULL) {
        snapshot_go_on(client->snapshot);
        return;
    }
    if (is_done(client)) {
        if (!is_answered(client)) client_close(client);
        return;
    }
    if (client_flags(client) & CLIENT_BEHIND) catch_up(client);
}

static void on_more(struct conn *conn)
{
    struct client *client = container_of(conn, struct client, conn);

    client_account(client);
    turns_join(client, DUE_WRITE);
}

static void on_failed(struct conn *conn)
{
    client_close(container_of(conn, struct client, conn));
}

const struct conn_events client_events = {
    .readable = on_readable, .drained = on_drained, .failed = on_failed, .more = on_more
};
