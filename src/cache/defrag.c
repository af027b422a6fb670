/* cache/defrag.c: see defrag.h for how it works. */
#include "cache/defrag.h"

#include "base/clock.h"
#include "base/relocate.h"
#include "store/keyspace.h"

#include <assert.h>

/* A pass did little, and so would another, when it moved less than a hundredth of what it looked at; or less than a tenth, and the
 * holes did not become fewer by a sixteenth either. (They may not although much was moved, where clients make new ones meanwhile.) */
#define MOVED_PART_MIN 100
#define MOVED_PART_MUCH 10
#define FILLED_PART_MIN 16
/* After such a pass the holes have to have grown by this part before the next. */
#define GROWN_PART_MIN 8

/* --- When --- */

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* In percent of what is allocated. */
static uint64_t percent_of(uint64_t holes, uint64_t allocated)
{
    return allocated == 0 ? 0 : (uint64_t)((double)holes * 100 / (double)allocated);
}

/* How much of a worker's time so many holes are worth: from the lower threshold to the upper one, evenly from cycle_min to cycle_max. */
static uint32_t effort_for(const struct defrag_limits *limits, uint64_t holes, uint64_t allocated)
{
    uint64_t percent = percent_of(holes, allocated), over, range, most;

    if (!limits->on || holes < limits->ignore_bytes || percent < limits->lower) return 0;
    if (percent >= limits->upper || limits->cycle_max <= limits->cycle_min)
        return limits->cycle_max > limits->cycle_min ? limits->cycle_max : limits->cycle_min;
    over = percent - limits->lower;
    range = limits->upper - limits->lower;
    most = limits->cycle_max - limits->cycle_min;
    return limits->cycle_min + (uint32_t)(most * over / range);
}

static void begin_pass(struct defrag *defrag, uint32_t shares, uint64_t holes)
{
    defrag->holes_before = holes;
    defrag->hits_before = load(&defrag->hits);
    defrag->misses_before = load(&defrag->misses);
    atomic_store_explicit(&defrag->shares_left, shares, memory_order_relaxed);
    atomic_fetch_add_explicit(&defrag->pass, 1, memory_order_release);
}

/* How far a counter has come; it may have been set back meanwhile. */
static uint64_t since(uint64_t before, const _Atomic uint64_t *counter)
{
    uint64_t now = load(counter);

    return now >= before ? now - before : now;
}

static bool pass_did_little(const struct defrag *defrag, uint64_t holes)
{
    uint64_t moved = since(defrag->hits_before, &defrag->hits), left = since(defrag->misses_before, &defrag->misses);

    if (moved <= (moved + left) / MOVED_PART_MIN) return true;
    return moved <= (moved + left) / MOVED_PART_MUCH &&
           holes >= defrag->holes_before - defrag->holes_before / FILLED_PART_MIN;
}

