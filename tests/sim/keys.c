/* sim/keys.c: see the header. A move takes the steps of redis-cli, each at another time, and whatever happens between them happens. */
#include "sim/keys.h"

#include "base/alloc.h"
#include "base/random.h"
#include "cluster/redirect.h"

#include <stdio.h>
#include <string.h>

#define KEYS 24u
#define REDIRECTS_MAX 6

struct keys {
    struct sim *sim;
    struct random *random;
    size_t nodes;
    uint64_t (*values)[KEYS]; /* of each node; 0: it has none */
    uint64_t written[KEYS];   /* the last that was acknowledged */
    bool excused[KEYS];
    size_t given_by[KEYS]; /* who gave the slot away last; SIZE_MAX: nobody */
    size_t taken_by[KEYS]; /* who took it and has not said OK: that is not on its disk yet; SIZE_MAX: nobody */
    bool doubtful[KEYS];   /* who gave it away was stopped before that was on its disk: it may take it back */
    uint64_t count;
    char wrong[128];

    unsigned step; /* of the move; 0: there is none */
    unsigned key;
    size_t from, to;
};

static uint16_t slot_of(unsigned key)
{
    return (uint16_t)(11 + key * (SLOT_COUNT / KEYS));
}

struct keys *keys_new(struct random *random, size_t nodes)
{
    struct keys *keys = alloc_zeroed(sizeof(*keys));

    keys->random = random;
    keys->nodes = nodes;
    keys->values = alloc_zeroed(nodes * sizeof(*keys->values));
    for (unsigned key = 0; key < KEYS; key++) keys->given_by[key] = keys->taken_by[key] = SIZE_MAX;
    return keys;
}

void keys_free(struct keys **keys)
{
    alloc_free((*keys)->values);
    alloc_free(*keys);
    *keys = NULL;
}

void keys_attach(struct keys *keys, struct sim *sim)
{
    keys->sim = sim;
}

void keys_dropped(void *context, size_t node, uint16_t slot)
{
    struct keys *keys = context;

    for (unsigned key = 0; key < KEYS; key++) {
        if (slot_of(key) != slot || keys->values[node][key] == 0) continue;
        sim_note(keys->sim, node, "slot %u: value %llu is dropped", slot, (unsigned long long)keys->values[node][key]);
        keys->values[node][key] = 0;
    }
}

void keys_lost(struct keys *keys, size_t node)
{
    for (unsigned key = 0; key < KEYS; key++) {
        if (keys->values[node][key] != 0 && keys->values[node][key] == keys->written[key]) keys->excused[key] = true;
        keys->values[node][key] = 0;
        /* The operator was not told OK. */
        if (keys->given_by[key] == node && !sim_is_saved(keys->sim, node)) keys->doubtful[key] = true;
    }
}

uint64_t keys_written(const struct keys *keys)
{
    return keys->count;
}

/* --- Clients --- */

static bool is_reached(const struct keys *keys, size_t node)
{
    return node < keys->nodes && sim_is_running(keys->sim, node) && !sim_is_paused(keys->sim, node);
}

void keys_write(struct keys *keys)
{
    unsigned key = (unsigned)random_below(keys->random, KEYS);
    size_t node = random_below(keys->random, keys->nodes);
    bool asking = false;

    for (int tries = 0; tries < REDIRECTS_MAX && is_reached(keys, node); tries++) {
        struct redirect_facts facts = { .owner = owner_unpack(sim_owner_word(keys->sim, node, slot_of(key))),
                                        .cluster_ok = cluster_state_ok(sim_core(keys->sim, node)),
                                        .writes = true,
                                        .asking = asking,
                                        .keys_present = keys->values[node][key] != 0,
                                        .keys_missing = keys->values[node][key] == 0 };

        switch (redirect_for(&facts)) {
        case REDIRECT_NONE:
            keys->values[node][key] = keys->written[key] = ++keys->count;
            keys->excused[key] = false;
            sim_note(keys->sim, node, "slot %u: value %llu is written", slot_of(key), (unsigned long long)keys->count);
            return;
        case REDIRECT_MOVED:
            asking = false;
            node = sim_node_of_index(keys->sim, node, facts.owner.node);
            break;
        case REDIRECT_ASK:
            asking = true;
            node = sim_node_of_index(keys->sim, node, facts.owner.other);
            break;
        case REDIRECT_UNOWNED:
        case REDIRECT_DOWN:
        case REDIRECT_DOWN_READONLY:
        case REDIRECT_TRYAGAIN:
            return;
        }
    }
}

