/* sim/keys.c: see the header. A move takes the steps of redis-cli, each at another time, and whatever happens between them happens. */
#include "sim/keys.h"

#include "base/alloc.h"
#include "base/random.h"
#include "cluster/open.h"
#include "cluster/redirect.h"

#include <stdio.h>
#include <string.h>

#define KEYS 24u
#define REDIRECTS_MAX 6
#define HAND_EVERY 10
#define LEAVES_EVERY 10

struct keys {
    struct sim *sim;
    struct random *random;
    size_t nodes;
    uint64_t (*values)[KEYS]; /* of each node; 0: it has none */
    uint64_t written[KEYS];   /* the last that was acknowledged */
    bool excused[KEYS];
    uint32_t
        givers[KEYS]; /* a bit for each node that gave the slot away and was not seen with that on its disk since */
    size_t taken_by[KEYS]; /* who took it and has not said OK: that is not on its disk yet; SIZE_MAX: nobody */
    bool doubtful[KEYS];   /* who gave it away was stopped before that was on its disk: it may take it back */
    uint64_t count;
    char wrong[128];

    unsigned step; /* of the move; 0: there is none */
    unsigned key;
    size_t from, to;

    struct random own; /* of what follows alone, so that other stories stay what they are */
    struct {
        unsigned step; /* 0: there is none */
        unsigned key;
        size_t from, to;
    } job; /* a slot that a node hands over by itself */
    uint64_t decided[KEYS_DECISIONS];
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
    for (unsigned key = 0; key < KEYS; key++) keys->taken_by[key] = SIZE_MAX;
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
        if ((keys->givers[key] >> node & 1) != 0 && !sim_is_saved(keys->sim, node)) keys->doubtful[key] = true;
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

/* It stays one while the slot goes on from there to others. */
static void note_giver(struct keys *keys, unsigned key, size_t node)
{
    for (size_t other = 0; other < keys->nodes; other++)
        if (is_reached(keys, other) && sim_is_saved(keys->sim, other))
            for (unsigned each = 0; each < KEYS; each++) keys->givers[each] &= ~((uint32_t)1 << other);
    keys->givers[key] |= (uint32_t)1 << node;
}

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

/* The value is at one of the two, at every moment. */
static void send_value(struct keys *keys, unsigned key, size_t from, size_t to)
{
    if (keys->values[from][key] == 0) return;
    keys->values[to][key] = keys->values[from][key];
    keys->values[from][key] = 0;
    sim_note(keys->sim, from, "slot %u: value %llu goes to node %zu", slot_of(key),
             (unsigned long long)keys->values[to][key], to);
}

/* MIGRATE. */
static bool migrate(struct keys *keys, unsigned key, size_t from, size_t to)
{
    struct owner source, target;

    if (!is_reached(keys, from) || !is_reached(keys, to)) return false;
    source = word(keys, from, key);
    target = word(keys, to, key);
    if (source.state != OWNER_HERE || source.flags != OWNER_MIGRATING || target.flags != OWNER_IMPORTING) return false;
    send_value(keys, key, from, to);
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
        return migrate(keys, keys->key, keys->from, keys->to);
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
        note_giver(keys, keys->key, keys->from);
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
    if (word(keys, from, key).flags == 0) setslot(keys, from, MIGRATING, key, to);
    if (word(keys, to, key).flags == 0) setslot(keys, to, IMPORTING, key, from);
    if (!migrate(keys, key, from, to)) return;
    setslot(keys, to, NODE, key, to);
    sim_run(keys->sim, 1000);
    setslot(keys, from, NODE, key, to);
    note_giver(keys, key, from);
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

/* --- The nodes' own part: moves that nobody goes on with (cluster/open.h) --- */

static void account_of(struct keys *keys, size_t node, unsigned key, size_t other, struct open_account *out)
{
    struct buf text = { 0 };

    *out = (struct open_account){ .is_heard = false };
    if (!is_reached(keys, other)) return;
    cluster_nodes_text(sim_core(keys->sim, other), &text);
    open_account_read(buf_bytes(&text), slot_of(key), sim_node_id(keys->sim, other), sim_node_id(keys->sim, node), out);
    out->keys = keys->values[other][key] != 0;
    buf_free(&text);
}

static void hand_over(struct keys *keys, size_t node, unsigned slot)
{
    if (sim_is_running(keys->sim, node)) cluster_hand_over(sim_core(keys->sim, node), slot);
}

static void begin_job(struct keys *keys, unsigned key, size_t from, size_t to)
{
    if (!migrate(keys, key, from, to)) return;
    hand_over(keys, from, slot_of(key));
    keys->job.step = 1;
    keys->job.key = key;
    keys->job.from = from;
    keys->job.to = to;
}

static void return_value(struct keys *keys, unsigned key, size_t node, size_t owner)
{
    struct owner there = word(keys, owner, key);

    if (there.state != OWNER_HERE || there.flags != 0) return;
    if (keys->values[owner][key] == 0) send_value(keys, key, node, owner);
    keys->values[node][key] = 0;
    setslot(keys, node, STABLE, key, node);
}

static void look_at(struct keys *keys, unsigned key, size_t node, int64_t idle_ms)
{
    struct cluster *c = sim_core(keys->sim, node);
    int64_t now_ms = sim_node_now(keys->sim, node);
    struct open_facts facts = { .keys = keys->values[node][key] != 0 };
    struct open_slot open;
    enum open_step next;
    size_t other;

    if (facts.keys > 0 && cluster_is_stray(c, slot_of(key), idle_ms, now_ms)) {
        cluster_adopt_stray(c, slot_of(key), idle_ms, now_ms, sim_effects(keys->sim, node));
        sim_carry_out(keys->sim, node);
    }
    if (!cluster_open_slot(c, slot_of(key), idle_ms, now_ms, &open)) return;
    other = sim_node_of_index(keys->sim, node, open.other.index);
    facts.leaves = open.leaves;
    facts.is_kin = open.other.is_kin;
    facts.has_failed = open.has_failed;
    account_of(keys, node, key, other, &facts.other);
    next = open_next(&facts);
    keys->decided[next]++;
    switch (next) {
    case OPEN_WAIT:
        return;
    case OPEN_SEND:
        begin_job(keys, key, node, other);
        return;
    case OPEN_GIVE:
        /* As the last two steps of a job. */
        if (!setslot(keys, other, NODE, key, other)) return;
        keys->job.step = 2;
        keys->job.key = key;
        keys->job.from = node;
        keys->job.to = other;
        return;
    case OPEN_REOPEN:
        setslot(keys, other, IMPORTING, key, node);
        return;
    case OPEN_TAKE:
        setslot(keys, node, NODE, key, node);
        return;
    case OPEN_RETURN:
        return_value(keys, key, node, other);
        return;
    case OPEN_CLOSE:
        setslot(keys, node, STABLE, key, node);
        return;
    }
}

/* False where the job ends here. */
static bool go_on_with_job(struct keys *keys)
{
    unsigned key = keys->job.key;
    size_t from = keys->job.from, to = keys->job.to;

    switch (keys->job.step) {
    case 1:
        if (!setslot(keys, to, NODE, key, to)) return false;
        keys->taken_by[key] = to;
        keys->job.step = 2;
        return true;
    case 2: /* its answer comes when that is on disk */
        if (!is_reached(keys, to) || sim_is_disk_full(keys->sim, to)) return false;
        if (!sim_is_saved(keys->sim, to)) return true;
        keys->taken_by[key] = SIZE_MAX;
        keys->job.step = 3;
        return true;
    default:
        if (setslot(keys, from, NODE, key, to)) note_giver(keys, key, from);
        return false;
    }
}

void keys_seed_own(struct keys *keys, uint64_t seed)
{
    random_seed(&keys->own, seed);
}

void keys_go_on(struct keys *keys, int64_t idle_ms)
{
    unsigned key = (unsigned)random_below(&keys->own, KEYS);

    if (keys->job.step != 0) {
        if (go_on_with_job(keys)) return;
        hand_over(keys, keys->job.from, SLOT_COUNT);
        keys->job.step = 0;
        return;
    }
    for (size_t node = 0; node < keys->nodes && keys->job.step == 0; node++)
        if (is_reached(keys, node)) look_at(keys, key, node, idle_ms);
}

_Static_assert(KEYS_DECISIONS == OPEN_CLOSE + 1, "one count for each step");

static size_t target_of(struct keys *keys, unsigned key, size_t node)
{
    return sim_node_of_index(keys->sim, node, word(keys, node, key).other);
}

static bool is_served_by_another(struct keys *keys, unsigned key, size_t than)
{
    for (size_t node = 0; node < keys->nodes; node++)
        if (node != than && word(keys, node, key).state == OWNER_HERE) return true;
    return false;
}

/* Of two values that nobody is served by now, the one that comes back first counts: which is the newer is nowhere known. */
static bool lies_elsewhere(struct keys *keys, unsigned key, size_t than)
{
    for (size_t node = 0; node < keys->nodes; node++)
        if (node != than && keys->values[node][key] != 0 && word(keys, node, key).state != OWNER_HERE) return true;
    return false;
}

void keys_leave_move(struct keys *keys)
{
    if (keys->step == 0 || random_below(&keys->own, LEAVES_EVERY) != 0) return;
    sim_note(keys->sim, keys->to, "slot %u: its move is left as it is", slot_of(keys->key));
    keys->step = 0;
}

void keys_close_by_hand(struct keys *keys)
{
    size_t sides = KEYS * keys->nodes, first = random_below(&keys->own, sides);

    if (random_below(&keys->own, HAND_EVERY) != 0) return;
    for (size_t i = 0; i < sides; i++) {
        unsigned key = (unsigned)((first + i) % sides / keys->nodes);
        size_t node = (first + i) % keys->nodes;

        if ((keys->step != 0 && keys->key == key) || (keys->job.step != 0 && keys->job.key == key)) continue;
        if (!is_reached(keys, node) || word(keys, node, key).flags == 0) continue;
        /* Who gave it away and has not heard of that would serve it again. */
        if (word(keys, node, key).state == OWNER_HERE && is_served_by_another(keys, key, node)) continue;
        if (lies_elsewhere(keys, key, word(keys, node, key).state == OWNER_HERE ? target_of(keys, key, node) : node))
            continue;
        setslot(keys, node, STABLE, key, node);
        return;
    }
}

uint64_t keys_decided(const struct keys *keys, unsigned step)
{
    return keys->decided[step];
}

bool keys_is_any_lost(struct keys *keys)
{
    for (unsigned key = 0; key < KEYS; key++)
        for (size_t node = 0; node < keys->nodes; node++)
            if (keys->values[node][key] != 0 && !serves(keys, node, key)) return true;
    return false;
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