static void set_percent(struct defrag *defrag, uint32_t percent, int64_t now_us)
{
    int64_t began_us = atomic_load_explicit(&defrag->began_us, memory_order_relaxed);

    if (percent != 0 && began_us == 0) {
        atomic_store_explicit(&defrag->began_us, now_us, memory_order_relaxed);
    } else if (percent == 0 && began_us != 0) {
        atomic_fetch_add_explicit(&defrag->run_us, (uint64_t)(now_us - began_us), memory_order_relaxed);
        atomic_store_explicit(&defrag->began_us, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&defrag->percent, percent, memory_order_relaxed);
}

void defrag_measure(struct defrag *defrag, const struct defrag_limits *limits, uint64_t allocated_bytes,
                    uint64_t active_bytes, uint32_t shares, int64_t now_us)
{
    uint64_t holes = active_bytes > allocated_bytes ? active_bytes - allocated_bytes : 0;
    uint32_t effort = effort_for(limits, holes, allocated_bytes);
    bool runs = atomic_load_explicit(&defrag->percent, memory_order_relaxed) != 0;

    /* A user who switches it off and on again wants it to be tried again. */
    if (!limits->on || holes < defrag->hopeless_bytes) defrag->hopeless_bytes = limits->on ? holes : 0;
    /* Acquires what the workers counted. */
    if (effort != 0 && atomic_load_explicit(&defrag->shares_left, memory_order_acquire) == 0) {
        if (runs && pass_did_little(defrag, holes)) {
            defrag->hopeless_bytes = holes;
            effort = 0;
        } else if (runs || holes > defrag->hopeless_bytes + defrag->hopeless_bytes / GROWN_PART_MIN) {
            begin_pass(defrag, shares, holes);
        } else {
            effort = 0;
        }
    }
    set_percent(defrag, effort, now_us);
}

/* --- Of tables --- */

/* While more than so many tables change their size within a tenth of a second, they are left alone: what is moved now would move again. */
#define TABLES_BUSY 64
/* Measuring asks the allocator about all it has, so it is done only after so many. */
#define TABLES_CHANGED_MIN 1024

void tables_measure(struct defrag *defrag, struct tables_seen *seen, uint64_t made, struct relocate_use use(void),
                    uint32_t shares, int64_t now_us)
{
    static const struct defrag_limits grown = {
        .on = true, .ignore_bytes = 256 << 10, .lower = 4, .upper = 20, .cycle_min = 10, .cycle_max = 25
    };
    uint64_t moved = load(&defrag->hits), changed = made - seen->made;
    struct relocate_use now;

    changed -= moved - seen->moved < changed ? moved - seen->moved : changed;
    seen->made = made;
    seen->moved = moved;
    seen->changed += changed;
    if (changed > TABLES_BUSY) {
        set_percent(defrag, 0, now_us); /* what a pass could not win is remembered */
        seen->settled = false;
    }
    if (changed > TABLES_BUSY || (seen->settled && seen->changed < TABLES_CHANGED_MIN)) return;
    now = use();
    defrag_measure(defrag, &grown, now.allocated_bytes, now.active_bytes, shares, now_us);
    seen->settled = atomic_load_explicit(&defrag->percent, memory_order_relaxed) == 0;
    seen->changed = 0;
}

void defrag_reset_counts(struct defrag *defrag)
{
    atomic_store_explicit(&defrag->hits, 0, memory_order_relaxed);
    atomic_store_explicit(&defrag->misses, 0, memory_order_relaxed);
    atomic_store_explicit(&defrag->key_hits, 0, memory_order_relaxed);
    atomic_store_explicit(&defrag->key_misses, 0, memory_order_relaxed);
}

/* --- The work --- */

void defrag_share_init(struct defrag_share *share, struct defrag *defrag, struct keyspace *keyspace, unsigned index,
                       unsigned shares)
{
    assert(shares >= 1 && index < shares);
    *share = (struct defrag_share){
        .defrag = defrag,
        .keyspace = keyspace,
        .first = (uint32_t)((uint64_t)SLOT_COUNT * index / shares),
        .end = (uint32_t)((uint64_t)SLOT_COUNT * (index + 1) / shares),
    };
    share->next = share->end;
}

bool defrag_is_due(const struct defrag_share *share)
{
    return atomic_load_explicit(&share->defrag->percent, memory_order_relaxed) != 0 &&
           (share->next < share->end ||
            atomic_load_explicit(&share->defrag->pass, memory_order_relaxed) != share->pass);
}

static void add(_Atomic uint64_t *counter, uint64_t more)
{
    if (more != 0) atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static void count(struct defrag *defrag, const struct slot_moves *moves)
{
    add(&defrag->hits, moves->entries_moved + moves->nodes_moved);
    add(&defrag->misses, moves->entries_left + moves->nodes_left);
    add(&defrag->key_hits, moves->entries_moved);
    add(&defrag->key_misses, moves->entries_left);
}

int64_t defrag_run(struct defrag_share *share, int64_t slice_us)
{
    struct defrag *defrag = share->defrag;
    uint32_t percent = atomic_load_explicit(&defrag->percent, memory_order_relaxed);
    int64_t began_us = clock_monotonic_us(), took_us = 0;
    struct slot_moves moves = { .entries_moved = 0 };
    uint64_t pass;

    if (percent == 0 || !defrag_is_due(share)) return DEFRAG_NOTHING;
    /* Read after it was found to be due: until this share is through with it, no other pass begins. */
    pass = atomic_load_explicit(&defrag->pass, memory_order_acquire);
    if (share->pass != pass) {
        share->pass = pass;
        share->next = keyspace_next_occupied(share->keyspace, share->first, share->end);
        share->cursor = 0;
    }
    /* At least one step, however short the slice. */
    for (bool goes_on = share->next < share->end; goes_on; goes_on = share->next < share->end && took_us < slice_us) {
        struct slot *slot = keyspace_slot(share->keyspace, (uint16_t)share->next);

        slot_lock(slot);
        share->cursor = defrag->tables_only ? slot_defrag_table(slot, share->cursor, &moves)
                                            : slot_defrag(slot, share->cursor, &moves);
        slot_unlock(slot);
        if (share->cursor == 0) {
            share->next = keyspace_next_occupied(share->keyspace, share->next + 1, share->end);
            if (share->next < share->end) slot_prefetch_head(keyspace_slot(share->keyspace, (uint16_t)share->next));
        }
        took_us = clock_monotonic_us() - began_us;
    }
    count(defrag, &moves);
    if (share->next < share->end) return took_us * (100 - percent) / percent;
    atomic_fetch_sub_explicit(&defrag->shares_left, 1, memory_order_release);
    return DEFRAG_NOTHING;
}
