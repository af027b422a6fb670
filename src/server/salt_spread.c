#include "server/salt_spread_internal.h"

#include "base/alloc.h"
#include "bus/bus.h"
#include "server/salt_home.h"
#include "server/salt_read.h"
#include "server/worker_internal.h"

#include <stdlib.h>
#include <string.h>

struct salt_spread *salt_spread_new(struct node *node)
{
    struct salt_spread *spread = alloc_zeroed(sizeof(*spread));

    spread->node = node;
    return spread;
}

void salt_spread_begin(struct salt_spread *spread)
{
    atomic_store_explicit(&spread->has_begun, true, memory_order_release);
}

void salt_spread_free(struct salt_spread **held)
{
    struct salt_spread *spread = *held;

    if (spread == NULL) return;
    for (size_t i = 0; i < spread->count; i++) alloc_free((void *)(uintptr_t)spread->places[i].base.data);
    for (size_t i = 0; i < spread->base_count; i++) alloc_free((void *)(uintptr_t)spread->bases[i].base.data);
    alloc_free(spread->places);
    alloc_free(spread->bases);
    alloc_free(spread);
    *held = NULL;
}

void salt_spread_owners_changed(struct salt_spread *spread)
{
    atomic_store_explicit(&spread->owners_changed, true, memory_order_relaxed);
}

size_t salt_spread_slots(struct salt_spread *spread)
{
    size_t count;

    lock_take(&spread->lock);
    count = spread->count;
    lock_release(&spread->lock);
    return count;
}

uint64_t salt_spread_word(const struct salt_spread *spread, unsigned slot)
{
    return atomic_load_explicit(&spread->words[slot], memory_order_relaxed);
}

static struct owner owner_of(const struct node *node, uint16_t slot)
{
    return owner_unpack(slot_owner(keyspace_slot(node->keyspace, slot)));
}

/* --- Who is told what; with the lock --- */

struct holders {
    size_t count;
    uint64_t numbers[HOME_HELPERS_MAX];
};

static void note_holder(void *context, const char *node_id, bool linked, enum home_holding holding)
{
    struct holders *holders = context;

    if (holding == HOME_HAS && linked && holders->count < HOME_HELPERS_MAX)
        holders->numbers[holders->count++] = salt_spread_node(node_id);
}

static bool holds(const struct holders *holders, uint64_t number)
{
    for (size_t i = 0; i < holders->count; i++)
        if (holders->numbers[i] == number) return true;
    return false;
}

static size_t choose(const struct spread_node *nodes, size_t count, struct bytes address)
{
    uint64_t numbers[SALT_NAMES_MAX];

    for (size_t i = 0; i < count; i++) numbers[i] = nodes[i].number;
    return salt_spread_choose(address, numbers, count);
}

/* Index of the node that is told to who asks from there. Home knows who has a copy, and names nobody else; of a slot on its way nobody has one. */
static uint16_t node_for(const struct salt_spread *spread, const struct spread_place *place, struct bytes address)
{
    struct spread_node nodes[SALT_NAMES_MAX];
    struct holders holders = { .count = 0 };
    size_t count = 0;

    if (!place->is_home) return place->nodes[choose(place->nodes, place->count, address)].index;
    if (!place->is_known) return place->nodes[0].index;
    salt_home_each_helper(spread->node->salt_home, place->base, note_holder, &holders);
    for (unsigned i = 0; i < place->count; i++)
        if (i == 0 || holds(&holders, place->nodes[i].number)) nodes[count++] = place->nodes[i];
    return nodes[choose(nodes, count, address)].index;
}

/* The view may know better by now than what was drawn from it. */
static bool is_current(const struct salt_spread *spread, const struct spread_place *place)
{
    struct owner owner = owner_of(spread->node, place->slot);

    return place->is_home ? owner.state == OWNER_HERE
                          : owner.state == OWNER_ELSEWHERE && owner.node == place->nodes[0].index;
}

void salt_spread_each(struct salt_spread *spread, struct bytes address,
                      void (*each)(void *context, uint16_t slot, uint16_t node), void *context)
{
    lock_take(&spread->lock);
    for (size_t i = 0; i < spread->count; i++) {
        const struct spread_place *place = &spread->places[i];
        uint16_t node;

        if (!is_current(spread, place)) continue;
        node = node_for(spread, place, address);
        if (node != place->nodes[0].index) each(context, place->slot, node);
    }
    lock_release(&spread->lock);
}

static int by_slot(const void *key, const void *element)
{
    return (int)*(const uint16_t *)key - (int)((const struct spread_place *)element)->slot;
}

enum whither { WHITHER_HERE, WHITHER_LATER, WHITHER_ELSEWHERE };

/* Where who comes from there is to read the key of a slot. Later: at a node that has no copy at this moment. */
static enum whither find_node(struct salt_spread *spread, const struct plan *plan, struct bytes address, uint16_t *node)
{
    uint16_t slot = (uint16_t)plan->first_slot;
    const struct spread_place *place;
    struct holders holders = { .count = 0 };
    enum whither whither = WHITHER_HERE;