/* --- The operator --- */

enum setslot { IMPORTING, MIGRATING, NODE, STABLE };

static bool setslot(struct keys *keys, size_t node, enum setslot what, unsigned key, size_t other)
{
    static const char *const names[] = { "IMPORTING", "MIGRATING", "NODE", "STABLE" };
    struct cluster *c;
    struct effects *e;
    struct bytes id;
    cluster_error error = "";
    int64_t now_ms;

    if (!is_reached(keys, node)) return false;
    c = sim_core(keys->sim, node);
    e = sim_effects(keys->sim, node);
    id = bytes_of(sim_node_id(keys->sim, other));
    now_ms = sim_node_now(keys->sim, node);
    switch (what) {
    case IMPORTING:
        cluster_setslot_importing(c, slot_of(key), id, now_ms, e, error);
        break;
    case MIGRATING:
        cluster_setslot_migrating(c, slot_of(key), id, now_ms, e, error);
        break;
    case NODE:
        cluster_setslot_node(c, slot_of(key), id, keys->values[node][key] != 0, now_ms, e, error);
        break;
    case STABLE:
        cluster_setslot_stable(c, slot_of(key), now_ms, e, error);
        break;
    }
    sim_carry_out(keys->sim, node);
    sim_note(keys->sim, node, "CLUSTER SETSLOT %u %s %.8s: %s", slot_of(key), names[what], id.data,
             error[0] ? error : "OK");
    return error[0] == '\0';
}

static struct owner word(struct keys *keys, size_t node, unsigned key)
{
    return owner_unpack(sim_owner_word(keys->sim, node, slot_of(key)));
}

static bool serves(struct keys *keys, size_t node, unsigned key)
{
    return is_reached(keys, node) && word(keys, node, key).state == OWNER_HERE;
}

/* MIGRATE: the value is at one of the two, at every moment. */
static bool migrate(struct keys *keys)
{
    struct owner from, to;
    unsigned key = keys->key;

    if (!is_reached(keys, keys->from) || !is_reached(keys, keys->to)) return false;
    from = word(keys, keys->from, key);
    to = word(keys, keys->to, key);
    if (from.state != OWNER_HERE || from.flags != OWNER_MIGRATING || to.flags != OWNER_IMPORTING) return false;
    if (keys->values[keys->from][key] == 0) return true;
    keys->values[keys->to][key] = keys->values[keys->from][key];
    keys->values[keys->from][key] = 0;
    sim_note(keys->sim, keys->from, "slot %u: value %llu goes to node %zu", slot_of(key),
             (unsigned long long)keys->values[keys->to][key], keys->to);
    return true;
}

/* The next step; false where it cannot be taken. */
static bool take_step(struct keys *keys)
{
    switch (keys->step) {
    case 1:
        return setslot(keys, keys->to, IMPORTING, keys->key, keys->from);
    case 2:
        return setslot(keys, keys->from, MIGRATING, keys->key, keys->to);
    case 3:
        return migrate(keys);
    case 4:
        if (!setslot(keys, keys->to, NODE, keys->key, keys->to)) return false;
        keys->taken_by[keys->key] = keys->to;
        return true;
    case 5: /* OK is said when it is on disk */
        if (!is_reached(keys, keys->to) || sim_is_disk_full(keys->sim, keys->to)) return false;
        if (sim_is_saved(keys->sim, keys->to))
            keys->taken_by[keys->key] = SIZE_MAX;
        else
            keys->step--;
        return true;
    default:
        if (!setslot(keys, keys->from, NODE, keys->key, keys->to)) return false;
        keys->given_by[keys->key] = keys->from;
        return true;
    }
}
#define LAST_STEP 6u

