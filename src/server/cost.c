#include "server/cost.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "cache/hotkeys.h"
#include "cluster/owner.h"
#include "server/events.h"
#include "server/node.h"
#include "server/stats.h"
#include "server/worker_internal.h"

static uint64_t request_bytes(const struct call *call)
{
    uint64_t bytes = 0;

    for (int i = 0; i < call->argc; i++) bytes += call->argv[i].len;
    return bytes;
}

static void count(const struct call *call, const struct hot_use *use)
{
    struct bytes key = use->key;

    if (__builtin_expect(!hotkeys_count(call->node->hotkeys, (unsigned)call->worker->index, use), 1)) return;
    if (key.len > HOTKEYS_NAME_MAX) key.len = HOTKEYS_NAME_MAX; /* as it will be said that it is cold */
    keyspace_event(call->node, EVENT_HOT, "hot", key);
}

void cost_note_key(struct call *call, const struct prepared *prepared, uint64_t replied_bytes, uint64_t ns)
{
    const struct hotkeys *hotkeys = call->node->hotkeys;
    struct hot_use use;

    if (!hotkeys_are_watched(hotkeys)) return;
    use.hash = prepared->hash;
    use.key = call->argv[call->command->keys[0].first];
    use.slot = slot_id(prepared->slot);
    use.writes = (call->command->flags & COMMAND_WRITE) != 0;
    use.bytes = request_bytes(call) + replied_bytes;
    use.ns = ns;
    use.cost = hotkeys_cost(hotkeys, use.bytes, ns, 1);
    use.now_ms = call->now_ms;
    count(call, &use);
}

/* --- Several keys --- */

struct finding {
    const struct call *call;
    struct cost_keys keys;
    uint32_t next; /* of the keys to be counted */
    struct hot_use use;
};

/* A channel is no key. */
static void find_key(void *context, int arg, const struct key_spec *spec)
{
    struct finding *finding = context;

    if ((spec->flags & KEY_NOT_KEY) == 0) cost_keys_add(&finding->keys, arg, key_slot(finding->call->argv[arg]));
}

static void count_key(const struct call *call, struct hot_use *use, int arg, uint16_t slot, uint64_t hash)
{
    use->key = call->argv[arg];
    use->slot = slot;
    use->hash = hash;
    count(call, use);
}

/* Of those that there was no room for. */
static void count_found(void *context, int arg, const struct key_spec *spec)
{
    struct finding *finding = context;
    struct bytes key = finding->call->argv[arg];

    if ((spec->flags & KEY_NOT_KEY) == 0 && finding->next++ >= COST_KEYS_MAX)
        count_key(finding->call, &finding->use, arg, key_slot(key), slot_hash(key));
}

void cost_note_keys(struct call *call, const struct cost_keys *keys, uint64_t replied_bytes, uint64_t ns)
{
    const struct hotkeys *hotkeys = call->node->hotkeys;
    struct finding finding;
    uint64_t bytes;

    if (!hotkeys_are_watched(hotkeys)) return;
    finding.call = call;
    if (keys == NULL) {
        finding.keys.count = finding.keys.hashed = 0;
        command_keys(call->command, call->argc, call->argv, find_key, &finding);
        keys = &finding.keys;
    }
    if (keys->count == 0) return;
    bytes = request_bytes(call) + replied_bytes;
    finding.use = (struct hot_use){ .cost = hotkeys_cost(hotkeys, bytes, ns, keys->count),
                                    .writes = (call->command->flags & COMMAND_WRITE) != 0,
                                    .bytes = bytes / keys->count,
                                    .ns = ns / keys->count,
                                    .now_ms = call->now_ms };
    for (uint32_t i = 0; i < keys->count && i < COST_KEYS_MAX; i++)
        count_key(call, &finding.use, keys->args[i], keys->slots[i],
                  i < keys->hashed ? keys->hashes[i] : slot_hash(call->argv[keys->args[i]]));
    if (keys->count <= COST_KEYS_MAX) return;
    finding.next = 0;
    command_keys(call->command, call->argc, call->argv, count_found, &finding);
}

/* --- Now and then --- */

static bool is_served(void *context, uint16_t slot)
{
    const struct node *node = context;
    struct owner owner = owner_unpack(slot_owner(keyspace_slot(node->keyspace, slot)));

    return owner.state == OWNER_HERE || (owner.flags & OWNER_IMPORTING) != 0;
}

void cost_tick(struct node *node)
{
    struct hot_gone gone[HOTKEYS_GONE_MAX];
    size_t count = hotkeys_tick(node->hotkeys, clock_now_ms(), stats_totals(node).commands, is_served, node, gone);

    for (size_t i = 0; i < count; i++) {
        keyspace_event(node, EVENT_HOT, "cold", gone[i].name);
        alloc_free((void *)(uintptr_t)gone[i].name.data);
    }
}

void cost_configure(const struct node *node)
{
    hotkeys_set(node->hotkeys, config_int(node->config, hotkey_threshold), config_int(node->config, hotkey_window_ms));
}
