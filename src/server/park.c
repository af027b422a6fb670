#include "server/park.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "cache/fill.h"
#include "server/batch.h"
#include "server/call.h"
#include "server/client.h"
#include "server/worker_internal.h"

#include <string.h>

/* libev's macros cast and narrow by design. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wstrict-aliasing"

#define WORKER_SHIFT 48 /* the number of a client is the worker's and its own */
#define BUCKETS 1024u
#define LOADS_FIRST 8u
#define LOADS_MAX 256u    /* beyond that the oldest ends by its time only */
#define WOKEN_A_TURN 256u /* of those who were woken at once so many go on before others are looked at again */
#define TEXT_UNBLOCKED "UNBLOCKED client unblocked via CLIENT UNBLOCK"

/* The worker's. */
struct parks {
    struct park *buckets[BUCKETS];
    uint32_t turn; /* counts waits, so that an UNBLOCK ends the one that it saw */
};

/* A client's, from its first wait for a command until that is answered, and what repeats it. */
struct park {
    struct park *next; /* in its bucket */
    struct ev_timer timer;
    struct client *client;
    struct slot *slot;
    uint64_t hash, owner; /* the slot's owner word as it was */
    int64_t until_ms;     /* of the internal clock */
    bool is_waiting;      /* in the fills of the slot */
    bool is_over, is_refused, ends_on_input;
    bool is_answered;                   /* what repeats it is left */
    size_t request_bytes, repeat_bytes; /* of the command, and of all that repeats it behind */
};

struct loads {
    size_t count, cap, oldest;
    struct load {
        struct slot *slot;
        uint64_t hash;
        int64_t until_ms;
    } items[];
};

uint64_t client_filler(const struct client *client)
{
    return (uint64_t)client->worker->index << WORKER_SHIFT | client->id;
}

struct parks *parks_new(void)
{
    return alloc_zeroed(sizeof(struct parks));
}

void parks_free(struct parks **parks)
{
    alloc_free(*parks);
    *parks = NULL;
}

static struct park **cell_of(const struct worker *worker, uint64_t id)
{
    struct park **at = &worker->parks->buckets[id % BUCKETS];

    while (*at != NULL && (*at)->client->id != id) at = &(*at)->next;
    return at;
}

/* --- Waiting --- */

bool call_is_again(const struct call *call)
{
    return call->client->park != NULL && !call->client->park->is_answered;
}

/* Is what stands behind a request, and behind so much that repeats it, the same again and again? The last one may not all have come yet. */
static bool repeats(struct bytes data, size_t request_bytes, size_t *repeat_bytes)
{
    for (;;) {
        size_t at = request_bytes + *repeat_bytes, left = data.len - at;

        if (left < request_bytes) return left == 0 || memcmp(data.data, data.data + at, left) == 0;
        if (memcmp(data.data, data.data + at, request_bytes) != 0) return false;
        *repeat_bytes += request_bytes;
    }
}

/* From the command on. */
static struct bytes data_of(const struct call *call)
{
    return (struct bytes){ call->part->data.data + call->part->used, call->part->data.len - call->part->used };
}

bool call_is_last(const struct call *call)
{
    size_t repeat_bytes = 0;

    return repeats(data_of(call), call->request_bytes, &repeat_bytes);
}

int64_t call_may_wait_ms(const struct call *call, int64_t wait_ms)
{
    const struct park *park = call->client->park;

    if (call->in_exec) return 0;
    if (park == NULL) return wait_ms;
    return park->is_answered || park->is_over || park->until_ms <= call->now_ms ? 0 : park->until_ms - call->now_ms;
}

static void end_wait(struct client *client)
{
    ev_timer_stop(client->worker->loop, &client->park->timer);
    atomic_store_explicit(&client->parked_turn, 0, memory_order_relaxed);
}

static void go_on(struct client *client)
{
    end_wait(client);
    client_unpark(client);
}

static void on_due(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
    struct park *park = container_of(watcher, struct park, timer);

    (void)loop;
    (void)events;
    if (clock_now_ms() >= park->until_ms) park->is_over = true;
    go_on(park->client);
}

static struct park *park_new(struct client *client, int64_t until_ms)
{
    struct park *park = alloc_zeroed(sizeof(*park)), **cell = cell_of(client->worker, client->id);

    park->client = client;
    park->until_ms = until_ms;
    ev_timer_init(&park->timer, on_due, 0, 0);
    *cell = park;
    client->park = park;
    return park;
}