void keys_move(struct keys *keys)
{
    if (keys->step == 0) {
        keys->key = (unsigned)random_below(keys->random, KEYS);
        keys->to = random_below(keys->random, keys->nodes);
        keys->from = random_below(keys->random, keys->nodes);
        if (keys->from == keys->to || !serves(keys, keys->from, keys->key) || !is_reached(keys, keys->to)) return;
        /* As redis-cli: nothing is moved that was left open anywhere. */
        for (size_t node = 0; node < keys->nodes; node++)
            if (word(keys, node, keys->key).flags != 0) return;
        keys->step = 1;
    }
    if (!take_step(keys))
        keys->step = 0; /* left as it is */
    else
        keys->step = keys->step == LAST_STEP ? 0 : keys->step + 1;
}

bool keys_is_any_open(struct keys *keys)
{
    for (unsigned key = 0; key < KEYS; key++)
        for (size_t node = 0; node < keys->nodes; node++)
            if (word(keys, node, key).flags != 0) return true;
    return false;
}

static void finish_move(struct keys *keys, unsigned key, size_t from, size_t to)
{
    keys->key = key;
    keys->from = from;
    keys->to = to;
    if (word(keys, from, key).flags == 0) setslot(keys, from, MIGRATING, key, to);
    if (word(keys, to, key).flags == 0) setslot(keys, to, IMPORTING, key, from);
    if (!migrate(keys)) return;
    setslot(keys, to, NODE, key, to);
    sim_run(keys->sim, 1000);
    setslot(keys, from, NODE, key, to);
    keys->given_by[key] = from;
}

static void fix(struct keys *keys, unsigned key)
{
    size_t owner = SIZE_MAX;

    for (size_t node = 0; node < keys->nodes; node++)
        if (word(keys, node, key).state == OWNER_HERE) owner = node;
    if (owner == SIZE_MAX) return;
    for (size_t node = 0; node < keys->nodes; node++) {
        struct owner it = word(keys, node, key);

        if (node == owner || it.flags != OWNER_IMPORTING) continue;
        /* Where it comes from there may be more: it goes on. Otherwise what came goes to the owner. */
        if (sim_node_of_index(keys->sim, node, it.other) == owner) {
            finish_move(keys, key, owner, node);
            return;
        }
        if (keys->values[node][key] > keys->values[owner][key]) keys->values[owner][key] = keys->values[node][key];
        keys->values[node][key] = 0;
        setslot(keys, node, STABLE, key, node);
    }
    if (word(keys, owner, key).flags != 0) setslot(keys, owner, STABLE, key, owner);
}

void keys_fix(struct keys *keys)
{
    keys->step = 0;
    for (unsigned key = 0; key < KEYS; key++) fix(keys, key);
}

const char *keys_check(struct keys *keys)
{
    for (unsigned key = 0; key < KEYS; key++) {
        uint64_t found = 0;

        for (size_t node = 0; node < keys->nodes; node++)
            if (serves(keys, node, key)) found = keys->values[node][key];
        if (found == keys->written[key] || keys->excused[key] || keys->doubtful[key] || keys->taken_by[key] != SIZE_MAX)
            continue;
        snprintf(keys->wrong, sizeof(keys->wrong), "slot %u: value %llu was acknowledged, and %llu is there",
                 slot_of(key), (unsigned long long)keys->written[key], (unsigned long long)found);
        return keys->wrong;
    }
    return NULL;
}
