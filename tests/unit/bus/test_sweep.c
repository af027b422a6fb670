/* The keys of a lost slot go, and no others: also where the slot comes back before they have gone. */
#include "base/mover.h"
#include "bus/sweep.h"
#include "store/graveyard.h"
#include "store/lazyfree.h"
#include "unit/unit.h"

#include <stdatomic.h>
#include <unistd.h>

#define SLOT 7

/* A mover that has something else to do, until it is told. */
struct hindrance {
    struct mover_job job;
    _Atomic bool begun, over;
};

static bool hinder(struct mover_job *job)
{
    struct hindrance *hindrance = container_of(job, struct hindrance, job);

    atomic_store(&hindrance->begun, true);
    while (!atomic_load(&hindrance->over)) usleep(1000);
    return false;
}

struct site {
    struct keyspace *keyspace;
    struct movers *movers;
    struct lazyfree *lazyfree;
    struct sweep *sweep;
    struct hindrance hindrance;
};

static void site_begin(struct site *site)
{
    *site = (struct site){ .keyspace = keyspace_new(), .movers = movers_new(1), .hindrance.job.run = hinder };
    site->lazyfree = lazyfree_new(site->movers);
    site->sweep = sweep_new(site->keyspace, site->movers, site->lazyfree);
    movers_post(site->movers, &site->hindrance.job);
    while (!atomic_load(&site->hindrance.begun)) usleep(1000);
}

static void let_move(struct site *site)
{
    atomic_store(&site->hindrance.over, true);
}

static void site_end(struct site *site)
{
    sweep_free(&site->sweep);
    movers_free(&site->movers, true);
    lazyfree_free(&site->lazyfree);
    keyspace_free(&site->keyspace);
}

/* With the slot locked. */
static void put(struct slot *slot, const char *key)
{
    struct entry *entry = entry_new(bytes_of(key), BYTES("v"), ENTRY_KEEPS_FOREVER);

    slot_put(slot, &entry);
}

static uint64_t count(struct slot *slot)
{
    uint64_t keys;

    slot_lock(slot);
    keys = slot_counts(slot).keys;
    slot_unlock(slot);
    return keys;
}

TEST(the_keys_of_a_lost_slot_go)
{
    struct site site;
    struct slot *slot;

    site_begin(&site);
    slot = keyspace_slot(site.keyspace, SLOT);
    slot_lock(slot);
    put(slot, "a");
    put(slot, "b");
    slot_unlock(slot);
    sweep_drop(site.sweep, SLOT);
    sweep_drop(site.sweep, SLOT);
    CHECK(count(slot) == 2);
    let_move(&site);
    while (count(slot) > 0) usleep(1000);
    slot_lock(slot);
    CHECK(sweep_take(site.sweep, slot) == NULL);
    slot_unlock(slot);
    site_end(&site);
}

TEST(a_slot_that_comes_back_loses_what_it_had_and_keeps_what_it_gets)
{
    struct graveyard *lost;
    struct site site;
    struct slot *slot, *other;

    site_begin(&site);
    slot = keyspace_slot(site.keyspace, SLOT);
    other = keyspace_slot(site.keyspace, SLOT + 1);
    slot_lock(slot);
    put(slot, "stale");
    slot_unlock(slot);
    slot_lock(other);
    put(other, "lost");
    slot_unlock(other);
    sweep_drop(site.sweep, SLOT);
    sweep_drop(site.sweep, SLOT + 1);
    slot_lock(slot);
    lost = sweep_take(site.sweep, slot);
    CHECK(lost != NULL && graveyard_entries(lost) == 1 && slot_counts(slot).keys == 0);
    put(slot, "new");
    slot_unlock(slot);
    lazyfree_bury(site.lazyfree, &lost);
    let_move(&site);
    while (count(other) > 0) usleep(1000);
    CHECK(count(slot) == 1);
    site_end(&site);
}

TESTS(the_keys_of_a_lost_slot_go, a_slot_that_comes_back_loses_what_it_had_and_keeps_what_it_gets)