static int64_t add_clamped(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

void call_park(struct call *call, const struct park_options *options)
{
    struct client *client = call->client;
    struct worker *worker = client->worker;
    struct park *park = client->park;
    int64_t wake_at_ms;

    if (park == NULL) park = park_new(client, add_clamped(call->now_ms, options->wait_ms));
    park->slot = options->slot;
    park->hash = options->hash;
    park->owner = slot_owner(options->slot);
    park->is_waiting = true;
    park->ends_on_input = options->ends_on_input;
    park->request_bytes = call->request_bytes;
    park->repeat_bytes = 0;
    if (park->ends_on_input) repeats(data_of(call), park->request_bytes, &park->repeat_bytes);
    wake_at_ms = park->until_ms;
    if (options->look_at_ms != 0 && options->look_at_ms < wake_at_ms) wake_at_ms = options->look_at_ms;
    ev_timer_set(&park->timer, (double)(wake_at_ms - call->now_ms) / 1000, 0);
    ev_timer_start(worker->loop, &park->timer);
    if (++worker->parks->turn == 0) worker->parks->turn = 1;
    atomic_store_explicit(&client->parked_turn, worker->parks->turn, memory_order_relaxed);
    call->waits = call->is_parked = true;
}

void call_unwait(struct call *call, struct slot *slot)
{
    struct park *park = call->client->park;
    struct slot_fills *of;

    if (park == NULL || !park->is_waiting) return;
    park->is_waiting = false;
    of = fills_find(call->node->fills, slot);
    if (of == NULL) return;
    fill_expire(of, park->hash, call->now_ms); /* it may be its turn, while it still has its place */
    fill_wait_no_more(of, park->hash, client_filler(call->client));
}

bool park_refuses(struct call *call)
{
    if (!call->client->park->is_refused || call->client->park->is_answered) return false;
    reply_error(call->reply, TEXT_UNBLOCKED);
    return true;
}

/* Its command has been answered, or is not going to be. */
static void stop_waiting(struct client *client)
{
    struct park *park = client->park;
    struct node *node = client->worker->node;

    if (park->is_waiting) {
        uint64_t who = client_filler(client);
        struct slot_fills *of;

        slot_lock(park->slot);
        of = fills_find(node->fills, park->slot);
        if (of != NULL) {
            fill_wait_no_more(of, park->hash, who);
            fill_give_up_handed(of, park->hash, who, clock_now_ms());
        }
        slot_unlock(park->slot);
        park->is_waiting = false;
    }
    ev_timer_stop(client->worker->loop, &park->timer);
    atomic_store_explicit(&client->parked_turn, 0, memory_order_relaxed);
}

static void park_free(struct client *client)
{
    struct park *park = client->park;

    *cell_of(client->worker, client->id) = park->next;
    client->park = NULL;
    alloc_free(park);
}

void park_answered(struct client *client)
{
    struct park *park = client->park;

    if (park->is_answered) {
        park->repeat_bytes -= park->request_bytes;
    } else {
        stop_waiting(client);
        park->is_answered = true;
    }
    if (park->repeat_bytes == 0) park_free(client);
}

/* --- Ends of a wait --- */

static bool is_parked(const struct client *client)
{
    return (client_flags(client) & CLIENT_PARKED) != 0;
}

void park_look_after(struct client *client)
{
    struct park *park = client->park;
    uint32_t unblock = atomic_load_explicit(&client->unblock, memory_order_acquire);

    if (!is_parked(client)) return;
    if (unblock >> 1 != 0 &&
        unblock >> 1 == (atomic_load_explicit(&client->parked_turn, memory_order_relaxed) & INT32_MAX)) {
        park->is_over = true;
        park->is_refused = (unblock & 1) != 0;
    } else if (slot_owner(park->slot) == park->owner) {
        return;
    }
    go_on(client);
}

bool park_note_input(struct client *client, struct bytes query)
{
    struct park *park = client->park;

    if (!is_parked(client) || !park->ends_on_input) return false;
    if (repeats(query, park->request_bytes, &park->repeat_bytes)) return false;
    park->is_over = true;
    go_on(client);
    return true;
}

bool client_end_wait(struct client *client, bool with_error)
{
    uint32_t turn = atomic_load_explicit(&client->parked_turn, memory_order_relaxed);

    if (turn == 0) return false;
    atomic_store_explicit(&client->unblock, (turn & INT32_MAX) << 1 | with_error, memory_order_release);
    atomic_store_explicit(&client->worker->kills, true,
                          memory_order_release); /* behind the mark: it is woken to look */
    return true;
}

/* --- Whose wait is over --- */

struct woken_message {
    struct message message;
    size_t count, cap, at; /* of the ids; who comes before `at` has gone on */
    uint64_t *ids;
};

/* As many as are answered together; and their replies leave before the next ones run: the first are not to wait for the last, of which there may be
 * thousands. */
static void wake_some(struct worker *worker, struct woken_message *woken)
{
    for (int some = 0; some < LOOK_AHEAD_MAX && woken->at < woken->count; some++) {
        struct park *park = *cell_of(worker, woken->ids[woken->at++]);

        if (park == NULL || !is_parked(park->client)) continue;
        end_wait(park->client);
        client_unpark_soon(park->client);
    }
    worker_flush(worker);
}

static void deliver_woken(struct message *message, void *receiver)
{
    struct woken_message *woken = container_of(message, struct woken_message, message);
    struct worker *worker = receiver;

    for (size_t end = woken->at + WOKEN_A_TURN;
         worker_is_running(worker) && woken->at < woken->count && woken->at < end;)
        wake_some(worker, woken);
    if (worker_is_running(worker) && woken->at < woken->count) {
        mailbox_post(&worker->mailbox, &woken->message);
        return;
    }
    alloc_free(woken->ids);
    alloc_free(woken);
}

struct sorting {
    struct node *node;
    struct woken_message **of_worker;
};

static void sort_out(void *context, uint64_t who)
{
    struct sorting *sorting = context;
    struct woken_message **woken = &sorting->of_worker[who >> WORKER_SHIFT];

    if (*woken == NULL) *woken = alloc_zeroed(sizeof(**woken));
    if ((*woken)->count == (*woken)->cap) {
        (*woken)->cap = (*woken)->cap == 0 ? 4 : (*woken)->cap * 2;
        (*woken)->ids = alloc_resize((*woken)->ids, (*woken)->cap * sizeof(*(*woken)->ids));
    }
    (*woken)->ids[(*woken)->count++] = who & (((uint64_t)1 << WORKER_SHIFT) - 1);
}

static __attribute__((cold, noinline)) void deliver(struct node *node)
{
    struct sorting sorting = { .node = node,
                               .of_worker = alloc_zeroed((size_t)node->worker_count * sizeof(struct woken_message *)) };

    fills_take_woken(node->fills, sort_out, &sorting);
    for (int i = 0; i < node->worker_count; i++) {
        if (sorting.of_worker[i] == NULL) continue;
        sorting.of_worker[i]->message.deliver = deliver_woken;
        mailbox_post(&node->workers[i]->mailbox, &sorting.of_worker[i]->message);
    }
    alloc_free(sorting.of_worker);
}

void park_deliver(struct node *node)
{
    if (fills_any_woken(node->fills)) deliver(node);
}

/* --- What a client loads --- */

static void grow(struct client *client)
{
    struct loads *loads = client->loads;
    size_t cap = loads == NULL ? LOADS_FIRST : loads->cap * 2;
    bool is_new = loads == NULL;

    if (!is_new) client->kept_bytes -= alloc_size(loads);
    client->loads = loads = alloc_resize(loads, sizeof(*loads) + cap * sizeof(loads->items[0]));
    client->kept_bytes += alloc_size(loads);
    if (is_new) loads->count = loads->oldest = 0;
    loads->cap = cap;
}

static void forget_past(struct loads *loads, int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < loads->count; i++)
        if (loads->items[i].until_ms > now_ms) loads->items[kept++] = loads->items[i];
    loads->count = kept;
}

