#include "server/snapshot.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/random.h"
#include "server/client.h"
#include "server/worker_internal.h"
#include "store/keyspace.h"
#include "transfer/rdb.h"

/* libev's macros cast and narrow by design. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wstrict-aliasing"

/* What is made in a turn: one step of a scan or one part of a value more, at most. */
#define PART_BYTES (64u << 10)
#define MARK_LEN 40u

/* A big value waits here until those before it have been sent; it is held, not copied. */
struct big_entry {
    struct entry *entry;
    int64_t expires_at_ms; /* as it was when the slot was locked */
};

struct snapshot {
    struct client *client;
    struct ev_timer next_turn;
    unsigned slot;
    uint32_t cursor; /* of slot_scan_once() in it */
    struct buf part;
    size_t summed; /* how much of it is in crc */
    uint64_t crc;
    struct big_entry *bigs;
    size_t big_count, big_cap, big_at; /* big_at: which is being sent */
    struct bytes big_rest;             /* of its value */
    bool is_over;
    char mark[MARK_LEN + 1];
};

static void sum(struct snapshot *snapshot)
{
    struct buf *part = &snapshot->part;

    snapshot->crc = crc64(snapshot->crc, (struct bytes){ part->data + snapshot->summed, part->len - snapshot->summed });
    snapshot->summed = part->len;
}

static bool append_record(struct snapshot *snapshot, const struct entry *entry, int64_t expires_at_ms)
{
    return rdb_record(&snapshot->part, entry_key(entry), entry_value(entry),
                      expires_at_ms == ENTRY_KEEPS_FOREVER ? RDB_KEEPS_FOREVER
                                                           : clock_deadline_to_wall_ms(expires_at_ms));
}

static void keep_big(struct snapshot *snapshot, struct entry *entry)
{
    if (snapshot->big_count == snapshot->big_cap) {
        snapshot->big_cap = snapshot->big_cap == 0 ? 4 : 2 * snapshot->big_cap;
        snapshot->bigs = alloc_resize(snapshot->bigs, snapshot->big_cap * sizeof(*snapshot->bigs));
    }
    entry_hold(entry);
    snapshot->bigs[snapshot->big_count++] =
        (struct big_entry){ .entry = entry, .expires_at_ms = entry_expires_at_ms(entry) };
}

static void add_entry(void *context, struct entry *entry)
{
    struct snapshot *snapshot = context;

    if (entry_is_expired(entry, clock_now_ms())) return;
    if (entry_is_big(entry))
        keep_big(snapshot, entry);
    else if (append_record(snapshot, entry, entry_expires_at_ms(entry)))
        buf_append_bytes(&snapshot->part, entry_value(entry));
}

static void add_entries(struct snapshot *snapshot)
{
    struct slot *slot = keyspace_slot(snapshot->client->worker->node->keyspace, (uint16_t)snapshot->slot);

    slot_lock(slot);
    snapshot->cursor = slot_scan_once(slot, snapshot->cursor, add_entry, snapshot);
    slot_unlock(slot);
    if (snapshot->cursor == 0) snapshot->slot++;
}

static void add_of_big(struct snapshot *snapshot)
{
    struct big_entry *big = &snapshot->bigs[snapshot->big_at];
    struct bytes *rest = &snapshot->big_rest;
    size_t len;

    if (rest->len == 0) {
        append_record(snapshot, big->entry, big->expires_at_ms);
        *rest = entry_value(big->entry);
    }
    len = rest->len < PART_BYTES ? rest->len : PART_BYTES;
    buf_append(&snapshot->part, rest->data, len);
    *rest = (struct bytes){ rest->data + len, rest->len - len };
    if (rest->len > 0) return;
    entry_free(&big->entry);
    if (++snapshot->big_at == snapshot->big_count) snapshot->big_at = snapshot->big_count = 0;
}

static void add_end(struct snapshot *snapshot)
{
    sum(snapshot);
    rdb_end(&snapshot->part, snapshot->crc);
    buf_append(&snapshot->part, snapshot->mark, MARK_LEN);
    snapshot->is_over = true;
}

/* Makes the next part. */
static void add_part(struct snapshot *snapshot)
{
    const struct keyspace *keyspace = snapshot->client->worker->node->keyspace;

    while (snapshot->part.len < PART_BYTES && !snapshot->is_over) {
        unsigned slot;

        if (snapshot->big_at < snapshot->big_count) {
            add_of_big(snapshot);
            continue;
        }
        slot = keyspace_next_occupied(keyspace, snapshot->slot, SLOT_COUNT);
        if (slot != snapshot->slot) snapshot->cursor = 0;
        snapshot->slot = slot;
        if (slot < SLOT_COUNT)
            add_entries(snapshot);
        else
            add_end(snapshot);
    }
    if (!snapshot->is_over) sum(snapshot);
}

void snapshot_go_on(struct snapshot *snapshot)
{
    ev_timer_set(&snapshot->next_turn, 0., 0.);
    ev_timer_start(snapshot->client->worker->loop, &snapshot->next_turn);
}

/* May close the client. */
static void send_part(struct snapshot *snapshot)
{
    struct client *client = snapshot->client;
    struct buf part;

    if (conn_pending(&client->conn) > 0) return; /* snapshot_go_on() */
    if (snapshot->is_over) {
        client_close(client);
        return;
    }
    add_part(snapshot);
    part = snapshot->part;
    snapshot->part = (struct buf){ 0 };
    snapshot->summed = 0;
    atomic_store_explicit(&client->last_active_ms, clock_now_ms(), memory_order_relaxed);
    snapshot_go_on(snapshot);
    client_send(client, buf_bytes(&part)); /* where it closes the client, the snapshot is gone too */
    buf_free(&part);
}

static void on_next_turn(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    send_part(container_of(watcher, struct snapshot, next_turn));
}

void snapshot_begin(struct client *client, bool keys)
{
    struct snapshot *snapshot = alloc_zeroed(sizeof(*snapshot));
    struct node *node = client->worker->node;
    struct slot_counts counts = keys ? keyspace_counts(node->keyspace) : (struct slot_counts){ 0 };
    struct rdb_facts facts = { .version = REDIS_COMPATIBLE_VERSION,
                               .created_s = clock_wall_us() / 1000000,
                               .used_memory = counts.bytes,
                               .keys = counts.keys,
                               .expiring = counts.expiring };

    snapshot->client = client;
    snapshot->slot = keys ? 0 : SLOT_COUNT;
    random_hex(snapshot->mark, MARK_LEN);
    buf_printf(&snapshot->part, "$EOF:%s\r\n", snapshot->mark);
    snapshot->summed = snapshot->part.len;
    rdb_begin(&snapshot->part, &facts);
    ev_timer_init(&snapshot->next_turn, on_next_turn, 0., 0.);
    snapshot_go_on(snapshot);
    client->snapshot = snapshot;
    client_set(client, CLIENT_CLOSE_AFTER_REPLY);
}

void snapshot_free(struct snapshot **snapshot)
{
    struct snapshot *freed = *snapshot;

    if (freed == NULL) return;
    ev_timer_stop(freed->client->worker->loop, &freed->next_turn);
    for (size_t i = freed->big_at; i < freed->big_count; i++) entry_free(&freed->bigs[i].entry);
    alloc_free(freed->bigs);
    buf_free(&freed->part);
    alloc_free(freed);
    *snapshot = NULL;
}