    lock_take(&spread->lock);
    place = spread->count == 0 ? NULL : bsearch(&slot, spread->places, spread->count, sizeof(*place), by_slot);
    if (place != NULL && place->is_home && bytes_equal(place->base, plan->first_key)) {
        const struct spread_node *chosen = &place->nodes[choose(place->nodes, place->count, address)];

        salt_home_each_helper(spread->node->salt_home, place->base, note_holder, &holders);
        *node = chosen->index;
        if (chosen != place->nodes) whither = holds(&holders, chosen->number) ? WHITHER_ELSEWHERE : WHITHER_LATER;
    }
    lock_release(&spread->lock);
    return whither;
}

/* --- Commands --- */

bool salt_spread_concerns(const struct call *call, const struct slot *slot, uint64_t hash)
{
    uint64_t word = salt_spread_word(call->node->salt_spread, slot_id(slot));

    if ((word & SALT_SPREAD_HOME) == 0 || ((word ^ hash) & SALT_SPREAD_HASH) != 0) return false;
    /* What a copy could answer, whoever asks for it: TTL and its kin come home wherever they begin, and tell nothing of what spreading is worth. */
    if ((call->command->flags & COMMAND_TELLS_VALUES) == 0) return false;
    salt_home_count_reads(call->node->salt_home, slot, hash, 1);
    return salt_spread_is_due(word, hash, call->client->told);
}

static bool reads_one_key(const struct call *call, const struct plan *plan)
{
    return (call->command->flags & COMMAND_TELLS_VALUES) != 0 && !plan->several_keys;
}

void salt_spread_note_name(const struct call *call, const struct plan *plan)
{
    const struct slot *slot;

    if (!reads_one_key(call, plan)) return;
    slot = keyspace_slot(call->node->keyspace, (uint16_t)plan->first_slot);
    salt_home_count_reads(call->node->salt_home, slot, slot_hash(plan->first_key), 1);
}

static void redirect(struct call *call, const char *how, int slot, uint16_t node)
{
    char endpoint[256];
    uint16_t port;

    bus_endpoint(call->node->bus, node, endpoint, &port);
    reply_errorf(call->reply, "%s %d %s:%u", how, slot, endpoint, port);
}

/* Here its slot is at home. Who watches keys, or was sent here, has its reasons; and who is led elsewhere will have a copy there. */
static enum alias_outcome lead(struct call *call, const struct plan *plan, uint64_t word, struct owner owner)
{
    struct client *client = call->client;
    enum whither whither;
    uint16_t node;

    if (owner.flags != 0 || !reads_one_key(call, plan) || (client_flags(client) & (CLIENT_MULTI | CLIENT_ASKING)) ||
        atomic_load_explicit(&client->watch_count, memory_order_relaxed) > 0 ||
        !salt_spread_is_due(word, slot_hash(plan->first_key), client->told))
        return ALIAS_NONE;
    whither = find_node(call->node->salt_spread, plan, bytes_of(client->peer), &node);
    if (whither != WHITHER_LATER) client->told |= (uint64_t)1 << (word & 0x3f);
    if (whither != WHITHER_ELSEWHERE) return ALIAS_NONE;
    redirect(call, "MOVED", plan->first_slot, node);
    count_up(&call->worker->counters.spread_told, 1);
    return ALIAS_SENT;
}

/* Here are names of its key, and clients may have been told that the slot is. What belongs to a transaction must be where that is, so it takes them
 * home for good; all else goes there by itself. */
static enum alias_outcome serve(struct call *call, const struct plan *plan, bool may_run, struct owner home)
{
    bool is_multi = (client_flags(call->client) & CLIENT_MULTI) != 0;

    if (may_run && !is_multi && reads_one_key(call, plan) &&
        salt_read(call, call->argv[call->command->keys[0].first])) {
        count_up(&call->worker->counters.spread_reads, 1);
        return ALIAS_READ;
    }
    redirect(call, is_multi || strcmp(call->command->name, "watch") == 0 ? "MOVED" : "ASK", plan->first_slot,
             home.node);
    count_up(&call->worker->counters.salt_sent_home, 1);
    return ALIAS_SENT;
}

enum alias_outcome salt_spread_settle(struct call *call, const struct plan *plan, bool may_run)
{
    const struct key_spec *spec = &call->command->keys[0];
    struct owner owner;
    uint64_t word;

    /* EXEC has no keys of its own, and a shard channel is none: those go where the slot is. */
    if (plan->first_slot < 0 || plan->cross_slot || spec->first == 0 || (spec->flags & KEY_NOT_KEY) != 0)
        return ALIAS_NONE;
    word = salt_spread_word(call->node->salt_spread, (unsigned)plan->first_slot);
    if (word == 0 || !bus_state_ok(call->node->bus)) return ALIAS_NONE;
    owner = owner_of(call->node, (uint16_t)plan->first_slot);
    if (owner.state == OWNER_HERE) return may_run ? lead(call, plan, word, owner) : ALIAS_NONE;
    if (owner.state != OWNER_ELSEWHERE || (word & SALT_SPREAD_HELPER) == 0) return ALIAS_NONE;
    /* Sent here by a home that gives the slot away. */
    if (plan->asking || (client_flags(call->client) & CLIENT_ASKING)) return ALIAS_NONE;
    return serve(call, plan, may_run, owner);
}