void client_loads(struct client *client, struct slot *slot, uint64_t hash, int64_t until_ms)
{
    struct loads *loads = client->loads;
    struct load load = { slot, hash, until_ms };

    for (size_t i = 0; loads != NULL && i < loads->count; i++) {
        if (loads->items[i].slot != slot || loads->items[i].hash != hash) continue;
        loads->items[i] = load;
        return;
    }
    if (loads != NULL && loads->count == loads->cap) forget_past(loads, clock_now_ms());
    if (loads == NULL || (loads->count == loads->cap && loads->cap < LOADS_MAX)) grow(client);
    loads = client->loads;
    if (loads->count < loads->cap)
        loads->items[loads->count++] = load;
    else
        loads->items[loads->oldest++ % LOADS_MAX] = load; /* of about the oldest */
}

bool client_is_loading(const struct client *client, int64_t now_ms)
{
    const struct loads *loads = client->loads;

    for (size_t i = 0; loads != NULL && i < loads->count; i++)
        if (loads->items[i].until_ms > now_ms) return true;
    return false;
}

void client_loads_no_more(struct client *client, const struct slot *slot, uint64_t hash)
{
    struct loads *loads = client->loads;

    for (size_t i = 0; loads != NULL && i < loads->count; i++) {
        if (loads->items[i].slot != slot || loads->items[i].hash != hash) continue;
        loads->items[i] = loads->items[--loads->count];
        return;
    }
}

void park_close(struct client *client)
{
    struct loads *loads = client->loads;
    int64_t now_ms;

    if (client->park != NULL) {
        stop_waiting(client);
        park_free(client);
    }
    if (loads == NULL) return;
    now_ms = clock_now_ms();
    client->loads = NULL;
    for (size_t i = 0; i < loads->count; i++) {
        struct slot_fills *of;

        if (loads->items[i].until_ms <= now_ms) continue;
        slot_lock(loads->items[i].slot);
        of = fills_find(client->worker->node->fills, loads->items[i].slot);
        if (of != NULL) fill_give_up(of, loads->items[i].hash, client_filler(client), now_ms);
        slot_unlock(loads->items[i].slot);
    }
    alloc_free(loads);
}
