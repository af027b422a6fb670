#include "server/retire.h"

#include "base/alloc.h"
#include "base/mover.h"
#include "server/node.h"

/* Fewer commands and watched keys than this are freed in less time than it takes to wake a mover. */
#define FEW 256u
#define PIECE 4096u
#define WAITING_MAX 64

struct retired {
    struct mover_job job;
    struct node *node;
    struct transaction rest;
    const struct slot_set *held; /* slots whose locks are taken already, or NULL */
    /* How far the watches are freed. */
    size_t cell, bucket;
    bool is_detached; /* those in that cell */
};

/* --- A piece --- */

static void detach(const struct retired *retired, struct slot_watch *on)
{
    bool locked_already = retired->held != NULL && slot_set_has(retired->held, slot_id(on->slot));

    if (!locked_already) slot_lock(on->slot);
    slot_feed_detach(on->slot, &on->feed);
    if (!locked_already) slot_unlock(on->slot);
}

/* Both take what they free off *most, and return true when nothing is left. */
static bool free_chain(struct watch **first, size_t *most)
{
    while (*first != NULL) {
        struct watch *watch = *first;

        if (*most == 0) return false;
        --*most;
        *first = watch->next;
        alloc_free(watch);
    }
    return true;
}

static bool free_slot_watch(struct retired *retired, struct slot_watch *on, size_t *most)
{
    if (!retired->is_detached) detach(retired, on);
    retired->is_detached = true;
    for (; retired->bucket < on->bucket_count; retired->bucket++)
        if (!free_chain(&on->buckets[retired->bucket], most)) return false;
    retired->is_detached = false;
    retired->bucket = 0;
    alloc_free(on->buckets);
    alloc_free(on);
    return true;
}

static bool free_some(struct retired *retired, size_t most)
{
    struct transaction *rest = &retired->rest;

    for (; rest->count > 0; rest->count--, most--) {
        struct queued_command *queued = &rest->queue[rest->count - 1];

        if (most == 0) return true;
        alloc_free(queued->argv);
        entry_free(&queued->entry);
    }
    for (; retired->cell < rest->watched_cells; retired->cell++) {
        struct slot_watch *on = rest->watched[retired->cell];

        if (on != NULL && !free_slot_watch(retired, on, &most)) return true;
    }
    alloc_free(rest->queue);
    alloc_free(rest->watched);
    return false;
}

bool retired_free_some(struct retired *retired, size_t most)
{
    if (free_some(retired, most)) return true;
    atomic_fetch_sub_explicit(&retired->node->retired, 1, memory_order_relaxed);
    alloc_free(retired);
    return false;
}

/* --- Whose work it is --- */

static bool run(struct mover_job *job)
{
    return retired_free_some(container_of(job, struct retired, job), PIECE);
}

struct retired *retired_new(struct node *node, const struct transaction *gone)
{
    struct retired *retired = alloc(sizeof(*retired));

    *retired = (struct retired){ .job = { .run = run }, .node = node, .rest = *gone };
    atomic_fetch_add_explicit(&node->retired, 1, memory_order_relaxed);
    return retired;
}

void retire(struct node *node, const struct transaction *gone, const struct slot_set *held)
{
    bool has_locks = held != NULL && held->count > 0;

    if (has_locks || gone->count + gone->watch_count < FEW ||
        atomic_load_explicit(&node->retired, memory_order_relaxed) >= WAITING_MAX)
        free_some(&(struct retired){ .rest = *gone, .held = held }, SIZE_MAX);
    else
        movers_post(node->movers, &retired_new(node, gone)->job);
}
